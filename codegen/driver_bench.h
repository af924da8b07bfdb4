/* What the files of `netc bench` share: a program in memory with made-up inputs,
 * and a watch.
 *
 *   driver_bench.c          the command; whole functions
 *   driver_bench_watch.c    the watch
 *   driver_bench_peak.c     what a core can do
 *   driver_profile.c        --profile: kernels one by one
 *   driver_profile_facts.c  what a kernel does, and what there is to say of it
 */
#ifndef NETC_DRIVER_BENCH_H
#define NETC_DRIVER_BENCH_H

#include "codegen/driver.h"

enum { FRESH_WEIGHTS = 100, WARM_UP = 3, LEAST_STEPS = 3 };
#define SECOND_MS 1000.0

/* driver_bench_watch.c: time that other programs do not lengthen, as far as that
 * can be known. */
typedef struct Stopwatch {
  bool alone; /* one thread works: its processor time counts if it is less */
  double wall, processor;             /* at the start, milliseconds */
  double wall_empty, processor_empty; /* what measuring nothing gives */
} Stopwatch;

typedef struct Bench {
  const Options *o;
  Arena *arena;
  Compile *c;
  NetProgram *p;
  Jit *jit;
  bool cached; /* the step came from the object cache */
  char *memory; /* the program's arena */
  char **given; /* the inputs of the function that is timed */
  int threads;
  NetPool *pool; /* NULL: one thread */
  Stopwatch watch;
} Bench;

Stopwatch stopwatch_new(bool alone);
void stopwatch_start(Stopwatch *w);
/* Milliseconds since the start. */
double stopwatch_stop(const Stopwatch *w);

/* driver_bench.c: weights as before the first step of a run, all samples real. Needs
 * init_fn.run. Inputs are drawn once for a function, and put into their places before
 * each step. */
NetScalars *bench_restart(const Bench *b, const NetFunction *f);
void bench_draw(Bench *b, const NetFunction *f);
void bench_give(const Bench *b, const NetFunction *f);

/* driver_bench_peak.c: products and sums in 1e9 a second that one core does in a
 * contraction whose operands lie in the first cache. 0: it cannot be compiled. */
double bench_peak(Arena *a, Target *t, const Cpu *cpu);

/* driver_profile.c: a table of the kernels of the function, the slowest first. */
Status profile(Bench *b, const char *name, const NetFunction *f);

/* driver_profile_facts.c */
typedef struct Work {
  double flops; /* 2 a product that is summed */
  double bytes; /* each element that is read or written once, and so counted */
  double costly; /* exp, log, tanh .. */
} Work;
Work kernel_work(const KFunc *f, const Kernel *k);
/* How often its group runs it; 1: it is in none. */
double kernel_chunks(const Kernel *k);

typedef struct Row { /* of the table */
  const Kernel *k;
  int number;
  Jit *jit;
  void (*run)(char *arena, NetPool *pool);
  double us, cycles; /* measured; by the cost model */
  double beyond;     /* us over cycles, as a multiple of the function's */
  Work work;
  double share, peak; /* of the function's time; of what the cores can do */
} Row;
/* What to do about the kernel, or NULL. `threads` that there are. */
const char *kernel_advice(Arena *a, const Row *r, int threads);

#endif
