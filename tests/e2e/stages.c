/* The stages of every model: each prints; what can be read back reads back to
 * the same text; a stage made by `netc opt` from the text of the one before is
 * the same as the compiler's own; and each operation says which source line it
 * came from. What a stage should hold is for the golden files. */
#include "tests/check.h"
#include "tests/e2e/zoo.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Stage {
  const char *name;
  const char *from; /* the stage that the pass of this name works on */
  bool reads;       /* the text can be read back */
  bool graph;       /* operations stand in lines `%3 = ..` */
} Stage;

static const Stage stages[] = {
    {"ast", NULL, false, false},       {"ir", NULL, true, true},
    {"grad", "ir", true, true},        {"simplify", "grad", true, true},
    {"fuse", "simplify", true, false}, {"schedule", "fuse", true, false},
    {"plan", "schedule", true, false}, {"llvm", NULL, false, false},
    {"asm", NULL, false, false},
};
enum { STAGES = sizeof stages / sizeof stages[0] };

static const char *stage_path(const char *stage) {
  char name[64];
  snprintf(name, sizeof name, "%s.ir", stage);
  return check_path(name);
}

/* Runs `netc opt` on a dump and compares with the text of a stage. */
static void opt_gives(const char *model, const char *passes, const char *from,
                      const char *want) {
  char option[64];
  const char *file = stage_path(from);
  snprintf(option, sizeof option, "--passes=%s", passes ? passes : "");
  const char *const with[] = {check_netc(), "opt", option,
                              "--cpu=znver4", file, NULL};
  const char *const without[] = {check_netc(), "opt", file, NULL};
  Run r = check_run(60, passes ? with : without);
  check_that(!r.status, "%s: %s: exit %d\n%.300s", model, r.command, r.status,
             r.err);
  if (!r.status && !check_that(!strcmp(r.out, want), "%s: %s prints other text",
                               model, r.command)) {
    check_write(stage_path("want"), want, strlen(want));
    check_write(stage_path("got"), r.out, strlen(r.out));
    const char *const diff[] = {"diff", "-u", stage_path("want"),
                                stage_path("got"), NULL};
    Run d = check_run(20, diff);
    printf("%.3000s\n", d.out);
    run_free(&d);
  }
  run_free(&r);
}

/* Leaves and constants may stand for many lines; all else has a place. */
static void has_places(const char *model, const char *stage, char *text) {
  static const char *const leaves[] = {" param ", " state ", " input ",
                                       " scalar ", " const ", " iota "};
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    bool leaf = !strstr(line, " = ") || strchr(line, '%') == NULL ||
                strstr(line, "update ") || strstr(line, "  result ");
    for (size_t i = 0; i < sizeof leaves / sizeof leaves[0]; i++)
      leaf = leaf || strstr(line, leaves[i]);
    if (!leaf && !strstr(line, " @ ")) {
      check_that(false, "%s: %s: no source line: %s", model, stage, line);
      return;
    }
  }
}

static void one_stage(const char *model, const Stage *s) {
  char option[64];
  snprintf(option, sizeof option, "--stage=%s", s->name);
  const ZooModel *m = zoo_model(model);
  const char *const argv[] = {check_netc(), "dump",
                              option,       "--cpu=znver4",
                              model,        m ? "--data" : NULL,
                              m ? m->data() : NULL, NULL};
  Run r = check_run(60, argv);
  check_that(!r.status && r.out[0], "%s: exit %d\n%.300s", r.command, r.status,
             r.err);
  if (!r.status) {
    Run again = check_run(60, argv);
    check_that(!strcmp(r.out, again.out), "%s: %s varies", model, s->name);
    run_free(&again);
  }
  if (!r.status && s->reads) {
    check_write(stage_path(s->name), r.out, strlen(r.out));
    opt_gives(model, NULL, s->name, r.out);
    if (s->from)
      opt_gives(model, s->name, s->from, r.out);
    if (s->graph)
      has_places(model, s->name, r.out);
  }
  run_free(&r);
}

static void every_stage(void) {
  glob_t found = {0};
  glob("models/*.net", 0, NULL, &found);
  glob("tests/ref/square_adam.net", GLOB_APPEND, NULL, &found);
  check_that(found.gl_pathc > 0, "no models");
  for (size_t i = 0; i < found.gl_pathc; i++)
    for (int k = 0; k < STAGES; k++)
      one_stage(found.gl_pathv[i], &stages[k]);
  globfree(&found);
}

/* What a step changes in place it asks for before: other cores may hold it. */
static void claims(void) {
  static const struct {
    const char *entry;
    bool any;
  } list[] = {{"--entry=train", true}, {"--entry=evaluate", false}};
  for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
    const char *const argv[] = {check_netc(), "dump", "--stage=llvm", list[i].entry,
                                "--data", "shapes()", "models/lenet.net", NULL};
    Run r = check_run(60, argv);
    check_that(!r.status && !!strstr(r.out, "llvm.prefetch") == list[i].any,
               "%s: exit %d\n%.300s", r.command, r.status, r.err);
    run_free(&r);
  }
}

/* Two functions of one long expression each: how deep the passes go does not depend on
 * the stack that the process was given. */
static void long_chain(void) {
  enum { LENGTH = 4000 };
  static const char *const names[] = {"evaluate", "predict"};
  char *text = malloc(LENGTH * 100), *at = text;
  at += sprintf(at, "module\n");
  for (int f = 0; f < 2; f++) {
    at += sprintf(at, "func %s {\n  %%0 = input x sample=1 : f32[2,3]\n", names[f]);
    for (int i = 1; i < LENGTH; i++)
      at += sprintf(at, "  %%%d = %s %%%d : f32[2,3]\n", i, i % 2 ? "exp" : "neg",
                    i - 1);
    at += sprintf(at, "  result y = %%%d\n}\n", LENGTH - 1);
  }
  check_write(stage_path("chain"), text, (size_t)(at - text));
  free(text);
  const char *const argv[] = {check_netc(), "opt",
                              "--passes=fuse,schedule,recompute,plan",
                              stage_path("chain"), NULL};
  Run r = check_run(60, argv);
  check_that(!r.status, "%s: exit %d\n%.300s", r.command, r.status, r.err);
  run_free(&r);
}

void suite_stages(void) {
  check_suite("stages", (const CheckTest[]){{"dump and read back", every_stage},
                                            {"claims", claims},
                                            {"a long chain", long_chain},
                                            {0}});
}
