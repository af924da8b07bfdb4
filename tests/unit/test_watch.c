/* watch.c: early stopping, plateaus, the best weights and what is told of each
 * epoch, on the program of line.h. W[0] counts the steps, three an epoch, and the
 * loss of a row is |W[0] - 6|, so that epoch 2 is the best. */
#include "tests/unit/line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void evaluate(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_evaluate(arena, pool);
  for (int i = 0; i < B; i++) {
    m->losses[i] = fabsf(m->w[0] - 6);
    m->weights[i] = 1;
    m->metric[i] = m->w[0];
  }
}

static const NetTensor results[] = {
    {"loss", 0, NET_F32, 1, 1, {B}, AT(losses)},
    {"weight", 0, NET_F32, 1, 1, {B}, AT(weights)},
    {"predicted", 0, NET_I32, 1, 1, {B}, AT(predicted)},
    {"metric.steps", 0, NET_F32, 1, 1, {B}, AT(metric)}};
static const NetMetric metrics[] = {{"steps", NET_MEAN, 1},
                                    {"table", NET_CONFUSION, 0}};

static NetProgram program(void) {
  NetProgram p = line_program;
  p.epochs = 9;
  p.evaluate.run = evaluate;
  p.evaluate.results = results;
  p.evaluate.n_results = 4;
  p.metrics = metrics;
  p.n_metrics = 1;
  return p;
}

/* Runs with `options`, wants these lines of the output before the test's. */
static void prints(const NetProgram *p, const char *options, const char *want) {
  Child c = line_run_data(p, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  check_that(!strncmp(c.out, want, strlen(want)), "wanted\n%sgot\n%s\n%s", want,
             c.out, c.err);
  child_free(&c);
}

static void refused(const NetProgram *p, const char *want) {
  line_fails(line_run_data(p, "", ""), 1, want);
}

static void test_stop(void) {
  NetProgram p = program();
  p.stop = (NetWatch){"test.loss", 2, 0};
  prints(&p, "--print-every 3",
         "[1,     3] loss: 3.396\n"
         "Epoch 1: train loss 3.3958, test loss 3.0000, accuracy 40.00 %, "
         "steps 3.0000, the best so far\n"
         "[2,     3] loss: 3.583\n"
         "Epoch 2: train loss 3.5833, test loss 0.0000, accuracy 40.00 %, "
         "steps 6.0000, the best so far\n"
         "[3,     3] loss: 3.771\n"
         "Epoch 3: train loss 3.7708, test loss 3.0000, accuracy 40.00 %, "
         "steps 9.0000, 1 of 2 without a better one\n"
         "[4,     3] loss: 3.958\n"
         "Epoch 4: train loss 3.9583, test loss 6.0000, accuracy 40.00 %, "
         "steps 12.0000, 2 of 2 without a better one\n"
         "Stopped: test.loss has not been better for 2 epochs\n"
         "Finished Training\n"
         "Accuracy of");
  Child c = line_run_data(&p, "", "");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.err, "note: `stop` watches test.loss"));
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "Test steps: 12.0000\n"));
  child_free(&c);
}

/* What improves by no more than delta does not improve. */
static void test_delta(void) {
  NetProgram p = program();
  p.epochs = 5;
  p.n_metrics = 0;
  p.stop = (NetWatch){"test.loss", 1, 3};
  prints(&p, "--print-every 3",
         "[1,     3] loss: 3.396\n"
         "Epoch 1: train loss 3.3958, test loss 3.0000, accuracy 40.00 %, "
         "the best so far\n"
         "[2,     3] loss: 3.583\n"
         "Epoch 2: train loss 3.5833, test loss 0.0000, accuracy 40.00 %, "
         "1 of 1 without a better one\n"
         "Stopped: test.loss has not been better for 1 epoch\n");
  p.stop = (NetWatch){"train.total", 2, 0};
  prints(&p, "--epochs 3 --print-every 3",
         "[1,     3] loss: 3.396\n"
         "Epoch 1: train loss 3.3958, the best so far\n"
         "[2,     3] loss: 3.583\n"
         "Epoch 2: train loss 3.5833, 1 of 2 without a better one\n"
         "[3,     3] loss: 3.771\n"
         "Epoch 3: train loss 3.7708, 2 of 2 without a better one\n"
         "Stopped: train.total");
}

static void test_keep(void) {
  char options[300], a[PATH_SIZE];
  NetProgram p = program();
  p.keep = (NetWatch){"test.loss", 0, 0};
  snprintf(options, sizeof options, "--save %s --quiet",
           line_path(a, "kept.st"));
  Child c = line_run_data(&p, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  CU_ASSERT_STRING_EQUAL(c.err, "");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "Finished Training\nThe weights are "
                                       "those of epoch 2: test.loss 0.0000\n"));
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "Test loss: 0.0000\n"));
  child_free(&c);
  CU_ASSERT_EQUAL(line_saved(a), 6);
  p.keep.on = "test.steps"; /* more is better: the last */
  c = line_run_data(&p, "", options);
  CU_ASSERT_EQUAL(line_saved(a), 27);
  child_free(&c);
}

/* A loss that is not finite, in evaluation and in training, loses nothing. */
static void evaluate_nan(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  evaluate(arena, pool);
  if (m->w[0] > 3) m->losses[0] = NAN;
}

static void train_nan(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_train(arena, pool);
  if (m->scalars.step == 10) m->loss = NAN;
}

static void train_poison(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_train(arena, pool);
  if (m->scalars.step > 4) m->w[2] = INFINITY;
}

static void test_nan(void) {
  char options[300], a[PATH_SIZE];
  NetProgram p = program();
  p.keep = (NetWatch){"test.loss", 0, 0};
  p.evaluate.run = evaluate_nan;
  snprintf(options, sizeof options, "--save %s", line_path(a, "kept.st"));
  Child c = line_run_data(&p, "", options);
  child_free(&c);
  CU_ASSERT_EQUAL(line_saved(a), 3);
  p.evaluate.run = evaluate;
  p.train.run = train_nan;
  line_fails(line_run_data(&p, "", options), 1,
             "the loss is nan at step 10 (epoch 4, batch 2); training stops, "
             "and the best weights are saved");
  CU_ASSERT_EQUAL(line_saved(a), 6);
  p.train.run = train_poison; /* epoch 2 is better, but not sound */
  c = line_run_data(&p, "", options);
  child_free(&c);
  CU_ASSERT_EQUAL(line_saved(a), 3);
}

/* The steps read how often the patience ran out: it is the learning rate. */
static void train_plateau(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_train(arena, pool);
  m->lr = m->scalars.plateau;
}

static void test_plateau(void) {
  char options[300], a[PATH_SIZE];
  NetProgram p = program();
  p.plateau = (NetWatch){"test.loss", 2, 0};
  p.train.run = train_plateau;
  snprintf(options, sizeof options, "--epochs 7 --print-every 3 --log %s",
           line_path(a, "log"));
  Child c = line_run_data(&p, "", options);
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "steps 12.0000, plateau 1\n"));
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "steps 18.0000, plateau 2\n"));
  child_free(&c);
  char *log = check_read(a, NULL);
  int epoch = 0, plateau[] = {0, 0, 0, 0, 1, 1, 2};
  for (const char *at = log; at && (at = strstr(at, "\"lr\": ")); at++)
    CU_ASSERT_EQUAL(atoi(at + 6), plateau[epoch++ % 7]);
  CU_ASSERT_EQUAL(epoch, 7);
  CU_ASSERT_PTR_NOT_NULL(strstr(
      log, "{\"step\": 5, \"epoch\": 1, \"split\": \"test\", \"loss\": 0, "
           "\"accuracy\": 0.4, \"metrics\": {\"steps\": 6}}\n"));
  free(log);
}

/* Four rows of the ten are for validation, and are told of without a watch. */
static void test_validation(void) {
  static const double four = 4;
  static const NetArg arg = {.name = "", .n_numbers = 1, .numbers = &four};
  static const NetDataEntry entry = {.name = "validation", .n_args = 1,
                                     .args = &arg};
  char options[300], a[PATH_SIZE];
  NetProgram p = program();
  p.data.n_entries = 1;
  p.data.entries = &entry;
  snprintf(options, sizeof options, "--epochs 3 --log %s", line_path(a, "log"));
  Child c = line_run_data(&p, "", options); /* two steps an epoch */
  CU_ASSERT_EQUAL(c.status, 0);
  check_that(strstr(c.out, "Epoch 3: train loss 3.2812, validation loss 0.0000, "
                           "accuracy ") != NULL, "%s%s", c.out, c.err);
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, " %, steps 6.0000\nFinished"));
  CU_ASSERT_PTR_NOT_NULL(strstr(c.err, ", validation loss 0.000, "));
  child_free(&c);
  char *log = check_read(a, NULL);
  CU_ASSERT_PTR_NOT_NULL(strstr(log, "{\"step\": 3, \"epoch\": 1, \"split\": "
                                     "\"validation\", \"loss\": 2, "));
  free(log);
  p.keep.on = "validation.loss";
  p.stop = (NetWatch){"validation.steps", 4, 0};
  c = line_run_data(&p, "", "--quiet");
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "those of epoch 3: validation.loss 0.0"));
  CU_ASSERT_PTR_NULL(strstr(c.out, ", test loss"));
  CU_ASSERT_PTR_NULL(strstr(c.out, "Stopped"));
  child_free(&c);
}

static void test_wrong(void) {
  NetProgram p = program();
  p.n_metrics = 2;
  p.stop = (NetWatch){"valid.loss", 2, 0};
  refused(&p, "`stop` watches valid.loss, but the parts are train, validation "
              "and test");
  p.stop.on = "validation.loss";
  refused(&p, "but the data has no validation part: `validation = 0.1` in");
  p.stop.on = "test.loss";
  p.keep.on = "test.total";
  refused(&p, "`keep` watches test.total, but of the test part there is only: "
              "loss, accuracy, steps");
  p.keep.on = "test.table";
  refused(&p, "`keep` watches test.table");
  p.keep.on = NULL;
  p.plateau.on = "train.steps";
  refused(&p, "of the train part there is only: loss, total, accuracy");
  p.plateau.on = NULL;
  p.evaluate.n_results = 3;
  refused(&p, "does not give what the metric steps is made of");
  p.n_metrics = 0;
  p.evaluate = (NetFunction){0};
  refused(&p, "but the program has no function `evaluate`");
}

static const CheckTest tests[] = {
    {"patience runs out", test_stop},
    {"what counts as better", test_delta},
    {"the best weights come back", test_keep},
    {"values that are not finite", test_nan},
    {"plateaus", test_plateau},
    {"a validation part", test_validation},
    {"what cannot be watched", test_wrong},
    {NULL, NULL}};

void suite_watch(void);
void suite_watch(void) {
  check_suite("watch", tests);
}
