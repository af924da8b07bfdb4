/* What the files of lowering share. Lowering is partial evaluation of the tree:
 * numbers, shapes, flags, lists and definitions are worked out while compiling,
 * and what depends on parameters, data or the step becomes nodes of a graph.
 *
 *   lower.c          the four functions, and the Program
 *   lower_file.c     what a file declares: names, variants, -D, imports
 *   lower_check.c    what is declared but never used
 *   lower_value.c    values and how messages speak of them
 *   lower_math.c     arithmetic: folding, types, broadcasting
 *   lower_random.c   random values, whose shape is that of the place
 *   lower_dot.c      @ and einsum
 *   lower_scope.c    names inside a definition, evaluated when first used
 *   lower_expr.c     expressions
 *   lower_weighted.c losses with weights in arithmetic
 *   lower_prim.c     primitive functions: table and arguments
 *   lower_reduce.c   primitives that reduce
 *   lower_shape.c    primitives that move elements
 *   lower_call.c     calls of definitions: arguments
 *   lower_match.c    values against the shapes in a header
 *   lower_stage.c    pipelines, instances of layers and nets
 *   lower_site.c     the names of stages
 *   lower_set.c      parameters, states, and sets of them
 *   lower_data.c     the section `data`
 *   lower_train.c    the section `train`: objective and results
 *   lower_metrics.c  metrics: numbers that evaluation reports
 *   lower_run.c      what the run does: stop, keep, init, plateaus
 *   lower_update.c   gradients, clipping, the optimiser
 *   lower_average.c  updates of several batches, averages of weights
 *   lower_prox.c     penalties taken by their proximal rule
 *   lower_prune.c    a graph without its dead nodes
 *
 * Shapes of values are of one sample; in the graph a value that depends on the
 * sample has the batch as axis 0. */
#ifndef NETC_LOWER_H
#define NETC_LOWER_H

#include "frontend/ast.h"

enum {
  MAX_CALL_DEPTH = 64,     /* definitions that call each other */
  MAX_EVAL_DEPTH = 4000,   /* expressions within expressions, over all calls */
  MAX_CALLS = 10000,       /* calls of definitions in one function */
  MAX_REPEAT = 10000,
  MAX_IMPORTS = 100,
  MAX_USER_RANK = 8,
  EVAL_BATCH = 64          /* of evaluate and predict */
};
#define MAX_ELEMENTS ((int64_t)1 << 40)

typedef struct Value Value;
typedef struct Scope Scope;
typedef struct Instance Instance;
typedef struct File File;
typedef struct Lower Lower;

typedef struct Names { /* a map from names to anything */
  Arena *arena;
  int n, capacity;
  struct NameEntry {
    const char *key;
    void *value;
  } *entry;
} Names;
void names_init(Names *m, Arena *a);
void *names_get(const Names *m, const char *key);
/* Returns what was there before, which stays there, or NULL. */
void *names_add(Names *m, const char *key, void *value);

typedef struct Candidates { /* for "did you mean" */
  Arena *arena;
  int n, capacity;
  const char **name;
} Candidates;
void candidates_add(Candidates *c, const char *name);
void candidates_add_names(Candidates *c, const Names *m);

/* -- values */

typedef enum ValueKind {
  V_POISON,   /* after a mistake that was told: silences what follows */
  V_NUMBER,   /* known while compiling; `flag`: true or false */
  V_STRING,
  V_TENSOR,   /* a node */
  V_RANDOM,   /* random numbers that have no shape yet */
  V_LIST,
  V_SET,      /* parameters */
  V_STAGE,    /* a stage or net: callable, and the set of its parameters */
  V_BATCH,    /* the word `batch`: the implicit axis */
  V_WEIGHTED, /* weighted(value, w): a loss with its weight */
  V_SPLIT,    /* `string`: train, validation or test */
  V_WATCHED,  /* `string`: validation.loss, say */
  V_KIND_COUNT
} ValueKind;

/* A parameter: one for the whole module. */
typedef struct ParamInfo {
  const char *name; /* lenet.conv1.W */
  VarKind kind;
  Type type;
  uint64_t place;   /* address of the random bits of its initial value */
  int index;        /* among the parameters of the module */
} ParamInfo;

typedef struct Random Random;

struct Value {
  ValueKind kind;
  bool flag;
  double number;
  const char *string;
  Node *node;      /* V_TENSOR */
  Graph *graph;    /* that the node is in */
  bool sample;     /* axis 0 of the node is the batch */
  int64_t classes; /* > 0: class[classes] */
  Random *random;
  int n; /* V_LIST, V_SET, V_WEIGHTED: value and weight */
  const Value *const *item;
  ParamInfo *const *param;
  Instance *stage;
  Span from;         /* V_TENSOR: what made it, in the user's file, */
  const char *maker; /* and its name, for notes; NULL: no name */
};

/* -- files */

typedef struct Def {
  const Definition *ast;
  const Item *item;
  File *file;
  int index; /* among the definitions of its kind: an address for random bits */
} Def;

typedef struct Constant {
  const Item *item;
  File *file;
  int state; /* 0 not evaluated, 1 being evaluated, 2 done */
  const Value *value;
  const Expr *variant; /* of the chosen variant, or NULL */
  Define *define;      /* -D, or NULL */
} Constant;

struct File {
  const Ast *ast;
  bool prelude;
  Names defs[DEF_COUNT]; /* of Def */
  Names consts;          /* of Constant */
  int n_imports, cap_imports;
  File **import;
};

/* -- scopes: where names of a body are looked up */

typedef enum SlotKind {
  SLOT_VALUE, /* an argument that was given, or a name bound by a shape */
  SLOT_LAZY,  /* a default value or `name = value`: evaluated when first used */
  SLOT_PARAM, /* weight, bias, scale */
  SLOT_STATE
} SlotKind;

typedef struct Slot {
  SlotKind kind;
  int at;           /* its statement, or -1: a parameter of the definition */
  int state;        /* 0 not evaluated, 1 being evaluated, 2 done */
  bool read;        /* SLOT_STATE: somebody has asked for it */
  const Value *value;
  const Expr *expr; /* SLOT_LAZY */
  const Stmt *stmt;
  Span span;
} Slot;

typedef struct Update { /* `name <- value`, in the order of the text */
  int at, state;
  const Stmt *stmt;
  Slot *slot;
  const Value *value;
} Update;

struct Scope {
  Lower *L;
  File *file;
  const Def *def; /* NULL: train section or constant */
  const Scope *caller;
  Names slots; /* of Slot */
  int n_updates;
  Update *update;
  bool updates_apply; /* lines below `<-` read the new value */
  const ParamInfo *updating; /* in an optimiser: the parameter, or NULL */
  const char *owner;         /* before the names of its states */
  bool is_train;      /* fields, nets and sets are names here */
  bool sets;          /* weights, biases .. may be named here */
  DefKind prefer;     /* which space of names is asked first */
  Loc loc;            /* given to nodes that code of the prelude makes */
  Span site;          /* the call, in the user's file; else nowhere */
  const char *stage;  /* for locations; may be NULL */
  int depth, at;      /* calls; the statement that is being evaluated */
  struct Place {
    Instance *instance; /* that owns the stages met */
    uint64_t path;      /* address for random bits */
    int repeat;         /* which turn of the repeats around */
  } home, now;
};

/* -- instances */

/* A place in a body that makes a stage: a call of a layer, or a chain with a
 * name. In a repeat it makes several. */
typedef struct Site {
  const Expr *call;   /* or NULL: */
  const Stage *chain;
  const char *as;     /* NULL: gets a number */
  const char *kind;   /* conv; the name that is numbered */
  Span span;          /* of `as` */
  int count, index;   /* index: among the parent's sites */
  bool repeated;      /* in a repeat: `as b` gives b1, b2 .. */
  const char **name;  /* of each */
  Instance **made;
} Site;

typedef struct OwnParam { /* parameter or state of an instance */
  const Stmt *stmt;
  ParamInfo *info;
  Node *now; /* state: its value at this point of this graph */
  bool updated;
} OwnParam;

typedef struct SiteName { /* what a child of an instance is called */
  Site *site;
  int index;
} SiteName;

struct Instance {
  const char *name;  /* lenet.conv1 */
  const char *label; /* conv1: without the net; NULL for nets */
  const Def *def;    /* NULL: a chain or the train section */
  uint64_t hash;     /* address for the random bits of initial values */
  Scope *body;       /* the scope whose text has the sites */
  const Site *origin; /* that made it, or NULL */
  const Expr *call;  /* of the origin; its arguments are evaluated */
  Scope *outer;      /* in this scope, at this place */
  struct Place place;
  bool piped;        /* the call's first argument came from the left */
  int calls;         /* of a net, in this function */
  bool noted;        /* its parameters are counted in the summary */
  bool busy;         /* of a chain: its stages are being called */
  int n_params, cap_params;
  OwnParam **param;
  int n_sites, cap_sites, sites_state;
  Site **site;
  Names children;    /* of SiteName */
  Names counts;      /* how far the numbers of a kind have come, of int */
};

typedef struct FieldUse { /* a field of the data, met in `train` */
  const DataField *field;
  bool used;
} FieldUse;

/* prox(k * P(w)): the rule of P for each of these parameters. */
typedef struct Prox {
  const Def *def; /* NULL after a mistake */
  const Expr *term; /* k * P(w) */
  const Expr *call; /* P(w) */
  const Value *factor; /* k, a number or scalar */
  const Value *set;
  Node *value; /* of the term, before the step */
} Prox;

typedef struct Watched { /* a number that something watches */
  const char *split, *what;
  Span span;
} Watched;

typedef struct Setup Setup; /* the train section, see lower_train.c */
struct Lower {
  Arena *a;
  Diags *d;
  FrontOptions *options;
  File *prelude, *user;
  Module *m;
  Graph *g, *init;   /* where nodes go now; the init function's graph */
  bool training;
  int64_t batch;
  int calls, eval_depth;
  Names draws, init_draws; /* random draws of g and of init, by place */
  Program *program;
  Setup *setup;

  int n_params, cap_params; /* parameters and layer states, as declared */
  ParamInfo **param;
  Names param_names;
  Names state_names;   /* of optimizers; values of no meaning */

  /* of the function that is being made */
  Instance *root;
  Names nets;          /* Instance by name of net */
  const Value *output; /* of the first net that was called */
  int net_depth;
  bool stage_list;     /* note stages for `netc summary` */
  int n_states, cap_states;
  OwnParam **state;    /* layer states met in this function */
  int n_reached;       /* the parameters that the loss reaches */
  ParamInfo **reached;
  bool reached_known;
  bool loss_failed;    /* what the loss would have made is not missed */
  int n_prox, cap_prox;
  Prox *prox;
  bool in_loss;          /* the train section's loss is being lowered */
  const Value *pair[2];  /* the first two arguments of its loss, or NULL */

  int64_t accumulate;    /* batches an update */
  bool averaging;        /* the parameters are averages of those trained */
  bool classified;       /* evaluation gives the largest logit's class */
  int cap_metrics, n_watched, cap_watched;
  Watched *watched;
  Span *map_span;        /* of each map in `init` */

  bool fields_known;
  int n_fields;
  FieldUse *field;
  int n_stages, cap_stages;
  int n_files, cap_files;
  File **files;        /* the prelude, the user's, imported ones */
  const Item *variant; /* the chosen one, or NULL */
};
/* lower_value.c */
extern const Value poison;
const Value *value_number(Lower *L, double v);
const Value *value_flag(Lower *L, bool v);
const Value *value_string(Lower *L, const char *s);
const Value *value_node(Lower *L, Node *n, bool sample);
const Value *value_moved(Lower *L, Node *n, const Value *x);
const Value *value_list(Lower *L, int n, const Value *const *items);
const Value *value_from(Lower *L, const Value *v, Span from, const char *maker);
int sample_rank(const Value *tensor);
const int64_t *sample_dims(const Value *tensor);
const char *shape_text(Lower *L, int rank, const int64_t *dim); /* [3, 32] */
const char *value_text(Lower *L, const Value *v); /* for messages */
const char *span_text(Lower *L, Span s);
/* Adds an error, at the user's call if `at` lies in the prelude. */
Diag *fail(const Scope *s, const char *code, Span at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "[16, 5, 5] comes from this maxpool" */
void note_origin(Lower *L, Diag *diag, const Value *v);

Span user_span(const Scope *s, Span at);
/* `at` if it lies in the user's file, or else nowhere: for value_from. */
Span own_span(const Scope *s, Span at);
void set_loc(const Scope *s, Span at);
/* Numbers from values: tell what is wrong, and return false. `what` names it:
 * "the size of a window". */
bool need_number(const Scope *s, Span at, const Value *v, const char *what,
                 double *out);
bool need_flag(const Scope *s, Span at, const Value *v, const char *what,
               bool *out);
bool need_whole(const Scope *s, Span at, const Value *v, const char *what,
                int64_t low, int64_t high, int64_t *out);
/* A tensor of the graph at hand: sets of one parameter become its node. NULL
 * after a mistake, which is told unless it was before. */
const Value *need_tensor(const Scope *s, Span at, const Value *v,
                         const char *what);
/* Whether a tensor of this shape may be made; tells if not. */
bool check_size(const Scope *s, Span at, int rank, const int64_t *dim);
/* lower_help.c: "did you mean `name`?", if one of the candidates is near. */
void help_nearest(Diag *diag, const char *name, const Candidates *c);
/* The nearest, or else all of them behind `what`: "its stages are". */
void help_names(Diag *diag, const char *name, const Candidates *c,
                const char *what);
void help_arguments(Diag *diag, const char *name, const Candidates *c);
/* A call whose argument at `at` is one too many: it takes `most`. */
void too_many_arguments(const Scope *s, Span at, const char *name, int most);
/* lower_math.c */
/* op: one of the elementwise operations of ops.def. */
const Value *elementwise(const Scope *s, Span at, Op op, int n,
                         const Value *const *args);
/* The same, where one has weights (lower_weighted.c). */
const Value *weighted_math(const Scope *s, Span at, Op op, int n,
                           const Value *const *args);
/* Tensors and numbers as nodes of one shape and type; the result says whether
 * it depends on the sample. */
Node *to_node(Lower *L, const Value *v, DType t, bool sample, int rank,
              const int64_t *dim);
Node *cast_to(Lower *L, Node *n, DType t);
Node *permute_to(Lower *L, Node *n, const int *axes);
Node *reshape_to(Lower *L, Node *n, int rank, const int64_t *dim);
/* Rows of this batch that are real: i1[B]. */
Node *real_rows(Lower *L);
/* select(real, v, value) for a node whose axis 0 is the batch. */
Node *mask_rows(Lower *L, Node *v, double value);
Node *scalar_leaf(Lower *L, const char *name);
/* A list of numbers as a tensor of one axis, of lists as one of several. */
const Value *list_tensor(const Scope *s, Span at, const Value *list);
Node *broadcast_rows(Lower *L, Node *of_batch, const Node *like);
/* lower_random.c */
typedef enum Dist { DIST_UNIFORM, DIST_NORMAL, DIST_BERNOULLI } Dist;
const Value *random_value(Lower *L, Dist dist, const Value *a, const Value *b,
                          uint64_t address);
const Value *random_op(Lower *L, Op op, int n, const Value *const *args);
const Value *materialise(const Scope *s, Span at, const Value *v, bool sample,
                         int rank, const int64_t *dim);
uint64_t mix(uint64_t h, uint64_t v);
/* lower_dot.c */
const Value *matmul(const Scope *s, Span at, const Value *a, const Value *b);
const Value *einsum(const Scope *s, Span at, const char *spec, const Value *a,
                    const Value *b);
const Value *transpose(const Scope *s, Span at, const Value *a);
/* lower_scope.c */
Scope *scope_new(Lower *L, File *file, const Def *def, const Scope *caller);
void scope_declare(Scope *s); /* slots for the statements of the body */
Slot *scope_bind(Scope *s, Name name, const Value *v);
const Value *scope_name(Scope *s, Span at, const char *name);
const Value *scope_value(Scope *s); /* the body's last expression */
Slot *scope_slot(const Scope *s, const char *name);
const Value *force_slot(Scope *s, Slot *slot, const char *name, Span at);
const Value *force_update(Scope *s, Update *u);
void scope_candidates(const Scope *s, Candidates *c);
/* lower_expr.c */
const Value *eval(Scope *s, const Expr *e);
const Value *index_value(const Scope *s, Span at, const Value *x,
                         const Value *i);
/* lower_prim.c */
typedef struct Prim Prim;
enum { MAX_PRIM_ARGS = 8 };
typedef struct PrimCall {
  Scope *s;
  const Prim *prim;
  const Expr *call;
  Span at;
  const Value *arg[MAX_PRIM_ARGS]; /* NULL: not given */
  int n_rest;                      /* concat: all positional ones */
  const Value *const *rest;
} PrimCall;
struct Prim {
  const char *name;
  const char *params; /* names; `?` marks those that may be left out; `..`
                         first: any number of positional ones */
  const Value *(*run)(PrimCall *c);
  Op op;
};
const Prim *find_prim(const char *name);
const Value *call_prim(Scope *s, const Prim *p, const Expr *call,
                       const Value *piped);
void prim_candidates(Candidates *c);
/* lower_reduce.c */
const Value *prim_reduce(PrimCall *c);
const Value *prim_mean(PrimCall *c);
const Value *prim_extreme(PrimCall *c); /* max, min */
const Value *prim_argmax(PrimCall *c);
/* lower_shape.c */
/* A list of sizes, each at least `low`, of at most MAX_RANK - 1. */
bool need_dims(PrimCall *c, const Value *list, int64_t low, int *rank,
               int64_t *dim);
const Value *prim_reshape(PrimCall *c);
const Value *prim_broadcast(PrimCall *c);
const Value *prim_permute(PrimCall *c);
const Value *prim_slice(PrimCall *c);
const Value *prim_concat(PrimCall *c);
const Value *prim_pad(PrimCall *c);
const Value *prim_window(PrimCall *c);
const Value *prim_fold(PrimCall *c);
const Value *prim_iota(PrimCall *c);
const Value *prim_onehot(PrimCall *c);
const Value *prim_size(PrimCall *c);
const Value *prim_shape(PrimCall *c);
const Value *prim_rank(PrimCall *c);
const Value *prim_same_shape(PrimCall *c);
/* Reads an axis of a tensor of this rank. */
bool need_axis(PrimCall *c, const Value *v, int rank, int *axis);
/* lower_call.c */
const Value *eval_call(Scope *s, const Expr *call, const Value *piped);
/* A call: where it stands, and where its arguments come from, which for a stage
 * that is called again is another place. */
typedef struct Call {
  const Def *def;
  const Expr *at;
  const Expr *args;
  Scope *args_scope;
  const Value *piped;
  Instance *own; /* whose parameters the body takes; NULL: a new one */
  const Value *second; /* the argument behind `piped`, or NULL */
  const Value *const *instead; /* of a stage that is called again: what goes
                                  before `args`, by parameter, or NULL */
} Call;
const Value *call_def(Scope *s, const Call *c);
/* A scope for the body, without arguments. */
Scope *scope_for_call(Scope *s, const Call *c);
/* The values of the parameters from `first` on, as given; NULL where nothing is.
 * False after a mistake. */
bool take_args(const Call *c, int first, const Value **given);
/* Binds arguments to the parameters from `first` on. */
bool bind_args(Scope *inner, const Call *c, int first);
/* lower_match.c: checks a value against a parameter's shape, binds the names in
 * it, and gives the value as the body sees it. */
const Value *match_shape(Scope *inner, const Call *c, int i, const Value *v);
/* lower_stage.c */
Instance *instance_new(Lower *L, const char *name, const char *label,
                       uint64_t hash);
const Value *eval_pipeline(Scope *s, const Expr *e);
const Value *call_instance(Scope *s, Instance *i, const Expr *call,
                           const Value *piped);
const Value *call_layer(Scope *s, const Def *def, const Expr *call,
                        const Value *piped);
Instance *net_instance(Lower *L, const Def *def);
/* lower_site.c */
/* The place of this call (or named chain) in its parent. */
Site *site_of(Scope *s, const Expr *call, const Stage *chain);
Instance *site_instance(Scope *s, Instance *parent, Site *site, int index);
/* The stage that the text names in this body, or NULL. */
Instance *find_stage(Scope *s, const char *name);
bool is_stage_name(Scope *s, const char *name);
/* A child by its last name, or NULL if it was not made. */
Instance *find_child(const Instance *i, const char *name);
void stage_candidates(Scope *s, Candidates *c);
/* lower_set.c */
const Value *declared_param(Scope *s, const Stmt *stmt, int at);
OwnParam *declared_state(Scope *s, const Stmt *stmt, int at);
const Value *state_value(Scope *s, OwnParam *p);
/* Evaluates an initialiser into the function init. NULL after a mistake. */
Node *initial_value(Scope *s, const Expr *e, Type type, uint64_t place);
/* A value as a node of just this type; NULL after a mistake. */
Node *fit_node(const Scope *s, Span at, const Value *v, const Type *type,
               const char *what);
void update_state(Scope *s, OwnParam *p, const Value *v, Span at);
const Value *value_set(Lower *L, int n, ParamInfo *const *params);
const Value *set_of_stage(Lower *L, const Instance *i);
const Value *set_except(const Scope *s, const Expr *e, const Value *a,
                        const Value *b);
const Value *set_of_kind(Scope *s, Span at, const char *name); /* or NULL */
bool is_set_name(const char *name);
const Value *eval_member(Scope *s, const Expr *e);
Node *param_node(Lower *L, const ParamInfo *p);
/* The parameters of a set, a stage or a list of them; NULL if it is none. */
const Value *as_set(Lower *L, const Value *v);
/* The same; NULL after a mistake. */
const Value *need_set(const Scope *s, Span at, const Value *v,
                      const char *what);
/* Outputs the new values of layer states that changed. */
void state_outputs(Lower *L);
/* Marks the parameters that a node is made from (not through stop) and adds
 * them to `list`, in order of declaration. */
int params_reached(Lower *L, const Node *from, ParamInfo **list);
/* lower_file.c */
File *file_load(Lower *L, const Ast *ast, bool prelude);
/* Reads what the files import, and what those import. False if one cannot be. */
bool file_load_imports(Lower *L);
const Def *find_def(Lower *L, const File *f, DefKind kind, const char *name);
const Def *find_any_def(Lower *L, const File *f, DefKind prefer,
                        const char *name); /* of any kind, `prefer` first */
const Value *const_value(Scope *s, const File *f, const char *name);
void def_candidates(Lower *L, const File *f, Candidates *c);
void const_candidates(const File *f, Candidates *c);
void apply_variants(Lower *L);
void apply_defines(Lower *L);
/* Whether the chosen variant has `without NAME`. */
bool is_without(Lower *L, const char *name);
/* lower_check.c */
void check_unused(Lower *L);
/* lower_data.c */
void lower_data(Lower *L, const Item *data);
const Value *field_value(Scope *s, const char *name); /* or NULL */
/* lower_train.c */
void read_train(Lower *L, const Item *train);
void lower_functions(Lower *L);
/* One f32 for each sample; NULL after a mistake. */
Node *each_sample(const Scope *s, Span at, const Value *v, const char *what);
/* lower_metrics.c; note_loss remembers what the trained loss compares. */
void note_loss(Scope *inner);
void lower_metrics(Scope *s, const Expr *e);
/* lower_run.c: the values of these keys, into the Program. */
void key_stop(Scope *s, const Expr *e);
void key_keep(Scope *s, const Expr *e);
void key_init(Scope *s, const Expr *e);
/* Tells what they name that is not there. */
void check_named(Lower *L);
const Value *split_value(Lower *L, const char *name); /* or NULL */
void split_candidates(Candidates *c);
const Value *split_member(Scope *s, const Expr *e, const Value *split);
const Value *prim_plateaus(PrimCall *c);
/* lower_update.c */
const Value *optimizer_state(Scope *s, Slot *slot, const char *name);
typedef struct Updating { /* the values of these keys, or NULL */
  const Expr *optimizer, *clip, *freeze, *average;
} Updating;
/* Tells the mistakes in these keys where there are others in the loss. */
void check_updating(Scope *s, const Updating *keys);
/* Returns the learning rate, or NULL after a mistake. */
Node *lower_updates(Scope *s, const Updating *keys, Node *objective);
/* lower_average.c */
/* `step` and `progress` count updates, of which each takes several batches. */
Node *update_scalar(Lower *L, const char *name);
/* The gradient of an update: the mean over its batches so far. */
Node *accumulated(Lower *L, const ParamInfo *p, Node *g);
/* `next` in the last batch of an update, and `before` in the others. */
Node *when_updating(Lower *L, Node *next, Node *before);
/* The weights that are trained, a state, where the parameter is an average. */
void add_trained(Lower *L, const ParamInfo *p, Node *initial);
Node *trained_node(Lower *L, const ParamInfo *p);
void update_trained(Lower *L, const ParamInfo *p, Node *next);
/* lower_prox.c */
Prox *add_prox(Scope *s, const Expr *e);
/* The new value of a parameter after the rules that apply to it. */
const Value *apply_prox(Scope *s, const ParamInfo *p, const Value *w,
                        const Value *lr);
/* lower_prune.c: the graph without the nodes that no output needs. */
Graph *prune(Arena *a, const Graph *g);
#endif
