/* Traces told step by step, with the names and arguments that MLX gives its primitives. */
#include <stdio.h>
#include <string.h>

#include "transforms/export.h"

/* ---- arguments ---- */

/* How the parameters of an op become MLX's arguments; ops without a row have none. A row is a string of
 *   i int  b bool  f float  d dtype      the next parameter           S L  a shape, a list, whose length follows: * the rest,
 *   k      the next parameter is a count, used by k below                  n dimensions of the first input, k the count, 1
 *   T F    true, false                   A  the list 0, 1, ... of the first input's axes
 *   =x     the int x (one digit)         m  a mode as MLX's enum, q the same for ScatterAxis
 *   @x     go on at parameter x          u  'L' or 'U'                r  arange's start, stop, step as floats */
static const struct {
  uint16_t op;
  const char *how, *primitive;
} rows[] = {
    {OP_astype, "d", NULL}, {OP_sqrt, "F", NULL}, {OP_rsqrt, "T", "Sqrt"}, {OP_log, "=2", NULL}, {OP_log2, "=0", "Log"},
    {OP_log10, "=1", "Log"}, {OP_equal, "F", NULL}, {OP_bitwise_and, "=0", "BitwiseBinary"}, {OP_bitwise_or, "=1", "BitwiseBinary"},
    {OP_bitwise_xor, "=2", "BitwiseBinary"}, {OP_left_shift, "=3", "BitwiseBinary"}, {OP_right_shift, "=4", "BitwiseBinary"},
    {OP_all, "=0L*", "Reduce"}, {OP_any, "=1L*", "Reduce"}, {OP_sum, "=2L*", "Reduce"}, {OP_prod, "=3L*", "Reduce"},
    {OP_min, "=4L*", "Reduce"}, {OP_max, "=5L*", "Reduce"}, {OP_reshape, "S*", NULL}, {OP_transpose, "L*", NULL}, {OP_slice, "SnSnSn", NULL},
    {OP_broadcast_to, "S*", NULL}, {OP_expand_dims, "L*", NULL}, {OP_squeeze, "L*", NULL}, {OP_as_strided, "kSkSki", NULL},
    {OP_view, "d", NULL}, {OP_contiguous, "b", NULL}, {OP_concatenate, "i", NULL}, {OP_pad, "ASnSn", NULL},
    {OP_slice_update, "mSnSnSn", NULL}, {OP_dynamic_slice, "kLkSn", NULL}, {OP_dynamic_slice_update, "kLk", NULL}, {OP_gather, "kLkSn", NULL},
    {OP_scatter, "mkLk", NULL}, {OP_gather_axis, "i", NULL}, {OP_scatter_axis, "@1q@0i", NULL}, {OP_argmin, "=0i", NULL},
    {OP_argmax, "=1i", NULL}, {OP_cummax, "=0ibb", "Scan"}, {OP_cummin, "=1ibb", "Scan"}, {OP_cumsum, "=2ibb", "Scan"},
    {OP_cumprod, "=3ibb", "Scan"}, {OP_logcumsumexp, "=4ibb", "Scan"}, {OP_softmax, "b", NULL}, {OP_sort, "i", NULL}, {OP_argsort, "i", NULL},
    {OP_partition, "@1i@0i", NULL}, {OP_argpartition, "@1i@0i", NULL}, {OP_fft, "L1bFF", NULL}, {OP_addmm, "ff", NULL},
    {OP_rfft, "L1FTF", "FFT"}, {OP_irfft, "L1TTF", "FFT"},
    {OP_searchsorted, "b", NULL}, {OP_quantize, "@1ii@0iF", NULL}, {OP_quantized_matmul, "@1ii@0i@3b", NULL}, {OP_conv, "kLkLkLkLkLkib", NULL}, {OP_rms_norm, "f", NULL}, {OP_layer_norm, "f", NULL}, {OP_arange, "r", NULL},
    {OP_random_bits, "@1S*@0i", NULL}, {OP_inverse, "FT", NULL}, {OP_cholesky, "b", NULL}, {OP_svd, "T", NULL}, {OP_svdvals, "F", NULL},
    {OP_eigh, "uT", NULL}, {OP_eigvalsh, "uF", NULL}, {OP_eig, "T", NULL}, {OP_eigvals, "F", NULL},
    {OP_primitive, "@1L*", NULL}};

const char *mx_export_primitive(int op) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].op == op && rows[i].primitive) return rows[i].primitive;
  return mx_ops[op].label;
}

static void one(mx_export_argument *a, int kind, int64_t v) {
  a->kind = kind;
  a->n = 1;
  a->at[0] = v;
}

static void several(mx_export_argument *a, int kind, int n, const int64_t *from) {
  int most = (int)(sizeof a->at / sizeof *a->at);
  a->kind = kind;
  a->n = n < most ? n : most;
  for (int i = 0; i < a->n; i++) a->at[i] = from ? from[i] : i;
}

static int arange_arguments(const mx_array *n, mx_export_argument *arg) {
  bool whole = !mx_is_float((mx_dtype)n->p[0]);
  double start = whole ? (double)n->p[2] : mx_unbits(n->p[2]), step = whole ? (double)n->p[3] : mx_unbits(n->p[3]);
  one(&arg[0], MX_ARG_FLOAT, mx_bits(start));
  one(&arg[1], MX_ARG_FLOAT, mx_bits(start + step * (double)n->p[1]));
  one(&arg[2], MX_ARG_FLOAT, mx_bits(step));
  return 3;
}

int mx_export_arguments(const mx_array *n, mx_export_argument arg[MX_EXPORT_ARGUMENTS]) {
  static const int8_t mode[] = {4, 2, 3, 0, 1}; /* assign, add, multiply, maximum, minimum */
  const char *how = "";
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].op == n->op) how = rows[i].how;
  int at = 0, k = 0, narg = 0;
  for (; *how && narg < MX_EXPORT_ARGUMENTS; how++) {
    mx_export_argument *a = &arg[narg];
    int64_t p = at < n->np ? n->p[at] : 0;
    int len;
    switch (*how) {
      case 'k': k = (int)p, at++; continue;
      case '@': at = *++how - '0'; continue;
      case 'i': one(a, MX_ARG_INT, p), at++; break;
      case 'b': one(a, MX_ARG_BOOL, p != 0), at++; break;
      case 'f': one(a, MX_ARG_FLOAT, p), at++; break;
      case 'd': one(a, MX_ARG_DTYPE, p), at++; break;
      case 'm': one(a, MX_ARG_INT, mode[p]), at++; break;
      case 'q': one(a, MX_ARG_INT, !p), at++; break;
      case 'u': one(a, MX_ARG_LETTER, p ? 'U' : 'L'), at++; break;
      case 'T': case 'F': one(a, MX_ARG_BOOL, *how == 'T'); break;
      case '=': one(a, MX_ARG_INT, *++how - '0'); break;
      case 'A': several(a, MX_ARG_LIST, n->in[0]->ndim, NULL); break;
      case 'r': return arange_arguments(n, arg);
      default: /* S, L */
        len = how[1] == '*' ? n->np - at : how[1] == 'n' ? n->in[0]->ndim : how[1] == 'k' ? k : 1;
        several(a, *how == 'S' ? MX_ARG_SHAPE : MX_ARG_LIST, len < n->np - at ? len : n->np - at, n->p + at);
        at += len;
        how++;
    }
    narg++;
  }
  return narg;
}

/* ---- steps ---- */

typedef struct telling {
  const mx_exported *x;
  mx_export_value *value;   /* by number */
  int32_t *number;          /* of slots */
  int named;
  mx_export_value *list;
  int (*tell)(void *, const mx_export_step *);
  void *to;
} telling;

static void name(telling *t, int32_t v) {
  char *p = t->value[v].name + sizeof t->value[v].name - 1, *from;
  if (t->value[v].name[0]) return;
  *p = 0;
  for (int i = t->named++; i >= 0; i = i / 26 - 1) *--p = (char)('A' + i % 26);
  from = p;
  memmove(t->value[v].name, from, strlen(from) + 1);
}

static void value_of(mx_export_value *v, mx_dtype dtype, int ndim, const int32_t *shape) {
  v->dtype = dtype;
  v->ndim = ndim;
  v->shape = shape;
}

static void collect_values(telling *t) {
  const mx_exported *x = t->x;
  const mx_replay *r = x->replay;
  for (int i = 0; i < r->nin; i++) {
    value_of(&t->value[i], x->input[i].dtype, x->input[i].ndim, x->input[i].shape);
    t->value[i].keyword = i < x->npos ? NULL : x->keyword[i - x->npos];
  }
  for (int i = 0; i < r->nconst; i++) {
    mx_array *c = r->constant[i];
    int32_t at = t->number[r->nin + i];
    if (at < 0) continue;
    value_of(&t->value[at], (mx_dtype)c->dtype, c->ndim, c->shape);
    t->value[at].constant = c;
  }
  for (int i = 0; i < r->n; i++) {
    const mx_array *a = r->node[i].proto;
    for (int k = 0; k < mx_results(a); k++) {
      mx_export_value *v = &t->value[t->number[r->node[i].slot + k]];
      if (a->outs) value_of(v, (mx_dtype)a->outs[k].dtype, a->outs[k].ndim, a->outs[k].shape);
      else value_of(v, (mx_dtype)a->dtype, a->ndim, a->shape);
    }
  }
}

static int tell_list(telling *t, int kind, int n) {
  return t->tell(t->to, &(mx_export_step){.kind = kind, .nin = n, .in = t->list});
}

static mx_export_value *named(telling *t, int32_t slot) {
  name(t, t->number[slot]);
  return &t->value[t->number[slot]];
}

static int tell_frame(telling *t) {
  const mx_replay *r = t->x->replay;
  int rc, n = 0;
  for (int i = 0; i < r->nin; i++) t->list[i] = *named(t, i);
  if ((rc = tell_list(t, MX_STEP_INPUTS, r->nin))) return rc;
  for (int i = t->x->npos; i < r->nin; i++) t->list[n++] = *named(t, i);
  if ((rc = tell_list(t, MX_STEP_KEYWORDS, n))) return rc;
  for (int i = 0; i < r->nout; i++) t->list[i] = *named(t, r->out[i]);
  if ((rc = tell_list(t, MX_STEP_OUTPUTS, r->nout))) return rc;
  n = 0;
  for (int i = 0; i < r->nconst; i++)
    if (t->number[r->nin + i] >= 0) t->list[n++] = *named(t, r->nin + i);
  return tell_list(t, MX_STEP_CONSTANTS, n);
}

static int tell_node(telling *t, const mx_replay_node *e) {
  mx_export_argument arg[MX_EXPORT_ARGUMENTS];
  const mx_array *a = e->proto;
  int nout = mx_results(a);
  for (int k = 0; k < a->nin; k++) t->list[k] = *named(t, t->x->replay->in[e->in + (uint32_t)k]);
  for (int k = 0; k < nout; k++) t->list[a->nin + k] = *named(t, e->slot + k);
  return t->tell(t->to, &(mx_export_step){MX_STEP_PRIMITIVE, a->nin, nout, mx_export_arguments(a, arg),
                                          a->op == OP_primitive ? mx_label(a, NULL) : mx_export_primitive(a->op), t->list,
                                          t->list + a->nin, arg});
}

/* The trace with what its recorded calls build for the traced shapes in their place. */
static int open_calls(mx_exported *x) {
  mx_replay *r = x->replay;
  mx_list out = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array **in = mx_slots_new(r->nin);
  int rc = in ? 0 : MX_EMEMORY;
  for (int i = 0; i < r->nin && !rc; i++)
    if (!(in[i] = mx_placeholder(&s, x->input[i].dtype, x->input[i].ndim, x->input[i].shape))) rc = s.rc;
  if (!rc) rc = mx_replay_run(r, in, &out);
  if (!rc) rc = mx_replay_new(&x->replay, r->nin, in, out.n, out.at, MX_PLACEHOLDER, true);
  if (!rc) rc = mx_eval(x->replay->nconst, x->replay->constant);
  mx_free(in);
  mx_list_clear(&out);
  int end = mx_scope_end(&s);
  if (x->replay != r) mx_replay_release(r);
  return rc ? rc : end;
}

int mx_exported_open(mx_exported *x) {
  for (int i = 0; i < x->replay->n; i++)
    if (x->replay->node[i].proto->op == OP_recorded) return open_calls(x);
  return 0;
}

int mx_exported_tell(const mx_exported *x, int (*tell)(void *to, const mx_export_step *step), void *to) {
  const mx_replay *r = x->replay;
  size_t slots = (size_t)r->nslot + 1, wide = (size_t)r->nin + (size_t)r->nconst + (size_t)r->nout + 2 * (size_t)r->widest + 1;
  telling t = {.x = x, .tell = tell, .to = to};
  t.number = mx_malloc(slots * sizeof *t.number);
  t.value = mx_calloc(slots, sizeof *t.value);
  t.list = mx_calloc(wide, sizeof *t.list);
  int rc = t.number && t.value && t.list ? 0 : mx_fail_memory();
  if (!rc) {
    mx_export_number(r, t.number);
    collect_values(&t);
    rc = tell_frame(&t);
  }
  for (int i = 0; i < r->n && !rc; i++) rc = tell_node(&t, &r->node[i]);
  mx_free(t.number);
  mx_free(t.value);
  mx_free(t.list);
  return rc;
}
