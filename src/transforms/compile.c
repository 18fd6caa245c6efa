/* compile: a function is traced once for each signature of its arguments, simplified, and kept as a replay.
 *
 * The cache is one for the process, least recently used first out. Its keys are compared in full. A trace that captured values of
 * another trace (a tracer of grad, an argument of an outer compile or vmap) is good for that call only and is not kept.
 * A shapeless trace serves all shapes if nothing in it was made from a shape, but for parameters that say how they follow from one
 * (graph/relative.h) and calls that are made again (graph/recorded.h); else it is kept for its own shapes only. Where it turns out not to fit
 * after all (a call that gives more results, a size that was written down), the function is traced again for the shapes at hand. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/profile.h"
#include "runtime/runtime.h"
#include "transforms/call.h"
#include "transforms/control.h"
#include "transforms/custom.h"
#include "transforms/replay.h"

enum { BUCKETS = 1024, MAX_ENTRIES = 1024, MAX_NODES = 1 << 18 };

/* ---- keys ---- */

/* What a trace depends on: fun_id, flags, stream, constants, and of each argument dtype and shape. */
typedef struct key {
  int64_t *at;
  int n;
  uint64_t hash;
  int64_t small[96];
} key;

static void key_free(key *k) {
  if (k->at != k->small) mx_free(k->at);
}

typedef struct compiled {
  mx_closure *f;
  uintptr_t fun_id;
  bool own, shapeless;
  int nconst;
  uint64_t constants[];
} compiled;

static int key_make(key *k, const compiled *c, int n, mx_array *const *in, int mode, bool shapes) {
  size_t len = 4 + (size_t)c->nconst;
  for (int i = 0; i < n; i++) len += 1 + (size_t)in[i]->ndim;
  k->at = len <= sizeof k->small / sizeof *k->small ? k->small : mx_malloc(len * sizeof *k->at);
  if (!k->at) return mx_fail_memory();
  int64_t *p = k->at;
  *p++ = (int64_t)c->fun_id;
  *p++ = (int64_t)!shapes << 48 | (int64_t)mode << 32 | (uint16_t)mx_default_stream();
  *p++ = (int64_t)c->nconst << 32 | n;
  for (int i = 0; i < c->nconst; i++) *p++ = (int64_t)c->constants[i];
  for (int i = 0; i < n; i++) {
    *p++ = in[i]->dtype << 8 | in[i]->ndim;
    for (int d = 0; shapes && d < in[i]->ndim; d++) *p++ = in[i]->shape[d];
  }
  k->n = (int)(p - k->at);
  k->hash = 0;
  for (int i = 0; i < k->n; i++) k->hash = (k->hash ^ (uint64_t)k->at[i]) * 0x9e3779b97f4a7c15u ^ k->hash >> 31;
  k->hash ^= k->hash >> 32;
  return 0;
}

/* ---- cache ---- */

typedef struct entry {
  struct entry *chain, *newer, *older;
  mx_callee *callee;
  uint64_t hash;
  int nkey;
  int64_t key[];
} entry;

static struct {
  pthread_mutex_t lock;
  entry *bucket[BUCKETS], *newest, *oldest;
  int entries, nodes;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void unlink_age(entry *e) {
  *(e->newer ? &e->newer->older : &cache.newest) = e->older;
  *(e->older ? &e->older->newer : &cache.oldest) = e->newer;
}

static void link_newest(entry *e) {
  e->newer = NULL;
  e->older = cache.newest;
  *(cache.newest ? &cache.newest->newer : &cache.oldest) = e;
  cache.newest = e;
}

static entry **find_place(const key *k) {
  entry **at = &cache.bucket[k->hash % BUCKETS];
  while (*at && !((*at)->hash == k->hash && (*at)->nkey == k->n && memcmp((*at)->key, k->at, (size_t)k->n * sizeof *k->at) == 0))
    at = &(*at)->chain;
  return at;
}

/* Taken entries hang on a list by `chain`, so that they are freed outside of the lock: freeing may call back into Python. */
static void take_out(entry *e, entry **taken) {
  entry **at = &cache.bucket[e->hash % BUCKETS];
  while (*at != e) at = &(*at)->chain;
  *at = e->chain;
  unlink_age(e);
  cache.entries--;
  cache.nodes -= mx_callee_replay(e->callee)->n;
  e->chain = *taken;
  *taken = e;
}

static void free_taken(entry *e) {
  while (e) {
    entry *next = e->chain;
    mx_object_release(mx_callee_object(e->callee));
    mx_free(e);
    e = next;
  }
}

static mx_callee *cache_get(const key *k) {
  mx_callee *r = NULL;
  pthread_mutex_lock(&cache.lock);
  entry *e = *find_place(k);
  if (e) {
    r = mx_object_retain(mx_callee_object(e->callee));
    if (e != cache.newest) {
      unlink_age(e);
      link_newest(e);
    }
  }
  pthread_mutex_unlock(&cache.lock);
  return r;
}

/* Keeps c under k, if there is memory; another thread may have been first. */
static void cache_put(const key *k, mx_callee *c) {
  entry *e = mx_malloc(sizeof *e + (size_t)k->n * sizeof *k->at), *taken = NULL;
  if (!e) {
    mx_error_clear();
    return;
  }
  *e = (entry){.callee = mx_object_retain(mx_callee_object(c)), .hash = k->hash, .nkey = k->n};
  memcpy(e->key, k->at, (size_t)k->n * sizeof *k->at);
  pthread_mutex_lock(&cache.lock);
  entry **at = find_place(k);
  if (*at) {
    e->chain = NULL;
    taken = e;
  } else {
    *at = e;
    link_newest(e);
    cache.entries++;
    cache.nodes += mx_callee_replay(c)->n;
    while (cache.oldest != e && (cache.entries > MAX_ENTRIES || cache.nodes > MAX_NODES)) take_out(cache.oldest, &taken);
  }
  pthread_mutex_unlock(&cache.lock);
  free_taken(taken);
}

static void erase(bool all, uintptr_t fun_id) {
  entry *taken = NULL;
  pthread_mutex_lock(&cache.lock);
  for (entry *e = cache.newest, *older; e; e = older) {
    older = e->older;
    if (all || e->key[0] == (int64_t)fun_id) take_out(e, &taken);
  }
  pthread_mutex_unlock(&cache.lock);
  free_taken(taken);
}

void mx_compile_erase(uintptr_t fun_id) { erase(false, fun_id); }
void mx_compile_clear_cache(void) { erase(true, 0); }

/* ---- why a function is traced again: for the trace of what ran ---- */

typedef struct function_name {
  char text[96];
} function_name;
static _Thread_local function_name traced_name; /* of the function that is being traced, if it told */

void mx_compile_name(const char *name) { snprintf(traced_name.text, sizeof traced_name.text, "%s", name); }

/* One argument's part of a key: its dtype and number of dimensions, then its shape. */
static const int64_t *say_argument(char *text, size_t size, const int64_t *k) {
  int ndim = (int)(*k & 0xff);
  int32_t shape[MX_MAX_NDIM];
  for (int d = 0; d < ndim; d++) shape[d] = (int32_t)k[1 + d];
  snprintf(text, size, "%s %s", mx_dtype_name((mx_dtype)(*k >> 8)), mx_shape_str(ndim, shape));
  return k + 1 + ndim;
}

/* The first difference between two keys of one function, both with shapes. */
static void say_difference(char *text, size_t size, const int64_t *old, const int64_t *new) {
  if (old[1] >> 48 & 1) snprintf(text, size, "the trace for any shape does not fit these arguments");
  else if (old[1] != new[1]) snprintf(text, size, "the default stream or the mode of compile changed");
  else if (old[2] >> 32 != new[2] >> 32) snprintf(text, size, "the constants or the structure of the arguments changed");
  else if ((int32_t)old[2] != (int32_t)new[2]) snprintf(text, size, "%d arrays were given, before %d", (int)(int32_t)new[2], (int)(int32_t)old[2]);
  else {
    int nconst = (int)(new[2] >> 32), n = (int)(int32_t)new[2];
    const int64_t *a = old + 3, *b = new + 3;
    for (int i = 0; i < nconst; i++, a++, b++)
      if (*a != *b) {
        snprintf(text, size, "a constant or the structure of the arguments changed");
        return;
      }
    for (int i = 0; i < n; i++) {
      char was[128], is[128];
      const int64_t *x = a, *y = b;
      a = say_argument(was, sizeof was, a);
      b = say_argument(is, sizeof is, b);
      if (a - x == b - y && !memcmp(x, y, (size_t)(a - x) * sizeof *x)) continue;
      snprintf(text, size, "array %d is %s, before %s", i, is, was);
      return;
    }
    snprintf(text, size, "the trace for these arguments was not kept");
  }
}

/* k is a key with shapes that the cache does not hold. */
static void say_why(char *text, size_t size, const key *k) {
  pthread_mutex_lock(&cache.lock);
  const entry *e = cache.newest;
  while (e && e->key[0] != k->at[0]) e = e->older;
  if (e) say_difference(text, size, e->key, k->at);
  else snprintf(text, size, "the first call");
  pthread_mutex_unlock(&cache.lock);
}

/* ---- tracing ---- */

/* What another thread computes now counts as evaluated: its inputs are that thread's. */
static bool unevaluated(const mx_array *a) { return atomic_load_explicit(&a->status, memory_order_acquire) == MX_UNSCHEDULED && a->nin; }
static bool at_risk(const mx_array *a) { return unevaluated(a) && !(a->flags & (MX_TRACER | MX_PLACEHOLDER)); }

/* A constant that is computed from an argument would be frozen with that argument's value of today. (Within another trace the replay
 * serves one call only.) */
static int look_for_captured(const mx_replay *r, int n, mx_array *const *in) {
  bool any = false;
  for (int i = 0; i < n; i++) any |= at_risk(in[i]);
  if (!any) return 0;
  mx_index seen = {0};
  mx_list todo = {0};
  int rc = 0;
  bool found = false;
  for (int i = 0; i < r->nconst && !rc; i++)
    if (unevaluated(r->constant[i]) && !mx_index_find(&seen, r->constant[i]) && !(rc = mx_index_put(&seen, r->constant[i], 0)))
      rc = mx_list_push(&todo, r->constant[i]);
  for (int at = 0; at < todo.n && !rc && !found; at++) {
    mx_array *a = todo.at[at];
    for (int i = 0; i < n; i++) found |= a == in[i] && at_risk(a);
    for (int k = 0; k < a->nin && !rc; k++)
      if (unevaluated(a->in[k]) && !mx_index_find(&seen, a->in[k]) && !(rc = mx_index_put(&seen, a->in[k], 0))) rc = mx_list_push(&todo, a->in[k]);
  }
  mx_index_clear(&seen);
  mx_list_clear(&todo);
  if (found)
    return mx_fail(MX_EVALUE,
                   "[compile] Attempting to compile a function with uncaptured inputs is not allowed: it uses an array that is computed from "
                   "one of its arguments and is not evaluated yet.");
  return rc;
}

/* Under the graph lock nobody claims what is looked at. */
static int check_captured(const mx_replay *r, int n, mx_array *const *in) {
  mx_graph_hold();
  int rc = look_for_captured(r, n, in);
  mx_graph_let_go();
  return rc;
}

/* Whether the trace can serve another call: not when it holds values of a trace around it. */
static bool keepable(const mx_replay *r) {
  for (int i = 0; i < r->nconst; i++)
    if ((r->constant[i]->flags & MX_PLACEHOLDER) || ((r->constant[i]->flags & MX_TRACER) && mx_tracing)) return false;
  return true;
}

/* Ops whose parameters do not depend on the shapes of their inputs. */
static bool any_shape(int op) {
  if (mx_is_elementwise(op) || mx_is_reduction(op)) return true;
  switch (op) {
    case OP_transpose: case OP_expand_dims: case OP_squeeze: case OP_copy: case OP_stop_gradient: case OP_contiguous: case OP_depends:
    case OP_concatenate: case OP_pad: case OP_gather_axis: case OP_scatter_axis: case OP_argmin: case OP_argmax: case OP_cumsum:
    case OP_cumprod: case OP_cummax: case OP_cummin: case OP_logcumsumexp: case OP_softmax: case OP_logsumexp: case OP_sort:
    case OP_argsort: case OP_matmul: case OP_addmm: case OP_conv: case OP_rms_norm: case OP_layer_norm: case OP_scatter:
    case OP_searchsorted: case OP_view: case OP_dynamic_slice_update: case OP_masked_scatter: case OP_gather_mm: case OP_gather_qmm:
    case OP_quantize: case OP_dequantize: case OP_quantized_matmul: case OP_to_fp8: case OP_from_fp8: case OP_inverse: case OP_solve:
    case OP_solve_triangular: case OP_expm: case OP_cholesky: case OP_det: case OP_slogdet: case OP_lu_factor: case OP_qr: case OP_svd:
    case OP_svdvals: case OP_eigh: case OP_eigvalsh: case OP_eig: case OP_eigvals: case OP_random_loggamma: case OP_random_poisson:
    case OP_loggamma_grad:
      return true;
    default: return false;
  }
}

const mx_array *mx_replay_shape_bound(const mx_replay *r) {
  for (int i = 0; i < r->n; i++) {
    const mx_array *a = r->node[i].proto, *inner;
    if (a->flags & MX_TRACER) return a; /* rules of gradients use shapes freely */
    if (a->op == OP_recorded) continue;
    if (mx_ops[a->op].kind == MX_CONTROL) {
      if ((inner = mx_control_shape_bound(a))) return inner;
    } else if (a->op != OP_custom && !any_shape(a->op) && !(a->flags & MX_RELATIVE)) return a;
  }
  return NULL;
}

bool mx_replay_fits_all_shapes(const mx_replay *r) {
  if (mx_shape_used || mx_replay_shape_bound(r)) return false;
  for (int i = 0; i < r->nconst && mx_rules_ran; i++)
    if (!mx_is_available(r->constant[i])) return false;
  return true;
}

/* *general: whether a trace for all shapes is wanted, then whether it is one. */
static int replay_of(mx_replay **r, int n, mx_array *const *args, const mx_list *out, bool simplify, bool *general) {
  int rc = *general ? mx_replay_new_recorded(r, n, args, out->n, out->at, simplify) : 0;
  if (rc) return rc;
  if (*general && mx_replay_fits_all_shapes(*r)) return 0;
  if (*general) mx_replay_release(*r);
  *general = false;
  return mx_replay_new(r, n, args, out->n, out->at, MX_PLACEHOLDER, simplify);
}

static int trace(const compiled *c, int n, mx_array *const *in, bool simplify, bool *general, mx_replay **r) {
  mx_list out = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array **args = mx_slots_new(n);
  int rc = args ? 0 : MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++)
    if (!(args[i] = mx_placeholder(&s, (mx_dtype)in[i]->dtype, in[i]->ndim, in[i]->shape))) rc = s.rc;
  if (!rc) rc = mx_closure_call(c->f, n, args, &out);
  if (!rc) rc = replay_of(r, n, args, &out, simplify, general);
  mx_free(args);
  mx_list_clear(&out);
  int end = mx_scope_end(&s);
  if (!rc && (rc = end ? end : check_captured(*r, n, in))) mx_replay_release(*r);
  return rc;
}

/* ---- the closure ---- */

static _Atomic int compile_mode = -1;

int mx_get_compile_mode(void) {
  int mode = compile_mode;
  if (mode < 0) compile_mode = mode = getenv("MLX_DISABLE_COMPILE") ? MX_COMPILE_DISABLED : MX_COMPILE_ENABLED;
  return mode;
}
void mx_set_compile_mode(int mode) { compile_mode = mode; }

static _Thread_local int tracing; /* a call within a trace does not wait: what the trace captures is part of every call */

/* Traces, and keeps the trace under k, or, if it serves all shapes, under `general` (NULL: no such wish). */
static int trace_and_keep(const compiled *c, int n, mx_array *const *in, int mode, const key *k, const key *general, mx_callee **res) {
  bool outer = mx_shape_used, rules = mx_rules_ran, wanted = mx_any_shape_wanted, watched = mx_watched() & MX_WATCH_TIMES;
  mx_watch_start start;
  char why[512];
  function_name around = {""};
  if (watched) {
    say_why(why, sizeof why, k);
    around = traced_name;
    traced_name.text[0] = 0;
    mx_watch_begin(&start);
  }
  mx_shape_used = mx_rules_ran = false;
  mx_any_shape_wanted = general != NULL;
  mx_replay *r = NULL;
  tracing++;
  bool all_shapes = general;
  int rc = trace(c, n, in, mode != MX_COMPILE_NO_SIMPLIFY, &all_shapes, &r);
  tracing--;
  if (!rc && !(*res = mx_callee_new(r))) rc = mx_error_kind();
  if (!rc && keepable(r)) cache_put(all_shapes ? general : k, *res);
  mx_any_shape_wanted = wanted;
  mx_shape_used |= outer;
  mx_rules_ran |= rules;
  if (watched) {
    mx_watch_compiled(&start, traced_name.text, why);
    traced_name = around;
  }
  return rc;
}

/* A trace for all shapes, built over arguments of one, as the trace of these: simplified, and with its memory planned once. */
static int replay_like(const mx_replay *general, int n, mx_array *const *in, bool simplify, mx_replay **r) {
  mx_list out = {0};
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array **args = mx_slots_new(n);
  int rc = args ? 0 : MX_EMEMORY;
  for (int i = 0; i < n && !rc; i++)
    if (!(args[i] = mx_placeholder(&s, (mx_dtype)in[i]->dtype, in[i]->ndim, in[i]->shape))) rc = s.rc;
  if (!rc) rc = mx_replay_run(general, args, &out);
  if (!rc) rc = mx_replay_new(r, n, args, out.n, out.at, MX_PLACEHOLDER, simplify);
  mx_free(args);
  mx_list_clear(&out);
  int end = mx_scope_end(&s);
  if (!rc && end) mx_replay_release(*r);
  return rc ? rc : end;
}

/* Shapes that are met a second time get a trace of their own from the one for all, without another call of the function. *r: the one for all,
 * then, if it could be made, theirs. */
static bool settle_for(const key *k, int n, mx_array *const *in, int mode, mx_callee **r) {
  enum { REMEMBERED = 256 };
  static _Atomic uint64_t met[REMEMBERED];
  if (atomic_exchange_explicit(&met[k->hash % REMEMBERED], k->hash, memory_order_relaxed) != k->hash || mx_any_shape_wanted) return false;
  mx_replay *own = NULL;
  mx_callee *callee = NULL;
  tracing++;
  if (!replay_like(mx_callee_replay(*r), n, in, mode != MX_COMPILE_NO_SIMPLIFY, &own)) callee = mx_callee_new(own);
  tracing--;
  if (!callee) {
    mx_error_clear();
    return false;
  }
  cache_put(k, callee);
  mx_object_release(mx_callee_object(*r));
  *r = callee;
  return true;
}

/* *exact: the trace is of these shapes. */
static int find_or_trace(const compiled *c, int n, mx_array *const *in, int mode, mx_callee **r, bool *exact) {
  key k, general;
  int rc = key_make(&k, c, n, in, mode, true);
  if (rc) return rc;
  *exact = true;
  *r = cache_get(&k);
  if (!*r && !c->shapeless) rc = trace_and_keep(c, n, in, mode, &k, NULL, r);
  else if (!*r && !(rc = key_make(&general, c, n, in, mode, false))) {
    if ((*r = cache_get(&general))) *exact = settle_for(&k, n, in, mode, r);
    else rc = trace_and_keep(c, n, in, mode, &k, &general, r);
    key_free(&general);
  }
  key_free(&k);
  return rc;
}

/* A trace for any shape has failed over these arguments: perhaps one of their own does better, or says what is wrong. */
static int trace_for_these(const compiled *c, int n, mx_array *const *in, int mode, mx_callee **r) {
  key k;
  mx_error_clear();
  int rc = key_make(&k, c, n, in, mode, true);
  if (rc) return rc;
  if (!(*r = cache_get(&k))) rc = trace_and_keep(c, n, in, mode, &k, NULL, r);
  key_free(&k);
  return rc;
}

static int call_callee(mx_callee *r, bool exact, mx_array *const *in, mx_list *out) {
  int rc = exact && !tracing ? mx_callee_call(r, in, out) : (exact ? mx_replay_run_as_traced : mx_replay_run)(mx_callee_replay(r), in, out);
  mx_object_release(mx_callee_object(r));
  return rc;
}

static int compiled_call(void *payload, int n, mx_array *const *in, mx_list *out) {
  const compiled *c = payload;
  int mode = mx_get_compile_mode();
  bool around = false; /* a trace for all shapes goes on through this function */
  for (int i = 0; i < n && mx_any_shape_wanted; i++) around |= (in[i]->flags & MX_PLACEHOLDER) != 0;
  if (mode == MX_COMPILE_DISABLED || around) return mx_closure_call(c->f, n, in, out);
  mx_callee *r;
  bool exact;
  int rc = find_or_trace(c, n, in, mode, &r, &exact);
  if (rc) return rc;
  rc = call_callee(r, exact, in, out);
  if (!rc || exact || rc == MX_EMEMORY || rc == MX_ECALLBACK) return rc;
  mx_list_clear(out);
  rc = trace_for_these(c, n, in, mode, &r);
  return rc ? rc : call_callee(r, true, in, out);
}

static void compiled_free(void *p) {
  compiled *c = p;
  if (c->own) mx_compile_erase(c->fun_id);
  mx_object_release(&c->f->base);
  mx_free(c);
}

mx_closure *mx_compile(mx_closure *f, uintptr_t fun_id, bool shapeless, int nconst, const uint64_t *constants) {
  compiled *c = mx_malloc(sizeof *c + (size_t)nconst * sizeof *constants);
  if (!c) {
    mx_fail_memory();
    return NULL;
  }
  *c = (compiled){mx_object_retain(&f->base), fun_id ? fun_id : (uintptr_t)c, !fun_id, shapeless, nconst};
  if (nconst) memcpy(c->constants, constants, (size_t)nconst * sizeof *constants);
  return mx_closure_new(compiled_call, c, compiled_free);
}
