/* What a kernel does, for `netc bench --profile`: its products, the bytes that it
 * touches, and what there is to say of a slow one. Counts are of the kernel as it
 * stands: products with what a pad put there count as others do. */
#include "codegen/driver_bench.h"

#include <stdlib.h>

/* --- work ----------------------------------------------------------------- */

static double points(const Kernel *k, uint32_t dims) {
  double n = 1;
  for (int d = 0; d < kernel_dims(k); d++)
    if (dims >> d & 1) n *= (double)k->extent[d];
  return n;
}

/* Different elements that a load or store reaches: no more than there are points
 * of the dimensions that move it, than lie between its ends, or than the buffer
 * has. */
static double elements(const KFunc *f, const Kernel *k, const Instr *i) {
  double all = (double)type_count(&f->buffer[i->buffer].type), span = 1, n = 1;
  for (int d = 0; d < kernel_dims(k); d++) {
    if (i->at.coef[d] == 0) continue;
    n *= (double)k->extent[d];
    span += (double)llabs(i->at.coef[d]) * (double)(k->extent[d] - 1);
  }
  if (i->in[1] >= 0) span = all;
  n = n < span ? n : span;
  return n < all ? n : all;
}

/* Of one buffer, reading and writing apart; no more than there are of it. */
static double bytes_of(const KFunc *f, const Kernel *k, int buffer) {
  const Buffer *b = &f->buffer[buffer];
  double size = dtype_size[b->type.dtype], read = 0, written = 0;
  double all = (double)type_count(&b->type) * size;
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if ((i->kop != K_LOAD && i->kop != K_STORE) || i->buffer != buffer)
      continue;
    double bytes = elements(f, k, i) * size;
    if (i->kop == K_STORE) written += bytes;
    if (i->kop == K_LOAD || i->accumulate) read += bytes;
  }
  return (read < all ? read : all) + (written < all ? written : all);
}

double kernel_chunks(const Kernel *k) {
  return k->group ? (double)(k->group->parts * k->group->turns) : 1;
}

Work kernel_work(const KFunc *f, const Kernel *k) {
  uint32_t depends[k->n_instrs + 1];
  Work w = {0};
  kernel_depends(k, depends);
  for (int n = 0; n < k->n_instrs; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop == K_REDUCE && i->op == OP_SUM) {
      const Instr *term = &k->instr[i->in[0]];
      if (term->kop == K_OP && term->op == OP_MUL)
        w.flops += 2 * points(k, depends[i->in[0]]);
    }
    if (i->kop == K_OP && op_info[i->op].costly)
      w.costly += points(k, depends[n]);
  }
  for (int b = 0; b < f->n_buffers; b++) w.bytes += bytes_of(f, k, b);
  w.flops *= kernel_chunks(k);
  w.costly *= kernel_chunks(k);
  w.bytes *= kernel_chunks(k);
  return w;
}

/* --- advice: the first rule that has something to say --------------------- */

typedef const char *Rule(Arena *a, const Row *r, int threads);

enum { SMALL = 64, THREADS_US = 20 };

static const char *no_vectors(Arena *a, const Row *r, int threads) {
  (void)a, (void)threads;
  if (r->k->schedule.vec >= 0 || points(r->k, UINT32_MAX) < (double)SMALL) return NULL;
  return "runs without vectors";
}

static const char *by_index(Arena *a, const Row *r, int threads) {
  const Kernel *k = r->k;
  (void)a, (void)threads;
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_LOAD && k->instr[n].in[1] >= 0)
      return "reads single numbers by index";
  return NULL;
}

/* Lanes that hold numbers of the extent. */
static const char *empty_lanes(Arena *a, const Row *r, int threads) {
  const Schedule *s = &r->k->schedule;
  (void)threads;
  if (s->vec < 0) return NULL;
  int64_t extent = r->k->extent[s->vec],
          held = (extent + s->lanes - 1) / s->lanes * s->lanes;
  if ((double)extent > 0.8 * (double)held) return NULL;
  return arena_printf(a, "leaves %lld of %lld lanes empty: %lld is no multiple "
                         "of %d",
                      (long long)(held - extent), (long long)held,
                      (long long)extent, s->lanes);
}

static const char *apart(Arena *a, const Row *r, int threads) {
  const Kernel *k = r->k;
  (void)threads;
  for (int n = 0; n < k->n_instrs && k->schedule.vec >= 0; n++) {
    const Instr *i = &k->instr[n];
    if (i->kop != K_LOAD && i->kop != K_STORE) continue;
    int64_t step = llabs(i->at.coef[k->schedule.vec]);
    if (step > 1)
      return arena_printf(a, "%s numbers %lld apart along its vectors",
                          i->kop == K_LOAD ? "reads" : "writes",
                          (long long)step);
  }
  return NULL;
}

static const char *random_numbers(Arena *a, const Row *r, int threads) {
  const Kernel *k = r->k;
  (void)threads;
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_RAND)
      return arena_printf(a, "draws %.0f random numbers",
                          points(k, (1u << k->n_par) - 1) * kernel_chunks(k));
  return NULL;
}

static const char *functions(Arena *a, const Row *r, int threads) {
  (void)threads;
  if (r->work.costly * 64 < r->work.bytes) return NULL;
  return arena_printf(a, "works out %.0f exponentials, logarithms and the like",
                      r->work.costly);
}

static const char *one_thread(Arena *a, const Row *r, int threads) {
  (void)a;
  bool shared = r->k->schedule.pieces > 1 ||
                (r->k->group && r->k->group->parts > 1);
  if (threads < 2 || shared || r->us < (double)THREADS_US)
    return NULL;
  return "runs on one thread";
}

static const char *memory_bound(Arena *a, const Row *r, int threads) {
  (void)threads;
  if (r->work.flops == 0 || r->work.flops > 16 * r->work.bytes) return NULL;
  return arena_printf(a, "does %.1f products and sums for each byte: more rows "
                         "or samples at once would make it faster",
                      r->work.flops / r->work.bytes);
}

static const char *unexpected(Arena *a, const Row *r, int threads) {
  (void)threads;
  if (r->beyond < 1.3) return NULL;
  return arena_printf(a, "takes %.1f times as long as the cost model expects "
                         "beside the others", r->beyond);
}

static Rule *const rules[] = {one_thread,     no_vectors, by_index,
                              apart,          empty_lanes, unexpected,
                              random_numbers, functions,  memory_bound};

const char *kernel_advice(Arena *a, const Row *r, int threads) {
  const char *text = NULL;
  for (size_t i = 0; i < sizeof rules / sizeof *rules && !text; i++)
    text = rules[i](a, r, threads);
  return text;
}
