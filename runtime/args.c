/* Arguments of readers and entries: gives each to its parameter, checks kinds
 * and ranges, and parses the `name(a, b = 1)` that --data may hold. The text
 * is a user's: bounded, and strict (nothing is skipped but blanks). */
#include "runtime/data.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool check_number(const char *what, const DataParam *p, double v,
                         DataError *e) {
  if (!(v >= p->low && v <= p->high))
    return data_fail(e, "%s: %s = %g is not between %g and %g", what, p->name,
                     v, p->low, p->high);
  if (p->kind == PARAM_INTEGER && v != floor(v))
    return data_fail(e, "%s: %s = %g is not a whole number", what, p->name, v);
  return true;
}

static bool give(const char *what, const DataParam *p, const NetArg *a,
                 DataValue *v, DataError *e) {
  if (p->kind == PARAM_PATH || p->kind == PARAM_WORD) {
    if (!a->string)
      return data_fail(e, "%s: %s is a text, not a number", what, p->name);
    if (!*a->string)
      return data_fail(e, "%s: %s is empty", what, p->name);
    v->string = a->string;
    return true;
  }
  if (a->string)
    return data_fail(e, "%s: %s is a number, not '%s'", what, p->name,
                     a->string);
  if (a->n_numbers < 1 || (p->kind != PARAM_NUMBERS && a->n_numbers > 1))
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
      return data_fail(e, "%s takes at most %d arguments, not %d", what,
                       n_params, n_args);
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
  int n_numbers;
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
  const int capacity = (int)(sizeof s->out->numbers / sizeof(double));
  /* strtod takes hexadecimal, inf and nan as well: not here. */
  size_t n = strspn(s->p, "+-.0123456789eE");
  char *end;
  double v = n > 0 ? strtod(s->p, &end) : 0;
  if (n == 0 || end != s->p + n)
    return expected(s, "a number, a text or true or false");
  if (!isfinite(v))
    return data_fail(s->e, "--data: %.*s is too large", (int)n, s->p);
  if (s->n_numbers == capacity)
    return data_fail(s->e, "--data: more than %d numbers", capacity);
  s->out->numbers[s->n_numbers++] = v;
  s->p = end;
  return true;
}

static bool list(Parser *s, NetArg *a) {
  do {
    if (!number(s))
      return false;
    a->n_numbers++;
  } while (take(s, ','));
  return take(s, ']') || expected(s, "']'");
}

/* value: "text" | word | true | false | number | [ number, .. ] */
static bool value(Parser *s, NetArg *a) {
  a->numbers = s->out->numbers + s->n_numbers;
  if (*s->p == '"' || *s->p == '\'') {
    char *end = strchr(s->p + 1, *s->p);
    if (!end)
      return data_fail(s->e, "--data: the text %.20s has no end", s->p);
    *end = '\0';
    a->string = s->p + 1;
    s->p = end + 1;
    return true;
  }
  if (take(s, '['))
    return list(s, a);
  size_t n = word_length(s->p);
  if (n == 0) {
    a->n_numbers = 1;
    return number(s);
  }
  bool yes = n == 4 && !strncmp(s->p, "true", n);
  if (!yes && !(n == 5 && !strncmp(s->p, "false", n)))
    return expected(s, "a number, a text in quotes or true or false");
  if (s->n_numbers == (int)(sizeof s->out->numbers / sizeof(double)))
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
