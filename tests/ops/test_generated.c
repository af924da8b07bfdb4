/* Generated code against the interpreter, on every case of every operation and
 * its derivatives: with and without the pass simplify, at -O0 and -O3. */
#include "passes/passes.h"
#include "tests/check.h"
#include "tests/ops/ops_cases.h"
#include "tests/ops/oracle.h"

/* f32 against double: sums of up to 600 numbers that partly cancel. */
static const double tolerance = 1e-5;

static void check_case(Arena *a, const OpCase *c) {
  Diags d;
  diags_init(&d, a);
  const Module *m = pass_grad(a, c->module, &d);
  if (!check_that(m != NULL, "%s: no derivative", c->name))
    return;
  for (int simple = 0; simple < 2; simple++) {
    if (simple)
      m = pass_simplify(a, m, &d);
    for (int level = 0; level <= 3; level += 3) {
      Oracle o = {.level = level, .seed = 5, .tolerance = tolerance};
      const char *wrong = oracle_compare(a, m, &o);
      check_that(!wrong, "%s at -O%d%s: %s", c->name, level,
                 simple ? ", simplified" : "", wrong);
    }
  }
}

#define OP(op, name, operands, flags, attributes)                              \
  static void test_##op(void) {                                                \
    Arena *a = arena_new();                                                    \
    OpCase c;                                                                  \
    for (int which = 0; op_case(a, OP_##op, which, &c); which++)               \
      check_case(a, &c);                                                       \
    arena_free(a);                                                             \
  }
#include "ir/ops.def"
#undef OP

void suite_generated(void);
void suite_generated(void) {
  static const CheckTest tests[] = {
#define OP(op, name, operands, flags, attributes) {name, test_##op},
#include "ir/ops.def"
#undef OP
      {NULL, NULL},
  };
  check_suite("generated", tests);
}
