/* The one pool of threads. Declared here so that kernels can use it; defined by runtime/pool.c. */
#ifndef MX_CORE_PARALLEL_H
#define MX_CORE_PARALLEL_H

#include <stdint.h>

/* Calls fn(ctx, begin, end) for consecutive ranges of at most `grain` items that cover [0, n), on all threads of the pool,
 * and returns when all are done. The ranges depend on n and grain only, never on the number of threads: a kernel that
 * works range by range gives the same bits with any number of threads. One range runs on the caller at once.
 * May be nested (an inner call runs on its own thread). */
void mx_parallel(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx);
/* The same for large arrays that are gone through once: a thread takes ranges that follow one another as long as there are some, so that it may
 * fetch what comes next; then it helps others. */
void mx_parallel_runs(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx);
int mx_num_threads(void);

/* The calling thread works for other threads: while none of them waits, it uses one CPU less. */
void mx_parallel_background(void);
/* by 1: the calling thread begins to wait for such work; by -1: it ends. */
void mx_parallel_waiting(int by);

#endif
