/* Reads the instructions of a kernel's text form, and what its other lines share with
 * them: numbers of things, references to them, dimensions. What is wrong is told
 * and made absent, as kernel_read.c says. */
#include "ir/kernel_read.h"

#include <string.h>

static void add_word(Reader *r, KOp kop, Op op, const char *text) {
  r->word[r->n_words] = (Word){kop, op};
  r->word_text[r->n_words++] = text;
}

void kread_make_words(Reader *r) {
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

void kread_add_place(Reader *r, Places *p, size_t begin) {
  p->at = arena_grow(r->l.arena, p->at, p->n, &p->capacity, sizeof *p->at);
  p->at[p->n++] = (Place){begin, r->l.at};
}

/* -- words, numbers, references */

static bool is_next(Lex *l, char c) {
  size_t at = lex_here(l);
  return at < l->source->size && l->source->text[at] == c;
}

/* One character that may stand before a digit: `b`, `%`, `x`. */
bool kread_want_char(Lex *l, char c) {
  size_t begin = lex_here(l), size = l->source->size;
  bool is = is_next(l, c);
  l->at += begin < size && l->source->text[begin] != '\n';
  return is || lex_fail(l, "E0901", begin, "expected %s",
                        c == 'b'   ? "a buffer, as in b0"
                        : c == '%' ? "a value, as in %0"
                                   : "'x' and the number of lanes");
}

/* The number of a new thing: greater than those before it. */
bool kread_new(Reader *r, char sigil, const Numbers *n, int64_t *number) {
  int64_t least = n->n ? n->at[n->n - 1].number + 1 : 0;
  return kread_want_char(&r->l, sigil) && lex_int(&r->l, least, INT32_MAX, number);
}

void kread_add_number(Reader *r, Numbers *n, int64_t number, int index) {
  n->at = arena_grow(r->l.arena, n->at, n->n, &n->capacity, sizeof *n->at);
  n->at[n->n++] = (struct Number){number, index};
}

/* `b3` or `%3` as its index; 0, and r->absent, if that line was wrong. */
bool kread_old(Reader *r, char sigil, const Numbers *n, int *index) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  int64_t number;
  if (!kread_want_char(l, sigil) || !lex_int(l, 0, INT32_MAX, &number))
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
  return kread_old(r, '%', &r->values, index);
}

/* `[4 10 | 84]`: numbers for parallel and for reduced dimensions. */
bool kread_dims(Lex *l, int64_t least, int64_t most, int *n_par,
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
bool kread_want_dims(Reader *r, int64_t least, int64_t most, int64_t *v) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  const Kernel *k = r->k;
  int n_par, n_red;
  if (!kread_dims(l, least, most, &n_par, &n_red, v))
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
  return kread_old(r, 'b', &r->buffers, &i->buffer) && read_affine(r, &i->at, i);
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
  kread_add_place(r, &r->places->instrs, begin);
}

/* `%N = WORD .. : TYPE` */
void kread_value_line(Reader *r) {
  Lex *l = &r->l;
  size_t begin = lex_here(l);
  Instr i = {.in = {-1, -1, -1}};
  int64_t number;
  int which, type;
  if (!kread_new(r, '%', &r->values, &number) || !lex_want(l, "="))
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
  kread_add_number(r, &r->values, number, made ? r->k->n_instrs : -1);
  i.type = made ? (DType)type : T_F32;
  if (made)
    add_instr(r, &i, begin);
}

/* Behind `store`. Its type is the buffer's. */
void kread_store(Reader *r, size_t begin) {
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
