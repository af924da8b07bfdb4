/* Philox4x32-10 on vectors of counters, the same words as runtime/philox.h. The
 * words are held in 64-bit lanes: the product of two 32-bit words is then one
 * instruction, the low half is the product itself (upper bits are ignored by the
 * next round) and nothing is widened or narrowed between rounds. */
#include "codegen/emit.h"

static LLVMValueRef low_word(const Build *b, LLVMValueRef x) {
  return LLVMBuildAnd(b->b, x, build_integer(LLVMTypeOf(x), 0xffffffffu), "");
}

static LLVMValueRef xor3(const Build *b, LLVMValueRef x, LLVMValueRef y,
                         LLVMValueRef z) {
  return LLVMBuildXor(b->b, LLVMBuildXor(b->b, x, y, ""), z, "");
}

void build_philox(const Build *b, LLVMValueRef counter[4], LLVMValueRef seed) {
  int lanes = build_lanes(counter[0]);
  LLVMTypeRef i64 = LLVMInt64TypeInContext(b->context);
  LLVMTypeRef wide = build_vector(i64, lanes);
  LLVMTypeRef narrow = LLVMTypeOf(counter[0]);
  LLVMValueRef c[4], key[2];
  for (int i = 0; i < 4; i++)
    c[i] = LLVMBuildZExt(b->b, counter[i], wide, "");
  key[0] = seed;
  key[1] = LLVMBuildLShr(b->b, seed, build_i64(b, 32), "");
  for (int round = 0; round < 10; round++) {
    LLVMValueRef p0 = LLVMBuildMul(b->b, low_word(b, c[0]),
                                   build_integer(wide, 0xD2511F53u), "");
    LLVMValueRef p1 = LLVMBuildMul(b->b, low_word(b, c[2]),
                                   build_integer(wide, 0xCD9E8D57u), "");
    LLVMValueRef shift = build_integer(wide, 32);
    LLVMValueRef h0 = LLVMBuildLShr(b->b, p0, shift, "");
    LLVMValueRef h1 = LLVMBuildLShr(b->b, p1, shift, "");
    c[0] = xor3(b, h1, c[1], build_splat(b, key[0], lanes));
    c[2] = xor3(b, h0, c[3], build_splat(b, key[1], lanes));
    c[1] = p1;
    c[3] = p0;
    key[0] = LLVMBuildAdd(b->b, key[0], build_i64(b, 0x9E3779B9), "");
    key[1] = LLVMBuildAdd(b->b, key[1], build_i64(b, 0xBB67AE85), "");
  }
  for (int i = 0; i < 4; i++)
    counter[i] = LLVMBuildTrunc(b->b, c[i], narrow, "");
}
