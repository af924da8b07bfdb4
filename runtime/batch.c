/* Orders of rows and batches. A batch is written straight to where the compiled
 * program reads it: pixels through their table, all else copied; or augmented, by
 * augment.c. Nothing is allocated and nothing can fail here: data_fits has
 * checked the shapes. */
#include "runtime/data.h"
#include "runtime/philox.h"

#include <string.h>

void data_shuffle(int64_t *rows, int64_t n, uint64_t seed, int64_t epoch,
                  uint32_t place) {
  for (int64_t i = n - 1; i > 0; i--) {
    uint32_t c[4] = {(uint32_t)i, (uint32_t)((uint64_t)i >> 32),
                     (uint32_t)epoch, place};
    philox(c, seed);
    /* 64 bits modulo i + 1: the bias is below (i + 1) / 2^64. */
    uint64_t word = (uint64_t)c[1] << 32 | c[0];
    int64_t j = (int64_t)(word % ((uint64_t)i + 1));
    int64_t t = rows[i];
    rows[i] = rows[j];
    rows[j] = t;
  }
}

void data_order(const Dataset *d, DataSplitName split, bool shuffle,
                uint64_t seed, int64_t epoch, int64_t *rows) {
  int64_t n = d->split[split].rows;
  for (int64_t i = 0; i < n; i++)
    rows[i] = i;
  if (shuffle)
    data_shuffle(rows, n, seed, epoch, PLACE_ORDER);
}

/* One sample of pixels: channel after channel, each by its own table. */
static void fill_pixels(const DataColumn *c, const uint8_t *from, float *to) {
  int64_t area = c->count / c->channels;
  for (int64_t k = 0; k < c->channels; k++) {
    const float *table = c->table + 256 * k;
    int64_t i = 0;
    for (; i + 4 <= area; i += 4, from += 4, to += 4) {
      /* Reads first: for all that C knows, a store changes what they read. */
      float x0 = table[from[0]], x1 = table[from[1]];
      float x2 = table[from[2]], x3 = table[from[3]];
      to[0] = x0;
      to[1] = x1;
      to[2] = x2;
      to[3] = x3;
    }
    for (; i < area; i++)
      *to++ = table[*from++];
  }
}

/* Rows are far apart in memory, and the processor cannot guess the next one. */
static void fetch(const void *row, size_t size) {
  for (size_t i = 0; i < size; i += 64)
    __builtin_prefetch((const char *)row + i);
}

void data_fill_rows(const DataColumn *c, const void *column,
                    const int64_t *rows, int64_t n, char *to) {
  bool pixels = c->store == STORE_U8;
  size_t each = 4 * (size_t)c->count;
  size_t size = pixels ? (size_t)c->count : each;
  const char *from = column;
  for (int64_t i = 0; i < n; i++, to += each) {
    const char *row = from + size * (size_t)rows[i];
    if (i + 1 < n)
      fetch(from + size * (size_t)rows[i + 1], size);
    if (pixels)
      fill_pixels(c, (const uint8_t *)row, (float *)(void *)to);
    else
      memcpy(to, row, size);
  }
}

/* Of `mixup`, where nothing is mixed in: the row's own class, all of it. */
static void fill_unmixed(const Dataset *d, const DataColumn *c,
                         DataSplitName split, int64_t row, void *to) {
  const float whole = 1;
  const int32_t *labels = d->split[split].column[d->augmented.label];
  if (c->store == STORE_SHARE)
    memcpy(to, &whole, sizeof whole);
  else
    memcpy(to, labels + row, sizeof *labels);
}

void data_repeat_last(const Dataset *d, const NetFunction *f, int64_t n,
                      char *const *to) {
  for (int k = 0; k < f->n_inputs; k++) {
    size_t size = 4 * (size_t)data_column(d, f->inputs[k].name)->count;
    const char *last = to[k] + size * (size_t)(n - 1);
    for (int64_t i = n; i < f->batch; i++)
      memcpy(to[k] + size * (size_t)i, last, size);
  }
}

void data_fill(const Dataset *d, DataSplitName split, const int64_t *rows,
               int64_t n, const NetFunction *f, char *arena) {
  char *to[NET_FIELDS];
  for (int k = 0; k < f->n_inputs; k++) {
    const NetTensor *t = &f->inputs[k];
    const DataColumn *c = data_column(d, t->name);
    to[k] = arena + t->offset;
    if (c->store == STORE_MIXED || c->store == STORE_SHARE)
      for (int64_t i = 0; i < n; i++)
        fill_unmixed(d, c, split, rows[i], to[k] + 4 * i);
    else
      data_fill_rows(c, d->split[split].column[c - d->column], rows, n, to[k]);
  }
  data_repeat_last(d, f, n, to);
}

void data_fill_training(const Dataset *d, const int64_t *rows, int64_t n,
                        int64_t epoch, const NetFunction *f, float *scratch,
                        char *const *to) {
  for (int k = 0; k < f->n_inputs; k++) {
    const DataColumn *c = data_column(d, f->inputs[k].name);
    int column = (int)(c - d->column);
    size_t size = 4 * (size_t)c->count; /* of a sample: f32 or i32 */
    const char *from = d->split[DATA_TRAIN].column[column];
    size_t each = c->store == STORE_U8 ? size / 4 : size;
    int64_t i = 0;
    for (; i < n; i++) {
      if (from && i + 1 < n)
        fetch(from + each * (size_t)rows[i + 1], each);
      if (!data_augment_row(d, column, rows[i], epoch, scratch,
                            to[k] + size * (size_t)i))
        break;
    }
    if (i == 0) /* a column is augmented in all rows or in none */
      data_fill_rows(c, from, rows, n, to[k]);
  }
}
