/* Inside the pass `schedule`. */
#ifndef NETC_SCHEDULE_H
#define NETC_SCHEDULE_H

#include "passes/passes.h"

/* schedule.c: takes dimensions of extent 1 away, and merges those that every
 * access steps through as one. */
void simplify_loops(Kernel *k);
Kernel *kernel_copy(Arena *a, const Kernel *from);
/* With kernels and buffers of its own. */
KFunc function_copy(Arena *a, const KFunc *from);

/* split.c: splits every loop that runs over several axes of a buffer. */
void split_loops(KFunc *f);

/* access.c: a place in a row-major buffer as the index along each axis. */
typedef struct Access {
  Affine axis[MAX_RANK];
  uint32_t joined; /* bit r: an index runs over axis r into axis r - 1 */
  int64_t first[MAX_RANK], last[MAX_RANK]; /* indices that occur lie between these */
} Access;
/* Of a load or store. False if it is not that simple: the access steps across
 * axes, or backwards, or may lie outside. */
bool access_split(const Type *t, const Kernel *k, const Instr *i, Access *to);
/* Whether axis `inner` can be made the last one; the type that has it so; the
 * place in a buffer of that type. */
bool access_can_move(const Access *x, const Type *t, int inner);
Type access_type(const Type *t, int inner);
Affine access_join(const Type *t, const Access *x, int inner);

/* cost.c: vector instructions that stand equally often in a register tile: once a
 * tile, and once a turn of the innermost reduced loop (the body). */
typedef struct Counts {
  double arithmetic, memory, body, body_memory;
  double row; /* vectors that a row of the body keeps; 0: no vector load */
} Counts;
/* The instructions that depend on these dimensions and no others. */
typedef struct Term {
  uint32_t dims;
  Counts counts;
} Term;

/* What the model asks of a kernel. The caller fills the first five, `term` with
 * room for as many terms as there are instructions; cost_prepare the others. */
typedef struct Facts {
  const Kernel *k;
  const Cpu *cpu;
  uint32_t *depends; /* as kernel_depends and kernel_in_body tell them */
  bool *in_body;
  Term *term;
  int n_terms;
  int accumulators; /* registers for each position of a tile */
} Facts;
/* For schedules with the vector dimension and the lanes of `s`. */
void cost_prepare(Facts *f, const Schedule *s);

/* A schedule but for its tiles along two parallel dimensions, x and y (-1: none). */
typedef struct Pair {
  int x, y;
  double tiles, turns, outer_turns, positions; /* without x and y */
  bool dot;
  Counts with[4]; /* what depends on neither, on x, on y, on both */
} Pair;
void cost_pair(const Facts *f, const Schedule *s, int x, int y, Pair *p);
/* Arithmetic, and what the first cache gives, with these tiles: as so many vector
 * instructions. */
double cost_arithmetic(const Facts *f, const Pair *p, int tx, int ty);
/* These and waiting for lines from the second cache. */
double cost_whole(const Facts *f, const Schedule *s, double arithmetic);
/* Waiting for lines that the second cache does not keep between two turns. */
double cost_far(const Facts *f, const Schedule *s);

/* memo.c: the same for kernels that differ in nothing that the model sees. */
typedef struct Memo Memo;
Memo *memo_new(Arena *a, const Cpu *cpu);
Choice memo_choose(Memo *m, const Kernel *k);

/* partial.c: if the sums of *kernel are better made in blocks, makes it the kernel
 * of the blocks' sums, which go to new buffers of f, and *rest the one that adds
 * them up. What is only tried lies in `trial`. */
void partial_sums(Arena *a, Arena *trial, KFunc *f, Memo *memo, Kernel **kernel,
                  Kernel **rest);
/* Whether that can be done: it sums floats, and adds nothing to memory. */
bool partial_can(const Kernel *k);
/* The same for a sum that is given as it is for one block: *part stores its sums at
 * the beginning of new buffers with room for `blocks` of them, *total adds up. */
void partial_sums_apart(Arena *a, KFunc *f, int64_t blocks, const Kernel *k,
                        Kernel **part, Kernel **total);

/* draw.c: if *kernel better stores random numbers in the order in which they are
 * drawn, makes it do so, and *rest the copy into the order that is wanted. */
void draw_apart(Arena *a, Arena *trial, KFunc *f, Memo *memo, Kernel **kernel,
                Kernel **rest);

/* block.c: kernels for a chunk of the batch, and groups of them. */
typedef struct Blocking Blocking;
/* Makes of the kernels of f, where they can be, those of one chunk; the batch's
 * buffers are then as large as that, and local. NULL: that would not be worth it,
 * and all is as it was. */
Blocking *block_begin(Arena *a, KFunc *f, Memo *memo);
/* Once the kernels have their schedules: the groups, and the whole batch again. */
void block_end(Blocking *b, Memo *memo);

/* layout.c: orders of axes in memory; changes kernels, buffers and their number. */
void layout_choose(Arena *a, KFunc *f, Memo *memo);

#endif
