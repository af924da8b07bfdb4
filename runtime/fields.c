/* What the compiler asks of the readers: their names, and what the data of a
 * file yields. Every mistake that can be told without reading the data whole
 * is told here, so that `netc check` tells it. */
#include "runtime/data.h"

#include <string.h>

const NetReader net_readers[] = {
#define READER(name, always, libraries) {#name, always, libraries},
#include "runtime/readers.def"
#undef READER
    {.name = NULL}};

static bool find_fields(const DataSource *s, const NetData *data,
                        NetField *fields, int *n_fields, DataError *e) {
  DataEntries entries;
  const NetField *each[NET_FIELDS];
  int which;
  *n_fields = 0;
  if (!data_entries(data, &entries, e) ||
      !s->reader->fields(s->v, fields, n_fields, e) ||
      !data_augment_fields(&entries, fields, n_fields, &which, e))
    return false;
  for (int i = 0; i < *n_fields; i++)
    each[i] = &fields[i];
  return data_normalized_field(each, *n_fields, &entries, &which, e);
}

bool net_data_fields(const NetData *data, const char *path, NetField *fields,
                     int *n_fields, char *message, int size) {
  DataError e = {.status = 0};
  DataSource s;
  bool ok = data_source(&s, data, path, &e) &&
            find_fields(&s, data, fields, n_fields, &e);
  data_source_free(&s);
  if (!ok)
    snprintf(message, (size_t)size, "%s", e.text);
  return ok;
}
