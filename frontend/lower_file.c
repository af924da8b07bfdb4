/* What a file declares: definitions and constants by name, its imports, the
 * chosen variant and the command line's -D. A file's definitions take the place
 * of the prelude's of the same name; the prelude's bodies keep their own. */
#include "frontend/lower.h"

#include <stdlib.h>
#include <string.h>

static bool is_new(Lower *L, Name name, void *old, Span old_span) {
  if (!old)
    return true;
  Diag *diag =
      diag_error(L->d, "E0201", name.span, "%s is declared twice", name.s);
  if (diag)
    diag_note(diag, old_span, "the first one is here");
  return false;
}

static void add_definition(Lower *L, File *f, const Item *item) {
  const Definition *d = &item->definition;
  Def *def = arena_alloc(L->a, sizeof *def);
  *def = (Def){.ast = d, .item = item, .file = f,
               .index = f->defs[d->kind].n};
  Def *old = names_add(&f->defs[d->kind], d->name.s, def);
  is_new(L, d->name, old, old ? old->ast->name.span : d->name.span);
}

static void add_constant(Lower *L, File *f, const Item *item) {
  Constant *c = arena_alloc(L->a, sizeof *c);
  *c = (Constant){.item = item, .file = f};
  Constant *old = names_add(&f->consts, item->constant.name.s, c);
  is_new(L, item->constant.name, old,
         old ? old->item->constant.name.span : item->span);
}

File *file_load(Lower *L, const Ast *ast, bool prelude) {
  File *f = arena_alloc(L->a, sizeof *f);
  f->ast = ast;
  f->prelude = prelude;
  for (int k = 0; k < DEF_COUNT; k++)
    names_init(&f->defs[k], L->a);
  names_init(&f->consts, L->a);
  for (int i = 0; i < ast->n_items; i++) {
    if (ast->items[i]->kind == ITEM_DEFINITION)
      add_definition(L, f, ast->items[i]);
    else if (ast->items[i]->kind == ITEM_CONST)
      add_constant(L, f, ast->items[i]);
  }
  L->files = arena_grow(L->a, L->files, L->n_files, &L->cap_files,
                        sizeof *L->files);
  return L->files[L->n_files++] = f;
}

/* -- imports: a path relative to the file; a file is read once */

static const char *beside(Lower *L, const char *file, const char *path) {
  const char *slash = strrchr(file, '/');
  if (path[0] == '/' || !slash)
    return path;
  return arena_printf(L->a, "%.*s/%s", (int)(slash - file), file, path);
}

static File *import_file(Lower *L, const File *from, const Item *item) {
  const char *path = beside(L, from->ast->source->path, item->import.s);
  for (int i = 0; i < L->n_files; i++)
    if (!strcmp(L->files[i]->ast->source->path, path))
      return L->files[i];
  if (L->n_files > MAX_IMPORTS) {
    diag_error(L->d, "E0602", item->import.span, "more than %d imports",
               MAX_IMPORTS);
    return NULL;
  }
  const Source *source = source_read(L->a, L->d, path);
  const Ast *ast = source ? parse(L->a, L->d, source) : NULL;
  if (!source)
    diag_error(L->d, "E0417", item->import.span, "%s cannot be imported",
               path);
  if (!ast)
    return NULL;
  for (int i = 0; i < ast->n_items; i++)
    if (ast->items[i]->kind != ITEM_DEFINITION &&
        ast->items[i]->kind != ITEM_CONST &&
        ast->items[i]->kind != ITEM_IMPORT)
      diag_error(L->d, "E0417", ast->items[i]->span,
                 "an imported file holds definitions and constants alone");
  return file_load(L, ast, false);
}

bool file_load_imports(Lower *L) {
  bool good = true;
  for (int k = 1; k < L->n_files; k++) { /* grows as files are read */
    File *f = L->files[k];
    for (int i = 0; i < f->ast->n_items; i++) {
      if (f->ast->items[i]->kind != ITEM_IMPORT)
        continue;
      File *in = import_file(L, f, f->ast->items[i]);
      if (!in) {
        good = false;
        continue;
      }
      f->import = arena_grow(L->a, f->import, f->n_imports, &f->cap_imports,
                             sizeof *f->import);
      f->import[f->n_imports++] = in;
    }
  }
  return good;
}

/* -- looking up */

const Def *find_def(Lower *L, const File *f, DefKind kind, const char *name) {
  const Def *def = names_get(&f->defs[kind], name);
  for (int i = 0; !def && i < f->n_imports; i++)
    def = names_get(&f->import[i]->defs[kind], name);
  return def ? def : names_get(&L->prelude->defs[kind], name);
}

const Def *find_any_def(Lower *L, const File *f, DefKind prefer,
                        const char *name) {
  const Def *def = find_def(L, f, prefer, name);
  for (int k = 0; !def && k < DEF_COUNT; k++)
    def = find_def(L, f, (DefKind)k, name);
  return def;
}

void def_candidates(Lower *L, const File *f, Candidates *c) {
  for (int k = 0; k < DEF_COUNT; k++) {
    candidates_add_names(c, &f->defs[k]);
    for (int i = 0; i < f->n_imports; i++)
      candidates_add_names(c, &f->import[i]->defs[k]);
    if (!f->prelude)
      candidates_add_names(c, &L->prelude->defs[k]);
  }
}

void const_candidates(const File *f, Candidates *c) {
  candidates_add_names(c, &f->consts);
  for (int i = 0; i < f->n_imports; i++)
    candidates_add_names(c, &f->import[i]->consts);
}

/* -- constants */

static bool is_constant(const Value *v) {
  if (v->kind == V_LIST)
    for (int i = 0; i < v->n; i++)
      if (!is_constant(v->item[i]))
        return false;
  return v->kind == V_NUMBER || v->kind == V_STRING || v->kind == V_LIST;
}

/* The value on the command line, of the kind of the file's. */
static const Value *define_value(Lower *L, const Define *d, const Value *own) {
  char *end;
  if (own->kind == V_STRING)
    return value_string(L, d->value);
  if (!strcmp(d->value, "true") || !strcmp(d->value, "false"))
    return value_flag(L, d->value[0] == 't');
  double v = strtod(d->value, &end);
  if (*d->value && !*end)
    return value_number(L, v);
  if (own->kind != V_NUMBER)
    return value_string(L, d->value);
  diag_error(L->d, "E0412", (Span){0}, "-D %s=%s: the constant is a number, such "
             "as %s", d->name, d->value, value_text(L, own));
  return &poison;
}

static const Value *eval_constant(Scope *s, Constant *c) {
  Lower *L = s->L;
  Scope *inner = scope_new(L, c->file, NULL, s);
  inner->home = inner->now = (struct Place){L->root, 0, 0};
  const Expr *e = c->variant ? c->variant : c->item->constant.value;
  const Value *v = eval(inner, e);
  if (c->define && v->kind != V_POISON)
    return define_value(L, c->define, v);
  if (v->kind == V_POISON || is_constant(v))
    return v;
  fail(inner, "E0313", e->span, "%s must be known when compiling, but it is %s",
       c->item->constant.name.s, value_text(L, v));
  return &poison;
}

const Value *const_value(Scope *s, const File *f, const char *name) {
  Constant *c = names_get(&f->consts, name);
  for (int i = 0; !c && i < f->n_imports; i++)
    c = names_get(&f->import[i]->consts, name);
  if (!c)
    return NULL;
  if (c->state == 1) {
    fail(s, "E0206", c->item->constant.name.span, "%s is defined by itself",
         name);
    return &poison;
  }
  if (c->state == 0) {
    c->state = 1;
    c->value = eval_constant(s, c);
    c->state = 2;
  }
  return c->value;
}

/* -- variants and -D */

static Constant *user_constant(Lower *L, const char *name) {
  Constant *c = names_get(&L->user->consts, name);
  for (int i = 0; !c && i < L->user->n_imports; i++)
    c = names_get(&L->user->import[i]->consts, name);
  return c;
}

static void check_entry(Lower *L, const Entry *e, bool chosen) {
  Constant *c = user_constant(L, e->name.s);
  if (!c) {
    Candidates near = {.arena = L->a};
    const_candidates(L->user, &near);
    Diag *diag = diag_error(L->d, "E0413", e->name.span,
                            "a variant sets constants, and %s is none",
                            e->name.s);
    help_nearest(diag, e->name.s, &near);
  } else if (chosen && c->variant) {
    diag_error(L->d, "E0404", e->span, "%s is set twice", e->name.s);
  } else if (chosen) {
    c->variant = e->value;
  }
}

void apply_variants(Lower *L) {
  Program *p = L->program;
  const Ast *ast = L->user->ast;
  const char *wanted = L->options->variant;
  Candidates names = {.arena = L->a};
  for (int i = 0; i < ast->n_items; i++) {
    const Item *item = ast->items[i];
    if (item->kind != ITEM_VARIANT)
      continue;
    for (int k = 0; k < names.n; k++)
      if (!strcmp(names.name[k], item->variant.name.s))
        diag_error(L->d, "E0201", item->variant.name.span,
                   "%s is declared twice", names.name[k]);
    candidates_add(&names, item->variant.name.s);
    bool chosen = wanted && !strcmp(wanted, item->variant.name.s);
    if (chosen)
      L->variant = item;
    for (int k = 0; k < item->variant.n_entries; k++)
      check_entry(L, item->variant.entries[k], chosen);
  }
  p->n_variants = names.n;
  p->variants = names.name;
  if (wanted && !L->variant) {
    Span nowhere = {0};
    Diag *diag = diag_error(L->d, "E0411", nowhere, "%s has no variant %s",
                            ast->source->path, wanted);
    help_names(diag, wanted, &names, "it has");
  }
}

bool is_without(Lower *L, const char *name) {
  if (!L->variant)
    return false;
  for (int i = 0; i < L->variant->variant.n_without; i++)
    if (!strcmp(L->variant->variant.without[i].s, name))
      return true;
  return false;
}

void apply_defines(Lower *L) {
  FrontOptions *o = L->options;
  for (int i = 0; i < o->n_defines; i++) {
    Define *d = &o->defines[i];
    Constant *c = user_constant(L, d->name);
    if (c) {
      c->define = d;
      d->used = true;
      continue;
    }
    Span nowhere = {0};
    Candidates near = {.arena = L->a};
    const_candidates(L->user, &near);
    Diag *diag = diag_error(L->d, "E0412", nowhere,
                            "-D %s=%s: the file has no constant %s", d->name,
                            d->value, d->name);
    help_names(diag, d->name, &near, "it has");
  }
}
