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

/* Makes the target; what LLVM prints meanwhile goes to `said`. */
static Target *make_target(const Compile *c, const char **error, FILE *said) {
  int level = (int)c->o->level, saved = said ? dup(STDERR_FILENO) : -1;
  if (saved < 0) return target_new(c->arena, c->o->cpu, level, error);
  fflush(stderr);
  dup2(fileno(said), STDERR_FILENO);
  Target *t = target_new(c->arena, c->o->cpu, level, error);
  fflush(stderr);
  dup2(saved, STDERR_FILENO);
  close(saved);
  return t;
}

static bool complained(FILE *said) {
  char line[256];
  rewind(said);
  while (fgets(line, sizeof line, said))
    if (strstr(line, "not a recognized processor")) return true;
  return false;
}

bool compile_target(Compile *c) {
  const char *error = NULL;
  FILE *said = c->o->cpu ? tmpfile() : NULL;
  LLVMInstallFatalErrorHandler(on_fatal_error);
  c->target = make_target(c, &error, said);
  if (c->target && said && complained(said))
    error = arena_printf(c->arena, "unknown processor '%s'", c->o->cpu);
  if (said) fclose(said);
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
