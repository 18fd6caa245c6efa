/* The pool: workers that spin a little, then sleep on a futex.
 *
 * One job runs at a time; its chunks are taken by compare-and-swap on `ticket` (epoch << 32 | next chunk), so that a worker that
 * wakes late takes nothing from a later job. The caller takes chunks too and leaves when all are done. A call made while the
 * pool is busy, or from inside a job, runs its chunks in order on its own thread: same ranges, same bits. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/parallel.h"

enum { MAX_THREADS = 256, SPINS = 4000 };

typedef void (*range_fn)(void *, int64_t, int64_t);

static struct {
  pthread_mutex_t busy;         /* held by the caller whose job runs */
  _Atomic int threads;          /* workers + 1; 0: not yet started */
  _Alignas(64) _Atomic uint64_t ticket;
  _Atomic uint32_t epoch;       /* the futex word: low half of the job's number */
  _Alignas(64) _Atomic int64_t done;
  _Atomic(range_fn) fn;
  _Atomic(void *) ctx;
  _Atomic int64_t n, grain;
  _Atomic uint32_t chunks;
  _Alignas(64) _Atomic int sleepers;
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER};

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool inside;

static void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void sleep_on(_Atomic uint32_t *word, uint32_t seen) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0); }
static void wake_all(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0); }

static void take_chunks(uint32_t epoch) {
  range_fn fn = atomic_load_explicit(&pool.fn, memory_order_relaxed);
  void *ctx = atomic_load_explicit(&pool.ctx, memory_order_relaxed);
  int64_t n = atomic_load_explicit(&pool.n, memory_order_relaxed), grain = atomic_load_explicit(&pool.grain, memory_order_relaxed);
  uint32_t chunks = atomic_load_explicit(&pool.chunks, memory_order_relaxed);
  uint64_t t = atomic_load_explicit(&pool.ticket, memory_order_acquire);
  for (;;) {
    uint32_t c = (uint32_t)t;
    if ((uint32_t)(t >> 32) != epoch || c >= chunks) return;
    if (!atomic_compare_exchange_weak_explicit(&pool.ticket, &t, t + 1, memory_order_acq_rel, memory_order_acquire)) continue;
    int64_t begin = c * grain, end = begin + grain < n ? begin + grain : n;
    fn(ctx, begin, end);
    atomic_fetch_add_explicit(&pool.done, 1, memory_order_acq_rel);
    t = atomic_load_explicit(&pool.ticket, memory_order_acquire);
  }
}

static void *worker(void *unused) {
  (void)unused;
  inside = true;
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = seen;
    for (int i = 0; i < SPINS && now == seen; i++) {
      pause_cpu();
      now = atomic_load_explicit(&pool.epoch, memory_order_acquire);
    }
    if (now == seen) {
      atomic_fetch_add(&pool.sleepers, 1);
      while ((now = atomic_load(&pool.epoch)) == seen) sleep_on(&pool.epoch, seen);
      atomic_fetch_sub(&pool.sleepers, 1);
    }
    seen = now;
    take_chunks(now);
  }
  return NULL;
}

/* CPUs by cgroup quota (v2, then v1), rounded up; 0 when there is none. */
static int cgroup_cpus(void) {
  long long quota = -1, period = 0;
  FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
  if (f) {
    if (fscanf(f, "%lld %lld", &quota, &period) != 2) quota = -1;
    fclose(f);
  } else if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"))) {
    if (fscanf(f, "%lld", &quota) != 1) quota = -1;
    fclose(f);
    if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r"))) {
      if (fscanf(f, "%lld", &period) != 1) period = 0;
      fclose(f);
    }
  }
  return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

static int wanted_threads(void) {
  const char *e = getenv("MLX_NUM_THREADS");
  int n = e ? atoi(e) : 0;
  if (n <= 0) {
    cpu_set_t set;
    n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    int c = cgroup_cpus();
    if (c && c < n) n = c;
  }
  return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

/* A forked child has none of the workers: it starts new ones at its first job. */
static void after_fork(void) {
  pthread_mutex_init(&pool.busy, NULL);
  pthread_mutex_init(&start_lock, NULL);
  pool.threads = 0;
  pool.sleepers = 0;
}

static int start(void) {
  static bool registered;
  pthread_mutex_lock(&start_lock);
  int n = pool.threads;
  if (!n) {
    if (!registered) pthread_atfork(NULL, NULL, after_fork), registered = true;
    n = wanted_threads();
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int made = 1;
    for (pthread_t t; made < n && pthread_create(&t, &attr, worker, NULL) == 0; made++) {}
    pthread_attr_destroy(&attr);
    atomic_store(&pool.threads, n = made);
  }
  pthread_mutex_unlock(&start_lock);
  return n;
}

int mx_num_threads(void) {
  int n = atomic_load_explicit(&pool.threads, memory_order_acquire);
  return n ? n : start();
}

static void run_alone(int64_t n, int64_t grain, range_fn fn, void *ctx) {
  for (int64_t b = 0; b < n; b += grain) fn(ctx, b, b + grain < n ? b + grain : n);
}

void mx_parallel(int64_t n, int64_t grain, range_fn fn, void *ctx) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  int64_t chunks = (n + grain - 1) / grain;
  if (chunks == 1 || inside || chunks > UINT32_MAX / 2 || mx_num_threads() == 1 || pthread_mutex_trylock(&pool.busy)) {
    run_alone(n, grain, fn, ctx);
    return;
  }
  atomic_store_explicit(&pool.fn, fn, memory_order_relaxed);
  atomic_store_explicit(&pool.ctx, ctx, memory_order_relaxed);
  atomic_store_explicit(&pool.n, n, memory_order_relaxed);
  atomic_store_explicit(&pool.grain, grain, memory_order_relaxed);
  atomic_store_explicit(&pool.chunks, (uint32_t)chunks, memory_order_relaxed);
  atomic_store_explicit(&pool.done, 0, memory_order_relaxed);
  uint32_t epoch = atomic_load_explicit(&pool.epoch, memory_order_relaxed) + 1;
  atomic_store_explicit(&pool.ticket, (uint64_t)epoch << 32, memory_order_release);
  atomic_store(&pool.epoch, epoch);
  if (atomic_load(&pool.sleepers)) wake_all(&pool.epoch);
  inside = true;
  take_chunks(epoch);
  inside = false;
  for (int i = 0; atomic_load_explicit(&pool.done, memory_order_acquire) < chunks; i++) {
    if (i < SPINS) pause_cpu();
    else sched_yield();
  }
  pthread_mutex_unlock(&pool.busy);
}
