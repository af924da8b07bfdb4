/* The reader text: pieces and what follows them, characters of any length in
 * UTF-8, and files that are not right. */
#include "runtime/data.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

static const char *file(const char *name, const char *text, size_t n) {
  const char *path = check_path(name);
  CU_ASSERT(check_write(path, text, n));
  return path;
}

static int open_with(Dataset **d, const char *rest, DataError *e) {
  char text[900];
  NetData none = {.reader = NULL};
  snprintf(text, sizeof text, "text(\"%s\"%s)", check_path("a.txt"), rest);
  return data_open(d, &none, text, 1, e);
}

static void refuse(const char *text, size_t n, const char *rest,
                   const char *piece) {
  Dataset *d;
  DataError e;
  file("a.txt", text, n);
  int status = open_with(&d, rest, &e);
  check_that(status == 1 && !d && strstr(e.text, piece),
             "status %d, want '%s' in: %s", status, piece, e.text);
  data_close(d);
}

static void pieces(void) {
  const int32_t ids[2][4] = {{3, 2, 1, 0}, {4, 5, 1, 0}};
  const int32_t label[2][4] = {{2, 1, 0, 4}, {5, 1, 0, 4}};
  char buffer[24];
  Dataset *d;
  DataError e;
  file("a.txt", "jie \xC3\xA9\xF0\x9F\x98\x80" "e \xC3\xA9ie", 16);
  int status = open_with(&d, ", length = 4", &e);
  if (!check_that(status == 0, "%s", e.text))
    return;
  CU_ASSERT_EQUAL_FATAL(d->split[DATA_TRAIN].rows, 2);
  /* ' ' e i j e-acute and a face */
  CU_ASSERT_EQUAL(memcmp(d->split[DATA_TRAIN].column[1], ids, sizeof ids), 0);
  CU_ASSERT_EQUAL(memcmp(d->split[DATA_TRAIN].column[0], label, sizeof label),
                  0);
  CU_ASSERT_EQUAL(d->n_classes, 6);
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 4, buffer), "\xC3\xA9");
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 5, buffer), "\xF0\x9F\x98\x80");
  CU_ASSERT_STRING_EQUAL(d->column[0].field.name, "label");
  CU_ASSERT(d->column[1].field.rank == 1 && d->column[1].field.classes == 6);
  data_close(d);
}

static void parts(void) {
  char text[101], buffer[24];
  Dataset *d;
  DataError e;
  for (int i = 0; i < 100; i++)
    text[i] = "ab\n\t\x01"[i % 5];
  file("a.txt", text, 100);
  int status = open_with(&d, ", length = 9, test = 0.2", &e);
  if (!check_that(status == 0, "%s", e.text))
    return;
  const int32_t *test = d->split[DATA_TEST].column[1];
  CU_ASSERT_EQUAL(d->split[DATA_TRAIN].rows, 9);
  CU_ASSERT_EQUAL(d->split[DATA_TEST].rows, 2);
  CU_ASSERT_EQUAL(test[0], 4 - (81 % 5 == 1 ? 0 : 1)); /* text[81] is b */
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 0, buffer), "U+0001");
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 1, buffer), "\\t");
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 2, buffer), "\\n");
  data_close(d);
}

static void another_file(void) {
  char text[900], path[600];
  NetData none = {.reader = NULL};
  Dataset *d;
  DataError e;
  snprintf(text, sizeof text, "text(\"%s\", length = 2)",
           file("a.txt", "abcabc", 6));
  snprintf(path, sizeof path, "%s", file("b.txt", "cab", 3));
  int status = data_open_file(&d, &none, text, path, 1, &e);
  if (!check_that(status == 0, "%s", e.text))
    return;
  const int32_t *ids = d->split[DATA_TEST].column[1];
  CU_ASSERT(d->split[DATA_TEST].rows == 1 && ids[0] == 2 && ids[1] == 0);
  data_close(d);
  file("b.txt", "cabx", 4);
  CU_ASSERT_EQUAL(data_open_file(&d, &none, text, path, 1, &e), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "character 4: x is not in"));
}

static void fields(void) {
  NetField f[NET_FIELDS];
  int n;
  char text[900], message[300];
  NetData none = {.reader = NULL};
  snprintf(text, sizeof text, "text(\"%s\", 5)", file("a.txt", "abc", 3));
  CU_ASSERT(net_data_fields(&none, text, f, &n, message, sizeof message));
  CU_ASSERT(n == 2 && f[0].rank == 1 && f[0].dim[0] == 5 &&
            f[0].classes == 3 && f[1].classes == 3);
  CU_ASSERT(!net_data_fields(&none, "text(\"no/such\")", f, &n, message,
                             sizeof message));
}

/* More characters than there may be classes. */
static void too_many(void) {
  char *text = malloc(1 << 19), *p = text;
  for (int code = 0x10000; code < 0x10000 + 66000; code++) {
    *p++ = (char)(0xf0 | code >> 18);
    for (int shift = 12; shift >= 0; shift -= 6)
      *p++ = (char)(0x80 | (code >> shift & 0x3f));
  }
  refuse(text, (size_t)(p - text), "", "66000 different characters; at most");
  free(text);
}

static void broken(void) {
  static const char *const bytes[] = {"\x80", "\xC0\x80", "\xC1\xBF",
                                      "\xE0\x80\x80", "\xED\xA0\x80",
                                      "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
                                      "\xC3", "\xE2\x82", "\xC3\x41", "\xFF"};
  for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
    char text[16];
    snprintf(text, sizeof text, "ab\nc%s", bytes[i]);
    refuse(text, strlen(text), "", "line 2, character 5 of the text: byte 0x");
  }
  refuse("ab\0c", 4, "", "byte 0x00 is no UTF-8");
  refuse("", 0, "", "a.txt: empty");
  refuse("aaaa", 4, ", length = 2", "one character again and again");
  refuse("abab", 4, "", "4 characters are too few for pieces of 64");
  refuse("abab", 4, ", length = 0", "not between 1 and");
  refuse("abab", 4, ", length = 2, test = 1", "1 of 1 rows");
}

void suite_text(void) {
  static const CheckTest tests[] = {{"pieces and what follows them", pieces},
                                    {"parts and names", parts},
                                    {"another file", another_file},
                                    {"fields", fields},
                                    {"broken files", broken},
                                    {"too many characters", too_many},
                                    {NULL, NULL}};
  check_suite("text", tests);
}
