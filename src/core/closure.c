/* Counted objects and closures. */
#include "core/closure.h"

#include "core/alloc.h"
#include "core/error.h"

void mx_object_release(mx_object *o) {
  if (o && mx_ref_drop(&o->refs)) o->destroy(o);
}

static void closure_destroy(mx_object *o) {
  mx_closure *c = (mx_closure *)o;
  if (c->dtor) c->dtor(c->payload);
  mx_free(c);
}

mx_closure *mx_closure_new(int (*call)(void *, int, mx_array *const *, mx_list *), void *payload, void (*dtor)(void *)) {
  mx_closure *c = mx_malloc(sizeof *c);
  if (!c) {
    if (dtor) dtor(payload);
    mx_fail_memory();
    return NULL;
  }
  *c = (mx_closure){{1, closure_destroy}, call, payload, dtor};
  return c;
}
