/* Inside the pass `fuse`: shared by its three files. */
#ifndef NETC_FUSE_H
#define NETC_FUSE_H

#include "ir/kernel.h"

/* What is known while the kernels of one function are built. Arrays are indexed
 * by node id. */
typedef struct Fuse {
  Arena *arena;
  const Graph *g;
  KFunc *f;
  int *uses;   /* by consumers that compute, seen through views */
  int *users;  /* nodes that have it as an operand */
  const Node **user; /* the last of them */
  int *cost;   /* instructions to compute the node from what is materialised */
  bool *mat;   /* has a buffer of its own */
  int *buffer; /* of materialised nodes and leaves; -1 */
  bool again;  /* a node was found to need a buffer: build once more */
  /* the kernel at hand */
  Kernel *k;
  Instr *instr; /* room for its instructions while it is made */
  int cap_instrs;
  const Node *self;     /* computed here, although materialised */
  const Node *core;     /* the reduction, or NULL */
  bool in_body;         /* emitting an operand of the reduction */
  struct Memo *memo;    /* values already emitted */
  int n_memo, cap_memo;
} Fuse;

/* fuse_emit.c: the value of node n at index `idx` (one affine for each axis), as
 * an instruction; `guard` is a predicate that loads must respect, or -1. */
int fuse_emit(Fuse *s, const Node *n, const Affine *idx, int guard);
void fuse_force(Fuse *s, const Node *n);
/* An operand of a dot is read many times, so it has to be a load: the node below its
 * views that must have a buffer for that; NULL: it is one. */
const Node *fuse_operand(const Fuse *s, const Node *x);
int fuse_clamp(Fuse *s, int index, int64_t extent);
bool fuse_is_leaf(const Node *n);
Affine fuse_offset(const Type *t, const Affine *idx);

/* Rewrites of the graph that only pay when kernels are built from it.
 * fuse_fold.c: overlap-adds of contractions as contractions.
 * fuse_slice.c: contractions of which a slice is kept.
 * fuse_pad.c: values that are read with and without a border.
 * winograd*.c: convolutions with fewer products. */
Graph *fuse_folds(Arena *a, const Graph *g);
Graph *fuse_slices(Arena *a, const Graph *g);
Graph *fuse_pads(Arena *a, const Graph *g);
Graph *fuse_winograd(Arena *a, const Graph *g);

/* fuse_fold.c: the dot below a chain of permutes, or NULL; axis[i] is its axis that is
 * axis i of x. */
Node *fuse_dot_below(Node *x, int *axis);
/* The operands of a dot whose axis k is folded into axis y, with their roles: `rows`
 * has the folded axis among its free ones, `taps` the window's. */
typedef struct FoldParts {
  Node *rows, *taps;
  bool swapped; /* rows is the dot's second operand */
  int batch, contract, row_axis, tap_axis; /* axes of the operands */
} FoldParts;
/* False: both axes are of one operand, or of both. */
bool fuse_fold_parts(const Node *dot, int y, int k, FoldParts *p);

/* fuse_order.c: an order of execution in which updates may be in place. */
void fuse_order(Arena *a, KFunc *f);
/* fuse_merge.c: joins neighbours of one shape into kernels of several stores. */
void fuse_merge(Arena *a, KFunc *f);

#endif
