/* The tables of a program, as the runtime reads them (runtime/net.h), from what
 * the front end says of the file and from where `plan` has put things. Used in
 * memory as they are, and written to objects by codegen's tables. */
#include "codegen/driver.h"

#include <string.h>

_Static_assert((int)VAR_WEIGHT == (int)NET_WEIGHT &&
                   (int)VAR_BIAS == (int)NET_BIAS &&
                   (int)VAR_SCALE == (int)NET_SCALE &&
                   (int)VAR_LAYER_STATE == (int)NET_LAYER_STATE &&
                   (int)VAR_OPTIMIZER_STATE == (int)NET_OPTIMIZER_STATE,
               "VarKind and NetVarKind differ");
_Static_assert((int)MAX_RANK <= (int)NET_RANK, "tensors of too many axes");

static NetTensor tensor(const char *name, const Type *t, bool sample,
                        int64_t offset) {
  NetTensor x = {.name = name,
                 .type = (int32_t)t->dtype,
                 .rank = t->rank,
                 .sample = sample,
                 .offset = offset};
  for (int i = 0; i < t->rank; i++) x.dim[i] = t->dim[i];
  return x;
}

static const NetTensor *variables(Arena *a, const KModule *m) {
  NetTensor *x = arena_alloc(a, (size_t)m->n_vars * sizeof *x);
  for (int i = 0; i < m->n_vars; i++) {
    const Var *v = &m->var[i];
    x[i] = tensor(v->name, &v->type, false, m->var_offset[i]);
    x[i].kind = (int32_t)v->kind;
  }
  return x;
}

/* n of class[n], or 0 */
static int32_t classes_of(const Compile *c, const char *field) {
  for (int i = 0; i < c->n_fields; i++)
    if (strcmp(c->fields[i].name, field) == 0)
      return (int32_t)c->fields[i].classes;
  return 0;
}

static void add_inputs(const Compile *c, NetFunction *to, const KFunc *f) {
  NetTensor *x = arena_alloc(c->arena, (size_t)f->n_buffers * sizeof *x);
  for (int i = 0; i < f->n_buffers; i++) {
    const Buffer *b = &f->buffer[i];
    if (b->kind != BUF_INPUT) continue;
    NetTensor *input = &x[to->n_inputs++];
    *input = tensor(b->name, &b->type, b->sample, b->offset);
    input->kind = classes_of(c, b->name);
  }
  to->inputs = x;
}

/* A result that has axes has a row for each sample; the others are one number
 * for the batch. */
static void add_results(const Compile *c, NetFunction *to, const KFunc *f) {
  NetTensor *x = arena_alloc(c->arena, (size_t)f->n_results * sizeof *x);
  for (int i = 0; i < f->n_results; i++) {
    const KResult *r = &f->result[i];
    x[i] = tensor(r->name, &r->type, r->type.rank > 0,
                  f->buffer[r->buffer].offset);
  }
  to->n_results = f->n_results;
  to->results = x;
}

/* The length of the axis of samples; 0: the function has none. */
static int64_t batch_of(const NetFunction *f) {
  for (int i = 0; i < f->n_inputs; i++)
    if (f->inputs[i].sample) return f->inputs[i].dim[0];
  for (int i = 0; i < f->n_results; i++)
    if (f->results[i].sample) return f->results[i].dim[0];
  return 0;
}

static NetFunction function(const Compile *c, const char *name,
                            int64_t batch) {
  NetFunction to = {0};
  const KFunc *f = kmodule_find(c->stage.kernels, name);
  if (!f) return to;
  add_inputs(c, &to, f);
  add_results(c, &to, f);
  to.batch = batch_of(&to) ? batch_of(&to) : batch;
  return to;
}

/* --- the data ------------------------------------------------------------- */

static const NetArg *arguments(Arena *a, const DataArg *args, int n) {
  NetArg *x = arena_alloc(a, (size_t)n * sizeof *x);
  for (int i = 0; i < n; i++)
    x[i] = (NetArg){.name = args[i].name,
                    .string = args[i].string,
                    .n_numbers = args[i].n_numbers,
                    .n_strings = args[i].n_strings,
                    .numbers = args[i].numbers,
                    .strings = args[i].strings};
  return x;
}

NetData program_data(Arena *a, const DataSpec *spec) {
  size_t n = (size_t)spec->n_entries;
  NetDataEntry *entries = arena_alloc(a, n * sizeof *entries);
  for (size_t i = 0; i < n; i++) {
    const DataEntry *e = &spec->entries[i];
    entries[i] = (NetDataEntry){.name = e->name,
                                .in_augment = e->in_augment,
                                .n_args = e->n_args,
                                .args = arguments(a, e->args, e->n_args)};
  }
  return (NetData){.reader = spec->reader,
                   .n_args = spec->n_args,
                   .n_entries = spec->n_entries,
                   .args = arguments(a, spec->args, spec->n_args),
                   .entries = entries};
}

/* --- the whole ------------------------------------------------------------ */

static NetWatch watch(const Watch *w) {
  return (NetWatch){.on = w->on, .patience = w->patience, .delta = w->delta};
}

static const NetMetric *metrics(Arena *a, const Program *from) {
  NetMetric *m = arena_alloc(a, (size_t)(from->n_metrics + 1) * sizeof *m);
  for (int i = 0; i < from->n_metrics; i++)
    m[i] = (NetMetric){.name = from->metrics[i].name,
                       .kind = (int32_t)from->metrics[i].kind,
                       .more = from->metrics[i].more};
  return m;
}

/* Of the graphs as the front end made them, without their places in the source:
 * what a checkpoint must have been made by (FNV-1a). */
static uint64_t hash_of(Arena *a, const Module *m) {
  uint64_t hash = 14695981039346656037u;
  Text t;
  text_init(&t, a);
  Module unlimited = *m; /* a limit changes no meaning */
  unlimited.limit = 0;
  print_module(&t, &unlimited);
  for (const char *s = t.s; *s;) {
    if (strncmp(s, "  @ ", 4) == 0) s += strcspn(s, "\n");
    else hash = (hash ^ (unsigned char)*s++) * 1099511628211u;
  }
  return hash;
}

NetProgram *program_tables(const Compile *c) {
  const Program *from = c->program;
  const KModule *m = c->stage.kernels;
  NetProgram *p = arena_alloc(c->arena, sizeof *p);
  *p = (NetProgram){.abi = NET_ABI,
                    .shuffle = from->shuffle,
                    .name = from->name,
                    .variant = c->o->variant,
                    .label = from->label,
                    .init = {.file = from->init.file,
                             .part = from->init.part,
                             .n_maps = from->init.n_maps,
                             .from = from->init.from,
                             .to = from->init.to},
                    .stop = watch(&from->stop),
                    .plateau = watch(&from->plateau),
                    .keep = watch(&from->keep),
                    .n_metrics = from->n_metrics,
                    .metrics = metrics(c->arena, from),
                    .epochs = from->epochs,
                    .batch = from->batch,
                    .accumulate = from->accumulate,
                    .seed = from->seed,
                    .hash = hash_of(c->arena, from->module),
                    .arena_bytes = m->bytes,
                    .scalars = m->scalars,
                    .n_vars = m->n_vars,
                    .vars = variables(c->arena, m),
                    .data = program_data(c->arena, &from->data),
                    .init_fn = function(c, "init", 0),
                    .train = function(c, "train", from->batch),
                    .evaluate = function(c, "evaluate", from->batch),
                    .predict = function(c, "predict", from->batch)};
  return p;
}
