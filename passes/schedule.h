/* Inside the pass `schedule`. */
#ifndef NETC_SCHEDULE_H
#define NETC_SCHEDULE_H

#include "passes/passes.h"

/* schedule.c: a copy without dimensions of extent 1, and with those merged that
 * every access steps through as one. */
Kernel *simpler_loops(Arena *a, const Kernel *from);
Kernel *kernel_copy(Arena *a, const Kernel *from);

/* layout.c: orders of axes in memory; changes kernels, buffers and their number. */
void layout_choose(Arena *a, KFunc *f, const Cpu *cpu);

#endif
