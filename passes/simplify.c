/* Algebra that keeps the value: rebuilds each graph and applies the rules of
 * simplify_math.c and simplify_views.c to each node until none fits. Rules
 * that infinities, NaN or rounding break stand in the tables like the others
 * but ask `loose`, which is off. New nodes carry the locations of the node
 * that they stand for. */
#include "passes/simplify.h"

#include "passes/passes.h"
#include "passes/rebuild.h"

/* One step, or NULL. */
static Node *rewrite(Simplify *s, Node *n) {
  static const RewriteRule *const tables[] = {math_rules, view_rules};
  for (int t = 0; t < 2; t++)
    for (const RewriteRule *r = tables[t]; r->rule; r++)
      if (r->op == n->op || r->op == OP_COUNT) {
        Node *better = r->rule(s, n);
        if (better && better != n)
          return better;
      }
  return NULL;
}

Node *simplify_node(Simplify *s, Node *n) {
  for (Node *better; (better = rewrite(s, n));) {
    if (!type_equal(&better->type, &n->type))
      defect("a rule for %s changes the type", op_info[n->op].text);
    n = better;
  }
  return n;
}

typedef struct Context {
  const Graph *old;
  bool loose, has_grads;
} Context;

static Node *remake(void *context, const Rebuild *r, const Node *n,
                    Node *const *in) {
  Context *c = context;
  if (c->old != r->old) {
    c->old = r->old;
    c->has_grads = false;
    for (int id = 0; id < r->old->n_nodes; id++)
      c->has_grads |= r->live[id] && r->old->node[id]->op == OP_GRAD;
  }
  Simplify s = {.g = r->g, .loose = c->loose, .has_grads = c->has_grads};
  Node *copy = graph_copy(r->g, n, in);
  int first = r->g->n_nodes;
  r->g->loc = n->n_locs ? n->locs[0] : (Loc){0};
  Node *simple = simplify_node(&s, copy);
  graph_add_locs(r->g, first, n);
  r->g->loc = (Loc){0};
  return simple;
}

Module *simplify_module(Arena *a, const Module *m, bool loose) {
  Context c = {.loose = loose};
  return module_rebuild(a, m, remake, &c);
}

Module *pass_simplify(Arena *a, const Module *m, Diags *d) {
  (void)d; /* nothing here can be the user's mistake */
  return simplify_module(a, m, false);
}
