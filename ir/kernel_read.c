/* Reads the text form of kernels, which kernel_print.c writes and shows. The
 * numbers of buffers, kernels and values rise; they need not be dense, so that
 * a line can be taken out by hand.
 *
 * The text is untrusted. A line that is wrong becomes a diagnostic at its place
 * and its value or buffer is absent: lines that use it are read, to find what
 * else is wrong with them, and make nothing. What the grammar cannot see, the
 * verifier finds in the whole, and that is told at the line that it is about. */
#include "ir/kernel.h"
#include "ir/lex.h"

#include <string.h>

/* The numbers that a text gives to things, rising, and what they are: an index,
 * or -1 for a thing whose line was wrong. */
typedef struct Numbers {
  int n, capacity;
  struct Number {
    int64_t number;
    int index;
  } *at;
} Numbers;

typedef struct Place { /* of a line, for what the verifier finds */
  size_t begin, end;
} Place;
typedef struct Places {
  int n, capacity;
  Place *at;
} Places;

typedef struct KernelPlace {
  Place line, schedule;
  int first_instr; /* in the function's list */
} KernelPlace;

typedef struct FuncPlaces {
  Place line;
  Places buffers, instrs, results;
  int n_kernels, cap_kernels;
  KernelPlace *kernel;
} FuncPlaces;

typedef struct Word { /* what a value can be */
  KOp kop;
  Op op;
} Word;

enum { MOST_WORDS = (int)OP_COUNT + (int)K_OP, MOST_LANES = 64, MOST_TILE = 1 << 20 };

typedef struct Reader {
  Lex l;
  KModule *m;
  int cap_vars, cap_offsets;
  KFunc *f;
  FuncPlaces *places, func_places[4];
  Places vars;
  Numbers buffers; /* of this function */
  const Group *group; /* whose braces are open, or NULL */
  Kernel *k;
  Numbers values; /* of this kernel */
  int64_t next_kernel;
  bool absent; /* this line uses something whose line was wrong */
  int n_words;
  Word word[MOST_WORDS];
  const char *word_text[MOST_WORDS];
} Reader;

static void add_word(Reader *r, KOp kop, Op op, const char *text) {
  r->word[r->n_words] = (Word){kop, op};
  r->word_text[r->n_words++] = text;
}

static void make_words(Reader *r) {
  for (KOp kop = K_LOAD; kop < K_OP; kop++)
    if (kop != K_STORE)
      add_word(r, kop, OP_PARAM, kop_text[kop]);
  for (Op op = 0; op < OP_COUNT; op++)
    if (op_info[op].elementwise)
      add_word(r, K_OP, op, op_info[op].text);
  static const Op reduce[] = {OP_SUM, OP_RMAX, OP_ARGMAX};
  for (size_t i = 0; i < sizeof reduce / sizeof *reduce; i++)
    add_word(r, K_REDUCE, reduce[i], op_info[reduce[i]].text);
}

static void add_place(Reader *r, Places *p, size_t begin) {
  p->at = arena_grow(r->l.arena, p->at, p->n, &p->capacity, sizeof *p->at);
  p->at[p->n++] = (Place){begin, r->l.at};
}

/* -- words, numbers, references */

static bool is_next(Lex *l, char c) {
  size_t at = lex_here(l);
  return at < l->source->size && l->source->text[at] == c;
}

/* One character that may stand before a digit: `b`, `%`, `x`. */
static bool want_char(Lex *l, char c) {
  size_t begin = lex_here(l), size = l->source->size;
  bool is = is_next(l, c);
  l->at += begin < size && l->source->text[begin] != '\n';
  return is || lex_fail(l, "E0901", begin, "expected %s",
                        c == 'b'   ? "a buffer, as in b0"
                        : c == '%' ? "a value, as in %0"
                                   : "'x' and the number of lanes");
}

/* The number of a new thing: greater than those before it. */
static bool read_new(Reader *r, char sigil, const Numbers *n, int64_t *number) {
  int64_t least = n->n ? n->at[n->n - 1].number + 1 : 0;
  return want_char(&r->l, sigil) && lex_int(&r->l, least, INT32_MAX, number);
}

static void add_number(Reader *r, Numbers *n, int64_t number, int index) {
  n->at = arena_grow(r->l.arena, n->at, n->n, &n->capacity, sizeof *n->at);
  n->at[n->n++] = (struct Number){number, index};
}

/* `b3` or `%3` as its index; 0, and r->absent, if that line was wrong. */
static bool read_old(Reader *r, char sigil, const Numbers *n, int *index) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  int64_t number;
  if (!want_char(l, sigil) || !lex_int(l, 0, INT32_MAX, &number))
    return false;
  int low = 0, high = n->n;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (n->at[middle].number < number)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == n->n || n->at[low].number != number)
    return lex_fail(l, "E0905", begin, "%c%lld has no line above this one",
                    sigil, (long long)number);
  *index = n->at[low].index;
  if (*index < 0) {
    r->absent = true;
    *index = 0;
  }
  return true;
}

static bool read_value(Reader *r, int *index) {
  return read_old(r, '%', &r->values, index);
}

/* `[4 10 | 84]`: numbers for parallel and for reduced dimensions. */
static bool read_dims(Lex *l, int64_t least, int64_t most, int *n_par,
                      int *n_red, int64_t *v) {
  int n = 0, bar = -1;
  if (!lex_want(l, "["))
    return false;
  while (!lex_take(l, "]")) {
    size_t begin = lex_here(l);
    if (bar < 0 && lex_take(l, "|")) {
      bar = n;
      continue;
    }
    int64_t x;
    if (!lex_int(l, least, most, &x))
      return false;
    if (n == MAX_DIMS)
      return lex_fail(l, "E0904", begin, "more than %d dimensions", MAX_DIMS);
    v[n++] = x;
  }
  *n_par = bar < 0 ? n : bar;
  *n_red = n - *n_par;
  return true;
}

/* The same for a kernel whose dimensions are known. */
static bool want_dims(Reader *r, int64_t least, int64_t most, int64_t *v) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  const Kernel *k = r->k;
  int n_par, n_red;
  if (!read_dims(l, least, most, &n_par, &n_red, v))
    return false;
  return (n_par == k->n_par && n_red == k->n_red) ||
         lex_fail(l, "E0904", begin,
                  "the kernel has %d parallel and %d reduced dimensions, not "
                  "%d and %d",
                  k->n_par, k->n_red, n_par, n_red);
}

/* -- instructions */

/* The base of an affine form: a number that `+` parts from the steps, or that
 * stands where there are none. */
static bool read_base(Reader *r, Affine *a) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  if (is_next(l, '|') || is_next(l, '%') || is_next(l, ']'))
    return true;
  if (!lex_int(l, -MAX_COUNT, MAX_COUNT, &a->base))
    return false;
  size_t end = l->at;
  if (lex_take(l, "+") && !is_next(l, '%'))
    return true;
  l->at = end;
  if (r->k->n_par > 0 || r->group) { /* it was the first step */
    a->base = 0;
    l->at = begin;
  }
  return true;
}

/* In a group: `part turn;` */
static bool read_group_steps(Lex *l, Affine *a) {
  return lex_int(l, -MAX_COUNT, MAX_COUNT, &a->part) &&
         lex_int(l, -MAX_COUNT, MAX_COUNT, &a->turn) && lex_want(l, ";");
}

/* `[base + steps + %index * scale]`; `indexed` NULL: without an index. */
static bool read_affine(Reader *r, Affine *a, Instr *indexed) {
  Lex *l = &r->l;
  const Kernel *k = r->k;
  *a = (Affine){0};
  if (!lex_want(l, "[") || !read_base(r, a) ||
      (r->group && !read_group_steps(l, a)))
    return false;
  for (int d = 0; d < k->n_par; d++)
    if (!lex_int(l, -MAX_COUNT, MAX_COUNT, &a->coef[d]))
      return false;
  if (k->n_red > 0 && lex_take(l, "|"))
    for (int d = k->n_par; d < kernel_dims(k); d++)
      if (!lex_int(l, -MAX_COUNT, MAX_COUNT, &a->coef[d]))
        return false;
  if (indexed && (is_next(l, '%') || lex_take(l, "+")))
    if (!read_value(r, &indexed->in[1]) || !lex_want(l, "*") ||
        !lex_int(l, 1, MAX_COUNT, &indexed->scale))
      return false;
  return lex_want(l, "]");
}

static bool read_access(Reader *r, Instr *i) {
  return read_old(r, 'b', &r->buffers, &i->buffer) && read_affine(r, &i->at, i);
}

static bool read_operands(Reader *r, Instr *i) {
  for (int o = 0; o < instr_operands(i); o++)
    if ((o > 0 && !lex_want(&r->l, ",")) || !read_value(r, &i->in[o]))
      return false;
  return true;
}

/* What stands behind the word of a value, up to the colon. */
static bool read_rest(Reader *r, Instr *i) {
  Lex *l = &r->l;
  int64_t place;
  switch (i->kop) {
  case K_LOAD:
    return read_access(r, i) &&
           (!lex_take(l, "if") || read_value(r, &i->in[0]));
  case K_CONST:
    return lex_number(l, &i->value);
  case K_INDEX:
    return read_affine(r, &i->at, NULL);
  case K_INRANGE:
    return lex_int(l, -MAX_COUNT, MAX_COUNT, &i->low) && lex_want(l, "<=") &&
           read_affine(r, &i->at, NULL) && lex_want(l, "<") &&
           lex_int(l, -MAX_COUNT, MAX_COUNT, &i->high);
  case K_RAND:
    if (!lex_int(l, 0, UINT32_MAX, &place) || !lex_want(l, "at") ||
        !read_affine(r, &i->at, NULL))
      return false;
    i->place = (uint32_t)place;
    return !lex_take(l, "row") || read_affine(r, &i->row, NULL);
  case K_OP:
  case K_REDUCE:
    return read_operands(r, i);
  case K_STORE:
    break;
  }
  defect("bad word %d", (int)i->kop);
}

static void add_instr(Reader *r, const Instr *i, size_t begin) {
  Kernel *k = r->k;
  k->instr = arena_grow(r->l.arena, k->instr, k->n_instrs, &k->cap_instrs,
                        sizeof *k->instr);
  k->instr[k->n_instrs++] = *i;
  add_place(r, &r->places->instrs, begin);
}

/* `%N = WORD .. : TYPE` */
static void read_value_line(Reader *r) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  Instr i = {.in = {-1, -1, -1}};
  int64_t number;
  int which, type;
  if (!read_new(r, '%', &r->values, &number) || !lex_want(l, "="))
    return;
  r->absent = false;
  bool made = lex_choice(l, "an operation of kernels", r->word_text, r->n_words,
                         &which);
  if (made) {
    i.kop = r->word[which].kop;
    i.op = r->word[which].op;
    made = read_rest(r, &i) && lex_want(l, ":") &&
           lex_choice(l, "an element type", dtype_name, T_COUNT, &type) &&
           lex_want_end(l) && !r->absent;
  }
  add_number(r, &r->values, number, made ? r->k->n_instrs : -1);
  i.type = made ? (DType)type : T_F32;
  if (made)
    add_instr(r, &i, begin);
}

/* Behind `store`. Its type is the buffer's. */
static void read_store(Reader *r, size_t begin) {
  Lex *l = &r->l;
  Instr i = {.kop = K_STORE, .in = {-1, -1, -1}};
  r->absent = false;
  if (!read_access(r, &i))
    return;
  i.accumulate = lex_take(l, "+=");
  if ((!i.accumulate && !lex_want(l, "=")) || !read_value(r, &i.in[0]) ||
      !lex_want_end(l) || r->absent)
    return;
  i.type = r->f->buffer[i.buffer].type.dtype;
  add_instr(r, &i, begin);
}

/* -- kernels */

/* Behind `schedule`. */
static void read_schedule(Reader *r, Place *place, size_t begin) {
  Lex *l = &r->l;
  Kernel *k = r->k;
  Schedule s = {.vec = -1, .lanes = 1, .pieces = 1};
  int64_t order[MAX_DIMS], tile[MAX_DIMS], x;
  if (kernel_is_scheduled(k)) {
    lex_fail(l, "E0901", begin, "a second schedule of this kernel");
    return;
  }
  k->schedule.pieces = 1;
  if (!lex_want(l, "order") || !lex_want(l, "=") ||
      !want_dims(r, 0, MAX_DIMS - 1, order))
    return;
  for (int d = 0; d < kernel_dims(k); d++)
    tile[d] = 1;
  if (lex_take(l, "vector")) {
    if (!lex_want(l, "=") || !lex_int(l, 0, MAX_DIMS - 1, &x))
      return;
    s.vec = (int)x;
    if (!want_char(l, 'x') || !lex_int(l, 1, MOST_LANES, &x))
      return;
    s.lanes = (int)x;
  }
  if (lex_take(l, "tile") &&
      (!lex_want(l, "=") || !want_dims(r, 1, MOST_TILE, tile)))
    return;
  if (lex_take(l, "pieces") &&
      (!lex_want(l, "=") || !lex_int(l, 1, MAX_COUNT, &s.pieces)))
    return;
  if (!lex_want_end(l))
    return;
  s.n_order = kernel_dims(k);
  for (int d = 0; d < kernel_dims(k); d++) {
    s.order[d] = (int)order[d];
    s.tile[d] = (int)tile[d];
  }
  k->schedule = s;
  *place = (Place){begin, l->at};
}

/* Lines up to `}`; with `skip`, of a kernel whose first line was wrong. */
static void read_kernel_lines(Reader *r, KernelPlace *place, bool skip) {
  Lex *l = &r->l;
  while (lex_line(l)) {
    size_t begin = lex_here(l);
    if (lex_take(l, "}")) {
      lex_want_end(l);
      return;
    }
    if (skip)
      continue;
    if (lex_take(l, "schedule"))
      read_schedule(r, &place->schedule, begin);
    else if (lex_take(l, "store"))
      read_store(r, begin);
    else
      read_value_line(r);
  }
  if (l->errors < LEX_ERRORS)
    lex_fail(l, "E0901", l->at, "expected '}' at the end of a kernel");
}

/* Behind `kernel`. */
static void read_kernel(Reader *r, size_t begin) {
  Lex *l = &r->l;
  Kernel *k = r->k = kernel_new(l->arena);
  k->group = r->group;
  FuncPlaces *p = r->places;
  Loc locs[MAX_LOCS];
  int64_t number;
  bool good = lex_int(l, r->next_kernel, INT32_MAX, &number);
  if (good)
    r->next_kernel = number + 1;
  good = good && read_dims(l, 1, MAX_COUNT, &k->n_par, &k->n_red, k->extent) &&
         lex_want(l, "{") && lex_locs(l, &k->n_locs, locs) && lex_want_end(l);
  if (k->n_locs > 0) {
    k->locs = arena_alloc(l->arena, sizeof locs);
    memcpy(k->locs, locs, (size_t)k->n_locs * sizeof *locs);
  }
  p->kernel = arena_grow(l->arena, p->kernel, p->n_kernels, &p->cap_kernels,
                         sizeof *p->kernel);
  KernelPlace *place = &p->kernel[p->n_kernels++];
  *place = (KernelPlace){.line = {begin, l->at}, .first_instr = p->instrs.n};
  kfunc_add_kernel(l->arena, r->f, k);
  r->values.n = 0;
  read_kernel_lines(r, place, !good);
}

/* -- functions */

/* Nothing, or `at N`. */
static bool read_offset(Lex *l, int64_t *offset) {
  *offset = -1;
  return !lex_take(l, "at") || lex_int(l, 0, INT64_MAX, offset);
}

/* Behind `buffer`. */
static void read_buffer(Reader *r, size_t begin) {
  Lex *l = &r->l;
  Buffer b = {.name = ""};
  int64_t number;
  int kind;
  if (!read_new(r, 'b', &r->buffers, &number))
    return;
  bool made =
      lex_choice(l, "a kind of buffer", buffer_kind_name, BUF_TEMP + 1, &kind);
  if (made) {
    b.kind = (BufferKind)kind;
    b.name = kind == BUF_TEMP ? "" : lex_name(l, "a name");
    made = b.name && lex_type(l, &b.type);
    b.sample = made && lex_take(l, "sample");
    b.local = made && lex_take(l, "local");
    made = made && read_offset(l, &b.offset) && lex_want_end(l);
  }
  add_number(r, &r->buffers, number,
             made ? kfunc_add_buffer(l->arena, r->f, b) : -1);
  if (made)
    add_place(r, &r->places->buffers, begin);
}

/* Behind `result`. */
static void read_result(Reader *r, size_t begin) {
  Lex *l = &r->l;
  KFunc *f = r->f;
  KResult x = {.name = lex_name(l, "a name")};
  r->absent = false;
  if (!x.name || !lex_want(l, "=") || !read_old(r, 'b', &r->buffers, &x.buffer))
    return;
  x.sample = lex_take(l, "sample");
  if (!lex_want_end(l) || r->absent)
    return;
  x.type = f->buffer[x.buffer].type;
  f->result = arena_grow(l->arena, f->result, f->n_results, &f->cap_results,
                         sizeof *f->result);
  f->result[f->n_results++] = x;
  add_place(r, &r->places->results, begin);
}

/* Behind `group`: `parts=N turns=N at N bytes=N {` and kernels up to `}`. */
static void read_group(Reader *r, size_t begin) {
  Lex *l = &r->l;
  Group *g = arena_alloc(l->arena, sizeof *g);
  int before = r->f->n_kernels;
  *g = (Group){.offset = -1, .bytes = -1};
  if (lex_want(l, "parts") && lex_want(l, "=") &&
      lex_int(l, 1, MAX_COUNT, &g->parts) && lex_want(l, "turns") &&
      lex_want(l, "=") && lex_int(l, 1, MAX_COUNT, &g->turns) &&
      (!lex_take(l, "at") ||
       (lex_int(l, 0, INT64_MAX, &g->offset) && lex_want(l, "bytes") &&
        lex_want(l, "=") && lex_int(l, 0, INT64_MAX, &g->bytes))) &&
      lex_want(l, "{"))
    lex_want_end(l);
  r->group = g;
  while (r->group && lex_line(l)) {
    size_t at = lex_here(l);
    if (lex_take(l, "}")) {
      lex_want_end(l);
      r->group = NULL;
    } else if (lex_take(l, "kernel")) {
      read_kernel(r, at);
    } else {
      l->at++;
      lex_fail(l, "E0901", at, "expected 'kernel' or '}'");
    }
  }
  if (r->group && l->errors < LEX_ERRORS)
    lex_fail(l, "E0901", l->at, "expected '}' at the end of a group");
  else if (r->f->n_kernels == before)
    lex_fail(l, "E0901", begin, "a group without kernels");
  r->group = NULL;
}

static void read_func_lines(Reader *r) {
  Lex *l = &r->l;
  while (lex_line(l)) {
    size_t begin = lex_here(l);
    if (lex_take(l, "}")) {
      lex_want_end(l);
      return;
    }
    if (lex_take(l, "buffer"))
      read_buffer(r, begin);
    else if (lex_take(l, "group"))
      read_group(r, begin);
    else if (lex_take(l, "kernel"))
      read_kernel(r, begin);
    else if (lex_take(l, "result"))
      read_result(r, begin);
    else {
      l->at++;
      lex_fail(l, "E0901", begin, "expected 'buffer', 'kernel', 'group' or 'result'");
    }
  }
  if (l->errors < LEX_ERRORS)
    lex_fail(l, "E0901", l->at, "expected '}' at the end of %.60s", r->f->name);
}

/* Behind `func`. */
static void read_func(Reader *r, size_t begin) {
  Lex *l = &r->l;
  KModule *m = r->m;
  int most = (int)(sizeof m->func / sizeof *m->func);
  if (m->n_funcs == most) {
    lex_fail(l, "E0904", begin, "more than %d functions", most);
    l->errors = LEX_ERRORS;
    return;
  }
  const char *name = lex_name(l, "a name");
  r->f = arena_alloc(l->arena, sizeof *r->f);
  r->f->name = name ? name : "";
  if (name && lex_want(l, "{"))
    lex_want_end(l);
  r->places = &r->func_places[m->n_funcs];
  r->places->line = (Place){begin, l->at};
  m->func[m->n_funcs++] = r->f;
  r->buffers.n = 0;
  r->next_kernel = 0;
  read_func_lines(r);
}

/* -- the whole */

/* Behind `var`. */
static void read_var(Reader *r, size_t begin) {
  Lex *l = &r->l;
  KModule *m = r->m;
  Var v = {.name = lex_name(l, "a name")};
  int64_t offset;
  int kind;
  if (!v.name ||
      !lex_choice(l, "a kind of variable", var_kind_name,
                  VAR_OPTIMIZER_STATE + 1, &kind) ||
      !lex_type(l, &v.type) || !read_offset(l, &offset) || !lex_want_end(l))
    return;
  v.kind = (VarKind)kind;
  m->var =
      arena_grow(l->arena, m->var, m->n_vars, &r->cap_vars, sizeof *m->var);
  m->var_offset = arena_grow(l->arena, m->var_offset, m->n_vars,
                             &r->cap_offsets, sizeof *m->var_offset);
  m->var[m->n_vars] = v;
  m->var_offset[m->n_vars++] = offset;
  add_place(r, &r->vars, begin);
}

/* `kernels limit=N cpu=NAME scalars=N bytes=N` */
static bool read_header(Reader *r) {
  Lex *l = &r->l;
  KModule *m = r->m;
  if (!lex_want(l, "kernels") || !lex_limit(l, &m->limit))
    return false;
  if (lex_take(l, "cpu")) {
    m->cpu = lex_want(l, "=") ? lex_name(l, "a processor") : NULL;
    if (!m->cpu)
      return false;
  }
  if (lex_take(l, "scalars") &&
      (!lex_want(l, "=") || !lex_int(l, 0, INT64_MAX, &m->scalars) ||
       !lex_want(l, "bytes") || !lex_want(l, "=") ||
       !lex_int(l, 0, INT64_MAX, &m->bytes)))
    return false;
  return lex_want_end(l);
}

/* Runs the verifier and tells what it found at the line that it is about. */
static void verify(Reader *r) {
  KViolation v = verify_find_kernels(r->l.arena, r->m);
  if (!v.text)
    return;
  Place at = {0, 1};
  const FuncPlaces *f = v.func < 0 ? NULL : &r->func_places[v.func];
  const KernelPlace *k = v.kernel < 0 ? NULL : &f->kernel[v.kernel];
  if (v.var >= 0)
    at = r->vars.at[v.var];
  else if (v.instr >= 0)
    at = f->instrs.at[k->first_instr + v.instr];
  else if (v.kernel >= 0)
    at = v.schedule ? k->schedule : k->line;
  else if (v.buffer >= 0)
    at = f->buffers.at[v.buffer];
  else if (v.result >= 0)
    at = f->results.at[v.result];
  else if (v.func >= 0)
    at = f->line;
  r->l.at = at.end;
  lex_fail(&r->l, "E0907", at.begin, "%s", v.text);
}

KModule *read_kmodule(Arena *a, Diags *d, const Source *source) {
  Reader *r = arena_alloc(a, sizeof *r);
  Lex *l = &r->l;
  *l = lex_of(a, d, source);
  r->m = arena_alloc(a, sizeof *r->m);
  *r->m = (KModule){.arena = a, .scalars = -1, .bytes = -1};
  make_words(r);
  if (!lex_line(l)) {
    lex_fail(l, "E0901", 0, "expected 'kernels', not an empty text");
    return NULL;
  }
  if (!read_header(r))
    return NULL;
  while (lex_line(l)) {
    size_t begin = lex_here(l);
    if (lex_take(l, "var"))
      read_var(r, begin);
    else if (lex_take(l, "func"))
      read_func(r, begin);
    else {
      l->at++;
      lex_fail(l, "E0901", begin, "expected 'var' or 'func'");
    }
  }
  if (!l->errors)
    verify(r);
  return l->errors ? NULL : r->m;
}
