/* safetensors.c and weights.c: what is written is read back; crafted files that
 * other readers take are refused, each with a message that says why. */
#include "runtime/run.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define A "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
#define OF(dtype, shape, offsets) \
  "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"

typedef struct Case {
  const char *header;
  int64_t data;     /* bytes behind the header */
  const char *want; /* part of the message; NULL: the file is good */
} Case;

static const Case cases[] = {
    /* good */
    {"{\"a\":" A "}", 4, NULL},
    {"{\"a\":" A "}      ", 4, NULL},
    {"{}", 0, NULL},
    {"{\"__metadata__\":{\"k\":\"v\"},\"a\":" A "}", 4, NULL},
    {"{\"a\":" OF("\"F32\"", "[0,5]", "[0,0]") "}", 0, NULL},
    {"{\"a\":" OF("\"F64\"", "[]", "[0,8]") "}", 8, NULL},
    {"{\"b\":" OF("\"BF16\"", "[2]", "[4,8]") ",\"a\":" A "}", 8, NULL},
    /* not a header */
    {"", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"{\"a\":", 0, "not JSON"},
    {"{}x", 0, "not JSON"},
    {"{\"a\xff\":" A "}", 4, "not JSON"},
    {"{\"a\":NaN}", 4, "not JSON"},
    /* names */
    {"{\"a\":" A ",\"a\":" A "}", 4, "duplicate"},
    {"{\"a\":" A ",\"\\u0061\":" A "}", 4, "duplicate"},
    {"{\"\":" A "}", 4, "without a name"},
    {"{\"a\\u0000b\":" A "}", 4, "not JSON"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "which is no string"},
    {"{\"__metadata__\":[]}", 0, "not an object"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate"},
    /* entries */
    {"{\"a\":1}", 0, "needs dtype"},
    {"{\"a\":[]}", 0, "needs dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "needs dtype"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "needs dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "needs dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],"
     "\"data_offsets\":[0,4]}}", 4, "duplicate"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],"
     "\"more\":1}}", 4, "nothing else"},
    {"{\"a\":" OF("1", "[1]", "[0,4]") "}", 4, "needs dtype"},
    {"{\"a\":" OF("\"F32\"", "1", "[0,4]") "}", 4, "needs dtype"},
    {"{\"a\":" OF("\"F32\"", "[1]", "4") "}", 4, "needs dtype"},
    {"{\"a\":" OF("\"F31\"", "[1]", "[0,4]") "}", 4, "unknown type"},
    {"{\"a\":" OF("\"f32\"", "[1]", "[0,4]") "}", 4, "unknown type"},
    /* shapes */
    {"{\"a\":" OF("\"F32\"", "[-1]", "[0,4]") "}", 4, "no size"},
    {"{\"a\":" OF("\"F32\"", "[1.0]", "[0,4]") "}", 4, "no size"},
    {"{\"a\":" OF("\"F32\"", "[\"1\"]", "[0,4]") "}", 4, "no size"},
    {"{\"a\":" OF("\"F32\"", "[null]", "[0,4]") "}", 4, "no size"},
    {"{\"a\":" OF("\"F32\"", "[9223372036854775807,2]", "[0,0]") "}", 0,
     "too large"},
    {"{\"a\":" OF("\"F32\"", "[0,9223372036854775807,4]", "[0,0]") "}", 0,
     "too large"},
    {"{\"a\":" OF("\"F32\"", "[0,9223372036854775808,4]", "[0,0]") "}", 0,
     "not JSON"},
    {"{\"a\":" OF("\"F32\"", "[4294967296,4294967296]", "[0,0]") "}", 0,
     "too large"},
    {"{\"a\":" OF("\"F32\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4,
     "13 axes"},
    /* offsets */
    {"{\"a\":" OF("\"F32\"", "[1]", "[0]") "}", 4, "not a range"},
    {"{\"a\":" OF("\"F32\"", "[1]", "[0,4,8]") "}", 4, "not a range"},
    {"{\"a\":" OF("\"F32\"", "[1]", "[4,0]") "}", 4, "not a range"},
    {"{\"a\":" OF("\"F32\"", "[1]", "[-4,0]") "}", 4, "not a range"},
    {"{\"a\":" OF("\"F32\"", "[1]", "[0.0,4]") "}", 4, "not a range"},
    {"{\"a\":" A "}", 3, "not a range"},
    {"{\"a\":" OF("\"F32\"", "[1]", "[0,9223372036854775807]") "}", 4,
     "not a range"},
    {"{\"a\":" OF("\"F32\"", "[2]", "[0,4]") "}", 4, "make 8"},
    {"{\"a\":" OF("\"F64\"", "[1]", "[0,4]") "}", 4, "make 8"},
    {"{\"a\":" OF("\"F32\"", "[0]", "[0,4]") "}", 4, "make 0"},
    {"{\"a\":" A "}", 8, "4 bytes behind"},
    {"{}", 1, "1 bytes behind"},
    {"{\"a\":" OF("\"F32\"", "[1]", "[4,8]") "}", 8, "hole"},
    {"{\"a\":" A ",\"b\":" OF("\"F32\"", "[1]", "[8,12]") "}", 12, "hole"},
    {"{\"a\":" A ",\"b\":" A "}", 4, "lies over"},
    {"{\"a\":" OF("\"F32\"", "[2]", "[0,8]") ",\"b\":"
     OF("\"F32\"", "[1]", "[4,8]") "}", 8, "lies over"},
};
enum { CASES = sizeof cases / sizeof *cases };

/* Writes a file whose header claims `claim` bytes. */
static void put(const char *path, const char *header, uint64_t claim,
                int64_t data) {
  size_t n = strlen(header), size = 8 + n + (size_t)data;
  unsigned char *b = calloc(size, 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(b);
  for (int i = 0; i < 8; i++) b[i] = (unsigned char)(claim >> 8 * i);
  memcpy(b + 8, header, n);
  CU_ASSERT_TRUE(check_write(path, b, size));
  free(b);
}

/* Opens, and closes what opened; the message of a refusal in *e. */
static bool opens(const char *path, DataError *e) {
  NetSafeFile f;
  *e = (DataError){0};
  if (!net_safe_open(&f, path, e)) return false;
  net_safe_close(&f);
  return true;
}

static void refused(const char *path, const char *want) {
  DataError e;
  bool opened = opens(path, &e);
  check_that(!opened && e.status == 1 && strstr(e.text, want) &&
                 !strncmp(e.text, path, strlen(path)),
             "wanted '%s', got '%s'", want, opened ? "(opened)" : e.text);
}

static void test_crafted(void) {
  const char *path = check_path("crafted.safetensors");
  DataError e;
  for (int i = 0; i < CASES; i++) {
    const Case *c = &cases[i];
    put(path, c->header, strlen(c->header), c->data);
    if (c->want) refused(path, c->want);
    else check_that(opens(path, &e), "%s: %s", c->header, e.text);
  }
}

static void test_lengths(void) {
  const char *path = check_path("lengths.safetensors");
  CU_ASSERT_TRUE(check_write(path, "", 0));
  refused(path, "too few");
  CU_ASSERT_TRUE(check_write(path, "\2\0\0\0\0\0\0", 7));
  refused(path, "too few");
  put(path, "{}", 3, 0);
  refused(path, "cut short");
  put(path, "{}", 100000001, 0);
  refused(path, "over the limit");
  put(path, "{}", UINT64_MAX, 0);
  refused(path, "over the limit");
  put(path, "{}", 0, 0);
  refused(path, "does not begin");
  refused(check_path("missing.safetensors"), "No such file");
  refused(check_tmp(), "not a regular file");
  const char *pipe = check_path("pipe");
  CU_ASSERT_EQUAL(mkfifo(pipe, 0600), 0);
  refused(pipe, "not a regular file");
}

static void test_written(void) {
  const char *path = check_path("written.safetensors");
  const float w[] = {1, 2, 3, 4, 5, 6};
  const double d = 0.5;
  const unsigned char bits[] = {1, 0, 1};
  NetSafeTensor list[] = {
      {.name = "bits", .type = NET_I1, .rank = 1, .dim = {3}, .bytes = 3,
       .data = bits},
      {.name = "w", .type = NET_F32, .rank = 2, .dim = {2, 3}, .bytes = 24,
       .data = w},
      {.name = "a", .type = NET_F32, .rank = 1, .dim = {0}, .data = w},
      {.name = "d", .type = NET_F64, .bytes = 8, .data = &d}};
  DataError e = {0};
  check_that(net_safe_write(path, list, 4, &e), "%s", e.text);
  size_t size;
  char *text = check_read(path, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  size_t header = (unsigned char)text[0] + 256u * (unsigned char)text[1];
  CU_ASSERT_EQUAL(header % 8, 0);
  CU_ASSERT_EQUAL(size, 8 + header + 8 + 24 + 3);
  CU_ASSERT_PTR_NOT_NULL(strstr(text + 8, "{\"d\":{\"dtype\":\"F64\",\"shape\":"
                                          "[],\"data_offsets\":[0,8]},\"a\":"));
  free(text);
  NetSafeFile f;
  float back[6] = {0};
  CU_ASSERT_TRUE_FATAL(net_safe_open(&f, path, &e));
  const NetSafeTensor *t = net_safe_find(&f, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(t);
  CU_ASSERT_TRUE(net_safe_read(&f, t, back, path, &e));
  CU_ASSERT_EQUAL(memcmp(back, w, sizeof w), 0);
  CU_ASSERT_PTR_NULL(net_safe_find(&f, "v"));
  net_safe_close(&f);
}

/* What was there stays where the new file cannot be written. */
static void test_write_fails(void) {
  NetSafeTensor t = {.name = "a", .type = NET_I1, .bytes = 1, .data = "\1"};
  DataError e = {0};
  CU_ASSERT_FALSE(net_safe_write("/dev/null", &t, 1, &e));
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "not a regular file"));
  CU_ASSERT_FALSE(net_safe_write(check_path("no/such/a.st"), &t, 1, &e));
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "cannot be written: No such file"));
  const char *link = check_path("link.st"), *to = check_path("to.st");
  CU_ASSERT_TRUE(net_safe_write(to, &t, 1, &e));
  CU_ASSERT_EQUAL(symlink("to.st", link), 0);
  t.data = "\0";
  CU_ASSERT_TRUE(net_safe_write(link, &t, 1, &e));
  size_t size;
  char *text = check_read(to, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  CU_ASSERT_EQUAL(text[size - 1], 0);
  free(text);
}

/* ---- weights of a program ---- */

typedef struct Memory {
  float w[6], b[2];
  int32_t seen;
  unsigned char flags[4];
  float moment[6];
} Memory;

#define AT(f) .offset = offsetof(Memory, f)
static const NetTensor vars[] = {
    {"net.fc1.W", NET_WEIGHT, NET_F32, 2, 0, {2, 3}, AT(w)},
    {"net.fc1.b", NET_BIAS, NET_F32, 1, 0, {2}, AT(b)},
    {"net.norm.seen", NET_LAYER_STATE, NET_I32, 0, 0, {0}, AT(seen)},
    {"net.norm.flags", NET_LAYER_STATE, NET_I1, 1, 0, {4}, AT(flags)},
    {"net.fc1.W.m", NET_OPTIMIZER_STATE, NET_F32, 2, 0, {2, 3}, AT(moment)}};
static const NetProgram program = {.n_vars = 5, .vars = vars};

static const Memory sample = {{1, 2, 3, 4, 5, 6}, {7, 8}, 9, {1, 0, 1, 1},
                              {1, 1, 1, 1, 1, 1}};

static void test_weights(void) {
  const char *path = check_path("weights.safetensors");
  Memory m = sample, back = {0};
  DataError e = {0};
  check_that(net_weights_save(&program, (char *)&m, path, &e), "%s", e.text);
  check_that(net_weights_load(&program, (char *)&back, path, &e), "%s", e.text);
  CU_ASSERT_EQUAL(memcmp(back.w, m.w, sizeof m.w), 0);
  CU_ASSERT_EQUAL(memcmp(back.b, m.b, sizeof m.b), 0);
  CU_ASSERT_EQUAL(memcmp(back.flags, m.flags, sizeof m.flags), 0);
  CU_ASSERT_EQUAL(back.seen, 9);
  CU_ASSERT_EQUAL(back.moment[0], 0); /* the optimiser's are not carried */
}

/* A good file is not replaced by one that holds a NaN. */
static void test_weights_nan(void) {
  const char *path = check_path("nan.safetensors");
  Memory m = sample, back = {0};
  DataError e = {0};
  CU_ASSERT_TRUE(net_weights_save(&program, (char *)&m, path, &e));
  m.b[1] /= 0.0f;
  CU_ASSERT_FALSE(net_weights_save(&program, (char *)&m, path, &e));
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "net.fc1.b holds a value that is not"));
  CU_ASSERT_TRUE(net_weights_load(&program, (char *)&back, path, &e));
  CU_ASSERT_EQUAL(back.b[1], 8);
}

/* Nor does a file give them to a program. */
static void test_weights_read_nan(void) {
  static const char *const shown[] = {"nan", "inf", "-inf"};
  static const uint32_t bad[] = {0x7fc00001, 0x7f800000, 0xff800000};
  const char *path = check_path("read.safetensors");
  const Memory zero = {0};
  for (int i = 0; i < 3; i++) {
    Memory m = sample, back = {0};
    DataError e = {0};
    char want[64];
    size_t size = 0;
    CU_ASSERT_TRUE(net_weights_save(&program, (char *)&m, path, &e));
    char *bytes = check_read(path, &size), *at;
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    at = memmem(bytes, size, &m.b[1], sizeof m.b[1]); /* 8 */
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    memcpy(at, &bad[i], sizeof bad[i]);
    CU_ASSERT_TRUE(check_write(path, bytes, size));
    free(bytes);
    snprintf(want, sizeof want, "net.fc1.b, value 2: %s is not finite",
             shown[i]);
    bool loaded = net_weights_load(&program, (char *)&back, path, &e);
    check_that(!loaded && strstr(e.text, want), "wanted '%s', got '%s'", want,
               e.text);
    CU_ASSERT_EQUAL(memcmp(&back, &zero, sizeof zero), 0);
  }
}

/* Loads the file that `v` saves into a program of `vars`. */
static void misfit(const NetTensor *v, int32_t n, const char *want) {
  const char *path = check_path("misfit.safetensors");
  const NetProgram other = {.n_vars = n, .vars = v};
  Memory m = sample, back = {0};
  const Memory zero = {0};
  DataError e = {0};
  CU_ASSERT_TRUE(net_weights_save(&other, (char *)&m, path, &e));
  bool loaded = net_weights_load(&program, (char *)&back, path, &e);
  check_that(!loaded && strstr(e.text, want), "wanted '%s', got '%s'", want,
             loaded ? "(loaded)" : e.text);
  CU_ASSERT_EQUAL(memcmp(&back, &zero, sizeof zero), 0);
}

static void test_weights_misfit(void) {
  NetTensor v[6];
  memcpy(v, vars, sizeof vars);
  misfit(v + 1, 4, "no net.fc1.W, which the program needs");
  v[0].name = "net.fc2.W";
  misfit(v, 5, "does not have: net.fc2.W (near net.fc1.W)");
  v[0] = vars[0];
  v[0].dim[0] = 3, v[0].dim[1] = 2;
  misfit(v, 5, "net.fc1.W is [3,2], but the program's is [2,3]");
  v[0].rank = 1;
  misfit(v, 5, "net.fc1.W is [3], but the program's is [2,3]");
  v[0] = vars[0];
  v[2].type = NET_U32;
  misfit(v, 5, "net.norm.seen is of type U32");
  v[2] = vars[2];
  v[3].offset = offsetof(Memory, w); /* bytes that are no bits */
  misfit(v, 5, "neither 0 nor 1");
  v[3] = vars[3];
  v[4].kind = NET_WEIGHT;
  v[5] = v[4];
  v[5].name = "something.else";
  misfit(v, 6, "2 tensors that the program does not have: ");
}

static const CheckTest tests[] = {
    {"crafted files are refused", test_crafted},
    {"lengths and files that are none", test_lengths},
    {"what is written reads back", test_written},
    {"writing fails cleanly", test_write_fails},
    {"weights round trip", test_weights},
    {"no NaN over a good file", test_weights_nan},
    {"no NaN out of a file", test_weights_read_nan},
    {"weights of another program", test_weights_misfit},
    {NULL, NULL}};

void suite_safetensors(void);
void suite_safetensors(void) {
  check_suite("safetensors", tests);
}
