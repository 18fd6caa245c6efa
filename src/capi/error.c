/* The error handler: one for all threads, held by a count while it runs, so that another thread may replace it. */
#include "core/error.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "capi/handles.h"
#include "core/alloc.h"
#include "mlx/c/error.h"
#include "mlx/c/last_error.h"

typedef struct handler {
  int refs; /* under the lock */
  mlx_error_handler_func call;
  void *data;
  void (*dtor)(void *);
} handler;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static handler *current; /* NULL: the default, which does nothing */

static handler *take(void) {
  pthread_mutex_lock(&lock);
  handler *h = current;
  if (h) h->refs++;
  pthread_mutex_unlock(&lock);
  return h;
}

static void drop(handler *h) {
  if (!h) return;
  pthread_mutex_lock(&lock);
  int left = --h->refs;
  pthread_mutex_unlock(&lock);
  if (left) return;
  if (h->dtor) h->dtor(h->data);
  mx_free(h);
}

void mlx_set_error_handler(mlx_error_handler_func call, void *data, void (*dtor)(void *)) {
  handler *h = NULL;
  if (call) {
    h = mx_malloc(sizeof *h);
    if (!h) { /* the old handler stays, and is the one to hear of it */
      mx_fail_memory();
      MX_REPORT();
      if (dtor) dtor(data);
      return;
    }
    *h = (handler){1, call, data, dtor};
  } else if (dtor) {
    dtor(data);
  }
  pthread_mutex_lock(&lock);
  handler *old = current;
  current = h;
  pthread_mutex_unlock(&lock);
  drop(old);
}

int mx_capi_report(const char *file, int line) {
  handler *h = take();
  if (h) {
    char text[4096 + 64];
    const char *base = strrchr(file, '/');
    snprintf(text, sizeof text, "%.4000s at %.60s:%d", mx_error_message(), base ? base + 1 : file, line);
    h->call(text, h->data);
    drop(h);
  }
  return 1;
}

void _mlx_error(const char *file, const int line, const char *fmt, ...) {
  char text[4096];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  mx_fail(MX_ERUNTIME, "%s", text);
  mx_capi_report(file, line);
}

const char *mlx_last_error(void) { return mx_error_message(); }
