/* The pass grad beside the differences of tests/ops: what happens at kinks,
 * what a derivative that is missing or not reached comes to, and that adjoints
 * keep locations. */
#include "passes/passes.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The module of these lines over %0, the parameter a: f32[5]. */
static Module *read_lines(Arena *a, Diags *d, const char *lines) {
  diags_init(d, a);
  char *text = arena_printf(a, "module\nvar a weight f32[5]\n"
                               "var b weight f32[5]\nfunc train {\n"
                               "%%0 = param a : f32[5]\n%s\n}\n", lines);
  Source *s = arena_alloc(a, sizeof *s);
  *s = (Source){"case.ir", text, strlen(text)};
  return read_module(a, d, s);
}

static const double a_is[5] = {-1, 0, 0, 3, 2};

static const double *leaf(void *context, const Node *n) {
  (void)context;
  (void)n;
  return a_is;
}

/* The sum of a function of a = (-1, 0, 0, 3, 2), and its derivative. */
typedef struct Kink {
  const char *lines; /* %1 is 0 everywhere, the function %8 */
  double want[5];
} Kink;

static const Kink kinks[] = {
    {"%8 = max %0, %1 : f32[5]", {0, 0, 0, 1, 1}},
    {"%8 = max %1, %0 : f32[5]", {0, 0, 0, 1, 1}},
    /* equal ones: half each */
    {"%2 = mul %0, %0 : f32[5]\n%8 = max %0, %2 : f32[5]", {-2, 0.5, 0.5, 6, 4}},
    {"%2 = mul %0, %0 : f32[5]\n%8 = min %2, %0 : f32[5]", {1, 0.5, 0.5, 1, 1}},
    {"%8 = min %0, %1 : f32[5]", {1, 0, 0, 0, 0}},
    {"%8 = abs %0 : f32[5]", {-1, 0, 0, 1, 1}},
    {"%8 = sign %0 : f32[5]", {0, 0, 0, 0, 0}},
    {"%8 = floor %0 : f32[5]", {0, 0, 0, 0, 0}},
    {"%8 = stop %0 : f32[5]", {0, 0, 0, 0, 0}},
    {"%2 = const 2 : f32[5]\n%8 = pow %0, %2 : f32[5]", {-2, 0, 0, 6, 4}},
    {"%2 = const 1 : f32[5]\n%8 = pow %0, %2 : f32[5]", {1, 1, 1, 1, 1}},
    {"%8 = pow %0, %1 : f32[5]", {0, 0, 0, 0, 0}}, /* 0^0 */
    {"%2 = mul %0, %1 : f32[5]\n%8 = pow %0, %2 : f32[5]", {0, 0, 0, 0, 0}},
    /* b^a: log b where b > 0, 0 at b = 0 */
    {"%2 = const 1 : f32[5]\n%8 = pow %2, %0 : f32[5]", {0, 0, 0, 0, 0}},
    {"%8 = pow %1, %0 : f32[5]", {0, 0, 0, 0, 0}},
    {"%2 = rmax %0 axes=[0] : f32[]\n%8 = broadcast %2 axes=[] : f32[5]",
     {0, 0, 0, 5, 0}},
    /* the first of equal ones, in the order of the axes */
    {"%2 = mul %0, %1 : f32[5]\n%3 = sub %0, %2 : f32[5]\n"
     "%4 = min %3, %1 : f32[5]\n%5 = rmax %4 axes=[0] : f32[]\n"
     "%8 = broadcast %5 axes=[] : f32[5]", {0, 0, 0, 0, 0}},
    {"%2 = neg %0 : f32[5]\n%3 = mul %2, %0 : f32[5]\n"
     "%4 = add %3, %0 : f32[5]\n%5 = rmax %4 axes=[0] : f32[]\n"
     "%8 = broadcast %5 axes=[] : f32[5]", {0, 5, 0, 0, 0}},
};

static void test_kinks(void) {
  for (size_t i = 0; i < sizeof kinks / sizeof *kinks; i++) {
    Arena *a = arena_new();
    Diags d;
    Module *m = read_lines(a, &d, arena_printf(a,
        "%%1 = const 0 : f32[5]\n%s\n%%9 = sum %%8 axes=[0] : f32[]\n"
        "%%10 = grad %%9, %%0 : f32[5]\nresult d = %%10", kinks[i].lines));
    m = m ? pass_grad(a, m, &d) : NULL;
    if (check_that(m != NULL, "%s", kinks[i].lines)) {
      const Graph *g = m->graph[0];
      EvalEnv env = {.leaf = leaf};
      double *got = eval_graph(a, g, &env)[g->output[0].node->id];
      for (int k = 0; k < 5; k++)
        check_that(got[k] == kinks[i].want[k], "%s\nd[%d] is %g, not %g",
                   kinks[i].lines, k, got[k], kinks[i].want[k]);
    }
    arena_free(a);
  }
}

static void test_not_reached(void) {
  Arena *a = arena_new();
  Diags d;
  Module *m = read_lines(a, &d, "%1 = sum %0 axes=[0] : f32[]\n"
                                "%2 = param b : f32[5]\n"
                                "%3 = grad %1, %2 : f32[5]\n"
                                "%4 = grad %1, %0 : f32[5]\n"
                                "result b = %3\nresult a = %4");
  CU_ASSERT_PTR_NOT_NULL_FATAL(m);
  m = pass_grad(a, m, &d);
  CU_ASSERT_PTR_NOT_NULL_FATAL(m);
  CU_ASSERT(m->graph[0]->output[0].node->op == OP_CONST);
  CU_ASSERT(m->graph[0]->output[0].node->attr.value == 0);
  CU_ASSERT(m->graph[0]->output[1].node->op == OP_BROADCAST);
  arena_free(a);
}

/* All that miss theirs are told in one go. */
static void test_missing(void) {
  Arena *a = arena_new();
  Diags d;
  Module *m = read_lines(a, &d,
      "%1 = param b : f32[5]\n%2 = lt %0, %1 : i1[5]\n"
      "%3 = cast %2 : f32[5]\n%4 = sum %3 axes=[0] : f32[]\n"
      "%5 = grad %4, %1 : f32[5]\n%6 = grad %4, %0 : f32[5]\n"
      "%7 = grad %4, %4 : f32[]\n"
      "result b = %5\nresult a = %6\nresult one = %7");
  CU_ASSERT_PTR_NOT_NULL_FATAL(m);
  CU_ASSERT_PTR_NULL(pass_grad(a, m, &d));
  CU_ASSERT(d.errors == 1);
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  diags_print(&d, f);
  fclose(f);
  check_that(strstr(text, "E0801") && strstr(text, "b, a"), "%s", text);
  free(text);
  arena_free(a);
}

/* An adjoint carries the locations of its forward node; constants none. */
static void test_locations(void) {
  Arena *a = arena_new();
  Diags d;
  Module *m = read_lines(a, &d,
      "%1 = tanh %0 : f32[5]  @ f.net:2:3 t, f.net:4:5\n"
      "%2 = sum %1 axes=[0] : f32[]  @ f.net:6:7\n"
      "%3 = grad %2, %0 : f32[5]  @ f.net:8:9\nresult d = %3");
  CU_ASSERT_PTR_NOT_NULL_FATAL(m);
  m = pass_grad(a, m, &d);
  Text t;
  text_init(&t, a);
  print_graph(&t, m->graph[0]);
  static const char want[] =
      "func train {\n"
      "  %0 = param a : f32[5]\n"
      "  %1 = tanh %0 : f32[5]  @ f.net:2:3 t, f.net:4:5\n"
      "  %2 = const 1 : f32[]\n"
      "  %3 = broadcast %2 axes=[] : f32[5]  @ f.net:6:7\n"
      "  %4 = const 1 : f32[5]\n"
      "  %5 = mul %1, %1 : f32[5]  @ f.net:2:3 t, f.net:4:5\n"
      "  %6 = sub %4, %5 : f32[5]  @ f.net:2:3 t, f.net:4:5\n"
      "  %7 = mul %3, %6 : f32[5]  @ f.net:2:3 t, f.net:4:5\n"
      "  result d = %7\n}\n";
  check_that(!strcmp(t.s, want), "%s", t.s);
  arena_free(a);
}

void suite_grad(void);
void suite_grad(void) {
  static const CheckTest tests[] = {
      {"kinks", test_kinks},
      {"not reached", test_not_reached},
      {"missing", test_missing},
      {"locations", test_locations},
      {NULL, NULL},
  };
  check_suite("grad", tests);
}
