/* The user's mistakes: a list that is added to while work goes on, and printed
 * at the end in order of position, as text with the source line and carets, or
 * as JSON. Deciding what is a mistake is everybody else's. */
#include "ir/ir.h"

#include <stdlib.h>
#include <string.h>

/* More than these are counted, not kept: no one reads the hundredth message of
 * a broken file, and equal ones are looked for in the list. */
enum { MAX_KEPT = 100 };
/* Longer lines are cut around the place that is shown. */
enum { SHOWN_BYTES = 160 };

typedef struct Remark Remark;
struct Remark { /* a note, or a help (which has no place) */
  Span at;
  const char *text;
  Remark *next;
};

struct Diag {
  const char *code, *text;
  Span at;
  Arena *arena;
  Remark *notes, **last_note, *helps, **last_help;
  Diag *next;
};

void diags_init(Diags *d, Arena *a) {
  *d = (Diags){.arena = a, .last = &d->first};
}

static const char *formatted(Arena *a, const char *format, va_list list) {
  va_list again;
  va_copy(again, list);
  int n = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (n < 0)
    defect("cannot format '%s'", format);
  char *s = arena_alloc(a, (size_t)n + 1);
  vsnprintf(s, (size_t)n + 1, format, list);
  return s;
}

static bool same_span(Span a, Span b) {
  return a.source == b.source && a.begin == b.begin && a.end == b.end;
}

/* The result can always be given notes; one that is not kept takes them with
 * it. */
Diag *diag_error(Diags *d, const char *code, Span at, const char *format, ...) {
  Diag *diag = arena_alloc(d->arena, sizeof *diag);
  diag->arena = d->arena;
  diag->last_note = &diag->notes;
  diag->last_help = &diag->helps;
  int kept = 0;
  for (const Diag *other = d->first; other; other = other->next, kept++)
    if (strcmp(other->code, code) == 0 && same_span(other->at, at))
      return diag;
  d->errors++;
  if (kept >= MAX_KEPT)
    return diag;
  va_list list;
  va_start(list, format);
  diag->text = formatted(d->arena, format, list);
  va_end(list);
  diag->code = code;
  diag->at = at;
  *d->last = diag;
  d->last = &diag->next;
  return diag;
}

static void add_remark(Diag *diag, Remark ***last, Span at, const char *format,
                       va_list list) {
  Remark *r = arena_alloc(diag->arena, sizeof *r);
  r->at = at;
  r->text = formatted(diag->arena, format, list);
  **last = r;
  *last = &r->next;
}

void diag_note(Diag *diag, Span at, const char *format, ...) {
  va_list list;
  va_start(list, format);
  add_remark(diag, &diag->last_note, at, format, list);
  va_end(list);
}

void diag_help(Diag *diag, const char *format, ...) {
  va_list list;
  va_start(list, format);
  add_remark(diag, &diag->last_help, (Span){0}, format, list);
  va_end(list);
}

/* --- positions ------------------------------------------------------------ */

/* The start of the line that `offset` lies in; *line counts from 1. */
static size_t line_start(const Source *source, size_t offset, int *line) {
  const char *s = source->text, *end = s + offset, *found;
  *line = 1;
  while ((found = memchr(s, '\n', (size_t)(end - s)))) {
    s = found + 1;
    ++*line;
  }
  return (size_t)(s - source->text);
}

static size_t line_end(const Source *source, size_t offset) {
  const char *s = source->text + offset;
  const char *found = memchr(s, '\n', source->size - offset);
  return found ? (size_t)(found - source->text) : source->size;
}

void span_position(Span s, int *line, int *column) {
  *line = *column = 0;
  if (!s.source || !s.source->text)
    return;
  size_t start = line_start(s.source, s.begin, line);
  *column = (int)(s.begin - start) + 1;
}

Loc loc_of_span(Arena *a, Span s, const char *stage) {
  Loc loc = {.stage = stage};
  if (s.source) {
    loc.file = arena_strdup(a, s.source->path);
    span_position(s, &loc.line, &loc.column);
  }
  return loc;
}

/* Every diagnostic that was kept, in order of position: by source, as first
 * mentioned, then by place, then as told. Returns how many. */
typedef struct Entry {
  const Diag *diag;
  int source, order;
} Entry;

static int by_position(const void *a, const void *b) {
  const Entry *x = a, *y = b;
  if (x->source != y->source)
    return x->source - y->source;
  if (x->diag->at.begin != y->diag->at.begin)
    return x->diag->at.begin < y->diag->at.begin ? -1 : 1;
  return x->order - y->order;
}

static int sorted(const Diags *d, Entry *entries) {
  int n = 0;
  for (const Diag *diag = d->first; diag; diag = diag->next, n++) {
    entries[n] = (Entry){diag, n, n};
    for (int i = n - 1; i >= 0; i--)
      if (entries[i].diag->at.source == diag->at.source)
        entries[n].source = entries[i].source;
  }
  if (n > 0)
    qsort(entries, (size_t)n, sizeof entries[0], by_position);
  return n;
}

/* --- text ----------------------------------------------------------------- */

static void print_place(Span at, FILE *out) {
  int line, column;
  span_position(at, &line, &column);
  if (!at.source)
    fputs("netc: ", out);
  else if (line == 0)
    fprintf(out, "%s: ", at.source->path);
  else
    fprintf(out, "%s:%d:%d: ", at.source->path, line, column);
}

/* Is this byte the first of a character? (Of UTF-8, one caret a character.) */
static bool begins_character(char c) {
  return ((unsigned char)c & 0xc0) != 0x80;
}

/* Length of the UTF-8 sequence at s, or 0 if it is not one. Overlong forms are
 * let through: this keeps terminals and JSON readers well, it is no check. */
static int sequence(const char *s) {
  unsigned char c = (unsigned char)*s;
  int n = c < 0x80   ? 1
          : c < 0xc2 ? 0
          : c < 0xe0 ? 2
          : c < 0xf0 ? 3
          : c < 0xf5 ? 4
                     : 0;
  for (int i = 1; i < n; i++)
    if (begins_character(s[i]))
      return 0;
  return n;
}

/* The line and the mark under it. A span of several lines is marked to the end
 * of its first one. */
static void print_snippet(Span at, FILE *out) {
  if (!at.source || !at.source->text || at.source->size == 0)
    return;
  const char *text = at.source->text;
  int line;
  size_t start = line_start(at.source, at.begin, &line);
  size_t end = line_end(at.source, at.begin), from = start, to = end;
  if (to > from && text[to - 1] == '\r')
    to--;
  if (at.begin - start > SHOWN_BYTES / 2)
    from = at.begin - SHOWN_BYTES / 2;
  if (to > from + SHOWN_BYTES)
    to = from + SHOWN_BYTES;
  while (from > start && from < to && !begins_character(text[from]))
    from++;
  while (to < end && to > from && !begins_character(text[to]))
    to--;

  fprintf(out, "%5d |%s%s", line, to > from ? " " : "",
          from > start ? ".." : "");
  for (size_t i = from; i < to; i++) {
    int n = sequence(text + i);
    bool control = (unsigned char)text[i] < ' ' || text[i] == 0x7f;
    if (n == 0 || (control && text[i] != '\t')) {
      fputc('?', out);
    } else {
      fwrite(text + i, 1, (size_t)n, out);
      i += (size_t)n - 1;
    }
  }
  fprintf(out, "%s\n      | %s", to < end && text[to] != '\r' ? ".." : "",
          from > start ? "  " : "");
  for (size_t i = from; i < at.begin; i++)
    if (i >= to || begins_character(text[i]))
      fputc(i < to && text[i] == '\t' ? '\t' : ' ', out);
  fputc('^', out);
  for (size_t i = at.begin + 1; i < at.end && i < to; i++)
    if (begins_character(text[i]))
      fputc('~', out);
  fputc('\n', out);
}

void diags_print(const Diags *d, FILE *out) {
  Entry entries[MAX_KEPT];
  int n = sorted(d, entries);
  for (int i = 0; i < n; i++) {
    const Diag *diag = entries[i].diag;
    print_place(diag->at, out);
    fprintf(out, "error[%s]: %s\n", diag->code, diag->text);
    print_snippet(diag->at, out);
    for (const Remark *r = diag->notes; r; r = r->next) {
      if (r->at.source)
        print_place(r->at, out);
      fprintf(out, "note: %s\n", r->text);
    }
    for (const Remark *r = diag->helps; r; r = r->next)
      fprintf(out, "help: %s\n", r->text);
  }
  if (d->errors > n)
    fprintf(out, "netc: %d more errors\n", d->errors - n);
}

/* --- JSON ----------------------------------------------------------------- */

static void print_string(const char *s, FILE *out) {
  fputc('"', out);
  while (*s) {
    int n = sequence(s);
    if (n == 0)
      fputs("\\ufffd", out);
    else if ((unsigned char)*s < ' ')
      fprintf(out, "\\u%04x", (unsigned)(unsigned char)*s);
    else if (*s == '"' || *s == '\\')
      fprintf(out, "\\%c", *s);
    else
      fwrite(s, 1, (size_t)n, out);
    s += n ? n : 1;
  }
  fputc('"', out);
}

/* "file": .., "line": .., "column": .., "end_line": .., "end_column": ..,
 * with null where there is no place. The end is exclusive. */
static void print_json_place(Span at, FILE *out) {
  Span end = {at.source, at.end, at.end};
  int line, column, end_line, end_column;
  span_position(at, &line, &column);
  span_position(end, &end_line, &end_column);
  fputs("\"file\": ", out);
  if (at.source)
    print_string(at.source->path, out);
  else
    fputs("null", out);
  if (line > 0)
    fprintf(out,
            ", \"line\": %d, \"column\": %d, \"end_line\": %d, "
            "\"end_column\": %d",
            line, column, end_line, end_column);
  else
    fputs(", \"line\": null, \"column\": null, \"end_line\": null, "
          "\"end_column\": null",
          out);
}

void diags_print_json(const Diags *d, FILE *out) {
  Entry entries[MAX_KEPT];
  int n = sorted(d, entries);
  fputs("[", out);
  for (int i = 0; i < n; i++) {
    const Diag *diag = entries[i].diag;
    fprintf(out, "%s\n  {\"severity\": \"error\", \"code\": \"%s\", ",
            i ? "," : "", diag->code);
    print_json_place(diag->at, out);
    fputs(", \"message\": ", out);
    print_string(diag->text, out);
    fputs(", \"notes\": [", out);
    for (const Remark *r = diag->notes; r; r = r->next) {
      fputs("{", out);
      print_json_place(r->at, out);
      fputs(", \"message\": ", out);
      print_string(r->text, out);
      fputs(r->next ? "}, " : "}", out);
    }
    fputs("], \"help\": [", out);
    for (const Remark *r = diag->helps; r; r = r->next) {
      print_string(r->text, out);
      fputs(r->next ? ", " : "", out);
    }
    fputs("]}", out);
  }
  fputs(n ? "\n]\n" : "]\n", out);
}

/* --- names ---------------------------------------------------------------- */

enum { LONGEST_NAME = 40, SHORTEST_BEGINNING = 3 };

static char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int least(int a, int b) {
  return a < b ? a : b;
}

static int to_change(char a, char b) {
  bool digits = a >= '0' && a <= '9' && b >= '0' && b <= '9';
  return a == b ? 0 : digits ? 3 : 1; /* for conv2d rather conv than conv1d */
}

/* Letters to add, drop, change or exchange with their neighbour to make b of
 * a; case does not count. Both have at most LONGEST_NAME letters. */
static int distance(const char *a, int na, const char *b, int nb) {
  int d[LONGEST_NAME + 1][LONGEST_NAME + 1];
  for (int i = 0; i <= na; i++)
    d[i][0] = i;
  for (int j = 0; j <= nb; j++)
    d[0][j] = j;
  for (int i = 1; i <= na; i++)
    for (int j = 1; j <= nb; j++) {
      char x = lower_case(a[i - 1]), y = lower_case(b[j - 1]);
      d[i][j] = least(d[i - 1][j - 1] + to_change(x, y),
                      1 + least(d[i - 1][j], d[i][j - 1]));
      if (i > 1 && j > 1 && x == lower_case(b[j - 2]) &&
          lower_case(a[i - 2]) == y)
        d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[na][nb];
}

/* Near means: one letter in three is wrong at most. The first of equals. */
/* One is the beginning of the other: batch_size, batch. */
static bool begins(const char *a, size_t n, const char *b, size_t m) {
  size_t least = n < m ? n : m;
  return least >= SHORTEST_BEGINNING && !strncmp(a, b, least);
}

const char *nearest_name(const char *name, const char *const *names, int n) {
  const char *best = NULL;
  size_t length = strlen(name);
  int limit = (int)length / 3;
  if (length > LONGEST_NAME)
    return NULL;
  for (int i = 0; i < n; i++) {
    size_t other = strlen(names[i]);
    if (other > LONGEST_NAME)
      continue;
    int far = distance(name, (int)length, names[i], (int)other);
    if (far <= limit && !(best && far == limit)) {
      best = names[i];
      limit = far;
    }
  }
  for (int i = 0, longest = 0; !best && i < n; i++) {
    int other = (int)strlen(names[i]);
    if (other > longest && other <= LONGEST_NAME &&
        begins(name, length, names[i], (size_t)other)) {
      best = names[i];
      longest = other;
    }
  }
  return best;
}
