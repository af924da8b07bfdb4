/* Source files: reading one into memory, and the check that it is text. What
 * the text means is not looked at here. */
#include "frontend/parse.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_SOURCE = 16 << 20 };

Source *source_of_text(Arena *a, const char *path, const char *text) {
  Source *source = arena_alloc(a, sizeof *source);
  *source = (Source){arena_strdup(a, path), text, strlen(text)};
  return source;
}

/* Grows the buffer as the file is read: its size may not be known before (a
 * pipe) and may change. Returns NULL with errno set: EFBIG if it is too long.
 */
static char *read_all(Arena *a, FILE *f, size_t *size) {
  size_t capacity = 1 << 16, n = 0, got;
  char *text = arena_alloc(a, capacity + 1);
  errno = 0;
  while ((got = fread(text + n, 1, capacity - n, f)) > 0) {
    n += got;
    if (n > MAX_SOURCE) {
      errno = EFBIG;
      return NULL;
    }
    if (n == capacity) {
      char *more = arena_alloc(a, 2 * capacity + 1);
      memcpy(more, text, n);
      text = more;
      capacity *= 2;
    }
  }
  if (ferror(f))
    return NULL;
  text[n] = '\0';
  *size = n;
  return text;
}

Source *source_read(Arena *a, Diags *d, const char *path) {
  Source *source = arena_alloc(a, sizeof *source);
  *source = (Source){arena_strdup(a, path), NULL, 0};
  Span whole = {source, 0, 0};
  FILE *f = fopen(path, "rb");
  struct stat info;
  char *text = NULL;
  if (f && fstat(fileno(f), &info) == 0) {
    if (S_ISDIR(info.st_mode))
      errno = EISDIR;
    else
      text = read_all(a, f, &source->size);
  }
  int problem = errno;
  if (f)
    fclose(f);
  if (text) {
    source->text = text;
    return source;
  }
  if (problem == EFBIG)
    diag_error(d, "E0100", whole, "this file is larger than %d MiB",
               MAX_SOURCE >> 20);
  else
    diag_error(d, "E0100", whole, "cannot read this file: %s",
               strerror(problem));
  return NULL;
}

/* Length of the UTF-8 sequence at s[0..n), or 0 if there is none: overlong
 * forms, surrogates and numbers beyond U+10FFFF are none. */
static int utf8_length(const unsigned char *s, size_t n) {
  int length = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
  if ((size_t)length > n)
    return 0;
  for (int i = 1; i < length; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
      (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
    return 0;
  return length;
}

bool source_check(Diags *d, const Source *source) {
  const unsigned char *text = (const unsigned char *)source->text;
  if (source->size > MAX_SOURCE) {
    diag_error(d, "E0100", (Span){source, 0, 0},
               "this file is larger than %d MiB", MAX_SOURCE >> 20);
    return false;
  }
  for (size_t i = 0; i < source->size;) {
    int n = utf8_length(text + i, source->size - i);
    bool control = text[i] < ' ' && !strchr("\t\n\r", text[i]);
    if (n == 0 || control || text[i] == 0 || text[i] == 0x7f) {
      Span at = {source, (uint32_t)i, (uint32_t)i + 1};
      diag_error(d, "E0101", at,
                 n == 0 ? "this file is no UTF-8 text: it holds a byte 0x%02x"
                        : "this file is no text: it holds a byte 0x%02x",
                 text[i]);
      return false;
    }
    i += (size_t)n;
  }
  return true;
}
