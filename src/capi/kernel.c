/* Kernels in source for Metal and CUDA: checked when they are made and called. There is no back end that could run them, so of a
 * configuration only what a call checks is kept. */
#include "mlx/c/fast_kernels.h"

#include <string.h>

#include "capi/handles.h"
#include "core/alloc.h"

typedef struct config {
  int noutputs;
  bool grid, threads; /* whether they are set */
} config;

typedef struct kernel {
  int ninputs, noutputs;
} kernel;

static void *box(size_t size) {
  void *p = mx_calloc(1, size);
  if (!p) mx_fail_memory(), MX_REPORT();
  return p;
}

static int need(const config *c, const char *tag) {
  return c ? 0 : mx_fail(MX_EVALUE, "[%s] empty configuration given", tag);
}

static int add_output(config *c, const int *shape, size_t n, mlx_dtype dtype, const char *tag) {
  int rc = need(c, tag);
  if (!rc && ((n && !shape) || n > MX_MAX_NDIM)) rc = mx_fail(MX_EVALUE, "[%s] no shape, or one of %zu dimensions given for a result", tag, n);
  if (!rc && (unsigned)dtype >= MX_DTYPES) rc = mx_fail(MX_EVALUE, "[%s] %d given for the dtype of a result", tag, (int)dtype);
  for (size_t i = 0; !rc && i < n; i++)
    if (shape[i] < 0) rc = mx_fail(MX_EVALUE, "[%s] dimension %zu of a result is %d, expected none below 0", tag, i, shape[i]);
  if (!rc) c->noutputs++;
  return rc;
}

static int set_size(config *c, bool *set, int x, int y, int z, const char *what, const char *tag) {
  int rc = need(c, tag);
  if (!rc && (x < 0 || y < 0 || z < 0)) rc = mx_fail(MX_EVALUE, "[%s] %s is (%d,%d,%d), expected none below 0", tag, what, x, y, z);
  if (!rc) *set = true;
  return rc;
}

static int set_template(const config *c, const char *name, bool right, const char *tag) {
  int rc = need(c, tag);
  return rc ? rc : name && right ? 0 : mx_fail(MX_EVALUE, "[%s] NULL given for a template argument's name, or a number that is no dtype", tag);
}

static void *new_kernel(const char *name, mlx_vector_string inputs, mlx_vector_string outputs, const char *source, const char *header,
                        const char *tag) {
  if (!name || !source || !header || !inputs.ctx || !outputs.ctx) {
    MX_REFUSE(MX_EVALUE, "[%s] NULL or an empty vector given for a name, the names or the source", tag);
    return NULL;
  }
  size_t nin = mlx_vector_string_size(inputs), nout = mlx_vector_string_size(outputs);
  if (!nout) {
    MX_REFUSE(MX_EVALUE, "[%s] Must specify at least one output.", tag);
    return NULL;
  }
  kernel *k = box(sizeof *k);
  if (k) *k = (kernel){(int)nin, (int)nout};
  return k;
}

static int apply(const kernel *k, mlx_vector_array inputs, const config *c, mlx_stream s, const char *tag, const char *backend) {
  const mx_list *in;
  if (!k || !s.ctx) return mx_fail(MX_EVALUE, "[%s] empty kernel or stream given", tag);
  int rc = mx_need_list(&in, inputs, tag, "inputs");
  if (!rc) rc = need(c, tag);
  if (rc) return rc;
  if (in->n != k->ninputs) return mx_fail(MX_EVALUE, "[%s] Expected `inputs` to have size %d but got size %d.", tag, k->ninputs, in->n);
  if (c->noutputs != k->noutputs)
    return mx_fail(MX_EVALUE, "[%s] Expected shapes and dtypes of %d outputs but got %d.", tag, k->noutputs, c->noutputs);
  if (!c->grid || !c->threads) return mx_fail(MX_EVALUE, "[%s] Expected `grid` and `threadgroup` to be set.", tag);
  return mx_fail(MX_ERUNTIME, "[%s] No %s back-end.", tag, backend);
}

#define FAMILY(f, backend, extra)                                                                                                          \
  mlx_fast_##f##_kernel_config mlx_fast_##f##_kernel_config_new(void) { return (mlx_fast_##f##_kernel_config){box(sizeof(config))}; }      \
  void mlx_fast_##f##_kernel_config_free(mlx_fast_##f##_kernel_config cls) { mx_free(cls.ctx); }                                           \
  int mlx_fast_##f##_kernel_config_add_output_arg(mlx_fast_##f##_kernel_config cls, const int *shape, size_t size, mlx_dtype dtype) {      \
    return MX_STATUS(add_output(cls.ctx, shape, size, dtype, #f "_kernel"));                                                              \
  }                                                                                                                                        \
  int mlx_fast_##f##_kernel_config_set_grid(mlx_fast_##f##_kernel_config cls, int grid1, int grid2, int grid3) {                           \
    config *c = cls.ctx;                                                                                                                   \
    return MX_STATUS(set_size(c, c ? &c->grid : NULL, grid1, grid2, grid3, "the grid", #f "_kernel"));                                     \
  }                                                                                                                                        \
  int mlx_fast_##f##_kernel_config_set_thread_group(mlx_fast_##f##_kernel_config cls, int thread1, int thread2, int thread3) {             \
    config *c = cls.ctx;                                                                                                                   \
    return MX_STATUS(set_size(c, c ? &c->threads : NULL, thread1, thread2, thread3, "the thread group", #f "_kernel"));                    \
  }                                                                                                                                        \
  int mlx_fast_##f##_kernel_config_set_init_value(mlx_fast_##f##_kernel_config cls, float value) {                                         \
    (void)value;                                                                                                                           \
    return MX_STATUS(need(cls.ctx, #f "_kernel"));                                                                                         \
  }                                                                                                                                        \
  int mlx_fast_##f##_kernel_config_set_verbose(mlx_fast_##f##_kernel_config cls, bool verbose) {                                           \
    (void)verbose;                                                                                                                         \
    return MX_STATUS(need(cls.ctx, #f "_kernel"));                                                                                         \
  }                                                                                                                                        \
  int mlx_fast_##f##_kernel_config_add_template_arg_dtype(mlx_fast_##f##_kernel_config cls, const char *name, mlx_dtype dtype) {           \
    return MX_STATUS(set_template(cls.ctx, name, (unsigned)dtype < MX_DTYPES, #f "_kernel"));                                              \
  }                                                                                                                                        \
  int mlx_fast_##f##_kernel_config_add_template_arg_int(mlx_fast_##f##_kernel_config cls, const char *name, int value) {                   \
    (void)value;                                                                                                                           \
    return MX_STATUS(set_template(cls.ctx, name, true, #f "_kernel"));                                                                     \
  }                                                                                                                                        \
  int mlx_fast_##f##_kernel_config_add_template_arg_bool(mlx_fast_##f##_kernel_config cls, const char *name, bool value) {                 \
    (void)value;                                                                                                                           \
    return MX_STATUS(set_template(cls.ctx, name, true, #f "_kernel"));                                                                     \
  }                                                                                                                                        \
  mlx_fast_##f##_kernel mlx_fast_##f##_kernel_new(const char *name, const mlx_vector_string input_names,                                   \
                                                  const mlx_vector_string output_names, const char *source, const char *header,            \
                                                  bool ensure_row_contiguous, extra) {                                                     \
    (void)ensure_row_contiguous;                                                                                                           \
    (void)option;                                                                                                                          \
    return (mlx_fast_##f##_kernel){new_kernel(name, input_names, output_names, source, header, #f "_kernel")};                             \
  }                                                                                                                                        \
  void mlx_fast_##f##_kernel_free(mlx_fast_##f##_kernel cls) { mx_free(cls.ctx); }                                                         \
  int mlx_fast_##f##_kernel_apply(mlx_vector_array *outputs, mlx_fast_##f##_kernel cls, const mlx_vector_array inputs,                     \
                                  const mlx_fast_##f##_kernel_config config, const mlx_stream stream) {                                    \
    (void)outputs;                                                                                                                         \
    return MX_STATUS(apply(cls.ctx, inputs, config.ctx, stream, #f "_kernel", backend));                                                   \
  }

FAMILY(metal, "Metal", bool option)
FAMILY(cuda, "CUDA", int option)
