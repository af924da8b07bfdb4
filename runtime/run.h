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
typedef enum NetCommand {
  NET_TRAIN = 1, NET_TEST = 2, NET_PREDICT = 4
} NetCommand;
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
/* What errno says of the path, as an error: of a resource that has run out
 * (memory, a disk), or else of the user. Returns false. */
bool net_fail_errno(DataError *e, const char *path, const char *what);
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

/* weights.c: parameters and layer states of a program, by name. */
bool net_weights_save(const NetProgram *p, const char *arena, const char *path,
                      DataError *e);
/* Changes nothing in the arena unless the whole file fits the program. */
bool net_weights_load(const NetProgram *p, char *arena, const char *path,
                      DataError *e);

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
} NetRecord;
typedef struct NetLog {
  FILE *file; /* NULL: no log, or none any more */
  const char *path;
  bool failed;
} NetLog;
/* Opens the file, emptying it; path NULL is no log. */
bool net_log_open(NetLog *l, const char *path, DataError *e);
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
} NetProgress;
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
/* From here to net_run_quiet the first Ctrl-C makes net_run_interrupted true
 * and the second ends the process. */
void net_run_listen(void);
void net_run_quiet(void);
bool net_run_interrupted(void);

/* test.c: what a pass over a split found. */
typedef struct NetTally {
  double loss, weight; /* sums over the rows */
  int64_t rows, right;
  int64_t n_classes; /* 0: none */
  int64_t *class_rows, *class_right;
} NetTally;
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

#endif
