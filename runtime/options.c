/* The options that `netc run`, `netc test` and executables share: one table,
 * from which come parsing, range checks, help, and the check that an option
 * reaches the command it is given to. Values stand behind the option or behind
 * its '='; the last of two wins. Files are not opened here. */
#include "runtime/run.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum Kind { PATH, COUNT, SMALL, SEED, FLAG } Kind;

typedef struct Option {
  const char *name, *value; /* value: what help calls it; NULL for a flag */
  Kind kind;
  size_t field;
  int64_t low, high;
  int commands; /* those that it means something to */
  const char *help;
} Option;

#define FIELD(f) offsetof(NetOptions, f)
#define ALL (NET_TRAIN | NET_TEST | NET_PREDICT)
static const Option options[] = {
    {"--epochs", "N", COUNT, FIELD(epochs), 0, 1000000000, NET_TRAIN,
     "train for N epochs instead of the program's"},
    {"--data", "DATA", PATH, FIELD(data), 0, 0, ALL,
     "a path in place of the reader's, or a reader: 'shapes(train = 1000)'"},
    {"--init", "FILE", PATH, FIELD(init), 0, 0, ALL,
     "begin with the weights in FILE (safetensors)"},
    {"--save", "FILE", PATH, FIELD(save), 0, 0, NET_TRAIN,
     "write the weights to FILE after training"},
    {"--checkpoint", "FILE", PATH, FIELD(checkpoint), 0, 0, NET_TRAIN,
     "write all that --resume needs to FILE, also on Ctrl-C"},
    {"--checkpoint-every", "N", COUNT, FIELD(checkpoint_every), 1, 1000000000,
     NET_TRAIN, "do so after every N epochs (1)"},
    {"--resume", "FILE", PATH, FIELD(resume), 0, 0, NET_TRAIN,
     "go on from a checkpoint as if never stopped"},
    {"--log", "FILE", PATH, FIELD(log), 0, 0, NET_TRAIN | NET_TEST,
     "write losses and penalties to FILE as JSON lines"},
    {"--print-every", "N", COUNT, FIELD(print_every), 1, 1000000000, NET_TRAIN,
     "print and log the mean loss of every N batches (2000)"},
    {"--threads", "N", SMALL, FIELD(threads), 0, 1024, ALL,
     "use N threads; 0 is one a core (0)"},
    {"--seed", "N", SEED, FIELD(seed), 0, 0, ALL,
     "a seed in place of the program's"},
    {"--quiet", NULL, FLAG, FIELD(quiet), 0, 0, ALL,
     "show no progress on standard error"},
    {"--verbose", NULL, FLAG, FIELD(verbose), 0, 0, NET_TRAIN,
     "tell where the time of each epoch went"},
    {"-o", "FILE", PATH, FIELD(output), 0, 0, NET_PREDICT,
     "write predictions to FILE instead of standard output"},
};
enum { OPTIONS = sizeof options / sizeof *options };

void net_options_init(NetOptions *o) {
  *o = (NetOptions){.epochs = -1, .print_every = 2000, .checkpoint_every = 1};
}

static void *field(NetOptions *o, const Option *row) {
  return (char *)o + row->field;
}

/* A whole number in decimal, all of the text. */
static bool number(const char *text, uint64_t *value) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  errno = 0;
  *value = strtoull(text, &end, 10);
  return !errno && !*end;
}

static bool store(NetOptions *o, const Option *row, const char *text) {
  uint64_t n = 0;
  bool whole = number(text, &n);
  switch (row->kind) {
  case PATH:
    if (!*text) return false;
    *(const char **)field(o, row) = text;
    return true;
  case SEED:
    if (!whole) return false;
    o->seed = n;
    o->has_seed = true;
    return true;
  case COUNT:
  case SMALL:
    if (!whole || n < (uint64_t)row->low || n > (uint64_t)row->high)
      return false;
    if (row->kind == COUNT) *(int64_t *)field(o, row) = (int64_t)n;
    else *(int32_t *)field(o, row) = (int32_t)n;
    return true;
  case FLAG: *(bool *)field(o, row) = true; return true;
  }
  return false;
}

static void complain(const Option *row, const char *text) {
  if (row->kind == PATH)
    fprintf(stderr, "error: %s needs a %s that is not empty\n", row->name,
            row->value);
  else if (row->kind == SEED)
    fprintf(stderr, "error: %s needs a whole number from 0 to %llu, not '%s'\n",
            row->name, (unsigned long long)UINT64_MAX, text);
  else
    fprintf(stderr,
            "error: %s needs a whole number from %lld to %lld, not '%s'\n",
            row->name, (long long)row->low, (long long)row->high, text);
}

/* The row that arg names; *value is what stands behind its '=', or NULL. */
static const Option *find(const char *arg, const char **value) {
  for (int i = 0; i < OPTIONS; i++) {
    size_t n = strlen(options[i].name);
    if (strncmp(arg, options[i].name, n)) continue;
    bool joined = arg[n] == '=' && arg[1] == '-';
    if (arg[n] && !joined) continue;
    *value = joined ? arg + n + 1 : NULL;
    return &options[i];
  }
  return NULL;
}

int net_option(NetOptions *o, int argc, char **argv, int *at) {
  const char *value, *arg = argv[*at];
  const Option *row = find(arg, &value);
  if (!row) return 0;
  if (row->kind == FLAG && value) {
    fprintf(stderr, "error: %s takes no value\n", row->name);
    return -1;
  }
  if (row->kind != FLAG && !value) {
    /* What looks like an option is not taken for a file's name. */
    bool there = *at + 1 < argc && strncmp(argv[*at + 1], "--", 2);
    if (!there) {
      fprintf(stderr, "error: %s needs %s behind it\n", row->name, row->value);
      return -1;
    }
    value = argv[++*at];
  }
  if (!store(o, row, value ? value : "")) {
    complain(row, value);
    return -1;
  }
  ++*at;
  return 1;
}

void net_options_help(int commands, FILE *out) {
  for (int i = 0; i < OPTIONS; i++) {
    const Option *row = &options[i];
    char left[64];
    if (!(row->commands & commands)) continue;
    snprintf(left, sizeof left, "%s%s%s", row->name, row->value ? " " : "",
             row->value ? row->value : "");
    fprintf(out, "  %-20s %s\n", left, row->help);
  }
}

static bool given(const NetOptions *o, const Option *row) {
  NetOptions initial;
  net_options_init(&initial);
  const char *a = (const char *)o + row->field;
  const char *b = (const char *)&initial + row->field;
  switch (row->kind) {
  case PATH: return memcmp(a, b, sizeof(char *)) != 0;
  case COUNT: return memcmp(a, b, sizeof(int64_t)) != 0;
  case SMALL: return memcmp(a, b, sizeof(int32_t)) != 0;
  case SEED: return o->has_seed;
  case FLAG: return *(const bool *)(const void *)a;
  }
  return false;
}

bool net_options_reach(const NetOptions *o, NetCommand command) {
  static const char *const name[] = {
      [NET_TRAIN] = "training", [NET_TEST] = "test", [NET_PREDICT] = "predict"};
  for (int i = 0; i < OPTIONS; i++) {
    if (options[i].commands & (int)command || !given(o, &options[i])) continue;
    fprintf(stderr, "error: %s means nothing to %s\n", options[i].name,
            name[command]);
    return false;
  }
  return true;
}

void net_option_unknown(const char *arg) {
  const char *names[OPTIONS];
  for (int i = 0; i < OPTIONS; i++) names[i] = options[i].name;
  const char *near = net_nearest(arg, names, OPTIONS);
  fprintf(stderr, "error: unknown option '%s'%s%s%s\n", arg,
          near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}
