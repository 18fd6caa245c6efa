/* Control flow: functions that build one node which runs graphs of its own. */
#ifndef MX_CONTROL_H
#define MX_CONTROL_H

#include "core/closure.h"
#include "graph/graph.h"

/* f: (carry..., elements...) -> (carry..., results...), called for each index of the first axes of xs. length < 0: that of xs. Gives the last
 * carry and, in ys, the results stacked. checkpoint: gradients compute what they need again instead of keeping it. */
int mx_scan_loop(mx_closure *f, int ncarry, mx_array *const *init, int nx, mx_array *const *xs, int64_t length, bool reverse, bool checkpoint,
                 mx_list *carry, mx_list *ys);
/* body: carry -> carry, while condition: carry -> one boolean. */
int mx_while_loop(mx_closure *condition, mx_closure *body, int n, mx_array *const *init, mx_list *res);
/* One of two functions of the operands. */
int mx_cond(mx_array *predicate, mx_closure *if_true, mx_closure *if_false, int n, mx_array *const *operands, mx_list *res);
/* All prefixes of the elements along an axis, combined by an associative f: (a..., b...) -> results like a. */
int mx_associative_scan(mx_closure *f, int n, mx_array *const *xs, bool reverse, int axis, mx_list *res);

#endif
