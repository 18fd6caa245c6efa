/* Arrays to Python: items, lists, the buffer protocol, NumPy, DLPack. An export keeps the array's data alive by a
 * reference of its own, so that rebinding the Python object (x += 1) does not move what was exported. */
#include "half.h"
#include "px.h"

#include <stdlib.h>

int px_eval(mlx_array h) {
  bool ready = false;
  if (!h.ctx || _mlx_array_is_available(&ready, h) || ready) return 0;
  void *slot = NULL;
  mlx_array own = {&slot};
  int rc = mlx_array_set(&own, h);
  if (!rc) {
    Py_BEGIN_ALLOW_THREADS rc = mlx_array_eval(own);
    Py_END_ALLOW_THREADS
  }
  if (rc) px_raise();
  mlx_ext_clear(own);
  return rc ? PX_ERROR : 0;
}

/* ---- items and lists ---- */

static PyObject *element(const void *p, mlx_dtype t) {
  uint16_t h;
  switch (t) {
  case MLX_BOOL: return PyBool_FromLong(*(const uint8_t *)p);
  case MLX_UINT8: return PyLong_FromLong(*(const uint8_t *)p);
  case MLX_UINT16: return PyLong_FromLong(*(const uint16_t *)p);
  case MLX_UINT32: return PyLong_FromUnsignedLong(*(const uint32_t *)p);
  case MLX_UINT64: return PyLong_FromUnsignedLongLong(*(const uint64_t *)p);
  case MLX_INT8: return PyLong_FromLong(*(const int8_t *)p);
  case MLX_INT16: return PyLong_FromLong(*(const int16_t *)p);
  case MLX_INT32: return PyLong_FromLong(*(const int32_t *)p);
  case MLX_INT64: return PyLong_FromLongLong(*(const int64_t *)p);
  case MLX_FLOAT32: return PyFloat_FromDouble(*(const float *)p);
  case MLX_FLOAT64: return PyFloat_FromDouble(*(const double *)p);
  case MLX_FLOAT16: memcpy(&h, p, 2); return PyFloat_FromDouble(px_f16_to_f32(h));
  case MLX_BFLOAT16: memcpy(&h, p, 2); return PyFloat_FromDouble(px_bf16_to_f32(h));
  default: return PyComplex_FromDoubles(((const float *)p)[0], ((const float *)p)[1]);
  }
}

PyObject *px_item(PyObject *self) {
  mlx_array h = px_handle(self);
  if (mlx_array_size(h) != 1) {
    PyErr_SetString(PyExc_ValueError, "[convert] Only length-1 arrays can be converted to Python scalars.");
    return NULL;
  }
  if (px_eval(h)) return NULL;
  const void *data = mlx_ext_data(h);
  if (!data) return PyErr_SetString(PyExc_RuntimeError, "[convert] The array has no data."), NULL;
  return element(data, mlx_array_dtype(h));
}

typedef struct walk {
  const int *shape;
  const int64_t *strides;
  int ndim;
  mlx_dtype dtype;
  size_t itemsize;
} walk;

static PyObject *list_at(const walk *w, const char *p, int dim) {
  if (dim == w->ndim) return element(p, w->dtype);
  int n = w->shape[dim];
  PyObject *list = PyList_New(n);
  for (int i = 0; list && i < n; i++) {
    PyObject *item = list_at(w, p + (int64_t)i * w->strides[dim] * (int64_t)w->itemsize, dim + 1);
    if (!item)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, i, item);
  }
  return list;
}

PyObject *px_tolist(PyObject *self) {
  mlx_array h = px_handle(self);
  if (px_eval(h)) return NULL;
  walk w = {mlx_array_shape(h), (const int64_t *)mlx_array_strides(h), (int)mlx_array_ndim(h), mlx_array_dtype(h),
            mlx_array_itemsize(h)};
  void *slot = NULL; /* printing an element cannot run Python code, but memory pressure may run finalizers */
  mlx_array hold = {&slot};
  mlx_array_set(&hold, h);
  PyObject *r = list_at(&w, mlx_ext_data(hold), 0);
  mlx_ext_clear(hold);
  return r;
}

/* ---- buffer protocol ---- */

const char *px_format(mlx_dtype t) {
  static const char *const formats[] = {
      [MLX_BOOL] = "?",    [MLX_UINT8] = "B",   [MLX_UINT16] = "H",          [MLX_UINT32] = "I",    [MLX_UINT64] = "Q",
      [MLX_INT8] = "b",    [MLX_INT16] = "h",   [MLX_INT32] = "i",           [MLX_INT64] = "q",     [MLX_FLOAT16] = "e",
      [MLX_FLOAT32] = "f", [MLX_FLOAT64] = "d", [MLX_BFLOAT16] = "bfloat16", [MLX_COMPLEX64] = "Zf"};
  return formats[t];
}

typedef struct exported {
  void *slot;
  Py_ssize_t dims[2 * PX_MAX_NDIM];
} exported;

/* A broadcast array has fewer elements in memory than it shows: a writer would change several at once. */
static bool is_broadcast(mlx_array h) {
  const int64_t *strides = (const int64_t *)mlx_array_strides(h);
  for (int i = 0; i < (int)mlx_array_ndim(h); i++)
    if (strides[i] == 0 && mlx_array_shape(h)[i] > 1) return true;
  return false;
}
static int unbroadcast(mlx_array *h) {
  if (mlx_contiguous(h, *h, false, mlx_ext_default_stream())) return px_raise(), PX_ERROR;
  return px_eval(*h);
}

int px_getbuffer(PyObject *self, Py_buffer *view, int flags) {
  view->obj = NULL;
  mlx_array h = px_handle(self);
  if (px_eval(h)) return -1;
  exported *e = PyMem_Malloc(sizeof *e);
  if (!e) return PyErr_NoMemory(), -1;
  e->slot = NULL;
  mlx_array hold = {&e->slot};
  bool row = false;
  if (mlx_array_set(&hold, h) || _mlx_array_is_row_contiguous(&row, hold)) {
    px_raise();
    goto drop;
  }
  /* the second: a consumer that wants plain bytes */
  if (!row && (is_broadcast(hold) || (flags & PyBUF_STRIDES) != PyBUF_STRIDES) && unbroadcast(&hold)) goto drop;
  int ndim = (int)mlx_array_ndim(hold);
  Py_ssize_t size = (Py_ssize_t)mlx_array_itemsize(hold);
  for (int i = 0; i < ndim; i++) {
    e->dims[i] = mlx_array_shape(hold)[i];
    e->dims[PX_MAX_NDIM + i] = (Py_ssize_t)((const int64_t *)mlx_array_strides(hold))[i] * size;
  }
  static char nothing[16];
  void *data = mlx_ext_data(hold);
  *view = (Py_buffer){.buf = data ? data : nothing,
                      .obj = Py_NewRef(self),
                      .len = (Py_ssize_t)mlx_array_nbytes(hold),
                      .itemsize = size,
                      .ndim = ndim,
                      .internal = e,
                      .format = flags & PyBUF_FORMAT ? (char *)px_format(mlx_array_dtype(hold)) : NULL,
                      .shape = flags & PyBUF_ND ? e->dims : NULL,
                      .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? e->dims + PX_MAX_NDIM : NULL};
  return 0;
drop:
  mlx_ext_clear(hold);
  PyMem_Free(e);
  return -1;
}

void px_releasebuffer(PyObject *self, Py_buffer *view) {
  (void)self;
  exported *e = view->internal;
  mlx_ext_clear((mlx_array){&e->slot});
  PyMem_Free(e);
}

PyObject *px_numpy(PyObject *self) {
  if (mlx_array_dtype(px_handle(self)) == MLX_BFLOAT16) {
    PyErr_SetString(PyExc_ValueError, "NumPy has no bfloat16: cast to float32 or view as uint16 first.");
    return NULL;
  }
  PyObject *np = PyImport_ImportModule("numpy");
  PyObject *view = np ? PyMemoryView_FromObject(self) : NULL;
  PyObject *r = view ? PyObject_CallMethod(np, "asarray", "O", view) : NULL;
  Py_XDECREF(view);
  Py_XDECREF(np);
  return r;
}

/* ---- DLPack (the published struct, version 1 with the unversioned form as fallback) ---- */

typedef struct dl_tensor {
  void *data;
  struct {
    int32_t type, id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t *shape, *strides;
  uint64_t offset;
} dl_tensor;
typedef struct dl_managed {
  dl_tensor t;
  void *ctx;
  void (*deleter)(struct dl_managed *);
} dl_managed;
typedef struct dl_versioned {
  struct {
    uint32_t major, minor;
  } version;
  void *ctx;
  void (*deleter)(struct dl_versioned *);
  uint64_t flags;
  dl_tensor t;
} dl_versioned;
enum { DL_INT, DL_UINT, DL_FLOAT, DL_BFLOAT = 4, DL_COMPLEX, DL_BOOL };
enum { DL_CPU = 1, DL_HOST_PINNED = 3 };

typedef struct dl_export {
  union {
    dl_managed m;
    dl_versioned v;
  };
  void *slot;
  int64_t dims[2 * PX_MAX_NDIM];
} dl_export;

static void delete_managed(dl_managed *m) {
  dl_export *e = (dl_export *)m;
  mlx_ext_clear((mlx_array){&e->slot});
  free(e);
}
static void delete_versioned(dl_versioned *m) {
  dl_export *e = (dl_export *)m;
  mlx_ext_clear((mlx_array){&e->slot});
  free(e);
}
static void capsule_dead(PyObject *c) {
  const char *name = PyCapsule_GetName(c);
  if (name && strcmp(name, "dltensor") == 0) {
    dl_managed *m = PyCapsule_GetPointer(c, name);
    if (m) m->deleter(m);
  } else if (name && strcmp(name, "dltensor_versioned") == 0) {
    dl_versioned *m = PyCapsule_GetPointer(c, name);
    if (m) m->deleter(m);
  }
}

static void describe(dl_tensor *t, dl_export *e, mlx_array h) {
  int n = (int)mlx_array_ndim(h);
  mlx_dtype d = mlx_array_dtype(h);
  char k = px_dtype_kind(d);
  for (int i = 0; i < n; i++) {
    e->dims[i] = mlx_array_shape(h)[i];
    e->dims[PX_MAX_NDIM + i] = ((const int64_t *)mlx_array_strides(h))[i];
  }
  *t = (dl_tensor){.data = mlx_ext_data(h), .ndim = n, .shape = e->dims, .strides = e->dims + PX_MAX_NDIM};
  t->device.type = DL_CPU;
  t->dtype.code = d == MLX_BFLOAT16 ? DL_BFLOAT
                  : k == 'b'        ? DL_BOOL
                  : k == 'u'        ? DL_UINT
                  : k == 'i'        ? DL_INT
                  : k == 'c'        ? DL_COMPLEX
                                    : DL_FLOAT;
  t->dtype.bits = (uint8_t)(8 * mlx_array_itemsize(h));
  t->dtype.lanes = 1;
}

PyObject *px_dlpack(PyObject *self, PyObject *args, PyObject *kwargs) {
  PyObject *stream = NULL, *max_version = NULL, *device = NULL, *copy = NULL;
  static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__", names, &stream, &max_version, &device, &copy)) return NULL;
  mlx_array h = px_handle(self);
  if (device && device != Py_None) {
    int type = -1, id = -1;
    if (!PyTuple_Check(device) || !PyArg_ParseTuple(device, "ii", &type, &id)) return NULL;
    if (type != DL_CPU || id != 0)
      return PyErr_Format(PyExc_BufferError, "The array lives on the CPU and cannot be exported to device (%d, %d).", type, id);
  }
  long major = 0;
  if (max_version && max_version != Py_None) {
    PyObject *m = PySequence_GetItem(max_version, 0);
    major = m ? PyLong_AsLong(m) : -1;
    Py_XDECREF(m);
    if (PyErr_Occurred()) return NULL;
  }
  if (px_eval(h)) return NULL;
  dl_export *e = calloc(1, sizeof *e);
  if (!e) return PyErr_NoMemory();
  mlx_array hold = {&e->slot};
  int rc = mlx_array_set(&hold, h);
  if (!rc && copy == Py_True) rc = mlx_copy(&hold, h, mlx_ext_default_stream());
  if (rc)
    px_raise();
  else if (copy == Py_True)
    rc = px_eval(hold);
  else if (is_broadcast(hold))
    rc = unbroadcast(&hold);
  if (rc) goto drop;
  PyObject *capsule;
  if (major >= 1) {
    describe(&e->v.t, e, hold);
    e->v.version.major = 1;
    e->v.deleter = delete_versioned;
    e->v.flags = copy == Py_True ? 2 : 0;
    capsule = PyCapsule_New(&e->v, "dltensor_versioned", capsule_dead);
  } else {
    describe(&e->m.t, e, hold);
    e->m.deleter = delete_managed;
    capsule = PyCapsule_New(&e->m, "dltensor", capsule_dead);
  }
  if (capsule) return capsule;
drop:
  mlx_ext_clear(hold);
  free(e);
  return NULL;
}

PyObject *px_dlpack_device(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  return Py_BuildValue("(ii)", DL_CPU, 0);
}

static int dl_dtype(const dl_tensor *t) {
  if (t->dtype.lanes != 1) return -1;
  switch (t->dtype.code * 1000 + t->dtype.bits) {
  case DL_BOOL * 1000 + 8: return MLX_BOOL;
  case DL_UINT * 1000 + 8: return MLX_UINT8;
  case DL_UINT * 1000 + 16: return MLX_UINT16;
  case DL_UINT * 1000 + 32: return MLX_UINT32;
  case DL_UINT * 1000 + 64: return MLX_UINT64;
  case DL_INT * 1000 + 8: return MLX_INT8;
  case DL_INT * 1000 + 16: return MLX_INT16;
  case DL_INT * 1000 + 32: return MLX_INT32;
  case DL_INT * 1000 + 64: return MLX_INT64;
  case DL_FLOAT * 1000 + 16: return MLX_FLOAT16;
  case DL_FLOAT * 1000 + 32: return MLX_FLOAT32;
  case DL_FLOAT * 1000 + 64: return MLX_FLOAT64;
  case DL_BFLOAT * 1000 + 16: return MLX_BFLOAT16;
  case DL_COMPLEX * 1000 + 64: return MLX_COMPLEX64;
  default: return -1;
  }
}

/* The exporter's memory may only be given back under the interpreter lock, and a worker may drop the last array. */
static void give_back(void *payload) { px_release_later(payload); }

static PyObject *ask_capsule(PyObject *o) {
  PyObject *method = PyObject_GetAttrString(o, "__dlpack__");
  if (!method) return NULL;
  PyObject *args = PyTuple_New(0), *kwargs = Py_BuildValue("{s:(ii)}", "max_version", 1, 0);
  PyObject *capsule = args && kwargs ? PyObject_Call(method, args, kwargs) : NULL;
  if (!capsule && PyErr_ExceptionMatches(PyExc_TypeError)) { /* an exporter of before version 1 */
    PyErr_Clear();
    capsule = PyObject_Call(method, args, NULL);
  }
  Py_XDECREF(args);
  Py_XDECREF(kwargs);
  Py_DECREF(method);
  return capsule;
}

static void dead_versioned(PyObject *c) {
  dl_versioned *m = PyCapsule_GetPointer(c, "used_dltensor_versioned");
  if (m && m->deleter) m->deleter(m);
}
static void dead_managed(PyObject *c) {
  dl_managed *m = PyCapsule_GetPointer(c, "used_dltensor");
  if (m && m->deleter) m->deleter(m);
}

int px_from_dlpack(PyObject *o, px_arg *a) {
  PyObject *capsule = PyCapsule_CheckExact(o) ? Py_NewRef(o) : ask_capsule(o);
  if (!capsule) return PX_ERROR;
  dl_tensor *t = NULL;
  bool writable = true;
  if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
    dl_versioned *v = PyCapsule_GetPointer(capsule, "dltensor_versioned");
    if (v->version.major == 1) t = &v->t, writable = !(v->flags & 1);
  } else if (PyCapsule_IsValid(capsule, "dltensor"))
    t = &((dl_managed *)PyCapsule_GetPointer(capsule, "dltensor"))->t;
  int d = t ? dl_dtype(t) : -1;
  if (!t || d < 0 || t->ndim < 0 || t->ndim > PX_MAX_NDIM || (t->device.type != DL_CPU && t->device.type != DL_HOST_PINNED)) {
    PyErr_SetString(PyExc_BufferError, "The DLPack capsule holds a version, device or dtype that is not supported.");
    Py_DECREF(capsule);
    return PX_ERROR;
  }
  int shape[PX_MAX_NDIM];
  int64_t strides[PX_MAX_NDIM], last = 0, n = 1;
  for (int i = t->ndim - 1; i >= 0; i--) {
    if (t->shape[i] < 0 || t->shape[i] > INT32_MAX) {
      PyErr_SetString(PyExc_ValueError, "A dimension of the given array is too large.");
      Py_DECREF(capsule);
      return PX_ERROR;
    }
    shape[i] = (int)t->shape[i];
    strides[i] = t->strides ? t->strides[i] : n;
    n *= shape[i];
    if (shape[i] > 1 && strides[i] > 0) last += (shape[i] - 1) * strides[i];
  }
  /* From here our capsule owns the tensor: renamed as the protocol asks, with a destructor that calls its deleter. */
  bool versioned = PyCapsule_IsValid(capsule, "dltensor_versioned");
  PyCapsule_SetName(capsule, versioned ? "used_dltensor_versioned" : "used_dltensor");
  PyCapsule_SetDestructor(capsule, versioned ? dead_versioned : dead_managed);
  mlx_array res = px_own(a);
  char *data = (char *)t->data + t->offset;
  size_t itemsize = mlx_dtype_size((mlx_dtype)d);
  int rc = mlx_ext_foreign(&res, data, (size_t)(last + 1) * itemsize, t->ndim, shape, strides, (mlx_dtype)d, give_back, capsule);
  if (!rc && !writable) rc = mlx_copy(&res, res, mlx_ext_default_stream()); /* never donate read-only memory */
  if (rc) px_raise();
  return rc ? PX_ERROR : 0;
}
