/* Loops are split where the axes of buffers end. Fusion leaves loops that run over
 * several axes as one (the rows and columns that batch normalisation sums over);
 * for another order of the axes, or rows that stand further apart, each axis needs
 * a loop of its own. Loops that are no use apart are merged again afterwards
 * (simplify_loops in schedule.c). */
#include "passes/schedule.h"

/* How many steps of the dimension stay within the axis that it steps along: all
 * of them, or fewer, and then it is to be split there. */
static int64_t steps_within(const Type *t, const Instr *i, int dim,
                            int64_t extent) {
  int64_t stride = 1, step = i->at.coef[dim];
  if (step <= 0) return extent;
  for (int r = t->rank - 1; r > 0; r--) {
    int64_t end = stride * t->dim[r];
    if (step < end)
      return step == stride && extent > t->dim[r] && extent % t->dim[r] == 0
                 ? t->dim[r]
                 : extent;
    stride = end;
  }
  return extent;
}

static bool split_once(const KFunc *f, Kernel *k) {
  if (kernel_dims(k) == MAX_DIMS) return false;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_LOAD && i->kop != K_STORE) continue;
    for (int d = 0; d < kernel_dims(k); d++) {
      int64_t within =
          steps_within(&f->buffer[i->buffer].type, i, d, k->extent[d]);
      if (within == k->extent[d] || within == 1) continue;
      kernel_split_dim(k, d, within);
      return true;
    }
  }
  return false;
}

void split_loops(KFunc *f) {
  for (int i = 0; i < f->n_kernels; i++)
    while (split_once(f, f->kernel[i])) {}
}
