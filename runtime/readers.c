/* The table of readers of `netc` itself: all of them. It is the only place of
 * the runtime that names their objects. The object that `netc build` makes of a
 * program defines a `data_readers` of its own, so that the linker leaves this
 * one in the archive, and with it the readers that the program has no use for,
 * and their libraries. */
#include "runtime/data.h"

#define READER(name, always, libraries) extern const DataReader reader_##name;
#include "runtime/readers.def"
#undef READER

const DataReader *const data_readers[] = {
#define READER(name, always, libraries) &reader_##name,
#include "runtime/readers.def"
#undef READER
    NULL};
