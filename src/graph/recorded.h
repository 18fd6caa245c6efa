/* Calls that are made again. While a function is traced for all shapes (mx_any_shape_wanted), a call of a public function whose result may be
 * built otherwise for other shapes is kept as one node of OP_recorded: which function, and its arguments. A replay over inputs of other shapes
 * calls the function again. Everybody else sees what the call built: transforms, which meet such nodes while they are traced within the
 * function, open them, and the trace is then for its own shapes only.
 *
 * Inputs: the arrays among the arguments in their order, then the results as built (without these in a replay, whose nodes nobody opens).
 * p: the number of the function in this process, then for each other argument: a number or the bits of a double; of a list its length, -1 for
 * NULL, and the items; of a text its length and bytes; of an array or a number that may be absent whether it is there, and the number; of a
 * list of arrays its length. */
#ifndef MX_GRAPH_RECORDED_H
#define MX_GRAPH_RECORDED_H

#include "graph/graph.h"

/* One argument: n counts the items of a list. */
typedef struct mx_argument {
  union {
    mx_array *array;
    mx_array *const *arrays;
    const char *text;
    int64_t i;
    double d;
    const int *ints;
    const int64_t *longs;
    const double *doubles;
    const float *floats;
    const mx_dtype *dtypes;
  };
  size_t n;
} mx_argument;

/* A function of ops/functions.def and its kin. takes, a letter an argument:
 *   a array   o array or NULL   k the same, a key: the generator's next for NULL   v arrays   i int   b bool   z size   y dtype   d double
 *   I L D lists of int, int64_t, double   t text   J F Y int, float, dtype by pointer, or NULL */
typedef struct mx_recordable {
  const char *name, *takes;
  int (*call)(mx_scope *s, const mx_argument *x, mx_list *out);
} mx_recordable;
/* Generated with the public functions (tools/opgen_capi.py). */
extern const mx_recordable mx_recordables[];
extern const int mx_nrecordables;
/* Something else that is called again, as the object of its node; p[0] is then -1. Such a node goes to no file. */
typedef struct mx_recorded_function {
  mx_object base;
  int (*call)(struct mx_recorded_function *f, mx_scope *s, int nin, mx_array *const *in, mx_list *out);
} mx_recorded_function;
/* Its number, or -1. */
int mx_recordable_named(const char *name);

/* Calls function `which` and records it; out: its results. false: no argument is traced for all shapes, or the scope has failed already; the
 * call is the caller's. A call that fails marks the scope. */
bool mx_record(mx_scope *s, int which, const mx_argument *x, mx_list *out);
/* The same for a function of another kind, which is retained. */
bool mx_record_function(mx_scope *s, mx_recorded_function *f, int nin, mx_array *const *in, mx_list *out);
/* The call of a node over other inputs: as many results, of the same dtypes and numbers of dimensions, or an error. */
int mx_recorded_again(mx_scope *s, const mx_array *node, mx_array *const *in, mx_list *out);
/* The same from p, which is trusted in nothing; p[0] is a function's number. */
int mx_recorded_call(mx_scope *s, int nin, mx_array *const *in, int np, const int64_t *p, mx_list *out);
/* The node without its results. A reference for the caller. */
mx_array *mx_recorded_bare(const mx_array *node);
/* A result becomes a copy of what the call built. Under the graph lock. */
void mx_recorded_open(mx_array *pick);
static inline bool mx_is_recorded(const mx_array *a) { return a->op == OP_pick && a->nin == 1 && a->in[0]->op == OP_recorded; }

#endif
