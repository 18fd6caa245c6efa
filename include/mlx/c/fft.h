/*
 * mlx/c/fft.h: Discrete Fourier transforms. Results are c64, those of irfft f32. Where `n` is given
 * the input is cut or padded with zeros to it. The norm says where 1 / n is applied: BACKWARD in
 * the inverse, FORWARD in the forward transform, ORTHO its root in both. Written by tools/opgen.py
 * from ops/functions.def.
 */
#ifndef MLX_C_FFT_H
#define MLX_C_FFT_H

#include "mlx/c/array.h"
#include "mlx/c/optional.h"
#include "mlx/c/stream.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Where a transform is divided by its size. */
typedef enum mlx_fft_norm_ { MLX_FFT_NORM_BACKWARD, MLX_FFT_NORM_ORTHO, MLX_FFT_NORM_FORWARD } mlx_fft_norm;

/** The frequencies of the bins of a transform of size n with sample spacing d. */
int mlx_fft_fftfreq(mlx_array* res, int n, double d, const mlx_stream s);

/** The zero frequency moved to the middle. */
int mlx_fft_fftshift(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** Undoes mlx_fft_fftshift. */
int mlx_fft_ifftshift(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** The frequencies of the bins of mlx_fft_rfft. */
int mlx_fft_rfftfreq(mlx_array* res, int n, double d, const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_FFT_H */
