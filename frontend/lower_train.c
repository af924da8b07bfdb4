/* The section `train`, and the functions that it makes: train (one update from
 * one batch), evaluate (losses and predictions) and predict (the net's output).
 * Each is the loss lowered anew, with `training` true in the first alone. The
 * objective is the mean of the loss over the batch's real rows, weighted if the
 * loss is, plus the penalties, once. */
#include "frontend/lower.h"

#include <string.h>

/* -- the keys */

typedef enum Key {
  KEY_LOSS, KEY_PENALTY, KEY_OPTIMIZER, KEY_BATCH, KEY_EPOCHS, KEY_SHUFFLE,
  KEY_STOP, KEY_KEEP, KEY_INIT, KEY_FREEZE, KEY_CLIP, KEY_SEED, KEY_METRICS,
  KEY_ACCUMULATE, KEY_AVERAGE, KEY_LIMIT, KEY_COUNT
} Key;

static const char *const key_name[KEY_COUNT] = {
    [KEY_LOSS] = "loss",       [KEY_PENALTY] = "penalty",
    [KEY_OPTIMIZER] = "optimizer",
    [KEY_BATCH] = "batch",     [KEY_EPOCHS] = "epochs",
    [KEY_SHUFFLE] = "shuffle", [KEY_STOP] = "stop",
    [KEY_KEEP] = "keep",       [KEY_INIT] = "init",
    [KEY_FREEZE] = "freeze",   [KEY_CLIP] = "clip",
    [KEY_SEED] = "seed",       [KEY_METRICS] = "metrics",
    [KEY_ACCUMULATE] = "accumulate", [KEY_AVERAGE] = "average",
    [KEY_LIMIT] = "limit memory"};

struct Setup {
  Span span;
  const Entry *entry[KEY_COUNT]; /* NULL: not there */
  Scope *scope;
};

static int key_index(const char *name) {
  for (int k = 0; k < KEY_COUNT; k++)
    if (!strcmp(key_name[k], name))
      return k;
  return -1;
}

static const Expr *key_expr(const Setup *t, Key k) {
  return t->entry[k] ? t->entry[k]->value : NULL;
}

static Scope *train_scope(Lower *L) {
  Scope *s = scope_new(L, L->user, NULL, NULL);
  s->home = s->now = (struct Place){L->root, 0x7472, 0};
  s->is_train = true;
  return s;
}

static Scope *begin(Lower *L, const char *name, bool training, int64_t batch) {
  L->g = graph_new(L->a, name);
  L->training = training;
  L->batch = batch;
  L->calls = 0;
  L->output = NULL;
  L->n_states = 0;
  L->pair[0] = L->pair[1] = NULL;
  L->reached_known = false;
  names_init(&L->nets, L->a);
  names_init(&L->draws, L->a);
  L->root = instance_new(L, "", NULL, 0x726f6f74);
  Scope *s = train_scope(L);
  L->root->body = s;
  L->root->sites_state = 2; /* sites are met in the order of evaluation */
  return s;
}

/* One that has an argument of this name, or NULL. */
static const char *optimizer_with(Lower *L, const char *name) {
  const Ast *ast = L->prelude->ast;
  for (int i = 0; i < ast->n_items; i++) {
    const Definition *d = &ast->items[i]->definition;
    if (ast->items[i]->kind != ITEM_DEFINITION || d->kind != DEF_OPTIMIZER)
      continue;
    for (int k = 2; k < d->n_params; k++)
      if (!strcmp(d->params[k].name.s, name))
        return d->name.s;
  }
  return NULL;
}

static void take_key(Lower *L, Setup *t, const Entry *e) {
  int k = key_index(e->name.s);
  if (k < 0) {
    Candidates near = {.arena = L->a};
    for (int i = 0; i < KEY_COUNT; i++)
      candidates_add(&near, key_name[i]);
    Diag *diag = diag_error(L->d, "E0403", e->name.span,
                            "train has no key %s", e->name.s);
    const char *of = optimizer_with(L, e->name.s);
    if (of)
      diag_help(diag, "it is an argument of an optimizer: optimizer = %s(%s = ..)",
                of, e->name.s);
    else
      help_nearest(diag, e->name.s, &near);
  } else if (t->entry[k]) {
    diag_error(L->d, "E0404", e->name.span, "%s stands twice", e->name.s);
  } else if (!is_without(L, e->name.s)) {
    t->entry[k] = e;
  }
}

static void read_numbers(Lower *L, Setup *t) {
  Program *p = L->program;
  Scope *s = t->scope;
  int64_t seed = 1;
  p->batch = 32;
  p->epochs = 1;
  p->shuffle = true;
  L->accumulate = 1;
  const struct { Key key; int64_t low, high, *out; } whole[] = {
      {KEY_BATCH, 1, 1 << 20, &p->batch},
      {KEY_EPOCHS, 0, 1 << 30, &p->epochs},
      {KEY_ACCUMULATE, 1, 1 << 20, &L->accumulate},
      {KEY_SEED, 0, (int64_t)1 << 53, &seed},
      {KEY_LIMIT, 1, (int64_t)1 << 53, &L->m->limit}};
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
    const Expr *e = key_expr(t, whole[i].key);
    if (e)
      need_whole(s, e->span, eval(s, e), key_name[whole[i].key], whole[i].low,
                 whole[i].high, whole[i].out);
  }
  p->accumulate = L->accumulate;
  if (L->options->batch > 0)
    p->batch = L->options->batch;
  p->seed = (uint64_t)seed;
  if (t->entry[KEY_LIMIT])
    L->m->limit_at = t->entry[KEY_LIMIT]->span;
  const Expr *e = key_expr(t, KEY_SHUFFLE);
  if (e)
    need_flag(s, e->span, eval(s, e), "shuffle", &p->shuffle);
}

/* What the run does: see lower_run.c. */
static void read_run(const Setup *t) {
  static const struct { Key key; void (*read)(Scope *, const Expr *); } run[] = {
      {KEY_STOP, key_stop}, {KEY_KEEP, key_keep}, {KEY_INIT, key_init}};
  for (size_t i = 0; i < sizeof run / sizeof *run; i++)
    if (t->entry[run[i].key])
      run[i].read(t->scope, key_expr(t, run[i].key));
}

/* A loss of the file's own net and data, as far as they are known. */
static const char *example_of_loss(Lower *L) {
  const char *net = "net", *in = NULL, *out = NULL;
  bool classes = false;
  for (int i = L->user->ast->n_items - 1; i >= 0; i--) {
    const Item *item = L->user->ast->items[i];
    if (item->kind == ITEM_DEFINITION && item->definition.kind == DEF_NET)
      net = item->definition.name.s;
  }
  for (int i = 0; i < L->n_fields; i++) {
    const DataField *f = L->field[i].field;
    if (!in)
      in = f->name;
    else if (!out)
      classes = (out = f->name) && f->classes > 0;
  }
  return arena_printf(L->a, "%s(%s(%s), %s)",
                      classes || !out ? "cross_entropy" : "squared_error", net,
                      in ? in : "image", out ? out : "label");
}

static void tell_missing(Lower *L, const Setup *t) {
  bool loss = t->entry[KEY_LOSS], optimizer = t->entry[KEY_OPTIMIZER];
  if (loss && optimizer)
    return;
  Span word = {t->span.source, t->span.begin, t->span.begin + 5};
  Diag *diag =
      diag_error(L->d, "E0405", word, "train has no %s",
                 loss ? "optimizer" : optimizer ? "loss"
                                                : "loss and no optimizer");
  if (!loss)
    diag_help(diag, "add to its block: loss = %s", example_of_loss(L));
  if (!optimizer)
    diag_help(diag, "add to its block: optimizer = sgd(lr = 0.01)");
}

void read_train(Lower *L, const Item *item) {
  Setup *t = arena_alloc(L->a, sizeof *t);
  L->setup = t;
  t->span = item->span;
  t->scope = begin(L, "settings", false, 1); /* a graph that nobody needs */
  for (int i = 0; i < item->train.n_entries; i++)
    take_key(L, t, item->train.entries[i]);
  read_numbers(L, t);
  read_run(t);
  L->averaging = t->entry[KEY_AVERAGE] != NULL;
  tell_missing(L, t);
}

/* -- a function */

static void end(Lower *L) {
  Module *m = L->m;
  Graph *g = prune(L->a, L->g);
  m->graph[m->n_graphs++] = g;
}

typedef struct Loss {
  Node *value, *weight; /* f32[B]; weight NULL: 1 */
} Loss;

Node *each_sample(const Scope *s, Span at, const Value *v, const char *what) {
  Lower *L = s->L;
  if (v->kind == V_POISON)
    return NULL;
  const Value *t = need_tensor(s, at, v, what);
  if (!t)
    return NULL;
  if (t->sample && sample_rank(t) == 0)
    return cast_to(L, t->node, T_F32);
  Diag *diag;
  if (sample_rank(t))
    diag = fail(s, "E0314", at,
                "%s must be one number a sample, but it is %s: take its mean "
                "or sum", what, value_text(L, t));
  else
    diag = fail(s, "E0314", at, "%s does not depend on the sample", what);
  note_origin(L, diag, t);
  return NULL;
}

static bool lower_loss(Scope *s, Loss *out) {
  Lower *L = s->L;
  const Expr *e = key_expr(L->setup, KEY_LOSS);
  s->prefer = DEF_LOSS;
  L->in_loss = true;
  const Value *v = eval(s, e);
  L->in_loss = false;
  *out = (Loss){NULL, NULL};
  set_loc(s, e->span);
  if (v->kind != V_WEIGHTED)
    return (out->value = each_sample(s, e->span, v, "the loss")) != NULL;
  out->value = each_sample(s, e->span, v->item[0], "the loss");
  out->weight = each_sample(s, e->span, v->item[1], "the loss's weight");
  return out->value && out->weight;
}

/* Sum over all rows of what is f32[B]. */
static Node *sum_rows(Lower *L, Node *n) {
  static const int rows[1] = {0};
  return graph_reduce(L->g, OP_SUM, n, 1, rows);
}

static Node *mean_loss(Lower *L, const Loss *loss) {
  Graph *g = L->g;
  if (!loss->weight)
    return graph_binary(g, OP_DIV, sum_rows(L, mask_rows(L, loss->value, 0)),
                        cast_to(L, scalar_leaf(L, "count"), T_F32));
  Node *value = graph_binary(g, OP_MUL, loss->value, loss->weight);
  return graph_binary(g, OP_DIV, sum_rows(L, mask_rows(L, value, 0)),
                      sum_rows(L, mask_rows(L, loss->weight, 0)));
}

/* The field of classes that the loss used, or NULL. */
static const DataField *label_field(const Lower *L) {
  for (int i = 0; i < L->n_fields; i++)
    if (L->field[i].used && L->field[i].field->classes > 0)
      return L->field[i].field;
  return NULL;
}

/* The largest output, where the outputs are the classes' logits. */
static void predicted(Lower *L) {
  const DataField *label = label_field(L);
  const Value *v = L->output;
  if (!label || !v || v->kind != V_TENSOR || !v->sample ||
      sample_rank(v) != 1 || sample_dims(v)[0] != label->classes)
    return;
  static const int last[1] = {1};
  L->classified = true;
  L->g->loc = v->node->n_locs ? v->node->locs[0] : (Loc){0};
  graph_output(L->g, OUT_RESULT, "predicted",
               graph_reduce(L->g, OP_ARGMAX, v->node, 1, last));
}

/* -- penalties */

/* The first penalty that is called in an expression names the term. */
static const Def *penalty_in(Lower *L, const Expr *e) {
  const Def *d = NULL;
  switch (e->kind) {
  case EXPR_CALL:
    if (e->call.callee->kind == EXPR_NAME)
      d = find_def(L, L->user, DEF_PENALTY, e->call.callee->name);
    for (int i = 0; !d && i < e->call.n_args; i++)
      d = penalty_in(L, e->call.args[i].value);
    return d;
  case EXPR_UNARY:
    return penalty_in(L, e->unary.a);
  case EXPR_BINARY:
    d = penalty_in(L, e->binary.a);
    return d ? d : penalty_in(L, e->binary.b);
  default:
    return NULL;
  }
}

static const char *term_name(Lower *L, const Expr *e) {
  const Def *d = penalty_in(L, e);
  const char *name = arena_printf(L->a, "penalty.%s",
                                  d ? d->ast->name.s : "value");
  const char *unique = name;
  for (int n = 2;; n++) {
    bool taken = false;
    for (int i = 0; i < L->g->n_outputs; i++)
      taken = taken || !strcmp(L->g->output[i].name, unique);
    if (!taken)
      return unique;
    unique = arena_printf(L->a, "%s_%d", name, n);
  }
}

/* One f32, the same for all samples; NULL after a mistake. */
static Node *penalty_node(Scope *s, const Expr *e) {
  Lower *L = s->L;
  const Value *v = eval(s, e);
  if (v->kind == V_POISON)
    return NULL;
  set_loc(s, e->span);
  if (v->kind == V_NUMBER)
    return graph_const(L->g, v->number, type_scalar(T_F32));
  const Value *t = need_tensor(s, e->span, v, "a penalty");
  if (!t)
    return NULL;
  Diag *diag;
  if (t->sample)
    diag = fail(s, "E0315", e->span, "a penalty cannot depend on the sample");
  else if (t->node->type.rank)
    diag = fail(s, "E0315", e->span, "a penalty must be one number, but it is "
                "%s: take its sum", value_text(L, t));
  else
    return cast_to(L, t->node, T_F32);
  if (t->from.begin != e->span.begin) /* it says more than what is underlined */
    note_origin(L, diag, t);
  return NULL;
}

static bool is_prox(const Expr *e) {
  return e->kind == EXPR_CALL && e->call.callee->kind == EXPR_NAME &&
         !strcmp(e->call.callee->name, "prox");
}

/* Adds the terms of a sum; returns their sum, or NULL after a mistake. */
static Node *add_terms(Scope *s, const Expr *e, Node *sum) {
  Lower *L = s->L;
  if (e->kind == EXPR_BINARY && e->binary.op == BINARY_ADD) {
    Node *left = add_terms(s, e->binary.a, sum);
    return add_terms(s, e->binary.b, left ? left : sum);
  }
  if (is_prox(e)) {
    Prox *p = add_prox(s, e);
    p->value = p->def ? penalty_node(s, p->term) : NULL;
    if (p->value)
      graph_output(L->g, OUT_RESULT, term_name(L, p->term), p->value);
    return sum;
  }
  Node *n = penalty_node(s, e);
  if (!n)
    return sum;
  graph_output(L->g, OUT_RESULT, term_name(L, e), n);
  return graph_binary(L->g, OP_ADD, sum, n);
}

/* -- the functions */

static bool lower_train(Lower *L) {
  Setup *t = L->setup;
  Scope *s = begin(L, "train", true, L->program->batch);
  Loss loss;
  bool good = lower_loss(s, &loss);
  const Expr *penalty = key_expr(t, KEY_PENALTY);
  Node *objective = good ? mean_loss(L, &loss)
                         : graph_const(L->g, 0, type_scalar(T_F32));
  L->reached = arena_alloc(L->a, ((size_t)L->n_params + 1) *
                                     sizeof *L->reached);
  L->n_reached = params_reached(L, objective, L->reached);
  L->reached_known = true;
  s->sets = true;
  graph_output(L->g, OUT_RESULT, "loss", objective);
  L->loss_failed = !good;
  L->m->objective = key_expr(t, KEY_LOSS)->span;
  if (penalty) {
    s->prefer = DEF_PENALTY;
    objective = add_terms(s, penalty, objective);
  }
  const Updating keys = {.optimizer = key_expr(t, KEY_OPTIMIZER),
                         .clip = key_expr(t, KEY_CLIP),
                         .freeze = key_expr(t, KEY_FREEZE),
                         .average = key_expr(t, KEY_AVERAGE)};
  if (L->d->errors) {
    check_updating(s, &keys);
    return false;
  }
  Node *total = objective;
  for (int i = 0; i < L->n_prox; i++)
    total = graph_binary(L->g, OP_ADD, total, L->prox[i].value);
  graph_output(L->g, OUT_RESULT, "total", total);
  Node *lr = lower_updates(s, &keys, objective);
  if (!lr)
    return false;
  graph_output(L->g, OUT_RESULT, "lr", lr);
  predicted(L);
  state_outputs(L);
  end(L);
  return true;
}

static bool lower_evaluate(Lower *L) {
  Scope *s = begin(L, "evaluate", false, EVAL_BATCH);
  Loss loss;
  if (!lower_loss(s, &loss))
    return false;
  Node *weight = loss.weight
                     ? loss.weight
                     : graph_const(L->g, 1, type_of(T_F32, 1, &L->batch));
  Node *value = loss.weight
                    ? graph_binary(L->g, OP_MUL, loss.value, loss.weight)
                    : loss.value;
  graph_output(L->g, OUT_RESULT, "loss", mask_rows(L, value, 0));
  graph_output(L->g, OUT_RESULT, "weight", mask_rows(L, weight, 0));
  predicted(L);
  if (L->setup->entry[KEY_METRICS])
    lower_metrics(s, key_expr(L->setup, KEY_METRICS));
  end(L);
  return true;
}

static bool lower_predict(Lower *L) {
  Scope *s = begin(L, "predict", false, EVAL_BATCH);
  const Expr *e = key_expr(L->setup, KEY_LOSS);
  Loss loss;
  L->stage_list = true;
  bool good = lower_loss(s, &loss);
  L->stage_list = false;
  if (!good)
    return false;
  const Value *v = L->output;
  if (!v) {
    fail(s, "E0405", e->span, "the loss calls no net");
    return false;
  }
  if (v->kind != V_TENSOR || !v->sample) {
    fail(s, "E0314", e->span, "the net's output does not depend on the sample");
    return false;
  }
  graph_output(L->g, OUT_RESULT, "output", v->node);
  predicted(L);
  end(L);
  return true;
}

void lower_functions(Lower *L) {
  Setup *t = L->setup;
  if (!t->entry[KEY_LOSS] || !t->entry[KEY_OPTIMIZER])
    return;
  if (!lower_train(L) || L->d->errors || !lower_evaluate(L) ||
      L->d->errors || !lower_predict(L))
    return;
  check_named(L);
  const DataField *label = label_field(L);
  L->program->label = label ? label->name : NULL;
}
