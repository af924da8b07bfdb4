/* Random numbers come in the order in which they are counted. Where they are wanted in
 * another one, each would be stored by itself, apart from its neighbours. Then the
 * kernel that draws stores them as they come, in a temporary of its own, and a copy,
 * which moves squares, brings them into the order that is wanted. */
#include <string.h>

#include "passes/schedule.h"

static const double worth = 0.97; /* a gain below this is within the model's error */

/* The kernel's only store, if its lanes would lie apart; *dim: along which it draws. */
static int scattered_store(const KFunc *f, const Kernel *k, int *dim) {
  int store = -1;
  *dim = -1;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop == K_STORE && store >= 0) return -1;
    if (i->kop == K_STORE) store = n;
    for (int d = 0; i->kop == K_RAND && d < k->n_par; d++)
      if (i->at.coef[d] == 1) *dim = d;
  }
  if (store < 0 || k->n_red > 0) return -1;
  const Instr *s = &k->instr[store];
  bool apart = *dim >= 0 && k->n_par <= MAX_RANK && !s->accumulate &&
               s->in[1] < 0 && s->at.coef[*dim] > 1;
  return apart && f->buffer[s->buffer].kind == BUF_TEMP ? store : -1;
}

/* A place in a buffer of the kernel's extents, dimension `inner` innermost. */
static Affine place_in_order(const Kernel *k, int inner, Type *t, DType dtype) {
  Affine at = {0};
  int64_t step = k->extent[inner];
  int axis = k->n_par - 1;
  *t = type_of(dtype, k->n_par, k->extent);
  t->dim[axis--] = k->extent[inner];
  at.coef[inner] = 1;
  for (int d = k->n_par - 1; d >= 0; d--) {
    if (d == inner) continue;
    t->dim[axis--] = k->extent[d];
    at.coef[d] = step;
    step *= k->extent[d];
  }
  return at;
}

void draw_apart(Arena *a, Arena *trial, KFunc *f, Memo *memo, Kernel **kernel,
                Kernel **rest) {
  Kernel *k = kernel_copy(trial, *kernel), *drawn, *copy;
  int dim, store;
  simplify_loops(k);
  store = scattered_store(f, k, &dim);
  if (store < 0) return;
  drawn = kernel_copy(a, k);
  Instr *to = &drawn->instr[store], back = *to;
  Buffer b = {.kind = BUF_TEMP, .name = "", .offset = -1,
              .local = f->buffer[to->buffer].local};
  Instr load = {.kop = K_LOAD, .type = to->type, .in = {-1, -1, -1},
                .buffer = f->n_buffers,
                .at = place_in_order(k, dim, &b.type, to->type)};
  to->buffer = load.buffer;
  to->at = load.at;
  copy = kernel_new(a);
  *copy = (Kernel){.n_par = k->n_par, .group = k->group, .n_locs = k->n_locs,
                   .locs = k->locs};
  memcpy(copy->extent, k->extent, sizeof k->extent);
  back.in[0] = kernel_add(a, copy, &load);
  kernel_add(a, copy, &back);
  double now = memo_choose(memo, k).cycles;
  double then = memo_choose(memo, drawn).cycles + memo_choose(memo, copy).cycles;
  if (then >= now * worth) return;
  kfunc_add_buffer(a, f, b);
  *kernel = drawn;
  *rest = copy;
}
