/* What run.c and band.c share: a run of a plan over a piece, and where its results get their memory. */
#ifndef MX_RUNTIME_RUN_H
#define MX_RUNTIME_RUN_H

#include "runtime/plan.h"

typedef struct mx_runner {
  const mx_piece *p;
  const mx_backend *b;
  bool keep;     /* a trace is open, or somebody reads what was computed from: nothing is overwritten */
  bool again;    /* the graph is run again: lifetimes are known, results may have their place */
  uintptr_t now; /* then: the number of the step */
} mx_runner;

/* Whether a step that reads x `uses` times, nobody else having to, may overwrite it. */
bool mx_may_take(const mx_runner *r, const mx_array *x, int uses);
/* Memory for a result: fresh (unless it has its place), or that of an input. */
int mx_give_buffer(mx_array *a);
void mx_take_buffer(mx_array *a, mx_array *from);
/* The error of an input that failed becomes this thread's; 0: it did not. */
int mx_input_failure(const mx_array *x);
void mx_count_run(bool program);

static inline mx_array *mx_resolve(const mx_piece *p, mx_ref r) { return r & MX_LEAF ? p->leaf[r & ~MX_LEAF] : p->node[r]; }

/* ---- groups ---- */

typedef struct mx_group_io {
  mx_view in[MX_PROGRAM_IO], out[MX_PROGRAM_IO];
  int64_t strides[MX_PROGRAM_IO][MX_MAX_NDIM];
} mx_group_io;

/* The error of an input that failed, or 0. */
int mx_group_failure(const mx_runner *r, const mx_group *g);
/* Views of what the group reads and writes, and memory for its results; no input with its bit in `kept` is overwritten. */
int mx_bind_group(const mx_runner *r, const mx_group *g, uint32_t kept, mx_group_io *io);
int mx_run_bound(const mx_runner *r, const mx_group *g, mx_group_io *io);

/* ---- batches: small groups that do not depend on each other are shared out among threads ---- */

/* Notes in a new plan which steps could be one. made: room for an int a node; reader: for `all` values, nodes and leaves. */
void mx_batch_prepare(mx_plan *plan, int nnode, int *made, int *reader, int all);
/* Runs the steps from `first` on that make a batch. How many there are; 0: none, nothing was done. *rc: whether it failed. */
int mx_batch_run(const mx_runner *r, const mx_plan *plan, int first, int *rc);

/* ---- joined calls: products of the same array, whose back end makes them together ---- */

/* Puts the steps of a new plan that could be such calls one behind the other. */
void mx_join_prepare(mx_plan *plan, const mx_piece *p, const mx_backend *b);

/* ---- bands: steps that go through their arrays row by row are run together, some rows at a time, while these are in the cache ---- */

/* Notes in a new plan what bands need to know, if some of its steps could be one. */
int mx_band_prepare(mx_plan *plan, const mx_piece *p, const uint8_t *held);
/* Runs the steps from `first` on that make a band. How many there are; 0: none, nothing was done. *rc: whether it failed. */
int mx_band_run(const mx_runner *r, const mx_plan *plan, int first, int *rc);

#endif
