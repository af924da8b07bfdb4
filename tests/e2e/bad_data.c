/* What trust means for data: whatever is wrong with a file is told before step 1,
 * by file, record and value, with exit 1; nothing is trained and nothing written.
 * A row for each kind of fault of each reader; the readers' own tests go through
 * their messages one by one. */
#include "tests/check.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD = 3073, TOLD = 3 };

typedef struct Case {
  const char *what, *data, *net, *loss; /* data: %s is the folder */
  const char *file;               /* is replaced by */
  const char *bytes;
  size_t n;
  const char *told[TOLD]; /* file, record, value; NULL: none */
} Case;

#define BYTES(s) s, sizeof s - 1
#define CIFAR \
  "cifar10(\"%s\")", "flatten -> linear(10)", "cross_entropy(m(image), label)"
#define IDX \
  "idx(\"%s\")", "flatten -> linear(10)", "cross_entropy(m(image), label)"
#define CSV \
  "csv(\"%s/a.csv\", target = \"y\")", "linear(1)", \
  "squared_error(m(features), target)"
#define NPY \
  "npy(\"%s/x.npy\", \"%s/y.npy\")", "linear(2)", "cross_entropy(m(x), y)"
#define IMAGES \
  "images(\"%s/set\")", "flatten -> linear(2)", "cross_entropy(m(image), label)"
#define TEXT \
  "text(\"%s/a.txt\", length = 2)", "linear(7)", \
  "cross_entropy(m(onehot(ids)), label)"
/* 128 bytes, of version 1. */
#define NPY_HEAD(shape) \
  "\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, 'shape': " \
  shape ", }" SPACES "\n"
#define SPACES "                                                          "
_Static_assert(sizeof NPY_HEAD("(2, 1)") == 128 + 1, "a header of 128 bytes");
#define NAN_F4 "\0\0\xc0\x7f"
#define ONE_F4 "\0\0\x80\x3f"

static const Case cases[] = {
    {"nothing", CIFAR, NULL, NULL, 0, {NULL}},
    {"nothing", IDX, NULL, NULL, 0, {NULL}},
    {"nothing", CSV, NULL, NULL, 0, {NULL}},
    {"nothing", NPY, NULL, NULL, 0, {NULL}},
    {"nothing", TEXT, NULL, NULL, 0, {NULL}},
    {"a record cut short", CIFAR, "data_batch_1.bin", BYTES("\1abc"),
     {"data_batch_1.bin", "record 1 is cut short", "4 bytes of 3073"}},
    {"no record", CIFAR, "test_batch.bin", BYTES(""),
     {"test_batch.bin", "empty"}},
    {"a file that is not there", CIFAR, "test_batch.bin", NULL, 0,
     {"no test_batch.bin"}},
    {"another kind of file", IDX, "train-images-idx3-ubyte",
     BYTES("PK\3\4abcdefghijklmn"), {"train-images-idx3-ubyte", "begins with 50 4b 03 04"}},
    {"fewer records than it says", IDX, "train-images-idx3-ubyte",
     BYTES("\0\0\10\3\0\0\0\2\0\0\0\1\0\0\0\2abc"),
     {"train-images-idx3-ubyte", "cut short"}},
    {"more records than it says", IDX, "train-images-idx3-ubyte",
     BYTES("\0\0\10\3\0\0\0\2\0\0\0\1\0\0\0\2abcde"),
     {"train-images-idx3-ubyte", "goes on behind its 2 records"}},
    {"billions of records", IDX, "train-images-idx3-ubyte",
     BYTES("\0\0\10\3\x7f\xff\xff\xff\0\0\1\0\0\0\1\0abcd"),
     {"train-images-idx3-ubyte has 2147483647 records", "has 2"}},
    {"a label out of range", IDX, "train-labels-idx1-ubyte",
     BYTES("\0\0\10\1\0\0\0\2\1\12"),
     {"train-labels-idx1-ubyte", "record 2", "label 10"}},
    {"two numbers of records", IDX, "train-labels-idx1-ubyte",
     BYTES("\0\0\10\1\0\0\0\3\1\2\3"),
     {"train-images-idx3-ubyte has 2", "train-labels-idx1-ubyte has 3"}},
    {"pictures of two sizes", IDX, "t10k-images-idx3-ubyte",
     BYTES("\0\0\10\3\0\0\0\2\0\0\0\2\0\0\0\2abcdefgh"),
     {"t10k-images-idx3-ubyte", "2 x 2", "1 x 2"}},
    {"a ragged row", CSV, "a.csv", BYTES("a,b,y\n1,2,3\n4,5\n"),
     {"a.csv", "record 2 (line 3)", "2 values"}},
    {"a missing value", CSV, "a.csv", BYTES("a,b,y\n1,2,3\n4,,5\n"),
     {"a.csv", "record 2 (line 3), column 2 (b)", "is missing"}},
    {"NaN in a table", CSV, "a.csv", BYTES("a,b,y\n1,2,3\n4,nan,5\n"),
     {"a.csv", "record 2 (line 3), column 2 (b)", "'nan' is missing"}},
    {"an infinity in a table", CSV, "a.csv", BYTES("a,b,y\n1,2,3\n4,inf,5\n"),
     {"a.csv", "record 2 (line 3), column 2 (b)", "'inf' is not a number"}},
    {"a word among numbers", CSV, "a.csv", BYTES("a,b,y\n1,2,3\n4,5x,5\n"),
     {"a.csv", "record 2 (line 3), column 2 (b)", "'5x' is not a number"}},
    {"a number that f32 has not", CSV, "a.csv", BYTES("a,b,y\n1,2,3\n4,1e39,5\n"),
     {"a.csv", "record 2 (line 3), column 2 (b)", "1e39 is too large"}},
    {"quotes that do not end", CSV, "a.csv", BYTES("a,b,y\n1,2,3\n4,\"5,5\n"),
     {"a.csv", "line 3", "quotes do not end"}},
    {"a column that is not there", CSV, "a.csv", BYTES("a,b,z\n1,2,3\n"),
     {"a.csv", "no column 'y'"}},
    {"a zero byte", CSV, "a.csv", BYTES("a,b,y\n1,2,3\n4,5\0,5\n"),
     {"a.csv", "line 3", "zero byte"}},
    {"no array", NPY, "x.npy", BYTES("hello"), {"x.npy", "not an .npy file"}},
    {"fewer elements than its shape", NPY, "x.npy",
     BYTES(NPY_HEAD("(2, 1)") ONE_F4),
     {"x.npy", "4 bytes of elements, but the shape wants 8"}},
    {"NaN in an array", NPY, "x.npy", BYTES(NPY_HEAD("(2, 1)") ONE_F4 NAN_F4),
     {"x.npy", "record 2, value 1", "nan is not a number"}},
    {"arrays of two lengths", NPY, "x.npy",
     BYTES(NPY_HEAD("(3, 1)") ONE_F4 ONE_F4 ONE_F4),
     {"x.npy has 3 records", "y.npy has 2"}},
    {"no picture", IMAGES, "set/a/1.png", BYTES("hello, world"),
     {"set/a/1.png", "begins as neither PNG nor JPEG"}},
    {"a picture cut short", IMAGES, "set/a/1.png", BYTES("\x89PNG\r\n\x1a\n\0\0"),
     {"set/a/1.png", "damaged or cut short"}},
    {"a photograph cut short", IMAGES, "set/a/1.png", BYTES("\xff\xd8\xff\xe0\0"),
     {"set/a/1.png", "damaged or cut short"}},
    {"a file among folders", IMAGES, "set/c", BYTES("x"),
     {"set/c", "not a folder of a class"}},
    {"bytes that are no text", TEXT, "a.txt", BYTES("ab\ncd\xff" "e"),
     {"a.txt", "line 2, character 6", "0xff"}},
    {"too short a text", "text(\"%s/a.txt\")", "linear(7)",
     "cross_entropy(m(onehot(ids)), label)", "a.txt", BYTES("to be or not"),
     {"a.txt", "12 characters are too few for pieces of 64"}},
    {"an empty text", TEXT, "a.txt", BYTES(""), {"a.txt", "empty"}},
};

static char folder[256];

static void put(const char *name, const void *bytes, size_t n) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  check_write(path, bytes, n);
}

static void put_folder(const char *name) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  mkdir(path, 0700);
}

/* Of each reader a set without a fault. */
static void put_all(void) {
  static const char images[] = "\0\0\10\3\0\0\0\2\0\0\0\1\0\0\0\2abcd";
  static const char labels[] = "\0\0\10\1\0\0\0\2\1\3";
  static const char x[] = NPY_HEAD("(2, 1)") ONE_F4 ONE_F4;
  static char record[2 * RECORD], y[128 + 8];
  const char *gone[] = {"set/c"};
  char path[400];
  snprintf(folder, sizeof folder, "%s", check_path("bad"));
  mkdir(folder, 0700);
  put("data_batch_1.bin", record, sizeof record);
  put("test_batch.bin", record, RECORD);
  put("train-images-idx3-ubyte", images, sizeof images - 1);
  put("train-labels-idx1-ubyte", labels, sizeof labels - 1);
  put("t10k-images-idx3-ubyte", images, sizeof images - 1);
  put("t10k-labels-idx1-ubyte", labels, sizeof labels - 1);
  put("a.csv", "a,b,y\n1,2,3\n4,5,6\n", 18);
  memcpy(y, x, 128);
  memcpy(strstr(y + 10, "<f4"), "<i4", 3);
  memcpy(strstr(y + 10, "(2, 1)"), "(2,)  ", 6);
  y[132] = 1; /* classes 0 and 1 */
  put("x.npy", x, sizeof x - 1);
  put("y.npy", y, sizeof y);
  put("a.txt", "to be or not", 12);
  put_folder("set");
  put_folder("set/a");
  put_folder("set/b");
  put("set/b/1.png", "no picture, never read", 22);
  snprintf(path, sizeof path, "%s/%s", folder, gone[0]);
  unlink(path);
}

static Run run(const Case *c, const char *save) {
  char text[2048], reader[900];
  snprintf(reader, sizeof reader, c->data, folder, folder);
  int n = snprintf(text, sizeof text,
                   "data %s\nnet m(x: [..]) { x -> %s }\n"
                   "train { loss = %s; optimizer = sgd(lr = 0.1) }\n", reader,
                   c->net, c->loss);
  const char *path = check_path("bad.net");
  check_write(path, text, (size_t)n);
  const char *const argv[] = {check_netc(), "run", path, "--quiet", "--save",
                              save, NULL};
  return check_run(30, argv);
}

static void test_cases(void) {
  char save[256], path[400];
  snprintf(save, sizeof save, "%s", check_path("bad.st"));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const Case *c = &cases[i];
    put_all();
    snprintf(path, sizeof path, "%s/%s", folder, c->file ? c->file : "none");
    unlink(path);
    unlink(save);
    if (c->bytes) put(c->file, c->bytes, c->n);
    Run r = run(c, save);
    bool told = r.status == (c->file != NULL);
    for (int k = 0; k < TOLD; k++)
      told = told && (!c->told[k] || strstr(r.err, c->told[k]));
    check_that(told, "%s: exit %d\n%.500s", c->what, r.status, r.err);
    check_that(!c->file || (!strstr(r.out, "loss") && access(save, F_OK)),
               "%s: it trains all the same", c->what);
    run_free(&r);
  }
}

static const CheckTest tests[] = {{"each reader, each fault", test_cases},
                                  {NULL, NULL}};

void suite_bad_data(void);
void suite_bad_data(void) {
  check_suite("bad_data", tests);
}
