/* Giving Python objects back from threads that may not hold the interpreter lock: a worker that waited for it could wait
 * for a thread that waits for the worker. The object is put on a list, and the interpreter is asked to empty the list. */
#include "px.h"

#include <stdatomic.h>
#include <stdlib.h>

typedef struct entry {
  PyObject *object;
  struct entry *next;
} entry;
static _Atomic(entry *) waiting;

static int drain(void *unused) {
  (void)unused;
  entry *e = atomic_exchange(&waiting, NULL);
  while (e) {
    entry *next = e->next;
    Py_DECREF(e->object);
    free(e);
    e = next;
  }
  return 0;
}

void px_release_later(PyObject *o) {
  entry *e = Py_IsInitialized() ? malloc(sizeof *e) : NULL;
  if (!e) return; /* leaked: there is no memory to remember it, or the process ends */
  e->object = o;
  e->next = atomic_load(&waiting);
  while (!atomic_compare_exchange_weak(&waiting, &e->next, e)) {}
  if (!e->next) Py_AddPendingCall(drain, NULL); /* when the queue is full, the next object tries again */
}
