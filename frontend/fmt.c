/* `netc fmt`: a file in the one layout. The tokens and comments stay what they
 * were and in their order, so that the tree is the same; only blanks, line ends
 * and semicolons change. What is laid out how is decided in fmt_layout.c and
 * the files that it names; here the result is written down, and read again to
 * see that nothing was lost. */
#include "frontend/fmt.h"

#include <string.h>

/* --- writing -------------------------------------------------------------- */

enum { BEFORE_COMMENT = 2 };

typedef struct Writer {
  const Fmt *f;
  Text *t;
  int comment_column; /* of trailing comments in the lines that follow */
  int last_aligned;   /* the last token whose comment stands there */
} Writer;

static int end_of(const Tok *t) {
  return t->column + t->width;
}

static void put_comment(Text *t, int column, const Comment *c) {
  text_add(t, "%*s%.*s\n", column, "", c->size, c->text);
}

/* Does an item of several lines end before token i, or one begin there? */
static bool beside_block(const Fmt *f, int i) {
  const Tok *t = &f->tok[i];
  if (t->level > 0 || i == 0 || t->kind == YYEOF || t->kind == '}')
    return false;
  if (f->tok[i - 1].kind == '}' && f->tok[i - 1].line == i - 1)
    return true;
  while (++i < f->n_toks && !f->tok[i].first)
    if (f->tok[i].kind == '{')
      return f->tok[i + 1].line == i + 1;
  return false;
}

/* Does an empty line stand before token i and the comments before it? They do
 * between statements alone. */
static bool blank_before(const Fmt *f, int i) {
  const Tok *t = &f->tok[i];
  if (!t->first || i == 0 || t[-1].kind == '{')
    return false;
  if (t->n_own > 0 && f->comment[t->own].blank)
    return true;
  bool any = t->blank;
  for (int k = 0; k < t->n_own; k++)
    any |= f->comment[t->own + k].blank;
  if (t->n_own > 0)
    return !any && beside_block(f, i);
  return (any || beside_block(f, i)) && t->kind != '}' && t->kind != YYEOF;
}

/* Empty lines and comments before token i, which begins a line. */
static void put_between(Writer *w, int i) {
  const Fmt *f = w->f;
  const Tok *t = &f->tok[i];
  bool ends = t->kind == '}' || t->kind == YYEOF;
  int indent = t->kind == '}' ? INDENT * (t->level + 1) : t->column;
  if (blank_before(f, i))
    text_add(w->t, "\n");
  for (int k = 0; k < t->n_own; k++) {
    const Comment *c = &f->comment[t->own + k];
    if (t->first && c->blank && k > 0)
      text_add(w->t, "\n");
    put_comment(w->t, indent, c);
  }
  if (t->first && t->blank && t->n_own > 0 && !ends)
    text_add(w->t, "\n");
}

/* The token that ends the line behind token i. */
static int line_end(const Fmt *f, int i) {
  while (i + 1 < f->n_toks && f->tok[i + 1].line != i + 1)
    i++;
  return i;
}

/* Comments at the ends of lines that follow each other in one block stand under
 * each other: finds the column for those from token i on, which has one. */
static void find_column(Writer *w, int i) {
  const Fmt *f = w->f;
  if (i <= w->last_aligned)
    return;
  int most = end_of(&f->tok[i]);
  w->last_aligned = i;
  while (f->tok[i].kind != '{') {
    const Tok *next = &f->tok[i + 1];
    if (next->kind == YYEOF || next->kind == '}' || next->n_own > 0 ||
        blank_before(f, i + 1))
      break;
    i = line_end(f, i + 1);
    if (!f->tok[i].trail)
      break;
    w->last_aligned = i;
    if (end_of(&f->tok[i]) > most)
      most = end_of(&f->tok[i]);
  }
  w->comment_column = most + BEFORE_COMMENT;
}

static void put_token(Writer *w, int i) {
  const Fmt *f = w->f;
  const Tok *t = &f->tok[i];
  if (t->line == i) {
    put_between(w, i);
    text_add(w->t, "%*s", t->kind == YYEOF ? 0 : t->column, "");
  } else {
    int space = fmt_space(f, i);
    text_add(w->t, "%s%*s", space < 0 ? ";" : "",
             (space < 0 ? 1 : space) + t->pad, "");
  }
  text_add(w->t, "%.*s", (int)(t->span.end - t->span.begin),
           f->source->text + t->span.begin);
  if (t->trail) {
    find_column(w, i);
    put_comment(w->t, w->comment_column - end_of(t), t->trail);
  } else if (i + 1 < f->n_toks && f->tok[i + 1].line == i + 1) {
    text_add(w->t, "\n");
  }
}

static void write_all(Text *t, const Fmt *f) {
  Writer w = {f, t, 0, NO_TOKEN};
  for (int i = 0; i < f->n_toks; i++)
    put_token(&w, i);
}

/* --- nothing was lost ----------------------------------------------------- */

static bool same_comment(const Comment *a, const Comment *b) {
  if (!a || !b)
    return a == b;
  return a->size == b->size && memcmp(a->text, b->text, (size_t)a->size) == 0;
}

static bool same_token(const Fmt *f, const Fmt *g, int i) {
  const Tok *a = &f->tok[i], *b = &g->tok[i];
  size_t size = a->span.end - a->span.begin;
  bool same = a->kind == b->kind && a->first == b->first &&
              a->n_own == b->n_own && same_comment(a->trail, b->trail) &&
              size == b->span.end - b->span.begin &&
              memcmp(f->source->text + a->span.begin,
                     g->source->text + b->span.begin, size) == 0;
  for (int k = 0; same && k < a->n_own; k++)
    same = same_comment(&f->comment[a->own + k], &g->comment[b->own + k]);
  return same;
}

static void check_same(const Fmt *f, const Text *t) {
  Fmt g = {.arena = f->arena,
           .source = source_of_text(f->arena, f->source->path, t->s)};
  fmt_tokens(&g);
  bool same = f->n_toks == g.n_toks;
  for (int i = 0; same && i < f->n_toks; i++)
    same = same_token(f, &g, i);
  if (!same)
    defect("%s: the layout would change the program", f->source->path);
}

void print_formatted(Text *t, const Ast *ast) {
  Fmt f = {.arena = t->arena, .ast = ast, .source = ast->source};
  fmt_tokens(&f);
  fmt_tree(&f);
  fmt_layout(&f);
  write_all(t, &f);
  check_same(&f, t);
}
