/* Functions with rules of their own. The node OP_custom is a tuple whose inputs are the primals, then the outputs that the function gave
 * for them, and whose object is an mx_custom; its results are those outputs. */
#ifndef MX_CUSTOM_H
#define MX_CUSTOM_H

#include "transforms/transforms.h"

typedef struct mx_custom {
  mx_object base;
  mx_custom_rules rules;
} mx_custom;

/* Takes rules->payload: dtor is called also when this fails. */
mx_custom *mx_custom_new(const mx_custom_rules *rules);

/* The results of the tuple node that ties outputs to primals, pushed on out. */
int mx_custom_tie(mx_custom *c, int n, mx_array *const *primals, const mx_list *outputs, mx_list *out);
/* Whether a transform that is going on may ask for rules: else there is no use in a node that carries some. */
bool mx_traced(int n, mx_array *const *in);

/* How many inputs a sweep follows: where the node has a rule of its own, the graph behind its outputs does not count. */
int mx_custom_follow_vjp(const mx_array *node);
int mx_custom_follow_jvp(const mx_array *node);
int mx_custom_follow_vmap(const mx_array *node);
/* Whether the node may be left out: its rules give what the graph of its outputs gives. */
bool mx_custom_is_transparent(const mx_array *node);

#endif
