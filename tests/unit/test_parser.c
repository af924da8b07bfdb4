/* The parser beyond what the golden files of tests/golden/ast and tests/errors
 * show: spans, the numbers of calls, limits, odd files, and that broken files
 * give diagnostics and nothing else. */
#include "frontend/ast.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20 };

/* Parses; says how many errors there were. */
static const Ast *read_text(Arena *a, const char *text, int *errors) {
  Diags d;
  diags_init(&d, a);
  const Ast *ast = parse(a, &d, source_of_text(a, "t.net", text));
  *errors = d.errors;
  check_that(!ast == (d.errors > 0), "a tree or errors:\n%.200s", text);
  return ast;
}

static bool is_text(const Ast *ast, Span s, const char *want) {
  size_t n = strlen(want);
  return s.source == ast->source && s.end - s.begin == n &&
         memcmp(ast->source->text + s.begin, want, n) == 0;
}

static void test_spans(void) {
  Arena *a = arena_new();
  int errors;
  const Ast *ast = read_text(a,
                             "# first\n"
                             "layer f(x: [n], k = 1) {\n"
                             "  y = (x + 1) * g(x)' # comment\n"
                             "  y -> h(2) as s -> (i -> j)\n"
                             "}\n",
                             &errors);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ast);
  const Definition *d = &ast->items[0]->definition;
  CU_ASSERT_EQUAL_FATAL(d->n_stmts, 2);
  CU_ASSERT(is_text(ast, d->name.span, "f"));
  CU_ASSERT(is_text(ast, d->params[0].span, "x: [n]"));
  CU_ASSERT(is_text(ast, d->params[0].shape->span, "[n]"));
  CU_ASSERT(is_text(ast, d->params[1].span, "k = 1"));
  const Expr *product = d->stmts[0]->value;
  CU_ASSERT(is_text(ast, product->span, "(x + 1) * g(x)'"));
  CU_ASSERT(is_text(ast, product->binary.at, "*"));
  CU_ASSERT(is_text(ast, product->binary.a->span, "x + 1"));
  CU_ASSERT(is_text(ast, product->binary.b->unary.a->span, "g(x)"));
  const Expr *pipe = d->stmts[1]->value;
  CU_ASSERT(is_text(ast, pipe->span, "y -> h(2) as s -> (i -> j)"));
  CU_ASSERT(is_text(ast, pipe->pipeline.stage[0]->span, "h(2)"));
  CU_ASSERT(is_text(ast, pipe->pipeline.stage[0]->as.span, "s"));
  CU_ASSERT(is_text(ast, pipe->pipeline.stage[1]->span, "(i -> j)"));
  arena_free(a);
}

/* Collects name and number of the calls in a printed tree. */
static void check_ordinals(const char *text, const char *want) {
  Arena *a = arena_new();
  int errors;
  const Ast *ast = read_text(a, text, &errors);
  CU_ASSERT_PTR_NOT_NULL_FATAL(ast);
  Text t, calls;
  text_init(&t, a);
  text_init(&calls, a);
  print_ast(&t, ast);
  for (char *line = strtok(t.s, "\n"); line; line = strtok(NULL, "\n")) {
    char *call = strstr(line, "call "), *at = strstr(line, " @ ");
    if (call && at)
      text_add(&calls, "%.*s ", (int)(at - call - 5), call + 5);
  }
  check_that(!strcmp(calls.s, want), "%s: %s", text, calls.s);
  arena_free(a);
}

static void test_ordinals(void) {
  check_ordinals("layer f(x, k = a(1)) {\n"
                 "  x -> b(c(d(2), e)) -> g -> (h -> i())\n}\n"
                 "loss l(x) = n.m(o(1)) + p()\n",
                 "a() #0 b() #1 c() #2 d() #3 g #4 h #5 i() #6 "
                 "n.m() #0 o() #1 p() #2 ");
  /* The head of a proximal rule is no call. */
  check_ordinals("penalty l(w) { a(w); prox(t) = b(t); c(w) }",
                 "a() #0 b() #1 c() #2 ");
}

static void test_odd_files(void) {
  static const struct {
    const char *text;
    int items, errors;
  } files[] = {
      {"", 0, 0},
      {"\n\n;;\n# nothing\n", 0, 0},
      {"# no line end", 0, 0},
      {"const a = 1", 1, 0},
      {"\xef\xbb\xbf"
       "const a = 1\n",
       1, 0},
      {"const a = 1\r\nconst b = 2\r\n", 2, 0},
      {"\tconst\ta\t=\t1\t;\tconst b=2\t", 2, 0},
      {"const a = \"\xc3\xa9\" # \xe2\x82\xac\n", 1, 0},
      {"const a = \xff", 0, 1},
      {"const a = \"\xed\xa0\x80\"", 0, 1}, /* a surrogate */
      {"const a = \"\xc0\x80\"", 0, 1},     /* overlong */
      {"const a = \"\xf4\x90\x80\x80\"", 0, 1},
      {"const a = \"\xe2\x82", 0, 1}, /* cut off */
      {"const a = 1\v", 0, 1},
      {"\x7f", 0, 1},
      {"const a = .", 0, 1},
      {"}", 0, 1},
      {"(", 0, 1},
  };
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    Arena *a = arena_new();
    int errors;
    const Ast *ast = read_text(a, files[i].text, &errors);
    check_that(errors == files[i].errors, "%s: %d errors", files[i].text,
               errors);
    check_that((ast ? ast->n_items : 0) == files[i].items, "%s", files[i].text);
    arena_free(a);
  }
}

/* Is `open` n times, `middle`, `close` n times a value? */
static bool accepts(const char *open, const char *middle, const char *close,
                    int n) {
  Arena *a = arena_new();
  Text t;
  text_init(&t, a);
  text_add(&t, "const a = ");
  for (int i = 0; i < n; i++)
    text_add(&t, "%s", open);
  text_add(&t, "%s", middle);
  for (int i = 0; i < n; i++)
    text_add(&t, "%s", close);
  int errors;
  const Ast *ast = read_text(a, t.s, &errors);
  check_that(errors <= 1, "%s: %d errors", open, errors);
  arena_free(a);
  return ast != NULL;
}

static void test_nesting(void) {
  static const struct {
    const char *open, *middle, *close;
    int limit;
  } nests[] = {
      {"(", "1", ")", 256},
      {"[", "1", "]", 255},
      {"f(", "1", ")", 255},
      {"-", "1", "", 255},
      {"not ", "1", "", 255},
      {"2^", "1", "", 255},
      {"1 + ", "1", "", 255},
      {"if a then 1 else ", "1", "", 255},
      {"if a then ", "1", " else 1", 255},
      {"", "x", "'", 255},
      {"", "x", ".y", 255},
      {"", "x", "[1]", 255},
      {"", "x", " except y", 255},
      {"", "x", " -> f", 100000},
  };
  for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
    const char *open = nests[i].open, *middle = nests[i].middle;
    const char *close = nests[i].close;
    int limit = nests[i].limit;
    check_that(!limit || accepts(open, middle, close, limit), "%s%s%s x %d",
               open, middle, close, limit);
    if (limit < 1000) {
      check_that(!accepts(open, middle, close, limit + 1), "%s%s%s x %d", open,
                 middle, close, limit + 1);
      check_that(!accepts(open, middle, close, 50000), "%s%s%s x 50000", open,
                 middle, close);
    }
  }
}

static Source *read_source(Arena *a, const char *path, char *message) {
  Diags d;
  diags_init(&d, a);
  Source *source = source_read(a, &d, path);
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  diags_print(&d, f);
  fclose(f);
  snprintf(message, 200, "%s", text);
  free(text);
  return source;
}

static void test_source(void) {
  Arena *a = arena_new();
  char message[200];
  CU_ASSERT_PTR_NULL(read_source(a, "nowhere.net", message));
  CU_ASSERT_STRING_EQUAL(message, "nowhere.net: error[E0100]: cannot read this "
                                  "file: No such file or directory\n");
  CU_ASSERT_PTR_NULL(read_source(a, "tests", message));
  CU_ASSERT_STRING_EQUAL(message, "tests: error[E0100]: cannot read this file: "
                                  "Is a directory\n");
  size_t size = 16 * MIB + 1;
  char *text = malloc(size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  memset(text, '\n', size);
  const char *path = check_path("large.net");
  check_write(path, text, size);
  CU_ASSERT_PTR_NULL(read_source(a, path, message));
  CU_ASSERT_PTR_NOT_NULL(strstr(message, "this file is larger than 16 MiB"));
  check_write(path, text, size - 1);
  Source *source = read_source(a, path, message);
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  CU_ASSERT_EQUAL(source->size, size - 1);
  CU_ASSERT_EQUAL(source->text[size - 1], '\0');
  CU_ASSERT_STRING_EQUAL(message, "");
  free(text);
  arena_free(a);
}

/* Bytes changed, dropped, doubled and moved in a good file. */
static void mutate(char *text, size_t *n, size_t capacity) {
  static const char signs[] = "(){}[]->=<.,;:'\"#\n @^\\x1\xc3\0";
  for (int k = rand() % 4; k >= 0; k--) {
    size_t at = (size_t)rand() % *n, length = (size_t)rand() % 12 + 1;
    if (at + length > *n)
      continue;
    switch (rand() % 4) {
    case 0:
      text[at] = signs[(size_t)rand() % sizeof signs];
      break;
    case 1:
      memmove(text + at, text + at + length, *n - at - length);
      *n -= length;
      break;
    case 2:
      if (*n + length > capacity)
        continue;
      memmove(text + at + length, text + at, *n - at);
      *n += length;
      break;
    default:
      memmove(text + at, text + (size_t)rand() % (*n - length), length);
      break;
    }
  }
}

static void test_mutations(void) {
  size_t size;
  char *good = check_read("tests/golden/ast/sections.net", &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(good);
  char *text = malloc(size + 100);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  srand(1);
  for (int i = 0; i < (check_long() ? 20000 : 500); i++) {
    Arena *a = arena_new();
    Diags d;
    diags_init(&d, a);
    memcpy(text, good, size);
    size_t n = size;
    mutate(text, &n, size + 100);
    Source source = {"t.net", arena_strndup(a, text, n), n};
    const Ast *ast = parse(a, &d, &source);
    check_that(!ast == (d.errors > 0), "mutation %d", i);
    if (ast) {
      Text t;
      text_init(&t, a);
      print_ast(&t, ast);
    }
    arena_free(a);
  }
  free(text);
  free(good);
}

void suite_parser(void);
void suite_parser(void) {
  static const CheckTest tests[] = {
      {"spans", test_spans},
      {"numbers of calls", test_ordinals},
      {"odd files", test_odd_files},
      {"nesting", test_nesting},
      {"reading files", test_source},
      {"mutations", test_mutations},
      {NULL, NULL},
  };
  check_suite("parser", tests);
}
