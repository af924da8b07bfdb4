/* Choices of schedules, remembered. Networks repeat their layers, and the search for
 * layouts asks again for what it has tried: kernels whose loops, instructions and
 * steps are the same get the same schedule, whatever buffers, constants and
 * places of random numbers they name. A key is a list of numbers with all that the
 * cost model and the search look at; a table with chains finds it. */
#include <string.h>

#include "passes/schedule.h"

enum { CHAINS = 1 << 12 };

typedef struct Entry {
  struct Entry *next;
  uint64_t hash;
  int n;
  const int64_t *key;
  Choice choice;
} Entry;

struct Memo {
  Arena *arena;
  const Cpu *cpu;
  Entry *chain[CHAINS];
};

Memo *memo_new(Arena *a, const Cpu *cpu) {
  Memo *m = arena_alloc(a, sizeof *m);
  m->arena = a;
  m->cpu = cpu;
  return m;
}

/* A bit for each dimension along which the row of a random number steps. */
static int row_dims(const Kernel *k, const Instr *i) {
  int bits = 0;
  for (int d = 0; d < kernel_dims(k); d++)
    if (i->row.coef[d] != 0) bits |= 1 << d;
  return bits;
}

static int64_t pair(int high, int low) {
  return (int64_t)((uint64_t)(uint32_t)high << 32 | (uint32_t)low);
}

enum { FIXED = 3 }; /* numbers of an instruction beside its steps */

static int key_size(const Kernel *k) {
  int dims = kernel_dims(k);
  return 2 + dims + k->n_instrs * (FIXED + dims);
}

static void make_key(const Kernel *k, int64_t *key) {
  int dims = kernel_dims(k);
  *key++ = k->n_par;
  *key++ = k->n_red;
  for (int d = 0; d < dims; d++) *key++ = k->extent[d];
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    *key++ = ((int64_t)i->kop << 24) | ((int64_t)i->op << 8) |
             ((int64_t)i->type << 1) | i->accumulate;
    *key++ = pair(i->in[0], i->in[1]);
    *key++ = pair(i->in[2], row_dims(k, i));
    for (int d = 0; d < dims; d++) *key++ = i->at.coef[d];
  }
}

static uint64_t hash_of(const int64_t *key, int n) {
  uint64_t h = 0x9e3779b97f4a7c15u;
  for (int i = 0; i < n; i++) {
    h = (h ^ (uint64_t)key[i]) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
  }
  return h;
}

Choice memo_choose(Memo *m, const Kernel *k) {
  int n = key_size(k);
  int64_t key[n];
  make_key(k, key);
  size_t bytes = (size_t)n * sizeof *key;
  uint64_t hash = hash_of(key, n);
  Entry **chain = &m->chain[hash % CHAINS];
  for (Entry *e = *chain; e != NULL; e = e->next)
    if (e->hash == hash && e->n == n && memcmp(e->key, key, bytes) == 0)
      return e->choice;
  Entry *e = arena_alloc(m->arena, sizeof *e);
  *e = (Entry){.next = *chain, .hash = hash, .n = n,
               .choice = choose_schedule(k, m->cpu)};
  int64_t *kept = arena_alloc(m->arena, bytes);
  memcpy(kept, key, bytes);
  e->key = kept;
  *chain = e;
  return e->choice;
}
