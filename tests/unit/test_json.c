/* --diagnostics=json: an array of objects, whatever the command, and the same
 * diagnostics as in the text. */
#include "tests/check.h"

#include <glob.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The value of a key, which must be of this kind. */
static json_t *get(json_t *object, const char *key, json_type type) {
  json_t *value = json_object_get(object, key);
  check_that(value && json_typeof(value) == type, "%s is missing or odd", key);
  return value;
}

/* Lines and columns count from 1, and the end is not before the start; or there
 * is no place. */
static void check_place(json_t *object) {
  static const char *const keys[] = {"line", "column", "end_line",
                                     "end_column"};
  json_t *file = json_object_get(object, "file");
  long long v[4] = {0};
  int numbers = 0;
  for (int i = 0; i < 4; i++) {
    json_t *value = json_object_get(object, keys[i]);
    check_that(value && (json_is_integer(value) || json_is_null(value)),
               "%s is missing or odd", keys[i]);
    numbers += json_is_integer(value);
    v[i] = json_integer_value(value);
  }
  CU_ASSERT(numbers == 0 || numbers == 4);
  CU_ASSERT(json_is_string(file) || (json_is_null(file) && numbers == 0));
  if (numbers == 4)
    CU_ASSERT(v[0] >= 1 && v[1] >= 1 &&
              (v[2] > v[0] || (v[2] == v[0] && v[3] >= v[1])));
}

/* The diagnostic as the text has it: "error[CODE]: MESSAGE". */
static char *check_diagnostic(json_t *object) {
  size_t i;
  json_t *part;
  CU_ASSERT_STRING_EQUAL(
      json_string_value(get(object, "severity", JSON_STRING)), "error");
  const char *code = json_string_value(get(object, "code", JSON_STRING));
  const char *message = json_string_value(get(object, "message", JSON_STRING));
  check_place(object);
  json_array_foreach(get(object, "notes", JSON_ARRAY), i, part) {
    check_place(part);
    get(part, "message", JSON_STRING);
  }
  json_array_foreach(get(object, "help", JSON_ARRAY), i, part)
    CU_ASSERT(json_is_string(part));
  size_t size = strlen(message) + 32;
  char *line = malloc(size);
  if (line)
    snprintf(line, size, "error[%s]: %s\n", code, message);
  return line;
}

/* Reads what a command printed on stderr; NULL: it is no array. */
static json_t *array_of(const Run *r) {
  json_error_t error;
  json_t *array = json_loads(r->err, JSON_REJECT_DUPLICATES, &error);
  check_that(json_is_array(array), "%s: no array: %.300s", r->command, r->err);
  return array;
}

/* --- every command -------------------------------------------------------- */

static const char bad_net[] =
    "data shapes(train = 64, test = 16)\n"
    "net model(x: [3, 32, 32]) { x -> linear(10) as out }\n"
    "train { loss = cross_entropy(model(imag), label); optimizer = sgd() }\n";
static const char bad_text[] = "net model(x: [3]) { x -> (\n";

static void one_command(const char *const *words, const char *path) {
  const char *argv[CHECK_ARGS] = {check_netc()};
  int n = 1;
  for (; words[n - 1]; n++)
    argv[n] = words[n - 1];
  argv[n++] = "--diagnostics=json";
  argv[n++] = path;
  Run r = check_run(20, argv);
  check_that(r.status == 1, "%s: exit %d", r.command, r.status);
  check_that(!r.out[0], "%s: prints on standard output", r.command);
  json_t *array = array_of(&r);
  check_that(json_array_size(array) > 0, "%s: nothing is told", r.command);
  json_decref(array);
  run_free(&r);
}

static void commands(void) {
  static const char *const words[][4] = {
      {"run"},   {"test"},    {"build", "-o", "/no/such"},
      {"check"}, {"summary"}, {"dump", "--stage=ir"},
      {"bench"}, {"dump", "--stage=asm"},
  };
  static const char *const reading[][4] = {
      {"fmt"}, {"fmt", "--check"}, {"dump", "--stage=ast"},
      {"opt", "--passes=simplify"}};
  const char *net = check_path("bad.net"), *text = check_path("text.net");
  check_write(net, bad_net, sizeof bad_net - 1);
  check_write(text, bad_text, sizeof bad_text - 1);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    one_command(words[i], net);
    one_command(words[i], text);
    one_command(words[i], "no/such.net");
  }
  for (size_t i = 0; i < sizeof reading / sizeof *reading; i++) {
    one_command(reading[i], text);
    one_command(reading[i], "no/such.net");
  }
}

/* The array is there, empty, when all is well. */
static void nothing_wrong(void) {
  static const char ir[] = "module\nfunc train {\n}\n";
  const char *path = check_path("good.ir");
  check_write(path, ir, sizeof ir - 1);
  const char *const words[][6] = {
      {"check", "models/lenet.net"},
      {"fmt", "--check", "models/lenet.net"},
      {"dump", "--stage=ast", "models/lenet.net"},
      {"dump", "--stage=plan", "models/lenet.net"},
      {"summary", "models/lenet.net"},
      {"opt", "--passes=simplify", path},
      {"opt", path}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    const char *argv[CHECK_ARGS] = {check_netc()};
    int n = 1;
    for (; words[i][n - 1]; n++)
      argv[n] = words[i][n - 1];
    argv[n] = "--diagnostics=json";
    Run r = check_run(20, argv);
    json_t *array = array_of(&r);
    check_that(r.status == 0, "%s: exit %d", r.command, r.status);
    check_that(json_array_size(array) == 0, "%s: %s", r.command, r.err);
    json_decref(array);
    run_free(&r);
  }
}

/* --- the same as the text ------------------------------------------------- */

static int count(const char *text, const char *part) {
  int n = 0;
  for (; (text = strstr(text, part)); text += strlen(part))
    n++;
  return n;
}

static void one_case(const char *path) {
  char line[1024] = "", out[512];
  const char *argv[CHECK_ARGS];
  int n = check_error_command(path, argv);
  check_case_args(path, line, sizeof line, argv, &n);
  argv[n++] = "--diagnostics=json";
  argv[n++] = path;
  argv[n] = NULL;
  Run r = check_run(20, argv);
  check_that(r.status == 1, "%s: exit %d", r.command, r.status);
  snprintf(out, sizeof out, "%.*s.out", (int)(strrchr(path, '.') - path), path);
  char *text = check_read(out, NULL);
  json_t *array = array_of(&r), *object;
  size_t i;
  json_array_foreach(array, i, object) {
    char *want = check_diagnostic(object);
    check_that(text && want && strstr(text, want), "%s: %s", path, want);
    free(want);
  }
  check_that(text && count(text, ": error[E") == (int)json_array_size(array),
             "%s: another number of diagnostics", path);
  json_decref(array);
  free(text);
  run_free(&r);
}

static void same(void) {
  static const char *const patterns[] = {"tests/errors/*.net",
                                         "tests/errors/*.ir"};
  for (int i = 0; i < 2; i++) {
    glob_t found;
    if (glob(patterns[i], 0, NULL, &found) == 0)
      for (size_t k = 0; k < found.gl_pathc; k++)
        one_case(found.gl_pathv[k]);
    globfree(&found);
  }
}

void suite_json(void) {
  check_suite("json", (const CheckTest[]){{"every command", commands},
                                          {"nothing wrong", nothing_wrong},
                                          {"the same as the text", same},
                                          {0}});
}
