/* Kernels: what the passes make of a graph. A kernel is a loop nest over
 * parallel and reduced dimensions with affine accesses, a body, reductions and
 * an epilogue; its schedule is data that stands beside it. Reference: IR.md.
 *
 * A kernel means, for all p in the parallel dimensions:
 *     for all r in the reduced dimensions: run the body, reduce
 *     run the epilogue, store
 * The instructions stand in one list: those that (through others) depend on a
 * reduced dimension are the body, the reductions close it, and what follows from
 * them or depends on p alone is the epilogue. */
#ifndef NETC_KERNEL_H
#define NETC_KERNEL_H

#include "ir/ir.h"

enum { MAX_DIMS = 16 };

/* base + sum of coef[d] * index of dimension d; counts elements in accesses. In a
 * kernel of a group also part * number of the part + turn * number of the turn. */
typedef struct Affine {
  int64_t base, part, turn, coef[MAX_DIMS];
} Affine;

/* Kernels that run together on one chunk of the batch after the other: for each
 * part, which threads share, and in a part for each turn, in order, all kernels of
 * the group run. They stand side by side in the function. */
typedef struct Group {
  int64_t parts, turns;
  int64_t offset, bytes; /* of the local buffers, which stand there once for each
                            part that may run at one time; -1 before `plan` */
} Group;

typedef enum BufferKind {
  BUF_VAR,    /* a parameter or state of the module, by name */
  BUF_INPUT,  /* a field of the batch */
  BUF_SCALAR, /* step, epoch, progress, count, seed */
  BUF_TEMP    /* made by one kernel, read by others or a result */
} BufferKind;
extern const char *const buffer_kind_name[];
/* Of the scalars, in the order of the runtime's NetScalars: 8 bytes each. */
enum { KERNEL_SCALARS = 6 };
extern const char *const kernel_scalar_name[KERNEL_SCALARS];

typedef struct Buffer {
  BufferKind kind;
  const char *name; /* "" for a temporary */
  Type type;
  int64_t offset; /* bytes from the arena's start; -1 before `plan` */
  int sample;     /* an input of which axis 0 is the batch */
  bool local;     /* a temporary of which each part of a group has its own */
} Buffer;

typedef enum KOp {
  K_LOAD,    /* type; buffer, at; in[0] predicate or -1; in[1] index or -1 */
  K_STORE,   /* in[0] value; buffer, at; in[1] index or -1; adds if `accumulate` */
  K_CONST,   /* value */
  K_INDEX,   /* `at` as a number */
  K_INRANGE, /* low <= at < high: i1 */
  K_RAND,    /* uniform [0, 1); `at` is the element, `row` the row; place */
  K_OP,      /* an elementwise `op` on in[0..] */
  K_REDUCE,  /* op: OP_SUM, OP_RMAX, OP_ARGMAX; in[0] body value; over all
                reduced dimensions */
} KOp;
/* load, store ..; NULL for the last two, which go by their `op`. */
extern const char *const kop_text[];

typedef struct Instr {
  KOp kop;
  Op op;
  DType type;
  int in[3]; /* instruction numbers, -1: none */
  int buffer;
  Affine at, row;
  int64_t scale; /* of the index operand: elements for each step of the index */
  int64_t low, high;
  double value;
  uint32_t place;
  bool accumulate;
} Instr;

/* How the loops are run: chosen by `schedule`. */
typedef struct Schedule {
  int n_order; /* 0: not scheduled */
  int order[MAX_DIMS];  /* parallel dimensions outermost first, then reduced */
  int vec;              /* the dimension of the vector lanes, or -1 */
  int lanes;
  int tile[MAX_DIMS];   /* register tile; for `vec` in vectors; a reduced
                           dimension's is its unrolling */
  int64_t pieces; /* parts for threads: steps of the first loop, or 1 */
} Schedule;

typedef struct Kernel {
  int n_par, n_red; /* dimensions: parallel first */
  int64_t extent[MAX_DIMS];
  int n_instrs, cap_instrs;
  Instr *instr;
  const Group *group; /* NULL: the kernel runs alone */
  Schedule schedule;
  int n_locs;
  Loc *locs;
} Kernel;

typedef struct KResult {
  const char *name;
  int buffer;
  Type type;
  bool sample;
} KResult;

typedef struct KFunc {
  const char *name; /* init, train, evaluate, predict */
  int n_buffers, cap_buffers;
  Buffer *buffer;
  int n_kernels, cap_kernels;
  Kernel **kernel; /* in order of execution */
  int n_results, cap_results;
  KResult *result;
} KFunc;

typedef struct KModule {
  Arena *arena;
  int n_vars;
  Var *var;
  int64_t *var_offset;   /* bytes; -1 before `plan` */
  int64_t scalars;       /* offset of the scalars; -1 before `plan` */
  int64_t bytes;         /* of the whole arena; -1 before `plan` */
  int64_t limit;         /* bytes that the arena may have; 0: any number */
  Span limit_at;         /* where that was said */
  const char *cpu;       /* NULL before `schedule` */
  int n_funcs;
  KFunc *func[MAX_FUNCS];
} KModule;

/* kernel.c */
Kernel *kernel_new(Arena *a);
/* Adds an instruction, or finds the equal one that is there (not stores). */
int kernel_add(Arena *a, Kernel *k, const Instr *i);
int kfunc_add_buffer(Arena *a, KFunc *f, Buffer b);
void kfunc_add_kernel(Arena *a, KFunc *f, Kernel *k);
/* Whether kernel i is the first, or the last, of those of its group. */
bool kfunc_begins_group(const KFunc *f, int i);
bool kfunc_ends_group(const KFunc *f, int i);
KFunc *kmodule_find(const KModule *m, const char *name);
static inline int kernel_dims(const Kernel *k) { return k->n_par + k->n_red; }
static inline bool kernel_is_scheduled(const Kernel *k) {
  return k->schedule.pieces > 0;
}
bool affine_equal(const Affine *a, const Affine *b, int dims);
/* A bit for each dimension on which an instruction's value depends. */
void kernel_depends(const Kernel *k, uint32_t *depends);
/* True for the instructions that run inside the reduced loops. */
void kernel_in_body(const Kernel *k, bool *in_body);
/* Steps of a dimension's loop under the schedule, the rest included. */
int64_t kernel_steps(const Kernel *k, const Schedule *s, int dim);
/* The place in the order of the loop that is cut into pieces for threads: the
 * outermost parallel one that has more than one step; 0 if there is none. */
int kernel_split_loop(const Kernel *k, const Schedule *s);
/* Dimension `dim` becomes two loops, the inner one of `inner` steps, which divides
 * its extent; there must be room for one more. */
void kernel_split_dim(Kernel *k, int dim, int64_t inner);
/* Takes a dimension away, as if its index were 0. */
void kernel_remove_dim(Kernel *k, int dim);
/* Lanes so few elements apart are moved as one wide vector. */
enum { KERNEL_SHORT_STRIDE = 4 };
/* Accesses of such a stride that lie between each other's lanes: one run of memory
 * serves all. Puts the one at each place of the run's first `stride` elements in
 * `member` (-1: none), and returns how many there are: 1 is access n alone, 0 means
 * that it has no short stride or that something hinders. */
int kernel_interleaved(const Kernel *k, int vec, int n,
                       int member[KERNEL_SHORT_STRIDE]);
/* The dimension along which an access is contiguous while the vector lanes lie apart,
 * if a tile has as many positions along it as there are lanes: then a square of
 * vectors is moved at once, and transposed in registers. -1: there is none. */
int kernel_transposed(const Kernel *k, const Schedule *s, const Instr *i);
/* Whether it sums products over more than one load: what the cost of a step is
 * made of. */
bool kernel_is_contraction(const Kernel *k);
/* Number of operands in `in` of an instruction (predicates, indices too). */
int instr_operands(const Instr *i);
static inline bool instr_is_access(const Instr *i) {
  return i->kop == K_LOAD || i->kop == K_STORE;
}

/* kernel_print.c, kernel_read.c: the text form of both of the last stages. */
void print_kmodule(Text *t, const KModule *m);
KModule *read_kmodule(Arena *a, Diags *d, const Source *source);
/* kernel_verify.c, kernel_verify_plan.c: NULL, or the first violation. */
const char *verify_kmodule(Arena *a, const KModule *m);
/* The same, and where: what does not apply is -1. */
typedef struct KViolation {
  const char *text; /* NULL: there is none */
  int var, func, buffer, result, kernel, instr;
  bool schedule; /* the kernel's schedule, not its header */
} KViolation;
KViolation verify_find_kernels(Arena *a, const KModule *m);

#endif
