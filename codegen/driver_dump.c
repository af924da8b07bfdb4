/* `netc dump`: one stage of the compilation as text. Graphs and kernels read
 * back with `netc opt`. With --entry the other functions are left out after all
 * the work is done, so that what remains is what the whole would have had. */
#include "codegen/driver.h"

#include <string.h>

/* --- one function alone --------------------------------------------------- */

static Module *module_with(Arena *a, const Module *m, Graph *g) {
  Module *one = arena_alloc(a, sizeof *one);
  *one = *m;
  one->n_graphs = 1;
  one->graph[0] = g;
  return one;
}

static KModule *kmodule_with(Arena *a, const KModule *m, KFunc *f) {
  KModule *one = arena_alloc(a, sizeof *one);
  *one = *m;
  one->n_funcs = 1;
  one->func[0] = f;
  return one;
}

/* False: the program has no such function. */
static bool pick(Arena *a, Stage *s, const char *entry) {
  if (s->module) {
    Graph *g = module_find_graph(s->module, entry);
    if (g) s->module = module_with(a, s->module, g);
    return g;
  }
  KFunc *f = kmodule_find(s->kernels, entry);
  if (f) s->kernels = kmodule_with(a, s->kernels, f);
  return f;
}

/* --- printing ------------------------------------------------------------- */

static void print_dot(Text *t, const Module *m) {
  for (int i = 0; i < m->n_graphs; i++) print_graph_dot(t, m->graph[i]);
}

static void print_stage(Text *t, const Compile *c, Point at, bool dot) {
  if (at == AT_AST)
    print_ast(t, c->ast);
  else if (c->stage.module && dot)
    print_dot(t, c->stage.module);
  else if (c->stage.module)
    print_module(t, c->stage.module);
  else
    print_kmodule(t, c->stage.kernels);
}

static Bytes stage_bytes(Compile *c, Point at, bool dot) {
  Text t;
  if (at >= AT_LLVM) {
    double start = now_ms();
    Bytes code = codegen_emit(c->arena, c->target, c->stage.kernels, NULL,
                              at == AT_LLVM ? ART_LLVM : ART_ASSEMBLY);
    tell_time(c->o, "codegen", start);
    return code;
  }
  text_init(&t, c->arena);
  print_stage(&t, c, at, dot);
  return (Bytes){t.s, (size_t)t.n};
}

/* --- the command ---------------------------------------------------------- */

static Status print(Compile *c, Point at, bool dot) {
  const char *entry = c->o->entry;
  if (entry && !pick(c->arena, &c->stage, entry))
    return usage_error("%s has no function %s", c->o->file, entry);
  return write_output(c->arena, c->o, stage_bytes(c, at, dot));
}

Status command_dump(const Options *o) {
  bool dot = o->format && strcmp(o->format, "dot") == 0;
  Point at = AT_AST;
  if (!o->stage) return usage_error("dump needs --stage=STAGE");
  while (at < POINT_COUNT && strcmp(point_name(at), o->stage) != 0) at++;
  if (at == AT_AST && o->entry)
    return usage_error("--entry means nothing to the stage ast");
  if (dot && (at == AT_AST || at > AT_PASS + (int)PASS_SIMPLIFY))
    return usage_error("--format=dot draws graphs, and the stage %s has none",
                       o->stage);
  Compile c;
  Status status = compile(&c, o, at < AT_PLAN ? at : AT_PLAN);
  if (!status) status = print(&c, at, dot);
  compile_free(&c);
  return status;
}
