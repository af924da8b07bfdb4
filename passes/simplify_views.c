/* The rules of `simplify` for views and reductions, each under its algebra. */
#include "passes/simplify.h"

#include <string.h>

#define A (n->in[0])
#define RULE(name) static Node *name(Simplify *s, Node *n)
#define UNUSED (void)s
#define FIX(node) simplify_node(s, node)

static bool reduces_axis(const Node *n, int axis) {
  for (int i = 0; i < n->attr.n_axes; i++)
    if (n->attr.axes[i] == axis)
      return true;
  return false;
}

static Node *reshape_to(Simplify *s, Node *a, const Type *t) {
  return FIX(graph_reshape(s->g, a, t->rank, t->dim));
}

/* -- all views */

/* A view of a constant is that constant; a pad's value is looked at. */
RULE(view_of_const) {
  if (!op_info[n->op].view || A->op != OP_CONST || n->op == OP_CONCAT)
    return NULL;
  double v = A->attr.value;
  if (n->op == OP_PAD && memcmp(&v, &n->attr.value, sizeof v) != 0)
    return NULL;
  return graph_const(s->g, v, n->type);
}

/* A reshape, a permute or a slice of one number repeated repeats it too. */
RULE(view_of_fill) {
  if (A->op != OP_BROADCAST || A->in[0]->type.rank != 0)
    return NULL;
  return FIX(graph_broadcast(s->g, A->in[0], n->type.rank, n->type.dim, NULL));
}

/* reshape, permute or broadcast to the same shape, a whole slice = x */
RULE(same_shape) {
  UNUSED;
  for (int i = 0; n->op == OP_PERMUTE && i < n->attr.n_axes; i++)
    if (n->attr.axes[i] != i)
      return NULL;
  return type_equal(&A->type, &n->type) ? A : NULL;
}

/* reshape (reshape x) = reshape x */
RULE(reshape_reshape) {
  return A->op == OP_RESHAPE ? reshape_to(s, A->in[0], &n->type) : NULL;
}

/* permute (permute x) = permute x */
RULE(permute_permute) {
  int axes[MAX_RANK];
  if (A->op != OP_PERMUTE)
    return NULL;
  for (int i = 0; i < n->attr.n_axes; i++)
    axes[i] = (int)A->attr.axes[n->attr.axes[i]];
  return FIX(graph_permute(s->g, A->in[0], axes));
}

/* broadcast (broadcast x) = broadcast x */
RULE(broadcast_broadcast) {
  int axes[MAX_RANK];
  if (A->op != OP_BROADCAST)
    return NULL;
  for (int i = 0; i < A->attr.n_axes; i++)
    axes[i] = (int)n->attr.axes[A->attr.axes[i]];
  return FIX(graph_broadcast(s->g, A->in[0], n->type.rank, n->type.dim, axes));
}

/* a slice of everything, forwards = x */
RULE(slice_whole) {
  return node_num(n, "step") > 0 ? same_shape(s, n) : NULL;
}

/* slice (slice x) = slice x, on one axis */
RULE(slice_slice) {
  int axis = (int)node_num(n, "axis");
  if (A->op != OP_SLICE || node_num(A, "axis") != axis)
    return NULL;
  int64_t inner = node_num(A, "step");
  return FIX(graph_slice(s->g, A->in[0], axis,
                         node_num(A, "start") + node_num(n, "start") * inner,
                         inner * node_num(n, "step"), n->type.dim[axis]));
}

/* a slice inside what was padded = a slice of x */
RULE(slice_pad) {
  int axis = (int)node_num(n, "axis");
  if (A->op != OP_PAD || node_num(A, "axis") != axis)
    return NULL;
  int64_t step = node_num(n, "step"), count = n->type.dim[axis];
  int64_t start = node_num(n, "start") - node_num(A, "before");
  int64_t last = start + (count - 1) * step, extent = A->in[0]->type.dim[axis];
  if (start < 0 || last < 0 || start >= extent || last >= extent)
    return NULL;
  return FIX(graph_slice(s->g, A->in[0], axis, start, step, count));
}

/* a slice inside one part of a concat = a slice of that part */
RULE(slice_concat) {
  int axis = (int)node_num(n, "axis");
  if (A->op != OP_CONCAT || node_num(A, "axis") != axis)
    return NULL;
  int64_t step = node_num(n, "step"), count = n->type.dim[axis];
  int64_t start = node_num(n, "start");
  for (int i = 0; i < A->n_in; i++) {
    int64_t extent = A->in[i]->type.dim[axis], last = start + (count - 1) * step;
    if (start < extent)
      return last >= 0 && last < extent
                 ? FIX(graph_slice(s->g, A->in[i], axis, start, step, count))
                 : NULL;
    start -= extent;
  }
  return NULL;
}

/* pad (pad x) = pad x, on one axis with one value */
RULE(pad_pad) {
  int axis = (int)node_num(n, "axis");
  if (A->op != OP_PAD || node_num(A, "axis") != axis ||
      memcmp(&n->attr.value, &A->attr.value, sizeof n->attr.value) != 0)
    return NULL;
  return FIX(graph_pad(s->g, A->in[0], axis,
                       node_num(n, "before") + node_num(A, "before"),
                       node_num(n, "after") + node_num(A, "after"),
                       n->attr.value));
}

/* a window of one element = every stride-th element, reshaped */
RULE(window_one) {
  int axis = (int)node_num(n, "axis");
  if (node_num(n, "size") != 1)
    return NULL;
  Node *a = FIX(graph_slice(s->g, A, axis, 0, node_num(n, "stride"),
                            n->type.dim[axis]));
  return reshape_to(s, a, &n->type);
}

/* Axis order of [.. n k rest..] seen as [.. n rest.. k], k being axis + 1. */
static void last_axis_order(int rank, int axis, int *axes) {
  for (int i = 0; i < rank; i++)
    axes[i] = i <= axis ? i : i + 1;
  axes[rank - 1] = axis + 1;
}

/* windows side by side that cover all = reshape to [.. n size ..], permute */
RULE(window_tiles) {
  int axis = (int)node_num(n, "axis"), axes[MAX_RANK], rank = n->type.rank;
  int64_t size = node_num(n, "size");
  if (node_num(n, "stride") != size || node_num(n, "dilation") != 1 ||
      n->type.dim[axis] * size != A->type.dim[axis])
    return NULL;
  Type t = n->type;
  for (int i = rank - 1; i > axis + 1; i--)
    t.dim[i] = t.dim[i - 1];
  t.dim[axis + 1] = size;
  last_axis_order(rank, axis, axes);
  return FIX(graph_permute(s->g, reshape_to(s, A, &t), axes));
}

/* fold of windows side by side that cover all = permute, reshape */
RULE(fold_tiles) {
  int axis = (int)node_num(n, "axis"), axes[MAX_RANK], back[MAX_RANK];
  int rank = A->type.rank;
  int64_t size = A->type.dim[rank - 1];
  if (node_num(n, "stride") != size || node_num(n, "dilation") != 1 ||
      A->type.dim[axis] * size != n->type.dim[axis])
    return NULL;
  last_axis_order(rank, axis, axes);
  for (int i = 0; i < rank; i++)
    back[axes[i]] = i;
  return reshape_to(s, FIX(graph_permute(s->g, A, back)), &n->type);
}

/* -- reductions */

/* over no axes, or over axes of one element = reshape */
RULE(reduce_nothing) {
  if (n->type.dtype != A->type.dtype ||
      type_count(&n->type) != type_count(&A->type))
    return NULL;
  return reshape_to(s, A, &n->type);
}

/* argmax over one element = 0 */
RULE(argmax_of_one) {
  return type_count(&n->type) == type_count(&A->type)
             ? graph_const(s->g, 0, n->type)
             : NULL;
}

/* sum (sum x) = sum x, rmax (rmax x) = rmax x, over the axes of both */
RULE(reduce_reduce) {
  int axes[MAX_RANK], count = 0, kept = 0;
  if (A->op != n->op)
    return NULL;
  for (int i = 0; i < A->in[0]->type.rank; i++)
    if (reduces_axis(A, i) || reduces_axis(n, kept++))
      axes[count++] = i;
  return FIX(graph_reduce(s->g, n->op, A->in[0], count, axes));
}

/* a reduction of all of a reshape or permute of x = a reduction of all of x */
RULE(reduce_all_of_view) {
  int axes[MAX_RANK];
  if (n->type.rank != 0 || (A->op != OP_RESHAPE && A->op != OP_PERMUTE))
    return NULL;
  for (int i = 0; i < A->in[0]->type.rank; i++)
    axes[i] = i;
  return FIX(graph_reduce(s->g, n->op, A->in[0], A->in[0]->type.rank, axes));
}

/* sum of c over k elements = k c; rmax of c = c */
RULE(reduce_const) {
  if (A->op != OP_CONST)
    return NULL;
  double k = (double)(type_count(&A->type) / type_count(&n->type));
  if (n->op == OP_SUM && !dtype_is_float(n->type.dtype))
    return NULL; /* k c may wrap */
  return graph_const(s->g, n->op == OP_SUM ? k * A->attr.value : A->attr.value,
                     n->type);
}

/* sum over axes that repeat x = the sum over the others, times their extent;
 * rmax over them = rmax over the others */
RULE(reduce_broadcast) {
  if (A->op != OP_BROADCAST)
    return NULL;
  Node *x = A->in[0];
  int inner[MAX_RANK], n_inner = 0; /* reduced axes of x */
  int kept[MAX_RANK], n_kept = 0;   /* of the result: those that x has */
  int64_t times = 1;
  for (int i = 0, from = 0, to = 0; i < A->type.rank; i++) {
    bool own = from < A->attr.n_axes && A->attr.axes[from] == i;
    bool reduced = reduces_axis(n, i);
    if (own && reduced)
      inner[n_inner++] = from;
    if (own && !reduced)
      kept[n_kept++] = to;
    if (!own && reduced)
      times *= A->type.dim[i];
    from += own;
    to += !reduced;
  }
  if (n_inner == n->attr.n_axes)
    return NULL; /* nothing that repeats is reduced */
  if (n_inner)
    x = FIX(graph_reduce(s->g, n->op, x, n_inner, inner));
  if (n->op == OP_SUM && times > 1) {
    if (!dtype_is_float(x->type.dtype) && times > INT32_MAX)
      return NULL;
    Node *k = graph_const(s->g, (double)times, x->type);
    x = FIX(graph_binary(s->g, OP_MUL, x, k));
  }
  return FIX(graph_broadcast(s->g, x, n->type.rank, n->type.dim, kept));
}

const RewriteRule view_rules[] = {
    {OP_COUNT, view_of_const},
    {OP_RESHAPE, same_shape},
    {OP_RESHAPE, reshape_reshape},
    {OP_RESHAPE, view_of_fill},
    {OP_PERMUTE, same_shape},
    {OP_PERMUTE, permute_permute},
    {OP_PERMUTE, view_of_fill},
    {OP_BROADCAST, same_shape},
    {OP_BROADCAST, broadcast_broadcast},
    {OP_SLICE, slice_whole},
    {OP_SLICE, slice_slice},
    {OP_SLICE, slice_pad},
    {OP_SLICE, slice_concat},
    {OP_SLICE, view_of_fill},
    {OP_PAD, same_shape},
    {OP_PAD, pad_pad},
    {OP_WINDOW, view_of_fill},
    {OP_WINDOW, window_one},
    {OP_WINDOW, window_tiles},
    {OP_FOLD, fold_tiles},
    {OP_SUM, reduce_nothing},
    {OP_SUM, reduce_reduce},
    {OP_SUM, reduce_all_of_view},
    {OP_SUM, reduce_const},
    {OP_SUM, reduce_broadcast},
    {OP_RMAX, reduce_nothing},
    {OP_RMAX, reduce_reduce},
    {OP_RMAX, reduce_all_of_view},
    {OP_RMAX, reduce_const},
    {OP_RMAX, reduce_broadcast},
    {OP_ARGMAX, argmax_of_one},
    {OP_COUNT, NULL},
};
