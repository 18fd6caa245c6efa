/* Closures: a counted function of arrays. Arguments are borrowed; results are pushed on `out`. */
#ifndef MX_CORE_CLOSURE_H
#define MX_CORE_CLOSURE_H

#include "core/array.h"

typedef struct mx_closure {
  mx_object base;
  int (*call)(void *payload, int nin, mx_array *const *in, mx_list *out);
  void *payload;
  void (*dtor)(void *payload);
} mx_closure;

mx_closure *mx_closure_new(int (*call)(void *, int, mx_array *const *, mx_list *), void *payload, void (*dtor)(void *));
static inline int mx_closure_call(mx_closure *c, int nin, mx_array *const *in, mx_list *out) {
  return c->call(c->payload, nin, in, out);
}

#endif
