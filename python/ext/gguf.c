/* .gguf files: dicts of arrays and of metadata from and to the library's handle. */
#include "px_gen.h"

#include "mlx/c/gguf.h"

static const char *text_of(PyObject *o) { return PyUnicode_Check(o) ? PyUnicode_AsUTF8AndSize(o, NULL) : NULL; }

static int refuse(const char *what) {
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, what);
  return PX_ERROR;
}

static int path_only(PyObject *file, const char *tag) {
  if (px_is_path(file)) return 0;
  PyErr_Format(PyExc_ValueError, "[%s] Input must be a string", tag);
  return PX_ERROR;
}

/* ---- saving ---- */

static int set_arrays(mlx_io_gguf g, PyObject *dict) {
  PyObject *key, *value;
  Py_ssize_t pos = 0;
  if (!PyDict_Check(dict)) return PX_TYPE;
  while (PyDict_Next(dict, &pos, &key, &value)) {
    const char *name = text_of(key);
    if (!name || !px_is_array(value)) return refuse("[save_gguf] Arrays must be a dictionary with string keys and array values");
    PX_CHECK(mlx_io_gguf_set_array(g, name, px_handle(value)));
  }
  return 0;
}

static int set_texts(mlx_io_gguf g, const char *key, PyObject *list) {
  mlx_vector_string texts = mlx_vector_string_new();
  int rc = 0;
  for (Py_ssize_t i = 0; !rc && i < PySequence_Size(list); i++) {
    PyObject *o = PySequence_GetItem(list, i);
    const char *text = o ? text_of(o) : NULL;
    if (!text) rc = refuse("[save_gguf] A list in the metadata must hold strings");
    else if (mlx_vector_string_append_value(texts, text)) rc = px_failed();
    Py_XDECREF(o);
  }
  if (!rc && mlx_io_gguf_set_metadata_vector_string(g, key, texts)) rc = px_failed();
  mlx_vector_string_free(texts);
  return rc;
}

static int set_metadata(mlx_io_gguf g, PyObject *dict) {
  static const char told[] = "[save_gguf] Metadata must be a dictionary with string keys and array, string or list of strings values";
  PyObject *key, *value;
  Py_ssize_t pos = 0;
  if (!PyDict_Check(dict)) return PX_TYPE;
  while (PyDict_Next(dict, &pos, &key, &value)) {
    const char *name = text_of(key), *text;
    if (!name) return refuse(told);
    if (px_is_array(value)) {
      PX_CHECK(mlx_io_gguf_set_metadata_array(g, name, px_handle(value)));
    } else if (PyUnicode_Check(value)) {
      if (!(text = text_of(value))) return PX_ERROR;
      PX_CHECK(mlx_io_gguf_set_metadata_string(g, name, text));
    } else if (PyList_Check(value) || PyTuple_Check(value)) {
      PX_TRY(set_texts(g, name, value));
    } else {
      return refuse(told);
    }
  }
  return 0;
}

int px_do_save_gguf(PyObject **v, PyObject **out) { /* file, arrays, metadata */
  (void)out;
  if (!PyDict_Check(v[1])) return PX_TYPE;
  PX_TRY(path_only(v[0], "save_gguf"));
  PyObject *path = px_path_bytes(v[0], ".gguf");
  mlx_io_gguf g = mlx_io_gguf_new();
  int rc = path && g.ctx ? set_arrays(g, v[1]) : PX_ERROR;
  if (!rc && v[2] && v[2] != Py_None) rc = set_metadata(g, v[2]);
  if (!rc) {
    int failed;
    Py_BEGIN_ALLOW_THREADS;
    failed = mlx_save_gguf(PyBytes_AsString(path), g);
    Py_END_ALLOW_THREADS;
    if (failed) rc = px_failed();
  }
  mlx_io_gguf_free(g);
  Py_XDECREF(path);
  return rc;
}

/* ---- loading ---- */

static PyObject *array_of(mlx_io_gguf g, const char *key) {
  PyObject *r = px_new();
  if (!r) return NULL;
  mlx_array h = px_handle(r);
  return px_done(r, mlx_io_gguf_get_array(&h, g, key));
}

static PyObject *texts_of(mlx_vector_string v) {
  size_t n = mlx_vector_string_size(v);
  PyObject *r = PyList_New((Py_ssize_t)n);
  for (size_t i = 0; r && i < n; i++) {
    char *text;
    PyObject *s = mlx_vector_string_get(&text, v, i) ? px_raise() : PyUnicode_FromString(text);
    if (!s) Py_CLEAR(r);
    else PyList_SetItem(r, (Py_ssize_t)i, s);
  }
  return r;
}

static PyObject *value_of(mlx_io_gguf g, const char *key) {
  bool numbers = false, text = false;
  if (mlx_io_gguf_has_metadata_array(&numbers, g, key) || mlx_io_gguf_has_metadata_string(&text, g, key)) return px_raise();
  if (numbers) {
    PyObject *r = px_new();
    if (!r) return NULL;
    mlx_array h = px_handle(r);
    return px_done(r, mlx_io_gguf_get_metadata_array(&h, g, key));
  }
  PyObject *r;
  if (text) {
    mlx_string s = mlx_string_new();
    r = mlx_io_gguf_get_metadata_string(&s, g, key) ? px_raise() : PyUnicode_FromString(mlx_string_data(s));
    mlx_string_free(s);
  } else {
    mlx_vector_string v = mlx_vector_string_new();
    r = mlx_io_gguf_get_metadata_vector_string(&v, g, key) ? px_raise() : texts_of(v);
    mlx_vector_string_free(v);
  }
  return r;
}

/* {key: get(key)} for what `list` lists. */
static PyObject *dict_of(mlx_io_gguf g, int (*list)(mlx_vector_string *, mlx_io_gguf), PyObject *(*get)(mlx_io_gguf, const char *)) {
  mlx_vector_string keys = mlx_vector_string_new();
  PyObject *r = list(&keys, g) ? px_raise() : PyDict_New();
  for (size_t i = 0; r && i < mlx_vector_string_size(keys); i++) {
    char *key;
    PyObject *value = mlx_vector_string_get(&key, keys, i) ? px_raise() : get(g, key);
    PyObject *name = value ? PyUnicode_FromString(key) : NULL;
    if (!name || PyDict_SetItem(r, name, value)) Py_CLEAR(r);
    Py_XDECREF(name);
    Py_XDECREF(value);
  }
  mlx_vector_string_free(keys);
  return r;
}

PyObject *px_load_gguf(PyObject *file, bool with_metadata, mlx_stream s) {
  if (path_only(file, "load_gguf")) return NULL;
  PyObject *path = px_path_bytes(file, NULL), *arrays = NULL, *metadata = NULL, *r = NULL;
  mlx_io_gguf g = mlx_io_gguf_new();
  int rc = !path || !g.ctx;
  if (!rc) {
    Py_BEGIN_ALLOW_THREADS;
    rc = mlx_load_gguf(&g, PyBytes_AsString(path), s);
    Py_END_ALLOW_THREADS;
    if (rc) px_raise();
  }
  if (!rc) arrays = dict_of(g, mlx_io_gguf_get_keys, array_of);
  if (arrays && with_metadata) metadata = dict_of(g, mlx_io_gguf_get_metadata_keys, value_of);
  r = !with_metadata ? Py_XNewRef(arrays) : metadata ? PyTuple_Pack(2, arrays, metadata) : NULL;
  Py_XDECREF(arrays);
  Py_XDECREF(metadata);
  mlx_io_gguf_free(g);
  Py_XDECREF(path);
  return r;
}
