/* A back end is one struct: kernels by opcode, and one function that runs the programs of fused groups.
 * Kernels see views (no graph); outputs are allocated by the planner. */
#ifndef MX_BACKEND_H
#define MX_BACKEND_H

#include "core/array.h"
#include "core/opcode.h"

/* A strided view of data. strides count elements. */
typedef struct mx_view {
  void *data;
  const int32_t *shape;
  const int64_t *strides;
  int64_t size;
  uint8_t ndim, dtype;
} mx_view;

/* A bound kernel call. Inputs have any strides and alignment. Outputs are row-contiguous; out[0] may be the same memory as the
 * input named by the op's `inplace` column (then with equal data pointer, shape and dtype), else it overlaps no input. */
typedef struct mx_call {
  mx_opcode op;
  int nin, nout, np;
  const mx_view *in;
  const mx_view *out;
  const int64_t *p;      /* the node's parameters: layout in ops/structured.def */
  mx_object *object;
} mx_call;

typedef int (*mx_kernel)(const mx_call *c); /* 0 or the kind of a recorded error */

/* A fused group: a short program over tiles. Registers hold tiles of one dtype: f16 and bf16 values are held as float, rounded
 * to their dtype after every instruction. */
enum { MX_PROGRAM_MAX = 64, MX_PROGRAM_IO = 24, MX_PROGRAM_REGS = 28 };

typedef struct mx_instr {
  uint16_t op;           /* an elementwise opcode, or OP_astype */
  uint8_t dtype;         /* of the operands (of b and c, where the first operand of OP_select is bool) */
  uint8_t out_dtype;
  uint8_t dst, a, b, c;  /* registers; dst may equal an operand of the same width */
} mx_instr;

typedef struct mx_port {
  uint8_t dtype, reg;
  uint8_t scalar;        /* inputs: one element for the whole domain (a constant or a size-1 array), filled once */
  uint8_t stream;        /* outputs: large and not read soon; streaming stores may be used */
  uint16_t reduce;       /* outputs: OP_sum, OP_max, … to reduce over the axes in the view (size 1 there), or 0: store */
} mx_port;

typedef struct mx_program {
  uint16_t n_ins, n_in, n_out, n_reg;
  mx_port in[MX_PROGRAM_IO], out[MX_PROGRAM_IO];
  mx_instr ins[MX_PROGRAM_MAX];
} mx_program;

/* Runs a program over the domain `shape`. Every in view has the domain's ndim, with stride 0 where it is broadcast; an out view is
 * row-contiguous over the domain (a reduced one over its own keepdims shape) and may be the same memory as an input that has
 * the domain's full shape, the same strides and the same item size. */
typedef int (*mx_run_program)(const mx_program *g, int ndim, const int32_t *shape, const mx_view *in, const mx_view *out);

enum { MX_JOINED_CALLS = 4 };
typedef struct mx_backend {
  const char *name;
  const mx_kernel *kernels;       /* [MX_OPS]; NULL where there is none */
  mx_run_program run;
  bool fuses_reductions;          /* optional: programs may have outputs with `reduce` */
  bool on_threads;                /* optional: kernels and programs read host memory and may be called from any thread, side by side */
  /* optional: what the calling thread will read after its next programs and reductions, over `elements` elements together: they fetch it
   * into the thread's cache meanwhile. n = 0: no more. */
  void (*soon)(int n, const void *const *data, const int64_t *bytes, int64_t elements);
  /* optional: n (at most MX_JOINED_CALLS) calls of one op that joins, with the same first input, none of which reads what another makes */
  bool (*joins)(int op);
  int (*joined)(int n, const mx_call *c);
} mx_backend;

extern const mx_backend mx_cpu_backend;

#endif
