/* Convolutions by minimal filtering: results and both gradients of networks' usual
 * and unusual shapes, generated code against the interpreter in double precision,
 * for vectors of 16, 8 and 4 lanes; and how many products are left. What the graphs
 * become is shown in tests/golden/fuse. */
#include "passes/passes.h"
#include "tests/check.h"
#include "tests/ops/oracle.h"

/* Of the tensor's largest element, as for all other operations. */
static const double tolerance = 1e-5;

typedef struct Conv {
  int64_t n, c, h, w, k, rows, columns, pad, stride;
  double most; /* of the direct products that may be left, in all three */
} Conv;

static Node *windows(Graph *g, Node *x, const Conv *v) {
  x = graph_pad(g, x, 2, v->rows > 1 ? v->pad : 0, v->rows > 1 ? v->pad : 0, 0);
  x = graph_pad(g, x, 3, v->columns > 1 ? v->pad : 0, v->columns > 1 ? v->pad : 0, 0);
  x = graph_window(g, x, 2, v->rows, v->stride, 1);
  return graph_window(g, x, 3, v->columns, v->stride, 1);
}

/* y = conv(x, W), and the gradients of half the sum of its squares. */
static Module *module_of(Arena *a, const Conv *v) {
  Module *m = module_new(a);
  Type xt = type_of(T_F32, 4, (int64_t[]){v->n, v->c, v->h, v->w});
  Type wt = type_of(T_F32, 4, (int64_t[]){v->k, v->c, v->rows, v->columns});
  module_add_var(m, "x", VAR_WEIGHT, xt);
  module_add_var(m, "W", VAR_WEIGHT, wt);
  Graph *g = m->graph[m->n_graphs++] = graph_new(a, "train");
  Node *x = graph_leaf(g, OP_PARAM, "x", xt, false);
  Node *w = graph_leaf(g, OP_PARAM, "W", wt, false);
  Node *rows = graph_permute(g, windows(g, x, v), (int[]){0, 2, 3, 1, 4, 5});
  Node *y = graph_permute(g, graph_dot(g, rows, w, 0, 3), (int[]){0, 3, 1, 2});
  Node *loss = graph_reduce(g, OP_SUM, graph_binary(g, OP_MUL, y, y), 4,
                            (int[]){0, 1, 2, 3});
  loss = graph_binary(g, OP_MUL, loss, graph_const(g, 0.5, loss->type));
  graph_output(g, OUT_RESULT, "y", y);
  graph_output(g, OUT_RESULT, "dW", graph_grad(g, loss, w));
  graph_output(g, OUT_RESULT, "dx", graph_grad(g, loss, x));
  Diags d;
  diags_init(&d, a);
  return pass_simplify(a, pass_grad(a, m, &d), &d);
}

static double products(const KModule *m) {
  double sum = 0;
  for (int i = 0; i < m->func[0]->n_kernels; i++) {
    const Kernel *k = m->func[0]->kernel[i];
    double one = kernel_is_contraction(k);
    for (int d = 0; d < kernel_dims(k); d++) one *= (double)k->extent[d];
    sum += one;
  }
  return sum;
}

static void check(const Conv *v) {
  Arena *a = arena_new();
  Module *m = module_of(a, v);
  const char *name = arena_printf(
      a, "[%d %d %d %d] to %d, %d by %d, pad %d, stride %d", (int)v->n, (int)v->c,
      (int)v->h, (int)v->w, (int)v->k, (int)v->rows, (int)v->columns,
      (int)v->pad, (int)v->stride);
  double left = products(pass_fuse(a, m, false)) / products(pass_fuse(a, m, true));
  check_that(v->most < 1 ? left <= v->most : left == 1, "%s: %g of the products",
             name, left);
  for (int lanes = 4; lanes <= 16; lanes *= 2) {
    Oracle o = {.seed = 7, .step = 3, .level = 2, .lanes = lanes,
                .tolerance = tolerance};
    const char *wrong = oracle_compare(a, m, &o);
    check_that(wrong == NULL, "%s, %d lanes: %s", name, lanes, wrong);
  }
  arena_free(a);
}

#define CHECK(...)                                                             \
  static const Conv list[] = {__VA_ARGS__};                                    \
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) check(&list[i])

static void usual(void) {
  CHECK({2, 16, 8, 8, 16, 3, 3, 1, 1, 0.6},      /* whole tiles */
        {2, 32, 16, 16, 16, 3, 3, 1, 1, 0.55},
        {2, 6, 14, 14, 16, 5, 5, 0, 1, 0.6},     /* the gradient is an overlap-add */
        {1, 24, 12, 12, 24, 5, 5, 2, 1, 0.65});
}

static void unusual(void) {
  CHECK({3, 16, 9, 13, 24, 3, 3, 1, 1, 0.75},    /* tiles reach beyond */
        {1, 17, 7, 11, 19, 5, 5, 1, 1, 0.8},
        {2, 48, 1, 24, 48, 1, 3, 1, 1, 0.75},    /* one axis */
        {2, 48, 24, 1, 48, 3, 1, 1, 1, 0.75},
        {2, 16, 9, 9, 24, 2, 2, 0, 1, 0.9},
        {2, 12, 14, 14, 16, 7, 7, 3, 1, 0.75},
        {5, 16, 6, 33, 20, 3, 3, 0, 1, 0.75});
}

/* Where transforms would cost more than they save, and where there are none. */
static void direct(void) {
  CHECK({2, 16, 9, 9, 16, 3, 3, 1, 2, 1}, {2, 1, 16, 16, 1, 3, 3, 1, 1, 1},
        {2, 16, 8, 8, 16, 1, 1, 0, 1, 1}, {2, 16, 12, 12, 16, 9, 9, 4, 1, 1});
}

void suite_winograd(void) {
  check_suite("winograd", (const CheckTest[]){{"usual shapes", usual},
                                              {"unusual shapes", unusual},
                                              {"direct", direct},
                                              {0}});
}
