/* `netc summary`: the stages of the network with the shapes that they give and
 * the parameters that they own, and what the whole costs: parameters, arithmetic
 * and bytes. Counts come from the graphs and the plan, not from estimates. */
#include "codegen/driver.h"

#include <string.h>

/* As the language writes it: [6, 28, 28]. */
static const char *shape_text(Arena *a, const Type *type) {
  Text t;
  text_init(&t, a);
  text_add(&t, "[");
  for (int i = 0; i < type->rank; i++)
    text_add(&t, "%s%lld", i ? ", " : "", (long long)type->dim[i]);
  text_add(&t, "]");
  return t.s;
}

static int wider(int width, const char *text) {
  int n = (int)strlen(text);
  return n > width ? n : width;
}

static void print_stages(Text *t, Arena *a, const Program *p) {
  int name = 5, layer = 5, output = 6;
  for (int i = 0; i < p->n_stages; i++) {
    name = wider(name, p->stages[i].name);
    layer = wider(layer, p->stages[i].layer);
    output = wider(output, shape_text(a, &p->stages[i].output));
  }
  text_add(t, "%-*s  %-*s  %-*s  %12s\n", name, "stage", layer, "layer",
           output, "output", "parameters");
  for (int i = 0; i < p->n_stages; i++) {
    const StageInfo *s = &p->stages[i];
    text_add(t, "%-*s  %-*s  %-*s  %12lld\n", name, s->name, layer, s->layer,
             output, shape_text(a, &s->output), (long long)s->parameters);
  }
  text_add(t, "\n");
}

/* --- the whole ------------------------------------------------------------ */

/* Elements of the variables that are parameters (or that are not). */
static int64_t count_vars(const Module *m, bool parameters) {
  int64_t n = 0;
  for (int i = 0; i < m->n_vars; i++)
    if ((m->var[i].kind <= VAR_SCALE) == parameters)
      n += type_count(&m->var[i].type);
  return n;
}

/* Multiplications and additions in the contractions of a function. */
static double count_work(const Graph *g) {
  double work = 0;
  for (int i = 0; i < g->n_nodes; i++) {
    const Node *n = g->node[i];
    if (n->op != OP_DOT) continue;
    const Type *x = &n->in[0]->type;
    double each = 2;
    for (int64_t k = 0; k < node_num(n, "contract"); k++)
      each *= (double)x->dim[x->rank - 1 - k];
    work += each * (double)type_count(&n->type);
  }
  return work;
}

static void print_line(Text *t, const char *what, const char *value) {
  text_add(t, "%-12s %s\n", what, value);
}

static const char *data_text(Arena *a, const Compile *c) {
  Text t;
  text_init(&t, a);
  text_add(&t, "%s:", c->program->data.reader);
  for (int i = 0; i < c->n_fields; i++) {
    const DataField *f = &c->fields[i];
    text_add(&t, "%s %s ", i ? "," : "", f->name);
    if (f->classes > 0)
      text_add(&t, "class[%lld]", (long long)f->classes);
    else
      text_add(&t, "%s", shape_text(a, &f->type));
  }
  return t.s;
}

static void print_whole(Text *t, const Compile *c) {
  Arena *a = c->arena;
  const Program *p = c->program;
  const Module *m = p->module;
  const Graph *train = module_find_graph(c->graphs, "train");
  print_line(t, "parameters",
             arena_printf(a, "%lld", (long long)count_vars(m, true)));
  print_line(t, "states",
             arena_printf(a, "%lld numbers", (long long)count_vars(m, false)));
  if (train && p->batch)
    print_line(t, "work",
               arena_printf(a, "%.2f MFLOP a sample in training",
                            count_work(train) / 1e6 / (double)p->batch));
  print_line(t, "memory", arena_printf(a, "%lld bytes",
                                       (long long)c->stage.kernels->bytes));
  print_line(t, "data", data_text(a, c));
  print_line(t, "batch", arena_printf(a, "%lld", (long long)p->batch));
  print_line(t, "epochs", arena_printf(a, "%lld", (long long)p->epochs));
  print_line(t, "seed", arena_printf(a, "%llu", (unsigned long long)p->seed));
}

static Status print(Compile *c) {
  Text t;
  text_init(&t, c->arena);
  print_stages(&t, c->arena, c->program);
  print_whole(&t, c);
  return write_output(c->arena, c->o, (Bytes){t.s, (size_t)t.n});
}

Status command_summary(const Options *o) {
  Compile c;
  Status status = compile(&c, o, AT_PLAN);
  if (!status) status = print(&c);
  compile_free(&c);
  return status;
}
