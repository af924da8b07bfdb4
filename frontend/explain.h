/* Longer accounts of diagnostics, for `netc explain`. */
#ifndef NETC_EXPLAIN_H
#define NETC_EXPLAIN_H

/* Texts end with a line end. An example may leave out sections of the program
 * that have nothing to do with the mistake; a first line `# netc ..` says how to
 * get the diagnostic. */
typedef struct Explanation {
  const char *code;  /* "E0302" */
  const char *title; /* a few words without a full stop */
  const char *text;
  const char *bad, *good; /* an example, and what it should be */
} Explanation;

/* In the order of their codes. */
extern const Explanation explanations[];
extern const int n_explanations;

/* The account of a code: E0302, e0302 or 302. NULL: there is none. */
const Explanation *explain(const char *code);

#endif
