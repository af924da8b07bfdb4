/* `netc build`: the program as an executable, as an archive with a C header, or as
 * one of the forms before them. The same source, options and processor give the
 * same bytes. */
#include "codegen/driver.h"

#include <ctype.h>
#include <string.h>

typedef Status Make(Compile *c, Bytes code, const char *path);

/* What --emit may be, by the name that the option table knows. */
typedef struct Emit {
  const char *name, *suffix; /* of the file, where -o does not say */
  Artefact artefact;
  Make *make;
} Emit;

static Status make_file(Compile *c, Bytes code, const char *path) {
  return write_file(c->arena, c->o, path, code);
}

/* What the linker wants for the reader of the program: "-lz", or "". */
static const char *libraries(const Compile *c) {
  const char *reader = c->program->data.reader;
  for (const NetReader *r = net_readers; reader && r->name; r++)
    if (strcmp(r->name, reader) == 0) return r->libraries;
  return "";
}

static Status make_executable(Compile *c, Bytes code, const char *path) {
  double start = now_ms();
  Status s = link_program(c->arena, c->o, target_arch(c->target), code,
                          c->program->name, libraries(c), path);
  tell_time(c->o, "link", start);
  return s;
}

/* --- a library: archive and header ---------------------------------------- */

static const char *macro_name(Arena *a, const char *name) {
  char *s = arena_printf(a, "NET_%s_H", name);
  for (char *c = s; *c; c++)
    *c = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c) : '_';
  return s;
}

static const char *header_text(Compile *c) {
  Arena *a = c->arena;
  const char *name = c->program->name, *guard = macro_name(a, name);
  Text t;
  text_init(&t, a);
  text_add(&t, "/* A training program that netc made. Link with its archive "
               "and:\n *   -ljansson %s%s-lm */\n", libraries(c),
           *libraries(c) ? " " : "");
  text_add(&t, "#ifndef %s\n#define %s\n\n", guard, guard);
  text_add(&t, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
               "typedef struct NetProgram NetProgram;\n"
               "extern const NetProgram net_program;\n\n");
  text_add(&t, "/* Trains, or does what the words of the command line say, as "
               "the executable\n * would: `test`, `predict FILE`, and the "
               "options that `--help` tells. Returns the\n * exit status. */\n"
               "int net_main(const NetProgram *p, int argc, char **argv);\n\n");
  text_add(&t, "#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
  return t.s;
}

/* NAME.h beside NAME.a */
static const char *header_path(Arena *a, const char *path) {
  size_t n = strlen(path);
  bool suffix = n > 2 && strcmp(path + n - 2, ".a") == 0;
  return arena_printf(a, "%.*s.h", (int)(suffix ? n - 2 : n), path);
}

static Status make_library(Compile *c, Bytes code, const char *path) {
  const char *text = header_text(c);
  Bytes header = {arena_strdup(c->arena, text), strlen(text)};
  Status s = archive_program(c->arena, c->o, target_arch(c->target), code,
                             c->program->name, path);
  if (s) return s;
  return write_file(c->arena, c->o, header_path(c->arena, path), header);
}

/* --- the command ---------------------------------------------------------- */

static const Emit emits[] = {
    {"exe", "", ART_OBJECT, make_executable},
    {"obj", ".o", ART_OBJECT, make_file},
    {"lib", ".a", ART_OBJECT, make_library},
    {"llvm", ".ll", ART_LLVM, make_file},
    {"asm", ".s", ART_ASSEMBLY, make_file},
};

/* NULL: wrong use, told. */
static const Emit *find_emit(const Options *o) {
  const char *name = o->assembly ? "asm" : o->emit ? o->emit : "exe";
  size_t n = sizeof emits / sizeof *emits;
  if (o->assembly && o->emit && strcmp(o->emit, name) != 0) {
    usage_error("-S and --emit=%s ask for different things", o->emit);
    return NULL;
  }
  for (size_t i = 0; i < n; i++) {
    if (strcmp(emits[i].name, name) != 0) continue;
    if (!o->strip || emits[i].make == make_executable) return &emits[i];
    usage_error("-s means nothing to --emit=%s", name);
    return NULL;
  }
  defect("--emit=%s is in the table of options alone", name);
}

static Status build(Compile *c, const Emit *what) {
  double start = now_ms();
  Bytes code = codegen_emit(c->arena, c->target, c->stage.kernels,
                            program_tables(c), what->artefact);
  tell_time(c->o, "codegen", start);
  const char *path = c->o->output;
  if (!path)
    path = arena_printf(c->arena, "%s%s", c->program->name, what->suffix);
  return what->make(c, code, path);
}

Status command_build(const Options *o) {
  Compile c;
  const Emit *what = find_emit(o);
  if (!what) return STATUS_USAGE;
  Status status = compile(&c, o, AT_PLAN);
  if (!status) status = build(&c, what);
  compile_free(&c);
  return status;
}
