/* Transforms rewrite graphs: they trace a closure and walk what it built. All walks are iterative. */
#ifndef MX_TRANSFORMS_H
#define MX_TRANSFORMS_H

#include "core/closure.h"
#include "graph/graph.h"

/* Outputs and cotangents of the primals of f at primals; cotangents: one an output, of its shape. */
int mx_vjp(mx_closure *f, int n, mx_array *const *primals, int ncot, mx_array *const *cotangents, mx_list *outputs, mx_list *grads);
/* The same for the nsrc primals `which` only. */
int mx_vjp_of(mx_closure *f, int nsrc, const int *which, int n, mx_array *const *primals, int ncot, mx_array *const *cotangents,
              mx_list *outputs, mx_list *grads);
int mx_jvp(mx_closure *f, int n, mx_array *const *primals, int ntan, mx_array *const *tangents, mx_list *outputs, mx_list *tangents_out);
/* Values of f (all outputs) and the gradients of its first output, a scalar, with respect to the inputs argnums. */
int mx_value_and_grad(mx_closure *f, int nargnums, const int *argnums, int n, mx_array *const *in, mx_list *values, mx_list *grads);

/* Outputs of f, and *res: a closure from cotangents, one an output, to those of the primals. It keeps the values of f that it needs. */
int mx_vjp_function(mx_closure *f, int n, mx_array *const *primals, mx_list *outputs, mx_closure **res);
/* Closures that give Jacobians of f by the inputs argnums: for each output all inputs, shapes (output's..., input's...). jacfwd goes by the
 * elements of the inputs, jacrev by those of the outputs; hessian is jacfwd of jacrev. */
mx_closure *mx_jacfwd(mx_closure *f, int nargnums, const int *argnums);
mx_closure *mx_jacrev(mx_closure *f, int nargnums, const int *argnums);
mx_closure *mx_hessian(mx_closure *f, int nargnums, const int *argnums);

/* vmap in two steps, as the C API has it: trace f on inputs without their mapped axes (in_axes[i] < 0: not mapped) ... */
int mx_vmap_trace(mx_closure *f, int n, mx_array *const *inputs, const int *in_axes, mx_list *trace_inputs, mx_list *trace_outputs);
/* ... and rebuild the traced graph over the batched inputs; out_axes[i]: where the mapped axis of output i shall be (< 0: not mapped). */
int mx_vmap_replace(int n, mx_array *const *inputs, mx_array *const *trace_inputs, const int *in_axes, int nout,
                    mx_array *const *trace_outputs, const int *out_axes, mx_list *outputs);

/* A closure that traces f once per shapes and dtypes of its inputs (once per number of dimensions and dtypes if shapeless), simplifies, and
 * replays. fun_id and constants key the cache as in MLX's detail API; fun_id 0: a cache of the closure's own. */
mx_closure *mx_compile(mx_closure *f, uintptr_t fun_id, bool shapeless, int nconst, const uint64_t *constants);
void mx_compile_erase(uintptr_t fun_id);
void mx_compile_clear_cache(void);
/* Called by a function that compile traces: its name, for the trace of what ran. */
void mx_compile_name(const char *name);
enum mx_compile_mode { MX_COMPILE_DISABLED, MX_COMPILE_NO_SIMPLIFY, MX_COMPILE_NO_FUSE, MX_COMPILE_ENABLED };
void mx_set_compile_mode(int mode);
int mx_get_compile_mode(void);

/* Recomputes f's intermediates in the backward pass instead of keeping them. */
mx_closure *mx_checkpoint(mx_closure *f);

/* f with rules of its own. vjp gets (primals..., cotangents..., outputs...), jvp (primals..., tangents..., argnums in the order given),
 * vmap (inputs..., axes): see custom.h. Any may be NULL: the rule then comes from f's graph. vjp answers for every primal; where want is
 * false the answer is not looked at and may be NULL. */
typedef struct mx_custom_rules {
  int (*vjp)(void *payload, int np, mx_array *const *primals, int nc, mx_array *const *cotangents, int no, mx_array *const *outputs,
             const bool *want, mx_list *res);
  int (*jvp)(void *payload, int np, mx_array *const *primals, int nt, mx_array *const *tangents, const int *argnums, mx_list *res);
  int (*vmap)(void *payload, int n, mx_array *const *inputs, const int *axes, mx_list *res, int *res_axes, int res_cap);
  void *payload;
  void (*dtor)(void *payload);
  bool transparent; /* the rules give what f's graph gives */
} mx_custom_rules;
mx_closure *mx_custom_function(mx_closure *f, const mx_custom_rules *rules);

#endif
