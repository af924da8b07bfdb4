/* The passes over modules. Each is a file and a row of the pass table in
 * pass.c, from which the command line, the dumps and the golden folders come.
 * A pass makes new graphs; it leaves its operand alone. */
#ifndef NETC_PASSES_H
#define NETC_PASSES_H

#include "ir/ir.h"
#include "ir/kernel.h"

/* grad.c: expands OP_GRAD into the adjoints. NULL after a diagnostic that
 * lists every derivative that is missing. */
Module *pass_grad(Arena *a, const Module *m, Diags *d);

/* simplify.c: algebra that keeps the value. */
Module *pass_simplify(Arena *a, const Module *m, Diags *d);
/* The same; `loose` also applies rules that infinities, NaN or rounding break. */
Module *simplify_module(Arena *a, const Module *m, bool loose);

/* functions.c: puts what `make` makes of each function into to[0, n), several at a
 * time on threads of their own, each in memory of its own that then is a part of
 * `a`. `make` may only read `context` and what is behind it. */
typedef KFunc *MakeFunction(Arena *a, const void *context, int i);
void make_functions(Arena *a, int n, MakeFunction *make, const void *context,
                    KFunc **to);

/* fuse.c: from graphs to kernels. Needs no OP_GRAD; keeps locations. `direct`:
 * convolutions with all their products, which needs less memory. */
KModule *pass_fuse(Arena *a, const Module *m, bool direct);

/* cpu.c: what the cost model knows of a processor. */
typedef struct Cpu {
  const char *name;
  int lanes;     /* f32 in a vector register */
  int registers; /* vector registers */
  int issue;     /* vector instructions a cycle, of arithmetic and of loads each */
  double splat;  /* to load a number into all lanes, in loads of a vector */
  int l1_ways;   /* of the first cache: each is 4 KiB */
  int l2_kib, l2_ways;
  double line;       /* cycles for a line from there, beside its neighbours */
  double lone_line;  /* and without them */
  double store_miss; /* cycles that a scattered store waits for one */
} Cpu;
/* The table's row of that name, or one for an unknown name with `features` as
 * LLVM writes them ("+avx2,+fma"; NULL: none known). */
Cpu cpu_find(Arena *a, const char *name, const char *features);

/* schedule.c: how each kernel's loops are run on this processor. Merges
 * dimensions that need not be apart, then asks the cost model. `direct`: a batch
 * stays whole, which `recompute` needs. */
KModule *pass_schedule(Arena *a, const KModule *m, const Cpu *cpu, bool direct);
/* choose.c: the schedule of a kernel that the cost model (cost.c) likes best. */
typedef struct Choice {
  Schedule schedule;
  double cycles; /* as the model estimates them */
  double far;    /* of these, since the second cache is too small */
} Choice;
Choice choose_schedule(const Kernel *k, const Cpu *cpu);

/* recompute.c: where the plan would need more than the module's limit, computes
 * cheap values again. Needs schedules. NULL after a diagnostic if it does not fit
 * in spite of that. */
KModule *pass_recompute(Arena *a, const KModule *m, const Cpu *cpu, Diags *d);

/* plan.c: lifetimes of buffers, and offsets in one arena. */
KModule *pass_plan(Arena *a, const KModule *m);

/* pass.c: the table of passes and the runner. A stage is a Module up to
 * `simplify`, a KModule from `fuse` on. */
typedef enum PassId {
  PASS_GRAD, PASS_SIMPLIFY, PASS_FUSE, PASS_SCHEDULE, PASS_RECOMPUTE,
  PASS_PLAN, PASS_COUNT
} PassId;
typedef struct PassInfo {
  const char *name;    /* on the command line, in dumps, of the golden folder */
  const char *purpose; /* one line */
  bool from_kernels, to_kernels;
} PassInfo;
extern const PassInfo pass_info[PASS_COUNT];

typedef struct Stage { /* exactly one is not NULL */
  Module *module;
  KModule *kernels;
} Stage;

typedef struct PassRun {
  Arena *arena;
  Diags *diags;
  Cpu cpu;          /* for `schedule` */
  bool direct;      /* for `fuse` and `schedule` */
  bool times;       /* -v: a line for each pass on stderr */
} PassRun;
/* Runs one pass and the verifier after it (a violation is a defect). False after
 * a diagnostic. */
bool pass_run(PassRun *r, PassId pass, Stage *stage);

#endif
