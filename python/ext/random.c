/* mlx.core.random: what the table does not give, and `state`, the generator's state of this thread. */
#include <limits.h>

#include "px_gen.h"

static PyTypeObject *state_type;
static PyObject *state_object;

#ifdef PX_HAVE_mlx_random_key
bool px_is_random_state(PyObject *o) { return state_type && Py_TYPE(o) == state_type; }

int px_do_random_seed(PyObject **v, PyObject **out) {
  uint64_t seed;
  (void)out;
  PX_TRY(px_to_uint64(v[0], &seed));
  PX_CHECK(mlx_random_seed(seed));
  return 0;
}

int px_do_random_key(PyObject **v, PyObject **out) {
  uint64_t seed;
  PX_TRY(px_to_uint64(v[0], &seed));
  PX_RESULT(out, mlx_random_key(&res, seed));
}

/* Not given: that of the parameters. */
static void own_shape(px_ints *shape) {
  if (shape->n < 0) *shape = (px_ints){.n = 1, .v = {INT_MIN}};
}

int px_do_random_bernoulli(PyObject **v, PyObject **out) { /* p, shape, key, stream */
  px_ints shape = {.n = -1};
  PX_ARG(p);
  PX_ARG(key);
  PX_STREAM(s);
  PX_TRY(v[0] ? px_to_any(v[0], &p) : px_default_scalar(&p, 0.5));
  if (v[1]) PX_TRY(px_to_shape_or_none(v[1], &shape));
  if (v[2]) PX_TRY(px_to_array_or_none(v[2], &key));
  PX_TRY(px_stream_arg(v[3], &s));
  own_shape(&shape);
  PX_RESULT(out, mlx_random_bernoulli(&res, p.h, shape.v, (size_t)shape.n, key.h, s.h));
}

int px_do_random_truncated_normal(PyObject **v, PyObject **out) { /* lower, upper, shape, dtype, key, stream */
  px_ints shape = {.n = -1};
  mlx_dtype t = MLX_FLOAT32;
  PX_ARG(lo);
  PX_ARG(hi);
  PX_ARG(key);
  PX_STREAM(s);
  PX_TRY(px_to_any(v[0], &lo));
  PX_TRY(px_to_any(v[1], &hi));
  if (v[2]) PX_TRY(px_to_shape_or_none(v[2], &shape));
  if (v[3]) PX_TRY(px_to_dtype_or(v[3], MLX_FLOAT32, &t));
  if (v[4]) PX_TRY(px_to_array_or_none(v[4], &key));
  PX_TRY(px_stream_arg(v[5], &s));
  own_shape(&shape);
  PX_RESULT(out, mlx_random_truncated_normal(&res, lo.h, hi.h, shape.v, (size_t)shape.n, t, key.h, s.h));
}

int px_do_random_categorical(PyObject **v, PyObject **out) { /* logits, axis, shape, num_samples, key, stream */
  int axis = -1;
  px_ints shape = {.n = -1};
  mlx_optional_int samples = {0, false};
  PX_ARG(logits);
  PX_ARG(key);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &logits));
  if (v[1]) PX_TRY(px_to_int(v[1], &axis));
  if (v[2]) PX_TRY(px_to_shape_or_none(v[2], &shape));
  if (v[3]) PX_TRY(px_to_int_or_none(v[3], &samples));
  if (v[4]) PX_TRY(px_to_array_or_none(v[4], &key));
  PX_TRY(px_stream_arg(v[5], &s));
  if (shape.n >= 0 && samples.has_value) {
    PyErr_SetString(PyExc_ValueError, "[categorical] At most one of shape or num_samples can be specified.");
    return PX_ERROR;
  }
  if (shape.n >= 0) PX_RESULT(out, mlx_random_categorical_shape(&res, logits.h, axis, shape.v, (size_t)shape.n, key.h, s.h));
  if (samples.has_value) PX_RESULT(out, mlx_random_categorical_num_samples(&res, logits.h, axis, samples.value, key.h, s.h));
  PX_RESULT(out, mlx_random_categorical(&res, logits.h, axis, key.h, s.h));
}

int px_do_random_permutation(PyObject **v, PyObject **out) { /* x, axis, key, stream */
  int axis = 0, n;
  PX_ARG(x);
  PX_ARG(key);
  PX_STREAM(s);
  if (v[1]) PX_TRY(px_to_int(v[1], &axis));
  if (v[2]) PX_TRY(px_to_array_or_none(v[2], &key));
  PX_TRY(px_stream_arg(v[3], &s));
  if (!px_is_array(v[0])) {
    PX_TRY(px_to_int(v[0], &n));
    PX_RESULT(out, mlx_random_permutation_arange(&res, n, key.h, s.h));
  }
  PX_TRY(px_to_array(v[0], &x));
  PX_RESULT(out, mlx_random_permutation(&res, x.h, axis, key.h, s.h));
}

/* ---- beyond MLX: parameters, then shape (None: that of the parameters), dtype, key, stream ---- */

typedef struct draw_args {
  px_arg a, b, key;
  px_ints shape;
  mlx_dtype t;
  px_stream s;
} draw_args;

static void drop_draw(draw_args *d) {
  px_drop(&d->a);
  px_drop(&d->b);
  px_drop(&d->key);
  px_drop_stream(&d->s);
}
#define DRAW(d, type) __attribute__((cleanup(drop_draw))) draw_args d = {.shape = {.n = -1}, .t = type}

static int draw_parse(draw_args *d, PyObject **v, int parameters) {
  PX_TRY(v[0] ? px_to_any(v[0], &d->a) : px_default_scalar(&d->a, 1));
  if (parameters == 2) PX_TRY(v[1] ? px_to_any(v[1], &d->b) : px_default_scalar(&d->b, 1));
  v += parameters;
  if (v[0]) PX_TRY(px_to_shape_or_none(v[0], &d->shape));
  if (v[1]) PX_TRY(px_to_dtype_or(v[1], d->t, &d->t));
  if (v[2]) PX_TRY(px_to_array_or_none(v[2], &d->key));
  PX_TRY(px_stream_arg(v[3], &d->s));
  own_shape(&d->shape);
  return 0;
}

#define DRAW1(name, type)                                                                                             \
  int px_do_random_##name(PyObject **v, PyObject **out) {                                                             \
    DRAW(d, type);                                                                                                    \
    PX_TRY(draw_parse(&d, v, 1));                                                                                     \
    PX_RESULT(out, mlx_random_##name(&res, d.a.h, d.shape.v, (size_t)d.shape.n, d.t, d.key.h, d.s.h));                \
  }
#define DRAW2(name)                                                                                                   \
  int px_do_random_##name(PyObject **v, PyObject **out) {                                                             \
    DRAW(d, MLX_FLOAT32);                                                                                             \
    PX_TRY(draw_parse(&d, v, 2));                                                                                     \
    PX_RESULT(out, mlx_random_##name(&res, d.a.h, d.b.h, d.shape.v, (size_t)d.shape.n, d.t, d.key.h, d.s.h));         \
  }
DRAW1(exponential, MLX_FLOAT32)
DRAW1(poisson, MLX_INT32)
DRAW1(dirichlet, MLX_FLOAT32)
DRAW2(gamma)
DRAW2(beta)

int px_do_random_choice(PyObject **v, PyObject **out) { /* a, shape, replace, p, axis, key, stream */
  px_ints shape = {.n = 0};
  bool replace = true;
  int axis = 0, n;
  PX_ARG(a);
  PX_ARG(p);
  PX_ARG(key);
  PX_STREAM(s);
  if (v[1]) PX_TRY(px_to_size_or_shape(v[1], &shape));
  if (v[2]) PX_TRY(px_to_bool(v[2], &replace));
  if (v[3]) PX_TRY(px_to_array_or_none(v[3], &p));
  if (v[4]) PX_TRY(px_to_int(v[4], &axis));
  if (v[5]) PX_TRY(px_to_array_or_none(v[5], &key));
  PX_TRY(px_stream_arg(v[6], &s));
  size_t k = (size_t)shape.n;
  if (!px_is_array(v[0])) {
    PX_TRY(px_to_int(v[0], &n));
    PX_RESULT(out, mlx_random_choice_arange(&res, n, shape.v, k, replace, p.h, key.h, s.h));
  }
  PX_TRY(px_to_array(v[0], &a));
  PX_RESULT(out, mlx_random_choice(&res, a.h, shape.v, k, replace, p.h, axis, key.h, s.h));
}

#endif

/* ---- state: a sequence of one key, resolved when it is used ---- */

static Py_ssize_t state_length(PyObject *o) {
  (void)o;
  return 1;
}
static int index_ok(PyObject *key) {
  int i;
  if (px_to_int(key, &i) == 0 && (i == 0 || i == -1)) return 1;
  PyErr_SetString(PyExc_IndexError, "random state index out of range");
  return 0;
}
static PyObject *state_get(PyObject *o, PyObject *key) {
  (void)o;
  if (!index_ok(key)) return NULL;
  PyObject *r = px_new();
  if (!r) return NULL;
  mlx_array res = px_handle(r);
  return px_done(r, mlx_ext_random_state(&res));
}
static int state_set(PyObject *o, PyObject *key, PyObject *value) {
  (void)o;
  if (!value || !index_ok(key)) return value ? -1 : (PyErr_SetString(PyExc_TypeError, "the random state has one element"), -1);
  if (!px_is_array(value)) return PyErr_SetString(PyExc_TypeError, "the random state is an array"), -1;
  return mlx_ext_random_set_state(px_handle(value)) ? (px_raise(), -1) : 0;
}
static PyObject *state_item(PyObject *o, Py_ssize_t i) {
  PyObject *key = PyLong_FromSsize_t(i), *r = key ? state_get(o, key) : NULL;
  Py_XDECREF(key);
  return r;
}
static void state_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  PyObject_Free(o);
  Py_DECREF(t);
}

/* Of the module: names that it does not have (state is an attribute). */
int px_do_random_getattr(PyObject **v, PyObject **out) {
  (void)out;
  if (!PyUnicode_Check(v[0])) return PX_TYPE;
  PyErr_Format(PyExc_AttributeError, "module 'mlx.core.random' has no attribute '%U'", v[0]);
  return PX_ERROR;
}

int px_init_random(PyObject *m, PyObject *random) {
  (void)m;
  PyType_Slot slots[] = {{Py_tp_doc, (void *)"The state of the generator: a sequence of one key."},
                         {Py_mp_length, (void *)state_length},
                         {Py_mp_subscript, (void *)state_get},
                         {Py_mp_ass_subscript, (void *)state_set},
                         {Py_sq_item, (void *)state_item},
                         {Py_sq_length, (void *)state_length},
                         {Py_tp_dealloc, (void *)state_dealloc},
                         {0, NULL}};
  PyType_Spec spec = {"mlx.core.random._RandomState", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                      slots};
  state_type = (PyTypeObject *)PyType_FromSpec(&spec);
  if (!state_type || PyModule_AddObjectRef(random, "_RandomState", (PyObject *)state_type)) return -1;
  state_object = PyObject_New(PyObject, state_type);
  return !state_object || PyModule_AddObjectRef(random, "state", state_object) ? -1 : 0;
}
