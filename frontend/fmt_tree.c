/* What the tree knows of each token: under which one a line goes on that is
 * broken here, how dear that would be, and which statements have columns that
 * can be aligned. Tokens inside brackets go on under the first one there, others
 * as the table says:
 *
 *   x -> f       y = if c then a     z = a + b *     u =
 *     -> g           else b                  c           long value
 */
#include "frontend/fmt.h"

#include <string.h>

/* The token that begins at this byte, or the first one behind it. */
static int token_at(const Fmt *f, uint32_t begin) {
  int low = 0, high = f->n_toks - 1;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (f->tok[middle].span.begin < begin)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static int first_token(const Fmt *f, Span s) {
  return token_at(f, s.begin);
}

static int last_token(const Fmt *f, Span s) {
  return token_at(f, s.end) - 1;
}

/* The first token of this kind behind the span. Between there are but the
 * brackets that close around it. */
static int find_behind(const Fmt *f, Span s, int kind) {
  int i = token_at(f, s.end);
  while (f->tok[i].kind != kind && f->tok[i].kind != YYEOF)
    i++;
  return i;
}

static void place(Fmt *f, int i, int under, int shift, int cost) {
  Tok *t = &f->tok[i];
  t->under = under;
  t->shift = shift;
  t->of_line = false;
  t->cost = cost;
}

/* --- brackets ------------------------------------------------------------- */

/* Where lines go on that the tree has no better place for. */
static void place_all(Fmt *f) {
  int *open = arena_alloc(f->arena, (size_t)f->n_toks * sizeof *open);
  int n = 0, start = 0;
  for (int i = 0; i < f->n_toks; i++) {
    Tok *t = &f->tok[i];
    t->follows = t->next_arrow = t->as = NO_TOKEN;
    t->cost = COST_NEVER;
    if (t->first)
      start = i;
    if (t->kind == ')' || t->kind == ']') {
      n--;
      t->under = t->match;
      t->of_line = true;
    } else if (n > 0) {
      t->under = i == open[n - 1] + 1 ? i - 1 : open[n - 1] + 1;
      t->of_line = i == open[n - 1] + 1;
      t->shift = t->of_line ? INDENT : 0;
    } else {
      t->under = start;
      t->shift = HANGING;
    }
    if (t->kind == '(' || t->kind == '[')
      open[n++] = i;
  }
}

/* The items between two brackets may go to lines of their own. */
static void place_items(Fmt *f, int close, int cost) {
  int open = f->tok[close].match;
  if (open + 1 == close)
    return;
  f->tok[open + 1].cost = COST_LAST_RESORT + cost;
  for (int i = open + 1; i < close; i++) {
    if (f->tok[i].kind == ',')
      f->tok[i + 1].cost = cost;
    if (f->tok[i].kind == '(' || f->tok[i].kind == '[')
      i = f->tok[i].match;
  }
}

/* --- expressions ---------------------------------------------------------- */

static void walk(Fmt *f, const Expr *e, int cost);

static void walk_call(Fmt *f, const Expr *e, int cost) {
  int close = last_token(f, e->span);
  if (e->call.bare)
    return;
  place_items(f, close, cost);
  for (int i = 0; i < e->call.n_args; i++)
    walk(f, e->call.args[i].value, cost + 1);
}

static void walk_stage(Fmt *f, const Stage *s, int cost);

/* Arrows behind the first are set under it. `from` is where the pipeline
 * begins; first is the stage behind its first arrow. */
static void walk_stages(Fmt *f, int from, int n, Stage *const *stage, int first,
                        int cost) {
  int head = NO_TOKEN, before = NO_TOKEN;
  for (int i = 0; i < n; i++) {
    walk_stage(f, stage[i], cost + 1);
    if (i < first)
      continue;
    int arrow = first_token(f, stage[i]->span) - 1;
    const Stage *named = stage[i];
    while (named->kind == STAGE_REPEAT)
      named = named->repeat.body;
    if (named->as.s)
      f->tok[arrow].as = first_token(f, named->as.span) - 1;
    place(f, arrow, head < 0 ? from : head, head < 0 ? INDENT : 0, cost);
    if (head < 0)
      head = arrow;
    else
      f->tok[before].next_arrow = arrow;
    before = arrow;
  }
  if (f->n_pipes == f->cap_pipes)
    f->pipe = arena_grow(f->arena, f->pipe, f->n_pipes, &f->cap_pipes,
                         sizeof *f->pipe);
  f->pipe[f->n_pipes++] = head;
}

static void walk_stage(Fmt *f, const Stage *s, int cost) {
  int from = first_token(f, s->span);
  switch (s->kind) {
  case STAGE_CALL:
    walk_call(f, s->call, cost);
    break;
  case STAGE_CHAIN:
    f->tok[from].apart = true;
    if (s->chain.n > 1)
      walk_stages(f, from + 1, s->chain.n, s->chain.stage, 1, cost);
    else
      walk_stage(f, s->chain.stage[0], cost + 1);
    break;
  case STAGE_REPEAT:
    walk(f, s->repeat.count, cost + 1);
    walk_stage(f, s->repeat.body, cost + 1);
    break;
  }
}

/* An `if` behind an `else` goes on like the one before. A line is broken before
 * `else` rather than before `then`. */
static void walk_if(Fmt *f, const Expr *e, int head, int cost) {
  int yes = find_behind(f, e->select.condition->span, THEN);
  int no = find_behind(f, e->select.yes->span, ELSE);
  const Expr *last = e->select.no;
  place(f, yes, head, INDENT, cost + 1);
  place(f, yes + 1, head, INDENT, COST_NEVER);
  place(f, no, head, 0, cost);
  f->tok[no].follows = yes;
  place(f, no + 1, head, INDENT, COST_NEVER);
  walk(f, e->select.condition, cost + 2);
  walk(f, e->select.yes, cost + 2);
  if (last->kind == EXPR_IF && f->tok[no + 1].kind == IF)
    walk_if(f, last, head, cost);
  else
    walk(f, last, cost + 2);
}

/* Operators that bind alike may be broken alike. */
static int tightness(const Expr *e) {
  if (e->kind == EXPR_EXCEPT)
    return 1;
  if (e->kind != EXPR_BINARY)
    return 0;
  switch (e->binary.op) {
  case BINARY_OR: return 2;
  case BINARY_AND: return 3;
  case BINARY_LT: case BINARY_LE: case BINARY_GT: case BINARY_GE:
  case BINARY_EQ: case BINARY_NE: return 4;
  case BINARY_ADD: case BINARY_SUB: return 5;
  case BINARY_MUL: case BINARY_DIV: case BINARY_MATMUL: return 6;
  case BINARY_POW: return 7;
  case BINARY_COUNT: break;
  }
  return 0;
}

/* An operator stands at the end of its line; what follows goes on under the
 * first operand. */
static void walk_operands(Fmt *f, const Expr *e, int op, const Expr *a,
                          const Expr *b, int cost) {
  int start = first_token(f, e->span); /* not a's, if a is in parentheses */
  bool alike =
      tightness(a) == tightness(e) && first_token(f, a->span) == start;
  f->tok[op].binary = true;
  if (f->tok[op].kind != '^')
    place(f, op + 1, start, 0, cost);
  walk(f, a, alike ? cost : cost + 1);
  walk(f, b, cost + 1);
}

static void walk(Fmt *f, const Expr *e, int cost) {
  switch (e->kind) {
  case EXPR_LIST:
    place_items(f, last_token(f, e->span), cost);
    for (int i = 0; i < e->list.n; i++)
      walk(f, e->list.item[i], cost + 1);
    break;
  case EXPR_CALL:
    walk_call(f, e, cost);
    break;
  case EXPR_MEMBER:
    walk(f, e->member.of, cost + 1);
    break;
  case EXPR_INDEX:
    walk(f, e->index.of, cost + 1);
    walk(f, e->index.index, cost + 1);
    break;
  case EXPR_UNARY:
    walk(f, e->unary.a, cost + 1);
    break;
  case EXPR_BINARY:
    walk_operands(f, e, first_token(f, e->binary.at), e->binary.a, e->binary.b,
                  cost);
    break;
  case EXPR_EXCEPT:
    walk_operands(f, e, find_behind(f, e->except.set->span, EXCEPT),
                  e->except.set, e->except.without, cost);
    break;
  case EXPR_IF:
    walk_if(f, e, first_token(f, e->span), cost);
    break;
  case EXPR_PIPELINE:
    walk(f, e->pipeline.input, cost + 1);
    walk_stages(f, first_token(f, e->span), e->pipeline.n_stages,
                e->pipeline.stage, 0, cost);
    break;
  case EXPR_NUMBER:
  case EXPR_BOOL:
  case EXPR_STRING:
  case EXPR_NAME:
  case EXPR_REST:
  case EXPR_COUNT:
    break;
  }
}

static void walk_shape(Fmt *f, const Shape *s, int cost) {
  if (!s)
    return;
  place_items(f, last_token(f, s->span), cost);
  for (int i = 0; i < s->n; i++)
    walk(f, s->dim[i], cost + 1);
}

/* --- statements ----------------------------------------------------------- */

/* The value behind the sign at `sign`, of the statement that begins at `first`.
 */
static void walk_value(Fmt *f, int first, int sign, const Expr *value,
                       int cost) {
  f->tok[sign + 1].value = true;
  place(f, sign + 1, first, INDENT, cost);
  walk(f, value, 1);
}

static void add_row(Fmt *f, RowKind kind, Span at, int a, int b, int c) {
  if (f->n_rows == f->cap_rows)
    f->row = arena_grow(f->arena, f->row, f->n_rows, &f->cap_rows,
                        sizeof *f->row);
  f->row[f->n_rows++] =
      (Row){kind, first_token(f, at), last_token(f, at), {a, b, c}};
}

/* name = value, behind any words. */
static void walk_named(Fmt *f, RowKind kind, Span at, Name name,
                       const Expr *value) {
  int first = first_token(f, at), sign = find_behind(f, name.span, '=');
  add_row(f, kind, at, sign, NO_TOKEN, NO_TOKEN);
  walk_value(f, first, sign, value, COST_LAST_RESORT);
}

static void walk_declared(Fmt *f, const Stmt *s) {
  int first = first_token(f, s->span), name = first_token(f, s->name.span);
  int sign = find_behind(f, s->shape ? s->shape->span : s->name.span, '=');
  walk_shape(f, s->shape, 2);
  if (s->shape)
    add_row(f, ROW_DECLARE, s->span, name, name + 2, sign);
  else
    add_row(f, ROW_STATE, s->span, sign, NO_TOKEN, NO_TOKEN);
  walk_value(f, first, sign, s->value, 1);
}

static void walk_stmt(Fmt *f, const Stmt *s) {
  int first = first_token(f, s->span);
  int kind = s->kind == STMT_UPDATE ? GETS : '=';
  switch (s->kind) {
  case STMT_LET:
  case STMT_UPDATE:
  case STMT_PROX: {
    int sign = find_behind(f, s->name.span, kind);
    if (s->kind != STMT_PROX)
      add_row(f, ROW_LET, s->span, sign, NO_TOKEN, NO_TOKEN);
    walk_value(f, first, sign, s->value, COST_LAST_RESORT);
    break;
  }
  case STMT_PARAM:
  case STMT_STATE:
    walk_declared(f, s);
    break;
  case STMT_VALUE:
    walk(f, s->value, 1);
    break;
  case STMT_COUNT:
    break;
  }
}

static void walk_definition(Fmt *f, const Definition *d, int first) {
  int open = find_behind(f, d->name.span, '(');
  int close = f->tok[open].match;
  place_items(f, close, 1);
  for (int i = 0; i < d->n_params; i++) {
    walk_shape(f, d->params[i].shape, 3);
    if (d->params[i].default_value)
      walk(f, d->params[i].default_value, 3);
  }
  if (!d->is_block)
    walk_value(f, first, close + 1, d->stmts[0]->value, 0);
  else
    for (int i = 0; i < d->n_stmts; i++)
      walk_stmt(f, d->stmts[i]);
}

static void walk_entries(Fmt *f, int n, Entry *const *list) {
  for (int i = 0; i < n; i++) {
    const Entry *e = list[i];
    switch (e->kind) {
    case ENTRY_VALUE:
      walk_named(f, ROW_SETTING, e->span, e->name, e->value);
      break;
    case ENTRY_CALL:
      walk_call(f, e->value, 1);
      break;
    case ENTRY_BLOCK:
      walk_entries(f, e->n_entries, e->entries);
      break;
    }
  }
}

static bool by_comma(const Fmt *f, int i) {
  return f->tok[i - 1].kind == ',';
}

static void walk_variant(Fmt *f, const Item *it) {
  int brace = first_token(f, it->variant.name.span) + 1, head = NO_TOKEN;
  add_row(f, ROW_VARIANT, it->span, brace, NO_TOKEN, NO_TOKEN);
  walk_entries(f, it->variant.n_entries, it->variant.entries);
  for (int i = 0; i < it->variant.n_without; i++) {
    int name = first_token(f, it->variant.without[i].span);
    if (by_comma(f, name))
      place(f, name, head, 0, 1);
    else
      head = name;
  }
}

static void walk_item(Fmt *f, const Item *it) {
  switch (it->kind) {
  case ITEM_CONST:
    walk_named(f, ROW_CONST, it->span, it->constant.name, it->constant.value);
    break;
  case ITEM_IMPORT:
    break;
  case ITEM_DEFINITION:
    walk_definition(f, &it->definition, first_token(f, it->span));
    break;
  case ITEM_DATA:
    walk_call(f, it->data.reader, 1);
    walk_entries(f, it->data.n_entries, it->data.entries);
    break;
  case ITEM_TRAIN:
    walk_entries(f, it->train.n_entries, it->train.entries);
    break;
  case ITEM_VARIANT:
    walk_variant(f, it);
    break;
  case ITEM_COUNT:
    break;
  }
}

void fmt_tree(Fmt *f) {
  place_all(f);
  for (int i = 0; i < f->ast->n_items; i++)
    walk_item(f, f->ast->items[i]);
}
