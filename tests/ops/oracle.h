/* Generated code against the interpreter: compiles every function of a module,
 * runs it on drawn values and compares all results and updated variables. */
#ifndef NETC_ORACLE_H
#define NETC_ORACLE_H

#include "ir/ir.h"
#include "passes/passes.h"

typedef struct Oracle {
  /* The value of a leaf, type_count doubles; NULL: drawn values. */
  const double *(*value)(void *context, Op op, const char *name);
  void *context;
  double step; /* the scalar, and the update's number for random bits */
  const char *cpu; /* NULL: this machine */
  int level;       /* -O */
  int lanes;       /* of the cost model; 0: as the cpu has */
  uint64_t seed;   /* of random bits and of the drawn values */
  double tolerance; /* relative to the tensor's largest magnitude, or 0.1 */
} Oracle;

/* NULL if all agree; else what does not, as a text in the arena. `m` has been
 * through the graph passes. */
const char *oracle_compare(Arena *a, const Module *m, const Oracle *o);
/* Its two halves, for code that runs elsewhere: m->bytes of memory with the values
 * that `f` reads, to be freed; and what the function of `g`, planned as `f`, must
 * have made of it. */
char *oracle_arena(Arena *a, const KModule *m, const KFunc *f, const Oracle *o);
const char *oracle_check(Arena *a, const Graph *g, const KModule *m,
                         const KFunc *f, const char *memory, const Oracle *o);

#endif
