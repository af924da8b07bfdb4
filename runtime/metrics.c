/* The metrics of a program: numbers, and a table of counts, that evaluation
 * reports beside the loss. Each is a sum over rows, in double and in the order
 * of the rows, so that it depends on neither the batch nor the threads:
 *
 *   mean, root  the mean of metric.NAME, and its square root
 *   r2          1 - errors / spread: the spread of the targets around their
 *               means, column by column, by Welford's updates, since the
 *               textbook's difference of two sums cancels
 *   confusion   counts by label and prediction
 *
 * What of them is watched is watch.c's matter. */
#include "runtime/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 256 };

/* The result metric.NAME, or metric.NAME.PART; NULL: `evaluate` has none. */
static const NetTensor *result(const NetProgram *p, const NetMetric *m,
                               const char *part) {
  char name[NAME_SIZE];
  snprintf(name, sizeof name, "metric.%s%s", m->name, part);
  return net_result(&p->evaluate, name);
}

static bool by_row(const NetTensor *t) {
  return t && t->sample && (t->type == NET_F32 || t->type == NET_F64);
}

/* The classes that the program was compiled for; 0: it has none. */
static int64_t classes_of(const NetProgram *p) {
  const NetTensor *label =
      p->label ? net_input(&p->evaluate, p->label) : NULL;
  return label ? label->kind : 0;
}

static bool has_results(const NetProgram *p, const NetMetric *m) {
  switch ((NetMetricKind)m->kind) {
  case NET_MEAN:
  case NET_ROOT: return by_row(result(p, m, ""));
  case NET_R2:
    return by_row(result(p, m, ".error")) && by_row(result(p, m, ".target"));
  case NET_CONFUSION:
    return classes_of(p) && net_result(&p->evaluate, "predicted");
  }
  return false;
}

bool net_metrics_check(const NetProgram *p, DataError *e) {
  for (int32_t i = 0; p->evaluate.run && i < p->n_metrics; i++)
    if (!has_results(p, &p->metrics[i]))
      return data_fail(e, "the program's `evaluate` does not give what the "
                       "metric %s is made of", p->metrics[i].name);
  return true;
}

static bool init_spread(NetMetricSum *s, const NetTensor *target,
                        DataError *e) {
  s->columns = net_tensor_count(target) / target->dim[0];
  s->mean = data_alloc(s->columns, sizeof *s->mean, e);
  s->spread = data_alloc(s->columns, sizeof *s->spread, e);
  return s->mean && s->spread;
}

static bool init_confusion(NetTally *t, const NetProgram *p, DataError *e) {
  int64_t cells;
  t->side = classes_of(p);
  if (!data_product(t->side, t->side, &cells)) return data_no_memory(e);
  t->confusion = data_alloc(cells, sizeof *t->confusion, e);
  return t->confusion != NULL;
}

bool net_metrics_init(NetTally *t, const NetProgram *p, DataError *e) {
  t->metric = data_alloc(p->n_metrics, sizeof *t->metric, e);
  if (!t->metric) return false;
  t->n_metrics = p->n_metrics;
  for (int32_t i = 0; i < p->n_metrics; i++) {
    const NetMetric *m = &p->metrics[i];
    if (m->kind == NET_R2 &&
        !init_spread(&t->metric[i], result(p, m, ".target"), e))
      return false;
    if (m->kind == NET_CONFUSION && !t->confusion && !init_confusion(t, p, e))
      return false;
  }
  return true;
}

void net_metrics_free(NetTally *t) {
  for (int32_t i = 0; i < t->n_metrics; i++) {
    free(t->metric[i].mean);
    free(t->metric[i].spread);
  }
  free(t->metric);
  free(t->confusion);
}

/* ---- adding ---- */

static void add_values(NetMetricSum *s, const char *arena, const NetTensor *t,
                       int64_t n) {
  for (int64_t i = 0; i < n; i++) s->sum += net_element(arena, t, i);
}

/* Welford, "Note on a method for calculating corrected sums of squares and
 * products", Technometrics 1962. */
static void add_targets(NetMetricSum *s, const char *arena, const NetTensor *t,
                        int64_t n) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < s->columns; k++) {
      double x = net_element(arena, t, i * s->columns + k);
      double d = x - s->mean[k];
      s->mean[k] += d / (double)(s->rows + i + 1);
      s->spread[k] += d * (x - s->mean[k]);
    }
}

static void add_counts(NetTally *t, const NetProgram *p, const char *arena,
                       const int32_t *labels, const int64_t *rows, int64_t n) {
  const NetTensor *predicted = net_result(&p->evaluate, "predicted");
  for (int64_t i = 0; labels && i < n; i++) {
    int32_t class, label = labels[rows[i]];
    memcpy(&class, arena + predicted->offset + i * 4, sizeof class);
    if (label >= 0 && label < t->side && class >= 0 && class < t->side)
      t->confusion[label * t->side + class]++;
  }
}

void net_metrics_add(NetTally *t, const NetProgram *p, const char *arena,
                     const int32_t *labels, const int64_t *rows, int64_t n) {
  for (int32_t i = 0; i < t->n_metrics; i++) {
    const NetMetric *m = &p->metrics[i];
    NetMetricSum *s = &t->metric[i];
    switch ((NetMetricKind)m->kind) {
    case NET_MEAN:
    case NET_ROOT: add_values(s, arena, result(p, m, ""), n); break;
    case NET_R2:
      add_values(s, arena, result(p, m, ".error"), n);
      add_targets(s, arena, result(p, m, ".target"), n);
      break;
    case NET_CONFUSION: break; /* one table, however many ask for it */
    }
    s->rows += n;
  }
  if (t->confusion) add_counts(t, p, arena, labels, rows, n);
}

double net_metric(const NetProgram *p, const NetTally *t, int32_t i) {
  const NetMetricSum *s = &t->metric[i];
  double spread = 0, mean = s->sum / (double)s->rows;
  switch ((NetMetricKind)p->metrics[i].kind) {
  case NET_MEAN: return mean;
  case NET_ROOT: return sqrt(mean);
  case NET_R2:
    for (int64_t k = 0; k < s->columns; k++) spread += s->spread[k];
    return 1 - s->sum / spread;
  case NET_CONFUSION: break;
  }
  return (double)NAN;
}

/* ---- telling ---- */

const char *net_number_short(double v, char buffer[NET_NUMBER]) {
  bool small = fabs(v) < 0.01 && v != 0;
  snprintf(buffer, NET_NUMBER, small ? "%.4g" : fabs(v) < 1e6 ? "%.4f" : "%.7g",
           v);
  return buffer;
}

/* The columns that a text takes: its bytes but for UTF-8's following ones. */
static int width_of(const char *s) {
  int n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
  return n;
}

static void print_right(const char *s, int width) {
  printf("%*s%s", width - width_of(s), "", s);
}

static int wider(int a, int b) {
  return a > b ? a : b;
}

/* What column k needs: its class's name or the largest count. */
static int column_width(const Dataset *d, int64_t k, int64_t most) {
  char name[NET_NUMBER];
  return wider(width_of(data_class_name(d, k, name)),
               snprintf(NULL, 0, "%lld", (long long)most)) + 2;
}

static void print_confusion(const NetTally *t, const Dataset *d) {
  char name[NET_NUMBER];
  int width = 0;
  int64_t most = 0;
  for (int64_t i = 0; i < t->side * t->side; i++)
    if (t->confusion[i] > most) most = t->confusion[i];
  for (int64_t i = 0; i < t->side; i++)
    width = wider(width, width_of(data_class_name(d, i, name)));
  printf("Test confusion, a row for each label, a column for each prediction:"
         "\n%*s", width, "");
  for (int64_t k = 0; k < t->side; k++)
    print_right(data_class_name(d, k, name), column_width(d, k, most));
  putchar('\n');
  for (int64_t i = 0; i < t->side; i++) {
    print_right(data_class_name(d, i, name), width);
    for (int64_t k = 0; k < t->side; k++)
      printf("%*lld", column_width(d, k, most),
             (long long)t->confusion[i * t->side + k]);
    putchar('\n');
  }
}

void net_metrics_print(const NetProgram *p, const NetTally *t,
                       const Dataset *d) {
  char number[NET_NUMBER];
  for (int32_t i = 0; i < t->n_metrics; i++) {
    const NetMetric *m = &p->metrics[i];
    if (m->kind == NET_CONFUSION) print_confusion(t, d);
    else
      printf("Test %s: %s\n", m->name,
             net_number_short(net_metric(p, t, i), number));
  }
}

static void log_confusion(FILE *f, const NetTally *t) {
  for (int64_t i = 0; i < t->side; i++) {
    fputs(i ? ", [" : "[[", f);
    for (int64_t k = 0; k < t->side; k++)
      fprintf(f, "%s%lld", k ? ", " : "",
              (long long)t->confusion[i * t->side + k]);
    putc(']', f);
  }
  putc(']', f);
}

void net_metrics_log(FILE *f, const NetProgram *p, const NetTally *t) {
  char number[NET_NUMBER];
  if (!t->n_metrics) return;
  fputs(", \"metrics\": {", f);
  for (int32_t i = 0; i < t->n_metrics; i++) {
    if (i) fputs(", ", f);
    net_json_string(f, p->metrics[i].name);
    fputs(": ", f);
    if (p->metrics[i].kind == NET_CONFUSION) log_confusion(f, t);
    else fputs(net_number(net_metric(p, t, i), number), f);
  }
  putc('}', f);
}
