/* Reads safetensors files and JSON-lines logs: see tensors.h. The layout is a
 * u64 length, that many bytes of JSON, then the data; trusts the file in
 * nothing that would make the test read outside it. */
#include "tests/tensors.h"
#include "tests/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

Tensors tensors_read(const char *path) {
  Tensors t = {0};
  size_t size = 0;
  uint64_t length;
  t.bytes = check_read(path, &size);
  if (!t.bytes || size < sizeof length)
    return t;
  memcpy(&length, t.bytes, sizeof length);
  if (length > size - sizeof length)
    return t;
  t.data = t.bytes + sizeof length + length;
  t.header = json_loadb(t.bytes + sizeof length, (size_t)length,
                        JSON_REJECT_DUPLICATES, NULL);
  const char *name;
  json_t *entry;
  json_object_foreach(t.header, name, entry) {
    json_t *end = json_array_get(json_object_get(entry, "data_offsets"), 1);
    uint64_t bytes = (uint64_t)json_integer_value(end);
    if (bytes > size - sizeof length - length) {
      json_decref(t.header);
      t.header = NULL;
      break;
    }
  }
  return t;
}

void tensors_free(Tensors *t) {
  json_decref(t->header);
  free(t->bytes);
  *t = (Tensors){0};
}

double *tensors_get(const Tensors *t, const char *name, size_t *n) {
  json_t *entry = json_object_get(t->header, name);
  json_t *offsets = json_object_get(entry, "data_offsets");
  const char *dtype = json_string_value(json_object_get(entry, "dtype"));
  if (!dtype || (strcmp(dtype, "F32") && strcmp(dtype, "F64")))
    return NULL;
  size_t width = strcmp(dtype, "F32") ? sizeof(double) : sizeof(float);
  size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0));
  size_t end = (size_t)json_integer_value(json_array_get(offsets, 1));
  if (begin > end)
    return NULL;
  *n = (end - begin) / width;
  double *v = malloc((*n + 1) * sizeof *v);
  for (size_t i = 0; v && i < *n; i++) {
    float f;
    memcpy(width == sizeof f ? (void *)&f : (void *)&v[i],
           t->data + begin + i * width, width);
    if (width == sizeof f)
      v[i] = (double)f;
  }
  return v;
}

json_t *log_read(const char *path) {
  char *text = check_read(path, NULL), *next = text;
  json_t *log = json_array();
  while (next && *next && log) {
    char *line = next;
    next = strchr(line, '\n');
    if (next)
      *next++ = 0;
    if (json_array_append_new(log, json_loads(line, 0, NULL))) {
      json_decref(log);
      log = NULL;
    }
  }
  free(text);
  return log;
}

double log_last(const char *path, const char *split, const char *key) {
  json_t *log = log_read(path), *record;
  double v = -1;
  size_t i;
  json_array_foreach(log, i, record) {
    const char *of = json_string_value(json_object_get(record, "split"));
    json_t *value = json_object_get(record, key);
    if (!value)
      value = json_object_get(json_object_get(record, "metrics"), key);
    if (of && !strcmp(of, split) && json_is_number(value))
      v = json_number_value(value);
  }
  json_decref(log);
  return v;
}

/* A record for each batch; several may make a step, the update. */
int log_steps(const json_t *log, const char *key, int most, double *v) {
  int n = 0;
  size_t i;
  json_int_t last = -1;
  json_t *record;
  json_array_foreach(log, i, record) {
    json_t *step = json_object_get(record, "step");
    const char *split = json_string_value(json_object_get(record, "split"));
    if (split && !strcmp(split, "train") && json_is_integer(step) &&
        n < most && json_integer_value(step) <= last + 1) {
      last = json_integer_value(step);
      json_t *value = json_object_get(record, key);
      if (!value)
        value = json_object_get(record, "loss");
      v[n++] = json_number_value(value);
    }
  }
  return n;
}
