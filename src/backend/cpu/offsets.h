/* Index arrays turned into element offsets, some at a time. */
#ifndef MX_CPU_OFFSETS_H
#define MX_CPU_OFFSETS_H

#include <stdatomic.h>

#include "backend/cpu/vec.h"
#include "backend/cpu/walk.h"

enum { MX_PLACES_CHUNK = 512 };

/* The rows of one index array. */
typedef struct mx_place {
  const mx_view *index;
  mx_walk walk;
  int64_t n, along;        /* of a row */
  mx_index_axis into;
  int axis;
} mx_place;

typedef struct mx_places {
  const char *tag;
  int k;
  int64_t n;               /* indices */
  mx_place *at;            /* [k] */
  _Atomic int64_t bad;     /* position of the first bad index, or INT64_MAX */
} mx_places;

/* For k index arrays of one shape into the axes of x; size[d]: extent of what is read there. */
int mx_places_init(mx_places *p, const char *tag, const mx_view *x, int k, const int64_t *axes, const mx_view *index, const int32_t *size);
/* The offsets of the indices [begin, end), at most MX_PLACES_CHUNK; false: one is out of bounds. */
bool mx_places_fill(mx_places *p, int64_t begin, int64_t end, int64_t *o);
/* Frees; 0, or the error that names the first index out of bounds that was met. */
int mx_places_end(mx_places *p);

/* What one index reads or writes: a block of `size`, walked by rows. */
typedef struct mx_block {
  mx_walk walk;                        /* operand 0: the indexed array, 1: the other */
  int64_t n, stride[MX_WALK_OPERANDS];
} mx_block;

void mx_block_init(mx_block *b, int nd, const int32_t *size, const int64_t *s0, const int64_t *s1);
static inline int64_t mx_block_size(const mx_block *b) { return b->n * b->walk.n; }

#endif
