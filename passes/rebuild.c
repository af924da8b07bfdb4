/* Rebuilding of graphs, see rebuild.h: the one loop that passes over graphs
 * share. Operands stand before their users, so one sweep down marks what is
 * live, and one sweep up maps it. */
#include "passes/rebuild.h"

bool *graph_live(Arena *a, const Graph *g) {
  bool *live = arena_alloc(a, (size_t)g->n_nodes * sizeof *live);
  for (int i = 0; i < g->n_outputs; i++)
    live[g->output[i].node->id] = true;
  for (int id = g->n_nodes - 1; id >= 0; id--)
    for (int i = 0; live[id] && i < g->node[id]->n_in; i++)
      live[g->node[id]->in[i]->id] = true;
  return live;
}

const Node **graph_only_readers(Arena *a, const Graph *g) {
  size_t nodes = (size_t)g->n_nodes + 1;
  const Node **reader = arena_alloc(a, nodes * sizeof *reader);
  bool *read = arena_alloc(a, nodes * sizeof *read);
  for (int i = 0; i < g->n_outputs; i++)
    read[g->output[i].node->id] = true;
  for (int i = 0; i < g->n_nodes; i++)
    for (int o = 0; o < g->node[i]->n_in; o++) {
      int id = g->node[i]->in[o]->id;
      reader[id] = read[id] ? NULL : g->node[i];
      read[id] = true;
    }
  return reader;
}

void graph_add_locs(Graph *g, int first, const Node *n) {
  for (int id = first; id < g->n_nodes; id++)
    for (int i = 0; i < n->n_locs; i++)
      graph_add_loc(g, g->node[id], n->locs[i]);
}

Node *graph_copy(Graph *g, const Node *n, Node *const *in) {
  Node *copy = graph_add(g, n->op, &n->attr, n->n_in, in, &n->type);
  for (int i = 0; i < n->n_locs; i++)
    graph_add_loc(g, copy, n->locs[i]);
  return copy;
}

Graph *graph_rebuild(Arena *a, const Graph *old, Remake *make, void *context) {
  Rebuild r = {.old = old, .g = graph_new(a, old->name)};
  int most = 0;
  for (int id = 0; id < old->n_nodes; id++)
    most = old->node[id]->n_in > most ? old->node[id]->n_in : most;
  Node **in = arena_alloc(a, (size_t)most * sizeof *in);
  r.live = graph_live(a, old);
  r.map = arena_alloc(a, (size_t)old->n_nodes * sizeof *r.map);
  for (int id = 0; id < old->n_nodes; id++) {
    const Node *n = old->node[id];
    if (!r.live[id])
      continue;
    for (int i = 0; i < n->n_in; i++)
      in[i] = r.map[n->in[i]->id];
    r.map[id] = make(context, &r, n, in);
  }
  for (int i = 0; i < old->n_outputs; i++) {
    const Output *o = &old->output[i];
    graph_output(r.g, o->kind, o->name, r.map[o->node->id]);
  }
  return r.g;
}

static Node *copy(void *context, const Rebuild *r, const Node *n,
                  Node *const *in) {
  (void)context;
  return graph_copy(r->g, n, in);
}

Module *module_rebuild(Arena *a, const Module *m, Remake *make, void *context) {
  Module *out = module_new(a);
  out->limit = m->limit;
  out->limit_at = m->limit_at;
  out->objective = m->objective;
  for (int i = 0; i < m->n_vars; i++)
    module_add_var(out, m->var[i].name, m->var[i].kind, m->var[i].type);
  for (int i = 0; i < m->n_graphs; i++) {
    Graph *g = graph_rebuild(a, m->graph[i], make, context);
    /* what the pass made on the way and did not need after all */
    out->graph[out->n_graphs++] = graph_rebuild(a, g, copy, NULL);
  }
  return out;
}
