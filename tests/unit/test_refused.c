/* Each reader with each of its allocations refused once: the data set is opened
 * all the same, or the status is 3 and the message says that memory is what
 * lacks. Files are made here, one small set of each kind. */
#include "runtime/data.h"
#include "tests/check.h"
#include "tests/unit/faults.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
/* Needs FILE and size_t, and does not say so. */
#include <jpeglib.h>

static char root[300];

static const char *in(const char *name) {
  static char path[400];
  snprintf(path, sizeof path, "%s/%s", root, name);
  return path;
}

static void write_gz(const char *name, const void *bytes, unsigned n) {
  gzFile f = gzopen(in(name), "wb");
  CU_ASSERT_EQUAL(gzwrite(f, bytes, n), (int)n);
  gzclose(f);
}

static void make_idx(void) {
  write_gz("train-images-idx3-ubyte.gz",
           "\0\0\10\3\0\0\0\2\0\0\0\1\0\0\0\2" "abcd", 20);
  write_gz("train-labels-idx1-ubyte.gz", "\0\0\10\1\0\0\0\2\1\3", 10);
  write_gz("t10k-images-idx3-ubyte.gz",
           "\0\0\10\3\0\0\0\1\0\0\0\1\0\0\0\2" "ef", 18);
  write_gz("t10k-labels-idx1-ubyte.gz", "\0\0\10\1\0\0\0\1\2", 9);
}

static void make_jpeg(const char *path) {
  struct jpeg_compress_struct j;
  struct jpeg_error_mgr errors;
  JSAMPLE row[6] = {1, 2, 3, 4, 5, 6};
  JSAMPROW rows[1] = {row};
  FILE *f = fopen(path, "wb");
  j.err = jpeg_std_error(&errors);
  jpeg_create_compress(&j);
  jpeg_stdio_dest(&j, f);
  j.image_width = 2;
  j.image_height = 1;
  j.input_components = 3;
  j.in_color_space = JCS_RGB;
  jpeg_set_defaults(&j);
  jpeg_start_compress(&j, TRUE);
  jpeg_write_scanlines(&j, rows, 1);
  jpeg_finish_compress(&j);
  jpeg_destroy_compress(&j);
  fclose(f);
}

static void make_images(void) {
  png_image image = {.version = PNG_IMAGE_VERSION,
                     .width = 2,
                     .height = 1,
                     .format = PNG_FORMAT_RGB};
  mkdir(in("set"), 0700);
  mkdir(in("set/a"), 0700);
  mkdir(in("set/b"), 0700);
  make_jpeg(in("set/a/1.jpg"));
  make_jpeg(in("set/a/2.jpg"));
  CU_ASSERT(png_image_write_to_file(&image, in("set/b/1.png"), 0, "abcdef", 0,
                                    NULL));
  CU_ASSERT(png_image_write_to_file(&image, in("set/b/2.png"), 0, "abcdef", 0,
                                    NULL));
}

static void make_files(void) {
  static const char csv[] = "k,x,y\na,1,u\nb,?,v\nc,3,u\na,4,v\n";
  snprintf(root, sizeof root, "%s", check_path("refused"));
  mkdir(root, 0700);
  CU_ASSERT(check_write(in("a.csv"), csv, sizeof csv - 1));
  CU_ASSERT(check_write(in("a.txt"), "to be or not to be", 18));
  make_idx();
  make_images();
}

/* One opening, and a stream if the data set is there; returns the status. */
static int open_all(const char *text, const NetDataEntry *entries, int n,
                    DataError *e) {
  NetData data = {.n_entries = n, .entries = entries};
  Dataset *d;
  int status = data_open(&d, &data, text, 1, e);
  if (!status && n > 1) {
    NetTensor image = {.name = "image", .type = NET_F32, .rank = 4};
    NetFunction f = {.batch = 2, .n_inputs = 1, .inputs = &image};
    DataStream *s = data_stream_new(d, &f, NULL, 1, e);
    status = s ? 0 : e->status;
    data_stream_free(s);
  }
  data_close(d);
  return status;
}

static void refused(void) {
  static const char *const text[] = {
      "csv(\"%s/a.csv\", target = \"y\", test = 1, missing = \"mean\")",
      "csv(\"%s/a.csv\", target = \"y\", test = \"%s/a.csv\", missing = 0)",
      "idx(\"%s\")",
      "images(\"%s/set\", test = 0.5)",
      "images(\"%s/set\", size = [3, 1], channels = 1)",
      "text(\"%s/a.txt\", length = 3, test = 2)",
      "shapes(train = 20, test = 2)"};
  const double one = 1, third = 1 / 3.0;
  const NetArg arg = {.name = "", .n_numbers = 1, .numbers = &one};
  const NetArg share = {.name = "", .n_numbers = 1, .numbers = &third};
  const NetDataEntry entries[3] = {{"validation", 0, 1, &share},
                                   {"crop", 1, 1, &arg},
                                   {"jitter", 1, 1, &arg}};
  make_files();
  for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
    char whole[900];
    DataError e = {.status = 0};
    int n = !strncmp(text[i], "idx", 3) || !strncmp(text[i], "images", 6) ||
                    !strncmp(text[i], "shapes", 6)
                ? 3 : 1;
    snprintf(whole, sizeof whole, text[i], root, root);
    faults_arm_memory(-1);
    int status = open_all(whole, entries, n, &e), calls = faults_allocations();
    check_that(status == 0, "%s: %s", whole, e.text);
    for (int at = 0; at < calls; at++) {
      faults_arm_memory(at);
      status = open_all(whole, entries, n, &e);
      faults_arm_memory(-1);
      check_that(status == 0 || (status == 3 && strstr(e.text, "memory")),
                 "%s: allocation %d of %d: %d, '%s'", whole, at, calls, status,
                 e.text);
    }
  }
}

void suite_refused(void) {
  static const CheckTest tests[] = {{"each allocation", refused}, {NULL, NULL}};
  check_suite("refused", tests);
}
