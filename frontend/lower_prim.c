/* Primitive functions: what the compiler itself knows, as one table. A row says
 * the name, the parameters and who makes the value. Arguments are bound as for
 * any definition: by position, then by name. */
#include "frontend/lower.h"

#include <string.h>

static const Value *prim_unary(PrimCall *c) {
  if (c->prim->op == OP_STOP && c->arg[0]->kind == V_NUMBER)
    return c->arg[0];
  return elementwise(c->s, c->at, c->prim->op, 1, c->arg);
}

static uint64_t address(const PrimCall *c) {
  const struct Place *p = &c->s->now;
  return mix(mix(p->path, (uint32_t)c->call->call.ordinal),
               (uint32_t)p->repeat);
}

/* The arguments of a distribution are single numbers. */
static bool need_single(PrimCall *c, const Value **v, double otherwise) {
  if (!*v)
    *v = value_number(c->s->L, otherwise);
  if ((*v)->kind == V_POISON)
    return false;
  if ((*v)->kind == V_NUMBER)
    return true;
  const Value *t = need_tensor(c->s, c->at, *v, "this argument");
  if (!t)
    return false;
  if (t->node->type.rank == 0)
    return true;
  fail(c->s, "E0301", c->at, "%s takes single numbers, but this is %s",
       c->prim->name, value_text(c->s->L, t));
  return false;
}

/* The argument `shape`, if given: a draw of this shape, in a net for each
 * sample. */
static const Value *shaped(PrimCall *c, int i, const Value *v) {
  Lower *L = c->s->L;
  int rank;
  int64_t dim[MAX_RANK];
  if (!c->arg[i])
    return v;
  if (!need_dims(c, c->arg[i], 1, &rank, dim))
    return &poison;
  return materialise(c->s, c->at, v, L->g != L->init, rank, dim);
}

static const Value *prim_uniform(PrimCall *c) {
  if (!need_single(c, &c->arg[0], 0) || !need_single(c, &c->arg[1], 1))
    return &poison;
  return shaped(c, 2, random_value(c->s->L, DIST_UNIFORM, c->arg[0], c->arg[1],
                                   address(c)));
}

static const Value *prim_normal(PrimCall *c) {
  if (!need_single(c, &c->arg[0], 0) || !need_single(c, &c->arg[1], 1))
    return &poison;
  return shaped(c, 2, random_value(c->s->L, DIST_NORMAL, c->arg[0], c->arg[1],
                                   address(c)));
}

static const Value *prim_bernoulli(PrimCall *c) {
  const Value *p = c->arg[0];
  if (!need_single(c, &p, 0))
    return &poison;
  if (p->kind == V_NUMBER && !(p->number >= 0 && p->number <= 1)) {
    fail(c->s, "E0305", c->at,
         "a probability lies between 0 and 1, but this one is %s",
         value_text(c->s->L, p));
    return &poison;
  }
  return shaped(c, 1, random_value(c->s->L, DIST_BERNOULLI, p, NULL,
                                   address(c)));
}

static const Value *prim_einsum(PrimCall *c) {
  if (c->arg[0]->kind != V_STRING) {
    fail(c->s, "E0301", c->at, "einsum wants a text such as \"ab,bc->ac\"");
    return &poison;
  }
  return einsum(c->s, c->at, c->arg[0]->string, c->arg[1], c->arg[2]);
}

static const Value *prim_weighted(PrimCall *c) {
  Value *v = arena_alloc(c->s->L->a, sizeof *v);
  const Value **item = arena_alloc(c->s->L->a, 2 * sizeof *item);
  item[0] = c->arg[0];
  item[1] = c->arg[1];
  *v = (Value){.kind = V_WEIGHTED, .n = 2, .item = item};
  return v;
}

/* expect(condition, x, wanted): x, or "NAME expects WANTED, but .. is X", told
 * where the definition is called. */
static const Value *prim_expect(PrimCall *c) {
  const Scope *s = c->s;
  Lower *L = s->L;
  const Value *x = c->arg[1], *wanted = c->arg[2];
  bool holds;
  if (!need_flag(s, c->at, c->arg[0], "what is expected", &holds))
    return &poison;
  if (holds)
    return x;
  const char *what =
      wanted->kind == V_STRING ? wanted->string : value_text(L, wanted);
  const char *name = s->def ? s->def->ast->name.s : "this";
  Diag *diag = fail(s, "E0302", s->site.source ? s->site : c->at,
                    "%s expects %s, but its input is %s", name, what,
                    value_text(L, x));
  note_origin(L, diag, x);
  if (wanted->kind == V_TENSOR)
    note_origin(L, diag, wanted);
  if (diag && wanted->kind == V_TENSOR && wanted->classes)
    diag_help(diag, "a class is no number to compare with: cross_entropy takes "
              "it, and onehot makes numbers of it");
  if (diag && !strcmp(what, "[n]"))
    diag_help(diag, "flatten it first: -> flatten -> %s",
              span_text(L, s->site));
  return &poison;
}

static const Value *prim_known(PrimCall *c) {
  return value_flag(c->s->L, c->arg[0]->kind == V_NUMBER);
}

static const Value *prim_error(PrimCall *c) {
  if (c->arg[0]->kind == V_STRING)
    fail(c->s, "E0309", c->at, "%s", c->arg[0]->string);
  else
    fail(c->s, "E0301", c->at, "error wants a text");
  return &poison;
}

/* *INDENT-OFF* */
static const Prim prims[] = {
    {"exp", "x", prim_unary, OP_EXP},
    {"log", "x", prim_unary, OP_LOG},
    {"sqrt", "x", prim_unary, OP_SQRT},
    {"abs", "x", prim_unary, OP_ABS},
    {"sign", "x", prim_unary, OP_SIGN},
    {"tanh", "x", prim_unary, OP_TANH},
    {"erf", "x", prim_unary, OP_ERF},
    {"sin", "x", prim_unary, OP_SIN},
    {"cos", "x", prim_unary, OP_COS},
    {"floor", "x", prim_unary, OP_FLOOR},
    {"stop_gradient", "x", prim_unary, OP_STOP},
    {"max", "x y? axis? keep?", prim_extreme, OP_MAX},
    {"min", "x y? axis? keep?", prim_extreme, OP_MIN},
    {"sum", "x axis? keep?", prim_reduce, OP_SUM},
    {"mean", "x axis? keep?", prim_mean, OP_SUM},
    {"argmax", "x axis?", prim_argmax, OP_ARGMAX},
    {"reshape", "x shape", prim_reshape, OP_RESHAPE},
    {"broadcast", "x shape", prim_broadcast, OP_BROADCAST},
    {"permute", "x axes", prim_permute, OP_PERMUTE},
    {"slice", "x axis start end step?", prim_slice, OP_SLICE},
    {"concat", ".. axis?", prim_concat, OP_CONCAT},
    {"pad", "x axis before after value?", prim_pad, OP_PAD},
    {"window", "x axis size stride? dilation?", prim_window, OP_WINDOW},
    {"fold", "x axis stride? dilation?", prim_fold, OP_FOLD},
    {"size", "x axis?", prim_size, OP_COUNT},
    {"shape", "x", prim_shape, OP_COUNT},
    {"rank", "x", prim_rank, OP_COUNT},
    {"same_shape", "a b", prim_same_shape, OP_COUNT},
    {"iota", "n", prim_iota, OP_IOTA},
    {"onehot", "label classes?", prim_onehot, OP_EQ},
    {"einsum", "spec a b", prim_einsum, OP_DOT},
    {"uniform", "low? high? shape?", prim_uniform, OP_RAND},
    {"normal", "mean? std? shape?", prim_normal, OP_RAND},
    {"bernoulli", "p shape?", prim_bernoulli, OP_RAND},
    {"weighted", "value w", prim_weighted, OP_COUNT},
    {"expect", "condition x wanted", prim_expect, OP_COUNT},
    {"error", "text", prim_error, OP_COUNT},
    {"is_known", "x", prim_known, OP_COUNT},
    {"plateaus", "on patience delta?", prim_plateaus, OP_COUNT},
};
/* *INDENT-ON* */
enum { N_PRIMS = sizeof prims / sizeof *prims };

const Prim *find_prim(const char *name) {
  for (int i = 0; i < N_PRIMS; i++)
    if (!strcmp(prims[i].name, name))
      return &prims[i];
  return NULL;
}

void prim_candidates(Candidates *c) {
  for (int i = 0; i < N_PRIMS; i++)
    candidates_add(c, prims[i].name);
}

/* -- arguments */

typedef struct PrimParam {
  const char *name;
  bool optional;
} PrimParam;

/* Splits "x axis? keep?"; a leading ".." is left out. */
static int prim_params(Lower *L, const char *text, PrimParam *out) {
  int n = 0;
  while (*text) {
    size_t length = strcspn(text, " ");
    bool optional = text[length - 1] == '?';
    if (strncmp(text, "..", 2))
      out[n++] = (PrimParam){arena_strndup(L->a, text, length - optional),
                             optional};
    text += length;
    text += *text == ' ';
  }
  return n;
}

static bool bind_named(PrimCall *c, const Arg *arg, int n,
                       const PrimParam *param) {
  Lower *L = c->s->L;
  for (int i = 0; i < n; i++) {
    if (strcmp(param[i].name, arg->name.s))
      continue;
    if (c->arg[i]) {
      fail(c->s, "E0408", arg->span, "%s is given twice", arg->name.s);
      return false;
    }
    c->arg[i] = eval(c->s, arg->value);
    return true;
  }
  Candidates near = {.arena = L->a};
  for (int i = 0; i < n; i++)
    candidates_add(&near, param[i].name);
  Diag *diag = fail(c->s, "E0407", arg->span, "%s has no argument %s",
                    c->prim->name, arg->name.s);
  help_arguments(diag, arg->name.s, &near);
  return false;
}

static bool bind_prim(PrimCall *c, const Value *piped) {
  Lower *L = c->s->L;
  PrimParam param[MAX_PRIM_ARGS];
  int n = prim_params(L, c->prim->params, param), at = 0;
  bool rest = !strncmp(c->prim->params, "..", 2);
  const Expr *e = c->call;
  const Value **all =
      arena_alloc(L->a, (size_t)(e->call.n_args + 1) * sizeof *all);
  if (piped)
    all[at++] = piped;
  bool good = true;
  for (int i = 0; i < e->call.n_args; i++) {
    const Arg *arg = &e->call.args[i];
    if (arg->name.s) {
      if (i == 0 || !e->call.args[i - 1].name.s)
        for (int k = 0; !rest && k < at && k < n; k++)
          c->arg[k] = all[k];
      good = bind_named(c, arg, n, param) && good;
    } else if (!rest && at >= n) {
      too_many_arguments(c->s, arg->span, c->prim->name, n);
      return false;
    } else {
      all[at++] = eval(c->s, arg->value);
    }
  }
  for (int k = 0; !rest && k < at; k++)
    c->arg[k] = all[k];
  c->rest = all;
  c->n_rest = rest ? at : 0;
  for (int k = 0; k < n; k++)
    if (!c->arg[k] && !param[k].optional && good) {
      fail(c->s, "E0409", c->at, "%s wants an argument %s", c->prim->name,
           param[k].name);
      good = false;
    }
  for (int k = 0; k < n; k++)
    good = good && !(c->arg[k] && c->arg[k]->kind == V_POISON);
  for (int k = 0; k < c->n_rest; k++)
    good = good && c->rest[k]->kind != V_POISON;
  return good;
}

const Value *call_prim(Scope *s, const Prim *p, const Expr *call,
                       const Value *piped) {
  PrimCall c = {.s = s, .prim = p, .call = call, .at = call->span};
  if (piped && piped->kind == V_POISON)
    return piped;
  if (!bind_prim(&c, piped))
    return &poison;
  const Value *v = p->run(&c);
  for (int i = 0; i < MAX_PRIM_ARGS; i++)
    if (v == c.arg[i])
      return v;
  return value_from(s->L, v, own_span(s, call->span), p->name);
}
