/* Orders of rows and batches. A batch is written straight into the arena of
 * the compiled program: pixels through their table, all else copied. Nothing
 * is allocated and nothing can fail here: data_fits has checked the shapes. */
#include "runtime/data.h"
#include "runtime/philox.h"

#include <string.h>

void data_order(const Dataset *d, DataSplitName split, bool shuffle,
                uint64_t seed, int64_t epoch, int64_t *rows) {
  int64_t n = d->split[split].rows;
  for (int64_t i = 0; i < n; i++)
    rows[i] = i;
  if (!shuffle)
    return;
  for (int64_t i = n - 1; i > 0; i--) {
    uint32_t c[4] = {(uint32_t)i, (uint32_t)((uint64_t)i >> 32),
                     (uint32_t)epoch, PLACE_ORDER};
    philox(c, seed);
    /* 64 bits modulo i + 1: the bias is below (i + 1) / 2^64. */
    uint64_t word = (uint64_t)c[1] << 32 | c[0];
    int64_t j = (int64_t)(word % ((uint64_t)i + 1));
    int64_t t = rows[i];
    rows[i] = rows[j];
    rows[j] = t;
  }
}

/* One sample of pixels: channel after channel, each by its own table. */
static void fill_pixels(const DataColumn *c, const uint8_t *from, float *to) {
  int64_t area = c->count / c->channels;
  for (int64_t k = 0; k < c->channels; k++) {
    const float *table = c->table + 256 * k;
    for (int64_t i = 0; i < area; i++)
      *to++ = table[*from++];
  }
}

static void fill_input(const DataColumn *c, const char *column,
                       const int64_t *rows, int64_t n, int64_t batch,
                       char *to) {
  size_t size = 4 * (size_t)c->count; /* of a sample in the arena: f32, i32 */
  for (int64_t i = 0; i < n; i++) {
    char *sample = to + size * (size_t)i;
    if (c->store == STORE_U8)
      fill_pixels(c, (const uint8_t *)column + rows[i] * c->count,
                  (float *)(void *)sample);
    else
      memcpy(sample, column + size * (size_t)rows[i], size);
  }
  const char *last = to + size * (size_t)(n - 1);
  for (int64_t i = n; i < batch; i++)
    memcpy(to + size * (size_t)i, last, size);
}

void data_fill(const Dataset *d, DataSplitName split, const int64_t *rows,
               int64_t n, const NetFunction *f, char *arena) {
  for (int i = 0; i < f->n_inputs; i++) {
    const NetTensor *t = &f->inputs[i];
    const DataColumn *c = data_column(d, t->name);
    fill_input(c, d->split[split].column[c - d->column], rows, n, f->batch,
               arena + t->offset);
  }
}
