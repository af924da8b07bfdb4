/* The entries of a data block: one table of their names, and what is read of
 * each. Entries that this runtime does not know yet are told as such. */
#include "runtime/data.h"

#include <string.h>

/* ENTRY(name, stands in augment, is there already) */
#define ENTRIES                                                                \
  ENTRY(normalize, false, true)                                                \
  ENTRY(validation, false, false)                                              \
  ENTRY(augment, false, false)                                                 \
  ENTRY(flip, true, false)                                                     \
  ENTRY(crop, true, false)

typedef struct EntryInfo {
  const char *name;
  bool in_augment, ready;
} EntryInfo;

static const EntryInfo entry_info[] = {
#define ENTRY(name, in_augment, ready) {#name, in_augment, ready},
    ENTRIES
#undef ENTRY
};
enum { ENTRY_COUNT = sizeof entry_info / sizeof entry_info[0] };

const char *const net_entry_names[] = {
#define ENTRY(name, in_augment, ready) #name,
    ENTRIES
#undef ENTRY
    NULL};

static const DataParam normalize_params[] = {
    {"mean", PARAM_NUMBERS, false, -1e30, 1e30, 0},
    {"std", PARAM_NUMBERS, false, 1e-30, 1e30, 1},
    {.name = NULL}};

static bool normalize(const NetDataEntry *n, DataEntries *entries,
                      DataError *e) {
  DataValue v[DATA_PARAMS];
  if (entries->normalize)
    return data_fail(e, "normalize is there twice");
  entries->normalize = true;
  if (n->n_args == 0)
    return data_fail(e, "normalize needs mean and std, or standard");
  if (n->n_args == 1 && !*n->args[0].name && n->args[0].string) {
    if (strcmp(n->args[0].string, "standard") != 0)
      return data_fail(e, "normalize takes mean and std, or standard, not '%s'",
                       n->args[0].string);
    entries->standard = true;
    return true;
  }
  if (!data_args("normalize", normalize_params, n->args, n->n_args, v, e))
    return false;
  entries->mean = v[0];
  entries->std = v[1];
  return true;
}

bool data_entries(const NetData *data, DataEntries *entries, DataError *e) {
  *entries = (DataEntries){.normalize = false};
  for (int i = 0; i < data->n_entries; i++) {
    const NetDataEntry *n = &data->entries[i];
    int k = 0;
    while (k < ENTRY_COUNT && (strcmp(entry_info[k].name, n->name) != 0 ||
                               entry_info[k].in_augment != n->in_augment))
      k++;
    if (k == ENTRY_COUNT)
      return data_fail(e, "%s has no entry '%s'",
                       n->in_augment ? "augment" : "data", n->name);
    if (n->in_augment)
      return data_fail(e, "augment is not there yet: %s", n->name);
    if (!entry_info[k].ready)
      return data_fail(e, "%s is not there yet", n->name);
    if (!normalize(n, entries, e))
      return false;
  }
  return true;
}
