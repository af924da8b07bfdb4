/* A processor to generate code for: this machine's, a named one, or the common
 * baseline of an architecture. One row of the table is all that an architecture
 * needs; kernels know of lanes alone, schedules what stands in passes/cpu.c. */
#include "codegen/target.h"

#include <llvm-c/Core.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <string.h>

const TargetArch target_archs[] = {
    {.name = "x86-64",
     .backend = "X86",
     .triple = "x86_64-unknown-linux-gnu",
     .baseline = "x86-64",
     .features = "",
     .tools = "x86_64-linux-gnu-",
     .debian = "amd64"},
    {.name = "aarch64",
     .backend = "AArch64",
     .triple = "aarch64-unknown-linux-gnu",
     .baseline = "generic",
     .features = "+neon",
     .tools = "aarch64-linux-gnu-",
     .debian = "arm64"},
    {0}};

/* --- LLVM's back ends ------------------------------------------------------ */

/* Those that this LLVM was built with, and how they are made ready. */
typedef struct Backend {
  const char *name;
  void (*info)(void), (*target)(void), (*code)(void), (*printer)(void);
} Backend;

static const Backend backends[] = {
#define LLVM_TARGET(name)                                                      \
  {#name, LLVMInitialize##name##TargetInfo, LLVMInitialize##name##Target,      \
   LLVMInitialize##name##TargetMC, LLVMInitialize##name##AsmPrinter},
#include <llvm/Config/Targets.def>
};

/* Passes of LLVM's code generation that take a quarter of its time and change nothing
 * here: pointers step from loop to loop as the loops are emitted, and products are
 * emitted in the order in which registers hold them longest. Measured on AVX-512 and
 * AVX2: no step takes longer without. Once, since the options are the process's. */
static void leave_out_passes(void) {
  static const char *const options[] = {"netc", "-disable-lsr", "-disable-post-ra",
                                        "-enable-misched=false"};
  static bool done;
  if (done) return;
  done = true;
  LLVMParseCommandLineOptions(sizeof options / sizeof *options, options, "");
}

static bool make_ready(const TargetArch *arch) {
  leave_out_passes();
  for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
    const Backend *b = &backends[i];
    if (strcmp(b->name, arch->backend) != 0) continue;
    b->info();
    b->target();
    b->code();
    b->printer();
    return true;
  }
  return false;
}

/* --- targets --------------------------------------------------------------- */

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
  return LLVMCreateTargetMachine(target, t->triple, t->llvm_cpu, t->features,
                                 code_level(t->level), LLVMRelocPIC,
                                 LLVMCodeModelDefault);
}

const TargetArch *target_host(void) {
  char *triple = LLVMGetDefaultTargetTriple();
  const TargetArch *found = NULL;
  for (const TargetArch *x = target_archs; x->name && !found; x++)
    if (strncmp(triple, x->triple, strcspn(x->triple, "-") + 1) == 0) found = x;
  LLVMDisposeMessage(triple);
  return found;
}

/* No processor's name has other characters. */
static bool is_plain(const char *cpu) {
  return *cpu && cpu[strspn(cpu, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == 0;
}

/* LLVM's names of the processor and of what it can do. */
static void name_cpu(Arena *a, Target *t, const char *cpu) {
  t->features = t->arch->features;
  if (cpu == NULL) {
    t->cpu = t->llvm_cpu = copy_message(a, LLVMGetHostCPUName());
    t->features = copy_message(a, LLVMGetHostCPUFeatures());
  } else if (strcmp(cpu, "portable") == 0 || strcmp(cpu, t->arch->name) == 0) {
    t->cpu = t->arch->name;
    t->llvm_cpu = t->arch->baseline;
  } else {
    t->cpu = t->llvm_cpu = arena_strdup(a, cpu);
  }
}

Target *target_new(Arena *a, const TargetArch *arch, const char *cpu, int level,
                   const char **error) {
  const TargetArch *host = target_host();
  Target *t = arena_alloc(a, sizeof *t);
  *error = NULL;
  if (arch == NULL) arch = host;
  if (arch == NULL)
    *error = "netc generates no code for machines like this one";
  else if (!make_ready(arch))
    *error = arena_printf(a, "this LLVM generates no code for %s", arch->name);
  else if (cpu != NULL && !is_plain(cpu))
    *error = arena_printf(a, "unknown processor '%s'", cpu);
  if (*error) return NULL;
  t->arch = arch;
  t->level = level;
  t->triple = arch == host ? copy_message(a, LLVMGetDefaultTargetTriple())
                           : arch->triple;
  name_cpu(a, t, cpu);
  t->machine = target_machine(t);
  return t;
}

void target_free(Target *t) {
  if (t != NULL && t->machine != NULL) LLVMDisposeTargetMachine(t->machine);
}

const char *target_cpu(const Target *t) { return t->cpu; }
const char *target_features(const Target *t) { return t->features; }
const TargetArch *target_arch(const Target *t) { return t->arch; }
