/* How a node is called where people see it: MLX's name of the primitive, with what MLX adds to some. */
#include <stdio.h>

#include "graph/primitive.h"

static const char *mode_word(int64_t mode) {
  static const char *const words[] = {"", " Sum", " Prod", " Max", " Min"};
  return mode >= 0 && mode < 5 ? words[mode] : "";
}

const char *mx_label(const mx_array *n, char room[MX_LABEL_ROOM]) {
  const char *label = mx_ops[n->op].label;
  switch (n->op) {
    case OP_primitive: return n->object ? mx_registered_of(n)->name : label;
    case OP_view: snprintf(room, MX_LABEL_ROOM, "%s %s", label, mx_dtype_name((mx_dtype)n->dtype)); return room;
    case OP_slice_update: case OP_scatter: snprintf(room, MX_LABEL_ROOM, "%s%s", label, mode_word(n->p[0])); return room;
    case OP_scatter_axis: snprintf(room, MX_LABEL_ROOM, "%s%s", label, mode_word(n->p[1])); return room;
    default: return label;
  }
}
