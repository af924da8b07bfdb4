/* What a core can do at best, for `netc bench --profile`: the time of a
 * contraction whose operands stay in the first cache, made by the way that all
 * kernels go. Its schedule is written here, not chosen, so that the figure does
 * not move with the cost model. */
#include "codegen/driver_bench.h"

#include <stdlib.h>

enum { ROWS = 12, VECTORS = 2, DEPTH = 128, TIMES = 64, TRIES = 200 };

/* Where A (ROWS, DEPTH), B (DEPTH, columns) and C (TIMES, ROWS, columns) lie. */
typedef struct Places {
  int columns;
  long long left, right, result, end; /* bytes */
} Places;

static Places places_of(const Cpu *cpu) {
  Places p = {.columns = VECTORS * cpu->lanes, .left = 64};
  p.right = p.left + (long long)ROWS * DEPTH * 4;
  p.result = p.right + (long long)DEPTH * p.columns * 4;
  p.end = p.result + (long long)TIMES * ROWS * p.columns * 4;
  return p;
}

static void add_operand(Text *t, const char *format, const char *name, int rows,
                        int columns, long long at) {
  text_add(t, format, name);
  text_add(t, " f32[%d,%d] at %lld\n", rows, columns, at);
}

/* Half the rows are a tile where there are too few registers for all. */
static const char *peak_text(Arena *a, const Cpu *cpu, const Places *p) {
  int lanes = cpu->lanes, rows = cpu->registers < 32 ? ROWS / 2 : ROWS;
  Text t;
  text_init(&t, a);
  text_add(&t, "kernels cpu=%s scalars=0 bytes=%lld\n", cpu->name, p->end);
  add_operand(&t, "var %s weight", "a", ROWS, DEPTH, p->left);
  add_operand(&t, "var %s weight", "b", DEPTH, p->columns, p->right);
  text_add(&t, "func peak {\n");
  add_operand(&t, "buffer b0 var %s", "a", ROWS, DEPTH, p->left);
  add_operand(&t, "buffer b1 var %s", "b", DEPTH, p->columns, p->right);
  text_add(&t, "buffer b2 temp f32[%d,%d,%d] at %lld\n", TIMES, ROWS,
           p->columns, p->result);
  text_add(&t, "kernel 0 [%d %d %d | %d] {\n", TIMES, ROWS, p->columns, DEPTH);
  text_add(&t, "schedule order=[0 1 2 | 3] vector=2x%d tile=[1 %d %d | 1]\n",
           lanes, rows, VECTORS);
  text_add(&t, "%%0 = load b0[0 %d 0 | 1] : f32\n", DEPTH);
  text_add(&t, "%%1 = load b1[0 0 1 | %d] : f32\n", p->columns);
  text_add(&t, "%%2 = mul %%0, %%1 : f32\n%%3 = sum %%2 : f32\n");
  text_add(&t, "store b2[%d %d 1] = %%3\n}\n}\n", ROWS * p->columns,
           p->columns);
  return t.s;
}

/* The least time of some runs, milliseconds. */
static double least_ms(void (*run)(char *, NetPool *), char *memory) {
  Stopwatch w = stopwatch_new(true);
  double best = 1e9;
  for (int i = 0; i < TRIES; i++) {
    stopwatch_start(&w);
    run(memory, NULL);
    double ms = stopwatch_stop(&w);
    if (ms < best) best = ms;
  }
  return best;
}

double bench_peak(Arena *a, Target *t, const Cpu *cpu) {
  const Places p = places_of(cpu);
  const char *error = NULL, *text = peak_text(a, cpu, &p);
  Diags d;
  diags_init(&d, a);
  KModule *m = read_kmodule(a, &d, source_of_text(a, "peak", text));
  if (!m) defect("the kernel of the peak cannot be read");
  Jit *jit = jit_new(a, t, m, &error);
  size_t size = ((size_t)p.end + 63) / 64 * 64;
  char *memory = jit ? aligned_alloc(64, size) : NULL;
  double flops = 2.0 * (double)(TIMES * ROWS * DEPTH) * p.columns, rate = 0;
  if (memory) {
    float *operands = (float *)(void *)memory;
    for (long long i = 0; i < p.result / 4; i++) operands[i] = 1;
    rate = flops / least_ms(jit_find(jit, "peak"), memory) / 1e6;
  }
  free(memory);
  jit_free(jit);
  return rate;
}
