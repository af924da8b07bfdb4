/* Values of the partial evaluator, and how messages speak of them. Values do not
 * change once they are made. A mistake is told once, where the user can mend it:
 * inside the prelude's text that is the user's call. What follows from a mistake
 * is `poison`, about which nothing more is said. */
#include "frontend/lower.h"

#include <math.h>
#include <string.h>

const Value poison = {.kind = V_POISON};

static Value *value_new(Lower *L, ValueKind kind) {
  Value *v = arena_alloc(L->a, sizeof *v);
  v->kind = kind;
  return v;
}

const Value *value_number(Lower *L, double number) {
  Value *v = value_new(L, V_NUMBER);
  v->number = number;
  return v;
}

const Value *value_flag(Lower *L, bool truth) {
  Value *v = value_new(L, V_NUMBER);
  v->number = truth;
  v->flag = true;
  return v;
}

const Value *value_string(Lower *L, const char *s) {
  Value *v = value_new(L, V_STRING);
  v->string = s;
  return v;
}

const Value *value_node(Lower *L, Node *n, bool sample) {
  Value *v = value_new(L, V_TENSOR);
  v->node = n;
  v->graph = L->g;
  v->sample = sample;
  return v;
}

/* Elements of x, moved: classes stay classes. */
const Value *value_moved(Lower *L, Node *n, const Value *x) {
  Value *v = (Value *)value_node(L, n, x->sample);
  v->classes = x->classes;
  return v;
}

const Value *value_list(Lower *L, int n, const Value *const *items) {
  Value *v = value_new(L, V_LIST);
  v->n = n;
  v->item = items;
  return v;
}

/* The same tensor, with what made it. */
const Value *value_from(Lower *L, const Value *v, Span from,
                        const char *maker) {
  if (v->kind != V_TENSOR || !from.source)
    return v;
  Value *copy = value_new(L, V_TENSOR);
  *copy = *v;
  copy->from = from;
  copy->maker = maker;
  return copy;
}

int sample_rank(const Value *v) { return v->node->type.rank - v->sample; }

const int64_t *sample_dims(const Value *v) {
  return v->node->type.dim + v->sample;
}

/* -- texts for messages */

const char *shape_text(Lower *L, int rank, const int64_t *dim) {
  Text t;
  text_init(&t, L->a);
  text_add(&t, "[");
  for (int i = 0; i < rank; i++)
    text_add(&t, "%s%lld", i ? ", " : "", (long long)dim[i]);
  text_add(&t, "]");
  return t.s;
}

static const char *number_text(Lower *L, const Value *v) {
  if (v->flag)
    return v->number != 0 ? "true" : "false";
  Text t;
  text_init(&t, L->a);
  text_add_number(&t, v->number);
  return t.s;
}

const char *value_text(Lower *L, const Value *v) {
  switch (v->kind) {
  case V_POISON:
  case V_KIND_COUNT:
    return "nothing";
  case V_NUMBER:
    return number_text(L, v);
  case V_STRING:
    return arena_printf(L->a, "\"%.40s\"", v->string);
  case V_TENSOR:
    if (v->classes)
      return arena_printf(L->a, "class[%lld]", (long long)v->classes);
    return shape_text(L, sample_rank(v), sample_dims(v));
  case V_RANDOM:
    return "random numbers without a shape";
  case V_LIST:
    return arena_printf(L->a, "a list of %d", v->n);
  case V_SET:
    return v->n == 1
               ? shape_text(L, v->param[0]->type.rank, v->param[0]->type.dim)
               : arena_printf(L->a, "a set of %d parameters", v->n);
  case V_STAGE:
    return v->stage->def && v->stage->def->ast->kind == DEF_NET ? "a net"
                                                                : "a stage";
  case V_BATCH:
    return "the axis `batch`";
  case V_WEIGHTED:
    return "a weighted loss";
  case V_SPLIT:
    return arena_printf(L->a, "the %s part of the data", v->string);
  case V_WATCHED:
    return arena_printf(L->a, "a number to watch, %s", v->string);
  }
  return "nothing";
}

const char *span_text(Lower *L, Span s) {
  if (!s.source)
    return "";
  char *text = arena_strndup(L->a, s.source->text + s.begin,
                             (size_t)(s.end - s.begin));
  size_t n = 0; /* on one line, single spaces */
  for (const char *p = text; *p; p++)
    if (*p != ' ' && *p != '\n' && *p != '\t' && *p != '\r')
      text[n++] = *p;
    else if (n && text[n - 1] != ' ')
      text[n++] = ' ';
  text[n] = 0;
  return text;
}

/* -- messages */

Span user_span(const Scope *s, Span at) {
  if (!s->L->prelude || at.source != s->L->prelude->ast->source)
    return at;
  return s->site;
}

Span own_span(const Scope *s, Span at) {
  static const Span nowhere;
  return at.source == s->L->prelude->ast->source ? nowhere : at;
}

void set_loc(const Scope *s, Span at) {
  Lower *L = s->L;
  if (L->prelude && at.source == L->prelude->ast->source)
    L->g->loc = s->loc;
  else
    L->g->loc = loc_of_span(L->a, at, s->stage);
}

Diag *fail(const Scope *s, const char *code, Span at, const char *format,
           ...) {
  Lower *L = s->L;
  va_list args;
  va_start(args, format);
  char text[1024];
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  Span where = user_span(s, at);
  bool inside = s->def && at.source == L->prelude->ast->source &&
                strncmp(text, s->def->ast->name.s, strlen(s->def->ast->name.s));
  int before = L->d->errors;
  Diag *diag = inside ? diag_error(L->d, code, where, "in %s: %s",
                                   s->def->ast->name.s, text)
                      : diag_error(L->d, code, where, "%s", text);
  if (L->d->errors == before)
    return NULL; /* told already */
  bool called = s->def && s->def->ast->kind != DEF_NET && s->site.source &&
                s->site.begin != where.begin;
  if (called && at.source != L->prelude->ast->source)
    diag_note(diag, s->site, "in this call of %s", s->def->ast->name.s);
  return diag;
}

void note_origin(Lower *L, Diag *diag, const Value *v) {
  if (!diag || v->kind != V_TENSOR || !v->from.source)
    return;
  if (v->maker)
    diag_note(diag, v->from, "%s comes from this %s", value_text(L, v),
              v->maker);
  else
    diag_note(diag, v->from, "%s comes from here", value_text(L, v));
}

void candidates_add(Candidates *c, const char *name) {
  c->name = arena_grow(c->arena, c->name, c->n, &c->capacity, sizeof *c->name);
  c->name[c->n++] = name;
}

void candidates_add_names(Candidates *c, const Names *m) {
  for (int i = 0; i < m->capacity; i++)
    if (m->entry[i].key)
      candidates_add(c, m->entry[i].key);
}

/* -- names: open addressing, at most half full */

void names_init(Names *m, Arena *a) { *m = (Names){.arena = a}; }

static struct NameEntry *names_find(const Names *m, const char *key) {
  uint32_t h = 2166136261u;
  for (const char *p = key; *p; p++)
    h = (h ^ (unsigned char)*p) * 16777619u;
  uint32_t mask = (uint32_t)m->capacity - 1;
  for (uint32_t i = h & mask;; i = (i + 1) & mask)
    if (!m->entry[i].key || !strcmp(m->entry[i].key, key))
      return &m->entry[i];
}

void *names_get(const Names *m, const char *key) {
  return m->capacity ? names_find(m, key)->value : NULL;
}

void *names_add(Names *m, const char *key, void *value) {
  if (2 * (m->n + 1) > m->capacity) {
    Names old = *m;
    m->capacity = old.capacity ? 2 * old.capacity : 16;
    m->entry = arena_alloc(m->arena, (size_t)m->capacity * sizeof *m->entry);
    for (int i = 0; i < old.capacity; i++)
      if (old.entry[i].key)
        *names_find(m, old.entry[i].key) = old.entry[i];
  }
  struct NameEntry *e = names_find(m, key);
  if (e->key)
    return e->value;
  *e = (struct NameEntry){key, value};
  m->n++;
  return NULL;
}

/* -- what a place wants */

bool need_number(const Scope *s, Span at, const Value *v, const char *what,
                 double *out) {
  if (v->kind == V_POISON)
    return false;
  if (v->kind == V_NUMBER) {
    *out = v->number;
    return true;
  }
  Diag *diag =
      v->kind == V_TENSOR
          ? fail(s, "E0313", at,
                 "%s must be known when compiling, but it depends on %s", what,
                 v->sample ? "the sample" : "the run")
          : fail(s, "E0301", at, "%s must be a number, but it is %s", what,
                 value_text(s->L, v));
  note_origin(s->L, diag, v);
  return false;
}

bool need_flag(const Scope *s, Span at, const Value *v, const char *what,
               bool *out) {
  double number;
  if (!need_number(s, at, v, what, &number))
    return false;
  if (!v->flag && number != 0 && number != 1) {
    fail(s, "E0301", at, "%s must be true or false, but it is %s", what,
         value_text(s->L, v));
    return false;
  }
  *out = number != 0;
  return true;
}

bool need_whole(const Scope *s, Span at, const Value *v, const char *what,
                int64_t low, int64_t high, int64_t *out) {
  double number;
  if (!need_number(s, at, v, what, &number))
    return false;
  if (v->flag || number != floor(number)) {
    fail(s, "E0305", at, "%s must be a whole number, but it is %s", what,
         value_text(s->L, v));
    return false;
  }
  if (!(number >= (double)low)) {
    fail(s, "E0305", at, "%s must be at least %lld, but it is %s", what,
         (long long)low, value_text(s->L, v));
    return false;
  }
  if (!(number <= (double)high)) {
    fail(s, "E0305", at, "%s must be at most %lld, but it is %s", what,
         (long long)high, value_text(s->L, v));
    return false;
  }
  *out = (int64_t)number;
  return true;
}

const Value *need_tensor(const Scope *s, Span at, const Value *v,
                         const char *what) {
  if (v->kind == V_POISON)
    return NULL;
  if (v->kind == V_STAGE)
    v = set_of_stage(s->L, v->stage);
  if (v->kind == V_SET && v->n == 1)
    return value_node(s->L, param_node(s->L, v->param[0]), false);
  if (v->kind == V_TENSOR && v->graph == s->L->g)
    return v;
  if (v->kind == V_LIST) {
    v = list_tensor(s, at, v);
    return v->kind == V_POISON ? NULL : v;
  }
  if (v->kind == V_NUMBER) {
    Type t = type_scalar(T_F64);
    return value_node(s->L, graph_const(s->L->g, v->number, t), false);
  }
  if (v->kind == V_TENSOR)
    fail(s, "E0317", at,
         "an initial value may depend on sizes and constants alone");
  else if (v->kind == V_RANDOM)
    fail(s, "E0312", at,
         "the shape of these random numbers is not known here");
  else if (what)
    fail(s, "E0301", at, "%s must be numbers, but it is %s", what,
         value_text(s->L, v));
  else
    fail(s, "E0301", at, "numbers are wanted here, but this is %s",
         value_text(s->L, v));
  return NULL;
}

bool check_size(const Scope *s, Span at, int rank, const int64_t *dim) {
  if (rank > MAX_RANK) {
    fail(s, "E0310", at, "a value of %d axes is too much: the limit is %d",
         rank, MAX_RANK);
    return false;
  }
  int64_t count = 1;
  for (int i = 0; i < rank; i++)
    if (dim[i] <= 0 || count > MAX_ELEMENTS / dim[i]) {
      fail(s, "E0310", at, "%s is too large: the limit is 2^40 elements",
           shape_text(s->L, rank, dim));
      return false;
    } else {
      count *= dim[i];
    }
  return true;
}
