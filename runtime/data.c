/* Opening a data set: which reader is meant after --data, reading, checking,
 * normalising; and the questions that the run asks of it. A data set is one
 * allocation a column and split; all of it is freed by data_close, also after
 * an error half way. */
#include "runtime/data.h"

#include <stdlib.h>
#include <string.h>

const char *const data_split_name[DATA_SPLITS] = {
    [DATA_TRAIN] = "train", [DATA_TEST] = "test",
    [DATA_VALIDATION] = "validation"};

static const DataReader *find_reader(const char *name, DataError *e) {
  char list[256] = "";
  size_t n = 0;
  for (const DataReader *const *r = data_readers; *r; r++) {
    if (!strcmp((*r)->name, name))
      return *r;
    if (n < sizeof list - 40)
      n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "",
                            (*r)->name);
  }
  bool known = false;
  for (const NetReader *r = net_readers; r->name; r++)
    known = known || !strcmp(r->name, name);
  data_fail(e, known ? "the program was built without the reader '%s'; it has:"
                       " %s"
                     : "there is no reader '%s'; there are: %s", name, list);
  return NULL;
}

/* Whether a path was given to the parameter. */
static bool is_path(const DataSource *s, int i) {
  ParamKind kind = s->reader->params[i].kind;
  return (kind == PARAM_PATH || kind == PARAM_PATH_OR_SHARE) &&
         s->v[i].string;
}

/* The only path of a reader is replaced; of several, the folder of each. */
static bool replace_paths(DataSource *s, const char *path, DataError *e) {
  int n_paths = 0;
  for (int i = 0; s->reader->params[i].name; i++)
    n_paths += s->reader->params[i].kind == PARAM_PATH || is_path(s, i);
  if (n_paths == 0)
    return data_fail(e, "--data %s: %s reads no files; --data '%s(...)' takes"
                     " the place of the whole reader", path, s->reader->name,
                     s->reader->name);
  for (int i = 0; s->reader->params[i].name; i++) {
    DataValue *v = &s->v[i];
    if (!is_path(s, i))
      continue;
    if (n_paths == 1) {
      v->string = path;
      continue;
    }
    const char *slash = strrchr(v->string, '/');
    s->joined[i] = data_join(path, slash ? slash + 1 : v->string, e);
    if (!s->joined[i])
      return false;
    v->string = s->joined[i];
  }
  return true;
}

bool data_source(DataSource *s, const NetData *data, const char *path,
                 DataError *e) {
  *s = (DataSource){.reader = NULL};
  bool whole = path && data_looks_like_reader(path);
  if (whole) {
    if (!data_parse(&s->text, path, e))
      return false;
    data = &s->text.data;
  }
  if (!data->reader)
    return data_fail(e, "the program has no data");
  s->reader = find_reader(data->reader, e);
  if (!s->reader || !data_args(s->reader->name, s->reader->params, data->args,
                               data->n_args, s->v, e))
    return false;
  return whole || !path || replace_paths(s, path, e);
}

void data_source_free(DataSource *s) {
  for (int i = 0; i < DATA_PARAMS; i++)
    free(s->joined[i]);
}

/* Reads all that the source has, as it is: nothing normalised yet. */
static bool read_all(Dataset *d, const DataSource *s,
                     const DataEntries *entries, uint64_t seed, DataError *e) {
  if (!s->reader->open(d, s->v, seed, e))
    return false;
  if (d->split[DATA_TRAIN].rows < 1)
    return data_fail(e, "%s: no training data", s->reader->name);
  if (entries->validation > 0 &&
      !data_split_validation(d, entries->validation, seed, e))
    return false;
  if (d->split[DATA_TEST].rows == 0) {
    d->split[DATA_TEST] = d->split[DATA_TRAIN];
    d->split[DATA_TEST].borrowed = true;
  }
  return true;
}

static Dataset *dataset_new(DataError *e) {
  return data_alloc(1, (int64_t)sizeof(Dataset), e);
}

/* Ends an opening: hands the data set out, or frees it. */
static int finish(Dataset **out, Dataset *d, bool ok, const DataError *e) {
  *out = NULL;
  if (ok)
    *out = d;
  else
    data_close(d);
  return ok ? 0 : e->status;
}

int data_open(Dataset **out, const NetData *data, const char *path,
              uint64_t seed, DataError *e) {
  DataSource s;
  DataEntries entries;
  *e = (DataError){.status = 0};
  Dataset *d = dataset_new(e);
  bool ok = d != NULL;
  if (ok) {
    ok = data_source(&s, data, path, e) && data_entries(data, &entries, e) &&
         read_all(d, &s, &entries, seed, e) &&
         data_normalize(d, &entries, d, e) &&
         data_augment(d, &entries, seed, e);
    data_source_free(&s);
  }
  return finish(out, d, ok, e);
}

static bool ends_in(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && !strcmp(text + n - m, end);
}

/* The array in `file` as the data's first field: its type and shape. */
static bool read_array(Dataset *d, const DataSource *s, const char *file,
                       DataError *e) {
  NetField fields[NET_FIELDS];
  int n = 0;
  if (!s->reader->fields(s->v, fields, &n, e))
    return false;
  d->n_columns = 1;
  DataColumn *c = &d->column[0];
  DataSplit *split = &d->split[DATA_TEST];
  bool pixels = fields[0].type == NET_F32;
  if (!npy_read(file, pixels, c, &split->column[0], &split->rows, e))
    return false;
  NetField found = c->field;
  c->field = fields[0];
  bool same = found.type == fields[0].type && found.rank == fields[0].rank;
  for (int i = 0; same && i < found.rank; i++)
    same = found.dim[i] == fields[0].dim[i];
  return same || data_fail(e, "%s: a row is not a sample of %s: another shape"
                           " or type", file, fields[0].name);
}

static bool read_file(Dataset *d, const DataSource *s, const char *file,
                      DataError *e) {
  if (ends_in(file, ".npy"))
    return read_array(d, s, file, e);
  if (!s->reader->open_file)
    return data_fail(e, "%s: want an array in a file NAME.npy", file);
  return s->reader->open_file(d, s->v, file, e);
}

int data_open_file(Dataset **out, const NetData *data, const char *path,
                   const char *file, uint64_t seed, DataError *e) {
  DataSource s;
  DataEntries entries;
  *e = (DataError){.status = 0};
  Dataset *d = dataset_new(e), *of = dataset_new(e);
  bool ok = d && of;
  if (ok) {
    ok = data_source(&s, data, path, e) && data_entries(data, &entries, e) &&
         read_file(d, &s, file, e) &&
         (!entries.standard || read_all(of, &s, &entries, seed, e)) &&
         data_normalize(d, &entries, of, e);
    data_source_free(&s);
  }
  data_close(of);
  return finish(out, d, ok, e);
}

void data_close(Dataset *d) {
  if (!d)
    return;
  for (int i = 0; i < NET_FIELDS; i++) {
    free(d->column[i].mean);
    free(d->column[i].std);
    free(d->column[i].table);
    for (int k = 0; k < DATA_SPLITS; k++)
      if (!d->split[k].borrowed)
        free(d->split[k].column[i]);
  }
  if (d->class_names)
    for (int64_t i = 0; i < d->n_classes; i++)
      free(d->class_names[i]);
  free(d->class_names);
  free(d->augmented.raw);
  free(d->augmented.black);
  free(d);
}

const DataColumn *data_column(const Dataset *d, const char *name) {
  for (int i = 0; i < d->n_columns; i++)
    if (!strcmp(d->column[i].field.name, name))
      return &d->column[i];
  return NULL;
}

const int32_t *data_labels(const Dataset *d, DataSplitName split,
                           const char *name) {
  const DataColumn *c = data_column(d, name);
  if (!c || c->store != STORE_I32 || c->field.rank != 0)
    return NULL;
  return d->split[split].column[c - d->column];
}

const char *data_class_name(const Dataset *d, int64_t number, char *buffer) {
  if (d->class_names && number >= 0 && number < d->n_classes)
    return d->class_names[number];
  snprintf(buffer, 24, "%lld", (long long)number);
  return buffer;
}

/* f32[3,32,32] into out; rank 0 is f32[]. */
static void shape_text(char *out, size_t size, int32_t type, int32_t rank,
                       const int64_t *dim) {
  static const char *const names[] = {"f32", "f64", "i32", "u32", "i1"};
  size_t n = (size_t)snprintf(out, size, "%s[", names[type]);
  for (int i = 0; i < rank && n < size; i++)
    n += (size_t)snprintf(out + n, size - n, "%s%lld", i ? "," : "",
                          (long long)dim[i]);
  if (n < size)
    snprintf(out + n, size - n, "]");
}

static bool input_fits(const NetTensor *t, const DataColumn *c, DataError *e) {
  const NetField *f = &c->field;
  bool same = t->type == f->type && t->rank == f->rank + 1;
  for (int i = 0; same && i < f->rank; i++)
    same = t->dim[i + 1] == f->dim[i];
  if (!same) {
    char want[128], have[128];
    shape_text(want, sizeof want, t->type, t->rank - 1, t->dim + 1);
    shape_text(have, sizeof have, f->type, f->rank, f->dim);
    return data_fail(e, "the program was compiled for %s: %s, but the data has"
                     " %s", t->name, want, have);
  }
  if (t->kind > 0 && f->classes > t->kind)
    return data_fail(e, "the program was compiled for %s: class[%d], but the"
                     " data has %lld classes", t->name, (int)t->kind,
                     (long long)f->classes);
  return true;
}

static bool reads(const NetFunction *f, const char *name) {
  for (int i = 0; i < f->n_inputs; i++)
    if (!strcmp(f->inputs[i].name, name))
      return true;
  return false;
}

/* A loss of the class alone would be wrong for pictures of two. */
static bool mixup_fits(const Dataset *d, const NetFunction *f, DataError *e) {
  const DataAugmented *a = &d->augmented;
  if (a->mixup == 0 || a->label < 0)
    return true;
  const char *label = d->column[a->label].field.name;
  return !reads(f, label) || (reads(f, "mixed") && reads(f, "share")) ||
         data_fail(e, "mixup mixes pictures of two classes: the loss must read"
                   " `mixed`, the other class, and `share`, that of %s", label);
}

bool data_fits(const Dataset *d, const NetFunction *f, DataError *e) {
  for (int i = 0; i < f->n_inputs; i++) {
    const DataColumn *c = data_column(d, f->inputs[i].name);
    if (!c)
      return data_fail(e, "the program reads '%s', which the data does not"
                       " have", f->inputs[i].name);
    if (!input_fits(&f->inputs[i], c, e))
      return false;
  }
  return mixup_fits(d, f, e);
}
