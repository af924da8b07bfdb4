/* What the training part becomes: splits, augmentation and the stream of
 * batches. Pictures are small .npy arrays and drawn shapes, so that what must
 * come out can be said: that shifting and mirroring move pixels and change none,
 * that all bits depend on seed, epoch and row alone, and that any number of
 * threads gives the same batches. */
#include "runtime/data.h"
#include "runtime/philox.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- data ---- */

static NetArg number(const char *name, const double *v) {
  return (NetArg){.name = name, .n_numbers = 1, .numbers = v};
}

/* An entry with up to four numbers. */
typedef struct Entry {
  const char *name;
  bool in_augment;
  int n;
  double v[4];
} Entry;

static int open_entries(Dataset **d, const char *text, uint64_t seed,
                        const Entry *entries, int n, DataError *e) {
  NetArg args[8][4];
  NetDataEntry entry[8];
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < entries[i].n; k++)
      args[i][k] = number("", &entries[i].v[k]);
    entry[i] = (NetDataEntry){entries[i].name, entries[i].in_augment,
                              entries[i].n, args[i]};
  }
  NetData data = {.n_entries = n, .entries = entry};
  return data_open(d, &data, text, seed, e);
}

static Dataset *open_ok(const char *text, uint64_t seed, const Entry *entries,
                        int n) {
  DataError e;
  Dataset *d;
  int status = open_entries(&d, text, seed, entries, n, &e);
  check_that(status == 0, "%s: %s", text, e.text);
  return d;
}

static void refuse(const char *text, const Entry *entries, int n,
                   const char *piece) {
  DataError e;
  Dataset *d;
  int status = open_entries(&d, text, 1, entries, n, &e);
  check_that(status == 1 && !d && strstr(e.text, piece),
             "status %d, want '%s' in: %s", status, piece, e.text);
  data_close(d);
}

#define SHAPES "shapes(train = 103, test = 7)"
enum { PIXELS = 3 * 32 * 32, SIDE = 32, AREA = SIDE * SIDE };

/* A row as an epoch has it; `out` has room for PIXELS. */
static void row_of(const Dataset *d, int64_t row, int64_t epoch, float *out) {
  float *scratch =
      malloc(((size_t)data_augment_scratch(d) + 1) * sizeof *scratch);
  CU_ASSERT(data_augment_row(d, 0, row, epoch, scratch, out));
  free(scratch);
}

/* A row as it is. */
static void plain_of(const Dataset *d, int64_t row, float *out) {
  data_fill_rows(&d->column[0], d->split[DATA_TRAIN].column[0], &row, 1,
                 (char *)out);
}

/* ---- splits ---- */

static void validation(void) {
  const Entry entry[] = {{"validation", false, 1, {20}}};
  Dataset *d = open_ok(SHAPES, 1, entry, 1), *again, *other;
  again = open_ok(SHAPES, 1, entry, 1);
  other = open_ok("shapes(train = 103, test = 7, seed = 1)", 2, entry, 1);
  if (!d || !again || !other)
    return;
  int count[10] = {0};
  const DataSplit *v = &d->split[DATA_VALIDATION];
  const int32_t *label = data_labels(d, DATA_VALIDATION, "label");
  CU_ASSERT(v->rows == 20 && d->split[DATA_TRAIN].rows == 83);
  for (int i = 0; i < 20; i++)
    count[label[i]]++;
  for (int i = 0; i < 10; i++) /* 10 or 11 of each, of which a fifth */
    CU_ASSERT_EQUAL(count[i], 2);
  CU_ASSERT_EQUAL(memcmp(v->column[0],
                         again->split[DATA_VALIDATION].column[0],
                         20 * PIXELS), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(v->column[0],
                             other->split[DATA_VALIDATION].column[0],
                             20 * PIXELS), 0);
  /* Together they are what there was, each part in its order. */
  Dataset *whole = open_ok(SHAPES, 1, NULL, 0);
  const uint8_t *all = whole->split[DATA_TRAIN].column[0];
  const uint8_t *part[2] = {d->split[DATA_TRAIN].column[0], v->column[0]};
  for (int i = 0; i < 103; i++, all += PIXELS) {
    bool taken = part[1] < (uint8_t *)v->column[0] + 20 * PIXELS &&
                 !memcmp(all, part[1], PIXELS);
    CU_ASSERT(taken || !memcmp(all, part[0], PIXELS));
    part[taken] += PIXELS;
  }
  data_close(whole);
  data_close(d);
  data_close(again);
  data_close(other);
}

static void wrong_splits(void) {
  static const struct {
    double share;
    const char *piece;
  } wrong[] = {{103, "validation = 103: 103 of 103 rows"},
               {0.001, "0 of 103 rows"},
               {0.999, "103 of 103 rows"},
               {2.5, "neither a share below 1 nor a whole number"},
               {0, "is not between"},
               {-1, "is not between"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    refuse(SHAPES, &(Entry){"validation", false, 1, {wrong[i].share}}, 1,
           wrong[i].piece);
  Dataset *d = open_ok(SHAPES, 1, &(Entry){"validation", false, 1, {0.5}}, 1);
  CU_ASSERT_EQUAL(d->split[DATA_VALIDATION].rows, 52);
  data_close(d);
}

/* ---- pictures ---- */

static void flips(void) {
  const Entry entry[] = {{"flip", true, 1, {0.5}}};
  Dataset *d = open_ok(SHAPES, 1, entry, 1);
  float was[PIXELS], is[PIXELS], other[PIXELS];
  int mirrored = 0, changed = 0;
  for (int64_t row = 0; row < 100; row++) {
    plain_of(d, row, was);
    row_of(d, row, 0, is);
    row_of(d, row, 1, other);
    changed += memcmp(is, other, sizeof is) != 0;
    bool same = !memcmp(is, was, sizeof is), flipped = true;
    for (int i = 0; i < PIXELS; i++)
      flipped = flipped && is[i] == was[i / SIDE * SIDE + 31 - i % SIDE];
    CU_ASSERT(same != flipped);
    mirrored += flipped;
  }
  CU_ASSERT(mirrored > 30 && mirrored < 70); /* 4 sigma are 20 */
  CU_ASSERT(changed > 30 && changed < 70);
  data_close(d);
}

/* Every shift happens, and what comes in is black: after normalising, what 0
 * has become. */
static void crops(void) {
  const Entry entry[] = {{"normalize", false, 2, {0.5, 0.25}},
                         {"crop", true, 1, {2}}};
  Dataset *d = open_ok(SHAPES, 1, entry, 2);
  float was[PIXELS], is[PIXELS];
  int seen[25] = {0};
  for (int64_t n = 0; n < 500; n++) {
    plain_of(d, n % 103, was);
    row_of(d, n % 103, n / 103, is);
    for (int dy = -2; dy <= 2; dy++)
      for (int dx = -2; dx <= 2; dx++) {
        bool fits = true;
        for (int i = 0; fits && i < PIXELS; i++) {
          int y = i % AREA / SIDE + dy, x = i % SIDE + dx;
          bool in = y >= 0 && y < SIDE && x >= 0 && x < SIDE;
          fits = is[i] == (in ? was[i / AREA * AREA + y * SIDE + x]
                              : (0 - 0.5f) / 0.25f);
        }
        seen[5 * dy + dx + 12] += fits;
      }
  }
  for (int i = 0; i < 25; i++) /* 20 each, 4 sigma are 17 */
    check_that(seen[i] > 2 && seen[i] < 38, "shift %d: %d", i,
               seen[i]);
  data_close(d);
}

/* A flip behind a shift is the shift the other way behind the flip; both through
 * the view of bytes and through pixels, which a rotation by nothing makes. */
static void views(void) {
  const Entry entry[][3] = {
      {{"flip", true, 1, {1}}, {"crop", true, 1, {3}}, {"", true, 0, {0}}},
      {{"crop", true, 1, {3}}, {"flip", true, 1, {1}}, {"", true, 0, {0}}},
      {{"rotate", true, 1, {0}}, {"flip", true, 1, {1}}, {"crop", true, 1, {3}}},
      {{"flip", true, 1, {1}}, {"rotate", true, 1, {0}}, {"crop", true, 1, {3}}}};
  const int n[] = {2, 2, 3, 3};
  float x[4][PIXELS];
  Dataset *d[4];
  for (int i = 0; i < 4; i++)
    d[i] = open_ok(SHAPES, 1, entry[i], n[i]);
  for (int64_t row = 0; row < 50; row++) {
    for (int i = 0; i < 4; i++)
      row_of(d[i], row, 7, x[i]);
    CU_ASSERT_EQUAL(memcmp(x[0], x[2], sizeof x[0]), 0);
    CU_ASSERT_EQUAL(memcmp(x[0], x[3], sizeof x[0]), 0);
    bool found = false;
    for (int shift = -3; !found && shift <= 3; shift++) {
      found = true;
      for (int i = 0; found && i < PIXELS; i++)
        if (i % SIDE >= 6 && i % SIDE < SIDE - 6)
          found = x[0][i] == x[1][i + 2 * shift];
    }
    CU_ASSERT(found);
  }
  for (int i = 0; i < 4; i++)
    data_close(d[i]);
}

static void rotations(void) {
  const Entry turn[] = {{"rotate", true, 1, {180}}};
  Dataset *d = open_ok(SHAPES, 1, turn, 1);
  float was[PIXELS], is[PIXELS];
  for (int64_t row = 0; row < 20; row++) {
    double before = 0, after = 0;
    plain_of(d, row, was);
    row_of(d, row, 0, is);
    /* A disc about the centre keeps its sum, whatever the angle. */
    for (int i = 0; i < PIXELS; i++) {
      double y = i % AREA / SIDE - 15.5, x = i % SIDE - 15.5;
      if (y * y + x * x < 100) {
        before += (double)was[i];
        after += (double)is[i];
      }
    }
    check_that(fabs(before - after) < 0.03 * before, "row %lld: %g and %g",
               (long long)row, before, after);
    CU_ASSERT_NOT_EQUAL(memcmp(was, is, sizeof is), 0);
  }
  data_close(d);
}

static void jitters(void) {
  const Entry none[] = {{"normalize", false, 2, {0.4, 0.3}},
                        {"jitter", true, 3, {0, 0, 0}}};
  const Entry grey[] = {{"jitter", true, 3, {0, 0, 0.5}}};
  const Entry light[] = {{"jitter", true, 1, {0.5}}};
  Dataset *a = open_ok(SHAPES, 1, none, 2), *b = open_ok(SHAPES, 1, grey, 1);
  Dataset *c = open_ok(SHAPES, 1, light, 1);
  float was[PIXELS], is[PIXELS];
  plain_of(a, 3, was);
  row_of(a, 3, 0, is); /* factors of 1: the same bits through the other way */
  CU_ASSERT_EQUAL(memcmp(was, is, sizeof is), 0);
  plain_of(b, 3, was);
  row_of(b, 3, 0, is);
  for (int i = 0; i < AREA; i++) { /* saturation keeps the grey */
    float g = 0.2989f * was[i] + 0.587f * was[AREA + i] +
              0.114f * was[2 * AREA + i];
    float h = 0.2989f * is[i] + 0.587f * is[AREA + i] + 0.114f * is[2 * AREA + i];
    bool cut = false;
    for (int k = 0; k < 3; k++)
      cut = cut || is[k * AREA + i] <= 0 || is[k * AREA + i] >= 1;
    CU_ASSERT(cut || fabsf(g - h) < 1e-3f);
  }
  plain_of(c, 3, was);
  row_of(c, 3, 0, is);
  float f = is[100] / was[100]; /* brightness multiplies */
  CU_ASSERT(f > 0.5f && f < 1.5f);
  for (int i = 0; i < PIXELS; i++)
    CU_ASSERT(is[i] >= 1 || fabsf(is[i] - f * was[i]) < 1e-5f);
  data_close(a);
  data_close(b);
  data_close(c);
}

/* The textbook's colour of hue h, saturation s and value v, by its sectors. */
static void colour_of(double h, double s, double v, double to[3]) {
  double f = 6 * h - floor(6 * h), p = v * (1 - s), q = v * (1 - s * f);
  double t = v * (1 - s * (1 - f));
  const double all[6][3] = {{v, t, p}, {q, v, p}, {p, v, t},
                            {p, q, v}, {t, p, v}, {v, p, q}};
  memcpy(to, all[(int)floor(6 * h) % 6], sizeof all[0]);
}

/* The hue of a pixel, 0 for grey. */
static double angle_of(const float v[3]) {
  double r = (double)v[0], g = (double)v[1], b = (double)v[2];
  double most = fmax(r, fmax(g, b)), span = most - fmin(r, fmin(g, b));
  double h = span <= 0   ? 0
             : most <= r ? (g - b) / span
             : most <= g ? 2 + (b - r) / span
                         : 4 + (r - g) / span;
  return h / 6 - floor(h / 6);
}

/* Every pixel turns by the same draw; its saturation and value stay. */
static void hues(void) {
  const Entry entry[] = {{"jitter", true, 4, {0, 0, 0, 0.5}}};
  Dataset *d = open_ok(SHAPES, 1, entry, 1);
  float was[PIXELS], is[PIXELS];
  for (int64_t row = 0; row < 20; row++) {
    uint32_t word[4] = {AUGMENT_JITTER << 16, (uint32_t)row, 7, PLACE_AUGMENT};
    philox(word, d->augmented.seed);
    double turn = ((double)word[3] + 0.5) * 0x1p-32 - 0.5, want[3];
    plain_of(d, row, was);
    row_of(d, row, 7, is);
    for (int i = 0; i < AREA; i++) {
      float v[3] = {was[i], was[AREA + i], was[2 * AREA + i]};
      double most = (double)fmaxf(v[0], fmaxf(v[1], v[2]));
      double least = (double)fminf(v[0], fminf(v[1], v[2]));
      double h = angle_of(v) + turn;
      colour_of(h - floor(h), most > 0 ? 1 - least / most : 0, most, want);
      for (int k = 0; k < 3; k++)
        CU_ASSERT_DOUBLE_EQUAL((double)is[k * AREA + i], want[k], 2e-6);
    }
  }
  data_close(d);
}

static void cutouts(void) {
  const Entry entry[] = {{"normalize", false, 2, {0.5, 0.5}},
                         {"cutout", true, 1, {8}}};
  Dataset *d = open_ok(SHAPES, 1, entry, 2);
  float was[PIXELS], is[PIXELS];
  for (int64_t row = 0; row < 100; row++) {
    int top = SIDE, left = SIDE, bottom = -1, right = -1;
    plain_of(d, row, was);
    row_of(d, row, 0, is);
    for (int i = 0; i < PIXELS; i++) {
      int y = i % AREA / SIDE, x = i % SIDE;
      if (is[i] == was[i])
        continue;
      CU_ASSERT_EQUAL(is[i], -1.0f);
      top = y < top ? y : top;
      bottom = y > bottom ? y : bottom;
      left = x < left ? x : left;
      right = x > right ? x : right;
    }
    CU_ASSERT(bottom - top < 8 && right - left < 8);
    CU_ASSERT(bottom - top >= 2 && right - left >= 2);
  }
  data_close(d);
}

/* The same bits for the same seed, epoch and row, whatever else there is. */
static void addresses(void) {
  const Entry one[] = {{"cutout", true, 1, {8}}};
  const Entry two[] = {{"crop", true, 1, {2}}, {"cutout", true, 1, {8}}};
  Dataset *a = open_ok(SHAPES, 1, one, 1), *b = open_ok(SHAPES, 1, two, 2);
  Dataset *c = open_ok("shapes(train = 103, test = 7, seed = 1)", 2, one, 1);
  float was[PIXELS], x[PIXELS], y[PIXELS];
  int differ = 0;
  for (int64_t row = 0; row < 20; row++) {
    plain_of(a, row, was);
    row_of(a, row, 5, x);
    row_of(b, row, 5, y); /* the same square, on a shifted picture */
    for (int i = 0; i < PIXELS; i++)
      CU_ASSERT(was[i] == 0 || x[i] != 0 || y[i] == 0);
    row_of(c, row, 5, y);
    differ += memcmp(x, y, sizeof x) != 0;
  }
  CU_ASSERT(differ > 10);
  data_close(a);
  data_close(b);
  data_close(c);
}

/* ---- mixup ---- */

static void mixups(void) {
  const Entry entry[] = {{"mixup", true, 1, {1}}};
  Dataset *d = open_ok(SHAPES, 1, entry, 1);
  float was[PIXELS], with[PIXELS], is[PIXELS], share = 0;
  int32_t other = -1;
  double sum = 0;
  int found = 0;
  CU_ASSERT_EQUAL_FATAL(d->n_columns, 4);
  for (int64_t row = 0; row < 100; row++) {
    CU_ASSERT(data_augment_row(d, 2, row, 0, NULL, &other));
    CU_ASSERT(data_augment_row(d, 3, row, 0, NULL, &share));
    CU_ASSERT(share >= 0 && share <= 1 && other >= 0 && other < 10);
    sum += (double)share;
    if (row >= 5)
      continue;
    plain_of(d, row, was);
    row_of(d, row, 0, is);
    for (int64_t k = 0; k < 103; k++) { /* which one was mixed in? */
      bool fits = data_labels(d, DATA_TRAIN, "label")[k] == other;
      plain_of(d, k, with);
      for (int i = 0; fits && i < PIXELS; i++)
        fits = fabsf(is[i] - share * was[i] - (1 - share) * with[i]) < 1e-5f;
      found += fits;
    }
  }
  CU_ASSERT(found >= 5);
  CU_ASSERT(sum > 38 && sum < 62); /* uniform: 50, 4 sigma are 11.6 */
  data_close(d);
}

static void fitting(void) {
  const Entry entry[] = {{"mixup", true, 1, {0.4}}};
  NetTensor t[4] = {{"image", 0, NET_F32, 4, 1, {2, 3, 32, 32}, 0},
                    {"label", 10, NET_I32, 1, 1, {2}, 2 * 4 * PIXELS},
                    {"mixed", 10, NET_I32, 1, 1, {2}, 2 * 4 * PIXELS + 8},
                    {"share", 0, NET_F32, 1, 1, {2}, 2 * 4 * PIXELS + 16}};
  NetFunction f = {.batch = 2, .n_inputs = 2, .inputs = t};
  Dataset *d = open_ok(SHAPES, 1, entry, 1);
  DataError e;
  CU_ASSERT(!data_fits(d, &f, &e));
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "must read `mixed`"));
  f.n_inputs = 1; /* no label, so nothing that is wrong about it */
  CU_ASSERT(data_fits(d, &f, &e));
  f.n_inputs = 4;
  CU_ASSERT(data_fits(d, &f, &e));
  /* The test is as it is. */
  char *arena = calloc(2 * 4 * PIXELS + 24, 1);
  data_fill(d, DATA_TEST, (int64_t[]){3, 4}, 2, &f, arena);
  int32_t whole[4];
  float share[2];
  memcpy(whole, arena + t[1].offset, sizeof whole);
  memcpy(share, arena + t[3].offset, sizeof share);
  CU_ASSERT(whole[0] == 3 && whole[1] == 4 && whole[2] == 3 && whole[3] == 4);
  CU_ASSERT(share[0] == 1 && share[1] == 1);
  free(arena);
  data_close(d);
}

static void mistakes(void) {
  const Entry crop[] = {{"crop", true, 1, {33}}};
  const Entry cutout[] = {{"cutout", true, 1, {40}}};
  const Entry twice[] = {{"flip", true, 1, {1}}, {"flip", true, 1, {0}}};
  const Entry jitter[] = {{"jitter", true, 0, {0}}};
  const Entry flip[] = {{"flip", true, 1, {2}}};
  const Entry rotate[] = {{"rotate", true, 0, {0}}};
  const Entry saturation[] = {{"jitter", true, 3, {0, 0, 1}}};
  const Entry plain[] = {{"flip", true, 0, {0}}};
  char text[700];
  refuse(SHAPES, crop, 1, "crop: pad = 33 is more than the pictures have");
  refuse(SHAPES, cutout, 1, "cutout: size = 40 is more");
  refuse(SHAPES, twice, 2, "flip is there twice");
  refuse(SHAPES, jitter, 1, "jitter needs brightness, contrast, saturation or "
         "hue");
  refuse(SHAPES, flip, 1, "p = 2 is not between 0 and 1");
  refuse(SHAPES, rotate, 1, "rotate needs the argument degrees");
  CU_ASSERT(check_write(check_path("a.csv"), "1,2\n3,4\n", 8));
  snprintf(text, sizeof text, "csv(\"%s\", target = 2)", check_path("a.csv"));
  refuse(text, plain, 1, "augment needs pictures");
  refuse(text, saturation, 1, "augment needs pictures");
}

/* Pictures of one channel and a target of numbers, both f32, from arrays. */
static const char *write_array(const char *name, const char *shape,
                               const float *v, size_t n) {
  uint8_t b[400] = "\x93NUMPY\1\0\x76";
  memset(b + 10, ' ', 118);
  int used = snprintf((char *)b + 10, 118, "{'descr': '<f4', 'fortran_order': "
                      "False, 'shape': %s}", shape);
  b[10 + used] = ' ';
  b[127] = '\n';
  memcpy(b + 128, v, n * sizeof *v);
  CU_ASSERT(check_write(check_path(name), b, 128 + n * sizeof *v));
  return check_path(name);
}

static void arrays(void) {
  const float x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const float y[3] = {10, 20, 30};
  const Entry jitter[] = {{"jitter", true, 1, {1}}};
  const Entry saturation[] = {{"jitter", true, 3, {0, 0, 1}}};
  const Entry hue[] = {{"jitter", true, 4, {0, 0, 0, 0.1}}};
  const Entry mixup[] = {{"normalize", false, 2, {1, 2}},
                         {"mixup", true, 1, {1}},
                         {"flip", true, 1, {0}}};
  char text[900];
  float is[4], target;
  int n = snprintf(text, sizeof text, "npy(\"%s\", ",
                   write_array("x.npy", "(3, 1, 2, 2)", x, 12));
  snprintf(text + n, sizeof text - (size_t)n, "\"%s\")",
           write_array("y.npy", "(3,)", y, 3));
  refuse(text, jitter, 1, "jitter needs pixels from 0 to 1");
  refuse(text, saturation, 1, "saturation needs pictures of 3 channels");
  refuse(text, hue, 1, "hue needs pictures of 3 channels");
  Dataset *d = open_ok(text, 1, mixup, 3);
  if (!d)
    return;
  CU_ASSERT_EQUAL(d->n_columns, 2);
  float *scratch = calloc((size_t)data_augment_scratch(d), sizeof *scratch);
  for (int64_t epoch = 0; epoch < 20; epoch++) {
    CU_ASSERT(data_augment_row(d, 0, 1, epoch, scratch, is));
    CU_ASSERT(data_augment_row(d, 1, 1, epoch, NULL, &target));
    /* Both are of the same mixture, and y is a line of x. */
    CU_ASSERT_DOUBLE_EQUAL((double)(is[0] * 2 + 1 - 5) / 4,
                           (double)(target - 20) / 10, 1e-5);
  }
  free(scratch);
  data_close(d);
}

/* ---- the stream ---- */

enum { BATCH = 8, BYTES = BATCH * 4 * (PIXELS + 1) };
static const NetTensor inputs[2] = {
    {"image", 0, NET_F32, 4, 1, {BATCH, 3, 32, 32}, 0},
    {"label", 10, NET_I32, 1, 1, {BATCH}, BATCH * 4 * PIXELS}};
static const NetFunction step = {
    .batch = BATCH, .n_inputs = 2, .inputs = inputs};

static uint64_t hash(uint64_t h, const void *from, size_t n) { /* FNV-1a */
  for (const uint8_t *p = from; n > 0; n--, p++)
    h = (h ^ *p) * 1099511628211u;
  return h;
}

/* Three epochs of which the first is left after some batches. */
static uint64_t all_batches(const Dataset *d, NetPool *pool, int threads) {
  DataError e;
  uint64_t h = 14695981039346656037u;
  int64_t rows[3][103], n, sum = 0;
  char *arena = calloc(1, BYTES);
  DataStream *s = data_stream_new(d, &step, pool, threads, &e);
  for (int64_t epoch = 0; epoch < 3; epoch++) {
    int left = epoch == 0 ? 5 : 100;
    data_order(d, DATA_TRAIN, true, 1, epoch, rows[epoch]);
    data_stream_start(s, rows[epoch], 103, epoch);
    while (left-- > 0 && (n = data_stream_next(s, arena)) > 0) {
      h = hash(h, arena, BYTES);
      sum += n;
    }
  }
  CU_ASSERT_EQUAL(sum, 5 * BATCH + 2 * 103);
  CU_ASSERT_EQUAL(data_stream_next(s, arena), 0);
  data_stream_free(s);
  free(arena);
  return h;
}

static void streams(void) {
  const Entry entry[] = {{"normalize", false, 2, {0.5, 0.5}},
                         {"flip", true, 1, {0.5}},
                         {"crop", true, 1, {4}},
                         {"rotate", true, 1, {10}},
                         {"jitter", true, 4, {0.2, 0.2, 0.2, 0.1}}};
  for (int n = 1; n <= 5; n += 2) {
    Dataset *d = open_ok(SHAPES, 1, entry, n);
    uint64_t want = all_batches(d, NULL, 1);
    for (int threads = 0; threads < 4; threads++) {
      NetPool *pool = net_pool_new(threads);
      CU_ASSERT_EQUAL(all_batches(d, pool, threads), want);
      net_pool_free(pool);
    }
    data_close(d);
  }
}

/* Freed before it was started, and with batches that nobody took. */
static void unfinished(void) {
  const Entry entry[] = {{"flip", true, 1, {0.5}}};
  Dataset *d = open_ok(SHAPES, 1, entry, 1);
  DataError e;
  int64_t rows[103];
  char *arena = calloc(1, BYTES);
  data_stream_free(NULL);
  data_stream_free(data_stream_new(d, &step, NULL, 1, &e));
  data_order(d, DATA_TRAIN, true, 1, 0, rows);
  for (int i = 0; i < 20; i++) {
    DataStream *s = data_stream_new(d, &step, NULL, 1, &e);
    data_stream_start(s, rows, 103, 0);
    for (int k = 0; k < i % 4; k++)
      data_stream_next(s, arena);
    data_stream_free(s);
  }
  free(arena);
  data_close(d);
}

void suite_augment(void) {
  static const CheckTest tests[] = {
      {"validation, stratified", validation},
      {"splits that are not right", wrong_splits},
      {"flip", flips},
      {"crop", crops},
      {"views and pixels", views},
      {"rotate", rotations},
      {"jitter", jitters},
      {"hue", hues},
      {"cutout", cutouts},
      {"random bits by address", addresses},
      {"mixup", mixups},
      {"what a program must read", fitting},
      {"entries that are not right", mistakes},
      {"arrays of numbers", arrays},
      {"the same batches for any threads", streams},
      {"streams that end early", unfinished},
      {NULL, NULL}};
  check_suite("augment", tests);
}
