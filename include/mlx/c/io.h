/*
 * mlx/c/io.h: arrays in files: .npy, .safetensors and .gguf.
 */
#ifndef MLX_C_IO_H
#define MLX_C_IO_H

#include "mlx/c/array.h"
#include "mlx/c/io_types.h"
#include "mlx/c/map.h"
#include "mlx/c/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The array of an .npy file. Its values are read when they are needed. */
int mlx_load(mlx_array* res, const char* file, const mlx_stream s);

/** The array in .npy format that begins at the reader's position. */
int mlx_load_reader(mlx_array* res, mlx_io_reader in_stream, const mlx_stream s);

/**
 * The arrays and the metadata of a .gguf file, version 2 or 3, in place of what the handle held.
 * Tensors of type Q4_0, Q4_1 and Q8_0 stay packed, as mlx_quantized_matmul takes them (groups of 32;
 * 4, 4 and 8 bits): "x.weight" comes with "x.scales" and "x.biases". Q5_0, Q5_1, Q2_K to Q6_K and
 * BF16 become f16; other quantized types are refused by name.
 */
int mlx_load_gguf(mlx_io_gguf* gguf, const char* file, const mlx_stream s);

/**
 * The arrays (res_0) and the metadata (res_1) of a .safetensors file. Values are read when they are
 * needed.
 */
int mlx_load_safetensors(
    mlx_map_string_to_array* res_0,
    mlx_map_string_to_string* res_1,
    const char* file,
    const mlx_stream s);

/** mlx_load_safetensors from a reader. */
int mlx_load_safetensors_reader(
    mlx_map_string_to_array* res_0,
    mlx_map_string_to_string* res_1,
    mlx_io_reader in_stream,
    const mlx_stream s);

/** Evaluates, then writes an .npy file; ".npy" is appended to a name that has no such ending. */
int mlx_save(const char* file, const mlx_array a);

/** Evaluates, then writes in .npy format. */
int mlx_save_writer(mlx_io_writer out_stream, const mlx_array a);

/**
 * Evaluates, then writes a .gguf file of version 3, ".gguf" being appended to a name without it.
 * Arrays are f32, f16, i8, i16 or i32; numbers of the metadata are of any type but f16, bf16, f64 and
 * c64. A u32 "general.alignment" among the metadata places the data.
 */
int mlx_save_gguf(const char* file, mlx_io_gguf gguf);

/**
 * Evaluates, then writes a .safetensors file, ".safetensors" being appended to a name without it.
 * f64 is refused.
 */
int mlx_save_safetensors(
    const char* file,
    const mlx_map_string_to_array param,
    const mlx_map_string_to_string metadata);

/** mlx_save_safetensors to a writer. */
int mlx_save_safetensors_writer(
    mlx_io_writer in_stream,
    const mlx_map_string_to_array param,
    const mlx_map_string_to_string metadata);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_IO_H */
