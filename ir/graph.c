/* Making graphs. Every node goes through graph_add, which works out its type
 * and looks for an equal node first: same operation, attributes, type and
 * operands (those that commute are put in order). So a common subexpression is
 * one node, with the locations of all its makers. Nothing is ever taken out; a
 * pass makes a new graph. */
#include "ir/ir.h"

#include <math.h>
#include <string.h>

Module *module_new(Arena *a) {
  Module *m = arena_alloc(a, sizeof *m);
  m->arena = a;
  return m;
}

Var *module_add_var(Module *m, const char *name, VarKind kind, Type type) {
  m->var = arena_grow(m->arena, m->var, m->n_vars, &m->cap_vars, sizeof *m->var);
  m->var[m->n_vars] = (Var){.name = name, .kind = kind, .type = type};
  return &m->var[m->n_vars++];
}

Var *module_find_var(const Module *m, const char *name) {
  for (int i = 0; i < m->n_vars; i++)
    if (!strcmp(m->var[i].name, name))
      return &m->var[i];
  return NULL;
}

Graph *module_find_graph(const Module *m, const char *name) {
  for (int i = 0; i < m->n_graphs; i++)
    if (!strcmp(m->graph[i]->name, name))
      return m->graph[i];
  return NULL;
}

Graph *graph_new(Arena *a, const char *name) {
  Graph *g = arena_alloc(a, sizeof *g);
  g->arena = a;
  g->name = name;
  g->n_buckets = 64;
  g->bucket = arena_alloc(a, (size_t)g->n_buckets * sizeof *g->bucket);
  return g;
}

/* -- finding an equal node */

static uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9E3779B97F4A7C15u;
  return h ^ h >> 29;
}

static uint64_t bits_of(double v) {
  uint64_t u;
  memcpy(&u, &v, sizeof u);
  return u;
}

static uint64_t hash(const Node *n) {
  uint64_t h = mix((uint64_t)n->op, (uint64_t)n->type.dtype);
  for (int i = 0; i < n->type.rank; i++)
    h = mix(h, (uint64_t)n->type.dim[i]);
  for (int i = 0; i < n->n_in; i++)
    h = mix(h, (uint64_t)n->in[i]->id);
  for (const char *s = n->attr.name; s && *s; s++)
    h = mix(h, (uint64_t)(unsigned char)*s);
  h = mix(h, bits_of(n->attr.value));
  for (int i = 0; i < MAX_NUM; i++)
    h = mix(h, (uint64_t)n->attr.num[i]);
  for (int i = 0; i < n->attr.n_axes; i++)
    h = mix(h, (uint64_t)n->attr.axes[i]);
  return h;
}

static bool attr_equal(const Attr *a, const Attr *b) {
  if (!a->name != !b->name || (a->name && strcmp(a->name, b->name)))
    return false;
  /* by bits: 0 is not -0, and NaN is NaN */
  if (bits_of(a->value) != bits_of(b->value) || a->n_axes != b->n_axes)
    return false;
  return !memcmp(a->num, b->num, sizeof a->num) &&
         !memcmp(a->axes, b->axes, sizeof a->axes);
}

static bool node_equal(const Node *a, const Node *b) {
  return a->op == b->op && a->n_in == b->n_in &&
         type_equal(&a->type, &b->type) && attr_equal(&a->attr, &b->attr) &&
         (a->n_in == 0 ||
          !memcmp(a->in, b->in, (size_t)a->n_in * sizeof *a->in));
}

static void rehash(Graph *g) {
  g->n_buckets *= 2;
  g->bucket = arena_alloc(g->arena, (size_t)g->n_buckets * sizeof *g->bucket);
  for (int i = 0; i < g->n_nodes; i++) {
    Node *n = g->node[i];
    Node **slot = &g->bucket[hash(n) & (uint64_t)(g->n_buckets - 1)];
    n->chain = *slot;
    *slot = n;
  }
}

/* -- the general maker */

/* What the operation has of attributes, and nothing else. */
static Attr own_attributes(Op op, const Attr *from) {
  Attr a = {0};
  AttrField f = attr_fields(op);
  while (attr_next(&f))
    switch (f.kind) {
    case ATTR_NAME:
      a.name = from->name;
      break;
    case ATTR_VALUE: /* one NaN is like another */
      a.value = isnan(from->value) ? (double)NAN : from->value;
      break;
    case ATTR_NUM:
      a.num[f.num] = from->num[f.num];
      break;
    case ATTR_AXES:
      a.n_axes = from->n_axes;
      for (int i = 0; i < a.n_axes; i++)
        a.axes[i] = from->axes[i];
      break;
    }
  return a;
}

void graph_add_loc(Graph *g, Node *n, Loc loc) {
  if (!loc.file || n->n_locs == MAX_LOCS ||
      !op_has_locs(n->op))
    return;
  for (int i = 0; i < n->n_locs; i++) {
    const Loc *l = &n->locs[i];
    if (l->line == loc.line && l->column == loc.column &&
        !strcmp(l->file, loc.file) && !l->stage == !loc.stage &&
        (!l->stage || !strcmp(l->stage, loc.stage)))
      return;
  }
  if (!n->locs)
    n->locs = arena_alloc(g->arena, MAX_LOCS * sizeof *n->locs);
  n->locs[n->n_locs++] = loc;
}

Node *graph_add(Graph *g, Op op, const Attr *attr, int n_in, Node *const *in,
                const Type *hint) {
  static const Attr none = {0};
  Node key = {.op = op, .n_in = n_in};
  const char *wrong =
      infer_type(g->arena, op, attr, n_in, in, hint, &key.type);
  if (wrong)
    defect("in %s: %s", g->name, wrong);
  for (int i = 0; i < n_in; i++)
    if (in[i]->id >= g->n_nodes || g->node[in[i]->id] != in[i])
      defect("an operand of %s is not in the graph %s", op_info[op].text,
             g->name);
  key.attr = own_attributes(op, attr ? attr : &none);
  if (n_in) {
    key.in = arena_alloc(g->arena, (size_t)n_in * sizeof *in);
    memcpy(key.in, in, (size_t)n_in * sizeof *in);
    if (op_info[op].commutes && in[0]->id > in[1]->id) {
      key.in[0] = in[1];
      key.in[1] = in[0];
    }
  }
  uint64_t h = hash(&key);
  Node *n = g->bucket[h & (uint64_t)(g->n_buckets - 1)];
  while (n && !node_equal(n, &key))
    n = n->chain;
  if (!n) {
    if (g->n_nodes >= g->n_buckets)
      rehash(g);
    Node **slot = &g->bucket[h & (uint64_t)(g->n_buckets - 1)];
    n = arena_alloc(g->arena, sizeof *n);
    *n = key;
    n->id = g->n_nodes;
    n->chain = *slot;
    *slot = n;
    g->node = arena_grow(g->arena, g->node, g->n_nodes, &g->cap_nodes,
                         sizeof *g->node);
    g->node[g->n_nodes++] = n;
  }
  graph_add_loc(g, n, g->loc);
  return n;
}

void graph_output(Graph *g, OutKind kind, const char *name, Node *n) {
  g->output = arena_grow(g->arena, g->output, g->n_outputs, &g->cap_outputs,
                         sizeof *g->output);
  g->output[g->n_outputs++] = (Output){.kind = kind, .name = name, .node = n};
}

/* -- a maker for each operation; `num` in the order of the table */

Node *graph_leaf(Graph *g, Op op, const char *name, Type type, bool sample) {
  return graph_add(g, op, &(Attr){.name = name, .num = {sample}}, 0, NULL,
                   &type);
}

Node *graph_const(Graph *g, double value, Type type) {
  return graph_add(g, OP_CONST, &(Attr){.value = value}, 0, NULL, &type);
}

Node *graph_iota(Graph *g, int axis, Type type) {
  return graph_add(g, OP_IOTA, &(Attr){.num = {axis}}, 0, NULL, &type);
}

Node *graph_rand(Graph *g, uint32_t place, bool sample, Type type) {
  return graph_add(g, OP_RAND, &(Attr){.num = {place, sample}}, 0, NULL, &type);
}

Node *graph_unary(Graph *g, Op op, Node *a) {
  return graph_add(g, op, NULL, 1, &a, NULL);
}

Node *graph_cast(Graph *g, Node *a, DType to) {
  Type hint = a->type;
  hint.dtype = to;
  return a->type.dtype == to ? a : graph_add(g, OP_CAST, NULL, 1, &a, &hint);
}

Node *graph_binary(Graph *g, Op op, Node *a, Node *b) {
  return graph_add(g, op, NULL, 2, (Node *[]){a, b}, NULL);
}

Node *graph_select(Graph *g, Node *c, Node *a, Node *b) {
  return graph_add(g, OP_SELECT, NULL, 3, (Node *[]){c, a, b}, NULL);
}

Node *graph_reshape(Graph *g, Node *a, int rank, const int64_t *dim) {
  Type hint = type_of(a->type.dtype, rank, dim);
  return graph_add(g, OP_RESHAPE, NULL, 1, &a, &hint);
}

static Attr axes_attr(int n, const int *axes) {
  Attr attr = {.n_axes = n};
  if (n < 0 || n > MAX_RANK)
    defect("%d axes", n);
  for (int i = 0; i < n; i++)
    attr.axes[i] = axes[i];
  return attr;
}

Node *graph_permute(Graph *g, Node *a, const int *axes) {
  Attr attr = axes_attr(a->type.rank, axes);
  return graph_add(g, OP_PERMUTE, &attr, 1, &a, NULL);
}

Node *graph_broadcast(Graph *g, Node *a, int rank, const int64_t *dim,
                      const int *axes) {
  Attr attr = axes_attr(a->type.rank, axes);
  Type hint = type_of(a->type.dtype, rank, dim);
  return graph_add(g, OP_BROADCAST, &attr, 1, &a, &hint);
}

Node *graph_fill_like(Graph *g, Node *scalar, const Node *like) {
  if (scalar->type.rank != 0)
    defect("graph_fill_like takes one number");
  return like->type.rank == 0 ? scalar
                              : graph_broadcast(g, scalar, like->type.rank,
                                                like->type.dim, NULL);
}

Node *graph_slice(Graph *g, Node *a, int axis, int64_t start, int64_t step,
                  int64_t count) {
  Type hint = a->type;
  if (axis < 0 || axis >= hint.rank)
    defect("slice on axis %d", axis);
  hint.dim[axis] = count;
  return graph_add(g, OP_SLICE, &(Attr){.num = {axis, start, step}}, 1, &a,
                   &hint);
}

Node *graph_window(Graph *g, Node *a, int axis, int64_t size, int64_t stride,
                   int64_t dilation) {
  return graph_add(g, OP_WINDOW, &(Attr){.num = {axis, size, stride, dilation}},
                   1, &a, NULL);
}

Node *graph_fold(Graph *g, Node *a, int axis, int64_t extent, int64_t stride,
                 int64_t dilation) {
  Type hint = a->type;
  if (axis < 0 || axis >= --hint.rank)
    defect("fold on axis %d", axis);
  hint.dim[axis] = extent;
  return graph_add(g, OP_FOLD, &(Attr){.num = {axis, stride, dilation}}, 1, &a,
                   &hint);
}

Node *graph_pad(Graph *g, Node *a, int axis, int64_t before, int64_t after,
                double value) {
  return graph_add(g, OP_PAD,
                   &(Attr){.value = value, .num = {axis, before, after}}, 1, &a,
                   NULL);
}

Node *graph_concat(Graph *g, int n, Node *const *in, int axis) {
  return graph_add(g, OP_CONCAT, &(Attr){.num = {axis}}, n, in, NULL);
}

Node *graph_reduce(Graph *g, Op op, Node *a, int n_axes, const int *axes) {
  Attr attr = axes_attr(n_axes, axes);
  return graph_add(g, op, &attr, 1, &a, NULL);
}

Node *graph_dot(Graph *g, Node *a, Node *b, int batch, int contract) {
  return graph_add(g, OP_DOT, &(Attr){.num = {batch, contract}}, 2,
                   (Node *[]){a, b}, NULL);
}

Node *graph_gather(Graph *g, Node *table, Node *index, int batch) {
  return graph_add(g, OP_GATHER, &(Attr){.num = {batch}}, 2,
                   (Node *[]){table, index}, NULL);
}

Node *graph_scatter(Graph *g, Node *dy, Node *index, int batch, Type type) {
  return graph_add(g, OP_SCATTER, &(Attr){.num = {batch}}, 2,
                   (Node *[]){dy, index}, &type);
}

Node *graph_grad(Graph *g, Node *objective, Node *wrt) {
  return graph_add(g, OP_GRAD, NULL, 2, (Node *[]){objective, wrt}, NULL);
}
