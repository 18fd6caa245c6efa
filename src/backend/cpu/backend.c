/* The table of the CPU's kernels. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/tile.h"

#define KERNELS_VIEW(name)
#define KERNELS_ALIAS(name)
#define KERNELS_CONTROL(name)
#define KERNELS_KERNEL(name) [OP_##name] = mx_cpu_##name,
#define OP(name, label, kind, ...) KERNELS_##kind(name)
#define REDUCE(name, ...) [OP_##name] = mx_cpu_reduce,
static const mx_kernel kernels[MX_OPS] = {
#include "reduce.def"
#include "structured.def"
};

static int joined(int n, const mx_call *c) { return c->op == OP_matmul ? mx_cpu_matmuls(n, c) : mx_cpu_quantized_matmuls(n, c); }
static bool joins(int op) { return op == OP_matmul || op == OP_quantized_matmul; }

const mx_backend mx_cpu_backend = {.name = "cpu", .kernels = kernels, .run = mx_cpu_run, .fuses_reductions = true, .on_threads = true, .soon = mx_cpu_soon,
                                   .joins = joins, .joined = joined};
