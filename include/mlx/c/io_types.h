/*
 * mlx/c/io_types.h: readers and writers of your own.
 */
#ifndef MLX_C_IO_TYPES_H
#define MLX_C_IO_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mlx/c/array.h"
#include "mlx/c/string.h"

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

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_IO_TYPES_H */
