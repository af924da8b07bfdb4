/* Diagnostics: how they look, in which order, and which name is near. */
#include "ir/ir.h"
#include "tests/check.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static char *printed(const Diags *d, void (*print)(const Diags *, FILE *)) {
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  print(d, f);
  fclose(f);
  return text;
}

static void check_printed(const Diags *d, const char *want) {
  char *got = printed(d, diags_print);
  check_that(!strcmp(got, want), "printed:\n%s\nwanted:\n%s", got, want);
  free(got);
}

static Source source_of(const char *text) {
  return (Source){"a.net", text, strlen(text)};
}

/* The span of the first `part` in the text. */
static Span span_of(const Source *s, const char *part) {
  const char *at = strstr(s->text, part);
  CU_ASSERT_PTR_NOT_NULL_FATAL(at);
  uint32_t begin = (uint32_t)(at - s->text);
  return (Span){s, begin, begin + (uint32_t)strlen(part)};
}

static void test_rendering(void) {
  Arena *a = arena_new();
  Diags d;
  diags_init(&d, a);
  Source s = source_of("x -> maxpool(2)\n  -> linear(120) as fc1 -> relu\n");
  Diag *diag =
      diag_error(&d, "E0302", span_of(&s, "linear(120)"),
                 "%s expects [n], but its input is [%d, 5, 5]", "linear", 16);
  diag_help(diag, "flatten it first: -> flatten -> linear(120)");
  diag_note(diag, span_of(&s, "maxpool"), "[16, 5, 5] comes from this maxpool");
  diag_note(diag, (Span){0}, "a note without a place");
  check_printed(&d,
                "a.net:2:6: error[E0302]: linear expects [n], but its input is "
                "[16, 5, 5]\n"
                "    2 |   -> linear(120) as fc1 -> relu\n"
                "      |      ^~~~~~~~~~~\n"
                "a.net:1:6: note: [16, 5, 5] comes from this maxpool\n"
                "note: a note without a place\n"
                "help: flatten it first: -> flatten -> linear(120)\n");
  arena_free(a);
}

static void test_carets(void) {
  static const struct {
    const char *text, *part, *want;
  } rows[] = {
      {"\ta\tb", "b", "1:4: error[E1]: m\n    1 | \ta\tb\n      | \t \t^\n"},
      {"\xc3\xa9 \xc3\xa9\xc3\xa9 b", "\xc3\xa9\xc3\xa9 b",
       "1:4: error[E1]: m\n    1 | \xc3\xa9 \xc3\xa9\xc3\xa9 b\n"
       "      |   ^~~~\n"},
      {"a b\nc d", "b\nc", "1:3: error[E1]: m\n    1 | a b\n      |   ^\n"},
      {"a\r\nb\r\n", "\r", "1:2: error[E1]: m\n    1 | a\n      |  ^\n"},
      {"a\n", "\n", "1:2: error[E1]: m\n    1 | a\n      |  ^\n"},
      {"a\n\n", "\n\n", "1:2: error[E1]: m\n    1 | a\n      |  ^\n"},
      {"a\x01\xff z", "z", "1:5: error[E1]: m\n    1 | a?? z\n      |     ^\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    Arena *a = arena_new();
    Diags d;
    diags_init(&d, a);
    Source s = source_of(rows[i].text);
    diag_error(&d, "E1", span_of(&s, rows[i].part), "m");
    check_printed(&d, arena_printf(a, "a.net:%s", rows[i].want));
    arena_free(a);
  }
}

static void test_places(void) {
  Arena *a = arena_new();
  Diags d;
  diags_init(&d, a);
  Source s = source_of("a\n"), empty = source_of("");
  Source unread = {"b.net", NULL, 0};
  diag_error(&d, "E1", (Span){&s, 2, 2}, "at the end");
  diag_error(&d, "E2", (Span){&empty, 0, 0}, "in an empty file");
  diag_error(&d, "E3", (Span){&unread, 0, 0}, "about a file");
  diag_error(&d, "E4", (Span){0}, "about nothing");
  check_printed(&d, "a.net:2:1: error[E1]: at the end\n    2 |\n      | ^\n"
                    "a.net:1:1: error[E2]: in an empty file\n"
                    "b.net: error[E3]: about a file\n"
                    "netc: error[E4]: about nothing\n");
  Loc loc = loc_of_span(a, (Span){&s, 1, 1}, "net.conv1");
  CU_ASSERT_STRING_EQUAL(loc.file, "a.net");
  CU_ASSERT_STRING_EQUAL(loc.stage, "net.conv1");
  CU_ASSERT_EQUAL(loc.line, 1);
  CU_ASSERT_EQUAL(loc.column, 2);
  CU_ASSERT_PTR_NULL(loc_of_span(a, (Span){0}, NULL).file);
  arena_free(a);
}

static void test_long_line(void) {
  Arena *a = arena_new();
  Diags d;
  diags_init(&d, a);
  char *text = arena_alloc(a, 100001);
  memset(text, 'x', 100000);
  memcpy(text + 50000, "MISTAKE", 7);
  Source s = source_of(text);
  diag_error(&d, "E1", span_of(&s, "MISTAKE"), "m");
  char *got = printed(&d, diags_print);
  CU_ASSERT(strlen(got) < 500);
  char *mark = strchr(got, '^'), *shown = strstr(got, "MISTAKE");
  CU_ASSERT_PTR_NOT_NULL_FATAL(mark);
  CU_ASSERT_PTR_NOT_NULL_FATAL(shown);
  char *line = strchr(got, '\n') + 1, *under = strchr(shown, '\n') + 1;
  CU_ASSERT_EQUAL(shown - line, mark - under);
  free(got);
  arena_free(a);
}

static void test_order(void) {
  Arena *a = arena_new();
  Diags d;
  diags_init(&d, a);
  Source s = source_of("abc"), t = {"t.net", "abc", 3};
  diag_error(&d, "E1", (Span){&s, 2, 3}, "third");
  diag_error(&d, "E1", (Span){&t, 0, 1}, "fourth");
  diag_error(&d, "E1", (Span){&s, 0, 1}, "first");
  diag_error(&d, "E2", (Span){&s, 0, 1}, "second");
  Diag *again = diag_error(&d, "E1", (Span){&s, 0, 1}, "told before");
  diag_note(again, (Span){0}, "goes with it");
  diag_help(again, "goes with it");
  CU_ASSERT_EQUAL(d.errors, 4);
  char *got = printed(&d, diags_print);
  const char *words[] = {"first", "second", "third", "fourth"};
  const char *from = got;
  for (int i = 0; i < 4 && from; i++)
    check_that((from = strstr(from, words[i])) != NULL, "%s", words[i]);
  CU_ASSERT_PTR_NULL(strstr(got, "goes with it"));
  free(got);
  arena_free(a);
}

static void test_many(void) {
  Arena *a = arena_new();
  Diags d;
  diags_init(&d, a);
  char text[200];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  Source s = source_of(text);
  for (uint32_t i = 0; i < 150; i++)
    diag_note(diag_error(&d, "E1", (Span){&s, i, i + 1}, "m"), (Span){0}, "n");
  CU_ASSERT_EQUAL(d.errors, 150);
  char *got = printed(&d, diags_print);
  CU_ASSERT_PTR_NOT_NULL(strstr(got, "\nnetc: 50 more errors\n"));
  free(got);
  arena_free(a);
}

static void test_json(void) {
  Arena *a = arena_new();
  Diags d;
  diags_init(&d, a);
  char *none = printed(&d, diags_print_json);
  CU_ASSERT_STRING_EQUAL(none, "[]\n");
  free(none);
  Source s = source_of("a\nb c\n");
  Diag *diag = diag_error(&d, "E0302", span_of(&s, "b c"),
                          "\"q\" \\ \x01 \xc3\xa9 \xff");
  diag_note(diag, span_of(&s, "a"), "one");
  diag_note(diag, (Span){0}, "two");
  diag_help(diag, "help me");
  diag_error(&d, "E4", (Span){0}, "nowhere");
  char *got = printed(&d, diags_print_json);
  json_t *all = json_loads(got, JSON_REJECT_DUPLICATES, NULL);
  check_that(json_array_size(all) == 2, "%s", got);
  const char *file, *message, *code, *severity;
  int line, column, end_line, end_column;
  json_t *notes, *help;
  CU_ASSERT_EQUAL(
      json_unpack(json_array_get(all, 0),
                  "{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:s, s:o, s:o}",
                  "severity", &severity, "code", &code, "file", &file, "line",
                  &line, "column", &column, "end_line", &end_line, "end_column",
                  &end_column, "message", &message, "notes", &notes, "help",
                  &help),
      0);
  CU_ASSERT_STRING_EQUAL(message, "\"q\" \\ \x01 \xc3\xa9 \xef\xbf\xbd");
  CU_ASSERT(line == 2 && column == 1 && end_line == 2 && end_column == 4);
  CU_ASSERT_EQUAL(json_array_size(notes), 2);
  CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(help, 0)), "help me");
  CU_ASSERT(json_is_null(json_object_get(json_array_get(all, 1), "line")));
  json_decref(all);
  free(got);
  arena_free(a);
}

static void test_nearest(void) {
  static const char *const names[] = {"linear",  "conv",     "relu",
                                      "dropout", "momentum", "lr", "conv1d"};
  static const struct {
    const char *name, *near;
  } rows[] = {
      {"liner", "linear"},
      {"Linear", "linear"},
      {"lniear", "linear"},
      {"reLU", "relu"},
      {"rleu", "relu"},
      {"relux", "relu"},
      {"droput", "dropout"},
      {"momentun", "momentum"},
      {"lt", NULL},
      {"conv2d", "conv"},
      {"LR", "lr"},
      {"softmax", NULL},
      {"", NULL},
      {"x", NULL},
      {"linearlinearlinearlinearlinearlinearlinear", NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const char *near = nearest_name(rows[i].name, names, 7);
    check_that(near == rows[i].near ||
                   (near && rows[i].near && !strcmp(near, rows[i].near)),
               "%s: %s", rows[i].name, near ? near : "nothing");
  }
  CU_ASSERT_PTR_NULL(nearest_name("linear", NULL, 0));
}

void suite_diag(void);
void suite_diag(void) {
  static const CheckTest tests[] = {
      {"rendering", test_rendering},
      {"carets", test_carets},
      {"places", test_places},
      {"long lines", test_long_line},
      {"order", test_order},
      {"many", test_many},
      {"JSON", test_json},
      {"nearest name", test_nearest},
      {NULL, NULL},
  };
  check_suite("diag", tests);
}
