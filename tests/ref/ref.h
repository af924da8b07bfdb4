/* One training of PyTorch's, repeated by netc. */
#ifndef NETC_REF_H
#define NETC_REF_H

#include <stdbool.h>

/* How it is run: by `netc run`, or as an executable. */
typedef struct RefWay {
  const char *cpu; /* NULL: this machine's */
  bool build;
  const char *const *emulator; /* the words before the executable; NULL: none */
} RefWay;

/* Asserts that the losses of each step and the weights after the last are those
 * that lie beside the program. */
void ref_training(const char *path, const RefWay *way);

#endif
