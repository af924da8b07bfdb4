/* The vocabulary of the compiler: arena, source locations, diagnostics, types,
 * the operation table, the graph, its text form, verifier and interpreter.
 * Reference: IR.md. Kernels, what passes make of graphs, are in kernel.h.
 *
 * Everything that a compilation makes lives in one arena and is freed with it.
 * Mistakes of the user go to a Diags list and work goes on; defects of the
 * compiler go to `defect`, which aborts with file and line. */
#ifndef NETC_IR_H
#define NETC_IR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* arena.c: memory that is freed all at once. Never returns NULL: when the
 * system has no memory, prints one line and exits with status 3. */
typedef struct Arena Arena;
Arena *arena_new(void);
void arena_free(Arena *a);
void arena_reset(Arena *a); /* as new */
/* All memory of `from` becomes part of `a`; `from` is gone. */
void arena_adopt(Arena *a, Arena *from);
void *arena_alloc(Arena *a, size_t bytes); /* zeroed, 16-byte aligned */
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_strdup(Arena *a, const char *s);
char *arena_printf(Arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Doubles the capacity of an array that is full: returns where it is now. */
void *arena_grow(Arena *a, void *array, int count, int *capacity, size_t size);

/* parallel.c: the cores that this process may use; jobs 0 to n - 1, on as many threads,
 * begun in that order. A job has an arena of its own. */
int cores_available(void);
void parallel_for(int n, void (*job)(void *context, int i), void *context);

/* A growing text, used by every printer. */
typedef struct Text {
  Arena *arena;
  char *s; /* always terminated; "" at first */
  int n, capacity;
} Text;
void text_init(Text *t, Arena *a);
void text_add(Text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The shortest decimal form that reads back to the same double. */
void text_add_number(Text *t, double v);

_Noreturn void defect_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define defect(...) defect_at(__FILE__, __LINE__, __VA_ARGS__)

/* diag.c: source files, spans, and the list of the user's mistakes. */
typedef struct Source {
  const char *path;  /* as the user wrote it; "<prelude>" for the prelude */
  const char *text;  /* terminated by NUL */
  size_t size;
} Source;

typedef struct Span { /* bytes [begin, end) of a source; source NULL: nowhere */
  const Source *source;
  uint32_t begin, end;
} Span;

typedef struct Diag Diag;
typedef struct Diags {
  Arena *arena;
  int errors, warnings;
  Diag *first, **last;
} Diags;

void diags_init(Diags *d, Arena *a);
/* Line and column, both from 1; a column counts bytes. */
void span_position(Span s, int *line, int *column);
/* Adds an error ("E0302"); the same code at the same span is told once. */
Diag *diag_error(Diags *d, const char *code, Span at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void diag_note(Diag *diag, Span at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void diag_help(Diag *diag, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Renders every diagnostic in order of position, with carets. */
void diags_print(const Diags *d, FILE *out);
/* The same as an array of JSON objects. */
void diags_print_json(const Diags *d, FILE *out);
/* The one of `names` (n of them) nearest to `name`, or NULL if none is near. */
const char *nearest_name(const char *name, const char *const *names, int n);

/* Where a node came from, as printed behind '@'. */
typedef struct Loc {
  const char *file; /* NULL: nowhere */
  int line, column;
  const char *stage; /* name of the pipeline stage, or NULL */
} Loc;
Loc loc_of_span(Arena *a, Span s, const char *stage);

/* Types */
typedef enum DType { T_F32, T_F64, T_I32, T_U32, T_I1, T_COUNT } DType;
extern const char *const dtype_name[T_COUNT];
extern const int dtype_size[T_COUNT]; /* bytes in memory; i1 takes one */
static inline bool dtype_is_float(DType t) { return t == T_F32 || t == T_F64; }

enum { MAX_RANK = 12 }; /* 8 for users; windows append axes */

typedef struct Type {
  DType dtype;
  int rank;
  int64_t dim[MAX_RANK];
} Type;
Type type_scalar(DType t);
Type type_of(DType t, int rank, const int64_t *dim);
bool type_equal(const Type *a, const Type *b);
bool shape_equal(const Type *a, const Type *b);
int64_t type_count(const Type *t); /* elements; 1 for a scalar */
void text_add_type(Text *t, const Type *type); /* f32[4,3] */

/* Operations */
typedef enum Op {
#define OP(op, text, operands, flags, attributes) OP_##op,
#include "ir/ops.def"
#undef OP
  OP_COUNT
} Op;

typedef struct OpInfo {
  const char *text;
  int operands; /* -1: two or more */
  const char *attributes;
  bool elementwise, commutes, view, reduces, leaf, costly;
} OpInfo;
extern const OpInfo op_info[OP_COUNT];
/* Leaves stand for many places; but an input is declared, and a random draw is
 * made, somewhere. */
static inline bool op_has_locs(Op op) {
  return !op_info[op].leaf || op == OP_INPUT || op == OP_RAND;
}

/* ops.c: the attribute column of an operation, word by word:
 * AttrField f = attr_fields(op); while (attr_next(&f)) .. */
typedef enum AttrKind { ATTR_NAME, ATTR_VALUE, ATTR_NUM, ATTR_AXES } AttrKind;
typedef struct AttrField {
  AttrKind kind;
  const char *word; /* `length` bytes, not terminated */
  int length;
  int num;          /* ATTR_NUM: which of Attr.num */
  const char *rest;
} AttrField;
static inline AttrField attr_fields(Op op) {
  return (AttrField){.num = -1, .rest = op_info[op].attributes};
}
bool attr_next(AttrField *f);
/* Which of Attr.num the attribute `word` is, or -1. */
int attr_index(Op op, const char *word);

/* Attributes of a node, named in the table's attribute column. Integers stand
 * in `num` in the table's order (without `name`, `value` and the list). */
enum { MAX_NUM = 4 };
typedef struct Attr {
  const char *name;
  double value;
  int64_t num[MAX_NUM];
  int n_axes;
  int64_t axes[MAX_RANK];
} Attr;

typedef struct Node Node;
struct Node {
  Op op;
  Type type;
  int id; /* index in the graph; greater than its operands' */
  int n_in;
  Node **in;
  Attr attr;
  int n_locs;
  Loc *locs;    /* no location twice; at most MAX_LOCS */
  Node *chain;  /* next node of the same hash */
};
enum { MAX_LOCS = 4 };
/* ops.c: the integer attribute `word`, which the operation must have. */
int64_t node_num(const Node *n, const char *word);

/* A function's result, or the new value of a parameter or state. The updates
 * of a function take place together, after everything has been read. */
typedef enum OutKind { OUT_RESULT, OUT_UPDATE_PARAM, OUT_UPDATE_STATE } OutKind;
typedef struct Output {
  OutKind kind;
  const char *name;
  Node *node;
} Output;

typedef struct Graph {
  Arena *arena;
  const char *name; /* init, train, evaluate, predict */
  int n_nodes, cap_nodes;
  Node **node;
  int n_outputs, cap_outputs;
  Output *output;
  int n_buckets;
  Node **bucket;
  Loc loc; /* given to the nodes that are made */
} Graph;

/* A parameter or state: what checkpoints and the run need to know of it. */
typedef enum VarKind {
  VAR_WEIGHT, VAR_BIAS, VAR_SCALE, /* parameters, by role */
  VAR_LAYER_STATE,                 /* a layer's state: saved with weights */
  VAR_OPTIMIZER_STATE              /* saved in checkpoints only */
} VarKind;
extern const char *const var_kind_name[];
typedef struct Var {
  const char *name;
  VarKind kind;
  Type type;
} Var;

enum { MAX_FUNCS = 4 }; /* init, train, evaluate, predict */

typedef struct Module {
  Arena *arena;
  int n_vars, cap_vars;
  Var *var; /* in order of declaration */
  int n_graphs;
  Graph *graph[MAX_FUNCS];
  int64_t limit; /* bytes that the plan may need; 0: any number */
  Span limit_at;
  Span objective; /* the user's loss, for messages; else nowhere */
} Module;

Module *module_new(Arena *a);
Var *module_add_var(Module *m, const char *name, VarKind kind, Type type);
Var *module_find_var(const Module *m, const char *name);
Graph *module_find_graph(const Module *m, const char *name);

/* graph.c: making nodes. A node equal to one that is there already is that one
 * (leaves too: a rand is its place). The makers check shapes: a violation is a
 * defect, so callers that read a user's text check first. */
Graph *graph_new(Arena *a, const char *name);
/* The general maker: works out the result type with `infer_type`. */
Node *graph_add(Graph *g, Op op, const Attr *attr, int n_in, Node *const *in,
                const Type *hint);
/* Adds a location to a node; leaves other than inputs carry none. */
void graph_add_loc(Graph *g, Node *n, Loc loc);
void graph_output(Graph *g, OutKind kind, const char *name, Node *n);

Node *graph_leaf(Graph *g, Op op, const char *name, Type type, bool sample);
Node *graph_const(Graph *g, double value, Type type);
Node *graph_iota(Graph *g, int axis, Type type);
Node *graph_rand(Graph *g, uint32_t place, bool sample, Type type);
Node *graph_unary(Graph *g, Op op, Node *a);
Node *graph_cast(Graph *g, Node *a, DType to); /* a itself if it is that */
Node *graph_binary(Graph *g, Op op, Node *a, Node *b); /* types must agree */
Node *graph_select(Graph *g, Node *c, Node *a, Node *b);
Node *graph_reshape(Graph *g, Node *a, int rank, const int64_t *dim);
Node *graph_permute(Graph *g, Node *a, const int *axes);
/* Operand axis i becomes axis axes[i] of a result of this shape. */
Node *graph_broadcast(Graph *g, Node *a, int rank, const int64_t *dim,
                      const int *axes);
/* Broadcasts a scalar (rank 0) to the shape of `like`. */
Node *graph_fill_like(Graph *g, Node *scalar, const Node *like);
Node *graph_slice(Graph *g, Node *a, int axis, int64_t start, int64_t step,
                  int64_t count);
Node *graph_window(Graph *g, Node *a, int axis, int64_t size, int64_t stride,
                   int64_t dilation);
Node *graph_fold(Graph *g, Node *a, int axis, int64_t extent, int64_t stride,
                 int64_t dilation);
Node *graph_pad(Graph *g, Node *a, int axis, int64_t before, int64_t after,
                double value);
Node *graph_concat(Graph *g, int n, Node *const *in, int axis);
/* op: OP_SUM, OP_RMAX or OP_ARGMAX. Axes in increasing order. */
Node *graph_reduce(Graph *g, Op op, Node *a, int n_axes, const int *axes);
Node *graph_dot(Graph *g, Node *a, Node *b, int batch, int contract);
Node *graph_gather(Graph *g, Node *table, Node *index, int batch);
Node *graph_scatter(Graph *g, Node *dy, Node *index, int batch, Type type);
Node *graph_grad(Graph *g, Node *objective, Node *wrt);

/* shape.c: the type of a result, from operands and attributes. `hint` is the
 * wanted type where the operation does not fix it (leaves, casts, reshapes,
 * broadcasts, the extent in slice and fold, scatter). Returns NULL if all is
 * well, or else what is wrong, as a sentence in the arena. */
/* No tensor has more elements: sizes in bytes then fit 64 bits with ease. */
#define MAX_COUNT ((int64_t)1 << 40)
/* NULL, or what is wrong with a type: its rank, an extent, its size. */
const char *check_type(Arena *a, const Type *t);
/* NULL, or why `value` is no value of the type. */
const char *check_value(Arena *a, double value, DType t);
const char *infer_type(Arena *a, Op op, const Attr *attr, int n_in,
                       Node *const *in, const Type *hint, Type *out);

/* verify.c: returns NULL, or the first violation found. */
const char *verify_module(Arena *a, const Module *m);
/* The same, and where: what does not apply is NULL. */
typedef struct Violation {
  const char *text; /* NULL: there is none */
  const Graph *graph;
  const Var *var;
  const Node *node;
  const Output *output;
} Violation;
Violation verify_find(Arena *a, const Module *m);

/* print.c, read.c: the text form, which reads back to the same text. */
void print_module(Text *t, const Module *m);
void print_graph(Text *t, const Graph *g);
void print_graph_dot(Text *t, const Graph *g); /* for graphviz */
/* A name, in quotes where it has characters that the text form could not do
 * without; `  @ LOCATIONS`; and ` : TYPE  @ LOCATIONS`, as every line ends. */
void text_add_name(Text *t, const char *name);
void text_add_locs(Text *t, int n_locs, const Loc *locs);
void text_add_ending(Text *t, const Type *type, int n_locs, const Loc *locs);
/* The characters of a name without quotes. */
bool is_name_char(char c);
/* NULL after a diagnostic. */
Module *read_module(Arena *a, Diags *d, const Source *source);

/* eval.c: the interpreter, in double precision: the oracle of every test. */
typedef struct EvalEnv {
  void *context;
  /* The value of a param, state, input or scalar: type_count doubles. */
  const double *(*leaf)(void *context, const Node *n);
  uint64_t seed;
  uint64_t step; /* for rand */
} EvalEnv;
/* Evaluates the nodes that `wanted` marks by id, f32 rounded as it is stored, and
 * gives each value to `see`; none is kept behind its last use. The operands of
 * what is wanted are wanted too. */
void eval_each(const Graph *g, const EvalEnv *env, const bool *wanted,
               void (*see)(void *context, const Node *n, const double *value));
/* Evaluates every node: the result is indexed by node id, values in the arena. */
double **eval_graph(Arena *a, const Graph *g, const EvalEnv *env);

#endif
