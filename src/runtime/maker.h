/* A plan while it is made: what plan.c and recompute.c share. */
#ifndef MX_RUNTIME_MAKER_H
#define MX_RUNTIME_MAKER_H

#include "runtime/plan.h"

enum { MAX_GROUP_INPUTS = 14 };
enum { NOBODY = -1, SEVERAL = -2 };

typedef struct mx_draft { /* a group while nodes are added */
  uint32_t class;
  int step, n_node, n_in;
  int seen_by; /* what else reads its values: another draft, NOBODY, or SEVERAL */
  int into;    /* the draft that it was merged into, or NOBODY */
  uint32_t axes; /* of its reductions; 0: none yet */
  mx_stream stream;
  uint32_t node[MX_PROGRAM_MAX]; /* ascending: each after what it reads */
  mx_ref in[MX_PROGRAM_IO];
  uint16_t uses[MX_PROGRAM_IO];
  uint32_t reduction[MX_PROGRAM_IO];
  int n_red;
} mx_draft;

typedef struct mx_maker {
  const mx_piece *p;
  const uint8_t *held;
  const mx_backend *backend;
  const uint32_t *class_of;
  int *ready;    /* of nodes: 2*step in a group, 2*step + 1 elsewhere */
  int *group_of; /* draft of a node, or -1 */
  int *reader;   /* the last draft that reads a value: nodes, then leaves */
  mx_draft *drafts;
  int ndraft, draft_cap;
  struct {
    uint8_t kind;
    uint32_t node;
    int draft;
  } * steps;
  int nsteps, max_ins;
  bool alone; /* no fusion: the values of every op are to be seen */
  bool merge; /* drafts may be merged, values computed again */
} mx_maker;

/* The place of a value where nodes come first, then leaves. */
static inline size_t mx_ref_index(const mx_maker *m, mx_ref r) { return r & MX_LEAF ? (size_t)m->p->nnode + (r & ~MX_LEAF) : r; }
static inline const mx_array *mx_ref_array(const mx_maker *m, mx_ref r) { return r & MX_LEAF ? m->p->leaf[r & ~MX_LEAF] : m->p->node[r]; }

static inline int mx_draft_input(const mx_draft *d, mx_ref r) {
  for (int i = 0; i < d->n_in; i++)
    if (d->in[i] == r) return i;
  return -1;
}

/* Lets later groups compute again what is cheaper to compute than to keep; stored: which nodes of groups must be, is changed with it. 0, or an
 * error. Afterwards a node may be in several drafts. */
int mx_recompute(mx_maker *m, uint8_t *stored);

#endif
