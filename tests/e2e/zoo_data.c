/* Small data in the formats that the models of models/ read, and the table of the
 * models. */
#include "tests/e2e/zoo.h"
#include "tests/check.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 28, PICTURE = SIDE * SIDE, CLASSES = 10, ROWS = 400, TESTS = 100 };

/* A generator of its own, so that the files are always the same. */

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

const ZooModel zoo_models[] = {
    {"attention", text, "width=32", "20", 0.15, 0.6, 0.75},
    {"autoencoder", mnist, NULL, "10", 0.3, 0.5, 0},
    {"custom", mnist, NULL, "2", 0, 0.05, 0.95},
    {"lasso", wine, NULL, NULL, 0, 0.05, 0},
    {"lenet", shapes, "p=0", "15", 0, 0.8, 0.7},
    {"logistic", tumours, NULL, NULL, 0, 0.2, 0.9},
    {"mlp", mnist, NULL, "8", 0, 0.05, 0.95},
    {"regularised", many_shapes, "p=0", "6", 1, 2.2, 0.75},
    {"residual", shapes, "width=4", "20", 0, 0.8, 0.75},
    {0},
};

const ZooModel *zoo_model(const char *path) {
  static const char folder[] = "models/";
  size_t n = strlen(folder);
  if (strncmp(path, folder, n))
    return NULL;
  for (const ZooModel *m = zoo_models; m->name; m++) {
    size_t k = strlen(m->name);
    if (!strncmp(path + n, m->name, k) && !strcmp(path + n + k, ".net"))
      return m;
  }
  return NULL;
}
