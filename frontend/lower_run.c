/* What `train` asks of the run rather than of the step: `stop`, `keep`, `init`,
 * and the count of plateaus. It comes out as data in the Program; the runtime
 * acts on it. `stop`, `keep` and `init` have calls of their own, which mean
 * something behind that key alone: one table says how they look. What they name
 * is checked once the functions are lowered: numbers that are watched, and the
 * parameters that a map of names leads to. */
#include "frontend/lower.h"

#include <string.h>

/* -- calls of a key */

enum { MAX_ARGS = 3 };

typedef struct KeyCall {
  const char *key, *call;
  const char *params[MAX_ARGS];
  int needed; /* how many of them must be given */
  const char *example;
} KeyCall;

static const KeyCall call_of_stop = {
    "stop", "patience", {"epochs", "on", "delta"}, 1,
    "patience(5, on = validation.loss)"};
static const KeyCall call_of_keep = {
    "keep", "best", {"on"}, 0, "best(validation.loss)"};
static const KeyCall call_of_init = {
    "init", "from", {"file", "map", "part"}, 1,
    "from(\"weights.safetensors\", part = true)"};

static bool bind_named(Scope *s, const KeyCall *k, const Arg *given,
                       const Expr **arg) {
  Candidates near = {.arena = s->L->a};
  for (int i = 0; i < MAX_ARGS && k->params[i]; i++) {
    candidates_add(&near, k->params[i]);
    if (strcmp(k->params[i], given->name.s))
      continue;
    if (arg[i])
      fail(s, "E0408", given->span, "%s is given twice", given->name.s);
    arg[i] = given->value;
    return true;
  }
  Diag *diag = fail(s, "E0407", given->name.span, "%s has no argument %s",
                    k->call, given->name.s);
  help_arguments(diag, given->name.s, &near);
  return false;
}

/* Sorts the arguments into `arg`, NULL where there is none; tells if the value
 * of the key is no such call. */
static bool bind(Scope *s, const KeyCall *k, const Expr *e,
                 const Expr *arg[MAX_ARGS]) {
  int n = 0;
  memset(arg, 0, MAX_ARGS * sizeof *arg);
  while (n < MAX_ARGS && k->params[n])
    n++;
  if (e->kind != EXPR_CALL || e->call.callee->kind != EXPR_NAME ||
      strcmp(e->call.callee->name, k->call)) {
    Diag *diag = fail(s, "E0406", e->span, "%s wants %s(..)", k->key, k->call);
    if (diag)
      diag_help(diag, "write %s = %s", k->key, k->example);
    return false;
  }
  for (int i = 0; i < e->call.n_args; i++) {
    const Arg *given = &e->call.args[i];
    if (given->name.s) {
      if (!bind_named(s, k, given, arg))
        return false;
    } else if (i >= n) {
      too_many_arguments(s, given->span, k->call, n);
      return false;
    } else {
      arg[i] = given->value;
    }
  }
  for (int i = 0; i < k->needed; i++)
    if (!arg[i]) {
      fail(s, "E0409", e->span, "%s wants an argument %s", k->call,
           k->params[i]);
      return false;
    }
  return true;
}

/* -- what is watched: validation.loss */

static const char *const splits[] = {"train", "validation", "test"};
enum { N_SPLITS = sizeof splits / sizeof *splits };

const Value *split_value(Lower *L, const char *name) {
  for (int i = 0; i < N_SPLITS; i++)
    if (!strcmp(splits[i], name)) {
      Value *v = arena_alloc(L->a, sizeof *v);
      *v = (Value){.kind = V_SPLIT, .string = splits[i]};
      return v;
    }
  return NULL;
}

void split_candidates(Candidates *c) {
  for (int i = 0; i < N_SPLITS; i++)
    candidates_add(c, splits[i]);
}

/* Once each: arguments of an optimizer are evaluated for each parameter. */
static void note_watched(Lower *L, const char *split, const char *what,
                         Span span) {
  for (int i = 0; i < L->n_watched; i++)
    if (L->watched[i].span.begin == span.begin &&
        L->watched[i].span.source == span.source)
      return;
  L->watched = arena_grow(L->a, L->watched, L->n_watched, &L->cap_watched,
                          sizeof *L->watched);
  L->watched[L->n_watched++] = (Watched){split, what, span};
}

const Value *split_member(Scope *s, const Expr *e, const Value *split) {
  Lower *L = s->L;
  Value *v = arena_alloc(L->a, sizeof *v);
  *v = (Value){.kind = V_WATCHED,
               .string = arena_printf(L->a, "%s.%s", split->string,
                                      e->member.name.s)};
  note_watched(L, split->string, e->member.name.s, user_span(s, e->span));
  return v;
}

static const char *need_watched(const Scope *s, Span at, const Value *v) {
  if (v->kind == V_WATCHED)
    return v->string;
  if (v->kind == V_POISON)
    return NULL;
  Diag *diag = fail(s, "E0419", at, "what is watched is a number of a part of "
                    "the data, but this is %s", value_text(s->L, v));
  if (diag)
    diag_help(diag, "write validation.loss");
  return NULL;
}

/* `on` or the default; NULL after a mistake. */
static const char *watched_arg(Scope *s, const Expr *e, Span at) {
  if (e)
    return need_watched(s, e->span, eval(s, e));
  note_watched(s->L, "validation", "loss", at);
  return "validation.loss";
}

static bool need_delta(const Scope *s, Span at, const Value *v, double *out) {
  if (!need_number(s, at, v, "delta", out))
    return false;
  if (*out >= 0)
    return true;
  fail(s, "E0305", at, "delta must be at least 0, but it is %s",
       value_text(s->L, v));
  return false;
}

static bool has_validation(const Lower *L) {
  const DataSpec *d = &L->program->data;
  for (int i = 0; i < d->n_entries; i++)
    if (!strcmp(d->entries[i].name, "validation"))
      return true;
  for (int i = 0; i < d->n_args; i++)
    if (!strcmp(d->args[i].name, "validation"))
      return true;
  return false;
}

/* The nearest name, or else all of them. */
static void help_watched(Diag *diag, const Watched *w, const Candidates *c) {
  Text t;
  text_init(&t, c->arena);
  for (int i = 0; i < c->n; i++)
    text_add(&t, "%s%s", i ? ", " : "", c->name[i]);
  if (nearest_name(w->what, c->name, c->n))
    help_nearest(diag, w->what, c);
  else if (diag)
    diag_help(diag, "of the %s part there are %s", w->split, t.s);
}

static void check_watched(Lower *L, const Watched *w) {
  const Program *p = L->program;
  Candidates there = {.arena = L->a};
  bool trains = !strcmp(w->split, "train");
  candidates_add(&there, "loss");
  if (trains)
    candidates_add(&there, "total");
  if (L->classified)
    candidates_add(&there, "accuracy");
  for (int i = 0; !trains && i < p->n_metrics; i++)
    if (p->metrics[i].kind != METRIC_CONFUSION)
      candidates_add(&there, p->metrics[i].name);
  bool found = false;
  for (int i = 0; i < there.n; i++)
    found = found || !strcmp(there.name[i], w->what);
  if (!found) {
    Diag *diag = diag_error(L->d, "E0419", w->span,
                            "there is no %s.%s to watch", w->split, w->what);
    help_watched(diag, w, &there);
  } else if (!strcmp(w->split, "validation") && !has_validation(L)) {
    Diag *diag = diag_error(L->d, "E0419", w->span,
                            "the data has no validation part to watch");
    if (diag)
      diag_help(diag, "add to its block: validation = 0.1");
  }
}

/* -- stop, keep */

void key_stop(Scope *s, const Expr *e) {
  const Expr *arg[MAX_ARGS];
  Watch w = {0};
  bool good = bind(s, &call_of_stop, e, arg);
  if (!good || !need_whole(s, arg[0]->span, eval(s, arg[0]), "patience", 1,
                           1 << 30, &w.patience))
    return;
  w.on = watched_arg(s, arg[1], e->span);
  if (arg[2] && !need_delta(s, arg[2]->span, eval(s, arg[2]), &w.delta))
    return;
  s->L->program->stop = w;
}

void key_keep(Scope *s, const Expr *e) {
  const Expr *arg[MAX_ARGS];
  if (bind(s, &call_of_keep, e, arg))
    s->L->program->keep.on = watched_arg(s, arg[0], e->span);
}

/* plateaus(on, patience, delta): how often the number has not become better for
 * more than `patience` epochs, which the runtime counts. */
const Value *prim_plateaus(PrimCall *c) {
  Lower *L = c->s->L;
  Watch w = {.on = need_watched(c->s, c->at, c->arg[0])};
  Watch *there = &L->program->plateau;
  if (L->g == L->init) {
    fail(c->s, "E0317", c->at,
         "an initial value may depend on sizes and constants alone");
    return &poison;
  }
  if (!w.on || !need_whole(c->s, c->at, c->arg[1], "patience", 0, 1 << 30,
                           &w.patience) ||
      (c->arg[2] && !need_delta(c->s, c->at, c->arg[2], &w.delta)))
    return &poison;
  w.patience++; /* PyTorch's: epochs that may go by */
  if (there->on && (strcmp(there->on, w.on) || there->patience != w.patience ||
                    there->delta < w.delta || there->delta > w.delta)) {
    fail(c->s, "E0419", c->at, "a file counts the plateaus of one number, and "
         "%s is counted already", there->on);
    return &poison;
  }
  *there = w;
  return value_node(L, scalar_leaf(L, "plateau"), false);
}

/* -- init = "file", or from("file", map = ["encoder" -> net.enc], part = true) */

/* net.stage.W as written, or NULL. */
static const char *path_text(Lower *L, const Expr *e) {
  if (e->kind == EXPR_NAME)
    return e->name;
  const char *of = e->kind == EXPR_MEMBER ? path_text(L, e->member.of) : NULL;
  return of ? arena_printf(L->a, "%s.%s", of, e->member.name.s) : NULL;
}

/* "name in the file" -> name.in.the.program */
static bool read_map(Scope *s, const Expr *e, const char **from,
                     const char **to) {
  const Stage *stage = e->kind == EXPR_PIPELINE && e->pipeline.n_stages == 1
                           ? e->pipeline.stage[0]
                           : NULL;
  if (stage && stage->kind == STAGE_CALL && stage->call->call.bare &&
      !stage->as.s && e->pipeline.input->kind == EXPR_STRING) {
    *from = e->pipeline.input->string;
    if ((*to = path_text(s->L, stage->call->call.callee)))
      return true;
  }
  Diag *diag = fail(s, "E0420", e->span, "a map leads from the beginning of a "
                    "name in the file to a stage or a parameter");
  if (diag)
    diag_help(diag, "write map = [\"encoder.layer1\" -> net.enc]");
  return false;
}

static bool read_maps(Scope *s, const Expr *e, InitFrom *init) {
  Lower *L = s->L;
  Expr *const *item = e->kind == EXPR_LIST ? e->list.item : (Expr *const *)&e;
  init->n_maps = e->kind == EXPR_LIST ? e->list.n : 1;
  size_t n = (size_t)init->n_maps + 1;
  init->from = arena_alloc(L->a, n * sizeof *init->from);
  init->to = arena_alloc(L->a, n * sizeof *init->to);
  L->map_span = arena_alloc(L->a, n * sizeof *L->map_span);
  bool good = true;
  for (int i = 0; i < init->n_maps; i++) {
    L->map_span[i] = item[i]->span;
    good = read_map(s, item[i], &init->from[i], &init->to[i]) && good;
    for (int k = 0; good && k < i; k++)
      if (!strcmp(init->from[i], init->from[k])) {
        fail(s, "E0420", item[i]->span, "\"%s\" is mapped twice",
             init->from[i]);
        good = false;
      }
  }
  return good;
}

static bool read_file(Scope *s, const Expr *e, const char **file) {
  const Value *v = eval(s, e);
  if (v->kind == V_STRING)
    *file = v->string;
  else if (v->kind != V_POISON)
    fail(s, "E0406", e->span, "init wants a file's name in quotes, or from(..)");
  return v->kind == V_STRING;
}

void key_init(Scope *s, const Expr *e) {
  InitFrom init = {0};
  const Expr *arg[MAX_ARGS] = {e, NULL, NULL};
  if (e->kind == EXPR_CALL && !bind(s, &call_of_init, e, arg))
    return;
  if (!read_file(s, arg[0], &init.file) ||
      (arg[1] && !read_maps(s, arg[1], &init)) ||
      (arg[2] &&
       !need_flag(s, arg[2]->span, eval(s, arg[2]), "part", &init.part)))
    return;
  s->L->program->init = init;
}

/* A map leads to something that a parameter or a state of a layer is part of. */
static void check_map(Lower *L, const char *to, Span at) {
  Candidates near = {.arena = L->a};
  size_t length = strlen(to);
  for (int i = 0; i < L->n_params; i++) {
    const char *name = L->param[i]->name;
    if (!strncmp(name, to, length) && (!name[length] || name[length] == '.'))
      return;
    candidates_add(&near, name);
    for (const char *dot = name; (dot = strchr(dot, '.')); dot++)
      candidates_add(&near, arena_strndup(L->a, name, (size_t)(dot - name)));
  }
  Diag *diag =
      diag_error(L->d, "E0420", at, "the program has no parameters %s", to);
  help_nearest(diag, to, &near);
}

void check_named(Lower *L) {
  for (int i = 0; i < L->n_watched; i++)
    check_watched(L, &L->watched[i]);
  const InitFrom *init = &L->program->init;
  for (int i = 0; i < init->n_maps; i++)
    check_map(L, init->to[i], L->map_span[i]);
}
