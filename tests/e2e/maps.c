/* Weights out of PyTorch, under its names: the residual network that
 * make_residual.py wrote reads them through the map of its `init`, and its
 * logits are PyTorch's. */
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3, CLASSES = 10, NPY_HEADER = 128 };
#define FILE_NET "tests/ref/residual.net"
static const double TOLERANCE = 1e-4; /* of a logit; f32 sums in other orders */

static Run run_words(const char *const *argv) {
  return check_run(120, argv);
}
#define RUN(...) run_words((const char *const[]){__VA_ARGS__, NULL})

/* Line by line: the class, then the logits. */
static void compare(const char *out, const float *want) {
  const char *at = out;
  for (int i = 0; i < ROWS * CLASSES; i++) {
    char *end;
    if (i % CLASSES == 0) at += strcspn(at, "\t"); /* the class */
    double v = strtod(at, &end);
    check_that(end != at && fabs(v - (double)want[i]) < TOLERANCE,
               "row %d, logit %d: %g, PyTorch's is %g", i / CLASSES,
               i % CLASSES, v, (double)want[i]);
    at = end;
  }
  CU_ASSERT_STRING_EQUAL(at, "\n");
}

static void test_residual(void) {
  char program[256];
  float want[ROWS * CLASSES];
  size_t size = 0;
  char *npy = check_read("tests/ref/residual_y.npy", &size);
  CU_ASSERT_EQUAL_FATAL(size, NPY_HEADER + sizeof want);
  memcpy(want, npy + NPY_HEADER, sizeof want);
  free(npy);
  snprintf(program, sizeof program, "%s", check_path("residual"));
  Run r = RUN(check_netc(), "build", FILE_NET, "-o", program);
  check_that(r.status == 0, "%s", r.err);
  run_free(&r);
  r = RUN(program, "predict", "tests/ref/residual_x.npy", "--quiet");
  check_that(r.status == 0, "%s", r.err);
  if (!r.status) compare(r.out, want);
  run_free(&r);
  r = RUN(check_netc(), "test", FILE_NET, "--quiet");
  check_that(r.status == 0 && strstr(r.out, "(1 of 3)") != NULL, "%s%s", r.out,
             r.err);
  run_free(&r);
}

/* What the net saves has its own names, which need no map. */
static void test_own_names(void) {
  char save[256];
  snprintf(save, sizeof save, "%s", check_path("own.safetensors"));
  Run r = RUN(check_netc(), "run", FILE_NET, "--quiet", "--save", save);
  check_that(r.status == 0, "%s", r.err);
  Run test = RUN(check_netc(), "test", FILE_NET, "--quiet", "--init", save);
  check_that(test.status == 0 && strstr(r.out, test.out) != NULL, "%s%s",
             test.out, test.err);
  run_free(&test);
  run_free(&r);
}

static const CheckTest tests[] = {
    {"a residual network's weights out of PyTorch", test_residual},
    {"names of its own", test_own_names},
    {NULL, NULL}};

void suite_maps(void);
void suite_maps(void) {
  check_suite("maps", tests);
}
