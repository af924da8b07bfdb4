/* Values against the shapes in a definition's header. A name in a shape that
 * nothing has bound yet is bound; everything else must agree. `..` stands for
 * any axes. */
#include "frontend/lower.h"

#include <string.h>

typedef struct Match {
  Scope *inner;
  const Call *call;
  int index; /* of the parameter */
  const Value *value;
} Match;

/* Remedies for an input that is often given so. */
static void help_shape(const Match *m, Diag *diag) {
  const Definition *d = m->call->def->ast;
  const Shape *shape = d->params[m->index].shape;
  int rank = sample_rank(m->value);
  const int64_t *dim = sample_dims(m->value);
  bool turned = rank == 3 && shape->n == 3;
  for (int i = 0; turned && i < 3; i++)
    turned = shape->dim[i]->kind == EXPR_NUMBER &&
             shape->dim[i]->number >= (double)dim[(i + 1) % 3] &&
             shape->dim[i]->number <= (double)dim[(i + 1) % 3];
  if (shape->n == 1 && shape->dim[0]->kind == EXPR_NAME && rank > 1)
    diag_help(diag, "flatten it first: -> flatten -> %s",
              span_text(m->inner->L, m->call->at->span));
  else if (d->kind == DEF_NET && shape->n == rank + 1)
    diag_help(diag, "shapes are of one sample: leave the batch out");
  else if (turned)
    diag_help(diag, "a picture is [channels, rows, columns]");
}

/* "linear expects [n], but its input is [16, 5, 5]"; `with`: "" or what a name
 * of the shape was bound to. */
static bool mismatch(const Match *m, const char *with) {
  const Scope *s = m->call->args_scope;
  Lower *L = s->L;
  const Definition *d = m->call->def->ast;
  const Param *p = &d->params[m->index];
  bool input = m->index == 0 && (d->kind == DEF_LAYER || d->kind == DEF_NET);
  Diag *diag = fail(s, "E0302", m->call->at->span,
                    "%s expects %s%s, but its %s is %s", d->name.s,
                    span_text(L, p->shape->span), with,
                    input ? "input" : p->name.s, value_text(L, m->value));
  note_origin(L, diag, m->value);
  const Slot *first = with[0] && m->index > 0
                          ? scope_slot(m->inner, d->params[0].name.s)
                          : NULL;
  if (first && first->kind == SLOT_VALUE) /* what bound the name */
    note_origin(L, diag, first->value);
  if (diag && m->value->kind == V_STAGE)
    diag_help(diag, "a net or a stage is called with its input: %s(..)",
              m->value->stage->name);
  if (diag && input && !p->shape->is_class && m->value->kind == V_TENSOR)
    help_shape(m, diag);
  return false;
}

static bool match_dim(const Match *m, const Expr *dim, int64_t size) {
  Scope *inner = m->inner;
  Lower *L = inner->L;
  if (dim->kind == EXPR_NAME && !scope_slot(inner, dim->name) &&
      !const_value(inner, inner->file, dim->name)) {
    scope_bind(inner, (Name){dim->name, dim->span},
               value_number(L, (double)size));
    return true;
  }
  const Value *v = eval(inner, dim);
  double wanted;
  if (!need_number(inner, dim->span, v, "a size in a shape", &wanted))
    return false;
  if (wanted == (double)size)
    return true;
  return mismatch(m, dim->kind == EXPR_NUMBER
                         ? ""
                         : arena_printf(L->a, " with %s = %s",
                                        span_text(L, dim->span),
                                        value_text(L, v)));
}

static bool match_dims(const Match *m, const Shape *shape) {
  int rest = -1, rank = sample_rank(m->value);
  for (int i = 0; i < shape->n; i++)
    if (shape->dim[i]->kind == EXPR_REST)
      rest = i;
  if (rest < 0 ? rank != shape->n : rank < shape->n - 1)
    return mismatch(m, "");
  const int64_t *dim = sample_dims(m->value);
  for (int i = 0; i < shape->n; i++) {
    if (i == rest)
      continue;
    int k = rest < 0 || i < rest ? i : rank - shape->n + i;
    if (!match_dim(m, shape->dim[i], dim[k]))
      return false;
  }
  return true;
}

/* Classes must be as many as the shape says. Integers of which nothing is known,
 * the product of arithmetic, do where something else said how many. */
static bool match_class(const Match *m, const Expr *dim) {
  bool known = dim->kind != EXPR_NAME || scope_slot(m->inner, dim->name) ||
               const_value(m->inner, m->inner->file, dim->name);
  if (m->value->classes)
    return match_dim(m, dim, m->value->classes);
  return (known && m->value->node->type.dtype == T_I32) || mismatch(m, "");
}

const Value *match_shape(Scope *inner, const Call *c, int i, const Value *v) {
  Lower *L = inner->L;
  const Shape *shape = c->def->ast->params[i].shape;
  Match m = {inner, c, i, v};
  if (v->kind == V_NUMBER && !shape->is_class && shape->n == 0)
    return v;
  if (v->kind == V_LIST)
    v = list_tensor(c->args_scope, c->at->span, v);
  if (v->kind == V_STAGE)
    v = set_of_stage(L, v->stage);
  if (v->kind == V_SET && v->n != 1) {
    mismatch(&m, "");
    return &poison;
  }
  if (v->kind == V_NUMBER || v->kind == V_STRING) {
    mismatch(&m, "");
    return &poison;
  }
  const Value *t = need_tensor(c->args_scope, c->at->span, v, NULL);
  if (!t)
    return &poison;
  m.value = t;
  if (shape->is_class)
    return match_class(&m, shape->dim[0]) ? t : &poison;
  return match_dims(&m, shape) ? t : &poison;
}
