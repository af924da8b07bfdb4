/* The calls of faults.h. They go to the system itself, so nothing of the C
 * library's own is lost but cancellation, which nobody here uses. */
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

int faults_hit(void) {
  return armed >= 0 && calls > armed;
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
