/* What the files of the reader images share: decoding (png.c, jpeg.c), resizing
 * (resize.c); images.c lists the folders and makes the data set. */
#ifndef NET_IMAGES_H
#define NET_IMAGES_H

#include "runtime/data.h"

/* Decoded: bytes of pixels row by row, the channels of a pixel side by side. */
typedef struct Image {
  int64_t height, width;
  int channels; /* 1 or 3 */
  uint8_t *pixels; /* allocated */
} Image;

/* Pictures of more pixels are refused: a file of some bytes can claim any
 * size. 2^26 are 201 MB of RGB. */
enum { IMAGE_SIDE = 32768, IMAGE_PIXELS = 1 << 26 };

/* Each decodes an open file, from its start, to m->channels channels; on false
 * nothing is held. A picture that is cut short or damaged is an error, also
 * where the library would make something of it. Transparency is left out. */
bool image_png(FILE *f, const char *path, Image *m, DataError *e);
bool image_jpeg(FILE *f, const char *path, Image *m, DataError *e);

/* resize.c: writes the picture as channels x height x width bytes. Each pixel
 * is a mean, weighted by a triangle, of those that it covers, as in PIL's
 * BILINEAR; where the size is the same, the picture as it is. */
bool image_resize(const Image *m, int64_t height, int64_t width, uint8_t *to,
                  DataError *e);

#endif
