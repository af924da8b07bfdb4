/* Augmentation: a picture of the training part as an epoch sees it. Each row has
 * random bits of its own, Philox(seed; place, epoch, row, entry), so that no
 * thread, batch or other entry has a say in them.
 *
 * The entries act in the order of the file. Flips and shifts move no pixel:
 * they change the view through which the picture is read, and are done when an
 * entry that needs pixels, or the batch, reads it. Everything happens on what
 * the network reads, pixels that have been normalised, since shifting, mirroring
 * and interpolating are the same before and after; what comes in from outside is
 * black, which is not 0 then. Only `jitter` works on pixels from 0 to 1, and where
 * it stands they are normalised at the end. */
#include "runtime/data.h"
#include "runtime/philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- random bits ---- */

typedef struct Random {
  uint64_t seed;
  uint32_t row, epoch;
} Random;

static void draw(const Random *r, AugmentKind kind, uint32_t number,
                 uint32_t word[4]) {
  word[0] = (uint32_t)kind << 16 | number;
  word[1] = r->row;
  word[2] = r->epoch;
  word[3] = PLACE_AUGMENT;
  philox(word, r->seed);
}

/* In (0, 1). */
static double uniform(uint32_t word) {
  return ((double)word + 0.5) * 0x1p-32;
}

static double between(double low, double high, uint32_t word) {
  return low + (high - low) * uniform(word);
}

/* ---- a picture and the view of it ---- */

typedef struct Picture {
  int64_t channels, height, width;
  const uint8_t *bytes; /* read through the table; or NULL: */
  const float *values;
  const float *table; /* what bytes mean: 256 of each channel, or of all */
  int64_t table_step; /* 256 or 0 */
  const float *black; /* of each channel */
  /* The view: pixel (y, x) is (y + down, x + right), or, mirrored,
   * (y + down, width - 1 - x + right). */
  int64_t down, right;
  bool mirrored;
  float *free; /* room for a picture; never where `values` lie */
  float *other;
} Picture;

static void fill_row(float *to, int64_t from, int64_t end, float v) {
  for (int64_t x = from; x < end; x++)
    to[x] = v;
}

/* Reads come before writes: for all that C knows, a store changes what they read. */
static void read_bytes(const uint8_t *from, int64_t step, const float *table,
                       float *to, const float *end) {
  for (; end - to >= 4; to += 4, from += 4 * step) {
    float x0 = table[from[0]], x1 = table[from[step]];
    float x2 = table[from[2 * step]], x3 = table[from[3 * step]];
    to[0] = x0;
    to[1] = x1;
    to[2] = x2;
    to[3] = x3;
  }
  for (; to < end; from += step)
    *to++ = table[*from];
}

/* Row y of channel c, as the view has it: [begin, end) lies inside. */
static void read_inside(const Picture *p, int64_t c, int64_t y, int64_t begin,
                        int64_t end, float *to) {
  int64_t row = (c * p->height + y + p->down) * p->width;
  int64_t step = p->mirrored ? -1 : 1;
  int64_t first = row + p->right + (p->mirrored ? p->width - 1 : 0);
  if (p->bytes) {
    read_bytes(p->bytes + first + step * begin, step,
               p->table + c * p->table_step, to + begin, to + end);
  } else if (p->mirrored) {
    for (int64_t x = begin; x < end; x++)
      to[x] = p->values[first - x];
  } else {
    memcpy(to + begin, p->values + first + begin,
           (size_t)(end - begin) * sizeof *to);
  }
}

static int64_t clamp(int64_t v, int64_t low, int64_t high) {
  return v < low ? low : v > high ? high : v;
}

/* Writes the picture as the view has it. */
static void read_view(const Picture *p, float *to) {
  int64_t w = p->width, right = p->mirrored ? -p->right : p->right;
  int64_t begin = clamp(-right, 0, w), end = clamp(w - right, 0, w);
  for (int64_t c = 0; c < p->channels; c++)
    for (int64_t y = 0; y < p->height; y++, to += w) {
      bool inside = y + p->down >= 0 && y + p->down < p->height && begin < end;
      if (inside)
        read_inside(p, c, y, begin, end, to);
      fill_row(to, 0, inside ? begin : w, p->black[c]);
      fill_row(to, inside ? end : w, w, p->black[c]);
    }
}

/* Makes pixels of the view; returns where they lie, to be changed there. */
static float *make_pixels(Picture *p) {
  float *to = p->free;
  read_view(p, to);
  p->free = p->other;
  p->other = to;
  p->bytes = NULL;
  p->values = to;
  p->down = p->right = 0;
  p->mirrored = false;
  return to;
}

/* ---- the entries ---- */

static void flip(Picture *p, const double *amount, const uint32_t *word) {
  if (uniform(word[0]) < amount[0])
    p->mirrored = !p->mirrored;
}

static void crop(Picture *p, const double *amount, const uint32_t *word) {
  int64_t pad = (int64_t)amount[0];
  int64_t down = (int64_t)(word[0] % (uint32_t)(2 * pad + 1)) - pad;
  int64_t right = (int64_t)(word[1] % (uint32_t)(2 * pad + 1)) - pad;
  p->down += down;
  p->right += p->mirrored ? -right : right;
}

/* A place between pixels: the one above and left of it, and what parts of the
 * next row and column count. */
typedef struct Between {
  int64_t y, x;
  float down, right;
} Between;

static Between between_pixels(double y, double x) {
  /* floor, of places that lie above -far: the conversion cuts. */
  const int64_t far = 1 << 14;
  int64_t row = (int64_t)(y + (double)far) - far;
  int64_t column = (int64_t)(x + (double)far) - far;
  return (Between){row, column, (float)(y - (double)row),
                   (float)(x - (double)column)};
}

static float blend_four(const float v[4], const Between *b) {
  float above = v[0] + b->right * (v[1] - v[0]);
  float below = v[2] + b->right * (v[3] - v[2]);
  return above + b->down * (below - above);
}

/* Interpolates all channels; outside all is black. */
static void sample(const Picture *p, const Between *b, float *to) {
  int64_t w = p->width, h = p->height, area = h * w;
  int64_t at = b->y * w + b->x;
  bool inside = b->y >= 0 && b->y < h - 1 && b->x >= 0 && b->x < w - 1;
  for (int64_t c = 0; c < p->channels; c++, to += area) {
    float v[4];
    for (int k = 0; k < 4; k++) {
      int64_t y = b->y + k / 2, x = b->x + k % 2;
      bool there = inside || (y >= 0 && y < h && x >= 0 && x < w);
      v[k] = there ? p->values[at + c * area + k / 2 * w + k % 2]
                   : p->black[c];
    }
    *to = blend_four(v, b);
  }
}

/* By an angle in [-degrees, degrees] about the centre, bilinear. */
static void rotate(Picture *p, const double *amount, const uint32_t *word) {
  const double degree = 3.14159265358979323846 / 180;
  double angle = between(-amount[0], amount[0], word[0]) * degree;
  double sine = sin(angle), cosine = cos(angle);
  double y0 = (double)(p->height - 1) / 2, x0 = (double)(p->width - 1) / 2;
  make_pixels(p);
  float *made = p->free;
  for (int64_t y = 0; y < p->height; y++)
    for (int64_t x = 0; x < p->width; x++) {
      double dy = (double)y - y0, dx = (double)x - x0;
      Between b = between_pixels(y0 + cosine * dy - sine * dx,
                                 x0 + sine * dy + cosine * dx);
      sample(p, &b, made + y * p->width + x);
    }
  p->free = p->other;
  p->other = made;
  p->values = made;
}

/* From 0 to 1; a factor of 1 keeps x as it is. */
static float blend(float x, float towards, float factor) {
  float v = factor * x + (1 - factor) * towards;
  return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* Grey as PyTorch has it; of a picture of one channel, that channel. */
static float grey(const Picture *p, const float *x, int64_t area) {
  return p->channels == 3
             ? 0.2989f * x[0] + 0.587f * x[area] + 0.114f * x[2 * area]
             : x[0];
}

static float factor(double amount, uint32_t word) {
  return (float)between(amount < 1 ? 1 - amount : 0, 1 + amount, word);
}

/* Where the colour stands in the circle from red over green and blue to red, 0 to
 * 1; `most` and `span` are its largest part and the distance of the smallest. */
static float hue_of(const float v[3], float most, float span) {
  float h = most == v[0]   ? (v[1] - v[2]) / span
            : most == v[1] ? 2 + (v[2] - v[0]) / span
                           : 4 + (v[0] - v[1]) / span;
  return h / 6 < 0 ? h / 6 + 1 : h / 6;
}

/* One of red, green and blue (`from`: 0, 4, 2, in sixths of the circle) of the
 * colour at h, from 0 to 1: at its most for two sixths, at its least for two, and
 * between. */
static float part_of(float h, float from, float most, float span) {
  float round = 6 * h + from, at = round < 6 ? round : round - 6;
  float less = at < 1 ? 0 : at < 2 ? at - 1 : at < 4 ? 1 : at < 5 ? 5 - at : 0;
  return most - span * less;
}

static float largest(float a, float b) { return a > b ? a : b; }
static float smallest(float a, float b) { return a < b ? a : b; }

/* Turns the colours of all pixels by `turn` of the circle, as PyTorch's adjust_hue
 * does: the largest and the smallest part of a pixel stay what they are. */
static void turn_hue(float *x, int64_t area, float turn) {
  for (int64_t i = 0; i < area; i++) {
    float v[3] = {x[i], x[area + i], x[2 * area + i]};
    float most = largest(largest(v[0], v[1]), v[2]);
    float span = most - smallest(smallest(v[0], v[1]), v[2]);
    if (span <= 0)
      continue; /* grey */
    float h = hue_of(v, most, span) + turn;
    h = h < 0 ? h + 1 : h < 1 ? h : h - 1;
    for (int c = 0; c < 3; c++)
      x[c * area + i] = part_of(h, (float)(c ? 6 - 2 * c : 0), most, span);
  }
}

/* PyTorch's ColorJitter, always in the order brightness, contrast, saturation,
 * hue. */
static void jitter(Picture *p, const double *amount, const uint32_t *word) {
  float *x = make_pixels(p);
  int64_t area = p->height * p->width, all = p->channels * area;
  float bright = factor(amount[0], word[0]);
  float contrast = factor(amount[1], word[1]);
  float colour = factor(amount[2], word[2]);
  double mean = 0;
  for (int64_t i = 0; i < all; i++)
    x[i] = blend(x[i], 0, bright);
  for (int64_t i = 0; i < area; i++)
    mean += (double)grey(p, x + i, area);
  for (int64_t i = 0; i < all; i++)
    x[i] = blend(x[i], (float)(mean / (double)area), contrast);
  for (int64_t i = 0; amount[2] > 0 && i < area; i++) {
    float g = grey(p, x + i, area);
    for (int64_t c = 0; c < p->channels; c++)
      x[c * area + i] = blend(x[c * area + i], g, colour);
  }
  if (amount[3] > 0)
    turn_hue(x, area, (float)between(-amount[3], amount[3], word[3]));
}

/* A black square whose centre lies anywhere in the picture. */
static void cutout(Picture *p, const double *amount, const uint32_t *word) {
  float *pixels = make_pixels(p);
  int64_t size = (int64_t)amount[0];
  int64_t top = (int64_t)(word[0] % (uint32_t)p->height) - size / 2;
  int64_t left = (int64_t)(word[1] % (uint32_t)p->width) - size / 2;
  int64_t begin = clamp(left, 0, p->width);
  int64_t end = clamp(left + size, 0, p->width);
  for (int64_t c = 0; c < p->channels; c++)
    for (int64_t y = clamp(top, 0, p->height);
         y < clamp(top + size, 0, p->height); y++)
      fill_row(pixels + (c * p->height + y) * p->width, begin, end,
               p->black[c]);
}

typedef void Act(Picture *p, const double *amount, const uint32_t *word);
static Act *const acts[AUGMENT_KINDS] = {
    [AUGMENT_FLIP] = flip,     [AUGMENT_CROP] = crop,
    [AUGMENT_ROTATE] = rotate, [AUGMENT_JITTER] = jitter,
    [AUGMENT_CUTOUT] = cutout}; /* mixup is between two pictures: below */

/* ---- one row ---- */

static void augment_picture(const Dataset *d, int64_t row, int64_t epoch,
                            float *scratch, float *to) {
  const DataAugmented *a = &d->augmented;
  const DataColumn *c = &d->column[a->column];
  const void *from = d->split[DATA_TRAIN].column[a->column];
  const int64_t *dim = c->field.dim;
  Random r = {a->seed, (uint32_t)row, (uint32_t)epoch};
  Picture p = {.channels = dim[0], .height = dim[1], .width = dim[2],
               .table = a->raw ? a->raw : c->table,
               .table_step = a->raw ? 0 : 256,
               .black = a->black,
               .free = scratch, .other = scratch + c->count};
  if (c->store == STORE_U8)
    p.bytes = (const uint8_t *)from + row * c->count;
  else
    p.values = (const float *)from + row * c->count;
  for (int i = 0; i < a->n; i++) {
    uint32_t word[4];
    draw(&r, a->entry[i].kind, 0, word);
    if (acts[a->entry[i].kind])
      acts[a->entry[i].kind](&p, a->entry[i].amount, word);
  }
  read_view(&p, to);
  int64_t area = dim[1] * dim[2];
  for (int64_t k = 0; a->raw && k < dim[0]; k++)
    for (int64_t i = k * area; i < (k + 1) * area; i++)
      to[i] = (to[i] - c->mean[k]) / c->std[k];
}

/* ---- mixup ---- */

/* The row that is mixed in, and the share of the row itself: a draw of
 * Beta(alpha, alpha), by Johnk's method, which is quick for alpha up to 1. */
static int64_t partner(const Dataset *d, int64_t row, int64_t epoch,
                       double alpha, double *share) {
  Random r = {d->augmented.seed, (uint32_t)row, (uint32_t)epoch};
  uint32_t word[4];
  for (uint32_t number = 0;; number++) {
    draw(&r, AUGMENT_MIXUP, number, word);
    double x = pow(uniform(word[0]), 1 / alpha);
    double y = pow(uniform(word[1]), 1 / alpha);
    if (x + y > 1 || x + y == 0)
      continue;
    *share = x / (x + y);
    uint64_t wide = (uint64_t)word[2] << 32 | word[3];
    return (int64_t)(wide % (uint64_t)d->split[DATA_TRAIN].rows);
  }
}

static void mix(float *to, const float *other, int64_t n, double share) {
  float own = (float)share, rest = 1 - own;
  for (int64_t i = 0; i < n; i++)
    to[i] = own * to[i] + rest * other[i];
}

/* Numbers of a row: features or a target. */
static void mix_numbers(const DataColumn *c, const float *values, int64_t row,
                        int64_t with, double share, float *to) {
  memcpy(to, values + row * c->count, (size_t)c->count * sizeof *to);
  mix(to, values + with * c->count, c->count, share);
}

bool data_augment_row(const Dataset *d, int column, int64_t row, int64_t epoch,
                      float *scratch, void *to) {
  const DataAugmented *a = &d->augmented;
  const DataColumn *c = &d->column[column];
  bool picture = column == a->column;
  double share = 1;
  if (a->n == 0)
    return false;
  int64_t with = a->mixup > 0 ? partner(d, row, epoch, a->mixup, &share) : row;
  float number = (float)share;
  if (c->store == STORE_MIXED) {
    const int32_t *labels = d->split[DATA_TRAIN].column[a->label];
    memcpy(to, labels + with, sizeof *labels);
  } else if (c->store == STORE_SHARE) {
    memcpy(to, &number, sizeof number);
  } else if (picture) {
    augment_picture(d, row, epoch, scratch, to);
    if (a->mixup > 0) {
      float *other = scratch + 2 * c->count;
      augment_picture(d, with, epoch, scratch, other);
      mix(to, other, c->count, share);
    }
  } else if (a->mixup > 0 && c->store == STORE_F32) {
    mix_numbers(c, d->split[DATA_TRAIN].column[column], row, with, share, to);
  } else {
    return false;
  }
  return true;
}

int64_t data_augment_scratch(const Dataset *d) {
  return d->augmented.n > 0 ? 3 * d->column[d->augmented.column].count : 0;
}

/* ---- opening ---- */

static bool is_picture(const NetField *f) {
  return f->type == NET_F32 && f->rank == 3;
}

static const DataAugment *find(const DataEntries *entries, AugmentKind kind) {
  for (int i = 0; i < entries->n_augment; i++)
    if (entries->augment[i].kind == kind)
      return &entries->augment[i];
  return NULL;
}

static bool check_sizes(const NetField *f, const DataEntries *entries,
                        DataError *e) {
  static const AugmentKind sized[] = {AUGMENT_CROP, AUGMENT_CUTOUT};
  static const char *const name[] = {"crop: pad", "cutout: size"};
  const DataAugment *jitter = find(entries, AUGMENT_JITTER);
  int64_t least = f->dim[1] < f->dim[2] ? f->dim[1] : f->dim[2];
  for (int i = 0; i < 2; i++) {
    const DataAugment *a = find(entries, sized[i]);
    if (a && a->amount[0] > (double)least)
      return data_fail(e, "%s = %g is more than the pictures have: %s is %lld x"
                       " %lld", name[i], a->amount[0], f->name,
                       (long long)f->dim[1], (long long)f->dim[2]);
  }
  for (int i = 2; jitter && i < 4; i++)
    if (jitter->amount[i] > 0 && f->dim[0] != 3)
      return data_fail(e, "jitter: %s needs pictures of 3 channels, but %s has"
                       " %lld", i == 2 ? "saturation" : "hue", f->name,
                       (long long)f->dim[0]);
  return true;
}

bool data_augment_fields(const DataEntries *entries, NetField *fields, int *n,
                         int *picture, DataError *e) {
  const NetField *label = NULL;
  *picture = -1;
  for (int i = *n; i-- > 0;) {
    if (is_picture(&fields[i]))
      *picture = i;
    if (fields[i].rank == 0 && fields[i].classes > 0)
      label = &fields[i];
  }
  if (entries->n_augment == 0)
    return true;
  if (*picture < 0)
    return data_fail(e, "augment needs pictures, [channels, height, width]; the"
                     " data has none");
  if (!check_sizes(&fields[*picture], entries, e))
    return false;
  if (find(entries, AUGMENT_MIXUP) && label) {
    int64_t classes = label->classes;
    if (*n + 2 > NET_FIELDS)
      return data_fail(e, "mixup: the data has too many fields");
    fields[(*n)++] = data_field("mixed", NET_I32, 0, NULL, classes);
    fields[(*n)++] = data_field("share", NET_F32, 0, NULL, 0);
  }
  return true;
}

/* What black is: 0, or what normalising has made of it. */
static bool set_black(DataAugmented *a, const DataColumn *c, DataError *e) {
  a->black = data_alloc(c->channels, (int64_t)sizeof *a->black, e);
  for (int64_t k = 0; a->black && k < c->channels && !a->raw; k++)
    a->black[k] = (0 - c->mean[k]) / c->std[k];
  return a->black != NULL;
}

static bool set_raw(DataAugmented *a, const DataColumn *c, DataError *e) {
  if (c->store != STORE_U8)
    return data_fail(e, "jitter needs pixels from 0 to 1, not the numbers of"
                     " %s", c->field.name);
  a->raw = data_alloc(256, (int64_t)sizeof *a->raw, e);
  for (int i = 0; a->raw && i < 256; i++)
    a->raw[i] = (float)i / 255.0f;
  return a->raw != NULL;
}

bool data_augment(Dataset *d, const DataEntries *entries, uint64_t seed,
                  DataError *e) {
  NetField fields[NET_FIELDS];
  DataAugmented *a = &d->augmented;
  const DataAugment *mixup = find(entries, AUGMENT_MIXUP);
  int had = d->n_columns, n = had;
  for (int i = 0; i < n; i++)
    fields[i] = d->column[i].field;
  *a = (DataAugmented){.seed = seed, .n = entries->n_augment, .label = -1};
  if (!data_augment_fields(entries, fields, &n, &a->column, e))
    return false;
  if (a->n == 0)
    return true;
  memcpy(a->entry, entries->augment, sizeof a->entry);
  a->mixup = mixup ? mixup->amount[0] : 0;
  for (int i = had; i-- > 0;)
    if (fields[i].rank == 0 && fields[i].classes > 0)
      a->label = i;
  for (int i = had; i < n; i++)
    data_add_column(d, &fields[i], i == had ? STORE_MIXED : STORE_SHARE);
  const DataColumn *c = &d->column[a->column];
  if (find(entries, AUGMENT_JITTER) && !set_raw(a, c, e))
    return false;
  return set_black(a, c, e);
}
