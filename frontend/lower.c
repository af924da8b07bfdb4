/* Lowering: from the tree of a .net file to a Program. The order is that of what
 * is needed: the prelude, the file's definitions, imports, the variant and -D,
 * the data (whose reader says the fields), the train section, the functions. The
 * function `init` grows as the others reach parameters. What the file declares
 * and does not use is told last, and only if nothing else was wrong. */
#include "frontend/lower.h"

#include <string.h>

extern const char frontend_prelude[];

static const char *program_name(Arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  const char *dot = strrchr(name, '.');
  size_t n = dot && dot != name ? (size_t)(dot - name) : strlen(name);
  return arena_strndup(a, name, n);
}

/* The one section of this kind, or NULL; tells if there are two. */
static const Item *section(Lower *L, ItemKind kind, const char *name) {
  const Ast *ast = L->user->ast;
  const Item *found = NULL;
  for (int i = 0; i < ast->n_items; i++) {
    const Item *item = ast->items[i];
    if (item->kind != kind)
      continue;
    if (found) {
      Span at = item->span;
      at.end = at.begin + (uint32_t)strlen(name);
      Diag *diag =
          diag_error(L->d, "E0402", at, "a second section `%s`", name);
      Span first = found->span;
      first.end = first.begin + (uint32_t)strlen(name);
      if (diag)
        diag_note(diag, first, "the first one is here");
      return found;
    }
    found = item;
  }
  return found;
}

static void tell_missing(Lower *L, bool data, bool train, bool net) {
  const char *missing[3];
  int n = 0;
  if (!data)
    missing[n++] = "section `data`";
  if (!train)
    missing[n++] = "section `train`";
  if (!net)
    missing[n++] = "net";
  if (n)
    diag_error(L->d, "E0401", (Span){L->user->ast->source, 0, 0},
               "the file has no %s%s%s%s%s", missing[0],
               n == 3 ? ", no " : n == 2 ? " and no " : "",
               n > 1 ? missing[1] : "", n == 3 ? " and no " : "",
               n == 3 ? missing[2] : "");
}

/* `without` names keys of train and entries of data that are there. */
static void check_without(Lower *L, const Item *train, const Item *data) {
  const Ast *ast = L->user->ast;
  for (int i = 0; i < ast->n_items; i++) {
    const Item *v = ast->items[i];
    for (int k = 0; v->kind == ITEM_VARIANT && k < v->variant.n_without; k++) {
      Name name = v->variant.without[k];
      Candidates there = {.arena = L->a};
      for (int e = 0; e < train->train.n_entries; e++)
        candidates_add(&there, train->train.entries[e]->name.s);
      for (int e = 0; e < data->data.n_entries; e++)
        candidates_add(&there, data->data.entries[e]->name.s);
      bool found = false;
      for (int e = 0; e < there.n; e++)
        found = found || !strcmp(there.name[e], name.s);
      if (found)
        continue;
      Diag *diag = diag_error(L->d, "E0413", name.span,
                              "neither train nor data has %s, so it cannot be "
                              "left out", name.s);
      help_nearest(diag, name.s, &there);
    }
  }
}

static Lower *lower_new(Arena *a, Diags *d, const Ast *ast,
                        FrontOptions *options) {
  Lower *L = arena_alloc(a, sizeof *L);
  L->a = a;
  L->d = d;
  L->options = options;
  L->m = module_new(a);
  L->g = L->init = graph_new(a, "init");
  L->root = instance_new(L, "", NULL, 0);
  L->program = arena_alloc(a, sizeof *L->program);
  L->program->name = program_name(a, ast->source->path);
  L->program->module = L->m;
  names_init(&L->param_names, a);
  names_init(&L->state_names, a);
  names_init(&L->nets, a);
  names_init(&L->init_draws, a);
  const Source *source = source_of_text(a, "<prelude>", frontend_prelude);
  const Ast *prelude = parse(a, d, source);
  if (!prelude) {
    diags_print(d, stderr);
    defect("the prelude has a mistake");
  }
  L->prelude = file_load(L, prelude, true);
  L->user = file_load(L, ast, false);
  return L;
}

/* `init` comes first in the module. */
static void add_init(Lower *L) {
  Module *m = L->m;
  for (int i = m->n_graphs; i > 0; i--)
    m->graph[i] = m->graph[i - 1];
  m->graph[0] = prune(L->a, L->init);
  m->n_graphs++;
}

Program *lower(Arena *a, Diags *d, const Ast *ast, FrontOptions *options) {
  Lower *L = lower_new(a, d, ast, options);
  if (!file_load_imports(L))
    return NULL;
  apply_variants(L);
  apply_defines(L);
  const Item *data = section(L, ITEM_DATA, "data");
  const Item *train = section(L, ITEM_TRAIN, "train");
  tell_missing(L, data, train, L->user->defs[DEF_NET].n || L->user->n_imports);
  if (data && train)
    check_without(L, train, data);
  if (data)
    lower_data(L, data);
  if (train)
    read_train(L, train);
  if (data && train)
    lower_functions(L);
  if (!d->errors)
    check_unused(L);
  if (d->errors)
    return NULL;
  add_init(L);
  return L->program;
}
