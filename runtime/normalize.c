/* Normalisation: (x - mean) / std in f32, in this order, which is PyTorch's;
 * pixels are first divided by 255. Bytes stay bytes: a table a channel says
 * what each of the 256 means. What is f32 is changed in place, once.
 * `standard` measures the training part, a channel or feature at a time: the
 * biased standard deviation, and 1 where it is 0 (as scikit-learn does). */
#include "runtime/data.h"

#include <math.h>
#include <stdlib.h>

int64_t data_channels(const NetField *f) {
  return f->rank == 3 || f->rank == 1 ? f->dim[0] : 1;
}

static bool list_fits(const char *name, const DataValue *v, const NetField *f,
                      DataError *e) {
  int64_t channels = data_channels(f);
  if (v->n_numbers <= 1 || v->n_numbers == channels)
    return true;
  return data_fail(e, "normalize: %s has %d numbers, but %s has %lld %s", name,
                   (int)v->n_numbers, f->name, (long long)channels,
                   f->rank == 1 ? "features" : "channels");
}

bool data_normalized_field(const NetField *const *fields, int n_fields,
                           const DataEntries *entries, int *which,
                           DataError *e) {
  *which = -1;
  if (!entries->normalize)
    return true;
  for (int i = 0; i < n_fields && *which < 0; i++)
    if (fields[i]->type == NET_F32)
      *which = i;
  if (*which < 0)
    return data_fail(e, "normalize: the data has no field of real numbers");
  return list_fits("mean", &entries->mean, fields[*which], e) &&
         list_fits("std", &entries->std, fields[*which], e);
}

/* Sums over what one channel holds in all rows of a split. */
typedef struct Moments {
  double sum, squares; /* squares: of the distances from `centre` */
} Moments;

static double element(const DataColumn *c, const void *values, int64_t i) {
  if (c->store == STORE_U8)
    return ((const uint8_t *)values)[i] / 255.0;
  return (double)((const float *)values)[i];
}

static Moments measure(const DataColumn *c, const DataSplit *s,
                       const void *values, int64_t channel, double centre) {
  int64_t area = c->count / data_channels(&c->field);
  Moments m = {0, 0};
  for (int64_t row = 0; row < s->rows; row++)
    for (int64_t i = 0; i < area; i++) {
      double x = element(c, values, row * c->count + channel * area + i);
      double far = x - centre;
      m.sum += x;
      m.squares += far * far;
    }
  return m;
}

static void standard(const Dataset *of, int which, int64_t channel,
                     float *mean, float *std) {
  const DataColumn *c = &of->column[which];
  const DataSplit *s = &of->split[DATA_TRAIN];
  const void *values = s->column[which];
  double n = (double)(s->rows * (c->count / data_channels(&c->field)));
  double centre = measure(c, s, values, channel, 0).sum / n;
  double spread = sqrt(measure(c, s, values, channel, centre).squares / n);
  *mean = (float)centre;
  *std = (float)spread > 0 ? (float)spread : 1;
}

static float number_of(const DataValue *v, int64_t channel) {
  return (float)(v->n_numbers > 1 ? v->numbers[channel] : v->number);
}

static void shift(const DataColumn *c, const DataSplit *s, float *values,
                  int64_t channel, float mean, float std) {
  int64_t area = c->count / c->channels;
  for (int64_t row = 0; row < s->rows; row++) {
    float *x = values + row * c->count + channel * area;
    for (int64_t i = 0; i < area; i++)
      x[i] = (x[i] - mean) / std;
  }
}

static void normalize_channel(Dataset *d, int which, int64_t channel,
                              float mean, float std) {
  DataColumn *c = &d->column[which];
  c->mean[channel] = mean;
  c->std[channel] = std;
  if (c->store == STORE_U8) {
    for (int i = 0; i < 256; i++)
      c->table[256 * channel + i] = ((float)i / 255.0f - mean) / std;
    return;
  }
  for (int k = 0; k < DATA_SPLITS; k++)
    if (!d->split[k].borrowed && d->split[k].column[which])
      shift(c, &d->split[k], d->split[k].column[which], channel, mean, std);
}

/* Each column as it is if nothing is normalised. */
static bool set_plain(DataColumn *c, DataError *e) {
  c->channels = data_channels(&c->field);
  c->mean = data_alloc(c->channels, (int64_t)sizeof(float), e);
  c->std = data_alloc(c->channels, (int64_t)sizeof(float), e);
  if (!c->mean || !c->std)
    return false;
  for (int64_t k = 0; k < c->channels; k++)
    c->std[k] = 1;
  if (c->store != STORE_U8)
    return true;
  c->table = data_alloc(c->channels, 256 * (int64_t)sizeof(float), e);
  for (int64_t k = 0; c->table && k < 256 * c->channels; k++)
    c->table[k] = (float)(k % 256) / 255.0f;
  return c->table != NULL;
}

bool data_normalize(Dataset *d, const DataEntries *entries, const Dataset *of,
                    DataError *e) {
  const NetField *fields[NET_FIELDS];
  int which;
  for (int i = 0; i < d->n_columns; i++) {
    fields[i] = &d->column[i].field;
    if (!set_plain(&d->column[i], e))
      return false;
  }
  if (!data_normalized_field(fields, d->n_columns, entries, &which, e))
    return false;
  if (which < 0)
    return true;
  for (int64_t k = 0; k < d->column[which].channels; k++) {
    float mean = 0, std = 1;
    if (entries->standard) {
      standard(of, which, k, &mean, &std);
    } else {
      mean = number_of(&entries->mean, k);
      std = number_of(&entries->std, k);
    }
    normalize_channel(d, which, k, mean, std);
  }
  return true;
}
