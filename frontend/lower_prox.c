/* Proximal penalties. `prox(k * P(w))` in `train` takes the penalty P, after each
 * update, by the rule that its definition carries, `prox(t) = ..` with t the
 * learning rate times k, instead of by its gradient. So l1 gives exact zeros
 * (Parikh and Boyd, "Proximal Algorithms", 2014). */
#include "frontend/lower.h"

#include <string.h>

static const Stmt *rule_of(const Def *def) {
  for (int i = 0; def && i < def->ast->n_stmts; i++)
    if (def->ast->stmts[i]->kind == STMT_PROX)
      return def->ast->stmts[i];
  return NULL;
}

static const Def *penalty_called(Scope *s, const Expr *e) {
  if (e->kind != EXPR_CALL || e->call.callee->kind != EXPR_NAME)
    return NULL;
  return find_def(s->L, s->file, DEF_PENALTY, e->call.callee->name);
}

/* Finds k and P(w) in the argument of prox. */
static bool take_apart(Scope *s, const Expr *e, Prox *p) {
  const Expr *k = NULL;
  p->term = p->call = e;
  if (e->kind == EXPR_BINARY && e->binary.op == BINARY_MUL) {
    bool left = penalty_called(s, e->binary.a) != NULL;
    p->call = left ? e->binary.a : e->binary.b;
    k = left ? e->binary.b : e->binary.a;
  }
  const Def *def = penalty_called(s, p->call);
  if (!def || !p->call->call.n_args || p->call->call.args[0].name.s) {
    fail(s, "E0418", e->span, "prox wants a factor and a penalty: "
         "prox(0.1 * l1(weights))");
    return false;
  }
  if (!rule_of(def)) {
    Diag *diag = fail(s, "E0418", p->call->span, "%s has no proximal rule",
                      def->ast->name.s);
    if (diag)
      diag_help(diag, "its definition would hold a line prox(t) = ..");
    return false;
  }
  p->factor = k ? eval(s, k) : value_number(s->L, 1);
  if (p->factor->kind == V_POISON)
    return false;
  const Expr *of = p->call->call.args[0].value;
  p->set = need_set(s, of->span, eval(s, of), "what prox reaches");
  p->def = def;
  return p->set != NULL;
}

/* Registers a term `prox(..)`; its def is NULL after a mistake. */
Prox *add_prox(Scope *s, const Expr *e) {
  Lower *L = s->L;
  L->prox = arena_grow(L->a, L->prox, L->n_prox, &L->cap_prox,
                       sizeof *L->prox);
  Prox *p = &L->prox[L->n_prox++];
  *p = (Prox){0};
  if (e->call.n_args != 1 || e->call.args[0].name.s)
    fail(s, "E0418", e->span, "prox wants a factor and a penalty: "
         "prox(0.1 * l1(weights))");
  else if (!take_apart(s, e->call.args[0].value, p))
    p->def = NULL;
  return p;
}

static bool reaches(const Prox *p, const ParamInfo *info) {
  for (int i = 0; i < p->set->n; i++)
    if (p->set->param[i] == info)
      return true;
  return false;
}

static const Value *apply(Scope *s, const Prox *p, const Value *w,
                          const Value *lr) {
  Lower *L = s->L;
  Expr *rest = arena_alloc(L->a, sizeof *rest);
  *rest = *p->call;
  rest->call.args++;
  rest->call.n_args--;
  Call c = {.def = p->def, .at = p->call, .args = rest, .args_scope = s,
            .piped = w, .own = L->root};
  Scope *inner = scope_for_call(s, &c);
  inner->stage = p->def->ast->name.s;
  inner->loc = loc_of_span(L->a, p->call->span, inner->stage);
  if (!bind_args(inner, &c, 0))
    return &poison;
  scope_declare(inner);
  const Value *pair[2] = {lr, p->factor};
  const Stmt *rule = rule_of(p->def);
  scope_bind(inner, rule->name,
             elementwise(s, p->term->span, OP_MUL, 2, pair));
  return eval(inner, rule->value);
}

const Value *apply_prox(Scope *s, const ParamInfo *p, const Value *w,
                        const Value *lr) {
  for (int i = 0; i < s->L->n_prox; i++)
    if (reaches(&s->L->prox[i], p))
      w = apply(s, &s->L->prox[i], w, lr);
  return w;
}
