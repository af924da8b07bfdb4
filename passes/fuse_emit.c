/* The pass `fuse`, the part that turns a node at an index into instructions. An
 * index is one affine form for each axis of the node, over the dimensions of the
 * kernel; going up through a view changes the index, not the values. */
#include <string.h>

#include "passes/fuse.h"

struct Memo {
  const Node *n;
  int guard, value;
  const Affine *idx; /* one for each axis */
};

void fuse_force(Fuse *s, const Node *n) {
  if (fuse_is_leaf(n)) defect("%s cannot be forced", op_info[n->op].text);
  if (!s->mat[n->id]) s->again = true;
  s->mat[n->id] = true;
}

static int add(Fuse *s, Instr i) { return kernel_add(s->arena, s->k, &i); }

/* What stands in for a value while the function has to be built again. */
static int placeholder(Fuse *s, const Node *n) {
  return add(s, (Instr){.kop = K_CONST, .type = n->type.dtype,
                        .in = {-1, -1, -1}});
}

static int forced(Fuse *s, const Node *which, const Node *n) {
  fuse_force(s, which);
  return placeholder(s, n);
}

static void affine_add(Affine *to, const Affine *x, int64_t factor) {
  to->base += factor * x->base;
  for (int d = 0; d < MAX_DIMS; d++) to->coef[d] += factor * x->coef[d];
}

Affine fuse_offset(const Type *t, const Affine *idx) {
  Affine at = {0};
  int64_t stride = 1;
  for (int i = t->rank - 1; i >= 0; i--) {
    if (t->dim[i] != 1) affine_add(&at, &idx[i], stride);
    stride *= t->dim[i];
  }
  return at;
}

static int load(Fuse *s, const Node *n, const Affine *idx, int guard) {
  return add(s, (Instr){.kop = K_LOAD, .type = n->type.dtype,
                        .in = {guard, -1, -1}, .buffer = s->buffer[n->id],
                        .at = fuse_offset(&n->type, idx)});
}

static bool loadable(const Fuse *s, const Node *n) {
  return fuse_is_leaf(n) || (s->mat[n->id] && n != s->self);
}

/* Splits x into quotient and remainder by `by`, term by term. False if the
 * remainder may leave [0, by). */
static bool affine_divide(const Kernel *k, Affine x, int64_t by, Affine *q,
                          Affine *r) {
  *q = *r = (Affine){0};
  q->base = x.base / by;
  r->base = x.base % by;
  if (r->base < 0) return false;
  int64_t most = r->base;
  for (int d = 0; d < MAX_DIMS; d++) {
    if (x.coef[d] == 0) continue;
    if (x.coef[d] % by == 0) {
      q->coef[d] = x.coef[d] / by;
    } else if (x.coef[d] < 0 || d >= kernel_dims(k)) {
      return false;
    } else {
      r->coef[d] = x.coef[d];
      most += x.coef[d] * (k->extent[d] - 1);
    }
  }
  return most < by;
}

/* The index of a reshape's operand from that of its result. */
static bool reshape_index(const Fuse *s, const Node *n, const Affine *idx,
                          Affine *out) {
  const Type *t = &n->in[0]->type;
  Affine rest = fuse_offset(&n->type, idx);
  int64_t stride = type_count(t);
  for (int i = 0; i < t->rank; i++) {
    stride = t->dim[i] == 0 ? 0 : stride / t->dim[i];
    Affine whole = rest;
    if (stride == 0 || !affine_divide(s->k, whole, stride, &out[i], &rest))
      return false;
  }
  return true;
}

static int emit_reshape(Fuse *s, const Node *n, const Affine *idx, int guard) {
  const Node *x = n->in[0];
  Affine in[MAX_RANK] = {0};
  if (reshape_index(s, n, idx, in)) return fuse_emit(s, x, in, guard);
  if (loadable(s, x)) /* contiguous: the operand under another shape */
    return add(s, (Instr){.kop = K_LOAD, .type = n->type.dtype,
                          .in = {guard, -1, -1}, .buffer = s->buffer[x->id],
                          .at = fuse_offset(&n->type, idx)});
  bool view = op_info[x->op].view || op_info[x->op].leaf;
  return forced(s, view && n != s->self ? n : x, n);
}

static int guard_in(Fuse *s, Affine at, int64_t low, int64_t high, int guard) {
  int in = add(s, (Instr){.kop = K_INRANGE, .type = T_I1, .in = {-1, -1, -1},
                          .at = at, .low = low, .high = high});
  if (guard < 0) return in;
  return add(s, (Instr){.kop = K_OP, .op = OP_AND, .type = T_I1,
                        .in = {guard, in, -1}});
}

static int select(Fuse *s, DType type, int c, int a, int b) {
  return add(s, (Instr){.kop = K_OP, .op = OP_SELECT, .type = type,
                        .in = {c, a, b}});
}

static int emit_pad(Fuse *s, const Node *n, const Affine *idx, int guard) {
  int axis = (int)n->attr.num[0];
  int64_t before = n->attr.num[1];
  Affine in[n->type.rank];
  memcpy(in, idx, sizeof in);
  in[axis].base -= before;
  int inside = guard_in(s, in[axis], 0, n->in[0]->type.dim[axis], -1);
  int both = guard_in(s, in[axis], 0, n->in[0]->type.dim[axis], guard);
  int value = fuse_emit(s, n->in[0], in, both);
  int pad = add(s, (Instr){.kop = K_CONST, .type = n->type.dtype,
                           .in = {-1, -1, -1}, .value = n->attr.value});
  return select(s, n->type.dtype, inside, value, pad);
}

static int emit_concat(Fuse *s, const Node *n, const Affine *idx, int guard) {
  int axis = (int)n->attr.num[0], value = -1;
  int64_t end = n->type.dim[axis];
  for (int o = n->n_in - 1; o >= 0; o--) {
    int64_t extent = n->in[o]->type.dim[axis];
    Affine in[n->type.rank];
    memcpy(in, idx, sizeof in);
    in[axis].base -= end - extent;
    end -= extent;
    int inside = guard_in(s, in[axis], 0, extent, -1);
    int both = guard_in(s, in[axis], 0, extent, guard);
    int part = fuse_emit(s, n->in[o], in, both);
    value = value < 0 ? part : select(s, n->type.dtype, inside, part, value);
  }
  return value;
}

/* The nearest index inside [0, extent): data may say anything. */
int fuse_clamp(Fuse *s, int index, int64_t extent) {
  DType type = s->k->instr[index].type;
  Instr least = {.kop = K_CONST, .type = type, .in = {-1, -1, -1}};
  Instr most = least;
  most.value = (double)(extent - 1);
  Instr i = {.kop = K_OP, .op = OP_MAX, .type = type,
             .in = {index, add(s, least), -1}};
  int above = add(s, i);
  i.op = OP_MIN;
  i.in[0] = above;
  i.in[1] = add(s, most);
  return add(s, i);
}

static int emit_gather(Fuse *s, const Node *n, const Affine *idx, int guard) {
  const Node *table = n->in[0], *index = n->in[1];
  if (!loadable(s, table)) return forced(s, table, n);
  int batch = (int)n->attr.num[0], places = index->type.rank;
  Affine in[MAX_RANK] = {0};
  for (int i = 0; i < table->type.rank; i++)
    if (i != batch) in[i] = idx[i < batch ? i : i - batch - 1 + places];
  int64_t scale = 1;
  for (int i = batch + 1; i < table->type.rank; i++)
    scale *= table->type.dim[i];
  int at = fuse_clamp(s, fuse_emit(s, index, idx, guard),
                      table->type.dim[batch]);
  return add(s, (Instr){.kop = K_LOAD, .type = n->type.dtype,
                        .in = {guard, at, -1}, .buffer = s->buffer[table->id],
                        .at = fuse_offset(&table->type, in), .scale = scale});
}

static int emit_view(Fuse *s, const Node *n, const Affine *idx, int guard) {
  const Node *x = n->in[0];
  Affine in[x->type.rank + 1];
  size_t bytes = (size_t)x->type.rank * sizeof *in;
  const int64_t *num = n->attr.num;
  switch (n->op) {
  case OP_RESHAPE: return emit_reshape(s, n, idx, guard);
  case OP_PAD: return emit_pad(s, n, idx, guard);
  case OP_CONCAT: return emit_concat(s, n, idx, guard);
  case OP_GATHER: return emit_gather(s, n, idx, guard);
  case OP_PERMUTE:
    for (int i = 0; i < n->type.rank; i++) in[n->attr.axes[i]] = idx[i];
    break;
  case OP_BROADCAST:
    for (int i = 0; i < x->type.rank; i++)
      in[i] = x->type.dim[i] != 1 ? idx[n->attr.axes[i]] : (Affine){0};
    break;
  case OP_SLICE:
    memcpy(in, idx, bytes);
    in[num[0]] = (Affine){.base = num[1]};
    affine_add(&in[num[0]], &idx[num[0]], num[2]);
    break;
  case OP_WINDOW:
    memcpy(in, idx, bytes);
    in[num[0]] = (Affine){0};
    affine_add(&in[num[0]], &idx[num[0]], num[2]);
    affine_add(&in[num[0]], &idx[x->type.rank], num[3]);
    break;
  default: defect("%s is no view", op_info[n->op].text);
  }
  return fuse_emit(s, x, in, guard);
}

/* Whether a reduction at this index can be the kernel's core: every parallel
 * dimension is one of its axes. */
static bool can_be_core(const Fuse *s, const Node *n, const Affine *idx) {
  uint32_t seen = 0;
  for (int i = 0; i < n->type.rank; i++) {
    if (n->type.dim[i] == 1) continue;
    int dim = -1;
    for (int d = 0; d < MAX_DIMS; d++) {
      if (idx[i].coef[d] == 0) continue;
      if (dim >= 0 || idx[i].coef[d] != 1) return false;
      dim = d;
    }
    if (dim < 0 || idx[i].base != 0 || seen >> dim & 1) return false;
    seen |= 1u << dim;
  }
  for (int d = 0; d < s->k->n_par; d++)
    if (s->k->extent[d] != 1 && !(seen >> d & 1)) return false;
  return s->core == NULL && !s->in_body;
}

const Node *fuse_operand(const Fuse *s, const Node *x) {
  for (;; x = x->in[0]) {
    if (loadable(s, x) || x->op == OP_CONST || x->op == OP_IOTA) return NULL;
    bool view = x->op == OP_RESHAPE || x->op == OP_PERMUTE ||
                x->op == OP_BROADCAST || x->op == OP_SLICE ||
                x->op == OP_WINDOW;
    if (!view) return x;
  }
}

static bool operand_ready(Fuse *s, const Node *x) {
  const Node *n = fuse_operand(s, x);
  if (n != NULL) fuse_force(s, n);
  return n == NULL;
}

static int add_reduced(Fuse *s, int64_t extent) {
  int dim = kernel_dims(s->k);
  if (dim == MAX_DIMS) defect("a kernel of more than %d dimensions", MAX_DIMS);
  s->k->extent[dim] = extent;
  s->k->n_red++;
  return dim;
}

static int emit_dot(Fuse *s, const Node *n, const Affine *idx) {
  const Node *a = n->in[0], *b = n->in[1];
  if (!operand_ready(s, a) || !operand_ready(s, b)) return placeholder(s, n);
  int batch = (int)n->attr.num[0], contract = (int)n->attr.num[1];
  int am = a->type.rank - contract, bm = b->type.rank - contract;
  Affine ai[MAX_RANK] = {0}, bi[MAX_RANK] = {0};
  for (int i = 0; i < am; i++) ai[i] = idx[i];
  for (int i = 0; i < bm; i++) bi[i] = i < batch ? idx[i] : idx[am + i - batch];
  for (int i = 0; i < contract; i++) {
    int dim = add_reduced(s, a->type.dim[am + i]);
    ai[am + i].coef[dim] = bi[bm + i].coef[dim] = 1;
  }
  int x = fuse_emit(s, a, ai, -1), y = fuse_emit(s, b, bi, -1);
  return add(s, (Instr){.kop = K_OP, .op = OP_MUL, .type = n->type.dtype,
                        .in = {x, y, -1}});
}

static int emit_reduced_operand(Fuse *s, const Node *n, const Affine *idx) {
  const Node *x = n->in[0];
  Affine in[MAX_RANK] = {0};
  bool reduced[MAX_RANK] = {false};
  for (int i = 0; i < n->attr.n_axes; i++) {
    int axis = (int)n->attr.axes[i];
    reduced[axis] = true;
    in[axis].coef[add_reduced(s, x->type.dim[axis])] = 1;
  }
  int kept = 0;
  for (int i = 0; i < x->type.rank; i++)
    if (!reduced[i]) in[i] = idx[kept++];
  return fuse_emit(s, x, in, -1);
}

/* A reduction over no axis is no reduction. */
static bool reduces_nothing(const Node *n) {
  return n->op == OP_DOT ? n->attr.num[1] == 0 : n->attr.n_axes == 0;
}

static int emit_nothing_reduced(Fuse *s, const Node *n, const Affine *idx,
                                int guard) {
  if (n->op == OP_ARGMAX) return placeholder(s, n);
  if (n->op != OP_DOT) return fuse_emit(s, n->in[0], idx, guard);
  const Node *a = n->in[0], *b = n->in[1];
  int batch = (int)n->attr.num[0];
  Affine bi[MAX_RANK] = {0};
  for (int i = 0; i < b->type.rank; i++)
    bi[i] = i < batch ? idx[i] : idx[a->type.rank + i - batch];
  int x = fuse_emit(s, a, idx, guard), y = fuse_emit(s, b, bi, guard);
  return add(s, (Instr){.kop = K_OP, .op = OP_MUL, .type = n->type.dtype,
                        .in = {x, y, -1}});
}

static int emit_reduction(Fuse *s, const Node *n, const Affine *idx,
                          int guard) {
  if (reduces_nothing(n)) return emit_nothing_reduced(s, n, idx, guard);
  if (guard >= 0 || !can_be_core(s, n, idx)) return forced(s, n, n);
  s->core = n;
  s->in_body = true;
  int value = n->op == OP_DOT ? emit_dot(s, n, idx)
                              : emit_reduced_operand(s, n, idx);
  s->in_body = false;
  Op op = n->op == OP_DOT ? OP_SUM : n->op;
  return add(s, (Instr){.kop = K_REDUCE, .op = op, .type = n->type.dtype,
                        .in = {value, -1, -1}});
}

/* How often an instruction at this place runs. */
static double volume(const Fuse *s) {
  double v = 1;
  int dims = s->in_body ? kernel_dims(s->k) : s->k->n_par;
  for (int d = 0; d < dims; d++) v *= (double)s->k->extent[d];
  return v;
}

enum { REPEATED_COST = 8 }; /* worth a buffer if computed more than once */

static int emit_elementwise(Fuse *s, const Node *n, const Affine *idx,
                            int guard) {
  bool repeated = volume(s) >= 2 * (double)type_count(&n->type);
  if (n != s->self && repeated && s->cost[n->id] >= REPEATED_COST)
    return forced(s, n, n);
  Instr i = {.kop = K_OP, .op = n->op, .type = n->type.dtype,
             .in = {-1, -1, -1}};
  for (int o = 0; o < n->n_in; o++) i.in[o] = fuse_emit(s, n->in[o], idx, guard);
  return add(s, i);
}

static int emit(Fuse *s, const Node *n, const Affine *idx, int guard) {
  const OpInfo *info = &op_info[n->op];
  if (loadable(s, n)) return load(s, n, idx, guard);
  if (n->op == OP_CONST)
    return add(s, (Instr){.kop = K_CONST, .type = n->type.dtype,
                          .in = {-1, -1, -1}, .value = n->attr.value});
  if (n->op == OP_IOTA)
    return add(s, (Instr){.kop = K_INDEX, .type = n->type.dtype,
                          .in = {-1, -1, -1}, .at = idx[n->attr.num[0]]});
  if (n->op == OP_RAND) {
    bool sample = n->attr.num[1] != 0;
    Affine in[MAX_RANK], zero = {0};
    memcpy(in, idx, sizeof in);
    if (sample) in[0] = zero;
    return add(s, (Instr){.kop = K_RAND, .type = n->type.dtype,
                          .in = {-1, -1, -1}, .at = fuse_offset(&n->type, in),
                          .row = sample ? idx[0] : zero,
                          .place = (uint32_t)n->attr.num[0]});
  }
  if (info->view) return emit_view(s, n, idx, guard);
  if (info->elementwise) return emit_elementwise(s, n, idx, guard);
  if (info->reduces) return emit_reduction(s, n, idx, guard);
  defect("fuse: %s", info->text);
}

int fuse_emit(Fuse *s, const Node *n, const Affine *idx, int guard) {
  size_t bytes = (size_t)n->type.rank * sizeof *idx;
  for (int i = 0; i < s->n_memo; i++) {
    const struct Memo *m = &s->memo[i];
    if (m->n == n && m->guard == guard && memcmp(m->idx, idx, bytes) == 0)
      return m->value;
  }
  int value = emit(s, n, idx, guard);
  s->memo = arena_grow(s->arena, s->memo, s->n_memo, &s->cap_memo,
                       sizeof *s->memo);
  Affine *kept = arena_alloc(s->arena, bytes);
  if (bytes > 0) memcpy(kept, idx, bytes);
  s->memo[s->n_memo++] =
      (struct Memo){.n = n, .guard = guard, .value = value, .idx = kept};
  return value;
}
