/* Layout choice: in which order the axes of a temporary lie in memory. A kernel
 * wants contiguous lanes in the operand that it takes by vectors and in what it
 * stores; the other operand may lie anyhow. So, for each buffer that a
 * contraction touches, every axis is tried as the innermost one, and kept there if
 * the cost model says that all kernels that touch the buffer become cheaper
 * together. What may not change (parameters, inputs, buffers that someone reads
 * under another shape) can instead be copied, in a better order, for the kernels
 * that gain by it: the part of it that they read. The search climbs until nothing gets better, from a few starting points.
 *
 * A buffer's type is its shape in memory: after this pass the axes of its type
 * stand in the order chosen. */
#include <string.h>

#include "passes/schedule.h"

typedef struct Ids {
  int n, capacity;
  int *id;
} Ids;

/* Kernels keep their numbers while copies are added behind them; where a copy
 * runs is settled at the end. Once nothing has changed that a trial looks at, it
 * is not made again. */
typedef struct Search {
  Arena *arena;
  Arena *trial; /* for kernels that are only looked at */
  KFunc *f;
  Memo *memo;
  int n_given;          /* kernels that are no copies */
  double *cost;         /* least cycles of each kernel; < 0: not known */
  Ids *users;           /* of each buffer: the kernels that touch it */
  Ids *copies;          /* that run just before a kernel */
  int *before;          /* of each copy: that kernel */
  Kernel **rest;        /* that runs just behind one, see take_apart; or NULL */
  int clock, *changed;  /* of each kernel: when */
  int *tried, *refused; /* of each buffer and kernel: when it was tried last */
} Search;

enum {
  SMALL = 64,          /* elements: not worth a thought */
  SMALL_KERNEL = 6000, /* cycles */
  ROUNDS = 2
};
static const double worth = 0.97; /* a gain below this is within the model's error */
static const double copy_cycles = 0.5; /* for each byte, with the lines that a contraction
                                          then finds no more in the cache */

static void add_id(Arena *a, Ids *ids, int id) {
  ids->id = arena_grow(a, ids->id, ids->n, &ids->capacity, sizeof *ids->id);
  ids->id[ids->n++] = id;
}

/* Simplifies the loops of `k`. */
static double kernel_cycles(const Search *s, Kernel *k) {
  simplify_loops(k);
  return memo_choose(s->memo, k).cycles;
}

static double cost_now(Search *s, int kernel) {
  if (s->cost[kernel] < 0)
    s->cost[kernel] =
        kernel_cycles(s, kernel_copy(s->trial, s->f->kernel[kernel]));
  return s->cost[kernel];
}

/* Whether kernel k could find axis `inner` of the buffer innermost. */
static bool simple_accesses(const Search *s, const Kernel *k, int buffer,
                            int inner) {
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

/* The part of a buffer that a kernel may touch: along each axis. */
typedef struct Box {
  int64_t first[MAX_RANK], count[MAX_RANK];
} Box;

static Box whole_box(const Type *t) {
  Box box = {0};
  memcpy(box.count, t->dim, sizeof t->dim);
  return box;
}

/* The least box with all that k, whose accesses are simple, finds in the buffer. */
static Box box_of(const Search *s, const Kernel *k, int buffer) {
  const Type *t = &s->f->buffer[buffer].type;
  int64_t end[MAX_RANK] = {0};
  Box box = whole_box(t);
  memcpy(box.first, t->dim, sizeof t->dim);
  Access x;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (!instr_is_access(i) || i->buffer != buffer) continue;
    access_split(t, k, i, &x);
    for (int r = 0; r < t->rank; r++) {
      if (x.first[r] < box.first[r]) box.first[r] = x.first[r];
      if (x.last[r] >= end[r]) end[r] = x.last[r] + 1;
    }
  }
  for (int r = 0; r < t->rank; r++) box.count[r] = end[r] - box.first[r];
  return box;
}

static bool is_whole(const Type *t, const Box *box) {
  for (int r = 0; r < t->rank; r++)
    if (box->count[r] != t->dim[r]) return false;
  return true;
}

static Type box_type(const Type *t, const Box *box) {
  Type out = *t;
  memcpy(out.dim, box->count, sizeof out.dim);
  return out;
}

/* A copy of kernel k, in the arena, that finds this box of `buffer`, with axis
 * `inner` innermost, as buffer `as`. */
static Kernel *moved_kernel(Arena *a, const Search *s, const Kernel *k,
                            int buffer, const Box *box, int inner, int as) {
  const Type *t = &s->f->buffer[buffer].type;
  Type part = box_type(t, box);
  Kernel *out = kernel_copy(a, k);
  Access x;
  for (int n = 0; n < out->n_instrs; n++) {
    Instr *i = &out->instr[n];
    if ((i->kop != K_LOAD && i->kop != K_STORE) || i->buffer != buffer)
      continue;
    access_split(t, k, i, &x);
    for (int r = 0; r < t->rank; r++) x.axis[r].base -= box->first[r];
    i->at = access_join(&part, &x, inner);
    i->buffer = as;
  }
  return out;
}

static bool is_contraction(const Kernel *k) {
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_REDUCE && k->instr[n].op == OP_SUM &&
        k->instr[k->instr[n].in[0]].op == OP_MUL)
      return true;
  return false;
}

/* Whether it stores several parts of one buffer: a transform, whose results a
 * contraction wants in its order. */
static bool is_transform(const Kernel *k) {
  const Instr *last = NULL;
  for (const Instr *i = k->instr; i < k->instr + k->n_instrs; i++) {
    if (i->kop != K_STORE) continue;
    if (last != NULL && last->buffer == i->buffer) return true;
    last = i;
  }
  return false;
}

static bool stores_to(const Kernel *k, int buffer) {
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_STORE && k->instr[n].buffer == buffer) return true;
  return false;
}

/* Whether kernels of one chunk touch it beside kernels of the whole batch, which
 * would not find it in another order. */
static bool is_between(const Search *s, int buffer) {
  const Ids *users = &s->users[buffer];
  bool local = s->f->buffer[buffer].local;
  for (int i = 0; i < users->n; i++) {
    const Kernel *k = s->f->kernel[users->id[i]];
    if (k->group ? !local && stores_to(k, buffer) : local) return true;
  }
  return false;
}

/* Whether its axes may stand in another order. */
static bool can_move(const Search *s, int buffer) {
  const Buffer *b = &s->f->buffer[buffer];
  if (b->kind != BUF_TEMP || type_count(&b->type) < SMALL ||
      is_between(s, buffer))
    return false;
  for (int i = 0; i < s->f->n_results; i++)
    if (s->f->result[i].buffer == buffer) return false;
  return true;
}

/* Random numbers are drawn along one dimension, that no move may cut. */
static bool draws_in_order(const Search *s, const Kernel *k, int buffer,
                           int axis) {
  int draw = 0;
  while (draw < k->n_instrs && k->instr[draw].kop != K_RAND) draw++;
  if (draw == k->n_instrs) return true;
  Box all = whole_box(&s->f->buffer[buffer].type);
  Kernel *moved = moved_kernel(s->trial, s, k, buffer, &all, axis, buffer);
  simplify_loops(moved);
  int steps = 0;
  for (int d = 0; d < kernel_dims(moved); d++)
    steps += moved->instr[draw].at.coef[d] != 0;
  return steps <= 1;
}

static bool can_move_axis(const Search *s, int buffer, int axis) {
  const Ids *users = &s->users[buffer];
  if (s->f->buffer[buffer].type.dim[axis] == 1) return false;
  for (int i = 0; i < users->n; i++)
    if (!simple_accesses(s, s->f->kernel[users->id[i]], buffer, axis) ||
        !draws_in_order(s, s->f->kernel[users->id[i]], buffer, axis))
      return false;
  return true;
}

static bool may_move(const Search *s, int buffer) {
  const Ids *users = &s->users[buffer];
  bool contracted = false, changed = false;
  for (int i = 0; i < users->n; i++) {
    const Kernel *k = s->f->kernel[users->id[i]];
    contracted |= is_contraction(k) || is_transform(k);
    changed |= s->changed[users->id[i]] > s->tried[buffer];
  }
  return contracted && changed && can_move(s, buffer);
}

/* Cycles of all that touch the buffer if its axis were innermost; at least
 * `enough` if they are not fewer. */
static double cycles_moved(const Search *s, int buffer, int axis,
                           double enough) {
  const Ids *users = &s->users[buffer];
  Box all = whole_box(&s->f->buffer[buffer].type);
  double sum = 0;
  for (int i = 0; i < users->n && sum < enough; i++)
    sum += kernel_cycles(s, moved_kernel(s->trial, s,
                                         s->f->kernel[users->id[i]], buffer,
                                         &all, axis, buffer));
  return sum;
}

static void move_buffer(Search *s, int buffer, int axis) {
  KFunc *f = s->f;
  const Ids *users = &s->users[buffer];
  Box all = whole_box(&f->buffer[buffer].type);
  s->clock++;
  for (int i = 0; i < users->n; i++) {
    int k = users->id[i];
    f->kernel[k] =
        moved_kernel(s->arena, s, f->kernel[k], buffer, &all, axis, buffer);
    s->cost[k] = -1;
    s->changed[k] = s->clock;
  }
  f->buffer[buffer].type = access_type(&f->buffer[buffer].type, axis);
}

/* Tries every axis of a temporary, and takes the best if it is better. */
static void improve_buffer(Search *s, int buffer) {
  KFunc *f = s->f;
  if (!may_move(s, buffer)) return;
  s->tried[buffer] = ++s->clock;
  const Ids *users = &s->users[buffer];
  Type t = f->buffer[buffer].type;
  double now = 0, best = 0;
  int best_axis = -1;
  for (int i = 0; i < users->n; i++) now += cost_now(s, users->id[i]);
  best = now * worth;
  for (int axis = 0; axis < t.rank - 1; axis++) {
    if (!can_move_axis(s, buffer, axis)) continue;
    double then = cycles_moved(s, buffer, axis, best);
    if (then >= best) continue;
    best = then;
    best_axis = axis;
  }
  if (best_axis >= 0) move_buffer(s, buffer, best_axis);
}

/* The kernel that copies a box of `from` to `to`, which has axis `inner` innermost. */
static Kernel *copy_kernel(const Search *s, Arena *a, int from, const Box *box,
                           int to, int inner) {
  const Type *t = &s->f->buffer[from].type;
  Type part = box_type(t, box);
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
  Instr load = {.kop = K_LOAD, .type = t->dtype, .in = {-1, -1, -1},
                .buffer = from, .at = at};
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
    if (x->extent[d] != y->extent[d]) return false;
  for (int n = 0; n < 2; n++)
    if (!affine_equal(&x->instr[n].at, &y->instr[n].at, MAX_DIMS)) return false;
  return true;
}

/* A copy that is made already, from which `kernel` could read as well: between the
 * first and the last reader nobody changes what was copied. -1: there is none. */
static int made_copy(const Search *s, int kernel, int from, const Box *box,
                     int inner) {
  const Kernel *wanted = NULL;
  for (int i = s->n_given; i < s->f->n_kernels; i++) {
    const Kernel *copy = s->f->kernel[i];
    if (copy->instr[0].buffer != from) continue;
    if (wanted == NULL) wanted = copy_kernel(s, s->trial, from, box, from, inner);
    bool fits = same_copy(copy, wanted);
    int first = s->before[i] < kernel ? s->before[i] : kernel;
    int last = s->before[i] < kernel ? kernel : s->before[i];
    for (int k = first; k < last && fits; k++)
      fits = !stores_to(s->f->kernel[k], from);
    if (fits) return i;
  }
  return -1;
}

static void remove_id(Ids *ids, int id) {
  int kept = 0;
  for (int i = 0; i < ids->n; i++)
    if (ids->id[i] != id) ids->id[kept++] = ids->id[i];
  ids->n = kept;
}

/* `kernel` reads what is copied for another one. */
static void share_copy(Search *s, int kernel, int copy, const Box *box, int inner) {
  int from = s->f->kernel[copy]->instr[0].buffer;
  int to = s->f->kernel[copy]->instr[1].buffer;
  s->f->kernel[kernel] = moved_kernel(s->arena, s, s->f->kernel[kernel], from,
                                      box, inner, to);
  remove_id(&s->users[from], kernel);
  add_id(s->arena, &s->users[to], kernel);
  if (kernel < s->before[copy]) {
    remove_id(&s->copies[s->before[copy]], copy);
    add_id(s->arena, &s->copies[kernel], copy);
    s->before[copy] = kernel;
  }
  s->cost[kernel] = -1;
  s->changed[kernel] = ++s->clock;
}

static void insert_copy(Search *s, int kernel, int from, const Box *box,
                        int inner) {
  KFunc *f = s->f;
  Type part = box_type(&f->buffer[from].type, box);
  const Kernel *k = f->kernel[kernel];
  Buffer b = {.kind = BUF_TEMP, .name = "", .offset = -1,
              .local = f->buffer[from].local,
              .type = access_type(&part, inner)};
  int to = kfunc_add_buffer(s->arena, f, b), id = f->n_kernels;
  Kernel *copy = copy_kernel(s, s->arena, from, box, to, inner);
  copy->group = b.local ? k->group : NULL;
  copy->n_locs = k->n_locs;
  copy->locs = k->locs;
  kfunc_add_kernel(s->arena, f, copy);
  f->kernel[kernel] = moved_kernel(s->arena, s, k, from, box, inner, to);
  Ids *users = &s->users[from];
  for (int i = 0; i < users->n; i++)
    if (users->id[i] == kernel) users->id[i] = id;
  add_id(s->arena, &s->users[to], id);
  add_id(s->arena, &s->users[to], kernel);
  add_id(s->arena, &s->copies[kernel], id);
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
static double copy_cost(const Search *s, const Kernel *k, int buffer,
                        const Box *box, int inner) {
  Type t = box_type(&s->f->buffer[buffer].type, box);
  double least = copy_cycles * (double)(type_count(&t) * dtype_size[t.dtype]);
  double cycles =
      kernel_cycles(s, copy_kernel(s, s->trial, buffer, box, buffer, inner));
  return is_contraction(k) && cycles < least ? least : cycles;
}

/* Tries copies of one operand. */
static void try_copies(const Search *s, int kernel, int buffer, BestCopy *best) {
  const Kernel *k = s->f->kernel[kernel];
  const Type *t = &s->f->buffer[buffer].type;
  bool whole = s->f->buffer[buffer].local && !k->group; /* though it is a chunk's */
  bool may_move_itself = !is_contraction(k) && can_move(s, buffer);
  if (type_count(t) < SMALL || stores_to(k, buffer) || whole || may_move_itself)
    return;
  for (int axis = 0; axis < t->rank; axis++) {
    if (!simple_accesses(s, k, buffer, axis)) continue;
    Box box = box_of(s, k, buffer);
    if (axis == t->rank - 1 ? is_whole(t, &box) : box.count[axis] == 1) continue;
    int made = made_copy(s, kernel, buffer, &box, axis);
    double then = made >= 0 ? 0 : copy_cost(s, k, buffer, &box, axis);
    if (then < best->cycles)
      then += kernel_cycles(
          s, moved_kernel(s->trial, s, k, buffer, &box, axis, buffer));
    if (then < best->cycles) *best = (BestCopy){then, buffer, axis, made, box};
  }
}

/* Tries a copy of an operand of a contraction, or of what is transformed for one. */
static void improve_kernel(Search *s, int kernel) {
  const Kernel *k = s->f->kernel[kernel];
  if (s->changed[kernel] <= s->refused[kernel] ||
      (!is_contraction(k) && !is_transform(k)) ||
      cost_now(s, kernel) < (double)SMALL_KERNEL)
    return;
  s->refused[kernel] = ++s->clock;
  BestCopy best = {.cycles = cost_now(s, kernel) * worth, .buffer = -1};
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_LOAD)
      try_copies(s, kernel, k->instr[n].buffer, &best);
  if (best.buffer < 0) return;
  if (best.made >= 0) share_copy(s, kernel, best.made, &best.box, best.inner);
  else insert_copy(s, kernel, best.buffer, &best.box, best.inner);
}

/* --- the whole ------------------------------------------------------------ */

static void find_users(Search *s) {
  for (int i = 0; i < s->f->n_kernels; i++) {
    const Kernel *k = s->f->kernel[i];
    for (int n = 0; n < k->n_instrs; n++) {
      const Instr *x = &k->instr[n];
      if (x->kop != K_LOAD && x->kop != K_STORE) continue;
      Ids *users = &s->users[x->buffer];
      if (users->n == 0 || users->id[users->n - 1] != i)
        add_id(s->arena, users, i);
    }
  }
}

static Search search_new(Arena *a, KFunc *f, Memo *memo) {
  Search s = {.arena = a, .trial = arena_new(), .f = f, .memo = memo,
              .n_given = f->n_kernels, .clock = 1};
  size_t copies = (size_t)f->n_kernels * (ROUNDS + 1); /* at most */
  size_t kernels = (size_t)f->n_kernels + copies + 1;
  size_t buffers = (size_t)f->n_buffers + copies + 1;
  s.cost = arena_alloc(a, kernels * sizeof *s.cost);
  s.changed = arena_alloc(a, kernels * sizeof *s.changed);
  s.refused = arena_alloc(a, kernels * sizeof *s.refused);
  s.copies = arena_alloc(a, kernels * sizeof *s.copies);
  s.before = arena_alloc(a, kernels * sizeof *s.before);
  s.rest = arena_alloc(a, kernels * sizeof *s.rest);
  s.users = arena_alloc(a, buffers * sizeof *s.users);
  s.tried = arena_alloc(a, buffers * sizeof *s.tried);
  for (int i = 0; i < f->n_kernels; i++) {
    s.cost[i] = -1;
    s.changed[i] = 1;
  }
  find_users(&s);
  return s;
}

/* A trial's kernels live until the next one. */
static void fresh_trial(Search *s) {
  arena_reset(s->trial);
}

/* Makes sums in blocks, and draws in order, where that is better; `rest` of a kernel
 * adds the sums up, or brings what was drawn into the order that is wanted. */
static void take_apart(Search *s) {
  KFunc *f = s->f;
  for (int i = 0; i < s->n_given; i++) {
    fresh_trial(s);
    partial_sums(s->arena, s->trial, f, s->memo, &f->kernel[i], &s->rest[i]);
    draw_apart(s->arena, s->trial, f, s->memo, &f->kernel[i], &s->rest[i]);
  }
}

/* Puts each copy before the kernel that reads it, and sums of sums behind theirs. */
static void order_kernels(Search *s) {
  KFunc *f = s->f;
  size_t most = (size_t)f->n_kernels + (size_t)s->n_given + 1;
  Kernel **all = arena_alloc(s->arena, most * sizeof *all);
  int n = 0;
  for (int i = 0; i < s->n_given; i++) {
    for (int c = 0; c < s->copies[i].n; c++)
      all[n++] = f->kernel[s->copies[i].id[c]];
    all[n++] = f->kernel[i];
    if (s->rest[i] != NULL) all[n++] = s->rest[i];
  }
  f->kernel = all;
  f->n_kernels = n;
  f->cap_kernels = (int)most;
}

static void climb_buffers(Search *s) {
  for (int b = 0; b < s->f->n_buffers; b++) {
    fresh_trial(s);
    improve_buffer(s, b);
  }
}

static void climb_kernels(Search *s) {
  for (int i = 0; i < s->n_given; i++) {
    fresh_trial(s);
    improve_kernel(s, i);
  }
}

/* Cycles of the whole function. */
static double total(Search *s) {
  double sum = 0;
  fresh_trial(s);
  for (int i = 0; i < s->f->n_kernels; i++) sum += cost_now(s, i);
  return sum;
}

/* Moves the axis innermost wherever that can be done. */
static void move_all(Search *s, int axis) {
  for (int b = 0; b < s->f->n_buffers; b++) {
    fresh_trial(s);
    if (axis < s->f->buffer[b].type.rank - 1 && can_move(s, b) &&
        can_move_axis(s, b, axis))
      move_buffer(s, b, axis);
  }
}

/* The search climbs to the next summit, which need not be the highest: to move one
 * axis of many buffers may pay where to move that of one does not. So it starts
 * from several places. */
static const int starts[] = {-1, 1, 0}; /* axes; -1: as it is */

static void climb_from(Search *s, int start) {
  if (start >= 0) {
    move_all(s, start);
    climb_kernels(s);
  }
  for (int round = 0; round < ROUNDS; round++) {
    climb_buffers(s);
    climb_kernels(s);
  }
}

void layout_choose(Arena *a, KFunc *f, Memo *memo) {
  enum { STARTS = sizeof starts / sizeof starts[0] };
  KFunc trial[STARTS];
  Search s[STARTS];
  double least = 0;
  int best = 0;
  for (int i = 0; i < STARTS; i++) {
    trial[i] = function_copy(a, f);
    s[i] = search_new(a, &trial[i], memo);
    climb_from(&s[i], starts[i]);
    double cycles = total(&s[i]);
    if (i == 0 || cycles < least) {
      least = cycles;
      best = i;
    }
  }
  take_apart(&s[best]);
  order_kernels(&s[best]);
  for (int i = 0; i < STARTS; i++) arena_free(s[i].trial);
  *f = trial[best];
}
