/* Functions as data: what a function does with arrays of certain shapes and dtypes, as a replay that can be written, read and called.
 *
 * A file holds ops by name, so opcodes may be renumbered; with each name goes the layout of its parameters (the first clause of its row's
 * doc in ops/structured.def), and a file whose layout is not today's is refused instead of misread. Constants are stored as data. Nodes of
 * control flow carry the graphs that they run. So do custom functions: their vjp and jvp rules are traced; a vmap rule, which depends on the
 * axes that it is called for, is not kept: vmap then goes by the function's own graph. */
#ifndef MX_EXPORT_H
#define MX_EXPORT_H

#include "transforms/control.h"
#include "transforms/custom.h"
#include "transforms/replay.h"

/* One trace: inputs are the positional ones, then those with a keyword, in rising order of these. */
typedef struct mx_exported {
  mx_replay *replay;
  int npos, nkw;
  char **keyword;       /* [nkw] */
  mx_aval *input;       /* [npos + nkw] */
} mx_exported;

/* Traces of one function. Zero-initialise. */
typedef struct mx_exports {
  mx_exported *at;
  int n, cap;
  bool shapeless;       /* serve inputs of any shape with as many dimensions */
  char *metadata;       /* the user's text, or NULL */
} mx_exports;
void mx_exported_clear(mx_exported *x);
void mx_exports_clear(mx_exports *e);

/* Takes what x holds, also when it fails. */
int mx_exports_push(mx_exports *e, mx_exported *x);
/* Adds a trace of f at inputs like in[npos + nkw]; keyword[nkw] in rising order. Errors: a trace with this signature is there; a function with
 * rules of its own (custom_function); one made from a shape, where e is shapeless. */
int mx_exports_trace(mx_exports *e, mx_closure *f, int npos, int nkw, const char *const *keyword, mx_array *const *in);
/* Builds the graph of the trace that fits the inputs, or an error that lists all; keyword[nkw] in rising order. */
int mx_exports_call(const mx_exports *e, int npos, int nkw, const char *const *keyword, mx_array *const *in, mx_list *out);

/* ---- bytes ---- */

typedef struct mx_sink {
  int (*write)(void *to, const void *bytes, size_t n); /* 0 or the kind of an error */
  void *to;
} mx_sink;
typedef struct mx_source {
  int (*read)(void *from, void *bytes, size_t n, uint64_t at); /* within size */
  void *from;
  const char *label; /* for messages */
  uint64_t size;
} mx_source;

int mx_exports_write(const mx_exports *e, const mx_sink *sink);
/* Trusts nothing: any bytes give traces or an error. */
int mx_exports_read(mx_exports *e, const mx_source *source);

/* Version 2 added graphs inside graphs, version 3 parameters that follow from shapes: their number has MX_EXPORT_RELATIVE. */
enum { MX_EXPORT_RELATIVE = 0x8000 };
enum { MX_EXPORT_VERSION = 3, MX_EXPORT_OLDEST = 1, MX_EXPORT_SHAPELESS = 1 };
enum { MX_EXPORT_DEEPEST = 64 }; /* graphs inside graphs */
enum { MX_EXPORT_BACK = 1, MX_EXPORT_FORWARD = 2 }; /* which rules a custom function has */
static const char mx_export_made[] = "primitive:"; /* before the name of a registered primitive */
static const char mx_export_call[] = "call:";      /* before that of a function which is called again (graph/recorded.h) */
static const char mx_export_magic[8] = {'C', 'M', 'L', 'X', 'F', 'U', 'N', '\n'};
/* A replay's slots without those that nobody reads: number[slot], -1 for a constant that is not needed. Gives how many constants are. */
int mx_export_number(const mx_replay *r, int32_t *number);
/* The layout of an op's parameters: where it begins, and its length. */
const char *mx_export_layout(int op, size_t *len);

/* ---- rules of custom functions ---- */

/* A rule as a graph. vjp: (primals, cotangents, outputs) -> cotangents; jvp: (primals, tangents of the inexact ones) -> tangents. */
typedef struct mx_export_rule {
  mx_replay *f;
  int nin, nres;
  mx_aval *like;  /* [nin] */
  int32_t *at;    /* [nres] which output of f is the result, -1: zero */
} mx_export_rule;
/* Room for a rule of a function of np primals and nout outputs, and its inputs. */
int mx_export_rule_new(mx_export_rule *r, int np, int nout, bool forward);
void mx_export_rule_inputs(mx_export_rule *r, int np, mx_array *const *primals, int nout, mx_array *const *outputs, bool forward);
void mx_export_rule_clear(mx_export_rule *r);
/* By calling the rule of the OP_custom node. */
int mx_export_rule_trace(mx_export_rule *r, const mx_array *node, bool forward);
/* Takes what the rules hold, also when it fails; one whose f is NULL is none. */
mx_custom *mx_export_rules_new(mx_export_rule *back, mx_export_rule *forward, bool any_shape);

/* ---- seeing a trace ---- */

enum mx_export_argument_kind { MX_ARG_INT, MX_ARG_BOOL, MX_ARG_FLOAT, MX_ARG_DTYPE, MX_ARG_LETTER, MX_ARG_LIST, MX_ARG_SHAPE };
/* An argument of a primitive, in MLX's order; floats as bits of doubles. */
typedef struct mx_export_argument {
  int kind, n;
  int64_t at[3 * MX_MAX_NDIM];
} mx_export_argument;
enum { MX_EXPORT_ARGUMENTS = 8 };
/* Those of a node, into arg: how many. */
int mx_export_arguments(const mx_array *node, mx_export_argument arg[MX_EXPORT_ARGUMENTS]);
/* The class of MLX's primitive: "Reduce" where mx_label says "Sum". */
const char *mx_export_primitive(int op);

typedef struct mx_export_value {
  char name[8];
  const char *keyword;  /* of an input, or NULL */
  mx_array *constant;   /* or NULL */
  mx_dtype dtype;
  int ndim;
  const int32_t *shape;
} mx_export_value;

/* Told in this order: inputs, keyword inputs, outputs, constants, then each primitive with its inputs, outputs and arguments. */
enum mx_export_step_kind { MX_STEP_INPUTS, MX_STEP_KEYWORDS, MX_STEP_OUTPUTS, MX_STEP_CONSTANTS, MX_STEP_PRIMITIVE };
typedef struct mx_export_step {
  int kind, nin, nout, narg;
  const char *primitive;
  const mx_export_value *in, *out; /* steps but primitives: `in` alone */
  const mx_export_argument *arg;
} mx_export_step;
/* Calls that were recorded for all shapes (graph/recorded.h) become what they build for those of the trace: for whoever is told of it. */
int mx_exported_open(mx_exported *x);
int mx_exported_tell(const mx_exported *x, int (*tell)(void *to, const mx_export_step *step), void *to);

#endif
