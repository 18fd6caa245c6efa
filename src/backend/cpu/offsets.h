/* Index arrays turned into element offsets. All indices are checked before anything is read or written, so a bad one leaves no trace. */
#ifndef MX_CPU_OFFSETS_H
#define MX_CPU_OFFSETS_H

#include "backend/cpu/walk.h"

/* The offsets in x of every element of the k index arrays (of one shape of n elements), from mx_scratch; size[d]: extent of what is read
 * there. An index out of bounds is an error tagged with `tag`. */
int mx_index_offsets(const char *tag, const mx_view *x, int k, const int64_t *axes, const mx_view *index, const int32_t *size,
                     int64_t n, int64_t **res);

/* What one index reads or writes: a block of `size`, walked by rows. */
typedef struct mx_block {
  mx_walk walk;                        /* operand 0: the indexed array, 1: the other */
  int64_t n, stride[MX_WALK_OPERANDS];
} mx_block;

void mx_block_init(mx_block *b, int nd, const int32_t *size, const int64_t *s0, const int64_t *s1);
static inline int64_t mx_block_size(const mx_block *b) { return b->n * b->walk.n; }

#endif
