/* The reader images: folders of classes, PNG and JPEG in the forms that they
 * have, resizing, and what is not right: folders, and files that are cut,
 * damaged or too large. Each must give status 1 and a message that names the
 * file, and no damaged one may do worse than that. */
#include "runtime/images.h"
#include "tests/check.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
/* Needs FILE and size_t, and does not say so. */
#include <jpeglib.h>

/* root/a/b, one of a few in turn. */
static const char *in(const char *a, const char *b) {
  static char path[4][700];
  static int turn;
  char *p = path[turn++ % 4];
  snprintf(p, sizeof path[0], "%s/%s%s%s", check_path("images"), a,
           *b ? "/" : "", b);
  return p;
}

/* ---- making pictures ---- */

static void write_png(const char *path, png_uint_32 format, int height,
                      int width, const void *pixels, const void *map,
                      int colours) {
  png_image image = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)width,
                     .height = (png_uint_32)height,
                     .format = format,
                     .colormap_entries = (png_uint_32)colours};
  CU_ASSERT(png_image_write_to_file(&image, path, 0, pixels, 0, map));
  png_image_free(&image);
}

static void write_grey(const char *path, uint8_t v) {
  write_png(path, PNG_FORMAT_GRAY, 1, 1, &v, NULL, 0);
}

/* A picture of one colour, which JPEG keeps nearly as it is. */
static void write_jpeg(const char *path, int height, int width,
                       const uint8_t *pixel, int channels, bool progressive) {
  struct jpeg_compress_struct j;
  struct jpeg_error_mgr errors;
  FILE *f = fopen(path, "wb");
  uint8_t *row = malloc((size_t)(width * channels));
  JSAMPROW rows[1] = {row};
  j.err = jpeg_std_error(&errors);
  jpeg_create_compress(&j);
  jpeg_stdio_dest(&j, f);
  j.image_width = (JDIMENSION)width;
  j.image_height = (JDIMENSION)height;
  j.input_components = channels;
  j.in_color_space = channels == 1   ? JCS_GRAYSCALE
                     : channels == 3 ? JCS_RGB
                                     : JCS_CMYK;
  jpeg_set_defaults(&j);
  jpeg_set_quality(&j, 100, TRUE);
  if (progressive)
    jpeg_simple_progression(&j);
  jpeg_start_compress(&j, TRUE);
  for (int x = 0; x < width; x++)
    memcpy(row + x * channels, pixel, (size_t)channels);
  for (int y = 0; y < height; y++)
    jpeg_write_scanlines(&j, rows, 1);
  jpeg_finish_compress(&j);
  jpeg_destroy_compress(&j);
  free(row);
  fclose(f);
}

/* ---- opening ---- */

static int open_images(Dataset **d, const char *dir, const char *rest,
                       DataError *e) {
  char text[900];
  NetData none = {.reader = NULL};
  snprintf(text, sizeof text, "images(\"%s\"%s)", dir, rest);
  return data_open(d, &none, text, 1, e);
}

static Dataset *read_images(const char *dir, const char *rest) {
  Dataset *d;
  DataError e;
  int status = open_images(&d, dir, rest, &e);
  check_that(status == 0, "%s: %s", rest, e.text);
  return d;
}

static void refuse(const char *dir, const char *rest, const char *piece) {
  Dataset *d;
  DataError e;
  int status = open_images(&d, dir, rest, &e);
  check_that(status == 1 && !d && strstr(e.text, piece),
             "status %d, want '%s' in: %s", status, piece, e.text);
  data_close(d);
}

/* Decodes and resizes one file. */
static bool read_one(const char *path, int channels, int height, int width,
                     uint8_t *to, DataError *e) {
  Image m = {.channels = channels};
  FILE *f = fopen(path, "rb");
  bool png = getc(f) == 0x89;
  rewind(f);
  *e = (DataError){.status = 0};
  bool ok = png ? image_png(f, path, &m, e) : image_jpeg(f, path, &m, e);
  fclose(f);
  ok = ok && image_resize(&m, height, width, to, e);
  free(m.pixels);
  return ok;
}

static void expect(const char *path, int channels, int height, int width,
                   const uint8_t *want, int within) {
  uint8_t got[64];
  DataError e;
  int n = channels * height * width;
  if (!check_that(read_one(path, channels, height, width, got, &e), "%s",
                  e.text))
    return;
  for (int i = 0; i < n; i++)
    check_that(abs(got[i] - want[i]) <= within, "%s: byte %d is %d, not %d",
               path, i, got[i], want[i]);
}

static void forms(void) {
  const uint8_t rgb[12] = {1, 2, 3, 40, 50, 60, 7, 8, 9, 255, 0, 128};
  const uint8_t planes[12] = {1, 40, 7, 255, 2, 50, 8, 0, 3, 60, 9, 128};
  const uint8_t grey[4] = {0, 100, 200, 255}, index[4] = {0, 1, 2, 1};
  const uint8_t map[9] = {9, 8, 7, 60, 50, 40, 1, 1, 1};
  const uint8_t mapped[12] = {9, 60, 1, 60, 8, 50, 1, 50, 7, 40, 1, 40};
  const uint8_t alpha[16] = {1,  2, 3, 255, 40,  50, 60, 255,
                             7,  8, 9, 255, 255, 0,  128, 255};
  uint8_t three[12];
  mkdir(check_path("images"), 0700);
  const char *path = in("form.png", "");
  write_png(path, PNG_FORMAT_RGB, 2, 2, rgb, NULL, 0);
  expect(path, 3, 2, 2, planes, 0);
  write_png(path, PNG_FORMAT_RGBA, 2, 2, alpha, NULL, 0);
  expect(path, 3, 2, 2, planes, 0);
  write_png(path, PNG_FORMAT_RGB_COLORMAP, 2, 2, index, map, 3);
  expect(path, 3, 2, 2, mapped, 0);
  write_png(path, PNG_FORMAT_GRAY, 2, 2, grey, NULL, 0);
  expect(path, 1, 2, 2, grey, 0);
  for (int i = 0; i < 12; i++)
    three[i] = grey[i % 4];
  expect(path, 3, 2, 2, three, 0);
  /* 0.2126 r + 0.7152 g + 0.0722 b of a grey is that grey. */
  write_png(path, PNG_FORMAT_RGB, 1, 1, (uint8_t[]){77, 77, 77}, NULL, 0);
  expect(path, 1, 1, 1, (uint8_t[]){77}, 1);
  path = in("form.jpg", "");
  for (int progressive = 0; progressive < 2; progressive++) {
    write_jpeg(path, 9, 17, (uint8_t[]){200, 100, 50}, 3, progressive);
    expect(path, 3, 1, 1, (uint8_t[]){200, 100, 50}, 3);
    write_jpeg(path, 9, 17, (uint8_t[]){90}, 1, progressive);
    expect(path, 1, 1, 1, (uint8_t[]){90}, 2);
    expect(path, 3, 1, 1, (uint8_t[]){90, 90, 90}, 2);
  }
  /* What a file is called does not say what it is. */
  mkdir(in("odd", ""), 0700);
  mkdir(in("odd", "a"), 0700);
  mkdir(in("odd", "b"), 0700);
  write_jpeg(in("odd", "a/x.png"), 5000, 1, grey, 1, false);
  write_jpeg(in("odd", "b/x.JPEG"), 1, 1, grey, 1, false);
  refuse(in("odd", ""), "", "a/x.png: 5000 x 1 pixels; say size");
  data_close(read_images(in("odd", ""), ", size = 2"));
}

static void sizes(void) {
  const uint8_t four[4] = {0, 100, 200, 60}, mean[1] = {90};
  const uint8_t row[4] = {10, 20, 30, 40}, half[2] = {16, 34};
  /* Twice as wide: a quarter of the way between two pixels, and the rest. */
  const uint8_t twice[4] = {0, 25, 75, 100};
  const char *path = in("size.png", "");
  mkdir(check_path("images"), 0700);
  write_png(path, PNG_FORMAT_GRAY, 2, 2, four, NULL, 0);
  expect(path, 1, 1, 1, mean, 0);
  write_png(path, PNG_FORMAT_GRAY, 1, 2, four, NULL, 0);
  expect(path, 1, 1, 4, twice, 0);
  /* Weights 3 3 1 of a width of 4, which the border cuts: (30 + 60 + 30) / 7. */
  write_png(path, PNG_FORMAT_GRAY, 1, 4, row, NULL, 0);
  expect(path, 1, 1, 2, half, 1);
}

/* images/NAME with classes b, a10 and a9 of 4, 2 and 2 pictures. */
static void make_folder(const char *name) {
  static const char *const file[] = {"b/1.png",   "b/2.PNG",   "b/3.png",
                                     "b/4.png",   "a9/x.png",  "a9/y.png",
                                     "a10/x.png", "a10/y.png", "b/.hidden"};
  mkdir(check_path("images"), 0700);
  mkdir(in(name, ""), 0700);
  mkdir(in(name, "b"), 0700);
  mkdir(in(name, "a9"), 0700);
  mkdir(in(name, "a10"), 0700);
  for (int i = 0; i < 9; i++)
    write_grey(in(name, file[i]), (uint8_t)(10 * i));
}

static void folders(void) {
  char buffer[24];
  make_folder("set");
  Dataset *d = read_images(in("set", ""), ", channels = 1, test = 3");
  if (!d)
    return;
  const uint8_t *x = d->split[DATA_TRAIN].column[0];
  const int32_t *y = data_labels(d, DATA_TRAIN, "label");
  const uint8_t *test = d->split[DATA_TEST].column[0];
  CU_ASSERT_EQUAL_FATAL(d->split[DATA_TRAIN].rows, 5);
  CU_ASSERT_EQUAL_FATAL(d->split[DATA_TEST].rows, 3);
  /* a10, a9, b; of each the first are to train on: 1.5 of 4, .75 of 2. */
  CU_ASSERT_EQUAL(memcmp(x, (uint8_t[]){60, 40, 0, 10, 20}, 5), 0);
  CU_ASSERT_EQUAL(memcmp(test, (uint8_t[]){70, 50, 30}, 3), 0);
  CU_ASSERT(y[0] == 0 && y[1] == 1 && y[2] == 2);
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 0, buffer), "a10");
  data_close(d);
  d = read_images(in("set", ""), ", size = [2, 3]");
  if (!d)
    return;
  const int64_t *dim = d->column[0].field.dim;
  CU_ASSERT(dim[0] == 3 && dim[1] == 2 && dim[2] == 3);
  CU_ASSERT_EQUAL(d->split[DATA_TRAIN].rows, 8);
  data_close(d);
}

static void two_parts(void) {
  mkdir(check_path("images"), 0700);
  mkdir(in("parts", ""), 0700);
  make_folder("parts/train");
  mkdir(in("parts/test", ""), 0700);
  mkdir(in("parts/test", "b"), 0700);
  write_grey(in("parts/test", "b/z.png"), 200);
  Dataset *d = read_images(in("parts", ""), ", channels = 1");
  if (!d)
    return;
  const uint8_t *test = d->split[DATA_TEST].column[0];
  CU_ASSERT_EQUAL(d->split[DATA_TRAIN].rows, 8);
  CU_ASSERT_EQUAL(d->split[DATA_TEST].rows, 1);
  CU_ASSERT(test[0] == 200 && data_labels(d, DATA_TEST, "label")[0] == 2);
  data_close(d);
  refuse(in("parts", ""), ", test = 2", "but there is the folder");
  mkdir(in("parts/test", "c"), 0700);
  write_grey(in("parts/test", "c/z.png"), 200);
  refuse(in("parts", ""), "", "test/c: no class to train on has this name");
}

static void broken_folders(void) {
  mkdir(check_path("images"), 0700);
  refuse(in("none", ""), "", "none: No such file");
  mkdir(in("bad", ""), 0700);
  refuse(in("bad", ""), "", "bad: no folders of pictures");
  write_grey(in("bad", "x.png"), 1);
  refuse(in("bad", ""), "", "bad/x.png: not a folder of a class");
  unlink(in("bad", "x.png"));
  mkdir(in("bad", "one"), 0700);
  refuse(in("bad", ""), "", "one: a class without pictures");
  write_grey(in("bad", "one/x.png"), 1);
  refuse(in("bad", ""), "", "bad: one class alone");
  mkdir(in("bad", "two"), 0700);
  write_grey(in("bad", "two/x.png"), 1);
  write_grey(in("bad", "two/x.txt"), 1);
  refuse(in("bad", ""), "", "two/x.txt: neither .png nor .jpg");
  unlink(in("bad", "two/x.txt"));
  check_write(in("bad", "two/x.png"), "GIF89a", 6);
  refuse(in("bad", ""), "", "two/x.png: begins as neither PNG nor JPEG");
  refuse(in("bad", ""), ", size = [1, 2, 3]", "size is [height, width]");
  refuse(in("bad", ""), ", size = 1.5", "whole numbers");
  refuse(in("bad", ""), ", size = 5000", "not between 1 and 4096");
  refuse(in("bad", ""), ", channels = 2", "channels is 1 or 3");
}

/* Cuts the file at every byte, and changes every byte: what is cut is refused,
 * what is changed may be read, since most pictures are possible. */
static void damage(const char *path) {
  size_t n = 0;
  uint8_t pixels[3];
  DataError e;
  uint8_t *whole = (uint8_t *)check_read(path, &n);
  for (size_t i = 2; i < n; i++) {
    CU_ASSERT(check_write(path, whole, i));
    bool ok = read_one(path, 3, 1, 1, pixels, &e);
    check_that(!ok && strstr(e.text, path), "%s of %zu bytes: %s", path, i,
               ok ? "read" : e.text);
  }
  for (size_t i = 2; i < n; i++) {
    whole[i] ^= 0xff;
    CU_ASSERT(check_write(path, whole, n));
    if (!read_one(path, 3, 1, 1, pixels, &e))
      check_that(e.status && strstr(e.text, path), "byte %zu: %s", i, e.text);
    whole[i] ^= 0xff;
  }
  free(whole);
}

static void broken_pictures(void) {
  uint8_t pixels[3 * 5 * 7];
  DataError e;
  const char *png = in("damage.png", ""), *jpeg = in("damage.jpg", "");
  mkdir(check_path("images"), 0700);
  for (size_t i = 0; i < sizeof pixels; i++)
    pixels[i] = (uint8_t)(37 * i);
  write_png(png, PNG_FORMAT_RGB, 5, 7, pixels, NULL, 0);
  damage(png);
  write_jpeg(jpeg, 9, 9, pixels, 3, false);
  damage(jpeg);
  write_jpeg(jpeg, 9, 9, pixels, 3, true);
  damage(jpeg);
  write_jpeg(jpeg, 9, 9, pixels, 4, false);
  CU_ASSERT(!read_one(jpeg, 3, 1, 1, pixels, &e));
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "CMYK"));
}

/* Headers that claim 30000 x 30000 pixels. */
static void too_large(void) {
  size_t n = 0;
  uint8_t pixel[3] = {1, 2, 3};
  DataError e;
  const char *png = in("large.png", ""), *jpeg = in("large.jpg", "");
  mkdir(check_path("images"), 0700);
  write_png(png, PNG_FORMAT_RGB, 1, 1, pixel, NULL, 0);
  uint8_t *b = (uint8_t *)check_read(png, &n);
  b[18] = b[22] = 30000 >> 8;
  uLong sum = crc32(0, b + 12, 17);
  for (int i = 0; i < 4; i++)
    b[29 + i] = (uint8_t)(sum >> (24 - 8 * i));
  CU_ASSERT(check_write(png, b, n));
  CU_ASSERT(!read_one(png, 3, 1, 1, pixel, &e));
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "pixels are too many"));
  free(b);
  write_jpeg(jpeg, 1, 1, pixel, 3, false);
  b = (uint8_t *)check_read(jpeg, &n);
  for (size_t i = 0; i + 9 < n; i++)
    if (b[i] == 0xff && b[i + 1] == 0xc0) /* the header of the frame */
      b[i + 5] = b[i + 7] = 30000 >> 8;
  CU_ASSERT(check_write(jpeg, b, n));
  CU_ASSERT(!read_one(jpeg, 3, 1, 1, pixel, &e));
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "pixels are too many"));
  free(b);
}

static void fields(void) {
  NetField f[NET_FIELDS];
  int n;
  char text[900], message[300];
  NetData none = {.reader = NULL};
  make_folder("set");
  snprintf(text, sizeof text, "images(\"%s\", size = 6)", in("set", ""));
  CU_ASSERT(net_data_fields(&none, text, f, &n, message, sizeof message));
  CU_ASSERT(n == 2 && f[0].dim[0] == 3 && f[0].dim[1] == 6 &&
            f[0].dim[2] == 6 && f[1].classes == 3);
  CU_ASSERT(!net_data_fields(&none, "images(\"no/such\")", f, &n, message,
                             sizeof message));
  CU_ASSERT_STRING_EQUAL(message, "no/such: No such file or directory");
}

static void one_file(void) {
  char text[900], path[700];
  NetData none = {.reader = NULL};
  Dataset *d;
  DataError e;
  make_folder("set");
  snprintf(text, sizeof text, "images(\"%s\")", in("set", ""));
  snprintf(path, sizeof path, "%s", in("set", "b/3.png"));
  int status = data_open_file(&d, &none, text, path, 1, &e);
  if (!check_that(status == 0, "%s", e.text))
    return;
  const uint8_t *x = d->split[DATA_TEST].column[0];
  CU_ASSERT(d->split[DATA_TEST].rows == 1 && x[0] == 20 && x[2] == 20);
  data_close(d);
}

void suite_images(void) {
  static const CheckTest tests[] = {
      {"forms of PNG and JPEG", forms},
      {"sizes", sizes},
      {"folders of classes", folders},
      {"folders train and test", two_parts},
      {"folders that are not right", broken_folders},
      {"cut and damaged pictures", broken_pictures},
      {"headers that claim too much", too_large},
      {"fields", fields},
      {"one file for predict", one_file},
      {NULL, NULL}};
  check_suite("images", tests);
}
