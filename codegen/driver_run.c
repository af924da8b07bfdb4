/* `netc run` and `netc test`: compiles in memory and gives the program to the
 * runtime, which does and prints the rest. Only the functions that the command
 * calls are compiled. */
#include "codegen/driver.h"

typedef int Work(const NetProgram *p, const NetOptions *o);

/* The functions of the program that the command calls; evaluation after training
 * is compiled when it is first wanted. */
static void bind_for(NetProgram *p, Jit *jit, CommandId command) {
  p->init_fn.run = jit_find(jit, "init");
  if (command == CMD_RUN) p->train.run = jit_find(jit, "train");
  p->evaluate.run = command == CMD_RUN ? jit_find_lazy(jit, "evaluate")
                                       : jit_find(jit, "evaluate");
}

/* JitTold */
static void tell_function(const void *context, const char *name, bool cached,
                          double ms) {
  const Options *o = context;
  if (o->verbose)
    fprintf(stderr, "codegen    %8.3f ms  %s%s\n", ms, name,
            cached ? ", from the cache" : "");
}

static Status work(Compile *c, Work *what) {
  const char *error = NULL;
  NetProgram *p = program_tables(c);
  double start = now_ms();
  Jit *jit = jit_new(c->arena, c->target, c->stage.kernels, &error);
  if (!jit) return resource_error("cannot compile in memory: %s", error);
  Cache *cache = c->o->no_cache ? NULL : cache_open_default(c->arena);
  jit_use_cache(jit, cache);
  jit_tell(jit, tell_function, c->o);
  target_guard(c->o);
  bind_for(p, jit, c->o->command);
  tell_time(c->o, "in memory", start);
  NetOptions run = c->o->run;
  run.verbose = run.verbose || (c->o->verbose && c->o->command == CMD_RUN);
  run.trace = trace_step;
  run.trace_context = c;
  Status status = (Status)what(p, &run);
  jit_free(jit);
  cache_close(cache);
  return status;
}

static Status command(const Options *o, Work *what) {
  Compile c;
  Status status = compile(&c, o, AT_PLAN);
  if (!status) status = work(&c, what);
  compile_free(&c);
  return status;
}

Status command_run(const Options *o) { return command(o, net_train); }

Status command_test(const Options *o) { return command(o, net_test); }
