/* Arrays: blocks, lifetimes, leaves. */
#include "core/array.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "core/opcode.h"

/* ---- blocks: one allocation an array, in steps of 16 bytes, kept in per-thread free lists ----
 *
 * One thread makes nodes and another one, which has run them, frees them: so what a thread has too many of goes to all, a chain at a time. A
 * thread fills one chain and has another one, full or none, beside it. */

enum { STEP = 16, BLOCK_CLASSES = 48, CHAIN = 128, CHAINS = 32 /* of a class, for all */ };

typedef struct free_block {
  struct free_block *next;
  struct free_block *next_chain; /* of a chain's first block, while it is there for all */
} free_block;
typedef struct block_list {
  free_block *first, *full;
  int count; /* of the chain that begins with first */
} block_list;
typedef struct block_lists {
  block_list of[BLOCK_CLASSES];
  bool registered;
} block_lists;
static _Thread_local block_lists of_thread;
static block_lists alone = {.registered = true}; /* while the process has one thread: a thread's own variables take a call to find */
static pthread_key_t blocks_key;
static pthread_once_t blocks_once = PTHREAD_ONCE_INIT;

static struct {
  pthread_mutex_t lock; /* only tried: a forked child may never get it */
  free_block *first[BLOCK_CLASSES];
  int count[BLOCK_CLASSES];
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static block_lists *my_blocks(void) { return MX_ONE_THREAD ? &alone : &of_thread; }

static void chain_free(free_block *b) {
  for (free_block *next; b; b = next) next = b->next, mx_free(b);
}

static void chain_give(free_block *b, uint16_t class) {
  bool room = false;
  if (!pthread_mutex_trylock(&shared.lock)) {
    if ((room = shared.count[class] < CHAINS)) {
      b->next_chain = shared.first[class];
      shared.first[class] = b;
      shared.count[class]++;
    }
    pthread_mutex_unlock(&shared.lock);
  }
  if (!room) chain_free(b);
}

static free_block *chain_take(size_t class) {
  free_block *b = NULL;
  if (!pthread_mutex_trylock(&shared.lock)) {
    if ((b = shared.first[class])) {
      shared.first[class] = b->next_chain;
      shared.count[class]--;
    }
    pthread_mutex_unlock(&shared.lock);
  }
  return b;
}

static void blocks_drain(void *unused) {
  (void)unused;
  for (int i = 0; i < BLOCK_CLASSES; i++) {
    chain_free(of_thread.of[i].first);
    chain_free(of_thread.of[i].full);
  }
  memset(&of_thread, 0, sizeof of_thread);
}
static void blocks_make_key(void) { pthread_key_create(&blocks_key, blocks_drain); }
static void blocks_register(block_lists *mine) {
  pthread_once(&blocks_once, blocks_make_key);
  pthread_setspecific(blocks_key, mine);
  mine->registered = true;
}

/* A list that has run out gets its other chain, or one of those for all. */
static bool refill(block_lists *mine, size_t class) {
  block_list *l = &mine->of[class];
  l->first = l->full ? l->full : chain_take(class);
  l->full = NULL;
  l->count = l->first ? CHAIN : 0;
  if (l->first && !mine->registered) blocks_register(mine);
  return l->first;
}

static void *block_new(size_t bytes, uint16_t *class) {
  size_t c = (bytes + STEP - 1) / STEP;
  *class = (uint16_t)(c < BLOCK_CLASSES ? c : 0);
  if (!*class) return mx_malloc(bytes);
  block_lists *mine = my_blocks();
  block_list *l = &mine->of[c];
  if (!l->first && !refill(mine, c)) return mx_malloc(c * STEP);
  free_block *b = l->first;
  l->first = b->next;
  l->count--;
  return b;
}

static void full_chain(block_list *l, uint16_t class) {
  if (l->full) chain_give(l->full, class);
  l->full = l->first;
  l->first = NULL;
  l->count = 0;
}

static inline void block_free(block_lists *mine, void *p, uint16_t class) {
  if (!class || !MX_KEEP_FREED) {
    mx_free(p);
    return;
  }
  if (!mine->registered) blocks_register(mine);
  block_list *l = &mine->of[class];
  if (__builtin_expect(l->count == CHAIN, 0)) full_chain(l, class);
  free_block *b = p;
  b->next = l->first;
  l->first = b;
  l->count++;
}

/* What a node of two inputs is told besides. */
typedef struct pair {
  uint16_t op;
  mx_stream stream;
  uint8_t flags;
  mx_array *x, *y;
} pair;

static inline size_t far_dims_of(int ndim) { return ndim > 1 ? (size_t)ndim : 0; }

/* The size of a block with a header and what has no place in it; few inputs and dimensions have. */
static inline size_t block_bytes(int ndim, int nin, int np) {
  size_t dims = far_dims_of(ndim), in = nin > 2 ? (size_t)nin : 0;
  return sizeof(mx_array) + 8 * (dims + in + (size_t)np) + ((dims * sizeof(int32_t) + 7) & ~(size_t)7);
}

/* All but shape, strides and size. */
static inline __attribute__((always_inline)) void header_fill(mx_array *a, uint16_t class, mx_dtype t, int ndim, int nin, int np, pair of) {
  size_t far_in = nin > 2 ? (size_t)nin : 0, far_dims = far_dims_of(ndim);
  int64_t *tail = (int64_t *)(a + 1);
  /* field by field: clearing the whole block first costs more than all of these together */
  atomic_init(&a->refs, 1);
  a->dtype = (uint8_t)t;
  a->ndim = (uint8_t)ndim;
  a->flags = of.flags;
  atomic_init(&a->status, MX_UNSCHEDULED);
  a->op = of.op;
  a->stream = of.stream;
  a->nin = (uint16_t)nin;
  a->np = (uint16_t)np;
  a->walk_mark = 0;
  a->walk_index = 0;
  a->own_in[0] = of.x;
  a->own_in[1] = of.y;
  a->nout = 1;
  a->block = class;
  a->data = NULL;
  a->buf = NULL;
  a->object = NULL;
  a->outs = NULL;
  a->p = tail;
  a->strides = far_dims ? tail + np : &a->own_stride;
  a->in = far_in ? (mx_array **)(tail + np + far_dims) : a->own_in;
  for (size_t i = 0; i < far_in; i++) a->in[i] = NULL;
  a->shape = far_dims ? (int32_t *)(tail + (size_t)np + far_dims + far_in) : &a->own_dim;
}

static inline __attribute__((always_inline)) mx_array *header_new(mx_dtype t, int ndim, int nin, int np) {
  uint16_t class;
  mx_array *a = block_new(block_bytes(ndim, nin, np), &class);
  if (a) header_fill(a, class, t, ndim, nin, np, (pair){0});
  else mx_fail_memory();
  return a;
}

int mx_row_layout(int ndim, const int32_t *shape, int64_t *strides, int64_t *size) {
  int64_t n = 1;
  bool overflow = false;
  for (int i = ndim - 1; i >= 0; i--) {
    strides[i] = n;
    overflow |= __builtin_mul_overflow(n, (int64_t)shape[i], &n);
  }
  if (overflow)
    for (int i = 0; i < ndim; i++) /* huge dimensions beside an empty one are fine */
      if (shape[i] == 0) overflow = false, n = 0;
  *size = n;
  if (overflow || n > INT64_MAX / 16) return mx_fail(MX_EVALUE, "[array] The shape %s has too many elements.", mx_shape_str(ndim, shape));
  return 0;
}

mx_array *mx_array_alloc(mx_dtype t, int ndim, const int32_t *shape, int nin, int np) {
  if (ndim > MX_MAX_NDIM) {
    mx_fail(MX_EVALUE, "[array] At most %d dimensions are supported, got %d.", MX_MAX_NDIM, ndim);
    return NULL;
  }
  mx_array *a = header_new(t, ndim, nin, np);
  if (!a) return NULL;
  for (int i = 0; i < ndim; i++) a->shape[i] = shape[i];
  if (mx_row_layout(ndim, shape, a->strides, &a->size)) {
    block_free(my_blocks(), a, a->block);
    return NULL;
  }
  return a;
}

/* The shape of x, rows without gaps. */
static inline void fill_like(mx_array *a, const mx_array *x) {
  int64_t step = 1;
  for (int i = x->ndim - 1; i >= 0; i--) {
    a->shape[i] = x->shape[i];
    a->strides[i] = step;
    step = (int64_t)((uint64_t)step * (uint64_t)x->shape[i]); /* huge ones beside an empty one */
  }
  a->size = x->size;
}

mx_array *mx_array_alloc_like(mx_dtype t, const mx_array *x, int nin) {
  mx_array *a = header_new(t, x->ndim, nin, 0);
  if (a) fill_like(a, x);
  return a;
}

static __attribute__((noinline)) mx_array *pair_slowly(mx_dtype t, const mx_array *like, uint16_t op, mx_stream stream, mx_array *x, mx_array *y) {
  uint16_t class;
  mx_array *a = block_new(block_bytes(like->ndim, 2, 0), &class);
  if (!a) return NULL;
  header_fill(a, class, t, like->ndim, 2, 0, (pair){op, stream, (x->flags | y->flags) & (MX_TRACER | MX_PLACEHOLDER), x, y});
  fill_like(a, like);
  mx_retain(x);
  mx_retain(y);
  return a;
}

/* The case that costs least to run calls nothing. */
mx_array *mx_array_pair(mx_dtype t, const mx_array *like, uint16_t op, mx_stream stream, mx_array *x, mx_array *y) {
  enum { CLASS = (sizeof(mx_array) + STEP - 1) / STEP };
  block_list *l = &alone.of[CLASS];
  free_block *b = l->first;
  if (!MX_ONE_THREAD || !b || like->ndim > 1) return pair_slowly(t, like, op, stream, x, y);
  l->first = b->next;
  l->count--;
  uint8_t flags = (x->flags | y->flags) & (MX_TRACER | MX_PLACEHOLDER);
  mx_array *a = (mx_array *)b;
  header_fill(a, CLASS, t, 1, 2, 0, (pair){op, stream, flags, x, y});
  a->ndim = like->ndim;
  a->own_dim = like->own_dim;
  a->own_stride = 1;
  a->size = like->size;
  mx_retain(x);
  mx_retain(y);
  return a;
}

static void free_outs(mx_array *a) {
  for (int i = 0; i < a->nout; i++) {
    mx_buffer_release(a->outs[i].buf);
    if (a->outs[i].failed) mx_free(a->outs[i].event);
  }
  mx_free(a->outs);
}

/* ---- results of compiled calls: who reads the addresses that a call has, and who frees what stands there, take turns ---- */

static pthread_mutex_t calls_lock = PTHREAD_MUTEX_INITIALIZER;

static bool take_unless_dying(mx_array *a) {
  int32_t n = atomic_load(&a->refs);
  while (n && !atomic_compare_exchange_weak(&a->refs, &n, n + 1)) {}
  return n;
}

void mx_call_live(mx_array *call, mx_array **live) {
  pthread_mutex_lock(&calls_lock);
  for (int i = 0; i < call->np; i++) {
    mx_array *a = (mx_array *)(uintptr_t)call->p[i];
    live[i] = a && take_unless_dying(a) ? a : NULL;
  }
  pthread_mutex_unlock(&calls_lock);
}

void mx_call_forget(mx_array *call, int64_t i) {
  pthread_mutex_lock(&calls_lock);
  call->p[i] = 0;
  pthread_mutex_unlock(&calls_lock);
}

/* What few nodes have besides inputs. */
static void free_rest(mx_array *n) {
  mx_buffer_release(n->buf);
  if (n->outs) free_outs(n);
  if (n->object) mx_object_release(n->object);
  if (atomic_load_explicit(&n->status, memory_order_relaxed) == MX_FAILED) mx_free(n->event);
}

void mx_array_destroy(mx_array *a) {
  block_lists *mine = my_blocks();
  a->walk_next = NULL;
  for (mx_array *todo = a; todo;) {
    mx_array *n = todo, **in = n->in, **end = in + n->nin;
    todo = n->walk_next;
    if (n->op == OP_pick && in < end && in[0]->op == OP_compiled) mx_call_forget(in[0], n->p[0]);
    for (; in < end; in++) {
      mx_array *x = *in;
      if (x && mx_ref_drop(&x->refs)) {
        x->walk_next = todo;
        todo = x;
      }
    }
    bool plain = !n->buf && !n->outs && !n->object && atomic_load_explicit(&n->status, memory_order_relaxed) != MX_FAILED;
    if (!plain) free_rest(n);
    block_free(mine, n, n->block);
  }
}

/* ---- leaves ---- */

mx_array *mx_array_scalar(mx_dtype t, const void *value) {
  mx_array *a = mx_array_alloc(t, 0, NULL, 0, 1);
  if (!a) return NULL;
  a->p[0] = 0;
  memcpy(a->p, value, mx_dtype_sizes[t]);
  a->data = a->p;
  atomic_store_explicit(&a->status, MX_AVAILABLE, memory_order_relaxed);
  return a;
}

typedef union number {
  uint8_t u8;
  uint16_t u16;
  uint32_t u32;
  uint64_t u64;
  int8_t i8;
  int16_t i16;
  int32_t i32;
  int64_t i64;
  mx_f16 f16;
  mx_bf16 bf16;
  float f32;
  double f64;
  mx_c64 c64;
} number;

mx_array *mx_array_int(mx_dtype t, int64_t v) {
  number n = {0};
  switch (t) {
  case MX_BOOL: n.u8 = v != 0; break;
  case MX_U8:
  case MX_I8: n.u8 = (uint8_t)v; break;
  case MX_U16:
  case MX_I16: n.u16 = (uint16_t)v; break;
  case MX_U32:
  case MX_I32: n.u32 = (uint32_t)v; break;
  case MX_U64:
  case MX_I64: n.i64 = v; break;
  default: return mx_array_float(t, (double)v);
  }
  return mx_array_scalar(t, &n);
}

mx_array *mx_array_float(mx_dtype t, double v) {
  number n = {0};
  switch (t) {
  case MX_BOOL: n.u8 = v != 0; break;
  case MX_F16: n.f16 = mx_f32_to_f16((float)v); break;
  case MX_BF16: n.bf16 = mx_f32_to_bf16((float)v); break;
  case MX_F32: n.f32 = (float)v; break;
  case MX_F64: n.f64 = v; break;
  case MX_C64: n.c64 = (float)v; break;
  case MX_U64: return mx_array_int(t, v >= 0x1p63 ? (int64_t)(uint64_t)v : (int64_t)v);
  default: return mx_array_int(t, v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN);
  }
  return mx_array_scalar(t, &n);
}

mx_array *mx_array_empty(mx_dtype t, int ndim, const int32_t *shape) {
  mx_array *a = mx_array_alloc(t, ndim, shape, 0, 0);
  if (!a) return NULL;
  if (!(a->buf = mx_buffer_new(mx_nbytes(a)))) {
    mx_release(a);
    return NULL;
  }
  a->data = a->buf->ptr;
  atomic_store_explicit(&a->status, MX_AVAILABLE, memory_order_relaxed);
  return a;
}

mx_array *mx_array_from_data(mx_dtype t, int ndim, const int32_t *shape, const void *data) {
  if (ndim == 0) return mx_array_scalar(t, data);
  mx_array *a = mx_array_empty(t, ndim, shape);
  if (a && a->size) memcpy(a->data, data, mx_nbytes(a));
  return a;
}

mx_array *mx_array_foreign(mx_dtype t, int ndim, const int32_t *shape, const int64_t *strides, void *data, size_t nbytes,
                           void (*dtor)(void *), void *payload) {
  mx_array *a = mx_array_alloc(t, ndim, shape, 0, 0);
  if (!a || !(a->buf = mx_buffer_foreign(data, nbytes, dtor, payload))) {
    if (dtor) dtor(payload);
    mx_release(a);
    return NULL;
  }
  if (strides) memcpy(a->strides, strides, (size_t)ndim * sizeof *strides);
  a->data = data;
  atomic_store_explicit(&a->status, MX_AVAILABLE, memory_order_relaxed);
  return a;
}

/* ---- facts ---- */

bool mx_is_row_contiguous(const mx_array *a) {
  int64_t want = 1;
  for (int i = a->ndim - 1; i >= 0; i--) {
    if (a->shape[i] != 1 && a->strides[i] != want) return a->size == 0;
    want *= a->shape[i];
  }
  return true;
}

bool mx_is_col_contiguous(const mx_array *a) {
  int64_t want = 1;
  for (int i = 0; i < a->ndim; i++) {
    if (a->shape[i] != 1 && a->strides[i] != want) return a->size == 0;
    want *= a->shape[i];
  }
  return true;
}

void mx_row_strides(int ndim, const int32_t *shape, int64_t *strides) {
  uint64_t n = 1; /* huge dimensions beside an empty one are fine */
  for (int i = ndim - 1; i >= 0; i--) strides[i] = (int64_t)n, n *= (uint64_t)shape[i];
}

double mx_item_f64(const mx_array *a) {
  number n = {0};
  memcpy(&n, a->data, mx_dtype_sizes[a->dtype]);
  switch ((mx_dtype)a->dtype) {
  case MX_BOOL:
  case MX_U8: return n.u8;
  case MX_U16: return n.u16;
  case MX_U32: return n.u32;
  case MX_U64: return (double)n.u64;
  case MX_I8: return n.i8;
  case MX_I16: return n.i16;
  case MX_I32: return n.i32;
  case MX_I64: return (double)n.i64;
  case MX_F16: return mx_f16_to_f32(n.f16);
  case MX_BF16: return mx_bf16_to_f32(n.bf16);
  case MX_F32: return n.f32;
  case MX_F64: return n.f64;
  case MX_C64: return crealf(n.c64);
  default: return 0;
  }
}

int64_t mx_item_i64(const mx_array *a) {
  number n = {0};
  memcpy(&n, a->data, mx_dtype_sizes[a->dtype]);
  switch ((mx_dtype)a->dtype) {
  case MX_BOOL:
  case MX_U8: return n.u8;
  case MX_U16: return n.u16;
  case MX_U32: return n.u32;
  case MX_U64:
  case MX_I64: return n.i64;
  case MX_I8: return n.i8;
  case MX_I16: return n.i16;
  case MX_I32: return n.i32;
  default: {
    double v = mx_item_f64(a);
    return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN;
  }
  }
}

int mx_list_push(mx_list *l, mx_array *a) {
  if (l->n == l->cap) {
    int cap = l->cap ? 2 * l->cap : 8;
    mx_array **at = mx_realloc(l->at, (size_t)cap * sizeof *at);
    if (!at) return mx_fail_memory();
    l->at = at;
    l->cap = cap;
  }
  l->at[l->n++] = mx_retain(a);
  return 0;
}

void mx_list_clear(mx_list *l) {
  for (int i = 0; i < l->n; i++) mx_release(l->at[i]);
  mx_free(l->at);
  *l = (mx_list){0};
}

int mx_fail_dim(const char *tag, int64_t size) {
  return mx_fail(MX_EOVERFLOW, "[%s] Shape dimension %lld is outside the supported range [-2147483648, 2147483647].", tag,
                 (long long)size);
}

const char *mx_shape_str(int ndim, const int32_t *shape) {
  static _Thread_local char ring[4][400];
  static _Thread_local int next;
  char *s = ring[next++ & 3];
  int n = snprintf(s, sizeof ring[0], "(");
  for (int i = 0; i < ndim; i++) n += snprintf(s + n, sizeof ring[0] - (size_t)n, i ? ",%d" : "%d", shape[i]);
  snprintf(s + n, sizeof ring[0] - (size_t)n, ")");
  return s;
}
