/* The reader text(file): the characters of a UTF-8 file, for networks that
 * predict the next one. The characters that the file has, in the order of their
 * codes, are the classes. The text is cut into pieces of `length`; a row is a
 * piece, `ids`, and what follows each of its characters, `label`:
 *
 *   length 4   the text   T h e   c a t   s a t .
 *   row 1      ids        T h e _          label  h e _ c
 *   row 2      ids        c a t _          label  a t _ s
 *
 * The end that fills no piece is left out. `label` is the first field: of
 * several with classes the first is the one whose classes are predicted. */
#include "runtime/data.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_PARAM, LENGTH, TEST };
enum { LABEL, IDS }; /* the columns */
enum { CODES = 0x110000, MAX_CLASSES = 1 << 16 };

static const DataParam params[] = {
    {"file", PARAM_PATH, true, 0, 0, 0},
    {"length", PARAM_INTEGER, false, 1, 1 << 20, 64},
    {"test", PARAM_SHARE, false, 1e-9, 1e15, 0},
    {.name = NULL}};

/* ---- characters ---- */

typedef struct Text {
  FILE *file;
  const char *path;
  int64_t n, line;  /* characters read; the line of the next */
  int64_t room;     /* characters that there is room for */
  int32_t *code;    /* of each character, then its class */
  int32_t *class;   /* of each code: 1 if the text has it, then the class + 1 */
  int32_t n_classes;
} Text;

static bool wrong_byte(const Text *t, int byte, DataError *e) {
  return data_fail(e, "%s: line %lld, character %lld of the text: byte 0x%02x is"
                   " no UTF-8", t->path, (long long)t->line,
                   (long long)t->n + 1, (unsigned)byte & 255);
}

/* The next character, strictly: no overlong forms, surrogates or zeros; -1 at
 * the end. */
static bool next_code(Text *t, int32_t *code, DataError *e) {
  static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
  int c = getc_unlocked(t->file);
  *code = -1;
  if (c == EOF)
    return !ferror(t->file) || data_fail(e, "%s: cannot be read", t->path);
  int more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
  int32_t v = more == 0 ? c : c & (0x3f >> more);
  if (c == 0 || (c >= 0x80 && c < 0xc2) || c > 0xf4)
    return wrong_byte(t, c, e);
  for (int i = 0; i < more; i++) {
    int next = getc_unlocked(t->file);
    if (next == EOF || (next & 0xc0) != 0x80)
      return wrong_byte(t, c, e);
    v = v << 6 | (next & 0x3f);
  }
  if (v < least[more] || v >= CODES || (v >= 0xd800 && v < 0xe000))
    return wrong_byte(t, c, e);
  *code = v;
  return true;
}

static bool read_codes(Text *t, DataError *e) {
  int32_t code;
  for (;;) {
    if (!next_code(t, &code, e))
      return false;
    if (code < 0)
      return true;
    if (t->n == t->room)
      return data_fail(e, "%s: grew while it was read", t->path);
    t->code[t->n++] = code;
    t->class[code] = 1;
    t->line += code == '\n';
  }
}

static void text_free(Text *t) {
  if (t->file)
    fclose(t->file);
  free(t->code);
  free(t->class);
}

/* Reads the file and numbers its characters. */
static bool text_read(Text *t, const char *path, DataError *e) {
  *t = (Text){.path = path, .line = 1};
  t->file = data_file(path, &t->room, e);
  if (!t->file)
    return false;
  t->code = data_alloc(t->room, (int64_t)sizeof *t->code, e);
  t->class = data_alloc(CODES, (int64_t)sizeof *t->class, e);
  if (!t->code || !t->class || !read_codes(t, e))
    return false;
  for (int32_t i = 0; i < CODES; i++)
    if (t->class[i])
      t->class[i] = ++t->n_classes;
  if (t->n_classes < 2)
    return data_fail(e, "%s: %s", path,
                     t->n ? "one character again and again" : "empty");
  if (t->n_classes > MAX_CLASSES)
    return data_fail(e, "%s: %d different characters; at most %d", path,
                     (int)t->n_classes, MAX_CLASSES);
  return true;
}

/* ---- names of characters ---- */

static void name_of(int32_t code, char name[16]) {
  if (code == '\n' || code == '\t') {
    strcpy(name, code == '\n' ? "\\n" : "\\t");
  } else if (code < ' ' || (code >= 0x7f && code < 0xa0)) {
    snprintf(name, 16, "U+%04X", (unsigned)code);
  } else {
    int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const int mark[] = {0, 0xc0, 0xe0, 0xf0};
    *name++ = (char)(mark[more] | code >> 6 * more);
    while (more-- > 0)
      *name++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    *name = '\0';
  }
}

static bool name_classes(Dataset *d, const Text *t, DataError *e) {
  d->class_names = data_alloc(t->n_classes, (int64_t)sizeof(char *), e);
  if (!d->class_names)
    return false;
  for (int32_t code = 0; code < CODES; code++) {
    if (!t->class[code])
      continue;
    char *name = data_alloc(16, 1, e);
    if (!name)
      return false;
    name_of(code, name);
    d->class_names[t->class[code] - 1] = name;
  }
  return true;
}

/* ---- the reader ---- */

static void make_fields(const DataValue *v, int64_t classes, NetField *f,
                        int *n) {
  int64_t length = (int64_t)v[LENGTH].number;
  f[(*n)++] = data_field("label", NET_I32, 1, &length, classes);
  f[(*n)++] = data_field("ids", NET_I32, 1, &length, classes);
}

static bool fields(const DataValue *v, NetField *f, int *n, DataError *e) {
  Text t;
  bool ok = text_read(&t, v[FILE_PARAM].string, e);
  if (ok)
    make_fields(v, t.n_classes, f, n);
  text_free(&t);
  return ok;
}

static bool cut_rows(DataSplit *s, const Text *t, int64_t length,
                     DataError *e) {
  int64_t rows = (t->n - 1) / length;
  if (rows < 1)
    return data_fail(e, "%s: %lld characters are too few for pieces of %lld",
                     t->path, (long long)t->n, (long long)length);
  int32_t *ids = s->column[IDS] = data_alloc(rows, 4 * length, e);
  int32_t *label = s->column[LABEL] = data_alloc(rows, 4 * length, e);
  if (!ids || !label)
    return false;
  for (int64_t i = 0; i < rows * length; i++) {
    ids[i] = t->class[t->code[i]] - 1;
    label[i] = t->class[t->code[i + 1]] - 1;
  }
  s->rows = rows;
  return true;
}

static void add_columns(Dataset *d, const DataValue *v, int64_t classes) {
  NetField f[NET_FIELDS];
  int n = 0;
  make_fields(v, classes, f, &n);
  data_add_column(d, &f[LABEL], STORE_I32);
  data_add_column(d, &f[IDS], STORE_I32);
}

static bool open_text(Dataset *d, const DataValue *v, uint64_t seed,
                      DataError *e) {
  Text t;
  (void)seed;
  bool ok = text_read(&t, v[FILE_PARAM].string, e);
  if (ok) {
    add_columns(d, v, t.n_classes);
    ok = cut_rows(&d->split[DATA_TRAIN], &t, (int64_t)v[LENGTH].number, e) &&
         name_classes(d, &t, e);
  }
  text_free(&t);
  return ok && (!v[TEST].given ||
                data_split_test(d, v[TEST].number, false, e));
}

/* Another text, in the characters of the file. */
static bool open_file(Dataset *d, const DataValue *v, const char *file,
                      DataError *e) {
  Text t, other = {.file = NULL};
  bool ok = text_read(&t, v[FILE_PARAM].string, e) &&
            text_read(&other, file, e);
  for (int64_t i = 0; ok && i < other.n; i++) {
    char name[16];
    name_of(other.code[i], name);
    if (!t.class[other.code[i]])
      ok = data_fail(e, "%s: character %lld: %s is not in %s", file,
                     (long long)i + 1, name, t.path);
  }
  if (ok) {
    add_columns(d, v, t.n_classes);
    memcpy(other.class, t.class, CODES * sizeof *t.class);
    ok = cut_rows(&d->split[DATA_TEST], &other, (int64_t)v[LENGTH].number,
                  e) &&
         name_classes(d, &t, e);
  }
  text_free(&t);
  text_free(&other);
  return ok;
}

const DataReader reader_text = {.name = "text",
                                .params = params,
                                .fields = fields,
                                .open = open_text,
                                .open_file = open_file};
