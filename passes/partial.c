/* Partial sums. The gradient of a weight sums over all samples, and where the
 * samples do not stay in the second cache every tile of the result reads them from
 * beyond it again. Then the sum is cut into blocks of one or two of its dimensions:
 * a first kernel, for which the numbers of the block are parallel dimensions,
 * outermost, leaves a partial sum of each block in a temporary; a second one adds
 * them up and has the epilogue. Blocks are parts for threads as well, and since
 * they do not depend on the number of threads neither do the sums. */
#include <string.h>

#include "passes/schedule.h"

enum {
  LEAST_CYCLES = 200000,   /* a smaller kernel is not worth a thought */
  MOST_PARTIALS = 1 << 17, /* numbers, which stay in the second cache */
  LEAST_STEPS = 64,        /* that a sum of a block has */
  MOST_CUTS = 2
};
static const double worth = 0.97; /* a gain below this is within the model's error */

bool partial_can(const Kernel *k) {
  if (k->n_red == 0 || kernel_dims(k) == MAX_DIMS || k->n_par + 1 > MAX_RANK)
    return false;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop == K_REDUCE && (i->op != OP_SUM || !dtype_is_float(i->type)))
      return false;
    if (i->kop == K_STORE && i->accumulate) return false;
  }
  return true;
}

/* Marks what instruction n is made of. */
static void mark(const Kernel *k, int n, bool *used) {
  if (n < 0 || used[n]) return;
  used[n] = true;
  for (int o = 0; o < instr_operands(&k->instr[n]); o++)
    mark(k, k->instr[n].in[o], used);
}

/* Adds a copy of instruction n of `from`, whose operands have the numbers in
 * `as`. */
static void copy_instr(Arena *a, Kernel *to, const Kernel *from, int n, int *as) {
  Instr i = from->instr[n];
  for (int o = 0; o < 3; o++)
    if (i.in[o] >= 0) i.in[o] = as[i.in[o]];
  as[n] = kernel_add(a, to, &i);
}

/* The blocks: `inner` steps of a reduced dimension each. */
typedef struct Cut {
  int dim;
  int64_t inner, blocks;
} Cut;

typedef struct Cuts {
  int n;
  Cut cut[MOST_CUTS];
} Cuts;

static int64_t blocks_of(const Cuts *c) {
  int64_t blocks = 1;
  for (int i = 0; i < c->n; i++) blocks *= c->cut[i].blocks;
  return blocks;
}

/* An access to partial sums: the numbers of the blocks are the dimensions from
 * `block` on, the parallel dimensions of k stand from `first` on. */
static Affine partial_access(const Kernel *k, const Cuts *c, int block,
                             int first) {
  Affine at = {0};
  int64_t stride = 1;
  for (int d = k->n_par - 1; d >= 0; d--) {
    at.coef[first + d] = stride;
    stride *= k->extent[d];
  }
  for (int i = c->n - 1; i >= 0; i--) {
    at.coef[block + i] = stride;
    stride *= c->cut[i].blocks;
  }
  return at;
}

/* Makes dimension `from`, which is reduced, the first of all. */
static void move_first(Kernel *k, int from) {
  int64_t extent = k->extent[from];
  for (int n = 0; n < k->n_instrs; n++) {
    Affine *both[2] = {&k->instr[n].at, &k->instr[n].row};
    for (int i = 0; i < 2; i++) {
      int64_t c = both[i]->coef[from];
      memmove(both[i]->coef + 1, both[i]->coef, (size_t)from * sizeof c);
      both[i]->coef[0] = c;
    }
  }
  memmove(k->extent + 1, k->extent, (size_t)from * sizeof extent);
  k->extent[0] = extent;
  k->n_par++;
  k->n_red--;
}

/* The kernel of the partial sums; sum number r goes to buffer `first_buffer` + r. */
static Kernel *sums_of_blocks(Arena *a, const Kernel *k, const Cuts *c,
                              int first_buffer) {
  int as[k->n_instrs + 1], sums = 0;
  bool used[k->n_instrs + 1];
  memset(used, 0, sizeof used);
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_REDUCE) mark(k, n, used);
  Kernel *out = kernel_new(a);
  out->n_par = k->n_par;
  out->n_red = k->n_red;
  memcpy(out->extent, k->extent, sizeof out->extent);
  out->n_locs = k->n_locs;
  out->locs = k->locs;
  for (int n = 0; n < k->n_instrs; n++)
    if (used[n]) copy_instr(a, out, k, n, as);
  for (int i = c->n - 1; i >= 0; i--) {
    int dim = c->cut[i].dim + c->n - 1 - i; /* each cut so far is a new first */
    kernel_split_dim(out, dim, c->cut[i].inner);
    move_first(out, dim);
  }
  for (int n = 0; n < k->n_instrs; n++) {
    if (k->instr[n].kop != K_REDUCE) continue;
    Instr store = {.kop = K_STORE, .type = k->instr[n].type,
                   .in = {as[n], -1, -1}, .buffer = first_buffer + sums++,
                   .at = partial_access(k, c, 0, c->n)};
    kernel_add(a, out, &store);
  }
  return out;
}

/* The kernel that adds them up. */
static Kernel *sum_of_sums(Arena *a, const Kernel *k, const Cuts *c,
                           int first_buffer) {
  int as[k->n_instrs + 1], sums = 0;
  bool used[k->n_instrs + 1];
  uint32_t depends[k->n_instrs + 1];
  memset(used, 0, sizeof used);
  kernel_depends(k, depends);
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_STORE) mark(k, n, used);
  Kernel *out = kernel_new(a);
  out->n_par = k->n_par;
  out->n_red = c->n;
  memcpy(out->extent, k->extent, (size_t)k->n_par * sizeof *k->extent);
  for (int i = 0; i < c->n; i++) out->extent[k->n_par + i] = c->cut[i].blocks;
  out->n_locs = k->n_locs;
  out->locs = k->locs;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (!used[n] || depends[n] >> k->n_par != 0) continue;
    if (i->kop != K_REDUCE) {
      copy_instr(a, out, k, n, as);
      continue;
    }
    Instr load = {.kop = K_LOAD, .type = i->type, .in = {-1, -1, -1},
                  .buffer = first_buffer + sums++,
                  .at = partial_access(k, c, k->n_par, 0)};
    Instr sum = *i;
    sum.in[0] = kernel_add(a, out, &load);
    as[n] = kernel_add(a, out, &sum);
  }
  return out;
}

static int add_buffers(Arena *a, KFunc *f, const Kernel *k, int64_t blocks) {
  int first = f->n_buffers;
  for (int n = 0; n < k->n_instrs; n++) {
    if (k->instr[n].kop != K_REDUCE) continue;
    Buffer b = {.kind = BUF_TEMP, .name = "", .offset = -1,
                .type = {.dtype = k->instr[n].type, .rank = k->n_par + 1}};
    b.type.dim[0] = blocks;
    memcpy(b.type.dim + 1, k->extent, (size_t)k->n_par * sizeof *k->extent);
    kfunc_add_buffer(a, f, b);
  }
  return first;
}

void partial_sums_apart(Arena *a, KFunc *f, int64_t blocks, const Kernel *k,
                        Kernel **part, Kernel **total) {
  Cuts none = {0}, all = {1, {{0, 1, blocks}}};
  int buffer = add_buffers(a, f, k, blocks);
  *part = sums_of_blocks(a, k, &none, buffer);
  *total = sum_of_sums(a, k, &all, buffer);
}

static Choice choice_of(Arena *a, Memo *memo, const Kernel *k) {
  Kernel *simple = kernel_copy(a, k);
  simplify_loops(simple);
  return memo_choose(memo, simple);
}

static double cycles_of(Arena *a, Memo *memo, const Kernel *k) {
  return choice_of(a, memo, k).cycles;
}

/* Whether the partial sums are few, and have each something to sum. */
static bool is_fit(const Kernel *k, const Cuts *c) {
  double partials = (double)blocks_of(c), steps = 1;
  for (int d = 0; d < kernel_dims(k); d++)
    *(d < k->n_par ? &partials : &steps) *= (double)k->extent[d];
  return partials <= (double)MOST_PARTIALS &&
         steps / (double)blocks_of(c) >= (double)LEAST_STEPS;
}

/* The best of all cuts so far. */
typedef struct Best {
  Cuts cuts;
  double cycles;
} Best;

static void consider(Arena *a, Memo *memo, const Kernel *k, const Cuts *c,
                     Best *best) {
  if (!is_fit(k, c)) return;
  double cycles = cycles_of(a, memo, sums_of_blocks(a, k, c, 0));
  if (cycles < best->cycles)
    cycles += cycles_of(a, memo, sum_of_sums(a, k, c, 0));
  if (cycles >= best->cycles) return;
  best->cycles = cycles;
  best->cuts = *c;
}

/* Cuts of the dimensions from `dim` on, beside those of `c`. */
static void try_cuts(Arena *a, Memo *memo, const Kernel *k, Cuts *c, int dim,
                     Best *best) {
  for (int d = dim; d < kernel_dims(k) && c->n < MOST_CUTS; d++)
    for (int64_t inner = 1; inner < k->extent[d]; inner *= 2) {
      if (k->extent[d] % inner != 0) break;
      c->cut[c->n++] = (Cut){d, inner, k->extent[d] / inner};
      consider(a, memo, k, c, best);
      try_cuts(a, memo, k, c, d + 1, best);
      c->n--;
    }
}

void partial_sums(Arena *a, Arena *trial, KFunc *f, Memo *memo, Kernel **kernel,
                  Kernel **rest) {
  const Kernel *k = *kernel;
  if (!partial_can(k) || kernel_dims(k) + MOST_CUTS > MAX_DIMS ||
      !kernel_is_contraction(k) || k->group)
    return;
  Choice now = choice_of(trial, memo, k);
  if (now.cycles < (double)LEAST_CYCLES || now.far < (1 - worth) * now.cycles) return;
  Cuts cuts = {0};
  Best best = {.cycles = now.cycles * worth};
  try_cuts(trial, memo, k, &cuts, k->n_par, &best);
  if (best.cuts.n == 0) return;
  int buffer = add_buffers(a, f, k, blocks_of(&best.cuts));
  *kernel = sums_of_blocks(a, k, &best.cuts, buffer);
  *rest = sum_of_sums(a, k, &best.cuts, buffer);
}
