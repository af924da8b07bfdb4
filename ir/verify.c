/* The verifier, which runs after every pass and on every text that is read. It
 * works out afresh what the makers worked out. It verifies that
 *
 *   module     has at most four functions, whose names differ
 *   variables  have a valid type and different names; parameters are f32
 *   nodes      are numbered by position; operands come before them
 *              have an operation, attributes and the type that infer_type gives
 *   params and states are declared, as what they are, with that type
 *   inputs     of one name are one node
 *   scalars    are step, epoch, progress or count
 *   rands      of one place are one node: no two draws share bits
 *   locations  are few; of the leaves inputs and draws alone have any
 *   outputs    are nodes of the graph; results have different names
 *   updates    are of a variable of that kind and type, once each
 *
 * and returns the first violation. Repeated names are found by sorting, since
 * a text from outside may hold very many. */
#include "ir/ir.h"

#include <stdlib.h>
#include <string.h>

static const char *const scalar_names[] = {"step", "epoch", "progress", "plateau",
                                           "count"};

typedef struct Check {
  Arena *arena;
  const Module *module;
  const Var **vars; /* by name */
  Violation v;
} Check;

#define FAIL(...)                                                              \
  do {                                                                         \
    c->v.text = arena_printf(c->arena, __VA_ARGS__);                           \
    return false;                                                              \
  } while (0)

static int by_name(const void *a, const void *b) {
  const Var *const *x = a, *const *y = b;
  int order = strcmp((*x)->name, (*y)->name);
  return order ? order : (*x > *y) - (*x < *y);
}

static int name_is(const void *name, const void *b) {
  const Var *const *y = b;
  return strcmp(name, (*y)->name);
}

static bool is_param(VarKind k) {
  return k == VAR_WEIGHT || k == VAR_BIAS || k == VAR_SCALE;
}

static bool check_vars(Check *c) {
  const Module *m = c->module;
  if (m->n_vars == 0)
    return true;
  c->vars = arena_alloc(c->arena, (size_t)m->n_vars * sizeof *c->vars);
  for (int i = 0; i < m->n_vars; i++) {
    const Var *v = c->vars[i] = c->v.var = &m->var[i];
    const char *wrong = check_type(c->arena, &v->type);
    if (wrong)
      FAIL("variable %s: %s", v->name, wrong);
    if (is_param(v->kind) && v->type.dtype != T_F32)
      FAIL("parameter %s is %s, not f32", v->name, dtype_name[v->type.dtype]);
  }
  qsort(c->vars, (size_t)m->n_vars, sizeof *c->vars, by_name);
  for (int i = 1; i < m->n_vars; i++) {
    c->v.var = c->vars[i];
    if (!strcmp(c->vars[i - 1]->name, c->vars[i]->name))
      FAIL("variable %s is declared twice", c->vars[i]->name);
  }
  c->v.var = NULL;
  return true;
}

/* A param, a state or an update of one against what is declared. */
static bool check_use(Check *c, const char *name, bool param, const Type *t) {
  const Var **found = c->vars
      ? bsearch(name, c->vars, (size_t)c->module->n_vars, sizeof *c->vars,
                name_is)
      : NULL;
  const char *what = param ? "parameter" : "state";
  if (!found)
    FAIL("%s %s is not declared", what, name);
  if (is_param((*found)->kind) != param)
    FAIL("%s is no %s but a %s", name, what, var_kind_name[(*found)->kind]);
  if (type_equal(&(*found)->type, t))
    return true;
  Text s;
  text_init(&s, c->arena);
  text_add(&s, "%s %s is ", what, name);
  text_add_type(&s, &(*found)->type);
  text_add(&s, ", not ");
  text_add_type(&s, t);
  c->v.text = s.s;
  return false;
}

static bool check_leaf(Check *c, const Node *n) {
  const char *name = n->attr.name;
  if (strstr(op_info[n->op].attributes, "name") && (!name || !*name))
    FAIL("%s without a name", op_info[n->op].text);
  if (n->op == OP_PARAM || n->op == OP_STATE)
    return check_use(c, name, n->op == OP_PARAM, &n->type);
  if (n->op != OP_SCALAR)
    return true;
  size_t count = sizeof scalar_names / sizeof *scalar_names;
  for (size_t i = 0; i < count; i++)
    if (!strcmp(name, scalar_names[i]))
      return true;
  FAIL("there is no scalar %s", name);
}

static bool check_node(Check *c, const Graph *g, int id) {
  const Node *n = g->node[id];
  Type type;
  c->v.node = n;
  if (n->id != id)
    FAIL("%%%d stands at %d", n->id, id);
  if ((unsigned)n->op >= OP_COUNT)
    FAIL("%%%d has no operation", id);
  for (int i = 0; i < n->n_in; i++)
    if (n->in[i]->id >= id || g->node[n->in[i]->id] != n->in[i])
      FAIL("operand %d of %%%d does not come before it", i, id);
  const char *wrong = infer_type(c->arena, n->op, &n->attr, n->n_in, n->in,
                                 &n->type, &type);
  if (wrong)
    FAIL("%%%d: %s", id, wrong);
  if (!type_equal(&type, &n->type)) {
    Text s;
    text_init(&s, c->arena);
    text_add_type(&s, &type);
    FAIL("%%%d: the type of %s is %s", id, op_info[n->op].text, s.s);
  }
  if (n->n_locs > MAX_LOCS ||
      (n->n_locs && !op_has_locs(n->op)))
    FAIL("%%%d has %d locations", id, n->n_locs);
  return !op_info[n->op].leaf || check_leaf(c, n);
}

/* Inputs by name, rands by place, then by position. */
static int by_source(const void *a, const void *b) {
  const Node *x = *(Node *const *)a, *y = *(Node *const *)b;
  if (x->op != y->op)
    return x->op < y->op ? -1 : 1;
  int order = x->op == OP_INPUT ? strcmp(x->attr.name, y->attr.name)
                                : (x->attr.num[0] > y->attr.num[0]) -
                                      (x->attr.num[0] < y->attr.num[0]);
  return order ? order : x->id - y->id;
}

static bool check_sources(Check *c, const Graph *g) {
  Node **list = arena_alloc(c->arena, (size_t)g->n_nodes * sizeof *list);
  int count = 0;
  for (int i = 0; i < g->n_nodes; i++)
    if (g->node[i]->op == OP_INPUT || g->node[i]->op == OP_RAND)
      list[count++] = g->node[i];
  qsort(list, (size_t)count, sizeof *list, by_source);
  for (int i = 1; i < count; i++) {
    const Node *n = c->v.node = list[i], *before = list[i - 1];
    if (n->op != before->op)
      continue;
    if (n->op == OP_INPUT && !strcmp(n->attr.name, before->attr.name))
      FAIL("%%%d and %%%d are both the input %s", before->id, n->id,
           n->attr.name);
    if (n->op == OP_RAND && n->attr.num[0] == before->attr.num[0])
      FAIL("%%%d and %%%d both draw at place %lld", before->id, n->id,
           (long long)n->attr.num[0]);
  }
  c->v.node = NULL;
  return true;
}

/* Results by name, then updates by name, then by position. */
static int by_output(const void *a, const void *b) {
  const Output *x = *(const Output *const *)a, *y = *(const Output *const *)b;
  bool ux = x->kind != OUT_RESULT, uy = y->kind != OUT_RESULT;
  if (ux != uy)
    return ux ? 1 : -1;
  int order = strcmp(x->name, y->name);
  return order ? order : (x > y) - (x < y);
}

static bool check_outputs(Check *c, const Graph *g) {
  const Output **list =
      arena_alloc(c->arena, (size_t)g->n_outputs * sizeof *list);
  for (int i = 0; i < g->n_outputs; i++) {
    const Output *o = list[i] = c->v.output = &g->output[i];
    if (!o->name || !*o->name)
      FAIL("an output without a name");
    if (o->node->id >= g->n_nodes || g->node[o->node->id] != o->node)
      FAIL("output %s is not in the graph", o->name);
    if (o->kind != OUT_RESULT &&
        !check_use(c, o->name, o->kind == OUT_UPDATE_PARAM, &o->node->type))
      return false;
  }
  qsort(list, (size_t)g->n_outputs, sizeof *list, by_output);
  for (int i = 1; i < g->n_outputs; i++) {
    const Output *o = c->v.output = list[i], *before = list[i - 1];
    if ((o->kind == OUT_RESULT) == (before->kind == OUT_RESULT) &&
        !strcmp(o->name, before->name))
      FAIL("%s is %s twice", o->name,
           o->kind == OUT_RESULT ? "a result" : "updated");
  }
  c->v.output = NULL;
  return true;
}

static bool check_module(Check *c) {
  const Module *m = c->module;
  if (m->n_graphs > (int)(sizeof m->graph / sizeof *m->graph))
    FAIL("%d functions", m->n_graphs);
  if (!check_vars(c))
    return false;
  for (int i = 0; i < m->n_graphs; i++) {
    const Graph *g = c->v.graph = m->graph[i];
    if (module_find_graph(m, g->name) != g)
      FAIL("function %s stands twice", g->name);
    for (int id = 0; id < g->n_nodes; id++)
      if (!check_node(c, g, id))
        return false;
    c->v.node = NULL;
    if (!check_sources(c, g) || !check_outputs(c, g))
      return false;
  }
  return true;
}

Violation verify_find(Arena *a, const Module *m) {
  Check c = {.arena = a, .module = m};
  return check_module(&c) ? (Violation){0} : c.v;
}

const char *verify_module(Arena *a, const Module *m) {
  Violation v = verify_find(a, m);
  return v.text && v.graph
             ? arena_printf(a, "in %s: %s", v.graph->name, v.text)
             : v.text;
}
