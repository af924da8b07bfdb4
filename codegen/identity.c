/* Which compiler this is, for the keys of the object cache: another build of netc or
 * of LLVM may make other code of the same kernels. Linkers write a hash of all that
 * they link as a note into the program; where one does not, the program's file
 * stands in with its size and its time. */
#include <link.h>
#include <string.h>
#include <sys/stat.h>

#include "codegen/cache.h"

typedef struct Seen {
  Sha hash;
  bool identified; /* the program itself */
} Seen;

static bool has_build_id(const char *notes, size_t size) {
  ElfW(Nhdr) n;
  for (size_t at = 0; at + sizeof n < size;) {
    memcpy(&n, notes + at, sizeof n);
    if (n.n_type == NT_GNU_BUILD_ID) return true;
    at += sizeof n + (n.n_namesz + 3) / 4 * 4 + (n.n_descsz + 3) / 4 * 4;
  }
  return false;
}

static int add_notes(struct dl_phdr_info *o, size_t size, void *to) {
  Seen *seen = to;
  bool program = !o->dlpi_name || !*o->dlpi_name;
  (void)size;
  if (!program && !strstr(o->dlpi_name, "LLVM")) return 0;
  for (int i = 0; i < o->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &o->dlpi_phdr[i];
    if (p->p_type != PT_NOTE) continue;
    uintptr_t at = (uintptr_t)o->dlpi_addr + (uintptr_t)p->p_vaddr;
    const char *notes = (const char *)at;
    sha_add(&seen->hash, notes, p->p_memsz);
    if (program && has_build_id(notes, p->p_memsz)) seen->identified = true;
  }
  return 0;
}

Hash compiler_hash(void) {
  Seen seen = {.identified = false};
  struct stat s;
  sha_begin(&seen.hash);
  dl_iterate_phdr(add_notes, &seen);
  if (!seen.identified && stat("/proc/self/exe", &s) == 0) {
    sha_add(&seen.hash, &s.st_size, sizeof s.st_size);
    sha_add(&seen.hash, &s.st_mtim, sizeof s.st_mtim);
  }
  return sha_end(&seen.hash);
}
