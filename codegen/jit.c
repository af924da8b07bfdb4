/* Functions in memory, through ORC's LLJIT. A function of the program is compiled
 * when it is first asked for: `netc test` never compiles the training step. Each
 * goes the way of the executable, through an object file, so that both run the
 * same instructions. */
#include <llvm-c/Core.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <string.h>

#include "codegen/target.h"

struct Jit {
  Arena *arena;
  Target *target;
  const KModule *m;
  LLVMOrcLLJITRef lljit;
  bool compiled[4];
};

static const char *message_of(Arena *a, LLVMErrorRef error) {
  char *text = LLVMGetErrorMessage(error);
  const char *copy = arena_strdup(a, text);
  LLVMDisposeErrorMessage(text);
  return copy;
}

/* Gives generated code the runtime's net_parallel and libm. */
static LLVMErrorRef define_symbols(Jit *j) {
  LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(j->lljit);
  LLVMJITSymbolFlags flags = {LLVMJITSymbolGenericFlagsExported |
                                  LLVMJITSymbolGenericFlagsCallable, 0};
  void (*parallel)(NetPool *, NetPiece *, char *, int64_t) = net_parallel;
  LLVMOrcCSymbolMapPair pair = {
      LLVMOrcLLJITMangleAndIntern(j->lljit, "net_parallel"),
      {(LLVMOrcJITTargetAddress)(uintptr_t)parallel, flags}};
  LLVMErrorRef error =
      LLVMOrcJITDylibDefine(lib, LLVMOrcAbsoluteSymbols(&pair, 1));
  if (error != NULL) return error;
  LLVMOrcDefinitionGeneratorRef process;
  error = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
      &process, LLVMOrcLLJITGetGlobalPrefix(j->lljit), NULL, NULL);
  if (error == NULL) LLVMOrcJITDylibAddGenerator(lib, process);
  return error;
}

Jit *jit_new(Arena *a, Target *t, const KModule *m, const char **error) {
  Jit *j = arena_alloc(a, sizeof *j);
  *j = (Jit){.arena = a, .target = t, .m = m};
  LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
  LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(
      builder,
      LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(target_machine(t)));
  LLVMErrorRef wrong = LLVMOrcCreateLLJIT(&j->lljit, builder);
  if (wrong == NULL) wrong = define_symbols(j);
  if (wrong == NULL) return j;
  *error = message_of(a, wrong);
  return NULL;
}

static void compile(Jit *j, int index) {
  LLVMContextRef context = LLVMContextCreate();
  LLVMModuleRef module =
      module_emit(j->arena, j->target, context, j->m, index, 1);
  LLVMMemoryBufferRef object;
  char *text = NULL;
  if (LLVMTargetMachineEmitToMemoryBuffer(j->target->machine, module,
                                          LLVMObjectFile, &text, &object))
    defect("LLVM code generation: %s", text);
  LLVMErrorRef error = LLVMOrcLLJITAddObjectFile(
      j->lljit, LLVMOrcLLJITGetMainJITDylib(j->lljit), object);
  if (error != NULL) defect("JIT: %s", message_of(j->arena, error));
  LLVMDisposeModule(module);
  LLVMContextDispose(context);
  j->compiled[index] = true;
}

void (*jit_find(Jit *j, const char *name))(char *arena, NetPool *pool) {
  int index = 0;
  while (index < j->m->n_funcs &&
         strcmp(j->m->func[index]->name, name) != 0)
    index++;
  if (index == j->m->n_funcs) return NULL;
  if (!j->compiled[index]) compile(j, index);
  LLVMOrcExecutorAddress at = 0;
  LLVMErrorRef error = LLVMOrcLLJITLookup(
      j->lljit, &at, arena_printf(j->arena, "net_fn_%s", name));
  if (error != NULL) defect("JIT: %s", message_of(j->arena, error));
  void (*fn)(char *, NetPool *);
  uintptr_t address = (uintptr_t)at;
  memcpy(&fn, &address, sizeof fn);
  return fn;
}

void jit_free(Jit *j) {
  if (j == NULL || j->lljit == NULL) return;
  LLVMErrorRef error = LLVMOrcDisposeLLJIT(j->lljit);
  if (error != NULL) LLVMConsumeError(error);
}
