/* The pass `recompute`: computes cheap values again instead of keeping them, where
 * the plan would need more bytes than the module's limit. Without a limit it does
 * nothing.
 *
 * At the moment when most bytes are alive, values lie there that no kernel touches:
 * they were made before and are read after it. Where the kernel that made one can
 * run again just before the next reader, the value need not lie there meanwhile.
 * The kernel may read what has not been stored to since; temporaries that are no
 * longer alive by then are computed again too, or else their bytes count against
 * the gain. Which value goes first: the most bytes for the work that is done twice.
 * This is repeated until the plan fits or nothing helps; then recompute_tell.c
 * says what does not fit.
 *
 * A kernel that runs again is a copy, with its schedule, that keeps one store: so
 * the bits are those of the program without the limit. Sums of products are never
 * computed again, nor what is added up in memory. */
#include "passes/recompute.h"

#include <string.h>

#include "passes/schedule.h"

enum { MAX_DEPTH = 8, MAX_CHAIN = 16 };

/* --- moments and touches --------------------------------------------------- */

static int64_t alive_at(const KFunc *f, const Life *life, int moment) {
  int64_t sum = 0;
  for (int b = 0; b < f->n_buffers; b++)
    if (!plan_is_fixed(&f->buffer[b]) && life[b].first <= moment &&
        moment <= life[b].last)
      sum += life[b].bytes;
  return sum;
}

int recompute_peak(const KFunc *f, const Life *life, int64_t *bytes) {
  int moment = 0;
  *bytes = -1;
  for (int i = 0; i < f->n_kernels; i++) {
    int64_t sum = alive_at(f, life, i);
    if (sum <= *bytes) continue;
    *bytes = sum;
    moment = i;
  }
  return moment;
}

static bool touches(const Kernel *k, int buffer, bool stores_only) {
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *x = &k->instr[n];
    if (x->buffer == buffer &&
        (x->kop == K_STORE || (x->kop == K_LOAD && !stores_only)))
      return true;
  }
  return false;
}

static bool stored_between(const KFunc *f, int buffer, int after, int before) {
  for (int i = after + 1; i < before; i++)
    if (touches(f->kernel[i], buffer, true)) return true;
  return false;
}

/* The kernel that alone stores the buffer, by one plain store; -1: none does. */
static int maker_of(const KFunc *f, int buffer) {
  int maker = -1, stores = 0;
  for (int i = 0; i < f->n_kernels; i++)
    for (int n = 0; n < f->kernel[i]->n_instrs; n++) {
      const Instr *x = &f->kernel[i]->instr[n];
      if (x->kop != K_STORE || x->buffer != buffer) continue;
      maker = i;
      stores += x->accumulate || x->in[1] >= 0 ? 2 : 1;
    }
  return stores == 1 ? maker : -1;
}

static bool is_result(const KFunc *f, int buffer) {
  for (int i = 0; i < f->n_results; i++)
    if (f->result[i].buffer == buffer) return true;
  return false;
}

/* --- a kernel that runs again ---------------------------------------------- */

static void mark_needed(const Kernel *k, int buffer, bool *needed) {
  memset(needed, 0, (size_t)k->n_instrs * sizeof *needed);
  for (int n = k->n_instrs - 1; n >= 0; n--) {
    const Instr *x = &k->instr[n];
    if (x->kop == K_STORE && x->buffer == buffer) needed[n] = true;
    for (int i = 0; needed[n] && i < instr_operands(x); i++)
      if (x->in[i] >= 0) needed[x->in[i]] = true;
  }
}

/* Loops that nothing runs in any more go, and the rest is scheduled anew. */
static void drop_reductions(Kernel *k, const Cpu *cpu) {
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_REDUCE) return;
  if (k->n_red == 0) return;
  for (int d = k->n_par; d < kernel_dims(k); d++) k->extent[d] = 0;
  k->n_red = 0;
  simplify_loops(k);
  k->schedule = choose_schedule(k, cpu).schedule;
}

/* A copy of the kernel that makes this buffer alone; NULL if it sums products. */
static Kernel *copy_for(Arena *a, const Kernel *from, int buffer,
                        const Cpu *cpu) {
  bool needed[from->n_instrs + 1];
  int number[from->n_instrs + 1];
  Kernel *k = kernel_copy(a, from);
  mark_needed(from, buffer, needed);
  k->n_instrs = 0;
  for (int n = 0; n < from->n_instrs; n++) {
    if (!needed[n]) continue;
    Instr x = from->instr[n];
    for (int i = 0; i < instr_operands(&x); i++)
      if (x.in[i] >= 0) x.in[i] = number[x.in[i]];
    number[n] = k->n_instrs;
    k->instr[k->n_instrs++] = x;
  }
  if (kernel_is_contraction(k)) return NULL;
  drop_reductions(k, cpu);
  return k;
}

static double work_of(const Kernel *k) {
  double points = 1;
  for (int d = 0; d < kernel_dims(k); d++) points *= (double)k->extent[d];
  return points * k->n_instrs;
}

/* --- what it takes to have a value again ----------------------------------- */

typedef struct Chain { /* kernels that run again, in this order */
  int n;
  int buffer[MAX_CHAIN]; /* what each makes */
  Kernel *kernel[MAX_CHAIN];
  double work;
  int64_t kept; /* bytes of operands that must stay alive for it */
} Chain;

typedef struct Search {
  Arena *arena;
  const Cpu *cpu;
  KFunc *f;
  const Life *life;
  int reader; /* the kernel before which the value is wanted */
} Search;

static bool add_to_chain(const Search *s, Chain *c, int buffer, int depth);

/* An operand of the kernel `maker`; false: it does not hold any more what it
 * held. */
static bool add_operand(const Search *s, Chain *c, int buffer, int maker,
                        int depth) {
  for (int i = 0; i < c->n; i++)
    if (c->buffer[i] == buffer) return true;
  if (stored_between(s->f, buffer, maker, s->reader)) return false;
  if (plan_is_fixed(&s->f->buffer[buffer]) ||
      s->life[buffer].last >= s->reader)
    return true;
  Chain longer = *c;
  if (add_to_chain(s, &longer, buffer, depth + 1)) *c = longer;
  else c->kept += s->life[buffer].bytes;
  return true;
}

static bool add_to_chain(const Search *s, Chain *c, int buffer, int depth) {
  if (s->f->buffer[buffer].kind != BUF_TEMP || depth == MAX_DEPTH) return false;
  int maker = maker_of(s->f, buffer);
  if (maker < 0 || touches(s->f->kernel[maker], buffer, false) !=
                       touches(s->f->kernel[maker], buffer, true))
    return false;
  Kernel *k = copy_for(s->arena, s->f->kernel[maker], buffer, s->cpu);
  if (!k) return false;
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_LOAD &&
        !add_operand(s, c, k->instr[n].buffer, maker, depth))
      return false;
  if (c->n == MAX_CHAIN) return false;
  c->buffer[c->n] = buffer;
  c->kernel[c->n++] = k;
  c->work += work_of(k);
  return true;
}

/* --- the step -------------------------------------------------------------- */

static void redirect(Kernel *k, int from, int to) {
  for (int n = 0; n < k->n_instrs; n++)
    if ((k->instr[n].kop == K_LOAD || k->instr[n].kop == K_STORE) &&
        k->instr[n].buffer == from)
      k->instr[n].buffer = to;
}

/* The function with the chain before the reader. The last of the chain is the
 * value, which all from there on read in its new place. */
static KFunc *insert(const Search *s, const Chain *c) {
  Arena *a = s->arena;
  KFunc *f = arena_alloc(a, sizeof *f);
  *f = *s->f;
  f->cap_buffers = f->n_buffers + c->n;
  f->buffer = arena_alloc(a, (size_t)f->cap_buffers * sizeof *f->buffer);
  memcpy(f->buffer, s->f->buffer, (size_t)f->n_buffers * sizeof *f->buffer);
  f->kernel = NULL;
  f->n_kernels = f->cap_kernels = 0;
  for (int i = 0; i < s->reader; i++) kfunc_add_kernel(a, f, s->f->kernel[i]);
  int made[MAX_CHAIN];
  for (int i = 0; i < c->n; i++) {
    Kernel *k = kernel_copy(a, c->kernel[i]);
    made[i] = kfunc_add_buffer(a, f, s->f->buffer[c->buffer[i]]);
    for (int j = 0; j <= i; j++) redirect(k, c->buffer[j], made[j]);
    kfunc_add_kernel(a, f, k);
  }
  for (int i = s->reader; i < s->f->n_kernels; i++) {
    Kernel *k = s->f->kernel[i];
    int value = c->buffer[c->n - 1];
    if (touches(k, value, false)) {
      k = kernel_copy(a, k);
      redirect(k, value, made[c->n - 1]);
    }
    kfunc_add_kernel(a, f, k);
  }
  return f;
}

/* The kernel from `moment` on that reads the buffer first; -1: at the moment itself
 * it is needed. */
static int next_reader(const KFunc *f, int buffer, int moment) {
  if (touches(f->kernel[moment], buffer, false)) return -1;
  for (int i = moment + 1; i < f->n_kernels; i++)
    if (touches(f->kernel[i], buffer, false)) return i;
  return -1;
}

/* Takes one value off the peak. NULL: nothing helps. */
static KFunc *step(Arena *a, KFunc *f, const Cpu *cpu) {
  const Life *life = plan_lives(a, f);
  int64_t peak, after;
  int moment = recompute_peak(f, life, &peak);
  KFunc *best = NULL;
  double best_rate = 0;
  for (int b = 0; b < f->n_buffers; b++) {
    if (plan_is_fixed(&f->buffer[b]) || is_result(f, b) ||
        life[b].first > moment || life[b].last < moment)
      continue;
    Search s = {.arena = a, .cpu = cpu, .f = f, .life = life,
                .reader = next_reader(f, b, moment)};
    Chain c = {0};
    if (s.reader < 0 || !add_to_chain(&s, &c, b, 0)) continue;
    double rate = (double)(life[b].bytes - c.kept) / (c.work + 1);
    if (rate <= best_rate) continue;
    KFunc *next = insert(&s, &c);
    recompute_peak(next, plan_lives(a, next), &after);
    if (after > peak) continue;
    best = next;
    best_rate = rate;
  }
  return best;
}

KModule *pass_recompute(Arena *a, const KModule *m, const Cpu *cpu, Diags *d) {
  KModule *out = arena_alloc(a, sizeof *out);
  *out = *m;
  for (int i = 0; m->limit > 0 && i < m->n_funcs; i++) {
    KFunc *f = m->func[i];
    while (f && plan_bytes(a, m, f) > m->limit) {
      out->func[i] = f;
      f = step(a, f, cpu);
    }
    if (!f) {
      recompute_tell(a, d, m, out->func[i]);
      return NULL;
    }
    out->func[i] = f;
  }
  return out;
}
