/* Parts of the training part: the last rows become the test, and a seeded draw
 * becomes the validation part, in which each class has its share of the rows.
 * Rows keep their order in both parts. What is not there yet is cut nowhere
 * else: readers that have a test of their own set its split themselves. */
#include "runtime/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool data_share(const char *what, double share, int64_t rows, int64_t *n,
                DataError *e) {
  *n = share < 1 ? llround(share * (double)rows) : (int64_t)share;
  if (*n >= 1 && *n < rows)
    return true;
  return data_fail(e, "%s = %g: %lld of %lld rows; want at least 1, and as many"
                   " for training", what, share, (long long)*n,
                   (long long)rows);
}

static size_t row_size(const DataColumn *c) {
  return (size_t)c->count * (c->store == STORE_U8 ? 1 : 4);
}

/* Copies the rows that are taken and closes the gaps. */
static void move_rows(const DataColumn *c, char *from, char *to, int64_t rows,
                      const uint8_t *take) {
  size_t size = row_size(c);
  char *stay = from;
  for (int64_t i = 0; i < rows; i++, from += size) {
    char **place = take[i] ? &to : &stay;
    if (*place != from)
      memcpy(*place, from, size);
    *place += size;
  }
}

/* Moves n rows of the training part, those with take[row], into a split that
 * has no rows yet. */
static bool cut(Dataset *d, DataSplitName name, const uint8_t *take, int64_t n,
                DataError *e) {
  DataSplit *from = &d->split[DATA_TRAIN], *to = &d->split[name];
  for (int i = 0; i < d->n_columns; i++) {
    const DataColumn *c = &d->column[i];
    to->column[i] = data_alloc(n, (int64_t)row_size(c), e);
    if (!to->column[i])
      return false;
    move_rows(c, from->column[i], to->column[i], from->rows, take);
    /* Smaller than before: what it had is good if this fails. */
    size_t size = row_size(c) * (size_t)(from->rows - n);
    void *rest = realloc(from->column[i], size ? size : 1);
    if (rest)
      from->column[i] = rest;
  }
  to->rows = n;
  from->rows -= n;
  return true;
}

/* ---- which rows ---- */

typedef struct Draw {
  int64_t rows, n, classes;
  const int32_t *label; /* NULL: all rows are of one class */
  int64_t *order;       /* the rows, in the order in which they are taken */
  int64_t *quota;       /* rows of each class that are still to be taken */
  int64_t *rest;        /* of the division that made the quota */
  uint8_t *take;
} Draw;

static int64_t class_of(const Draw *w, int64_t row) {
  return w->label ? w->label[row] : 0;
}

/* Each class has n / rows of its rows, rounded so that the sum is n: those with
 * the largest rest get one more, of equal ones the first. */
static void set_quota(Draw *w) {
  int64_t left = w->n;
  for (int64_t i = 0; i < w->rows; i++)
    w->quota[class_of(w, i)]++;
  for (int64_t k = 0; k < w->classes; k++) {
    /* Long double: exact for 2^31 x 2^31 rows and beyond. */
    long double share = (long double)w->quota[k] * (long double)w->n;
    int64_t whole = (int64_t)floorl(share / (long double)w->rows);
    w->rest[k] = (int64_t)(share - (long double)whole * (long double)w->rows);
    w->quota[k] = whole;
    left -= whole;
  }
  for (; left > 0; left--) {
    int64_t best = 0;
    for (int64_t k = 1; k < w->classes; k++)
      if (w->rest[k] > w->rest[best])
        best = k;
    w->quota[best]++;
    w->rest[best] = -1;
  }
}

/* In random order, or, without a seed, from the last one on. */
static void take_rows(Draw *w, const uint64_t *seed) {
  for (int64_t i = 0; i < w->rows; i++)
    w->order[i] = w->rows - 1 - i;
  if (seed)
    data_shuffle(w->order, w->rows, *seed, 0, PLACE_VALIDATION);
  for (int64_t i = 0; i < w->rows; i++) {
    int64_t *quota = &w->quota[class_of(w, w->order[i])];
    if (*quota > 0) {
      (*quota)--;
      w->take[w->order[i]] = 1;
    }
  }
}

/* The column of classes, one a row; NULL if none has, or if it has so many
 * that a share of each means little. */
enum { MANY_CLASSES = 4096 };
static const int32_t *classes_of(const Dataset *d, int64_t *classes) {
  for (int i = 0; i < d->n_columns; i++) {
    const NetField *f = &d->column[i].field;
    *classes = f->classes;
    if (f->rank == 0 && f->classes > 0 &&
        f->classes <= MANY_CLASSES)
      return d->split[DATA_TRAIN].column[i];
  }
  *classes = 1;
  return NULL;
}

static bool split(Dataset *d, DataSplitName to, const char *what, double share,
                  bool each_class, const uint64_t *seed, DataError *e) {
  Draw w = {.rows = d->split[DATA_TRAIN].rows, .classes = 1};
  if (!data_share(what, share, w.rows, &w.n, e))
    return false;
  if (each_class)
    w.label = classes_of(d, &w.classes);
  w.order = data_alloc(w.rows, (int64_t)sizeof *w.order, e);
  w.quota = data_alloc(w.classes, (int64_t)sizeof *w.quota, e);
  w.rest = data_alloc(w.classes, (int64_t)sizeof *w.rest, e);
  w.take = data_alloc(w.rows, 1, e);
  bool ok = w.order && w.quota && w.rest && w.take;
  if (ok) {
    set_quota(&w);
    take_rows(&w, seed);
    ok = cut(d, to, w.take, w.n, e);
  }
  free(w.order);
  free(w.quota);
  free(w.rest);
  free(w.take);
  return ok;
}

bool data_split_test(Dataset *d, double share, bool each_class, DataError *e) {
  return split(d, DATA_TEST, "test", share, each_class, NULL, e);
}

bool data_split_validation(Dataset *d, double share, uint64_t seed,
                           DataError *e) {
  return split(d, DATA_VALIDATION, "validation", share, true, &seed, e);
}
