/* Primitives that reduce axes: sum, mean, max, min, argmax. Axes are those of a
 * sample, and `batch` names the implicit one: over it only the rows of the batch
 * that are real count, since a last short batch has others. */
#include "frontend/lower.h"

#include <math.h>
#include <string.h>

typedef struct Axes {
  int n;
  int axis[MAX_RANK]; /* of the node, increasing */
  bool batch;
  int64_t count; /* elements that become one, without the batch */
} Axes;

bool need_axis(PrimCall *c, const Value *v, int rank, int *axis) {
  int64_t k;
  if (v->kind == V_NUMBER && !v->flag && v->number == floor(v->number) &&
      !(v->number >= 0 && v->number < rank)) {
    fail(c->s, "E0306", c->at, "axis %s is out of range: there %s %d ax%s",
         value_text(c->s->L, v), rank == 1 ? "is" : "are", rank,
         rank == 1 ? "is, 0" : "es, from 0");
    return false;
  }
  if (!need_whole(c->s, c->at, v, "an axis", 0, MAX_RANK, &k))
    return false;
  *axis = (int)k;
  return true;
}

static bool take_axis(PrimCall *c, const Value *x, const Value *v, bool *hit) {
  if (v->kind == V_BATCH) {
    if (!x->sample) {
      fail(c->s, "E0306", c->at,
           "there is no axis `batch`: the value does not depend on the sample");
      return false;
    }
    if (!hit[0])
      return hit[0] = true;
  } else {
    int axis;
    if (!need_axis(c, v, sample_rank(x), &axis))
      return false;
    if (!hit[axis + x->sample])
      return hit[axis + x->sample] = true;
  }
  fail(c->s, "E0306", c->at, "an axis is named twice");
  return false;
}

static bool read_axes(PrimCall *c, const Value *x, const Value *axis,
                      Axes *out) {
  bool hit[MAX_RANK] = {false};
  const int rank = x->node->type.rank;
  if (!axis)
    for (int i = x->sample; i < rank; i++)
      hit[i] = true;
  else if (axis->kind == V_LIST)
    for (int i = 0; i < axis->n; i++) {
      if (!take_axis(c, x, axis->item[i], hit))
        return false;
    }
  else if (!take_axis(c, x, axis, hit))
    return false;
  *out = (Axes){.batch = x->sample && hit[0], .count = 1};
  for (int i = 0; i < rank; i++)
    if (hit[i]) {
      out->axis[out->n++] = i;
      if (i >= x->sample)
        out->count *= x->node->type.dim[i];
    }
  return true;
}

static bool read_keep(PrimCall *c, const Value *keep, bool *out) {
  *out = false;
  return !keep || need_flag(c->s, c->at, keep, "`keep`", out);
}

/* The reduction; `keep` leaves axes of size 1, but never the batch. */
static const Value *reduce(PrimCall *c, Op op, Node *n, const Value *x,
                           const Axes *axes, bool keep) {
  Lower *L = c->s->L;
  bool sample = x->sample && !axes->batch;
  if (axes->n) {
    Node *r = graph_reduce(L->g, op, n, axes->n, axes->axis);
    if (keep) {
      int64_t dim[MAX_RANK];
      int rank = 0, next = 0;
      for (int i = 0; i < n->type.rank; i++) {
        bool gone = next < axes->n && axes->axis[next] == i;
        next += gone;
        if (i >= x->sample || sample)
          dim[rank++] = gone ? 1 : n->type.dim[i];
      }
      r = reshape_to(L, r, rank, dim);
    }
    n = r;
  }
  return value_node(L, n, sample);
}

/* The operand of a reduction: a tensor, ready for its graph. */
static const Value *operand(PrimCall *c) {
  const Value *x = c->arg[0];
  if (x->kind == V_LIST)
    x = list_tensor(c->s, c->at, x);
  x = need_tensor(c->s, c->at, x, "what is reduced");
  if (x)
    set_loc(c->s, c->at);
  return x;
}

static DType summed_type(const Value *x) {
  DType t = x->node->type.dtype;
  return t != T_I1 ? t : x->node->type.rank ? T_F32 : T_F64;
}

/* The sum of a list's items, which need not be tensors. */
static const Value *sum_list(PrimCall *c, const Value *list) {
  const Value *sum = value_number(c->s->L, 0);
  for (int i = 0; i < list->n; i++)
    sum = elementwise(c->s, c->at, OP_ADD, 2,
                      (const Value *[]){sum, list->item[i]});
  return sum;
}

const Value *prim_reduce(PrimCall *c) {
  Lower *L = c->s->L;
  Axes axes;
  bool keep;
  if (c->arg[0]->kind == V_LIST && !c->arg[1])
    return sum_list(c, c->arg[0]);
  if (c->arg[0]->kind == V_NUMBER && !c->arg[1])
    return c->arg[0];
  const Value *x = operand(c);
  if (!x || !read_axes(c, x, c->arg[1], &axes) ||
      !read_keep(c, c->arg[2], &keep))
    return &poison;
  Node *n = cast_to(L, x->node, summed_type(x));
  if (axes.batch)
    n = mask_rows(L, n, 0);
  return reduce(c, OP_SUM, n, x, &axes, keep);
}

const Value *prim_mean(PrimCall *c) {
  Lower *L = c->s->L;
  Axes axes;
  bool keep;
  const Value *x = c->arg[0];
  if (x->kind == V_LIST && !c->arg[1] && x->n)
    return elementwise(c->s, c->at, OP_DIV, 2,
                       (const Value *[]){sum_list(c, x),
                                         value_number(L, x->n)});
  if (x->kind == V_NUMBER && !c->arg[1])
    return x;
  x = operand(c);
  if (!x || !read_axes(c, x, c->arg[1], &axes) ||
      !read_keep(c, c->arg[2], &keep))
    return &poison;
  DType t = x->node->type.dtype == T_F64 ? T_F64 : T_F32;
  Node *n = cast_to(L, x->node, t);
  if (axes.batch)
    n = mask_rows(L, n, 0);
  const Value *sum = reduce(c, OP_SUM, n, x, &axes, keep);
  const Value *count = value_number(L, (double)axes.count);
  if (axes.batch)
    count = elementwise(c->s, c->at, OP_MUL, 2,
                        (const Value *[]){value_node(L, scalar_leaf(L, "count"),
                                                     false), count});
  return elementwise(c->s, c->at, OP_DIV, 2, (const Value *[]){sum, count});
}

/* max(a, b) of two values, or max(x, axis = ..) over axes. */
const Value *prim_extreme(PrimCall *c) {
  Lower *L = c->s->L;
  Axes axes;
  bool keep;
  if (c->arg[1]) {
    if (!c->arg[2] && !c->arg[3])
      return elementwise(c->s, c->at, c->prim->op, 2, c->arg);
    fail(c->s, "E0407", c->at, "%s of two values takes no axis",
         c->prim->name);
    return &poison;
  }
  if (c->arg[0]->kind == V_NUMBER && !c->arg[2])
    return c->arg[0];
  const Value *x = operand(c);
  if (!x || !read_axes(c, x, c->arg[2], &axes) ||
      !read_keep(c, c->arg[3], &keep))
    return &poison;
  Node *n = cast_to(L, x->node, summed_type(x));
  if (c->prim->op == OP_MIN)
    n = graph_unary(L->g, OP_NEG, n);
  if (axes.batch)
    n = mask_rows(L, cast_to(L, n, T_F32), -INFINITY);
  const Value *v = reduce(c, OP_RMAX, n, x, &axes, keep);
  if (c->prim->op == OP_MIN)
    v = value_node(L, graph_unary(L->g, OP_NEG, v->node), v->sample);
  return v;
}

const Value *prim_argmax(PrimCall *c) {
  Axes axes;
  const Value *x = operand(c);
  if (!x || !read_axes(c, x, c->arg[1], &axes))
    return &poison;
  if (axes.batch) {
    fail(c->s, "E0306", c->at, "argmax over `batch` is not there");
    return &poison;
  }
  if (!axes.n) {
    fail(c->s, "E0306", c->at, "argmax wants an axis: the value is one number");
    return &poison;
  }
  Node *n = cast_to(c->s->L, x->node, summed_type(x));
  return reduce(c, OP_ARGMAX, n, x, &axes, false);
}
