/* The pass simplify on every case of every operation: the values stay, nothing
 * is left to do, nothing gets dearer; and single rules, by what comes out. */
#include "passes/passes.h"
#include "tests/check.h"
#include "tests/ops/ops_cases.h"

#include <math.h>
#include <string.h>

/* Sums over repeated elements become products, x / c a product with 1/c. */
static const double tolerance = 1e-12;

static char *text_of(Arena *a, const Module *m) {
  Text t;
  text_init(&t, a);
  print_module(&t, m);
  return t.s;
}

static void check_same(Arena *a, const OpCase *c, const Graph *before,
                       const Graph *after) {
  double **x = case_eval(a, c, before, NULL, 0, 0);
  double **y = case_eval(a, c, after, NULL, 0, 0);
  for (int i = 0; i < before->n_outputs; i++) {
    const Node *n = before->output[i].node, *m = after->output[i].node;
    for (int64_t k = 0; k < type_count(&n->type); k++) {
      double want = x[n->id][k], got = y[m->id][k];
      bool same = want == got || (isnan(want) && isnan(got)) ||
                  fabs(want - got) <= tolerance * fmax(1, fabs(want));
      if (!check_that(same, "%s: %s[%d] is %.17g, was %.17g", c->name,
                      before->output[i].name, (int)k, got, want))
        return;
    }
  }
}

static void test_values_stay(void) {
  for (int op = 0; op < OP_COUNT; op++) {
    Arena *a = arena_new();
    OpCase c;
    for (int which = 0; op_case(a, (Op)op, which, &c); which++) {
      Diags d;
      diags_init(&d, a);
      Module *m = pass_grad(a, c.module, &d);
      Module *s = pass_simplify(a, m, &d);
      const char *wrong = verify_module(a, s);
      check_that(!wrong, "%s: %s", c.name, wrong);
      check_same(a, &c, m->graph[0], s->graph[0]);
      check_that(!strcmp(text_of(a, s), text_of(a, pass_simplify(a, s, &d))),
                 "%s: a second run changes more", c.name);
    }
    arena_free(a);
  }
}

/* What `lines` (of a function over a, b: f32[3,4]; c: i1[3,4]; s: f32[]) come
 * to: the text of the function's last line before the result, or "%N". */
static const char *simplified(Arena *a, const char *lines, bool loose) {
  Diags d;
  diags_init(&d, a);
  char *text = arena_printf(
      a, "module\nvar a weight f32[3,4]\nvar b weight f32[3,4]\n"
         "var c layer_state i1[3,4]\nvar s weight f32[]\nfunc train {\n"
         "%%0 = param a : f32[3,4]\n%%1 = param b : f32[3,4]\n"
         "%%2 = state c : i1[3,4]\n%%3 = param s : f32[]\n%s\n"
         "result a = %%0\nresult b = %%1\nresult c = %%2\nresult s = %%3\n"
         "result y = %%9\n}\n", lines);
  Source source = {"case.ir", text, strlen(text)};
  Module *m = read_module(a, &d, &source);
  if (!m) {
    diags_print(&d, stdout);
    return "not read";
  }
  Graph *g = simplify_module(a, m, loose)->graph[0];
  Node *y = g->output[4].node;
  if (y->id < 4)
    return arena_printf(a, "%%%d", y->id);
  Text t;
  text_init(&t, a);
  print_graph(&t, g);
  char *line = strstr(t.s, arena_printf(a, "\n  %%%d = ", y->id));
  line = strchr(line, '=') + 2;
  return arena_strndup(a, line, strcspn(line, "\n"));
}

typedef struct Row {
  const char *lines, *want;
  bool loose;
} Row;

#define ZERO "%4 = const 0 : f32[3,4]\n"
#define ONE "%4 = const 1 : f32[3,4]\n"
#define CONST(v) "%4 = const " v " : f32[3,4]\n"

static const Row rows[] = {
    {ZERO "%9 = add %0, %4 : f32[3,4]", "%0", false},
    {ZERO "%9 = sub %0, %4 : f32[3,4]", "%0", false},
    {ZERO "%9 = sub %4, %0 : f32[3,4]", "neg %0 : f32[3,4]", false},
    {"%9 = sub %0, %0 : f32[3,4]", "sub %0, %0 : f32[3,4]", false},
    {"%9 = sub %0, %0 : f32[3,4]", "const 0 : f32[3,4]", true},
    {ONE "%9 = mul %0, %4 : f32[3,4]", "%0", false},
    {CONST("-1") "%9 = mul %0, %4 : f32[3,4]", "neg %0 : f32[3,4]", false},
    {ZERO "%9 = mul %0, %4 : f32[3,4]", "mul %0, %4 : f32[3,4]", false},
    {ZERO "%9 = mul %0, %4 : f32[3,4]", "const 0 : f32[3,4]", true},
    {ONE "%9 = div %0, %4 : f32[3,4]", "%0", false},
    {CONST("8") "%9 = div %0, %4 : f32[3,4]", "mul %0, %4 : f32[3,4]", false},
    {CONST("3") "%9 = div %0, %4 : f32[3,4]", "div %0, %4 : f32[3,4]", false},
    {CONST("2") "%9 = pow %0, %4 : f32[3,4]", "mul %0, %0 : f32[3,4]", false},
    {CONST("0.5") "%9 = pow %0, %4 : f32[3,4]", "sqrt %0 : f32[3,4]", false},
    {CONST("-1") "%9 = pow %0, %4 : f32[3,4]", "div %4, %0 : f32[3,4]", false},
    {ZERO "%9 = pow %0, %4 : f32[3,4]", "const 1 : f32[3,4]", false},
    {CONST("2") "%5 = const 3 : f32[3,4]\n%9 = pow %4, %5 : f32[3,4]",
     "const 8 : f32[3,4]", false},
    {"%4 = neg %0 : f32[3,4]\n%9 = neg %4 : f32[3,4]", "%0", false},
    {"%4 = neg %0 : f32[3,4]\n%9 = add %1, %4 : f32[3,4]",
     "sub %1, %0 : f32[3,4]", false},
    {"%4 = neg %0 : f32[3,4]\n%9 = sub %1, %4 : f32[3,4]",
     "add %0, %1 : f32[3,4]", false},
    {"%9 = max %0, %0 : f32[3,4]", "%0", false},
    {"%4 = not %2 : i1[3,4]\n%9 = select %4, %0, %1 : f32[3,4]",
     "select %2, %1, %0 : f32[3,4]", false},
    {"%4 = const 1 : i1[3,4]\n%9 = select %4, %0, %1 : f32[3,4]", "%0", false},
    {"%4 = select %2, %0, %1 : f32[3,4]\n%9 = select %2, %4, %1 : f32[3,4]",
     "select %2, %0, %1 : f32[3,4]", false},
    {"%9 = cast %0 : f32[3,4]", "%0", false},
    {"%4 = cast %0 : f64[3,4]\n%9 = cast %4 : f32[3,4]", "%0", false},
    {"%4 = cast %0 : i32[3,4]\n%9 = cast %4 : f32[3,4]",
     "cast %4 : f32[3,4]", false},
    {"%9 = stop %0 : f32[3,4]", "%0", false},
    {"%4 = reshape %0 : f32[12]\n%9 = reshape %4 : f32[3,4]", "%0", false},
    {"%4 = permute %0 axes=[1,0] : f32[4,3]\n"
     "%9 = permute %4 axes=[1,0] : f32[3,4]", "%0", false},
    {"%9 = slice %0 axis=0 start=0 step=1 : f32[3,4]", "%0", false},
    {"%4 = pad %0 axis=0 before=2 after=1 value=7 : f32[6,4]\n"
     "%9 = slice %4 axis=0 start=2 step=1 : f32[3,4]", "%0", false},
    {"%4 = concat %0, %1 axis=0 : f32[6,4]\n"
     "%9 = slice %4 axis=0 start=3 step=1 : f32[3,4]", "%1", false},
    {"%4 = window %0 axis=1 size=1 stride=1 dilation=1 : f32[3,4,1]\n"
     "%9 = reshape %4 : f32[3,4]", "%0", false},
    {"%4 = window %0 axis=0 size=3 stride=3 dilation=1 : f32[1,4,3]\n"
     "%9 = fold %4 axis=0 stride=3 dilation=1 : f32[3,4]", "%0", false},
    {"%9 = sum %0 axes=[] : f32[3,4]", "%0", false},
    {"%4 = broadcast %0 axes=[1,2] : f32[5,3,4]\n"
     "%9 = sum %4 axes=[0] : f32[3,4]", "mul %0, %4 : f32[3,4]", false},
    {"%4 = sum %0 axes=[1] : f32[3]\n%9 = sum %4 axes=[0] : f32[]",
     "sum %0 axes=[0,1] : f32[]", false},
    {"%4 = broadcast %3 axes=[] : f32[3,4]\n%9 = exp %4 : f32[3,4]",
     "broadcast %4 axes=[] : f32[3,4]", false},
};

static void test_rules(void) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Arena *a = arena_new();
    const char *got = simplified(a, rows[i].lines, rows[i].loose);
    check_that(!strcmp(got, rows[i].want), "%s\nis %s, not %s", rows[i].lines,
               got, rows[i].want);
    arena_free(a);
  }
}

/* `stop` must outlive a run before the derivatives are expanded. */
static void test_stop_stays(void) {
  Arena *a = arena_new();
  const char *got = simplified(
      a, "%4 = stop %3 : f32[]\n%5 = mul %3, %4 : f32[]\n"
         "%9 = grad %5, %3 : f32[]", false);
  check_that(!strcmp(got, "grad %5, %3 : f32[]"), "%s", got);
  arena_free(a);
}

void suite_simplify(void);
void suite_simplify(void) {
  static const CheckTest tests[] = {
      {"the values stay", test_values_stay},
      {"one rule at a time", test_rules},
      {"stop stays before grad", test_stop_stays},
      {NULL, NULL},
  };
  check_suite("simplify", tests);
}
