/* The objects of one function of a program. */
#ifndef NETC_OBJECTS_H
#define NETC_OBJECTS_H

#include "codegen/cache.h"

enum { MAX_OBJECTS = 8 };
typedef struct Objects {
  int n;
  Bytes object[MAX_OBJECTS]; /* the first has net_fn_NAME; in the arena */
} Objects;

/* objects.c: cache: NULL for none. *cached: nothing had to be compiled. */
Objects objects_of(Arena *a, const Target *t, const KModule *m, const KFunc *f,
                   Cache *cache, bool *cached);

#endif
