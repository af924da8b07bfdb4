/* The pass `plan`: where in the arena each buffer lies. Variables come first and
 * are shared by all functions; then the scalars; then, over one another, since one
 * function runs at a time, what each function needs. Inside a function a buffer
 * lives from the kernel that first stores it to the last that touches it (inputs
 * from the start, results to the end); buffers that do not live at one time may
 * share bytes. Large ones are placed first, each at the lowest offset that is
 * free.
 *
 * A group of kernels is one moment for the buffers that its parts share. What is
 * local to it is placed in the same way among itself, kernel by kernel; all that
 * stands once for each part, and lives as long as the group. */
#include <stdlib.h>
#include <string.h>

#include "passes/plan.h"

enum { ALIGN = 64 };

static int64_t align_up(int64_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

static int64_t bytes_of(const Type *t) {
  return align_up(type_count(t) * dtype_size[t->dtype]);
}

static int64_t place_vars(KModule *m) {
  int64_t end = 0;
  for (int i = 0; i < m->n_vars; i++) {
    m->var_offset[i] = end;
    end += bytes_of(&m->var[i].type);
  }
  return end;
}

static int64_t fixed_offset(const KModule *m, const Buffer *b) {
  if (b->kind == BUF_SCALAR)
    for (int i = 0; i < KERNEL_SCALARS; i++)
      if (strcmp(b->name, kernel_scalar_name[i]) == 0) return m->scalars + 8 * i;
  if (b->kind == BUF_VAR)
    for (int i = 0; i < m->n_vars; i++)
      if (strcmp(b->name, m->var[i].name) == 0) return m->var_offset[i];
  defect("no place for %s %s", buffer_kind_name[b->kind], b->name);
}

/* The kernels from `first` to the last of its group; alone it is its own. */
static int last_of_group(const KFunc *f, int first) {
  int last = first;
  while (f->kernel[first]->group && !kfunc_ends_group(f, last)) last++;
  return last;
}

/* The kernel touches its buffers; those that are not local as long as from `first`
 * to `last`. */
static void touch(const KFunc *f, int kernel, int first, int last, Life *life) {
  const Kernel *k = f->kernel[kernel];
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *x = &k->instr[n];
    if (x->kop != K_LOAD && x->kop != K_STORE) continue;
    Life *l = &life[x->buffer];
    bool local = f->buffer[x->buffer].local;
    if ((local ? kernel : first) < l->first) l->first = local ? kernel : first;
    l->last = local ? kernel : last;
  }
}

Life *plan_lives(Arena *a, const KFunc *f) {
  Life *life = arena_alloc(a, (size_t)(f->n_buffers + 1) * sizeof *life);
  for (int b = 0; b < f->n_buffers; b++)
    life[b] = (Life){.buffer = b, .first = f->n_kernels, .last = -1,
                     .bytes = bytes_of(&f->buffer[b].type)};
  for (int i = 0, last = -1; i < f->n_kernels; i = last + 1) {
    last = last_of_group(f, i);
    for (int k = i; k <= last; k++) touch(f, k, i, last, life);
  }
  for (int b = 0; b < f->n_buffers; b++)
    if (f->buffer[b].kind == BUF_INPUT) life[b].first = -1;
  for (int i = 0; i < f->n_results; i++)
    life[f->result[i].buffer].last = f->n_kernels;
  return life;
}

static int by_size(const void *x, const void *y) {
  const Life *a = x, *b = y;
  if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
  return a->buffer - b->buffer;
}

/* What is placed so far, and where. */
typedef struct Placed {
  int n;
  Life *life;
  int64_t *at;
} Placed;

/* The lowest offset from `start` at which `l` meets none of those placed. */
static int64_t lowest_free(const Placed *p, const Life *l, int64_t start) {
  int64_t at = start;
  for (bool moved = true; moved;) {
    moved = false;
    for (int i = 0; i < p->n; i++) {
      const Life *x = &p->life[i];
      int64_t low = p->at[i], high = low + x->bytes;
      bool together = x->first <= l->last && l->first <= x->last;
      if (!together || at >= high || at + l->bytes <= low) continue;
      at = high;
      moved = true;
    }
  }
  return at;
}

/* Places n lives from `start` on; returns where they end. */
static int64_t place(Arena *a, Life *life, int n, int64_t start, Placed *p) {
  qsort(life, (size_t)n, sizeof *life, by_size);
  *p = (Placed){.life = life};
  p->at = arena_alloc(a, (size_t)(n + 1) * sizeof *p->at);
  int64_t end = start;
  for (; p->n < n; p->n++) {
    int64_t at = lowest_free(p, &life[p->n], start);
    p->at[p->n] = at;
    if (at + life[p->n].bytes > end) end = at + life[p->n].bytes;
  }
  return end;
}

/* The group of which kernels [first, last] are, with its local buffers placed from
 * 0 on, and a life for what they take together. */
static Group *place_local(Arena *a, KFunc *f, int first, int last,
                          const Life *all, Life *whole) {
  Life *life = arena_alloc(a, (size_t)(f->n_buffers + 1) * sizeof *life);
  Placed p;
  int n = 0;
  for (int b = 0; b < f->n_buffers; b++)
    if (f->buffer[b].local && all[b].first >= first && all[b].last <= last)
      life[n++] = all[b];
  Group *g = arena_alloc(a, sizeof *g);
  *g = *f->kernel[first]->group;
  g->bytes = place(a, life, n, 0, &p);
  for (int i = 0; i < n; i++) f->buffer[life[i].buffer].offset = p.at[i];
  *whole = (Life){.buffer = -1 - first, .first = first, .last = last,
                  .bytes = g->bytes * g->parts};
  return g;
}

/* Kernels [first, last] belong to `g`, whose place is now known. */
static void settle_group(Arena *a, KFunc *f, int first, int last, Group *g,
                         int64_t at, const Life *all) {
  g->offset = at;
  for (int b = 0; b < f->n_buffers; b++)
    if (f->buffer[b].local && all[b].first >= first && all[b].last <= last)
      f->buffer[b].offset += at;
  for (int i = first; i <= last; i++) {
    Kernel *k = arena_alloc(a, sizeof *k);
    *k = *f->kernel[i];
    k->group = g;
    f->kernel[i] = k;
  }
}

/* Returns the end of the function's part of the arena. */
static int64_t place_func(Arena *a, const KModule *m, KFunc *f, int64_t start) {
  const Life *all = plan_lives(a, f);
  size_t most = (size_t)f->n_buffers + (size_t)f->n_kernels + 1;
  Life *life = arena_alloc(a, most * sizeof *life);
  Group **group = arena_alloc(a, most * sizeof *group);
  Placed p;
  int n = 0;
  for (int b = 0; b < f->n_buffers; b++) {
    if (plan_is_fixed(&f->buffer[b]))
      f->buffer[b].offset = fixed_offset(m, &f->buffer[b]);
    else if (!f->buffer[b].local)
      life[n++] = all[b];
  }
  for (int i = 0; i < f->n_kernels; i++)
    if (kfunc_begins_group(f, i))
      group[i] = place_local(a, f, i, last_of_group(f, i), all, &life[n++]);
  int64_t end = place(a, life, n, start, &p);
  for (int i = 0; i < n; i++) {
    int first = -1 - life[i].buffer;
    if (first < 0) f->buffer[life[i].buffer].offset = p.at[i];
    else settle_group(a, f, first, last_of_group(f, first), group[first],
                      p.at[i], all);
  }
  return end;
}

KModule *pass_plan(Arena *a, const KModule *m) {
  KModule *out = arena_alloc(a, sizeof *out);
  *out = *m;
  out->var_offset = arena_alloc(a, (size_t)(m->n_vars + 1) * sizeof(int64_t));
  out->scalars = place_vars(out);
  int64_t start = out->scalars + align_up(8 * KERNEL_SCALARS);
  out->bytes = start;
  for (int i = 0; i < m->n_funcs; i++) {
    KFunc *f = arena_alloc(a, sizeof *f);
    *f = *m->func[i];
    out->func[i] = f;
    f->kernel = arena_alloc(a, (size_t)(f->n_kernels + 1) * sizeof *f->kernel);
    for (int k = 0; k < f->n_kernels; k++) f->kernel[k] = m->func[i]->kernel[k];
    f->buffer = arena_alloc(a, (size_t)(f->n_buffers + 1) * sizeof *f->buffer);
    if (f->n_buffers > 0)
      memcpy(f->buffer, m->func[i]->buffer,
             (size_t)f->n_buffers * sizeof *f->buffer);
    int64_t end = place_func(a, out, f, start);
    if (end > out->bytes) out->bytes = end;
  }
  return out;
}

int64_t plan_bytes(Arena *a, const KModule *m, KFunc *f) {
  KModule one = *m;
  one.n_funcs = 1;
  one.func[0] = f;
  return pass_plan(a, &one)->bytes;
}
