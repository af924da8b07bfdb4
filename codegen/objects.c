/* The machine code of one function of a program, as objects to be linked in memory:
 * from the object cache, or through LLVM. Its kernels are shared out to parts of
 * about the same size, as many as there are cores, and each part is a module that a
 * thread of its own compiles, in an LLVM context of its own. How many parts there
 * are changes nothing in the kernels' instructions. */
#include "codegen/objects.h"

#include <llvm-c/Core.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/target.h"

/* --- keys ----------------------------------------------------------------- */

static void add_text(Sha *h, const char *text) {
  sha_add(h, text, strlen(text) + 1);
}

static void add_number(Sha *h, int64_t n) { sha_add(h, &n, sizeof n); }

static void add_target(Sha *h, const Target *t) {
  unsigned major, minor, patch;
  LLVMGetVersion(&major, &minor, &patch);
  add_number(h, major);
  add_number(h, minor);
  add_number(h, patch);
  add_number(h, NET_ABI);
  add_number(h, t->level);
  add_text(h, t->triple);
  add_text(h, t->llvm_cpu);
  add_text(h, t->features);
}

/* All that decides the code of the function, but for who compiles it. */
static Hash key_of(const Hash *compiler, const Target *t, const KModule *m,
                   const KFunc *f, const Shapes *s) {
  Sha h;
  sha_begin(&h);
  sha_add(&h, compiler, sizeof *compiler);
  add_target(&h, t);
  add_text(&h, f->name);
  add_number(&h, m->scalars);
  add_number(&h, s->n);
  for (int i = 0; i < s->n; i++) {
    const Shape *x = &s->shape[i];
    add_number(&h, s->first[i]);
    if (s->first[i] == i) {
      add_number(&h, x->n_words);
      sha_add(&h, x->word, (size_t)x->n_words * sizeof *x->word);
    }
    for (int j = 0; j < shape_facts(x); j++)
      add_number(&h, shape_fact(x, f, f->kernel[i], j));
  }
  return sha_end(&h);
}

/* --- several objects as one text ------------------------------------------ */

static Bytes pack(Arena *a, const Objects *o) {
  int64_t head[1 + MAX_OBJECTS] = {o->n};
  size_t at = (1 + (size_t)o->n) * sizeof *head, size = at;
  for (int i = 0; i < o->n; i++) {
    head[1 + i] = (int64_t)o->object[i].size;
    size += o->object[i].size;
  }
  char *all = arena_alloc(a, size + 1);
  memcpy(all, head, at);
  for (int i = 0; i < o->n; i++) {
    memcpy(all + at, o->object[i].data, o->object[i].size);
    at += o->object[i].size;
  }
  return (Bytes){.data = all, .size = size};
}

/* False: these bytes are no objects. */
static bool unpack(Bytes from, Objects *o) {
  int64_t head[1 + MAX_OBJECTS];
  if (from.size < sizeof *head) return false;
  memcpy(head, from.data, sizeof *head);
  if (head[0] < 1 || head[0] > MAX_OBJECTS) return false;
  size_t at = (1 + (size_t)head[0]) * sizeof *head;
  if (from.size < at) return false;
  memcpy(head, from.data, at);
  *o = (Objects){.n = (int)head[0]};
  for (int i = 0; i < o->n; i++) {
    size_t size = (size_t)head[1 + i];
    if (head[1 + i] < 0 || size > from.size - at) return false;
    o->object[i] = (Bytes){.data = from.data + at, .size = size};
    at += size;
  }
  return at == from.size;
}

/* --- compiling ------------------------------------------------------------ */

typedef struct Part {
  Arena *arena; /* its own */
  const Target *target;
  const KModule *m;
  const KFunc *f;
  const Shapes *shapes;
  ModulePart module;
  LLVMMemoryBufferRef object;
} Part;

static void compile_part(void *context, int i) {
  Part *p = (Part *)context + i;
  LLVMContextRef llvm = LLVMContextCreate();
  LLVMTargetMachineRef machine = target_machine(p->target);
  LLVMModuleRef module = module_emit_part(p->arena, p->target, llvm, p->m,
                                          p->f, p->shapes, &p->module);
  char *error = NULL;
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMObjectFile,
                                          &error, &p->object))
    defect("LLVM code generation: %s", error);
  LLVMDisposeModule(module);
  LLVMDisposeTargetMachine(machine);
  LLVMContextDispose(llvm);
}

enum { /* in units of about 20 us */
  KERNEL_WEIGHT = 40, /* whatever is in it */
  PHILOX_WEIGHT = 500, /* what draws numbers, once for all kernels of a part */
  SQUARE_WEIGHT = 500, /* an access that transposes */
  PART_WEIGHT = 600 /* worth a thread */
};

/* About how long a kernel takes to compile: instructions, for each position of its
 * tile, and again for what tiles leave over. */
static double weight_of(const Kernel *k) {
  double positions = 1, copies = 1, squares = 0;
  for (int d = 0; d < kernel_dims(k); d++) {
    int64_t tile = k->schedule.tile[d];
    int64_t step = tile * (d == k->schedule.vec ? k->schedule.lanes : 1);
    positions *= (double)tile;
    if (step > 0 && k->extent[d] % step != 0 && k->extent[d] > step)
      copies *= 1.5;
  }
  for (int n = 0; n < k->n_instrs; n++)
    if (instr_is_access(&k->instr[n]) &&
        kernel_transposed(k, &k->schedule, &k->instr[n]) >= 0)
      squares += (double)SQUARE_WEIGHT;
  return (double)KERNEL_WEIGHT + copies * squares +
         k->n_instrs * (4 + positions * copies);
}

static bool draws(const Kernel *k) {
  for (int n = 0; n < k->n_instrs; n++)
    if (k->instr[n].kop == K_RAND) return true;
  return false;
}

/* The parts that kernels are shared out to: how much each has so far, and whether it
 * has what draws numbers. */
typedef struct Shares {
  int n;
  double load[MAX_OBJECTS];
  bool philox[MAX_OBJECTS];
} Shares;

typedef struct Weighed {
  double weight;
  int kernel;
  bool draws;
} Weighed;

static double load_with(const Shares *s, int part, const Weighed *k) {
  double philox = k->draws && !s->philox[part] ? (double)PHILOX_WEIGHT : 0;
  return s->load[part] + k->weight + philox;
}

/* Gives a kernel to the part that then has least. */
static int share(Shares *s, const Weighed *k) {
  int least = 0;
  for (int p = 1; p < s->n; p++)
    if (load_with(s, p, k) < load_with(s, least, k)) least = p;
  s->load[least] = load_with(s, least, k);
  s->philox[least] |= k->draws;
  return least;
}

/* The heaviest first; of equal ones, as they stand. */
static int heavier(const void *a, const void *b) {
  const Weighed *x = a, *y = b;
  if (x->weight != y->weight) return x->weight < y->weight ? 1 : -1;
  return x->kernel - y->kernel;
}

/* The part of each distinct kernel: the heaviest are given away first. Returns the
 * parts. */
static int share_out(Arena *a, const KFunc *f, const Shapes *s, int *part) {
  Shares all = {.n = 1};
  Weighed *order = arena_alloc(a, (size_t)(s->n + 1) * sizeof *order);
  int n = 0;
  for (int i = 0; i < s->n; i++) {
    if (s->first[i] != i) continue;
    order[n] = (Weighed){weight_of(f->kernel[i]), i, draws(f->kernel[i])};
    share(&all, &order[n++]);
  }
  qsort(order, (size_t)n, sizeof *order, heavier);
  int parts = LLVMIsMultithreaded() ? cores_available() : 1;
  if (parts > MAX_OBJECTS) parts = MAX_OBJECTS;
  double worth = all.load[0] / (double)PART_WEIGHT;
  if (parts > worth) parts = (int)worth;
  if (parts < 1) parts = 1;
  Shares shares = {.n = parts};
  for (int i = 0; i < n; i++)
    part[order[i].kernel] = share(&shares, &order[i]);
  for (int i = 0; i < s->n; i++) part[i] = part[s->first[i]];
  return parts;
}

static Objects compile_function(Arena *a, const Target *t, const KModule *m,
                                const KFunc *f, const Shapes *shapes) {
  int *of_kernel = arena_alloc(a, (size_t)(shapes->n + 1) * sizeof *of_kernel);
  Objects o = {.n = share_out(a, f, shapes, of_kernel)};
  Part part[MAX_OBJECTS];
  for (int i = 0; i < o.n; i++)
    part[i] = (Part){.arena = arena_new(), .target = t, .m = m, .f = f,
                     .shapes = shapes,
                     .module = {.number = i, .of_kernel = of_kernel}};
  parallel_for(o.n, compile_part, part);
  for (int i = 0; i < o.n; i++) {
    LLVMMemoryBufferRef object = part[i].object;
    o.object[i] = (Bytes){
        .data = arena_strndup(a, LLVMGetBufferStart(object),
                              LLVMGetBufferSize(object)),
        .size = LLVMGetBufferSize(object)};
    LLVMDisposeMemoryBuffer(object);
    arena_free(part[i].arena);
  }
  return o;
}

Objects objects_of(Arena *a, const Target *t, const KModule *m, const KFunc *f,
                   Cache *cache, bool *cached) {
  Shapes shapes = shapes_find(a, f);
  Objects o;
  Bytes data;
  *cached = false;
  if (!cache) return compile_function(a, t, m, f, &shapes);
  Hash key = key_of(cache_compiler(cache), t, m, f, &shapes);
  *cached = cache_load(cache, a, &key, &data) && unpack(data, &o);
  if (*cached) return o;
  o = compile_function(a, t, m, f, &shapes);
  cache_store(cache, &key, pack(a, &o));
  return o;
}
