/* trace.c and replay.c on the program of line.h: the step that is found is the
 * first one that breaks something, with all that it begins with; files that are
 * not whole, or another program's, are refused. */
#include "tests/unit/line.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int bad_step; /* its loss is not finite */
static bool poisons; /* the step's weights are not, but its loss is */

static void train(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_train(arena, pool);
  if ((int)m->scalars.step != bad_step) return;
  if (poisons) m->w[1] = NAN;
  else m->loss = INFINITY;
}

/* The step that a run with these options leaves behind. */
static Memory left_behind(const char *more) {
  char save[PATH_SIZE], nan[PATH_SIZE + 8], options[400];
  Memory m = {0};
  DataError e = {0};
  NetProgram p = line_program;
  p.train.run = train;
  snprintf(nan, sizeof nan, "%s.nan", line_path(save, "left.st"));
  unlink(nan);
  snprintf(options, sizeof options, "--quiet --save %s %s", save, more);
  line_fails(line_run_data(&p, "", options), 1,
             "note: 'netc check line.net --replay ");
  check_that(net_replay_load(&p, (char *)&m, nan, &e), "%s", e.text);
  return m;
}

/* Steps 0 to 2 are the first epoch; W[0] counts them. */
static void test_found(void) {
  for (int i = 0; i < 12; i++) {
    bad_step = i / 2;
    poisons = i % 2;
    Memory m = left_behind(i % 3 ? "" : "--threads 2");
    CU_ASSERT_EQUAL((int)m.w[0], bad_step);
    CU_ASSERT_EQUAL(m.w[1], 1);
    CU_ASSERT_EQUAL((int)m.scalars.step, bad_step);
    CU_ASSERT_EQUAL((int)m.scalars.epoch, bad_step / 3);
    CU_ASSERT_EQUAL((int)m.scalars.count, bad_step % 3 == 2 ? 2 : 4);
    CU_ASSERT_EQUAL(m.scalars.seed, 1);
    CU_ASSERT_EQUAL(m.x[2], 0.5f); /* a row of the data */
  }
}

static void train_interrupted(char *arena, NetPool *pool) {
  const Memory *m = (const Memory *)(const void *)arena;
  line_train(arena, pool);
  if ((int)m->scalars.step == 3) raise(SIGINT);
}

/* What is kept then is the middle of an epoch, its second step. */
static void test_resumed(void) {
  char half[PATH_SIZE], options[400];
  NetProgram p = line_program;
  p.train.run = train_interrupted;
  snprintf(options, sizeof options, "--quiet --checkpoint %s",
           line_path(half, "half.st"));
  line_fails(line_run_data(&p, "", options), 130, "interrupted after 4 steps");
  bad_step = 5;
  poisons = false;
  snprintf(options, sizeof options, "--resume %s", half);
  Memory m = left_behind(options);
  CU_ASSERT_EQUAL((int)m.scalars.step, 5);
  CU_ASSERT_EQUAL((int)m.scalars.count, 2);
  CU_ASSERT_EQUAL((int)m.w[0], 5);
}

static void test_no_file(void) {
  NetProgram p = line_program;
  p.train.run = train;
  bad_step = 1;
  poisons = false;
  line_fails(line_run_data(&p, "", "--quiet"), 1,
             "note: with --save FILE the step is written to FILE.nan");
}

/* A file with what is given, and then `piece` of why it is refused. */
static void refuse(const char *version, const char *hash, const char *seed,
                   int n, int64_t rows, const char *piece) {
  static float values[64];
  DataError e = {0};
  Memory m;
  char a[PATH_SIZE];
  const char *path = line_path(a, "refused.nan");
  NetSafeTensor list[] = {
      {.name = "scalars", .type = NET_F64, .rank = 1, .dim = {5}, .bytes = 40},
      {.name = "line.W", .type = NET_F32, .rank = 1, .dim = {3}, .bytes = 12},
      {.name = "line.W.m", .type = NET_F32, .bytes = 4},
      {.name = "input/x", .type = NET_F32, .rank = 2, .dim = {rows, 3},
       .bytes = 12 * rows},
      {.name = "input/y", .type = NET_I32, .rank = 1, .dim = {4}, .bytes = 16}};
  NetSafeMeta meta[3];
  int n_meta = 0;
  const char *const keys[] = {"replay", "hash", "seed"};
  const char *const texts[] = {version, hash, seed};
  for (int i = 0; i < 3; i++)
    if (texts[i]) meta[n_meta++] = (NetSafeMeta){keys[i], texts[i]};
  for (int i = 0; i < 5; i++) list[i].data = values;
  CU_ASSERT_TRUE_FATAL(net_safe_write_meta(path, list, n, meta, n_meta, &e));
  bool good = net_replay_load(&line_program, (char *)&m, path, &e);
  check_that(piece ? !good && strstr(e.text, piece) : good,
             "wanted '%s', got '%s'", piece ? piece : "", e.text);
}

static void test_refused(void) {
  static const char hash[] = "0000000000000000";
  refuse("1", hash, "1", 5, 4, NULL);
  refuse(NULL, hash, "1", 5, 4, "not a step that an executable left");
  refuse("2", hash, "1", 5, 4, "not a step that an executable left");
  refuse("1", NULL, "1", 5, 4, "a step of another program");
  refuse("1", "0000000000000001", "1", 5, 4, "a step of another program");
  refuse("1", hash, NULL, 5, 4, "its \"seed\" is no number");
  refuse("1", hash, "", 5, 4, "its \"seed\" is no number");
  refuse("1", hash, "1x", 5, 4, "its \"seed\" is no number");
  refuse("1", hash, "1", 4, 4, "no input/y");
  refuse("1", hash, "1", 5, 3, "is [3,3], but the program's is [4,3]");
  refuse("1", hash, "1", 1, 4, "no line.W");
}

static const CheckTest tests[] = {{"the step that broke", test_found},
                                  {"of a run that is resumed", test_resumed},
                                  {"nowhere to leave it", test_no_file},
                                  {"files that are refused", test_refused},
                                  {NULL, NULL}};

void suite_replay(void);
void suite_replay(void) {
  check_suite("replay", tests);
}
