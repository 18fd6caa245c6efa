/* Bodies: the graphs that control flow runs. A body is made from a graph, kept as a replay, and run as a routine. */
#ifndef MX_BODY_H
#define MX_BODY_H

#include "runtime/routine.h"
#include "transforms/replay.h"
#include "transforms/transforms.h"

typedef struct mx_body {
  mx_object base;
  mx_replay *f;
  int nin, nout;
  int fresh;                    /* how many inputs, the first ones, are given anew for each run of a routine */
  mx_array **like;              /* [nin + nout] stand-ins: dtypes and shapes of inputs and outputs */
  _Atomic(mx_routine *) spare;  /* one that rests, or NULL */
} mx_body;

/* The graph from src to out. Other arrays that it reads, but for constants that are there already, become more inputs, pushed on `lifted`. */
int mx_body_new(mx_body **res, int nsrc, mx_array *const *src, int nout, mx_array *const *out, mx_list *lifted);
/* The graph that f builds over arrays like these. tag names the function in errors. */
int mx_body_trace(mx_body **res, mx_closure *f, int n, mx_array *const *like, mx_list *lifted);
/* The same graph over inputs like these, where the body serves all shapes; b itself, retained, where they are as before. NULL: an error. */
mx_body *mx_body_refit(mx_body *b, mx_array *const *like, const char *tag);
static inline void mx_body_release(mx_body *b) {
  if (b) mx_object_release(&b->base);
}
static inline mx_body *mx_body_retain(mx_body *b) { return mx_object_retain(&b->base); }
static inline mx_array *mx_body_in(const mx_body *b, int i) { return b->like[i]; }
static inline mx_array *mx_body_out(const mx_body *b, int i) { return b->like[b->nin + i]; }
/* Stand-ins for its inputs, and its graph over inputs; results are pushed on out. */
mx_array *mx_body_stand_in(mx_scope *s, const mx_array *like);
mx_array *mx_body_batched(mx_scope *s, const mx_array *like, int32_t size); /* with an axis more in front */
static inline int mx_body_build(const mx_body *b, mx_array *const *in, mx_list *out) { return mx_replay_run(b->f, in, out); }

/* The part of a table from n on; NULL when there was no memory for the table. */
static inline mx_array **mx_slots_from(mx_array **table, int n) { return table ? table + n : NULL; }

/* ---- running: the first checks depth, so that control flow inside control flow cannot use up the stack ---- */
mx_routine *mx_body_begin(mx_body *b, const char *tag);
void mx_body_end(mx_body *b, mx_routine *r);
/* The array becomes input i for the length of a run. may_take: it may be overwritten if nobody else holds it. */
int mx_body_give(const mx_body *b, mx_routine *r, int i, mx_array *x, bool may_take, const char *tag);
void mx_give_input(mx_routine *r, int i, mx_array *x, bool may_take); /* of the shape and dtype that is expected */
/* Result i of the routine, or what has become its input i, as a result of the node. */
int mx_body_result(mx_routine *r, int i, mx_result *res);
int mx_body_carry(mx_routine *r, int i, mx_result *res);

/* ---- transforms of graphs between stand-ins ---- */

static inline bool mx_has_slope(const mx_array *a) { return mx_is_inexact((mx_dtype)a->dtype); }
/* Cotangents of src from those of out (NULL: none): res[i], owned by s, or NULL where zero. flag: as for mx_tape_build. */
int mx_pull_back(mx_scope *s, int nsrc, mx_array *const *src, int nout, mx_array *const *out, uint8_t flag, mx_array *const *cot, mx_array **res);
/* Tangents of out from those of src. */
int mx_push_forward(mx_scope *s, int nsrc, mx_array *const *src, mx_array *const *tan, int nout, mx_array *const *out, mx_array **res);
/* Which outputs depend on mapped inputs. The graph is that of the body. */
int mx_body_spread(const mx_body *b, const bool *mapped, bool *res);
/* The body over inputs of which some have an extra axis in front; batched: stand-ins with it. Outputs in `mapped_out` get one in front. */
int mx_body_batch(mx_scope *s, const mx_body *b, mx_array *const *batched, const bool *mapped, const bool *mapped_out, mx_list *out);

/* A tuple node of op with results like these; `lead` >= 0: those from index `stacked` on get a first axis of that size. */
mx_array *mx_control_node(mx_scope *s, mx_opcode op, int nin, mx_array *const *in, int nout, mx_array *const *like, int stacked, int32_t lead,
                          mx_control *object);
/* The refusals of several ops. */
int mx_check_same(const char *tag, const char *what, int i, const mx_array *given, const mx_array *expected);

#endif
