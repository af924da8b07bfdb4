/* Predictions for the rows of a file that the data's reader understands: a .npy
 * array of inputs, or the reader's own kind (cifar10: .bin records). One line a
 * row, its fields parted by tabs: the class, where there are classes, and then
 * the outputs in row-major order, in the shortest form that reads back. */
#include "runtime/run.h"

#include <stdlib.h>
#include <string.h>

static void print_row(const NetRun *r, int64_t row, FILE *out) {
  const NetFunction *f = &r->p->predict;
  const NetTensor *predicted = net_result(f, "predicted");
  const NetTensor *output = net_result(f, "output");
  char number[NET_NUMBER], buffer[24];
  const char *tab = "";
  if (predicted) {
    int32_t class;
    memcpy(&class, r->arena + predicted->offset + row * 4, sizeof class);
    fputs(data_class_name(r->data, class, buffer), out);
    tab = "\t";
  }
  int64_t n = output ? net_tensor_count(output) / f->batch : 0;
  for (int64_t i = 0; i < n; i++, tab = "\t") {
    double v = net_element(r->arena, output, row * n + i);
    fprintf(out, "%s%s", tab, net_number_f32((float)v, number));
  }
  putc('\n', out);
}

static int predict_rows(NetRun *r, FILE *out) {
  const NetFunction *f = &r->p->predict;
  DataError e = {0};
  int64_t n = r->data->split[DATA_TEST].rows;
  int64_t *rows = data_alloc(n, sizeof *rows, &e);
  if (!rows) return net_tell(r, &e);
  data_order(r->data, DATA_TEST, false, r->seed, 0, rows);
  int64_t at = 0;
  for (; at < n && !net_run_interrupted(); at += f->batch) {
    int64_t real = n - at < f->batch ? n - at : f->batch;
    data_fill(r->data, DATA_TEST, rows + at, real, f, r->arena);
    r->scalars->count = (double)real;
    f->run(r->arena, r->pool);
    for (int64_t i = 0; i < real; i++) print_row(r, i, out);
    net_progress_test(&r->progress, "predict", at + real, n);
  }
  free(rows);
  return at < n ? NET_INTERRUPTED : NET_DONE;
}

static int predict_into(NetRun *r, const char *path) {
  DataError e;
  FILE *out = path ? fopen(path, "we") : stdout;
  if (!out) {
    net_fail_errno(&e, path, "");
    return net_tell(r, &e);
  }
  int status = predict_rows(r, out);
  net_progress_clear(&r->progress);
  bool bad = fflush(out) || ferror(out);
  if (path && fclose(out)) bad = true;
  if (path && bad && !status) {
    net_fail_errno(&e, path, "cannot be written: ");
    return net_tell(r, &e);
  }
  return status;
}

int net_predict(const NetProgram *p, const NetOptions *o) {
  NetRun r;
  if (!o->file) {
    fprintf(stderr, "error: predict needs a FILE of inputs\n");
    return NET_USAGE;
  }
  int status = net_run_open(&r, p, o, NET_PREDICT);
  if (!status) {
    net_progress_init(&r.progress, o->quiet, 1, 1);
    net_run_listen();
    status = predict_into(&r, o->output);
    net_run_quiet();
  }
  net_run_close(&r);
  return net_flush_results(status);
}
