/* `netc fmt`: files in the one layout, each written in its place if that changes
 * it. With --check nothing is written: files that would change are named, and the
 * status is 1. The file `-` is standard input, and what it becomes goes to
 * standard output. */
#include "codegen/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As output_begin, but over the source itself: a file beside it, that takes its
 * place and its rights when all is written. Where the name is a link, what it
 * leads to is replaced. */
static Status replace(Arena *a, const char *path, Bytes b) {
  struct stat info;
  char *target = realpath(path, NULL);
  if (!target || stat(target, &info) != 0 || !S_ISREG(info.st_mode)) {
    free(target);
    fprintf(stderr, "error: %s: not a regular file; not written over\n", path);
    return STATUS_MISTAKE;
  }
  char *temporary = arena_printf(a, "%s.XXXXXX", target);
  int file = mkstemp(temporary);
  Status status = STATUS_DONE;
  if (file < 0) {
    fprintf(stderr, "error: %s: cannot be written: %s\n", path,
            strerror(errno));
    status = STATUS_MISTAKE;
  } else {
    bool kept = fchmod(file, info.st_mode & 07777) == 0;
    close(file);
    status = put_file(temporary, b);
    if (!status && (!kept || rename(temporary, target) != 0))
      status = resource_error("%s: cannot be written: %s", path,
                              strerror(errno));
    if (status) unlink(temporary);
  }
  free(target);
  return status;
}

static Status finish(const Compile *c, const Text *t, bool is_input) {
  const Options *o = c->o;
  const Source *s = c->source;
  Bytes b = {t->s, (size_t)t->n};
  bool same = s->size == b.size && memcmp(s->text, t->s, b.size) == 0;
  if (o->check && !same) {
    printf("%s\n", s->path);
    Status status = flush_output();
    return status ? status : STATUS_MISTAKE;
  }
  if (is_input && !o->check) return write_output(c->arena, o, b);
  return same || o->check ? STATUS_DONE : replace(c->arena, o->file, b);
}

static Status format(const Options *o, const char *file) {
  bool is_input = strcmp(file, "-") == 0;
  Options one = *o;
  one.file = is_input ? "/dev/stdin" : file;
  Compile c;
  Status status = compile(&c, &one, AT_AST);
  if (!status) {
    Text t;
    text_init(&t, c.arena);
    print_formatted(&t, c.ast);
    status = finish(&c, &t, is_input);
  }
  compile_free(&c);
  return status;
}

Status command_fmt(const Options *o) {
  Status worst = STATUS_DONE;
  for (int i = 0; i < o->n_files; i++) {
    Status status = format(o, o->files[i]);
    if (status > worst) worst = status;
  }
  return worst;
}
