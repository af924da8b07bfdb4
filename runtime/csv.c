/* The reader csv(file, target = ..): separated values, as f32 features and a
 * target of numbers or a class. What the columns hold is found by csv_columns.c
 * and here made into rows. A category among the features is as many elements as
 * it has names, of which one is 1. The test is the last rows of the file, or a
 * file of its own with the same columns. Records with missing values are left
 * out, or filled, only as the argument `missing` says. */
#include "runtime/csv.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEATURES, TARGET }; /* the columns of the data set */

static const DataParam params[] = {
    [CSV_FILE] = {"file", PARAM_PATH, true, 0, 0, 0},
    [CSV_TARGET] = {"target", PARAM_COLUMNS, true, 1, 65536, 0},
    [CSV_SEPARATOR] = {"separator", PARAM_WORD, false, 0, 0, 0},
    [CSV_HEADER] = {"header", PARAM_INTEGER, false, 0, 1, 0},
    [CSV_TEST] = {"test", PARAM_PATH_OR_SHARE, false, 1e-9, 1e15, 0},
    [CSV_MISSING] = {"missing", PARAM_WORD_OR_NUMBER, false, -1e30, 1e30, 0},
    [CSV_CATEGORY] = {"category", PARAM_COLUMNS, false, 1, 65536, 0},
    [CSV_IGNORE] = {"ignore", PARAM_COLUMNS, false, 1, 65536, 0},
    {.name = NULL}};

/* ---- one record ---- */

/* Writes what the value of a column makes; a missing one makes NaN, which is
 * filled later. */
static void put_value(const CsvColumn *column, const char *value, float *to) {
  double v = (double)NAN;
  to += column->at;
  if (column->category) {
    to[csv_category(column, value)] = 1; /* csv_survey has seen every name */
    return;
  }
  if (!csv_missing(column, value))
    csv_number(value, &v);
  *to = (float)v;
}

/* What reads records of a file into rows of a split. The columns of the file
 * may be others than those that the data set was made from: see match. */
typedef struct Rows {
  const CsvColumns *c;
  const int64_t *at; /* of each of c's columns in the file, -1: not there */
  int64_t width;     /* of the file's records */
  DataSplit *s;
  int64_t end;  /* rows that there is room for */
  double fill;  /* see fill_missing */
  bool targets; /* the split has a target */
} Rows;

static bool changed(const CsvFile *f, DataError *e) {
  return data_fail(e, "%s: changed while it was read", f->path);
}

/* Whether the value can be one of its column: files that were surveyed have no
 * others, unless they change. */
static bool is_known(const CsvColumns *c, const CsvColumn *column,
                     const char *value) {
  double v;
  if (column->category)
    return csv_category(column, value) >= 0;
  if (csv_missing(column, value))
    return c->mean || c->has_fill;
  return csv_number(value, &v) && fabs(v) <= (double)FLT_MAX;
}

static bool put_record(Rows *r, const CsvFile *f, DataError *e) {
  const CsvColumns *c = r->c;
  float *x = (float *)r->s->column[FEATURES] + r->s->rows * c->features;
  float *y = r->targets && !c->classes
                 ? (float *)r->s->column[TARGET] + r->s->rows * c->targets
                 : NULL;
  if (r->s->rows == r->end)
    return changed(f, e);
  for (int64_t i = 0; i < c->n; i++) {
    const CsvColumn *column = &c->column[i];
    const char *value = r->at[i] >= 0 ? f->value[r->at[i]] : "";
    char name[CSV_NAME], shown[CSV_SHOWN];
    if (column->role == CSV_IS_IGNORED ||
        (column->role == CSV_IS_TARGET && !r->targets))
      continue;
    if (!is_known(c, column, value))
      return data_fail(e, "%s: record %lld (line %lld), %s: '%s' is not a value"
                       " that this column has", f->path, (long long)f->record,
                       (long long)f->line, csv_column_name(c, i, name),
                       csv_shown(value, shown));
    if (column->role == CSV_IS_FEATURE)
      put_value(column, value, x);
    else if (y)
      put_value(column, value, y);
    else
      ((int32_t *)r->s->column[TARGET])[r->s->rows] =
          (int32_t)csv_category(column, value);
  }
  r->s->rows++;
  return true;
}

static bool is_dropped(const Rows *r, const CsvFile *f) {
  const CsvColumns *c = r->c;
  for (int64_t i = 0; c->drop && r->targets && i < c->n; i++)
    if (c->column[i].role != CSV_IS_IGNORED &&
        csv_missing(&c->column[i], f->value[i]))
      return true;
  return false;
}

static bool put_records(Rows *r, CsvFile *f, DataError *e) {
  for (bool end = false;;) {
    if (!csv_next(f, &end, e))
      return false;
    if (end)
      break;
    if (f->n != r->width)
      return data_fail(e, "%s: record %lld (line %lld): %lld values, but there"
                       " are %lld columns", f->path, (long long)f->record,
                       (long long)f->line, (long long)f->n,
                       (long long)r->width);
    if (!is_dropped(r, f) && !put_record(r, f, e))
      return false;
  }
  return r->s->rows > 0 ||
         data_fail(e, "%s: no records without missing values", f->path);
}

/* ---- missing numbers ---- */

/* Fills what is missing in all splits: with the number of the argument, or with
 * the mean of the training rows that have one. */
static bool fill_missing(Dataset *d, const CsvColumns *c, DataError *e) {
  const DataSplit *train = &d->split[DATA_TRAIN];
  for (int64_t k = 0; k < c->features && (c->mean || c->has_fill); k++) {
    double sum = 0, fill = c->fill;
    int64_t n = 0;
    const float *x = train->column[FEATURES];
    for (int64_t i = 0; i < train->rows; i++)
      if (!isnan(x[i * c->features + k])) {
        sum += (double)x[i * c->features + k];
        n++;
      }
    if (c->mean && n == 0)
      return data_fail(e, "csv: feature %lld has no value in the training part"
                       " that a mean could be taken of", (long long)k + 1);
    if (c->mean)
      fill = sum / (double)n;
    for (int s = 0; s < DATA_SPLITS; s++) {
      float *y = d->split[s].column[FEATURES];
      for (int64_t i = 0; i < d->split[s].rows; i++)
        if (isnan(y[i * c->features + k]))
          y[i * c->features + k] = (float)fill;
    }
  }
  return true;
}

/* ---- the reader ---- */

static void make_fields(const CsvColumns *c, NetField *f, int *n) {
  f[(*n)++] = data_field("features", NET_F32, 1, &c->features, 0);
  f[(*n)++] = c->classes
                  ? data_field("target", NET_I32, 0, NULL, c->classes)
                  : data_field("target", NET_F32, 1, &c->targets, 0);
}

static bool fields(const DataValue *v, NetField *f, int *n, DataError *e) {
  CsvColumns c;
  if (!csv_survey(&c, v, e))
    return false;
  make_fields(&c, f, n);
  csv_columns_free(&c);
  return true;
}

static void add_columns(Dataset *d, const CsvColumns *c) {
  NetField f[NET_FIELDS];
  int n = 0;
  make_fields(c, f, &n);
  data_add_column(d, &f[FEATURES], STORE_F32);
  data_add_column(d, &f[TARGET], c->classes ? STORE_I32 : STORE_F32);
}

/* The names of the target's categories are those of the classes. */
static bool name_classes(Dataset *d, CsvColumns *c, DataError *e) {
  if (!c->classes)
    return true;
  d->class_names = data_alloc(c->classes, (int64_t)sizeof(char *), e);
  for (int64_t i = 0; d->class_names && i < c->n; i++) {
    CsvColumn *column = &c->column[i];
    if (column->role != CSV_IS_TARGET)
      continue;
    memcpy(d->class_names, column->names,
           (size_t)c->classes * sizeof *column->names);
    column->n_names = 0; /* the data set has them now */
  }
  return d->class_names != NULL;
}

static bool read_file(Dataset *d, DataSplitName split, const CsvColumns *c,
                      const char *path, int64_t records, const DataValue *v,
                      DataError *e) {
  CsvFile f = {.path = path};
  DataSplit *s = &d->split[split];
  Rows r = {.c = c, .width = c->n, .s = s, .end = records, .targets = true};
  int64_t *at = data_alloc(c->n, (int64_t)sizeof *at, e);
  for (int64_t i = 0; at && i < c->n; i++)
    at[i] = i;
  r.at = at;
  s->column[FEATURES] = data_alloc(records, 4 * c->features, e);
  s->column[TARGET] =
      data_alloc(records, 4 * (c->classes ? 1 : c->targets), e);
  bool ok = at && s->column[FEATURES] && s->column[TARGET] &&
            csv_start(&f, c, path, v, e) && put_records(&r, &f, e);
  csv_close(&f);
  free(at);
  return ok;
}

/* With the test, where that is cut off it. */
static bool read_training(Dataset *d, const CsvColumns *c, const DataValue *v,
                          DataError *e) {
  const DataValue *test = &v[CSV_TEST];
  return read_file(d, DATA_TRAIN, c, v[CSV_FILE].string, c->rows, v, e) &&
         (test->string || !test->given ||
          data_split_test(d, test->number, false, e));
}

static bool open_files(Dataset *d, const DataValue *v, uint64_t seed,
                       DataError *e) {
  CsvColumns c;
  const char *test = v[CSV_TEST].string;
  (void)seed;
  if (!csv_survey(&c, v, e))
    return false;
  add_columns(d, &c);
  bool ok = read_training(d, &c, v, e) &&
            (!test || read_file(d, DATA_TEST, &c, test, c.test_rows, v, e)) &&
            fill_missing(d, &c, e) && name_classes(d, &c, e);
  csv_columns_free(&c);
  return ok;
}

/* ---- a file for predict ---- */

/* Where the features stand in another file: by the names of its header, or, if
 * there is none, as in the first file, with or without the targets. */
static bool match(const CsvColumns *c, const CsvFile *f, int64_t *at,
                  DataError *e) {
  bool whole = f->n == c->n;
  int64_t next = 0;
  if (!c->header && !whole && f->n != c->n - c->targets)
    return data_fail(e, "%s: %lld columns; want %lld, or %lld without the"
                     " target", f->path, (long long)f->n, (long long)c->n,
                     (long long)(c->n - c->targets));
  for (int64_t i = 0; i < c->n; i++) {
    char name[CSV_NAME];
    bool target = c->column[i].role == CSV_IS_TARGET;
    at[i] = -1;
    if (!c->header && (whole || !target))
      at[i] = next++;
    for (int64_t k = 0; c->header && k < f->n && at[i] < 0; k++)
      if (!strcmp(c->column[i].name, f->value[k]))
        at[i] = k;
    if (at[i] < 0 && c->column[i].role == CSV_IS_FEATURE)
      return data_fail(e, "%s: there is no %s", f->path,
                       csv_column_name(c, i, name));
  }
  return true;
}

/* The first record of the file, of which a header is none. */
static bool first_record(CsvFile *f, const CsvColumns *c, const char *path,
                         const DataValue *v, DataError *e) {
  bool end;
  if (!csv_begin(f, path, v, e) || !csv_next(f, &end, e))
    return false;
  if (end)
    return data_fail(e, "%s: empty", path);
  if (c->header)
    csv_was_header(f);
  return true;
}

/* Finds the columns of the file and counts its records. */
static bool look_over(Rows *r, int64_t *at, const char *path,
                      const DataValue *v, DataError *e) {
  CsvFile f = {.path = path};
  bool end = false;
  bool ok = first_record(&f, r->c, path, v, e) && match(r->c, &f, at, e);
  r->width = f.n;
  r->end = !r->c->header;
  while (ok && !end) {
    ok = csv_next(&f, &end, e);
    r->end += !end;
  }
  csv_close(&f);
  return ok;
}

static bool read_other(Dataset *d, const CsvColumns *c, const char *path,
                       const DataValue *v, DataError *e) {
  CsvFile f = {.path = path};
  Rows r = {.c = c, .s = &d->split[DATA_TEST]};
  int64_t *at = data_alloc(c->n, (int64_t)sizeof *at, e);
  r.at = at;
  bool ok = at && look_over(&r, at, path, v, e);
  float *x = ok ? data_alloc(r.end, 4 * c->features, e) : NULL;
  r.s->column[FEATURES] = x;
  ok = x && (c->header ? first_record(&f, c, path, v, e)
                       : csv_begin(&f, path, v, e)) &&
       put_records(&r, &f, e);
  csv_close(&f);
  free(at);
  return ok;
}

static void drop_split(DataSplit *s) {
  for (int i = 0; i < 2; i++)
    free(s->column[i]);
  *s = (DataSplit){.rows = 0};
}

/* The training part is read as well where its means fill what is missing. */
static bool open_file(Dataset *d, const DataValue *v, const char *file,
                      DataError *e) {
  CsvColumns c;
  if (!csv_survey(&c, v, e))
    return false;
  add_columns(d, &c);
  bool ok = !c.mean || read_training(d, &c, v, e);
  drop_split(&d->split[DATA_TEST]);
  ok = ok && read_other(d, &c, file, v, e) && fill_missing(d, &c, e) &&
       name_classes(d, &c, e);
  drop_split(&d->split[DATA_TRAIN]);
  d->n_columns = 1;
  csv_columns_free(&c);
  return ok;
}

const DataReader reader_csv = {.name = "csv",
                               .params = params,
                               .fields = fields,
                               .open = open_files,
                               .open_file = open_file};
