/* The reader idx: files as MNIST has them, plain and packed, and files that are
 * not right. Each of those must give status 1 and a message that names the file,
 * and the record and value where it is one of these that is wrong. */
#include "runtime/data.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { HEIGHT = 3, WIDTH = 2, ROWS = 4, TEST_ROWS = 2 };

static const char *in(const char *name) {
  static char path[4][600];
  static int turn;
  char *p = path[turn++ % 4];
  snprintf(p, sizeof path[0], "%s/%s", check_path("idx"), name);
  return p;
}

static const char *const names[4] = {
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

typedef struct Bytes {
  uint8_t b[64];
  size_t n;
} Bytes;

static void put32(Bytes *b, uint32_t v) {
  for (int i = 24; i >= 0; i -= 8)
    b->b[b->n++] = (uint8_t)(v >> i);
}

/* One of the four files: pixel k of record i is 10 i + k, its label i + 1. */
static Bytes make(int which) {
  Bytes b = {.n = 0};
  uint32_t rows = which < 2 ? ROWS : TEST_ROWS;
  put32(&b, which % 2 ? 0x0801 : 0x0803);
  put32(&b, rows);
  if (which % 2 == 0) {
    put32(&b, HEIGHT);
    put32(&b, WIDTH);
  }
  for (uint32_t i = 0; i < rows; i++)
    for (uint32_t k = 0; k < (which % 2 ? 1 : HEIGHT * WIDTH); k++)
      b.b[b.n++] = (uint8_t)(which % 2 ? i + 1 : 10 * i + k);
  return b;
}

static void write_bytes(int which, const Bytes *b) {
  CU_ASSERT(check_write(in(names[which]), b->b, b->n));
}

static void write_all(void) {
  mkdir(check_path("idx"), 0700);
  for (int i = 0; i < 4; i++) {
    Bytes b = make(i);
    write_bytes(i, &b);
  }
}

/* Packs a file and removes the plain one; returns the packed size. */
static size_t pack(int which) {
  char path[640];
  size_t n = 0;
  char *bytes = check_read(in(names[which]), &n);
  snprintf(path, sizeof path, "%s.gz", in(names[which]));
  gzFile f = gzopen(path, "wb");
  CU_ASSERT_EQUAL(gzwrite(f, bytes, (unsigned)n), (int)n);
  gzclose(f);
  free(bytes);
  unlink(in(names[which]));
  free(check_read(path, &n));
  return n;
}

static int open_folder(Dataset **d, double classes, DataError *e) {
  NetArg args[2] = {{.name = "", .string = check_path("idx")},
                    {.name = "classes", .n_numbers = 1, .numbers = &classes}};
  NetData data = {.reader = "idx", .n_args = 2, .args = args};
  return data_open(d, &data, NULL, 1, e);
}

static void refuse(const char *piece) {
  Dataset *d;
  DataError e;
  int status = open_folder(&d, 10, &e);
  check_that(status == 1 && !d && strstr(e.text, piece),
             "status %d, want '%s' in: %s", status, piece, e.text);
  data_close(d);
}

static void check_contents(void) {
  Dataset *d;
  DataError e;
  int status = open_folder(&d, 10, &e);
  if (!check_that(status == 0, "%s", e.text))
    return;
  const uint8_t *pixel = d->split[DATA_TRAIN].column[0];
  const int32_t *label = data_labels(d, DATA_TEST, "label");
  CU_ASSERT_EQUAL(d->split[DATA_TRAIN].rows, ROWS);
  CU_ASSERT_EQUAL(d->split[DATA_TEST].rows, TEST_ROWS);
  CU_ASSERT(pixel[0] == 0 && pixel[3 * HEIGHT * WIDTH + 5] == 35);
  CU_ASSERT(label[0] == 1 && label[1] == 2);
  CU_ASSERT(d->column[0].field.dim[1] == HEIGHT &&
            d->column[0].field.dim[2] == WIDTH);
  data_close(d);
}

static void right_ones(void) {
  write_all();
  check_contents();
  for (int i = 0; i < 4; i++)
    pack(i);
  check_contents();
}

/* What `netc check` knows without the files. */
static void fields(void) {
  NetField f[NET_FIELDS];
  int n;
  char message[100];
  NetArg arg = {.name = "", .string = "no/such"};
  NetData data = {.reader = "idx", .n_args = 1, .args = &arg};
  CU_ASSERT(net_data_fields(&data, NULL, f, &n, message, sizeof message));
  CU_ASSERT(n == 2 && f[0].rank == 3 && f[0].dim[0] == 1 &&
            f[0].dim[1] == 28 && f[0].dim[2] == 28);
  CU_ASSERT(f[1].type == NET_I32 && f[1].classes == 10);
  write_all();
  arg.string = check_path("idx");
  CU_ASSERT(net_data_fields(&data, NULL, f, &n, message, sizeof message));
  CU_ASSERT(f[0].dim[1] == HEIGHT && f[0].dim[2] == WIDTH);
}

static void broken(void) {
  Bytes b;
  for (int i = 0; i < 4; i++) {
    char path[640];
    snprintf(path, sizeof path, "%s.gz", in(names[i]));
    unlink(path);
    unlink(in(names[i]));
  }
  refuse("train-images-idx3-ubyte: No such file");
  write_all();
  for (int i = 0; i < 4; i++) { /* cut at every byte, or one too long */
    Bytes whole = b = make(i);
    for (b.n = 0; b.n < whole.n; b.n++) {
      write_bytes(i, &b);
      refuse(names[i]);
    }
    b.n++;
    write_bytes(i, &b);
    refuse("goes on behind its");
    write_bytes(i, &whole);
  }
  b = make(0);
  b.b[3] = 1;
  write_bytes(0, &b);
  refuse("begins with 00 00 08 01, not 00 00 08 03: no file of pictures");
  b = make(0);
  memset(b.b + 4, 0xff, 4);
  write_bytes(0, &b);
  refuse("train-images-idx3-ubyte has 4294967295 records, but");
  b = make(0);
  b.b[10] = 0xff;
  write_bytes(0, &b);
  refuse("pictures of 65283 x 2");
  b = make(0);
  write_bytes(0, &b);
  b = make(1);
  b.b[8 + 2] = 10;
  write_bytes(1, &b);
  refuse("train-labels-idx1-ubyte: record 3: label 10, but the classes are 0 "
         "to 9");
  b = make(1);
  memset(b.b + 4, 0, 4);
  b.n = 8;
  write_bytes(1, &b);
  refuse("has 4 records, but");
  b = make(0);
  memset(b.b + 4, 0, 4);
  b.n = 16;
  write_bytes(0, &b);
  refuse("train-images-idx3-ubyte: no records");
  b = make(0);
  write_bytes(0, &b);
  b = make(1);
  write_bytes(1, &b);
  b = make(2);
  b.b[11] = WIDTH;
  b.b[15] = HEIGHT;
  write_bytes(2, &b);
  refuse("t10k-images-idx3-ubyte: pictures of 2 x 3, but those to train on are"
         " 3 x 2");
}

/* A packed file, cut and changed at every byte: never read as if it were
 * right. (The first ten bytes are gzip's header, of which some say nothing.) */
static void broken_packed(void) {
  char path[640];
  size_t n;
  write_all();
  pack(0);
  snprintf(path, sizeof path, "%s.gz", in(names[0]));
  uint8_t *whole = (uint8_t *)check_read(path, &n);
  for (size_t i = 0; i < n; i++) {
    CU_ASSERT(check_write(path, whole, i));
    refuse(names[0]);
  }
  for (size_t i = 10; i < n; i++) {
    whole[i] ^= 0xff;
    CU_ASSERT(check_write(path, whole, n));
    refuse(names[0]);
    whole[i] ^= 0xff;
  }
  free(whole);
}

/* A small packed file whose header claims to be huge. */
static void too_much(void) {
  Bytes b = make(0);
  write_all();
  b.b[4] = 0x7f;
  b.b[10] = b.b[14] = 0x0f;
  write_bytes(0, &b);
  pack(0);
  Bytes l = make(1);
  l.b[4] = 0x7f;
  write_bytes(1, &l);
  refuse("cut short: the header says 2130706436 records");
}

void suite_idx(void) {
  static const CheckTest tests[] = {
      {"plain and packed files", right_ones},
      {"fields without files", fields},
      {"broken files", broken},
      {"broken packed files", broken_packed},
      {"a header that claims too much", too_much},
      {NULL, NULL}};
  check_suite("idx", tests);
}
