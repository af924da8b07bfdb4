/* The reader cifar10(dir): the binary version of CIFAR-10. A file is a row of
 * records: one byte label, then 3 x 32 x 32 bytes of pixels, channel by
 * channel. DIR holds test_batch.bin, the training files (every other *.bin,
 * in the order of their numbers) and, if the classes have names, the lines of
 * batches.meta.txt. Files may hold any number of records; where numbers leave a
 * hole, data_batch_1.bin and data_batch_3.bin, one was lost on the way. */
#include "runtime/data.h"

#include <stdlib.h>
#include <string.h>

enum { PIXELS = 3 * 32 * 32, RECORD = 1 + PIXELS, CLASSES = 10 };
enum { IMAGE, LABEL }; /* the columns */

static const char *const class_names[CLASSES] = {
    "airplane", "automobile", "bird",  "cat",  "deer",
    "dog",      "frog",       "horse", "ship", "truck"};

static const DataParam params[] = {{"dir", PARAM_PATH, true, 0, 0, 0},
                                   {.name = NULL}};

static bool fields(const DataValue *v, NetField *f, int *n, DataError *e) {
  (void)v, (void)e;
  f[(*n)++] = data_field("image", NET_F32, 3, (const int64_t[]){3, 32, 32}, 0);
  f[(*n)++] = data_field("label", NET_I32, 0, NULL, CLASSES);
  return true;
}

/* ---- the files ---- */

/* data_batch_2 before data_batch_10. */
static int by_number(const void *a, const void *b) {
  return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* N of FOLDER/data_batch_N.bin; 0: another name. */
static int batch_number(const char *path) {
  const char *name = strrchr(path, '/');
  int n = 0;
  return sscanf(name ? name + 1 : path, "data_batch_%8d.bin", &n) == 1 ? n : 0;
}

static bool without_hole(const DataNames *train, const char *folder,
                         DataError *e) {
  for (int64_t i = 1; i < train->n; i++) {
    int before = batch_number(train->name[i - 1]);
    int n = batch_number(train->name[i]);
    if (before > 0 && n > before + 1)
      return data_fail(e, "%s: data_batch_%d.bin is missing, but "
                       "data_batch_%d.bin is there", folder, before + 1, n);
  }
  return true;
}

static bool ends_in_bin(const char *name) {
  size_t n = strlen(name);
  return n > 4 && !strcmp(name + n - 4, ".bin");
}

static bool list_files(DataNames *train, DataNames *test, const char *folder,
                       DataError *e) {
  DataNames all = {.n = 0};
  bool ok = data_folder(&all, folder, e);
  for (int64_t i = 0; ok && i < all.n; i++)
    if (ends_in_bin(all.name[i]))
      ok = data_names_add(strncmp(all.name[i], "test", 4) ? train : test,
                          folder, all.name[i], e);
  data_names_free(&all);
  if (!ok)
    return false;
  if (train->n == 0)
    return data_fail(e, "%s: no training file data_batch_*.bin", folder);
  if (test->n == 0)
    return data_fail(e, "%s: no test_batch.bin", folder);
  qsort(train->name, (size_t)train->n, sizeof(char *), by_number);
  qsort(test->name, (size_t)test->n, sizeof(char *), by_number);
  return without_hole(train, folder, e);
}

/* ---- records ---- */

static bool count_records(const char *path, int64_t *records, DataError *e) {
  int64_t bytes;
  FILE *f = data_file(path, &bytes, e);
  if (!f)
    return false;
  fclose(f);
  int64_t rest = bytes % RECORD;
  if (bytes == 0)
    return data_fail(e, "%s: empty", path);
  if (rest != 0)
    return data_fail(e, "%s: record %lld is cut short: %lld bytes of %d", path,
                     (long long)(bytes / RECORD + 1), (long long)rest, RECORD);
  *records += bytes / RECORD;
  return true;
}

/* Reads the records of an open file behind those that the split has; `end` is
 * the number of rows that there is room for. */
static bool read_records(FILE *f, const char *path, DataSplit *s, int64_t end,
                         DataError *e) {
  uint8_t *pixels = s->column[IMAGE];
  int32_t *labels = s->column[LABEL];
  for (int64_t record = 1;; record++) {
    int label = getc(f);
    if (label == EOF && !ferror(f))
      return true;
    if (label >= CLASSES)
      return data_fail(e, "%s: record %lld: label %d, but the classes are 0 to"
                       " %d", path, (long long)record, label, CLASSES - 1);
    if (s->rows == end)
      return data_fail(e, "%s: grew while it was read", path);
    if (label < 0 || fread(pixels + s->rows * PIXELS, PIXELS, 1, f) != 1)
      return data_fail(e, "%s: record %lld cannot be read", path,
                       (long long)record);
    labels[s->rows++] = label;
  }
}

static bool read_files(DataSplit *s, const DataNames *files, DataError *e) {
  int64_t records = 0;
  for (int64_t i = 0; i < files->n; i++)
    if (!count_records(files->name[i], &records, e))
      return false;
  s->column[IMAGE] = data_alloc(records, PIXELS, e);
  s->column[LABEL] = data_alloc(records, (int64_t)sizeof(int32_t), e);
  if (!s->column[IMAGE] || !s->column[LABEL])
    return false;
  for (int64_t i = 0; i < files->n; i++) {
    int64_t bytes;
    FILE *f = data_file(files->name[i], &bytes, e);
    bool ok = f && read_records(f, files->name[i], s, records, e);
    if (f)
      fclose(f);
    if (!ok)
      return false;
  }
  return true;
}

/* ---- names of classes ---- */

static bool name_is_fit(const char *name) {
  for (; *name; name++)
    if ((unsigned char)*name < ' ' || *name == 127)
      return false;
  return true;
}

static bool set_name(Dataset *d, int i, const char *name, DataError *e) {
  d->class_names[i] = data_alloc((int64_t)strlen(name) + 1, 1, e);
  if (!d->class_names[i])
    return false;
  strcpy(d->class_names[i], name);
  return true;
}

/* Ten lines, then nothing but empty ones. */
static bool read_names(Dataset *d, FILE *f, const char *path, DataError *e) {
  char line[66];
  int n = 0;
  while (fgets(line, sizeof line, f)) {
    size_t length = strcspn(line, "\r\n");
    if (!line[length] && !feof(f))
      return data_fail(e, "%s: line %d is too long or has a zero byte", path,
                       n + 1);
    line[length] = '\0';
    if (length == 0 && n == CLASSES)
      continue;
    if (length == 0 || n == CLASSES || !name_is_fit(line))
      return data_fail(e, "%s: line %d: want the names of %d classes, a line"
                       " each", path, n + 1, CLASSES);
    if (!set_name(d, n++, line, e))
      return false;
  }
  return n == CLASSES || data_fail(e, "%s: %d names of classes, not %d", path,
                                   n, CLASSES);
}

static bool find_names(Dataset *d, const char *folder, DataError *e) {
  d->class_names = data_alloc(CLASSES, (int64_t)sizeof(char *), e);
  char *path = d->class_names ? data_join(folder, "batches.meta.txt", e) : NULL;
  if (!path)
    return false;
  int64_t bytes;
  DataError missing;
  FILE *f = data_file(path, &bytes, &missing);
  bool ok = true;
  if (f) {
    ok = read_names(d, f, path, e);
    fclose(f);
  } else {
    for (int i = 0; ok && i < CLASSES; i++)
      ok = set_name(d, i, class_names[i], e);
  }
  free(path);
  return ok;
}

static void add_columns(Dataset *d) {
  NetField f[NET_FIELDS];
  int n = 0;
  fields(NULL, f, &n, NULL);
  data_add_column(d, &f[IMAGE], STORE_U8);
  data_add_column(d, &f[LABEL], STORE_I32);
}

static bool open_folder(Dataset *d, const DataValue *v, uint64_t seed,
                        DataError *e) {
  (void)seed;
  DataNames train = {.n = 0}, test = {.n = 0};
  const char *folder = v[0].string;
  add_columns(d);
  bool ok = list_files(&train, &test, folder, e) &&
            read_files(&d->split[DATA_TRAIN], &train, e) &&
            read_files(&d->split[DATA_TEST], &test, e) &&
            find_names(d, folder, e);
  data_names_free(&train);
  data_names_free(&test);
  return ok;
}

static bool open_file(Dataset *d, const DataValue *v, const char *file,
                      DataError *e) {
  (void)v;
  DataNames files = {.n = 0};
  add_columns(d);
  bool ok = data_names_add(&files, "", file, e) &&
            read_files(&d->split[DATA_TEST], &files, e);
  data_names_free(&files);
  return ok;
}

const DataReader reader_cifar10 = {.name = "cifar10",
                                   .params = params,
                                   .fields = fields,
                                   .open = open_folder,
                                   .open_file = open_file};
