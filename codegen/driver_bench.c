/* `netc bench`: how long a step takes. Needs no data: inputs are random numbers
 * that stay in the arena. Weights are made anew every now and then, outside the
 * measured time, so that no step works on what a thousand steps on one batch make
 * of a network (numbers too small for normal arithmetic, say). */
#include "codegen/driver.h"
#include "runtime/philox.h"

#include <stdlib.h>
#include <string.h>

enum { FRESH_WEIGHTS = 100, WARM_UP = 3 }; /* steps */
#define SECOND_MS 1000.0

typedef struct Bench {
  const Options *o;
  Arena *arena;
  NetProgram *p;
  Jit *jit;
  char *memory; /* the program's arena */
  NetPool *pool;
} Bench;

/* Floats in [-1, 1), classes in their range, and 0 for other integers: an index
 * that is good for any table. */
static void fill(char *memory, const NetTensor *t, uint32_t place) {
  int64_t count = 1;
  for (int i = 0; i < t->rank; i++) count *= t->dim[i];
  char *at = memory + t->offset;
  for (int64_t i = 0; i < count; i++) {
    uint32_t word = philox_word(1, place, 0, 0, (uint32_t)i);
    if (t->type == NET_F32)
      ((float *)(void *)at)[i] = 2 * philox_uniform(word) - 1;
    else if (t->type == NET_I32)
      ((int32_t *)(void *)at)[i] =
          t->kind > 0 ? (int32_t)(word % (uint32_t)t->kind) : 0;
  }
}

/* As before the first step of a run; the seed stays. */
static NetScalars *restart(const Bench *b) {
  NetScalars *s = (NetScalars *)(void *)(b->memory + b->p->scalars);
  *s = (NetScalars){.count = (double)b->p->batch, .seed = b->p->seed};
  if (b->p->init_fn.run) b->p->init_fn.run(b->memory, b->pool);
  return s;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Prints the median and the least of the times of a function. */
static void time_function(const Bench *b, const char *name,
                          const NetFunction *f) {
  int n = 0, capacity = 0;
  double *ms = NULL, spent = 0;
  NetScalars *s = restart(b);
  for (int i = 0; i < f->n_inputs; i++)
    fill(b->memory, &f->inputs[i], (uint32_t)i);
  for (int step = 0; step < WARM_UP; step++) f->run(b->memory, b->pool);
  while (b->o->steps ? n < b->o->steps : spent < SECOND_MS || n == 0) {
    if (n % FRESH_WEIGHTS == 0) {
      s = restart(b);
      s->count = (double)f->batch;
      f->run(b->memory, b->pool); /* caches as a step leaves them */
    }
    s->step++;
    double start = now_ms();
    f->run(b->memory, b->pool);
    double time = now_ms() - start;
    ms = arena_grow(b->arena, ms, n, &capacity, sizeof *ms);
    ms[n++] = time;
    spent += time;
  }
  qsort(ms, (size_t)n, sizeof *ms, by_size);
  printf("%-9s %8.1f us a step of %lld samples (at best %.1f; %d steps)\n",
         name, ms[n / 2] * 1e3, (long long)f->batch, ms[0] * 1e3, n);
}

/* The functions' own compilation is part of what compiling took since start. */
static Status bench(Bench *b, double start) {
  NetFunction *train = &b->p->train, *evaluate = &b->p->evaluate;
  target_guard(b->o);
  b->p->init_fn.run = jit_find(b->jit, "init");
  train->run = jit_find(b->jit, "train");
  double compiled = now_ms() - start;
  tell_time(b->o, "codegen", start);
  evaluate->run = jit_find(b->jit, "evaluate");
  size_t size = ((size_t)b->p->arena_bytes + 63) / 64 * 64;
  b->memory = aligned_alloc(64, size ? size : 64);
  if (!b->memory)
    return resource_error("the program needs %.1f MB of memory",
                          (double)size / 1e6);
  memset(b->memory, 0, size);
  b->pool = net_pool_new((int)b->o->threads);
  if (train->run) time_function(b, "train", train);
  printf("%-9s %8.0f us\n", "compile", compiled * 1e3);
  if (evaluate->run) time_function(b, "evaluate", evaluate);
  net_pool_free(b->pool);
  free(b->memory);
  return flush_output();
}

Status command_bench(const Options *o) {
  Compile c;
  const char *error = NULL;
  double start = now_ms();
  Status status = compile(&c, o, AT_PLAN);
  if (!status) {
    Bench b = {.o = o, .arena = c.arena, .p = program_tables(&c)};
    b.jit = jit_new(c.arena, c.target, c.stage.kernels, &error);
    status = b.jit ? bench(&b, start)
                   : resource_error("cannot compile in memory: %s", error);
    jit_free(b.jit);
  }
  compile_free(&c);
  return status;
}
