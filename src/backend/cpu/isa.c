/* Chooses the instruction set: the best that the machine has, or the one named by MLX_CPU_ISA: scalar, avx2, avx512, or avx512_bf16, which is
 * avx512 but for products of bfloat16 by their own instruction. */
#include "backend/cpu/isa.h"

#include <stdlib.h>
#include <string.h>

const uint8_t mx_dtype_tags[MX_DTYPES] = {
#define DTYPE(e, name, type, tag, kind) [MX_##e] = MX_TAG_##tag,
#include "dtypes.def"
#undef DTYPE
};

const uint8_t mx_tag_sizes[MX_N_TAGS] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 8};

#define DECLARE_TAG(tag, isa)                     \
  extern const mx_loop mx_loops_##tag##_##isa[];  \
  extern const mx_reducer mx_reducers_##tag##_##isa[];
#define LOOPS_OF(tag, isa) [MX_TAG_##tag] = mx_loops_##tag##_##isa,
#define REDUCERS_OF(tag, isa) [MX_TAG_##tag] = mx_reducers_##tag##_##isa,
#define EACH_TAG(X, isa)                                                                                            \
  X(b8, isa) X(u8, isa) X(u16, isa) X(u32, isa) X(u64, isa) X(i8, isa) X(i16, isa) X(i32, isa) X(i64, isa) X(f32, isa) \
      X(f64, isa) X(c64, isa)
#define DECLARE(isa)                                                                   \
  EACH_TAG(DECLARE_TAG, isa)                                                           \
  extern const mx_loop mx_right_f32_##isa[], mx_left_f32_##isa[], mx_pairs_##isa[], mx_joins_##isa[]; \
  extern const mx_loop mx_casts_##isa[][MX_N_TAGS];                                    \
  extern const mx_halves mx_halves_##isa[];                                            \
  extern const mx_streamer mx_streamer_##isa;                                          \
  extern const mx_turner mx_turner_##isa;                                              \
  extern const struct mx_ffts mx_ffts_##isa;
#define ISA(name, isa, dot_bf16)                                                         \
  static const mx_isa name = {#name, dot_bf16, {EACH_TAG(LOOPS_OF, isa)}, mx_right_f32_##isa, mx_left_f32_##isa, mx_pairs_##isa, \
                             mx_joins_##isa, mx_casts_##isa, {EACH_TAG(REDUCERS_OF, isa)}, mx_halves_##isa, \
                             &mx_streamer_##isa, &mx_turner_##isa, &mx_ffts_##isa};

DECLARE(base)
ISA(base, base, false)
#ifdef MX_HAVE_ISA_avx2
DECLARE(avx2)
ISA(avx2, avx2, false)
#endif
#ifdef MX_HAVE_ISA_avx512
DECLARE(avx512)
ISA(avx512, avx512, false)
ISA(avx512_bf16, avx512, true)
#endif

const mx_isa *mx_isa_now = &base;

const mx_isa *mx_isa_named(const char *name) {
#ifdef MX_HAVE_ISA_avx2
  __builtin_cpu_init();
  bool has2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#ifdef MX_HAVE_ISA_avx512
  bool has512 = has2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!strcmp(name, "avx512")) return has512 ? &avx512 : NULL;
  if (!strcmp(name, "avx512_bf16")) return has512 && __builtin_cpu_supports("avx512bf16") ? &avx512_bf16 : NULL;
#endif
  if (!strcmp(name, "avx2")) return has2 ? &avx2 : NULL;
#endif
  return !strcmp(name, "base") || !strcmp(name, "scalar") ? &base : NULL;
}

int mx_isa_use(const char *name) {
  const mx_isa *isa = mx_isa_named(name);
  if (isa) mx_isa_now = isa;
  return isa ? 0 : -1;
}

__attribute__((constructor)) static void choose(void) {
  const char *forced = getenv("MLX_CPU_ISA");
  if (forced && !mx_isa_use(forced)) return;
  if (mx_isa_use("avx512_bf16") && mx_isa_use("avx512")) mx_isa_use("avx2");
}
