/* The table of passes and the runner, which verifies after each. */
#include <time.h>

#include "passes/passes.h"

const PassInfo pass_info[PASS_COUNT] = {
    [PASS_GRAD] = {"grad", "expand derivatives", false, false},
    [PASS_SIMPLIFY] = {"simplify", "algebra that keeps the value", false, false},
    [PASS_FUSE] = {"fuse", "from graphs to kernels", false, true},
    [PASS_SCHEDULE] = {"schedule", "how each kernel's loops are run", true, true},
    [PASS_RECOMPUTE] = {"recompute", "cheap values again, where memory is limited",
                        true, true},
    [PASS_PLAN] = {"plan", "order, lifetimes and offsets", true, true},
};

static void run(PassRun *r, PassId pass, Stage *s) {
  Arena *a = r->arena;
  switch (pass) {
  case PASS_GRAD: s->module = pass_grad(a, s->module, r->diags); break;
  case PASS_SIMPLIFY: s->module = pass_simplify(a, s->module, r->diags); break;
  case PASS_FUSE:
    s->kernels = pass_fuse(a, s->module, r->direct);
    s->module = NULL;
    break;
  case PASS_SCHEDULE:
    s->kernels = pass_schedule(a, s->kernels, &r->cpu, r->direct);
    break;
  case PASS_RECOMPUTE:
    s->kernels = pass_recompute(a, s->kernels, &r->cpu, r->diags);
    break;
  case PASS_PLAN: s->kernels = pass_plan(a, s->kernels); break;
  case PASS_COUNT: defect("no pass");
  }
}

bool pass_run(PassRun *r, PassId pass, Stage *stage) {
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  run(r, pass, stage);
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (r->times)
    fprintf(stderr, "%-10s %8.3f ms\n", pass_info[pass].name,
            (double)(end.tv_sec - start.tv_sec) * 1e3 +
                (double)(end.tv_nsec - start.tv_nsec) * 1e-6);
  if (stage->module == NULL && stage->kernels == NULL) return false;
  const char *wrong = stage->module != NULL
                          ? verify_module(r->arena, stage->module)
                          : verify_kmodule(r->arena, stage->kernels);
  if (wrong != NULL) defect("after %s: %s", pass_info[pass].name, wrong);
  return true;
}
