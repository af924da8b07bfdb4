/* `netc bench`: how long a step takes. Needs no data: inputs are random numbers,
 * put into the arena before each step, which may use their room for something else
 * (small integers, say, that are floats below the normal range). Weights are made anew every now and then, outside the
 * measured time, so that no step works on what a thousand steps on one batch make
 * of a network (numbers too small for normal arithmetic, say). With --profile the
 * kernels follow, one by one. */
#include "codegen/driver_bench.h"
#include "runtime/philox.h"

#include <stdlib.h>
#include <string.h>

static int64_t count_of(const NetTensor *t) {
  int64_t count = 1;
  for (int i = 0; i < t->rank; i++) count *= t->dim[i];
  return count;
}

static size_t bytes_of(const NetTensor *t) {
  static const size_t size[] = {[NET_F32] = 4, [NET_F64] = 8, [NET_I32] = 4,
                                [NET_U32] = 4, [NET_I1] = 1};
  return (size_t)count_of(t) * size[t->type];
}

/* Floats in [-1, 1), classes in their range, and 0 for other integers: an index
 * that is good for any table. */
static void draw(const NetTensor *t, uint32_t place, char *at) {
  for (int64_t i = 0, count = count_of(t); i < count; i++) {
    uint32_t word = philox_word(1, place, 0, 0, (uint32_t)i);
    if (t->type == NET_F32)
      ((float *)(void *)at)[i] = 2 * philox_uniform(word) - 1;
    else if (t->type == NET_I32)
      ((int32_t *)(void *)at)[i] =
          t->kind > 0 ? (int32_t)(word % (uint32_t)t->kind) : 0;
  }
}

NetScalars *bench_restart(const Bench *b, const NetFunction *f) {
  NetScalars *s = (NetScalars *)(void *)(b->memory + b->p->scalars);
  *s = (NetScalars){.count = (double)b->p->batch, .seed = b->p->seed};
  if (b->p->init_fn.run) b->p->init_fn.run(b->memory, b->pool);
  s->count = (double)f->batch;
  return s;
}

void bench_draw(Bench *b, const NetFunction *f) {
  b->given = arena_alloc(b->arena, (size_t)(f->n_inputs + 1) * sizeof *b->given);
  for (int i = 0; i < f->n_inputs; i++) {
    b->given[i] = arena_alloc(b->arena, bytes_of(&f->inputs[i]));
    draw(&f->inputs[i], (uint32_t)i, b->given[i]);
  }
}

void bench_give(const Bench *b, const NetFunction *f) {
  for (int i = 0; i < f->n_inputs; i++)
    memcpy(b->memory + f->inputs[i].offset, b->given[i],
           bytes_of(&f->inputs[i]));
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Prints the median and the least of the times of a function. */
static void time_function(Bench *b, const char *name, const NetFunction *f) {
  int n = 0, capacity = 0;
  double *ms = NULL, began = now_ms();
  NetScalars *s = bench_restart(b, f);
  bench_draw(b, f);
  bench_give(b, f);
  for (int step = 0; step < WARM_UP; step++) f->run(b->memory, b->pool);
  while (b->o->steps ? n < b->o->steps
                     : now_ms() - began < SECOND_MS || n < LEAST_STEPS) {
    if (n % FRESH_WEIGHTS == 0) {
      s = bench_restart(b, f);
      bench_give(b, f);
      f->run(b->memory, b->pool); /* caches as a step leaves them */
    }
    s->step++;
    bench_give(b, f);
    stopwatch_start(&b->watch);
    f->run(b->memory, b->pool);
    double time = stopwatch_stop(&b->watch);
    ms = arena_grow(b->arena, ms, n, &capacity, sizeof *ms);
    ms[n++] = time;
  }
  qsort(ms, (size_t)n, sizeof *ms, by_size);
  printf("%-9s %8.1f us a step of %lld samples (at best %.1f; %d steps)\n",
         name, ms[n / 2] * 1e3, (long long)f->batch, ms[0] * 1e3, n);
}

/* The compiled function, unless --entry asks for another one alone. */
static void (*find(const Bench *b, const char *name))(char *, NetPool *) {
  if (b->o->entry && strcmp(b->o->entry, name) != 0) return NULL;
  return jit_find(b->jit, name);
}

static Status time_functions(Bench *b, double compiled) {
  NetFunction *train = &b->p->train, *evaluate = &b->p->evaluate;
  if (train->run) time_function(b, "train", train);
  printf("%-9s %8.0f us%s\n", "compile", compiled * 1e3,
         b->cached ? ", from the cache" : "");
  evaluate->run = find(b, "evaluate");
  if (evaluate->run) time_function(b, "evaluate", evaluate);
  printf("%-9s %8.2f MB\n", "memory", (double)b->p->arena_bytes / 1e6);
  Status status = STATUS_DONE;
  if (b->o->profile && train->run) status = profile(b, "train", train);
  if (b->o->profile && evaluate->run && !status)
    status = profile(b, "evaluate", evaluate);
  return status ? status : flush_output();
}

typedef struct CacheTold {
  const char *name;
  bool *cached;
} CacheTold;

/* JitTold: whether the training step, or the one function asked for, was there. */
static void tell_function(const void *context, const char *name, bool cached,
                          double ms) {
  const CacheTold *told = context;
  (void)ms;
  if (strcmp(name, told->name) == 0) *told->cached = cached;
}

/* The functions' own compilation is part of what compiling took since start. */
static Status bench(Bench *b, const Stopwatch *compiling, double start) {
  target_guard(b->o);
  b->p->init_fn.run = jit_find(b->jit, "init");
  b->p->train.run = find(b, "train");
  double compiled = stopwatch_stop(compiling);
  tell_time(b->o, "codegen", start);
  size_t size = ((size_t)b->p->arena_bytes + 63) / 64 * 64;
  b->memory = aligned_alloc(64, size ? size : 64);
  if (!b->memory)
    return resource_error("the program needs %.1f MB of memory",
                          (double)size / 1e6);
  memset(b->memory, 0, size);
  b->threads = b->o->threads ? (int)b->o->threads : cores_available();
  b->pool = net_pool_new(b->threads);
  b->watch = stopwatch_new(b->pool == NULL);
  Status status = time_functions(b, compiled);
  net_pool_free(b->pool);
  free(b->memory);
  return status;
}

Status command_bench(const Options *o) {
  Compile c;
  const char *error = NULL;
  double start = now_ms();
  Stopwatch compiling = stopwatch_new(true);
  stopwatch_start(&compiling);
  Status status = compile(&c, o, AT_PLAN);
  if (!status) {
    Bench b = {.o = o, .arena = c.arena, .c = &c, .p = program_tables(&c)};
    b.jit = jit_new(c.arena, c.target, c.stage.kernels, &error);
    CacheTold told = {o->entry ? o->entry : "train", &b.cached};
    Cache *cache = o->no_cache ? NULL : cache_open_default(c.arena);
    if (b.jit) {
      jit_use_cache(b.jit, cache);
      jit_tell(b.jit, tell_function, &told);
    }
    status = b.jit ? bench(&b, &compiling, start)
                   : resource_error("cannot compile in memory: %s", error);
    jit_free(b.jit);
    cache_close(cache);
  }
  compile_free(&c);
  return status;
}
