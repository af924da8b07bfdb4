/* A program whose functions are written in C, so that every number of a run is
 * known, and running it in child processes, since runs print and exit. The loss
 * of a step is count + step / 16, which is exact, and each step adds 1 to W[0].
 * Row i of the data: x is (i % 3, 0, 0.5), y is i % 2; there are ten. */
#ifndef NETC_LINE_H
#define NETC_LINE_H

#include "runtime/run.h"
#include "tests/check.h"

enum { ROWS = 10, B = 4, N = 3, PATH_SIZE = 256 };

typedef struct Memory {
  float w[N], moment;
  NetScalars scalars;
  float x[B * N];
  int32_t y[B], predicted[B];
  float loss, l2, total, losses[B], weights[B], output[B * N];
  float metric[B], metric_error[B], metric_target[B * N];
  double lr;
} Memory;
#define AT(f) .offset = offsetof(Memory, f)

extern const NetTensor line_vars[2], line_inputs[2];
extern const NetProgram line_program;
void line_train(char *arena, NetPool *pool);
/* Predicts x[0]; the weighted loss of a row is 2 x[0], its weight 2. */
void line_evaluate(char *arena, NetPool *pool);

/* check_path's buffers are reused in turn; this one is the caller's. */
const char *line_path(char to[PATH_SIZE], const char *name);
/* Writes a version 1 .npy file; at most 384 bytes of data. */
bool line_array(const char *path, const char *descr, const char *shape,
                const void *data, size_t bytes);

typedef struct Child {
  int status;
  char *out, *err;
} Child;
void child_free(Child *c);
/* Runs net_main with the words of `line` behind the name; out: NULL, or where
 * standard output goes. */
Child line_run_to(const NetProgram *p, const char *line, const char *out);
extern void (*line_in_child)(void); /* called in the child first, if any */
Child line_run(const NetProgram *p, const char *line);
/* The same on the data: `options` behind --data and the folder. */
Child line_run_data(const NetProgram *p, const char *command,
                    const char *options);
/* The status, and a part of what stderr has to say; frees the child. */
void line_fails(Child c, int status, const char *want);
/* W[0] of a file of weights. */
float line_saved(const char *path);

#endif
