/* Arithmetic with losses that have weights, weighted(value, w), whose mean over
 * the batch is sum(w value) / sum(w). Times a number, or with one added, such a
 * loss keeps its weights. Beside other losses its value becomes
 * value w / mean(w), the mean over the batch's real rows, so that the mean of the
 * sum is the sum of the means. Anything else is a mistake. */
#include "frontend/lower.h"

/* One number for the whole batch. */
static bool is_common(const Value *v) {
  return v->kind == V_NUMBER ||
         (v->kind == V_TENSOR && !v->sample && sample_rank(v) == 0);
}

/* The value times its weight, over the mean of the weights. */
static const Value *shared_out(const Scope *s, Span at, const Value *v) {
  static const int rows[1] = {0};
  Lower *L = s->L;
  Graph *g = L->g;
  set_loc(s, at);
  Node *x = each_sample(s, at, v->item[0], "the loss");
  Node *w = x ? each_sample(s, at, v->item[1], "the loss's weight") : NULL;
  if (!w)
    return &poison;
  Node *sum = graph_reduce(g, OP_SUM, mask_rows(L, w, 0), 1, rows);
  Node *count = cast_to(L, scalar_leaf(L, "count"), T_F32);
  Node *mean = graph_binary(g, OP_DIV, sum, count);
  Node *whole = graph_binary(g, OP_MUL, x, w);
  Node *each = graph_fill_like(g, mean, whole);
  return value_node(L, graph_binary(g, OP_DIV, whole, each), true);
}

static const Value *reweighted(Lower *L, const Value *v, const Value *value) {
  Value *copy = arena_alloc(L->a, sizeof *copy);
  const Value **item = arena_alloc(L->a, 2 * sizeof *item);
  item[0] = value;
  item[1] = v->item[1];
  *copy = *v;
  copy->item = item;
  return value->kind == V_POISON ? value : copy;
}

const Value *weighted_math(const Scope *s, Span at, Op op, int n,
                           const Value *const *args) {
  bool sum = n == 2 && (op == OP_ADD || op == OP_SUB);
  int k = args[0]->kind == V_WEIGHTED ? 0 : 1; /* the one with weights */
  const Value *part[2] = {args[0], n == 2 ? args[1] : NULL};
  bool keeps = n == 1 ? op == OP_NEG
                      : n == 2 && is_common(args[1 - k]) &&
                            (sum || op == OP_MUL || (op == OP_DIV && k == 0));
  if (keeps) {
    part[k] = args[k]->item[0];
    return reweighted(s->L, args[k], elementwise(s, at, op, n, part));
  }
  for (int i = 0; i < n; i++)
    if (args[i]->kind == V_WEIGHTED && !sum) {
      need_tensor(s, at, args[i], NULL); /* tells that it is none */
      return &poison;
    }
  for (int i = 0; i < 2; i++)
    if (part[i]->kind == V_WEIGHTED)
      part[i] = shared_out(s, at, part[i]);
  return elementwise(s, at, op, 2, part);
}
