/* The verifier of kernels, the part for memory: what a kernel stores and loads, among
 * itself and with the kernels before. kernel_verify.c lists what holds. */
#include "ir/kernel_verify.h"

#include <string.h>

/* The stores of one buffer in a kernel: how many they are, from the first on, and how
 * far apart. False: they do not stand the same way and equally far apart. */
static bool side_by_side(const Kernel *k, const Instr *first, int64_t *count,
                         int64_t *apart) {
  *count = 1;
  *apart = 0;
  for (const Instr *i = first + 1; i < k->instr + k->n_instrs; i++) {
    if (i->kop != K_STORE || i->buffer != first->buffer)
      continue;
    Affine expected = first->at;
    if (*count == 1)
      *apart = i->at.base - first->at.base;
    expected.base += *apart * (*count)++;
    if (first->accumulate || i->accumulate || i->in[1] >= 0 ||
        !affine_equal(&i->at, &expected, MAX_DIMS))
      return false;
  }
  return true;
}

/* The dimensions that a store of a whole buffer steps along: the parallel ones,
 * that of the stores side by side, and unless each part has the buffer for itself,
 * the parts and turns of the group. Returns their number. */
static int filling_dims(const KCheck *c, const Instr *i, int64_t *extent,
                        int64_t *step) {
  const Kernel *k = c->k;
  int n = 0;
  for (; n < k->n_par; n++) {
    extent[n] = k->extent[n];
    step[n] = i->at.coef[n];
  }
  side_by_side(k, i, &extent[n], &step[n]);
  n++;
  if (!k->group || c->f->buffer[i->buffer].local)
    return n;
  extent[n] = k->group->parts;
  step[n++] = i->at.part;
  extent[n] = k->group->turns;
  step[n++] = i->at.turn;
  return n;
}

/* The parallel dimensions that a store does not step along, or that lead two
 * iterations to one element, or that leave some element out. The steps must be
 * those of a row-major order of the dimensions in some order. */
static bool check_fill(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  int64_t next = 1, points = 1, count, extent[MAX_DIMS + 3], step[MAX_DIMS + 3];
  int dims = filling_dims(c, i, extent, step);
  if (i->in[1] >= 0)
    KFAIL("a store at an index must add");
  for (int d = 0; d < dims; d++)
    points *= extent[d];
  while (next < points) {
    int d = 0;
    while (d < dims && (extent[d] == 1 || step[d] != next))
      d++;
    if (d == dims)
      KFAIL("the store leaves elements of b%d out or writes some twice: no "
            "dimension steps by %lld",
            i->buffer, (long long)next);
    next *= extent[d];
  }
  count = type_count(&c->f->buffer[i->buffer].type);
  if (points != count)
    KFAIL("the store writes %lld elements of b%d, which has %lld",
          (long long)points, i->buffer, (long long)count);
  return true;
}

static bool check_store(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  const Buffer *b = &c->f->buffer[i->buffer];
  int64_t count, apart;
  c->v.instr = n;
  if (b->kind == BUF_INPUT || b->kind == BUF_SCALAR)
    KFAIL("b%d is an %s: it cannot be stored", i->buffer,
          b->kind == BUF_INPUT ? "input" : "outside value");
  if (c->depends[n] >> c->k->n_par)
    KFAIL("the store depends on a reduced dimension");
  if (c->store_of[i->buffer] >= 0)
    return true; /* looked at with the first */
  c->store_of[i->buffer] = n;
  if (!side_by_side(c->k, i, &count, &apart))
    KFAIL("b%d is stored twice in one kernel", i->buffer);
  if (i->accumulate && !dtype_is_float(i->type))
    KFAIL("a store that adds is of f32 or f64, not %s", dtype_name[i->type]);
  if (i->accumulate && !c->filled[i->buffer])
    KFAIL("nothing fills b%d before this adds to it", i->buffer);
  return i->accumulate || check_fill(c, n);
}

static bool check_load(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  const Buffer *b = &c->f->buffer[i->buffer];
  int s = c->store_of[i->buffer];
  int64_t count, apart;
  c->v.instr = n;
  if (b->kind == BUF_SCALAR && !strcmp(b->name, "seed"))
    KFAIL("the seed is not a number to load");
  if (!c->filled[i->buffer])
    KFAIL("nothing stores b%d before %%%d loads it", i->buffer, n);
  if (s < 0)
    return true;
  const Instr *store = &c->k->instr[s];
  side_by_side(c->k, store, &count, &apart);
  if (count > 1 || store->accumulate || store->in[1] >= 0 || i->in[1] >= 0 ||
      !affine_equal(&store->at, &i->at, MAX_DIMS))
    KFAIL("%%%d loads other elements of b%d than this kernel stores", n,
          i->buffer);
  if (s < n)
    KFAIL("%%%d loads what has been stored", n);
  return true;
}

/* Accesses among each other, and with the kernels before. */
bool kcheck_memory(KCheck *c) {
  const Kernel *k = c->k;
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_STORE && !check_store(c, n))
      return false;
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_LOAD && !check_load(c, n))
      return false;
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_STORE) {
      c->filled[k->instr[n].buffer] = true;
      c->store_of[k->instr[n].buffer] = -1;
    }
  return true;
}
