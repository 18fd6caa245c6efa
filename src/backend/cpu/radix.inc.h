/* Sorting elements of type E by their numbers E_KEY(e) of type KEY. E_LESS(x, y) is the same order, with what breaks ties.
 *
 * Long rows: radix sort from the least significant digit, the very long ones with a histogram for every chunk, so that chunks are
 * counted and moved by the pool (the chunks follow n alone). Digits that are the same everywhere are skipped. Short rows: merge sort
 * from runs of 4, without branches on the data. */

typedef struct NAME(pass) {
  const E *from;
  E *to;
  uint32_t *counts;        /* (chunks, buckets) */
  int64_t n;
  int shift;
  KEY mask;
} NAME(pass);

static void NAME(count)(void *ctx, int64_t begin, int64_t end) {
  const NAME(pass) *p = ctx;
  for (int64_t chunk = begin; chunk < end; chunk++) {
    uint32_t *count = p->counts + chunk * (int64_t)(p->mask + 1);
    int64_t stop = (chunk + 1) * RADIX_CHUNK < p->n ? (chunk + 1) * RADIX_CHUNK : p->n;
    for (int64_t i = chunk * RADIX_CHUNK; i < stop; i++) count[E_KEY(p->from[i]) >> p->shift & p->mask]++;
  }
}

static void NAME(move)(void *ctx, int64_t begin, int64_t end) {
  const NAME(pass) *p = ctx;
  for (int64_t chunk = begin; chunk < end; chunk++) {
    uint32_t *count = p->counts + chunk * (int64_t)(p->mask + 1);
    int64_t stop = (chunk + 1) * RADIX_CHUNK < p->n ? (chunk + 1) * RADIX_CHUNK : p->n;
    for (int64_t i = chunk * RADIX_CHUNK; i < stop; i++) {
      E e = p->from[i];
      p->to[count[E_KEY(e) >> p->shift & p->mask]++] = e;
    }
  }
}

#define ORDER(x, y)                                                                                                          \
  do {                                                                                                                       \
    E lo_ = E_LESS(y, x) ? y : x, hi_ = E_LESS(y, x) ? x : y;                                                                \
    x = lo_, y = hi_;                                                                                                        \
  } while (0)

/* Runs of 4 from a into b; what is left of n / 4 is one run more. */
static void NAME(runs)(int64_t n, const E *restrict a, E *restrict b) {
  int64_t q = n / 4;
  for (int64_t i = 0; i < q; i++) {
    E w = a[i], x = a[i + q], y = a[i + 2 * q], z = a[i + 3 * q];
    ORDER(w, x);
    ORDER(y, z);
    ORDER(w, y);
    ORDER(x, z);
    ORDER(x, y);
    b[4 * i] = w, b[4 * i + 1] = x, b[4 * i + 2] = y, b[4 * i + 3] = z;
  }
  for (int64_t i = 4 * q; i < n; i++) {
    int64_t k = i;
    for (; k > 4 * q && E_LESS(a[i], b[k - 1]); k--) b[k] = b[k - 1];
    b[k] = a[i];
  }
}
#undef ORDER

/* Two runs of one length, from both ends at once: neither can run out. */
static void NAME(merge_equal)(int64_t len, const E *restrict from, E *restrict to) {
  const E *p = from, *q = from + len, *pe = q - 1, *qe = q + len - 1;
  E *o = to, *oe = to + 2 * len - 1;
  for (int64_t i = 0; i < len; i++) {
    bool second = E_LESS(*q, *p), last = !E_LESS(*qe, *pe);
    *o++ = second ? *q : *p;
    q += second;
    p += !second;
    *oe-- = last ? *qe : *pe;
    qe -= last;
    pe -= !last;
  }
}

static void NAME(merge_sort)(int64_t n, E *a, E *b) {
  E *from = b, *to = a;
  NAME(runs)(n, a, b);
  for (int64_t width = 4; width < n; width *= 2) {
    int64_t low = 0;
    for (; low + 2 * width <= n; low += 2 * width) NAME(merge_equal)(width, from + low, to + low);
    int64_t mid = low + width < n ? low + width : n, i = low, k = mid, o = low;
    while (i < mid && k < n) to[o++] = E_LESS(from[k], from[i]) ? from[k++] : from[i++];
    memcpy(to + o, from + i, (size_t)(mid - i) * sizeof(E));
    memcpy(to + o + (mid - i), from + k, (size_t)(n - k) * sizeof(E));
    E *t = from;
    from = to;
    to = t;
  }
  if (from != a) memcpy(a, from, (size_t)n * sizeof(E));
}

/* Sorts a; b is scratch of the same size, counts has RADIX_COUNTS(n) entries. */
static void NAME(sort)(int64_t n, E *a, E *b, uint32_t *counts) {
  if (n < RADIX_LEAST) {
    NAME(merge_sort)(n, a, b);
    return;
  }
  int bits = KEY_BITS >= 32 && n >= 1 << 13 ? 11 : 8;
  int64_t chunks = (n + RADIX_CHUNK - 1) / RADIX_CHUNK, buckets = (int64_t)1 << bits;
  NAME(pass) p = {a, b, counts, n, 0, (KEY)(buckets - 1)};
  for (p.shift = 0; p.shift < KEY_BITS; p.shift += bits) {
    memset(counts, 0, (size_t)(chunks * buckets) * sizeof *counts);
    mx_parallel(chunks, 1, NAME(count), &p);
    uint32_t at = 0, most = 0;
    for (int64_t q = 0; q < buckets; q++) {
      uint32_t first = at;
      for (int64_t c = 0; c < chunks; c++) {
        uint32_t count = counts[c * buckets + q];
        counts[c * buckets + q] = at;
        at += count;
      }
      if (at - first > most) most = at - first;
    }
    if (most == n) continue; /* all in one bucket */
    mx_parallel(chunks, 1, NAME(move), &p);
    E *t = (E *)p.from;
    p.from = p.to;
    p.to = t;
  }
  if (p.from != a) memcpy(a, p.from, (size_t)n * sizeof(E));
}

#undef E
#undef E_KEY
#undef E_LESS
#undef KEY
#undef KEY_BITS
#undef NAME
