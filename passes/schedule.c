/* The pass `schedule`: how the loops of each kernel are run. First dimensions of
 * extent 1 go, and dimensions that every access steps through as one are merged,
 * so that a pointwise kernel over [4,6,28,28] is one loop of 18816. Then the cost
 * model (cost.c) chooses vector dimension, register tile and loop order. Before
 * all that layout.c chooses how temporaries lie in memory. Around it, block.c cuts a
 * large batch into chunks. */
#include <string.h>

#include "passes/schedule.h"

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
      kernel_remove_dim(k, outer);
      return true;
    }
  return false;
}

Kernel *kernel_copy(Arena *a, const Kernel *from) {
  Kernel *k = kernel_new(a);
  *k = *from;
  k->cap_instrs = from->n_instrs + 1;
  k->instr = arena_alloc(a, (size_t)k->cap_instrs * sizeof *k->instr);
  memcpy(k->instr, from->instr, (size_t)from->n_instrs * sizeof *k->instr);
  return k;
}

void simplify_loops(Kernel *k) {
  for (int d = kernel_dims(k) - 1; d >= 0; d--)
    if (k->extent[d] == 1) kernel_remove_dim(k, d);
  while (merge_once(k)) {}
}

KFunc function_copy(Arena *a, const KFunc *from) {
  KFunc f = *from;
  f.cap_kernels = f.n_kernels + 1;
  f.kernel = arena_alloc(a, (size_t)f.cap_kernels * sizeof *f.kernel);
  for (int i = 0; i < f.n_kernels; i++)
    f.kernel[i] = kernel_copy(a, from->kernel[i]);
  f.cap_buffers = f.n_buffers + 1;
  f.buffer = arena_alloc(a, (size_t)f.cap_buffers * sizeof *f.buffer);
  if (f.n_buffers > 0)
    memcpy(f.buffer, from->buffer, (size_t)f.n_buffers * sizeof *f.buffer);
  return f;
}

typedef struct Task {
  const KModule *from;
  const Cpu *cpu;
  bool direct;
} Task;

static KFunc *schedule_function(Arena *a, const void *context, int i) {
  const Task *t = context;
  KFunc *f = arena_alloc(a, sizeof *f);
  Memo *memo = memo_new(a, t->cpu);
  *f = function_copy(a, t->from->func[i]);
  split_loops(f);
  Blocking *blocks = t->direct ? NULL : block_begin(a, f, memo);
  layout_choose(a, f, memo);
  for (int j = 0; j < f->n_kernels; j++) {
    simplify_loops(f->kernel[j]);
    f->kernel[j]->schedule = memo_choose(memo, f->kernel[j]).schedule;
  }
  if (blocks) block_end(blocks, memo);
  return f;
}

KModule *pass_schedule(Arena *a, const KModule *m, const Cpu *cpu,
                       bool direct) {
  KModule *out = arena_alloc(a, sizeof *out);
  *out = *m;
  out->cpu = cpu->name;
  make_functions(a, m->n_funcs, schedule_function, &(Task){m, cpu, direct},
                 out->func);
  return out;
}
