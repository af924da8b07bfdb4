/* The reader images(dir): folders of PNG and JPEG files, a class each, in the
 * order of their names. Where DIR holds a folder `train`, that is the training
 * part, and `test` beside it the test; otherwise DIR holds the classes, and the
 * argument `test` says what share of each is kept for the test. All pictures are
 * brought to one size: that of the argument `size`, or of the first one. */
#include "runtime/images.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { IMAGE, LABEL }; /* the columns */
enum { DIR_PARAM, SIZE, CHANNELS, TEST };
enum { MAX_SIDE = 4096, MAX_CLASSES = 65536 };

static const DataParam params[] = {
    {"dir", PARAM_PATH, true, 0, 0, 0},
    {"size", PARAM_NUMBERS, false, 1, MAX_SIDE, 0},
    {"channels", PARAM_INTEGER, false, 1, 3, 3},
    {"test", PARAM_SHARE, false, 1e-9, 1e15, 0},
    {.name = NULL}};

/* ---- folders ---- */

/* The files of a part, class after class. */
typedef struct Files {
  DataNames path;
  int32_t *label; /* of each path */
  int64_t capacity;
} Files;

typedef struct Folder {
  DataNames classes;
  Files train, test;
  int64_t height, width;
  int channels;
} Folder;

static void folder_free(Folder *f) {
  data_names_free(&f->classes);
  data_names_free(&f->train.path);
  data_names_free(&f->test.path);
  free(f->train.label);
  free(f->test.label);
}

static bool is_folder(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool has_picture_name(const char *name) {
  static const char *const ends[] = {".png", ".jpg", ".jpeg"};
  const char *dot = strrchr(name, '.');
  for (int i = 0; dot && i < 3; i++)
    if (!strcasecmp(dot, ends[i]))
      return true;
  return false;
}

static bool add_file(Files *f, const char *folder, const char *name,
                     int64_t label, DataError *e) {
  if (f->path.n == f->capacity) {
    int64_t capacity = f->capacity ? 2 * f->capacity : 256;
    int32_t *more = realloc(f->label, (size_t)capacity * sizeof *more);
    if (!more)
      return data_no_memory(e);
    f->label = more;
    f->capacity = capacity;
  }
  f->label[f->path.n] = (int32_t)label;
  return data_names_add(&f->path, folder, name, e);
}

static bool list_class(Files *f, const char *folder, int64_t label,
                       DataError *e) {
  DataNames names = {.n = 0};
  bool ok = data_folder(&names, folder, e);
  if (ok && names.n == 0)
    ok = data_fail(e, "%s: a class without pictures", folder);
  for (int64_t i = 0; ok && i < names.n; i++)
    ok = (has_picture_name(names.name[i]) ||
          data_fail(e, "%s/%s: neither .png nor .jpg", folder,
                    names.name[i])) &&
         add_file(f, folder, names.name[i], label, e);
  data_names_free(&names);
  return ok;
}

static int64_t class_number(const DataNames *classes, const char *name) {
  for (int64_t i = 0; i < classes->n; i++)
    if (!strcmp(classes->name[i], name))
      return i;
  return -1;
}

/* Lists the classes of a part. Those of the first one listed are the classes;
 * another has no others. */
static bool list_part(Folder *f, Files *files, const char *folder,
                      DataError *e) {
  DataNames names = {.n = 0};
  bool first = f->classes.n == 0;
  bool ok = data_folder(&names, folder, e);
  if (ok && names.n == 0)
    ok = data_fail(e, "%s: no folders of pictures", folder);
  if (ok && names.n > MAX_CLASSES)
    ok = data_fail(e, "%s: more than %d classes", folder, MAX_CLASSES);
  for (int64_t i = 0; ok && i < names.n; i++) {
    char *path = data_join(folder, names.name[i], e);
    ok = path && (is_folder(path) ||
                  data_fail(e, "%s: not a folder of a class", path));
    if (ok && first)
      ok = data_names_add(&f->classes, "", names.name[i], e);
    int64_t label = ok ? class_number(&f->classes, names.name[i]) : 0;
    ok = ok && (label >= 0 ||
                data_fail(e, "%s: no class to train on has this name", path)) &&
         list_class(files, path, label, e);
    free(path);
  }
  data_names_free(&names);
  return ok && (f->classes.n > 1 ||
                data_fail(e, "%s: one class alone", folder));
}

static bool list_parts(Folder *f, const DataValue *v, DataError *e) {
  const char *dir = v[DIR_PARAM].string;
  char *train = data_join(dir, "train", e), *test = data_join(dir, "test", e);
  bool ok = train && test;
  if (ok && is_folder(train)) {
    bool both = is_folder(test);
    ok = list_part(f, &f->train, train, e) &&
         (!both || list_part(f, &f->test, test, e));
    if (ok && both && v[TEST].given)
      ok = data_fail(e, "images: test = %g, but there is the folder %s",
                     v[TEST].number, test);
  } else if (ok) {
    ok = list_part(f, &f->train, dir, e);
  }
  free(train);
  free(test);
  return ok;
}

/* ---- pictures ---- */

static bool decode(const char *path, Image *m, DataError *e) {
  int64_t bytes;
  FILE *f = data_file(path, &bytes, e);
  if (!f)
    return false;
  int first = getc(f), second = getc(f);
  bool ok;
  rewind(f);
  if (first == 0x89 && second == 'P')
    ok = image_png(f, path, m, e);
  else if (first == 0xff && second == 0xd8)
    ok = image_jpeg(f, path, m, e);
  else
    ok = data_fail(e, "%s: begins as neither PNG nor JPEG does", path);
  fclose(f);
  return ok;
}

static bool whole_sizes(const DataValue *size, DataError *e) {
  bool ok = size->n_numbers <= 2;
  for (int i = 0; i < size->n_numbers; i++)
    ok = ok && size->numbers[i] == floor(size->numbers[i]);
  return ok || data_fail(e, "images: size is [height, width], whole numbers");
}

/* All that is known before the pictures are read: with the first one, if its
 * size is wanted. */
static bool survey(Folder *f, const DataValue *v, DataError *e) {
  const DataValue *size = &v[SIZE];
  *f = (Folder){.channels = (int)v[CHANNELS].number};
  if (f->channels == 2)
    return data_fail(e, "images: channels is 1 or 3, not 2");
  if (size->given && !whole_sizes(size, e))
    return false;
  if (!list_parts(f, v, e))
    return false;
  if (size->given) {
    f->height = (int64_t)size->numbers[0];
    f->width = (int64_t)size->numbers[size->n_numbers - 1];
    return true;
  }
  Image m = {.channels = f->channels};
  if (!decode(f->train.path.name[0], &m, e))
    return false;
  free(m.pixels);
  f->height = m.height;
  f->width = m.width;
  return (f->height <= MAX_SIDE && f->width <= MAX_SIDE) ||
         data_fail(e, "%s: %lld x %lld pixels; say size = [height, width]",
                   f->train.path.name[0], (long long)f->height,
                   (long long)f->width);
}

static void make_fields(const Folder *f, NetField *fields, int *n) {
  int64_t dim[3] = {f->channels, f->height, f->width};
  fields[(*n)++] = data_field("image", NET_F32, 3, dim, 0);
  fields[(*n)++] = data_field("label", NET_I32, 0, NULL, f->classes.n);
}

static bool fields(const DataValue *v, NetField *out, int *n, DataError *e) {
  Folder f;
  bool ok = survey(&f, v, e);
  if (ok)
    make_fields(&f, out, n);
  folder_free(&f);
  return ok;
}

static bool read_picture(const char *path, const DataColumn *c, uint8_t *to,
                         DataError *e) {
  Image m = {.channels = (int)c->field.dim[0]};
  if (!decode(path, &m, e))
    return false;
  bool ok = image_resize(&m, c->field.dim[1], c->field.dim[2], to, e);
  free(m.pixels);
  return ok;
}

static bool read_part(Dataset *d, DataSplitName split, const Files *files,
                      DataError *e) {
  DataSplit *s = &d->split[split];
  const DataColumn *c = &d->column[IMAGE];
  uint8_t *pixels = s->column[IMAGE] = data_alloc(files->path.n, c->count, e);
  int32_t *labels = s->column[LABEL] =
      data_alloc(files->path.n, (int64_t)sizeof *labels, e);
  if (!pixels || !labels)
    return false;
  for (int64_t i = 0; i < files->path.n; i++) {
    if (!read_picture(files->path.name[i], c, pixels + i * c->count, e))
      return false;
    labels[i] = files->label[i];
  }
  s->rows = files->path.n;
  return true;
}

static void add_columns(Dataset *d, const Folder *f) {
  NetField field[NET_FIELDS];
  int n = 0;
  make_fields(f, field, &n);
  data_add_column(d, &field[IMAGE], STORE_U8);
  data_add_column(d, &field[LABEL], STORE_I32);
}

/* The data set takes the names of the classes over. */
static void name_classes(Dataset *d, Folder *f) {
  d->class_names = f->classes.name;
  f->classes = (DataNames){.n = 0};
}

static bool open_folder(Dataset *d, const DataValue *v, uint64_t seed,
                        DataError *e) {
  Folder f;
  (void)seed;
  bool ok = survey(&f, v, e);
  if (ok) {
    add_columns(d, &f);
    ok = read_part(d, DATA_TRAIN, &f.train, e) &&
         (f.test.path.n == 0 || read_part(d, DATA_TEST, &f.test, e));
    name_classes(d, &f);
  }
  if (ok && v[TEST].given)
    ok = data_split_test(d, v[TEST].number, true, e);
  folder_free(&f);
  return ok;
}

/* One picture, for predict. */
static bool open_file(Dataset *d, const DataValue *v, const char *file,
                      DataError *e) {
  Folder f;
  DataSplit *s = &d->split[DATA_TEST];
  bool ok = survey(&f, v, e);
  if (ok) {
    add_columns(d, &f);
    d->n_columns = 1; /* no label */
    s->column[IMAGE] = data_alloc(1, d->column[IMAGE].count, e);
    ok = s->column[IMAGE] &&
         read_picture(file, &d->column[IMAGE], s->column[IMAGE], e);
    s->rows = ok;
    name_classes(d, &f);
  }
  folder_free(&f);
  return ok;
}

const DataReader reader_images = {.name = "images",
                                  .params = params,
                                  .fields = fields,
                                  .open = open_folder,
                                  .open_file = open_file};
