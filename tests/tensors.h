/* A reader of safetensors files and of logs for the tests, apart from the
 * runtime's own, so that one does not vouch for the other. */
#ifndef NETC_TENSORS_H
#define NETC_TENSORS_H

#include <jansson.h>
#include <stddef.h>

typedef struct Tensors {
  char *bytes; /* the whole file */
  const char *data;
  json_t *header;
} Tensors;

/* tensors.c: header NULL if the file cannot be read. */
Tensors tensors_read(const char *path);
void tensors_free(Tensors *t);
/* The elements of an F32 or F64 tensor, to be freed; NULL: no such tensor. */
double *tensors_get(const Tensors *t, const char *name, size_t *n);

/* A log: one JSON object a line. Returns an array, NULL if a line is bad. */
json_t *log_read(const char *path);
/* Of a log's last record of the split that has the key, in itself or among its
 * metrics; -1 if none has. */
double log_last(const char *path, const char *split, const char *key);
/* The training steps' own records (--print-every 1), in order: puts the number
 * under `key`, or under "loss" where a record has no such key, into v[0 ..
 * most). Returns how many there are. */
int log_steps(const json_t *log, const char *key, int most, double *v);

#endif
