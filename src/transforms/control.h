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

/* ---- nodes as data, for files ---- */

struct mx_body;
enum { MX_CONTROL_NUMBERS = 4 };
/* What a node is besides its inputs. Numbers of a loop: ncarry, nx, length, 1 if in reverse + 2 if with checkpoints; of a while_loop and a cond
 * none. Graphs: one; of a cond those if false and if true. A loop's way back is not among them: whoever needs one makes it again. */
typedef struct mx_control_parts {
  int nnumber, nbody;
  int64_t number[MX_CONTROL_NUMBERS];
  struct mx_body *body[2]; /* borrowed */
} mx_control_parts;
void mx_control_take_apart(const mx_array *node, mx_control_parts *parts);
/* How many numbers and graphs a node of this op has. */
void mx_control_count(int op, mx_control_parts *parts);
/* The tuple node of op over inputs; the parts are trusted in nothing. NULL: an error. */
mx_array *mx_control_put_together(mx_scope *s, int op, const mx_control_parts *parts, int nin, mx_array *const *in);
/* A node in a graph of this node that is good for the traced shapes only, or NULL. */
const mx_array *mx_control_shape_bound(const mx_array *node);
/* The part of each op: in the file of the op. */
void mx_loop_take_apart(const mx_array *node, mx_control_parts *parts);
void mx_while_take_apart(const mx_array *node, mx_control_parts *parts);
void mx_cond_take_apart(const mx_array *node, mx_control_parts *parts);
mx_array *mx_loop_put_together(mx_scope *s, const mx_control_parts *parts, int nin, mx_array *const *in);
mx_array *mx_while_put_together(mx_scope *s, const mx_control_parts *parts, int nin, mx_array *const *in);
mx_array *mx_cond_put_together(mx_scope *s, const mx_control_parts *parts, int nin, mx_array *const *in);

#endif
