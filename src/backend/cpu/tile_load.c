/* Reading strided inputs into contiguous tiles: by the width of an element alone. */
#include <string.h>
#include <wchar.h>

#include "backend/cpu/tile.h"

int mx_merge_dims(int ndim, const int32_t *shape, const int64_t *strides, int64_t *out_shape, int64_t *out_stride) {
  int nd = 0;
  for (int i = 0; i < ndim; i++) {
    if (shape[i] == 1) continue;
    if (nd && out_stride[nd - 1] == strides[i] * shape[i]) {
      out_shape[nd - 1] *= shape[i];
      out_stride[nd - 1] = strides[i];
    } else {
      out_shape[nd] = shape[i];
      out_stride[nd++] = strides[i];
    }
  }
  return nd == 1 && out_stride[0] == 0 ? 0 : nd;
}

/* n elements of one value; libc's are vectors of the machine at hand. */
_Static_assert(sizeof(wchar_t) == 4, "wmemset fills words of four bytes");
static void fill_uint8_t(uint8_t *to, uint8_t v, int64_t n) { memset(to, v, (size_t)n); }
static void fill_uint16_t(uint16_t *to, uint16_t v, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = v;
}
static void fill_uint32_t(uint32_t *to, uint32_t v, int64_t n) { wmemset((wchar_t *)to, (wchar_t)v, (size_t)n); }
static void fill_uint64_t(uint64_t *to, uint64_t v, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = v;
}

/* rows x cols elements, row after row, into `to` */
#define BLOCK(T)                                                                                                       \
  static void block_##T(T *restrict to, const T *from, int64_t rows, int64_t cols, int64_t s0, int64_t s1) {           \
    if (s0 == 0 && rows > 1) { /* one row again and again */                                                           \
      int64_t n = rows * cols, done = cols;                                                                            \
      for (int64_t c = 0; c < cols; c++) to[c] = from[c * s1];                                                         \
      for (; done < n; done *= 2) memcpy(to + done, to, (size_t)(n - done < done ? n - done : done) * sizeof(T));      \
    } else if (s1 == 1 && cols >= 16) {                                                                                       \
      for (int64_t r = 0; r < rows; r++, from += s0, to += cols) memcpy(to, from, (size_t)cols * sizeof(T));           \
    } else if (s1 == 1) {                                                                                              \
      for (int64_t r = 0; r < rows; r++, from += s0, to += cols)                                                       \
        for (int64_t c = 0; c < cols; c++) to[c] = from[c];                                                            \
    } else if (s1 == 0) {                                                                                              \
      for (int64_t r = 0; r < rows; r++, from += s0, to += cols) fill_##T(to, *from, cols);                            \
    } else {                                                                                                           \
      for (int64_t r = 0; r < rows; r++, from += s0, to += cols)                                                       \
        for (int64_t c = 0; c < cols; c++) to[c] = from[c * s1];                                                       \
    }                                                                                                                  \
  }
BLOCK(uint8_t)
BLOCK(uint16_t)
BLOCK(uint32_t)
BLOCK(uint64_t)

static void block(int item, void *to, const char *from, int64_t rows, int64_t cols, int64_t s0, int64_t s1) {
  switch (item) {
    case 1: block_uint8_t(to, (const void *)from, rows, cols, s0, s1); break;
    case 2: block_uint16_t(to, (const void *)from, rows, cols, s0, s1); break;
    case 4: block_uint32_t(to, (const void *)from, rows, cols, s0, s1); break;
    default: block_uint64_t(to, (const void *)from, rows, cols, s0, s1); break;
  }
}

void mx_tile_gather(const mx_loader *l, int64_t start, int64_t n, void *to) {
  int64_t at[MX_MAX_NDIM];
  int item = l->item, nd = l->nd;
  if (nd == 0) {
    block(item, to, l->data, 1, n, 0, 0);
    return;
  }
  if (nd == 1) {
    block(item, to, l->data + start * l->stride[0] * item, 1, n, 0, l->stride[0]);
    return;
  }
  int64_t off = 0;
  for (int d = nd - 1; d > 0; d--) {
    int64_t next = start / l->shape[d];
    at[d] = start - next * l->shape[d];
    off += at[d] * l->stride[d];
    start = next;
  }
  at[0] = start;
  off += start * l->stride[0];
  const int64_t cols = l->shape[nd - 1], rows = l->shape[nd - 2], s1 = l->stride[nd - 1], s0 = l->stride[nd - 2];
  while (n > 0) {
    int64_t done, left = cols - at[nd - 1];
    if (left < cols || n < cols) { /* part of a row */
      done = left < n ? left : n;
      block(item, to, l->data + off * item, 1, done, 0, s1);
      if (done == n) return;
      off -= at[nd - 1] * s1;
      at[nd - 1] = 0;
      off += s0;
      at[nd - 2]++;
    } else { /* whole rows */
      int64_t m = rows - at[nd - 2];
      if (m > n / cols) m = n / cols;
      done = m * cols;
      block(item, to, l->data + off * item, m, cols, s0, s1);
      if (done == n) return;
      off += m * s0;
      at[nd - 2] += m;
    }
    to = (char *)to + done * item;
    n -= done;
    for (int d = nd - 2; d > 0 && at[d] == l->shape[d]; d--) {
      off += l->stride[d - 1] - at[d] * l->stride[d];
      at[d] = 0;
      at[d - 1]++;
    }
  }
}

/* Whether reading l in row order would take a cache line for each element, though another dimension runs along the lines. */
bool mx_is_crosswise(const mx_loader *l, int64_t n) {
  int64_t inner = l->nd ? l->stride[l->nd - 1] * l->item : 0;
  if (n * l->item < 64 * 1024 || (inner < 64 && inner > -64)) return false;
  for (int d = 0; d < l->nd - 1; d++) {
    int64_t s = l->stride[d] * l->item;
    if (s && s < 64 && s > -64 && l->shape[d] >= 8) return true;
  }
  return false;
}
