/* The definitions of frontend/prelude.net as text, for tests that must reach
 * each of them: they are read from the file, so that none can be forgotten. */
#ifndef NETC_TESTS_DEFINITIONS_H
#define NETC_TESTS_DEFINITIONS_H

#include <stdbool.h>

enum { DEFINITION_NAME = 48, DEFINITION_PARAMS = 512, MAX_DEFINITIONS = 256,
       DEFINITION_MAX_PARAMS = 16 };

typedef struct DefinitionText {
  const char *kind; /* "layer", "loss" .. */
  char name[DEFINITION_NAME];
  const char *begin, *end; /* in the text that was read */
  int n_params;
  char param[DEFINITION_MAX_PARAMS][DEFINITION_NAME]; /* "eps = 1e-5", without
                                                         the shape */
} DefinitionText;

/* Reads the next definition from *p on; false at the end. A definition ends
 * before the next line that opens one or that is a comment. */
bool definition_next(const char **p, DefinitionText *d);
/* "name(b, c = 1)": the definition as it is described, without its first
 * parameters; the name alone where none is left. The caller's buffer has
 * DEFINITION_PARAMS bytes. */
void definition_signature(const DefinitionText *d, int first, char *out);

#endif
