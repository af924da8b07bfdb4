/* The verifier of groups, called for each kernel once it is good by itself. The
 * kernels of a group run for one chunk of the batch after the other, the chunks of
 * different parts at one time. That is the same as one kernel after the other if no
 * chunk looks at what another one makes. It verifies that
 *
 *   groups   stand in one row of kernels
 *   local    buffers are touched in one group alone, and there alike for all
 *            chunks: each part has its own, each turn fills it again
 *   stores   of others are of temporaries, by places and not by index; different
 *            parts never reach one element, nor do different turns, unless the
 *            turns add to it, and then nothing else in the group touches it
 *   loads    of what the group stores are of the chunk's own slice, unless a
 *            predicate guards them */
#include "ir/kernel_verify.h"

/* The elements [0, slice) behind the chunk's start, if it has some of its own. */
static int64_t slice_of(const KCheck *c, const Instr *i) {
  const Group *g = c->k->group;
  if (g->turns > 1 && i->at.turn != 0)
    return i->at.turn;
  return g->parts > 1 ? i->at.part : type_count(&c->f->buffer[i->buffer].type);
}

static bool check_local(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  const Group **owner = &c->owner[i->buffer];
  c->v.instr = n;
  if (!c->k->group || (*owner && *owner != c->k->group))
    KFAIL("b%d is local to another group", i->buffer);
  if (i->at.part != 0 || i->at.turn != 0)
    KFAIL("b%d is local: nothing of it belongs to other chunks", i->buffer);
  *owner = c->k->group;
  return true;
}

/* A store of a buffer that all parts share. */
static bool check_shared_store(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  const Group *g = c->k->group;
  int64_t low, high, slice = slice_of(c, i);
  bool adds = i->accumulate && i->at.turn == 0;
  c->v.instr = n;
  if (c->f->buffer[i->buffer].kind != BUF_TEMP)
    KFAIL("a kernel of a group stores b%d, which is no temporary", i->buffer);
  if (i->in[1] >= 0)
    KFAIL("a kernel of a group stores b%d at an index", i->buffer);
  kcheck_range_in(c->k, &i->at, &low, &high);
  bool turns = g->turns == 1 || adds ||
               (i->at.turn > 0 && (g->parts == 1 ||
                                   i->at.turn <= i->at.part / g->turns));
  if (low < 0 || high >= slice || !turns)
    KFAIL("two chunks store one element of b%d", i->buffer);
  return true;
}

/* An access, in the kernel at hand, to what kernel `by` stores. */
static bool check_shared_access(KCheck *c, int n, const Instr *store) {
  const Instr *i = &c->k->instr[n];
  bool adds = store->accumulate && store->at.turn == 0;
  int64_t low, high;
  c->v.instr = n;
  if (i == store)
    return true;
  if (i->at.part != store->at.part || i->at.turn != store->at.turn ||
      i->in[1] >= 0 || (c->k->group->turns > 1 && adds))
    KFAIL("%%%d reaches what other chunks store in b%d", n, i->buffer);
  kcheck_range_in(c->k, &i->at, &low, &high);
  bool guarded = i->kop == K_LOAD && i->in[0] >= 0;
  if (!guarded && (low < 0 || high >= slice_of(c, store)))
    KFAIL("%%%d reaches what other chunks store in b%d", n, i->buffer);
  return true;
}

static bool check_accesses(KCheck *c, int first, int last,
                           const Instr *const *store) {
  for (int kernel = first; kernel <= last; kernel++) {
    const Kernel *k = c->k = c->f->kernel[kernel];
    c->v.kernel = kernel;
    for (int n = 0; n < k->n_instrs; n++)
      if (instr_is_access(&k->instr[n]) && store[k->instr[n].buffer] &&
          !check_shared_access(c, n, store[k->instr[n].buffer]))
        return false;
  }
  return true;
}

/* The whole group, which ends with kernel `last`. */
static bool check_together(KCheck *c, int last) {
  const KFunc *f = c->f;
  const Group *g = f->kernel[last]->group;
  const Instr **store = arena_alloc(
      c->arena, ((size_t)f->n_buffers + 1) * sizeof *store);
  int first = last;
  while (first > 0 && f->kernel[first - 1]->group == g) first--;
  for (int kernel = first; kernel <= last; kernel++)
    for (int n = 0; n < f->kernel[kernel]->n_instrs; n++) {
      const Instr *i = &f->kernel[kernel]->instr[n];
      if (i->kop == K_STORE && !f->buffer[i->buffer].local)
        store[i->buffer] = i;
    }
  if (!check_accesses(c, first, last, store))
    return false;
  for (int kernel = last + 1; kernel < f->n_kernels; kernel++)
    if (f->kernel[kernel]->group == g)
      KFAIL("kernel %d stands apart from the others of its group", kernel);
  return true;
}

bool kcheck_group(KCheck *c, int kernel) {
  const Kernel *k = c->k;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (!instr_is_access(i))
      continue;
    bool local = c->f->buffer[i->buffer].local;
    if (local ? !check_local(c, n)
              : k->group && i->kop == K_STORE && !check_shared_store(c, n))
      return false;
  }
  c->v.instr = -1;
  return !kfunc_ends_group(c->f, kernel) || check_together(c, kernel);
}
