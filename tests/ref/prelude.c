/* The library in frontend/prelude.net: each definition has a training in
 * tests/ref/prelude/, whose losses, last weights and evaluation must be
 * PyTorch's (make_prelude_refs.py made them). What draws random bits has no
 * reference: that their shares are right is shown here. */
#include "tests/check.h"
#include "tests/tensors.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIR "tests/ref/prelude/"
enum { STEPS = 21, KEPT = 16, MOST_STEPS = 100, LONG_NAME = 48 };

/* How far netc may be from PyTorch, and why. */
static const struct Tolerance {
  double relative;  /* sums in another order: f32 rounding grows over 21 steps */
  double distances; /* of PyTorch's f32 from its f64: what f32 can promise */
  double weights;   /* of a tensor's largest element */
} tolerance = {.relative = 1e-5, .distances = 2, .weights = 1e-4};

/* `netc run` on the file; logs each step. */
static Run train(const char *file, const char *log, const char *save,
                 const char *epochs) {
  remove(log);
  remove(save);
  const char *argv[16] = {check_netc(), "run",  file,
                          "--log",      log,    "--save",
                          save,         "--print-every", "1",
                          "--quiet",    epochs ? "--epochs" : NULL,
                          epochs};
  return check_run(120, argv);
}

/* -- against PyTorch */

static bool near(double got, double f32, double f64) {
  double limit = fmax(tolerance.relative * fabs(f64),
                      tolerance.distances * fabs(f32 - f64));
  return fabs(got - f64) <= limit;
}

static double *get(const Tensors *t, const char *name, const char *key,
                   size_t *n) {
  char full[128];
  snprintf(full, sizeof full, "%s/%s", name, key);
  return tensors_get(t, full, n);
}

static void compare_steps(const char *name, const char *key, const json_t *log,
                          const Tensors *want) {
  double got[STEPS];
  size_t n = 0;
  double *ref = get(want, name, key, &n); /* [STEPS, 2]: f32, f64 */
  int steps = log_steps(log, key, STEPS, got);
  bool ok = check_that(n == 2 * STEPS && steps == STEPS, "%s: %d steps", name,
                       steps);
  for (int i = 0; ok && i < STEPS; i++)
    ok = check_that(near(got[i], ref[2 * i], ref[2 * i + 1]),
                    "%s: %s of step %d is %.9g, in PyTorch %.9g (f32), %.9g "
                    "(f64)", name, key, i, got[i], ref[2 * i], ref[2 * i + 1]);
  free(ref);
}

static void compare_test(const char *name, const json_t *log,
                         const Tensors *want) {
  size_t n = 0, i;
  double *ref = get(want, name, "test", &n), got = NAN;
  json_t *record;
  json_array_foreach(log, i, record) {
    const char *split = json_string_value(json_object_get(record, "split"));
    if (split && !strcmp(split, "test"))
      got = json_number_value(json_object_get(record, "loss"));
  }
  if (check_that(n == 2, "%s: no reference", name))
    check_that(near(got, ref[0], ref[1]), "%s: evaluation gives %.9g, in "
               "PyTorch %.9g", name, got, ref[1]);
  free(ref);
}

/* One tensor after the last step; the reference has each stride-th element. */
static void compare_tensor(const char *name, const char *key,
                           const Tensors *saved, const Tensors *want) {
  size_t n = 0, m = 0;
  double *ref = get(want, name, key, &n), *w = tensors_get(saved, key, &m);
  size_t stride = (m + KEPT - 1) / KEPT;
  double largest = 0.01, far = 0;
  if (check_that(w && m > 0 && n == (m + stride - 1) / stride,
                 "%s: %s is not saved, or has another size", name, key)) {
    for (size_t i = 0; i < n; i++) {
      largest = fmax(largest, fabs(ref[i]));
      double d = fabs(ref[i] - w[i * stride]);
      if (!(d <= far)) /* a NaN too */
        far = d;
    }
    check_that(far <= tolerance.weights * largest, "%s: %s is %.2e away from "
               "PyTorch", name, key, far);
  }
  free(ref);
  free(w);
}

static void compare_weights(const char *name, const Tensors *saved,
                            const Tensors *want) {
  const char *full;
  json_t *entry;
  size_t length = strlen(name);
  json_object_foreach(want->header, full, entry)
    if (!strncmp(full, name, length) && !strncmp(full + length, "/net.", 5))
      compare_tensor(name, full + length + 1, saved, want);
}

static void reference(const char *path, const Tensors *want) {
  const char *log_path = check_path("log"), *save = check_path("save");
  char name[LONG_NAME], total[LONG_NAME + 8];
  const char *base = path + strlen(DIR);
  snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "."), base);
  snprintf(total, sizeof total, "%s/total", name);
  Run r = train(path, log_path, save, NULL);
  if (check_that(!r.status, "%s\nexit %d\n%.600s", r.command, r.status,
                 r.err)) {
    json_t *log = log_read(log_path);
    Tensors saved = tensors_read(save);
    compare_steps(name, "loss", log, want);
    if (json_object_get(want->header, total))
      compare_steps(name, "total", log, want);
    compare_test(name, log, want);
    compare_weights(name, &saved, want);
    tensors_free(&saved);
    json_decref(log);
  }
  run_free(&r);
}

static bool is_drawn(const char *path) {
  return !strncmp(path + strlen(DIR), "draw_", 5);
}

static void references(void) {
  glob_t found;
  Tensors want = tensors_read(DIR "references.safetensors");
  if (check_that(want.header && !glob(DIR "*.net", 0, NULL, &found), "no files"))
    for (size_t i = 0; i < found.gl_pathc; i++)
      if (!is_drawn(found.gl_pathv[i]))
        reference(found.gl_pathv[i], &want);
  globfree(&found);
  tensors_free(&want);
}

/* -- random bits. The loss of draw_*.net is the mask itself, read as a binary
 * number; each step has one row. */

static int masks(const char *file, double *v) {
  const char *log_path = check_path("log"), *save = check_path("save");
  Run r = train(file, log_path, save, NULL);
  check_that(!r.status, "%s\nexit %d\n%.600s", r.command, r.status, r.err);
  json_t *log = log_read(log_path);
  int n = log_steps(log, "loss", MOST_STEPS, v);
  json_decref(log);
  run_free(&r);
  return n;
}

/* `parts` groups of bits drop together, with probability p. */
static void drops(const char *file, int parts, int bits, double p) {
  double v[MOST_STEPS], kept = 0;
  int steps = masks(file, v), same = 0;
  for (int i = 0; i < steps; i++) {
    double all = round(v[i]);
    check_that(fabs(v[i] - all) < 1e-3, "%s: %.9g is no mask", file, v[i]);
    for (int k = 0; k < parts; k++) {
      long group = (long)(all / pow(2, k * bits)) % (1L << bits);
      check_that(group == 0 || group == (1L << bits) - 1,
                 "%s: part %d is dropped in parts", file, k);
      kept += group != 0;
    }
    same += i > 0 && v[i] == v[i - 1];
  }
  double n = steps * parts, deviation = sqrt(p * (1 - p) / n);
  check_that(steps == 70 && same < (parts > 1 ? 35 : 60), "%s: %d steps", file,
             steps);
  check_that(fabs(kept / n - (1 - p)) < 4 * deviation, "%s keeps %g of 1", file,
             kept / n);
}

static void dropouts(void) {
  drops(DIR "draw_dropout.net", 8, 1, 0.4);
  drops(DIR "draw_dropout2d.net", 4, 2, 0.4);
  drops(DIR "draw_drop_path.net", 1, 8, 0.4);
}

/* Of `W` in draw_init.net: the least and the largest, mean and deviation. */
static void drawn(const Tensors *t, const char *name, double bound, double mean,
                  double deviation) {
  size_t n = 0;
  double *w = tensors_get(t, name, &n), sum = 0, squares = 0, far = 0;
  for (size_t i = 0; i < n; i++) {
    sum += w[i] / (double)n;
    far = fmax(far, fabs(w[i] - mean));
  }
  for (size_t i = 0; i < n; i++)
    squares += (w[i] - sum) * (w[i] - sum) / (double)n;
  double error = deviation / sqrt((double)n);
  check_that(n >= 6000, "%s: %zu elements", name, n);
  check_that(fabs(sum - mean) < 4 * error, "%s: mean %g", name, sum);
  check_that(fabs(sqrt(squares) / deviation - 1) < 0.04, "%s: deviation %g, not "
             "%g", name, sqrt(squares), deviation);
  check_that(far <= bound && far > bound * 0.98, "%s: %g from the mean, not %g",
             name, far, bound);
  free(w);
}

/* rows x cols elements are 1 where `one` says so, and else 0. */
static void ones(const Tensors *t, const char *name, size_t count,
                 bool (*one)(size_t)) {
  size_t n = 0, wrong = 0;
  double *w = tensors_get(t, name, &n);
  for (size_t i = 0; i < n; i++)
    wrong += fabs(w[i] - one(i)) > 0;
  check_that(n == count && !wrong, "%s: %zu elements, %zu wrong", name, n,
             wrong);
  free(w);
}

static bool on_diagonal(size_t i) { /* of [4, 6] */
  return i / 6 == i % 6;
}

static bool in_centre(size_t i) { /* of [4, 3, 3, 5] */
  return i / 45 == i / 15 % 3 && i / 5 % 3 == 1 && i % 5 == 2;
}

/* The products of the short rows, which lie `step` apart with elements `each`
 * apart, are gain^2 with themselves and 0 with others. */
static void right_angles(const Tensors *t, const char *name, size_t rows,
                         size_t cols, double gain) {
  size_t n = 0, few = rows < cols ? rows : cols, many = rows + cols - few;
  size_t step = rows <= cols ? cols : 1, each = rows <= cols ? 1 : cols;
  double *w = tensors_get(t, name, &n), far = 0;
  check_that(n == rows * cols, "%s: %zu elements", name, n);
  for (size_t i = 0; n && i < few * few; i++) {
    double dot = 0;
    for (size_t k = 0; k < many; k++)
      dot += w[i / few * step + k * each] * w[i % few * step + k * each];
    far = fmax(far, fabs(dot - (i / few == i % few ? gain * gain : 0)));
  }
  check_that(far < 1e-5 * gain * gain, "%s: off by %g", name, far);
  free(w);
}

static void initialisers(void) {
  static const char net[] = DIR "draw_init.net";
  const char *save = check_path("save");
  Run r = train(net, check_path("log"), save, "0");
  if (!check_that(!r.status, "%s: exit %d\n%.600s", net, r.status, r.err))
    return;
  Tensors t = tensors_read(save);
  double root3 = sqrt(3), bound = sqrt(6.0 / (6 + 1000));
  drawn(&t, "net.d.xavier_u", bound, 0, bound / root3);
  drawn(&t, "net.d.kaiming_u", 1, 0, 1 / root3);
  drawn(&t, "net.d.trunc", 2, 0, 0.8796);
  bound = 1 / sqrt(6);
  drawn(&t, "net.a.W", bound, 0, bound / root3);
  double xavier = sqrt(2.0 / (6 + 1000)), kaiming = 1 / root3;
  for (int i = 0; i < 2; i++) { /* these have no bound */
    const char *name = i ? "net.d.kaiming_n" : "net.d.xavier_n";
    size_t n = 0;
    double *w = tensors_get(&t, name, &n), squares = 0;
    for (size_t k = 0; k < n; k++)
      squares += w[k] * w[k] / (double)n;
    double ratio = sqrt(squares) / (i ? kaiming : xavier);
    check_that(n == 6000 && fabs(ratio - 1) < 0.04, "%s: deviation off by %g",
               name, ratio);
    free(w);
  }
  ones(&t, "net.c.diagonal", 24, on_diagonal);
  ones(&t, "net.c.centre", 180, in_centre);
  right_angles(&t, "net.c.wide", 5, 8, 1);
  right_angles(&t, "net.c.high", 40, 7, 3);
  tensors_free(&t);
  run_free(&r);
}

void suite_prelude(void) {
  check_suite("prelude", (const CheckTest[]){{"PyTorch's numbers", references},
                                             {"dropout", dropouts},
                                             {"initialisers", initialisers},
                                             {0}});
}
