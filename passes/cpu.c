/* What the cost model knows of processors: a table by LLVM's names, and a guess
 * from the feature string for names that are not in it. */
#include <string.h>

#include "passes/passes.h"

static const Cpu known[] = {
    {"znver4", 16, 32},         {"znver5", 16, 32},
    {"x86-64-v4", 16, 32},      {"skylake-avx512", 16, 32},
    {"cascadelake", 16, 32},    {"icelake-server", 16, 32},
    {"sapphirerapids", 16, 32}, {"emeraldrapids", 16, 32},
    {"graniterapids", 16, 32},  {"x86-64-v3", 8, 16},
    {"haswell", 8, 16},         {"broadwell", 8, 16},
    {"skylake", 8, 16},         {"alderlake", 8, 16},
    {"znver1", 8, 16},          {"znver2", 8, 16},
    {"znver3", 8, 16},          {"x86-64", 4, 16},
    {"x86-64-v2", 4, 16},       {"generic", 4, 16},
    {"aarch64", 4, 32},
};

Cpu cpu_find(Arena *a, const char *name, const char *features) {
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp(known[i].name, name) == 0) return known[i];
  Cpu cpu = {.name = arena_strdup(a, name), .lanes = 4, .registers = 16};
  if (features == NULL) return cpu;
  if (strstr(features, "+neon") != NULL) cpu.registers = 32;
  if (strstr(features, "+avx2") != NULL && strstr(features, "+fma") != NULL)
    cpu.lanes = 8;
  if (strstr(features, "+avx512f") != NULL &&
      strstr(features, "+avx512vl") != NULL) {
    cpu.lanes = 16;
    cpu.registers = 32;
  }
  return cpu;
}
