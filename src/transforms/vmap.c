/* vmap: trace over inputs without their mapped axis, then rebuild what depends on them over the whole inputs, op by op. */
#include "transforms/custom.h"
#include "transforms/inner.h"
#include "transforms/tape.h"
#include "transforms/transforms.h"

/* In a trace for all shapes: the map as one call that is made again. */
static int recorded(int n, mx_array *const *inputs, mx_array *const *trace_inputs, const int *in_axes, int nout, mx_array *const *trace_outputs,
                    const int *out_axes, mx_list *outputs, bool *done) {
  mx_within x = {MX_INNER_MAP, n, 0, n + nout, inputs, NULL, NULL};
  if (!mx_within_wanted(&x)) return 0;
  int *axes = mx_malloc((size_t)(n + nout + 1) * sizeof *axes);
  if (!axes) return mx_fail_memory();
  for (int i = 0; i < n + nout; i++) axes[i] = i < n ? in_axes[i] : out_axes[i - n];
  x.nums = axes;
  int rc = mx_within_map(&x, trace_inputs, &(mx_list){(mx_array **)trace_outputs, nout, nout}, outputs, done);
  mx_free(axes);
  return rc;
}

/* The size of the mapped axes, which must agree. */
static int mapped_size(int n, mx_array *const *in, const int *axes, int32_t *size) {
  *size = -1;
  for (int i = 0; i < n; i++) {
    if (axes[i] < 0) continue;
    if (axes[i] >= in[i]->ndim)
      return mx_fail(MX_EAXIS, "[vmap] Invalid vectorization axis %d for array with shape %s.", axes[i], mx_shape_of(in[i]));
    int32_t d = in[i]->shape[axes[i]];
    if (*size >= 0 && d != *size) return mx_fail(MX_EVALUE, "[vmap] Inconsistent axis sizes: %d and %d.", *size, d);
    *size = d;
  }
  return *size < 0 ? mx_fail(MX_EVALUE, "[vmap] At least one of in_axes must be given.") : 0;
}

static mx_array *without_axis(mx_scope *s, const mx_array *x, int axis) {
  int32_t shape[MX_MAX_NDIM];
  for (int i = 0, k = 0; i < x->ndim; i++)
    if (i != axis) shape[k++] = x->shape[i];
  return mx_placeholder(s, x->dtype, x->ndim - 1, shape);
}

int mx_vmap_trace(mx_closure *f, int n, mx_array *const *inputs, const int *in_axes, mx_list *trace_inputs, mx_list *trace_outputs) {
  int32_t size;
  int rc = mapped_size(n, inputs, in_axes, &size), first = trace_inputs->n;
  if (rc) return rc;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  for (int i = 0; i < n && !rc; i++) {
    mx_array *x = in_axes[i] < 0 ? inputs[i] : without_axis(&s, inputs[i], in_axes[i]);
    rc = x ? mx_list_push(trace_inputs, x) : s.rc;
  }
  int end = mx_scope_end(&s);
  if (!rc) rc = end;
  return rc ? rc : mx_closure_call(f, n, trace_inputs->at + first, trace_outputs);
}

/* The whole graph so far: value[slot] with its mapped axis at axis[slot] (-1: not mapped). */
typedef struct mapped {
  mx_scope s;
  mx_array **value, **x, **res;
  int *axis, *ax, *res_ax;
} mapped;

static void one_node(mapped *m, const mx_tape *t, const mx_tape_node *e) {
  mx_array *a = e->a;
  int nres = mx_results(a);
  bool any = false;
  for (int i = 0; i < a->nin; i++) {
    int32_t slot = t->in[e->in + (uint32_t)i];
    m->x[i] = slot < 0 ? a->in[i] : m->value[slot];
    m->ax[i] = slot < 0 ? -1 : m->axis[slot];
    any |= m->ax[i] >= 0;
  }
  for (int k = 0; k < nres; k++) {
    m->res[k] = NULL;
    m->res_ax[k] = -1;
  }
  m->s.stream = a->stream;
  if (any) {
    const mx_op *op = &mx_ops[a->op];
    int rc = op->vmap ? op->vmap(&m->s, a, m->x, m->ax, m->res, m->res_ax)
                      : mx_fail(MX_ENOTIMPL, "[vmap] %s is not implemented for this transform.", op->label);
    if (rc) mx_scope_error(&m->s, rc);
  } else { /* an input was mapped, but its value does not vary */
    mx_array *again = mx_node_again(&m->s, a, m->x);
    for (int k = 0; k < nres; k++) m->res[k] = a->outs ? mx_pick(&m->s, again, k) : again;
  }
  for (int k = 0; k < nres && !m->s.rc; k++) {
    m->value[e->slot + k] = m->res[k];
    m->axis[e->slot + k] = m->res_ax[k];
  }
}

static int mapped_new(mapped *m, const mx_tape *t) {
  size_t slots = (size_t)t->nslot, wide = (size_t)mx_tape_widest(t);
  m->value = mx_malloc((slots + 2 * wide) * (sizeof(mx_array *) + sizeof(int)));
  if (!m->value) return mx_fail_memory();
  m->x = m->value + slots;
  m->res = m->x + wide;
  m->axis = (int *)(m->res + wide);
  m->ax = m->axis + slots;
  m->res_ax = m->ax + wide;
  return 0;
}

/* The mapped axis of y (-1: it does not vary, and is repeated) brought to `to`. */
static mx_array *place_axis(mx_scope *s, mx_array *y, int from, int to, int32_t size) {
  if (!y) return NULL;
  int ndim = y->ndim + (from < 0);
  if (from < 0 && to < 0) to = 0;
  if (to < 0 || to >= ndim)
    return mx_scope_fail(s, MX_EAXIS, "[vmap] Invalid output vectorization axis %d for an output of %d dimensions.", to, ndim);
  if (from >= 0) return from == to ? y : mx_moveaxis(s, y, from, to);
  int shape[MX_MAX_NDIM + 1];
  for (int i = 0; i < ndim; i++) shape[i] = i == to ? size : y->shape[i - (i > to)];
  return mx_broadcast_to(s, mx_expand_dims(s, y, to), shape, (size_t)ndim);
}

static int rebuild(const mx_tape *t, int n, mx_array *const *inputs, const int *in_axes, int nout, mx_array *const *trace_outputs,
                   const int *out_axes, int32_t size, mx_list *outputs) {
  mapped m;
  int rc = mapped_new(&m, t), src = 0;
  if (rc) return rc;
  mx_rules_ran = true;
  mx_scope_begin(&m.s, mx_default_stream());
  mx_stream stream = m.s.stream;
  for (int i = 0; i < n; i++)
    if (in_axes[i] >= 0) {
      m.value[src] = inputs[i];
      m.axis[src++] = in_axes[i];
    }
  for (int i = 0; i < t->n && !m.s.rc; i++) one_node(&m, t, &t->node[i]);
  m.s.stream = stream;
  for (int i = 0; i < nout && !m.s.rc && !rc; i++) {
    int32_t slot = mx_tape_slot(t, trace_outputs[i]);
    mx_array *y = slot < 0 ? trace_outputs[i] : m.value[slot];
    y = place_axis(&m.s, y, slot < 0 ? -1 : m.axis[slot], out_axes[i], size);
    if (y) rc = mx_list_push(outputs, y);
  }
  int end = mx_scope_end(&m.s);
  mx_free(m.value);
  return rc ? rc : end;
}

int mx_vmap_replace(int n, mx_array *const *inputs, mx_array *const *trace_inputs, const int *in_axes, int nout,
                    mx_array *const *trace_outputs, const int *out_axes, mx_list *outputs) {
  int32_t size;
  bool done = false;
  int rc = mapped_size(n, inputs, in_axes, &size), nsrc = 0;
  if (!rc) rc = recorded(n, inputs, trace_inputs, in_axes, nout, trace_outputs, out_axes, outputs, &done);
  if (rc || done) return rc;
  mx_array **src = mx_slots_new(n);
  if (!src) return MX_EMEMORY;
  for (int i = 0; i < n; i++)
    if (in_axes[i] >= 0) src[nsrc++] = trace_inputs[i];
  mx_tape t;
  rc = mx_tape_build(&t, nsrc, src, nout, trace_outputs, MX_PLACEHOLDER, mx_custom_follow_vmap, 0, NULL);
  mx_free(src);
  if (rc) return rc;
  rc = rebuild(&t, n, inputs, in_axes, nout, trace_outputs, out_axes, size, outputs);
  mx_tape_clear(&t);
  return rc;
}
