/* Files as readers and writers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

int mx_file_create(mx_file_writer *w, const char *name, const char *tag) {
  FILE *f = fopen(name, "wbe");
  if (!f) return mx_fail(MX_ERUNTIME, "[%s] Failed to open file %s: %s", tag, name, strerror(errno));
  *w = (mx_file_writer){{file_write, writer_label}, name, f};
  return 0;
}

int mx_file_finish(mx_file_writer *w) {
  if (!fclose(w->file)) return 0;
  return mx_fail(MX_ERUNTIME, "[write] cannot write to %s: %s", w->name, strerror(errno));
}
