/* Parameters and layer states: their declaration, their initial values, and sets
 * of them. A parameter is registered when it is first reached; its initialiser is
 * evaluated at once, into the function `init`, with random bits addressed by the
 * path of its instance and its place in the declaration. */
#include "frontend/lower.h"

#include <string.h>

/* -- shapes and nodes of a wanted type */

static bool declared_shape(Scope *s, const Shape *shape, Type *out) {
  Lower *L = s->L;
  int64_t dim[MAX_USER_RANK];
  if (shape->is_class || shape->n > MAX_USER_RANK) {
    fail(s, "E0310", shape->span, "a shape has sizes in [..], at most %d",
         MAX_USER_RANK);
    return false;
  }
  for (int i = 0; i < shape->n; i++) {
    const Value *v = shape->dim[i]->kind == EXPR_REST ? value_string(L, "..")
                                                      : eval(s, shape->dim[i]);
    const char *what =
        arena_printf(L->a, "the size `%s`", span_text(L, shape->dim[i]->span));
    if (!need_whole(s, shape->dim[i]->span, v, what, 1, MAX_ELEMENTS, &dim[i]))
      return false;
  }
  *out = type_of(T_F32, shape->n, dim);
  return check_size(s, shape->span, shape->n, dim);
}

Node *fit_node(const Scope *s, Span at, const Value *v, const Type *type,
               const char *what) {
  Lower *L = s->L;
  if (v->kind == V_RANDOM)
    v = materialise(s, at, v, false, type->rank, type->dim);
  if (v->kind == V_LIST)
    v = list_tensor(s, at, v);
  if (v->kind == V_NUMBER)
    return graph_const(L->g, v->number, *type);
  if (!(v = need_tensor(s, at, v, what)))
    return NULL;
  int rank = sample_rank(v);
  bool fits = !v->sample && rank <= type->rank;
  for (int i = 0; fits && i < rank; i++) {
    int64_t d = v->node->type.dim[i];
    fits = d == 1 || d == type->dim[type->rank - rank + i];
  }
  if (fits)
    return to_node(L, v, type->dtype, false, type->rank, type->dim);
  Diag *diag;
  if (v->sample)
    diag = fail(s, "E0311", at, "%s cannot depend on the sample", what);
  else
    diag = fail(s, "E0311", at, "%s is %s, but must be %s", what,
                value_text(L, v), shape_text(L, type->rank, type->dim));
  note_origin(L, diag, v);
  return NULL;
}

Node *initial_value(Scope *s, const Expr *e, Type type, uint64_t place) {
  Lower *L = s->L;
  Graph *g = L->g;
  struct Place now = s->now;
  DefKind prefer = s->prefer;
  L->g = L->init;
  s->now.path = place;
  s->now.repeat = 0;
  s->prefer = DEF_INIT;
  const Value *v = eval(s, e);
  Node *n = NULL;
  if (v->kind != V_POISON) {
    set_loc(s, e->span);
    n = fit_node(s, e->span, v, &type, "this initial value");
  }
  s->prefer = prefer;
  s->now = now;
  L->g = g;
  return n;
}

/* -- declarations */

static OwnParam *own_param(Scope *s, const Stmt *stmt) {
  Instance *i = s->home.instance;
  for (int k = 0; k < i->n_params; k++)
    if (i->param[k]->stmt == stmt)
      return i->param[k];
  return NULL;
}

static OwnParam *add_own(Scope *s, const Stmt *stmt, ParamInfo *info) {
  Lower *L = s->L;
  Instance *i = s->home.instance;
  OwnParam *p = arena_alloc(L->a, sizeof *p);
  *p = (OwnParam){.stmt = stmt, .info = info};
  i->param = arena_grow(L->a, i->param, i->n_params, &i->cap_params,
                        sizeof *i->param);
  return i->param[i->n_params++] = p;
}

/* Registers it, unless an earlier function of this file did. */
static ParamInfo *find_or_add(Scope *s, const Stmt *stmt, VarKind kind,
                              Type type, uint64_t place) {
  Lower *L = s->L;
  const char *name = arena_printf(L->a, "%s%s%s", s->home.instance->name,
                                  s->home.instance->name[0] ? "." : "",
                                  stmt->name.s);
  ParamInfo *info = names_get(&L->param_names, name);
  if (info) {
    if (info->place == place && type_equal(&info->type, &type))
      return info;
    fail(s, "E0210", stmt->name.span, "two parameters would be called %s",
         name);
    return NULL;
  }
  info = arena_alloc(L->a, sizeof *info);
  *info = (ParamInfo){name, kind, type, place, L->n_params};
  names_add(&L->param_names, name, info);
  L->param = arena_grow(L->a, L->param, L->n_params, &L->cap_params,
                        sizeof *L->param);
  L->param[L->n_params++] = info;
  module_add_var(L->m, name, kind, type);
  Node *n = initial_value(s, stmt->value, type, place);
  if (n)
    graph_output(L->init, kind == VAR_LAYER_STATE ? OUT_UPDATE_STATE
                                                  : OUT_UPDATE_PARAM,
                 name, n);
  if (n && L->averaging && kind != VAR_LAYER_STATE)
    add_trained(L, info, n);
  return info;
}

static OwnParam *declare(Scope *s, const Stmt *stmt, int at, VarKind kind) {
  Lower *L = s->L;
  Type type;
  OwnParam *p = own_param(s, stmt);
  if (!stmt->shape) {
    fail(s, "E0302", stmt->name.span, "%s wants a shape: state %s: [..] = ..",
         stmt->name.s, stmt->name.s);
    return NULL;
  }
  if (!declared_shape(s, stmt->shape, &type))
    return NULL;
  if (kind == VAR_LAYER_STATE && type.rank == 0)
    type.dtype = T_F64;
  if (p) {
    if (type_equal(&p->info->type, &type))
      return p;
    fail(s, "E0311", s->site.source ? s->site : stmt->shape->span,
         "%s is called again with another shape: %s is %s, but would be %s",
         s->home.instance->name, stmt->name.s,
         shape_text(L, p->info->type.rank, p->info->type.dim),
         shape_text(L, type.rank, type.dim));
    return NULL;
  }
  uint64_t place = mix(s->home.instance->hash, (uint32_t)at);
  ParamInfo *info = find_or_add(s, stmt, kind, type, place);
  return info ? add_own(s, stmt, info) : NULL;
}

Node *param_node(Lower *L, const ParamInfo *p) {
  if (L->averaging && L->training)
    return trained_node(L, p);
  return graph_leaf(L->g, OP_PARAM, p->name, p->type, false);
}

const Value *declared_param(Scope *s, const Stmt *stmt, int at) {
  OwnParam *p = declare(s, stmt, at, stmt->role);
  if (!p)
    return &poison;
  if (s->L->g == s->L->init) {
    fail(s, "E0317", stmt->name.span,
         "an initial value may depend on sizes and constants alone");
    return &poison;
  }
  return value_from(s->L, value_node(s->L, param_node(s->L, p->info), false),
                    own_span(s, stmt->name.span), stmt->name.s);
}

OwnParam *declared_state(Scope *s, const Stmt *stmt, int at) {
  Lower *L = s->L;
  OwnParam *p = declare(s, stmt, at, VAR_LAYER_STATE);
  if (p && !p->now) {
    p->now = graph_leaf(L->g, OP_STATE, p->info->name, p->info->type, false);
    L->state = arena_grow(L->a, L->state, L->n_states, &L->cap_states,
                          sizeof *L->state);
    L->state[L->n_states++] = p;
  }
  return p;
}

const Value *state_value(Scope *s, OwnParam *p) {
  return p ? value_node(s->L, p->now, false) : &poison;
}

void update_state(Scope *s, OwnParam *p, const Value *v, Span at) {
  const char *what = arena_printf(s->L->a, "the new value of %s",
                                  p->stmt->name.s);
  set_loc(s, at);
  Node *n = fit_node(s, at, v, &p->info->type, what);
  if (!n)
    return;
  p->now = n;
  p->updated = true;
}

void state_outputs(Lower *L) {
  for (int i = 0; i < L->n_states; i++)
    if (L->state[i]->updated)
      graph_output(L->g, OUT_UPDATE_STATE, L->state[i]->info->name,
                   L->state[i]->now);
}

/* -- sets */

const Value *value_set(Lower *L, int n, ParamInfo *const *params) {
  Value *v = arena_alloc(L->a, sizeof *v);
  *v = (Value){.kind = V_SET, .n = n, .param = params};
  return v;
}

const Value *set_of_stage(Lower *L, const Instance *i) {
  ParamInfo **list = arena_alloc(L->a, ((size_t)L->n_params + 1) *
                                           sizeof *list);
  size_t length = strlen(i->name);
  int n = 0;
  for (int k = 0; k < L->n_params; k++) {
    ParamInfo *p = L->param[k];
    if (p->kind != VAR_LAYER_STATE && !strncmp(p->name, i->name, length) &&
        p->name[length] == '.')
      list[n++] = p;
  }
  return value_set(L, n, list);
}

static bool has_param(int n, ParamInfo *const *list, const ParamInfo *p) {
  for (int i = 0; i < n; i++)
    if (list[i] == p)
      return true;
  return false;
}

/* A list of sets and stages is what is in any of them. */
static const Value *set_of_list(Lower *L, const Value *v) {
  ParamInfo **list = arena_alloc(L->a, ((size_t)L->n_params + 1) *
                                           sizeof *list);
  int n = 0;
  for (int i = 0; i < v->n; i++) {
    const Value *part = as_set(L, v->item[i]);
    for (int k = 0; k < part->n; k++)
      if (!has_param(n, list, part->param[k]))
        list[n++] = part->param[k];
  }
  return value_set(L, n, list);
}

static bool names_params(const Value *v) {
  bool yes = v->kind == V_STAGE || v->kind == V_SET ||
             (v->kind == V_LIST && v->n > 0);
  for (int i = 0; yes && v->kind == V_LIST && i < v->n; i++)
    yes = names_params(v->item[i]);
  return yes;
}

const Value *as_set(Lower *L, const Value *v) {
  if (!names_params(v))
    return NULL;
  if (v->kind == V_STAGE)
    return set_of_stage(L, v->stage);
  return v->kind == V_SET ? v : set_of_list(L, v);
}

const Value *need_set(const Scope *s, Span at, const Value *v,
                      const char *what) {
  const Value *set = as_set(s->L, v);
  if (set)
    return set;
  if (v->kind != V_POISON)
    fail(s, "E0301", at, "%s must be parameters, but it is %s", what,
         value_text(s->L, v));
  return NULL;
}

const Value *set_except(const Scope *s, const Expr *e, const Value *a,
                        const Value *b) {
  Lower *L = s->L;
  const Value *all = need_set(s, e->except.set->span, a, "what stands before "
                              "except");
  const Value *gone = need_set(s, e->except.without->span, b,
                               "what stands after except");
  if (!all || !gone)
    return &poison;
  ParamInfo **list = arena_alloc(L->a, ((size_t)all->n + 1) * sizeof *list);
  int n = 0;
  for (int i = 0; i < all->n; i++) {
    if (!has_param(gone->n, gone->param, all->param[i]))
      list[n++] = all->param[i];
  }
  if (n == all->n) {
    fail(s, "E0416", e->except.without->span,
         "except takes nothing away: no parameter is in both");
    return &poison;
  }
  return value_set(L, n, list);
}

static const struct {
  const char *name;
  VarKind kind; /* VAR_LAYER_STATE: all roles */
} set_kinds[] = {{"weights", VAR_WEIGHT},
                 {"biases", VAR_BIAS},
                 {"scales", VAR_SCALE},
                 {"parameters", VAR_LAYER_STATE}};

bool is_set_name(const char *name) {
  for (size_t i = 0; i < sizeof set_kinds / sizeof *set_kinds; i++)
    if (!strcmp(set_kinds[i].name, name))
      return true;
  return false;
}

const Value *set_of_kind(Scope *s, Span at, const char *name) {
  Lower *L = s->L;
  for (size_t i = 0; i < sizeof set_kinds / sizeof *set_kinds; i++) {
    if (strcmp(set_kinds[i].name, name))
      continue;
    if (s->sets && L->loss_failed)
      return &poison;
    if (!s->sets || !L->reached_known) {
      Diag *diag = fail(s, "E0207", at, "%s are those that the loss reaches: "
                        "they may be named in penalty, freeze and optimizer",
                        name);
      if (diag && L->in_loss && s->is_train)
        diag_help(diag, "a penalty has a key of its own: penalty = 1e-4 * l2(%s)",
                  name);
      return &poison;
    }
    ParamInfo **list = arena_alloc(L->a, ((size_t)L->n_reached + 1) *
                                             sizeof *list);
    int n = 0;
    for (int k = 0; k < L->n_reached; k++)
      if (set_kinds[i].kind == VAR_LAYER_STATE ||
          L->reached[k]->kind == set_kinds[i].kind)
        list[n++] = L->reached[k];
    return value_set(L, n, list);
  }
  return NULL;
}

/* -- lenet.conv1.W */

static const Value *unknown_member(Scope *s, const Expr *e,
                                   const Instance *i) {
  Lower *L = s->L;
  const char *name = e->member.name.s;
  Candidates c = {.arena = L->a};
  for (int k = 0; k < i->n_params; k++)
    candidates_add(&c, i->param[k]->stmt->name.s);
  for (int k = 0; k < i->n_sites; k++)
    for (int r = 0; r < i->site[k]->count; r++)
      if (i->site[k]->made && i->site[k]->made[r])
        candidates_add(&c, i->site[k]->name[r]);
  Diag *diag = fail(s, "E0205", e->member.name.span,
                    "%s has no stage or parameter %s", i->name, name);
  help_names(diag, name, &c, "it has");
  return &poison;
}

/* A stage has parts once it is called. The line that calls it may not have been
 * asked for yet: it is now. */
static void reach_stage(Scope *s, const Instance *i) {
  const Span at = i->call ? i->call->span
                  : i->origin ? i->origin->chain->span
                              : (Span){0};
  for (int k = 0; i->outer == s && k < s->slots.capacity; k++) {
    Slot *slot = s->slots.entry[k].value;
    if (slot && slot->kind == SLOT_LAZY && slot->state == 0 &&
        slot->expr->span.source == at.source &&
        slot->expr->span.begin <= at.begin && at.end <= slot->expr->span.end)
      force_slot(s, slot, s->slots.entry[k].key, at);
  }
}

static const Value *part_of(Scope *s, const Expr *e, const Instance *i) {
  Lower *L = s->L;
  const char *name = e->member.name.s;
  Instance *child = find_child(i, name);
  if (child) {
    Value *v = arena_alloc(L->a, sizeof *v);
    *v = (Value){.kind = V_STAGE, .stage = child};
    return v;
  }
  for (int k = 0; k < i->n_params; k++)
    if (!strcmp(i->param[k]->stmt->name.s, name) &&
        i->param[k]->info->kind != VAR_LAYER_STATE)
      return value_set(L, 1, &i->param[k]->info);
  return NULL;
}

const Value *eval_member(Scope *s, const Expr *e) {
  Lower *L = s->L;
  const Value *of = eval(s, e->member.of);
  if (of->kind == V_POISON)
    return of;
  if (of->kind == V_SPLIT)
    return split_member(s, e, of);
  if (of->kind != V_STAGE) {
    const char *part = e->member.name.s;
    Diag *diag = fail(s, "E0205", e->member.name.span, "%s has no part %s",
                      value_text(L, of), part);
    if (diag && (find_prim(part) ||
                 find_any_def(L, s->file, DEF_LAYER, part)))
      diag_help(diag, "a function stands behind an arrow: x -> %s", part);
    return &poison;
  }
  const Instance *i = of->stage;
  const Value *part = part_of(s, e, i);
  if (!part) {
    reach_stage(s, i);
    part = part_of(s, e, i);
  }
  return part ? part : L->loss_failed ? &poison : unknown_member(s, e, i);
}

/* -- what the loss reaches */

int params_reached(Lower *L, const Node *from, ParamInfo **list) {
  bool *seen = arena_alloc(L->a, (size_t)L->g->n_nodes * sizeof *seen);
  bool *hit = arena_alloc(L->a, ((size_t)L->n_params + 1) * sizeof *hit);
  seen[from->id] = true;
  /* Operands have smaller ids: one way down is enough. */
  for (int id = from->id; id >= 0; id--) {
    const Node *n = L->g->node[id];
    if (!seen[id] || n->op == OP_STOP)
      continue;
    for (int k = 0; k < n->n_in; k++)
      seen[n->in[k]->id] = true;
    const ParamInfo *p =
        n->op == OP_PARAM ? names_get(&L->param_names, n->attr.name) : NULL;
    if (p)
      hit[p->index] = true;
  }
  int n = 0;
  for (int k = 0; k < L->n_params; k++)
    if (hit[k])
      list[n++] = L->param[k];
  return n;
}
