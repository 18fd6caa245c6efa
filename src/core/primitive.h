/* Primitives registered at run time, as a back end sees them: a counted object with a function to call. */
#ifndef MX_CORE_PRIMITIVE_H
#define MX_CORE_PRIMITIVE_H

#include "core/array.h"

typedef struct mx_primitive_view {
  void *data;
  const int32_t *shape;
  const int64_t *strides; /* in elements */
  int64_t size;
  int ndim;
  mx_dtype dtype;
} mx_primitive_view;

/* Inputs may have any strides; outputs are row-contiguous and overlap no input. */
typedef struct mx_primitive_call {
  int nin, nout, np;
  const mx_primitive_view *in, *out;
  const int64_t *p; /* the user's parameters */
} mx_primitive_call;

typedef struct mx_primitive {
  mx_object base;
  const char *name;
  int (*eval)(void *payload, const mx_primitive_call *call); /* 0 or the kind of a recorded error */
  void *payload;
} mx_primitive;

#endif
