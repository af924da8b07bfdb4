/* Inside code generation: LLVM's side of a target. */
#ifndef NETC_TARGET_H
#define NETC_TARGET_H

#include <llvm-c/TargetMachine.h>

#include "codegen/codegen.h"
#include "codegen/shape.h"

struct Target {
  const TargetArch *arch;
  const char *cpu; /* as it is called here */
  const char *llvm_cpu, *features, *triple;
  int level;
  LLVMTargetMachineRef machine;
};
/* Another machine of the same kind: whoever takes one consumes it. */
LLVMTargetMachineRef target_machine(const Target *t);

/* module.c: an LLVM module with all functions of `m`. */
LLVMModuleRef module_emit(Arena *a, const Target *t, LLVMContextRef context,
                          const KModule *m);
/* One of the modules that a function's kernels are shared out to, so that threads
 * can compile them side by side. The first also holds the function itself. */
typedef struct ModulePart {
  int number;
  const int *of_kernel; /* the part that each kernel belongs to */
} ModulePart;
LLVMModuleRef module_emit_part(Arena *a, const Target *t,
                               LLVMContextRef context, const KModule *m,
                               const KFunc *f, const Shapes *shapes,
                               const ModulePart *part);
/* tables.c: adds the constant net_program. */
void tables_emit(LLVMModuleRef module, const NetProgram *p);

#endif
