/* Resuming with code that the compiler made: a training in memory that is
 * interrupted behind each of its 40 steps and resumed, on other numbers of
 * threads, ends with the weights, lines and log of the run that was never
 * stopped; so does an executable that a real signal stops. To get between the
 * runtime and the code, the test goes the driver's own way to a program. */
#include "codegen/driver.h"
#include "tests/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS = 40, PATH = 256, EXIT_INTERRUPTED = 130 };
#define FILE_NET "tests/e2e/resume.net"

static void (*real_train)(char *arena, NetPool *pool);
static int64_t scalars_at;
static int step_at; /* the process interrupts itself behind it; -1: never */

static void train(char *arena, NetPool *pool) {
  real_train(arena, pool);
  const NetScalars *s = (const NetScalars *)(void *)(arena + scalars_at);
  if ((int)s->step == step_at) raise(SIGINT);
}

/* Trains in a child process; what it prints is added to the file `out`. */
static int run(const NetProgram *p, const NetOptions *o, int stop,
               const char *out) {
  int status = 0;
  fflush(NULL);
  pid_t pid = fork();
  if (!pid) {
    int file = open(out, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0 || dup2(file, STDOUT_FILENO) < 0) _exit(99);
    step_at = stop;
    if (stop >= 0 && !freopen("/dev/null", "w", stderr)) _exit(99);
    status = net_train(p, o);
    fflush(NULL);
    _exit(status);
  }
  CU_ASSERT_TRUE_FATAL(pid > 0 && waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool same_files(const char *a, const char *b) {
  size_t n = 0, m = 0;
  char *s = check_read(a, &n), *t = check_read(b, &m);
  bool same = s && t && n > 0 && n == m && !memcmp(s, t, n);
  free(s);
  free(t);
  return same;
}

typedef struct Paths {
  char save[PATH], log[PATH], out[PATH];
} Paths;

static NetOptions options(Paths *f, const char *name) {
  NetOptions o;
  net_options_init(&o);
  snprintf(f->save, PATH, "%s/%s.st", check_tmp(), name);
  snprintf(f->log, PATH, "%s/%s.log", check_tmp(), name);
  snprintf(f->out, PATH, "%s/%s.out", check_tmp(), name);
  o.save = f->save;
  o.log = f->log;
  o.print_every = 3;
  o.quiet = true;
  o.threads = 1;
  return o;
}

static void check_step(const NetProgram *p, const Paths *whole, int at) {
  Paths f;
  NetOptions o = options(&f, "part");
  unlink(f.out);
  o.threads = at % 3 + 1;
  int status = run(p, &o, at, f.out);
  check_that(status == EXIT_INTERRUPTED, "step %d: %d", at, status);
  o.resume = o.save;
  o.threads = at % 2 + 1;
  status = run(p, &o, -1, f.out);
  check_that(status == 0, "step %d, resumed: %d", at, status);
  check_that(same_files(f.save, whole->save), "step %d: other weights", at);
  check_that(same_files(f.log, whole->log), "step %d: another log", at);
  check_that(same_files(f.out, whole->out), "step %d: other lines", at);
}

static void check_program(NetProgram *p, Jit *jit) {
  Paths whole;
  NetOptions o = options(&whole, "whole");
  p->init_fn.run = jit_find(jit, "init");
  p->evaluate.run = jit_find(jit, "evaluate");
  real_train = jit_find(jit, "train");
  scalars_at = p->scalars;
  p->train.run = train;
  CU_ASSERT_EQUAL(run(p, &o, -1, whole.out), 0);
  for (int i = 0; i < STEPS; i++) check_step(p, &whole, i);
}

static void in_memory(void) {
  char file[] = FILE_NET, *argv[] = {file, NULL};
  const char *error = NULL;
  Arena *a = arena_new();
  Options o;
  Compile c;
  CU_ASSERT_TRUE_FATAL(options_parse(a, &o, CMD_RUN, 1, argv, 0));
  CU_ASSERT_EQUAL_FATAL(compile(&c, &o, AT_PLAN), STATUS_DONE);
  NetProgram *p = program_tables(&c);
  Jit *jit = jit_new(c.arena, c.target, c.stage.kernels, &error);
  check_that(jit != NULL, "%s", error);
  if (jit) check_program(p, jit);
  jit_free(jit);
  compile_free(&c);
  arena_free(a);
}

/* ---- an executable and a signal from outside ---- */

static Run run_words(const char *const *argv) {
  return check_run(120, argv);
}
#define RUN(...) run_words((const char *const[]){__VA_ARGS__, NULL})

/* The signal comes at some step, or behind the last if the machine is fast; if
 * it is so slow that no epoch was done, once more. */
static void interrupt(const char *program, const char *checkpoint) {
  static const char *const seconds[] = {"0.4", "2", "10"};
  for (int i = 0; i < 3 && access(checkpoint, F_OK); i++) {
    Run r = RUN("timeout", "--preserve-status", "-s", "INT", seconds[i],
                program, "--quiet", "--epochs", "200", "--checkpoint",
                checkpoint);
    check_that(r.status == EXIT_INTERRUPTED || r.status == 0, "%s", r.err);
    run_free(&r);
  }
}

static void executable(void) {
  Paths whole, part;
  char program[PATH];
  options(&whole, "exe");
  options(&part, "exe_part");
  snprintf(program, PATH, "%s/resume", check_tmp());
  Run r = RUN(check_netc(), "build", FILE_NET, "-o", program);
  check_that(r.status == 0, "%s", r.err);
  run_free(&r);
  r = RUN(program, "--quiet", "--epochs", "200", "--save", whole.save);
  check_that(r.status == 0, "%s", r.err);
  run_free(&r);
  interrupt(program, part.save);
  /* In memory or as an executable: the same program. */
  r = RUN(check_netc(), "run", FILE_NET, "--quiet", "--resume", part.save,
          "--save", part.out);
  check_that(r.status == 0, "%s", r.err);
  run_free(&r);
  check_that(same_files(whole.save, part.out), "other weights");
}

static const CheckTest tests[] = {
    {"compiled code, interrupted at every step", in_memory},
    {"an executable, by a signal", executable},
    {NULL, NULL}};

void suite_resume_e2e(void);
void suite_resume_e2e(void) {
  check_suite("resume_e2e", tests);
}
