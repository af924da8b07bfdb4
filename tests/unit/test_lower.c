/* Lowering beyond what the golden files of tests/golden/ir and tests/errors show:
 * the values of losses, layers and updates, worked out by hand, through the
 * interpreter; that random bits hang on places and not on names; and that broken
 * programs give diagnostics and nothing else. */
#include "frontend/frontend.h"
#include "passes/passes.h"
#include "tests/check.h"

#include <math.h>
#include <string.h>

/* The data of every test: x f32[4], image f32[1,3,3], y class[3], z f32[2]. */
static bool fields(void *context, const DataSpec *data, DataField **out,
                   int *n, Diags *d) {
  (void)data;
  (void)d;
  static const int64_t four[] = {4}, image[] = {1, 3, 3}, two[] = {2};
  *out = arena_alloc(context, 4 * sizeof **out);
  (*out)[0] = (DataField){"x", type_of(T_F32, 1, four), 0};
  (*out)[1] = (DataField){"image", type_of(T_F32, 3, image), 0};
  (*out)[2] = (DataField){"y", type_scalar(T_I32), 3};
  (*out)[3] = (DataField){"z", type_of(T_F32, 1, two), 0};
  *n = 4;
  return true;
}

typedef struct Case {
  Arena *a;
  Diags d;
  FrontOptions options;
  Program *p;
} Case;

static Case lower_text(const char *text, const char *define, double value) {
  Case c = {.a = arena_new()};
  diags_init(&c.d, c.a);
  Define *d = arena_alloc(c.a, sizeof *d);
  *d = (Define){define, arena_printf(c.a, "%.17g", value), false};
  c.options = (FrontOptions){.n_defines = define != NULL, .defines = d,
                             .fields = fields, .context = c.a};
  const Ast *ast = parse(c.a, &c.d, source_of_text(c.a, "t.net", text));
  if (ast)
    c.p = lower(c.a, &c.d, ast, &c.options);
  check_that(!c.p == (c.d.errors > 0), "a program or errors:\n%s", text);
  return c;
}

/* A program that must be right: verified. */
static Case good(const char *text) {
  Case c = lower_text(text, NULL, 0);
  if (!c.p)
    diags_print(&c.d, stderr);
  if (check_that(c.p != NULL, "this is right:\n%s", text)) {
    const char *wrong = verify_module(c.a, c.p->module);
    check_that(!wrong, "%s", wrong ? wrong : "");
  }
  return c;
}

/* -- values: what the leaves hold */

typedef struct Leaf {
  const char *name;
  int n;
  double v[40]; /* repeated as needed */
} Leaf;

typedef struct World {
  Arena *a;
  const Leaf *leaf; /* ends with a name NULL */
} World;

static const double *leaf_value(void *context, const Node *n) {
  World *w = context;
  int64_t count = type_count(&n->type);
  double *v = arena_alloc(w->a, (size_t)count * sizeof *v);
  const Leaf *l = w->leaf;
  while (l->name && strcmp(l->name, n->attr.name))
    l++;
  for (int64_t i = 0; l->name && i < count; i++)
    v[i] = l->v[i % l->n];
  return v;
}

static const double *result(Case *c, const char *function, const char *output,
                            const Leaf *leaf) {
  static const double nothing[64];
  const Module *m = c->p ? pass_grad(c->a, c->p->module, &c->d) : NULL;
  Graph *g = m ? module_find_graph(m, function) : NULL;
  World w = {c->a, leaf};
  EvalEnv env = {.context = &w, .leaf = leaf_value, .seed = 1};
  for (int i = 0; g && i < g->n_outputs; i++)
    if (!strcmp(g->output[i].name, output))
      return eval_graph(c->a, g, &env)[g->output[i].node->id];
  check_that(false, "%s has no output %s", function, output);
  return nothing;
}

static void near(double got, double want, const char *what) {
  check_that(fabs(got - want) <= 1e-12 * (1 + fabs(want)),
             "%s: %.17g, not %.17g", what, got, want);
}

#define DATA "data npy(\"x\", \"y\")\n"
#define TRAIN(loss, rest) \
  "\ntrain {\n  loss = " loss "\n  optimizer = sgd(lr = 0.1)\n" rest "}\n"

/* Logits 1, 2, 3, 4 of which three are classes; labels 0, 2. */
static void test_cross_entropy(void) {
  Case c = good(DATA "net m(x: [4]) { slice(x, 0, 0, 3) + linear(x, 3) }"
                TRAIN("cross_entropy(m(x), y)", "batch = 2\n"));
  const Leaf leaf[] = {{"x", 4, {1, 2, 3, 4}}, {"y", 2, {0, 2}},
                       {"m.linear1.W", 1, {0}}, {"m.linear1.b", 1, {0}},
                       {"count", 1, {2}}, {NULL, 0, {0}}};
  double whole = log(exp(1) + exp(2) + exp(3));
  near(*result(&c, "train", "loss", leaf), (2 * whole - 1 - 3) / 2,
       "the mean of two rows");
  const double *each = result(&c, "evaluate", "loss", leaf);
  near(each[0], whole - 1, "the first row");
  near(each[1], whole - 3, "the second row");
  near(each[2], 0, "a row beyond the count");
  near(result(&c, "evaluate", "predicted", leaf)[1], 2, "the largest logit");
  arena_free(c.a);
}

static void test_short_batch(void) {
  Case c = good(DATA "net m(x: [4]) { x -> linear(2) }"
                TRAIN("squared_error(m(x), z)", "batch = 4\n"));
  const Leaf leaf[] = {{"x", 4, {1, 1, 1, 1}}, {"m.linear1.W", 1, {1}},
                       {"m.linear1.b", 2, {0, 1}},
                       {"z", 8, {4, 5, 3, 3, 99, 99, 99, 99}},
                       {"count", 1, {2}}, {NULL, 0, {0}}};
  near(*result(&c, "train", "loss", leaf), (0 + (1 + 4) / 2.0) / 2,
       "rows beyond the count do not matter");
  arena_free(c.a);
}

/* A window of 2 over 3x3 in steps of 1, by hand. */
static void test_conv(void) {
  Case c = good(DATA "net m(x: [1, 3, 3]) { x -> conv(1, 2) -> maxpool(2)\n"
                "  -> flatten }" TRAIN("sum(m(image))", ""));
  const Leaf leaf[] = {{"image", 9, {1, 2, 3, 4, 5, 6, 7, 8, 9}},
                       {"m.conv1.W", 4, {1, -1, 2, 1}},
                       {"m.conv1.b", 1, {0.5}}, {"count", 1, {1}},
                       {NULL, 0, {0}}};
  /* the largest of 1-2+8+5, 2-3+10+6, 4-5+14+8, 5-6+16+9 */
  near(*result(&c, "predict", "output", leaf), 24.5, "conv and maxpool");
  arena_free(c.a);
}

static void test_weighted(void) {
  Case c = good(DATA "net m(x: [4]) { slice(x, 0, 0, 3) + linear(x, 3) }"
                TRAIN("cross_entropy(m(x), y, class_weights = [1, 2, 5])",
                      "batch = 2\n"));
  const Leaf leaf[] = {{"x", 4, {1, 2, 3, 4}}, {"y", 2, {0, 2}},
                       {"m.linear1.W", 1, {0}}, {"m.linear1.b", 1, {0}},
                       {"count", 1, {2}}, {NULL, 0, {0}}};
  double whole = log(exp(1) + exp(2) + exp(3));
  near(*result(&c, "train", "loss", leaf),
       (1 * (whole - 1) + 5 * (whole - 3)) / 6, "the weighted mean");
  near(result(&c, "evaluate", "weight", leaf)[1], 5, "a row's weight");
  near(result(&c, "evaluate", "loss", leaf)[1], 5 * (whole - 3),
       "a row's loss times its weight");
  arena_free(c.a);
}

static void test_penalties(void) {
  Case c = good(DATA "net m(x: [4]) { x -> linear(2) as a -> linear(2) as b }"
                TRAIN("squared_error(m(x), z)",
                      "penalty = 2 * l1(weights except m.b) + l2(parameters)\n"));
  const Leaf leaf[] = {{"m.a.W", 2, {1, -2}}, {"m.a.b", 1, {3}},
                       {"m.b.W", 1, {0}}, {"m.b.b", 1, {4}},
                       {"count", 1, {32}}, {NULL, 0, {0}}};
  near(*result(&c, "train", "penalty.l1", leaf), 2 * 12, "l1 of one layer");
  near(*result(&c, "train", "penalty.l2", leaf), (20 + 2 * 9 + 2 * 16) / 2.0,
       "l2 of all");
  near(*result(&c, "train", "total", leaf), 16 + 24 + 35, "the objective");
  arena_free(c.a);
}

/* -- places of random bits */

static int places(const Case *c, const char *function, int64_t *out, int most) {
  const Graph *g = module_find_graph(c->p->module, function);
  int n = 0;
  for (int i = 0; i < g->n_nodes && n < most; i++)
    if (g->node[i]->op == OP_RAND)
      out[n++] = g->node[i]->attr.num[0];
  return n;
}

static void test_places(void) {
  static const char *const same[] = {
      DATA "net m(x: [4]) { x -> linear(8) -> dropout(0.5) -> linear(3) }"
      TRAIN("cross_entropy(m(x), y)", ""),
      "const p = 0.5\n" DATA "net other(v: [4]) {\n  v -> linear(8) as first\n"
      "    -> dropout(p) as d -> linear(3, bias = true) as second }"
      "\ntrain {\n  penalty = l2(weights)\n  optimizer = sgd()\n"
      "  loss = cross_entropy(other(x), y)\n}\n",
  };
  int64_t place[2][2][32];
  int n[2][2];
  for (int i = 0; i < 2; i++) {
    Case c = good(same[i]);
    n[i][0] = places(&c, "init", place[i][0], 32);
    n[i][1] = places(&c, "train", place[i][1], 32);
    check_that(places(&c, "evaluate", place[i][1] + 16, 16) == 0,
               "evaluation draws nothing");
    arena_free(c.a);
  }
  CU_ASSERT_EQUAL(n[0][0], 4);
  CU_ASSERT_EQUAL(n[0][1], 1);
  for (int k = 0; k < 2; k++) {
    CU_ASSERT_EQUAL(n[0][k], n[1][k]);
    for (int i = 0; i < n[0][k]; i++)
      check_that(place[0][k][i] == place[1][k][i],
                 "names do not change place %d of %d", i, k);
  }
  for (int i = 0; i < n[0][0]; i++)
    for (int k = 0; k < i; k++)
      CU_ASSERT_NOT_EQUAL(place[0][0][i], place[0][0][k]);
}

/* Comments and blank lines are no part of an address; a draw of an optimizer is
 * another one for each parameter. */
static void test_addresses(void) {
  static const char *const same[] = {
      DATA "net m(x: [4]) { x -> (linear(8) -> relu -> linear(3)) as pair }\n"
      "optimizer noisy(w, g) { w <- w - g * uniform() }\n"
      "train { loss = cross_entropy(m(x), y); optimizer = noisy() }",
      "# first\n" DATA "\n\nnet m(x: [4]) {\n# a comment\n"
      "  x -> (linear(8) -> relu\n    -> linear(3)) as both }\n"
      "optimizer noisy(w, g) { w <- w - g * uniform() }\n"
      "train { loss = cross_entropy(m(x), y); optimizer = noisy() }"};
  int64_t place[2][8];
  for (int i = 0; i < 2; i++) {
    Case c = good(same[i]);
    CU_ASSERT_EQUAL(places(&c, "init", place[i], 4), 4);
    CU_ASSERT_EQUAL(places(&c, "train", place[i] + 4, 4), 4);
    arena_free(c.a);
  }
  for (int i = 0; i < 8; i++) {
    CU_ASSERT_EQUAL(place[0][i], place[1][i]);
    for (int k = 0; k < i; k++)
      CU_ASSERT_NOT_EQUAL(place[0][i], place[0][k]);
  }
}

/* -- what exists */

static void test_lazy(void) {
  Case c = good(DATA "layer f(x: [n], wide) {\n"
                "  weight A: [n] = 1\n  weight B: [3, n] = 1\n"
                "  if wide then B @ x else A * x\n}\n"
                "net m(x: [4]) { x -> f(false) -> f(true) }"
                TRAIN("cross_entropy(m(x), y)", ""));
  CU_ASSERT_EQUAL(c.p->module->n_vars, 2);
  CU_ASSERT_PTR_NOT_NULL(module_find_var(c.p->module, "m.f1.A"));
  CU_ASSERT_PTR_NOT_NULL(module_find_var(c.p->module, "m.f2.B"));
  arena_free(c.a);
}

static void test_defines(void) {
  static const char text[] =
      "const n = 5\n" DATA "net m(x: [4]) { x -> linear(n) -> linear(3) }"
      TRAIN("cross_entropy(m(x), y)", "batch = 3 * n\n") "variant small { n = 2 }";
  Case c = lower_text(text, "n", 7);
  CU_ASSERT_PTR_NOT_NULL_FATAL(c.p);
  CU_ASSERT_EQUAL(c.p->batch, 21);
  CU_ASSERT_EQUAL(c.p->n_variants, 1);
  CU_ASSERT(c.options.defines->used);
  CU_ASSERT_EQUAL(c.p->stages[0].parameters, 7 * 5);
  CU_ASSERT_STRING_EQUAL(c.p->label, "y");
  arena_free(c.a);
  c = lower_text(text, "m", 7);
  CU_ASSERT_PTR_NULL(c.p);
  arena_free(c.a);
}

/* The first step of Adam moves by lr against the sign of the gradient. */
static void test_adam(void) {
  Case c = good(DATA "net m(x: [4]) { x -> linear(2, bias = false) }\n"
                "train { loss = squared_error(m(x), z)\n"
                "  optimizer = adam(lr = 0.25) }");
  const Module *m = c.p->module;
  const Var *t = module_find_var(m, "optimizer.t");
  CU_ASSERT_PTR_NOT_NULL_FATAL(t);
  CU_ASSERT(t->type.dtype == T_F64 && t->type.rank == 0);
  CU_ASSERT_PTR_NOT_NULL(module_find_var(m, "optimizer.v.m.linear1.W"));
  const Leaf leaf[] = {{NULL, 0, {0}}};
  near(*result(&c, "train", "optimizer.t", leaf), 1, "steps");
  near(*result(&c, "train", "lr", leaf), 0.25, "the rate");
  arena_free(c.a);
}

/* -- what `train` asks of the run */

#define NET "net m(x: [4]) { x -> linear(3, bias = false) as a }\n"

static void test_watches(void) {
  Case c = good("data npy(\"x\", \"y\") { validation = 2 }\n" NET "train {\n"
                "  loss = cross_entropy(m(x), y)\n"
                "  optimizer = sgd(lr = plateau(0.5, 3, test.top_2, delta = 1))\n"
                "  stop = patience(5, delta = 0.25)\n"
                "  keep = best(on = validation.accuracy)\n"
                "  metrics = top(2)\n}");
  CU_ASSERT_PTR_NOT_NULL_FATAL(c.p);
  CU_ASSERT_STRING_EQUAL(c.p->stop.on, "validation.loss");
  CU_ASSERT(c.p->stop.patience == 5 && c.p->stop.delta > 0.2);
  CU_ASSERT_STRING_EQUAL(c.p->keep.on, "validation.accuracy");
  CU_ASSERT_STRING_EQUAL(c.p->plateau.on, "test.top_2");
  CU_ASSERT_EQUAL(c.p->plateau.patience, 4); /* PyTorch's 3 may go by */
  const Leaf leaf[] = {{"plateau", 1, {2}}, {"count", 1, {32}}, {NULL, 0, {0}}};
  near(*result(&c, "train", "lr", leaf), 0.25, "the rate after two plateaus");
  arena_free(c.a);
}

static void test_init(void) {
  Case c = good(DATA NET TRAIN("cross_entropy(m(x), y)",
                "init = from(\"w\", part = true,\n"
                "  map = [\"module.fc\" -> m.a, \"\" -> m, \"v\" -> m.a.W])\n"));
  CU_ASSERT_PTR_NOT_NULL_FATAL(c.p);
  const InitFrom *init = &c.p->init;
  CU_ASSERT_STRING_EQUAL(init->file, "w");
  CU_ASSERT(init->part && init->n_maps == 3);
  CU_ASSERT_STRING_EQUAL(init->from[0], "module.fc");
  CU_ASSERT_STRING_EQUAL(init->to[0], "m.a");
  CU_ASSERT_STRING_EQUAL(init->to[2], "m.a.W");
  arena_free(c.a);
}

/* Logits x, labels 0 and 2; the third row is not real. */
static void test_metrics(void) {
  static const struct { const char *name; MetricKind kind; bool more; } want[] = {
      {"top_2", METRIC_MEAN, true},
      {"confusion", METRIC_CONFUSION, false},
      {"own", METRIC_MEAN, false},
      {"own_2", METRIC_MEAN, false},
      {"root_mean_squared_error", METRIC_ROOT, false},
      {"r2", METRIC_R2, true}};
  Case c = good(DATA "loss own(a: [k], label: class[k]) = a[label]\n"
                "net m(x: [4]) { slice(x, 0, 0, 3) + 0 * linear(x, 3) }"
                TRAIN("cross_entropy(m(x), y)",
                      "metrics = [accuracy, top(2), confusion, own, own(2 * m(x), y),"
                      " root_mean_squared_error(m(x)[2], x[0]), r2(slice(x, 0, 0, 2), z)]"
                      "\n"));
  const Leaf leaf[] = {{"x", 4, {1, 2, 3, 4}}, {"y", 3, {0, 2, 1}},
                       {"z", 2, {3, 3}}, {"m.linear1.W", 1, {0}},
                       {"m.linear1.b", 1, {0}}, {"count", 1, {2}},
                       {NULL, 0, {0}}};
  CU_ASSERT_EQUAL_FATAL(c.p ? c.p->n_metrics : 0, 6);
  for (int i = 0; i < 6; i++)
    check_that(!strcmp(c.p->metrics[i].name, want[i].name) &&
                   c.p->metrics[i].kind == want[i].kind &&
                   c.p->metrics[i].more == want[i].more,
               "metric %d is %s", i, c.p->metrics[i].name);
  const double *top = result(&c, "evaluate", "metric.top_2", leaf);
  CU_ASSERT(top[0] < 0.5 && top[1] > 0.5 && top[2] < 0.5);
  near(result(&c, "evaluate", "metric.own", leaf)[1], 3, "the label's logit");
  near(result(&c, "evaluate", "metric.own_2", leaf)[1], 6, "of twice the net");
  near(result(&c, "evaluate", "metric.root_mean_squared_error", leaf)[0], 4,
       "a square");
  near(result(&c, "evaluate", "metric.r2.error", leaf)[0], 4 + 1, "a sum");
  near(result(&c, "evaluate", "metric.r2.target", leaf)[3], 3, "a target");
  arena_free(c.a);
}

/* Gradients 1 (rows of x are 1, the loss is the output); two of three batches. */
static void test_accumulate(void) {
  Case c = good(DATA "net m(x: [4]) { x -> linear(1, bias = false) as a }\n"
                "train { loss = sum(m(x)); batch = 2; accumulate = 3\n"
                "  optimizer = sgd(lr = 0.5 + step + 100 * progress) }");
  Leaf leaf[] = {{"x", 1, {1}}, {"m.a.W", 1, {8}},
                 {"accumulate.m.a.W", 1, {7}}, {"count", 1, {2}},
                 {"step", 1, {6}}, {"progress", 1, {6.0 / 18}}, {NULL, 0, {0}}};
  near(*result(&c, "train", "accumulate.m.a.W", leaf), 1.0 / 3, "the first");
  near(*result(&c, "train", "m.a.W", leaf), 8, "no update yet");
  leaf[4].v[0] = 8;
  leaf[5].v[0] = 8.0 / 18;
  near(*result(&c, "train", "accumulate.m.a.W", leaf), 7 + 1.0 / 3, "a sum");
  double lr = 0.5 + 2 + 100 * (6.0 / 18);
  near(*result(&c, "train", "lr", leaf), lr, "the rate of the third update");
  near(*result(&c, "train", "m.a.W", leaf), 8 - lr * (7 + 1.0 / 3), "updated");
  arena_free(c.a);
}

/* The parameter is the average; what is trained begins as the parameter. */
static void test_average(void) {
  Case c = good(DATA "net m(x: [4]) { x -> linear(1, bias = false) as a }\n"
                "train { loss = sum(m(x)); batch = 2; average = ema(0.75)\n"
                "  optimizer = sgd(lr = 1) }");
  Leaf leaf[] = {{"x", 1, {1}}, {"m.a.W", 1, {8}}, {"trained.m.a.W", 1, {4}},
                 {"count", 1, {2}}, {"step", 1, {0}}, {NULL, 0, {0}}};
  near(*result(&c, "train", "loss", leaf), 32, "from a file, say");
  near(*result(&c, "train", "trained.m.a.W", leaf), 7, "the first update");
  near(*result(&c, "train", "m.a.W", leaf), 7, "is the first average");
  leaf[4].v[0] = 5;
  near(*result(&c, "train", "loss", leaf), 16, "of what is trained");
  near(*result(&c, "train", "trained.m.a.W", leaf), 3, "trained on");
  near(*result(&c, "train", "m.a.W", leaf), 0.75 * 8 + 0.25 * 3, "averaged");
  near(*result(&c, "evaluate", "loss", leaf), 32, "evaluation has the average");
  arena_free(c.a);
}

static bool write_text(const char *path, const char *text) {
  return check_write(path, text, strlen(text));
}

static void test_import(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s", check_path("main.net"));
  bool written =
      write_text(path, "import \"part.net\"\n" DATA
                       "net m(x: [4]) { x -> two(wide) -> linear(3) }"
                       TRAIN("cross_entropy(m(x), y)", "")) &&
      write_text(check_path("part.net"),
                 "import \"main2.net\"\nconst wide = 6\n"
                 "layer two(x, n) = x -> linear(n) -> half\n") &&
      write_text(check_path("main2.net"),
                 "import \"part.net\"\nlayer half(x) = x / 2\n");
  CU_ASSERT_FATAL(written);
  Case c = {.a = arena_new()};
  diags_init(&c.d, c.a);
  c.options = (FrontOptions){.fields = fields, .context = c.a};
  const Ast *ast = parse(c.a, &c.d, source_read(c.a, &c.d, path));
  c.p = lower(c.a, &c.d, ast, &c.options);
  CU_ASSERT_PTR_NOT_NULL_FATAL(c.p);
  const Var *w = module_find_var(c.p->module, "m.two1.linear1.W");
  CU_ASSERT(w && w->type.dim[0] == 6);
  arena_free(c.a);
}

/* -- files that are wrong all over: a few bytes changed at every place */

static void test_broken(void) {
  static const char text[] =
      "const p = 0.5\n" DATA
      "layer f(x: [n], k, q = 2 * k) { weight W: [k, n] = normal(0, q)\n"
      "  y = W @ x; if training and q > 1 then y else y * q }\n"
      "net m(x: [4]) { x -> repeat(2) (f(4) -> relu) as r -> dropout(p)\n"
      "  -> f(3) as g }\n"
      "train { loss = cross_entropy(m(x), y); penalty = p * l1(m.g.W)\n"
      "  optimizer = adam(lr = cosine()); clip = 1 }\n";
  static const char *const instead[] = {"", "0", "x", "(", "-1", "1e9", " -> "};
  for (size_t i = 0; text[i]; i++)
    for (size_t k = 0; k < sizeof instead / sizeof *instead; k++) {
      char buffer[sizeof text + 8] = "";
      memcpy(buffer, text, i);
      strcpy(buffer + i, instead[k]);
      strcat(buffer, text + i + 1);
      Case c = lower_text(buffer, NULL, 0);
      if (c.p)
        check_that(!verify_module(c.a, c.p->module), "verifies:\n%s", buffer);
      arena_free(c.a);
    }
}

void suite_lower(void) {
  static const CheckTest tests[] = {
      {"cross entropy", test_cross_entropy},
      {"a short batch", test_short_batch},
      {"conv", test_conv},
      {"weighted losses", test_weighted},
      {"penalties", test_penalties},
      {"places of random bits", test_places},
      {"what is not reached does not exist", test_lazy},
      {"defines", test_defines},
      {"adam", test_adam},
      {"addresses of draws", test_addresses},
      {"watches", test_watches},
      {"weights from a file", test_init},
      {"metrics", test_metrics},
      {"several batches an update", test_accumulate},
      {"averages", test_average},
      {"imports", test_import},
      {"broken files", test_broken},
      {NULL, NULL}};
  check_suite("lower", tests);
}
