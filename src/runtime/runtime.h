/* Running graphs: eval plans and runs, streams order, the pool works. mx_eval and mx_async_eval are declared in graph/graph.h. */
#ifndef MX_RUNTIME_H
#define MX_RUNTIME_H

#include "core/array.h"

/* Waits until a scheduled array is computed; the error of its computation. Unscheduled arrays are evaluated. */
int mx_wait(mx_array *a);
/* Waits for all work queued on a stream. */
int mx_synchronize(mx_stream s);

/* Called around every wait for another thread's work, without a lock held: what before gives goes to after. A kernel that calls back into an
 * interpreter would else wait for the lock of a thread that waits for it. Set once, before there is work. */
void mx_set_wait_hooks(void *(*before)(void), void (*after)(void *));
void *mx_wait_begin(void);
void mx_wait_end(void *state);

/* While a thread holds the graph, no node is claimed for evaluation: the inputs of nodes that are not SCHEDULED stay as they are.
 * Nothing that could wait or call back is done meanwhile. */
void mx_graph_hold(void);
void mx_graph_let_go(void);

/* For tests and the profiler. */
typedef struct mx_plan_stats {
  uint64_t evals, plans_made, plan_hits, programs_run, kernels_run, donations;
  size_t cache_bytes;
} mx_plan_stats;
void mx_get_plan_stats(mx_plan_stats *st);
void mx_clear_plans(void);

#endif
