/* What is on disk when writing fails or the process dies: safetensors.c and
 * checkpoint.c with each call that writes failing once, full disk or broken,
 * and a training that is killed at random moments. A good checkpoint is there
 * at any time after the first. The long tests kill 500 times. */
#include "runtime/philox.h"
#include "tests/unit/faults.h"
#include "tests/unit/line.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SHORT = 0 }; /* an errno that is none: a write of half the bytes */
static const int errors[] = {ENOSPC, EIO, SHORT};
enum { ERRORS = sizeof errors / sizeof *errors };

/* Files that were left under another name while they were written. */
static int temporaries(void) {
  int n = 0;
  DIR *folder = opendir(check_tmp());
  CU_ASSERT_PTR_NOT_NULL_FATAL(folder);
  for (struct dirent *d; (d = readdir(folder));)
    n += strstr(d->d_name, ".tmp") != NULL;
  closedir(folder);
  return n;
}

/* The one byte of the tensor in the file; -1: it is not whole. */
static int value_in(const char *path) {
  NetSafeFile f;
  DataError e = {0};
  unsigned char v = 0;
  if (!net_safe_open(&f, path, &e)) return -1;
  const NetSafeTensor *t = net_safe_find(&f, "a");
  bool good = t && net_safe_read(&f, t, &v, path, &e);
  net_safe_close(&f);
  return good ? v : -1;
}

static void check_failing(const char *path, int at, int error) {
  const unsigned char old = 1, new = 2;
  NetSafeTensor t = {.name = "a", .type = NET_I1, .bytes = 1, .data = &old};
  DataError e = {0};
  CU_ASSERT_TRUE(net_safe_write(path, &t, 1, &e));
  t.data = &new;
  faults_arm(at, error);
  bool good = net_safe_write(path, &t, 1, &e);
  faults_arm(-1, 0);
  int value = value_in(path);
  check_that(value == new || (!good && value == old),
             "call %d, %s: the file holds %d", at, strerror(error), value);
  check_that(good == (error == SHORT) && (good || e.status == NET_RESOURCE),
             "call %d, %s: %d, '%s'", at, strerror(error), good, e.text);
  CU_ASSERT_EQUAL(temporaries(), 0);
}

static void test_writing(void) {
  char path[PATH_SIZE];
  NetSafeTensor t = {.name = "a", .type = NET_I1, .bytes = 1, .data = "\1"};
  DataError e = {0};
  faults_arm(-1, 0);
  CU_ASSERT_TRUE(net_safe_write(line_path(path, "fault.st"), &t, 1, &e));
  int calls = faults_calls();
  /* made, three parts, synced, closed, renamed; the folder synced, closed */
  CU_ASSERT_EQUAL(calls, 9);
  for (int i = 0; i < ERRORS; i++)
    for (int at = 0; at < calls - 1; at++) check_failing(path, at, errors[i]);
}

/* ---- a training ---- */

static bool is_checkpoint(const char *path, int64_t *epoch) {
  NetSafeFile f;
  DataError e = {0};
  if (!net_safe_open(&f, path, &e)) return false;
  const char *text = net_safe_meta(&f, "epoch");
  *epoch = text ? atoll(text) : -1;
  bool good = net_is_checkpoint(&f) && text;
  net_safe_close(&f);
  return good;
}

/* Fails once in four checkpoints: the run goes on, and only if it was the last
 * one is it not good in the end. */
static void test_training(void) {
  enum { EPOCHS = 4, CALLS = 9 * EPOCHS };
  char path[PATH_SIZE], options[400];
  NetProgram p = line_program;
  int64_t epoch = 0;
  p.epochs = EPOCHS;
  snprintf(options, sizeof options, "--quiet --checkpoint %s",
           line_path(path, "train.st"));
  for (int i = 0; i < ERRORS; i++) {
    int failed = 0;
    for (int at = 0; at < CALLS; at += i ? 5 : 1) {
      unlink(path);
      faults_arm(at, errors[i]);
      Child c = line_run_data(&p, "", options);
      faults_arm(-1, 0);
      CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "Test loss"));
      bool told = strstr(c.err, "cannot be written") != NULL;
      failed += told;
      bool good = is_checkpoint(path, &epoch);
      check_that(good && epoch >= EPOCHS - (c.status != 0), "call %d: %d, %d",
                 at, good, (int)epoch);
      check_that(c.status == 0 || (told && c.status == NET_RESOURCE),
                 "call %d: %d, %s", at, c.status, c.err);
      check_that(!told || c.status || strstr(c.err, "the run goes on"),
                 "call %d: %s", at, c.err);
      child_free(&c);
    }
    CU_ASSERT_TRUE(errors[i] == SHORT ? !failed : failed > 6);
  }
}

/* ---- a sudden end ---- */

static pid_t start(const NetProgram *p, const char *path) {
  char data[PATH_SIZE], file[PATH_SIZE];
  fflush(NULL);
  pid_t pid = fork();
  if (pid) return pid;
  snprintf(data, sizeof data, "%s", check_tmp());
  snprintf(file, sizeof file, "%s", path);
  NetOptions o;
  net_options_init(&o);
  o.data = data;
  o.checkpoint = o.save = file;
  o.save = NULL;
  o.quiet = true;
  o.print_every = 1000000;
  if (!freopen("/dev/null", "w", stdout)) _exit(99);
  _exit(net_train(p, &o));
}

static void test_killed(void) {
  int times = check_long() ? 500 : 25, seen = 0;
  char path[PATH_SIZE];
  NetProgram p = line_program;
  int64_t epoch = 0;
  p.epochs = 1000000;
  line_path(path, "killed.st");
  Child c = line_run_data(&line_program, "", "--quiet"); /* makes the data */
  child_free(&c);
  for (int i = 0; i < times; i++) {
    uint32_t random = philox_word(1, 2, 3, 4, (uint32_t)i);
    struct timespec t = {.tv_nsec = 1000000 + random % 9000000};
    pid_t pid = start(&p, path);
    int status = 0;
    nanosleep(&t, NULL);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    CU_ASSERT_TRUE(WIFSIGNALED(status));
    if (access(path, F_OK)) continue;
    seen++;
    check_that(is_checkpoint(path, &epoch), "killed %d: no checkpoint", i);
  }
  CU_ASSERT_TRUE(seen > 0);
}

/* ---- no memory ---- */

/* Each allocation of a run refused once: it is done all the same, or says so
 * and ends with 3. */
static int refused_at;
static void refuse(void) {
  faults_arm_memory(refused_at);
}

static void check_memory(const NetProgram *p, const char *options, int at) {
  refused_at = at;
  line_in_child = refuse;
  Child c = line_run_data(p, "", options);
  line_in_child = NULL;
  bool told = strstr(c.err, "memory") != NULL;
  check_that(c.status == 0 || (c.status == NET_RESOURCE && told),
             "%s: allocation %d: %d, '%s'", options, at, c.status, c.err);
  child_free(&c);
}

static void test_memory(void) {
  char path[PATH_SIZE], log[PATH_SIZE], again[1000], options[700];
  NetProgram p = line_program;
  p.keep.on = "train.loss";
  snprintf(options, sizeof options, "--quiet --threads 1 --checkpoint %s --log "
           "%s", line_path(path, "memory.st"), line_path(log, "log"));
  snprintf(again, sizeof again, "%s --resume %s --epochs 3", options, path);
  int most = 400, step = check_long() ? 1 : 3;
  for (int at = 0; FAULTS_MEMORY && at < most; at += step)
    check_memory(&p, options, at);
  Child c = line_run_data(&p, "", options);
  CU_ASSERT_EQUAL(c.status, 0);
  child_free(&c);
  for (int at = 0; FAULTS_MEMORY && at < most; at += step)
    check_memory(&p, again, at);
}

static const CheckTest tests[] = {
    {"each call that writes fails once", test_writing},
    {"in a training", test_training},
    {"killed at random moments", test_killed},
    {"each allocation fails once", test_memory},
    {NULL, NULL}};

void suite_faults(void);
void suite_faults(void) {
  check_suite("faults", tests);
}
