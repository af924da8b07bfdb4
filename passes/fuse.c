/* The pass `fuse`: from a graph to kernels.
 *
 * First it is decided which nodes get a buffer ("are materialised"): outputs,
 * random numbers, reductions that several read, and whatever would cost more to
 * compute twice than to store. Then a kernel is built for each of them, from the
 * node upwards: views become index maps, elementwise nodes become instructions,
 * at most one reduction becomes the kernel's core, and other materialised nodes
 * become loads. Where that meets something that does not fit (a reshape that is
 * not affine, a second reduction), the node in question is materialised too and
 * the function is built again.
 *
 * All buffers are contiguous in row-major order; a permute or reshape at a
 * kernel's root is folded into its store. An overlap-add is a store that adds,
 * into a buffer that a kernel before it fills with zeros. */
#include "passes/fuse.h"

#include <string.h>

#include "passes/passes.h"

/* An elementwise node of up to this many instructions is computed again by each
 * of its readers. */
enum { CHEAP = 2, COSTLY = 10, REDUCTION = 1000, COST_LIMIT = 1000000 };

bool fuse_is_leaf(const Node *n) {
  return n->op == OP_PARAM || n->op == OP_STATE || n->op == OP_INPUT ||
         n->op == OP_SCALAR;
}

static bool passes_through(const Node *n) {
  return op_info[n->op].view && n->op != OP_CONCAT && n->op != OP_GATHER;
}

static void count_uses(Fuse *s) {
  for (int i = 0; i < s->g->n_outputs; i++)
    s->users[s->g->output[i].node->id] = 2; /* not by one node alone */
  for (int i = 0; i < s->g->n_nodes; i++) {
    const Node *n = s->g->node[i];
    for (int o = 0; o < n->n_in; o++) {
      s->users[n->in[o]->id]++;
      s->user[n->in[o]->id] = n;
    }
    if (passes_through(n)) continue;
    for (int o = 0; o < n->n_in; o++) {
      const Node *x = n->in[o];
      while (passes_through(x)) x = x->in[0];
      s->uses[x->id]++;
    }
  }
}

static int cost_of(const Fuse *s, const Node *n) {
  const OpInfo *info = &op_info[n->op];
  if (info->leaf) return 0;
  int cost = info->reduces       ? REDUCTION
             : info->costly      ? COSTLY
             : info->elementwise ? 1
                                 : 0;
  for (int o = 0; o < n->n_in; o++)
    if (!s->mat[n->in[o]->id]) cost += s->cost[n->in[o]->id];
  return cost < COST_LIMIT ? cost : COST_LIMIT;
}

/* Where a shared node's buffer goes: behind the permutes and reshapes that all its
 * readers see it through, so that the kernel stores in their order. A concat keeps
 * its own, in which whoever made it put its parts. */
static const Node *behind_views(const Fuse *s, const Node *n) {
  bool keeps = n->op == OP_CONCAT;
  for (;;) {
    const Node *user = s->user[n->id];
    if (s->users[n->id] != 1 ||
        (user->op != OP_RESHAPE && (user->op != OP_PERMUTE || keeps)))
      return n;
    n = user;
  }
}

static bool is_one_number(const Node *n) {
  while (n->op == OP_BROADCAST || n->op == OP_CAST) n = n->in[0];
  return n->op == OP_CONST || n->type.rank == 0;
}

/* Where random numbers are kept: as what the one node after the other makes of them
 * that reads nothing but numbers beside; the outcome of a comparison as it is, a byte
 * each. */
static const Node *drawn_as(const Fuse *s, const Node *rand) {
  const Node *n = rand;
  while (s->users[n->id] == 1 && n->type.dtype != T_I1) {
    const Node *user = s->user[n->id];
    bool alone = op_info[user->op].elementwise;
    for (int o = 0; o < user->n_in; o++)
      alone = alone && (user->in[o] == n || is_one_number(user->in[o]));
    if (!alone) break;
    n = user;
  }
  return n;
}

/* An overlap-add has a buffer, or if nobody reads it but a pad with zeros, that one:
 * zeros are filled in anyway. */
static const Node *folded_as(const Fuse *s, const Node *fold) {
  const Node *user = s->user[fold->id];
  bool padded = s->users[fold->id] == 1 && user->op == OP_PAD && user->attr.value == 0;
  return padded ? user : fold;
}

/* Which nodes are materialised, as far as that can be told beforehand. */
static void choose(Fuse *s) {
  for (int i = 0; i < s->g->n_outputs; i++) {
    const Node *n = s->g->output[i].node;
    if (!fuse_is_leaf(n)) s->mat[n->id] = true;
  }
  for (int i = 0; i < s->g->n_nodes; i++) {
    const Node *n = s->g->node[i];
    const OpInfo *info = &op_info[n->op];
    s->cost[i] = cost_of(s, n);
    bool shared = s->uses[i] > 1 &&
                  (info->reduces || (info->elementwise && s->cost[i] > CHEAP));
    if (n->op == OP_FOLD) s->mat[folded_as(s, n)->id] = true;
    else if (shared) s->mat[behind_views(s, n)->id] = true;
    for (int o = 0; o < n->n_in && n->op == OP_DOT && n->attr.num[1] > 0; o++) {
      const Node *x = fuse_operand(s, n->in[o]);
      if (x != NULL) s->mat[x->id] = true;
    }
    if (n->op == OP_RAND) s->mat[drawn_as(s, n)->id] = true;
    if (n->op == OP_SCATTER) s->mat[i] = true;
    if (n->op == OP_CONCAT && s->cost[i] > CHEAP * n->n_in)
      s->mat[behind_views(s, n)->id] = true;
    /* one overlap-add does for both axes of a picture */
    if (n->op == OP_FOLD && n->in[0]->op == OP_FOLD && s->uses[n->in[0]->id] == 1)
      s->mat[n->in[0]->id] = false;
  }
}

static BufferKind leaf_kind(const Node *n) {
  return n->op == OP_INPUT    ? BUF_INPUT
         : n->op == OP_SCALAR ? BUF_SCALAR
                              : BUF_VAR;
}

/* Random numbers read the step and the seed. */
static void add_scalar(Fuse *s, const char *name) {
  for (int i = 0; i < s->f->n_buffers; i++)
    if (s->f->buffer[i].kind == BUF_SCALAR &&
        strcmp(s->f->buffer[i].name, name) == 0)
      return;
  Buffer b = {.kind = BUF_SCALAR, .name = name, .type = type_scalar(T_F64),
              .offset = -1};
  kfunc_add_buffer(s->arena, s->f, b);
}

/* Buffers of leaves and of materialised nodes. The new value of a variable has a
 * buffer of the variable's name too: fuse_order makes the two one. */
static void make_buffers(Fuse *s) {
  for (int i = 0; i < s->g->n_nodes; i++) {
    const Node *n = s->g->node[i];
    s->buffer[i] = -1;
    if (!fuse_is_leaf(n) && !s->mat[i]) continue;
    Buffer b = {.kind = BUF_TEMP, .name = "", .type = n->type, .offset = -1};
    if (fuse_is_leaf(n)) {
      b.kind = leaf_kind(n);
      b.name = n->attr.name;
      b.sample = n->op == OP_INPUT && n->attr.num[0] != 0;
    }
    s->buffer[i] = kfunc_add_buffer(s->arena, s->f, b);
  }
  for (int i = 0; i < s->g->n_nodes; i++) {
    if (s->g->node[i]->op != OP_RAND) continue;
    add_scalar(s, "step");
    add_scalar(s, "seed");
  }
}

static void add_locs(Kernel *k, Arena *a, const Node *n) {
  for (int i = 0; i < n->n_locs; i++) {
    bool known = false;
    for (int j = 0; j < k->n_locs; j++)
      known |= k->locs[j].line == n->locs[i].line &&
               k->locs[j].column == n->locs[i].column &&
               strcmp(k->locs[j].file, n->locs[i].file) == 0;
    if (known || k->n_locs == MAX_LOCS) continue;
    if (k->locs == NULL) k->locs = arena_alloc(a, MAX_LOCS * sizeof *k->locs);
    k->locs[k->n_locs++] = n->locs[i];
  }
}

/* Carries the strides of a reshape's result over to its operand's axes. False if
 * an operand's axis would need two different strides. */
static bool reshape_strides(const Type *result, const int64_t *rs,
                            const Type *operand, int64_t *os) {
  int r = result->rank - 1;
  int64_t left = r >= 0 ? result->dim[r] : 1; /* of axis r, not yet used */
  int64_t stride = r >= 0 ? rs[r] : 1;
  for (int o = operand->rank - 1; o >= 0; o--) {
    int64_t need = operand->dim[o];
    os[o] = 0;
    if (need == 1) continue;
    while (left == 1 && r > 0) {
      r--;
      left = result->dim[r];
      stride = rs[r];
    }
    os[o] = stride;
    while (need > 1) {
      if (left >= need) {
        if (left % need != 0) return false;
        left /= need;
        stride *= need;
        break;
      }
      if (need % left != 0 || r == 0) return false;
      need /= left;
      int64_t next = stride * left;
      do r--;
      while (r > 0 && result->dim[r] == 1);
      left = result->dim[r];
      stride = rs[r];
      if (need > 1 && stride != next) return false;
    }
  }
  return true;
}

/* The store of a root: into the root's buffer, seen from the axes of `n`. */
typedef struct Root {
  const Node *n;
  int64_t base, stride[MAX_RANK];
  bool accumulate;
} Root;

/* Moves the root's iteration down through one permute, reshape or fold. */
static bool peel(const Fuse *s, Root *root) {
  const Node *n = root->n, *x = n->n_in > 0 ? n->in[0] : NULL;
  int64_t stride[MAX_RANK] = {0};
  if (n->op == OP_FOLD) {
    int axis = (int)n->attr.num[0];
    for (int i = 0; i < n->type.rank; i++) stride[i] = root->stride[i];
    stride[n->type.rank] = stride[axis] * n->attr.num[2];
    stride[axis] *= n->attr.num[1];
    root->accumulate = true;
  } else if (n->op == OP_PAD && x->op == OP_FOLD && !s->mat[x->id]) {
    memcpy(stride, root->stride, sizeof stride);
    root->base += stride[n->attr.num[0]] * n->attr.num[1];
  } else if (n->op == OP_PERMUTE && !s->mat[x->id] && !fuse_is_leaf(x)) {
    for (int i = 0; i < n->type.rank; i++)
      stride[n->attr.axes[i]] = root->stride[i];
  } else if (n->op != OP_RESHAPE || s->mat[x->id] || fuse_is_leaf(x) ||
             !reshape_strides(&n->type, root->stride, &x->type, stride)) {
    return false;
  }
  memcpy(root->stride, stride, sizeof stride);
  root->n = x;
  return true;
}

static void row_major(const Type *t, int64_t *stride) {
  int64_t step = 1;
  for (int i = t->rank - 1; i >= 0; i--) {
    stride[i] = step;
    step *= t->dim[i];
  }
}

static void begin_kernel(Fuse *s, const Type *shape) {
  s->k = kernel_new(s->arena);
  s->k->instr = s->instr; /* room that kernels use one after the other */
  s->k->cap_instrs = s->cap_instrs;
  s->core = NULL;
  s->in_body = false;
  s->n_memo = 0;
  s->k->n_par = shape->rank;
  for (int i = 0; i < shape->rank; i++) s->k->extent[i] = shape->dim[i];
}

/* Adds the kernel at hand to the function. */
static void end_kernel(Fuse *s) {
  Kernel *k = s->k;
  s->instr = k->instr;
  s->cap_instrs = k->cap_instrs;
  k->cap_instrs = k->n_instrs;
  k->instr = arena_alloc(s->arena, (size_t)k->n_instrs * sizeof *k->instr);
  memcpy(k->instr, s->instr, (size_t)k->n_instrs * sizeof *k->instr);
  kfunc_add_kernel(s->arena, s->f, k);
}

static void store(Fuse *s, int buffer, DType type, Affine at, int value,
                  bool accumulate) {
  Instr i = {.kop = K_STORE, .type = type, .in = {value, -1, -1},
             .buffer = buffer, .at = at, .accumulate = accumulate};
  kernel_add(s->arena, s->k, &i);
}

static void zero_kernel(Fuse *s, const Node *n) {
  Type flat = type_of(n->type.dtype, 1, (int64_t[]){type_count(&n->type)});
  begin_kernel(s, &flat);
  Instr zero = {.kop = K_CONST, .type = n->type.dtype, .in = {-1, -1, -1}};
  Affine at = {.coef = {1}};
  int value = kernel_add(s->arena, s->k, &zero);
  store(s, s->buffer[n->id], n->type.dtype, at, value, false);
  add_locs(s->k, s->arena, n);
  end_kernel(s);
}

/* scatter: adds each element of the adjoint at the row that the index names. */
static void scatter_kernel(Fuse *s, const Node *n) {
  const Node *dy = n->in[0], *index = n->in[1];
  int batch = (int)n->attr.num[0], places = index->type.rank;
  int64_t stride[MAX_RANK];
  row_major(&n->type, stride);
  begin_kernel(s, &dy->type);
  Affine idx[MAX_RANK] = {0}, at = {0};
  for (int i = 0; i < dy->type.rank; i++) {
    idx[i].coef[i] = 1;
    if (i < batch) at.coef[i] = stride[i];
    if (i >= places) at.coef[i] = stride[i - places + batch + 1];
  }
  Instr i = {.kop = K_STORE, .type = n->type.dtype, .buffer = s->buffer[n->id],
             .at = at, .accumulate = true, .scale = stride[batch]};
  i.in[0] = fuse_emit(s, dy, idx, -1);
  i.in[1] = fuse_clamp(s, fuse_emit(s, index, idx, -1), n->type.dim[batch]);
  i.in[2] = -1;
  kernel_add(s->arena, s->k, &i);
}

/* Parts of one shape that lie side by side: one kernel computes and stores all. */
static bool is_row_of_parts(const Root *root) {
  const Node *n = root->n;
  if (n->op != OP_CONCAT || root->accumulate) return false;
  for (int i = 1; i < n->n_in; i++)
    if (!type_equal(&n->in[i]->type, &n->in[0]->type)) return false;
  return true;
}

/* The parts side by side, or the one value. */
static void store_root(Fuse *s, const Root *root, int buffer, DType type) {
  const Node *n = root->n;
  bool parts = is_row_of_parts(root);
  int axis = parts ? (int)n->attr.num[0] : 0;
  const Type *shape = parts ? &n->in[0]->type : &n->type;
  begin_kernel(s, shape);
  Affine idx[MAX_RANK] = {0}, at = {.base = root->base};
  for (int i = 0; i < shape->rank; i++) {
    idx[i].coef[i] = 1;
    at.coef[i] = root->stride[i];
  }
  for (int i = 0; i < (parts ? n->n_in : 1); i++) {
    int value = fuse_emit(s, parts ? n->in[i] : n, idx, -1);
    store(s, buffer, type, at, value, root->accumulate);
    if (parts) at.base += root->stride[axis] * shape->dim[axis];
  }
}

static void root_kernel(Fuse *s, const Node *n) {
  Root root = {.n = n};
  row_major(&n->type, root.stride);
  while (peel(s, &root)) {}
  if (root.accumulate || n->op == OP_SCATTER) zero_kernel(s, n);
  if (n->op == OP_SCATTER) {
    scatter_kernel(s, n);
  } else {
    s->self = root.n == n ? n : NULL;
    store_root(s, &root, s->buffer[n->id], n->type.dtype);
    s->self = NULL;
  }
  add_locs(s->k, s->arena, n);
  if (s->core != NULL) add_locs(s->k, s->arena, s->core);
  end_kernel(s);
}

/* A kernel that copies one buffer to another of the same shape. */
static void copy_kernel(Fuse *s, int from, int to) {
  DType type = s->f->buffer[to].type.dtype;
  Type flat = type_of(type, 1, (int64_t[]){type_count(&s->f->buffer[to].type)});
  begin_kernel(s, &flat);
  Affine at = {.coef = {1}};
  Instr load = {.kop = K_LOAD, .type = type, .in = {-1, -1, -1},
                .buffer = from, .at = at};
  int value = kernel_add(s->arena, s->k, &load);
  store(s, to, type, at, value, false);
  end_kernel(s);
}

/* Gives outputs their buffers: the first update of a node is computed in the
 * variable's place; a second, or one of a leaf, is copied. */
static void bind_outputs(Fuse *s) {
  for (int i = 0; i < s->g->n_outputs; i++) {
    const Output *o = &s->g->output[i];
    int from = s->buffer[o->node->id];
    Buffer *b = &s->f->buffer[from];
    bool direct = !fuse_is_leaf(o->node) && b->kind == BUF_TEMP;
    if (o->kind != OUT_RESULT && direct) {
      b->kind = BUF_VAR;
      b->name = o->name;
      continue;
    }
    int to = from;
    if (fuse_is_leaf(o->node) || b->kind == BUF_VAR ||
        o->kind != OUT_RESULT) {
      Buffer copy = {.kind = o->kind == OUT_RESULT ? BUF_TEMP : BUF_VAR,
                     .name = o->kind == OUT_RESULT ? "" : o->name,
                     .type = o->node->type, .offset = -1};
      to = kfunc_add_buffer(s->arena, s->f, copy);
      copy_kernel(s, from, to);
    }
    if (o->kind != OUT_RESULT) continue;
    KFunc *f = s->f;
    f->result = arena_grow(s->arena, f->result, f->n_results, &f->cap_results,
                           sizeof *f->result);
    f->result[f->n_results++] =
        (KResult){.name = o->name, .buffer = to, .type = o->node->type};
  }
}

static KFunc *build(Fuse *s) {
  s->f = arena_alloc(s->arena, sizeof *s->f);
  s->f->name = s->g->name;
  s->again = false;
  make_buffers(s);
  for (int i = 0; i < s->g->n_nodes; i++)
    if (s->mat[i]) root_kernel(s, s->g->node[i]);
  bind_outputs(s);
  return s->f;
}

static Graph *rewritten(Arena *a, const Graph *g, bool direct) {
  Graph *r = fuse_slices(a, fuse_folds(a, g));
  return fuse_pads(a, direct ? r : fuse_winograd(a, r));
}

static KFunc *fuse_graph(Arena *a, const Graph *from, bool direct) {
  const Graph *g = rewritten(a, from, direct);
  size_t n = (size_t)g->n_nodes + 1;
  Fuse s = {.arena = a, .g = g};
  s.uses = arena_alloc(a, n * sizeof *s.uses);
  s.users = arena_alloc(a, n * sizeof *s.users);
  s.user = arena_alloc(a, n * sizeof *s.user);
  s.cost = arena_alloc(a, n * sizeof *s.cost);
  s.mat = arena_alloc(a, n * sizeof *s.mat);
  s.buffer = arena_alloc(a, n * sizeof *s.buffer);
  count_uses(&s);
  choose(&s);
  KFunc *f = NULL;
  do { /* what was built in vain is freed */
    if (f != NULL) arena_free(s.arena);
    s.arena = arena_new();
    s.memo = NULL;
    s.instr = NULL;
    s.cap_memo = s.cap_instrs = 0;
    f = build(&s);
  } while (s.again);
  arena_adopt(a, s.arena);
  fuse_order(a, f);
  fuse_merge(a, f);
  return f;
}

typedef struct Task {
  const Module *from;
  bool direct;
} Task;

static KFunc *fuse_function(Arena *a, const void *context, int i) {
  const Task *t = context;
  return fuse_graph(a, t->from->graph[i], t->direct);
}

KModule *pass_fuse(Arena *a, const Module *m, bool direct) {
  KModule *k = arena_alloc(a, sizeof *k);
  *k = (KModule){.arena = a, .n_vars = m->n_vars, .var = m->var,
                 .limit = m->limit, .limit_at = m->limit_at, .scalars = -1, .bytes = -1};
  k->var_offset = arena_alloc(a, (size_t)(m->n_vars + 1) * sizeof(int64_t));
  for (int i = 0; i < m->n_vars; i++) k->var_offset[i] = -1;
  make_functions(a, m->n_graphs, fuse_function, &(Task){m, direct}, k->func);
  k->n_funcs = m->n_graphs;
  return k;
}
