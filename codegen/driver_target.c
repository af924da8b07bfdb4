/* The processor that the options ask for. LLVM has no call that says whether it
 * knows a name: it prints a complaint and goes on, and for a processor that
 * cannot run such code it ends the process. Both become messages here. */
#include "codegen/driver.h"

#include <llvm-c/ErrorHandling.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* LLVM's fatal errors. All but the user's choice of processor are defects. */
static void on_fatal_error(const char *reason) {
  if (!strstr(reason, "requested on a subtarget")) defect("LLVM: %s", reason);
  exit((int)usage_error("this processor does not do: %s", reason));
}

static bool complained(FILE *said) {
  char line[256];
  bool found = false;
  rewind(said);
  while (fgets(line, sizeof line, said))
    found = found || strstr(line, "not a recognized processor");
  rewind(said);
  return ftruncate(fileno(said), 0) == 0 && found;
}

/* Makes the target; what LLVM prints meanwhile goes to `said`. NULL: it was told
 * in *error, or LLVM does not know the name. */
static Target *try_target(const Compile *c, const TargetArch *arch, FILE *said,
                          const char **error) {
  int level = (int)c->o->level, saved = dup(STDERR_FILENO);
  if (saved < 0) return target_new(c->arena, arch, c->o->cpu, level, error);
  fflush(stderr);
  dup2(fileno(said), STDERR_FILENO);
  Target *t = target_new(c->arena, arch, c->o->cpu, level, error);
  fflush(stderr);
  dup2(saved, STDERR_FILENO);
  close(saved);
  if (!t || !complained(said)) return t;
  target_free(t);
  return NULL;
}

/* A name is looked for among this machine's processors first. */
static Target *find_target(const Compile *c, FILE *said, const char **error) {
  const char *cpu = c->o->cpu;
  const TargetArch *host = target_host();
  for (const TargetArch *x = target_archs; x->name; x++)
    if (strcmp(x->name, cpu) == 0) return try_target(c, x, said, error);
  Target *t = try_target(c, NULL, said, error);
  for (const TargetArch *x = target_archs; !t && !*error && x->name; x++)
    if (x != host) t = try_target(c, x, said, error);
  if (!t && !*error)
    *error = arena_printf(c->arena, "unknown processor '%s'", cpu);
  return t;
}

/* Whether the command runs what it compiles. */
static bool runs_code(CommandId command) {
  return command == CMD_RUN || command == CMD_TEST || command == CMD_BENCH;
}

bool compile_target(Compile *c) {
  const char *error = NULL;
  FILE *said = c->o->cpu ? tmpfile() : NULL;
  LLVMInstallFatalErrorHandler(on_fatal_error);
  c->target = said ? find_target(c, said, &error)
                   : target_new(c->arena, NULL, c->o->cpu, (int)c->o->level,
                                &error);
  if (said) fclose(said);
  if (!error && target_arch(c->target) != target_host() &&
      runs_code(c->o->command))
    error = arena_printf(c->arena,
                         "this machine cannot run code for %s; netc build "
                         "makes an executable for it", c->o->cpu);
  if (error) usage_error("%s", error);
  return !error;
}

static void on_illegal(int signal) {
  static const char text[] =
      "error: this machine cannot run code for the processor of --cpu\n";
  (void)signal;
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(STATUS_USAGE);
  _exit(STATUS_USAGE);
}

void target_guard(const Options *o) {
  struct sigaction a = {.sa_handler = on_illegal};
  if (o->cpu) sigaction(SIGILL, &a, NULL);
}
