/*
 * mlx/c/io_types.h: readers and writers of your own, and what a .gguf file holds.
 */
#ifndef MLX_C_IO_TYPES_H
#define MLX_C_IO_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mlx/c/array.h"
#include "mlx/c/string.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Where bytes come from. */
typedef struct mlx_io_reader_ {
  void* ctx;
} mlx_io_reader;

/** Where bytes go to. */
typedef struct mlx_io_writer_ {
  void* ctx;
} mlx_io_writer;

/**
 * What the library calls, each with your `desc`. Calls that move bytes return nothing: `good` says
 * after them whether they worked. `free` is called once, when the last array that is still to be
 * read is gone.
 */
typedef struct mlx_io_vtable_ {
  bool (*is_open)(void*);
  bool (*good)(void*);
  size_t (*tell)(void*);
  void (*seek)(void*, int64_t off, int whence); /* whence as in fseek */
  void (*read)(void*, char* data, size_t n);
  void (*read_at_offset)(void*, char* data, size_t n, size_t off); /* must not move the position */
  void (*write)(void*, const char* data, size_t n);
  const char* (*label)(void*); /* for messages */
  void (*free)(void*);
} mlx_io_vtable;

/** A reader. Of the table it needs all but `write`. */
mlx_io_reader mlx_io_reader_new(void* desc, mlx_io_vtable vtable);

/** Your `desc`. */
int mlx_io_reader_descriptor(void** desc_, mlx_io_reader io);

/** What `label` says. */
int mlx_io_reader_tostring(mlx_string* str_, mlx_io_reader io);

/** Gives the handle's share of the reader back. An empty handle is fine. */
int mlx_io_reader_free(mlx_io_reader io);

/** A writer. Of the table it needs all but the reads. */
mlx_io_writer mlx_io_writer_new(void* desc, mlx_io_vtable vtable);

/** Your `desc`. */
int mlx_io_writer_descriptor(void** desc_, mlx_io_writer io);

/** What `label` says. */
int mlx_io_writer_tostring(mlx_string* str_, mlx_io_writer io);

/** Gives the handle's share of the writer back. An empty handle is fine. */
int mlx_io_writer_free(mlx_io_writer io);

/**
 * What a .gguf file holds: arrays by name, and metadata by key: an array of at most one dimension, a
 * text or a list of texts each. Asking for a name or key that is not there, or for metadata of another
 * kind than it has, is an error.
 */
typedef struct mlx_io_gguf_ {
  void* ctx;
} mlx_io_gguf;

/** An empty one, to be filled or to load into. */
mlx_io_gguf mlx_io_gguf_new(void);

/** Frees it; arrays that were taken out live on. An empty handle is fine. */
int mlx_io_gguf_free(mlx_io_gguf io);

/** The names of the arrays. Those of the metadata: mlx_io_gguf_get_metadata_keys in gguf.h. */
int mlx_io_gguf_get_keys(mlx_vector_string* keys, mlx_io_gguf io);

/** The array of this name. */
int mlx_io_gguf_get_array(mlx_array* arr, mlx_io_gguf io, const char* key);

/** The metadata of this key, which are numbers. */
int mlx_io_gguf_get_metadata_array(mlx_array* arr, mlx_io_gguf io, const char* key);

/** The metadata of this key, which are a text. */
int mlx_io_gguf_get_metadata_string(mlx_string* str, mlx_io_gguf io, const char* key);

/** The metadata of this key, which are a list of texts. */
int mlx_io_gguf_get_metadata_vector_string(mlx_vector_string* vstr, mlx_io_gguf io, const char* key);

/** Whether there are metadata of this key that are numbers. */
int mlx_io_gguf_has_metadata_array(bool* flag, mlx_io_gguf io, const char* key);

/** Whether there are metadata of this key that are a text. */
int mlx_io_gguf_has_metadata_string(bool* flag, mlx_io_gguf io, const char* key);

/** Whether there are metadata of this key that are a list of texts. */
int mlx_io_gguf_has_metadata_vector_string(bool* flag, mlx_io_gguf io, const char* key);

/** Adds an array, or replaces the one of this name. */
int mlx_io_gguf_set_array(mlx_io_gguf io, const char* key, const mlx_array arr);

/** Adds or replaces metadata: numbers, of at most one dimension when they are saved. */
int mlx_io_gguf_set_metadata_array(mlx_io_gguf io, const char* key, const mlx_array marr);

/** Adds or replaces metadata: a text, which is copied. */
int mlx_io_gguf_set_metadata_string(mlx_io_gguf io, const char* key, const char* mstr);

/** Adds or replaces metadata: a list of texts, which are copied. */
int mlx_io_gguf_set_metadata_vector_string(
    mlx_io_gguf io,
    const char* key,
    const mlx_vector_string mvstr);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_IO_TYPES_H */
