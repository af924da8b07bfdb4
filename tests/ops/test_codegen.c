/* Generated code against the interpreter: every case of every operation, with its
 * derivatives, before and after `simplify`, for vectors of 16, 8 and 4 lanes and
 * at the extremes of -O. */
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

void suite_codegen(void) {
  static const CheckTest tests[] = {
#define OP(op, name, operands, flags, attributes) {name, test_##op},
#include "ir/ops.def"
#undef OP
      {NULL, NULL}};
  check_suite("codegen", tests);
}
