/* Work on several threads at a time: what the passes do for each function, and code
 * generation for each part of one. Results must not depend on who does what. All work
 * is done on new threads, since these have room for deep recursion (the fused
 * expressions of a long chain), whatever the limit on the first one's stack. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ir/ir.h"

enum { MOST_THREADS = 16 };
static const size_t stack = (size_t)256 << 20; /* bytes, that cost nothing untouched */

int cores_available(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

typedef struct Work {
  int n;
  void (*job)(void *context, int i);
  void *context;
  atomic_int next;
} Work;

static void *take_jobs(void *operand) {
  Work *w = operand;
  for (int i; (i = atomic_fetch_add(&w->next, 1)) < w->n;) w->job(w->context, i);
  return NULL;
}

void parallel_for(int n, void (*job)(void *context, int i), void *context) {
  Work w = {.n = n, .job = job, .context = context};
  pthread_t thread[MOST_THREADS];
  int threads = cores_available(), started = 0;
  if (threads > n) threads = n;
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  pthread_attr_t large;
  pthread_attr_init(&large);
  pthread_attr_setstacksize(&large, stack);
  while (started < threads &&
         pthread_create(&thread[started], &large, take_jobs, &w) == 0)
    started++;
  pthread_attr_destroy(&large);
  if (started == 0) take_jobs(&w); /* the system gives none */
  for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
}
