/* The threads. A job is a number of pieces, cut into one contiguous range a
 * thread, always the same for the same numbers; the caller does the first. A
 * worker that waits spins for some microseconds, since the next kernel of a
 * step is mostly near, and then sleeps; where there are more threads than cores
 * it sleeps at once, since who spins would keep another from its work.
 *
 * Only one thread may call net_parallel on a pool, and a piece must not call it
 * again. Sequentially consistent atomics carry the two handshakes: a side
 * raises its flag (a new round; one job less) before it looks whether the other
 * sleeps, and the other says that it sleeps before it looks at the flag. */
#include "runtime/net.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, SPINS = 3000 };

typedef struct Worker {
  NetPool *pool;
  int index; /* 1 .. threads - 1; the caller is 0 */
  pthread_t thread;
} Worker;

struct NetPool {
  int threads, spins;
  Worker *worker; /* threads - 1 of them */
  pthread_mutex_t lock;
  pthread_cond_t go, done;
  /* The job; written before `round` is raised. */
  NetPiece *fn;
  char *arena;
  int64_t pieces;
  bool quit;
  _Alignas(LINE) atomic_uint round;
  atomic_int sleepers;
  _Alignas(LINE) atomic_int left; /* workers that are still at it */
  atomic_int caller_sleeps;
};

static void relax(void) {
#if defined __x86_64__ || defined __i386__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("yield");
#endif
}

static int64_t cut(const NetPool *p, int index) {
  /* 64 bits suffice: pieces are loop iterations of a kernel, threads few. */
  return p->pieces / p->threads * index +
         p->pieces % p->threads * index / p->threads;
}

static void work(const NetPool *p, int index) {
  int64_t begin = cut(p, index), end = cut(p, index + 1);
  if (begin < end) p->fn(p->arena, begin, end);
}

/* Returns when the round is no longer `seen`. */
static void wait_for_round(NetPool *p, unsigned seen) {
  for (int i = 0; i < p->spins; i++) {
    if (atomic_load(&p->round) != seen) return;
    relax();
  }
  pthread_mutex_lock(&p->lock);
  atomic_fetch_add(&p->sleepers, 1);
  while (atomic_load(&p->round) == seen) pthread_cond_wait(&p->go, &p->lock);
  atomic_fetch_sub(&p->sleepers, 1);
  pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *context) {
  const Worker *w = context;
  NetPool *p = w->pool;
  for (unsigned seen = 0;; seen++) {
    wait_for_round(p, seen);
    if (p->quit) return NULL;
    work(p, w->index);
    if (atomic_fetch_sub(&p->left, 1) != 1) continue;
    if (!atomic_load(&p->caller_sleeps)) continue;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->lock);
  }
}

static void start_round(NetPool *p) {
  atomic_store(&p->left, p->threads - 1);
  atomic_fetch_add(&p->round, 1);
  if (!atomic_load(&p->sleepers)) return;
  pthread_mutex_lock(&p->lock);
  pthread_cond_broadcast(&p->go);
  pthread_mutex_unlock(&p->lock);
}

static void wait_for_workers(NetPool *p) {
  for (int i = 0; i < p->spins; i++) {
    if (!atomic_load(&p->left)) return;
    relax();
  }
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->caller_sleeps, 1);
  while (atomic_load(&p->left)) pthread_cond_wait(&p->done, &p->lock);
  atomic_store(&p->caller_sleeps, 0);
  pthread_mutex_unlock(&p->lock);
}

void net_parallel(NetPool *p, NetPiece *fn, char *arena, int64_t pieces) {
  if (!p || pieces <= 1) {
    if (pieces > 0) fn(arena, 0, pieces);
    return;
  }
  p->fn = fn;
  p->arena = arena;
  p->pieces = pieces;
  start_round(p);
  work(p, 0);
  wait_for_workers(p);
}

static int cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set)) return 1;
  return CPU_COUNT(&set);
}

/* Signals are for the caller: a worker that took one could not be told where
 * the run is. Where the system gives fewer threads, fewer they are. */
static void start_workers(NetPool *p, int wanted) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int n = 1;
  for (; n < wanted; n++) {
    Worker *w = &p->worker[n - 1];
    *w = (Worker){.pool = p, .index = n};
    if (pthread_create(&w->thread, NULL, worker_main, w)) break;
  }
  p->threads = n; /* no worker reads it before the first round */
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

NetPool *net_pool_new(int threads) {
  int n = cores();
  if (threads < 1) threads = n;
  if (threads == 1) return NULL;
  NetPool *p = aligned_alloc(LINE, sizeof *p);
  Worker *worker = calloc((size_t)threads - 1, sizeof *worker);
  if (!p || !worker) { /* one thread does it as well */
    free(p);
    free(worker);
    return NULL;
  }
  memset(p, 0, sizeof *p);
  p->worker = worker;
  p->spins = threads <= n ? SPINS : 0;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->go, NULL);
  pthread_cond_init(&p->done, NULL);
  start_workers(p, threads);
  return p;
}

void net_pool_free(NetPool *p) {
  if (!p) return;
  p->quit = true;
  start_round(p);
  for (int i = 1; i < p->threads; i++)
    pthread_join(p->worker[i - 1].thread, NULL);
  pthread_cond_destroy(&p->done);
  pthread_cond_destroy(&p->go);
  pthread_mutex_destroy(&p->lock);
  free(p->worker);
  free(p);
}
