/* A copy of a graph with the nodes that its outputs need, in the same order.
 * Lowering makes some that turn out to be of no use: a penalty times 0, the loss
 * in `predict`. Locations come along. */
#include "frontend/lower.h"

Graph *prune(Arena *a, const Graph *g) {
  Graph *to = graph_new(a, g->name);
  bool *live = arena_alloc(a, (size_t)g->n_nodes + 1);
  Node **copy = arena_alloc(a, ((size_t)g->n_nodes + 1) * sizeof *copy);
  for (int i = 0; i < g->n_outputs; i++)
    live[g->output[i].node->id] = true;
  for (int id = g->n_nodes - 1; id >= 0; id--) /* operands have smaller ids */
    for (int k = 0; live[id] && k < g->node[id]->n_in; k++)
      live[g->node[id]->in[k]->id] = true;
  for (int id = 0; id < g->n_nodes; id++) {
    const Node *n = g->node[id];
    if (!live[id])
      continue;
    Node **in = arena_alloc(a, ((size_t)n->n_in + 1) * sizeof *in);
    for (int k = 0; k < n->n_in; k++)
      in[k] = copy[n->in[k]->id];
    to->loc = (Loc){0};
    copy[id] = graph_add(to, n->op, &n->attr, n->n_in, in, &n->type);
    for (int k = 0; k < n->n_locs; k++)
      graph_add_loc(to, copy[id], n->locs[k]);
  }
  for (int i = 0; i < g->n_outputs; i++)
    graph_output(to, g->output[i].kind, g->output[i].name,
                 copy[g->output[i].node->id]);
  return to;
}
