/* The pool: workers that spin a little, then sleep on a futex.
 *
 * One job runs at a time; its chunks are taken by compare-and-swap on `ticket` (epoch << 32 | next chunk), so that a worker that
 * wakes late takes nothing from a later job. The ticket gets a job's epoch before the job's function, context and sizes are written
 * (CLOSED: nothing to take yet), so that a worker that has read any of these finds the epoch changed, too, and leaves; a worker that is
 * called to a job that is still closed leaves before it reads them. The caller
 * takes chunks too and leaves when all are done. A call made while the pool is busy, or from inside a job, runs its chunks in order
 * on its own thread: same ranges, same bits.
 *
 * A thread that is woken often lands on the CPU of the one that wakes it, and waits there behind it for milliseconds. So before sleepers
 * are woken, the caller's CPU is taken from the set that they may run on; once awake they take the whole set back. */
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

enum { MAX_THREADS = 256, SPINS = 4000, KEPT_OFF = 8 /* more workers find idle CPUs by themselves */ };
#define CLOSED UINT32_MAX

typedef void (*range_fn)(void *, int64_t, int64_t);

static struct {
  pthread_mutex_t busy;         /* held by the caller whose job runs */
  _Atomic int threads;          /* workers + 1; 0: not yet started */
  _Alignas(64) _Atomic uint64_t ticket;
  _Atomic uint32_t epoch;       /* the futex word: the number of the latest job that workers were called to */
  _Atomic uint32_t helpers;     /* the first so many workers */
  _Atomic int cpu;              /* where its caller runs */
  _Alignas(64) _Atomic int64_t done;
  _Atomic(range_fn) fn;
  _Atomic(void *) ctx;
  _Atomic int64_t n, grain;
  _Atomic uint32_t chunks;
  _Alignas(64) _Atomic int sleepers;
  _Atomic int tid[KEPT_OFF];    /* of the first workers while they sleep, else 0 */
  _Atomic bool moved[KEPT_OFF]; /* its set of CPUs was made smaller; it takes this one back: */
  cpu_set_t cpus[KEPT_OFF];
  _Atomic bool moving;          /* one thread at a time does that */
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER};

/* Threads that wait for work of streams. While there is none, the one that gave a stream its work is likely to be busy with the next: then
 * the stream's thread leaves it a CPU. Its job is published all the same, and whoever begins to wait calls the worker that was left out. */
static _Atomic int waiting;
static _Thread_local bool background;

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
  uint64_t t = atomic_load_explicit(&pool.ticket, memory_order_acquire);
  if ((uint32_t)(t >> 32) != epoch || (uint32_t)t == CLOSED) return; /* what is read next belongs to the job, or to a later one */
  range_fn fn = atomic_load_explicit(&pool.fn, memory_order_acquire);
  void *ctx = atomic_load_explicit(&pool.ctx, memory_order_acquire);
  int64_t n = atomic_load_explicit(&pool.n, memory_order_acquire), grain = atomic_load_explicit(&pool.grain, memory_order_acquire);
  uint32_t chunks = atomic_load_explicit(&pool.chunks, memory_order_acquire);
  t = atomic_load_explicit(&pool.ticket, memory_order_acquire);
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

/* Keeps worker i, which sleeps, off the CPU of the caller. It may wake meanwhile: then it takes its set back before it sleeps again. */
static void keep_off(int i, int cpu) {
  int tid = atomic_load(&pool.tid[i]);
  cpu_set_t all, others;
  if (!tid || atomic_load(&pool.moved[i]) || sched_getaffinity(tid, sizeof all, &all) || !CPU_ISSET(cpu, &all)) return;
  pool.cpus[i] = others = all;
  CPU_CLR(cpu, &others);
  if (CPU_COUNT(&others) && !sched_setaffinity(tid, sizeof others, &others)) atomic_store(&pool.moved[i], true);
}
static void take_back(int i) {
  if (i < KEPT_OFF && atomic_load(&pool.moved[i])) {
    sched_setaffinity(0, sizeof pool.cpus[i], &pool.cpus[i]);
    atomic_store(&pool.moved[i], false);
  }
}

/* Calls the workers to job `epoch`, whose caller runs on `cpu`. */
static void call_workers(uint32_t epoch, int cpu) {
  atomic_store(&pool.epoch, epoch);
  if (!atomic_load(&pool.sleepers)) return;
  int n = atomic_load_explicit(&pool.threads, memory_order_relaxed) - 1;
  if (cpu >= 0 && n <= KEPT_OFF && !atomic_exchange(&pool.moving, true)) {
    for (int i = 0; i < n; i++) keep_off(i, cpu);
    atomic_store(&pool.moving, false);
  }
  wake_all(&pool.epoch);
}

void mx_parallel_background(void) { background = true; }

void mx_parallel_waiting(int by) {
  atomic_fetch_add(&waiting, by);
  uint32_t all = (uint32_t)atomic_load(&pool.threads) - 1;
  if (by < 0 || (int32_t)all <= 0 || atomic_load(&pool.helpers) == all) return;
  /* Should the next job begin meanwhile, its call may be lost: its caller does it all. One that is just beginning calls by itself. */
  atomic_store(&pool.helpers, all);
  uint64_t t = atomic_load(&pool.ticket);
  if ((uint32_t)t != CLOSED) call_workers((uint32_t)(t >> 32), atomic_load(&pool.cpu));
}

static void *worker(void *at) {
  int me = (int)(intptr_t)at, tid = (int)syscall(SYS_gettid);
  inside = true;
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = seen;
    /* one that the jobs do without leaves its CPU at once to the thread that needs it */
    for (int i = 0; i < SPINS && now == seen && (uint32_t)me < atomic_load_explicit(&pool.helpers, memory_order_relaxed); i++) {
      pause_cpu();
      now = atomic_load_explicit(&pool.epoch, memory_order_acquire);
    }
    if (now == seen) {
      take_back(me);
      if (me < KEPT_OFF) atomic_store(&pool.tid[me], tid);
      atomic_fetch_add(&pool.sleepers, 1);
      while ((now = atomic_load(&pool.epoch)) == seen) sleep_on(&pool.epoch, seen);
      atomic_fetch_sub(&pool.sleepers, 1);
      if (me < KEPT_OFF) atomic_store(&pool.tid[me], 0);
      take_back(me);
    }
    seen = now;
    if ((uint32_t)me < atomic_load(&pool.helpers)) take_chunks(now);
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
  pool.moving = false;
  for (int i = 0; i < KEPT_OFF; i++) {
    pool.tid[i] = 0;
    pool.moved[i] = false;
  }
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
    for (pthread_t t; made < n && pthread_create(&t, &attr, worker, (void *)(intptr_t)(made - 1)) == 0; made++) {}
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
  uint32_t epoch = (uint32_t)(atomic_load_explicit(&pool.ticket, memory_order_relaxed) >> 32) + 1;
  atomic_store_explicit(&pool.ticket, (uint64_t)epoch << 32 | CLOSED, memory_order_relaxed);
  atomic_store_explicit(&pool.fn, fn, memory_order_release);
  atomic_store_explicit(&pool.ctx, ctx, memory_order_release);
  atomic_store_explicit(&pool.n, n, memory_order_release);
  atomic_store_explicit(&pool.grain, grain, memory_order_release);
  atomic_store_explicit(&pool.chunks, (uint32_t)chunks, memory_order_release);
  atomic_store_explicit(&pool.done, 0, memory_order_release);
  uint32_t helpers = (uint32_t)pool.threads - 1 - (background && !atomic_load(&waiting));
  int cpu = sched_getcpu();
  atomic_store_explicit(&pool.cpu, cpu, memory_order_relaxed);
  atomic_store(&pool.helpers, helpers);
  atomic_store(&pool.ticket, (uint64_t)epoch << 32);
  if (helpers) call_workers(epoch, cpu);
  inside = true;
  take_chunks(epoch);
  inside = false;
  for (int i = 0; atomic_load_explicit(&pool.done, memory_order_acquire) < chunks; i++) {
    if (i < SPINS) pause_cpu();
    else sched_yield();
  }
  pthread_mutex_unlock(&pool.busy);
}

/* ---- ranges in runs ---- */

enum { MOST_RUNS = 64 };

typedef struct runs {
  range_fn fn;
  void *ctx;
  int64_t n, grain, ranges, each; /* each: ranges of a run */
  int count;
  struct {
    _Alignas(64) _Atomic int64_t next;
  } run[MOST_RUNS];
} runs;

/* All that is left, from run `first` on. */
static void take_runs(void *ctx, int64_t first, int64_t end) {
  (void)end;
  runs *r = ctx;
  for (int k = 0; k < r->count; k++) {
    int at = (int)((first + k) % r->count);
    int64_t stop = (at + 1) * r->each < r->ranges ? (at + 1) * r->each : r->ranges, i;
    while ((i = atomic_fetch_add_explicit(&r->run[at].next, 1, memory_order_relaxed)) < stop) {
      int64_t begin = i * r->grain;
      r->fn(r->ctx, begin, begin + r->grain < r->n ? begin + r->grain : r->n);
    }
  }
}

void mx_parallel_runs(int64_t n, int64_t grain, range_fn fn, void *ctx) {
  if (grain < 1) grain = 1;
  int threads = mx_num_threads();
  runs r; /* not cleared: it is large */
  r.ranges = (n + grain - 1) / grain;
  r.count = threads < MOST_RUNS ? threads : MOST_RUNS;
  if (inside || r.count == 1 || r.ranges <= r.count) {
    mx_parallel(n, grain, fn, ctx);
    return;
  }
  r.fn = fn, r.ctx = ctx, r.n = n, r.grain = grain;
  r.each = (r.ranges + r.count - 1) / r.count;
  for (int i = 0; i < r.count; i++) atomic_init(&r.run[i].next, i * r.each);
  mx_parallel(threads, 1, take_runs, &r);
}
