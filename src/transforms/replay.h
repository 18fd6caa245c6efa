/* A replay is a traced graph made fit to be built again: a flat list of prototypes over slots. Running it on other inputs gives an
 * ordinary lazy graph. Slots: the inputs, then the constants, then results. */
#ifndef MX_REPLAY_H
#define MX_REPLAY_H

#include "graph/relative.h"
#include "transforms/tape.h"

typedef struct mx_replay_node {
  mx_array *proto;   /* retained: op, parameters, object, number and dtypes of its inputs */
  int32_t slot;
  uint32_t in;
} mx_replay_node;

typedef struct mx_replay {
  mx_object base;
  int nin, nconst, nslot, n, nout;
  mx_array **constant;     /* [nconst] retained; slot nin + i */
  mx_replay_node *node;    /* [n] */
  int32_t *in;             /* slots */
  int32_t *out;            /* [nout] slots */
  uint8_t *picked;         /* [nslot] results of tuples that are read */
  int widest;
} mx_replay;

/* From a traced graph: inputs (sources that carry flag) to outputs. */
int mx_replay_new(mx_replay **res, int nin, mx_array *const *inputs, int nout, mx_array *const *outputs, uint8_t flag, bool simplify);
/* From what was traced for all shapes: calls that were recorded (graph/recorded.h) stay so, and are made again by each run. */
int mx_replay_new_recorded(mx_replay **res, int nin, mx_array *const *inputs, int nout, mx_array *const *outputs, bool simplify);
/* From a tape that is already there. Arrays that are not on it are constants, but those that carry a flag of `lift` become more inputs
 * after the sources, and are pushed on lifted. MX_LIFT_LAZY: so do those that are not computed yet. */
#define MX_LIFT_LAZY 0x80
int mx_replay_from_tape(mx_replay **res, const mx_tape *t, int nout, mx_array *const *outputs, uint8_t lift, mx_list *lifted);
/* Merges equal nodes, drops what is not needed, cancels transposes and exact casts. */
int mx_replay_simplify(mx_replay *r);
/* Builds the graph over inputs; results are pushed on out. */
int mx_replay_run(const mx_replay *r, mx_array *const *in, mx_list *out);
/* The same over inputs with the dtypes and shapes of the trace: nothing is inferred again. */
int mx_replay_run_as_traced(const mx_replay *r, mx_array *const *in, mx_list *out);
/* A node whose parameters are good for the traced shapes only; NULL: the replay may run on other shapes. */
const mx_array *mx_replay_shape_bound(const mx_replay *r);
/* Whether the replay of what was traced just now serves all shapes: a constant that is still to be computed may be made from one by a rule. */
bool mx_replay_fits_all_shapes(const mx_replay *r);
static inline void mx_replay_release(mx_replay *r) {
  if (r) mx_object_release(&r->base);
}

#endif
