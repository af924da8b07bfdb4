/* Every operation's derivative, as the pass grad expands it and the interpreter
 * computes it, against central differences through the interpreter. */
#include "passes/passes.h"
#include "tests/check.h"
#include "tests/ops/ops_cases.h"

#include <math.h>
#include <string.h>

/* Central differences with a step of 1e-5 err by its square times a third
 * derivative, below 1e-8 of the values here, and by rounding, 1e-11. */
static const double tolerance = 1e-6, step = 1e-5;

static void check_derivative(Arena *a, const OpCase *c, const Graph *g,
                             const CaseLeaf *leaf) {
  const Node *d =
      case_result(g, arena_printf(a, "d.%s", leaf->node->attr.name));
  if (!d)
    return; /* not a float */
  int loss = case_result(g, "loss")->id;
  const double *got = case_eval(a, c, g, NULL, 0, 0)[d->id];
  for (int64_t i = 0; i < type_count(&d->type); i++) {
    Arena *once = arena_new();
    double above = case_eval(once, c, g, leaf, i, step)[loss][0];
    double below = case_eval(once, c, g, leaf, i, -step)[loss][0];
    double want = c->frozen ? 0 : (above - below) / (2 * step);
    arena_free(once);
    double scale = fmax(fabs(want), 1e-2);
    if (!check_that(fabs(got[i] - want) <= tolerance * scale,
                    "%s: d.%s[%d] is %.12g, by differences %.12g", c->name,
                    leaf->node->attr.name, (int)i, got[i], want))
      return;
  }
}

static void check_case(Arena *a, const OpCase *c) {
  Diags diags;
  diags_init(&diags, a);
  const char *wrong = verify_module(a, c->module);
  check_that(!wrong, "%s: %s", c->name, wrong);
  Module *m = pass_grad(a, c->module, &diags);
  if (!check_that(m != NULL, "%s: no derivative", c->name))
    return;
  wrong = verify_module(a, m);
  check_that(!wrong, "%s, expanded: %s", c->name, wrong);
  for (int id = 0; id < m->graph[0]->n_nodes; id++)
    check_that(m->graph[0]->node[id]->op != OP_GRAD, "%s: a grad is left",
               c->name);
  for (int i = 0; i < c->n_leaves; i++)
    check_derivative(a, c, m->graph[0], &c->leaf[i]);
}

#define OP(op, name, operands, flags, attributes)                              \
  static void test_##op(void) {                                                \
    Arena *a = arena_new();                                                    \
    OpCase c;                                                                  \
    int which = 0;                                                             \
    for (; op_case(a, OP_##op, which, &c); which++)                            \
      check_case(a, &c);                                                       \
    check_that(which > 0, "no case of %s", op_info[OP_##op].text);             \
    arena_free(a);                                                             \
  }
#include "ir/ops.def"
#undef OP

void suite_differences(void);
void suite_differences(void) {
  static const CheckTest tests[] = {
#define OP(op, name, operands, flags, attributes) {name, test_##op},
#include "ir/ops.def"
#undef OP
      {NULL, NULL},
  };
  check_suite("differences", tests);
}
