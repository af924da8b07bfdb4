/* The tokens of a file, as the grammar gets them, without line ends and
 * semicolons: these become `first` of the token behind. The text between two
 * tokens is blanks and comments; a comment behind a token on its line belongs
 * to that token, others to the token that follows. */
#include "frontend/fmt.h"

#include <string.h>

static Tok *add_token(Fmt *f, int kind, Span at) {
  if (f->n_toks == f->cap_toks)
    f->tok = arena_grow(f->arena, f->tok, f->n_toks, &f->cap_toks,
                        sizeof *f->tok);
  Tok *t = &f->tok[f->n_toks++];
  *t = (Tok){.kind = kind, .span = at, .match = NO_TOKEN};
  for (uint32_t i = at.begin; i < at.end; i++)
    t->width += ((unsigned char)f->source->text[i] & 0xc0) != 0x80;
  return t;
}

static Comment *add_comment(Fmt *f, const char *text, size_t size) {
  if (f->n_comments == f->cap_comments)
    f->comment = arena_grow(f->arena, f->comment, f->n_comments,
                            &f->cap_comments, sizeof *f->comment);
  while (size > 1 && strchr(" \t\r", text[size - 1]))
    size--;
  Comment *c = &f->comment[f->n_comments++];
  *c = (Comment){.text = text, .size = (int)size};
  return c;
}

/* A comment that stands behind a token is not in the list, which moves. */
static const Comment *trailing(Fmt *f, const char *text, size_t size) {
  Comment *copy = arena_alloc(f->arena, sizeof *copy);
  *copy = *add_comment(f, text, size);
  f->n_comments--;
  return copy;
}

/* Reads the text between token i - 1 and token i. */
static void read_gap(Fmt *f, int i) {
  Tok *t = &f->tok[i];
  const char *s = f->source->text + (i > 0 ? f->tok[i - 1].span.end : 0);
  const char *end = f->source->text + t->span.begin;
  int line_ends = 0;
  t->own = f->n_comments;
  for (; s < end; s++) {
    if (*s == '\n') {
      line_ends++;
      t->ended = true;
    } else if (*s == '#') {
      size_t size = strcspn(s, "\n");
      if (i > 0 && !t->ended)
        f->tok[i - 1].trail = trailing(f, s, size);
      else
        add_comment(f, s, size)->blank = line_ends > 1;
      s += size - 1;
      line_ends = 0;
    }
  }
  t->n_own = f->n_comments - t->own;
  t->blank = line_ends > 1;
}

static bool opens(int kind) {
  return kind == '(' || kind == '[' || kind == '{';
}

static bool closes(int kind) {
  return kind == ')' || kind == ']' || kind == '}';
}

/* Pairs brackets and braces and counts levels. */
static void match(Fmt *f) {
  int *open = arena_alloc(f->arena, (size_t)f->n_toks * sizeof *open);
  int n = 0, level = 0;
  for (int i = 0; i < f->n_toks; i++) {
    Tok *t = &f->tok[i];
    level -= t->kind == '}';
    t->level = level;
    level += t->kind == '{';
    if (opens(t->kind)) {
      open[n++] = i;
    } else if (closes(t->kind)) {
      if (n == 0)
        defect("token %d closes nothing", i);
      t->match = open[--n];
      f->tok[t->match].match = i;
    }
  }
}

/* A block stands on one line if it does so in the source. */
static void find_blocks(Fmt *f) {
  int ended = NO_TOKEN; /* the last token before which a line ended */
  for (int i = 0; i < f->n_toks; i++) {
    if (f->tok[i].ended)
      ended = i;
    if (f->tok[i].kind == '}')
      f->tok[f->tok[i].match].one_line = ended <= f->tok[i].match;
  }
}

void fmt_tokens(Fmt *f) {
  Diags none;
  diags_init(&none, f->arena);
  Parser p = {.arena = f->arena, .diags = &none, .source = f->source,
              .pending = -1};
  bool first = true;
  int kind;
  scanner_begin(&p);
  do {
    YYSTYPE value;
    Span at;
    kind = yylex(&value, &at, &p);
    if (kind != NEWLINE && kind != ';')
      add_token(f, kind, at)->first = first || kind == '}' || kind == YYEOF;
    first = kind == NEWLINE || kind == ';' || kind == '{';
  } while (kind != YYEOF);
  scanner_end(&p);
  for (int i = 0; i < f->n_toks; i++)
    read_gap(f, i);
  match(f);
  find_blocks(f);
}
