/* pool.c: every piece is done once, whatever the numbers; jobs follow each other
 * at once and after a pause, with more threads than cores too. */
#include "runtime/net.h"
#include "tests/check.h"

#include <string.h>
#include <unistd.h>

enum { PIECES = 1000 };

/* The arena: how often each piece was done. */
static void count(char *arena, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) arena[i]++;
}

static void all_once(NetPool *pool, int64_t pieces) {
  char done[PIECES + 1] = {0};
  net_parallel(pool, count, done, pieces);
  for (int64_t i = 0; i < PIECES; i++)
    if (done[i] != (i < pieces)) {
      check_that(false, "piece %lld of %lld was done %d times", (long long)i,
                 (long long)pieces, done[i]);
      return;
    }
}

static void test_pieces(void) {
  static const int threads[] = {1, 2, 3, 4, 7, 16};
  static const int64_t pieces[] = {0, 1, 2, 3, 5, 16, 17, 999, 1000};
  for (int t = 0; t < 6; t++) {
    NetPool *pool = net_pool_new(threads[t]);
    CU_ASSERT_EQUAL(pool == NULL, threads[t] == 1);
    for (int i = 0; i < 9; i++) all_once(pool, pieces[i]);
    net_pool_free(pool);
  }
}

/* Each job reads what the one before wrote. */
static void add_neighbour(char *arena, int64_t begin, int64_t end) {
  int64_t *v = (int64_t *)(void *)arena;
  for (int64_t i = begin; i < end; i++)
    v[64 + i] = v[i] + v[(i + 1) % 64];
}

static void copy_back(char *arena, int64_t begin, int64_t end) {
  int64_t *v = (int64_t *)(void *)arena;
  for (int64_t i = begin; i < end; i++) v[i] = v[64 + i] & 0xFFFF;
}

static void chain(NetPool *pool, int64_t *v, int jobs) {
  for (int64_t i = 0; i < 64; i++) v[i] = i;
  for (int i = 0; i < jobs; i++) {
    net_parallel(pool, add_neighbour, (char *)v, 64);
    net_parallel(pool, copy_back, (char *)v, 64);
  }
}

static void test_jobs(void) {
  int64_t alone[128], v[128];
  for (int threads = 2; threads <= 5; threads++) {
    NetPool *pool = net_pool_new(threads);
    chain(NULL, alone, 2000);
    chain(pool, v, 2000);
    CU_ASSERT_EQUAL(memcmp(v, alone, 64 * sizeof *v), 0);
    net_pool_free(pool);
  }
}

/* Jobs of different sizes at once after each other: a worker that is late for one
 * must not take pieces of it by the numbers of the next. */
static void test_sizes(void) {
  for (int threads = 2; threads <= 8; threads *= 2) {
    NetPool *pool = net_pool_new(threads);
    for (int i = 0; i < 50000; i++) all_once(pool, 2 + i * 37 % 61);
    net_pool_free(pool);
  }
}

/* A pause sends the workers to sleep. */
static void test_pause(void) {
  NetPool *pool = net_pool_new(2);
  for (int i = 0; i < 20; i++) {
    usleep(2000);
    all_once(pool, 10);
  }
  net_pool_free(pool);
  net_pool_free(NULL);
}

static void sleep_in_piece(char *arena, int64_t begin, int64_t end) {
  if (begin > 0) usleep(3000); /* the caller waits for the worker */
  for (int64_t i = begin; i < end; i++) arena[i]++;
}

static void test_slow_worker(void) {
  char done[4] = {0};
  NetPool *pool = net_pool_new(2);
  for (int i = 0; i < 5; i++) net_parallel(pool, sleep_in_piece, done, 4);
  for (int i = 0; i < 4; i++) CU_ASSERT_EQUAL(done[i], 5);
  net_pool_free(pool);
}

static const CheckTest tests[] = {
    {"every piece once", test_pieces},
    {"jobs in a row", test_jobs},
    {"jobs of all sizes", test_sizes},
    {"jobs after a pause", test_pause},
    {"a slow worker", test_slow_worker},
    {NULL, NULL}};

void suite_pool(void);
void suite_pool(void) {
  check_suite("pool", tests);
}
