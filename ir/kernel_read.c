/* Reads the text form of kernels, which kernel_print.c writes and shows. The
 * numbers of buffers, kernels and values rise; they need not be dense, so that
 * a line can be taken out by hand.
 *
 * The text is untrusted. A line that is wrong becomes a diagnostic at its place
 * and its value or buffer is absent: lines that use it are read, to find what
 * else is wrong with them, and make nothing. What the grammar cannot see, the
 * verifier finds in the whole, and that is told at the line that it is about. */
#include "ir/kernel_read.h"

#include <string.h>

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
      !kread_want_dims(r, 0, MAX_DIMS - 1, order))
    return;
  for (int d = 0; d < kernel_dims(k); d++)
    tile[d] = 1;
  if (lex_take(l, "vector")) {
    if (!lex_want(l, "=") || !lex_int(l, 0, MAX_DIMS - 1, &x))
      return;
    s.vec = (int)x;
    if (!kread_want_char(l, 'x') || !lex_int(l, 1, MOST_LANES, &x))
      return;
    s.lanes = (int)x;
  }
  if (lex_take(l, "tile") &&
      (!lex_want(l, "=") || !kread_want_dims(r, 1, MOST_TILE, tile)))
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
      kread_store(r, begin);
    else
      kread_value_line(r);
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
  good = good && kread_dims(l, 1, MAX_COUNT, &k->n_par, &k->n_red, k->extent) &&
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
  if (!kread_new(r, 'b', &r->buffers, &number))
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
  kread_add_number(r, &r->buffers, number,
             made ? kfunc_add_buffer(l->arena, r->f, b) : -1);
  if (made)
    kread_add_place(r, &r->places->buffers, begin);
}

/* Behind `result`. */
static void read_result(Reader *r, size_t begin) {
  Lex *l = &r->l;
  KFunc *f = r->f;
  KResult x = {.name = lex_name(l, "a name")};
  r->absent = false;
  if (!x.name || !lex_want(l, "=") || !kread_old(r, 'b', &r->buffers, &x.buffer))
    return;
  x.sample = lex_take(l, "sample");
  if (!lex_want_end(l) || r->absent)
    return;
  x.type = f->buffer[x.buffer].type;
  f->result = arena_grow(l->arena, f->result, f->n_results, &f->cap_results,
                         sizeof *f->result);
  f->result[f->n_results++] = x;
  kread_add_place(r, &r->places->results, begin);
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
  kread_add_place(r, &r->vars, begin);
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
  kread_make_words(r);
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
