/* Files of named tensors in the safetensors format, read and written.
 *
 *   u64 n, little-endian | n bytes of JSON | the tensors' bytes
 *   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..}
 *
 * The reader trusts nothing and is stricter than the format's own: names are
 * unique and not empty, shapes multiply without overflow even where an axis is
 * 0, and the tensors tile the bytes without hole, overlap or tail. It reads
 * into memory of its own and maps nothing: a mapped file that shrinks kills the
 * process. What the tensors mean is weights.c's matter. */
#include "runtime/run.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are written as they lie in memory");

enum { HEADER_LIMIT = 100000000, PREFIX = 8 };
#define BYTES_LIMIT ((int64_t)1 << 62)

/* The types of the format, with the one that a program calls so. */
typedef struct TypeName {
  const char *name;
  int32_t type; /* NetType; -1: programs have none such */
  int64_t bytes;
} TypeName;
static const TypeName type_names[] = {
    {"F32", NET_F32, 4}, {"F64", NET_F64, 8}, {"I32", NET_I32, 4},
    {"U32", NET_U32, 4}, {"BOOL", NET_I1, 1}, {"F16", -1, 2},
    {"BF16", -1, 2},     {"I64", -1, 8},      {"U64", -1, 8},
    {"I16", -1, 2},      {"U16", -1, 2},      {"I8", -1, 1},
    {"U8", -1, 1},       {"F8_E4M3", -1, 1},  {"F8_E5M2", -1, 1},
};
enum { TYPE_NAMES = sizeof type_names / sizeof *type_names };

static const TypeName *type_by_name(const char *name) {
  for (int i = 0; i < TYPE_NAMES; i++)
    if (!strcmp(type_names[i].name, name)) return &type_names[i];
  return NULL;
}

static const TypeName *type_by_number(int32_t type) {
  for (int i = 0; i < TYPE_NAMES; i++)
    if (type_names[i].type == type) return &type_names[i];
  return NULL;
}

/* ---- reading ---- */

static bool read_at(int fd, void *to, int64_t bytes, int64_t at,
                    const char *path, DataError *e) {
  char *p = to;
  while (bytes > 0) {
    size_t want = bytes > (1 << 30) ? (size_t)1 << 30 : (size_t)bytes;
    ssize_t got = pread(fd, p, want, (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return net_fail_errno(e, path, "");
    if (!got) return data_fail(e, "%s: the file ended while it was read", path);
    p += got;
    at += got;
    bytes -= got;
  }
  return true;
}

/* The length of the header, checked against the file's. */
static bool header_length(int fd, int64_t size, int64_t *length,
                          const char *path, DataError *e) {
  unsigned char b[PREFIX];
  uint64_t n = 0;
  if (size < PREFIX)
    return data_fail(e, "%s: %lld bytes are too few for a safetensors file",
                     path, (long long)size);
  if (!read_at(fd, b, PREFIX, 0, path, e)) return false;
  for (int i = PREFIX - 1; i >= 0; i--) n = n << 8 | b[i];
  if (n > HEADER_LIMIT)
    return data_fail(e, "%s: its header claims %llu bytes, over the limit of "
                     "%d: not a safetensors file", path, (unsigned long long)n,
                     HEADER_LIMIT);
  if (n > (uint64_t)(size - PREFIX))
    return data_fail(e, "%s: its header claims %llu bytes, but only %lld "
                     "follow: cut short", path, (unsigned long long)n,
                     (long long)(size - PREFIX));
  *length = (int64_t)n;
  return true;
}

/* While it reads a token jansson passes over a refused allocation, and leaves
 * out a character. So its allocations are watched: a global, since it hands no
 * context on; only while one header is parsed. */
static _Thread_local bool refused;

static void *watched_malloc(size_t bytes) {
  void *memory = malloc(bytes);
  if (!memory) refused = true;
  return memory;
}

static json_t *parse_text(const char *text, size_t length,
                          json_error_t *error) {
  refused = false;
  json_set_alloc_funcs(watched_malloc, free);
  json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, error);
  json_set_alloc_funcs(malloc, free);
  if (!refused) return root;
  json_decref(root);
  return NULL;
}

/* The parsed header, or NULL. */
static json_t *parse_header(int fd, int64_t length, const char *path,
                            DataError *e) {
  json_error_t error;
  json_t *root = NULL;
  char *text = data_alloc(length, 1, e);
  if (!text) return NULL;
  if (!read_at(fd, text, length, PREFIX, path, e)) goto done;
  if (!length || text[0] != '{') {
    data_fail(e, "%s: its header does not begin with '{'", path);
    goto done;
  }
  root = parse_text(text, (size_t)length, &error);
  if (root) goto done;
  if (refused) data_no_memory(e);
  else data_fail(e, "%s: its header is not JSON as it should be: %s (byte %d)",
                 path, error.text, PREFIX + error.position);
done:
  free(text);
  return root;
}

static bool check_metadata(const json_t *value, const char *path,
                           DataError *e) {
  const char *key;
  json_t *v;
  if (!json_is_object(value))
    return data_fail(e, "%s: __metadata__ is not an object", path);
  json_object_foreach((json_t *)(uintptr_t)value, key, v) {
    if (!json_is_string(v))
      return data_fail(e, "%s: __metadata__ holds \"%s\", which is no string",
                       path, key);
  }
  return true;
}

/* A number of an array: whole and not negative. */
static bool size_at(const json_t *array, size_t i, int64_t *value) {
  const json_t *v = json_array_get(array, i);
  if (!json_is_integer(v) || json_integer_value(v) < 0) return false;
  *value = json_integer_value(v);
  return true;
}

/* Fills rank and dim, and *bytes with the product. The zeros come last, so
 * that [0, 2^63 - 1, 4] is refused like [2^63 - 1, 4]. */
static bool read_shape(NetSafeTensor *t, const json_t *shape, int64_t *bytes,
                       const char *path, DataError *e) {
  size_t rank = json_array_size(shape);
  bool empty = false;
  if (rank > NET_RANK)
    return data_fail(e, "%s: %s has %zu axes, more than %d", path, t->name,
                     rank, NET_RANK);
  t->rank = (int32_t)rank;
  for (size_t i = 0; i < rank; i++) {
    if (!size_at(shape, i, &t->dim[i]))
      return data_fail(e, "%s: the shape of %s holds what is no size", path,
                       t->name);
    if (!t->dim[i]) empty = true;
    else if (!data_product(*bytes, t->dim[i], bytes))
      return data_fail(e, "%s: the shape of %s is too large", path, t->name);
  }
  if (empty) *bytes = 0;
  return true;
}

/* An entry of the header; `data` is where the tensors' bytes begin. */
static bool read_entry(NetSafeTensor *t, const json_t *entry, int64_t data,
                       int64_t size, const char *path, DataError *e) {
  const json_t *dtype = json_object_get(entry, "dtype");
  const json_t *shape = json_object_get(entry, "shape");
  const json_t *offsets = json_object_get(entry, "data_offsets");
  int64_t begin, end;
  if (!*t->name) return data_fail(e, "%s: a tensor without a name", path);
  if (!json_is_string(dtype) || !json_is_array(shape) ||
      !json_is_array(offsets) || json_object_size(entry) != 3)
    return data_fail(e, "%s: %s needs dtype, a string, shape and data_offsets, "
                     "arrays, and nothing else", path, t->name);
  const TypeName *type = type_by_name(json_string_value(dtype));
  if (!type)
    return data_fail(e, "%s: %s is of the unknown type \"%.40s\"", path,
                     t->name, json_string_value(dtype));
  t->type = type->type;
  t->type_name = type->name;
  int64_t bytes = type->bytes;
  if (!read_shape(t, shape, &bytes, path, e)) return false;
  if (json_array_size(offsets) != 2 || !size_at(offsets, 0, &begin) ||
      !size_at(offsets, 1, &end) || begin > end || end > size - data)
    return data_fail(e, "%s: the data_offsets of %s are not a range of the %lld"
                     " bytes of data: cut short, or not a safetensors file",
                     path, t->name, (long long)(size - data));
  if (end - begin != bytes)
    return data_fail(e, "%s: %s has %lld bytes, but its type and shape make "
                     "%lld", path, t->name, (long long)(end - begin),
                     (long long)bytes);
  t->begin = data + begin;
  t->bytes = bytes;
  return true;
}

static int by_place(const void *a, const void *b) {
  const NetSafeTensor *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
  return strcmp(x->name, y->name);
}

static bool check_tiles(const NetSafeFile *f, int64_t data, int64_t size,
                        const char *path, DataError *e) {
  int64_t at = data;
  for (int64_t i = 0; i < f->n; i++) {
    const NetSafeTensor *t = &f->tensor[i];
    if (t->begin != at)
      return data_fail(e, "%s: %s %s", path, t->name, t->begin < at
                       ? "lies over the tensor before it"
                       : "leaves a hole before it");
    at += t->bytes;
  }
  if (at != size)
    return data_fail(e, "%s: %lld bytes behind the last tensor", path,
                     (long long)(size - at));
  return true;
}

static bool read_entries(NetSafeFile *f, json_t *root, int64_t data,
                         int64_t size, const char *path, DataError *e) {
  const char *name;
  json_t *entry;
  f->tensor = data_alloc((int64_t)json_object_size(root), sizeof *f->tensor, e);
  if (!f->tensor) return false;
  json_object_foreach(root, name, entry) {
    if (!strcmp(name, "__metadata__")) {
      if (!check_metadata(entry, path, e)) return false;
      continue;
    }
    NetSafeTensor *t = &f->tensor[f->n++];
    *t = (NetSafeTensor){.name = name};
    if (!read_entry(t, entry, data, size, path, e)) return false;
  }
  if (f->n) qsort(f->tensor, (size_t)f->n, sizeof *f->tensor, by_place);
  return check_tiles(f, data, size, path, e);
}

bool net_safe_open(NetSafeFile *f, const char *path, DataError *e) {
  struct stat s;
  int64_t length = 0;
  /* Without O_NONBLOCK a pipe of that name would make us wait for ever. */
  *f = (NetSafeFile){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (f->fd < 0) return net_fail_errno(e, path, "");
  bool good = fstat(f->fd, &s) == 0;
  if (!good) net_fail_errno(e, path, "");
  else if (!S_ISREG(s.st_mode))
    good = data_fail(e, "%s: not a regular file", path);
  good = good && header_length(f->fd, s.st_size, &length, path, e) &&
         (f->header = parse_header(f->fd, length, path, e)) &&
         read_entries(f, f->header, PREFIX + length, s.st_size, path, e);
  if (!good) net_safe_close(f);
  return good;
}

void net_safe_close(NetSafeFile *f) {
  if (f->fd >= 0) close(f->fd);
  free(f->tensor);
  json_decref(f->header);
  *f = (NetSafeFile){.fd = -1};
}

const NetSafeTensor *net_safe_find(const NetSafeFile *f, const char *name) {
  for (int64_t i = 0; i < f->n; i++)
    if (!strcmp(f->tensor[i].name, name)) return &f->tensor[i];
  return NULL;
}

const char *net_safe_meta(const NetSafeFile *f, const char *key) {
  const json_t *meta = json_object_get(f->header, "__metadata__");
  return json_string_value(json_object_get(meta, key));
}

bool net_safe_read(const NetSafeFile *f, const NetSafeTensor *t, void *to,
                   const char *path, DataError *e) {
  return read_at(f->fd, to, t->bytes, t->begin, path, e);
}

/* ---- writing ---- */

static int by_alignment(const void *a, const void *b) {
  const NetSafeTensor *x = a, *y = b;
  int64_t p = net_type_size(x->type), q = net_type_size(y->type);
  if (p != q) return p > q ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* What is written: tensors, in their order, and texts. */
typedef struct Contents {
  const NetSafeTensor *tensor;
  int64_t n;
  const NetSafeMeta *meta;
  int n_meta;
} Contents;

static void write_meta(FILE *f, const Contents *c) {
  fputs("\"__metadata__\":{", f);
  for (int i = 0; i < c->n_meta; i++) {
    if (i) putc(',', f);
    net_json_string(f, c->meta[i].key);
    putc(':', f);
    net_json_string(f, c->meta[i].text);
  }
  fputs(c->n ? "}," : "}", f);
}

static void write_header(FILE *f, const Contents *c) {
  const NetSafeTensor *t = c->tensor;
  int64_t at = 0;
  putc('{', f);
  if (c->n_meta) write_meta(f, c);
  for (int64_t i = 0; i < c->n; at += t[i].bytes, i++) {
    if (i) putc(',', f);
    net_json_string(f, t[i].name);
    fprintf(f, ":{\"dtype\":\"%s\",\"shape\":[",
            type_by_number(t[i].type)->name);
    for (int32_t k = 0; k < t[i].rank; k++)
      fprintf(f, "%s%lld", k ? "," : "", (long long)t[i].dim[k]);
    fprintf(f, "],\"data_offsets\":[%lld,%lld]}", (long long)at,
            (long long)(at + t[i].bytes));
  }
  putc('}', f);
}

static bool write_all(int fd, const void *data, int64_t bytes) {
  const char *p = data;
  while (bytes > 0) {
    size_t want = bytes > (1 << 30) ? (size_t)1 << 30 : (size_t)bytes;
    ssize_t put = write(fd, p, want);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    p += put;
    bytes -= put;
  }
  return true;
}

static bool write_contents(int fd, const Contents *c, DataError *e) {
  char *header = NULL;
  size_t length = 0;
  unsigned char prefix[PREFIX];
  FILE *f = open_memstream(&header, &length);
  if (!f) return data_no_memory(e);
  write_header(f, c);
  for (long at = ftell(f); at >= 0 && at % 8; at++) putc(' ', f);
  bool bad = ferror(f) != 0;
  if (fclose(f) || bad) {
    free(header);
    return data_no_memory(e);
  }
  for (int i = 0; i < PREFIX; i++)
    prefix[i] = (unsigned char)((uint64_t)length >> 8 * i);
  bool good = write_all(fd, prefix, PREFIX) &&
              write_all(fd, header, (int64_t)length);
  free(header);
  for (int64_t i = 0; good && i < c->n; i++)
    good = write_all(fd, c->tensor[i].data, c->tensor[i].bytes);
  return good;
}

/* Makes what rename did to the folder last. */
static bool sync_folder(const char *path) {
  char *folder = strdup(path);
  if (!folder) return false;
  char *slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = 0;
  int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(folder);
  if (fd < 0) return false;
  bool good = fsync(fd) == 0 || errno == EINVAL; /* a system without */
  close(fd);
  return good;
}

/* Puts the contents into `temporary`, then that in the place of `target`. */
static bool write_and_rename(const char *target, const char *temporary,
                             const Contents *c, DataError *e) {
  /* One of that name is left from a process that was killed. */
  unlink(temporary);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return false;
  bool good = write_contents(fd, c, e) && fsync(fd) == 0;
  int saved = errno;
  if (close(fd) && good) {
    good = false;
    saved = errno;
  }
  if (good && rename(temporary, target)) {
    good = false;
    saved = errno;
  }
  if (!good) unlink(temporary);
  errno = saved;
  return good && sync_folder(target);
}

bool net_safe_write(const char *path, NetSafeTensor *tensors, int64_t n,
                    DataError *e) {
  return net_safe_write_meta(path, tensors, n, NULL, 0, e);
}

bool net_safe_write_meta(const char *path, NetSafeTensor *tensors, int64_t n,
                         const NetSafeMeta *meta, int n_meta, DataError *e) {
  struct stat s;
  if (!stat(path, &s) && !S_ISREG(s.st_mode))
    return data_fail(e, "%s: not a regular file; not written over", path);
  if (n) qsort(tensors, (size_t)n, sizeof *tensors, by_alignment);
  /* A link goes on pointing: what it points at is replaced. */
  char *target = realpath(path, NULL);
  if (!target && !(target = strdup(path))) return data_no_memory(e);
  char *temporary;
  if (asprintf(&temporary, "%s.%ld.tmp", target, (long)getpid()) < 0) {
    free(target);
    return data_no_memory(e);
  }
  *e = (DataError){0};
  Contents c = {tensors, n, meta, n_meta};
  bool good = write_and_rename(target, temporary, &c, e);
  if (!good && !e->status)
    net_fail_errno(e, path, "cannot be written: ");
  free(temporary);
  free(target);
  return good;
}
