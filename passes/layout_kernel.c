/* For the search of layouts: what a kernel becomes when it finds a buffer, or a
 * part of one, in another order, and what it then costs. */
#include <string.h>

#include "passes/layout.h"

double layout_cycles(const Layout *s, Kernel *k) {
  simplify_loops(k);
  return memo_choose(s->memo, k).cycles;
}

double layout_cost(Layout *s, int kernel) {
  if (s->cost[kernel] < 0)
    s->cost[kernel] =
        layout_cycles(s, kernel_copy(s->trial, s->f->kernel[kernel]));
  return s->cost[kernel];
}

bool layout_is_simple(const Layout *s, const Kernel *k, int buffer, int inner) {
  const Type *t = &s->f->buffer[buffer].type;
  Access x;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if ((i->kop != K_LOAD && i->kop != K_STORE) || i->buffer != buffer)
      continue;
    if (i->in[1] >= 0 || !access_split(t, k, i, &x) ||
        !access_can_move(&x, t, inner))
      return false;
  }
  return true;
}

Box layout_whole(const Type *t) {
  Box box = {0};
  memcpy(box.count, t->dim, sizeof t->dim);
  return box;
}

Box layout_box(const Layout *s, const Kernel *k, int buffer) {
  const Type *t = &s->f->buffer[buffer].type;
  int64_t end[MAX_RANK] = {0};
  Box box = layout_whole(t);
  memcpy(box.first, t->dim, sizeof t->dim);
  Access x;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (!instr_is_access(i) || i->buffer != buffer)
      continue;
    access_split(t, k, i, &x);
    for (int r = 0; r < t->rank; r++) {
      if (x.first[r] < box.first[r])
        box.first[r] = x.first[r];
      if (x.last[r] >= end[r])
        end[r] = x.last[r] + 1;
    }
  }
  for (int r = 0; r < t->rank; r++)
    box.count[r] = end[r] - box.first[r];
  return box;
}

bool layout_is_whole(const Type *t, const Box *box) {
  for (int r = 0; r < t->rank; r++)
    if (box->count[r] != t->dim[r])
      return false;
  return true;
}

Type layout_type(const Type *t, const Box *box) {
  Type out = *t;
  memcpy(out.dim, box->count, sizeof out.dim);
  return out;
}

Kernel *layout_moved(Arena *a, const Layout *s, const Kernel *k, int buffer,
                     const Box *box, int inner, int as) {
  const Type *t = &s->f->buffer[buffer].type;
  Type part = layout_type(t, box);
  Kernel *out = kernel_copy(a, k);
  Access x;
  for (int n = 0; n < out->n_instrs; n++) {
    Instr *i = &out->instr[n];
    if ((i->kop != K_LOAD && i->kop != K_STORE) || i->buffer != buffer)
      continue;
    access_split(t, k, i, &x);
    for (int r = 0; r < t->rank; r++)
      x.axis[r].base -= box->first[r];
    i->at = access_join(&part, &x, inner);
    i->buffer = as;
  }
  return out;
}

bool layout_sums_products(const Kernel *k) {
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_REDUCE && k->instr[n].op == OP_SUM &&
        k->instr[k->instr[n].in[0]].op == OP_MUL)
      return true;
  return false;
}

bool layout_is_transform(const Kernel *k) {
  const Instr *last = NULL;
  for (const Instr *i = k->instr; i < k->instr + k->n_instrs; i++) {
    if (i->kop != K_STORE)
      continue;
    if (last != NULL && last->buffer == i->buffer)
      return true;
    last = i;
  }
  return false;
}

bool layout_stores(const Kernel *k, int buffer) {
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_STORE && k->instr[n].buffer == buffer)
      return true;
  return false;
}
