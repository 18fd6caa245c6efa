/* Loops of float for AVX-512 that do better than what the compiler makes of the bodies of kernels/math_f32.h: exp scales by
 * scalef; erf and tanh are polynomials of degree 5 on 32 intervals, their coefficients looked up by a permutation of two registers. The
 * middles of the intervals are chosen where the function is close to a float, so that the first coefficient carries no error. */
#include <immintrin.h>

#define VECTOR(name)                                                                                            \
  static void vector_##name(size_t n, void *vo, const void *va, const void *vb, const void *vc) {               \
    float *o = vo;                                                                                              \
    const float *a = va;                                                                                        \
    size_t i = 0;                                                                                               \
    (void)vb, (void)vc;                                                                                         \
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(o + i, v_##name(_mm512_loadu_ps(a + i)));                     \
    if (i == n) return;                                                                                         \
    __mmask16 m = (__mmask16)((1u << (n - i)) - 1);                                                             \
    _mm512_mask_storeu_ps(o + i, m, v_##name(_mm512_maskz_loadu_ps(m, a + i)));                                 \
  }
#define K(x) _mm512_set1_ps(x)
#define SIGN _mm512_set1_epi32((int)0x80000000u)

static inline __m512 v_abs(__m512 x) { return _mm512_castsi512_ps(_mm512_andnot_si512(SIGN, _mm512_castps_si512(x))); }
/* the magnitude of r with the sign of x */
static inline __m512 v_copysign(__m512 r, __m512 x) {
  return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(SIGN, _mm512_castps_si512(x), _mm512_castps_si512(r), 0xca));
}
/* x at most m; NaN stays */
static inline __m512 v_at_most(__m512 m, __m512 x) { return _mm512_min_ps(m, x); }

/* exp of x[k], a step of all at a time: one chain of them leaves a third of the units idle. 1 ulp */
#define EXP_STEPS(EACH)                                                                                                              \
  EACH(x[k] = v_at_most(K(89), _mm512_max_ps(K(-104.5f), x[k])))                                                                     \
  EACH(n[k] = _mm512_roundscale_ps(_mm512_mul_ps(x[k], K(0x1.715476p+0f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC))           \
  EACH(r[k] = _mm512_fnmadd_ps(n[k], K(0x1.62e400p-1f), x[k]))                                                                       \
  EACH(r[k] = _mm512_fnmadd_ps(n[k], K(0x1.7f7d1cp-20f), r[k]))                                                                      \
  EACH(x[k] = _mm512_fmadd_ps(K(1.978926011e-04f), r[k], K(1.394575229e-03f)))                                                       \
  EACH(x[k] = _mm512_fmadd_ps(x[k], r[k], K(8.333504200e-03f)))                                                                      \
  EACH(x[k] = _mm512_fmadd_ps(x[k], r[k], K(4.166628048e-02f)))                                                                      \
  EACH(x[k] = _mm512_fmadd_ps(x[k], r[k], K(1.666666567e-01f)))                                                                      \
  EACH(x[k] = _mm512_fmadd_ps(x[k], r[k], K(5.000000000e-01f)))                                                                      \
  EACH(x[k] = _mm512_fmadd_ps(_mm512_mul_ps(r[k], r[k]), x[k], r[k]))                                                                \
  EACH(x[k] = _mm512_scalef_ps(_mm512_add_ps(x[k], K(1)), n[k]))
#define AT(i, step) { enum { k = i }; step; }
#define ONCE(step) AT(0, step)
#define FOUR_TIMES(step) AT(0, step) AT(1, step) AT(2, step) AT(3, step)
static inline __m512 v_exp(__m512 a) {
  __m512 x[1] = {a}, n[1], r[1];
  EXP_STEPS(ONCE)
  return x[0];
}
static inline void v_exp_four(__m512 *x) {
  __m512 n[4], r[4];
  EXP_STEPS(FOUR_TIMES)
}

/* 2 ulp */
static inline __m512 v_sigmoid(__m512 x) {
  __m512 e = v_exp(_mm512_or_ps(x, K(-0.0f)));
  __m512 top = _mm512_mask_mov_ps(K(1), _mm512_cmp_ps_mask(x, K(0), _CMP_LT_OQ), e);
  return _mm512_div_ps(top, _mm512_add_ps(K(1), e));
}

static inline __m512 v_look_up(const float *table, __m512i i) {
  return _mm512_permutex2var_ps(_mm512_loadu_ps(table), i, _mm512_loadu_ps(table + 16));
}
/* The function of a >= 0 whose tables are given: in interval 0 it is a + a q(a), elsewhere c0 + t q(t), t the distance from the middle. */
static inline __m512 v_table(const float (*table)[32], __m512i i, __m512 a) {
  __m512 t = _mm512_sub_ps(a, v_look_up(table[0], i));
  __m512 q = v_look_up(table[6], i);
  q = _mm512_fmadd_ps(q, t, v_look_up(table[5], i));
  q = _mm512_fmadd_ps(q, t, v_look_up(table[4], i));
  q = _mm512_fmadd_ps(q, t, v_look_up(table[3], i));
  q = _mm512_fmadd_ps(q, t, v_look_up(table[2], i));
  __m512 c0 = _mm512_mask_mov_ps(v_look_up(table[1], i), _mm512_testn_epi32_mask(i, i), a);
  return _mm512_fmadd_ps(q, t, c0);
}

/* Intervals of 1/8 up to 4. Rows: middle, c0, coefficients of q from the lowest. */
static const float erf_table[7][32] = {
  {
    0, 0.189619198f, 0.314159244f, 0.433959931f, 0.55978173f, 0.683540046f, 0.808680236f, 0.937385261f, 1.06296611f,
    1.18864703f, 1.30888057f, 1.43672442f, 1.56296611f, 1.68360019f, 1.81144404f, 1.93510222f, 2.06054282f, 2.18668437f,
    2.31643081f, 2.43516231f, 2.56086326f, 2.68654418f, 2.80972171f, 2.93618369f, 3.05940127f, 3.19010901f, 3.31270576f,
    3.43438125f, 3.56056285f, 3.69117045f, 3.81649089f, 3.94149089f},
  {
    0, 0.211425409f, 0.343165815f, 0.460594356f, 0.57143575f, 0.666291773f, 0.747229755f, 0.815048635f, 0.86722827f,
    0.907237232f, 0.935835719f, 0.957829654f, 0.972920358f, 0.982732892f, 0.989585936f, 0.99379313f, 0.996432245f, 0.998014808f,
    0.998946846f, 0.999426484f, 0.999707222f, 0.999854922f, 0.99992919f, 0.999967098f, 0.99998486f, 0.999993563f, 0.999997199f,
    0.999998808f, 0.999999523f, 0.999999821f, 0.99999994f, 1},
  {
    0.128379166f, 1.08852851f, 1.02233195f, 0.93469131f, 0.82483387f, 0.707197845f, 0.586735368f, 0.468645394f, 0.36454156f,
    0.274693459f, 0.203439593f, 0.143216923f, 0.0980692878f, 0.0662892759f, 0.0424025059f, 0.0266800486f, 0.0161625966f,
    0.00945883244f, 0.00527346646f, 0.00299972668f, 0.00160051754f, 0.000827802345f, 0.000420632452f, 0.000203373798f,
    9.71648915e-05f, 4.29357133e-05f, 1.9335459e-05f, 8.51001187e-06f, 3.522312e-06f, 1.3647126e-06f, 1.22597601e-06f,
    2.34821891e-06f},
  {
    2.23215253e-07f, -0.206405476f, -0.321175039f, -0.405618459f, -0.461726874f, -0.483398378f, -0.474481076f, -0.439301431f,
    -0.387495577f, -0.326513678f, -0.26627782f, -0.20576337f, -0.153279379f, -0.111604385f, -0.0768096149f, -0.0516294576f,
    -0.0333031937f, -0.020683581f, -0.0122158537f, -0.00730489148f, -0.00409956137f, -0.00222394313f, -0.00118184008f,
    -0.000597688835f, -0.000297391787f, -0.000136744813f, -6.38671554e-05f, -2.92119839e-05f, -1.258879e-05f, -5.06116885e-06f,
    -2.34610106e-05f, -6.71516391e-05f},
  {
    -0.376139522f, -0.336762309f, -0.273524046f, -0.194224387f, -0.102664091f, -0.0154389627f, 0.0601597391f, 0.118319891f,
    0.153094262f, 0.167175516f, 0.164546102f, 0.149347588f, 0.127041668f, 0.1031565f, 0.0786421373f, 0.0577316359f,
    0.0403746888f, 0.0269996077f, 0.0170960017f, 0.0108612534f, 0.00676213577f, 0.00370645733f, 0.0020725464f, 0.00111368089f,
    0.00057010405f, 0.0002699623f, 0.000140374468f, 6.45750988e-05f, 2.74322792e-05f, 1.25641172e-05f, -0.000649604423f,
    -0.00202514604f},
  {
    0.000257582753f, 0.100205392f, 0.149851143f, 0.177107632f, 0.182465762f, 0.166371763f, 0.133694008f, 0.0910118967f,
    0.0479148142f, 0.0095829377f, -0.0189269576f, -0.0385812707f, -0.0480059609f, -0.049678091f, -0.0456432328f, -0.0383965708f,
    -0.0306329988f, -0.0226079654f, -0.0156705342f, -0.0107798874f, -0.00689375401f, -0.00424084952f, -0.0025283806f,
    -0.00128297484f, -0.000743855315f, -0.000449647749f, -0.000258949993f, -0.000105144114f, -3.30926232e-05f, -1.50037431e-05f,
    0.00649148412f, 0.0201266818f},
  {
    0.111089043f, 0.0911304727f, 0.0663624927f, 0.0292133801f, -0.00511593511f, -0.0434318148f, -0.0496437736f, -0.0704599917f,
    -0.0684146136f, -0.0547554865f, -0.0403424874f, -0.0232302416f, -0.0114587285f, 0.00492898934f, 0.0061494438f,
    0.00857629348f, 0.0109445192f, 0.0115974853f, 0.0116077457f, 0.0068228608f, -0.0528574884f, 0.00355579029f, 0.00240038987f,
    -0.000996777089f, 0.00134288112f, 0.00154434354f, -0.00071720808f, 4.27515988e-05f, 0.000237758577f, -6.41406077e-05f,
    0.134342819f, 0.416000694f},
};
/* 1 ulp */
static inline __m512 v_erf(__m512 x) {
  __m512 a = v_at_most(K(0x1.fffffep+1f), v_abs(x));
  return v_copysign(v_table(erf_table, _mm512_cvttps_epi32(_mm512_mul_ps(a, K(8))), a), x);
}

/* Quarters of octaves from 1/16 up to 16; the first begins at 0. Rows: middle, c0, coefficients of q from the lowest. */
static const float tanh_table[7][32] = {
  {
    0, 0.0863089487f, 0.101462215f, 0.116979256f, 0.141011164f, 0.17111586f, 0.202628717f, 0.234615654f, 0.279750496f,
    0.344128042f, 0.404985189f, 0.470019877f, 0.564664245f, 0.685139358f, 0.811172009f, 0.937092006f, 1.1196779f, 1.37110484f,
    1.62057912f, 1.86881423f, 2.26323819f, 2.75745535f, 3.23695254f, 3.74581456f, 4.52557516f, 5.50484705f, 6.47961283f,
    7.51310825f, 8.93999958f, 10, 12, 14},
  {
    0, 0.0860952735f, 0.101115473f, 0.116448574f, 0.140083909f, 0.169465065f, 0.199900314f, 0.230403602f, 0.272674143f,
    0.331157744f, 0.384206384f, 0.438215375f, 0.511429906f, 0.594850361f, 0.67023629f, 0.733883321f, 0.807456851f, 0.878943741f,
    0.924708188f, 0.953486502f, 0.978594124f, 0.991979718f, 0.99691838f, 0.998885155f, 0.999765515f, 0.999966919f, 0.999995291f,
    0.999999404f, 0.99999994f, 1, 1, 1},
  {
    -7.19192483e-11f, 0.992587626f, 0.989775658f, 0.986439764f, 0.980376422f, 0.971281588f, 0.960039854f, 0.946914196f,
    0.925648808f, 0.890334547f, 0.852385461f, 0.807967246f, 0.738439381f, 0.646153033f, 0.550783336f, 0.461415261f,
    0.348013461f, 0.227457911f, 0.144914761f, 0.0908634886f, 0.0423535667f, 0.0159762558f, 0.00615373487f, 0.00222844747f,
    0.000468959071f, 6.6162851e-05f, 9.41735925e-06f, 1.18769481e-06f, 2.39812561e-08f, 0, 0, 0},
  {
    4.27857678e-08f, -0.0854581371f, -0.100083649f, -0.114869379f, -0.137336671f, -0.164597705f, -0.191913053f, -0.218172804f,
    -0.252400219f, -0.294841647f, -0.327492386f, -0.354064077f, -0.377660304f, -0.384364605f, -0.36915496f, -0.338624805f,
    -0.281007737f, -0.199923843f, -0.134004056f, -0.0866371617f, -0.0414456762f, -0.015847208f, -0.00613438478f,
    -0.00222581299f, -0.000468251586f, -6.60771329e-05f, -9.40658811e-06f, -1.18836533e-06f, 1.36551265e-07f, 0, 0, 0},
  {
    -0.333337367f, -0.324195892f, -0.319368511f, -0.31583938f, -0.30687061f, -0.295721591f, -0.281874985f, -0.265245169f,
    -0.239725903f, -0.199179128f, -0.158343554f, -0.114136077f, -0.0529563352f, 0.0132617466f, 0.0638255253f, 0.0947130322f,
    0.110888965f, 0.0998994634f, 0.0756159872f, 0.0523194484f, 0.0264386553f, 0.0103937155f, 0.00406546611f, 0.00148069486f,
    0.000311193668f, 4.40238728e-05f, 6.28217185e-06f, 8.59470447e-07f, 1.55219212e-07f, 0, 0, 0},
  {
    0.000126422368f, 0.0786119178f, 0.104222804f, 0.0719552264f, 0.0973363817f, 0.102485083f, 0.123757482f, 0.135658339f,
    0.149113461f, 0.164685324f, 0.170415327f, 0.168426797f, 0.152952492f, 0.120257042f, 0.0802958682f, 0.043389786f,
    0.00452381f, -0.0209276136f, -0.0251883883f, -0.0209933016f, -0.0121239061f, -0.0050760922f, -0.00202813465f,
    -0.000745219935f, -0.000163222314f, -2.30896621e-05f, -3.28389251e-06f, -4.24939117e-07f, -2.35190072e-07f, 0, 0, 0},
  {
    0.131960019f, 9.4426384f, -4.95694542f, 5.36912155f, -1.79931736f, -0.295245558f, 0.730184436f, -0.278351814f, 0.059936624f,
    0.0616830587f, 0.0325461142f, -0.03636178f, -0.05108428f, -0.0627724826f, -0.0625573397f, -0.0542496257f, -0.0321121477f,
    -0.00955101382f, 0.000826377189f, 0.00459841359f, 0.00398024404f, 0.00191629783f, 0.000771229214f, 0.000292922719f,
    6.85998966e-05f, 9.31888007e-06f, 1.26165617e-06f, -3.60618984e-08f, -2.90908968e-08f, 0, 0, 0},
};
/* 1.5 ulp */
static inline __m512 v_tanh(__m512 x) {
  __m512 a = v_at_most(K(0x1.fffffep+3f), v_abs(x));
  __m512i i = _mm512_sub_epi32(_mm512_srli_epi32(_mm512_castps_si512(a), 21), _mm512_set1_epi32((127 - 4) * 4));
  i = _mm512_max_epi32(i, _mm512_setzero_si512());
  return v_copysign(v_table(tanh_table, i, a), x);
}

/* exp of a - b */
static inline void exp_after(size_t n, float *o, const float *a, __m512 b) {
  for (; n >= 64; n -= 64, o += 64, a += 64) {
    __m512 x[4];
    FOUR_TIMES(x[k] = _mm512_sub_ps(_mm512_loadu_ps(a + 16 * k), b))
    v_exp_four(x);
    FOUR_TIMES(_mm512_storeu_ps(o + 16 * k, x[k]))
  }
  for (; n >= 16; n -= 16, o += 16, a += 16) _mm512_storeu_ps(o, v_exp(_mm512_sub_ps(_mm512_loadu_ps(a), b)));
  __mmask16 m = (__mmask16)((1u << n) - 1);
  if (n) _mm512_mask_storeu_ps(o, m, v_exp(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, a), b)));
}
static void vector_exp(size_t n, void *o, const void *a, const void *vb, const void *vc) {
  (void)vb, (void)vc;
  exp_after(n, o, a, _mm512_setzero_ps());
}
VECTOR(sigmoid)
VECTOR(erf)
VECTOR(tanh)
#undef K
#undef EXP_STEPS
#undef AT
#undef ONCE
#undef FOUR_TIMES
#define exp_f32 vector_exp
#define sigmoid_f32 vector_sigmoid
#define erf_f32 vector_erf
#define tanh_f32 vector_tanh
