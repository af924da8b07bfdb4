/* Small texts: numbers in their shortest form, JSON strings, the nearest of a
 * list of names, for "did you mean", and what the system says is wrong. */
#include "runtime/run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *net_number(double v, char buffer[NET_NUMBER]) {
  if (!isfinite(v)) return "null";
  /* Fifteen digits print every shorter number as it is, so the first of these
   * that reads back is the shortest. */
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(buffer, NET_NUMBER, "%.*g", digits, v);
    if (strtod(buffer, NULL) == v) break;
  }
  return buffer;
}

const char *net_number_f32(float v, char buffer[NET_NUMBER]) {
  if (isnan(v)) return "nan";
  if (isinf(v)) return v > 0 ? "inf" : "-inf";
  for (int digits = 6; digits <= 9; digits++) {
    snprintf(buffer, NET_NUMBER, "%.*g", digits, (double)v);
    if (strtof(buffer, NULL) == v) break;
  }
  return buffer;
}

/* Levenshtein's distance; names longer than the row count as far away. */
static int64_t distance(const char *a, const char *b) {
  enum { LONGEST = 255 };
  size_t n = strlen(a), m = strlen(b);
  int64_t row[LONGEST + 1];
  if (n > LONGEST || m > LONGEST) return LONGEST;
  for (size_t j = 0; j <= m; j++) row[j] = (int64_t)j;
  for (size_t i = 1; i <= n; i++) {
    int64_t corner = row[0];
    row[0] = (int64_t)i;
    for (size_t j = 1; j <= m; j++) {
      int64_t best = corner + (a[i - 1] != b[j - 1]);
      corner = row[j];
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[m];
}

const char *net_nearest(const char *name, const char *const *names,
                        int64_t n) {
  const char *best = NULL;
  int64_t least = (int64_t)strlen(name) / 3 + 2; /* nothing beyond is near */
  for (int64_t i = 0; i < n; i++) {
    int64_t d = distance(name, names[i]);
    if (d >= least) continue;
    least = d;
    best = names[i];
  }
  return best;
}

static bool out_of_resource(void) {
  static const int resources[] = {ENOMEM, ENOSPC, EDQUOT, EIO, EMFILE, ENFILE};
  for (size_t i = 0; i < sizeof resources / sizeof *resources; i++)
    if (errno == resources[i]) return true;
  return false;
}

bool net_fail_errno(DataError *e, const char *path, const char *what) {
  bool resource = out_of_resource();
  data_fail(e, "%s: %s%s", path, what, strerror(errno));
  if (resource) e->status = NET_RESOURCE;
  return false;
}

void net_json_string(FILE *f, const char *s) {
  putc('"', f);
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') fprintf(f, "\\%c", c);
    else if (c < 0x20) fprintf(f, "\\u%04x", c);
    else putc(c, f);
  }
  putc('"', f);
}
