/* Between scanner and grammar: decides which line ends are tokens, namely those
 * that end a statement (LANGUAGE.md, "Line ends"). That takes the brackets that
 * are open, the token before and the token after.
 *
 * It also keeps one mistake from being told many times. Brackets that were left
 * open, and braces too many or too few, would make nonsense of all that
 * follows; but a file that is laid out as people do shows by its indentation
 * what was meant. So a section's head at the start of a line closes whatever is
 * still open; and when a mistake has been told, a line that begins no further
 * right than the one on which a bracket was opened ends the statement, and
 * indented lines outside of any section are passed over. Of files without
 * mistakes indentation changes nothing. */
#include "frontend/parse.h"
#include "frontend/parser.h"

#include <string.h>

/* Can a statement end behind this token? */
static bool ends_statement(int token) {
  switch (token) {
  case 0:
  case NEWLINE:
  case ';':
  case '{':
  case '(':
  case '[':
  case ',':
  case ':':
  case '.':
  case '=':
  case GETS:
  case ARROW:
  case '+':
  case '-':
  case '*':
  case '/':
  case '@':
  case '^':
  case '<':
  case '>':
  case LE:
  case GE:
  case EQ:
  case NE:
  case AND:
  case OR:
  case NOT:
  case EXCEPT:
  case AS:
  case IF:
  case THEN:
  case ELSE:
    return false;
  default:
    return true;
  }
}

/* Does a line that begins with this token go on with the one before? */
static bool continues(int token) {
  return token == ARROW || token == THEN || token == ELSE;
}

/* Does a section begin with the pending token, the first of a line? `train {`,
 * `import "..`, or another section word and a name, as can stand nowhere else.
 */
static bool is_head(const Parser *p) {
  const char *s = p->source->text + p->pending_span.end;
  s += strspn(s, " \t");
  size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
                       "0123456789");
  switch (p->pending) {
  case TRAIN:
    return *s == '{';
  case IMPORT:
    return *s == '"';
  case CONST:
  case LAYER:
  case LOSS:
  case PENALTY:
  case INIT:
  case SCHEDULE:
  case OPTIMIZER:
  case NET:
  case DATA:
  case VARIANT:
    switch (word_token(s, n)) {
    case IF:
    case THEN:
    case ELSE:
    case AND:
    case OR:
    case NOT:
    case AS:
    case EXCEPT:
    case REPEAT:
    case TRUE:
    case FALSE:
      return false;
    default:
      return n > 0;
    }
  default:
    return false;
  }
}

/* Is the line end between p->last and the pending token a token? */
static bool line_ends(Parser *p) {
  p->joined = (Span){0};
  if (p->n_open > 0 && p->lost && p->pending != ')' && p->pending != ']' &&
      p->indent <= p->open_indent)
    p->n_open = 0;
  if (p->n_open > 0 || continues(p->pending))
    return false;
  if (ends_statement(p->last))
    return true;
  if (p->lost && (p->last == ',' || p->last_span.begin == p->lost_at))
    return true;
  if (p->last_span.source && p->last != '{' && p->last != NEWLINE)
    p->joined = p->last_span;
  return false;
}

static void track_brackets(Parser *p, int token, Span at) {
  p->innermost = p->n_open > 0 ? p->open[p->n_open - 1] : (Span){0};
  switch (token) {
  case '(':
  case '[':
    if (p->n_open == 0)
      p->open_indent = p->indent;
    if (p->n_open == MAX_NESTING)
      parser_too_deep(p, at);
    else
      p->open[p->n_open++] = at;
    break;
  case ')':
  case ']':
    if (p->n_open > 0)
      p->n_open--;
    break;
  case '{':
  case '}': /* never inside ( or [: one of those was left open */
    p->n_open = 0;
    p->n_braces += token == '{' ? 1 : p->n_braces > 0 ? -1 : 0;
    if (token == '{' && p->n_braces <= MAX_NESTING)
      p->brace[p->n_braces - 1] = at;
    break;
  case YYerror:
    p->lost = p->shaken = true;
    break;
  default:
    break;
  }
}

/* Moves the next token other than a line end into `pending`. */
static void read_ahead(Parser *p) {
  YYSTYPE value = {0};
  do
    p->pending = scan(&value, &p->pending_span, p->scanner);
  while (p->pending == NEWLINE);
  if (p->pending == NUMBER)
    p->pending_number = value.number;
  else
    p->pending_text = value.string;
}

static int take_pending(Parser *p, YYSTYPE *value, YYLTYPE *at) {
  int token = p->pending;
  *at = p->pending_span;
  if (token == NUMBER)
    value->number = p->pending_number;
  else
    value->string = p->pending_text;
  p->pending = -1;
  return token;
}

/* The pending token begins a line. Behind a mistake and outside of braces,
 * lines that belong to no section are passed over. */
static void skip_strays(Parser *p) {
  YYSTYPE value;
  Span at;
  if (p->n_braces > 0 || p->n_open > 0 || !p->shaken)
    return;
  while (p->pending != YYEOF && (p->indent > 0 || p->pending == '}')) {
    int token;
    do
      token = scan(&value, &at, p->scanner);
    while (token != NEWLINE && token != YYEOF);
    read_ahead(p);
  }
}

/* If the pending token begins a section at the start of a line, whatever is
 * open ends before it. */
static bool begin_section(Parser *p) {
  if (p->indent > 0 || !is_head(p))
    return false;
  if (p->n_braces > 0 && !p->shaken && p->n_braces <= MAX_NESTING) {
    Diag *diag = diag_error(p->diags, "E0105", p->pending_span,
                            "expected '}', found '%s'", p->pending_text);
    diag_note(diag, p->brace[p->n_braces - 1], "to close this '{'");
  }
  p->closing = p->n_braces > 0 ? p->n_braces + 1 : 0;
  p->shaken = false;
  p->n_open = 0;
  p->joined = (Span){0};
  return true;
}

/* A line end was read: the token that it gives, or the first of the next line.
 */
static int line_end(Parser *p, YYSTYPE *value, YYLTYPE *at) {
  /* Shown right behind the statement, not behind a comment. */
  Span end = {p->source, p->last_span.end, p->last_span.end + 1};
  read_ahead(p);
  skip_strays(p);
  if (!begin_section(p) && !line_ends(p))
    return take_pending(p, value, at);
  *at = end;
  return NEWLINE;
}

/* Behind a NEWLINE: by now the grammar may have told of a mistake there. */
static int take_line(Parser *p, YYSTYPE *value, YYLTYPE *at) {
  skip_strays(p);
  begin_section(p);
  return take_pending(p, value, at);
}

/* The braces that `begin_section` closes, and a line end behind them. */
static int close_next(Parser *p, YYLTYPE *at) {
  *at = (Span){p->source, p->last_span.end, p->last_span.end};
  return --p->closing > 0 ? '}' : NEWLINE;
}

int yylex(YYSTYPE *value, YYLTYPE *at, Parser *p) {
  uint32_t size = (uint32_t)p->source->size;
  int token;
  if (p->stopped)
    token = YYEOF;
  else if (p->closing > 0)
    token = close_next(p, at);
  else if (p->pending >= 0)
    token = take_line(p, value, at);
  else
    token = scan(value, at, p->scanner);
  if (token == NEWLINE && p->closing == 0 && p->pending < 0)
    token = line_end(p, value, at);
  track_brackets(p, token, *at);
  if (p->stopped || token == YYEOF) {
    token = YYEOF;
    *at = (Span){p->source, size, size};
  }
  p->last = token;
  p->last_span = *at;
  return token;
}
