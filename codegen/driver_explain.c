/* `netc explain`: the longer account of a diagnostic with its example, or
 * without a code the list of all. The accounts are the front end's
 * (frontend/explain.h). */
#include "codegen/driver.h"
#include "frontend/explain.h"

#include <string.h>

/* A text between empty lines, four blanks to the right. */
static void print_example(const char *text) {
  printf("\n");
  while (*text) {
    size_t n = strcspn(text, "\n");
    printf("    %.*s\n", (int)n, text);
    text += n + (text[n] == '\n');
  }
  printf("\n");
}

static void print_account(const Explanation *e) {
  printf("%s: %s\n\n%s\nThis is a mistake:\n", e->code, e->title, e->text);
  print_example(e->bad);
  printf("This is not:\n");
  print_example(e->good);
}

Status command_explain(const Options *o) {
  if (!o->file) {
    for (int i = 0; i < n_explanations; i++)
      printf("%s  %s\n", explanations[i].code, explanations[i].title);
    return flush_output();
  }
  const Explanation *e = explain(o->file);
  if (!e)
    return usage_error("'%s' is no code of a diagnostic; netc explain lists "
                       "them", o->file);
  print_account(e);
  return flush_output();
}
