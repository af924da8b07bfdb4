/* Inside the pass `recompute`. */
#ifndef NETC_RECOMPUTE_H
#define NETC_RECOMPUTE_H

#include "passes/plan.h"

/* recompute.c: the kernel while which most bytes of the function are alive, and how
 * many. */
int recompute_peak(const KFunc *f, const Life *life, int64_t *bytes);
/* recompute_tell.c: that this function does not fit, and what lies there when most
 * is alive. */
void recompute_tell(Arena *a, Diags *d, const KModule *m, KFunc *f);

#endif
