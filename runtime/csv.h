/* What the files of the reader csv share: records of a file (csv_file.c), what
 * its columns hold (csv_columns.c); csv.c makes the data set. A file is read
 * twice and never held: once to learn its columns, once for its values. */
#ifndef NET_CSV_H
#define NET_CSV_H

#include "runtime/data.h"

/* The arguments of the reader, by their place. */
enum {
  CSV_FILE, CSV_TARGET, CSV_SEPARATOR, CSV_HEADER, CSV_TEST, CSV_MISSING,
  CSV_CATEGORY, CSV_IGNORE
};

/* csv_file.c */
typedef struct CsvFile {
  const char *path;
  FILE *file;
  int separator;
  int64_t record; /* the number of the last one, from 1; a header is none */
  int64_t line, next_line; /* where it begins; where the next one does */
  int64_t n; /* values of the last record */
  char **value; /* trimmed, without quotes; until the next is read */
  char *text;
  size_t *start, used, text_capacity, start_capacity;
} CsvFile;

/* `separator` 0: found by looking at the first lines. */
bool csv_open(CsvFile *f, const char *path, int separator, DataError *e);
void csv_close(CsvFile *f);
/* Reads the next record, passing over empty lines; *end: there was none. */
bool csv_next(CsvFile *f, bool *end, DataError *e);
/* The last record was the header: it does not count. */
void csv_was_header(CsvFile *f);
/* A value as it can stand in a message: at most 40 bytes, no control bytes. */
enum { CSV_SHOWN = 44 };
const char *csv_shown(const char *value, char buffer[CSV_SHOWN]);

/* csv_columns.c */
typedef enum CsvRole { CSV_IS_FEATURE, CSV_IS_TARGET, CSV_IS_IGNORED } CsvRole;

/* The first value of a kind: where it stands. */
typedef struct CsvPlace {
  const char *path;
  int64_t count, record, line;
  char value[CSV_SHOWN];
} CsvPlace;

typedef struct CsvColumn {
  char *name; /* NULL: the file has no header */
  CsvRole role;
  bool category; /* its values are names of categories */
  bool declared; /* because the argument `category` says so */
  bool too_many;
  /* blank: empty or ?; named: NA, NaN and such, a name in a category. */
  CsvPlace number, text, blank, named;
  int64_t n_names, capacity;
  char **names; /* the categories, sorted */
  int64_t at; /* the first of its elements in the features or the target */
} CsvColumn;

typedef struct CsvColumns {
  int64_t n;
  CsvColumn *column;
  bool header;
  int64_t features, targets; /* elements of a row */
  int64_t classes;           /* > 0: the target is a category */
  int64_t rows, test_rows;   /* records; of the file `test` */
  bool drop, mean;           /* what to do about missing values, or fill */
  bool has_fill;
  double fill;
} CsvColumns;

/* Reads the file, and that of `test`, and says what the columns hold. */
bool csv_survey(CsvColumns *c, const DataValue *v, DataError *e);
void csv_columns_free(CsvColumns *c);
/* Opens any file, with the separator of the arguments. */
bool csv_begin(CsvFile *f, const char *path, const DataValue *v, DataError *e);
/* Opens a file of these columns at its first record. */
bool csv_start(CsvFile *f, const CsvColumns *c, const char *path,
               const DataValue *v, DataError *e);
/* The number of the category, or -1. */
int64_t csv_category(const CsvColumn *c, const char *name);
/* Whether the value is missing in this column. */
bool csv_missing(const CsvColumn *c, const char *value);
/* A decimal number and nothing else: 5, -0.5, .5e-3. */
bool csv_number(const char *text, double *v);
/* "column 3 (pH)" */
enum { CSV_NAME = 80 };
const char *csv_column_name(const CsvColumns *c, int64_t i,
                            char buffer[CSV_NAME]);

#endif
