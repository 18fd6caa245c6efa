/* Large products (mx_packer) of type T: after gemm_kernel.inc.h. `source` (or NULL) says what the factors are stored as. */
enum { NAME(GAP) = 64 / sizeof(T) }; /* rows that are copied lie this much more than KC apart, so that they share no lines of L1 */

static void NAME(tile)(const NAME(source) *s, int64_t m, int64_t n, int64_t k, int64_t next, const mx_matrix *a, const T *panels, T *c, int64_t ldc,
                       bool add, T *scratch) {
  enum { AHEAD = 4 };
  const bool rows = a->cs == 1;
  NAME(ahead) soon = {0};
  const T *from = scratch;
  int64_t rs = NAME(KC) + NAME(GAP);
  if (rows && !s && a->rs * (int64_t)sizeof(T) % 1024) {
    from = a->data;
    rs = a->rs;
  } else if (rows) {
    for (int64_t i = 0; i < m; i++) {
      const char *then = (const char *)NAME(element)(s, a->data, (i + AHEAD < m ? i + AHEAD : i) * a->rs); /* a row to come: each is too short to be foreseen */
      for (int64_t q = 0; q < k * (s ? s->item : (int64_t)sizeof(T)); q += 64) __builtin_prefetch(then + q);
      if (s) s->convert(k, scratch + i * rs, NAME(element)(s, a->data, i * a->rs), 1);
      else memcpy(scratch + i * rs, (const T *)a->data + i * a->rs, (size_t)k * sizeof(T));
    }
  } else {
    NAME(pack_from)(s, m, k, MR, 1, a->data, a->rs, a->cs, scratch, scratch + (m + MR) * rs);
    if (!s && a->rs == 1) soon = (NAME(ahead)){(const T *)a->data + k * a->cs, m, next, a->cs}; /* no machine foresees runs that short */
  }
  NAME(panels)(m, n, k, from, rs, rows, panels, c, ldc, add, &soon);
}

#undef PACKED
#define PACKED(name, source)                                                                                                         \
  static void pack_##name(int64_t n, int64_t k, double alpha, const mx_matrix *b, void *panels, void *scratch) {                     \
    NAME(pack_from)(source, n, k, NAME(NR), (T)alpha, b->data, b->cs, b->rs, panels, scratch);                                       \
  }                                                                                                                                  \
  static void tile_##name(int64_t m, int64_t n, int64_t k, int64_t next, const mx_matrix *a, const void *panels, void *c,            \
                          int64_t ldc, bool add, void *scratch) {                                                                    \
    NAME(tile)(source, m, n, k, next, a, panels, c, ldc, add, scratch);                                                              \
  }                                                                                                                                  \
  extern const mx_packer CAT(name, MX_ISA);                                                                                          \
  const mx_packer CAT(name, MX_ISA) = {MR, NAME(NR), NAME(KC), sizeof(T), (NAME(KC) + NAME(GAP)) * sizeof(T),                        \
                                       (NAME(LINES) + MR * (NAME(KC) + NAME(GAP))) * sizeof(T), pack_##name, tile_##name};
