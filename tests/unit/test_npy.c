/* The npy reader: arrays that numpy writes, and headers and elements that are
 * not right. Each broken file must give status 1 and a message that names the
 * file, and the record and value where it is an element that is wrong. */
#include "runtime/data.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Writes an .npy file of that version with that header, padded as numpy does;
 * returns its path, one of 64 in turn. */
static const char *npy(const char *name, int version, const char *header,
                       const void *elements, size_t bytes) {
  static char path[64][500];
  static int turn;
  char *p = path[turn++ % 64];
  snprintf(p, sizeof path[0], "%s", check_path(name));
  size_t n = strlen(header), start = version == 2 ? 12 : 10;
  size_t length = (start + n + 1 + 63) / 64 * 64 - start;
  uint8_t *b = calloc(start + length + bytes, 1);
  memcpy(b, "\x93NUMPY", 6);
  b[6] = (uint8_t)version;
  b[8] = (uint8_t)length;
  b[9] = (uint8_t)(length >> 8);
  memset(b + start, ' ', length);
  memcpy(b + start, header, n);
  b[start + length - 1] = '\n';
  memcpy(b + start + length, elements, bytes);
  CU_ASSERT(check_write(p, b, start + length + bytes));
  free(b);
  return p;
}

#define HEADER(descr, shape)                                                   \
  "{'descr': '" descr "', 'fortran_order': False, 'shape': " shape ", }"

static const float six[6] = {1, 2, 3, 4, 5, 6};
static const int32_t pair[2] = {0, 4};

/* Opens npy(x, y, ..) with n files. */
static int open_files(Dataset **d, int n, const char *const *files,
                      DataError *e) {
  NetArg args[4] = {{.name = NULL}};
  for (int i = 0; i < n; i++)
    args[i] = (NetArg){.name = "", .string = files[i]};
  NetData data = {.reader = "npy", .n_args = n, .args = args};
  return data_open(d, &data, NULL, 1, e);
}

static void refuse(const char *x, const char *y, const char *piece) {
  Dataset *d;
  DataError e;
  int status = open_files(&d, 2, (const char *const[]){x, y}, &e);
  check_that(status == 1 && !d && strstr(e.text, piece),
             "status %d, want '%s' in: %s", status, piece, e.text);
  data_close(d);
}

static void right_ones(void) {
  const char *x = npy("x.npy", 1, HEADER("<f4", "(2, 3)"), six, sizeof six);
  const char *y = npy("y.npy", 2, HEADER("<i4", "(2,)"), pair, sizeof pair);
  NetArg args[2] = {{.name = "", .string = x}, {.name = "", .string = y}};
  NetData data = {.reader = "npy", .n_args = 2, .args = args};
  NetField f[NET_FIELDS];
  int n;
  char message[100];
  DataError e;
  Dataset *d;
  CU_ASSERT(net_data_fields(&data, NULL, f, &n, message, sizeof message));
  CU_ASSERT_EQUAL(n, 2);
  CU_ASSERT(f[0].type == NET_F32 && f[0].rank == 1 && f[0].dim[0] == 3);
  CU_ASSERT(f[1].type == NET_I32 && f[1].rank == 0 && f[1].classes == 5);
  CU_ASSERT_EQUAL_FATAL(data_open(&d, &data, NULL, 1, &e), 0);
  CU_ASSERT_EQUAL(d->split[DATA_TEST].rows, 2); /* the training data */
  CU_ASSERT_EQUAL(memcmp(d->split[DATA_TEST].column[0], six, sizeof six), 0);
  CU_ASSERT_EQUAL(d->n_classes, 5);
  data_close(d);
}

/* Every type of element; whole numbers in x are ids. */
static void types(void) {
  const double f8[2] = {-0.5, 1e30};
  const int64_t i8[2] = {7, 2147483646};
  const uint8_t u1[2] = {255, 3};
  const char *files[4];
  Dataset *d;
  DataError e;
  files[0] = npy("a.npy", 1, HEADER("|u1", "(2,)"), u1, 2);
  files[1] = npy("b.npy", 1, HEADER("<f8", "(2,)"), f8, sizeof f8);
  CU_ASSERT_EQUAL_FATAL(open_files(&d, 2, files, &e), 0);
  const int32_t *ids = d->split[DATA_TRAIN].column[0];
  const float *y = d->split[DATA_TRAIN].column[1];
  CU_ASSERT(ids[0] == 255 && ids[1] == 3);
  CU_ASSERT(y[0] == -0.5f && y[1] == 1e30f);
  CU_ASSERT_EQUAL(d->n_classes, 0);
  data_close(d);
  files[1] = npy("b.npy", 1, HEADER("<i8", "(2,)"), i8, sizeof i8);
  CU_ASSERT_EQUAL_FATAL(open_files(&d, 2, files, &e), 0);
  CU_ASSERT_EQUAL(d->n_classes, 2147483647);
  data_close(d);
}

/* normalize(standard) on columns, with the test split by the training part. */
static void standard(void) {
  const float test[3] = {2.5f, 0, 0};
  NetArg args[4], word = {.name = "", .string = "standard"};
  NetDataEntry entry = {"normalize", 0, 1, &word};
  NetData data = {"npy", 4, 1, args, &entry};
  Dataset *d;
  DataError e;
  const char *files[4];
  files[0] = npy("x.npy", 1, HEADER("<f4", "(2, 3)"), six, sizeof six);
  files[1] = npy("y.npy", 1, HEADER("<i4", "(2,)"), pair, sizeof pair);
  files[2] = npy("tx.npy", 1, HEADER("<f4", "(1, 3)"), test, sizeof test);
  files[3] = npy("ty.npy", 1, HEADER("<i4", "(1,)"), pair, 4);
  for (int i = 0; i < 4; i++)
    args[i] = (NetArg){.name = "", .string = files[i]};
  CU_ASSERT_EQUAL_FATAL(data_open(&d, &data, NULL, 1, &e), 0);
  const float *x = d->split[DATA_TRAIN].column[0];
  const float *t = d->split[DATA_TEST].column[0];
  for (int i = 0; i < 6; i++)
    CU_ASSERT_EQUAL(x[i], i < 3 ? -1.0f : 1.0f);
  CU_ASSERT_EQUAL(t[0], 0);
  data_close(d);
  CU_ASSERT_EQUAL_FATAL(data_open_file(&d, &data, NULL, files[2], 1, &e), 0);
  CU_ASSERT_EQUAL(*(float *)d->split[DATA_TEST].column[0], 0);
  data_close(d);
  CU_ASSERT_EQUAL(data_open_file(&d, &data, NULL, files[3], 1, &e), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "not a sample of x"));
  data.n_args = 3;
  CU_ASSERT_EQUAL(data_open(&d, &data, NULL, 1, &e), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "go together"));
}

static void headers(void) {
#define ORDER "'fortran_order': False"
  static const char *const wrong[][2] = {
      {"", "want '{'"},
      {"{", "want the keys"},
      {"{}", "want all of"},
      {"{'descr': '<f4', " ORDER "}", "want all of"},
      {"{'descr': '<f4', 'descr': '<f4'}", "descr is there twice"},
      {"{'descr': 5}", "descr is not a text"},
      {"{'descr': '<f4' " ORDER "}", "want ',' or '}'"},
      {"{'descr' '<f4'}", "want ':'"},
      {"{" ORDER ", " ORDER "}", "fortran_order is there twice"},
      {"{'fortran_order': 0}", "neither True nor False"},
      {"{'shape': (2,), 'shape': (2,)}", "shape is there twice"},
      {"{'shape': 2}", "not a tuple"},
      {"{'shape': (2)}", "not a tuple"},
      {"{'shape': (2 3)}", "want ',' or ')'"},
      {"{'shape': (-2,)}", "want sizes"},
      {"{'shape': (02,)}", "want sizes"},
      {"{'shape': (1234567890123456789,)}", "want sizes"},
      {"{'shape': (1,1,1,1,1,1,1,1,1,1)}", "more than 9 axes"},
      {"{'colour': 3}", "want the keys"},
      {HEADER(">f4", "(2, 3)"), "descr is none of"},
      {HEADER("<f2", "(2, 3)"), "descr is none of"},
      {HEADER("|O", "(2, 3)"), "descr is none of"},
      {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", "fortran"},
      {HEADER("<f4", "()"), "without an axis"},
      {HEADER("<f4", "(2, 0)"), "axis 1 has size 0"},
      {HEADER("<f4", "(0, 3)"), "axis 0 has size 0"},
      {HEADER("<f4", "(2, 4)"), "24 bytes of elements, but the shape wants 32"},
      {HEADER("<f4", "(2, 2)"), "the shape wants 16"},
      {HEADER("<f4", "(100000000000000000, 100000000000000000)"),
       "too large"},
      {HEADER("<f4", "(2, 3)") " x", "line's end"},
      {HEADER("<f4", "(2, 3)") "\n\n", "line's end"}};
  const char *y = npy("y.npy", 1, HEADER("<i4", "(2,)"), pair, sizeof pair);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    refuse(npy("w.npy", 1, wrong[i][0], six, sizeof six), y, wrong[i][1]);
  const char *odd = npy("w.npy", 3, HEADER("<f4", "(2, 3)"), six, sizeof six);
  refuse(odd, y, "version 3.0");
}

/* A right file cut at every byte, and with bytes that no header has. */
static void cut(void) {
  size_t size;
  char *b = check_read(npy("x.npy", 2, HEADER("<f4", "(2, 3)"), six,
                           sizeof six), &size);
  char path[500];
  const char *y = npy("y.npy", 1, HEADER("<i4", "(2,)"), pair, sizeof pair);
  CU_ASSERT_PTR_NOT_NULL_FATAL(b);
  snprintf(path, sizeof path, "%s", check_path("cut.npy"));
  for (size_t n = 0; n < size; n++) {
    CU_ASSERT(check_write(path, b, n));
    refuse(path, y, "cut.npy");
  }
  b[20] = '\0';
  CU_ASSERT(check_write(path, b, size));
  refuse(path, y, "zero byte");
  b[10] = 1; /* a length of 64 KiB and more */
  CU_ASSERT(check_write(path, b, size));
  refuse(path, y, "more than 10000");
  free(b);
}

static void elements(void) {
  float bad[6] = {1, 2, 3, 4, NAN, 6};
  double large[2] = {0, 1e39};
  int32_t below[2] = {3, -1};
  int64_t wide[2] = {2147483647, 0};
  const char *x = npy("x.npy", 1, HEADER("<f4", "(2, 3)"), six, sizeof six);
  const char *y = npy("y.npy", 1, HEADER("<i4", "(2,)"), pair, sizeof pair);
  refuse(npy("b.npy", 1, HEADER("<f4", "(2, 3)"), bad, sizeof bad), y,
         "b.npy: record 2, value 2: nan");
  bad[4] = -INFINITY;
  refuse(npy("b.npy", 1, HEADER("<f4", "(2, 3)"), bad, sizeof bad), y,
         "b.npy: record 2, value 2: -inf");
  refuse(npy("b.npy", 1, HEADER("<f8", "(2,)"), large, sizeof large), y,
         "b.npy: record 2, value 1: 1e+39");
  refuse(x, npy("b.npy", 1, HEADER("<i4", "(2,)"), below, sizeof below),
         "b.npy: record 2, value 1: -1");
  refuse(x, npy("b.npy", 1, HEADER("<i8", "(2,)"), wide, sizeof wide),
         "b.npy: record 1, value 1: 2147483647");
  refuse(x, npy("b.npy", 1, HEADER("<f4", "(6,)"), six, sizeof six),
         "has 2 records, but");
  refuse(x, "no/such.npy", "no/such.npy: No such file");
  const char *files[4] = {x, y, npy("t.npy", 1, HEADER("<f4", "(2, 1, 3)"),
                                    six, sizeof six), y};
  Dataset *d;
  DataError e;
  CU_ASSERT_EQUAL(open_files(&d, 4, files, &e), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "another shape or type"));
}

void suite_npy(void) {
  static const CheckTest tests[] = {
      {"arrays as numpy writes them", right_ones},
      {"types of elements", types},
      {"normalize(standard) and predict", standard},
      {"broken headers", headers},
      {"a file cut at every byte", cut},
      {"elements that are not right", elements},
      {NULL, NULL}};
  check_suite("npy", tests);
}
