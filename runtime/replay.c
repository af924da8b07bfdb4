/* One step of a training as a file, from an executable to `netc check --replay`:
 * a safetensors file with every variable as it was before the step, the inputs of
 * its batch, `input/NAME`, and the scalars, which fit the one program whose hash
 * the file holds. */
#include "runtime/run.h"

#include <stdlib.h>
#include <string.h>

static const char VERSION[] = "1", INPUT[] = "input/", SCALARS[] = "scalars";

enum { NUMBERS = 5, NAME = 128, TEXT = 24 };

/* Those that are doubles, as they lie. */
static NetTensor numbers(const NetProgram *p) {
  return (NetTensor){.name = SCALARS, .type = NET_F64, .rank = 1,
                     .dim = {NUMBERS}, .offset = p->scalars};
}
_Static_assert(offsetof(NetScalars, seed) == NUMBERS * sizeof(double),
               "the seed does not follow the doubles");

/* An input under its name in the file, which `name` keeps. */
static NetTensor input(const NetProgram *p, int32_t i, char name[NAME]) {
  NetTensor t = p->train.inputs[i];
  snprintf(name, NAME, "%s%s", INPUT, t.name);
  t.name = name;
  return t;
}

bool net_replay_save(const NetProgram *p, const char *arena, const char *path,
                     DataError *e) {
  int64_t n = 0, inputs = p->train.n_inputs;
  NetTensor scalars = numbers(p);
  const NetScalars *s = (const NetScalars *)(const void *)(arena + p->scalars);
  char hash[TEXT], seed[TEXT];
  const NetSafeMeta meta[] = {
      {"replay", VERSION}, {"program", p->name}, {"hash", hash}, {"seed", seed}};
  snprintf(hash, TEXT, "%016llx", (unsigned long long)p->hash);
  snprintf(seed, TEXT, "%llu", (unsigned long long)s->seed);
  NetSafeTensor *list = data_alloc(p->n_vars + inputs + 1, sizeof *list, e);
  char(*names)[NAME] = data_alloc(inputs, NAME, e);
  bool good = list && names;
  for (int32_t i = 0; good && i < p->n_vars; i++)
    list[n++] = net_weights_tensor(&p->vars[i], arena + p->vars[i].offset);
  for (int32_t i = 0; good && i < inputs; i++) {
    NetTensor t = input(p, i, names[i]);
    list[n++] = net_weights_tensor(&t, arena + t.offset);
  }
  if (good) {
    list[n++] = net_weights_tensor(&scalars, arena + scalars.offset);
    good = net_safe_write_meta(path, list, n, meta, 4, e);
  }
  free(list);
  free(names);
  return good;
}

/* ---- reading ---- */

typedef struct Replay {
  NetSafeFile file;
  const char *path;
  char *arena;
} Replay;

static bool load(const Replay *x, const NetTensor *v, DataError *e) {
  const NetSafeTensor *t = net_safe_find(&x->file, v->name);
  if (!t) return data_fail(e, "%s: no %s", x->path, v->name);
  return net_weights_fit(v, t, x->path, e) &&
         net_weights_read(v, &x->file, t, x->arena + v->offset, x->path, e);
}

static bool check_heads(const Replay *x, const NetProgram *p, DataError *e) {
  char want[TEXT];
  const char *version = net_safe_meta(&x->file, "replay");
  const char *hash = net_safe_meta(&x->file, "hash");
  const char *seed = net_safe_meta(&x->file, "seed");
  NetScalars *s = (NetScalars *)(void *)(x->arena + p->scalars);
  char *end = NULL;
  snprintf(want, TEXT, "%016llx", (unsigned long long)p->hash);
  if (!version || strcmp(version, VERSION))
    return data_fail(e, "%s: not a step that an executable left", x->path);
  if (!hash || strcmp(hash, want))
    return data_fail(e, "%s: a step of another program, or of other constants "
                     "or another variant", x->path);
  if (seed) s->seed = strtoull(seed, &end, 10);
  return (end && end != seed && !*end) ||
         data_fail(e, "%s: its \"seed\" is no number", x->path);
}

static bool load_all(const Replay *x, const NetProgram *p, DataError *e) {
  char name[NAME];
  NetTensor scalars = numbers(p);
  bool good = check_heads(x, p, e) && load(x, &scalars, e);
  for (int32_t i = 0; good && i < p->n_vars; i++)
    good = load(x, &p->vars[i], e);
  for (int32_t i = 0; good && i < p->train.n_inputs; i++) {
    NetTensor t = input(p, i, name);
    good = load(x, &t, e);
  }
  return good;
}

bool net_replay_load(const NetProgram *p, char *arena, const char *path,
                     DataError *e) {
  Replay x = {.path = path, .arena = arena};
  if (!net_safe_open(&x.file, path, e)) return false;
  bool good = load_all(&x, p, e);
  net_safe_close(&x.file);
  return good;
}
