/* The verifier of kernels, which runs after every pass from `fuse` on and on
 * every text that is read. It works out afresh what the passes worked out. It
 * verifies that
 *
 *   module     has at most four functions, whose names differ; variables have
 *              a valid type and different names
 *   buffers    of one kind have different names; variables' are declared, with
 *              that type; scalars are those of kernel_scalar_name
 *   kernels    have extents of at least 1, a number of iterations that fits
 *              64 bits, and no more instructions than the passes can take
 *   operands   come before the instruction and are no stores; predicates are
 *              i1, indices whole numbers, and the types of an operation are
 *              those that infer_type gives
 *   accesses   have their buffer's type and stay inside it over all extents
 *              and all values that their index can have (max and min bound it),
 *              unless a predicate guards them
 *   stores     depend on parallel dimensions alone; write each element of
 *              their buffer once unless they add; several of a buffer in a
 *              kernel are parts of it, equally far apart, and do not add; none
 *              is of an input or scalar
 *   loads      of a buffer that the same kernel stores (once) are of the same
 *              element, before it is stored; everything else has been filled
 *              by a kernel before, or from outside; the seed is not loaded
 *   reductions are over values that do not depend on a reduction; no value
 *              depends on both a reduction and a reduced dimension
 *   draws      of random numbers find the buffers `step` and `seed`
 *   results    are buffers that have a value, of that type; names differ
 *
 * Stores and loads are in kernel_verify_memory.c, what kernels of a group are to
 * each other in kernel_verify_group.c, schedules and offsets, once there are any,
 * in kernel_verify_plan.c.
 * Does not verify that a predicate keeps an access inside. Repeated names are
 * found by sorting, since a text from outside may hold very many. */
#include "ir/kernel_verify.h"

#include <stdlib.h>
#include <string.h>

/* More would not fit the stacks of the passes. */
enum { MAX_INSTRS = 1 << 16 };

int kcheck_scalar(const char *name) {
  for (int i = 0; i < KERNEL_SCALARS; i++)
    if (!strcmp(name, kernel_scalar_name[i]))
      return i;
  return -1;
}

/* -- names */

/* A thing with a name, for sorting: by kind, name, position. */
typedef struct Named {
  int kind, at;
  const char *name;
} Named;

static int by_name(const void *a, const void *b) {
  const Named *x = a, *y = b;
  if (x->kind != y->kind)
    return x->kind < y->kind ? -1 : 1;
  int order = strcmp(x->name, y->name);
  return order ? order : x->at - y->at;
}

/* Sorts; returns the second of two of one name, or NULL. */
static const Named *find_twice(Named *list, int n) {
  if (n > 0)
    qsort(list, (size_t)n, sizeof *list, by_name);
  for (int i = 1; i < n; i++)
    if (list[i].kind == list[i - 1].kind &&
        !strcmp(list[i].name, list[i - 1].name))
      return &list[i];
  return NULL;
}

int kcheck_var(const KCheck *c, const char *name) {
  int low = 0, high = c->m->n_vars;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (strcmp(c->m->var[c->vars[middle]].name, name) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low < c->m->n_vars && !strcmp(c->m->var[c->vars[low]].name, name)
             ? c->vars[low]
             : -1;
}

static bool check_vars(KCheck *c) {
  int n = c->m->n_vars;
  Named *list = arena_alloc(c->arena, (size_t)n * sizeof *list);
  c->vars = arena_alloc(c->arena, (size_t)n * sizeof *c->vars);
  for (int i = 0; i < n; i++) {
    const Var *v = &c->m->var[i];
    const char *wrong = check_type(c->arena, &v->type);
    c->v.var = i;
    if (wrong)
      KFAIL("variable %s: %s", v->name, wrong);
    list[i] = (Named){.at = i, .name = v->name};
  }
  const Named *twice = find_twice(list, n);
  for (int i = 0; i < n; i++)
    c->vars[i] = list[i].at;
  c->v.var = twice ? twice->at : -1;
  if (twice)
    KFAIL("variable %s is declared twice", twice->name);
  return true;
}

/* -- buffers and results */

static const char *type_text(KCheck *c, const Type *type) {
  Text t;
  text_init(&t, c->arena);
  text_add_type(&t, type);
  return t.s;
}

static bool check_buffer(KCheck *c, int n) {
  const Buffer *b = &c->f->buffer[n];
  const char *wrong = check_type(c->arena, &b->type);
  if (wrong)
    KFAIL("b%d: %s", n, wrong);
  if ((b->kind == BUF_TEMP) != (*b->name == '\0'))
    KFAIL("b%d is a %s %s a name", n, buffer_kind_name[b->kind],
          *b->name ? "with" : "without");
  if (b->local && b->kind != BUF_TEMP)
    KFAIL("b%d is local, but no temporary", n);
  if (b->sample && (b->kind != BUF_INPUT || b->type.rank == 0))
    KFAIL("b%d is no input that has a batch as its first axis", n);
  if (b->kind == BUF_VAR) {
    int v = kcheck_var(c, b->name);
    if (v < 0)
      KFAIL("b%d is variable %s, which is not declared", n, b->name);
    const Type *type = &c->m->var[v].type;
    if (!type_equal(type, &b->type))
      KFAIL("b%d is %s, but variable %s is %s", n, type_text(c, &b->type),
            b->name, type_text(c, type));
  }
  if (b->kind == BUF_SCALAR) {
    Type f64 = type_scalar(T_F64);
    if (kcheck_scalar(b->name) < 0)
      KFAIL("there is no scalar %s", b->name);
    if (!type_equal(&f64, &b->type))
      KFAIL("b%d is a scalar of type %s, not f64[]", n, type_text(c, &b->type));
  }
  return true;
}

static bool check_buffers(KCheck *c) {
  const KFunc *f = c->f;
  Named *list = arena_alloc(c->arena, (size_t)f->n_buffers * sizeof *list);
  int named = 0;
  for (int i = 0; i < f->n_buffers; i++) {
    const Buffer *b = &f->buffer[i];
    c->v.buffer = i;
    if (!check_buffer(c, i))
      return false;
    if (b->kind != BUF_TEMP)
      list[named++] = (Named){.kind = (int)b->kind, .at = i, .name = b->name};
  }
  const Named *twice = find_twice(list, named);
  c->v.buffer = twice ? twice->at : -1;
  if (twice)
    KFAIL("b%d is another %s %s", twice->at, buffer_kind_name[twice->kind],
          twice->name);
  return true;
}

static bool check_results(KCheck *c) {
  const KFunc *f = c->f;
  Named *list = arena_alloc(c->arena, (size_t)f->n_results * sizeof *list);
  for (int i = 0; i < f->n_results; i++) {
    const KResult *r = &f->result[i];
    c->v.result = i;
    if (r->buffer < 0 || r->buffer >= f->n_buffers)
      KFAIL("result %s is in no buffer", r->name);
    const Type *type = &f->buffer[r->buffer].type;
    if (!c->filled[r->buffer])
      KFAIL("result %s is in b%d, which nothing stores", r->name, r->buffer);
    if (!type_equal(&r->type, type))
      KFAIL("result %s is %s, but b%d is %s", r->name, type_text(c, &r->type),
            r->buffer, type_text(c, type));
    if (f->buffer[r->buffer].local)
      KFAIL("result %s is in b%d, which is local", r->name, r->buffer);
    if (r->sample && type->rank == 0)
      KFAIL("result %s has no batch as its first axis", r->name);
    list[i] = (Named){.at = i, .name = r->name};
  }
  const Named *twice = find_twice(list, f->n_results);
  c->v.result = twice ? twice->at : -1;
  if (twice)
    KFAIL("%s is a result twice", twice->name);
  return true;
}

/* -- instructions */

/* Moves one end of the range by so many steps; false if it does not fit. */
static bool add_steps(int64_t step, int64_t extent, int64_t *low,
                      int64_t *high) {
  int64_t span, *end = step < 0 ? low : high;
  return !__builtin_mul_overflow(step, extent - 1, &span) &&
         !__builtin_add_overflow(*end, span, end);
}

bool kcheck_range_in(const Kernel *k, const Affine *a, int64_t *low,
                     int64_t *high) {
  *low = *high = a->base;
  for (int d = 0; d < kernel_dims(k); d++)
    if (!add_steps(a->coef[d], k->extent[d], low, high))
      return false;
  return true;
}

bool kcheck_range(const Kernel *k, const Affine *a, int64_t *low,
                  int64_t *high) {
  return kcheck_range_in(k, a, low, high) &&
         (!k->group || (add_steps(a->part, k->group->parts, low, high) &&
                        add_steps(a->turn, k->group->turns, low, high)));
}

static bool check_affine(KCheck *c, int n, const Affine *a) {
  int64_t low, high;
  for (int d = kernel_dims(c->k); d < MAX_DIMS; d++)
    if (a->coef[d] != 0)
      KFAIL("%%%d steps along dimension %d, which is not there", n, d);
  if (!c->k->group && (a->part != 0 || a->turn != 0))
    KFAIL("%%%d steps along the parts of a group, but stands in none", n);
  if (!kcheck_range(c->k, a, &low, &high))
    KFAIL("%%%d: an index does not fit 64 bits", n);
  return true;
}

/* Operand o: there unless `may_lack`, earlier, and no store. */
static bool check_operand(KCheck *c, int n, int o, bool may_lack) {
  int x = c->k->instr[n].in[o];
  if (x == -1 && may_lack)
    return true;
  if (x < 0 || x >= n)
    KFAIL("operand %d of %%%d does not come before it", o, n);
  if (c->k->instr[x].kop == K_STORE)
    KFAIL("operand %d of %%%d is a store", o, n);
  return true;
}

static bool check_operands(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  bool access = i->kop == K_LOAD || i->kop == K_STORE;
  for (int o = 0; o < instr_operands(i); o++) {
    bool may_lack = access && (o == 1 || i->kop == K_LOAD);
    if (!check_operand(c, n, o, may_lack))
      return false;
  }
  return true;
}

/* Elementwise operations and reductions have the rules of the graph. */
static bool check_op(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  Node node[3], *in[3];
  Attr attr = {.n_axes = 1, .axes = {0}};
  bool reduce = i->kop == K_REDUCE;
  int operands = instr_operands(i);
  for (int o = 0; o < operands; o++) {
    Type t = {c->k->instr[i->in[o]].type, reduce ? 1 : 0, {reduce ? 1 : 0}};
    node[o] = (Node){.type = t};
    in[o] = &node[o];
  }
  Type hint = type_scalar(i->type), out;
  const char *wrong = infer_type(c->arena, i->op, reduce ? &attr : NULL,
                                 operands, in, &hint, &out);
  if (wrong)
    KFAIL("%%%d: %s", n, wrong);
  if (out.dtype != i->type)
    KFAIL("%%%d: %s gives %s, not %s", n, op_info[i->op].text,
          dtype_name[out.dtype], dtype_name[i->type]);
  return true;
}

/* Where the value of an instruction can lie, if it is a whole number. */
static KRange range_of(const KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  const KRange full = i->type == T_U32 ? (KRange){0, UINT32_MAX}
                                       : (KRange){INT32_MIN, INT32_MAX};
  if (i->kop == K_CONST)
    return (KRange){(int64_t)i->value, (int64_t)i->value};
  if (i->kop == K_INDEX) {
    KRange r;
    kcheck_range(c->k, &i->at, &r.low, &r.high);
    return r.low >= full.low && r.high <= full.high ? r : full;
  }
  bool max = i->op == OP_MAX;
  if (i->kop != K_OP || (!max && i->op != OP_MIN))
    return full;
  KRange a = c->range[i->in[0]], b = c->range[i->in[1]];
  return (KRange){(a.low > b.low) == max ? a.low : b.low,
                  (a.high > b.high) == max ? a.high : b.high};
}

static bool add_scaled(int64_t *sum, int64_t value, int64_t scale) {
  return !__builtin_mul_overflow(value, scale, &value) &&
         !__builtin_add_overflow(*sum, value, sum);
}

static bool check_access(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  if (i->buffer < 0 || i->buffer >= c->f->n_buffers)
    KFAIL("%%%d is of buffer %d, which is not there", n, i->buffer);
  const Buffer *b = &c->f->buffer[i->buffer];
  const Instr *index = i->in[1] < 0 ? NULL : &c->k->instr[i->in[1]];
  bool guarded = i->kop == K_LOAD && i->in[0] >= 0;
  if (i->type != b->type.dtype)
    KFAIL("%%%d is %s, but b%d is %s", n, dtype_name[i->type], i->buffer,
          type_text(c, &b->type));
  if (guarded && c->k->instr[i->in[0]].type != T_I1)
    KFAIL("the predicate of %%%d is %s, not i1", n,
          dtype_name[c->k->instr[i->in[0]].type]);
  if (index && index->type != T_I32 && index->type != T_U32)
    KFAIL("the index of %%%d is %s, not a whole number", n,
          dtype_name[index->type]);
  if (index && i->scale < 1)
    KFAIL("the index of %%%d has scale %lld", n, (long long)i->scale);
  int64_t low, high, count = type_count(&b->type);
  kcheck_range(c->k, &i->at, &low, &high);
  if (index && (!add_scaled(&low, c->range[i->in[1]].low, i->scale) ||
                !add_scaled(&high, c->range[i->in[1]].high, i->scale)))
    KFAIL("%%%d: an index does not fit 64 bits", n);
  if (!guarded && (low < 0 || high >= count))
    KFAIL("%%%d reaches elements %lld to %lld of b%d, which has %lld", n,
          (long long)low, (long long)high, i->buffer, (long long)count);
  return true;
}

static bool check_value_of(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  const char *wrong;
  switch (i->kop) {
  case K_LOAD:
    return check_access(c, n);
  case K_STORE:
    if (c->k->instr[i->in[0]].type != i->type)
      KFAIL("%s is stored in b%d, which is %s",
            dtype_name[c->k->instr[i->in[0]].type], i->buffer,
            dtype_name[i->type]);
    return check_access(c, n);
  case K_CONST:
    wrong = check_value(c->arena, i->value, i->type);
    if (wrong)
      KFAIL("%%%d: %s", n, wrong);
    return true;
  case K_INDEX:
    if (i->type == T_I1)
      KFAIL("%%%d: an index is a number, not i1", n);
    return true;
  case K_INRANGE:
    if (i->type != T_I1)
      KFAIL("%%%d: inrange gives i1, not %s", n, dtype_name[i->type]);
    if (i->low >= i->high)
      KFAIL("%%%d: no number is in [%lld, %lld)", n, (long long)i->low,
            (long long)i->high);
    return true;
  case K_RAND:
    c->draws = true;
    if (!dtype_is_float(i->type))
      KFAIL("%%%d: rand gives f32 or f64, not %s", n, dtype_name[i->type]);
    return true;
  case K_OP:
    if (!op_info[i->op].elementwise)
      KFAIL("%%%d: %s is not elementwise", n, op_info[i->op].text);
    return check_op(c, n);
  case K_REDUCE:
    if (i->op != OP_SUM && i->op != OP_RMAX && i->op != OP_ARGMAX)
      KFAIL("%%%d: %s is no reduction of kernels", n, op_info[i->op].text);
    return check_op(c, n);
  }
  KFAIL("%%%d has no operation", n);
}

static bool check_instr(KCheck *c, int n) {
  const Instr *i = &c->k->instr[n];
  c->v.instr = n;
  if ((unsigned)i->kop > K_REDUCE || (unsigned)i->op >= OP_COUNT ||
      (unsigned)i->type >= T_COUNT)
    KFAIL("%%%d has no operation", n);
  if (!check_affine(c, n, &i->at) || !check_affine(c, n, &i->row) ||
      !check_operands(c, n) || !check_value_of(c, n))
    return false;
  if (i->type == T_I32 || i->type == T_U32)
    c->range[n] = range_of(c, n);
  return true;
}

/* -- kernels */

/* Body, reductions and epilogue come in this order. */
static bool check_reductions(KCheck *c) {
  const Kernel *k = c->k;
  bool *after = arena_alloc(c->arena, (size_t)k->n_instrs + 1);
  int64_t points = 1;
  for (int d = k->n_par; d < kernel_dims(k); d++)
    points *= k->extent[d];
  kernel_depends(k, c->depends);
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    c->v.instr = n;
    for (int o = 0; o < instr_operands(i); o++)
      if (i->in[o] >= 0 && after[i->in[o]])
        after[n] = true;
    if (after[n] && i->kop == K_REDUCE)
      KFAIL("%%%d reduces what depends on a reduction", n);
    if (after[n] && c->depends[n] >> k->n_par)
      KFAIL("%%%d depends on a reduction and on a reduced dimension", n);
    if (i->kop == K_REDUCE)
      after[n] = true;
    if (i->kop == K_REDUCE && i->op == OP_ARGMAX && points > INT32_MAX)
      KFAIL("%%%d: the index does not fit i32", n);
  }
  return true;
}

static bool check_dims(KCheck *c) {
  const Kernel *k = c->k;
  int64_t points = 1;
  if (k->n_par < 0 || k->n_red < 0 || k->n_par > MAX_DIMS ||
      k->n_red > MAX_DIMS - k->n_par)
    KFAIL("%d parallel and %d reduced dimensions", k->n_par, k->n_red);
  if (k->group && (k->group->parts < 1 || k->group->turns < 1))
    KFAIL("a group of %lld parts and %lld turns", (long long)k->group->parts,
          (long long)k->group->turns);
  if (k->group &&
      __builtin_mul_overflow(k->group->parts, k->group->turns, &points))
    KFAIL("the number of chunks does not fit 64 bits");
  for (int d = 0; d < kernel_dims(k); d++)
    if (k->extent[d] < 1)
      KFAIL("dimension %d has extent %lld", d, (long long)k->extent[d]);
    else if (__builtin_mul_overflow(points, k->extent[d], &points))
      KFAIL("the number of iterations does not fit 64 bits");
  if (k->n_instrs > MAX_INSTRS)
    KFAIL("more than %d instructions", MAX_INSTRS);
  return true;
}

static bool check_kernel(KCheck *c) {
  const Kernel *k = c->k;
  if (!check_dims(c))
    return false;
  size_t most = (size_t)k->n_instrs + 1;
  c->range = arena_alloc(c->arena, most * sizeof *c->range);
  c->depends = arena_alloc(c->arena, most * sizeof *c->depends);
  for (int n = 0; n < k->n_instrs; n++)
    if (!check_instr(c, n))
      return false;
  if (!check_reductions(c) || !kcheck_memory(c))
    return false;
  c->v.instr = -1;
  return kcheck_schedule(c);
}

/* -- the whole */

static bool check_func(KCheck *c) {
  const KFunc *f = c->f;
  size_t n = (size_t)f->n_buffers + 1;
  c->filled = arena_alloc(c->arena, n * sizeof *c->filled);
  c->store_of = arena_alloc(c->arena, n * sizeof *c->store_of);
  c->owner = arena_alloc(c->arena, n * sizeof *c->owner);
  c->draws = false;
  if (!check_buffers(c))
    return false;
  bool step = false, seed = false;
  for (int i = 0; i < f->n_buffers; i++) {
    const Buffer *b = &f->buffer[i];
    c->store_of[i] = -1;
    c->filled[i] = b->kind != BUF_TEMP;
    step = step || (b->kind == BUF_SCALAR && !strcmp(b->name, "step"));
    seed = seed || (b->kind == BUF_SCALAR && !strcmp(b->name, "seed"));
  }
  for (int i = 0; i < f->n_kernels; i++) {
    c->k = f->kernel[i];
    c->v.kernel = i;
    if (!check_kernel(c) || !kcheck_group(c, i))
      return false;
  }
  c->v.kernel = -1;
  if (c->draws && !(step && seed))
    KFAIL("random numbers need the buffers of the scalars step and seed");
  return check_results(c) && kcheck_plan_func(c);
}

static bool check_module(KCheck *c) {
  const KModule *m = c->m;
  if (m->n_funcs > (int)(sizeof m->func / sizeof *m->func))
    KFAIL("%d functions", m->n_funcs);
  if (!check_vars(c) || !kcheck_plan(c))
    return false;
  for (int i = 0; i < m->n_funcs; i++) {
    c->f = m->func[i];
    c->v.func = i;
    if (kmodule_find(m, c->f->name) != c->f)
      KFAIL("function %s stands twice", c->f->name);
    if (!check_func(c))
      return false;
  }
  return true;
}

KViolation verify_find_kernels(Arena *a, const KModule *m) {
  const KViolation none = {NULL, -1, -1, -1, -1, -1, -1, false};
  KCheck c = {.arena = a, .m = m, .v = none};
  return check_module(&c) ? none : c.v;
}

const char *verify_kmodule(Arena *a, const KModule *m) {
  KViolation v = verify_find_kernels(a, m);
  if (!v.text || v.func < 0)
    return v.text;
  const char *func = m->func[v.func]->name;
  return v.kernel < 0 ? arena_printf(a, "in %s: %s", func, v.text)
                      : arena_printf(a, "in kernel %d of %s: %s", v.kernel,
                                     func, v.text);
}
