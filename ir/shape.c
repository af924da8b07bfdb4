/* The type of an operation's result, and what is wrong with its operands.
 *
 * One function for each row of the operation table, found through a table that
 * is made from ops.def, so that a row without one does not link. A function
 * sees checked operands (their number, and each a valid type) and fills `out`;
 * it returns NULL or a sentence. Everything else that reads a graph may rely on
 * what is checked here. The text of a module comes from outside, so every
 * product and sum of sizes is bounded before it is taken. */
#include "ir/ir.h"

#include <math.h>

typedef struct Query {
  Arena *arena;
  Op op;
  const Attr *attr;
  int n_in;
  Node *const *in;
  const Type *hint;
} Query;

typedef const char *Rule(const Query *q, Type *out);

static const char *text_of(Arena *a, const Type *t) {
  Text s;
  text_init(&s, a);
  text_add_type(&s, t);
  return s.s;
}

static const Type *type_in(const Query *q, int i) { return &q->in[i]->type; }

static int64_t num(const Query *q, const char *word) {
  return q->attr->num[attr_index(q->op, word)];
}

#define FAIL(...) return arena_printf(q->arena, __VA_ARGS__)
#define NAME (op_info[q->op].text)
#define TRY(call)                                                              \
  do {                                                                         \
    const char *wrong = (call);                                                \
    if (wrong)                                                                 \
      return wrong;                                                            \
  } while (0)

const char *check_type(Arena *a, const Type *t) {
  if (t->dtype >= T_COUNT)
    return "unknown element type";
  if (t->rank < 0 || t->rank > MAX_RANK)
    return arena_printf(a, "rank %d is above %d", t->rank, MAX_RANK);
  int64_t count = 1;
  for (int i = 0; i < t->rank; i++) {
    if (t->dim[i] < 1)
      return arena_printf(a, "extent %lld of axis %d is below 1",
                          (long long)t->dim[i], i);
    if (t->dim[i] > MAX_COUNT / count)
      return arena_printf(a, "more than %lld elements", (long long)MAX_COUNT);
    count *= t->dim[i];
  }
  return NULL;
}

const char *check_value(Arena *a, double value, DType t) {
  static const struct { double least, most; } range[T_COUNT] = {
      [T_I32] = {-2147483648.0, 2147483647.0},
      [T_U32] = {0, 4294967295.0},
      [T_I1] = {0, 1},
  };
  if (dtype_is_float(t))
    return NULL;
  if (value >= range[t].least && value <= range[t].most &&
      floor(value) == value)
    return NULL;
  return arena_printf(a, "%g is no value of type %s", value, dtype_name[t]);
}

/* -- what the rules share */

static const char *want_hint(const Query *q) {
  if (!q->hint)
    FAIL("%s needs the type of its result", NAME);
  return NULL;
}

static const char *want_float(const Query *q, int i) {
  if (!dtype_is_float(type_in(q, i)->dtype))
    FAIL("%s takes f32 or f64, not %s", NAME, text_of(q->arena, type_in(q, i)));
  return NULL;
}

static const char *want_number(const Query *q, int i) {
  if (type_in(q, i)->dtype == T_I1)
    FAIL("%s takes numbers, not %s", NAME, text_of(q->arena, type_in(q, i)));
  return NULL;
}

static const char *want_dtype(const Query *q, int i, DType t) {
  if (type_in(q, i)->dtype != t)
    FAIL("operand %d of %s is %s, not of type %s", i, NAME,
         text_of(q->arena, type_in(q, i)), dtype_name[t]);
  return NULL;
}

static const char *want_same(const Query *q, int i, int j) {
  if (!type_equal(type_in(q, i), type_in(q, j)))
    FAIL("operands of %s differ: %s and %s", NAME,
         text_of(q->arena, type_in(q, i)), text_of(q->arena, type_in(q, j)));
  return NULL;
}

/* The attribute `axis` as an axis of a type. */
static const char *want_axis(const Query *q, const Type *t, int *axis) {
  int64_t v = num(q, "axis");
  if (v < 0 || v >= t->rank)
    FAIL("%s has no axis %lld", text_of(q->arena, t), (long long)v);
  *axis = (int)v;
  return NULL;
}

static const char *want_between(const Query *q, const char *word, int64_t least,
                                int64_t most) {
  int64_t v = num(q, word);
  if (v < least || v > most)
    FAIL("%s: %s=%lld is not between %lld and %lld", NAME, word, (long long)v,
         (long long)least, (long long)most);
  return NULL;
}

/* -- leaves */

static const char *rule_PARAM(const Query *q, Type *out) {
  TRY(want_hint(q));
  *out = *q->hint;
  if (out->dtype != T_F32)
    FAIL("a parameter is f32, not %s", dtype_name[out->dtype]);
  return NULL;
}

static const char *rule_STATE(const Query *q, Type *out) {
  TRY(want_hint(q));
  *out = *q->hint;
  return NULL;
}

static const char *want_sample(const Query *q, const Type *t) {
  TRY(want_between(q, "sample", 0, 1));
  if (num(q, "sample") && t->rank == 0)
    FAIL("%s with sample=1 has the batch as its first axis", NAME);
  return NULL;
}

static const char *rule_INPUT(const Query *q, Type *out) {
  TRY(want_hint(q));
  *out = *q->hint;
  return want_sample(q, out);
}

static const char *rule_SCALAR(const Query *q, Type *out) {
  TRY(want_hint(q));
  *out = *q->hint;
  if (out->dtype != T_F64 || out->rank != 0)
    FAIL("a scalar is f64[], not %s", text_of(q->arena, out));
  return NULL;
}

static const char *rule_CONST(const Query *q, Type *out) {
  TRY(want_hint(q));
  *out = *q->hint;
  return check_value(q->arena, q->attr->value, out->dtype);
}

static const char *rule_IOTA(const Query *q, Type *out) {
  int axis;
  TRY(want_hint(q));
  *out = *q->hint;
  TRY(want_axis(q, out, &axis));
  if (out->dtype == T_I1 || (out->dtype == T_I32 && out->dim[axis] > INT32_MAX))
    FAIL("%s cannot hold the indices of axis %d", text_of(q->arena, out), axis);
  return NULL;
}

static const char *rule_RAND(const Query *q, Type *out) {
  TRY(want_hint(q));
  *out = *q->hint;
  TRY(want_between(q, "place", 0, UINT32_MAX));
  TRY(want_sample(q, out));
  if (!dtype_is_float(out->dtype))
    FAIL("rand is f32 or f64, not %s", dtype_name[out->dtype]);
  bool sample = num(q, "sample") != 0;
  /* Element numbers and rows are words of the counter. */
  int64_t rows = sample ? out->dim[0] : 1;
  if (rows > UINT32_MAX || type_count(out) / rows > UINT32_MAX)
    FAIL("%s is too large to draw", text_of(q->arena, out));
  return NULL;
}

/* -- elementwise */

static const char *same_number(const Query *q, Type *out) {
  TRY(want_number(q, 0));
  if (type_in(q, 0)->dtype == T_U32)
    FAIL("%s takes signed numbers, not u32", NAME);
  *out = *type_in(q, 0);
  return NULL;
}

static const char *same_float(const Query *q, Type *out) {
  TRY(want_float(q, 0));
  *out = *type_in(q, 0);
  return NULL;
}

static const char *rule_NEG(const Query *q, Type *out) { return same_number(q, out); }
static const char *rule_ABS(const Query *q, Type *out) { return same_number(q, out); }
static const char *rule_SIGN(const Query *q, Type *out) { return same_number(q, out); }
static const char *rule_EXP(const Query *q, Type *out) { return same_float(q, out); }
static const char *rule_LOG(const Query *q, Type *out) { return same_float(q, out); }
static const char *rule_SQRT(const Query *q, Type *out) { return same_float(q, out); }
static const char *rule_TANH(const Query *q, Type *out) { return same_float(q, out); }
static const char *rule_ERF(const Query *q, Type *out) { return same_float(q, out); }
static const char *rule_SIN(const Query *q, Type *out) { return same_float(q, out); }
static const char *rule_COS(const Query *q, Type *out) { return same_float(q, out); }
static const char *rule_FLOOR(const Query *q, Type *out) { return same_float(q, out); }

static const char *rule_NOT(const Query *q, Type *out) {
  TRY(want_dtype(q, 0, T_I1));
  *out = *type_in(q, 0);
  return NULL;
}

static const char *rule_CAST(const Query *q, Type *out) {
  TRY(want_hint(q));
  *out = *type_in(q, 0);
  out->dtype = q->hint->dtype;
  return NULL;
}

static const char *rule_STOP(const Query *q, Type *out) {
  *out = *type_in(q, 0);
  return NULL;
}

static const char *two_numbers(const Query *q, Type *out) {
  TRY(want_number(q, 0));
  TRY(want_same(q, 0, 1));
  *out = *type_in(q, 0);
  return NULL;
}

static const char *two_floats(const Query *q, Type *out) {
  TRY(want_float(q, 0));
  return two_numbers(q, out);
}

static const char *rule_ADD(const Query *q, Type *out) { return two_numbers(q, out); }
static const char *rule_SUB(const Query *q, Type *out) { return two_numbers(q, out); }
static const char *rule_MUL(const Query *q, Type *out) { return two_numbers(q, out); }
static const char *rule_MAX(const Query *q, Type *out) { return two_numbers(q, out); }
static const char *rule_MIN(const Query *q, Type *out) { return two_numbers(q, out); }
static const char *rule_DIV(const Query *q, Type *out) { return two_floats(q, out); }
static const char *rule_POW(const Query *q, Type *out) { return two_floats(q, out); }

static const char *rule_EQ(const Query *q, Type *out) {
  TRY(want_same(q, 0, 1));
  *out = *type_in(q, 0);
  out->dtype = T_I1;
  return NULL;
}

static const char *rule_LT(const Query *q, Type *out) {
  TRY(want_number(q, 0));
  return rule_EQ(q, out);
}

static const char *rule_LE(const Query *q, Type *out) { return rule_LT(q, out); }
static const char *rule_NE(const Query *q, Type *out) { return rule_EQ(q, out); }

static const char *rule_AND(const Query *q, Type *out) {
  TRY(want_dtype(q, 0, T_I1));
  return rule_EQ(q, out);
}

static const char *rule_OR(const Query *q, Type *out) { return rule_AND(q, out); }

static const char *rule_SELECT(const Query *q, Type *out) {
  TRY(want_dtype(q, 0, T_I1));
  TRY(want_same(q, 1, 2));
  if (!shape_equal(type_in(q, 0), type_in(q, 1)))
    FAIL("select chooses by %s between values of %s",
         text_of(q->arena, type_in(q, 0)), text_of(q->arena, type_in(q, 1)));
  *out = *type_in(q, 1);
  return NULL;
}

/* -- views */

static const char *rule_RESHAPE(const Query *q, Type *out) {
  TRY(want_hint(q));
  *out = *q->hint;
  out->dtype = type_in(q, 0)->dtype;
  if (type_count(out) != type_count(type_in(q, 0)))
    FAIL("reshape of %s to %s changes the number of elements",
         text_of(q->arena, type_in(q, 0)), text_of(q->arena, out));
  return NULL;
}

/* The list `axes` names axes of a type of `rank`, none twice. */
static const char *want_axes(const Query *q, int rank, bool increasing) {
  const Attr *a = q->attr;
  bool seen[MAX_RANK] = {false};
  if (a->n_axes < 0 || a->n_axes > MAX_RANK)
    FAIL("%s: %d axes", NAME, a->n_axes);
  for (int i = 0; i < a->n_axes; i++) {
    int64_t x = a->axes[i];
    if (x < 0 || x >= rank)
      FAIL("%s: there is no axis %lld", NAME, (long long)x);
    if (seen[x])
      FAIL("%s: axis %lld stands twice", NAME, (long long)x);
    if (increasing && i > 0 && x < a->axes[i - 1])
      FAIL("%s: the axes do not increase", NAME);
    seen[x] = true;
  }
  return NULL;
}

static const char *rule_PERMUTE(const Query *q, Type *out) {
  const Type *a = type_in(q, 0);
  TRY(want_axes(q, a->rank, false));
  if (q->attr->n_axes != a->rank)
    FAIL("permute of %s names %d axes", text_of(q->arena, a), q->attr->n_axes);
  *out = *a;
  for (int i = 0; i < a->rank; i++)
    out->dim[i] = a->dim[q->attr->axes[i]];
  return NULL;
}

static const char *rule_BROADCAST(const Query *q, Type *out) {
  TRY(want_hint(q));
  const Type *a = type_in(q, 0);
  *out = *q->hint;
  out->dtype = a->dtype;
  TRY(want_axes(q, out->rank, true));
  if (q->attr->n_axes != a->rank)
    FAIL("broadcast of %s names %d axes", text_of(q->arena, a),
         q->attr->n_axes);
  for (int i = 0; i < a->rank; i++)
    if (out->dim[q->attr->axes[i]] != a->dim[i])
      FAIL("broadcast of %s to %s changes the extent of axis %d",
           text_of(q->arena, a), text_of(q->arena, out), i);
  return NULL;
}

static const char *rule_SLICE(const Query *q, Type *out) {
  int axis;
  TRY(want_hint(q));
  *out = *type_in(q, 0);
  TRY(want_axis(q, out, &axis));
  if (q->hint->rank != out->rank)
    FAIL("slice of %s keeps the rank", text_of(q->arena, out));
  int64_t extent = out->dim[axis], count = q->hint->dim[axis];
  TRY(want_between(q, "start", 0, extent - 1));
  TRY(want_between(q, "step", -MAX_COUNT, MAX_COUNT));
  int64_t start = num(q, "start"), step = num(q, "step");
  if (step == 0) FAIL("slice needs a step other than 0");
  /* 0 <= start + (count - 1) * step <= extent - 1, without the product */
  int64_t room = step > 0 ? (extent - 1 - start) / step : start / -step;
  if (count < 1 || count - 1 > room)
    FAIL("slice takes %lld from %lld by %lld out of %lld", (long long)count,
         (long long)start, (long long)step, (long long)extent);
  out->dim[axis] = count;
  return NULL;
}

/* The extent that a window of `size` covers: (size - 1) * dilation + 1, and
 * MAX_COUNT + 1 where that is larger. */
static int64_t reach(int64_t size, int64_t dilation) {
  return size - 1 > MAX_COUNT / dilation ? MAX_COUNT + 1
                                         : (size - 1) * dilation + 1;
}

static const char *rule_WINDOW(const Query *q, Type *out) {
  int axis;
  *out = *type_in(q, 0);
  TRY(want_axis(q, out, &axis));
  if (out->rank == MAX_RANK)
    FAIL("window of %s: the rank is above %d", text_of(q->arena, out),
         MAX_RANK);
  TRY(want_between(q, "size", 1, MAX_COUNT));
  TRY(want_between(q, "stride", 1, MAX_COUNT));
  TRY(want_between(q, "dilation", 1, MAX_COUNT));
  int64_t size = num(q, "size"), extent = out->dim[axis];
  int64_t covers = reach(size, num(q, "dilation"));
  if (covers > extent)
    FAIL("a window of %lld elements does not fit axis %d of %s",
         (long long)covers, axis, text_of(q->arena, out));
  out->dim[axis] = (extent - covers) / num(q, "stride") + 1;
  out->dim[out->rank++] = size;
  return NULL;
}

static const char *rule_PAD(const Query *q, Type *out) {
  int axis;
  *out = *type_in(q, 0);
  TRY(want_axis(q, out, &axis));
  TRY(want_between(q, "before", 0, MAX_COUNT));
  TRY(want_between(q, "after", 0, MAX_COUNT));
  TRY(check_value(q->arena, q->attr->value, out->dtype));
  out->dim[axis] += num(q, "before") + num(q, "after");
  return NULL;
}

static const char *rule_CONCAT(const Query *q, Type *out) {
  int axis;
  *out = *type_in(q, 0);
  TRY(want_axis(q, out, &axis));
  for (int i = 1; i < q->n_in; i++) {
    Type like = *type_in(q, i);
    if (like.rank == out->rank && like.dim[axis] <= MAX_COUNT - out->dim[axis]) {
      out->dim[axis] += like.dim[axis];
      like.dim[axis] = out->dim[axis];
    }
    if (!type_equal(&like, out))
      FAIL("concat of %s and %s on axis %d",
           text_of(q->arena, type_in(q, 0)), text_of(q->arena, type_in(q, i)),
           axis);
  }
  return NULL;
}

/* -- reductions */

/* `a` without the axes of the list. */
static void drop_axes(const Query *q, Type *out) {
  const Type *a = type_in(q, 0);
  bool gone[MAX_RANK] = {false};
  for (int i = 0; i < q->attr->n_axes; i++)
    gone[q->attr->axes[i]] = true;
  *out = type_scalar(a->dtype);
  for (int i = 0; i < a->rank; i++)
    if (!gone[i])
      out->dim[out->rank++] = a->dim[i];
}

static const char *rule_SUM(const Query *q, Type *out) {
  TRY(want_number(q, 0));
  TRY(want_axes(q, type_in(q, 0)->rank, true));
  drop_axes(q, out);
  return NULL;
}

static const char *rule_RMAX(const Query *q, Type *out) { return rule_SUM(q, out); }

static const char *rule_ARGMAX(const Query *q, Type *out) {
  TRY(want_number(q, 0));
  TRY(want_axes(q, type_in(q, 0)->rank, false));
  drop_axes(q, out);
  if (type_count(type_in(q, 0)) / type_count(out) > INT32_MAX)
    FAIL("argmax of %s: the index does not fit i32",
         text_of(q->arena, type_in(q, 0)));
  out->dtype = T_I32;
  return NULL;
}

static const char *rule_DOT(const Query *q, Type *out) {
  const Type *a = type_in(q, 0), *b = type_in(q, 1);
  TRY(want_float(q, 0));
  TRY(want_dtype(q, 1, a->dtype));
  int64_t least = a->rank < b->rank ? a->rank : b->rank;
  TRY(want_between(q, "batch", 0, least));
  TRY(want_between(q, "contract", 0, least - num(q, "batch")));
  int batch = (int)num(q, "batch"), contract = (int)num(q, "contract");
  if (a->rank + b->rank - batch - 2 * contract > MAX_RANK)
    FAIL("dot of %s and %s: the rank is above %d", text_of(q->arena, a),
         text_of(q->arena, b), MAX_RANK);
  *out = type_scalar(a->dtype);
  for (int i = 0; i < batch + contract; i++) {
    /* the leading axes, then the trailing ones */
    int x = i < batch ? i : a->rank - contract + i - batch;
    int y = i < batch ? i : b->rank - contract + i - batch;
    if (a->dim[x] != b->dim[y])
      FAIL("dot of %s and %s: axis %d of the one is not axis %d of the other",
           text_of(q->arena, a), text_of(q->arena, b), x, y);
  }
  for (int i = 0; i < a->rank - contract; i++)
    out->dim[out->rank++] = a->dim[i];
  for (int i = batch; i < b->rank - contract; i++)
    out->dim[out->rank++] = b->dim[i];
  return NULL;
}

static const char *rule_FOLD(const Query *q, Type *out) {
  int axis;
  const Type *a = type_in(q, 0);
  TRY(want_number(q, 0));
  TRY(want_hint(q));
  *out = *a;
  if (a->rank < 2 || q->hint->rank != a->rank - 1)
    FAIL("fold of %s takes its last axis away", text_of(q->arena, a));
  out->rank--;
  TRY(want_axis(q, out, &axis));
  TRY(want_between(q, "stride", 1, MAX_COUNT));
  TRY(want_between(q, "dilation", 1, MAX_COUNT));
  int64_t extent = q->hint->dim[axis];
  int64_t left = extent - reach(a->dim[a->rank - 1], num(q, "dilation"));
  if (left < 0 || a->dim[axis] - 1 > left / num(q, "stride"))
    FAIL("fold of %s does not fit an extent of %lld", text_of(q->arena, a),
         (long long)extent);
  out->dim[axis] = extent;
  return NULL;
}

/* -- indexed by values */

static const char *want_index(const Query *q, const Type *table,
                              const Type *index) {
  TRY(want_dtype(q, 1, T_I32));
  TRY(want_between(q, "batch", 0, index->rank));
  int batch = (int)num(q, "batch");
  if (table->rank <= batch)
    FAIL("%s has no axis %d for %s to index", text_of(q->arena, table), batch,
         NAME);
  for (int i = 0; i < batch; i++)
    if (table->dim[i] != index->dim[i])
      FAIL("%s of %s by %s: axis %d differs", NAME, text_of(q->arena, table),
           text_of(q->arena, index), i);
  if (table->dim[batch] > INT32_MAX)
    FAIL("axis %d of %s is too long for an i32", batch,
         text_of(q->arena, table));
  if (index->rank + table->rank - batch - 1 > MAX_RANK)
    FAIL("%s of %s by %s: the rank is above %d", NAME,
         text_of(q->arena, table), text_of(q->arena, index), MAX_RANK);
  return NULL;
}

/* index.. rest.. */
static Type gathered(const Type *table, const Type *index, int batch) {
  Type t = *index;
  t.dtype = table->dtype;
  for (int i = batch + 1; i < table->rank; i++)
    t.dim[t.rank++] = table->dim[i];
  return t;
}

static const char *rule_GATHER(const Query *q, Type *out) {
  const Type *table = type_in(q, 0), *index = type_in(q, 1);
  TRY(want_index(q, table, index));
  *out = gathered(table, index, (int)num(q, "batch"));
  return NULL;
}

static const char *rule_SCATTER(const Query *q, Type *out) {
  const Type *index = type_in(q, 1);
  TRY(want_hint(q));
  TRY(want_number(q, 0));
  *out = *q->hint;
  out->dtype = type_in(q, 0)->dtype;
  TRY(want_index(q, out, index));
  Type want = gathered(out, index, (int)num(q, "batch"));
  if (!type_equal(&want, type_in(q, 0)))
    FAIL("scatter into %s by %s takes %s, not %s", text_of(q->arena, out),
         text_of(q->arena, index), text_of(q->arena, &want),
         text_of(q->arena, type_in(q, 0)));
  return NULL;
}

static const char *rule_GRAD(const Query *q, Type *out) {
  TRY(want_float(q, 0));
  TRY(want_float(q, 1));
  if (type_in(q, 0)->rank != 0)
    FAIL("the derivative of %s: only one number has one",
         text_of(q->arena, type_in(q, 0)));
  *out = *type_in(q, 1);
  return NULL;
}

static Rule *const rules[OP_COUNT] = {
#define OP(op, text, operands, flags, attributes) [OP_##op] = rule_##op,
#include "ir/ops.def"
#undef OP
};

const char *infer_type(Arena *a, Op op, const Attr *attr, int n_in,
                       Node *const *in, const Type *hint, Type *out) {
  static const Attr none = {0};
  const Query query = {.arena = a, .op = op, .attr = attr ? attr : &none,
                       .n_in = n_in, .in = in, .hint = hint};
  const Query *q = &query;
  int wanted = op_info[op].operands;
  if (wanted < 0 ? n_in < 2 : n_in != wanted)
    FAIL("%s takes %s%d operands, not %d", NAME, wanted < 0 ? "at least " : "",
         wanted < 0 ? 2 : wanted, n_in);
  if (hint)
    TRY(check_type(a, hint));
  TRY(rules[op](q, out));
  return check_type(a, out);
}
