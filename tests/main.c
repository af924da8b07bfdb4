/* Runs the CUnit suites of suites.def, or those that the arguments name. Ends
 * with CUnit's summary and exits with 1 if an assertion failed, with 2 if an
 * argument names no suite. Expects to be run from the repository's root. */
#include "tests/check.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITE(name) void suite_##name(void);
#include "tests/suites.def"
#undef SUITE

typedef struct Suite {
  const char *name;
  void (*add)(void);
} Suite;

static const Suite suites[] = {
#define SUITE(name) {#name, suite_##name},
#include "tests/suites.def"
#undef SUITE
};
enum { N_SUITES = sizeof suites / sizeof suites[0] };

static bool add_named(const char *name) {
  for (int i = 0; i < N_SUITES; i++)
    if (!strcmp(suites[i].name, name)) {
      suites[i].add();
      return true;
    }
  fprintf(stderr, "check: no suite '%s'; the suites are:", name);
  for (int i = 0; i < N_SUITES; i++)
    fprintf(stderr, " %s", suites[i].name);
  fprintf(stderr, "\n");
  return false;
}

int main(int argc, char **argv) {
  if (CU_initialize_registry() != CUE_SUCCESS)
    return 3;
  for (int i = 1; i < argc; i++)
    if (!add_named(argv[i]))
      return 2;
  for (int i = 0; argc == 1 && i < N_SUITES; i++)
    suites[i].add();
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  CU_basic_run_tests();
  bool failed = CU_get_number_of_failures() > 0;
  CU_cleanup_registry();
  return failed;
}
