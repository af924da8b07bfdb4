/* The batches of training in their order. A batch is written straight into the
 * arena by all threads of the step, which costs no more than copying it from
 * anywhere else would. With augmentation it does; if the step leaves cores
 * alone, workers on these prepare the batches ahead, each in a slot of a ring,
 * and `next` copies the one whose turn it is, or fills it where no worker has
 * come to it yet, or where one takes far longer than the work does, since other
 * programs have its core:
 *
 *   batch     0  1  2 | 3  4 | 5  6 ..     taken: 3, claimed: 5
 *             done    | slots |              batch b lies in slot b % slots
 *
 * A worker claims the next number, if its slot is free, fills the slot without
 * the lock, and marks it ready. What a batch holds depends on its number alone,
 * so neither the number of workers nor their speed can be seen in it. Starting
 * anew (an epoch) raises `round`: a worker that comes back with a batch of
 * an earlier round only frees its slot. */
#include "runtime/data.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  MAX_WORKERS = 8,
  MAX_SLOTS = MAX_WORKERS + 2,
  PARALLEL_BYTES = 1 << 17, /* less is not worth waking others for */
  SLOTS_BYTES = 1 << 22
};

typedef struct Slot {
  char *input[NET_FIELDS];
  bool ready, busy; /* busy: a worker writes it */
} Slot;

struct DataStream {
  const Dataset *d;
  const NetFunction *f;
  NetPool *pool;
  float *scratch;
  /* The batches of this round. */
  const int64_t *rows;
  int64_t n, epoch, batches, taken;
  /* The rest is for workers; all of it, and what is above, under the lock. */
  int n_workers, n_slots;
  pthread_t worker[MAX_WORKERS];
  pthread_mutex_t lock;
  pthread_cond_t work, ready;
  int64_t claimed, round;
  int64_t cost; /* nanoseconds of a processor that a batch takes */
  bool quit;
  Slot slot[MAX_SLOTS];
};

/* ---- one batch ---- */

static int64_t real_rows(const DataStream *s, int64_t batch) {
  int64_t left = s->n - batch * s->f->batch;
  return left < s->f->batch ? left : s->f->batch;
}

/* Rows of a batch that the threads of the step fill together. */
typedef struct Fill {
  const DataStream *s;
  const int64_t *rows;
  char *to[NET_FIELDS];
} Fill;

static void fill_rows(char *context, int64_t begin, int64_t end) {
  const Fill *fill = (const Fill *)(const void *)context;
  const DataStream *s = fill->s;
  char *to[NET_FIELDS];
  for (int k = 0; k < s->f->n_inputs; k++)
    to[k] = fill->to[k] +
            4 * data_column(s->d, s->f->inputs[k].name)->count * begin;
  data_fill_training(s->d, fill->rows + begin, end - begin, s->epoch, s->f,
                     s->scratch + begin * data_augment_scratch(s->d), to);
}

static int64_t sample_bytes(const DataStream *s) {
  int64_t bytes = 0;
  for (int k = 0; k < s->f->n_inputs; k++)
    bytes += 4 * data_column(s->d, s->f->inputs[k].name)->count;
  return bytes;
}

/* Straight into the arena. */
static void fill_now(const DataStream *s, int64_t batch, char *arena) {
  int64_t n = real_rows(s, batch);
  Fill fill = {.s = s, .rows = s->rows + batch * s->f->batch};
  bool large = s->d->augmented.n > 0 || n * sample_bytes(s) >= PARALLEL_BYTES;
  for (int k = 0; k < s->f->n_inputs; k++)
    fill.to[k] = arena + s->f->inputs[k].offset;
  net_parallel(large ? s->pool : NULL, fill_rows, (char *)&fill, n);
  data_repeat_last(s->d, s->f, n, fill.to);
}

/* ---- workers ---- */

static bool can_claim(const DataStream *s) {
  return s->claimed < s->batches && s->claimed < s->taken + s->n_slots &&
         !s->slot[s->claimed % s->n_slots].busy;
}

static int64_t nanoseconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return 1000000000 * (int64_t)t.tv_sec + t.tv_nsec;
}

static void work(DataStream *s, float *scratch) {
  int64_t round = s->round, batch = s->claimed++, epoch = s->epoch;
  Slot *slot = &s->slot[batch % s->n_slots];
  const int64_t *rows = s->rows + batch * s->f->batch;
  int64_t n = real_rows(s, batch);
  slot->busy = true;
  pthread_mutex_unlock(&s->lock);
  int64_t start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  data_fill_training(s->d, rows, n, epoch, s->f, scratch, slot->input);
  data_repeat_last(s->d, s->f, n, slot->input);
  int64_t cost = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start;
  pthread_mutex_lock(&s->lock);
  s->cost = cost;
  slot->busy = false;
  slot->ready = round == s->round && batch >= s->taken;
  pthread_cond_signal(slot->ready ? &s->ready : &s->work);
}

typedef struct Start {
  DataStream *s;
  float *scratch;
} Start;

static void *worker_main(void *context) {
  Start start = *(Start *)context;
  DataStream *s = start.s;
  free(context);
  pthread_mutex_lock(&s->lock);
  while (!s->quit) {
    if (can_claim(s))
      work(s, start.scratch);
    else
      pthread_cond_wait(&s->work, &s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  free(start.scratch);
  return NULL;
}

static bool start_worker(DataStream *s) {
  DataError e;
  Start *start = malloc(sizeof *start);
  float *scratch = data_alloc(data_augment_scratch(s->d), sizeof(float), &e);
  if (start && scratch) {
    *start = (Start){s, scratch};
    if (!pthread_create(&s->worker[s->n_workers], NULL, worker_main, start)) {
      s->n_workers++;
      return true;
    }
  }
  free(start);
  free(scratch);
  return false;
}

/* Cores that the step leaves alone, if it leaves half of them: to share cores
 * with the step costs it more than to wait for all threads to augment. */
static int count_workers(int threads) {
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
  int spare = threads > 0 ? cores - threads : 0;
  return spare < threads ? 0 : spare > MAX_WORKERS ? MAX_WORKERS : spare;
}

/* Signals are for the thread that trains. */
static bool start_workers(DataStream *s, int wanted) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 0; i < wanted && start_worker(s); i++)
    ;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return s->n_workers > 0;
}

static bool make_slots(DataStream *s, DataError *e) {
  for (int i = 0; i < s->n_slots; i++)
    for (int k = 0; k < s->f->n_inputs; k++) {
      const DataColumn *c = data_column(s->d, s->f->inputs[k].name);
      s->slot[i].input[k] = data_alloc(s->f->batch, 4 * c->count, e);
      if (!s->slot[i].input[k])
        return false;
    }
  return true;
}

/* As many slots as are of use, in bounded memory: at least two, so that one is
 * filled while the other waits. */
static int count_slots(const DataStream *s, int workers) {
  int64_t fit = SLOTS_BYTES / (s->f->batch * sample_bytes(s));
  int64_t most = workers + 2;
  return (int)(fit < 2 ? 2 : fit < most ? fit : most);
}

DataStream *data_stream_new(const Dataset *d, const NetFunction *f,
                            NetPool *pool, int threads, DataError *e) {
  DataStream *s = data_alloc(1, sizeof *s, e);
  if (!s)
    return NULL;
  s->d = d;
  s->f = f;
  s->pool = pool;
  /* A thread of the step uses what belongs to its first row. */
  s->scratch =
      data_alloc(f->batch * data_augment_scratch(d), sizeof(float), e);
  int workers = d->augmented.n > 0 ? count_workers(threads) : 0;
  if (s->scratch && workers == 0)
    return s;
  pthread_condattr_t steady;
  pthread_condattr_init(&steady);
  pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->work, NULL);
  pthread_cond_init(&s->ready, &steady);
  pthread_condattr_destroy(&steady);
  s->n_slots = count_slots(s, workers);
  if (workers > s->n_slots - 1)
    workers = s->n_slots - 1;
  if (s->scratch && make_slots(s, e) &&
      (start_workers(s, workers) || data_no_memory(e)))
    return s;
  data_stream_free(s);
  return NULL;
}

void data_stream_free(DataStream *s) {
  if (!s)
    return;
  if (s->n_slots > 0) {
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->n_workers; i++)
      pthread_join(s->worker[i], NULL);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->ready);
    pthread_mutex_destroy(&s->lock);
  }
  for (int i = 0; i < s->n_slots; i++)
    for (int k = 0; k < NET_FIELDS; k++)
      free(s->slot[i].input[k]);
  free(s->scratch);
  free(s);
}

/* ---- what training calls ---- */

static void lock(DataStream *s) {
  if (s->n_slots > 0)
    pthread_mutex_lock(&s->lock);
}

static void unlock(DataStream *s) {
  if (s->n_slots > 0)
    pthread_mutex_unlock(&s->lock);
}

void data_stream_start(DataStream *s, const int64_t *rows, int64_t n,
                       int64_t epoch) {
  lock(s);
  s->rows = rows;
  s->n = n;
  s->epoch = epoch;
  s->batches = (n + s->f->batch - 1) / s->f->batch;
  s->taken = s->claimed = 0;
  s->round++;
  for (int i = 0; i < s->n_slots; i++)
    s->slot[i].ready = false;
  if (s->n_slots > 0)
    pthread_cond_broadcast(&s->work);
  unlock(s);
}

/* Waits for the slot's worker, half as long as it takes to do the same again: so a
 * worker whose core is taken costs no more than one and a half times the work. */
static bool wait_for(DataStream *s, const Slot *slot) {
  int64_t end = nanoseconds(CLOCK_MONOTONIC) + s->cost / 2;
  struct timespec limit = {.tv_sec = (time_t)(end / 1000000000),
                           .tv_nsec = (long)(end % 1000000000)};
  while (!slot->ready)
    if (pthread_cond_timedwait(&s->ready, &s->lock, &limit))
      return slot->ready;
  return true;
}

/* Copies the batch whose turn it is out of its slot; false: it is not ready. The
 * lock is held, but for the copying: no worker writes a slot before `taken` has
 * passed it. */
static bool take_slot(DataStream *s, char *arena) {
  Slot *slot = &s->slot[s->taken % s->n_slots];
  if (!wait_for(s, slot))
    return false;
  pthread_mutex_unlock(&s->lock);
  for (int k = 0; k < s->f->n_inputs; k++) {
    const NetTensor *t = &s->f->inputs[k];
    memcpy(arena + t->offset, slot->input[k],
           (size_t)(s->f->batch * 4 * data_column(s->d, t->name)->count));
  }
  pthread_mutex_lock(&s->lock);
  return true;
}

int64_t data_stream_next(DataStream *s, char *arena) {
  int64_t real = 0;
  lock(s);
  if (s->taken < s->batches) {
    real = real_rows(s, s->taken);
    bool claimed = s->claimed > s->taken;
    if (!claimed)
      s->claimed++;
    if (!claimed || !take_slot(s, arena)) {
      unlock(s);
      fill_now(s, s->taken, arena);
      lock(s);
    }
    if (claimed)
      s->slot[s->taken % s->n_slots].ready = false;
    s->taken++;
    if (s->n_slots > 0)
      pthread_cond_signal(&s->work);
  }
  unlock(s);
  return real;
}
