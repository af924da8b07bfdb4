/* options.c: each option in both spellings, ranges, wrong use, and which
 * command an option means something to. text.c: numbers and near names. */
#include "runtime/run.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Takes one option; returns what net_option does, with stderr kept away. */
static int take(NetOptions *o, const char *a, const char *b, int *at) {
  char *argv[] = {(char *)(uintptr_t) "prog", (char *)(uintptr_t)a,
                  (char *)(uintptr_t)b, NULL};
  int argc = b ? 3 : 2, kept = dup(STDERR_FILENO);
  *at = 1;
  FILE *null = freopen("/dev/null", "w", stderr);
  CU_ASSERT_PTR_NOT_NULL_FATAL(null);
  int taken = net_option(o, argc, argv, at);
  fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  return taken;
}

static int take_one(NetOptions *o, const char *a, const char *b) {
  int at;
  return take(o, a, b, &at);
}

static void test_spellings(void) {
  NetOptions o;
  int at;
  net_options_init(&o);
  CU_ASSERT_EQUAL(o.epochs, -1);
  CU_ASSERT_EQUAL(o.print_every, 2000);
  CU_ASSERT_EQUAL(take(&o, "--epochs", "7", &at), 1);
  CU_ASSERT_EQUAL(at, 3);
  CU_ASSERT_EQUAL(o.epochs, 7);
  CU_ASSERT_EQUAL(take(&o, "--epochs=8", "9", &at), 1);
  CU_ASSERT_EQUAL(at, 2);
  CU_ASSERT_EQUAL(o.epochs, 8);
  CU_ASSERT_EQUAL(take_one(&o, "--data=shapes(train = 5)", NULL), 1);
  CU_ASSERT_STRING_EQUAL(o.data, "shapes(train = 5)");
  CU_ASSERT_EQUAL(take_one(&o, "--seed", "18446744073709551615"), 1);
  CU_ASSERT_TRUE(o.has_seed && o.seed == UINT64_MAX);
  CU_ASSERT_EQUAL(take(&o, "--quiet", "x", &at), 1);
  CU_ASSERT_TRUE(o.quiet && at == 2);
  CU_ASSERT_EQUAL(take_one(&o, "-o", "out"), 1);
  CU_ASSERT_STRING_EQUAL(o.output, "out");
  CU_ASSERT_EQUAL(take_one(&o, "--init", "a"), 1);
  CU_ASSERT_EQUAL(take_one(&o, "--save", "b"), 1);
  CU_ASSERT_EQUAL(take_one(&o, "--log", "-"), 1);
  CU_ASSERT_EQUAL(take_one(&o, "--print-every=1", NULL), 1);
  CU_ASSERT_EQUAL(take_one(&o, "--threads=3", NULL), 1);
  CU_ASSERT_TRUE(o.threads == 3 && o.print_every == 1);
}

static void test_not_ours(void) {
  static const char *const args[] = {"file.net", "-", "--", "--epoch", "-oX",
                                     "-o=X", "--epochsx", "-O2", "--emit=obj",
                                     ""};
  NetOptions o;
  int at;
  net_options_init(&o);
  for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
    check_that(!take(&o, args[i], "1", &at), "%s is taken", args[i]);
    CU_ASSERT_EQUAL(at, 1);
  }
}

static void test_wrong_use(void) {
  static const char *const args[][2] = {
      {"--epochs", NULL},     {"--epochs=", NULL},  {"--epochs", "-1"},
      {"--epochs", "1.5"},    {"--epochs", "1e3"},  {"--epochs", " 1"},
      {"--epochs", "+1"},     {"--epochs", "0x10"}, {"--epochs", "1000000001"},
      {"--print-every", "0"}, {"--threads", "1025"}, {"--seed", "-1"},
      {"--seed", "18446744073709551616"},           {"--quiet=1", NULL},
      {"--save", NULL},       {"--save=", NULL},    {"--save", "--quiet"},
      {"--save", ""},         {"-o", NULL}};
  NetOptions o;
  net_options_init(&o);
  for (size_t i = 0; i < sizeof args / sizeof *args; i++)
    check_that(take_one(&o, args[i][0], args[i][1]) == -1, "%s %s is taken",
               args[i][0], args[i][1] ? args[i][1] : "");
}

static void test_reach(void) {
  NetOptions o;
  net_options_init(&o);
  CU_ASSERT_TRUE(net_options_reach(&o, NET_TRAIN));
  CU_ASSERT_TRUE(net_options_reach(&o, NET_TEST));
  o.data = o.init = "x";
  o.threads = 2;
  o.quiet = true;
  CU_ASSERT_TRUE(net_options_reach(&o, NET_PREDICT));
  o.save = "x";
  CU_ASSERT_TRUE(net_options_reach(&o, NET_TRAIN));
  CU_ASSERT_FALSE(net_options_reach(&o, NET_TEST));
  o.save = NULL;
  o.epochs = 3;
  CU_ASSERT_FALSE(net_options_reach(&o, NET_PREDICT));
}

static void test_help(void) {
  static const char *const names[] = {
      "--epochs N", "--data DATA", "--init FILE", "--save FILE", "--log FILE",
      "--print-every N", "--threads N", "--seed N", "--quiet", "-o FILE"};
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  net_options_help(NET_TRAIN | NET_PREDICT, f);
  fclose(f);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    check_that(strstr(text, names[i]) != NULL, "no %s in the help", names[i]);
  free(text);
  f = open_memstream(&text, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  net_options_help(NET_TRAIN, f);
  fclose(f);
  CU_ASSERT_PTR_NULL(strstr(text, "-o FILE")); /* predict's alone */
  CU_ASSERT_PTR_NOT_NULL(strstr(text, "--save FILE"));
  free(text);
}

static void test_numbers(void) {
  static const double v[] = {0,    1,     -2.5, 0.1,   1.0 / 3, 1e-5, 1e300,
                             5e-324, 0.30000000000000004, 123456789012345680.0};
  static const char *const text[] = {
      "0", "1", "-2.5", "0.1", "0.3333333333333333", "1e-05", "1e+300",
      NULL, "0.30000000000000004", "1.2345678901234568e+17"};
  char b[NET_NUMBER];
  for (int i = 0; i < 10; i++) {
    const char *s = net_number(v[i], b);
    CU_ASSERT_EQUAL(strtod(s, NULL), v[i]);
    if (text[i]) CU_ASSERT_STRING_EQUAL(s, text[i]);
  }
  CU_ASSERT_STRING_EQUAL(net_number((double)NAN, b), "null");
  CU_ASSERT_STRING_EQUAL(net_number((double)INFINITY, b), "null");
  CU_ASSERT_STRING_EQUAL(net_number_f32(0.1f, b), "0.1");
  CU_ASSERT_STRING_EQUAL(net_number_f32(1.0f / 3, b), "0.33333334");
  CU_ASSERT_STRING_EQUAL(net_number_f32(-INFINITY, b), "-inf");
}

static void test_nearest(void) {
  static const char *const names[] = {"--epochs", "--seed", "--save"};
  CU_ASSERT_STRING_EQUAL(net_nearest("--epoch", names, 3), "--epochs");
  CU_ASSERT_STRING_EQUAL(net_nearest("--sed", names, 3), "--seed");
  CU_ASSERT_PTR_NULL(net_nearest("--nothing", names, 3));
  CU_ASSERT_PTR_NULL(net_nearest("x", names, 0));
}

static const CheckTest tests[] = {
    {"both spellings", test_spellings},
    {"what is no option of ours", test_not_ours},
    {"wrong use", test_wrong_use},
    {"options that reach no command", test_reach},
    {"help", test_help},
    {"shortest numbers", test_numbers},
    {"near names", test_nearest},
    {NULL, NULL}};

void suite_options(void);
void suite_options(void) {
  check_suite("options", tests);
}
