/* Layout choice: in which order the axes of a temporary lie in memory. A kernel
 * wants contiguous lanes in the operand that it takes by vectors and in what it
 * stores; the other operand may lie anyhow. So, for each buffer that a
 * contraction touches, every axis is tried as the innermost one, and kept there if
 * the cost model says that all kernels that touch the buffer become cheaper
 * together. What may not change (parameters, inputs, buffers that someone reads
 * under another shape) can instead be copied, in a better order, for the kernels
 * that gain by it (layout_copy.c). The search climbs until nothing gets better, from a
 * few starting points.
 *
 * A buffer's type is its shape in memory: after this pass the axes of its type
 * stand in the order chosen. */
#include <string.h>

#include "passes/layout.h"

enum { ROUNDS = 2 };

void layout_add_id(Arena *a, Ids *ids, int id) {
  ids->id = arena_grow(a, ids->id, ids->n, &ids->capacity, sizeof *ids->id);
  ids->id[ids->n++] = id;
}

/* Whether kernels of one chunk touch it beside kernels of the whole batch, which
 * would not find it in another order. */
static bool is_between(const Layout *s, int buffer) {
  const Ids *users = &s->users[buffer];
  bool local = s->f->buffer[buffer].local;
  for (int i = 0; i < users->n; i++) {
    const Kernel *k = s->f->kernel[users->id[i]];
    if (k->group ? !local && layout_stores(k, buffer) : local) return true;
  }
  return false;
}

bool layout_can_move(const Layout *s, int buffer) {
  const Buffer *b = &s->f->buffer[buffer];
  if (b->kind != BUF_TEMP || type_count(&b->type) < SMALL ||
      is_between(s, buffer))
    return false;
  for (int i = 0; i < s->f->n_results; i++)
    if (s->f->result[i].buffer == buffer) return false;
  return true;
}

/* Random numbers are drawn along one dimension, that no move may cut. */
static bool draws_in_order(const Layout *s, const Kernel *k, int buffer,
                           int axis) {
  int draw = 0;
  while (draw < k->n_instrs && k->instr[draw].kop != K_RAND) draw++;
  if (draw == k->n_instrs) return true;
  Box all = layout_whole(&s->f->buffer[buffer].type);
  Kernel *moved = layout_moved(s->trial, s, k, buffer, &all, axis, buffer);
  simplify_loops(moved);
  int steps = 0;
  for (int d = 0; d < kernel_dims(moved); d++)
    steps += moved->instr[draw].at.coef[d] != 0;
  return steps <= 1;
}

static bool can_move_axis(const Layout *s, int buffer, int axis) {
  const Ids *users = &s->users[buffer];
  if (s->f->buffer[buffer].type.dim[axis] == 1) return false;
  for (int i = 0; i < users->n; i++)
    if (!layout_is_simple(s, s->f->kernel[users->id[i]], buffer, axis) ||
        !draws_in_order(s, s->f->kernel[users->id[i]], buffer, axis))
      return false;
  return true;
}

static bool may_move(const Layout *s, int buffer) {
  const Ids *users = &s->users[buffer];
  bool contracted = false, changed = false;
  for (int i = 0; i < users->n; i++) {
    const Kernel *k = s->f->kernel[users->id[i]];
    contracted |= layout_sums_products(k) || layout_is_transform(k);
    changed |= s->changed[users->id[i]] > s->tried[buffer];
  }
  return contracted && changed && layout_can_move(s, buffer);
}

/* Cycles of all that touch the buffer if its axis were innermost; at least
 * `enough` if they are not fewer. */
static double cycles_moved(const Layout *s, int buffer, int axis,
                           double enough) {
  const Ids *users = &s->users[buffer];
  Box all = layout_whole(&s->f->buffer[buffer].type);
  double sum = 0;
  for (int i = 0; i < users->n && sum < enough; i++)
    sum += layout_cycles(s, layout_moved(s->trial, s,
                                         s->f->kernel[users->id[i]], buffer,
                                         &all, axis, buffer));
  return sum;
}

static void move_buffer(Layout *s, int buffer, int axis) {
  KFunc *f = s->f;
  const Ids *users = &s->users[buffer];
  Box all = layout_whole(&f->buffer[buffer].type);
  s->clock++;
  for (int i = 0; i < users->n; i++) {
    int k = users->id[i];
    f->kernel[k] =
        layout_moved(s->arena, s, f->kernel[k], buffer, &all, axis, buffer);
    s->cost[k] = -1;
    s->changed[k] = s->clock;
  }
  f->buffer[buffer].type = access_type(&f->buffer[buffer].type, axis);
}

/* Tries every axis of a temporary, and takes the best if it is better. */
static void improve_buffer(Layout *s, int buffer) {
  KFunc *f = s->f;
  if (!may_move(s, buffer)) return;
  s->tried[buffer] = ++s->clock;
  const Ids *users = &s->users[buffer];
  Type t = f->buffer[buffer].type;
  double now = 0, best = 0;
  int best_axis = -1;
  for (int i = 0; i < users->n; i++) now += layout_cost(s, users->id[i]);
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

/* --- the whole ------------------------------------------------------------ */

static void find_users(Layout *s) {
  for (int i = 0; i < s->f->n_kernels; i++) {
    const Kernel *k = s->f->kernel[i];
    for (int n = 0; n < k->n_instrs; n++) {
      const Instr *x = &k->instr[n];
      if (x->kop != K_LOAD && x->kop != K_STORE) continue;
      Ids *users = &s->users[x->buffer];
      if (users->n == 0 || users->id[users->n - 1] != i)
        layout_add_id(s->arena, users, i);
    }
  }
}

static Layout search_new(Arena *a, KFunc *f, Memo *memo) {
  Layout s = {.arena = a, .trial = arena_new(), .f = f, .memo = memo,
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
static void fresh_trial(Layout *s) {
  arena_reset(s->trial);
}

/* Makes sums in blocks, and draws in order, where that is better; `rest` of a kernel
 * adds the sums up, or brings what was drawn into the order that is wanted. */
static void take_apart(Layout *s) {
  KFunc *f = s->f;
  for (int i = 0; i < s->n_given; i++) {
    fresh_trial(s);
    partial_sums(s->arena, s->trial, f, s->memo, &f->kernel[i], &s->rest[i]);
    draw_apart(s->arena, s->trial, f, s->memo, &f->kernel[i], &s->rest[i]);
  }
}

/* Puts each copy before the kernel that reads it, and sums of sums behind theirs. */
static void order_kernels(Layout *s) {
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

static void climb_buffers(Layout *s) {
  for (int b = 0; b < s->f->n_buffers; b++) {
    fresh_trial(s);
    improve_buffer(s, b);
  }
}

static void climb_kernels(Layout *s) {
  for (int i = 0; i < s->n_given; i++) {
    fresh_trial(s);
    layout_copy_operand(s, i);
  }
}

/* Cycles of the whole function. */
static double total(Layout *s) {
  double sum = 0;
  fresh_trial(s);
  for (int i = 0; i < s->f->n_kernels; i++) sum += layout_cost(s, i);
  return sum;
}

/* Moves the axis innermost wherever that can be done. */
static void move_all(Layout *s, int axis) {
  for (int b = 0; b < s->f->n_buffers; b++) {
    fresh_trial(s);
    if (axis < s->f->buffer[b].type.rank - 1 && layout_can_move(s, b) &&
        can_move_axis(s, b, axis))
      move_buffer(s, b, axis);
  }
}

/* The search climbs to the next summit, which need not be the highest: to move one
 * axis of many buffers may pay where to move that of one does not. So it starts
 * from several places. */
static const int starts[] = {-1, 1, 0}; /* axes; -1: as it is */

static void climb_from(Layout *s, int start) {
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
  Layout s[STARTS];
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
