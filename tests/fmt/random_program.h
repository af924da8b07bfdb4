/* Programs at random, for the formatter. */
#ifndef NETC_RANDOM_PROGRAM_H
#define NETC_RANDOM_PROGRAM_H

#include "ir/ir.h"

/* A text that parses, the same for the same seed: every rule of the grammar,
 * with blanks, line ends and comments wherever they may stand. It means
 * nothing. */
const char *random_program(Arena *a, unsigned seed);

#endif
