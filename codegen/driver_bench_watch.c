/* The watch of `netc bench`. Where one thread works, its processor time is looked
 * at as well as the clock, and the less counts: on a machine that has other work
 * to do the clock tells of that. The processor's time takes longer to ask for, so
 * short times, of which some pass undisturbed, are the clock's alone. What asking
 * takes is measured and taken off. */
#include "codegen/driver_bench.h"

#include <time.h>

enum { EMPTY_TRIES = 200 };
#define SHORT_MS 1.0

static double read_ms(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

void stopwatch_start(Stopwatch *w) {
  if (w->alone) w->processor = read_ms(CLOCK_PROCESS_CPUTIME_ID);
  w->wall = read_ms(CLOCK_MONOTONIC);
}

static void stop(const Stopwatch *w, double *wall, double *processor) {
  *wall = read_ms(CLOCK_MONOTONIC) - w->wall;
  *processor =
      w->alone ? read_ms(CLOCK_PROCESS_CPUTIME_ID) - w->processor : *wall;
}

double stopwatch_stop(const Stopwatch *w) {
  double wall, processor;
  stop(w, &wall, &processor);
  wall -= w->wall_empty;
  processor -= w->processor_empty;
  double ms = wall < SHORT_MS || wall < processor ? wall : processor;
  return ms > 0 ? ms : 0;
}

Stopwatch stopwatch_new(bool alone) {
  Stopwatch w = {.alone = alone, .wall_empty = 1e9, .processor_empty = 1e9};
  for (int i = 0; i < EMPTY_TRIES; i++) {
    double wall, processor;
    stopwatch_start(&w);
    stop(&w, &wall, &processor);
    if (wall < w.wall_empty) w.wall_empty = wall;
    if (processor < w.processor_empty) w.processor_empty = processor;
  }
  return w;
}
