/* Readers and writers, and the formats over them. */
#ifndef MX_IO_H
#define MX_IO_H

#include <stdint.h>

#include "core/array.h"

typedef struct mx_reader {
  /* Exactly n bytes that begin at `at`: 0 or the kind of an error. */
  int (*read)(struct mx_reader *r, void *to, size_t n, uint64_t at);
  const char *(*label)(struct mx_reader *r); /* for messages */
  uint64_t size;
} mx_reader;

typedef struct mx_writer {
  int (*write)(struct mx_writer *w, const void *from, size_t n);
  const char *(*label)(struct mx_writer *w);
  bool complete; /* set by a format when it has written all */
} mx_writer;

/* Files. `tag` is the function in messages: "[load] cannot open …". What is written goes to another name beside the file's, which finish
 * puts in its place when it is complete, else removes: a failure, or a reader at the same time, never sees half a file. */
typedef struct mx_file_reader {
  mx_reader base;
  const char *name;
  int fd;
} mx_file_reader;
typedef struct mx_file_writer {
  mx_writer base;
  const char *name;
  char *target, *aside; /* the file to be replaced and what is written, or NULL: written directly (a device, a closed folder) */
  void *file;           /* FILE * */
} mx_file_writer;
int mx_file_open(mx_file_reader *r, const char *name, const char *tag); /* keeps name */
void mx_file_close(mx_file_reader *r);
int mx_file_create(mx_file_writer *w, const char *name, const char *tag);
int mx_file_finish(mx_file_writer *w);

/* n bytes at `at`, or an error tagged with the format when the file ends before. */
int mx_read(mx_reader *r, void *to, size_t n, uint64_t at, const char *tag);

/* Where arrays came from, for the messages of whoever finds them unfit. An array that was made from a loaded one has no origin. */
mx_object *mx_origin_new(const char *name); /* of a file; one reference, NULL and an error */
void mx_origin_mark(mx_array *a, mx_object *origin); /* a leaf that nobody else has yet */
const char *mx_origin_of(const mx_array *a);         /* borrowed; NULL where it is unknown */

/* The array that begins at `at`; *end is where it stops. A new reference. */
int mx_npy_load(mx_reader *r, uint64_t at, uint64_t *end, mx_array **res);
/* An available array, row or column contiguous. */
int mx_npy_save(mx_writer *w, const mx_array *a);

/* Calls `tensor` (which keeps what it retains) and `meta` for each entry, as long as they return 0. */
typedef struct mx_safetensors_sink {
  void *to;
  int (*tensor)(void *to, const char *name, mx_array *a);
  int (*meta)(void *to, const char *key, const char *value);
} mx_safetensors_sink;
int mx_safetensors_load(mx_reader *r, uint64_t at, const mx_safetensors_sink *sink);
/* Available, row-contiguous arrays; names in rising order. */
int mx_safetensors_save(mx_writer *w, int n, const char *const *names, mx_array *const *arrays, int nmeta, const char *const *keys,
                        const char *const *values);

#endif
