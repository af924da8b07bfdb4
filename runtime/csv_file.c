/* Records of a file of separated values, as RFC 4180 has them: a value in
 * quotes may hold separators, line ends and doubled quotes. Blanks around a
 * value do not count; a line ends at LF, CR or CR LF; empty lines are passed
 * over. A record is held until the next is read, and no more than one. */
#include "runtime/csv.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_RECORD = 1 << 24, MAX_VALUES = 1 << 16, LOOK = 1 << 16 };

const char *csv_shown(const char *value, char buffer[CSV_SHOWN]) {
  int n = 0;
  for (; value[n] && n < 40; n++) {
    unsigned char c = (unsigned char)value[n];
    buffer[n] = c < ' ' || c == 127 ? '?' : value[n];
  }
  memcpy(buffer + n, value[n] ? "..." : "", value[n] ? 4 : 1);
  return buffer;
}

/* ---- the separator ---- */

/* How often each candidate stands outside quotes in the line at *text, which
 * moves to the next line; false at the end. */
static const char candidates[] = ";\t,|";
enum { CANDIDATES = sizeof candidates - 1 };

static bool count_line(const char **text, const char *end,
                       int count[CANDIDATES]) {
  bool quoted = false, any = false;
  memset(count, 0, sizeof(int[CANDIDATES]));
  for (; *text < end; (*text)++) {
    char c = **text;
    const char *found = strchr(candidates, c);
    if (c == '"')
      quoted = !quoted;
    if (!quoted && (c == '\n' || c == '\r')) {
      if (any)
        return true;
      continue;
    }
    any = true;
    if (!quoted && c && found)
      count[found - candidates]++;
  }
  return any;
}

/* The first candidate that the first two lines have equally often; or that the
 * first line has; or a comma. */
static int find_separator(FILE *f) {
  char text[LOOK];
  int one[CANDIDATES], two[CANDIDATES], found = 0;
  size_t n = fread(text, 1, LOOK, f);
  const char *p = text, *end = text + n;
  rewind(f);
  if (n > 0 && count_line(&p, end, one)) {
    bool more = count_line(&p, end, two);
    for (int i = CANDIDATES; i-- > 0;)
      if (one[i] && (!found || !more || one[i] == two[i]))
        found = candidates[i];
  }
  return found ? found : ',';
}

/* ---- opening ---- */

bool csv_open(CsvFile *f, const char *path, int separator, DataError *e) {
  int64_t bytes;
  *f = (CsvFile){.path = path, .next_line = 1, .separator = separator};
  f->file = data_file(path, &bytes, e);
  if (!f->file)
    return false;
  if (bytes == 0)
    return data_fail(e, "%s: empty", path);
  if (!separator)
    f->separator = find_separator(f->file);
  /* A byte order mark is no part of the first value. */
  if (getc_unlocked(f->file) != 0xEF || getc_unlocked(f->file) != 0xBB || getc_unlocked(f->file) != 0xBF)
    rewind(f->file);
  return true;
}

void csv_close(CsvFile *f) {
  if (f->file)
    fclose(f->file);
  free(f->value);
  free(f->start);
  free(f->text);
  *f = (CsvFile){.path = f->path};
}

/* ---- reading ---- */

static bool put(CsvFile *f, int c, DataError *e) {
  if (f->used == f->text_capacity) {
    size_t capacity = f->text_capacity ? 2 * f->text_capacity : 256;
    if (capacity > MAX_RECORD)
      return data_fail(e, "%s: line %lld: a record of more than %d bytes",
                       f->path, (long long)f->line, MAX_RECORD);
    char *text = realloc(f->text, capacity);
    if (!text)
      return data_no_memory(e);
    f->text = text;
    f->text_capacity = capacity;
  }
  f->text[f->used++] = (char)c;
  return true;
}

/* A value begins here. */
static bool begin(CsvFile *f, DataError *e) {
  if ((size_t)f->n == f->start_capacity) {
    size_t capacity = f->start_capacity ? 2 * f->start_capacity : 32;
    if (capacity > MAX_VALUES)
      return data_fail(e, "%s: line %lld: more than %d values", f->path,
                       (long long)f->line, MAX_VALUES);
    size_t *start = realloc(f->start, capacity * sizeof *start);
    if (start)
      f->start = start;
    char **value = realloc(f->value, capacity * sizeof *value);
    if (value)
      f->value = value;
    if (!start || !value)
      return data_no_memory(e);
    f->start_capacity = capacity;
  }
  f->start[f->n++] = f->used;
  return true;
}

static int next_byte(CsvFile *f) {
  int c = getc_unlocked(f->file);
  if (c == '\r') { /* CR LF, or CR alone */
    c = getc_unlocked(f->file);
    if (c != '\n' && c != EOF)
      ungetc(c, f->file);
    c = '\n';
  }
  if (c == '\n')
    f->next_line++;
  return c;
}

static bool is_blank(const CsvFile *f, int c) {
  return (c == ' ' || c == '\t') && c != f->separator;
}

static bool ends_value(const CsvFile *f, int c) {
  return c == f->separator || c == '\n' || c == EOF;
}

/* Behind the opening quote; *c becomes what ends the value. */
static bool quoted(CsvFile *f, int *c, DataError *e) {
  int64_t line = f->next_line;
  for (;;) {
    *c = next_byte(f);
    if (*c == EOF)
      return data_fail(e, "%s: line %lld: the quotes do not end", f->path,
                       (long long)line);
    if (*c == '"' && (*c = next_byte(f)) != '"')
      break;
    if (*c == 0)
      return data_fail(e, "%s: line %lld: a zero byte", f->path,
                       (long long)f->next_line);
    if (!put(f, *c, e))
      return false;
  }
  while (is_blank(f, *c))
    *c = next_byte(f);
  if (ends_value(f, *c))
    return put(f, 0, e);
  return data_fail(e, "%s: line %lld: value %lld goes on behind its quotes",
                   f->path, (long long)f->next_line, (long long)f->n);
}

static bool plain(CsvFile *f, int *c, DataError *e) {
  for (; !ends_value(f, *c); *c = next_byte(f)) {
    if (*c == 0)
      return data_fail(e, "%s: line %lld: a zero byte", f->path,
                       (long long)f->next_line);
    if (!put(f, *c, e))
      return false;
  }
  while (f->used > f->start[f->n - 1] && is_blank(f, f->text[f->used - 1]))
    f->used--;
  return put(f, 0, e);
}

bool csv_next(CsvFile *f, bool *end, DataError *e) {
  int c;
  do {
    f->line = f->next_line;
    c = next_byte(f);
  } while (c == '\n');
  *end = c == EOF && !ferror(f->file);
  f->n = 0;
  f->used = 0;
  if (*end)
    return true;
  for (;; c = next_byte(f)) {
    while (is_blank(f, c))
      c = next_byte(f);
    if (!begin(f, e))
      return false;
    if (!(c == '"' ? quoted(f, &c, e) : plain(f, &c, e)))
      return false;
    if (c != f->separator)
      break;
  }
  if (ferror(f->file))
    return data_fail(e, "%s: line %lld cannot be read", f->path,
                     (long long)f->line);
  for (int64_t i = 0; i < f->n; i++)
    f->value[i] = f->text + f->start[i];
  f->record++;
  return true;
}

void csv_was_header(CsvFile *f) {
  f->record = 0;
}
