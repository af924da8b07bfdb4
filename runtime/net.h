/* The public header of the runtime, and the ABI of compiled programs.
 *
 * A compiled program is a NetProgram: constant tables and up to four functions.
 * Everything the functions touch lies in one arena, which the runtime allocates
 * (64-byte aligned, zeroed): parameters and states, then the scalars, then
 * inputs, results and temporaries. Offsets are bytes from the arena's start.
 * `netc run` fills a NetProgram in memory; `netc build` emits the same tables
 * as constants, with `net_program` as their symbol, and links main.o.
 *
 * Numbers in memory: f32 and f64 IEEE, i32, u32; i1 one byte, 0 or 1. */
#ifndef NET_H
#define NET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { NET_ABI = 5 }; /* raised whenever a struct below changes */

/* Same order as the compiler's DType. */
typedef enum NetType { NET_F32, NET_F64, NET_I32, NET_U32, NET_I1 } NetType;
typedef enum NetVarKind {
  NET_WEIGHT, NET_BIAS, NET_SCALE, NET_LAYER_STATE, NET_OPTIMIZER_STATE
} NetVarKind;

enum { NET_RANK = 12 };

/* A tensor in the arena: a parameter, a state, an input or a result. */
typedef struct NetTensor {
  const char *name;
  int32_t kind; /* variables: NetVarKind; inputs: n of class[n], or 0 */
  int32_t type; /* NetType */
  int32_t rank;
  int32_t sample; /* 1: the first axis is the batch */
  int64_t dim[NET_RANK];
  int64_t offset;
} NetTensor;

/* What a kernel looks like: it does the pieces [begin, end). */
typedef void NetPiece(char *arena, int64_t begin, int64_t end);
typedef struct NetPool NetPool;

/* A compiled function. init: sets all parameters and states. train: one update
 * from one batch, or its share of one. evaluate: losses and predictions of one
 * batch. predict: the outputs of one batch. `pool` may be NULL: one thread.
 *
 * Names of results:
 *   train     loss f32[] (mean over the real samples), penalty.NAME f32[] each,
 *             total f32[], lr f64[], predicted i32[B] where there are classes
 *   evaluate  loss f32[B] (each sample's, times its weight), weight f32[B],
 *             predicted i32[B] where there are classes
 *   predict   output f32[B, ..], predicted i32[B] where there are classes */
typedef struct NetFunction {
  void (*run)(char *arena, NetPool *pool); /* NULL: the program has none */
  int64_t batch;
  int32_t n_inputs, n_results;
  const NetTensor *inputs, *results; /* inputs are fields of the data, by name */
} NetFunction;

/* The scalars, as they lie in the arena at `scalars`. */
typedef struct NetScalars {
  double step, epoch, progress; /* step: batches; progress: step / all */
  double count;                 /* real samples in this batch */
  double plateau;               /* how often the patience of `plateau` ran out */
  uint64_t seed;
} NetScalars;

/* An argument of a data reader or of one of its entries. */
typedef struct NetArg {
  const char *name;   /* "" for a positional one */
  const char *string; /* or NULL: numbers, or a list of texts */
  int32_t n_numbers, n_strings;
  const double *numbers; /* a flag is 0 or 1 */
  const char *const *strings;
} NetArg;

/* An entry in the block of `data`: normalize(..), validation = n (one argument),
 * or, with `in_augment`, an entry of `augment`. */
typedef struct NetDataEntry {
  const char *name;
  int32_t in_augment, n_args;
  const NetArg *args;
} NetDataEntry;

typedef struct NetData {
  const char *reader; /* cifar10, shapes, npy .. */
  int32_t n_args, n_entries;
  const NetArg *args;
  const NetDataEntry *entries;
} NetData;

/* What is watched at the end of each epoch: `on` is SPLIT.WHAT with SPLIT train,
 * validation or test and WHAT loss, total, accuracy or a metric's name; less is
 * better but for accuracy and for metrics that say `more`. */
typedef struct NetWatch {
  const char *on;   /* NULL: nothing */
  int64_t patience; /* epochs without an improvement */
  double delta;     /* what counts as one */
} NetWatch;

/* A number that evaluation reports beside the loss, from results of evaluate:
 *   mean       metric.NAME f32[B], the mean over the samples
 *   root       the square root of that mean
 *   r2         metric.NAME.error f32[B] (sums of squared errors) and
 *              metric.NAME.target f32[B, ..]
 *   confusion  from `predicted` and the label: a table of counts */
typedef enum NetMetricKind {
  NET_MEAN, NET_ROOT, NET_R2, NET_CONFUSION
} NetMetricKind;
typedef struct NetMetric {
  const char *name;
  int32_t kind, more; /* more: larger is better */
} NetMetric;

/* A file of weights to start from: a name of the file that begins with `from`
 * (up to a '.' or its end) stands for the program's that begins with `to`;
 * both "" for all. `part`: names that the file lacks keep their first values,
 * and names that only the file has are passed over. */
typedef struct NetInit {
  const char *file;
  int32_t n_maps, part;
  const char *const *from, *const *to;
} NetInit;

typedef struct NetProgram {
  int32_t abi; /* NET_ABI */
  int32_t shuffle;
  const char *name;  /* of the source file, without directory and .net */
  const char *variant; /* of the file, that was compiled; NULL: the file itself */
  const char *label; /* the field that holds classes, or NULL */
  NetInit init;      /* the train section's `init`; file NULL: none */
  NetWatch stop, plateau, keep; /* keep: the best weights, saved and tested */
  int64_t epochs, batch;
  int64_t accumulate; /* batches, and so calls of `train`, in an update */
  uint64_t seed, hash; /* hash: of what the functions compute */
  int64_t arena_bytes, scalars; /* scalars: offset of NetScalars */
  int32_t n_vars;
  const NetTensor *vars;
  int32_t n_metrics;
  const NetMetric *metrics;
  NetData data;
  NetFunction init_fn, train, evaluate, predict;
} NetProgram;

/* What `netc run` does about numbers that are not finite: it gets the arena as it
 * was before the step that made them, and tells on stderr where they come from. */
typedef void NetTracer(void *context, const NetProgram *p, const char *arena);

/* options.c: the options that `netc run` and executables share. */
typedef struct NetOptions {
  const char *data, *init, *save, *log; /* NULL: not given */
  const char *resume, *checkpoint;
  const char *output;                   /* predict: -o, NULL is stdout */
  const char *file; /* predict: of the inputs; not an option, but a word */
  int64_t epochs;                       /* -1: as the program says */
  int64_t print_every;                  /* batches; 2000 */
  int64_t checkpoint_every;             /* epochs; 1 */
  int32_t threads;                      /* 0: one a core */
  bool has_seed, quiet, verbose;
  uint64_t seed;
  NetTracer *trace; /* not an option; NULL in executables, which write a file */
  void *trace_context;
} NetOptions;
void net_options_init(NetOptions *o);
/* Takes argv[*at] (and its value) if it is one of these options and moves *at
 * past it. 1 taken; 0 not one of these; -1 wrong use, told on stderr. */
int net_option(NetOptions *o, int argc, char **argv, int *at);
/* Lists those that mean something to one of the commands: a sum of NetCommands. */
typedef enum NetCommand {
  NET_TRAIN = 1, NET_TEST = 2, NET_PREDICT = 4
} NetCommand;
void net_options_help(int commands, FILE *out);

/* fields.c: what a reader yields, for the compiler. Tells what is wrong in
 * `message` and returns false. Opens files only where shapes are not known
 * without them (npy). `path` takes the place of the reader's path, or of the
 * whole reader if it looks like `name(...)`; NULL: as the data says. */
enum { NET_FIELDS = 8 };
typedef struct NetField {
  char name[64];
  int32_t type;    /* NetType */
  int32_t rank;    /* of one sample */
  int64_t dim[NET_RANK];
  int64_t classes; /* > 0: class[classes], an i32 */
} NetField;
bool net_data_fields(const NetData *data, const char *path, NetField *fields,
                     int *n_fields, char *message, int size);
/* The readers; the last has no name. A program's object defines `const DataReader
 * *const data_readers[]` (runtime/data.h): the addresses of `reader_NAME` for its
 * own and for those that are always there, and NULL. */
typedef struct NetReader {
  const char *name;
  bool always;
  const char *libraries; /* for the linker: "-lpng -lz", or "" */
} NetReader;
extern const NetReader net_readers[];
/* The entries of the readers' blocks; the last is NULL. */
extern const char *const net_entry_names[];

/* train.c, test.c, predict.c: each returns the exit status: 0 done, 1 the user's
 * mistake (told on stderr), 2 an option that means nothing to the command or one
 * that lacks, 3 no memory or another resource, 130 interrupted. */
int net_train(const NetProgram *p, const NetOptions *o);
int net_test(const NetProgram *p, const NetOptions *o);
int net_predict(const NetProgram *p, const NetOptions *o);
/* The `main` of an executable: train, or `test`, or `predict`. */
int net_main(const NetProgram *p, int argc, char **argv);

/* pool.c: the threads. Compiled code calls `net_parallel`, and from a piece of
 * `pieces` `net_slot`: a number below `pieces` that no piece running at the same
 * time has, and that is the same for all that a thread does if there are no more
 * threads than pieces. */
NetPool *net_pool_new(int threads); /* NULL if threads is 1 */
void net_pool_free(NetPool *pool);
void net_parallel(NetPool *pool, NetPiece *fn, char *arena, int64_t pieces);
int64_t net_slot(int64_t piece, int64_t pieces);

#endif
