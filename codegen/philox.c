/* Philox4x32-7 on vectors of counters, the same words as runtime/philox.h. For vectors
 * it is a function of its own, once for all kernels of a module: LLVM takes as long for
 * it as for a large contraction, and the call is little beside what it does. The
 * words are held in 64-bit lanes: the product of two 32-bit words is then one
 * instruction, the low half is the product itself (upper bits are ignored by the
 * next round) and nothing is widened or narrowed between rounds. */
#include <stdio.h>

#include "codegen/emit.h"
#include "runtime/philox.h"

static LLVMValueRef low_word(const Build *b, LLVMValueRef x) {
  return LLVMBuildAnd(b->b, x, build_integer(LLVMTypeOf(x), 0xffffffffu), "");
}

static LLVMValueRef xor2(const Build *b, LLVMValueRef x, LLVMValueRef y) {
  int lanes = build_lanes(build_lanes(x) > 1 ? x : y);
  return LLVMBuildXor(b->b, build_splat(b, x, lanes), build_splat(b, y, lanes),
                      "");
}

/* Scalars first: one splat is enough for both. */
static LLVMValueRef xor3(const Build *b, LLVMValueRef x, LLVMValueRef y,
                         LLVMValueRef key) {
  if (build_lanes(x) == 1) return xor2(b, xor2(b, x, key), y);
  if (build_lanes(y) == 1) return xor2(b, x, xor2(b, y, key));
  return xor2(b, xor2(b, x, y), key);
}

/* The state between rounds: four words in wide lanes, and the two of the key. */
typedef struct Words {
  LLVMValueRef c[4], key[2];
} Words;

static void multiply(const Build *b, LLVMValueRef c, uint32_t by,
                     LLVMValueRef *product, LLVMValueRef *high) {
  LLVMTypeRef wide = LLVMTypeOf(c);
  *product = LLVMBuildMul(b->b, low_word(b, c), build_integer(wide, by), "");
  *high = LLVMBuildLShr(b->b, *product, build_integer(wide, 32), "");
}

static void add_round(const Build *b, Words *w) {
  LLVMValueRef p0, p1, h0, h1;
  multiply(b, w->c[0], 0xD2511F53u, &p0, &h0);
  multiply(b, w->c[2], 0xCD9E8D57u, &p1, &h1);
  w->c[0] = xor3(b, h1, w->c[1], w->key[0]);
  w->c[2] = xor3(b, h0, w->c[3], w->key[1]);
  w->c[1] = p1;
  w->c[3] = p0;
  w->key[0] = LLVMBuildAdd(b->b, w->key[0], build_i64(b, 0x9E3779B9), "");
  w->key[1] = LLVMBuildAdd(b->b, w->key[1], build_i64(b, 0xBB67AE85), "");
}

/* Rounds while some word is the same in all lanes, which an ordinary register
 * holds; returns how many. */
static int add_uniform_rounds(const Build *b, Words *w, int lanes) {
  for (int round = 0;; round++) {
    bool uniform = false;
    for (int i = 0; i < 4; i++)
      uniform = uniform || build_lanes(w->c[i]) != lanes;
    if (!uniform) return round;
    add_round(b, w);
  }
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

/* An even number of rounds: a loop, two a turn. That costs what all rounds in a
 * row cost, and LLVM takes five times as long for those, most of it to find out
 * nothing about their bits. Two, since the words then end up in the registers
 * where they began. */
static void add_rounds(const Build *b, Words *w, int rounds) {
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
      LLVMBuildICmp(b->b, LLVMIntULT, next, build_i64(b, rounds / 2), "");
  LLVMBuildCondBr(b->b, more, body, after);
  LLVMPositionBuilderAtEnd(b->b, after);
}

/* The low words of wide lanes, as one shuffle of narrow ones. */
static LLVMValueRef low_words(const Build *b, LLVMValueRef v) {
  int lanes = build_lanes(v);
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  if (lanes == 1) return LLVMBuildTrunc(b->b, v, i32, "");
  LLVMTypeRef halves = build_vector(i32, 2 * lanes);
  LLVMValueRef even[64];
  for (int i = 0; i < lanes; i++)
    even[i] = LLVMConstInt(i32, (unsigned)(2 * i), false);
  return LLVMBuildShuffleVector(b->b, LLVMBuildBitCast(b->b, v, halves, ""),
                                LLVMGetPoison(halves),
                                LLVMConstVector(even, (unsigned)lanes), "");
}

/* Puts the four words of blocks, i32, in place of the counters, whose low halves
 * count: an i64 for each block in counter[0], and in the others one for all blocks. */
static void add_philox(const Build *b, LLVMValueRef counter[], LLVMValueRef seed) {
  int lanes = build_lanes(counter[0]);
  Words w = {.key = {seed}};
  for (int i = 0; i < PHILOX_WORDS; i++) w.c[i] = counter[i];
  w.key[1] = LLVMBuildLShr(b->b, seed, build_i64(b, 32), "");
  int left = PHILOX_DRAW_ROUNDS - add_uniform_rounds(b, &w, lanes);
  if (left % 2 == 1) add_round(b, &w);
  add_rounds(b, &w, left - left % 2);
  for (int i = 0; i < PHILOX_WORDS; i++)
    counter[i] = low_words(b, w.c[i]);
}

static void set_internal(LLVMValueRef fn) {
  LLVMSetLinkage(fn, LLVMInternalLinkage);
  LLVMAttributeRef no = LLVMCreateEnumAttribute(
      LLVMGetTypeContext(LLVMTypeOf(fn)),
      LLVMGetEnumAttributeKindForName("noinline", 8), 0);
  LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, no);
}

enum { OPERANDS = PHILOX_WORDS + 2 }; /* counters, the seed, and where words go */

/* void net_philox_N(i64 block, i64 row, i64 step, i64 place, i64 seed, ptr words): the
 * words of N blocks from that one on, one vector of N after the other. */
static LLVMValueRef philox_function(const Build *b, int blocks) {
  char name[32];
  snprintf(name, sizeof name, "net_philox_%d", blocks);
  LLVMValueRef fn = LLVMGetNamedFunction(b->module, name);
  if (fn != NULL) return fn;
  LLVMTypeRef i64 = LLVMInt64TypeInContext(b->context);
  LLVMTypeRef p[OPERANDS] = {i64, i64, i64, i64, i64,
                             LLVMPointerTypeInContext(b->context, 0)};
  LLVMTypeRef none = LLVMVoidTypeInContext(b->context);
  fn = LLVMAddFunction(b->module, name, LLVMFunctionType(none, p, OPERANDS, false));
  set_internal(fn);
  LLVMBasicBlockRef caller = LLVMGetInsertBlock(b->b);
  LLVMPositionBuilderAtEnd(b->b, LLVMAppendBasicBlockInContext(b->context, fn, ""));
  LLVMValueRef c[PHILOX_WORDS], number[64];
  for (unsigned i = 0; i < PHILOX_WORDS; i++) c[i] = LLVMGetParam(fn, i);
  for (int i = 0; i < blocks; i++) number[i] = build_i64(b, i);
  c[0] = LLVMBuildAdd(b->b, build_splat(b, c[0], blocks),
                      LLVMConstVector(number, (unsigned)blocks), "");
  add_philox(b, c, LLVMGetParam(fn, PHILOX_WORDS));
  for (int i = 0; i < PHILOX_WORDS; i++) {
    LLVMValueRef to = build_moved(b, LLVMGetParam(fn, OPERANDS - 1), 4 * i * blocks);
    LLVMSetAlignment(LLVMBuildStore(b->b, c[i], to), 4);
  }
  LLVMBuildRetVoid(b->b);
  LLVMPositionBuilderAtEnd(b->b, caller);
  return fn;
}

/* Room on the stack of the function that is being emitted. */
static LLVMValueRef stack_words(const Build *b, int n) {
  LLVMBasicBlockRef here = LLVMGetInsertBlock(b->b);
  LLVMBasicBlockRef entry =
      LLVMGetEntryBasicBlock(LLVMGetBasicBlockParent(here));
  LLVMValueRef first = LLVMGetFirstInstruction(entry);
  if (first != NULL) LLVMPositionBuilderBefore(b->b, first);
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  LLVMValueRef words = LLVMBuildAlloca(b->b, LLVMArrayType2(i32, (uint64_t)n), "");
  LLVMSetAlignment(words, 64);
  LLVMPositionBuilderAtEnd(b->b, here);
  return words;
}

LLVMValueRef build_philox(const Build *b, const LLVMValueRef counter[],
                          LLVMValueRef seed, int blocks) {
  LLVMValueRef c[OPERANDS];
  for (int i = 0; i < PHILOX_WORDS; i++) c[i] = counter[i];
  if (blocks == 1) {
    add_philox(b, c, seed);
    return c[0];
  }
  LLVMValueRef fn = philox_function(b, blocks);
  c[PHILOX_WORDS] = seed;
  LLVMValueRef words = c[OPERANDS - 1] = stack_words(b, PHILOX_WORDS * blocks);
  LLVMBuildCall2(b->b, LLVMGlobalGetValueType(fn), fn, c, OPERANDS, "");
  return words;
}
