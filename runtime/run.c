/* A run: a program with its arena, its data, its threads and its first weights.
 * Opening it does everything that can fail before step 1, the cheapest checks
 * first. Ctrl-C is here too. What is done with a run is in train.c, test.c and
 * predict.c. */
#include "runtime/run.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Ctrl-C ---- */

/* The one thing that a signal handler can reach is a global. */
static volatile sig_atomic_t interrupts;

static void on_interrupt(int signal) {
  (void)signal;
  if (interrupts++) _exit(NET_INTERRUPTED);
}

/* What asks a run to stop: Ctrl-C, and what a machine that shuts down sends. */
static const int asks[] = {SIGINT, SIGTERM};
enum { ASKS = sizeof asks / sizeof *asks };

/* `before`: how many of them count as done; one more than none ends at once. */
static void hear(sig_atomic_t before) {
  struct sigaction a = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
  sigemptyset(&a.sa_mask);
  interrupts = before;
  for (int i = 0; i < ASKS; i++) sigaction(asks[i], &a, NULL);
}

void net_run_listen(void) {
  hear(0);
}

void net_run_quiet(void) {
  for (int i = 0; i < ASKS; i++) signal(asks[i], SIG_DFL);
}

bool net_run_interrupted(void) {
  return interrupts != 0;
}

/* ---- messages ---- */

int net_tell(NetRun *r, const DataError *e) {
  net_progress_clear(&r->progress);
  fprintf(stderr, "error: %s\n", e->text);
  return e->status;
}

int net_flush_results(int status) {
  if (!fflush(stdout) && !ferror(stdout)) return status;
  fprintf(stderr, "error: standard output: cannot be written\n");
  return status ? status : NET_RESOURCE;
}

static bool no_resource(DataError *e) {
  e->status = NET_RESOURCE;
  return false;
}

/* ---- the arena ---- */

/* The limit on this process's group, less what the group uses already; a great
 * many where there is none ("max") or the system has no such groups. */
static int64_t group_memory(void) {
  static const char *const path[] = {"/sys/fs/cgroup/memory.max",
                                     "/sys/fs/cgroup/memory.current"};
  long long n[2] = {INT64_MAX, 0};
  for (int i = 0; i < 2; i++) {
    FILE *f = fopen(path[i], "re");
    if (!f || fscanf(f, "%lld", &n[i]) != 1) n[0] = INT64_MAX;
    if (f) fclose(f);
  }
  return n[0] == INT64_MAX ? INT64_MAX : n[0] > n[1] ? n[0] - n[1] : 0;
}

/* Bytes that the system can give, or a great many where it does not say. */
static int64_t free_memory(void) {
  int64_t free = INT64_MAX, swap = 0;
  long long kb;
  char line[128];
  struct rlimit limit;
  FILE *f = fopen("/proc/meminfo", "re");
  while (f && fgets(line, sizeof line, f)) {
    if (sscanf(line, "MemAvailable: %lld kB", &kb) == 1) free = kb * 1024;
    if (sscanf(line, "SwapFree: %lld kB", &kb) == 1) swap = kb * 1024;
  }
  if (f) fclose(f);
  if (free < INT64_MAX) free += swap;
  int64_t group = group_memory();
  if (group < free) free = group;
  if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur < (rlim_t)free)
    free = (int64_t)limit.rlim_cur;
  return free;
}

/* The arena is variables, scalars, and then what grows with the batch. */
static bool too_large(const NetProgram *p, int64_t have, DataError *e) {
  int64_t each = (p->arena_bytes - p->scalars) / (p->batch ? p->batch : 1);
  int64_t fits = have > p->scalars && each ? (have - p->scalars) / each : 0;
  char advice[64] = "";
  if (fits > 0 && fits < p->batch)
    snprintf(advice, sizeof advice, "; a batch of %lld would fit",
             (long long)fits);
  data_fail(e, "the program needs %.1f MB of memory, and %.1f MB are free%s",
            (double)p->arena_bytes / 1e6, (double)have / 1e6, advice);
  return no_resource(e);
}

/* Pages from the system are zero, aligned, and cost nothing until touched. */
static bool make_arena(NetRun *r, DataError *e) {
  const NetProgram *p = r->p;
  int64_t have = free_memory();
  if (p->arena_bytes > have) return too_large(p, have, e);
  void *arena = mmap(NULL, (size_t)p->arena_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (arena == MAP_FAILED) return too_large(p, have, e);
  r->arena = arena;
  r->scalars = (NetScalars *)(void *)(r->arena + p->scalars);
  return true;
}

/* ---- opening ---- */

static const NetFunction *function_of(const NetProgram *p, NetCommand command) {
  return command == NET_TRAIN ? &p->train
       : command == NET_TEST  ? &p->evaluate
                              : &p->predict;
}

static bool check_program(const NetProgram *p, NetCommand command,
                          DataError *e) {
  static const char *const what[] = {
      [NET_TRAIN] = "train", [NET_TEST] = "evaluate", [NET_PREDICT] = "predict"};
  if (p->abi != NET_ABI)
    return data_fail(e, "%s was compiled for version %d of the runtime, and "
                     "this is version %d: build it again", p->name, p->abi,
                     NET_ABI);
  if (!function_of(p, command)->run)
    return data_fail(e, "%s has no function `%s`", p->name, what[command]);
  return command == NET_PREDICT || net_metrics_check(p, e);
}

/* A path that cannot be written is better known before an hour of training. */
static bool check_save(const char *path, DataError *e) {
  struct stat s;
  if (!path) return true;
  if (!stat(path, &s) && !S_ISREG(s.st_mode))
    return data_fail(e, "%s: not a regular file; not written over", path);
  char *folder = strdup(path);
  if (!folder) return data_no_memory(e);
  char *slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = 0;
  bool good = !access(slash ? folder : ".", W_OK | X_OK) ||
              net_fail_errno(e, path, "cannot be written: ");
  free(folder);
  return good;
}

static bool open_data(NetRun *r, NetCommand command, DataError *e) {
  const NetProgram *p = r->p;
  const NetOptions *o = r->o;
  int status = command == NET_PREDICT
    ? data_open_file(&r->data, &p->data, o->data, o->file, r->seed, e)
    : data_open(&r->data, &p->data, o->data, r->seed, e);
  if (status || !data_fits(r->data, function_of(p, command), e)) return false;
  return command != NET_TRAIN || !p->evaluate.run ||
         data_fits(r->data, &p->evaluate, e);
}

/* --init is taken as the program's own `init` is; only a training may leave
 * weights at their first values. */
static bool load_weights(NetRun *r, const char *file, bool part,
                         DataError *e) {
  char left[NET_TOLD] = "";
  if (!net_weights_start(r->p, r->arena, file, &r->p->init, part, left, e))
    return false;
  if (*left && !r->o->quiet)
    fprintf(stderr, "note: %s does not have, and so left as they were: %s\n",
            file, left);
  return true;
}

/* The first weights: the program's own, then those of a file. Those of a
 * checkpoint come later, with all else that it holds. */
static bool first_weights(NetRun *r, NetCommand command, DataError *e) {
  const NetProgram *p = r->p;
  const char *file = r->o->init ? r->o->init : p->init.file;
  *r->scalars = (NetScalars){.count = (double)p->batch, .seed = r->seed};
  if (p->init_fn.run) p->init_fn.run(r->arena, r->pool);
  return !file || r->resume.path ||
         load_weights(r, file, command == NET_TRAIN && p->init.part, e);
}

static int check_use(const NetProgram *p, const NetOptions *o,
                     NetCommand command) {
  if (!net_options_reach(o, command)) return NET_USAGE;
  if (command != NET_TRAIN && !o->init && !p->init.file) {
    fprintf(stderr, "error: needs weights: --init FILE\n");
    return NET_USAGE;
  }
  if (o->resume && o->init) {
    fprintf(stderr, "error: --resume goes on with the weights of its file; "
            "--init means nothing beside it\n");
    return NET_USAGE;
  }
  if (o->save && o->checkpoint && !strcmp(o->save, o->checkpoint)) {
    fprintf(stderr, "error: --save and --checkpoint need two files\n");
    return NET_USAGE;
  }
  return NET_DONE;
}

int net_run_open(NetRun *r, const NetProgram *p, const NetOptions *o,
                 NetCommand command) {
  DataError e = {0};
  *r = (NetRun){.p = p, .o = o, .seed = o->has_seed ? o->seed : p->seed};
  int status = check_use(p, o, command);
  if (status) return status;
  hear(1); /* before step 1 there is nothing to lose */
  if (!check_program(p, command, &e) || !check_save(o->save, &e) ||
      !check_save(o->checkpoint, &e) ||
      (o->resume && !net_checkpoint_open(r, o->resume, &e)) ||
      !make_arena(r, &e) || !open_data(r, command, &e))
    return net_tell(r, &e);
  r->checked = net_seconds();
  r->pool = net_pool_new(o->threads);
  if (!first_weights(r, command, &e) ||
      !net_log_open(&r->log, o->log, r->resume.state.log_bytes, &e))
    return net_tell(r, &e);
  return NET_DONE;
}

void net_run_close(NetRun *r) {
  net_run_quiet();
  net_progress_clear(&r->progress);
  net_log_close(&r->log);
  net_pool_free(r->pool);
  data_close(r->data);
  if (r->resume.path) net_safe_close(&r->resume.file);
  if (r->arena) munmap(r->arena, (size_t)r->p->arena_bytes);
  *r = (NetRun){0};
}
