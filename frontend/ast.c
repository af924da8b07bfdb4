/* The builders of the syntax tree, one for each node, called by the actions of
 * the grammar. They copy lists into the tree, keep count of nesting, number the
 * calls of a section, and find the few mistakes that the grammar is too coarse
 * for: a value given to what is no name, a call of what is no name, positional
 * arguments behind named ones. */
#include "frontend/parse.h"

#include <stdlib.h>
#include <string.h>

#define ROW(name, text) text,
const char *const unary_text[UNARY_COUNT] = {UNARY_OPERATORS(ROW)};
const char *const binary_text[BINARY_COUNT] = {BINARY_OPERATORS(ROW)};
#undef ROW

const char *const def_kind_text[DEF_COUNT] = {
    [DEF_LAYER] = "layer",       [DEF_LOSS] = "loss",
    [DEF_PENALTY] = "penalty",   [DEF_INIT] = "init",
    [DEF_SCHEDULE] = "schedule", [DEF_OPTIMIZER] = "optimizer",
    [DEF_NET] = "net",
};

/* --- lists ---------------------------------------------------------------- */

void list_add(Parser *p, List *list, void *element) {
  if (!element)
    return;
  if (list->n == list->capacity)
    list->v = arena_grow(p->arena, list->v, list->n, &list->capacity,
                         sizeof list->v[0]);
  list->v[list->n++] = element;
}

void list_append(Parser *p, List *list, List tail) {
  for (int i = 0; i < tail.n; i++)
    list_add(p, list, tail.v[i]);
}

/* Makes `array`, of `type`, from a list: of pointers, or of what they point
 * at. */
#define COPY_POINTERS(p, array, type, list)                                    \
  do {                                                                         \
    (array) = arena_alloc((p)->arena, (size_t)(list).n * sizeof(type *) + 1);  \
    for (int i_ = 0; i_ < (list).n; i_++)                                      \
      (array)[i_] = (list).v[i_];                                              \
  } while (0)
#define COPY_VALUES(p, array, type, list)                                      \
  do {                                                                         \
    (array) = arena_alloc((p)->arena, (size_t)(list).n * sizeof(type) + 1);    \
    for (int i_ = 0; i_ < (list).n; i_++)                                      \
      (array)[i_] = *(const type *)(list).v[i_];                               \
  } while (0)

/* --- expressions ---------------------------------------------------------- */

static Expr *expr_new(Parser *p, Span at, ExprKind kind) {
  Expr *e = arena_alloc(p->arena, sizeof *e);
  e->kind = kind;
  e->depth = 1;
  e->span = at;
  return e;
}

/* Tells of a chain that is too long once, at its first node beyond the limit.
 */
static int deeper(Parser *p, Span at, int depth, int child) {
  if (child == MAX_NESTING)
    parser_too_deep(p, at);
  return child >= depth ? child + 1 : depth;
}

static void contains(Parser *p, Expr *e, const Expr *child) {
  e->depth = deeper(p, e->span, e->depth, child->depth);
}

Expr *expr_number(Parser *p, Span at, double value) {
  Expr *e = expr_new(p, at, EXPR_NUMBER);
  e->number = value;
  return e;
}

Expr *expr_bool(Parser *p, Span at, bool value) {
  Expr *e = expr_new(p, at, EXPR_BOOL);
  e->truth = value;
  return e;
}

Expr *expr_string(Parser *p, Span at, const char *s) {
  Expr *e = expr_new(p, at, EXPR_STRING);
  e->string = s;
  return e;
}

Expr *expr_name(Parser *p, Name name) {
  Expr *e = expr_new(p, name.span, EXPR_NAME);
  e->name = name.s;
  return e;
}

Expr *expr_list(Parser *p, Span at, List items) {
  Expr *e = expr_new(p, at, EXPR_LIST);
  e->list.n = items.n;
  COPY_POINTERS(p, e->list.item, Expr, items);
  for (int i = 0; i < items.n; i++)
    contains(p, e, e->list.item[i]);
  return e;
}

Expr *expr_rest(Parser *p, Span at) {
  return expr_new(p, at, EXPR_REST);
}

/* A name, or a member of one: the only things that can be called. */
static bool is_path(const Expr *e) {
  while (e->kind == EXPR_MEMBER)
    e = e->member.of;
  return e->kind == EXPR_NAME;
}

Expr *expr_call(Parser *p, Span at, Expr *callee, List args, bool bare) {
  Expr *e = expr_new(p, at, EXPR_CALL);
  e->call.callee = callee;
  e->call.bare = bare;
  e->call.n_args = args.n;
  COPY_VALUES(p, e->call.args, Arg, args);
  if (!is_path(callee))
    diag_error(p->diags, "E0108", callee->span, "only a name can be called");
  contains(p, e, callee);
  for (int i = 0; i < args.n; i++) {
    contains(p, e, e->call.args[i].value);
    if (i > 0 && e->call.args[i - 1].name.s && !e->call.args[i].name.s)
      diag_error(p->diags, "E0109", e->call.args[i].span,
                 "this argument needs a name, since the one before has one");
  }
  list_add(p, &p->calls, e);
  return e;
}

Expr *expr_member(Parser *p, Span at, Expr *of, Name name) {
  Expr *e = expr_new(p, at, EXPR_MEMBER);
  e->member.of = of;
  e->member.name = name;
  contains(p, e, of);
  return e;
}

Expr *expr_index(Parser *p, Span at, Expr *of, Expr *index) {
  Expr *e = expr_new(p, at, EXPR_INDEX);
  e->index.of = of;
  e->index.index = index;
  contains(p, e, of);
  contains(p, e, index);
  return e;
}

Expr *expr_unary(Parser *p, Span at, UnaryOp op, Expr *a) {
  Expr *e = expr_new(p, at, EXPR_UNARY);
  e->unary.op = op;
  e->unary.a = a;
  contains(p, e, a);
  return e;
}

Expr *expr_binary(Parser *p, Span at, BinaryOp op, Span op_at, Expr *a,
                  Expr *b) {
  Expr *e = expr_new(p, at, EXPR_BINARY);
  e->binary.op = op;
  e->binary.at = op_at;
  e->binary.a = a;
  e->binary.b = b;
  contains(p, e, a);
  contains(p, e, b);
  return e;
}

Expr *expr_if(Parser *p, Span at, Expr *condition, Expr *yes, Expr *no) {
  Expr *e = expr_new(p, at, EXPR_IF);
  e->select.condition = condition;
  e->select.yes = yes;
  e->select.no = no;
  contains(p, e, condition);
  contains(p, e, yes);
  contains(p, e, no);
  return e;
}

Expr *expr_except(Parser *p, Span at, Expr *set, Expr *without) {
  Expr *e = expr_new(p, at, EXPR_EXCEPT);
  e->except.set = set;
  e->except.without = without;
  contains(p, e, set);
  contains(p, e, without);
  return e;
}

Name name_pair(Parser *p, Name first, Name second) {
  return (Name){.s = arena_printf(p->arena, "%s %s", first.s, second.s),
                .span = {first.span.source, first.span.begin, second.span.end}};
}

Name *name_new(Parser *p, Name name) {
  Name *copy = arena_alloc(p->arena, sizeof *copy);
  *copy = name;
  return copy;
}

Arg *arg_new(Parser *p, Span at, Name name, Expr *value) {
  Arg *arg = arena_alloc(p->arena, sizeof *arg);
  *arg = (Arg){name, value, at};
  return arg;
}

/* --- pipelines ------------------------------------------------------------ */

Expr *expr_pipeline(Parser *p, Span at, Expr *input, List stages) {
  Expr *e = expr_new(p, at, EXPR_PIPELINE);
  e->pipeline.input = input;
  e->pipeline.n_stages = stages.n;
  COPY_POINTERS(p, e->pipeline.stage, Stage, stages);
  contains(p, e, input);
  for (int i = 0; i < stages.n; i++)
    e->depth = deeper(p, at, e->depth, e->pipeline.stage[i]->depth);
  return e;
}

static Stage *stage_new(Parser *p, Span at, StageKind kind) {
  Stage *s = arena_alloc(p->arena, sizeof *s);
  s->kind = kind;
  s->depth = 1;
  s->span = at;
  return s;
}

Stage *stage_call(Parser *p, Expr *call) {
  Stage *s = stage_new(p, call->span, STAGE_CALL);
  s->call = call;
  s->depth = deeper(p, s->span, s->depth, call->depth);
  return s;
}

Stage *stage_chain(Parser *p, Span at, List stages) {
  Stage *s = stage_new(p, at, STAGE_CHAIN);
  s->chain.n = stages.n;
  COPY_POINTERS(p, s->chain.stage, Stage, stages);
  for (int i = 0; i < stages.n; i++)
    s->depth = deeper(p, at, s->depth, s->chain.stage[i]->depth);
  return s;
}

Stage *stage_repeat(Parser *p, Span at, Expr *count, Stage *body) {
  Stage *s = stage_new(p, at, STAGE_REPEAT);
  s->repeat.count = count;
  s->repeat.body = body;
  s->depth = deeper(p, at, s->depth, count->depth);
  s->depth = deeper(p, at, s->depth, body->depth);
  return s;
}

/* --- parameters and statements -------------------------------------------- */

Shape *shape_new(Parser *p, Span at, Name word, List dims) {
  Shape *shape = arena_alloc(p->arena, sizeof *shape);
  shape->is_class = word.s != NULL;
  shape->span = at;
  shape->n = dims.n;
  COPY_POINTERS(p, shape->dim, Expr, dims);
  if (word.s && (strcmp(word.s, "class") != 0 || dims.n != 1)) {
    Diag *diag = diag_error(p->diags, "E0110", at, "this is no shape");
    diag_help(diag, "a shape is [sizes], or class[k]: a whole number below k");
  }
  return shape;
}

Param *param_new(Parser *p, Span at, Name name, Shape *shape, Expr *value) {
  Param *param = arena_alloc(p->arena, sizeof *param);
  *param = (Param){name, shape, value, at};
  return param;
}

static Stmt *stmt_new(Parser *p, Span at, StmtKind kind, Name name,
                      Shape *shape, Expr *value) {
  Stmt *s = arena_alloc(p->arena, sizeof *s);
  s->kind = kind;
  s->span = at;
  s->name = name;
  s->shape = shape;
  s->value = value;
  return s;
}

Stmt *stmt_value(Parser *p, Span at, Expr *value) {
  return stmt_new(p, at, STMT_VALUE, (Name){NULL, at}, NULL, value);
}

/* prox(t), with a name alone between the parentheses? */
static bool is_prox(const Expr *e) {
  return e->kind == EXPR_CALL && e->call.callee->kind == EXPR_NAME &&
         strcmp(e->call.callee->name, "prox") == 0 && e->call.n_args == 1 &&
         !e->call.args[0].name.s && e->call.args[0].value->kind == EXPR_NAME;
}

Stmt *stmt_assign(Parser *p, Span at, Expr *target, Expr *value) {
  if (target->kind == EXPR_NAME)
    return stmt_new(p, at, STMT_LET, (Name){target->name, target->span}, NULL,
                    value);
  if (is_prox(target)) {
    const Expr *t = target->call.args[0].value;
    for (int i = 0; i < p->calls.n; i++)
      if (p->calls.v[i] == target) /* it is a head, not a call */
        p->calls.v[i] = p->calls.v[--p->calls.n];
    return stmt_new(p, at, STMT_PROX, (Name){t->name, t->span}, NULL, value);
  }
  diag_error(p->diags, "E0107", target->span,
             "only a name can be given a value");
  return NULL;
}

Stmt *stmt_update(Parser *p, Span at, Expr *target, Expr *value) {
  if (target->kind == EXPR_NAME)
    return stmt_new(p, at, STMT_UPDATE, (Name){target->name, target->span},
                    NULL, value);
  diag_error(p->diags, "E0107", target->span,
             "only a name can be given a new value");
  return NULL;
}

Stmt *stmt_param(Parser *p, Span at, VarKind role, Name name, Shape *shape,
                 Expr *value) {
  Stmt *s = stmt_new(p, at, STMT_PARAM, name, shape, value);
  s->role = role;
  return s;
}

Stmt *stmt_state(Parser *p, Span at, Name name, Shape *shape, Expr *value) {
  return stmt_new(p, at, STMT_STATE, name, shape, value);
}

/* --- entries and sections ------------------------------------------------- */

static Entry *entry_new(Parser *p, Span at, EntryKind kind, Name name,
                        Expr *value) {
  Entry *entry = arena_alloc(p->arena, sizeof *entry);
  entry->kind = kind;
  entry->span = at;
  entry->name = name;
  entry->value = value;
  return entry;
}

Entry *entry_value(Parser *p, Span at, Name name, Expr *value) {
  return entry_new(p, at, ENTRY_VALUE, name, value);
}

Entry *entry_call(Parser *p, Span at, Name name, List args, bool bare) {
  return entry_new(p, at, ENTRY_CALL, name,
                   expr_call(p, at, expr_name(p, name), args, bare));
}

Entry *entry_block(Parser *p, Span at, Name name, List entries) {
  Entry *entry = entry_new(p, at, ENTRY_BLOCK, name, NULL);
  entry->n_entries = entries.n;
  COPY_POINTERS(p, entry->entries, Entry, entries);
  return entry;
}

static Item *item_new(Parser *p, Span at, ItemKind kind) {
  Item *item = arena_alloc(p->arena, sizeof *item);
  item->kind = kind;
  item->span = at;
  return item;
}

Item *item_const(Parser *p, Span at, Name name, Expr *value) {
  Item *item = item_new(p, at, ITEM_CONST);
  item->constant.name = name;
  item->constant.value = value;
  return item;
}

Item *item_import(Parser *p, Span at, Name path) {
  Item *item = item_new(p, at, ITEM_IMPORT);
  item->import = path;
  return item;
}

Item *item_definition(Parser *p, Span at, DefKind kind, Name name, List params,
                      List stmts, bool is_block) {
  Item *item = item_new(p, at, ITEM_DEFINITION);
  Definition *d = &item->definition;
  d->kind = kind;
  d->name = name;
  d->is_block = is_block;
  d->n_params = params.n;
  COPY_VALUES(p, d->params, Param, params);
  d->n_stmts = stmts.n;
  COPY_POINTERS(p, d->stmts, Stmt, stmts);
  return item;
}

Item *item_data(Parser *p, Span at, Expr *reader, List entries) {
  Item *item = item_new(p, at, ITEM_DATA);
  item->data.reader = reader;
  item->data.n_entries = entries.n;
  COPY_POINTERS(p, item->data.entries, Entry, entries);
  return item;
}

Item *item_train(Parser *p, Span at, List entries) {
  Item *item = item_new(p, at, ITEM_TRAIN);
  item->train.n_entries = entries.n;
  COPY_POINTERS(p, item->train.entries, Entry, entries);
  return item;
}

Item *item_variant(Parser *p, Span at, Name name, List entries, List without) {
  Item *item = item_new(p, at, ITEM_VARIANT);
  item->variant.name = name;
  item->variant.n_entries = entries.n;
  COPY_POINTERS(p, item->variant.entries, Entry, entries);
  item->variant.n_without = without.n;
  COPY_VALUES(p, item->variant.without, Name, without);
  return item;
}

static int by_place(const void *a, const void *b) {
  const Expr *x = *(void *const *)a, *y = *(void *const *)b;
  uint32_t i = x->call.callee->span.begin, j = y->call.callee->span.begin;
  return (i > j) - (i < j);
}

void parser_add_item(Parser *p, Item *item) {
  if (item) {
    if (p->calls.n > 0)
      qsort(p->calls.v, (size_t)p->calls.n, sizeof p->calls.v[0], by_place);
    for (int i = 0; i < p->calls.n; i++)
      ((Expr *)p->calls.v[i])->call.ordinal = i;
    item->n_calls = p->calls.n;
    list_add(p, &p->items, item);
  }
  p->calls.n = 0;
}

void parser_finish(Parser *p) {
  p->ast->n_items = p->items.n;
  COPY_POINTERS(p, p->ast->items, Item, p->items);
}
