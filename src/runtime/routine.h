/* A routine is a graph that is planned once and run again and again, the body of a loop: its nodes stay, their data comes and goes. What a
 * value is read by last is known, so memory goes from step to step of a run, and from one run to the next, without being asked for. */
#ifndef MX_RUNTIME_ROUTINE_H
#define MX_RUNTIME_ROUTINE_H

#include "core/array.h"

typedef struct mx_routine mx_routine;

/* A leaf to build such a graph over: it has data only while the routine runs. */
mx_array *mx_routine_leaf(mx_dtype t, int ndim, const int32_t *shape);
/* The graph from `in` to `out`, which nobody else holds; what else it reads is available. The first `fresh` inputs are given anew for each run,
 * the others keep their data. */
mx_routine *mx_routine_new(int nin, mx_array *const *in, int fresh, int nout, mx_array *const *out);
void mx_routine_free(mx_routine *r);
/* Whether it still runs as it would be planned now: it has not failed, and debug_nans has not been turned on or off since. */
bool mx_routine_fits(const mx_routine *r);

/* The data of input i: takes buf, which keeps data alive and may be given to results if nobody else holds it. */
void mx_routine_give(mx_routine *r, int i, void *data, mx_buffer *buf, const int64_t *strides);
/* Whether x has failed: then so has input i, and this run is the routine's last. */
bool mx_routine_fail_input(mx_routine *r, int i, const mx_array *x);
/* Result i of the next run shall be written there, row by row; borrows buf. False: it cannot be, and has to be copied out. */
bool mx_routine_place(mx_routine *r, int i, void *data, mx_buffer *buf);
/* The error of the first step that failed; what does not depend on such a step is computed all the same. Then it is not run again. */
int mx_routine_run(mx_routine *r);
/* The error of result i, or 0. */
int mx_routine_failure(const mx_routine *r, int i);
/* With data until the results are fed, or the routine rests. */
const mx_array *mx_routine_result(const mx_routine *r, int i);
/* What input i has now. */
const mx_array *mx_routine_input(const mx_routine *r, int i);
/* Result i, copied row by row to where it belongs, unless it is there. */
int mx_routine_copy_out(mx_routine *r, int i, void *data);
/* The first n results become the first n inputs, all at once. The other results lose their data. */
void mx_routine_feed(mx_routine *r, int n);
/* Lets go of all data. */
void mx_routine_rest(mx_routine *r);

#endif
