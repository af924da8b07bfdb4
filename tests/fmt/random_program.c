/* Writes programs at random, rule by rule of the grammar (LANGUAGE.md). Each
 * token is put behind the one before with blanks, line ends and comments at
 * random, as far as the rules for line ends allow. */
#include "tests/fmt/random_program.h"

#include <ctype.h>
#include <string.h>

typedef struct Random {
  Text t;
  unsigned state;
  int open;     /* ( and [ */
  bool goes_on; /* the last token cannot end a line */
  bool fresh;   /* nothing on this line yet: no blank is needed */
  int n;        /* numbers the comments */
} Random;

static unsigned below(Random *r, unsigned n) {
  r->state = r->state * 1664525u + 1013904223u;
  return (r->state >> 8) % n;
}

static bool chance(Random *r, unsigned percent) {
  return below(r, 100) < percent;
}

/* A line end with what may stand around it. */
static void line_end(Random *r) {
  if (chance(r, 20))
    text_add(&r->t, "%s# behind %d  ", chance(r, 50) ? " " : "", r->n++);
  text_add(&r->t, "\n");
  while (chance(r, 15))
    text_add(&r->t, "%*s# alone %d\n", (int)below(r, 9), "", r->n++);
  while (chance(r, 10))
    text_add(&r->t, "%*s\n", (int)below(r, 4), "");
  text_add(&r->t, "%*s", (int)below(r, 12), "");
}

static bool is_word(char c) {
  return isalnum((unsigned char)c) || c == '_' || c == '"';
}

/* A blank is needed between words and between signs that would make another
 * one together. */
static bool needs_blank(const Random *r, const char *s) {
  if (r->fresh || r->t.n == 0)
    return false;
  char last = r->t.s[r->t.n - 1];
  if (is_word(last))
    return is_word(*s) || *s == '.';
  return strchr("<>=-!.'*/", last) && strchr("<>=-!.'*/0123456789", *s);
}

static void put(Random *r, const char *s) {
  static const char *const open_ended[] = {
      "(", "[", "{", ",", ":", ".", "=", "<-", "->", "+", "-", "*", "/", "@",
      "^", "<", ">", "<=", ">=", "==", "!=", "and", "or", "not", "except", "as",
      "if", "then", "else", NULL};
  bool before = !strcmp(s, "->") || !strcmp(s, "then") || !strcmp(s, "else");
  if (!r->fresh && (r->open > 0 || r->goes_on || before) && chance(r, 8)) {
    line_end(r);
    r->fresh = true;
  }
  if (needs_blank(r, s) || chance(r, 40))
    text_add(&r->t, "%*s", 1 + (int)below(r, 3), "");
  text_add(&r->t, "%s", s);
  r->open += !strcmp(s, "(") || !strcmp(s, "[");
  r->open -= !strcmp(s, ")") || !strcmp(s, "]");
  r->goes_on = false;
  for (int i = 0; open_ended[i]; i++)
    r->goes_on |= !strcmp(s, open_ended[i]);
  r->fresh = false;
}

static const char *pick(Random *r, const char *const *list, unsigned n) {
  return list[below(r, n)];
}
#define PICK(r, ...)                                                           \
  pick(r, (const char *const[]){__VA_ARGS__},                                  \
       sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* Names are long at times, so that lines are. */
static void name(Random *r) {
  put(r, PICK(r, "x", "y", "W", "conv1", "label", "loss", "init", "scale", "p",
              "a_name_of_some_length", "weight", "momentum", "features"));
}

static void value(Random *r, int depth);

static void list(Random *r, int depth, const char *open, const char *close,
                 void (*item)(Random *r, int depth)) {
  put(r, open);
  for (unsigned n = below(r, 6), i = 0; i < n; i++) {
    if (i > 0)
      put(r, ",");
    item(r, depth);
  }
  put(r, close);
}

static void list_item(Random *r, int depth) {
  if (chance(r, 10))
    put(r, "..");
  else
    value(r, depth - 1);
}

/* Positional arguments alone or named ones alone: they do not mix freely. */
static void named(Random *r, int depth) {
  name(r);
  put(r, "=");
  value(r, depth - 1);
}

static void positional(Random *r, int depth) {
  value(r, depth - 1);
}

static void arguments(Random *r, int depth) {
  list(r, depth, "(", ")", chance(r, 40) ? named : positional);
}

static void primary(Random *r, int depth) {
  switch (depth > 0 ? below(r, 9) : below(r, 5)) {
  case 0: put(r, PICK(r, "1", "0.5", "1e-4", ".25", "12345678")); break;
  case 1: put(r, PICK(r, "\"a b\"", "\"\\\"q\\\" # no comment\"")); break;
  case 2: put(r, PICK(r, "true", "false")); break;
  case 3:
  case 4: name(r); break;
  case 5: list(r, depth, "[", "]", list_item); break;
  case 6:
    put(r, "(");
    value(r, depth - 1);
    put(r, ")");
    break;
  default:
    name(r);
    arguments(r, depth);
    break;
  }
}

static void operand(Random *r, int depth) {
  if (chance(r, 8))
    put(r, "-");
  primary(r, depth);
  if (chance(r, 8))
    put(r, "'");
  if (depth > 0 && chance(r, 8)) {
    put(r, "[");
    value(r, depth - 1);
    put(r, "]");
  }
  if (chance(r, 8)) {
    put(r, ".");
    name(r);
  }
  if (chance(r, 6)) {
    put(r, "^");
    name(r);
  }
}

/* One comparison at most, since those do not chain. */
static void sum(Random *r, int depth) {
  operand(r, depth);
  while (depth > 0 && chance(r, 35)) {
    put(r, PICK(r, "+", "-", "*", "/", "@"));
    operand(r, depth - 1);
  }
}

static void choice(Random *r, int depth) {
  if (chance(r, 8))
    put(r, "not");
  sum(r, depth);
  if (chance(r, 8)) {
    put(r, PICK(r, "<", ">", "<=", ">=", "==", "!="));
    sum(r, depth - 1);
  }
  if (chance(r, 10)) {
    put(r, PICK(r, "and", "or", "except"));
    sum(r, depth - 1);
  }
}

static void stage(Random *r, int depth) {
  unsigned kind = depth > 0 ? below(r, 8) : 0;
  if (kind == 6) {
    put(r, "repeat");
    put(r, "(");
    value(r, depth - 1);
    put(r, ")");
    stage(r, depth - 1);
    return;
  }
  if (kind == 7) {
    put(r, "(");
    stage(r, depth - 1);
    while (chance(r, 50)) {
      put(r, "->");
      stage(r, depth - 1);
    }
    put(r, ")");
  } else {
    name(r);
    if (chance(r, 20)) {
      put(r, ".");
      name(r);
    }
    if (chance(r, 60))
      arguments(r, depth);
  }
  if (chance(r, 40)) {
    put(r, "as");
    name(r);
  }
}

static void value(Random *r, int depth) {
  if (depth > 0 && chance(r, 12)) {
    put(r, "if");
    value(r, depth - 1);
    put(r, "then");
    value(r, depth - 1);
    put(r, "else");
    value(r, depth - 1);
    return;
  }
  choice(r, depth);
  while (depth > 0 && chance(r, 18)) {
    put(r, "->");
    stage(r, depth - 1);
  }
}

/* --- statements and sections ---------------------------------------------- */

static void end_statement(Random *r) {
  if (chance(r, 15))
    put(r, ";");
  else
    line_end(r);
  r->fresh = r->t.s[r->t.n - 1] != ';';
  r->goes_on = false;
}

static void block(Random *r, void (*line)(Random *r)) {
  put(r, "{");
  bool one_line = chance(r, 25);
  if (!one_line)
    end_statement(r);
  for (unsigned n = below(r, 7), i = 0; i < n; i++) {
    if (i > 0 && one_line)
      put(r, ";");
    r->goes_on = false;
    line(r);
    if (!one_line)
      end_statement(r);
  }
  put(r, "}");
}

static void setting(Random *r) {
  name(r);
  put(r, "=");
  value(r, 3);
}

static void shape(Random *r) {
  put(r, ":");
  list(r, 1, "[", "]", list_item);
}

static void statement(Random *r) {
  switch (below(r, 6)) {
  case 0:
    put(r, PICK(r, "weight", "bias", "scale"));
    name(r);
    shape(r);
    break;
  case 1:
    put(r, "state");
    name(r);
    if (chance(r, 50))
      shape(r);
    break;
  case 2:
    name(r);
    put(r, "<-");
    value(r, 4);
    return;
  case 3:
    value(r, 4);
    return;
  case 4:
    put(r, "prox");
    put(r, "(");
    put(r, "t");
    put(r, ")");
    break;
  default:
    name(r);
    break;
  }
  put(r, "=");
  value(r, 4);
}

static void plain_entry(Random *r) {
  if (chance(r, 40)) {
    setting(r);
    return;
  }
  name(r);
  if (chance(r, 70))
    arguments(r, 2);
}

static void entry(Random *r) {
  if (chance(r, 80)) {
    plain_entry(r);
    return;
  }
  put(r, "augment");
  block(r, plain_entry);
}

static void variant_line(Random *r) {
  if (chance(r, 70)) {
    setting(r);
    return;
  }
  put(r, "without");
  name(r);
  while (chance(r, 50)) {
    put(r, ",");
    name(r);
  }
}

static void param(Random *r, int depth) {
  name(r);
  if (chance(r, 40))
    shape(r);
  if (chance(r, 40)) {
    put(r, "=");
    value(r, depth);
  }
}

static void definition(Random *r) {
  put(r, PICK(r, "layer", "loss", "penalty", "init", "schedule", "optimizer",
              "net"));
  name(r);
  list(r, 1, "(", ")", param);
  if (chance(r, 60)) {
    block(r, statement);
  } else {
    put(r, "=");
    value(r, 4);
  }
}

static void section(Random *r) {
  switch (below(r, 7)) {
  case 0:
    put(r, "const");
    setting(r);
    break;
  case 1:
    put(r, "import");
    put(r, "\"other.net\"");
    break;
  case 2:
    put(r, "data");
    name(r);
    if (chance(r, 60))
      arguments(r, 2);
    if (chance(r, 70))
      block(r, entry);
    break;
  case 3:
    put(r, "train");
    block(r, setting);
    break;
  case 4:
    put(r, "variant");
    name(r);
    block(r, variant_line);
    break;
  default:
    definition(r);
    break;
  }
}

const char *random_program(Arena *a, unsigned seed) {
  Random r = {.state = seed, .fresh = true};
  text_init(&r.t, a);
  for (unsigned n = below(&r, 8), i = 0; i < n; i++) {
    section(&r);
    end_statement(&r);
  }
  return r.t.s;
}
