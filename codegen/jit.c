/* Functions in memory, through ORC's LLJIT. Each function of the program is a unit
 * that ORC asks for its code when someone looks its name up, so that `netc test`
 * never compiles the training step; and for each there is a stub that looks it up
 * when it is first called, so that evaluation need not be compiled before it is
 * wanted. All code goes the way of the executable, through object files, so that
 * both run the same instructions. */
#include <llvm-c/Core.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <string.h>
#include <time.h>

#include "codegen/objects.h"
#include "codegen/target.h"

enum { FUNCTIONS = 4 };

typedef struct Unit {
  Jit *jit;
  const KFunc *f;
} Unit;

struct Jit {
  Arena *arena;
  Target *target;
  const KModule *m;
  Cache *cache;
  JitTold *told;
  const void *told_context;
  Unit unit[FUNCTIONS];
  LLVMOrcLLJITRef lljit;
  LLVMOrcIndirectStubsManagerRef stubs;
  LLVMOrcLazyCallThroughManagerRef calls;
};

static const LLVMJITSymbolFlags function_flags = {
    LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable, 0};

static const char *message_of(Arena *a, LLVMErrorRef error) {
  char *text = LLVMGetErrorMessage(error);
  const char *copy = arena_strdup(a, text);
  LLVMDisposeErrorMessage(text);
  return copy;
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* --- code on demand ------------------------------------------------------- */

static LLVMMemoryBufferRef buffer_of(Bytes b) {
  return LLVMCreateMemoryBufferWithMemoryRangeCopy(b.data, b.size, "net");
}

/* ORC wants the unit's symbol: the first object defines it; what the others hold
 * is for the first alone. */
static void materialize(void *operand,
                        LLVMOrcMaterializationResponsibilityRef responsible) {
  Unit *u = operand;
  Jit *j = u->jit;
  bool cached;
  double start = now_ms();
  Objects o = objects_of(j->arena, j->target, j->m, u->f, j->cache, &cached);
  if (j->told) j->told(j->told_context, u->f->name, cached, now_ms() - start);
  for (int i = 1; i < o.n; i++) {
    LLVMErrorRef error = LLVMOrcLLJITAddObjectFile(
        j->lljit, LLVMOrcLLJITGetMainJITDylib(j->lljit),
        buffer_of(o.object[i]));
    if (error != NULL) defect("JIT: %s", message_of(j->arena, error));
  }
  LLVMOrcObjectLayerEmit(LLVMOrcLLJITGetObjLinkingLayer(j->lljit), responsible,
                         buffer_of(o.object[0]));
}

static void discard(void *operand, LLVMOrcJITDylibRef lib,
                    LLVMOrcSymbolStringPoolEntryRef symbol) {
  (void)operand, (void)lib, (void)symbol;
}

static void destroy(void *operand) { (void)operand; }

static LLVMOrcSymbolStringPoolEntryRef symbol(const Jit *j, const char *stem,
                                              const char *name) {
  return LLVMOrcLLJITMangleAndIntern(
      j->lljit, arena_printf(j->arena, "net_%s_%s", stem, name));
}

/* net_fn_NAME, and net_lazy_NAME, which becomes that by being called. */
static LLVMErrorRef define_function(Jit *j, Unit *u) {
  LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(j->lljit);
  LLVMOrcCSymbolFlagsMapPair pair = {symbol(j, "fn", u->f->name),
                                     function_flags};
  LLVMErrorRef error = LLVMOrcJITDylibDefine(
      lib, LLVMOrcCreateCustomMaterializationUnit(
               u->f->name, u, &pair, 1, NULL, materialize, discard, destroy));
  if (error != NULL) return error;
  LLVMOrcCSymbolAliasMapPair alias = {
      symbol(j, "lazy", u->f->name),
      {symbol(j, "fn", u->f->name), function_flags}};
  return LLVMOrcJITDylibDefine(
      lib, LLVMOrcLazyReexports(j->calls, j->stubs, lib, &alias, 1));
}

/* --- the session ---------------------------------------------------------- */

static LLVMOrcCSymbolMapPair runtime_symbol(Jit *j, const char *name,
                                            uintptr_t at) {
  return (LLVMOrcCSymbolMapPair){LLVMOrcLLJITMangleAndIntern(j->lljit, name),
                                 {(LLVMOrcJITTargetAddress)at, function_flags}};
}

/* Gives generated code the runtime's functions that it calls, and libm. */
static LLVMErrorRef define_symbols(Jit *j) {
  LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(j->lljit);
  LLVMOrcCSymbolMapPair pairs[2] = {
      runtime_symbol(j, "net_parallel", (uintptr_t)net_parallel),
      runtime_symbol(j, "net_slot", (uintptr_t)net_slot)};
  LLVMErrorRef error =
      LLVMOrcJITDylibDefine(lib, LLVMOrcAbsoluteSymbols(pairs, 2));
  if (error != NULL) return error;
  LLVMOrcDefinitionGeneratorRef process;
  error = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
      &process, LLVMOrcLLJITGetGlobalPrefix(j->lljit), NULL, NULL);
  if (error == NULL) LLVMOrcJITDylibAddGenerator(lib, process);
  return error;
}

/* A call that finds no code has nowhere to return to. */
static void lazy_call_failed(void) { defect("JIT: a function has no code"); }

static LLVMErrorRef begin_session(Jit *j) {
  LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
  LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(
      builder, LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(
                   target_machine(j->target)));
  LLVMErrorRef error = LLVMOrcCreateLLJIT(&j->lljit, builder);
  if (error != NULL) return error;
  const char *triple = LLVMOrcLLJITGetTripleString(j->lljit);
  j->stubs = LLVMOrcCreateLocalIndirectStubsManager(triple);
  void (*failed)(void) = lazy_call_failed;
  error = LLVMOrcCreateLocalLazyCallThroughManager(
      triple, LLVMOrcLLJITGetExecutionSession(j->lljit),
      (LLVMOrcJITTargetAddress)(uintptr_t)failed, &j->calls);
  if (error == NULL) error = define_symbols(j);
  for (int i = 0; error == NULL && i < j->m->n_funcs; i++) {
    j->unit[i] = (Unit){.jit = j, .f = j->m->func[i]};
    error = define_function(j, &j->unit[i]);
  }
  return error;
}

Jit *jit_new(Arena *a, Target *t, const KModule *m, const char **error) {
  Jit *j = arena_alloc(a, sizeof *j);
  *j = (Jit){.arena = a, .target = t, .m = m};
  LLVMErrorRef wrong = begin_session(j);
  if (wrong == NULL) return j;
  *error = message_of(a, wrong);
  jit_free(j);
  return NULL;
}

void jit_use_cache(Jit *j, Cache *cache) { j->cache = cache; }

void jit_tell(Jit *j, JitTold *told, const void *context) {
  j->told = told;
  j->told_context = context;
}

/* --- finding functions ---------------------------------------------------- */

static JitFunction *look_up(Jit *j, const char *stem, const char *name) {
  if (kmodule_find(j->m, name) == NULL) return NULL;
  LLVMOrcExecutorAddress at = 0;
  LLVMErrorRef error = LLVMOrcLLJITLookup(
      j->lljit, &at, arena_printf(j->arena, "net_%s_%s", stem, name));
  if (error != NULL) defect("JIT: %s", message_of(j->arena, error));
  JitFunction *fn;
  uintptr_t address = (uintptr_t)at;
  memcpy(&fn, &address, sizeof fn);
  return fn;
}

JitFunction *jit_find(Jit *j, const char *name) {
  return look_up(j, "fn", name);
}

JitFunction *jit_find_lazy(Jit *j, const char *name) {
  return look_up(j, "lazy", name);
}

void jit_free(Jit *j) {
  if (j == NULL || j->lljit == NULL) return;
  /* it holds names that are the session's */
  LLVMOrcDisposeLazyCallThroughManager(j->calls);
  LLVMErrorRef error = LLVMOrcDisposeLLJIT(j->lljit);
  if (error != NULL) LLVMConsumeError(error);
  LLVMOrcDisposeIndirectStubsManager(j->stubs);
}
