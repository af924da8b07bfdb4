/* The models of models/: each compiles with every variant that it has, and trains
 * on small data made here to the loss that is expected of it. The data have the
 * formats of the real ones, which are not there when the tests run. */
#include "tests/check.h"
#include "tests/tensors.h"

#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 28, PICTURE = SIDE * SIDE, CLASSES = 10, ROWS = 400, TESTS = 100 };

/* -- data. A generator of its own, so that the files are always the same. */

static uint32_t draw(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

/* In [0, 1). */
static double share(uint32_t *state) { return draw(state) / 16777216.0; }

static void big_endian(unsigned char *to, uint32_t v) {
  for (int i = 0; i < 4; i++)
    to[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* Two of MNIST's four files. A picture of class c is a bright square in the c-th
 * place of two rows of five, on noise. */
static void write_digits(const char *folder, const char *part, uint32_t rows,
                         uint32_t seed) {
  size_t size = 16 + (size_t)rows * PICTURE;
  unsigned char *x = calloc(size, 1), *y = calloc(8 + rows, 1);
  char path[300];
  if (!x || !y)
    exit(3);
  big_endian(x, 0x803);
  big_endian(x + 4, rows);
  big_endian(x + 8, SIDE);
  big_endian(x + 12, SIDE);
  big_endian(y, 0x801);
  big_endian(y + 4, rows);
  for (uint32_t i = 0; i < rows; i++) {
    uint32_t label = i * 7 % CLASSES;
    y[8 + i] = (unsigned char)label;
    for (uint32_t k = 0; k < PICTURE; k++) {
      uint32_t row = k / SIDE, column = k % SIDE;
      bool inside = row / 14 == label / 5 && column / 5 == label % 5;
      x[16 + i * PICTURE + k] =
          (unsigned char)(draw(&seed) % 60 + (inside ? 180 : 0));
    }
  }
  snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, part);
  check_write(path, x, size);
  snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", folder, part);
  check_write(path, y, 8 + rows);
  free(x);
  free(y);
}

/* Twelve columns: the last one depends on the first three of the others alone,
 * by 2, -1 and 0.5, as far as it is not noise. */
static void write_wine(const char *path, uint32_t seed) {
  FILE *f = fopen(path, "w");
  for (int i = 0; f && i < ROWS; i++) {
    double y = 5 + 0.2 * share(&seed);
    for (int k = 0; k < 11; k++) {
      double x = 2 * share(&seed) - 1;
      y += k < 3 ? x * (k == 0 ? 2 : k == 1 ? -1 : 0.5) : 0;
      fprintf(f, "%.4f,", x);
    }
    fprintf(f, "%.4f\n", y);
  }
  if (f)
    fclose(f);
}

/* Nine whole numbers and a class, 2 or 4; some numbers are missing. */
static void write_tumours(const char *path, uint32_t seed) {
  FILE *f = fopen(path, "w");
  for (int i = 0; f && i < ROWS; i++) {
    bool bad = i % 3 == 0;
    for (int k = 0; k < 9; k++) {
      uint32_t v = 1 + draw(&seed) % 4 + (bad ? draw(&seed) % 7 : 0);
      if (k == 5 && i % 50 == 7)
        fprintf(f, "?,");
      else
        fprintf(f, "%u,", v);
    }
    fprintf(f, "%d\n", bad ? 4 : 2);
  }
  if (f)
    fclose(f);
}

/* Words of a small language in an order that is drawn. */
static void write_text(const char *path, uint32_t seed) {
  static const char *const words[] = {"the net", "a layer", "weights", "loss"};
  FILE *f = fopen(path, "w");
  for (int i = 0; f && i < 1500; i++)
    fprintf(f, "%s%s", words[draw(&seed) % 4], i % 8 == 7 ? ".\n" : " ");
  if (f)
    fclose(f);
}

static const char *mnist(void) {
  const char *folder = check_path("mnist");
  mkdir(folder, 0700);
  write_digits(folder, "train", ROWS, 1);
  write_digits(folder, "t10k", TESTS, 2);
  return folder;
}

static const char *wine(void) {
  const char *path = check_path("wine.csv");
  write_wine(path, 3);
  return path;
}

static const char *tumours(void) {
  const char *path = check_path("tumours.csv");
  write_tumours(path, 4);
  return path;
}

static const char *text(void) {
  const char *path = check_path("words.txt");
  write_text(path, 5);
  return path;
}

static const char *shapes(void) { return "shapes(train = 800, test = 200)"; }

/* 5000 rows are for validation. */
static const char *many_shapes(void) {
  return "shapes(train = 5800, test = 200)";
}

/* -- training */

/* What a model reaches in the test: a loss between two bounds, and an accuracy of
 * at least so much. The bounds leave room for other processors, which add up in
 * another order. */
typedef struct Model {
  const char *name;
  const char *(*data)(void);
  const char *constant, *epochs; /* NULL: the file's */
  double low, high, accuracy;
} Model;

static const Model models[] = {
    {"attention", text, "width=32", "20", 0.15, 0.6, 0.75},
    {"autoencoder", mnist, NULL, "10", 0.3, 0.5, 0},
    {"custom", mnist, NULL, "2", 0, 0.05, 0.95},
    {"lasso", wine, NULL, NULL, 0, 0.05, 0},
    {"lenet", shapes, "p=0", "15", 0, 0.8, 0.7},
    {"logistic", tumours, NULL, NULL, 0, 0.2, 0.9},
    {"mlp", mnist, NULL, "8", 0, 0.05, 0.95},
    {"regularised", many_shapes, "p=0", "6", 1, 2.2, 0.75},
    {"residual", shapes, "width=4", "12", 0, 0.8, 0.75},
};
enum { N_MODELS = sizeof models / sizeof models[0] };

/* Of the model's last record of the test, also among its metrics. */
static double tested(const char *log_path, const char *key) {
  json_t *log = log_read(log_path), *record;
  double v = -1;
  size_t i;
  json_array_foreach(log, i, record) {
    const char *split = json_string_value(json_object_get(record, "split"));
    json_t *value = json_object_get(record, key);
    if (!value)
      value = json_object_get(json_object_get(record, "metrics"), key);
    if (split && !strcmp(split, "test") && json_is_number(value))
      v = json_number_value(value);
  }
  json_decref(log);
  return v;
}

/* `regularised` begins with the weights of `lenet`, as its comment says. */
static Run train(const Model *m, const char *file, const char *log,
                 const char *save) {
  const char *argv[24] = {check_netc(), "run",    file,      "--data",
                          m->data(),    "--log",  log,       "--save",
                          save,         "--quiet"};
  int n = 10;
  remove(log);
  if (m->constant) {
    argv[n++] = "-D";
    argv[n++] = m->constant;
  }
  if (m->epochs) {
    argv[n++] = "--epochs";
    argv[n++] = m->epochs;
  }
  if (!strcmp(m->name, "regularised")) {
    argv[n++] = "--init";
    argv[n++] = check_path("lenet.safetensors");
  }
  return check_run(120, argv);
}

static void trains(void) {
  for (int i = 0; i < N_MODELS; i++) {
    const Model *m = &models[i];
    char file[64], saved[64];
    const char *log = check_path("zoo.log");
    snprintf(file, sizeof file, "models/%s.net", m->name);
    snprintf(saved, sizeof saved, "%s.safetensors", m->name);
    Run r = train(m, file, log, check_path(saved));
    double loss = tested(log, "loss"), accuracy = tested(log, "accuracy");
    if (check_that(!r.status, "%s: exit %d\n%.400s", r.command, r.status,
                   r.err)) {
      check_that(loss >= m->low && loss <= m->high, "%s: test loss %g, not from "
                 "%g to %g", m->name, loss, m->low, m->high);
      check_that(m->accuracy <= 0 || accuracy >= m->accuracy,
                 "%s: accuracy %g, not %g", m->name, accuracy, m->accuracy);
    }
    run_free(&r);
  }
}

/* Every column that means nothing has the weight 0, and the run says so. */
static void lasso(void) {
  const char *save = check_path("lasso.safetensors");
  const char *const argv[] = {check_netc(), "run",  "models/lasso.net",
                              "--data",     wine(), "--save",
                              save,         "--quiet", NULL};
  Run r = check_run(120, argv);
  Tensors t = tensors_read(save);
  size_t n = 0;
  double *w = tensors_get(&t, "line.out.W", &n);
  check_that(!r.status && n == 11, "%s: exit %d", r.command, r.status);
  for (size_t k = 0; k < n; k++)
    check_that((w[k] != 0) == (k < 3), "weight %zu is %g", k, w[k]);
  check_that(strstr(r.out, "line.out.W 8 of 11") != NULL, "%s", r.out);
  free(w);
  tensors_free(&t);
  run_free(&r);
}

/* -- compiling */

static const Model *model_of(const char *path) {
  const char *name = path + strlen("models/");
  for (int i = 0; i < N_MODELS; i++)
    if (!strncmp(models[i].name, name, strlen(models[i].name)) &&
        !strcmp(name + strlen(models[i].name), ".net"))
      return &models[i];
  return NULL;
}

static void checks_out(const char *path, const Model *m, const char *variant) {
  const char *const argv[] = {check_netc(),
                              "check",
                              path,
                              "--data",
                              m->data(),
                              variant ? "--variant" : NULL,
                              variant,
                              NULL};
  Run r = check_run(60, argv);
  check_that(!r.status && !*r.out && !*r.err, "%s: exit %d\n%.400s", r.command,
             r.status, r.err);
  run_free(&r);
}

/* Every file of the folder is in the table, has a comment that says what to
 * expect, is in the one layout, and compiles in each of its variants. */
static void compiles(void) {
  glob_t found;
  if (!check_that(!glob("models/*.net", 0, NULL, &found), "no models"))
    return;
  for (size_t i = 0; i < found.gl_pathc; i++) {
    const char *path = found.gl_pathv[i];
    const Model *m = model_of(path);
    char *source = check_read(path, NULL), name[32];
    if (check_that(m && source, "%s is not tried here", path)) {
      check_that(strstr(source, "# To expect: ") != NULL, "%s: what to expect?",
                 path);
      checks_out(path, m, NULL);
      for (const char *p = source; (p = strstr(p, "\nvariant "));)
        if (sscanf(p += strlen("\nvariant "), "%31[a-z_0-9]", name) == 1)
          checks_out(path, m, name);
    }
    free(source);
    const char *const argv[] = {check_netc(), "fmt", "--check", path, NULL};
    Run r = check_run(60, argv);
    check_that(!r.status, "%s: exit %d\n%.400s", r.command, r.status, r.err);
    run_free(&r);
  }
  globfree(&found);
}

void suite_zoo(void) {
  check_suite("zoo", (const CheckTest[]){{"compile", compiles},
                                         {"train", trains},
                                         {"zeros", lasso},
                                         {0}});
}
