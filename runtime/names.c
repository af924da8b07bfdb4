/* Which tensor of a file of weights belongs to which variable of the program.
 * In this order a name of the file is taken
 *
 *   1. in a checkpoint: what the run ended with. Where best weights are kept,
 *      best/NAME takes the place of NAME; the optimiser's states are not for us;
 *   2. through the maps of `init`, the longest beginning that fits;
 *   3. as it is, or else with its last word as PyTorch has it: weight, bias,
 *      running_mean, running_var. PyTorch's num_batches_tracked, which nothing
 *      here needs, is passed over.
 *
 * The maps hold only where the file does not have all of the program's own
 * names, so that a file that the program itself has saved needs none. */
#include "runtime/run.h"

#include <stdlib.h>
#include <string.h>

enum { TOLD = 4, NAME_SIZE = 512 };

void net_names_add(NetNames *l, const char *name, const char *near) {
  char one[NAME_SIZE];
  if (l->n++ > TOLD) return;
  if (l->n > TOLD) snprintf(one, sizeof one, ", ..");
  else
    snprintf(one, sizeof one, "%s%.200s%s%.200s%s", l->n > 1 ? ", " : "", name,
             near ? " (near " : "", near ? near : "", near ? ")" : "");
  size_t n = strlen(one);
  if (l->at + n >= sizeof l->text) return; /* no more fit */
  memcpy(l->text + l->at, one, n + 1);
  l->at += n;
}

typedef struct Match {
  const NetProgram *p;
  const NetSafeFile *f;
  const char *path;
  const NetInit *init; /* NULL: no maps */
  bool part, checkpoint, best;
  const NetSafeTensor **of;
  int64_t *used; /* how many names each map has led to something */
  NetNames unknown;
} Match;

static int32_t find_var(const NetProgram *p, const char *name) {
  for (int32_t i = 0; i < p->n_vars; i++)
    if (net_is_weight(&p->vars[i]) && !strcmp(p->vars[i].name, name)) return i;
  return -1;
}

/* How much of the name `from` takes, up to a '.' or its end; -1: none. */
static int64_t fits(const char *name, const char *from) {
  size_t n = strlen(from);
  if (!n) return 0;
  if (strncmp(name, from, n) || (name[n] && name[n] != '.')) return -1;
  return (int64_t)n;
}

/* The name as the program would have it; false if it is too long. */
static bool translate(const Match *m, const char *name, char *to, size_t size,
                      int32_t *map) {
  const NetInit *x = m->init;
  int64_t longest = -1;
  *map = -1;
  for (int32_t i = 0; x && i < x->n_maps; i++) {
    int64_t n = fits(name, x->from[i]);
    if (n <= longest) continue;
    longest = n;
    *map = i;
  }
  const char *head = *map < 0 ? "" : x->to[*map];
  const char *rest = name + (longest > 0 ? longest : 0);
  if (*rest == '.') rest++;
  const char *dot = *head && *rest ? "." : "";
  return snprintf(to, size, "%s%s%s", head, dot, rest) < (int)size;
}

/* PyTorch's word for the last part of a name, and ours. */
static const char *const words[][2] = {{"weight", "W"},
                                       {"weight", "g"},
                                       {"bias", "b"},
                                       {"running_mean", "mean"},
                                       {"running_var", "var"}};
enum { WORDS = sizeof words / sizeof *words };

static const char *last_word(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot ? dot + 1 : name;
}

/* The variable of that name, also after the last word was changed. */
static int32_t find_named(const NetProgram *p, const char *name) {
  char other[NAME_SIZE];
  int32_t at = find_var(p, name);
  const char *last = last_word(name);
  for (int i = 0; at < 0 && i < WORDS; i++) {
    if (strcmp(last, words[i][0])) continue;
    snprintf(other, sizeof other, "%.*s%s", (int)(last - name), name,
             words[i][1]);
    at = find_var(p, other);
  }
  return at;
}

/* The name without what a checkpoint puts before it; NULL: not for us. */
static const char *own_name(const Match *m, const char *name) {
  size_t best = strlen(NET_BEST);
  if (!m->checkpoint) return name;
  if (!strncmp(name, NET_RUN, strlen(NET_RUN))) return NULL;
  bool is_best = !strncmp(name, NET_BEST, best);
  if (m->best != is_best) return NULL;
  if (is_best) return name + best;
  for (int32_t i = 0; i < m->p->n_vars; i++)
    if (!net_is_weight(&m->p->vars[i]) && !strcmp(m->p->vars[i].name, name))
      return NULL;
  return name;
}

static const char *nearest(const Match *m, const char *name) {
  DataError ignored;
  int64_t n = 0;
  const char **names = data_alloc(m->p->n_vars, sizeof *names, &ignored);
  for (int32_t i = 0; names && i < m->p->n_vars; i++)
    if (net_is_weight(&m->p->vars[i])) names[n++] = m->p->vars[i].name;
  const char *near = names ? net_nearest(name, names, n) : NULL;
  free(names);
  return near;
}

static void unknown(Match *m, const char *name, const char *as) {
  char both[NAME_SIZE];
  if (!strcmp(last_word(name), "num_batches_tracked")) return;
  /* Finding what is near takes time: only for what is told. */
  const char *near = m->unknown.n < TOLD ? nearest(m, as) : NULL;
  snprintf(both, sizeof both, strcmp(name, as) ? "%s (as %s)" : "%s", name, as);
  net_names_add(&m->unknown, both, near);
}

static bool match_tensor(Match *m, const NetSafeTensor *t, DataError *e) {
  char as[NAME_SIZE];
  int32_t map, at;
  const char *name = own_name(m, t->name);
  if (!name) return true;
  if (!translate(m, name, as, sizeof as, &map))
    return data_fail(e, "%s: a name of more than %d bytes: %.60s..", m->path,
                     NAME_SIZE, name);
  if (map >= 0) m->used[map]++;
  if ((at = find_named(m->p, as)) < 0) {
    unknown(m, name, as);
    return true;
  }
  if (m->of[at])
    return data_fail(e, "%s: %s and %s both stand for %s", m->path,
                     m->of[at]->name, t->name, m->p->vars[at].name);
  m->of[at] = t;
  return true;
}

/* Whether the file has all of the program's own names. */
static bool has_all(const Match *m) {
  char best[NAME_SIZE];
  for (int32_t i = 0; i < m->p->n_vars; i++) {
    const char *name = m->p->vars[i].name;
    snprintf(best, sizeof best, "%s%s", NET_BEST, name);
    if (net_is_weight(&m->p->vars[i]) && !net_safe_find(m->f, name) &&
        !(m->best && net_safe_find(m->f, best)))
      return false;
  }
  return true;
}

static bool check_maps(const Match *m, DataError *e) {
  for (int32_t i = 0; m->init && i < m->init->n_maps; i++)
    if (!m->used[i])
      return data_fail(e, "%s: no name begins with %s, which `init` maps",
                       m->path, *m->init->from[i] ? m->init->from[i] : "that");
  return true;
}

static bool match_all(Match *m, DataError *e) {
  for (int64_t i = 0; i < m->f->n; i++)
    if (!match_tensor(m, &m->f->tensor[i], e)) return false;
  if (!check_maps(m, e)) return false;
  if (m->part || !m->unknown.n) return true;
  return data_fail(e, "%s: %lld tensor%s that the program does not have: %s",
                   m->path, (long long)m->unknown.n,
                   m->unknown.n > 1 ? "s" : "", m->unknown.text);
}

bool net_names_match(const NetProgram *p, const NetSafeFile *f,
                     const char *path, const NetInit *init, bool part,
                     const NetSafeTensor **of, DataError *e) {
  Match m = {.p = p, .f = f, .path = path, .part = part, .of = of};
  m.checkpoint = net_is_checkpoint(f);
  for (int64_t i = 0; m.checkpoint && i < f->n; i++)
    if (!strncmp(f->tensor[i].name, NET_BEST, strlen(NET_BEST))) m.best = true;
  if (init && init->n_maps && !has_all(&m)) m.init = init;
  m.used = data_alloc(init ? init->n_maps : 0, sizeof *m.used, e);
  bool good = m.used && match_all(&m, e);
  free(m.used);
  return good;
}
