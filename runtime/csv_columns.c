/* What the columns of a file of separated values hold. The whole file is read
 * once: how many values a record has, which columns are numbers and which are
 * names of categories, and where something is missing. A column is of one kind:
 * numbers among names, or names among numbers, are a mistake unless the
 * argument `category` says that they are names. Categories are sorted, by their
 * numbers if all are numbers, or else by their bytes, so that neither the order
 * of the rows nor the machine decides which is class 0. */
#include "runtime/csv.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_NAMES = 4096 };

const char *csv_column_name(const CsvColumns *c, int64_t i,
                            char buffer[CSV_NAME]) {
  char shown[CSV_SHOWN];
  const char *name = c->column[i].name;
  snprintf(buffer, CSV_NAME, "column %lld%s%s%s", (long long)i + 1,
           name ? " (" : "", name ? csv_shown(name, shown) : "",
           name ? ")" : "");
  return buffer;
}

void csv_columns_free(CsvColumns *c) {
  for (int64_t i = 0; c->column && i < c->n; i++) {
    CsvColumn *column = &c->column[i];
    for (int64_t k = 0; k < column->n_names; k++)
      free(column->names[k]);
    free(column->names);
    free(column->name);
  }
  free(c->column);
  *c = (CsvColumns){.n = 0};
}

/* ---- values ---- */

bool csv_number(const char *text, double *v) {
  const char *p = text + (*text == '+' || *text == '-');
  size_t whole = strspn(p, "0123456789");
  p += whole;
  size_t part = *p == '.' ? strspn(p + 1, "0123456789") : 0;
  p += *p == '.' ? part + 1 : 0;
  if (whole + part == 0)
    return false;
  if (*p == 'e' || *p == 'E') {
    p += 1 + (p[1] == '+' || p[1] == '-');
    if (!isdigit((unsigned char)*p))
      return false;
    p += strspn(p, "0123456789");
  }
  if (*p)
    return false;
  *v = strtod(text, NULL);
  return true;
}

typedef enum Kind { BLANK, NAMED, NUMBER, TEXT } Kind;

static Kind kind_of(const char *value, double *v) {
  static const char *const names[] = {"na", "n/a", "nan", "null"};
  if (!*value || !strcmp(value, "?"))
    return BLANK;
  if (csv_number(value, v))
    return NUMBER;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcasecmp(value, names[i]))
      return NAMED;
  return TEXT;
}

bool csv_missing(const CsvColumn *c, const char *value) {
  double v;
  Kind kind = kind_of(value, &v);
  return kind == BLANK || (kind == NAMED && !c->category);
}

/* ---- categories ---- */

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* 10 behind 9; numbers that are equal, as 1 and 1.0, by their bytes. */
static int by_number(const void *a, const void *b) {
  double x = strtod(*(char *const *)a, NULL);
  double y = strtod(*(char *const *)b, NULL);
  return x < y ? -1 : x > y ? 1 : by_bytes(a, b);
}

/* Where the name is or would be, in the order of bytes. */
static int64_t find(const CsvColumn *c, const char *name, bool *is) {
  int64_t low = 0, high = c->n_names;
  *is = false;
  while (low < high && !*is) {
    int64_t middle = (low + high) / 2;
    int order = strcmp(name, c->names[middle]);
    *is = order == 0;
    if (order <= 0)
      high = middle;
    else
      low = middle + 1;
  }
  return high;
}

static bool add_name(CsvColumn *c, const char *name, DataError *e) {
  bool is;
  int64_t at = find(c, name, &is);
  if (is || c->too_many)
    return true;
  if (c->n_names == c->capacity) {
    int64_t capacity = c->capacity ? 2 * c->capacity : 8;
    c->too_many = capacity > MAX_NAMES;
    if (c->too_many)
      return true;
    char **names = realloc(c->names, (size_t)capacity * sizeof *names);
    if (!names)
      return data_no_memory(e);
    c->names = names;
    c->capacity = capacity;
  }
  char *copy = data_alloc((int64_t)strlen(name) + 1, 1, e);
  if (!copy)
    return false;
  strcpy(copy, name);
  memmove(c->names + at + 1, c->names + at,
          (size_t)(c->n_names - at) * sizeof *c->names);
  c->names[at] = copy;
  c->n_names++;
  return true;
}

int64_t csv_category(const CsvColumn *c, const char *name) {
  bool numbers = c->text.count + c->named.count == 0;
  char *const *found =
      bsearch(&name, c->names, (size_t)c->n_names, sizeof *c->names,
              numbers ? by_number : by_bytes);
  return found ? found - c->names : -1;
}

/* ---- the first record and the roles ---- */

static bool is_header(const CsvFile *f, const DataValue *v) {
  double number;
  if (v[CSV_HEADER].given)
    return v[CSV_HEADER].number != 0;
  for (int64_t i = 0; i < f->n; i++)
    if (kind_of(f->value[i], &number) == NUMBER)
      return false;
  return true;
}

static bool make_columns(CsvColumns *c, const CsvFile *f, const DataValue *v,
                         DataError *e) {
  c->column = data_alloc(f->n, (int64_t)sizeof *c->column, e);
  if (!c->column)
    return false;
  c->n = f->n;
  c->header = is_header(f, v);
  for (int64_t i = 0; c->header && i < c->n; i++) {
    size_t size = strlen(f->value[i]) + 1;
    c->column[i].name = data_alloc((int64_t)size, 1, e);
    if (!c->column[i].name)
      return false;
    memcpy(c->column[i].name, f->value[i], size);
  }
  return true;
}

static bool no_column(const CsvColumns *c, const char *path, const char *name,
                      DataError *e) {
  char list[320] = "", shown[CSV_SHOWN];
  size_t used = 0;
  if (!c->header)
    return data_fail(e, "%s: no column '%s': the file has no header; say "
                     "column(n), from 1 to %lld, or header = true", path, name,
                     (long long)c->n);
  for (int64_t i = 0; i < c->n && used < sizeof list - 60; i++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                             i ? ", " : "",
                             csv_shown(c->column[i].name, shown));
  return data_fail(e, "%s: no column '%s'; there are: %s", path, name, list);
}

static bool find_name(const CsvColumns *c, const char *path, const char *name,
                      int64_t *at, DataError *e) {
  *at = -1;
  for (int64_t i = 0; i < c->n; i++)
    if (c->column[i].name && !strcmp(c->column[i].name, name)) {
      if (*at >= 0)
        return data_fail(e, "%s: columns %lld and %lld are both called '%s'",
                         path, (long long)*at + 1, (long long)i + 1, name);
      *at = i;
    }
  return *at >= 0 || no_column(c, path, name, e);
}

/* The k-th of the columns that an argument names. */
static bool find_column(const CsvColumns *c, const DataValue *v,
                        const char *path, int k, int64_t *at, DataError *e) {
  if (v->string)
    return find_name(c, path, v->strings[k], at, e);
  *at = (int64_t)v->numbers[k] - 1;
  return *at < c->n || data_fail(e, "%s: no column %lld: there are %lld", path,
                                 (long long)*at + 1, (long long)c->n);
}

/* Marks the columns that the arguments name. */
static bool set_roles(CsvColumns *c, const DataValue *v, DataError *e) {
  static const int which[] = {CSV_TARGET, CSV_IGNORE, CSV_CATEGORY};
  const char *path = v[CSV_FILE].string;
  for (int i = 0; i < 3; i++) {
    const DataValue *list = &v[which[i]];
    int n = list->string ? list->n_strings : list->n_numbers;
    for (int k = 0; k < n; k++) {
      int64_t at;
      char name[CSV_NAME];
      if (!find_column(c, list, path, k, &at, e))
        return false;
      CsvColumn *column = &c->column[at];
      if (which[i] == CSV_CATEGORY) {
        column->category = column->declared = true;
      } else if (column->role != CSV_IS_FEATURE) {
        return data_fail(e, "%s: %s is named twice in target and ignore", path,
                         csv_column_name(c, at, name));
      } else {
        column->role =
            which[i] == CSV_TARGET ? CSV_IS_TARGET : CSV_IS_IGNORED;
      }
    }
  }
  return true;
}

/* ---- what all records hold ---- */

static void note(CsvPlace *p, const CsvFile *f, const char *value) {
  if (p->count++ > 0)
    return;
  p->path = f->path;
  p->record = f->record;
  p->line = f->line;
  csv_shown(value, p->value);
}

static bool too_large(const CsvColumns *c, int64_t i, const CsvFile *f,
                      DataError *e) {
  char name[CSV_NAME], shown[CSV_SHOWN];
  return data_fail(e, "%s: record %lld (line %lld), %s: %s is too large a"
                   " number for f32", f->path, (long long)f->record,
                   (long long)f->line, csv_column_name(c, i, name),
                   csv_shown(f->value[i], shown));
}

static bool look_at(CsvColumns *c, int64_t i, const CsvFile *f, DataError *e) {
  CsvColumn *column = &c->column[i];
  const char *value = f->value[i];
  double v = 0;
  Kind kind = kind_of(value, &v);
  CsvPlace *place[] = {[BLANK] = &column->blank, [NAMED] = &column->named,
                       [NUMBER] = &column->number, [TEXT] = &column->text};
  note(place[kind], f, value);
  if (kind == NUMBER && !column->declared)
    return fabs(v) <= (double)FLT_MAX || too_large(c, i, f, e);
  return kind == BLANK || add_name(column, value, e);
}

static bool look_at_record(CsvColumns *c, const CsvFile *f, DataError *e) {
  if (f->n != c->n)
    return data_fail(e, "%s: record %lld (line %lld): %lld values, but there"
                     " are %lld columns", f->path, (long long)f->record,
                     (long long)f->line, (long long)f->n, (long long)c->n);
  for (int64_t i = 0; i < c->n; i++)
    if (c->column[i].role != CSV_IS_IGNORED && !look_at(c, i, f, e))
      return false;
  return true;
}

static bool look_at_file(CsvColumns *c, CsvFile *f, int64_t *rows,
                         DataError *e) {
  bool end = false;
  while (!end) {
    if (!csv_next(f, &end, e) || (!end && !look_at_record(c, f, e)))
      return false;
    *rows += !end;
  }
  return *rows > 0 || data_fail(e, "%s: no records", f->path);
}

/* ---- the verdict ---- */

static bool wrong_value(const CsvColumns *c, int64_t i, const CsvPlace *p,
                        const char *what, DataError *e) {
  char name[CSV_NAME];
  return data_fail(e, "%s: record %lld (line %lld), %s: '%s' %s", p->path,
                   (long long)p->record, (long long)p->line,
                   csv_column_name(c, i, name), p->value, what);
}

static bool check_kind(CsvColumns *c, int64_t i, const char *path,
                       DataError *e) {
  CsvColumn *column = &c->column[i];
  char name[CSV_NAME];
  int64_t texts = column->text.count, numbers = column->number.count;
  if (!column->declared && texts > 0 && numbers >= texts)
    return wrong_value(c, i, &column->text,
                       !c->header && column->text.record == 1
                           ? "is not a number; does the file have a header?"
                             " header = true"
                           : "is not a number; the argument `category` takes a"
                             " column's values as names", e);
  if (!column->declared && texts > 0 && numbers > 0)
    return wrong_value(c, i, &column->number,
                       "is a number among names; the argument `category` takes"
                       " all as names", e);
  if (texts + numbers == 0 && !column->declared)
    return data_fail(e, "%s: %s has no values", path,
                     csv_column_name(c, i, name));
  column->category = column->declared || texts > 0;
  if (column->category && column->too_many)
    return data_fail(e, "%s: %s has more than %d different names; `ignore`"
                     " leaves a column out", path, csv_column_name(c, i, name),
                     MAX_NAMES);
  return true;
}

static bool check_missing(const CsvColumns *c, int64_t i, DataError *e) {
  const CsvColumn *column = &c->column[i];
  const CsvPlace *p = column->blank.count ? &column->blank : &column->named;
  int64_t n = column->blank.count + (column->category ? 0 : column->named.count);
  if (n == 0 || c->drop)
    return true;
  if (column->role == CSV_IS_TARGET || column->category)
    return wrong_value(c, i, p, column->category
                                    ? "is missing among names; missing = "
                                      "\"drop\" leaves out such records"
                                    : "is a missing target; missing = \"drop\""
                                      " leaves out such records", e);
  return c->mean || c->has_fill ||
         wrong_value(c, i, p, "is missing; say missing = \"mean\", \"drop\" or"
                     " a number", e);
}

/* Where the elements of each column stand; a category among the features is
 * as many elements as it has names. */
static bool place_columns(CsvColumns *c, const char *path, DataError *e) {
  char name[CSV_NAME];
  int64_t categories = 0;
  for (int64_t i = 0; i < c->n; i++) {
    CsvColumn *column = &c->column[i];
    bool target = column->role == CSV_IS_TARGET;
    if (column->role == CSV_IS_IGNORED)
      continue;
    if (!check_kind(c, i, path, e) || !check_missing(c, i, e))
      return false;
    if (column->category && column->text.count + column->named.count == 0)
      qsort(column->names, (size_t)column->n_names, sizeof *column->names,
            by_number);
    int64_t *elements = target ? &c->targets : &c->features;
    column->at = *elements;
    *elements += column->category && !target ? column->n_names : 1;
    if (target && column->category) {
      c->classes = column->n_names;
      categories++;
    }
    if (target && column->category && c->classes < 2)
      return data_fail(e, "%s: %s has one class alone", path,
                       csv_column_name(c, i, name));
  }
  if (categories > 0 && c->targets > 1)
    return data_fail(e, "%s: a target of names stands alone; there are %lld"
                     " targets", path, (long long)c->targets);
  return c->features > 0 || data_fail(e, "%s: no column is left for the"
                                      " features", path);
}

/* ---- files ---- */

static bool policy(CsvColumns *c, const DataValue *v, DataError *e) {
  const DataValue *missing = &v[CSV_MISSING];
  const char *word = missing->string;
  c->drop = word && !strcmp(word, "drop");
  c->mean = word && !strcmp(word, "mean");
  c->has_fill = missing->given && !word;
  c->fill = missing->number;
  return !word || c->drop || c->mean ||
         data_fail(e, "csv: missing is \"mean\", \"drop\" or a number, not "
                   "'%s'", word);
}

static bool separator_of(const DataValue *v, int *separator, DataError *e) {
  const char *word = v[CSV_SEPARATOR].string;
  *separator = 0;
  if (!word)
    return true;
  *separator = !strcmp(word, "tab") ? '\t' : word[0];
  return (*separator == '\t' || (!word[1] && !strchr("\"\n\r", word[0]))) ||
         data_fail(e, "csv: separator is one character or \"tab\", not '%s'",
                   word);
}

/* Names of another file's columns must be the same. */
static bool check_header(const CsvColumns *c, const CsvFile *f, DataError *e) {
  char name[CSV_NAME], shown[CSV_SHOWN];
  if (f->n != c->n)
    return data_fail(e, "%s: %lld columns, not %lld", f->path, (long long)f->n,
                     (long long)c->n);
  for (int64_t i = 0; i < c->n; i++)
    if (strcmp(c->column[i].name, f->value[i]) != 0)
      return data_fail(e, "%s: %s is called '%s' here", f->path,
                       csv_column_name(c, i, name),
                       csv_shown(f->value[i], shown));
  return true;
}

bool csv_begin(CsvFile *f, const char *path, const DataValue *v,
               DataError *e) {
  int separator;
  *f = (CsvFile){.path = path};
  return separator_of(v, &separator, e) && csv_open(f, path, separator, e);
}

bool csv_start(CsvFile *f, const CsvColumns *c, const char *path,
               const DataValue *v, DataError *e) {
  bool end;
  if (!csv_begin(f, path, v, e))
    return false;
  if (!c->header)
    return true;
  if (!csv_next(f, &end, e))
    return false;
  csv_was_header(f);
  return !end ? check_header(c, f, e) : data_fail(e, "%s: empty", path);
}

/* The file itself: its first record makes the columns. */
static bool first_file(CsvColumns *c, CsvFile *f, const DataValue *v,
                       DataError *e) {
  bool end;
  if (!csv_begin(f, v[CSV_FILE].string, v, e) || !csv_next(f, &end, e))
    return false;
  if (end)
    return data_fail(e, "%s: empty", f->path);
  if (!make_columns(c, f, v, e) || !set_roles(c, v, e))
    return false;
  if (c->header)
    csv_was_header(f);
  else if (!look_at_record(c, f, e))
    return false;
  c->rows = !c->header;
  return look_at_file(c, f, &c->rows, e);
}

bool csv_survey(CsvColumns *c, const DataValue *v, DataError *e) {
  CsvFile f = {.path = v[CSV_FILE].string};
  const char *test = v[CSV_TEST].string;
  *c = (CsvColumns){.n = 0};
  bool ok = policy(c, v, e) && first_file(c, &f, v, e);
  csv_close(&f);
  if (ok && test) {
    ok = csv_start(&f, c, test, v, e) && look_at_file(c, &f, &c->test_rows, e);
    csv_close(&f);
  }
  ok = ok && place_columns(c, v[CSV_FILE].string, e);
  if (!ok)
    csv_columns_free(c);
  return ok;
}
