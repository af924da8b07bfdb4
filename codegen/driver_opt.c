/* `netc opt`: reads a printed stage, graphs or kernels as the text says, runs
 * passes on it and prints what comes out. The text is untrusted: readers check
 * it, and what a pass may take for granted behind its predecessors is asked
 * here. */
#include "codegen/driver.h"

#include <string.h>

typedef struct Plan { /* passes in the order of the command line */
  int n, capacity;
  PassId *pass;
} Plan;

static int find_pass(const char *name, const char *names[PASS_COUNT]) {
  int found = PASS_COUNT;
  for (int i = 0; i < PASS_COUNT; i++) {
    names[i] = pass_info[i].name;
    if (strcmp(name, names[i]) == 0) found = i;
  }
  return found;
}

/* Splits A,B,C. */
static bool read_passes(Arena *a, const char *list, Plan *p) {
  const char *names[PASS_COUNT];
  for (const char *s = list; s; s = *s ? s + 1 : NULL) {
    size_t n = strcspn(s, ",");
    const char *word = arena_strndup(a, s, n);
    int id = find_pass(word, names);
    if (id == PASS_COUNT) {
      usage_error("unknown pass '%s'%s", word,
                  did_you_mean(a, word, names, PASS_COUNT));
      return false;
    }
    p->pass = arena_grow(a, p->pass, p->n, &p->capacity, sizeof *p->pass);
    p->pass[p->n++] = (PassId)id;
    s += n;
    if (!*s) break;
  }
  return true;
}

/* Each pass takes what the one before it makes. */
static bool passes_fit(const Plan *p) {
  for (int i = 1; i < p->n; i++) {
    const PassInfo *x = &pass_info[p->pass[i - 1]];
    const PassInfo *y = &pass_info[p->pass[i]];
    if (x->to_kernels == y->from_kernels) continue;
    usage_error("the pass %s takes %s, and %s makes %s", y->name,
                y->from_kernels ? "kernels" : "graphs", x->name,
                x->to_kernels ? "kernels" : "graphs");
    return false;
  }
  return true;
}

/* --- reading -------------------------------------------------------------- */

/* Each form opens with a word of its own, behind blanks and comments. */
static bool holds_kernels(const Source *s) {
  const char *p = s->text;
  while (*(p += strspn(p, " \t\r\n")) == '#') p += strcspn(p, "\n");
  return strncmp(p, "kernels", strlen("kernels")) == 0;
}

static bool read_stage(Arena *a, Diags *d, const Source *source, Stage *s) {
  if (holds_kernels(source))
    s->kernels = read_kmodule(a, d, source);
  else
    s->module = read_module(a, d, source);
  return s->module || s->kernels;
}

/* --- running -------------------------------------------------------------- */

static const Node *find_grad(const Module *m) {
  for (int g = 0; g < m->n_graphs; g++)
    for (int n = 0; n < m->graph[g]->n_nodes; n++)
      if (m->graph[g]->node[n]->op == OP_GRAD) return m->graph[g]->node[n];
  return NULL;
}

static bool all_scheduled(const KModule *m) {
  for (int f = 0; f < m->n_funcs; f++)
    for (int k = 0; k < m->func[f]->n_kernels; k++)
      if (!kernel_is_scheduled(m->func[f]->kernel[k])) return false;
  return true;
}

/* What the pass would get, were it run on this. */
static Status check_input(const Options *o, PassId pass, const Stage *s) {
  const PassInfo *info = &pass_info[pass];
  if (info->from_kernels != (s->kernels != NULL))
    return usage_error("the pass %s takes %s, and %s holds %s", info->name,
                       info->from_kernels ? "kernels" : "graphs", o->file,
                       s->kernels ? "kernels" : "graphs");
  if (info->to_kernels && s->module && find_grad(s->module))
    return usage_error("the pass %s needs derivatives expanded: run grad first",
                       info->name);
  if (pass == PASS_PLAN && !all_scheduled(s->kernels))
    return usage_error("the pass plan needs schedules: run schedule first");
  return STATUS_DONE;
}

static Status run(Compile *c, const Plan *p) {
  PassRun r = {.arena = c->arena, .diags = &c->diags, .times = c->o->verbose};
  if (!compile_target(c)) return STATUS_USAGE;
  r.cpu = cpu_find(c->arena, target_cpu(c->target),
                   target_features(c->target));
  int64_t limit = c->stage.module ? c->stage.module->limit : c->stage.kernels->limit;
  r.direct = c->o->direct || limit > 0;
  for (int i = 0; i < p->n; i++) {
    Status s = check_input(c->o, p->pass[i], &c->stage);
    if (s) return s;
    if (!pass_run(&r, p->pass[i], &c->stage)) break;
  }
  return tell_diags(&c->diags, c->o);
}

static Status print(Compile *c) {
  Text t;
  text_init(&t, c->arena);
  if (c->stage.module)
    print_module(&t, c->stage.module);
  else
    print_kmodule(&t, c->stage.kernels);
  return write_output(c->arena, c->o, (Bytes){t.s, (size_t)t.n});
}

static Status opt(Compile *c) {
  Plan plan = {0};
  if (c->o->passes && !(read_passes(c->arena, c->o->passes, &plan) &&
                        passes_fit(&plan)))
    return STATUS_USAGE;
  c->source = source_read(c->arena, &c->diags, c->o->file);
  if (!c->source || !read_stage(c->arena, &c->diags, c->source, &c->stage))
    return tell_diags(&c->diags, c->o);
  Status s = plan.n ? run(c, &plan) : tell_diags(&c->diags, c->o);
  return s ? s : print(c);
}

Status command_opt(const Options *o) {
  Compile c = {.arena = arena_new(), .o = o};
  diags_init(&c.diags, c.arena);
  Status status = opt(&c);
  compile_free(&c);
  return status;
}
