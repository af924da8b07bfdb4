/* Training: epochs of batches, each one call of the compiled step. What is
 * printed on standard output is line by line what the course prints that the
 * project grew from: the mean loss of each interval of batches, then the end,
 * then the test; and one line an epoch where watch.c has something to say.
 *
 * An interval begins anew with each epoch. Batches that are left at an epoch's
 * end make a line in the log, and a printed one only if nothing was printed in
 * that epoch. The state counts steps by batches; where several make an update,
 * what is told counts updates. Between two steps all that goes on is in the arena
 * and in the NetState, which is what a checkpoint holds. Weights are never saved
 * once a loss was not finite, but for the best ones that were kept before. */
#include "runtime/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char PENALTY[] = "penalty.";

static bool find_results(NetTraining *t, DataError *e) {
  const NetFunction *f = t->f;
  t->loss = net_result(f, "loss");
  t->total = net_result(f, "total");
  t->lr = net_result(f, "lr");
  if (!t->loss) return data_fail(e, "the program's `train` gives no loss");
  if (!t->total) t->total = t->loss;
  t->penalty = data_alloc(f->n_results, sizeof *t->penalty, e);
  t->names = data_alloc(f->n_results, sizeof *t->names, e);
  t->penalty_sums = data_alloc(f->n_results, sizeof *t->penalty_sums, e);
  t->penalty_means = data_alloc(f->n_results, sizeof *t->penalty_means, e);
  if (!t->penalty || !t->names || !t->penalty_sums || !t->penalty_means)
    return false;
  for (int32_t i = 0; i < f->n_results; i++) {
    const char *name = f->results[i].name;
    if (strncmp(name, PENALTY, sizeof PENALTY - 1)) continue;
    t->penalty[t->n_penalties] = &f->results[i];
    t->names[t->n_penalties++] = name + sizeof PENALTY - 1;
  }
  return true;
}

/* Puts the training where the checkpoint was. */
static bool resume(NetTraining *t, int64_t epochs, DataError *e) {
  if (!net_checkpoint_load(t, e)) return false;
  t->s.epochs = epochs;
  return true;
}

static bool training_init(NetTraining *t, NetRun *r, DataError *e) {
  const NetProgram *p = r->p;
  int64_t epochs = r->o->epochs >= 0 ? r->o->epochs
                 : r->resume.path    ? r->resume.state.epochs
                                     : p->epochs;
  *t = (NetTraining){.r = r, .f = &p->train};
  t->s = (NetState){.epochs = epochs, .validation = (double)NAN};
  t->n_rows = r->data->split[DATA_TRAIN].rows;
  t->batches = (t->n_rows + t->f->batch - 1) / t->f->batch;
  if (!t->n_rows) return data_fail(e, "the data has no rows to train on");
  t->rows = data_alloc(t->n_rows, sizeof *t->rows, e);
  t->classes = p->label && net_result(t->f, "predicted");
  t->stream = data_stream_new(r->data, t->f, r->pool, r->o->threads, e);
  if (!t->rows || !t->stream || !find_results(t, e) ||
      !net_watch_init(t, e) || !net_trace_init(t, e))
    return false;
  return !r->resume.path || resume(t, epochs, e);
}

static void training_free(NetTraining *t) {
  net_watch_free(t);
  data_stream_free(t->stream);
  free(t->rows);
  free(t->before);
  free(t->penalty);
  free(t->names);
  free(t->penalty_sums);
  free(t->penalty_means);
}

/* ---- telling ---- */

int64_t net_last_update(const NetTraining *t) {
  return t->s.step ? (t->s.step - 1) / t->r->p->accumulate : 0;
}

static void log_interval(NetTraining *t) {
  const NetSums *s = &t->s.interval;
  double n = (double)s->batches;
  for (int i = 0; i < t->n_penalties; i++)
    t->penalty_means[i] = t->penalty_sums[i] / n;
  NetRecord line = {
      .step = net_last_update(t),
      .epoch = t->s.epoch,
      .split = data_split_name[DATA_TRAIN],
      .loss = s->loss / n,
      .has_penalty = true,
      .n_penalties = t->n_penalties,
      .names = t->names,
      .penalties = t->penalty_means,
      .total = s->total / n,
      .accuracy = t->classes ? (double)s->right / (double)s->samples : -1,
      .lr = t->lr ? net_element(t->r->arena, t->lr, 0) : (double)NAN};
  net_log_write(&t->r->log, &line);
}

static void end_interval(NetTraining *t, bool print) {
  const NetSums *s = &t->s.interval;
  if (!s->batches) return;
  if (print) {
    net_progress_clear(&t->r->progress);
    printf("[%lld, %5lld] loss: %.3f\n", (long long)t->s.epoch + 1,
           (long long)t->s.batch, s->loss / (double)s->batches);
    fflush(stdout);
  }
  log_interval(t);
  t->s.interval = (NetSums){0};
  for (int i = 0; i < t->n_penalties; i++) t->penalty_sums[i] = 0;
}

static NetPlace place(const NetTraining *t) {
  const NetSums *s = &t->s.whole;
  return (NetPlace){
      .epoch = t->s.epoch,
      .batch = t->s.batch,
      .samples = t->s.samples,
      .loss = s->loss / (double)s->batches,
      .accuracy = t->classes ? (double)s->right / (double)s->samples : -1};
}

static void tell_times(const NetTraining *t) {
  double all = net_seconds() - t->begun;
  if (!t->r->o->verbose) return;
  net_progress_clear(&t->r->progress);
  fprintf(stderr, "epoch %lld: %.3f s, of which %.2f %% waiting for data, "
          "%.2f %% in steps, %.2f %% in evaluation\n",
          (long long)t->s.epoch + 1, all, 100 * t->waited / all,
          100 * t->stepped / all, 100 * t->tested / all);
}

/* --verbose: how long the first step was waited for; and at the end, what of the
 * machine's memory was taken. */
static void tell_start(const NetTraining *t) {
  if (t->r->o->verbose)
    fprintf(stderr, "first step %.2f ms after the data were checked\n",
            1e3 * (net_seconds() - t->r->checked));
}

/* getrusage would count what the process was before exec. */
static void tell_memory(const NetTraining *t) {
  FILE *f = t->r->o->verbose ? fopen("/proc/self/status", "r") : NULL;
  char line[256];
  long kib = -1;
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "VmHWM: %ld", &kib) == 1) break;
  if (f) fclose(f);
  if (kib > 0)
    fprintf(stderr, "resident memory at most %.2f MB, of which %.2f MB "
            "planned\n", (double)kib * 1024 / 1e6,
            (double)t->r->p->arena_bytes / 1e6);
}

/* ---- stepping ---- */

static void add(NetSums *s, double loss, double total, int64_t n,
                int64_t right) {
  s->loss += loss;
  s->total += total;
  s->batches++;
  s->samples += n;
  s->right += right;
}

static const char *left_behind(const NetTraining *t) {
  return !t->r->o->save     ? ""
         : net_watch_kept(t) ? ", and the best weights are saved"
                             : ", and no weights are saved";
}

static bool check_finite(const NetTraining *t, double loss, double total,
                         DataError *e) {
  if (isfinite(loss) && isfinite(total)) return true;
  bool in_loss = !isfinite(loss);
  double v = in_loss ? loss : total;
  return data_fail(
      e, "the %s is %s at step %lld (epoch %lld, batch %lld); training stops%s",
      in_loss ? "loss" : "total of loss and penalties",
      isnan(v) ? "nan" : v > 0 ? "inf" : "-inf",
      (long long)(t->s.step / t->r->p->accumulate),
      (long long)t->s.epoch + 1, (long long)t->s.batch + 1, left_behind(t));
}

/* The last update of an epoch has no loss behind it that could tell. */
static bool check_weights(const NetTraining *t, DataError *e) {
  const NetTensor *v = net_weights_broken(t->r->p, t->r->arena, true);
  return !v || data_fail(e, "%s holds a value that is not finite at the end of "
                         "epoch %lld; training stops%s", v->name,
                         (long long)t->s.epoch + 1, left_behind(t));
}

NetScalars net_scalars_of(const NetTraining *t, int64_t step, int64_t count) {
  int64_t all = t->s.epochs * t->batches;
  return (NetScalars){.step = (double)step,
                      .epoch = (double)(step / t->batches),
                      .progress = all ? (double)step / (double)all : 0,
                      .count = (double)count,
                      .plateau = (double)t->s.plateau,
                      .seed = t->r->seed};
}

/* Evaluation reads them as the last step left them, but for the plateaus. */
static void after_step(NetTraining *t) {
  *t->r->scalars = net_scalars_of(t, t->s.step ? t->s.step - 1 : 0, t->f->batch);
}

/* One update from the next batch, whose rows are at `rows`. */
static bool step(NetTraining *t, const int64_t *rows, DataError *e) {
  NetRun *r = t->r;
  double start = net_seconds();
  int64_t n = data_stream_next(t->stream, r->arena);
  double filled = net_seconds();
  *r->scalars = net_scalars_of(t, t->s.step, n);
  t->f->run(r->arena, r->pool);
  t->waited += filled - start;
  t->stepped += net_seconds() - filled;
  double loss = net_element(r->arena, t->loss, 0);
  double total = net_element(r->arena, t->total, 0);
  if (!check_finite(t, loss, total, e)) return false;
  int64_t right = net_count_right(r, DATA_TRAIN, t->f, rows, n);
  add(&t->s.interval, loss, total, n, right);
  add(&t->s.whole, loss, total, n, right);
  for (int i = 0; i < t->n_penalties; i++)
    t->penalty_sums[i] += net_element(r->arena, t->penalty[i], 0);
  t->s.step++;
  t->s.batch++;
  t->s.samples += n;
  return true;
}

/* Tells what is not finite any more, and then where that comes from. */
static int broken(NetTraining *t, const DataError *e) {
  int status = net_tell(t->r, e);
  net_trace(t);
  return status;
}

/* A disk that is full now may not be so after the next epoch. */
static int checkpoint(NetTraining *t) {
  NetRun *r = t->r;
  DataError e = {0};
  const char *path = r->o->checkpoint;
  bool last = t->s.epoch >= t->s.epochs || t->s.stopped;
  if (!path || (!last && t->s.epoch % r->o->checkpoint_every)) return NET_DONE;
  t->lost = net_checkpoint_save(t, path, &e) ? NET_DONE : net_tell(r, &e);
  if (t->lost && !last) fprintf(stderr, "the run goes on without it\n");
  return NET_DONE;
}

/* What comes behind the last batch, and on to the next epoch. */
static int end_epoch(NetTraining *t) {
  NetRun *r = t->r;
  DataError e = {0};
  end_interval(t, t->batches < r->o->print_every);
  if (!check_weights(t, &e)) return broken(t, &e);
  after_step(t);
  int status = net_watch_epoch(t);
  if (status) return status;
  NetPlace here = place(t);
  net_progress_epoch(&r->progress, &here);
  tell_times(t);
  t->s.epoch++;
  t->s.batch = 0;
  t->s.whole = (NetSums){0};
  return checkpoint(t);
}

/* The epoch, or what is left of it. Returns an exit status; an error is told. */
static int train_epoch(NetTraining *t) {
  NetRun *r = t->r;
  DataError e = {0};
  int64_t size = t->f->batch;
  t->waited = t->stepped = t->tested = 0;
  t->begun = net_seconds();
  data_order(r->data, DATA_TRAIN, r->p->shuffle != 0, r->seed, t->s.epoch,
             t->rows);
  net_trace_keep(t);
  if (t->s.batch < t->batches)
    data_stream_start(t->stream, t->rows + t->s.batch * size,
                      t->n_rows - t->s.batch * size, t->s.epoch);
  while (t->s.batch < t->batches) {
    if (net_run_interrupted()) return NET_INTERRUPTED;
    if (!step(t, t->rows + t->s.batch * size, &e)) return broken(t, &e);
    if (t->s.interval.batches >= r->o->print_every) end_interval(t, true);
    NetPlace here = place(t);
    net_progress_step(&r->progress, &here);
  }
  return end_epoch(t);
}

/* ---- the end ---- */

static int save(const NetTraining *t) {
  DataError e = {0};
  const char *path = t->r->o->save;
  if (!path || net_weights_save(t->r->p, t->r->arena, path, &e))
    return NET_DONE;
  return net_tell(t->r, &e);
}

/* A checkpoint, where --save alone tells a file there too: it can be resumed,
 * and holds the weights. What weights there were before are better than none
 * that were trained. */
static int interrupted(const NetTraining *t) {
  const NetOptions *o = t->r->o;
  const char *path = o->checkpoint ? o->checkpoint : o->save;
  bool saves = path && t->s.step > 0;
  DataError e = {0};
  int64_t epoch = t->s.epoch < t->s.epochs ? t->s.epoch + 1 : t->s.epochs;
  net_progress_clear(&t->r->progress);
  int status = saves && !net_checkpoint_save(t, path, &e) ? net_tell(t->r, &e)
                                                          : NET_DONE;
  fprintf(stderr, "interrupted after %lld steps (epoch %lld)%s%s\n",
          (long long)(t->s.step / t->r->p->accumulate), (long long)epoch,
          !saves || status ? "" : "; go on with --resume ",
          !saves || status ? "" : path);
  return status ? status : NET_INTERRUPTED;
}

static bool zero_at(const char *arena, const NetTensor *v, int64_t i) {
  return fpclassify(net_element(arena, v, i)) == FP_ZERO;
}

/* Penalties are there to make weights 0: those that are, tensor by tensor. */
static void print_zeros(const NetTraining *t) {
  const NetProgram *p = t->r->p;
  for (int32_t i = 0; i < p->n_vars; i++) {
    const NetTensor *v = &p->vars[i];
    int64_t zeros = 0, n = net_tensor_count(v);
    if (!net_is_weight(v) || v->kind == NET_LAYER_STATE) continue;
    for (int64_t k = 0; k < n; k++) zeros += zero_at(t->r->arena, v, k);
    if (zeros)
      printf("Zero weights: %s %lld of %lld\n", v->name, (long long)zeros,
             (long long)n);
  }
}

static int finish(NetTraining *t) {
  NetRun *r = t->r;
  net_progress_clear(&r->progress);
  printf("Finished Training\n");
  net_watch_restore(t);
  fflush(stdout);
  int status = save(t);
  if (!status && r->p->evaluate.run && r->data->split[DATA_TEST].rows) {
    after_step(t);
    status = net_run_test(r, net_last_update(t),
                          t->s.epoch ? t->s.epoch - 1 : 0);
  }
  if (!status && t->n_penalties && t->s.step) print_zeros(t);
  return status ? status : t->lost;
}

static int train(NetTraining *t) {
  NetRun *r = t->r;
  int status = NET_DONE;
  net_progress_init(&r->progress, r->o->quiet, t->s.epochs, t->batches);
  r->progress.validation = t->s.validation;
  r->progress.done_before = (double)t->s.step;
  r->progress.samples_before = t->s.samples;
  tell_start(t);
  while (!status && t->s.epoch < t->s.epochs && !t->s.stopped)
    status = train_epoch(t);
  tell_memory(t);
  if (!status && net_run_interrupted()) status = NET_INTERRUPTED;
  if (status == NET_INTERRUPTED) return interrupted(t);
  if (!status) return finish(t);
  if (status == NET_MISTAKE && net_watch_kept(t)) { /* a NaN, say */
    net_watch_restore(t);
    save(t);
  }
  return status;
}

int net_train(const NetProgram *p, const NetOptions *o) {
  NetRun r;
  NetTraining t = {0};
  DataError e = {0};
  int status = net_run_open(&r, p, o, NET_TRAIN);
  if (!status && !training_init(&t, &r, &e)) status = net_tell(&r, &e);
  if (!status) {
    net_run_listen();
    status = train(&t);
    net_run_quiet();
    if (!net_log_close(&r.log) && !status) status = NET_RESOURCE;
  }
  training_free(&t);
  net_run_close(&r);
  return net_flush_results(status);
}
