/* The words of the text forms; see lex.h. Nothing here knows what a graph or a
 * kernel is. Numbers are bounded while they are read, and lengths by the size
 * of the source. */
#include "ir/lex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

Lex lex_of(Arena *a, Diags *d, const Source *source) {
  return (Lex){.arena = a, .diags = d, .source = source};
}

static char next(const Lex *l) {
  return l->at < l->source->size ? l->source->text[l->at] : '\n';
}

static bool at_end(const Lex *l) { return l->at >= l->source->size; }

static Diag *fail_at(Lex *l, const char *code, size_t begin,
                     const char *message) {
  size_t end = l->at > begin ? l->at : begin + 1;
  if (end > l->source->size)
    end = l->source->size;
  if (begin > end)
    begin = end;
  Span s = {l->source, (uint32_t)begin, (uint32_t)end};
  l->errors++;
  return diag_error(l->diags, code, s, "%s", message);
}

bool lex_fail(Lex *l, const char *code, size_t begin, const char *format, ...) {
  char message[512];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  fail_at(l, code, begin, message);
  return false;
}

static void skip_blanks(Lex *l) {
  while (!at_end(l) && strchr(" \t\r", next(l)) && next(l))
    l->at++;
}

size_t lex_here(Lex *l) {
  skip_blanks(l);
  return l->at;
}

/* What stands here, for "expected .., not ..": a word or one character. */
static const char *found(Lex *l) {
  size_t begin = lex_here(l);
  if (next(l) == '\n' || next(l) == '#')
    return "the end of the line";
  while (!at_end(l) && is_name_char(next(l)) && l->at - begin < 60)
    l->at++;
  if (l->at == begin) {
    l->at++;
    unsigned char c = (unsigned char)l->source->text[begin];
    if (c < 0x20 || c >= 0x7f)
      return arena_printf(l->arena, "byte 0x%02x", c);
  }
  return arena_printf(l->arena, "'%.*s'", (int)(l->at - begin),
                      l->source->text + begin);
}

static bool expected(Lex *l, const char *what) {
  size_t begin = lex_here(l);
  const char *is = found(l);
  return lex_fail(l, "E0901", begin, "expected %s, not %s", what, is);
}

bool lex_line(Lex *l) {
  bool first = !l->started;
  l->started = true;
  if (l->errors >= LEX_ERRORS)
    return false;
  for (;;) {
    if (!first) {
      while (next(l) != '\n')
        l->at++;
      if (at_end(l))
        return false;
      l->at++;
    }
    first = false;
    skip_blanks(l);
    if (at_end(l))
      return false;
    if (next(l) != '\n' && next(l) != '#')
      return true;
  }
}

bool lex_take(Lex *l, const char *s) {
  size_t n = strlen(s), begin = lex_here(l);
  if (n > l->source->size - begin || memcmp(l->source->text + begin, s, n))
    return false;
  l->at += n;
  if (!is_name_char(s[n - 1]) || !is_name_char(next(l)))
    return true;
  l->at = begin; /* the beginning of a longer word */
  return false;
}

bool lex_want(Lex *l, const char *s) {
  return lex_take(l, s) || expected(l, arena_printf(l->arena, "'%s'", s));
}

bool lex_want_end(Lex *l) {
  skip_blanks(l);
  return next(l) == '\n' || next(l) == '#' || expected(l, "the end of the line");
}

static int hex_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                              : -1;
}

/* Behind the opening quote. */
static const char *quoted(Lex *l, size_t begin) {
  size_t n = 0, room = l->at;
  while (room < l->source->size && l->source->text[room] != '\n')
    room++;
  char *s = arena_alloc(l->arena, room - l->at + 1);
  for (; next(l) != '\n'; l->at++) {
    char c = next(l);
    if (c == '"') {
      l->at++;
      if (n == 0)
        break;
      return s;
    }
    if (c == '\\') {
      l->at++;
      if (next(l) == 'x' && l->at + 2 < l->source->size) {
        int high = hex_digit(l->source->text[l->at + 1]);
        int low = hex_digit(l->source->text[l->at + 2]);
        if (high < 0 || low < 0 || high + low == 0)
          break;
        l->at += 2;
        c = (char)(high * 16 + low);
      } else if (next(l) == '"' || next(l) == '\\') {
        c = next(l);
      } else {
        break;
      }
    }
    if (!c)
      break;
    s[n++] = c;
  }
  lex_fail(l, "E0902", begin, "no name stands in these quotes");
  return NULL;
}

const char *lex_name(Lex *l, const char *what) {
  size_t begin = lex_here(l);
  if (lex_take(l, "\""))
    return quoted(l, begin);
  while (!at_end(l) && is_name_char(next(l)))
    l->at++;
  if (l->at > begin)
    return arena_strndup(l->arena, l->source->text + begin, l->at - begin);
  expected(l, what);
  return NULL;
}

bool lex_choice(Lex *l, const char *what, const char *const *names, int n,
                int *which) {
  size_t begin = lex_here(l);
  const char *name = lex_name(l, what);
  if (!name)
    return false;
  for (*which = 0; *which < n; ++*which)
    if (!strcmp(name, names[*which]))
      return true;
  Diag *diag = fail_at(l, "E0903", begin,
                       arena_printf(l->arena, "'%.60s' is not %s", name, what));
  const char *near = nearest_name(name, names, n);
  if (diag && near)
    diag_help(diag, "did you mean '%s'?", near);
  return false;
}

bool lex_int(Lex *l, int64_t least, int64_t most, int64_t *v) {
  size_t begin = lex_here(l);
  bool negative = next(l) == '-', fits = true;
  l->at += negative;
  size_t digits = l->at;
  *v = 0;
  for (; next(l) >= '0' && next(l) <= '9'; l->at++) {
    int digit = next(l) - '0';
    fits = fits && *v <= (INT64_MAX - digit) / 10;
    if (fits)
      *v = *v * 10 + digit;
  }
  if (l->at == digits) {
    l->at = begin;
    return expected(l, "a whole number");
  }
  *v = negative ? -*v : *v;
  if (fits && *v >= least && *v <= most)
    return true;
  return lex_fail(l, "E0904", begin, "the number is not between %lld and %lld",
                  (long long)least, (long long)most);
}

bool lex_number(Lex *l, double *v) {
  size_t begin = lex_here(l);
  char s[64], *end = s;
  size_t n = 0;
  while (is_name_char(next(l)) && n < sizeof s - 1) {
    s[n++] = next(l);
    l->at++;
  }
  s[n] = '\0';
  /* strtod knows more forms (hexadecimal, nan(..)) than the printer has */
  bool plain = n > 0 && strspn(s, "0123456789+-.einfa") == n;
  if (plain)
    *v = strtod(s, &end);
  if (plain && !*end && !is_name_char(next(l)) &&
      (!isinf(*v) || strchr(s, 'i')))
    return true;
  l->at = begin;
  return expected(l, "a number");
}

bool lex_ints(Lex *l, int64_t least, int64_t greatest, int most, int *n,
              int64_t *v) {
  *n = 0;
  if (!lex_want(l, "["))
    return false;
  if (lex_take(l, "]"))
    return true;
  do {
    size_t begin = lex_here(l);
    int64_t x;
    if (!lex_int(l, least, greatest, &x))
      return false;
    if (*n == most)
      return lex_fail(l, "E0904", begin, "more than %d numbers", most);
    v[(*n)++] = x;
  } while (lex_take(l, ","));
  return lex_want(l, "]");
}

bool lex_type(Lex *l, Type *type) {
  size_t begin = lex_here(l);
  int which;
  *type = (Type){0};
  if (!lex_choice(l, "an element type", dtype_name, T_COUNT, &which) ||
      !lex_ints(l, 1, MAX_COUNT, MAX_RANK, &type->rank, type->dim))
    return false;
  type->dtype = (DType)which;
  const char *wrong = check_type(l->arena, type);
  return !wrong || lex_fail(l, "E0904", begin, "%s", wrong);
}

bool lex_locs(Lex *l, int *n, Loc *locs) {
  *n = 0;
  if (!lex_take(l, "@"))
    return true;
  do {
    size_t begin = lex_here(l);
    int64_t line, column;
    Loc loc = {.file = lex_name(l, "a file")};
    if (!loc.file || !lex_want(l, ":") || !lex_int(l, 1, INT32_MAX, &line) ||
        !lex_want(l, ":") || !lex_int(l, 1, INT32_MAX, &column))
      return false;
    loc.line = (int)line;
    loc.column = (int)column;
    if (is_name_char(next(l)) || next(l) == ' ') {
      lex_here(l);
      if (is_name_char(next(l)) || next(l) == '"')
        loc.stage = lex_name(l, "a stage");
    }
    if (*n == MAX_LOCS)
      return lex_fail(l, "E0904", begin, "more than %d locations", MAX_LOCS);
    locs[(*n)++] = loc;
  } while (lex_take(l, ","));
  return true;
}

bool lex_limit(Lex *l, int64_t *bytes) {
  if (!lex_take(l, "limit")) return true;
  return lex_want(l, "=") && lex_int(l, 1, INT64_MAX, bytes);
}
