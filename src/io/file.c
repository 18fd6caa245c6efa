/* Files as readers and writers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/error.h"
#include "io/io.h"

int mx_read(mx_reader *r, void *to, size_t n, uint64_t at, const char *tag) {
  if (at > r->size || n > r->size - at)
    return mx_fail(MX_ERUNTIME, "[%s] %s ends before its content: %zu bytes expected at %llu, it has %llu", tag, r->label(r), n,
                   (unsigned long long)at, (unsigned long long)r->size);
  return r->read(r, to, n, at);
}

static const char *reader_label(mx_reader *r) { return ((mx_file_reader *)r)->name; }
static const char *writer_label(mx_writer *w) { return ((mx_file_writer *)w)->name; }

static int file_read(mx_reader *r, void *to, size_t n, uint64_t at) {
  char *p = to;
  while (n) {
    size_t part = n < 1u << 30 ? n : 1u << 30;
    ssize_t got = pread(((mx_file_reader *)r)->fd, p, part, (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return mx_fail(MX_ERUNTIME, "[read] cannot read %zu bytes of %s: %s", n, r->label(r), got ? strerror(errno) : "it ends before");
    p += got;
    n -= (size_t)got;
    at += (uint64_t)got;
  }
  return 0;
}

int mx_file_open(mx_file_reader *r, const char *name, const char *tag) {
  struct stat st;
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return mx_fail(MX_ERUNTIME, "[%s] Failed to open file %s: %s", tag, name, strerror(errno));
  if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
    close(fd);
    return mx_fail(MX_ERUNTIME, "[%s] Failed to open file %s: not a regular file", tag, name);
  }
  *r = (mx_file_reader){{file_read, reader_label, (uint64_t)st.st_size}, name, fd};
  return 0;
}

void mx_file_close(mx_file_reader *r) { close(r->fd); }

static int file_write(mx_writer *w, const void *from, size_t n) {
  if (fwrite(from, 1, n, ((mx_file_writer *)w)->file) == n) return 0;
  return mx_fail(MX_ERUNTIME, "[write] cannot write to %s: %s", w->label(w), strerror(errno));
}

/* The name to replace (of what a link points to), and a new one beside it; NULL where the file cannot be replaced, or without memory. */
static char *name_to_replace(const char *name) {
  struct stat st;
  if (stat(name, &st)) return errno == ENOENT ? mx_strdup(name) : NULL;
  if (!S_ISREG(st.st_mode)) return NULL;
  char *real = realpath(name, NULL), *copy = real ? mx_strdup(real) : NULL;
  free(real);
  return copy;
}

static FILE *open_aside(const char *target, char **aside) {
  static _Atomic unsigned count;
  size_t room = strlen(target) + 48;
  if (!(*aside = mx_malloc(room))) return NULL;
  snprintf(*aside, room, "%s.%ld-%u.part", target, (long)getpid(), count++);
  struct stat st;
  int fd = open(*aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd >= 0 && !stat(target, &st) && fchmod(fd, st.st_mode & 07777)) { /* keeps the new file's own mode */
  }
  FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
  if (fd >= 0 && !f) {
    close(fd);
    unlink(*aside);
  }
  return f;
}

int mx_file_create(mx_file_writer *w, const char *name, const char *tag) {
  *w = (mx_file_writer){.base = {file_write, writer_label, false}, .name = name, .target = name_to_replace(name)};
  if (w->target) w->file = open_aside(w->target, &w->aside);
  if (w->file) return 0;
  mx_free(w->target);
  mx_free(w->aside);
  w->target = w->aside = NULL;
  if ((w->file = fopen(name, "wbe"))) return 0;
  return mx_fail(MX_ERUNTIME, "[%s] Failed to open file %s: %s", tag, name, strerror(errno));
}

int mx_file_finish(mx_file_writer *w) {
  bool bad = fclose(w->file) != 0;
  if (w->aside) {
    if (!bad && w->base.complete) bad = rename(w->aside, w->target) != 0;
    if (bad || !w->base.complete) {
      int why = errno;
      unlink(w->aside);
      errno = why;
    }
  }
  mx_free(w->target);
  mx_free(w->aside);
  return bad ? mx_fail(MX_ERUNTIME, "[write] cannot write to %s: %s", w->name, strerror(errno)) : 0;
}
