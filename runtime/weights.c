/* The weights of a program on disk: its parameters and layer states as tensors
 * of a safetensors file, by their names. A file fits only as a whole: every
 * variable is there with its type and shape, and nothing else is. What a file
 * has to be like is safetensors.c's matter. */
#include "runtime/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool saved(const NetTensor *v) {
  return v->kind != NET_OPTIMIZER_STATE;
}

static bool all_finite(const NetTensor *v, const char *arena) {
  if (v->type != NET_F32 && v->type != NET_F64) return true;
  int64_t n = net_tensor_count(v);
  for (int64_t i = 0; i < n; i++)
    if (!isfinite(net_element(arena, v, i))) return false;
  return true;
}

bool net_weights_save(const NetProgram *p, const char *arena, const char *path,
                      DataError *e) {
  int64_t n = 0;
  NetSafeTensor *list = data_alloc(p->n_vars, sizeof *list, e);
  if (!list) return false;
  for (int32_t i = 0; i < p->n_vars; i++) {
    const NetTensor *v = &p->vars[i];
    if (!saved(v)) continue;
    if (!all_finite(v, arena)) {
      free(list);
      return data_fail(e, "%s: not written, since %s holds a value that is not "
                       "finite", path, v->name);
    }
    NetSafeTensor *t = &list[n++];
    *t = (NetSafeTensor){.name = v->name,
                         .type = v->type,
                         .rank = v->rank,
                         .bytes = net_tensor_count(v) * net_type_size(v->type),
                         .data = arena + v->offset};
    memcpy(t->dim, v->dim, sizeof t->dim);
  }
  bool good = net_safe_write(path, list, n, e);
  free(list);
  return good;
}

/* [6,3,5,5] */
static void shape_text(char *to, size_t size, int32_t rank,
                       const int64_t *dim) {
  size_t at = (size_t)snprintf(to, size, "[");
  for (int32_t i = 0; i < rank && at < size; i++)
    at += (size_t)snprintf(to + at, size - at, "%s%lld", i ? "," : "",
                           (long long)dim[i]);
  if (at < size) snprintf(to + at, size - at, "]");
}

/* Names in the file that the program has not, a few of them, each with the
 * nearest that it has. */
static bool check_names(const NetProgram *p, const NetSafeFile *f,
                        const char *path, DataError *e) {
  enum { TOLD = 4 };
  char list[512] = "";
  size_t at = 0;
  int64_t unknown = 0, n = 0;
  const char **names = data_alloc(p->n_vars, sizeof *names, e);
  if (!names) return false;
  for (int32_t i = 0; i < p->n_vars; i++)
    if (saved(&p->vars[i])) names[n++] = p->vars[i].name;
  for (int64_t i = 0; i < f->n; i++) {
    bool known = false;
    const char *name = f->tensor[i].name;
    for (int64_t k = 0; k < n && !known; k++) known = !strcmp(name, names[k]);
    if (known || unknown++ >= TOLD || at >= sizeof list) continue;
    const char *near = net_nearest(name, names, n);
    at += (size_t)snprintf(list + at, sizeof list - at, "%s%s%s%s%s",
                           at ? ", " : "", name, near ? " (near " : "",
                           near ? near : "", near ? ")" : "");
  }
  free(names);
  if (!unknown) return true;
  return data_fail(e, "%s: %lld tensor%s that the program does not have: %s%s",
                   path, (long long)unknown, unknown > 1 ? "s" : "", list,
                   unknown > TOLD ? ", .." : "");
}

static bool check_variable(const NetTensor *v, const NetSafeFile *f,
                           const char *path, DataError *e) {
  char have[160], want[160];
  const NetSafeTensor *t = net_safe_find(f, v->name);
  if (!t)
    return data_fail(e, "%s: no %s, which the program needs", path, v->name);
  if (t->type != v->type)
    return data_fail(e, "%s: %s is of type %s, which is not the program's",
                     path, v->name, t->type_name);
  if (t->rank == v->rank &&
      !memcmp(t->dim, v->dim, sizeof *v->dim * (size_t)v->rank))
    return true;
  shape_text(have, sizeof have, t->rank, t->dim);
  shape_text(want, sizeof want, v->rank, v->dim);
  return data_fail(e, "%s: %s is %s, but the program's is %s", path, v->name,
                   have, want);
}

/* Compiled code relies on an i1 being 0 or 1. */
static bool check_bits(const NetTensor *v, const char *at, const char *path,
                       DataError *e) {
  if (v->type != NET_I1) return true;
  int64_t n = net_tensor_count(v);
  for (int64_t i = 0; i < n; i++)
    if (at[i] != 0 && at[i] != 1)
      return data_fail(e, "%s: %s holds %d, which is neither 0 nor 1", path,
                       v->name, at[i]);
  return true;
}

/* Reads all into memory of its own first: the file may end early after all. */
static bool read_all(const NetProgram *p, char *arena, const NetSafeFile *f,
                     const char *path, DataError *e) {
  int64_t total = 0, at = 0;
  for (int64_t i = 0; i < f->n; i++) total += f->tensor[i].bytes;
  char *all = data_alloc(total, 1, e);
  bool good = all != NULL;
  for (int32_t i = 0; good && i < p->n_vars; i++) {
    const NetTensor *v = &p->vars[i];
    if (!saved(v)) continue;
    const NetSafeTensor *t = net_safe_find(f, v->name);
    good = net_safe_read(f, t, all + at, path, e) &&
           check_bits(v, all + at, path, e);
    at += t->bytes;
  }
  at = 0;
  for (int32_t i = 0; good && i < p->n_vars; i++) {
    const NetTensor *v = &p->vars[i];
    if (!saved(v)) continue;
    int64_t bytes = net_tensor_count(v) * net_type_size(v->type);
    memcpy(arena + v->offset, all + at, (size_t)bytes);
    at += bytes;
  }
  free(all);
  return good;
}

bool net_weights_load(const NetProgram *p, char *arena, const char *path,
                      DataError *e) {
  NetSafeFile f;
  if (!net_safe_open(&f, path, e)) return false;
  bool good = check_names(p, &f, path, e);
  for (int32_t i = 0; good && i < p->n_vars; i++)
    if (saved(&p->vars[i])) good = check_variable(&p->vars[i], &f, path, e);
  good = good && read_all(p, arena, &f, path, e);
  net_safe_close(&f);
  return good;
}
