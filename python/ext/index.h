/* A parsed index, shared by reading (index.c) and writing (assign.c). */
#ifndef PX_INDEX_H
#define PX_INDEX_H

#include "px.h"

typedef enum px_kind { PX_INT, PX_SLICE, PX_NONE, PX_ARRAY, PX_MASK } px_kind;

/* One element of an index. Every one but PX_NONE stands for the dimension dim of the array (a mask: for several). */
typedef struct px_part {
  px_kind kind;
  int dim;
  int start, stop, step; /* an int is start, start + 1, 1; of a negative step, stop is below -size where it ends before 0 */
  int from, to, by;      /* an int or a slice as given, INT32_MAX and -INT32_MAX for ends: what holds for an array of any shape */
  int n;                 /* how many elements a slice takes */
  bool full;             /* a slice of everything, in order */
  px_arg array;
} px_part;

/* The index with its ellipsis expanded: full slices stand for all that was not mentioned. */
typedef struct px_index {
  int n, ndim;
  int arrays, ints, nones, masks;
  bool adjacent; /* ints and arrays stand side by side: their dimensions stay there, else they come first */
  const int *shape;
  px_part at[2 * PX_MAX_NDIM];
} px_index;

int px_parse_index(px_index *x, mlx_array a, PyObject *key);
/* Of a dimension of this size: what an int (from) or a slice (from, to, by) stands for. An int may be out of bounds. */
int px_settle_int(px_part *it, int size);
int px_settle_slice(px_part *it, int size);
/* Whether ints and arrays stand side by side. */
void px_find_groups(px_index *x);
/* The parsed index of a read, or written with v, which has a's dtype. */
int px_read_index(mlx_array *res, mlx_array a, px_index *x, mlx_stream s);
int px_write_index(mlx_array *res, mlx_array a, px_arg *v, px_index *x, px_update how, mlx_stream s);
/* Either, recorded while a function is traced for all shapes: 0, PX_ERROR, or 1 when it is not to be recorded. v: NULL to read; how: -1. */
int px_record_index(mlx_array *res, mlx_array a, const mlx_array *v, const px_index *x, int how);
/* The position of the mask that is all there is of the index, besides full slices; or -1. */
int px_only_mask(const px_index *x);
/* Every mask becomes the index arrays of its true places, which needs its values. */
int px_expand_masks(px_index *x, bool writing);
void px_drop_index(px_index *x);

#endif
