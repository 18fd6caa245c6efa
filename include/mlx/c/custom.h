/*
 * mlx/c/custom.h: primitives of the caller: operations whose shapes, values and derivatives are functions given at run time. An addition to
 * mlx-c.
 *
 * A primitive is known by its name, in printed graphs and in files of exported functions too, and works with gradients, batching and
 * compilation as far as it has rules. It must be a pure function: equal inputs give equal results, which may be computed once.
 */
#ifndef MLX_C_CUSTOM_H
#define MLX_C_CUSTOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mlx/c/array.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Memory of an input or output of an evaluation; strides count elements. */
typedef struct mlx_primitive_buffer_ {
  void* data;
  const int* shape;
  const int64_t* strides;
  size_t ndim;
  size_t size; /* elements */
  mlx_dtype dtype;
} mlx_primitive_buffer;

/** An evaluation: inputs of any strides, outputs to be filled, row-contiguous and apart from the inputs. */
typedef struct mlx_primitive_call_ {
  const mlx_primitive_buffer* inputs;
  size_t inputs_num;
  const mlx_primitive_buffer* outputs;
  size_t outputs_num;
  const int64_t* params;
  size_t params_num;
} mlx_primitive_call;

/** Shape and dtype of an output. */
typedef struct mlx_primitive_shape_ {
  mlx_dtype dtype;
  int ndim;
  int shape[32];
} mlx_primitive_shape;

/**
 * The functions of a primitive. Each gives 0, or something else for an error, and may say what was wrong by mlx_primitive_error. They are
 * called from any thread.
 */
typedef struct mlx_primitive_rules_ {
  size_t outputs_num;

  /** Shapes and dtypes of the outputs (outputs[outputs_num]). The inputs have no values yet. */
  int (*shape)(
      mlx_primitive_shape* outputs,
      const mlx_vector_array inputs,
      const int64_t* params,
      size_t params_num,
      void* payload);

  /** Computes the outputs on the CPU. */
  int (*eval)(const mlx_primitive_call* call, void* payload);

  /** One cotangent for each of the primals, of its shape. NULL: no gradient. */
  int (*vjp)(
      mlx_vector_array* res,
      const mlx_vector_array primals,
      const mlx_vector_array cotangents,
      const mlx_vector_array outputs,
      const int64_t* params,
      size_t params_num,
      void* payload);

  /** One tangent for each output. NULL: it comes from vjp, if there is one. */
  int (*jvp)(
      mlx_vector_array* res,
      const mlx_vector_array primals,
      const mlx_vector_array tangents,
      const int64_t* params,
      size_t params_num,
      void* payload);

  /**
   * The outputs for inputs that have one more axis, axes[i] of inputs[i] (-1: it has none), and where that axis is in each output. NULL: no
   * batching.
   */
  int (*vmap)(
      mlx_vector_array* res,
      int* res_axes,
      const mlx_vector_array inputs,
      const int* axes,
      const int64_t* params,
      size_t params_num,
      void* payload);

  void* payload;
  void (*dtor)(void*); /* of the payload, when the last user of the primitive is gone; may be NULL */
} mlx_primitive_rules;

/**
 * Registers a primitive. A name that is taken stands for the new one from now on. The payload is taken over, also when this fails.
 */
int mlx_primitive_register(const char* name, const mlx_primitive_rules* rules);

/** Forgets a name. Arrays that are not computed yet keep their primitive. */
int mlx_primitive_unregister(const char* name);

/** Whether there is a primitive of that name. */
bool mlx_primitive_is_registered(const char* name);

/** The outputs of a primitive for some inputs. Parameters are integers; mlx_param_double makes one of a double. */
int mlx_primitive_apply(
    mlx_vector_array* res,
    const char* name,
    const mlx_vector_array inputs,
    const int64_t* params,
    size_t params_num,
    const mlx_stream s);

/** In a function of a primitive: what its error says. Returns 1. */
int mlx_primitive_error(const char* message);

/** A double as a parameter, and back. */
static inline int64_t mlx_param_double(double v) {
  int64_t bits;
  memcpy(&bits, &v, sizeof bits);
  return bits;
}
static inline double mlx_double_param(int64_t bits) {
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_CUSTOM_H */
