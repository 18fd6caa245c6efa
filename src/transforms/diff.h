/* A trace for differentiation: a function called on tracers in place of its primals, and the sweeps over what it built. */
#ifndef MX_DIFF_H
#define MX_DIFF_H

#include "transforms/tape.h"

/* args is what the function gets, src the tracers among them, out its results. */
typedef struct mx_diff_trace {
  mx_scope s;
  mx_array **args, **src;
  const int *which; /* as given: for errors */
  int n, nsrc;
  mx_list out;
} mx_diff_trace;

/* Traces f with the inputs `which` (NULL: all) replaced by tracers. Leaves the trace open, also on failure. */
int mx_diff_open(mx_diff_trace *t, mx_closure *f, int nsrc, const int *which, int n, mx_array *const *in);
/* rc, or the error of the trace. */
int mx_diff_close(mx_diff_trace *t, int rc);
/* Pushes the cotangents of the sources. cot: one an output, NULL: zero. */
int mx_diff_back(mx_diff_trace *t, mx_array *const *cot, mx_list *grads);
/* Pushes the tangents of the outputs. tangents: one a source, NULL: zero. For a trace opened while mx_sweeping counts it. */
int mx_diff_forward(mx_diff_trace *t, mx_array *const *tangents, mx_list *res);
/* 0, or an error of `tag` unless argnums are distinct arguments of a function that is called with n. */
int mx_check_argnums(const char *tag, int nargnums, const int *argnums, int n);

#endif
