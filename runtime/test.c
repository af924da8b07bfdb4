/* Evaluation: the losses and predictions of every row of a split, and what is
 * printed of the test. `netc test` and the end of a training are the same.
 *
 * The loss is the sum of weight x loss over the rows by the sum of weights,
 * both in double, so it depends on neither the batch nor the threads. */
#include "runtime/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t net_count_right(const NetRun *r, DataSplitName split,
                        const NetFunction *f, const int64_t *rows, int64_t n) {
  const NetTensor *predicted = net_result(f, "predicted");
  const int32_t *labels =
      r->p->label ? data_labels(r->data, split, r->p->label) : NULL;
  int64_t right = 0;
  if (!predicted || !labels) return 0;
  const int32_t *guess =
      (const int32_t *)(const void *)(r->arena + predicted->offset);
  for (int64_t i = 0; i < n; i++) right += guess[i] == labels[rows[i]];
  return right;
}

static bool tally_init(NetTally *t, const NetRun *r, DataError *e) {
  *t = (NetTally){0};
  if (!net_metrics_init(t, r->p, e)) return false;
  if (!r->p->label || !net_result(&r->p->evaluate, "predicted")) return true;
  t->n_classes = r->data->n_classes;
  t->class_rows = data_alloc(t->n_classes, sizeof *t->class_rows, e);
  t->class_right = data_alloc(t->n_classes, sizeof *t->class_right, e);
  return t->class_rows && t->class_right;
}

void net_tally_free(NetTally *t) {
  free(t->class_rows);
  free(t->class_right);
  net_metrics_free(t);
  *t = (NetTally){0};
}

double net_tally_loss(const NetTally *t) {
  return t->loss / t->weight;
}

double net_tally_accuracy(const NetTally *t) {
  return t->n_classes && t->rows ? (double)t->right / (double)t->rows : -1;
}

/* Adds what the function left in the arena for these n rows. */
static void tally_add(NetTally *t, const NetRun *r, DataSplitName split,
                      const int64_t *rows, int64_t n) {
  const NetFunction *f = &r->p->evaluate;
  const NetTensor *loss = net_result(f, "loss");
  const NetTensor *weight = net_result(f, "weight");
  for (int64_t i = 0; i < n; i++) {
    t->loss += net_element(r->arena, loss, i);
    t->weight += weight ? net_element(r->arena, weight, i) : 1;
  }
  const int32_t *labels =
      r->p->label ? data_labels(r->data, split, r->p->label) : NULL;
  t->rows += n;
  t->right += net_count_right(r, split, f, rows, n);
  net_metrics_add(t, r->p, r->arena, labels, rows, n);
  if (!t->n_classes || !labels) return;
  const NetTensor *predicted = net_result(f, "predicted");
  const int32_t *guess =
      (const int32_t *)(const void *)(r->arena + predicted->offset);
  for (int64_t i = 0; i < n; i++) {
    int32_t label = labels[rows[i]];
    t->class_rows[label]++;
    t->class_right[label] += guess[i] == label;
  }
}

int net_evaluate(NetRun *r, DataSplitName split, NetTally *t) {
  const NetFunction *f = &r->p->evaluate;
  DataError e = {0};
  int64_t n = r->data->split[split].rows;
  int64_t *rows = data_alloc(n, sizeof *rows, &e);
  int status = NET_DONE;
  if (!tally_init(t, r, &e) || !rows) {
    free(rows);
    return net_tell(r, &e);
  }
  data_order(r->data, split, false, r->seed, 0, rows);
  for (int64_t at = 0; at < n; at += f->batch) {
    int64_t real = n - at < f->batch ? n - at : f->batch;
    if (net_run_interrupted()) {
      status = NET_INTERRUPTED;
      break;
    }
    data_fill(r->data, split, rows + at, real, f, r->arena);
    r->scalars->count = (double)real;
    f->run(r->arena, r->pool);
    tally_add(t, r, split, rows + at, real);
    net_progress_test(&r->progress, data_split_name[split], at + real, n);
  }
  free(rows);
  return status;
}

static void print_tally(const NetRun *r, const NetTally *t) {
  char buffer[24];
  for (int64_t i = 0; i < t->n_classes; i++) {
    const char *name = data_class_name(r->data, i, buffer);
    if (!t->class_rows[i])
      printf("Accuracy of %5s :  - %% (none in the test)\n", name);
    else
      printf("Accuracy of %5s : %2d %%\n", name,
             (int)(100 * t->class_right[i] / t->class_rows[i]));
  }
  printf("Test loss: %.4f\n", net_tally_loss(t));
  if (t->n_classes)
    printf("Test accuracy: %.2f %% (%lld of %lld)\n",
           100 * net_tally_accuracy(t), (long long)t->right,
           (long long)t->rows);
  net_metrics_print(r->p, t, r->data);
}

int net_run_test(NetRun *r, int64_t step, int64_t epoch) {
  NetTally t = {0};
  int status = net_evaluate(r, DATA_TEST, &t);
  net_progress_clear(&r->progress);
  if (!status) {
    NetRecord line = {.step = step,
                      .epoch = epoch,
                      .split = data_split_name[DATA_TEST],
                      .loss = net_tally_loss(&t),
                      .accuracy = net_tally_accuracy(&t),
                      .lr = (double)NAN,
                      .program = r->p,
                      .tally = &t};
    print_tally(r, &t);
    net_log_write(&r->log, &line);
  } else if (status == NET_INTERRUPTED) {
    fprintf(stderr, "interrupted in the test\n");
  }
  net_tally_free(&t);
  return status;
}

int net_test(const NetProgram *p, const NetOptions *o) {
  NetRun r;
  int status = net_run_open(&r, p, o, NET_TEST);
  if (!status) {
    net_progress_init(&r.progress, o->quiet, 1, 1);
    net_run_listen();
    status = net_run_test(&r, 0, 0);
    net_run_quiet();
    if (!net_log_close(&r.log) && !status) status = NET_RESOURCE;
  }
  net_run_close(&r);
  return net_flush_results(status);
}
