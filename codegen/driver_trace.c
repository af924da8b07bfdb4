/* Where numbers that are not finite come from: interprets one step of a training
 * from an arena as it was before it, f32 rounded as the step rounds it, and walks
 * from the loss, or else from the first variable that breaks, back to the
 * operation whose operands are all finite. It is told with its source line and the
 * range of its operands. `netc run` gives the arena when a loss is not finite;
 * `netc check --replay` reads it from the file that an executable wrote.
 *
 * The walk goes through operands that are not finite alone, and through NaN where
 * there is one: a -inf that max pooling pads with, or that a mask adds, reaches
 * results that are finite and so is not on the way. */
#include "codegen/driver.h"
#include "runtime/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Seen { /* of a node's value */
  bool nan, infinite;
  int64_t count;    /* not finite */
  double bad;       /* the first of them */
  double low, high; /* of the finite ones */
} Seen;

typedef struct Trace {
  const NetProgram *p;
  const char *step; /* the arena before it */
  const NetScalars *scalars;
  Arena *leaf;      /* the last leaf's value */
  Seen *seen;       /* by node */
} Trace;

/* As the log counts it: of updates. */
static double step_of(const Trace *t) {
  return floor(t->scalars->step / (double)t->p->accumulate);
}

/* --- interpreting --------------------------------------------------------- */

static double number_at(const char *at, int32_t type, int64_t i) {
  float f;
  double d;
  int32_t whole;
  uint32_t natural;
  switch ((NetType)type) {
  case NET_F32: return memcpy(&f, at + 4 * i, 4), (double)f;
  case NET_F64: return memcpy(&d, at + 8 * i, 8), d;
  case NET_I32: return memcpy(&whole, at + 4 * i, 4), (double)whole;
  case NET_U32: return memcpy(&natural, at + 4 * i, 4), (double)natural;
  case NET_I1: return at[i];
  }
  return 0;
}

static const NetTensor *tensor_of(const NetProgram *p, const Node *n) {
  const NetTensor *of = n->op == OP_INPUT ? p->train.inputs : p->vars;
  int count = n->op == OP_INPUT ? p->train.n_inputs : p->n_vars;
  for (int i = 0; i < count; i++)
    if (strcmp(of[i].name, n->attr.name) == 0) return &of[i];
  defect("no %s in the program", n->attr.name);
}

static double scalar_of(const NetScalars *s, const char *name) {
  const struct { const char *name; double v; } all[] = {
      {"step", s->step}, {"epoch", s->epoch}, {"progress", s->progress},
      {"plateau", s->plateau}, {"count", s->count}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i].name, name) == 0) return all[i].v;
  defect("no scalar %s", name);
}

/* EvalEnv.leaf */
static const double *leaf(void *context, const Node *n) {
  Trace *t = context;
  int64_t count = type_count(&n->type);
  arena_free(t->leaf);
  t->leaf = arena_new();
  double *v = arena_alloc(t->leaf, (size_t)count * sizeof *v);
  if (n->op == OP_SCALAR) {
    *v = scalar_of(t->scalars, n->attr.name);
    return v;
  }
  const NetTensor *from = tensor_of(t->p, n);
  for (int64_t i = 0; i < count; i++)
    v[i] = number_at(t->step + from->offset, from->type, i);
  return v;
}

static void see(void *context, const Node *n, const double *v) {
  Trace *t = context;
  Seen *s = &t->seen[n->id];
  *s = (Seen){.low = INFINITY, .high = -INFINITY};
  for (int64_t i = 0; i < type_count(&n->type); i++) {
    if (isfinite(v[i])) {
      s->low = fmin(s->low, v[i]);
      s->high = fmax(s->high, v[i]);
      continue;
    }
    if (!s->count++) s->bad = isnan(v[i]) ? (double)NAN : v[i];
    *(isnan(v[i]) ? &s->nan : &s->infinite) = true;
  }
}

static void mark(const Graph *g, bool *wanted) {
  for (int id = g->n_nodes - 1; id >= 0; id--)
    for (int i = 0; wanted[id] && i < g->node[id]->n_in; i++)
      wanted[g->node[id]->in[i]->id] = true;
}

/* Evaluates what the outputs of that kind need; the first that is not finite. */
static const Output *run(Trace *t, Arena *a, const Graph *g, bool results,
                         bool *wanted) {
  EvalEnv env = {.context = t, .leaf = leaf, .seed = t->scalars->seed,
                 .step = (uint64_t)t->scalars->step};
  memset(wanted, 0, (size_t)g->n_nodes * sizeof *wanted);
  t->seen = arena_alloc(a, (size_t)g->n_nodes * sizeof *t->seen);
  for (int i = 0; i < g->n_outputs; i++)
    if ((g->output[i].kind == OUT_RESULT) == results)
      wanted[g->output[i].node->id] = true;
  mark(g, wanted);
  eval_each(g, &env, wanted, see);
  for (int i = 0; i < g->n_outputs; i++)
    if ((g->output[i].kind == OUT_RESULT) == results &&
        t->seen[g->output[i].node->id].count)
      return &g->output[i];
  return NULL;
}

/* --- walking back --------------------------------------------------------- */

/* The operand through which n came to be what it is; NULL: all are finite. */
static const Node *cause(const Trace *t, const Node *n) {
  const Node *best = NULL;
  for (int i = 0; i < n->n_in; i++) {
    const Seen *s = &t->seen[n->in[i]->id];
    if (!s->count) continue;
    bool more = best && s->nan && !t->seen[best->id].nan;
    if (!best || more) best = n->in[i];
  }
  return best;
}

/* The file's own infinities: constants, and what padding puts in. */
static bool is_meant(const Node *n) {
  return n->op == OP_CONST || n->op == OP_PAD;
}

/* An infinity that is meant is no mistake, but what makes NaN of it is. */
static const Node *origin(const Trace *t, const Node *n) {
  const Node *first = n, *makes_nan = NULL;
  for (const Node *next; (next = cause(t, first)); first = next)
    if (t->seen[first->id].nan && !t->seen[next->id].nan) makes_nan = first;
  return is_meant(first) && makes_nan ? makes_nan : first;
}

/* --- telling -------------------------------------------------------------- */

static void tell_operand(const Trace *t, const Node *n) {
  const Seen *s = &t->seen[n->id];
  if (s->low > s->high) fprintf(stderr, "all not finite");
  else if (s->low >= s->high) fprintf(stderr, "%g", s->low);
  else fprintf(stderr, "%g .. %g", s->low, s->high);
  if (s->low <= s->high && s->count) fprintf(stderr, " and %g", s->bad);
}

/* A value that is there before the step. */
static void tell_leaf(const Trace *t, const Node *n) {
  fprintf(stderr, "note: %s holds %g before step %.0f\n",
          n->attr.name ? n->attr.name : op_info[n->op].text,
          t->seen[n->id].bad, step_of(t));
}

/* lenet.net:9:5: note: in step 3, exp in lenet.fc (the derivative or the update)
 * gives inf, 2 of 40 elements; its operands: -3 .. 95 */
static void tell_node(const Trace *t, const Node *n, bool forward) {
  const Seen *s = &t->seen[n->id];
  const Loc *loc = n->n_locs ? n->locs : NULL;
  const char *stage = loc ? loc->stage : NULL;
  if (loc) fprintf(stderr, "%s:%d:%d: ", loc->file, loc->line, loc->column);
  fprintf(stderr, "note: in step %.0f %s%s%s%s gives %g, %lld of %lld elements; "
          "its operands: ", step_of(t), op_info[n->op].text,
          stage ? " in " : "", stage ? stage : "",
          forward ? "" : " (of the derivative or the update)", s->bad,
          (long long)s->count, (long long)type_count(&n->type));
  for (int i = 0; i < n->n_in; i++) {
    if (i) fprintf(stderr, ", ");
    tell_operand(t, n->in[i]);
  }
  fputc('\n', stderr);
}

/* NetTracer */
void trace_step(void *context, const NetProgram *p, const char *step) {
  const Compile *c = context;
  const Graph *g = module_find_graph(c->graphs, "train");
  Arena *a = arena_new();
  Trace t = {.p = p, .step = step,
             .scalars = (const NetScalars *)(const void *)(step + p->scalars)};
  bool *wanted = arena_alloc(a, (size_t)g->n_nodes * sizeof *wanted);
  const Output *bad = run(&t, a, g, true, wanted);
  bool forward = bad != NULL;
  if (!bad) bad = run(&t, a, g, false, wanted);
  if (!bad) {
    fprintf(stderr, "note: interpreted, step %.0f stays finite: it is rounding "
            "that makes it overflow\n", step_of(&t));
  } else {
    const Node *n = origin(&t, bad->node);
    if (!forward)
      fprintf(stderr, "note: step %.0f makes %s %g\n", step_of(&t),
              bad->name, t.seen[bad->node->id].bad);
    if (op_info[n->op].leaf) tell_leaf(&t, n);
    else tell_node(&t, n, forward);
  }
  arena_free(t.leaf);
  arena_free(a);
}

/* --- netc check --replay -------------------------------------------------- */

Status check_replay(Compile *c) {
  const NetProgram *p = program_tables(c);
  DataError e = {0};
  char *step = calloc(1, (size_t)p->arena_bytes + 1);
  if (!step)
    return resource_error("no memory for the %.1f MB of the program",
                          (double)p->arena_bytes / 1e6);
  bool good = net_replay_load(p, step, c->o->replay, &e);
  if (good) trace_step(c, p, step);
  else fprintf(stderr, "error: %s\n", e.text);
  free(step);
  return good ? STATUS_DONE : STATUS_MISTAKE;
}
