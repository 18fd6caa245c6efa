/* A call of scatter, shared by its ways. */
#ifndef MX_CPU_SCATTER_H
#define MX_CPU_SCATTER_H

#include "backend/cpu/combine.h"
#include "backend/cpu/isa.h"
#include "backend/cpu/offsets.h"

typedef struct mx_scatter {
  const mx_view *x, *updates, *out;
  mx_places places;
  const int64_t *sources;              /* where the update of each index lies; NULL: i * step */
  int64_t step;
  mx_block block;                      /* operand 0: the result, 1: the updates */
  int64_t tile;                        /* the length of a block if blocks are one after the other and make up the result; else 0 */
  int64_t range;                       /* offsets of blocks are below it */
  int mode, item;
  mx_combine fn;
  mx_combine_at fn_at;
  mx_combine_dealt fn_dealt;
  mx_loop sum;                         /* of neighbouring elements, if there is a quick one */
} mx_scatter;

static inline int64_t mx_scatter_source(const mx_scatter *j, int64_t i) { return j->sources ? j->sources[i] : i * j->step; }

void mx_scatter_rows(const mx_scatter *j, int64_t to, int64_t from, int64_t begin, int64_t end);

/* Columns [begin, end) of the block at offset `to`, from the update at `from`. */
static inline void mx_scatter_block(const mx_scatter *j, int64_t to, int64_t from, int64_t begin, int64_t end) {
  int64_t so = j->block.stride[0], su = j->block.stride[1];
  char *o = (char *)j->out->data + (to + begin * so) * j->item;
  const char *u = (const char *)j->updates->data + (from + begin * su) * j->item;
  if (j->sum) j->sum((size_t)(end - begin), o, o, u, NULL);
  else if (j->block.walk.n == 1) j->fn(end - begin, o, so, u, su);
  else mx_scatter_rows(j, to, from, begin, end);
}

/* Updates sorted by bins, intervals of the result that fit a cache; the bins side by side. Blocks are the same or do not overlap. x is copied
 * on the way where `copy` says so. */
int mx_scatter_bins(mx_scatter *j, bool copy);

#endif
