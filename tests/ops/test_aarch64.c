/* Code for AArch64 against the interpreter, in the long tests: all cases of all
 * operations, with their derivatives, become one executable, which runs once under
 * qemu-user. It reads the memory of each case, calls its function and writes the
 * memory back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "tests/check.h"
#include "tests/ops/ops_cases.h"
#include "tests/ops/oracle.h"

#define TOOLS "aarch64-linux-gnu-"
/* As in test_codegen.c. */
static const double tolerance = 1e-5;

typedef struct Case {
  OpCase op;
  const Module *module;
  KModule *kernels;
} Case;

typedef struct Campaign {
  Arena *arena;
  Target *target;
  FILE *names, *objects, *memory; /* of C's table, for the linker, for cases */
  int n, capacity;
  Case *all;
} Campaign;

static const double *value(void *context, Op op, const char *name) {
  Case *c = context;
  return case_leaf(c->kernels->arena, &c->op, op, name);
}

static Oracle oracle_of(Case *c) {
  return (Oracle){.value = value, .context = c, .seed = CASE_SEED,
                  .step = CASE_STEP, .tolerance = tolerance};
}

/* The case as an object with the function net_fn_caseN, and its memory. */
static void write_case(Campaign *x, Case *c, int number) {
  Arena *a = x->arena;
  Cpu cpu = cpu_find(a, target_cpu(x->target), target_features(x->target));
  KModule *k =
      pass_plan(a, pass_schedule(a, pass_fuse(a, c->module, false), &cpu, false));
  k->arena = a;
  c->kernels = k;
  Oracle o = oracle_of(c);
  char *memory = oracle_arena(a, k, k->func[0], &o);
  fwrite(&k->bytes, sizeof k->bytes, 1, x->memory);
  fwrite(memory, 1, (size_t)k->bytes, x->memory);
  free(memory);
  const char *name = k->func[0]->name;
  k->func[0]->name = arena_printf(a, "case%d", number);
  Bytes code = codegen_emit(a, x->target, k, NULL, ART_OBJECT);
  k->func[0]->name = name;
  const char *path = check_path(arena_printf(a, "case%d.o", number));
  check_write(path, code.data, code.size);
  fprintf(x->objects, "%s\n", path);
  fprintf(x->names, "CASE(net_fn_case%d)\n", number);
}

static void add_cases(Campaign *x, Op op) {
  Case c;
  for (int which = 0; op_case(x->arena, op, which, &c.op); which++) {
    Diags d;
    diags_init(&d, x->arena);
    c.module = pass_simplify(x->arena, pass_grad(x->arena, c.op.module, &d), &d);
    if (x->n == x->capacity)
      x->all = arena_grow(x->arena, x->all, x->n, &x->capacity, sizeof c);
    x->all[x->n] = c;
    write_case(x, &x->all[x->n], x->n);
    x->n++;
  }
}

static const char program[] =
    "#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
    "#define CASE(name) void name(char *, void *);\n#include NAMES\n"
    "#undef CASE\n#define CASE(name) name,\n"
    "static void (*const all[])(char *, void *) = {\n#include NAMES\n};\n"
    "void net_parallel(void *p, void (*f)(char *, int64_t, int64_t), char *a,\n"
    "                  int64_t n) { (void)p; f(a, 0, n); }\n"
    "int main(void) {\n"
    "  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {\n"
    "    int64_t n;\n"
    "    if (fread(&n, sizeof n, 1, stdin) != 1) return 1;\n"
    "    char *m = aligned_alloc(64, (size_t)(n + 127) / 64 * 64);\n"
    "    if (fread(m, 1, (size_t)n, stdin) != (size_t)n) return 1;\n"
    "    all[i](m, 0);\n"
    "    if (fwrite(m, 1, (size_t)n, stdout) != (size_t)n) return 1;\n"
    "    free(m);\n"
    "  }\n"
    "  return 0;\n}\n";

static bool does(const char *const *argv) {
  Run r = check_run(300, argv);
  bool done = check_that(!r.status, "%s: exit %d\n%.500s", r.command, r.status,
                         r.err);
  run_free(&r);
  return done;
}
#define DOES(...) does((const char *const[]){__VA_ARGS__, NULL})

static bool build_and_run(Arena *a) {
  const char *main_c = check_path("main.c"), *exe = check_path("cases");
  const char *names = arena_printf(a, "-DNAMES=\"%s\"", "names.h");
  check_write(main_c, program, sizeof program - 1);
  return DOES(TOOLS "gcc", "-O1", names, "-static", "-o", exe, main_c,
              arena_printf(a, "@%s", check_path("objects")), "-lm") &&
         DOES("sh", "-c", "qemu-aarch64 \"$0\" <\"$1\" >\"$2\"", exe,
              check_path("memory"), check_path("after"));
}

static void compare_all(Campaign *x) {
  FILE *after = fopen(check_path("after"), "rb");
  if (!check_that(after != NULL, "the cases have no results")) return;
  for (int i = 0; i < x->n; i++) {
    Case *c = &x->all[i];
    Oracle o = oracle_of(c);
    size_t bytes = (size_t)c->kernels->bytes;
    char *memory = arena_alloc(x->arena, bytes + 1);
    bool all = check_that(fread(memory, 1, bytes, after) == bytes,
                          "%s: its results are missing", c->op.name);
    const char *wrong =
        all ? oracle_check(x->arena, c->module->graph[0], c->kernels,
                           c->kernels->func[0], memory, &o)
            : NULL;
    check_that(!wrong, "%s, for AArch64: %s", c->op.name, wrong);
  }
  fclose(after);
}

static bool has_tools(void) {
  return check_that(DOES(TOOLS "gcc", "--version") &&
                        DOES("qemu-aarch64", "--version"),
                    "the long tests need qemu-user and gcc-aarch64-linux-gnu "
                    "(Debian: apt install both)");
}

static void operations(void) {
  if (!check_long() || !has_tools()) return;
  const char *error = NULL;
  Campaign x = {.arena = arena_new()};
  x.names = fopen(check_path("names.h"), "w");
  x.objects = fopen(check_path("objects"), "w");
  x.memory = fopen(check_path("memory"), "wb");
  x.target = target_new(x.arena, &target_archs[1], "aarch64", 3, &error);
  if (check_that(x.target && x.names && x.objects && x.memory, "%s",
                 error ? error : "files")) {
    for (int op = 0; op < OP_COUNT; op++) add_cases(&x, (Op)op);
    fclose(x.names);
    fclose(x.objects);
    fclose(x.memory);
    if (build_and_run(x.arena)) compare_all(&x);
  }
  target_free(x.target);
  arena_free(x.arena);
}

void suite_aarch64(void) {
  check_suite("aarch64", (const CheckTest[]){{"operations", operations}, {0}});
}
