/* Sizes and elements of the tensors that a program describes, and finding them
 * by name. Reads tables and the arena; changes nothing. */
#include "runtime/run.h"

#include <math.h>
#include <string.h>

int64_t net_type_size(int32_t type) {
  static const int64_t bytes[] = {
      [NET_F32] = 4, [NET_F64] = 8, [NET_I32] = 4, [NET_U32] = 4, [NET_I1] = 1};
  return bytes[type];
}

int64_t net_tensor_count(const NetTensor *t) {
  int64_t count = 1;
  for (int32_t i = 0; i < t->rank; i++) count *= t->dim[i];
  return count;
}

static const NetTensor *find(const NetTensor *t, int32_t n, const char *name) {
  for (int32_t i = 0; i < n; i++)
    if (!strcmp(t[i].name, name)) return &t[i];
  return NULL;
}

const NetTensor *net_result(const NetFunction *f, const char *name) {
  return find(f->results, f->n_results, name);
}

const NetTensor *net_input(const NetFunction *f, const char *name) {
  return find(f->inputs, f->n_inputs, name);
}

double net_element(const char *arena, const NetTensor *t, int64_t i) {
  const char *at = arena + t->offset + i * net_type_size(t->type);
  float f;
  double d;
  if (t->type == NET_F32) {
    memcpy(&f, at, sizeof f);
    return (double)f;
  }
  if (t->type != NET_F64) return (double)NAN;
  memcpy(&d, at, sizeof d);
  return d;
}
