/* JPEG files through libjpeg (libjpeg-turbo). An error in the library leaves by
 * longjmp to `read` below, which keeps nothing in variables of its own. What the
 * library calls a warning, damaged or missing data that it makes up, is an error
 * here. */
#include "runtime/images.h"

#include <setjmp.h>
#include <stdlib.h>
/* Needs FILE and size_t, and does not say so. */
#include <jpeglib.h>
#include <jerror.h>

/* A progressive file may go over its picture any number of times. */
enum { MAX_SCANS = 256 };

typedef struct Jpeg {
  struct jpeg_decompress_struct jpeg; /* first: the library hands it out */
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf leave;
  FILE *file;
  const char *path;
  Image *m;
  DataError *e;
} Jpeg;

static void on_error(j_common_ptr jpeg) {
  Jpeg *j = (Jpeg *)(void *)jpeg;
  char message[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, message);
  if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
    data_no_memory(j->e);
  else
    data_fail(j->e, "%s: damaged or cut short: %s", j->path, message);
  longjmp(j->leave, 1);
}

/* Levels below 0 are warnings, others tell what goes on. */
static void on_message(j_common_ptr jpeg, int level) {
  if (level < 0)
    on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg) {
  Jpeg *j = (Jpeg *)(void *)jpeg;
  if (j->jpeg.input_scan_number <= MAX_SCANS)
    return;
  data_fail(j->e, "%s: more than %d scans", j->path, MAX_SCANS);
  longjmp(j->leave, 1);
}

static bool read_header(Jpeg *j) {
  struct jpeg_decompress_struct *jpeg = &j->jpeg;
  jpeg_stdio_src(jpeg, j->file);
  jpeg_read_header(jpeg, TRUE);
  j->m->width = jpeg->image_width;
  j->m->height = jpeg->image_height;
  if (j->m->width > IMAGE_SIDE || j->m->height > IMAGE_SIDE ||
      j->m->width * j->m->height > IMAGE_PIXELS)
    return data_fail(j->e, "%s: %lld x %lld pixels are too many", j->path,
                     (long long)j->m->height, (long long)j->m->width);
  if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK)
    return data_fail(j->e, "%s: in the colours of print (CMYK); want grey or"
                     " RGB", j->path);
  jpeg->out_color_space = j->m->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  return true;
}

static bool read(Jpeg *j) {
  if (setjmp(j->leave))
    return false;
  jpeg_create_decompress(&j->jpeg);
  j->jpeg.progress = &j->progress;
  if (!read_header(j))
    return false;
  int64_t size = j->m->width * j->m->channels;
  j->m->pixels = data_alloc(j->m->height, size, j->e);
  if (!j->m->pixels)
    return false;
  jpeg_start_decompress(&j->jpeg);
  while (j->jpeg.output_scanline < j->jpeg.output_height) {
    JSAMPROW row = j->m->pixels + (int64_t)j->jpeg.output_scanline * size;
    jpeg_read_scanlines(&j->jpeg, &row, 1);
  }
  jpeg_finish_decompress(&j->jpeg);
  return true;
}

bool image_jpeg(FILE *f, const char *path, Image *m, DataError *e) {
  Jpeg j = {.file = f, .path = path, .m = m, .e = e};
  m->pixels = NULL;
  j.jpeg.err = jpeg_std_error(&j.errors);
  j.errors.error_exit = on_error;
  j.errors.emit_message = on_message;
  j.progress.progress_monitor = on_progress;
  bool ok = read(&j);
  jpeg_destroy_decompress(&j.jpeg);
  if (!ok) {
    free(m->pixels);
    m->pixels = NULL;
  }
  return ok;
}
