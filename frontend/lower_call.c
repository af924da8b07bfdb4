/* Calls of definitions. A call makes a scope for the body, binds the arguments,
 * by position and then by name, and asks for the body's last expression. Where
 * the call stands in the user's file is what nodes and messages of the prelude's
 * bodies are told to come from. */
#include "frontend/lower.h"

#include <string.h>

/* -- the scope */

static uint64_t call_path(const Scope *s, const Expr *call) {
  return mix(mix(s->now.path, (uint32_t)call->call.ordinal),
               (uint32_t)s->now.repeat);
}

/* Stages inside a loss, schedule .. belong to it. */
static Instance *own_instance(Scope *s, const Call *c) {
  if (c->own)
    return c->own;
  const Instance *parent = s->now.instance;
  const char *name = c->def->ast->name.s;
  if (parent && parent->name[0])
    name = arena_printf(s->L->a, "%s.%s", parent->name, name);
  return instance_new(s->L, name, c->def->ast->name.s,
                      mix(parent ? parent->hash : 0, call_path(s, c->at)));
}

Scope *scope_for_call(Scope *s, const Call *c) {
  Lower *L = s->L;
  Scope *inner = scope_new(L, c->def->file, c->def, s);
  inner->home.instance = own_instance(s, c);
  /* What stands in `train` besides does not move a net's random bits. */
  inner->home.path = c->def->ast->kind == DEF_NET
                         ? mix(c->own->hash, (uint32_t)c->own->calls++)
                         : call_path(s, c->at);
  inner->now = inner->home;
  inner->updates_apply = L->training;
  if (!inner->home.instance->body)
    inner->home.instance->body = inner;
  if (s->file->prelude) {
    inner->site = s->site;
    inner->loc = s->loc;
    inner->stage = s->stage;
  } else {
    inner->site = c->at->span;
    inner->stage = inner->home.instance->label;
    inner->loc = loc_of_span(L->a, c->at->span, inner->stage);
  }
  return inner;
}

/* -- arguments */

static int param_index(const Definition *d, const char *name, int first) {
  for (int i = first; i < d->n_params; i++)
    if (!strcmp(d->params[i].name.s, name))
      return i;
  return -1;
}

static bool unknown_argument(const Call *c, const Arg *arg, int first) {
  const Definition *d = c->def->ast;
  Lower *L = c->args_scope->L;
  Candidates near = {.arena = L->a};
  for (int i = first + (c->piped ? 1 : 0); i < d->n_params; i++)
    candidates_add(&near, d->params[i].name.s);
  Diag *diag = fail(c->args_scope, "E0407", arg->name.span,
                    "%s has no argument %s", d->name.s, arg->name.s);
  help_arguments(diag, arg->name.s, &near);
  return false;
}

bool take_args(const Call *c, int first, const Value **given) {
  const Definition *d = c->def->ast;
  const Expr *e = c->args;
  bool good = true;
  int at = first;
  if (c->piped && at < d->n_params)
    given[at++] = c->piped;
  if (c->second && at < d->n_params)
    given[at++] = c->second;
  for (int i = 0; i < e->call.n_args; i++) {
    const Arg *arg = &e->call.args[i];
    int k = arg->name.s ? param_index(d, arg->name.s, first) : at++;
    if (arg->name.s && k < 0) {
      good = unknown_argument(c, arg, first);
    } else if (k >= d->n_params) {
      too_many_arguments(c->args_scope, arg->span, d->name.s,
                         d->n_params - first);
      return false;
    } else if (c->instead && c->instead[k]) {
      given[k] = c->instead[k];
    } else if (given[k]) {
      fail(c->args_scope, "E0408", arg->span, "%s is given twice",
           d->params[k].name.s);
      good = false;
    } else {
      given[k] = eval(c->args_scope, arg->value);
      good = good && given[k]->kind != V_POISON;
    }
  }
  for (int i = first; c->instead && i < d->n_params; i++)
    given[i] = c->instead[i] ? c->instead[i] : given[i];
  return good && !(c->piped && c->piped->kind == V_POISON);
}

static bool bind_one(Scope *inner, const Call *c, int i, const Value *v) {
  const Definition *d = c->def->ast;
  const Param *p = &d->params[i];
  Slot *slot = scope_bind(inner, p->name, v ? v : &poison);
  if (v)
    return true;
  if (!p->default_value) {
    Diag *diag = fail(c->args_scope, "E0409", c->at->span,
                      "%s wants an argument %s", d->name.s, p->name.s);
    bool shown = diag && i > 0 && c->args == c->at;
    if (shown && c->at->call.n_args)
      diag_help(diag, "write %s = ..", p->name.s);
    else if (shown)
      diag_help(diag, "write %s(%s = ..)", d->name.s, p->name.s);
    return false;
  }
  slot->kind = SLOT_LAZY;
  slot->expr = p->default_value;
  slot->state = 0;
  return true;
}

bool bind_args(Scope *inner, const Call *c, int first) {
  const Definition *d = c->def->ast;
  const Value **given =
      arena_alloc(inner->L->a, (size_t)(d->n_params + 1) * sizeof *given);
  if (c->piped && d->n_params <= first) {
    too_many_arguments(c->args_scope, c->at->span, d->name.s, 0);
    return false;
  }
  if (!take_args(c, first, given))
    return false;
  bool good = true;
  for (int i = first; i < d->n_params; i++)
    good = bind_one(inner, c, i, given[i]) && good;
  for (int i = first; good && i < d->n_params; i++) {
    if (!given[i] || !d->params[i].shape)
      continue;
    Slot *slot = scope_slot(inner, d->params[i].name.s);
    slot->value = match_shape(inner, c, i, given[i]);
    good = slot->value->kind != V_POISON;
  }
  return good;
}

/* -- the call */

/* Whether this is inside a call of the definition. */
static bool calls(const Scope *s, const Def *def) {
  for (; s; s = s->caller)
    if (s->def == def)
      return true;
  return false;
}

static bool may_call(Scope *s, const Call *c) {
  Lower *L = s->L;
  const char *name = c->def->ast->name.s;
  if (s->depth >= MAX_CALL_DEPTH) {
    const Def *again = calls(s, c->def) ? c->def : NULL;
    if (!again && s->def && calls(s->caller, s->def))
      again = s->def;
    Diag *diag =
        again ? fail(s, "E0206", c->at->span, "%s calls itself, more than %d "
                     "deep", again->ast->name.s, MAX_CALL_DEPTH)
              : fail(s, "E0602", c->at->span, "definitions call each other more "
                     "than %d deep: %s", MAX_CALL_DEPTH, name);
    if (again && diag)
      diag_help(diag, "`repeat` is the loop of the language: x -> repeat(3) f");
    return false;
  }
  if (L->calls >= MAX_CALLS) {
    fail(s, "E0602", c->at->span, "more than %d calls, the last one of %s",
         MAX_CALLS, name);
    return false;
  }
  L->calls++;
  return true;
}

/* When training, the states of a layer get their new values. */
static void update_states(Scope *inner) {
  for (int i = 0; i < inner->n_updates; i++) {
    Update *u = &inner->update[i];
    bool last = true;
    for (int k = i + 1; k < inner->n_updates; k++)
      last = last && inner->update[k].slot != u->slot;
    if (!last)
      continue;
    const Value *v = force_update(inner, u);
    OwnParam *p = declared_state(inner, u->slot->stmt, u->slot->at);
    if (p && v->kind != V_POISON)
      update_state(inner, p, v, u->stmt->span);
  }
}

const Value *call_def(Scope *s, const Call *c) {
  Lower *L = s->L;
  if (!may_call(s, c))
    return &poison;
  Scope *inner = scope_for_call(s, c);
  if (!bind_args(inner, c, 0))
    return &poison;
  if (c->def->ast->kind == DEF_LOSS)
    note_loss(inner);
  scope_declare(inner);
  const Value *v = scope_value(inner);
  if (L->training)
    update_states(inner);
  if (s->file->prelude)
    return v;
  const Definition *d = c->def->ast;
  return value_from(L, v, c->at->span,
                    d->kind == DEF_NET ? "net" : d->name.s);
}

/* A penalty of a set is the sum over its members. */
static const Value *call_penalty(Scope *s, const Def *def, const Expr *call,
                                 const Value *piped) {
  Lower *L = s->L;
  Call c = {.def = def, .at = call, .args = call, .args_scope = s,
            .piped = piped};
  const Value *set = piped;
  Expr *rest = arena_alloc(L->a, sizeof *rest);
  *rest = *call;
  if (!set && call->call.n_args && !call->call.args[0].name.s) {
    set = eval(s, call->call.args[0].value);
    rest->call.args++;
    rest->call.n_args--;
  }
  if (!set)
    return call_def(s, &c);
  c.args = rest;
  c.piped = set;
  if (!(set = as_set(L, set)))
    return call_def(s, &c);
  if (set->n == 0) {
    fail(s, "E0415", call->span, "%s reaches no parameter", def->ast->name.s);
    return &poison;
  }
  const Value *sum = NULL;
  for (int i = 0; i < set->n; i++) {
    c.piped = value_set(L, 1, &set->param[i]);
    const Value *v = call_def(s, &c);
    sum = sum ? elementwise(s, call->span, OP_ADD, 2, (const Value *[]){sum, v})
              : v;
  }
  return sum;
}

static const Value *call_found(Scope *s, const Def *def, const Expr *call,
                               const Value *piped) {
  switch (def->ast->kind) {
  case DEF_LAYER:
    return call_layer(s, def, call, piped);
  case DEF_NET:
    return call_instance(s, net_instance(s->L, def), call, piped);
  case DEF_PENALTY:
    return call_penalty(s, def, call, piped);
  case DEF_LOSS:
  case DEF_INIT:
  case DEF_SCHEDULE:
    return call_def(s, &(Call){.def = def, .at = call, .args = call,
                               .args_scope = s, .piped = piped});
  case DEF_OPTIMIZER:
  case DEF_COUNT:
    break;
  }
  fail(s, "E0207", call->span,
       "%s is an optimizer and stands only in `optimizer = ..` of train",
       def->ast->name.s);
  return &poison;
}

static const Value *unknown_call(Scope *s, const Expr *call,
                                 const Value *piped) {
  Lower *L = s->L;
  const char *name = call->call.callee->name;
  Span at = call->call.callee->span;
  if (!strcmp(name, "prox")) {
    fail(s, "E0207", at, "prox stands in `penalty` of train, as a term by "
         "itself: prox(0.1 * l1(weights))");
    return &poison;
  }
  if (s->is_train && !L->user->defs[DEF_NET].n)
    return &poison; /* that there is no net was told */
  if (scope_slot(s, name)) {
    fail(s, "E0207", at, "%s is a value and cannot be called", name);
    return &poison;
  }
  for (int i = 0; i < call->call.n_args; i++)
    eval(s, call->call.args[i].value); /* may hold mistakes of their own */
  Candidates c = {.arena = L->a};
  def_candidates(L, s->file, &c);
  stage_candidates(s, &c);
  prim_candidates(&c);
  Diag *diag = fail(s, "E0203", at, "unknown %s %s",
                    call->call.bare || piped ? "layer" : "function", name);
  help_nearest(diag, name, &c);
  return &poison;
}

/* A stage behind a mistake: its name and arguments are looked at all the same,
 * since they may hold mistakes of their own. */
static const Value *look_at(Scope *s, const Expr *call, const Value *piped) {
  const Expr *callee = call->call.callee;
  const Def *def = callee->kind == EXPR_NAME
                       ? find_any_def(s->L, s->file, s->prefer, callee->name)
                       : NULL;
  const Call c = {.def = def, .args = call, .args_scope = s, .piped = piped};
  for (int i = 0; i < call->call.n_args; i++) {
    const Arg *arg = &call->call.args[i];
    eval(s, arg->value);
    if (def && arg->name.s && param_index(def->ast, arg->name.s, 0) < 0)
      unknown_argument(&c, arg, 0);
  }
  if (callee->kind == EXPR_NAME && !def && !find_prim(callee->name) &&
      !is_stage_name(s, callee->name))
    return unknown_call(s, call, piped);
  return &poison;
}

const Value *eval_call(Scope *s, const Expr *call, const Value *piped) {
  Lower *L = s->L;
  const Expr *callee = call->call.callee;
  if (piped && piped->kind == V_POISON)
    return look_at(s, call, piped);
  if (callee->kind != EXPR_NAME) {
    const Value *v = eval(s, callee);
    if (v->kind == V_STAGE)
      return call_instance(s, v->stage, call, piped);
    if (v->kind != V_POISON)
      fail(s, "E0207", callee->span, "this is no stage and cannot be called");
    return &poison;
  }
  Slot *slot = scope_slot(s, callee->name);
  if (slot && slot->kind == SLOT_VALUE && slot->value->kind == V_STAGE)
    return call_instance(s, slot->value->stage, call, piped);
  Instance *stage = find_stage(s, callee->name);
  if (stage && stage->call != call)
    return call_instance(s, stage, call, piped);
  const Def *def = find_any_def(L, s->file, s->prefer, callee->name);
  if (def)
    return call_found(s, def, call, piped);
  const Prim *prim = find_prim(callee->name);
  if (prim)
    return call_prim(s, prim, call, piped);
  return unknown_call(s, call, piped);
}
