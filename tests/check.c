/* The helpers of the tests: see check.h. Commands are started with posix_spawn
 * and write to files, so that no pipe can fill up; a command that does not end
 * is killed and reported with status 124, as timeout(1) does. */
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/TestRun.h>

extern char **environ;

bool check_that(bool ok, const char *format, ...) {
  char message[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  CU_assertImplementation(ok, 0, message, "check", "", CU_FALSE);
  return ok;
}

const char *check_netc(void) {
  return BUILD "/netc";
}

bool check_long(void) {
  return getenv("NETC_LONG") != NULL;
}

/* Not in a child that a test forks and that exits. */
static void remove_tmp(void) {
  static pid_t owner;
  owner = owner ? owner : getpid();
  if (owner != getpid())
    return;
  const char *const argv[] = {"rm", "-rf", check_tmp(), NULL};
  pid_t pid;
  if (!posix_spawnp(&pid, "rm", NULL, NULL, (char *const *)argv, environ))
    waitpid(pid, NULL, 0);
}

const char *check_tmp(void) {
  static char path[64];
  if (!path[0]) {
    snprintf(path, sizeof path, BUILD "/tmp-%ld", (long)getpid());
    atexit(remove_tmp);
  }
  return path;
}

/* Each suite finds its folder empty, and no objects from before. */
static int empty_tmp(void) {
  remove_tmp();
  return mkdir(check_tmp(), 0700) | setenv("NETC_CACHE", check_path("cache"), 1);
}

void check_suite(const char *name, const CheckTest *tests) {
  CU_pSuite suite = CU_add_suite(name, empty_tmp, NULL);
  for (const CheckTest *t = tests; suite && t->name; t++)
    if (!CU_add_test(suite, t->name, t->run))
      suite = NULL;
  if (!suite) {
    fprintf(stderr, "check: %s\n", CU_get_error_msg());
    exit(3);
  }
}

const char *check_path(const char *name) {
  static char paths[8][256];
  static unsigned turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", check_tmp(), name);
  return path;
}

char *check_read(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f)
    return NULL;
  size_t n = 0, capacity = 4096;
  char *s = malloc(capacity + 1);
  for (size_t got; s && (got = fread(s + n, 1, capacity - n, f)) > 0;) {
    n += got;
    if (n == capacity) {
      char *more = realloc(s, (capacity *= 2) + 1);
      if (!more)
        free(s);
      s = more;
    }
  }
  fclose(f);
  if (s)
    s[n] = 0;
  if (size)
    *size = n;
  return s;
}

bool check_write(const char *path, const void *data, size_t size) {
  FILE *f = fopen(path, "wb");
  if (!f)
    return false;
  bool ok = fwrite(data, 1, size, f) == size;
  return !fclose(f) && ok;
}

/* Words with characters that a shell would take for its own are quoted. */
static char *command_line(const char *const *argv) {
  size_t size = 1;
  for (int i = 0; argv[i]; i++)
    size += strlen(argv[i]) + 3;
  char *line = calloc(1, size), *p = line;
  for (int i = 0; line && argv[i]; i++) {
    const char *quote = strpbrk(argv[i], " ();*&|<>\"$") ? "'" : "";
    p += sprintf(p, "%s%s%s%s", i ? " " : "", quote, argv[i], quote);
  }
  return line;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Waits, asking ever less often: a tenth of a millisecond, then up to ten. */
static int wait_for(pid_t pid, int seconds) {
  double end = now() + seconds;
  for (long pause = 100000;; pause = pause < 8000000 ? pause * 2 : pause) {
    int status;
    pid_t got = waitpid(pid, &status, WNOHANG);
    if (got == pid)
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (got < 0 && errno != EINTR)
      return 127;
    if (now() > end) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return 124;
    }
    nanosleep(&(struct timespec){0, pause}, NULL);
  }
}

Run check_run(int seconds, const char *const *argv) {
  char out[256], err[256];
  snprintf(out, sizeof out, "%s/stdout", check_tmp());
  snprintf(err, sizeof err, "%s/stderr", check_tmp());
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  int flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, out, flags, 0600);
  posix_spawn_file_actions_addopen(&files, 2, err, flags, 0600);
  Run r = {.status = 127, .command = command_line(argv)};
  pid_t pid;
  if (!posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)argv, environ))
    r.status = wait_for(pid, seconds);
  posix_spawn_file_actions_destroy(&files);
  r.out = check_read(out, NULL);
  r.err = check_read(err, NULL);
  if (!r.out)
    r.out = calloc(1, 1);
  if (!r.err)
    r.err = calloc(1, 1);
  if (!r.out || !r.err || !r.command)
    exit(3);
  return r;
}

void run_free(Run *r) {
  free(r->out);
  free(r->err);
  free(r->command);
  *r = (Run){0};
}

void check_train(const char *const *words, const char *log, const char *save) {
  const char *argv[CHECK_ARGS];
  const char *const rest[] = {"--print-every", "1", "--log", log, "--save", save,
                              "--quiet", NULL};
  int n = 0;
  for (; words[n]; n++)
    argv[n] = words[n];
  memcpy(&argv[n], rest, sizeof rest);
  Run r = check_run(120, argv);
  check_that(!r.status, "%s: exit %d\n%.300s", r.command, r.status, r.err);
  run_free(&r);
}

void check_same_files(const char *a, const char *b) {
  size_t n = 0, m = 0;
  char *x = check_read(a, &n), *y = check_read(b, &m);
  check_that(x && y && n > 0 && n == m && !memcmp(x, y, n), "%s and %s differ",
             a, b);
  free(x);
  free(y);
}
