/* Bodies: making, running, and the transforms that rules of control flow share. */
#include "transforms/body.h"

#include <string.h>

#include "graph/rules/help.h"
#include "transforms/custom.h"

/* ---- making ---- */

static void body_destroy(mx_object *o) {
  mx_body *b = (mx_body *)o;
  mx_routine_free(atomic_load(&b->spare));
  mx_replay_release(b->f);
  mx_slots_free(b->like, b->nin + b->nout);
  mx_free(b);
}

mx_array *mx_body_stand_in(mx_scope *s, const mx_array *like) { return mx_placeholder(s, (mx_dtype)like->dtype, like->ndim, like->shape); }

mx_array *mx_body_batched(mx_scope *s, const mx_array *like, int32_t size) {
  int32_t shape[MX_MAX_NDIM];
  if (like->ndim == MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[vmap] Too many dimensions.");
  shape[0] = size;
  memcpy(shape + 1, like->shape, (size_t)like->ndim * sizeof *shape);
  return mx_placeholder(s, (mx_dtype)like->dtype, like->ndim + 1, shape);
}

static int remember(mx_body *b, int nsrc, mx_array *const *src, mx_array *const *lifted, mx_array *const *out) {
  mx_scope s;
  mx_scope_begin(&s, 0);
  if (!(b->like = mx_slots_new(b->nin + b->nout))) mx_scope_error(&s, MX_EMEMORY);
  for (int i = 0; i < b->nin + b->nout && !s.rc; i++)
    b->like[i] = mx_retain(mx_body_stand_in(&s, i < nsrc ? src[i] : i < b->nin ? lifted[i - nsrc] : out[i - b->nin]));
  return mx_scope_end(&s);
}

int mx_body_new(mx_body **res, int nsrc, mx_array *const *src, int nout, mx_array *const *out, mx_list *lifted) {
  mx_body *b = mx_calloc(1, sizeof *b);
  if (!b) return mx_fail_memory();
  *b = (mx_body){.base = {1, body_destroy}, .nout = nout};
  int first = lifted->n;
  mx_tape t;
  int rc = mx_tape_build(&t, nsrc, src, nout, out, MX_PLACEHOLDER, mx_any_shape_wanted ? mx_follow_recorded : mx_follow_all, 0, NULL);
  if (!rc) {
    rc = mx_replay_from_tape(&b->f, &t, nout, out, MX_TRACER | MX_PLACEHOLDER | MX_LIFT_LAZY, lifted);
    mx_tape_clear(&t);
  }
  if (!rc) rc = mx_replay_simplify(b->f);
  if (!rc) {
    b->nin = nsrc + lifted->n - first;
    rc = remember(b, nsrc, src, first ? lifted->at + first : lifted->at, out); /* a list of nothing has no address to count from */
  }
  if (rc) mx_body_release(b);
  else *res = b;
  return rc;
}

int mx_body_trace(mx_body **res, mx_closure *f, int n, mx_array *const *like, mx_list *lifted) {
  mx_list out = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array **args = mx_slots_new(n);
  int rc = args ? 0 : MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++)
    if (!(args[i] = mx_body_stand_in(&s, like[i]))) rc = s.rc;
  if (!rc) rc = mx_closure_call(f, n, args, &out);
  if (!rc) rc = mx_body_new(res, n, args, out.n, out.at, lifted);
  mx_free(args);
  mx_list_clear(&out);
  int end = mx_scope_end(&s);
  if (!rc && end) mx_body_release(*res);
  return rc ? rc : end;
}

static bool takes(const mx_body *b, mx_array *const *like) {
  for (int i = 0; i < b->nin; i++)
    if (b->like[i]->dtype != like[i]->dtype || !mx_same_shape(b->like[i], like[i])) return false;
  return true;
}

mx_body *mx_body_refit(mx_body *b, mx_array *const *like, const char *tag) {
  if (takes(b, like)) return mx_body_retain(b);
  const mx_array *bound = mx_replay_shape_bound(b->f);
  if (bound) {
    mx_fail(MX_EVALUE, "[%s] The shapes of its inputs have changed, but %s in its function was built for those that it was traced with.", tag,
            mx_ops[bound->op].label);
    return NULL;
  }
  mx_body *res = NULL;
  mx_list out = {0}, lifted = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array **in = mx_slots_new(b->nin);
  int rc = in ? 0 : MX_EMEMORY;
  for (int i = 0; i < b->nin && !rc; i++)
    if (!(in[i] = mx_body_stand_in(&s, like[i]))) rc = s.rc;
  if (!rc) rc = mx_body_build(b, in, &out);
  if (!rc) rc = mx_body_new(&res, b->nin, in, out.n, out.at, &lifted);
  if (!rc && lifted.n) mx_body_release(res), res = NULL, mx_fail(MX_ERUNTIME, "[%s] A function reads more when it is built again.", tag);
  mx_list_clear(&out);
  mx_list_clear(&lifted);
  mx_free(in);
  mx_scope_end(&s);
  return res;
}

/* ---- running ---- */

enum { DEEPEST = 200 };
static _Thread_local int depth;

static mx_routine *routine_of(const mx_body *b) {
  mx_scope s;
  mx_list out = {0};
  mx_scope_begin(&s, 0);
  mx_array **in = mx_slots_new(b->nin);
  int rc = in ? 0 : MX_EMEMORY;
  for (int i = 0; i < b->nin && !rc; i++) {
    const mx_array *x = mx_body_in(b, i);
    if (!(in[i] = mx_own(&s, mx_routine_leaf((mx_dtype)x->dtype, x->ndim, x->shape)))) rc = s.rc;
  }
  if (!rc) rc = mx_body_build(b, in, &out);
  mx_routine *r = NULL;
  mx_array **held = rc ? NULL : mx_slots_new(out.n);
  if (held) {
    if (out.n) memcpy(held, out.at, (size_t)out.n * sizeof *held);
    r = mx_routine_new(b->nin, in, b->fresh, out.n, held);
    mx_free(held);
  }
  mx_list_clear(&out);
  mx_free(in);
  mx_scope_end(&s);
  return r;
}

mx_routine *mx_body_begin(mx_body *b, const char *tag) {
  if (depth == DEEPEST) {
    mx_fail(MX_EVALUE, "[%s] Control flow is nested more than %d deep.", tag, DEEPEST);
    return NULL;
  }
  mx_routine *r = atomic_exchange(&b->spare, NULL);
  if (r && !mx_routine_fits(r)) {
    mx_routine_free(r);
    r = NULL;
  }
  if (!r && !(r = routine_of(b))) return NULL;
  depth++;
  return r;
}

void mx_body_end(mx_body *b, mx_routine *r) {
  depth--;
  mx_routine_rest(r);
  mx_routine *none = NULL;
  if (!atomic_compare_exchange_strong(&b->spare, &none, r)) mx_routine_free(r);
}

int mx_check_same(const char *tag, const char *what, int i, const mx_array *given, const mx_array *expected) {
  if (given->dtype == expected->dtype && mx_same_shape(given, expected)) return 0;
  return mx_fail(MX_EVALUE, "[%s] %s %d has shape %s and dtype %s, expected shape %s and dtype %s.", tag, what, i, mx_shape_of(given),
                 mx_dtype_name((mx_dtype)given->dtype), mx_shape_of(expected), mx_dtype_name((mx_dtype)expected->dtype));
}

static bool alone_with(const mx_array *x) {
  return x->buf && !x->buf->dtor && atomic_load_explicit(&x->refs, memory_order_acquire) == 1 &&
         atomic_load_explicit(&x->buf->refs, memory_order_acquire) == 1;
}

void mx_give_input(mx_routine *r, int i, mx_array *x, bool may_take) {
  void *data = x->data;
  mx_buffer *buf = x->buf;
  if (may_take && alone_with(x)) x->data = NULL, x->buf = NULL;
  else mx_buffer_retain(buf);
  mx_routine_give(r, i, data, buf, x->strides);
}

int mx_body_give(const mx_body *b, mx_routine *r, int i, mx_array *x, bool may_take, const char *tag) {
  int rc = mx_check_same(tag, "Input", i, x, mx_body_in(b, i));
  if (!rc) mx_give_input(r, i, x, may_take);
  return rc;
}

/* What stands inside the block of a constant gets memory of its own. */
static int share(const mx_array *a, mx_result *res) {
  memcpy(res->strides, a->strides, a->ndim * sizeof *res->strides);
  res->data = a->data;
  if ((res->buf = mx_buffer_retain(a->buf)) || !a->data) return 0;
  if (!(res->buf = mx_buffer_new(mx_nbytes(a)))) return mx_error_kind();
  res->data = memcpy(res->buf->ptr, a->data, mx_nbytes(a)); /* of one element */
  return 0;
}

int mx_body_result(mx_routine *r, int i, mx_result *res) { return share(mx_routine_result(r, i), res); }
int mx_body_carry(mx_routine *r, int i, mx_result *res) { return share(mx_routine_input(r, i), res); }

/* ---- transforms ---- */

/* *sum += x; both are retained by the table. */
static void add_to(mx_scope *s, mx_array **sum, mx_array *x) {
  mx_array *y = *sum ? mx_add(s, *sum, x) : x;
  if (y) mx_set(sum, mx_retain(y));
}

int mx_pull_back(mx_scope *s, int nsrc, mx_array *const *src, int nout, mx_array *const *out, uint8_t flag, mx_array *const *cot, mx_array **res) {
  mx_tape t;
  int rc = mx_tape_build(&t, nsrc, src, nout, out, flag, mx_custom_follow_vjp, 0, NULL);
  if (rc) return rc;
  mx_array **table = mx_slots_new(t.nslot);
  if (!table) rc = MX_EMEMORY;
  for (int i = 0; i < nout && !rc; i++) {
    int32_t slot = mx_tape_slot(&t, out[i]);
    if (slot >= 0 && cot[i]) add_to(s, &table[slot], cot[i]);
    rc = s->rc;
  }
  if (!rc) rc = mx_sweep_back(&t, table);
  for (int i = 0; i < nsrc && !rc; i++) res[i] = table[i] ? mx_own(s, mx_retain(table[i])) : NULL;
  mx_slots_free(table, t.nslot);
  mx_tape_clear(&t);
  return rc ? rc : s->rc;
}

int mx_push_forward(mx_scope *s, int nsrc, mx_array *const *src, mx_array *const *tan, int nout, mx_array *const *out, mx_array **res) {
  mx_tape t;
  int rc = mx_tape_build(&t, nsrc, src, nout, out, MX_PLACEHOLDER, mx_custom_follow_jvp, 0, NULL);
  if (rc) return rc;
  mx_array **table = mx_slots_new(t.nslot);
  if (!table) rc = MX_EMEMORY;
  for (int i = 0; i < nsrc && !rc; i++) table[i] = mx_retain(tan[i]);
  if (!rc) rc = mx_sweep_forward(&t, table);
  for (int i = 0; i < nout && !rc; i++) {
    int32_t slot = mx_tape_slot(&t, out[i]);
    res[i] = slot >= 0 && table[slot] ? mx_own(s, mx_retain(table[slot])) : NULL;
  }
  mx_slots_free(table, t.nslot);
  mx_tape_clear(&t);
  return rc ? rc : s->rc;
}

int mx_body_spread(const mx_body *b, const bool *mapped, bool *res) {
  mx_scope s;
  mx_list out = {0};
  mx_scope_begin(&s, 0);
  mx_array **in = mx_slots_new(2 * b->nin), **src = in ? in + b->nin : NULL;
  int rc = in ? 0 : MX_EMEMORY, nsrc = 0;
  for (int i = 0; i < b->nin && !rc; i++) {
    if (!(in[i] = mx_body_stand_in(&s, mx_body_in(b, i)))) rc = s.rc;
    if (mapped[i]) src[nsrc++] = in[i];
  }
  if (!rc) rc = mx_body_build(b, in, &out);
  mx_tape t;
  if (!rc && !(rc = mx_tape_build(&t, nsrc, src, out.n, out.at, MX_PLACEHOLDER, mx_follow_all, 0, NULL))) {
    for (int i = 0; i < out.n; i++) res[i] = mx_tape_slot(&t, out.at[i]) >= 0;
    mx_tape_clear(&t);
  }
  mx_list_clear(&out);
  mx_free(in);
  int end = mx_scope_end(&s);
  return rc ? rc : end;
}

static int run_body(void *body, int n, mx_array *const *in, mx_list *out) {
  (void)n;
  return mx_body_build(body, in, out);
}

/* Of the outputs that are not to be mapped the traced graph itself, which does not depend on what is. */
static int batch(const mx_body *b, mx_array *const *batched, const bool *mapped, const bool *mapped_out, int *axes, mx_list *out) {
  mx_closure f = {.base = {.refs = 1}, .call = run_body, .payload = (void *)b};
  mx_list in = {0}, traced = {0}, full = {0};
  for (int i = 0; i < b->nin; i++) axes[i] = mapped[i] ? 0 : -1;
  int rc = mx_vmap_trace(&f, b->nin, batched, axes, &in, &traced);
  mx_array **want = rc ? NULL : mx_slots_new(traced.n);
  int nwant = 0, next = 0, zeros[64], *at = traced.n <= 64 ? zeros : mx_malloc((size_t)traced.n * sizeof *at);
  if (!rc && (!want || !at)) rc = mx_fail_memory();
  for (int i = 0; i < traced.n && !rc; i++)
    if (mapped_out[i]) at[nwant] = 0, want[nwant++] = traced.at[i];
  if (!rc && nwant) rc = mx_vmap_replace(b->nin, batched, in.at, axes, nwant, want, at, &full);
  for (int i = 0; i < traced.n && !rc; i++) rc = mx_list_push(out, mapped_out[i] ? full.at[next++] : traced.at[i]);
  if (at != zeros) mx_free(at);
  mx_free(want);
  mx_list_clear(&in);
  mx_list_clear(&traced);
  mx_list_clear(&full);
  return rc;
}

int mx_body_batch(mx_scope *s, const mx_body *b, mx_array *const *batched, const bool *mapped, const bool *mapped_out, mx_list *out) {
  int *axes = mx_malloc(((size_t)b->nin + 1) * sizeof *axes);
  bool any = false;
  for (int i = 0; i < b->nin; i++) any |= mapped[i];
  int rc = !axes ? mx_fail_memory() : any ? batch(b, batched, mapped, mapped_out, axes, out) : mx_body_build(b, batched, out);
  mx_free(axes);
  return rc ? rc : s->rc;
}

/* ---- nodes ---- */

mx_array *mx_control_node(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int nout, mx_array *const *like, int stacked, int32_t lead,
                          mx_control *object) {
  size_t np = 0;
  for (int i = 0; i < nout; i++) np += 3 + (size_t)like[i]->ndim;
  if (nin > UINT16_MAX || np > UINT16_MAX)
    return mx_scope_fail(s, MX_EVALUE, "[%s] %d arrays go in and %d come out: too many.", mx_ops[op].name, nin, nout);
  int64_t *p = mx_malloc((np + 1) * sizeof *p);
  if (!p) return mx_scope_error(s, mx_fail_memory());
  int n = 0;
  for (int i = 0; i < nout; i++) {
    bool more = lead >= 0 && i >= stacked;
    p[n++] = like[i]->dtype;
    p[n++] = like[i]->ndim + more;
    if (more) p[n++] = lead;
    for (int d = 0; d < like[i]->ndim; d++) p[n++] = like[i]->shape[d];
  }
  mx_array *t = mx_tuple_node(s, op, nin, in, n, p, &object->base, nout);
  mx_free(p);
  return t;
}
