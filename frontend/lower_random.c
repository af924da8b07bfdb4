/* Random values. `uniform()`, `normal()` and `bernoulli(p)` have the shape that
 * the place wants, which is not known where they stand: `x * bernoulli(0.5)`
 * wants x's. So they are values without a shape, and arithmetic between them and
 * numbers is kept as a small tree, until a tensor comes or a declaration says the
 * shape. Each has an address, the hash of the calls by which it was reached,
 * so that the bits depend neither on names nor on what else the file has. */
#include "frontend/lower.h"

#include <string.h>

struct Random {
  bool is_op; /* an operation on `arg`, or numbers of a distribution */
  Op op;
  Dist dist;
  uint64_t address;
  int n;
  const Value *arg[3];
};

/* The finaliser of MurmurHash3 over both. */
static uint32_t mix32(uint32_t h, uint32_t v) {
  h = (h ^ (v + 0x9E3779B9u + (h << 6) + (h >> 2))) * 0x85EBCA6Bu;
  h = (h ^ h >> 13) * 0xC2B2AE35u;
  return h ^ h >> 16;
}

/* The lower half, which becomes the place of a draw, is a hash by itself; with
 * the upper one no two addresses of a program are the same. */
uint64_t mix(uint64_t h, uint64_t v) {
  uint32_t low = mix32((uint32_t)h, (uint32_t)v);
  uint32_t both = (uint32_t)v ^ mix32((uint32_t)(v >> 32), 0x75707065u);
  return (uint64_t)mix32((uint32_t)(h >> 32), both) << 32 | low;
}

static const Value *random_new(Lower *L, Random r) {
  Random *random = arena_alloc(L->a, sizeof *random);
  Value *v = arena_alloc(L->a, sizeof *v);
  *random = r;
  *v = (Value){.kind = V_RANDOM, .random = random};
  return v;
}

/* uniform: from a to b; normal: mean a, deviation b; bernoulli: true with
 * probability a. */
const Value *random_value(Lower *L, Dist dist, const Value *a, const Value *b,
                          uint64_t address) {
  return random_new(L, (Random){.dist = dist, .address = address,
                                .arg = {a, b}});
}

const Value *random_op(Lower *L, Op op, int n, const Value *const *args) {
  Random r = {.is_op = true, .op = op, .n = n};
  memcpy(r.arg, args, (size_t)n * sizeof *args);
  return random_new(L, r);
}

static const Value *two(const Scope *s, Span at, Op op, const Value *a,
                        const Value *b) {
  return elementwise(s, at, op, 2, (const Value *[]){a, b});
}

static const Value *one(const Scope *s, Span at, Op op, const Value *a) {
  return elementwise(s, at, op, 1, &a);
}

/* Box and Muller's: sqrt(-2 log u) cos(2 pi v), u in (0, 1]. */
static const Value *normal(const Scope *s, Span at, const Value *u,
                           const Value *v) {
  Lower *L = s->L;
  const Value *free = two(s, at, OP_SUB, value_number(L, 1), u);
  const Value *square =
      two(s, at, OP_MUL, value_number(L, -2), one(s, at, OP_LOG, free));
  const Value *turn =
      two(s, at, OP_MUL, value_number(L, 6.283185307179586), v);
  return two(s, at, OP_MUL, one(s, at, OP_SQRT, square),
             one(s, at, OP_COS, turn));
}

typedef struct Draw {
  uint64_t address;
  bool sample;
  Type type;
} Draw;

/* Uniform numbers of that address. Of two addresses with one place the second
 * one met takes another. NULL if the numbers were drawn in another shape. */
static Node *rand_node(const Scope *s, Span at, uint64_t address, bool sample,
                       const Type *type) {
  Lower *L = s->L;
  Names *draws = L->g == L->init ? &L->init_draws : &L->draws;
  Draw *draw = arena_alloc(L->a, sizeof *draw), *old;
  *draw = (Draw){address, sample, *type};
  uint32_t place = (uint32_t)address;
  while ((old = names_add(draws, arena_printf(L->a, "%x", place), draw)) &&
         old->address != address)
    place = mix32(place, 0x6e657874u);
  if (!old || (old->sample == sample && type_equal(&old->type, type)))
    return graph_rand(L->g, place, sample, *type);
  fail(s, "E0312", at, "these random numbers are wanted in two shapes, %s and "
       "%s: draw for each",
       shape_text(L, old->type.rank - old->sample, old->type.dim + old->sample),
       shape_text(L, type->rank - sample, type->dim + sample));
  return NULL;
}

static const Value *draw(const Scope *s, Span at, const Random *r, bool sample,
                         const Type *type) {
  Lower *L = s->L;
  Node *rand = rand_node(s, at, r->address, sample, type);
  if (!rand)
    return &poison;
  const Value *u = value_node(L, rand, sample);
  switch (r->dist) {
  case DIST_UNIFORM: {
    const Value *width = two(s, at, OP_SUB, r->arg[1], r->arg[0]);
    return two(s, at, OP_ADD, r->arg[0], two(s, at, OP_MUL, u, width));
  }
  case DIST_NORMAL: {
    Node *second = rand_node(s, at, mix(r->address, 1), sample, type);
    if (!second)
      return &poison;
    const Value *n = normal(s, at, u, value_node(L, second, sample));
    return two(s, at, OP_ADD, r->arg[0], two(s, at, OP_MUL, n, r->arg[1]));
  }
  case DIST_BERNOULLI:
    return two(s, at, OP_LT, u, r->arg[0]);
  }
  return &poison;
}

/* The value with a shape, that of a sample. */
const Value *materialise(const Scope *s, Span at, const Value *v, bool sample,
                         int rank, const int64_t *dim) {
  Lower *L = s->L;
  if (v->kind != V_RANDOM)
    return v;
  const Random *r = v->random;
  if (r->is_op) {
    const Value *arg[3];
    for (int i = 0; i < r->n; i++)
      arg[i] = materialise(s, at, r->arg[i], sample, rank, dim);
    return elementwise(s, at, r->op, r->n, arg);
  }
  int64_t all[MAX_RANK + 2] = {L->batch};
  memcpy(all + sample, dim, (size_t)rank * sizeof *dim);
  if (!check_size(s, at, rank + sample, all))
    return &poison;
  int64_t count = 1;
  for (int i = 0; i < rank; i++)
    count *= dim[i];
  if (count > UINT32_MAX) {
    fail(s, "E0310", at, "%s is too large to draw: the limit is 2^32 elements",
         shape_text(L, rank, dim));
    return &poison;
  }
  Type type = type_of(T_F32, rank + sample, all);
  set_loc(s, at);
  return draw(s, at, r, sample, &type);
}
