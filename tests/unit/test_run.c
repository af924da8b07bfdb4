/* run.c, train.c, test.c, predict.c, net_main.c, log.c, on a program whose
 * functions are written here in C, so that every number is known: the loss of a
 * step is count + step / 16, which is exact, and each step adds 1 to W[0].
 * Runs take place in child processes, since they print and exit. */
#include "runtime/run.h"
#include "tests/check.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 10, B = 4, N = 3 };

typedef struct Memory {
  float w[N], moment;
  NetScalars scalars;
  float x[B * N];
  int32_t y[B], predicted[B];
  float loss, l2, total, losses[B], weights[B], output[B * N];
  double lr;
} Memory;

#define AT(f) .offset = offsetof(Memory, f)
static const NetTensor vars[] = {
    {"line.W", NET_WEIGHT, NET_F32, 1, 0, {N}, AT(w)},
    {"line.W.m", NET_OPTIMIZER_STATE, NET_F32, 0, 0, {0}, AT(moment)}};
static const NetTensor inputs[] = {
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

static void train(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  (void)pool;
  m->loss = (float)(m->scalars.count + m->scalars.step / 16);
  m->l2 = 0.5f;
  m->total = m->loss + m->l2;
  m->lr = 1 - m->scalars.progress;
  for (int i = 0; i < B; i++) m->predicted[i] = 0;
  m->w[0] += 1;
}

static void train_nan(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  train(arena, pool);
  if (m->scalars.step == 2) m->loss = NAN;
}

/* The loss is good and the weights are not. */
static void train_poison(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  train(arena, pool);
  m->w[1] = INFINITY;
}

static void train_interrupted(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  train(arena, pool);
  if (m->scalars.step == 1) raise(SIGINT);
}

static void train_interrupted_twice(char *arena, NetPool *pool) {
  train_interrupted(arena, pool);
  train_interrupted(arena, pool);
}

/* Predicts x[0]; the weighted loss of a row is 2 x[0], its weight 2. */
static void evaluate(char *arena, NetPool *pool) {
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
  evaluate(arena, pool);
  for (int i = 0; i < B * N; i++) m->output[i] = m->x[i] + m->w[i % N];
}

static const NetArg args[] = {{.name = "", .string = "x.npy"},
                              {.name = "", .string = "y.npy"}};
static const NetProgram program = {
    .abi = NET_ABI,
    .name = "line",
    .label = "y",
    .epochs = 2,
    .batch = B,
    .seed = 1,
    .arena_bytes = sizeof(Memory),
    .scalars = offsetof(Memory, scalars),
    .n_vars = 2,
    .vars = vars,
    .data = {.reader = "npy", .n_args = 2, .args = args},
    .init_fn = {.run = init},
    .train = {train, B, 2, 5, inputs, train_results},
    .evaluate = {evaluate, B, 2, 3, inputs, evaluate_results},
    .predict = {predict, B, 1, 2, inputs, predict_results}};

/* ---- the data: x[0] of row i is i % 3, y is i % 2 ---- */

static bool put_array(const char *path, const char *descr, const char *shape,
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
      put_array(check_path("x.npy"), "<f4", "(10, 3)", x, sizeof x) &&
      put_array(check_path("y.npy"), "<i4", "(10,)", y, sizeof y));
}

/* ---- running ---- */

enum { PATH_SIZE = 256 };
/* check_path's buffers are reused in turn; this one is the caller's. */
static const char *keep(char to[PATH_SIZE], const char *name) {
  snprintf(to, PATH_SIZE, "%s", check_path(name));
  return to;
}

typedef struct Child {
  int status;
  char *out, *err;
} Child;

static void child_free(Child *c) {
  free(c->out);
  free(c->err);
}

static void redirect(int fd, const char *path) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, fd) < 0) _exit(99);
}

/* Runs net_main with the words of `line` behind the name; out: NULL, or where
 * standard output goes. */
static Child run_to(const NetProgram *p, const char *line, const char *out) {
  char words[512], *argv[24] = {(char *)(uintptr_t) "line"};
  int argc = 1, status = 0;
  snprintf(words, sizeof words, "%s", line);
  for (char *save, *w = strtok_r(words, " ", &save); w && argc < 23;
       w = strtok_r(NULL, " ", &save))
    argv[argc++] = w;
  char a[PATH_SIZE], b[PATH_SIZE];
  const char *err = keep(b, "err");
  bool reads = !out; /* what lies in a device has no end */
  if (!out) out = keep(a, "out");
  fflush(NULL);
  pid_t pid = fork();
  if (!pid) {
    redirect(STDOUT_FILENO, out);
    redirect(STDERR_FILENO, err);
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

static Child run(const NetProgram *p, const char *line) {
  return run_to(p, line, NULL);
}

/* `options` behind --data and the folder. */
static Child run_data(const NetProgram *p, const char *command,
                      const char *options) {
  char line[512];
  put_data();
  snprintf(line, sizeof line, "%s --data %s %s", command, check_tmp(), options);
  return run(p, line);
}

/* The status, and a part of what stderr has to say. */
static void fails(Child c, int status, const char *want) {
  check_that(c.status == status && strstr(c.err, want),
             "wanted %d and '%s', got %d and '%s'", status, want, c.status,
             c.err);
  child_free(&c);
}

static float saved_w(const char *path) {
  DataError e = {0};
  Memory m = {0};
  check_that(net_weights_load(&program, (char *)&m, path, &e), "%s", e.text);
  return m.w[0];
}

/* ---- tests ---- */

static const char TESTED[] = "Accuracy of     0 : 40 %\n"
                             "Accuracy of     1 : 40 %\n"
                             "Test loss: 0.9000\n"
                             "Test accuracy: 40.00 % (4 of 10)\n";

static void printed(Child c, const char *first) {
  char want[512];
  snprintf(want, sizeof want, "%s%s", first, TESTED);
  CU_ASSERT_EQUAL(c.status, 0);
  CU_ASSERT_STRING_EQUAL(c.out, want);
  child_free(&c);
}

static void test_prints(void) {
  Child c = run_data(&program, "train", "--print-every 2");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.err, "epoch 1/2, 100 %: loss 3.396, "
                                       "accuracy 50.0 %, "));
  CU_ASSERT_PTR_NOT_NULL(strstr(c.err, " samples/s, 0:00 left\n"));
  printed(c, "[1,     2] loss: 4.031\n[2,     2] loss: 4.219\n"
             "Finished Training\n");
  /* an epoch that is shorter than the interval */
  printed(run_data(&program, "", "--epochs=1"),
          "[1,     3] loss: 3.396\nFinished Training\n");
  c = run_data(&program, "", "--quiet --epochs 0");
  CU_ASSERT_STRING_EQUAL(c.err, "");
  printed(c, "Finished Training\n");
}

/* Each line of the file is this one, in turn. */
static void check_log(const char *path, const char *want) {
  char *text = check_read(path, NULL);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  check_that(!strcmp(text, want), "the log is\n%s", text);
  free(text);
}

static void test_log(void) {
  char options[300], a[PATH_SIZE];
  const char *path = keep(a, "log");
  snprintf(options, sizeof options, "--quiet --epochs 1 --print-every 2 "
           "--log %s", path);
  Child c = run_data(&program, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  check_log(path,
      "{\"step\": 1, \"epoch\": 0, \"split\": \"train\", \"loss\": 4.03125, "
      "\"penalty\": {\"l2\": 0.5}, \"penalty_total\": 0.5, \"total\": 4.53125, "
      "\"accuracy\": 0.5, \"lr\": 0.6666666666666667}\n"
      "{\"step\": 2, \"epoch\": 0, \"split\": \"train\", \"loss\": 2.125, "
      "\"penalty\": {\"l2\": 0.5}, \"penalty_total\": 0.5, \"total\": 2.625, "
      "\"accuracy\": 0.5, \"lr\": 0.33333333333333337}\n"
      "{\"step\": 2, \"epoch\": 0, \"split\": \"test\", \"loss\": 0.9, "
      "\"accuracy\": 0.4}\n");
}

static void test_save_and_init(void) {
  char options[600], a[PATH_SIZE], b[PATH_SIZE];
  keep(a, "a.st");
  keep(b, "b.st");
  snprintf(options, sizeof options, "--quiet --save %s", a);
  Child c = run_data(&program, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  CU_ASSERT_EQUAL(saved_w(a), 6); /* two epochs of three steps */
  snprintf(options, sizeof options, "--quiet --epochs 1 --threads 2 --init=%s "
           "--save %s", a, b);
  c = run_data(&program, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  CU_ASSERT_EQUAL(saved_w(b), 9);
  snprintf(options, sizeof options, "--init %s", b);
  printed(run_data(&program, "test", options), "");
  fails(run_data(&program, "test", ""), 2, "needs weights: --init FILE");
}

static void test_predict(void) {
  char line[800], w[PATH_SIZE], file[PATH_SIZE], out[PATH_SIZE];
  keep(w, "p.st");
  keep(file, "f.npy");
  const float x[] = {1, 2, 0.1f, 2, 0.25f, 7};
  Child c;
  snprintf(line, sizeof line, "--epochs 0 --seed 3 --save %s", w);
  c = run_data(&program, "", line);
  child_free(&c);
  CU_ASSERT_TRUE(put_array(file, "<f4", "(2, 3)", x, sizeof x));
  snprintf(line, sizeof line, "%s --init %s", file, w);
  c = run_data(&program, "predict", line); /* w is 0 3 6 */
  CU_ASSERT_EQUAL(c.status, 0);
  CU_ASSERT_STRING_EQUAL(c.out, "1\t1\t5\t6.1\n2\t2\t3.25\t13\n");
  child_free(&c);
  keep(out, "predicted");
  snprintf(line, sizeof line, "--init %s -o %s %s", w, out, file);
  c = run_data(&program, "predict", line);
  CU_ASSERT_STRING_EQUAL(c.out, "");
  child_free(&c);
  check_log(out, "1\t1\t5\t6.1\n2\t2\t3.25\t13\n");
  fails(run(&program, "predict"), 2, "predict needs a FILE");
}

/* Saves 0 steps into `path`, then runs `train` with --save there. */
static Child run_over(void (*step)(char *, NetPool *), const char *path) {
  char options[300];
  NetProgram p = program;
  snprintf(options, sizeof options, "--epochs 0 --save %s", path);
  Child c = run_data(&program, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  p.train.run = step;
  snprintf(options, sizeof options, "--save %s", path);
  return run_data(&p, "", options);
}

static void test_nan(void) {
  char a[PATH_SIZE];
  const char *path = keep(a, "good.st");
  fails(run_over(train_nan, path), 1,
        "the loss is nan at step 2 (epoch 1, batch 3)");
  CU_ASSERT_EQUAL(saved_w(path), 0);
  fails(run_over(train_poison, path), 1, "line.W holds a value that is not");
  CU_ASSERT_EQUAL(saved_w(path), 0);
}

static void test_interrupt(void) {
  char a[PATH_SIZE];
  const char *path = keep(a, "interrupted.st");
  fails(run_over(train_interrupted, path), 130,
        "interrupted after 2 steps (epoch 1); go on with --resume ");
  CU_ASSERT_EQUAL(saved_w(path), 2);
  fails(run_over(train_interrupted_twice, path), 130, "");
  CU_ASSERT_EQUAL(saved_w(path), 0);
}

static void test_wrong_use(void) {
  fails(run(&program, "--epochs"), 2, "--epochs needs N");
  fails(run(&program, "--epoch 3"), 2, "did you mean --epochs?");
  fails(run(&program, "fit"), 2, "what is 'fit'?");
  fails(run(&program, "train twice"), 2, "what is 'twice'?");
  fails(run(&program, "test --save x"), 2, "--save means nothing to test");
  fails(run(&program, "-o x"), 2, "-o means nothing to training");
  Child c = run(&program, "--help");
  CU_ASSERT_EQUAL(c.status, 0);
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "predict FILE"));
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "--print-every N"));
  child_free(&c);
  c = run(&program, "--version");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "line, compiled by netc"));
  child_free(&c);
}

static void test_misfits(void) {
  NetProgram p = program;
  NetTensor other[2];
  p.arena_bytes = INT64_C(1) << 55;
  fails(run_data(&p, "", ""), 3, "MB are free");
  p = program;
  p.abi = NET_ABI + 1;
  fails(run_data(&p, "", ""), 1, "build it again");
  p = program;
  p.predict.run = NULL;
  fails(run_data(&p, "predict", "x.npy --init x"), 1, "no function `predict`");
  memcpy(other, inputs, sizeof other);
  other[0].dim[1] = 4;
  p.train.inputs = other;
  fails(run_data(&p, "", ""), 1, "compiled for x: f32[4]");
  other[0].name = "image";
  fails(run_data(&p, "", ""), 1, "'image', which the data does not have");
  fails(run(&program, "--data /no/such"), 1, "/no/such");
  fails(run_data(&program, "", "--init /no/such"), 1, "/no/such");
  fails(run_data(&program, "", "--save /no/such/file"), 1, "/no/such/file");
  fails(run_data(&program, "", "--save /dev/null"), 1, "not a regular file");
  fails(run_data(&program, "", "--log /no/such/file"), 1, "/no/such/file");
}

/* The run goes on without its log; what could not be printed is an error. */
static void test_full_disk(void) {
  char line[300];
  Child c = run_data(&program, "", "--log /dev/full");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "Test loss"));
  fails(c, 3, "/dev/full: cannot be written");
  snprintf(line, sizeof line, "--data %s", check_tmp());
  c = run_to(&program, line, "/dev/full");
  fails(c, 3, "standard output: ");
}

static const CheckTest tests[] = {
    {"the lines of a training", test_prints},
    {"the log", test_log},
    {"weights saved, loaded and tested", test_save_and_init},
    {"predictions", test_predict},
    {"a loss or weight that is not finite", test_nan},
    {"Ctrl-C once and twice", test_interrupt},
    {"wrong use of the command line", test_wrong_use},
    {"what does not fit the program", test_misfits},
    {"a full disk", test_full_disk},
    {NULL, NULL}};

void suite_run(void);
void suite_run(void) {
  check_suite("run", tests);
}
