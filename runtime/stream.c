/* The batches of training in their order. Without augmentation a batch is
 * written straight into the arena, which costs no more than copying it from
 * anywhere else would; large ones by all threads of the step.
 *
 * With augmentation, workers prepare the batches ahead, each in a slot of a
 * ring, and `next` copies the one whose turn it is:
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

enum { MAX_WORKERS = 8, PARALLEL_BYTES = 1 << 17 };

typedef struct Slot {
  char *input[NET_FIELDS];
  bool ready, busy; /* busy: a worker writes it */
} Slot;

struct DataStream {
  const Dataset *d;
  const NetFunction *f;
  NetPool *pool;
  /* The batches of this round. */
  const int64_t *rows;
  int64_t n, epoch, batches, taken;
  /* The rest is for workers; all of it, and what is above, under the lock. */
  int n_workers, n_slots;
  pthread_t worker[MAX_WORKERS];
  pthread_mutex_t lock;
  pthread_cond_t work, ready;
  int64_t claimed, round;
  bool quit;
  Slot slot[MAX_WORKERS + 1];
};

/* ---- one batch ---- */

static int64_t real_rows(const DataStream *s, int64_t batch) {
  int64_t left = s->n - batch * s->f->batch;
  return left < s->f->batch ? left : s->f->batch;
}

/* Rows of a batch that all threads of the step fill together. */
typedef struct Fill {
  const DataStream *s;
  const int64_t *rows;
  char *arena;
} Fill;

static void fill_rows(char *context, int64_t begin, int64_t end) {
  const Fill *fill = (const Fill *)(const void *)context;
  const DataStream *s = fill->s;
  for (int k = 0; k < s->f->n_inputs; k++) {
    const NetTensor *t = &s->f->inputs[k];
    const DataColumn *c = data_column(s->d, t->name);
    const void *column = s->d->split[DATA_TRAIN].column[c - s->d->column];
    data_fill_rows(c, column, fill->rows + begin, end - begin,
                   fill->arena + t->offset + 4 * c->count * begin);
  }
}

static int64_t sample_bytes(const DataStream *s) {
  int64_t bytes = 0;
  for (int k = 0; k < s->f->n_inputs; k++)
    bytes += 4 * data_column(s->d, s->f->inputs[k].name)->count;
  return bytes;
}

static void fill_now(const DataStream *s, int64_t batch, char *arena) {
  const int64_t *rows = s->rows + batch * s->f->batch;
  int64_t n = real_rows(s, batch);
  Fill fill = {s, rows, arena};
  if (s->pool && n == s->f->batch && n * sample_bytes(s) >= PARALLEL_BYTES)
    net_parallel(s->pool, fill_rows, (char *)&fill, n);
  else
    data_fill(s->d, DATA_TRAIN, rows, n, s->f, arena);
}

/* ---- workers ---- */

static bool can_claim(const DataStream *s) {
  return s->claimed < s->batches && s->claimed < s->taken + s->n_slots &&
         !s->slot[s->claimed % s->n_slots].busy;
}

static void work(DataStream *s, float *scratch) {
  int64_t round = s->round, batch = s->claimed++, epoch = s->epoch;
  Slot *slot = &s->slot[batch % s->n_slots];
  const int64_t *rows = s->rows + batch * s->f->batch;
  int64_t n = real_rows(s, batch);
  slot->busy = true;
  pthread_mutex_unlock(&s->lock);
  data_fill_augmented(s->d, rows, n, epoch, s->f, scratch, slot->input);
  pthread_mutex_lock(&s->lock);
  slot->busy = false;
  slot->ready = round == s->round;
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

static int count_workers(int threads) {
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
  int spare = threads > 0 ? cores - threads : 0;
  return spare < 1 ? 1 : spare > MAX_WORKERS ? MAX_WORKERS : spare;
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

DataStream *data_stream_new(const Dataset *d, const NetFunction *f,
                            NetPool *pool, int threads, DataError *e) {
  DataStream *s = data_alloc(1, sizeof *s, e);
  if (!s)
    return NULL;
  s->d = d;
  s->f = f;
  s->pool = pool;
  if (d->augmented.n == 0)
    return s;
  int wanted = count_workers(threads);
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->work, NULL);
  pthread_cond_init(&s->ready, NULL);
  s->n_slots = wanted + 1;
  if (make_slots(s, e) &&
      (start_workers(s, wanted) || data_no_memory(e)))
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

/* Copies the batch whose turn it is out of its slot. The lock is held, but for
 * the copying: no worker writes a slot before `taken` has passed it. */
static void take_slot(DataStream *s, char *arena) {
  Slot *slot = &s->slot[s->taken % s->n_slots];
  while (!slot->ready)
    pthread_cond_wait(&s->ready, &s->lock);
  pthread_mutex_unlock(&s->lock);
  for (int k = 0; k < s->f->n_inputs; k++) {
    const NetTensor *t = &s->f->inputs[k];
    memcpy(arena + t->offset, slot->input[k],
           (size_t)(s->f->batch * 4 * data_column(s->d, t->name)->count));
  }
  pthread_mutex_lock(&s->lock);
  slot->ready = false;
}

int64_t data_stream_next(DataStream *s, char *arena) {
  int64_t real = 0;
  lock(s);
  if (s->taken < s->batches) {
    real = real_rows(s, s->taken);
    if (s->n_slots > 0)
      take_slot(s, arena);
    else
      fill_now(s, s->taken, arena);
    s->taken++;
    if (s->n_slots > 0)
      pthread_cond_signal(&s->work);
  }
  unlock(s);
  return real;
}
