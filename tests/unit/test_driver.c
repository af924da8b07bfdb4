/* The command's own part: words, options, exit statuses, messages, and files that
 * are written whole or not at all. By running the command, since what it says is
 * what counts. What stages hold, and what trainings give, is tested elsewhere. */
#include "tests/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL "models/lenet.net"

/* Runs `netc` with these words; asserts the status, and that stderr holds the
 * text (NULL: nothing at all). */
static void says(int status, const char *text, const char *const *words) {
  const char *argv[CHECK_ARGS] = {check_netc()};
  for (int i = 0; words[i]; i++) argv[i + 1] = words[i];
  Run r = check_run(60, argv);
  check_that(r.status == status, "%s: exit %d, not %d\n%.300s", r.command,
             r.status, status, r.err);
  check_that(text ? strstr(r.err, text) != NULL : !r.err[0],
             "%s: should say '%s'\n%.300s", r.command, text ? text : "",
             r.err);
  run_free(&r);
}
#define SAYS(status, text, ...)                                                \
  says(status, text, (const char *const[]){__VA_ARGS__, NULL})

/* What the command prints on stdout, to be freed. */
static char *prints(const char *const *words) {
  const char *argv[CHECK_ARGS] = {check_netc()};
  for (int i = 0; words[i]; i++) argv[i + 1] = words[i];
  Run r = check_run(60, argv);
  check_that(r.status == 0, "%s: exit %d\n%.300s", r.command, r.status, r.err);
  char *out = strdup(r.out);
  run_free(&r);
  return out;
}
#define PRINTS(...) prints((const char *const[]){__VA_ARGS__, NULL})

static void holds(char *text, const char *part) {
  check_that(text && strstr(text, part), "'%s' is not in\n%.600s", part,
             text ? text : "");
}

static bool exists(const char *path) {
  return access(path, F_OK) == 0;
}

static void commands(void) {
  SAYS(2, "unknown command 'rnu'; did you mean run?", "rnu", MODEL);
  SAYS(2, "unknown option '--versoin'", "--versoin");
  const char *const none[] = {NULL};
  says(2, "usage: netc COMMAND", none);
  static const char *const names[] = {"run",     "test", "build", "check",
                                      "summary", "dump", "opt",   "bench"};
  char *all = PRINTS("--help");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char *one = PRINTS(names[i], "--help");
    holds(all, names[i]);
    holds(one, "usage: netc");
    holds(one, "--help");
    check_that(strcmp(names[i], "run") || !strstr(one, "predictions"),
               "run lists what is predict's");
    free(one);
  }
  free(all);
}

static void options(void) {
  SAYS(2, "no file is given", "run");
  SAYS(2, "one file is wanted", "run", "a.net", "b.net");
  SAYS(2, "the name of the file is empty", "run", "");
  SAYS(2, "'--epoch'; did you mean --epochs?", "run", MODEL, "--epoch", "1");
  SAYS(2, "'--varient=x'; did you mean --variant?", "check", "--varient=x",
       MODEL);
  SAYS(2, "--epochs needs", "run", MODEL, "--epochs", "many");
  SAYS(2, "unknown option '--epochs'", "check", MODEL, "--epochs", "1");
  SAYS(2, "--stage means nothing to this command", "run", "--stage=ir", MODEL);
  SAYS(2, "-O needs a whole number from 0 to 3", "build", "-O4", MODEL);
  SAYS(2, "-O needs LEVEL", "build", "-O", "2", MODEL);
  SAYS(2, "-D needs NAME=VALUE, not 'p'", "check", "-D", "p", MODEL);
  SAYS(2, "-D needs NAME=VALUE, not '=1'", "check", "-D=1", MODEL);
  SAYS(2, "-D needs NAME=VALUE behind it", "check", MODEL, "-D");
  SAYS(2, "--variant needs NAME, not an empty", "check", MODEL, "--variant=");
  SAYS(2, "--stage needs STAGE behind it", "dump", "--stage", "--cpu=x", MODEL);
  SAYS(2, "did you mean schedule?", "dump", "--stage=shedule", MODEL);
  SAYS(2, "--batch needs a whole number from 1", "bench", "--batch=0", MODEL);
  SAYS(2, "dump needs --stage", "dump", MODEL);
  SAYS(2, "--format=dot draws graphs", "dump", "--stage=plan", "--format=dot",
       MODEL);
  SAYS(2, "--entry means nothing", "dump", "--stage=ast", "--entry=init",
       MODEL);
  SAYS(2, "--batch means nothing", "check", "--batch=2", MODEL);
  SAYS(2, "ask for different things", "build", "-S", "--emit=obj", MODEL);
  SAYS(2, "-s means nothing", "build", "-s", "--emit=obj", MODEL);
  SAYS(2, "unknown processor 'nonsense'", "dump", "--stage=plan",
       "--cpu=nonsense", MODEL);
  SAYS(2, "processor", "dump", "--stage=asm", "--cpu=i386", MODEL);
}

/* Forms of the same option, and the last of two. */
static void forms(void) {
  SAYS(0, NULL, "check", MODEL);
  SAYS(0, NULL, "check", "--", MODEL);
  SAYS(0, NULL, "check", "tests/perf/mlp.net");
  SAYS(0, NULL, "check", "tests/perf/vgg.net");
  SAYS(0, NULL, "check", "tests/perf/resnet20.net");
  char *joined = PRINTS("dump", "--stage=ir", "-Dp=0", MODEL);
  char *apart = PRINTS("dump", MODEL, "--stage", "ir", "-D", "p=0");
  char *last = PRINTS("dump", "-Dp=1/2", "--stage=ast", "--stage=ir", "-Dp=0",
                      MODEL);
  char *other = PRINTS("dump", "--stage=ir", MODEL);
  CU_ASSERT_STRING_EQUAL(joined, apart);
  CU_ASSERT_STRING_EQUAL(joined, last);
  CU_ASSERT_STRING_NOT_EQUAL(joined, other);
  free(joined);
  free(apart);
  free(last);
  free(other);
}

static void mistakes(void) {
  SAYS(1, "cannot read this file", "check", "no/such.net");
  SAYS(1, "Is a directory", "check", "models");
  SAYS(1, "no_such", "run", MODEL, "-D", "no_such=1");
  SAYS(1, "no_such", "summary", MODEL, "--variant", "no_such");
  SAYS(1, "error[E0501]", "check", MODEL, "--data", "shaps(train = 3)");
  SAYS(1, "\"code\": \"E0100\"", "check", "--diagnostics=json", "no/such.net");
}

static void opt(void) {
  const char *graph = check_path("graph.ir"), *kernels = check_path("k.ir");
  SAYS(0, NULL, "dump", "--stage=ir", MODEL, "-o", graph);
  SAYS(0, NULL, "opt", "--passes=grad,simplify,fuse", graph, "-o", kernels);
  SAYS(2, "unknown pass 'gard'; did you mean grad?", "opt", "--passes=gard",
       graph);
  SAYS(2, "unknown pass ''", "opt", "--passes=grad,", graph);
  SAYS(2, "the pass grad takes graphs, and fuse makes kernels", "opt",
       "--passes=fuse,grad", graph);
  SAYS(2, "run grad first", "opt", "--passes=fuse", graph);
  SAYS(2, "holds graphs", "opt", "--passes=schedule", graph);
  SAYS(2, "holds kernels", "opt", "--passes=grad", kernels);
  SAYS(2, "run schedule first", "opt", "--passes=plan", kernels);
  SAYS(1, "expected 'module'", "opt", MODEL);
}

static void files(void) {
  struct stat s;
  const char *out = check_path("out"), *copy = check_path("copy.net");
  SAYS(1, "cannot be written", "build", MODEL, "-o", "no/such/folder/x");
  SAYS(1, "not a regular file", "dump", "--stage=ast", MODEL, "-o",
       "/dev/null");
  size_t size = 0;
  char *text = check_read(MODEL, &size);
  check_write(copy, text, size);
  SAYS(1, "this is the source", "build", copy, "-o", copy);
  char *after = check_read(copy, NULL);
  CU_ASSERT_STRING_EQUAL(text, after);
  free(after);
  free(text);
  setenv("CC", "no-such-compiler", 1);
  SAYS(3, "needs the C compiler's linker", "build", MODEL, "-o", out);
  check_that(!exists(out), "a file without a linker");
  setenv("CC", "false", 1);
  SAYS(3, "'false' failed", "build", MODEL, "-o", out);
  check_that(!exists(out), "a file after a failure");
  unsetenv("CC");
  SAYS(0, NULL, "build", MODEL, "-o", out);
  check_that(stat(out, &s) == 0 && s.st_mode & S_IXUSR, "an executable");
}

static void libraries(void) {
  const char *archive = check_path("model.a"), *header = check_path("model.h");
  const char *source = check_path("use.c"), *program = check_path("use");
  static const char text[] =
      "#include \"model.h\"\n"
      "int main(int n, char **v) { return net_main(&net_program, n, v); }\n";
  SAYS(0, NULL, "build", "--emit=lib", MODEL, "-o", archive);
  check_that(exists(archive) && exists(header), "archive and header");
  check_write(source, text, strlen(text));
  const char *const cc[] = {"cc",       "-o", program, source, archive,
                            "-ljansson", "-lm", NULL};
  Run r = check_run(60, cc);
  check_that(r.status == 0, "%s\n%.400s", r.command, r.err);
  run_free(&r);
  const char *const use[] = {program, "--version", NULL};
  r = check_run(10, use);
  check_that(r.status == 0 && strstr(r.out, "lenet"), "%s", r.command);
  run_free(&r);
}

/* The same source gives the same bytes. */
static void reproducible(void) {
  static const char *const emits[] = {"--emit=exe", "--emit=obj", "--emit=lib"};
  for (size_t i = 0; i < sizeof emits / sizeof *emits; i++) {
    const char *a = check_path("first"), *b = check_path("second");
    size_t n = 0, m = 0;
    SAYS(0, NULL, "build", emits[i], MODEL, "-o", a);
    SAYS(0, NULL, "build", emits[i], MODEL, "-o", b);
    char *s = check_read(a, &n), *t = check_read(b, &m);
    check_that(n > 0 && n == m && !memcmp(s, t, n), "%s: bytes vary", emits[i]);
    free(s);
    free(t);
  }
}

static void reports(void) {
  char *text = PRINTS("summary", MODEL);
  holds(text, "lenet.conv1");
  holds(text, "[6, 28, 28]");
  holds(text, "62006");
  free(text);
  text = PRINTS("check", "--gradients", "--batch=1", "tests/ref/mlp_sgd.net");
  holds(text, "ok\n");
  holds(text, "\nOK\n");
  free(text);
  text = PRINTS("bench", "--steps=3", "--batch=2", "--threads=1", MODEL);
  holds(text, "us a step of 2 samples");
  holds(text, "compile");
  free(text);
  text = PRINTS("bench", "--steps=3", "--batch=2", "--threads=1", "--profile",
                "--entry=train", MODEL);
  holds(text, "\ntrain: ");
  holds(text, "v: vector ");
  holds(text, "16 fc1 relu3");
  holds(text, "contractions take ");
  check_that(!strstr(text, "evaluate"), "one function alone");
  free(text);
  text = PRINTS("dump", "--stage=ir", "--format=dot", "--entry=predict", MODEL);
  holds(text, "digraph \"predict\"");
  check_that(!strstr(text, "train"), "one function alone");
  free(text);
}

void suite_driver(void) {
  check_suite("driver", (const CheckTest[]){{"commands", commands},
                                            {"options", options},
                                            {"forms", forms},
                                            {"mistakes", mistakes},
                                            {"opt", opt},
                                            {"files", files},
                                            {"libraries", libraries},
                                            {"reproducible", reproducible},
                                            {"reports", reports},
                                            {0}});
}
