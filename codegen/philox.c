/* Philox4x32-7 on vectors of counters, the same words as runtime/philox.h. The
 * words are held in 64-bit lanes: the product of two 32-bit words is then one
 * instruction, the low half is the product itself (upper bits are ignored by the
 * next round) and nothing is widened or narrowed between rounds. */
#include "codegen/emit.h"
#include "runtime/philox.h"

static LLVMValueRef low_word(const Build *b, LLVMValueRef x) {
  return LLVMBuildAnd(b->b, x, build_integer(LLVMTypeOf(x), 0xffffffffu), "");
}

static LLVMValueRef xor3(const Build *b, LLVMValueRef x, LLVMValueRef y,
                         LLVMValueRef z) {
  return LLVMBuildXor(b->b, LLVMBuildXor(b->b, x, y, ""), z, "");
}

/* The state between rounds: four words in wide lanes, and the two of the key. */
typedef struct Words {
  LLVMValueRef c[4], key[2];
} Words;

static void add_round(const Build *b, Words *w) {
  int lanes = build_lanes(w->c[0]);
  LLVMTypeRef wide = LLVMTypeOf(w->c[0]);
  LLVMValueRef shift = build_integer(wide, 32);
  LLVMValueRef p0 = LLVMBuildMul(b->b, low_word(b, w->c[0]),
                                 build_integer(wide, 0xD2511F53u), "");
  LLVMValueRef p1 = LLVMBuildMul(b->b, low_word(b, w->c[2]),
                                 build_integer(wide, 0xCD9E8D57u), "");
  LLVMValueRef h0 = LLVMBuildLShr(b->b, p0, shift, "");
  LLVMValueRef h1 = LLVMBuildLShr(b->b, p1, shift, "");
  w->c[0] = xor3(b, h1, w->c[1], build_splat(b, w->key[0], lanes));
  w->c[2] = xor3(b, h0, w->c[3], build_splat(b, w->key[1], lanes));
  w->c[1] = p1;
  w->c[3] = p0;
  w->key[0] = LLVMBuildAdd(b->b, w->key[0], build_i64(b, 0x9E3779B9), "");
  w->key[1] = LLVMBuildAdd(b->b, w->key[1], build_i64(b, 0xBB67AE85), "");
}

/* A phi for each word, with what it is at first. */
static Words phis_of(const Build *b, const Words *first,
                     LLVMBasicBlockRef from) {
  Words w;
  for (int i = 0; i < 6; i++) {
    LLVMValueRef was = i < 4 ? first->c[i] : first->key[i - 4];
    LLVMValueRef phi = LLVMBuildPhi(b->b, LLVMTypeOf(was), "");
    LLVMAddIncoming(phi, &was, &from, 1);
    *(i < 4 ? &w.c[i] : &w.key[i - 4]) = phi;
  }
  return w;
}

/* A loop, two rounds a turn: that costs what all rounds in a row cost, and LLVM
 * takes five times as long for those, most of it to find out nothing about their
 * bits. Two, since the words then end up in the registers where they began. */
static void add_rounds(const Build *b, Words *w) {
  LLVMBasicBlockRef from = LLVMGetInsertBlock(b->b);
  LLVMValueRef fn = LLVMGetBasicBlockParent(from), zero = build_i64(b, 0);
  LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(b->context, fn, "");
  LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(b->context, fn, "");
  LLVMBuildBr(b->b, body);
  LLVMPositionBuilderAtEnd(b->b, body);
  LLVMValueRef turn = LLVMBuildPhi(b->b, LLVMTypeOf(zero), "");
  LLVMAddIncoming(turn, &zero, &from, 1);
  Words phi = phis_of(b, w, from);
  *w = phi;
  for (int round = 0; round < 2; round++) add_round(b, w);
  LLVMValueRef next = LLVMBuildAdd(b->b, turn, build_i64(b, 1), "");
  LLVMAddIncoming(turn, &next, &body, 1);
  for (int i = 0; i < 4; i++) LLVMAddIncoming(phi.c[i], &w->c[i], &body, 1);
  for (int i = 0; i < 2; i++)
    LLVMAddIncoming(phi.key[i], &w->key[i], &body, 1);
  LLVMValueRef more =
      LLVMBuildICmp(b->b, LLVMIntULT, next, build_i64(b, PHILOX_DRAW_ROUNDS / 2), "");
  LLVMBuildCondBr(b->b, more, body, after);
  LLVMPositionBuilderAtEnd(b->b, after);
  if (PHILOX_DRAW_ROUNDS % 2 == 1) add_round(b, w);
}

void build_philox(const Build *b, LLVMValueRef counter[4], LLVMValueRef seed) {
  LLVMTypeRef i64 = LLVMInt64TypeInContext(b->context);
  LLVMTypeRef wide = build_vector(i64, build_lanes(counter[0]));
  LLVMTypeRef narrow = LLVMTypeOf(counter[0]);
  Words w;
  for (int i = 0; i < 4; i++)
    w.c[i] = LLVMBuildZExt(b->b, counter[i], wide, "");
  w.key[0] = seed;
  w.key[1] = LLVMBuildLShr(b->b, seed, build_i64(b, 32), "");
  add_rounds(b, &w);
  for (int i = 0; i < 4; i++)
    counter[i] = LLVMBuildTrunc(b->b, w.c[i], narrow, "");
}
