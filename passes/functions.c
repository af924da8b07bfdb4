/* What a pass does for each function of a program, on threads: functions have nothing
 * to do with each other until `plan`. */
#include "passes/passes.h"

typedef struct Job {
  MakeFunction *make;
  const void *context;
  Arena *arena[MAX_FUNCS];
  KFunc **to;
} Job;

static void make_one(void *operand, int i) {
  Job *job = operand;
  job->arena[i] = arena_new();
  job->to[i] = job->make(job->arena[i], job->context, i);
}

void make_functions(Arena *a, int n, MakeFunction *make, const void *context,
                    KFunc **to) {
  Job job = {.make = make, .context = context, .to = to};
  parallel_for(n, make_one, &job);
  for (int i = 0; i < n; i++) arena_adopt(a, job.arena[i]);
}
