/*
 * mlx/c/fft.h: Discrete Fourier transforms. Results are c64, those of irfft f32. The input is cut
 * or padded with zeros to `n`; INT_MIN stands for the size that it has. The norm says where 1 / n
 * is applied: BACKWARD in the inverse, FORWARD in the forward transform, ORTHO its root in both.
 * Written by tools/opgen.py from the tables in ops.
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

/** Along one axis. */
int mlx_fft_fft(
    mlx_array* res,
    const mlx_array a,
    int n,
    int axis,
    mlx_fft_norm norm,
    const mlx_stream s);

/** Over two axes. */
int mlx_fft_fft2(
    mlx_array* res,
    const mlx_array a,
    const int* n,
    size_t n_num,
    const int* axes,
    size_t axes_num,
    mlx_fft_norm norm,
    const mlx_stream s);

/** The frequencies of the bins of a transform of size n with sample spacing d. */
int mlx_fft_fftfreq(mlx_array* res, int n, double d, const mlx_stream s);

/** Over several axes. */
int mlx_fft_fftn(
    mlx_array* res,
    const mlx_array a,
    const int* n,
    size_t n_num,
    const int* axes,
    size_t axes_num,
    mlx_fft_norm norm,
    const mlx_stream s);

/** The zero frequency moved to the middle. */
int mlx_fft_fftshift(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** Inverse along one axis. */
int mlx_fft_ifft(
    mlx_array* res,
    const mlx_array a,
    int n,
    int axis,
    mlx_fft_norm norm,
    const mlx_stream s);

/** Inverse over two axes. */
int mlx_fft_ifft2(
    mlx_array* res,
    const mlx_array a,
    const int* n,
    size_t n_num,
    const int* axes,
    size_t axes_num,
    mlx_fft_norm norm,
    const mlx_stream s);

/** Inverse over several axes. */
int mlx_fft_ifftn(
    mlx_array* res,
    const mlx_array a,
    const int* n,
    size_t n_num,
    const int* axes,
    size_t axes_num,
    mlx_fft_norm norm,
    const mlx_stream s);

/** Undoes mlx_fft_fftshift. */
int mlx_fft_ifftshift(
    mlx_array* res,
    const mlx_array a,
    const int* axes,
    size_t axes_num,
    const mlx_stream s);

/** Inverse of mlx_fft_rfft, real, of size `n`. */
int mlx_fft_irfft(
    mlx_array* res,
    const mlx_array a,
    int n,
    int axis,
    mlx_fft_norm norm,
    const mlx_stream s);

/** Inverse of mlx_fft_rfft2. */
int mlx_fft_irfft2(
    mlx_array* res,
    const mlx_array a,
    const int* n,
    size_t n_num,
    const int* axes,
    size_t axes_num,
    mlx_fft_norm norm,
    const mlx_stream s);

/** Inverse of mlx_fft_rfftn. */
int mlx_fft_irfftn(
    mlx_array* res,
    const mlx_array a,
    const int* n,
    size_t n_num,
    const int* axes,
    size_t axes_num,
    mlx_fft_norm norm,
    const mlx_stream s);

/** Of real input: the n / 2 + 1 frequencies that are not redundant. */
int mlx_fft_rfft(
    mlx_array* res,
    const mlx_array a,
    int n,
    int axis,
    mlx_fft_norm norm,
    const mlx_stream s);

/** Of real input over two axes, the last halved. */
int mlx_fft_rfft2(
    mlx_array* res,
    const mlx_array a,
    const int* n,
    size_t n_num,
    const int* axes,
    size_t axes_num,
    mlx_fft_norm norm,
    const mlx_stream s);

/** The frequencies of the bins of mlx_fft_rfft. */
int mlx_fft_rfftfreq(mlx_array* res, int n, double d, const mlx_stream s);

/** Of real input over several axes, the last halved. */
int mlx_fft_rfftn(
    mlx_array* res,
    const mlx_array a,
    const int* n,
    size_t n_num,
    const int* axes,
    size_t axes_num,
    mlx_fft_norm norm,
    const mlx_stream s);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_FFT_H */
