// Preloaded into a process under test: every change below one folder is written to a log, and the n-th can fail or kill.
//
// A record of the log: one letter (W write, T truncate, S sync, C create, U unlink, R rename), lengths of two paths (int32),
// offset and length (int64), the paths, the bytes. shim_set() arms it from within the process (a forked child, say).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static int log_fd = -1, fail_errno = EIO, real_sync = 0;
static long fail_at = 0, kill_at = 0;
static _Atomic long changes = 0;

#define REAL(result, name, ...)                                                    \
    static result (*real_##name)(__VA_ARGS__);                                     \
    if (!real_##name) real_##name = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

// Arm: watch `where`, log to `log_path` (or nothing), fail or kill at a change counted from 1 (0: never).
void shim_set(const char *where, const char *log_path, long fail, long kill_, int code, int sync) {
    static int (*real_open_)(const char *, int, ...);
    real_open_ = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    snprintf(folder, sizeof folder, "%s", where);
    log_fd = log_path && *log_path ? real_open_(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    fail_at = fail, kill_at = kill_, fail_errno = code, real_sync = sync;
    changes = 0;
}
long shim_changes(void) { return changes; }

static int below(const char *path) { return *folder && path && strncmp(path, folder, strlen(folder)) == 0; }
static int path_of(int fd, char *out) {
    if (!*folder || fd == log_fd) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    if (n < 0) return 0;
    out[n] = 0;
    return below(out);
}
static void record(char op, const char *path, int64_t at, const void *data, int64_t length, const char *second) {
    if (log_fd < 0) return;
    REAL(ssize_t, write, int, const void *, size_t);
    int32_t n1 = (int32_t)strlen(path), n2 = second ? (int32_t)strlen(second) : 0;
    size_t total = 25 + (size_t)n1 + (size_t)n2 + (data ? (size_t)length : 0);
    char *buffer = malloc(total), *p = buffer;
    *p++ = op;
    memcpy(p, &n1, 4), p += 4;
    memcpy(p, &n2, 4), p += 4;
    memcpy(p, &at, 8), p += 8;
    memcpy(p, &length, 8), p += 8;
    memcpy(p, path, (size_t)n1), p += n1;
    if (n2) memcpy(p, second, (size_t)n2), p += n2;
    if (data) memcpy(p, data, (size_t)length);
    pthread_mutex_lock(&lock);
    (void)!real_write(log_fd, buffer, total);
    pthread_mutex_unlock(&lock);
    free(buffer);
}
static int refused(void) {
    long n = atomic_fetch_add(&changes, 1) + 1;
    if (kill_at && n == kill_at) kill(getpid(), SIGKILL);
    if (fail_at && n == fail_at) {
        errno = fail_errno;
        return 1;
    }
    return 0;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real_pwrite64(fd, data, n, at);
    if (refused()) return -1;
    ssize_t done = real_pwrite64(fd, data, n, at);
    if (done > 0) record('W', path, at, data, done, NULL);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }
ssize_t write(int fd, const void *data, size_t n) {
    REAL(ssize_t, write, int, const void *, size_t);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real_write(fd, data, n);
    if (refused()) return -1;
    off_t at = lseek(fd, 0, SEEK_CUR);
    struct stat state;
    if ((fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &state) == 0) at = state.st_size;
    ssize_t done = real_write(fd, data, n);
    if (done > 0) record('W', path, at, data, done, NULL);
    return done;
}
int fsync(int fd) {
    REAL(int, fsync, int);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real_fsync(fd);
    if (refused()) return -1;
    int result = real_sync ? real_fsync(fd) : 0;
    if (!result) record('S', path, 0, NULL, 0, NULL);
    return result;
}
int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real_fdatasync(fd);
    if (refused()) return -1;
    int result = real_sync ? real_fdatasync(fd) : 0;
    if (!result) record('S', path, 0, NULL, 0, NULL);
    return result;
}
int ftruncate64(int fd, off64_t n) {
    REAL(int, ftruncate64, int, off64_t);
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real_ftruncate64(fd, n);
    if (refused()) return -1;
    int result = real_ftruncate64(fd, n);
    if (!result) record('T', path, 0, NULL, n, NULL);
    return result;
}
int ftruncate(int fd, off_t n) { return ftruncate64(fd, n); }
int unlink(const char *path) {
    REAL(int, unlink, const char *);
    if (!below(path)) return real_unlink(path);
    if (refused()) return -1;
    int result = real_unlink(path);
    if (!result) record('U', path, 0, NULL, 0, NULL);
    return result;
}
int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    if (!below(from)) return real_rename(from, to);
    if (refused()) return -1;
    int result = real_rename(from, to);
    if (!result) record('R', from, 0, NULL, 0, to);
    return result;
}
static int opened(const char *path, int flags, mode_t mode, int (*real)(const char *, int, ...)) {
    if (!below(path) || !(flags & (O_CREAT | O_TRUNC))) return real(path, flags, mode);
    struct stat state;
    int was = stat(path, &state) == 0;
    if ((!was || (flags & O_TRUNC)) && refused()) return -1;
    int fd = real(path, flags, mode);
    if (fd >= 0 && !was) record('C', path, 0, NULL, 0, NULL);
    else if (fd >= 0 && (flags & O_TRUNC)) record('T', path, 0, NULL, 0, NULL);
    return fd;
}
int open64(const char *path, int flags, ...) {
    REAL(int, open64, const char *, int, ...);
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return opened(path, flags, mode, real_open64);
}
int open(const char *path, int flags, ...) {
    REAL(int, open, const char *, int, ...);
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return opened(path, flags, mode, real_open);
}
