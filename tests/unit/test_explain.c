/* `netc explain`: each diagnostic that the sources can give has an account, and
 * no other; each example of a mistake gives that diagnostic, and each of how to
 * do it gives none. The sources are searched for "E0302" and the like. */
#include "frontend/explain.h"
#include "tests/check.h"

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODES = 10000 };

/* --- a row for each code -------------------------------------------------- */

static bool is_code(const char *s) {
  return s[0] == '"' && s[1] == 'E' && isdigit((unsigned char)s[2]) &&
         isdigit((unsigned char)s[3]) && isdigit((unsigned char)s[4]) &&
         isdigit((unsigned char)s[5]) && s[6] == '"';
}

/* Marks the codes that this file gives. */
static void find_codes(const char *path, bool *found) {
  char *text = check_read(path, NULL);
  if (!check_that(text != NULL, "%s cannot be read", path))
    return;
  for (const char *s = text; (s = strstr(s, "\"E")); s++)
    if (is_code(s))
      found[strtol(s + 2, NULL, 10)] = true;
  free(text);
}

static void find_all(bool *found) {
  static const char *const patterns[] = {"frontend/*.[cly]", "ir/*.c",
                                         "passes/*.c", "codegen/*.c",
                                         "runtime/*.c"};
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    glob_t files;
    if (glob(patterns[i], 0, NULL, &files) == 0)
      for (size_t k = 0; k < files.gl_pathc; k++)
        find_codes(files.gl_pathv[k], found);
    globfree(&files);
  }
}

static void complete(void) {
  bool *found = calloc(CODES, sizeof *found);
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  find_all(found);
  long before = -1;
  for (int i = 0; i < n_explanations; i++) {
    const Explanation *e = &explanations[i];
    long code = strtol(e->code + 1, NULL, 10);
    check_that(code > before, "%s is not in order", e->code);
    check_that(found[code], "%s is explained, but nothing gives it", e->code);
    found[code] = false;
    before = code;
  }
  for (int i = 0; i < CODES; i++)
    check_that(!found[i], "E%04d needs a row in frontend/explain_*.def", i);
  free(found);
}

/* Lines fit a terminal, and end. */
static void check_lines(const Explanation *e, const char *text) {
  size_t n = strlen(text);
  check_that(n > 0 && text[n - 1] == '\n', "%s: no line end", e->code);
  for (const char *end; (end = strchr(text, '\n')); text = end + 1)
    check_that(end - text <= 84, "%s: a long line: %s", e->code, text);
}

static void form(void) {
  for (int i = 0; i < n_explanations; i++) {
    const Explanation *e = &explanations[i];
    size_t n = strlen(e->title);
    check_that(n > 0 && e->title[n - 1] != '.', "%s: title", e->code);
    check_lines(e, e->text);
    check_lines(e, e->bad);
    check_lines(e, e->good);
  }
}

/* --- examples ------------------------------------------------------------- */

/* What an example may leave out: a line that begins with `word` stands for it. */
static const struct {
  const char *word, *text;
} rest[] = {
    {"data ", "data shapes(train = 64, test = 16)\n"},
    {"net ", "net model(x: [3, 32, 32]) { x -> flatten -> linear(10) as out }\n"},
    {"train {", "train {\n"
                "  loss      = cross_entropy(model(image), label)\n"
                "  optimizer = sgd(lr = 0.1)\n"
                "}\n"},
};

static bool has_line(const char *text, const char *word) {
  for (; text; text = strchr(text, '\n'), text += text != NULL)
    if (!strncmp(text, word, strlen(word)))
      return true;
  return false;
}

static const char *write_example(const char *text, bool whole, bool is_ir) {
  const char *path = check_path(is_ir ? "example.ir" : "example.net");
  FILE *f = fopen(path, "wb");
  if (!f)
    return NULL;
  fputs(text, f);
  for (size_t i = 0; !whole && i < sizeof rest / sizeof *rest; i++)
    if (!has_line(text, rest[i].word))
      fputs(rest[i].text, f);
  return fclose(f) ? NULL : path;
}

/* Splits the words behind "# netc " in the first line, or takes "check FILE". */
static void words_of(char *line, const char *text, const char *path,
                     const char **argv) {
  int n = 0;
  argv[n++] = check_netc();
  bool given = !strncmp(text, "# netc ", 7);
  strcpy(line, "check FILE.net");
  if (given)
    sprintf(line, "%.*s", (int)strcspn(text + 7, "\n"), text + 7);
  for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
    argv[n++] = !strncmp(word, "FILE.", 5) ? path : word;
  argv[n] = NULL;
}

/* A file without sections is what E0401 is about. */
static Run run_example(const Explanation *e, const char *text) {
  bool is_ir = strstr(text, "FILE.ir") != NULL;
  bool whole = is_ir || !strcmp(e->code, "E0401");
  const char *argv[CHECK_ARGS];
  char line[256];
  words_of(line, text, write_example(text, whole, is_ir), argv);
  return check_run(20, argv);
}

static void examples(void) {
  for (int i = 0; i < n_explanations; i++) {
    const Explanation *e = &explanations[i];
    char code[16];
    snprintf(code, sizeof code, "[%s]", e->code);
    Run bad = run_example(e, e->bad);
    check_that(bad.status == 1 && strstr(bad.err, code),
               "%s: the mistake exits with %d and says\n%.600s", e->code,
               bad.status, bad.err);
    run_free(&bad);
    Run good = run_example(e, e->good);
    check_that(good.status == 0 && !good.err[0],
               "%s: the good example exits with %d and says\n%.600s", e->code,
               good.status, good.err);
    run_free(&good);
  }
}

/* --- the command ---------------------------------------------------------- */

static void says(int status, const char *out, const char *word) {
  const char *argv[] = {check_netc(), "explain", word, NULL};
  Run r = check_run(20, argv);
  check_that(r.status == status, "%s: exit %d", r.command, r.status);
  check_that(strstr(status ? r.err : r.out, out) != NULL,
             "%s: should say '%s'", r.command, out);
  run_free(&r);
}

static void command(void) {
  static const char head[] = "E0302: a shape that a definition does not expect";
  says(0, head, "E0302");
  says(0, head, "e0302");
  says(0, head, "302");
  says(0, "\nE0302  a shape", NULL);
  says(2, "'E9999' is no code", "E9999");
  says(2, "'E' is no code", "E");
  says(2, "'E0302x' is no code", "E0302x");
  says(2, "is empty", "");
}

void suite_explain(void) {
  check_suite("explain", (const CheckTest[]){{"complete", complete},
                                             {"form", form},
                                             {"examples", examples},
                                             {"command", command},
                                             {0}});
}
