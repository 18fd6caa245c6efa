/* save and load. Paths go to the library; file-like objects and the members of .npz archives go through memory, so that
 * no worker ever calls Python. */
#include "px_gen.h"

#if __has_include("mlx/c/io.h")
#include <stdlib.h>

/* ---- memory as a file ---- */

typedef struct memory {
  char *data;
  size_t size, cap, pos;
  bool bad;
} memory;

static bool mem_open(void *p) { return p != NULL; }
static bool mem_good(void *p) { return !((memory *)p)->bad; }
static size_t mem_tell(void *p) { return ((memory *)p)->pos; }
static void mem_seek(void *p, int64_t off, int whence) {
  memory *m = p;
  int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)m->pos : (int64_t)m->size, at;
  if (__builtin_add_overflow(base, off, &at) || at < 0)
    m->bad = true;
  else
    m->pos = (size_t)at;
}
static void read_at(memory *m, char *data, size_t n, size_t off) {
  if (off > m->size || n > m->size - off) {
    m->bad = true;
    memset(data, 0, n);
  } else
    memcpy(data, m->data + off, n);
}
static void mem_read(void *p, char *data, size_t n) {
  memory *m = p;
  read_at(m, data, n, m->pos);
  m->pos += n;
}
static void mem_read_at(void *p, char *data, size_t n, size_t off) { read_at(p, data, n, off); }
static void mem_write(void *p, const char *data, size_t n) {
  memory *m = p;
  size_t end;
  if (__builtin_add_overflow(m->pos, n, &end)) {
    m->bad = true;
    return;
  }
  if (end > m->cap) {
    size_t cap = end + end / 2 + 256;
    char *d = realloc(m->data, cap);
    if (!d) {
      m->bad = true;
      return;
    }
    memset(d + m->cap, 0, cap - m->cap);
    m->data = d;
    m->cap = cap;
  }
  memcpy(m->data + m->pos, data, n);
  m->pos = end;
  if (end > m->size) m->size = end;
}
static const char *mem_label(void *p) {
  (void)p;
  return "<memory>";
}
static void mem_free(void *p) {
  memory *m = p;
  free(m->data);
  free(m);
}
static void mem_keep(void *p) { (void)p; } /* a writer's memory is read after it is closed */

static const mlx_io_vtable reading = {mem_open,    mem_good,  mem_tell,  mem_seek, mem_read,
                                      mem_read_at, mem_write, mem_label, mem_free};
static const mlx_io_vtable writing = {mem_open,    mem_good,  mem_tell,  mem_seek, mem_read,
                                      mem_read_at, mem_write, mem_label, mem_keep};

/* A reader of a copy of bytes; it frees itself. */
static int reader_of(PyObject *bytes, mlx_io_reader *reader) {
  char *data;
  Py_ssize_t n;
  if (PyBytes_AsStringAndSize(bytes, &data, &n)) return PX_ERROR;
  memory *m = calloc(1, sizeof *m);
  if (m) m->data = malloc((size_t)n + 1);
  if (!m || !m->data) {
    free(m);
    PyErr_NoMemory();
    return PX_ERROR;
  }
  memcpy(m->data, data, (size_t)n);
  m->size = m->cap = (size_t)n;
  *reader = mlx_io_reader_new(m, reading);
  return 0;
}

/* ---- names ---- */

bool px_is_path(PyObject *o) {
  return PyUnicode_Check(o) || PyBytes_Check(o) || PyObject_HasAttrString((PyObject *)Py_TYPE(o), "__fspath__");
}

static PyObject *path_text(PyObject *o) {
  PyObject *p = PyOS_FSPath(o);
  if (p && PyBytes_Check(p)) {
    PyObject *text = PyUnicode_DecodeFSDefault(PyBytes_AsString(p));
    Py_DECREF(p);
    return text;
  }
  return p;
}

static bool ends_with(PyObject *text, const char *suffix) {
  PyObject *s = PyUnicode_FromString(suffix);
  bool r = s && PyUnicode_Tailmatch(text, s, 0, PY_SSIZE_T_MAX, 1) == 1;
  Py_XDECREF(s);
  return r;
}

/* The path as the file system's bytes, with the suffix added where it is missing. */
PyObject *px_path_bytes(PyObject *o, const char *suffix) {
  PyObject *text = path_text(o), *full = NULL, *bytes = NULL;
  if (!text) return NULL;
  full = !suffix || ends_with(text, suffix) ? Py_NewRef(text) : PyUnicode_FromFormat("%U%s", text, suffix);
  if (full) PyUnicode_FSConverter(full, &bytes);
  Py_DECREF(text);
  Py_XDECREF(full);
  return bytes;
}

/* Runs save on memory and gives what was written as bytes. */
typedef int (*save_fn)(mlx_io_writer, void *what);
static PyObject *saved_bytes(save_fn save, void *what) {
  memory m = {0};
  mlx_io_writer w = mlx_io_writer_new(&m, writing);
  int rc = save(w, what);
  mlx_io_writer_free(w);
  PyObject *r = rc ? px_raise() : m.bad ? PyErr_NoMemory() : PyBytes_FromStringAndSize(m.data, (Py_ssize_t)m.size);
  free(m.data);
  return r;
}

static int write_to(PyObject *file, PyObject *bytes) {
  PyObject *r = bytes ? PyObject_CallMethod(file, "write", "O", bytes) : NULL;
  Py_XDECREF(bytes);
  Py_XDECREF(r);
  return r ? 0 : PX_ERROR;
}

/* ---- npy ---- */

static int save_npy(mlx_io_writer w, void *what) { return mlx_save_writer(w, px_handle(what)); }

int px_do_save(PyObject **v, PyObject **out) {
  (void)out;
  if (!px_is_array(v[1])) return PX_TYPE;
  PX_TRY(px_eval(px_handle(v[1])));
  if (!px_is_path(v[0])) return PyObject_HasAttrString(v[0], "write") ? write_to(v[0], saved_bytes(save_npy, v[1])) : PX_TYPE;
  PyObject *path = px_path_bytes(v[0], ".npy");
  if (!path) return PX_ERROR;
  int rc = mlx_save(PyBytes_AsString(path), px_handle(v[1]));
  Py_DECREF(path);
  return rc ? px_failed() : 0;
}

static PyObject *load_npy_bytes(PyObject *bytes, mlx_stream s) {
  mlx_io_reader reader;
  PyObject *r;
  if (reader_of(bytes, &reader) || !(r = px_new())) return NULL;
  mlx_array res = px_handle(r);
  int rc = mlx_load_reader(&res, reader, s);
  r = px_done(r, rc);
  mlx_io_reader_free(reader);
  return r;
}

/* ---- npz ---- */

static PyObject *open_zip(PyObject *file, const char *mode, bool compressed) {
  PyObject *zip = PyImport_ImportModule("zipfile"), *r = NULL;
  PyObject *method = zip ? PyObject_GetAttrString(zip, compressed ? "ZIP_DEFLATED" : "ZIP_STORED") : NULL;
  if (method) r = PyObject_CallMethod(zip, "ZipFile", "OsOO", file, mode, method, Py_True);
  Py_XDECREF(method);
  Py_XDECREF(zip);
  return r;
}

static int write_member(PyObject *zip, PyObject *name, PyObject *value) {
  px_arg a = {0};
  if (px_to_any(value, &a)) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "[savez] Only arrays can be saved.");
    return PX_ERROR;
  }
  PyObject *array = px_wrap(a.h), *full = PyUnicode_FromFormat("%U.npy", name), *bytes = NULL, *r = NULL;
  px_drop(&a);
  if (array && full && !px_eval(px_handle(array))) bytes = saved_bytes(save_npy, array);
  if (bytes) r = PyObject_CallMethod(zip, "writestr", "OO", full, bytes);
  Py_XDECREF(array);
  Py_XDECREF(full);
  Py_XDECREF(bytes);
  Py_XDECREF(r);
  return r ? 0 : PX_ERROR;
}

static int close_file(PyObject *file) {
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyObject *r = PyObject_CallMethod(file, "close", NULL);
  Py_XDECREF(r);
  if (type) PyErr_Restore(type, value, trace);
  return r ? 0 : PX_ERROR;
}

PyObject *px_savez(PyObject *args, PyObject *kwargs, bool compressed) {
  static const px_sig sig = {.name = "savez", .text = "(file: file | str | pathlib.Path, *args, **kwargs) -> None"};
  if (PyTuple_Size(args) < 1) return px_type_error_tuple(&sig, args, kwargs);
  PyObject *file = PyTuple_GetItem(args, 0), *target = Py_NewRef(file), *key, *value;
  if (px_is_path(file)) {
    PyObject *text = path_text(file);
    PX_REPLACE(target, text && !ends_with(text, ".npz") ? PyUnicode_FromFormat("%U.npz", text) : Py_XNewRef(text));
    Py_XDECREF(text);
  } else if (!PyObject_HasAttrString(file, "write")) {
    Py_DECREF(target);
    return px_type_error_tuple(&sig, args, kwargs);
  }
  PyObject *zip = target ? open_zip(target, "w", compressed) : NULL;
  Py_XDECREF(target);
  if (!zip) return NULL;
  int rc = 0;
  for (Py_ssize_t i = 1; !rc && i < PyTuple_Size(args); i++) {
    PyObject *name = PyUnicode_FromFormat("arr_%zd", i - 1);
    rc = kwargs && PyDict_Contains(kwargs, name) == 1;
    if (rc)
      PyErr_Format(PyExc_ValueError, "[savez] Cannot use un-named variables and keyword %U", name);
    else
      rc = write_member(zip, name, PyTuple_GetItem(args, i));
    Py_DECREF(name);
  }
  Py_ssize_t pos = 0;
  while (!rc && kwargs && PyDict_Next(kwargs, &pos, &key, &value)) rc = write_member(zip, key, value);
  if (close_file(zip)) rc = PX_ERROR;
  Py_DECREF(zip);
  if (rc) return NULL;
  Py_RETURN_NONE;
}

static PyObject *load_npz(PyObject *file, mlx_stream s) {
  PyObject *zip = open_zip(file, "r", false), *names = zip ? PyObject_CallMethod(zip, "namelist", NULL) : NULL;
  PyObject *r = names ? PyDict_New() : NULL;
  for (Py_ssize_t i = 0; r && i < PyList_Size(names); i++) {
    PyObject *name = PyList_GetItem(names, i), *bytes = PyObject_CallMethod(zip, "read", "O", name);
    PyObject *array = bytes ? load_npy_bytes(bytes, s) : NULL;
    PyObject *key = ends_with(name, ".npy") ? PyUnicode_Substring(name, 0, PyUnicode_GetLength(name) - 4) : Py_NewRef(name);
    if (!array || !key || PyDict_SetItem(r, key, array)) Py_CLEAR(r);
    Py_XDECREF(bytes);
    Py_XDECREF(array);
    Py_XDECREF(key);
  }
  if (zip && close_file(zip)) Py_CLEAR(r);
  Py_XDECREF(names);
  Py_XDECREF(zip);
  return r;
}

/* ---- safetensors ---- */

typedef struct tensors {
  mlx_map_string_to_array arrays;
  mlx_map_string_to_string metadata;
} tensors;

static int save_tensors(mlx_io_writer w, void *what) {
  tensors *t = what;
  return mlx_save_safetensors_writer(w, t->arrays, t->metadata);
}

static int to_array_map(PyObject *dict, mlx_map_string_to_array map) {
  PyObject *key, *value;
  Py_ssize_t pos = 0;
  if (!PyDict_Check(dict)) return PX_TYPE;
  while (PyDict_Next(dict, &pos, &key, &value)) {
    if (!PyUnicode_Check(key) || !px_is_array(value)) return PX_TYPE;
    const char *name = PyUnicode_AsUTF8AndSize(key, NULL);
    PX_TRY(name ? px_eval(px_handle(value)) : PX_ERROR);
    PX_CHECK(mlx_map_string_to_array_insert(map, name, px_handle(value)));
  }
  return 0;
}

static int to_string_map(PyObject *dict, mlx_map_string_to_string map) {
  PyObject *key, *value;
  Py_ssize_t pos = 0;
  bool ok = PyDict_Check(dict);
  while (ok && PyDict_Next(dict, &pos, &key, &value)) {
    ok = PyUnicode_Check(key) && PyUnicode_Check(value);
    const char *k = ok ? PyUnicode_AsUTF8AndSize(key, NULL) : NULL, *s = k ? PyUnicode_AsUTF8AndSize(value, NULL) : NULL;
    if (ok && !s) return PX_ERROR;
    if (ok) PX_CHECK(mlx_map_string_to_string_insert(map, k, s));
  }
  if (ok) return 0;
  PyErr_SetString(PyExc_ValueError, "[save_safetensors] Metadata must be a dictionary with string keys and values");
  return PX_ERROR;
}

int px_do_save_safetensors(PyObject **v, PyObject **out) {
  (void)out;
  tensors t = {mlx_map_string_to_array_new(), mlx_map_string_to_string_new()};
  PyObject *path = NULL;
  int rc = to_array_map(v[1], t.arrays);
  if (!rc && v[2] && v[2] != Py_None) rc = to_string_map(v[2], t.metadata);
  if (rc) goto done;
  if (!px_is_path(v[0]))
    rc = PyObject_HasAttrString(v[0], "write") ? write_to(v[0], saved_bytes(save_tensors, &t)) : PX_TYPE;
  else if (!(path = px_path_bytes(v[0], ".safetensors")))
    rc = PX_ERROR;
  else if (mlx_save_safetensors(PyBytes_AsString(path), t.arrays, t.metadata))
    rc = px_failed();
done:
  Py_XDECREF(path);
  mlx_map_string_to_array_free(t.arrays);
  mlx_map_string_to_string_free(t.metadata);
  return rc;
}

static PyObject *array_dict(mlx_map_string_to_array map) {
  PyObject *r = PyDict_New();
  mlx_map_string_to_array_iterator it = mlx_map_string_to_array_iterator_new(map);
  const char *key;
  void *slot = NULL;
  mlx_array h = {&slot};
  while (r && mlx_map_string_to_array_iterator_next(&key, &h, it) == 0) {
    PyObject *a = px_wrap(h);
    if (!a || PyDict_SetItemString(r, key, a)) Py_CLEAR(r);
    Py_XDECREF(a);
  }
  mlx_ext_clear(h);
  mlx_map_string_to_array_iterator_free(it);
  return r;
}

static PyObject *string_dict(mlx_map_string_to_string map) {
  PyObject *r = PyDict_New();
  mlx_map_string_to_string_iterator it = mlx_map_string_to_string_iterator_new(map);
  const char *key, *value;
  while (r && mlx_map_string_to_string_iterator_next(&key, &value, it) == 0) {
    PyObject *s = PyUnicode_FromString(value);
    if (!s || PyDict_SetItemString(r, key, s)) Py_CLEAR(r);
    Py_XDECREF(s);
  }
  mlx_map_string_to_string_iterator_free(it);
  return r;
}

static PyObject *load_tensors(PyObject *file, PyObject *bytes, bool with_metadata, mlx_stream s) {
  tensors t = {mlx_map_string_to_array_new(), mlx_map_string_to_string_new()};
  PyObject *path = NULL, *r = NULL;
  int rc;
  if (bytes) {
    mlx_io_reader reader;
    rc = reader_of(bytes, &reader);
    if (!rc) {
      if (mlx_load_safetensors_reader(&t.arrays, &t.metadata, reader, s)) rc = px_failed();
      mlx_io_reader_free(reader);
    }
  } else if (!(path = px_path_bytes(file, NULL)))
    rc = PX_ERROR;
  else
    rc = mlx_load_safetensors(&t.arrays, &t.metadata, PyBytes_AsString(path), s) ? px_failed() : 0;
  if (!rc) {
    PyObject *arrays = array_dict(t.arrays), *metadata = with_metadata && arrays ? string_dict(t.metadata) : NULL;
    r = !with_metadata ? Py_XNewRef(arrays) : metadata ? PyTuple_Pack(2, arrays, metadata) : NULL;
    Py_XDECREF(arrays);
    Py_XDECREF(metadata);
  }
  Py_XDECREF(path);
  mlx_map_string_to_array_free(t.arrays);
  mlx_map_string_to_string_free(t.metadata);
  return r;
}

/* ---- load ---- */

static PyObject *load_npy(PyObject *file, PyObject *bytes, mlx_stream s) {
  if (bytes) return load_npy_bytes(bytes, s);
  PyObject *path = px_path_bytes(file, NULL), *r = path ? px_new() : NULL;
  if (r) {
    mlx_array res = px_handle(r);
    r = px_done(r, mlx_load(&res, PyBytes_AsString(path), s));
  }
  Py_XDECREF(path);
  return r;
}

static PyObject *format_of(PyObject *file, PyObject *format) {
  if (format && format != Py_None) return PyUnicode_Check(format) ? Py_NewRef(format) : NULL;
  PyObject *name = px_is_path(file) ? path_text(file) : PyObject_GetAttrString(file, "name");
  if (!name || !PyUnicode_Check(name)) {
    PyErr_Clear();
    Py_XDECREF(name);
    PyErr_SetString(PyExc_ValueError, "[load] Could not infer file format from extension");
    return NULL;
  }
  Py_ssize_t n = PyUnicode_GetLength(name), dot = PyUnicode_FindChar(name, '.', 0, n, -1);
  PyObject *r = dot >= 0 ? PyUnicode_Substring(name, dot + 1, n) : NULL;
  if (dot < 0) PyErr_SetString(PyExc_ValueError, "[load] Could not infer file format from extension");
  Py_DECREF(name);
  return r;
}

int px_do_load(PyObject **v, PyObject **out) { /* file, format, return_metadata, stream */
  bool with_metadata = false, path = px_is_path(v[0]);
  PX_STREAM(s);
  if (v[2]) PX_TRY(px_to_bool(v[2], &with_metadata));
  PX_TRY(px_stream_arg(v[3], &s));
  if (!path && !PyObject_HasAttrString(v[0], "read")) return PX_TYPE;
  PyObject *format = format_of(v[0], v[1]), *bytes = NULL;
  if (!format) return PyErr_Occurred() ? PX_ERROR : PX_TYPE;
  bool npy = PyUnicode_CompareWithASCIIString(format, "npy") == 0, npz = PyUnicode_CompareWithASCIIString(format, "npz") == 0;
  bool st = PyUnicode_CompareWithASCIIString(format, "safetensors") == 0, gguf = PyUnicode_CompareWithASCIIString(format, "gguf") == 0;
  if (!path && (npy || st)) {
    bytes = PyObject_CallMethod(v[0], "read", NULL);
    if (bytes && !PyBytes_Check(bytes)) {
      PyErr_SetString(PyExc_TypeError, "[load] The file must be open in binary mode.");
      Py_CLEAR(bytes);
    }
  }
  if (path || npz || bytes || gguf) {
    if (gguf)
      *out = px_load_gguf(v[0], with_metadata, s.h);
    else if (npy)
      *out = load_npy(v[0], bytes, s.h);
    else if (npz) {
      *out = load_npz(v[0], s.h);
      if (!*out && PyErr_ExceptionMatches(PyExc_OSError)) {
        PyErr_Clear();
        PyErr_Format(PyExc_RuntimeError, "[load] Failed to open file %S", v[0]);
      }
    } else if (st)
      *out = load_tensors(v[0], bytes, with_metadata, s.h);
    else
      PyErr_Format(PyExc_ValueError, "[load] Unknown file format %U", format);
    if (*out && with_metadata && !st && !gguf) {
      PyErr_Format(PyExc_ValueError, "[load] metadata not supported for format %U", format);
      Py_CLEAR(*out);
    }
  }
  Py_DECREF(format);
  Py_XDECREF(bytes);
  return *out ? 0 : PX_ERROR;
}

int px_do_nn_origin(PyObject **v, PyObject **out) { /* array */
  if (!px_is_array(v[0])) return PX_TYPE;
  const char *file = mlx_ext_origin(px_handle(v[0]));
  *out = file ? PyUnicode_DecodeFSDefault(file) : Py_NewRef(Py_None);
  return *out ? 0 : PX_ERROR;
}
#endif
