/* Expressions: one case for each kind of node of the tree. */
#include "frontend/lower.h"

#include <math.h>
#include <string.h>

static const Op unary_op[UNARY_COUNT] = {
    [UNARY_NEG] = OP_NEG, [UNARY_NOT] = OP_NOT, [UNARY_TRANSPOSE] = OP_COUNT};

/* `swap`: a > b is b < a. */
static const struct {
  Op op;
  bool swap;
} binary_op[BINARY_COUNT] = {
    [BINARY_ADD] = {OP_ADD, false}, [BINARY_SUB] = {OP_SUB, false},
    [BINARY_MUL] = {OP_MUL, false}, [BINARY_DIV] = {OP_DIV, false},
    [BINARY_MATMUL] = {OP_DOT, false}, [BINARY_POW] = {OP_POW, false},
    [BINARY_LT] = {OP_LT, false},   [BINARY_LE] = {OP_LE, false},
    [BINARY_GT] = {OP_LT, true},    [BINARY_GE] = {OP_LE, true},
    [BINARY_EQ] = {OP_EQ, false},   [BINARY_NE] = {OP_NE, false},
    [BINARY_AND] = {OP_AND, false}, [BINARY_OR] = {OP_OR, false}};

static const Value *eval_list(Scope *s, const Expr *e) {
  const Value **item =
      arena_alloc(s->L->a, (size_t)(e->list.n + 1) * sizeof *item);
  for (int i = 0; i < e->list.n; i++) {
    if (e->list.item[i]->kind == EXPR_REST) {
      fail(s, "E0301", e->list.item[i]->span,
           "`..` stands in the shape of a parameter only");
      return &poison;
    }
    item[i] = eval(s, e->list.item[i]);
    if (item[i]->kind == V_POISON)
      return &poison;
  }
  return value_list(s->L, e->list.n, item);
}

static const Value *eval_unary(Scope *s, const Expr *e) {
  const Value *a = eval(s, e->unary.a);
  if (a->kind == V_POISON)
    return a;
  if (e->unary.op == UNARY_TRANSPOSE)
    return transpose(s, e->span, a);
  return elementwise(s, e->span, unary_op[e->unary.op], 1, &a);
}

static bool is_zero(const Value *v) {
  return v->kind == V_NUMBER && v->number == 0;
}

/* In the train section `0 * penalty` is no penalty: nothing is computed. */
static bool vanishes(const Scope *s, Op op, const Value *a, const Value *b) {
  return s->is_train && op == OP_MUL && (is_zero(a) || is_zero(b)) &&
         a->kind != V_LIST && b->kind != V_LIST;
}

static const Value *eval_binary(Scope *s, const Expr *e) {
  Op op = binary_op[e->binary.op].op;
  const Value *a = eval(s, e->binary.a);
  /* `training and x` need not look at x, nor `false and x`. */
  if ((op == OP_AND || op == OP_OR) && a->kind == V_NUMBER &&
      (a->number != 0) == (op == OP_OR))
    return a;
  const Value *b = eval(s, e->binary.b);
  if (a->kind == V_POISON || b->kind == V_POISON)
    return &poison;
  if (op == OP_DOT)
    return matmul(s, e->span, a, b);
  if ((op == OP_EQ || op == OP_NE) && a->kind == V_STRING &&
      b->kind == V_STRING)
    return value_flag(s->L, !strcmp(a->string, b->string) == (op == OP_EQ));
  if (vanishes(s, op, a, b))
    return value_number(s->L, 0);
  const Value *pair[2] = {a, b};
  if (binary_op[e->binary.op].swap) {
    pair[0] = b;
    pair[1] = a;
  }
  return elementwise(s, e->span, op, 2, pair);
}

static const Value *eval_if(Scope *s, const Expr *e) {
  const Value *c = eval(s, e->select.condition);
  if (c->kind == V_POISON)
    return c;
  if (c->kind == V_NUMBER)
    return eval(s, c->number != 0 ? e->select.yes : e->select.no);
  const Value *arg[3] = {c, eval(s, e->select.yes), eval(s, e->select.no)};
  return elementwise(s, e->span, OP_SELECT, 3, arg);
}

/* -- x[i] along the first axis */

static const Value *index_list(const Scope *s, Span at, const Value *x,
                               const Value *i) {
  int64_t k;
  if (!need_whole(s, at, i, "an index of a list", 0, INT32_MAX, &k))
    return &poison;
  if (k < x->n)
    return x->item[k];
  fail(s, "E0318", at, "index %lld is out of range: the list has %d items",
       (long long)k, x->n);
  return &poison;
}

static const Value *index_number(const Scope *s, Span at, const Value *x,
                                 const Value *i) {
  Lower *L = s->L;
  int64_t k;
  if (!need_whole(s, at, i, "an index", 0, MAX_ELEMENTS, &k))
    return &poison;
  if (k >= sample_dims(x)[0]) {
    Diag *diag = fail(s, "E0318", at,
                      "index %lld is out of range: the value is %s",
                      (long long)k, value_text(L, x));
    note_origin(L, diag, x);
    return &poison;
  }
  set_loc(s, at);
  Node *part = graph_slice(L->g, x->node, x->sample, k, 1, 1);
  int64_t dim[MAX_RANK];
  int rank = 0;
  for (int a = 0; a < part->type.rank; a++)
    if (a != x->sample)
      dim[rank++] = part->type.dim[a];
  return value_moved(L, graph_reshape(L->g, part, rank, dim), x);
}

/* x[label] where both depend on the sample and the label is one number: the sum
 * of x where the position is the label, which fuses with what is around. */
static const Value *index_one(const Scope *s, Span at, const Value *x,
                              const Value *i) {
  Lower *L = s->L;
  set_loc(s, at);
  const Type *t = &x->node->type;
  Type where = type_of(T_I32, t->rank, t->dim);
  static const int rows[1] = {0}, along[1] = {1};
  Node *label = graph_broadcast(L->g, i->node, t->rank, t->dim, rows);
  Node *hit = graph_binary(L->g, OP_EQ, graph_iota(L->g, 1, where), label);
  Node *only = graph_select(L->g, hit, x->node, graph_const(L->g, 0, *t));
  return value_from(L, value_node(L, graph_reduce(L->g, OP_SUM, only, 1, along),
                                  true),
                    own_span(s, at), NULL);
}

static const Value *index_gather(const Scope *s, Span at, const Value *x,
                                 const Value *i) {
  Lower *L = s->L;
  Node *index = i->node;
  int64_t dim[2 * MAX_RANK + 1];
  int rank = 0;
  if (x->sample || i->sample)
    dim[rank++] = L->batch;
  for (int k = 0; k < sample_rank(i); k++)
    dim[rank++] = sample_dims(i)[k];
  for (int k = 1; k < sample_rank(x); k++)
    dim[rank++] = sample_dims(x)[k];
  if (!check_size(s, at, rank, dim))
    return &poison;
  set_loc(s, at);
  if (x->sample && !i->sample) {
    int axes[MAX_RANK];
    int64_t all[MAX_RANK + 1] = {L->batch};
    for (int k = 0; k < index->type.rank; k++) {
      axes[k] = k + 1;
      all[k + 1] = index->type.dim[k];
    }
    index = graph_broadcast(L->g, index, index->type.rank + 1, all, axes);
  }
  Node *n = graph_gather(L->g, x->node, index, x->sample);
  return value_from(L, value_node(L, n, x->sample || i->sample),
                    own_span(s, at), NULL);
}

const Value *index_value(const Scope *s, Span at, const Value *x,
                         const Value *i) {
  Lower *L = s->L;
  if (x->kind == V_POISON || i->kind == V_POISON)
    return &poison;
  if (x->kind == V_LIST) {
    if (i->kind != V_TENSOR)
      return index_list(s, at, x, i);
    x = list_tensor(s, at, x);
  }
  if (!(x = need_tensor(s, at, x, "what [] takes a part of")))
    return &poison;
  if (sample_rank(x) == 0) {
    fail(s, "E0318", at, "a single number has no axis for an index");
    return &poison;
  }
  if (i->kind == V_NUMBER)
    return index_number(s, at, x, i);
  if (!(i = need_tensor(s, at, i, "an index")))
    return &poison;
  if (i->node->type.dtype != T_I32) {
    fail(s, "E0318", at, "an index must be a whole number or integers, "
         "but it is %s%s", value_text(L, i),
         dtype_is_float(i->node->type.dtype) ? " of real numbers" : "");
    return &poison;
  }
  if (i->classes > sample_dims(x)[0]) {
    Diag *diag = fail(s, "E0318", at, "class[%lld] is too large an index for %s",
                      (long long)i->classes, value_text(L, x));
    note_origin(L, diag, x);
    return &poison;
  }
  if (x->sample && i->sample && sample_rank(i) == 0)
    return index_one(s, at, x, i);
  return index_gather(s, at, x, i);
}

static const Value *eval_index(Scope *s, const Expr *e) {
  const Value *x = eval(s, e->index.of);
  const Value *i = eval(s, e->index.index);
  return index_value(s, e->span, x, i);
}

static const Value *eval_except(Scope *s, const Expr *e) {
  const Value *a = eval(s, e->except.set);
  const Value *b = eval(s, e->except.without);
  return set_except(s, e, a, b);
}

static const Value *eval_kind(Scope *s, const Expr *e) {
  switch (e->kind) {
  case EXPR_NUMBER:
    return value_number(s->L, e->number);
  case EXPR_BOOL:
    return value_flag(s->L, e->truth);
  case EXPR_STRING:
    return value_string(s->L, e->string);
  case EXPR_NAME:
    return scope_name(s, e->span, e->name);
  case EXPR_LIST:
    return eval_list(s, e);
  case EXPR_REST:
    fail(s, "E0301", e->span, "`..` stands in the shape of a parameter only");
    return &poison;
  case EXPR_CALL:
    return eval_call(s, e, NULL);
  case EXPR_MEMBER:
    return eval_member(s, e);
  case EXPR_INDEX:
    return eval_index(s, e);
  case EXPR_UNARY:
    return eval_unary(s, e);
  case EXPR_BINARY:
    return eval_binary(s, e);
  case EXPR_IF:
    return eval_if(s, e);
  case EXPR_PIPELINE:
    return eval_pipeline(s, e);
  case EXPR_EXCEPT:
    return eval_except(s, e);
  case EXPR_COUNT:
    break;
  }
  return &poison;
}

const Value *eval(Scope *s, const Expr *e) {
  Lower *L = s->L;
  if (L->eval_depth >= MAX_EVAL_DEPTH) {
    fail(s, "E0602", e->span, "definitions are nested too deeply");
    return &poison;
  }
  L->eval_depth++;
  const Value *v = eval_kind(s, e);
  L->eval_depth--;
  return v;
}
