/* Gradients and what is done with them: clipping by the global norm, then the
 * optimiser's body once for each parameter, then the rules of proximal penalties,
 * then the average of the weights. An optimiser is a definition whose first two
 * parameters are the weight and its gradient; it sets the weight with `<-`. A
 * state has the weight's shape, or is one number (`state t: [] = 0`), which all
 * weights share. An average is written as an optimiser too: its first two are
 * the average and the new weight. */
#include "frontend/lower.h"

#include <string.h>

typedef struct Updates {
  Scope *s; /* the train section */
  const Def *def;
  const Expr *call;
  const char *owner; /* optimizer or average: before the names of states */
  const Value *lr;   /* of the optimiser */
  Names shared; /* the new value of states that are one number, of Node */
} Updates;

/* -- states */

static const char *state_name(Scope *s, const char *name, bool shared) {
  return shared ? arena_printf(s->L->a, "%s.%s", s->owner, name)
                : arena_printf(s->L->a, "%s.%s.%s", s->owner, name,
                               s->updating->name);
}

static bool is_shared(const Slot *slot) {
  return slot->stmt->shape && slot->stmt->shape->n == 0;
}

static Type state_type(const Scope *s, const Slot *slot) {
  return is_shared(slot) ? type_scalar(T_F64) : s->updating->type;
}

const Value *optimizer_state(Scope *s, Slot *slot, const char *name) {
  Lower *L = s->L;
  const Shape *shape = slot->stmt->shape;
  if (shape && shape->n > 0) {
    fail(s, "E0302", shape->span, "a state of an optimizer has the parameter's "
         "shape (state %s = ..) or is one number (state %s: [] = ..)", name,
         name);
    return &poison;
  }
  const char *full = state_name(s, name, is_shared(slot));
  Type type = state_type(s, slot);
  if (!names_add(&L->state_names, full, slot)) {
    module_add_var(L->m, full, VAR_OPTIMIZER_STATE, type);
    uint64_t place = mix(s->updating->place, (uint32_t)slot->at + 0x6f707469);
    Node *n = initial_value(s, slot->stmt->value, type, place);
    if (!n)
      return &poison;
    graph_output(L->init, OUT_UPDATE_STATE, full, n);
  }
  return value_node(L, graph_leaf(L->g, OP_STATE, full, type, false), false);
}

/* -- one parameter */

/* The new value of a slot after the body's last line, or NULL: no update. */
static const Update *last_update(const Scope *s, const Slot *slot) {
  for (int i = s->n_updates - 1; i >= 0; i--)
    if (s->update[i].slot == slot)
      return &s->update[i];
  return NULL;
}

static void write_state(Updates *u, Scope *s, Update *update) {
  Lower *L = s->L;
  const char *name = update->stmt->name.s;
  Slot *slot = update->slot;
  /* Its stored value too, which nothing may have asked for: it declares it. */
  const Value *stored = force_slot(s, slot, name, slot->span);
  const Value *v = force_update(s, update);
  Type type = state_type(s, slot);
  if (v->kind == V_POISON || stored->kind == V_POISON)
    return;
  set_loc(s, update->stmt->span);
  Node *n = fit_node(s, update->stmt->span, v, &type, "the new value");
  if (!n)
    return;
  Node *before = is_shared(slot) ? names_add(&u->shared, name, n) : NULL;
  const char *full = state_name(s, name, is_shared(slot));
  Node *old = graph_leaf(L->g, OP_STATE, full, type, false);
  if (!before)
    graph_output(L->g, OUT_UPDATE_STATE, full, when_updating(L, n, old));
  else if (before != n)
    fail(s, "E0414", update->stmt->span, "%s is one number for all parameters, "
         "but its new value depends on the parameter", name);
}

/* States that somebody read; evaluating one may read another. */
static void write_states(Updates *u, Scope *s) {
  bool *done = arena_alloc(s->L->a, (size_t)s->n_updates + 1);
  for (bool more = true; more;) {
    more = false;
    for (int i = 0; i < s->n_updates; i++) {
      Update *update = &s->update[i];
      if (done[i] || update->slot->kind != SLOT_STATE || !update->slot->read ||
          last_update(s, update->slot) != update)
        continue;
      done[i] = more = true;
      write_state(u, s, update);
    }
  }
}

/* Binds the first two parameters, and the names in their shapes, if they have
 * some: `optimizer f(w: [m, ..], g)`. */
static bool bind_pair(Scope *s, const Call *c, Node *const *pair) {
  const Definition *d = c->def->ast;
  for (int i = 0; i < 2; i++)
    scope_bind(s, d->params[i].name, value_node(s->L, pair[i], false));
  for (int i = 0; i < 2; i++) {
    Slot *slot = scope_slot(s, d->params[i].name.s);
    if (d->params[i].shape)
      slot->value = match_shape(s, c, i, slot->value);
    if (slot->value->kind == V_POISON)
      return false;
  }
  return true;
}

/* `w` and `g`: what the body's first two parameters are. */
static Scope *rule_scope(Updates *u, const ParamInfo *p, Node *w, Node *g) {
  Lower *L = u->s->L;
  const Definition *d = u->def->ast;
  Call c = {.def = u->def, .at = u->call, .args = u->call,
            .args_scope = u->s, .own = L->root};
  Scope *s = scope_for_call(u->s, &c);
  s->stage = d->name.s;
  s->loc = loc_of_span(L->a, u->call->span, s->stage);
  s->home.path = s->now.path = mix(s->home.path, p->place);
  s->updating = p;
  s->owner = u->owner;
  s->updates_apply = true;
  if (!bind_pair(s, &c, (Node *[]){w, g}) || !bind_args(s, &c, 2))
    return NULL;
  scope_declare(s);
  return s;
}

/* The learning rate: the argument `lr`, 0 if there is none. */
static const Value *learning_rate(Scope *s) {
  Slot *slot = scope_slot(s, "lr");
  return slot ? force_slot(s, slot, "lr", slot->span) : value_number(s->L, 0);
}

/* Evaluates the body for one parameter, in the scope that comes back; returns
 * the new value of its first parameter, NULL after a mistake. `prox`: the rules
 * of proximal penalties are part of it. */
static Node *run_rule(Updates *u, const ParamInfo *p, Node *w, Node *g,
                      bool prox, Scope **scope) {
  Scope *s = *scope = rule_scope(u, p, w, g);
  if (!s)
    return NULL;
  Slot *slot = scope_slot(s, u->def->ast->params[0].name.s);
  Update *last = (Update *)last_update(s, slot);
  if (!last) {
    fail(u->s, "E0414", u->def->ast->name.span,
         "%s never updates its parameter: it lacks a line %s <- ..",
         u->def->ast->name.s, u->def->ast->params[0].name.s);
    return NULL;
  }
  if (!u->lr)
    u->lr = learning_rate(s);
  const Value *v = force_update(s, last);
  if (v->kind == V_POISON || u->lr->kind == V_POISON)
    return NULL;
  if (prox)
    v = apply_prox(u->s, p, v, u->lr);
  set_loc(s, last->stmt->span);
  return fit_node(s, last->stmt->span, v, &p->type, "the new parameter");
}

/* `average`: NULL, or the rule that makes what the parameter holds. */
static bool update_param(Updates *u, Updates *average, const ParamInfo *p,
                         Node *g) {
  Lower *L = u->s->L;
  Scope *s, *second;
  Node *before = param_node(L, p);
  Node *n = run_rule(u, p, before, g, true, &s);
  if (!n)
    return false;
  if (average) {
    update_trained(L, p, when_updating(L, n, before));
    before = graph_leaf(L->g, OP_PARAM, p->name, p->type, false);
    if (!(n = run_rule(average, p, before, n, false, &second)))
      return false;
    write_states(average, second);
  }
  graph_output(L->g, OUT_UPDATE_PARAM, p->name, when_updating(L, n, before));
  write_states(u, s);
  return true;
}

/* -- clipping: g * min(1, c / (norm + 1e-6)), the norm of all gradients */

static Node *clip_limit(Scope *s, const Expr *clip) {
  Type one = type_scalar(T_F32);
  const Value *v = eval(s, clip);
  if (v->kind == V_POISON)
    return NULL;
  if (v->kind == V_NUMBER && !(v->number > 0)) {
    fail(s, "E0406", clip->span, "clip wants a norm above 0");
    return NULL;
  }
  set_loc(s, clip->span);
  return fit_node(s, clip->span, v, &one, "clip");
}

static bool clip_gradients(Scope *s, const Expr *clip, int n, Node **g) {
  Lower *L = s->L;
  Type one = type_scalar(T_F32);
  Node *limit = clip_limit(s, clip);
  if (!limit)
    return false;
  Node *sum = NULL;
  for (int i = 0; i < n; i++) {
    int axes[MAX_RANK];
    for (int k = 0; k < MAX_RANK; k++)
      axes[k] = k;
    Node *square = graph_binary(L->g, OP_MUL, g[i], g[i]);
    if (square->type.rank)
      square = graph_reduce(L->g, OP_SUM, square, square->type.rank, axes);
    sum = sum ? graph_binary(L->g, OP_ADD, sum, square) : square;
  }
  Node *norm = graph_unary(L->g, OP_SQRT, sum);
  norm = graph_binary(L->g, OP_ADD, norm, graph_const(L->g, 1e-6, one));
  Node *factor = graph_binary(L->g, OP_MIN, graph_const(L->g, 1, one),
                              graph_binary(L->g, OP_DIV, limit, norm));
  for (int i = 0; i < n; i++)
    g[i] = graph_binary(L->g, OP_MUL, g[i],
                        graph_fill_like(L->g, factor, g[i]));
  return true;
}

/* -- all of them */

/* `key`: the call is the value of `optimizer` or of `average`. */
static const Def *find_optimizer(Scope *s, const Expr *e, const char *key) {
  Lower *L = s->L;
  bool average = !strcmp(key, "average");
  bool call = e->kind == EXPR_CALL && e->call.callee->kind == EXPR_NAME;
  const char *name = call                   ? e->call.callee->name
                     : e->kind == EXPR_NAME ? e->name
                                            : NULL;
  const Def *def = name ? find_def(L, s->file, DEF_OPTIMIZER, name) : NULL;
  if (!call || !name) {
    Diag *diag = fail(s, "E0406", e->span, "%s wants a call", key);
    if (diag && average)
      diag_help(diag, "write %s(0.999)", def ? name : "ema");
    else if (diag)
      diag_help(diag, "write %s(lr = 0.01)", def ? name : "sgd");
    return NULL;
  }
  if (!def) {
    Candidates near = {.arena = L->a};
    candidates_add_names(&near, &L->prelude->defs[DEF_OPTIMIZER]);
    candidates_add_names(&near, &s->file->defs[DEF_OPTIMIZER]);
    Diag *diag = fail(s, "E0203", e->call.callee->span, "unknown %s %s", key,
                      name);
    help_nearest(diag, name, &near);
  } else if (def->ast->n_params < 2 || def->ast->params[0].default_value ||
             def->ast->params[1].default_value) {
    fail(s, "E0414", def->ast->name.span, "an optimizer's first two parameters "
         "are the weight and its gradient");
    return NULL;
  }
  return def;
}

static bool is_frozen(const Value *frozen, const ParamInfo *p) {
  for (int i = 0; frozen && i < frozen->n; i++)
    if (frozen->param[i] == p)
      return true;
  return false;
}

static void check_call(Scope *s, const Expr *call, const char *key) {
  const Def *def = call ? find_optimizer(s, call, key) : NULL;
  if (!def)
    return;
  Call c = {.def = def, .at = call, .args = call, .args_scope = s,
            .own = s->L->root};
  s->prefer = DEF_SCHEDULE;
  bind_args(scope_for_call(s, &c), &c, 2);
}

static const Value *frozen_set(Scope *s, const Expr *freeze) {
  return need_set(s, freeze->span, eval(s, freeze), "what freeze names");
}

void check_updating(Scope *s, const Updating *keys) {
  check_call(s, keys->optimizer, "optimizer");
  check_call(s, keys->average, "average");
  if (keys->freeze)
    frozen_set(s, keys->freeze);
  if (keys->clip)
    clip_limit(s, keys->clip);
}

/* The parameters that the objective reaches and that are not frozen; -1 after a
 * mistake. A frozen one keeps its value, and what is trained of it. */
static int find_updated(Scope *s, const Updating *keys, Node *objective,
                        ParamInfo **param) {
  Lower *L = s->L;
  const Value *frozen = NULL;
  if (keys->freeze && !(frozen = frozen_set(s, keys->freeze)))
    return -1;
  int all = params_reached(L, objective, param), n = 0;
  for (int i = 0; i < all; i++)
    if (!is_frozen(frozen, param[i]))
      param[n++] = param[i];
  if (n)
    return n;
  fail(s, "E0414", all ? keys->freeze->span : keys->optimizer->span,
       "there is no parameter to train: %s",
       all ? "all are frozen" : "the loss reaches none");
  return -1;
}

/* Averaged parameters that no update reaches: what is trained of them is what
 * it was, also where they were read from a file. */
static void keep_trained(Lower *L, int n, ParamInfo *const *updated) {
  for (int k = 0; L->averaging && k < L->n_params; k++) {
    bool left = L->param[k]->kind != VAR_LAYER_STATE;
    for (int i = 0; i < n; i++)
      left = left && updated[i] != L->param[k];
    if (left)
      update_trained(L, L->param[k], param_node(L, L->param[k]));
  }
}

Node *lower_updates(Scope *s, const Updating *keys, Node *objective) {
  Lower *L = s->L;
  const Expr *optimizer = keys->optimizer, *average = keys->average;
  Updates u = {.s = s, .call = optimizer, .owner = "optimizer"};
  Updates second = {.s = s, .call = average, .owner = "average"};
  size_t size = (size_t)L->n_params + 1;
  ParamInfo **param = arena_alloc(L->a, size * sizeof *param);
  Node **g = arena_alloc(L->a, size * sizeof *g);
  names_init(&u.shared, L->a);
  names_init(&second.shared, L->a);
  u.def = find_optimizer(s, optimizer, "optimizer");
  second.def = average ? find_optimizer(s, average, "average") : NULL;
  if (!u.def || (average && !second.def))
    return NULL;
  int n = find_updated(s, keys, objective, param);
  set_loc(s, optimizer->span);
  for (int i = 0; i < n; i++)
    g[i] = accumulated(L, param[i],
                       graph_grad(L->g, objective, param_node(L, param[i])));
  if (n < 0 || (keys->clip && !clip_gradients(s, keys->clip, n, g)))
    return NULL;
  s->prefer = DEF_SCHEDULE;
  for (int i = 0; i < n; i++)
    if (!update_param(&u, average ? &second : NULL, param[i], g[i]))
      return NULL;
  keep_trained(L, n, param);
  Type type = type_scalar(T_F64);
  set_loc(s, optimizer->span);
  return fit_node(s, optimizer->span, u.lr, &type, "the learning rate");
}
