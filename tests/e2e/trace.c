/* Losses and weights that are not finite any more: the run ends, and says which
 * operation of which step made them so, on which line, from what. An executable
 * writes that step to a file, from which netc says the same. */
#include "tests/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN(...) run_words((const char *const[]){__VA_ARGS__, NULL})
static Run run_words(const char *const *argv) {
  return check_run(60, argv);
}

/* Line 3 is `body`, of the net; line 6 the loss. */
static const char PROGRAM[] =
    "data npy(\"tests/ref/square_x.npy\", \"tests/ref/square_y.npy\")\n"
    "net m(x: [n]) {\n"
    "  %s\n"
    "}\n"
    "loss wild(x, y) =\n"
    "  %s + 0 * sum(y)\n"
    "train {\n"
    "  loss = wild(m(x), y); optimizer = sgd(lr = %s)\n"
    "  batch = 4; epochs = 2; shuffle = false; %s\n"
    "}\n";

static const struct Case {
  const char *what, *body, *loss, *lr, *settings;
  const char *told, *error; /* NULL: told of a loss */
} cases[] = {
    {"an overflow", "x -> linear(8) as a", "sum(exp(abs(x) + 100))", "0", "",
     "trace.net:6:7: note: in step 0 exp in wild gives inf, ", NULL},
    {"a logarithm of 0", "x -> linear(8) as a -> relu", "sum(log(0 * x))", "0",
     "", "log in wild gives -inf, ", NULL},
    {"f32 overflows where double does not", "x -> linear(8) as a",
     "1e30 * sum(abs(x) * 1e30 + 1e30)", "0", "",
     "mul in wild gives inf, ", NULL},
    {"of an earlier step", "x -> linear(8) as a -> linear(1) as b",
     "sum(abs(x))", "1e30", "clip = 1e30",
     "trace.net:3:26: note: in step 1 dot in b gives -inf, ", NULL},
    {"padding is not meant",
     "x -> linear(16) as a -> reshape([1, 4, 4]) -> maxpool(2, pad = 1)",
     "sum(log(-abs(x) - 1))", "0", "", "log in wild gives nan, ", NULL},
    {"a derivative", "x -> linear(8) as a", "sum(sqrt(0 * x))", "1", "",
     "(of the derivative or the update) gives inf, ", "m.a."},
    {"an update", "x -> linear(8) as a", "100 * sum(x)", "1e38", "batch = 64",
     "makes m.a.", "holds a value that is not finite at the end of epoch 1"},
    {"of several batches", "x -> linear(8) as a", "sum(exp(abs(x) + 40 * step))",
     "0", "accumulate = 2", "in step 3 exp ", NULL},
};
enum { CASES = sizeof cases / sizeof *cases };

static void write_program(const struct Case *c, const char *path) {
  char text[2048];
  const char *batch = strstr(c->settings, "batch");
  int n = snprintf(text, sizeof text, PROGRAM, c->body, c->loss, c->lr,
                   batch ? "" : c->settings);
  char *at = batch ? strstr(text, "batch = 4") : NULL;
  if (at) memcpy(at, "batch =64", 9);
  check_write(path, text, (size_t)n);
}

static void check_case(const struct Case *c) {
  char path[256], program[256], save[256], nan[300];
  snprintf(path, sizeof path, "%s", check_path("trace.net"));
  snprintf(program, sizeof program, "%s", check_path("trace"));
  snprintf(save, sizeof save, "%s", check_path("trace.st"));
  snprintf(nan, sizeof nan, "%s.nan", save);
  remove(nan);
  write_program(c, path);
  Run r = RUN(check_netc(), "run", path, "--quiet");
  check_that(r.status == 1 && strstr(r.err, c->told) &&
             strstr(r.err, c->error ? c->error : "the loss is "),
             "%s: exit %d, no '%s' in\n%s", c->what, r.status, c->told, r.err);
  Run build = RUN(check_netc(), "build", path, "-o", program);
  check_that(build.status == 0, "%s: %s", c->what, build.err);
  run_free(&build);
  Run exe = RUN(program, "--quiet", "--save", save);
  check_that(exe.status == 1 && strstr(exe.err, "trace.net --replay "),
             "%s: exit %d\n%s", c->what, exe.status, exe.err);
  run_free(&exe);
  exe = RUN(check_netc(), "check", path, "--replay", nan);
  const char *note = strchr(r.err, '\n');
  check_that(exe.status == 0 && note && !strcmp(note + 1, exe.err),
             "%s: replayed, exit %d\n%s\nand not\n%s", c->what, exe.status,
             exe.err, r.err);
  run_free(&exe);
  run_free(&r);
}

static void test_cases(void) {
  for (int i = 0; i < CASES; i++) check_case(&cases[i]);
}

/* More variables than an executable may keep beside its plan. */
static void test_large(void) {
  static const struct Case large = {
      "a large net", "x -> linear(1500) -> linear(1500)",
      "sum(exp(abs(x) + 100))", "0", "", NULL, NULL};
  char path[256], program[256];
  snprintf(path, sizeof path, "%s", check_path("large.net"));
  snprintf(program, sizeof program, "%s", check_path("large"));
  write_program(&large, path);
  Run r = RUN(check_netc(), "build", path, "-o", program);
  check_that(r.status == 0, "%s", r.err);
  run_free(&r);
  r = RUN(program, "--quiet");
  check_that(r.status == 1 && strstr(r.err, "note: the operation is not looked "
                                     "for: 9 MB"), "%s", r.err);
  run_free(&r);
  r = RUN(check_netc(), "run", path, "--quiet");
  check_that(r.status == 1 && strstr(r.err, "exp in wild gives inf"), "%s",
             r.err);
  run_free(&r);
}

/* What is no step of this program. */
static void test_refused(void) {
  char path[256];
  snprintf(path, sizeof path, "%s", check_path("trace.net"));
  write_program(&cases[0], path);
  const char *const files[][2] = {
      {"no/such/file.nan", "no/such/file.nan"},
      {"tests/ref/mlp_init.safetensors", "not a step that an executable left"},
      {"tests/ref/square_x.npy", "square_x.npy"}};
  for (int i = 0; i < 3; i++) {
    Run r = RUN(check_netc(), "check", path, "--replay", files[i][0]);
    check_that(r.status == 1 && strstr(r.err, files[i][1]), "%s: exit %d\n%s",
               files[i][0], r.status, r.err);
    run_free(&r);
  }
  Run r = RUN(check_netc(), "check", path, "--replay", "x", "--gradients");
  CU_ASSERT_EQUAL(r.status, 2);
  run_free(&r);
}

static const CheckTest tests[] = {
    {"which operation it was", test_cases},
    {"more variables than are kept", test_large},
    {"files that are no step", test_refused},
    {NULL, NULL}};

void suite_trace(void);
void suite_trace(void) {
  check_suite("trace", tests);
}
