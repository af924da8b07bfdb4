/* The metrics that evaluation reports beside the loss. A metric is a loss: one
 * number a sample, whose mean is reported. What is true or false counts hits, of
 * which more are better; of other numbers fewer are. A definition that is given
 * no value to work on takes the first two arguments of the loss that is trained:
 * `accuracy`, `top(5)`. Three words are more than a mean: */
#include "frontend/lower.h"

#include <string.h>

static const struct {
  const char *name;
  MetricKind kind;
  bool more;
} words[] = {{"root_mean_squared_error", METRIC_ROOT, false},
             {"r2", METRIC_R2, true},
             {"confusion", METRIC_CONFUSION, false}};
enum { WORDS = sizeof words / sizeof *words };

void note_loss(Scope *inner) {
  Lower *L = inner->L;
  const Definition *d = inner->def->ast;
  if (!L->in_loss || L->pair[0] || d->n_params < 2)
    return;
  for (int i = 0; i < 2; i++) {
    const Slot *slot = scope_slot(inner, d->params[i].name.s);
    L->pair[i] = slot->kind == SLOT_VALUE ? slot->value : NULL;
  }
  if (!L->pair[1])
    L->pair[0] = NULL;
}

/* -- names */

static bool is_taken(const Lower *L, const char *name) {
  const Program *p = L->program;
  if (!strcmp(name, "loss") || (L->classified && !strcmp(name, "accuracy")))
    return true;
  for (int i = 0; i < p->n_metrics; i++)
    if (!strcmp(p->metrics[i].name, name))
      return true;
  return false;
}

static const char *free_name(Lower *L, const char *name) {
  const char *unique = name;
  for (int n = 2; is_taken(L, unique); n++)
    unique = arena_printf(L->a, "%s_%d", name, n);
  return unique;
}

/* mine, of mine(net(x), y); top_5, of top(5). */
static const char *metric_name(Scope *s, const Expr *e, bool paired) {
  Lower *L = s->L;
  const char *name = "value";
  if (e->kind == EXPR_NAME)
    name = e->name;
  else if (e->kind == EXPR_CALL && e->call.callee->kind == EXPR_NAME)
    name = e->call.callee->name;
  for (int i = 0; paired && e->kind == EXPR_CALL && i < e->call.n_args; i++) {
    Text t;
    const Value *v = eval(s, e->call.args[i].value);
    text_init(&t, L->a);
    text_add(&t, "%s_", name);
    if (v->kind == V_NUMBER && !v->flag)
      text_add_number(&t, v->number);
    if (v->kind == V_NUMBER && !v->flag)
      name = t.s;
  }
  return free_name(L, name);
}

static const char *add_metric(Lower *L, const char *name, MetricKind kind,
                              bool more) {
  Program *p = L->program;
  p->metrics = arena_grow(L->a, p->metrics, p->n_metrics, &L->cap_metrics,
                          sizeof *p->metrics);
  p->metrics[p->n_metrics++] = (Metric){name, kind, more};
  return name;
}

static void metric_result(Lower *L, const char *name, const char *part,
                          Node *n) {
  graph_output(L->g, OUT_RESULT, arena_printf(L->a, "metric.%s%s", name, part),
               mask_rows(L, n, 0));
}

/* -- values */

/* The call of a definition on the loss's own two arguments; `e` is its name
 * alone, or its call with further arguments. */
static const Value *call_on_pair(Scope *s, const Def *def, const Expr *e) {
  Lower *L = s->L;
  Expr *call = arena_alloc(L->a, sizeof *call);
  if (def->ast->n_params < 2) {
    fail(s, "E0421", e->span, "%s does not compare two values: it cannot stand "
         "here without its argument", def->ast->name.s);
    return &poison;
  }
  *call = *e;
  if (e->kind != EXPR_CALL) {
    call->kind = EXPR_CALL;
    call->call.callee = (Expr *)e;
    call->call.n_args = 0;
    call->call.args = NULL;
    call->call.ordinal = INT32_MAX; /* no place of the text */
    call->call.bare = true;
  }
  if (!L->pair[0]) {
    fail(s, "E0421", e->span, "there is nothing for %s to compare: the loss "
         "calls no loss definition of two arguments", def->ast->name.s);
    return &poison;
  }
  return call_def(s, &(Call){.def = def, .at = call, .args = call,
                             .args_scope = s, .piped = L->pair[0],
                             .second = L->pair[1]});
}

/* The definition that is to work on the loss's arguments, or NULL. */
static const Def *paired_def(Scope *s, const Expr *e) {
  const Expr *name = e->kind == EXPR_CALL ? e->call.callee : e;
  const Def *def = name->kind == EXPR_NAME
                       ? find_def(s->L, s->file, DEF_LOSS, name->name)
                       : NULL;
  if (!def || e->kind != EXPR_CALL || !e->call.n_args ||
      e->call.args[0].name.s)
    return def;
  const Expr *first = e->call.args[0].value;
  if (first->kind == EXPR_CALL || first->kind == EXPR_PIPELINE)
    return NULL;
  return eval(s, first)->kind == V_NUMBER ? def : NULL;
}

static bool is_field(const Lower *L, const char *name) {
  for (int i = 0; i < L->n_fields; i++)
    if (!strcmp(L->field[i].field->name, name))
      return true;
  return false;
}

static void unknown_metric(Scope *s, const Expr *e) {
  Lower *L = s->L;
  Candidates near = {.arena = L->a};
  for (int i = 0; i < WORDS; i++)
    candidates_add(&near, words[i].name);
  candidates_add_names(&near, &s->file->defs[DEF_LOSS]);
  for (int i = 0; i < s->file->n_imports; i++)
    candidates_add_names(&near, &s->file->import[i]->defs[DEF_LOSS]);
  candidates_add_names(&near, &L->prelude->defs[DEF_LOSS]);
  Diag *diag = fail(s, "E0421", e->span, "unknown metric %s", e->name);
  help_nearest(diag, e->name, &near);
}

static void mean_metric(Scope *s, const Expr *e) {
  Lower *L = s->L;
  const Def *def = paired_def(s, e);
  if (!def && e->kind == EXPR_NAME && !is_field(L, e->name)) {
    unknown_metric(s, e);
    return;
  }
  const Value *v = def ? call_on_pair(s, def, e) : eval(s, e);
  if (v->kind == V_WEIGHTED) {
    fail(s, "E0421", e->span, "a metric has no weights");
    return;
  }
  set_loc(s, e->span);
  Node *n = each_sample(s, e->span, v, "a metric");
  if (!n || (def && def->file == L->prelude && L->classified &&
             !strcmp(def->ast->name.s, "accuracy")))
    return; /* a mistake, or what is told anyway */
  bool hit = v->kind == V_TENSOR && v->node->type.dtype == T_I1;
  metric_result(L, add_metric(L, metric_name(s, e, def), METRIC_MEAN, hit), "",
                n);
}

/* -- the words */

static bool word_args(Scope *s, const Expr *e, const Value *v[2]) {
  Lower *L = s->L;
  bool given = e->kind == EXPR_CALL && e->call.n_args;
  if (given && (e->call.n_args != 2 || e->call.args[0].name.s ||
                e->call.args[1].name.s)) {
    fail(s, "E0421", e->span, "this takes what the net gives and what it "
         "should give, or nothing");
    return false;
  }
  for (int i = 0; i < 2; i++)
    v[i] = given ? eval(s, e->call.args[i].value) : L->pair[i];
  if (v[0])
    return v[0]->kind != V_POISON && v[1]->kind != V_POISON;
  fail(s, "E0421", e->span, "there is nothing to compare: the loss calls no "
       "loss definition of two arguments");
  return false;
}

/* The mean over a sample's elements, by the prelude's squared_error, which
 * checks the shapes. */
static Node *mean_square(Scope *s, const Expr *e, const Value *const *v) {
  Lower *L = s->L;
  const Def *def = names_get(&L->prelude->defs[DEF_LOSS], "squared_error");
  Expr *none = arena_alloc(L->a, sizeof *none);
  *none = (Expr){.kind = EXPR_CALL, .span = e->span};
  none->call.callee = (Expr *)e;
  const Value *square =
      call_def(s, &(Call){.def = def, .at = none, .args = none,
                          .args_scope = s, .piped = v[0], .second = v[1]});
  set_loc(s, e->span);
  return each_sample(s, e->span, square, "a metric");
}

static void root_metric(Scope *s, const Expr *e, const char *name) {
  const Value *v[2];
  Node *n = word_args(s, e, v) ? mean_square(s, e, v) : NULL;
  if (n)
    metric_result(s->L, name, "", n);
}

static void r2_metric(Scope *s, const Expr *e, const char *name) {
  Lower *L = s->L;
  const Value *v[2];
  Node *n = word_args(s, e, v) ? mean_square(s, e, v) : NULL;
  const Value *target = n ? need_tensor(s, e->span, v[1], "the target") : NULL;
  if (!target)
    return;
  if (!target->sample) {
    fail(s, "E0421", e->span, "the target does not depend on the sample");
    return;
  }
  double elements = (double)(type_count(&target->node->type) / L->batch);
  n = graph_binary(L->g, OP_MUL, n, graph_const(L->g, elements, n->type));
  metric_result(L, name, ".error", n);
  metric_result(L, name, ".target", cast_to(L, target->node, T_F32));
}

static void confusion_metric(Scope *s, const Expr *e) {
  if (e->kind == EXPR_CALL && e->call.n_args)
    too_many_arguments(s, e->span, "confusion", 0);
  else if (!s->L->classified)
    fail(s, "E0421", e->span, "confusion counts classes: the first net that "
         "the loss calls must give a logit for each");
}

static void one_metric(Scope *s, const Expr *e) {
  Lower *L = s->L;
  const Expr *name = e->kind == EXPR_CALL ? e->call.callee : e;
  int w = WORDS;
  if (name->kind == EXPR_NAME &&
      !find_def(L, s->file, DEF_LOSS, name->name))
    for (w = 0; w < WORDS && strcmp(words[w].name, name->name);)
      w++;
  if (w == WORDS) {
    mean_metric(s, e);
    return;
  }
  const char *free = add_metric(L, free_name(L, words[w].name), words[w].kind,
                                words[w].more);
  if (words[w].kind == METRIC_ROOT)
    root_metric(s, e, free);
  else if (words[w].kind == METRIC_R2)
    r2_metric(s, e, free);
  else
    confusion_metric(s, e);
}

void lower_metrics(Scope *s, const Expr *e) {
  s->prefer = DEF_LOSS;
  if (e->kind != EXPR_LIST) {
    one_metric(s, e);
    return;
  }
  for (int i = 0; i < e->list.n; i++)
    one_metric(s, e->list.item[i]);
}
