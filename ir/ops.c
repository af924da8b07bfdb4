/* The tables that come from ops.def and the vocabulary of types: names, sizes,
 * comparisons, the attribute column word by word. Nothing here knows what an
 * operation means. */
#include "ir/ir.h"

#include <string.h>

const char *const dtype_name[T_COUNT] = {
    [T_F32] = "f32", [T_F64] = "f64", [T_I32] = "i32",
    [T_U32] = "u32", [T_I1] = "i1",
};

const int dtype_size[T_COUNT] = {
    [T_F32] = 4, [T_F64] = 8, [T_I32] = 4, [T_U32] = 4, [T_I1] = 1,
};

const char *const var_kind_name[] = {
    [VAR_WEIGHT] = "weight",
    [VAR_BIAS] = "bias",
    [VAR_SCALE] = "scale",
    [VAR_LAYER_STATE] = "layer_state",
    [VAR_OPTIMIZER_STATE] = "optimizer_state",
};

/* A row has at most two flags; the blanks keep both indices inside. */
#define FLAG(flags, c) ((flags "  ")[0] == (c) || (flags "  ")[1] == (c))

const OpInfo op_info[OP_COUNT] = {
#define OP(op, text_, operands_, flags, attributes_)                           \
  [OP_##op] = {.text = text_,                                                  \
               .operands = operands_,                                          \
               .attributes = attributes_,                                      \
               .elementwise = FLAG(flags, 'E'),                                \
               .commutes = FLAG(flags, 'C'),                                   \
               .view = FLAG(flags, 'V'),                                       \
               .reduces = FLAG(flags, 'R'),                                    \
               .leaf = FLAG(flags, 'L'),                                       \
               .costly = FLAG(flags, 'X')},
#include "ir/ops.def"
#undef OP
};

bool attr_next(AttrField *f) {
  const char *s = f->rest;
  while (*s == ' ')
    s++;
  if (!*s)
    return false;
  int n = (int)strcspn(s, " *");
  f->word = s;
  f->length = n;
  if (s[n] == '*')
    f->kind = ATTR_AXES;
  else if (n == 4 && !memcmp(s, "name", 4))
    f->kind = ATTR_NAME;
  else if (n == 5 && !memcmp(s, "value", 5))
    f->kind = ATTR_VALUE;
  else
    f->kind = ATTR_NUM;
  if (f->kind == ATTR_NUM)
    f->num++;
  f->rest = s + n + (s[n] == '*');
  return true;
}

int attr_index(Op op, const char *word) {
  AttrField f = attr_fields(op);
  while (attr_next(&f))
    if (f.kind == ATTR_NUM && strlen(word) == (size_t)f.length &&
        !memcmp(word, f.word, (size_t)f.length))
      return f.num;
  return -1;
}

int64_t node_num(const Node *n, const char *word) {
  int i = attr_index(n->op, word);
  if (i < 0)
    defect("%s has no attribute %s", op_info[n->op].text, word);
  return n->attr.num[i];
}

Type type_scalar(DType t) { return (Type){.dtype = t}; }

Type type_of(DType t, int rank, const int64_t *dim) {
  if (rank < 0 || rank > MAX_RANK)
    defect("a type of rank %d", rank);
  Type type = {.dtype = t, .rank = rank};
  for (int i = 0; i < rank; i++)
    type.dim[i] = dim[i];
  return type;
}

bool shape_equal(const Type *a, const Type *b) {
  if (a->rank != b->rank)
    return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dim[i] != b->dim[i])
      return false;
  return true;
}

bool type_equal(const Type *a, const Type *b) {
  return a->dtype == b->dtype && shape_equal(a, b);
}

int64_t type_count(const Type *t) {
  int64_t count = 1;
  for (int i = 0; i < t->rank; i++)
    count *= t->dim[i];
  return count;
}

void text_add_type(Text *t, const Type *type) {
  text_add(t, "%s[", dtype_name[type->dtype]);
  for (int i = 0; i < type->rank; i++)
    text_add(t, i ? ",%lld" : "%lld", (long long)type->dim[i]);
  text_add(t, "]");
}
