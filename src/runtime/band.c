/* Bands, where kernels run on threads. A layer norm written as an expression is five steps that each go through the whole matrix; run band by band it is read once, from
 * then on it is in the cache, and what only the next steps read is never written to memory.
 *
 * A band is a run of groups and reductions over domains with the same leading dimensions, none of which is reduced, taken as one: the rows.
 * Each array has either these leading dimensions too, or none of them (the weights of a norm). Which numbers come out does not depend on it: a
 * row is computed as it always is. Sizes are known when the plan is run, so bands are found then. */
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "core/parallel.h"
#include "graph/graph.h"
#include "runtime/run.h"

enum { MAX_STEPS = 16, MAX_VALUES = 64, CHUNK_BYTES = 256 << 10, MOST_RANGES = 64, WORTH_BYTES = 2 << 20, LONGEST_ROW = 1 << 20, STREAM_BYTES = 16 << 20 };

/* ---- which steps ---- */

static bool could_be_in(const mx_plan *plan, const mx_piece *p, int i) {
  const mx_step *s = &plan->steps[i];
  return s->kind == MX_STEP_GROUP || (s->kind == MX_STEP_KERNEL && mx_is_reduction(p->node[s->node]->op));
}

/* What a step reduces to: the node, or NULL. */
static const mx_array *reduction_of(const mx_step *s, const mx_piece *p) {
  if (s->kind != MX_STEP_GROUP) return p->node[s->node];
  for (int i = 0; i < s->group->n_out; i++)
    if (s->group->program.out[i].reduce) return p->node[s->group->out[i]];
  return NULL;
}

static void note_reads(mx_plan *plan, const mx_piece *p, int i) {
  const mx_step *s = &plan->steps[i];
  if (s->kind == MX_STEP_GROUP) {
    for (int k = 0; k < s->group->n_in; k++)
      if (!(s->group->in[k] & MX_LEAF)) plan->last_read[s->group->in[k]] = i;
    return;
  }
  const mx_array *n = p->node[s->node];
  for (int k = 0; k < n->nin; k++)
    if (!(n->in[k]->walk_index & MX_LEAF)) plan->last_read[n->in[k]->walk_index] = i;
}

int mx_band_prepare(mx_plan *plan, const mx_piece *p, const uint8_t *held) {
  bool any = false;
  for (int i = 0; i + 1 < plan->nsteps && !any; i++)
    any = could_be_in(plan, p, i) && could_be_in(plan, p, i + 1) && (reduction_of(&plan->steps[i], p) || reduction_of(&plan->steps[i + 1], p));
  if (!any) return 0;
  size_t bytes = (size_t)p->nnode * sizeof *plan->last_read;
  if (!(plan->last_read = mx_malloc(bytes))) return mx_fail_memory();
  plan->bytes += bytes;
  memset(plan->last_read, 0, bytes);
  for (int i = 0; i < plan->nsteps; i++) note_reads(plan, p, i);
  for (int i = 0; i < p->nnode; i++)
    if (held[i]) plan->last_read[i] = INT32_MAX;
  return 0;
}

/* ---- binding ---- */

typedef struct value {
  mx_array *a;
  bool rows;          /* has the leading dimensions; else it is the same for all rows */
  bool scratch;       /* nobody needs it after the band: there is only ever a chunk of it */
  bool made;          /* by the band */
  int64_t step;       /* from row to row, in elements */
  int64_t row;        /* bytes of a row */
  size_t at;          /* in the scratch */
  int reads, last, uses; /* how many steps read it, the last one, how often in all */
  uint32_t node;      /* of what is made */
} value;

typedef struct band {
  const mx_runner *r;
  const mx_plan *plan;
  int first, n;
  int ndim, lead;       /* of every domain; how many dimensions are the rows */
  const int32_t *shape; /* a domain's */
  int64_t rows, chunk;
  int64_t work;         /* elements of a row, of all steps together */
  size_t scratch;
  int nvalues;
  _Atomic int failed;
  char text[512];
  value v[MAX_VALUES];
  uint8_t in[MAX_STEPS][MX_PROGRAM_IO], out[MAX_STEPS][MX_PROGRAM_IO];
} band;

static const mx_step *step_of(const band *b, int k) { return &b->plan->steps[b->first + k]; }

static bool leads_alike(const band *b, const mx_array *x) {
  if (x->ndim != b->ndim) return false;
  for (int d = 0; d < b->lead; d++)
    if (x->shape[d] != b->shape[d]) return false;
  return true;
}

/* Whether rows are one distance apart: *step. */
static bool even_rows(const band *b, const mx_array *x, int64_t *step) {
  int64_t want = 0;
  for (int d = b->lead - 1; d >= 0; d--) {
    if (x->shape[d] == 1) continue;
    if (!want) *step = want = x->strides[d];
    else if (x->strides[d] != want) return false;
    want *= x->shape[d];
    if (!want) return false; /* the same row again and again */
  }
  return want != 0;
}

/* All that stands where the rows are has size 1. */
static bool same_for_all(const band *b, const mx_array *x) {
  for (int d = 0; d < x->ndim - (b->ndim - b->lead); d++)
    if (x->shape[d] != 1) return false;
  return true;
}

static int new_value(band *b, mx_array *a) {
  if (b->nvalues == MAX_VALUES || a->ndim > b->ndim) return -1;
  value v = {.a = a, .rows = leads_alike(b, a), .last = -1};
  if (v.rows) v.row = a->size / b->rows * (int64_t)mx_dtype_sizes[a->dtype];
  else if (!same_for_all(b, a)) return -1;
  b->v[b->nvalues] = v;
  return b->nvalues++;
}

static int find_value(const band *b, const mx_array *a) {
  for (int i = 0; i < b->nvalues; i++)
    if (b->v[i].a == a) return i;
  return -1;
}

/* What a step before the band has made, or was there before; what belongs to a graph that is run again does not become available. */
static bool is_there(const band *b, const mx_array *x) {
  int status = atomic_load_explicit(&x->status, memory_order_acquire);
  return status == MX_AVAILABLE || (b->r->again && status != MX_FAILED);
}

static bool bind_input(band *b, int k, int i, mx_array *x, int uses) {
  int at = find_value(b, x);
  if (at < 0) {
    if ((at = new_value(b, x)) < 0 || !is_there(b, x)) return false;
    if (b->v[at].rows && !even_rows(b, x, &b->v[at].step)) return false;
  }
  value *v = &b->v[at];
  if (v->last != k) v->reads++;
  v->last = k;
  v->uses += uses;
  b->in[k][i] = (uint8_t)at;
  return true;
}

static bool bind_output(band *b, int k, int i, uint32_t node) {
  int at = new_value(b, b->r->p->node[node]);
  if (at < 0 || !b->v[at].rows) return false;
  value *v = &b->v[at];
  v->made = true;
  v->node = node;
  v->step = v->a->size / b->rows;
  b->out[k][i] = (uint8_t)at;
  return true;
}

/* What a step goes through: its domain. */
static const mx_array *domain_of(const band *b, int k) {
  const mx_step *s = step_of(b, k);
  const mx_piece *p = b->r->p;
  return s->kind == MX_STEP_GROUP ? p->node[s->group->domain] : p->node[s->node]->in[0];
}

static bool bind_step(band *b, int k) {
  const mx_step *s = step_of(b, k);
  const mx_piece *p = b->r->p;
  if (s->kind != MX_STEP_GROUP) {
    mx_array *n = p->node[s->node];
    return leads_alike(b, n->in[0]) && bind_input(b, k, 0, n->in[0], 1) && bind_output(b, k, 0, s->node);
  }
  const mx_group *g = s->group;
  bool fits = leads_alike(b, p->node[g->domain]);
  for (int i = 0; i < g->n_in && fits; i++) fits = bind_input(b, k, i, mx_resolve(p, g->in[i]), g->in_uses[i]);
  for (int i = 0; i < g->n_out && fits; i++) fits = bind_output(b, k, i, g->out[i]);
  return fits;
}

/* The leading dimensions, from the first reduction at hand. */
static bool find_rows(band *b) {
  const mx_piece *p = b->r->p;
  const mx_array *to = NULL, *from = NULL;
  for (int i = b->first; i < b->plan->nsteps && i < b->first + MAX_STEPS && could_be_in(b->plan, p, i) && !to; i++) {
    const mx_step *s = &b->plan->steps[i];
    if (!(to = reduction_of(s, p))) continue;
    from = s->kind == MX_STEP_GROUP ? p->node[s->group->domain] : to->in[0];
  }
  if (!to || to->ndim != from->ndim || !to->size || (int64_t)mx_nbytes(from) < WORTH_BYTES / 4) return false;
  b->ndim = from->ndim;
  b->shape = from->shape;
  b->rows = 1;
  while (b->lead < b->ndim && to->shape[b->lead] == from->shape[b->lead]) b->rows *= from->shape[b->lead++];
  return b->rows > 1 && b->lead < b->ndim;
}

/* What need not be read or written, in bytes; *row: of all values together. */
static int64_t saved(const band *b, int64_t *row) {
  int64_t sum = 0;
  *row = 0;
  for (int i = 0; i < b->nvalues; i++) {
    const value *v = &b->v[i];
    *row += v->row;
    if (v->reads) sum += v->row * (v->reads - !v->made + v->scratch);
  }
  return sum * b->rows;
}

static bool lay_out(band *b) {
  int64_t row;
  for (int i = 0; i < b->nvalues; i++) b->v[i].scratch = !b->r->keep && b->v[i].made && b->plan->last_read[b->v[i].node] < b->first + b->n;
  if (saved(b, &row) < WORTH_BYTES || row > LONGEST_ROW) return false;
  b->chunk = CHUNK_BYTES / (row ? row : 1);
  if (b->chunk > b->rows / 8) b->chunk = b->rows / 8;
  if (b->chunk < 1) b->chunk = 1;
  for (int i = 0; i < b->nvalues; i++) {
    value *v = &b->v[i];
    if (!v->scratch) continue;
    v->at = b->scratch;
    b->scratch += ((size_t)(v->row * b->chunk) + 63) & ~(size_t)63;
  }
  for (int k = 0; k < b->n; k++) b->work += domain_of(b, k)->size / b->rows;
  return true;
}

/* ---- memory ---- */

/* An input of the band that is not read after step k, and by that step row by row where it writes. */
static bool may_overwrite(const band *b, const value *v, int k, const mx_array *o) {
  if (v->made || !v->rows || v->last > k || v->a->size != o->size || mx_dtype_sizes[v->a->dtype] != mx_dtype_sizes[o->dtype]) return false;
  if (!mx_is_row_contiguous(v->a) || (v->last == k && !mx_same_shape(v->a, o))) return false;
  mx_runner r = *b->r;
  r.now += (uintptr_t)v->last;
  return mx_may_take(&r, v->a, v->uses);
}

static mx_array *to_overwrite(const band *b, int k, const mx_array *o, bool *taken) {
  for (int i = 0; i < b->nvalues; i++)
    if (!taken[i] && may_overwrite(b, &b->v[i], k, o)) {
      taken[i] = true;
      return b->v[i].a;
    }
  return NULL;
}

static int give_memory(band *b) {
  bool taken[MAX_VALUES] = {false};
  int rc = 0;
  for (int k = 0; k < b->n && !rc; k++) {
    const mx_step *s = step_of(b, k);
    int nout = s->kind == MX_STEP_GROUP ? s->group->n_out : 1;
    for (int i = 0; i < nout && !rc; i++) {
      const value *v = &b->v[b->out[k][i]];
      if (v->scratch) continue;
      bool plain = s->kind == MX_STEP_GROUP && !s->group->program.out[i].reduce && !b->r->keep && !v->a->buf;
      mx_array *from = plain ? to_overwrite(b, k, v->a, taken) : NULL;
      if (from) mx_take_buffer(v->a, from);
      else rc = mx_give_buffer(v->a);
    }
  }
  return rc;
}

/* ---- running a chunk ---- */

typedef struct chunk {
  const band *b;
  int64_t begin, rows;
  char *scratch;
} chunk;

static void *place(const chunk *c, const value *v) {
  if (v->scratch) return c->scratch + v->at;
  return (char *)v->a->data + (v->rows ? c->begin * v->step * (int64_t)mx_dtype_sizes[v->a->dtype] : 0);
}

/* Dimensions of a chunk: the rows, then what is behind the leading ones. */
static void shape_in(const chunk *c, const mx_array *a, int32_t *shape) {
  const band *b = c->b;
  shape[0] = (int32_t)c->rows;
  for (int d = b->lead; d < b->ndim; d++) shape[1 + d - b->lead] = a->shape[d];
}

static mx_view view_in(const chunk *c, const value *v, const int32_t *domain, int64_t size, int64_t *strides) {
  const band *b = c->b;
  const mx_array *x = v->a;
  int extra = b->ndim - x->ndim, n = 1 + b->ndim - b->lead;
  strides[0] = v->rows ? v->step : 0;
  for (int d = b->lead; d < b->ndim; d++) {
    int at = 1 + d - b->lead;
    strides[at] = d < extra || (x->shape[d - extra] == 1 && domain[at] != 1) ? 0 : x->strides[d - extra];
  }
  return (mx_view){place(c, v), domain, strides, size, (uint8_t)n, x->dtype};
}

static mx_view view_out(const chunk *c, const value *v, int32_t *shape, int64_t *strides) {
  int n = 1 + c->b->ndim - c->b->lead;
  shape_in(c, v->a, shape);
  mx_row_strides(n, shape, strides);
  return (mx_view){place(c, v), shape, strides, v->step * c->rows, (uint8_t)n, v->a->dtype};
}

/* Whether all that the group writes is large and only read after the band. */
static bool written_for_good(const band *b, int k, const mx_group *g) {
  int64_t bytes = 0;
  for (int i = 0; i < g->n_out; i++) {
    const value *v = &b->v[b->out[k][i]];
    if (v->reads || g->program.out[i].reduce) return false;
    bytes += (int64_t)mx_nbytes(v->a);
  }
  return bytes >= STREAM_BYTES;
}

static int run_group(const chunk *c, int k, const mx_group *g) {
  const band *b = c->b;
  mx_view in[MX_PROGRAM_IO], out[MX_PROGRAM_IO];
  int64_t in_strides[MX_PROGRAM_IO][MX_MAX_NDIM], out_strides[MX_PROGRAM_IO][MX_MAX_NDIM];
  int32_t domain[MX_MAX_NDIM], shape[MX_PROGRAM_IO][MX_MAX_NDIM];
  const mx_array *d = b->r->p->node[g->domain];
  shape_in(c, d, domain);
  for (int i = 0; i < g->n_in; i++) in[i] = view_in(c, &b->v[b->in[k][i]], domain, d->size / b->rows * c->rows, in_strides[i]);
  for (int i = 0; i < g->n_out; i++) out[i] = view_out(c, &b->v[b->out[k][i]], shape[i], out_strides[i]);
  if (!written_for_good(b, k, g)) return b->r->b->run(&g->program, 1 + b->ndim - b->lead, domain, in, out);
  mx_program streaming; /* plans keep no more of a program than its instructions */
  memcpy(&streaming, &g->program, offsetof(mx_program, ins) + g->program.n_ins * sizeof *g->program.ins);
  for (int i = 0; i < g->n_out; i++) streaming.out[i].stream = 1;
  return b->r->b->run(&streaming, 1 + b->ndim - b->lead, domain, in, out);
}

static int run_reduction(const chunk *c, int k, const mx_array *n) {
  const band *b = c->b;
  int64_t in_strides[MX_MAX_NDIM], out_strides[MX_MAX_NDIM], axes[MX_MAX_NDIM];
  int32_t domain[MX_MAX_NDIM], shape[MX_MAX_NDIM];
  const value *x = &b->v[b->in[k][0]];
  shape_in(c, x->a, domain);
  mx_view in = view_in(c, x, domain, x->a->size / b->rows * c->rows, in_strides), out = view_out(c, &b->v[b->out[k][0]], shape, out_strides);
  int np = 0;
  for (int i = 0; i < n->np; i++)
    if (n->p[i] >= b->lead) axes[np++] = n->p[i] - b->lead + 1;
  return b->r->b->kernels[n->op](&(mx_call){.op = (mx_opcode)n->op, .nin = 1, .nout = 1, .np = np, .in = &in, .out = &out, .p = axes});
}

static int run_rows(const chunk *c) {
  const band *b = c->b;
  int rc = 0;
  for (int k = 0; k < b->n && !rc; k++) {
    const mx_step *s = step_of(b, k);
    rc = s->kind == MX_STEP_GROUP ? run_group(c, k, s->group) : run_reduction(c, k, b->r->p->node[s->node]);
  }
  return rc;
}

/* The inputs of the rows from `begin` on are fetched while those before are computed. */
static void fetch_soon(const band *b, int64_t begin, int64_t rows, int64_t now) {
  const void *data[MAX_VALUES];
  int64_t bytes[MAX_VALUES];
  int n = 0;
  for (int i = 0; i < b->nvalues && rows; i++) {
    const value *v = &b->v[i];
    if (v->made || !v->rows || !mx_is_row_contiguous(v->a)) continue;
    data[n] = (char *)v->a->data + begin * v->row;
    bytes[n++] = rows * v->row;
  }
  b->r->b->soon(n, data, bytes, b->work * now);
}

static int run_chunks(const band *b, int64_t begin, int64_t end, char *scratch) {
  int rc = 0;
  for (int64_t n, at = begin; at < end && !rc; at += n) {
    n = end - at < b->chunk ? end - at : b->chunk;
    int64_t left = b->rows - at - n; /* what follows the range is likely to be the thread's, too */
    fetch_soon(b, at + n, left < b->chunk ? left : b->chunk, n);
    rc = run_rows(&(chunk){b, at, n, scratch});
  }
  b->r->b->soon(0, NULL, NULL, 0);
  return rc;
}

/* The message of an error is the thread's: it is brought to the one that asked. */
static void run_range(void *ctx, int64_t begin, int64_t end) {
  band *b = ctx;
  mx_buffer *buf = b->scratch ? mx_buffer_new(b->scratch) : NULL;
  int rc = b->scratch && !buf ? mx_error_kind() : run_chunks(b, begin, end, buf ? buf->ptr : NULL);
  mx_buffer_release(buf);
  if (!rc) return;
  int none = 0; /* the first to come tells */
  if (atomic_compare_exchange_strong(&b->failed, &none, rc)) strncpy(b->text, mx_error_message(), sizeof b->text - 1);
}

int mx_band_run(const mx_runner *r, const mx_plan *plan, int first, int *rc) {
  band b; /* not cleared: it is large */
  memset(&b, 0, offsetof(band, v));
  b.r = r;
  b.plan = plan;
  b.first = first;
  if (!r->b->on_threads || first + 1 == plan->nsteps || !could_be_in(plan, r->p, first) || !find_rows(&b)) return 0;
  int n = 0, all = plan->nsteps - first < MAX_STEPS ? plan->nsteps - first : MAX_STEPS;
  while (n < all && could_be_in(plan, r->p, first + n) && bind_step(&b, n)) n++;
  if (n < 2) return 0;
  b.nvalues = 0; /* once more: the step that did not fit has left its traces */
  while (b.n < n) bind_step(&b, b.n++);
  if (!lay_out(&b)) return 0;
  if (!(*rc = give_memory(&b))) {
    for (int k = 0; k < b.n; k++) mx_count_run(step_of(&b, k)->kind == MX_STEP_GROUP);
    int64_t grain = b.rows / MOST_RANGES / b.chunk * b.chunk;
    mx_parallel_runs(b.rows, grain > b.chunk ? grain : b.chunk, run_range, &b);
    int failed = atomic_load(&b.failed);
    if (failed) *rc = mx_fail(failed, "%s", b.text);
  }
  return b.n;
}
