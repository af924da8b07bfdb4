/* The cases of ops_cases.h: one generator a row of ops.def, each with a list of
 * its own. Values lie on a shuffled grid, so that no two elements of a tensor
 * are near each other and none of two tensors meet: no kink is hit by chance. */
#include "tests/ops/ops_cases.h"

#include <math.h>
#include <string.h>

#define DIMS(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),   \
                  (int64_t[]){__VA_ARGS__}
#define T(dtype, ...) type_of(T_##dtype, DIMS(__VA_ARGS__))
#define F(...) T(F32, __VA_ARGS__)
#define NODES(...) (Node *[]){__VA_ARGS__}
#define INTS(...) (int[]){__VA_ARGS__}
#define CASE(op) static Node *case_##op(OpCase *c, int which)
/* The entry `which` of a local list, or no case. */
#define PICK(list)                                                             \
  if (which >= (int)(sizeof list / sizeof *list))                              \
    return NULL;                                                               \
  g = c->g;                                                                    \
  p = &list[which]

static Node *add_leaf(OpCase *c, Node *n, double least, double most) {
  for (int i = 0; i < c->n_leaves; i++)
    if (c->leaf[i].node == n)
      return n;
  c->leaf[c->n_leaves++] = (CaseLeaf){n, least, most};
  return n;
}

/* An operand: a parameter where it can be one, otherwise a state. Positive
 * numbers are told by the name as well. */
static Node *operand(OpCase *c, const char *name, Type t, double least,
                     double most) {
  bool param = t.dtype == T_F32;
  if (least > 0)
    name = arena_printf(c->g->arena, "pos.%s", name);
  module_add_var(c->module, name, param ? VAR_WEIGHT : VAR_LAYER_STATE, t);
  Node *n = graph_leaf(c->g, param ? OP_PARAM : OP_STATE, name, t, false);
  return add_leaf(c, n, least, most);
}

static Node *any(OpCase *c, const char *name, Type t) {
  bool has_sign = t.dtype != T_U32 && t.dtype != T_I1;
  return operand(c, name, t, has_sign ? -2 : 0, t.dtype == T_I1 ? 1 : 2);
}

/* -- leaves */

CASE(PARAM) {
  const Type t[] = {F(1), F(3, 7)};
  return which < 2 ? any(c, "a", t[which]) : NULL;
}

CASE(STATE) {
  const Type t[] = {T(F64, 1), T(F32, 5), T(I32, 3, 7), T(U32, 5), T(I1, 11)};
  if (which >= 5)
    return NULL;
  module_add_var(c->module, "s", VAR_LAYER_STATE, t[which]);
  return add_leaf(c, graph_leaf(c->g, OP_STATE, "s", t[which], false), 0,
                  t[which].dtype == T_I1 ? 1 : 9);
}

CASE(INPUT) {
  const Type t[] = {F(3, 7), T(I32, 5), F(1)};
  if (which >= 3)
    return NULL;
  return add_leaf(c, graph_leaf(c->g, OP_INPUT, "x", t[which], which != 2), 0,
                  9);
}

CASE(SCALAR) {
  static const struct { const char *name; double value; } list[] = {
      {"step", CASE_STEP}, {"epoch", 1}, {"progress", 0.25}, {"count", 3}};
  if (which >= 4)
    return NULL;
  double v = list[which].value;
  return add_leaf(c, graph_leaf(c->g, OP_SCALAR, list[which].name,
                                type_scalar(T_F64), false), v, v);
}

CASE(CONST) {
  static const struct { double value; DType dtype; } list[] = {
      {0.1, T_F32}, {-1e-300, T_F64}, {INFINITY, T_F32}, {-7, T_I32},
      {4294967295.0, T_U32}, {1, T_I1}};
  const int64_t dim[] = {3, 5};
  if (which >= 6)
    return NULL;
  return graph_const(c->g, list[which].value,
                     type_of(list[which].dtype, which % 3, dim));
}

CASE(IOTA) {
  const struct { int axis; Type t; } list[] = {
      {0, T(I32, 7)}, {1, F(3, 5)}, {0, T(U32, 3, 1)}, {2, T(F64, 2, 1, 7)}}, *p;
  Graph *g;
  PICK(list);
  return graph_iota(g, p->axis, p->t);
}

CASE(RAND) {
  const struct { bool sample; Type t; } list[] = {
      {false, F(1)}, {false, F(131)}, {true, F(3, 5, 17)}, {true, F(7)},
      {false, F(3, 67)}, {true, T(F64, 2, 65)}, {true, F(2, 300)}}, *p;
  Graph *g;
  PICK(list);
  return graph_rand(g, (uint32_t)(5 + which), p->sample, p->t);
}

/* -- elementwise: floats of five shapes, then other types */

static bool elementwise(int which, int n_types, const DType *types, Type *t) {
  const Type shape[] = {type_scalar(T_F32), F(1), F(13), F(3, 1, 7), F(2, 17)};
  if (which < 5) {
    *t = shape[which];
    return true;
  }
  if (which >= 5 + n_types)
    return false;
  *t = F(13);
  t->dtype = types[which - 5];
  return true;
}

static const DType all_types[] = {T_F64, T_I32, T_U32, T_I1};

static Node *unary(OpCase *c, int which, Op op, int n_types, double least,
                   double most) {
  Type t;
  return elementwise(which, n_types, all_types, &t)
             ? graph_unary(c->g, op, operand(c, "a", t, least, most))
             : NULL;
}

static Node *binary(OpCase *c, int which, Op op, int n_types) {
  Type t;
  return elementwise(which, n_types, all_types, &t)
             ? graph_binary(c->g, op, any(c, "a", t), any(c, "b", t))
             : NULL;
}

#define UNARY(op, n_types, least, most)                                        \
  CASE(op) { return unary(c, which, OP_##op, n_types, least, most); }
#define BINARY(op, n_types)                                                    \
  CASE(op) { return binary(c, which, OP_##op, n_types); }

UNARY(NEG, 2, -3, 3)
UNARY(EXP, 1, -3, 3)
UNARY(LOG, 1, 0.3, 9)
UNARY(SQRT, 1, 0.3, 9)
UNARY(ABS, 2, -3, 3)
UNARY(SIGN, 2, -3, 3)
UNARY(TANH, 1, -3, 3)
UNARY(ERF, 1, -3, 3)
UNARY(SIN, 1, -9, 9)
UNARY(COS, 1, -9, 9)
UNARY(FLOOR, 1, -5, 5)
BINARY(ADD, 3)
BINARY(SUB, 3)
BINARY(MUL, 3)
BINARY(MAX, 3)
BINARY(MIN, 3)
BINARY(LT, 3)
BINARY(LE, 3)
BINARY(EQ, 4)
BINARY(NE, 4)

CASE(NOT) {
  return which < 2 ? graph_unary(c->g, OP_NOT,
                                 any(c, "a", which ? T(I1, 3, 5) : T(I1, 1)))
                   : NULL;
}

CASE(AND) {
  return which ? NULL : graph_binary(c->g, OP_AND, any(c, "a", T(I1, 13)),
                                     any(c, "b", T(I1, 13)));
}

CASE(OR) {
  return which ? NULL : graph_binary(c->g, OP_OR, any(c, "a", T(I1, 13)),
                                     any(c, "b", T(I1, 13)));
}

/* every type to every other */
CASE(CAST) {
  Type t = F(7);
  if (which >= T_COUNT * T_COUNT)
    return NULL;
  t.dtype = (DType)(which / T_COUNT);
  DType to = (DType)(which % T_COUNT);
  double least = t.dtype == T_U32 || t.dtype == T_I1 || to == T_U32 ? 0 : -9;
  Node *a = operand(c, "a", t, least, t.dtype == T_I1 ? 1 : 9);
  return graph_add(c->g, OP_CAST, NULL, 1, &a,
                   &(Type){.dtype = to, .rank = 1, .dim = {7}});
}

CASE(STOP) {
  c->frozen = true;
  return which ? NULL : graph_unary(c->g, OP_STOP, any(c, "a", F(13)));
}

CASE(DIV) {
  Type t;
  if (!elementwise(which, 1, all_types, &t))
    return NULL;
  return graph_binary(c->g, OP_DIV, any(c, "a", t),
                      operand(c, "b", t, which % 2 ? 0.5 : -3,
                              which % 2 ? 3 : -0.5));
}

/* a variable exponent, then constant ones; negative bases for whole ones */
CASE(POW) {
  static const double exponent[] = {2, 3, 1, 0, -1, -2, 0.5, -0.5, 1.7};
  Type t;
  if (elementwise(which, 1, all_types, &t))
    return graph_binary(c->g, OP_POW, operand(c, "a", t, 0.3, 3),
                        any(c, "b", t));
  which -= 6;
  if (which >= 9)
    return NULL;
  double e = exponent[which];
  bool whole = floor(e) == e;
  Node *a = operand(c, "a", F(3, 5), whole ? -2 : 0.3, whole ? -0.4 : 3);
  return graph_binary(c->g, OP_POW, a, graph_const(c->g, e, a->type));
}

CASE(SELECT) {
  Type t;
  if (!elementwise(which, 4, all_types, &t))
    return NULL;
  Type b = t;
  b.dtype = T_I1;
  return graph_select(c->g, any(c, "c", b), any(c, "a", t), any(c, "b", t));
}

/* -- views */

CASE(RESHAPE) {
  const struct { Type from, to; } list[] = {
      {F(1), type_scalar(T_F32)}, {F(3, 5), F(15)}, {F(2, 3, 7), F(7, 1, 6)},
      {type_scalar(T_F32), F(1, 1)}, {T(I32, 6), T(I32, 3, 2)}}, *p;
  Graph *g;
  PICK(list);
  return graph_reshape(g, any(c, "a", p->from), p->to.rank, p->to.dim);
}

CASE(PERMUTE) {
  const struct { Type t; int axes[4]; } list[] = {
      {F(3, 5), {1, 0}}, {F(2, 1, 7), {2, 0, 1}}, {F(3, 2, 5, 1), {0, 3, 1, 2}},
      {F(7), {0}}, {T(I32, 3, 5), {1, 0}}, {F(17, 16), {1, 0}},
      {F(3, 17, 5), {0, 2, 1}}, {T(I32, 18, 16), {1, 0}},
      {T(I1, 35, 17), {1, 0}}, {T(F64, 17, 18), {1, 0}}}, *p;
  Graph *g;
  PICK(list);
  return graph_permute(g, any(c, "a", p->t), p->axes);
}

CASE(BROADCAST) {
  const struct { Type from, to; int axes[3]; } list[] = {
      {type_scalar(T_F32), F(3, 5), {0}}, {F(5), F(3, 5), {1}},
      {F(3), F(3, 5), {0}}, {F(2, 7), F(2, 3, 7, 1), {0, 2}}, {F(1), F(1, 7), {0}},
      {F(3, 5), F(3, 5), {0, 1}}, {T(I1, 3), T(I1, 2, 3), {1}}}, *p;
  Graph *g;
  PICK(list);
  return graph_broadcast(g, any(c, "a", p->from), p->to.rank, p->to.dim,
                         p->axes);
}

CASE(SLICE) {
  const struct { Type t; int axis, start, step, count; } list[] = {
      {F(7), 0, 2, 1, 3}, {F(3, 11), 1, 1, 3, 3}, {F(5, 3), 0, 0, 2, 3},
      {F(1), 0, 0, 1, 1}, {F(2, 7, 3), 1, 6, 1, 1}, {F(7), 0, 1, 2, 2},
      {T(I32, 7), 0, 1, 2, 3}, {F(5), 0, 4, -1, 5}, {F(3, 11), 1, 9, -3, 3}}, *p;
  Graph *g;
  PICK(list);
  return graph_slice(g, any(c, "a", p->t), p->axis, p->start, p->step,
                     p->count);
}

CASE(WINDOW) {
  const struct { Type t; int axis, size, stride, dilation; } list[] = {
      {F(7), 0, 3, 1, 1}, {F(2, 9), 1, 3, 2, 1}, {F(11, 2), 0, 3, 2, 2},
      {F(3, 6), 1, 2, 2, 1}, {F(5), 0, 1, 1, 1}, {F(5), 0, 5, 1, 1},
      {F(2, 7, 3), 1, 2, 2, 1}, {F(7), 0, 1, 3, 1}, {F(11), 0, 2, 5, 1},
      {F(2, 6, 5), 1, 3, 3, 1}}, *p;
  Graph *g;
  PICK(list);
  return graph_window(g, any(c, "a", p->t), p->axis, p->size, p->stride,
                      p->dilation);
}

CASE(PAD) {
  const struct { Type t; int axis, before, after; double value; } list[] = {
      {F(5), 0, 1, 2, 0}, {F(3, 5), 1, 0, 3, -1.5}, {F(2, 3, 5), 1, 2, 0, 0},
      {F(1), 0, 3, 3, 1}, {F(5), 0, 0, 0, 0}, {T(I32, 3), 0, 1, 1, -4}}, *p;
  Graph *g;
  PICK(list);
  return graph_pad(g, any(c, "a", p->t), p->axis, p->before, p->after,
                   p->value);
}

CASE(CONCAT) {
  const struct { Type a, b, c; int axis, n; } list[] = {
      {F(3), F(5), F(1), 0, 3}, {F(3, 2), F(3, 7), F(3, 1), 1, 2},
      {F(2, 3, 5), F(2, 1, 5), F(2, 2, 5), 1, 3}, {T(I32, 3), T(I32, 2), F(1), 0, 2}},
      *p;
  Graph *g;
  PICK(list);
  Node *in[3] = {any(c, "a", p->a), any(c, "b", p->b)};
  if (p->n == 3)
    in[2] = any(c, "c", p->c);
  return graph_concat(g, p->n, in, p->axis);
}

/* -- reductions */

static Node *reduction(OpCase *c, int which, Op op) {
  const struct { Type t; int n, axes[3]; } list[] = {
      {F(7), 1, {0}}, {F(3, 5), 1, {1}}, {F(3, 5), 1, {0}},
      {F(2, 3, 5), 2, {0, 2}}, {F(2, 7, 3), 3, {0, 1, 2}}, {F(3, 1), 1, {1}},
      {F(1), 1, {0}}, {F(5), 0, {0}}, {F(2, 3, 2, 5), 2, {2, 3}},
      {F(37), 1, {0}}, {T(F64, 3, 5), 1, {1}}, {T(I32, 3, 5), 1, {1}}}, *p;
  Graph *g;
  PICK(list);
  return graph_reduce(g, op, operand(c, "a", p->t, -9, 9), p->n, p->axes);
}

CASE(SUM) { return reduction(c, which, OP_SUM); }
CASE(RMAX) { return reduction(c, which, OP_RMAX); }

/* the last one lists its axes in another order */
CASE(ARGMAX) {
  return which == 12 ? graph_reduce(c->g, OP_ARGMAX, any(c, "a", F(3, 5, 2)), 2,
                                    INTS(2, 0))
                     : reduction(c, which, OP_ARGMAX);
}

CASE(DOT) {
  const struct { Type a, b; int batch, contract; } list[] = {
      {F(3, 5), F(7, 5), 0, 1}, {F(5), F(5), 0, 1}, {F(3), F(5), 0, 0},
      {F(2, 3, 5), F(2, 7, 5), 1, 1}, {F(3, 2, 5), F(1, 2, 5), 0, 2},
      {F(2, 3, 1, 5), F(2, 3, 7, 5), 2, 1}, {F(3, 2, 2, 5), F(5), 0, 1},
      {F(5), F(3, 5), 0, 1}, {F(1, 1), F(1, 1), 0, 1}, {F(3, 5), F(3, 5), 2, 0},
      {F(2, 3), F(2, 5), 1, 0}, {F(2, 7), F(2, 7), 1, 1},
      {F(17, 19), F(23, 19), 0, 1}, {T(F64, 3, 5), T(F64, 2, 5), 0, 1}}, *p;
  Graph *g;
  PICK(list);
  return graph_dot(g, any(c, "a", p->a), any(c, "b", p->b), p->batch,
                   p->contract);
}

CASE(FOLD) {
  const struct { Type t; int axis, extent, stride, dilation; } list[] = {
      {F(5, 3), 0, 7, 1, 1}, {F(2, 4, 3), 1, 9, 2, 1}, {F(4, 2, 3), 0, 11, 2, 2},
      {F(3, 3, 2), 1, 6, 2, 1}, {F(3, 1), 0, 7, 3, 1}, {F(3, 2), 0, 11, 3, 1},
      {F(1, 5), 0, 5, 1, 1}, {F(2, 2, 5, 3), 1, 6, 3, 1}}, *p;
  Graph *g;
  PICK(list);
  return graph_fold(g, any(c, "a", p->t), p->axis, p->extent, p->stride,
                    p->dilation);
}

/* -- indexed by values; some indices are beside the table */

static const struct Lookup { int batch, n_table, n_index;
  int64_t table[3], index[3]; } lookups[] = {
    {0, 1, 1, {7}, {5}},          {0, 2, 1, {7, 3}, {5}},
    {1, 2, 1, {5, 7}, {5}},       {1, 3, 2, {3, 5, 2}, {3, 4}},
    {0, 2, 0, {7, 3}, {0}},       {0, 1, 2, {1}, {2, 3}},
    {0, 2, 1, {3, 2}, {11}}};

CASE(GATHER) {
  const struct Lookup *p;
  Graph *g;
  PICK(lookups);
  Type t = type_of(T_F32, p->n_table, p->table);
  Type i = type_of(T_I32, p->n_index, p->index);
  double most = (double)p->table[p->batch];
  return graph_gather(g, any(c, "a", t), operand(c, "i", i, -1, most),
                      p->batch);
}

CASE(SCATTER) {
  const struct Lookup *p;
  Graph *g;
  PICK(lookups);
  Type t = type_of(T_F32, p->n_table, p->table);
  Type i = type_of(T_I32, p->n_index, p->index), y = i;
  double most = (double)p->table[p->batch];
  y.dtype = T_F32;
  for (int k = p->batch + 1; k < t.rank; k++)
    y.dim[y.rank++] = t.dim[k];
  return graph_scatter(g, any(c, "a", y), operand(c, "i", i, -1, most),
                       p->batch, t);
}

/* the derivative of a derivative: of sum a^3, of sum tanh(a), of (a . b)^2 */
CASE(GRAD) {
  if (which > 2)
    return NULL;
  Node *a = any(c, "a", F(7)), *f;
  if (which == 0)
    f = graph_binary(c->g, OP_MUL, a, graph_binary(c->g, OP_MUL, a, a));
  else if (which == 1)
    f = graph_unary(c->g, OP_TANH, a);
  else {
    f = graph_dot(c->g, a, any(c, "b", F(7)), 0, 1);
    f = graph_binary(c->g, OP_MUL, f, f);
  }
  f = graph_reduce(c->g, OP_SUM, f, f->type.rank, INTS(0));
  return graph_grad(c->g, f, a);
}

static Node *(*const makers[OP_COUNT])(OpCase *, int) = {
#define OP(op, text, operands, flags, attributes) [OP_##op] = case_##op,
#include "ir/ops.def"
#undef OP
};

bool op_case(Arena *a, Op op, int which, OpCase *c) {
  *c = (OpCase){.module = module_new(a), .g = graph_new(a, "train")};
  c->name = arena_printf(a, "%s %d", op_info[op].text, which);
  c->module->graph[c->module->n_graphs++] = c->g;
  c->g->loc = (Loc){"case.net", 1, 1 + which, NULL};
  Node *y = makers[op](c, which);
  if (!y)
    return false;
  graph_output(c->g, OUT_RESULT, "y", y);
  if (!dtype_is_float(y->type.dtype))
    return true;
  int n = c->n_leaves, axes[MAX_RANK];
  for (int i = 0; i < MAX_RANK; i++)
    axes[i] = i;
  module_add_var(c->module, "w", VAR_LAYER_STATE, y->type);
  Node *w = graph_leaf(c->g, OP_STATE, "w", y->type, false);
  add_leaf(c, w, 0.5, 2);
  Node *loss = graph_binary(c->g, OP_MUL, y, w);
  loss = graph_reduce(c->g, OP_SUM, loss, loss->type.rank, axes);
  graph_output(c->g, OUT_RESULT, "loss", loss);
  for (int i = 0; i < n; i++)
    if (dtype_is_float(c->leaf[i].node->type.dtype))
      graph_output(c->g, OUT_RESULT,
                   arena_printf(a, "d.%s", c->leaf[i].node->attr.name),
                   graph_grad(c->g, loss, c->leaf[i].node));
  return true;
}

const double *case_leaf(Arena *a, const OpCase *c, Op op, const char *name) {
  const CaseLeaf *l = c->leaf, *end = c->leaf + c->n_leaves;
  while (l < end && (l->node->op != op || strcmp(l->node->attr.name, name)))
    l++;
  if (l == end)
    return NULL;
  int64_t count = type_count(&l->node->type);
  /* 61 is odd to all counts here but its multiples, so this is a shuffle */
  double *v = arena_alloc(a, (size_t)count * sizeof *v);
  int last = name[strlen(name) - 1];
  double shift = (double)(last % 5 + 1) / 7; /* within a step of the grid */
  for (int64_t i = 0; i < count; i++) {
    double at = ((double)((i * 61 + last) % count) + shift) / (double)count;
    v[i] = l->least + (l->most - l->least) * at;
    if (!dtype_is_float(l->node->type.dtype))
      v[i] = floor(v[i] + 0.5);
    else if (fabs(v[i] - rint(v[i])) < 0.01 && l->most > l->least)
      v[i] += 0.02; /* away from floor's steps and from 0 */
    if (l->node->type.dtype == T_F32)
      v[i] = (double)(float)v[i];
  }
  return v;
}

typedef struct Env {
  Arena *arena;
  const OpCase *c;
  const CaseLeaf *change;
  int64_t i;
  double by;
} Env;

static const double *env_leaf(void *context, const Node *n) {
  Env *e = context;
  const double *v = case_leaf(e->arena, e->c, n->op, n->attr.name);
  if (!e->change || e->change->node->op != n->op ||
      strcmp(e->change->node->attr.name, n->attr.name))
    return v;
  size_t size = (size_t)type_count(&n->type) * sizeof *v;
  double *moved = memcpy(arena_alloc(e->arena, size), v, size);
  moved[e->i] += e->by;
  return moved;
}

double **case_eval(Arena *a, const OpCase *c, const Graph *g,
                   const CaseLeaf *change, int64_t i, double by) {
  Env e = {a, c, change, i, by};
  EvalEnv env = {&e, env_leaf, CASE_SEED, CASE_STEP};
  return eval_graph(a, g, &env);
}

const Node *case_result(const Graph *g, const char *name) {
  for (int i = 0; i < g->n_outputs; i++)
    if (g->output[i].kind == OUT_RESULT && !strcmp(g->output[i].name, name))
      return g->output[i].node;
  return NULL;
}
