/* The object cache: a folder with one file for each key, named by the key. Others
 * may work in it at the same time: files are written under another name and then
 * renamed, and one that goes away while it is read is still whole. What is read is
 * checked by the hash that stands before it, so that a damaged disk or a torn file
 * is a miss and no more. That nobody else put files there is what the folder's
 * owner and mode say. The newest files stay: a hit renews a file's time.
 *
 *   "netc object 1\n" | the key, 32 bytes | SHA-256 of the data | the data
 */
#include "codegen/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char magic[] = "netc object 1\n";
enum {
  DEFAULT_LIMIT = 64 << 20, /* bytes */
  MAGIC = sizeof magic - 1,
  HEAD = MAGIC + 2 * (int)sizeof(Hash),
  NAME = 2 * (int)sizeof(Hash), /* hexadecimal */
  STALE = 3600 /* seconds after which an unfinished file was given up */
};
static const char unfinished[] = ".writing-";

struct Cache {
  int folder; /* file descriptor */
  int64_t limit;
  Hash compiler;
};

/* --- the folder ----------------------------------------------------------- */

/* Makes the folder and those above it. */
static void make_folders(Arena *a, const char *path) {
  char *part = arena_strdup(a, path);
  for (char *c = part + 1; *c; c++) {
    if (*c != '/') continue;
    *c = 0;
    mkdir(part, 0700);
    *c = '/';
  }
  mkdir(part, 0700);
}

static bool is_ours(int folder) {
  struct stat s;
  return fstat(folder, &s) == 0 && S_ISDIR(s.st_mode) &&
         s.st_uid == geteuid() && (s.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Cache *cache_open(Arena *a, const char *folder, int64_t limit) {
  if (!*folder) return NULL;
  int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, fd = open(folder, flags);
  if (fd < 0 && errno == ENOENT) {
    make_folders(a, folder);
    fd = open(folder, flags);
  }
  if (fd < 0) return NULL;
  if (!is_ours(fd)) {
    close(fd);
    return NULL;
  }
  Cache *c = arena_alloc(a, sizeof *c);
  *c = (Cache){.folder = fd, .limit = limit, .compiler = compiler_hash()};
  return c;
}

static const char *from_environment(const char *name) {
  const char *s = getenv(name);
  return s && *s ? s : NULL;
}

Cache *cache_open_default(Arena *a) {
  const char *own = from_environment("NETC_CACHE");
  const char *cache = from_environment("XDG_CACHE_HOME");
  const char *home = from_environment("HOME");
  if (own) return cache_open(a, own, DEFAULT_LIMIT);
  if (cache && *cache == '/')
    return cache_open(a, arena_printf(a, "%s/netc", cache), DEFAULT_LIMIT);
  if (!home) return NULL;
  return cache_open(a, arena_printf(a, "%s/.cache/netc", home), DEFAULT_LIMIT);
}

const Hash *cache_compiler(const Cache *c) { return &c->compiler; }

void cache_close(Cache *c) {
  if (c) close(c->folder);
}

static void name_of(const Hash *key, char name[NAME + 1]) {
  static const char digit[] = "0123456789abcdef";
  for (size_t i = 0; i < sizeof key->byte; i++) {
    name[2 * i] = digit[key->byte[i] >> 4];
    name[2 * i + 1] = digit[key->byte[i] & 15];
  }
  name[NAME] = 0;
}

/* --- reading -------------------------------------------------------------- */

static bool read_all(int fd, void *to, size_t n) {
  char *at = to;
  while (n > 0) {
    ssize_t got = read(fd, at, n);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    n -= (size_t)got;
  }
  return true;
}

static Hash hash_of(const void *data, size_t size) {
  Sha h;
  sha_begin(&h);
  sha_add(&h, data, size);
  return sha_end(&h);
}

static bool load(const Cache *c, int fd, Arena *a, const Hash *key,
                 Bytes *data) {
  struct stat s;
  if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_uid != geteuid() ||
      s.st_size < HEAD || s.st_size > c->limit)
    return false;
  size_t size = (size_t)s.st_size - HEAD;
  char *all = arena_alloc(a, (size_t)s.st_size + 1);
  if (!read_all(fd, all, (size_t)s.st_size)) return false;
  Hash sum = hash_of(all + HEAD, size);
  if (memcmp(all, magic, MAGIC) != 0 ||
      memcmp(all + MAGIC, key, sizeof *key) != 0 ||
      memcmp(all + MAGIC + sizeof *key, &sum, sizeof sum) != 0)
    return false;
  *data = (Bytes){.data = all + HEAD, .size = size};
  return true;
}

bool cache_load(Cache *c, Arena *a, const Hash *key, Bytes *data) {
  char name[NAME + 1];
  if (!c) return false;
  name_of(key, name);
  int fd = openat(c->folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  bool good = load(c, fd, a, key, data);
  close(fd);
  if (good)
    utimensat(c->folder, name, NULL, 0);
  else
    unlinkat(c->folder, name, 0);
  return good;
}

/* --- writing -------------------------------------------------------------- */

static bool write_all(int fd, const void *from, size_t n) {
  const char *at = from;
  while (n > 0) {
    ssize_t put = write(fd, at, n);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += put;
    n -= (size_t)put;
  }
  return true;
}

typedef struct File {
  char name[NAME + 1];
  int64_t bytes;
  struct timespec time;
} File;

static int older_first(const void *x, const void *y) {
  const File *a = x, *b = y;
  if (a->time.tv_sec != b->time.tv_sec)
    return a->time.tv_sec < b->time.tv_sec ? -1 : 1;
  if (a->time.tv_nsec != b->time.tv_nsec)
    return a->time.tv_nsec < b->time.tv_nsec ? -1 : 1;
  return strcmp(a->name, b->name);
}

static bool is_name(const char *s) {
  return strlen(s) == NAME && strspn(s, "0123456789abcdef") == NAME;
}

static bool is_stale(const char *name, const struct stat *s) {
  return strncmp(name, unfinished, sizeof unfinished - 1) == 0 &&
         time(NULL) - s->st_mtime > STALE;
}

/* The cache's own files; what was left unfinished long ago is removed. */
static File *list_files(const Cache *c, Arena *a, int *n) {
  File *files = NULL;
  int capacity = 0, fd = openat(c->folder, ".", O_RDONLY | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  *n = 0;
  if (!d) {
    if (fd >= 0) close(fd);
    return NULL;
  }
  for (const struct dirent *e; (e = readdir(d)) != NULL;) {
    struct stat s;
    if (fstatat(c->folder, e->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (is_stale(e->d_name, &s)) unlinkat(c->folder, e->d_name, 0);
    if (!is_name(e->d_name)) continue;
    files = arena_grow(a, files, *n, &capacity, sizeof *files);
    files[*n] = (File){.bytes = s.st_size, .time = s.st_mtim};
    memcpy(files[(*n)++].name, e->d_name, NAME + 1);
  }
  closedir(d);
  return files;
}

/* Removes the oldest files until the rest are within the limit. */
static void trim(const Cache *c) {
  Arena *a = arena_new();
  int n;
  int64_t bytes = 0;
  File *files = list_files(c, a, &n);
  for (int i = 0; i < n; i++) bytes += files[i].bytes;
  if (bytes > c->limit)
    qsort(files, (size_t)n, sizeof *files, older_first);
  for (int i = 0; i < n && bytes > c->limit; i++) {
    unlinkat(c->folder, files[i].name, 0);
    bytes -= files[i].bytes;
  }
  arena_free(a);
}

static bool write_file_as(const Cache *c, const char *temporary,
                          const Hash *key, Bytes data) {
  int fd = openat(c->folder, temporary,
                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  Hash sum = hash_of(data.data, data.size);
  bool good = write_all(fd, magic, MAGIC) &&
              write_all(fd, key, sizeof *key) &&
              write_all(fd, &sum, sizeof sum) &&
              write_all(fd, data.data, data.size);
  return close(fd) == 0 && good;
}

void cache_store(Cache *c, const Hash *key, Bytes data) {
  char name[NAME + 1], temporary[sizeof unfinished + NAME + 24];
  if (!c || (int64_t)data.size + HEAD > c->limit / 2) return;
  name_of(key, name);
  snprintf(temporary, sizeof temporary, "%s%ld-%s", unfinished,
           (long)getpid(), name);
  if (!write_file_as(c, temporary, key, data) ||
      renameat(c->folder, temporary, c->folder, name) != 0)
    unlinkat(c->folder, temporary, 0);
  else
    trim(c);
}
