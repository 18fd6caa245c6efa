/* Calls as nodes: arguments to words and back, calls recorded, made again and opened. */
#include "graph/recorded.h"

#include <limits.h>
#include <string.h>

enum { MOST_ARGUMENTS = 24, MOST_WORDS = 0x7fff }; /* a file has 15 bits for the number of words */

int mx_recordable_named(const char *name) {
  for (int i = 0; i < mx_nrecordables; i++)
    if (!strcmp(mx_recordables[i].name, name)) return i;
  return -1;
}

/* ---- arguments to words ---- */

typedef struct words {
  int64_t *at;
  int n, cap;
  mx_list in;
  int rc;
} words;

static void put(words *w, int64_t v) {
  if (w->n == w->cap && !w->rc) {
    int cap = w->cap ? 2 * w->cap : 64;
    int64_t *at = mx_realloc(w->at, (size_t)cap * sizeof *at);
    if (!at) w->rc = mx_fail_memory();
    else w->at = at, w->cap = cap;
  }
  if (!w->rc) w->at[w->n++] = v;
}

static void put_array(words *w, mx_array *a) {
  if (!w->rc) w->rc = mx_list_push(&w->in, a);
}

static void put_text(words *w, const char *text) {
  size_t len = text ? strlen(text) : 0;
  put(w, text ? (int64_t)len : -1);
  for (size_t i = 0; i < len && w->n <= MOST_WORDS; i += 8) {
    int64_t v = 0;
    memcpy(&v, text + i, len - i < 8 ? len - i : 8);
    put(w, v);
  }
}

static void put_list(words *w, char kind, const mx_argument *x) {
  put(w, x->ints ? (int64_t)x->n : -1);
  for (size_t i = 0; i < x->n && x->ints && w->n <= MOST_WORDS; i++)
    put(w, kind == 'I' ? x->ints[i] : kind == 'L' ? x->longs[i] : mx_bits(x->doubles[i]));
}

static void put_argument(words *w, char kind, const mx_argument *x) {
  switch (kind) {
    case 'a': put_array(w, x->array); break;
    case 'o': case 'k':
      put(w, x->array != NULL);
      if (x->array) put_array(w, x->array);
      break;
    case 'v':
      put(w, (int64_t)x->n);
      for (size_t i = 0; i < x->n; i++) put_array(w, x->arrays[i]);
      break;
    case 'd': put(w, mx_bits(x->d)); break;
    case 't': put_text(w, x->text); break;
    case 'I': case 'L': case 'D': put_list(w, kind, x); break;
    case 'J': case 'F': case 'Y':
      put(w, x->ints != NULL);
      if (x->ints) put(w, kind == 'J' ? *x->ints : kind == 'F' ? mx_bits(*x->floats) : (int64_t)*x->dtypes);
      break;
    default: put(w, x->i);
  }
}

/* ---- and back ---- */

typedef struct reading {
  const int64_t *p;
  mx_array *const *in;
  int np, nin, at, at_in;
  char *room; /* of lists and texts: 8 bytes a word, and a zero behind each */
  bool bad;
} reading;

static int64_t get(reading *r) {
  if (r->at < r->np) return r->p[r->at++];
  r->bad = true;
  return 0;
}

static int64_t get_within(reading *r, int64_t least, int64_t most) {
  int64_t v = get(r);
  if (v >= least && v <= most) return v;
  r->bad = true;
  return least;
}

static mx_array *get_array(reading *r) {
  if (r->at_in < r->nin) return r->in[r->at_in++];
  r->bad = true;
  return NULL;
}

static const char *get_text(reading *r) {
  int64_t len = get_within(r, -1, INT_MAX), n = (len + 7) / 8;
  if (len < 0) return NULL;
  if (n > r->np - r->at) {
    r->bad = true;
    return "";
  }
  char *text = r->room;
  memcpy(text, r->p + r->at, (size_t)len);
  text[len] = 0;
  r->at += (int)n;
  r->room += 8 * n + 8;
  return text;
}

static void get_list(reading *r, char kind, mx_argument *x) {
  int64_t n = get_within(r, -1, r->np - r->at - 1);
  void *to = r->room;
  *x = (mx_argument){.n = n < 0 ? 0 : (size_t)n};
  if (n < 0) return;
  x->ints = to;
  for (int64_t i = 0; i < n; i++)
    if (kind == 'I') ((int *)to)[i] = (int)get_within(r, INT_MIN, INT_MAX);
    else ((int64_t *)to)[i] = get(r); /* of a double its bits */
  r->room += 8 * n;
}

static void get_maybe(reading *r, char kind, mx_argument *x) {
  void *to = r->room;
  *x = (mx_argument){.ints = NULL};
  if (!get_within(r, 0, 1)) return;
  x->ints = to;
  if (kind == 'F') *(float *)to = (float)mx_unbits(get(r));
  else if (kind == 'J') *(int *)to = (int)get_within(r, INT_MIN, INT_MAX);
  else *(mx_dtype *)to = (mx_dtype)get_within(r, 0, MX_DTYPES - 1);
  r->room += 8;
}

static void get_argument(reading *r, char kind, mx_argument *x) {
  *x = (mx_argument){.n = 0};
  switch (kind) {
    case 'a': x->array = get_array(r); break;
    case 'o': case 'k': x->array = get_within(r, 0, 1) ? get_array(r) : NULL; break;
    case 'v': {
      int64_t n = get_within(r, 0, r->nin - r->at_in);
      x->arrays = r->in + r->at_in;
      x->n = (size_t)n;
      r->at_in += (int)n;
      break;
    }
    case 'd': x->d = mx_unbits(get(r)); break;
    case 't': x->text = get_text(r); break;
    case 'I': case 'L': case 'D': get_list(r, kind, x); break;
    case 'J': case 'F': case 'Y': get_maybe(r, kind, x); break;
    case 'b': x->i = get_within(r, 0, 1); break;
    case 'y': x->i = get_within(r, 0, MX_DTYPES - 1); break;
    case 'z': x->i = get_within(r, 0, INT64_MAX); break;
    default: x->i = get_within(r, INT_MIN, INT_MAX);
  }
}

/* ---- calls ---- */

static bool any_wanted(int n, mx_array *const *in, bool *differentiated) {
  bool any = false;
  *differentiated = false;
  for (int i = 0; i < n; i++) {
    any |= in[i] && (in[i]->flags & MX_PLACEHOLDER);
    *differentiated |= in[i] && (in[i]->flags & MX_TRACER);
  }
  return any;
}

static _Thread_local bool opened; /* a call of the trace around, by what goes on inside of one */

typedef struct around {
  bool wanted, used, opened;
} around;

/* What happens inside of a call happens as if no trace wanted other shapes. */
static around go_inside(void) {
  around a = {mx_any_shape_wanted, mx_shape_used, opened};
  mx_any_shape_wanted = opened = false;
  return a;
}

static void come_back(around a) {
  mx_any_shape_wanted = a.wanted;
  mx_shape_used = a.used || opened;
  opened |= a.opened;
}

static int call_plainly(mx_scope *s, int which, const mx_argument *x, mx_list *out) {
  around a = go_inside();
  int rc = mx_recordables[which].call(s, x, out);
  come_back(a);
  return rc ? rc : s->rc;
}

/* What a call builds of a shape alone depends on the arguments all the same: its picks do, and they may become copies of it. */
static int make_dependent(mx_scope *s, const mx_list *in, mx_list *out) {
  mx_array *from = NULL;
  for (int i = 0; i < in->n && !from; i++)
    if (in->at[i]->flags & MX_PLACEHOLDER) from = in->at[i];
  for (int i = 0; i < out->n && !s->rc; i++) {
    mx_list one = {0};
    if (out->at[i]->flags & MX_PLACEHOLDER) continue;
    int rc = mx_depends(s, &one, 1, &out->at[i], 1, &from);
    if (!rc) mx_set(&out->at[i], mx_retain(one.at[0]));
    mx_list_clear(&one);
    if (rc) return rc;
  }
  return s->rc;
}

/* The node over the arguments and results, and its picks in the place of these. */
static int tie(mx_scope *s, words *w, mx_object *object, mx_list *out) {
  int nargs = w->in.n, nout = out->n, rc = w->rc ? w->rc : make_dependent(s, &w->in, out);
  if (rc) return rc;
  for (int i = 0; i < nout && !w->rc; i++) put_array(w, out->at[i]);
  if (w->rc) return w->rc;
  if (w->in.n > UINT16_MAX || w->n > MOST_WORDS)
    return mx_fail(MX_EVALUE, "[compile] %d arrays and %d numbers are too many for one call in a function for all shapes.", w->in.n, w->n);
  mx_array *t = mx_tuple_like(s, OP_recorded, nargs + nout, w->in.at, w->n, w->at, nout, out->at);
  if (t) t->object = mx_object_retain(object);
  if (t) t->flags &= (uint8_t)~MX_TRACER; /* of a gradient inside; the arguments have none */
  for (int i = 0; i < nout && t; i++) {
    mx_array *pick = mx_pick(s, t, i);
    if (pick) mx_set(&out->at[i], mx_retain(pick));
  }
  return s->rc;
}

bool mx_record(mx_scope *s, int which, const mx_argument *x, mx_list *out) {
  if (s->rc || which < 0) return false;
  const char *takes = mx_recordables[which].takes;
  int n = (int)strlen(takes);
  words w = {.rc = 0};
  mx_argument given[MOST_ARGUMENTS];
  memcpy(given, x, (size_t)n * sizeof *x);
  put(&w, which);
  for (int i = 0; i < n; i++) put_argument(&w, takes[i], &given[i]);
  bool differentiated, record = any_wanted(w.in.n, w.in.at, &differentiated);
  if (differentiated && record) mx_shape_used = true;
  record = record && !differentiated;
  for (int i = 0; i < n && record; i++) /* a draw takes its key now, as ever */
    if (takes[i] == 'k' && !given[i].array) {
      given[i].array = mx_random_next(s);
      mx_list_clear(&w.in);
      w.n = 1;
      for (int k = 0; k < n && given[i].array; k++) put_argument(&w, takes[k], &given[k]);
    }
  if (record) {
    int rc = w.rc ? w.rc : s->rc;
    if (!rc) rc = call_plainly(s, which, given, out);
    if (!rc) rc = tie(s, &w, NULL, out);
    if (rc && !s->rc) mx_scope_error(s, rc);
  }
  mx_list_clear(&w.in);
  mx_free(w.at);
  return record;
}

bool mx_record_function(mx_scope *s, mx_recorded_function *f, int nin, mx_array *const *in, mx_list *out) {
  bool differentiated;
  if (s->rc || !any_wanted(nin, in, &differentiated)) return false;
  if (differentiated) {
    mx_shape_used = true;
    return false;
  }
  words w = {.rc = 0};
  put(&w, -1);
  for (int i = 0; i < nin; i++) put_array(&w, in[i]);
  around a = go_inside();
  int rc = w.rc ? w.rc : f->call(f, s, nin, in, out);
  come_back(a);
  if (!rc) rc = s->rc ? s->rc : tie(s, &w, &f->base, out);
  if (rc && !s->rc) mx_scope_error(s, rc);
  mx_list_clear(&w.in);
  mx_free(w.at);
  return true;
}

int mx_recorded_call(mx_scope *s, int nin, mx_array *const *in, int np, const int64_t *p, mx_list *out) {
  if (np < 1 || p[0] < 0 || p[0] >= mx_nrecordables) return mx_fail(MX_EVALUE, "[recorded] There is no such function.");
  const mx_recordable *f = &mx_recordables[p[0]];
  int n = (int)strlen(f->takes);
  mx_argument x[MOST_ARGUMENTS];
  char *room = mx_malloc(8 * ((size_t)np + MOST_ARGUMENTS));
  if (!room) return mx_fail_memory();
  reading r = {.p = p, .in = in, .np = np, .nin = nin, .at = 1, .room = room};
  for (int i = 0; i < n && !r.bad; i++) get_argument(&r, f->takes[i], &x[i]);
  if (r.at != np || r.at_in != nin) r.bad = true;
  int rc = r.bad ? mx_fail(MX_EVALUE, "[%s] A recorded call has other arguments than the function.", f->name) : 0;
  if (!rc && !(mx_any_shape_wanted && mx_record(s, (int)p[0], x, out))) rc = f->call(s, x, out);
  mx_free(room);
  return rc ? rc : s->rc;
}

int mx_recorded_again(mx_scope *s, const mx_array *node, mx_array *const *in, mx_list *out) {
  mx_stream around = s->stream;
  s->stream = node->stream;
  mx_recorded_function *f = (mx_recorded_function *)node->object;
  int rc = 0;
  if (!f) rc = mx_recorded_call(s, node->nin, in, node->np, node->p, out);
  else if (!mx_any_shape_wanted || !mx_record_function(s, f, node->nin, in, out)) rc = f->call(f, s, node->nin, in, out);
  if (!rc) rc = s->rc;
  s->stream = around;
  bool fits = out->n == node->nout;
  for (int i = 0; i < out->n && fits; i++) fits = out->at[i]->dtype == node->outs[i].dtype && out->at[i]->ndim == node->outs[i].ndim;
  if (!rc && !fits)
    rc = mx_fail(MX_EVALUE, "[%s] For inputs of these shapes the results have another form than those of the trace.",
                 f ? "compile" : mx_recordables[node->p[0]].name);
  return rc;
}

mx_array *mx_recorded_bare(const mx_array *node) { return mx_tuple_front(node, node->nin - node->nout); }

void mx_recorded_open(mx_array *pick) {
  mx_array *call = pick->in[0];
  pick->in[0] = mx_retain(call->in[call->nin - call->nout + (int)pick->p[0]]);
  pick->op = OP_copy;
  pick->np = 0;
  mx_shape_used = opened = true;
  mx_release(call);
}
