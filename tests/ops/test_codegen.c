/* Generated code against the interpreter: every case of every operation, with its
 * derivatives, before and after `simplify`, for vectors of 16, 8 and 4 lanes and
 * at the extremes of -O. */
#include <math.h>

#include "passes/passes.h"
#include "tests/check.h"
#include "tests/ops/ops_cases.h"
#include "tests/ops/oracle.h"

/* f32 rounds at 6e-8; sums of some hundred terms and two chained functions of
 * 2 ulp each stay below this share of the tensor's largest element. */
static const double tolerance = 1e-5;

static const double *value(void *context, Op op, const char *name) {
  OpCase *c = context;
  static Arena *values;
  if (values == NULL) values = arena_new();
  return case_leaf(values, c, op, name);
}

static void compare(Arena *a, OpCase *c, const Module *m, const char *stage) {
  static const struct {
    int lanes, level;
  } ways[] = {{0, 3}, {8, 3}, {4, 0}, {1, 3}};
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    Oracle o = {.value = value, .context = c, .seed = CASE_SEED,
                .step = CASE_STEP, .level = ways[i].level,
                .lanes = ways[i].lanes, .tolerance = tolerance};
    const char *wrong = oracle_compare(a, m, &o);
    check_that(wrong == NULL, "%s, %s, %d lanes, -O%d: %s", c->name, stage,
               ways[i].lanes, ways[i].level, wrong);
  }
}

static void check_op(Op op) {
  for (int which = 0;; which++) {
    Arena *a = arena_new();
    OpCase c;
    bool found = op_case(a, op, which, &c);
    if (found) {
      Diags d;
      diags_init(&d, a);
      Module *grad = pass_grad(a, c.module, &d);
      compare(a, &c, grad, "grad");
      compare(a, &c, pass_simplify(a, grad, &d), "simplify");
    }
    arena_free(a);
    if (!found) break;
  }
}

#define OP(op, name, operands, flags, attributes) \
  static void test_##op(void) { check_op(OP_##op); }
#include "ir/ops.def"
#undef OP

/* Where functions leave the range of f32: as far out as there is, and not a number. */
static const double far_out[] = {-INFINITY, -3e38, -1e4, -105, -104, -103.5, -103,
                                 -95,       -88,   -87,  -20,  -9,   -4.5,   -0.93,
                                 -0.0,      0.6,   4,    9.5,  30,   88,     NAN};
enum { N_FAR_OUT = sizeof far_out / sizeof far_out[0] };

static const double *value_far_out(void *context, Op op, const char *name) {
  (void)context, (void)op, (void)name;
  return far_out;
}

static void test_far_out(void) {
  static const Op ops[] = {OP_EXP, OP_ERF, OP_TANH};
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
    Arena *a = arena_new();
    Module *m = module_new(a);
    Type t = type_of(T_F32, 1, (int64_t[]){N_FAR_OUT});
    module_add_var(m, "x", VAR_WEIGHT, t);
    Graph *g = m->graph[m->n_graphs++] = graph_new(a, "train");
    Node *x = graph_leaf(g, OP_PARAM, "x", t, false);
    if (ops[i] == OP_EXP) /* 1e38 would hide all else */
      x = graph_binary(g, OP_MIN, x, graph_const(g, 0, t));
    graph_output(g, OUT_RESULT, "y", graph_unary(g, ops[i], x));
    for (int lanes = 1; lanes <= 16; lanes *= 4) {
      Oracle o = {.value = value_far_out, .level = 2, .lanes = lanes,
                  .tolerance = 3e-7};
      const char *wrong = oracle_compare(a, m, &o);
      check_that(wrong == NULL, "%s, %d lanes: %s", op_info[ops[i]].text, lanes,
                 wrong);
    }
    arena_free(a);
  }
}

void suite_codegen(void) {
  static const CheckTest tests[] = {
#define OP(op, name, operands, flags, attributes) {name, test_##op},
#include "ir/ops.def"
#undef OP
      {"far out", test_far_out},
      {NULL, NULL}};
  check_suite("codegen", tests);
}
