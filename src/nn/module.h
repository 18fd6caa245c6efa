/* Modules: trees of named arrays with a forward function.
 *
 * A module has members in the order they were set: arrays and other modules. A member's name may hold dots ("layers.0"), as lists make
 * them in Python; the path of an array joins the names from the root with dots ("layers.0.weight"), as Python writes it into files.
 * Names that begin with an underscore are kept but are no parameters. A member is removed by nobody, so its place is its name for good.
 * Invariants: no name is the beginning of another up to a dot; a module is not below itself. */
#ifndef MX_NN_MODULE_H
#define MX_NN_MODULE_H

#include "core/closure.h"
#include "nn/nn.h"

typedef struct mx_module mx_module;

/* What a kind of layer is. */
typedef struct mx_layer {
  const char *type; /* "Linear" */
  int least, most;  /* how many inputs it takes */
  int nout;
  /* Fills out[nout], owned by the scope. An input that is not given is NULL. 0 or the kind of an error, or a marked scope. */
  int (*forward)(mx_module *m, mx_scope *s, mx_array *const *in, mx_array **out);
  /* What stands between the brackets when it is printed; may be NULL. */
  void (*describe)(const mx_module *m, char *to, size_t room);
} mx_layer;

typedef struct mx_member {
  char *name;
  mx_array *array; /* one of both, or none */
  mx_module *module;
  bool frozen; /* left out of the trainable parameters */
  bool pinned; /* frozen for good: running statistics */
} mx_member;

typedef int mx_forward(void *payload, mx_module *m, int n, mx_array *const *in, mx_list *out);

enum { MX_MODULE_INPUTS = 8, MX_MODULE_DEPTH = 256, MX_MODULE_SETTINGS = 16 };

struct mx_module {
  mx_object base;
  const mx_layer *layer; /* or NULL: one of the user's */
  char *type;            /* its name */
  bool training;
  int (*mode)(mx_module *m); /* what follows a change of it, or NULL */
  int n, cap;
  mx_member *members;
  int whole[MX_MODULE_SETTINGS]; /* a layer's settings: what they are its constructor says */
  double real[4];
  mx_forward *forward; /* of a module without a layer, or in place of its layer's */
  void *payload;
  void (*dtor)(void *);
  mx_module *next; /* scratch of its end */
};

mx_module *mx_module_new(const mx_layer *layer); /* NULL and an error */
mx_module *mx_module_named(const char *type);
static inline mx_module *mx_module_retain(mx_module *m) { return mx_object_retain(&m->base); }
static inline void mx_module_release(mx_module *m) {
  if (m) mx_object_release(&m->base);
}
const char *mx_module_type(const mx_module *m);
/* In place of the forward function that was there; dtor(payload) is called when it goes, also when this call fails. */
int mx_module_set_forward(mx_module *m, mx_forward *forward, void *payload, void (*dtor)(void *));

/* Replaces the member of that name, or adds one. The array is retained. */
int mx_module_set_array(mx_module *m, const char *name, mx_array *a);
/* The same for a module; takes the reference to child, also when it fails. */
int mx_module_add(mx_module *m, const char *name, mx_module *child);
/* Takes the array of m's own member out, which is empty then: neither kind. NULL when there is none. */
mx_array *mx_module_take(mx_module *m, const char *name);
/* What is at a path, borrowed: NULL when there is none. */
mx_array *mx_module_array(mx_module *m, const char *path);
mx_module *mx_module_at(mx_module *m, const char *path);
/* Replaces the array at a path; without one nothing happens. */
int mx_module_replace(mx_module *m, const char *path, mx_array *a);
/* The same for a module, which is retained. */
void mx_module_replace_at(mx_module *m, const char *path, mx_module *child);
/* The array that is a member of m itself: what layers read. */
mx_array *mx_module_own(const mx_module *m, const char *name);

/* Calls it; results are pushed on out. */
int mx_module_call(mx_module *m, int n, mx_array *const *in, mx_list *out);
/* With results owned by the scope: what layers made of layers use. NULL inputs give NULL. */
mx_array *mx_module_call1(mx_module *m, mx_scope *s, mx_array *x);
/* The same with up to n inputs: those that are NULL at the end are not given. The first result. */
mx_array *mx_module_calln(mx_module *m, mx_scope *s, int n, mx_array *const *in);

/* ---- walks, in order ---- */

enum mx_walk { MX_WALK_TRAINABLE, MX_WALK_PARAMETERS, MX_WALK_ALL };

typedef int mx_visit(void *to, const char *path, mx_module *owner, int place);
int mx_module_walk(mx_module *m, enum mx_walk what, mx_visit *visit, void *to);
/* The same over modules: m itself (path ""), then those below. */
typedef int mx_visit_module(void *to, const char *path, mx_module *m);
int mx_module_each(mx_module *m, mx_visit_module *visit, void *to);

/* Frozen or not: the own parameters of m, and with recurse of all below, or those members that keys[n] names. strict: a key that
 * nobody has is an error. */
int mx_module_freeze(mx_module *m, bool frozen, bool recurse, const char *const *keys, size_t n, bool strict);
int mx_module_train(mx_module *m, bool mode);

/* ---- gradients ---- */

/* Values of f at the inputs, and the gradients of the first value by the trainable parameters of m in the order of the walk. */
int mx_module_value_and_grad(mx_module *m, mx_closure *f, int n, mx_array *const *in, mx_list *values, mx_list *grads);
/* A closure over (the arrays of the walk `what` ..., inputs ...) that puts the former into m, calls f on the latter and puts back what
 * was there. It keeps m and f. */
mx_closure *mx_module_functional(mx_module *m, mx_closure *f, enum mx_walk what);
/* f at the inputs, where what lies between is computed again for gradients, also those by the trainable parameters of m. */
int mx_module_checkpoint(mx_module *m, mx_closure *f, int n, mx_array *const *in, mx_list *out);

/* ---- as text (text.c), from mx_malloc; NULL and an error ---- */
char *mx_module_text(mx_module *m);
char *mx_module_summary(mx_module *m);

#endif
