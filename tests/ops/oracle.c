/* See oracle.h. Values that are drawn come from Philox by name and element: floats
 * in (-1, 1) at multiples of 2^-12, away from 0 for those whose name begins with
 * "pos", integers in [0, 3). */
#include "tests/ops/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "runtime/philox.h"

typedef struct Draw {
  Arena *arena;
  const Oracle *o;
} Draw;

static uint32_t hash(const char *s) {
  uint32_t h = 2166136261u;
  for (; *s != 0; s++) h = (h ^ (unsigned char)*s) * 16777619u;
  return h;
}

static double draw_one(const Draw *d, const char *name, DType t, int64_t i) {
  uint32_t w = philox_word(d->o->seed, hash(name), 0, 0, (uint32_t)i);
  if (strcmp(name, "count") == 0) return 3;
  if (strcmp(name, "step") == 0) return d->o->step;
  if (strcmp(name, "progress") == 0) return 0.375;
  if (t == T_I32 || t == T_U32) return w % 3;
  if (t == T_I1) return w & 1;
  double v = ((double)(w >> 20) - 2047.5) / 2048;
  return strncmp(name, "pos", 3) == 0 ? fabs(v) + 0.25 : v;
}

static const double *value(Draw *d, Op op, const char *name, const Type *t) {
  if (d->o->value != NULL) return d->o->value(d->o->context, op, name);
  int64_t count = type_count(t);
  double *v = arena_alloc(d->arena, (size_t)(count + 1) * sizeof *v);
  for (int64_t i = 0; i < count; i++)
    v[i] = draw_one(d, name, t->dtype, i);
  return v;
}

static const double *leaf(void *context, const Node *n) {
  return value(context, n->op, n->attr.name, &n->type);
}

static void put(char *at, DType t, int64_t i, double v) {
  switch (t) {
  case T_F32: ((float *)(void *)at)[i] = (float)v; break;
  case T_F64: ((double *)(void *)at)[i] = v; break;
  case T_I32: ((int32_t *)(void *)at)[i] = (int32_t)v; break;
  case T_U32: ((uint32_t *)(void *)at)[i] = (uint32_t)v; break;
  case T_I1: at[i] = v != 0; break;
  case T_COUNT: break;
  }
}

static double get(const char *at, DType t, int64_t i) {
  switch (t) {
  case T_F32: return ((const float *)(const void *)at)[i];
  case T_F64: return ((const double *)(const void *)at)[i];
  case T_I32: return ((const int32_t *)(const void *)at)[i];
  case T_U32: return ((const uint32_t *)(const void *)at)[i];
  case T_I1: return at[i];
  case T_COUNT: break;
  }
  return 0;
}

static Op leaf_op(const KModule *m, const Buffer *b) {
  if (b->kind == BUF_INPUT) return OP_INPUT;
  if (b->kind == BUF_SCALAR) return OP_SCALAR;
  for (int i = 0; i < m->n_vars; i++)
    if (strcmp(m->var[i].name, b->name) == 0)
      return m->var[i].kind <= VAR_SCALE ? OP_PARAM : OP_STATE;
  return OP_PARAM;
}

static void fill(char *arena, const KModule *m, const KFunc *f, Draw *d) {
  for (int b = 0; b < f->n_buffers; b++) {
    const Buffer *x = &f->buffer[b];
    if (x->kind == BUF_TEMP) continue;
    if (x->kind == BUF_SCALAR && strcmp(x->name, "seed") == 0) continue;
    const double *v = value(d, leaf_op(m, x), x->name, &x->type);
    for (int64_t i = 0; v != NULL && i < type_count(&x->type); i++)
      put(arena + x->offset, x->type.dtype, i, v[i]);
  }
  memcpy(arena + m->scalars, &d->o->step, sizeof d->o->step);
  memcpy(arena + m->scalars + 40, &d->o->seed, sizeof d->o->seed);
}

static const char *compare(Arena *a, const char *name, const Type *t,
                           const char *at, const double *want, double tol) {
  int64_t n = type_count(t);
  double largest = 0.1; /* sums of terms near 1 may cancel */
  for (int64_t i = 0; i < n; i++)
    if (isfinite(want[i]) && fabs(want[i]) > largest) largest = fabs(want[i]);
  for (int64_t i = 0; i < n; i++) {
    double v = get(at, t->dtype, i);
    if (isnan(v) && isnan(want[i])) continue;
    if (v == want[i] || fabs(v - want[i]) <= tol * largest) continue;
    return arena_printf(a, "%s[%lld]: %.9g, interpreter %.9g (largest %.3g)",
                        name, (long long)i, v, want[i], largest);
  }
  return NULL;
}

static const char *output_place(const KModule *m, const KFunc *f,
                                const Output *o, int64_t *offset) {
  if (o->kind == OUT_RESULT) {
    for (int i = 0; i < f->n_results; i++)
      if (strcmp(f->result[i].name, o->name) == 0) {
        *offset = f->buffer[f->result[i].buffer].offset;
        return NULL;
      }
  }
  for (int i = 0; i < m->n_vars; i++)
    if (strcmp(m->var[i].name, o->name) == 0) {
      *offset = m->var_offset[i];
      return NULL;
    }
  return "an output has no place";
}

char *oracle_arena(Arena *a, const KModule *m, const KFunc *f, const Oracle *o) {
  Draw d = {.arena = a, .o = o};
  char *memory = aligned_alloc(64, (size_t)(m->bytes + 63) / 64 * 64 + 64);
  memset(memory, 0x7f, (size_t)m->bytes);
  fill(memory, m, f, &d);
  return memory;
}

const char *oracle_check(Arena *a, const Graph *g, const KModule *m,
                         const KFunc *f, const char *memory, const Oracle *o) {
  Draw d = {.arena = a, .o = o};
  EvalEnv env = {.context = &d, .leaf = leaf, .seed = o->seed,
                 .step = (uint64_t)o->step};
  double **want = eval_graph(a, g, &env);
  const char *wrong = NULL;
  for (int i = 0; i < g->n_outputs && wrong == NULL; i++) {
    int64_t offset = 0;
    wrong = output_place(m, f, &g->output[i], &offset);
    const Node *n = g->output[i].node;
    if (wrong == NULL)
      wrong = compare(a, arena_printf(a, "%s: %s", g->name, g->output[i].name),
                      &n->type, memory + offset, want[n->id], o->tolerance);
  }
  return wrong;
}

static const char *compare_function(Arena *a, const Graph *g, const KModule *m,
                                    Jit *jit, const Oracle *o) {
  const KFunc *f = kmodule_find(m, g->name);
  char *memory = oracle_arena(a, m, f, o);
  jit_find(jit, g->name)(memory, NULL);
  const char *wrong = oracle_check(a, g, m, f, memory, o);
  free(memory);
  return wrong;
}

const char *oracle_compare(Arena *a, const Module *m, const Oracle *o) {
  const char *error = NULL;
  Target *t = target_new(a, NULL, o->cpu, o->level, &error);
  if (t == NULL) return error;
  Cpu cpu = cpu_find(a, target_cpu(t), target_features(t));
  if (o->lanes > 0) cpu.lanes = o->lanes;
  KModule *k = pass_plan(a, pass_schedule(a, pass_fuse(a, m, false), &cpu, false));
  Jit *jit = jit_new(a, t, k, &error);
  for (int i = 0; jit != NULL && error == NULL && i < m->n_graphs; i++)
    error = compare_function(a, m->graph[i], k, jit, o);
  jit_free(jit);
  target_free(t);
  return error;
}
