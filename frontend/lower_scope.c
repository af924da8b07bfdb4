/* Names inside a definition. What a body declares is a slot, whose value is
 * worked out when somebody first asks for it: so a weight in the branch that is
 * not taken does not exist, and the order of bindings does not matter. Only
 * `name <- value` has an order: a line reads what the lines above have set, and
 * a slot remembers the line that it stands in.
 *
 * A name is looked for among the slots, the stages of the body, what the train
 * section sees (fields, sets, nets), the file's constants, and the words that
 * the compiler knows. */
#include "frontend/lower.h"

#include <math.h>
#include <string.h>

Scope *scope_new(Lower *L, File *file, const Def *def, const Scope *caller) {
  Scope *s = arena_alloc(L->a, sizeof *s);
  s->L = L;
  s->file = file;
  s->def = def;
  s->caller = caller;
  s->depth = caller ? caller->depth + 1 : 0;
  s->at = -1;
  s->prefer = def && def->ast->kind != DEF_NET ? def->ast->kind : DEF_LAYER;
  names_init(&s->slots, L->a);
  return s;
}

/* The weight that an optimizer moves. */
static bool is_updated(const Scope *s, const Slot *slot, const char *name) {
  return slot->at < 0 && s->updating &&
         !strcmp(name, s->def->ast->params[0].name.s);
}

static bool add_slot(Scope *s, Name name, Slot slot) {
  Slot *copy = arena_alloc(s->L->a, sizeof *copy);
  *copy = slot;
  copy->span = name.span;
  Slot *old = names_add(&s->slots, name.s, copy);
  if (!old)
    return true;
  Diag *diag =
      fail(s, "E0201", name.span, "%s is declared twice", name.s);
  if (diag)
    diag_note(diag, user_span(s, old->span), "the first one is here");
  if (diag && (old->kind == SLOT_STATE || is_updated(s, old, name.s)))
    diag_help(diag, "a new value is given by %s <- ..", name.s);
  else if (diag && slot.kind == SLOT_LAZY)
    diag_help(diag, "a name has one value: choose another, or go on by an arrow");
  *old = (Slot){.kind = SLOT_VALUE, .at = -1, .state = 2, .value = &poison,
                .span = old->span};
  return false;
}

Slot *scope_slot(const Scope *s, const char *name) {
  return names_get(&s->slots, name);
}

/* An argument, or a name bound by a shape. */
Slot *scope_bind(Scope *s, Name name, const Value *v) {
  add_slot(s, name,
           (Slot){.kind = SLOT_VALUE, .at = -1, .state = 2, .value = v});
  return names_get(&s->slots, name.s);
}

static void declare_update(Scope *s, const Stmt *stmt, int at) {
  Slot *slot = names_get(&s->slots, stmt->name.s);
  bool first = slot && is_updated(s, slot, stmt->name.s);
  if (!slot || (slot->kind != SLOT_STATE && !first)) {
    Diag *diag = fail(s, "E0208", stmt->name.span,
                      "%s cannot be updated: it is no state", stmt->name.s);
    if (diag)
      diag_help(diag, "declare it above: state %s = 0", stmt->name.s);
    return;
  }
  s->update[s->n_updates++] = (Update){.at = at, .stmt = stmt, .slot = slot};
}

void scope_declare(Scope *s) {
  const Definition *d = s->def->ast;
  s->update = arena_alloc(s->L->a, (size_t)(d->n_stmts + 1) *
                                       sizeof *s->update);
  for (int i = 0; i < d->n_stmts; i++) {
    const Stmt *stmt = d->stmts[i];
    switch (stmt->kind) {
    case STMT_LET:
      add_slot(s, stmt->name,
               (Slot){.kind = SLOT_LAZY, .at = i, .expr = stmt->value});
      break;
    case STMT_PARAM:
      add_slot(s, stmt->name,
               (Slot){.kind = SLOT_PARAM, .at = i, .stmt = stmt});
      break;
    case STMT_STATE:
      add_slot(s, stmt->name,
               (Slot){.kind = SLOT_STATE, .at = i, .stmt = stmt});
      break;
    case STMT_UPDATE:
      declare_update(s, stmt, i);
      break;
    case STMT_PROX:
    case STMT_VALUE:
    case STMT_COUNT:
      break;
    }
  }
}

/* Where evaluation stands, put aside while a slot is worked out. */
typedef struct Position {
  int at;
  DefKind prefer;
  struct Place now;
} Position;

static Position enter(Scope *s, int at) {
  Position p = {s->at, s->prefer, s->now};
  s->at = at;
  s->now = s->home;
  return p;
}

static void leave(Scope *s, Position p) {
  s->at = p.at;
  s->prefer = p.prefer;
  s->now = p.now;
}

static const Value *work_out(Scope *s, Slot *slot, const char *name) {
  switch (slot->kind) {
  case SLOT_VALUE:
    return slot->value;
  case SLOT_LAZY:
    return eval(s, slot->expr);
  case SLOT_PARAM:
    return declared_param(s, slot->stmt, slot->at);
  case SLOT_STATE:
    if (s->updating)
      return optimizer_state(s, slot, name);
    return state_value(s, declared_state(s, slot->stmt, slot->at));
  }
  return &poison;
}

static const Value *circle(const Scope *s, Span at, const char *name) {
  fail(s, "E0206", at, "%s is defined by itself", name);
  return &poison;
}

const Value *force_slot(Scope *s, Slot *slot, const char *name, Span at) {
  if (slot->state == 2)
    return slot->value;
  if (slot->state == 1)
    return circle(s, at, name);
  slot->state = 1;
  Position p = enter(s, slot->at);
  slot->value = work_out(s, slot, name);
  leave(s, p);
  slot->state = 2;
  return slot->value;
}

const Value *force_update(Scope *s, Update *u) {
  if (u->state == 2)
    return u->value;
  if (u->state == 1)
    return circle(s, u->stmt->span, u->stmt->name.s);
  u->state = 1;
  Position p = enter(s, u->at);
  u->value = eval(s, u->stmt->value);
  leave(s, p);
  u->state = 2;
  return u->value;
}

/* The value of a slot as the line at hand sees it. */
static const Value *read_slot(Scope *s, Slot *slot, const char *name,
                              Span at) {
  slot->read = true;
  if (s->updates_apply)
    for (int i = s->n_updates - 1; i >= 0; i--)
      if (s->update[i].slot == slot && s->update[i].at < s->at)
        return force_update(s, &s->update[i]);
  return force_slot(s, slot, name, at);
}

const Value *scope_value(Scope *s) {
  const Definition *d = s->def->ast;
  const Stmt *last = d->n_stmts ? d->stmts[d->n_stmts - 1] : NULL;
  if (!last || last->kind != STMT_VALUE) {
    fail(s, "E0209", d->name.span,
         "%s has no value: its last line must be an expression", d->name.s);
    return &poison;
  }
  Position p = enter(s, d->n_stmts - 1);
  const Value *v = eval(s, last->value);
  leave(s, p);
  return v;
}

/* -- words that the compiler knows */

static const char *const run_scalars[] = {"step", "epoch", "progress"};

static bool sees_splits(const Scope *s) {
  return s->is_train || (s->def && s->def->ast->kind == DEF_SCHEDULE);
}

static const Value *known_word(Scope *s, Span at, const char *name) {
  Lower *L = s->L;
  if (!strcmp(name, "training"))
    return value_flag(L, L->training);
  if (!strcmp(name, "pi"))
    return value_number(L, 3.14159265358979323846);
  if (!strcmp(name, "batch")) {
    static const Value batch = {.kind = V_BATCH};
    return &batch;
  }
  for (size_t i = 0; i < sizeof run_scalars / sizeof *run_scalars; i++)
    if (!strcmp(name, run_scalars[i])) {
      if (L->g == L->init) {
        fail(s, "E0317", at,
             "an initial value may depend on sizes and constants alone");
        return &poison;
      }
      return value_from(L, value_node(L, update_scalar(L, name), false),
                        own_span(s, at), NULL);
    }
  return sees_splits(s) ? split_value(L, name) : NULL;
}

void scope_candidates(const Scope *s, Candidates *c) {
  static const char *const words[] = {"training", "pi"};
  candidates_add_names(c, &s->slots);
  const_candidates(s->file, c);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    candidates_add(c, words[i]);
  for (size_t i = 0; i < sizeof run_scalars / sizeof *run_scalars; i++)
    candidates_add(c, run_scalars[i]);
  if (sees_splits(s))
    split_candidates(c);
  if (!s->is_train)
    return;
  for (int i = 0; i < s->L->n_fields; i++)
    candidates_add(c, s->L->field[i].field->name);
  candidates_add_names(c, &s->L->user->defs[DEF_NET]);
  static const char *const sets[] = {"weights", "biases", "scales",
                                     "parameters"};
  for (size_t i = 0; s->sets && i < sizeof sets / sizeof *sets; i++)
    candidates_add(c, sets[i]);
}

static const Value *unknown_name(Scope *s, Span at, const char *name) {
  Lower *L = s->L;
  if (s->is_train && !L->fields_known)
    return &poison; /* why they are not known was told */
  const Def *def = find_any_def(L, s->file, s->prefer, name);
  if (def || find_prim(name)) {
    const char *kind = def ? def_kind_text[def->ast->kind] : "function";
    Diag *diag = fail(s, "E0207", at, "%s is a%s %s and stands here as a value",
                      name, strchr("io", kind[0]) ? "n" : "", kind);
    if (diag)
      diag_help(diag, "call it: %s(..)", name);
    return &poison;
  }
  if (is_set_name(name))
    return set_of_kind(s, at, name);
  Candidates c = {.arena = L->a};
  scope_candidates(s, &c);
  stage_candidates(s, &c);
  Diag *diag = fail(s, "E0202", at, "unknown name %s", name);
  help_nearest(diag, name, &c);
  for (int i = 0; diag && i < L->n_fields; i++)
    if (!strcmp(L->field[i].field->name, name))
      diag_help(diag, "fields of the data are named in `train` alone: pass it "
                "as an argument");
  return &poison;
}

/* A net as a stage; NULL if the name is none. */
static const Value *net_value(Scope *s, const char *name) {
  Lower *L = s->L;
  const Def *net = find_def(L, s->file, DEF_NET, name);
  if (!net)
    return NULL;
  Value *stage = arena_alloc(L->a, sizeof *stage);
  *stage = (Value){.kind = V_STAGE, .stage = net_instance(L, net)};
  return stage;
}

static const Value *train_name(Scope *s, Span at, const char *name) {
  const Value *v = field_value(s, name);
  if (!v)
    v = set_of_kind(s, at, name);
  return v ? v : net_value(s, name);
}

const Value *scope_name(Scope *s, Span at, const char *name) {
  Lower *L = s->L;
  Slot *slot = names_get(&s->slots, name);
  if (slot)
    return read_slot(s, slot, name, at);
  Instance *stage = find_stage(s, name);
  if (stage) {
    Value *v = arena_alloc(L->a, sizeof *v);
    *v = (Value){.kind = V_STAGE, .stage = stage};
    return v;
  }
  const Value *v = s->is_train ? train_name(s, at, name) : NULL;
  if (!v)
    v = const_value(s, s->file, name);
  if (!v)
    v = known_word(s, at, name);
  if (!v)
    v = net_value(s, name);
  return v ? v : unknown_name(s, at, name);
}
