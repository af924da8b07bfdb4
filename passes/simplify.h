/* What the files of the pass `simplify` share: simplify.c runs the rules,
 * simplify_math.c and simplify_views.c hold them. A rule sees a node of the
 * new graph, whose operands are simple already, and returns what it equals or
 * NULL; it makes nodes through simplify_node, so that they are simple too. */
#ifndef NETC_SIMPLIFY_H
#define NETC_SIMPLIFY_H

#include "ir/ir.h"

typedef struct Simplify {
  Graph *g;
  bool loose;      /* also the rules that infinities, NaN or rounding break */
  bool has_grads;  /* `stop` still has a meaning */
} Simplify;

typedef Node *Rewrite(Simplify *s, Node *n);
typedef struct RewriteRule {
  Op op;
  Rewrite *rule; /* NULL ends the table */
} RewriteRule;

extern const RewriteRule math_rules[], view_rules[];

/* Applies rules to a node until none fits. */
Node *simplify_node(Simplify *s, Node *n);

static inline bool is_const(const Node *n, double v) {
  return n->op == OP_CONST && n->attr.value == v;
}

#endif
