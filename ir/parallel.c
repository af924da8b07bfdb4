/* Work on several threads at a time: what the passes do for each function, and code
 * generation for each part of one. Results must not depend on who does what. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ir/ir.h"

enum { MOST_THREADS = 16 };

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
  while (started < threads - 1 &&
         pthread_create(&thread[started], NULL, take_jobs, &w) == 0)
    started++;
  take_jobs(&w);
  for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
}
