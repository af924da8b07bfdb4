/* The search for the schedule of a kernel that the cost model (cost.c) likes best.
 * What is searched: the vector dimension (every one), the number of vectors, and
 * tiles of up to two other parallel dimensions. The loop order is not searched:
 * outermost stands the dimension that most bytes depend on, so that they are
 * read once, and the vector dimension is innermost. */
#include <stdlib.h>
#include <string.h>

#include "passes/schedule.h"

enum { PARALLEL_CYCLES = 6000 }; /* below this, one thread is as fast */

/* What is known of the kernel before a vector dimension is chosen. */
typedef struct Search {
  Facts facts;
  bool has_rand, has_argmax;
  int rand_dim; /* along which random numbers lie side by side, or -1 */
  double outward[MAX_DIMS], stride[MAX_DIMS];
} Search;

/* The best schedule so far with one vector dimension. */
typedef struct Best {
  Schedule schedule;
  double cycles;
} Best;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Bytes of the loads that depend on a dimension, each buffer's share once. */
static double bytes_along(const Kernel *k, int dim) {
  double bytes = 0;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_LOAD || i->at.coef[dim] == 0) continue;
    double size = dtype_size[i->type];
    for (int d = 0; d < kernel_dims(k); d++)
      if (i->at.coef[d] != 0) size *= (double)k->extent[d];
    bytes += size;
  }
  return bytes;
}

/* Whether steps of `dim` never add to one place, so that threads may share. */
static bool disjoint_along(const Kernel *k, const Instr *store, int dim) {
  int64_t c = store->at.coef[dim], span = 0;
  if (store->in[1] >= 0 || c <= 0) return false;
  for (int d = 0; d < k->n_par; d++) {
    int64_t other = store->at.coef[d];
    if (d == dim) continue;
    if (other < c) span += other * (k->extent[d] - 1);
    else if (other % (c * k->extent[dim]) != 0) return false;
  }
  return span < c;
}

/* Steps of a dimension that an overlap-add folds, which meet those of another
 * one in the same places. */
static bool overlaps(const Kernel *k, int dim) {
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_STORE && k->instr[n].accumulate &&
        !disjoint_along(k, &k->instr[n], dim))
      return true;
  return false;
}

/* How far a step of the dimension moves, over all loads. */
static double stride_of(const Kernel *k, int dim) {
  double sum = 0;
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_LOAD) sum += (double)llabs(k->instr[n].at.coef[dim]);
  return sum;
}

/* Whether a dimension is the one that an overlap-add moves by the most: a whole
 * sample, where threads part the work. */
static bool largest_step(const Kernel *k, int dim) {
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_STORE || !i->accumulate) continue;
    for (int d = 0; d < k->n_par; d++)
      if (d != dim && i->at.coef[d] >= i->at.coef[dim]) return false;
    return true;
  }
  return false;
}

/* Outermost what most bytes depend on; but before that the dimensions of an
 * overlap-add's windows, so that a place is added to again only much later. */
static double outwardness(const Kernel *k, int dim) {
  if (overlaps(k, dim)) return 1e18 / (double)k->extent[dim];
  return largest_step(k, dim) ? 1e19 : bytes_along(k, dim);
}

/* Sorts order[from, to) by falling keys; equal ones stay as they are. */
static void sort_falling(int *order, int from, int to, const double *key) {
  for (int i = from + 1; i < to; i++)
    for (int j = i; j > from && key[order[j]] > key[order[j - 1]]; j--) {
      int moved = order[j];
      order[j] = order[j - 1];
      order[j - 1] = moved;
    }
}

static void order_loops(const Search *f, Schedule *s) {
  const Kernel *k = f->facts.k;
  int dims = kernel_dims(k);
  double outward[MAX_DIMS];
  memcpy(outward, f->outward, sizeof outward);
  if (s->vec >= 0) outward[s->vec] = -1;
  s->n_order = dims;
  for (int d = 0; d < dims; d++) s->order[d] = d;
  sort_falling(s->order, 0, k->n_par, outward);
  if (!f->has_argmax) /* short steps innermost; an argmax keeps its order */
    sort_falling(s->order, k->n_par, dims, f->stride);
  if (s->vec >= k->n_par) { /* the lanes of a dot are its innermost loop */
    int at = k->n_par;
    while (s->order[at] != s->vec) at++;
    for (; at < dims - 1; at++) s->order[at] = s->order[at + 1];
    s->order[dims - 1] = s->vec;
  }
}

static void choose_pieces(const Kernel *k, Schedule *s, double cycles) {
  s->pieces = 1;
  if (k->n_par == 0 || cycles < (double)PARALLEL_CYCLES) return;
  int first = s->order[kernel_split_loop(k, s)];
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_STORE && k->instr[n].accumulate &&
        !disjoint_along(k, &k->instr[n], first))
      return;
  s->pieces = kernel_steps(k, s, first);
}

/* The vector lanes of a dimension must not add to one place, and an argmax keeps
 * its order only over parallel dimensions. */
static bool can_vectorise(const Search *f, int dim) {
  const Kernel *k = f->facts.k;
  if (k->extent[dim] < 2) return false;
  if (f->has_argmax && dim >= k->n_par) return false;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_STORE || dim >= k->n_par) continue;
    if (i->at.coef[dim] == 0) return false;
    if (i->in[1] >= 0 && f->facts.depends[i->in[1]] >> dim & 1) return false;
  }
  return true;
}

/* Tiles of the pair, beside those of s. */
static void consider(const Search *f, const Schedule *s, const Pair *p, int tx,
                     int ty, Best *best) {
  double cycles = cost_arithmetic(&f->facts, p, tx, ty);
  if (cycles >= best->cycles) return;
  best->cycles = cycles;
  best->schedule = *s;
  if (p->x >= 0) best->schedule.tile[p->x] = tx;
  if (p->y >= 0) best->schedule.tile[p->y] = ty;
}

static void consider_one(const Search *f, const Schedule *s, Best *best) {
  Pair none;
  cost_pair(&f->facts, s, -1, -1, &none);
  consider(f, s, &none, 1, 1, best);
}

static const int first_tiles[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 0};
static const int second_tiles[] = {2, 3, 4, 5, 6, 0};

/* Two positions of a tile that add into overlapping vectors would wait for each
 * other's stores. */
static bool can_tile(const Kernel *k, const Schedule *s, int dim) {
  if (largest_step(k, dim)) return false;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_STORE || !i->accumulate) continue;
    int64_t step = i->at.coef[dim], along = s->vec < 0 ? 1 : i->at.coef[s->vec];
    if (step < along * s->lanes) return false;
  }
  return true;
}

/* Tiles of dimension x, and of x and each later one. `room`: positions that the
 * registers may have to hold. */
static void try_tiles_of(const Search *f, const Schedule *s, Best *best, int x,
                         uint32_t can, int room) {
  const Kernel *k = f->facts.k;
  Pair alone, pair[MAX_DIMS];
  cost_pair(&f->facts, s, x, -1, &alone);
  for (int y = x + 1; y < k->n_par; y++)
    if (can >> y & 1) cost_pair(&f->facts, s, x, y, &pair[y]);
  for (const int *t = first_tiles; *t != 0; t++) {
    if (*t > k->extent[x] || *t > room) break;
    consider(f, s, &alone, *t, 1, best);
    for (int y = x + 1; y < k->n_par && *t > 1; y++) {
      if (!(can >> y & 1)) continue;
      for (const int *u = second_tiles; *u != 0; u++) {
        if (*u > k->extent[y] || *t * *u > room) break;
        consider(f, s, &pair[y], *t, *u, best);
      }
    }
  }
}

static void try_tiles(const Search *f, const Schedule *s, Best *best,
                      uint32_t can) {
  const Kernel *k = f->facts.k;
  consider_one(f, s, best);
  if (k->n_red == 0) return;
  int vectors = s->vec >= 0 && s->vec < k->n_par ? s->tile[s->vec] : 1;
  for (int x = 0; x < k->n_par; x++)
    if (can >> x & 1)
      try_tiles_of(f, s, best, x, can, f->facts.cpu->registers / vectors);
}

enum { SHORT_EXTENT = 4, FEW_POSITIONS = 8 };

/* Kernels without a reduction: short dimensions (the windows of a pool) may be a
 * tile of one position each, that shares what does not depend on them; and squares
 * that are transposed in registers. */
static void try_squares(Search *f, const Schedule *s, Best *best) {
  const Kernel *k = f->facts.k;
  Schedule whole = *s;
  int64_t positions = 1;
  for (int d = 0; d < k->n_par; d++)
    if (d != s->vec && k->extent[d] <= SHORT_EXTENT && can_tile(k, s, d) &&
        positions * k->extent[d] <= FEW_POSITIONS) {
      whole.tile[d] = (int)k->extent[d];
      positions *= k->extent[d];
    }
  if (positions > 1) consider_one(f, &whole, best);
  for (int d = 0; d < k->n_par; d++) {
    Schedule square = *s;
    bool any = false;
    square.tile[d] = s->lanes;
    for (int n = 0; n < k->n_instrs && d != s->vec; n++)
      any = any || kernel_transposed(k, &square, &k->instr[n]) == d;
    if (!any || k->extent[d] < 2) continue;
    cost_prepare(&f->facts, &square);
    consider_one(f, &square, best);
  }
  cost_prepare(&f->facts, s);
}

static int lanes_for(int64_t extent, int most) {
  int lanes = most;
  while (lanes > 2 && lanes / 2 >= extent) lanes /= 2;
  return lanes;
}

enum { RAND_VECTORS = 4, RAND_LANES = 16 }; /* as philox.h lays out words */

/* Vectors of random numbers that are drawn at once. Each round waits for the one
 * before, so twice the words take hardly longer, where registers hold them: they
 * are twice as wide between rounds. */
static int rand_vectors(const Search *f, int dim) {
  int twice = 2 * RAND_VECTORS;
  bool fit = 2 * twice * RAND_LANES <=
             f->facts.cpu->registers * f->facts.cpu->lanes / 2;
  return fit && f->facts.k->extent[dim] > RAND_VECTORS * RAND_LANES
             ? twice
             : RAND_VECTORS;
}

enum { MOST_CODE = 256 }; /* instructions times vectors: more only takes room */

/* The best schedule with this vector dimension, by arithmetic alone. */
static void try_arithmetic(Search *f, int dim, Best *best) {
  const Kernel *k = f->facts.k;
  Schedule s = {.vec = dim};
  for (int d = 0; d < kernel_dims(k); d++) s.tile[d] = 1;
  s.lanes = dim < 0 ? 1 : lanes_for(k->extent[dim], f->facts.cpu->lanes);
  if (f->has_rand) s.lanes = RAND_LANES;
  order_loops(f, &s);
  cost_prepare(&f->facts, &s);
  if (f->has_rand) {
    if (dim >= 0) s.tile[dim] = rand_vectors(f, dim);
    consider_one(f, &s, best);
    return;
  }
  uint32_t can = 0; /* dimensions that tiles may be wider in */
  for (int d = 0; d < k->n_par; d++)
    if (d != dim && can_tile(k, &s, d)) can |= 1u << d;
  int64_t vectors = dim < 0 ? 1 : ceil_div(k->extent[dim], s.lanes);
  for (int n = 1; n <= 6 && n <= vectors; n += n < 4 ? 1 : 2) {
    if (dim >= k->n_par && n > 1) break;
    if (k->n_red == 0 && n > 1 && n * k->n_instrs > MOST_CODE) break;
    if (dim >= 0) s.tile[dim] = n;
    try_tiles(f, &s, best, can);
    if (n == 1 && k->n_red == 0) try_squares(f, &s, best);
  }
}

static void try_vector(Search *f, int dim, Best *best) {
  Best here = {.schedule = {.vec = -1}, .cycles = 1e300};
  try_arithmetic(f, dim, &here);
  here.cycles = cost_whole(&f->facts, &here.schedule, here.cycles) +
                cost_far(&f->facts, &here.schedule);
  if (here.cycles < best->cycles) *best = here;
}

static void find_facts(Search *f) {
  const Kernel *k = f->facts.k;
  f->rand_dim = -1;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop == K_REDUCE && i->op == OP_ARGMAX) f->has_argmax = true;
    if (i->kop != K_RAND) continue;
    f->has_rand = true;
    for (int d = 0; d < k->n_par; d++)
      if (i->at.coef[d] == 1) f->rand_dim = d;
  }
  for (int d = 0; d < kernel_dims(k); d++) {
    if (d < k->n_par) f->outward[d] = outwardness(k, d);
    else f->stride[d] = stride_of(k, d);
  }
}

Choice choose_schedule(const Kernel *k, const Cpu *cpu) {
  uint32_t depends[k->n_instrs + 1];
  bool in_body[k->n_instrs + 1];
  Term term[k->n_instrs + 1];
  kernel_depends(k, depends);
  kernel_in_body(k, in_body);
  Search f = {.facts = {.k = k, .cpu = cpu, .depends = depends,
                        .in_body = in_body, .term = term}};
  find_facts(&f);
  Best best = {.schedule = {.vec = -1}, .cycles = 1e300};
  if (f.has_rand) {
    try_vector(&f, f.rand_dim, &best);
  } else {
    try_vector(&f, -1, &best);
    for (int d = 0; d < kernel_dims(k); d++)
      if (can_vectorise(&f, d)) try_vector(&f, d, &best);
  }
  choose_pieces(k, &best.schedule, best.cycles);
  cost_prepare(&f.facts, &best.schedule);
  return (Choice){.schedule = best.schedule, .cycles = best.cycles,
                  .far = cost_far(&f.facts, &best.schedule)};
}
