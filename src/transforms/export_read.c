/* Exported functions from bytes (the format stands in export_write.c). A trace is built as a graph over placeholders by the ops' own
 * infer rules, which trust no parameter; every count is checked against what is left of the file before memory is asked for. */
#include <string.h>

#include "graph/primitive.h"
#include "transforms/export.h"

typedef struct in {
  const mx_source *source;
  uint64_t at;
  int rc;
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
} reading;

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
  const size_t first = sizeof mx_export_made - 1;
  mx_registered *made = NULL;
  int op = layout ? op_named(name) : OP_none;
  if (layout && !strncmp(name, mx_export_made, first)) {
    op = OP_primitive;
    if (!(made = mx_primitive_named(name + first, "import_function"))) i->rc = MX_EKEY;
  } else if (op == OP_primitive) op = OP_none;
  size_t len = 0;
  const char *ours = op ? mx_export_layout(op, &len) : NULL;
  if (i->rc) layout = NULL;
  if (layout && (!op || op == OP_custom || op == OP_pick || mx_ops[op].kind == MX_CONTROL))
    i->rc = mx_fail(MX_ERUNTIME, "[import_function] %.300s uses the operation '%.100s', which this version does not know.", i->source->label, name);
  else if (layout && (strlen(layout) != len || memcmp(layout, ours, len)))
    i->rc = mx_fail(MX_ERUNTIME, "[import_function] %.300s was written by another version: it gives the parameters of %.100s as '%.200s', here they are '%.*s'.",
                    i->source->label, name, layout, (int)len, ours);
  if (i->rc && made) mx_object_release(&made->base.base);
  if (!i->rc) {
    r->made[r->nops] = made;
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
  if (!r->op || !r->made) r->i->rc = mx_fail_memory();
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
  return i->rc || !repeated ? c : mx_broadcast_to(&r->s, c, full, (size_t)a.ndim);
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

static void get_node(reading *r, mx_array **x, int64_t *p) {
  in *i = r->i;
  int at = get_u16(i), nin = get_u16(i), nout = get_u16(i), np = get_u16(i);
  if (at >= r->nops) bad(i, "an unknown operation");
  if (!has(i, 4 * (uint64_t)nin + 8 * (uint64_t)np)) return;
  for (int k = 0; k < nin; k++) {
    uint32_t from = get_u32(i);
    if (from >= (uint32_t)r->value.n) bad(i, "an edge to a later value");
    if (i->rc) return;
    x[k] = r->value.at[from];
  }
  get(i, p, (size_t)np * sizeof *p);
  int op = r->op[at];
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
  mx_array **x = mx_malloc(MOST * (sizeof *x + sizeof(int64_t)));
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
  mx_list out = {0};
  for (int k = 0; k < n && !i->rc; k++) {
    uint32_t from = get_u32(i);
    if (from >= (uint32_t)r->value.n) bad(i, "an output that is no value");
    if (!i->rc) i->rc = mx_list_push(&out, r->value.at[from]);
  }
  int nin = r->x.npos + r->x.nkw;
  if (!i->rc) i->rc = mx_replay_new(&r->x.replay, nin, r->value.at, out.n, out.at, MX_PLACEHOLDER, false);
  mx_list_clear(&out);
}

static void get_trace(in *i, mx_exports *e) {
  reading r = {.i = i};
  mx_scope_begin(&r.s, mx_default_stream());
  get_inputs(&r);
  if (!i->rc) get_ops(&r);
  int nconst = i->rc ? 0 : get_count(i, 14);
  for (int k = 0; k < nconst && !i->rc; k++) add_value(&r, get_constant(&r));
  if (!i->rc) get_nodes(&r);
  if (!i->rc) get_outputs(&r);
  int end = mx_scope_end(&r.s);
  if (!i->rc) i->rc = end;
  mx_list_clear(&r.value);
  for (int k = 0; k < r.nops; k++)
    if (r.made[k]) mx_object_release(&r.made[k]->base.base);
  mx_free(r.op);
  mx_free(r.made);
  if (!i->rc) i->rc = mx_exports_push(e, &r.x);
  else mx_exported_clear(&r.x);
}

int mx_exports_read(mx_exports *e, const mx_source *source) {
  in i = {source, 0, 0};
  char magic[sizeof mx_export_magic];
  get(&i, magic, sizeof magic);
  if (!i.rc && memcmp(magic, mx_export_magic, sizeof magic)) bad(&i, "it does not begin as one");
  uint32_t version = get_u32(&i), flags = get_u32(&i);
  if (!i.rc && version != MX_EXPORT_VERSION)
    i.rc = mx_fail(MX_ERUNTIME, "[import_function] %.300s has version %u of the format, this library reads version %d.", source->label, version, MX_EXPORT_VERSION);
  if (!i.rc && flags & ~(uint32_t)MX_EXPORT_SHAPELESS) bad(&i, "unknown flags");
  e->shapeless = flags & MX_EXPORT_SHAPELESS;
  if (!i.rc) e->metadata = get_text(&i);
  int n = get_count(&i, 24);
  for (int k = 0; k < n && !i.rc; k++) get_trace(&i, e);
  if (!i.rc && i.at != source->size) bad(&i, "more bytes than the functions take");
  if (i.rc) mx_exports_clear(e);
  return i.rc;
}
