/* Contractions: `@` and einsum. Both give each axis of the operands and of the
 * result a label; one routine makes the dot of that. An axis that both operands
 * and the result have is a batch axis, one that only the operands share is
 * contracted, the others are free; an axis that one operand has alone and the
 * result lacks is summed beforehand. The implicit batch is one more label. */
#include "frontend/lower.h"

#include <string.h>

enum { LABEL_BATCH = 1 }; /* others are letters, or 2.. for matmul */

typedef struct Labels {
  int n;
  int label[MAX_RANK + 1];
} Labels;

static int find_label(const Labels *l, int label) {
  for (int i = 0; i < l->n; i++)
    if (l->label[i] == label)
      return i;
  return -1;
}

static void add_label(Labels *l, int label) {
  if (l->n > MAX_RANK)
    defect("more labels than axes");
  l->label[l->n++] = label;
}

/* Sums axes that neither the other operand nor the result has. */
static Node *sum_alone(Lower *L, Node *n, Labels *own, const Labels *other,
                       const Labels *out) {
  int axes[MAX_RANK], count = 0;
  Labels rest = {0};
  for (int i = 0; i < own->n; i++)
    if (find_label(other, own->label[i]) < 0 &&
        find_label(out, own->label[i]) < 0)
      axes[count++] = i;
    else
      add_label(&rest, own->label[i]);
  *own = rest;
  return count ? graph_reduce(L->g, OP_SUM, n, count, axes) : n;
}

static Node *arrange(Lower *L, Node *n, const Labels *from, const Labels *to) {
  int axes[MAX_RANK];
  if (from->n != to->n)
    defect("labels are lost");
  for (int i = 0; i < to->n; i++)
    axes[i] = find_label(from, to->label[i]);
  return permute_to(L, n, axes);
}

static const Value *contract(const Scope *s, Span at, const Value *a,
                             Labels la, const Value *b, Labels lb,
                             Labels out) {
  Lower *L = s->L;
  set_loc(s, at);
  Node *na = sum_alone(L, cast_to(L, a->node, T_F32), &la, &lb, &out);
  Node *nb = sum_alone(L, cast_to(L, b->node, T_F32), &lb, &la, &out);
  Labels left = {0}, right = {0}, result = {0};
  for (int i = 0; i < out.n; i++)
    if (find_label(&la, out.label[i]) >= 0 &&
        find_label(&lb, out.label[i]) >= 0) {
      add_label(&left, out.label[i]);
      add_label(&right, out.label[i]);
      add_label(&result, out.label[i]);
    }
  int batch = result.n, shared = 0;
  for (int side = 0; side < 2; side++)
    for (int i = 0; i < out.n; i++) {
      const Labels *own = side ? &lb : &la, *other = side ? &la : &lb;
      if (find_label(own, out.label[i]) < 0 ||
          find_label(other, out.label[i]) >= 0)
        continue;
      add_label(side ? &right : &left, out.label[i]);
      add_label(&result, out.label[i]);
    }
  for (int i = 0; i < la.n; i++)
    if (find_label(&out, la.label[i]) < 0) {
      add_label(&left, la.label[i]);
      add_label(&right, la.label[i]);
      shared++;
    }
  int64_t dim[MAX_RANK + 1];
  for (int i = 0; i < result.n; i++) {
    int k = find_label(&la, result.label[i]);
    dim[i] = k >= 0 ? na->type.dim[k]
                    : nb->type.dim[find_label(&lb, result.label[i])];
  }
  if (!check_size(s, at, result.n, dim))
    return &poison;
  Node *dot = graph_dot(L->g, arrange(L, na, &la, &left),
                        arrange(L, nb, &lb, &right), batch, shared);
  const Value *v = value_node(L, arrange(L, dot, &result, &out),
                              a->sample || b->sample);
  return value_from(L, v, own_span(s, at), NULL);
}

/* -- @ */

static const Value *tell_matmul(const Scope *s, Span at, const Value *a,
                                const Value *b) {
  Diag *diag = fail(s, "E0304", at, "%s @ %s: the inner sizes differ",
                    value_text(s->L, a), value_text(s->L, b));
  note_origin(s->L, diag, a);
  note_origin(s->L, diag, b);
  return &poison;
}

/* Labels of the last axes are 2 (rows), 3 (columns), 4 (inner); those in front
 * are 10, 11 .. from the right. */
static Labels matmul_labels(const Value *v, bool left, int rank) {
  Labels l = {0};
  if (v->sample)
    add_label(&l, LABEL_BATCH);
  for (int i = 0; i < rank - 2; i++)
    add_label(&l, 10 + rank - 3 - i);
  if (rank == 1)
    add_label(&l, 4);
  else {
    add_label(&l, left ? 2 : 4);
    add_label(&l, left ? 4 : 3);
  }
  return l;
}

const Value *matmul(const Scope *s, Span at, const Value *a, const Value *b) {
  if (a->kind == V_LIST)
    a = list_tensor(s, at, a);
  if (b->kind == V_LIST)
    b = list_tensor(s, at, b);
  if (!(a = need_tensor(s, at, a, "the left of @")) ||
      !(b = need_tensor(s, at, b, "the right of @")))
    return &poison;
  int ra = sample_rank(a), rb = sample_rank(b);
  if (ra == 0 || rb == 0) {
    fail(s, "E0304", at, "@ wants axes on both sides; a single number is "
         "multiplied with *");
    return &poison;
  }
  const int64_t *da = sample_dims(a), *db = sample_dims(b);
  if (da[ra - 1] != db[rb == 1 ? 0 : rb - 2])
    return tell_matmul(s, at, a, b);
  /* Axes in front that both have must agree or be 1; a 1 is dropped. */
  Labels la = matmul_labels(a, true, ra), lb = matmul_labels(b, false, rb);
  for (int i = 0; i < ra - 2 && i < rb - 2; i++) {
    int64_t x = da[ra - 3 - i], y = db[rb - 3 - i];
    if (x != y && x != 1 && y != 1)
      return tell_matmul(s, at, a, b);
    if (x != y) { /* another label: it is summed away, which 1 survives */
      Labels *l = x == 1 ? &la : &lb;
      l->label[find_label(l, 10 + i)] = 40 + i;
    }
  }
  Labels out = {0};
  if (a->sample || b->sample)
    add_label(&out, LABEL_BATCH);
  for (int i = (ra > rb ? ra : rb) - 3; i >= 0; i--)
    add_label(&out, 10 + i);
  if (ra > 1)
    add_label(&out, 2);
  if (rb > 1)
    add_label(&out, 3);
  return contract(s, at, a, la, b, lb, out);
}

const Value *transpose(const Scope *s, Span at, const Value *a) {
  Lower *L = s->L;
  if (a->kind == V_NUMBER)
    return a;
  if (!(a = need_tensor(s, at, a, "what ' transposes")))
    return &poison;
  int r = sample_rank(a), axes[MAX_RANK];
  if (r < 2) {
    fail(s, "E0304", at, "' swaps the last two axes, but %s has %d",
         value_text(L, a), r);
    return &poison;
  }
  int all = a->node->type.rank;
  for (int i = 0; i < all; i++)
    axes[i] = i;
  axes[all - 1] = all - 2;
  axes[all - 2] = all - 1;
  set_loc(s, at);
  return value_from(L, value_node(L, permute_to(L, a->node, axes), a->sample),
                    own_span(s, at), NULL);
}

/* -- einsum("ab,bc->ac", x, y) */

/* Reads letters up to `stop` (or the end). False if one comes twice. */
static bool read_labels(const char **p, char stop, Labels *l) {
  for (; **p && **p != stop; (*p)++) {
    if (**p == ' ')
      continue;
    bool letter = (**p >= 'a' && **p <= 'z') || (**p >= 'A' && **p <= 'Z');
    if (!letter || find_label(l, **p) >= 0 || l->n >= MAX_RANK - 1)
      return false;
    add_label(l, **p);
  }
  return true;
}

static bool read_spec(const char *spec, Labels *a, Labels *b, Labels *out) {
  const char *p = spec;
  if (!read_labels(&p, ',', a) || *p++ != ',' || !read_labels(&p, '-', b) ||
      p[0] != '-' || p[1] != '>')
    return false;
  p += 2;
  if (!read_labels(&p, 0, out))
    return false;
  for (int i = 0; i < out->n; i++)
    if (find_label(a, out->label[i]) < 0 && find_label(b, out->label[i]) < 0)
      return false;
  return true;
}

static void with_batch(Labels *l, bool sample) {
  if (!sample)
    return;
  memmove(l->label + 1, l->label, (size_t)l->n * sizeof *l->label);
  l->label[0] = LABEL_BATCH;
  l->n++;
}

const Value *einsum(const Scope *s, Span at, const char *spec, const Value *a,
                    const Value *b) {
  Lower *L = s->L;
  Labels la = {0}, lb = {0}, out = {0};
  if (!read_spec(spec, &la, &lb, &out)) {
    fail(s, "E0304", at, "\"%.60s\" is not like \"ab,bc->ac\": a letter for "
         "each axis, each once, and those of the result among them", spec);
    return &poison;
  }
  if (!(a = need_tensor(s, at, a, "an operand of einsum")) ||
      !(b = need_tensor(s, at, b, "an operand of einsum")))
    return &poison;
  bool fits = la.n == sample_rank(a) && lb.n == sample_rank(b);
  for (int i = 0; fits && i < la.n; i++) {
    int k = find_label(&lb, la.label[i]);
    fits = k < 0 || sample_dims(a)[i] == sample_dims(b)[k];
  }
  if (!fits) {
    Diag *diag = fail(s, "E0304", at, "\"%.60s\" does not fit %s and %s", spec,
                      value_text(L, a), value_text(L, b));
    note_origin(L, diag, a);
    note_origin(L, diag, b);
    return &poison;
  }
  with_batch(&la, a->sample);
  with_batch(&lb, b->sample);
  with_batch(&out, a->sample || b->sample);
  return contract(s, at, a, la, b, lb, out);
}
