/* The models of models/: each compiles with every variant that it has, and trains
 * on small data made here to the loss that is expected of it. The data have the
 * formats of the real ones, which are not there when the tests run. */
#include "tests/check.h"
#include "tests/e2e/zoo.h"
#include "tests/tensors.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- training */

/* `regularised` begins with the weights of `lenet`, as its comment says. */
static Run train(const ZooModel *m, const char *file, const char *log,
                 const char *save) {
  const char *argv[24] = {check_netc(), "run",    file,      "--data",
                          m->data(),    "--log",  log,       "--save",
                          save,         "--quiet"};
  int n = 10;
  remove(log);
  if (m->constant) {
    argv[n++] = "-D";
    argv[n++] = m->constant;
  }
  if (m->epochs) {
    argv[n++] = "--epochs";
    argv[n++] = m->epochs;
  }
  if (!strcmp(m->name, "regularised")) {
    argv[n++] = "--init";
    argv[n++] = check_path("lenet.safetensors");
  }
  return check_run(120, argv);
}

static void trains(void) {
  for (const ZooModel *m = zoo_models; m->name; m++) {
    char file[64], saved[64];
    const char *log = check_path("zoo.log");
    snprintf(file, sizeof file, "models/%s.net", m->name);
    snprintf(saved, sizeof saved, "%s.safetensors", m->name);
    Run r = train(m, file, log, check_path(saved));
    double loss = log_last(log, "test", "loss"), accuracy = log_last(log, "test", "accuracy");
    if (check_that(!r.status, "%s: exit %d\n%.400s", r.command, r.status,
                   r.err)) {
      check_that(loss >= m->low && loss <= m->high, "%s: test loss %g, not from "
                 "%g to %g", m->name, loss, m->low, m->high);
      check_that(m->accuracy <= 0 || accuracy >= m->accuracy,
                 "%s: accuracy %g, not %g", m->name, accuracy, m->accuracy);
    }
    run_free(&r);
  }
}

/* Every column that means nothing has the weight 0, and the run says so. */
static void lasso(void) {
  const char *save = check_path("lasso.safetensors");
  const char *const argv[] = {check_netc(), "run",  "models/lasso.net",
                              "--data",     zoo_model("models/lasso.net")->data(), "--save",
                              save,         "--quiet", NULL};
  Run r = check_run(120, argv);
  Tensors t = tensors_read(save);
  size_t n = 0;
  double *w = tensors_get(&t, "line.out.W", &n);
  check_that(!r.status && n == 11, "%s: exit %d", r.command, r.status);
  for (size_t k = 0; k < n; k++)
    check_that((w[k] != 0) == (k < 3), "weight %zu is %g", k, w[k]);
  check_that(strstr(r.out, "line.out.W 8 of 11") != NULL, "%s", r.out);
  free(w);
  tensors_free(&t);
  run_free(&r);
}

/* -- compiling */

static void checks_out(const char *path, const ZooModel *m, const char *variant) {
  const char *const argv[] = {check_netc(),
                              "check",
                              path,
                              "--data",
                              m->data(),
                              variant ? "--variant" : NULL,
                              variant,
                              NULL};
  Run r = check_run(60, argv);
  check_that(!r.status && !*r.out && !*r.err, "%s: exit %d\n%.400s", r.command,
             r.status, r.err);
  run_free(&r);
}

/* Every file of the folder is in the table, has a comment that says what to
 * expect, is in the one layout, and compiles in each of its variants. */
static void compiles(void) {
  glob_t found;
  if (!check_that(!glob("models/*.net", 0, NULL, &found), "no models"))
    return;
  for (size_t i = 0; i < found.gl_pathc; i++) {
    const char *path = found.gl_pathv[i];
    const ZooModel *m = zoo_model(path);
    char *source = check_read(path, NULL), name[32];
    if (check_that(m && source, "%s is not tried here", path)) {
      check_that(strstr(source, "# To expect: ") != NULL, "%s: what to expect?",
                 path);
      checks_out(path, m, NULL);
      for (const char *p = source; (p = strstr(p, "\nvariant "));)
        if (sscanf(p += strlen("\nvariant "), "%31[a-z_0-9]", name) == 1)
          checks_out(path, m, name);
    }
    free(source);
    const char *const argv[] = {check_netc(), "fmt", "--check", path, NULL};
    Run r = check_run(60, argv);
    check_that(!r.status, "%s: exit %d\n%.400s", r.command, r.status, r.err);
    run_free(&r);
  }
  globfree(&found);
}

void suite_zoo(void) {
  check_suite("zoo", (const CheckTest[]){{"compile", compiles},
                                         {"train", trains},
                                         {"zeros", lasso},
                                         {0}});
}
