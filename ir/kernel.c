/* Building kernels and asking simple questions of them. Instructions are
 * hash-consed by a search from the end: kernels are short. */
#include "ir/kernel.h"

#include <string.h>

const char *const buffer_kind_name[] = {
    [BUF_VAR] = "var",
    [BUF_INPUT] = "input",
    [BUF_SCALAR] = "scalar",
    [BUF_TEMP] = "temp",
};

const char *const kernel_scalar_name[KERNEL_SCALARS] = {
    "step", "epoch", "progress", "count", "plateau", "seed",
};

Kernel *kernel_new(Arena *a) {
  Kernel *k = arena_alloc(a, sizeof *k);
  k->schedule.vec = -1;
  return k;
}

bool affine_equal(const Affine *a, const Affine *b, int dims) {
  if (a->base != b->base || a->part != b->part || a->turn != b->turn)
    return false;
  for (int d = 0; d < dims; d++)
    if (a->coef[d] != b->coef[d]) return false;
  return true;
}

static bool instr_equal(const Instr *x, const Instr *y) {
  return x->kop == y->kop && x->op == y->op && x->type == y->type &&
         x->in[0] == y->in[0] && x->in[1] == y->in[1] && x->in[2] == y->in[2] &&
         x->buffer == y->buffer && x->scale == y->scale && x->low == y->low &&
         x->high == y->high && x->place == y->place &&
         memcmp(&x->value, &y->value, sizeof x->value) == 0 &&
         affine_equal(&x->at, &y->at, MAX_DIMS) &&
         affine_equal(&x->row, &y->row, MAX_DIMS);
}

int kernel_add(Arena *a, Kernel *k, const Instr *i) {
  if (i->kop != K_STORE)
    for (int n = k->n_instrs - 1; n >= 0; n--)
      if (instr_equal(&k->instr[n], i)) return n;
  k->instr = arena_grow(a, k->instr, k->n_instrs, &k->cap_instrs,
                        sizeof *k->instr);
  k->instr[k->n_instrs] = *i;
  return k->n_instrs++;
}

int kfunc_add_buffer(Arena *a, KFunc *f, Buffer b) {
  f->buffer = arena_grow(a, f->buffer, f->n_buffers, &f->cap_buffers,
                         sizeof *f->buffer);
  f->buffer[f->n_buffers] = b;
  return f->n_buffers++;
}

void kfunc_add_kernel(Arena *a, KFunc *f, Kernel *k) {
  f->kernel = arena_grow(a, f->kernel, f->n_kernels, &f->cap_kernels,
                         sizeof *f->kernel);
  f->kernel[f->n_kernels++] = k;
}

bool kfunc_begins_group(const KFunc *f, int i) {
  const Group *g = f->kernel[i]->group;
  return g && (i == 0 || f->kernel[i - 1]->group != g);
}

bool kfunc_ends_group(const KFunc *f, int i) {
  const Group *g = f->kernel[i]->group;
  return g && (i + 1 == f->n_kernels || f->kernel[i + 1]->group != g);
}

KFunc *kmodule_find(const KModule *m, const char *name) {
  for (int i = 0; i < m->n_funcs; i++)
    if (strcmp(m->func[i]->name, name) == 0) return m->func[i];
  return NULL;
}

int instr_operands(const Instr *i) {
  switch (i->kop) {
  case K_LOAD:
  case K_STORE: return 2;
  case K_REDUCE: return 1;
  case K_OP: return op_info[i->op].operands;
  case K_CONST:
  case K_INDEX:
  case K_INRANGE:
  case K_RAND: return 0;
  }
  defect("bad instruction %d", (int)i->kop);
}

static uint32_t affine_dims(const Affine *a) {
  uint32_t bits = 0;
  for (int d = 0; d < MAX_DIMS; d++)
    if (a->coef[d] != 0) bits |= 1u << d;
  return bits;
}

void kernel_depends(const Kernel *k, uint32_t *depends) {
  uint32_t parallel = (1u << k->n_par) - 1;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    depends[n] = affine_dims(&i->at) | affine_dims(&i->row);
    for (int o = 0; o < instr_operands(i); o++)
      if (i->in[o] >= 0) depends[n] |= depends[i->in[o]];
    if (i->kop == K_REDUCE) depends[n] = parallel; /* an accumulator each */
  }
}

void kernel_in_body(const Kernel *k, bool *in_body) {
  uint32_t depends[k->n_instrs + 1];
  kernel_depends(k, depends);
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    in_body[n] = depends[n] >> k->n_par != 0;
    if (i->kop == K_REDUCE && i->in[0] >= 0) in_body[i->in[0]] = true;
  }
}

int64_t kernel_steps(const Kernel *k, const Schedule *s, int dim) {
  int64_t step = s->tile[dim] * (int64_t)(dim == s->vec ? s->lanes : 1);
  return k->extent[dim] / step + (k->extent[dim] % step != 0);
}

int kernel_split_loop(const Kernel *k, const Schedule *s) {
  for (int l = 0; l < k->n_par; l++)
    if (kernel_steps(k, s, s->order[l]) > 1) return l;
  return 0;
}

void kernel_split_dim(Kernel *k, int dim, int64_t inner) {
  int dims = kernel_dims(k);
  if (dims == MAX_DIMS || k->extent[dim] % inner != 0)
    defect("a loop of %lld cannot be split", (long long)k->extent[dim]);
  for (int n = 0; n < k->n_instrs; n++) {
    Affine *both[2] = {&k->instr[n].at, &k->instr[n].row};
    for (int i = 0; i < 2; i++) {
      int64_t *coef = both[i]->coef;
      for (int d = dims; d > dim; d--) coef[d] = coef[d - 1];
      coef[dim] *= inner;
    }
  }
  for (int d = dims; d > dim; d--) k->extent[d] = k->extent[d - 1];
  k->extent[dim] /= inner;
  k->extent[dim + 1] = inner;
  if (dim < k->n_par) k->n_par++;
  else k->n_red++;
}

void kernel_remove_dim(Kernel *k, int dim) {
  int last = kernel_dims(k) - 1;
  for (int n = 0; n < k->n_instrs; n++) {
    Affine *both[2] = {&k->instr[n].at, &k->instr[n].row};
    for (int i = 0; i < 2; i++) {
      int64_t *coef = both[i]->coef;
      for (int d = dim; d < last; d++) coef[d] = coef[d + 1];
      coef[last] = 0;
    }
  }
  for (int d = dim; d < last; d++) k->extent[d] = k->extent[d + 1];
  k->extent[last] = 0;
  if (dim < k->n_par) k->n_par--;
  else k->n_red--;
}

/* Whether y steps as x does, and is nothing but another place. */
static bool is_neighbour(const Instr *x, const Instr *y) {
  if (x->kop != y->kop || x->buffer != y->buffer || y->in[1] >= 0 ||
      (y->kop == K_LOAD && y->in[0] >= 0) || y->accumulate)
    return false;
  Affine at = y->at;
  at.base = x->at.base;
  return affine_equal(&x->at, &at, MAX_DIMS);
}

static bool is_loaded(const Kernel *k, int buffer) {
  for (int i = 0; i < k->n_instrs; i++)
    if (k->instr[i].kop == K_LOAD && k->instr[i].buffer == buffer) return true;
  return false;
}

int kernel_interleaved(const Kernel *k, int vec, int n,
                       int member[KERNEL_SHORT_STRIDE]) {
  const Instr *x = &k->instr[n];
  int64_t stride = vec < 0 || !instr_is_access(x) ? 0 : x->at.coef[vec];
  if (stride < 2 || stride > KERNEL_SHORT_STRIDE || x->type == T_I1 ||
      !is_neighbour(x, x))
    return 0;
  int64_t first = x->at.base;
  for (int i = 0; i < k->n_instrs; i++)
    if (is_neighbour(x, &k->instr[i]) && k->instr[i].at.base < first)
      first = k->instr[i].at.base;
  first += (x->at.base - first) / stride * stride;
  for (int i = 0; i < KERNEL_SHORT_STRIDE; i++) member[i] = -1;
  int members = 0;
  for (int i = 0; i < k->n_instrs; i++) {
    int64_t place = k->instr[i].at.base - first;
    if (!is_neighbour(x, &k->instr[i]) || place < 0 || place >= stride) continue;
    member[place] = i;
    members++;
  }
  bool all = members == stride && !is_loaded(k, x->buffer);
  return x->kop == K_STORE && !all ? 1 : members;
}

int kernel_transposed(const Kernel *k, const Schedule *s, const Instr *i) {
  bool load = i->kop == K_LOAD && i->in[0] < 0;
  bool store = i->kop == K_STORE && !i->accumulate;
  if (k->n_red > 0 || s->vec < 0 || s->lanes < 4 || !(load || store) ||
      i->in[1] >= 0 || i->type == T_F64 || i->at.coef[s->vec] <= KERNEL_SHORT_STRIDE)
    return -1;
  for (int d = 0; d < k->n_par; d++)
    if (d != s->vec && i->at.coef[d] == 1 && s->tile[d] == s->lanes) return d;
  return -1;
}

bool kernel_is_contraction(const Kernel *k) {
  uint32_t depends[k->n_instrs + 1], parallel = (1u << k->n_par) - 1;
  kernel_depends(k, depends);
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_REDUCE || i->op != OP_SUM) continue;
    const Instr *body = &k->instr[i->in[0]];
    if (body->kop != K_OP || body->op != OP_MUL) continue;
    uint32_t x = depends[body->in[0]] & parallel;
    uint32_t y = depends[body->in[1]] & parallel;
    if (x != y) return true; /* each value of one meets several of the other */
  }
  return false;
}
