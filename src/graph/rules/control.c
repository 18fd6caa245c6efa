/* Results of control flow: as the parameters say. Their agreement with the inputs is checked when the node runs. */
#include "graph/rules/help.h"

/* Calls are built without rules, and opened before anybody could build one again. */
int infer_compiled(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)in, (void)np, (void)p, (void)nout, (void)out;
  return mx_fail(MX_EVALUE, "[%s] Only compile makes this node.", mx_ops[op].name);
}

int infer_control(int op, int nin, mx_array *const *in, int np, const int64_t *p, int nout, mx_aval *out) {
  (void)nin, (void)in;
  int at = 0;
  for (int i = 0; i < nout; i++) {
    NEED(op, np, at + 2);
    int64_t t = p[at++], ndim = p[at++];
    if (t < 0 || t >= MX_DTYPES || ndim < 0 || ndim > MX_MAX_NDIM)
      return mx_fail(MX_EVALUE, "[%s] Result %d has dtype %lld and %lld dimensions.", mx_ops[op].name, i, (long long)t, (long long)ndim);
    NEED(op, np, at + ndim);
    out[i].dtype = (mx_dtype)t;
    out[i].ndim = (int)ndim;
    for (int d = 0; d < ndim; d++) {
      int rc = mx_set_dim(op, &out[i], d, p[at++]);
      if (rc) return rc;
    }
  }
  return 0;
}
