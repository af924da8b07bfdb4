/* Loads and stores whose lanes lie two to four elements apart. A run of memory is
 * read (or written) as that many vectors, contiguous and without touching anything
 * beyond the last lane, and shuffles between them pick every second to fourth
 * element out, or put them in. Accesses that lie between each other's lanes (all
 * pixels of the windows of a pool; the places of a tile of results) share one run. */
#include "codegen/emit.h"

enum { MOST_WIDE = 64 };

bool emit_is_strided(const Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  int64_t stride = e->s->vec < 0 ? 0 : i->at.coef[e->s->vec];
  return stride >= 2 && stride <= KERNEL_SHORT_STRIDE && i->in[1] < 0 &&
         e->s->lanes * stride <= MOST_WIDE && i->type != T_I1;
}

/* A run: vectors of memory, and the access at each of its first `stride` elements. */
typedef struct Run {
  int n; /* the access that is asked for */
  int stride, lanes;
  int member[KERNEL_SHORT_STRIDE]; /* -1: none */
  int first;                       /* the element that access n is at */
} Run;

static Run run_of(const Emit *e, int n) {
  Run r = {.n = n, .stride = (int)e->k->instr[n].at.coef[e->s->vec],
           .lanes = e->s->lanes};
  if (kernel_interleaved(e->k, e->s->vec, n, r.member) <= 1) {
    for (int i = 0; i < KERNEL_SHORT_STRIDE; i++) r.member[i] = -1;
    r.member[0] = n;
  }
  while (r.member[r.first] != n) r.first++;
  return r;
}

/* Whether element `at` of the run belongs to a lane that counts. */
static bool counts(const Emit *e, const Run *r, int at) {
  int64_t valid = emit_lane_mask(e) == NULL ? r->lanes : e->tail;
  return at / r->stride < valid && r->member[at % r->stride] >= 0;
}

/* The mask of vector v of the run; NULL: all elements count. */
static LLVMValueRef mask_of(const Emit *e, const Run *r, int v) {
  LLVMTypeRef i1 = LLVMInt1TypeInContext(e->build.context);
  LLVMValueRef bit[MOST_WIDE];
  bool all = true;
  for (int l = 0; l < r->lanes; l++) {
    bool c = counts(e, r, v * r->lanes + l);
    bit[l] = LLVMConstInt(i1, c, false);
    all = all && c;
  }
  return all ? NULL : LLVMConstVector(bit, (unsigned)r->lanes);
}

static LLVMValueRef align_of(const Emit *e, const Instr *i) {
  return LLVMConstInt(LLVMInt32TypeInContext(e->build.context),
                      (unsigned)dtype_size[i->type], false);
}

static LLVMValueRef address_of(Emit *e, const Run *r, int v) {
  int64_t size = dtype_size[e->k->instr[r->n].type];
  return build_moved(&e->build, emit_address(e, r->n),
                     (v * r->lanes - r->first) * size);
}

static LLVMValueRef load_vector(Emit *e, const Run *r, int v) {
  const Build *b = &e->build;
  const Instr *i = &e->k->instr[r->n];
  LLVMTypeRef t = build_vector(build_memory_type(b, i->type), r->lanes);
  LLVMValueRef mask = mask_of(e, r, v), at = address_of(e, r, v);
  if (mask == NULL) {
    LLVMValueRef x = LLVMBuildLoad2(b->b, t, at, "");
    LLVMSetAlignment(x, (unsigned)dtype_size[i->type]);
    return x;
  }
  LLVMValueRef args[4] = {at, align_of(e, i), mask, LLVMConstNull(t)};
  return emit_masked(e, "llvm.masked.load", t, LLVMTypeOf(at), 4, args);
}

static void store_vector(Emit *e, const Run *r, int v, LLVMValueRef x) {
  const Instr *i = &e->k->instr[r->n];
  LLVMValueRef mask = mask_of(e, r, v), at = address_of(e, r, v);
  if (mask == NULL) {
    LLVMSetAlignment(LLVMBuildStore(e->build.b, x, at),
                     (unsigned)dtype_size[i->type]);
    return;
  }
  LLVMValueRef args[4] = {x, at, align_of(e, i), mask};
  emit_masked(e, "llvm.masked.store", LLVMTypeOf(x), LLVMTypeOf(at), 4, args);
}

static LLVMValueRef shuffle(const Build *b, LLVMValueRef x, LLVMValueRef y,
                            const int *from, int lanes) {
  LLVMTypeRef i32 = LLVMInt32TypeInContext(b->context);
  LLVMValueRef lane[MOST_WIDE];
  for (int l = 0; l < lanes; l++)
    lane[l] = from[l] < 0 ? LLVMGetPoison(i32)
                          : LLVMConstInt(i32, (unsigned)from[l], false);
  return LLVMBuildShuffleVector(b->b, x, y,
                                LLVMConstVector(lane, (unsigned)lanes), "");
}

/* A vector of which lane l is element from[l] of the vectors x one behind the other;
 * -1: anything. Each vector adds its lanes to those of the ones before. */
static LLVMValueRef gather_lanes(const Build *b, LLVMValueRef *x, int vectors,
                                 const int *from, int lanes) {
  LLVMValueRef all = NULL;
  int pick[MOST_WIDE];
  for (int v = 0; v < vectors; v++) {
    bool any = false;
    for (int l = 0; l < lanes; l++)
      any = any || (from[l] >= 0 && from[l] / lanes == v);
    if (!any) continue;
    for (int l = 0; l < lanes; l++) {
      bool mine = from[l] >= 0 && from[l] / lanes == v;
      bool before = all != NULL && from[l] >= 0 && from[l] / lanes < v;
      pick[l] = mine ? from[l] % lanes + (all != NULL ? lanes : 0)
                     : before ? l : -1;
    }
    all = shuffle(b, all != NULL ? all : x[v], x[v], pick, lanes);
  }
  return all != NULL ? all : LLVMGetPoison(LLVMTypeOf(x[0]));
}

/* Every second element of two vectors, from `odd` on, and the other way round. */
static LLVMValueRef take_second(const Build *b, LLVMValueRef x, LLVMValueRef y,
                                int odd, int lanes) {
  int from[MOST_WIDE];
  for (int l = 0; l < lanes; l++) from[l] = 2 * l + odd;
  return shuffle(b, x, y, from, lanes);
}

static LLVMValueRef mix(const Build *b, LLVMValueRef x, LLVMValueRef y, int high,
                        int lanes) {
  int from[MOST_WIDE];
  for (int l = 0; l < lanes; l++)
    from[l] = high * lanes / 2 + l / 2 + (l % 2 ? lanes : 0);
  return shuffle(b, x, y, from, lanes);
}

/* From the vectors of a run to those of its accesses. A run of four is taken apart
 * in two steps, which share shuffles. */
static void take_apart(const Build *b, const Run *r, LLVMValueRef *x,
                       LLVMValueRef *out) {
  int lanes = r->lanes, from[MOST_WIDE];
  if (r->stride == 4) {
    LLVMValueRef half[2][2]; /* elements 0 and 2 of each four; 1 and 3 */
    for (int odd = 0; odd < 2; odd++)
      for (int h = 0; h < 2; h++)
        half[odd][h] = take_second(b, x[2 * h], x[2 * h + 1], odd, lanes);
    for (int i = 0; i < 4; i++)
      out[i] = take_second(b, half[i % 2][0], half[i % 2][1], i / 2, lanes);
    return;
  }
  for (int i = 0; i < r->stride; i++) {
    for (int l = 0; l < lanes; l++) from[l] = l * r->stride + i;
    out[i] = gather_lanes(b, x, r->stride, from, lanes);
  }
}

static void put_together(const Build *b, const Run *r, LLVMValueRef *x,
                         LLVMValueRef *out) {
  int lanes = r->lanes, from[MOST_WIDE];
  if (r->stride == 4) {
    LLVMValueRef pair[2][2];
    for (int i = 0; i < 2; i++)
      for (int high = 0; high < 2; high++)
        pair[i][high] = mix(b, x[i], x[i + 2], high, lanes);
    for (int v = 0; v < 4; v++)
      out[v] = mix(b, pair[0][v / 2], pair[1][v / 2], v % 2, lanes);
    return;
  }
  for (int v = 0; v < r->stride; v++) {
    for (int l = 0; l < lanes; l++) {
      int at = v * lanes + l, member = at % r->stride;
      from[l] = r->member[member] < 0 ? -1 : member * lanes + at / r->stride;
    }
    out[v] = gather_lanes(b, x, r->stride, from, lanes);
  }
}

LLVMValueRef emit_strided_load(Emit *e, int n) {
  Run r = run_of(e, n);
  LLVMValueRef x[KERNEL_SHORT_STRIDE], out[KERNEL_SHORT_STRIDE];
  for (int v = 0; v < r.stride; v++) x[v] = load_vector(e, &r, v);
  take_apart(&e->build, &r, x, out);
  for (int i = 0; i < r.stride; i++)
    if (r.member[i] >= 0 && r.member[i] != n &&
        e->in_body[r.member[i]] == e->in_body[n])
      emit_keep(e, r.member[i], out[i]);
  return out[r.first];
}

static LLVMValueRef stored_value(Emit *e, int n) {
  const Instr *i = &e->k->instr[n];
  return emit_to_memory(e, i, emit_vector_value(e, i->in[0]));
}

/* The first of a run stores for all. */
void emit_strided_store(Emit *e, int n) {
  Run r = run_of(e, n);
  const Instr *i = &e->k->instr[n];
  LLVMValueRef x[KERNEL_SHORT_STRIDE], out[KERNEL_SHORT_STRIDE];
  for (int m = 0; m < r.stride; m++)
    if (r.member[m] >= 0 && r.member[m] < n) return;
  for (int m = 0; m < r.stride; m++)
    x[m] = stored_value(e, r.member[m] < 0 ? n : r.member[m]);
  put_together(&e->build, &r, x, out);
  for (int v = 0; v < r.stride; v++) {
    if (i->accumulate)
      out[v] = LLVMBuildFAdd(e->build.b, load_vector(e, &r, v), out[v], "");
    store_vector(e, &r, v, out[v]);
  }
}
