/* Inside winograd*.c: filters of one axis with fewer products, and what is made of
 * them in the graph. */
#ifndef NETC_WINOGRAD_H
#define NETC_WINOGRAD_H

#include "ir/ir.h"

enum { MOST_POINTS = 8 }; /* more, and rounding shows */

typedef struct Matrix {
  int rows, columns;
  double at[MOST_POINTS][MOST_POINTS];
} Matrix;

/* A filter of r taps, of which m neighbouring results are computed from n = m + r - 1
 * inputs d and the taps g, with n products:
 *     y = A' ((G g) * (B' d)) */
typedef struct Filter {
  int m, r, n;
  Matrix output, taps, input; /* A', G, B' */
} Filter;

/* winograd_filter.c */
Filter filter_of(int m, int r);
Matrix matrix_transposed(const Matrix *m);
/* The sum of x with these factors; NULL: all are 0. */
Node *weighted_sum(Graph *g, int n, Node *const *x, const double *factor);

/* A matrix times what stands along an axis of x: `tiles` times, `step` further each
 * time. The axis becomes the tiles, and the rows a new axis at `lead`. */
typedef struct Transform {
  Matrix matrix;
  int64_t step, tiles;
} Transform;
Node *transform(Graph *g, Node *x, int axis, const Transform *t, int lead);
/* Where the new axis stands in a value whose axis `axis` is transformed: behind the
 * samples and the channels. */
static inline int lead_of(int axis) { return axis < 2 ? axis : 2; }

/* x with an axis of extent 1; without one; with two neighbours as one axis. */
Node *insert_axis(Graph *g, Node *x, int at);
Node *drop_axis(Graph *g, Node *x, int at);
Node *merge_axis(Graph *g, Node *x, int at);

/* An operand of a dot of so many batch axes, transformed along its axis: the batch
 * axes, the new one, all others but `gone` (-1: none). `window`, if not NULL, is the
 * window of which the axis is the places; it goes. Zeros are behind the axis as far
 * as the base must reach. */
Node *transform_operand(Graph *g, Node *x, int batch, int axis, int gone,
                        const Node *window, const Transform *t, int64_t extent);

/* What an axis of a value is, seen down its views, and where they begin. */
typedef struct Origin {
  const Node *window; /* the window that made it, or whose places it is; or NULL */
  bool taps;          /* it is the window's own axis */
} Origin;
Origin origin_of(const Node *x, int axis);
typedef struct Base {
  Node *x;
  int axis;
  const Node *window;
} Base;
Base base_of(Node *x, int axis, const Node *window);

/* What a contraction with a filter of r taps over so many places is, as far as that
 * tells whether minimal filtering pays. */
typedef struct Cost {
  double products;  /* all of them, computed directly */
  int64_t places;
  int r;
  double by_place, by_tap; /* elements that become n a tile, and n for r */
} Cost;
/* The results at a time that save most; 0: none saves enough. */
int choose_results(const Cost *c);
static inline double elements(const Node *x) { return (double)type_count(&x->type); }
static inline int64_t tiles_of(int64_t places, int m) { return (places + m - 1) / m; }

/* winograd_fold.c: what stands for an overlap-add of a contraction; NULL: nothing
 * better. `in` is the operand in the new graph. */
Node *winograd_fold(Graph *g, const Node *fold, Node *in);

#endif
