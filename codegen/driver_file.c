/* Writing what a command makes: to standard output, or to a file, which then
 * holds all of it or what it held before. Never over the source, nor over what
 * is no regular file (a device, say). */
#include "codegen/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Status cannot_write(const char *path) {
  fprintf(stderr, "error: %s: cannot be written: %s\n", path, strerror(errno));
  return STATUS_MISTAKE;
}

char *output_begin(Arena *a, const Options *o, const char *path) {
  struct stat source, target;
  if (stat(path, &target) == 0) {
    bool same = stat(o->file, &source) == 0 &&
                source.st_dev == target.st_dev &&
                source.st_ino == target.st_ino;
    if (same || !S_ISREG(target.st_mode)) {
      fprintf(stderr, "error: %s: %s; not written over\n", path,
              same ? "this is the source" : "not a regular file");
      return NULL;
    }
  }
  char *temporary = arena_printf(a, "%s.XXXXXX", path);
  int file = mkstemp(temporary);
  if (file < 0) {
    cannot_write(path);
    return NULL;
  }
  close(file);
  return temporary;
}

Status output_end(const char *temporary, const char *path, unsigned mode,
                  Status status) {
  mode_t mask = umask(0);
  umask(mask);
  if (!status) chmod(temporary, mode & ~mask);
  if (!status && rename(temporary, path) != 0) status = cannot_write(path);
  if (status) unlink(temporary);
  return status;
}

Status put_file(const char *path, Bytes b) {
  FILE *f = fopen(path, "wb");
  if (!f) return cannot_write(path);
  bool good = fwrite(b.data, 1, b.size, f) == b.size;
  if (fclose(f) == 0 && good) return STATUS_DONE;
  return resource_error("%s: cannot be written: %s", path, strerror(errno));
}

Status write_file(Arena *a, const Options *o, const char *path, Bytes b) {
  char *temporary = output_begin(a, o, path);
  if (!temporary) return STATUS_MISTAKE;
  Status s = put_file(temporary, b);
  return output_end(temporary, path, 0666, s);
}

Status flush_output(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return STATUS_DONE;
  return resource_error("standard output: cannot be written");
}

Status write_output(Arena *a, const Options *o, Bytes b) {
  if (o->output) return write_file(a, o, o->output, b);
  fwrite(b.data, 1, b.size, stdout);
  return flush_output();
}
