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

static bool any_shared(const Kernel *x, KOp xop, const Kernel *y, KOp yop) {
  for (int i = 0; i < x->n_instrs; i++)
    if (x->instr[i].kop == xop && touches(y, yop, x->instr[i].buffer))
      return true;
  return false;
}

/* Kernel `which` may run before or after all between a and b: none of them
 * writes what it reads or writes, or reads what it writes. */
static bool can_pass(const KFunc *f, int a, int b, int which) {
  const Kernel *k = f->kernel[which];
  for (int i = a + 1; i < b; i++) {
    const Kernel *other = f->kernel[i];
    if (any_shared(other, K_STORE, k, K_LOAD) ||
        any_shared(other, K_STORE, k, K_STORE) ||
        any_shared(other, K_LOAD, k, K_STORE))
      return false;
  }
  return true;
}

/* Splits parallel dimension d into two, the inner one of extent `inner`. */
static void split_dim(Kernel *k, int d, int64_t inner) {
  int dims = kernel_dims(k);
  for (int n = 0; n < k->n_instrs; n++) {
    Affine *both[2] = {&k->instr[n].at, &k->instr[n].row};
    for (int i = 0; i < 2; i++) {
      for (int x = dims; x > d + 1; x--)
        both[i]->coef[x] = both[i]->coef[x - 1];
      both[i]->coef[d + 1] = both[i]->coef[d];
      both[i]->coef[d] *= inner;
    }
  }
  for (int x = dims; x > d + 1; x--) k->extent[x] = k->extent[x - 1];
  k->extent[d] /= inner;
  k->extent[d + 1] = inner;
  k->n_par++;
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
    if (k->extent[d] != dim[i]) split_dim(k, d, k->extent[d] / dim[i]);
  }
}

static void drop_ones(Kernel *k) {
  for (int d = k->n_par - 1; d >= 0; d--) {
    if (k->extent[d] != 1) continue;
    int dims = kernel_dims(k);
    for (int n = 0; n < k->n_instrs; n++)
      for (int x = d; x < dims; x++) {
        k->instr[n].at.coef[x] = x + 1 < dims ? k->instr[n].at.coef[x + 1] : 0;
        k->instr[n].row.coef[x] = x + 1 < dims ? k->instr[n].row.coef[x + 1] : 0;
      }
    for (int x = d; x < dims; x++)
      k->extent[x] = x + 1 < dims ? k->extent[x + 1] : 0;
    k->n_par--;
  }
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
static bool may_read_together(const Kernel *x, const Kernel *y) {
  return x->n_red != 0 && y->n_red != 0 && any_shared(x, K_LOAD, y, K_LOAD) &&
         !any_shared(x, K_STORE, y, K_LOAD) && !kernel_is_contraction(x) &&
         !kernel_is_contraction(y);
}

/* Two reductions over the same dimensions that read a large buffer at the same
 * places read it once if they run together. A contraction stays alone. */
static bool read_together(const Kernel *x, const Kernel *y) {
  if (!may_read_together(x, y)) return false;
  for (int i = 0; i < x->n_instrs; i++)
    for (int j = 0; j < y->n_instrs; j++)
      if (x->instr[i].kop == K_LOAD && y->instr[j].kop == K_LOAD &&
          x->instr[i].buffer == y->instr[j].buffer &&
          affine_equal(&x->instr[i].at, &y->instr[j].at, MAX_DIMS))
        return true;
  return false;
}

static bool try_merge(Arena *a, KFunc *f, int i, int j) {
  const Kernel *p = f->kernel[i], *q = f->kernel[j];
  bool follows = q->n_red == 0 && any_shared(p, K_STORE, q, K_LOAD);
  if ((!follows && !may_read_together(p, q)) || draws(p) || draws(q))
    return false;
  int64_t dim[MAX_DIMS + 1];
  if (common_dims(p, q, dim) < 0) return false; /* before what takes long */
  bool rises = can_pass(f, i, j, j);
  if (!rises && !can_pass(f, i, j, i)) return false;
  Kernel *x = kernel_new(a), y = {0};
  if (!align(a, p, q, x, &y)) return false;
  if ((!follows && !read_together(x, &y)) || !places_agree(x, &y))
    return false;
  append(a, x, &y);
  if (rises) {
    f->kernel[i] = x;
  } else { /* the joined kernel runs at the later place */
    memmove(&f->kernel[i], &f->kernel[i + 1],
            (size_t)(j - 1 - i) * sizeof *f->kernel);
    f->kernel[j - 1] = x;
  }
  memmove(&f->kernel[j], &f->kernel[j + 1],
          (size_t)(f->n_kernels - j - 1) * sizeof *f->kernel);
  f->n_kernels--;
  return true;
}

static bool is_result(const KFunc *f, int buffer) {
  for (int i = 0; i < f->n_results; i++)
    if (f->result[i].buffer == buffer) return true;
  return false;
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

/* Stores that nobody reads go, and kernels that are left without one. */
static void drop_dead_stores(KFunc *f) {
  for (int b = 0; b < f->n_buffers; b++) {
    if (f->buffer[b].kind != BUF_TEMP || is_result(f, b)) continue;
    bool read = false;
    for (int i = 0; i < f->n_kernels; i++)
      read |= touches(f->kernel[i], K_LOAD, b);
    if (read) continue;
    for (int i = 0; i < f->n_kernels; i++) {
      Kernel *k = f->kernel[i];
      for (int n = k->n_instrs - 1; n >= 0; n--)
        if (k->instr[n].kop == K_STORE && k->instr[n].buffer == b)
          remove_instr(k, n);
    }
  }
  int kept = 0;
  for (int i = 0; i < f->n_kernels; i++)
    if (stores(f->kernel[i])) f->kernel[kept++] = f->kernel[i];
  f->n_kernels = kept;
}

static void drop_unused_buffers(Arena *a, KFunc *f) {
  int *map = arena_alloc(a, (size_t)(f->n_buffers + 1) * sizeof *map);
  int kept = 0;
  for (int b = 0; b < f->n_buffers; b++) {
    bool used = is_result(f, b) || f->buffer[b].kind == BUF_SCALAR;
    for (int i = 0; i < f->n_kernels && !used; i++)
      used = touches(f->kernel[i], K_LOAD, b) ||
             touches(f->kernel[i], K_STORE, b);
    map[b] = kept;
    if (used) f->buffer[kept++] = f->buffer[b];
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
  for (int i = 0; i < f->n_kernels; i++)
    for (int j = i + 1; j < f->n_kernels; j++)
      if (try_merge(a, f, i, j)) {
        if (i > 0) i--; /* either may have moved: look again from here */
        j = i;
      }
  drop_dead_stores(f);
  drop_unused_buffers(a, f);
}
