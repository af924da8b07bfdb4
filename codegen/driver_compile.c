/* The pipeline: from the name of a file to planned kernels, as far as the
 * command wants. Generating code from these is each command's own. Also asks
 * the runtime's reader for what the data yield, since the front end knows no
 * runtime. */
#include "codegen/driver.h"

#include <string.h>
#include <time.h>

/* The types of both sides are numbered alike. */
_Static_assert((int)T_F32 == (int)NET_F32 && (int)T_F64 == (int)NET_F64 &&
                   (int)T_I32 == (int)NET_I32 && (int)T_U32 == (int)NET_U32 &&
                   (int)T_I1 == (int)NET_I1,
               "DType and NetType differ");

double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

void tell_time(const Options *o, const char *what, double start) {
  if (o->verbose) fprintf(stderr, "%-10s %8.3f ms\n", what, now_ms() - start);
}

const char *point_name(Point at) {
  switch (at) {
  case AT_AST: return "ast";
  case AT_IR: return "ir";
  case AT_LLVM: return "llvm";
  case AT_ASSEMBLY: return "asm";
  default: return pass_info[at - AT_PASS].name;
  }
}

Status tell_diags(const Diags *d, const Options *o) {
  if (o->diagnostics && strcmp(o->diagnostics, "json") == 0)
    diags_print_json(d, stderr);
  else
    diags_print(d, stderr);
  return d->errors ? STATUS_MISTAKE : STATUS_DONE;
}

/* --- what the data yield -------------------------------------------------- */

static DataField field_of(Arena *a, const NetField *f) {
  return (DataField){.name = arena_strdup(a, f->name),
                     .type = type_of((DType)f->type, f->rank, f->dim),
                     .classes = f->classes};
}

/* Does the text hold these words one behind the other, the second one alone? */
static bool speaks_of(const char *text, const char *before, const char *name) {
  size_t n = strlen(before), m = strlen(name);
  for (const char *s = text; m && (s = strstr(s, before)); s++)
    if (strncmp(s + n, name, m) == 0 && strchr(" ':", s[n + m])) return true;
  return false;
}

static Span place_of_arg(const DataArg *args, int n, Span whole,
                         const char *message) {
  for (int i = 0; i < n; i++)
    if (speaks_of(message, " argument '", args[i].name) ||
        speaks_of(message, ": ", args[i].name))
      return args[i].span;
  return whole;
}

/* The runtime knows no places. It begins with the name of the reader or entry
 * that it tells of, and quotes an unknown one: "crop: pad = 0.5 is not ..",
 * "data has no entry 'corp'; ..". */
static Span place_of(const DataSpec *spec, const char *message, int *entry) {
  for (int i = *entry = 0; i < spec->n_entries; *entry = ++i) {
    const DataEntry *e = &spec->entries[i];
    size_t n = strlen(e->name);
    if (speaks_of(message, " entry '", e->name)) return e->span;
    if (strncmp(message, e->name, n) == 0 && strchr(": ", message[n]))
      return place_of_arg(e->args, e->n_args, e->span, message);
  }
  return place_of_arg(spec->args, spec->n_args, spec->span, message);
}

/* The runtime tells one mistake: of an entry it is told, and the others are
 * looked at without that one. False if no fields are known. */
static bool ask_fields(Compile *c, const DataSpec *given_spec, NetField *found,
                       int *n, Diags *d) {
  const char *given = c->o->data ? c->o->data : c->o->run.data;
  DataSpec spec = *given_spec;
  size_t size = (size_t)spec.n_entries * sizeof *spec.entries;
  bool known = true;
  spec.entries = arena_alloc(c->arena, size + 1);
  if (size)
    memcpy(spec.entries, given_spec->entries, size);
  for (;;) {
    char message[640];
    int entry;
    NetData data = program_data(c->arena, &spec);
    if (net_data_fields(&data, given, found, n, message, (int)sizeof message))
      return known;
    Span at = place_of(&spec, message, &entry);
    Diag *told = diag_error(d, "E0501", given ? spec.span : at, "%s", message);
    if (given)
      diag_note(told, (Span){0}, "the command line says --data '%s'", given);
    if (entry == spec.n_entries)
      return false;
    known = known && !spec.entries[entry].in_augment; /* may yield fields */
    spec.n_entries--;
    for (int i = entry; i < spec.n_entries; i++)
      spec.entries[i] = spec.entries[i + 1];
  }
}

/* FrontOptions.fields */
static bool find_fields(void *context, const DataSpec *spec,
                        DataField **fields, int *n_fields, Diags *d) {
  Compile *c = context;
  NetField found[NET_FIELDS];
  int n = 0;
  if (!ask_fields(c, spec, found, &n, d)) return false;
  c->fields = arena_alloc(c->arena, sizeof *c->fields * NET_FIELDS);
  c->n_fields = n;
  for (int i = 0; i < n; i++) {
    const char *wrong;
    c->fields[i] = field_of(c->arena, &found[i]);
    if ((wrong = check_type(c->arena, &c->fields[i].type))) {
      diag_error(d, "E0501", spec->span, "field %s: %s", found[i].name, wrong);
      return false;
    }
  }
  *fields = c->fields;
  *n_fields = n;
  return true;
}

/* --- the pipeline --------------------------------------------------------- */

/* Text to tree, and tree to graphs. */
static bool front_end(Compile *c, Point last) {
  double start = now_ms();
  c->source = source_read(c->arena, &c->diags, c->o->file);
  if (!c->source) return false;
  c->ast = parse(c->arena, &c->diags, c->source);
  tell_time(c->o, "parse", start);
  if (!c->ast || last == AT_AST) return c->ast;
  start = now_ms();
  FrontOptions front = {.n_defines = c->o->n_defines,
                        .defines = c->o->defines,
                        .variant = c->o->variant,
                        .batch = c->o->batch,
                        .fields = find_fields,
                        .context = c};
  c->program = lower(c->arena, &c->diags, c->ast, &front);
  tell_time(c->o, "lower", start);
  if (c->program) c->stage.module = c->program->module;
  return c->program;
}

/* Whether the plan keeps a limit of memory that nobody minds while it is made. */
static bool fits(PassRun run, const Module *m) {
  Module free = *m;
  Stage stage = {.module = &free};
  free.limit = 0;
  run.times = false;
  for (PassId p = PASS_FUSE; p < PASS_COUNT; p++) pass_run(&run, p, &stage);
  return stage.kernels->bytes <= m->limit;
}

/* Graphs to planned kernels. */
static bool run_passes(Compile *c, Point last) {
  PassRun run = {.arena = c->arena,
                 .diags = &c->diags,
                 .times = c->o->verbose,
                 .direct = c->o->direct,
                 .cpu = cpu_find(c->arena, target_cpu(c->target),
                                 target_features(c->target))};
  for (PassId p = 0; p < PASS_COUNT && AT_PASS + (int)p <= (int)last; p++) {
    if (p == PASS_FUSE && c->graphs->limit > 0 && !run.direct)
      run.direct = !fits(run, c->graphs);
    if (!pass_run(&run, p, &c->stage)) return false;
    if (c->stage.module) c->graphs = c->stage.module;
  }
  if (c->o->verbose && last >= AT_PLAN)
    fprintf(stderr, "%-10s %8.3f MB\n", "memory",
            (double)c->stage.kernels->bytes / 1e6);
  return true;
}

Status compile(Compile *c, const Options *o, Point last) {
  *c = (Compile){.arena = arena_new(), .o = o};
  diags_init(&c->diags, c->arena);
  bool good = front_end(c, last);
  if (good && last > AT_IR) {
    if (!compile_target(c)) return STATUS_USAGE;
    good = run_passes(c, last);
  }
  if (!good && !c->diags.errors) defect("failed without a diagnostic");
  if (good && o->gradients) return STATUS_DONE; /* check_gradients tells */
  return tell_diags(&c->diags, o);
}

void compile_free(Compile *c) {
  target_free(c->target);
  arena_free(c->arena);
}
