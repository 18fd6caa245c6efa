/* Parameters that follow from shapes: from those that a builder wrote for any shape (mx_node_relative) to those of the op. */
#include <limits.h>

#include "graph/relative.h"
#include "graph/rules/help.h"

static int refused(int op) { return mx_fail(MX_EVALUE, "[%s] The parameters do not fit an input of this shape.", mx_ops[op].name); }

static int settle_reshape(int op, const mx_array *x, int np, const int64_t *raw, int64_t *p) {
  for (int i = 0; i < np; i++) {
    p[i] = raw[i];
    if (raw[i] >= -1) continue;
    bool rest = raw[i] < INT64_MIN / 2;
    int64_t v = rest ? raw[i] - INT64_MIN : -2 - raw[i];
    int64_t lo = rest ? v >> 32 : v / MX_MAX_NDIM, hi = rest ? lo : v % MX_MAX_NDIM, by = rest ? v & UINT32_MAX : 1, size = 1;
    if (lo > hi || hi >= x->ndim || by < 1) return refused(op);
    for (int64_t d = lo; d <= hi; d++) /* an axis of size 0 behind large ones */
      if (__builtin_mul_overflow(size, (int64_t)x->shape[d], &size)) size = INT64_MAX;
    for (int64_t d = lo; d <= hi; d++)
      if (!x->shape[d]) size = 0;
    if (size / by > MX_MAX_DIM) return mx_fail_dim(mx_ops[op].name, size / by);
    if (size % by) return refused(op);
    p[i] = size / by;
  }
  return 0;
}

static int settle_slice(int op, const mx_array *x, int np, const int64_t *raw, int64_t *p) {
  int nd = x->ndim, rc = 0;
  if (np != 3 * nd) return refused(op);
  for (int i = 0; i < np; i++)
    if (raw[i] < -INT_MAX || raw[i] > INT_MAX) return refused(op);
  for (int i = 0; i < nd && !rc; i++) {
    int size = 0;
    rc = mx_slice_bounds(mx_ops[op].name, x->shape[i], (int)raw[i], (int)raw[nd + i], (int)raw[2 * nd + i], &p[i], &p[nd + i], &size);
    p[2 * nd + i] = size ? raw[2 * nd + i] : 1;
  }
  return rc;
}

static int settle_gather(int op, int nin, const mx_array *x, int np, const int64_t *raw, int64_t *p) {
  int first = nin; /* number of index arrays, their axes, sizes */
  if (np != first + x->ndim || raw[0] != nin - 1) return refused(op);
  for (int i = 0; i < np; i++) p[i] = i >= first && raw[i] == -1 ? x->shape[i - first] : raw[i];
  return 0;
}

int mx_settle_parameters(int op, int nin, mx_array *const *in, int np, const int64_t *raw, int64_t *p) {
  if (nin == 1 && op == OP_reshape) return settle_reshape(op, in[0], np, raw, p);
  if (nin == 1 && op == OP_slice) return settle_slice(op, in[0], np, raw, p);
  if (nin >= 1 && op == OP_gather) return settle_gather(op, nin, in[0], np, raw, p);
  return refused(op);
}
