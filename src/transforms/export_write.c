/* Exported functions as bytes. All numbers are little-endian; the file, with text as u32 length and bytes:
 *
 *   magic[8] u32 version u32 flags text metadata u32 traces, then for each trace
 *     u32 npos u32 nkw text keyword[nkw]; aval input[npos + nkw] (u8 dtype u8 ndim i32 shape[ndim]); graph
 *
 * where a graph is
 *
 *     u32 nops, for each: text name ("primitive:NAME" for a registered one), text layout of its parameters
 *     u32 nconst, for each: aval, u32 mask of the dimensions along which one element is stored for all; u64 nbytes, data
 *     u32 nodes, for each: u16 op (of the list) u16 nin u16 nout u16 np i32 in[nin] i64 p[np]
 *     u32 nout, i32 out[nout]
 *
 * Values are numbered: inputs, constants, then the results of the nodes. After the parameters of a node of control flow, which are its
 * numbers (transforms/control.h), come the graphs that it runs, each as u32 nin, aval input[nin], graph. The parameter of a custom function
 * tells which rules it has; of each follow a graph like those and, for each result of the rule, an i32: which output of the graph, -1 for a
 * zero. */
#include <string.h>

#include "graph/primitive.h"
#include "graph/recorded.h"
#include "transforms/body.h"
#include "transforms/export.h"

typedef struct out {
  const mx_sink *sink;
  int rc;
  bool shapeless;
  int depth; /* of graphs inside graphs */
} out;

static void put(out *o, const void *bytes, size_t n) {
  if (!o->rc && n) o->rc = o->sink->write(o->sink->to, bytes, n);
}
static void put_u8(out *o, unsigned v) { put(o, &(uint8_t){(uint8_t)v}, 1); }
static void put_u16(out *o, unsigned v) { put(o, &(uint16_t){(uint16_t)v}, 2); }
static void put_u32(out *o, size_t v) { put(o, &(uint32_t){(uint32_t)v}, 4); }
static void put_u64(out *o, uint64_t v) { put(o, &v, 8); }
static void put_text(out *o, const char *s, size_t n) {
  put_u32(o, n);
  put(o, s, n);
}

static void put_aval(out *o, mx_dtype dtype, int ndim, const int32_t *shape) {
  put_u8(o, dtype);
  put_u8(o, (unsigned)ndim);
  put(o, shape, (size_t)ndim * sizeof *shape);
}

/* The elements of a in row order, axis by axis. */
static void put_elements(out *o, const mx_array *a, int axis, const int32_t *shape, const char *at) {
  size_t item = mx_dtype_sizes[a->dtype];
  int64_t row = item;
  bool dense = true;
  for (int d = a->ndim - 1; d >= axis && dense; d--) {
    dense = shape[d] == 1 || a->strides[d] * (int64_t)item == row;
    row *= shape[d];
  }
  if (dense) {
    put(o, at, (size_t)row);
    return;
  }
  for (int32_t i = 0; i < shape[axis] && !o->rc; i++)
    put_elements(o, a, axis + 1, shape, at + (int64_t)i * a->strides[axis] * (int64_t)item);
}

static void put_constant(out *o, const mx_array *a) {
  int32_t shape[MX_MAX_NDIM];
  uint32_t repeated = 0;
  uint64_t bytes = mx_dtype_sizes[a->dtype];
  for (int d = 0; d < a->ndim; d++) {
    bool same = a->strides[d] == 0 && a->shape[d] > 1;
    if (same) repeated |= 1u << d;
    bytes *= (uint64_t)(shape[d] = same ? 1 : a->shape[d]);
  }
  put_aval(o, (mx_dtype)a->dtype, a->ndim, a->shape);
  put_u32(o, repeated);
  put_u64(o, bytes);
  if (bytes) put_elements(o, a, 0, shape, a->data);
}

/* The operations that a trace uses, in the order in which they come: an opcode, and of OP_primitive and OP_recorded which one. */
typedef struct vocabulary {
  int n, cap;
  struct { int op; const mx_registered *made; const mx_recordable *call; } *at;
} vocabulary;

static const mx_registered *made_of(const mx_array *a) { return a->op == OP_primitive ? mx_registered_of(a) : NULL; }
static const mx_recordable *call_of(const mx_array *a) { return a->op == OP_recorded ? &mx_recordables[a->p[0]] : NULL; }

static int number_of(const vocabulary *v, const mx_array *a) {
  int i = 0;
  while (i < v->n && (v->at[i].op != a->op || v->at[i].made != made_of(a) || v->at[i].call != call_of(a))) i++;
  return i;
}

static int collect_ops(vocabulary *v, const mx_replay *r) {
  for (int i = 0; i < r->n; i++) {
    const mx_array *a = r->node[i].proto;
    if (number_of(v, a) < v->n) continue;
    if (v->n == UINT16_MAX) return mx_fail(MX_EVALUE, "[export_function] Too many different operations.");
    if (v->n == v->cap) {
      int cap = v->cap ? 2 * v->cap : 32;
      void *at = mx_realloc(v->at, (size_t)cap * sizeof *v->at);
      if (!at) return mx_fail_memory();
      v->at = at;
      v->cap = cap;
    }
    v->at[v->n].op = a->op;
    v->at[v->n].call = call_of(a);
    v->at[v->n++].made = made_of(a);
  }
  return 0;
}

static void put_ops(out *o, const vocabulary *v) {
  put_u32(o, (size_t)v->n);
  for (int i = 0; i < v->n; i++) {
    size_t len;
    const mx_recordable *call = v->at[i].call;
    const char *layout = mx_export_layout(v->at[i].op, &len), *name = mx_ops[v->at[i].op].name, *kind = "";
    if (v->at[i].made) name = v->at[i].made->name, kind = mx_export_made;
    if (call) name = call->name, kind = mx_export_call, layout = call->takes, len = strlen(layout);
    put_u32(o, strlen(kind) + strlen(name));
    put(o, kind, strlen(kind));
    put(o, name, strlen(name));
    put_text(o, layout, len);
  }
}

int mx_export_number(const mx_replay *r, int32_t *number) {
  int32_t n = r->nin, inner = r->nin + r->nconst;
  for (int32_t i = 0; i < inner; i++) number[i] = i < n ? i : -1;
  for (int i = 0; i < r->n; i++)
    for (int k = 0; k < r->node[i].proto->nin; k++) number[r->in[r->node[i].in + (uint32_t)k]] = 0;
  for (int i = 0; i < r->nout; i++) number[r->out[i]] = 0;
  for (int32_t i = 0; i < n; i++) number[i] = i;
  for (int32_t i = n; i < inner; i++)
    if (number[i] == 0) number[i] = n++;
  int nconst = n - r->nin;
  for (int i = 0; i < r->n; i++)
    for (int k = 0; k < mx_results(r->node[i].proto); k++) number[r->node[i].slot + k] = n++;
  return nconst;
}

static void put_graph(out *o, const mx_replay *r);

/* A graph inside a node. */
static void put_inner(out *o, const mx_replay *r, const mx_aval *like) {
  if (o->depth == MX_EXPORT_DEEPEST && !o->rc)
    o->rc = mx_fail(MX_EVALUE, "[export_function] Functions inside functions (control flow, rules) are nested more than %d deep.", MX_EXPORT_DEEPEST);
  const mx_array *bound = o->shapeless && !o->rc ? mx_replay_shape_bound(r) : NULL;
  if (bound)
    o->rc = mx_fail(MX_EVALUE, "[export_function] The function cannot be exported for all shapes (shapeless): %s was built for the shapes of this trace.",
                    mx_ops[bound->op].label);
  put_u32(o, (size_t)r->nin);
  for (int i = 0; i < r->nin; i++) put_aval(o, like[i].dtype, like[i].ndim, like[i].shape);
  o->depth++;
  if (!o->rc) put_graph(o, r);
  o->depth--;
}

static void put_body(out *o, const mx_body *b) {
  mx_aval *like = mx_calloc((size_t)b->nin + 1, sizeof *like);
  if (!like && !o->rc) o->rc = mx_fail_memory();
  for (int i = 0; i < b->nin && like; i++) {
    const mx_array *x = mx_body_in(b, i);
    like[i].dtype = (mx_dtype)x->dtype;
    like[i].ndim = x->ndim;
    memcpy(like[i].shape, x->shape, (size_t)x->ndim * sizeof *x->shape);
  }
  if (like) put_inner(o, b->f, like);
  mx_free(like);
}

static void put_rule(out *o, const mx_array *node, bool forward) {
  mx_export_rule r = {0};
  bool outer = mx_shape_used;
  mx_shape_used = false;
  if (!o->rc) o->rc = mx_export_rule_trace(&r, node, forward);
  if (!o->rc && o->shapeless && mx_shape_used)
    o->rc = mx_fail(MX_EVALUE, "[export_function] The function cannot be exported for all shapes (shapeless): a number made from a shape is part of a rule.");
  mx_shape_used = outer;
  if (!o->rc) put_inner(o, r.f, r.like);
  for (int i = 0; i < r.nres && !o->rc; i++) put_u32(o, (uint32_t)r.at[i]);
  mx_export_rule_clear(&r);
}

/* What stands in place of the parameters of a node with graphs of its own, and these. */
static void put_node_with_graphs(out *o, const mx_array *a, const int32_t *number, const int32_t *in) {
  mx_control_parts parts = {0};
  const mx_custom_rules *rules = a->op == OP_custom && !mx_custom_is_transparent(a) ? &((const mx_custom *)a->object)->rules : NULL;
  if (a->op == OP_custom) {
    parts.nnumber = 1;
    if (rules) parts.number[0] = (rules->vjp ? MX_EXPORT_BACK : 0) + (rules->jvp ? MX_EXPORT_FORWARD : 0);
  } else if (a->object) mx_control_take_apart(a, &parts);
  else if (!o->rc) o->rc = mx_fail(MX_ERUNTIME, "[export_function] %s has been computed and let its graphs go.", mx_ops[a->op].label);
  put_u16(o, (unsigned)parts.nnumber);
  for (int k = 0; k < a->nin; k++) put_u32(o, (uint32_t)number[in[k]]);
  put(o, parts.number, (size_t)parts.nnumber * sizeof *parts.number);
  for (int k = 0; k < parts.nbody && !o->rc; k++) put_body(o, parts.body[k]);
  if (rules && rules->vjp) put_rule(o, a, false);
  if (rules && rules->jvp) put_rule(o, a, true);
}

static void put_nodes(out *o, const mx_replay *r, const vocabulary *v, const int32_t *number) {
  put_u32(o, (size_t)r->n);
  for (int i = 0; i < r->n && !o->rc; i++) {
    const mx_array *a = r->node[i].proto;
    const int32_t *in = r->in + r->node[i].in;
    int own = a->op == OP_primitive || a->op == OP_recorded; /* the number in this process is not written */
    put_u16(o, (unsigned)number_of(v, a));
    put_u16(o, a->nin);
    put_u16(o, (unsigned)(a->outs ? a->nout : 1));
    if (a->op == OP_custom || (mx_ops[a->op].kind == MX_CONTROL && a->op != OP_recorded)) {
      put_node_with_graphs(o, a, number, in);
      continue;
    }
    bool relative = a->flags & MX_RELATIVE;
    put_u16(o, (unsigned)(a->np - own) | (relative ? MX_EXPORT_RELATIVE : 0));
    for (int k = 0; k < a->nin; k++) put_u32(o, (uint32_t)number[in[k]]);
    put(o, a->p + (relative ? a->np : own), (size_t)(a->np - own) * sizeof *a->p);
  }
  put_u32(o, (size_t)r->nout);
  for (int i = 0; i < r->nout; i++) put_u32(o, (uint32_t)number[r->out[i]]);
}

static void put_graph(out *o, const mx_replay *r) {
  int32_t *number = mx_malloc(((size_t)r->nslot + 1) * sizeof *number);
  if (!number) {
    o->rc = mx_fail_memory();
    return;
  }
  vocabulary v = {0};
  if (!o->rc) o->rc = collect_ops(&v, r);
  put_ops(o, &v);
  put_u32(o, (size_t)mx_export_number(r, number));
  for (int i = 0; i < r->nconst; i++)
    if (number[r->nin + i] >= 0) put_constant(o, r->constant[i]);
  put_nodes(o, r, &v, number);
  mx_free(v.at);
  mx_free(number);
}

static void put_trace(out *o, const mx_exported *x) {
  put_u32(o, (size_t)x->npos);
  put_u32(o, (size_t)x->nkw);
  for (int i = 0; i < x->nkw; i++) put_text(o, x->keyword[i], strlen(x->keyword[i]));
  for (int i = 0; i < x->npos + x->nkw; i++) put_aval(o, x->input[i].dtype, x->input[i].ndim, x->input[i].shape);
  put_graph(o, x->replay);
}

int mx_exports_write(const mx_exports *e, const mx_sink *sink) {
  out o = {.sink = sink, .shapeless = e->shapeless};
  put(&o, mx_export_magic, sizeof mx_export_magic);
  put_u32(&o, MX_EXPORT_VERSION);
  put_u32(&o, e->shapeless ? MX_EXPORT_SHAPELESS : 0);
  put_text(&o, e->metadata, e->metadata ? strlen(e->metadata) : 0);
  put_u32(&o, (size_t)e->n);
  for (int i = 0; i < e->n; i++) put_trace(&o, &e->at[i]);
  return o.rc;
}
