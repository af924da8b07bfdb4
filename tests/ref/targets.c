/* The same schedules for other processors: trainings of PyTorch's by code for
 * vectors of 8 and of 4 lanes, and, in the long tests, for AArch64 under qemu-user,
 * within the tolerances that hold here. The operations are test_aarch64.c's. */
#include "tests/check.h"
#include "tests/ref/ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Convolutions, attention, recurrence, states, clipping and dropout. */
static const char *const trainings[] = {
    "lenet_adam", "lenet_clip",    "lenet_drop", "lenet_momentum",
    "mlp_adamw",  "mlp_nesterov",  "square_sgd", "odd_attention",
    "odd_moving", "odd_recurrent", "odd_states", "odd_windows"};

static void train_all(const RefWay *way) {
  char path[128];
  for (size_t i = 0; i < sizeof trainings / sizeof *trainings; i++) {
    snprintf(path, sizeof path, "tests/ref/%s.net", trainings[i]);
    ref_training(path, way);
  }
}

static void avx2(void) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    train_all(&(RefWay){.cpu = "x86-64-v3"});
#endif
}

static void portable(void) { train_all(&(RefWay){.cpu = "portable"}); }

static void aarch64(void) {
  static const char *const emulator[] = {"qemu-aarch64", "-L",
                                         "/usr/aarch64-linux-gnu", NULL};
  if (check_long())
    train_all(&(RefWay){.cpu = "aarch64", .build = true, .emulator = emulator});
}

/* What can be said without cross tools: objects are AArch64's, and this machine is
 * not asked to run them. */
static void aarch64_objects(void) {
  enum { MACHINE = 18, AARCH64 = 183 }; /* e_machine in an ELF header */
  const char *path = check_path("arm.o");
  const char *const build[] = {check_netc(),      "build", "models/mlp.net",
                               "--cpu=cortex-a72", "--emit=obj", "-o", path,
                               NULL};
  Run r = check_run(60, build);
  size_t size = 0;
  char *object = check_read(path, &size);
  check_that(!r.status && object && size > 64 && object[MACHINE] == (char)AARCH64,
             "%s: exit %d\n%.300s", r.command, r.status, r.err);
  free(object);
  run_free(&r);
#ifndef __aarch64__
  const char *const run[] = {check_netc(), "run", "models/mlp.net",
                             "--cpu=neoverse-n1", NULL};
  r = check_run(60, run);
  check_that(r.status == 2 && strstr(r.err, "cannot run code for neoverse-n1"),
             "%s: exit %d\n%.300s", r.command, r.status, r.err);
  run_free(&r);
#endif
}

void suite_targets(void) {
  check_suite("targets", (const CheckTest[]){{"AVX2", avx2},
                                             {"portable", portable},
                                             {"AArch64", aarch64_objects},
                                             {"AArch64, emulated", aarch64},
                                             {0}});
}
