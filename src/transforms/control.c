/* Control flow as data: nodes taken apart for a file, and put together again. */
#include "transforms/control.h"

#include "transforms/body.h"

void mx_control_count(int op, mx_control_parts *parts) {
  parts->nnumber = op == OP_loop ? MX_CONTROL_NUMBERS : 0;
  parts->nbody = op == OP_cond ? 2 : 1;
}

void mx_control_take_apart(const mx_array *node, mx_control_parts *parts) {
  *parts = (mx_control_parts){0};
  mx_control_count(node->op, parts);
  if (node->op == OP_loop) mx_loop_take_apart(node, parts);
  else if (node->op == OP_while_loop) mx_while_take_apart(node, parts);
  else mx_cond_take_apart(node, parts);
}

mx_array *mx_control_put_together(mx_scope *s, int op, const mx_control_parts *parts, int nin, mx_array *const *in) {
  if (op == OP_loop) return mx_loop_put_together(s, parts, nin, in);
  return op == OP_while_loop ? mx_while_put_together(s, parts, nin, in) : mx_cond_put_together(s, parts, nin, in);
}

const mx_array *mx_control_shape_bound(const mx_array *node) {
  mx_control_parts parts;
  const mx_array *bound = NULL;
  if (!node->object) return node;
  mx_control_take_apart(node, &parts);
  for (int i = 0; i < parts.nbody && !bound; i++) bound = mx_replay_shape_bound(parts.body[i]->f);
  return bound;
}
