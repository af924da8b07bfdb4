/* Inside code generation: the state while one kernel is emitted, and the
 * functions that its files share. */
#ifndef NETC_EMIT_H
#define NETC_EMIT_H

#include <llvm-c/Core.h>

#include "codegen/shape.h"
#include "ir/kernel.h"

/* Thin layer over LLVM's builder: types, constants, intrinsics. Works on scalars
 * and on vectors of `lanes`: the type of the operands decides. */
typedef struct Build {
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMBuilderRef b;
} Build;

enum { IN_TILE = MAX_DIMS + 1 }; /* the value belongs to the register tile */

/* Loads and stores that step alike share one moving pointer. */
typedef struct Pointer {
  int buffer;
  Affine at; /* the base apart */
  LLVMValueRef now; /* at the start of the tile */
} Pointer;

typedef struct Emit {
  Build build;
  Arena *arena;
  const KModule *m;
  const KFunc *f;
  const Kernel *k;
  const Schedule *s;
  const Shape *shape; /* not NULL: the code is shared */
  LLVMValueRef *fact; /* of the shape */
  LLVMValueRef fn, base; /* the function, and its operand: the arena */
  LLVMValueRef part, turn; /* i64: the chunk that a kernel of a group is run for */
  uint32_t *depends;
  bool *in_body;
  int *level; /* of an instruction: how many loops must be open; IN_TILE */
  int n_pointers;
  Pointer *pointer;
  int *pointer_of;             /* by instruction */
  LLVMValueRef iv[MAX_DIMS];   /* i64: index at the start of the tile */
  int64_t tile[MAX_DIMS];      /* positions of this copy of the tile */
  int64_t tail;                /* lanes of the last vector that count */
  int64_t coord[MAX_DIMS];     /* the position at hand */
  int visit[MAX_DIMS];         /* parallel dimensions, the fastest first */
  LLVMValueRef **memo, **splat; /* by instruction and position */
  LLVMValueRef *acc;           /* accumulators by reduction and position */
  bool has_argmax;
  int n_reduces, positions;    /* positions of parallel dimensions in a tile */
  int *reduce;                 /* instruction numbers */
} Emit;

/* build.c */
LLVMTypeRef build_type(const Build *b, DType t); /* in registers: i1 is i1 */
LLVMTypeRef build_memory_type(const Build *b, DType t); /* i1 is i8 */
LLVMTypeRef build_vector(LLVMTypeRef t, int lanes); /* t itself for 1 lane */
int build_lanes(LLVMValueRef v); /* 1 for a scalar */
LLVMValueRef build_i64(const Build *b, int64_t v);
/* An i64 times a constant; a sum; p moved by bytes. Without an instruction where
 * that is an operand itself. */
LLVMValueRef build_times(const Build *b, LLVMValueRef x, int64_t factor);
LLVMValueRef build_plus(const Build *b, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef build_moved(const Build *b, LLVMValueRef p, int64_t bytes);
/* A number of v's shape and element type. */
LLVMValueRef build_number(const Build *b, LLVMTypeRef like, double v);
LLVMValueRef build_integer(LLVMTypeRef like, uint64_t v);
LLVMValueRef build_splat(const Build *b, LLVMValueRef v, int lanes);
LLVMValueRef build_mask(const Build *b, int lanes, int64_t valid);
LLVMValueRef build_intrinsic(const Build *b, const char *name, LLVMTypeRef over,
                             int n, LLVMValueRef *args);
LLVMValueRef build_fma(const Build *b, LLVMValueRef x, LLVMValueRef y,
                       LLVMValueRef z);
LLVMValueRef build_select(const Build *b, LLVMValueRef c, LLVMValueRef x,
                          LLVMValueRef y);
/* A function of libm, once for each lane. */
LLVMValueRef build_libm(const Build *b, const char *name, int n,
                        LLVMValueRef *args);

/* math.c: an elementwise operation on values of one type. */
LLVMValueRef build_op(const Build *b, Op op, DType from, DType to,
                      LLVMValueRef *in);
LLVMValueRef build_exp(const Build *b, LLVMValueRef x);  /* f32 */
LLVMValueRef build_log(const Build *b, LLVMValueRef x);  /* f32 */
LLVMValueRef build_tanh(const Build *b, LLVMValueRef x); /* f32 */

/* philox.c: draws blocks, of which the first has these counters, i64, and each next
 * one a counter[0] that is one more. Of one block the first word, i32; of more a
 * pointer to all their first words, i32, which stand before all their second ones. */
LLVMValueRef build_philox(const Build *b, const LLVMValueRef counter[],
                          LLVMValueRef seed, int blocks);

/* value.c: the value of an instruction at the position in e->coord. */
LLVMValueRef emit_value(Emit *e, int n);
LLVMValueRef emit_vector_value(Emit *e, int n); /* splat where it is scalar */
bool emit_is_vector(const Emit *e, int n);
void emit_keep(Emit *e, int n, LLVMValueRef v); /* as the value of n from now on */
void emit_store(Emit *e, int n);
void emit_forget(Emit *e, bool body); /* values that do not hold any more */
LLVMValueRef emit_lane_mask(const Emit *e); /* NULL: all lanes count */
int emit_position(const Emit *e, uint32_t dims); /* mixed radix of coord */

/* Where the access of instruction n is at the position at hand; a value as it lies
 * in memory (i1 as a byte), and back. */
LLVMValueRef emit_address(Emit *e, int n);
LLVMValueRef emit_to_memory(const Emit *e, const Instr *i, LLVMValueRef v);
LLVMValueRef emit_from_memory(const Emit *e, const Instr *i, LLVMValueRef v);

/* A masked load, store, gather or scatter: of values, and through pointers, of
 * these types. */
LLVMValueRef emit_masked(const Emit *e, const char *name, LLVMTypeRef value,
                         LLVMTypeRef pointer, int n, LLVMValueRef *args);

/* strided.c: accesses of a short stride along the lanes. */
bool emit_is_strided(const Emit *e, int n);
LLVMValueRef emit_strided_load(Emit *e, int n);
void emit_strided_store(Emit *e, int n);

/* transpose.c: accesses of which kernel_transposed tells the dimension. */
LLVMValueRef emit_transposed_load(Emit *e, int n);
void emit_transposed_store(Emit *e, int n);

/* reduce.c: accumulators, in the order in which a tile's positions are visited: how
 * many there are; their first values; one more value for reduction r at position p;
 * the sums of their lanes, where these stand along a reduced dimension. */
int emit_acc_count(const Emit *e);
void emit_start_accumulators(Emit *e);
void emit_reduce(Emit *e, int r, int p);
void emit_finish_lanes(Emit *e);

/* nest.c: one kernel as `void name(ptr arena, i64 begin, i64 end)`, that does these
 * pieces; of a group as `void name(ptr arena, i64 part, i64 turn, i64 slot)`, which
 * finds local buffers in that slot. With `shape`,
 * that of the kernel, it serves others of the same shape too, and instead of the
 * arena takes a pair of pointers: to the arena, and to the shape's facts as i64. */
LLVMValueRef emit_kernel(Arena *a, const Build *b, const KModule *m,
                         const KFunc *f, const Kernel *k, const char *name,
                         const Shape *shape);
LLVMTypeRef kernel_type(const Build *b, bool in_group);

#endif
