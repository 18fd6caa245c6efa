/* mlx.core.distributed: groups of processes and collectives. */
#include "px_gen.h"

typedef struct group_object {
  PyObject_HEAD mlx_distributed_group h;
} group_object;
static PyTypeObject *group_type;
static mlx_distributed_group handle_of(PyObject *o) { return ((group_object *)o)->h; }

static PyObject *new_group(void) {
  group_object *g = PyObject_New(group_object, group_type);
  if (g) g->h = mlx_distributed_group_new();
  return (PyObject *)g;
}

/* A Group or None, which is the group of all processes. */
static int to_group(PyObject *o, mlx_distributed_group *h) {
  *h = (mlx_distributed_group){NULL};
  if (!o || o == Py_None) return 0;
  if (!PyObject_TypeCheck(o, group_type)) return PX_TYPE;
  *h = handle_of(o);
  return 0;
}

/* ---- functions ---- */

int px_do_distributed_is_available(PyObject **v, PyObject **out) {
  const char *backend = "any";
  if (v[0]) PX_TRY(px_to_string(v[0], &backend));
  *out = PyBool_FromLong(mlx_distributed_is_available(backend));
  return 0;
}

int px_do_distributed_init(PyObject **v, PyObject **out) { /* strict, backend, all_gather_factory */
  const char *backend = "any";
  bool strict = false;
  if (v[0]) PX_TRY(px_to_bool(v[0], &strict));
  if (v[1]) PX_TRY(px_to_string(v[1], &backend));
  if (v[2] && v[2] != Py_None && strcmp(backend, "jaccl")) {
    PyErr_SetString(PyExc_ValueError, "all_gather_factory is only supported with backend='jaccl'.");
    return PX_ERROR;
  }
  if (!(*out = new_group())) return PX_ERROR;
  return px_finish(out, mlx_distributed_init(&((group_object *)*out)->h, strict, backend));
}

int px_do_collective(PyObject **v, PyObject **out, px_collective fn) { /* x, group, stream */
  mlx_distributed_group group;
  PX_ARG(x);
  PX_STREAM(s);
  PX_TRY(px_to_any(v[0], &x));
  PX_TRY(to_group(v[1], &group));
  PX_TRY(px_stream_arg(v[2], &s));
  PX_RESULT(out, fn(&res, x.h, group, s.h));
}

/* x, a rank, group, stream */
static int message(PyObject **v, PyObject **out, int (*fn)(mlx_array *, mlx_array, int, mlx_distributed_group, mlx_stream)) {
  mlx_distributed_group group;
  int rank;
  PX_ARG(x);
  PX_STREAM(s);
  PX_TRY(px_to_any(v[0], &x));
  PX_TRY(px_to_int(v[1], &rank));
  PX_TRY(to_group(v[2], &group));
  PX_TRY(px_stream_arg(v[3], &s));
  PX_RESULT(out, fn(&res, x.h, rank, group, s.h));
}
int px_do_distributed_send(PyObject **v, PyObject **out) { return message(v, out, mlx_distributed_send); }
int px_do_distributed_recv_like(PyObject **v, PyObject **out) { return message(v, out, mlx_distributed_recv_like); }

int px_do_distributed_recv(PyObject **v, PyObject **out) { /* shape, dtype, src, group, stream */
  mlx_distributed_group group;
  px_ints shape = {.n = 0};
  mlx_dtype t;
  int src;
  PX_STREAM(s);
  PX_TRY(px_to_shape(v[0], &shape));
  PX_TRY(px_to_dtype(v[1], &t));
  PX_TRY(px_to_int(v[2], &src));
  PX_TRY(to_group(v[3], &group));
  PX_TRY(px_stream_arg(v[4], &s));
  PX_RESULT(out, mlx_distributed_recv(&res, shape.v, (size_t)shape.n, t, src, group, s.h));
}

/* ---- Group ---- */

static PyObject *group_rank(PyObject *o, PyObject *unused) {
  (void)unused;
  return PyLong_FromLong(mlx_distributed_group_rank(handle_of(o)));
}
static PyObject *group_size(PyObject *o, PyObject *unused) {
  (void)unused;
  return PyLong_FromLong(mlx_distributed_group_size(handle_of(o)));
}

static int body_split(PyObject **v, PyObject **out) { /* self, color, key */
  int color, key = -1;
  PX_TRY(px_to_int(v[1], &color));
  if (v[2]) PX_TRY(px_to_int(v[2], &key));
  if (!(*out = new_group())) return PX_ERROR;
  return px_finish(out, mlx_distributed_group_split(&((group_object *)*out)->h, handle_of(v[0]), color, key));
}
static PyObject *group_split(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
  static const px_sig sig = {"split", "(self, color: int, key: int=-1) -> Group", {"self", "color", "key"}, 1, 3, 3, false, 0x3, {{NULL, 0}}};
  return px_call(&sig, body_split, self, args, nargs, kwnames);
}

static void group_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  mlx_distributed_group_free(handle_of(o));
  PyObject_Free(o);
  Py_DECREF(t);
}

int px_init_distributed(PyObject *m) {
  static PyMethodDef methods[] = {
      {"rank", group_rank, METH_NOARGS, "rank($self, /)\n--\n\nThe number of this process in the group."},
      {"size", group_size, METH_NOARGS, "size($self, /)\n--\n\nHow many processes the group has."},
      {"split", PX_FN(group_split), PX_FASTCALL,
       "split($self, /, color, key=-1)\n--\n\nThe processes that give the same color, in the order of their key."},
      {0}};
  PyType_Slot slots[] = {{Py_tp_doc, (void *)"Processes that compute together."},
                         {Py_tp_methods, methods},
                         {Py_tp_dealloc, (void *)group_dealloc},
                         {0, NULL}};
  PyType_Spec spec = {"mlx.core.distributed.Group", sizeof(group_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  if (!m) return -1;
  group_type = (PyTypeObject *)PyType_FromSpec(&spec);
  return !group_type || PyModule_AddObjectRef(m, "Group", (PyObject *)group_type) ? -1 : 0;
}
