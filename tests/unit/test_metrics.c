/* metrics.c: each kind against its definition, over batches of which the last is
 * short, and what is printed and logged of it. */
#include "tests/unit/line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 3, SIDE = 2 };
static const double LARGE = 1e6; /* where a difference of sums would cancel */

static const NetTensor results[] = {
    {"loss", 0, NET_F32, 1, 1, {B}, AT(losses)},
    {"predicted", 0, NET_I32, 1, 1, {B}, AT(predicted)},
    {"metric.mae", 0, NET_F32, 1, 1, {B}, AT(metric)},
    {"metric.rmse", 0, NET_F32, 1, 1, {B}, AT(metric)},
    {"metric.r2.error", 0, NET_F32, 1, 1, {B}, AT(metric_error)},
    {"metric.r2.target", 0, NET_F32, 2, 1, {B, COLUMNS}, AT(metric_target)}};
static const NetMetric metrics[] = {{"mae", NET_MEAN, 0},
                                    {"rmse", NET_ROOT, 0},
                                    {"r2", NET_R2, 1},
                                    {"counts", NET_CONFUSION, 0}};

static NetProgram program(void) {
  NetProgram p = line_program;
  p.evaluate.results = results;
  p.evaluate.n_results = 6;
  p.metrics = metrics;
  p.n_metrics = 4;
  return p;
}

static float target(int row, int column) {
  return (float)(LARGE + (double)((row * 7 + column * 3) % 5));
}

/* Rows 0 to 9, B at a time. */
static void test_values(void) {
  static const int32_t labels[ROWS] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
  NetProgram p = program();
  NetTally t = {0};
  DataError e = {0};
  Memory m;
  double error = 0, spread = 0;
  CU_ASSERT_TRUE_FATAL(net_metrics_check(&p, &e) &&
                       net_metrics_init(&t, &p, &e));
  for (int at = 0; at < ROWS; at += B) {
    int64_t rows[B] = {at, at + 1, at + 2, at + 3};
    int n = ROWS - at < B ? ROWS - at : B;
    for (int i = 0; i < B; i++) {
      m.metric[i] = (float)(at + i);
      m.predicted[i] = (at + i) % 3 == 0;
      m.metric_error[i] = 0.5f;
      for (int k = 0; k < COLUMNS; k++)
        m.metric_target[i * COLUMNS + k] = target(at + i, k);
    }
    net_metrics_add(&t, &p, (char *)&m, labels, rows, n);
    error += 0.5 * n;
  }
  for (int k = 0; k < COLUMNS; k++) {
    double mean = 0;
    for (int i = 0; i < ROWS; i++) mean += target(i, k) / (double)ROWS;
    for (int i = 0; i < ROWS; i++) spread += pow(target(i, k) - mean, 2);
  }
  CU_ASSERT_EQUAL(net_metric(&p, &t, 0), 4.5);
  CU_ASSERT_EQUAL(net_metric(&p, &t, 1), sqrt(4.5));
  CU_ASSERT_DOUBLE_EQUAL(net_metric(&p, &t, 2), 1 - error / spread, 1e-9);
  CU_ASSERT_TRUE(isnan(net_metric(&p, &t, 3)));
  /* 0, 3, 6, 9 are predicted as 1 */
  static const int64_t counts[SIDE * SIDE] = {3, 2, 3, 2};
  CU_ASSERT_EQUAL(t.side, SIDE);
  CU_ASSERT_EQUAL(memcmp(t.confusion, counts, sizeof counts), 0);
  net_metrics_free(&t);
}

/* On the data of line.h: x[0] and the prediction are 0, 1, 2, 0 .. */
static void evaluate(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_evaluate(arena, pool);
  for (int i = 0; i < B; i++) {
    m->metric[i] = 0.0025f;
    m->metric_error[i] = 1;
    m->predicted[i] = (int32_t)m->x[i * N] % 2;
    for (int k = 0; k < COLUMNS; k++)
      m->metric_target[i * COLUMNS + k] = m->x[i * N];
  }
}

static void test_prints(void) {
  char options[300], a[PATH_SIZE];
  NetProgram p = program();
  p.evaluate.run = evaluate;
  snprintf(options, sizeof options, "--epochs 0 --log %s",
           line_path(a, "log"));
  Child c = line_run_data(&p, "", options);
  const char *want =
      "Test mae: 0.0025\n"
      "Test rmse: 0.0500\n"
      "Test r2: 0.5169\n"
      "Test confusion, a row for each label, a column for each prediction:\n"
      "   0  1\n"
      "0  4  1\n"
      "1  3  2\n";
  check_that(strstr(c.out, want) != NULL, "got\n%s%s", c.out, c.err);
  child_free(&c);
  char *log = check_read(a, NULL);
  check_that(log && strstr(log, "\"metrics\": {\"mae\": 0.0024999999441206455, "
                                "\"rmse\": 0.04999999944120645, \"r2\": "
                                "0.5169082125603865, \"counts\": "
                                "[[4, 1], [3, 2]]}}\n"),
             "the log is %s", log);
  free(log);
}

/* An alignment by characters, not by bytes. */
static void test_names_of_classes(void) {
  NetProgram p = program();
  NetTally t = {0};
  DataError e = {0};
  char plane[] = "\xc3\xa9toile", car[] = "car", *names[] = {plane, car};
  Dataset d = {.n_classes = SIDE, .class_names = names};
  char a[PATH_SIZE];
  p.metrics = metrics + 3;
  p.n_metrics = 1;
  CU_ASSERT_TRUE_FATAL(net_metrics_init(&t, &p, &e));
  t.confusion[1] = 12345678;
  fflush(stdout);
  int kept = dup(STDOUT_FILENO);
  CU_ASSERT_PTR_NOT_NULL(freopen(line_path(a, "table"), "w", stdout));
  net_metrics_print(&p, &t, &d);
  fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  char *text = check_read(a, NULL), *line = text ? strchr(text, '\n') : NULL;
  check_that(line && !strcmp(line + 1, "          \xc3\xa9toile       car\n"
                                       "\xc3\xa9toile         0  12345678\n"
                                       "   car         0         0\n"),
             "got\n%s", text);
  free(text);
  net_metrics_free(&t);
}

static void test_short_numbers(void) {
  static const double v[] = {0, 0.01, 0.00123456, 1.5, -12.34567, 1234567.125};
  static const char *const text[] = {"0.0000",   "0.0100",   "0.001235",
                                     "1.5000",   "-12.3457", "1234567"};
  char b[NET_NUMBER];
  for (int i = 0; i < 6; i++)
    CU_ASSERT_STRING_EQUAL(net_number_short(v[i], b), text[i]);
}

static const CheckTest tests[] = {
    {"values", test_values},
    {"what is printed and logged", test_prints},
    {"tables with names of classes", test_names_of_classes},
    {"short numbers", test_short_numbers},
    {NULL, NULL}};

void suite_metrics(void);
void suite_metrics(void) {
  check_suite("metrics", tests);
}
