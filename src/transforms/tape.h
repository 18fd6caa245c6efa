/* A tape is the part of a graph that lies between sources and roots: flat, in topological order, without recursion made.
 *
 * Every result of a node has a slot; the sources have the first ones. A pick has no entry of its own: its slot is that of the result of the
 * tuple that it reads. Nodes that do not depend on a source are not on the tape.
 * Invariant: the inputs of a node have smaller slots than its results. */
#ifndef MX_TAPE_H
#define MX_TAPE_H

#include "graph/graph.h"

/* A hash map from pointers to numbers >= 0; it does not own the keys. Zero-initialise. */
typedef struct mx_index {
  const void **key;
  int32_t *val;
  uint32_t n, cap;
} mx_index;
int32_t *mx_index_find(const mx_index *m, const void *key);      /* NULL: absent */
int mx_index_put(mx_index *m, const void *key, int32_t val);     /* key must be absent */
void mx_index_clear(mx_index *m);

typedef struct mx_tape_node {
  mx_array *a;       /* retained */
  int32_t slot;      /* of its first result */
  uint32_t in;       /* its inputs are tape.in[in], ... */
} mx_tape_node;

typedef struct mx_tape {
  int nsrc, nslot;
  int n;                /* nodes */
  mx_tape_node *node;
  int32_t *in;          /* slots of inputs; -1: the input does not depend on a source */
  mx_array **value;     /* [nslot] the traced arrays, retained; NULL: a result of a tuple that nobody picked */
  mx_index slots;         /* array -> slot */
  int cap_node, cap_slot;
  size_t nin, cap_in;
} mx_tape;

/* How many inputs of a node to follow: the rules of a custom function hide what it was built of. */
typedef int mx_follow(const mx_array *node);
int mx_follow_all(const mx_array *node);
/* All, but of a recorded call (graph/recorded.h) only its arguments. Whoever follows nodes in another way opens such calls. */
int mx_follow_recorded(const mx_array *node);

/* flag: nodes without it cannot depend on a source (MX_TRACER or MX_PLACEHOLDER). stop: arrays known not to depend on one. */
int mx_tape_build(mx_tape *t, int nsrc, mx_array *const *src, int nroots, mx_array *const *roots, uint8_t flag, mx_follow *follow,
                  int nstop, mx_array *const *stop);
void mx_tape_clear(mx_tape *t);
/* The slot of an array, or -1. */
static inline int32_t mx_tape_slot(const mx_tape *t, const mx_array *a) {
  int32_t *v = mx_index_find(&t->slots, a);
  return v ? *v : -1;
}
/* Number of results, of inputs of the widest node. */
static inline int mx_results(const mx_array *a) { return a->outs ? a->nout : 1; }
int mx_tape_widest(const mx_tape *t);

/* How many of this thread's open traces (mx_tracing) are past the building of their function, or go forward: nodes built now have no
 * backward sweep of theirs ahead. */
extern _Thread_local int mx_sweeping;

/* Set where rules build nodes: what they make of nothing may have the shapes of a trace. */
extern _Thread_local bool mx_rules_ran;

/* ---- sweeps over a tape: autodiff.c. The tables are [nslot], own their arrays and are NULL where zero ---- */

/* From cotangents of some slots to those of the sources (in place). */
int mx_sweep_back(const mx_tape *t, mx_array **cot);
/* From tangents of the sources to those of all slots. */
int mx_sweep_forward(const mx_tape *t, mx_array **tan);
/* A table of n slots; mx_slots_free releases what is in it. */
mx_array **mx_slots_new(int n);
void mx_slots_free(mx_array **slots, int n);

#endif
