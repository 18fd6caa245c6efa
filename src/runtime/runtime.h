/* Running graphs: eval plans and runs, streams order, the pool works. mx_eval and mx_async_eval are declared in graph/graph.h. */
#ifndef MX_RUNTIME_H
#define MX_RUNTIME_H

#include "core/array.h"

/* Waits until a scheduled array is computed; the error of its computation. Unscheduled arrays are evaluated. */
int mx_wait(mx_array *a);
/* Waits for all work queued on a stream. */
int mx_synchronize(mx_stream s);

/* For tests and the profiler. */
typedef struct mx_plan_stats {
  uint64_t evals, plans_made, plan_hits, programs_run, kernels_run, donations;
  size_t cache_bytes;
} mx_plan_stats;
void mx_get_plan_stats(mx_plan_stats *st);
void mx_clear_plans(void);

#endif
