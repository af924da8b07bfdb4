/* The cost model: the cycles that a kernel is expected to take under a schedule,
 * and the search for the schedule that takes the fewest. It counts, for one turn
 * of the innermost reduced loop over one register tile, arithmetic, loads and the
 * latency of the accumulators, takes the largest, and multiplies by the turns.
 * It need not be right, only to order candidates: the numbers are those of the
 * measurements on generated code, in units of one vector instruction.
 *
 * What is searched: the vector dimension (every one), the number of vectors, and
 * tiles of up to two other parallel dimensions. The loop order is not searched:
 * outermost stands the dimension that most bytes depend on, so that they are
 * read once, and the vector dimension is innermost. */
#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"

enum {
  FMA_LATENCY = 4,
  COSTLY_OP = 14,     /* exp, log, tanh as polynomials */
  PHILOX_BLOCKS = 24, /* ten rounds for four words of a vector */
  HORIZONTAL = 9,     /* the sum of a vector's lanes */
  TILE_OVERHEAD = 6,  /* pointers and counters around a tile */
  LOOP_OVERHEAD = 3,
  PARALLEL_CYCLES = 30000, /* below this, one thread is as fast */
  LINE = 64,
  WAY = 4096, /* bytes after which an address falls into the same set */
  WAYS = 6,   /* of 8: other things are in the cache too */
  L1_LINES = 400,  /* of 512: other things are in the cache too */
  LINE_CYCLES = 2  /* from the second cache, when prefetched */
};

/* What the search asks of each instruction, found out once for a kernel. */
typedef struct Facts {
  const Kernel *k;
  const Cpu *cpu;
  uint32_t *depends;
  bool *in_body;
  bool has_rand, has_argmax;
} Facts;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* How many different values an instruction has in one register tile. */
static double copies(const Kernel *k, const Schedule *s, uint32_t depends) {
  double n = 1;
  for (int d = 0; d < kernel_dims(k); d++)
    if (depends >> d & 1) n *= s->tile[d];
  return n;
}

static double access_cost(const Instr *i, const Schedule *s) {
  if (s->vec < 0) return 1;
  int64_t step = i->at.coef[s->vec];
  double cost = step == 0 ? 0.6 : step == 1 ? 1 : 1.2 * s->lanes;
  if (step >= 2 && step <= 4) cost = 1.5 * (double)step;
  if (i->in[1] >= 0) cost = 1.5 * s->lanes;
  return cost;
}

static double op_cost(const Instr *i) {
  switch (i->kop) {
  case K_OP:
    if (op_info[i->op].costly || i->op == OP_FLOOR) return COSTLY_OP;
    if (i->op == OP_DIV || i->op == OP_SQRT) return 6;
    return 1;
  case K_REDUCE: return i->op == OP_ARGMAX ? 4 : 1;
  case K_RAND: return PHILOX_BLOCKS;
  case K_INDEX:
  case K_INRANGE: return 1;
  case K_LOAD:
  case K_STORE:
  case K_CONST: break;
  }
  return 0;
}

typedef struct Counts {
  double arithmetic, memory;
} Counts;

static Counts count(const Facts *f, const Schedule *s, bool body) {
  Counts c = {0, 0};
  const Kernel *k = f->k;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    bool reduce = i->kop == K_REDUCE;
    if ((f->in_body[n] || reduce) != body) continue;
    uint32_t depends = f->depends[n];
    if (reduce) depends |= f->depends[i->in[0]] & ~((1u << k->n_par) - 1);
    double times = copies(k, s, depends);
    if (i->kop == K_LOAD || i->kop == K_STORE)
      c.memory += times * access_cost(i, s) * (i->accumulate ? 2 : 1);
    /* a product that is summed is one fused instruction */
    else if (!(body && i->kop == K_OP && i->op == OP_MUL &&
               n + 1 < k->n_instrs && k->instr[n + 1].kop == K_REDUCE &&
               k->instr[n + 1].in[0] == n))
      c.arithmetic += times * op_cost(i);
  }
  return c;
}

/* Registers that the innermost loop wants: accumulators, the vectors of one row,
 * and a broadcast. */
static double pressure(const Facts *f, const Schedule *s) {
  const Kernel *k = f->k;
  double accumulators = 0, vectors = 0;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop == K_REDUCE)
      accumulators += copies(k, s, (1u << k->n_par) - 1) *
                      (i->op == OP_ARGMAX ? 2 : 1);
    if (i->kop == K_LOAD && f->in_body[n] && s->vec >= 0 &&
        i->at.coef[s->vec] != 0) {
      double v = copies(k, s, f->depends[n]);
      if (vectors == 0 || v < vectors) vectors = v;
    }
  }
  return accumulators + vectors + 1;
}

static double cost(const Facts *f, const Schedule *s) {
  const Kernel *k = f->k;
  double tiles = 1, turns = 1, outer_turns = 1;
  for (int d = 0; d < kernel_dims(k); d++) {
    int64_t step = s->tile[d] * (d == s->vec ? s->lanes : 1);
    double steps = (double)ceil_div(k->extent[d], step);
    if (d < k->n_par) tiles *= steps;
    else turns *= steps;
    if (d >= k->n_par && d != s->order[kernel_dims(k) - 1])
      outer_turns *= steps;
  }
  Counts epilogue = count(f, s, false);
  double tile = epilogue.arithmetic + epilogue.memory + TILE_OVERHEAD;
  if (k->n_red > 0) {
    Counts body = count(f, s, true);
    double accumulators = copies(k, s, (1u << k->n_par) - 1);
    double turn = body.arithmetic;
    if (body.memory > turn) turn = body.memory;
    if (turn < FMA_LATENCY) turn = FMA_LATENCY;
    double over = pressure(f, s) - f->cpu->registers;
    if (over > 0) turn *= 1 + 0.25 * over;
    turn += 0.05 * (body.arithmetic + body.memory) + 0.4;
    tile += turns * turn + outer_turns * LOOP_OVERHEAD;
    if (s->vec >= k->n_par) tile += accumulators * HORIZONTAL;
  }
  return tiles * tile;
}

/* Steps of a large power of two land in few sets of the cache: lines that crowd
 * there push each other out, as if there were more of them. */
static double crowding(const Kernel *k, const Instr *i, const double *cover) {
  double same = 1;
  for (int d = 0; d < kernel_dims(k); d++) {
    int64_t bytes = llabs(i->at.coef[d]) * dtype_size[i->type];
    if (bytes < LINE) continue;
    int64_t place = bytes % WAY; /* how soon the same set comes round again */
    double period = 1;
    for (int64_t b = place; b != 0; b = (b + place) % WAY) period++;
    if (cover[d] > period) same *= cover[d] / period;
  }
  return same > WAYS ? same / WAYS : 1;
}

/* Cache lines that an access touches while each dimension d covers cover[d]
 * indices. Dimensions of one step (those of a window) slide over each other. */
static double lines_of(const Kernel *k, const Instr *i, const double *cover) {
  double elements = 1, run = 1;
  bool seen[MAX_DIMS] = {false};
  for (int d = 0; d < kernel_dims(k); d++) {
    int64_t step = i->at.coef[d] < 0 ? -i->at.coef[d] : i->at.coef[d];
    if (step == 0 || seen[d]) continue;
    double range = cover[d];
    for (int o = d + 1; o < kernel_dims(k); o++)
      if (i->at.coef[o] == step) {
        seen[o] = true;
        range += cover[o] - 1;
      }
    elements *= range;
    double line = LINE / (double)(step * dtype_size[i->type]);
    if (line > 1) run *= range < line ? range : line;
  }
  double most = LINE / (double)dtype_size[i->type];
  return elements / (run < most ? run : most) * crowding(k, i, cover);
}

static double turns_of(const Kernel *k, const Schedule *s, int level) {
  double turns = 1;
  for (int l = 0; l < level; l++) {
    int d = s->order[l];
    int64_t step = s->tile[d] * (d == s->vec ? s->lanes : 1);
    turns *= (double)ceil_div(k->extent[d], step);
  }
  return turns;
}

static double lines_at(const Facts *f, const double *cover, bool body) {
  double lines = 0;
  for (int n = 0; n < f->k->n_instrs; n++) {
    const Instr *i = &f->k->instr[n];
    if ((i->kop == K_LOAD || i->kop == K_STORE) && f->in_body[n] == body)
      lines += lines_of(f->k, i, cover);
  }
  return lines;
}

/* Cycles spent waiting for lines beyond the first cache. What the reduced loops
 * read: the outermost level of the nest at which all that is touched still fits
 * is read again by every turn of the loops around it. What the epilogue touches:
 * once a tile. */
static double traffic(const Facts *f, const Schedule *s) {
  const Kernel *k = f->k;
  double cover[MAX_DIMS];
  for (int d = 0; d < kernel_dims(k); d++)
    cover[d] = (double)(s->tile[d] * (d == s->vec ? s->lanes : 1));
  double sum = lines_at(f, cover, false) * turns_of(k, s, k->n_par);
  double fits = lines_at(f, cover, true);
  int level = s->n_order;
  for (; level > 0; level--) {
    int d = s->order[level - 1];
    cover[d] = (double)k->extent[d];
    double lines = lines_at(f, cover, true);
    if (lines > L1_LINES) break;
    fits = lines;
  }
  return (sum + fits * turns_of(k, s, level)) * LINE_CYCLES;
}

/* Arithmetic and waiting for lines go on side by side. */
static double overlapped(double arithmetic, double waiting) {
  return (arithmetic > waiting ? arithmetic : waiting) + 0.1 * waiting;
}

double kernel_cost(const Kernel *k, const Schedule *s, const Cpu *cpu) {
  uint32_t depends[k->n_instrs + 1];
  bool in_body[k->n_instrs + 1];
  kernel_depends(k, depends);
  kernel_in_body(k, in_body);
  Facts f = {.k = k, .cpu = cpu, .depends = depends, .in_body = in_body};
  return overlapped(cost(&f, s), traffic(&f, s));
}

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

/* Outermost what most bytes depend on; but before that the dimensions of an
 * overlap-add's windows, so that a place is added to again only much later. */
static double outwardness(const Kernel *k, const Schedule *s, int dim) {
  if (dim == s->vec) return -1;
  if (overlaps(k, dim)) return 1e18 / (double)k->extent[dim];
  return bytes_along(k, dim);
}

static void order_loops(const Facts *f, Schedule *s) {
  const Kernel *k = f->k;
  int dims = kernel_dims(k);
  s->n_order = dims;
  for (int d = 0; d < dims; d++) s->order[d] = d;
  for (int i = 1; i < k->n_par; i++) /* stable insertion */
    for (int j = i; j > 0; j--) {
      int a = s->order[j - 1], b = s->order[j];
      if (outwardness(k, s, b) <= outwardness(k, s, a)) break;
      s->order[j - 1] = b;
      s->order[j] = a;
    }
  if (!f->has_argmax) /* short steps innermost; an argmax keeps its order */
    for (int i = k->n_par + 1; i < dims; i++)
      for (int j = i; j > k->n_par; j--) {
        int a = s->order[j - 1], b = s->order[j];
        if (stride_of(k, b) <= stride_of(k, a)) break;
        s->order[j - 1] = b;
        s->order[j] = a;
      }
  if (s->vec >= k->n_par) { /* the lanes of a dot are its innermost loop */
    int at = k->n_par;
    while (s->order[at] != s->vec) at++;
    for (; at < dims - 1; at++) s->order[at] = s->order[at + 1];
    s->order[dims - 1] = s->vec;
  }
}

static void choose_pieces(const Kernel *k, Schedule *s, double cycles) {
  s->pieces = 1;
  if (k->n_par == 0 || cycles < PARALLEL_CYCLES) return;
  int first = s->order[0];
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_STORE && k->instr[n].accumulate &&
        !disjoint_along(k, &k->instr[n], first))
      return;
  s->pieces = ceil_div(k->extent[first],
                       s->tile[first] * (first == s->vec ? s->lanes : 1));
}

/* The vector lanes of a dimension must not add to one place, and an argmax keeps
 * its order only over parallel dimensions. */
static bool can_vectorise(const Facts *f, int dim) {
  const Kernel *k = f->k;
  if (k->extent[dim] < 2) return false;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop == K_REDUCE && i->op == OP_ARGMAX && dim >= k->n_par)
      return false;
    if (i->kop != K_STORE || dim >= k->n_par) continue;
    if (i->at.coef[dim] == 0) return false;
    if (i->in[1] >= 0 && f->depends[i->in[1]] >> dim & 1) return false;
  }
  return true;
}

static void consider(const Facts *f, Schedule *s, Schedule *best,
                     double *least) {
  double cycles = cost(f, s);
  if (cycles < *least) {
    *least = cycles;
    *best = *s;
  }
}

static const int first_tiles[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 0};
static const int second_tiles[] = {1, 2, 3, 4, 5, 6, 0};

/* Two positions of a tile that add into overlapping vectors would wait for each
 * other's stores. */
static bool can_tile(const Kernel *k, const Schedule *s, int dim) {
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_STORE || !i->accumulate) continue;
    int64_t step = i->at.coef[dim], along = s->vec < 0 ? 1 : i->at.coef[s->vec];
    if (step < along * s->lanes) return false;
  }
  return true;
}

static void try_tiles(const Facts *f, Schedule *s, Schedule *best,
                      double *least) {
  const Kernel *k = f->k;
  consider(f, s, best, least);
  if (k->n_red == 0) return;
  int limit = f->cpu->registers;
  int vectors = s->vec >= 0 && s->vec < k->n_par ? s->tile[s->vec] : 1;
  for (int x = 0; x < k->n_par; x++) {
    if (x == s->vec || !can_tile(k, s, x)) continue;
    for (const int *t = first_tiles; *t != 0; t++) {
      if (*t > k->extent[x] || *t * vectors > limit) break;
      s->tile[x] = *t;
      consider(f, s, best, least);
      for (int y = x + 1; y < k->n_par; y++) {
        if (y == s->vec || *t == 1 || !can_tile(k, s, y)) continue;
        for (const int *u = second_tiles + 1; *u != 0; u++) {
          if (*u > k->extent[y] || *t * *u * vectors > limit) break;
          s->tile[y] = *u;
          consider(f, s, best, least);
        }
        s->tile[y] = 1;
      }
    }
    s->tile[x] = 1;
  }
}

static int lanes_for(int64_t extent, int most) {
  int lanes = most;
  while (lanes > 2 && lanes / 2 >= extent) lanes /= 2;
  return lanes;
}

enum { RAND_VECTORS = 4, RAND_LANES = 16 }; /* as philox.h lays out words */

/* The best schedule with this vector dimension, by arithmetic alone. */
static void try_arithmetic(const Facts *f, int dim, Schedule *best,
                           double *least) {
  const Kernel *k = f->k;
  Schedule s = {.vec = dim};
  for (int d = 0; d < kernel_dims(k); d++) s.tile[d] = 1;
  s.lanes = dim < 0 ? 1 : lanes_for(k->extent[dim], f->cpu->lanes);
  order_loops(f, &s);
  if (f->has_rand) {
    s.lanes = RAND_LANES;
    if (dim >= 0) s.tile[dim] = RAND_VECTORS;
    consider(f, &s, best, least);
    return;
  }
  if (dim < 0) {
    try_tiles(f, &s, best, least);
    return;
  }
  int64_t vectors = ceil_div(k->extent[dim], s.lanes);
  for (int n = 1; n <= 6 && n <= vectors; n += n < 4 ? 1 : 2) {
    if (dim >= k->n_par && n > 1) break;
    s.tile[dim] = n;
    try_tiles(f, &s, best, least);
  }
}

static void try_vector(const Facts *f, int dim, Schedule *best, double *least) {
  Schedule s = {.vec = -1};
  double cycles = 1e300;
  try_arithmetic(f, dim, &s, &cycles);
  cycles = overlapped(cycles, traffic(f, &s));
  if (cycles >= *least) return;
  *least = cycles;
  *best = s;
}

Schedule choose_schedule(const Kernel *k, const Cpu *cpu) {
  uint32_t depends[k->n_instrs + 1];
  bool in_body[k->n_instrs + 1];
  kernel_depends(k, depends);
  kernel_in_body(k, in_body);
  Facts f = {.k = k, .cpu = cpu, .depends = depends, .in_body = in_body};
  int rand_dim = -1;
  for (int n = 0; n < k->n_instrs; n++) {
    if (k->instr[n].kop == K_REDUCE && k->instr[n].op == OP_ARGMAX)
      f.has_argmax = true;
    if (k->instr[n].kop != K_RAND) continue;
    f.has_rand = true;
    for (int d = 0; d < k->n_par; d++)
      if (k->instr[n].at.coef[d] == 1) rand_dim = d;
  }
  Schedule best = {.vec = -1};
  double least = 1e300;
  if (f.has_rand) {
    try_vector(&f, rand_dim, &best, &least);
  } else {
    try_vector(&f, -1, &best, &least);
    for (int d = 0; d < kernel_dims(k); d++)
      if (can_vectorise(&f, d)) try_vector(&f, d, &best, &least);
  }
  choose_pieces(k, &best, least);
  return best;
}
