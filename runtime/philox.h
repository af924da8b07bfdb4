/* Philox4x32 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011): four random words from a counter and a key. One text for
 * the runtime, the interpreter and, as a model, generated code. The program's
 * draws take seven rounds, the fewest with which the authors found all of
 * BigCrush passed; the runtime's own, where time is no matter, their ten.
 *
 * How netc addresses random numbers: the key is the seed (low, high word); the
 * counter is (block, row, step, place): the place of the call in the program,
 * the update's number, the sample's row in the batch (0 where there is none),
 * and the block that the element lies in. Element e of a sample is word
 * (e / 16) % 4 of block (e / 64) * 16 + e % 16, so that sixteen neighbours are
 * the same word of sixteen neighbouring blocks, which suits vectors. */
#ifndef NET_PHILOX_H
#define NET_PHILOX_H

#include <stdint.h>

enum { PHILOX_WORDS = 4, PHILOX_ROUNDS = 10, PHILOX_DRAW_ROUNDS = 7 };

static inline void philox_rounds(uint32_t counter[4], uint64_t seed,
                                 int rounds) {
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int round = 0; round < rounds; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * counter[0];
    uint64_t p1 = (uint64_t)0xCD9E8D57u * counter[2];
    uint32_t c1 = counter[1], c3 = counter[3];
    counter[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    counter[1] = (uint32_t)p1;
    counter[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    counter[3] = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

static inline void philox(uint32_t counter[4], uint64_t seed) {
  philox_rounds(counter, seed, PHILOX_ROUNDS);
}

/* What a program draws. */
static inline uint32_t philox_word(uint64_t seed, uint32_t place, uint32_t step,
                                   uint32_t row, uint32_t element) {
  uint32_t counter[4] = {(element / 64) * 16 + element % 16, row, step, place};
  philox_rounds(counter, seed, PHILOX_DRAW_ROUNDS);
  return counter[(element / 16) % 4];
}

/* Uniform in [0, 1), a multiple of 2^-24: exact in f32. */
static inline float philox_uniform(uint32_t word) {
  return (float)(word >> 8) * 0x1p-24f;
}

#endif
