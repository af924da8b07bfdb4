/* The pass `fuse`, the part that puts kernels in order, so that parameters and
 * states can be updated in place: who reads the old value comes before the
 * update, who reads the new value after it. Updates go as early as that allows:
 * the gradient is then still in the cache. Where no such order exists (an update
 * reads old values at other places than it writes, or two updates read each
 * other's old value), the new value is computed apart and copied at the end.
 *
 * On entry a variable's old value (a leaf) and its new value (a root) are two
 * buffers of one name; on return they are one. */
#include <string.h>

#include "passes/fuse.h"

/* The buffer of the old value of the variable whose new value `b` is, or -1. */
static int old_value(const KFunc *f, const bool *is_new, int b) {
  if (!is_new[b]) return -1;
  for (int i = 0; i < f->n_buffers; i++)
    if (!is_new[i] && f->buffer[i].kind == BUF_VAR &&
        strcmp(f->buffer[i].name, f->buffer[b].name) == 0)
      return i;
  return -1;
}

/* Whether every load of `old` in k is at the place that k stores of `new`. */
static bool same_place(const Kernel *k, int old, int new) {
  const Instr *store = NULL;
  for (int i = 0; i < k->n_instrs; i++)
    if (k->instr[i].kop == K_STORE && k->instr[i].buffer == new)
      store = &k->instr[i];
  for (int i = 0; i < k->n_instrs; i++) {
    const Instr *load = &k->instr[i];
    if (load->kop != K_LOAD || load->buffer != old) continue;
    if (load->in[1] >= 0 || !affine_equal(&load->at, &store->at, MAX_DIMS))
      return false;
  }
  return true;
}

/* Kernels that load or store a buffer, the last first. */
typedef struct User {
  const struct User *next;
  int kernel;
} User;

typedef struct Order {
  Arena *arena;
  KFunc *f;
  int n;
  bool *before; /* [i*n + j]: kernel i must run before kernel j */
  int *waits;   /* of each kernel: how many must still run before it */
  const User **loads, **stores; /* of each buffer */
  bool *is_new, *updates, *done;
} Order;

static void find_users(Order *o) {
  size_t n = (size_t)o->f->n_buffers + 1;
  o->loads = arena_alloc(o->arena, n * sizeof *o->loads);
  o->stores = arena_alloc(o->arena, n * sizeof *o->stores);
  for (int i = 0; i < o->n; i++) {
    const Kernel *k = o->f->kernel[i];
    for (int s = 0; s < k->n_instrs; s++) {
      const Instr *x = &k->instr[s];
      if (x->kop != K_LOAD && x->kop != K_STORE) continue;
      const User **list = x->kop == K_LOAD ? o->loads : o->stores;
      User *u = arena_alloc(o->arena, sizeof *u);
      *u = (User){.next = list[x->buffer], .kernel = i};
      list[x->buffer] = u;
    }
  }
}

static void add_edge(Order *o, int i, int j) {
  if (i == j || o->before[i * o->n + j]) return;
  o->before[i * o->n + j] = true;
  o->waits[j]++;
}

static void find_edges(Order *o) {
  KFunc *f = o->f;
  find_users(o);
  for (int j = 0; j < o->n; j++) {
    const Kernel *k = f->kernel[j];
    for (int s = 0; s < k->n_instrs; s++) {
      const Instr *store = &k->instr[s];
      if (store->kop != K_STORE) continue;
      int old = old_value(f, o->is_new, store->buffer);
      if (f->buffer[store->buffer].kind == BUF_VAR) o->updates[j] = true;
      for (const User *u = o->loads[store->buffer]; u != NULL; u = u->next)
        add_edge(o, j, u->kernel);
      for (const User *u = old < 0 ? NULL : o->loads[old]; u != NULL;
           u = u->next)
        add_edge(o, u->kernel, j);
      /* the zeros below an overlap-add */
      for (const User *u = o->stores[store->buffer]; u != NULL; u = u->next)
        if (u->kernel < j) add_edge(o, u->kernel, j);
    }
  }
}

static int next_kernel(const Order *o) {
  int first = -1;
  for (int j = 0; j < o->n; j++) {
    if (o->done[j] || o->waits[j] > 0) continue;
    if (o->updates[j]) return j;
    if (first < 0) first = j;
  }
  return first;
}

static void run(Order *o, int kernel) {
  o->done[kernel] = true;
  for (int j = 0; j < o->n; j++)
    if (o->before[kernel * o->n + j]) o->waits[j]--;
}

/* Computes the new value in buffer `b` apart, to be copied at the end. */
static void store_apart(Order *o, int b, Kernel **copies, int *n_copies) {
  Buffer var = o->f->buffer[b];
  o->f->buffer[b].kind = BUF_TEMP;
  o->f->buffer[b].name = "";
  o->is_new[b] = false;
  int to = kfunc_add_buffer(o->arena, o->f, var);
  o->is_new[to] = true;
  Kernel *k = kernel_new(o->arena);
  k->n_par = 1;
  k->extent[0] = type_count(&var.type);
  Instr load = {.kop = K_LOAD, .type = var.type.dtype, .in = {-1, -1, -1},
                .buffer = b, .at = {.coef = {1}}};
  Instr store = load;
  store.kop = K_STORE;
  store.buffer = to;
  store.in[0] = kernel_add(o->arena, k, &load);
  kernel_add(o->arena, k, &store);
  copies[(*n_copies)++] = k;
}

/* The buffers that hold new values of variables: those that a kernel stores. */
static void mark_new(Order *o) {
  for (int j = 0; j < o->n; j++) {
    const Kernel *k = o->f->kernel[j];
    for (int i = 0; i < k->n_instrs; i++)
      if (k->instr[i].kop == K_STORE &&
          o->f->buffer[k->instr[i].buffer].kind == BUF_VAR)
        o->is_new[k->instr[i].buffer] = true;
  }
}

static void separate_misplaced(Order *o, Kernel **copies, int *n_copies) {
  int n_buffers = o->f->n_buffers;
  bool *misplaced = arena_alloc(o->arena, (size_t)n_buffers + 1);
  for (int j = 0; j < o->n; j++) {
    const Kernel *k = o->f->kernel[j];
    for (int i = 0; i < k->n_instrs; i++) {
      if (k->instr[i].kop != K_STORE) continue;
      int b = k->instr[i].buffer, old = old_value(o->f, o->is_new, b);
      if (old >= 0 && !same_place(k, old, b)) misplaced[b] = true;
    }
  }
  for (int b = 0; b < n_buffers; b++)
    if (misplaced[b]) store_apart(o, b, copies, n_copies);
}

/* No kernel is ready: some update waits, through others, for itself. */
static void break_cycle(Order *o, Kernel **copies, int *n_copies) {
  for (int j = 0; j < o->n; j++) {
    if (o->done[j] || !o->updates[j]) continue;
    const Kernel *k = o->f->kernel[j];
    for (int s = 0; s < k->n_instrs; s++)
      if (k->instr[s].kop == K_STORE && o->is_new[k->instr[s].buffer]) {
        store_apart(o, k->instr[s].buffer, copies, n_copies);
        return;
      }
  }
  defect("fuse: kernels of %s wait for each other", o->f->name);
}

static void unify(Order *o) {
  KFunc *f = o->f;
  for (int j = 0; j < f->n_kernels; j++) {
    Kernel *k = f->kernel[j];
    for (int i = 0; i < k->n_instrs; i++) {
      if (k->instr[i].kop != K_LOAD && k->instr[i].kop != K_STORE) continue;
      int old = old_value(f, o->is_new, k->instr[i].buffer);
      if (old >= 0) k->instr[i].buffer = old;
    }
  }
}

static bool sort(Order *o, Kernel **sorted, Kernel **copies, int *n_copies) {
  size_t n = (size_t)o->n;
  o->before = arena_alloc(o->arena, n * n + 1);
  o->waits = arena_alloc(o->arena, (n + 1) * sizeof *o->waits);
  memset(o->done, 0, n);
  memset(o->updates, 0, n);
  find_edges(o);
  for (int i = 0; i < o->n; i++) {
    int next = next_kernel(o);
    if (next < 0) {
      break_cycle(o, copies, n_copies);
      return false;
    }
    run(o, next);
    sorted[i] = o->f->kernel[next];
  }
  return true;
}

void fuse_order(Arena *a, KFunc *f) {
  Order o = {.arena = a, .f = f, .n = f->n_kernels};
  size_t n = (size_t)o.n + 1, most = 2 * (size_t)f->n_buffers + 1;
  o.is_new = arena_alloc(a, most);
  o.updates = arena_alloc(a, n);
  o.done = arena_alloc(a, n);
  Kernel **sorted = arena_alloc(a, n * sizeof *sorted);
  Kernel **copies = arena_alloc(a, most * sizeof *copies);
  int n_copies = 0;
  mark_new(&o);
  separate_misplaced(&o, copies, &n_copies);
  while (!sort(&o, sorted, copies, &n_copies)) {}
  if (o.n > 0) memcpy(f->kernel, sorted, (size_t)o.n * sizeof *sorted);
  for (int i = 0; i < n_copies; i++) kfunc_add_kernel(a, f, copies[i]);
  unify(&o);
}
