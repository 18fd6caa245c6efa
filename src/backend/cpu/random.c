/* Random bits: Threefry-2x32 with 20 rounds (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011), with counters
 * laid out so that the words are those of MLX.
 *
 * n words from one key: h = n / 2. For even n the counter pair (j, h + j) gives the words j and h + j; for odd n the pair
 * (j, h + 1 + j) gives the words j and h + 1 + j, and word h is the first output of (h, 0). */
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/vec.h"
#include "backend/cpu/walk.h"
#include "core/parallel.h"

typedef struct random_job {
  const mx_view *key;
  mx_walk keys;
  int64_t key_stride;
  size_t bytes;            /* of result for one key */
  int64_t pairs;           /* counter pairs of one key, the odd word's included */
  char *out;
} random_job;

static void put(char *out, size_t bytes, int64_t word, uint32_t v) {
  size_t at = (size_t)word * 4, n = bytes - at < 4 ? bytes - at : 4;
  memcpy(out + at, &v, n);
}

static void random_range(void *ctx, int64_t begin, int64_t end) {
  const random_job *j = ctx;
  int64_t words = (int64_t)((j->bytes + 3) / 4), half = words / 2, odd = words & 1;
  void (*threefry)(uint32_t, uint32_t, uint32_t, uint32_t, int64_t, uint32_t *, uint32_t *) = mx_vec_now()->threefry;
  while (begin < end) {
    int64_t k = begin / j->pairs, first = begin % j->pairs, stop = first + (end - begin);
    if (stop > j->pairs) stop = j->pairs;
    mx_cursor at;
    mx_walk_seek(&j->keys, &at, k);
    const uint32_t *key = mx_at(j->key, at.off[0]);
    uint32_t k0 = key[0], k1 = key[j->key_stride], a, b;
    char *out = j->out + (size_t)k * j->bytes;
    int64_t i = first, whole = stop < half ? stop : half;
    if (half && (j->bytes % 4 == 0) && ((uintptr_t)out & 3) == 0) {
      uint32_t *lo = (uint32_t *)out, *hi = lo + half + odd;
      if (i < whole) threefry(k0, k1, (uint32_t)i, (uint32_t)(half + odd + i), whole - i, lo + i, hi + i), i = whole;
    }
    for (; i < whole; i++) {
      threefry(k0, k1, (uint32_t)i, (uint32_t)(half + odd + i), 1, &a, &b);
      put(out, j->bytes, i, a);
      put(out, j->bytes, half + odd + i, b);
    }
    if (odd && stop == j->pairs) {
      threefry(k0, k1, (uint32_t)half, 0, 1, &a, &b);
      put(out, j->bytes, half, a);
    }
    begin += stop - first;
  }
}

int mx_cpu_random_bits(const mx_call *c) {
  const mx_view *key = c->in, *out = c->out;
  int64_t keys = key->size / 2;
  if (!out->size || !keys) return 0;
  random_job j = {.key = key, .key_stride = key->strides[key->ndim - 1], .out = out->data};
  j.bytes = (size_t)(out->size / keys) * mx_dtype_sizes[out->dtype];
  j.pairs = (int64_t)((j.bytes + 3) / 4 + 1) / 2;
  mx_walk_init(&j.keys, key->ndim, key->shape, key->ndim - 1, key->strides, NULL, NULL);
  mx_parallel(keys * j.pairs, 1 << 13, random_range, &j);
  return 0;
}
