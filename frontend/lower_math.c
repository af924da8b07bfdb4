/* Elementwise arithmetic. Numbers fold in double while compiling. Otherwise the
 * operands are brought to one type and one shape, by explicit casts and
 * broadcasts:
 *
 *   type   f32, if an operand is f32, or if there is an f64 but not all are
 *          single numbers of the step; f64 for those (learning rates, epoch ..:
 *          PyTorch computes its scalars in double too); whole numbers stay i32
 *          under + - * min max; comparisons give i1
 *   shape  numpy's rule over the axes of a sample, aligned at the right; then
 *          the batch, if an operand depends on the sample */
#include "frontend/lower.h"

#include <math.h>
#include <string.h>

/* -- small helpers on nodes */

Node *cast_to(Lower *L, Node *n, DType t) { return graph_cast(L->g, n, t); }

/* Permutes; the identity is no node, and two in a row are one. */
Node *permute_to(Lower *L, Node *n, const int *axes) {
  int both[MAX_RANK];
  const int rank = n->type.rank;
  memcpy(both, axes, (size_t)rank * sizeof *both);
  if (n->op == OP_PERMUTE) {
    for (int i = 0; i < rank; i++)
      both[i] = (int)n->attr.axes[axes[i]];
    n = n->in[0];
  }
  for (int i = 0; i < rank; i++)
    if (both[i] != i)
      return graph_permute(L->g, n, both);
  return n;
}

/* Reshapes; back to the shape of before is no node, and two are one. */
Node *reshape_to(Lower *L, Node *n, int rank, const int64_t *dim) {
  if (n->op == OP_RESHAPE)
    n = n->in[0];
  if (n->type.rank == rank &&
      !memcmp(n->type.dim, dim, (size_t)rank * sizeof *dim))
    return n;
  return graph_reshape(L->g, n, rank, dim);
}

Node *scalar_leaf(Lower *L, const char *name) {
  return graph_leaf(L->g, OP_SCALAR, name, type_scalar(T_F64), false);
}

Node *real_rows(Lower *L) {
  Type rows = type_of(T_I32, 1, &L->batch);
  Node *count = graph_cast(L->g, scalar_leaf(L, "count"), T_I32);
  Node *index = graph_iota(L->g, 0, rows);
  return graph_binary(L->g, OP_LT, index, graph_fill_like(L->g, count, index));
}

/* [B] to the shape of `like`, whose axis 0 is the batch. */
Node *broadcast_rows(Lower *L, Node *v, const Node *like) {
  static const int axes[1] = {0};
  if (like->type.rank == 1)
    return v;
  return graph_broadcast(L->g, v, like->type.rank, like->type.dim, axes);
}

Node *mask_rows(Lower *L, Node *v, double value) {
  return graph_select(L->g, broadcast_rows(L, real_rows(L), v), v,
                      graph_const(L->g, value, v->type));
}

/* -- folding */

static double fold(Op op, const double *a) {
  switch ((int)op) {
  case OP_NEG: return -a[0];
  case OP_EXP: return exp(a[0]);
  case OP_LOG: return log(a[0]);
  case OP_SQRT: return sqrt(a[0]);
  case OP_ABS: return fabs(a[0]);
  case OP_SIGN: return (a[0] > 0) - (a[0] < 0);
  case OP_TANH: return tanh(a[0]);
  case OP_ERF: return erf(a[0]);
  case OP_SIN: return sin(a[0]);
  case OP_COS: return cos(a[0]);
  case OP_FLOOR: return floor(a[0]);
  case OP_NOT: return a[0] == 0;
  case OP_STOP: return a[0];
  case OP_ADD: return a[0] + a[1];
  case OP_SUB: return a[0] - a[1];
  case OP_MUL: return a[0] * a[1];
  case OP_DIV: return a[0] / a[1];
  case OP_POW: return pow(a[0], a[1]);
  case OP_MAX: return a[0] > a[1] || isnan(a[0]) ? a[0] : a[1];
  case OP_MIN: return a[0] < a[1] || isnan(a[0]) ? a[0] : a[1];
  case OP_LT: return a[0] < a[1];
  case OP_LE: return a[0] <= a[1];
  case OP_EQ: return a[0] == a[1];
  case OP_NE: return a[0] != a[1];
  case OP_AND: return a[0] != 0 && a[1] != 0;
  case OP_OR: return a[0] != 0 || a[1] != 0;
  case OP_SELECT: return a[0] != 0 ? a[1] : a[2];
  }
  defect("no folding for %s", op_info[op].text);
}

/* What an operation makes of types. */
enum { ARITHMETIC = 1, REAL, COMPARE, LOGIC, CHOOSE };
static int class_of(Op op) {
  switch ((int)op) {
  case OP_LT: case OP_LE: case OP_EQ: case OP_NE:
    return COMPARE;
  case OP_AND: case OP_OR: case OP_NOT:
    return LOGIC;
  case OP_SELECT:
    return CHOOSE;
  case OP_NEG: case OP_ABS: case OP_SIGN: case OP_ADD: case OP_SUB:
  case OP_MUL: case OP_MAX: case OP_MIN: case OP_STOP: case OP_FLOOR:
    return ARITHMETIC;
  }
  return REAL;
}

static const Value *fold_numbers(Lower *L, Op op, int n,
                                 const Value *const *args) {
  double a[3] = {0};
  for (int i = 0; i < n; i++)
    a[i] = args[i]->number;
  int c = class_of(op);
  double r = fold(op, a);
  if (c == COMPARE || c == LOGIC || (c == CHOOSE && args[1]->flag))
    return value_flag(L, r != 0);
  return value_number(L, r);
}

/* -- types */

/* Looks at the operands that are arithmetic: all, or the branches of select. */
static DType common_type(Op op, int n, const Value *const *args) {
  bool f32 = false, f64 = false, i32 = false, i1 = false, whole = true;
  bool single = true, flags = true;
  for (int i = 0; i < n; i++) {
    const Value *v = args[i];
    if (v->kind == V_NUMBER) {
      whole = whole && v->number == floor(v->number) &&
              fabs(v->number) < 0x1p31;
      flags = flags && v->flag;
    } else {
      single = single && v->node->type.rank == 0;
      if (op == OP_SELECT && i == 0)
        continue;
      DType t = v->node->type.dtype;
      f32 = f32 || t == T_F32;
      f64 = f64 || t == T_F64;
      i32 = i32 || t == T_I32 || t == T_U32;
      i1 = i1 || t == T_I1;
      flags = flags && t == T_I1;
    }
  }
  int c = class_of(op);
  bool equal = op == OP_EQ || op == OP_NE;
  if (c == LOGIC || ((c == CHOOSE || equal) && flags && i1))
    return T_I1;
  bool real = f32 || f64 || c == REAL || !whole || !i32;
  if (!real)
    return T_I32;
  return f32 || !single ? T_F32 : T_F64;
}

/* -- shapes */

/* The node with axes of size 1 dropped where `to` has more, then repeated.
 * `to` is the whole shape: with the batch in front if `sample`. */
static Node *broadcast_node(Lower *L, Node *n, bool n_sample, bool sample,
                            int rank, const int64_t *dim) {
  if (n->type.rank == rank &&
      !memcmp(n->type.dim, dim, (size_t)rank * sizeof *dim))
    return n;
  int axes[MAX_RANK], kept = 0;
  int64_t small[MAX_RANK];
  int own = n->type.rank - n_sample, all = rank - sample;
  for (int i = 0; i < n->type.rank; i++) {
    int to = n_sample && i == 0 ? 0
             : sample + all - own + (i - n_sample);
    if (n->type.dim[i] == dim[to]) {
      small[kept] = n->type.dim[i];
      axes[kept++] = to;
    }
  }
  if (kept < n->type.rank)
    n = reshape_to(L, n, kept, small);
  if (kept == rank)
    return n;
  return graph_broadcast(L->g, n, rank, dim, axes);
}

Node *to_node(Lower *L, const Value *v, DType t, bool sample, int rank,
              const int64_t *dim) {
  if (v->kind == V_NUMBER)
    return graph_const(L->g, v->number, type_of(t, rank, dim));
  Node *n = cast_to(L, v->node, t);
  return broadcast_node(L, n, v->sample, sample, rank, dim);
}

/* Joins the sample shapes of tensors as numpy does. False if they do not. */
static bool join_shapes(int n, const Value *const *args, int *rank,
                        int64_t *dim) {
  *rank = 0;
  for (int i = 0; i < n; i++)
    if (args[i]->kind == V_TENSOR && sample_rank(args[i]) > *rank)
      *rank = sample_rank(args[i]);
  for (int k = 0; k < *rank; k++)
    dim[k] = 1;
  for (int i = 0; i < n; i++) {
    if (args[i]->kind != V_TENSOR)
      continue;
    int own = sample_rank(args[i]);
    for (int k = 0; k < own; k++) {
      int64_t d = sample_dims(args[i])[k], *to = &dim[*rank - own + k];
      if (d != 1 && *to != 1 && d != *to)
        return false;
      if (d != 1)
        *to = d;
    }
  }
  return true;
}

static const Value *tell_shapes(const Scope *s, Span at, int n,
                                const Value *const *args) {
  const Value *pair[2] = {NULL, NULL};
  for (int i = 0; i < n && !pair[1]; i++)
    if (args[i]->kind == V_TENSOR && sample_rank(args[i]) > 0)
      pair[pair[0] != NULL] = args[i];
  if (!pair[0] || !pair[1])
    defect("shapes that join");
  Diag *diag = fail(s, "E0303", at, "the shapes %s and %s do not fit together",
                    value_text(s->L, pair[0]), value_text(s->L, pair[1]));
  note_origin(s->L, diag, pair[0]);
  note_origin(s->L, diag, pair[1]);
  return &poison;
}

/* -- the operation itself */

/* x + 0, x * 1 and the like, which formulas with default arguments are full of:
 * the tensor itself, or NULL. */
static const Value *identity(Op op, const Value *const *args) {
  static const struct { Op op; double value; bool left; } rule[] = {
      {OP_ADD, 0, true}, {OP_SUB, 0, false}, {OP_MUL, 1, true},
      {OP_DIV, 1, false}, {OP_POW, 1, false}};
  for (size_t i = 0; i < sizeof rule / sizeof *rule; i++)
    for (int side = 0; rule[i].op == op && side <= rule[i].left; side++) {
      const Value *number = args[1 - side], *other = args[side];
      if (number->kind == V_NUMBER && number->number == rule[i].value &&
          other->kind == V_TENSOR && dtype_is_float(other->node->type.dtype))
        return other;
    }
  return NULL;
}

/* Powers that are better than pow. Returns NULL if there is none. */
static const Value *easy_power(const Scope *s, Span at,
                               const Value *const *args) {
  if (args[1]->kind != V_NUMBER || args[0]->kind != V_TENSOR)
    return NULL;
  double p = args[1]->number;
  if (p == 2)
    return elementwise(s, at, OP_MUL, 2, (const Value *[]){args[0], args[0]});
  if (p == 0.5)
    return elementwise(s, at, OP_SQRT, 1, args);
  if (p == -1)
    return elementwise(s, at, OP_DIV, 2,
                       (const Value *[]){value_number(s->L, 1), args[0]});
  return NULL;
}

static const Value *build(const Scope *s, Span at, Op op, int n,
                          const Value *const *args) {
  Lower *L = s->L;
  int rank;
  int64_t dim[MAX_RANK + 1];
  if (!join_shapes(n, args, &rank, dim))
    return tell_shapes(s, at, n, args);
  bool sample = false;
  for (int i = 0; i < n; i++)
    sample = sample || (args[i]->kind == V_TENSOR && args[i]->sample);
  if (sample) {
    memmove(dim + 1, dim, (size_t)rank * sizeof *dim);
    dim[0] = L->batch;
    rank++;
  }
  if (!check_size(s, at, rank, dim))
    return &poison;
  DType t = common_type(op, n, args);
  set_loc(s, at);
  Node *in[3];
  for (int i = 0; i < n; i++)
    in[i] = to_node(L, args[i], op == OP_SELECT && i == 0 ? T_I1 : t, sample,
                    rank, dim);
  if (op == OP_FLOOR && !dtype_is_float(t))
    return value_node(L, in[0], sample);
  return value_from(L, value_node(L, graph_add(L->g, op, NULL, n, in, NULL),
                                  sample),
                    own_span(s, at), NULL);
}

/* Flags that decide: false and x, true or x, if true. NULL: none does. */
static const Value *short_cut(Op op, const Value *const *args) {
  if (op == OP_AND || op == OP_OR)
    for (int i = 0; i < 2; i++)
      if (args[i]->kind == V_NUMBER)
        return (args[i]->number != 0) == (op == OP_OR) ? args[i] : args[1 - i];
  if (op == OP_SELECT && args[0]->kind == V_NUMBER)
    return args[0]->number != 0 ? args[1] : args[2];
  return NULL;
}

/* A list beside single numbers: one result for each item. Beside a tensor with
 * axes it is a row of constants. */
static const Value *over_lists(const Scope *s, Span at, Op op, int n,
                               const Value *const *args) {
  Lower *L = s->L;
  int length = -1;
  bool axes = false;
  for (int i = 0; i < n; i++) {
    if (args[i]->kind == V_TENSOR && args[i]->node->type.rank > 0)
      axes = true;
    if (args[i]->kind != V_LIST)
      continue;
    if (length >= 0 && args[i]->n != length) {
      fail(s, "E0303", at, "lists of %d and %d items do not fit together",
           length, args[i]->n);
      return &poison;
    }
    length = args[i]->n;
  }
  const Value *row[3], **item = arena_alloc(
                           L->a, (size_t)(length + 1) * sizeof *item);
  if (axes) {
    for (int i = 0; i < n; i++)
      row[i] = args[i]->kind == V_LIST ? list_tensor(s, at, args[i]) : args[i];
    return elementwise(s, at, op, n, row);
  }
  for (int k = 0; k < length; k++) {
    for (int i = 0; i < n; i++)
      row[i] = args[i]->kind == V_LIST ? args[i]->item[k] : args[i];
    item[k] = elementwise(s, at, op, n, row);
    if (item[k]->kind == V_POISON)
      return &poison;
  }
  return value_list(L, length, item);
}

/* An item of a list as a part of length 1 along a new first axis, or NULL. */
static Node *list_part(const Scope *s, Span at, const Value *item) {
  Lower *L = s->L;
  int64_t dim[MAX_RANK + 1] = {1};
  double v;
  if (item->kind == V_LIST) {
    const Value *t = list_tensor(s, at, item);
    if (t->kind == V_POISON)
      return NULL;
    const Type *type = &t->node->type;
    memcpy(dim + 1, type->dim, (size_t)type->rank * sizeof *dim);
    return check_size(s, at, type->rank + 1, dim)
               ? reshape_to(L, t->node, type->rank + 1, dim)
               : NULL;
  }
  return need_number(s, at, item, "an item of this list", &v)
             ? graph_const(L->g, v, type_of(T_F32, 1, dim))
             : NULL;
}

const Value *list_tensor(const Scope *s, Span at, const Value *list) {
  Lower *L = s->L;
  Node **part = arena_alloc(L->a, (size_t)(list->n + 1) * sizeof *part);
  if (list->n == 0) {
    fail(s, "E0301", at, "an empty list has no numbers");
    return &poison;
  }
  set_loc(s, at);
  for (int i = 0; i < list->n; i++) {
    if (!(part[i] = list_part(s, at, list->item[i])))
      return &poison;
    if (type_equal(&part[i]->type, &part[0]->type))
      continue;
    fail(s, "E0303", at, "the items of a list have one shape, but this is %s and "
         "%s", value_text(L, list->item[0]), value_text(L, list->item[i]));
    return &poison;
  }
  Node *whole = list->n == 1 ? part[0] : graph_concat(L->g, list->n, part, 0);
  return value_node(L, whole, false);
}

/* Random operands take the shape of the others. */
static const Value *with_random(const Scope *s, Span at, Op op, int n,
                                const Value *const *args) {
  Lower *L = s->L;
  int rank;
  int64_t dim[MAX_RANK + 1];
  bool tensors = false, sample = false;
  for (int i = 0; i < n; i++)
    if (args[i]->kind == V_TENSOR) {
      tensors = tensors || args[i]->node->type.rank > 0;
      sample = sample || args[i]->sample;
    }
  if (!tensors)
    return random_op(L, op, n, args);
  if (!join_shapes(n, args, &rank, dim))
    return tell_shapes(s, at, n, args);
  const Value *done[3];
  for (int i = 0; i < n; i++)
    done[i] = args[i]->kind == V_RANDOM
                  ? materialise(s, at, args[i], sample, rank, dim)
                  : args[i];
  return elementwise(s, at, op, n, done);
}

static bool is_truth(const Value *v) {
  return v->kind == V_TENSOR ? v->node->type.dtype == T_I1 : v->flag;
}

const Value *elementwise(const Scope *s, Span at, Op op, int n,
                         const Value *const *args) {
  Lower *L = s->L;
  const Value *arg[3];
  bool numbers = true, lists = false, random = false;
  for (int i = 0; i < n; i++)
    if (args[i]->kind == V_POISON)
      return &poison;
  for (int i = 0; i < n; i++)
    if (args[i]->kind == V_WEIGHTED)
      return weighted_math(s, at, op, n, args);
  for (int i = 0; i < n; i++) {
    const Value *v = args[i];
    lists = lists || v->kind == V_LIST;
    random = random || v->kind == V_RANDOM;
    numbers = numbers && v->kind == V_NUMBER;
    if (v->kind != V_NUMBER && v->kind != V_LIST && v->kind != V_RANDOM &&
        !(v = need_tensor(s, at, v, NULL)))
      return &poison;
    arg[i] = v;
  }
  if (numbers)
    return fold_numbers(L, op, n, arg);
  if (lists)
    return over_lists(s, at, op, n, arg);
  const Value *short_way = short_cut(op, arg);
  if (short_way)
    return short_way;
  const Value *same = n == 2 ? identity(op, arg) : NULL;
  if (same)
    return same;
  if (random)
    return with_random(s, at, op, n, arg);
  int truths = class_of(op) == LOGIC ? n : op == OP_SELECT ? 1 : 0;
  for (int i = 0; i < truths; i++)
    if (!is_truth(arg[i])) {
      fail(s, "E0316", at, "%s must be a comparison or a flag, but it is %s",
           op == OP_SELECT ? "a condition" : "an operand of and, or, not",
           value_text(L, arg[i]));
      return &poison;
    }
  const Value *power = op == OP_POW ? easy_power(s, at, arg) : NULL;
  return power ? power : build(s, at, op, n, arg);
}
