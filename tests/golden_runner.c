/* Golden files. A case is tests/golden/STAGE/NAME.net, of which
 * `netc dump --stage=STAGE` prints what NAME.out holds, or NAME.ir, which goes
 * through `netc opt --passes=STAGE`; or tests/errors/NAME.net or NAME.ir, of which
 * `netc check` or `netc opt` must exit with 1 and print NAME.out on standard
 * error, and with --diagnostics=json the same as JSON (test_json.c). The first
 * line may give more arguments: `# args: --cpu=znver4 -D 'p=0'`. UPDATE=1
 * rewrites the outputs. Does not check that a case is worth having. */
#include "tests/check.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Splits at spaces, in place; '...' keeps its spaces. */
static void split_words(char *s, const char **argv, int *n) {
  while (*n < CHECK_ARGS - 2) {
    s += strspn(s, " \t\r\n");
    if (!*s)
      return;
    bool quoted = *s == '\'';
    argv[(*n)++] = s += quoted;
    s += strcspn(s, quoted ? "'\n" : " \t\r\n");
    if (*s)
      *s++ = 0;
  }
}

void check_case_args(const char *path, char *line, size_t size,
                     const char **argv, int *n) {
  static const char head[] = "# args:";
  FILE *f = fopen(path, "r");
  if (f && fgets(line, (int)size, f) && !strncmp(line, head, strlen(head)))
    split_words(line + strlen(head), argv, n);
  if (f)
    fclose(f);
}

static void print_diff(const char *path, const char *text) {
  const char *got = check_path("got");
  if (!check_write(got, text, strlen(text)))
    return;
  const char *const argv[] = {"diff",    "-u",  "--label", path, "--label",
                              "printed", "-N",  path,      got,  NULL};
  Run r = check_run(10, argv);
  printf("\n%.20000s", r.out);
  run_free(&r);
}

bool check_golden(const char *path, const char *text, const char *command) {
  if (getenv("UPDATE"))
    return check_that(check_write(path, text, strlen(text)), "write %s", path);
  char *want = check_read(path, NULL);
  bool same = want && !strcmp(want, text);
  free(want);
  if (!same) {
    print_diff(path, text);
    printf("run again: %s\n", command);
  }
  return check_that(same, "%s", path);
}

/* NAME.out beside NAME.net */
static void out_path(const char *path, char *out, size_t size) {
  const char *dot = strrchr(path, '.');
  snprintf(out, size, "%.*s.out", (int)(dot - path), path);
}

/* Every file that matches, in the order of names. */
static void for_each(const char *pattern, void (*each)(const char *path)) {
  glob_t found;
  if (!glob(pattern, 0, NULL, &found))
    for (size_t i = 0; i < found.gl_pathc; i++)
      each(found.gl_pathv[i]);
  globfree(&found);
}

/* The name of the folder that holds the file. */
static void stage_of(const char *path, char *stage, size_t size) {
  const char *end = strrchr(path, '/'), *begin = end;
  while (begin > path && begin[-1] != '/')
    begin--;
  snprintf(stage, size, "%.*s", (int)(end - begin), begin);
}

static void golden_case(const char *path) {
  char line[1024] = "", stage[64], option[80], out[512];
  bool ir = !strcmp(strrchr(path, '.'), ".ir");
  stage_of(path, stage, sizeof stage);
  snprintf(option, sizeof option, "--%s=%s", ir ? "passes" : "stage", stage);
  const char *argv[CHECK_ARGS] = {check_netc(), ir ? "opt" : "dump", option};
  int n = 3;
  check_case_args(path, line, sizeof line, argv, &n);
  argv[n] = path;
  Run r = check_run(60, argv);
  char *text = r.out;
  if (r.status) { /* a failure is part of the text */
    size_t size = strlen(r.out) + strlen(r.err) + 32;
    text = malloc(size);
    if (text)
      snprintf(text, size, "%s%sexit %d\n", r.out, r.err, r.status);
  }
  out_path(path, out, sizeof out);
  check_golden(out, text ? text : "", r.command);
  if (text != r.out)
    free(text);
  run_free(&r);
}

int check_error_command(const char *path, const char **argv) {
  int n = 0;
  bool ir = !strcmp(strrchr(path, '.'), ".ir");
  argv[n++] = check_netc();
  argv[n++] = ir ? "opt" : "check";
  if (ir)
    argv[n++] = "--passes=simplify";
  return n;
}

static void error_case(const char *path) {
  char line[1024] = "", out[512];
  const char *argv[CHECK_ARGS] = {NULL};
  int n = check_error_command(path, argv);
  check_case_args(path, line, sizeof line, argv, &n);
  argv[n] = path;
  Run r = check_run(20, argv);
  check_that(r.status == 1, "%s: exit status %d, not 1", path, r.status);
  check_that(!r.out[0], "%s: prints on standard output", path);
  out_path(path, out, sizeof out);
  check_golden(out, r.err, r.command);
  run_free(&r);
}

static void golden_net(void) {
  for_each("tests/golden/*/*.net", golden_case);
}

static void golden_ir(void) {
  for_each("tests/golden/*/*.ir", golden_case);
}

void suite_golden(void) {
  check_suite("golden", (const CheckTest[]){{"dump of .net", golden_net},
                                            {"opt of .ir", golden_ir},
                                            {0}});
}

static void errors(void) {
  for_each("tests/errors/*.net", error_case);
  for_each("tests/errors/*.ir", error_case);
}

void suite_errors(void) {
  check_suite("errors", (const CheckTest[]){{"diagnostics", errors}, {0}});
}
