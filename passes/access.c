/* Accesses axis by axis. A kernel reads and writes a buffer at an affine place in
 * elements; for another order of the axes that place is taken apart into the index
 * along each axis, and put together again. Where an index may lie outside its axis
 * under a guard that forbids it (the border of a padded picture), the guard tells
 * how the place is meant. One loop may step through neighbouring axes as if they
 * were one: then they must stay neighbours. */
#include "passes/schedule.h"

/* What is known of the index along one axis. */
typedef struct Index {
  Affine at;
  int64_t least, most; /* over all points that the access is made at */
} Index;

/* The test, among those that must all hold for instruction n, of a place that
 * steps as `at` does; -1: there is none. */
static int guard_of(const Kernel *k, int n, const Affine *at) {
  if (n < 0) return -1;
  const Instr *i = &k->instr[n];
  if (i->kop == K_OP && i->op == OP_AND) {
    int left = guard_of(k, i->in[0], at);
    return left >= 0 ? left : guard_of(k, i->in[1], at);
  }
  if (i->kop != K_INRANGE) return -1;
  for (int d = 0; d < kernel_dims(k); d++)
    if (i->at.coef[d] != at->coef[d]) return -1;
  return n;
}

static void find_range(const Kernel *k, int guard, Index *x) {
  if (guard >= 0) {
    const Instr *g = &k->instr[guard];
    x->at.base = g->at.base - g->low; /* the least that passes is index 0 */
    x->most = g->high - g->low - 1;
    return;
  }
  for (int d = 0; d < kernel_dims(k); d++)
    x->most += x->at.coef[d] * (k->extent[d] - 1);
}

/* Adds what is left of the base to the indices, and notes which pairs of axes are
 * stepped through as one. */
static bool settle(const Type *t, const Index *index, int64_t base, Access *to) {
  int64_t stride = type_count(t), most[MAX_RANK];
  if (base < 0) return false;
  for (int r = 0; r < t->rank; r++) {
    stride /= t->dim[r];
    to->axis[r] = index[r].at;
    to->axis[r].base += base / stride;
    to->first[r] = index[r].least + base / stride;
    most[r] = index[r].most + base / stride;
    base %= stride;
  }
  for (int r = t->rank - 1; r >= 0; r--) {
    to->last[r] = most[r];
    if (most[r] < t->dim[r]) continue;
    if (r == 0) return false;
    to->joined |= 1u << r;
    to->first[r] = 0;
    to->last[r] = t->dim[r] - 1;
    most[r - 1] += most[r] / t->dim[r];
  }
  return true;
}

bool access_split(const Type *t, const Kernel *k, const Instr *i, Access *to) {
  Index index[MAX_RANK] = {0};
  int64_t stride = type_count(t), base = i->at.base;
  Affine rest = i->at;
  *to = (Access){0};
  for (int r = 0; r < t->rank; r++) {
    bool moves = false;
    stride /= t->dim[r];
    for (int d = 0; d < kernel_dims(k); d++) {
      if (rest.coef[d] < 0) return false;
      index[r].at.coef[d] = rest.coef[d] / stride;
      rest.coef[d] %= stride;
      moves = moves || index[r].at.coef[d] != 0;
    }
    int guard = moves && i->kop == K_LOAD ? guard_of(k, i->in[0], &index[r].at)
                                          : -1;
    find_range(k, guard, &index[r]);
    base -= index[r].at.base * stride;
  }
  return settle(t, index, base, to);
}

bool access_can_move(const Access *x, const Type *t, int inner) {
  if (inner == t->rank - 1) return true;
  return !(x->joined >> inner & 1) && !(x->joined >> (inner + 1) & 1);
}

Type access_type(const Type *t, int inner) {
  Type out = *t;
  int at = 0;
  for (int i = 0; i < t->rank; i++)
    if (i != inner) out.dim[at++] = t->dim[i];
  out.dim[at] = t->dim[inner];
  return out;
}

Affine access_join(const Type *t, const Access *x, int inner) {
  Affine at = {0};
  int64_t stride = t->dim[inner];
  for (int i = t->rank - 1; i >= -1; i--) {
    if (i == inner) continue;
    int from = i < 0 ? inner : i;
    int64_t step = i < 0 ? 1 : stride;
    at.base += x->axis[from].base * step;
    for (int d = 0; d < MAX_DIMS; d++)
      at.coef[d] += x->axis[from].coef[d] * step;
    if (i >= 0) stride *= t->dim[i];
  }
  return at;
}
