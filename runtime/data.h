/* The data side of the runtime: a data set is opened whole, checked whole and
 * held in memory; then it gives orders of rows and fills batches.
 *
 *   Dataset *d;
 *   DataError e;
 *   if ((status = data_open(&d, &p->data, o->data, seed, &e))) ... e.text
 *   if (!data_fits(d, &p->train, &e)) ...
 *   int64_t n = d->split[DATA_TRAIN].rows, *rows = malloc(n * sizeof *rows);
 *   data_order(d, DATA_TRAIN, shuffle, seed, epoch, rows);
 *   for (i = 0; i < n; i += batch) {
 *     real = n - i < batch ? n - i : batch;   -> NetScalars.count
 *     data_fill(d, DATA_TRAIN, rows + i, real, &p->train, arena);
 *   }
 *   data_close(d);
 *
 * All that comes from files is untrusted: sizes are checked before anything is
 * allocated. Nothing is printed here: errors are texts for the caller.
 *
 * To add a reader: one file that defines `const DataReader reader_NAME`, and
 * one row in readers.def. The row is all that names it: readers.c makes the
 * table `data_readers` of it, which is the only reference to the reader's
 * object. So a program that is to carry some readers alone (and not, say, the
 * zlib of another) defines a `data_readers` of its own; the linker then leaves
 * readers.o, and all readers that nothing names, in the archive. */
#ifndef NET_DATA_H
#define NET_DATA_H

#include "runtime/net.h"

#include <stddef.h>

/* Places of the runtime's own random draws (see philox.h): far above those of
 * the calls in a program. */
enum {
  PLACE_ORDER = 0x7FFF0001,  /* counter: position, its high word, epoch */
  PLACE_SHAPES = 0x7FFF0002, /* counter: number of the draw, sample, split */
  PLACE_VALIDATION = 0x7FFF0003,
  PLACE_AUGMENT = 0x7FFF0004
};

/* What went wrong, told with file, record and value. status: 0 nothing, 1 the
 * user's mistake, 3 no memory or another resource. */
typedef struct DataError {
  int status;
  char text[640];
} DataError;

typedef enum DataSplitName {
  DATA_TRAIN, DATA_TEST, DATA_VALIDATION, DATA_SPLITS
} DataSplitName;
extern const char *const data_split_name[DATA_SPLITS]; /* train, test .. */

/* How a column lies in memory, a row after the other: pixels as they came
 * (scaled and normalised when a batch is filled), f32 (normalised already), or
 * i32; or it does not, but is made when a batch is filled: what `mixup` yields,
 * the class of the row that is mixed in and the share of the row itself. */
typedef enum DataStore {
  STORE_U8, STORE_F32, STORE_I32, STORE_MIXED, STORE_SHARE
} DataStore;

typedef struct DataColumn {
  NetField field;
  DataStore store;
  int64_t count; /* elements a row */
  int64_t channels;  /* the first axis of a rank of 3, or else all is one */
  float *mean, *std; /* of each channel, as it was normalised: 0 and 1 if not */
  float *table; /* STORE_U8: channels x 256 values, what a pixel's byte means */
} DataColumn;

typedef struct DataSplit {
  int64_t rows;            /* 0: there is no such split */
  void *column[NET_FIELDS]; /* rows x count elements each */
  bool borrowed;           /* the columns belong to another split */
} DataSplit;

/* The entries of `augment`, with their arguments. */
typedef enum AugmentKind {
  AUGMENT_FLIP,   /* p */
  AUGMENT_CROP,   /* pad */
  AUGMENT_ROTATE, /* degrees */
  AUGMENT_JITTER, /* brightness, contrast, saturation, hue */
  AUGMENT_CUTOUT, /* size */
  AUGMENT_MIXUP,  /* alpha */
  AUGMENT_KINDS
} AugmentKind;

typedef struct DataAugment {
  AugmentKind kind;
  double amount[4];
} DataAugment;

/* What augment.c keeps: how the training part is changed. */
typedef struct DataAugmented {
  int n; /* 0: it is not */
  DataAugment entry[AUGMENT_KINDS]; /* in the order of the file */
  int column, label; /* of the pictures; of their classes, or -1 */
  double mixup;      /* its alpha; 0: there is none */
  uint64_t seed;
  float *raw;   /* what bytes mean before normalising; NULL: not needed */
  float *black; /* of each channel */
} DataAugmented;

typedef struct Dataset {
  int n_columns;
  DataColumn column[NET_FIELDS];
  DataSplit split[DATA_SPLITS];
  int64_t n_classes;  /* of the column with classes; 0: none has */
  char **class_names; /* n_classes of them, or NULL: see data_class_name */
  DataAugmented augmented;
} Dataset;

/* data.c */

/* Opens, reads and checks all of the data. `path` is what --data says: NULL,
 * a path that takes the place of the reader's (of the directory of each, where
 * the reader has several), or `name(...)`, a whole reader. `seed` draws what is
 * drawn. Returns 0 and the data set, or the exit status, with *out NULL and
 * the message in *e. A split `test` is always there. */
int data_open(Dataset **out, const NetData *data, const char *path,
              uint64_t seed, DataError *e);
/* For `predict FILE`: a data set whose split `test` is what FILE holds and that
 * has no other. FILE is a .npy array of rows of the first field (u8 for pixels
 * 0..255, or floats as the reader yields them), or what the reader itself can
 * read (cifar10: a .bin). Only the columns that the file has are there. Opens
 * the data as well where `normalize(standard)` needs its statistics. */
int data_open_file(Dataset **out, const NetData *data, const char *path,
                   const char *file, uint64_t seed, DataError *e);
void data_close(Dataset *d); /* NULL is nothing */

/* Whether the inputs of a compiled function are columns of d with the same
 * type and shape, and no more classes than it was compiled for. */
bool data_fits(const Dataset *d, const NetFunction *f, DataError *e);
/* The column of that name, or NULL. */
const DataColumn *data_column(const Dataset *d, const char *name);
/* The values of a column of integers (labels), a row each. */
const int32_t *data_labels(const Dataset *d, DataSplitName split,
                           const char *name);
/* The name of a class, from the data or, where it has none, its number written
 * into `buffer` (24 bytes). */
const char *data_class_name(const Dataset *d, int64_t number, char *buffer);

/* batch.c */

/* Writes the row numbers of the split in the order of that epoch: a seeded
 * draw (Fisher and Yates) or, without shuffle, 0 1 2 ... */
void data_order(const Dataset *d, DataSplitName split, bool shuffle,
                uint64_t seed, int64_t epoch, int64_t *rows);
/* Fills the inputs of f in the arena with n rows as they are, 1 <= n <=
 * f->batch; what is left of the batch repeats the last row. `data_fits` must
 * have said yes. */
void data_fill(const Dataset *d, DataSplitName split, const int64_t *rows,
               int64_t n, const NetFunction *f, char *arena);

/* stream.c: the batches of training, one after the other, augmented. Where
 * that is work, other threads prepare the next ones while a step runs; the
 * bits do not depend on how many threads there are.
 *
 *   DataStream *s = data_stream_new(d, f, pool, threads, &e);
 *   each epoch:
 *     data_stream_start(s, rows, n, epoch);
 *     while ((real = data_stream_next(s, arena)) > 0) ... one step
 *   data_stream_free(s);   at any time
 */
typedef struct DataStream DataStream;
/* f: what the batches are for. `pool` (or NULL) helps to fill them where no
 * other threads do; `threads` are those of the step, 0: one a core. NULL: no
 * memory, told in *e. All must outlive the stream. */
DataStream *data_stream_new(const Dataset *d, const NetFunction *f,
                            NetPool *pool, int threads, DataError *e);
/* From here on the batches are those of these n rows of the training part; what
 * was left of the batches before is dropped. `rows` must stay as it is until
 * the last batch is taken or the stream is freed. */
void data_stream_start(DataStream *s, const int64_t *rows, int64_t n,
                       int64_t epoch);
/* Fills the inputs in the arena with the next batch; returns how many of its
 * rows are real: what is left of the batch repeats the last one. 0: the rows
 * are used up. */
int64_t data_stream_next(DataStream *s, char *arena);
void data_stream_free(DataStream *s); /* NULL is nothing */

/* ---- For readers from here on ---- */

/* A parameter of a reader or of an entry. */
typedef enum ParamKind {
  PARAM_PATH,           /* a string that --data may replace */
  PARAM_WORD,           /* a string or bare word */
  PARAM_INTEGER,        /* a whole number in [low, high] */
  PARAM_NUMBER,         /* a number in [low, high] */
  PARAM_NUMBERS,        /* one number or a list, each in [low, high] */
  PARAM_SHARE,          /* a share of rows below 1, or a number of rows */
  PARAM_PATH_OR_SHARE,  /* or the path of another file, which --data moves */
  PARAM_WORD_OR_NUMBER,
  PARAM_COLUMNS         /* names, or numbers from 1; one or a list */
} ParamKind;

typedef struct DataParam {
  const char *name; /* NULL ends a list of parameters */
  ParamKind kind;
  bool required;
  double low, high, initial;
} DataParam;

/* The value of a parameter: `given` is false for one left at `initial`. */
typedef struct DataValue {
  bool given;
  const char *string; /* the first of strings; NULL: there are numbers */
  double number;      /* the first of numbers */
  int32_t n_numbers, n_strings;
  const double *numbers;
  const char *const *strings;
} DataValue;
enum { DATA_PARAMS = 10 };

typedef struct DataReader {
  const char *name;
  const DataParam *params;
  /* What it yields: opens files only if it cannot know otherwise. */
  bool (*fields)(const DataValue *v, NetField *fields, int *n, DataError *e);
  /* Sets the columns, splits and class names of an empty data set. What it
   * allocated before an error is freed by the caller, with the data set. */
  bool (*open)(Dataset *d, const DataValue *v, uint64_t seed, DataError *e);
  /* Reads a file of its own kind into the split `test`; NULL: it cannot. */
  bool (*open_file)(Dataset *d, const DataValue *v, const char *file,
                    DataError *e);
} DataReader;

/* readers.c: the last is NULL. */
extern const DataReader *const data_readers[];

/* args.c: gives each argument to its parameter. `what` is how messages call
 * the whole ("cifar10"). */
bool data_args(const char *what, const DataParam *params, const NetArg *args,
               int n_args, DataValue *v, DataError *e);
/* Parses `name(a, b = 1, c = [1, 2], d = "text", e = column(3))`. Frees nothing:
 * all lies in *out, which must outlive what is made of it. */
enum { DATA_NUMBERS = 64, DATA_TEXTS = 64 };
typedef struct DataText {
  NetData data;
  NetArg args[DATA_PARAMS];
  double numbers[DATA_NUMBERS];
  const char *strings[DATA_TEXTS];
  char text[1024];
} DataText;
bool data_looks_like_reader(const char *text);
bool data_parse(DataText *out, const char *text, DataError *e);

/* entries.c: the entries of a data block, checked. */
typedef struct DataEntries {
  bool normalize, standard; /* standard: by the statistics of the data */
  DataValue mean, std;
  double validation; /* a share below 1 or a number of rows; 0: none */
  int n_augment;
  DataAugment augment[AUGMENT_KINDS]; /* in the order of the file */
} DataEntries;
bool data_entries(const NetData *data, DataEntries *entries, DataError *e);

/* split.c */

/* How many of `rows` are meant by a share below 1 or a number; an error unless
 * that is at least 1 and leaves some. `what` names it in messages. */
bool data_share(const char *what, double share, int64_t rows, int64_t *n,
                DataError *e);
/* The last rows of the training part become the test; or the last of each
 * class, which has its share of them. */
bool data_split_test(Dataset *d, double share, bool each_class, DataError *e);
/* A seeded draw of the training part, stratified by class, becomes the
 * validation part. */
bool data_split_validation(Dataset *d, double share, uint64_t seed,
                           DataError *e);

/* augment.c */

/* Adds the fields that the entries make ("mixed" and "share", of mixup), and
 * says which field holds the pictures, -1: none; false if they do not fit. */
bool data_augment_fields(const DataEntries *entries, NetField *fields, int *n,
                         int *picture, DataError *e);
/* From here on the training part is augmented. Behind data_normalize. */
bool data_augment(Dataset *d, const DataEntries *entries, uint64_t seed,
                  DataError *e);
/* Floats of scratch memory that a row needs. */
int64_t data_augment_scratch(const Dataset *d);
/* Writes a row of the training part as the epoch has it; false, and nothing
 * written, if that is as it always is. */
bool data_augment_row(const Dataset *d, int column, int64_t row, int64_t epoch,
                      float *scratch, void *to);

/* batch.c */

/* Writes n rows of the training part as the epoch has them, for the inputs of
 * f, to to[input]. */
void data_fill_training(const Dataset *d, const int64_t *rows, int64_t n,
                        int64_t epoch, const NetFunction *f, float *scratch,
                        char *const *to);
/* Behind n rows, repeats the last one up to f->batch. */
void data_repeat_last(const Dataset *d, const NetFunction *f, int64_t n,
                      char *const *to);
/* Writes n rows as they are; `column` is of their split. */
void data_fill_rows(const DataColumn *c, const void *column,
                    const int64_t *rows, int64_t n, char *to);
/* Shuffles n rows (Fisher and Yates). */
void data_shuffle(int64_t *rows, int64_t n, uint64_t seed, int64_t epoch,
                  uint32_t place);

/* data.c: which reader is meant and with which arguments, after --data. */
typedef struct DataSource {
  const DataReader *reader;
  DataValue v[DATA_PARAMS];
  char *joined[DATA_PARAMS]; /* allocated: paths that --data changed */
  DataText text;
} DataSource;
bool data_source(DataSource *s, const NetData *data, const char *path,
                 DataError *e);
void data_source_free(DataSource *s);

/* normalize.c */

/* The channels of a field: its first axis where it has rank 3 (an image) or 1
 * (features), otherwise 1. */
int64_t data_channels(const NetField *f);
/* Says which field is normalised (the first of real numbers), -1 if none is to
 * be; false if the numbers do not fit it. */
bool data_normalized_field(const NetField *const *fields, int n_fields,
                           const DataEntries *entries, int *which,
                           DataError *e);
/* Makes the tables of pixels and normalises what is f32, in place. `of` is the
 * data set whose training part `standard` measures. */
bool data_normalize(Dataset *d, const DataEntries *entries, const Dataset *of,
                    DataError *e);

/* npy.c: the array of an .npy file: a row for each index of its first axis.
 * Sets type, rank and dims of c->field, c->store and c->count, and allocates
 * *values, also before some errors. Floats become f32; whole numbers i32 from 0
 * up, or with `pixels`, if they are bytes, STORE_U8 of a field of f32. */
bool npy_read(const char *file, bool pixels, DataColumn *c, void **values,
              int64_t *rows, DataError *e);

/* data_util.c: each returns false (NULL), so that callers return it. */
bool data_fail(DataError *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool data_no_memory(DataError *e);
/* text.c: what errno says of the path, as an error: of a resource that has run
 * out (memory, a disk), or else of the user. */
bool net_fail_errno(DataError *e, const char *path, const char *what);
/* a x b into *product; false if it is over 2^62 or one is negative. */
bool data_product(int64_t a, int64_t b, int64_t *product);
/* count x size bytes, zeroed where `zero`; never NULL for a count of 0. */
void *data_alloc(int64_t count, int64_t size, DataError *e);
/* folder/name, allocated. */
char *data_join(const char *folder, const char *name, DataError *e);
/* A list of names or paths, all allocated. */
typedef struct DataNames {
  int64_t n, capacity;
  char **name;
} DataNames;
/* Adds folder/name, or `name` where the folder is "". */
bool data_names_add(DataNames *names, const char *folder, const char *name,
                    DataError *e);
void data_names_free(DataNames *names);
/* Adds what the folder holds, by the order of bytes, but for names that begin
 * with a dot. */
bool data_folder(DataNames *names, const char *folder, DataError *e);
/* Opens a file to read and tells its size in bytes; a folder, a pipe or a
 * missing file is an error. */
FILE *data_file(const char *path, int64_t *bytes, DataError *e);
/* Adds a column; `store` says what the reader will put into the splits. */
DataColumn *data_add_column(Dataset *d, const NetField *f, DataStore store);
NetField data_field(const char *name, NetType type, int rank,
                    const int64_t *dim, int64_t classes);

#endif
