/* Nothing is ignored: what the user's file declares and does not use is told. A
 * use is a name in an expression that means the thing, whether or not that
 * expression is reached when lowering: what a body calls its own is not the
 * file's of the same name. A definition or constant is used if the sections lead
 * to it. Names bound by shapes and names of stages need no use. */
#include "frontend/lower.h"

#include <string.h>

typedef struct Mentions {
  Names named;  /* as values */
  Names called; /* as what is called */
  Names stages; /* behind `as` */
} Mentions;

static Mentions *mentions_new(Lower *L) {
  Mentions *m = arena_alloc(L->a, sizeof *m);
  names_init(&m->named, L->a);
  names_init(&m->called, L->a);
  names_init(&m->stages, L->a);
  return m;
}

static void add(Names *to, const char *name) {
  static char yes;
  names_add(to, name, &yes);
}

static bool is_mentioned(const Mentions *m, const char *name) {
  return names_get(&m->named, name) || names_get(&m->called, name);
}

static void mention(Mentions *m, const Expr *e);

static void mention_stage(Mentions *m, const Stage *stage) {
  if (stage->as.s)
    add(&m->stages, stage->as.s);
  switch (stage->kind) {
  case STAGE_CALL:
    mention(m, stage->call);
    return;
  case STAGE_CHAIN:
    for (int i = 0; i < stage->chain.n; i++)
      mention_stage(m, stage->chain.stage[i]);
    return;
  case STAGE_REPEAT:
    mention(m, stage->repeat.count);
    mention_stage(m, stage->repeat.body);
    return;
  }
}

/* Adds every name in an expression. */
static void mention(Mentions *m, const Expr *e) {
  switch (e->kind) {
  case EXPR_NUMBER:
  case EXPR_BOOL:
  case EXPR_STRING:
  case EXPR_REST:
  case EXPR_COUNT:
    return;
  case EXPR_NAME:
    add(&m->named, e->name);
    return;
  case EXPR_LIST:
    for (int i = 0; i < e->list.n; i++)
      mention(m, e->list.item[i]);
    return;
  case EXPR_CALL:
    if (e->call.callee->kind == EXPR_NAME)
      add(&m->called, e->call.callee->name);
    else
      mention(m, e->call.callee);
    for (int i = 0; i < e->call.n_args; i++)
      mention(m, e->call.args[i].value);
    return;
  case EXPR_MEMBER:
    mention(m, e->member.of);
    return;
  case EXPR_INDEX:
    mention(m, e->index.of);
    mention(m, e->index.index);
    return;
  case EXPR_UNARY:
    mention(m, e->unary.a);
    return;
  case EXPR_BINARY:
    mention(m, e->binary.a);
    mention(m, e->binary.b);
    return;
  case EXPR_IF:
    mention(m, e->select.condition);
    mention(m, e->select.yes);
    mention(m, e->select.no);
    return;
  case EXPR_PIPELINE:
    mention(m, e->pipeline.input);
    for (int i = 0; i < e->pipeline.n_stages; i++)
      mention_stage(m, e->pipeline.stage[i]);
    return;
  case EXPR_EXCEPT:
    mention(m, e->except.set);
    mention(m, e->except.without);
    return;
  }
}

static void mention_shape(Mentions *m, const Shape *shape) {
  for (int i = 0; shape && i < shape->n; i++)
    mention(m, shape->dim[i]);
}

static void mention_body(Mentions *m, const Definition *d) {
  for (int i = 0; i < d->n_params; i++)
    if (d->params[i].default_value)
      mention(m, d->params[i].default_value);
  for (int i = 0; i < d->n_stmts; i++) {
    if (d->stmts[i]->value)
      mention(m, d->stmts[i]->value);
    mention_shape(m, d->stmts[i]->shape);
  }
}

static void mention_entries(Mentions *m, int n, Entry *const *entries) {
  for (int i = 0; i < n; i++) {
    if (entries[i]->value)
      mention(m, entries[i]->value);
    mention_entries(m, entries[i]->n_entries, entries[i]->entries);
  }
}

/* -- inside a definition */

static void unused(Lower *L, Name name, const char *what) {
  diag_error(L->d, "E0204", name.span, "%s %s is never used", what, name.s);
}

/* What is called is a definition or a function before it is a value. */
static bool is_used(Lower *L, const Mentions *m, const char *name) {
  return names_get(&m->named, name) ||
         (names_get(&m->called, name) && !find_prim(name) &&
          !find_any_def(L, L->user, DEF_LAYER, name));
}

static bool declares(const Stmt *stmt) {
  return stmt->kind == STMT_LET || stmt->kind == STMT_PARAM ||
         stmt->kind == STMT_STATE;
}

/* What the value of a body and its updates lead to. */
static Mentions *find_needed(Lower *L, const Definition *d) {
  Mentions *m = mentions_new(L);
  for (int i = 0; i < d->n_params; i++) {
    mention_shape(m, d->params[i].shape);
    if (d->params[i].default_value)
      mention(m, d->params[i].default_value);
  }
  for (int before = -1; before != m->named.n + m->called.n;) {
    before = m->named.n + m->called.n;
    for (int i = 0; i < d->n_stmts; i++) {
      const Stmt *stmt = d->stmts[i];
      if (declares(stmt) && !is_mentioned(m, stmt->name.s))
        continue;
      mention_shape(m, stmt->shape);
      if (stmt->value)
        mention(m, stmt->value);
    }
  }
  return m;
}

static void check_definition(Lower *L, const Definition *d) {
  const Mentions *m = find_needed(L, d);
  for (int i = 0; i < d->n_params; i++) {
    const Param *p = &d->params[i];
    if (!is_used(L, m, p->name.s) && p->name.s[0] != '_' &&
        !(p->shape && p->shape->is_class))
      unused(L, p->name, "the argument");
  }
  for (int i = 0; i < d->n_stmts; i++) {
    const Stmt *stmt = d->stmts[i];
    if (stmt->kind == STMT_VALUE && i < d->n_stmts - 1)
      diag_error(L->d, "E0204", stmt->span,
                 "this value is not used: the last line is the value of %s",
                 d->name.s);
    if (declares(stmt) && !is_used(L, m, stmt->name.s))
      unused(L, stmt->name,
             stmt->kind == STMT_LET     ? "the value"
             : stmt->kind == STMT_STATE ? "the state"
                                        : "the parameter");
  }
}

/* -- in the file */

/* The names that a body calls its own, which hide the file's. A constant in the
 * shape of a parameter is the file's. */
static void add_own(Names *own, const Definition *d) {
  for (int i = 0; i < d->n_params; i++)
    add(own, d->params[i].name.s);
  for (int i = 0; i < d->n_stmts; i++)
    if (d->stmts[i]->name.s)
      add(own, d->stmts[i]->name.s);
}

static void add_all(Names *to, const Names *from, const Names *without) {
  for (int i = 0; i < from->capacity; i++)
    if (from->entry[i].key && !(without && names_get(without, from->entry[i].key)))
      add(to, from->entry[i].key);
}

/* Adds what a body mentions and does not call its own. */
static void use_body(Lower *L, Mentions *used, const Definition *d) {
  Mentions *m = mentions_new(L);
  mention_body(m, d);
  for (int i = 0; i < d->n_params; i++)
    mention_shape(m, d->params[i].shape);
  add_own(&m->stages, d);
  add_all(&used->named, &m->named, &m->stages);
  add_all(&used->called, &m->called, NULL);
}

/* Adds what an item mentions, if it is used. */
static void use_item(Lower *L, Mentions *used, const Item *item) {
  switch (item->kind) {
  case ITEM_CONST:
    if (names_get(&used->named, item->constant.name.s))
      mention(used, item->constant.value);
    return;
  case ITEM_DEFINITION:
    if (is_mentioned(used, item->definition.name.s))
      use_body(L, used, &item->definition);
    return;
  case ITEM_DATA:
    mention(used, item->data.reader);
    mention_entries(used, item->data.n_entries, item->data.entries);
    return;
  case ITEM_TRAIN:
    mention_entries(used, item->train.n_entries, item->train.entries);
    return;
  case ITEM_VARIANT:
    mention_entries(used, item->variant.n_entries, item->variant.entries);
    return;
  case ITEM_IMPORT:
  case ITEM_COUNT:
    return;
  }
}

/* What the sections lead to, by definitions and constants that are used. */
static Mentions *find_used(Lower *L) {
  Mentions *used = mentions_new(L);
  for (int before = -1; before != used->named.n + used->called.n;) {
    before = used->named.n + used->called.n;
    for (int k = 1; k < L->n_files; k++)
      for (int i = 0; i < L->files[k]->ast->n_items; i++)
        use_item(L, used, L->files[k]->ast->items[i]);
  }
  return used;
}

static bool uses_file(const Mentions *used, const File *f) {
  bool uses = false;
  for (int i = 0; i < f->ast->n_items; i++) {
    const Item *item = f->ast->items[i];
    if (item->kind == ITEM_CONST)
      uses = uses || names_get(&used->named, item->constant.name.s);
    else if (item->kind == ITEM_DEFINITION)
      uses = uses || is_mentioned(used, item->definition.name.s);
  }
  return uses;
}

void check_unused(Lower *L) {
  const Ast *ast = L->user->ast;
  const Mentions *used = find_used(L);
  int imports = 0;
  for (int i = 0; i < ast->n_items; i++) {
    const Item *item = ast->items[i];
    if (item->kind == ITEM_IMPORT &&
        !uses_file(used, L->user->import[imports++]))
      unused(L, item->import, "the import");
    if (item->kind == ITEM_CONST &&
        !names_get(&used->named, item->constant.name.s))
      unused(L, item->constant.name, "the constant");
    if (item->kind != ITEM_DEFINITION)
      continue;
    check_definition(L, &item->definition);
    if (!is_mentioned(used, item->definition.name.s))
      unused(L, item->definition.name, def_kind_text[item->definition.kind]);
  }
}
