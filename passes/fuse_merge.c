/* The pass `fuse`, the part that joins kernels: when a kernel without reduced
 * dimensions reads, at the same place, what an earlier one of the same parallel
 * dimensions stores, its instructions are appended to the earlier one's and the
 * load becomes the value. So momentum, update and penalty end in the epilogue of
 * the gradient's kernel. A store that nobody reads any more goes. */
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

static bool same_dims(const Kernel *a, const Kernel *b) {
  if (a->n_par != b->n_par || b->n_red != 0) return false;
  for (int d = 0; d < a->n_par; d++)
    if (a->extent[d] != b->extent[d]) return false;
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
    if (stored != NULL && x.in[0] < 0) {
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

static bool try_merge(Arena *a, KFunc *f, int i, int j) {
  Kernel *x = f->kernel[i], *y = f->kernel[j];
  if (draws(x) || draws(y) || !same_dims(x, y) ||
      !any_shared(x, K_STORE, y, K_LOAD) || !places_agree(x, y))
    return false;
  bool rises = can_pass(f, i, j, j);
  if (!rises && !can_pass(f, i, j, i)) return false;
  append(a, x, y);
  if (!rises) { /* the joined kernel runs at the later place */
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
