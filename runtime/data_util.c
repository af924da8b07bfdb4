/* Small things that all readers need: errors as texts, checked sizes and
 * allocation, opening files. Sizes are int64_t and bounded by 2^62, so that
 * sums of two never overflow. */
#include "runtime/data.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool data_fail(DataError *e, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(e->text, sizeof e->text, format, args);
  va_end(args);
  e->status = 1;
  return false;
}

bool data_no_memory(DataError *e) {
  data_fail(e, "no memory for the data");
  e->status = 3;
  return false;
}

bool data_product(int64_t a, int64_t b, int64_t *product) {
  const int64_t limit = INT64_C(1) << 62;
  if (a < 0 || b < 0 || (b > 0 && a > limit / b))
    return false;
  *product = a * b;
  return true;
}

void *data_alloc(int64_t count, int64_t size, DataError *e) {
  int64_t bytes;
  void *p = NULL;
  if (data_product(count, size, &bytes))
    p = calloc(bytes > 0 ? (size_t)bytes : 1, 1);
  if (!p)
    data_no_memory(e);
  return p;
}

char *data_join(const char *folder, const char *name, DataError *e) {
  size_t n = strlen(folder), m = strlen(name);
  char *path = data_alloc((int64_t)(n + m + 2), 1, e);
  if (!path)
    return NULL;
  memcpy(path, folder, n);
  if (n > 0 && folder[n - 1] != '/')
    path[n++] = '/';
  memcpy(path + n, name, m);
  return path;
}

bool data_names_add(DataNames *names, const char *folder, const char *name,
                    DataError *e) {
  if (names->n == names->capacity) {
    int64_t capacity = names->capacity ? 2 * names->capacity : 8;
    char **more = realloc(names->name, (size_t)capacity * sizeof *more);
    if (!more)
      return data_no_memory(e);
    names->name = more;
    names->capacity = capacity;
  }
  char *path = data_join(folder, name, e);
  if (path)
    names->name[names->n++] = path;
  return path != NULL;
}

void data_names_free(DataNames *names) {
  for (int64_t i = 0; i < names->n; i++)
    free(names->name[i]);
  free(names->name);
  *names = (DataNames){.n = 0};
}

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

bool data_folder(DataNames *names, const char *folder, DataError *e) {
  DIR *dir = opendir(folder);
  bool ok = true;
  if (!dir)
    return net_fail_errno(e, folder, "");
  for (struct dirent *f; ok && (f = readdir(dir));)
    if (f->d_name[0] != '.')
      ok = data_names_add(names, "", f->d_name, e);
  closedir(dir);
  if (names->n > 0)
    qsort(names->name, (size_t)names->n, sizeof *names->name, by_bytes);
  return ok;
}

FILE *data_file(const char *path, int64_t *bytes, DataError *e) {
  struct stat st;
  /* Asked by name before opening: to open a pipe would wait for its writer. */
  if (stat(path, &st) != 0) {
    net_fail_errno(e, path, "");
    return NULL;
  }
  if (!S_ISREG(st.st_mode)) {
    data_fail(e, "%s: not a file", path);
    return NULL;
  }
  FILE *f = fopen(path, "rb");
  if (!f) {
    net_fail_errno(e, path, "");
    return NULL;
  }
  *bytes = (int64_t)st.st_size;
  return f;
}

NetField data_field(const char *name, NetType type, int rank,
                    const int64_t *dim, int64_t classes) {
  NetField f = {.type = (int32_t)type, .rank = rank, .classes = classes};
  snprintf(f.name, sizeof f.name, "%s", name);
  for (int i = 0; i < rank; i++)
    f.dim[i] = dim[i];
  return f;
}

DataColumn *data_add_column(Dataset *d, const NetField *f, DataStore store) {
  DataColumn *c = &d->column[d->n_columns++];
  *c = (DataColumn){.field = *f, .store = store, .count = 1};
  for (int i = 0; i < f->rank; i++)
    c->count *= f->dim[i];
  if (f->classes > 0)
    d->n_classes = f->classes;
  return c;
}
