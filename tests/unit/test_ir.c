/* The folder ir: arena and numbers, hash-consing and locations, the text form
 * both ways, what the reader and the verifier refuse, and what the interpreter
 * makes of corner cases. Single operations are covered by tests/ops. */
#include "ir/ir.h"
#include "runtime/philox.h"
#include "tests/check.h"
#include "tests/ops/ops_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_arena(void) {
  Arena *a = arena_new();
  for (size_t n = 0; n < 300000; n = 3 * n + 1) {
    unsigned char *p = arena_alloc(a, n);
    CU_ASSERT((uintptr_t)p % 16 == 0);
    for (size_t i = 0; i < n; i++)
      if (p[i])
        CU_FAIL("not zeroed");
    memset(p, 0xff, n);
  }
  int count = 0, capacity = 0, *list = NULL;
  for (; count < 1000; count++) {
    list = arena_grow(a, list, count, &capacity, sizeof *list);
    list[count] = count;
  }
  CU_ASSERT(list[0] == 0 && list[999] == 999);
  arena_free(a);
}

static void test_numbers(void) {
  static const struct { double v; const char *text; } rows[] = {
      {0, "0"}, {-0.0, "-0"}, {1, "1"}, {0.1, "0.1"}, {1e-5, "1e-5"},
      {1e6, "1e6"}, {123456, "123456"}, {1.0 / 3, "0.3333333333333333"},
      {5e-324, "5e-324"}, {-1.7976931348623157e308, "-1.7976931348623157e308"},
      {INFINITY, "inf"}, {-INFINITY, "-inf"}, {NAN, "nan"}};
  Arena *a = arena_new();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Text t;
    text_init(&t, a);
    text_add_number(&t, rows[i].v);
    check_that(!strcmp(t.s, rows[i].text), "%s, not %s", t.s, rows[i].text);
  }
  arena_free(a);
}

static void test_equal_nodes(void) {
  Arena *a = arena_new();
  Graph *g = graph_new(a, "train");
  Type t = type_of(T_F32, 2, (int64_t[]){3, 5});
  Node *x = graph_leaf(g, OP_PARAM, "x", t, false);
  Node *y = graph_leaf(g, OP_PARAM, "y", t, false);
  CU_ASSERT(x == graph_leaf(g, OP_PARAM, "x", t, false) && x != y);
  CU_ASSERT(graph_binary(g, OP_ADD, x, y) == graph_binary(g, OP_ADD, y, x));
  CU_ASSERT(graph_binary(g, OP_SUB, x, y) != graph_binary(g, OP_SUB, y, x));
  CU_ASSERT(graph_const(g, 0, t) != graph_const(g, -0.0, t));
  CU_ASSERT(graph_const(g, NAN, t) == graph_const(g, -NAN, t));
  CU_ASSERT(graph_cast(g, x, T_F32) == x);
  CU_ASSERT(graph_rand(g, 1, true, t) == graph_rand(g, 1, true, t));
  CU_ASSERT(graph_rand(g, 1, true, t) != graph_rand(g, 2, true, t));
  for (int i = 0; i < 1000; i++) /* the table grows */
    graph_const(g, i, t);
  CU_ASSERT(graph_const(g, 500, t)->id == graph_const(g, 501, t)->id - 1);
  arena_free(a);
}

static void test_locations(void) {
  Arena *a = arena_new();
  Graph *g = graph_new(a, "train");
  Type t = type_scalar(T_F32);
  g->loc = (Loc){"a.net", 1, 1, NULL};
  Node *p = graph_leaf(g, OP_PARAM, "p", t, false);
  Node *in = graph_leaf(g, OP_INPUT, "x", t, false);
  Node *n = NULL;
  for (int i = 0; i < 8; i++) {
    g->loc = (Loc){"a.net", 1 + i / 2, 1, i / 2 == 1 ? "s" : NULL};
    n = graph_unary(g, OP_EXP, p);
  }
  CU_ASSERT(p->n_locs == 0 && in->n_locs == 1 && n->n_locs == MAX_LOCS);
  Text text;
  text_init(&text, a);
  print_graph(&text, g);
  check_that(strstr(text.s, "%2 = exp %0 : f32[]  @ a.net:1:1, a.net:2:1 s, "
                            "a.net:3:1, a.net:4:1\n") != NULL,
             "%s", text.s);
  arena_free(a);
}

/* -- the text form */

static Module *read_text(Arena *a, Diags *d, const char *text) {
  Source *s = arena_alloc(a, sizeof *s);
  *s = (Source){"case.ir", text, strlen(text)};
  diags_init(d, a);
  return read_module(a, d, s);
}

static char *print_text(Arena *a, const Module *m) {
  Text t;
  text_init(&t, a);
  print_module(&t, m);
  return t.s;
}

static void test_round_trip(void) {
  for (int op = 0; op < OP_COUNT; op++) {
    Arena *a = arena_new();
    OpCase c;
    Diags d;
    for (int which = 0; op_case(a, (Op)op, which, &c); which++) {
      char *text = print_text(a, c.module);
      Module *m = read_text(a, &d, text);
      if (!check_that(m != NULL, "%s is not read:\n%s", c.name, text))
        continue;
      char *again = print_text(a, m);
      check_that(!strcmp(text, again), "%s:\n%s\nnow\n%s", c.name, text, again);
      Text dot;
      text_init(&dot, a);
      print_graph_dot(&dot, m->graph[0]);
      CU_ASSERT(!strncmp(dot.s, "digraph \"train\" {", 17));
    }
    arena_free(a);
  }
}

/* Names and paths of any characters, comments, gaps in the numbers. */
static void test_odd_text(void) {
  Arena *a = arena_new();
  Diags d;
  Module *m = read_text(
      a, &d, "# a case\n\nmodule # here\nvar \"a b=\\\"\\\\\\x01\" bias f32[]\r\n"
      "func f {\n\n  %3 = param \"a b=\\\"\\\\\\x01\" : f32[]\n"
      " %70=exp %3:f32[]@ \"my file.net\":1:2 \"a, b\",<prelude>:3:4\n"
      "result y=%70\n}\n");
  CU_ASSERT_PTR_NOT_NULL_FATAL(m);
  const char *want = "module\nvar \"a b=\\\"\\\\\\x01\" bias f32[]\nfunc f {\n"
      "  %0 = param \"a b=\\\"\\\\\\x01\" : f32[]\n"
      "  %1 = exp %0 : f32[]  @ \"my file.net\":1:2 \"a, b\", <prelude>:3:4\n"
      "  result y = %1\n}\n";
  char *got = print_text(a, m);
  check_that(!strcmp(got, want), "%s", got);
  arena_free(a);
}

/* A line of a function over %0, a: f32[3,4], and what is said of it. */
typedef struct Wrong {
  const char *line, *told;
} Wrong;

static const Wrong wrong_lines[] = {
    {"%1 = expp %0 : f32[3,4]", "E0903"},
    {"%1 = exp %0 : f33[3,4]", "E0903"},
    {"%1 = exp %0", "E0901"},
    {"%1 = exp %0 : f32[3,4] x", "E0901"},
    {"%1 = exp : f32[3,4]", "E0901"},
    {"%1 exp %0 : f32[3,4]", "E0901"},
    {"%1 = exp %2 : f32[3,4]", "%2 has no line above this one"},
    {"%0 = exp %0 : f32[3,4]", "E0904"},
    {"%99999999999999999999 = exp %0 : f32[3,4]", "E0904"},
    {"%1 = exp %0 : f32[3,5]", "the type of this exp is f32[3,4]"},
    {"%1 = exp %0 : f32[1099511627776,2]", "more than 1099511627776 elements"},
    {"%1 = exp %0 : f32[1,1,1,1,1,1,1,1,1,1,1,1,1]", "more than 12 numbers"},
    {"%1 = exp %0 : f32[0]", "E0904"},
    {"%1 = exp %0 : f32[-3]", "E0904"},
    {"%1 = add %0 : f32[3,4]", "add takes 2 operands, not 1"},
    {"%1 = exp %0, %0 : f32[3,4]", "exp takes 1 operands, not 2"},
    {"%1 = concat %0 axis=0 : f32[3,4]", "concat takes at least 2 operands"},
    {"%1 = sum %0 axes=[0,0] : f32[4]", "axis 0 stands twice"},
    {"%1 = sum %0 axes=[1,0] : f32[]", "the axes do not increase"},
    {"%1 = sum %0 axes=[2] : f32[3,4]", "there is no axis 2"},
    {"%1 = sum %0 axis=1 : f32[3]", "E0901"},
    {"%1 = permute %0 axes=[0] : f32[3]", "names 1 axes"},
    {"%1 = reshape %0 : f32[13]", "changes the number of elements"},
    {"%1 = broadcast %0 axes=[0,1] : f32[3,5]", "changes the extent of axis 1"},
    {"%1 = slice %0 axis=1 start=2 step=2 : f32[3,2]", "slice takes 2 from 2"},
    {"%1 = slice %0 axis=1 start=1099511627776 step=1 : f32[3,1]", "start="},
    {"%1 = window %0 axis=1 size=5 stride=1 dilation=1 : f32[3,1,5]",
     "does not fit axis 1"},
    {"%1 = window %0 axis=1 size=2 stride=1 dilation=1099511627776 : f32[3,1,2]",
     "does not fit axis 1"},
    {"%1 = window %0 axis=1 size=0 stride=1 dilation=1 : f32[3,4,1]", "size=0"},
    {"%1 = window %0 axis=1 size=1 stride=0 dilation=1 : f32[3,4,1]", "stride=0"},
    {"%1 = fold %0 axis=0 stride=1 dilation=1 : f32[5]", "does not fit"},
    {"%1 = pad %0 axis=0 before=-1 after=0 value=0 : f32[2,4]", "before=-1"},
    {"%1 = pad %0 axis=2 before=1 after=0 value=0 : f32[3,4]", "no axis 2"},
    {"%1 = pad %0 axis=0 before=1 after=0 value=0x1 : f32[4,4]", "E0901"},
    {"%1 = dot %0, %0 batch=0 contract=3 : f32[]", "contract=3"},
    {"%1 = dot %0, %0 batch=1 contract=2 : f32[]", "contract=2"},
    {"%1 = gather %0, %0 batch=0 : f32[3,4]", "not of type i32"},
    {"%1 = const 1e : f32[]", "E0901"},
    {"%1 = const 1.5 : i32[]", "1.5 is no value of type i32"},
    {"%1 = const 1e999 : f32[]", "E0901"},
    {"%1 = const 2 : i1[]", "2 is no value of type i1"},
    {"%1 = not %0 : i1[3,4]", "not of type i1"},
    {"%1 = iota axis=0 : i1[3]", "cannot hold the indices"},
    {"%1 = iota axis=1 : i32[3]", "no axis 1"},
    {"%1 = rand place=-1 sample=0 : f32[3]", "place=-1"},
    {"%1 = rand place=1 sample=2 : f32[3]", "sample=2"},
    {"%1 = rand place=1 sample=1 : f32[]", "has the batch as its first axis"},
    {"%1 = rand place=1 sample=0 : i32[3]", "not i32"},
    {"%1 = input x sample=1 : f32[]", "has the batch as its first axis"},
    {"%1 = param b : f32[3]", "parameter b is not declared"},
    {"%1 = param a : f32[3]", "parameter a is f32[3,4], not f32[3]"},
    {"%1 = param a : f64[3,4]", "a parameter is f32"},
    {"%1 = state a : f32[3,4]", "a is no state but a weight"},
    {"%1 = scalar time : f64[]", "there is no scalar time"},
    {"%1 = scalar step : f32[]", "a scalar is f64[]"},
    {"%1 = grad %0, %0 : f32[3,4]", "only one number has one"},
    {"%1 = input x sample=0 : f32[3]\n%2 = input x sample=0 : f32[4]",
     "both the input x"},
    {"%1 = rand place=1 sample=0 : f32[3]\n%2 = rand place=1 sample=0 : f32[4]",
     "both draw at place 1"},
    {"result y = %0", "a result twice"},
    {"result \"\" = %0", "E0902"},
    {"result y %0", "E0901"},
    {"update param b = %0", "parameter b is not declared"},
    {"update state a = %0", "a is no state but a weight"},
    {"update param a = %0\nupdate param a = %0", "a is updated twice"},
    {"update thing a = %0", "E0903"},
    {"%1 = exp %0 : f32[3,4] @ a.net:0:1", "E0904"},
    {"%1 = exp %0 : f32[3,4] @ a.net", "E0901"},
    {"%1 = exp %0 : f32[3,4] @ a:1:1,a:1:2,a:1:3,a:1:4,a:1:5",
     "more than 4 locations"},
    {"}\nfunc train {", "function train stands twice"},
    {"}\nfunc b {\n}\nfunc c {\n}\nfunc d {\n}\nfunc e {", "more than 4 func"},
    {"}\nvar a bias f32[]\nfunc e {", "variable a is declared twice"},
    {"}\nvar b bias f64[]\nfunc e {", "parameter b is f64, not f32"},
    {"}\nrubbish\nfunc e {", "expected 'var' or 'func'"},
    {"\x01\xff", "byte 0x01"},
};

static char *told(const Diags *d) {
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  diags_print(d, f);
  fclose(f);
  return text;
}

static void check_wrong(const char *text, const char *want) {
  Arena *a = arena_new();
  Diags d;
  Module *m = read_text(a, &d, text);
  char *said = told(&d);
  check_that(!m && strstr(said, want) && strstr(said, "case.ir:"),
             "%s\nis told as\n%s\nnot: %s", text, said, want);
  free(said);
  arena_free(a);
}

static void test_wrong_text(void) {
  Arena *a = arena_new();
  for (size_t i = 0; i < sizeof wrong_lines / sizeof *wrong_lines; i++)
    check_wrong(arena_printf(a, "module\nvar a weight f32[3,4]\nfunc train {\n"
                                "%%0 = param a : f32[3,4]\nresult y = %%0\n"
                                "%s\n}\n", wrong_lines[i].line),
                wrong_lines[i].told);
  arena_free(a);
  check_wrong("", "E0901");
  check_wrong("# nothing\n", "E0901");
  check_wrong("func f {\n}\n", "expected 'module'");
  check_wrong("module\nfunc f {\n", "expected '}' at the end of f");
  check_wrong("module\nvar \"", "E0902");
  check_wrong("module\nvar \"\\", "E0902");
  check_wrong("module\nvar \"\\x", "E0902");
  check_wrong("module\nvar a weigt f32[]\n", "did you mean 'weight'");
}

/* Lines that use a wrong one are silent; other mistakes are told as well. */
static void test_no_cascade(void) {
  Arena *a = arena_new();
  Diags d;
  Module *m = read_text(a, &d, "module\nfunc f {\n%0 = const 1 : f32[]\n"
      "%1 = expp %0 : f32[]\n%2 = exp %1 : f32[]\n%3 = log %2 : f64[7]\n"
      "%4 = log %0 : f64[]\nresult y = %3\n}\n");
  CU_ASSERT(!m && d.errors == 2);
  Text t;
  text_init(&t, a);
  text_add(&t, "module\nfunc f {\n");
  for (int i = 0; i < 1000; i++)
    text_add(&t, "%%%d = wrong : f32[]\n", i);
  m = read_text(a, &d, t.s);
  CU_ASSERT(!m && d.errors == 20);
  arena_free(a);
}

/* Random changes of a good text: no crash, and what is read prints. */
static void test_mutations(void) {
  static const char alphabet[] = "%=:,[]@#\"\\-.0123456789 \naeflmoprtux{}";
  uint32_t state = 1;
  for (int round = 0; round < (check_long() ? 20000 : 1000); round++) {
    Arena *a = arena_new();
    OpCase c;
    Diags d;
    state = state * 1664525 + 1013904223;
    if (op_case(a, (Op)(state >> 8) % OP_COUNT, 0, &c)) {
      char *text = print_text(a, c.module);
      size_t n = strlen(text);
      for (int k = 0; k < 1 + round % 4; k++) {
        state = state * 1664525 + 1013904223;
        text[(state >> 8) % n] = alphabet[(state >> 4) % (sizeof alphabet - 1)];
      }
      Module *m = read_text(a, &d, text);
      CU_ASSERT(m ? *print_text(a, m) == 'm' : d.errors > 0);
    }
    arena_free(a);
  }
}

/* What only a defect of a pass can make: the reader cannot. */
static void test_verifier(void) {
  Arena *a = arena_new();
  Module *m = module_new(a);
  Graph *g = m->graph[m->n_graphs++] = graph_new(a, "train");
  Type t = type_of(T_F32, 1, (int64_t[]){5});
  Node *x = graph_const(g, 2, t), *y = graph_unary(g, OP_EXP, x);
  graph_output(g, OUT_RESULT, "y", y);
  CU_ASSERT_PTR_NULL(verify_module(a, m));
  y->type.dim[0] = 7;
  CU_ASSERT_STRING_EQUAL(verify_module(a, m),
                         "in train: %1: the type of exp is f32[5]");
  y->type.dim[0] = 5;
  y->in[0] = y;
  CU_ASSERT_STRING_EQUAL(verify_module(a, m),
                         "in train: operand 0 of %1 does not come before it");
  y->in[0] = x;
  y->id = 3;
  CU_ASSERT_PTR_NOT_NULL(verify_module(a, m));
  y->id = 1;
  x->n_locs = 1;
  CU_ASSERT_PTR_NOT_NULL(verify_module(a, m));
  x->n_locs = 0;
  Node stray = *y;
  g->output[0].node = &stray;
  CU_ASSERT_STRING_EQUAL(verify_module(a, m),
                         "in train: output y is not in the graph");
  arena_free(a);
}

/* The known answers of the authors' Random123 for philox4x32-10 and -7. */
static void test_philox(void) {
  static const struct { uint32_t counter[4]; uint64_t key; uint32_t want[4]; }
  rows[] = {
      {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffff,
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822,
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
  static const uint32_t seven[3][4] = {
      {0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48},
      {0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662},
      {0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}};
  for (int i = 0; i < 3; i++) {
    uint32_t counter[4];
    memcpy(counter, rows[i].counter, sizeof counter);
    philox(counter, rows[i].key);
    CU_ASSERT(!memcmp(counter, rows[i].want, sizeof counter));
    memcpy(counter, rows[i].counter, sizeof counter);
    philox_rounds(counter, rows[i].key, PHILOX_DRAW_ROUNDS);
    CU_ASSERT(!memcmp(counter, seven[i], sizeof counter));
  }
}

/* -- the interpreter's corners: y of a function without variables */

static const struct { const char *lines; double want; } corners[] = {
    {"%1 = const nan : f32[3]\n%2 = const 1 : f32[2]\n"
     "%3 = concat %2, %1 axis=0 : f32[5]\n%4 = rmax %3 axes=[0] : f32[]",
     NAN},
    {"%1 = const nan : f32[3]\n%2 = const inf : f32[2]\n"
     "%3 = concat %2, %1 axis=0 : f32[5]\n%4 = argmax %3 axes=[0] : i32[]", 2},
    {"%1 = const 1 : f32[3,2]\n%4 = argmax %1 axes=[1,0] : i32[]", 0},
    {"%1 = const 7 : f32[]\n%2 = const nan : f32[]\n%4 = max %1, %2 : f32[]",
     NAN},
    {"%1 = const 7 : f32[]\n%2 = const nan : f32[]\n%4 = min %2, %1 : f32[]",
     NAN},
    {"%1 = const nan : f32[]\n%4 = cast %1 : i32[]", 0},
    {"%1 = const -1e30 : f32[]\n%4 = cast %1 : i32[]", -2147483648.0},
    {"%1 = const -1.9 : f32[]\n%4 = cast %1 : u32[]", 0},
    {"%1 = const 1e30 : f32[]\n%4 = cast %1 : u32[]", 4294967295.0},
    {"%1 = const -1.9 : f32[]\n%4 = cast %1 : i32[]", -1},
    {"%1 = const -1 : i32[]\n%4 = cast %1 : u32[]", 4294967295.0},
    {"%1 = const 2147483647 : i32[]\n%4 = mul %1, %1 : i32[]", 1},
    {"%1 = const 4294967295 : u32[]\n%4 = add %1, %1 : u32[]", 4294967294.0},
    {"%1 = const -2147483648 : i32[]\n%4 = abs %1 : i32[]", -2147483648.0},
    {"%1 = iota axis=0 : f32[5]\n%2 = const 9 : i32[]\n"
     "%4 = gather %1, %2 batch=0 : f32[]", 4},
    {"%1 = iota axis=0 : f32[5]\n%2 = const -9 : i32[]\n"
     "%4 = gather %1, %2 batch=0 : f32[]", 0},
    /* element 65 is word 0 of block 17: of counter (17, 3, 2, 9) with key 5 */
    {"%1 = rand place=9 sample=1 : f32[4,66]\n"
     "%2 = slice %1 axis=0 start=3 step=1 : f32[1,66]\n"
     "%3 = slice %2 axis=1 start=65 step=1 : f32[1,1]\n"
     "%4 = reshape %3 : f32[]", 2360624 * 0x1p-24},
};

static void test_corners(void) {
  for (size_t i = 0; i < sizeof corners / sizeof *corners; i++) {
    Arena *a = arena_new();
    Diags d;
    Module *m = read_text(a, &d, arena_printf(a,
        "module\nfunc f {\n%s\nresult y = %%4\n}\n", corners[i].lines));
    EvalEnv env = {.seed = 5, .step = 2};
    double want = corners[i].want;
    if (check_that(m != NULL, "not read: %s", corners[i].lines)) {
      Graph *g = m->graph[0];
      double got = eval_graph(a, g, &env)[g->output[0].node->id][0];
      check_that(got == want || (isnan(got) && isnan(want)),
                 "%s\nis %.17g, not %.17g", corners[i].lines, got, want);
    }
    arena_free(a);
  }
}

void suite_ir(void);
void suite_ir(void) {
  static const CheckTest tests[] = {
      {"arena", test_arena},
      {"numbers", test_numbers},
      {"equal nodes are one", test_equal_nodes},
      {"locations", test_locations},
      {"every operation reads back", test_round_trip},
      {"odd text", test_odd_text},
      {"wrong text", test_wrong_text},
      {"no cascades", test_no_cascade},
      {"mutations", test_mutations},
      {"verifier", test_verifier},
      {"philox", test_philox},
      {"corners of the interpreter", test_corners},
      {NULL, NULL},
  };
  check_suite("ir", tests);
}
