/* The object cache: the hash, what is kept and what is not, damaged files, folders
 * that cannot be used; and that a training gives the same weights to the bit
 * without a cache, with an empty one, with a full one and with a damaged one. */
#include "codegen/cache.h"
#include "codegen/shape.h"
#include "tests/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT = 1 << 20, HEAD_BYTES = 78 };

static Hash hash_of(const char *text) {
  Sha h;
  sha_begin(&h);
  sha_add(&h, text, strlen(text));
  return sha_end(&h);
}

static const char *hex(Hash h) {
  static char text[65];
  for (int i = 0; i < 32; i++)
    snprintf(text + 2 * i, 3, "%02x", (unsigned)h.byte[i]);
  return text;
}

/* The published examples, and the last one in pieces of all sizes. */
static void hash(void) {
  static const char million[] =
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
  CU_ASSERT_STRING_EQUAL(
      hex(hash_of("")),
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CU_ASSERT_STRING_EQUAL(
      hex(hash_of("abc")),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CU_ASSERT_STRING_EQUAL(
      hex(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  char some[300];
  Sha h;
  sha_begin(&h);
  memset(some, 'a', sizeof some);
  size_t left = 1000000;
  for (size_t n = 0; left > 0; n = (n + 1) % sizeof some) {
    size_t piece = n < left ? n : left;
    sha_add(&h, some, piece);
    left -= piece;
  }
  CU_ASSERT_STRING_EQUAL(hex(sha_end(&h)), million);
}

static Bytes bytes(char *text) {
  return (Bytes){.data = text, .size = strlen(text)};
}

static bool holds(Cache *c, Arena *a, const char *key, const char *text) {
  Hash h = hash_of(key);
  Bytes b;
  return cache_load(c, a, &h, &b) && b.size == strlen(text) &&
         memcmp(b.data, text, b.size) == 0;
}

static void put(Cache *c, const char *key, char *text) {
  Hash h = hash_of(key);
  cache_store(c, &h, bytes(text));
}

static void keeps(void) {
  Arena *a = arena_new();
  struct stat s;
  const char *folder = check_path("new/deep/folder");
  Cache *c = cache_open(a, folder, LIMIT);
  CU_ASSERT_PTR_NOT_NULL_FATAL(c);
  CU_ASSERT(stat(folder, &s) == 0 && (s.st_mode & 0777) == 0700);
  CU_ASSERT_FALSE(holds(c, a, "one", "first"));
  put(c, "one", "first");
  put(c, "two", "");
  CU_ASSERT(holds(c, a, "one", "first"));
  CU_ASSERT(holds(c, a, "two", ""));
  put(c, "one", "second");
  CU_ASSERT(holds(c, a, "one", "second"));
  cache_close(c);
  c = cache_open(a, folder, LIMIT);
  CU_ASSERT(holds(c, a, "one", "second"));
  cache_close(c);
  arena_free(a);
}

/* The path of a key's file. */
static const char *file_of(const char *folder, const char *key) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, hex(hash_of(key)));
  return path;
}

/* Whatever byte of a file is another, and wherever it ends, it is not used, and
 * it goes. */
static void damaged(void) {
  Arena *a = arena_new();
  const char *folder = check_path("damaged");
  Cache *c = cache_open(a, folder, LIMIT);
  put(c, "one", "an object");
  size_t size;
  char *good = check_read(file_of(folder, "one"), &size);
  CU_ASSERT_EQUAL_FATAL(size, HEAD_BYTES + strlen("an object"));
  for (size_t i = 0; i < size; i++) {
    good[i] ^= 16;
    check_write(file_of(folder, "one"), good, size);
    check_that(!holds(c, a, "one", "an object"), "byte %zu is another", i);
    check_that(access(file_of(folder, "one"), F_OK) != 0, "it is gone");
    good[i] ^= 16;
    check_write(file_of(folder, "one"), good, i);
    check_that(!holds(c, a, "one", "an object"), "it ends at byte %zu", i);
  }
  check_write(file_of(folder, "two"), good, size);
  CU_ASSERT_FALSE(holds(c, a, "two", "an object"));
  check_write(file_of(folder, "one"), good, size);
  CU_ASSERT(holds(c, a, "one", "an object"));
  CU_ASSERT_EQUAL(symlink(hex(hash_of("one")), file_of(folder, "three")), 0);
  CU_ASSERT_FALSE(holds(c, a, "three", "an object"));
  free(good);
  cache_close(c);
  arena_free(a);
}

static int count_files(const char *folder) {
  int n = 0;
  DIR *d = opendir(folder);
  for (const struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
  if (d) closedir(d);
  return n;
}

/* The files used least lately go; what is no object of the cache stays. */
static void bounded(void) {
  enum { EACH = 1000, MOST = 5 * (EACH + HEAD_BYTES) };
  Arena *a = arena_new();
  const char *folder = check_path("bounded");
  char text[EACH + 1], key[8], large[MOST];
  memset(text, 'x', EACH);
  text[EACH] = 0;
  Cache *c = cache_open(a, folder, MOST);
  check_write(check_path("bounded/notes.txt"), "mine", 4);
  for (int i = 0; i < 12; i++) {
    snprintf(key, sizeof key, "%d", i);
    put(c, key, text);
    struct timespec old[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
    utimensat(AT_FDCWD, file_of(folder, key), old, 0);
    if (i > 1) CU_ASSERT(holds(c, a, "1", text)); /* used again and again */
  }
  CU_ASSERT_EQUAL(count_files(folder), 5 + 1);
  CU_ASSERT(holds(c, a, "11", text));
  CU_ASSERT_FALSE(holds(c, a, "5", text));
  memset(large, 'y', MOST - 1);
  large[MOST - 1] = 0;
  put(c, "large", large);
  CU_ASSERT_FALSE(holds(c, a, "large", large));
  CU_ASSERT_EQUAL(count_files(folder), 5 + 1);
  cache_close(c);
  arena_free(a);
}

/* Files that someone began and gave up are removed; fresh ones are not. */
static void unfinished(void) {
  Arena *a = arena_new();
  Cache *c = cache_open(a, check_path("unfinished"), LIMIT);
  const char *old = check_path("unfinished/.writing-1-old");
  const char *fresh = check_path("unfinished/.writing-2-fresh");
  struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
  check_write(old, "x", 1);
  check_write(fresh, "x", 1);
  utimensat(AT_FDCWD, old, long_ago, 0);
  put(c, "one", "object");
  CU_ASSERT(access(old, F_OK) != 0 && access(fresh, F_OK) == 0);
  cache_close(c);
  arena_free(a);
}

static void unusable(void) {
  Arena *a = arena_new();
  check_write(check_path("file"), "x", 1);
  CU_ASSERT_PTR_NULL(cache_open(a, "", LIMIT));
  CU_ASSERT_PTR_NULL(cache_open(a, check_path("file"), LIMIT));
  CU_ASSERT_PTR_NULL(cache_open(a, check_path("file/below"), LIMIT));
  mkdir(check_path("shared"), 0700);
  chmod(check_path("shared"), 0777);
  CU_ASSERT_PTR_NULL(cache_open(a, check_path("shared"), LIMIT));
  Cache *c = cache_open(a, check_path("readonly"), LIMIT);
  rmdir(check_path("readonly"));
  put(c, "one", "object"); /* the folder is gone: nothing happens */
  CU_ASSERT_FALSE(holds(c, a, "one", "object"));
  CU_ASSERT_FALSE(holds(NULL, a, "one", "object"));
  put(NULL, "one", "object");
  cache_close(c);
  cache_close(NULL);
  arena_free(a);
}

/* --- shapes --------------------------------------------------------------- */

static Kernel *copy_kernel(Arena *a, int from, int to, double factor) {
  Kernel *k = kernel_new(a);
  k->n_par = 1;
  k->extent[0] = 8;
  k->schedule = (Schedule){.n_order = 1, .vec = -1, .lanes = 1, .pieces = 1};
  Instr i = {.kop = K_LOAD, .type = T_F32, .buffer = from, .in = {-1, -1, -1}};
  i.at.coef[0] = 1;
  int x = kernel_add(a, k, &i);
  int c = kernel_add(a, k, &(Instr){.kop = K_CONST, .type = T_F32,
                                    .value = factor, .in = {-1, -1, -1}});
  int y = kernel_add(a, k, &(Instr){.kop = K_OP, .op = OP_MUL, .type = T_F32,
                                    .in = {x, c, -1}});
  i.kop = K_STORE;
  i.buffer = to;
  i.in[0] = y;
  kernel_add(a, k, &i);
  return k;
}

/* Equal but for the buffers' numbers; not so with another constant, with two
 * buffers that are one, or with another type of buffer. */
static void shapes(void) {
  Arena *a = arena_new();
  int64_t dim[1] = {8};
  KFunc f = {.name = "f"};
  for (int b = 0; b < 4; b++)
    kfunc_add_buffer(a, &f, (Buffer){.kind = BUF_TEMP, .name = "",
                                     .type = type_of(T_F32, 1, dim)});
  kfunc_add_buffer(a, &f, (Buffer){.kind = BUF_TEMP, .name = "",
                                   .type = type_of(T_F64, 1, dim)});
  kfunc_add_kernel(a, &f, copy_kernel(a, 0, 1, 2));
  kfunc_add_kernel(a, &f, copy_kernel(a, 3, 2, 2));
  kfunc_add_kernel(a, &f, copy_kernel(a, 0, 1, 3));
  kfunc_add_kernel(a, &f, copy_kernel(a, 1, 1, 2));
  kfunc_add_kernel(a, &f, copy_kernel(a, 0, 4, 2));
  kfunc_add_kernel(a, &f, copy_kernel(a, 1, 0, 2));
  Shapes s = shapes_find(a, &f);
  static const int first[] = {0, 0, 2, 3, 4, 0}, uses[] = {3, 0, 1, 1, 1, 0};
  for (int i = 0; i < s.n; i++)
    check_that(s.first[i] == first[i] && s.uses[i] == uses[i],
               "kernel %d: first %d, uses %d", i, s.first[i], s.uses[i]);
  CU_ASSERT(s.shape[1].buffer[0] == 3 && s.shape[1].buffer[1] == 2);
  arena_free(a);
}

/* --- trainings ------------------------------------------------------------ */

/* Trains with a dropout, and with layers that are equal; what is told on stderr
 * by -v goes to *err, the weights to the file. */
static void train(const char *weights, const char *option, char **err) {
  const char *const argv[] = {check_netc(), "run", check_path("deep.net"),
                              "--quiet", "-v", "--save", check_path(weights),
                              option, NULL};
  Run r = check_run(60, argv);
  check_that(r.status == 0, "%s: exit %d\n%.300s", r.command, r.status, r.err);
  *err = strdup(r.err);
  run_free(&r);
}

static bool same_file(const char *x, const char *y) {
  size_t n = 0, m = 0;
  char *a = check_read(check_path(x), &n), *b = check_read(check_path(y), &m);
  bool same = a && b && n == m && memcmp(a, b, n) == 0;
  free(a);
  free(b);
  return same;
}

/* Turns a byte over in each object. */
static void damage_all(const char *folder) {
  DIR *d = opendir(folder);
  for (const struct dirent *e; d && (e = readdir(d));) {
    char path[600];
    size_t size;
    if (e->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    char *text = check_read(path, &size);
    text[size / 2] ^= 1;
    check_write(path, text, size);
    free(text);
  }
  if (d) closedir(d);
}

static void trainings(void) {
  static const char source[] =
      "data shapes(train = 32, test = 8)\n"
      "net deep(x: [3, 32, 32]) {\n"
      "  x -> maxpool(4) -> conv(4, 3, pad = 1) -> relu\n"
      "    -> repeat(4) conv(4, 3, pad = 1) -> dropout(0.5) -> relu\n"
      "    -> flatten -> linear(10)\n"
      "}\n"
      "train {\n"
      "  loss      = cross_entropy(deep(image), label)\n"
      "  optimizer = sgd(lr = 0.1, momentum = 0.9)\n"
      "  batch     = 8\n"
      "  epochs    = 2\n"
      "}\n";
  check_write(check_path("deep.net"), source, strlen(source));
  static const char *const weights[] = {"none", "cold", "cached", "mended"};
  static const char *const options[] = {"--no-cache", "--threads=1", "--threads=2",
                                        "--threads=1"};
  static const char kept[] = "train, from the cache";
  for (int i = 0; i < 4; i++) {
    char *err;
    if (i == 3) damage_all(check_path("cache"));
    train(weights[i], options[i], &err);
    check_that((strstr(err, kept) != NULL) == (i == 2), "run %d:\n%s", i, err);
    check_that(same_file(weights[0], weights[i]), "weights of run %d", i);
    check_that(access(check_path("cache"), F_OK) == 0 || i == 0,
               "run %d: a cache", i);
    free(err);
  }
}

void suite_cache(void) {
  static const CheckTest tests[] = {
      {"hash", hash},           {"keeps", keeps},
      {"damaged", damaged},     {"bounded", bounded},
      {"unfinished", unfinished}, {"unusable", unusable},
      {"shapes", shapes},       {"trainings", trainings},
      {NULL, NULL}};
  check_suite("cache", tests);
}
