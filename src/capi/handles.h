/* Handles <-> internals, and the frame of every public function.
 *
 * A handle's ctx points to a box; NULL is the empty handle. Boxes:
 *   mlx_array          mx_array *        one counted reference, or NULL
 *   mlx_vector_array   mx_list
 *   mlx_closure        mx_closure *      one counted reference
 *   mlx_stream         mx_stream
 *   mlx_device         mx_device
 *   mlx_string         mx_string
 * Boxes come from mx_malloc, except those that Python objects embed and those on the stack for the time of a callback. */
#ifndef MX_CAPI_HANDLES_H
#define MX_CAPI_HANDLES_H

#include "core/closure.h"
#include "graph/graph.h"
#include "mlx/c/array.h"
#include "mlx/c/closure.h"
#include "mlx/c/device.h"
#include "mlx/c/stream.h"
#include "mlx/c/string.h"
#include "mlx/c/vector.h"

/* ---- errors ---- */

/* Tells the handler about this thread's last error; always 1. */
int mx_capi_report(const char *file, int line);
#define MX_REPORT() mx_capi_report(__FILE__, __LINE__)
/* Records an error and reports it; always 1. */
#define MX_REFUSE(kind, ...) (mx_fail(kind, __VA_ARGS__), MX_REPORT())
/* 0 for 0; for the kind of a recorded error, reports it and gives 1. */
#define MX_STATUS(rc) ((rc) ? MX_REPORT() : 0)

/* ---- boxes ---- */

/* The array, or NULL when the handle or its box is empty. Borrowed. */
static inline mx_array *mx_array_of(mlx_array h) { return h.ctx ? *(mx_array **)h.ctx : NULL; }
static inline mx_closure *mx_closure_of(mlx_closure h) { return h.ctx ? *(mx_closure **)h.ctx : NULL; }
static inline mx_list *mx_list_of(mlx_vector_array h) { return h.ctx; }

/* *res = a, into the box that is there or a new one. Takes the reference to a, also when it fails. 0 or the kind. */
int mx_put(mlx_array *res, mx_array *a);
int mx_put_closure(mlx_closure *res, mx_closure *c);
int mx_put_string(mlx_string *res, const char *text);
int mx_put_stream(mlx_stream *res, mx_stream s);
int mx_put_device(mlx_device *res, mx_device d);
/* Takes the items: the list is empty afterwards, also when it fails. */
int mx_put_list(mlx_vector_array *res, mx_list *items);
/* *to = the same arrays as from; empty when it fails. */
int mx_copy_list(mx_list *to, const mx_list *from);
/* As a public function: reports its errors. */
int mx_put_strings(mlx_vector_string *res, size_t n, const char *const *text);

/* The list of a handle that must not be empty, or an error tagged with the function's name. */
int mx_need_list(const mx_list **res, mlx_vector_array h, const char *tag, const char *name);
int mx_need_closure(mx_closure **res, mlx_closure h, const char *tag);

/* ---- the frame of a function that builds a node ---- */

typedef struct mx_capi {
  mx_scope scope;
  const char *tag;
} mx_capi;

void mx_capi_begin(mx_capi *c, const char *tag, mlx_stream s);
void mx_capi_begin_no_stream(mx_capi *c, const char *tag);
/* An argument's array; without one: an error (in), or NULL (maybe). */
mx_array *mx_capi_in(mx_capi *c, mlx_array h, const char *name);
mx_array *mx_capi_maybe(mx_capi *c, mlx_array h, const char *name);
/* An argument's list; an empty one of n = 0 when that is an error. */
const mx_list *mx_capi_vector(mx_capi *c, mlx_vector_array h, const char *name);
/* Errors for a pointer that must not be NULL and for a number that is no dtype. */
void mx_capi_need(mx_capi *c, bool present, const char *name);
void mx_capi_dtype(mx_capi *c, mlx_dtype t, const char *name);
/* An element-wise op with two operands: the short way when they are there and nothing has to be brought in line, else the other, a wrapper of the
 * usual kind. */
typedef int mx_capi_binary(mlx_array *res, mlx_array a, mlx_array b, mlx_stream s);
int mx_capi_pair(mlx_array *res, mlx_array a, mlx_array b, mlx_stream s, mx_opcode op, mx_capi_binary *other);
/* The result goes to res, or the error to the handler; the scope ends. rc is what the graph function gave. 0 or 1. */
int mx_capi_end_at(const char *file, int line, mx_capi *c, mlx_array *res, mx_array *r);
int mx_capi_end_many_at(const char *file, int line, mx_capi *c, int rc, int n, mlx_array *const *res,
                        mx_array *const *r);
int mx_capi_end_vector_at(const char *file, int line, mx_capi *c, int rc, mlx_vector_array *res, mx_list *r);
int mx_capi_end_plain_at(const char *file, int line, mx_capi *c, int rc);
/* The same for a call that was recorded (graph/recorded.h), which gave a list. */
int mx_capi_end_recorded_at(const char *file, int line, mx_capi *c, int n, mlx_array *const *res, mx_list *r);
#define mx_capi_end(...) mx_capi_end_at(__FILE__, __LINE__, __VA_ARGS__)
#define mx_capi_end_many(...) mx_capi_end_many_at(__FILE__, __LINE__, __VA_ARGS__)
#define mx_capi_end_vector(...) mx_capi_end_vector_at(__FILE__, __LINE__, __VA_ARGS__)
#define mx_capi_end_recorded(...) mx_capi_end_recorded_at(__FILE__, __LINE__, __VA_ARGS__)
#define mx_capi_end_plain(...) mx_capi_end_plain_at(__FILE__, __LINE__, __VA_ARGS__)

/* Results of a graph function that is called again, as a list; the scope's error when it has one. */
int mx_capi_push(mx_scope *s, mx_list *out, mx_array *r);
int mx_capi_push_many(mx_scope *s, mx_list *out, int n, mx_array *const *r);
/* The call that the Python extension has set (ext.h): arrays and numbers. */
struct mx_argument;
int mx_capi_extension(mx_scope *s, const struct mx_argument *x, mx_list *out);

#endif
