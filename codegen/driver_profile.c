/* `netc bench --profile`: one row a kernel. Each kernel is compiled as a function
 * of its own, and these are called one after the other as a step would, each
 * between two looks at the watch: so every kernel finds the numbers and the caches
 * that it finds in a step. Of the steps' times the least counts.
 *
 * Loops are shown outermost first, as EXTENT/TILE, the vectors' one with vLANES;
 * reduced ones stand behind the bar. */
#include "codegen/driver_bench.h"

#include <stdlib.h>
#include <string.h>

enum { LOOPS_WIDTH = 32, SOURCE_WIDTH = 29, ADVICE_ROWS = 8 };
#define WORTH_ADVICE 0.04 /* of the time */
#define GOOD 0.7          /* of the peak */

typedef struct Profile {
  Bench *b;
  const NetFunction *f;
  const KFunc *kernels;
  Row *row;
  int n, threads;
  double us, together, peak; /* sum; whole steps; GFLOP/s of a core */
} Profile;

/* --- measuring ------------------------------------------------------------ */

/* A program that is this kernel alone, where the whole one has it. */
static const char *compile_kernel(Profile *p, Row *r) {
  Arena *a = p->b->arena;
  const char *error = NULL;
  KFunc *f = arena_alloc(a, sizeof *f);
  KModule *m = arena_alloc(a, sizeof *m);
  *f = *p->kernels;
  f->name = "kernel";
  f->n_kernels = 1;
  f->kernel = arena_alloc(a, sizeof(Kernel *));
  f->kernel[0] = p->kernels->kernel[r->number];
  *m = *p->b->c->stage.kernels;
  m->n_funcs = 1;
  m->func[0] = f;
  r->jit = jit_new(a, p->b->c->target, m, &error);
  if (r->jit) r->run = jit_find(r->jit, f->name);
  return error;
}

static void one_step(Profile *p, bool apart) {
  Bench *b = p->b;
  bench_give(b, p->f);
  if (!apart) {
    stopwatch_start(&b->watch);
    p->f->run(b->memory, b->pool);
    double us = stopwatch_stop(&b->watch) * 1e3;
    if (us < p->together) p->together = us;
    return;
  }
  for (int i = 0; i < p->n; i++) {
    stopwatch_start(&b->watch);
    p->row[i].run(b->memory, b->pool);
    double us = stopwatch_stop(&b->watch) * 1e3;
    if (us < p->row[i].us) p->row[i].us = us;
  }
}

/* Steps of kernels and whole steps take turns, so that both see the same
 * machine. */
static void measure(Profile *p) {
  const Options *o = p->b->o;
  double began = now_ms();
  NetScalars *s = NULL;
  bench_draw(p->b, p->f);
  for (int n = 0; o->steps ? n < o->steps
                           : now_ms() - began < 2 * SECOND_MS ||
                                 n < LEAST_STEPS;
       n++) {
    if (n % FRESH_WEIGHTS == 0) s = bench_restart(p->b, p->f);
    s->step++;
    one_step(p, true);
    one_step(p, false);
  }
}

static int slower(const void *a, const void *b) {
  const Row *x = a, *y = b;
  return x->us == y->us ? x->number - y->number : x->us < y->us ? 1 : -1;
}

static void work_out(Profile *p, const Cpu *cpu) {
  double cycles = 0;
  for (int i = 0; i < p->n; i++) {
    Row *r = &p->row[i];
    r->cycles = choose_schedule(r->k, cpu).cycles * kernel_chunks(r->k);
    cycles += r->cycles;
    p->us += r->us;
  }
  for (int i = 0; i < p->n; i++) {
    Row *r = &p->row[i];
    r->work = kernel_work(p->kernels, r->k);
    r->share = r->us / p->us;
    r->beyond = r->us / r->cycles / (p->us / cycles);
    r->peak = r->us > 0 ? r->work.flops / r->us / 1e3 / p->peak / p->threads
                        : 0;
  }
  qsort(p->row, (size_t)p->n, sizeof *p->row, slower);
}

/* --- the table ------------------------------------------------------------ */

static const char *loops_text(Arena *a, const Kernel *k) {
  const Schedule *s = &k->schedule;
  Text t;
  text_init(&t, a);
  for (int i = 0; i < s->n_order; i++) {
    int d = s->order[i];
    text_add(&t, "%s%s%lld", i ? " " : "", i == k->n_par ? "| " : "",
             (long long)k->extent[d]);
    if (s->tile[d] > 1) text_add(&t, "/%d", s->tile[d]);
    if (d == s->vec) text_add(&t, "v%d", s->lanes);
  }
  return t.s;
}

/* Lines of the source, each with the stages on it: "13 conv1 dropout1". Other
 * files than the program's are named. */
static const char *source_text(Arena *a, const Kernel *k, const char *path) {
  Text t;
  text_init(&t, a);
  text_add(&t, "%s", "");
  for (int i = 0; i < k->n_locs; i++) {
    const Loc *l = &k->locs[i];
    bool again = false;
    for (int j = 0; j < i; j++) again |= k->locs[j].line == l->line;
    if (again) continue;
    const char *name = strrchr(l->file, '/');
    text_add(&t, "%s", t.n ? ", " : "");
    if (strcmp(l->file, path) != 0)
      text_add(&t, "%s:", name ? name + 1 : l->file);
    text_add(&t, "%d", l->line);
    for (int j = i; j < k->n_locs; j++)
      if (k->locs[j].line == l->line && k->locs[j].stage)
        text_add(&t, " %s", k->locs[j].stage);
  }
  return t.s;
}

/* Text that is too long ends with two points. */
/* That threads share. */
static long long pieces_of(const Kernel *k) {
  return k->group ? (long long)k->group->parts : (long long)k->schedule.pieces;
}

static const char *cut(Arena *a, const char *text, int width) {
  int n = (int)strlen(text);
  return n <= width ? text : arena_printf(a, "%.*s..", width - 2, text);
}

static const char *number_or_none(Arena *a, double value, int digits) {
  return value > 0 ? arena_printf(a, "%.*f", digits, value) : "-";
}

static void print_row(const Profile *p, const Row *r) {
  Arena *a = p->b->arena;
  double seconds = r->us > 0 ? r->us * 1e-6 : 1e-9;
  printf("%3d %8.2f %5.1f%% %7s %5s %6s %8.1f %4lld  %-*s  %s\n", r->number,
         r->us, 100 * r->share,
         number_or_none(a, r->work.flops / seconds / 1e9, 1),
         r->work.flops > 0 ? arena_printf(a, "%.0f%%", 100 * r->peak) : "-",
         number_or_none(a, r->work.bytes / seconds / 1e9, 1),
         r->cycles / 1e3, pieces_of(r->k), LOOPS_WIDTH,
         cut(a, loops_text(a, r->k), LOOPS_WIDTH),
         cut(a, source_text(a, r->k, p->b->o->file), SOURCE_WIDTH));
}

static void print_table(const Profile *p, const char *name) {
  printf("\n%s: %d kernels, %.1f us one by one, %.1f us together; a core does "
         "%.1f GFLOP/s\n", name, p->n, p->us, p->together, p->peak);
  printf("%3s %8s %6s %7s %5s %6s %8s %4s  %-*s  %s\n", "#", "us", "share",
         "GFLOP/s", "peak", "GB/s", "kcycles", "cut", LOOPS_WIDTH,
         "loops/tile, v: vector", "line and stage");
  for (int i = 0; i < p->n; i++) print_row(p, &p->row[i]);
}

/* What contractions take and what the rest does. */
static void print_sums(const Profile *p) {
  double us = 0, flops = 0;
  for (int i = 0; i < p->n; i++) {
    if (p->row[i].work.flops == 0) continue;
    us += p->row[i].us;
    flops += p->row[i].work.flops;
  }
  if (us > 0)
    printf("contractions take %.1f%% of the time, at %.0f%% of the peak; the "
           "whole step is at %.0f%%\n", 100 * us / p->us,
           flops / us / 10 / p->peak / p->threads,
           flops / p->us / 10 / p->peak / p->threads);
  for (int i = 0, told = 0; i < p->n && told < ADVICE_ROWS; i++) {
    const Row *r = &p->row[i];
    if (r->share < WORTH_ADVICE || r->peak > GOOD) continue;
    const char *advice = kernel_advice(p->b->arena, r, p->threads);
    if (!advice) continue;
    printf("kernel %d %s\n", r->number, advice);
    told++;
  }
}

Status profile(Bench *b, const char *name, const NetFunction *f) {
  Profile p = {.b = b, .f = f, .together = 1e12};
  const Compile *c = b->c;
  const char *error = NULL;
  Cpu cpu = cpu_find(b->arena, target_cpu(c->target),
                     target_features(c->target));
  p.kernels = kmodule_find(c->stage.kernels, name);
  p.n = p.kernels->n_kernels;
  p.threads = b->pool ? b->threads : 1;
  p.row = arena_alloc(b->arena, (size_t)(p.n + 1) * sizeof *p.row);
  int made = 0;
  for (; made < p.n && !error; made++) {
    p.row[made] = (Row){.k = p.kernels->kernel[made], .number = made,
                        .us = 1e12};
    error = compile_kernel(&p, &p.row[made]);
  }
  if (!error) {
    p.peak = bench_peak(b->arena, c->target, &cpu);
    measure(&p);
    work_out(&p, &cpu);
    print_table(&p, name);
    print_sums(&p);
  }
  for (int i = 0; i < made; i++) jit_free(p.row[i].jit);
  return error ? resource_error("cannot compile in memory: %s", error)
               : STATUS_DONE;
}
