/* Reads the text form of graphs that print.c writes:
 *
 *   module limit=BYTES            (the limit may lack)
 *   var NAME KIND TYPE
 *   func NAME {
 *     %N = OP %N, .. ATTRIBUTES : TYPE  @ FILE:LINE:COLUMN STAGE, ..
 *     result NAME = %N
 *     update param|state NAME = %N
 *   }
 *
 * The numbers of values rise; they need not be dense, so that a line can be
 * taken out by hand. The text is untrusted: each line is checked by infer_type
 * before a node is made of it, the verifier sees the whole, and a value whose
 * line was wrong is silently absent from the lines that use it. */
#include "ir/lex.h"

#include <string.h>

typedef struct Value {
  int64_t number;
  Node *node; /* NULL: its line was wrong */
} Value;

typedef struct Place { /* of a line, for what the verifier finds */
  size_t begin, end;
} Place;

typedef struct Places {
  int n, capacity;
  Place *place;
} Places;

typedef struct Reader {
  Lex l;
  Module *m;
  Graph *g;
  int n_values, cap_values;
  Value *value; /* of this function, by rising number */
  Places vars, graphs, nodes[4], outputs[4]; /* by function */
} Reader;

static void add_place(Reader *r, Places *p, size_t begin) {
  p->place = arena_grow(r->l.arena, p->place, p->n, &p->capacity,
                        sizeof *p->place);
  p->place[p->n++] = (Place){begin, r->l.at};
}

static const char *const op_text[] = {
#define OP(op, text, operands, flags, attributes) text,
#include "ir/ops.def"
#undef OP
};

/* An operand. False after a diagnostic; *n is NULL if its line was wrong. */
static bool read_value(Reader *r, Node **n) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  int64_t number;
  if (!lex_want(l, "%") || !lex_int(l, 0, INT32_MAX, &number))
    return false;
  int low = 0, high = r->n_values;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (r->value[middle].number < number)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == r->n_values || r->value[low].number != number)
    return lex_fail(l, "E0905", begin, "%%%lld has no line above this one",
                    (long long)number);
  *n = r->value[low].node;
  return true;
}

static bool read_attributes(Lex *l, Op op, Attr *a) {
  AttrField f = attr_fields(op);
  while (attr_next(&f)) {
    const char *word = arena_strndup(l->arena, f.word, (size_t)f.length);
    bool bare = f.kind == ATTR_NAME ||
                (f.kind == ATTR_VALUE && op_info[op].leaf);
    if (!bare && (!lex_want(l, word) || !lex_want(l, "=")))
      return false;
    switch (f.kind) {
    case ATTR_NAME:
      a->name = lex_name(l, "a name");
      if (!a->name)
        return false;
      break;
    case ATTR_VALUE:
      if (!lex_number(l, &a->value))
        return false;
      break;
    case ATTR_NUM:
      if (!lex_int(l, -MAX_COUNT, MAX_COUNT, &a->num[f.num]))
        return false;
      break;
    case ATTR_AXES:
      if (!lex_ints(l, 0, MAX_RANK - 1, MAX_RANK, &a->n_axes, a->axes))
        return false;
      break;
    }
  }
  return true;
}

/* What stands right of `=`. *n stays NULL where an operand is absent. */
static bool read_node(Reader *r, size_t begin, Node **n) {
  Lex *l = &r->l;
  int op, n_in = 0, cap_in = 0, n_locs;
  Node **in = NULL;
  Attr attr = {0};
  Type type, inferred;
  Loc locs[MAX_LOCS];
  bool absent = false;
  if (!lex_choice(l, "an operation", op_text, OP_COUNT, &op))
    return false;
  if (op_info[op].operands != 0)
    do {
      in = arena_grow(l->arena, in, n_in, &cap_in, sizeof *in);
      if (!read_value(r, &in[n_in]))
        return false;
      absent |= !in[n_in++];
    } while (lex_take(l, ","));
  if (!read_attributes(l, (Op)op, &attr) || !lex_want(l, ":") ||
      !lex_type(l, &type) || !lex_locs(l, &n_locs, locs) || !lex_want_end(l))
    return false;
  if (absent)
    return true;
  const char *wrong =
      infer_type(l->arena, (Op)op, &attr, n_in, in, &type, &inferred);
  if (wrong)
    return lex_fail(l, "E0906", begin, "%s", wrong);
  if (!type_equal(&type, &inferred)) {
    Text t;
    text_init(&t, l->arena);
    text_add_type(&t, &inferred);
    text_add(&t, ", not ");
    text_add_type(&t, &type);
    return lex_fail(l, "E0906", begin, "the type of this %s is %s",
                    op_text[op], t.s);
  }
  *n = graph_add(r->g, (Op)op, &attr, n_in, in, &type);
  for (int i = 0; i < n_locs; i++)
    graph_add_loc(r->g, *n, locs[i]);
  return true;
}

static void read_node_line(Reader *r) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  int64_t number;
  int64_t least = r->n_values ? r->value[r->n_values - 1].number + 1 : 0;
  if (!lex_want(l, "%") || !lex_int(l, least, INT32_MAX, &number) ||
      !lex_want(l, "="))
    return;
  Node *n = NULL;
  int nodes = r->g->n_nodes;
  read_node(r, begin, &n);
  if (r->g->n_nodes > nodes)
    add_place(r, &r->nodes[r->m->n_graphs - 1], begin);
  r->value = arena_grow(l->arena, r->value, r->n_values, &r->cap_values,
                        sizeof *r->value);
  r->value[r->n_values++] = (Value){number, n};
}

static void read_output(Reader *r, bool update) {
  static const char *const kinds[] = {"param", "state"};
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  int kind = -1;
  Node *n = NULL;
  if (update && !lex_choice(l, "'param' or 'state'", kinds, 2, &kind))
    return;
  const char *name = lex_name(l, "a name");
  if (!name || !lex_want(l, "=") || !read_value(r, &n) || !lex_want_end(l))
    return;
  if (!n)
    return;
  graph_output(r->g, kind < 0    ? OUT_RESULT
                     : kind == 0 ? OUT_UPDATE_PARAM
                                 : OUT_UPDATE_STATE,
               name, n);
  add_place(r, &r->outputs[r->m->n_graphs - 1], begin);
}

/* Behind `func`; up to the line `}`. */
static void read_func(Reader *r) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  const char *name = lex_name(l, "a name");
  int most = (int)(sizeof r->m->graph / sizeof *r->m->graph);
  if (!name || !lex_want(l, "{") || !lex_want_end(l))
    return;
  if (r->m->n_graphs == most) {
    lex_fail(l, "E0904", begin, "more than %d functions", most);
    l->errors = LEX_ERRORS;
    return;
  }
  r->g = graph_new(l->arena, name);
  r->m->graph[r->m->n_graphs++] = r->g;
  add_place(r, &r->graphs, begin);
  r->n_values = 0;
  while (lex_line(l)) {
    if (lex_take(l, "}")) {
      lex_want_end(l);
      return;
    }
    if (lex_take(l, "result"))
      read_output(r, false);
    else if (lex_take(l, "update"))
      read_output(r, true);
    else
      read_node_line(r);
  }
  if (l->errors < LEX_ERRORS)
    lex_fail(l, "E0901", l->at, "expected '}' at the end of %.60s", name);
}

static void read_var(Reader *r) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  int kind;
  Type type;
  const char *name = lex_name(l, "a name");
  if (!name ||
      !lex_choice(l, "a kind of variable", var_kind_name,
                  VAR_OPTIMIZER_STATE + 1, &kind) ||
      !lex_type(l, &type) || !lex_want_end(l))
    return;
  module_add_var(r->m, name, (VarKind)kind, type);
  add_place(r, &r->vars, begin);
}

/* Runs the verifier and tells what it found at the line that it is about. */
static void verify(Reader *r) {
  Violation v = verify_find(r->l.arena, r->m);
  Place at = {0, 1};
  if (!v.text)
    return;
  int f = 0;
  while (f < r->m->n_graphs && r->m->graph[f] != v.graph)
    f++;
  if (v.var)
    at = r->vars.place[v.var - r->m->var];
  else if (v.node)
    at = r->nodes[f].place[v.node->id];
  else if (v.output)
    at = r->outputs[f].place[v.output - v.graph->output];
  else if (v.graph)
    at = r->graphs.place[f];
  r->l.at = at.end;
  lex_fail(&r->l, "E0907", at.begin, "%s", v.text);
}

Module *read_module(Arena *a, Diags *d, const Source *source) {
  Reader r = {.l = lex_of(a, d, source), .m = module_new(a)};
  Lex *l = &r.l;
  if (!lex_line(l)) {
    lex_fail(l, "E0901", 0, "expected 'module', not an empty text");
    return NULL;
  }
  if (!lex_want(l, "module") || !lex_limit(l, &r.m->limit) || !lex_want_end(l))
    return NULL;
  while (lex_line(l)) {
    size_t begin = lex_here(l);
    if (lex_take(l, "var"))
      read_var(&r);
    else if (lex_take(l, "func"))
      read_func(&r);
    else {
      l->at++;
      lex_fail(l, "E0901", begin, "expected 'var' or 'func'");
    }
  }
  if (!l->errors)
    verify(&r);
  return l->errors ? NULL : r.m;
}
