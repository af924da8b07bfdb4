/* From planned kernels to an LLVM module, and from that to LLVM IR, assembly or
 * an object file. A function of the program calls its kernels one after the
 * other; those that are cut into pieces go through the runtime's net_parallel, and
 * so does a group of kernels, as a function that calls them for a part of the batch.
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

/* Calls a function of the runtime. */
static LLVMValueRef call_runtime(const Build *b, const char *name,
                                 LLVMTypeRef result, int n,
                                 LLVMValueRef *args) {
  LLVMTypeRef params[4];
  for (int i = 0; i < n; i++) params[i] = LLVMTypeOf(args[i]);
  LLVMTypeRef type = LLVMFunctionType(result, params, (unsigned)n, false);
  LLVMValueRef fn = LLVMGetNamedFunction(b->module, name);
  if (fn == NULL) fn = LLVMAddFunction(b->module, name, type);
  return LLVMBuildCall2(b->b, type, fn, args, (unsigned)n, "");
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
    return LLVMAddFunction(
        e->b->module, name,
        kernel_type(e->b, e->f->kernel[kernel]->group != NULL));
  LLVMValueRef fn = emit_kernel(e->arena, e->b, e->m, e->f,
                                e->f->kernel[kernel], name, shape);
  if (has_calls(e)) LLVMSetLinkage(fn, LLVMInternalLinkage);
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

/* A function that calls kernels, while it is emitted. */
typedef struct Caller {
  const Emission *e;
  LLVMValueRef *code; /* of each kernel */
  LLVMValueRef fn, arena, pool;
  LLVMValueRef pair; /* memory for the arena and a kernel's facts */
} Caller;

static void begin_caller(Caller *c, LLVMValueRef fn) {
  const Build *b = c->e->b;
  c->fn = fn;
  c->arena = LLVMGetParam(fn, 0);
  LLVMPositionBuilderAtEnd(b->b,
                           LLVMAppendBasicBlockInContext(b->context, fn, ""));
  LLVMTypeRef p = LLVMPointerTypeInContext(b->context, 0);
  c->pair = LLVMBuildAlloca(b->b, LLVMArrayType2(p, 2), "");
  LLVMBuildStore(b->b, c->arena, c->pair);
}

/* What the kernel is called with first: the arena, or that and its facts. */
static LLVMValueRef arena_for(const Caller *c, int kernel) {
  const Build *b = c->e->b;
  if (!is_shared(c->e, kernel)) return c->arena;
  LLVMBuildStore(b->b, facts_of(c->e, kernel),
                 build_moved(b, c->pair, sizeof(int64_t)));
  return c->pair;
}

static void call_parallel(const Caller *c, LLVMValueRef fn, LLVMValueRef arena,
                          int64_t pieces) {
  const Build *b = c->e->b;
  LLVMValueRef args[4] = {c->pool, fn, arena, build_i64(b, pieces)};
  call_runtime(b, "net_parallel", LLVMVoidTypeInContext(b->context), 4, args);
}

static void call_alone(const Caller *c, int kernel) {
  const Build *b = c->e->b;
  int64_t pieces = c->e->f->kernel[kernel]->schedule.pieces;
  LLVMValueRef arena = arena_for(c, kernel);
  LLVMValueRef args[3] = {arena, build_i64(b, 0), build_i64(b, 1)};
  if (pieces > 1)
    call_parallel(c, c->code[kernel], arena, pieces);
  else
    LLVMBuildCall2(b->b, kernel_type(b, false), c->code[kernel], args, 3, "");
}

/* A loop over [first, last), of which at least one is there. */
typedef struct Counting {
  LLVMBasicBlockRef body;
  LLVMValueRef i, last;
} Counting;

static Counting count_begin(const Caller *c, LLVMValueRef first,
                            LLVMValueRef last) {
  const Build *b = c->e->b;
  LLVMBasicBlockRef from = LLVMGetInsertBlock(b->b);
  Counting l = {.last = last};
  l.body = LLVMAppendBasicBlockInContext(b->context, c->fn, "");
  LLVMBuildBr(b->b, l.body);
  LLVMPositionBuilderAtEnd(b->b, l.body);
  l.i = LLVMBuildPhi(b->b, LLVMInt64TypeInContext(b->context), "");
  LLVMAddIncoming(l.i, &first, &from, 1);
  return l;
}

static void count_end(const Caller *c, Counting *l) {
  const Build *b = c->e->b;
  LLVMBasicBlockRef here = LLVMGetInsertBlock(b->b);
  LLVMBasicBlockRef after =
      LLVMAppendBasicBlockInContext(b->context, c->fn, "");
  LLVMValueRef next = LLVMBuildAdd(b->b, l->i, build_i64(b, 1), "");
  LLVMAddIncoming(l->i, &next, &here, 1);
  LLVMBuildCondBr(b->b, LLVMBuildICmp(b->b, LLVMIntULT, next, l->last, ""),
                  l->body, after);
  LLVMPositionBuilderAtEnd(b->b, after);
}

/* The function of the group that begins with a kernel: does parts, as a kernel does
 * pieces, and for each turn of a part calls the kernels. */
static LLVMValueRef emit_group(const Emission *e, LLVMValueRef *code, int first) {
  const Build *b = e->b;
  const Group *g = e->f->kernel[first]->group;
  Caller c = {.e = e, .code = code};
  LLVMBasicBlockRef caller = LLVMGetInsertBlock(b->b);
  LLVMValueRef fn = LLVMAddFunction(
      b->module, arena_printf(e->arena, "net_%s_g%d", e->f->name, first),
      kernel_type(b, false));
  LLVMSetLinkage(fn, LLVMInternalLinkage);
  begin_caller(&c, fn);
  Counting part = count_begin(&c, LLVMGetParam(fn, 1), LLVMGetParam(fn, 2));
  LLVMValueRef slot = call_runtime(
      b, "net_slot", LLVMInt64TypeInContext(b->context), 2,
      (LLVMValueRef[]){part.i, build_i64(b, g->parts)});
  Counting turn = count_begin(&c, build_i64(b, 0), build_i64(b, g->turns));
  for (int i = first; i < e->f->n_kernels && e->f->kernel[i]->group == g; i++) {
    LLVMValueRef args[4] = {arena_for(&c, i), part.i, turn.i, slot};
    LLVMBuildCall2(b->b, kernel_type(b, true), code[i], args, 4, "");
  }
  count_end(&c, &turn);
  count_end(&c, &part);
  LLVMBuildRetVoid(b->b);
  LLVMPositionBuilderAtEnd(b->b, caller);
  return fn;
}

/* The function that calls the kernels. */
static void emit_calls(const Emission *e, LLVMValueRef *code) {
  const Build *b = e->b;
  LLVMTypeRef p = LLVMPointerTypeInContext(b->context, 0);
  LLVMTypeRef params[2] = {p, p};
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(b->context), params,
                                      2, false);
  Caller c = {.e = e, .code = code};
  begin_caller(&c, LLVMAddFunction(b->module,
                                   arena_printf(e->arena, "net_fn_%s",
                                                e->f->name), type));
  c.pool = LLVMGetParam(c.fn, 1);
  for (int i = 0; i < e->f->n_kernels; i++) {
    if (!e->f->kernel[i]->group)
      call_alone(&c, i);
    else if (kfunc_begins_group(e->f, i))
      call_parallel(&c, emit_group(e, code, i), c.arena,
                    e->f->kernel[i]->group->parts);
  }
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

static LLVMModuleRef module_end(const Target *t, Build *b) {
  for (LLVMValueRef fn = LLVMGetFirstFunction(b->module); fn != NULL;
       fn = LLVMGetNextFunction(fn))
    if (LLVMCountBasicBlocks(fn) > 0) set_attributes(t, b->context, fn);
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
  return module_end(t, &b);
}

LLVMModuleRef module_emit_part(Arena *a, const Target *t,
                               LLVMContextRef context, const KModule *m,
                               const KFunc *f, const Shapes *shapes,
                               const ModulePart *part) {
  Build b = module_begin(t, context);
  emit_function(&(Emission){a, t, &b, m, f, shapes, part});
  return module_end(t, &b);
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
