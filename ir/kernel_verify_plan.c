/* The verifier of kernels, the part for what `schedule` and `plan` add. It
 * verifies that
 *
 *   schedules  are there for all kernels or, without a processor, for none;
 *              order each dimension once, parallel ones before reduced ones
 *   lanes      are 2, 4 .. 64; lanes of one vector add to different elements,
 *              and an argmax is not over lanes
 *   tiles      are at least 1, and small together
 *   pieces     are one, or the steps of the outermost loop; those of stores
 *              that add do not meet
 *   draws      of random numbers are as philox.h lays them out: vectors of 16,
 *              a multiple of four a tile
 *   offsets    are there for everything or, before `plan`, for nothing; are
 *              multiples of 64 inside the arena; variables and scalars have
 *              the module's
 *   places     of buffers that live at one time do not meet, nor with those of
 *              variables and scalars. A buffer lives from the kernel that
 *              first touches it to the last; inputs from the start, results to
 *              the end; the kernels of a group are one moment, but not for what
 *              is local to it, which lies among its local buffers
 *
 * Overlaps are found with a tree over the offsets, in n log n, since a text
 * from outside may hold very many buffers. */
#include "ir/kernel_verify.h"

#include <stdlib.h>
#include <string.h>

enum {
  ALIGN = 64,
  SCALAR_SIZE = 8,
  SCALAR_BYTES = KERNEL_SCALARS * SCALAR_SIZE,
  MAX_LANES = 64,
  MAX_TILE = 4096, /* positions of a register tile */
  RAND_LANES = 16,
  RAND_VECTORS = 4
};

/* -- schedules */

static bool check_order(KCheck *c) {
  const Kernel *k = c->k;
  const Schedule *s = &k->schedule;
  uint32_t seen = 0;
  if (s->n_order != kernel_dims(k))
    KFAIL("the schedule orders %d of %d dimensions", s->n_order,
          kernel_dims(k));
  for (int i = 0; i < s->n_order; i++) {
    int d = s->order[i];
    if (d < 0 || d >= kernel_dims(k) || seen >> d & 1)
      KFAIL("dimension %d is not there or ordered twice", d);
    if ((d < k->n_par) != (i < k->n_par))
      KFAIL("the reduced dimensions come last in the order");
    seen |= 1u << d;
  }
  return true;
}

static bool check_tile(KCheck *c) {
  const Kernel *k = c->k;
  const Schedule *s = &k->schedule;
  int64_t positions = 1;
  for (int d = 0; d < kernel_dims(k); d++) {
    if (s->tile[d] < 1 || s->tile[d] > MAX_TILE / positions)
      KFAIL("the tile of dimension %d is %d", d, s->tile[d]);
    positions *= s->tile[d];
  }
  return true;
}

static bool check_vector(KCheck *c) {
  const Kernel *k = c->k;
  const Schedule *s = &k->schedule;
  int v = s->vec;
  if (v < 0)
    return true;
  if (v >= kernel_dims(k))
    KFAIL("there is no dimension %d for vectors", v);
  if (s->lanes < 2 || s->lanes > MAX_LANES || (s->lanes & (s->lanes - 1)) != 0)
    KFAIL("vectors of %d lanes", s->lanes);
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (v >= k->n_par) {
      if (i->kop == K_REDUCE && i->op == OP_ARGMAX)
        KFAIL("%%%d is an argmax over the lanes of vectors", n);
    } else if (i->kop == K_STORE && i->accumulate) {
      if (i->at.coef[v] == 0 ||
          (i->in[1] >= 0 && c->depends[i->in[1]] >> v & 1))
        KFAIL("lanes of one vector may add to one element of b%d", i->buffer);
    }
  }
  return true;
}

/* Whether two steps of dimension `dim` never add to one element. */
static bool is_disjoint(const Kernel *k, const Instr *store, int dim) {
  int64_t step = store->at.coef[dim], below = 0, span;
  if (store->in[1] >= 0 || step <= 0 ||
      __builtin_mul_overflow(step, k->extent[dim], &span))
    return false;
  for (int d = 0; d < k->n_par; d++) {
    int64_t other = store->at.coef[d];
    if (d == dim || k->extent[d] == 1 || other % span == 0)
      continue;
    if (other < 0 || other >= step)
      return false;
    below += other * (k->extent[d] - 1); /* fits: the store's range does */
  }
  return below < step;
}

static bool check_pieces(KCheck *c) {
  const Kernel *k = c->k;
  const Schedule *s = &k->schedule;
  if (s->pieces == 1)
    return true;
  if (k->group)
    KFAIL("pieces of a kernel in a group, of which threads share the parts");
  if (k->n_par == 0)
    KFAIL("%lld pieces of no dimension", (long long)s->pieces);
  int first = s->order[kernel_split_loop(k, s)];
  int64_t steps = kernel_steps(k, s, first);
  if (s->pieces != steps)
    KFAIL("%lld pieces, but the outermost loop has %lld steps",
          (long long)s->pieces, (long long)steps);
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop == K_STORE && i->accumulate && !is_disjoint(k, i, first))
      KFAIL("two pieces may add to one element of b%d", i->buffer);
  }
  return true;
}

/* Drawn by vectors: a tile begins at a multiple of 64 elements; else there is one
 * element only. */
static bool check_draws(KCheck *c) {
  const Kernel *k = c->k;
  const Schedule *s = &k->schedule;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_RAND)
      continue;
    Affine want = {0};
    if (s->vec >= 0)
      want.coef[s->vec] = 1;
    if (!affine_equal(&want, &i->at, MAX_DIMS) ||
        (s->vec >= 0 &&
         (s->lanes != RAND_LANES || s->tile[s->vec] % RAND_VECTORS != 0 ||
          i->row.coef[s->vec] != 0)))
      KFAIL("%%%d: random numbers are drawn along multiples of %dx%d", n,
            RAND_VECTORS, RAND_LANES);
  }
  return true;
}

bool kcheck_schedule(KCheck *c) {
  bool scheduled = kernel_is_scheduled(c->k);
  if (scheduled != (c->m->cpu != NULL))
    KFAIL(scheduled ? "a schedule for no processor" : "no schedule");
  if (!scheduled)
    return true;
  c->v.schedule = true;
  if (!check_order(c) || !check_tile(c) || !check_vector(c) ||
      !check_pieces(c) || !check_draws(c))
    return false;
  c->v.schedule = false;
  return true;
}

/* -- places in the arena */

/* Bytes [low, high) from kernel `first` to kernel `last`, both included. */
typedef struct Life {
  int var, buffer; /* or -1: both, the scalars */
  int first, last;
  int64_t low, high;
} Life;

typedef struct Lives {
  Life *at;
  int n;
  /* a tree over the different lows and highs: node i has the children 2i + 1
   * and 2i + 2. Numbers of lives, or -1: of those that cover the node, and of
   * all that meet it, the one that lives longest */
  int64_t *edge;
  int n_edges;
  int *cover, *meets;
} Lives;

static int by_number(const void *a, const void *b) {
  const int64_t *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

static int by_first(const void *a, const void *b) {
  const Life *x = a, *y = b;
  if (x->first != y->first)
    return x->first < y->first ? -1 : 1;
  return x->buffer != y->buffer ? x->buffer - y->buffer : x->var - y->var;
}

static int longest(const Lives *l, int a, int b) {
  if (a < 0 || b < 0)
    return a < 0 ? b : a;
  return l->at[a].last >= l->at[b].last ? a : b;
}

/* The longest life in [low, high), in edges, below a node for [from, to); with
 * add >= 0 that life is entered. Depth: log2 of the edges. */
static int visit(Lives *l, int node, int from, int to, int low, int high,
                 int add) {
  if (high <= from || to <= low)
    return -1;
  int found = l->cover[node];
  if (add >= 0)
    l->meets[node] = longest(l, l->meets[node], add);
  if (low <= from && to <= high) {
    if (add >= 0)
      l->cover[node] = longest(l, l->cover[node], add);
    return longest(l, found, l->meets[node]);
  }
  int middle = from + (to - from) / 2;
  int left = visit(l, 2 * node + 1, from, middle, low, high, add);
  int right = visit(l, 2 * node + 2, middle, to, low, high, add);
  return longest(l, found, longest(l, left, right));
}

static int edge_number(const Lives *l, int64_t v) {
  int low = 0, high = l->n_edges;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (l->edge[middle] < v)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void make_tree(KCheck *c, Lives *l) {
  size_t n = 2 * (size_t)l->n + 1;
  l->edge = arena_alloc(c->arena, n * sizeof *l->edge);
  for (int i = 0; i < l->n; i++) {
    l->edge[2 * i] = l->at[i].low;
    l->edge[2 * i + 1] = l->at[i].high;
  }
  qsort(l->edge, 2 * (size_t)l->n, sizeof *l->edge, by_number);
  for (int i = 0; i < 2 * l->n; i++)
    if (l->n_edges == 0 || l->edge[l->n_edges - 1] != l->edge[i])
      l->edge[l->n_edges++] = l->edge[i];
  l->cover = arena_alloc(c->arena, 4 * n * sizeof *l->cover);
  l->meets = arena_alloc(c->arena, 4 * n * sizeof *l->meets);
  memset(l->cover, -1, 4 * n * sizeof *l->cover);
  memset(l->meets, -1, 4 * n * sizeof *l->meets);
}

static const char *life_text(const KCheck *c, const Life *x) {
  if (x->buffer >= 0)
    return arena_printf(c->arena, "b%d", x->buffer);
  if (x->first >= 0)
    return "the local buffers of a group";
  return x->var >= 0
             ? arena_printf(c->arena, "variable %s", c->m->var[x->var].name)
             : "the scalars";
}

/* In the order of their beginnings, each against those before. */
static bool check_lives(KCheck *c, Lives *l) {
  qsort(l->at, (size_t)l->n, sizeof *l->at, by_first);
  make_tree(c, l);
  for (int i = 0; i < l->n; i++) {
    const Life *x = &l->at[i];
    int low = edge_number(l, x->low), high = edge_number(l, x->high);
    int other = visit(l, 0, 0, l->n_edges, low, high, -1);
    if (other >= 0 && l->at[other].last >= x->first) {
      c->v.buffer = x->buffer;
      c->v.var = x->buffer < 0 ? x->var : -1;
      KFAIL("%s shares bytes with %s, which lives at the same time",
            life_text(c, x), life_text(c, &l->at[other]));
    }
    visit(l, 0, 0, l->n_edges, low, high, i);
  }
  return true;
}

static bool check_place(KCheck *c, const char *what, int64_t offset,
                        int64_t bytes) {
  if (offset < 0)
    KFAIL("%s has no offset, but the arena is planned", what);
  if (offset % ALIGN != 0)
    KFAIL("%s at %lld, which is no multiple of %d", what, (long long)offset,
          ALIGN);
  if (offset > c->m->bytes - bytes)
    KFAIL("%s ends behind the %lld bytes of the arena", what,
          (long long)c->m->bytes);
  return true;
}

static int64_t bytes_of(const Type *t) {
  return type_count(t) * dtype_size[t->dtype];
}

/* Variables and scalars, which live always: before kernel 0, and after all. */
static int fixed_lives(const KCheck *c, Life *at) {
  const KModule *m = c->m;
  for (int i = 0; i < m->n_vars; i++)
    at[i] = (Life){.var = i,
                   .buffer = -1,
                   .first = -2,
                   .last = INT32_MAX,
                   .low = m->var_offset[i],
                   .high = m->var_offset[i] + bytes_of(&m->var[i].type)};
  at[m->n_vars] = (Life){.var = -1,
                         .buffer = -1,
                         .first = -2,
                         .last = INT32_MAX,
                         .low = m->scalars,
                         .high = m->scalars + SCALAR_BYTES};
  return m->n_vars + 1;
}

/* The offsets of the module itself. */
bool kcheck_plan(KCheck *c) {
  const KModule *m = c->m;
  bool planned = m->bytes >= 0;
  for (int i = 0; i < m->n_vars; i++) {
    c->v.var = i;
    if (!planned && m->var_offset[i] != -1)
      KFAIL("variable %s has an offset before the plan", m->var[i].name);
    if (planned && !check_place(c, m->var[i].name, m->var_offset[i],
                                bytes_of(&m->var[i].type)))
      return false;
  }
  c->v.var = -1;
  if (!planned) {
    if (m->scalars != -1)
      KFAIL("the scalars have an offset before the plan");
    return true;
  }
  if (!m->cpu)
    KFAIL("a plan without schedules");
  if (!check_place(c, "the scalars", m->scalars, SCALAR_BYTES))
    return false;
  Lives l = {0};
  l.at = arena_alloc(c->arena, ((size_t)m->n_vars + 1) * sizeof *l.at);
  l.n = fixed_lives(c, l.at);
  return check_lives(c, &l);
}

/* A buffer's own offset; variables and scalars have the module's. */
static bool check_offset(KCheck *c, int n) {
  const KModule *m = c->m;
  const Buffer *b = &c->f->buffer[n];
  int64_t fixed = b->kind == BUF_VAR ? m->var_offset[kcheck_var(c, b->name)]
                  : b->kind == BUF_SCALAR
                      ? m->scalars + SCALAR_SIZE * kcheck_scalar(b->name)
                      : -1;
  c->v.buffer = n;
  if (m->bytes < 0) {
    if (b->offset != -1)
      KFAIL("b%d has an offset before the plan", n);
    return true;
  }
  if (fixed >= 0 && b->offset != fixed)
    KFAIL("b%d is at %lld, but %s is at %lld", n, (long long)b->offset, b->name,
          (long long)fixed);
  return fixed >= 0 || check_place(c, arena_printf(c->arena, "b%d", n),
                                   b->offset, bytes_of(&b->type));
}

/* The kernels of a group count as one where a buffer is not local. */
static void widen(const KFunc *f, int kernel, int *first, int *last) {
  *first = *last = kernel;
  if (!f->kernel[kernel]->group)
    return;
  while (!kfunc_begins_group(f, *first))
    --*first;
  while (!kfunc_ends_group(f, *last))
    ++*last;
}

/* First and last kernel that touches each buffer. */
static void find_lives(const KFunc *f, Life *life) {
  for (int i = 0; i < f->n_buffers; i++) {
    const Buffer *b = &f->buffer[i];
    bool input = b->kind == BUF_INPUT;
    life[i] = (Life){.var = -1,
                     .buffer = i,
                     .last = -1,
                     .first = input ? -1 : f->n_kernels,
                     .low = b->offset,
                     .high = b->offset + bytes_of(&b->type)};
  }
  int from = 0, to = -1;
  for (int i = 0; i < f->n_kernels; i++) {
    if (i > to || !f->kernel[i]->group)
      widen(f, i, &from, &to);
    for (int n = 0; n < f->kernel[i]->n_instrs; n++) {
      const Instr *x = &f->kernel[i]->instr[n];
      if (x->kop != K_LOAD && x->kop != K_STORE)
        continue;
      Life *l = &life[x->buffer];
      bool local = f->buffer[x->buffer].local;
      if ((local ? i : from) < l->first)
        l->first = local ? i : from;
      l->last = local ? i : to;
    }
  }
  for (int i = 0; i < f->n_results; i++)
    life[f->result[i].buffer].last = f->n_kernels;
}

/* What the local buffers of a group's further parts take; those of the first part
 * stand for themselves. Adds it to the lives; false after a violation. */
static bool add_parts(KCheck *c, int begin, Lives *l) {
  const KFunc *f = c->f;
  const Group *g = f->kernel[begin]->group;
  int64_t all;
  int last = begin;
  while (!kfunc_ends_group(f, last)) last++;
  c->v.kernel = begin;
  if (g->offset < 0 || g->bytes < 0 || g->bytes % ALIGN != 0 ||
      __builtin_mul_overflow(g->bytes, g->parts, &all) ||
      !check_place(c, "the group's local buffers", g->offset, all))
    KFAIL("the local buffers of the group have no place");
  c->v.kernel = -1;
  if (g->parts > 1 && g->bytes > 0)
    l->at[l->n++] = (Life){.var = -1, .buffer = -1, .first = begin, .last = last,
                           .low = g->offset + g->bytes, .high = g->offset + all};
  for (int i = begin; i <= last; i++)
    for (int n = 0; n < f->kernel[i]->n_instrs; n++) {
      const Instr *x = &f->kernel[i]->instr[n];
      if (x->kop != K_LOAD && x->kop != K_STORE)
        continue;
      const Buffer *b = &f->buffer[x->buffer];
      c->v.buffer = x->buffer;
      if (b->local && (b->offset < g->offset ||
                       b->offset - g->offset > g->bytes - bytes_of(&b->type)))
        KFAIL("b%d does not lie among the local buffers of its group", x->buffer);
    }
  c->v.buffer = -1;
  return true;
}

/* Before the plan groups have no place either. */
static bool check_no_places(KCheck *c) {
  for (int i = 0; i < c->f->n_kernels; i++) {
    const Group *g = c->f->kernel[i]->group;
    c->v.kernel = i;
    if (g && (g->offset != -1 || g->bytes != -1))
      KFAIL("the group has a place before the plan");
  }
  c->v.kernel = -1;
  return true;
}

bool kcheck_plan_func(KCheck *c) {
  const KFunc *f = c->f;
  for (int i = 0; i < f->n_buffers; i++)
    if (!check_offset(c, i))
      return false;
  c->v.buffer = -1;
  if (c->m->bytes < 0)
    return check_no_places(c);
  size_t most = (size_t)f->n_buffers + (size_t)c->m->n_vars +
                (size_t)f->n_kernels + 1;
  Life *own = arena_alloc(c->arena, most * sizeof *own);
  Lives l = {.at = arena_alloc(c->arena, most * sizeof *l.at)};
  find_lives(f, own);
  l.n = fixed_lives(c, l.at);
  for (int i = 0; i < f->n_buffers; i++) {
    BufferKind kind = f->buffer[i].kind;
    if ((kind == BUF_INPUT || kind == BUF_TEMP) && own[i].first <= own[i].last)
      l.at[l.n++] = own[i];
  }
  for (int i = 0; i < f->n_kernels; i++)
    if (kfunc_begins_group(f, i) && !add_parts(c, i, &l))
      return false;
  return check_lives(c, &l);
}
