/* From planned kernels to an LLVM module, and from that to LLVM IR, assembly or
 * an object file. A function of the program calls its kernels one after the
 * other; those that are cut into pieces go through the runtime's net_parallel.
 * None of LLVM's IR passes runs: the IR is written as it should be, and the
 * measurements in kernels' reference say that they change nothing. */
#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/emit.h"
#include "codegen/target.h"

static void add_attribute(LLVMContextRef c, LLVMValueRef fn, const char *key,
                          const char *value) {
  LLVMAttributeRef a = LLVMCreateStringAttribute(
      c, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
  LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

static void set_attributes(const Target *t, LLVMContextRef c, LLVMValueRef fn) {
  static const char nounwind[] = "nounwind";
  unsigned kind = LLVMGetEnumAttributeKindForName(nounwind, strlen(nounwind));
  LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                          LLVMCreateEnumAttribute(c, kind, 0));
  add_attribute(c, fn, "target-cpu", t->cpu);
  if (t->features[0] != 0) add_attribute(c, fn, "target-features", t->features);
}

static LLVMValueRef parallel_function(const Build *b, LLVMTypeRef *type) {
  LLVMTypeRef p = LLVMPointerTypeInContext(b->context, 0);
  LLVMTypeRef params[4] = {p, p, p, LLVMInt64TypeInContext(b->context)};
  *type = LLVMFunctionType(LLVMVoidTypeInContext(b->context), params, 4, false);
  LLVMValueRef fn = LLVMGetNamedFunction(b->module, "net_parallel");
  return fn != NULL ? fn : LLVMAddFunction(b->module, "net_parallel", *type);
}

static void call_kernel(const Build *b, LLVMValueRef kernel, LLVMValueRef arena,
                        LLVMValueRef pool, int64_t pieces) {
  if (pieces > 1) {
    LLVMTypeRef type;
    LLVMValueRef fn = parallel_function(b, &type);
    LLVMValueRef args[4] = {pool, kernel, arena, build_i64(b, pieces)};
    LLVMBuildCall2(b->b, type, fn, args, 4, "");
    return;
  }
  LLVMValueRef args[3] = {arena, build_i64(b, 0), build_i64(b, 1)};
  LLVMBuildCall2(b->b, LLVMGlobalGetValueType(kernel), kernel, args, 3, "");
}

static void emit_function(Arena *a, const Target *t, const Build *b,
                          const KModule *m, const KFunc *f) {
  LLVMTypeRef p = LLVMPointerTypeInContext(b->context, 0);
  LLVMTypeRef params[2] = {p, p};
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(b->context), params,
                                      2, false);
  LLVMValueRef *kernel =
      arena_alloc(a, (size_t)(f->n_kernels + 1) * sizeof *kernel);
  for (int i = 0; i < f->n_kernels; i++) {
    const char *name = arena_printf(a, "net_%s_k%d", f->name, i);
    kernel[i] = emit_kernel(a, b, m, f, f->kernel[i], name);
    LLVMSetLinkage(kernel[i], LLVMInternalLinkage);
    set_attributes(t, b->context, kernel[i]);
  }
  LLVMValueRef fn =
      LLVMAddFunction(b->module, arena_printf(a, "net_fn_%s", f->name), type);
  set_attributes(t, b->context, fn);
  LLVMPositionBuilderAtEnd(b->b,
                           LLVMAppendBasicBlockInContext(b->context, fn, ""));
  for (int i = 0; i < f->n_kernels; i++)
    call_kernel(b, kernel[i], LLVMGetParam(fn, 0), LLVMGetParam(fn, 1),
                f->kernel[i]->schedule.pieces);
  LLVMBuildRetVoid(b->b);
}

LLVMModuleRef module_emit(Arena *a, Target *t, LLVMContextRef context,
                          const KModule *m, int first, int count) {
  Build b = {.context = context};
  b.module = LLVMModuleCreateWithNameInContext("net", context);
  b.b = LLVMCreateBuilderInContext(context);
  LLVMSetTarget(b.module, t->triple);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(t->machine);
  char *text = LLVMCopyStringRepOfTargetData(layout);
  LLVMSetDataLayout(b.module, text);
  LLVMDisposeMessage(text);
  LLVMDisposeTargetData(layout);
  for (int i = first; i < first + count; i++)
    emit_function(a, t, &b, m, m->func[i]);
  LLVMDisposeBuilder(b.b);
  char *error = NULL;
  if (LLVMVerifyModule(b.module, LLVMReturnStatusAction, &error))
    defect("LLVM module: %s", error);
  LLVMDisposeMessage(error);
  return b.module;
}

static Bytes bytes_of(Arena *a, const char *data, size_t size) {
  return (Bytes){.data = arena_strndup(a, data, size), .size = size};
}

Bytes codegen_emit(Arena *a, Target *t, const KModule *m, const NetProgram *p,
                   Artefact kind) {
  LLVMContextRef context = LLVMContextCreate();
  LLVMModuleRef module = module_emit(a, t, context, m, 0, m->n_funcs);
  if (p != NULL) tables_emit(module, p);
  Bytes out;
  if (kind == ART_LLVM) {
    char *text = LLVMPrintModuleToString(module);
    out = bytes_of(a, text, strlen(text));
    LLVMDisposeMessage(text);
  } else {
    LLVMMemoryBufferRef buffer;
    char *error = NULL;
    LLVMCodeGenFileType type =
        kind == ART_ASSEMBLY ? LLVMAssemblyFile : LLVMObjectFile;
    if (LLVMTargetMachineEmitToMemoryBuffer(t->machine, module, type, &error,
                                            &buffer))
      defect("LLVM code generation: %s", error);
    out = bytes_of(a, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
    LLVMDisposeMemoryBuffer(buffer);
  }
  LLVMDisposeModule(module);
  LLVMContextDispose(context);
  return out;
}
