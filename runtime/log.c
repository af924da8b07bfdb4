/* The log of a run: JSON, one object a line, one line at each print interval
 * of training, at the end of each epoch for the batches that no interval has
 * told of, and for each pass over another split. A line is out before the run
 * goes on, so a log can be watched, and of a run that dies only the line that
 * was being written is lost.
 *
 * {"step": 1999, "epoch": 0, "split": "train", "loss": 2.2,
 *  "penalty": {"l1": 0.5}, "penalty_total": 0.5, "total": 2.7,
 *  "accuracy": 0.17, "lr": 0.001}
 *
 * Lines of other splits have no penalties, and "metrics": {"mae": 0.2} where the
 * program has metrics. A run that is resumed goes on in the log of the run that
 * was stopped: what that wrote behind its checkpoint is cut off first.
 *
 * `step` is that of the last update, from 0, and `epoch` counts from 0 too. */
#include "runtime/run.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the first `bytes` of the file end where a line does. */
static bool cut_at_line(FILE *f, int64_t bytes, int64_t size) {
  if (!bytes) return true;
  return size >= bytes && !fseeko(f, (off_t)bytes - 1, SEEK_SET) &&
         getc(f) == '\n';
}

/* What is no regular file (a terminal, a pipe) is written as it comes. */
static bool cut(FILE *f, int64_t bytes) {
  struct stat s;
  if (fstat(fileno(f), &s)) return false;
  if (!S_ISREG(s.st_mode)) return true;
  bool whole = !cut_at_line(f, bytes, s.st_size);
  int64_t end = whole ? s.st_size : bytes;
  return !fseeko(f, (off_t)end, SEEK_SET) && !ftruncate(fileno(f), (off_t)end);
}

bool net_log_open(NetLog *l, const char *path, int64_t bytes, DataError *e) {
  *l = (NetLog){.path = path};
  if (!path) return true;
  if (bytes) l->file = fopen(path, "r+e");
  if (!l->file) l->file = fopen(path, "we");
  if (l->file && (!bytes || cut(l->file, bytes))) return true;
  return net_fail_errno(e, path, "");
}

int64_t net_log_bytes(const NetLog *l) {
  off_t at = l->file ? ftello(l->file) : 0;
  return at > 0 ? at : 0;
}

static void pair(FILE *f, const char *key, double v) {
  char number[NET_NUMBER];
  fprintf(f, ", \"%s\": %s", key, net_number(v, number));
}

static void penalties(FILE *f, const NetRecord *r) {
  char number[NET_NUMBER];
  double sum = 0;
  fputs(", \"penalty\": {", f);
  for (int i = 0; i < r->n_penalties; i++) {
    if (i) fputs(", ", f);
    net_json_string(f, r->names[i]);
    fprintf(f, ": %s", net_number(r->penalties[i], number));
    sum += r->penalties[i];
  }
  putc('}', f);
  pair(f, "penalty_total", sum);
  pair(f, "total", r->total);
}

void net_log_write(NetLog *l, const NetRecord *r) {
  FILE *f = l->file;
  if (!f) return;
  fprintf(f, "{\"step\": %lld, \"epoch\": %lld, \"split\": \"%s\"",
          (long long)r->step, (long long)r->epoch, r->split);
  pair(f, "loss", r->loss);
  if (r->has_penalty) penalties(f, r);
  if (r->accuracy >= 0) pair(f, "accuracy", r->accuracy);
  if (!isnan(r->lr)) pair(f, "lr", r->lr);
  if (r->tally) net_metrics_log(f, r->program, r->tally);
  fputs("}\n", f);
  if (!fflush(f) && !ferror(f)) return;
  fprintf(stderr, "error: %s: cannot be written: %s; the run goes on without "
          "it\n", l->path, strerror(errno));
  l->failed = true;
  fclose(f);
  l->file = NULL;
}

bool net_log_close(NetLog *l) {
  if (l->file) fclose(l->file);
  l->file = NULL;
  return !l->failed;
}
