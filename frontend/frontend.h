/* The front end: from the text of a .net file to a Module of graphs and to what
 * the run needs to know. Reference: LANGUAGE.md. The driver includes this
 * header alone. */
#ifndef NETC_FRONTEND_H
#define NETC_FRONTEND_H

#include "ir/ir.h"

/* A `-D name=value`. */
typedef struct Define {
  const char *name, *value;
  bool used;
} Define;

/* A constant argument in the file: of the reader, of its entries. */
typedef struct DataArg {
  const char *name;   /* "" for a positional one */
  const char *string; /* a string or a bare word (standard), or NULL: */
  int n_numbers, n_strings; /* a number, or a list of one kind */
  double *numbers;
  const char **strings;
  Span span;
} DataArg;

typedef struct DataEntry {
  const char *name;
  bool in_augment;
  int n_args;
  DataArg *args;
  Span span;
} DataEntry;

typedef struct DataSpec {
  const char *reader;
  int n_args, n_entries;
  DataArg *args;
  DataEntry *entries;
  Span span;
} DataSpec;

/* A field that the data yields: the shape of one sample. */
typedef struct DataField {
  const char *name;
  Type type;
  int64_t classes; /* > 0: class[classes] */
} DataField;

typedef struct FrontOptions {
  int n_defines;
  Define *defines;
  const char *variant; /* NULL: the file as it stands */
  int64_t batch;       /* > 0: in place of the train section's */
  /* Works out the fields of the data; on failure adds a diagnostic and returns
   * false. Supplied by the driver, which asks the runtime's reader. */
  bool (*fields)(void *context, const DataSpec *data, DataField **fields,
                 int *n_fields, Diags *d);
  void *context;
} FrontOptions;

/* A parameter, for `netc summary`. */
typedef struct StageInfo {
  const char *name;  /* lenet.conv1 */
  const char *layer; /* conv */
  Type output;       /* of one sample */
  int64_t parameters;
} StageInfo;

/* The run's side of `train`, as runtime/net.h has it: see NetWatch, NetMetric and
 * NetInit there. */
typedef struct Watch {
  const char *on; /* validation.loss; NULL: nothing is watched */
  int64_t patience;
  double delta;
} Watch;
typedef enum MetricKind {
  METRIC_MEAN, METRIC_ROOT, METRIC_R2, METRIC_CONFUSION
} MetricKind;
typedef struct Metric {
  const char *name;
  MetricKind kind;
  bool more; /* larger is better */
} Metric;
typedef struct InitFrom {
  const char *file; /* NULL: none */
  bool part;
  int n_maps;
  const char **from, **to;
} InitFrom;

typedef struct Program {
  const char *name;       /* of the file, without directory and .net */
  Module *module;         /* init, train, evaluate, predict */
  DataSpec data;
  const char *label;      /* the field that holds classes, or NULL */
  InitFrom init;
  Watch stop, plateau, keep;
  int n_metrics;
  Metric *metrics;
  int64_t batch, epochs;
  int64_t accumulate; /* batches an update */
  uint64_t seed;
  bool shuffle;
  int n_stages;
  StageInfo *stages;
  int n_variants;
  const char **variants;
} Program;

/* source.c: reads a whole file (at most 16 MiB). NULL after a diagnostic. */
Source *source_read(Arena *a, Diags *d, const char *path);
Source *source_of_text(Arena *a, const char *path, const char *text);

typedef struct Ast Ast;

/* parser.y: NULL after diagnostics. */
Ast *parse(Arena *a, Diags *d, const Source *source);
/* ast_print.c: the tree, one node a line, indented, with line:column. */
void print_ast(Text *t, const Ast *ast);
/* fmt.c: the file that the tree came from in the one layout. `t` is empty. */
void print_formatted(Text *t, const Ast *ast);

/* lower.c: checks names, types and shapes and lowers to graphs. NULL after
 * diagnostics. */
Program *lower(Arena *a, Diags *d, const Ast *ast, FrontOptions *options);

#endif
