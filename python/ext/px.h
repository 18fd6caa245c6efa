/* The extension module mlx.core: Python objects over the C API.
 *
 * Names across files start with px_. A Python array embeds the box of its handle (src/capi/ext.h), so an operation
 * allocates its result object and nothing else. Converters (px_to_...) return 0, PX_TYPE for an argument of the wrong type
 * (no exception yet: the caller raises a TypeError that lists the signature) or PX_ERROR with an exception set. */
#ifndef PX_H
#define PX_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "capi/ext.h"
#include "mlx/c/mlx.h"
#if __has_include("mlx/c/fast.h")
#include "mlx/c/fast.h"
#endif
#if __has_include("mlx/c/fft.h")
#include "mlx/c/fft.h"
#endif
#if __has_include("mlx/c/linalg.h")
#include "mlx/c/linalg.h"
#endif
#if __has_include("mlx/c/random.h")
#include "mlx/c/random.h"
#endif
#include "px_have.h"

#define PX_MAX_NDIM 32
#define PX_REPLACE(var, value) \
  do {                         \
    PyObject *old_ = (var);    \
    (var) = (value);           \
    Py_XDECREF(old_);          \
  } while (0)
enum { PX_TYPE = 1, PX_ERROR = -1 };

/* ---- objects ---- */
typedef struct px_array {
  PyObject_HEAD void *slot;
  PyObject *weak;
} px_array;

extern PyObject *px_module; /* mlx.core */
extern PyTypeObject *px_array_type;
extern PyObject *px_axis_error; /* both an IndexError and a ValueError */

static inline bool px_is_array(PyObject *o) { return Py_TYPE(o) == px_array_type || PyType_IsSubtype(Py_TYPE(o), px_array_type); }
/* The handle of a Python array; borrowed, valid while the object lives. */
static inline mlx_array px_handle(PyObject *o) { return (mlx_array){&((px_array *)o)->slot}; }

PyObject *px_new(void);         /* an empty array object, to be used as a result */
PyObject *px_wrap(mlx_array h); /* a new object that shares what h holds */
/* The exception for the last failed call of the C API (a pending one, from a callback, is kept). Returns NULL. */
PyObject *px_raise(void);
/* Finishes a result: rc of the C call; on failure drops it and raises. */
PyObject *px_done(PyObject *result, int rc);

/* ---- arguments ---- */
#define PX_MAX_PARAMS 20
typedef struct px_sig {
  const char *name;
  const char *text; /* "(a: array, /, ...) -> array" */
  const char *params[PX_MAX_PARAMS];
  uint8_t npositional_only, npositional, nparams;
  bool variadic;     /* the first parameter is *args: a tuple */
  uint32_t required; /* bit i: parameter i has no default */
  struct {
    const char *name;
    uint8_t of;
  } renamed[2]; /* keywords that stand for a parameter of another name */
} px_sig;

/* Distributes arguments over v[nparams] (borrowed; NULL where absent); sig must stay where it is, as it is. first, if not NULL, is parameter 0 (a method's
 * self). For a variadic signature v[0] is a new reference to a tuple. */
int px_bind(const px_sig *sig, PyObject *first, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, PyObject **v);
/* TypeError that names the types given and the signature. Returns NULL. */
PyObject *px_type_error(const px_sig *sig, PyObject *first, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *px_type_error_tuple(const px_sig *sig, PyObject *args, PyObject *kwargs);

/* An array argument: the handle of a Python array, or an array made for the call that lives in slot. Zero-initialise. */
typedef struct px_arg {
  mlx_array h;
  void *slot;
} px_arg;
static inline void px_drop(px_arg *a) {
  if (a->slot) mlx_ext_clear((mlx_array){&a->slot});
}
static inline mlx_array px_own(px_arg *a) { return a->h = (mlx_array){&a->slot}; }

typedef struct px_ints {
  int n;       /* -1: None */
  bool single; /* a plain int was given */
  int v[PX_MAX_NDIM];
} px_ints;

typedef struct px_doubles {
  int n;
  double v[PX_MAX_NDIM];
} px_doubles;

typedef struct px_stream {
  mlx_stream h;
  bool own;
} px_stream;
static inline void px_drop_stream(px_stream *s) {
  if (s->own) mlx_stream_free(s->h);
}

typedef struct px_arrays { /* a list of arrays */
  mlx_vector_array h;
} px_arrays;
static inline void px_drop_arrays(px_arrays *a) {
  if (a->h.ctx) mlx_vector_array_free(a->h);
}

int px_to_array(PyObject *o, px_arg *a); /* an array, nothing else */
int px_to_array_or_none(PyObject *o, px_arg *a);
int px_to_any(PyObject *o, px_arg *a);                  /* a scalar, an array, or what can become one */
mlx_dtype px_weak_dtype(PyObject *o, mlx_dtype like);        /* of a Python scalar beside an array of dtype like */
int px_to_weak(PyObject *o, mlx_dtype like, px_arg *a); /* the same; Python scalars follow the dtype of an array */
int px_to_weak_or_none(PyObject *o, mlx_dtype like, px_arg *a);
int px_to_pair(PyObject *x, PyObject *y, px_arg *a, px_arg *b); /* two operands, the scalar one weak */
int px_to_arrays(PyObject *o, px_arrays *a);                    /* list or tuple of arrays */
int px_to_any_arrays(PyObject *o, px_arrays *a);                /* the same, scalars allowed */
int px_to_int(PyObject *o, int *v);
int px_to_int_or_none(PyObject *o, mlx_optional_int *v);
int px_to_int64(PyObject *o, int64_t *v);
int px_to_size(PyObject *o, size_t *v);
int px_to_uint64(PyObject *o, uint64_t *v);
int px_to_bool(PyObject *o, bool *v);
int px_to_double(PyObject *o, double *v); /* int, float, bool, or an array of one element */
int px_to_float_or_none(PyObject *o, mlx_optional_float *v);
int px_to_string(PyObject *o, const char **v);      /* borrowed from o */
Py_ssize_t px_length(PyObject *o);                  /* of a sequence or an array with a dimension; -1, no exception: neither */
PyObject *px_element(PyObject *o, Py_ssize_t i);    /* element i of either */
int px_to_ints(PyObject *o, px_ints *v);            /* None, an int or a sequence of them */
int px_to_shape(PyObject *o, px_ints *v);           /* a sequence */
int px_to_size_or_shape(PyObject *o, px_ints *v);   /* an int or a sequence */
int px_to_repeated(PyObject *o, int n, px_ints *v); /* an int (repeated) or n of them */
int px_to_doubles(PyObject *o, px_doubles *v);      /* a number or a sequence of them */
int px_to_dtype(PyObject *o, mlx_dtype *v);
int px_to_dtype_or(PyObject *o, mlx_dtype otherwise, mlx_dtype *v);
int px_to_stream(PyObject *o, px_stream *s);
static inline int px_default_stream(px_stream *s) {
  s->h = mlx_ext_default_stream();
  s->own = false;
  return 0;
}

/* Releases o soon; from any thread, with or without the interpreter lock. */
void px_release_later(PyObject *o);

/* ---- converting (convert.c, export.c) ---- */
int px_set_long(mlx_array *res, PyObject *o, int like); /* like: a dtype to follow, or -1 */
int px_from_object(PyObject *o, int dtype, px_arg *a);  /* mx.array(o, dtype); dtype -1: its own */
PyObject *px_own_copy(mlx_array h); /* evaluated, in memory of its own */
int px_from_buffer(PyObject *o, px_arg *a);
int px_from_dlpack(PyObject *o, px_arg *a);
bool px_is_foreign(PyObject *o); /* NumPy, buffers, DLPack */
int px_eval(mlx_array h);        /* with the interpreter lock released */
PyObject *px_tolist(PyObject *array);
PyObject *px_item(PyObject *array);
PyObject *px_numpy(PyObject *array); /* a NumPy array that shares memory */
int px_getbuffer(PyObject *self, Py_buffer *view, int flags);
void px_releasebuffer(PyObject *self, Py_buffer *view);
#define CMLX_ARRAY_API "2024.12" /* the version of the Python array API standard */
PyObject *px_array_device(PyObject *self, void *closure);
PyObject *px_array_to_device(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *px_dlpack(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *px_dlpack_device(PyObject *self, PyObject *unused);
const char *px_format(mlx_dtype t); /* of the buffer protocol */

/* Elements of a vector as a list or a tuple. */
PyObject *px_vector_list(mlx_vector_array v);
PyObject *px_vector_tuple(mlx_vector_array v);

/* ---- indexing ---- */
PyObject *px_getitem(PyObject *self, PyObject *key);
int px_setitem(PyObject *self, PyObject *key, PyObject *value);
typedef enum px_update { PX_SET, PX_ADD, PX_MUL, PX_MAX, PX_MIN } px_update;
/* res = array with value (cast to its dtype) written, added, ... at key. */
int px_updated(mlx_array *res, PyObject *array, PyObject *key, PyObject *value, px_update how);

/* ---- trees: nested lists, tuples and dicts ---- */
typedef int (*px_visit)(PyObject *leaf, void *ctx);
int px_tree_visit(PyObject *tree, px_visit f, void *ctx);
typedef PyObject *(*px_mapper)(PyObject *leaf, void *ctx); /* returns a new reference */
PyObject *px_tree_map(PyObject *tree, px_mapper f, void *ctx);
/* The same, with objects of classes made from list and dict (a Module) as leaves. */
PyObject *px_tree_map_plain(PyObject *tree, px_mapper f, void *ctx);
bool px_is_subclassed(PyObject *o); /* is of such a class */
/* Replaces leaves inside lists and dicts in place; f returns a new reference, or NULL without error to keep the leaf. */
int px_tree_replace(PyObject *tree, px_mapper f, void *ctx);

/* A growing list of arrays that owns what it holds. */
typedef struct px_list {
  void **slot;
  size_t n, cap;
} px_list;
int px_list_push(px_list *l, mlx_array h);
static inline mlx_array px_list_at(px_list *l, size_t i) { return (mlx_array){&l->slot[i]}; }
void px_list_clear(px_list *l);
mlx_vector_array px_list_vector(px_list *l); /* ctx NULL and an exception on failure */
int px_list_from_vector(px_list *l, mlx_vector_array v);
int px_tree_arrays(PyObject *tree, px_list *l, bool strict); /* strict: every leaf must be an array */
int px_append_arrays(mlx_vector_array v, px_list *l);

/* __init__ of a type whose __new__ has taken the arguments. */
int px_init_done(PyObject *self, PyObject *args, PyObject *kwargs);
/* Rows of a method table that give __init__ and __eq__ parameters that inspect can read; calls of the type and == take the slots. */
PyObject *px_method_init(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *px_method_eq(PyObject *self, PyObject *other);
#define PX_INIT(parameters)                                                                  \
  {                                                                                          \
    "__init__", PX_FN(px_method_init), METH_VARARGS | METH_KEYWORDS | METH_COEXIST,          \
        "__init__($self" parameters ")\n--\n\nThe object was made and filled by its type." \
  }
#define PX_EQ \
  { "__eq__", px_method_eq, METH_O | METH_COEXIST, "__eq__($self, arg, /)\n--\n\nself == arg" }

/* ---- parts of the module ---- */
int px_init_dtype(PyObject *m);
int px_init_device(PyObject *m);
int px_init_array(PyObject *m);
int px_init_at(PyObject *m);
int px_init_index(PyObject *m);
PyObject *px_iterate(PyObject *array);
PyObject *px_new_at(PyObject *array);
int px_init_transforms(PyObject *m);
int px_init_compile(PyObject *m);
int px_init_custom(PyObject *m);
int px_init_export(PyObject *m);
int px_init_primitive(PyObject *m);
int px_init_random(PyObject *m, PyObject *random);
int px_init_print(PyObject *m);
int px_init_distributed(PyObject *m);
int px_init_entries(PyObject *m);
int px_init_profile(PyObject *m);
PyObject *px_export_to_dot(PyObject *m, PyObject *args, PyObject *kwargs);

PyObject *px_make_enum(const char *name, const char *const *members, int n, const char *doc);
PyObject *px_dtype_object(mlx_dtype t); /* borrowed */
const char *px_dtype_name(mlx_dtype t);
char px_dtype_kind(mlx_dtype t); /* b u i f c */
bool px_is_dtype(PyObject *o);
bool px_is_random_state(PyObject *o);

/* The generated tables (tools/pygen.py from ops/python.def). */
extern PyMethodDef px_core_functions[], px_linalg_functions[], px_fft_functions[], px_random_functions[], px_fast_functions[],
    px_distributed_functions[], px_metal_functions[], px_cuda_functions[], px_optim_functions[], px_nn_functions[];
extern PyMethodDef px_array_generated[];
typedef struct px_named {
  const char *room, *name, *fields;
} px_named;
extern const px_named px_named_results[];

/* Helpers of generated functions: one C function an axis form. */
typedef int (*px_reduce_all)(mlx_array *, mlx_array, bool, mlx_stream);
typedef int (*px_reduce_one)(mlx_array *, mlx_array, int, bool, mlx_stream);
typedef int (*px_reduce_axes)(mlx_array *, mlx_array, const int *, size_t, bool, mlx_stream);

#define PX_FASTCALL (METH_FASTCALL | METH_KEYWORDS)
#define PX_FN(f)    ((PyCFunction)(void (*)(void))(f))

#endif
