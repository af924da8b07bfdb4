/* What standard error shows while a run goes on: on a terminal one line that is
 * drawn again, ten times a second at most; elsewhere a line at the end of each
 * epoch, and one a minute within a long one. Results are not shown here. */
#include "runtime/run.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double REDRAW = 0.1, LINE = 60; /* seconds */

double net_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void net_progress_init(NetProgress *g, bool quiet, int64_t epochs,
                       int64_t batches) {
  *g = (NetProgress){.on = !quiet,
                     .terminal = isatty(STDERR_FILENO) == 1,
                     .start = net_seconds(),
                     .epochs = epochs,
                     .batches = batches,
                     .validation = (double)NAN};
  g->last = g->start;
}

/* 1:02:03, or 2:03 */
static void time_text(char *to, size_t size, double seconds) {
  long long s = seconds < 0 || seconds > 1e9 ? 0 : (long long)seconds;
  if (s >= 3600)
    snprintf(to, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    snprintf(to, size, "%lld:%02lld", s / 60, s % 60);
}

static void place_text(const NetProgress *g, const NetPlace *at, char *to,
                       size_t size) {
  char left[32], accuracy[48] = "", validation[48] = "";
  double spent = net_seconds() - g->start;
  double at_all = (double)(at->epoch * g->batches + at->batch);
  double done = at_all - g->done_before;
  double rest = (double)(g->epochs * g->batches) - at_all;
  double samples = (double)(at->samples - g->samples_before);
  time_text(left, sizeof left, done > 0 ? spent / done * rest : 0);
  if (at->accuracy >= 0)
    snprintf(accuracy, sizeof accuracy, ", accuracy %.1f %%",
             100 * at->accuracy);
  if (!isnan(g->validation))
    snprintf(validation, sizeof validation, ", validation loss %.3f",
             g->validation);
  snprintf(to, size,
           "epoch %lld/%lld, %3lld %%: loss %.3f%s%s, %.0f samples/s, %s left",
           (long long)at->epoch + 1, (long long)g->epochs,
           (long long)(100 * at->batch / g->batches), at->loss, accuracy,
           validation, spent > 0 ? samples / spent : 0, left);
}

/* Draws over the line that stands there, cut to the terminal's width: a line
 * that wraps could not be drawn over. */
static void draw(NetProgress *g, const char *text) {
  struct winsize w;
  int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) || !w.ws_col
                    ? 80 : w.ws_col;
  fprintf(stderr, "\r%.*s\x1b[K", columns - 1, text);
  fflush(stderr);
  g->drawn = true;
}

static bool due(NetProgress *g) {
  double t = net_seconds();
  if (t - g->last < (g->terminal ? REDRAW : LINE)) return false;
  g->last = t;
  return true;
}

static void show(NetProgress *g, const NetPlace *at) {
  char text[320];
  place_text(g, at, text, sizeof text);
  if (g->terminal) draw(g, text);
  else fprintf(stderr, "%s\n", text);
}

void net_progress_step(NetProgress *g, const NetPlace *at) {
  if (g->on && due(g)) show(g, at);
}

void net_progress_epoch(NetProgress *g, const NetPlace *at) {
  if (!g->on) return;
  g->last = net_seconds();
  show(g, at);
}

void net_progress_test(NetProgress *g, const char *split, int64_t done,
                       int64_t rows) {
  char text[64];
  if (!g->on || !g->terminal || !due(g)) return;
  snprintf(text, sizeof text, "%s, %3lld %%", split,
           (long long)(100 * done / rows));
  draw(g, text);
}

void net_progress_clear(NetProgress *g) {
  if (!g->drawn) return;
  fputs("\r\x1b[K", stderr);
  fflush(stderr);
  g->drawn = false;
}
