/* A training whose loss or weights are no longer finite: where that began. What
 * the epoch began with is kept; from there its batches run again, which gives the
 * same bits, up to the first one behind which something is not finite. It may be
 * an earlier one than that whose loss told: an update can break weights. The
 * arena is then as it was before that step, and goes to whoever can name the
 * operation: `netc run` interprets the step; an executable, which carries no
 * interpreter, writes it to a file for `netc check --replay` (replay.c). */
#include "runtime/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is kept must fit in what a run may take beside the plan and the data: an
 * executable 10 MB, `netc run` 60. */
static const int64_t KEPT_ALONE = 8000000, KEPT_IN_NETC = 48000000;

/* Variables lie first in the arena, up to the scalars. */
static size_t variables(const NetTraining *t) {
  return (size_t)t->r->p->scalars;
}

bool net_trace_init(NetTraining *t, DataError *e) {
  int64_t most = t->r->o->trace ? KEPT_IN_NETC : KEPT_ALONE;
  if (t->r->p->scalars > most) return true;
  t->before = data_alloc(t->r->p->scalars + 1, 1, e);
  return t->before != NULL;
}

void net_trace_keep(NetTraining *t) {
  if (t->before) memcpy(t->before, t->r->arena, variables(t));
  t->before_batch = t->s.batch;
}

/* Batch b is the next one. */
static void start_at(NetTraining *t, int64_t b) {
  int64_t row = b * t->f->batch;
  data_stream_start(t->stream, t->rows + row, t->n_rows - row, t->s.epoch);
}

static void fill(NetTraining *t, int64_t b) {
  int64_t n = data_stream_next(t->stream, t->r->arena);
  *t->r->scalars =
      net_scalars_of(t, t->s.epoch * t->batches + b, n);
}

static bool finite_behind(NetTraining *t) {
  const NetRun *r = t->r;
  t->f->run(r->arena, r->pool);
  return isfinite(net_element(r->arena, t->loss, 0)) &&
         isfinite(net_element(r->arena, t->total, 0)) &&
         !net_weights_broken(r->p, r->arena, true);
}

/* Leaves the arena as it was before the first bad step of the epoch; false: there
 * was none this time. `copy` has room for the variables. */
static bool find(NetTraining *t, char *copy) {
  char *arena = t->r->arena;
  memcpy(arena, t->before, variables(t));
  start_at(t, t->before_batch);
  for (int64_t b = t->before_batch; b < t->batches && b <= t->s.batch; b++) {
    if (net_run_interrupted()) return false;
    memcpy(copy, arena, variables(t));
    fill(t, b);
    if (finite_behind(t)) continue;
    memcpy(arena, copy, variables(t));
    start_at(t, b);
    fill(t, b);
    return true;
  }
  return false;
}

/* Beside the file that the command line names for what the run leaves. */
static void write_replay(const NetTraining *t) {
  const NetOptions *o = t->r->o;
  const char *name = t->r->p->name;
  const char *beside = o->checkpoint ? o->checkpoint : o->save;
  DataError e = {0};
  char path[4096];
  if (!beside) {
    fprintf(stderr, "note: with --save FILE the step is written to FILE.nan, for "
            "'netc check %s.net --replay FILE.nan' to name the operation\n",
            name);
    return;
  }
  if (snprintf(path, sizeof path, "%s.nan", beside) >= (int)sizeof path) return;
  if (!net_replay_save(t->r->p, t->r->arena, path, &e)) {
    fprintf(stderr, "note: %s\n", e.text);
    return;
  }
  fprintf(stderr, "note: 'netc check %s.net --replay %s' names the operation\n",
          name, path);
}

void net_trace(NetTraining *t) {
  const NetOptions *o = t->r->o;
  DataError e;
  if (!t->before) {
    fprintf(stderr, "note: the operation is not looked for: %.0f MB of variables "
            "are too many to be kept for it\n",
            (double)t->r->p->scalars / 1e6);
    return;
  }
  char *copy = data_alloc(t->r->p->scalars + 1, 1, &e);
  if (copy && find(t, copy)) {
    if (o->trace) o->trace(o->trace_context, t->r->p, t->r->arena);
    else write_replay(t);
  }
  free(copy);
}
