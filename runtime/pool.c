/* The threads. A job is a number of pieces, of which each thread, the caller too,
 * has a range of its own: the same share of every job, so that what it wrote in one
 * is still near its core in the next. Who has done with his range goes on with the
 * others'. Which thread does a piece changes no bit of the result, so a thread that
 * the system has taken off its core holds up no more than the pieces it had begun.
 *
 * A worker that waits spins for some microseconds, since the next kernel of a step
 * is mostly near, and then sleeps; where there are more threads than cores it
 * sleeps at once. When the caller has had to wait long for a piece, the cores are
 * busy with something else: it then works alone for a while, longer each time it
 * happens again, so that a loaded machine makes two threads no slower than one.
 *
 * Only one thread may call net_parallel on a pool, and a piece must not call it
 * again. The ticket of a range holds the job's number and the next piece; a claim
 * is a compare-and-swap on both, so a worker that comes late claims nothing of a
 * job that it has not seen. What describes the job is read between two looks at
 * the ticket: if the claim succeeds it was this job's. */
#include "runtime/net.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  LINE = 64,
  SPINS = 3000,
  SHARE = 4,              /* claims that a thread makes of its range, about */
  LONG_WAIT = 200000,     /* ns: a core was taken away */
  FIRST_PAUSE = 20000000, /* ns of working alone after that */
  LAST_PAUSE = 1000000000
};

typedef struct Worker {
  NetPool *pool;
  int number; /* of its range; the caller's is 0 */
  pthread_t thread;
} Worker;

typedef struct Range {
  _Alignas(LINE) atomic_uint_least64_t ticket; /* job << 32 | next piece */
} Range;

struct NetPool {
  int threads, spins;
  Worker *worker; /* threads - 1 of them */
  pthread_mutex_t lock;
  pthread_cond_t go;
  int64_t alone_until, pause; /* ns; the caller's */
  uint32_t job;
  atomic_bool quit;
  Range *range; /* one for each thread */
  _Alignas(LINE) atomic_uint shown; /* the job that may be worked at */
  _Atomic(NetPiece *) fn;
  _Atomic(char *) arena;
  atomic_uint pieces, grain;
  atomic_int sleepers;
  _Alignas(LINE) atomic_uint done; /* pieces of the job */
};

static void relax(void) {
#if defined __x86_64__ || defined __i386__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("yield");
#endif
}

static uint32_t job_of(uint64_t ticket) { return (uint32_t)(ticket >> 32); }

/* Where the range of thread t begins, of so many pieces. */
static uint32_t range_begin(const NetPool *p, int t, uint32_t pieces) {
  return (uint32_t)((uint64_t)pieces * (uint64_t)t / (uint64_t)p->threads);
}

/* Does pieces of one range of the job until none is left. */
static void work_range(NetPool *p, uint32_t job, int t) {
  atomic_uint_least64_t *at = &p->range[t].ticket;
  uint64_t ticket = atomic_load(at);
  while (job_of(ticket) == job) {
    NetPiece *fn = atomic_load(&p->fn);
    char *arena = atomic_load(&p->arena);
    uint32_t next = (uint32_t)ticket;
    uint32_t end = range_begin(p, t + 1, atomic_load(&p->pieces));
    if (next >= end) return;
    uint32_t grain = atomic_load(&p->grain);
    uint32_t n = grain < end - next ? grain : end - next;
    if (!atomic_compare_exchange_weak(at, &ticket, ticket + n)) continue;
    fn(arena, next, next + n);
    atomic_fetch_add(&p->done, n);
    ticket = atomic_load(at);
  }
}

/* Who this thread is, of how many: as it works last. Alone it is the first. */
static _Thread_local int my_number, my_threads;

int64_t net_slot(int64_t piece, int64_t pieces) {
  return my_threads <= pieces ? my_number : piece;
}

/* Does pieces of the job as thread `me`: its own, then what others have left. */
static void work(NetPool *p, uint32_t job, int me) {
  my_number = me;
  my_threads = p->threads;
  for (int i = 0; i < p->threads; i++)
    work_range(p, job, (me + i) % p->threads);
}

/* Returns the number of a job that is not `seen`. */
static uint32_t wait_for_job(NetPool *p, uint32_t seen) {
  uint32_t job;
  for (int i = 0; i < p->spins; i++) {
    job = atomic_load(&p->shown);
    if (job != seen) return job;
    relax();
  }
  pthread_mutex_lock(&p->lock);
  atomic_fetch_add(&p->sleepers, 1);
  while ((job = atomic_load(&p->shown)) == seen)
    pthread_cond_wait(&p->go, &p->lock);
  atomic_fetch_sub(&p->sleepers, 1);
  pthread_mutex_unlock(&p->lock);
  return job;
}

static void *worker_main(void *context) {
  const Worker *w = context;
  NetPool *p = w->pool;
  for (uint32_t seen = 0;;) {
    seen = wait_for_job(p, seen);
    if (atomic_load(&p->quit)) return NULL;
    work(p, seen, w->number);
  }
}

/* Opens the ranges of the next job and shows it. Its description is written
 * before, and no piece of the last one is left that could read it. */
static uint32_t show_job(NetPool *p) {
  uint32_t job = ++p->job, pieces = atomic_load(&p->pieces);
  for (int t = 0; t < p->threads; t++)
    atomic_store(&p->range[t].ticket,
                 (uint64_t)job << 32 | range_begin(p, t, pieces));
  atomic_store(&p->shown, job);
  if (!atomic_load(&p->sleepers)) return job;
  pthread_mutex_lock(&p->lock);
  pthread_cond_broadcast(&p->go);
  pthread_mutex_unlock(&p->lock);
  return job;
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Waits for the pieces that workers have begun. The caller has just worked for
 * `worked` ns: a worker that needs about as long is slow, not gone. */
static void wait_for_pieces(NetPool *p, uint32_t pieces, int64_t worked) {
  for (int i = 0; i < SPINS / 10; i++) {
    if (atomic_load(&p->done) == pieces) return;
    relax();
  }
  int64_t start = now(), end, patience = LONG_WAIT + worked;
  do {
    for (int i = 0; i < 50; i++) {
      if (atomic_load(&p->done) == pieces) return;
      relax();
    }
    end = now();
    if (end - start > LONG_WAIT / 4) sched_yield();
  } while (end - start < patience);
  while (atomic_load(&p->done) != pieces) sched_yield();
  p->pause = p->pause ? p->pause * 2 : FIRST_PAUSE;
  if (p->pause > LAST_PAUSE) p->pause = LAST_PAUSE;
  p->alone_until = now() + p->pause;
}

/* Whether the caller works alone for now. A quiet time as long as the last pause
 * makes the next one short again. */
static bool is_alone(NetPool *p) {
  if (!p->pause) return false;
  int64_t t = now();
  if (t < p->alone_until) return true;
  if (t > p->alone_until + 4 * p->pause) p->pause = 0;
  return false;
}

void net_parallel(NetPool *p, NetPiece *fn, char *arena, int64_t pieces) {
  if (!p || pieces <= 1 || pieces > INT32_MAX || is_alone(p)) {
    if (pieces > 0) fn(arena, 0, pieces);
    return;
  }
  uint32_t n = (uint32_t)pieces, parts = (uint32_t)p->threads * SHARE;
  /* Nobody may claim of the last job what the next one's description offers. */
  for (int t = 0; t < p->threads; t++)
    atomic_store(&p->range[t].ticket, (uint64_t)p->job << 32 | UINT32_MAX);
  atomic_store(&p->fn, fn);
  atomic_store(&p->arena, arena);
  atomic_store(&p->pieces, n);
  atomic_store(&p->grain, (n + parts - 1) / parts);
  atomic_store(&p->done, 0);
  int64_t start = now();
  work(p, show_job(p), 0);
  wait_for_pieces(p, n, now() - start);
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
    w->pool = p;
    w->number = n;
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
  Range *range = aligned_alloc(LINE, (size_t)threads * sizeof *range);
  if (!p || !worker || !range) { /* one thread does it as well */
    free(p);
    free(worker);
    free(range);
    return NULL;
  }
  memset(p, 0, sizeof *p);
  memset(range, 0, (size_t)threads * sizeof *range);
  p->worker = worker;
  p->range = range;
  p->threads = 1;
  p->spins = threads <= n ? SPINS : 0;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->go, NULL);
  start_workers(p, threads);
  return p;
}

void net_pool_free(NetPool *p) {
  if (!p) return;
  atomic_store(&p->pieces, 0);
  atomic_store(&p->quit, true);
  show_job(p);
  for (int i = 1; i < p->threads; i++)
    pthread_join(p->worker[i - 1].thread, NULL);
  pthread_cond_destroy(&p->go);
  pthread_mutex_destroy(&p->lock);
  free(p->worker);
  free(p->range);
  free(p);
}
