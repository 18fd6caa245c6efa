/* Keys: what decides the code of a plan, in words. */
#ifndef MX_RUNTIME_KEY_H
#define MX_RUNTIME_KEY_H

#include "runtime/plan.h"

enum {
  MX_PIECE = 1024,        /* nodes planned together */
  MX_KNOWN = 2 * MX_PIECE, /* and leaves of which something is kept while a key is written */
  MX_SHAPE_ONE = 1        /* of a class: shapes of one element */
};

/* There is one, reused, under the graph lock. */
typedef struct mx_key {
  uint32_t *w;
  int n, cap;
  bool alone;                  /* every op stands alone: its values are to be seen */
  int nnode;
  mx_piece *piece;
  uint32_t mark;               /* of the piece alone; who has it as its walk_mark has its number */
  uint8_t held[MX_PIECE];      /* someone outside needs node i */
  uint32_t class_of[MX_KNOWN]; /* the number of the shape of an element-wise op or a reduction, 0: another op; then of leaves, 0: not asked for yet */
} mx_key;

/* A key for the next piece. Its nodes come one after the other: each gets its number, so do leaves when they are read first (they are pushed
 * on the piece). */
void mx_key_begin(mx_key *k, bool alone, mx_piece *p, uint32_t mark);
int mx_key_node(mx_key *k, mx_array *n);
/* The piece is whole. keep: nodes that a trace may need are held. */
void mx_key_end(mx_key *k, mx_array *const *node, bool keep);
uint64_t mx_key_hash(const mx_key *k);

static inline uint32_t mx_axes_mask(const mx_array *n) {
  uint32_t m = 0;
  for (int i = 0; i < n->np; i++) m |= 1u << n->p[i];
  return m;
}

#endif
