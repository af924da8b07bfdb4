/* The pass `fuse`, the part that computes convolutions by minimal filtering
 * (S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray,
 * Fast Algorithms for Convolutional Neural Networks, 2015). Along one axis, m
 * neighbouring results of a filter of r taps need not m r products but n = m + r - 1:
 *     y = A' ((G g) * (B' d))
 * with small constant matrices; d are n inputs, g the taps, * is by element. All
 * sums over channels and over the other axes stay between G, B and A: a contraction
 * of n slices. The same holds, transposed, for the gradient by the taps:
 *     dg = G' ((A dy) * (B' d))
 * The gradient by the input is a convolution of its own (fuse_fold.c), or an
 * overlap-add, which winograd_fold.c looks at.
 *
 * One axis is done so, not two: F(4, 3) along one halves the products, and what it
 * stores for it is one and a half times the input, where F(2 x 2, 3 x 3) takes 4/9
 * of the products and stores four times the input.
 *
 * In the graph: slices of every m-th input, sums of them with constant factors, a
 * concat of these; a dot with one more batch axis; and the same again behind it.
 * It pays where many channels share a transformed input; where it does not, and for
 * strides and dilations, the dot stays as it is. */
#include "passes/fuse.h"
#include "passes/rebuild.h"
#include "passes/winograd.h"

/* --- the dot --------------------------------------------------------------- */

/* A dot that can be computed so. `data` is the operand with the window, `other` the
 * other one. */
typedef struct Match {
  const Node *dot;
  bool swapped;  /* data is the second operand */
  bool gradient; /* by the taps: these are free and the places contracted */
  const Node *window;
  int places, taps;  /* axes of data */
  int other_axis;    /* of other: against the contracted one of the two */
  Filter filter;
  int64_t tiles;
} Match;

static int free_end(const Node *dot, int operand) {
  return dot->in[operand]->type.rank - (int)dot->attr.num[1];
}

/* Completes a match whose contracted axis of data is known: the window's other
 * axis must be free. */
static bool complete(Match *m, int contracted, const Origin *o) {
  const Node *data = m->dot->in[m->swapped];
  int end = free_end(m->dot, m->swapped);
  m->window = o->window;
  m->gradient = !o->taps;
  m->other_axis = free_end(m->dot, !m->swapped) + contracted - end;
  for (int i = (int)m->dot->attr.num[0]; i < end; i++) {
    Origin f = origin_of(data, i);
    if (f.window != o->window || f.taps == o->taps) continue;
    m->taps = o->taps ? contracted : i;
    m->places = o->taps ? i : contracted;
    return true;
  }
  return false;
}

/* False: it does not pay. */
static bool choose_filter(Match *m) {
  const Node *dot = m->dot, *data = dot->in[m->swapped];
  double other = elements(dot->in[!m->swapped]), result = elements(dot);
  Base base = base_of((Node *)data, m->places, m->window);
  Cost c = {.products = result, .places = data->type.dim[m->places],
            .r = (int)m->window->attr.num[1],
            .by_place = elements(base.x) + (m->gradient ? other : result),
            .by_tap = m->gradient ? result : other};
  for (int i = free_end(dot, 0); i < dot->in[0]->type.rank; i++)
    c.products *= (double)dot->in[0]->type.dim[i];
  int results = choose_results(&c);
  if (results == 0) return false;
  m->filter = filter_of(results, c.r);
  m->tiles = tiles_of(c.places, results);
  return true;
}

static bool find_match(const Node *dot, Match *m) {
  if (dot->type.dtype != T_F32 || dot->type.rank + 2 > MAX_RANK) return false;
  for (int o = 0; o < 2; o++) {
    const Node *data = dot->in[o];
    for (int i = data->type.rank - 1; i >= free_end(dot, o); i--) {
      Origin from = origin_of(data, i);
      if (from.window == NULL || from.window->attr.num[2] != 1 ||
          from.window->attr.num[3] != 1 || from.window->attr.num[1] < 2)
        continue;
      *m = (Match){.dot = dot, .swapped = o == 1};
      if (complete(m, i, &from) && choose_filter(m)) return true;
    }
  }
  return false;
}

static Node *data_operand(Graph *g, const Match *m, Node *x) {
  const Filter *f = &m->filter;
  Transform t = {f->input, f->m, m->tiles};
  return transform_operand(g, x, (int)m->dot->attr.num[0], m->places, m->taps,
                           m->window, &t, f->m * (m->tiles - 1) + f->n);
}

static Node *other_operand(Graph *g, const Match *m, Node *x) {
  const Filter *f = &m->filter;
  int batch = (int)m->dot->attr.num[0], axis = m->other_axis;
  Transform taps = {f->taps, 1, 1};
  if (!m->gradient)
    return transform_operand(g, x, batch, axis, axis, NULL, &taps, 0);
  Transform places = {matrix_transposed(&f->output), f->m, m->tiles};
  return transform_operand(g, x, batch, axis, -1, NULL, &places, f->m * m->tiles);
}

/* --- behind the dot -------------------------------------------------------- */

/* The order in which the dot's one reader, if that is a permute, wants its axes. */
static void wanted_order(const Node *const *readers, const Node *dot, int *order) {
  const Node *reader = readers[dot->id];
  for (int i = 0; i < dot->type.rank; i++) order[i] = i;
  if (reader == NULL || reader->op != OP_PERMUTE) return;
  for (int i = 0; i < dot->type.rank; i++) order[i] = (int)reader->attr.axes[i];
}

/* The axis of the dot's result that is the free axis `axis` of data. */
static int result_axis(const Match *m, int axis) {
  int batch = (int)m->dot->attr.num[0];
  return m->swapped ? axis - batch + free_end(m->dot, 0) : axis;
}

/* The products in the wanted order, with the new axis in front of the places. */
static Node *in_order(Graph *g, const Match *m, Node *x, const int *order,
                      int place, int lead) {
  int batch = (int)m->dot->attr.num[0], axes[MAX_RANK], n = 0;
  for (int i = 0; i < m->dot->type.rank; i++) {
    if (i == lead) axes[n++] = batch;
    int at = order[i];
    if (m->gradient && i == place) continue; /* the taps are not there yet */
    if (m->gradient && at > order[place]) at--;
    axes[n++] = at + (at >= batch);
  }
  return graph_permute(g, x, axes);
}

/* Results of the rows of the last matrix, each with an axis of extent 1 at `at`. */
static Node *last_transform(Graph *g, Node *x, const Matrix *matrix, int lead,
                            int at) {
  Node *in[MOST_POINTS], *out[MOST_POINTS];
  for (int i = 0; i < matrix->columns; i++)
    in[i] = drop_axis(g, graph_slice(g, x, lead, i, 1, 1), lead);
  for (int i = 0; i < matrix->rows; i++)
    out[i] =
        insert_axis(g, weighted_sum(g, matrix->columns, in, matrix->at[i]), at);
  return graph_concat(g, matrix->rows, out, at);
}

static Node *finish(Graph *g, const Node *const *readers, const Match *m, Node *x) {
  int order[MAX_RANK] = {0}, back[MAX_RANK], place = 0;
  int special = result_axis(m, m->gradient ? m->taps : m->places);
  wanted_order(readers, m->dot, order);
  while (order[place] != special) place++;
  int lead = lead_of(place);
  x = in_order(g, m, x, order, place, lead);
  if (m->gradient) {
    Matrix taps = matrix_transposed(&m->filter.taps);
    x = last_transform(g, x, &taps, lead, place);
  } else {
    x = last_transform(g, x, &m->filter.output, lead, place + 1);
    x = merge_axis(g, x, place);
    int64_t places = m->dot->type.dim[special];
    if (x->type.dim[place] > places) x = graph_slice(g, x, place, 0, 1, places);
  }
  for (int i = 0; i < m->dot->type.rank; i++) back[order[i]] = i;
  return graph_permute(g, x, back);
}

static Node *by_filter(Graph *g, const Node *const *readers, const Match *m,
                       Node *const *in) {
  Node *data = data_operand(g, m, in[m->swapped]);
  Node *other = other_operand(g, m, in[!m->swapped]);
  int batch = (int)m->dot->attr.num[0] + 1, contract = (int)m->dot->attr.num[1];
  if (!m->gradient) contract--;
  Node *x = m->swapped ? graph_dot(g, other, data, batch, contract)
                       : graph_dot(g, data, other, batch, contract);
  return finish(g, readers, m, x);
}

static Node *remake_dot(Graph *g, const Node *const *readers, const Node *n,
                        Node *const *in) {
  Match m;
  if (!find_match(n, &m)) return NULL;
  Origin o = origin_of(in[m.swapped], m.places); /* in the new graph */
  if (o.window == NULL) return NULL;
  m.window = o.window;
  return by_filter(g, readers, &m, in);
}

/* Of two folds, one of the other, the outer one is looked at. */
static Node *remake_fold(Graph *g, const Node *const *readers, const Node *n,
                         Node *in) {
  const Node *reader = readers[n->id];
  return reader != NULL && reader->op == OP_FOLD ? NULL : winograd_fold(g, n, in);
}

static Node *remake(void *context, const Rebuild *r, const Node *n,
                    Node *const *in) {
  int first = r->g->n_nodes;
  Node *x = NULL;
  const Node *const *readers = context; /* of the old graph */
  if (n->op == OP_DOT) x = remake_dot(r->g, readers, n, in);
  if (n->op == OP_FOLD) x = remake_fold(r->g, readers, n, in[0]);
  if (x == NULL) return graph_copy(r->g, n, in);
  graph_add_locs(r->g, first, n);
  return x;
}

Graph *fuse_winograd(Arena *a, const Graph *g) {
  return graph_rebuild(a, g, remake, graph_only_readers(a, g));
}
