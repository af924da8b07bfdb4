/* Readers and augmentation from end to end: a whole training from a .net file
 * gives the same weights to the bit for any number of threads, as an executable
 * and after resuming; `prox` ends with exact zeros for the useless columns of a
 * CSV file; an executable has what its reader needs and nothing more. */
#include "tests/check.h"
#include "tests/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

/* Runs, and asserts the exit status. */
#define EXPECT(status, ...)                                                    \
  expect(status, (const char *const[]){__VA_ARGS__, NULL})
static void expect(int status, const char *const *argv) {
  Run r = check_run(120, argv);
  check_that(r.status == status, "%s: exit %d, not %d\n%.400s", r.command,
             r.status, status, r.err);
  run_free(&r);
}

/* A path of its own for each name; they outlive check_path's buffers. */
static const char *path(const char *name) {
  static char paths[16][300];
  static int n;
  for (int i = 0; i < n; i++)
    if (!strcmp(paths[i] + strlen(paths[i]) - strlen(name), name))
      return paths[i];
  snprintf(paths[n], sizeof paths[n], "%s", check_path(name));
  return paths[n++];
}

static const char *write_text(const char *name, const char *text) {
  check_write(path(name), text, strlen(text));
  return path(name);
}

/* ---- augmentation ---- */

static const char augmented_net[] =
    "data shapes(train = 203, test = 20) {\n"
    "  validation = 0.1\n"
    "  normalize(mean = 0.5, std = [0.5, 0.4, 0.3])\n"
    "  augment { flip(0.5); crop(pad = 4); rotate(10); jitter(0.2, 0.2, 0.2)\n"
    "            cutout(size = 6); mixup(0.3) }\n"
    "}\n"
    "loss two(x: [k], label: class[k], mixed: class[k], share) =\n"
    "  share * cross_entropy(x, label) + (1 - share) * cross_entropy(x, mixed)\n"
    "net m(x: [3, 32, 32]) {\n"
    "  x -> conv(4, 5, stride = 2) -> relu -> flatten -> dropout(0.2)\n"
    "    -> linear(10)\n"
    "}\n"
    "train {\n"
    "  loss = two(m(image), label, mixed, share)\n"
    "  optimizer = sgd(lr = 0.01, momentum = 0.9)\n"
    "  batch = 16; epochs = 3\n"
    "}\n";

static void augmented(void) {
  static const char *const threads[] = {"1", "2", "3"};
  const char *net = write_text("aug.net", augmented_net);
  const char *want = path("one.safetensors"), *other = path("two.safetensors");
  const char *resumed = path("half.checkpoint"), *program = path("aug");
  EXPECT(0, check_netc(), "run", net, "--quiet", "--save", want);
  for (int i = 0; i < 3; i++) {
    EXPECT(0, check_netc(), "run", net, "--quiet", "--save", other, "--threads",
           threads[i]);
    check_same_files(want, other);
  }
  EXPECT(0, check_netc(), "build", net, "-o", program);
  EXPECT(0, program, "--quiet", "--save", other);
  check_same_files(want, other);
  EXPECT(0, check_netc(), "run", net, "--quiet", "--epochs", "1",
         "--checkpoint", resumed);
  EXPECT(0, check_netc(), "run", net, "--quiet", "--epochs", "3", "--resume",
         resumed, "--save", other);
  check_same_files(want, other);
}

/* ---- csv ---- */

/* 300 rows of eight columns, of which two make the target. */
static void write_rows(const char *file) {
  FILE *f = fopen(file, "w");
  unsigned state = 1;
  fprintf(f, "a,b,c,d,e,f,g,h,y\n");
  for (int i = 0; i < 300; i++) {
    double x[8], y = 0;
    for (int k = 0; k < 8; k++) {
      state = state * 1664525u + 1013904223u;
      x[k] = (double)(state >> 8) / (1 << 23) - 1;
      fprintf(f, "%.6f,", x[k]);
    }
    y = 3 * x[1] - 2 * x[5] + 0.5;
    fprintf(f, "%.6f\n", y);
  }
  fclose(f);
}

static const char lasso_net[] =
    "data csv(\"none.csv\", target = \"y\", test = 0.2) {"
    " normalize(standard) }\n"
    "net line(x: [n]) { x -> linear(1) as out }\n"
    "train {\n"
    "  loss      = squared_error(line(features), target)\n"
    "  penalty   = prox(0.2 * l1(weights))\n"
    "  optimizer = sgd(lr = 0.05)\n"
    "  batch = 30; epochs = 60\n"
    "}\n";

static void lasso(void) {
  const char *net = write_text("lasso.net", lasso_net);
  const char *rows = path("rows.csv"), *weights = path("lasso.safetensors");
  size_t n = 0;
  write_rows(rows);
  EXPECT(0, check_netc(), "run", net, "--quiet", "--data", rows, "--save",
         weights);
  Tensors t = tensors_read(weights);
  double *w = t.header ? tensors_get(&t, "line.out.W", &n) : NULL;
  if (check_that(w && n == 8, "no line.out.W of 8"))
    for (int k = 0; k < 8; k++) {
      bool useful = k == 1 || k == 5;
      check_that(useful ? w[k] * w[k] > 0.5 : w[k] == 0, "weight %d is %g", k,
                 w[k]);
    }
  free(w);
  tensors_free(&t);
  EXPECT(1, check_netc(), "check", net); /* the columns are not known */
}

/* ---- idx, built ---- */

static void write_idx(const char *name, const unsigned char *header,
                      size_t header_size, const unsigned char *bytes,
                      size_t n) {
  gzFile f = gzopen(name, "wb");
  gzwrite(f, header, (unsigned)header_size);
  gzwrite(f, bytes, (unsigned)n);
  gzclose(f);
}

static void write_mnist(const char *folder) {
  static const char *const part[] = {"train", "t10k"};
  const unsigned char image[16] = {0, 0, 8, 3, 0, 0, 0, 40,
                                   0, 0, 0, 28, 0, 0, 0, 28};
  const unsigned char label[8] = {0, 0, 8, 1, 0, 0, 0, 40};
  static unsigned char pixels[40 * 784], labels[40];
  char name[400];
  for (int i = 0; i < 40; i++) {
    labels[i] = (unsigned char)(i % 10);
    for (int k = 0; k < 784; k++)
      pixels[i * 784 + k] = (unsigned char)(i % 10 * 25 * (k % 10 == i % 10));
  }
  mkdir(folder, 0700);
  for (int i = 0; i < 2; i++) {
    snprintf(name, sizeof name, "%s/%s-images-idx3-ubyte.gz", folder, part[i]);
    write_idx(name, image, 16, pixels, sizeof pixels);
    snprintf(name, sizeof name, "%s/%s-labels-idx1-ubyte.gz", folder, part[i]);
    write_idx(name, label, 8, labels, sizeof labels);
  }
}

static const char idx_net[] =
    "data idx(\"none\") { normalize(standard) }\n"
    "net m(x: [1, 28, 28]) { x -> flatten -> linear(10) }\n"
    "train {\n"
    "  loss = cross_entropy(m(image), label)\n"
    "  optimizer = sgd(lr = 0.1); batch = 8; epochs = 2\n"
    "}\n";

static void built(void) {
  const char *net = write_text("idx.net", idx_net);
  const char *folder = path("mnist"), *program = path("idx");
  const char *a = path("a.safetensors"), *b = path("b.safetensors");
  write_mnist(folder);
  EXPECT(0, check_netc(), "check", net);
  EXPECT(0, check_netc(), "build", net, "-o", program);
  EXPECT(0, check_netc(), "run", net, "--data", folder, "--quiet", "--save", a);
  EXPECT(0, program, "--data", folder, "--quiet", "--save", b);
  check_same_files(a, b);
  Run needs = check_run(60, (const char *const[]){"ldd", program, NULL});
  check_that(!strstr(needs.out, "libz") && !strstr(needs.out, "libpng"),
             "%s needs\n%s", program, needs.out);
  run_free(&needs);
  Run lacks = check_run(60, (const char *const[]){
      program, "--data", "images(\"x\")", NULL});
  check_that(lacks.status == 1 && strstr(lacks.err, "built without the reader"),
             "status %d: %s", lacks.status, lacks.err);
  run_free(&lacks);
}

void suite_readers(void) {
  static const CheckTest tests[] = {
      {"augmented: threads, executable, resumed", augmented},
      {"exact zeros for useless columns", lasso},
      {"an executable with its reader", built},
      {NULL, NULL}};
  check_suite("readers", tests);
}
