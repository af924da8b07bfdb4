/* Updates that take several batches, and averages of the weights.
 *
 * `accumulate = n`: the function `train` still runs once a batch. Each run adds
 * its gradient, divided by n, to a state beside the parameter; the n-th one
 * updates with that sum, and what the others would update stays as it was. So
 * the update is that of the n batches' mean gradient, and optimizers, clipping
 * and proximal rules see updates alone, as do `step` and `progress`. What is left
 * over at an epoch's end goes into the next epoch's first update.
 *
 * `average = ema(0.999)`: what is evaluated, kept and saved under a parameter's
 * name is the average; the weights that are trained are a state beside it. They
 * are the same before the first update, when weights may just have been read
 * from a file: there the parameter is what is trained. */
#include "frontend/lower.h"

#include <string.h>

/* -- several batches an update: `step` of the runtime counts batches */

static Node *number(Lower *L, double v) {
  return graph_const(L->g, v, type_scalar(T_F64));
}

/* floor(step / n) */
static Node *updates(Lower *L) {
  Node *part = graph_binary(L->g, OP_DIV, scalar_leaf(L, "step"),
                            number(L, (double)L->accumulate));
  return graph_unary(L->g, OP_FLOOR, part);
}

/* How many batches the update has had before this one. */
static Node *batches_before(Lower *L) {
  Node *first = graph_binary(L->g, OP_MUL, updates(L),
                             number(L, (double)L->accumulate));
  return graph_binary(L->g, OP_SUB, scalar_leaf(L, "step"), first);
}

/* The share of all batches that stood before this update, rounded once: all is
 * step / progress, a whole number. */
static Node *update_progress(Lower *L) {
  Graph *g = L->g;
  Node *step = scalar_leaf(L, "step"), *n = number(L, (double)L->accumulate);
  Node *early = graph_binary(g, OP_LT, step, n);
  Node *share = graph_select(g, early, number(L, 1),
                             scalar_leaf(L, "progress"));
  Node *all = graph_binary(g, OP_DIV, step, share);
  all = graph_unary(g, OP_FLOOR, graph_binary(g, OP_ADD, all, number(L, 0.5)));
  all = graph_select(g, early, number(L, 1), all);
  Node *first = graph_binary(g, OP_MUL, updates(L), n);
  return graph_binary(g, OP_DIV, first, all);
}

Node *update_scalar(Lower *L, const char *name) {
  if (L->accumulate > 1 && !strcmp(name, "step"))
    return updates(L);
  if (L->accumulate > 1 && !strcmp(name, "progress"))
    return update_progress(L);
  return scalar_leaf(L, name);
}

Node *when_updating(Lower *L, Node *next, Node *before) {
  Graph *g = L->g;
  if (L->accumulate <= 1)
    return next;
  Node *last = graph_binary(g, OP_EQ, batches_before(L),
                            number(L, (double)(L->accumulate - 1)));
  return graph_select(g, graph_fill_like(g, last, next), next, before);
}

Node *accumulated(Lower *L, const ParamInfo *p, Node *g) {
  Graph *to = L->g;
  if (L->accumulate <= 1)
    return g;
  const char *name = arena_printf(L->a, "accumulate.%s", p->name);
  Node *none = graph_const(to, 0, p->type);
  module_add_var(L->m, name, VAR_OPTIMIZER_STATE, p->type);
  graph_output(L->init, OUT_UPDATE_STATE, name,
               graph_const(L->init, 0, p->type));
  Node *first = graph_binary(to, OP_EQ, batches_before(L), number(L, 0));
  Node *sum = graph_select(to, graph_fill_like(to, first, g), none,
                           graph_leaf(to, OP_STATE, name, p->type, false));
  Node *share = graph_const(to, (double)L->accumulate, p->type);
  sum = graph_binary(to, OP_ADD, sum, graph_binary(to, OP_DIV, g, share));
  graph_output(to, OUT_UPDATE_STATE, name, sum);
  return sum;
}

/* -- the weights that are trained, beside their average */

static const char *trained_name(Lower *L, const ParamInfo *p) {
  return arena_printf(L->a, "trained.%s", p->name);
}

void add_trained(Lower *L, const ParamInfo *p, Node *initial) {
  const char *name = trained_name(L, p);
  module_add_var(L->m, name, VAR_OPTIMIZER_STATE, p->type);
  graph_output(L->init, OUT_UPDATE_STATE, name, initial);
}

Node *trained_node(Lower *L, const ParamInfo *p) {
  Graph *g = L->g;
  Node *average = graph_leaf(g, OP_PARAM, p->name, p->type, false);
  Node *trained = graph_leaf(g, OP_STATE, trained_name(L, p), p->type, false);
  Node *first = graph_binary(g, OP_EQ, scalar_leaf(L, "step"), number(L, 0));
  return graph_select(g, graph_fill_like(g, first, trained), average, trained);
}

void update_trained(Lower *L, const ParamInfo *p, Node *next) {
  graph_output(L->g, OUT_UPDATE_STATE, trained_name(L, p), next);
}
