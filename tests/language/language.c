/* frontend/LANGUAGE.md cannot rot: each of its examples is compiled, and what it
 * tells of the prelude is what the prelude holds. The words behind a fence say
 * what a block is:
 *
 *   net           a program
 *   net NAME      lines that stand for the `...` of tests/language/NAME.net
 *   net .. E0302  one of these with a mistake: its only diagnostics have that code
 *   text          what was printed of the mistake before it, to the letter
 *   ebnf          grammar
 *
 * Programs are also as `netc fmt` lays them out. Of the prelude the first column
 * of each table holds signatures; those of layers leave out what is piped in,
 * those of optimizers the weight and its gradient. */
#include "tests/check.h"
#include "tests/definitions.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFERENCE "frontend/LANGUAGE.md"

/* -- blocks */

enum { MAX_WORDS = 4, WORD = 32, MAX_TEXT = 16384 };

typedef struct Block {
  int line, n_words;
  char word[MAX_WORDS][WORD]; /* behind the fence */
  const char *begin, *end;
} Block;

static const char *next_line(const char *p) {
  return p + strcspn(p, "\n") + (strchr(p, '\n') != NULL);
}

/* The next block from *p, which stands on line *line; false at the end. */
static bool next_block(const char **p, int *line, Block *b) {
  const char *at = *p;
  for (; *at && strncmp(at, "```", 3); at = next_line(at))
    ++*line;
  if (!*at)
    return false;
  *b = (Block){.line = *line, .begin = next_line(at)};
  for (at += 3; b->n_words < MAX_WORDS && *at != '\n';) {
    size_t n = strcspn(at, " \n");
    snprintf(b->word[b->n_words++], WORD, "%.*s", (int)n, at);
    at += n + strspn(at + n, " ");
  }
  for (at = b->begin, ++*line; *at && strncmp(at, "```", 3); at = next_line(at))
    ++*line;
  b->end = at;
  *p = next_line(at);
  ++*line;
  return true;
}

/* The program that the block makes, in its frame if it has one. */
static char *program_of(const Block *b, const char *frame) {
  char path[256], *whole = NULL, *text = calloc(1, MAX_TEXT);
  const char *hole = "", *rest = "";
  if (frame[0]) {
    snprintf(path, sizeof path, "tests/language/%s.net", frame);
    whole = check_read(path, NULL);
    hole = whole ? strstr(whole, "...\n") : NULL;
    if (!check_that(hole != NULL, REFERENCE ":%d: no frame %s", b->line, path))
      hole = "";
    rest = *hole ? hole + 4 : "";
  }
  if (text)
    snprintf(text, MAX_TEXT, "%.*s%.*s%s", whole ? (int)(hole - whole) : 0,
             whole ? whole : "", (int)(b->end - b->begin), b->begin, rest);
  free(whole);
  return text;
}

/* What the examples read, in the folder where they are checked. */
static void write_data(void) {
  static const char wine[] = "colour,acid,sugar,quality\n"
                             "red,7.4,1.9,5\nwhite,7.8,2.6,6\nred,?,2.3,5\n"
                             "white,11.2,1.9,6\nred,7.9,1.6,7\n";
  char book[512] = "";
  for (size_t i = 0; i + 1 < sizeof book; i++)
    book[i] = "to be or not\n"[i * i % 13];
  check_write(check_path("wine.csv"), wine, strlen(wine));
  check_write(check_path("book.txt"), book, strlen(book));
}

static Run netc(const char *command) {
  char line[512];
  snprintf(line, sizeof line, "cd %s && ../netc %s example.net", check_tmp(),
           command);
  return check_run(20, (const char *const[]){"/bin/sh", "-c", line, NULL});
}

static bool is_code(const char *word) {
  return word[0] == 'E' && strlen(word) == 5;
}

/* Every `error[` of the text has this code. */
static bool only_code(const char *err, const char *code) {
  bool found = false;
  for (const char *p = err; (p = strstr(p, "error[")); p++, found = true)
    if (strncmp(p + 6, code, 5))
      return false;
  return found;
}

/* Compiles a block; returns what was printed, to be freed. */
static char *example(const Block *b) {
  const char *frame = "", *code = "";
  bool known = true;
  for (int i = 1; i < b->n_words; i++)
    if (is_code(b->word[i]))
      code = b->word[i];
    else if (i == 1)
      frame = b->word[i];
    else
      known = false;
  check_that(known, REFERENCE ":%d: what is this block?", b->line);
  char *text = program_of(b, frame);
  if (!text)
    return NULL;
  check_write(check_path("example.net"), text, strlen(text));
  Run r = netc("check");
  if (*code)
    check_that(r.status == 1 && only_code(r.err, code),
               REFERENCE ":%d: not %s, but\n%.700s", b->line, code, r.err);
  else
    check_that(!r.status, REFERENCE ":%d:\n%.700s", b->line, r.err);
  if (!*code && !*frame) {
    Run f = netc("fmt --check");
    check_that(!f.status, REFERENCE ":%d: not laid out as by netc fmt", b->line);
    run_free(&f);
  }
  char *err = strdup(r.err);
  run_free(&r);
  free(text);
  return err;
}

static void examples(void) {
  char *reference = check_read(REFERENCE, NULL), *printed = NULL;
  const char *p = reference;
  int line = 1, count = 0;
  Block b;
  write_data();
  while (check_that(reference != NULL, REFERENCE) && next_block(&p, &line, &b)) {
    const char *kind = b.n_words ? b.word[0] : "";
    if (!strcmp(kind, "net")) {
      free(printed);
      printed = example(&b);
      count++;
    } else if (!strcmp(kind, "text") && b.n_words == 1) {
      size_t n = (size_t)(b.end - b.begin);
      check_that(printed && strlen(printed) == n && !memcmp(printed, b.begin, n),
                 REFERENCE ":%d: what is printed is\n%.800s", b.line,
                 printed ? printed : "");
    } else {
      check_that(!strcmp(kind, "ebnf") && b.n_words == 1,
                 REFERENCE ":%d: a block of no known kind", b.line);
    }
  }
  check_that(count > 20, "%d examples", count);
  free(printed);
  free(reference);
}

/* -- the tables of the prelude */

typedef struct Told {
  char text[DEFINITION_PARAMS];
  bool there;
} Told;

/* The code spans in the first column of the tables between two headings. */
static int read_tables(const char *text, const char *heading, Told *told,
                       int capacity) {
  int n = 0;
  const char *p = strstr(text, heading);
  for (p = p ? next_line(p) : ""; *p && strncmp(p, "## ", 3); p = next_line(p)) {
    if (*p != '|')
      continue;
    const char *cell = p + strcspn(p + 1, "|\n") + 1;
    for (const char *at = p; (at = strchr(at, '`')) && at < cell && n < capacity;) {
      size_t length = strcspn(at + 1, "`");
      snprintf(told[n].text, sizeof told[n].text, "%.*s", (int)length, at + 1);
      told[n++].there = false;
      at += length + 2;
    }
  }
  return n;
}

/* How many signatures are of this definition. What is piped into a layer may be
 * left out; the weight and the gradient of an optimizer always are. */
static int find(Told *told, int n, const DefinitionText *d, char *want) {
  int found = 0, hidden = 2 * !strcmp(d->kind, "optimizer");
  for (int first = hidden; first <= hidden + !strcmp(d->kind, "layer"); first++) {
    definition_signature(d, first, want);
    for (int i = 0; i < n; i++)
      if (!strcmp(told[i].text, want)) {
        told[i].there = true;
        found++;
      }
  }
  return found;
}

static void prelude(void) {
  static Told told[MAX_DEFINITIONS];
  char *reference = check_read(REFERENCE, NULL), want[DEFINITION_PARAMS];
  char *text = check_read("frontend/prelude.net", NULL);
  const char *next = text;
  DefinitionText d;
  int count = 0, n = reference ? read_tables(reference, "## The prelude\n", told,
                                             MAX_DEFINITIONS) : 0;
  for (; text && definition_next(&next, &d); count++) {
    int found = find(told, n, &d, want);
    check_that(found == 1, REFERENCE " has %d times `%s`", found, want);
  }
  for (int i = 0; i < n; i++)
    check_that(told[i].there, "the prelude has no `%s`", told[i].text);
  check_that(count > 60 && n > 60, "%d definitions, %d told", count, n);
  free(text);
  free(reference);
}

void suite_language(void) {
  check_suite("language", (const CheckTest[]){{"examples", examples},
                                              {"the prelude", prelude},
                                              {0}});
}
