/* What `plan` and `recompute` know of lives. */
#ifndef NETC_PLAN_H
#define NETC_PLAN_H

#include "passes/passes.h"

/* plan.c: the kernels, by number, between which a buffer's bytes are its own. */
typedef struct Life {
  int buffer;
  int first; /* -1: an input, there from the start */
  int last;  /* the number of kernels: a result, there to the end */
  int64_t bytes;
} Life;
/* Of all buffers of the function, by number. */
Life *plan_lives(Arena *a, const KFunc *f);
/* Whether its place is the module's and not the function's. */
static inline bool plan_is_fixed(const Buffer *b) {
  return b->kind == BUF_VAR || b->kind == BUF_SCALAR;
}
/* The bytes of the whole arena if `f` were the only function. */
int64_t plan_bytes(Arena *a, const KModule *m, KFunc *f);

#endif
