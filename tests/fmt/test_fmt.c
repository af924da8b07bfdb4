/* `netc fmt`. Golden files show the layout: tests/fmt/NAME.net becomes NAME.out,
 * and the examples that set the style stay as they are.
 * For every program of the repository and many generated ones: what comes out
 * has the same tree and comes out of itself. (That no token and no comment is
 * lost, the formatter sees to itself.) And the command: what it writes, and
 * when. */
#include "frontend/frontend.h"
#include "tests/check.h"
#include "tests/fmt/random_program.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- one layout, the same tree -------------------------------------------- */

/* NULL: there are mistakes. */
static const Ast *tree_of(Arena *a, const char *text) {
  Diags d;
  diags_init(&d, a);
  return parse(a, &d, source_of_text(a, "t.net", text));
}

/* The printed tree without places. */
static const char *shape_of(Arena *a, const Ast *ast) {
  Text t;
  text_init(&t, a);
  print_ast(&t, ast);
  char *to = t.s;
  for (char *line = t.s, *end; *line; line = end + 1) {
    end = strchr(line, '\n');
    *end = 0;
    char *place = line, *next;
    while ((next = strstr(place + 1, " @ ")))
      place = next;
    memmove(to, line, (size_t)(place - line));
    to += place - line;
    *to++ = '\n';
  }
  *to = 0;
  return t.s;
}

static const char *formatted(Arena *a, const Ast *ast) {
  Text t;
  text_init(&t, a);
  print_formatted(&t, ast);
  return t.s;
}

/* Returns whether the text is a program. */
static bool check_text(const char *name, const char *text) {
  Arena *a = arena_new();
  const Ast *ast = tree_of(a, text);
  if (ast) {
    const char *once = formatted(a, ast);
    const Ast *again = tree_of(a, once);
    if (check_that(again != NULL, "%s: no longer a program:\n%.400s", name,
                   once)) {
      check_that(!strcmp(shape_of(a, ast), shape_of(a, again)),
                 "%s: another tree:\n%.400s", name, once);
      check_that(!strcmp(once, formatted(a, again)),
                 "%s: another layout the second time:\n%.400s", name, once);
    }
  }
  bool good = ast != NULL;
  arena_free(a);
  return good;
}

/* Every program that there is; of those in tests/errors many are none. */
static void programs(void) {
  static const char *const patterns[] = {
      "frontend/*.net", "models/*.net", "tests/*/*.net", "tests/golden/*/*.net",
      "tests/fmt/*.out"};
  int n = 0;
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    glob_t found;
    if (glob(patterns[i], 0, NULL, &found) != 0)
      continue;
    for (size_t k = 0; k < found.gl_pathc; k++) {
      char *text = check_read(found.gl_pathv[k], NULL);
      if (text)
        n += check_text(found.gl_pathv[k], text);
      free(text);
    }
    globfree(&found);
  }
  check_that(n > 50, "only %d programs", n);
}

static void generated(void) {
  unsigned count = check_long() ? 20000 : 400;
  for (unsigned seed = 1; seed <= count; seed++) {
    Arena *a = arena_new();
    char name[32];
    snprintf(name, sizeof name, "seed %u", seed);
    const char *text = random_program(a, seed);
    check_that(check_text(name, text), "%s: no program:\n%.900s", name, text);
    arena_free(a);
  }
}

/* A long line is broken as often as it takes, in time that does not grow with
 * the square of its length. */
static void long_lines(void) {
  Arena *a = arena_new();
  Text t;
  text_init(&t, a);
  text_add(&t, "net n(x) { x");
  for (int i = 0; i < 20000; i++)
    text_add(&t, " -> f(%d) as s%d -> g([%d, 2], k = 1)", i, i, i);
  text_add(&t, " }\nconst k = [1");
  for (int i = 0; i < 100000; i++)
    text_add(&t, ",%d", i);
  text_add(&t, "]\n");
  check_text("a long line", t.s);
  const char *out = formatted(a, tree_of(a, t.s));
  size_t longest = 0;
  for (const char *end; (end = strchr(out, '\n')); out = end + 1)
    if ((size_t)(end - out) > longest)
      longest = (size_t)(end - out);
  check_that(longest <= 100, "a line of %zu", longest);
  arena_free(a);
}

static void golden(void) {
  glob_t found;
  if (glob("tests/fmt/*.net", 0, NULL, &found) != 0)
    return;
  for (size_t i = 0; i < found.gl_pathc; i++) {
    const char *path = found.gl_pathv[i];
    char out[256], command[256];
    Arena *a = arena_new();
    char *text = check_read(path, NULL);
    const Ast *ast = text ? tree_of(a, text) : NULL;
    snprintf(out, sizeof out, "%.*s.out", (int)strlen(path) - 4, path);
    snprintf(command, sizeof command, "%s fmt - <%s", check_netc(), path);
    if (check_that(ast != NULL, "%s: no program", path))
      check_golden(out, formatted(a, ast), command);
    free(text);
    arena_free(a);
  }
  globfree(&found);
}

/* --- the command ---------------------------------------------------------- */

static const char *write_net(const char *name, const char *text) {
  const char *path = check_path(name);
  check_write(path, text, strlen(text));
  return path;
}

static void fmt(int status, const char *out, const char *const *words) {
  const char *argv[CHECK_ARGS] = {check_netc(), "fmt"};
  for (int i = 0; words[i]; i++)
    argv[i + 2] = words[i];
  Run r = check_run(20, argv);
  check_that(r.status == status, "%s: exit %d, not %d\n%.300s", r.command,
             r.status, status, r.err);
  check_that(!strcmp(r.out, out), "%s: printed '%.200s'", r.command, r.out);
  run_free(&r);
}
#define FMT(status, out, ...)                                                  \
  fmt(status, out, (const char *const[]){__VA_ARGS__, NULL})

static bool holds(const char *path, const char *text) {
  char *got = check_read(path, NULL);
  bool same = got && !strcmp(got, text);
  free(got);
  return check_that(same, "%s holds something else", path);
}

#define UGLY "const  a=1;const bc=2\n"
#define NICE "const a  = 1\nconst bc = 2\n"

static void writes(void) {
  struct stat before, after;
  const char *ugly = write_net("ugly.net", UGLY);
  chmod(ugly, 0640);
  FMT(0, "", ugly);
  CU_ASSERT(holds(ugly, NICE));
  stat(ugly, &before);
  CU_ASSERT_EQUAL(before.st_mode & 0777, 0640);
  FMT(0, "", ugly); /* what is as it should be is not touched */
  stat(ugly, &after);
  CU_ASSERT_EQUAL(before.st_ino, after.st_ino);

  const char *link = check_path("link.net");
  write_net("ugly.net", UGLY);
  CU_ASSERT_EQUAL(symlink("ugly.net", link), 0);
  FMT(0, "", link);
  lstat(link, &after);
  CU_ASSERT(S_ISLNK(after.st_mode));
  CU_ASSERT(holds(ugly, NICE));
  unlink(link);
}

static void checks(void) {
  const char *ugly = write_net("a.net", UGLY);
  const char *nice = write_net("b.net", NICE);
  const char *wrong = write_net("c.net", "const = 1\n");
  char named[300];
  snprintf(named, sizeof named, "%s\n", ugly);
  FMT(0, "", "--check", nice);
  FMT(1, named, "--check", ugly);
  FMT(1, named, nice, ugly, "--check");
  CU_ASSERT(holds(ugly, UGLY));
  FMT(1, "", wrong);
  CU_ASSERT(holds(wrong, "const = 1\n"));
  FMT(1, "", wrong, ugly, nice); /* the others are written all the same */
  CU_ASSERT(holds(ugly, NICE));
  FMT(1, "", "no/such.net");
  FMT(0, "", "-"); /* empty, and so is what comes out */
  const char *const none[] = {NULL};
  fmt(2, "", none);
}

void suite_fmt(void) {
  check_suite("fmt", (const CheckTest[]){{"layout", golden},
                                         {"programs", programs},
                                         {"generated programs", generated},
                                         {"long lines", long_lines},
                                         {"writes", writes},
                                         {"--check", checks},
                                         {0}});
}
