/* A thin layer over LLVM's builder, so that the emitter need not care whether it
 * works on scalars or on vectors. */
#include <string.h>

#include "codegen/emit.h"

LLVMTypeRef build_type(const Build *b, DType t) {
  switch (t) {
  case T_F32: return LLVMFloatTypeInContext(b->context);
  case T_F64: return LLVMDoubleTypeInContext(b->context);
  case T_I32:
  case T_U32: return LLVMInt32TypeInContext(b->context);
  case T_I1: return LLVMInt1TypeInContext(b->context);
  case T_COUNT: break;
  }
  defect("bad type %d", (int)t);
}

LLVMTypeRef build_memory_type(const Build *b, DType t) {
  return t == T_I1 ? LLVMInt8TypeInContext(b->context) : build_type(b, t);
}

LLVMTypeRef build_vector(LLVMTypeRef t, int lanes) {
  return lanes == 1 ? t : LLVMVectorType(t, (unsigned)lanes);
}

int build_lanes(LLVMValueRef v) {
  LLVMTypeRef t = LLVMTypeOf(v);
  return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? (int)LLVMGetVectorSize(t)
                                                  : 1;
}

LLVMValueRef build_i64(const Build *b, int64_t v) {
  return LLVMConstInt(LLVMInt64TypeInContext(b->context), (uint64_t)v, true);
}

LLVMValueRef build_times(const Build *b, LLVMValueRef x, int64_t factor) {
  if (factor == 0) return build_i64(b, 0);
  return factor == 1 ? x : LLVMBuildMul(b->b, x, build_i64(b, factor), "");
}

LLVMValueRef build_plus(const Build *b, LLVMValueRef x, LLVMValueRef y) {
  if (LLVMIsNull(x)) return y;
  return LLVMIsNull(y) ? x : LLVMBuildAdd(b->b, x, y, "");
}

LLVMValueRef build_moved(const Build *b, LLVMValueRef p, int64_t bytes) {
  LLVMValueRef by = build_i64(b, bytes);
  if (bytes == 0) return p;
  return LLVMBuildGEP2(b->b, LLVMInt8TypeInContext(b->context), p, &by, 1, "");
}

static LLVMValueRef splat_const(LLVMValueRef v, unsigned lanes) {
  LLVMValueRef all[64];
  if (lanes > 64) defect("vector of %u lanes", lanes);
  for (unsigned i = 0; i < lanes; i++) all[i] = v;
  return LLVMConstVector(all, lanes);
}

LLVMValueRef build_number(const Build *b, LLVMTypeRef like, double v) {
  (void)b;
  if (LLVMGetTypeKind(like) == LLVMVectorTypeKind)
    return splat_const(build_number(b, LLVMGetElementType(like), v),
                       LLVMGetVectorSize(like));
  if (LLVMGetTypeKind(like) == LLVMIntegerTypeKind)
    return LLVMConstInt(like, (uint64_t)(int64_t)v, true);
  return LLVMConstReal(like, v);
}

LLVMValueRef build_integer(LLVMTypeRef like, uint64_t v) {
  if (LLVMGetTypeKind(like) == LLVMVectorTypeKind)
    return splat_const(LLVMConstInt(LLVMGetElementType(like), v, false),
                       LLVMGetVectorSize(like));
  return LLVMConstInt(like, v, false);
}

LLVMValueRef build_splat(const Build *b, LLVMValueRef v, int lanes) {
  if (lanes == 1 || build_lanes(v) == lanes) return v;
  if (LLVMIsConstant(v)) return splat_const(v, (unsigned)lanes);
  LLVMTypeRef t = build_vector(LLVMTypeOf(v), lanes);
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  LLVMValueRef one = LLVMBuildInsertElement(b->b, LLVMGetPoison(t), v,
                                            LLVMConstInt(i32, 0, false), "");
  LLVMValueRef zeros = LLVMConstNull(build_vector(i32, lanes));
  return LLVMBuildShuffleVector(b->b, one, LLVMGetPoison(t), zeros, "");
}

LLVMValueRef build_mask(const Build *b, int lanes, int64_t valid) {
  LLVMValueRef bit[64];
  LLVMTypeRef i1 = LLVMInt1TypeInContext(b->context);
  for (int i = 0; i < lanes; i++) bit[i] = LLVMConstInt(i1, i < valid, false);
  return LLVMConstVector(bit, (unsigned)lanes);
}

LLVMValueRef build_intrinsic(const Build *b, const char *name, LLVMTypeRef over,
                             int n, LLVMValueRef *args) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  if (id == 0) defect("LLVM has no %s", name);
  LLVMValueRef fn = LLVMGetIntrinsicDeclaration(b->module, id, &over, 1);
  LLVMTypeRef type = LLVMIntrinsicGetType(b->context, id, &over, 1);
  return LLVMBuildCall2(b->b, type, fn, args, (unsigned)n, "");
}

LLVMValueRef build_fma(const Build *b, LLVMValueRef x, LLVMValueRef y,
                       LLVMValueRef z) {
  LLVMValueRef args[3] = {x, y, z};
  return build_intrinsic(b, "llvm.fma", LLVMTypeOf(z), 3, args);
}

LLVMValueRef build_select(const Build *b, LLVMValueRef c, LLVMValueRef x,
                          LLVMValueRef y) {
  return LLVMBuildSelect(b->b, c, x, y, "");
}

LLVMValueRef build_libm(const Build *b, const char *name, int n,
                        LLVMValueRef *args) {
  LLVMTypeRef t = LLVMTypeOf(args[0]);
  int lanes = build_lanes(args[0]);
  LLVMTypeRef scalar = lanes == 1 ? t : LLVMGetElementType(t);
  LLVMTypeRef params[2] = {scalar, scalar};
  LLVMTypeRef type = LLVMFunctionType(scalar, params, (unsigned)n, false);
  LLVMValueRef fn = LLVMGetNamedFunction(b->module, name);
  if (fn == NULL) fn = LLVMAddFunction(b->module, name, type);
  if (lanes == 1) return LLVMBuildCall2(b->b, type, fn, args, (unsigned)n, "");
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  LLVMValueRef result = LLVMGetPoison(t);
  for (int i = 0; i < lanes; i++) {
    LLVMValueRef at = LLVMConstInt(i32, (unsigned)i, false), one[2];
    for (int j = 0; j < n; j++)
      one[j] = LLVMBuildExtractElement(b->b, args[j], at, "");
    LLVMValueRef v = LLVMBuildCall2(b->b, type, fn, one, (unsigned)n, "");
    result = LLVMBuildInsertElement(b->b, result, v, at, "");
  }
  return result;
}
