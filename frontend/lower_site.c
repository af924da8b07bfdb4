/* The names of stages. Each place in a body that calls a layer is a site; so is a
 * chain in parentheses that has a name. What `as` does not name gets the name of
 * its layer and a number, counted over the body's text (not over what is
 * reached, so that an `if` does not shift names), passing over names that are
 * taken. A site inside `repeat(n)` has n names, or n times as many in a repeat
 * of a repeat. */
#include "frontend/lower.h"

#include <string.h>

typedef struct Walk {
  Scope *s;
  Instance *owner;
  int64_t count; /* of the repeats around */
} Walk;

static void walk_stage(Walk *w, const Stage *stage);

static Site *add_site(Instance *i, Site site) {
  Arena *a = i->body->L->a;
  Site *copy = arena_alloc(a, sizeof *copy);
  *copy = site;
  copy->index = i->n_sites;
  i->site = arena_grow(a, i->site, i->n_sites, &i->cap_sites, sizeof *i->site);
  i->site[i->n_sites++] = copy;
  return copy;
}

static bool is_layer_call(const Scope *s, const Expr *e) {
  const Expr *callee = e->call.callee;
  if (callee->kind != EXPR_NAME)
    return false;
  const Def *def = find_any_def(s->L, s->file, s->prefer, callee->name);
  return def && def->ast->kind == DEF_LAYER;
}

/* -- the walk, in the order of the text */

static void walk_expr(Walk *w, const Expr *e) {
  switch (e->kind) {
  case EXPR_NUMBER:
  case EXPR_BOOL:
  case EXPR_STRING:
  case EXPR_NAME:
  case EXPR_REST:
  case EXPR_COUNT:
    return;
  case EXPR_LIST:
    for (int i = 0; i < e->list.n; i++)
      walk_expr(w, e->list.item[i]);
    return;
  case EXPR_CALL:
    if (is_layer_call(w->s, e))
      add_site(w->owner, (Site){.call = e, .kind = e->call.callee->name,
                                .count = (int)w->count});
    for (int i = 0; i < e->call.n_args; i++)
      walk_expr(w, e->call.args[i].value);
    return;
  case EXPR_MEMBER:
    return;
  case EXPR_INDEX:
    walk_expr(w, e->index.of);
    walk_expr(w, e->index.index);
    return;
  case EXPR_UNARY:
    walk_expr(w, e->unary.a);
    return;
  case EXPR_BINARY:
    walk_expr(w, e->binary.a);
    walk_expr(w, e->binary.b);
    return;
  case EXPR_IF:
    walk_expr(w, e->select.condition);
    walk_expr(w, e->select.yes);
    walk_expr(w, e->select.no);
    return;
  case EXPR_PIPELINE:
    walk_expr(w, e->pipeline.input);
    for (int i = 0; i < e->pipeline.n_stages; i++)
      walk_stage(w, e->pipeline.stage[i]);
    return;
  case EXPR_EXCEPT:
    return;
  }
}

/* How many times a repeat runs; 0 if that is wrong, which is told later, when
 * the repeat is reached. */
static int64_t repeat_count(Walk *w, const Stage *stage) {
  const Value *v = eval(w->s, stage->repeat.count);
  if (v->kind != V_NUMBER || !(v->number >= 1 && v->number <= (double)MAX_REPEAT))
    return 0;
  return (int64_t)v->number;
}

static void walk_stage(Walk *w, const Stage *stage) {
  int64_t outside = w->count;
  int before = w->owner->n_sites;
  switch (stage->kind) {
  case STAGE_CALL:
    walk_expr(w, stage->call);
    if (!stage->as.s)
      return;
    if (w->owner->n_sites == before ||
        w->owner->site[before]->call != stage->call)
      return; /* no layer: a name for nothing that has parameters */
    w->owner->site[before]->as = stage->as.s;
    w->owner->site[before]->span = stage->as.span;
    return;
  case STAGE_CHAIN:
    if (stage->as.s)
      add_site(w->owner, (Site){.chain = stage, .as = stage->as.s,
                                .kind = stage->as.s, .count = (int)w->count,
                                .span = stage->as.span});
    else
      for (int i = 0; i < stage->chain.n; i++)
        walk_stage(w, stage->chain.stage[i]);
    return;
  case STAGE_REPEAT:
    walk_expr(w, stage->repeat.count);
    w->count *= repeat_count(w, stage);
    if (w->count > MAX_CALLS)
      w->count = MAX_CALLS;
    walk_stage(w, stage->repeat.body);
    for (int i = before; i < w->owner->n_sites; i++)
      w->owner->site[i]->repeated = true;
    w->count = outside;
    return;
  }
}

/* -- names */

static const char *join(Lower *L, const char *parent, const char *name) {
  return parent && parent[0] ? arena_printf(L->a, "%s.%s", parent, name) : name;
}

static SiteName *take_name(Instance *i, const char *name, Site *site,
                           int index) {
  Lower *L = i->body->L;
  SiteName *n = arena_alloc(L->a, sizeof *n);
  *n = (SiteName){site, index};
  site->name[index] = name;
  return names_add(&i->children, name, n);
}

static void name_site(Instance *i, Site *site) {
  Lower *L = i->body->L;
  if (site->name)
    return;
  size_t count = (size_t)site->count + 1;
  site->name = arena_alloc(L->a, count * sizeof *site->name);
  site->made = arena_alloc(L->a, count * sizeof *site->made);
  if (!site->as)
    return;
  for (int k = 0; k < site->count; k++) {
    const char *name = site->repeated
                           ? arena_printf(L->a, "%s%d", site->as, k + 1)
                           : site->as;
    if (!take_name(i, name, site, k))
      continue;
    site->name[k] = NULL; /* no instance is made */
    fail(i->body, "E0201", site->span, "%s names two stages", name);
  }
}

/* The next number of the kind that is free. */
static void number_site(Instance *i, Site *site) {
  Lower *L = i->body->L;
  int *counter = names_get(&i->counts, site->kind);
  if (site->count && site->name[0])
    return;
  if (!counter) {
    counter = arena_alloc(L->a, sizeof *counter);
    names_add(&i->counts, site->kind, counter);
  }
  for (int k = 0; k < site->count; k++)
    do
      ++*counter;
    while (take_name(i, arena_printf(L->a, "%s%d", site->kind, *counter), site,
                     k));
}

static void build_sites(Scope *s, Instance *i) {
  if (i->sites_state)
    return;
  i->sites_state = 1;
  i->body = s;
  Walk w = {s, i, 1};
  if (i->origin && i->origin->chain) {
    for (int k = 0; k < i->origin->chain->chain.n; k++)
      walk_stage(&w, i->origin->chain->chain.stage[k]);
  } else if (s->def) {
    const Definition *d = s->def->ast;
    for (int k = 0; k < d->n_params; k++)
      if (d->params[k].default_value)
        walk_expr(&w, d->params[k].default_value);
    for (int k = 0; k < d->n_stmts; k++)
      walk_expr(&w, d->stmts[k]->value);
  }
  for (int k = 0; k < i->n_sites; k++)
    name_site(i, i->site[k]);
  for (int k = 0; k < i->n_sites; k++)
    if (!i->site[k]->as)
      number_site(i, i->site[k]);
  i->sites_state = 2;
}

/* -- looking for sites */

Site *site_of(Scope *s, const Expr *call, const Stage *chain) {
  Instance *i = s->now.instance;
  build_sites(s, i);
  for (int k = 0; k < i->n_sites; k++)
    if (call ? i->site[k]->call == call : i->site[k]->chain == chain)
      return i->site[k];
  if (!call)
    return NULL;
  /* In the train section sites are met in the order of evaluation. */
  Site *site = add_site(i, (Site){.call = call, .count = 1,
                                  .kind = call->call.callee->name});
  name_site(i, site);
  number_site(i, site);
  return site;
}

Instance *site_instance(Scope *s, Instance *parent, Site *site, int index) {
  Lower *L = s->L;
  if (index >= site->count || !site->name[index])
    return NULL;
  if (site->made[index])
    return site->made[index];
  const char *name = site->name[index];
  uint32_t at = site->call ? (uint32_t)site->call->call.ordinal
                           : 0x80000000u + (uint32_t)site->index;
  Instance *i = instance_new(L, join(L, parent->name, name),
                             join(L, parent->label, name),
                             mix(mix(parent->hash, at), (uint32_t)index));
  i->origin = site;
  i->call = site->call;
  i->outer = s;
  i->place = s->now;
  return site->made[index] = i;
}

/* Makes the instance if the stage has not been reached yet. */
static Instance *child_named(Scope *s, Instance *i, const char *name) {
  const SiteName *n = names_get(&i->children, name);
  if (!n || !n->site->as || !n->site->name)
    return NULL;
  if (n->site->made[n->index] || n->site->repeated)
    return n->site->made[n->index];
  struct Place now = s->now;
  if (i == s->home.instance)
    s->now = s->home;
  Instance *made = site_instance(s, i, n->site, n->index);
  if (made && made->call) {
    made->def = find_any_def(s->L, s->file, s->prefer,
                             made->call->call.callee->name);
    made->piped = true;
  }
  s->now = now;
  return made;
}

Instance *find_stage(Scope *s, const char *name) {
  Instance *now = s->now.instance, *home = s->home.instance;
  if (!now || !s->def)
    return NULL;
  if (now->sites_state != 1)
    build_sites(s, now);
  Instance *found = child_named(s, now, name);
  return found || now == home ? found : child_named(s, home, name);
}

bool is_stage_name(Scope *s, const char *name) {
  const Instance *now = s->now.instance, *home = s->home.instance;
  return (now && names_get(&now->children, name)) ||
         (home && names_get(&home->children, name));
}

Instance *find_child(const Instance *i, const char *name) {
  const SiteName *n = names_get(&i->children, name);
  return n ? n->site->made[n->index] : NULL;
}

void stage_candidates(Scope *s, Candidates *c) {
  if (!s->home.instance)
    return;
  const Instance *i = s->home.instance;
  for (int k = 0; k < i->n_sites; k++) {
    const Site *site = i->site[k];
    for (int r = 0; site->as && site->name && r < site->count; r++)
      if (site->name[r])
        candidates_add(c, site->name[r]);
  }
}
