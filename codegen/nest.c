/* One kernel as a function of LLVM IR. The parallel loops are emitted outermost
 * first; inside them stands a register tile: accumulators in SSA form, the reduced
 * loops, which carry accumulators and pointers as phis, and the epilogue. Where a
 * tile does not divide its dimension, the rest is a second copy of what is inside,
 * with its own constants, so that no bound is tested in the innermost loop. */
#include <string.h>

#include "codegen/emit.h"

static int64_t step_of(const Emit *e, int d) {
  return e->s->tile[d] * (d == e->s->vec ? e->s->lanes : 1);
}

/* Bytes from the arena's start to a buffer. */
static LLVMValueRef offset_of(const Emit *e, int buffer) {
  if (e->shape == NULL)
    return build_i64(&e->build, e->f->buffer[buffer].offset);
  unsigned i = 0;
  while (e->shape->buffer[i] != buffer) i++;
  return e->fact[i];
}

static LLVMValueRef moved(const Emit *e, LLVMValueRef p, LLVMValueRef by) {
  return LLVMBuildGEP2(e->build.b, LLVMInt8TypeInContext(e->build.context), p,
                       &by, 1, "");
}

/* Where the buffer begins for the chunk that the kernel is run for. */
static LLVMValueRef start_of(const Emit *e, const Pointer *p) {
  const Build *b = &e->build;
  const Buffer *x = &e->f->buffer[p->buffer];
  LLVMValueRef by = offset_of(e, p->buffer);
  if (e->k->group) {
    int64_t size = dtype_size[x->type.dtype];
    LLVMValueRef own = build_times(b, LLVMGetParam(e->fn, 3), e->k->group->bytes);
    by = build_plus(b, by, x->local ? own
                                    : build_times(b, e->part, p->at.part * size));
    by = build_plus(b, by, build_times(b, e->turn, p->at.turn * size));
  }
  return moved(e, e->base, by);
}

static bool steps_alike(const Affine *x, const Affine *y) {
  Affine z = *y;
  z.base = x->base;
  return affine_equal(x, &z, MAX_DIMS);
}

/* Finds the pointers that the accesses of a kernel share. */
static void find_pointers(Emit *e) {
  const Kernel *k = e->k;
  size_t n = (size_t)k->n_instrs + 1;
  e->pointer = arena_alloc(e->arena, n * sizeof *e->pointer);
  e->pointer_of = arena_alloc(e->arena, n * sizeof *e->pointer_of);
  for (int i = 0; i < k->n_instrs; i++) {
    const Instr *x = &k->instr[i];
    if (x->kop != K_LOAD && x->kop != K_STORE) continue;
    int p = 0;
    for (; p < e->n_pointers; p++)
      if (e->pointer[p].buffer == x->buffer &&
          steps_alike(&e->pointer[p].at, &x->at))
        break;
    e->pointer_of[i] = p;
    if (p < e->n_pointers) continue;
    e->n_pointers++;
    e->pointer[p] = (Pointer){.buffer = x->buffer, .at = x->at};
    e->pointer[p].now = start_of(e, &e->pointer[p]);
  }
}

static int64_t pointer_step(const Emit *e, const Pointer *p, int d) {
  DType t = e->f->buffer[p->buffer].type.dtype;
  return p->at.coef[d] * dtype_size[t];
}

/* A loop that is being emitted: its phis in the order counter, pointers that
 * step along the dimension, accumulators. */
typedef struct Loop {
  int dim;
  LLVMBasicBlockRef body, after;
  LLVMValueRef counter, index, last;
  LLVMValueRef *pointer; /* phi or NULL */
  LLVMValueRef *saved;   /* pointers before the loop */
  LLVMValueRef *acc;
  int n_acc;
} Loop;

static LLVMValueRef phi(const Emit *e, LLVMValueRef from,
                        LLVMBasicBlockRef block) {
  LLVMValueRef p = LLVMBuildPhi(e->build.b, LLVMTypeOf(from), "");
  LLVMAddIncoming(p, &from, &block, 1);
  return p;
}

/* Runs `count` steps of dimension d (bottom-tested: at least one) starting from
 * step `first`. */
static void loop_begin(Emit *e, Loop *l, int d, LLVMValueRef first,
                       LLVMValueRef last, int n_acc) {
  const Build *b = &e->build;
  LLVMBasicBlockRef from = LLVMGetInsertBlock(b->b);
  size_t n = (size_t)e->n_pointers + 1;
  *l = (Loop){.dim = d, .last = last, .n_acc = n_acc};
  l->pointer = arena_alloc(e->arena, n * sizeof(LLVMValueRef));
  l->saved = arena_alloc(e->arena, n * sizeof(LLVMValueRef));
  l->acc = arena_alloc(e->arena, (size_t)(n_acc + 1) * sizeof(LLVMValueRef));
  LLVMValueRef *start = arena_alloc(e->arena, n * sizeof(LLVMValueRef));
  for (int p = 0; p < e->n_pointers; p++) {
    l->saved[p] = start[p] = e->pointer[p].now;
    int64_t by = pointer_step(e, &e->pointer[p], d) * step_of(e, d);
    if (by != 0 && !LLVMIsConstant(first))
      start[p] = moved(e, start[p],
                       LLVMBuildMul(b->b, first, build_i64(b, by), ""));
  }
  l->body = LLVMAppendBasicBlockInContext(b->context, e->fn, "");
  l->after = LLVMAppendBasicBlockInContext(b->context, e->fn, "");
  LLVMBuildBr(b->b, l->body);
  LLVMPositionBuilderAtEnd(b->b, l->body);
  l->counter = phi(e, first, from);
  for (int p = 0; p < e->n_pointers; p++)
    if (pointer_step(e, &e->pointer[p], d) != 0)
      e->pointer[p].now = l->pointer[p] = phi(e, start[p], from);
  for (int i = 0; i < n_acc; i++) e->acc[i] = l->acc[i] = phi(e, e->acc[i], from);
  e->iv[d] = build_times(b, l->counter, step_of(e, d));
}

static void loop_end(Emit *e, Loop *l) {
  const Build *b = &e->build;
  LLVMBasicBlockRef here = LLVMGetInsertBlock(b->b);
  LLVMValueRef next = LLVMBuildAdd(b->b, l->counter, build_i64(b, 1), "");
  LLVMAddIncoming(l->counter, &next, &here, 1);
  for (int p = 0; p < e->n_pointers; p++) {
    if (l->pointer[p] == NULL) continue;
    int64_t by = pointer_step(e, &e->pointer[p], l->dim) * step_of(e, l->dim);
    LLVMValueRef to = moved(e, l->pointer[p], build_i64(b, by));
    LLVMAddIncoming(l->pointer[p], &to, &here, 1);
  }
  for (int i = 0; i < l->n_acc; i++)
    LLVMAddIncoming(l->acc[i], &e->acc[i], &here, 1);
  LLVMValueRef more = LLVMBuildICmp(b->b, LLVMIntULT, next, l->last, "");
  LLVMBuildCondBr(b->b, more, l->body, l->after);
  LLVMPositionBuilderAtEnd(b->b, l->after);
  for (int p = 0; p < e->n_pointers; p++) e->pointer[p].now = l->saved[p];
}

/* Moves the tile's start to element `at` of dimension d; returns the pointers as
 * they were. */
static LLVMValueRef *shift(Emit *e, int d, int64_t at) {
  LLVMValueRef *saved = arena_alloc(
      e->arena, (size_t)(e->n_pointers + 1) * sizeof(LLVMValueRef));
  for (int p = 0; p < e->n_pointers; p++) {
    saved[p] = e->pointer[p].now;
    int64_t by = pointer_step(e, &e->pointer[p], d) * at;
    if (by != 0)
      e->pointer[p].now = moved(e, saved[p], build_i64(&e->build, by));
  }
  e->iv[d] = build_i64(&e->build, at);
  return saved;
}

static void unshift(Emit *e, LLVMValueRef *saved) {
  for (int p = 0; p < e->n_pointers; p++) e->pointer[p].now = saved[p];
}

/* Sets the extent of the tile in dimension d: whole, or what is left. */
static void set_tile(Emit *e, int d, int64_t elements) {
  if (d == e->s->vec) {
    e->tile[d] = (elements + e->s->lanes - 1) / e->s->lanes;
    e->tail = elements - (e->tile[d] - 1) * e->s->lanes;
  } else {
    e->tile[d] = elements;
  }
}

/* The order in which the positions of a tile are visited. Dimensions along which
 * the fewer vector loads step run fastest: those vectors stay in registers, and
 * whatever else a row needs is loaded just before its products and dies young. */
static void order_positions(Emit *e) {
  const Kernel *k = e->k;
  uint32_t inner = 0;
  int64_t fewest = INT64_MAX;
  for (int n = 0; n < k->n_instrs; n++) {
    if (k->instr[n].kop != K_LOAD || !e->in_body[n] || !emit_is_vector(e, n))
      continue;
    int64_t copies = 1;
    for (int d = 0; d < k->n_par; d++)
      if (e->depends[n] >> d & 1) copies *= e->s->tile[d];
    if (copies >= fewest) continue;
    fewest = copies;
    inner = e->depends[n];
  }
  int at = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int d = k->n_par - 1; d >= 0; d--)
      if ((inner >> d & 1) == (pass == 0)) e->visit[at++] = d;
}

/* Moves e->coord to the next position over the parallel dimensions; false after
 * the last, when it is back at the first. */
static bool next_position(Emit *e) {
  for (int i = 0; i < e->k->n_par; i++) {
    int d = e->visit[i];
    if (++e->coord[d] < e->tile[d]) return true;
    e->coord[d] = 0;
  }
  return false;
}

/* The same over the unrolled steps of the reduced dimensions. */
static bool next_reduced(Emit *e) {
  for (int d = kernel_dims(e->k) - 1; d >= e->k->n_par; d--) {
    if (++e->coord[d] < e->tile[d]) return true;
    e->coord[d] = 0;
  }
  return false;
}

static void emit_body(Emit *e) {
  do {
    int p = 0;
    do {
      for (int r = 0; r < e->n_reduces; r++) emit_reduce(e, r, p);
      p++;
    } while (next_position(e));
    /* unrolled reduced dimensions come one after the other */
  } while (next_reduced(e));
  emit_forget(e, true);
}

static void reduced_loops(Emit *e, int level) {
  if (level == kernel_dims(e->k)) {
    emit_body(e);
    return;
  }
  int d = e->s->order[level];
  int64_t step = step_of(e, d), full = e->k->extent[d] / step;
  int64_t rest = e->k->extent[d] % step;
  if (full > 0) set_tile(e, d, step);
  if (full == 1) {
    LLVMValueRef *saved = shift(e, d, 0);
    reduced_loops(e, level + 1);
    unshift(e, saved);
  } else if (full > 1) {
    Loop l;
    loop_begin(e, &l, d, build_i64(&e->build, 0), build_i64(&e->build, full),
               emit_acc_count(e));
    reduced_loops(e, level + 1);
    loop_end(e, &l);
  }
  if (rest > 0) {
    set_tile(e, d, rest);
    LLVMValueRef *saved = shift(e, d, full * step);
    reduced_loops(e, level + 1);
    unshift(e, saved);
  }
}

/* Values that the body reads but that no reduced loop changes. */
static void emit_invariants(Emit *e) {
  const Kernel *k = e->k;
  for (int n = 0; n < k->n_instrs; n++) {
    if (!e->in_body[n]) continue;
    for (int o = 0; o < instr_operands(&k->instr[n]); o++) {
      int x = k->instr[n].in[o];
      if (x < 0 || e->in_body[x] || e->level[x] != IN_TILE) continue;
      do emit_value(e, x);
      while (next_position(e));
    }
  }
}

/* Accumulators are numbered as emit_body visits them; epilogues ask by position
 * in dimension order. */
static void number_accumulators(Emit *e) {
  size_t bytes = (size_t)emit_acc_count(e) * sizeof *e->acc;
  LLVMValueRef *by_visit = arena_alloc(e->arena, bytes + 1);
  memcpy(by_visit, e->acc, bytes);
  int p = 0;
  do {
    int at = emit_position(e, (1u << e->k->n_par) - 1);
    for (int r = 0; r < e->n_reduces; r++)
      e->acc[r * e->positions + at] = by_visit[r * e->positions + p];
    p++;
  } while (next_position(e));
}

/* Whether load n reads what the epilogue then changes in place, a vector at a time: a
 * weight, or its momentum. */
static bool is_changed(const Emit *e, int n) {
  const Kernel *k = e->k;
  const Instr *i = &k->instr[n];
  int v = e->s->vec;
  if (i->kop != K_LOAD || e->in_body[n] || e->level[n] != IN_TILE ||
      i->in[0] >= 0 || i->in[1] >= 0 || v < 0 || v >= k->n_par ||
      i->at.coef[v] != 1)
    return false;
  for (int j = 0; j < k->n_instrs; j++)
    if (k->instr[j].kop == K_STORE && k->instr[j].buffer == i->buffer)
      return true;
  return false;
}

/* Asks for the lines that the epilogue changes, to write, before the products are
 * summed. Other cores have read the weights since they were changed: without this
 * each store waits until they have given up their copy of its line, one after the
 * other, which took a third of a step of a small batch on two cores. */
static void emit_claims(Emit *e) {
  const Build *b = &e->build;
  LLVMTypeRef ptr = LLVMPointerTypeInContext(b->context, 0);
  enum { WRITE = 1, NEAREST = 3, DATA = 1, LINE = 64 };
  for (int n = 0; n < e->k->n_instrs; n++) {
    if (!is_changed(e, n)) continue;
    LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
    int64_t bytes = e->s->lanes * dtype_size[e->k->instr[n].type];
    do {
      int64_t from = e->coord[e->s->vec] * bytes, at = (from + LINE - 1) / LINE * LINE;
      for (; at < from + bytes; at += LINE) { /* narrow vectors share a line */
        LLVMValueRef args[4] = {
            build_moved(b, emit_address(e, n), at - from),
            LLVMConstInt(i32, WRITE, false), LLVMConstInt(i32, NEAREST, false),
            LLVMConstInt(i32, DATA, false)};
        build_intrinsic(b, "llvm.prefetch", ptr, 4, args);
      }
    } while (next_position(e));
  }
}

static void emit_tile(Emit *e) {
  const Kernel *k = e->k;
  e->positions = 1;
  for (int d = 0; d < k->n_par; d++) e->positions *= (int)e->tile[d];
  emit_forget(e, false);
  if (e->n_reduces > 0) {
    size_t bytes = (size_t)emit_acc_count(e) * sizeof *e->acc;
    e->acc = arena_alloc(e->arena, bytes + 1);
    for (int d = k->n_par; d < kernel_dims(k); d++) set_tile(e, d, step_of(e, d));
    emit_start_accumulators(e);
    emit_invariants(e);
    emit_claims(e);
    reduced_loops(e, k->n_par);
    for (int d = k->n_par; d < kernel_dims(k); d++) e->tile[d] = 1;
    emit_finish_lanes(e);
    number_accumulators(e);
  }
  do {
    for (int n = 0; n < k->n_instrs; n++)
      if (k->instr[n].kop == K_STORE) emit_store(e, n);
  } while (next_position(e));
}

/* How many of the outer loops an instruction needs, if it is the same for the
 * whole tile inside them: then it is worked out where the last of them opens. */
static void find_levels(Emit *e) {
  const Kernel *k = e->k;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    int level = i->kop == K_REDUCE || i->kop == K_STORE ? IN_TILE : 0;
    for (int o = 0; o < instr_operands(i); o++)
      if (i->in[o] >= 0 && e->level[i->in[o]] == IN_TILE) level = IN_TILE;
    for (int l = 0; l < kernel_dims(k) && level != IN_TILE; l++) {
      int d = e->s->order[l];
      if (!(e->depends[n] >> d & 1)) continue;
      bool whole = l >= k->n_par || d == e->s->vec || e->s->tile[d] != 1;
      level = whole ? IN_TILE : l + 1;
    }
    e->level[n] = level;
  }
}

/* The values that hold from here on, inside `open` loops. */
static void enter_level(Emit *e, int open) {
  for (int n = 0; n < e->k->n_instrs; n++) {
    if (e->level[n] < open) continue;
    e->memo[n] = NULL;
    e->splat[n] = NULL;
  }
  for (int n = 0; n < e->k->n_instrs; n++)
    if (e->level[n] == open) emit_value(e, n);
}

static void parallel_loops(Emit *e, int level);

static void rest_of_loop(Emit *e, int level, int d, int64_t done,
                         int64_t rest) {
  set_tile(e, d, rest);
  LLVMValueRef *saved = shift(e, d, done);
  parallel_loops(e, level + 1);
  unshift(e, saved);
}

/* The loop that is cut into pieces does the steps [begin, end) of the operands; the
 * rest that is no whole step is the last of them. */
static void split_loop(Emit *e, int level) {
  const Build *b = &e->build;
  int d = e->s->order[level];
  int64_t step = step_of(e, d), full = e->k->extent[d] / step;
  int64_t rest = e->k->extent[d] % step;
  LLVMValueRef begin = LLVMGetParam(e->fn, 1), end = LLVMGetParam(e->fn, 2);
  LLVMValueRef limit = build_i64(b, full);
  LLVMBasicBlockRef some = LLVMAppendBasicBlockInContext(b->context, e->fn, "");
  LLVMBasicBlockRef tail = LLVMAppendBasicBlockInContext(b->context, e->fn, "");
  LLVMBuildCondBr(b->b, LLVMBuildICmp(b->b, LLVMIntULT, begin, limit, ""), some,
                  tail);
  LLVMPositionBuilderAtEnd(b->b, some);
  if (full > 0) {
    LLVMValueRef less = LLVMBuildICmp(b->b, LLVMIntULT, end, limit, "");
    Loop l;
    set_tile(e, d, step);
    loop_begin(e, &l, d, begin, build_select(b, less, end, limit), 0);
    parallel_loops(e, level + 1);
    loop_end(e, &l);
  }
  LLVMBuildBr(b->b, tail);
  LLVMPositionBuilderAtEnd(b->b, tail);
  if (rest == 0) return;
  LLVMBasicBlockRef last = LLVMAppendBasicBlockInContext(b->context, e->fn, "");
  LLVMBasicBlockRef done = LLVMAppendBasicBlockInContext(b->context, e->fn, "");
  LLVMBuildCondBr(b->b, LLVMBuildICmp(b->b, LLVMIntUGT, end, limit, ""), last,
                  done);
  LLVMPositionBuilderAtEnd(b->b, last);
  rest_of_loop(e, level, d, full * step, rest);
  LLVMBuildBr(b->b, done);
  LLVMPositionBuilderAtEnd(b->b, done);
}

static void parallel_loops(Emit *e, int level) {
  enter_level(e, level);
  if (level == e->k->n_par) {
    emit_tile(e);
    return;
  }
  if (e->s->pieces > 1 && level == kernel_split_loop(e->k, e->s)) {
    split_loop(e, level);
    return;
  }
  int d = e->s->order[level];
  int64_t step = step_of(e, d), full = e->k->extent[d] / step;
  int64_t rest = e->k->extent[d] % step;
  if (full == 1) {
    rest_of_loop(e, level, d, 0, step);
  } else if (full > 1) {
    Loop l;
    set_tile(e, d, step);
    loop_begin(e, &l, d, build_i64(&e->build, 0), build_i64(&e->build, full),
               0);
    parallel_loops(e, level + 1);
    loop_end(e, &l);
  }
  if (rest > 0) rest_of_loop(e, level, d, full * step, rest);
}

static void prepare(Emit *e) {
  const Kernel *k = e->k;
  size_t n = (size_t)k->n_instrs + 1;
  e->depends = arena_alloc(e->arena, n * sizeof *e->depends);
  e->in_body = arena_alloc(e->arena, n * sizeof *e->in_body);
  e->memo = arena_alloc(e->arena, n * sizeof *e->memo);
  e->splat = arena_alloc(e->arena, n * sizeof *e->splat);
  e->reduce = arena_alloc(e->arena, n * sizeof *e->reduce);
  e->level = arena_alloc(e->arena, n * sizeof *e->level);
  kernel_depends(k, e->depends);
  kernel_in_body(k, e->in_body);
  for (int i = 0; i < k->n_instrs; i++)
    if (k->instr[i].kop == K_REDUCE) {
      e->reduce[e->n_reduces++] = i;
      if (k->instr[i].op == OP_ARGMAX) e->has_argmax = true;
    }
  for (int d = 0; d < MAX_DIMS; d++) {
    e->tile[d] = 1;
    e->iv[d] = build_i64(&e->build, 0);
  }
  e->tail = e->s->lanes;
  order_positions(e);
  find_pointers(e);
  find_levels(e);
}

LLVMTypeRef kernel_type(const Build *b, bool in_group) {
  LLVMTypeRef i64 = LLVMInt64TypeInContext(b->context);
  LLVMTypeRef params[4] = {LLVMPointerTypeInContext(b->context, 0), i64, i64,
                           i64};
  return LLVMFunctionType(LLVMVoidTypeInContext(b->context), params,
                          in_group ? 4 : 3, false);
}

/* Reads what shared code is told. */
static void load_facts(Emit *e) {
  const Build *b = &e->build;
  LLVMTypeRef ptr = LLVMPointerTypeInContext(b->context, 0);
  LLVMValueRef pair = LLVMGetParam(e->fn, 0);
  LLVMValueRef facts =
      LLVMBuildLoad2(b->b, ptr, build_moved(b, pair, sizeof(int64_t)), "");
  e->base = LLVMBuildLoad2(b->b, ptr, pair, "");
  size_t n = (size_t)shape_facts(e->shape);
  e->fact = arena_alloc(e->arena, (n + 1) * sizeof *e->fact);
  for (size_t i = 0; i < n; i++)
    e->fact[i] = LLVMBuildLoad2(
        b->b, LLVMInt64TypeInContext(b->context),
        build_moved(b, facts, (int64_t)(i * sizeof(int64_t))), "");
}

LLVMValueRef emit_kernel(Arena *a, const Build *b, const KModule *m,
                         const KFunc *f, const Kernel *k, const char *name,
                         const Shape *shape) {
  Emit *e = arena_alloc(a, sizeof *e);
  *e = (Emit){.build = *b, .arena = a, .m = m, .f = f, .k = k,
              .s = &k->schedule, .shape = shape};
  e->fn = LLVMAddFunction(b->module, name, kernel_type(b, k->group != NULL));
  e->base = LLVMGetParam(e->fn, 0);
  e->part = LLVMGetParam(e->fn, 1);
  e->turn = LLVMGetParam(e->fn, 2);
  LLVMPositionBuilderAtEnd(
      b->b, LLVMAppendBasicBlockInContext(b->context, e->fn, ""));
  if (shape != NULL) load_facts(e);
  prepare(e);
  parallel_loops(e, 0);
  LLVMBuildRetVoid(b->b);
  return e->fn;
}
