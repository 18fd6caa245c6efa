/* The kernels of the CPU, one an op: mx_cpu_<op>. */
#ifndef MX_CPU_KERNELS_H
#define MX_CPU_KERNELS_H

#include "backend/backend.h"

#define KERNELS_VIEW(name)
#define KERNELS_ALIAS(name)
#define KERNELS_CONTROL(name)
#define KERNELS_KERNEL(name) int mx_cpu_##name(const mx_call *c);
#define OP(name, label, kind, ...) KERNELS_##kind(name)
#include "structured.def"
#undef OP
#undef KERNELS_VIEW
#undef KERNELS_ALIAS
#undef KERNELS_CONTROL
#undef KERNELS_KERNEL

int mx_cpu_reduce(const mx_call *c);
int mx_cpu_run(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out);

/* n calls of one op with the same first input. */
int mx_cpu_matmuls(int n, const mx_call *c);
int mx_cpu_quantized_matmuls(int n, const mx_call *c);

/* Copies `in` to `out`, which has the same shape and dtype; both with any strides (out's must not repeat elements). */
int mx_copy_view(const mx_view *in, const mx_view *out);

/* Where an array starts, element i away. */
static inline void *mx_at(const mx_view *v, int64_t i) { return (char *)v->data + i * mx_dtype_sizes[v->dtype]; }

#endif
