/* What is said where a plan does not fit into the limit: the tensors that are alive
 * when most is, the largest first, each with its shape, its bytes and the place in
 * the source that it comes from. */
#include <stdlib.h>

#include "passes/recompute.h"

enum { MAX_TOLD = 6 };

static int by_size(const void *x, const void *y) {
  const Life *a = x, *b = y;
  if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
  return a->buffer - b->buffer;
}

/* Where the kernel that stores it first comes from; NULL: nowhere. */
static const Loc *place_of(const KFunc *f, const Life *l) {
  const Kernel *k = l->first >= 0 && l->first < f->n_kernels
                        ? f->kernel[l->first]
                        : NULL;
  return k && k->n_locs > 0 && k->locs[0].file ? &k->locs[0] : NULL;
}

static void tell_one(Arena *a, Diag *diag, const KFunc *f, const Life *l) {
  const Buffer *b = &f->buffer[l->buffer];
  const Loc *at = place_of(f, l);
  Text t;
  text_init(&t, a);
  text_add(&t, "%lld bytes: ", (long long)l->bytes);
  text_add_type(&t, &b->type);
  if (b->kind == BUF_INPUT) text_add(&t, ", the field %s", b->name);
  else if (at) text_add(&t, " from %s:%d:%d", at->file, at->line, at->column);
  if (b->kind != BUF_INPUT && at && at->stage)
    text_add(&t, ", %s", at->stage);
  diag_note(diag, (Span){0}, "%s", t.s);
}

void recompute_tell(Arena *a, Diags *d, const KModule *m, KFunc *f) {
  const Life *life = plan_lives(a, f);
  int64_t peak, told = 0;
  int moment = recompute_peak(f, life, &peak), n = 0;
  int64_t all = plan_bytes(a, m, f);
  Life *alive = arena_alloc(a, (size_t)(f->n_buffers + 1) * sizeof *alive);
  for (int b = 0; b < f->n_buffers; b++)
    if (!plan_is_fixed(&f->buffer[b]) && life[b].first <= moment &&
        moment <= life[b].last)
      alive[n++] = life[b];
  qsort(alive, (size_t)n, sizeof *alive, by_size);
  Diag *diag = diag_error(d, "E0802", m->limit_at,
                          "%s needs %lld bytes of memory, and the limit is %lld",
                          f->name, (long long)all, (long long)m->limit);
  for (int i = 0; i < n && i < MAX_TOLD; i++) {
    tell_one(a, diag, f, &alive[i]);
    told += alive[i].bytes;
  }
  if (peak > told)
    diag_note(diag, (Span){0}, "%lld bytes: %d smaller tensors",
              (long long)(peak - told), n - MAX_TOLD);
  diag_note(diag, (Span){0}, "%lld bytes: parameters, states and gaps",
            (long long)(all - peak));
  diag_help(diag, "a smaller batch needs less");
}
