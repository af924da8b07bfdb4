/* The trainings of VARIANTS in make_refs.py and of PROGRAMS in make_odd.py, by
 * netc: from the same weights and the same batches, each step's loss and the
 * weights after the last one must be PyTorch's. Runs the command as a user would,
 * and reads the log and the file of weights that it writes. */
#include "tests/ref/ref.h"
#include "tests/check.h"
#include "tests/tensors.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The most steps; make_refs.py keeps one of STRIDE elements of a weight. */
enum { STEPS = 50, STRIDE = 7 };

/* How far netc may be from PyTorch, and why. */
static const struct Tolerance {
  double relative;  /* sums in another order: f32 rounding grows over 50 steps */
  double distances; /* of PyTorch's f32 from its f64: what f32 can promise */
  double weights;   /* absolute; 50 steps move weights by 1e-3 to 1e-1 */
} tolerance = {.relative = 1e-5, .distances = 2, .weights = 1e-4};

static bool compare_steps(const char *name, const char *key, const json_t *log,
                          const Tensors *want) {
  double got[STEPS];
  size_t n = 0;
  double *ref = tensors_get(want, key, &n); /* [STEPS, 2]: f32, f64 */
  int steps = log_steps(log, key, STEPS, got);
  bool ok = check_that(ref && n == 2 * (size_t)steps && steps,
                       "%s: %d steps logged, not %zu", name, steps, n / 2);
  for (int i = 0; ok && i < steps; i++) {
    double f32 = ref[2 * i], f64 = ref[2 * i + 1];
    double limit = fmax(tolerance.relative * fabs(f64),
                        tolerance.distances * fabs(f32 - f64));
    ok = check_that(fabs(got[i] - f64) <= limit,
                    "%s: %s of step %d is %.9g, in PyTorch %.9g (f32), "
                    "%.9g (f64)", name, key, i, got[i], f32, f64);
  }
  free(ref);
  return ok;
}

static void compare_weights(const char *name, const Tensors *saved,
                            const Tensors *want, size_t stride) {
  const char *key;
  json_t *entry;
  json_object_foreach(want->header, key, entry) {
    if (!strchr(key, '.'))
      continue; /* loss, total */
    size_t n = 0, m = 0;
    double *ref = tensors_get(want, key, &n), *w = tensors_get(saved, key, &m);
    double far = 0;
    size_t at = 0;
    bool there = check_that(ref && w && (m + stride - 1) / stride == n,
                            "%s: %s is not saved, or has another size", name,
                            key);
    for (size_t i = 0; there && i < n; i++) {
      double d = fabs(ref[i] - w[i * stride]);
      if (!(d <= far)) /* a NaN too */
        far = d, at = i;
    }
    if (there)
      check_that(far <= tolerance.weights, "%s: %s[%zu] is %.9g, in PyTorch "
                 "%.9g", name, key, at * stride, w[at * stride], ref[at]);
    free(ref);
    free(w);
  }
}

/* The name of a training, and the weights that it starts from: its own, or else
 * those for all of the net's variants. Returns whether they are its own. */
static bool find_names(const char *path, char name[64], char init[128]) {
  const char *base = strrchr(path, '/') + 1;
  snprintf(name, 64, "%.*s", (int)strcspn(base, "."), base);
  snprintf(init, 128, "tests/ref/%s_init.safetensors", name);
  bool own = access(init, R_OK) == 0;
  if (!own)
    snprintf(init, 128, "tests/ref/%.*s_init.safetensors",
             (int)strcspn(name, "_"), name);
  return own;
}

static bool runs(const char *const *argv, const char *name) {
  Run r = check_run(300, argv);
  bool good = check_that(!r.status, "%s: %s\nexit %d\n%.600s", name, r.command,
                         r.status, r.err);
  run_free(&r);
  return good;
}

/* The words that train: netc's, or those of an executable that is built here. */
static int first_words(const char *path, const RefWay *way, const char **argv) {
  static char program[256];
  int n = 0;
  if (way->build) {
    snprintf(program, sizeof program, "%s", check_path("ref.program"));
    const char *const build[] = {check_netc(), "build",  path, "--cpu",
                                 way->cpu,     "-o", program, NULL};
    if (!runs(build, path)) return 0;
    for (const char *const *w = way->emulator; w && *w; w++) argv[n++] = *w;
    argv[n++] = program;
    return n;
  }
  argv[n++] = check_netc();
  argv[n++] = "run";
  argv[n++] = path;
  if (way->cpu) {
    argv[n++] = "--cpu";
    argv[n++] = way->cpu;
  }
  return n;
}

void ref_training(const char *path, const RefWay *way) {
  char name[64], init[128], want_path[128];
  bool own = find_names(path, name, init);
  snprintf(want_path, sizeof want_path, "tests/ref/%s.safetensors", name);
  const char *log_path = check_path("ref.log");
  const char *save = check_path("ref.safetensors");
  const char *const rest[] = {"--init", init, "--log", log_path, "--save",
                              save, "--print-every", "1", "--seed", "1",
                              "--quiet", NULL};
  const char *argv[CHECK_ARGS];
  remove(log_path);
  remove(save);
  int n = first_words(path, way, argv);
  if (!n) return;
  if (way->emulator) { /* which is slow at threads that wait */
    argv[n++] = "--threads";
    argv[n++] = "1";
  }
  memcpy(&argv[n], rest, sizeof rest);
  if (!runs(argv, name)) return;
  json_t *log = log_read(log_path);
  Tensors want = tensors_read(want_path), saved = tensors_read(save);
  check_that(log && want.header && saved.header, "%s: files", name);
  if (compare_steps(name, "loss", log, &want) &&
      compare_steps(name, "total", log, &want))
    compare_weights(name, &saved, &want, own ? 1 : STRIDE);
  json_decref(log);
  tensors_free(&want);
  tensors_free(&saved);
}

static void run_all(const char *pattern) {
  glob_t found;
  if (check_that(!glob(pattern, 0, NULL, &found), "no file %s", pattern))
    for (size_t i = 0; i < found.gl_pathc; i++)
      ref_training(found.gl_pathv[i], &(RefWay){0});
  globfree(&found);
}

static void lenet(void) {
  run_all("tests/ref/lenet_*.net");
}

static void mlp(void) {
  run_all("tests/ref/mlp_*.net");
}

static void square(void) {
  run_all("tests/ref/square_*.net");
}

static void odd(void) {
  run_all("tests/ref/odd_*.net");
}

void suite_ref(void) {
  check_suite("ref", (const CheckTest[]){{"LeNet", lenet},
                                         {"perceptron", mlp},
                                         {"squared error", square},
                                         {"parts of the language", odd},
                                         {0}});
}
