/* What the prelude can do a user's file can do: a definition of it that stands
 * in the user's file under another name gives the same bits, in the weights, in
 * what is printed and in the log. Every definition is copied by itself, once for
 * each way in which its kind is used; and all of them at once, into a file that
 * the programs import. The programs are those of tests/ref/prelude: a definition
 * that none of them uses in each of the ways fails the test. */
#include "tests/check.h"
#include "tests/definitions.h"
#include "tests/tensors.h"

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIR "tests/ref/prelude/"
enum { TEXT = 65536 };

/* How definitions of a kind are used: on which line of a program, behind what
 * and not behind what. NULL: anything. */
static const struct Use {
  const char *kind, *how, *line, *behind, *not_behind;
} uses[] = {
    {"layer", "in a net", NULL, NULL, NULL},
    {"loss", "in `loss`", "  loss ", NULL, NULL},
    {"penalty", "as a term", "  penalty ", NULL, "prox("},
    {"penalty", "under prox", "  penalty ", "prox(", NULL},
    {"init", "in a declaration", "  weight ", "= ", NULL},
    {"schedule", "in an optimizer", "  optimizer ", "(", NULL},
    {"optimizer", "for weights", NULL, " = ", NULL},
};
enum { USES = sizeof uses / sizeof *uses };

/* -- names in a text */

static bool is_word(char c) {
  return isalnum((unsigned char)c) || c == '_';
}

/* The next call of the name: with arguments, or as a stage between arrows. */
static const char *next_call(const char *text, const char *name) {
  size_t n = strlen(name);
  bool in_text = false, in_comment = false;
  for (const char *p = text; *p; p++) {
    in_text = in_text != (*p == '"');
    in_comment = *p == '#' || (in_comment && *p != '\n');
    bool starts = p == text || !(is_word(p[-1]) || p[-1] == '.');
    if (in_text || in_comment || !starts || strncmp(p, name, n) || is_word(p[n]))
      continue;
    bool behind = p >= text + 3 && !strncmp(p - 3, "-> ", 3);
    if (p[n] == '(' || behind || !strncmp(p + n, " ->", 3))
      return p;
  }
  return NULL;
}

/* Writes the text with each call of the name as one of own_NAME. */
static void rename_calls(char *out, const char *text, const char *name) {
  const char *use;
  for (; (use = next_call(text, name)); text = use + strlen(name))
    out += sprintf(out, "%.*sown_%s", (int)(use - text), text, name);
  strcpy(out, text);
}

static const char *find_before(const char *line, const char *end,
                               const char *what) {
  const char *p = strstr(line, what);
  return p && p < end ? p : NULL;
}

/* Whether the program uses the definition so. */
static bool is_used(const char *text, const char *name, const struct Use *u) {
  for (const char *p = text; (p = next_call(p, name)); p++) {
    const char *line = p;
    while (line > text && line[-1] != '\n')
      line--;
    if ((!u->line || !strncmp(line, u->line, strlen(u->line))) &&
        (!u->behind || find_before(line, p, u->behind)) &&
        !(u->not_behind && find_before(line, p, u->not_behind)))
      return true;
  }
  return false;
}

/* -- trainings */

typedef struct Result {
  char *out, *log, *weights;
  size_t weights_size;
} Result;

static void result_free(Result *r) {
  free(r->out);
  free(r->log);
  free(r->weights);
}

static Result train(const char *file, const char *what) {
  const char *log = check_path("log"), *save = check_path("save");
  remove(log);
  remove(save);
  const char *const argv[] = {check_netc(), "run",     file, "--log", log,
                              "--save",     save,      "--print-every", "1",
                              "--quiet",    "--epochs", "2", NULL};
  Run r = check_run(120, argv);
  check_that(!r.status, "%s, %s: exit %d\n%.600s", file, what, r.status, r.err);
  Result t = {.out = strdup(r.out), .log = check_read(log, NULL)};
  t.weights = check_read(save, &t.weights_size);
  run_free(&r);
  return t;
}

/* What a report calls own_NAME is NAME. */
static void drop_own(char *text) {
  char *to = text;
  for (const char *p = text; *p;)
    if (!strncmp(p, "own_", 4))
      p += 4;
    else
      *to++ = *p++;
  *to = 0;
}

static bool same_bits(const Result *a, const Result *b) {
  return a->weights && b->weights && a->weights_size == b->weights_size &&
         a->weights_size > 0 && !memcmp(a->weights, b->weights, a->weights_size);
}

static void compare(const Result *want, Result *got, const char *file,
                    const char *name, const char *how) {
  if (got->log)
    drop_own(got->log);
  check_that(same_bits(want, got), "%s: a copy of %s %s gives other weights",
             file, name, how);
  check_that(want->log && got->log && !strcmp(want->log, got->log) &&
             !strcmp(want->out, got->out),
             "%s: with a copy of %s %s other losses are told", file, name, how);
}

/* -- each by itself */

typedef struct Programs {
  size_t n;
  char **path, **text;
  Result *result; /* of those that were run */
} Programs;

static Programs programs_read(void) {
  glob_t found;
  Programs p = {0};
  if (!check_that(!glob(DIR "*.net", 0, NULL, &found), "no files"))
    return p;
  p.n = found.gl_pathc;
  p.path = calloc(p.n, sizeof *p.path);
  p.text = calloc(p.n, sizeof *p.text);
  p.result = calloc(p.n, sizeof *p.result);
  for (size_t i = 0; i < p.n; i++) {
    p.path[i] = strdup(found.gl_pathv[i]);
    p.text[i] = check_read(p.path[i], NULL);
  }
  globfree(&found);
  return p;
}

static void programs_free(Programs *p) {
  for (size_t i = 0; i < p->n; i++) {
    free(p->path[i]);
    free(p->text[i]);
    result_free(&p->result[i]);
  }
  free(p->path);
  free(p->text);
  free(p->result);
}

static const Result *original(Programs *p, size_t i) {
  if (!p->result[i].out)
    p->result[i] = train(p->path[i], "as it is");
  return &p->result[i];
}

/* Writes copy.net: the program, calling a definition of its own. */
static const char *write_copy(const DefinitionText *d, const char *program) {
  static char out[TEXT];
  const char *path = check_path("copy.net");
  rename_calls(out, program, d->name);
  const char *name = strstr(d->begin, d->name);
  sprintf(out + strlen(out), "\n%.*sown_%.*s", (int)(name - d->begin), d->begin,
          (int)(d->end - name), name);
  check_write(path, out, strlen(out));
  return path;
}

/* The first program that uses the definition so; p->n: none. */
static size_t user_of(const Programs *p, const char *name, const struct Use *u) {
  size_t i = 0;
  while (i < p->n && !is_used(p->text[i], name, u))
    i++;
  check_that(i < p->n, "no program in " DIR " uses %s %s", name, u->how);
  return i;
}

static void one_copy(Programs *p, const DefinitionText *d, const struct Use *u) {
  size_t i = user_of(p, d->name, u);
  if (i == p->n)
    return;
  Result got = train(write_copy(d, p->text[i]), d->name);
  compare(original(p, i), &got, p->path[i], d->name, u->how);
  result_free(&got);
}

static void copies(void) {
  Programs p = programs_read();
  char *prelude = check_read("frontend/prelude.net", NULL);
  const char *next = prelude;
  DefinitionText d;
  int count = 0, ways = 0;
  for (; prelude && definition_next(&next, &d); count++, ways = 0) {
    for (size_t i = 0; i < USES; i++)
      if (!strcmp(uses[i].kind, d.kind)) {
        one_copy(&p, &d, &uses[i]);
        ways++;
      }
    check_that(ways > 0, "how is a %s used?", d.kind);
  }
  check_that(count > 60, "%d definitions", count);
  free(prelude);
  programs_free(&p);
}

/* -- losses as metrics */

/* The program with a line `metrics = NAME`; what a loss needs besides what the
 * trained one compares is 2. */
static void with_metric(char *out, const DefinitionText *d, const char *prefix,
                        const char *program) {
  const char *at = strstr(program, "  batch ");
  bool needs = d->n_params > 2 && !strchr(d->param[2], '=');
  sprintf(out, "%.*s  metrics   = %s%s%s\n%s", (int)(at - program), program,
          prefix, d->name, needs ? "(2)" : "", at);
}

/* The metric in the last record: under its name, or as the accuracy that is told
 * wherever there are classes. */
static double metric(const Result *r, const char *name) {
  const char *last = r->log ? strstr(r->log, "\"test\"") : NULL;
  char key[DEFINITION_NAME + 8];
  const char *in = last ? strstr(last, "\"metrics\"") : NULL;
  snprintf(key, sizeof key, "\"%s", name);
  in = in ? strstr(in, key) : last ? strstr(last, "\"accuracy\"") : NULL;
  return in ? strtod(in + strcspn(in, ":") + 1, NULL) : -1;
}

static void metrics(void) {
  static char program[TEXT];
  static const struct Use in_loss = {"loss", "in `loss`", "  loss ", NULL, NULL};
  Programs p = programs_read();
  char *prelude = check_read("frontend/prelude.net", NULL), own[64];
  const char *next = prelude;
  DefinitionText d;
  while (prelude && definition_next(&next, &d)) {
    size_t i = strcmp(d.kind, "loss") ? p.n : user_of(&p, d.name, &in_loss);
    if (i == p.n)
      continue;
    with_metric(program, &d, "", p.text[i]);
    check_write(check_path("metric.net"), program, strlen(program));
    Result want = train(check_path("metric.net"), d.name);
    with_metric(program, &d, "own_", p.text[i]);
    Result got = train(write_copy(&d, program), d.name);
    snprintf(own, sizeof own, "own_%s", d.name);
    double a = metric(&want, d.name), b = metric(&got, own);
    check_that(same_bits(&want, &got) && a >= 0 && a <= b && a >= b,
               "%s: the metric %s is %.9g, of a copy %.9g", p.path[i], d.name, a,
               b);
    result_free(&want);
    result_free(&got);
  }
  free(prelude);
  programs_free(&p);
}

/* -- all at once */

/* Renames the calls of every definition. `out` is one of two buffers. */
static const char *rename_all(const char *text, const char *prelude) {
  static char buffer[2][TEXT];
  int turn = 0;
  DefinitionText d;
  strcpy(buffer[turn], text);
  for (const char *next = prelude; definition_next(&next, &d); turn = !turn)
    rename_calls(buffer[!turn], buffer[turn], d.name);
  return buffer[turn];
}

static void imported(void) {
  static char program[TEXT];
  Programs p = programs_read();
  char *prelude = check_read("frontend/prelude.net", NULL);
  const char *own = prelude ? rename_all(prelude, prelude) : "";
  check_write(check_path("own.net"), own, strlen(own));
  for (size_t i = 0; prelude && i < p.n; i++) {
    sprintf(program, "import \"own.net\"\n\n%s", rename_all(p.text[i], prelude));
    check_write(check_path("copy.net"), program, strlen(program));
    Result got = train(check_path("copy.net"), p.path[i]);
    compare(original(&p, i), &got, p.path[i], "the prelude", "that is imported");
    result_free(&got);
  }
  free(prelude);
  programs_free(&p);
}

void suite_copies(void) {
  check_suite("copies", (const CheckTest[]){{"of each definition", copies},
                                            {"as metrics", metrics},
                                            {"of all, imported", imported},
                                            {0}});
}
