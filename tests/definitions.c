/* Reads definitions by their outer form alone: a line that begins with the word
 * of a kind opens one, and its parameters stand in the parentheses that follow.
 * What a body says is not looked at. */
#include "tests/definitions.h"

#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {"layer",    "loss",      "penalty",
                                    "schedule", "optimizer", "init"};

/* Behind the word and a blank, NULL: none is opened here. */
static const char *opens(const char *line, const char **kind) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    size_t n = strlen(kinds[i]);
    if (!strncmp(line, kinds[i], n) && line[n] == ' ') {
      *kind = kinds[i];
      return line + n + 1;
    }
  }
  return NULL;
}

/* From `p` up to the ',' or ')' that ends a parameter, or up to the ':' or '='
 * in it. */
static const char *part_end(const char *p, const char *ends) {
  for (int depth = 0; *p; p++) {
    if (!depth && strchr(ends, *p))
      return p;
    depth += (*p == '(' || *p == '[') - (*p == ')' || *p == ']');
  }
  return p;
}

/* Copies with one blank for several, and none at either end. */
static char *append(char *to, const char *from, const char *end) {
  while (from < end && strchr(" \n", *from))
    from++;
  while (from < end && strchr(" \n", end[-1]))
    end--;
  for (; from < end; from++)
    if (!strchr(" \n", *from) || !strchr(" \n", from[1]))
      *to++ = *from == '\n' ? ' ' : *from;
  *to = 0;
  return to;
}

/* `p` stands behind the '('. */
static void read_params(const char *p, DefinitionText *d) {
  for (d->n_params = 0; *p && *p != ')'; d->n_params++) {
    const char *end = part_end(p, ",)"), *value = part_end(p, "=,)");
    char *to = append(d->param[d->n_params], p, part_end(p, ":=,)"));
    if (*value == '=') {
      to += sprintf(to, " = ");
      append(to, value + 1, end);
    }
    p = *end == ',' ? end + 1 : end;
  }
}

bool definition_next(const char **p, DefinitionText *d) {
  const char *line = *p, *name = NULL, *kind;
  while (*line && !(name = opens(line, &d->kind)))
    line += strcspn(line, "\n") + (strchr(line, '\n') != NULL);
  if (!name)
    return false;
  d->begin = line;
  size_t n = strcspn(name, "( ");
  snprintf(d->name, sizeof d->name, "%.*s", (int)n, name);
  read_params(name + n + 1, d);
  do
    line += strcspn(line, "\n") + (strchr(line, '\n') != NULL);
  while (*line && !opens(line, &kind) && *line != '#');
  *p = d->end = line;
  return true;
}

void definition_signature(const DefinitionText *d, int first, char *out) {
  out += sprintf(out, "%s", d->name);
  for (int i = first; i < d->n_params; i++)
    out += sprintf(out, "%s%s", i == first ? "(" : ", ", d->param[i]);
  sprintf(out, "%s", first < d->n_params ? ")" : "");
}
