/* Loads and stores of a square of vectors that is transposed in registers. Where the
 * lanes of a value lie apart in memory and another dimension is contiguous there, a
 * tile that has as many positions along that dimension as a vector has lanes is
 * moved row by row: each row is one access, and a network of shuffles turns rows
 * into columns. That is what copies from one layout to another are made of. */
#include "codegen/emit.h"

enum { MOST_LANES = 64 };

/* One step of the network: of two vectors that are `step` apart, the blocks of
 * `step` lanes that stand off the diagonal change places. */
static void swap_blocks(const Build *b, LLVMValueRef *x, LLVMValueRef *y,
                        int lanes, int step) {
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  LLVMValueRef first[MOST_LANES], second[MOST_LANES];
  for (int l = 0; l < lanes; l++) {
    bool odd = (l & step) != 0;
    first[l] = LLVMConstInt(i32, (unsigned)(odd ? lanes + l - step : l), false);
    second[l] = LLVMConstInt(i32, (unsigned)(odd ? lanes + l : l + step), false);
  }
  unsigned n = (unsigned)lanes;
  LLVMValueRef a = LLVMBuildShuffleVector(b->b, *x, *y,
                                          LLVMConstVector(first, n), "");
  *y = LLVMBuildShuffleVector(b->b, *x, *y, LLVMConstVector(second, n), "");
  *x = a;
}

/* Lane j of vector i becomes lane i of vector j. */
static void transpose(const Build *b, LLVMValueRef *v, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2)
    for (int i = 0; i < lanes; i++)
      if (!(i & step)) swap_blocks(b, &v[i], &v[i + step], lanes, step);
}

/* Where the row of lane l begins, at the position at hand. */
static LLVMValueRef row_address(Emit *e, int n, int l) {
  const Instr *i = &e->k->instr[n];
  return build_moved(&e->build, emit_address(e, n),
                     l * i->at.coef[e->s->vec] * dtype_size[i->type]);
}

/* Lanes of the vector at hand that lie inside the dimension. */
static int64_t valid_lanes(const Emit *e) {
  return e->coord[e->s->vec] + 1 < e->tile[e->s->vec] ? e->s->lanes : e->tail;
}

/* A row of `length`: the whole one needs no mask. */
static LLVMValueRef load_row(Emit *e, const Instr *i, LLVMTypeRef t,
                             LLVMValueRef at, int64_t length) {
  const Build *b = &e->build;
  unsigned align = (unsigned)dtype_size[i->type];
  if (length == e->s->lanes) {
    LLVMValueRef v = LLVMBuildLoad2(b->b, t, at, "");
    LLVMSetAlignment(v, align);
    return v;
  }
  LLVMValueRef args[4] = {
      at, LLVMConstInt(LLVMInt32TypeInContext(b->context), align, false),
      build_mask(b, e->s->lanes, length), LLVMConstNull(t)};
  return emit_masked(e, "llvm.masked.load", t, LLVMTypeOf(at), 4, args);
}

static void store_row(Emit *e, const Instr *i, LLVMValueRef v, LLVMValueRef at,
                      int64_t length) {
  const Build *b = &e->build;
  unsigned align = (unsigned)dtype_size[i->type];
  if (length == e->s->lanes) {
    LLVMSetAlignment(LLVMBuildStore(b->b, v, at), align);
    return;
  }
  LLVMValueRef args[4] = {
      v, at, LLVMConstInt(LLVMInt32TypeInContext(b->context), align, false),
      build_mask(b, e->s->lanes, length)};
  emit_masked(e, "llvm.masked.store", LLVMTypeOf(v), LLVMTypeOf(at), 4, args);
}

LLVMValueRef emit_transposed_load(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  int along = kernel_transposed(e->k, e->s, i);
  int64_t here = e->coord[along], length = e->tile[along];
  LLVMTypeRef t =
      build_vector(build_memory_type(&e->build, i->type), e->s->lanes);
  LLVMValueRef row[MOST_LANES];
  e->coord[along] = 0;
  for (int l = 0; l < e->s->lanes; l++)
    row[l] = l < valid_lanes(e)
                 ? load_row(e, i, t, row_address(e, n, l), length)
                 : LLVMConstNull(t);
  transpose(&e->build, row, e->s->lanes);
  for (int64_t c = 0; c < length; c++) {
    e->coord[along] = c;
    e->memo[n][emit_position(e, e->depends[n])] =
        emit_from_memory(e, i, row[c]);
  }
  e->coord[along] = here;
  return e->memo[n][emit_position(e, e->depends[n])];
}

void emit_transposed_store(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  int along = kernel_transposed(e->k, e->s, i);
  int64_t length = e->tile[along];
  if (e->coord[along] > 0) return; /* the first position stores for all */
  LLVMValueRef row[MOST_LANES];
  for (int64_t c = 0; c < e->s->lanes; c++) {
    e->coord[along] = c < length ? c : 0;
    row[c] = emit_to_memory(e, i, emit_vector_value(e, i->in[0]));
    if (c >= length) row[c] = LLVMGetPoison(LLVMTypeOf(row[c]));
  }
  e->coord[along] = 0;
  transpose(&e->build, row, e->s->lanes);
  for (int l = 0; l < valid_lanes(e); l++)
    store_row(e, i, row[l], row_address(e, n, l), length);
}
