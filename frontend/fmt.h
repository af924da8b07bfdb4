/* What the files of the formatter share; only they include it.
 *
 *   fmt.c         from a tree to text, and the proof that nothing was lost
 *   fmt_tokens.c  the tokens of a file with the comments between them
 *   fmt_tree.c    where lines may be broken, and under what they go on
 *   fmt_layout.c  which lines are broken, and every token's column
 *   fmt_align.c   columns of neighbouring lines
 */
#ifndef NETC_FMT_H
#define NETC_FMT_H

#include "frontend/parse.h"
#include "frontend/parser.h"

enum {
  LINE_WIDTH = 100, /* characters */
  INDENT = 2,
  HANGING = 4, /* of a line for which there is no better place */
  NO_TOKEN = -1
};

/* What a break before a token costs: the formatter breaks a long line where it
 * is cheapest, of equals at the last. Each level of the tree costs one. */
enum { COST_LAST_RESORT = 10000, COST_NEVER = 1 << 30 };

typedef struct Comment {
  const char *text; /* from the # to the last character that is no blank */
  int size;
  bool blank; /* an empty line stands before it */
} Comment;

/* A token that is no line end and no semicolon. */
typedef struct Tok {
  int kind; /* as in parser.h; YYEOF for the last, which has no text */
  Span span;
  int width;  /* in characters */
  bool first; /* of a statement; a } and the end of the file count too */
  int level;  /* of braces around it; of a }: around its block */
  int match;  /* the other one of two brackets or braces, or NO_TOKEN */
  bool ended; /* a line ended before it in the source */
  bool blank; /* and an empty line stood there */
  int own, n_own;       /* the comments before it on lines of their own */
  const Comment *trail; /* the one behind it, at the end of its line, or NULL */

  /* fmt_tree.c */
  bool binary;      /* an operator between two operands, or `except` */
  bool value;       /* the first behind the = or <- of a statement */
  bool apart;       /* a ( that is no call's */
  int under;        /* a line that begins here is set under this token, */
  int shift;        /* so far to its right; */
  bool of_line;     /* or of the token that begins its line */
  int cost;         /* of a break before it that nobody asked for */
  int follows;      /* breaks where this one does: else and its then */
  int next_arrow;   /* of the same pipeline, or NO_TOKEN */
  int as;           /* of an arrow: the `as` of its stage, or NO_TOKEN */

  /* fmt_layout.c */
  bool breaks; /* begins a line within its statement */
  bool one_line; /* of a {: its block stands on one line */
  bool in_line; /* lies in such a block */
  int pad;     /* more blanks before it, to align it */
  int column;  /* from 0 */
  int line;    /* the token that begins its line */
} Tok;

/* Statements that can be aligned with their neighbours. */
typedef enum RowKind {
  ROW_CONST,   /* const name | = */
  ROW_SETTING, /* name | = of train, data and variants */
  ROW_LET,     /* name | = and <- that fit on a line */
  ROW_DECLARE, /* weight | name: | shape | = */
  ROW_STATE,   /* state name | = without a shape */
  ROW_VARIANT, /* variant name | { on one line */
} RowKind;

enum { MAX_COLUMNS = 3 };
typedef struct Row {
  RowKind kind;
  int first, last;          /* tokens */
  int column[MAX_COLUMNS];  /* the tokens that are aligned; NO_TOKEN ends it */
} Row;

typedef struct Fmt {
  Arena *arena;
  const Ast *ast;
  const Source *source;
  int n_toks, cap_toks;
  Tok *tok;
  int n_comments, cap_comments;
  Comment *comment;
  int n_rows, cap_rows;
  Row *row; /* in the order of the text */
  int n_pipes, cap_pipes;
  int *pipe; /* the first arrow of each pipeline */
} Fmt;

/* fmt_tokens.c: fills tok and comment from f->source, which has no mistakes. */
void fmt_tokens(Fmt *f);
/* fmt_tree.c: fills the second part of each token, row and pipe. */
void fmt_tree(Fmt *f);
/* fmt_layout.c: fills the third part of each token. */
void fmt_layout(Fmt *f);
/* Does token i begin a line? */
bool fmt_begins_line(const Fmt *f, int i);
/* The token's blank spaces before it on a line, without pad; -1: a semicolon
 * and a space. */
int fmt_space(const Fmt *f, int i);
/* The column of token i if it begins a line. */
int fmt_indent(const Fmt *f, int i);
/* Works out column and line of every token; breaks long lines if `fit`. Returns
 * whether it broke any. */
bool fmt_columns(Fmt *f, bool fit);
/* fmt_align.c: sets pad; calls fmt_columns. */
void fmt_align(Fmt *f);

#endif
