/* PNG files through libpng. An error in the library leaves by longjmp to `read`
 * below: what has to be freed lies in a struct that the caller owns, and `read`
 * keeps nothing in variables of its own. */
#include "runtime/images.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>

typedef struct Png {
  FILE *file;
  const char *path;
  Image *m;
  DataError *e;
  png_structp png;
  png_infop info;
  png_bytepp rows;
  bool no_memory;
} Png;

static png_voidp allocate(png_structp png, png_alloc_size_t bytes) {
  Png *p = png_get_mem_ptr(png);
  void *memory = malloc(bytes);
  p->no_memory = p->no_memory || !memory;
  return memory;
}

static void give_back(png_structp png, png_voidp memory) {
  (void)png;
  free(memory);
}

static void on_error(png_structp png, png_const_charp message) {
  Png *p = png_get_error_ptr(png);
  if (p->no_memory)
    data_no_memory(p->e);
  else
    data_fail(p->e, "%s: damaged or cut short: %s", p->path, message);
  png_longjmp(png, 1);
}

/* Odd texts and profiles do not touch the pixels. */
static void on_warning(png_structp png, png_const_charp message) {
  (void)png, (void)message;
}

/* The sizes, held against the bounds, and the conversion to 8 bits of grey or
 * RGB. */
static bool read_header(Png *p) {
  png_uint_32 width, height;
  int depth, colour;
  png_init_io(p->png, p->file);
  png_set_user_limits(p->png, IMAGE_SIDE, IMAGE_SIDE);
  png_set_chunk_malloc_max(p->png, 1 << 23);
  png_read_info(p->png, p->info);
  png_get_IHDR(p->png, p->info, &width, &height, &depth, &colour, NULL, NULL,
               NULL);
  p->m->width = width;
  p->m->height = height;
  if (p->m->width * p->m->height > IMAGE_PIXELS)
    return data_fail(p->e, "%s: %lld x %lld pixels are too many", p->path,
                     (long long)height, (long long)width);
  png_set_scale_16(p->png);
  png_set_expand(p->png);
  png_set_strip_alpha(p->png);
  bool grey = !(colour & PNG_COLOR_MASK_COLOR);
  if (grey && p->m->channels == 3)
    png_set_gray_to_rgb(p->png);
  if (!grey && p->m->channels == 1)
    png_set_rgb_to_gray_fixed(p->png, PNG_ERROR_ACTION_NONE, -1, -1);
  png_set_interlace_handling(p->png);
  png_read_update_info(p->png, p->info);
  return true;
}

static bool read(Png *p) {
  if (setjmp(png_jmpbuf(p->png)))
    return false;
  if (!read_header(p))
    return false;
  size_t size = png_get_rowbytes(p->png, p->info);
  if (size != (size_t)p->m->width * (size_t)p->m->channels)
    return data_fail(p->e, "%s: an unknown kind of pixels", p->path);
  p->m->pixels = data_alloc(p->m->height, (int64_t)size, p->e);
  p->rows = data_alloc(p->m->height, (int64_t)sizeof *p->rows, p->e);
  if (!p->m->pixels || !p->rows)
    return false;
  for (int64_t i = 0; i < p->m->height; i++)
    p->rows[i] = p->m->pixels + (size_t)i * size;
  png_read_image(p->png, p->rows);
  png_read_end(p->png, NULL);
  return true;
}

bool image_png(FILE *f, const char *path, Image *m, DataError *e) {
  Png p = {.file = f, .path = path, .m = m, .e = e};
  m->pixels = NULL;
  p.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &p, on_error,
                                   on_warning, &p, allocate, give_back);
  p.info = p.png ? png_create_info_struct(p.png) : NULL;
  bool ok = p.info ? read(&p) : data_no_memory(e);
  png_destroy_read_struct(&p.png, &p.info, NULL);
  free(p.rows);
  if (!ok) {
    free(m->pixels);
    m->pixels = NULL;
  }
  return ok;
}
