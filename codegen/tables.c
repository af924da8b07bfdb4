/* The tables of a program as constants of its object file: a NetProgram under the
 * symbol net_program, laid out as runtime/net.h lays it out, and the readers that
 * it can use. One function for each struct of that header, with its members in the
 * header's order. */
#include <llvm-c/Core.h>
#include <stdio.h>
#include <string.h>

#include "codegen/target.h"

typedef struct Tables {
  LLVMModuleRef module;
  LLVMContextRef context;
  LLVMTypeRef pointer;
} Tables;

static LLVMValueRef i32(const Tables *t, int64_t v) {
  return LLVMConstInt(LLVMInt32TypeInContext(t->context), (uint64_t)v, true);
}

static LLVMValueRef i64(const Tables *t, int64_t v) {
  return LLVMConstInt(LLVMInt64TypeInContext(t->context), (uint64_t)v, true);
}

static LLVMValueRef structure(const Tables *t, LLVMValueRef *member, int n) {
  return LLVMConstStructInContext(t->context, member, (unsigned)n, false);
}

/* A private constant; its address. */
static LLVMValueRef constant(const Tables *t, LLVMValueRef value) {
  LLVMValueRef g = LLVMAddGlobal(t->module, LLVMTypeOf(value), "net_table");
  LLVMSetInitializer(g, value);
  LLVMSetGlobalConstant(g, true);
  LLVMSetLinkage(g, LLVMPrivateLinkage);
  return g;
}

static LLVMValueRef string(const Tables *t, const char *s) {
  if (s == NULL) return LLVMConstNull(t->pointer);
  return constant(t, LLVMConstStringInContext2(t->context, s, strlen(s), false));
}

static LLVMValueRef array(const Tables *t, LLVMValueRef *element, int n) {
  if (n == 0) return LLVMConstNull(t->pointer);
  return constant(
      t, LLVMConstArray2(LLVMTypeOf(element[0]), element, (uint64_t)n));
}

static LLVMValueRef strings(const Tables *t, const char *const *s, int n) {
  LLVMValueRef element[n + 1];
  for (int i = 0; i < n; i++) element[i] = string(t, s[i]);
  return array(t, element, n);
}

static LLVMValueRef tensor(const Tables *t, const NetTensor *x) {
  LLVMValueRef dim[NET_RANK];
  for (int i = 0; i < NET_RANK; i++) dim[i] = i64(t, x->dim[i]);
  LLVMValueRef member[] = {
      string(t, x->name), i32(t, x->kind), i32(t, x->type), i32(t, x->rank),
      i32(t, x->sample),
      LLVMConstArray2(LLVMInt64TypeInContext(t->context), dim, NET_RANK),
      i64(t, x->offset)};
  return structure(t, member, 7);
}

static LLVMValueRef tensors(const Tables *t, const NetTensor *x, int n) {
  LLVMValueRef element[n + 1];
  for (int i = 0; i < n; i++) element[i] = tensor(t, &x[i]);
  return array(t, element, n);
}

static LLVMValueRef function(const Tables *t, const char *name,
                             const NetFunction *f) {
  LLVMValueRef fn = LLVMGetNamedFunction(t->module, name);
  LLVMValueRef member[] = {
      fn != NULL ? fn : LLVMConstNull(t->pointer), i64(t, f->batch),
      i32(t, f->n_inputs), i32(t, f->n_results),
      tensors(t, f->inputs, f->n_inputs), tensors(t, f->results, f->n_results)};
  return structure(t, member, 6);
}

static LLVMValueRef arguments(const Tables *t, const NetArg *x, int n) {
  LLVMValueRef element[n + 1];
  LLVMTypeRef real = LLVMDoubleTypeInContext(t->context);
  for (int i = 0; i < n; i++) {
    LLVMValueRef number[x[i].n_numbers + 1];
    for (int j = 0; j < x[i].n_numbers; j++)
      number[j] = LLVMConstReal(real, x[i].numbers[j]);
    LLVMValueRef member[] = {string(t, x[i].name), string(t, x[i].string),
                             i32(t, x[i].n_numbers), i32(t, x[i].n_strings),
                             array(t, number, x[i].n_numbers),
                             strings(t, x[i].strings, x[i].n_strings)};
    element[i] = structure(t, member, 6);
  }
  return array(t, element, n);
}

static LLVMValueRef data(const Tables *t, const NetData *d) {
  LLVMValueRef entry[d->n_entries + 1];
  for (int i = 0; i < d->n_entries; i++) {
    const NetDataEntry *x = &d->entries[i];
    LLVMValueRef member[] = {string(t, x->name), i32(t, x->in_augment),
                             i32(t, x->n_args), arguments(t, x->args, x->n_args)};
    entry[i] = structure(t, member, 4);
  }
  LLVMValueRef member[] = {string(t, d->reader), i32(t, d->n_args),
                           i32(t, d->n_entries), arguments(t, d->args, d->n_args),
                           array(t, entry, d->n_entries)};
  return structure(t, member, 5);
}

static LLVMValueRef watch(const Tables *t, const NetWatch *w) {
  LLVMTypeRef real = LLVMDoubleTypeInContext(t->context);
  LLVMValueRef member[] = {string(t, w->on), i64(t, w->patience),
                           LLVMConstReal(real, w->delta)};
  return structure(t, member, 3);
}

static LLVMValueRef start(const Tables *t, const NetInit *x) {
  LLVMValueRef member[] = {string(t, x->file), i32(t, x->n_maps),
                           i32(t, x->part), strings(t, x->from, x->n_maps),
                           strings(t, x->to, x->n_maps)};
  return structure(t, member, 5);
}

static LLVMValueRef metrics(const Tables *t, const NetMetric *x, int n) {
  LLVMValueRef element[n + 1];
  for (int i = 0; i < n; i++) {
    LLVMValueRef member[] = {string(t, x[i].name), i32(t, x[i].kind),
                             i32(t, x[i].more)};
    element[i] = structure(t, member, 3);
  }
  return array(t, element, n);
}

/* data_readers: the program's reader, and those that are always there. */
static void readers(const Tables *t, const char *own) {
  int n = 0;
  while (net_readers[n].name) n++;
  LLVMValueRef reader[n + 1];
  LLVMTypeRef byte = LLVMInt8TypeInContext(t->context);
  n = 0;
  for (const NetReader *r = net_readers; r->name; r++) {
    char symbol[80];
    if (!r->always && (!own || strcmp(own, r->name) != 0)) continue;
    snprintf(symbol, sizeof symbol, "reader_%s", r->name);
    reader[n] = LLVMAddGlobal(t->module, byte, symbol);
    LLVMSetGlobalConstant(reader[n++], true);
  }
  reader[n++] = LLVMConstNull(t->pointer);
  LLVMValueRef value = LLVMConstArray2(t->pointer, reader, (uint64_t)n);
  LLVMValueRef g =
      LLVMAddGlobal(t->module, LLVMTypeOf(value), "data_readers");
  LLVMSetInitializer(g, value);
  LLVMSetGlobalConstant(g, true);
}

void tables_emit(LLVMModuleRef module, const NetProgram *p) {
  Tables tables = {.module = module, .context = LLVMGetModuleContext(module)};
  Tables *t = &tables;
  t->pointer = LLVMPointerTypeInContext(t->context, 0);
  readers(t, p->data.reader);
  LLVMValueRef member[] = {
      i32(t, p->abi), i32(t, p->shuffle), string(t, p->name),
      string(t, p->variant), string(t, p->label), start(t, &p->init),
      watch(t, &p->stop), watch(t, &p->plateau), watch(t, &p->keep),
      i64(t, p->epochs), i64(t, p->batch), i64(t, p->accumulate),
      i64(t, (int64_t)p->seed), i64(t, (int64_t)p->hash),
      i64(t, p->arena_bytes), i64(t, p->scalars), i32(t, p->n_vars),
      tensors(t, p->vars, p->n_vars), i32(t, p->n_metrics),
      metrics(t, p->metrics, p->n_metrics), data(t, &p->data),
      function(t, "net_fn_init", &p->init_fn),
      function(t, "net_fn_train", &p->train),
      function(t, "net_fn_evaluate", &p->evaluate),
      function(t, "net_fn_predict", &p->predict)};
  LLVMValueRef value = structure(t, member, sizeof member / sizeof member[0]);
  LLVMValueRef g = LLVMAddGlobal(module, LLVMTypeOf(value), "net_program");
  LLVMSetInitializer(g, value);
  LLVMSetGlobalConstant(g, true);
}
