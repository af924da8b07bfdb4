/* run.c, train.c, test.c, predict.c, net_main.c, log.c, on the program of line.h:
 * what is printed, logged and saved, and what goes wrong. */
#include "tests/unit/line.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void train_nan(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_train(arena, pool);
  if (m->scalars.step == 2) m->loss = NAN;
}

/* The loss is good and the weights are not. */
static void train_poison(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_train(arena, pool);
  m->w[1] = INFINITY;
}

static void train_interrupted(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_train(arena, pool);
  if (m->scalars.step == 1) raise(SIGINT);
}

static void train_terminated(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_train(arena, pool);
  if (m->scalars.step == 1) raise(SIGTERM);
}

static void train_interrupted_twice(char *arena, NetPool *pool) {
  train_interrupted(arena, pool);
  train_interrupted(arena, pool);
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
  Child c = line_run_data(&line_program, "train", "--print-every 2");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.err, "epoch 1/2, 100 %: loss 3.396, "
                                       "accuracy 50.0 %, "));
  CU_ASSERT_PTR_NOT_NULL(strstr(c.err, " samples/s, 0:00 left\n"));
  printed(c, "[1,     2] loss: 4.031\n[2,     2] loss: 4.219\n"
             "Finished Training\n");
  /* an epoch that is shorter than the interval */
  printed(line_run_data(&line_program, "", "--epochs=1"),
          "[1,     3] loss: 3.396\nFinished Training\n");
  c = line_run_data(&line_program, "", "--quiet --epochs 0");
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
  const char *path = line_path(a, "log");
  snprintf(options, sizeof options, "--quiet --epochs 1 --print-every 2 "
           "--log %s", path);
  Child c = line_run_data(&line_program, "", options);
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

/* Two batches an update: those of the first epoch are 0, 0 and 1. */
static void test_accumulated(void) {
  char options[300], a[PATH_SIZE];
  const char *path = line_path(a, "log"), *at;
  static const int want[] = {0, 0, 1, 1, 2, 2, 2};
  NetProgram p = line_program;
  p.accumulate = 2;
  snprintf(options, sizeof options, "--quiet --print-every 1 --log %s", path);
  Child c = line_run_data(&p, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  char *text = check_read(path, NULL);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  at = text;
  for (int i = 0; i < 7; i++) {
    int step = -1;
    at = at ? strstr(at, "{\"step\": ") : NULL;
    check_that(at && sscanf(at++, "{\"step\": %d", &step) == 1 &&
               step == want[i], "line %d: step %d\n%s", i, step, text);
  }
  free(text);
  p.train.run = train_nan; /* its third batch */
  line_fails(line_run_data(&p, "", ""), 1, "nan at step 1 (epoch 1, batch 3)");
  p.train.run = train_interrupted;
  line_fails(line_run_data(&p, "", ""), 130, "interrupted after 1 steps");
}

static void test_save_and_init(void) {
  char options[600], a[PATH_SIZE], b[PATH_SIZE];
  line_path(a, "a.st");
  line_path(b, "b.st");
  snprintf(options, sizeof options, "--quiet --save %s", a);
  Child c = line_run_data(&line_program, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  CU_ASSERT_EQUAL(line_saved(a), 6); /* two epochs of three steps */
  snprintf(options, sizeof options, "--quiet --epochs 1 --threads 2 --init=%s "
           "--save %s", a, b);
  c = line_run_data(&line_program, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  CU_ASSERT_EQUAL(line_saved(b), 9);
  snprintf(options, sizeof options, "--init %s", b);
  printed(line_run_data(&line_program, "test", options), "");
  line_fails(line_run_data(&line_program, "test", ""), 2, "needs weights: --init FILE");
}

static void test_predict(void) {
  char line[800], w[PATH_SIZE], file[PATH_SIZE], out[PATH_SIZE];
  line_path(w, "p.st");
  line_path(file, "f.npy");
  const float x[] = {1, 2, 0.1f, 2, 0.25f, 7};
  Child c;
  snprintf(line, sizeof line, "--epochs 0 --seed 3 --save %s", w);
  c = line_run_data(&line_program, "", line);
  child_free(&c);
  CU_ASSERT_TRUE(line_array(file, "<f4", "(2, 3)", x, sizeof x));
  snprintf(line, sizeof line, "%s --init %s", file, w);
  c = line_run_data(&line_program, "predict", line); /* w is 0 3 6 */
  CU_ASSERT_EQUAL(c.status, 0);
  CU_ASSERT_STRING_EQUAL(c.out, "1\t1\t5\t6.1\n2\t2\t3.25\t13\n");
  child_free(&c);
  line_path(out, "predicted");
  snprintf(line, sizeof line, "--init %s -o %s %s", w, out, file);
  c = line_run_data(&line_program, "predict", line);
  CU_ASSERT_STRING_EQUAL(c.out, "");
  child_free(&c);
  check_log(out, "1\t1\t5\t6.1\n2\t2\t3.25\t13\n");
  line_fails(line_run(&line_program, "predict"), 2, "predict needs a FILE");
}

/* Saves 0 steps into `path`, then runs `train` with --save there. */
static Child run_over(void (*step)(char *, NetPool *), const char *path) {
  char options[300];
  NetProgram p = line_program;
  snprintf(options, sizeof options, "--epochs 0 --save %s", path);
  Child c = line_run_data(&line_program, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  p.train.run = step;
  snprintf(options, sizeof options, "--save %s", path);
  return line_run_data(&p, "", options);
}

static void test_nan(void) {
  char a[PATH_SIZE];
  const char *path = line_path(a, "good.st");
  line_fails(run_over(train_nan, path), 1,
        "the loss is nan at step 2 (epoch 1, batch 3)");
  CU_ASSERT_EQUAL(line_saved(path), 0);
  line_fails(run_over(train_poison, path), 1, "line.W holds a value that is not");
  CU_ASSERT_EQUAL(line_saved(path), 0);
}

static void init_interrupted(char *arena, NetPool *pool) {
  (void)arena, (void)pool;
  raise(SIGINT);
}

static void test_interrupt(void) {
  char a[PATH_SIZE];
  const char *path = line_path(a, "interrupted.st");
  line_fails(run_over(train_interrupted, path), 130,
        "interrupted after 2 steps (epoch 1); go on with --resume ");
  CU_ASSERT_EQUAL(line_saved(path), 2);
  line_fails(run_over(train_terminated, path), 130,
        "interrupted after 2 steps (epoch 1); go on with --resume ");
  CU_ASSERT_EQUAL(line_saved(path), 2);
  line_fails(run_over(train_interrupted_twice, path), 130, "");
  CU_ASSERT_EQUAL(line_saved(path), 0);
  NetProgram p = line_program; /* before the first step */
  p.init_fn.run = init_interrupted;
  Child c = line_run_data(&p, "", "--save never");
  CU_ASSERT_EQUAL(c.status, 130);
  CU_ASSERT_STRING_EQUAL(c.out, "");
  child_free(&c);
}

/* W begins with 0 1 2 times the seed. The run ends with one zero; with two, one
 * of them negative, of seed 2. */
static void train_to_zero(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_train(arena, pool);
  m->w[0] = 0;
  if (m->scalars.seed == 2) m->w[1] = -0.0f;
}

static void test_zeros(void) {
  NetProgram p = line_program;
  Child c = line_run_data(&p, "", "--quiet");
  CU_ASSERT_PTR_NULL(strstr(c.out, "Zero"));
  child_free(&c);
  p.train.run = train_to_zero;
  c = line_run_data(&p, "", "--quiet");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, ")\nZero weights: line.W 1 of 3\n"));
  child_free(&c);
  c = line_run_data(&p, "", "--quiet --seed 2");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "Zero weights: line.W 2 of 3\n"));
  child_free(&c);
  c = line_run_data(&p, "", "--quiet --seed 2 --epochs 0");
  CU_ASSERT_PTR_NULL(strstr(c.out, "Zero"));
  child_free(&c);
  p.train.n_results = 1; /* no penalty */
  c = line_run_data(&p, "", "--quiet");
  CU_ASSERT_PTR_NULL(strstr(c.out, "Zero"));
  child_free(&c);
}

static void test_verbose(void) {
  Child c = line_run_data(&line_program, "", "--quiet --verbose");
  double start, seconds, data, steps, tests;
  int n = sscanf(c.err, "first step %lf ms after the data were checked\n"
                 "epoch 1: %lf s, of which %lf %% waiting for data, "
                 "%lf %% in steps, %lf %% in evaluation\nepoch 2: ", &start,
                 &seconds, &data, &steps, &tests);
  check_that(n == 5 && data >= 0 && steps >= 0 && data + steps + tests <= 100.1,
             "%s", c.err);
  CU_ASSERT_PTR_NOT_NULL(strstr(c.err, "resident memory at most "));
  child_free(&c);
}

static void test_wrong_use(void) {
  line_fails(line_run(&line_program, "--epochs"), 2, "--epochs needs N");
  line_fails(line_run(&line_program, "--epoch 3"), 2, "did you mean --epochs?");
  line_fails(line_run(&line_program, "fit"), 2, "what is 'fit'?");
  line_fails(line_run(&line_program, "train twice"), 2, "what is 'twice'?");
  line_fails(line_run(&line_program, "test --save x"), 2, "--save means nothing to test");
  line_fails(line_run(&line_program, "-o x"), 2, "-o means nothing to training");
  Child c = line_run(&line_program, "--help");
  CU_ASSERT_EQUAL(c.status, 0);
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "predict FILE"));
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "--print-every N"));
  child_free(&c);
  c = line_run(&line_program, "--version");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "line, compiled by netc"));
  child_free(&c);
  NetProgram p = line_program;
  p.variant = "plain";
  line_fails(line_run(&line_program, "--variant x"), 2,
             "is the file without a variant, and 'netc build line.net "
             "--variant NAME'");
  line_fails(line_run(&p, "--variant=x"), 2, "is the variant plain, ");
  line_fails(line_run(&p, "--variants"), 2, "unknown option '--variants'");
  c = line_run(&p, "--version");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "line (variant plain), compiled"));
  child_free(&c);
}

static void test_misfits(void) {
  NetProgram p = line_program;
  NetTensor other[2];
  p.arena_bytes = INT64_C(1) << 55;
  line_fails(line_run_data(&p, "", ""), 3, "MB are free");
  p = line_program;
  p.abi = NET_ABI + 1;
  line_fails(line_run_data(&p, "", ""), 1, "build it again");
  p = line_program;
  p.predict.run = NULL;
  line_fails(line_run_data(&p, "predict", "x.npy --init x"), 1, "no function `predict`");
  memcpy(other, line_inputs, sizeof other);
  other[0].dim[1] = 4;
  p.train.inputs = other;
  line_fails(line_run_data(&p, "", ""), 1, "compiled for x: f32[4]");
  other[0].name = "image";
  line_fails(line_run_data(&p, "", ""), 1, "'image', which the data does not have");
  line_fails(line_run(&line_program, "--data /no/such"), 1, "/no/such");
  line_fails(line_run_data(&line_program, "", "--init /no/such"), 1, "/no/such");
  line_fails(line_run_data(&line_program, "", "--save /no/such/file"), 1, "/no/such/file");
  line_fails(line_run_data(&line_program, "", "--save /dev/null"), 1, "not a regular file");
  line_fails(line_run_data(&line_program, "", "--log /no/such/file"), 1, "/no/such/file");
}

/* The run goes on without its log; what could not be printed is an error. */
static void test_full_disk(void) {
  char line[300];
  Child c = line_run_data(&line_program, "", "--log /dev/full");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "Test loss"));
  line_fails(c, 3, "/dev/full: cannot be written");
  snprintf(line, sizeof line, "--data %s", check_tmp());
  c = line_run_to(&line_program, line, "/dev/full");
  line_fails(c, 3, "standard output: ");
}

static const CheckTest tests[] = {
    {"the lines of a training", test_prints},
    {"the log", test_log},
    {"several batches an update", test_accumulated},
    {"weights saved, loaded and tested", test_save_and_init},
    {"predictions", test_predict},
    {"a loss or weight that is not finite", test_nan},
    {"Ctrl-C once and twice, and SIGTERM", test_interrupt},
    {"weights that are zero", test_zeros},
    {"where the time went", test_verbose},
    {"wrong use of the command line", test_wrong_use},
    {"what does not fit the program", test_misfits},
    {"a full disk", test_full_disk},
    {NULL, NULL}};

void suite_run(void);
void suite_run(void) {
  check_suite("run", tests);
}
