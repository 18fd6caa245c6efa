/* Opcodes: one a row of the tables. */
#ifndef MX_CORE_OPCODE_H
#define MX_CORE_OPCODE_H

typedef enum mx_opcode {
  OP_none = 0,
#define UNARY(name, ...) OP_##name,
#define UNARY_OWN(name, ...) OP_##name,
#define BINARY(name, ...) OP_##name,
#define TERNARY(name, ...) OP_##name,
#include "elementwise.def"
#undef UNARY
#undef UNARY_OWN
#undef BINARY
#undef TERNARY
  OP_elementwise_end,
#define REDUCE(name, ...) OP_##name,
#include "reduce.def"
#undef REDUCE
  OP_reduce_end,
#define OP(name, ...) OP_##name,
#include "structured.def"
#undef OP
  MX_OPS
} mx_opcode;

enum { MX_TURNED = -1 }; /* the parameter of a matmul whose second factor is turned */

static inline int mx_is_elementwise(int op) { return op > OP_none && op < OP_elementwise_end; }
static inline int mx_is_reduction(int op) { return op > OP_elementwise_end && op < OP_reduce_end; }

#endif
