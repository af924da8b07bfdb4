/* Inside the reader of kernels: shared by its two files. */
#ifndef NETC_KERNEL_READ_H
#define NETC_KERNEL_READ_H

#include "ir/kernel.h"
#include "ir/lex.h"

/* The numbers that a text gives to things, rising, and what they are: an index,
 * or -1 for a thing whose line was wrong. */
typedef struct Numbers {
  int n, capacity;
  struct Number {
    int64_t number;
    int index;
  } *at;
} Numbers;

typedef struct Place { /* of a line, for what the verifier finds */
  size_t begin, end;
} Place;
typedef struct Places {
  int n, capacity;
  Place *at;
} Places;

typedef struct KernelPlace {
  Place line, schedule;
  int first_instr; /* in the function's list */
} KernelPlace;

typedef struct FuncPlaces {
  Place line;
  Places buffers, instrs, results;
  int n_kernels, cap_kernels;
  KernelPlace *kernel;
} FuncPlaces;

typedef struct Word { /* what a value can be */
  KOp kop;
  Op op;
} Word;

enum { MOST_WORDS = (int)OP_COUNT + (int)K_OP, MOST_LANES = 64, MOST_TILE = 1 << 20 };

typedef struct Reader {
  Lex l;
  KModule *m;
  int cap_vars, cap_offsets;
  KFunc *f;
  FuncPlaces *places, func_places[4];
  Places vars;
  Numbers buffers; /* of this function */
  const Group *group; /* whose braces are open, or NULL */
  Kernel *k;
  Numbers values; /* of this kernel */
  int64_t next_kernel;
  bool absent; /* this line uses something whose line was wrong */
  int n_words;
  Word word[MOST_WORDS];
  const char *word_text[MOST_WORDS];
} Reader;

/* kernel_read_instr.c: what says true or false tells what is wrong. */
void kread_make_words(Reader *r);
void kread_add_place(Reader *r, Places *p, size_t begin);
bool kread_want_char(Lex *l, char c);
bool kread_new(Reader *r, char sigil, const Numbers *n, int64_t *number);
void kread_add_number(Reader *r, Numbers *n, int64_t number, int index);
bool kread_old(Reader *r, char sigil, const Numbers *n, int *index);
/* `[4 10 | 84]`, numbers of [least, most]; the same where the kernel's dimensions are
 * known. */
bool kread_dims(Lex *l, int64_t least, int64_t most, int *n_par, int *n_red,
                int64_t *v);
bool kread_want_dims(Reader *r, int64_t least, int64_t most, int64_t *v);
void kread_value_line(Reader *r);
void kread_store(Reader *r, size_t begin);

#endif
