/* The random generator's state: one key a thread, from the clock until it is seeded. Each draw splits the key: the first half
 * stays, the second is used. A known key is split here, at once; one that is still to be computed (a compiled function's) by
 * the graph. */
#include <pthread.h>
#include <time.h>

#include "core/threefry.h"
#include "graph/build.h"
#include "graph/recorded.h"

static _Thread_local mx_array *state;

/* A thread's state goes with it. */
static pthread_key_t at_exit;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void drop_state(void *unused) {
  (void)unused;
  mx_set(&state, NULL);
}
static void make_key(void) { pthread_key_create(&at_exit, drop_state); }

/* Takes the reference to key. */
static void set_state(mx_array *key) {
  pthread_once(&once, make_key);
  if (!state) pthread_setspecific(at_exit, &state);
  mx_set(&state, key);
}

static mx_array *key_of(uint64_t seed) {
  uint32_t words[2] = {(uint32_t)(seed >> 32), (uint32_t)seed};
  return mx_array_from_data(MX_U32, 1, (int32_t[]){2}, words);
}

mx_array *mx_random_key(mx_scope *s, uint64_t seed) { return mx_own(s, key_of(seed)); }

int mx_random_seed(uint64_t seed) {
  mx_array *k = key_of(seed);
  if (!k) return mx_error_kind();
  set_state(k);
  return 0;
}

mx_array *mx_random_state(void) {
  if (!state) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    mx_random_seed((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
  }
  return state;
}

int mx_random_set_state(mx_array *key) {
  if (!key || key->dtype != MX_U32 || key->ndim != 1 || key->shape[0] != 2)
    return mx_fail(MX_EVALUE, "[random] The state must be a key: uint32 of shape (2).");
  set_state(mx_retain(key));
  return 0;
}

mx_array *mx_random_next(mx_scope *s) {
  mx_array *key = mx_random_state();
  if (!key) return mx_scope_error(s, mx_error_kind());
  if (mx_is_available(key) && !(key->flags & MX_PLACEHOLDER)) {
    const uint32_t *k = key->data;
    int64_t stride = key->strides[0];
    uint32_t w[4] = {0, 1, 2, 3}; /* counters (0, 2) and (1, 3) */
    mx_threefry(k[0], k[stride], &w[0], &w[2]);
    mx_threefry(k[0], k[stride], &w[1], &w[3]);
    mx_array *rest = mx_array_from_data(MX_U32, 1, (int32_t[]){2}, w),
             *drawn = mx_array_from_data(MX_U32, 1, (int32_t[]){2}, w + 2);
    if (!rest || !drawn) {
      mx_release(rest);
      mx_release(drawn);
      return mx_scope_error(s, mx_error_kind());
    }
    set_state(rest);
    return mx_own(s, drawn);
  }
  mx_array *halves[2] = {NULL, NULL};
  mx_list out = {0};
  if (mx_any_shape_wanted && mx_record(s, mx_recordable_named("random_split"), &(mx_argument){.array = key}, &out)) {
    for (int i = 0; i < 2 && out.n == 2; i++) halves[i] = mx_own(s, mx_retain(out.at[i]));
    mx_list_clear(&out);
  } else if (mx_random_split(s, halves, key)) return NULL;
  if (s->rc || !halves[0] || !halves[1]) return NULL;
  set_state(mx_retain(halves[0]));
  return halves[1];
}
