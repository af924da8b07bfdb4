/* `limit memory`: the plan stays below it, the training is the same to the bit as
 * with --direct, or where the limit is far away as without it, and a limit that
 * cannot be kept is refused. What is computed again, and when, is shown
 * in tests/golden/recompute. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

/* Normalisations, activations and dropout between convolutions. */
static const char program[] =
    "data shapes(train = 64, test = 16)\n"
    "layer block(x: [c, h, w], n) {\n"
    "  x -> conv(n, 3, pad = 1) -> batchnorm -> relu -> dropout(0.2)\n"
    "}\n"
    "net model(x: [3, 32, 32]) {\n"
    "  x -> block(8) -> block(8) -> block(8) -> avgpool(4) -> flatten\n"
    "    -> linear(10)\n"
    "}\n"
    "train {\n"
    "  loss      = cross_entropy(model(image), label)\n"
    "  optimizer = sgd(lr = 0.1, momentum = 0.9)\n"
    "  batch     = 16\n"
    "  epochs    = 2\n"
    "%s"
    "}\n";

/* Writes the program with this line; the path of it. */
static const char *write_program(const char *name, const char *line) {
  char text[2048];
  const char *path = check_path(name);
  int n = snprintf(text, sizeof text, program, line);
  check_write(path, text, (size_t)n);
  return path;
}

/* The bytes that `summary` tells with an option; -1: it fails. */
static long memory_of(const char *path, const char *option) {
  const char *const argv[] = {check_netc(), "summary", path, option, NULL};
  Run r = check_run(60, argv);
  long bytes = -1;
  const char *line = strstr(r.out, "memory");
  if (line) sscanf(line, "memory %ld", &bytes);
  check_that(!r.status && bytes > 0, "%s: exit %d\n%.300s", r.command, r.status,
             r.err);
  run_free(&r);
  return bytes;
}

static void keeps_bits(void) {
  char line[64], tight[256], executable[256];
  const char *free_path = write_program("free.net", "");
  long most = memory_of(free_path, "--direct"), limit = most * 8 / 10;
  snprintf(line, sizeof line, "  limit memory = %ld\n", limit);
  snprintf(tight, sizeof tight, "%s", write_program("tight.net", line));
  long less = memory_of(tight, "-v");
  check_that(less > 0 && less <= limit, "%ld bytes, and the limit is %ld", less,
             limit);
  check_train((const char *const[]){check_netc(), "run", check_path("free.net"), "--direct", NULL},
        check_path("free.log"), check_path("free.safetensors"));
  check_train((const char *const[]){check_netc(), "run", tight, NULL},
        check_path("tight.log"), check_path("tight.safetensors"));
  check_same_files(check_path("free.log"), check_path("tight.log"));
  check_same_files(check_path("free.safetensors"),
       check_path("tight.safetensors"));
  snprintf(executable, sizeof executable, "%s", check_path("tight"));
  const char *const build[] = {check_netc(), "build", tight, "-o", executable,
                               NULL};
  Run r = check_run(60, build);
  check_that(!r.status, "%s: exit %d\n%.300s", r.command, r.status, r.err);
  run_free(&r);
  check_train((const char *const[]){executable, "--threads", "3", NULL},
        check_path("exe.log"), check_path("exe.safetensors"));
  check_same_files(check_path("free.safetensors"),
       check_path("exe.safetensors"));
}

/* Where all fits anyway, a limit changes nothing. */
static void is_far(void) {
  char line[64], far[256];
  const char *free_path = write_program("free.net", "");
  long most = memory_of(free_path, "-v");
  check_that(most > memory_of(free_path, "--direct"), "%ld bytes", most);
  snprintf(line, sizeof line, "  limit memory = %ld\n", most);
  snprintf(far, sizeof far, "%s", write_program("far.net", line));
  check_train((const char *const[]){check_netc(), "run", check_path("free.net"), NULL},
        check_path("free.log"), check_path("free.safetensors"));
  check_train((const char *const[]){check_netc(), "run", far, NULL},
        check_path("far.log"), check_path("far.safetensors"));
  check_same_files(check_path("free.safetensors"), check_path("far.safetensors"));
}

static void refuses(void) {
  const char *const argv[] = {check_netc(), "run",
                              write_program("small.net",
                                            "  limit memory = 200000\n"),
                              NULL};
  Run r = check_run(60, argv);
  check_that(r.status == 1 && strstr(r.err, "error[E0802]: train needs ") &&
                 strstr(r.err, "limit memory = 200000") &&
                 strstr(r.err, "f32[16,8,") && strstr(r.err, "bytes: "),
             "%s: exit %d\n%.900s", r.command, r.status, r.err);
  run_free(&r);
}

void suite_limit(void) {
  check_suite("limit", (const CheckTest[]){{"the same bits", keeps_bits},
                                           {"far away", is_far},
                                           {"too small", refuses},
                                           {0}});
}
