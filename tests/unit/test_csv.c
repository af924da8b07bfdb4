/* The reader csv: what it makes of files with and without headers, of names,
 * of missing values; and files that are not right, each with the message that
 * names the file, the record, the column and the value. */
#include "runtime/data.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

/* Writes a file; returns its path, one of a few in turn. */
static const char *file(const char *name, const char *text) {
  static char path[4][500];
  static int turn;
  char *p = path[turn++ % 4];
  snprintf(p, sizeof path[0], "%s", check_path(name));
  CU_ASSERT(check_write(p, text, strlen(text)));
  return p;
}

/* Opens csv("FILE", REST). */
static int open_csv(Dataset **d, const char *path, const char *rest,
                    DataError *e) {
  char text[900];
  NetData none = {.reader = NULL};
  snprintf(text, sizeof text, "csv(\"%s\", %s)", path, rest);
  return data_open(d, &none, text, 1, e);
}

static Dataset *read_csv(const char *text, const char *rest) {
  Dataset *d;
  DataError e;
  int status = open_csv(&d, file("a.csv", text), rest, &e);
  check_that(status == 0, "%s: %s", rest, e.text);
  return d;
}

static void refuse(const char *text, const char *rest, const char *piece) {
  Dataset *d;
  DataError e;
  int status = open_csv(&d, file("a.csv", text), rest, &e);
  check_that(status == 1 && !d && strstr(e.text, piece),
             "status %d, want '%s' in: %s", status, piece, e.text);
  data_close(d);
}

/* Asserts the values of a column of a split, and frees nothing. */
static void check_values(const Dataset *d, DataSplitName split, int column,
                         int n, const double *want) {
  const DataColumn *c = &d->column[column];
  const float *x = d->split[split].column[column];
  const int32_t *k = d->split[split].column[column];
  if (!check_that(d->split[split].rows * c->count == n, "%lld values, not %d",
                  (long long)(d->split[split].rows * c->count), n))
    return;
  for (int i = 0; i < n; i++) {
    double v = c->store == STORE_F32 ? (double)x[i] : k[i];
    check_that(v == (double)(float)want[i], "value %d is %g, not %g", i, v,
               want[i]);
  }
}

static void plain(void) {
  Dataset *d = read_csv("1,2,3\n4,5,6\n7,8,9\n-1e2,.5,+6.25\n",
                        "target = column(2), test = 1");
  if (!d)
    return;
  check_values(d, DATA_TRAIN, 0, 6, (double[]){1, 3, 4, 6, 7, 9});
  check_values(d, DATA_TRAIN, 1, 3, (double[]){2, 5, 8});
  check_values(d, DATA_TEST, 0, 2, (double[]){-100, 6.25});
  CU_ASSERT(d->column[1].field.rank == 1 && d->column[1].field.dim[0] == 1);
  data_close(d);
  d = read_csv("a;b;c\r\n1;2;3\r\n\r\n4;5;6",
               "target = [\"c\", \"a\"], test = 0.5");
  if (!d)
    return;
  check_values(d, DATA_TRAIN, 0, 1, (double[]){2});
  check_values(d, DATA_TRAIN, 1, 2, (double[]){1, 3}); /* the file's order */
  check_values(d, DATA_TEST, 1, 2, (double[]){4, 6});
  data_close(d);
}

static void forms(void) {
  static const struct {
    const char *text, *rest;
  } same[] = {{"1,2\n3,4\n", "target = column(2)"},
              {"\xEF\xBB\xBF" "1,2\n3,4", "target = [column(2)]"},
              {"\n\n 1 ,\t2 \r\n3,4\r\n\n", "target = 2"},
              {"1\t2\r3\t4\r", "target = 2"},
              {"1|2\n3|4\n", "target = 2"},
              {"1x2\n3x4\n", "target = 2, separator = \"x\""},
              {"1\t 2\n3\t4\n", "target = 2, separator = \"tab\""},
              {"\"1\",\"2\"\n\"3\" , \"4\"\n", "target = 2"},
              {"a,b\n1,2\n3,4\n", "target = \"b\""},
              {"a,\"b \"\"c\"\",\nd\"\n1,2\n3,4\n", "target = 'b \"c\",\nd'"},
              {"7,8\n1,2\n3,4\n", "target = \"8\", header = true"},
              {"1,2,x\n3,4,y\n", "target = 2, ignore = 3"}};
  for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
    Dataset *d = read_csv(same[i].text, same[i].rest);
    if (!d)
      continue;
    check_values(d, DATA_TRAIN, 0, 2, (double[]){1, 3});
    check_values(d, DATA_TRAIN, 1, 2, (double[]){2, 4});
    data_close(d);
  }
}

static void categories(void) {
  char buffer[24];
  Dataset *d = read_csv("x,kind,y\n1,b,cat\n2,a,dog\n3,b,ant\n4,c,cat\n",
                        "target = \"y\"");
  if (!d)
    return;
  check_values(d, DATA_TRAIN, 0, 16,
               (double[]){1, 0, 1, 0, 2, 1, 0, 0, 3, 0, 1, 0, 4, 0, 0, 1});
  check_values(d, DATA_TRAIN, 1, 4, (double[]){1, 2, 0, 1});
  CU_ASSERT_EQUAL(d->n_classes, 3);
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 0, buffer), "ant");
  data_close(d);
  /* Numbers as names: by their value, not by their bytes. */
  d = read_csv("10,4\n9,2\n10,10\n", "target = 2, category = [1, 2]");
  if (!d)
    return;
  check_values(d, DATA_TRAIN, 0, 6, (double[]){0, 1, 1, 0, 0, 1});
  check_values(d, DATA_TRAIN, 1, 3, (double[]){1, 0, 2});
  CU_ASSERT_STRING_EQUAL(data_class_name(d, 2, buffer), "10");
  data_close(d);
}

static void missing(void) {
  const char *text = "a,b,y\n1,?,5\n,2,6\nNA,4,7\n4,nan,8\n";
  Dataset *d = read_csv(text, "target = \"y\", missing = -1");
  if (!d)
    return;
  check_values(d, DATA_TRAIN, 0, 8, (double[]){1, -1, -1, 2, -1, 4, 4, -1});
  data_close(d);
  d = read_csv(text, "target = \"y\", missing = \"mean\", test = 1");
  if (!d)
    return; /* of the training part */
  check_values(d, DATA_TRAIN, 0, 6, (double[]){1, 3, 1, 2, 1, 4});
  check_values(d, DATA_TEST, 0, 2, (double[]){4, 3});
  data_close(d);
  d = read_csv("1,2,3\n?,2,3\n4,5,?\n7,8,9\n,1,1\n",
               "target = 3, missing = \"drop\", test = 1");
  if (!d)
    return;
  check_values(d, DATA_TRAIN, 0, 2, (double[]){1, 2});
  check_values(d, DATA_TEST, 1, 1, (double[]){9});
  data_close(d);
  d = read_csv("NA,1\nUS,2\nNA,3\n", "target = 2, header = false");
  if (!d)
    return; /* a name like any other */
  check_values(d, DATA_TRAIN, 0, 6, (double[]){1, 0, 0, 1, 1, 0});
  data_close(d);
}

static void test_file(void) {
  char rest[700];
  Dataset *d;
  DataError e;
  snprintf(rest, sizeof rest, "target = \"y\", test = \"%s\"",
           file("test.csv", "k,y\nc,5\na,6\n"));
  d = read_csv("k,y\nb,1\na,2\nb,3\n", rest);
  if (!d)
    return;
  check_values(d, DATA_TRAIN, 0, 9, (double[]){0, 1, 0, 1, 0, 0, 0, 1, 0});
  check_values(d, DATA_TEST, 0, 6, (double[]){0, 0, 1, 1, 0, 0});
  check_values(d, DATA_TEST, 1, 2, (double[]){5, 6});
  data_close(d);
  refuse("k,z\nb,1\n", "target = \"z\", test = \"no/such.csv\"",
         "no/such.csv: No such file");
  snprintf(rest, sizeof rest, "target = \"z\", test = \"%s\"",
           file("test.csv", "k,y\nc,5\n"));
  refuse("k,z\nb,1\n", rest, "test.csv: column 2 (z) is called 'y' here");
  snprintf(rest, sizeof rest, "target = \"y\", test = \"%s\"",
           file("test.csv", "k,y\nc,d\n"));
  refuse("k,y\nb,1\n", rest,
         "test.csv: record 1 (line 2), column 2 (y): 'd' is not a number");
  /* --data PATH moves both. */
  NetArg args[3] = {{.name = "", .string = "none/a.csv"},
                    {.name = "target", .string = "y"},
                    {.name = "test", .string = "other/test.csv"}};
  NetData data = {.reader = "csv", .n_args = 3, .args = args};
  file("a.csv", "k,y\nb,1\n");
  file("test.csv", "k,y\nb,1\n");
  int status = data_open(&d, &data, check_tmp(), 1, &e);
  check_that(status == 0, "%s", e.text);
  data_close(d);
}

static void broken(void) {
  static const char *const wrong[][3] = {
      {"", "target = 1", "a.csv: empty"},
      {"\n\n", "target = 1", "a.csv: empty"},
      {"a,b\n", "target = 1", "no records"},
      {"1,2\n3\n", "target = 1",
       "record 2 (line 2): 1 values, but there are 2 columns"},
      {"a,b\n1,2\n\n3,4,5\n", "target = \"a\"", "record 2 (line 4): 3 values"},
      {"a,b\n1,2\n3,4x\n5,6\n", "target = \"a\"",
       "record 2 (line 3), column 2 (b): '4x' is not a number"},
      {"a,b\n1,x\n3,4\n5,y\n", "target = \"a\"",
       "record 2 (line 3), column 2 (b): '4' is a number among names"},
      {"id,2019\n1,2\n3,4\n", "target = 1", "header = true"},
      {"1,2\n3,1e39\n", "target = 1",
       "record 2 (line 2), column 2: 1e39 is too large"},
      {"1,2\n3,inf\n5,6\n", "target = 1", "'inf' is not a number"},
      {"1,2\n3,0x10\n5,6\n", "target = 1", "'0x10' is not a number"},
      {"1,2\n3,\x1b[2J\n5,6\n", "target = 1", "'?[2J' is not a number"},
      {"1,2\n3,nan\n", "target = 1", "column 2: 'nan' is missing; say missing"},
      {"1,2\n3,\n", "target = 2, missing = 0", "'' is a missing target"},
      {"1,a\n2,?\n", "target = 1, header = false, missing = \"mean\"",
       "'?' is missing among names"},
      {"1,?\n2,?\n", "target = 1, missing = \"drop\"", "column 2 has no values"},
      {"?,1\n1,?\n", "target = 1, missing = \"drop\"",
       "no records without missing values"},
      {"1,2\n?,3\n4,5\n", "target = 2, missing = \"average\"",
       "\"drop\" or a number, not 'average'"},
      {"1,2\n3,4\n", "target = 3", "no column 3: there are 2"},
      {"1,2\n3,4\n", "target = \"y\"", "the file has no header"},
      {"a,b\n3,4\n", "target = \"y\"", "no column 'y'; there are: a, b"},
      {"a,a\n3,4\n", "target = \"a\"", "columns 1 and 2 are both called 'a'"},
      {"1,2\n3,4\n", "target = 2, ignore = 2", "column 2 is named twice"},
      {"1,2\n3,4\n", "target = [1, 2]", "no column is left"},
      {"1,a,b\n2,c,d\n", "target = [2, 3], header = false", "stands alone"},
      {"1,a\n2,a\n", "target = 2, header = false", "has one class alone"},
      {"1,\"2\n3,4\n", "target = 1", "line 1: the quotes do not end"},
      {"1,\"2\"x\n", "target = 1", "line 1: value 2 goes on behind its quotes"},
      {"1,2\n3,4\n", "target = 1, separator = \"ab\"", "one character"},
      {"1,2\n3,4\n", "target = 1, test = 2", "2 of 2 rows"},
      {"1,2\n3,4\n", "target = 1, test = 0.1", "0 of 2 rows"},
      {"1,2\n3,4\n", "target = 1, test = 1.5", "neither a share"},
      {"1,2\n3,4\n", "separator = \",\"", "csv needs the argument target"},
      {"1,2\n3,4\n", "target = 1.5", "not a whole number"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    refuse(wrong[i][0], wrong[i][1], wrong[i][2]);
  static const char zero[] = "1,2\n3,\0\n", quoted[] = "1,2\n3,\"\0\"\n";
  Dataset *d;
  DataError e;
  CU_ASSERT(check_write(check_path("z.csv"), zero, sizeof zero - 1));
  CU_ASSERT_EQUAL(open_csv(&d, check_path("z.csv"), "target = 1", &e), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "line 2: a zero byte"));
  CU_ASSERT(check_write(check_path("z.csv"), quoted, sizeof quoted - 1));
  CU_ASSERT_EQUAL(open_csv(&d, check_path("z.csv"), "target = 1", &e), 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "line 2: a zero byte"));
}

/* Too many names, values and bytes. */
static void limits(void) {
  char *text = malloc((1 << 24) + 2), *p = text;
  for (int i = 0; i < 5000; i++)
    p += sprintf(p, "n%d,%d\n", i, i);
  refuse(text, "target = 2, header = false",
         "column 1 has more than 4096 different names");
  p = text;
  for (int i = 0; i < 70000; i++)
    p += sprintf(p, "%d,", i);
  refuse(text, "target = 2", "line 1: more than 65536 values");
  memset(text, '1', (1 << 24) + 1);
  text[(1 << 24) + 1] = 0;
  refuse(text, "target = 2", "line 1: a record of more than 16777216 bytes");
  free(text);
}

static void fields(void) {
  NetField f[NET_FIELDS];
  int n;
  char message[300], text[700];
  NetData none = {.reader = NULL};
  snprintf(text, sizeof text, "csv(\"%s\", target = 3)",
           file("a.csv", "1,2,a\n3,4,b\n"));
  CU_ASSERT(net_data_fields(&none, text, f, &n, message, sizeof message));
  CU_ASSERT(n == 2 && !strcmp(f[0].name, "features") && f[0].rank == 1 &&
            f[0].dim[0] == 2);
  CU_ASSERT(!strcmp(f[1].name, "target") && f[1].classes == 2 &&
            f[1].rank == 0);
  CU_ASSERT(!net_data_fields(&none, "csv(\"no/such\", target = 1)", f, &n,
                             message, sizeof message));
  CU_ASSERT_STRING_EQUAL(message, "no/such: No such file or directory");
}

/* Opens csv("a.csv", REST) and then the file b.csv, as predict does. */
static int open_other(Dataset **d, const char *text, const char *rest,
                      const char *other, DataError *e) {
  char all[900];
  NetData none = {.reader = NULL};
  snprintf(all, sizeof all, "csv(\"%s\", %s)", file("a.csv", text), rest);
  return data_open_file(d, &none, all, file("b.csv", other), 1, e);
}

static void predict(void) {
  static const char *const named = "k,x,y\nb,1,2\na,3,4\nb,8,6\n";
  static const struct {
    const char *text, *rest, *other;
    int n;
    double want[6];
  } right[] = {{named, "target = \"y\"", "k,x,y\na,7,?\nb,8,1\n", 6,
                {1, 0, 7, 0, 1, 8}},
               {named, "target = \"y\"", "x,other,k\n7,0,a\n", 3, {1, 0, 7}},
               {"1,2,3\n4,5,6\n", "target = 2", "7,8,9\n", 2, {7, 9}},
               {"1,2,3\n4,5,6\n", "target = 2", "7,8\n1,2", 4, {7, 8, 1, 2}},
               {named, "target = 3, missing = \"mean\", test = 1",
                "k,x\na,?\n", 3, {1, 0, 2}},
               {named, "target = 3, missing = -1", "k,x\na,\n", 3,
                {1, 0, -1}}};
  static const char *const wrong[][3] = {
      {"target = 3", "k,z\na,1\n", "b.csv: there is no column 2 (x)"},
      {"target = 3", "k,x\nc,1\n",
       "record 1 (line 2), column 1 (k): 'c' is not a value"},
      {"target = 3", "k,x\na,b\n", "column 2 (x): 'b' is not a value"},
      {"target = 3", "k,x\na,1e40\n", "column 2 (x): '1e40' is not a value"},
      {"target = 3", "k,x\na,?\n", "column 2 (x): '?' is not a value"},
      {"target = 3, missing = \"drop\"", "k,x\na,1\nb,?\n", "record 2 (line 3)"},
      {"target = 3", "k,x\na\n", "1 values, but there are 2 columns"},
      {"target = 3", "k,x\n", "no records"},
      {"target = 3", "", "b.csv: empty"}};
  Dataset *d;
  DataError e;
  for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
    int status = open_other(&d, right[i].text, right[i].rest, right[i].other,
                            &e);
    if (!check_that(status == 0, "%s: %s", right[i].other, e.text))
      continue;
    check_values(d, DATA_TEST, 0, right[i].n, right[i].want);
    CU_ASSERT(d->n_columns == 1 && d->split[DATA_TRAIN].rows == 0);
    data_close(d);
  }
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    int status = open_other(&d, named, wrong[i][0], wrong[i][1], &e);
    check_that(status == 1 && !d && strstr(e.text, wrong[i][2]),
               "status %d, want '%s' in: %s", status, wrong[i][2], e.text);
  }
  int status = open_other(&d, "1,2,3\n4,5,6\n", "target = 2", "7\n", &e);
  CU_ASSERT(status == 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "1 columns; want 3, or 2 without"));
}

/* Files with random bytes in random places: read or refused, nothing else. */
static void mutations(void) {
  static const char *const text =
      "a;\"b c\";d\r\n1;x;-2.5e3\r\n2;\"y\"\"z\";?\r\n3;x;7\r\n";
  static const char bytes[] = ";,\"\n\r\t .?-+eEx05\0\xff";
  static const char *const rest[] = {"target = \"a\"", "target = 2",
                                     "target = 1, missing = \"mean\"",
                                     "target = 3, missing = \"drop\"",
                                     "target = 1, category = [1, 3]"};
  unsigned state = 7;
  size_t n = strlen(text);
  char copy[100];
  for (int i = 0; i < (check_long() ? 100000 : 3000); i++) {
    DataError e;
    Dataset *d;
    memcpy(copy, text, n);
    for (int k = 0; k <= i % 4; k++) {
      state = state * 1664525u + 1013904223u;
      copy[(state >> 8) % n] = bytes[(state >> 20) % (sizeof bytes - 1)];
    }
    CU_ASSERT(check_write(check_path("m.csv"), copy, n - (size_t)i % 7));
    int status = open_csv(&d, check_path("m.csv"), rest[i % 5], &e);
    check_that(status == 0 || (status == 1 && strstr(e.text, "m.csv")),
               "status %d: %s", status, e.text);
    data_close(d);
  }
}

void suite_csv(void) {
  static const CheckTest tests[] = {
      {"numbers", plain},
      {"headers, separators, quotes", forms},
      {"categories", categories},
      {"missing values", missing},
      {"a file for the test", test_file},
      {"broken files", broken},
      {"limits", limits},
      {"fields", fields},
      {"another file for predict", predict},
      {"mutations", mutations},
      {NULL, NULL}};
  check_suite("csv", tests);
}
