/* From planned kernels to an LLVM module, and from that to LLVM IR, assembly or
 * an object file. A function of the program calls its kernels one after the
 * other; those that are cut into pieces go through the runtime's net_parallel.
 * Equal kernels are emitted once: such code is told where its buffers lie.
 * None of LLVM's IR passes runs: the IR is written as it should be, and the
 * measurements in kernels' reference say that they change nothing. */
#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/emit.h"
#include "codegen/target.h"

enum { BRIEF = 1 << 20 }; /* points of a kernel that runs once */

static void add_attribute(LLVMContextRef c, LLVMValueRef fn, const char *key,
                          const char *value) {
  LLVMAttributeRef a = LLVMCreateStringAttribute(
      c, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
  LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

static void add_flag(LLVMContextRef c, LLVMValueRef fn, const char *name) {
  unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
  LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                          LLVMCreateEnumAttribute(c, kind, 0));
}

static void set_attributes(const Target *t, LLVMContextRef c, LLVMValueRef fn) {
  add_flag(c, fn, "nounwind");
  add_attribute(c, fn, "target-cpu", t->llvm_cpu);
  if (t->features[0] != 0) add_attribute(c, fn, "target-features", t->features);
}

static LLVMValueRef parallel_function(const Build *b, LLVMTypeRef *type) {
  LLVMTypeRef p = LLVMPointerTypeInContext(b->context, 0);
  LLVMTypeRef params[4] = {p, p, p, LLVMInt64TypeInContext(b->context)};
  *type = LLVMFunctionType(LLVMVoidTypeInContext(b->context), params, 4, false);
  LLVMValueRef fn = LLVMGetNamedFunction(b->module, "net_parallel");
  return fn != NULL ? fn : LLVMAddFunction(b->module, "net_parallel", *type);
}

/* A function of the program while it is emitted. */
typedef struct Emission {
  Arena *arena;
  const Target *target;
  const Build *b;
  const KModule *m;
  const KFunc *f;
  const Shapes *shapes;
  const ModulePart *part; /* NULL: all of it */
} Emission;

/* Whether this module has the function itself. */
static bool has_calls(const Emission *e) {
  return !e->part || e->part->number == 0;
}

static void own_attributes(const Emission *e, LLVMValueRef fn) {
  if (has_calls(e)) LLVMSetLinkage(fn, LLVMInternalLinkage);
  set_attributes(e->target, e->b->context, fn);
}

static bool is_shared(const Emission *e, int kernel) {
  return e->shapes->uses[e->shapes->first[kernel]] > 1;
}

/* Whether running the kernel takes less time than optimising it would. */
static bool is_brief(const Emission *e, const Kernel *k) {
  double points = 1;
  for (int d = 0; d < kernel_dims(k); d++) points *= (double)k->extent[d];
  return points < (double)BRIEF && strcmp(e->f->name, "init") == 0;
}

/* The kernel's code, or where it is elsewhere, its name. */
static LLVMValueRef code_of(const Emission *e, int kernel) {
  const char *name = arena_printf(e->arena, "net_%s_k%d", e->f->name, kernel);
  const Shape *shape = is_shared(e, kernel) ? &e->shapes->shape[kernel] : NULL;
  if (e->part && e->part->of_kernel[kernel] != e->part->number)
    return LLVMAddFunction(e->b->module, name, kernel_type(e->b));
  LLVMValueRef fn = emit_kernel(e->arena, e->b, e->m, e->f,
                                e->f->kernel[kernel], name, shape);
  own_attributes(e, fn);
  if (is_brief(e, e->f->kernel[kernel])) {
    add_flag(e->b->context, fn, "noinline"); /* optnone wants it */
    add_flag(e->b->context, fn, "optnone");
  }
  return fn;
}

/* The facts of a kernel whose code is shared, as a constant. */
static LLVMValueRef facts_of(const Emission *e, int kernel) {
  const Shape *s = &e->shapes->shape[kernel];
  unsigned n = (unsigned)shape_facts(s);
  LLVMValueRef *fact = arena_alloc(e->arena, (n + 1) * sizeof *fact);
  for (unsigned i = 0; i < n; i++)
    fact[i] = build_i64(
        e->b, shape_fact(s, e->f, e->f->kernel[kernel], (int)i));
  LLVMValueRef all =
      LLVMConstArray(LLVMInt64TypeInContext(e->b->context), fact, n);
  LLVMValueRef place =
      LLVMAddGlobal(e->b->module, LLVMTypeOf(all), "net_facts");
  LLVMSetInitializer(place, all);
  LLVMSetGlobalConstant(place, true);
  LLVMSetLinkage(place, LLVMPrivateLinkage);
  return place;
}

/* `pair`: of the arena and facts. */
static void call_kernel(const Emission *e, int kernel, LLVMValueRef code,
                        LLVMValueRef arena, LLVMValueRef pool,
                        LLVMValueRef pair) {
  const Build *b = e->b;
  int64_t pieces = e->f->kernel[kernel]->schedule.pieces;
  if (is_shared(e, kernel)) {
    LLVMBuildStore(b->b, facts_of(e, kernel),
                   build_moved(b, pair, sizeof(int64_t)));
    arena = pair;
  }
  if (pieces > 1) {
    LLVMTypeRef type;
    LLVMValueRef fn = parallel_function(b, &type);
    LLVMValueRef args[4] = {pool, code, arena, build_i64(b, pieces)};
    LLVMBuildCall2(b->b, type, fn, args, 4, "");
    return;
  }
  LLVMValueRef args[3] = {arena, build_i64(b, 0), build_i64(b, 1)};
  LLVMBuildCall2(b->b, kernel_type(b), code, args, 3, "");
}

/* The function that calls the kernels. */
static void emit_calls(const Emission *e, LLVMValueRef *code) {
  const Build *b = e->b;
  LLVMTypeRef p = LLVMPointerTypeInContext(b->context, 0);
  LLVMTypeRef params[2] = {p, p};
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(b->context), params,
                                      2, false);
  LLVMValueRef fn = LLVMAddFunction(
      b->module, arena_printf(e->arena, "net_fn_%s", e->f->name), type);
  set_attributes(e->target, b->context, fn);
  LLVMPositionBuilderAtEnd(b->b,
                           LLVMAppendBasicBlockInContext(b->context, fn, ""));
  LLVMValueRef pair = LLVMBuildAlloca(b->b, LLVMArrayType2(p, 2), "");
  LLVMBuildStore(b->b, LLVMGetParam(fn, 0), pair);
  for (int i = 0; i < e->f->n_kernels; i++)
    call_kernel(e, i, code[i], LLVMGetParam(fn, 0), LLVMGetParam(fn, 1), pair);
  LLVMBuildRetVoid(b->b);
}

static void emit_function(const Emission *e) {
  const KFunc *f = e->f;
  LLVMValueRef *code =
      arena_alloc(e->arena, (size_t)(f->n_kernels + 1) * sizeof *code);
  for (int i = 0; i < f->n_kernels; i++) {
    int first = e->shapes->first[i];
    bool here = !e->part || e->part->of_kernel[i] == e->part->number;
    if (first != i) code[i] = code[first];
    else if (here || has_calls(e)) code[i] = code_of(e, i);
  }
  if (has_calls(e)) emit_calls(e, code);
}

static Build module_begin(const Target *t, LLVMContextRef context) {
  Build b = {.context = context};
  b.module = LLVMModuleCreateWithNameInContext("net", context);
  b.b = LLVMCreateBuilderInContext(context);
  LLVMSetTarget(b.module, t->triple);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(t->machine);
  char *text = LLVMCopyStringRepOfTargetData(layout);
  LLVMSetDataLayout(b.module, text);
  LLVMDisposeMessage(text);
  LLVMDisposeTargetData(layout);
  return b;
}

static LLVMModuleRef module_end(Build *b) {
  LLVMDisposeBuilder(b->b);
  char *error = NULL;
  if (LLVMVerifyModule(b->module, LLVMReturnStatusAction, &error))
    defect("LLVM module: %s", error);
  LLVMDisposeMessage(error);
  return b->module;
}

LLVMModuleRef module_emit(Arena *a, const Target *t, LLVMContextRef context,
                          const KModule *m) {
  Build b = module_begin(t, context);
  for (int i = 0; i < m->n_funcs; i++) {
    Shapes shapes = shapes_find(a, m->func[i]);
    emit_function(&(Emission){a, t, &b, m, m->func[i], &shapes, NULL});
  }
  return module_end(&b);
}

LLVMModuleRef module_emit_part(Arena *a, const Target *t,
                               LLVMContextRef context, const KModule *m,
                               const KFunc *f, const Shapes *shapes,
                               const ModulePart *part) {
  Build b = module_begin(t, context);
  emit_function(&(Emission){a, t, &b, m, f, shapes, part});
  return module_end(&b);
}

static Bytes bytes_of(Arena *a, const char *data, size_t size) {
  return (Bytes){.data = arena_strndup(a, data, size), .size = size};
}

Bytes codegen_emit(Arena *a, Target *t, const KModule *m, const NetProgram *p,
                   Artefact kind) {
  LLVMContextRef context = LLVMContextCreate();
  LLVMModuleRef module = module_emit(a, t, context, m);
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
