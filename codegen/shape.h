/* Shapes of kernels: what their code depends on. */
#ifndef NETC_SHAPE_H
#define NETC_SHAPE_H

#include "ir/kernel.h"

/* Two kernels of one shape differ in where their buffers lie and in which random
 * numbers they draw, and in nothing else that code generation looks at. */
typedef struct Shape {
  int n_words;
  const int64_t *word; /* equal words, equal shapes */
  uint64_t hash;       /* of the words */
  int n_buffers;
  const int *buffer; /* those that it touches, in the order of the words */
  int n_rands;
  const int *rand; /* its instructions that draw random numbers */
} Shape;
Shape shape_of(Arena *a, const KFunc *f, const Kernel *k);

/* What one code for all kernels of a shape is told of each: the offsets of its
 * buffers, and then the places of its random numbers. */
static inline int shape_facts(const Shape *s) {
  return s->n_buffers + s->n_rands;
}
int64_t shape_fact(const Shape *s, const KFunc *f, const Kernel *k, int i);

/* The kernels of a function by their shapes. */
typedef struct Shapes {
  int n; /* kernels */
  Shape *shape;
  int *first; /* of each kernel: the first one of the same shape, maybe itself */
  int *uses;  /* of each that is the first: how many have its shape */
} Shapes;
Shapes shapes_find(Arena *a, const KFunc *f);

#endif
