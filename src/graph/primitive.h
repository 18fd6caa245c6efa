/* Primitives registered at run time. A node of one is a tuple of OP_primitive: its object is the mx_registered, its first parameter the
 * number under which infer finds that again, the user's parameters follow. The name's owner and the nodes hold the record; a name that is
 * registered again stands for the new primitive from then on, older nodes keep the old one. */
#ifndef MX_GRAPH_PRIMITIVE_H
#define MX_GRAPH_PRIMITIVE_H

#include "core/primitive.h"
#include "graph/graph.h"

enum { MX_PRIMITIVE_MAX_OUT = 256, MX_PRIMITIVE_MAX_P = 1024 };

/* What a rule is asked about. */
typedef struct mx_primitive_site {
  int nin, nout, np;
  mx_array *const *in, *const *out;
  const int64_t *p;
} mx_primitive_site;

typedef struct mx_primitive_rules {
  int nout;
  int (*shape)(void *payload, const mx_primitive_site *site, mx_aval *out); /* site->out is NULL */
  int (*eval)(void *payload, const mx_primitive_call *call);
  /* Any of these may be NULL. They push one array an input, an output, an output. */
  int (*vjp)(void *payload, const mx_primitive_site *site, mx_array *const *cotangents, mx_list *res);
  int (*jvp)(void *payload, const mx_primitive_site *site, mx_array *const *tangents, mx_list *res);
  int (*vmap)(void *payload, const mx_primitive_site *site, const int *axes, mx_list *res, int *res_axes); /* site->in: the whole inputs */
  void *payload;
  void (*dtor)(void *payload);
} mx_primitive_rules;

typedef struct mx_registered {
  mx_primitive base;
  int id;
  mx_primitive_rules rules;
  char name[];
} mx_registered;

/* Takes rules->payload: dtor is called also when this fails. */
int mx_primitive_register(const char *name, const mx_primitive_rules *rules);
/* Forgets a name; an error when there is none. */
int mx_primitive_unregister(const char *name);
/* A new reference, or NULL and an error tagged with tag. */
mx_registered *mx_primitive_named(const char *name, const char *tag);
/* The results of a node, in res[r->rules.nout]. */
int mx_primitive_apply(mx_scope *s, mx_registered *r, int nin, mx_array *const *in, int np, const int64_t *p, mx_array **res);
static inline mx_registered *mx_registered_of(const mx_array *node) { return (mx_registered *)node->object; }

#endif
