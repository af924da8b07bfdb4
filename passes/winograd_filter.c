/* Winograd's filters: the matrices, and sums with constant factors in the graph; see
 * winograd.c. Views below a transformed operand are made again over its base. */
#include "passes/winograd.h"

#include <string.h>

/* --- the matrices --------------------------------------------------------- */

/* The last point is at infinity. Small numbers and their inverses keep rounding
 * small. */
static const double points[MOST_POINTS - 1] = {0, 1, -1, 0.5, -0.5, 2, -2};

/* Coefficients of the product over all points but `without` of (x - point). */
static void expand(int n, int without, double *coef) {
  memset(coef, 0, MOST_POINTS * sizeof *coef);
  coef[0] = 1;
  int degree = 0;
  for (int i = 0; i < n - 1; i++) {
    if (i == without) continue;
    degree++;
    for (int k = degree; k > 0; k--) coef[k] = coef[k - 1] - points[i] * coef[k];
    coef[0] *= -points[i];
  }
}

static double power(double x, int e) {
  double p = 1;
  for (int i = 0; i < e; i++) p *= x;
  return p;
}

Matrix matrix_transposed(const Matrix *m) {
  Matrix t = {.rows = m->columns, .columns = m->rows};
  for (int i = 0; i < m->rows; i++)
    for (int k = 0; k < m->columns; k++) t.at[k][i] = m->at[i][k];
  return t;
}

/* Changes the sign of both factors of product i, if the first of every second input
 * then need not be negated. */
static void choose_sign(Filter *f, int i) {
  int first = 0;
  while (first < f->n && f->input.at[i][first] == 0) first += 2;
  if (first >= f->n || f->input.at[i][first] > 0) return;
  for (int k = 0; k < f->n; k++) f->input.at[i][k] = -f->input.at[i][k];
  for (int k = 0; k < f->r; k++) f->taps.at[i][k] = -f->taps.at[i][k];
}

/* Toom and Cook's interpolation at the points. */
Filter filter_of(int m, int r) {
  Filter f = {.m = m, .r = r, .n = m + r - 1};
  int last = f.n - 1;
  f.output = (Matrix){.rows = m, .columns = f.n};
  f.taps = (Matrix){.rows = f.n, .columns = r};
  f.input = (Matrix){.rows = f.n, .columns = f.n};
  for (int i = 0; i < last; i++) {
    double scale = 1;
    for (int l = 0; l < last; l++)
      if (l != i) scale *= points[i] - points[l];
    for (int k = 0; k < m; k++) f.output.at[k][i] = power(points[i], k);
    for (int k = 0; k < r; k++) f.taps.at[i][k] = power(points[i], k) / scale;
    expand(f.n, i, f.input.at[i]);
    choose_sign(&f, i);
  }
  f.output.at[m - 1][last] = f.taps.at[last][r - 1] = 1;
  expand(f.n, -1, f.input.at[last]);
  return f;
}

/* --- what it pays ---------------------------------------------------------- */

/* Cycles of one lane, in units of a product, for each element that is stored
 * between the transforms and the contraction. */
static const double transform_cost = 4;
/* What is saved must be at least this share of all products. */
static const double least_gain = 0.15;

/* Products that m results at a time save, less the transforms; 0: too few. */
static double gain(const Cost *c, int m) {
  double n = m + c->r - 1;
  double per_place = (double)tiles_of(c->places, m) * n / (double)c->places;
  double stored = c->by_place * per_place + c->by_tap * n / c->r;
  double saved = c->products * (1 - per_place / c->r) - transform_cost * stored;
  return saved < c->products * least_gain ? 0 : saved;
}

int choose_results(const Cost *c) {
  double best = 0;
  int chosen = 0;
  for (int m = 2; m + c->r - 1 <= MOST_POINTS; m += 2) {
    double g = gain(c, m);
    if (g <= best) continue;
    best = g;
    chosen = m;
  }
  return chosen;
}

/* --- sums with constant factors ------------------------------------------- */

static Node *times(Graph *g, Node *x, double factor) {
  return factor == 1 ? x
                     : graph_binary(g, OP_MUL, x, graph_const(g, factor, x->type));
}

/* The sum over every second of x with these factors, from the one at `from` on,
 * divided by the sign of the first that is not 0; NULL: all are. */
static Node *half_sum(Graph *g, int n, Node *const *x, const double *factor,
                      int from, double *sign) {
  Node *sum = NULL;
  for (int i = from; i < n; i += 2) {
    if (factor[i] == 0) continue;
    if (sum == NULL) *sign = factor[i] < 0 ? -1 : 1;
    double c = factor[i] * *sign;
    Node *part = times(g, x[i], c < 0 ? -c : c);
    sum = sum == NULL ? part : graph_binary(g, c < 0 ? OP_SUB : OP_ADD, sum, part);
  }
  return sum;
}

/* The sum of x with these factors. Rows of two points that differ in the sign have
 * the even and the odd part in common. */
Node *weighted_sum(Graph *g, int n, Node *const *x, const double *factor) {
  double even_sign = 1, odd_sign = 1;
  Node *even = half_sum(g, n, x, factor, 0, &even_sign);
  Node *odd = half_sum(g, n, x, factor, 1, &odd_sign);
  if (even == NULL || odd == NULL) {
    Node *one = even == NULL ? odd : even;
    return (even == NULL ? odd_sign : even_sign) < 0 ? graph_unary(g, OP_NEG, one)
                                                     : one;
  }
  if (even_sign == odd_sign) {
    Node *sum = graph_binary(g, OP_ADD, even, odd);
    return even_sign < 0 ? graph_unary(g, OP_NEG, sum) : sum;
  }
  return even_sign > 0 ? graph_binary(g, OP_SUB, even, odd)
                       : graph_binary(g, OP_SUB, odd, even);
}

Node *insert_axis(Graph *g, Node *x, int at) {
  int64_t dim[MAX_RANK];
  int n = 0;
  for (int i = 0; i <= x->type.rank; i++) {
    if (i == at) dim[n++] = 1;
    if (i < x->type.rank) dim[n++] = x->type.dim[i];
  }
  return graph_reshape(g, x, n, dim);
}

Node *drop_axis(Graph *g, Node *x, int at) {
  int64_t dim[MAX_RANK];
  int n = 0;
  for (int i = 0; i < x->type.rank; i++)
    if (i != at) dim[n++] = x->type.dim[i];
  return graph_reshape(g, x, n, dim);
}

Node *merge_axis(Graph *g, Node *x, int at) {
  int64_t dim[MAX_RANK];
  int n = 0;
  for (int i = 0; i < x->type.rank; i++)
    if (i == at + 1) dim[n - 1] *= x->type.dim[i];
    else dim[n++] = x->type.dim[i];
  return graph_reshape(g, x, n, dim);
}

Node *transform(Graph *g, Node *x, int axis, const Transform *t, int lead) {
  Node *in[MOST_POINTS], *out[MOST_POINTS];
  for (int i = 0; i < t->matrix.columns; i++)
    in[i] = graph_slice(g, x, axis, i, t->step, t->tiles);
  for (int i = 0; i < t->matrix.rows; i++)
    out[i] = insert_axis(
        g, weighted_sum(g, t->matrix.columns, in, t->matrix.at[i]), lead);
  return graph_concat(g, t->matrix.rows, out, lead);
}

/* --- an operand of a dot --------------------------------------------------- */

/* A reshape that does nothing but add axes of extent 1: from[i] is the operand's axis
 * that is axis i, or -1. */
static bool adds_axes(const Node *x, int from[MAX_RANK]) {
  if (x->op != OP_RESHAPE) return false;
  const Type *t = &x->in[0]->type;
  int next = 0;
  for (int i = 0; i < x->type.rank; i++) {
    bool same = next < t->rank && t->dim[next] == x->type.dim[i];
    if (!same && x->type.dim[i] != 1) return false;
    from[i] = same ? next++ : -1;
  }
  return next == t->rank;
}

/* Goes down one view that leaves an axis in place: the axis of its operand that is
 * `axis`; -1: it is another view, or none. */
static int axis_below(const Node *x, int axis) {
  int from[MAX_RANK];
  switch (x->op) {
  case OP_PERMUTE: return (int)x->attr.axes[axis];
  case OP_RESHAPE: return adds_axes(x, from) ? from[axis] : -1;
  case OP_WINDOW:
    return axis == x->type.rank - 1 || axis == x->attr.num[0] ? -1 : axis;
  case OP_SLICE: return axis == x->attr.num[0] ? -1 : axis;
  default: return -1;
  }
}

Origin origin_of(const Node *x, int axis) {
  for (int below; (below = axis_below(x, axis)) >= 0; x = x->in[0]) axis = below;
  bool taps = axis == x->type.rank - 1;
  bool ours = x->op == OP_WINDOW && (taps || axis == x->attr.num[0]);
  return ours ? (Origin){x, taps} : (Origin){0};
}

/* Where the views of an operand that leave one axis in place begin. */
Base base_of(Node *x, int axis, const Node *window) {
  for (;; x = x->in[0]) {
    int below = x == window ? (int)x->attr.num[0] : axis_below(x, axis);
    if (below < 0) return (Base){x, axis, window};
    axis = below;
  }
}

/* The views of an operand again, over its transformed base. */
typedef struct Lifted {
  Node *x;
  int at[MAX_RANK]; /* the axis of x that was this axis of the operand; -1: gone */
  int lead;         /* the new axis */
} Lifted;

static Lifted lift(Graph *g, Node *x, const Base *b, Node *transformed, int lead) {
  Lifted out = {.x = transformed, .lead = lead};
  if (x == b->x) {
    for (int i = 0; i < x->type.rank; i++) out.at[i] = i + (i >= lead);
    return out;
  }
  Lifted in = lift(g, x->in[0], b, transformed, lead);
  const int64_t *num = x->attr.num;
  int last = x->type.rank - 1;
  out = in;
  int from[MAX_RANK];
  if (x->op == OP_PERMUTE) {
    for (int i = 0; i <= last; i++) out.at[i] = in.at[x->attr.axes[i]];
  } else if (adds_axes(x, from)) {
    for (int i = 0; i <= last; i++) {
      if (from[i] < 0) out.x = insert_axis(g, out.x, out.x->type.rank);
      out.at[i] = from[i] < 0 ? out.x->type.rank - 1 : in.at[from[i]];
    }
  } else if (x == b->window) {
    out.at[last] = -1;
  } else if (x->op == OP_WINDOW) {
    out.x = graph_window(g, in.x, in.at[num[0]], num[1], num[2], num[3]);
    out.at[last] = out.x->type.rank - 1;
  } else {
    out.x = graph_slice(g, in.x, in.at[num[0]], num[1], num[2],
                        x->type.dim[num[0]]);
  }
  return out;
}

/* x with zeros behind, where the tiles reach further than it does. */
static Node *extend(Graph *g, Node *x, int axis, int64_t to) {
  int64_t more = to - x->type.dim[axis];
  if (more <= 0) return x;
  const int64_t *num = x->attr.num;
  if (x->op == OP_PAD && num[0] == axis && x->attr.value == 0)
    return graph_pad(g, x->in[0], axis, num[1], num[2] + more, 0);
  return graph_pad(g, x, axis, 0, more, 0);
}

Node *transform_operand(Graph *g, Node *x, int batch, int axis, int gone,
                        const Node *window, const Transform *t, int64_t extent) {
  Base b = base_of(x, axis, window);
  int order[MAX_RANK], n = 0, lead = lead_of(b.axis);
  Node *base = transform(g, extend(g, b.x, b.axis, extent), b.axis, t, lead);
  Lifted l = lift(g, x, &b, base, lead);
  for (int i = 0; i < x->type.rank; i++) {
    if (i == batch) order[n++] = l.lead;
    if (i != gone) order[n++] = l.at[i];
  }
  if (gone < 0 || l.at[gone] < 0) return graph_permute(g, l.x, order);
  order[n] = l.at[gone]; /* of extent 1 */
  return drop_axis(g, graph_permute(g, l.x, order), n);
}
