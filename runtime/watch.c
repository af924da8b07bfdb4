/* The end of an epoch: the parts of the data that have to be evaluated are, what
 * was found is logged and printed as one line, and what the program watches
 * acts on it:
 *
 *   stop     ends the training after `patience` epochs without an improvement
 *   plateau  counts how often that happened; the steps read the count
 *   keep     holds a copy of the best epoch's weights, which come back at the end
 *
 * A watched number that is not finite is no improvement. Programs that watch
 * nothing, on data without a validation part, print nothing here. */
#include "runtime/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What `on` names. */
typedef enum What { LOSS, TOTAL, ACCURACY, METRIC, WHATS } What;
typedef struct NetTarget {
  DataSplitName split;
  What what;
  int32_t metric;
  bool more; /* larger is better */
} NetTarget;

static const char *const watch_name[NET_WATCHES] = {
    [NET_STOP] = "stop", [NET_PLATEAU] = "plateau", [NET_KEEP] = "keep"};
static const char *const what_name[WHATS] = {
    [LOSS] = "loss", [TOTAL] = "total", [ACCURACY] = "accuracy"};

static const NetWatch *watch_of(const NetProgram *p, int i) {
  const NetWatch *const list[] = {[NET_STOP] = &p->stop,
                                  [NET_PLATEAU] = &p->plateau,
                                  [NET_KEEP] = &p->keep};
  return list[i];
}

/* ---- finding what is watched ---- */

/* Splits SPLIT.WHAT at the point. */
static bool find_split(const char *on, DataSplitName *split,
                       const char **what) {
  for (int i = 0; i < DATA_SPLITS; i++) {
    size_t n = strlen(data_split_name[i]);
    if (strncmp(on, data_split_name[i], n) || on[n] != '.') continue;
    *split = (DataSplitName)i;
    *what = on + n + 1;
    return true;
  }
  return false;
}

/* The names of what can be watched of that split, for the message. */
static bool unknown_what(const NetTraining *t, const NetWatch *w, int i,
                         DataSplitName split, DataError *e) {
  const NetProgram *p = t->r->p;
  NetNames list = {0};
  net_names_add(&list, what_name[LOSS], NULL);
  if (split == DATA_TRAIN) net_names_add(&list, what_name[TOTAL], NULL);
  if (t->classes) net_names_add(&list, what_name[ACCURACY], NULL);
  for (int32_t k = 0; split != DATA_TRAIN && k < p->n_metrics; k++)
    if (p->metrics[k].kind != NET_CONFUSION)
      net_names_add(&list, p->metrics[k].name, NULL);
  return data_fail(e, "`%s` watches %s, but of the %s part there is only: %s",
                   watch_name[i], w->on, data_split_name[split], list.text);
}

static bool find_what(const NetTraining *t, NetTarget *x, const char *what) {
  const NetProgram *p = t->r->p;
  bool trains = x->split == DATA_TRAIN;
  for (int i = 0; i < METRIC; i++)
    if (!strcmp(what, what_name[i])) {
      x->what = (What)i;
      x->more = i == ACCURACY;
      return i == LOSS || (i == TOTAL && trains) ||
             (i == ACCURACY && t->classes);
    }
  x->what = METRIC;
  for (int32_t i = 0; !trains && i < p->n_metrics; i++) {
    if (strcmp(what, p->metrics[i].name)) continue;
    x->metric = i;
    x->more = p->metrics[i].more != 0;
    return p->metrics[i].kind != NET_CONFUSION;
  }
  return false;
}

static bool find_target(NetTraining *t, int i, DataError *e) {
  const NetWatch *w = watch_of(t->r->p, i);
  NetTarget *x = &t->target[i];
  const char *what;
  if (!find_split(w->on, &x->split, &what))
    return data_fail(e, "`%s` watches %s, but the parts are train, validation "
                     "and test", watch_name[i], w->on);
  if (x->split == DATA_VALIDATION && !t->r->data->split[x->split].rows)
    return data_fail(e, "`%s` watches %s, but the data has no validation part: "
                     "`validation = 0.1` in its block makes one",
                     watch_name[i], w->on);
  if (x->split != DATA_TRAIN && !t->r->p->evaluate.run)
    return data_fail(e, "`%s` watches %s, but the program has no function "
                     "`evaluate`", watch_name[i], w->on);
  if (!find_what(t, x, what)) return unknown_what(t, w, i, x->split, e);
  if (x->split == DATA_TEST && !t->r->o->quiet)
    fprintf(stderr, "note: `%s` watches %s: what is chosen by the test is not "
            "tested by it\n", watch_name[i], w->on);
  return true;
}

bool net_watch_init(NetTraining *t, DataError *e) {
  const NetProgram *p = t->r->p;
  t->target = data_alloc(NET_WATCHES, sizeof *t->target, e);
  if (!t->target) return false;
  for (int i = 0; i < NET_WATCHES; i++) {
    t->s.watch[i].best = (double)NAN;
    if (watch_of(p, i)->on && !find_target(t, i, e)) return false;
  }
  if (!p->keep.on) return true;
  t->best = data_alloc(net_weights_bytes(p), 1, e);
  return t->best != NULL;
}

void net_watch_free(NetTraining *t) {
  free(t->target);
  free(t->best);
}

bool net_watch_kept(const NetTraining *t) {
  return t->best && !isnan(t->s.watch[NET_KEEP].best);
}

/* ---- evaluating ---- */

static bool watches(const NetTraining *t, DataSplitName split) {
  for (int i = 0; i < NET_WATCHES; i++)
    if (watch_of(t->r->p, i)->on && t->target[i].split == split) return true;
  return false;
}

static bool wanted(const NetTraining *t, DataSplitName split) {
  const NetRun *r = t->r;
  if (split == DATA_TRAIN || !r->data->split[split].rows) return false;
  return r->p->evaluate.run &&
         (split == DATA_VALIDATION || watches(t, split));
}

static int evaluate(NetTraining *t, DataSplitName split, NetTally *v) {
  NetRun *r = t->r;
  double start = net_seconds();
  int status = net_evaluate(r, split, v);
  t->tested += net_seconds() - start;
  if (status) return status;
  NetRecord line = {.step = net_last_update(t),
                    .epoch = t->s.epoch,
                    .split = data_split_name[split],
                    .loss = net_tally_loss(v),
                    .accuracy = net_tally_accuracy(v),
                    .lr = (double)NAN,
                    .program = r->p,
                    .tally = v};
  net_log_write(&r->log, &line);
  if (split == DATA_VALIDATION)
    t->s.validation = r->progress.validation = line.loss;
  return status;
}

/* ---- watching ---- */

static double watched(const NetTraining *t, const NetTally *tally,
                      const NetTarget *x) {
  const NetSums *s = &t->s.whole;
  const NetTally *v = &tally[x->split];
  bool trains = x->split == DATA_TRAIN;
  switch (x->what) {
  case LOSS:
    return trains ? s->loss / (double)s->batches : net_tally_loss(v);
  case TOTAL: return s->total / (double)s->batches;
  case ACCURACY:
    return trains ? (double)s->right / (double)s->samples
                  : net_tally_accuracy(v);
  case METRIC: return net_metric(t->r->p, v, x->metric);
  case WHATS: break;
  }
  return (double)NAN;
}

/* Counts the epoch; true if it is the best so far. */
static bool count(NetCounter *c, const NetWatch *w, bool more, double v,
                  int64_t epoch) {
  bool better = isfinite(v) && (isnan(c->best) ||
                                (more ? v > c->best + w->delta
                                      : v < c->best - w->delta));
  c->since = better ? 0 : c->since + 1;
  if (!better) return false;
  c->best = v;
  c->epoch = epoch;
  return true;
}

/* Weights that are not finite are not worth keeping, whatever their loss. */
static void act(NetTraining *t, const NetTally *tally, int i) {
  const NetProgram *p = t->r->p;
  const NetWatch *w = watch_of(p, i);
  NetCounter *c = &t->s.watch[i];
  DataError ignored;
  double v = watched(t, tally, &t->target[i]);
  if (i == NET_KEEP &&
      !net_weights_sound(p, t->r->arena, false, "", &ignored))
    v = (double)NAN;
  if (count(c, w, t->target[i].more, v, t->s.epoch)) {
    if (i == NET_KEEP) net_weights_copy(p, t->r->arena, t->best, false);
  } else if (i == NET_STOP) {
    t->s.stopped = c->since >= w->patience;
  } else if (i == NET_PLATEAU && c->since >= w->patience) {
    t->s.plateau++;
    c->since = 0;
  }
}

/* ---- telling ---- */

static void print_split(const NetTraining *t, DataSplitName split,
                        const NetTally *v) {
  const NetProgram *p = t->r->p;
  char number[NET_NUMBER];
  const char *name = data_split_name[split];
  printf(", %s loss %s", name, net_number_short(net_tally_loss(v), number));
  if (net_tally_accuracy(v) >= 0)
    printf(", accuracy %.2f %%", 100 * net_tally_accuracy(v));
  for (int32_t i = 0; i < p->n_metrics; i++)
    if (p->metrics[i].kind != NET_CONFUSION)
      printf(", %s %s", p->metrics[i].name,
             net_number_short(net_metric(p, v, i), number));
}

/* What the first watch that the program has says of the epoch. */
static void print_mark(const NetTraining *t, int64_t plateaus) {
  static const int order[] = {NET_STOP, NET_KEEP, NET_PLATEAU};
  const NetProgram *p = t->r->p;
  int i = 0;
  if (t->s.plateau > plateaus)
    printf(", plateau %lld", (long long)t->s.plateau);
  while (i < NET_WATCHES && !watch_of(p, order[i])->on) i++;
  if (i == NET_WATCHES) return;
  const NetCounter *c = &t->s.watch[order[i]];
  if (c->epoch == t->s.epoch && !isnan(c->best)) printf(", the best so far");
  else if (order[i] == NET_STOP)
    printf(", %lld of %lld without a better one", (long long)c->since,
           (long long)p->stop.patience);
}

static void print_epoch(const NetTraining *t, const NetTally *tally,
                        int64_t plateaus) {
  const NetSums *s = &t->s.whole;
  char number[NET_NUMBER];
  net_progress_clear(&t->r->progress);
  printf("Epoch %lld: train loss %s", (long long)t->s.epoch + 1,
         net_number_short(s->loss / (double)s->batches, number));
  if (wanted(t, DATA_VALIDATION))
    print_split(t, DATA_VALIDATION, &tally[DATA_VALIDATION]);
  if (wanted(t, DATA_TEST)) print_split(t, DATA_TEST, &tally[DATA_TEST]);
  print_mark(t, plateaus);
  putchar('\n');
  if (t->s.stopped)
    printf("Stopped: %s has not been better for %lld epoch%s\n",
           t->r->p->stop.on, (long long)t->r->p->stop.patience,
           t->r->p->stop.patience == 1 ? "" : "s");
  fflush(stdout);
}

int net_watch_epoch(NetTraining *t) {
  NetTally tally[DATA_SPLITS] = {0};
  int64_t plateaus = t->s.plateau;
  bool told = wanted(t, DATA_VALIDATION);
  int status = NET_DONE;
  for (int k = 0; k < DATA_SPLITS && !status; k++)
    if (wanted(t, (DataSplitName)k))
      status = evaluate(t, (DataSplitName)k, &tally[k]);
  for (int i = 0; i < NET_WATCHES && !status; i++) {
    if (!watch_of(t->r->p, i)->on) continue;
    told = true;
    act(t, tally, i);
  }
  if (!status && told) print_epoch(t, tally, plateaus);
  for (int k = 0; k < DATA_SPLITS; k++) net_tally_free(&tally[k]);
  return status;
}

void net_watch_restore(NetTraining *t) {
  const NetCounter *c = &t->s.watch[NET_KEEP];
  char number[NET_NUMBER];
  if (!net_watch_kept(t)) return;
  net_weights_copy(t->r->p, t->r->arena, t->best, true);
  printf("The weights are those of epoch %lld: %s %s\n",
         (long long)c->epoch + 1, t->r->p->keep.on,
         net_number_short(c->best, number));
}
