/* The command line of an executable: what it is told to do, and its options.
 * The work itself is net_train, net_test and net_predict, as in `netc run`. */
#include "runtime/run.h"

#include <string.h>

static const char USAGE[] =
    "  %s [train] [options]        train, then test\n"
    "  %s test [options]           test the weights of --init\n"
    "  %s predict FILE [options]   the outputs for each row of FILE\n";

static void help(const char *me, FILE *out) {
  fprintf(out, "Usage:\n");
  fprintf(out, USAGE, me, me, me);
  fprintf(out, "\nOptions:\n");
  net_options_help(NET_TRAIN | NET_TEST | NET_PREDICT, out);
  fprintf(out, "  %-20s %s\n  %-20s %s\n", "--help", "show this",
          "--version", "show what this program is");
}

typedef struct Line {
  NetOptions o;
  NetCommand command;
  int words; /* words that are no options */
} Line;

/* A word that is no option: the command, or the file of `predict`. */
static bool take_word(Line *l, const char *word) {
  static const struct {
    const char *name;
    NetCommand command;
  } commands[] = {
      {"train", NET_TRAIN}, {"test", NET_TEST}, {"predict", NET_PREDICT}};
  int at = l->words++;
  for (int i = 0; at == 0 && i < 3; i++)
    if (!strcmp(word, commands[i].name)) {
      l->command = commands[i].command;
      return true;
    }
  if (at == 1 && l->command == NET_PREDICT) {
    l->o.file = word;
    return true;
  }
  fprintf(stderr, "error: what is '%s'? %s\n", word,
          at ? "no word more is wanted here"
             : "the commands are train, test and predict FILE");
  return false;
}

static void print_version(const NetProgram *p) {
  printf("%s%s%s%s, compiled by netc (runtime %d)\n", p->name,
         p->variant ? " (variant " : "", p->variant ? p->variant : "",
         p->variant ? ")" : "", NET_ABI);
}

/* A variant is another program: its code is not in here. */
static bool asks_for_variant(const NetProgram *p, const char *arg) {
  static const char option[] = "--variant";
  size_t n = sizeof option - 1;
  if (strncmp(arg, option, n) || (arg[n] && arg[n] != '=')) return false;
  fprintf(stderr, "error: --variant is for building: this executable is %s%s, "
          "and 'netc build %s.net --variant NAME' makes that of another\n",
          p->variant ? "the variant " : "the file without a variant",
          p->variant ? p->variant : "", p->name);
  return true;
}

/* 1: goes on; 0: done already; -1: wrong use. */
static int parse(Line *l, const NetProgram *p, int argc, char **argv) {
  for (int at = 1; at < argc;) {
    const char *arg = argv[at];
    if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
      help(argv[0], stdout);
      return 0;
    }
    if (!strcmp(arg, "--version")) {
      print_version(p);
      return 0;
    }
    int taken = net_option(&l->o, argc, argv, &at);
    if (taken < 0) return -1;
    if (taken) continue;
    if (arg[0] == '-' && arg[1]) {
      if (!asks_for_variant(p, arg)) net_option_unknown(arg);
      return -1;
    }
    if (!take_word(l, arg)) return -1;
    at++;
  }
  return 1;
}

int net_main(const NetProgram *p, int argc, char **argv) {
  Line l = {.command = NET_TRAIN};
  net_options_init(&l.o);
  int go = parse(&l, p, argc, argv);
  if (go < 0) fprintf(stderr, "Try '%s --help'\n", argv[0]);
  if (go <= 0) return go ? NET_USAGE : net_flush_results(NET_DONE);
  switch (l.command) {
  case NET_TRAIN: return net_train(p, &l.o);
  case NET_TEST: return net_test(p, &l.o);
  case NET_PREDICT: return net_predict(p, &l.o);
  }
  return NET_USAGE;
}
