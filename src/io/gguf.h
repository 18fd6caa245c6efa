/* What the reader (gguf.c), the decoder of blocks (gguf_blocks.c) and the writer (gguf_save.c) of .gguf files share, and their face. */
#ifndef MX_IO_GGUF_H
#define MX_IO_GGUF_H

#include "io/io.h"

#define MX_GGUF_MAGIC         0x46554747u /* "GGUF" */
#define MX_GGUF_ALIGNMENT     32          /* unless the metadata general.alignment says otherwise */
#define MX_GGUF_MAX_ALIGNMENT (1u << 20)
#define MX_GGUF_MAX_NDIM      8
#define MX_GGUF_READABLE      "F32, F16, BF16, F64, I8, I16, I32, I64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K"

/* A type of tensors as stored: blocks of elements in so many bytes. */
typedef struct mx_gguf_type {
  const char *name;
  uint16_t block, bytes;
  uint8_t bits;   /* kept packed as affine quantization of so many bits in groups of 32; 0: becomes `dtype` */
  bool plain;     /* stored as `dtype` */
  mx_dtype dtype;
  void (*decode)(const uint8_t *block, uint16_t *f16); /* where it is neither packed nor plain */
} mx_gguf_type;
const mx_gguf_type *mx_gguf_type_of(uint32_t id); /* NULL: not readable */
const char *mx_gguf_type_name(uint32_t id);       /* of unreadable ones, too */
/* Block number i of a tensor: into words, scales and biases, or as f16 into w. */
void mx_gguf_decode(const mx_gguf_type *t, const uint8_t *block, uint64_t i, void *w, uint16_t *scales, uint16_t *biases);

static inline bool mx_gguf_alignment(uint64_t a) { return a && a <= MX_GGUF_MAX_ALIGNMENT && !(a & (a - 1)); }

/* Calls for each entry, in the file's order, as long as they return 0; they keep what they retain or copy. The reader begins at 0. */
typedef struct mx_gguf_sink {
  void *to;
  int (*tensor)(void *to, const char *name, mx_array *a);
  int (*numbers)(void *to, const char *key, mx_array *a); /* 0-d or 1-d */
  int (*text)(void *to, const char *key, const char *text);
  int (*texts)(void *to, const char *key, int n, const char *const *texts);
} mx_gguf_sink;
int mx_gguf_load(mx_reader *r, const mx_gguf_sink *sink);

/* A metadata entry: one of numbers, text and texts[n] is given. */
typedef struct mx_gguf_meta {
  const char *key;
  mx_array *numbers;
  const char *text;
  const char *const *texts;
  int n;
} mx_gguf_meta;
/* Available, row-contiguous arrays. */
int mx_gguf_save(mx_writer *w, int n, const char *const *names, mx_array *const *arrays, int nmeta, const mx_gguf_meta *meta);

#endif
