/* Training: epochs of batches, each one call of the compiled step. What is
 * printed on standard output is line by line what the course prints that the
 * project grew from: the mean loss of each interval of batches, then the end,
 * then the test.
 *
 * An interval begins anew with each epoch. Batches that are left at an epoch's
 * end make a line in the log, and a printed one only if nothing was printed in
 * that epoch. Weights are never saved once a loss was not finite. */
#include "runtime/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums over batches; `samples` and `right` over their rows. */
typedef struct Sums {
  double loss, total;
  int64_t batches, samples, right;
} Sums;

typedef struct Training {
  NetRun *r;
  const NetFunction *f;
  const NetTensor *loss, *total, *lr;
  int n_penalties;
  const NetTensor **penalty; /* the results penalty.NAME */
  const char **names;        /* NAME */
  double *penalty_sums;      /* of the interval */
  double *penalty_means;
  int64_t *rows;             /* the order of the epoch */
  int64_t n_rows, batches;   /* of an epoch */
  int64_t epochs, epoch, batch, step, samples;
  bool classes;
  Sums interval, whole; /* since the last line; of the epoch */
} Training;

static const char PENALTY[] = "penalty.";

static bool find_results(Training *t, DataError *e) {
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

static bool training_init(Training *t, NetRun *r, DataError *e) {
  const NetProgram *p = r->p;
  *t = (Training){.r = r, .f = &p->train};
  t->n_rows = r->data->split[DATA_TRAIN].rows;
  t->epochs = r->o->epochs >= 0 ? r->o->epochs : p->epochs;
  t->batches = (t->n_rows + t->f->batch - 1) / t->f->batch;
  if (!t->n_rows) return data_fail(e, "the data has no rows to train on");
  t->rows = data_alloc(t->n_rows, sizeof *t->rows, e);
  t->classes = p->label && net_result(t->f, "predicted");
  return t->rows && find_results(t, e);
}

static void training_free(Training *t) {
  free(t->rows);
  free(t->penalty);
  free(t->names);
  free(t->penalty_sums);
  free(t->penalty_means);
}

/* ---- telling ---- */

static void log_interval(Training *t) {
  const Sums *s = &t->interval;
  double n = (double)s->batches;
  for (int i = 0; i < t->n_penalties; i++)
    t->penalty_means[i] = t->penalty_sums[i] / n;
  NetRecord line = {
      .step = t->step - 1,
      .epoch = t->epoch,
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

static void end_interval(Training *t, bool print) {
  if (!t->interval.batches) return;
  if (print) {
    net_progress_clear(&t->r->progress);
    printf("[%lld, %5lld] loss: %.3f\n", (long long)t->epoch + 1,
           (long long)t->batch,
           t->interval.loss / (double)t->interval.batches);
    fflush(stdout);
  }
  log_interval(t);
  t->interval = (Sums){0};
  if (t->n_penalties)
    memset(t->penalty_sums, 0,
           (size_t)t->n_penalties * sizeof *t->penalty_sums);
}

static NetPlace place(const Training *t) {
  const Sums *s = &t->whole;
  return (NetPlace){
      .epoch = t->epoch,
      .batch = t->batch,
      .samples = t->samples,
      .loss = s->loss / (double)s->batches,
      .accuracy = t->classes ? (double)s->right / (double)s->samples : -1};
}

/* ---- stepping ---- */

static void add(Sums *s, double loss, double total, int64_t n, int64_t right) {
  s->loss += loss;
  s->total += total;
  s->batches++;
  s->samples += n;
  s->right += right;
}

static bool check_finite(const Training *t, double loss, double total,
                         DataError *e) {
  if (isfinite(loss) && isfinite(total)) return true;
  bool in_loss = !isfinite(loss);
  double v = in_loss ? loss : total;
  return data_fail(
      e, "the %s is %s at step %lld (epoch %lld, batch %lld); training stops%s",
      in_loss ? "loss" : "total of loss and penalties",
      isnan(v) ? "nan" : v > 0 ? "inf" : "-inf", (long long)t->step,
      (long long)t->epoch + 1, (long long)t->batch + 1,
      t->r->o->save ? ", and no weights are saved" : "");
}

/* One update from the rows at `rows`. */
static bool step(Training *t, const int64_t *rows, int64_t n, DataError *e) {
  NetRun *r = t->r;
  double all = (double)t->epochs * (double)t->batches;
  data_fill(r->data, DATA_TRAIN, rows, n, t->f, r->arena);
  *r->scalars = (NetScalars){.step = (double)t->step,
                             .epoch = (double)t->epoch,
                             .progress = (double)t->step / all,
                             .count = (double)n,
                             .seed = r->seed};
  t->f->run(r->arena, r->pool);
  double loss = net_element(r->arena, t->loss, 0);
  double total = net_element(r->arena, t->total, 0);
  if (!check_finite(t, loss, total, e)) return false;
  int64_t right = net_count_right(r, DATA_TRAIN, t->f, rows, n);
  add(&t->interval, loss, total, n, right);
  add(&t->whole, loss, total, n, right);
  for (int i = 0; i < t->n_penalties; i++)
    t->penalty_sums[i] += net_element(r->arena, t->penalty[i], 0);
  t->step++;
  t->batch++;
  t->samples += n;
  return true;
}

static int validate(Training *t) {
  NetRun *r = t->r;
  NetTally v = {0};
  if (!r->data->split[DATA_VALIDATION].rows || !r->p->evaluate.run)
    return NET_DONE;
  int status = net_evaluate(r, DATA_VALIDATION, &v);
  if (!status) {
    NetRecord line = {.step = t->step - 1,
                      .epoch = t->epoch,
                      .split = data_split_name[DATA_VALIDATION],
                      .loss = net_tally_loss(&v),
                      .accuracy = net_tally_accuracy(&v),
                      .lr = (double)NAN};
    net_log_write(&r->log, &line);
    r->progress.validation = line.loss;
  }
  net_tally_free(&v);
  return status;
}

/* Returns an exit status; an error is told. */
static int train_epoch(Training *t) {
  NetRun *r = t->r;
  DataError e = {0};
  int64_t size = t->f->batch, every = r->o->print_every;
  t->whole = (Sums){0};
  t->batch = 0;
  data_order(r->data, DATA_TRAIN, r->p->shuffle != 0, r->seed, t->epoch,
             t->rows);
  for (int64_t at = 0; at < t->n_rows; at += size) {
    int64_t n = t->n_rows - at < size ? t->n_rows - at : size;
    if (net_run_interrupted()) return NET_INTERRUPTED;
    if (!step(t, t->rows + at, n, &e)) return net_tell(r, &e);
    if (t->interval.batches == every) end_interval(t, true);
    NetPlace here = place(t);
    net_progress_step(&r->progress, &here);
  }
  end_interval(t, t->batches < every);
  int status = validate(t);
  NetPlace here = place(t);
  if (!status) net_progress_epoch(&r->progress, &here);
  return status;
}

/* ---- the end ---- */

static int save(const Training *t) {
  DataError e = {0};
  const char *path = t->r->o->save;
  if (!path || net_weights_save(t->r->p, t->r->arena, path, &e))
    return NET_DONE;
  return net_tell(t->r, &e);
}

/* What weights there were before are better than none that were trained. */
static int interrupted(const Training *t) {
  const char *path = t->r->o->save;
  bool saves = path && t->step > 0;
  net_progress_clear(&t->r->progress);
  int status = saves ? save(t) : NET_DONE;
  fprintf(stderr, "interrupted after %lld steps (epoch %lld)%s%s\n",
          (long long)t->step, (long long)t->epoch + 1,
          saves && !status ? "; the weights are in " : "",
          saves && !status ? path : "");
  return status ? status : NET_INTERRUPTED;
}

static int train(Training *t) {
  NetRun *r = t->r;
  int status = NET_DONE;
  net_progress_init(&r->progress, r->o->quiet, t->epochs, t->batches);
  for (; t->epoch < t->epochs && !status; t->epoch++)
    if ((status = train_epoch(t))) break;
  if (status == NET_INTERRUPTED) return interrupted(t);
  if (status) return status;
  net_progress_clear(&r->progress);
  printf("Finished Training\n");
  fflush(stdout);
  if ((status = save(t))) return status;
  if (!r->p->evaluate.run || !r->data->split[DATA_TEST].rows) return NET_DONE;
  return net_run_test(r, t->step ? t->step - 1 : 0,
                      t->epochs ? t->epochs - 1 : 0);
}

int net_train(const NetProgram *p, const NetOptions *o) {
  NetRun r;
  Training t = {0};
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
