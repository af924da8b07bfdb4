/* The memory of a compilation, growing texts, and the end of the road.
 *
 * An arena is a list of zeroed blocks that only grows; nothing in it is freed
 * before the whole, or before a reset. A large request gets a block of its own behind the current
 * one. No memory is the one failure that ends the process from here: exit
 * status 3, since no caller could do better. */
#include "ir/ir.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 16, ALIGN = 16 };

typedef struct Block {
  struct Block *next;
  size_t size, used; /* of data */
} Block;

/* Data begin at the next multiple of ALIGN behind the header. */
enum { HEADER = (sizeof(Block) + ALIGN - 1) / ALIGN * ALIGN };

struct Arena {
  Block *first; /* the one that small requests come from */
  Block *spare; /* without a use since a reset */
};

static _Noreturn void no_memory(void) {
  fputs("netc: out of memory\n", stderr);
  exit(3);
}

static Block *block_new(size_t size) {
  Block *b = size > SIZE_MAX - HEADER ? NULL : calloc(1, HEADER + size);
  if (!b)
    no_memory();
  b->size = size;
  return b;
}

Arena *arena_new(void) {
  Arena *a = calloc(1, sizeof *a);
  if (!a)
    no_memory();
  return a;
}

static void free_blocks(Block *b) {
  for (Block *next; b; b = next) {
    next = b->next;
    free(b);
  }
}

void arena_free(Arena *a) {
  if (!a)
    return;
  free_blocks(a->first);
  free_blocks(a->spare);
  free(a);
}

/* Blocks are kept: to get fresh pages from the system takes longer than to clear what
 * was used of these. */
void arena_reset(Arena *a) {
  while (a->first) {
    Block *b = a->first;
    a->first = b->next;
    memset((char *)b + HEADER, 0, b->used);
    b->used = 0;
    b->next = a->spare;
    a->spare = b;
  }
}

/* A spare block with so much room, which is then none any more; or NULL. */
static Block *take_spare(Arena *a, size_t bytes) {
  for (Block **at = &a->spare; *at; at = &(*at)->next) {
    Block *b = *at;
    if (b->size < bytes) continue;
    *at = b->next;
    return b;
  }
  return NULL;
}

void arena_adopt(Arena *a, Arena *from) {
  Block *last = from->first;
  while (last && last->next) last = last->next;
  if (last) { /* behind the block that requests come from, or in its place */
    Block **at = a->first ? &a->first->next : &a->first;
    last->next = *at;
    *at = from->first;
  }
  free_blocks(from->spare);
  free(from);
}

void *arena_alloc(Arena *a, size_t bytes) {
  if (bytes > SIZE_MAX - ALIGN)
    no_memory();
  bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
  Block *b = a->first;
  if (b && bytes <= b->size - b->used) {
    char *p = (char *)b + HEADER + b->used;
    b->used += bytes;
    return p;
  }
  Block *fresh = take_spare(a, bytes);
  if (!fresh) fresh = block_new(bytes > BLOCK / 4 ? bytes : BLOCK);
  fresh->used = bytes;
  if (b && fresh->size - bytes < b->size - b->used) {
    fresh->next = b->next; /* the current block has more room left */
    b->next = fresh;
  } else {
    fresh->next = b;
    a->first = fresh;
  }
  return (char *)fresh + HEADER;
}

char *arena_strndup(Arena *a, const char *s, size_t n) {
  char *copy = arena_alloc(a, n + 1);
  memcpy(copy, s, n);
  return copy;
}

char *arena_strdup(Arena *a, const char *s) {
  return arena_strndup(a, s, strlen(s));
}

static char *vprintf_in(Arena *a, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  if (n < 0)
    defect("format '%s'", format);
  char *s = arena_alloc(a, (size_t)n + 1);
  vsnprintf(s, (size_t)n + 1, format, again);
  va_end(again);
  return s;
}

char *arena_printf(Arena *a, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *s = vprintf_in(a, format, args);
  va_end(args);
  return s;
}

void *arena_grow(Arena *a, void *array, int count, int *capacity, size_t size) {
  if (count < *capacity)
    return array;
  if (*capacity > INT32_MAX / 2)
    no_memory();
  *capacity = *capacity ? 2 * *capacity : 8;
  if (size && (size_t)*capacity > SIZE_MAX / size)
    no_memory();
  void *more = arena_alloc(a, (size_t)*capacity * size);
  if (count)
    memcpy(more, array, (size_t)count * size);
  return more;
}

void text_init(Text *t, Arena *a) {
  *t = (Text){.arena = a, .capacity = 64};
  t->s = arena_alloc(a, (size_t)t->capacity);
}

/* Room for n more bytes and the terminator. */
static void reserve(Text *t, int n) {
  if (n > INT32_MAX - 1 - t->n)
    no_memory();
  int want = t->n + n + 1;
  if (want <= t->capacity)
    return;
  while (t->capacity < want)
    t->capacity = t->capacity > INT32_MAX / 2 ? want : 2 * t->capacity;
  char *s = arena_alloc(t->arena, (size_t)t->capacity);
  memcpy(s, t->s, (size_t)t->n);
  t->s = s;
}

void text_add(Text *t, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  if (n < 0)
    defect("format '%s'", format);
  reserve(t, n);
  vsnprintf(t->s + t->n, (size_t)n + 1, format, again);
  t->n += n;
  va_end(again);
  va_end(args);
}

void text_add_number(Text *t, double v) {
  if (isnan(v)) {
    text_add(t, "nan");
    return;
  }
  if (isinf(v)) {
    text_add(t, v < 0 ? "-inf" : "inf");
    return;
  }
  char s[40];
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(s, sizeof s, "%.*g", digits, v);
    if (strtod(s, NULL) == v)
      break;
  }
  /* 1e+06 and 1e-05 have characters to spare. */
  char *e = strchr(s, 'e');
  if (e) {
    char *to = e + 1, *from = e + 1;
    if (*from == '-')
      *to++ = *from;
    from++;
    while (*from == '0')
      from++;
    memmove(to, from, strlen(from) + 1);
  }
  text_add(t, "%s", s);
}

_Noreturn void defect_at(const char *file, int line, const char *format, ...) {
  fprintf(stderr, "%s:%d: defect of netc: ", file, line);
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  abort();
}
