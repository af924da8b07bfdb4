/* The calls of faults.h. They go to the system itself, so nothing of the C
 * library's own is lost but cancellation, which nobody here uses. Memory comes
 * from the C library's own allocator. */
#include "tests/unit/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local int armed = -1, failure, calls;

void faults_arm(int at, int error) {
  armed = at;
  failure = error;
  calls = 0;
}

int faults_calls(void) {
  return calls;
}

/* Whether this call is the one; errno says why it fails. */
static int fails(void) {
  if (calls++ != armed) return 0;
  errno = failure;
  return 1;
}

int open(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
  va_end(list);
  if (flags & O_EXCL && fails() && failure) return -1;
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t bytes) {
  if (fails()) {
    if (failure) return -1;
    bytes = (bytes + 1) / 2;
  }
  return syscall(SYS_write, fd, data, bytes);
}

int fsync(int fd) {
  if (fails() && failure) return -1;
  return (int)syscall(SYS_fsync, fd);
}

int close(int fd) {
  int bad = fails() && failure;
  int result = (int)syscall(SYS_close, fd);
  if (bad) errno = failure;
  return bad ? -1 : result;
}

int rename(const char *from, const char *to) {
  if (fails() && failure) return -1;
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- memory ---- */

#if FAULTS_MEMORY
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t bytes);

/* Not of each thread: any of them may be refused. */
static int memory_armed = -1;
static _Atomic int allocations;

void faults_arm_memory(int at) {
  memory_armed = at;
  allocations = 0;
}

int faults_allocations(void) {
  return allocations;
}

static int refused(void) {
  if (allocations++ != memory_armed) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t bytes) {
  return refused() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t size) {
  return refused() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t bytes) {
  return refused() ? NULL : __libc_realloc(memory, bytes);
}
#else
void faults_arm_memory(int at) {
  (void)at;
}

int faults_allocations(void) {
  return 0;
}
#endif
