/* Kernels as text: what is printed reads back to the same text, at every stage
 * and for every operation; each rule of the verifier broken once; what the
 * reader says of broken lines; and that damaged texts are refused, never worse.
 */
#include "ir/kernel.h"
#include "passes/passes.h"
#include "tests/check.h"
#include "tests/ops/ops_cases.h"

#include <stdlib.h>
#include <string.h>

/* Every kind of line and instruction, planned; and affine forms of kernels that
 * have no parallel dimensions, or none at all. Read once. */
static char *planned, *fused;

static void read_texts(void) {
  if (!planned)
    planned = check_read("tests/unit/kernels_planned.ir", NULL);
  if (!fused)
    fused = check_read("tests/unit/kernels_fused.ir", NULL);
  CU_ASSERT_FATAL(planned && fused);
}

static KModule *read_bytes(Arena *a, Diags *d, const char *text, size_t n) {
  Source *s = arena_alloc(a, sizeof *s);
  *s = (Source){"case.ir", text, n};
  diags_init(d, a);
  KModule *m = read_kmodule(a, d, s);
  check_that(!m == (d->errors > 0), "kernels or errors:\n%.200s", text);
  return m;
}

static char *print_text(Arena *a, const KModule *m) {
  Text t;
  text_init(&t, a);
  print_kmodule(&t, m);
  return t.s;
}

/* The diagnostics as they are shown, to be freed. */
static char *told(const Diags *d) {
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  diags_print(d, f);
  fclose(f);
  return text;
}

static void check_same(Arena *a, const char *what, const char *text) {
  Diags d;
  KModule *m = read_bytes(a, &d, text, strlen(text));
  if (!m) {
    char *all = told(&d);
    check_that(false, "%s: %s", what, all);
    free(all);
    return;
  }
  char *again = print_text(a, m);
  check_that(!strcmp(text, again), "%s:\n%s\nnow\n%s", what, text, again);
}

static void test_round_trip(void) {
  read_texts();
  Arena *a = arena_new();
  check_same(a, "planned", planned);
  check_same(a, "fused", fused);
  check_same(a, "empty", "kernels\n");
  arena_free(a);
}

/* Every operation through the passes: verified and read back at each stage. */
static void test_stages(void) {
  static const char *const cpus[] = {"x86-64-v4", "x86-64-v3", "generic"};
  for (int op = 0; op < OP_COUNT; op++) {
    Arena *a = arena_new();
    OpCase c;
    for (int which = 0; op_case(a, (Op)op, which, &c); which++) {
      Cpu cpu = cpu_find(a, cpus[which % 3], NULL);
      KModule *stage[3];
      Diags d;
      diags_init(&d, a);
      stage[0] = pass_fuse(a, pass_grad(a, c.module, &d), false);
      stage[1] = pass_schedule(a, stage[0], &cpu, false);
      stage[2] = pass_plan(a, stage[1]);
      for (int i = 0; i < 3; i++) {
        const char *wrong = verify_kmodule(a, stage[i]);
        check_that(!wrong, "%s, stage %d: %s", c.name, i, wrong);
        check_same(a, c.name, print_text(a, stage[i]));
      }
    }
    arena_free(a);
  }
}

/* Blanks, comments, gaps in the numbers, quoted names, what need not be said.
 */
static void test_odd_text(void) {
  Arena *a = arena_new();
  Diags d;
  const char text[] =
      "# a case\nkernels cpu=\"my cpu\" # here\nfunc f{\n"
      "buffer b4 input \"x y\" f32[3] \n\nbuffer b70 temp f32[3]\r\n"
      "kernel 7[3]{@\"my file.net\":1:2 \"a, b\"\n"
      "schedule order=[0]tile=[1]pieces=1\n"
      "%5=load b4[1]:f32\n%9=exp%5:f32\nstore b70[0 + 1]=%9\n}\n"
      "result y=b70\n}";
  const char want[] =
      "kernels cpu=\"my cpu\"\nfunc f {\n"
      "  buffer b0 input \"x y\" f32[3]\n  buffer b1 temp f32[3]\n"
      "  kernel 0 [3] {  @ \"my file.net\":1:2 \"a, b\"\n"
      "    schedule order=[0]\n"
      "    %0 = load b0[1] : f32\n    %1 = exp %0 : f32\n"
      "    store b1[1] = %1\n  }\n  result y = b1\n}\n";
  KModule *m = read_bytes(a, &d, text, strlen(text));
  char *all = told(&d);
  if (check_that(m != NULL, "%s", all)) {
    char *again = print_text(a, m);
    check_that(!strcmp(again, want), "%s\nnot\n%s", again, want);
  }
  free(all);
  arena_free(a);
}

/* -- what is refused */

typedef struct Case {
  const char *from, *to; /* the first place of `from` becomes `to` */
  const char *line;      /* a piece of the line that is shown */
  const char *message;   /* a piece of what is told */
} Case;

static char *changed(const char *text, const Case *c) {
  const char *at = strstr(text, c->from);
  size_t n = strlen(text) + strlen(c->to) + 1;
  char *s = malloc(n);
  if (!check_that(at && s, "'%s' is in the text", c->from)) {
    free(s);
    return NULL;
  }
  snprintf(s, n, "%.*s%s%s", (int)(at - text), text, c->to,
           at + strlen(c->from));
  return s;
}

/* One error alone, with that code. */
static void refuse(const char *text, const char *code, const Case *c) {
  Arena *a = arena_new();
  Diags d;
  char *s = changed(text, c);
  if (s) {
    CU_ASSERT_PTR_NULL(read_bytes(a, &d, s, strlen(s)));
    char *all = told(&d);
    check_that(d.errors == 1 && strstr(all, code) && strstr(all, c->message) &&
                   strstr(all, c->line),
               "'%s' for '%s': want %s, '%s', '%s' in\n%s", c->to, c->from,
               code, c->message, c->line, all);
    free(all);
  }
  free(s);
  arena_free(a);
}

#define REFUSE(text, code, cases)                                              \
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)                    \
  refuse(text, code, &cases[i])

#define INSERT(kernel) "  kernel 1", "  kernel 1 " kernel "  }\n  kernel 2"
#define MOST "1099511627776"

static void test_buffers(void) {
  read_texts();
  static const Case cases[] = {
      {"func", "var E bias f32[2] at 768\nfunc", "| var E bias",
       "variable E is declared twice"},
      {"7 sample\n}\n", "7 sample\n}\nfunc train {\n}\n", "| func train",
       "function train stands twice"},
      {"var E f32[9,4]", "var F f32[9,4]", "|   buffer b0",
       "b0 is variable F, which is not declared"},
      {"var E f32[9,4]", "var E f32[4,9]", "|   buffer b0",
       "b0 is f32[4,9], but variable E is f32[9,4]"},
      {"b3 temp f32[2,6]", "b3 input ids i32[12]", "|   buffer b3",
       "b3 is another input ids"},
      {"b2 temp f32[9,4]", "b2 var E f32[9,4]", "|   buffer b2",
       "b2 is another var E"},
      {"scalar step", "scalar stop", "|   buffer b4",
       "there is no scalar stop"},
      {"step f64[]", "step f32[]", "|   buffer b4",
       "b4 is a scalar of type f32[], not f64[]"},
      {"b2 temp f32[9,4]", "b2 temp f32[9,4] sample", "|   buffer b2",
       "b2 is no input that has a batch"},
      {"  buffer b4 scalar step f64[] at 192\n", "", "| func train",
       "random numbers need the buffers"},
      {"  result best", "  result sums", "|   result sums",
       "sums is a result twice"},
      {"  result",
       "  buffer b8 temp f32[] at 704\n  result none = b8\n  result",
       "|   result none", "result none is in b8, which nothing stores"},
  };
  static const Case of_fused[] = {
      {"y = b2", "y = b2 sample", "|   result y", "result y has no batch"}};
  REFUSE(planned, "E0907", cases);
  REFUSE(fused, "E0907", of_fused);
}

static void test_types(void) {
  read_texts();
  static const Case cases[] = {
      {"inrange 0 <= [-1 + 0 | 1] < 6 : i1", "const 1 : f32", "%1 = load",
       "the predicate of %1 is f32, not i1"},
      {"%5 = load b0[0 1 + %4", "%5 = const 1 : f32\n    %6 = load b0[0 1 + %5",
       "%6 = load", "the index of %6 is f32, not a whole number"},
      {"sub %0, %1 : f32", "sub %0, %1 : f64", "%2 = sub",
       "sub gives f32, not f64"},
      {"select %0, %1", "select %1, %1", "%3 = select", "operand 0 of select"},
      {"const 0 : f32", "const 0.5 : i32", "%0 = const",
       "0.5 is no value of type i32"},
      {"< 6 : i1", "< 6 : f32", "%0 = inrange", "inrange gives i1, not f32"},
      {"< 6 : i1", "< 0 : i1", "%0 = inrange", "no number is in [0, 0)"},
      {"[1 0] : f32", "[1 0] : i32", "%0 = rand", "rand gives f32 or f64"},
      {"index [1] : f32", "index [1] : i1", "%6 = index", "not i1"},
      {"argmax %3 : i32", "argmax %3 : f32", "%5 = argmax",
       "argmax gives i32, not f32"},
      {"load b2[1] : f32", "load b2[1] : i32", "%1 = load",
       "%1 is i32, but b2 is f32[9,4]"},
      {"store b6[1] = %7", "store b6[1] = %5", "store b6",
       "i32 is stored in b6, which is f32"},
  };
  REFUSE(planned, "E0907", cases);
}

static void test_accesses(void) {
  read_texts();
  static const Case cases[] = {
      {"load b2[1]", "load b2[2]", "%1 = load",
       "%1 reaches elements 0 to 70 of b2, which has 36"},
      {"load b2[1]", "load b2[-1 + 1]", "%1 = load", "elements -1 to 34 of b2"},
      {"b0[0 1 + %4", "b0[1 + 0 1 + %4", "%5 = load", "1 to 36 of b0"},
      {"b0[0 1 + %4", "b0[0 1 + %2", "%5 = load", "0 to 8589934591 of b0"},
      {"max %0, %1", "max %0, %0", "%5 = load", "-8589934592 to 35 of b0"},
      {"store b7[1] = %5", "store b1[1] = %5", "store b1",
       "b1 is an input: it cannot be stored"},
      {"store b6[1] = %7", "store b6[1] = %3", "store b6",
       "the store depends on a reduced dimension"},
      {"store b7[1] = %5", "store b6[1] = %4", "store b6[1] = %7",
       "the store leaves elements of b6 out or writes some twice"},
      {"store b2[1] = %0\n", "store b2[1] += %0\n",
       "store b2[1] +=", "nothing fills b2 before this adds to it"},
      {"store b7[1] =", "store b7[1] +=", "store b7", "f32 or f64, not i32"},
      {"store b2[1] = %0\n", "store b2[0] = %0\n", "store b2[0]",
       "no dimension steps by 1"},
      {"b2 temp f32[9,4]", "b2 temp f32[10,4]", "store b2",
       "the store writes 36 elements of b2, which has 40"},
      {"] += %5", "] = %5", "store b2", "a store at an index must add"},
      {"%7 = add %4, %6 : f32\n",
       "%7 = add %4, %6 : f32\n    %8 = load b5[0] : f64\n", "%8 = load",
       "the seed is not a number to load"},
      {"row [1 0] : f32\n", "row [1 0] : f32\n    %1 = load b6[1 0] : f32\n",
       "%1 = load b6", "nothing stores b6 before %1 loads it"},
      {"%0 = load b0[1] ", "%0 = load b0[0] ", "%0 = load b0",
       "%0 loads other elements of b0 than this kernel stores"},
      {"store b0[1] = %2\n", "store b0[1] = %2\n    %4 = load b0[1] : f32\n",
       "%4 = load", "%4 loads what has been stored"},
  };
  static const Case of_fused[] = {
      {INSERT("[" MOST "] {\n    %0 = index [" MOST "] : f32\n"), "%0 = index",
       "%0: an index does not fit 64 bits"}};
  REFUSE(planned, "E0907", cases);
  REFUSE(fused, "E0907", of_fused);
}

static void test_reductions(void) {
  read_texts();
  static const Case cases[] = {
      {"add %4, %6", "sum %4", "%7 = sum",
       "%7 reduces what depends on a reduction"},
      {"index [1] : f32", "index [0 | 1] : f32", "%7 = add",
       "%7 depends on a reduction and on a reduced dimension"},
  };
  static const Case of_fused[] = {
      {INSERT("[" MOST " " MOST "] {\n"), "|   kernel 1",
       "the number of iterations does not fit 64 bits"},
      {INSERT("[| " MOST "] {\n    %0 = const 0 : f32\n"
              "    %1 = argmax %0 : i32\n"),
       "%1 = argmax", "%1: the index does not fit i32"}};
  REFUSE(planned, "E0907", cases);
  REFUSE(fused, "E0907", of_fused);
}

/* Chunks of eight samples in two parts of two turns: a shared buffer, one that is
 * local, and a sum. */
static const char grouped[] =
    "kernels\n"
    "func train {\n"
    "  buffer b0 input x f32[8,3] sample\n"
    "  buffer b1 temp f32[2,3] local\n"
    "  buffer b2 temp f32[8,3]\n"
    "  buffer b3 temp f32[2]\n"
    "  kernel 0 [2] {\n"
    "    %0 = const 0 : f32\n"
    "    store b3[1] = %0\n"
    "  }\n"
    "  group parts=2 turns=2 {\n"
    "    kernel 1 [2 3] {\n"
    "      %0 = load b0[12 6; 3 1] : f32\n"
    "      store b1[0 0; 3 1] = %0\n"
    "      store b2[12 6; 3 1] = %0\n"
    "    }\n"
    "    kernel 2 [| 2 3] {\n"
    "      %0 = load b1[0 0; | 3 1] : f32\n"
    "      %1 = load b2[12 6; | 3 1] : f32\n"
    "      %2 = mul %0, %1 : f32\n"
    "      %3 = sum %2 : f32\n"
    "      store b3[1 0;] += %3\n"
    "    }\n"
    "  }\n"
    "  result y = b2\n"
    "  result s = b3\n"
    "}\n";

static void test_groups(void) {
  Arena *a = arena_new();
  Diags d;
  KModule *m = read_bytes(a, &d, grouped, strlen(grouped));
  CU_ASSERT_PTR_NOT_NULL_FATAL(m);
  Text t;
  text_init(&t, a);
  print_kmodule(&t, m);
  CU_ASSERT_STRING_EQUAL(t.s, grouped);
  m->func[0]->kernel[0]->group = m->func[0]->kernel[2]->group;
  const char *wrong = verify_kmodule(a, m);
  check_that(wrong && strstr(wrong, "kernel 0 of train"), "%s", wrong);
  arena_free(a);
  static const Case cases[] = {
      {"load b2[12 6; |", "load b2[12 0; |", "%1 = load",
       "%1 reaches what other chunks store in b2"},
      {"load b2[12 6; |", "load b2[6 + 12 0; |", "%1 = load",
       "%1 reaches what other chunks store in b2"},
      {"store b2[12 6; 3 1]", "store b2[12 0; 3 1]", "store b2",
       "no dimension steps by 6"},
      {"store b2[12 6; 3 1]", "store b2[6 6; 3 1]", "store b2",
       "no dimension steps by 12"},
      {"store b3[1 0;]", "store b3[0 0;]", "store b3",
       "two chunks store one element of b3"},
      {"b3[1 0;] += %3", "b3[1 0;] = %3", "store b3",
       "no dimension steps by 2"},
      {"load b1[0 0;", "load b1[0 6;", "%0 = load", "%0 reaches elements"},
      {"[8,3]\n  buffer b3", "[8,3] local\n  buffer b3", "store b2", "b2"},
      {"temp f32[2]\n", "temp f32[2] local\n", "store b3",
       "b3 is local to another group"},
      {"turns=2", "turns=4", "%0 = load", "%0 reaches elements"},
  };
  REFUSE(grouped, "E0907", cases);
  static const Case texts[] = {
      {"b0[12 6; 3", "b0[12 6 3", "%0 = load", "expected ';'"},
      {"turns=2 {", "turns=2", "| ", "expected '{'"}};
  REFUSE(grouped, "E0901", texts);
}

static void test_schedules(void) {
  read_texts();
  static const Case cases[] = {
      {"order=[0 1] vector=1x4", "order=[0 0] vector=1x4",
       "schedule order=[0 0", "dimension 0 is not there or ordered twice"},
      {"order=[0 | 1]", "order=[1 | 0]", "schedule order=[1",
       "the reduced dimensions come last"},
      {"tile=[3]", "tile=[5000]", "tile=[5000]",
       "the tile of dimension 0 is 5000"},
      {"vector=0x16", "vector=1x16", "vector=1x16",
       "there is no dimension 1 for vectors"},
      {"vector=0x4", "vector=0x3", "vector=0x3", "vectors of 3 lanes"},
      {"order=[0 | 1]", "order=[0 | 1] vector=1x8", "vector=1x8",
       "%5 is an argmax over the lanes"},
      {"vector=1x4", "vector=0x4", "vector=0x4",
       "lanes of one vector may add to one element of b2"},
      {"pieces=9", "pieces=8", "pieces=8",
       "8 pieces, but the outermost loop has 9 steps"},
      {"vector=1x4", "vector=1x4 pieces=6", "pieces=6",
       "two pieces may add to one element of b2"},
      {"tile=[1 4]", "tile=[1 2]", "tile=[1 2]",
       "%0: random numbers are drawn along multiples of 4x16"},
  };
  static const Case of_fused[] = {
      {"kernels", "kernels cpu=generic", "|   kernel 0", "no schedule"},
      {"2 2] {\n", "2 2] {\n    schedule order=[| 0 1]\n", "|   kernel 0",
       "a schedule for no processor"}};
  static const Case alone[] = {
      {"1", "2", "pieces=2", "2 pieces of no dimension"}};
  REFUSE(planned, "E0907", cases);
  REFUSE(fused, "E0907", of_fused);
  REFUSE("kernels cpu=c\nfunc f {\n  kernel 0 [] {\n"
         "    schedule order=[] pieces=1\n  }\n}\n",
         "E0907", alone);
}

static void test_plans(void) {
  read_texts();
  static const char head[] = "kernels cpu=x86-64-v4 scalars=192 bytes=1024";
  static const Case cases[] = {
      {head, "kernels cpu=x86-64-v4", "| var E",
       "variable E has an offset before the plan"},
      {head, "kernels scalars=192 bytes=1024", "| kernels",
       "a plan without schedules"},
      {"at 0\nfunc", "at 32\nfunc", "| var E",
       "E at 32, which is no multiple of 64"},
      {"bytes=1024", "bytes=600", "|   buffer b7",
       "b7 ends behind the 600 bytes of the arena"},
      {"scalars=192", "scalars=128", "| var E",
       "variable E shares bytes with the scalars"},
      {"at 0\n  buffer b1", "at 64\n  buffer b1", "|   buffer b0",
       "b0 is at 64, but E is at 0"},
      {"step f64[] at 192", "step f64[] at 200", "|   buffer b4",
       "b4 is at 200, but step is at 192"},
      {"f32[2,6] at 512", "f32[2,6]", "|   buffer b3", "b3 has no offset"},
      {"f32[2,6] at 512", "f32[2,6] at 576", "|   buffer b6",
       "b6 shares bytes with b3, which lives at the same time"},
      {"sample at 256", "sample at 320", "|   buffer b2",
       "b2 shares bytes with b1"},
      {"f32[2,6] at 512", "f32[2,6] at 128", "|   buffer b3",
       "b3 shares bytes with variable E"},
  };
  /* one after the other */
  static const Case allowed = {"f32[2,6] at 512", "f32[2,6] at 320", "", ""};
  Arena *a = arena_new();
  char *s = changed(planned, &allowed);
  check_same(a, "sharing", s);
  free(s);
  arena_free(a);
  REFUSE(planned, "E0907", cases);
}

/* What no text can say. */
static void test_broken_kernels(void) {
  read_texts();
  for (int which = 0;; which++) {
    Arena *a = arena_new();
    Diags d;
    KModule *m = read_bytes(a, &d, planned, strlen(planned));
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    KFunc *f = m->func[0];
    Kernel *k = f->kernel[4];
    const char *want = NULL;
    switch (which) {
    case 0:
      want = "in kernel 4 of train: operand 0 of %4 does not come before it";
      k->instr[4].in[0] = 4;
      break;
    case 1:
      want = "operand 0 of %9 is a store";
      k->instr[9].in[0] = 8;
      break;
    case 2:
      want = "%1 steps along dimension 2, which is not there";
      k->instr[1].at.coef[2] = 1;
      break;
    case 3:
      want = "%4: rmax is not elementwise";
      k->instr[4] = (Instr){.kop = K_OP, .op = OP_RMAX, .in = {3, -1, -1}};
      break;
    case 4:
      want = "%4: exp is no reduction of kernels";
      k->instr[4].op = OP_EXP;
      break;
    case 5:
      want = "%1 is of buffer 99, which is not there";
      k->instr[1].buffer = 99;
      break;
    case 6:
      want = "in train: b6 is a temp with a name";
      f->buffer[6].name = "x";
      break;
    case 7:
      want = "in train: result sums is f32[3], but b6 is f32[2]";
      f->result[0].type.dim[0] = 3;
      break;
    case 8:
      want = "17 parallel and 1 reduced dimensions";
      k->n_par = 17;
      break;
    case 9:
      want = "the schedule orders 1 of 2 dimensions";
      k->schedule.n_order = 1;
      break;
    case 10:
      want = "5 functions";
      m->n_funcs = 5;
      break;
    default:
      arena_free(a);
      return;
    }
    const char *wrong = verify_kmodule(a, m);
    check_that(wrong && strstr(wrong, want), "%s, not %s", wrong, want);
    arena_free(a);
  }
}

static void test_reader(void) {
  read_texts();
  static const struct {
    const char *code;
    Case c;
  } cases[] = {
      {"E0901", {"kernels", "kernel", "| kernel", "expected 'kernels'"}},
      {"E0903",
       {"var E weight", "var E wait", "| var",
        "'wait' is not a kind of variable"}},
      {"E0901", {"var E", "vor E", "| vor", "expected 'var' or 'func'"}},
      {"E0901", {"func train {", "func train", "| func", "expected '{'"}},
      {"E0903", {"b7 temp", "b7 tmp", "| ", "'tmp' is not a kind of buffer"}},
      {"E0904",
       {"b2 temp f32[9,4]", "b2 temp f32[9,0]", "|   buffer b2",
        "not between 1"}},
      {"E0904",
       {"  kernel 0", "  buffer b7 temp f32[]\n  kernel 0", "|   buffer b7",
        "not between 8"}},
      {"E0904",
       {"%2 = sub", "%1 = const 0 : f32\n    %2 = sub", "| ", "not between 2"}},
      {"E0905", {"sub %0, %1", "sub %0, %9", "| ", "%9 has no line above"}},
      {"E0905", {"load b2[1]", "load b9[1]", "| ", "b9 has no line above"}},
      {"E0903", {"sub %0, %1", "sab %0, %1", "| ", "did you mean 'sub'"}},
      {"E0903",
       {"sub %0, %1", "dot %0, %1", "| ",
        "'dot' is not an operation of kernels"}},
      {"E0901", {"sub %0, %1", "sub %0", "| ", "expected ','"}},
      {"E0901", {"load b2[1]", "load b2[1 1]", "| ", "expected ']'"}},
      {"E0901", {"load b2[1]", "load b2[1 +]", "| ", "a whole number"}},
      {"E0901", {"load b2[1]", "load x2[1]", "| ", "a buffer, as in b0"}},
      {"E0901", {"load b2[1]", "load b2[", "| ", "a whole number"}},
      {"E0904", {"%4 * 4] :", "%4 * 0] :", "| ", "not between 1"}},
      {"E0904", {"kernel 2 [36]", "kernel 2 [0]", "| ", "not between 1"}},
      {"E0904", {"kernel 3", "kernel 2", "| ", "not between 3"}},
      {"E0904",
       {"[2 | 8]", "[1 1 1 1 1 1 1 1 1 | 1 1 1 1 1 1 1 1]", "| ",
        "more than 16 dimensions"}},
      {"E0904",
       {"order=[0 | 1]", "order=[0 1]", "| ",
        "1 parallel and 1 reduced dimensions, not 2 and 0"}},
      {"E0901",
       {"vector=0x4", "vector=0y4", "| ", "expected 'x' and the number"}},
      {"E0904", {"vector=0x4", "vector=0x400", "| ", "not between 1"}},
      {"E0901", {"pieces=9", "pieces=9 more", "| ", "the end of the line"}},
      {"E0901",
       {"pieces=9\n", "pieces=9\n    schedule order=[0]\n", "| ",
        "a second schedule"}},
      {"E0901",
       {"  result best", "  resolt best", "| ",
        "expected 'buffer', 'kernel', 'group' or 'result'"}},
      {"E0901", {"sample\n}\n", "sample\n", "", "'}' at the end of train"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    refuse(planned, cases[i].code, &cases[i].c);
}

/* -- damaged texts */

/* Refused, or read and then printed as something that reads back. */
static void damage(const char *text, size_t n) {
  Arena *a = arena_new();
  Diags d;
  KModule *m = read_bytes(a, &d, text, n);
  if (m)
    check_same(a, "damaged", print_text(a, m));
  arena_free(a);
}

static void test_damage(void) {
  read_texts();
  static const char bytes[] = "0-%b[]|{x \n\"\xff";
  size_t n = strlen(planned);
  char *copy = malloc(n + 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
  for (size_t i = 0; i < n; i++) {
    memcpy(copy, planned,
           n); /* of exactly i bytes, so that ASan sees the end */
    char *part = calloc(i + 1, 1);
    memcpy(part, planned, i);
    damage(part, i);
    free(part);
    copy[i] = bytes[i % (sizeof bytes - 1)];
    damage(copy, n);
    copy[i] = bytes[(i + 5) % (sizeof bytes - 1)];
    damage(copy, n);
  }
  free(copy);
}

/* Many buffers at one place, and names and dimensions without end. */
static void test_many(void) {
  enum { MANY = 20000 };
  Arena *a = arena_new();
  Diags d;
  Text t;
  text_init(&t, a);
  text_add(&t, "kernels cpu=c scalars=0 bytes=4096\nfunc f {\n");
  for (int i = 0; i < MANY; i++)
    text_add(&t, "buffer b%d temp f32[] at 64\n", i);
  for (int i = 0; i < MANY; i++)
    text_add(&t,
             "kernel %d [] {\nschedule order=[]\n%%0 = const 0 : f32\n"
             "store b%d[] = %%0\n}\n",
             i, i);
  text_add(&t, "}\n");
  CU_ASSERT_PTR_NOT_NULL(read_bytes(a, &d, t.s, (size_t)t.n));
  text_init(&t, a);
  text_add(&t, "kernels\nfunc f {\nbuffer b0 temp f32[]\nkernel 0 [] {\n"
               "%%0 = const 0 : f32\n");
  for (int i = 1; i < 70000; i++)
    text_add(&t, "%%%d = neg %%%d : f32\n", i, i - 1);
  text_add(&t, "store b0[] = %%0\n}\n}\n");
  CU_ASSERT_PTR_NULL(read_bytes(a, &d, t.s, (size_t)t.n));
  CU_ASSERT_PTR_NULL(read_bytes(a, &d, "", 0));
  const char five[] = "kernels\nfunc a {\n}\nfunc b {\n}\nfunc c {\n}\n"
                      "func d {\n}\nfunc e {\n}\n";
  CU_ASSERT_PTR_NULL(read_bytes(a, &d, five, strlen(five)));
  CU_ASSERT_EQUAL(d.errors, 1);
  arena_free(a);
}

void suite_kernel(void) {
  check_suite("kernel",
              (const CheckTest[]){{"round trip", test_round_trip},
                                  {"stages", test_stages},
                                  {"odd text", test_odd_text},
                                  {"buffers", test_buffers},
                                  {"types", test_types},
                                  {"accesses", test_accesses},
                                  {"reductions", test_reductions},
                                  {"schedules", test_schedules},
                                  {"groups", test_groups},
                                  {"plans", test_plans},
                                  {"broken kernels", test_broken_kernels},
                                  {"reader", test_reader},
                                  {"damage", test_damage},
                                  {"many", test_many},
                                  {0}});
}
