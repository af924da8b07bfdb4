/* A batch that runs in chunks: the same bits on any number of threads and as an
 * executable, and up to rounding the same losses as with the batch whole and all
 * products of the convolutions (--direct). What groups look like is shown in
 * tests/golden/schedule and tests/golden/plan. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

/* Dropout draws by the sample's number, batch normalisation needs whole sums between
 * its groups, and the last batch of an epoch is smaller. */
static const char program[] =
    "data shapes(train = 200, test = 80)\n"
    "net model(x: [3, 32, 32]) {\n"
    "  x -> conv(6, 5) -> %srelu -> dropout(0.3) -> maxpool(2) -> conv(8, 5)\n"
    "    -> relu -> maxpool(2) -> flatten -> linear(%d) -> relu -> linear(10)\n"
    "}\n"
    "train {\n"
    "  loss      = cross_entropy(model(image), label)\n"
    "  optimizer = sgd(lr = 0.05, momentum = 0.9)\n"
    "  batch     = %d\n"
    "  epochs    = 2\n"
    "  seed      = 3\n"
    "}\n";

typedef struct Path {
  char s[256];
} Path;

/* check_path's own do not last. */
static Path path_of(const char *name) {
  Path p;
  snprintf(p.s, sizeof p.s, "%s", check_path(name));
  return p;
}

static Path write_program(const char *name, const char *norm, int wide,
                          int batch) {
  char text[2048];
  Path path = path_of(name);
  int n = snprintf(text, sizeof text, program, norm, wide, batch);
  check_write(path.s, text, (size_t)n);
  return path;
}

/* The groups of the training function, compiled with an option. */
static int groups_of(const char *path, const char *option) {
  const char *const argv[] = {check_netc(), "dump", "--stage=plan", path, option,
                              NULL};
  Run r = check_run(60, argv);
  const char *at = strstr(r.out, "func train"), *end = NULL;
  int n = 0;
  if (at) end = strstr(at, "\n}");
  while (end && (at = strstr(at, "group parts=")) && at < end) {
    n++;
    at++;
  }
  run_free(&r);
  return n;
}

static void keeps_bits_of(int batch) {
  Path path = write_program("chunks.net", "", 30, batch);
  Path log = path_of("one.log"), save = path_of("one.st");
  int groups = groups_of(path.s, "-v");
  check_that(groups == 1, "%d groups", groups);
  check_train((const char *const[]){check_netc(), "run", path.s, "--threads", "1",
                              NULL}, log.s, save.s);
  static const char *const threads[] = {"2", "3", "4", "9"};
  for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
    check_train((const char *const[]){check_netc(), "run", path.s, "--threads",
                                threads[i], NULL},
          check_path("n.log"), check_path("n.st"));
    check_same_files(log.s, check_path("n.log"));
    check_same_files(save.s, check_path("n.st"));
  }
  Path executable = path_of("chunks");
  const char *const build[] = {check_netc(), "build", path.s, "-o",
                               executable.s, NULL};
  Run r = check_run(60, build);
  check_that(!r.status, "%s: exit %d\n%.300s", r.command, r.status, r.err);
  run_free(&r);
  check_train((const char *const[]){executable.s, "--threads", "2", NULL},
        check_path("exe.log"), check_path("exe.st"));
  check_same_files(save.s, check_path("exe.st"));
}

static void keeps_bits(void) {
  keeps_bits_of(64);
  keeps_bits_of(4); /* parts of two samples, for threads */
}

/* The next number behind "loss": in a log; NULL: there is none. */
static const char *next_loss(const char *at, double *loss) {
  at = at ? strstr(at, "\"loss\":") : NULL;
  if (!at) return NULL;
  at += strlen("\"loss\":");
  *loss = strtod(at, NULL);
  return at;
}

static void compare(const char *norm, int wide, int batch, int least_groups) {
  Path path = write_program("cut.net", norm, wide, batch);
  int groups = groups_of(path.s, "-v"), whole = groups_of(path.s, "--direct");
  check_that(groups >= least_groups && whole == 0, "%d groups", groups);
  check_train((const char *const[]){check_netc(), "run", path.s, NULL},
        check_path("cut.log"), check_path("cut.st"));
  check_train((const char *const[]){check_netc(), "run", path.s, "--direct", NULL},
        check_path("whole.log"), check_path("whole.st"));
  size_t n;
  char *x = check_read(check_path("cut.log"), &n);
  char *y = check_read(check_path("whole.log"), &n);
  const char *a = x, *b = y;
  double p = 0, q = 0;
  int losses = 0;
  while ((a = next_loss(a, &p)) && (b = next_loss(b, &q))) {
    check_that(fabs(p - q) <= 1e-4 * fabs(q), "loss %d: %.8g, whole %.8g",
               losses, p, q);
    losses++;
  }
  check_that(losses >= 4, "%d losses", losses);
  free(x);
  free(y);
}

static void as_whole(void) {
  compare("", 30, 64, 1);              /* one turn a part */
  compare("", 30, 48, 1);              /* three parts */
  compare("", 30, 9, 1);               /* three of three samples */
  compare("batchnorm -> ", 30, 64, 2); /* sums between the groups */
  compare("conv(32, 3, pad = 1) -> ", 30, 32, 1); /* more than the cache holds */
  compare("", 1000, 64, 2); /* a layer that has all samples at once */
}

/* More chunks than parts: turns add to their part's sums. */
static void in_turns(void) { compare("", 30, 192, 1); }

void suite_chunks(void) {
  check_suite("chunks", (const CheckTest[]){{"the same bits", keeps_bits},
                                            {"as whole", as_whole},
                                            {"in turns", in_turns},
                                            {0}});
}
