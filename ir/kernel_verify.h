/* Inside the verifier of kernels: shared by its files. */
#ifndef NETC_KERNEL_VERIFY_H
#define NETC_KERNEL_VERIFY_H

#include "ir/kernel.h"

typedef struct KRange { /* of a whole number */
  int64_t low, high;
} KRange;

typedef struct KCheck {
  Arena *arena;
  const KModule *m;
  int *vars; /* numbers of variables, by name */
  /* the function and the kernel at hand */
  const KFunc *f;
  const Kernel *k;
  bool *filled;      /* by buffer: has a value */
  int *store_of;     /* by buffer: the kernel's store of it, or -1 */
  const Group **owner; /* by buffer: the group that has it, if it is local */
  bool draws;        /* a kernel of the function draws random numbers */
  uint32_t *depends; /* by instruction: see kernel_depends */
  KRange *range;     /* by instruction: where a whole number lies */
  KViolation v;
} KCheck;

#define KFAIL(...)                                                             \
  do {                                                                         \
    c->v.text = arena_printf(c->arena, __VA_ARGS__);                           \
    return false;                                                              \
  } while (0)

/* kernel_verify.c: the number of a variable, or -1. */
int kcheck_var(const KCheck *c, const char *name);
/* The place of a scalar among the scalars of the arena, or -1. */
int kcheck_scalar(const char *name);
/* The least and greatest value over the kernel's extents; false if one of them
 * does not fit. */
bool kcheck_range(const Kernel *k, const Affine *a, int64_t *low,
                  int64_t *high);

/* The same without the steps along a group's parts and turns. */
bool kcheck_range_in(const Kernel *k, const Affine *a, int64_t *low,
                     int64_t *high);

/* kernel_verify_memory.c: accesses among each other and with the kernels before,
 * each good by itself; notes what is filled. False after a violation. */
bool kcheck_memory(KCheck *c);

/* kernel_verify_group.c: what kernel number `kernel`, good by itself, is to those
 * of its group. False after a violation. */
bool kcheck_group(KCheck *c, int kernel);

/* kernel_verify_plan.c: each false after a violation. */
bool kcheck_schedule(KCheck *c);
bool kcheck_plan_func(KCheck *c);
bool kcheck_plan(KCheck *c);

#endif
