/* The options of `netc`: one table, from which come parsing, range checks, help
 * and the check that an option means something to the command. Those that runs
 * and executables share are the runtime's (net_option). Values stand behind the
 * option or behind its '='; -D, -O and -o also take them without a space. The
 * last of two wins. Files are not opened here. */
#include "codegen/driver.h"
#include "runtime/run.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum Kind {
  FLAG,
  TEXT,   /* any text that is not empty */
  CHOICE, /* one of `choices` */
  POINT,  /* a stage that dump prints */
  NUMBER, /* a whole number in [low, high] */
  DEFINE  /* NAME=VALUE, any number of them */
} Kind;

enum { MAX_CHOICES = 5 };
#define IN(command) (1u << CMD_##command)
#define NET_FILE \
  (IN(RUN) | IN(TEST) | IN(BUILD) | IN(CHECK) | IN(SUMMARY) | IN(DUMP) | \
   IN(BENCH))
/* Commands that read a file and tell of mistakes in it. */
#define READS (NET_FILE | IN(OPT) | IN(FMT))
#define GENERATES (IN(RUN) | IN(TEST) | IN(BUILD) | IN(DUMP) | IN(BENCH))

typedef struct Option {
  const char *name, *value; /* value: what help calls it; NULL for a flag */
  Kind kind;
  bool glued; /* -O2: the value may follow the letter */
  size_t field;
  int64_t low, high;
  unsigned commands; /* those that it means something to */
  const char *help;
  const char *choices[MAX_CHOICES]; /* NULL ends fewer */
} Option;

#define FIELD(f) offsetof(Options, f)
static const Option options[] = {
    {"-D", "NAME=VALUE", DEFINE, true, 0, 0, 0, NET_FILE,
     "another value for a const of the file", {0}},
    {"--variant", "NAME", TEXT, false, FIELD(variant), 0, 0, NET_FILE,
     "a variant of the file", {0}},
    {"-o", "FILE", TEXT, true, FIELD(output), 0, 0,
     IN(BUILD) | IN(DUMP) | IN(OPT), "write to FILE", {0}},
    {"-O", "LEVEL", NUMBER, true, FIELD(level), 0, 3, GENERATES,
     "how hard to optimise, 0 to 3 (2)", {0}},
    {"--emit", "WHAT", CHOICE, false, FIELD(emit), 0, 0, IN(BUILD),
     "make", {"exe", "obj", "lib", "llvm", "asm"}},
    {"-S", NULL, FLAG, false, FIELD(assembly), 0, 0, IN(BUILD),
     "the same as --emit=asm", {0}},
    {"-s", NULL, FLAG, false, FIELD(strip), 0, 0, IN(BUILD),
     "leave the symbols out of the executable", {0}},
    {"--cpu", "NAME", TEXT, false, FIELD(cpu), 0, 0,
     GENERATES | IN(OPT) | IN(SUMMARY),
     "a processor that LLVM knows, portable, or aarch64 (this machine's)", {0}},
    {"--stage", "STAGE", POINT, false, FIELD(stage), 0, 0, IN(DUMP),
     "what to print", {0}},
    {"--format", "FORM", CHOICE, false, FIELD(format), 0, 0, IN(DUMP),
     "graphs as", {"text", "dot"}},
    {"--entry", "FUNCTION", CHOICE, false, FIELD(entry), 0, 0,
     IN(DUMP) | IN(BENCH), "one function alone", {"init", "train", "evaluate", "predict"}},
    {"--passes", "A,B", TEXT, false, FIELD(passes), 0, 0, IN(OPT),
     "the passes to run, in this order", {0}},
    {"--gradients", NULL, FLAG, false, FIELD(gradients), 0, 0, IN(CHECK),
     "compare every derivative with finite differences", {0}},
    {"--replay", "FILE", TEXT, false, FIELD(replay), 0, 0, IN(CHECK),
     "name the operation that breaks the step which an executable left in FILE",
     {0}},
    {"--batch", "N", NUMBER, false, FIELD(batch), 1, 1 << 20,
     IN(BENCH) | IN(CHECK), "samples in a batch, in place of the file's", {0}},
    {"--steps", "N", NUMBER, false, FIELD(steps), 1, 10000000, IN(BENCH),
     "time N steps of each function (those of a second)", {0}},
    {"--profile", NULL, FLAG, false, FIELD(profile), 0, 0, IN(BENCH),
     "a table of the kernels too, the slowest first", {0}},
    {"--threads", "N", NUMBER, false, FIELD(threads), 0, 1024, IN(BENCH),
     "use N threads; 0 is one a core (0)", {0}},
    {"--data", "DATA", TEXT, false, FIELD(data), 0, 0,
     NET_FILE & ~(IN(RUN) | IN(TEST)),
     "look for shapes in this path, or this reader: 'shapes(train = 1000)'",
     {0}},
    {"--diagnostics", "FORM", CHOICE, false, FIELD(diagnostics), 0, 0,
     READS, "mistakes as", {"text", "json"}},
    {"--check", NULL, FLAG, false, FIELD(check), 0, 0, IN(FMT),
     "write nothing: name the file if it would change, and exit with 1", {0}},
    {"--no-cache", NULL, FLAG, false, FIELD(no_cache), 0, 0,
     IN(RUN) | IN(TEST) | IN(BENCH), "compile anew, and keep nothing for the next time",
     {0}},
    {"--direct", NULL, FLAG, false, FIELD(direct), 0, 0, NET_FILE | IN(OPT),
     "compute convolutions with all their products, and the batch as one", {0}},
    {"-v", NULL, FLAG, false, FIELD(verbose), 0, 0, NET_FILE | IN(OPT),
     "tell where the time goes", {0}},
    {"--help", NULL, FLAG, false, FIELD(help), 0, 0,
     READS | IN(EXPLAIN), "show this", {0}},
};
enum { OPTIONS = sizeof options / sizeof *options, DEFAULT_LEVEL = 2 };

/* --- messages ------------------------------------------------------------- */

static void tell(const char *format, va_list list) {
  fputs("error: ", stderr);
  vfprintf(stderr, format, list);
  fputc('\n', stderr);
}

Status usage_error(const char *format, ...) {
  va_list list;
  va_start(list, format);
  tell(format, list);
  va_end(list);
  return STATUS_USAGE;
}

Status resource_error(const char *format, ...) {
  va_list list;
  va_start(list, format);
  tell(format, list);
  va_end(list);
  return STATUS_RESOURCE;
}

const char *did_you_mean(Arena *a, const char *name, const char *const *names,
                         int n) {
  const char *near = nearest_name(name, names, n);
  return near ? arena_printf(a, "; did you mean %s?", near) : "";
}

/* The names that a CHOICE or a POINT may have; returns how many. */
static int choices_of(const Option *row, const char *names[POINT_COUNT]) {
  int n = 0;
  if (row->kind == POINT)
    for (; n < POINT_COUNT; n++) names[n] = point_name((Point)n);
  else
    for (; n < MAX_CHOICES && row->choices[n]; n++) names[n] = row->choices[n];
  return n;
}

static const char *list_of(Arena *a, const char *const *names, int n) {
  Text t;
  text_init(&t, a);
  for (int i = 0; i < n; i++)
    text_add(&t, "%s%s", i == 0 ? "" : i == n - 1 ? " or " : ", ", names[i]);
  return t.s;
}

/* --- help ----------------------------------------------------------------- */

static bool takes_run_options(CommandId c) {
  return c == CMD_RUN || c == CMD_TEST;
}

void options_help(Arena *a, CommandId command, FILE *out) {
  for (int i = 0; i < OPTIONS; i++) {
    const Option *row = &options[i];
    const char *names[POINT_COUNT];
    if (!(row->commands & 1u << command)) continue;
    bool space = row->value && !(row->kind == NUMBER && row->glued);
    int n = choices_of(row, names);
    fprintf(out, "  %-18s %s%s%s\n",
            arena_printf(a, "%s%s%s", row->name, space ? " " : "",
                         row->value ? row->value : ""),
            row->help, n ? ": " : "", list_of(a, names, n));
  }
  if (takes_run_options(command))
    net_options_help(command == CMD_RUN ? NET_TRAIN : NET_TEST, out);
}

/* --- parsing -------------------------------------------------------------- */

typedef struct Line {
  Arena *arena;
  Options *o;
  int argc, at;
  char **argv;
} Line;

/* The row that arg names for this command, or for any if it has none; *value is
 * what stands behind it in the same word, or NULL. */
static const Option *find(const char *arg, CommandId command,
                          const char **value) {
  const Option *found = NULL;
  for (int i = 0; i < OPTIONS; i++) {
    const Option *row = &options[i];
    size_t n = strlen(row->name);
    if (strncmp(arg, row->name, n) != 0) continue;
    bool equals = arg[n] == '=' && row->value && !row->glued;
    if (arg[n] && !equals && !row->glued) continue;
    if (found && !(row->commands & 1u << command)) continue;
    found = row;
    *value = arg[n] ? arg + n + equals : NULL;
  }
  return found;
}

static bool is_name(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!(s[i] == '_' || (s[i] >= 'a' && s[i] <= 'z') ||
          (s[i] >= 'A' && s[i] <= 'Z') || (i && s[i] >= '0' && s[i] <= '9')))
      return false;
  return n > 0;
}

static bool store_define(Line *l, const char *text) {
  const char *equals = strchr(text, '=');
  if (!equals || !equals[1] || !is_name(text, (size_t)(equals - text))) {
    usage_error("-D needs NAME=VALUE, not '%s'", text);
    return false;
  }
  Options *o = l->o;
  const char *name =
      arena_strndup(l->arena, text, (size_t)(equals - text));
  int i = 0;
  while (i < o->n_defines && strcmp(o->defines[i].name, name) != 0) i++;
  if (i == o->n_defines) {
    o->defines = arena_grow(l->arena, o->defines, o->n_defines,
                            &o->cap_defines, sizeof *o->defines);
    o->n_defines++;
  }
  o->defines[i] = (Define){.name = name, .value = equals + 1};
  return true;
}

static bool store_number(Line *l, const Option *row, const char *text) {
  char *end;
  errno = 0;
  long long n = strtoll(text, &end, 10);
  if (errno || *end || *text < '0' || *text > '9' || n < row->low ||
      n > row->high) {
    usage_error("%s needs a whole number from %lld to %lld, not '%s'",
                row->name, (long long)row->low, (long long)row->high, text);
    return false;
  }
  *(int64_t *)(void *)((char *)l->o + row->field) = n;
  return true;
}

static bool store_choice(Line *l, const Option *row, const char *text) {
  const char *names[POINT_COUNT];
  int n = choices_of(row, names);
  for (int i = 0; i < n; i++)
    if (strcmp(text, names[i]) == 0) {
      *(const char **)(void *)((char *)l->o + row->field) = names[i];
      return true;
    }
  usage_error("%s needs %s, not '%s'%s", row->name, list_of(l->arena, names, n),
              text, did_you_mean(l->arena, text, names, n));
  return false;
}

static bool store(Line *l, const Option *row, const char *text) {
  char *field = (char *)l->o + row->field;
  switch (row->kind) {
  case FLAG: *(bool *)field = true; return true;
  case DEFINE: return store_define(l, text);
  case NUMBER: return store_number(l, row, text);
  case CHOICE:
  case POINT: return store_choice(l, row, text);
  case TEXT:
    if (!*text) {
      usage_error("%s needs %s, not an empty text", row->name, row->value);
      return false;
    }
    *(const char **)(void *)field = text;
    return true;
  }
  return false;
}

static bool take_row(Line *l, const Option *row, const char *value) {
  if (row->value && !value) {
    /* What looks like an option is not taken for a value. */
    bool there = l->at + 1 < l->argc && strncmp(l->argv[l->at + 1], "--", 2);
    if (!there || (row->kind == NUMBER && row->glued)) {
      usage_error("%s needs %s behind it", row->name, row->value);
      return false;
    }
    value = l->argv[++l->at];
  }
  l->at++;
  return store(l, row, value);
}

static bool unknown_option(const Line *l, const char *arg) {
  const char *names[OPTIONS];
  int n = 0;
  const char *name = arena_strndup(l->arena, arg, strcspn(arg, "="));
  for (int i = 0; i < OPTIONS; i++)
    if (options[i].commands & 1u << l->o->command)
      names[n++] = options[i].name;
  if (takes_run_options(l->o->command) && !nearest_name(name, names, n))
    net_option_unknown(arg);
  else
    usage_error("unknown option '%s'%s", arg,
                did_you_mean(l->arena, name, names, n));
  return false;
}

/* Takes the option at l->at, and its value. */
static bool take_option(Line *l) {
  const char *value = NULL, *arg = l->argv[l->at];
  CommandId command = l->o->command;
  const Option *row = find(arg, command, &value);
  if (row && row->commands & 1u << command) return take_row(l, row, value);
  if (takes_run_options(command)) {
    int taken = net_option(&l->o->run, l->argc, l->argv, &l->at);
    if (taken) return taken > 0;
  }
  if (!row) return unknown_option(l, arg);
  usage_error("%s means nothing to this command", row->name);
  return false;
}

static bool take_word(Line *l) {
  const char *word = l->argv[l->at++];
  Options *o = l->o;
  bool many = o->command == CMD_FMT;
  if (o->file && !many) {
    usage_error("one file is wanted, not '%s' and '%s'", o->file, word);
    return false;
  }
  if (!*word) {
    usage_error("the name of the file is empty");
    return false;
  }
  if (many) {
    if (o->n_files == o->cap_files)
      o->files = arena_grow(l->arena, o->files, o->n_files, &o->cap_files,
                            sizeof *o->files);
    o->files[o->n_files++] = word;
  }
  if (!o->file) o->file = word;
  return true;
}

bool options_parse(Arena *a, Options *o, CommandId command, int argc,
                   char **argv, int at) {
  *o = (Options){.command = command, .level = DEFAULT_LEVEL};
  net_options_init(&o->run);
  Line l = {a, o, argc, at, argv};
  bool words = false; /* behind "--" all are words */
  while (l.at < argc && !o->help) {
    const char *arg = argv[l.at];
    if (!words && strcmp(arg, "--") == 0) {
      words = true;
      l.at++;
    } else if (!words && strcmp(arg, "-h") == 0) {
      o->help = true;
    } else if (!(!words && arg[0] == '-' && arg[1] ? take_option(&l)
                                                   : take_word(&l))) {
      return false;
    }
  }
  if (o->help || o->file || command == CMD_EXPLAIN) return true;
  usage_error("no file is given");
  return false;
}
