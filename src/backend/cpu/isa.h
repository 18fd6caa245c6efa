/* Loops over contiguous tiles, compiled once per instruction set (folder isa); the set is chosen when the library is loaded.
 *
 * All loops take any n (also 0) and any alignment. The result may be the same memory as an operand of the same width. An element's
 * bits do not depend on where it stands or on n. */
#ifndef MX_CPU_ISA_H
#define MX_CPU_ISA_H

#include <stdbool.h>

#include "core/dtype.h"
#include "core/opcode.h"

/* o = f(a, b, c). select: a is the condition. */
typedef void (*mx_loop)(size_t n, void *o, const void *a, const void *b, const void *c);

/* Reductions of elements of one compute type into accumulators. */
typedef struct mx_reducer {
  /* acc[r] = reduction of row r of x (rows, len); the order is fixed by len (at most MX_REDUCE_ROW) */
  void (*rows)(size_t rows, size_t len, void *acc, const void *x);
  /* MX_REDUCE_LANES accumulators for each MX_REDUCE_ROW of the n elements of x, the last of which may be fewer */
  void (*blocks)(size_t n, void *acc, const void *x);
  /* acc[k] = acc[k] step x[0][k] step x[1][k] ... for x (rows, len), its rows ld elements apart */
  void (*cols)(size_t rows, size_t len, size_t ld, void *acc, const void *x);

  /* What goes over accumulators alone; NULL where these are of another type, whose reducer has it. */
  void (*start)(size_t n, void *acc); /* acc[i] = start */
  /* Joins count vectors of n accumulators, `stride` apart, into the first: the second half into the first half, again and again */
  void (*tree)(size_t count, size_t stride, size_t n, void *acc);
  uint8_t acc;           /* mx_tag of the accumulators; 0 in a row that does not exist */
} mx_reducer;

enum { MX_REDUCE_ROW = 1024, MX_REDUCE_LANES = 16, MX_REDUCE_NARROW = 16 };
/* Rows of length len that are reduced one after the other, before such blocks are joined pairwise. */
static inline int64_t mx_reduce_block(int64_t len) { return len <= MX_REDUCE_NARROW ? MX_REDUCE_ROW / len : 64; }

/* Compute types, in the order of the tables. */
#define MX_TAGS(X) X(b8) X(u8) X(u16) X(u32) X(u64) X(i8) X(i16) X(i32) X(i64) X(f32) X(f64) X(c64)
typedef enum mx_tag {
#define TAG_ENUM(t) MX_TAG_##t,
  MX_TAGS(TAG_ENUM)
#undef TAG_ENUM
  MX_N_TAGS
} mx_tag;

extern const uint8_t mx_dtype_tags[MX_DTYPES];  /* the compute type of a dtype */
extern const uint8_t mx_tag_sizes[MX_N_TAGS];

typedef struct mx_halves {
  mx_loop load, store, round; /* half to float, float to half, float to the nearest half as float */
} mx_halves;

typedef struct mx_streamer {
  void (*stream)(size_t lines, void *to, const void *from, const void *prefetch); /* lines of 64 bytes, `to` aligned to them */
  void (*fence)(void);                                                          /* after the last of a thread's streams */
} mx_streamer;

/* Transposed copies by the width of an item, 1 << index bytes: to[j * yo + i * item] = from[i * xi + j * item] for i < x, j < y, both at least
 * side / item; steps in bytes. past: past the caches, where `past` says it can be: `to` and yo are multiples of 64. side 0: there are none. */
typedef struct mx_turner {
  int side;
  bool past;
  void (*turn[4])(int64_t x, int64_t y, const void *from, int64_t xi, void *to, int64_t yo, bool past);
} mx_turner;

/* Two operations in one loop: exp(a - b), sqrt(a) + b, c - a / b; b is one number but for the last. */
enum { MX_JOIN_SUB_EXP, MX_JOIN_SQRT_ADD, MX_JOIN_DIV_SUB };

typedef struct mx_isa {
  const char *name;
  bool dot_bf16;                             /* vdpbf16ps may be used: its sums of products have bits of their own */
  const mx_loop *loops[MX_N_TAGS];           /* [OP_elementwise_end] of each compute type */
  const mx_loop *right, *left;               /* f32: the second (first) operand is one number for all elements; of binary ops alone */
  const mx_loop *pairs;                      /* f32: (a op b) op c; index: first multiplies 8, second multiplies 4, b (c) a number 2 (1) */
  const mx_loop *joins;                      /* f32: two others, by MX_JOIN_* */
  const mx_loop (*casts)[MX_N_TAGS];         /* [from][to] */
  const mx_reducer *reducers[MX_N_TAGS];     /* [OP_reduce_end - OP_elementwise_end - 1] */
  const mx_halves *halves;                   /* 0: f16, 1: bf16 */
  const mx_streamer *streamer;
  const mx_turner *turner;
  const struct mx_ffts *ffts;                /* fft.h */
} mx_isa;

extern const mx_isa *mx_isa_now;             /* the one in use */
const mx_isa *mx_isa_named(const char *name); /* NULL when this machine or build has none of that name */
int mx_isa_use(const char *name);            /* for tests; 0, or -1 when there is none */

static inline const mx_reducer *mx_reducer_of(const mx_isa *isa, int op, int tag) {
  return &isa->reducers[tag][op - OP_elementwise_end - 1];
}

#endif
