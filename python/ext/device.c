/* Devices, streams and the contexts that choose them; memory; what Metal and CUDA answer without such a device. */
#include "px_gen.h"

typedef struct device_object {
  PyObject_HEAD mlx_device_type type;
  int index;
} device_object;
typedef struct stream_object {
  PyObject_HEAD mlx_stream h;
} stream_object;

static PyTypeObject *device_type, *stream_type, *local_type, *context_type;
static PyObject *device_enum, *kinds[2]; /* DeviceType.cpu, DeviceType.gpu */

static int check(int rc) { return rc ? px_failed() : 0; }
static void plain_dealloc(PyObject *o) {
  PyTypeObject *t = Py_TYPE(o);
  PyObject_Free(o);
  Py_DECREF(t);
}

/* ---- devices ---- */

static PyObject *new_device(mlx_device_type type, int index) {
  device_object *d = PyObject_New(device_object, device_type);
  if (d) d->type = type, d->index = index;
  return (PyObject *)d;
}

static int to_kind(PyObject *o, mlx_device_type *type) {
  if (o == kinds[0])
    *type = MLX_CPU;
  else if (o == kinds[1])
    *type = MLX_GPU;
  else
    return PX_TYPE;
  return 0;
}

/* A Device or a DeviceType. */
static int to_device(PyObject *o, mlx_device_type *type, int *index) {
  *index = 0;
  if (Py_TYPE(o) == device_type) {
    *type = ((device_object *)o)->type;
    *index = ((device_object *)o)->index;
    return 0;
  }
  return to_kind(o, type);
}

static PyObject *device_new(PyTypeObject *t, PyObject *args, PyObject *kwargs) {
  static const px_sig sig = {.name = "__init__", .text = "(self, type: DeviceType, index: int=0) -> None"};
  static char *names[] = {"type", "index", NULL};
  PyObject *type;
  int index = 0;
  mlx_device_type kind;
  (void)t;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|i", names, &type, &index) || to_kind(type, &kind)) {
    PyErr_Clear();
    return px_type_error_tuple(&sig, args, kwargs);
  }
  return new_device(kind, index);
}
static const char *kind_name(mlx_device_type t) { return t == MLX_CPU ? "cpu" : "gpu"; }
static PyObject *device_repr(PyObject *o) {
  return PyUnicode_FromFormat("Device(%s, %d)", kind_name(((device_object *)o)->type), ((device_object *)o)->index);
}
static PyObject *device_compare(PyObject *a, PyObject *b, int how) {
  mlx_device_type ta, tb;
  int ia, ib;
  if (how != Py_EQ && how != Py_NE) Py_RETURN_NOTIMPLEMENTED;
  bool same = !to_device(a, &ta, &ia) && !to_device(b, &tb, &ib) && ta == tb && ia == ib;
  return PyBool_FromLong(same == (how == Py_EQ));
}
static Py_hash_t device_hash(PyObject *o) { return ((device_object *)o)->type * 1000 + ((device_object *)o)->index + 1; }
static PyObject *device_kind(PyObject *o, void *c) {
  (void)c;
  return Py_NewRef(kinds[((device_object *)o)->type]);
}
static PyObject *device_index(PyObject *o, void *c) {
  (void)c;
  return PyLong_FromLong(((device_object *)o)->index);
}

int px_do_default_device(PyObject **v, PyObject **out) {
  mlx_device d = mlx_device_new();
  mlx_device_type type = MLX_CPU;
  int index = 0, rc;
  (void)v;
  rc = check(mlx_get_default_device(&d) || mlx_device_get_type(&type, d) || mlx_device_get_index(&index, d));
  mlx_device_free(d);
  if (!rc) *out = new_device(type, index);
  return rc;
}

static int set_default_device(mlx_device_type type, int index) {
  mlx_device d = mlx_device_new_type(type, index);
  int rc = check(mlx_set_default_device(d));
  mlx_device_free(d);
  return rc;
}

int px_do_set_default_device(PyObject **v, PyObject **out) {
  mlx_device_type type;
  int index;
  (void)out;
  return to_device(v[0], &type, &index) ? PX_TYPE : set_default_device(type, index);
}

int px_do_is_available(PyObject **v, PyObject **out) {
  mlx_device_type type;
  int index;
  bool yes = false;
  if (to_device(v[0], &type, &index)) return PX_TYPE;
  mlx_device d = mlx_device_new_type(type, index);
  int rc = check(mlx_device_is_available(&yes, d));
  mlx_device_free(d);
  if (!rc) *out = PyBool_FromLong(yes);
  return rc;
}

int px_do_device_count(PyObject **v, PyObject **out) {
  mlx_device_type type;
  int n = 0;
  if (to_kind(v[0], &type)) return PX_TYPE;
  if (check(mlx_device_count(&n, type))) return PX_ERROR;
  *out = PyLong_FromLong(n);
  return 0;
}

static int fill_info(PyObject *dict, mlx_device_info info) {
  mlx_vector_string keys = mlx_vector_string_new();
  int rc = check(mlx_device_info_get_keys(&keys, info));
  for (size_t i = 0; !rc && i < mlx_vector_string_size(keys); i++) {
    char *key;
    bool text = false;
    const char *s = "";
    size_t n = 0;
    rc = check(mlx_vector_string_get(&key, keys, i) || mlx_device_info_is_string(&text, info, key) ||
               (text ? mlx_device_info_get_string(&s, info, key) : mlx_device_info_get_size(&n, info, key)));
    PyObject *value = rc ? NULL : text ? PyUnicode_FromString(s) : PyLong_FromSize_t(n);
    if (!value || PyDict_SetItemString(dict, key, value)) rc = PX_ERROR;
    Py_XDECREF(value);
  }
  mlx_vector_string_free(keys);
  return rc;
}

int px_do_device_info(PyObject **v, PyObject **out) {
  mlx_device_type type = MLX_CPU;
  int index = 0;
  mlx_device d;
  if (v[0] && v[0] != Py_None) {
    if (to_device(v[0], &type, &index)) return PX_TYPE;
    d = mlx_device_new_type(type, index);
  } else {
    d = mlx_device_new();
    mlx_get_default_device(&d);
    mlx_device_get_type(&type, d);
  }
  *out = PyDict_New();
  int rc = 0;
  if (type == MLX_CPU) {
    mlx_device_info info = mlx_device_info_new();
    rc = check(mlx_device_info_get(&info, d)) || fill_info(*out, info);
    mlx_device_info_free(info);
  }
  mlx_device_free(d);
  return rc ? PX_ERROR : 0;
}

/* ---- streams ---- */

static PyObject *new_stream_object(PyTypeObject *t, mlx_stream h) {
  stream_object *s = PyObject_New(stream_object, t);
  if (s)
    s->h = h;
  else
    mlx_stream_free(h);
  return (PyObject *)s;
}
static void stream_dealloc(PyObject *o) {
  mlx_stream_free(((stream_object *)o)->h);
  plain_dealloc(o);
}
static int stream_facts(PyObject *o, mlx_device_type *type, int *index, int *number) {
  mlx_device d = mlx_device_new();
  mlx_stream h = ((stream_object *)o)->h;
  int rc = check(mlx_stream_get_device(&d, h) || mlx_device_get_type(type, d) || mlx_device_get_index(index, d) ||
                 mlx_stream_get_index(number, h));
  mlx_device_free(d);
  return rc;
}
static PyObject *stream_repr(PyObject *o) {
  mlx_device_type type;
  int index, number;
  if (stream_facts(o, &type, &index, &number)) return NULL;
  bool local = Py_TYPE(o) == local_type;
  return PyUnicode_FromFormat("%s(Device(%s, %d), %d)", local ? "ThreadLocalStream" : "Stream", kind_name(type), index, number);
}
static PyObject *stream_device(PyObject *o, void *c) {
  mlx_device_type type;
  int index, number;
  (void)c;
  return stream_facts(o, &type, &index, &number) ? NULL : new_device(type, index);
}
static PyObject *stream_compare(PyObject *a, PyObject *b, int how) {
  if (how != Py_EQ && how != Py_NE) Py_RETURN_NOTIMPLEMENTED;
  bool same = Py_TYPE(a) == Py_TYPE(b) && mlx_stream_equal(((stream_object *)a)->h, ((stream_object *)b)->h);
  return PyBool_FromLong(same == (how == Py_EQ));
}
static Py_hash_t stream_hash(PyObject *o) {
  int number = 0;
  mlx_stream_get_index(&number, ((stream_object *)o)->h);
  return number + 1;
}
static bool is_stream(PyObject *o) { return Py_TYPE(o) == stream_type || Py_TYPE(o) == local_type; }

static int default_stream_of(mlx_device_type type, int index, mlx_stream *s) {
  mlx_device d = mlx_device_new_type(type, index);
  *s = mlx_stream_new();
  int rc = check(mlx_get_default_stream(s, d));
  mlx_device_free(d);
  return rc;
}

int px_to_stream(PyObject *o, px_stream *s) {
  mlx_device_type type;
  int index;
  if (o == Py_None) return px_default_stream(s);
  if (is_stream(o)) {
    s->h = ((stream_object *)o)->h;
    s->own = false;
    return 0;
  }
  if (to_device(o, &type, &index)) return PX_TYPE;
  s->own = true;
  return default_stream_of(type, index, &s->h);
}

int px_do_default_stream(PyObject **v, PyObject **out) {
  mlx_device_type type;
  int index;
  mlx_stream s;
  if (to_device(v[0], &type, &index)) return PX_TYPE;
  if (default_stream_of(type, index, &s)) return mlx_stream_free(s), PX_ERROR;
  *out = new_stream_object(stream_type, s);
  return 0;
}

int px_do_set_default_stream(PyObject **v, PyObject **out) {
  (void)out;
  if (!is_stream(v[0])) return PX_TYPE;
  return check(mlx_set_default_stream(((stream_object *)v[0])->h));
}

static int make_stream(PyObject **v, PyObject **out, PyTypeObject *t) {
  mlx_device_type type;
  int index;
  if (to_device(v[0], &type, &index)) return PX_TYPE;
  mlx_device d = mlx_device_new_type(type, index);
  mlx_stream s = mlx_stream_new_device(d);
  mlx_device_free(d);
  if (!s.ctx) return px_failed();
  *out = new_stream_object(t, s);
  return 0;
}
int px_do_new_stream(PyObject **v, PyObject **out) { return make_stream(v, out, stream_type); }
int px_do_new_thread_unsafe_stream(PyObject **v, PyObject **out) { return make_stream(v, out, stream_type); }
int px_do_new_thread_local_stream(PyObject **v, PyObject **out) { return make_stream(v, out, local_type); }
int px_do_clear_streams(PyObject **v, PyObject **out) {
  (void)v;
  (void)out;
  return 0;
}

int px_do_synchronize(PyObject **v, PyObject **out) {
  px_stream s = {0};
  int rc = v[0] ? px_to_stream(v[0], &s) : px_default_stream(&s);
  (void)out;
  if (!rc) {
    int failed;
    mlx_stream own = mlx_stream_new();
    mlx_stream_set(&own, s.h); /* the default's handle is this call's only */
    Py_BEGIN_ALLOW_THREADS failed = mlx_synchronize(own);
    Py_END_ALLOW_THREADS rc = check(failed);
    mlx_stream_free(own);
  }
  px_drop_stream(&s);
  return rc;
}

/* ---- with mx.stream(...) ---- */

typedef struct context_object {
  PyObject_HEAD PyObject *target; /* Stream or Device or DeviceType */
  PyObject *old_device, *old_stream;
} context_object;

static PyObject *new_context(PyObject *target) {
  mlx_device_type type;
  int index;
  if (!is_stream(target) && to_device(target, &type, &index)) return NULL;
  context_object *c = PyObject_New(context_object, context_type);
  if (!c) return NULL;
  c->target = Py_NewRef(target);
  c->old_device = c->old_stream = NULL;
  return (PyObject *)c;
}
static PyObject *context_new(PyTypeObject *t, PyObject *args, PyObject *kwargs) {
  static const px_sig sig = {.name = "__init__", .text = "(self, s: Stream | ThreadLocalStream | Device | DeviceType) -> None"};
  static char *names[] = {"s", NULL};
  PyObject *s, *c = NULL;
  (void)t;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &s) || !(c = new_context(s))) {
    PyErr_Clear();
    return px_type_error_tuple(&sig, args, kwargs);
  }
  return c;
}
int px_do_stream(PyObject **v, PyObject **out) {
  *out = new_context(v[0]);
  return *out ? 0 : PyErr_Occurred() ? PX_ERROR : PX_TYPE;
}
static void context_dealloc(PyObject *o) {
  context_object *c = (context_object *)o;
  Py_XDECREF(c->target);
  Py_XDECREF(c->old_device);
  Py_XDECREF(c->old_stream);
  plain_dealloc(o);
}
static PyObject *context_enter(PyObject *o, PyObject *unused) {
  context_object *c = (context_object *)o;
  PyObject *device = NULL, *none[1] = {NULL};
  mlx_device_type type;
  int index, number;
  (void)unused;
  Py_CLEAR(c->old_device);
  Py_CLEAR(c->old_stream);
  if (px_do_default_device(none, &c->old_device)) return NULL;
  if (is_stream(c->target)) {
    if (stream_facts(c->target, &type, &index, &number)) return NULL;
    device = new_device(type, index);
    if (!device || px_do_default_stream(&device, &c->old_stream)) return Py_XDECREF(device), NULL;
    Py_DECREF(device);
    if (set_default_device(type, index) || check(mlx_set_default_stream(((stream_object *)c->target)->h))) return NULL;
  } else if (to_device(c->target, &type, &index) || set_default_device(type, index))
    return NULL;
  Py_RETURN_NONE;
}
static PyObject *context_exit(PyObject *o, PyObject *args, PyObject *kwargs) {
  context_object *c = (context_object *)o;
  (void)args;
  (void)kwargs;
  if (c->old_stream && check(mlx_set_default_stream(((stream_object *)c->old_stream)->h))) return NULL;
  device_object *d = (device_object *)c->old_device;
  if (d && set_default_device(d->type, d->index)) return NULL;
  Py_CLEAR(c->old_device);
  Py_CLEAR(c->old_stream);
  Py_RETURN_NONE;
}

/* ---- memory ---- */

static int report(size_t n, int rc, PyObject **out) {
  if (rc) return px_failed();
  *out = PyLong_FromSize_t(n);
  return 0;
}
#define READER(name)                               \
  int px_do_##name(PyObject **v, PyObject **out) { \
    size_t n = 0;                                  \
    (void)v;                                       \
    int rc = mlx_##name(&n);                       \
    return report(n, rc, out);                     \
  }
#define SETTER(name)                               \
  int px_do_##name(PyObject **v, PyObject **out) { \
    size_t n, old = 0;                             \
    int rc = px_to_size(v[0], &n);                 \
    if (rc) return rc;                             \
    rc = mlx_##name(&old, n);                      \
    return report(old, rc, out);                   \
  }
#define DOER(name)                                 \
  int px_do_##name(PyObject **v, PyObject **out) { \
    (void)v;                                       \
    (void)out;                                     \
    return check(mlx_##name());                    \
  }
READER(get_active_memory)
READER(get_peak_memory)
READER(get_cache_memory)
READER(get_memory_limit)
SETTER(set_memory_limit)
SETTER(set_cache_limit)
DOER(reset_peak_memory)
DOER(clear_cache)

int px_do_set_wired_limit(PyObject **v, PyObject **out) {
  size_t n;
  int rc = px_to_size(v[0], &n);
  return rc ? rc : report(0, 0, out);
}

int px_do_get_array_buffer_size(PyObject **v, PyObject **out) {
  PyObject *a = PyTuple_Size(v[0]) == 1 ? PyTuple_GetItem(v[0], 0) : NULL;
  if (!a || !px_is_array(a)) return PX_TYPE;
  bool ready = false;
  if (check(_mlx_array_is_available(&ready, px_handle(a)))) return PX_ERROR;
  if (!ready) {
    PyErr_SetString(PyExc_ValueError, "[get_array_buffer_size] Arrays must be evaluated before querying buffer size.");
    return PX_ERROR;
  }
  *out = PyLong_FromSize_t(mlx_ext_buffer_size(px_handle(a)));
  return 0;
}

/* ---- other back ends ---- */

int px_do_metal_is_available(PyObject **v, PyObject **out) {
  (void)v;
  *out = Py_NewRef(Py_False);
  return 0;
}
int px_do_cuda_is_available(PyObject **v, PyObject **out) { return px_do_metal_is_available(v, out); }
int px_do_metal_device_info(PyObject **v, PyObject **out) {
  (void)v;
  *out = PyDict_New();
  return 0;
}
int px_do_start_capture(PyObject **v, PyObject **out) {
  (void)out;
  return PyUnicode_Check(v[0]) ? 0 : PX_TYPE;
}
int px_do_stop_capture(PyObject **v, PyObject **out) {
  (void)v;
  (void)out;
  return 0;
}

/* ---- set up ---- */

#define SLOT(name, f) \
  { Py_##name, (void *)(f) }

int px_init_device(PyObject *m) {
  static const char *const names[] = {"cpu", "gpu"};
  device_enum = px_make_enum("DeviceType", names, 2, "Kinds of devices.");
  if (!device_enum || PyModule_AddObjectRef(m, "DeviceType", device_enum)) return -1;
  for (int i = 0; i < 2; i++) {
    kinds[i] = PyObject_GetAttrString(device_enum, names[i]);
    if (!kinds[i] || PyModule_AddObjectRef(m, names[i], kinds[i])) return -1;
  }
  static PyGetSetDef device_getset[] = {{"type", device_kind, NULL, "The kind of device.", NULL},
                                        {"index", device_index, NULL, "Its number among its kind.", NULL},
                                        {0}};
  static PyGetSetDef stream_getset[] = {{"device", stream_device, NULL, "The device.", NULL}, {0}};
  static PyMethodDef device_methods[] = {PX_INIT(", type, index=0"), PX_EQ, {0}}, stream_methods[] = {PX_EQ, {0}};
  static PyMethodDef context_methods[] = {PX_INIT(", s"),
                                          {"__enter__", context_enter, METH_NOARGS, NULL},
                                          {"__exit__", PX_FN(context_exit), METH_VARARGS | METH_KEYWORDS, NULL},
                                          {0}};
  PyType_Slot device_slots[] = {SLOT(tp_doc, "Device(type, index=0)\n--\n\nA device to run operations on."),
                                SLOT(tp_new, device_new),
                                SLOT(tp_init, px_init_done),
                                SLOT(tp_repr, device_repr),
                                SLOT(tp_hash, device_hash),
                                SLOT(tp_richcompare, device_compare),
                                SLOT(tp_getset, device_getset),
                                SLOT(tp_methods, device_methods),
                                SLOT(tp_dealloc, plain_dealloc),
                                {0, NULL}};
  PyType_Slot stream_slots[] = {SLOT(tp_doc, "A queue of operations on a device."),
                                SLOT(tp_repr, stream_repr),
                                SLOT(tp_hash, stream_hash),
                                SLOT(tp_richcompare, stream_compare),
                                SLOT(tp_getset, stream_getset),
                                SLOT(tp_methods, stream_methods),
                                SLOT(tp_dealloc, stream_dealloc),
                                {0, NULL}};
  PyType_Slot context_slots[] = {SLOT(tp_doc, "StreamContext(s)\n--\n\nChooses the stream or device of the operations inside."),
                                 SLOT(tp_new, context_new),
                                 SLOT(tp_init, px_init_done),
                                 SLOT(tp_methods, context_methods),
                                 SLOT(tp_dealloc, context_dealloc),
                                 {0, NULL}};
  struct {
    const char *name;
    PyTypeObject **type;
    PyType_Spec spec;
  } specs[] = {
      {"Device", &device_type, {"mlx.core.Device", sizeof(device_object), 0, Py_TPFLAGS_DEFAULT, device_slots}},
      {"Stream",
       &stream_type,
       {"mlx.core.Stream", sizeof(stream_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, stream_slots}},
      {"ThreadLocalStream",
       &local_type,
       {"mlx.core.ThreadLocalStream", sizeof(stream_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        stream_slots}},
      {"StreamContext", &context_type, {"mlx.core.StreamContext", sizeof(context_object), 0, Py_TPFLAGS_DEFAULT, context_slots}}};
  for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
    PyObject *t = PyType_FromSpec(&specs[i].spec);
    if (!t || PyModule_AddObjectRef(m, specs[i].name, t)) return -1;
    *specs[i].type = (PyTypeObject *)t;
  }
  return 0;
}
