/* Inside layout*.c: the search for the orders of axes, and its parts. */
#ifndef NETC_LAYOUT_H
#define NETC_LAYOUT_H

#include "passes/schedule.h"

typedef struct Ids {
  int n, capacity;
  int *id;
} Ids;

/* Kernels keep their numbers while copies are added behind them; where a copy
 * runs is settled at the end. Once nothing has changed that a trial looks at, it
 * is not made again. */
typedef struct Layout {
  Arena *arena;
  Arena *trial; /* for kernels that are only looked at */
  KFunc *f;
  Memo *memo;
  int n_given;          /* kernels that are no copies */
  double *cost;         /* least cycles of each kernel; < 0: not known */
  Ids *users;           /* of each buffer: the kernels that touch it */
  Ids *copies;          /* that run just before a kernel */
  int *before;          /* of each copy: that kernel */
  Kernel **rest;        /* that runs just behind one, see take_apart; or NULL */
  int clock, *changed;  /* of each kernel: when */
  int *tried, *refused; /* of each buffer and kernel: when it was tried last */
} Layout;

enum {
  SMALL = 64,         /* elements: not worth a thought */
  SMALL_KERNEL = 6000 /* cycles */
};
static const double worth = 0.97; /* a gain below this is within the model's error */

/* The part of a buffer that a kernel may touch: along each axis. */
typedef struct Box {
  int64_t first[MAX_RANK], count[MAX_RANK];
} Box;

/* layout_kernel.c: the cycles of a kernel, whose loops become simple; those of a kernel
 * of the function as it is now. */
double layout_cycles(const Layout *s, Kernel *k);
double layout_cost(Layout *s, int kernel);
/* Whether kernel k could find axis `inner` of the buffer innermost. */
bool layout_is_simple(const Layout *s, const Kernel *k, int buffer, int inner);
Box layout_whole(const Type *t);
bool layout_is_whole(const Type *t, const Box *box);
/* The least box with all that k, whose accesses are simple, finds in the buffer. */
Box layout_box(const Layout *s, const Kernel *k, int buffer);
Type layout_type(const Type *t, const Box *box); /* of that part */
/* A copy of kernel k, in the arena, that finds this box of `buffer`, with axis
 * `inner` innermost, as buffer `as`. */
Kernel *layout_moved(Arena *a, const Layout *s, const Kernel *k, int buffer,
                     const Box *box, int inner, int as);
/* Whether it sums products; whether it stores several parts of one buffer: a transform,
 * whose results a contraction wants in its order; whether it stores to the buffer. */
bool layout_sums_products(const Kernel *k);
bool layout_is_transform(const Kernel *k);
bool layout_stores(const Kernel *k, int buffer);

/* layout.c: whether the axes of a buffer may stand in another order. */
bool layout_can_move(const Layout *s, int buffer);
void layout_add_id(Arena *a, Ids *ids, int id);

/* layout_copy.c: tries a copy of an operand of a contraction, or of what is transformed
 * for one. */
void layout_copy_operand(Layout *s, int kernel);

#endif
