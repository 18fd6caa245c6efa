/* Included by lapack.c once a type: T the element, R its real type, L LAPACK's letter, TAG, COMPLEX. Dimensions are int, as LAPACK has
 * them; trailing size_t arguments are the lengths of character arguments, which Fortran passes hidden. */
#define FN(name) CAT(name, TAG)
#if COMPLEX
#define MAGNITUDE(x) (double)cabsf(x)
#else
#define MAGNITUDE(x) fabs((double)(x))
#endif
#define STR_(x)  #x
#define STR(x)   STR_(x)
/* Declares f, the LAPACK entry <letter><name>_ with this signature; leaves with NO_LAPACK when it is not there. */
#define ENTRY(f, name, ...)                         \
  void (*f)(__VA_ARGS__);                           \
  do {                                              \
    void *entry_ = mx_blas_symbol(STR(L) name "_"); \
    if (!entry_) return NO_LAPACK;                  \
    memcpy(&f, &entry_, sizeof f);                  \
  } while (0)

static bool FN(finite)(T x) {
#if COMPLEX
  return isfinite(crealf(x)) && isfinite(cimagf(x));
#else
  return isfinite(x);
#endif
}

/* Matrix `batch` of v, column-major; NULL: no memory. *ok: it is finite. */
static T *FN(load)(const mx_view *v, int64_t batch, bool *ok) {
  int m = rows(v), n = cols(v);
  T *buf = mx_malloc(((size_t)m * (size_t)n + 1) * sizeof *buf);
  if (!buf) return NULL;
  const T *src = (const T *)v->data + batch_offset(v, batch);
  int64_t si = v->strides[v->ndim - 2], sj = v->strides[v->ndim - 1];
  *ok = true;
  for (int j0 = 0; j0 < n; j0 += BLOCK) /* in blocks, since both sides are walked along their neighbours then */
    for (int i0 = 0; i0 < m; i0 += BLOCK)
      for (int j = j0; j < n && j < j0 + BLOCK; j++)
        for (int i = i0; i < m && i < i0 + BLOCK; i++) {
          T x = src[i * si + j * sj];
          *ok &= FN(finite)(x);
          buf[(int64_t)j * m + i] = x;
        }
  return buf;
}

/* The leading m x n of a column-major buffer with ld rows, to row-major matrix `batch` of out. */
static void FN(store)(const mx_view *out, int64_t batch, int m, int n, const T *buf, int ld) {
  T *dst = (T *)out->data + batch * m * n;
  for (int i0 = 0; i0 < m; i0 += BLOCK)
    for (int j0 = 0; j0 < n; j0 += BLOCK)
      for (int i = i0; i < m && i < i0 + BLOCK; i++)
        for (int j = j0; j < n && j < j0 + BLOCK; j++) dst[(int64_t)i * n + j] = buf[(int64_t)j * ld + i];
}

/* A loaded input `a`; leaves with the trouble. */
#define LOADED(a, v, batch)               \
  bool finite_##a;                        \
  T *a = FN(load)(v, batch, &finite_##a); \
  if (!a) return NO_MEMORY;               \
  if (!finite_##a) {                      \
    mx_free(a);                           \
    return NOT_FINITE;                    \
  }

/* Scratch for a workspace whose size a query put into `want`. */
static T *FN(workspace)(T want, int *lwork) {
#if COMPLEX
  *lwork = (int)crealf(want) + 1;
#else
  *lwork = (int)want + 1;
#endif
  return mx_malloc((size_t)*lwork * sizeof(T));
}

static int FN(factor)(T *a, int m, int n, int *pivots, int *info) {
  ENTRY(getrf, "getrf", int *, int *, T *, int *, int *, int *);
  *info = 0;
  if (m && n) getrf(&m, &n, a, &m, pivots, info);
  return FINE;
}

static int FN(inverse)(const job *j, int64_t b) {
  ENTRY(getri, "getri", int *, T *, int *, int *, T *, int *, int *);
  const mx_view *v = &j->c->in[0];
  int n = rows(v), info, lwork = -1;
  LOADED(a, v, b)
  int *pivots = mx_malloc(((size_t)n + 1) * sizeof *pivots);
  T want = 0, *work = NULL;
  int t = pivots ? FN(factor)(a, n, n, pivots, &info) : NO_MEMORY;
  if (!t && info) t = SINGULAR;
  if (!t && n) {
    getri(&n, a, &n, pivots, &want, &lwork, &info);
    if (!(work = FN(workspace)(want, &lwork)))
      t = NO_MEMORY;
    else
      getri(&n, a, &n, pivots, work, &lwork, &info);
    if (!t && info) t = SINGULAR;
  }
  if (t == SINGULAR && j->c->p[0]) { /* no error is wanted */
    for (int64_t i = 0; i < (int64_t)n * n; i++) a[i] = (R)INFINITY;
    t = FINE;
  }
  if (!t) FN(store)(&j->c->out[0], b, n, n, a, n);
  mx_free(work);
  mx_free(pivots);
  mx_free(a);
  return t;
}

static int FN(solve)(const job *j, int64_t b) {
  ENTRY(gesv, "gesv", int *, int *, T *, int *, int *, T *, int *, int *);
  int n = rows(&j->c->in[0]), k = cols(&j->c->in[1]), info = 0, t = FINE;
  LOADED(a, &j->c->in[0], b)
  bool ok;
  T *x = FN(load)(&j->c->in[1], b, &ok);
  int *pivots = mx_malloc(((size_t)n + 1) * sizeof *pivots);
  if (!x || !pivots)
    t = NO_MEMORY;
  else if (!ok)
    t = NOT_FINITE;
  else if (n && k)
    gesv(&n, &k, a, &n, pivots, x, &n, &info);
  if (!t && info) t = SINGULAR;
  if (!t) FN(store)(&j->c->out[0], b, n, k, x, n);
  mx_free(pivots);
  mx_free(x);
  mx_free(a);
  return t;
}

static int FN(solve_triangular)(const job *j, int64_t b) {
  ENTRY(trtrs, "trtrs", const char *, const char *, const char *, int *, int *, T *, int *, T *, int *, int *, size_t, size_t,
        size_t);
  int n = rows(&j->c->in[0]), k = cols(&j->c->in[1]), info = 0, t = FINE;
  LOADED(a, &j->c->in[0], b)
  bool ok;
  T *x = FN(load)(&j->c->in[1], b, &ok);
  if (!x)
    t = NO_MEMORY;
  else if (!ok)
    t = NOT_FINITE;
  else if (n && k)
    trtrs(j->c->p[0] ? "U" : "L", "N", "N", &n, &k, a, &n, x, &n, &info, 1, 1, 1);
  if (!t && info) t = SINGULAR;
  if (!t) FN(store)(&j->c->out[0], b, n, k, x, n);
  mx_free(x);
  mx_free(a);
  return t;
}

/* b (at least max(m, n) rows) becomes x; s the singular values. */
static int FN(gelsd_call)(T *a, int m, int n, int nrhs, T *b, int ldb, R *s, R rcond, int *rank) {
  int lwork = -1, info = 0, iwant = 0;
  T want = 0, *work = NULL;
#if COMPLEX
  ENTRY(gelsd, "gelsd", int *, int *, int *, T *, int *, T *, int *, R *, R *, int *, T *, int *, R *, int *, int *);
  R rwant = 0;
  gelsd(&m, &n, &nrhs, a, &m, b, &ldb, s, &rcond, rank, &want, &lwork, &rwant, &iwant, &info);
  R *rwork = mx_malloc(((size_t)rwant + 1) * sizeof *rwork);
#define RWORK rwork,
#else
  ENTRY(gelsd, "gelsd", int *, int *, int *, T *, int *, T *, int *, R *, R *, int *, T *, int *, int *, int *);
  gelsd(&m, &n, &nrhs, a, &m, b, &ldb, s, &rcond, rank, &want, &lwork, &iwant, &info);
  R *rwork = NULL;
#define RWORK
#endif
  int *iwork = mx_malloc(((size_t)iwant + 1) * sizeof *iwork), t = FINE;
  work = FN(workspace)(want, &lwork);
  if (!iwork || !work || (COMPLEX && !rwork))
    t = NO_MEMORY;
  else
    gelsd(&m, &n, &nrhs, a, &m, b, &ldb, s, &rcond, rank, work, &lwork, RWORK iwork, &info);
#undef RWORK
  mx_free(rwork);
  mx_free(iwork);
  mx_free(work);
  return !t && info ? NO_CONVERGENCE : t;
}

static int FN(lstsq)(const job *j, int64_t b) {
  const mx_view *va = &j->c->in[0], *vb = &j->c->in[1];
  int m = rows(va), n = cols(va), nrhs = cols(vb), k = (int)smaller(m, n), ld = m > n ? m : n, rank = 0, t = FINE;
  LOADED(a, va, b)
  bool ok;
  T *given = FN(load)(vb, b, &ok), *x = mx_calloc((size_t)ld * (size_t)nrhs + 1, sizeof *x);
  if (!given || !x)
    t = NO_MEMORY;
  else if (!ok)
    t = NOT_FINITE;
  for (int c = 0; c < nrhs && !t && k; c++) memcpy(x + (int64_t)c * ld, given + (int64_t)c * m, (size_t)m * sizeof *x);
  if (!t && k) t = FN(gelsd_call)(a, m, n, nrhs, x, ld, (R *)j->c->out[1].data + b * k, (R)mx_unbits(j->c->p[0]), &rank);
  if (!t) {
    FN(store)(&j->c->out[0], b, n, nrhs, x, ld);
    ((int32_t *)j->c->out[2].data)[b] = rank;
  }
  mx_free(x);
  mx_free(given);
  mx_free(a);
  return t;
}

static int FN(product)(int n, const T *a, const T *b, T *c) {
  ENTRY(gemm, "gemm", const char *, const char *, int *, int *, int *, T *, const T *, int *, const T *, int *, T *, T *, int *,
        size_t, size_t);
  T one = 1, zero = 0;
  gemm("N", "N", &n, &n, &n, &one, a, &n, b, &n, &zero, c, &n, 1, 1);
  return FINE;
}

/* r = sum of c[2 k + odd] a^(2 k) for k < terms, given a^2, a^4 and a^6; c beyond a^6 is left out. */
static void FN(even_terms)(int n, T *r, T *const *powers, const double *c, int terms) {
  int64_t size = (int64_t)n * n;
  for (int64_t i = 0; i < size; i++) {
    T x = 0;
    for (int k = 1; k < terms; k++) x += (R)c[2 * k] * powers[k - 1][i];
    r[i] = x;
  }
  for (int i = 0; i < n; i++) r[(int64_t)i * n + i] += (R)c[0];
}

/* The largest sum of absolute values of a column. */
static double FN(norm1)(int n, const T *a) {
  double most = 0;
  for (int j = 0; j < n; j++) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += MAGNITUDE(a[(int64_t)j * n + i]);
    if (sum > most) most = sum;
  }
  return most;
}

/* The Pade approximant of degree d of exp(a); w: five more matrices. The result is in w[0]. */
static int FN(pade)(int n, int d, T *a, T *const *w) {
  double c[MAX_PADE + 1] = {1};
  for (int k = 1; k <= d; k++) c[k] = c[k - 1] * (d - k + 1) / ((double)k * (2 * d - k + 1));
  int64_t size = (int64_t)n * n;
  T *powers[3] = {w[0], w[1], w[2]}, *even = w[3], *odd = w[4];
  int terms = d / 2 + 1 < 4 ? d / 2 + 1 : 4, info = 0, t = FN(product)(n, a, a, powers[0]);
  if (!t && d > 3) t = FN(product)(n, powers[0], powers[0], powers[1]);
  if (!t && d > 5) t = FN(product)(n, powers[1], powers[0], powers[2]);
  if (t) return t;
  FN(even_terms)(n, even, powers, c, terms);
  FN(even_terms)(n, odd, powers, c + 1, terms);
  if (d > 7) { /* degree 13: the rest is a^6 times a polynomial without a constant; powers 0 and 1 are free behind it */
    for (int side = 0; side < 2; side++) {
      T *high = w[5], *sum = side ? odd : even;
      for (int64_t i = 0; i < size; i++)
        high[i] = (R)c[8 + side] * powers[0][i] + (R)c[10 + side] * powers[1][i] + (R)c[12 + side] * powers[2][i];
      FN(product)(n, powers[2], high, w[6]);
      for (int64_t i = 0; i < size; i++) sum[i] += w[6][i];
    }
  }
  FN(product)(n, a, odd, w[1]);
  for (int64_t i = 0; i < size; i++) {
    w[0][i] = even[i] + w[1][i];
    w[2][i] = even[i] - w[1][i];
  }
  ENTRY(gesv, "gesv", int *, int *, T *, int *, int *, T *, int *, int *);
  int *pivots = mx_malloc(((size_t)n + 1) * sizeof *pivots);
  if (!pivots) return NO_MEMORY;
  gesv(&n, &n, w[2], &n, pivots, w[0], &n, &info);
  mx_free(pivots);
  return info ? NO_CONVERGENCE : FINE;
}

/* Scaling and squaring: exp(a) = exp(a / 2^s)^(2^s), with the bounds theta of N. Higham, "The scaling and squaring method for the
 * matrix exponential revisited" (2005), up to which the approximant of a degree is exact to rounding. */
static int FN(expm)(const job *j, int64_t b) {
  static const struct { int degree; double theta; } steps[] = {
      {3, sizeof(R) == 4 ? 4.258730016922831e-1 : 1.495585217958292e-2},
      {5, sizeof(R) == 4 ? 1.880152677804762 : 2.539398330063230e-1},
      {7, sizeof(R) == 4 ? 3.925724783138660 : 9.504178996162932e-1},
      {13, 5.371920351148152}};
  enum { STEPS = sizeof(R) == 4 ? 3 : 4, WORK = 7 };
  const mx_view *v = &j->c->in[0];
  int n = rows(v), pick = 0, squarings = 0;
  LOADED(a, v, b)
  int64_t size = (int64_t)n * n;
  T *block = mx_malloc(((size_t)size + 1) * WORK * sizeof *block), *w[WORK];
  if (!block) {
    mx_free(a);
    return NO_MEMORY;
  }
  for (int i = 0; i < WORK; i++) w[i] = block + i * size;
  double norm = FN(norm1)(n, a);
  while (pick < STEPS - 1 && norm > steps[pick].theta) pick++;
  if (norm > steps[pick].theta) frexp(norm / steps[pick].theta, &squarings);
  R scale = (R)ldexp(1, -squarings);
  for (int64_t i = 0; i < size && squarings; i++) a[i] *= scale;
  int t = n ? FN(pade)(n, steps[pick].degree, a, w) : FINE;
  for (int i = 0; i < squarings && !t; i++) {
    FN(product)(n, w[0], w[0], w[1]);
    T *swap = w[0];
    w[0] = w[1];
    w[1] = swap;
  }
  if (!t) FN(store)(&j->c->out[0], b, n, n, w[0], n);
  mx_free(block);
  mx_free(a);
  return t;
}

static int FN(cholesky)(const job *j, int64_t b) {
  ENTRY(potrf, "potrf", const char *, int *, T *, int *, int *, size_t);
  const mx_view *v = &j->c->in[0];
  bool upper = j->c->p[0] != 0;
  int n = rows(v), info = 0;
  LOADED(a, v, b)
  if (n) potrf(upper ? "U" : "L", &n, a, &n, &info, 1);
  for (int c = 0; c < n && !info; c++)
    for (int i = upper ? c + 1 : 0; i < (upper ? n : c); i++) a[(int64_t)c * n + i] = 0;
  if (!info) FN(store)(&j->c->out[0], b, n, n, a, n);
  mx_free(a);
  return info ? NOT_POSITIVE : FINE;
}

/* LU of matrix b in *a; the sign of its permutation. */
static int FN(factored)(const job *j, int64_t b, T **a, int **pivots, int *sign) {
  const mx_view *v = &j->c->in[0];
  int m = rows(v), n = cols(v), info;
  LOADED(loaded, v, b)
  *pivots = mx_malloc(((size_t)smaller(m, n) + 1) * sizeof **pivots);
  int t = *pivots ? FN(factor)(loaded, m, n, *pivots, &info) : NO_MEMORY;
  if (t) {
    mx_free(loaded);
    mx_free(*pivots);
    return t;
  }
  *sign = 1;
  for (int i = 0; i < smaller(m, n); i++)
    if ((*pivots)[i] != i + 1) *sign = -*sign;
  *a = loaded;
  return FINE;
}

static int FN(det)(const job *j, int64_t b) {
  T *a;
  int *pivots, sign, n = rows(&j->c->in[0]), t = FN(factored)(j, b, &a, &pivots, &sign);
  if (t) return t;
  T d = (R)sign;
  for (int i = 0; i < n; i++) d *= a[(int64_t)i * n + i];
  ((T *)j->c->out[0].data)[b] = d;
  mx_free(a);
  mx_free(pivots);
  return FINE;
}

static int FN(slogdet)(const job *j, int64_t b) {
  T *a;
  int *pivots, sign, n = rows(&j->c->in[0]), t = FN(factored)(j, b, &a, &pivots, &sign);
  if (t) return t;
  T s = (R)sign;
  R log_abs = 0;
  for (int i = 0; i < n; i++) {
    T x = a[(int64_t)i * n + i];
    R size = (R)MAGNITUDE(x);
    log_abs += (R)log((double)size);
    s *= size > 0 ? x / size : 0;
  }
  ((T *)j->c->out[0].data)[b] = s;
  ((R *)j->c->out[1].data)[b] = log_abs;
  mx_free(a);
  mx_free(pivots);
  return FINE;
}

static int FN(lu_factor)(const job *j, int64_t b) {
  T *a;
  const mx_view *v = &j->c->in[0];
  int *pivots, sign, m = rows(v), n = cols(v), t = FN(factored)(j, b, &a, &pivots, &sign);
  if (t) return t;
  FN(store)(&j->c->out[0], b, m, n, a, m);
  int64_t k = smaller(m, n);
  for (int64_t i = 0; i < k; i++) ((uint32_t *)j->c->out[1].data)[b * k + i] = (uint32_t)pivots[i] - 1;
  mx_free(a);
  mx_free(pivots);
  return FINE;
}

static int FN(qr)(const job *j, int64_t b) {
  ENTRY(geqrf, "geqrf", int *, int *, T *, int *, T *, T *, int *, int *);
  const char *generate = COMPLEX ? "cungqr_" : STR(L) "orgqr_";
  void (*orgqr)(int *, int *, int *, T *, int *, T *, T *, int *, int *);
  void *entry = mx_blas_symbol(generate);
  if (!entry) return NO_LAPACK;
  memcpy(&orgqr, &entry, sizeof orgqr);
  const mx_view *v = &j->c->in[0];
  int m = rows(v), n = cols(v), k = (int)smaller(m, n), lwork = -1, query = -1, info = 0, t = FINE;
  LOADED(a, v, b)
  T *tau = mx_malloc(((size_t)k + 1) * sizeof *tau), want = 0, want_q = 0, *work = NULL;
  T *r = mx_calloc((size_t)k * (size_t)n + 1, sizeof *r);
  if (!tau || !r) t = NO_MEMORY;
  if (!t && k) {
    geqrf(&m, &n, a, &m, tau, &want, &query, &info);
    orgqr(&m, &k, &k, a, &m, tau, &want_q, &query, &info);
#if COMPLEX
    if (crealf(want_q) > crealf(want)) want = want_q;
#else
    if (want_q > want) want = want_q;
#endif
    if (!(work = FN(workspace)(want, &lwork))) t = NO_MEMORY;
  }
  if (!t && k) {
    geqrf(&m, &n, a, &m, tau, work, &lwork, &info);
    for (int c = 0; c < n; c++)
      for (int i = 0; i <= c && i < k; i++) r[(int64_t)c * k + i] = a[(int64_t)c * m + i];
    orgqr(&m, &k, &k, a, &m, tau, work, &lwork, &info);
  }
  if (!t) {
    FN(store)(&j->c->out[0], b, m, k, a, m);
    FN(store)(&j->c->out[1], b, k, n, r, k);
  }
  mx_free(work);
  mx_free(r);
  mx_free(tau);
  mx_free(a);
  return t;
}

/* a is overwritten; u (m x m) and vt (n x n) NULL: singular values alone. */
static int FN(gesdd_call)(T *a, int m, int n, R *s, T *u, T *vt) {
  int k = (int)smaller(m, n), big = m > n ? m : n, lwork = -1, info = 0;
  const char *jobz = u ? "A" : "N";
  int *iwork = mx_malloc((8 * (size_t)k + 1) * sizeof *iwork);
  T want = 0, one = 0, *work = NULL, *up = u ? u : &one, *vp = vt ? vt : &one;
  int ldu = u ? m : 1, ldv = vt ? n : 1;
#if COMPLEX
  size_t real_size = (size_t)k * (5 * (size_t)k + 2 * (size_t)big + 7) + 1;
  R *rwork = mx_malloc(real_size * sizeof *rwork);
  if (!rwork || !iwork) {
    mx_free(rwork);
    mx_free(iwork);
    return NO_MEMORY;
  }
#define RWORK rwork,
  void (*gesdd)(const char *, int *, int *, T *, int *, R *, T *, int *, T *, int *, T *, int *, R *, int *, int *, size_t);
#else
  (void)big;
  if (!iwork) return NO_MEMORY;
#define RWORK
  void (*gesdd)(const char *, int *, int *, T *, int *, R *, T *, int *, T *, int *, T *, int *, int *, int *, size_t);
#endif
  void *entry = mx_blas_symbol(STR(L) "gesdd_");
  int t = entry ? FINE : NO_LAPACK;
  if (!t) {
    memcpy(&gesdd, &entry, sizeof gesdd);
    gesdd(jobz, &m, &n, a, &m, s, up, &ldu, vp, &ldv, &want, &lwork, RWORK iwork, &info, 1);
    if (!(work = FN(workspace)(want, &lwork)))
      t = NO_MEMORY;
    else
      gesdd(jobz, &m, &n, a, &m, s, up, &ldu, vp, &ldv, work, &lwork, RWORK iwork, &info, 1);
    if (!t && info) t = NO_CONVERGENCE;
  }
#undef RWORK
#if COMPLEX
  mx_free(rwork);
#endif
  mx_free(iwork);
  mx_free(work);
  return t;
}

static void FN(unit)(T *a, int n) {
  memset(a, 0, (size_t)n * (size_t)n * sizeof *a);
  for (int i = 0; i < n; i++) a[(int64_t)i * n + i] = 1;
}

static int FN(svd)(const job *j, int64_t b) {
  const mx_view *v = &j->c->in[0];
  int m = rows(v), n = cols(v), k = (int)smaller(m, n);
  LOADED(a, v, b)
  T *u = mx_malloc(((size_t)m * (size_t)m + 1) * sizeof *u), *vt = mx_malloc(((size_t)n * (size_t)n + 1) * sizeof *vt);
  int t = u && vt ? FINE : NO_MEMORY;
  if (!t && k)
    t = FN(gesdd_call)(a, m, n, (R *)j->c->out[1].data + b * k, u, vt);
  else if (!t)
    FN(unit)(u, m), FN(unit)(vt, n);
  if (!t) {
    FN(store)(&j->c->out[0], b, m, m, u, m);
    FN(store)(&j->c->out[2], b, n, n, vt, n);
  }
  mx_free(vt);
  mx_free(u);
  mx_free(a);
  return t;
}

static int FN(svdvals)(const job *j, int64_t b) {
  const mx_view *v = &j->c->in[0];
  int m = rows(v), n = cols(v), k = (int)smaller(m, n);
  LOADED(a, v, b)
  int t = k ? FN(gesdd_call)(a, m, n, (R *)j->c->out[0].data + b * k, NULL, NULL) : FINE;
  mx_free(a);
  return t;
}

/* Eigenvalues of a symmetric (Hermitian) a in w; the vectors in a when wanted. */
static int FN(symmetric)(const job *j, T *a, int n, R *w, bool vectors) {
  int lwork = -1, liwork = -1, info = 0, iwant = 0, t = FINE;
  const char *jobz = vectors ? "V" : "N", *uplo = j->c->p[0] ? "U" : "L";
  T want = 0, *work = NULL;
  int *iwork = NULL;
  if (!n) return FINE;
#if COMPLEX
  ENTRY(heevd, "heevd", const char *, const char *, int *, T *, int *, R *, T *, int *, R *, int *, int *, int *, int *, size_t,
        size_t);
  R rwant = 0, *rwork = NULL;
  int lrwork = -1;
  heevd(jobz, uplo, &n, a, &n, w, &want, &lwork, &rwant, &lrwork, &iwant, &liwork, &info, 1, 1);
  lrwork = (int)rwant + 1;
  liwork = iwant + 1;
  work = FN(workspace)(want, &lwork);
  iwork = mx_malloc((size_t)liwork * sizeof *iwork);
  rwork = mx_malloc((size_t)lrwork * sizeof *rwork);
  if (!work || !iwork || !rwork)
    t = NO_MEMORY;
  else
    heevd(jobz, uplo, &n, a, &n, w, work, &lwork, rwork, &lrwork, iwork, &liwork, &info, 1, 1);
  mx_free(rwork);
#else
  ENTRY(syevd, "syevd", const char *, const char *, int *, T *, int *, R *, T *, int *, int *, int *, int *, size_t, size_t);
  syevd(jobz, uplo, &n, a, &n, w, &want, &lwork, &iwant, &liwork, &info, 1, 1);
  liwork = iwant + 1;
  work = FN(workspace)(want, &lwork);
  iwork = mx_malloc((size_t)liwork * sizeof *iwork);
  if (!work || !iwork)
    t = NO_MEMORY;
  else
    syevd(jobz, uplo, &n, a, &n, w, work, &lwork, iwork, &liwork, &info, 1, 1);
#endif
  mx_free(iwork);
  mx_free(work);
  return !t && info ? NO_CONVERGENCE : t;
}

static int FN(eigh)(const job *j, int64_t b) {
  const mx_view *v = &j->c->in[0];
  int n = rows(v);
  LOADED(a, v, b)
  int t = FN(symmetric)(j, a, n, (R *)j->c->out[0].data + b * n, true);
  if (!t) FN(store)(&j->c->out[1], b, n, n, a, n);
  mx_free(a);
  return t;
}

static int FN(eigvalsh)(const job *j, int64_t b) {
  const mx_view *v = &j->c->in[0];
  int n = rows(v);
  LOADED(a, v, b)
  int t = FN(symmetric)(j, a, n, (R *)j->c->out[0].data + b * n, false);
  mx_free(a);
  return t;
}

/* Eigenvalues of a general a in w (complex64), right eigenvectors in v, row-major, unless NULL. */
static int FN(general)(T *a, int n, mx_c64 *w, mx_c64 *v) {
  int lwork = -1, info = 0, one = 1, t = FINE;
  const char *jobvr = v ? "V" : "N";
  T want = 0, none = 0, *work = NULL;
  if (!n) return FINE;
  T *vr = mx_malloc(((size_t)n * (size_t)n + 1) * sizeof *vr);
  R *parts = mx_malloc(2 * (size_t)n * sizeof *parts); /* real and imaginary parts, or the complex routine's scratch */
  if (!vr || !parts) t = NO_MEMORY;
#if COMPLEX
  void (*geev)(const char *, const char *, int *, T *, int *, T *, T *, int *, T *, int *, T *, int *, R *, int *, size_t,
               size_t);
#define GEEV(wk) geev("N", jobvr, &n, a, &n, w, &none, &one, vr, &n, wk, &lwork, parts, &info, 1, 1)
#else
  void (*geev)(const char *, const char *, int *, T *, int *, R *, R *, T *, int *, T *, int *, T *, int *, int *, size_t,
               size_t);
#define GEEV(wk) geev("N", jobvr, &n, a, &n, parts, parts + n, &none, &one, vr, &n, wk, &lwork, &info, 1, 1)
#endif
  void *entry = mx_blas_symbol(STR(L) "geev_");
  if (!entry) t = NO_LAPACK;
  if (!t) {
    memcpy(&geev, &entry, sizeof geev);
    GEEV(&want);
    if (!(work = FN(workspace)(want, &lwork)))
      t = NO_MEMORY;
    else
      GEEV(work);
    if (!t && info) t = NO_CONVERGENCE;
  }
#undef GEEV
#if COMPLEX
  for (int c = 0; c < n && v && !t; c++)
    for (int i = 0; i < n; i++) v[(int64_t)i * n + c] = vr[(int64_t)c * n + i];
#else
  for (int c = 0; c < n && !t; c++) w[c] = CMPLXF((float)parts[c], (float)parts[n + c]);
  for (int c = 0; c < n && v && !t; c++) {
    bool pair = parts[n + c] > 0; /* this column and the next are the real and imaginary part of a conjugate pair */
    for (int i = 0; i < n; i++) {
      float re = (float)vr[(int64_t)c * n + i], im = pair ? (float)vr[(int64_t)(c + 1) * n + i] : 0;
      v[(int64_t)i * n + c] = CMPLXF(re, im);
      if (pair) v[(int64_t)i * n + c + 1] = CMPLXF(re, -im);
    }
    c += pair;
  }
#endif
  mx_free(work);
  mx_free(parts);
  mx_free(vr);
  return t;
}

static int FN(eig)(const job *j, int64_t b) {
  const mx_view *v = &j->c->in[0];
  int n = rows(v);
  LOADED(a, v, b)
  int t = FN(general)(a, n, (mx_c64 *)j->c->out[0].data + b * n, (mx_c64 *)j->c->out[1].data + b * n * n);
  mx_free(a);
  return t;
}

static int FN(eigvals)(const job *j, int64_t b) {
  const mx_view *v = &j->c->in[0];
  int n = rows(v);
  LOADED(a, v, b)
  int t = FN(general)(a, n, (mx_c64 *)j->c->out[0].data + b * n, NULL);
  mx_free(a);
  return t;
}

#undef FN
#undef MAGNITUDE
#undef STR
#undef STR_
#undef ENTRY
#undef LOADED
#undef T
#undef R
#undef L
#undef TAG
#undef COMPLEX
