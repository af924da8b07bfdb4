/* The instructions of a kernel as LLVM IR, at one position of a register tile.
 * A value is emitted when it is first asked for and kept for the positions that
 * share it: a load that does not step along a tiled dimension is made once. A
 * value that depends on the vector dimension is a vector, every other a scalar,
 * which is splat where a vector needs it. */
#include <stdlib.h>
#include <string.h>

#include "codegen/emit.h"
#include "runtime/philox.h"

bool emit_is_vector(const Emit *e, int n) {
  return e->s->vec >= 0 && e->s->lanes > 1 && (e->depends[n] >> e->s->vec & 1);
}

int emit_position(const Emit *e, uint32_t dims) {
  int64_t at = 0;
  for (int d = 0; d < kernel_dims(e->k); d++)
    if (dims >> d & 1) at = at * e->tile[d] + e->coord[d];
  return (int)at;
}

static int positions_of(const Emit *e, uint32_t dims) {
  int64_t n = 1;
  for (int d = 0; d < kernel_dims(e->k); d++)
    if (dims >> d & 1) n *= e->tile[d];
  return (int)n;
}

void emit_forget(Emit *e, bool body) {
  for (int n = 0; n < e->k->n_instrs; n++) {
    e->splat[n] = NULL;
    if (e->level[n] != IN_TILE || (body && !e->in_body[n])) continue;
    e->memo[n] = NULL;
  }
}

/* Lanes of the vector at hand that lie inside the dimension; NULL: all. */
LLVMValueRef emit_lane_mask(const Emit *e) {
  int v = e->s->vec;
  if (v < 0 || e->s->lanes == 1) return NULL;
  if (e->coord[v] + 1 < e->tile[v] || e->tail == e->s->lanes) return NULL;
  return build_mask(&e->build, e->s->lanes, e->tail);
}

/* The displacement of the position at hand from the tile's start, in elements. */
static int64_t displacement(const Emit *e, const Affine *a) {
  int64_t at = a->base;
  for (int d = 0; d < kernel_dims(e->k); d++)
    at += a->coef[d] * e->coord[d] * (d == e->s->vec ? e->s->lanes : 1);
  return at;
}

LLVMValueRef emit_address(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  LLVMValueRef now = e->pointer[e->pointer_of[n]].now;
  return build_moved(&e->build, now,
                     displacement(e, &i->at) * dtype_size[i->type]);
}

static LLVMValueRef numbers(const Build *b, int count, int64_t step) {
  LLVMValueRef lane[64];
  for (int l = 0; l < count; l++) lane[l] = build_i64(b, l * step);
  return LLVMConstVector(lane, (unsigned)count);
}

static LLVMValueRef lane_numbers(const Emit *e, int64_t step) {
  return numbers(&e->build, e->s->lanes, step);
}

/* One address for each lane; `index` (an instruction) moves it further. */
static LLVMValueRef addresses(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  const Build *b = &e->build;
  int64_t size = dtype_size[i->type];
  LLVMValueRef start = emit_address(e, n);
  LLVMValueRef by = lane_numbers(e, i->at.coef[e->s->vec] * size);
  if (i->in[1] >= 0) {
    LLVMValueRef x = emit_vector_value(e, i->in[1]);
    x = LLVMBuildSExt(b->b, x, LLVMTypeOf(by), "");
    x = LLVMBuildMul(b->b, x,
                     build_integer(LLVMTypeOf(by), (uint64_t)(i->scale * size)),
                     "");
    by = LLVMBuildAdd(b->b, by, x, "");
  }
  return LLVMBuildGEP2(b->b, LLVMInt8TypeInContext(b->context), start, &by, 1,
                       "");
}

static LLVMValueRef scalar_address(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  const Build *b = &e->build;
  LLVMValueRef start = emit_address(e, n);
  if (i->in[1] < 0) return start;
  LLVMTypeRef i64 = LLVMInt64TypeInContext(b->context);
  LLVMValueRef x = LLVMBuildSExt(b->b, emit_value(e, i->in[1]), i64, "");
  x = LLVMBuildMul(b->b, x, build_i64(b, i->scale * dtype_size[i->type]), "");
  return LLVMBuildGEP2(b->b, LLVMInt8TypeInContext(b->context), start, &x, 1,
                       "");
}

LLVMValueRef emit_from_memory(const Emit *e, const Instr *i, LLVMValueRef v) {
  if (i->type != T_I1) return v;
  return LLVMBuildICmp(e->build.b, LLVMIntNE, v,
                       build_integer(LLVMTypeOf(v), 0), "");
}

static LLVMTypeRef pointer_type(const Build *b) {
  return LLVMPointerTypeInContext(b->context, 0);
}

/* The mask of a vector access: lanes in range and the predicate; NULL: all. */
static LLVMValueRef access_mask(Emit *e, int predicate) {
  LLVMValueRef mask = emit_lane_mask(e);
  if (predicate < 0) return mask;
  LLVMValueRef p = emit_vector_value(e, predicate);
  return mask == NULL ? p : LLVMBuildAnd(e->build.b, p, mask, "");
}

static LLVMValueRef all_lanes(const Emit *e) {
  return build_mask(&e->build, e->s->lanes, e->s->lanes);
}

LLVMValueRef emit_masked(const Emit *e, const char *name, LLVMTypeRef value,
                         LLVMTypeRef pointer, int n, LLVMValueRef *args) {
  const Build *b = &e->build;
  LLVMTypeRef over[2] = {value, pointer};
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  LLVMValueRef fn = LLVMGetIntrinsicDeclaration(b->module, id, over, 2);
  LLVMTypeRef type = LLVMIntrinsicGetType(b->context, id, over, 2);
  return LLVMBuildCall2(b->b, type, fn, args, (unsigned)n, "");
}

static LLVMValueRef align_arg(const Emit *e, const Instr *i) {
  return LLVMConstInt(LLVMInt32TypeInContext(e->build.context),
                      (unsigned)dtype_size[i->type], false);
}

static LLVMValueRef vector_load(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  const Build *b = &e->build;
  if (kernel_transposed(e->k, e->s, i) >= 0) return emit_transposed_load(e, n);
  LLVMTypeRef t = build_vector(build_memory_type(b, i->type), e->s->lanes);
  if (i->in[0] < 0 && emit_is_strided(e, n)) return emit_strided_load(e, n);
  LLVMValueRef mask = access_mask(e, i->in[0]);
  bool contiguous = i->at.coef[e->s->vec] == 1 && i->in[1] < 0;
  if (contiguous && mask == NULL) {
    LLVMValueRef v = LLVMBuildLoad2(b->b, t, emit_address(e, n), "");
    LLVMSetAlignment(v, (unsigned)dtype_size[i->type]);
    return emit_from_memory(e, i, v);
  }
  LLVMValueRef args[4] = {contiguous ? emit_address(e, n) : addresses(e, n),
                          align_arg(e, i), mask ? mask : all_lanes(e),
                          LLVMConstNull(t)};
  LLVMTypeRef p = pointer_type(b);
  LLVMValueRef v =
      contiguous
          ? emit_masked(e, "llvm.masked.load", t, p, 4, args)
          : emit_masked(e, "llvm.masked.gather", t,
                       build_vector(p, e->s->lanes), 4, args);
  return emit_from_memory(e, i, v);
}

/* A load whose predicate is false reads the arena's first bytes instead: what it
 * yields is not used. */
static LLVMValueRef scalar_load(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  const Build *b = &e->build;
  LLVMValueRef at = scalar_address(e, n);
  if (i->in[0] >= 0)
    at = build_select(b, emit_value(e, i->in[0]), at, e->base);
  LLVMValueRef v =
      LLVMBuildLoad2(b->b, build_memory_type(b, i->type), at, "");
  LLVMSetAlignment(v, (unsigned)dtype_size[i->type]);
  return emit_from_memory(e, i, v);
}

/* An affine form of the indices, as i64 (a vector of them where the lanes
 * differ). */
static LLVMValueRef affine_value(Emit *e, const Affine *a, bool vector) {
  const Build *b = &e->build;
  LLVMValueRef v = build_i64(b, displacement(e, a));
  for (int d = 0; d < kernel_dims(e->k); d++)
    v = build_plus(b, v, build_times(b, e->iv[d], a->coef[d]));
  if (e->k->group) {
    v = build_plus(b, v, build_times(b, e->part, a->part));
    v = build_plus(b, v, build_times(b, e->turn, a->turn));
  }
  if (!vector) return v;
  v = build_splat(b, v, e->s->lanes);
  return LLVMBuildAdd(b->b, v, lane_numbers(e, a->coef[e->s->vec]), "");
}

static LLVMValueRef index_value(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  bool vector = emit_is_vector(e, n);
  LLVMValueRef v = affine_value(e, &i->at, vector);
  LLVMTypeRef t =
      build_vector(build_type(&e->build, i->type), build_lanes(v));
  if (dtype_is_float(i->type)) return LLVMBuildSIToFP(e->build.b, v, t, "");
  return LLVMBuildTrunc(e->build.b, v, t, "");
}

static LLVMValueRef to_u32(const Emit *e, LLVMValueRef v) {
  LLVMTypeRef t = build_vector(LLVMInt32TypeInContext(e->build.context),
                               build_lanes(v));
  return LLVMBuildTrunc(e->build.b, v, t, "");
}

/* Whether all values of an affine form, and what is compared with it, are far
 * inside 32 bits. */
static bool fits_i32(const Emit *e, const Instr *i) {
  int64_t reach = llabs(i->at.base) + llabs(i->low) + llabs(i->high);
  for (int d = 0; d < kernel_dims(e->k); d++)
    reach += llabs(i->at.coef[d]) * e->k->extent[d];
  if (e->k->group)
    reach += llabs(i->at.part) * e->k->group->parts +
             llabs(i->at.turn) * e->k->group->turns;
  return reach < INT32_MAX / 2;
}

/* low <= v < high as one unsigned comparison. Lanes are compared in 32 bits where
 * that is enough: the vectors are half as many. */
static LLVMValueRef inrange_value(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  const Build *b = &e->build;
  bool vector = emit_is_vector(e, n), narrow = vector && fits_i32(e, i);
  LLVMValueRef v = affine_value(e, &i->at, vector && !narrow);
  v = LLVMBuildSub(b->b, v, build_integer(LLVMTypeOf(v), (uint64_t)i->low), "");
  if (narrow) {
    v = build_splat(b, to_u32(e, v), e->s->lanes);
    v = LLVMBuildAdd(
        b->b, v, to_u32(e, lane_numbers(e, i->at.coef[e->s->vec])), "");
  }
  return LLVMBuildICmp(b->b, LLVMIntULT, v,
                       build_integer(LLVMTypeOf(v),
                                     (uint64_t)(i->high - i->low)), "");
}

static LLVMValueRef scalar_slot(Emit *e, const char *name, LLVMTypeRef type) {
  for (int i = 0; i < e->f->n_buffers; i++) {
    const Buffer *x = &e->f->buffer[i];
    if (x->kind != BUF_SCALAR || strcmp(x->name, name) != 0) continue;
    LLVMValueRef by = build_i64(&e->build, x->offset);
    LLVMValueRef p = LLVMBuildGEP2(
        e->build.b, LLVMInt8TypeInContext(e->build.context), e->base, &by, 1,
        "");
    return LLVMBuildLoad2(e->build.b, type, p, "");
  }
  defect("no scalar %s", name);
}

/* (float)(word >> 8) * 2^-24, which an f64 holds as well */
static LLVMValueRef uniform(const Emit *e, DType type, LLVMValueRef word) {
  const Build *b = &e->build;
  LLVMValueRef v = LLVMBuildLShr(b->b, word,
                                 build_integer(LLVMTypeOf(word), 8), "");
  LLVMTypeRef t = build_vector(build_type(b, type), build_lanes(v));
  v = LLVMBuildSIToFP(b->b, v, t, "");
  return LLVMBuildFMul(b->b, v, build_number(b, t, 0x1p-24), "");
}

/* The place of a random number, as i32. */
static LLVMValueRef place_value(const Emit *e, int n) {
  LLVMTypeRef i32 = LLVMInt32TypeInContext(e->build.context);
  if (e->shape == NULL) return LLVMConstInt(i32, e->k->instr[n].place, false);
  int i = 0;
  while (e->shape->rand[i] != n) i++;
  return to_u32(e, e->fact[e->shape->n_buffers + i]);
}

/* A vector of i32 in memory, so many of them behind the pointer. */
static LLVMValueRef load_words(const Build *b, LLVMValueRef p, int at, int lanes) {
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  LLVMValueRef v =
      LLVMBuildLoad2(b->b, build_vector(i32, lanes), build_moved(b, p, 4 * at), "");
  LLVMSetAlignment(v, 4);
  return v;
}

/* The vectors of a tile start at a multiple of 64 elements, so four of them in a
 * row are the four words of the same sixteen blocks. The blocks of a whole tile
 * are drawn at once: those of one four wait for each other's products. */
static LLVMValueRef rand_value(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  const Build *b = &e->build;
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  LLVMTypeRef i64 = LLVMInt64TypeInContext(b->context);
  bool vector = emit_is_vector(e, n);
  int64_t here = vector ? e->coord[e->s->vec] : 0;
  if (vector) e->coord[e->s->vec] = 0;
  LLVMValueRef element = to_u32(e, affine_value(e, &i->at, false));
  LLVMValueRef row = to_u32(e, affine_value(e, &i->row, false));
  if (vector) e->coord[e->s->vec] = here;
  LLVMValueRef block =
      LLVMBuildLShr(b->b, element, LLVMConstInt(i32, 6, false), "");
  block = LLVMBuildShl(b->b, block, LLVMConstInt(i32, 4, false), "");
  block = LLVMBuildZExt(b->b, block, i64, "");
  int lanes = vector ? e->s->lanes : 1;
  int vectors = vector ? (int)e->tile[e->s->vec] : 1;
  int blocks = (vectors + PHILOX_WORDS - 1) / PHILOX_WORDS * lanes;
  LLVMValueRef step = scalar_slot(e, "step", build_type(b, T_F64));
  step = LLVMBuildFPToUI(b->b, step, i32, "");
  LLVMValueRef c[PHILOX_WORDS] = {block, LLVMBuildZExt(b->b, row, i64, ""),
                                  LLVMBuildZExt(b->b, step, i64, ""),
                                  LLVMBuildZExt(b->b, place_value(e, n), i64,
                                                "")};
  LLVMValueRef words = build_philox(b, c, scalar_slot(e, "seed", i64), blocks);
  if (!vector) return uniform(e, i->type, words);
  for (int v = 0; v < vectors; v++) {
    e->coord[e->s->vec] = v;
    int first = v % PHILOX_WORDS * blocks + v / PHILOX_WORDS * lanes;
    LLVMValueRef word = load_words(b, words, first, lanes);
    e->memo[n][emit_position(e, e->depends[n])] = uniform(e, i->type, word);
  }
  e->coord[e->s->vec] = here;
  return e->memo[n][emit_position(e, e->depends[n])];
}

static LLVMValueRef op_value(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  LLVMValueRef in[3] = {NULL, NULL, NULL};
  int operands = op_info[i->op].operands;
  for (int o = 0; o < operands; o++)
    in[o] = emit_is_vector(e, n) ? emit_vector_value(e, i->in[o])
                                 : emit_value(e, i->in[o]);
  DType from = e->k->instr[i->in[i->op == OP_SELECT ? 1 : 0]].type;
  return build_op(&e->build, i->op, from, i->type, in);
}

static LLVMValueRef fresh_value(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  switch (i->kop) {
  case K_LOAD: return emit_is_vector(e, n) ? vector_load(e, n)
                                           : scalar_load(e, n);
  case K_CONST:
    return build_number(&e->build, build_type(&e->build, i->type), i->value);
  case K_INDEX: return index_value(e, n);
  case K_INRANGE: return inrange_value(e, n);
  case K_RAND: return rand_value(e, n);
  case K_OP: return op_value(e, n);
  case K_REDUCE: {
    int which = 0;
    while (e->reduce[which] != n) which++;
    return e->acc[which * e->positions +
                  emit_position(e, (1u << e->k->n_par) - 1)];
  }
  case K_STORE: break;
  }
  defect("instruction %d has no value", n);
}

/* Where the value of n at the position at hand is kept. */
static LLVMValueRef *place_of(Emit *e, int n) {
  if (e->memo[n] == NULL)
    e->memo[n] = arena_alloc(e->arena, sizeof(LLVMValueRef) *
                             (size_t)positions_of(e, e->depends[n]));
  return &e->memo[n][emit_position(e, e->depends[n])];
}

void emit_keep(Emit *e, int n, LLVMValueRef v) { *place_of(e, n) = v; }

LLVMValueRef emit_value(Emit *e, int n) {
  if (e->k->instr[n].kop == K_REDUCE) return fresh_value(e, n);
  LLVMValueRef *kept = place_of(e, n);
  if (*kept == NULL) {
    LLVMValueRef v = fresh_value(e, n); /* may keep values of its own */
    *kept = v;
  }
  return *kept;
}

LLVMValueRef emit_vector_value(Emit *e, int n) {
  LLVMValueRef v = emit_value(e, n);
  if (build_lanes(v) == e->s->lanes) return v;
  if (LLVMIsConstant(v)) return build_splat(&e->build, v, e->s->lanes);
  int at = emit_position(e, e->depends[n]);
  if (e->splat[n] == NULL)
    e->splat[n] = arena_alloc(e->arena, sizeof(LLVMValueRef) *
                              (size_t)positions_of(e, e->depends[n]));
  if (e->splat[n][at] == NULL)
    e->splat[n][at] = build_splat(&e->build, v, e->s->lanes);
  return e->splat[n][at];
}

LLVMValueRef emit_to_memory(const Emit *e, const Instr *i, LLVMValueRef v) {
  if (i->type != T_I1) return v;
  LLVMTypeRef t = build_vector(build_memory_type(&e->build, T_I1),
                               build_lanes(v));
  return LLVMBuildZExt(e->build.b, v, t, "");
}

static void vector_store(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  const Build *b = &e->build;
  if (kernel_transposed(e->k, e->s, i) >= 0) {
    emit_transposed_store(e, n);
    return;
  }
  if (emit_is_strided(e, n)) {
    emit_strided_store(e, n);
    return;
  }
  LLVMValueRef v = emit_to_memory(e, i, emit_vector_value(e, i->in[0]));
  LLVMTypeRef t = LLVMTypeOf(v);
  LLVMValueRef mask = emit_lane_mask(e);
  bool contiguous = i->at.coef[e->s->vec] == 1 && i->in[1] < 0;
  LLVMValueRef at = contiguous ? emit_address(e, n) : addresses(e, n);
  LLVMValueRef all = mask ? mask : all_lanes(e);
  LLVMTypeRef p = pointer_type(b);
  if (!contiguous) p = build_vector(p, e->s->lanes);
  if (i->accumulate) {
    LLVMValueRef args[4] = {at, align_arg(e, i), all, LLVMConstNull(t)};
    LLVMValueRef old = emit_masked(
        e, contiguous ? "llvm.masked.load" : "llvm.masked.gather", t, p, 4,
        args);
    v = LLVMBuildFAdd(b->b, old, v, "");
  }
  if (contiguous && mask == NULL) {
    LLVMValueRef s = LLVMBuildStore(b->b, v, at);
    LLVMSetAlignment(s, (unsigned)dtype_size[i->type]);
    return;
  }
  LLVMValueRef args[4] = {v, at, align_arg(e, i), all};
  emit_masked(e, contiguous ? "llvm.masked.store" : "llvm.masked.scatter", t, p,
             4, args);
}

void emit_store(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  const Build *b = &e->build;
  bool vector = e->s->vec >= 0 && e->s->vec < e->k->n_par && e->s->lanes > 1;
  if (vector) {
    vector_store(e, n);
    return;
  }
  LLVMValueRef v = emit_to_memory(e, i, emit_value(e, i->in[0]));
  LLVMValueRef at = scalar_address(e, n);
  if (i->accumulate) {
    LLVMValueRef old = LLVMBuildLoad2(b->b, LLVMTypeOf(v), at, "");
    LLVMSetAlignment(old, (unsigned)dtype_size[i->type]);
    v = LLVMBuildFAdd(b->b, old, v, "");
  }
  LLVMValueRef s = LLVMBuildStore(b->b, v, at);
  LLVMSetAlignment(s, (unsigned)dtype_size[i->type]);
}
