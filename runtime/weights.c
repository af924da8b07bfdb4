/* The weights of a program on disk: its parameters and layer states as tensors
 * of a safetensors file. A file fits only as a whole: every variable is there
 * with its type and shape, and nothing else is, unless the program asks for a
 * part. Which tensor is whose is names.c's matter, what a file has to be like
 * safetensors.c's. */
#include "runtime/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool net_is_weight(const NetTensor *v) {
  return v->kind != NET_OPTIMIZER_STATE;
}

static int64_t bytes_of(const NetTensor *v) {
  return net_tensor_count(v) * net_type_size(v->type);
}

/* An optimiser's state may be infinite (a least value so far), no weight may. */
static bool sound(const NetTensor *v, const char *arena) {
  if (v->type != NET_F32 && v->type != NET_F64) return true;
  int64_t n = net_tensor_count(v);
  for (int64_t i = 0; i < n; i++) {
    double x = net_element(arena, v, i);
    if (isnan(x) || (net_is_weight(v) && isinf(x))) return false;
  }
  return true;
}

const NetTensor *net_weights_broken(const NetProgram *p, const char *arena,
                                    bool all) {
  for (int32_t i = 0; i < p->n_vars; i++)
    if ((all || net_is_weight(&p->vars[i])) && !sound(&p->vars[i], arena))
      return &p->vars[i];
  return NULL;
}

bool net_weights_sound(const NetProgram *p, const char *arena, bool all,
                       const char *path, DataError *e) {
  const NetTensor *v = net_weights_broken(p, arena, all);
  return !v || data_fail(e, "%s: not written, since %s holds a value that is not "
                         "finite", path, v->name);
}

bool net_weights_save(const NetProgram *p, const char *arena, const char *path,
                      DataError *e) {
  int64_t n = 0;
  NetSafeTensor *list = data_alloc(p->n_vars, sizeof *list, e);
  if (!list || !net_weights_sound(p, arena, false, path, e)) {
    free(list);
    return false;
  }
  for (int32_t i = 0; i < p->n_vars; i++)
    if (net_is_weight(&p->vars[i]))
      list[n++] = net_weights_tensor(&p->vars[i], arena + p->vars[i].offset);
  bool good = net_safe_write(path, list, n, e);
  free(list);
  return good;
}

NetSafeTensor net_weights_tensor(const NetTensor *v, const void *data) {
  NetSafeTensor t = {.name = v->name,
                     .type = v->type,
                     .rank = v->rank,
                     .bytes = bytes_of(v),
                     .data = data};
  memcpy(t.dim, v->dim, sizeof t.dim);
  return t;
}

int64_t net_weights_bytes(const NetProgram *p) {
  int64_t n = 0;
  for (int32_t i = 0; i < p->n_vars; i++)
    if (net_is_weight(&p->vars[i])) n += bytes_of(&p->vars[i]);
  return n;
}

void net_weights_copy(const NetProgram *p, char *arena, char *packed,
                      bool back) {
  for (int32_t i = 0; i < p->n_vars; i++) {
    const NetTensor *v = &p->vars[i];
    char *at = arena + v->offset;
    size_t bytes = (size_t)bytes_of(v);
    if (!net_is_weight(v)) continue;
    memcpy(back ? at : packed, back ? packed : at, bytes);
    packed += bytes;
  }
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

bool net_weights_fit(const NetTensor *v, const NetSafeTensor *t,
                     const char *path, DataError *e) {
  char have[160], want[160], as[200] = "";
  if (strcmp(t->name, v->name))
    snprintf(as, sizeof as, " (as %s)", v->name);
  if (t->type != v->type)
    return data_fail(e, "%s: %s%s is of type %s, which is not the program's",
                     path, t->name, as, t->type_name);
  if (t->rank == v->rank &&
      !memcmp(t->dim, v->dim, sizeof *v->dim * (size_t)v->rank))
    return true;
  shape_text(have, sizeof have, t->rank, t->dim);
  shape_text(want, sizeof want, v->rank, v->dim);
  return data_fail(e, "%s: %s%s is %s, but the program's is %s", path, t->name,
                   as, have, want);
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

bool net_weights_read(const NetTensor *v, const NetSafeFile *f,
                      const NetSafeTensor *t, char *to, const char *path,
                      DataError *e) {
  return net_safe_read(f, t, to, path, e) && check_bits(v, to, path, e);
}

/* A weight that is not finite spoils the first step. */
static bool check_numbers(const NetTensor *v, const NetSafeTensor *t,
                          const char *at, const char *path, DataError *e) {
  NetTensor here = *v;
  here.offset = 0;
  if (v->type != NET_F32 && v->type != NET_F64) return true;
  for (int64_t i = 0, n = net_tensor_count(v); i < n; i++) {
    double x = net_element(at, &here, i);
    if (!isfinite(x))
      return data_fail(e, "%s: %s, value %lld: %s is not finite", path, t->name,
                       (long long)i + 1, isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
  }
  return true;
}

/* Reads all into memory of its own first: the file may end early after all. */
static bool read_all(const NetProgram *p, char *arena, const NetSafeFile *f,
                     const NetSafeTensor *const *of, const char *path,
                     DataError *e) {
  char *all = data_alloc(net_weights_bytes(p), 1, e), *at = all;
  bool good = all != NULL;
  if (good) net_weights_copy(p, arena, all, false);
  for (int32_t i = 0; good && i < p->n_vars; i++) {
    if (of[i])
      good = net_weights_read(&p->vars[i], f, of[i], at, path, e) &&
             check_numbers(&p->vars[i], of[i], at, path, e);
    if (net_is_weight(&p->vars[i])) at += bytes_of(&p->vars[i]);
  }
  if (good) net_weights_copy(p, arena, all, true);
  free(all);
  return good;
}

/* What the program has and the file has not. */
static bool check_missing(const NetProgram *p, const NetSafeTensor *const *of,
                          const char *path, bool part, char told[NET_TOLD],
                          DataError *e) {
  NetNames missing = {0};
  int64_t there = 0;
  for (int32_t i = 0; i < p->n_vars; i++) {
    if (of[i]) there++;
    else if (net_is_weight(&p->vars[i]))
      net_names_add(&missing, p->vars[i].name, NULL);
  }
  if (told) snprintf(told, NET_TOLD, "%s", missing.text);
  if (!missing.n || (part && there)) return true;
  if (part)
    return data_fail(e, "%s: it has nothing of the program; the program has %s",
                     path, missing.text);
  return data_fail(e, "%s: no %s, which the program needs", path, missing.text);
}

static bool load(const NetProgram *p, char *arena, const NetSafeFile *f,
                 const char *path, const NetInit *init, bool part,
                 char told[NET_TOLD], DataError *e) {
  const NetSafeTensor **of = data_alloc(p->n_vars, sizeof *of, e);
  bool good = of && net_names_match(p, f, path, init, part, of, e) &&
              check_missing(p, of, path, part, told, e);
  for (int32_t i = 0; good && i < p->n_vars; i++)
    if (of[i]) good = net_weights_fit(&p->vars[i], of[i], path, e);
  good = good && read_all(p, arena, f, of, path, e);
  free(of);
  return good;
}

bool net_weights_start(const NetProgram *p, char *arena, const char *path,
                       const NetInit *init, bool part, char told[NET_TOLD],
                       DataError *e) {
  NetSafeFile f;
  if (!net_safe_open(&f, path, e)) return false;
  bool good = load(p, arena, &f, path, init, part, told, e);
  net_safe_close(&f);
  return good;
}

bool net_weights_load(const NetProgram *p, char *arena, const char *path,
                      DataError *e) {
  return net_weights_start(p, arena, path, NULL, false, NULL, e);
}
