/* The words of the text forms: what read.c (graphs) and kernel_read.c share.
 * A text is lines; a line is words, numbers and punctuation between blanks; `#`
 * begins a comment. The text is untrusted: whatever is wrong becomes a
 * diagnostic at its place, the rest of the line is skipped, and after
 * LEX_ERRORS of them the text ends. */
#ifndef NETC_LEX_H
#define NETC_LEX_H

#include "ir/ir.h"

enum { LEX_ERRORS = 20 };

typedef struct Lex {
  Arena *arena;
  Diags *diags;
  const Source *source;
  bool started;
  size_t at;  /* the next byte */
  int errors; /* told so far */
} Lex;

Lex lex_of(Arena *a, Diags *d, const Source *source);
/* Adds an error from byte `begin` to the current place; returns false. */
bool lex_fail(Lex *l, const char *code, size_t begin, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Moves to the first word of the next line that has one; false at the end of
 * the text. Call it before the first line too. */
bool lex_line(Lex *l);
/* Moves past blanks; returns the place of the next word. */
size_t lex_here(Lex *l);
/* Takes the punctuation or the whole word `s` if it is next. */
bool lex_take(Lex *l, const char *s);
/* The same; an error if it is not. */
bool lex_want(Lex *l, const char *s);
bool lex_want_end(Lex *l); /* the end of the line */
/* A name, plain or in quotes. `what` says what was wanted. NULL: an error. */
const char *lex_name(Lex *l, const char *what);
/* A name that is one of n; an error suggests the nearest. */
bool lex_choice(Lex *l, const char *what, const char *const *names, int n,
                int *which);
bool lex_int(Lex *l, int64_t least, int64_t most, int64_t *v);
bool lex_number(Lex *l, double *v);
/* `[1,2,3]`; at most `most` of them. */
bool lex_ints(Lex *l, int64_t least, int64_t greatest, int most, int *n,
              int64_t *v);
bool lex_type(Lex *l, Type *type);
/* Nothing, or `limit=BYTES`. */
bool lex_limit(Lex *l, int64_t *bytes);
/* Nothing, or `@ FILE:LINE:COLUMN STAGE, ..`; at most MAX_LOCS. */
bool lex_locs(Lex *l, int *n, Loc *locs);

#endif
