/* Winograd's filters for the gradient of a convolution by its input, where that is
 * an overlap-add of a product (fuse_fold.c):
 *     fold_y(fold_x(dot(dy, W)))
 * The transposed filter gives, for m neighbours of dy, their shares in n of the
 * input's, from n products:
 *     dd = B ((G g) * (A dy))
 * The shares of a tile reach n - m places into those of the next ones: a result
 * collects them from the tiles before, so nothing is added through memory along x.
 * Along y the products are folded before, as they were. The transformed dy is what
 * the gradient by the taps has too. */
#include <string.h>

#include "passes/fuse.h"
#include "passes/winograd.h"

/* An overlap-add that can be computed so. */
typedef struct Folded {
  const Node *inner; /* the fold along x, the axis of the filter */
  const Node *outer; /* the fold of its result along y, or NULL */
  const Node *dot;
  FoldParts parts;
  int axis[MAX_RANK]; /* the dot's axis that is this axis of the inner fold's operand */
  Filter filter;
  int64_t tiles;   /* of m places of dy */
  int64_t results; /* of m places of the input */
} Folded;

static bool is_plain(const Node *fold) {
  return fold->op == OP_FOLD && fold->attr.num[1] == 1 && fold->attr.num[2] == 1;
}

/* False: it does not pay. */
static bool choose_filter(Folded *f, int r) {
  const Node *rows = f->parts.rows;
  const Node *folded = f->outer != NULL ? f->outer : f->inner;
  Cost c = {.products = elements(f->dot), .r = r,
            .places = rows->type.dim[f->parts.row_axis],
            .by_place = elements(rows) + elements(folded),
            .by_tap = elements(f->parts.taps)};
  for (int i = 0; i < f->parts.contract; i++)
    c.products *= (double)rows->type.dim[rows->type.rank - 1 - i];
  int m = choose_results(&c);
  if (m == 0) return false;
  f->filter = filter_of(m, r);
  f->tiles = tiles_of(c.places, m);
  f->results = tiles_of(f->inner->type.dim[f->inner->attr.num[0]], m);
  return true;
}

/* The fold, and what it folds in the new graph. */
static bool find_folded(const Node *fold, Node *in, Folded *f) {
  *f = (Folded){0};
  if (!is_plain(fold) || fold->type.dtype != T_F32) return false;
  if (in->op == OP_FOLD) {
    if (!is_plain(in) || in->attr.num[0] == fold->attr.num[0] ||
        fold->type.rank != in->type.rank - 1)
      return false;
    f->outer = fold;
    f->inner = in;
    in = in->in[0];
  } else {
    f->inner = fold;
  }
  int x = (int)f->inner->attr.num[0], last = in->type.rank - 1;
  f->dot = fuse_dot_below(in, f->axis);
  if (f->dot == NULL || in->type.rank + 1 > MAX_RANK ||
      !fuse_fold_parts(f->dot, f->axis[x], f->axis[last], &f->parts))
    return false;
  int r = (int)in->type.dim[last];
  return r > 1 && choose_filter(f, r);
}

/* The products, in the order of the inner fold's operand: without the taps' axis,
 * with the new one at `lead`. */
static Node *products(Graph *g, const Folded *f, int lead) {
  const Filter *w = &f->filter;
  const FoldParts *p = &f->parts;
  Transform places = {matrix_transposed(&w->output), w->m, f->tiles};
  Transform taps = {w->taps, 1, 1};
  Node *rows = transform_operand(g, p->rows, p->batch, p->row_axis, -1, NULL,
                                 &places, w->m * f->tiles);
  Node *tap = transform_operand(g, p->taps, p->batch, p->tap_axis, p->tap_axis,
                                NULL, &taps, 0);
  Node *x = p->swapped ? graph_dot(g, tap, rows, p->batch + 1, p->contract)
                       : graph_dot(g, rows, tap, p->batch + 1, p->contract);
  int order[MAX_RANK], n = 0, last = f->dot->type.rank - 1, gone = f->axis[last];
  for (int i = 0; i < last; i++) {
    int at = f->axis[i] - (f->axis[i] > gone);
    if (i == lead) order[n++] = p->batch;
    order[n++] = at + (at >= p->batch);
  }
  return graph_permute(g, x, order);
}

/* Result p of each m: shares of the tile there and of those before it. */
static Node *collected(Graph *g, const Folded *f, Node *x, int tile, int lead,
                       int p) {
  const Filter *w = &f->filter;
  Matrix shares = matrix_transposed(&w->input);
  Node *in[MOST_POINTS], *sum = NULL;
  int64_t before = (w->n - 1) / w->m;
  for (int64_t back = 0; p + back * w->m < w->n; back++) {
    for (int i = 0; i < w->n; i++) {
      Node *one = drop_axis(g, graph_slice(g, x, lead, i, 1, 1), lead);
      in[i] = graph_slice(g, one, tile, before - back, 1, f->results);
    }
    Node *share = weighted_sum(g, w->n, in, shares.at[p + back * w->m]);
    sum = sum == NULL ? share : graph_binary(g, OP_ADD, sum, share);
  }
  return sum;
}

Node *winograd_fold(Graph *g, const Node *fold, Node *in) {
  Folded f;
  if (!find_folded(fold, in, &f)) return NULL;
  int tile = (int)f.inner->attr.num[0], lead = lead_of(tile);
  int64_t before = (f.filter.n - 1) / f.filter.m, wide = f.inner->type.dim[tile];
  Node *x = products(g, &f, lead);
  if (f.outer != NULL) {
    int y = (int)f.outer->attr.num[0];
    x = graph_fold(g, x, y + (y >= lead), f.outer->type.dim[y], 1, 1);
  }
  int64_t behind = f.results > f.tiles ? f.results - f.tiles : 0;
  x = graph_pad(g, x, tile + 1, before, behind, 0);
  Node *part[MOST_POINTS];
  for (int p = 0; p < f.filter.m; p++)
    part[p] = insert_axis(g, collected(g, &f, x, tile, lead, p), tile + 1);
  x = merge_axis(g, graph_concat(g, f.filter.m, part, tile + 1), tile);
  return x->type.dim[tile] == wide ? x : graph_slice(g, x, tile, 0, 1, wide);
}
