/* The cost model: the cycles that a kernel is expected to take under a schedule.
 * It counts, for one turn of the innermost reduced loop over one register tile,
 * arithmetic, loads and the latency of the accumulators, takes the largest, and
 * multiplies by the turns. It need not be right, only to order candidates: the
 * numbers are those of the measurements on generated code, in units of one vector
 * instruction. Where a processor does two of those in a cycle, what takes cycles takes
 * twice as many of them; only the results are cycles.
 *
 * The search (choose.c) asks for hundreds of tiles of one kernel with one vector
 * dimension. What an instruction costs depends on that dimension alone, and how
 * often it stands in a tile on the dimensions that it depends on: so instructions
 * that depend on the same dimensions are added up beforehand, to a Term; and for a
 * pair of dimensions whose tiles are being searched there remain four sums, of what
 * depends on neither, on one or on both. */
#include <stdlib.h>
#include <string.h>

#include "passes/schedule.h"

enum {
  LINE = 64,
  WAY = 4096, /* bytes after which an address falls into the same set of the first cache */
  CROWD = 64  /* lanes that a tile has at most along a dimension */
};
/* in vector instructions */
static const double costly_op = 14; /* exp, log, tanh as polynomials */
static const double transposed = 6; /* an access, and a share of shuffles */
static const double horizontal = 9; /* the sum of a vector's lanes */
/* in cycles */
static const double fma_latency = 4;
static const double division = 6;      /* a square root too */
static const double philox = 14;       /* seven rounds, a share of four vectors */
static const double tile_overhead = 6; /* pointers and counters around a tile */
static const double loop_overhead = 3;
static const double far_cycles = 0.6; /* more, for a line from beyond the second cache */
/* Of a cache, what is left for one thing: other things are in there too. */
static const double share_of_ways = 0.75, share_of_cache = 0.75;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* A short stride: the run's vectors and shuffles, shared by those that lie between
 * each other's lanes. */
static double strided_cost(const Kernel *k, int n, int64_t stride,
                           const Schedule *s) {
  int member[KERNEL_SHORT_STRIDE];
  int members = kernel_interleaved(k, s->vec, n, member);
  if (members < 2) return 1.5 * (double)stride;
  return ((double)stride + (double)(members * (stride == 4 ? 2 : stride - 1))) /
         members;
}

/* Steps of a large power of two land in few sets of a cache: after so many steps of
 * these bytes the same set comes round again. */
static double period_of(int64_t bytes, int64_t way) {
  int64_t place = bytes % way;
  return place == 0 ? 1 : (double)(way / (place & -place));
}

/* A store of each lane to a place of its own; if the lines of a tile crowd in few
 * sets, each has left the first cache before the next lane beside it comes. */
static double scatter_cost(const Facts *f, const Instr *i, const Schedule *s) {
  int64_t bytes = llabs(i->at.coef[s->vec]) * dtype_size[i->type];
  int64_t rows = f->k->extent[s->vec];
  double same = (double)(rows < CROWD ? rows : CROWD) / period_of(bytes, WAY);
  bool crowded = bytes >= LINE && same > share_of_ways * f->cpu->l1_ways;
  return s->lanes * (1.2 + (crowded ? f->cpu->store_miss : 0));
}

static double access_cost(const Facts *f, int n, const Schedule *s) {
  const Kernel *k = f->k;
  const Instr *i = &k->instr[n];
  if (s->vec < 0) return 1;
  if (kernel_transposed(k, s, i) >= 0) return transposed;
  int64_t step = i->at.coef[s->vec];
  double cost = step == 0 ? f->cpu->splat : step == 1 ? 1 : 1.2 * s->lanes;
  if (step >= 2 && step <= KERNEL_SHORT_STRIDE) cost = strided_cost(k, n, step, s);
  else if (step != 0 && step != 1 && i->kop == K_STORE) cost = scatter_cost(f, i, s);
  if (i->in[1] >= 0) cost = 1.5 * s->lanes;
  return cost;
}

static double op_cost(const Facts *f, const Instr *i) {
  switch (i->kop) {
  case K_OP:
    if (op_info[i->op].costly || i->op == OP_FLOOR) return costly_op;
    if (i->op == OP_DIV || i->op == OP_SQRT) return division * f->cpu->issue;
    return 1;
  case K_REDUCE: return i->op == OP_ARGMAX ? 4 : 1;
  case K_RAND: return philox * f->cpu->issue; /* one wide product a cycle */
  case K_INDEX:
  case K_INRANGE: return 1;
  case K_LOAD:
  case K_STORE:
  case K_CONST: break;
  }
  return 0;
}

/* --- terms ---------------------------------------------------------------- */

/* The term of these dimensions; a new one is empty. */
static Term *term_of(Facts *f, uint32_t dims) {
  for (int i = 0; i < f->n_terms; i++)
    if (f->term[i].dims == dims) return &f->term[i];
  f->term[f->n_terms] = (Term){.dims = dims};
  return &f->term[f->n_terms++];
}

/* A product that is summed is one fused instruction with the sum. */
static bool is_fused(const Facts *f, int n) {
  const Kernel *k = f->k;
  const Instr *i = &k->instr[n];
  return f->in_body[n] && i->kop == K_OP && i->op == OP_MUL &&
         n + 1 < k->n_instrs && k->instr[n + 1].kop == K_REDUCE &&
         k->instr[n + 1].in[0] == n;
}

static void add_term(Facts *f, const Schedule *s, int n) {
  const Kernel *k = f->k;
  const Instr *i = &k->instr[n];
  uint32_t dims = f->depends[n];
  bool reduce = i->kop == K_REDUCE;
  if (reduce) {
    dims |= f->depends[i->in[0]] & ~((1u << k->n_par) - 1);
    f->accumulators += i->op == OP_ARGMAX ? 2 : 1;
  }
  Term *t = term_of(f, dims);
  bool body = f->in_body[n] || reduce;
  if (i->kop == K_LOAD || i->kop == K_STORE)
    *(body ? &t->counts.body_memory : &t->counts.memory) +=
        access_cost(f, n, s) * (i->accumulate ? 2 : 1) *
        (i->kop == K_STORE ? f->cpu->issue : 1); /* one store a cycle */
  else if (!is_fused(f, n))
    *(body ? &t->counts.body : &t->counts.arithmetic) += op_cost(f, i);
  if (i->kop == K_LOAD && f->in_body[n] && s->vec >= 0 &&
      i->at.coef[s->vec] != 0)
    t->counts.row = 1;
}

void cost_prepare(Facts *f, const Schedule *s) {
  const Kernel *k = f->k;
  f->n_terms = f->accumulators = 0;
  for (int n = 0; n < k->n_instrs; n++) add_term(f, s, n);
}

/* --- arithmetic ----------------------------------------------------------- */

/* How many different values something has in the tile, as far as the dimensions
 * other than those of the pair make them. */
static double copies(const Facts *f, const Schedule *s, uint32_t dims) {
  double n = 1;
  for (int d = 0; d < kernel_dims(f->k); d++)
    if (dims >> d & 1) n *= (double)s->tile[d];
  return n;
}

static void add_counts(Counts *to, const Counts *c, double times) {
  to->arithmetic += times * c->arithmetic;
  to->memory += times * c->memory;
  to->body += times * c->body;
  to->body_memory += times * c->body_memory;
  double row = times * c->row;
  if (row > 0 && (to->row == 0 || row < to->row)) to->row = row;
}

void cost_pair(const Facts *f, const Schedule *s, int x, int y, Pair *p) {
  const Kernel *k = f->k;
  uint32_t x_bit = x < 0 ? 0 : 1u << x, y_bit = y < 0 ? 0 : 1u << y;
  *p = (Pair){.x = x, .y = y, .tiles = 1, .turns = 1, .outer_turns = 1};
  for (int d = 0; d < kernel_dims(k); d++) {
    if (d == x || d == y) continue;
    int64_t step = s->tile[d] * (d == s->vec ? s->lanes : 1);
    double steps = (double)ceil_div(k->extent[d], step);
    if (d < k->n_par) p->tiles *= steps;
    else p->turns *= steps;
    if (d >= k->n_par && d != s->order[kernel_dims(k) - 1])
      p->outer_turns *= steps;
  }
  p->positions = copies(f, s, ((1u << k->n_par) - 1) & ~(x_bit | y_bit));
  p->dot = s->vec >= k->n_par;
  for (int i = 0; i < f->n_terms; i++) {
    const Term *t = &f->term[i];
    int which = (t->dims & x_bit ? 1 : 0) | (t->dims & y_bit ? 2 : 0);
    add_counts(&p->with[which], &t->counts,
               copies(f, s, t->dims & ~(x_bit | y_bit)));
  }
}

double cost_arithmetic(const Facts *f, const Pair *p, int tx, int ty) {
  const Kernel *k = f->k;
  const double times[4] = {1, tx, ty, tx * ty}, issue = f->cpu->issue;
  Counts c = {0};
  for (int i = 0; i < 4; i++) add_counts(&c, &p->with[i], times[i]);
  double tiles = p->tiles, tile = c.arithmetic + c.memory + tile_overhead * issue;
  if (p->x >= 0) tiles *= (double)ceil_div(k->extent[p->x], tx);
  if (p->y >= 0) tiles *= (double)ceil_div(k->extent[p->y], ty);
  if (k->n_red == 0) return tiles * tile;
  double positions = p->positions * times[3];
  double turn = c.body > c.body_memory ? c.body : c.body_memory;
  if (turn < fma_latency * issue) turn = fma_latency * issue;
  /* registers wanted: accumulators, the vectors of one row, and a broadcast */
  double over = positions * f->accumulators + c.row + 1 - f->cpu->registers;
  if (over > 0) turn *= 1 + 0.25 * over;
  turn += 0.05 * (c.body + c.body_memory) + 0.4;
  tile += p->turns * turn + p->outer_turns * loop_overhead * issue;
  if (p->dot) tile += positions * horizontal;
  return tiles * tile;
}

/* --- traffic -------------------------------------------------------------- */

/* Lines that crowd in few sets push each other out, as if there were more of them. */
static double crowding(const Facts *f, const Instr *i, const double *cover,
                       bool far) {
  const Kernel *k = f->k;
  int64_t way = far ? (int64_t)f->cpu->l2_kib * 1024 / f->cpu->l2_ways : WAY;
  double same = 1;
  double ways = share_of_ways * (far ? f->cpu->l2_ways : f->cpu->l1_ways);
  for (int d = 0; d < kernel_dims(k); d++) {
    int64_t bytes = llabs(i->at.coef[d]) * dtype_size[i->type];
    if (bytes < LINE) continue;
    double period = period_of(bytes, way);
    if (cover[d] > period) same *= cover[d] / period;
  }
  return same > ways ? same / ways : 1;
}

/* Cache lines that an access touches while each dimension d covers cover[d]
 * indices. Dimensions of one step (those of a window) slide over each other. `far`: of
 * the second cache. */
static double lines_of(const Facts *f, const Instr *i, const double *cover,
                       bool far) {
  const Kernel *k = f->k;
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
    double line = (double)LINE / (double)(step * dtype_size[i->type]);
    if (line > 1) run *= range < line ? range : line;
  }
  double most = (double)LINE / (double)dtype_size[i->type];
  return elements / (run < most ? run : most) * crowding(f, i, cover, far);
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

static double lines_at(const Facts *f, const double *cover, bool body, bool far) {
  double lines = 0;
  for (int n = 0; n < f->k->n_instrs; n++) {
    const Instr *i = &f->k->instr[n];
    if ((i->kop == K_LOAD || i->kop == K_STORE) && f->in_body[n] == body)
      lines += lines_of(f, i, cover, far);
  }
  return lines;
}

/* The share of an access's lines that are others after `step` steps of the dimension. */
static double new_lines(const Instr *i, int dim, double step) {
  double bytes = step * (double)(llabs(i->at.coef[dim]) * dtype_size[i->type]);
  return bytes == 0 || bytes > (double)LINE ? 1 : bytes / (double)LINE;
}

/* Cycles for a line of an access. A line whose neighbour is not wanted too comes
 * later, since no prefetch has asked for it. */
static double line_cycles(const Facts *f, const Instr *i, const double *cover,
                          int around) {
  const Kernel *k = f->k;
  int64_t run = 1;
  for (bool more = true; more;) {
    more = false;
    for (int d = 0; d < kernel_dims(k) && !more; d++) {
      double range = d == around ? (double)k->extent[d] : cover[d];
      more = i->at.coef[d] == run && range > 1;
      if (more) run *= (int64_t)range;
    }
  }
  bool lone = run * dtype_size[i->type] < 2 * LINE;
  return lone ? f->cpu->lone_line : f->cpu->line;
}

/* Waiting for lines that a cache of so many lines does not keep, of what the reduced
 * loops read. The outermost level of the nest at which all that is touched still fits is
 * found; the loop around it finds again what does not step along it, the loops
 * around that one find nothing. `far`: of the second cache; the first one is too
 * small for what is found again, and what fits into it altogether counts once. */
static double misses(const Facts *f, const Schedule *s, double room, bool far) {
  const Kernel *k = f->k;
  double cover[MAX_DIMS], wider[MAX_DIMS], sum = 0;
  for (int d = 0; d < kernel_dims(k); d++)
    cover[d] = (double)(s->tile[d] * (d == s->vec ? s->lanes : 1));
  int level = s->n_order;
  for (; level > 0; level--) {
    memcpy(wider, cover, sizeof cover);
    wider[s->order[level - 1]] = (double)k->extent[s->order[level - 1]];
    if (lines_at(f, wider, true, far) > room) break;
    memcpy(cover, wider, sizeof cover);
  }
  if (level == 0) return far ? 0 : lines_at(f, cover, true, far) * f->cpu->line;
  int around = s->order[level - 1];
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_LOAD || !f->in_body[n]) continue;
    int turns = far && i->at.coef[around] == 0 ? level - 1 : level;
    sum += lines_of(f, i, cover, far) * turns_of(k, s, turns) *
           new_lines(i, around, cover[around]) *
           (far ? far_cycles : line_cycles(f, i, cover, around));
  }
  return sum;
}

/* Lines that the epilogue touches: each once a tile. */
static double epilogue_lines(const Facts *f, const Schedule *s) {
  double cover[MAX_DIMS];
  for (int d = 0; d < kernel_dims(f->k); d++)
    cover[d] = (double)(s->tile[d] * (d == s->vec ? s->lanes : 1));
  return lines_at(f, cover, false, false) * turns_of(f->k, s, f->k->n_par);
}

/* Arithmetic and waiting for lines go on side by side. */
double cost_whole(const Facts *f, const Schedule *s, double arithmetic) {
  double room = share_of_cache * (f->cpu->l1_ways * WAY / LINE);
  double waiting =
      epilogue_lines(f, s) * f->cpu->line + misses(f, s, room, false);
  arithmetic /= f->cpu->issue;
  return (arithmetic > waiting ? arithmetic : waiting) + 0.1 * waiting;
}

double cost_far(const Facts *f, const Schedule *s) {
  double room = share_of_cache * (f->cpu->l2_kib * 1024 / LINE);
  return f->k->n_red > 0 ? misses(f, s, room, true) : 0;
}
