/* Weights out of PyTorch, under its names: the residual network that
 * make_residual.py wrote reads them through the map of its `init`, and its
 * logits are PyTorch's. Narrow, it reads what PyTorch saved. As wide as ResNet-20
 * is, its weights are a megabyte: the same ones are made here and there by one
 * rule, and only PyTorch's logits are kept. */
#include "tests/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3, CLASSES = 10, NPY_HEADER = 128, FULL = 16, DEPTH = 3 };
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

/* Builds the net of that width, and compares its logits; weights NULL: those that
 * the file names. */
static void check_logits(const char *width, const char *npy_file,
                         const char *weights) {
  char program[256], define[64];
  float want[ROWS * CLASSES];
  size_t size = 0;
  char *npy = check_read(npy_file, &size);
  CU_ASSERT_EQUAL_FATAL(size, NPY_HEADER + sizeof want);
  memcpy(want, npy + NPY_HEADER, sizeof want);
  free(npy);
  snprintf(program, sizeof program, "%s", check_path("residual"));
  snprintf(define, sizeof define, "width=%s", width);
  Run r = RUN(check_netc(), "build", FILE_NET, "-D", define, "-o", program);
  check_that(r.status == 0, "%s", r.err);
  run_free(&r);
  r = RUN(program, "predict", "tests/ref/residual_x.npy", "--quiet",
          weights ? "--init" : NULL, weights);
  check_that(r.status == 0, "%s", r.err);
  if (!r.status) compare(r.out, want);
  run_free(&r);
}

static void test_residual(void) {
  check_logits("2", "tests/ref/residual_y.npy", NULL);
  Run r = RUN(check_netc(), "test", FILE_NET, "--quiet");
  check_that(r.status == 0 && strstr(r.out, "(1 of 3)") != NULL, "%s%s", r.out,
             r.err);
  run_free(&r);
}

/* ---- ResNet-20 as it is ---- */

/* A state_dict as it grows: the header's entries, and the tensors. */
typedef struct Dict {
  char header[1 << 16], *data;
  size_t n, bytes, room;
  uint32_t state; /* of the generator */
} Dict;

enum Rule { FAN_IN, SCALE, SHIFT, MEAN, VARIANCE };

static double draw(Dict *d, enum Rule rule, int fan_in) {
  d->state = d->state * 1664525u + 1013904223u;
  double u = (double)(d->state >> 8) / (1 << 24);
  switch (rule) {
  case FAN_IN: return (u - 0.5) * sqrt(24.0 / fan_in);
  case SCALE: return 0.75 + 0.5 * u;
  case SHIFT:
  case MEAN: return (u - 0.5) / 4;
  case VARIANCE: return 0.5 + u;
  }
  return 0;
}

static void header(Dict *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void header(Dict *d, const char *format, ...) {
  va_list args;
  va_start(args, format);
  d->n += (size_t)vsnprintf(d->header + d->n, sizeof d->header - d->n, format,
                            args);
  va_end(args);
}

/* A tensor of `count` numbers, the first axis `out`; shape: as JSON has it. */
static void put(Dict *d, const char *name, const char *last, const char *shape,
                enum Rule rule, int count, int out) {
  CU_ASSERT_FATAL(d->bytes + 4 * (size_t)count <= d->room);
  header(d, "%s\"%s.%s\": {\"dtype\": \"F32\", \"shape\": %s, "
         "\"data_offsets\": [%zu, %zu]}", d->n ? ", " : "", name, last, shape,
         d->bytes, d->bytes + 4 * (size_t)count);
  for (int i = 0; i < count; i++, d->bytes += 4) {
    float v = (float)draw(d, rule, count / out);
    memcpy(d->data + d->bytes, &v, 4);
  }
}

static void conv(Dict *d, const char *name, int in, int out, int kernel) {
  char shape[64];
  snprintf(shape, sizeof shape, "[%d, %d, %d, %d]", out, in, kernel, kernel);
  put(d, name, "weight", shape, FAN_IN, out * in * kernel * kernel, out);
}

static void batchnorm(Dict *d, const char *name, int c) {
  char shape[32];
  snprintf(shape, sizeof shape, "[%d]", c);
  put(d, name, "weight", shape, SCALE, c, c);
  put(d, name, "bias", shape, SHIFT, c, c);
  put(d, name, "running_mean", shape, MEAN, c, c);
  put(d, name, "running_var", shape, VARIANCE, c, c);
  header(d, ", \"%s.num_batches_tracked\": {\"dtype\": \"I64\", \"shape\": [], "
         "\"data_offsets\": [%zu, %zu]}", name, d->bytes, d->bytes + 8);
  memset(d->data + d->bytes, 0, 8);
  d->bytes += 8;
}

static void block(Dict *d, int stage, int i, int in, int out) {
  char name[64];
#define NAME(s) (snprintf(name, sizeof name, "layer%d.%d." s, stage, i), name)
  conv(d, NAME("conv1"), in, out, 3);
  batchnorm(d, NAME("bn1"), out);
  conv(d, NAME("conv2"), out, out, 3);
  batchnorm(d, NAME("bn2"), out);
  if (in == out) return;
  conv(d, NAME("downsample.0"), in, out, 1);
  batchnorm(d, NAME("downsample.1"), out);
#undef NAME
}

/* In the order of PyTorch's state_dict. */
static void full_weights(const char *path) {
  Dict d = {.state = 1, .room = 1 << 21};
  d.data = malloc(d.room);
  CU_ASSERT_PTR_NOT_NULL_FATAL(d.data);
  conv(&d, "conv1", 3, FULL, 3);
  batchnorm(&d, "bn1", FULL);
  for (int stage = 1, c = FULL; stage <= 3; stage++)
    for (int i = 0, out = FULL << (stage - 1); i < DEPTH; i++, c = out)
      block(&d, stage, i, c, out);
  put(&d, "fc", "weight", "[10, 64]", FAN_IN, CLASSES * 4 * FULL, CLASSES);
  put(&d, "fc", "bias", "[10]", SHIFT, CLASSES, CLASSES);
  FILE *f = fopen(path, "wb");
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  uint64_t size = d.n + 2;
  fwrite(&size, sizeof size, 1, f);
  fprintf(f, "{%s}", d.header);
  fwrite(d.data, 1, d.bytes, f);
  CU_ASSERT_EQUAL(fclose(f), 0);
  free(d.data);
}

static void test_full(void) {
  char path[256];
  snprintf(path, sizeof path, "%s", check_path("resnet20.safetensors"));
  full_weights(path);
  check_logits("16", "tests/ref/residual_full_y.npy", path);
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
    {"ResNet-20", test_full},
    {"names of its own", test_own_names},
    {NULL, NULL}};

void suite_maps(void);
void suite_maps(void) {
  check_suite("maps", tests);
}
