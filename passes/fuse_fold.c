/* The pass `fuse`, the part that turns overlap-adds of contractions into
 * contractions. The gradient of a convolution by its input is
 *     fold(dot(g, W)): r[y] = sum over k of (sum over o of g[y - k, o] W[o, k])
 * and, for stride 1, that is the convolution of g, padded, with W backwards:
 *     dot(window(pad(g)), reverse(W))
 * which needs no additions through memory. It computes for every place of r all
 * of k, and so does extent(r) / extent(g) times the products: little for 3 by 3,
 * twice for 5 by 5 over 10 by 10, which stays an overlap-add. */
#include <string.h>

#include "passes/fuse.h"
#include "passes/rebuild.h"

/* Products more than this share of those needed cost more than they save. */
static const double most_products = 1.35;

Node *fuse_dot_below(Node *x, int *axis) {
  for (int i = 0; i < x->type.rank; i++) axis[i] = i;
  while (x->op == OP_PERMUTE) {
    int below[MAX_RANK];
    for (int i = 0; i < x->type.rank; i++)
      below[i] = (int)x->attr.axes[axis[i]];
    memcpy(axis, below, sizeof below);
    x = x->in[0];
  }
  return x->op == OP_DOT ? x : NULL;
}

bool fuse_fold_parts(const Node *dot, int y, int k, FoldParts *p) {
  p->batch = (int)dot->attr.num[0];
  p->contract = (int)dot->attr.num[1];
  int a_rank = dot->in[0]->type.rank - p->contract; /* of the result's front */
  if (y < p->batch || k < p->batch || (y < a_rank) == (k < a_rank))
    return false;
  p->swapped = y >= a_rank;
  p->rows = dot->in[p->swapped];
  p->taps = dot->in[!p->swapped];
  int from_b = a_rank - p->batch; /* what b's axes lie behind in the result */
  p->row_axis = p->swapped ? y - from_b : y;
  p->tap_axis = p->swapped ? k : k - from_b;
  return true;
}

static Node *move_to_end(Graph *g, Node *x, int axis) {
  int order[MAX_RANK], n = 0;
  for (int i = 0; i < x->type.rank; i++)
    if (i != axis) order[n++] = i;
  order[n] = axis;
  return graph_permute(g, x, order);
}

/* The new dot has the old one's axes but that of the taps, in the same order, so
 * the fold's axes are found by leaving that one out. */
static Node *put_in_order(Graph *g, Node *dot, const int *axis, int rank,
                          int gone) {
  int order[MAX_RANK];
  for (int i = 0; i < rank; i++)
    order[i] = axis[i] > gone ? axis[i] - 1 : axis[i];
  return graph_permute(g, dot, order);
}

/* pad x, below the views of other axes: windows of a padded buffer are views, a
 * padded view would be a buffer. */
static Node *pad_below(Graph *g, Node *x, int axis, int64_t before,
                       int64_t after) {
  const int64_t *num = x->attr.num;
  if (before == 0 && after == 0) return x; /* windows of one element */
  if (x->op == OP_PERMUTE) {
    int order[MAX_RANK];
    for (int i = 0; i < x->type.rank; i++) order[i] = (int)x->attr.axes[i];
    return graph_permute(g, pad_below(g, x->in[0], order[axis], before, after),
                         order);
  }
  if (x->op == OP_WINDOW && axis != num[0] && axis != x->type.rank - 1)
    return graph_window(g, pad_below(g, x->in[0], axis, before, after),
                        (int)num[0], num[1], num[2], num[3]);
  return graph_pad(g, x, axis, before, after, 0);
}

static Node *fold_as_dot(Graph *g, const Node *n, Node *x) {
  int64_t y = n->attr.num[0], stride = n->attr.num[1], step = n->attr.num[2];
  int axis[MAX_RANK], last = x->type.rank - 1;
  FoldParts p;
  Node *dot = stride == 1 ? fuse_dot_below(x, axis) : NULL;
  if (dot == NULL || !fuse_fold_parts(dot, axis[y], axis[last], &p)) return NULL;
  int64_t have = x->type.dim[y], taps = x->type.dim[last];
  int64_t want = n->type.dim[y], reach = (taps - 1) * step;
  if ((double)want > most_products * (double)have || want < have + reach)
    return NULL;
  if (x->type.rank > MAX_RANK - 1) return NULL;
  Node *rows = pad_below(g, p.rows, p.row_axis, reach, want - have);
  rows = graph_window(g, rows, p.row_axis, taps, 1, step);
  Node *back = graph_slice(g, p.taps, p.tap_axis, taps - 1, -1, taps);
  back = move_to_end(g, back, p.tap_axis);
  Node *a = p.swapped ? back : rows, *b = p.swapped ? rows : back;
  Node *r = graph_dot(g, a, b, p.batch, p.contract + 1);
  return put_in_order(g, r, axis, last, axis[last]);
}

static Node *remake(void *context, const Rebuild *r, const Node *n,
                    Node *const *in) {
  (void)context;
  if (n->op == OP_FOLD) {
    int first = r->g->n_nodes;
    Node *dot = fold_as_dot(r->g, n, in[0]);
    if (dot != NULL) {
      graph_add_locs(r->g, first, n);
      return dot;
    }
  }
  return graph_copy(r->g, n, in);
}

Graph *fuse_folds(Arena *a, const Graph *g) {
  return graph_rebuild(a, g, remake, NULL);
}
