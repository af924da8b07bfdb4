/* The reader npy(x, y[, test_x, test_y][, test]): numpy's arrays, a sample for each
 * index of the first axis. The format (version 1 and 2):
 *
 *   93 'NUMPY' major minor | length, u16 or u32 | header | elements
 *   header: {'descr': '<f4', 'fortran_order': False, 'shape': (50, 3), } \n
 *
 * The header is a Python literal; this parser knows these three keys, each
 * once, and nothing else. The file must be as long as its shape says before
 * anything is allocated. Elements: f4 f8 u1 i4 i8, little-endian, C order.
 * Without test files the last rows may be the test; or else the training data
 * are. */
#include "runtime/data.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_AXES = 9, MAX_HEADER = 10000 /* numpy's own limit */ };

typedef enum ElementKind { F4, F8, U1, I4, I8 } ElementKind;

typedef struct Element {
  const char *descr;
  ElementKind kind;
  int size; /* bytes */
  bool real;
} Element;

static const Element elements[] = {{"<f4", F4, 4, true}, {"<f8", F8, 8, true},
                                   {"|u1", U1, 1, false}, {"<i4", I4, 4, false},
                                   {"<i8", I8, 8, false}};
enum { N_ELEMENTS = sizeof elements / sizeof elements[0] };

typedef struct Header {
  const Element *element;
  bool fortran, has_order, has_shape;
  int rank;
  int64_t dim[MAX_AXES];
} Header;

/* ---- the header ---- */

typedef struct Parser {
  const char *p; /* ends in a NUL; the text holds none before */
  const char *file;
  DataError *e;
} Parser;

static bool bad(Parser *s, const char *what) {
  return data_fail(s->e, "%s: header: %s", s->file, what);
}

/* Takes a literal text, and the spaces before it. */
static bool take(Parser *s, const char *text) {
  s->p += strspn(s->p, " ");
  size_t n = strlen(text);
  if (strncmp(s->p, text, n) != 0)
    return false;
  s->p += n;
  return true;
}

static bool descr(Parser *s, Header *h) {
  if (h->element)
    return bad(s, "descr is there twice");
  if (!take(s, "'"))
    return bad(s, "descr is not a text");
  for (int i = 0; i < N_ELEMENTS && !h->element; i++)
    if (take(s, elements[i].descr))
      h->element = &elements[i];
  if (!h->element || !take(s, "'"))
    return bad(s, "descr is none of <f4 <f8 |u1 <i4 <i8");
  return true;
}

static bool order(Parser *s, Header *h) {
  if (h->has_order)
    return bad(s, "fortran_order is there twice");
  h->has_order = true;
  h->fortran = take(s, "True");
  if (!h->fortran && !take(s, "False"))
    return bad(s, "fortran_order is neither True nor False");
  return true;
}

static bool extent(Parser *s, int64_t *v) {
  s->p += strspn(s->p, " ");
  size_t n = strspn(s->p, "0123456789");
  if (n == 0 || n > 18 || (n > 1 && s->p[0] == '0'))
    return bad(s, "shape: want sizes below 10^18");
  *v = 0;
  for (; n > 0; n--)
    *v = 10 * *v + (*s->p++ - '0');
  return true;
}

/* (), (5,), (5, 3), (5, 3,) */
static bool shape(Parser *s, Header *h) {
  if (h->has_shape)
    return bad(s, "shape is there twice");
  h->has_shape = true;
  if (!take(s, "("))
    return bad(s, "shape is not a tuple");
  while (!take(s, ")")) {
    if (h->rank == MAX_AXES)
      return bad(s, "shape has more than 9 axes");
    if (!extent(s, &h->dim[h->rank++]))
      return false;
    bool comma = take(s, ",");
    if (take(s, ")")) {
      if (h->rank == 1 && !comma)
        return bad(s, "shape is not a tuple");
      return true;
    }
    if (!comma)
      return bad(s, "shape: want ',' or ')'");
  }
  return true;
}

static bool entry(Parser *s, Header *h) {
  static const struct {
    const char *name;
    bool (*read)(Parser *s, Header *h);
  } keys[] = {
      {"'descr'", descr}, {"'fortran_order'", order}, {"'shape'", shape}};
  for (int i = 0; i < 3; i++)
    if (take(s, keys[i].name))
      return take(s, ":") ? keys[i].read(s, h) : bad(s, "want ':'");
  return bad(s, "want the keys descr, fortran_order and shape");
}

static bool parse_header(Parser *s, Header *h) {
  *h = (Header){.element = NULL};
  if (!take(s, "{"))
    return bad(s, "want '{'");
  while (!take(s, "}")) {
    if (!entry(s, h))
      return false;
    bool comma = take(s, ",");
    if (take(s, "}"))
      break;
    if (!comma)
      return bad(s, "want ',' or '}'");
  }
  if (!take(s, "\n") || *s->p)
    return bad(s, "want a line's end behind '}'");
  if (!h->element || !h->has_order || !h->has_shape)
    return bad(s, "want all of descr, fortran_order and shape");
  if (h->fortran && h->rank > 1)
    return bad(s, "fortran order; save it with numpy.ascontiguousarray");
  return true;
}

/* Reads what lies before the elements; *start is where they begin. */
static bool read_header(FILE *f, const char *file, Header *h, int64_t *start,
                        DataError *e) {
  uint8_t b[12];
  char text[MAX_HEADER + 1];
  if (fread(b, 10, 1, f) != 1 || memcmp(b, "\x93NUMPY", 6) != 0)
    return data_fail(e, "%s: not an .npy file", file);
  size_t length = (size_t)b[8] | (size_t)b[9] << 8;
  *start = 10;
  if (b[6] == 2) {
    if (fread(b + 10, 2, 1, f) != 1)
      return data_fail(e, "%s: header: cut short", file);
    length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    *start = 12;
  }
  if ((b[6] != 1 && b[6] != 2) || b[7] != 0)
    return data_fail(e, "%s: version %d.%d of the format; want 1.0 or 2.0",
                     file, b[6], b[7]);
  if (length > MAX_HEADER)
    return data_fail(e, "%s: header: %zu bytes, more than %d", file, length,
                     MAX_HEADER);
  if (fread(text, 1, length, f) != length)
    return data_fail(e, "%s: header: cut short", file);
  if (memchr(text, 0, length))
    return data_fail(e, "%s: header: has a zero byte", file);
  text[length] = '\0';
  *start += (int64_t)length;
  Parser s = {.p = text, .file = file, .e = e};
  return parse_header(&s, h);
}

/* Shape and length of the file against each other. */
static bool check_size(const char *file, const Header *h, int64_t bytes,
                       DataError *e) {
  int64_t want = h->element->size;
  if (h->rank == 0)
    return data_fail(e, "%s: one number without an axis; want rows", file);
  for (int i = 0; i < h->rank; i++)
    if (h->dim[i] == 0)
      return data_fail(e, "%s: axis %d has size 0", file, i);
  for (int i = 0; i < h->rank; i++)
    if (!data_product(want, h->dim[i], &want))
      return data_fail(e, "%s: the shape is too large", file);
  if (want != bytes)
    return data_fail(e, "%s: %lld bytes of elements, but the shape wants %lld",
                     file, (long long)bytes, (long long)want);
  return true;
}

static FILE *open_array(const char *file, Header *h, DataError *e) {
  int64_t bytes, start = 0;
  FILE *f = data_file(file, &bytes, e);
  if (!f)
    return NULL;
  if (read_header(f, file, h, &start, e) &&
      check_size(file, h, bytes - start, e))
    return f;
  fclose(f);
  return NULL;
}

/* ---- elements ---- */

static uint64_t little_endian(const uint8_t *b, int size) {
  uint64_t word = 0;
  for (int i = size; i-- > 0;)
    word = word << 8 | b[i];
  return word;
}

static double real_of(ElementKind kind, uint64_t word) {
  double d;
  float f;
  uint32_t half = (uint32_t)word;
  memcpy(&f, &half, sizeof f);
  memcpy(&d, &word, sizeof d);
  return kind == F4 ? (double)f : d;
}

static int64_t whole_of(ElementKind kind, uint64_t word) {
  if (kind == I4)
    return (int64_t)(int32_t)(uint32_t)word;
  return (int64_t)word;
}

/* Where an element stands, for messages. */
typedef struct Place {
  const char *file;
  int64_t row, value;
} Place;

static bool put_real(const Place *at, double v, float *to, DataError *e) {
  if (!(fabs(v) <= (double)FLT_MAX))
    return data_fail(e, "%s: record %lld, value %lld: %g is not a number of"
                     " f32", at->file, (long long)at->row,
                     (long long)at->value, v);
  *to = (float)v;
  return true;
}

static bool put_whole(const Place *at, int64_t v, int32_t *to, DataError *e) {
  if (v < 0 || v >= INT32_MAX)
    return data_fail(e, "%s: record %lld, value %lld: %lld is not a class or"
                     " id, from 0 to %d", at->file, (long long)at->row,
                     (long long)at->value, (long long)v, INT32_MAX - 1);
  *to = (int32_t)v;
  return true;
}

static bool read_elements(FILE *f, const char *file, const Element *t,
                          DataColumn *c, int64_t rows, void *values,
                          DataError *e) {
  uint8_t b[8];
  for (int64_t row = 0, i = 0; row < rows; row++)
    for (int64_t k = 0; k < c->count; k++, i++) {
      Place at = {file, row + 1, k + 1};
      bool ok = true;
      if (fread(b, (size_t)t->size, 1, f) != 1)
        return data_fail(e, "%s: record %lld cannot be read", file,
                         (long long)row + 1);
      uint64_t word = little_endian(b, t->size);
      if (t->real)
        ok = put_real(&at, real_of(t->kind, word), (float *)values + i, e);
      else
        ok = put_whole(&at, whole_of(t->kind, word), (int32_t *)values + i, e);
      if (!ok)
        return false;
    }
  return true;
}

/* The column that an array makes: all axes but the first. */
static void describe(const Header *h, bool pixels, DataColumn *c) {
  bool bytes = pixels && h->element->kind == U1;
  NetType type = h->element->real || bytes ? NET_F32 : NET_I32;
  *c = (DataColumn){.count = 1};
  c->field = data_field("", type, h->rank - 1, h->dim + 1, 0);
  c->store = bytes ? STORE_U8 : type == NET_F32 ? STORE_F32 : STORE_I32;
  for (int i = 1; i < h->rank; i++)
    c->count *= h->dim[i];
}

bool npy_read(const char *file, bool pixels, DataColumn *c, void **values,
              int64_t *rows, DataError *e) {
  Header h;
  FILE *f = open_array(file, &h, e);
  if (!f)
    return false;
  describe(&h, pixels, c);
  *rows = h.dim[0];
  int64_t n = *rows * c->count; /* check_size: no overflow */
  bool ok;
  if (c->store == STORE_U8) {
    *values = data_alloc(n, 1, e);
    ok = *values && (fread(*values, (size_t)n, 1, f) == 1 ||
                     data_fail(e, "%s: cannot be read", file));
  } else {
    *values = data_alloc(n, 4, e);
    ok = *values && read_elements(f, file, h.element, c, *rows, *values, e);
  }
  fclose(f);
  return ok;
}

/* ---- the reader ---- */

enum { X, Y, TEST_X, TEST_Y, TEST };
static const DataParam params[] = {{"x", PARAM_PATH, true, 0, 0, 0},
                                   {"y", PARAM_PATH, true, 0, 0, 0},
                                   {"test_x", PARAM_PATH, false, 0, 0, 0},
                                   {"test_y", PARAM_PATH, false, 0, 0, 0},
                                   {"test", PARAM_SHARE, false, 1e-9, 1e15, 0},
                                   {.name = NULL}};

static bool same_shape(const NetField *a, const NetField *b) {
  bool same = a->type == b->type && a->rank == b->rank;
  for (int i = 0; same && i < a->rank; i++)
    same = a->dim[i] == b->dim[i];
  return same;
}

/* Reads x and y of a split; names the columns. */
static bool read_pair(Dataset *d, DataSplitName split, const char *x,
                      const char *y, DataColumn pair[2], DataError *e) {
  DataSplit *s = &d->split[split];
  int64_t n;
  if (!npy_read(x, false, &pair[0], &s->column[0], &s->rows, e) ||
      !npy_read(y, false, &pair[1], &s->column[1], &n, e))
    return false;
  if (n != s->rows)
    return data_fail(e, "%s has %lld records, but %s has %lld", x,
                     (long long)s->rows, y, (long long)n);
  snprintf(pair[0].field.name, sizeof pair[0].field.name, "x");
  snprintf(pair[1].field.name, sizeof pair[1].field.name, "y");
  return true;
}

/* y of whole numbers, one or more a sample: the classes are 0 to the largest that
 * any split has. */
static void count_classes(Dataset *d) {
  DataColumn *c = &d->column[1];
  if (c->store != STORE_I32)
    return;
  for (int k = 0; k < DATA_SPLITS; k++) {
    const int32_t *y = d->split[k].column[1];
    for (int64_t i = 0; i < d->split[k].rows * c->count; i++)
      if (y[i] >= d->n_classes)
        d->n_classes = (int64_t)y[i] + 1;
  }
  c->field.classes = d->n_classes;
}

static bool open_arrays(Dataset *d, const DataValue *v, uint64_t seed,
                        DataError *e) {
  (void)seed;
  DataColumn test[2];
  if (v[TEST_X].given != v[TEST_Y].given)
    return data_fail(e, "npy: test_x and test_y go together");
  if (v[TEST_X].given && v[TEST].given)
    return data_fail(e, "npy: test = %g, but there is test_x", v[TEST].number);
  d->n_columns = 2;
  if (!read_pair(d, DATA_TRAIN, v[X].string, v[Y].string, d->column, e))
    return false;
  if (v[TEST_X].given) {
    if (!read_pair(d, DATA_TEST, v[TEST_X].string, v[TEST_Y].string, test, e))
      return false;
    for (int i = 0; i < 2; i++)
      if (!same_shape(&test[i].field, &d->column[i].field))
        return data_fail(e, "%s and %s: rows of another shape or type",
                         v[i].string, v[TEST_X + i].string);
  }
  count_classes(d);
  return !v[TEST].given || data_split_test(d, v[TEST].number, false, e);
}

/* Opens the files: their shapes are the fields, and the largest y is known only
 * when all are read. */
static bool fields(const DataValue *v, NetField *f, int *n, DataError *e) {
  Dataset *d = data_alloc(1, (int64_t)sizeof *d, e);
  if (!d)
    return false;
  bool ok = open_arrays(d, v, 0, e);
  if (ok) {
    f[(*n)++] = d->column[0].field;
    f[(*n)++] = d->column[1].field;
  }
  data_close(d);
  return ok;
}

const DataReader reader_npy = {
    .name = "npy", .params = params, .fields = fields, .open = open_arrays};
