/* The table of streams: which device each belongs to. Queues and workers are the runtime's. */
#include "core/stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/error.h"

enum { MAX_STREAMS = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mx_device devices[MAX_STREAMS] = {{MX_CPU, 0}};
static int count = 1;
static _Thread_local mx_stream thread_stream; /* the default CPU stream of this thread */
static _Thread_local mx_device thread_device = {MX_CPU, 0};
static _Atomic bool chosen; /* some thread has chosen its default stream: until then nobody looks for its own, which takes a call */

mx_device mx_default_device(void) { return thread_device; }
int mx_device_count(mx_device_type t) { return t == MX_CPU ? 1 : 0; }

static int check_device(const char *tag, mx_device d) {
  if (d.type == MX_CPU && d.index == 0) return 0;
  if (d.type == MX_CPU) return mx_fail(MX_EINDEX, "[%s] There is 1 CPU device, got index %d.", tag, d.index);
  return mx_fail(MX_EVALUE, "[%s] Cannot use the gpu device: there is no gpu back-end.", tag);
}

int mx_set_default_device(mx_device d) {
  int rc = check_device("set_default_device", d);
  if (!rc) thread_device = d;
  return rc;
}

const mx_stream *mx_default_stream_place(void) {
  static const mx_stream first;
  return atomic_load_explicit(&chosen, memory_order_relaxed) ? &thread_stream : &first;
}
mx_stream mx_default_stream(void) { return *mx_default_stream_place(); }

int mx_default_stream_of(mx_stream *s, mx_device d) {
  int rc = check_device("default_stream", d);
  if (!rc) *s = mx_default_stream();
  return rc;
}

int mx_set_default_stream(mx_stream s) {
  if (s < 0 || s >= mx_stream_count()) return mx_fail(MX_EVALUE, "[set_default_stream] There is no stream %d.", s);
  thread_stream = s;
  atomic_store_explicit(&chosen, true, memory_order_relaxed);
  return 0;
}

int mx_stream_new(mx_stream *s, mx_device d) {
  int rc = check_device("new_stream", d);
  if (rc) return rc;
  pthread_mutex_lock(&lock);
  if (count == MAX_STREAMS) rc = mx_fail(MX_ERUNTIME, "[new_stream] More than %d streams.", MAX_STREAMS);
  else devices[count] = d, *s = (mx_stream)count++;
  pthread_mutex_unlock(&lock);
  return rc;
}

mx_device mx_stream_device(mx_stream s) { return devices[s]; }

int mx_stream_count(void) {
  pthread_mutex_lock(&lock);
  int n = count;
  pthread_mutex_unlock(&lock);
  return n;
}
