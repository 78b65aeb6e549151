/* Preloaded, it lets files called "sector" (sector.wav) fail as a disk does from byte 60000 on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>
static int bad(int fd, off_t at, size_t n) {
  char link[64], name[4096]; ssize_t k;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  k = readlink(link, name, sizeof name - 1);
  if (k < 0) return 0;
  name[k] = 0;
  return strstr(name, "sector.") && at + (off_t)n > 60000;
}
ssize_t read(int fd, void *p, size_t n) {
  static ssize_t (*real)(int, void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "read");
  off_t at = lseek(fd, 0, SEEK_CUR);
  if (at >= 0 && bad(fd, at, n)) { errno = EIO; return -1; }
  return real(fd, p, n);
}
ssize_t pread(int fd, void *p, size_t n, off_t at) {
  static ssize_t (*real)(int, void *, size_t, off_t);
  if (!real) real = dlsym(RTLD_NEXT, "pread");
  if (bad(fd, at, n)) { errno = EIO; return -1; }
  return real(fd, p, n, at);
}
ssize_t pread64(int fd, void *p, size_t n, off_t at) { return pread(fd, p, n, at); }
