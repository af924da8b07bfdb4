/* The entries of a data block: one table of their names, their parameters and
 * what is made of them. What they say about the data is checked where the data
 * are: normalize.c, split.c, augment.c. */
#include "runtime/data.h"

#include <string.h>

typedef bool ReadEntry(const NetDataEntry *n, const DataValue *v,
                       DataEntries *entries, DataError *e);
static ReadEntry normalize, validation, augment;

static const DataParam normalize_params[] = {
    {"mean", PARAM_NUMBERS, false, -1e30, 1e30, 0},
    {"std", PARAM_NUMBERS, false, 1e-30, 1e30, 1},
    {.name = NULL}};
static const DataParam validation_params[] = {
    {"rows", PARAM_SHARE, true, 1e-9, 1e15, 0}, {.name = NULL}};
static const DataParam flip_params[] = {{"p", PARAM_NUMBER, false, 0, 1, 0.5},
                                        {.name = NULL}};
static const DataParam crop_params[] = {
    {"pad", PARAM_INTEGER, true, 1, 4096, 0}, {.name = NULL}};
static const DataParam rotate_params[] = {
    {"degrees", PARAM_NUMBER, true, 0, 180, 0}, {.name = NULL}};
static const DataParam jitter_params[] = {
    {"brightness", PARAM_NUMBER, false, 0, 10, 0},
    {"contrast", PARAM_NUMBER, false, 0, 10, 0},
    {"saturation", PARAM_NUMBER, false, 0, 10, 0},
    {"hue", PARAM_NUMBER, false, 0, 0.5, 0},
    {.name = NULL}};
static const DataParam cutout_params[] = {
    {"size", PARAM_INTEGER, true, 1, 4096, 0}, {.name = NULL}};
static const DataParam mixup_params[] = {
    {"alpha", PARAM_NUMBER, false, 0.05, 1, 0.2}, {.name = NULL}};

/* ENTRY(name, what reads it, the augmentation or -1) */
#define ENTRIES                                                                \
  ENTRY(normalize, normalize, -1)                                              \
  ENTRY(validation, validation, -1)                                            \
  ENTRY(flip, augment, AUGMENT_FLIP)                                           \
  ENTRY(crop, augment, AUGMENT_CROP)                                           \
  ENTRY(rotate, augment, AUGMENT_ROTATE)                                       \
  ENTRY(jitter, augment, AUGMENT_JITTER)                                       \
  ENTRY(cutout, augment, AUGMENT_CUTOUT)                                       \
  ENTRY(mixup, augment, AUGMENT_MIXUP)

typedef struct EntryInfo {
  const char *name;
  const DataParam *params;
  ReadEntry *read;
  int augment;
} EntryInfo;

static const EntryInfo entry_info[] = {
#define ENTRY(name, read, augment) {#name, name##_params, read, augment},
    ENTRIES
#undef ENTRY
};
enum { ENTRY_COUNT = sizeof entry_info / sizeof entry_info[0] };

const char *const net_entry_names[] = {
#define ENTRY(name, read, augment) #name,
    ENTRIES
#undef ENTRY
    "augment", NULL};

static const EntryInfo *find(const NetDataEntry *n) {
  for (int k = 0; k < ENTRY_COUNT; k++)
    if (!strcmp(entry_info[k].name, n->name) &&
        (entry_info[k].augment >= 0) == n->in_augment)
      return &entry_info[k];
  return NULL;
}

static bool is_word(const NetDataEntry *n, const char *word) {
  return n->n_args == 1 && !*n->args[0].name && n->args[0].string &&
         !strcmp(n->args[0].string, word);
}

static bool normalize(const NetDataEntry *n, const DataValue *v,
                      DataEntries *entries, DataError *e) {
  (void)e;
  entries->normalize = true;
  entries->standard = is_word(n, "standard");
  if (!entries->standard) {
    entries->mean = v[0];
    entries->std = v[1];
  }
  return true;
}

static bool validation(const NetDataEntry *n, const DataValue *v,
                       DataEntries *entries, DataError *e) {
  (void)n, (void)e;
  entries->validation = v[0].number;
  return true;
}

static bool augment(const NetDataEntry *n, const DataValue *v,
                    DataEntries *entries, DataError *e) {
  const EntryInfo *info = find(n);
  DataAugment *a = &entries->augment[entries->n_augment++];
  bool given = false;
  *a = (DataAugment){.kind = (AugmentKind)info->augment};
  for (int i = 0; info->params[i].name; i++) {
    a->amount[i] = v[i].number;
    given = given || v[i].given;
  }
  return given || n->n_args || a->kind != AUGMENT_JITTER ||
         data_fail(e, "jitter needs brightness, contrast, saturation or hue");
}

/* Gives an entry's arguments to its parameters. */
static bool arguments(const NetDataEntry *n, const EntryInfo *info,
                      DataValue *v, DataError *e) {
  if (info->read == normalize) {
    if (n->n_args == 0)
      return data_fail(e, "normalize needs mean and std, or standard");
    if (is_word(n, "standard"))
      return true;
    if (n->n_args == 1 && !*n->args[0].name && n->args[0].string)
      return data_fail(e, "normalize takes mean and std, or standard, not '%s'",
                       n->args[0].string);
  }
  return data_args(info->name, info->params, n->args, n->n_args, v, e);
}

static bool unknown(const NetDataEntry *n, DataError *e) {
  char list[128] = "";
  size_t used = 0;
  for (int k = 0; k < ENTRY_COUNT; k++)
    if ((entry_info[k].augment >= 0) == n->in_augment)
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                               used ? ", " : "", entry_info[k].name);
  return data_fail(e, "%s has no entry '%s'; it has: %s%s",
                   n->in_augment ? "augment" : "data", n->name, list,
                   n->in_augment ? "" : ", augment");
}

bool data_entries(const NetData *data, DataEntries *entries, DataError *e) {
  bool seen[ENTRY_COUNT] = {false};
  *entries = (DataEntries){.normalize = false};
  for (int i = 0; i < data->n_entries; i++) {
    const NetDataEntry *n = &data->entries[i];
    const EntryInfo *info = find(n);
    DataValue v[DATA_PARAMS];
    if (!info)
      return unknown(n, e);
    if (seen[info - entry_info])
      return data_fail(e, "%s is there twice", n->name);
    seen[info - entry_info] = true;
    if (!arguments(n, info, v, e) || !info->read(n, v, entries, e))
      return false;
  }
  return true;
}
