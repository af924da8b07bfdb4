/* Arguments of readers and entries: gives each to its parameter, checks kinds
 * and ranges, and parses the `name(a, b = 1)` that --data may hold. The text
 * is a user's: bounded, and strict (nothing is skipped but blanks). */
#include "runtime/data.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the value of a parameter may be. */
typedef struct Form {
  bool text, number, list, whole;
} Form;
static const Form forms[] = {
    [PARAM_PATH] = {.text = true},
    [PARAM_WORD] = {.text = true},
    [PARAM_INTEGER] = {.number = true, .whole = true},
    [PARAM_NUMBER] = {.number = true},
    [PARAM_NUMBERS] = {.number = true, .list = true},
    [PARAM_SHARE] = {.number = true},
    [PARAM_PATH_OR_SHARE] = {.text = true, .number = true},
    [PARAM_WORD_OR_NUMBER] = {.text = true, .number = true},
    [PARAM_COLUMNS] = {.text = true, .number = true, .list = true,
                       .whole = true}};

static bool check_number(const char *what, const DataParam *p, double v,
                         DataError *e) {
  bool share = p->kind == PARAM_SHARE || p->kind == PARAM_PATH_OR_SHARE;
  if (!(v >= p->low && v <= p->high))
    return data_fail(e, "%s: %s = %g is not between %g and %g", what, p->name,
                     v, p->low, p->high);
  if (share && v >= 1 && v != floor(v))
    return data_fail(e, "%s: %s = %g is neither a share below 1 nor a whole"
                     " number", what, p->name, v);
  if (forms[p->kind].whole && v != floor(v))
    return data_fail(e, "%s: %s = %g is not a whole number", what, p->name, v);
  return true;
}

static bool give_texts(const char *what, const DataParam *p, const NetArg *a,
                       DataValue *v, DataError *e) {
  v->n_strings = a->string ? 1 : a->n_strings;
  v->strings = a->string ? &a->string : a->strings;
  v->string = v->strings[0];
  if (!forms[p->kind].text)
    return data_fail(e, "%s: %s is a number, not '%s'", what, p->name,
                     v->string);
  if (v->n_strings > 1 && !forms[p->kind].list)
    return data_fail(e, "%s: %s is one text, not %d", what, p->name,
                     (int)v->n_strings);
  for (int i = 0; i < v->n_strings; i++)
    if (!*v->strings[i])
      return data_fail(e, "%s: %s is empty", what, p->name);
  return true;
}

static bool give(const char *what, const DataParam *p, const NetArg *a,
                 DataValue *v, DataError *e) {
  if (a->string || a->n_strings > 0)
    return give_texts(what, p, a, v, e);
  if (!forms[p->kind].number)
    return data_fail(e, "%s: %s is a text, not a number", what, p->name);
  if (a->n_numbers < 1 || (!forms[p->kind].list && a->n_numbers > 1))
    return data_fail(e, "%s: %s is one number, not %d", what, p->name,
                     (int)a->n_numbers);
  for (int i = 0; i < a->n_numbers; i++)
    if (!check_number(what, p, a->numbers[i], e))
      return false;
  v->n_numbers = a->n_numbers;
  v->numbers = a->numbers;
  v->number = a->numbers[0];
  return true;
}

static bool unknown(const char *what, const DataParam *params,
                    const char *name, DataError *e) {
  char list[256] = "none";
  size_t n = 0;
  for (const DataParam *p = params; p->name && n < sizeof list - 40; p++)
    n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "",
                          p->name);
  return data_fail(e, "%s has no argument '%s'; it has: %s", what, name, list);
}

bool data_args(const char *what, const DataParam *params, const NetArg *args,
               int n_args, DataValue *v, DataError *e) {
  int n_params = 0;
  for (; params[n_params].name; n_params++)
    v[n_params] = (DataValue){.number = params[n_params].initial};
  bool named = false;
  for (int i = 0; i < n_args; i++) {
    int k = i;
    if (*args[i].name) {
      named = true;
      for (k = 0; k < n_params; k++)
        if (!strcmp(params[k].name, args[i].name))
          break;
      if (k == n_params)
        return unknown(what, params, args[i].name, e);
    } else if (named) {
      return data_fail(e, "%s: argument %d without a name follows one with a"
                       " name", what, i + 1);
    } else if (k >= n_params) {
      return data_fail(e, "%s takes %d argument%s at most, not %d", what,
                       n_params, n_params == 1 ? "" : "s", n_args);
    }
    if (v[k].given)
      return data_fail(e, "%s: %s is given twice", what, params[k].name);
    if (!give(what, &params[k], &args[i], &v[k], e))
      return false;
    v[k].given = true;
  }
  for (int k = 0; k < n_params; k++)
    if (params[k].required && !v[k].given)
      return data_fail(e, "%s needs the argument %s", what, params[k].name);
  return true;
}

/* ---- the text of --data ---- */

typedef struct Parser {
  char *p; /* in the copy of the text: words are cut out of it */
  DataText *out;
  int n_numbers, n_strings;
  DataError *e;
} Parser;

static void blanks(Parser *s) {
  while (*s->p == ' ' || *s->p == '\t')
    s->p++;
}

/* Takes a character, and the blanks around it. */
static bool take(Parser *s, char c) {
  blanks(s);
  if (*s->p != c)
    return false;
  s->p++;
  blanks(s);
  return true;
}

static size_t word_length(const char *p) {
  size_t n = 0;
  if (isalpha((unsigned char)*p) || *p == '_')
    while (isalnum((unsigned char)p[n]) || p[n] == '_')
      n++;
  return n;
}

static bool expected(Parser *s, const char *what) {
  if (!*s->p)
    return data_fail(s->e, "--data: %s expected at the end", what);
  return data_fail(s->e, "--data: %s expected before '%.20s'", what, s->p);
}

static bool number(Parser *s) {
  /* strtod takes hexadecimal, inf and nan as well: not here. */
  size_t n = strspn(s->p, "+-.0123456789eE");
  char *end;
  double v = n > 0 ? strtod(s->p, &end) : 0;
  if (n == 0 || end != s->p + n)
    return expected(s, "a number, a text or true or false");
  if (!isfinite(v))
    return data_fail(s->e, "--data: %.*s is too large", (int)n, s->p);
  if (s->n_numbers == DATA_NUMBERS)
    return data_fail(s->e, "--data: more than %d numbers", DATA_NUMBERS);
  s->out->numbers[s->n_numbers++] = v;
  s->p = end;
  return true;
}

/* Takes the quote before a text; the text ends at the next such quote. */
static bool quoted(Parser *s, const char **text) {
  char *end = strchr(s->p + 1, *s->p);
  if (!end)
    return data_fail(s->e, "--data: the text %.20s has no end", s->p);
  *end = '\0';
  *text = s->p + 1;
  s->p = end + 1;
  blanks(s);
  return true;
}

static bool is_quote(char c) {
  return c == '"' || c == '\'';
}

static bool texts(Parser *s, NetArg *a) {
  a->strings = s->out->strings + s->n_strings;
  do {
    if (!is_quote(*s->p))
      return expected(s, "a text");
    if (s->n_strings == DATA_TEXTS)
      return data_fail(s->e, "--data: more than %d texts", DATA_TEXTS);
    if (!quoted(s, &s->out->strings[s->n_strings++]))
      return false;
    a->n_strings++;
  } while (take(s, ','));
  return take(s, ']') || expected(s, "']'");
}

/* number | column(number) */
static bool item(Parser *s, NetArg *a) {
  bool column = !strncmp(s->p, "column", 6) && word_length(s->p) == 6;
  if (column) {
    s->p += 6;
    if (!take(s, '('))
      return expected(s, "'('");
  }
  a->n_numbers++;
  return number(s) && (!column || take(s, ')') || expected(s, "')'"));
}

static bool list(Parser *s, NetArg *a) {
  if (is_quote(*s->p))
    return texts(s, a);
  do {
    if (!item(s, a))
      return false;
  } while (take(s, ','));
  return take(s, ']') || expected(s, "']'");
}

/* value: "text" | true | false | item | [ item, .. ] | [ "text", .. ] */
static bool value(Parser *s, NetArg *a) {
  a->numbers = s->out->numbers + s->n_numbers;
  if (is_quote(*s->p))
    return quoted(s, &a->string);
  if (take(s, '['))
    return list(s, a);
  size_t n = word_length(s->p);
  if (n == 0 || (n == 6 && !strncmp(s->p, "column", n)))
    return item(s, a);
  bool yes = n == 4 && !strncmp(s->p, "true", n);
  if (!yes && !(n == 5 && !strncmp(s->p, "false", n)))
    return expected(s, "a number, a text in quotes or true or false");
  if (s->n_numbers == DATA_NUMBERS)
    return data_fail(s->e, "--data: too many numbers");
  s->out->numbers[s->n_numbers++] = yes;
  a->n_numbers = 1;
  s->p += n;
  return true;
}

static bool argument(Parser *s) {
  if (s->out->data.n_args == DATA_PARAMS)
    return data_fail(s->e, "--data: more than %d arguments", DATA_PARAMS);
  NetArg *a = &s->out->args[s->out->data.n_args++];
  *a = (NetArg){.name = ""};
  size_t n = word_length(s->p);
  size_t gap = strspn(s->p + n, " \t");
  if (n > 0 && s->p[n + gap] == '=') {
    char *end = s->p + n;
    a->name = s->p;
    s->p = end + gap + 1;
    *end = '\0';
    blanks(s);
  }
  return value(s, a);
}

bool data_looks_like_reader(const char *text) {
  size_t n = word_length(text);
  size_t gap = strspn(text + n, " \t");
  return n > 0 && text[n + gap] == '(';
}

bool data_parse(DataText *out, const char *text, DataError *e) {
  size_t size = strlen(text);
  *out = (DataText){.data = {.reader = out->text, .args = out->args}};
  if (size >= sizeof out->text)
    return data_fail(e, "--data: longer than %d characters",
                     (int)sizeof out->text - 1);
  memcpy(out->text, text, size + 1);
  Parser s = {.p = out->text, .out = out, .e = e};
  size_t n = word_length(s.p);
  s.p += n;
  if (n == 0 || !take(&s, '('))
    return expected(&s, "'name('");
  out->text[n] = '\0'; /* ends the name: the '(' has been read */
  if (!take(&s, ')')) {
    do {
      if (!argument(&s))
        return false;
    } while (take(&s, ','));
    if (!take(&s, ')'))
      return expected(&s, "',' or ')'");
  }
  return !*s.p || data_fail(e, "--data: '%.20s' follows the ')'", s.p);
}
