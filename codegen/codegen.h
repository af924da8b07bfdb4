/* Code generation through LLVM: from planned kernels to functions in memory, to
 * object files, assembly or LLVM IR. Targets differ here and nowhere above. */
#ifndef NETC_CODEGEN_H
#define NETC_CODEGEN_H

#include "ir/kernel.h"
#include "runtime/net.h"

/* target.c: the architectures that code is generated for; the last has no name. */
typedef struct TargetArch {
  const char *name;     /* its baseline goes by it too, as a processor */
  const char *backend, *triple, *baseline, *features; /* as LLVM calls them */
  const char *tools;    /* what the names of its cross tools begin with */
  const char *debian;   /* as Debian calls it */
} TargetArch;
extern const TargetArch target_archs[];
/* This machine's; NULL: there is none in the table. */
const TargetArch *target_host(void);

/* A processor to generate for. */
typedef struct Target Target;
/* arch: NULL is this machine's. cpu: NULL is this machine's, "portable" the
 * architecture's common baseline, else a name that LLVM knows. level: 0 to 3. NULL
 * with what is wrong in *error (in the arena). Free with target_free. */
Target *target_new(Arena *a, const TargetArch *arch, const char *cpu, int level,
                   const char **error);
void target_free(Target *t);
const char *target_cpu(const Target *t);      /* never NULL */
const char *target_features(const Target *t); /* as LLVM writes them */
const TargetArch *target_arch(const Target *t);

/* module.c: what can be written of a program. */
typedef enum Artefact { ART_LLVM, ART_ASSEMBLY, ART_OBJECT } Artefact;
typedef struct Bytes {
  char *data; /* in the arena */
  size_t size;
} Bytes;
/* Generates the functions of `m` (all of them) and, unless `p` is NULL, the
 * tables of `p` under the symbol net_program, with the functions in it. `p`'s own
 * function pointers are not read. */
Bytes codegen_emit(Arena *a, Target *t, const KModule *m, const NetProgram *p,
                   Artefact kind);

/* cache.c: objects that were compiled before. Where they are kept: $NETC_CACHE, or
 * else netc in $XDG_CACHE_HOME, or in ~/.cache. NULL: nowhere. */
typedef struct Cache Cache;
Cache *cache_open_default(Arena *a);
void cache_close(Cache *c);

/* jit.c: functions in memory. Each function of `m` is compiled on its own.
 * NULL with what is wrong in *error. */
typedef struct Jit Jit;
Jit *jit_new(Arena *a, Target *t, const KModule *m, const char **error);
/* From here on functions are looked for in the cache, and put there. */
void jit_use_cache(Jit *j, Cache *cache);
/* Is told of each function how long it took to get it, and whether it came from
 * the cache. */
typedef void JitTold(const void *context, const char *name, bool cached, double ms);
void jit_tell(Jit *j, JitTold *told, const void *context);
typedef void JitFunction(char *arena, NetPool *pool);
/* The function of that name (init, train ..), compiled now, or NULL. */
JitFunction *jit_find(Jit *j, const char *name);
/* The same, compiled when it is first called. */
JitFunction *jit_find_lazy(Jit *j, const char *name);
void jit_free(Jit *j);

#endif
