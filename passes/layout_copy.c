/* Copies of operands, for the search of layouts: what may not change its order,
 * since it is a parameter or an input, or others read it under another shape,
 * is copied in a better one, for the kernels that gain by it. A copy is of the
 * part that they read. */
#include "passes/layout.h"

/* For each byte, with the lines that a contraction then finds no more in the
 * cache. */
static const double copy_cycles = 0.5;

/* The kernel that copies a box of `from` to `to`, which has axis `inner`
 * innermost. */
static Kernel *copy_kernel(const Layout *s, Arena *a, int from, const Box *box,
                           int to, int inner) {
  const Type *t = &s->f->buffer[from].type;
  Type part = layout_type(t, box);
  Kernel *k = kernel_new(a);
  Access x = {0};
  Affine at = {0};
  int64_t stride = 1;
  k->n_par = t->rank;
  for (int i = t->rank - 1; i >= 0; i--) {
    k->extent[i] = box->count[i];
    x.axis[i].coef[i] = 1;
    at.coef[i] = stride;
    at.base += box->first[i] * stride;
    stride *= t->dim[i];
  }
  Instr load = {.kop = K_LOAD,
                .type = t->dtype,
                .in = {-1, -1, -1},
                .buffer = from,
                .at = at};
  Instr store = load;
  store.kop = K_STORE;
  store.buffer = to;
  store.at = access_join(&part, &x, inner);
  store.in[0] = kernel_add(a, k, &load);
  kernel_add(a, k, &store);
  return k;
}

static bool same_copy(const Kernel *x, const Kernel *y) {
  for (int d = 0; d < MAX_DIMS; d++)
    if (x->extent[d] != y->extent[d])
      return false;
  for (int n = 0; n < 2; n++)
    if (!affine_equal(&x->instr[n].at, &y->instr[n].at, MAX_DIMS))
      return false;
  return true;
}

/* A copy that is made already, from which `kernel` could read as well: between
 * the first and the last reader nobody changes what was copied. -1: there is
 * none. */
static int made_copy(const Layout *s, int kernel, int from, const Box *box,
                     int inner) {
  const Kernel *wanted = NULL;
  for (int i = s->n_given; i < s->f->n_kernels; i++) {
    const Kernel *copy = s->f->kernel[i];
    if (copy->instr[0].buffer != from)
      continue;
    if (wanted == NULL)
      wanted = copy_kernel(s, s->trial, from, box, from, inner);
    bool fits = same_copy(copy, wanted);
    int first = s->before[i] < kernel ? s->before[i] : kernel;
    int last = s->before[i] < kernel ? kernel : s->before[i];
    for (int k = first; k < last && fits; k++)
      fits = !layout_stores(s->f->kernel[k], from);
    if (fits)
      return i;
  }
  return -1;
}

static void remove_id(Ids *ids, int id) {
  int kept = 0;
  for (int i = 0; i < ids->n; i++)
    if (ids->id[i] != id)
      ids->id[kept++] = ids->id[i];
  ids->n = kept;
}

/* `kernel` reads what is copied for another one. */
static void share_copy(Layout *s, int kernel, int copy, const Box *box,
                       int inner) {
  int from = s->f->kernel[copy]->instr[0].buffer;
  int to = s->f->kernel[copy]->instr[1].buffer;
  s->f->kernel[kernel] =
      layout_moved(s->arena, s, s->f->kernel[kernel], from, box, inner, to);
  remove_id(&s->users[from], kernel);
  layout_add_id(s->arena, &s->users[to], kernel);
  if (kernel < s->before[copy]) {
    remove_id(&s->copies[s->before[copy]], copy);
    layout_add_id(s->arena, &s->copies[kernel], copy);
    s->before[copy] = kernel;
  }
  s->cost[kernel] = -1;
  s->changed[kernel] = ++s->clock;
}

static void insert_copy(Layout *s, int kernel, int from, const Box *box,
                        int inner) {
  KFunc *f = s->f;
  Type part = layout_type(&f->buffer[from].type, box);
  const Kernel *k = f->kernel[kernel];
  Buffer b = {.kind = BUF_TEMP,
              .name = "",
              .offset = -1,
              .local = f->buffer[from].local,
              .type = access_type(&part, inner)};
  int to = kfunc_add_buffer(s->arena, f, b), id = f->n_kernels;
  Kernel *copy = copy_kernel(s, s->arena, from, box, to, inner);
  copy->group = b.local ? k->group : NULL;
  copy->n_locs = k->n_locs;
  copy->locs = k->locs;
  kfunc_add_kernel(s->arena, f, copy);
  f->kernel[kernel] = layout_moved(s->arena, s, k, from, box, inner, to);
  Ids *users = &s->users[from];
  for (int i = 0; i < users->n; i++)
    if (users->id[i] == kernel)
      users->id[i] = id;
  layout_add_id(s->arena, &s->users[to], id);
  layout_add_id(s->arena, &s->users[to], kernel);
  layout_add_id(s->arena, &s->copies[kernel], id);
  s->before[id] = kernel;
  s->cost[kernel] = s->cost[id] = -1;
  s->changed[kernel] = s->changed[id] = ++s->clock;
}

/* The copy that helps a kernel most. */
typedef struct BestCopy {
  double cycles; /* the kernel's and, where it must still be made, the copy's */
  int buffer, inner, made; /* made: a copy that is there, or -1 */
  Box box;
} BestCopy;

/* What a copy costs that is made for kernel k. */
static double copy_cost(const Layout *s, const Kernel *k, int buffer,
                        const Box *box, int inner) {
  Type t = layout_type(&s->f->buffer[buffer].type, box);
  double least = copy_cycles * (double)(type_count(&t) * dtype_size[t.dtype]);
  double cycles =
      layout_cycles(s, copy_kernel(s, s->trial, buffer, box, buffer, inner));
  return layout_sums_products(k) && cycles < least ? least : cycles;
}

/* Tries copies of one operand. */
static void try_copies(const Layout *s, int kernel, int buffer,
                       BestCopy *best) {
  const Kernel *k = s->f->kernel[kernel];
  const Type *t = &s->f->buffer[buffer].type;
  bool whole =
      s->f->buffer[buffer].local && !k->group; /* though it is a chunk's */
  bool may_move_itself = !layout_sums_products(k) && layout_can_move(s, buffer);
  if (type_count(t) < SMALL || layout_stores(k, buffer) || whole ||
      may_move_itself)
    return;
  for (int axis = 0; axis < t->rank; axis++) {
    if (!layout_is_simple(s, k, buffer, axis))
      continue;
    Box box = layout_box(s, k, buffer);
    if (axis == t->rank - 1 ? layout_is_whole(t, &box) : box.count[axis] == 1)
      continue;
    int made = made_copy(s, kernel, buffer, &box, axis);
    double then = made >= 0 ? 0 : copy_cost(s, k, buffer, &box, axis);
    if (then < best->cycles)
      then += layout_cycles(
          s, layout_moved(s->trial, s, k, buffer, &box, axis, buffer));
    if (then < best->cycles)
      *best = (BestCopy){then, buffer, axis, made, box};
  }
}

void layout_copy_operand(Layout *s, int kernel) {
  const Kernel *k = s->f->kernel[kernel];
  if (s->changed[kernel] <= s->refused[kernel] ||
      (!layout_sums_products(k) && !layout_is_transform(k)) ||
      layout_cost(s, kernel) < (double)SMALL_KERNEL)
    return;
  s->refused[kernel] = ++s->clock;
  BestCopy best = {.cycles = layout_cost(s, kernel) * worth, .buffer = -1};
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_LOAD)
      try_copies(s, kernel, k->instr[n].buffer, &best);
  if (best.buffer < 0)
    return;
  if (best.made >= 0)
    share_copy(s, kernel, best.made, &best.box, best.inner);
  else
    insert_copy(s, kernel, best.buffer, &best.box, best.inner);
}
