/* What the tests share: registering a suite, running a command and comparing
 * texts. A suite is a row SUITE(name) in suites.def and a function
 * `void suite_name(void)` that calls check_suite. Tests run from the root of
 * the repository; what they write goes under check_tmp(). */
#ifndef NETC_CHECK_H
#define NETC_CHECK_H

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct CheckTest {
  const char *name; /* NULL ends the list */
  void (*run)(void);
} CheckTest;
/* Adds a suite with these tests; exits if CUnit has no memory. */
void check_suite(const char *name, const CheckTest *tests);
/* An assertion whose text is made at run time. Returns `ok`. */
bool check_that(bool ok, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* check.c: a command that has run. */
typedef struct Run {
  int status; /* exit status; 128 + signal; 124 after the time limit */
  char *out, *err;
  char *command; /* as one would type it */
} Run;
enum { CHECK_ARGS = 64 };
/* Runs argv (NULL at its end) with no input, for at most `seconds`. */
Run check_run(int seconds, const char *const *argv);
void run_free(Run *r);
/* Runs the words (NULL at their end; `netc run FILE` or an executable) with a log of
 * every step, weights saved, and nothing printed; it must succeed. */
void check_train(const char *const *words, const char *log, const char *save);
/* The command under test: build/netc. */
const char *check_netc(void);
/* True in the long tests. */
bool check_long(void);

/* A folder of this run alone: empty when a suite begins, removed at the end. */
const char *check_tmp(void);
/* A path in it; one of a few buffers, reused in turn. */
const char *check_path(const char *name);
/* The whole file and a NUL, to be freed; NULL if it cannot be read. */
char *check_read(const char *path, size_t *size);
bool check_write(const char *path, const void *data, size_t size);
/* Both are there, not empty, and byte for byte the same. */
void check_same_files(const char *a, const char *b);

/* golden_runner.c: the words of `# args: ...` in a case's first line go to
 * argv from *n on; they point into `line`, which the caller keeps. */
void check_case_args(const char *path, char *line, size_t size,
                     const char **argv, int *n);
/* The words that give the diagnostics of a case of tests/errors, but for the path
 * and its own arguments; returns how many. */
int check_error_command(const char *path, const char **argv);
/* Compares `text` with the file; with UPDATE=1 writes the file instead. A
 * mismatch prints a unified diff and `command`, which runs the case again. */
bool check_golden(const char *path, const char *text, const char *command);

#endif
