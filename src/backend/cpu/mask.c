/* What a mask chooses: nonzero lists the places, compress takes the elements there, masked_scatter writes them.
 *
 * The mask is cut into chunks by its shape. The trues of all chunks are counted, which says where each chunk's results lie; then the chunks
 * are worked on independently: blocks of the mask become lists of positions, without a branch an element. */
#include <string.h>

#include "backend/cpu/fill.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/vec.h"
#include "core/error.h"
#include "core/parallel.h"

enum { BLOCK = 1024 }; /* elements of the mask listed at a time */

typedef struct mask_job mask_job;
/* m positions of the mask, counted from base, are the elements k, k + 1, ... of the result of a batch. */
typedef void (*use_fn)(const mask_job *j, int64_t batch, int64_t base, int64_t k, int64_t m, const uint32_t *at);

struct mask_job {
  const uint8_t *mask; /* (batches, n) */
  int64_t batches, n;
  int64_t chunk, chunks;   /* elements in a chunk, chunks in a batch */
  int64_t *before;         /* (batches, chunks + 1): trues before each chunk of the batch; last: all of them */
  int64_t size;            /* results of a batch; trues behind are left out */
  use_fn use;
  size_t row;              /* compress, masked_scatter: bytes that belong to one element of the mask */
  const char *from;        /* what is read, packed */
  char *to;
  int nd;                  /* nonzero: the dimensions that are listed */
  const int32_t *shape;
};

/* One bit a byte of w that is not 0: the low one of each. */
static inline uint64_t set_bytes(uint64_t w) {
  const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
  return (((w & low) + low) | w) >> 7 & 0x0101010101010101u;
}

static int64_t count_trues(const uint8_t *m, int64_t n) {
  int64_t count = 0, i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t w;
    memcpy(&w, m + i, 8);
    count += (int64_t)(set_bytes(w) * 0x0101010101010101u >> 56);
  }
  for (; i < n; i++) count += m[i] != 0;
  return count;
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void count_range(void *ctx, int64_t begin, int64_t end) {
  const mask_job *j = ctx;
  for (int64_t c = begin; c < end; c++) {
    int64_t batch = c / j->chunks, i = c % j->chunks * j->chunk;
    j->before[batch * (j->chunks + 1) + c % j->chunks] = count_trues(j->mask + batch * j->n + i, least(j->chunk, j->n - i));
  }
}

static void use_range(void *ctx, int64_t begin, int64_t end) {
  const mask_job *j = ctx;
  uint32_t at[BLOCK + 16];
  for (int64_t c = begin; c < end; c++) {
    int64_t batch = c / j->chunks, i = c % j->chunks * j->chunk, stop = least(i + j->chunk, j->n);
    const int64_t *before = j->before + batch * (j->chunks + 1) + c % j->chunks;
    int64_t k = before[0], last = least(before[1], j->size);
    for (; i < stop && k < last; i += BLOCK) {
      int64_t m = least(mx_vec_now()->list_trues(j->mask + batch * j->n + i, least(BLOCK, stop - i), at), last - k);
      if (m) j->use(j, batch, i, k, m, at);
      k += m;
    }
  }
}

/* Counts; j->before is for mx_scratch_free, also after an error. lead: the dimensions of batches. */
static int mask_begin(mask_job *j, const mx_view *mask, int64_t lead, const void *packed) {
  j->mask = packed;
  j->batches = j->n = 1;
  for (int d = 0; d < mask->ndim; d++) *(d < lead ? &j->batches : &j->n) *= mask->shape[d];
  int64_t room = (1 << 17) / (int64_t)(j->row + 8); /* a chunk is worth handing to a thread */
  j->chunk = BLOCK * (room / BLOCK + 1);
  j->chunks = (j->n + j->chunk - 1) / j->chunk;
  int64_t items = j->batches * j->chunks;
  if (!(j->before = mx_scratch((size_t)(j->batches * (j->chunks + 1) + 1) * sizeof *j->before))) return mx_fail_memory();
  mx_parallel(items, (1 << 14) / (j->n + 1) + 1, count_range, j);
  for (int64_t b = 0; b < j->batches; b++) {
    int64_t *before = j->before + b * (j->chunks + 1), sum = 0;
    for (int64_t c = 0; c <= j->chunks; c++) {
      int64_t here = c < j->chunks ? before[c] : 0;
      before[c] = sum;
      sum += here;
    }
  }
  return 0;
}

static void mask_use(mask_job *j) {
  if (j->size) mx_parallel(j->batches * j->chunks, (1 << 14) / (j->n + 1) + 1, use_range, j);
}

static int64_t trues(const mask_job *j, int64_t batch) { return j->before[batch * (j->chunks + 1) + j->chunks]; }

/* ---- nonzero: p = batch dimensions, size, fill; out (batches, dimensions, size) ---- */

static void use_nonzero(const mask_job *j, int64_t batch, int64_t base, int64_t k, int64_t m, const uint32_t *at) {
  int32_t *out = (int32_t *)(void *)j->to + batch * j->nd * j->size + k, *last = out + (j->nd - 1) * j->size;
  if (j->nd == 1) {
    for (int64_t i = 0; i < m; i++) last[i] = (int32_t)(base + at[i]);
    return;
  }
  int64_t inner = j->shape[j->nd - 1], row = 0, row_end = 0;
  int32_t lead[MX_MAX_NDIM] = {0};
  for (int64_t i = 0; i < m; i++) {
    int64_t place = base + at[i];
    if (place >= row_end) {
      int64_t q = place / inner;
      row = q * inner;
      row_end = row + inner;
      for (int d = j->nd - 2; d >= 0; q /= j->shape[d--]) lead[d] = (int32_t)(q % j->shape[d]);
    }
    for (int d = 0; d < j->nd - 1; d++) out[d * j->size + i] = lead[d];
    last[i] = (int32_t)(place - row);
  }
}

int mx_cpu_nonzero(const mx_call *c) {
  const mx_view *mask = c->in;
  int lead = (int)c->p[0];
  mask_job j = {.size = c->p[1], .use = use_nonzero, .nd = mask->ndim - lead, .shape = mask->shape + lead, .to = c->out->data,
                .row = sizeof(int32_t)};
  if (!c->out->size) return 0;
  void *copy;
  const void *packed = mx_packed(mask, &copy);
  if (!packed && mask->size) return mx_error_kind();
  int rc = mask_begin(&j, mask, lead, packed);
  if (!rc) {
    mask_use(&j);
    for (int64_t b = 0; b < j.batches; b++)
      for (int d = 0; d < j.nd; d++) {
        int32_t *row = (int32_t *)(void *)j.to + (b * j.nd + d) * j.size;
        for (int64_t i = trues(&j, b); i < j.size; i++) row[i] = (int32_t)c->p[2];
      }
  }
  mx_scratch_free(j.before);
  mx_scratch_free(copy);
  return rc;
}

/* ---- compress and masked_scatter: rows between a place of the mask and a place in order ---- */

#define MOVE(type)                                                                         \
  case sizeof(type): {                                                                     \
    type *t = (type *)(void *)to;                                                          \
    const type *f = (const type *)(const void *)from;                                      \
    if (GATHERS)                                                                           \
      for (int64_t i = 0; i < m; i++) t[i] = f[at[i]];                                     \
    else                                                                                   \
      for (int64_t i = 0; i < m; i++) t[at[i]] = f[i];                                     \
    return;                                                                                \
  }
#define MOVES(name, gathers)                                                                                    \
  static void name(char *to, const char *from, size_t row, int64_t m, const uint32_t *at) {                     \
    enum { GATHERS = gathers };                                                                                 \
    switch (row) {                                                                                              \
      MOVE(uint8_t)                                                                                             \
      MOVE(uint16_t)                                                                                            \
      MOVE(uint32_t)                                                                                            \
      MOVE(uint64_t)                                                                                            \
    }                                                                                                           \
    for (int64_t i = 0; i < m; i++)                                                                             \
      memcpy(to + (size_t)(GATHERS ? i : at[i]) * row, from + (size_t)(GATHERS ? at[i] : i) * row, row);        \
  }
MOVES(take_rows, 1)
MOVES(put_rows, 0)

static void use_compress(const mask_job *j, int64_t batch, int64_t base, int64_t k, int64_t m, const uint32_t *at) {
  take_rows(j->to + (size_t)(batch * j->size + k) * j->row, j->from + (size_t)(batch * j->n + base) * j->row, j->row, m, at);
}

static void use_scatter(const mask_job *j, int64_t batch, int64_t base, int64_t k, int64_t m, const uint32_t *at) {
  put_rows(j->to + (size_t)(batch * j->n + base) * j->row, j->from + (size_t)(batch * j->size + k) * j->row, j->row, m, at);
}

/* Bytes of what belongs to one element of the mask. */
static size_t row_bytes(const mx_view *x, const mx_view *mask) {
  size_t row = mx_dtype_sizes[x->dtype];
  for (int d = mask->ndim; d < x->ndim; d++) row *= (size_t)x->shape[d];
  return row;
}

/* p = batch dimensions, size; in x (batches, mask's shape, row), mask; out (batches, size, row). */
int mx_cpu_compress(const mx_call *c) {
  const mx_view *x = &c->in[0], *mask = &c->in[1], *out = c->out;
  mask_job j = {.size = c->p[1], .use = use_compress, .row = row_bytes(x, mask), .to = out->data};
  if (!out->size || !mask->size) return mx_fill(out, NULL);
  void *copies[2] = {NULL, NULL};
  const void *packed = mx_packed(mask, &copies[0]);
  int rc = !packed || !(j.from = mx_packed(x, &copies[1])) ? mx_error_kind() : mask_begin(&j, mask, c->p[0], packed);
  if (!rc) {
    mask_use(&j);
    for (int64_t b = 0; b < j.batches; b++)
      if (trues(&j, b) < j.size)
        memset(j.to + (size_t)(b * j.size + trues(&j, b)) * j.row, 0, (size_t)(j.size - trues(&j, b)) * j.row);
  }
  mx_scratch_free(j.before);
  mx_scratch_free(copies[0]);
  mx_scratch_free(copies[1]);
  return rc;
}

/* p = batch dimensions, strict; in a, mask, source (batches, any, row); out like a. */
int mx_cpu_masked_scatter(const mx_call *c) {
  const mx_view *a = &c->in[0], *mask = &c->in[1], *source = &c->in[2], *out = c->out;
  int lead = (int)c->p[0];
  mask_job j = {.size = source->shape[lead], .use = use_scatter, .row = row_bytes(a, mask), .to = out->data};
  int rc = 0;
  if (!out->size) return 0;
  if (a->data != out->data && (rc = mx_copy_view(a, out))) return rc;
  void *copies[2] = {NULL, NULL};
  const void *packed = mx_packed(mask, &copies[0]);
  j.from = source->size ? mx_packed(source, &copies[1]) : "";
  rc = !packed || !j.from ? mx_error_kind() : mask_begin(&j, mask, lead, packed);
  for (int64_t b = 0; !rc && c->p[1] && b < j.batches; b++)
    if (trues(&j, b) > j.size)
      rc = mx_fail(MX_ERUNTIME, "[masked_scatter] Source does not have enough elements for mask: %lld rows for %lld true places.",
                   (long long)j.size, (long long)trues(&j, b));
  if (!rc) mask_use(&j);
  mx_scratch_free(j.before);
  mx_scratch_free(copies[0]);
  mx_scratch_free(copies[1]);
  return rc;
}
