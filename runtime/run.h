/* The run side of the runtime, shared by its own files alone: options, weights
 * on disk, the log, the progress line, and a Run, which is a program with its
 * arena, its data and its threads, ready to step. */
#ifndef NET_RUN_H
#define NET_RUN_H

#include "runtime/data.h"
#include "runtime/net.h"

#include <stdint.h>
#include <stdio.h>

/* Exit statuses, as the commands return them. */
enum {
  NET_DONE = 0,
  NET_MISTAKE = 1,
  NET_USAGE = 2,
  NET_RESOURCE = 3,
  NET_INTERRUPTED = 130
};

/* options.c */
/* Whether every option that was given means something to the command; if not,
 * tells on stderr which does not. */
bool net_options_reach(const NetOptions *o, NetCommand command);
/* Tells on stderr that `arg` is no option, and which one is near. */
void net_option_unknown(const char *arg);

/* text.c */

/* The shortest decimal form that reads back to the same number. JSON's too;
 * what is not finite comes out as null. */
enum { NET_NUMBER = 32 };
const char *net_number(double v, char buffer[NET_NUMBER]);
const char *net_number_f32(float v, char buffer[NET_NUMBER]);
/* The one of n names that is nearest to `name`, or NULL if none is near. */
const char *net_nearest(const char *name, const char *const *names, int64_t n);
/* Writes s as a JSON string. */
void net_json_string(FILE *f, const char *s);

/* tensor.c: sizes and elements of tensors of a program. */
int64_t net_type_size(int32_t type); /* bytes */
int64_t net_tensor_count(const NetTensor *t);
const NetTensor *net_result(const NetFunction *f, const char *name);
const NetTensor *net_input(const NetFunction *f, const char *name);
/* Element i of a tensor of floats. */
double net_element(const char *arena, const NetTensor *t, int64_t i);

/* safetensors.c: a file of named tensors. Byte order: little-endian. */
typedef struct NetSafeTensor {
  const char *name; /* borrowed from the header when reading */
  int32_t type;     /* NetType; -1: a type that programs do not have */
  int32_t rank;
  const char *type_name; /* as the file spells it: F32 */
  int64_t dim[NET_RANK];
  int64_t begin, bytes; /* in the file, from its start */
  const void *data;     /* writing: the elements */
} NetSafeTensor;

typedef struct NetSafeFile {
  int fd;
  int64_t n;
  NetSafeTensor *tensor; /* in the order of their bytes */
  void *header;          /* owns the names */
} NetSafeFile;

/* Opens the file and checks the whole of its header. On false nothing is held
 * and e tells what is wrong. */
bool net_safe_open(NetSafeFile *f, const char *path, DataError *e);
void net_safe_close(NetSafeFile *f);
const NetSafeTensor *net_safe_find(const NetSafeFile *f, const char *name);
/* Reads t->bytes bytes. */
bool net_safe_read(const NetSafeFile *f, const NetSafeTensor *t, void *to,
                   const char *path, DataError *e);
/* Writes n tensors (it sorts them) so that path holds either what it held or
 * all of the new file, whenever the process or the machine stops. */
bool net_safe_write(const char *path, NetSafeTensor *tensors, int64_t n,
                    DataError *e);
/* The same with n_meta texts in the header; and one of them, or NULL. */
typedef struct NetSafeMeta {
  const char *key, *text;
} NetSafeMeta;
bool net_safe_write_meta(const char *path, NetSafeTensor *tensors, int64_t n,
                         const NetSafeMeta *meta, int n_meta, DataError *e);
const char *net_safe_meta(const NetSafeFile *f, const char *key);

/* weights.c: parameters and layer states of a program, by name. */
bool net_weights_save(const NetProgram *p, const char *arena, const char *path,
                      DataError *e);
/* Changes nothing in the arena unless the whole file fits the program. */
bool net_weights_load(const NetProgram *p, char *arena, const char *path,
                      DataError *e);
/* The same through `init`, NULL for none: its name maps hold where the file does
 * not have all of the program's own names. With `part` what the file lacks is
 * left as it is, and `told` (NULL or a buffer) says what that was, "" if all
 * was there. */
enum { NET_TOLD = 512 };
bool net_weights_start(const NetProgram *p, char *arena, const char *path,
                       const NetInit *init, bool part, char told[NET_TOLD],
                       DataError *e);
/* Their bytes, packed, and the copy there (`back`: from there to the arena). */
int64_t net_weights_bytes(const NetProgram *p);
void net_weights_copy(const NetProgram *p, char *arena, char *packed,
                      bool back);
/* Parameters and layer states: what weights are. */
bool net_is_weight(const NetTensor *v);
/* A weight that is not finite or, with `all`, an optimiser's state that is not a
 * number; NULL: none. net_weights_sound tells it as of a file that is not written. */
const NetTensor *net_weights_broken(const NetProgram *p, const char *arena,
                                    bool all);
bool net_weights_sound(const NetProgram *p, const char *arena, bool all,
                       const char *path, DataError *e);
NetSafeTensor net_weights_tensor(const NetTensor *v, const void *data);
/* Whether t has the type and the shape of v; and t's elements, to `to`. */
bool net_weights_fit(const NetTensor *v, const NetSafeTensor *t,
                     const char *path, DataError *e);
bool net_weights_read(const NetTensor *v, const NetSafeFile *f,
                      const NetSafeTensor *t, char *to, const char *path,
                      DataError *e);

/* names.c: which tensor of a file is meant by which variable: of[i], or NULL, is
 * that of p->vars[i]. Fails if names of the file mean nothing, unless `part`. */
bool net_names_match(const NetProgram *p, const NetSafeFile *f,
                     const char *path, const NetInit *init, bool part,
                     const NetSafeTensor **of, DataError *e);
/* A list of names that is told in a message: the first few of them. */
typedef struct NetNames {
  int64_t n;
  size_t at;
  char text[NET_TOLD];
} NetNames;
void net_names_add(NetNames *l, const char *name, const char *near);

/* metrics.c, test.c: what a pass over a split found. */
typedef struct NetMetricSum {
  double sum;            /* of metric.NAME, or of metric.NAME.error */
  int64_t rows, columns; /* r2: elements of a row's target */
  double *mean, *spread; /* r2: of each column, after Welford */
} NetMetricSum;
typedef struct NetTally {
  double loss, weight; /* sums over the rows */
  int64_t rows, right;
  int64_t n_classes; /* 0: none */
  int64_t *class_rows, *class_right;
  int32_t n_metrics;
  NetMetricSum *metric;
  int64_t side; /* of the confusion, 0: none; [label][predicted] */
  int64_t *confusion;
} NetTally;
/* Whether `evaluate` gives what the metrics of the program are made of. */
bool net_metrics_check(const NetProgram *p, DataError *e);
bool net_metrics_init(NetTally *t, const NetProgram *p, DataError *e);
void net_metrics_free(NetTally *t);
/* Adds n rows, whose labels (or NULL) are `labels[rows[i]]`. */
void net_metrics_add(NetTally *t, const NetProgram *p, const char *arena,
                     const int32_t *labels, const int64_t *rows, int64_t n);
/* The value of metric i; NaN for a confusion and where there were no rows. */
double net_metric(const NetProgram *p, const NetTally *t, int32_t i);
/* For standard output: `Test NAME: VALUE` each, and the table of counts. */
void net_metrics_print(const NetProgram *p, const NetTally *t,
                       const Dataset *d);
/* For the log: , "metrics": {"NAME": VALUE, ..}. */
void net_metrics_log(FILE *f, const NetProgram *p, const NetTally *t);
/* A number as results show it: four places, more digits where it is small. */
const char *net_number_short(double v, char buffer[NET_NUMBER]);

/* log.c: JSON lines. */
typedef struct NetRecord {
  int64_t step, epoch; /* of the update, both from 0 */
  const char *split;
  double loss;
  bool has_penalty; /* penalty, penalty_total and total are there */
  int n_penalties;
  const char **names;
  const double *penalties;
  double total;
  double accuracy; /* 0 to 1; below 0: none */
  double lr;       /* NaN: none */
  const NetProgram *program; /* with tally: the metrics; or NULL */
  const NetTally *tally;
} NetRecord;
typedef struct NetLog {
  FILE *file; /* NULL: no log, or none any more */
  const char *path;
  bool failed;
} NetLog;
/* Opens the file and cuts it off behind `bytes`, what a run that is resumed had
 * written there; it goes on at the end of a file that looks otherwise. path
 * NULL is no log. */
bool net_log_open(NetLog *l, const char *path, int64_t bytes, DataError *e);
int64_t net_log_bytes(const NetLog *l); /* written so far */
/* Writes a line. If that fails it is told once on stderr, and the log ends. */
void net_log_write(NetLog *l, const NetRecord *r);
bool net_log_close(NetLog *l); /* false: some of it could not be written */

/* progress.c: what stderr shows while a run goes on. */
typedef struct NetProgress {
  bool on, terminal;
  bool drawn; /* a line stands on the terminal, without a line's end */
  double start, last; /* seconds */
  int64_t epochs, batches; /* of the run; of an epoch */
  double validation;       /* the last validation loss; NaN: none */
  double done_before;      /* by a run that this one goes on from: batches */
  int64_t samples_before;  /* and samples */
} NetProgress;
double net_seconds(void); /* of a clock that only goes on */
/* Where the run is: `batch` batches of `epoch` (from 0) are done, `samples` in
 * all; loss and accuracy (0 to 1; below 0: none) are the epoch's means. */
typedef struct NetPlace {
  int64_t epoch, batch, samples;
  double loss, accuracy;
} NetPlace;
void net_progress_init(NetProgress *g, bool quiet, int64_t epochs,
                       int64_t batches);
void net_progress_step(NetProgress *g, const NetPlace *at);
void net_progress_epoch(NetProgress *g, const NetPlace *at);
void net_progress_test(NetProgress *g, const char *split, int64_t done,
                       int64_t rows);
/* Clears the line, so that something else can be printed. */
void net_progress_clear(NetProgress *g);

/* What a training is, beside the arena, between two steps: with it, from a
 * checkpoint, a run goes on as if it had never been stopped. */
typedef struct NetSums { /* over batches; `samples` and `right` over rows */
  double loss, total;
  int64_t batches, samples, right;
} NetSums;
typedef struct NetCounter { /* of one watch */
  double best;   /* NaN: nothing yet */
  int64_t epoch; /* of the best */
  int64_t since; /* epochs without an improvement */
} NetCounter;
enum { NET_STOP, NET_PLATEAU, NET_KEEP, NET_WATCHES };
typedef struct NetState {
  int64_t epochs; /* in all */
  int64_t step, epoch, batch, samples; /* done; step: batches in all; batch:
                                           of the epoch */
  NetSums interval, whole; /* since the last line; of the epoch */
  NetCounter watch[NET_WATCHES];
  double validation; /* the last loss; NaN: none */
  int64_t plateau;   /* how often its patience ran out */
  int64_t stopped;   /* 1: by `stop` */
  int64_t log_bytes; /* of the log at that time */
} NetState;

/* checkpoint.c: the header of a checkpoint. */
typedef struct NetResume {
  const char *path; /* NULL: not resumed */
  NetSafeFile file;
  NetState state;
  uint64_t seed, data;
  int64_t rows;
} NetResume;

/* run.c */
typedef struct NetRun {
  const NetProgram *p;
  const NetOptions *o;
  Dataset *data;
  char *arena;
  NetScalars *scalars; /* in the arena */
  NetPool *pool;
  uint64_t seed;
  NetLog log;
  NetProgress progress;
  NetResume resume;
  double checked; /* when the data were, by net_seconds */
} NetRun;
/* Opens the data, checks that it fits the function, and makes the arena with
 * the first weights in it. Returns the exit status, all told on stderr; after
 * any of them net_run_close frees what there is. */
int net_run_open(NetRun *r, const NetProgram *p, const NetOptions *o,
                 NetCommand command);
void net_run_close(NetRun *r);
/* Prints "error: ..." on stderr, below the progress line; returns its status. */
int net_tell(NetRun *r, const DataError *e);
/* What was printed is out, or else it is told and status 0 becomes 3. */
int net_flush_results(int status);
/* From here to net_run_quiet the first Ctrl-C (SIGINT) or SIGTERM makes
 * net_run_interrupted true and the second ends the process with 130; while a run
 * is opened, the first does. */
void net_run_listen(void);
void net_run_quiet(void);
bool net_run_interrupted(void);

/* test.c */
/* Evaluates every row of the split. Returns an exit status, told on stderr. */
int net_evaluate(NetRun *r, DataSplitName split, NetTally *t);
void net_tally_free(NetTally *t);
double net_tally_loss(const NetTally *t);
double net_tally_accuracy(const NetTally *t); /* 0 to 1, or -1 */
/* Evaluates the split `test`, prints the lines about it and logs it. */
int net_run_test(NetRun *r, int64_t step, int64_t epoch);
/* The rows of n that were predicted as the labels of the data say. */
int64_t net_count_right(const NetRun *r, DataSplitName split,
                        const NetFunction *f, const int64_t *rows, int64_t n);

/* train.c */
typedef struct NetTraining {
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
  DataStream *stream;
  bool classes;
  NetState s;
  char *best;                /* weights, packed; NULL: nothing is kept */
  int lost;                  /* why the last checkpoint could not be written */
  struct NetTarget *target;  /* NET_WATCHES of them */
  double waited, stepped, tested, begun; /* seconds, of the epoch */
  char *before;              /* the variables that the epoch began with, */
  int64_t before_batch;      /* before that batch of it; NULL: too many */
} NetTraining;

/* The number of the update, from 0, that the last batch belonged to. */
int64_t net_last_update(const NetTraining *t);
/* What the functions read in the step of that number, from `count` real rows. */
NetScalars net_scalars_of(const NetTraining *t, int64_t step, int64_t count);

/* trace.c: called at the beginning of each epoch; */
bool net_trace_init(NetTraining *t, DataError *e);
void net_trace_keep(NetTraining *t);
/* and when a loss or a weight is not finite: finds the step of this epoch that
 * made it so, and tells or writes what is needed to name the operation. Leaves the
 * arena as it was before that step. */
void net_trace(NetTraining *t);
/* replay.c: a step that is about to be made: variables, inputs and scalars. */
bool net_replay_save(const NetProgram *p, const char *arena, const char *path,
                     DataError *e);
bool net_replay_load(const NetProgram *p, char *arena, const char *path,
                     DataError *e);

/* watch.c: what is told and decided at the end of each epoch. Finds what the
 * watches of the program watch, and allocates what they need. */
bool net_watch_init(NetTraining *t, DataError *e);
void net_watch_free(NetTraining *t);
/* Evaluates what the epoch's end asks for, logs and prints it, and lets the
 * watches act: s.stopped, s.plateau, the best weights. Returns an exit status;
 * an error is told. */
int net_watch_epoch(NetTraining *t);
/* Puts the best weights back, if any were kept, and says so. */
void net_watch_restore(NetTraining *t);
/* Whether best weights are there. */
bool net_watch_kept(const NetTraining *t);

/* checkpoint.c: all that a training needs to go on, in one file. */
bool net_checkpoint_save(const NetTraining *t, const char *path, DataError *e);
/* Opens the file and checks that it is a checkpoint of this program; sets the
 * seed of the run. net_run_close closes it. */
bool net_checkpoint_open(NetRun *r, const char *path, DataError *e);
/* Puts what the open file holds into the training; its data must be the same. */
bool net_checkpoint_load(NetTraining *t, DataError *e);
/* Whether the file is one, and the beginnings of its names that are no weights
 * (or take their place). */
bool net_is_checkpoint(const NetSafeFile *f);
extern const char NET_BEST[]; /* best/ */
extern const char NET_RUN[];  /* run/ */

#endif
