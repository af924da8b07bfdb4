/* The reductions of a kernel: what accumulators start from, how a value enters one,
 * and how the lanes of a vector come together at the end. The loops around them are
 * in nest.c. */
#include <math.h>

#include "codegen/emit.h"

static bool dot_form(const Emit *e) { return e->s->vec >= e->k->n_par; }

/* Accumulators: e->acc[r * positions + p]; the best values of an argmax stand
 * behind all of them, at (n_reduces + r) * positions + p. */
int emit_acc_count(const Emit *e) {
  return (e->has_argmax ? 2 : 1) * e->n_reduces * e->positions;
}

static LLVMTypeRef acc_type(const Emit *e, DType t) {
  LLVMTypeRef type = build_type(&e->build, t);
  bool vector = e->s->vec >= 0 && e->s->lanes > 1;
  return vector ? build_vector(type, e->s->lanes) : type;
}

static DType body_type(const Emit *e, int r) {
  return e->k->instr[e->k->instr[e->reduce[r]].in[0]].type;
}

/* What an accumulator starts from: nothing added, or less than everything. */
static LLVMValueRef identity(const Emit *e, Op op, DType t, LLVMTypeRef type) {
  double least = t == T_I32 ? INT32_MIN : dtype_is_float(t) ? -INFINITY : 0;
  return build_number(&e->build, type, op == OP_SUM ? 0 : least);
}

void emit_start_accumulators(Emit *e) {
  for (int r = 0; r < e->n_reduces; r++) {
    const Instr *i = &e->k->instr[e->reduce[r]];
    for (int p = 0; p < e->positions; p++) {
      DType t = body_type(e, r);
      Op first = i->op == OP_ARGMAX ? OP_SUM : i->op; /* index 0 */
      e->acc[r * e->positions + p] =
          identity(e, first, i->type, acc_type(e, i->type));
      if (e->has_argmax)
        e->acc[(e->n_reduces + r) * e->positions + p] =
            identity(e, OP_RMAX, t, acc_type(e, t));
    }
  }
}

/* Row-major number of the point in the reduced dimensions, as i32. */
static LLVMValueRef reduced_index(const Emit *e) {
  const Build *b = &e->build;
  LLVMValueRef at = build_i64(b, 0);
  for (int d = e->k->n_par; d < kernel_dims(e->k); d++) {
    at = LLVMBuildMul(b->b, at, build_i64(b, e->k->extent[d]), "");
    at = LLVMBuildAdd(b->b, at, e->iv[d], "");
  }
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  return LLVMBuildTrunc(b->b, at, i32, "");
}

static LLVMValueRef body_value(Emit *e, int n) {
  bool vector = e->s->vec >= 0 && e->s->lanes > 1;
  return vector ? emit_vector_value(e, n) : emit_value(e, n);
}

/* best, at = v > best (or v is the first NaN) ? v, here : best, at */
static void reduce_argmax(Emit *e, int r, int p) {
  const Build *b = &e->build;
  LLVMValueRef *at = &e->acc[r * e->positions + p];
  LLVMValueRef *best = &e->acc[(e->n_reduces + r) * e->positions + p];
  LLVMValueRef v = body_value(e, e->k->instr[e->reduce[r]].in[0]);
  LLVMValueRef here = build_splat(b, reduced_index(e), build_lanes(v));
  DType t = body_type(e, r);
  LLVMValueRef order[2] = {*best, v};
  LLVMValueRef take = build_op(b, OP_LT, t, T_I1, order);
  if (dtype_is_float(t)) {
    LLVMValueRef first_nan = LLVMBuildAnd(
        b->b, LLVMBuildFCmp(b->b, LLVMRealUNO, v, v, ""),
        LLVMBuildFCmp(b->b, LLVMRealORD, *best, *best, ""), "");
    take = LLVMBuildOr(b->b, take, first_nan, "");
  }
  *at = build_select(b, take, here, *at);
  *best = build_select(b, take, v, *best);
}

/* Lanes past the end of a reduced dimension must not count. */
static LLVMValueRef without_tail(Emit *e, Op op, DType t, LLVMValueRef v) {
  LLVMValueRef mask = dot_form(e) ? emit_lane_mask(e) : NULL;
  if (mask == NULL) return v;
  LLVMValueRef none = identity(e, op, t, LLVMTypeOf(v));
  return build_select(&e->build, mask, v, none);
}

static bool is_masked_load(const Emit *e, int n) {
  return e->k->instr[n].kop == K_LOAD && emit_is_vector(e, n);
}

void emit_reduce(Emit *e, int r, int p) {
  const Build *b = &e->build;
  const Instr *i = &e->k->instr[e->reduce[r]];
  const Instr *v = &e->k->instr[i->in[0]];
  LLVMValueRef *acc = &e->acc[r * e->positions + p];
  if (i->op == OP_ARGMAX) {
    reduce_argmax(e, r, p);
    return;
  }
  bool product = i->op == OP_SUM && v->kop == K_OP && v->op == OP_MUL &&
                 dtype_is_float(v->type);
  bool clean = !dot_form(e) || emit_lane_mask(e) == NULL ||
               (product && is_masked_load(e, v->in[0]) &&
                is_masked_load(e, v->in[1]));
  if (product && clean) {
    LLVMValueRef x = body_value(e, v->in[0]), y = body_value(e, v->in[1]);
    *acc = build_fma(b, x, y, *acc);
    return;
  }
  DType t = i->type;
  LLVMValueRef value = without_tail(e, i->op, t, body_value(e, i->in[0]));
  if (i->op == OP_SUM)
    *acc = dtype_is_float(t) ? LLVMBuildFAdd(b->b, *acc, value, "")
                             : LLVMBuildAdd(b->b, *acc, value, "");
  else
    *acc = build_op(b, OP_MAX, t, t, (LLVMValueRef[]){value, *acc});
}

/* The sum (or maximum) of the lanes: pairs in a tree, so that it is the same on
 * every target. */
static LLVMValueRef across_lanes(Emit *e, Op op, DType t, LLVMValueRef v) {
  const Build *b = &e->build;
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  for (int lanes = build_lanes(v); lanes > 1; lanes /= 2) {
    LLVMValueRef low[32], high[32];
    for (int l = 0; l < lanes / 2; l++) {
      low[l] = LLVMConstInt(i32, (unsigned)l, false);
      high[l] = LLVMConstInt(i32, (unsigned)(l + lanes / 2), false);
    }
    unsigned half = (unsigned)lanes / 2;
    LLVMValueRef none = LLVMGetPoison(LLVMTypeOf(v));
    LLVMValueRef both[2] = {
        LLVMBuildShuffleVector(b->b, v, none, LLVMConstVector(low, half), ""),
        LLVMBuildShuffleVector(b->b, v, none, LLVMConstVector(high, half), "")};
    v = build_op(b, op == OP_SUM ? OP_ADD : OP_MAX, t, t, both);
  }
  return LLVMBuildExtractElement(b->b, v, LLVMConstInt(i32, 0, false), "");
}

void emit_finish_lanes(Emit *e) {
  if (!dot_form(e) || e->s->lanes == 1) return;
  for (int r = 0; r < e->n_reduces; r++) {
    const Instr *i = &e->k->instr[e->reduce[r]];
    for (int p = 0; p < e->positions; p++) {
      LLVMValueRef *acc = &e->acc[r * e->positions + p];
      *acc = across_lanes(e, i->op, i->type, *acc);
    }
  }
}
