/* Array data: a caching allocator.
 *
 * Sizes are rounded up to classes, four to a power of two, so that what is freed fits what is asked next and the cache does not
 * grow with the number of different shapes. A freed block goes to the list of its class; when the cache is above its limit the
 * largest blocks are given back first. Blocks of 2 MiB and more are aligned to and advised for huge pages: the first touch of a
 * fresh one costs half as much. Small blocks (up to 4 KiB) are kept in a per-thread list that takes no lock. */
#include "core/buffer.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/error.h"

enum { CLASSES = 64 * 4, HUGE = 2 << 20, SMALL_MAX = 4096, SMALL_CLASSES = 64, SMALL_KEEP = MX_KEEP_FREED * 64 };

typedef struct block { struct block *next; } block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static block *lists[CLASSES];
static _Atomic size_t active, peak, cached;
static size_t cache_limit, memory_limit; /* 0: not yet set */

typedef struct small_cache {
  block *list[SMALL_CLASSES];
  uint8_t count[SMALL_CLASSES];
  mx_buffer *headers;
  int nheaders;
  bool registered;
} small_cache;
static _Thread_local small_cache small;
static pthread_key_t small_key;
static pthread_once_t small_once = PTHREAD_ONCE_INIT;

/* The class that holds `size` and its exact size. */
static int class_of(size_t size, size_t *rounded) {
  if (size < 64) size = 64;
  int top = 63 - __builtin_clzll(size);
  size_t step = (size_t)1 << (top - 2), up = (size + step - 1) & ~(step - 1);
  if (up >= HUGE) up = (up + 4095) & ~(size_t)4095;
  *rounded = up;
  top = 63 - __builtin_clzll(up);
  return top * 4 + (int)((up >> (top - 2)) & 3);
}

static size_t total_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? (size_t)pages * (size_t)size : (size_t)8 << 30;
}

static void set_limits(void) {
  if (!memory_limit) memory_limit = total_memory() / 20 * 19;
  if (!cache_limit) cache_limit = MX_KEEP_FREED ? total_memory() / 4 : 1;
}

static void small_drain(void *p) {
  small_cache *c = p;
  for (int i = 0; i < SMALL_CLASSES; i++)
    for (block *b = c->list[i], *next; b; b = next) next = b->next, free(b);
  for (mx_buffer *h = c->headers, *next; h; h = next) next = h->payload, free(h);
  *c = (small_cache){0};
}
static void small_make_key(void) { pthread_key_create(&small_key, small_drain); }
static void small_register(small_cache *mine) {
  pthread_once(&small_once, small_make_key);
  pthread_setspecific(small_key, mine);
  mine->registered = true;
}

static void count_in(size_t n) {
  size_t now = atomic_fetch_add_explicit(&active, n, memory_order_relaxed) + n;
  size_t top = atomic_load_explicit(&peak, memory_order_relaxed);
  while (now > top && !atomic_compare_exchange_weak_explicit(&peak, &top, now, memory_order_relaxed, memory_order_relaxed)) {}
}

/* Gives cached blocks back to the system, the largest first, until the cache holds at most `keep` bytes. Under the lock. */
static void trim(size_t keep) {
  for (int i = CLASSES - 1; i >= 0 && cached > keep; i--) {
    size_t size = ((size_t)(4 + (i & 3))) << (i / 4 - 2);
    if (i < 8) continue;
    while (lists[i] && cached > keep) {
      block *b = lists[i];
      lists[i] = b->next;
      cached -= size;
      free(b);
    }
  }
}

static void *fresh(size_t size) {
  void *p = NULL;
  if (posix_memalign(&p, size >= HUGE ? HUGE : 64, size)) return NULL;
  if (size >= HUGE) madvise(p, size, MADV_HUGEPAGE);
  return p;
}

/* `mine`: this thread's small_cache, found once a call. */
static mx_buffer *header_new(small_cache *mine) {
  mx_buffer *b = mine->headers;
  if (!b) return mx_malloc(sizeof *b);
  mine->headers = b->payload;
  mine->nheaders--;
  return b;
}

static void header_free(small_cache *mine, mx_buffer *b) {
  if (mine->nheaders >= MX_KEEP_FREED * 256) {
    mx_free(b);
    return;
  }
  if (!mine->registered) small_register(mine);
  b->payload = mine->headers;
  mine->headers = b;
  mine->nheaders++;
}

mx_buffer *mx_buffer_new(size_t size) {
  size_t rounded;
  small_cache *mine = &small;
  mx_buffer *b = NULL;
  if (size > SIZE_MAX / 2) goto no_memory;
  int c = class_of(size, &rounded);
  if (!(b = header_new(mine))) goto no_memory;
  void *p = NULL;
  if (rounded <= SMALL_MAX && mine->list[c]) {
    block *k = mine->list[c];
    mine->list[c] = k->next;
    mine->count[c]--;
    p = k;
  } else {
    pthread_mutex_lock(&lock);
    set_limits();
    if (lists[c]) {
      p = lists[c];
      lists[c] = ((block *)p)->next;
      cached -= rounded;
    } else if (active + cached + rounded > memory_limit) {
      trim(0);
    }
    bool over = active + rounded > memory_limit;
    pthread_mutex_unlock(&lock);
    if (over && !p) goto over_limit;
    if (!p) { /* a switch of tests may refuse it */
      void *probe = mx_malloc(1);
      if (!probe) goto no_memory;
      mx_free(probe);
      if (!(p = fresh(rounded))) {
        mx_memory_clear_cache();
        if (!(p = fresh(rounded))) goto no_memory;
      }
    }
  }
  count_in(rounded);
  *b = (mx_buffer){.refs = 1, .class = c, .ptr = p, .size = rounded};
  return b;
over_limit:
  header_free(mine, b);
  mx_fail(MX_EMEMORY, "[malloc] Unable to allocate %zu bytes: %zu are in use and the memory limit is %zu.", size, mx_memory_active(),
          mx_memory_limit());
  return NULL;
no_memory:
  if (b) header_free(mine, b);
  mx_fail(MX_EMEMORY, "[malloc] Unable to allocate %zu bytes.", size);
  return NULL;
}

static void foreign_nothing(void *p) { (void)p; }

mx_buffer *mx_buffer_foreign(void *ptr, size_t size, void (*dtor)(void *), void *payload) {
  mx_buffer *b = header_new(&small);
  if (!b) {
    mx_fail_memory();
    return NULL;
  }
  *b = (mx_buffer){.refs = 1, .ptr = ptr, .size = size, .dtor = dtor ? dtor : foreign_nothing, .payload = payload};
  return b;
}

void mx_buffer_destroy(mx_buffer *b) {
  if (b->dtor) {
    if (b->dtor != foreign_nothing) b->dtor(b->payload);
    header_free(&small, b);
    return;
  }
  small_cache *mine = &small;
  size_t rounded = b->size;
  int c = b->class;
  block *k = b->ptr;
  header_free(mine, b);
  atomic_fetch_sub_explicit(&active, rounded, memory_order_relaxed);
  if (rounded <= SMALL_MAX && mine->count[c] < SMALL_KEEP) {
    if (!mine->registered) small_register(mine);
    k->next = mine->list[c];
    mine->list[c] = k;
    mine->count[c]++;
    return;
  }
  pthread_mutex_lock(&lock);
  set_limits();
  k->next = lists[c];
  lists[c] = k;
  cached += rounded;
  if (cached > cache_limit) trim(cache_limit);
  pthread_mutex_unlock(&lock);
}

size_t mx_memory_active(void) { return active; }
size_t mx_memory_peak(void) { return peak; }
size_t mx_memory_cached(void) { return cached; }
void mx_memory_reset_peak(void) { atomic_store(&peak, 0); }

void mx_memory_clear_cache(void) {
  pthread_mutex_lock(&lock);
  trim(0);
  pthread_mutex_unlock(&lock);
}

size_t mx_memory_limit(void) {
  pthread_mutex_lock(&lock);
  set_limits();
  size_t old = memory_limit;
  pthread_mutex_unlock(&lock);
  return old;
}

size_t mx_memory_set_limit(size_t bytes) {
  pthread_mutex_lock(&lock);
  set_limits();
  size_t old = memory_limit;
  memory_limit = bytes ? bytes : 1;
  pthread_mutex_unlock(&lock);
  return old;
}

size_t mx_memory_set_cache_limit(size_t bytes) {
  pthread_mutex_lock(&lock);
  set_limits();
  size_t old = cache_limit;
  cache_limit = bytes ? bytes : 1;
  trim(cache_limit);
  pthread_mutex_unlock(&lock);
  return old;
}
