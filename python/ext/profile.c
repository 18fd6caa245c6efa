/* profile, debug_nans and the trace: contexts around the library's own. */
#include "px_gen.h"

#include "mlx/c/profile.h"

static PyTypeObject *profile_type, *nans_type;

static int check(int rc) { return rc ? px_failed() : 0; }

/* ---- with mx.profile() as p ---- */

typedef struct profile_object {
  PyObject_HEAD mlx_profile h;
} profile_object;

int px_do_profile(PyObject **v, PyObject **out) {
  (void)v;
  profile_object *o = PyObject_New(profile_object, profile_type);
  if (!o) return PX_ERROR;
  o->h = mlx_profile_new();
  if (!o->h.ctx) {
    Py_DECREF(o);
    return px_failed();
  }
  *out = (PyObject *)o;
  return 0;
}
static PyObject *profile_new(PyTypeObject *t, PyObject *args, PyObject *kwargs) {
  PyObject *out = NULL;
  (void)t;
  if (PyTuple_Size(args) || kwargs) return PyErr_SetString(PyExc_TypeError, "Profile takes no arguments"), NULL;
  return px_do_profile(NULL, &out) ? NULL : out;
}
static void profile_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  mlx_profile_free(((profile_object *)o)->h);
  PyObject_Free(o);
  Py_DECREF(t);
}
static PyObject *profile_enter(PyObject *o, PyObject *unused) {
  (void)unused;
  return check(mlx_profile_start(((profile_object *)o)->h)) ? NULL : Py_NewRef(o);
}
static PyObject *profile_exit(PyObject *o, PyObject *args) {
  (void)args;
  if (check(mlx_profile_stop(((profile_object *)o)->h))) return NULL;
  Py_RETURN_NONE;
}
static PyObject *row_dict(const mlx_profile_row *r) {
  PyObject *flops = r->flops < 0 ? Py_NewRef(Py_None) : PyFloat_FromDouble(r->flops);
  double bytes = (double)(r->bytes_read + r->bytes_written);
  PyObject *rate = r->seconds > 0 && bytes > 0 ? PyFloat_FromDouble(bytes / r->seconds * 1e-9) : Py_NewRef(Py_None);
  PyObject *speed = r->flops > 0 && r->seconds > 0 ? PyFloat_FromDouble(r->flops / r->seconds * 1e-9) : Py_NewRef(Py_None);
  return Py_BuildValue("{s:s,s:K,s:d,s:K,s:K,s:N,s:N,s:N}", "op", r->name, "calls", (unsigned long long)r->calls, "seconds", r->seconds,
                       "bytes_read", (unsigned long long)r->bytes_read, "bytes_written", (unsigned long long)r->bytes_written, "flops",
                       flops, "gb_per_s", rate, "gflop_per_s", speed);
}
static PyObject *profile_rows(PyObject *o, void *unused) {
  (void)unused;
  mlx_profile h = ((profile_object *)o)->h;
  size_t n = 0;
  if (check(mlx_profile_num_rows(&n, h))) return NULL;
  PyObject *list = PyList_New(0);
  for (size_t i = 0; list && i < n; i++) {
    mlx_profile_row r;
    PyObject *d = check(mlx_profile_get_row(&r, h, i)) ? NULL : row_dict(&r);
    if (!d || PyList_Append(list, d)) Py_CLEAR(list);
    Py_XDECREF(d);
  }
  return list;
}
static PyObject *profile_seconds(PyObject *o, void *unused) {
  (void)unused;
  double s = 0;
  return check(mlx_profile_seconds(&s, ((profile_object *)o)->h)) ? NULL : PyFloat_FromDouble(s);
}
static PyObject *profile_str(PyObject *o) {
  mlx_string s = mlx_string_new();
  PyObject *r = check(mlx_profile_table(&s, ((profile_object *)o)->h)) ? NULL : PyUnicode_FromString(mlx_string_data(s));
  mlx_string_free(s);
  return r;
}

/* ---- with mx.debug_nans() ---- */

typedef struct nans_object {
  PyObject_HEAD bool nan, inf;
} nans_object;

int px_do_debug_nans(PyObject **v, PyObject **out) { /* enable, inf */
  bool on = true, inf = false;
  if (v[0]) PX_TRY(px_to_bool(v[0], &on));
  if (v[1]) PX_TRY(px_to_bool(v[1], &inf));
  nans_object *o = PyObject_New(nans_object, nans_type);
  if (!o) return PX_ERROR;
  *out = (PyObject *)o;
  return check(mlx_get_debug_nans(&o->nan, &o->inf)) || check(mlx_set_debug_nans(on, inf)) ? PX_ERROR : 0;
}
static void nans_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  PyObject_Free(o);
  Py_DECREF(t);
}
static PyObject *nans_enter(PyObject *o, PyObject *unused) {
  (void)unused;
  return Py_NewRef(o);
}
static PyObject *nans_exit(PyObject *o, PyObject *args) {
  (void)args;
  nans_object *n = (nans_object *)o;
  if (check(mlx_set_debug_nans(n->nan, n->inf))) return NULL;
  Py_RETURN_NONE;
}

/* ---- the trace ---- */

int px_do_start_trace(PyObject **v, PyObject **out) {
  (void)out;
  PyObject *path = NULL;
  if (!PyUnicode_FSConverter(v[0], &path)) {
    PyErr_Clear();
    return PX_TYPE;
  }
  int rc = check(mlx_trace_start(PyBytes_AsString(path)));
  Py_DECREF(path);
  return rc;
}
int px_do_flush_trace(PyObject **v, PyObject **out) {
  (void)v, (void)out;
  return check(mlx_trace_flush());
}
int px_do_stop_trace(PyObject **v, PyObject **out) {
  (void)v, (void)out;
  return check(mlx_trace_stop());
}

int px_init_profile(PyObject *m) {
  static PyGetSetDef getset[] = {
      {"rows", profile_rows, NULL, "One dictionary an operation, the longest time first.", NULL},
      {"seconds", profile_seconds, NULL, "From the start to the end of the block, or until now.", NULL},
      {0}};
  static PyMethodDef profile_methods[] = {
      {"__enter__", profile_enter, METH_NOARGS, NULL}, {"__exit__", profile_exit, METH_VARARGS, NULL}, {0}};
  static PyMethodDef nans_methods[] = {
      {"__enter__", nans_enter, METH_NOARGS, NULL}, {"__exit__", nans_exit, METH_VARARGS, NULL}, {0}};
  PyType_Slot profile[] = {{Py_tp_doc, (void *)"What ran inside a with block, by operation. Prints as a table."},
                           {Py_tp_new, (void *)profile_new},
                           {Py_tp_init, (void *)px_init_done},
                           {Py_tp_getset, getset},
                           {Py_tp_methods, profile_methods},
                           {Py_tp_str, (void *)profile_str},
                           {Py_tp_dealloc, (void *)profile_dealloc},
                           {0, NULL}};
  PyType_Slot nans[] = {{Py_tp_doc, (void *)"The end of a with block restores the check for NaN as it was before."},
                        {Py_tp_methods, nans_methods},
                        {Py_tp_dealloc, (void *)nans_dealloc},
                        {0, NULL}};
  PyType_Spec specs[] = {{"mlx.core.Profile", sizeof(profile_object), 0, Py_TPFLAGS_DEFAULT, profile},
                         {"mlx.core._DebugNansContext", sizeof(nans_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, nans}};
  profile_type = (PyTypeObject *)PyType_FromSpec(&specs[0]);
  nans_type = (PyTypeObject *)PyType_FromSpec(&specs[1]);
  return !profile_type || !nans_type || PyModule_AddObjectRef(m, "Profile", (PyObject *)profile_type) ? -1 : 0;
}
