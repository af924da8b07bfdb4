/* The command `netc`: what its files share. The driver alone sees every folder;
 * nothing includes this header but its own files.
 *
 *   driver.c          main, and the table of commands
 *   driver_options.c  the table of options, their parsing and help
 *   driver_compile.c  the pipeline, from a file to planned kernels
 *   driver_target.c   the processor to generate for
 *   driver_program.c  the tables that the runtime reads
 *   driver_run.c      run, test
 *   driver_bench.c    bench
 *   driver_build.c    build: what is written, and where
 *   driver_link.c     the system's linker and archiver
 *   driver_file.c     writing files
 *   driver_dump.c     dump
 *   driver_opt.c      opt
 *   driver_check.c    check
 *   driver_gradients.c  check --gradients
 *   driver_trace.c    check --replay, and a run's numbers that are not finite
 *   driver_summary.c  summary
 *   driver_fmt.c      fmt
 *   driver_explain.c  explain
 */
#ifndef NETC_DRIVER_H
#define NETC_DRIVER_H

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "passes/passes.h"
#include "runtime/net.h"

/* Exit statuses; whatever else ends the process is a defect. */
typedef enum Status {
  STATUS_DONE = 0,
  STATUS_MISTAKE = 1, /* the user's, told with a place */
  STATUS_USAGE = 2,   /* wrong use of the command line */
  STATUS_RESOURCE = 3 /* no memory, no linker, a file that cannot be written */
} Status;

/* driver_options.c */
typedef enum CommandId {
  CMD_RUN, CMD_TEST, CMD_BUILD, CMD_CHECK, CMD_SUMMARY, CMD_DUMP, CMD_OPT,
  CMD_BENCH, CMD_FMT, CMD_EXPLAIN, CMD_COUNT
} CommandId;

typedef struct Options {
  CommandId command;
  const char *file;
  const char **files; /* fmt: all of them; `file` is the first */
  int n_files, cap_files;
  /* Names of choices are those of the option table; NULL: not given. */
  const char *output, *cpu, *variant, *stage, *format, *entry, *emit, *passes,
      *diagnostics, *data, *replay;
  int64_t level, batch, steps, threads;
  bool verbose, assembly, strip, gradients, no_cache, direct, profile, check, help;
  int n_defines, cap_defines;
  Define *defines;
  NetOptions run; /* run and test */
} Options;

/* Parses argv from `at` on. False: wrong use, told on stderr. */
bool options_parse(Arena *a, Options *o, CommandId command, int argc,
                   char **argv, int at);
void options_help(Arena *a, CommandId command, FILE *out);
/* Tells on stderr how netc was used wrongly; returns STATUS_USAGE. */
Status usage_error(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
/* Tells on stderr what is missing; returns STATUS_RESOURCE. */
Status resource_error(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
/* "; did you mean NAME?", or "" if no name is near. */
const char *did_you_mean(Arena *a, const char *name, const char *const *names,
                         int n);

/* driver_compile.c: the points of the pipeline that can be asked for. */
typedef enum Point {
  AT_AST,
  AT_IR,
  AT_PASS, /* and PassId: behind that pass */
  AT_PLAN = AT_PASS + PASS_PLAN,
  AT_LLVM = AT_PASS + PASS_COUNT,
  AT_ASSEMBLY,
  POINT_COUNT
} Point;

typedef struct Compile {
  Arena *arena;
  const Options *o;
  Diags diags;
  const Source *source;
  Ast *ast;
  Program *program;
  int n_fields; /* what the data yield */
  DataField *fields;
  Target *target;
  Stage stage;
  const Module *graphs; /* the last graphs before kernels were made of them */
} Compile;

/* Compiles o->file as far as `last` (not beyond AT_PLAN). All mistakes are told
 * on stderr. compile_free follows, whatever comes back. */
Status compile(Compile *c, const Options *o, Point last);
void compile_free(Compile *c);
/* Prints the diagnostics as the options want them; returns STATUS_MISTAKE if
 * there are errors. */
Status tell_diags(const Diags *d, const Options *o);
/* Milliseconds by a clock that never goes back; and a line of -v. */
double now_ms(void);
void tell_time(const Options *o, const char *what, double start);
/* "ast", "ir", the passes, "llvm", "asm". */
const char *point_name(Point at);

/* driver_target.c: the target of the options; false: it was told what is
 * wrong. */
bool compile_target(Compile *c);
/* Before code for the processor of --cpu runs on this one. */
void target_guard(const Options *o);

/* driver_program.c: the NetProgram of a compiled file, in c's arena; its
 * functions are NULL. */
NetProgram *program_tables(const Compile *c);
/* A reader and its entries as the runtime has them. */
NetData program_data(Arena *a, const DataSpec *spec);

/* driver_file.c: files are written whole or not at all: under another name
 * beside the target, then renamed. Each tells on stderr what is wrong. */
/* The name under which to write until all is done; its file is there, empty.
 * NULL: the target cannot be written. */
char *output_begin(Arena *a, const Options *o, const char *path);
/* Gives the file its name and what the umask leaves of `mode`; or removes it if
 * `status` is not STATUS_DONE. */
Status output_end(const char *temporary, const char *path, unsigned mode,
                  Status status);
/* Writes over a file that is there. */
Status put_file(const char *path, Bytes b);
Status write_file(Arena *a, const Options *o, const char *path, Bytes b);
/* To the file of -o, or else to stdout. */
Status write_output(Arena *a, const Options *o, Bytes b);
/* What was printed on stdout is out, or else it is told. */
Status flush_output(void);

/* driver_link.c: an executable, or an archive, of an object and the runtime.
 * `name` is the object's, without .o; `libraries` are those of its readers. */
Status link_program(Arena *a, const Options *o, const TargetArch *arch,
                    Bytes object, const char *name, const char *libraries,
                    const char *path);
Status archive_program(Arena *a, const Options *o, const TargetArch *arch,
                       Bytes object, const char *name, const char *path);

/* driver_NAME.c: each returns the exit status. */
Status command_run(const Options *o);
Status command_test(const Options *o);
Status command_build(const Options *o);
Status command_check(const Options *o);
Status command_summary(const Options *o);
Status command_dump(const Options *o);
Status command_opt(const Options *o);
Status command_bench(const Options *o);
Status command_fmt(const Options *o);
Status command_explain(const Options *o);

/* driver_gradients.c: compares the derivatives of the function `train`, as the
 * front end made it, with differences. */
Status check_gradients(Compile *c);

/* driver_trace.c: a NetTracer whose context is the Compile, up to AT_PLAN: tells
 * which operation of the step makes numbers that are not finite. And the same of
 * the step in the file of --replay. */
void trace_step(void *context, const NetProgram *p, const char *step);
Status check_replay(Compile *c);

#endif
