/* Inside code generation: LLVM's side of a target. */
#ifndef NETC_TARGET_H
#define NETC_TARGET_H

#include <llvm-c/TargetMachine.h>

#include "codegen/codegen.h"

struct Target {
  const char *cpu, *features, *triple;
  int level;
  LLVMTargetMachineRef machine;
};
/* Another machine of the same kind: whoever takes one consumes it. */
LLVMTargetMachineRef target_machine(const Target *t);

/* module.c: an LLVM module with the functions [first, first + count) of `m`. */
LLVMModuleRef module_emit(Arena *a, Target *t, LLVMContextRef context,
                          const KModule *m, int first, int count);
/* tables.c: adds the constant net_program. */
void tables_emit(LLVMModuleRef module, const NetProgram *p);

#endif
