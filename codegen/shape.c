/* The shape of a kernel as a list of numbers: loops, schedule and instructions with
 * their buffers numbered by first appearance, and then the buffers' types. Equal
 * kernels are so compiled once, and the lists are what the object cache's keys are
 * made of. So every field that code generation reads must be in the list: the
 * assertions below make whoever adds one come here. */
#include "codegen/shape.h"

#include <string.h>

_Static_assert(sizeof(Instr) == 376, "add the new field to add_instr");
_Static_assert(sizeof(Schedule) == 152, "add the new field to add_schedule");
_Static_assert(sizeof(Affine) == 152, "add the new field to put_affine");
_Static_assert(sizeof(Kernel) == 328, "add the new field to shape_of");

typedef struct Words {
  Arena *arena;
  int n, capacity;
  int64_t *word;
  int n_buffers, n_rands;
  int *buffer, *rand;
} Words;

static void add(Words *w, int64_t v) {
  w->word = arena_grow(w->arena, w->word, w->n, &w->capacity, sizeof v);
  w->word[w->n++] = v;
}

static int number_of(Words *w, int buffer) {
  int i = 0;
  while (i < w->n_buffers && w->buffer[i] != buffer) i++;
  if (i == w->n_buffers) w->buffer[w->n_buffers++] = buffer;
  return i;
}

/* Numbers of which most are 0: a bit for each that is not, and then those. */
typedef struct Sparse {
  int n;
  uint64_t bits;
  int64_t value[64];
} Sparse;

static void put(Sparse *s, int64_t v) {
  if (v != 0) s->bits |= (uint64_t)1 << s->n;
  s->value[s->n++] = v;
}

static void put_affine(Sparse *s, const Kernel *k, const Affine *a) {
  put(s, a->base);
  put(s, a->part);
  put(s, a->turn);
  for (int d = 0; d < kernel_dims(k); d++) put(s, a->coef[d]);
}

static void add_sparse(Words *w, const Sparse *s) {
  add(w, (int64_t)s->bits);
  for (int i = 0; i < s->n; i++)
    if (s->value[i] != 0) add(w, s->value[i]);
}

enum { INSTR_NUMBERS = 11 + 2 * (MAX_DIMS + 3) };
_Static_assert((int)INSTR_NUMBERS <= 64, "a Sparse is too small");

static void add_instr(Words *w, const Kernel *k, const Instr *i) {
  Sparse s;
  int64_t value;
  memcpy(&value, &i->value, sizeof value);
  s.n = 0;
  s.bits = 0;
  put(&s, i->kop | i->op << 8 | (int64_t)i->type << 32);
  for (int o = 0; o < 3; o++) put(&s, i->in[o] + 1);
  put(&s, i->kop == K_LOAD || i->kop == K_STORE ? number_of(w, i->buffer) : 0);
  put_affine(&s, k, &i->at);
  put_affine(&s, k, &i->row);
  put(&s, i->scale);
  put(&s, i->low);
  put(&s, i->high);
  put(&s, value);
  put(&s, i->accumulate);
  if (s.n > INSTR_NUMBERS) defect("an instruction of %d numbers", s.n);
  add_sparse(w, &s);
}

static void add_schedule(Words *w, const Kernel *k) {
  const Schedule *s = &k->schedule;
  add(w, s->n_order);
  for (int d = 0; d < kernel_dims(k); d++) {
    add(w, s->order[d]);
    add(w, s->tile[d]);
  }
  add(w, s->vec);
  add(w, s->lanes);
  add(w, s->pieces);
}

static void add_group(Words *w, const Group *g) {
  add(w, g ? g->parts : 0);
  if (!g) return;
  add(w, g->turns);
  add(w, g->bytes);
}

static uint64_t hash_of(const Words *w) {
  uint64_t h = 0x9e3779b97f4a7c15u;
  for (int i = 0; i < w->n; i++) {
    h = (h ^ (uint64_t)w->word[i]) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
  }
  return h;
}

Shape shape_of(Arena *a, const KFunc *f, const Kernel *k) {
  Words w = {.arena = a};
  size_t most = (size_t)k->n_instrs + 1;
  w.buffer = arena_alloc(a, most * sizeof *w.buffer);
  w.rand = arena_alloc(a, most * sizeof *w.rand);
  add(&w, k->n_par);
  add(&w, k->n_red);
  for (int d = 0; d < kernel_dims(k); d++) add(&w, k->extent[d]);
  add_schedule(&w, k);
  add_group(&w, k->group);
  add(&w, k->n_instrs);
  for (int n = 0; n < k->n_instrs; n++) {
    add_instr(&w, k, &k->instr[n]);
    if (k->instr[n].kop == K_RAND) w.rand[w.n_rands++] = n;
  }
  for (int b = 0; b < w.n_buffers; b++) {
    const Buffer *x = &f->buffer[w.buffer[b]];
    add(&w, (int64_t)x->type.dtype << 1 | x->local);
  }
  return (Shape){.n_words = w.n, .word = w.word, .hash = hash_of(&w),
                 .n_buffers = w.n_buffers, .buffer = w.buffer,
                 .n_rands = w.n_rands, .rand = w.rand};
}

int64_t shape_fact(const Shape *s, const KFunc *f, const Kernel *k, int i) {
  return i < s->n_buffers ? f->buffer[s->buffer[i]].offset
                          : k->instr[s->rand[i - s->n_buffers]].place;
}

static bool equal(const Shape *x, const Shape *y) {
  return x->hash == y->hash && x->n_words == y->n_words &&
         memcmp(x->word, y->word, (size_t)x->n_words * sizeof *x->word) == 0;
}

Shapes shapes_find(Arena *a, const KFunc *f) {
  size_t n = (size_t)f->n_kernels + 1, slots = 1;
  while (slots < 2 * n) slots *= 2;
  int *slot = arena_alloc(a, slots * sizeof *slot); /* 1 + kernel; 0: free */
  Shapes s = {.n = f->n_kernels};
  s.shape = arena_alloc(a, n * sizeof *s.shape);
  s.first = arena_alloc(a, n * sizeof *s.first);
  s.uses = arena_alloc(a, n * sizeof *s.uses);
  for (int i = 0; i < s.n; i++) {
    s.shape[i] = shape_of(a, f, f->kernel[i]);
    size_t at = s.shape[i].hash % slots;
    while (slot[at] && !equal(&s.shape[slot[at] - 1], &s.shape[i]))
      at = (at + 1) % slots;
    if (!slot[at]) slot[at] = i + 1;
    s.first[i] = slot[at] - 1;
    s.uses[s.first[i]]++;
  }
  return s;
}
