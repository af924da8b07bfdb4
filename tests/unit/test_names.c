/* names.c and weights.c: files of weights whose names are not the program's:
 * through maps, with PyTorch's words, in part, and out of a checkpoint. */
#include "tests/unit/line.h"

#include <stdlib.h>
#include <string.h>

typedef struct Weights {
  float w[6], b[2], g[2], mean[2];
  int32_t seen;
} Weights;
#define IN(f) .offset = offsetof(Weights, f)
static const NetTensor vars[] = {
    {"net.a.conv1.W", NET_WEIGHT, NET_F32, 2, 0, {2, 3}, IN(w)},
    {"net.a.conv1.b", NET_BIAS, NET_F32, 1, 0, {2}, IN(b)},
    {"net.norm.g", NET_SCALE, NET_F32, 1, 0, {2}, IN(g)},
    {"net.norm.mean", NET_LAYER_STATE, NET_F32, 1, 0, {2}, IN(mean)}};
enum { VARS = 4 };
static const NetProgram program = {.n_vars = VARS, .vars = vars};
static const Weights given = {{1, 2, 3, 4, 5, 6}, {7, 8}, {9, 10}, {11, 12}, 3};

/* Writes the tensors of `given` under other names; NULL: leaves one out. */
static const char *put(char path[PATH_SIZE], const char *const name[VARS]) {
  DataError e = {0};
  NetSafeTensor list[VARS + 1];
  int64_t n = 0;
  line_path(path, "names.st");
  for (int i = 0; i < VARS; i++) {
    if (!name[i]) continue;
    list[n] = net_weights_tensor(&vars[i],
                                 (const char *)&given + vars[i].offset);
    list[n++].name = name[i];
  }
  check_that(net_safe_write(path, list, n, &e), "%s", e.text);
  return path;
}

typedef struct Case {
  const char *name[VARS], *from[3], *to[3];
  bool part;
  const char *want; /* part of the message; NULL: all that is there is read */
} Case;

#define OWN "net.a.conv1.W", "net.a.conv1.b", "net.norm.g", "net.norm.mean"
static const Case cases[] = {
    {{OWN}, {NULL}, {NULL}, false, NULL},
    /* a file with the program's own names needs no maps */
    {{OWN}, {""}, {"other"}, false, NULL},
    {{OWN}, {"net"}, {"other"}, false, NULL},
    /* PyTorch's words */
    {{"net.a.conv1.weight", "net.a.conv1.bias", "net.norm.weight",
      "net.norm.running_mean"}, {NULL}, {NULL}, false, NULL},
    /* all below a name, and all out of one */
    {{"a.conv1.W", "a.conv1.b", "norm.g", "norm.mean"}, {""}, {"net"}, false,
     NULL},
    {{"x.net.a.conv1.W", "x.net.a.conv1.b", "x.net.norm.g", "x.net.norm.mean"},
     {"x"}, {""}, false, NULL},
    /* the longest beginning, up to a point; a whole name */
    {{"f.0.weight", "f.0.bias", "f.1.g", "m"}, {"f.0", "f.1", "m"},
     {"net.a.conv1", "net.norm", "net.norm.mean"}, false, NULL},
    {{"f.W", "f.b", "f.1.g", "f.1.mean"}, {"f", "f.1"},
     {"net.a.conv1", "net.norm"}, false, NULL},
    {{"f.W", "f.b", "f1.g", "f1.mean"}, {"f", "f1"},
     {"net.a.conv1", "net.norm"}, false, NULL},
    /* what does not fit */
    {{OWN}, {NULL}, {NULL}, true, NULL},
    {{"net.a.conv1.W", "net.a.conv1.b", "net.norm.g", "net.norm.men"}, {NULL},
     {NULL}, false, "1 tensor that the program does not have: net.norm.men "
                    "(near net.norm.mean)"},
    {{"a.conv1.W", "a.conv1.c", "norm.g", "norm.mean"}, {""}, {"net"}, false,
     "a.conv1.c (as net.a.conv1.c) (near net.a.conv1."},
    {{"net.a.conv1.W", NULL, "net.norm.g", NULL}, {NULL}, {NULL}, false,
     "no net.a.conv1.b, net.norm.mean, which the program needs"},
    {{"a.conv1.W", "a.conv1.b", "norm.g", "norm.mean"}, {"", "nrm"},
     {"net", "net.norm"}, false, "no name begins with nrm, which `init` maps"},
    {{"a.W", "a.weight", "net.norm.g", "net.norm.mean"}, {"a"},
     {"net.a.conv1"}, false, "a.W and a.weight both stand for net.a.conv1.W"},
    {{"net.a.conv1.b", "net.a.conv1.W", "net.norm.g", "net.norm.mean"}, {NULL},
     {NULL}, false, "net.a.conv1.W is [2], but the program's is [2,3]"},
    {{"c.bias", "c.weight", "net.norm.g", "net.norm.mean"}, {"c"},
     {"net.a.conv1"}, false,
     "c.weight (as net.a.conv1.W) is [2], but the program's is [2,3]"},
    /* a part */
    {{"net.a.conv1.W", NULL, "net.norm.g", "head.W"}, {NULL}, {NULL}, true,
     NULL},
    {{"a.conv1.W", "a.conv1.b", NULL, "head.W"}, {"a"}, {"net.a"}, true, NULL},
    {{"x", "y", "z", NULL}, {NULL}, {NULL}, true,
     "it has nothing of the program; the program has net.a.conv1.W"},
};
enum { CASES = sizeof cases / sizeof *cases };

static void check_case(const Case *c) {
  char path[PATH_SIZE], told[NET_TOLD];
  DataError e = {0};
  Weights got = {.seen = 3};
  const Weights none = got;
  NetInit init = {.from = c->from, .to = c->to};
  while (init.n_maps < 3 && c->from[init.n_maps]) init.n_maps++;
  put(path, c->name);
  bool good = net_weights_start(&program, (char *)&got, path, &init, c->part,
                                told, &e);
  if (c->want) {
    check_that(!good && strstr(e.text, c->want), "wanted '%s', got '%s'",
               c->want, good ? "(loaded)" : e.text);
    CU_ASSERT_EQUAL(memcmp(&got, &none, sizeof got), 0);
    return;
  }
  check_that(good, "%s: %s", c->name[0], e.text);
  if (!c->part) CU_ASSERT_EQUAL(memcmp(&got, &given, sizeof got), 0);
}

static void test_cases(void) {
  for (int i = 0; i < CASES; i++) check_case(&cases[i]);
}

static void test_part(void) {
  static const char *const names[VARS] = {"net.a.conv1.W", NULL, NULL, "head"};
  char path[PATH_SIZE], told[NET_TOLD];
  DataError e = {0};
  Weights got = {.b = {1, 1}};
  put(path, names);
  CU_ASSERT_TRUE(net_weights_start(&program, (char *)&got, path, NULL, true,
                                   told, &e));
  CU_ASSERT_STRING_EQUAL(told, "net.a.conv1.b, net.norm.g, net.norm.mean");
  CU_ASSERT_EQUAL(memcmp(got.w, given.w, sizeof got.w), 0);
  CU_ASSERT_EQUAL(got.b[0], 1); /* as it was */
}

/* PyTorch counts batches, in a type that programs do not have. */
static void test_pytorch_counter(void) {
  static const char header[] =
      "{\"net.line.weight\":{\"dtype\":\"F32\",\"shape\":[3],"
      "\"data_offsets\":[8,20]},\"bn.num_batches_tracked\":{\"dtype\":\"I64\","
      "\"shape\":[],\"data_offsets\":[0,8]}} ";
  unsigned char file[8 + sizeof header - 1 + 20] = {sizeof header - 1};
  const NetTensor v = {"net.line.W", NET_WEIGHT, NET_F32, 1, 0, {3},
                       .offset = 0};
  const NetProgram p = {.n_vars = 1, .vars = &v};
  char path[PATH_SIZE];
  float w[3] = {1, 1, 1};
  DataError e = {0};
  memcpy(file + 8, header, sizeof header - 1);
  CU_ASSERT_TRUE(check_write(line_path(path, "t.st"), file, sizeof file));
  check_that(net_weights_load(&p, (char *)w, path, &e), "%s", e.text);
  CU_ASSERT_EQUAL(w[2], 0);
}

/* Long names and many: a message stays a message. */
static void test_lists(void) {
  NetNames l = {0};
  char name[600];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = 0;
  for (int i = 0; i < 9; i++) net_names_add(&l, name, name);
  CU_ASSERT_EQUAL(l.n, 9);
  CU_ASSERT_TRUE(strlen(l.text) < NET_TOLD);
  l = (NetNames){0};
  for (int i = 0; i < 9; i++) net_names_add(&l, "a", i ? NULL : "b");
  CU_ASSERT_STRING_EQUAL(l.text, "a (near b), a, a, a, ..");
}

/* What a training says and does; a test takes no part of its weights. */
static void test_in_run(void) {
  static const char *const from[] = {"old"}, *const to[] = {"line"};
  char path[PATH_SIZE], save[PATH_SIZE], options[600];
  const NetTensor v[] = {{"old.W", NET_WEIGHT, NET_F32, 1, 0, {N}, AT(w)},
                         {"head.W", NET_WEIGHT, NET_F32, 0, 0, {0}, AT(loss)}};
  const NetProgram other = {.n_vars = 2, .vars = v};
  NetTensor mine[] = {line_vars[0],
                      {"line.b", NET_BIAS, NET_F32, 0, 0, {0}, AT(moment)}};
  NetProgram p = line_program;
  Memory m = {.w = {100}};
  DataError e = {0};
  CU_ASSERT_TRUE(net_weights_save(&other, (char *)&m, line_path(path, "old.st"),
                                  &e));
  p.vars = mine;
  p.init = (NetInit){path, 1, 1, from, to};
  snprintf(options, sizeof options, "--save %s", line_path(save, "new.st"));
  Child c = line_run_data(&p, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  check_that(strstr(c.err, "old.st does not have, and so left as they were: "
                           "line.b\n") != NULL, "%s", c.err);
  child_free(&c);
  mine[1].name = "head.W";
  snprintf(options, sizeof options, "--init %s", path);
  c = line_run_data(&p, "test", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  mine[1].name = "line.b";
  line_fails(line_run_data(&p, "test", options), 1,
             "1 tensor that the program does not have: head.W");
  p.init.n_maps = 0;
  line_fails(line_run_data(&p, "train", ""), 1, "it has nothing of the program");
}

static const CheckTest tests[] = {
    {"names and maps", test_cases},
    {"a part of the program", test_part},
    {"PyTorch's counters", test_pytorch_counter},
    {"lists of names", test_lists},
    {"in a run", test_in_run},
    {NULL, NULL}};

void suite_names(void);
void suite_names(void) {
  check_suite("names", tests);
}
