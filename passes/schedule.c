/* The pass `schedule`: how the loops of each kernel are run. First dimensions of
 * extent 1 go, and dimensions that every access steps through as one are merged,
 * so that a pointwise kernel over [4,6,28,28] is one loop of 18816. Then the cost
 * model (cost.c) chooses vector dimension, register tile and loop order. */
#include <string.h>

#include "passes/passes.h"

/* Copies `from` without dimension `gone`, whose index is 0. */
static void remove_dim(Kernel *k, int gone) {
  int dims = kernel_dims(k);
  for (int n = 0; n < k->n_instrs; n++) {
    Affine *both[2] = {&k->instr[n].at, &k->instr[n].row};
    for (int i = 0; i < 2; i++) {
      for (int d = gone; d < dims - 1; d++)
        both[i]->coef[d] = both[i]->coef[d + 1];
      both[i]->coef[dims - 1] = 0;
    }
  }
  for (int d = gone; d < dims - 1; d++) k->extent[d] = k->extent[d + 1];
  k->extent[dims - 1] = 0;
  if (gone < k->n_par) k->n_par--;
  else k->n_red--;
}

static bool steps_as_one(const Affine *a, int outer, int inner, int64_t extent) {
  return a->coef[outer] == a->coef[inner] * extent;
}

static bool has_argmax(const Kernel *k) {
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_REDUCE && k->instr[n].op == OP_ARGMAX) return true;
  return false;
}

static bool can_merge(const Kernel *k, int outer, int inner) {
  if (outer == inner || (outer < k->n_par) != (inner < k->n_par)) return false;
  if (outer >= k->n_par && inner != outer + 1 && has_argmax(k)) return false;
  for (int n = 0; n < k->n_instrs; n++)
    if (!steps_as_one(&k->instr[n].at, outer, inner, k->extent[inner]) ||
        !steps_as_one(&k->instr[n].row, outer, inner, k->extent[inner]))
      return false;
  return true;
}

/* One dimension instead of two; false if none can be merged. */
static bool merge_once(Kernel *k) {
  int dims = kernel_dims(k);
  for (int outer = 0; outer < dims; outer++)
    for (int inner = 0; inner < dims; inner++) {
      if (!can_merge(k, outer, inner)) continue;
      k->extent[inner] *= k->extent[outer];
      remove_dim(k, outer);
      return true;
    }
  return false;
}

static Kernel *simpler_loops(Arena *a, const Kernel *from) {
  Kernel *k = kernel_new(a);
  *k = *from;
  k->instr = arena_alloc(a, (size_t)(from->n_instrs + 1) * sizeof *k->instr);
  memcpy(k->instr, from->instr, (size_t)from->n_instrs * sizeof *k->instr);
  for (int d = kernel_dims(k) - 1; d >= 0; d--)
    if (k->extent[d] == 1) remove_dim(k, d);
  while (merge_once(k)) {}
  return k;
}

KModule *pass_schedule(Arena *a, const KModule *m, const Cpu *cpu) {
  KModule *out = arena_alloc(a, sizeof *out);
  *out = *m;
  out->cpu = cpu->name;
  for (int i = 0; i < m->n_funcs; i++) {
    KFunc *f = arena_alloc(a, sizeof *f);
    *f = *m->func[i];
    out->func[i] = f;
    f->kernel = arena_alloc(a, (size_t)(f->n_kernels + 1) * sizeof *f->kernel);
    for (int j = 0; j < f->n_kernels; j++) {
      f->kernel[j] = simpler_loops(a, m->func[i]->kernel[j]);
      f->kernel[j]->schedule = choose_schedule(f->kernel[j], cpu);
    }
  }
  return out;
}
