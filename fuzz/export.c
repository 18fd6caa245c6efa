/* Any bytes as exported functions: traces or an error; a small trace is also run, since kernels trust what infer let through. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "fuzz.h"
#include "transforms/body.h"
#include "transforms/export.h"

enum { FEW = 1 << 14 }; /* elements in all values of a trace that is run */

static int read_bytes(void *from, void *bytes, size_t n, uint64_t at) {
  mx_reader *r = from;
  return r->read(r, bytes, n, at);
}
static int write_bytes(void *to, const void *bytes, size_t n) {
  mx_writer *w = to;
  return w->write(w, bytes, n);
}

static bool small(const mx_replay *r);

/* Graphs inside are run, too: those of a loop again and again, and how often that of a while_loop does, nobody knows. */
static bool small_inside(const mx_array *a) {
  mx_control_parts parts;
  mx_control_take_apart(a, &parts);
  if (a->op == OP_while_loop || (a->op == OP_loop && parts.number[2] > 16)) return false;
  for (int k = 0; k < parts.nbody; k++)
    if (!small(parts.body[k]->f)) return false;
  return true;
}

static bool small(const mx_replay *r) {
  int64_t total = 0;
  for (int i = 0; i < r->n; i++) {
    if (mx_ops[r->node[i].proto->op].kind == MX_CONTROL && !small_inside(r->node[i].proto)) return false;
    const mx_array *a = r->node[i].proto;
    for (int k = 0; k < a->nin; k++) total += a->in[k]->size;
    total += a->size;
    for (int k = 0; a->outs && k < a->nout; k++) total += a->outs[k].size;
    if (total > FEW || a->size > FEW) return false;
  }
  for (int i = 0; i < r->nconst; i++)
    if (r->constant[i]->size > FEW || !mx_is_available(r->constant[i])) return false;
  return true;
}

static void run(const mx_exports *e, const mx_exported *x) {
  int n = x->npos + x->nkw;
  mx_array **in = calloc((size_t)n + 1, sizeof *in);
  mx_list out = {0};
  if (!in) abort();
  bool made = small(x->replay);
  for (int i = 0; i < n && made; i++) {
    int64_t size = 1;
    for (int d = 0; d < x->input[i].ndim && size <= FEW; d++) size *= x->input[i].shape[d];
    made = size <= FEW && (in[i] = mx_array_empty(x->input[i].dtype, x->input[i].ndim, x->input[i].shape));
    if (made) memset(in[i]->data, 1, mx_nbytes(in[i]));
  }
  if (made && !mx_exports_call(e, x->npos, x->nkw, (const char *const *)x->keyword, in, &out)) mx_eval(out.n, out.at);
  mx_list_clear(&out);
  for (int i = 0; i < n; i++) mx_release(in[i]);
  free(in);
}

/* ---- seeds ---- */

enum { PATCHES = 0xFF }; /* the first byte of an input that patches a seed */

#define NODE(op, ...) mx_node(s, OP_##op, __VA_ARGS__)
#define P(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}

static mx_array *views(mx_scope *s, mx_array *x) {
  mx_array *t = NODE(transpose, 1, &x, P(1, 0)), *c = NODE(slice, 1, &t, P(0, 0, 4, 3, 1, 2));
  mx_array *r = NODE(reshape, 1, &c, P(2, 4)), *b = NODE(broadcast_to, 1, &r, P(3, 2, 4));
  mx_array *e = NODE(expand_dims, 1, &b, P(0)), *q = NODE(squeeze, 1, &e, P(0)), *v = NODE(view, 1, &q, P(MX_I32));
  return v ? mx_add(s, mx_astype(s, v, MX_F32), mx_multiply(s, q, mx_scalar(s, MX_F32, 2))) : NULL;
}
static mx_array *indexing(mx_scope *s, mx_array *x) {
  mx_array *i = mx_own(s, mx_array_from_data(MX_I32, 1, (int32_t[]){2}, (int32_t[]){1, -1}));
  mx_array *g = i ? NODE(gather, 2, ((mx_array *[]){x, i}), P(1, 0, 1, 4)) : NULL;
  mx_array *z = g ? NODE(scatter, 3, ((mx_array *[]){x, g, i}), P(1, 1, 0)) : NULL;
  mx_array *a = z ? NODE(argsort, 1, &z, P(1)) : NULL;
  mx_array *k = a ? NODE(gather_axis, 2, ((mx_array *[]){z, a}), P(1)) : NULL;
  mx_array *u = k ? NODE(slice_update, 2, ((mx_array *[]){k, x}), P(0, 0, 0, 3, 4, 1, 1)) : NULL;
  return u ? NODE(scatter_axis, 3, ((mx_array *[]){u, a, x}), P(1, 1)) : NULL;
}
static mx_array *along(mx_scope *s, mx_array *x) {
  mx_array *c = NODE(cumsum, 1, &x, P(0, 1, 0)), *m = NODE(softmax, 1, &c, P(0)), *o = NODE(sort, 1, &m, P(1));
  mx_array *p = NODE(partition, 1, &o, P(1, 2)), *l = NODE(logsumexp, 1, &p, 0, NULL), *g = NODE(argmax, 1, &p, P(0));
  mx_array *w = NODE(sum, 1, &p, P(0, 1)), *n = NODE(rms_norm, 1, &p, P(mx_bits(1e-5), 0));
  return mx_add(s, mx_add(s, n, l), mx_add(s, w, mx_astype(s, g, MX_F32)));
}
static mx_array *products(mx_scope *s, mx_array *x) {
  mx_array *t = NODE(transpose, 1, &x, P(1, 0)), *m = t ? NODE(matmul, 2, ((mx_array *[]){x, t}), 0, NULL) : NULL;
  mx_array *d = m ? NODE(addmm, 3, ((mx_array *[]){m, m, m}), P(mx_bits(1), mx_bits(2))) : NULL;
  mx_array *r = d ? NODE(reshape, 1, &d, P(1, 3, 3)) : NULL, *w = r ? NODE(reshape, 1, &r, P(3, 1, 3)) : NULL;
  mx_array *c = w ? NODE(conv, 2, ((mx_array *[]){r, w}), P(1, 1, 0, 1, 1, 1, 1, 0)) : NULL;
  mx_array *z = mx_scalar(s, MX_F32, 0);
  return c ? NODE(pad, 2, ((mx_array *[]){c, z}), P(0, 1, 0, 1, 0, 2)) : NULL;
}
static mx_array *others(mx_scope *s, mx_array *x) {
  mx_array *a = NODE(arange, 0, NULL, P(MX_F32, 4, mx_bits(0), mx_bits(1))), *c = NODE(concatenate, 2, ((mx_array *[]){x, x}), P(0));
  mx_array *f = NODE(fft, 1, (mx_array *[]){mx_astype(s, c, MX_C64)}, P(1, 0, mx_bits(1))), *t = mx_abs(s, f);
  mx_array *k = NODE(as_strided, 1, &t, P(2, 2, 3, 3, 1, 1)), *g = k ? NODE(as_strided_grad, 1, &k, P(2, 2, 3, 3, 1, 1, 6, 4)) : NULL;
  mx_array *i = mx_own(s, mx_array_from_data(MX_I32, 1, (int32_t[]){1}, (int32_t[]){1}));
  mx_array *d = g && i ? NODE(dynamic_slice, 2, ((mx_array *[]){g, i}), P(1, 0, 2, 4)) : NULL;
  return d && a ? mx_where(s, mx_greater(s, d, a), d, a) : NULL;
}
static mx_array *factors(mx_scope *s, mx_array *x) {
  mx_array *res[3] = {NULL};
  mx_node_multi(s, OP_svd, 1, &x, 0, NULL, NULL, 3, res);
  mx_array *y = res[1] ? mx_add(s, res[1], x) : NULL, *two[1] = {NULL};
  if (y) mx_node_multi(s, OP_depends, 2, (mx_array *[]){x, y}, 1, (int64_t[]){1}, NULL, 1, two);
  return two[0];
}


static int push(mx_scope *s, mx_list *out, mx_array *a) { return a ? mx_list_push(out, a) : s->rc; }

static int one_step(void *wider, int n, mx_array *const *in, mx_list *out) { /* carry, element -> carry, result; operand -> result */
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int rc = push(&s, out, wider ? mx_add(&s, mx_exp(&s, in[0]), in[n - 1]) : mx_multiply(&s, in[0], in[n - 1]));
  if (!rc && n == 2) rc = push(&s, out, mx_sin(&s, in[1]));
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}
static int below(void *unused, int n, mx_array *const *in, mx_list *out) {
  (void)unused, (void)n;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int rc = push(&s, out, mx_less(&s, mx_sum(&s, in[0], false), mx_scalar(&s, MX_F32, 100)));
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}
static int double_back(void *unused, int np, mx_array *const *primals, int nc, mx_array *const *cot, int no, mx_array *const *out, const bool *want, mx_list *res) {
  (void)unused, (void)np, (void)nc, (void)no, (void)out, (void)want;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  int rc = push(&s, res, mx_multiply(&s, cot[0], primals[0])), end = mx_scope_end(&s);
  return rc ? rc : end;
}
static mx_array *inner(mx_scope *s, mx_array *x) {
  mx_closure *plain = mx_closure_new(one_step, NULL, NULL), *other = mx_closure_new(one_step, (void *)"", NULL), *on = mx_closure_new(below, NULL, NULL);
  mx_closure *ruled = plain ? mx_custom_function(plain, &(mx_custom_rules){.vjp = double_back}) : NULL;
  mx_list all = {0}, loop = {0}, more = {0};
  mx_array *row = mx_sum_axis(s, x, 0, false), *y = NULL;
  int rc = plain && other && on && ruled && row ? mx_scan_loop(plain, 1, &row, 1, &x, -1, false, false, &loop, &all) : MX_EMEMORY;
  mx_array *first = rc ? NULL : mx_less(s, mx_sum(s, row, false), mx_scalar(s, MX_F32, 3));
  if (!rc) rc = first ? mx_cond(first, ruled, other, 1, loop.at, &more) : s->rc;
  if (!rc) rc = mx_closure_call(ruled, 1, more.at, &all);
  if (!rc) rc = mx_while_loop(on, other, 1, all.at, &all);
  if (!rc) y = mx_own(s, mx_retain(all.at[all.n - 1]));
  mx_closure *made[] = {plain, other, on, ruled};
  for (int i = 0; i < 4; i++)
    if (made[i]) mx_object_release(&made[i]->base);
  mx_list_clear(&all);
  mx_list_clear(&loop);
  mx_list_clear(&more);
  return y;
}

static mx_array *(*const formulas[])(mx_scope *, mx_array *) = {views, indexing, along, products, others, factors, inner};

static int call_formula(void *f, int n, mx_array *const *in, mx_list *out) {
  (void)n;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *y = ((mx_array * (*const *)(mx_scope *, mx_array *)) f)[0](&s, in[0]);
  int rc = y ? mx_list_push(out, y) : s.rc, end = mx_scope_end(&s);
  return rc ? rc : end;
}

int mx_fuzz_seed(int i, mx_writer *w) {
  int n = (int)(sizeof formulas / sizeof *formulas);
  if (i >= 2 * n) return 1;
  if (i >= n) return w->write(w, (const uint8_t[]){PATCHES, (uint8_t)(i - n), 8, 0, 1, 0, 40, 0, 255, 1, 90, 0, 2, 1}, 14);
  mx_exports e = {0};
  mx_closure *f = mx_closure_new(call_formula, (void *)&formulas[i], NULL);
  const int32_t shape[2][2] = {{3, 4}, {3, 3}};
  mx_array *x = mx_array_empty(MX_F32, 2, shape[formulas[i] == factors]);
  if (!f || !x) abort();
  for (int k = 0; k < x->size; k++) ((float *)x->data)[k] = (float)k;
  int rc = mx_exports_trace(&e, f, i % 2, 1 - i % 2, (const char *const[]){"x"}, &x);
  if (!rc) rc = mx_exports_write(&e, &(mx_sink){write_bytes, w});
  if (rc) abort(); /* a seed that is none would hide what it should show */
  mx_release(x);
  mx_object_release(&f->base);
  mx_exports_clear(&e);
  return 0;
}

/* ---- the entry ---- */

static int try(const uint8_t *data, size_t size) {
  mx_memory_reader r = mx_memory_reader_of(data, size);
  mx_exports e = {0};
  mx_error_clear();
  if (mx_exports_read(&e, &(mx_source){read_bytes, &r.base, "memory", size})) {
    if (e.n || !mx_error_kind()) abort();
    return 0;
  }
  for (int i = 0; i < e.n; i++) run(&e, &e.at[i]);
  mx_exports_clear(&e);
  return 0;
}

typedef struct bytes {
  mx_writer base;
  size_t n;
  uint8_t at[1 << 12];
} bytes;

static int keep(mx_writer *w, const void *from, size_t n) {
  bytes *b = (bytes *)w;
  if (n > sizeof b->at - b->n) return 1;
  memcpy(b->at + b->n, from, n);
  b->n += n;
  return 0;
}

/* 0xFF, the number of a seed, then patches of four bytes to its end, where edges and parameters stand: how far from it (16 bits), the
 * byte, and whether to set it or to flip bits. So most inputs get past the texts of a file. */
static int patched(const uint8_t *data, size_t size) {
  static bytes b;
  b = (bytes){.base = {.write = keep}};
  if (mx_fuzz_seed(data[1] % (int)(sizeof formulas / sizeof *formulas), &b.base)) abort();
  for (size_t i = 2; i + 4 <= size; i += 4) {
    size_t back = (data[i] | (size_t)data[i + 1] << 8) % 512 + 1;
    if (back <= b.n) b.at[b.n - back] = data[i + 3] % 2 ? data[i + 2] : b.at[b.n - back] ^ data[i + 2];
  }
  return try(b.at, b.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return size > 2 && data[0] == PATCHES ? patched(data, size) : try(data, size);
}
