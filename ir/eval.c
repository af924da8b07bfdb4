/* The interpreter: the oracle for every pass and for generated code. It is
 * slow and obvious on purpose: one function for each row of the operation
 * table, each element found by its index, nothing clever.
 *
 * All values are doubles. f32 is not rounded, but by eval_each; i32 and u32 are exact and wrap
 * modulo 2^32; i1 is 0 or 1. Sums run in row-major order of the operand. */
#include "ir/ir.h"
#include "runtime/philox.h"

#include <math.h>
#include <string.h>

typedef struct Eval {
  Arena *arena;
  const EvalEnv *env;
  const Node *n;
  const double *in[3]; /* of the first three operands */
  double **value;      /* of every node before n */
  double *out;         /* zeros at first */
} Eval;

typedef void Rule(const Eval *e);

/* The index of element i, and the element at an index, in row-major order. */
static void unravel(const Type *t, int64_t i, int64_t *index) {
  for (int axis = t->rank - 1; axis >= 0; axis--) {
    index[axis] = i % t->dim[axis];
    i /= t->dim[axis];
  }
}

static int64_t ravel(const Type *t, const int64_t *index) {
  int64_t i = 0;
  for (int axis = 0; axis < t->rank; axis++)
    i = i * t->dim[axis] + index[axis];
  return i;
}

/* An integer modulo 2^32, as a value of the type. */
static double wrap(uint64_t v, DType t) {
  return t == T_U32 ? (double)(uint32_t)v : (double)(int32_t)(uint32_t)v;
}

static uint64_t whole(double v) { return (uint64_t)(int64_t)v; }

static double plus(double a, double b, DType t) {
  return dtype_is_float(t) ? a + b : wrap(whole(a) + whole(b), t);
}

static const Type *type_in(const Eval *e, int i) { return &e->n->in[i]->type; }

/* -- leaves */

static void leaf(const Eval *e) {
  const double *v = e->env->leaf(e->env->context, e->n);
  if (!v)
    defect("no value for %s %s", op_info[e->n->op].text, e->n->attr.name);
  memcpy(e->out, v, (size_t)type_count(&e->n->type) * sizeof *v);
}

static void eval_PARAM(const Eval *e) { leaf(e); }
static void eval_STATE(const Eval *e) { leaf(e); }
static void eval_INPUT(const Eval *e) { leaf(e); }
static void eval_SCALAR(const Eval *e) { leaf(e); }

static void eval_CONST(const Eval *e) {
  for (int64_t i = 0; i < type_count(&e->n->type); i++)
    e->out[i] = e->n->attr.value;
}

static void eval_IOTA(const Eval *e) {
  int64_t index[MAX_RANK], axis = node_num(e->n, "axis");
  for (int64_t i = 0; i < type_count(&e->n->type); i++) {
    unravel(&e->n->type, i, index);
    e->out[i] = (double)index[axis];
  }
}

static void eval_RAND(const Eval *e) {
  const Type *t = &e->n->type;
  uint32_t place = (uint32_t)node_num(e->n, "place");
  int64_t count = type_count(t);
  int64_t a_row = node_num(e->n, "sample") ? count / t->dim[0] : count;
  for (int64_t i = 0; i < count; i++) {
    uint32_t word =
        philox_word(e->env->seed, place, (uint32_t)e->env->step,
                    (uint32_t)(i / a_row), (uint32_t)(i % a_row));
    e->out[i] = (double)philox_uniform(word);
  }
}

/* -- elementwise: `a`, `b` and `c` are the operands' elements, `t` the type of
 * the first operand */

#define EACH(op, expression)                                                   \
  static void eval_##op(const Eval *e) {                                       \
    DType t = type_in(e, 0)->dtype;                                            \
    for (int64_t i = 0; i < type_count(&e->n->type); i++) {                    \
      double a = e->in[0][i];                                                  \
      (void)t;                                                                 \
      e->out[i] = (expression);                                                \
    }                                                                          \
  }
#define EACH2(op, expression)                                                  \
  static void eval_##op(const Eval *e) {                                       \
    DType t = type_in(e, 0)->dtype;                                            \
    for (int64_t i = 0; i < type_count(&e->n->type); i++) {                    \
      double a = e->in[0][i], b = e->in[1][i];                                 \
      (void)t;                                                                 \
      e->out[i] = (expression);                                                \
    }                                                                          \
  }

static double negated(double a, DType t) {
  return dtype_is_float(t) ? -a : wrap(0 - whole(a), t);
}

static double times(double a, double b, DType t) {
  return dtype_is_float(t) ? a * b : wrap(whole(a) * whole(b), t);
}

static double larger(double a, double b) {
  return isnan(a) || a > b ? a : b; /* b where it is NaN or they are equal */
}

static double smaller(double a, double b) { return isnan(a) || a < b ? a : b; }

EACH(NEG, negated(a, t))
EACH(EXP, exp(a))
EACH(LOG, log(a))
EACH(SQRT, sqrt(a))
EACH(ABS, a < 0 ? negated(a, t) : fabs(a))
EACH(SIGN, (a > 0) - (a < 0))
EACH(TANH, tanh(a))
EACH(ERF, erf(a))
EACH(SIN, sin(a))
EACH(COS, cos(a))
EACH(FLOOR, floor(a))
EACH(NOT, a == 0)
EACH(STOP, a)
EACH2(ADD, plus(a, b, t))
EACH2(SUB, plus(a, negated(b, t), t))
EACH2(MUL, times(a, b, t))
EACH2(DIV, a / b)
EACH2(POW, pow(a, b))
EACH2(MAX, larger(a, b))
EACH2(MIN, smaller(a, b))
EACH2(LT, a < b)
EACH2(LE, a <= b)
EACH2(EQ, a == b)
EACH2(NE, a != b)
EACH2(AND, a != 0 && b != 0)
EACH2(OR, a != 0 || b != 0)

/* Towards zero, then to the nearest number that the type has; NaN to 0. */
static double cast(double a, DType from, DType to) {
  if (dtype_is_float(to))
    return a;
  if (to == T_I1)
    return a != 0;
  if (!dtype_is_float(from))
    return wrap(whole(a), to);
  double least = to == T_U32 ? 0 : -2147483648.0;
  double most = to == T_U32 ? 4294967295.0 : 2147483647.0;
  return isnan(a) ? 0 : fmin(fmax(trunc(a), least), most);
}

EACH(CAST, cast(a, t, e->n->type.dtype))

static void eval_SELECT(const Eval *e) {
  for (int64_t i = 0; i < type_count(&e->n->type); i++)
    e->out[i] = e->in[0][i] != 0 ? e->in[1][i] : e->in[2][i];
}

/* -- views: for each element of the result, which element of the operand */

static void eval_RESHAPE(const Eval *e) {
  memcpy(e->out, e->in[0], (size_t)type_count(&e->n->type) * sizeof *e->out);
}

static void eval_PERMUTE(const Eval *e) {
  int64_t to[MAX_RANK], from[MAX_RANK] = {0};
  for (int64_t i = 0; i < type_count(&e->n->type); i++) {
    unravel(&e->n->type, i, to);
    for (int k = 0; k < e->n->type.rank; k++)
      from[e->n->attr.axes[k]] = to[k];
    e->out[i] = e->in[0][ravel(type_in(e, 0), from)];
  }
}

static void eval_BROADCAST(const Eval *e) {
  int64_t to[MAX_RANK], from[MAX_RANK];
  for (int64_t i = 0; i < type_count(&e->n->type); i++) {
    unravel(&e->n->type, i, to);
    for (int k = 0; k < type_in(e, 0)->rank; k++)
      from[k] = to[e->n->attr.axes[k]];
    e->out[i] = e->in[0][ravel(type_in(e, 0), from)];
  }
}

static void eval_SLICE(const Eval *e) {
  int64_t index[MAX_RANK], axis = node_num(e->n, "axis");
  int64_t start = node_num(e->n, "start"), step = node_num(e->n, "step");
  for (int64_t i = 0; i < type_count(&e->n->type); i++) {
    unravel(&e->n->type, i, index);
    index[axis] = start + index[axis] * step;
    e->out[i] = e->in[0][ravel(type_in(e, 0), index)];
  }
}

static void eval_WINDOW(const Eval *e) {
  int64_t index[MAX_RANK], axis = node_num(e->n, "axis");
  int64_t stride = node_num(e->n, "stride");
  int64_t dilation = node_num(e->n, "dilation");
  int last = e->n->type.rank - 1;
  for (int64_t i = 0; i < type_count(&e->n->type); i++) {
    unravel(&e->n->type, i, index);
    index[axis] = index[axis] * stride + index[last] * dilation;
    e->out[i] = e->in[0][ravel(type_in(e, 0), index)];
  }
}

static void eval_PAD(const Eval *e) {
  const Type *a = type_in(e, 0);
  int64_t index[MAX_RANK], axis = node_num(e->n, "axis");
  for (int64_t i = 0; i < type_count(&e->n->type); i++) {
    unravel(&e->n->type, i, index);
    index[axis] -= node_num(e->n, "before");
    bool inside = index[axis] >= 0 && index[axis] < a->dim[axis];
    e->out[i] = inside ? e->in[0][ravel(a, index)] : e->n->attr.value;
  }
}

static void eval_CONCAT(const Eval *e) {
  int64_t index[MAX_RANK], axis = node_num(e->n, "axis");
  for (int64_t i = 0; i < type_count(&e->n->type); i++) {
    unravel(&e->n->type, i, index);
    int k = 0; /* which operand */
    for (; index[axis] >= e->n->in[k]->type.dim[axis]; k++)
      index[axis] -= e->n->in[k]->type.dim[axis];
    e->out[i] =
        e->value[e->n->in[k]->id][ravel(&e->n->in[k]->type, index)];
  }
}

/* -- reductions: for each element of the operand, which element of the result,
 * and where in the reduced axes, row-major in their order, it lies */

static int64_t reduced_to(const Eval *e, int64_t i, int64_t *position) {
  const Type *a = type_in(e, 0);
  int64_t index[MAX_RANK], kept[MAX_RANK];
  bool gone[MAX_RANK] = {false};
  unravel(a, i, index);
  *position = 0;
  for (int k = 0; k < e->n->attr.n_axes; k++) {
    int64_t axis = e->n->attr.axes[k];
    *position = *position * a->dim[axis] + index[axis];
    gone[axis] = true;
  }
  int n = 0;
  for (int k = 0; k < a->rank; k++)
    if (!gone[k])
      kept[n++] = index[k];
  return ravel(&e->n->type, kept);
}

static void eval_SUM(const Eval *e) {
  int64_t position;
  for (int64_t i = 0; i < type_count(type_in(e, 0)); i++) {
    double *sum = &e->out[reduced_to(e, i, &position)];
    *sum = plus(*sum, e->in[0][i], e->n->type.dtype);
  }
}

static void eval_RMAX(const Eval *e) {
  int64_t position;
  for (int64_t i = 0; i < type_count(&e->n->type); i++)
    e->out[i] = -HUGE_VAL;
  for (int64_t i = 0; i < type_count(type_in(e, 0)); i++) {
    double *most = &e->out[reduced_to(e, i, &position)];
    *most = larger(*most, e->in[0][i]);
  }
}

/* NaN is larger than any number; of equals the first position is taken. */
static void eval_ARGMAX(const Eval *e) {
  size_t bytes = (size_t)type_count(&e->n->type) * sizeof(double);
  double *best = arena_alloc(e->arena, bytes);
  for (int64_t i = 0; i < type_count(&e->n->type); i++)
    e->out[i] = -1; /* nothing seen */
  for (int64_t i = 0; i < type_count(type_in(e, 0)); i++) {
    double a = e->in[0][i];
    int64_t position, r = reduced_to(e, i, &position);
    bool equal = a == best[r] || (isnan(a) && isnan(best[r]));
    bool above = a > best[r] || (isnan(a) && !isnan(best[r]));
    if (e->out[r] < 0 || above || (equal && (double)position < e->out[r])) {
      best[r] = a;
      e->out[r] = (double)position;
    }
  }
}

/* Leading axes are the batch and trailing ones contracted, so that both
 * operands are three-dimensional: a (B,M,K), b (B,N,K), result (B,M,N). */
static void eval_DOT(const Eval *e) {
  const Type *ta = type_in(e, 0), *tb = type_in(e, 1);
  int64_t batch = 1, M = 1, N = 1, K = 1;
  int leading = (int)node_num(e->n, "batch");
  int trailing = (int)node_num(e->n, "contract");
  for (int i = 0; i < ta->rank; i++)
    *(i < leading ? &batch : i < ta->rank - trailing ? &M : &K) *= ta->dim[i];
  for (int i = leading; i < tb->rank - trailing; i++)
    N *= tb->dim[i];
  for (int64_t i = 0; i < batch * M * N; i++) {
    int64_t b = i / (M * N), m = i / N % M, n = i % N;
    for (int64_t k = 0; k < K; k++)
      e->out[i] +=
          e->in[0][(b * M + m) * K + k] * e->in[1][(b * N + n) * K + k];
  }
}

static void eval_FOLD(const Eval *e) {
  const Type *a = type_in(e, 0);
  int64_t index[MAX_RANK], axis = node_num(e->n, "axis");
  int64_t stride = node_num(e->n, "stride");
  int64_t dilation = node_num(e->n, "dilation");
  for (int64_t i = 0; i < type_count(a); i++) {
    unravel(a, i, index);
    index[axis] = index[axis] * stride + index[a->rank - 1] * dilation;
    double *sum = &e->out[ravel(&e->n->type, index)];
    *sum = plus(*sum, e->in[0][i], e->n->type.dtype);
  }
}

/* -- indexed by values */

/* The element of `table` (batch.. V rest..) that element i of `gathered`
 * (index.. rest..) is; an index outside 0..V-1 is taken as the nearest. */
static int64_t looked_up(const Eval *e, const Type *table, const Type *gathered,
                         int64_t i) {
  const Type *index = type_in(e, 1);
  int batch = (int)node_num(e->n, "batch");
  int64_t to[MAX_RANK], from[MAX_RANK];
  unravel(gathered, i, to);
  for (int k = 0; k < batch; k++)
    from[k] = to[k];
  double v = e->in[1][ravel(index, to)];
  from[batch] = (int64_t)fmin(fmax(v, 0), (double)(table->dim[batch] - 1));
  for (int k = batch + 1; k < table->rank; k++)
    from[k] = to[index->rank + k - batch - 1];
  return ravel(table, from);
}

static void eval_GATHER(const Eval *e) {
  for (int64_t i = 0; i < type_count(&e->n->type); i++)
    e->out[i] = e->in[0][looked_up(e, type_in(e, 0), &e->n->type, i)];
}

static void eval_SCATTER(const Eval *e) {
  for (int64_t i = 0; i < type_count(type_in(e, 0)); i++) {
    double *sum = &e->out[looked_up(e, &e->n->type, type_in(e, 0), i)];
    *sum = plus(*sum, e->in[0][i], e->n->type.dtype);
  }
}

static void eval_GRAD(const Eval *e) {
  defect("a derivative in %%%d: the pass grad has not run", e->n->id);
}

static Rule *const rules[OP_COUNT] = {
#define OP(op, text, operands, flags, attributes) [OP_##op] = eval_##op,
#include "ir/ops.def"
#undef OP
};

static void eval_node(Arena *a, const Node *n, const EvalEnv *env,
                      double **value) {
  Eval e = {.arena = a, .env = env, .n = n, .value = value};
  value[n->id] =
      arena_alloc(a, (size_t)type_count(&n->type) * sizeof **value);
  e.out = value[n->id];
  for (int i = 0; i < n->n_in && i < 3; i++)
    e.in[i] = value[n->in[i]->id];
  rules[n->op](&e);
}

/* As memory holds them. */
static void round_values(const Node *n, double *v) {
  for (int64_t i = 0; n->type.dtype == T_F32 && i < type_count(&n->type); i++)
    v[i] = (double)(float)v[i];
}

void eval_each(const Graph *g, const EvalEnv *env, const bool *wanted,
               void (*see)(void *context, const Node *n,
                           const double *value)) {
  Arena *a = arena_new();
  size_t n_nodes = (size_t)g->n_nodes;
  double **value = arena_alloc(a, n_nodes * sizeof *value);
  Arena **own = arena_alloc(a, n_nodes * sizeof *own); /* each value's memory */
  int *last = arena_alloc(a, n_nodes * sizeof *last);  /* its last user */
  for (int id = 0; id < g->n_nodes; id++)
    for (int i = 0; wanted[id] && i < g->node[id]->n_in; i++)
      last[g->node[id]->in[i]->id] = id;
  for (int id = 0; id < g->n_nodes; id++) {
    const Node *n = g->node[id];
    if (!wanted[id])
      continue;
    own[id] = arena_new();
    eval_node(own[id], n, env, value);
    round_values(n, value[id]);
    see(env->context, n, value[id]);
    for (int i = 0; i <= n->n_in; i++) { /* the operands, and what none uses */
      int old = i < n->n_in ? n->in[i]->id : id;
      if (i < n->n_in ? last[old] == id : !last[id]) {
        arena_free(own[old]);
        own[old] = NULL;
      }
    }
  }
  arena_free(a);
}

double **eval_graph(Arena *a, const Graph *g, const EvalEnv *env) {
  double **value = arena_alloc(a, (size_t)g->n_nodes * sizeof *value);
  for (int id = 0; id < g->n_nodes; id++)
    eval_node(a, g->node[id], env, value);
  return value;
}
