/* How often each number occurs, or the sum of its weights. Long inputs are counted in parts, cut by shape; each part has its own bins, which
 * are added in order, so that the sums of weights do not depend on the number of threads. Weights are summed in double. */
#include <stdatomic.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/scratch.h"
#include "core/error.h"
#include "core/parallel.h"

enum { BLOCK = 512, MOST_PARTS = 16 };

typedef struct count_job {
  mx_view x;              /* packed; (batches, n) */
  const char *weights;    /* packed, or NULL */
  mx_dtype weight_dtype;
  int64_t batches, n, length;
  int64_t parts, part;    /* parts of a batch, elements in one */
  void *bins;             /* (batches, parts, length) of int32_t, or double with weights */
  _Atomic int64_t bad;    /* position of the first value that is out of range */
} count_job;

#define READ(tag, type)                                                        \
  case tag: {                                                                  \
    const type *p = (const type *)j->x.data + at;                              \
    for (int64_t i = 0; i < n; i++) to[i] = (int64_t)p[i];                     \
    break;                                                                     \
  }
static void read_block(const count_job *j, int64_t at, int64_t n, int64_t *to) {
  switch (j->x.dtype) {
    READ(MX_U16, uint16_t)
    READ(MX_U32, uint32_t)
    READ(MX_U64, uint64_t)
    READ(MX_I8, int8_t)
    READ(MX_I16, int16_t)
    READ(MX_I32, int32_t)
    READ(MX_I64, int64_t)
    default: READ(MX_U8, uint8_t)
  }
}

/* The first of n values that is not in [0, length), or n. */
static int64_t first_bad(const int64_t *v, int64_t n, int64_t length) {
  for (int64_t i = 0; i < n; i++)
    if ((uint64_t)v[i] >= (uint64_t)length) return i;
  return n;
}

static void count_part(count_job *j, int64_t item) {
  int64_t batch = item / j->parts, begin = item % j->parts * j->part, end = begin + j->part < j->n ? begin + j->part : j->n;
  int64_t v[BLOCK];
  double w[BLOCK];
  int32_t *counts = (int32_t *)j->bins + item * j->length;
  double *sums = (double *)j->bins + item * j->length;
  memset(j->weights ? (void *)sums : (void *)counts, 0, (size_t)j->length * (j->weights ? sizeof *sums : sizeof *counts));
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t n = end - at < BLOCK ? end - at : BLOCK, here = batch * j->n + at;
    read_block(j, here, n, v);
    int64_t good = first_bad(v, n, j->length);
    if (good < n) {
      int64_t bad = atomic_load(&j->bad);
      while (here + good < bad && !atomic_compare_exchange_weak(&j->bad, &bad, here + good)) {}
      return;
    }
    if (j->weights) {
      mx_load_f64(j->weight_dtype, j->weights + (size_t)here * mx_dtype_sizes[j->weight_dtype], 1, n, w);
      for (int64_t i = 0; i < n; i++) sums[v[i]] += w[i];
    } else {
      for (int64_t i = 0; i < n; i++) counts[v[i]]++;
    }
  }
}

static void count_range(void *ctx, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) count_part(ctx, i);
}

/* The parts of each batch added in their order, as the result's dtype. */
static void add_parts(count_job *j, const mx_view *out) {
  for (int64_t b = 0; b < j->batches; b++) {
    if (j->weights) {
      double *sum = (double *)j->bins + b * j->parts * j->length;
      for (int64_t p = 1; p < j->parts; p++)
        for (int64_t i = 0; i < j->length; i++) sum[i] += sum[p * j->length + i];
      mx_store_f64((mx_dtype)out->dtype, sum, j->length, mx_at(out, b * j->length));
    } else if (j->parts > 1) {
      const int32_t *count = (int32_t *)j->bins + b * j->parts * j->length;
      int32_t *to = mx_at(out, b * j->length);
      memcpy(to, count, (size_t)j->length * sizeof *to);
      for (int64_t p = 1; p < j->parts; p++)
        for (int64_t i = 0; i < j->length; i++) to[i] += count[p * j->length + i];
    }
  }
}

/* p = length; in x (..., n) integers, [weights]; out (..., length). */
int mx_cpu_bincount(const mx_call *c) {
  const mx_view *x = &c->in[0], *out = c->out;
  count_job j = {.x = *x, .batches = 1, .n = x->shape[x->ndim - 1], .length = c->p[0], .bad = INT64_MAX};
  for (int d = 0; d < x->ndim - 1; d++) j.batches *= x->shape[d];
  void *copies[3] = {NULL, NULL, NULL};
  int rc = 0;
  if (!(j.x.data = (void *)(uintptr_t)mx_packed(x, &copies[0])) && x->size) return mx_error_kind();
  if (c->nin > 1) {
    j.weight_dtype = (mx_dtype)c->in[1].dtype;
    if (!(j.weights = mx_packed(&c->in[1], &copies[1]))) {
      if (x->size) rc = mx_error_kind();
      else j.weights = (const char *)&j; /* nothing to read */
    }
  }
  j.parts = j.n / (1 << 15);
  if (j.parts > j.n / (4 * j.length + 1)) j.parts = j.n / (4 * j.length + 1); /* clearing and adding bins costs as well */
  if (j.parts > MOST_PARTS) j.parts = MOST_PARTS;
  if (j.parts < 1) j.parts = 1;
  j.part = (j.n + j.parts - 1) / j.parts;
  size_t bins = (size_t)(j.batches * j.parts * j.length);
  j.bins = out->data;
  if (!rc && (j.weights || j.parts > 1) && !(j.bins = copies[2] = mx_scratch(bins * (j.weights ? sizeof(double) : sizeof(int32_t)))))
    rc = mx_fail_memory();
  if (!rc) {
    mx_parallel(j.batches * j.parts, (1 << 14) / (j.part + j.length + 1) + 1, count_range, &j);
    if (j.bad != INT64_MAX) {
      int64_t v;
      read_block(&j, j.bad, 1, &v);
      rc = v < 0 && x->dtype != MX_U64 ? mx_fail(MX_EVALUE, "[bincount] The values must not be negative, got %lld.", (long long)v)
                 : mx_fail(MX_EVALUE, "[bincount] The value %llu does not fit into %lld bins.", (unsigned long long)v, (long long)j.length);
    } else {
      add_parts(&j, out);
    }
  }
  for (int i = 0; i < 3; i++) mx_scratch_free(copies[i]);
  return rc;
}
