/* The reader idx(dir): MNIST's format, as it is published or packed by gzip.
 *
 *   pictures  00 00 08 03 | count | height | width | bytes, row by row
 *   labels    00 00 08 01 | count | bytes           sizes are u32, big-endian
 *
 * DIR holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the two that
 * begin with t10k, each with or without .gz. A file must be as long as its
 * header says, and a packed one must unpack without error to its end. What a
 * header claims is held against the file's size before anything is allocated;
 * of a packed file against what deflate can make of its bytes at most. */
#include "runtime/data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { IMAGE, LABEL }; /* the columns */
enum { DIR_PARAM, CLASSES };
enum { SIDE = 28, MAX_SIDE = 4096, DEFLATE_AT_MOST = 1032, SLACK = 65536 };

static const DataParam params[] = {{"dir", PARAM_PATH, true, 0, 0, 0},
                                   {"classes", PARAM_INTEGER, false, 2, 256, 10},
                                   {.name = NULL}};

static const char *const file_name[2][2] = {
    {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
    {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}};

/* ---- a file ---- */

typedef struct Idx {
  char *path;
  gzFile file; /* zlib reads what is not packed as it is */
  int64_t most; /* bytes that it can hold, unpacked */
  int64_t rows;
  int64_t dim[2];
} Idx;

static void idx_close(Idx *x) {
  if (x->file)
    gzclose(x->file);
  free(x->path);
  *x = (Idx){.path = NULL};
}

/* folder/name, or folder/name.gz where that is the file that is there. */
static char *find_path(const char *folder, const char *name, DataError *e) {
  char packed[64];
  char *path = data_join(folder, name, e);
  if (!path || access(path, F_OK) == 0)
    return path;
  snprintf(packed, sizeof packed, "%s.gz", name);
  char *other = data_join(folder, packed, e);
  bool is_packed = !other || access(other, F_OK) == 0;
  free(is_packed ? path : other);
  return is_packed ? other : path;
}

static bool broken(const Idx *x, DataError *e) {
  int number = Z_OK;
  const char *what = gzerror(x->file, &number);
  if (number == Z_ERRNO)
    return net_fail_errno(e, x->path, "cannot be read: ");
  if (number == Z_MEM_ERROR)
    return data_no_memory(e);
  if (number != Z_OK && number != Z_STREAM_END)
    return data_fail(e, "%s: cannot be read: %s", x->path, what);
  return data_fail(e, "%s: cut short", x->path);
}

/* Reads exactly n bytes. */
static bool take(Idx *x, void *to, int64_t n, DataError *e) {
  for (char *p = to; n > 0;) {
    unsigned piece = n < (1 << 30) ? (unsigned)n : 1u << 30;
    int got = gzread(x->file, p, piece);
    if (got <= 0)
      return broken(x, e);
    p += got;
    n -= got;
  }
  return true;
}

static uint32_t big_endian(const uint8_t *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 |
         b[3];
}

/* Opens the file and reads its header, which has `axes` sizes. */
static bool idx_open(Idx *x, const char *folder, const char *name, int axes,
                     DataError *e) {
  uint8_t b[16];
  int64_t bytes;
  *x = (Idx){.path = find_path(folder, name, e)};
  FILE *f = x->path ? data_file(x->path, &bytes, e) : NULL;
  if (!f)
    return false;
  bool packed = getc(f) == 0x1f && getc(f) == 0x8b;
  fclose(f);
  errno = ENOMEM; /* what it means if the library sets none */
  x->file = gzopen(x->path, "rb");
  if (!x->file)
    return net_fail_errno(e, x->path, "");
  x->most = packed ? bytes * DEFLATE_AT_MOST + SLACK : bytes;
  if (!take(x, b, 4 + 4 * axes, e))
    return false;
  if (b[0] || b[1] || b[2] != 8 || b[3] != axes)
    return data_fail(e, "%s: begins with %02x %02x %02x %02x, not 00 00 08 %02x:"
                     " no file of %s", x->path, b[0], b[1], b[2], b[3], axes,
                     axes == 3 ? "pictures" : "labels");
  x->rows = big_endian(b + 4);
  for (int i = 1; i < axes; i++)
    x->dim[i - 1] = big_endian(b + 4 + 4 * i);
  return true;
}

/* Reads all of the elements, rows x each bytes. */
static bool idx_read(Idx *x, int64_t each, uint8_t **out, DataError *e) {
  int64_t bytes;
  uint8_t more;
  if (x->rows == 0)
    return data_fail(e, "%s: no records", x->path);
  if (!data_product(x->rows, each, &bytes) || bytes > x->most)
    return data_fail(e, "%s: cut short: the header says %lld records of %lld"
                     " bytes", x->path, (long long)x->rows, (long long)each);
  *out = data_alloc(bytes, 1, e);
  if (!*out || !take(x, *out, bytes, e))
    return false;
  int got = gzread(x->file, &more, 1), state;
  gzerror(x->file, &state); /* the end may lie within gzip's check sum */
  if (got < 0 || state != Z_OK)
    return broken(x, e);
  return got == 0 || data_fail(e, "%s: goes on behind its %lld records", x->path,
                               (long long)x->rows);
}

/* ---- pictures and labels ---- */

static bool check_sides(const Idx *x, DataError *e) {
  for (int i = 0; i < 2; i++)
    if (x->dim[i] < 1 || x->dim[i] > MAX_SIDE)
      return data_fail(e, "%s: pictures of %lld x %lld; want 1 to %d", x->path,
                       (long long)x->dim[0], (long long)x->dim[1], MAX_SIDE);
  return true;
}

/* Reads the pictures into a split; those of the test must have the size that
 * the column has got from the training part. */
static bool read_pictures(Dataset *d, Idx *x, DataSplit *s, DataError *e) {
  uint8_t *bytes = NULL;
  if (!check_sides(x, e))
    return false;
  DataColumn *c = &d->column[IMAGE];
  if (d->n_columns == 0)
    c = data_add_column(d, &(NetField){.name = "image", .type = NET_F32,
        .rank = 3, .dim = {1, x->dim[0], x->dim[1]}}, STORE_U8);
  if (c->field.dim[1] != x->dim[0] || c->field.dim[2] != x->dim[1])
    return data_fail(e, "%s: pictures of %lld x %lld, but those to train on are"
                     " %lld x %lld", x->path, (long long)x->dim[0],
                     (long long)x->dim[1], (long long)c->field.dim[1],
                     (long long)c->field.dim[2]);
  bool ok = idx_read(x, c->count, &bytes, e);
  s->column[IMAGE] = bytes;
  s->rows = x->rows;
  return ok;
}

static bool read_labels(Dataset *d, Idx *x, DataSplit *s, int64_t classes,
                        DataError *e) {
  uint8_t *bytes = NULL;
  if (d->n_columns == 1)
    data_add_column(d, &(NetField){.name = "label", .type = NET_I32,
                                   .classes = classes}, STORE_I32);
  bool ok = idx_read(x, 1, &bytes, e);
  int32_t *labels = ok ? data_alloc(x->rows, sizeof *labels, e) : NULL;
  s->column[LABEL] = labels;
  ok = labels != NULL;
  for (int64_t i = 0; ok && i < x->rows; i++) {
    labels[i] = bytes[i];
    if (bytes[i] >= classes)
      ok = data_fail(e, "%s: record %lld: label %d, but the classes are 0 to"
                     " %lld", x->path, (long long)i + 1, bytes[i],
                     (long long)classes - 1);
  }
  free(bytes);
  return ok;
}

static bool read_split(Dataset *d, DataSplitName split, const DataValue *v,
                       DataError *e) {
  Idx image = {.path = NULL}, label = {.path = NULL};
  const char *const *name = file_name[split == DATA_TEST];
  DataSplit *s = &d->split[split];
  bool ok = idx_open(&image, v[DIR_PARAM].string, name[IMAGE], 3, e) &&
            idx_open(&label, v[DIR_PARAM].string, name[LABEL], 1, e);
  if (ok && image.rows != label.rows)
    ok = data_fail(e, "%s has %lld records, but %s has %lld", image.path,
                   (long long)image.rows, label.path, (long long)label.rows);
  ok = ok && read_pictures(d, &image, s, e) &&
       read_labels(d, &label, s, (int64_t)v[CLASSES].number, e);
  idx_close(&image);
  idx_close(&label);
  return ok;
}

static bool open_folder(Dataset *d, const DataValue *v, uint64_t seed,
                        DataError *e) {
  (void)seed;
  return read_split(d, DATA_TRAIN, v, e) && read_split(d, DATA_TEST, v, e);
}

/* Where the folder is not there the pictures are MNIST's: its files are known
 * without having them. */
static bool fields(const DataValue *v, NetField *f, int *n, DataError *e) {
  Idx x = {.path = NULL};
  int64_t dim[3] = {1, SIDE, SIDE};
  const char *folder = v[DIR_PARAM].string;
  bool ok = true;
  if (access(folder, F_OK) == 0) {
    ok = idx_open(&x, folder, file_name[0][IMAGE], 3, e) && check_sides(&x, e);
    dim[1] = x.dim[0];
    dim[2] = x.dim[1];
    idx_close(&x);
  }
  f[(*n)++] = data_field("image", NET_F32, 3, dim, 0);
  f[(*n)++] =
      data_field("label", NET_I32, 0, NULL, (int64_t)v[CLASSES].number);
  return ok;
}

const DataReader reader_idx = {
    .name = "idx", .params = params, .fields = fields, .open = open_folder};
