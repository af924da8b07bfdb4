/* The pass `plan`: where in the arena each buffer lies. Variables come first and
 * are shared by all functions; then the scalars; then, over one another, since one
 * function runs at a time, what each function needs. Inside a function a buffer
 * lives from the kernel that first stores it to the last that touches it (inputs
 * from the start, results to the end); buffers that do not live at one time may
 * share bytes. Large ones are placed first, each at the lowest offset that is
 * free. */
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

Life *plan_lives(Arena *a, const KFunc *f) {
  Life *life = arena_alloc(a, (size_t)(f->n_buffers + 1) * sizeof *life);
  for (int b = 0; b < f->n_buffers; b++)
    life[b] = (Life){.buffer = b, .first = f->n_kernels, .last = -1,
                     .bytes = bytes_of(&f->buffer[b].type)};
  for (int i = 0; i < f->n_kernels; i++)
    for (int n = 0; n < f->kernel[i]->n_instrs; n++) {
      const Instr *x = &f->kernel[i]->instr[n];
      if (x->kop != K_LOAD && x->kop != K_STORE) continue;
      Life *l = &life[x->buffer];
      if (i < l->first) l->first = i;
      l->last = i;
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

/* The lowest offset from `start` at which `l` meets none of the n placed. */
static int64_t lowest_free(const KFunc *f, const Life *placed, int n,
                           const Life *l, int64_t start) {
  int64_t at = start;
  for (bool moved = true; moved;) {
    moved = false;
    for (int i = 0; i < n; i++) {
      const Life *p = &placed[i];
      int64_t low = f->buffer[p->buffer].offset, high = low + p->bytes;
      bool together = p->first <= l->last && l->first <= p->last;
      if (!together || at >= high || at + l->bytes <= low) continue;
      at = high;
      moved = true;
    }
  }
  return at;
}

/* Returns the end of the function's part of the arena. */
static int64_t place_func(Arena *a, const KModule *m, KFunc *f, int64_t start) {
  Life *life = plan_lives(a, f);
  int n = 0;
  for (int b = 0; b < f->n_buffers; b++) {
    if (plan_is_fixed(&f->buffer[b]))
      f->buffer[b].offset = fixed_offset(m, &f->buffer[b]);
    else
      life[n++] = life[b];
  }
  qsort(life, (size_t)n, sizeof *life, by_size);
  int64_t end = start;
  for (int i = 0; i < n; i++) {
    int64_t at = lowest_free(f, life, i, &life[i], start);
    f->buffer[life[i].buffer].offset = at;
    if (at + life[i].bytes > end) end = at + life[i].bytes;
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
