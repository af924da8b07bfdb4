/* Checkpoints: a safetensors file that holds all that a training needs to go on
 * as if it had never been stopped, from any step. Random bits are addressed by
 * seed and step and orders are drawn anew from seed and epoch, so there is no
 * generator to keep:
 *
 *   tensors   every variable by its name, the optimiser's too; best/NAME, the
 *             weights that `keep` holds; run/penalties, sums of the interval
 *   metadata  "checkpoint": the version; "program", "hash" of what it computes,
 *             "seed", "rows" and "data" of the training part; the NetState, a
 *             text for each field (numbers in a form that reads back)
 *
 * A checkpoint is bytes that nobody vouches for: every number is checked for
 * its range and all against each other before the training takes them. */
#include "runtime/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char VERSION[] = "1", PENALTIES[] = "run/penalties";
const char NET_BEST[] = "best/", NET_RUN[] = "run/";

typedef struct Field {
  const char *key;
  bool real; /* a double; or an int64_t that is not negative */
  size_t at;
} Field;
#define WHOLE(f) {#f, false, offsetof(NetState, f)}
#define REAL(f) {#f, true, offsetof(NetState, f)}
#define SUMS(s) \
  REAL(s.loss), REAL(s.total), WHOLE(s.batches), WHOLE(s.samples), \
      WHOLE(s.right)
#define WATCH(name, w) \
  {name ".best", true, offsetof(NetState, watch[w].best)}, \
      {name ".epoch", false, offsetof(NetState, watch[w].epoch)}, \
      {name ".since", false, offsetof(NetState, watch[w].since)}
static const Field fields[] = {
    WHOLE(epochs),  WHOLE(step),        WHOLE(epoch),  WHOLE(batch),
    WHOLE(samples), SUMS(interval),     SUMS(whole),   WATCH("stop", NET_STOP),
    WATCH("plateau", NET_PLATEAU),      WATCH("keep", NET_KEEP),
    REAL(validation), WHOLE(plateau),   WHOLE(stopped), WHOLE(log_bytes)};
enum { FIELDS = sizeof fields / sizeof *fields, HEADS = 6, TEXT = 40 };

/* ---- what a checkpoint must fit (FNV-1a) ---- */

static void mix(uint64_t *hash, const void *bytes, size_t n) {
  const unsigned char *b = bytes;
  for (size_t i = 0; i < n; i++) *hash = (*hash ^ b[i]) * 1099511628211u;
}

static void mix_text(uint64_t *hash, const char *s) {
  mix(hash, s ? s : "", s ? strlen(s) + 1 : 1);
}

static void mix_args(uint64_t *hash, const NetArg *args, int32_t n) {
  for (int32_t i = 0; i < n; i++) {
    mix_text(hash, args[i].name);
    mix_text(hash, args[i].string);
    mix(hash, args[i].numbers,
        (size_t)args[i].n_numbers * sizeof *args[i].numbers);
    for (int32_t k = 0; k < args[i].n_strings; k++)
      mix_text(hash, args[i].strings[k]);
  }
}

/* What the functions compute, and what else decides on the weights; not where
 * the data lie, and not when a run stops. */
static uint64_t program_hash(const NetProgram *p) {
  uint64_t hash = 14695981039346656037u;
  const char *on[] = {p->stop.on, p->plateau.on, p->keep.on, p->label};
  mix(&hash, &p->hash, sizeof p->hash);
  mix(&hash, &p->shuffle, sizeof p->shuffle);
  mix(&hash, &p->plateau.patience, sizeof p->plateau.patience);
  mix(&hash, &p->plateau.delta, sizeof p->plateau.delta);
  for (int i = 0; i < 4; i++) mix_text(&hash, on[i]);
  for (int32_t i = 0; i < p->n_vars; i++) {
    mix_text(&hash, p->vars[i].name);
    mix(&hash, p->vars[i].dim, sizeof p->vars[i].dim);
  }
  for (int32_t i = 0; i < p->data.n_entries; i++) {
    mix_text(&hash, p->data.entries[i].name);
    mix_args(&hash, p->data.entries[i].args, p->data.entries[i].n_args);
  }
  return hash;
}

/* Of a few rows of the training part, spread over it. */
static uint64_t data_hash(const Dataset *d) {
  enum { ROWS = 16 };
  uint64_t hash = 14695981039346656037u;
  const DataSplit *s = &d->split[DATA_TRAIN];
  for (int c = 0; c < d->n_columns; c++) {
    int64_t size = d->column[c].store == STORE_U8 ? 1 : 4;
    size_t bytes = (size_t)(d->column[c].count * size);
    for (int64_t i = 0; i < ROWS && s->column[c]; i++)
      mix(&hash, (const char *)s->column[c] +
                     bytes * (size_t)(s->rows / ROWS * i), bytes);
  }
  return hash;
}

/* ---- writing ---- */

typedef struct Texts {
  NetSafeMeta meta[HEADS + FIELDS];
  char text[HEADS + FIELDS][TEXT];
  int n;
} Texts;

static void add(Texts *x, const char *key, const char *text) {
  x->meta[x->n++] = (NetSafeMeta){key, text};
}

static void add_number(Texts *x, const char *key, const char *format,
                       uint64_t v) {
  char *text = x->text[x->n];
  snprintf(text, TEXT, format, (unsigned long long)v);
  add(x, key, text);
}

static void add_state(Texts *x, const NetState *s) {
  for (int i = 0; i < FIELDS; i++) {
    const char *at = (const char *)s + fields[i].at;
    if (fields[i].real) {
      char *text = x->text[x->n];
      snprintf(text, TEXT, "%.17g", *(const double *)(const void *)at);
      add(x, fields[i].key, text);
    } else {
      add_number(x, fields[i].key, "%llu",
                 (uint64_t)*(const int64_t *)(const void *)at);
    }
  }
}

static void make_texts(Texts *x, const NetTraining *t) {
  const NetRun *r = t->r;
  NetState s = t->s;
  s.epochs = t->s.epochs;
  s.log_bytes = net_log_bytes(&r->log);
  x->n = 0;
  add(x, "checkpoint", VERSION);
  add(x, "program", r->p->name);
  add_number(x, "hash", "%016llx", program_hash(r->p));
  add_number(x, "seed", "%llu", r->seed);
  add_number(x, "rows", "%llu", (uint64_t)t->n_rows);
  add_number(x, "data", "%016llx", data_hash(r->data));
  add_state(x, &s);
}

static NetTensor penalties(const NetTraining *t) {
  return (NetTensor){
      .name = PENALTIES, .type = NET_F64, .rank = 1, .dim = {t->n_penalties}};
}

/* The best weights, each under a name of its own; returns how many. */
static int64_t add_best(const NetTraining *t, NetSafeTensor *to, char *name) {
  const NetProgram *p = t->r->p;
  const char *at = t->best;
  int64_t n = 0;
  for (int32_t i = 0; i < p->n_vars; i++) {
    if (!net_is_weight(&p->vars[i])) continue;
    to[n] = net_weights_tensor(&p->vars[i], at);
    to[n].name = name;
    name += sprintf(name, "%s%s", NET_BEST, p->vars[i].name) + 1;
    at += to[n++].bytes;
  }
  return n;
}

static int64_t best_names(const NetProgram *p) {
  int64_t bytes = 0;
  for (int32_t i = 0; i < p->n_vars; i++)
    bytes += (int64_t)(strlen(NET_BEST) + strlen(p->vars[i].name) + 1);
  return bytes;
}

bool net_checkpoint_save(const NetTraining *t, const char *path,
                         DataError *e) {
  const NetProgram *p = t->r->p;
  const char *arena = t->r->arena;
  int64_t n = 0;
  NetTensor sums = penalties(t);
  if (!net_weights_sound(p, arena, true, path, e)) return false;
  NetSafeTensor *list = data_alloc(2 * p->n_vars + 1, sizeof *list, e);
  char *names = data_alloc(best_names(p), 1, e);
  Texts *texts = data_alloc(1, sizeof *texts, e);
  bool good = list && names && texts;
  if (good) {
    for (; n < p->n_vars; n++)
      list[n] = net_weights_tensor(&p->vars[n], arena + p->vars[n].offset);
    if (t->n_penalties) list[n++] = net_weights_tensor(&sums, t->penalty_sums);
    if (net_watch_kept(t)) n += add_best(t, list + n, names);
    make_texts(texts, t);
    good = net_safe_write_meta(path, list, n, texts->meta, texts->n, e);
  }
  free(list);
  free(names);
  free(texts);
  return good;
}

/* ---- reading ---- */

bool net_is_checkpoint(const NetSafeFile *f) {
  return net_safe_meta(f, "checkpoint") != NULL;
}

static bool damaged(const char *path, const char *key, DataError *e) {
  return data_fail(e, "%s: not a checkpoint as it should be: its \"%s\" is not "
                   "what it can be", path, key);
}

/* A whole number of base 10 or 16, up to `most`. */
static bool read_number(const NetResume *x, const char *key, int base,
                        uint64_t most, uint64_t *v, DataError *e) {
  const char *text = net_safe_meta(&x->file, key);
  char *end;
  if (!text || !strchr("0123456789abcdef", *text) || !*text)
    return damaged(x->path, key, e);
  errno = 0;
  *v = strtoull(text, &end, base);
  return (!errno && !*end && *v <= most) || damaged(x->path, key, e);
}

static bool read_real(const NetResume *x, const char *key, double *v,
                      DataError *e) {
  const char *text = net_safe_meta(&x->file, key);
  char *end;
  if (!text || !*text) return damaged(x->path, key, e);
  *v = strtod(text, &end);
  return !*end || damaged(x->path, key, e);
}

static bool read_state(NetResume *x, DataError *e) {
  uint64_t v;
  for (int i = 0; i < FIELDS; i++) {
    char *at = (char *)&x->state + fields[i].at;
    if (fields[i].real) {
      if (!read_real(x, fields[i].key, (double *)(void *)at, e)) return false;
      continue;
    }
    if (!read_number(x, fields[i].key, 10, (uint64_t)1 << 53, &v, e))
      return false;
    *(int64_t *)(void *)at = (int64_t)v;
  }
  return true;
}

static bool read_heads(NetResume *x, const NetProgram *p, DataError *e) {
  uint64_t hash, rows;
  const char *version = net_safe_meta(&x->file, "checkpoint");
  if (!version)
    return data_fail(e, "%s: not a checkpoint, but weights alone; --init begins "
                     "with them", x->path);
  if (strcmp(version, VERSION))
    return data_fail(e, "%s: a checkpoint of version %.20s, and this program "
                     "reads version %s", x->path, version, VERSION);
  if (!read_number(x, "hash", 16, UINT64_MAX, &hash, e) ||
      !read_number(x, "seed", 10, UINT64_MAX, &x->seed, e) ||
      !read_number(x, "rows", 10, INT64_MAX, &rows, e) ||
      !read_number(x, "data", 16, UINT64_MAX, &x->data, e))
    return false;
  x->rows = (int64_t)rows;
  if (hash == program_hash(p)) return true;
  return data_fail(e, "%s: a checkpoint of another program, or of other "
                   "constants (its program is called %.80s); --init begins with "
                   "its weights alone", x->path,
                   net_safe_meta(&x->file, "program")
                       ? net_safe_meta(&x->file, "program") : "nothing");
}

bool net_checkpoint_open(NetRun *r, const char *path, DataError *e) {
  NetResume *x = &r->resume;
  *x = (NetResume){.path = path};
  if (!net_safe_open(&x->file, path, e)) {
    x->path = NULL;
    return false;
  }
  if (!read_heads(x, r->p, e) || !read_state(x, e)) return false;
  if (r->o->has_seed && r->o->seed != x->seed)
    return data_fail(e, "%s: its run has the seed %llu, which --seed cannot "
                     "change", path, (unsigned long long)x->seed);
  r->seed = x->seed;
  return true;
}

static bool check_sums(const NetSums *s, int64_t most) {
  return s->batches <= most && s->right <= s->samples;
}

/* The numbers against each other and the data. */
static bool check_state(const NetTraining *t, DataError *e) {
  const NetResume *x = &t->r->resume;
  const NetState *s = &x->state;
  const int64_t limit = (int64_t)1 << 31;
  if (x->rows != t->n_rows || x->data != data_hash(t->r->data))
    return data_fail(e, "%s: its run was trained on other data: %lld rows, "
                     "where there are %lld now%s", x->path, (long long)x->rows,
                     (long long)t->n_rows,
                     x->rows == t->n_rows ? " with other values" : "");
  if (s->epoch > limit || s->epochs > limit || s->batch > t->batches ||
      s->step != s->epoch * t->batches + s->batch)
    return damaged(x->path, "step", e);
  if (!check_sums(&s->interval, s->batch) || !check_sums(&s->whole, s->batch) ||
      s->whole.batches != s->batch)
    return damaged(x->path, "whole.batches", e);
  return s->stopped <= 1 || damaged(x->path, "stopped", e);
}

/* Reads the tensor that is called `name` into `to`; counts it in *n. */
static bool load_tensor(const NetResume *x, const NetTensor *v,
                        const char *name, char *to, int64_t *n, DataError *e) {
  const NetSafeTensor *t = net_safe_find(&x->file, name);
  ++*n;
  if (!t) return data_fail(e, "%s: no %s", x->path, name);
  return net_weights_fit(v, t, x->path, e) &&
         net_weights_read(v, &x->file, t, to, x->path, e);
}

static bool load_best(NetTraining *t, int64_t *n, DataError *e) {
  const NetProgram *p = t->r->p;
  char *at = t->best, *name = data_alloc(best_names(p), 1, e);
  bool good = name != NULL;
  for (int32_t i = 0; good && i < p->n_vars; i++) {
    const NetTensor *v = &p->vars[i];
    if (!net_is_weight(v)) continue;
    sprintf(name, "%s%s", NET_BEST, v->name);
    good = load_tensor(&t->r->resume, v, name, at, n, e);
    at += net_tensor_count(v) * net_type_size(v->type);
  }
  free(name);
  return good;
}

bool net_checkpoint_load(NetTraining *t, DataError *e) {
  NetRun *r = t->r;
  const NetResume *x = &r->resume;
  NetTensor sums = penalties(t);
  int64_t n = 0;
  bool good = check_state(t, e);
  for (int32_t i = 0; good && i < r->p->n_vars; i++) {
    const NetTensor *v = &r->p->vars[i];
    good = load_tensor(x, v, v->name, r->arena + v->offset, &n, e);
  }
  if (good && t->n_penalties)
    good = load_tensor(x, &sums, PENALTIES, (char *)t->penalty_sums, &n, e);
  if (!good) return false;
  t->s = x->state;
  const NetTensor *broken = net_weights_broken(r->p, r->arena, true);
  if (broken)
    return data_fail(e, "%s: %s holds a value that is not finite", x->path,
                     broken->name);
  if (net_watch_kept(t) && !load_best(t, &n, e)) return false;
  return n == x->file.n ||
         data_fail(e, "%s: %lld tensors, and a checkpoint of this program has "
                   "%lld", x->path, (long long)x->file.n, (long long)n);
}
