/* The reader shapes(train, test, noise, wrong): pictures that need no file.
 * 3 x 32 x 32 pixels, ten kinds, the kind of sample i is i % 10; place, size,
 * colours and background are drawn from Philox(seed; split, sample), so that a
 * sample does not depend on how many there are. Gaussian noise is added to
 * every byte; a share of the training labels is wrong, the test labels never
 * are. All is integer arithmetic: the same bytes on every machine.
 *
 * Lengths are in sixteenths of a pixel; the edge of a shape is smoothed by
 * asking for 4 x 4 points a pixel. */
#include "runtime/data.h"
#include "runtime/philox.h"

#include <string.h>

enum { SIDE = 32, AREA = SIDE * SIDE, PIXELS = 3 * AREA, UNIT = 16 };
enum { IMAGE, LABEL }; /* the columns */

/* ---- the kinds: is the point (x, y) from the centre in the shape of radius
 * r? y grows downwards ---- */

typedef int32_t Length;

static Length far(Length a) { return a < 0 ? -a : a; }

static bool disc(Length x, Length y, Length r) {
  return x * x + y * y <= r * r;
}

static bool ring(Length x, Length y, Length r) {
  return disc(x, y, r) && !disc(x, y, r * 9 / 16);
}

static bool square(Length x, Length y, Length r) {
  return far(x) <= r * 7 / 8 && far(y) <= r * 7 / 8;
}

static bool frame(Length x, Length y, Length r) {
  return square(x, y, r) && !square(x, y, r * 9 / 16);
}

static bool triangle(Length x, Length y, Length r) {
  return y <= r * 3 / 4 && y >= -r && far(x) * 7 <= (y + r) * 4;
}

static bool cross(Length x, Length y, Length r) {
  return far(x) <= r && far(y) <= r && (far(x) * 7 <= r * 2 ||
                                        far(y) * 7 <= r * 2);
}

/* Two and a half waves: three bars and the two gaps between them. */
static bool bar(Length v, Length r) { return (v + r) * 5 / (2 * r) % 2 == 0; }

static bool rows(Length x, Length y, Length r) {
  return far(x) <= r && far(y) < r && bar(y, r);
}

static bool columns(Length x, Length y, Length r) { return rows(y, x, r); }

static bool checkers(Length x, Length y, Length r) {
  return far(x) < r && far(y) < r &&
         ((x + r) * 4 / (2 * r) + (y + r) * 4 / (2 * r)) % 2 == 0;
}

/* Four points: sqrt |x| + sqrt |y| <= sqrt r, squared twice. */
static bool star(Length x, Length y, Length r) {
  Length rest = r - far(x) - far(y);
  return rest >= 0 && rest * rest >= 4 * far(x * y);
}

typedef struct Kind {
  const char *name;
  bool (*inside)(Length x, Length y, Length r);
} Kind;

static const Kind kinds[] = {
    {"disc", disc}, {"ring", ring},         {"square", square},
    {"frame", frame}, {"triangle", triangle}, {"cross", cross},
    {"rows", rows}, {"columns", columns},   {"checkers", checkers},
    {"star", star}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* ---- drawing ---- */

/* The random words of one sample, in turn. */
typedef struct Draw {
  uint64_t seed;
  uint32_t split, sample, next, word[4];
} Draw;

static uint32_t draw(Draw *d) {
  if (d->next % 4 == 0) {
    d->word[0] = d->next / 4;
    d->word[1] = d->sample;
    d->word[2] = d->split;
    d->word[3] = PLACE_SHAPES;
    philox(d->word, d->seed);
  }
  return d->word[d->next++ % 4];
}

/* A whole number in [low, high]. */
static int32_t draw_in(Draw *d, int32_t low, int32_t high) {
  uint64_t n = (uint64_t)(high - low) + 1;
  return low + (int32_t)(draw(d) * n >> 32);
}

typedef struct Picture {
  const Kind *kind;
  Length x, y, r;          /* centre and radius */
  int32_t ink[3];          /* 0..255 */
  int32_t paper[3];        /* at the centre of the picture */
  int32_t across, down;    /* by how much the paper changes from side to side */
} Picture;

/* Bright ink on dark paper: a net that must first learn to see both ways round
 * takes five times as long to begin. Ink and paper differ by 150 of 765 or
 * more, in sum over the channels. */
static void draw_colours(Draw *d, Picture *p) {
  int32_t distance;
  do {
    distance = 0;
    for (int c = 0; c < 3; c++) {
      p->ink[c] = draw_in(d, 96, 255);
      p->paper[c] = draw_in(d, 0, 128);
      distance += p->ink[c] - p->paper[c];
    }
  } while (distance < 150);
}

static void draw_picture(Draw *d, Picture *p) {
  p->r = draw_in(d, 7 * UNIT, 13 * UNIT);
  p->x = draw_in(d, p->r, SIDE * UNIT - p->r);
  p->y = draw_in(d, p->r, SIDE * UNIT - p->r);
  p->across = draw_in(d, -48, 48);
  p->down = draw_in(d, -48, 48);
  draw_colours(d, p);
}

/* How many of a pixel's 16 points lie in the shape. */
static int32_t coverage(const Picture *p, int32_t column, int32_t row) {
  int32_t n = 0;
  for (Length y = 2; y < UNIT; y += 4)
    for (Length x = 2; x < UNIT; x += 4)
      n += p->kind->inside(column * UNIT + x - p->x, row * UNIT + y - p->y,
                           p->r);
  return n;
}

/* Four bytes' sum: mean 510, deviation 147.8, near enough to a normal draw. */
static int32_t bell(uint32_t word) {
  return (int32_t)((word & 255) + (word >> 8 & 255) + (word >> 16 & 255) +
                   (word >> 24)) - 510;
}

static uint8_t byte_of(int32_t v) {
  return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Writes PIXELS bytes, channel by channel. `scale`: 2^16 x the noise's
 * deviation in bytes / 147.8. */
static void paint(Draw *d, const Picture *p, int64_t scale, uint8_t *out) {
  for (int32_t row = 0; row < SIDE; row++)
    for (int32_t column = 0; column < SIDE; column++) {
      int32_t n = coverage(p, column, row);
      int32_t slope = (p->across * (2 * column + 1 - SIDE) +
                       p->down * (2 * row + 1 - SIDE)) / (2 * SIDE);
      for (int c = 0; c < 3; c++) {
        int32_t v = (n * p->ink[c] + (16 - n) * (p->paper[c] + slope)) / 16;
        int64_t noise = scale * bell(draw(d)) / 65536;
        out[c * AREA + row * SIDE + column] = byte_of(v + (int32_t)noise);
      }
    }
}

/* ---- the reader ---- */

enum { TRAIN, TEST, NOISE, WRONG, SEED };
static const DataParam params[] = {
    {"train", PARAM_INTEGER, false, 1, 1e8, 2000},
    {"test", PARAM_INTEGER, false, 1, 1e8, 1000},
    {"noise", PARAM_NUMBER, false, 0, 1, 0.2},
    {"wrong", PARAM_NUMBER, false, 0, 1, 0},
    {"seed", PARAM_INTEGER, false, 0, 9007199254740992.0, 0},
    {.name = NULL}};

static bool fields(const DataValue *v, NetField *f, int *n, DataError *e) {
  (void)v, (void)e;
  f[(*n)++] = data_field("image", NET_F32, 3, (const int64_t[]){3, 32, 32}, 0);
  f[(*n)++] = data_field("label", NET_I32, 0, NULL, KINDS);
  return true;
}

static bool draw_split(Dataset *d, DataSplitName split, int64_t n,
                       const DataValue *v, uint64_t seed, DataError *e) {
  DataSplit *s = &d->split[split];
  uint8_t *pixels = s->column[IMAGE] = data_alloc(n, PIXELS, e);
  int32_t *labels = s->column[LABEL] = data_alloc(n, 4, e);
  if (!pixels || !labels)
    return false;
  s->rows = n;
  double wrong = split == DATA_TRAIN ? v[WRONG].number : 0;
  /* One multiplication: no machine rounds it otherwise. */
  int64_t scale = (int64_t)(v[NOISE].number * (65536 * 255 / 147.8));
  for (int64_t i = 0; i < n; i++) {
    Draw random = {.seed = seed, .split = split, .sample = (uint32_t)i};
    int32_t kind = (int32_t)(i % KINDS);
    bool lie = (double)philox_uniform(draw(&random)) < wrong;
    int32_t by = draw_in(&random, 1, KINDS - 1);
    Picture picture = {.kind = &kinds[kind]};
    draw_picture(&random, &picture);
    paint(&random, &picture, scale, pixels + i * PIXELS);
    labels[i] = lie ? (kind + by) % KINDS : kind;
  }
  return true;
}

static bool open_shapes(Dataset *d, const DataValue *v, uint64_t seed,
                        DataError *e) {
  NetField f[NET_FIELDS];
  int n = 0;
  fields(v, f, &n, e);
  data_add_column(d, &f[IMAGE], STORE_U8);
  data_add_column(d, &f[LABEL], STORE_I32);
  d->class_names = data_alloc(KINDS, (int64_t)sizeof(char *), e);
  for (int i = 0; d->class_names && i < KINDS; i++) {
    size_t size = strlen(kinds[i].name) + 1;
    d->class_names[i] = data_alloc((int64_t)size, 1, e);
    if (!d->class_names[i])
      return false;
    memcpy(d->class_names[i], kinds[i].name, size);
  }
  if (v[SEED].given)
    seed = (uint64_t)v[SEED].number;
  return d->class_names &&
         draw_split(d, DATA_TRAIN, (int64_t)v[TRAIN].number, v, seed, e) &&
         draw_split(d, DATA_TEST, (int64_t)v[TEST].number, v, seed, e);
}

const DataReader reader_shapes = {
    .name = "shapes", .params = params, .fields = fields, .open = open_shapes};
