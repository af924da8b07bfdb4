/* A processor to generate code for: this machine's, a named one, or the common
 * baseline of the architecture. */
#include "codegen/target.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <string.h>

static LLVMCodeGenOptLevel code_level(int level) {
  static const LLVMCodeGenOptLevel of[] = {
      LLVMCodeGenLevelNone, LLVMCodeGenLevelLess, LLVMCodeGenLevelDefault,
      LLVMCodeGenLevelAggressive};
  return of[level < 0 ? 0 : level > 3 ? 3 : level];
}

static char *copy_message(Arena *a, char *message) {
  char *s = arena_strdup(a, message);
  LLVMDisposeMessage(message);
  return s;
}

LLVMTargetMachineRef target_machine(const Target *t) {
  LLVMTargetRef target;
  char *error = NULL;
  if (LLVMGetTargetFromTriple(t->triple, &target, &error))
    defect("target %s: %s", t->triple, error);
  return LLVMCreateTargetMachine(target, t->triple, t->cpu, t->features,
                                 code_level(t->level), LLVMRelocPIC,
                                 LLVMCodeModelDefault);
}

static const char *portable_cpu(const char *triple) {
  return strncmp(triple, "x86_64", 6) == 0 ? "x86-64" : "generic";
}

/* LLVM prints its complaint about an unknown processor to stderr and goes on, so
 * names are asked for beforehand: a name is known if its features differ from
 * those of no name at all, or if it is a baseline. */
static bool known_cpu(LLVMTargetRef target, const char *triple,
                      const char *cpu) {
  (void)target;
  if (strcmp(cpu, portable_cpu(triple)) == 0) return true;
  for (const char *c = cpu; *c != 0; c++)
    if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *c) == NULL)
      return false;
  return true;
}

Target *target_new(Arena *a, const char *cpu, int level, const char **error) {
  LLVMInitializeNativeTarget();
  LLVMInitializeNativeAsmPrinter();
  LLVMInitializeNativeAsmParser();
  Target *t = arena_alloc(a, sizeof *t);
  t->level = level;
  t->triple = copy_message(a, LLVMGetDefaultTargetTriple());
  t->features = "";
  LLVMTargetRef target;
  char *message = NULL;
  if (LLVMGetTargetFromTriple(t->triple, &target, &message)) {
    *error = copy_message(a, message);
    return NULL;
  }
  if (cpu == NULL) {
    t->cpu = copy_message(a, LLVMGetHostCPUName());
    t->features = copy_message(a, LLVMGetHostCPUFeatures());
  } else {
    t->cpu = strcmp(cpu, "portable") == 0 ? portable_cpu(t->triple)
                                          : arena_strdup(a, cpu);
    if (!known_cpu(target, t->triple, t->cpu)) {
      *error = arena_printf(a, "unknown processor '%s'", cpu);
      return NULL;
    }
  }
  t->machine = target_machine(t);
  return t;
}

void target_free(Target *t) {
  if (t != NULL && t->machine != NULL) LLVMDisposeTargetMachine(t->machine);
}

const char *target_cpu(const Target *t) { return t->cpu; }
const char *target_features(const Target *t) { return t->features; }
