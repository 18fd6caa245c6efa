/* The trace: a file of events as they happened.
 *
 * The file is a JSON array, written in whole events by single writes, so that what a killed process leaves lacks the closing bracket only,
 * which the format allows. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/error.h"
#include "graph/graph.h"
#include "runtime/profile.h"

enum { ROOM = 1 << 16, EVENT = 1 << 14 };

_Atomic bool mx_tracing_file;

static struct {
  pthread_mutex_t lock;
  int fd;
  bool failed;
  double flushed; /* the end of the last event that was written out */
  size_t n;
} trace = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};
static char text[ROOM]; /* apart: what is nothing but zeros takes no room in the library's file */

static void write_out(void) {
  for (size_t at = 0; at < trace.n && !trace.failed;) {
    ssize_t n = write(trace.fd, text + at, trace.n - at);
    if (n < 0 && errno != EINTR) trace.failed = true;
    if (n > 0) at += (size_t)n;
  }
  trace.n = 0;
}

static void append(const char *what, size_t n) {
  if (trace.n + n > ROOM) write_out();
  memcpy(text + trace.n, what, n);
  trace.n += n;
}

/* ---- one event ---- */

typedef struct line {
  size_t n;
  char at[EVENT];
} line;

/* What does not fit is left out, in whole pieces. */
static bool put(line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool put(line *l, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  size_t left = EVENT - l->n;
  int n = vsnprintf(l->at + l->n, left, fmt, ap);
  va_end(ap);
  if (n < 0 || (size_t)n + 64 > left) { /* 64: room for what closes the event */
    l->at[l->n] = 0;
    return false;
  }
  l->n += (size_t)n;
  return true;
}

static void put_text(line *l, const char *s) {
  put(l, "\"");
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') put(l, "\\%c", c);
    else if (c < 0x20) put(l, "\\u%04x", c);
    else put(l, "%c", c);
  }
  put(l, "\"");
}

static void put_array(line *l, int i, int dtype, int ndim, const int32_t *shape) {
  size_t start = l->n;
  bool ok = put(l, "%s\"%s[", i ? "," : "", mx_dtype_name((mx_dtype)dtype));
  for (int d = 0; d < ndim && ok; d++) ok = put(l, d ? ",%d" : "%d", (int)shape[d]);
  if (!ok || !put(l, "]\"")) l->at[l->n = start] = 0;
}

static void put_arrays(line *l, const mx_run_event *e) {
  put(l, ",\"in\":[");
  for (int i = 0; i < e->nin; i++) put_array(l, i, e->in[i]->dtype, e->in[i]->ndim, e->in[i]->shape);
  put(l, "],\"out\":[");
  for (int i = 0; i < e->nout; i++) put_array(l, i, e->out[i].dtype, e->out[i].ndim, e->out[i].shape);
  put(l, "],\"read\":%llu,\"written\":%llu", (unsigned long long)e->read, (unsigned long long)e->written);
  if (e->flops > 0) put(l, ",\"flops\":%.0f", e->flops);
}

static long thread_number(void) {
  static _Thread_local long number;
  if (!number) number = (long)syscall(SYS_gettid);
  return number;
}

static void format(line *l, const mx_run_event *e) {
  put(l, ",\n{\"name\":");
  put_text(l, e->name);
  put(l, ",\"cat\":\"%s\",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f,\"pid\":%d,\"tid\":%ld,\"args\":{\"stream\":%d", e->category,
      1e6 * e->begin, 1e6 * (e->end - e->begin), (int)getpid(), thread_number(), (int)e->stream);
  if (e->nops > 1) {
    put(l, ",\"ops\":[");
    for (int i = 0; i < e->nops; i++) put(l, "%s\"%s\"", i ? "," : "", mx_ops[e->op[i]].label);
    put(l, "]");
  }
  if (e->nops) put_arrays(l, e);
  if (e->why) {
    put(l, ",\"why\":");
    put_text(l, e->why);
  }
  l->n += (size_t)snprintf(l->at + l->n, EVENT - l->n, "}}");
}

void mx_trace_event(const mx_run_event *e) {
  line l = {0};
  format(&l, e);
  pthread_mutex_lock(&trace.lock);
  if (trace.fd >= 0) {
    append(l.at, l.n);
    if (e->end - trace.flushed > 0.25) {
      trace.flushed = e->end;
      write_out();
    }
  }
  pthread_mutex_unlock(&trace.lock);
}

/* ---- start and stop ---- */

/* A forked child writes nothing: the file is its parent's. */
static void after_fork(void) {
  pthread_mutex_init(&trace.lock, NULL);
  mx_watch_after_fork(trace.fd >= 0 ? -1 : 0);
  if (trace.fd < 0) return;
  close(trace.fd);
  trace.fd = -1;
  trace.n = 0;
  atomic_store(&mx_tracing_file, false);
}

/* Under the lock. */
static int finish(void) {
  if (trace.fd < 0) return 0;
  append("\n]\n", 3);
  write_out();
  bool bad = close(trace.fd) || trace.failed;
  trace.fd = -1;
  atomic_store(&mx_tracing_file, false);
  return bad ? mx_fail(MX_ERUNTIME, "[trace] The file could not be written.") : 0;
}

static char *with_number(const char *path) {
  const char *at = strstr(path, "%p");
  size_t n = strlen(path) + 16;
  char *full = mx_malloc(n);
  if (!full) mx_fail_memory();
  else if (at) snprintf(full, n, "%.*s%d%s", (int)(at - path), path, (int)getpid(), at + 2);
  else snprintf(full, n, "%s", path);
  return full;
}

int mx_trace_start(const char *path) {
  static bool registered;
  char *full = with_number(path);
  if (!full) return MX_EMEMORY;
  int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    int rc = mx_fail(MX_ERUNTIME, "[trace] Cannot write %s: %s.", full, strerror(errno));
    mx_free(full);
    return rc;
  }
  mx_free(full);
  int rc = mx_trace_stop();
  pthread_mutex_lock(&trace.lock);
  if (!registered) pthread_atfork(NULL, NULL, after_fork), registered = true;
  trace.fd = fd;
  trace.failed = false;
  trace.n = (size_t)snprintf(text, ROOM, "[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"args\":{\"name\":\"mlx\"}}", (int)getpid());
  write_out();
  atomic_store(&mx_tracing_file, true);
  pthread_mutex_unlock(&trace.lock);
  mx_watch_times(1);
  return rc;
}

int mx_trace_flush(void) {
  pthread_mutex_lock(&trace.lock);
  if (trace.fd >= 0) write_out();
  int rc = trace.failed ? mx_fail(MX_ERUNTIME, "[trace] The file could not be written.") : 0;
  pthread_mutex_unlock(&trace.lock);
  return rc;
}

int mx_trace_stop(void) {
  pthread_mutex_lock(&trace.lock);
  bool was = trace.fd >= 0;
  int rc = finish();
  pthread_mutex_unlock(&trace.lock);
  if (was) mx_watch_times(-1);
  return rc;
}

/* ---- what the environment asks for ---- */

static bool asked(const char *name) {
  const char *v = getenv(name);
  return v && *v && strcmp(v, "0") != 0;
}

__attribute__((constructor)) static void from_environment(void) {
  if (asked("MLX_DEBUG_NANS")) mx_set_debug_nans(true, strcmp(getenv("MLX_DEBUG_NANS"), "inf") == 0);
  if (asked("MLX_TRACE") && mx_trace_start(getenv("MLX_TRACE"))) mx_error_clear(); /* nobody is there to hear of it */
}

__attribute__((destructor)) static void at_exit(void) {
  if (mx_trace_stop()) mx_error_clear();
}
