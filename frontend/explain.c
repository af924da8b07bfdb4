/* The accounts of diagnostics: one table from the files explain_*.def, which hold
 * a row for each code, and its search. Each example there is compiled by a
 * test. */
#include "frontend/explain.h"

#include <stdlib.h>

const Explanation explanations[] = {
#define EXPLAIN(code, title, text, bad, good) {#code, title, text, bad, good},
#include "frontend/explain_text.def"
#include "frontend/explain_names.def"
#include "frontend/explain_values.def"
#include "frontend/explain_program.def"
#include "frontend/explain_ir.def"
#undef EXPLAIN
};
const int n_explanations = sizeof explanations / sizeof explanations[0];

const Explanation *explain(const char *code) {
  char *end;
  if (*code == 'E' || *code == 'e')
    code++;
  if (*code < '0' || *code > '9')
    return NULL;
  long number = strtol(code, &end, 10);
  for (int i = 0; i < n_explanations && !*end; i++)
    if (strtol(explanations[i].code + 1, NULL, 10) == number)
      return &explanations[i];
  return NULL;
}
