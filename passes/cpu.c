/* What the cost model knows of processors: a table by LLVM's names, and a guess
 * from the feature string for names that are not in it. Measured were Zen 4 and
 * Sapphire Rapids; the others' rows are what their makers say of them. */
#include <string.h>

#include "passes/passes.h"

/* Of processors that share 512-bit units between halves (Zen 4), and of those that
 * have two of full width; of two 256-bit units; of what is not known better. */
#define HALF_512 16, 32, 1, 0.6, 8, 1024, 8, 2, 2, 0
#define FULL_512(l1_ways, l2_kib, l2_ways) \
  16, 32, 2, 1, l1_ways, l2_kib, l2_ways, 1.2, 3.3, 6
#define TWO_256(l1_ways, l2_kib, l2_ways) \
  8, 16, 2, 1, l1_ways, l2_kib, l2_ways, 1.2, 3.3, 6
#define PLAIN_256 8, 16, 1, 0.6, 8, 1024, 8, 2, 2, 0
#define PLAIN_128(registers) 4, registers, 1, 0.6, 8, 1024, 8, 2, 2, 0

static const Cpu known[] = {
    {"znver4", HALF_512},
    {"x86-64-v4", HALF_512},
    {"znver5", FULL_512(12, 1024, 16)},
    {"skylake-avx512", FULL_512(8, 1024, 16)},
    {"cascadelake", FULL_512(8, 1024, 16)},
    {"icelake-server", FULL_512(12, 1280, 20)},
    {"sapphirerapids", FULL_512(12, 2048, 16)},
    {"emeraldrapids", FULL_512(12, 2048, 16)},
    {"graniterapids", FULL_512(12, 2048, 16)},
    {"x86-64-v3", PLAIN_256},
    {"haswell", TWO_256(8, 256, 8)},
    {"broadwell", TWO_256(8, 256, 8)},
    {"skylake", TWO_256(8, 256, 4)},
    {"alderlake", TWO_256(12, 1280, 10)},
    {"znver1", PLAIN_256},
    {"znver2", TWO_256(8, 512, 8)},
    {"znver3", TWO_256(8, 512, 8)},
    {"x86-64", PLAIN_128(16)},
    {"x86-64-v2", PLAIN_128(16)},
    {"generic", PLAIN_128(16)},
    {"aarch64", PLAIN_128(32)},
};

Cpu cpu_find(Arena *a, const char *name, const char *features) {
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp(known[i].name, name) == 0) return known[i];
  Cpu cpu = {NULL, PLAIN_128(16)};
  cpu.name = arena_strdup(a, name);
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
