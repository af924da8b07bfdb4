/* Objects to executables and archives, by the system's own tools: `cc` ($CC) and
 * `ar` ($AR), or for another architecture its cross tools, started with a list of
 * arguments and no shell. The runtime's archives, one for each architecture, lie
 * beside the command, or where `make install` puts them. */
#include "codegen/driver.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARGS = 64 };

typedef struct Args {
  int n;
  char *word[MAX_ARGS]; /* NULL behind the last */
} Args;

static void add(Args *args, const char *word) {
  if (args->n == MAX_ARGS - 1) defect("more than %d arguments", MAX_ARGS);
  args->word[args->n++] = (char *)(uintptr_t)word;
  args->word[args->n] = NULL;
}

static void add_words(Arena *a, Args *args, const char *text) {
  char *rest = arena_strdup(a, text), *word;
  while ((word = strtok_r(rest, " \t", &rest)) && args->n < MAX_ARGS / 2)
    add(args, word);
}

/* Which tool, and what to say where it lacks. */
typedef struct Tool {
  const char *variable, *native, *cross, *needs;
} Tool;

static const Tool linker = {
    "CC", "cc", "gcc",
    "netc build needs the C compiler's linker, libc and jansson, and some "
    "readers the libraries of their formats (Debian: apt install gcc libc6-dev "
    "libjansson-dev zlib1g-dev libpng-dev libjpeg-dev)"};
static const Tool archiver = {
    "AR", "ar", "ar",
    "netc build --emit=lib needs ar (Debian: apt install binutils)"};

/* The words of the variable, or the tool for the target; CC may be "ccache gcc". */
static void add_tool(Arena *a, Args *args, const Tool *tool,
                     const TargetArch *arch) {
  const char *text = getenv(tool->variable);
  add_words(a, args, text ? text : "");
  if (!args->n)
    add(args, arch == target_host()
                  ? tool->native
                  : arena_printf(a, "%s%s", arch->tools, tool->cross));
}

/* Runs the tool to its end; it speaks for itself on stderr. */
static Status run_tool(Arena *a, const Args *args, const Tool *tool,
                       const TargetArch *arch) {
  const char *needs = tool->needs;
  if (arch != target_host())
    needs = arena_printf(a, "the tools and libraries for %s are wanted (Debian: "
                         "apt install gcc-%.*s libjansson-dev:%s)", arch->name,
                         (int)strlen(arch->tools) - 1, arch->tools,
                         arch->debian);
  pid_t child;
  int how = 0;
  int error =
      posix_spawnp(&child, args->word[0], NULL, NULL, args->word, environ);
  if (error)
    return resource_error("cannot start '%s': %s; %s", args->word[0],
                          strerror(error), needs);
  while (waitpid(child, &how, 0) < 0)
    if (errno != EINTR) return resource_error("'%s' was lost", args->word[0]);
  if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return STATUS_DONE;
  return resource_error("'%s' failed; %s", args->word[0], needs);
}

/* --- the runtime's archive ------------------------------------------------ */

/* NULL: told. */
static const char *find_runtime(Arena *a, const TargetArch *arch) {
  static const char *const places[] = {"", "../lib/netc/"};
  bool native = arch == target_host();
  const char *name =
      native ? "libnet.a" : arena_printf(a, "libnet-%s.a", arch->name);
  char me[4096];
  ssize_t n = readlink("/proc/self/exe", me, sizeof me - 1);
  if (n > 0) {
    me[n] = 0;
    *(strrchr(me, '/') + 1) = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
      const char *path = arena_printf(a, "%s%s%s", me, places[i], name);
      if (access(path, R_OK) == 0) return path;
    }
  }
  resource_error("%s, the runtime, is neither beside this command nor in "
                 "../lib/netc%s%s", name,
                 native ? "" : "; in netc's sources: make runtime ARCH=",
                 native ? "" : arch->name);
  return NULL;
}

/* --- a folder for the object ---------------------------------------------- */

typedef struct Work {
  char *folder, *object;
} Work;

static void work_end(const Work *w) {
  if (w->object) unlink(w->object);
  if (w->folder) rmdir(w->folder);
}

static Status work_begin(Work *w, Arena *a, Bytes object, const char *name) {
  const char *root = getenv("TMPDIR");
  *w = (Work){0};
  char *folder =
      arena_printf(a, "%s/netc-XXXXXX", root && *root ? root : "/tmp");
  if (!mkdtemp(folder))
    return resource_error("%s: cannot be made: %s", folder, strerror(errno));
  w->folder = folder;
  w->object = arena_printf(a, "%s/%s.o", folder, name);
  Status s = put_file(w->object, object);
  if (s) work_end(w);
  return s ? STATUS_RESOURCE : STATUS_DONE;
}

/* --- executables ---------------------------------------------------------- */

/* All libraries but libc and libm become part of the executable. */
static Status link_to(Arena *a, const Options *o, const TargetArch *arch,
                      const char *object, const char *runtime, const char *libraries,
                      const char *to) {
  static const char *const flags[] = {
      "-pie", "-Wl,--gc-sections", "-Wl,-z,relro", "-Wl,-z,now",
      "-Wl,-z,noexecstack", "-Wl,--as-needed", "-Wl,-Bstatic", "-ljansson"};
  Args args = {0};
  add_tool(a, &args, &linker, arch);
  add(&args, "-o");
  add(&args, to);
  add(&args, object);
  add(&args, runtime);
  /* The runtime's debug information speaks of where it was built. */
  add(&args, o->strip ? "-s" : "-Wl,-S");
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    add(&args, flags[i]);
  add_words(a, &args, libraries);
  add(&args, "-Wl,-Bdynamic");
  add(&args, "-lm");
  return run_tool(a, &args, &linker, arch);
}

Status link_program(Arena *a, const Options *o, const TargetArch *arch,
                    Bytes object, const char *name, const char *libraries,
                    const char *path) {
  Work w;
  const char *runtime = find_runtime(a, arch);
  if (!runtime) return STATUS_RESOURCE;
  char *temporary = output_begin(a, o, path);
  if (!temporary) return STATUS_MISTAKE;
  Status s = work_begin(&w, a, object, name);
  if (!s) {
    s = link_to(a, o, arch, w.object, runtime, libraries, temporary);
    work_end(&w);
  }
  return output_end(temporary, path, 0777, s);
}

/* --- archives ------------------------------------------------------------- */

static Status copy_runtime(const char *from, const char *to) {
  char bytes[1 << 16];
  size_t n;
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  bool good = in && out;
  while (good && (n = fread(bytes, 1, sizeof bytes, in)) > 0)
    good = fwrite(bytes, 1, n, out) == n;
  good = good && !ferror(in);
  if (in) fclose(in);
  if (out && fclose(out) != 0) good = false;
  return good ? STATUS_DONE : resource_error("cannot copy %s", from);
}

static Status archive(Arena *a, const TargetArch *arch, const char *how,
                      const char *to, const char *member) {
  Args args = {0};
  add_tool(a, &args, &archiver, arch);
  add(&args, how);
  add(&args, to);
  add(&args, member);
  return run_tool(a, &args, &archiver, arch);
}

Status archive_program(Arena *a, const Options *o, const TargetArch *arch,
                       Bytes object, const char *name, const char *path) {
  Work w;
  const char *runtime = find_runtime(a, arch);
  if (!runtime) return STATUS_RESOURCE;
  char *temporary = output_begin(a, o, path);
  if (!temporary) return STATUS_MISTAKE;
  Status s = work_begin(&w, a, object, name);
  if (!s) {
    s = copy_runtime(runtime, temporary);
    if (!s) s = archive(a, arch, "dD", temporary, "main.o");
    if (!s) s = archive(a, arch, "qcsD", temporary, w.object);
    work_end(&w);
  }
  return output_end(temporary, path, 0666, s);
}
