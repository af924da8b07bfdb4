/* The pass `fuse`, the part that stores a value once where both it and its padded
 * form are read: everybody reads the padded form, of which the value itself is a
 * slice, a view. So the activation that the next convolution wants with a border
 * is written with that border by the kernel that computes it. */
#include <string.h>

#include "passes/fuse.h"
#include "passes/rebuild.h"

typedef struct Padding {
  const Graph *old;
  const Node **pad; /* by id: the pad that stands for the node, or NULL */
  Node **raw;       /* by id: the new node itself, when padded */
} Padding;

static bool same_pad(const Node *a, const Node *b) {
  return a->attr.num[0] == b->attr.num[0] && a->attr.num[1] == b->attr.num[1] &&
         a->attr.num[2] == b->attr.num[2] &&
         memcmp(&a->attr.value, &b->attr.value, sizeof a->attr.value) == 0;
}

/* The one pad of x; NULL if there is none, or there are different ones. */
static const Node *only_pad(const Graph *g, const Node *x) {
  const Node *pad = NULL;
  for (int i = x->id + 1; i < g->n_nodes; i++) {
    const Node *n = g->node[i];
    if (n->op != OP_PAD || n->in[0] != x) continue;
    if (pad != NULL && !same_pad(pad, n)) return NULL;
    pad = n;
  }
  return pad;
}

static void find_pads(Arena *a, Padding *p) {
  const Graph *g = p->old;
  p->pad = arena_alloc(a, (size_t)(g->n_nodes + 1) * sizeof *p->pad);
  p->raw = arena_alloc(a, (size_t)(g->n_nodes + 1) * sizeof *p->raw);
  bool *padded = arena_alloc(a, (size_t)g->n_nodes + 1);
  for (int i = 0; i < g->n_nodes; i++)
    if (g->node[i]->op == OP_PAD) padded[g->node[i]->in[0]->id] = true;
  for (int i = 0; i < g->n_nodes; i++) {
    const Node *n = g->node[i];
    const Node *x = n->op == OP_RESHAPE ? n->in[0] : n;
    if (!padded[i] || !op_info[x->op].elementwise) continue;
    p->pad[i] = only_pad(g, n);
  }
}

/* x as a slice of its padded form. A pad of a pad (the other axis) goes along. */
static Node *through_pad(Padding *p, Graph *g, const Node *old, Node *x,
                         const Node *pad) {
  int axis = (int)pad->attr.num[0];
  p->raw[old->id] = x;
  Node *whole = graph_pad(g, x, axis, pad->attr.num[1], pad->attr.num[2],
                          pad->attr.value);
  const Node *outer = only_pad(p->old, pad);
  if (outer != NULL) whole = through_pad(p, g, pad, whole, outer);
  return graph_slice(g, whole, axis, pad->attr.num[1], 1, x->type.dim[axis]);
}

static Node *remake(void *context, const Rebuild *r, const Node *n,
                    Node *const *in) {
  Padding *p = context;
  if (n->op == OP_PAD && p->raw[n->in[0]->id] != NULL) {
    Node *x = graph_copy(r->g, n, &p->raw[n->in[0]->id]);
    const Node *outer = p->raw[n->id] != NULL ? only_pad(p->old, n) : NULL;
    return outer == NULL ? x : through_pad(p, r->g, n, x, outer);
  }
  Node *x = graph_copy(r->g, n, in);
  if (p->pad[n->id] == NULL) return x;
  int first = r->g->n_nodes;
  x = through_pad(p, r->g, n, x, p->pad[n->id]);
  graph_add_locs(r->g, first, n);
  return x;
}

Graph *fuse_pads(Arena *a, const Graph *g) {
  Padding p = {.old = g};
  find_pads(a, &p);
  return graph_rebuild(a, g, remake, &p);
}
