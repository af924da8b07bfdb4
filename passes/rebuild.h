/* How a pass makes a new graph from an old one: node by node in order, each in
 * terms of the new ones. What the outputs do not reach is left behind; names
 * and order of outputs stay. */
#ifndef NETC_REBUILD_H
#define NETC_REBUILD_H

#include "ir/ir.h"

typedef struct Rebuild {
  const Graph *old;
  Graph *g;    /* the new one */
  bool *live;  /* by old id: reached from an output */
  Node **map;  /* by old id: the new node, NULL before its turn */
} Rebuild;

/* Makes what stands for the old node `n`, whose operands have become `in`. */
typedef Node *Remake(void *context, const Rebuild *r, const Node *n,
                     Node *const *in);

Graph *graph_rebuild(Arena *a, const Graph *old, Remake *make, void *context);
/* A module with the variables of m and each graph rebuilt. */
Module *module_rebuild(Arena *a, const Module *m, Remake *make, void *context);
/* The same operation on new operands, with the locations of n. */
Node *graph_copy(Graph *g, const Node *n, Node *const *in);
/* Gives the nodes of g from id `first` on the locations of n. */
void graph_add_locs(Graph *g, int first, const Node *n);
/* By id: the one node that has it as an operand, once; NULL: none, several, or it is
 * an output. */
const Node **graph_only_readers(Arena *a, const Graph *g);
/* Marks what the outputs reach; by id. */
bool *graph_live(Arena *a, const Graph *g);

#endif
