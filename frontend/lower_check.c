/* Nothing is ignored: what the user's file declares and never mentions is told.
 * The test is one of text: a name counts as used where an expression mentions
 * it, whether or not that expression is reached. Names bound by shapes and names
 * of stages need no use. */
#include "frontend/lower.h"

#include <string.h>

static void mention(Names *m, const Expr *e);

static void mention_stage(Names *m, const Stage *stage) {
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
static void mention(Names *m, const Expr *e) {
  static char yes;
  switch (e->kind) {
  case EXPR_NUMBER:
  case EXPR_BOOL:
  case EXPR_STRING:
  case EXPR_REST:
  case EXPR_COUNT:
    return;
  case EXPR_NAME:
    names_add(m, e->name, &yes);
    return;
  case EXPR_LIST:
    for (int i = 0; i < e->list.n; i++)
      mention(m, e->list.item[i]);
    return;
  case EXPR_CALL:
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

static void mention_shape(Names *m, const Shape *shape) {
  for (int i = 0; shape && i < shape->n; i++)
    mention(m, shape->dim[i]);
}

static void mention_body(Names *m, const Definition *d) {
  for (int i = 0; i < d->n_params; i++)
    if (d->params[i].default_value)
      mention(m, d->params[i].default_value);
  for (int i = 0; i < d->n_stmts; i++) {
    if (d->stmts[i]->value)
      mention(m, d->stmts[i]->value);
    mention_shape(m, d->stmts[i]->shape);
  }
}

static void mention_entries(Names *m, int n, Entry *const *entries) {
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

static void check_definition(Lower *L, const Definition *d) {
  Names m;
  names_init(&m, L->a);
  mention_body(&m, d);
  for (int i = 0; i < d->n_params; i++)
    mention_shape(&m, d->params[i].shape);
  for (int i = 0; i < d->n_params; i++) {
    const Param *p = &d->params[i];
    if (!names_get(&m, p->name.s) && p->name.s[0] != '_' &&
        !(p->shape && p->shape->is_class))
      unused(L, p->name, "the argument");
  }
  for (int i = 0; i < d->n_stmts; i++) {
    const Stmt *stmt = d->stmts[i];
    if (stmt->kind == STMT_VALUE && i < d->n_stmts - 1)
      diag_error(L->d, "E0204", stmt->span,
                 "this value is not used: the last line is the value of %s",
                 d->name.s);
    if (stmt->kind == STMT_LET || stmt->kind == STMT_PARAM ||
        stmt->kind == STMT_STATE)
      if (!names_get(&m, stmt->name.s))
        unused(L, stmt->name,
               stmt->kind == STMT_LET     ? "the value"
               : stmt->kind == STMT_STATE ? "the state"
                                          : "the parameter");
  }
}

/* -- in the file */

void check_unused(Lower *L) {
  const Ast *ast = L->user->ast;
  Names all;
  names_init(&all, L->a);
  for (int k = 1; k < L->n_files; k++)
    for (int i = 0; i < L->files[k]->ast->n_items; i++) {
      const Item *item = L->files[k]->ast->items[i];
      switch (item->kind) {
      case ITEM_CONST:
        mention(&all, item->constant.value);
        break;
      case ITEM_DEFINITION:
        mention_body(&all, &item->definition);
        for (int p = 0; p < item->definition.n_params; p++)
          mention_shape(&all, item->definition.params[p].shape);
        break;
      case ITEM_DATA:
        mention(&all, item->data.reader);
        mention_entries(&all, item->data.n_entries, item->data.entries);
        break;
      case ITEM_TRAIN:
        mention_entries(&all, item->train.n_entries, item->train.entries);
        break;
      case ITEM_IMPORT:
      case ITEM_VARIANT:
      case ITEM_COUNT:
        break;
      }
    }
  for (int i = 0; i < ast->n_items; i++) {
    const Item *item = ast->items[i];
    if (item->kind == ITEM_CONST && !names_get(&all, item->constant.name.s))
      unused(L, item->constant.name, "the constant");
    if (item->kind != ITEM_DEFINITION)
      continue;
    check_definition(L, &item->definition);
    if (!names_get(&all, item->definition.name.s))
      unused(L, item->definition.name, def_kind_text[item->definition.kind]);
  }
}
