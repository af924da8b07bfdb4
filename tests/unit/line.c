/* The program of line.h, its data, and runs of it. */
#include "tests/unit/line.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const NetTensor line_vars[2] = {
    {"line.W", NET_WEIGHT, NET_F32, 1, 0, {N}, AT(w)},
    {"line.W.m", NET_OPTIMIZER_STATE, NET_F32, 0, 0, {0}, AT(moment)}};
const NetTensor line_inputs[2] = {
    {"x", 0, NET_F32, 2, 1, {B, N}, AT(x)},
    {"y", 2, NET_I32, 1, 1, {B}, AT(y)}};
static const NetTensor train_results[] = {
    {"loss", 0, NET_F32, 0, 0, {0}, AT(loss)},
    {"penalty.l2", 0, NET_F32, 0, 0, {0}, AT(l2)},
    {"total", 0, NET_F32, 0, 0, {0}, AT(total)},
    {"lr", 0, NET_F64, 0, 0, {0}, AT(lr)},
    {"predicted", 0, NET_I32, 1, 1, {B}, AT(predicted)}};
static const NetTensor evaluate_results[] = {
    {"loss", 0, NET_F32, 1, 1, {B}, AT(losses)},
    {"weight", 0, NET_F32, 1, 1, {B}, AT(weights)},
    {"predicted", 0, NET_I32, 1, 1, {B}, AT(predicted)}};
static const NetTensor predict_results[] = {
    {"output", 0, NET_F32, 2, 1, {B, N}, AT(output)},
    {"predicted", 0, NET_I32, 1, 1, {B}, AT(predicted)}};

static void init(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  (void)pool;
  for (int i = 0; i < N; i++) m->w[i] = (float)i * (float)m->scalars.seed;
}

void line_train(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  (void)pool;
  m->loss = (float)(m->scalars.count + m->scalars.step / 16);
  m->l2 = 0.5f;
  m->total = m->loss + m->l2;
  m->lr = 1 - m->scalars.progress;
  for (int i = 0; i < B; i++) m->predicted[i] = 0;
  m->w[0] += 1;
}

void line_evaluate(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  (void)pool;
  for (int i = 0; i < B; i++) {
    m->losses[i] = 2 * m->x[i * N];
    m->weights[i] = 2;
    m->predicted[i] = (int32_t)m->x[i * N];
  }
}

static void predict(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_evaluate(arena, pool);
  for (int i = 0; i < B * N; i++) m->output[i] = m->x[i] + m->w[i % N];
}

static const NetArg args[] = {{.name = "", .string = "x.npy"},
                              {.name = "", .string = "y.npy"}};
const NetProgram line_program = {
    .abi = NET_ABI,
    .accumulate = 1,
    .name = "line",
    .label = "y",
    .epochs = 2,
    .batch = B,
    .seed = 1,
    .arena_bytes = sizeof(Memory),
    .scalars = offsetof(Memory, scalars),
    .n_vars = 2,
    .vars = line_vars,
    .data = {.reader = "npy", .n_args = 2, .args = args},
    .init_fn = {.run = init},
    .train = {line_train, B, 2, 5, line_inputs, train_results},
    .evaluate = {line_evaluate, B, 2, 3, line_inputs, evaluate_results},
    .predict = {predict, B, 1, 2, line_inputs, predict_results}};

/* ---- the data: x[0] of row i is i % 3, y is i % 2 ---- */

bool line_array(const char *path, const char *descr, const char *shape,
                      const void *data, size_t bytes) {
  char file[512] = "\x93NUMPY\1\0\x76";
  int n = snprintf(file + 10, 128,
                   "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                   descr, shape);
  memset(file + 10 + n, ' ', (size_t)(117 - n));
  file[9] = 0;
  file[127] = '\n';
  memcpy(file + 128, data, bytes);
  return check_write(path, file, 128 + bytes);
}

static void put_data(void) {
  float x[ROWS * N] = {0};
  int32_t y[ROWS];
  for (int i = 0; i < ROWS; i++) {
    x[i * N] = (float)(i % 3);
    x[i * N + 2] = 0.5f;
    y[i] = i % 2;
  }
  CU_ASSERT_TRUE_FATAL(
      line_array(check_path("x.npy"), "<f4", "(10, 3)", x, sizeof x) &&
      line_array(check_path("y.npy"), "<i4", "(10,)", y, sizeof y));
}

/* ---- running ---- */

const char *line_path(char to[PATH_SIZE], const char *name) {
  snprintf(to, PATH_SIZE, "%s", check_path(name));
  return to;
}

void child_free(Child *c) {
  free(c->out);
  free(c->err);
}

static void redirect(int fd, const char *path) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, fd) < 0) _exit(99);
}

void (*line_in_child)(void);

Child line_run_to(const NetProgram *p, const char *line, const char *out) {
  char words[512], *argv[24] = {(char *)(uintptr_t) "line"};
  int argc = 1, status = 0;
  snprintf(words, sizeof words, "%s", line);
  for (char *save, *w = strtok_r(words, " ", &save); w && argc < 23;
       w = strtok_r(NULL, " ", &save))
    argv[argc++] = w;
  char a[PATH_SIZE], b[PATH_SIZE];
  const char *err = line_path(b, "err");
  bool reads = !out; /* what lies in a device has no end */
  if (!out) out = line_path(a, "out");
  fflush(NULL);
  pid_t pid = fork();
  if (!pid) {
    redirect(STDOUT_FILENO, out);
    redirect(STDERR_FILENO, err);
    if (line_in_child) line_in_child();
    status = net_main(p, argc, argv);
    fflush(NULL);
    _exit(status);
  }
  CU_ASSERT_TRUE_FATAL(pid > 0 && waitpid(pid, &status, 0) == pid);
  Child c = {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
             .out = reads ? check_read(out, NULL) : NULL,
             .err = check_read(err, NULL)};
  return c;
}

Child line_run(const NetProgram *p, const char *line) {
  return line_run_to(p, line, NULL);
}

Child line_run_data(const NetProgram *p, const char *command,
                      const char *options) {
  char line[512];
  put_data();
  snprintf(line, sizeof line, "%s --data %s %s", command, check_tmp(), options);
  return line_run(p, line);
}

void line_fails(Child c, int status, const char *want) {
  check_that(c.status == status && strstr(c.err, want),
             "wanted %d and '%s', got %d and '%s'", status, want, c.status,
             c.err);
  child_free(&c);
}

float line_saved(const char *path) {
  DataError e = {0};
  Memory m = {0};
  check_that(net_weights_load(&line_program, (char *)&m, path, &e), "%s", e.text);
  return m.w[0];
}
