/* Where lines end, and the column of every token. A line end of the source
 * stays if it stands where this layout would put one: before an arrow, `then`
 * or `else`, behind an operator, a comma, an opening bracket, or the = of a
 * statement. Elsewhere it goes, or moves to such a place nearby. Comments keep
 * the line ends that they need. Lines that are too long are then broken where
 * it is cheapest (fmt_tree.c): first a block that stands on one line, then at
 * the outermost expression that has a place for it. */
#include "frontend/fmt.h"

/* --- line ends of the source ---------------------------------------------- */

/* May a line end before token i, which is not the first of its statement? */
static bool may_break(const Fmt *f, int i) {
  const Tok *t = &f->tok[i], *before = t - 1;
  switch (t->kind) {
  case ARROW:
  case THEN:
  case ELSE:
    return true;
  case ')':
  case ']':
    return false; /* as behind the opening bracket: see keep_breaks */
  default:
    break;
  }
  switch (before->kind) {
  case '(':
  case '[':
  case ',':
  case THEN:
  case ELSE:
    return true;
  case '^':
    return false;
  default:
    return before->binary || t->value;
  }
}

/* One before an operator or comma moves behind it, one behind an arrow before
 * it. */
static void keep_break(Fmt *f, int i) {
  Tok *t = &f->tok[i];
  if (may_break(f, i))
    t->breaks = true;
  else if ((t->binary && t->kind != '^') || t->kind == ',')
    t[1].ended = true;
  else if (t[-1].kind == ARROW && !t[-1].first)
    t[-1].breaks = true;
}

static void keep_breaks(Fmt *f) {
  for (int i = 1; i < f->n_toks; i++) {
    Tok *t = &f->tok[i];
    if (t->first)
      continue;
    if (t->ended)
      keep_break(f, i);
    if (t->n_own > 0 || t[-1].trail)
      t->breaks = true;
    if (t->kind == ')' || t->kind == ']')
      t->breaks |= f->tok[t->match + 1].breaks;
  }
}

/* --- columns -------------------------------------------------------------- */

bool fmt_begins_line(const Fmt *f, int i) {
  const Tok *t = &f->tok[i];
  if (!t->first)
    return t->breaks || (t->follows >= 0 && f->tok[t->follows].breaks);
  if (t->kind == '}') /* {} if there is nothing inside */
    return !f->tok[t->match].one_line &&
           (t->match + 1 < i || t->n_own > 0 || t[-1].trail);
  return !t->in_line;
}

int fmt_indent(const Fmt *f, int i) {
  const Tok *t = &f->tok[i];
  if (t->first)
    return INDENT * t->level;
  const Tok *under = &f->tok[t->under];
  return t->shift + (t->of_line ? f->tok[under->line].column : under->column);
}

/* Does an operand end with this token, so that a bracket behind it calls or
 * indexes? */
static bool ends_operand(const Tok *t) {
  switch (t->kind) {
  case IF:
  case THEN:
  case ELSE:
  case AND:
  case OR:
  case NOT:
  case AS:
  case EXCEPT:
  case ARROW:
  case GETS:
  case LE:
  case GE:
  case EQ:
  case NE:
  case '+':
  case '-':
  case '*':
  case '/':
  case '@':
  case '^':
  case '<':
  case '>':
  case '=':
  case ',':
  case ':':
    return false;
  default:
    return true;
  }
}

static int space_between(const Tok *before, const Tok *t) {
  switch (t->kind) {
  case ',':
  case ')':
  case ']':
  case '\'':
  case ':':
  case '^':
    return 0;
  case '.':
    return before->kind == NUMBER; /* 1. is no number */
  case '(':
  case '[':
    if (ends_operand(before) && !t->apart)
      return 0;
    break;
  default:
    break;
  }
  switch (before->kind) {
  case '(':
  case '[':
  case '.':
  case '^':
    return 0;
  case '-':
    return before->binary;
  default:
    return 1;
  }
}

int fmt_space(const Fmt *f, int i) {
  const Tok *t = &f->tok[i], *before = t - 1;
  if (t->first && t->kind == '}')
    return before->kind != '{';
  if (t->first)
    return before->kind == '{' ? 1 : -1;
  return space_between(before, t);
}

/* Sets line and column of token i, which stands behind token i - 1. */
static void set_column(Fmt *f, int i) {
  Tok *t = &f->tok[i];
  if (i == 0 || fmt_begins_line(f, i)) {
    t->column = fmt_indent(f, i);
    t->line = i;
    return;
  }
  int space = fmt_space(f, i);
  t->column = t[-1].column + t[-1].width + (space < 0 ? 2 : space) + t->pad;
  t->line = t[-1].line;
}

/* --- long lines ----------------------------------------------------------- */

/* The cheapest break in the line so far: before a token, or of a one-line block
 * behind its brace. */
typedef struct Best {
  int token; /* NO_TOKEN: there is none */
  int cost;
} Best;

static void offer(const Fmt *f, int i, Best *best) {
  const Tok *t = &f->tok[i];
  int cost = t->cost;
  if (t[-1].kind == '{' && t[-1].one_line && t->kind != '}')
    cost = -1; /* of these the first */
  else if (t->first || t->cost == COST_NEVER ||
           fmt_indent(f, i) >= t->column)
    return;
  if (best->token >= 0 && (best->cost < 0 || cost > best->cost))
    return;
  *best = (Best){i, cost};
}

/* The statements of the block that begins behind this brace, and those of
 * blocks inside, begin lines. */
static void open_block(Fmt *f, int brace) {
  int level = f->tok[brace].level + 1, end = f->tok[brace].match;
  f->tok[brace].one_line = false;
  for (int i = brace + 1; i < end; i++)
    if (f->tok[i].first && f->tok[i].level == level)
      f->tok[i].in_line = false;
}

static void break_at(Fmt *f, Best best) {
  if (best.cost < 0)
    open_block(f, best.token - 1);
  else
    f->tok[best.token].breaks = true;
  /* The bracket that this one opens is closed on a line of its own. */
  const Tok *before = &f->tok[best.token - 1];
  if (before->kind == '(' || before->kind == '[')
    f->tok[before->match].breaks = true;
}

bool fmt_columns(Fmt *f, bool fit) {
  Best best = {NO_TOKEN, 0};
  bool changed = false;
  for (int i = 0; i < f->n_toks; i++) {
    const Tok *t = &f->tok[i];
    set_column(f, i);
    if (t->line == i) {
      best.token = NO_TOKEN;
    } else if (fit) {
      offer(f, i, &best);
      if (t->column + t->width > LINE_WIDTH && best.token >= 0) {
        break_at(f, best);
        changed = true;
        i = best.token - 1;
        best.token = NO_TOKEN;
      }
    }
  }
  return changed;
}

/* Blocks are opened in the order of the text, so that one inside another comes
 * behind it. */
static void open_blocks(Fmt *f) {
  int outer = NO_TOKEN; /* the end of the one-line block that we are in */
  for (int i = 0; i < f->n_toks; i++) {
    Tok *t = &f->tok[i];
    t->in_line = i < outer;
    if (t->kind == '{' && t->one_line && i > outer)
      outer = t->match;
  }
}

void fmt_layout(Fmt *f) {
  keep_breaks(f);
  open_blocks(f);
  do
    fmt_align(f);
  while (fmt_columns(f, true));
}
