/* Objects that were compiled before, kept in a folder of the user's: cache.c; and
 * the hash that their names and checks are, sha256.c. */
#ifndef NETC_CACHE_H
#define NETC_CACHE_H

#include "codegen/codegen.h"

/* sha256.c */
typedef struct Hash {
  uint8_t byte[32];
} Hash;
typedef struct Sha {
  uint64_t bytes; /* added so far */
  uint32_t state[8];
  uint8_t block[64];
} Sha;
void sha_begin(Sha *h);
void sha_add(Sha *h, const void *data, size_t n);
Hash sha_end(Sha *h);

/* identity.c: of this compiler and of LLVM, as they were linked. */
Hash compiler_hash(void);

/* cache.c: no call fails: what cannot be read was never there, and what cannot
 * be written is not kept. */
/* The folder, made (0700) if it is not there. NULL if it cannot be made, is not
 * this user's, or if others may write to it. `limit`: bytes of all objects; the
 * ones that were used least lately go first. */
Cache *cache_open(Arena *a, const char *folder, int64_t limit);
void cache_close(Cache *c);
/* Which compiler asks, to the bit: a part of every key. */
const Hash *cache_compiler(const Cache *c);
/* True: *data are what was stored under the key, in the arena. */
bool cache_load(Cache *c, Arena *a, const Hash *key, Bytes *data);
void cache_store(Cache *c, const Hash *key, Bytes data);

#endif
