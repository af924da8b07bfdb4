/* The pass `fuse`, the part that joins kernels: when a kernel without reduced
 * dimensions reads, at the same place, what an earlier one of the same parallel
 * dimensions stores, its instructions are appended to the earlier one's and the
 * load becomes the value. So momentum, update and penalty end in the epilogue of
 * the gradient's kernel. Reductions over the same dimensions that read the same
 * are joined as well. A store that nobody reads any more goes. */
#include <string.h>

#include "passes/fuse.h"

static bool touches(const Kernel *k, KOp kop, int buffer) {
  for (int i = 0; i < k->n_instrs; i++)
    if (k->instr[i].kop == kop && k->instr[i].buffer == buffer) return true;
  return false;
}

static const Instr *store_of(const Kernel *k, int buffer) {
  for (int i = 0; i < k->n_instrs; i++)
    if (k->instr[i].kop == K_STORE && k->instr[i].buffer == buffer)
      return &k->instr[i];
  return NULL;
}

/* Which buffers a kernel loads and stores, each as a bit that it may share with
 * others: most pairs of kernels have no bit in common, and then no buffer. */
enum { WORDS = 8 };
typedef struct Touch {
  uint64_t bits[2][WORDS]; /* of loads, of stores */
  bool contraction;
} Touch;

typedef struct Merge {
  Arena *arena, *trial;
  int looks; /* since there is this trial */
  KFunc *f;
  Touch *touch; /* of f->kernel */
} Merge;

static Touch touch_of(const Kernel *k) {
  Touch t = {.contraction = kernel_is_contraction(k)};
  for (int i = 0; i < k->n_instrs; i++) {
    const Instr *x = &k->instr[i];
    unsigned bit = (unsigned)x->buffer % (64 * WORDS);
    if (x->kop == K_LOAD || x->kop == K_STORE)
      t.bits[x->kop == K_STORE][bit / 64] |= (uint64_t)1 << bit % 64;
  }
  return t;
}

static bool may_share(const Touch *x, KOp xop, const Touch *y, KOp yop) {
  for (int i = 0; i < WORDS; i++)
    if (x->bits[xop == K_STORE][i] & y->bits[yop == K_STORE][i]) return true;
  return false;
}

/* Kernels by number. */
static bool any_shared(const Merge *m, int a, KOp aop, int b, KOp bop) {
  if (!may_share(&m->touch[a], aop, &m->touch[b], bop)) return false;
  const Kernel *x = m->f->kernel[a], *y = m->f->kernel[b];
  for (int i = 0; i < x->n_instrs; i++)
    if (x->instr[i].kop == aop && touches(y, bop, x->instr[i].buffer))
      return true;
  return false;
}

/* Kernel `which` may run before or after all between a and b: none of them
 * writes what it reads or writes, or reads what it writes. */
static bool can_pass(const Merge *m, int a, int b, int which) {
  for (int n = 1; n < b - a; n++) {
    int i = which == a ? a + n : b - n; /* what hinders is mostly near */
    if (any_shared(m, i, K_STORE, which, K_LOAD) ||
        any_shared(m, i, K_STORE, which, K_STORE) ||
        any_shared(m, i, K_LOAD, which, K_STORE))
      return false;
  }
  return true;
}

/* The dimensions into which both kernels' parallel ones can be split; their
 * number, or -1. [64 32 1024] and [64 32 32 32] have [64 32 32 32]. */
static int common_dims(const Kernel *a, const Kernel *b, int64_t *out) {
  int i = 0, j = 0, n = 0;
  int64_t x = 1, y = 1; /* what is left of a's and b's dimension */
  for (;;) {
    while (x == 1 && i < a->n_par) x = a->extent[i++];
    while (y == 1 && j < b->n_par) y = b->extent[j++];
    if (x == 1 && y == 1) return n;
    int64_t less = x < y ? x : y, more = x < y ? y : x;
    if (less == 1 || more % less != 0 || n == MAX_DIMS) return -1;
    out[n++] = less;
    x /= less;
    y /= less;
  }
}

/* Splits k's parallel dimensions into these. Extents of 1 go along with what
 * stands before or behind them. */
static void refine(Kernel *k, const int64_t *dim, int n) {
  int d = 0;
  for (int i = 0; i < n; i++, d++) {
    while (k->extent[d] == 1) d++;
    if (k->extent[d] != dim[i]) kernel_split_dim(k, d, k->extent[d] / dim[i]);
  }
}

static void drop_ones(Kernel *k) {
  for (int d = k->n_par - 1; d >= 0; d--)
    if (k->extent[d] == 1) kernel_remove_dim(k, d);
}

/* Copies of both kernels with the same parallel dimensions; false if there are
 * none. `b` may have reduced ones only if `a` has the same. */
static bool align(Arena *ar, const Kernel *a, const Kernel *b, Kernel *x,
                  Kernel *y) {
  int64_t dim[MAX_DIMS + 1];
  int n = common_dims(a, b, dim);
  if (n < 0 || n + a->n_red > MAX_DIMS) return false;
  if (b->n_red != 0) {
    if (a->n_red != b->n_red) return false;
    for (int d = 0; d < a->n_red; d++)
      if (a->extent[a->n_par + d] != b->extent[b->n_par + d]) return false;
  }
  const Kernel *from[2] = {a, b};
  Kernel *to[2] = {x, y};
  for (int i = 0; i < 2; i++) {
    *to[i] = *from[i];
    to[i]->cap_instrs = from[i]->n_instrs + 1;
    to[i]->instr = arena_alloc(ar, (size_t)to[i]->cap_instrs * sizeof(Instr));
    memcpy(to[i]->instr, from[i]->instr,
           (size_t)from[i]->n_instrs * sizeof(Instr));
    drop_ones(to[i]);
    refine(to[i], dim, n);
  }
  return true;
}

/* In one kernel, a buffer that is stored may be loaded only at the same place,
 * and a store that adds may not be read at all. */
static bool places_agree(const Kernel *a, const Kernel *b) {
  for (int i = 0; i < a->n_instrs; i++) {
    const Instr *x = &a->instr[i];
    if (x->kop != K_LOAD && x->kop != K_STORE) continue;
    for (int j = 0; j < b->n_instrs; j++) {
      const Instr *y = &b->instr[j];
      bool conflict = (x->kop == K_STORE && y->kop == K_LOAD) ||
                      (x->kop == K_LOAD && y->kop == K_STORE);
      if (x->kop == K_STORE && y->kop == K_STORE && x->buffer == y->buffer)
        return false;
      if (!conflict || x->buffer != y->buffer) continue;
      if (x->accumulate || y->accumulate || x->in[1] >= 0 || y->in[1] >= 0 ||
          !affine_equal(&x->at, &y->at, MAX_DIMS))
        return false;
    }
  }
  return true;
}

static void append(Arena *a, Kernel *to, const Kernel *from) {
  int map[from->n_instrs + 1];
  for (int i = 0; i < from->n_instrs; i++) {
    Instr x = from->instr[i];
    for (int o = 0; o < instr_operands(&x); o++)
      if (x.in[o] >= 0) x.in[o] = map[x.in[o]];
    const Instr *stored =
        x.kop == K_LOAD ? store_of(to, x.buffer) : NULL;
    if (stored != NULL) { /* under a guard too, which hides what is elsewhere */
      map[i] = stored->in[0];
      continue;
    }
    map[i] = kernel_add(a, to, &x);
  }
  for (int i = 0; i < from->n_locs; i++) {
    bool known = false;
    for (int j = 0; j < to->n_locs; j++)
      known |= to->locs[j].line == from->locs[i].line &&
               to->locs[j].column == from->locs[i].column;
    if (known || to->n_locs == MAX_LOCS) continue;
    if (to->locs == NULL) to->locs = arena_alloc(a, MAX_LOCS * sizeof(Loc));
    to->locs[to->n_locs++] = from->locs[i];
  }
}

/* Random words come sixteen at a time from loops of their own (see cost.c). */
static bool draws(const Kernel *k) {
  for (int i = 0; i < k->n_instrs; i++)
    if (k->instr[i].kop == K_RAND) return true;
  return false;
}

/* What read_together needs and can be told before dimensions are aligned. */
static bool may_read_together(const Merge *m, int i, int j) {
  return m->f->kernel[i]->n_red != 0 && m->f->kernel[j]->n_red != 0 &&
         !m->touch[i].contraction && !m->touch[j].contraction &&
         any_shared(m, i, K_LOAD, j, K_LOAD) &&
         !any_shared(m, i, K_STORE, j, K_LOAD);
}

/* Two reductions over the same dimensions that read a large buffer at the same
 * places read it once if they run together. A contraction stays alone. */
static bool read_together(const Kernel *x, const Kernel *y) {
  for (int i = 0; i < x->n_instrs; i++)
    for (int j = 0; j < y->n_instrs; j++)
      if (x->instr[i].kop == K_LOAD && y->instr[j].kop == K_LOAD &&
          x->instr[i].buffer == y->instr[j].buffer &&
          affine_equal(&x->instr[i].at, &y->instr[j].at, MAX_DIMS))
        return true;
  return false;
}

static void remove_kernel(Merge *m, int at) {
  size_t behind = (size_t)(m->f->n_kernels - at - 1);
  memmove(&m->f->kernel[at], &m->f->kernel[at + 1],
          behind * sizeof *m->f->kernel);
  memmove(&m->touch[at], &m->touch[at + 1], behind * sizeof *m->touch);
  m->f->n_kernels--;
}

/* There is room: one was removed before. */
static void insert_kernel(Merge *m, int at, Kernel *k) {
  size_t behind = (size_t)(m->f->n_kernels - at);
  memmove(&m->f->kernel[at + 1], &m->f->kernel[at],
          behind * sizeof *m->f->kernel);
  memmove(&m->touch[at + 1], &m->touch[at], behind * sizeof *m->touch);
  m->f->kernel[at] = k;
  m->touch[at] = touch_of(k);
  m->f->n_kernels++;
}

/* Kernels that are only looked at lie in an arena of their own, some of them in one. */
static void fresh_trial(Merge *m) {
  enum { LOOKS = 32 };
  if (m->trial != NULL && ++m->looks % LOOKS != 0) return;
  arena_free(m->trial);
  m->trial = arena_new();
}

static bool try_merge(Merge *m, int i, int j) {
  Arena *a = m->arena;
  KFunc *f = m->f;
  const Kernel *p = f->kernel[i], *q = f->kernel[j];
  bool follows = q->n_red == 0 && any_shared(m, i, K_STORE, j, K_LOAD);
  bool together = !follows && may_read_together(m, i, j);
  if ((!follows && !together) || draws(p) || draws(q)) return false;
  int64_t dim[MAX_DIMS + 1];
  if (common_dims(p, q, dim) < 0) return false; /* before what takes long */
  bool rises = can_pass(m, i, j, j);
  if (!rises && !can_pass(m, i, j, i)) return false;
  fresh_trial(m);
  Kernel *x = kernel_new(m->trial), y = {0};
  if (!align(m->trial, p, q, x, &y) || (!follows && !read_together(x, &y)) ||
      !places_agree(x, &y))
    return false;
  append(m->trial, x, &y);
  arena_adopt(a, m->trial);
  m->trial = NULL;
  remove_kernel(m, j);
  if (!rises) { /* the joined kernel runs at the later place */
    remove_kernel(m, i);
    insert_kernel(m, j - 1, x);
    return true;
  }
  f->kernel[i] = x;
  m->touch[i] = touch_of(x);
  return true;
}

static void remove_instr(Kernel *k, int at) {
  memmove(&k->instr[at], &k->instr[at + 1],
          (size_t)(k->n_instrs - at - 1) * sizeof *k->instr);
  k->n_instrs--;
  for (int i = 0; i < k->n_instrs; i++)
    for (int o = 0; o < 3; o++)
      if (k->instr[i].in[o] > at) k->instr[i].in[o]--;
}

static bool stores(const Kernel *k) {
  for (int i = 0; i < k->n_instrs; i++)
    if (k->instr[i].kop == K_STORE) return true;
  return false;
}

/* The buffers that are loaded, or also those that are stored. */
static bool *used_buffers(Arena *a, const KFunc *f, bool stored) {
  bool *used = arena_alloc(a, (size_t)(f->n_buffers + 1) * sizeof *used);
  for (int i = 0; i < f->n_kernels; i++)
    for (int n = 0; n < f->kernel[i]->n_instrs; n++) {
      const Instr *x = &f->kernel[i]->instr[n];
      if (x->kop == K_LOAD || (stored && x->kop == K_STORE))
        used[x->buffer] = true;
    }
  for (int i = 0; i < f->n_results; i++) used[f->result[i].buffer] = true;
  return used;
}

/* Stores that nobody reads go, and kernels that are left without one. */
static void drop_dead_stores(Arena *a, KFunc *f) {
  const bool *used = used_buffers(a, f, false);
  int kept = 0;
  for (int i = 0; i < f->n_kernels; i++) {
    Kernel *k = f->kernel[i];
    for (int n = k->n_instrs - 1; n >= 0; n--) {
      int b = k->instr[n].buffer;
      if (k->instr[n].kop == K_STORE && f->buffer[b].kind == BUF_TEMP &&
          !used[b])
        remove_instr(k, n);
    }
    if (stores(k)) f->kernel[kept++] = k;
  }
  f->n_kernels = kept;
}

static void drop_unused_buffers(Arena *a, KFunc *f) {
  const bool *used = used_buffers(a, f, true);
  int *map = arena_alloc(a, (size_t)(f->n_buffers + 1) * sizeof *map);
  int kept = 0;
  for (int b = 0; b < f->n_buffers; b++) {
    map[b] = kept;
    if (used[b] || f->buffer[b].kind == BUF_SCALAR)
      f->buffer[kept++] = f->buffer[b];
  }
  f->n_buffers = kept;
  for (int i = 0; i < f->n_kernels; i++)
    for (int n = 0; n < f->kernel[i]->n_instrs; n++) {
      Instr *x = &f->kernel[i]->instr[n];
      if (x->kop == K_LOAD || x->kop == K_STORE) x->buffer = map[x->buffer];
    }
  for (int i = 0; i < f->n_results; i++)
    f->result[i].buffer = map[f->result[i].buffer];
}

void fuse_merge(Arena *a, KFunc *f) {
  Merge m = {.arena = a, .f = f};
  m.touch = arena_alloc(a, (size_t)(f->n_kernels + 1) * sizeof *m.touch);
  for (int i = 0; i < f->n_kernels; i++) m.touch[i] = touch_of(f->kernel[i]);
  for (int i = 0; i < f->n_kernels; i++)
    for (int j = i + 1; j < f->n_kernels; j++)
      if (try_merge(&m, i, j)) {
        if (i > 0) i--; /* either may have moved: look again from here */
        j = i;
      }
  arena_free(m.trial);
  drop_dead_stores(a, f);
  drop_unused_buffers(a, f);
}
