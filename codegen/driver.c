/* The command `netc`: main and the table of commands. What each command does is
 * in a file of its own; what it takes is in driver_options.c. */
#include "codegen/driver.h"

#include <string.h>

#define VERSION "0.1"

typedef struct Command {
  const char *name, *operand, *help;
  Status (*run)(const Options *o);
} Command;

static const Command commands[CMD_COUNT] = {
    [CMD_RUN] = {"run", "FILE.net", "compile in memory and train", command_run},
    [CMD_TEST] = {"test", "FILE.net", "evaluate the weights of --init",
                  command_test},
    [CMD_BUILD] = {"build", "FILE.net", "make a standalone executable",
                   command_build},
    [CMD_CHECK] = {"check", "FILE.net", "the front end alone", command_check},
    [CMD_SUMMARY] = {"summary", "FILE.net",
                     "layers, shapes, parameters, work, bytes",
                     command_summary},
    [CMD_DUMP] = {"dump", "FILE.net", "print a stage of the compilation",
                  command_dump},
    [CMD_OPT] = {"opt", "FILE.ir", "run passes on a printed stage",
                 command_opt},
    [CMD_BENCH] = {"bench", "FILE.net", "time a step", command_bench},
    [CMD_FMT] = {"fmt", "FILE.net ..", "put files into the one layout",
                 command_fmt},
    [CMD_EXPLAIN] = {"explain", "[E0302]", "a longer account of a diagnostic",
                     command_explain},
};

static void help(FILE *out) {
  fprintf(out, "usage: netc COMMAND [OPTIONS] FILE\n\n");
  for (int i = 0; i < CMD_COUNT; i++) {
    char left[40];
    snprintf(left, sizeof left, "%s %s", commands[i].name,
             commands[i].operand);
    fprintf(out, "  netc %-18s %s\n", left, commands[i].help);
  }
  fprintf(out, "  netc %-18s %s\n  netc %-18s %s\n\n", "--help", "show this",
          "--version", "show the version");
  fprintf(out, "netc COMMAND --help tells the options of a command.\n");
}

static void command_help(Arena *a, CommandId id, FILE *out) {
  fprintf(out, "usage: netc %s [OPTIONS] %s\n%s\n\noptions:\n",
          commands[id].name, commands[id].operand, commands[id].help);
  options_help(a, id, out);
}

static Status unknown_command(Arena *a, const char *word) {
  const char *names[CMD_COUNT];
  for (int i = 0; i < CMD_COUNT; i++) names[i] = commands[i].name;
  Status s = usage_error("unknown %s '%s'%s",
                         word[0] == '-' ? "option" : "command", word,
                         did_you_mean(a, word, names, CMD_COUNT));
  fprintf(stderr, "Try 'netc --help'\n");
  return s;
}

static Status run_command(Arena *a, CommandId id, int argc, char **argv) {
  Options o;
  if (!options_parse(a, &o, id, argc, argv, 2)) {
    fprintf(stderr, "Try 'netc %s --help'\n", commands[id].name);
    return STATUS_USAGE;
  }
  if (!o.help) return commands[id].run(&o);
  command_help(a, id, stdout);
  return flush_output();
}

static Status netc(Arena *a, int argc, char **argv) {
  if (argc < 2) {
    help(stderr);
    return STATUS_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    help(stdout);
    return flush_output();
  }
  if (strcmp(argv[1], "--version") == 0) {
    printf("netc %s (runtime %d)\n", VERSION, NET_ABI);
    return flush_output();
  }
  for (int i = 0; i < CMD_COUNT; i++)
    if (strcmp(argv[1], commands[i].name) == 0)
      return run_command(a, (CommandId)i, argc, argv);
  return unknown_command(a, argv[1]);
}

int main(int argc, char **argv) {
  Arena *a = arena_new();
  Status status = netc(a, argc, argv);
  arena_free(a);
  return (int)status;
}
