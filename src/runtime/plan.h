/* Plans: what to run for a sequence of nodes, without sizes and addresses. */
#ifndef MX_RUNTIME_PLAN_H
#define MX_RUNTIME_PLAN_H

#include "backend/backend.h"
#include "core/array.h"

/* A value as a plan names it: node or leaf of the piece. */
typedef uint32_t mx_ref;
#define MX_LEAF 0x80000000u

/* A piece of a graph: nodes in an order in which each comes after its inputs, and the leaves they read. */
typedef struct mx_piece {
  mx_array **node;
  mx_array **leaf;
  int nnode, nleaf, leaf_cap;
  mx_array *few_leaves[8]; /* where they are when there are no more */
} mx_piece;
/* Adds to a list whose first place is `few`, an array of 8. */
int mx_more_places(mx_array ***at, int n, int *cap, mx_array **few);
static inline int mx_piece_push(mx_array ***at, int *n, int *cap, mx_array **few, mx_array *a) {
  int rc = *n == *cap ? mx_more_places(at, *n, cap, few) : 0;
  if (!rc) (*at)[(*n)++] = a;
  return rc;
}

enum mx_step_kind { MX_STEP_GROUP, MX_STEP_KERNEL, MX_STEP_VIEW };

typedef struct mx_group {
  uint16_t n_in, n_out;
  uint32_t domain;                     /* the node whose shape is the domain */
  mx_ref in[MX_PROGRAM_IO];
  uint32_t shared;                     /* bits: inputs that an earlier step of its batch reads too */
  uint16_t in_uses[MX_PROGRAM_IO];     /* how many inputs of the group's nodes are this value */
  uint32_t out[MX_PROGRAM_IO];         /* nodes, in the order of the program's out ports */
  mx_program program;                  /* cut after its last instruction */
} mx_group;

typedef struct mx_step {
  uint8_t kind;
  uint8_t batch;                       /* how many steps from here on are groups that do not depend on each other, or joined calls (batch.c) */
  uint32_t node;                       /* kernel, view */
  mx_group *group;
} mx_step;

typedef struct mx_plan {
  _Atomic int refs;
  uint64_t hash;
  uint32_t *key;
  int key_words, nsteps;
  size_t bytes;
  mx_step *steps;
  int32_t *last_read;                  /* for bands (run.h): [nodes] the step that reads a value last, INT32_MAX: held; NULL: there are none */
  struct mx_plan *next;                /* in its bucket */
} mx_plan;

struct mx_key;
/* The plan of a piece with this key, from the cache or made; a reference for the caller. Under the graph lock; every node's walk_index is its
 * place in the piece (leaves: MX_LEAF | place). NULL and an error: no memory. */
mx_plan *mx_plan_get(const mx_piece *p, const struct mx_key *key, const mx_backend *b);
void mx_plan_release(mx_plan *p);
void mx_plan_made_stats(uint64_t *made, uint64_t *hits, size_t *bytes);
void mx_plan_clear(void);

/* Runs a plan over a piece: every node that must exist becomes available or failed. keep: a trace is open, so inputs of tracer nodes stay. */
void mx_run(const mx_plan *plan, const mx_piece *piece, const mx_backend *b, bool keep);
/* The same over a graph whose nodes stay as they are, to be run again (routine.c). Its steps are numbered from `first`; after step i the next
 * ndead[i] arrays of `dead` are read no more. The first node that failed, or NULL: only those have a status then. */
const mx_array *mx_run_again(const mx_plan *plan, const mx_piece *piece, const mx_backend *b, uintptr_t first, mx_array *const *dead,
                             const uint32_t *ndead);
void mx_drop_data(mx_array *a);
void mx_run_stats(uint64_t *programs, uint64_t *kernels, uint64_t *donations);

typedef struct mx_planned {
  mx_piece part;
  mx_plan *plan; /* NULL: nothing to do, only of the first */
  struct mx_planned *next;
} mx_planned;

/* What is unevaluated below some roots, in pieces with their plans. It must not be moved: what is small stands in it. */
typedef struct mx_work {
  mx_array **node;
  int nnode, node_cap;
  bool keep;
  const mx_backend *backend;
  mx_planned first;
  mx_array *few_nodes[8];
} mx_work;
/* claim: the nodes become SCHEDULED. An error leaves nothing to be freed. */
int mx_work_plan(mx_work *w, int n, mx_array *const *roots, bool keep, bool claim);
void mx_work_free(mx_work *w);

/* The error that a failed array keeps. */
typedef struct mx_failure {
  int kind;
  char text[];
} mx_failure;
void mx_set_failed(mx_array *a, int kind, const char *text);
void mx_set_result_failed(mx_result *r, int kind, const char *text);

#endif
