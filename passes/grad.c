/* Expands derivatives: a node `grad f, x` becomes the nodes that compute the
 * derivative of the one number f with respect to x.
 *
 * For each objective f one reverse sweep (reverse accumulation, see Griewank
 * and Walther, "Evaluating Derivatives", 2008) over the nodes between f and
 * all the x that are wanted of it. Each operation owns a short function below,
 * which gives to its operands what they get of the incoming gradient `dy`; the
 * table of them is made from ops.def. The rules build operations of the same
 * table, so derivatives of derivatives need nothing more: an inner `grad` is
 * expanded before the objective that contains it is swept.
 *
 * Where mathematics leaves a choice PyTorch's is taken: |x| has 0 at 0, the
 * larger of two halves what equal ones get, a maximum over axes sends all to the
 * first largest. Shapes agree everywhere;
 * the one rule that sums is that of BROADCAST. New nodes carry the locations
 * of the node that they are the adjoint of. */
#include "passes/passes.h"
#include "passes/rebuild.h"

typedef struct Sweep {
  Graph *g;
  Node **adjoint; /* by id, NULL: nothing has come yet; up to the objective */
  bool *wanted;   /* by id: depends on a wanted x */
} Sweep;

typedef void Rule(Sweep *s, const Node *n, Node *dy);

static bool wants(const Sweep *s, const Node *n, int i) {
  return s->wanted[n->in[i]->id] && dtype_is_float(n->in[i]->type.dtype);
}

/* Adds to the adjoint of operand i. */
static void give(Sweep *s, const Node *n, int i, Node *d) {
  Node **sum = &s->adjoint[n->in[i]->id];
  *sum = *sum ? graph_binary(s->g, OP_ADD, *sum, d) : d;
}

/* -- short names for makers, within a rule of `n` with the sweep `s`. At most
 * one argument of a call makes nodes: C leaves the order of arguments open, and
 * the text of a graph shows in which order its nodes were made. */
#define A (n->in[0])
#define B (n->in[1])
#define C (n->in[2])
#define UN(op, a) graph_unary(s->g, OP_##op, a)
#define BI(op, a, b) graph_binary(s->g, OP_##op, a, b)
#define NUM(v, like) graph_const(s->g, v, (like)->type)
#define SELECT(c, a, b) graph_select(s->g, c, a, b)
#define GIVE(i, d)                                                             \
  do {                                                                         \
    if (wants(s, n, i))                                                        \
      give(s, n, i, d);                                                        \
  } while (0)
/* y is the result itself, which the derivative of exp, say, is made of. */
#define Y (s->g->node[n->id])
#define RULE(op)                                                               \
  static void grad_##op(Sweep *s, const Node *n, Node *dy)
/* Operations that have no derivative or that have 0 everywhere. */
#define NOTHING(op)                                                            \
  RULE(op) {                                                                   \
    (void)s;                                                                   \
    (void)n;                                                                   \
    (void)dy;                                                                  \
  }

NOTHING(PARAM)
NOTHING(STATE)
NOTHING(INPUT)
NOTHING(SCALAR)
NOTHING(CONST)
NOTHING(IOTA)
NOTHING(RAND)
NOTHING(SIGN)
NOTHING(FLOOR)
NOTHING(NOT)
NOTHING(STOP)
NOTHING(LT)
NOTHING(LE)
NOTHING(EQ)
NOTHING(NE)
NOTHING(AND)
NOTHING(OR)
NOTHING(ARGMAX)

/* -- elementwise */

RULE(NEG) { GIVE(0, UN(NEG, dy)); }
RULE(EXP) { GIVE(0, BI(MUL, dy, Y)); }
RULE(LOG) { GIVE(0, BI(DIV, dy, A)); }
RULE(SQRT) { GIVE(0, BI(DIV, BI(MUL, dy, NUM(0.5, dy)), Y)); }
RULE(ABS) { GIVE(0, BI(MUL, dy, UN(SIGN, A))); }
RULE(SIN) { GIVE(0, BI(MUL, dy, UN(COS, A))); }
RULE(COS) { GIVE(0, UN(NEG, BI(MUL, dy, UN(SIN, A)))); }
RULE(CAST) { GIVE(0, graph_cast(s->g, dy, A->type.dtype)); }

RULE(TANH) {
  Node *one = NUM(1, Y);
  GIVE(0, BI(MUL, dy, BI(SUB, one, BI(MUL, Y, Y))));
}

/* 2 / sqrt(pi) exp(-a^2) */
RULE(ERF) {
  if (!wants(s, n, 0))
    return;
  Node *e = UN(EXP, UN(NEG, BI(MUL, A, A)));
  give(s, n, 0, BI(MUL, dy, BI(MUL, e, NUM(1.1283791670955126, dy))));
}

RULE(ADD) {
  GIVE(0, dy);
  GIVE(1, dy);
}

RULE(SUB) {
  GIVE(0, dy);
  GIVE(1, UN(NEG, dy));
}

RULE(MUL) {
  GIVE(0, BI(MUL, dy, B));
  GIVE(1, BI(MUL, dy, A));
}

RULE(DIV) {
  GIVE(0, BI(DIV, dy, B));
  GIVE(1, UN(NEG, BI(DIV, BI(MUL, dy, Y), B)));
}

/* a: b a^(b-1), and 0 where b is 0, also at a = 0.
 * b: a^b log a where a > 0, elsewhere 0; the logarithm of 1 stands in for the
 * others, so that no NaN is made that a second derivative would multiply. */
RULE(POW) {
  bool constant = B->op == OP_CONST;
  Node *zero = NUM(0, dy);
  if (wants(s, n, 0) && constant && B->attr.value == 0) {
    give(s, n, 0, zero);
  } else if (wants(s, n, 0)) {
    Node *less = constant ? NUM(B->attr.value - 1, B)
                          : BI(SUB, B, NUM(1, B));
    Node *d = BI(MUL, dy, BI(MUL, B, BI(POW, A, less)));
    give(s, n, 0, constant ? d : SELECT(BI(EQ, B, NUM(0, B)), zero, d));
  }
  if (wants(s, n, 1)) {
    Node *above = BI(LT, NUM(0, A), A);
    Node *log = UN(LOG, SELECT(above, A, NUM(1, A)));
    give(s, n, 1, SELECT(above, BI(MUL, dy, BI(MUL, Y, log)), zero));
  }
}

static bool is_number(const Node *n) {
  while (n->op == OP_BROADCAST || n->op == OP_RESHAPE || n->op == OP_CAST)
    n = n->in[0];
  return n->op == OP_CONST;
}

/* Both get half where the operands are equal, but beside a number, as in a relu,
 * nothing: each gets dy where it is beyond the other. */
static void give_beyond(Sweep *s, const Node *n, Node *first, Node *second,
                        Node *dy) {
  Node *zero = NUM(0, dy);
  if (is_number(A) || is_number(B)) {
    GIVE(0, SELECT(first, dy, zero));
    GIVE(1, SELECT(second, dy, zero));
    return;
  }
  Node *half = BI(MUL, dy, NUM(0.5, dy));
  Node *same = SELECT(BI(EQ, A, B), half, dy);
  GIVE(0, SELECT(second, zero, same));
  GIVE(1, SELECT(first, zero, same));
}

RULE(MAX) {
  Node *first = BI(LT, B, A);
  give_beyond(s, n, first, BI(LT, A, B), dy);
}

RULE(MIN) {
  Node *first = BI(LT, A, B);
  give_beyond(s, n, first, BI(LT, B, A), dy);
}

RULE(SELECT) {
  Node *zero = NUM(0, dy);
  GIVE(1, SELECT(A, dy, zero));
  GIVE(2, SELECT(A, zero, dy));
}

/* -- views */

RULE(RESHAPE) {
  GIVE(0, graph_reshape(s->g, dy, A->type.rank, A->type.dim));
}

RULE(PERMUTE) {
  int back[MAX_RANK];
  for (int i = 0; i < n->attr.n_axes; i++)
    back[n->attr.axes[i]] = i;
  GIVE(0, graph_permute(s->g, dy, back));
}

/* The axes of `rank` that the node's list leaves out; their number. */
static int other_axes(const Node *n, int rank, int *axes) {
  int count = 0, next = 0;
  for (int i = 0; i < rank; i++)
    if (next < n->attr.n_axes && n->attr.axes[next] == i)
      next++;
    else
      axes[count++] = i;
  return count;
}

RULE(BROADCAST) {
  int axes[MAX_RANK], count = other_axes(n, n->type.rank, axes);
  GIVE(0, count ? graph_reduce(s->g, OP_SUM, dy, count, axes) : dy);
}

/* Every step-th element is what a window of one element sees. */
RULE(SLICE) {
  int axis = (int)node_num(n, "axis");
  int64_t start = node_num(n, "start"), step = node_num(n, "step");
  int64_t count = n->type.dim[axis];
  if (!wants(s, n, 0))
    return;
  if (step < 0) { /* backwards: the same elements from the other end */
    dy = graph_slice(s->g, dy, axis, count - 1, -1, count);
    start += (count - 1) * step;
    step = -step;
  }
  int64_t span = (count - 1) * step + 1;
  if (step > 1) {
    Type t = dy->type;
    t.dim[t.rank++] = 1;
    dy = graph_reshape(s->g, dy, t.rank, t.dim);
    dy = graph_fold(s->g, dy, axis, span, step, 1);
  }
  int64_t after = A->type.dim[axis] - start - span;
  give(s, n, 0, graph_pad(s->g, dy, axis, start, after, 0));
}

RULE(WINDOW) {
  int axis = (int)node_num(n, "axis");
  GIVE(0, graph_fold(s->g, dy, axis, A->type.dim[axis], node_num(n, "stride"),
                     node_num(n, "dilation")));
}

RULE(PAD) {
  int axis = (int)node_num(n, "axis");
  GIVE(0, graph_slice(s->g, dy, axis, node_num(n, "before"), 1,
                      A->type.dim[axis]));
}

RULE(CONCAT) {
  int axis = (int)node_num(n, "axis");
  int64_t start = 0;
  for (int i = 0; i < n->n_in; i++) {
    int64_t count = n->in[i]->type.dim[axis];
    GIVE(i, graph_slice(s->g, dy, axis, start, 1, count));
    start += count;
  }
}

/* -- reductions */

/* Repeats a reduction's result along the axes that it took away. */
static Node *spread(Sweep *s, const Node *n, Node *a) {
  int axes[MAX_RANK];
  other_axes(n, A->type.rank, axes);
  return graph_broadcast(s->g, a, A->type.rank, A->type.dim, axes);
}

RULE(SUM) { GIVE(0, spread(s, n, dy)); }

/* All of it goes to the element whose number, counted over the reduced axes,
 * argmax tells. */
RULE(RMAX) {
  Type counted = type_scalar(T_I32), count = type_scalar(T_I32);
  int axes[MAX_RANK];
  if (!wants(s, n, 0))
    return;
  for (int i = 0; i < n->attr.n_axes; i++) {
    axes[i] = (int)n->attr.axes[i];
    counted.dim[counted.rank++] = A->type.dim[axes[i]];
  }
  count.dim[count.rank++] = type_count(&counted);
  Node *first = graph_reduce(s->g, OP_ARGMAX, A, n->attr.n_axes, axes);
  Node *number = graph_reshape(s->g, graph_iota(s->g, 0, count), counted.rank,
                               counted.dim);
  number = graph_broadcast(s->g, number, A->type.rank, A->type.dim, axes);
  Node *here = BI(EQ, spread(s, n, first), number), *all = spread(s, n, dy);
  give(s, n, 0, SELECT(here, all, NUM(0, A)));
}

/* Moves `batch` axes first, then those from `middle` on, then the ones that
 * lay between. */
static Node *swap_axes(Sweep *s, Node *a, int batch, int middle) {
  int axes[MAX_RANK], count = 0;
  for (int i = 0; i < batch; i++)
    axes[count++] = i;
  for (int i = middle; i < a->type.rank; i++)
    axes[count++] = i;
  for (int i = batch; i < middle; i++)
    axes[count++] = i;
  return graph_permute(s->g, a, axes);
}

/* With a (b,m,k), b (b,n,k) and dy (b,m,n):
 *   da (b,m,k) = sum over n of dy (b,m,n) * b (b,k,n)
 *   db (b,n,k) = sum over m of dy (b,n,m) * a (b,k,m) */
RULE(DOT) {
  int batch = (int)node_num(n, "batch");
  int contract = (int)node_num(n, "contract");
  int m_end = A->type.rank - contract, n_end = B->type.rank - contract;
  GIVE(0, graph_dot(s->g, dy, swap_axes(s, B, batch, n_end), batch,
                    n_end - batch));
  if (wants(s, n, 1)) {
    Node *dy_m = swap_axes(s, dy, batch, m_end);
    Node *a_m = swap_axes(s, A, batch, m_end);
    give(s, n, 1, graph_dot(s->g, dy_m, a_m, batch, m_end - batch));
  }
}

/* The result may be longer than the windows reach. */
RULE(FOLD) {
  int axis = (int)node_num(n, "axis");
  if (!wants(s, n, 0))
    return;
  Node *d = graph_window(s->g, dy, axis, A->type.dim[A->type.rank - 1],
                         node_num(n, "stride"), node_num(n, "dilation"));
  if (d->type.dim[axis] != A->type.dim[axis])
    d = graph_slice(s->g, d, axis, 0, 1, A->type.dim[axis]);
  give(s, n, 0, d);
}

/* -- indexed by values */

RULE(GATHER) {
  GIVE(0, graph_scatter(s->g, dy, B, (int)node_num(n, "batch"), A->type));
}

RULE(SCATTER) {
  GIVE(0, graph_gather(s->g, dy, B, (int)node_num(n, "batch")));
}

RULE(GRAD) {
  (void)dy;
  defect("%%%d of %s should be expanded", n->id, s->g->name);
}

static Rule *const rules[OP_COUNT] = {
#define OP(op, text, operands, flags, attributes) [OP_##op] = grad_##op,
#include "ir/ops.def"
#undef OP
};

/* -- the sweep */

typedef struct Grad {
  Arena *arena;
  Node **derivative; /* of the graph at hand: by old id of the grad node */
  const Graph *old;
  Text missing; /* parameters, with commas */
} Grad;

/* True if the objective depends on x other than through operations whose
 * derivative is 0: then a derivative that never came is a mistake. */
static bool should_have(const Node *objective, const Node *x, const Graph *g,
                        Arena *a) {
  bool *through = arena_alloc(a, (size_t)objective->id + 1);
  for (int id = x->id; id <= objective->id; id++) {
    const Node *n = g->node[id];
    through[id] = n == x;
    bool stops = n->op == OP_STOP || n->op == OP_SIGN || n->op == OP_FLOOR;
    for (int i = 0; i < n->n_in && !stops; i++)
      through[id] |= n->in[i]->id >= x->id && through[n->in[i]->id];
  }
  return through[objective->id];
}

/* The derivatives of `f` (in the new graph) that old nodes ask of `old_f`. */
static void sweep(Grad *t, const Rebuild *r, const Node *old_f, Node *f) {
  Sweep s = {.g = r->g};
  size_t count = (size_t)f->id + 1;
  s.adjoint = arena_alloc(t->arena, count * sizeof *s.adjoint);
  s.wanted = arena_alloc(t->arena, count * sizeof *s.wanted);
  for (int id = 0; id < r->old->n_nodes; id++) {
    const Node *n = r->old->node[id];
    if (r->live[id] && n->op == OP_GRAD && n->in[0] == old_f) {
      const Node *x = r->map[n->in[1]->id]; /* NULL, or later: not reached */
      if (x && x->id <= f->id)
        s.wanted[x->id] = true;
    }
  }
  for (int id = 0; id <= f->id; id++)
    for (int i = 0; i < s.g->node[id]->n_in; i++)
      s.wanted[id] |= s.wanted[s.g->node[id]->in[i]->id];
  s.adjoint[f->id] = graph_const(s.g, 1, f->type);
  for (int id = f->id; id >= 0; id--) {
    const Node *n = s.g->node[id];
    if (!s.adjoint[id] || !s.wanted[id])
      continue;
    int first = s.g->n_nodes;
    s.g->loc = n->n_locs ? n->locs[0] : (Loc){0};
    rules[n->op](&s, n, s.adjoint[id]);
    graph_add_locs(s.g, first, n);
  }
  s.g->loc = (Loc){0};
  for (int id = 0; id < r->old->n_nodes; id++) {
    const Node *n = r->old->node[id];
    if (!r->live[id] || n->op != OP_GRAD || n->in[0] != old_f)
      continue;
    const Node *x = r->map[n->in[1]->id];
    Node *d = x && x->id <= f->id ? s.adjoint[x->id] : NULL;
    if (!d && x && x->id <= f->id && should_have(f, x, s.g, t->arena)) {
      text_add(&t->missing, t->missing.n ? ", " : "");
      if (x->attr.name)
        text_add(&t->missing, "%s", x->attr.name);
      else
        text_add(&t->missing, "%%%d", n->in[1]->id);
    }
    t->derivative[id] = d ? d : graph_const(s.g, 0, n->type);
  }
}

static Node *expand(void *context, const Rebuild *r, const Node *n,
                    Node *const *in) {
  Grad *t = context;
  if (n->op != OP_GRAD)
    return graph_copy(r->g, n, in);
  if (t->old != r->old) {
    t->old = r->old;
    t->derivative = arena_alloc(t->arena, (size_t)r->old->n_nodes *
                                              sizeof *t->derivative);
  }
  if (!t->derivative[n->id])
    sweep(t, r, n->in[0], in[0]);
  return t->derivative[n->id];
}

Module *pass_grad(Arena *a, const Module *m, Diags *d) {
  Grad t = {.arena = a};
  text_init(&t.missing, a);
  Module *out = module_rebuild(a, m, expand, &t);
  if (t.missing.n == 0)
    return out;
  Diag *diag = diag_error(d, "E0801", m->objective,
                          "the objective has no derivative with respect to %s",
                          t.missing.s);
  diag_help(diag, "it depends on them through comparisons, argmax or indices "
                  "alone");
  return NULL;
}
