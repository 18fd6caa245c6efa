/* Exported functions from bytes (the format stands in export_write.c). A trace is built as a graph over placeholders by the ops' own
 * infer rules, which trust no parameter; every count is checked against what is left of the file before memory is asked for. */
#include <string.h>

#include "graph/primitive.h"
#include "graph/recorded.h"
#include "transforms/body.h"
#include "transforms/export.h"

typedef struct in {
  const mx_source *source;
  uint64_t at;
  int rc;
  bool shapeless;
  int depth; /* of graphs inside graphs */
} in;

static int bad(in *i, const char *what) {
  if (!i->rc) i->rc = mx_fail(MX_ERUNTIME, "[import_function] %.300s is no exported function: %s at byte %llu.", i->source->label, what, (unsigned long long)i->at);
  return i->rc;
}

static bool has(in *i, uint64_t n) {
  if (!i->rc && n > i->source->size - i->at) bad(i, "it ends too early");
  return !i->rc;
}

static void get(in *i, void *to, size_t n) {
  memset(to, 0, n);
  if (!n || !has(i, n)) return;
  i->rc = i->source->read(i->source->from, to, n, i->at);
  i->at += n;
}
static uint8_t get_u8(in *i) {
  uint8_t v;
  get(i, &v, 1);
  return v;
}
static uint16_t get_u16(in *i) {
  uint16_t v;
  get(i, &v, 2);
  return v;
}
static uint32_t get_u32(in *i) {
  uint32_t v;
  get(i, &v, 4);
  return v;
}
static uint64_t get_u64(in *i) {
  uint64_t v;
  get(i, &v, 8);
  return v;
}

/* A count of things that take at least `least` bytes each. */
static int get_count(in *i, uint64_t least) {
  uint32_t n = get_u32(i);
  if (n > INT32_MAX / 2) bad(i, "a count is too large");
  return has(i, n * least) ? (int)n : 0;
}

/* From mx_malloc; NULL: an error. */
static char *get_text(in *i) {
  int n = get_count(i, 1);
  char *s = i->rc ? NULL : mx_malloc((size_t)n + 1);
  if (!s) {
    if (!i->rc) i->rc = mx_fail_memory();
    return NULL;
  }
  get(i, s, (size_t)n);
  s[n] = 0;
  if (!i->rc && memchr(s, 0, (size_t)n)) bad(i, "a text has a zero inside");
  if (!i->rc) return s;
  mx_free(s);
  return NULL;
}

static void get_aval(in *i, mx_aval *a) {
  a->dtype = (mx_dtype)get_u8(i);
  a->ndim = get_u8(i);
  if (a->dtype >= MX_DTYPES) bad(i, "an unknown dtype");
  if (a->ndim > MX_MAX_NDIM) bad(i, "too many dimensions");
  if (i->rc) return;
  get(i, a->shape, (size_t)a->ndim * sizeof *a->shape);
  for (int d = 0; d < a->ndim; d++)
    if (a->shape[d] < 0) bad(i, "a negative dimension");
}

/* ---- one trace ---- */

typedef struct reading {
  in *i;
  mx_exported x;
  mx_scope s;
  mx_list value;        /* by number; inputs are placeholders */
  int nops;
  int16_t *op;          /* [nops] of the file's list */
  mx_registered **made; /* [nops] retained; NULL but for registered primitives */
  int16_t *call;        /* [nops] of OP_recorded: the number of the function */
  mx_list out;          /* the outputs of the graph */
} reading;

static void reading_clear(reading *r) {
  int end = mx_scope_end(&r->s);
  if (!r->i->rc) r->i->rc = end;
  mx_list_clear(&r->value);
  mx_list_clear(&r->out);
  for (int k = 0; k < r->nops; k++)
    if (r->made[k]) mx_object_release(&r->made[k]->base.base);
  mx_free(r->op);
  mx_free(r->call);
  mx_free(r->made);
}

static void add_value(reading *r, mx_array *a) {
  if (!a) r->i->rc = r->i->rc ? r->i->rc : r->s.rc ? r->s.rc : mx_error_kind();
  else if (!r->i->rc) r->i->rc = mx_list_push(&r->value, a);
}

static void get_inputs(reading *r) {
  in *i = r->i;
  mx_exported *x = &r->x;
  x->npos = get_count(i, 2);
  int nkw = get_count(i, 6);
  if (i->rc || !has(i, 2 * ((uint64_t)x->npos + (uint64_t)nkw))) return;
  x->keyword = mx_calloc((size_t)nkw + 1, sizeof *x->keyword);
  x->input = mx_calloc((size_t)(x->npos + nkw) + 1, sizeof *x->input);
  if (!x->keyword || !x->input) {
    i->rc = mx_fail_memory();
    return;
  }
  for (; x->nkw < nkw && !i->rc; x->nkw++)
    if ((x->keyword[x->nkw] = get_text(i)) && x->nkw && strcmp(x->keyword[x->nkw - 1], x->keyword[x->nkw]) >= 0)
      bad(i, "keywords out of order");
  for (int k = 0; k < x->npos + nkw && !i->rc; k++) {
    get_aval(i, &x->input[k]);
    if (!i->rc) add_value(r, mx_placeholder(&r->s, x->input[k].dtype, x->input[k].ndim, x->input[k].shape));
  }
}

static int op_named(const char *name) {
  for (int op = 1; op < MX_OPS; op++)
    if (mx_ops[op].name && !strcmp(mx_ops[op].name, name)) return op;
  return OP_none;
}

static void get_op(reading *r) {
  in *i = r->i;
  char *name = get_text(i), *text = name ? get_text(i) : NULL, *layout = text;
  const size_t first = sizeof mx_export_made - 1, second = sizeof mx_export_call - 1;
  mx_registered *made = NULL;
  int op = layout ? op_named(name) : OP_none, call = layout && !strncmp(name, mx_export_call, second) ? mx_recordable_named(name + second) : -1;
  if (layout && !strncmp(name, mx_export_made, first)) {
    op = OP_primitive;
    if (!(made = mx_primitive_named(name + first, "import_function"))) i->rc = MX_EKEY;
  } else if (op == OP_primitive || op == OP_recorded) op = OP_none;
  if (call >= 0) op = OP_recorded;
  size_t len = 0;
  const char *ours = op ? mx_export_layout(op, &len) : NULL;
  if (call >= 0) ours = mx_recordables[call].takes, len = strlen(ours);
  if (i->rc) layout = NULL;
  if (layout && (!op || op == OP_pick || op == OP_compiled))
    i->rc = mx_fail(MX_ERUNTIME, "[import_function] %.300s uses the operation '%.100s', which this version does not know.", i->source->label, name);
  else if (layout && (strlen(layout) != len || memcmp(layout, ours, len)))
    i->rc = mx_fail(MX_ERUNTIME, "[import_function] %.300s was written by another version: it gives the parameters of %.100s as '%.200s', here they are '%.*s'.",
                    i->source->label, name, layout, (int)len, ours);
  if (i->rc && made) mx_object_release(&made->base.base);
  if (!i->rc) {
    r->made[r->nops] = made;
    r->call[r->nops] = (int16_t)call;
    r->op[r->nops++] = (int16_t)op;
  }
  mx_free(name);
  mx_free(text);
}

static void get_ops(reading *r) {
  int n = get_count(r->i, 8);
  if (r->i->rc) return;
  r->op = mx_malloc(((size_t)n + 1) * sizeof *r->op);
  r->made = mx_malloc(((size_t)n + 1) * sizeof *r->made);
  r->call = mx_malloc(((size_t)n + 1) * sizeof *r->call);
  if (!r->op || !r->made || !r->call) r->i->rc = mx_fail_memory();
  for (int k = 0; k < n && !r->i->rc; k++) get_op(r);
}

static mx_array *get_constant(reading *r) {
  in *i = r->i;
  mx_aval a;
  int full[MX_MAX_NDIM];
  uint64_t bytes;
  get_aval(i, &a);
  uint32_t repeated = get_u32(i);
  uint64_t given = get_u64(i);
  if (i->rc) return NULL;
  bytes = mx_dtype_sizes[a.dtype];
  for (int d = 0; d < a.ndim && bytes <= given; d++) {
    full[d] = a.shape[d];
    if (repeated >> d & 1) a.shape[d] = 1;
    if (a.shape[d] == 0) bytes = 0; /* stays so: all later sizes multiply it */
    bytes *= (uint64_t)a.shape[d];
  }
  for (int d = 0; d < a.ndim; d++)
    if (a.shape[d] == 0) bytes = 0;
  if (bytes != given) bad(i, "the size of a constant is not that of its shape");
  if (!has(i, given)) return NULL;
  mx_array *c = mx_own(&r->s, mx_array_empty(a.dtype, a.ndim, a.shape));
  if (!c) return NULL;
  get(i, c->data, given);
  if (i->rc || !repeated) return c;
  c = mx_broadcast_to(&r->s, c, full, (size_t)a.ndim);
  if (c && i->depth) i->rc = mx_eval(1, &c); /* a view; graphs inside graphs read what is there */
  return c;
}

/* What the ops' rules take for granted because builders see to it. */
static bool fits_op(int op, const mx_registered *made, int nin, int nout) {
  const mx_op *o = &mx_ops[op];
  if (made) return nout == made->rules.nout;
  if (o->nin >= 0 ? nin != o->nin : nin < 1) return false;
  enum { MOST = 8 }; /* results of an op with a varying number of its own */
  if (o->nout >= 0 ? nout != o->nout : nout > (o->kind == MX_ALIAS ? nin : MOST)) return false;
  return true;
}

/* Nodes of operands that look alike are made without infer (graph/node.c): it is asked here. */
static int check_elementwise(int op, int nin, mx_array *const *x, int np, const int64_t *p) {
  mx_aval out;
  return mx_is_elementwise(op) ? mx_ops[op].infer(op, nin, x, np, p, 1, &out) : 0;
}

/* ---- nodes with graphs of their own ---- */

static void get_graph(reading *r);

/* Opens `inner`, which the caller clears: a graph over inputs of its own. */
static void get_inner(reading *inner, in *i) {
  *inner = (reading){.i = i};
  mx_scope_begin(&inner->s, mx_default_stream());
  if (++i->depth > MX_EXPORT_DEEPEST) bad(i, "graphs inside graphs are nested too deep");
  int n = inner->x.npos = get_count(i, 2);
  if (!i->rc && !(inner->x.input = mx_calloc((size_t)n + 1, sizeof *inner->x.input))) i->rc = mx_fail_memory();
  for (int k = 0; k < n && !i->rc; k++) {
    mx_aval *a = &inner->x.input[k];
    get_aval(i, a);
    if (!i->rc) add_value(inner, mx_placeholder(&inner->s, a->dtype, a->ndim, a->shape));
  }
  if (!i->rc) get_graph(inner);
}

static void inner_clear(reading *inner) {
  inner->i->depth--;
  reading_clear(inner);
  mx_exported_clear(&inner->x);
}

static mx_body *get_body(in *i) {
  mx_body *b = NULL;
  mx_list lifted = {0};
  reading r;
  get_inner(&r, i);
  if (!i->rc) i->rc = mx_body_new(&b, r.x.npos, r.value.at, r.out.n, r.out.at, &lifted);
  if (!i->rc && lifted.n) {
    bad(i, "a graph reads what is none of its inputs");
    mx_body_release(b);
  }
  mx_list_clear(&lifted);
  inner_clear(&r);
  return i->rc ? NULL : b;
}

static void get_control(reading *r, int op, int nin, mx_array **x, int nout, int np, const int64_t *p) {
  in *i = r->i;
  mx_control_parts parts = {0};
  mx_control_count(op, &parts);
  if (np != parts.nnumber) bad(i, "control flow with a wrong number of parameters");
  else if (np) memcpy(parts.number, p, (size_t)np * sizeof *p);
  for (int k = 0; k < parts.nbody && !i->rc; k++) parts.body[k] = get_body(i);
  mx_array *t = i->rc ? NULL : mx_control_put_together(&r->s, op, &parts, nin, x);
  if (!i->rc && !t) i->rc = r->s.rc;
  if (t && t->nout != nout) bad(i, "control flow with a wrong number of results");
  for (int k = 0; k < nout && !i->rc; k++) add_value(r, mx_pick(&r->s, t, k));
  for (int k = 0; k < parts.nbody; k++) mx_body_release(parts.body[k]);
}

static bool same_aval(const mx_aval *a, const mx_aval *b) {
  return a->dtype == b->dtype && a->ndim == b->ndim && !memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape);
}

/* A rule of a function whose primals, then outputs, are x. */
static void get_rule(in *i, mx_export_rule *rule, int np, int nout, mx_array **x, bool forward) {
  reading r;
  if ((i->rc = mx_export_rule_new(rule, np, nout, forward))) return;
  mx_export_rule_inputs(rule, np, x, nout, x + np, forward);
  get_inner(&r, i);
  if (!i->rc && r.x.npos != rule->nin) bad(i, "a rule with a wrong number of inputs");
  for (int k = 0; k < rule->nin && !i->rc; k++)
    if (!same_aval(&rule->like[k], &r.x.input[k])) bad(i, "a rule for other shapes or dtypes than its function has");
  if (!i->rc) i->rc = mx_replay_new(&rule->f, rule->nin, r.value.at, r.out.n, r.out.at, MX_PLACEHOLDER, false);
  for (int k = 0; k < rule->nres && !i->rc; k++) {
    rule->at[k] = (int32_t)get_u32(i);
    if (rule->at[k] < -1 || rule->at[k] >= r.out.n) bad(i, "a rule's result that is none of its outputs");
  }
  inner_clear(&r);
}

/* Without rules the results are the outputs themselves. */
static void get_custom(reading *r, int nin, mx_array **x, int nout, int np, const int64_t *p) {
  in *i = r->i;
  mx_export_rule back = {0}, forward = {0};
  int has = np == 1 ? (int)(p[0] & (MX_EXPORT_BACK | MX_EXPORT_FORWARD)) : 0, primals = nin - nout;
  if (np != 1 || p[0] != has || nout < 1 || primals < 0) {
    bad(i, "a custom function that is none");
    return;
  }
  for (int k = 0; k < nout && !has; k++) add_value(r, x[primals + k]);
  if (has & MX_EXPORT_BACK) get_rule(i, &back, primals, nout, x, false);
  if (has & MX_EXPORT_FORWARD && !i->rc) get_rule(i, &forward, primals, nout, x, true);
  mx_array **res = mx_slots_new(nout);
  if (!i->rc && !res) i->rc = MX_EMEMORY;
  if (!has || i->rc) {
    mx_export_rule_clear(&back);
    mx_export_rule_clear(&forward);
  } else {
    mx_custom *c = mx_export_rules_new(&back, &forward, i->shapeless);
    i->rc = c ? mx_node_multi(&r->s, OP_custom, nin, x, 1, (int64_t[]){nout}, &c->base, nout, res) : MX_EMEMORY;
    for (int k = 0; k < nout && !i->rc; k++) add_value(r, res[k]);
    if (c) mx_object_release(&c->base);
  }
  mx_free(res);
}

/* A call that is made again: here for the shapes of the trace, and recorded by it. p has room for one more in front. */
static void get_call(reading *r, int call, int nin, mx_array **x, int nout, int np, int64_t *p) {
  in *i = r->i;
  mx_list out = {0};
  if (!i->shapeless) bad(i, "a call for other shapes in a function for one");
  if (i->rc) return;
  memmove(p + 1, p, (size_t)np * sizeof *p);
  p[0] = call;
  i->rc = mx_recorded_call(&r->s, nin, x, np + 1, p, &out);
  if (!i->rc && out.n != nout) bad(i, "a call with a wrong number of results");
  for (int k = 0; k < out.n && !i->rc; k++) add_value(r, out.at[k]);
  mx_list_clear(&out);
}

static void get_node(reading *r, mx_array **x, int64_t *p) {
  in *i = r->i;
  int at = get_u16(i), nin = get_u16(i), nout = get_u16(i), np = get_u16(i);
  bool relative = np & MX_EXPORT_RELATIVE;
  np &= ~MX_EXPORT_RELATIVE;
  if (at >= r->nops) bad(i, "an unknown operation");
  if (!has(i, 4 * (uint64_t)nin + 8 * (uint64_t)np)) return;
  for (int k = 0; k < nin; k++) {
    uint32_t from = get_u32(i);
    if (from >= (uint32_t)r->value.n) bad(i, "an edge to a later value");
    if (i->rc) return;
    x[k] = r->value.at[from];
  }
  get(i, p, (size_t)np * sizeof *p);
  if (i->rc) return;
  int op = r->op[at];
  if (relative) {
    if (op != OP_reshape && op != OP_slice && op != OP_gather) bad(i, "parameters of a kind that the operation does not have");
    if (!i->rc && !fits_op(op, NULL, nin, nout)) bad(i, "operands that do not fit the operation");
    if (!i->rc) add_value(r, mx_node_relative(&r->s, (mx_opcode)op, nin, x, np, p));
    return;
  }
  if (op == OP_recorded) {
    get_call(r, r->call[at], nin, x, nout, np, p);
    return;
  }
  if (mx_ops[op].kind == MX_CONTROL) {
    get_control(r, op, nin, x, nout, np, p);
    return;
  }
  if (op == OP_custom) {
    get_custom(r, nin, x, nout, np, p);
    return;
  }
  if (!i->rc && !fits_op(op, r->made[at], nin, nout)) bad(i, "operands that do not fit the operation");
  if (!i->rc) i->rc = check_elementwise(op, nin, x, np, p);
  if (i->rc) return;
  bool single = mx_ops[op].nout == 1;
  mx_array **res = single ? NULL : mx_slots_new(nout);
  if (single) add_value(r, mx_node(&r->s, (mx_opcode)op, nin, x, np, p));
  else if (!res) i->rc = MX_EMEMORY;
  else if (r->made[at] ? mx_primitive_apply(&r->s, r->made[at], nin, x, np, p, res)
                       : mx_node_multi(&r->s, (mx_opcode)op, nin, x, np, p, NULL, nout, res))
    i->rc = r->s.rc;
  for (int k = 0; k < nout && !single && !i->rc; k++) add_value(r, res[k]);
  mx_free(res);
}

static void get_nodes(reading *r) {
  enum { MOST = UINT16_MAX };
  mx_array **x = mx_malloc(MOST * sizeof *x + (MOST + 1) * sizeof(int64_t));
  if (!x) {
    r->i->rc = mx_fail_memory();
    return;
  }
  int n = get_count(r->i, 8);
  for (int k = 0; k < n && !r->i->rc; k++) {
    get_node(r, x, (int64_t *)(x + MOST));
    if (r->s.n > 64 && !r->i->rc) { /* what is on the list of values needs no other owner */
      mx_scope_end(&r->s);
      mx_scope_begin(&r->s, mx_default_stream());
    }
  }
  mx_free(x);
}

static void get_outputs(reading *r) {
  in *i = r->i;
  int n = get_count(i, 4);
  for (int k = 0; k < n && !i->rc; k++) {
    uint32_t from = get_u32(i);
    if (from >= (uint32_t)r->value.n) bad(i, "an output that is no value");
    if (!i->rc) i->rc = mx_list_push(&r->out, r->value.at[from]);
  }
}

static void get_graph(reading *r) {
  in *i = r->i;
  get_ops(r);
  int nconst = i->rc ? 0 : get_count(i, 14);
  for (int k = 0; k < nconst && !i->rc; k++) add_value(r, get_constant(r));
  if (!i->rc) get_nodes(r);
  if (!i->rc) get_outputs(r);
}

static void get_trace(in *i, mx_exports *e) {
  reading r = {.i = i};
  mx_scope_begin(&r.s, mx_default_stream());
  get_inputs(&r);
  if (!i->rc) get_graph(&r);
  if (!i->rc) i->rc = mx_replay_new_recorded(&r.x.replay, r.x.npos + r.x.nkw, r.value.at, r.out.n, r.out.at, false);
  reading_clear(&r);
  if (!i->rc) i->rc = mx_exports_push(e, &r.x);
  else mx_exported_clear(&r.x);
}

int mx_exports_read(mx_exports *e, const mx_source *source) {
  in i = {.source = source};
  char magic[sizeof mx_export_magic];
  get(&i, magic, sizeof magic);
  if (!i.rc && memcmp(magic, mx_export_magic, sizeof magic)) bad(&i, "it does not begin as one");
  uint32_t version = get_u32(&i), flags = get_u32(&i);
  if (!i.rc && (version < MX_EXPORT_OLDEST || version > MX_EXPORT_VERSION))
    i.rc = mx_fail(MX_ERUNTIME, "[import_function] %.300s has version %u of the format, this library reads versions %d to %d.", source->label, version,
                  MX_EXPORT_OLDEST, MX_EXPORT_VERSION);
  if (!i.rc && flags & ~(uint32_t)MX_EXPORT_SHAPELESS) bad(&i, "unknown flags");
  i.shapeless = e->shapeless = flags & MX_EXPORT_SHAPELESS;
  if (!i.rc) e->metadata = get_text(&i);
  int n = get_count(&i, 24);
  bool wanted = mx_any_shape_wanted, used = mx_shape_used;
  mx_any_shape_wanted = e->shapeless;
  for (int k = 0; k < n && !i.rc; k++) get_trace(&i, e);
  mx_any_shape_wanted = wanted;
  mx_shape_used = used;
  if (!i.rc && i.at != source->size) bad(&i, "more bytes than the functions take");
  if (i.rc) mx_exports_clear(e);
  return i.rc;
}
