/* The section `data`: its arguments become constants for the runtime's reader,
 * which is asked (through the driver) what fields it yields. In the train section
 * a field is a value that depends on the sample. */
#include "frontend/lower.h"

#include <string.h>

/* -- arguments */

static bool number_of(const Scope *s, const Expr *e, const Value *v,
                      double *out) {
  if (v->kind == V_NUMBER) {
    *out = v->number;
    return true;
  }
  if (v->kind != V_POISON)
    fail(s, "E0502", e->span, "what `data` is given must be numbers, texts or "
         "lists of them, but this is %s", value_text(s->L, v));
  return false;
}

/* `column(12)`, the column of a file without names, is the number 12. */
static const Expr *column_number(const Expr *e) {
  if (e->kind == EXPR_CALL && e->call.callee->kind == EXPR_NAME &&
      !strcmp(e->call.callee->name, "column") && e->call.n_args == 1 &&
      !e->call.args[0].name.s)
    return e->call.args[0].value;
  return e;
}

/* A text, a number, or (`text` NULL) a mistake that was told. */
static bool item_value(Scope *s, const Expr *e, const char **text,
                       double *number) {
  *text = NULL;
  e = column_number(e);
  if (e->kind == EXPR_NAME && !const_value(s, s->file, e->name)) {
    *text = e->name; /* a bare word: normalize(standard) */
    return true;
  }
  const Value *v = eval(s, e);
  if (v->kind != V_STRING)
    return number_of(s, e, v, number);
  *text = v->string;
  return true;
}

/* A list: texts or numbers, all of one kind. */
static bool list_value(Scope *s, const Expr *e, DataArg *out) {
  size_t n = (size_t)e->list.n;
  out->numbers = arena_alloc(s->L->a, (n + 1) * sizeof *out->numbers);
  out->strings = arena_alloc(s->L->a, (n + 1) * sizeof *out->strings);
  for (int i = 0; i < e->list.n; i++) {
    const char *text;
    if (!item_value(s, e->list.item[i], &text, &out->numbers[i]))
      return false;
    if (i > 0 && (text != NULL) != (out->n_strings > 0)) {
      fail(s, "E0502", e->list.item[i]->span,
           "a list holds numbers or texts, not both");
      return false;
    }
    if (text)
      out->strings[out->n_strings++] = text;
    else
      out->n_numbers++;
  }
  return true;
}

/* The value of a constant that is a list is one already. */
static bool evaluated_list(Scope *s, const Expr *e, const Value *v,
                           DataArg *out) {
  out->numbers = arena_alloc(s->L->a, ((size_t)v->n + 1) * sizeof(double));
  out->n_numbers = v->n;
  for (int i = 0; i < v->n; i++)
    if (!number_of(s, e, v->item[i], &out->numbers[i]))
      return false;
  return true;
}

static bool data_arg(Scope *s, const char *name, const Expr *e, DataArg *out) {
  *out = (DataArg){.name = name ? name : "", .span = e->span};
  if (e->kind == EXPR_LIST)
    return list_value(s, e, out);
  if (e->kind == EXPR_NAME) {
    const Value *v = const_value(s, s->file, e->name);
    if (v && v->kind == V_LIST)
      return evaluated_list(s, e, v, out);
  }
  out->numbers = arena_alloc(s->L->a, sizeof *out->numbers);
  if (!item_value(s, e, &out->string, out->numbers))
    return false;
  out->n_numbers = !out->string;
  return true;
}

static bool data_args(Scope *s, const Expr *call, int *n, DataArg **out) {
  *n = call->call.n_args;
  *out = arena_alloc(s->L->a, ((size_t)*n + 1) * sizeof **out);
  bool good = true;
  for (int i = 0; i < *n; i++) {
    const Arg *arg = &call->call.args[i];
    good = data_arg(s, arg->name.s, arg->value, &(*out)[i]) && good;
    (*out)[i].span = arg->span;
    for (int k = 0; arg->name.s && k < i; k++)
      if (!strcmp((*out)[k].name, arg->name.s)) {
        fail(s, "E0408", arg->span, "%s is given twice", arg->name.s);
        good = false;
      }
  }
  return good;
}

/* -- entries */

/* An entry that was there before is told, and then passed over. */
static bool is_second(const Scope *s, int i, Entry *const *entries) {
  for (int k = 0; k < i; k++)
    if (!strcmp(entries[i]->name.s, entries[k]->name.s)) {
      fail(s, "E0404", entries[i]->name.span, "%s stands twice",
           entries[i]->name.s);
      return true;
    }
  return false;
}

static bool is_block(const Scope *s, const Entry *e) {
  if (!strcmp(e->name.s, "augment"))
    return true;
  Diag *diag =
      fail(s, "E0403", e->name.span, "data has no block %s", e->name.s);
  if (diag)
    diag_help(diag, "did you mean `augment`?");
  return false;
}

static bool add_entry(Scope *s, DataSpec *data, int *capacity, const Entry *e,
                      bool in_augment) {
  Lower *L = s->L;
  if (!in_augment && is_without(L, e->name.s))
    return true;
  if (e->kind == ENTRY_BLOCK) {
    bool good = is_block(s, e);
    for (int i = 0; i < e->n_entries; i++)
      if (!is_second(s, i, e->entries))
        good = add_entry(s, data, capacity, e->entries[i], true) && good;
    return good;
  }
  data->entries = arena_grow(L->a, data->entries, data->n_entries, capacity,
                             sizeof *data->entries);
  DataEntry *entry = &data->entries[data->n_entries++];
  *entry = (DataEntry){.name = e->name.s, .in_augment = in_augment,
                       .span = e->span};
  if (e->kind == ENTRY_CALL)
    return data_args(s, e->value, &entry->n_args, &entry->args);
  entry->n_args = 1;
  entry->args = arena_alloc(L->a, sizeof *entry->args);
  return data_arg(s, NULL, e->value, entry->args);
}

void lower_data(Lower *L, const Item *item) {
  DataSpec *data = &L->program->data;
  const Expr *call = item->data.reader;
  Scope *s = scope_new(L, L->user, NULL, NULL);
  s->home = s->now = (struct Place){L->root, 0, 0};
  data->reader = call->call.callee->name;
  data->span = call->span;
  int capacity = 0;
  bool good = data_args(s, call, &data->n_args, &data->args);
  for (int i = 0; i < item->data.n_entries; i++)
    if (!is_second(s, i, item->data.entries))
      good = add_entry(s, data, &capacity, item->data.entries[i], false) && good;
  DataField *fields = NULL;
  int n = 0;
  if (!good || !L->options->fields ||
      !L->options->fields(L->options->context, data, &fields, &n, L->d))
    return;
  L->fields_known = true;
  L->n_fields = n;
  L->field = arena_alloc(L->a, ((size_t)n + 1) * sizeof *L->field);
  for (int i = 0; i < n; i++)
    L->field[i].field = &fields[i];
}

const Value *field_value(Scope *s, const char *name) {
  Lower *L = s->L;
  for (int i = 0; i < L->n_fields; i++) {
    const DataField *f = L->field[i].field;
    if (strcmp(f->name, name))
      continue;
    L->field[i].used = true;
    int64_t dim[MAX_RANK + 1] = {L->batch};
    memcpy(dim + 1, f->type.dim, (size_t)f->type.rank * sizeof *dim);
    Type type = type_of(f->type.dtype, f->type.rank + 1, dim);
    Value *v = arena_alloc(L->a, sizeof *v);
    L->g->loc = (Loc){0};
    *v = *value_node(L, graph_leaf(L->g, OP_INPUT, f->name, type, true), true);
    v->classes = f->classes;
    v->from = L->program->data.span;
    v->maker = "data";
    return v;
  }
  return NULL;
}
