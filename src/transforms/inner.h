/* Transforms of functions inside a function that is traced for all shapes. */
#ifndef MX_INNER_H
#define MX_INNER_H

#include "core/closure.h"
#include "graph/graph.h"

enum mx_inner_kind { MX_INNER_GRAD, MX_INNER_VJP, MX_INNER_JVP, MX_INNER_MAP };

/* Arguments of a transform: n arrays, nmore cotangents or tangents; nums: which arguments (nnums -1: all), or the axes of a map (those of the results behind). */
typedef struct mx_within {
  int kind, n, nmore, nnums;
  mx_array *const *in, *const *more;
  const int *nums;
} mx_within;

/* Whether a trace for all shapes goes on through it. */
bool mx_within_wanted(const mx_within *x);
/* The transform of f, recorded if f serves all shapes: values go to a, gradients or tangents to b. f is called once. */
int mx_within_apply(const mx_within *x, mx_closure *f, mx_list *a, mx_list *b);
/* A map of what was traced from src to `traced`. *done: it was recorded, and gave res; else nothing was done. */
int mx_within_map(const mx_within *x, mx_array *const *src, const mx_list *traced, mx_list *res, bool *done);

#endif
