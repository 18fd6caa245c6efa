/* Einstein sums: parsed, then contracted two at a time, the cheapest pair first. Labels are numbers: letters, then the
 * dimensions of "...". */
#include "graph/build.h"

enum { LETTERS = 52, LABELS = LETTERS + MX_MAX_NDIM, MAX_OPERANDS = 64 };
typedef struct term {
  mx_array *x;
  int n;
  uint8_t label[MX_MAX_NDIM];
} term;

typedef struct sum {
  int n; /* terms that are left */
  term t[MAX_OPERANDS];
  int nout;
  uint8_t out[LABELS];
  int64_t size[LABELS]; /* of each label; -1: not used */
} sum;

static int letter(char c) {
  if (c >= 'a' && c <= 'z') return c - 'a';
  return c >= 'A' && c <= 'Z' ? 26 + c - 'A' : -1;
}

static int bad(const char *subscripts, const char *why) {
  return mx_fail(MX_EVALUE, "[einsum] Invalid subscripts '%s': %s.", subscripts, why);
}

/* One list of labels up to ',' or '-' or the end; "..." stands for `dots` labels. Gives the number of labels, or -1. */
static int parse_list(const char **at, int dots, uint8_t *label, int cap) {
  int n = 0;
  bool dotted = false;
  const char *c = *at;
  for (; *c && *c != ',' && *c != '-'; c++) {
    if (*c == ' ') continue;
    if (*c == '.') {
      if (dotted || c[1] != '.' || c[2] != '.') return -1;
      dotted = true;
      c += 2;
      for (int i = 0; i < dots; i++) {
        if (n == cap) return -1;
        label[n++] = (uint8_t)(LETTERS + MX_MAX_NDIM - dots + i); /* aligned at the last one */
      }
      continue;
    }
    if (letter(*c) < 0 || n == cap) return -1;
    label[n++] = (uint8_t)letter(*c);
  }
  *at = c;
  return n;
}

static int letters_in(const char *c) {
  int n = 0;
  for (; *c && *c != ',' && *c != '-'; c++) n += letter(*c) >= 0;
  return n;
}

static bool dotted(const char *c) {
  for (; *c && *c != ',' && *c != '-'; c++)
    if (*c == '.') return true;
  return false;
}

static int set_sizes(sum *e, const term *t) {
  for (int d = 0; d < t->n; d++) {
    int64_t *size = &e->size[t->label[d]], dim = t->x->shape[d];
    if (*size < 0 || *size == 1)
      *size = dim;
    else if (dim != 1 && dim != *size)
      return mx_fail(MX_EVALUE,
                     "[einsum] The operands cannot be broadcast: a label has sizes %lld and %lld (operand of shape %s).",
                     (long long)*size, (long long)dim, mx_shape_of(t->x));
  }
  return 0;
}

/* Without "->": the labels of "...", then those that stand once, in alphabetical order ('A' before 'a'). */
static void implicit_output(sum *e, int dots) {
  int count[LETTERS] = {0};
  for (int i = 0; i < e->n; i++)
    for (int d = 0; d < e->t[i].n; d++)
      if (e->t[i].label[d] < LETTERS) count[e->t[i].label[d]]++;
  for (int i = 0; i < dots; i++) e->out[e->nout++] = (uint8_t)(LETTERS + MX_MAX_NDIM - dots + i);
  for (int i = 0; i < LETTERS; i++) {
    int l = (i + 26) % LETTERS;
    if (count[l] == 1) e->out[e->nout++] = (uint8_t)l;
  }
}

static int parse(sum *e, const char *subscripts, int n, mx_array *const *x) {
  if (n < 1 || n > MAX_OPERANDS)
    return mx_fail(MX_EVALUE, "[einsum] %d operands: between 1 and %d are possible.", n, MAX_OPERANDS);
  memset(e->size, -1, sizeof e->size);
  e->n = n;
  e->nout = 0;
  const char *c = subscripts;
  int most = 0;
  for (int i = 0; i < n; i++) {
    int dots = dotted(c) ? x[i]->ndim - letters_in(c) : 0;
    if (dots < 0)
      return mx_fail(MX_EVALUE, "[einsum] '%s' has too many labels for operand %d of shape %s.", subscripts, i,
                     mx_shape_of(x[i]));
    e->t[i].x = x[i];
    e->t[i].n = parse_list(&c, dots, e->t[i].label, MX_MAX_NDIM);
    if (e->t[i].n < 0) return bad(subscripts, "only letters, commas, '...' and '->' are allowed");
    if (e->t[i].n != x[i]->ndim)
      return mx_fail(MX_EVALUE, "[einsum] '%s' gives %d labels to operand %d of shape %s.", subscripts, e->t[i].n, i,
                     mx_shape_of(x[i]));
    if (i + 1 < n && *c++ != ',') return mx_fail(MX_EVALUE, "[einsum] '%s' has fewer terms than the %d operands.", subscripts, n);
    if (dots > most) most = dots;
    int rc = set_sizes(e, &e->t[i]);
    if (rc) return rc;
  }
  if (*c == ',') return mx_fail(MX_EVALUE, "[einsum] '%s' has more terms than the %d operands.", subscripts, n);
  if (!*c) {
    implicit_output(e, most);
    return 0;
  }
  if (c[0] != '-' || c[1] != '>') return bad(subscripts, "'->' is expected");
  c += 2;
  e->nout = parse_list(&c, most, e->out, MX_MAX_NDIM);
  if (e->nout < 0 || *c) return bad(subscripts, "the output must be letters or '...'");
  for (int i = 0; i < e->nout; i++) {
    if (e->size[e->out[i]] < 0) return bad(subscripts, "the output has a label that no operand has");
    for (int k = 0; k < i; k++)
      if (e->out[k] == e->out[i]) return bad(subscripts, "Repeat indices not allowed in output");
  }
  return 0;
}

/* ---- sets of labels ---- */

typedef struct set {
  uint64_t w[2];
} set;
static set set_of(const uint8_t *label, int n) {
  set s = {{0, 0}};
  for (int i = 0; i < n; i++) s.w[label[i] / 64] |= (uint64_t)1 << label[i] % 64;
  return s;
}
static bool has(set s, int l) { return s.w[l / 64] >> l % 64 & 1; }
static set both(set a, set b) { return (set){{a.w[0] & b.w[0], a.w[1] & b.w[1]}}; }
static set either(set a, set b) { return (set){{a.w[0] | b.w[0], a.w[1] | b.w[1]}}; }

static double volume(const sum *e, set s) {
  double v = 1;
  for (int l = 0; l < LABELS; l++)
    if (has(s, l)) v *= (double)e->size[l];
  return v;
}
static int count_of(set s) { return __builtin_popcountll(s.w[0]) + __builtin_popcountll(s.w[1]); }

/* What the others and the output still need, without terms i and k. */
static set needed(const sum *e, int i, int k) {
  set s = set_of(e->out, e->nout);
  for (int j = 0; j < e->n; j++)
    if (j != i && j != k) s = either(s, set_of(e->t[j].label, e->t[j].n));
  return s;
}

/* The pair whose contraction makes the total smallest; of equals the one with the fewest multiplications. */
static void best_pair(const sum *e, int *bi, int *bk) {
  double best_growth = 0, best_work = 0;
  *bi = -1;
  for (int i = 0; i < e->n; i++)
    for (int k = i + 1; k < e->n; k++) {
      set a = set_of(e->t[i].label, e->t[i].n), b = set_of(e->t[k].label, e->t[k].n), all = either(a, b),
          kept = both(all, needed(e, i, k));
      double growth = volume(e, kept) - volume(e, a) - volume(e, b), work = volume(e, all);
      bool shares = count_of(both(a, b)) > 0;
      if (!shares) growth += 1e300 / 1e10; /* outer products last */
      if (*bi < 0 || growth < best_growth || (growth == best_growth && work < best_work)) {
        best_growth = growth;
        best_work = work;
        *bi = i;
        *bk = k;
      }
    }
}

/* ---- contracting ---- */

/* A label twice in one term: the diagonal. */
static void take_diagonals(mx_scope *s, term *t) {
  for (int i = 0; i < t->n && t->x; i++)
    for (int k = i + 1; k < t->n && t->x; k++) {
      if (t->label[i] != t->label[k]) continue;
      uint8_t l = t->label[i];
      if (t->x->shape[i] != t->x->shape[k]) {
        t->x = mx_scope_fail(s, MX_EVALUE, "[einsum] A repeated label has sizes %d and %d in operand of shape %s.",
                             t->x->shape[i], t->x->shape[k], mx_shape_of(t->x));
        return;
      }
      t->x = mx_diagonal(s, t->x, 0, i, k);
      int n = 0;
      for (int d = 0; d < t->n; d++)
        if (d != i && d != k) t->label[n++] = t->label[d];
      t->label[n++] = l;
      t->n = n;
      i = -1;
      break;
    }
}

/* Labels that only this term has are summed away at once. */
static void sum_private(mx_scope *s, term *t, set keep) {
  int axes[MX_MAX_NDIM], n = 0, k = 0;
  for (int d = 0; d < t->n; d++) {
    if (has(keep, t->label[d]))
      t->label[k++] = t->label[d];
    else
      axes[n++] = d;
  }
  t->n = k;
  if (!n || !t->x) return;
  t->x = mx_sum_axes(s, t->x, axes, (size_t)n, false);
}

/* t's dimensions in the order of label[n] (those it lacks get size 1), broadcast to their full sizes where `full`. */
static mx_array *arranged(mx_scope *s, const sum *e, const term *t, const uint8_t *label, int n, bool full) {
  int perm[MX_MAX_NDIM], shape[MX_MAX_NDIM], to[MX_MAX_NDIM], k = 0;
  if (!t->x) return NULL;
  for (int i = 0; i < n; i++) {
    shape[i] = 1;
    to[i] = (int)e->size[label[i]];
    for (int d = 0; d < t->n; d++)
      if (t->label[d] == label[i]) {
        perm[k++] = d;
        shape[i] = t->x->shape[d];
      }
  }
  mx_array *x = mx_reshape(s, mx_permute(s, t->x, perm), shape, (size_t)n);
  return full ? mx_broadcast_to(s, x, to, (size_t)n) : x;
}

static int64_t product_of(const sum *e, const uint8_t *label, int n) {
  int64_t v = 1;
  for (int i = 0; i < n; i++)
    if (__builtin_mul_overflow(v, e->size[label[i]], &v)) return INT64_MAX;
  return v;
}

/* Terms i < k are taken from the list and their contraction is put at its end. */
static void contract(mx_scope *s, sum *e, int i, int k) {
  term *a = &e->t[i], *b = &e->t[k];
  set keep = needed(e, i, k), la = set_of(a->label, a->n), lb = set_of(b->label, b->n);
  sum_private(s, a, either(keep, lb));
  sum_private(s, b, either(keep, la));
  if (!a->x || !b->x) {
    e->n--; /* failed: the scope says so */
    return;
  }
  la = set_of(a->label, a->n);
  lb = set_of(b->label, b->n);
  uint8_t batch[LABELS], fa[LABELS], fb[LABELS], in[LABELS], all[2 * LABELS];
  int nb = 0, na = 0, nf = 0, nk = 0, n = 0;
  for (int l = 0; l < LABELS; l++) {
    bool x = has(la, l), y = has(lb, l), kept = has(keep, l);
    if (x && y && kept)
      batch[nb++] = (uint8_t)l;
    else if (x && y)
      in[nk++] = (uint8_t)l;
    else if (x)
      fa[na++] = (uint8_t)l;
    else if (y)
      fb[nf++] = (uint8_t)l;
  }
  int64_t m = product_of(e, fa, na), c = product_of(e, fb, nf), inner = product_of(e, in, nk), bs = product_of(e, batch, nb);
  bool product = nk && (m > 1 || c > 1) && m <= MX_MAX_DIM && c <= MX_MAX_DIM && inner <= MX_MAX_DIM && bs <= MX_MAX_DIM;
  term r = {0};
#define PUT(list, count) (memcpy(all + n, list, (size_t)(count)), n += (count))
  if (!product && nb + na + nf + nk > MX_MAX_NDIM) {
    mx_scope_fail(s, MX_EVALUE, "[einsum] Too many dimensions.");
    return;
  }
  PUT(batch, nb);
  PUT(fa, na);
  if (product) {
    PUT(in, nk);
    mx_array *x = mx_reshape(s, arranged(s, e, a, all, n, true), (int[]){(int)bs, (int)m, (int)inner}, 3);
    n = nb;
    PUT(in, nk);
    PUT(fb, nf);
    mx_array *y = mx_reshape(s, arranged(s, e, b, all, n, true), (int[]){(int)bs, (int)inner, (int)c}, 3);
    if (bs == 1) {
      x = mx_squeeze_axis(s, x, 0);
      y = mx_squeeze_axis(s, y, 0);
    }
    r.x = mx_matmul(s, x, y);
  }
  n = nb;
  PUT(fa, na);
  PUT(fb, nf);
  r.n = n;
  if (n > MX_MAX_NDIM) {
    mx_scope_fail(s, MX_EVALUE, "[einsum] Too many dimensions.");
    return;
  }
  memcpy(r.label, all, (size_t)n);
  if (product) {
    int shape[MX_MAX_NDIM];
    for (int d = 0; d < n; d++) shape[d] = (int)e->size[all[d]];
    r.x = mx_reshape(s, r.x, shape, (size_t)n);
  } else { /* element by element, then summed */
    PUT(in, nk);
    mx_array *x = arranged(s, e, a, all, n, false), *y = arranged(s, e, b, all, n, false);
    r.x = x && y ? mx_multiply(s, x, y) : NULL;
    int axes[MX_MAX_NDIM];
    for (int d = 0; d < nk; d++) axes[d] = n - nk + d;
    r.x = nk ? mx_sum_axes(s, r.x, axes, (size_t)nk, false) : r.x;
  }
#undef PUT
  for (int j = 0, left = 0; j < e->n; j++)
    if (j != i && j != k) e->t[left++] = e->t[j];
  e->t[--e->n - 1] = r;
}

mx_array *mx_einsum(mx_scope *s, const char *subscripts, int n, mx_array *const *operands) {
  for (int i = 0; i < n; i++)
    if (!operands[i]) return NULL;
  sum e;
  int rc = parse(&e, subscripts, n, operands);
  if (rc) return mx_scope_error(s, rc);
  for (int i = 0; i < n; i++) take_diagonals(s, &e.t[i]);
  while (e.n > 1 && !s->rc) {
    int i, k;
    best_pair(&e, &i, &k);
    contract(s, &e, i, k);
  }
  sum_private(s, &e.t[0], set_of(e.out, e.nout));
  if (s->rc) return NULL;
  mx_array *r = arranged(s, &e, &e.t[0], e.out, e.nout, true);
  if (n < 2) return r; /* of one operand: what its sum is of */
  mx_dtype t = operands[0]->dtype;
  for (int i = 1; i < n; i++) t = mx_promote(t, operands[i]->dtype);
  return mx_astype(s, r, t);
}

/* Multiplications and additions of one contraction, counted as opt_einsum does. */
static double flops(double size, int terms, bool sums) { return size * ((terms > 1 ? terms - 1 : 1) + sums); }

int mx_einsum_path(const char *subscripts, int n, mx_array *const *operands, int *pairs, int scaling[2], double cost[2]) {
  sum e;
  int rc = parse(&e, subscripts, n, operands);
  if (rc) return rc;
  set all = {{0, 0}}, out = set_of(e.out, e.nout);
  for (int i = 0; i < n; i++) all = either(all, set_of(e.t[i].label, e.t[i].n));
  scaling[0] = count_of(all);
  cost[0] = flops(volume(&e, all), n, count_of(all) > count_of(out));
  scaling[1] = n > 1 ? 0 : scaling[0];
  cost[1] = n > 1 ? 0 : cost[0];
  for (int step = 0; e.n > 1; step++) {
    int i, k;
    best_pair(&e, &i, &k);
    set joint = either(set_of(e.t[i].label, e.t[i].n), set_of(e.t[k].label, e.t[k].n)), kept = both(joint, needed(&e, i, k));
    if (count_of(joint) > scaling[1]) scaling[1] = count_of(joint);
    cost[1] += flops(volume(&e, joint), 2, count_of(joint) > count_of(kept));
    pairs[2 * step] = i;
    pairs[2 * step + 1] = k;
    term r = {0};
    for (int l = 0; l < LABELS && r.n < MX_MAX_NDIM; l++)
      if (has(kept, l)) r.label[r.n++] = (uint8_t)l;
    /* positions as in a list from which both are taken and to whose end the result goes */
    for (int j = 0, m = 0; j < e.n; j++)
      if (j != i && j != k) e.t[m++] = e.t[j];
    e.t[e.n - 2] = r;
    e.n--;
  }
  return 0;
}
