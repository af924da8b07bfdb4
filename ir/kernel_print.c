/* The text form of kernels, for the stages fuse, schedule and plan, which
 * kernel_read.c reads back to the same text. What a stage does not know yet is
 * left out: before `schedule` the processor and the schedules, before `plan`
 * the offsets.
 *
 *   kernels cpu=x86-64-v4 scalars=64 bytes=20480
 *   var fc.W weight f32[10,84] at 0
 *   func predict {
 *     buffer b0 input x f32[4,84] sample at 128
 *     buffer b1 var fc.W f32[10,84] at 0
 *     buffer b2 temp f32[4,10] at 1536
 *     kernel 0 [4 10 | 84] {  @ a.net:9:3 fc
 *       schedule order=[0 1 | 2] vector=2x16 tile=[2 2 | 1]
 *       %0 = load b0[84 0 | 1] : f32
 *       %1 = load b1[0 84 | 1] : f32
 *       %2 = mul %0, %1 : f32
 *       %3 = sum %2 : f32
 *       store b2[10 1] = %3
 *     }
 *     result output = b2 sample
 *   }
 *
 * Kernels of a group stand in its braces, and in their affine forms the steps from
 * part to part and from turn to turn stand first:
 *
 *     group parts=4 turns=2 at 4096 bytes=1024 {
 *       kernel 1 [16 10] {
 *         %0 = load b3[320 160; 10 1] : f32
 *
 * Left of `|` stand parallel dimensions, right of it reduced ones: extents in a
 * kernel's line, and below them, for each access, the elements that one step
 * along the dimension moves it. */
#include "ir/kernel.h"

const char *const kop_text[] = {
    [K_LOAD] = "load",   [K_STORE] = "store",     [K_CONST] = "const",
    [K_INDEX] = "index", [K_INRANGE] = "inrange", [K_RAND] = "rand",
    [K_OP] = NULL,       [K_REDUCE] = NULL,
};

static void add_numbers(Text *t, int n, const int64_t *v) {
  for (int i = 0; i < n; i++)
    text_add(t, i ? " %lld" : "%lld", (long long)v[i]);
}

/* `4 10 | 84`: a number for each dimension. */
static void add_dims(Text *t, int n_par, int n_red, const int64_t *v) {
  add_numbers(t, n_par, v);
  if (n_red == 0)
    return;
  text_add(t, n_par ? " | " : "| ");
  add_numbers(t, n_red, v + n_par);
}

/* `[base + part turn; steps + %index * scale]`, without what is 0. The steps along
 * reduced dimensions are left out where all are 0; those along parallel ones stay,
 * so that they stand below the extents. Those of a group stand in its kernels. */
static void add_affine(Text *t, const Kernel *k, const Affine *a, int index,
                       int64_t scale) {
  const char *plus = "";
  int n_red = 0;
  for (int d = k->n_par; d < kernel_dims(k); d++)
    if (a->coef[d] != 0)
      n_red = k->n_red;
  text_add(t, "[");
  if (a->base != 0) {
    text_add(t, "%lld", (long long)a->base);
    plus = " + ";
  }
  if (k->group || k->n_par + n_red > 0) {
    text_add(t, "%s", plus);
    if (k->group)
      text_add(t, "%lld %lld;%s", (long long)a->part, (long long)a->turn,
               k->n_par + n_red > 0 ? " " : "");
    add_dims(t, k->n_par, n_red, a->coef);
    plus = " + ";
  }
  if (index >= 0)
    text_add(t, "%s%%%d * %lld", plus, index, (long long)scale);
  text_add(t, "]");
}

static bool affine_is_zero(const Affine *a) {
  static const Affine zero;
  return affine_equal(a, &zero, MAX_DIMS);
}

static void add_access(Text *t, const Kernel *k, const Instr *i) {
  text_add(t, "b%d", i->buffer);
  add_affine(t, k, &i->at, i->in[1], i->scale);
}

/* What stands right of `%N = ` and left of the type. */
static void add_value(Text *t, const Kernel *k, const Instr *i) {
  text_add(t, "%s",
           i->kop == K_OP || i->kop == K_REDUCE ? op_info[i->op].text
                                                : kop_text[i->kop]);
  switch (i->kop) {
  case K_LOAD:
    text_add(t, " ");
    add_access(t, k, i);
    if (i->in[0] >= 0)
      text_add(t, " if %%%d", i->in[0]);
    break;
  case K_CONST:
    text_add(t, " ");
    text_add_number(t, i->value);
    break;
  case K_INDEX:
    text_add(t, " ");
    add_affine(t, k, &i->at, -1, 0);
    break;
  case K_INRANGE:
    text_add(t, " %lld <= ", (long long)i->low);
    add_affine(t, k, &i->at, -1, 0);
    text_add(t, " < %lld", (long long)i->high);
    break;
  case K_RAND:
    text_add(t, " %u at ", (unsigned)i->place);
    add_affine(t, k, &i->at, -1, 0);
    if (!affine_is_zero(&i->row)) {
      text_add(t, " row ");
      add_affine(t, k, &i->row, -1, 0);
    }
    break;
  case K_OP:
  case K_REDUCE:
    for (int o = 0; o < instr_operands(i); o++)
      text_add(t, "%s%%%d", o ? ", " : " ", i->in[o]);
    break;
  case K_STORE:
    break;
  }
}

static const char *indent(const Kernel *k) { return k->group ? "  " : ""; }

static void add_instr(Text *t, const Kernel *k, int n) {
  const Instr *i = &k->instr[n];
  text_add(t, "%s", indent(k));
  if (i->kop == K_STORE) {
    text_add(t, "    store ");
    add_access(t, k, i);
    text_add(t, " %s %%%d\n", i->accumulate ? "+=" : "=", i->in[0]);
    return;
  }
  text_add(t, "    %%%d = ", n);
  add_value(t, k, i);
  text_add(t, " : %s\n", dtype_name[i->type]);
}

/* Register tiles of one element and a single piece go without saying. */
static void add_schedule(Text *t, const Kernel *k) {
  const Schedule *s = &k->schedule;
  int64_t order[MAX_DIMS], tile[MAX_DIMS];
  bool tiled = false;
  for (int d = 0; d < kernel_dims(k); d++) {
    order[d] = s->order[d];
    tile[d] = s->tile[d];
    tiled = tiled || tile[d] != 1;
  }
  text_add(t, "%s    schedule order=[", indent(k));
  add_dims(t, k->n_par, k->n_red, order);
  text_add(t, "]");
  if (s->vec >= 0)
    text_add(t, " vector=%dx%d", s->vec, s->lanes);
  if (tiled) {
    text_add(t, " tile=[");
    add_dims(t, k->n_par, k->n_red, tile);
    text_add(t, "]");
  }
  if (s->pieces > 1)
    text_add(t, " pieces=%lld", (long long)s->pieces);
  text_add(t, "\n");
}

static void add_kernel(Text *t, const Kernel *k, int number) {
  text_add(t, "%s  kernel %d [", indent(k), number);
  add_dims(t, k->n_par, k->n_red, k->extent);
  text_add(t, "] {");
  text_add_locs(t, k->n_locs, k->locs);
  text_add(t, "\n");
  if (kernel_is_scheduled(k))
    add_schedule(t, k);
  for (int n = 0; n < k->n_instrs; n++)
    add_instr(t, k, n);
  text_add(t, "%s  }\n", indent(k));
}

static void add_offset(Text *t, int64_t offset) {
  if (offset >= 0)
    text_add(t, " at %lld", (long long)offset);
}

static void add_buffer(Text *t, const Buffer *b, int number) {
  text_add(t, "  buffer b%d %s ", number, buffer_kind_name[b->kind]);
  if (b->kind != BUF_TEMP) {
    text_add_name(t, b->name);
    text_add(t, " ");
  }
  text_add_type(t, &b->type);
  if (b->sample)
    text_add(t, " sample");
  if (b->local)
    text_add(t, " local");
  add_offset(t, b->offset);
  text_add(t, "\n");
}

static void add_group(Text *t, const Group *g) {
  text_add(t, "  group parts=%lld turns=%lld", (long long)g->parts,
           (long long)g->turns);
  if (g->offset >= 0)
    text_add(t, " at %lld bytes=%lld", (long long)g->offset,
             (long long)g->bytes);
  text_add(t, " {\n");
}

static void add_func(Text *t, const KFunc *f) {
  text_add(t, "func ");
  text_add_name(t, f->name);
  text_add(t, " {\n");
  for (int i = 0; i < f->n_buffers; i++)
    add_buffer(t, &f->buffer[i], i);
  for (int i = 0; i < f->n_kernels; i++) {
    const Kernel *k = f->kernel[i];
    if (kfunc_begins_group(f, i))
      add_group(t, k->group);
    add_kernel(t, k, i);
    if (kfunc_ends_group(f, i))
      text_add(t, "  }\n");
  }
  for (int i = 0; i < f->n_results; i++) {
    const KResult *r = &f->result[i];
    text_add(t, "  result ");
    text_add_name(t, r->name);
    text_add(t, " = b%d%s\n", r->buffer, r->sample ? " sample" : "");
  }
  text_add(t, "}\n");
}

void print_kmodule(Text *t, const KModule *m) {
  text_add(t, "kernels");
  if (m->limit > 0)
    text_add(t, " limit=%lld", (long long)m->limit);
  if (m->cpu) {
    text_add(t, " cpu=");
    text_add_name(t, m->cpu);
  }
  if (m->bytes >= 0)
    text_add(t, " scalars=%lld bytes=%lld", (long long)m->scalars,
             (long long)m->bytes);
  text_add(t, "\n");
  for (int i = 0; i < m->n_vars; i++) {
    const Var *v = &m->var[i];
    text_add(t, "var ");
    text_add_name(t, v->name);
    text_add(t, " %s ", var_kind_name[v->kind]);
    text_add_type(t, &v->type);
    add_offset(t, m->var_offset[i]);
    text_add(t, "\n");
  }
  for (int i = 0; i < m->n_funcs; i++)
    add_func(t, m->func[i]);
}
