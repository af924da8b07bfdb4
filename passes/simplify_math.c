/* The rules of `simplify` for arithmetic, each under its algebra. Operands that
 * commute stand in order of their ids, so both places are looked at. */
#include "passes/simplify.h"

#include <float.h>
#include <math.h>

#define A (n->in[0])
#define B (n->in[1])
#define C (n->in[2])
#define NUM(v) graph_const(s->g, v, n->type)
#define UN(op, a) simplify_node(s, graph_unary(s->g, OP_##op, a))
#define BI(op, a, b) simplify_node(s, graph_binary(s->g, OP_##op, a, b))
#define RULE(name) static Node *name(Simplify *s, Node *n)
#define UNUSED (void)s

static bool is_int(const Node *n) { return !dtype_is_float(n->type.dtype); }

/* Whether v, used as f32, neither overflows nor vanishes nor is denormal. */
static bool is_tame(double v) {
  return v == 0 || !isfinite(v) ||
         (fabs(v) >= (double)FLT_MIN && fabs(v) <= (double)FLT_MAX);
}

/* -- all elementwise operations */

/* f(c, ..) is a constant: the interpreter works it out */
RULE(fold_constants) {
  Node *in[3];
  if (!op_info[n->op].elementwise || n->n_in > 3)
    return NULL;
  for (int i = 0; i < n->n_in; i++)
    if (n->in[i]->op != OP_CONST)
      return NULL;
  Graph *one = graph_new(s->g->arena, "one");
  for (int i = 0; i < n->n_in; i++)
    in[i] = graph_const(one, n->in[i]->attr.value,
                        type_scalar(n->in[i]->type.dtype));
  Type t = type_scalar(n->type.dtype);
  Node *y = graph_add(one, n->op, &n->attr, n->n_in, in, &t);
  EvalEnv env = {0};
  double v = eval_graph(s->g->arena, one, &env)[y->id][0];
  return n->type.dtype == T_F32 && !is_tame(v) ? NULL : NUM(v);
}

/* f(broadcast a, broadcast b, c) = broadcast f(a, b, c) */
RULE(compute_before_broadcast) {
  Node *in[3];
  const Node *like = NULL;
  if (!op_info[n->op].elementwise || n->n_in > 3)
    return NULL;
  for (int i = 0; i < n->n_in; i++) {
    const Node *b = n->in[i];
    if (b->op == OP_CONST)
      continue;
    if (b->op != OP_BROADCAST)
      return NULL;
    if (like && (like->attr.n_axes != b->attr.n_axes ||
                 !shape_equal(&like->in[0]->type, &b->in[0]->type)))
      return NULL;
    for (int k = 0; like && k < b->attr.n_axes; k++)
      if (like->attr.axes[k] != b->attr.axes[k])
        return NULL;
    like = b;
  }
  if (!like)
    return NULL;
  for (int i = 0; i < n->n_in; i++) {
    Type t = like->in[0]->type;
    t.dtype = n->in[i]->type.dtype;
    in[i] = n->in[i]->op == OP_CONST
                ? graph_const(s->g, n->in[i]->attr.value, t)
                : n->in[i]->in[0];
  }
  Type t = like->in[0]->type;
  t.dtype = n->type.dtype;
  Node *small =
      simplify_node(s, graph_add(s->g, n->op, &n->attr, n->n_in, in, &t));
  return simplify_node(
      s, graph_add(s->g, OP_BROADCAST, &like->attr, 1, &small, &n->type));
}

/* -- one operand */

/* -(-x) = x */
RULE(neg_neg) {
  UNUSED;
  return A->op == OP_NEG ? A->in[0] : NULL;
}

/* not not x = x */
RULE(not_not) {
  UNUSED;
  return A->op == OP_NOT ? A->in[0] : NULL;
}

/* |-x| = ||x|| = |x| */
RULE(abs_even) {
  return A->op == OP_NEG || A->op == OP_ABS ? UN(ABS, A->in[0]) : NULL;
}

/* cast x to its own type = x */
RULE(cast_same) {
  UNUSED;
  return A->type.dtype == n->type.dtype ? A : NULL;
}

/* cast (cast x) = cast x where the inner one loses nothing */
RULE(cast_cast) {
  if (A->op != OP_CAST)
    return NULL;
  DType from = A->in[0]->type.dtype, by = A->type.dtype, to = n->type.dtype;
  bool whole = from == T_I32 || from == T_U32;
  /* integers wrap into another integer type, floats are cut off */
  bool exact = from == T_I1 || (from == T_F32 && by == T_F64) ||
               (whole && by == T_F64 && (to == from || dtype_is_float(to)));
  return exact ? simplify_node(s, graph_cast(s->g, A->in[0], to)) : NULL;
}

/* stop x = x, once no derivative is asked for */
RULE(stop_gone) { return s->has_grads ? NULL : A; }

/* -- two operands */

/* x + 0 = x */
RULE(add_zero) {
  UNUSED;
  return is_const(B, 0) ? A : is_const(A, 0) ? B : NULL;
}

/* x + (-y) = x - y */
RULE(add_neg) {
  if (B->op == OP_NEG)
    return BI(SUB, A, B->in[0]);
  return A->op == OP_NEG ? BI(SUB, B, A->in[0]) : NULL;
}

/* x - 0 = x */
RULE(sub_zero) {
  UNUSED;
  return is_const(B, 0) ? A : NULL;
}

/* 0 - x = -x; u32 has no sign */
RULE(sub_from_zero) {
  return is_const(A, 0) && n->type.dtype != T_U32 ? UN(NEG, B) : NULL;
}

/* x - (-y) = x + y */
RULE(sub_neg) { return B->op == OP_NEG ? BI(ADD, A, B->in[0]) : NULL; }

/* x - x = 0, but for infinities and NaN */
RULE(sub_self) {
  return A == B && (s->loose || is_int(n)) ? NUM(0) : NULL;
}

/* x 1 = x */
RULE(mul_one) {
  UNUSED;
  return is_const(B, 1) ? A : is_const(A, 1) ? B : NULL;
}

/* x (-1) = -x */
RULE(mul_minus_one) {
  return is_const(B, -1)   ? UN(NEG, A)
         : is_const(A, -1) ? UN(NEG, B)
                           : NULL;
}

/* x 0 = 0, but for infinities and NaN */
RULE(mul_zero) {
  bool zero = is_const(A, 0) || is_const(B, 0);
  return zero && (s->loose || is_int(n)) ? NUM(0) : NULL;
}

/* (-x) (-y) = x y */
RULE(mul_neg_neg) {
  return A->op == OP_NEG && B->op == OP_NEG ? BI(MUL, A->in[0], B->in[0])
                                            : NULL;
}

/* x / 1 = x */
RULE(div_one) {
  UNUSED;
  return is_const(B, 1) ? A : NULL;
}

/* x / c = x (1/c) where c is a power of two; for other c but for rounding */
RULE(div_const) {
  if (B->op != OP_CONST)
    return NULL;
  double c = B->attr.value;
  int exponent;
  bool power = fabs(frexp(c, &exponent)) == 0.5;
  if (c == 0 || !isfinite(c) || !is_tame(c) || !is_tame(1 / c) ||
      !(power || s->loose))
    return NULL;
  return BI(MUL, A, NUM(1 / c));
}

/* x^0 = 1, x^1 = x, x^2 = x x, x^3 = x (x x), x^-1 = 1/x, x^0.5 = sqrt x,
 * x^-0.5 = 1 / sqrt x */
RULE(pow_const) {
  if (is_const(B, 0) || is_const(A, 1))
    return NUM(1);
  if (is_const(B, 1))
    return A;
  if (is_const(B, 2))
    return BI(MUL, A, A);
  if (is_const(B, 3))
    return BI(MUL, A, BI(MUL, A, A));
  if (is_const(B, -1))
    return BI(DIV, NUM(1), A);
  if (is_const(B, 0.5))
    return UN(SQRT, A);
  if (!is_const(B, -0.5))
    return NULL;
  Node *root = UN(SQRT, A); /* before the call: its arguments have no order */
  return BI(DIV, NUM(1), root);
}

/* max(x, x) = x, and so for min, and, or */
RULE(same_twice) {
  UNUSED;
  return A == B ? A : NULL;
}

/* x and true = x, x and false = false */
RULE(and_const) {
  UNUSED;
  if (is_const(A, 1) || is_const(B, 0))
    return B;
  return is_const(B, 1) || is_const(A, 0) ? A : NULL;
}

/* x or false = x, x or true = true */
RULE(or_const) {
  UNUSED;
  if (is_const(A, 0) || is_const(B, 1))
    return B;
  return is_const(B, 0) || is_const(A, 1) ? A : NULL;
}

/* -- three operands */

/* true ? x : y = x, false ? x : y = y */
RULE(select_const) {
  UNUSED;
  return is_const(A, 1) ? B : is_const(A, 0) ? C : NULL;
}

/* c ? x : x = x */
RULE(select_same) {
  UNUSED;
  return B == C ? B : NULL;
}

/* not c ? x : y = c ? y : x */
RULE(select_not) {
  return A->op == OP_NOT
             ? simplify_node(s, graph_select(s->g, A->in[0], C, B))
             : NULL;
}

/* c ? (c ? x : _) : (c ? _ : y) = c ? x : y */
RULE(select_again) {
  Node *x = B->op == OP_SELECT && B->in[0] == A ? B->in[1] : B;
  Node *y = C->op == OP_SELECT && C->in[0] == A ? C->in[2] : C;
  return x != B || y != C ? simplify_node(s, graph_select(s->g, A, x, y))
                          : NULL;
}

const RewriteRule math_rules[] = {
    {OP_COUNT, fold_constants},
    {OP_NEG, neg_neg},
    {OP_NOT, not_not},
    {OP_ABS, abs_even},
    {OP_CAST, cast_same},
    {OP_CAST, cast_cast},
    {OP_STOP, stop_gone},
    {OP_ADD, add_zero},
    {OP_ADD, add_neg},
    {OP_SUB, sub_zero},
    {OP_SUB, sub_from_zero},
    {OP_SUB, sub_neg},
    {OP_SUB, sub_self},
    {OP_MUL, mul_one},
    {OP_MUL, mul_minus_one},
    {OP_MUL, mul_zero},
    {OP_MUL, mul_neg_neg},
    {OP_DIV, div_one},
    {OP_DIV, div_const},
    {OP_POW, pow_const},
    {OP_MAX, same_twice},
    {OP_MIN, same_twice},
    {OP_AND, same_twice},
    {OP_AND, and_const},
    {OP_OR, same_twice},
    {OP_OR, or_const},
    {OP_SELECT, select_const},
    {OP_SELECT, select_same},
    {OP_SELECT, select_not},
    {OP_SELECT, select_again},
    {OP_COUNT, compute_before_broadcast},
    {OP_COUNT, NULL},
};
