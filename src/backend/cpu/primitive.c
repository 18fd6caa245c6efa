/* Primitives registered at run time: the user's function is the kernel. */
#include "core/primitive.h"

#include "backend/cpu/kernels.h"
#include "core/alloc.h"
#include "core/error.h"

int mx_cpu_primitive(const mx_call *c) {
  const mx_primitive *prim = (const mx_primitive *)c->object;
  if (!prim) return mx_fail(MX_ERUNTIME, "[primitive] The primitive is gone.");
  int n = c->nin + c->nout;
  mx_primitive_view *v = mx_malloc((size_t)(n + 1) * sizeof *v);
  if (!v) return mx_fail_memory();
  for (int i = 0; i < n; i++) {
    const mx_view *x = i < c->nin ? &c->in[i] : &c->out[i - c->nin];
    v[i] = (mx_primitive_view){x->data, x->shape, x->strides, x->size, x->ndim, (mx_dtype)x->dtype};
  }
  int rc = prim->eval(prim->payload, &(mx_primitive_call){c->nin, c->nout, c->np - 1, v, v + c->nin, c->p + 1});
  mx_free(v);
  return rc;
}
