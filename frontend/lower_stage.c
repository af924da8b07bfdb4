/* Pipelines, and the instances that calls of layers and nets make. An instance
 * owns parameters: a layer's belong to the place where it is called, a net is one
 * instance wherever it is called, and a stage that is called again by its name
 * takes the parameters that it has. */
#include "frontend/lower.h"

#include <string.h>

Instance *instance_new(Lower *L, const char *name, const char *label,
                       uint64_t hash) {
  Instance *i = arena_alloc(L->a, sizeof *i);
  i->name = name;
  i->label = label;
  i->hash = hash;
  names_init(&i->children, L->a);
  names_init(&i->counts, L->a);
  return i;
}

Instance *net_instance(Lower *L, const Def *def) {
  const char *name = def->ast->name.s;
  Instance *i = names_get(&L->nets, name);
  if (i)
    return i;
  i = instance_new(L, name, NULL, mix(0x6e657473, (uint32_t)def->index));
  i->def = def;
  names_add(&L->nets, name, i);
  return i;
}

/* -- for `netc summary` */

static int64_t count_parameters(const Instance *i) {
  int64_t count = 0;
  for (int k = 0; k < i->n_params; k++)
    if (i->param[k]->info->kind != VAR_LAYER_STATE)
      count += type_count(&i->param[k]->info->type);
  for (int k = 0; k < i->n_sites; k++)
    for (int r = 0; r < i->site[k]->count; r++)
      if (i->site[k]->made[r])
        count += count_parameters(i->site[k]->made[r]);
  return count;
}

static void note_stage(Lower *L, Instance *i, const char *layer,
                       const Value *v) {
  Program *p = L->program;
  if (v->kind != V_TENSOR)
    return;
  p->stages = arena_grow(L->a, p->stages, p->n_stages, &L->cap_stages,
                         sizeof *p->stages);
  StageInfo *stage = &p->stages[p->n_stages++];
  *stage = (StageInfo){.name = i->name, .layer = layer};
  stage->output =
      type_of(v->node->type.dtype, sample_rank(v), sample_dims(v));
  stage->parameters = i->noted ? 0 : count_parameters(i);
  i->noted = true; /* called again: counted already */
}

/* -- calls */

const Value *call_layer(Scope *s, const Def *def, const Expr *call,
                        const Value *piped) {
  Lower *L = s->L;
  Site *site = site_of(s, call, NULL);
  Instance *i = site_instance(s, s->now.instance, site, s->now.repeat);
  if (!i)
    return &poison;
  i->def = def;
  i->piped = piped != NULL;
  const Value *v = call_def(s, &(Call){.def = def, .at = call, .args = call,
                                      .args_scope = s, .piped = piped, .own = i});
  if (L->stage_list && s->def && s->def->ast->kind == DEF_NET)
    note_stage(L, i, def->ast->name.s, v);
  return v;
}

static const Value *call_net(Scope *s, Instance *i, const Expr *call,
                             const Value *piped) {
  Lower *L = s->L;
  L->net_depth++;
  const Value *v = call_def(s, &(Call){.def = i->def, .at = call, .args = call,
                                      .args_scope = s, .piped = piped, .own = i});
  L->net_depth--;
  if (L->net_depth == 0 && !L->output)
    L->output = v;
  return v;
}

static const Value *eval_stage(Scope *s, const Stage *stage, const Value *v);

static const Value *call_group(Scope *s, Instance *i, const Expr *call,
                               const Value *input) {
  Scope *outer = i->outer;
  struct Place saved = outer->now;
  const Stage *chain = i->origin->chain;
  uint32_t at = call ? (uint32_t)call->call.ordinal
                     : 0x80000000u + (uint32_t)i->origin->index;
  outer->now.path = mix(mix(s->now.path, at), (uint32_t)s->now.repeat);
  outer->now.instance = i;
  outer->now.repeat = 0;
  const Value *v = input;
  i->busy = true;
  for (int k = 0; k < chain->chain.n; k++)
    v = eval_stage(outer, chain->chain.stage[k], v);
  i->busy = false;
  outer->now = saved;
  return v;
}

/* A stage that is called again: another input, and the arguments that it was made
 * with but for those that are given now. */
static const Value *call_again(Scope *s, Instance *i, const Expr *call,
                               const Value *piped) {
  Lower *L = s->L;
  if (!i->def) {
    fail(s, "E0206", call->span, "%s is called inside itself", i->name);
    return &poison;
  }
  const Call now = {.def = i->def, .at = call, .args = call, .args_scope = s,
                    .piped = piped};
  size_t size = (size_t)i->def->ast->n_params * sizeof(Value *);
  const Value **given = arena_alloc(L->a, size + 1);
  if (!take_args(&now, 0, given))
    return &poison;
  if (size && !given[0]) {
    fail(s, "E0409", call->span, "%s wants an argument %s",
         span_text(L, call->call.callee->span), i->def->ast->params[0].name.s);
    return &poison;
  }
  Expr *args = arena_alloc(L->a, sizeof *args);
  *args = *i->call;
  if (!i->piped && args->call.n_args && !args->call.args[0].name.s) {
    args->call.args++;
    args->call.n_args--;
  }
  struct Place saved = i->outer->now;
  i->outer->now = i->place;
  Call c = {.def = i->def, .at = call, .args = args, .args_scope = i->outer,
            .piped = size ? given[0] : NULL, .own = i, .instead = given};
  const Value *v = call_def(s, &c);
  i->outer->now = saved;
  return v;
}

/* A chain in parentheses has no arguments besides. */
static const Value *call_chain(Scope *s, Instance *i, const Expr *call,
                               const Value *piped) {
  const Value *input = piped;
  int n = call->call.n_args;
  if (!input && n == 1 && !call->call.args[0].name.s) {
    input = eval(s, call->call.args[0].value);
    n = 0;
  }
  if (!input || n) {
    fail(s, "E0410", call->span, "%s is a chain of stages and takes its input "
         "alone", span_text(s->L, call->call.callee->span));
    return &poison;
  }
  if (i->busy) {
    fail(s, "E0206", call->span, "%s is called inside itself", i->name);
    return &poison;
  }
  return input->kind == V_POISON ? input : call_group(s, i, call, input);
}

const Value *call_instance(Scope *s, Instance *i, const Expr *call,
                           const Value *piped) {
  if (i->def && i->def->ast->kind == DEF_NET)
    return call_net(s, i, call, piped);
  return i->origin->chain ? call_chain(s, i, call, piped)
                          : call_again(s, i, call, piped);
}

/* -- pipelines */

static const Value *eval_repeat(Scope *s, const Stage *stage, const Value *v) {
  int64_t n;
  const Value *count = eval(s, stage->repeat.count);
  if (!need_whole(s, stage->repeat.count->span, count, "the count of a repeat",
                  1, MAX_REPEAT, &n))
    return &poison;
  int turn = s->now.repeat;
  for (int64_t k = 0; k < n && v->kind != V_POISON; k++) {
    s->now.repeat = (int)(turn * n + k);
    v = eval_stage(s, stage->repeat.body, v);
  }
  s->now.repeat = turn;
  return v;
}

static const Value *eval_stage(Scope *s, const Stage *stage, const Value *v) {
  if (v->kind == V_POISON && stage->kind != STAGE_CALL)
    return v;
  switch (stage->kind) {
  case STAGE_CALL:
    return eval_call(s, stage->call, v);
  case STAGE_CHAIN:
    if (stage->as.s) {
      Site *site = site_of(s, NULL, stage);
      Instance *i = site ? site_instance(s, s->now.instance, site,
                                         s->now.repeat)
                         : NULL;
      return i ? call_group(s, i, NULL, v) : &poison;
    }
    for (int k = 0; k < stage->chain.n; k++)
      v = eval_stage(s, stage->chain.stage[k], v);
    return v;
  case STAGE_REPEAT:
    return eval_repeat(s, stage, v);
  }
  return &poison;
}

const Value *eval_pipeline(Scope *s, const Expr *e) {
  const Value *v = eval(s, e->pipeline.input);
  for (int i = 0; i < e->pipeline.n_stages; i++)
    v = eval_stage(s, e->pipeline.stage[i], v);
  return v;
}
