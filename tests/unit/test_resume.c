/* checkpoint.c: a run that is interrupted at any step and resumed gives the same
 * bits, lines and log as the run that was never stopped. The program of line.h
 * with two rows a batch makes 40 steps of 8 epochs; its step depends on all that
 * a step can: the rows in their order, momentum, random bits by seed and step,
 * the schedule and the plateau. And files that are no checkpoint, or none of
 * this program. */
#include "runtime/philox.h"
#include "tests/unit/line.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EPOCHS = 8, BATCH = 2, STEPS = EPOCHS * ROWS / BATCH };

/* Where the process interrupts itself: behind a step, in an evaluation. */
static int step_at = -1, evaluation_at = -1, evaluations;

static void train(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  const NetScalars *s = &m->scalars;
  (void)pool;
  float noise = philox_uniform(
      philox_word(s->seed, 7, (uint32_t)s->step, (uint32_t)s->epoch, 0));
  m->lr = (1 - s->progress) / (1 + s->plateau);
  m->moment = 0.9f * m->moment + m->x[0] * noise - m->w[0] / 3;
  m->w[0] += (float)m->lr * m->moment;
  m->w[1] = 0.7f * m->w[1] + m->x[N] + (float)m->y[1];
  m->loss = fabsf(m->w[0]) + noise;
  m->l2 = m->w[1] * m->w[1] / 2;
  m->total = m->loss + m->l2;
  for (int i = 0; i < BATCH; i++) m->predicted[i] = noise > 0.5f;
  if ((int)s->step == step_at) raise(SIGINT);
}

static void evaluate(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  line_evaluate(arena, pool);
  for (int i = 0; i < BATCH; i++)
    m->losses[i] = fabsf(m->w[0] - 0.3f) + (float)m->scalars.progress;
  if (evaluations++ == evaluation_at) raise(SIGINT);
}

static NetTensor inputs[2], evaluated[3];
static NetProgram program(void) {
  NetProgram p = line_program;
  memcpy(inputs, line_inputs, sizeof inputs);
  memcpy(evaluated, p.evaluate.results, sizeof evaluated);
  inputs[0].dim[0] = inputs[1].dim[0] = BATCH;
  p.train = (NetFunction){train, BATCH, 2, 5, inputs, p.train.results};
  p.evaluate = (NetFunction){evaluate, BATCH, 2, 3, inputs, evaluated};
  p.epochs = EPOCHS;
  p.shuffle = 1;
  p.plateau = (NetWatch){"train.loss", 1, 0};
  p.keep = (NetWatch){"test.loss", 0, 0};
  p.stop = (NetWatch){"test.accuracy", EPOCHS + 1, 0};
  return p;
}

/* ---- a run in parts ---- */

typedef struct Part {
  char *out;
  size_t size;
} Part;

static void append(Part *p, const char *text) {
  size_t n = strlen(text);
  p->out = realloc(p->out, p->size + n + 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(p->out);
  memcpy(p->out + p->size, text, n + 1);
  p->size += n;
}

/* Runs with these options, and --log and --save, and adds what is printed. */
static int run_part(Part *p, const char *options, const char *log,
                    const char *save) {
  char line[1000];
  NetProgram program_now = program();
  snprintf(line, sizeof line, "--quiet --print-every 2 --log %s --save %s %s",
           log, save, options);
  Child c = line_run_data(&program_now, "", line);
  int status = c.status;
  check_that(status == 0 || status == 130, "%s: %d: %s", options, status,
             c.err);
  append(p, c.out);
  child_free(&c);
  return status;
}

static bool same(const char *a, const char *b) {
  size_t n = 0, m = 0;
  char *s = check_read(a, &n), *t = check_read(b, &m);
  bool equal = s && t && n == m && n && !memcmp(s, t, n);
  free(s);
  free(t);
  return equal;
}

typedef struct Whole {
  Part printed;
  char log[PATH_SIZE], save[PATH_SIZE];
} Whole;

static Whole whole_run(void) {
  Whole w = {0};
  step_at = evaluation_at = -1;
  line_path(w.log, "whole.log");
  line_path(w.save, "whole.st");
  CU_ASSERT_EQUAL(run_part(&w.printed, "", w.log, w.save), 0);
  return w;
}

static void check_equal(const Whole *w, const Part *p, const char *log,
                        const char *save, const char *what, int at) {
  check_that(!strcmp(w->printed.out, p->out), "%s %d: prints\n%swanted\n%s",
             what, at, p->out, w->printed.out);
  check_that(same(w->log, log), "%s %d: another log", what, at);
  check_that(same(w->save, save), "%s %d: other weights", what, at);
}

/* ---- tests ---- */

static void test_every_step(void) {
  char log[PATH_SIZE], save[PATH_SIZE], file[PATH_SIZE], options[600];
  Whole w = whole_run();
  line_path(log, "part.log");
  line_path(save, "part.st");
  line_path(file, "checkpoint.st");
  for (int i = 0; i < 2 * STEPS; i++) {
    Part p = {0};
    /* with a file of its own, and with --save alone */
    bool own = i < STEPS;
    snprintf(options, sizeof options, "%s%s", own ? "--checkpoint " : "",
             own ? file : "");
    step_at = i % STEPS;
    CU_ASSERT_EQUAL(run_part(&p, options, log, save), 130);
    step_at = -1;
    snprintf(options, sizeof options, "--resume %s", own ? file : save);
    CU_ASSERT_EQUAL(run_part(&p, options, log, save), 0);
    check_equal(&w, &p, log, save, "step", i);
    free(p.out);
  }
  free(w.printed.out);
}

/* One run of 40 parts; in the end no step is left, then no epoch. */
static void test_chain(void) {
  char log[PATH_SIZE], save[PATH_SIZE], file[PATH_SIZE], options[600];
  Whole w = whole_run();
  Part p = {0};
  line_path(log, "part.log");
  line_path(save, "part.st");
  line_path(file, "checkpoint.st");
  for (int i = 0; i < STEPS; i++) {
    step_at = i;
    snprintf(options, sizeof options, i ? "--checkpoint %s --resume %s"
                                        : "--checkpoint %s", file, file);
    CU_ASSERT_EQUAL(run_part(&p, options, log, save), 130);
  }
  step_at = -1;
  snprintf(options, sizeof options, "--resume %s", file);
  CU_ASSERT_EQUAL(run_part(&p, options, log, save), 0);
  check_equal(&w, &p, log, save, "chain", 0);
  free(p.out);
  free(w.printed.out);
}

/* In the evaluation at an epoch's end: it is done again as a whole. */
static void test_in_evaluation(void) {
  enum { EACH = ROWS / BATCH };
  char log[PATH_SIZE], save[PATH_SIZE], options[600];
  Whole w = whole_run();
  line_path(log, "part.log");
  line_path(save, "part.st");
  for (int i = 0; i < EPOCHS; i++) {
    Part p = {0};
    evaluations = 0;
    evaluation_at = i * EACH + i % (EACH - 1);
    CU_ASSERT_EQUAL(run_part(&p, "", log, save), 130);
    evaluation_at = -1;
    snprintf(options, sizeof options, "--resume %s", save);
    CU_ASSERT_EQUAL(run_part(&p, options, log, save), 0);
    check_equal(&w, &p, log, save, "evaluation", i);
    free(p.out);
  }
  free(w.printed.out);
}

/* Killed after the third epoch's file was written, and some steps later. */
static void die(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  if (m->scalars.step == 18) _exit(99);
  train(arena, pool);
}

static void test_killed(void) {
  char log[PATH_SIZE], save[PATH_SIZE], file[PATH_SIZE], line[1000];
  Whole w = whole_run();
  Part p = {0};
  NetProgram dies = program();
  dies.train.run = die;
  line_path(log, "part.log");
  line_path(save, "part.st");
  line_path(file, "killed.st");
  snprintf(line, sizeof line, "--quiet --print-every 2 --checkpoint %s --log "
           "%s", file, log);
  Child c = line_run_data(&dies, "", line);
  CU_ASSERT_EQUAL(c.status, 99);
  child_free(&c);
  snprintf(line, sizeof line, "--resume %s", file);
  CU_ASSERT_EQUAL(run_part(&p, line, log, save), 0);
  size_t n = p.size, all = w.printed.size;
  check_that(n < all && !strcmp(w.printed.out + all - n, p.out) &&
                 !strncmp(p.out, "[4, ", 4), "prints\n%s", p.out);
  CU_ASSERT_TRUE(same(w.log, log) && same(w.save, save));
  free(p.out);
  free(w.printed.out);
}

/* Every other epoch, the last in any case; then longer than was planned. */
static void test_every(void) {
  char file[PATH_SIZE], line[600];
  NetProgram p = program();
  snprintf(line, sizeof line, "--checkpoint %s --checkpoint-every 3",
           line_path(file, "every.st"));
  p.train.run = die; /* in epoch 4 */
  Child c = line_run_data(&p, "", line);
  child_free(&c);
  NetSafeFile f;
  DataError e = {0};
  CU_ASSERT_TRUE_FATAL(net_safe_open(&f, file, &e));
  CU_ASSERT_STRING_EQUAL(net_safe_meta(&f, "epoch"), "3");
  CU_ASSERT_STRING_EQUAL(net_safe_meta(&f, "program"), "line");
  net_safe_close(&f);
  p.train.run = train;
  snprintf(line, sizeof line, "--resume %s --checkpoint %s --epochs 4", file,
           file);
  c = line_run_data(&p, "", line);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  CU_ASSERT_TRUE_FATAL(net_safe_open(&f, file, &e));
  CU_ASSERT_STRING_EQUAL(net_safe_meta(&f, "epoch"), "4");
  net_safe_close(&f);
  snprintf(line, sizeof line, "--resume %s --epochs 6", file);
  c = line_run_data(&p, "", line);
  CU_ASSERT_EQUAL(c.status, 0);
  CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "Epoch 6"));
  CU_ASSERT_PTR_NULL(strstr(c.out, "Epoch 4"));
  child_free(&c);
}

/* Weights out of a checkpoint: the best where they are kept. */
static void test_init(void) {
  char file[PATH_SIZE], line[600];
  NetProgram p = program();
  line_path(file, "init.st");
  step_at = STEPS - 3;
  snprintf(line, sizeof line, "--save %s", file);
  Child c = line_run_data(&p, "", line);
  step_at = -1;
  CU_ASSERT_EQUAL(c.status, 130);
  child_free(&c);
  snprintf(line, sizeof line, "--init %s", file);
  c = line_run_data(&p, "test", line);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  NetSafeFile f;
  DataError e = {0};
  float best[N];
  CU_ASSERT_TRUE_FATAL(net_safe_open(&f, file, &e));
  const NetSafeTensor *t = net_safe_find(&f, "best/line.W");
  CU_ASSERT_TRUE(t && net_safe_read(&f, t, best, file, &e));
  net_safe_close(&f);
  CU_ASSERT_EQUAL(line_saved(file), best[0]);
}

/* ---- what is no checkpoint, or another's ---- */

static void refused(const NetProgram *p, const char *options, const char *file,
                    int status, const char *want) {
  char line[600];
  snprintf(line, sizeof line, "%s --resume %s", options, file);
  line_fails(line_run_data(p, "", line), status, want);
}

static const char *interrupted_file(char path[PATH_SIZE], const char *name) {
  char line[600];
  NetProgram p = program();
  line_path(path, name);
  step_at = 6;
  snprintf(line, sizeof line, "--checkpoint %s", path);
  Child c = line_run_data(&p, "", line);
  step_at = -1;
  CU_ASSERT_EQUAL(c.status, 130);
  child_free(&c);
  return path;
}

static void test_others(void) {
  char file[PATH_SIZE], weights[PATH_SIZE], line[600];
  NetProgram p = program(), other = p;
  interrupted_file(file, "mine.st");
  other.hash = 1;
  refused(&other, "", file, 1, "a checkpoint of another program");
  other = p;
  other.shuffle = 0;
  refused(&other, "", file, 1, "a checkpoint of another program");
  refused(&p, "--seed 2", file, 1, "has the seed 1, which --seed cannot change");
  refused(&p, "--init x", file, 2, "--init means nothing beside it");
  refused(&p, "", "/no/such", 1, "/no/such");
  snprintf(line, sizeof line, "--save %s --epochs 1",
           line_path(weights, "weights.st"));
  Child c = line_run_data(&p, "", line);
  child_free(&c);
  refused(&p, "", weights, 1, "not a checkpoint, but weights alone; --init");
  line_fails(line_run(&p, "--save x --checkpoint x"), 2, "need two files");
  line_fails(line_run(&p, "test --checkpoint x"), 2, "means nothing to test");
  /* other data */
  float x[ROWS * N] = {1};
  CU_ASSERT_TRUE(line_array(check_path("x.npy"), "<f4", "(10, 3)", x,
                            sizeof x));
  snprintf(line, sizeof line, "--data %s --resume %s", check_tmp(), file);
  line_fails(line_run(&p, line), 1, "10 rows, where there are 10 now with other");
}

/* Each of the texts of the header, made impossible. Same length: the rest of
 * the file stays as it is. */
static void test_damaged(void) {
  static const struct {
    const char *key, *want;
    char digit;
  } cases[] = {{"checkpoint", "of version x", 'x'},
               {"hash", "\"hash\"", 'x'},
               {"seed", "\"seed\"", '-'},
               {"rows", "other data", '7'},
               {"data", "other data", '0'},
               {"epochs", "\"epochs\"", '-'},
               {"step", "\"step\"", '3'},
               {"epoch", "\"step\"", '9'},
               {"batch", "\"step\"", '9'},
               {"samples", "\"samples\"", 'x'},
               {"interval.loss", "\"interval.loss\"", 'x'},
               {"interval.batches", "\"whole.batches\"", '9'},
               {"interval.right", "\"whole.batches\"", '9'},
               {"whole.batches", "\"whole.batches\"", '1'},
               {"stop.best", "\"stop.best\"", 'x'},
               {"stopped", "\"stopped\"", '7'},
               {"log_bytes", "\"log_bytes\"", ' '}};
  char file[PATH_SIZE], bad[PATH_SIZE], key[64];
  size_t size = 0;
  NetProgram p = program();
  interrupted_file(file, "mine.st");
  line_path(bad, "bad.st");
  char *bytes = check_read(file, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t n = (size_t)snprintf(key, sizeof key, "\"%s\":\"", cases[i].key);
    char *at = memmem(bytes, size, key, n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    char good = at[n];
    at[n] = cases[i].digit;
    CU_ASSERT_TRUE(check_write(bad, bytes, size));
    refused(&p, "", bad, 1, cases[i].want);
    at[n] = good;
  }
  /* NaN in all tensors */
  char *whole = malloc(size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(whole);
  size_t data = 8 + (unsigned char)bytes[0] + 256u * (unsigned char)bytes[1];
  memcpy(whole, bytes, size);
  memset(whole + data, 0xff, size - data);
  CU_ASSERT_TRUE(check_write(bad, whole, size));
  refused(&p, "", bad, 1, "line.W holds a value that is not finite");
  free(whole);
  /* a tensor under another name, and a text that is not there */
  static const char *const names[] = {"line.W.m", "best/line.W",
                                      "run/penalties", "\"epochs\""};
  for (int i = 0; i < 4; i++) {
    char *at = memmem(bytes, size, names[i], strlen(names[i]));
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    at[2] ^= 1;
    CU_ASSERT_TRUE(check_write(bad, bytes, size));
    refused(&p, "", bad, 1, bad);
    at[2] ^= 1;
  }
  for (size_t n = 0; n < size; n += 1 + size / 40) {
    CU_ASSERT_TRUE(check_write(bad, bytes, n));
    refused(&p, "", bad, 1, bad);
  }
  free(bytes);
}

/* Bytes of the header changed at random: told, or a run that ends. Many runs in
 * one process, which a crash of one of them would end. */
static void change(char *bytes, size_t size, uint32_t number) {
  static const char signs[] = "0123456789.-+eE\"{}[]:,ainf";
  uint32_t random[4] = {number, 1, 2, 3};
  for (uint32_t i = 0; i <= number % 3; i++) {
    random[1] = i;
    philox(random, 1);
    bytes[8 + random[0] % size] = random[2] % 3
        ? signs[random[3] % (sizeof signs - 1)] : (char)random[3];
  }
}

static int run_changed(const char *bytes, size_t size, const char *bad,
                       const char *data) {
  uint64_t header = 0;
  char *copy = malloc(size);
  NetProgram p = program();
  NetOptions o;
  net_options_init(&o);
  o.data = data;
  o.resume = bad;
  o.quiet = true;
  o.epochs = 2;
  memcpy(&header, bytes, sizeof header);
  for (uint32_t i = 0; copy && i < (check_long() ? 20000 : 600); i++) {
    memcpy(copy, bytes, size);
    change(copy, header, i);
    if (!check_write(bad, copy, size)) return 98;
    int status = net_train(&p, &o);
    if (status != NET_DONE && status != NET_MISTAKE) return status;
  }
  free(copy);
  return copy ? NET_DONE : 97;
}

static void test_changed(void) {
  char file[PATH_SIZE], bad[PATH_SIZE], data[PATH_SIZE];
  size_t size = 0;
  int status = 0;
  interrupted_file(file, "mine.st");
  line_path(bad, "bad.st");
  snprintf(data, sizeof data, "%s", check_tmp());
  char *bytes = check_read(file, &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  fflush(NULL);
  pid_t pid = fork();
  if (!pid) {
    if (!freopen("/dev/null", "w", stdout) ||
        !freopen("/dev/null", "w", stderr))
      _exit(99);
    _exit(run_changed(bytes, size, bad, data));
  }
  CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
  check_that(WIFEXITED(status) && !WEXITSTATUS(status), "status %x", status);
  free(bytes);
}

/* A good checkpoint is not replaced by one with a NaN, in weights or in the
 * optimiser's state. */
static void train_nan(char *arena, NetPool *pool) {
  Memory *m = (Memory *)(void *)arena;
  train(arena, pool);
  if (m->scalars.step == 7) m->moment = NAN;
}

static void test_nan(void) {
  char file[PATH_SIZE], line[600];
  size_t size = 0, after = 0;
  NetProgram p = program();
  interrupted_file(file, "good.st");
  char *good = check_read(file, &size);
  p.train.run = train_nan;
  step_at = 7;
  snprintf(line, sizeof line, "--resume %s --checkpoint %s", file, file);
  line_fails(line_run_data(&p, "", line), 1,
             "not written, since line.W.m holds a value that is not finite");
  step_at = -1;
  char *now = check_read(file, &after);
  CU_ASSERT_TRUE(good && now && size == after && !memcmp(good, now, size));
  free(good);
  free(now);
}

static const CheckTest tests[] = {
    {"interrupted at every step", test_every_step},
    {"interrupted again and again", test_chain},
    {"interrupted in evaluation", test_in_evaluation},
    {"killed between checkpoints", test_killed},
    {"some epochs, and more of them", test_every},
    {"weights out of a checkpoint", test_init},
    {"checkpoints of others", test_others},
    {"damaged checkpoints", test_damaged},
    {"checkpoints changed at random", test_changed},
    {"no NaN over a good checkpoint", test_nan},
    {NULL, NULL}};

void suite_resume(void);
void suite_resume(void) {
  check_suite("resume", tests);
}
