/* Walking the points of a shape with the strides of up to three operands. Dimensions that can be merged are merged, so that the
 * usual cases have one or two; strides are in elements. */
#ifndef MX_CPU_WALK_H
#define MX_CPU_WALK_H

#include "backend/backend.h"

enum { MX_WALK_OPERANDS = 3 };

typedef struct mx_walk {
  int nd;                                              /* may be 0: one point */
  int64_t n;                                           /* number of points */
  int64_t shape[MX_MAX_NDIM];
  int64_t stride[MX_WALK_OPERANDS][MX_MAX_NDIM];
} mx_walk;

typedef struct mx_cursor {
  int64_t off[MX_WALK_OPERANDS];                       /* of the current point */
  int64_t at[MX_MAX_NDIM];
} mx_cursor;

/* The dimensions of shape but for `skip` (-1: all). Unused operands are NULL. */
void mx_walk_init(mx_walk *w, int nd, const int32_t *shape, int skip, const int64_t *s0, const int64_t *s1, const int64_t *s2);
/* Takes the innermost dimension off: its length, and its strides in `stride`. A walk of no dimensions gives 1. */
int64_t mx_walk_pop(mx_walk *w, int64_t stride[MX_WALK_OPERANDS]);
/* Puts the cursor on the ith point, in row order. */
void mx_walk_seek(const mx_walk *w, mx_cursor *c, int64_t i);

static inline void mx_walk_next(const mx_walk *w, mx_cursor *c) {
  for (int d = w->nd - 1; d >= 0; d--) {
    for (int k = 0; k < MX_WALK_OPERANDS; k++) c->off[k] += w->stride[k][d];
    if (++c->at[d] < w->shape[d]) return;
    for (int k = 0; k < MX_WALK_OPERANDS; k++) c->off[k] -= w->stride[k][d] * w->shape[d];
    c->at[d] = 0;
  }
}

/* The rows of a view and of a result along one axis. */
typedef struct mx_rows {
  mx_walk walk;          /* where rows start: operand 0 the view, 1 the result */
  int64_t n[2];          /* row lengths */
  int64_t stride[2];     /* along the row */
} mx_rows;
void mx_rows_init(mx_rows *r, const mx_view *in, const mx_view *out, int axis);
/* Rows a range of mx_parallel should take so that it has about 2^15 elements. */
int64_t mx_rows_grain(const mx_rows *r);

#endif
