/* Small graphs for every row of the operation table, on shapes with 1, odd and
 * prime sizes. The finite differences, the simplifier's tests and the
 * comparison of generated code with the interpreter all run on them.
 *
 * A case is a module with one function, `train`:
 *   operands  parameters (f32) and states (other types) a, b, c .. (pos.a if
 *             it must be positive), the input x and scalars; case_leaf gives
 *             them values
 *   results   y, what the operation makes of them; where y is a float also
 *             loss = sum of y times the state w, and d.NAME, the derivative of
 *             loss by each float operand (OP_GRAD) */
#ifndef NETC_OPS_CASES_H
#define NETC_OPS_CASES_H

#include "ir/ir.h"

enum { CASE_LEAVES = 8, CASE_SEED = 7, CASE_STEP = 3 };

typedef struct CaseLeaf {
  Node *node; /* in `module` */
  double least, most;
} CaseLeaf;

typedef struct OpCase {
  const char *name; /* "window 3" */
  Module *module;
  Graph *g;    /* its function */
  bool frozen; /* the derivative is 0 by decree: no differences */
  int n_leaves;
  CaseLeaf leaf[CASE_LEAVES];
} OpCase;

/* Makes case `which` (from 0) of an operation; false past the last one. */
bool op_case(Arena *a, Op op, int which, OpCase *c);
/* The value of a leaf of any graph made from the case's: found by operation
 * and name, type_count doubles, each exact in the leaf's type. NULL if the case
 * has no such leaf. */
const double *case_leaf(Arena *a, const OpCase *c, Op op, const char *name);
/* The values of all nodes of `g`; `change` (or NULL) is a leaf of which element
 * `i` is moved by `by`. */
double **case_eval(Arena *a, const OpCase *c, const Graph *g,
                   const CaseLeaf *change, int64_t i, double by);
/* The node of a result; NULL if there is none. */
const Node *case_result(const Graph *g, const char *name);

#endif
