/* The data side of the runtime: Philox against the published vectors, orders,
 * batches, arguments, normalisation, the readers cifar10 and shapes with right
 * and with broken files. (npy: test_npy.c) Files are made in the folder of the
 * tests. A broken file must give status 1 and a message that names it. */
#include "runtime/data.h"
#include "runtime/philox.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD = 3073 };

/* Random123's kat_vectors for philox4x32-10. */
static void philox_vectors(void) {
  static const struct {
    uint32_t counter[4], want[4];
    uint64_t seed;
  } known[] = {
      {{0, 0, 0, 0},
       {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
       0},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
       0xffffffffffffffff},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
       0x299f31d0a4093822}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    uint32_t c[4];
    memcpy(c, known[i].counter, sizeof c);
    philox(c, known[i].seed);
    CU_ASSERT_EQUAL(memcmp(c, known[i].want, sizeof c), 0);
  }
  CU_ASSERT_EQUAL(philox_uniform(0xffffffff), 1 - 0x1p-24f);
}

/* Opens the reader that `text` names; asserts that all is well. */
static Dataset *open_text(const char *text) {
  NetData data = {.reader = NULL};
  DataError e;
  Dataset *d;
  int status = data_open(&d, &data, text, 1, &e);
  check_that(status == 0 && d, "%s: %s", text, e.text);
  return d;
}

/* Asserts that opening fails with the user's status and a message that has
 * each of the two pieces. */
static void refuse(const NetData *data, const char *text, const char *piece,
                   const char *other) {
  DataError e;
  Dataset *d;
  int status = data_open(&d, data, text, 1, &e);
  check_that(status == 1 && !d && strstr(e.text, piece) &&
                 strstr(e.text, other),
             "%s: status %d, want '%s' and '%s' in: %s", text ? text : "",
             status, piece, other, e.text);
  data_close(d);
}

static void refuse_text(const char *text, const char *piece) {
  NetData none = {.reader = NULL};
  refuse(&none, text, piece, "");
}

/* ---- arguments and --data ---- */

static void texts(void) {
  static const char *const wrong[][2] = {
      {"shapes(", "expected at the end"},
      {"shapes(train", "a number"},
      {"shapes(train=", "expected at the end"},
      {"shapes(train=5", "',' or ')' expected at the end"},
      {"shapes(train=5))", "')' follows the ')'"},
      {"shapes(train=5) x", "'x' follows"},
      {"shapes(train=5,)", "a number"},
      {"shapes(train=[5,6])", "is one number, not 2"},
      {"shapes(train=[5 6])", "']' expected"},
      {"shapes(train=\"5\")", "is a number, not '5'"},
      {"shapes(train=\"5)", "has no end"},
      {"shapes(train=0x10)", "a number"},
      {"shapes(train=inf)", "a number"},
      {"shapes(noise=1e999)", "too large"},
      {"shapes(noise=2)", "is not between 0 and 1"},
      {"shapes(train=2.5)", "not a whole number"},
      {"shapes(train=-1)", "is not between"},
      {"shapes(train=1,train=2)", "train is given twice"},
      {"shapes(1,train=2)", "train is given twice"},
      {"shapes(train=1,2)", "without a name follows"},
      {"shapes(1,2,0,0,0,0)", "5 arguments at most"},
      {"shapes(1,2,3,4,5,6,7,8,9,10,11)", "more than 10 arguments"},
      {"shapes(nois=1)", "no argument 'nois'; it has: train, test, noise"},
      {"shape()", "no reader 'shape'; there are: cifar10, "},
      {"cifar10()", "needs the argument dir"},
      {"cifar10(3)", "is a text, not a number"},
      {"cifar10(\"\")", "dir is empty"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    refuse_text(wrong[i][0], wrong[i][1]);
  char *text = malloc(3000);
  memset(text, 'x', 2999);
  memcpy(text, "shapes(", 7);
  text[2999] = '\0';
  refuse_text(text, "longer than");
  free(text);
}

static void paths(void) {
  const char *dir = "no/such/folder";
  NetArg arg = {.name = "", .string = "also/none"};
  NetData cifar = {.reader = "cifar10", .n_args = 1, .args = &arg};
  NetData shapes = {.reader = "shapes"}, none = {.reader = NULL};
  NetArg pair[2] = {{.name = "", .string = "a/x.npy"},
                    {.name = "y", .string = "y.npy"}};
  NetData npy = {.reader = "npy", .n_args = 2, .args = pair};
  refuse(&cifar, NULL, "also/none", "No such file");
  refuse(&cifar, dir, "no/such/folder", "No such file");
  refuse(&shapes, dir, "reads no files", "--data 'shapes(...)'");
  refuse(&npy, dir, "no/such/folder/x.npy", "");
  refuse(&none, NULL, "no data", "");
  CU_ASSERT(!data_looks_like_reader("./shapes(1)"));
  CU_ASSERT(data_looks_like_reader("shapes (1)"));
}

static void fields_and_entries(void) {
  NetField f[NET_FIELDS];
  int n;
  char message[200];
  double three[3] = {0.5, 0.4, 0.3};
  NetArg mean = {.name = "mean", .n_numbers = 3, .numbers = three};
  NetArg word = {.name = "", .string = "standart"};
  NetDataEntry entry[2] = {{.name = "normalize", .n_args = 1, .args = &mean}};
  NetData data = {.reader = "shapes", .n_entries = 1, .entries = entry};
  CU_ASSERT(net_data_fields(&data, NULL, f, &n, message, sizeof message));
  CU_ASSERT_EQUAL_FATAL(n, 2);
  CU_ASSERT_STRING_EQUAL(f[0].name, "image");
  CU_ASSERT(f[0].type == NET_F32 && f[0].rank == 3 && f[0].dim[2] == 32);
  CU_ASSERT_STRING_EQUAL(f[1].name, "label");
  CU_ASSERT(f[1].type == NET_I32 && f[1].rank == 0 && f[1].classes == 10);
  mean.n_numbers = 2;
  refuse(&data, NULL, "mean has 2 numbers", "image has 3 channels");
  CU_ASSERT(!net_data_fields(&data, NULL, f, &n, message, sizeof message));
  CU_ASSERT_PTR_NOT_NULL(strstr(message, "3 channels"));
  mean.name = "std";
  mean.n_numbers = 1;
  three[0] = 0;
  refuse(&data, NULL, "std = 0 is not between", "");
  entry[0].args = &word;
  refuse(&data, NULL, "not 'standart'", "");
  entry[0].n_args = 0;
  refuse(&data, NULL, "needs mean and std, or standard", "");
  entry[0] = (NetDataEntry){.name = "normalise"};
  refuse(&data, NULL, "no entry 'normalise'", "");
  refuse(&data, NULL, "it has: normalize, validation, augment", "");
  entry[0] = (NetDataEntry){.name = "flop", .in_augment = 1};
  refuse(&data, NULL, "augment has no entry 'flop'", "flip, crop, rotate");
  word.string = "standard";
  entry[0] = entry[1] = (NetDataEntry){"normalize", 0, 1, &word};
  data.n_entries = 2;
  refuse(&data, NULL, "normalize is there twice", "");
}

/* ---- orders and batches ---- */

static void orders(void) {
  Dataset *d = open_text("shapes(train = 997, test = 1)");
  int64_t a[997], b[997];
  char seen[997] = {0};
  if (!d)
    return;
  data_order(d, DATA_TRAIN, false, 1, 3, a);
  for (int i = 0; i < 997; i++)
    CU_ASSERT_EQUAL(a[i], i);
  data_order(d, DATA_TRAIN, true, 1, 3, a);
  for (int i = 0; i < 997; i++)
    seen[a[i]]++;
  CU_ASSERT_PTR_NULL(memchr(seen, 0, sizeof seen));
  data_order(d, DATA_TRAIN, true, 1, 3, b);
  CU_ASSERT_EQUAL(memcmp(a, b, sizeof a), 0);
  data_order(d, DATA_TRAIN, true, 1, 4, b);
  CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
  data_order(d, DATA_TRAIN, true, 2, 3, b);
  CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
  data_close(d);
}

static const NetTensor inputs[2] = {
    {"image", 0, NET_F32, 4, 1, {4, 3, 32, 32}, 64},
    {"label", 10, NET_I32, 1, 1, {4}, 64 + 4 * 4 * 3072}};
enum { ARENA = 64 + 4 * 4 * 3072 + 16 };

static void batches(void) {
  NetFunction f = {.batch = 4, .n_inputs = 2, .inputs = inputs};
  int64_t order[3] = {7, 2, 9};
  double half = 0.5;
  NetArg args[2] = {{.name = "mean", .n_numbers = 1, .numbers = &half},
                    {.name = "std", .n_numbers = 1, .numbers = &half}};
  NetDataEntry entry = {.name = "normalize", .n_args = 2, .args = args};
  NetData data = {.reader = "shapes", .n_entries = 1, .entries = &entry};
  DataError e;
  Dataset *d;
  CU_ASSERT_EQUAL_FATAL(
      data_open(&d, &data, "shapes(train=10, test=1)", 1, &e), 0);
  CU_ASSERT(data_fits(d, &f, &e));
  char *arena = calloc(ARENA, 1);
  data_fill(d, DATA_TRAIN, order, 3, &f, arena);
  const float *image = (const float *)(void *)(arena + inputs[0].offset);
  const int32_t *label = (const int32_t *)(void *)(arena + inputs[1].offset);
  const uint8_t *pixels = d->split[DATA_TRAIN].column[0];
  for (int i = 0; i < 4; i++) {
    int64_t row = order[i < 3 ? i : 2]; /* the last real row again */
    CU_ASSERT_EQUAL(label[i], row);
    for (int k = 0; k < 3072; k++) {
      float x = (float)pixels[row * 3072 + k] / 255.0f;
      if (image[i * 3072 + k] != (x - 0.5f) / 0.5f)
        CU_FAIL_FATAL("a pixel differs");
    }
  }
  free(arena);
  data_close(d);
}

static void misfits(void) {
  NetTensor t[2];
  NetFunction f = {.batch = 4, .n_inputs = 2, .inputs = t};
  DataError e;
  Dataset *d = open_text("shapes(train=1, test=1)");
  if (!d)
    return;
  memcpy(t, inputs, sizeof t);
  t[0].dim[3] = 28;
  CU_ASSERT(!data_fits(d, &f, &e));
  CU_ASSERT_STRING_EQUAL(e.text,
                         "the program was compiled for image: f32[3,32,28], "
                         "but the data has f32[3,32,32]");
  memcpy(t, inputs, sizeof t);
  t[1].kind = 9;
  CU_ASSERT(!data_fits(d, &f, &e));
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "class[9]"));
  t[1] = (NetTensor){.name = "target"};
  CU_ASSERT(!data_fits(d, &f, &e));
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "'target'"));
  data_close(d);
}

/* `standard`: afterwards the mean is 0 and the deviation 1. */
static void standard(void) {
  NetArg word = {.name = "", .string = "standard"};
  NetDataEntry entry = {.name = "normalize", .n_args = 1, .args = &word};
  NetData data = {.reader = "shapes", .n_entries = 1, .entries = &entry};
  DataError e;
  Dataset *d;
  CU_ASSERT_EQUAL_FATAL(
      data_open(&d, &data, "shapes(train=20, test=1)", 1, &e), 0);
  const uint8_t *pixels = d->split[DATA_TRAIN].column[0];
  for (int c = 0; c < 3; c++) {
    double sum = 0, squares = 0;
    for (int row = 0; row < 20; row++)
      for (int i = 0; i < 1024; i++) {
        uint8_t byte = pixels[row * 3072 + c * 1024 + i];
        double x = (double)d->column[0].table[256 * c + byte];
        sum += x;
        squares += x * x;
      }
    CU_ASSERT_DOUBLE_EQUAL(sum / 20480, 0, 1e-5);
    CU_ASSERT_DOUBLE_EQUAL(squares / 20480, 1, 1e-5);
  }
  data_close(d);
}

/* ---- shapes ---- */

static uint64_t hash(const uint8_t *p, int64_t n) { /* FNV-1a */
  uint64_t h = 14695981039346656037u;
  for (int64_t i = 0; i < n; i++)
    h = (h ^ p[i]) * 1099511628211u;
  return h;
}

static void shapes(void) {
  char buffer[24];
  Dataset *d = open_text("shapes(train=40, test=20, noise=0.3)");
  Dataset *same = open_text("shapes(train=400, test=9, noise=0.3, wrong=0.25)");
  if (!d || !same)
    return;
  /* The same bytes on every machine, whatever the number of samples. */
  const uint8_t *a = d->split[DATA_TRAIN].column[0];
  const uint8_t *b = same->split[DATA_TRAIN].column[0];
  CU_ASSERT_EQUAL(hash(a, 40 * 3072), UINT64_C(0x6d6bff23d709cd29));
  CU_ASSERT_EQUAL(memcmp(a, b, 40 * 3072), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(a, d->split[DATA_TEST].column[0], 3072), 0);
  const int32_t *label = data_labels(same, DATA_TRAIN, "label");
  const int32_t *test = data_labels(same, DATA_TEST, "label");
  int wrong = 0;
  for (int i = 0; i < 400; i++) {
    CU_ASSERT(label[i] >= 0 && label[i] < 10);
    wrong += label[i] != i % 10;
  }
  CU_ASSERT(wrong > 65 && wrong < 135); /* 100, 4 sigma are 35 */
  for (int i = 0; i < 9; i++)
    CU_ASSERT_EQUAL(test[i], i);
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 9, buffer), "star");
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 10, buffer), "10");
  CU_ASSERT_PTR_NULL(data_labels(d, DATA_TRAIN, "image"));
  data_close(d);
  data_close(same);
}

/* ---- cifar10 ---- */

/* n records with labels from `label` up and pixels that say where they lie. */
static void write_records(const char *path, int n, int label, size_t cut) {
  uint8_t *b = malloc((size_t)n * RECORD + 1);
  for (int i = 0; i < n; i++) {
    b[i * RECORD] = (uint8_t)(label + i);
    for (int k = 1; k < RECORD; k++)
      b[i * RECORD + k] = (uint8_t)(label + i + k);
  }
  CU_ASSERT(check_write(path, b, (size_t)n * RECORD - cut));
  free(b);
}

static const char *in(const char *folder, const char *name) {
  static char path[4][600];
  static int turn;
  char *p = path[turn++ % 4];
  snprintf(p, sizeof path[0], "%s/%s", folder, name);
  return p;
}

static void cifar10(void) {
  char folder[500], names[] = "a\nb\r\nc\nd\ne\nf\ng\nh\ni\nj\n\n", buffer[24];
  snprintf(folder, sizeof folder, "%s", check_path("cifar"));
  NetArg arg = {.name = "dir", .string = folder};
  NetData data = {.reader = "cifar10", .n_args = 1, .args = &arg};
  DataError e;
  Dataset *d;
  mkdir(folder, 0700);
  refuse(&data, NULL, folder, "no training file");
  write_records(in(folder, "data_batch_10.bin"), 1, 9, 0);
  refuse(&data, NULL, folder, "no test_batch.bin");
  write_records(in(folder, "data_batch_9.bin"), 3, 2, 0);
  write_records(in(folder, "test_batch.bin"), 2, 0, 0);
  write_records(in(folder, "data_batch_7.bin"), 1, 0, 0);
  refuse(&data, NULL, "data_batch_8.bin is missing", "data_batch_9.bin");
  unlink(in(folder, "data_batch_7.bin"));
  CU_ASSERT_EQUAL_FATAL(data_open(&d, &data, NULL, 1, &e), 0);
  CU_ASSERT_EQUAL(d->split[DATA_TRAIN].rows, 4);
  CU_ASSERT_EQUAL(d->split[DATA_TEST].rows, 2);
  const int32_t *label = data_labels(d, DATA_TRAIN, "label");
  CU_ASSERT(label[0] == 2 && label[2] == 4 && label[3] == 9);
  CU_ASSERT_EQUAL(((uint8_t *)d->split[DATA_TRAIN].column[0])[3072], 4);
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 0, buffer), "airplane");
  data_close(d);

  CU_ASSERT(check_write(in(folder, "batches.meta.txt"), names, strlen(names)));
  CU_ASSERT_EQUAL_FATAL(data_open(&d, &data, NULL, 1, &e), 0);
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 1, buffer), "b");
  data_close(d);
  CU_ASSERT(check_write(in(folder, "batches.meta.txt"), names, 7));
  refuse(&data, NULL, "batches.meta.txt", "3 names of classes, not 10");
  CU_ASSERT(check_write(in(folder, "batches.meta.txt"), "a\x1b[2J\n", 6));
  refuse(&data, NULL, "batches.meta.txt", "line 1");
  CU_ASSERT(check_write(in(folder, "batches.meta.txt"), "a\0b\n", 4));
  refuse(&data, NULL, "batches.meta.txt", "zero byte");
  unlink(in(folder, "batches.meta.txt"));

  write_records(in(folder, "data_batch_9.bin"), 3, 8, 0);
  refuse(&data, NULL, "data_batch_9.bin: record 3: label 10", "0 to 9");
  write_records(in(folder, "data_batch_9.bin"), 3, 2, 100);
  refuse(&data, NULL, "data_batch_9.bin: record 3 is cut short: 2973 bytes",
         "");
  write_records(in(folder, "data_batch_9.bin"), 1, 2, RECORD);
  refuse(&data, NULL, "data_batch_9.bin: empty", "");
  unlink(in(folder, "data_batch_9.bin"));
  mkdir(in(folder, "data_batch_9.bin"), 0700);
  refuse(&data, NULL, "data_batch_9.bin: not a file", "");
  rmdir(in(folder, "data_batch_9.bin"));
}

/* What `predict FILE` opens. */
static void one_file(void) {
  char path[500];
  snprintf(path, sizeof path, "%s", check_path("one.bin"));
  NetArg arg = {.name = "dir", .string = "no/such"};
  NetData data = {.reader = "cifar10", .n_args = 1, .args = &arg};
  DataError e;
  Dataset *d;
  write_records(path, 2, 5, 0);
  CU_ASSERT_EQUAL_FATAL(data_open_file(&d, &data, NULL, path, 1, &e), 0);
  CU_ASSERT_EQUAL(d->split[DATA_TEST].rows, 2);
  CU_ASSERT_EQUAL(d->split[DATA_TRAIN].rows, 0);
  data_close(d);
  data.reader = "shapes";
  data.n_args = 0;
  CU_ASSERT_EQUAL(data_open_file(&d, &data, NULL, path, 1, &e), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "NAME.npy"));
  CU_ASSERT_PTR_NULL(d);
}

void suite_data(void) {
  static const CheckTest tests[] = {
      {"philox's published vectors", philox_vectors},
      {"the text of --data", texts},
      {"paths of --data", paths},
      {"fields and entries", fields_and_entries},
      {"orders of rows", orders},
      {"batches", batches},
      {"data that a program does not fit", misfits},
      {"normalize(standard)", standard},
      {"shapes", shapes},
      {"cifar10", cifar10},
      {"one file for predict", one_file},
      {NULL, NULL}};
  check_suite("data", tests);
}
