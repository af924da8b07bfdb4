/* The files for editors: JSON that reads, every word of the scanner known to both
 * editors, and every program coloured without a rest by the TextMate grammar
 * (tokenise.py, where there is Python) and without an error by Vim (where it is
 * there). */
#include "tests/check.h"

#include <ctype.h>
#include <glob.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define EDITOR "frontend/editor/"
#define GRAMMAR EDITOR "vscode/syntaxes/netc.tmLanguage.json"
#define VIM EDITOR "vim/syntax/netc.vim"

static void json(void) {
  static const char *const paths[] = {
      EDITOR "vscode/package.json", EDITOR "vscode/language-configuration.json",
      GRAMMAR};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    json_error_t error;
    json_t *text = json_load_file(paths[i], JSON_REJECT_DUPLICATES, &error);
    check_that(json_is_object(text), "%s:%d: %s", paths[i], error.line,
               error.text);
    json_decref(text);
  }
}

/* Is the word somewhere in the text, alone? */
static bool has_word(const char *text, const char *word) {
  size_t n = strlen(word);
  for (const char *s = text; (s = strstr(s, word)); s++)
    if ((s == text || !isalnum((unsigned char)s[-1])) &&
        !isalnum((unsigned char)s[n]))
      return true;
  return false;
}

/* Words stand in the scanner as {"word", TOKEN}. */
static void words(void) {
  char *scanner = check_read("frontend/lexer.l", NULL);
  char *grammar = check_read(GRAMMAR, NULL), *vim = check_read(VIM, NULL);
  CU_ASSERT_FATAL(scanner && grammar && vim);
  char *s = strstr(scanner, "} words[] = {"), word[32];
  CU_ASSERT_PTR_NOT_NULL_FATAL(s);
  char *end = strstr(s, "};");
  int n = 0, used;
  while ((s = strstr(s, "{\"")) && s < end) {
    if (sscanf(s, "{\"%31[a-z]\"%n", word, &used) == 1) {
      check_that(has_word(grammar, word), "VS Code does not know %s", word);
      check_that(has_word(vim, word), "Vim does not know %s", word);
      n++;
    }
    s++;
  }
  check_that(n > 20, "only %d words", n);
  free(scanner);
  free(grammar);
  free(vim);
}

/* Is the program there? */
static bool is_there(const char *name) {
  const char *const argv[] = {name, "--version", NULL};
  Run r = check_run(20, argv);
  bool there = r.status == 0;
  run_free(&r);
  return there;
}

static void text_mate(void) {
  static const char *const patterns[] = {"frontend/*.net", "models/*.net",
                                         "tests/golden/*/*.net",
                                         "tests/fmt/*.net"};
  if (!is_there("python3"))
    return;
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    const char *argv[CHECK_ARGS] = {"python3", "tests/editor/tokenise.py",
                                    GRAMMAR};
    glob_t found;
    if (glob(patterns[i], 0, NULL, &found) == 0) {
      for (size_t k = 0; k < found.gl_pathc && k < CHECK_ARGS - 4; k++)
        argv[k + 3] = found.gl_pathv[k];
      Run r = check_run(30, argv);
      check_that(r.status == 0, "%s\n%.600s%.600s", r.command, r.out, r.err);
      run_free(&r);
    }
    globfree(&found);
  }
}

/* A mistake in a script ends Vim with another status. */
static void vim(void) {
  if (!is_there("vim"))
    return;
  const char *const argv[] = {
      "vim", "-u", "NONE", "-i", "NONE", "-N", "-es",
      "-c", "set runtimepath+=frontend/editor/vim",
      "-c", "filetype plugin on",
      "-c", "syntax on",
      "-c", "edit models/lenet.net",
      "-c", "if &filetype != 'netc' || &makeprg !~ 'netc' | cquit | endif",
      "-c", "if synIDattr(synID(1, 1, 1), 'name') != 'netcComment' | cquit",
      "-c", "qa!", NULL};
  Run r = check_run(30, argv);
  check_that(r.status == 0, "vim: exit %d\n%.600s%.600s", r.status, r.out,
             r.err);
  run_free(&r);
}

void suite_editor(void) {
  check_suite("editor", (const CheckTest[]){{"JSON", json},
                                            {"words", words},
                                            {"TextMate grammar", text_mate},
                                            {"Vim", vim},
                                            {0}});
}
