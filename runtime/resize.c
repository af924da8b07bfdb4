/* Pictures of another size: first along the rows, then along the columns, with
 * weights of a triangle that is two pixels wide, or, where the picture gets
 * smaller, two of the new ones, so that every old pixel counts. */
#include "runtime/images.h"

#include <math.h>
#include <stdlib.h>

/* The old pixels that new pixel i covers, [begin, end), on an axis of n that
 * becomes m; weight(x) of pixel x, of a sum of `sum`. */
typedef struct Cover {
  int64_t begin, end;
  double centre, width, sum;
} Cover;

static double weight(const Cover *c, int64_t x) {
  double far = fabs(((double)x + 0.5 - c->centre) / c->width);
  return far < 1 ? 1 - far : 0;
}

static Cover cover(int64_t i, int64_t n, int64_t m) {
  double scale = (double)n / (double)m;
  Cover c = {.centre = ((double)i + 0.5) * scale,
             .width = scale > 1 ? scale : 1};
  double begin = c.centre - c.width + 0.5, end = c.centre + c.width + 0.5;
  c.begin = begin > 0 ? (int64_t)begin : 0;
  c.end = end < (double)n ? (int64_t)end : n;
  for (int64_t x = c.begin; x < c.end; x++)
    c.sum += weight(&c, x);
  return c;
}

/* The mean of what is covered: `count` series side by side, from[x * step + k]
 * to to[k * out]. */
static void gather(const Cover *c, const float *from, int64_t step,
                   int64_t count, float *to) {
  for (int64_t k = 0; k < count; k++)
    to[k] = 0;
  for (int64_t x = c->begin; x < c->end; x++) {
    float w = (float)(weight(c, x) / c->sum);
    for (int64_t k = 0; k < count; k++)
      to[k] += w * from[x * step + k];
  }
}

/* Height x width pixels to channels x height x width bytes. */
static void to_planes(const float *from, int64_t height, int64_t width,
                      int channels, uint8_t *to) {
  for (int c = 0; c < channels; c++)
    for (int64_t i = 0; i < height * width; i++) {
      float v = from[i * channels + c] + 0.5f;
      *to++ = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

static void keep_size(const Image *m, uint8_t *to) {
  for (int c = 0; c < m->channels; c++)
    for (int64_t i = 0; i < m->height * m->width; i++)
      *to++ = m->pixels[i * m->channels + c];
}

bool image_resize(const Image *m, int64_t height, int64_t width, uint8_t *to,
                  DataError *e) {
  if (m->height == height && m->width == width) {
    keep_size(m, to);
    return true;
  }
  int64_t n = m->channels, row = m->width * n, wide = width * n;
  float *line = data_alloc(row, (int64_t)sizeof *line, e);
  float *narrow = data_alloc(m->height * wide, (int64_t)sizeof *narrow, e);
  float *done = data_alloc(height * wide, (int64_t)sizeof *done, e);
  bool ok = line && narrow && done;
  for (int64_t y = 0; ok && y < m->height; y++) {
    for (int64_t i = 0; i < row; i++)
      line[i] = m->pixels[y * row + i];
    for (int64_t x = 0; x < width; x++) {
      Cover c = cover(x, m->width, width);
      gather(&c, line, n, n, narrow + y * wide + x * n);
    }
  }
  for (int64_t y = 0; ok && y < height; y++) {
    Cover c = cover(y, m->height, height);
    gather(&c, narrow, wide, wide, done + y * wide);
  }
  if (ok)
    to_planes(done, height, width, m->channels, to);
  free(line);
  free(narrow);
  free(done);
  return ok;
}
