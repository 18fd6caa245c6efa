/* Compiled calls: a replay with what its calls need. A call whose arguments are as they were traced does not build the graph of the replay:
 * one node stands for it, which runs a kept routine if all of its results are wanted at once, and becomes the graph if something else is. */
#ifndef MX_CALL_H
#define MX_CALL_H

#include "transforms/replay.h"

typedef struct mx_callee mx_callee;

/* Takes r, also when it fails (NULL). */
mx_callee *mx_callee_new(mx_replay *r);
mx_replay *mx_callee_replay(const mx_callee *c);
static inline mx_object *mx_callee_object(mx_callee *c) { return (mx_object *)c; }
/* Results over inputs with the dtypes and shapes of the trace, pushed on out. */
int mx_callee_call(mx_callee *c, mx_array *const *in, mx_list *out);

#endif
