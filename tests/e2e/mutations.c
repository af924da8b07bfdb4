/* Broken programs: each case takes a good file, damages it in one to three
 * places, and gives it to netc, which must exit with 0 or 1, say where the
 * mistake is if it is 1, and never crash or hang: .net files to `netc check`,
 * printed stages to `netc opt`. None may take more than a second of the
 * processor, and none may leak where the build can tell (SANITIZE=1). The damage
 * is drawn from a seed (SEED=n in the environment, MUTANTS=n of each); a failing
 * file is kept. */
#include "tests/check.h"

#include <ctype.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_TEXT = 1 << 18, SHORT = 300, LONG = 10000 };
#ifdef __SANITIZE_ADDRESS__ /* checks every access: the same work takes longer */
static const double MOST_SECONDS = 3;
#else
static const double MOST_SECONDS = 1;
#endif

/* What is put into a file: each kind of token, and what readers trip over. */
static const char *const pieces[] = {
    "->", "(", ")", "[", "]", "{", "}", "=", ",", "\n", ";", "..", "'", "@",
    "-", "*", "/", "^", "0", "1", "-1", "1e400", "99999999999999999999", "0.5",
    "x", "as", "if", "then", "else", "net", "layer", "const", "train", "data",
    "loss", "batch", "weight", "state", "<-", "\"", "#", "axis", "mean", "not",
    "conv(6, 5)", "linear(0)", "reshape(x, [0])", "sum(x, axis = 9)", "\x80",
    "((((((((((((((((", "x -> x -> x", "1 / 0", "import \"lenet.net\"",
    "%1", "%999999", ": f32[4]", "f32[3,1099511627776]", "axes=[0,0]", "-7",
    "repeat(9999) ", "repeat(100) repeat(100) ", "except", "validation.loss",
    "1e-300", "4294967296", "[]", "x[0]", "batch = 0", "stop = patience(2)",
    "metrics = [top(2), r2]", "average = swa()", "accumulate = 3",
    "init = from(\"w\", map = [\"a\" -> m.b])", "prox(", "keep = best()",
};

static uint64_t state;
static uint32_t draw(uint32_t below) { /* xorshift64* */
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (uint32_t)((state * 2685821657736338717u) >> 33) % below;
}

/* A text that is being changed in place. */
typedef struct Mutant {
  char s[MAX_TEXT];
  size_t n;
} Mutant;

static void replace(Mutant *m, size_t at, size_t cut, const char *put,
                    size_t n) {
  if (m->n - cut + n >= MAX_TEXT)
    return;
  memmove(m->s + at + n, m->s + at + cut, m->n - at - cut);
  memcpy(m->s + at, put, n);
  m->n += n - cut;
}

/* Moves to where a word or a mark begins. */
static size_t token(const Mutant *m) {
  size_t at = draw((uint32_t)m->n + 1);
  while (at > 0 && at < m->n && isalnum((unsigned char)m->s[at]) &&
         isalnum((unsigned char)m->s[at - 1]))
    at--;
  return at;
}

static size_t token_size(const Mutant *m, size_t at) {
  size_t n = 0;
  while (at + n < m->n && isalnum((unsigned char)m->s[at + n]))
    n++;
  return n ? n : at < m->n;
}

static void put_piece(Mutant *m, size_t at, size_t cut) {
  const char *p = pieces[draw(sizeof pieces / sizeof pieces[0])];
  replace(m, at, cut, p, strlen(p));
}

static void copy_token(Mutant *m, size_t at) {
  char word[64];
  size_t from = token(m), n = token_size(m, from);
  n = n < sizeof word ? n : sizeof word;
  memcpy(word, m->s + from, n);
  replace(m, at, token_size(m, at), word, n);
}

static void damage(Mutant *m) {
  size_t at = token(m), n = token_size(m, at);
  char byte = (char)draw(256);
  switch (draw(8)) {
  case 0: replace(m, at, n, "", 0); break;
  case 1: put_piece(m, at, 0); break;
  case 2: put_piece(m, at, n); break;
  case 3: copy_token(m, at); break;
  case 4: copy_token(m, at); break;
  case 5: /* a stretch goes */
    n = draw(80);
    replace(m, at, n < m->n - at ? n : m->n - at, "", 0);
    break;
  case 6: replace(m, at, at < m->n, &byte, 1); break;
  case 7:
    if (!draw(6)) /* the end goes */
      m->n = at;
    else if (n)
      replace(m, at + n - 1, 1, "7", 1);
    break;
  }
}

/* Whom the mutants of a kind of file are given to. */
typedef struct Kind {
  const char *command, *suffix;
} Kind;
static const Kind program = {"check", "net"}, stage = {"opt", "ir"};

/* Says where: FILE:LINE:COLUMN, or FILE alone where there is no line. */
static bool has_place(const Kind *kind, const char *err) {
  const char *at = strstr(err, "mutant.");
  return at && !strncmp(at + 7, kind->suffix, strlen(kind->suffix)) &&
         strstr(err, "error");
}

/* What a build with sanitizers tells on its way out, also with status 1. */
static bool has_report(const char *err) {
  return strstr(err, "Sanitizer") || strstr(err, "runtime error:");
}

/* Seconds of the processor that the programs of this test have taken. */
static double spent(void) {
  struct rusage r;
  getrusage(RUSAGE_CHILDREN, &r);
  return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
         1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static void one(const Kind *kind, const Mutant *m, int i, uint64_t seed) {
  char name[64];
  snprintf(name, sizeof name, "mutant.%s", kind->suffix);
  const char *path = check_path(name);
  check_write(path, m->s, m->n);
  const char *const argv[] = {check_netc(), kind->command, path, NULL};
  double before = spent();
  Run r = check_run(20, argv);
  double seconds = spent() - before;
  bool ok = r.status == 0 || (r.status == 1 && has_place(kind, r.err));
  ok = ok && seconds <= MOST_SECONDS && !has_report(r.err);
  if (!ok) {
    char kept[128];
    snprintf(kept, sizeof kept, BUILD "/mutant-%llu-%d.%s",
             (unsigned long long)seed, i, kind->suffix);
    check_write(kept, m->s, m->n);
    printf("\nexit %d after %.2f s: %s %s %s\n%.300s", r.status, seconds,
           check_netc(), kind->command, kept, r.err);
  }
  check_that(ok, "mutant %d of seed %llu", i, (unsigned long long)seed);
  run_free(&r);
}

static void campaign(const Kind *kind, const glob_t *found) {
  const char *given = getenv("SEED"), *wanted = getenv("MUTANTS");
  int count = wanted ? atoi(wanted) : check_long() ? LONG : SHORT;
  uint64_t seed = given ? strtoull(given, NULL, 10) : 1;
  state = seed * 0x9E3779B97F4A7C15u + 1;
  printf("(seed %llu) ", (unsigned long long)seed);
  check_that(found->gl_pathc > 0, "no file to damage");
  static Mutant m;
  for (int i = 0; found->gl_pathc && i < count; i++) {
    uint32_t file = draw((uint32_t)found->gl_pathc);
    char *text = check_read(found->gl_pathv[file], &m.n);
    if (!text || m.n >= MAX_TEXT) {
      check_that(false, "cannot take %s", found->gl_pathv[file]);
      free(text);
      return;
    }
    memcpy(m.s, text, m.n);
    free(text);
    for (uint32_t k = 1 + draw(3); k > 0; k--)
      damage(&m);
    one(kind, &m, i, seed);
  }
}

static void programs(void) {
  glob_t found = {0};
  glob("models/*.net", 0, NULL, &found);
  glob("tests/ref/*_l1*.net", GLOB_APPEND, NULL, &found);
  glob("tests/ref/odd_*.net", GLOB_APPEND, NULL, &found);
  glob("tests/errors/*_run.net", GLOB_APPEND, NULL, &found);
  glob("tests/golden/*/*.net", GLOB_APPEND, NULL, &found);
  campaign(&program, &found);
  globfree(&found);
}

/* Printed graphs and kernels of a small net. */
static void printed_stages(void) {
  static const char *const names[] = {"ir", "grad", "plan"};
  char pattern[300], file[64], option[64];
  for (int i = 0; i < 3; i++) {
    snprintf(option, sizeof option, "--stage=%s", names[i]);
    snprintf(file, sizeof file, "good-%s.ir", names[i]);
    const char *const argv[] = {check_netc(), "dump", option,
                                "tests/ref/square_sgd.net", NULL};
    Run r = check_run(20, argv);
    if (check_that(!r.status, "%s: exit %d", r.command, r.status))
      check_write(check_path(file), r.out, strlen(r.out));
    run_free(&r);
  }
  snprintf(pattern, sizeof pattern, "%s/good-*.ir", check_tmp());
  glob_t found = {0};
  glob(pattern, 0, NULL, &found);
  campaign(&stage, &found);
  globfree(&found);
}

void suite_mutations(void) {
  check_suite("mutations", (const CheckTest[]){{"programs", programs},
                                               {"printed stages",
                                                printed_stages},
                                               {0}});
}
