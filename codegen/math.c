/* Elementwise operations as LLVM IR. exp, log, tanh and erf of f32 are our own
 * polynomials, made of additions, fused products and bit operations only, so that
 * scalars, vectors and every target give the same bits; what is rarer goes to
 * libm, lane by lane. NaN goes in and comes out; no fast-math flag is ever set. */
#include <math.h>

#include "codegen/emit.h"

static LLVMTypeRef int_like(const Build *b, LLVMValueRef x) {
  return build_vector(LLVMInt32TypeInContext(b->context), build_lanes(x));
}

static LLVMValueRef num(const Build *b, LLVMValueRef like, double v) {
  return build_number(b, LLVMTypeOf(like), v);
}

static LLVMValueRef times(const Build *b, LLVMValueRef x, LLVMValueRef y) {
  return LLVMBuildFMul(b->b, x, y, "");
}

static LLVMValueRef plus(const Build *b, LLVMValueRef x, LLVMValueRef y) {
  return LLVMBuildFAdd(b->b, x, y, "");
}

static LLVMValueRef fcmp(const Build *b, LLVMRealPredicate p, LLVMValueRef x,
                         double y) {
  return LLVMBuildFCmp(b->b, p, x, num(b, x, y), "");
}

/* c[0] x^(n-1) + .. + c[n-1] by Horner's rule. */
static LLVMValueRef polynomial(const Build *b, LLVMValueRef x, const double *c,
                               int n) {
  LLVMValueRef r = num(b, x, c[0]);
  for (int i = 1; i < n; i++) r = build_fma(b, r, x, num(b, x, c[i]));
  return r;
}

/* 2^n for whole n (a float) in [-126, 127], by its exponent bits. */
static LLVMValueRef power_of_two(const Build *b, LLVMValueRef n) {
  LLVMTypeRef it = int_like(b, n);
  LLVMValueRef i = LLVMBuildFPToSI(b->b, n, it, "");
  i = LLVMBuildAdd(b->b, i, build_integer(it, 127), "");
  i = LLVMBuildShl(b->b, i, build_integer(it, 23), "");
  return LLVMBuildBitCast(b->b, i, LLVMTypeOf(n), "");
}

static LLVMValueRef at_least(const Build *b, LLVMValueRef x, double low) {
  return build_select(b, fcmp(b, LLVMRealOLT, x, low), num(b, x, low), x);
}

static LLVMValueRef at_most(const Build *b, LLVMValueRef x, double high) {
  return build_select(b, fcmp(b, LLVMRealOGT, x, high), num(b, x, high), x);
}

/* exp(x) = 2^n e^r with |r| <= ln 2 / 2, after Cephes' expf. The factor is
 * applied in two halves so that results below the normal range round once. What is
 * too small for any number (a masked -inf) is not computed: some processors take a
 * hundred cycles for each vector in which anything falls below that range. */
LLVMValueRef build_exp(const Build *b, LLVMValueRef x0) {
  static const double c[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                             4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
  LLVMValueRef ordered = fcmp(b, LLVMRealORD, x0, 0);
  LLVMValueRef inside = fcmp(b, LLVMRealOGE, x0, -104);
  LLVMValueRef x = build_select(b, inside, at_most(b, x0, 89), num(b, x0, 0));
  LLVMValueRef n = times(b, x, num(b, x, 1.44269504088896341));
  n = build_intrinsic(b, "llvm.rint", LLVMTypeOf(n), 1, &n);
  LLVMValueRef r = build_fma(b, n, num(b, x, -0.693359375), x);
  r = build_fma(b, n, num(b, x, 2.12194440e-4), r);
  LLVMValueRef p = polynomial(b, r, c, 6);
  p = build_fma(b, p, times(b, r, r), plus(b, r, num(b, r, 1)));
  LLVMValueRef half = times(b, n, num(b, n, 0.5));
  half = build_intrinsic(b, "llvm.floor", LLVMTypeOf(n), 1, &half);
  LLVMValueRef rest = LLVMBuildFSub(b->b, n, half, "");
  p = times(b, times(b, p, power_of_two(b, half)), power_of_two(b, rest));
  LLVMValueRef outside = build_select(b, ordered, num(b, x, 0), x0);
  return build_select(b, inside, p, outside);
}

/* log(x) = e ln 2 + log(m) with m in [sqrt(1/2), sqrt(2)), after Cephes' logf. */
LLVMValueRef build_log(const Build *b, LLVMValueRef x0) {
  static const double c[] = {7.0376836292e-2, -1.1514610310e-1,
                             1.1676998740e-1, -1.2420140846e-1,
                             1.4249322787e-1, -1.6668057665e-1,
                             2.0000714765e-1, -2.4999993993e-1,
                             3.3333331174e-1};
  LLVMTypeRef it = int_like(b, x0), ft = LLVMTypeOf(x0);
  LLVMValueRef tiny = fcmp(b, LLVMRealOLT, x0, 0x1p-126);
  LLVMValueRef x = build_select(b, tiny, times(b, x0, num(b, x0, 0x1p23)), x0);
  LLVMValueRef bits = LLVMBuildBitCast(b->b, x, it, "");
  /* so that the mantissa's range starts at sqrt(1/2) */
  bits = LLVMBuildSub(b->b, bits, build_integer(it, 0x3f3504f3), "");
  LLVMValueRef e = LLVMBuildAShr(b->b, bits, build_integer(it, 23), "");
  LLVMValueRef m = LLVMBuildAnd(b->b, bits, build_integer(it, 0x7fffff), "");
  m = LLVMBuildAdd(b->b, m, build_integer(it, 0x3f3504f3), "");
  m = plus(b, LLVMBuildBitCast(b->b, m, ft, ""), num(b, x, -1));
  LLVMValueRef ef = LLVMBuildSIToFP(b->b, e, ft, "");
  ef = build_select(b, tiny, plus(b, ef, num(b, ef, -23)), ef);
  LLVMValueRef z = times(b, m, m);
  LLVMValueRef y = times(b, times(b, polynomial(b, m, c, 9), m), z);
  y = build_fma(b, ef, num(b, ef, -2.12194440e-4), y);
  y = build_fma(b, z, num(b, z, -0.5), y);
  y = build_fma(b, ef, num(b, ef, 0.693359375), plus(b, m, y));
  y = build_select(b, fcmp(b, LLVMRealOEQ, x0, 0), num(b, y, -INFINITY), y);
  y = build_select(b, fcmp(b, LLVMRealOEQ, x0, INFINITY), x0, y);
  return build_select(b, fcmp(b, LLVMRealUGE, x0, 0), y, num(b, y, NAN));
}

/* Below 0.625 a polynomial, above 1 - 2 / (e^2x + 1), after Cephes' tanhf. */
LLVMValueRef build_tanh(const Build *b, LLVMValueRef x) {
  static const double c[] = {-5.70498872745e-3, 2.06390887954e-2,
                             -5.37397155531e-2, 1.33314422036e-1,
                             -3.33332819422e-1};
  LLVMValueRef a = x;
  a = build_intrinsic(b, "llvm.fabs", LLVMTypeOf(x), 1, &a);
  LLVMValueRef e = build_exp(b, plus(b, a, a));
  LLVMValueRef q = LLVMBuildFDiv(b->b, num(b, x, 2), plus(b, e, num(b, e, 1)),
                                 "");
  LLVMValueRef big = LLVMBuildFSub(b->b, num(b, x, 1), q, "");
  LLVMValueRef sign[2] = {big, x};
  big = build_intrinsic(b, "llvm.copysign", LLVMTypeOf(x), 2, sign);
  LLVMValueRef z = times(b, x, x);
  LLVMValueRef small = build_fma(b, times(b, polynomial(b, z, c, 5), z), x, x);
  LLVMValueRef r = build_select(b, fcmp(b, LLVMRealOLT, a, 0.625), small, big);
  return build_select(b, fcmp(b, LLVMRealORD, x, 0), r, x);
}

/* Near 0 an odd polynomial, beyond 475/512 1 - exp(q(|x|)) with a polynomial q
 * that is below -|x|; at most 1 ulp off. From exp(-80) on it is 1. */
static LLVMValueRef build_erf(const Build *b, LLVMValueRef x) {
  static const double odd[] = {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2,
                               1.12819925e-1,  -3.76125336e-1, 1.28379166e-1};
  static const double c[] = {-1.06777877e-1, -6.34846687e-1, -1.28717512e-1};
  LLVMValueRef a = x, z = times(b, x, x);
  a = build_intrinsic(b, "llvm.fabs", LLVMTypeOf(x), 1, &a);
  LLVMValueRef q = build_fma(b, num(b, x, -1.72853470e-5), a,
                             num(b, x, 3.83197126e-4));
  LLVMValueRef rest = build_fma(b, num(b, x, -3.88396438e-3), a,
                                num(b, x, 2.42546219e-2));
  q = build_fma(b, q, z, rest);
  for (int i = 0; i < 3; i++) q = build_fma(b, q, a, num(b, x, c[i]));
  q = build_fma(b, q, a, LLVMBuildFNeg(b->b, a, ""));
  q = at_least(b, q, -80);
  LLVMValueRef big = LLVMBuildFSub(b->b, num(b, x, 1), build_exp(b, q), "");
  LLVMValueRef sign[2] = {big, x};
  big = build_intrinsic(b, "llvm.copysign", LLVMTypeOf(x), 2, sign);
  LLVMValueRef small = build_fma(b, polynomial(b, z, odd, 6), x, x);
  return build_select(b, fcmp(b, LLVMRealOGT, a, 0.927734375), big, small);
}

/* A function that exists as our polynomial in f32 and in libm otherwise. */
static LLVMValueRef transcendental(const Build *b, DType t, LLVMValueRef x,
                                   LLVMValueRef (*own)(const Build *,
                                                       LLVMValueRef),
                                   const char *libm) {
  return t == T_F32 ? own(b, x) : build_libm(b, libm, 1, &x);
}

static bool is_number(LLVMValueRef v) {
  return LLVMIsConstant(v) && !LLVMIsUndef(v);
}

/* The larger (or smaller), NaN if either is. Against a constant, which is no NaN,
 * one comparison does. */
static LLVMValueRef extreme(const Build *b, Op op, DType t, LLVMValueRef x,
                            LLVMValueRef y) {
  bool max = op == OP_MAX;
  if (!dtype_is_float(t)) {
    LLVMIntPredicate p = t == T_I32 ? (max ? LLVMIntSGT : LLVMIntSLT)
                                    : (max ? LLVMIntUGT : LLVMIntULT);
    return build_select(b, LLVMBuildICmp(b->b, p, x, y, ""), x, y);
  }
  if (is_number(y)) {
    LLVMRealPredicate p = max ? LLVMRealOLT : LLVMRealOGT;
    return build_select(b, LLVMBuildFCmp(b->b, p, x, y, ""), y, x);
  }
  LLVMValueRef both[2] = {x, y};
  return build_intrinsic(b, max ? "llvm.maximum" : "llvm.minimum",
                         LLVMTypeOf(x), 2, both);
}

static LLVMValueRef compare(const Build *b, Op op, DType t, LLVMValueRef x,
                            LLVMValueRef y) {
  if (dtype_is_float(t)) {
    LLVMRealPredicate p = op == OP_LT   ? LLVMRealOLT
                          : op == OP_LE ? LLVMRealOLE
                          : op == OP_EQ ? LLVMRealOEQ
                                        : LLVMRealUNE;
    return LLVMBuildFCmp(b->b, p, x, y, "");
  }
  bool s = t == T_I32;
  LLVMIntPredicate p = op == OP_LT   ? (s ? LLVMIntSLT : LLVMIntULT)
                       : op == OP_LE ? (s ? LLVMIntSLE : LLVMIntULE)
                       : op == OP_EQ ? LLVMIntEQ
                                     : LLVMIntNE;
  return LLVMBuildICmp(b->b, p, x, y, "");
}

/* -1, 0, 1; NaN stays. */
static LLVMValueRef sign_of(const Build *b, DType t, LLVMValueRef x) {
  LLVMValueRef zero = num(b, x, 0);
  LLVMValueRef r = build_select(b, compare(b, OP_LT, t, zero, x), num(b, x, 1), x);
  return build_select(b, compare(b, OP_LT, t, x, zero), num(b, x, -1), r);
}

static LLVMValueRef cast(const Build *b, DType from, DType to, LLVMValueRef x) {
  LLVMTypeRef t = build_vector(build_type(b, to), build_lanes(x));
  if (from == to) return x;
  if (to == T_I1)
    return dtype_is_float(from)
               ? LLVMBuildFCmp(b->b, LLVMRealUNE, x, num(b, x, 0), "")
               : LLVMBuildICmp(b->b, LLVMIntNE, x, num(b, x, 0), "");
  if (dtype_is_float(from) && dtype_is_float(to))
    return LLVMBuildFPCast(b->b, x, t, "");
  if (dtype_is_float(from))
    return to == T_I32 ? LLVMBuildFPToSI(b->b, x, t, "")
                       : LLVMBuildFPToUI(b->b, x, t, "");
  if (dtype_is_float(to))
    return from == T_I32 ? LLVMBuildSIToFP(b->b, x, t, "")
                         : LLVMBuildUIToFP(b->b, x, t, "");
  return from == T_I1 ? LLVMBuildZExt(b->b, x, t, "") : x;
}

static LLVMValueRef arithmetic(const Build *b, Op op, DType t, LLVMValueRef x,
                               LLVMValueRef y) {
  bool real = dtype_is_float(t);
  switch (op) {
  case OP_ADD:
    return real ? plus(b, x, y) : LLVMBuildAdd(b->b, x, y, "");
  case OP_SUB:
    return real ? LLVMBuildFSub(b->b, x, y, "") : LLVMBuildSub(b->b, x, y, "");
  case OP_MUL:
    return real ? times(b, x, y) : LLVMBuildMul(b->b, x, y, "");
  case OP_DIV:
    return real         ? LLVMBuildFDiv(b->b, x, y, "")
           : t == T_I32 ? LLVMBuildSDiv(b->b, x, y, "")
                        : LLVMBuildUDiv(b->b, x, y, "");
  default: defect("%s is no arithmetic", op_info[op].text);
  }
}

static LLVMValueRef one_operand(const Build *b, Op op, DType t,
                                LLVMValueRef x) {
  bool real = dtype_is_float(t);
  switch (op) {
  case OP_NEG:
    return real ? LLVMBuildFNeg(b->b, x, "") : LLVMBuildNeg(b->b, x, "");
  case OP_EXP: return transcendental(b, t, x, build_exp, "exp");
  case OP_LOG: return transcendental(b, t, x, build_log, "log");
  case OP_TANH: return transcendental(b, t, x, build_tanh, "tanh");
  case OP_ERF: return transcendental(b, t, x, build_erf, "erf");
  case OP_SIN: return build_libm(b, t == T_F32 ? "sinf" : "sin", 1, &x);
  case OP_COS: return build_libm(b, t == T_F32 ? "cosf" : "cos", 1, &x);
  case OP_SQRT:
    return build_intrinsic(b, "llvm.sqrt", LLVMTypeOf(x), 1, &x);
  case OP_FLOOR:
    return build_intrinsic(b, "llvm.floor", LLVMTypeOf(x), 1, &x);
  case OP_ABS:
    if (real) return build_intrinsic(b, "llvm.fabs", LLVMTypeOf(x), 1, &x);
    return build_select(b, compare(b, OP_LT, t, x, num(b, x, 0)),
                        LLVMBuildNeg(b->b, x, ""), x);
  case OP_SIGN: return sign_of(b, t, x);
  case OP_NOT: return LLVMBuildNot(b->b, x, "");
  case OP_STOP: return x;
  default: defect("%s has not one operand", op_info[op].text);
  }
}

LLVMValueRef build_op(const Build *b, Op op, DType from, DType to,
                      LLVMValueRef *in) {
  switch (op) {
  case OP_CAST: return cast(b, from, to, in[0]);
  case OP_ADD:
  case OP_SUB:
  case OP_MUL:
  case OP_DIV: return arithmetic(b, op, from, in[0], in[1]);
  case OP_POW: return build_libm(b, from == T_F32 ? "powf" : "pow", 2, in);
  case OP_MAX:
  case OP_MIN: return extreme(b, op, from, in[0], in[1]);
  case OP_LT:
  case OP_LE:
  case OP_EQ:
  case OP_NE: return compare(b, op, from, in[0], in[1]);
  case OP_AND: return LLVMBuildAnd(b->b, in[0], in[1], "");
  case OP_OR: return LLVMBuildOr(b->b, in[0], in[1], "");
  case OP_SELECT: return build_select(b, in[0], in[1], in[2]);
  default: return one_operand(b, op, from, in[0]);
  }
}
