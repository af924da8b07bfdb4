/* `netc check --gradients`: the derivatives that the pass `grad` makes, beside
 * central differences of the objective, both by the interpreter in double
 * precision, at the first weights, on random data. Some elements of each
 * parameter are probed: the one with the largest derivative and some at random.
 * What stands behind stop_gradient varies with the weights all the same, so a
 * file that uses it may differ rightly. */
#include "codegen/driver.h"
#include "runtime/philox.h"

#include <math.h>
#include <string.h>

enum { PROBES = 6, MAX_INPUTS = NET_FIELDS };
#define TOLERANCE 1e-6     /* relative; see kink */
#define KINK_TOLERANCE 1e-4 /* beside a kink of relu, max, abs .. */
#define FIRST_STEP 1e-4
#define LAST_STEP 1e-7

typedef struct Values { /* of one name */
  const char *name;
  double *value;
} Values;

typedef struct Check {
  Arena *arena;
  const Compile *c;
  const Module *m;
  double **var; /* by variable */
  int n_inputs;
  Values input[MAX_INPUTS];
  double scalar; /* of the one that was asked for */
  int n;         /* derivatives */
  const Node **grad;
  Graph *objective;  /* results: the objective of each derivative */
  Graph *derivative; /* results: the derivatives */
} Check;

/* --- values of leaves ----------------------------------------------------- */

static int find_var(const Check *k, const char *name) {
  for (int i = 0; i < k->m->n_vars; i++)
    if (strcmp(k->m->var[i].name, name) == 0) return i;
  defect("no variable %s", name);
}

static int64_t classes_of(const Compile *c, const char *field) {
  for (int i = 0; i < c->n_fields; i++)
    if (strcmp(c->fields[i].name, field) == 0) return c->fields[i].classes;
  return 0;
}

/* Random numbers of variance 1, classes in their range, 0 for other integers. */
static double *random_input(Check *k, const Node *n) {
  int64_t count = type_count(&n->type), classes = classes_of(k->c, n->attr.name);
  double *v = arena_alloc(k->arena, (size_t)count * sizeof *v);
  for (int64_t i = 0; i < count; i++) {
    uint32_t word =
        philox_word(1, (uint32_t)k->n_inputs, 0, 0, (uint32_t)i);
    if (dtype_is_float(n->type.dtype))
      v[i] = sqrt(12) * ((double)philox_uniform(word) - 0.5);
    else if (classes > 0)
      v[i] = (double)(word % (uint32_t)classes);
  }
  return v;
}

static const double *input(Check *k, const Node *n) {
  for (int i = 0; i < k->n_inputs; i++)
    if (strcmp(k->input[i].name, n->attr.name) == 0) return k->input[i].value;
  if (k->n_inputs == MAX_INPUTS) defect("more inputs than fields");
  Values *v = &k->input[k->n_inputs];
  *v = (Values){n->attr.name, random_input(k, n)};
  k->n_inputs++;
  return v->value;
}

/* EvalEnv.leaf */
static const double *leaf(void *context, const Node *n) {
  Check *k = context;
  if (n->op == OP_INPUT) return input(k, n);
  if (n->op == OP_PARAM || n->op == OP_STATE)
    return k->var[find_var(k, n->attr.name)];
  k->scalar = strcmp(n->attr.name, "count") == 0
                  ? (double)k->c->program->batch : 0;
  return &k->scalar;
}

/* Evaluates into an arena of its own, which the caller frees. */
static double **evaluate(Check *k, Arena *a, const Graph *g) {
  EvalEnv env = {.context = k, .leaf = leaf, .seed = k->c->program->seed};
  return eval_graph(a, g, &env);
}

/* Every variable as the function `init` leaves it. */
static void first_values(Check *k) {
  const Graph *init = module_find_graph(k->m, "init");
  k->var = arena_alloc(k->arena, (size_t)k->m->n_vars * sizeof *k->var);
  for (int i = 0; i < k->m->n_vars; i++) {
    size_t count = (size_t)type_count(&k->m->var[i].type);
    k->var[i] = arena_alloc(k->arena, count * sizeof(double));
  }
  if (!init) return;
  Arena *a = arena_new();
  double **value = evaluate(k, a, init);
  for (int i = 0; i < init->n_outputs; i++) {
    const Output *o = &init->output[i];
    if (o->kind == OUT_RESULT) continue;
    memcpy(k->var[find_var(k, o->name)], value[o->node->id],
           (size_t)type_count(&o->node->type) * sizeof(double));
  }
  arena_free(a);
}

/* --- the graphs ----------------------------------------------------------- */

static void find_grads(Check *k, const Graph *train) {
  k->grad = arena_alloc(k->arena, (size_t)train->n_nodes * sizeof *k->grad);
  for (int i = 0; i < train->n_nodes; i++) {
    const Node *n = train->node[i];
    if (n->op == OP_GRAD && n->in[1]->op == OP_PARAM) k->grad[k->n++] = n;
  }
}

/* The nodes of `train` with the objectives, or else the derivatives, as results,
 * through the pass `grad`, which drops what these do not need. */
static Graph *expand(Check *k, const Graph *train, bool objective, Diags *d) {
  Module *m = arena_alloc(k->arena, sizeof *m);
  Graph *g = arena_alloc(k->arena, sizeof *g);
  *m = *k->m;
  *g = *train;
  g->output = arena_alloc(k->arena, (size_t)k->n * sizeof *g->output);
  g->n_outputs = g->cap_outputs = k->n;
  for (int i = 0; i < k->n; i++) {
    Node *of = objective ? k->grad[i]->in[0] : train->node[k->grad[i]->id];
    const char *name = k->grad[i]->in[1]->attr.name;
    g->output[i] = (Output){OUT_RESULT, name, of};
  }
  m->n_graphs = 1;
  m->graph[0] = g;
  m = pass_grad(k->arena, m, d);
  return m ? m->graph[0] : NULL;
}

/* --- differences ---------------------------------------------------------- */

static double objective_at(Check *k, int which, double *w, double value) {
  double was = *w;
  *w = value;
  Arena *a = arena_new();
  double **v = evaluate(k, a, k->objective);
  double result = *v[k->objective->output[which].node->id];
  arena_free(a);
  *w = was;
  return result;
}

/* The relative error of derivative dy of element w. A step that crosses a kink
 * gives nonsense, and a smaller one may not cross it; one that is too small
 * drowns in rounding: the best of some counts. Derivatives that are small beside
 * the parameter's largest are compared with a share of that. */
static double error_of(Check *k, int which, double *w, double dy,
                       double largest) {
  double best = INFINITY, x = *w;
  for (double h = FIRST_STEP; h >= LAST_STEP && best > TOLERANCE; h /= 10) {
    double step = h * fmax(1, fabs(x));
    double up = objective_at(k, which, w, x + step);
    double down = objective_at(k, which, w, x - step);
    double difference = (up - down) / (2 * step);
    double scale = fmax(fmax(fabs(dy), fabs(difference)), 1e-3 * largest);
    double error = fabs(dy - difference) / fmax(scale, 1e-6);
    if (!(error >= best)) best = error; /* NaN stays */
  }
  return best;
}

static int64_t largest_of(const double *v, int64_t count) {
  int64_t at = 0;
  for (int64_t i = 1; i < count; i++)
    if (fabs(v[i]) > fabs(v[at])) at = i;
  return at;
}

/* Prints a line; false: the derivative is wrong. */
static bool check_one(Check *k, int which, const double *dy, int width) {
  const Node *param = k->grad[which]->in[1];
  int64_t count = type_count(&param->type), top = largest_of(dy, count);
  int64_t probes = count < PROBES ? count : PROBES;
  double *w = k->var[find_var(k, param->attr.name)], worst = 0;
  for (int64_t i = 0; i < probes; i++) {
    int64_t at = count <= PROBES ? i : top;
    if (count > PROBES && i > 0)
      at = philox_word(2, (uint32_t)which, 0, 0, (uint32_t)i) % count;
    double error = error_of(k, which, &w[at], dy[at], fabs(dy[top]));
    if (!(error <= worst)) worst = error;
  }
  bool good = worst <= KINK_TOLERANCE;
  printf("%-*s  %lld of %lld elements  error %.1e  %s\n", width,
         param->attr.name, (long long)probes, (long long)count, worst,
         !good                ? "failed"
         : worst <= TOLERANCE ? "ok"
                              : "ok, beside a kink");
  return good;
}

static Status check_all(Check *k) {
  int failed = 0, width = 0;
  Arena *a = arena_new();
  double **value = evaluate(k, a, k->derivative);
  for (int i = 0; i < k->n; i++) {
    int n = (int)strlen(k->grad[i]->in[1]->attr.name);
    if (n > width) width = n;
  }
  for (int i = 0; i < k->n; i++)
    if (!check_one(k, i, value[k->derivative->output[i].node->id], width))
      failed++;
  arena_free(a);
  if (failed)
    printf("%d of %d failed\n", failed, k->n);
  else
    printf("OK\n");
  Status s = flush_output();
  return failed ? STATUS_MISTAKE : s;
}

Status check_gradients(Compile *c) {
  Check k = {.arena = c->arena, .c = c, .m = c->program->module};
  const Graph *train = module_find_graph(k.m, "train");
  if (!train) defect("no function train");
  find_grads(&k, train);
  k.objective = expand(&k, train, true, &c->diags);
  k.derivative = expand(&k, train, false, &c->diags);
  Status s = tell_diags(&c->diags, c->o);
  if (s) return s;
  first_values(&k);
  return check_all(&k);
}
