/* Blocking over the batch. One kernel after the other over a large batch sends every
 * activation out of the second cache before the next kernel wants it. So the batch
 * is cut into chunks of some samples, and kernels that follow each other form a
 * group, which runs as a whole for one chunk after the other. Parts of the chunks
 * are for threads; one part takes its chunks in turn, and what only the group
 * touches is there once a part.
 *
 * First (block_begin) it is found which dimension of a kernel and which buffers run
 * over the samples, from the batch's inputs on. A kernel of which that dimension is
 * parallel becomes the kernel of one chunk. A sum over the samples becomes a kernel
 * that sums over a chunk's, and one outside the groups that adds up what the parts
 * have summed: parts and turns do not depend on the number of threads, so neither
 * does the sum. All others are left alone. Layouts and schedules are then chosen as
 * if the batch were a chunk. In the end (block_end) kernels are brought together:
 * those that are not of chunks go before a group or behind it. */
#include <string.h>

#include "passes/schedule.h"

enum {
  /* What a kernel touches of a chunk: that was best also where the second cache
   * holds twice as much. */
  CACHE_BYTES = 1 << 20,
  WEIGHT_BYTES = 1 << 19, /* little enough to be read again for each chunk */
  LEAST_CHUNK = 16, /* samples: a vector, though the cache may hold fewer */
  LEAST_SUM = 8,    /* products of a part's sum, which is stored and added up */
  MOST_PARTS = 8
};
static const double part_cycles = 100000; /* worth a wait for threads */

typedef enum Role {
  ALONE, /* not of the samples, or not simply */
  CHUNK, /* each sample apart */
  SUMS   /* over the samples */
} Role;

struct Blocking {
  Arena *arena;
  KFunc *f;
  Group group;    /* as all groups will be */
  int64_t batch;  /* samples */
  int *dim;       /* of each kernel: the one that runs over the samples, or -1 */
  Role *role;     /* of each kernel */
  bool *batched;  /* of each buffer that is given: axis 0 is the samples' */
};

static int64_t chunks_of(const Blocking *b) {
  return b->group.parts * b->group.turns;
}

/* --- what runs over the samples ------------------------------------------- */

/* The dimension of which each step goes to the next samples of axis 0, and no other
 * one leaves them; -1: there is none. */
static int sample_dim(const Blocking *b, const Kernel *k, const Instr *i) {
  const Type *t = &b->f->buffer[i->buffer].type;
  Access x;
  if (t->rank == 0 || t->dim[0] % b->batch != 0 || i->in[1] >= 0 ||
      !access_split(t, k, i, &x) || x.joined >> 1 & 1)
    return -1;
  const Affine *at = &x.axis[0];
  int64_t rest = at->base;
  int dim = -1;
  for (int d = 0; d < kernel_dims(k); d++) {
    if (at->coef[d] != 0 && at->coef[d] * k->extent[d] == t->dim[0] &&
        k->extent[d] % b->batch == 0 && dim < 0)
      dim = d;
    else
      rest += at->coef[d] * (k->extent[d] - 1);
  }
  return dim >= 0 && rest < at->coef[dim] ? dim : -1;
}

static bool is_batched(const Blocking *b, const Instr *i) {
  return instr_is_access(i) && b->batched[i->buffer];
}

/* Learns more of kernel number n; false if there was nothing to learn. */
static bool spread(Blocking *b, int n) {
  const Kernel *k = b->f->kernel[n];
  bool more = false;
  for (int i = 0; i < k->n_instrs && b->dim[n] < 0; i++)
    if (is_batched(b, &k->instr[i])) {
      b->dim[n] = sample_dim(b, k, &k->instr[i]);
      more = b->dim[n] >= 0;
    }
  for (int i = 0; i < k->n_instrs && b->dim[n] >= 0; i++) {
    const Instr *x = &k->instr[i];
    if (!instr_is_access(x) || b->batched[x->buffer] ||
        b->f->buffer[x->buffer].kind != BUF_TEMP ||
        sample_dim(b, k, x) != b->dim[n])
      continue;
    b->batched[x->buffer] = more = true;
  }
  return more;
}

static Role role_of(const Blocking *b, int n) {
  const Kernel *k = b->f->kernel[n];
  int dim = b->dim[n];
  if (dim < 0) return ALONE;
  bool parallel = dim < k->n_par;
  for (int i = 0; i < k->n_instrs; i++) {
    const Instr *x = &k->instr[i];
    if (is_batched(b, x) && sample_dim(b, k, x) != dim) return ALONE;
    if (x->kop == K_STORE && b->batched[x->buffer] != parallel) return ALONE;
    if (x->kop == K_RAND && x->at.coef[dim] != 0) return ALONE;
  }
  return parallel ? CHUNK : partial_can(k) ? SUMS : ALONE;
}

/* Inputs have the samples along axis 0; from there to all kernels. */
static void find_samples(Blocking *b) {
  KFunc *f = b->f;
  for (int i = 0; i < f->n_buffers; i++)
    if (f->buffer[i].kind == BUF_INPUT && f->buffer[i].sample)
      b->batched[i] = true;
  for (int i = 0; i < f->n_kernels; i++) b->dim[i] = -1;
  for (bool more = true; more;) {
    more = false;
    for (int i = 0; i < f->n_kernels; i++) more |= spread(b, i);
    for (int i = f->n_kernels - 1; i >= 0; i--) more |= spread(b, i);
  }
  for (int i = 0; i < f->n_kernels; i++) b->role[i] = role_of(b, i);
}

/* --- how large a chunk is ------------------------------------------------- */

static int64_t batch_of(const KFunc *f) {
  for (int i = 0; i < f->n_buffers; i++)
    if (f->buffer[i].kind == BUF_INPUT && f->buffer[i].sample)
      return f->buffer[i].type.dim[0];
  return 1;
}

/* Bytes that the kernel touches of the samples, and of all else. */
static int64_t bytes_touched(const Blocking *b, const Kernel *k, bool samples) {
  int64_t bytes = 0;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    bool again = false;
    for (int j = 0; j < n; j++)
      again = again || (instr_is_access(&k->instr[j]) &&
                        k->instr[j].buffer == i->buffer);
    if (!instr_is_access(i) || again || b->batched[i->buffer] != samples) continue;
    bytes += type_count(&b->f->buffer[i->buffer].type) * dtype_size[i->type];
  }
  return bytes;
}

/* Whether a kernel leaves something of the samples to another one. */
static bool has_stages(const Blocking *b) {
  for (int i = 0; i < b->f->n_kernels; i++)
    for (int n = 0; n < b->f->kernel[i]->n_instrs; n++) {
      const Instr *x = &b->f->kernel[i]->instr[n];
      if (b->role[i] != ALONE && x->kop == K_LOAD && b->batched[x->buffer] &&
          b->f->buffer[x->buffer].kind == BUF_TEMP)
        return true;
    }
  return false;
}

/* The samples of which the cache holds what any one kernel touches. */
static int64_t fitting_samples(const Blocking *b) {
  int64_t most = 1;
  for (int i = 0; i < b->f->n_kernels; i++) {
    if (b->role[i] == ALONE) continue;
    int64_t bytes = bytes_touched(b, b->f->kernel[i], true) / b->batch;
    if (bytes > most) most = bytes;
  }
  return CACHE_BYTES / most;
}

/* Whether what a kernel touches beside the samples may be read again for each chunk:
 * it is little, or less than what it touches of the chunk. */
static bool may_repeat(const Blocking *b, const Kernel *k, int64_t chunk) {
  int64_t samples = bytes_touched(b, k, true) / b->batch * chunk;
  int64_t others = bytes_touched(b, k, false);
  return others <= WEIGHT_BYTES || others <= samples;
}


/* The largest number of samples that fits and divides the batch, or if that is too
 * small for vectors the next one. */
static int64_t chunk_samples(int64_t batch, int64_t fit) {
  int64_t chunk = 0;
  for (int64_t c = LEAST_CHUNK; c <= 2 * fit && c < batch; c++)
    if (batch % c == 0 && (c <= fit || chunk == 0)) chunk = c;
  return chunk;
}

/* Cycles of the kernels of samples, as they are given. */
static double sample_cycles(const Blocking *b, Memo *memo) {
  double sum = 0;
  for (int i = 0; i < b->f->n_kernels; i++) {
    Kernel *k = kernel_copy(b->arena, b->f->kernel[i]);
    simplify_loops(k);
    if (b->role[i] != ALONE) sum += memo_choose(memo, k).cycles;
  }
  return sum;
}

/* A wide linear layer has all samples at once, between the groups. False: too little is
 * left for these. */
static bool leave_alone(Blocking *b, int64_t chunk, Memo *memo) {
  double all = 0; /* cycles; not known before one is left alone */
  for (int i = 0; i < b->f->n_kernels; i++) {
    if (b->role[i] == ALONE || may_repeat(b, b->f->kernel[i], chunk)) continue;
    if (all == 0) all = sample_cycles(b, memo);
    b->role[i] = ALONE;
  }
  return all == 0 || (sample_cycles(b, memo) > all / 2 && has_stages(b));
}

/* A batch that fits, but is too small for vectors of samples: parts of two samples
 * or more, for threads. Kernel by kernel they would wait for each other all the
 * time. 0: it is too little work for that. */
static int64_t part_samples(const Blocking *b, Memo *memo) {
  if (b->batch >= LEAST_CHUNK || sample_cycles(b, memo) < part_cycles) return 0;
  for (int64_t chunk = b->batch / 2; chunk >= 2; chunk--)
    if (b->batch % chunk == 0) return chunk;
  return 0;
}

/* False: the batch stays whole. */
static bool choose_chunks(Blocking *b, Memo *memo) {
  int64_t fit = fitting_samples(b), parts = 1;
  if (!has_stages(b)) return false;
  if (fit < LEAST_CHUNK) fit = LEAST_CHUNK;
  int64_t chunk = fit < b->batch ? chunk_samples(b->batch, fit)
                                 : part_samples(b, memo);
  if (chunk == 0 || !leave_alone(b, chunk, memo)) return false;
  int64_t chunks = b->batch / chunk;
  for (int64_t p = 2; p <= MOST_PARTS; p++)
    if (chunks % p == 0) parts = p;
  b->group = (Group){.parts = parts, .turns = chunks / parts, .offset = -1,
                     .bytes = -1};
  return true;
}

/* --- the kernels of a chunk ----------------------------------------------- */

/* Steps of one chunk stay in the dimension; what counts on goes from part to part
 * and turn to turn. Accesses wait until their buffers' places are known. */
static void cut_kernel(const Blocking *b, Kernel *k, int dim) {
  k->extent[dim] /= chunks_of(b);
  for (int n = 0; n < k->n_instrs; n++) {
    Affine *both[2] = {&k->instr[n].at, &k->instr[n].row};
    for (int i = 0; i < 2 && !instr_is_access(&k->instr[n]); i++) {
      both[i]->turn = both[i]->coef[dim] * k->extent[dim];
      both[i]->part = both[i]->turn * b->group.turns;
    }
  }
  k->group = &b->group;
}

/* The kernel of a chunk's sums stores them in its part's place. */
static void place_sums(const Blocking *b, Kernel *k) {
  for (int n = 0; n < k->n_instrs; n++) {
    Instr *i = &k->instr[n];
    if (i->kop != K_STORE) continue;
    i->at.part = type_count(&b->f->buffer[i->buffer].type) / b->group.parts;
  }
}

/* A sum over so few products is better made of the whole batch, behind the group. */
static bool is_short(const Blocking *b, const Kernel *k) {
  int64_t products = 1;
  for (int d = k->n_par; d < kernel_dims(k); d++) products *= k->extent[d];
  return products < LEAST_SUM * chunks_of(b);
}

static void cut_all(Blocking *b) {
  KFunc *f = b->f;
  size_t most = 2 * (size_t)f->n_kernels + 1;
  Kernel **all = arena_alloc(b->arena, most * sizeof *all);
  int n = 0;
  for (int i = 0; i < f->n_kernels; i++) {
    Kernel *k = f->kernel[i], *part, *total;
    if (b->role[i] == ALONE || (b->role[i] == SUMS && is_short(b, k))) {
      all[n++] = k;
      continue;
    }
    cut_kernel(b, k, b->dim[i]);
    if (b->role[i] == CHUNK) {
      all[n++] = k;
      continue;
    }
    partial_sums_apart(b->arena, f, b->group.parts, k, &part, &total);
    part->group = &b->group;
    place_sums(b, part);
    all[n++] = part;
    all[n++] = total;
  }
  f->kernel = all;
  f->n_kernels = n;
  f->cap_kernels = (int)most;
}

Blocking *block_begin(Arena *a, KFunc *f, Memo *memo) {
  Blocking *b = arena_alloc(a, sizeof *b);
  *b = (Blocking){.arena = a, .f = f, .batch = batch_of(f)};
  b->dim = arena_alloc(a, (size_t)(f->n_kernels + 1) * sizeof *b->dim);
  b->role = arena_alloc(a, (size_t)(f->n_kernels + 1) * sizeof *b->role);
  b->batched = arena_alloc(a, (size_t)(f->n_buffers + 1));
  if (b->batch < 2) return NULL;
  find_samples(b);
  if (!choose_chunks(b, memo)) return NULL;
  for (int i = 0; i < f->n_buffers; i++)
    if (b->batched[i]) {
      f->buffer[i].type.dim[0] /= chunks_of(b);
      f->buffer[i].local = true;
    }
  cut_all(b);
  return b;
}

/* --- groups --------------------------------------------------------------- */

/* What the kernels of a list touch: by buffer, the time when it was noted. */
typedef struct Touched {
  int *load, *store;
} Touched;

/* A group while kernels are sorted: what runs before it, and behind it. */
typedef struct Sorter {
  Blocking *b;
  int n_before, n_group, n_after, n_all;
  Kernel **before, **group, **after, **all;
  int clock; /* number of the group */
  Touched of_group, of_after;
} Sorter;

static void note(const Sorter *s, Touched *t, const Kernel *k) {
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop == K_LOAD || i->accumulate) t->load[i->buffer] = s->clock;
    if (i->kop == K_STORE) t->store[i->buffer] = s->clock;
  }
}

/* Whether the kernel may run before those whose accesses were noted, though it
 * stands behind them. */
static bool may_pass(const Sorter *s, const Touched *t, const Kernel *k) {
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (!instr_is_access(i)) continue;
    if (t->store[i->buffer] == s->clock) return false;
    if (i->kop == K_STORE && t->load[i->buffer] == s->clock) return false;
  }
  return true;
}

static void close_group(Sorter *s) {
  Group *g = arena_alloc(s->b->arena, sizeof *g);
  *g = s->b->group;
  for (int i = 0; i < s->n_before; i++) s->all[s->n_all++] = s->before[i];
  for (int i = 0; i < s->n_group; i++) {
    s->all[s->n_all++] = s->group[i];
    s->group[i]->group = g;
  }
  for (int i = 0; i < s->n_after; i++) s->all[s->n_all++] = s->after[i];
  s->n_before = s->n_group = s->n_after = 0;
  s->clock++;
}

static void sort_kernel(Sorter *s, Kernel *k) {
  if (k->group) {
    if (!may_pass(s, &s->of_after, k)) close_group(s);
    note(s, &s->of_group, k);
    s->group[s->n_group++] = k;
  } else if (may_pass(s, &s->of_group, k) && may_pass(s, &s->of_after, k)) {
    s->before[s->n_before++] = k;
  } else {
    note(s, &s->of_after, k);
    s->after[s->n_after++] = k;
  }
}

static int *new_marks(Arena *a, int n) {
  return arena_alloc(a, (size_t)(n + 1) * sizeof(int));
}

static void sort_kernels(Blocking *b) {
  KFunc *f = b->f;
  Arena *a = b->arena;
  size_t bytes = ((size_t)f->n_kernels + 1) * sizeof(Kernel *);
  Sorter s = {.b = b, .clock = 1};
  s.before = arena_alloc(a, bytes);
  s.group = arena_alloc(a, bytes);
  s.after = arena_alloc(a, bytes);
  s.all = arena_alloc(a, bytes);
  s.of_group = (Touched){new_marks(a, f->n_buffers), new_marks(a, f->n_buffers)};
  s.of_after = (Touched){new_marks(a, f->n_buffers), new_marks(a, f->n_buffers)};
  for (int i = 0; i < f->n_kernels; i++) sort_kernel(&s, f->kernel[i]);
  close_group(&s);
  f->kernel = s.all;
  f->cap_kernels = f->n_kernels;
}

/* --- the whole batch again ------------------------------------------------ */

/* What is a chunk's and touched in one group alone stays local to it. */
static void find_local(Blocking *b) {
  KFunc *f = b->f;
  size_t n = (size_t)f->n_buffers + 1;
  const Group **owner = arena_alloc(b->arena, n * sizeof *owner);
  bool *shared = arena_alloc(b->arena, n);
  for (int i = 0; i < f->n_kernels; i++)
    for (int j = 0; j < f->kernel[i]->n_instrs; j++) {
      const Instr *x = &f->kernel[i]->instr[j];
      const Group *g = f->kernel[i]->group;
      if (!instr_is_access(x)) continue;
      if (!g || (owner[x->buffer] && owner[x->buffer] != g))
        shared[x->buffer] = true;
      owner[x->buffer] = g;
    }
  for (int i = 0; i < f->n_results; i++) shared[f->result[i].buffer] = true;
  b->batched = arena_alloc(b->arena, n); /* from now on: the shared ones */
  for (int i = 0; i < f->n_buffers; i++) {
    Buffer *x = &f->buffer[i];
    bool own = x->kind == BUF_TEMP && owner[i] && !shared[i];
    if (!x->local || own) continue;
    x->local = false;
    b->batched[i] = true;
  }
}

/* Where each chunk finds what is its own in the buffers of the whole batch. */
static void place_accesses(const Blocking *b, Kernel *k) {
  for (int n = 0; n < k->n_instrs; n++) {
    Instr *i = &k->instr[n];
    if (!is_batched(b, i)) continue;
    i->at.turn = type_count(&b->f->buffer[i->buffer].type);
    i->at.part = i->at.turn * b->group.turns;
  }
}

/* Where turns add to their part's sum, something fills it with zeros before. */
static Kernel *zero_kernel(Arena *a, const KFunc *f, int buffer, Memo *memo) {
  Kernel *k = kernel_new(a);
  DType type = f->buffer[buffer].type.dtype;
  k->n_par = 1;
  k->extent[0] = type_count(&f->buffer[buffer].type);
  Instr zero = {.kop = K_CONST, .type = type, .in = {-1, -1, -1}};
  Instr store = {.kop = K_STORE, .type = type, .in = {-1, -1, -1},
                 .buffer = buffer};
  store.in[0] = kernel_add(a, k, &zero);
  store.at.coef[0] = 1;
  kernel_add(a, k, &store);
  simplify_loops(k);
  k->schedule = memo_choose(memo, k).schedule;
  return k;
}

/* Whether it stores a sum of the part, of which each turn has a share. */
static bool is_part_sum(const KFunc *f, const Instr *i) {
  return i->kop == K_STORE && !f->buffer[i->buffer].local && i->at.turn == 0;
}

/* Adds the kernels that must run before the group which begins with kernel i. */
static void add_zeros(Blocking *b, int first, Memo *memo, KFunc *out) {
  const KFunc *f = b->f;
  const Group *g = f->kernel[first]->group;
  for (int i = first; i < f->n_kernels && f->kernel[i]->group == g; i++)
    for (int n = 0; n < f->kernel[i]->n_instrs; n++) {
      Instr *x = &f->kernel[i]->instr[n];
      if (!is_part_sum(f, x)) continue;
      x->accumulate = true;
      Kernel *zero = zero_kernel(b->arena, f, x->buffer, memo);
      zero->n_locs = f->kernel[i]->n_locs;
      zero->locs = f->kernel[i]->locs;
      kfunc_add_kernel(b->arena, out, zero);
    }
}

void block_end(Blocking *b, Memo *memo) {
  KFunc *f = b->f, out;
  sort_kernels(b);
  find_local(b);
  for (int i = 0; i < f->n_kernels; i++)
    if (f->kernel[i]->group) {
      place_accesses(b, f->kernel[i]);
      f->kernel[i]->schedule.pieces = 1;
    }
  for (int i = 0; i < f->n_buffers; i++)
    if (b->batched[i]) f->buffer[i].type.dim[0] *= chunks_of(b);
  out = *f;
  out.n_kernels = out.cap_kernels = 0;
  out.kernel = NULL;
  for (int i = 0; i < f->n_kernels; i++) {
    if (b->group.turns > 1 && kfunc_begins_group(f, i))
      add_zeros(b, i, memo, &out);
    kfunc_add_kernel(b->arena, &out, f->kernel[i]);
  }
  *f = out;
}
