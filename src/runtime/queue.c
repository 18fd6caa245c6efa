/* The workers of streams. */
#include "runtime/queue.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"
#include "runtime/runtime.h"

typedef struct item { struct item *next; void (*fn)(void *); void *arg; } item;
typedef struct queue {
  struct queue *next;
  mx_stream stream;
  pthread_cond_t work, idle;
  item *first, *last;
  uint64_t pushed, done;
  bool started;
} queue;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static queue *queues;

/* A forked child has no workers. What was queued in the parent stays the parent's. */
static void after_fork(void) {
  pthread_mutex_init(&lock, NULL);
  queues = NULL;
}

static queue *queue_of(mx_stream s, bool make) {
  static bool registered;
  for (queue *q = queues; q; q = q->next)
    if (q->stream == s) return q;
  queue *q = make ? mx_calloc(1, sizeof *q) : NULL;
  if (!q) return NULL;
  if (!registered) pthread_atfork(NULL, NULL, after_fork), registered = true;
  q->stream = s;
  pthread_cond_init(&q->work, NULL);
  pthread_cond_init(&q->idle, NULL);
  q->next = queues;
  return queues = q;
}

static void *worker(void *arg) {
  queue *q = arg;
  mx_parallel_background();
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!q->first) pthread_cond_wait(&q->work, &lock);
    item *i = q->first;
    if (!(q->first = i->next)) q->last = NULL;
    pthread_mutex_unlock(&lock);
    i->fn(i->arg);
    mx_free(i);
    pthread_mutex_lock(&lock);
    q->done++;
    pthread_cond_broadcast(&q->idle);
  }
  return NULL;
}

static int start(queue *q) {
  pthread_t t;
  if (q->started) return 0;
  if (pthread_create(&t, NULL, worker, q)) return mx_fail(MX_ERUNTIME, "[stream] Cannot start a worker thread.");
  pthread_detach(t);
  q->started = true;
  return 0;
}

int mx_queue_push(mx_stream s, void (*fn)(void *), void *arg) {
  item *i = mx_malloc(sizeof *i);
  if (!i) return mx_fail_memory();
  *i = (item){NULL, fn, arg};
  pthread_mutex_lock(&lock);
  queue *q = queue_of(s, true);
  int rc = q ? start(q) : mx_fail_memory();
  if (!rc) {
    if (q->last) q->last->next = i;
    else q->first = i;
    q->last = i;
    q->pushed++;
    pthread_cond_signal(&q->work);
  }
  pthread_mutex_unlock(&lock);
  if (rc) mx_free(i);
  return rc;
}

int mx_queue_wait(mx_stream s) {
  void *state = mx_wait_begin();
  mx_parallel_waiting(1);
  pthread_mutex_lock(&lock);
  queue *q = queue_of(s, false);
  uint64_t until = q ? q->pushed : 0;
  while (q && q->done < until) pthread_cond_wait(&q->idle, &lock);
  pthread_mutex_unlock(&lock);
  mx_parallel_waiting(-1);
  mx_wait_end(state);
  return 0;
}
