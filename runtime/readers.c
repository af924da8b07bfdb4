/* The table of readers: the only place that names their objects, so that a
 * program which defines a table of its own links the readers in it alone. */
#include "runtime/data.h"

#define READER(name) extern const DataReader reader_##name;
#include "runtime/readers.def"
#undef READER

const DataReader *const data_readers[] = {
#define READER(name) &reader_##name,
#include "runtime/readers.def"
#undef READER
    NULL};
