/* The caller's functions: counted, with or without a payload. A closure handle's box holds one reference. */
#ifndef MX_CAPI_CALLBACK_H
#define MX_CAPI_CALLBACK_H

#include "capi/handles.h"

typedef struct mx_callback {
  mx_object base;
  void (*fun)(void); /* cast back to its own type before it is called */
  bool loaded;       /* takes the payload as its last argument */
  void *payload;
  void (*dtor)(void *);
} mx_callback;

static inline mx_callback *mx_callback_of(void *box) { return box ? *(mx_callback **)box : NULL; }

/* A box with a fresh callback. NULL, a reported error and the payload destroyed when it fails. */
void *mx_callback_new(void (*fun)(void), bool loaded, void *payload, void (*dtor)(void *));
int mx_callback_free(void *box);
/* *box = c, which it retains. */
int mx_put_callback(void **box, mx_callback *c);

/* A handle of the caller's arrays for the time of a call. */
#define MX_BORROWED(list, n_, at_) ((list) = (mx_list){.at = (mx_array **)(at_), .n = (n_)}, (mlx_vector_array){&(list)})

/* Takes the arrays that a callback put into h, whose box is freed unless it is `borrowed` (a callback that answers with its
 * own input). 0 or the kind of an error; rc is what the callback returned. */
int mx_callback_result(int rc, mlx_vector_array h, const mx_list *borrowed, mx_list *out);

#endif
