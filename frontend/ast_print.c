/* The syntax tree as text, for `netc dump --stage=ast`: one node a line, two
 * blanks deeper for each level, `kind detail @ line:column`. Calls show the
 * number by which their random bits are addressed. */
#include "frontend/ast.h"

#include <string.h>

typedef struct Printer {
  Text *t;
  const Source *source;
  int depth;
  /* The place last printed. Most nodes stand near the one before, so that
   * lines are counted from there, not from the start of the file. */
  uint32_t offset, start; /* and where its line begins */
  int line;
} Printer;

static void place(Printer *p, Span at) {
  const char *text = p->source->text;
  for (; p->offset < at.begin; p->offset++)
    if (text[p->offset] == '\n') {
      p->line++;
      p->start = p->offset + 1;
    }
  if (at.begin < p->start) {
    for (; p->offset > at.begin; p->offset--)
      p->line -= text[p->offset - 1] == '\n';
    for (p->start = at.begin; p->start > 0 && text[p->start - 1] != '\n';)
      p->start--;
  }
  p->offset = at.begin;
  text_add(p->t, " @ %d:%u\n", p->line, at.begin - p->start + 1);
}

static void indent(Printer *p) {
  text_add(p->t, "%*s", 2 * p->depth, "");
}

/* A line with a word and, after a blank, `detail`, if that is not NULL. */
static void line(Printer *p, const char *kind, const char *detail, Span at) {
  indent(p);
  text_add(p->t, "%s%s%s", kind, detail ? " " : "", detail ? detail : "");
  place(p, at);
}

static void quoted(Printer *p, const char *kind, const char *s, Span at) {
  indent(p);
  text_add(p->t, "%s \"", kind);
  for (; *s; s++)
    text_add(p->t, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
  text_add(p->t, "\"");
  place(p, at);
}

static void expr(Printer *p, const Expr *e);
static void stages(Printer *p, int n, Stage *const *stage);

/* net.stage, as it was written. */
static void path(Text *t, const Expr *e) {
  if (e->kind == EXPR_MEMBER) {
    path(t, e->member.of);
    text_add(t, ".%s", e->member.name.s);
  } else {
    text_add(t, "%s", e->name);
  }
}

static void call(Printer *p, const Expr *e, const char *as) {
  indent(p);
  text_add(p->t, "call ");
  path(p->t, e->call.callee);
  text_add(p->t, "%s #%d", e->call.bare ? "" : "()", e->call.ordinal);
  if (as)
    text_add(p->t, " as %s", as);
  place(p, e->span);
  p->depth++;
  for (int i = 0; i < e->call.n_args; i++) {
    const Arg *arg = &e->call.args[i];
    if (arg->name.s) {
      line(p, "argument", arg->name.s, arg->span);
      p->depth++;
      expr(p, arg->value);
      p->depth--;
    } else {
      expr(p, arg->value);
    }
  }
  p->depth--;
}

static void expr_children(Printer *p, const Expr *e) {
  switch (e->kind) {
  case EXPR_LIST:
    for (int i = 0; i < e->list.n; i++)
      expr(p, e->list.item[i]);
    break;
  case EXPR_MEMBER:
    expr(p, e->member.of);
    break;
  case EXPR_INDEX:
    expr(p, e->index.of);
    expr(p, e->index.index);
    break;
  case EXPR_UNARY:
    expr(p, e->unary.a);
    break;
  case EXPR_BINARY:
    expr(p, e->binary.a);
    expr(p, e->binary.b);
    break;
  case EXPR_IF:
    expr(p, e->select.condition);
    expr(p, e->select.yes);
    expr(p, e->select.no);
    break;
  case EXPR_PIPELINE:
    expr(p, e->pipeline.input);
    stages(p, e->pipeline.n_stages, e->pipeline.stage);
    break;
  case EXPR_EXCEPT:
    expr(p, e->except.set);
    expr(p, e->except.without);
    break;
  case EXPR_NUMBER:
  case EXPR_BOOL:
  case EXPR_STRING:
  case EXPR_NAME:
  case EXPR_REST:
  case EXPR_CALL:
  case EXPR_COUNT:
    break;
  }
}

static void expr(Printer *p, const Expr *e) {
  switch (e->kind) {
  case EXPR_NUMBER:
    indent(p);
    text_add(p->t, "number ");
    text_add_number(p->t, e->number);
    place(p, e->span);
    break;
  case EXPR_BOOL:
    line(p, e->truth ? "true" : "false", NULL, e->span);
    break;
  case EXPR_STRING:
    quoted(p, "string", e->string, e->span);
    break;
  case EXPR_NAME:
    line(p, "name", e->name, e->span);
    break;
  case EXPR_LIST:
    line(p, "list", NULL, e->span);
    break;
  case EXPR_REST:
    line(p, "rest", NULL, e->span);
    break;
  case EXPR_CALL:
    call(p, e, NULL);
    break;
  case EXPR_MEMBER:
    line(p, "member", e->member.name.s, e->span);
    break;
  case EXPR_INDEX:
    line(p, "index", NULL, e->span);
    break;
  case EXPR_UNARY:
    line(p, "unary", unary_text[e->unary.op], e->span);
    break;
  case EXPR_BINARY:
    line(p, "binary", binary_text[e->binary.op], e->span);
    break;
  case EXPR_IF:
    line(p, "if", NULL, e->span);
    break;
  case EXPR_PIPELINE:
    line(p, "pipeline", NULL, e->span);
    break;
  case EXPR_EXCEPT:
    line(p, "except", NULL, e->span);
    break;
  case EXPR_COUNT:
    break;
  }
  p->depth++;
  expr_children(p, e);
  p->depth--;
}

static void stage(Printer *p, const Stage *s) {
  switch (s->kind) {
  case STAGE_CALL:
    call(p, s->call, s->as.s);
    break;
  case STAGE_CHAIN:
    line(p, s->as.s ? "chain as" : "chain", s->as.s, s->span);
    p->depth++;
    stages(p, s->chain.n, s->chain.stage);
    p->depth--;
    break;
  case STAGE_REPEAT:
    line(p, "repeat", NULL, s->span);
    p->depth++;
    expr(p, s->repeat.count);
    stage(p, s->repeat.body);
    p->depth--;
    break;
  }
}

static void stages(Printer *p, int n, Stage *const *list) {
  for (int i = 0; i < n; i++)
    stage(p, list[i]);
}

static void shape(Printer *p, const Shape *s) {
  if (!s)
    return;
  p->depth++;
  line(p, s->is_class ? "class" : "shape", NULL, s->span);
  p->depth++;
  for (int i = 0; i < s->n; i++)
    expr(p, s->dim[i]);
  p->depth -= 2;
}

static void child(Printer *p, const Expr *e) {
  p->depth++;
  expr(p, e);
  p->depth--;
}

static void stmt(Printer *p, const Stmt *s) {
  static const char *const kinds[STMT_COUNT] = {
      [STMT_LET] = "let",   [STMT_STATE] = "state", [STMT_UPDATE] = "update",
      [STMT_PROX] = "prox", [STMT_VALUE] = "value",
  };
  static const char *const roles[] = {
      [VAR_WEIGHT] = "weight", [VAR_BIAS] = "bias", [VAR_SCALE] = "scale"};
  line(p, s->kind == STMT_PARAM ? roles[s->role] : kinds[s->kind], s->name.s,
       s->span);
  shape(p, s->shape);
  child(p, s->value);
}

static void definition(Printer *p, const Definition *d, Span at) {
  line(p, def_kind_text[d->kind], d->name.s, at);
  p->depth++;
  for (int i = 0; i < d->n_params; i++) {
    line(p, "parameter", d->params[i].name.s, d->params[i].span);
    shape(p, d->params[i].shape);
    if (d->params[i].default_value)
      child(p, d->params[i].default_value);
  }
  for (int i = 0; i < d->n_stmts; i++)
    stmt(p, d->stmts[i]);
  p->depth--;
}

static void entries(Printer *p, int n, Entry *const *list) {
  p->depth++;
  for (int i = 0; i < n; i++) {
    const Entry *e = list[i];
    line(p, "entry", e->name.s, e->span);
    if (e->kind == ENTRY_BLOCK)
      entries(p, e->n_entries, e->entries);
    else
      child(p, e->value);
  }
  p->depth--;
}

static void item(Printer *p, const Item *it) {
  switch (it->kind) {
  case ITEM_CONST:
    line(p, "const", it->constant.name.s, it->span);
    child(p, it->constant.value);
    break;
  case ITEM_IMPORT:
    quoted(p, "import", it->import.s, it->span);
    break;
  case ITEM_DEFINITION:
    definition(p, &it->definition, it->span);
    break;
  case ITEM_DATA:
    line(p, "data", NULL, it->span);
    child(p, it->data.reader);
    entries(p, it->data.n_entries, it->data.entries);
    break;
  case ITEM_TRAIN:
    line(p, "train", NULL, it->span);
    entries(p, it->train.n_entries, it->train.entries);
    break;
  case ITEM_VARIANT:
    line(p, "variant", it->variant.name.s, it->span);
    entries(p, it->variant.n_entries, it->variant.entries);
    p->depth++;
    for (int i = 0; i < it->variant.n_without; i++)
      line(p, "without", it->variant.without[i].s, it->variant.without[i].span);
    p->depth--;
    break;
  case ITEM_COUNT:
    break;
  }
}

void print_ast(Text *t, const Ast *ast) {
  Printer p = {.t = t, .source = ast->source, .line = 1};
  for (int i = 0; i < ast->n_items; i++)
    item(&p, ast->items[i]);
}
