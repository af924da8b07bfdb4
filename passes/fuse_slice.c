/* The pass `fuse`, the part that lets a contraction compute only what is kept of
 * it: a slice of a dot that nobody else reads is the dot of slices. The gradient
 * of a padded convolution, for instance, is sliced to the picture without its
 * border. Below the dot the slice goes on down through views, which cost nothing,
 * until it meets the padding and makes that smaller. */
#include <string.h>

#include "passes/fuse.h"
#include "passes/rebuild.h"

typedef struct Range {
  int axis;
  int64_t start, count;
} Range;

static Node *slice(Graph *g, Node *x, Range r) {
  if (r.start == 0 && r.count == x->type.dim[r.axis]) return x;
  return graph_slice(g, x, r.axis, r.start, 1, r.count);
}

static Node *slice_pad(Graph *g, Node *x, Range r);

/* The slice of a node of the new graph, as far down its views as it goes. */
static Node *slice_view(Graph *g, Node *x, Range r) {
  const int64_t *num = x->attr.num;
  if (r.start == 0 && r.count == x->type.dim[r.axis]) return x;
  if (x->op == OP_PERMUTE) {
    int order[MAX_RANK];
    for (int i = 0; i < x->type.rank; i++) order[i] = (int)x->attr.axes[i];
    r.axis = order[r.axis];
    return graph_permute(g, slice_view(g, x->in[0], r), order);
  }
  if (x->op == OP_WINDOW && r.axis != x->type.rank - 1) {
    if (r.axis == num[0]) {
      r.start *= num[2];
      r.count = (r.count - 1) * num[2] + (num[1] - 1) * num[3] + 1;
    }
    return graph_window(g, slice_view(g, x->in[0], r), (int)num[0], num[1],
                        num[2], num[3]);
  }
  return x->op == OP_PAD ? slice_pad(g, x, r) : slice(g, x, r);
}

static Node *slice_pad(Graph *g, Node *x, Range r) {
  int axis = (int)x->attr.num[0];
  int64_t before = x->attr.num[1], after = x->attr.num[2];
  Node *in = x->in[0];
  if (r.axis == axis) {
    int64_t extent = in->type.dim[axis], end = r.start + r.count - before;
    int64_t from = r.start > before ? r.start - before : 0;
    int64_t to = end < extent ? end : extent;
    if (from >= to) return slice(g, x, r); /* nothing but padding */
    before = r.start < before ? before - r.start : 0;
    after = r.count - before - (to - from);
    r.start = from;
    r.count = to - from;
  }
  return graph_pad(g, slice_view(g, in, r), axis, before, after,
                   x->attr.value);
}

/* The slice of the dot that the old node `x` is; `new` is x in the new graph. */
static Node *slice_dot(Graph *g, Node *new, Range r) {
  int batch = (int)new->attr.num[0], contract = (int)new->attr.num[1];
  Node *in[2] = {new->in[0], new->in[1]};
  int front = in[0]->type.rank - contract;
  if (r.axis < front) in[0] = slice_view(g, in[0], r);
  Range second = r;
  if (r.axis >= front) second.axis = r.axis - front + batch;
  if (r.axis < batch || r.axis >= front) in[1] = slice_view(g, in[1], second);
  return graph_dot(g, in[0], in[1], batch, contract);
}

/* NULL where the slice meets no dot, or one that others read as well. */
static Node *slice_down(const Node *const *readers, Graph *g, const Node *old,
                        Node *new, Range r) {
  if (readers[old->id] == NULL) return NULL;
  if (old->op == OP_SLICE && new->op != OP_SLICE) /* it has gone down already */
    return slice_down(readers, g, old->in[0], new, r);
  if (old->op != new->op) return NULL;
  if (new->op == OP_DOT) return slice_dot(g, new, r);
  if (new->op != OP_PERMUTE && new->op != OP_SLICE) return NULL;
  Range below = r;
  if (new->op == OP_PERMUTE) below.axis = (int)new->attr.axes[r.axis];
  else if (new->attr.num[0] == r.axis) return NULL;
  Node *x = slice_down(readers, g, old->in[0], new->in[0], below);
  if (x == NULL) return NULL;
  if (new->op == OP_SLICE)
    return graph_slice(g, x, (int)new->attr.num[0], new->attr.num[1],
                       new->attr.num[2], new->type.dim[new->attr.num[0]]);
  int order[MAX_RANK];
  for (int i = 0; i < new->type.rank; i++) order[i] = (int)new->attr.axes[i];
  return graph_permute(g, x, order);
}

static Node *remake(void *context, const Rebuild *r, const Node *n,
                    Node *const *in) {
  if (n->op == OP_SLICE && n->attr.num[2] == 1) {
    int first = r->g->n_nodes, axis = (int)n->attr.num[0];
    Range range = {axis, n->attr.num[1], n->type.dim[axis]};
    Node *x = slice_down(context, r->g, n->in[0], in[0], range);
    if (x != NULL) {
      graph_add_locs(r->g, first, n);
      return x;
    }
  }
  return graph_copy(r->g, n, in);
}

Graph *fuse_slices(Arena *a, const Graph *g) {
  return graph_rebuild(a, g, remake, graph_only_readers(a, g));
}
