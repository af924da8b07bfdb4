/* Primitives that move elements, and those that ask for shapes. Axes are those of
 * a sample. All sizes are checked here, since the makers of nodes take a wrong
 * one for a defect of the compiler. */
#include "frontend/lower.h"

#include <math.h>
#include <string.h>

static const Value *operand(PrimCall *c) {
  const Value *x = c->arg[0];
  if (x->kind == V_LIST)
    x = list_tensor(c->s, c->at, x);
  x = need_tensor(c->s, c->at, x, "what this works on");
  if (x)
    set_loc(c->s, c->at);
  return x;
}

static bool optional_whole(PrimCall *c, int i, const char *what, int64_t low,
                           int64_t otherwise, int64_t *out) {
  *out = otherwise;
  return !c->arg[i] ||
         need_whole(c->s, c->at, c->arg[i], what, low, INT32_MAX, out);
}

/* -- reshape */

bool need_dims(PrimCall *c, const Value *list, int64_t low, int *rank,
               int64_t *dim) {
  if (list->kind != V_LIST) {
    fail(c->s, "E0301", c->at, "a shape is a list, [..], but this is %s",
         value_text(c->s->L, list));
    return false;
  }
  if (list->n > MAX_RANK - 1) {
    fail(c->s, "E0310", c->at, "a shape of %d axes is too much: the limit is %d",
         list->n, MAX_RANK - 1);
    return false;
  }
  *rank = list->n;
  for (int i = 0; i < list->n; i++)
    if (!need_whole(c->s, c->at, list->item[i], "a size", low, MAX_ELEMENTS,
                    &dim[i]))
      return false;
  return true;
}

/* Fills in the size that is -1; then the counts must agree. */
static bool complete(int rank, int64_t *dim, int64_t count) {
  int open = -1;
  int64_t known = 1;
  for (int i = 0; i < rank; i++) {
    if (dim[i] == -1) {
      if (open >= 0)
        return false;
      open = i;
      continue;
    }
    if (dim[i] == 0 || known > count / dim[i])
      return false;
    known *= dim[i];
  }
  if (open >= 0) {
    if (count % known)
      return false;
    dim[open] = count / known;
    known *= dim[open];
  }
  return known == count;
}

const Value *prim_reshape(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = operand(c);
  int rank;
  int64_t all[MAX_RANK + 1] = {L->batch};
  if (!x || !need_dims(c, c->arg[1], -1, &rank, all + x->sample))
    return &poison;
  int64_t count = 1;
  for (int i = 0; i < sample_rank(x); i++)
    count *= sample_dims(x)[i];
  const char *asked = shape_text(L, rank, all + x->sample);
  if (!complete(rank, all + x->sample, count)) {
    Diag *diag = fail(c->s, "E0308", c->at,
                      "%s has %lld elements and cannot become %s",
                      value_text(L, x), (long long)count, asked);
    note_origin(L, diag, x);
    return &poison;
  }
  rank += x->sample;
  if (rank == x->node->type.rank &&
      !memcmp(all, x->node->type.dim, (size_t)rank * sizeof *all))
    return x;
  return value_moved(L, reshape_to(L, x->node, rank, all), x);
}

/* -- broadcast */

const Value *prim_broadcast(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = operand(c);
  int rank;
  int64_t all[MAX_RANK + 1] = {L->batch};
  if (!x || !need_dims(c, c->arg[1], 1, &rank, all + x->sample))
    return &poison;
  int own = sample_rank(x);
  const int64_t *dim = sample_dims(x), *to = all + x->sample + rank - own;
  bool fits = own <= rank;
  for (int i = 0; fits && i < own; i++)
    fits = dim[i] == 1 || dim[i] == to[i];
  if (!fits) {
    Diag *diag = fail(c->s, "E0308", c->at, "%s cannot be repeated to become %s",
                      value_text(L, x),
                      shape_text(L, rank, all + x->sample));
    note_origin(L, diag, x);
    return &poison;
  }
  rank += x->sample;
  if (!check_size(c->s, c->at, rank, all))
    return &poison;
  return value_moved(L, to_node(L, x, x->node->type.dtype, x->sample, rank, all),
                     x);
}

/* -- permute, slice, concat */

const Value *prim_permute(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = operand(c), *list = c->arg[1];
  if (!x)
    return &poison;
  int rank = sample_rank(x), axes[MAX_RANK] = {0};
  bool hit[MAX_RANK] = {false};
  if (list->kind != V_LIST || list->n != rank) {
    fail(c->s, "E0306", c->at, "permute wants a list of all %d axes", rank);
    return &poison;
  }
  for (int i = 0; i < rank; i++) {
    int axis;
    if (!need_axis(c, list->item[i], rank, &axis))
      return &poison;
    if (hit[axis]) {
      fail(c->s, "E0306", c->at, "axis %d is named twice", axis);
      return &poison;
    }
    hit[axis] = true;
    axes[i + x->sample] = axis + x->sample;
  }
  return value_moved(L, permute_to(L, x->node, axes), x);
}

const Value *prim_slice(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = operand(c);
  int axis;
  int64_t start, end, step;
  if (!x || !need_axis(c, c->arg[1], sample_rank(x), &axis))
    return &poison;
  int64_t size = sample_dims(x)[axis];
  if (!need_whole(c->s, c->at, c->arg[2], "the start of a slice", 0, size - 1,
                  &start) ||
      !need_whole(c->s, c->at, c->arg[3], "the end of a slice", start + 1, size,
                  &end) ||
      !optional_whole(c, 4, "the step of a slice", 1, 1, &step))
    return &poison;
  int64_t count = (end - start + step - 1) / step;
  return value_moved(L, graph_slice(L->g, x->node, axis + x->sample, start,
                                    step, count),
                     x);
}

/* The operands of concat as tensors, and what joins them: all have the batch if
 * one has, are integers if all are, and classes if all are the same. */
static bool gather_parts(PrimCall *c, const Value **part, bool *sample,
                         DType *type) {
  *sample = false;
  *type = T_I32;
  for (int i = 0; i < c->n_rest; i++) {
    const Value *v = c->rest[i];
    if (v->kind == V_LIST)
      v = list_tensor(c->s, c->at, v);
    part[i] = need_tensor(c->s, c->at, v, "an operand of concat");
    if (!part[i])
      return false;
    *sample = *sample || part[i]->sample;
    if (part[i]->node->type.dtype != T_I32)
      *type = T_F32;
  }
  return true;
}

static Node *with_batch(Lower *L, const Value *v, bool sample, DType type) {
  Node *n = cast_to(L, v->node, type);
  if (v->sample || !sample)
    return n;
  int64_t dim[MAX_RANK + 1] = {L->batch};
  memcpy(dim + 1, n->type.dim, (size_t)n->type.rank * sizeof *dim);
  return to_node(L, v, type, true, n->type.rank + 1, dim);
}

const Value *prim_concat(PrimCall *c) {
  Lower *L = c->s->L;
  if (c->n_rest < 2) {
    fail(c->s, "E0409", c->at, "concat joins two values or more");
    return &poison;
  }
  const Value **part = arena_alloc(L->a, (size_t)c->n_rest * sizeof *part);
  Node **node = arena_alloc(L->a, (size_t)c->n_rest * sizeof *node);
  bool sample;
  DType type;
  int axis = 0;
  if (!gather_parts(c, part, &sample, &type) ||
      (c->arg[0] && !need_axis(c, c->arg[0], sample_rank(part[0]), &axis)))
    return &poison;
  int rank = sample_rank(part[0]);
  int64_t dim[MAX_RANK + 1] = {L->batch};
  memcpy(dim + sample, sample_dims(part[0]), (size_t)rank * sizeof *dim);
  for (int i = 0; i < c->n_rest; i++) {
    bool fits = rank > 0 && sample_rank(part[i]) == rank;
    for (int k = 0; fits && k < rank; k++)
      fits = k == axis || sample_dims(part[i])[k] == sample_dims(part[0])[k];
    if (!fits) {
      Diag *diag = fail(c->s, "E0303", c->at,
                        "%s and %s cannot be joined along axis %d",
                        value_text(L, part[0]), value_text(L, part[i]), axis);
      note_origin(L, diag, part[0]);
      note_origin(L, diag, part[i]);
      return &poison;
    }
    if (i > 0)
      dim[axis + sample] += sample_dims(part[i])[axis];
  }
  if (!check_size(c->s, c->at, rank + sample, dim))
    return &poison;
  set_loc(c->s, c->at);
  for (int i = 0; i < c->n_rest; i++)
    node[i] = with_batch(L, part[i], sample, type);
  Value *v = (Value *)value_node(
      L, graph_concat(L->g, c->n_rest, node, axis + sample), sample);
  v->classes = part[0]->classes;
  for (int i = 1; i < c->n_rest; i++)
    if (part[i]->classes != v->classes)
      v->classes = 0;
  return v;
}

/* -- pad and window */

const Value *prim_pad(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = operand(c);
  int axis;
  int64_t before, after;
  double value = 0;
  if (!x || !need_axis(c, c->arg[1], sample_rank(x), &axis) ||
      !need_whole(c->s, c->at, c->arg[2], "padding", 0, INT32_MAX, &before) ||
      !need_whole(c->s, c->at, c->arg[3], "padding", 0, INT32_MAX, &after) ||
      (c->arg[4] &&
       !need_number(c->s, c->at, c->arg[4], "the padding's value", &value)))
    return &poison;
  if (before == 0 && after == 0)
    return x;
  Type t = x->node->type;
  t.dim[axis + x->sample] += before + after;
  if (!check_size(c->s, c->at, t.rank, t.dim))
    return &poison;
  Node *n = x->node;
  bool whole = n->type.dtype == T_I32 && value == floor(value) &&
               fabs(value) <= INT32_MAX;
  if (!dtype_is_float(n->type.dtype) && !whole)
    n = cast_to(L, n, T_F32);
  n = graph_pad(L->g, n, axis + x->sample, before, after, value);
  bool stays = whole && value >= 0 && value < (double)x->classes;
  return stays ? value_moved(L, n, x) : value_node(L, n, x->sample);
}

const Value *prim_window(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = operand(c);
  int axis;
  int64_t size, stride, dilation;
  if (!x || !need_axis(c, c->arg[1], sample_rank(x), &axis) ||
      !need_whole(c->s, c->at, c->arg[2], "the size of a window", 1, INT32_MAX,
                  &size) ||
      !optional_whole(c, 3, "a stride", 1, 1, &stride) ||
      !optional_whole(c, 4, "a dilation", 1, 1, &dilation))
    return &poison;
  Type t = x->node->type;
  int64_t extent = t.dim[axis + x->sample];
  int64_t span = (size - 1) * dilation + 1;
  if (span > extent) {
    Diag *diag = fail(c->s, "E0307", c->at,
                      "a window of %lld does not fit axis %d of %s",
                      (long long)span, axis, value_text(L, x));
    note_origin(L, diag, x);
    return &poison;
  }
  t.dim[axis + x->sample] = (extent - span) / stride + 1;
  if (t.rank < MAX_RANK)
    t.dim[t.rank] = size;
  t.rank++;
  if (!check_size(c->s, c->at, t.rank, t.dim))
    return &poison;
  return value_moved(L, graph_window(L->g, x->node, axis + x->sample, size,
                                     stride, dilation),
                     x);
}

/* The adjoint of window: the last axis holds the windows' elements, and each is
 * added where its window lies on the axis. */
const Value *prim_fold(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = operand(c);
  int axis;
  int64_t stride, dilation;
  if (!x || !need_axis(c, c->arg[1], sample_rank(x), &axis) ||
      !optional_whole(c, 2, "a stride", 1, 1, &stride) ||
      !optional_whole(c, 3, "a dilation", 1, 1, &dilation))
    return &poison;
  int last = sample_rank(x) - 1;
  if (axis == last) {
    fail(c->s, "E0306", c->at, "axis %d of %s holds the windows' elements, and "
         "cannot be the one along which they are added", axis,
         value_text(L, x));
    return &poison;
  }
  const int64_t *dim = sample_dims(x);
  Type t = x->node->type;
  t.rank--;
  int64_t extent = (dim[axis] - 1) * stride + (dim[last] - 1) * dilation + 1;
  t.dim[axis + x->sample] = extent;
  if (!check_size(c->s, c->at, t.rank, t.dim))
    return &poison;
  Node *n = cast_to(L, x->node, T_F32);
  return value_node(L, graph_fold(L->g, n, axis + x->sample, extent, stride,
                                  dilation),
                    x->sample);
}

/* -- positions */

const Value *prim_iota(PrimCall *c) {
  Lower *L = c->s->L;
  int64_t n;
  if (!need_whole(c->s, c->at, c->arg[0], "the length of iota", 1, INT32_MAX,
                  &n))
    return &poison;
  return value_node(L, graph_iota(L->g, 0, type_of(T_I32, 1, &n)), false);
}

/* f32: 1 at the label, 0 elsewhere, along a new last axis. */
const Value *prim_onehot(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = operand(c);
  if (!x)
    return &poison;
  int64_t n = x->classes;
  if (x->node->type.dtype != T_I32 ||
      (!c->arg[1] && !n)) {
    fail(c->s, "E0301", c->at, "onehot wants class[k], or integers and their "
         "number, but this is %s", value_text(L, x));
    return &poison;
  }
  if (c->arg[1] && !need_whole(c->s, c->at, c->arg[1], "the number of classes",
                               1, INT32_MAX, &n))
    return &poison;
  Type t = x->node->type;
  int axes[MAX_RANK];
  for (int i = 0; i < t.rank; i++)
    axes[i] = i;
  if (t.rank < MAX_RANK)
    t.dim[t.rank] = n;
  t.rank++;
  if (!check_size(c->s, c->at, t.rank, t.dim))
    return &poison;
  Node *label = graph_broadcast(L->g, x->node, t.rank, t.dim, axes);
  Node *index = graph_iota(L->g, t.rank - 1, t);
  Node *hit = graph_binary(L->g, OP_EQ, index, label);
  return value_node(L, cast_to(L, hit, T_F32), x->sample);
}

/* -- asking for shapes */

const Value *prim_size(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = c->arg[0];
  int axis;
  if (x->kind == V_LIST && !c->arg[1])
    return value_number(L, x->n);
  if (!(x = operand(c)))
    return &poison;
  if (c->arg[1] && c->arg[1]->kind == V_BATCH) {
    if (x->sample)
      return value_node(L, scalar_leaf(L, "count"), false);
    fail(c->s, "E0306", c->at,
         "there is no axis `batch`: the value does not depend on the sample");
    return &poison;
  }
  if (c->arg[1]) {
    if (!need_axis(c, c->arg[1], sample_rank(x), &axis))
      return &poison;
    return value_number(L, (double)sample_dims(x)[axis]);
  }
  double count = 1;
  for (int i = 0; i < sample_rank(x); i++)
    count *= (double)sample_dims(x)[i];
  return value_number(L, count);
}

const Value *prim_shape(PrimCall *c) {
  Lower *L = c->s->L;
  const Value *x = operand(c);
  if (!x)
    return &poison;
  const Value **item = arena_alloc(L->a, MAX_RANK * sizeof *item);
  for (int i = 0; i < sample_rank(x); i++)
    item[i] = value_number(L, (double)sample_dims(x)[i]);
  return value_list(L, sample_rank(x), item);
}

const Value *prim_rank(PrimCall *c) {
  const Value *x = operand(c);
  return x ? value_number(c->s->L, sample_rank(x)) : &poison;
}

const Value *prim_same_shape(PrimCall *c) {
  const Value *a = operand(c);
  const Value *b = need_tensor(c->s, c->at, c->arg[1], "a value with a shape");
  if (!a || !b)
    return &poison;
  int rank = sample_rank(a);
  bool same = rank == sample_rank(b);
  for (int i = 0; same && i < rank; i++)
    same = sample_dims(a)[i] == sample_dims(b)[i];
  return value_flag(c->s->L, same);
}
