/* Reading elements: parsing an index, and x[...] as slice, squeeze, take, gather and expand_dims.
 *
 * NumPy's rules, but for what MLX refuses: NumPy arrays as indices. A mask alone is masked_select, else the places where it is true. */
#include "index.h"

static int check(int rc) {
  if (!rc) return 0;
  px_raise();
  return PX_ERROR;
}

/* ---- parsing ---- */

static int bad_index(void) {
  PyErr_SetString(PyExc_ValueError, "Cannot index mlx array using the given type.");
  return PX_ERROR;
}

void px_drop_index(px_index *x) {
  for (int i = 0; i < x->n; i++) px_drop(&x->at[i].array);
}

static int within_int(Py_ssize_t v) { return v > INT32_MAX ? INT32_MAX : v < -INT32_MAX ? -INT32_MAX : (int)v; }

/* What a slice holds, borrowed. The limited API has it as attributes, a call each, so the object is read as all versions of CPython lay it out;
 * whether this one does is looked at once. */
typedef struct slice_object {
  PyObject_HEAD PyObject *bounds[3];
} slice_object;

static bool lies_open(void) {
  static int known; /* 1: it does, -1: it does not */
  if (known) return known > 0;
  PyObject *slice = PySlice_New((PyObject *)&PyLong_Type, (PyObject *)&PyFloat_Type, (PyObject *)&PyBool_Type);
  PyObject *size = slice ? PyObject_GetAttrString((PyObject *)&PySlice_Type, "__basicsize__") : NULL;
  PyObject **at = slice ? ((slice_object *)slice)->bounds : NULL;
  bool open = size && PyLong_AsLong(size) == (long)sizeof(slice_object) && at[0] == (PyObject *)&PyLong_Type &&
              at[1] == (PyObject *)&PyFloat_Type && at[2] == (PyObject *)&PyBool_Type;
  Py_XDECREF(slice);
  Py_XDECREF(size);
  PyErr_Clear();
  known = open ? 1 : -1;
  return open;
}

/* Bounds that are ints or None, and a step that is none or neither 0 nor large; 1: it is not so simple. */
static int plain_bounds(PyObject *o, Py_ssize_t *v) {
  if (!lies_open()) return 1;
  PyObject *const *bounds = ((slice_object *)o)->bounds;
  for (int i = 2; i >= 0; i--) {
    int overflow = 0;
    long long given = 1;
    if (bounds[i] == Py_None && i < 2) given = (i == 1) == (v[2] > 0) ? PY_SSIZE_T_MAX : i == 1 ? PY_SSIZE_T_MIN : 0;
    else if (PyLong_CheckExact(bounds[i])) given = PyLong_AsLongLongAndOverflow(bounds[i], &overflow);
    else if (bounds[i] != Py_None) return 1;
    v[i] = (Py_ssize_t)given;
    if (overflow || v[i] != given || (i == 2 && (given == 0 || given != within_int(v[i])))) return 1;
  }
  return 0;
}

static int any_bounds(PyObject *o, Py_ssize_t *v) {
  static const char *const names[] = {"start", "stop", "step"};
  for (int i = 0; i < 3; i++) {
    PyObject *bound = PyObject_GetAttrString(o, names[i]);
    bool ok = bound && (bound == Py_None || (PyIndex_Check(bound) && !px_is_array(bound)));
    Py_XDECREF(bound);
    if (ok) continue;
    PyErr_SetString(PyExc_ValueError, "Slice indices must be integers or None.");
    return PX_ERROR;
  }
  return PySlice_Unpack(o, &v[0], &v[1], &v[2]) ? PX_ERROR : 0;
}

static int parse_slice(px_part *it, PyObject *o, int size) {
  Py_ssize_t v[3];
  if (plain_bounds(o, v) && any_bounds(o, v)) return PX_ERROR;
  Py_ssize_t start = v[0], stop = v[1], step = v[2];
  it->from = within_int(start);
  it->to = within_int(stop);
  it->by = within_int(step);
  return px_settle_slice(it, size);
}

int px_settle_slice(px_part *it, int size) {
  Py_ssize_t start = it->from, stop = it->to, step = it->by;
  if (!step) return PyErr_SetString(PyExc_ValueError, "slice step cannot be zero"), PX_ERROR;
  Py_ssize_t n = PySlice_AdjustIndices(size, &start, &stop, step);
  if (n == 0)
    start = stop = 0, step = 1;
  else if (step < 0 && stop < 0)
    stop = -(Py_ssize_t)size - 1;
  it->kind = PX_SLICE;
  it->start = (int)start;
  it->stop = (int)stop;
  it->step = (int)step;
  it->n = (int)n;
  it->full = n == size && step == 1;
  return 0;
}

static int out_of_bounds(PyObject *i, int dim, int size) {
  PyErr_Format(PyExc_IndexError, "[index] index %S is out of bounds for axis %d with size %d", i, dim, size);
  return PX_ERROR;
}

int px_settle_int(px_part *it, int size) {
  int v = it->from;
  if (v < -size || v >= size) {
    PyObject *i = PyLong_FromLong(v);
    int rc = i ? out_of_bounds(i, it->dim, size) : PX_ERROR;
    Py_XDECREF(i);
    return rc;
  }
  if (v < 0) v += size;
  *it = (px_part){.kind = PX_INT, .dim = it->dim, .start = v, .stop = v + 1, .step = 1, .from = it->from, .to = it->from == -1 ? INT32_MAX : it->from + 1, .by = 1, .n = 1};
  return 0;
}

static int parse_int(px_part *it, PyObject *o, int dim, int size) {
  PyObject *i = PyLong_CheckExact(o) ? Py_NewRef(o) : PyNumber_Index(o);
  int overflow = 0;
  long long v = i ? PyLong_AsLongLongAndOverflow(i, &overflow) : 0;
  Py_XDECREF(i);
  if (!i) {
    PyErr_Clear();
    return bad_index();
  }
  if (overflow || v < -size || v >= size) return out_of_bounds(o, dim, size);
  *it = (px_part){.dim = dim, .from = (int)v};
  return px_settle_int(it, size);
}

static int parse_array(px_part *it, PyObject *o) {
  int rc;
  it->kind = PX_ARRAY;
  if (px_is_array(o)) {
    it->array.h = px_handle(o);
    rc = 0;
  } else
    rc = px_from_object(o, PyList_Check(o) && PyList_Size(o) == 0 ? MLX_INT32 : -1, &it->array);
  if (rc) return rc;
  if (mlx_array_dtype(it->array.h) == MLX_BOOL) it->kind = PX_MASK;
  return 0;
}

/* The dimensions of a NumPy array or scalar of booleans; -1 for what is none. */
static int numpy_mask_ndim(PyObject *o) {
  int ndim = -1;
  PyObject *dtype = PyObject_CheckBuffer(o) ? PyObject_GetAttrString(o, "dtype") : NULL, *kind = dtype ? PyObject_GetAttrString(dtype, "char") : NULL;
  if (kind && PyUnicode_Check(kind) && PyUnicode_CompareWithASCIIString(kind, "?") == 0) {
    PyObject *n = PyObject_GetAttrString(o, "ndim");
    if (n) ndim = (int)PyLong_AsLong(n);
    Py_XDECREF(n);
  }
  Py_XDECREF(kind);
  Py_XDECREF(dtype);
  PyErr_Clear();
  return ndim;
}

/* mask: what numpy_mask_ndim says of it */
static bool is_foreign_array(PyObject *o, int mask) {
  return PyObject_CheckBuffer(o) && PyObject_HasAttrString(o, "__array__") && (mask >= 0 || PySequence_Check(o));
}

/* Dimensions that an element of the index stands for. *mask: what numpy_mask_ndim says of it. */
static int consumed(PyObject *o, int8_t *mask) {
  *mask = -1;
  if (o == Py_None || o == Py_Ellipsis || PyBool_Check(o)) return 0;
  if (PyLong_Check(o) || PySlice_Check(o)) return 1;
  if (px_is_array(o)) return mlx_array_dtype(px_handle(o)) == MLX_BOOL ? (int)mlx_array_ndim(px_handle(o)) : 1;
  int depth = numpy_mask_ndim(o);
  if (depth >= 0) return *mask = (int8_t)(depth < PX_MAX_NDIM ? depth : PX_MAX_NDIM), depth;
  depth = 0;
  for (; PyList_Check(o) && PyList_Size(o) && depth < PX_MAX_NDIM; depth++) o = PyList_GetItem(o, 0);
  return PyBool_Check(o) && depth ? depth : 1;
}

static int too_many(int ndim) {
  if (ndim)
    PyErr_Format(PyExc_ValueError, "Too many indices for array with %d dimensions.", ndim);
  else
    PyErr_SetString(PyExc_ValueError, "too many indices for array: array is 0-dimensional");
  return PX_ERROR;
}

static void push_full(px_index *x, int *dim) {
  int size = x->shape[*dim];
  x->at[x->n++] = (px_part){.kind = PX_SLICE, .dim = (*dim)++, .stop = size, .step = 1, .to = INT32_MAX, .by = 1, .n = size, .full = true};
}

static int parse_one(px_index *x, PyObject *o, int mask, int *dim) {
  px_part *it = &x->at[x->n];
  *it = (px_part){.kind = PX_NONE, .dim = *dim};
  int rc = 0;
  if (x->n + 1 >= 2 * PX_MAX_NDIM) return too_many(x->ndim);
  if (o == Py_None) {
    x->nones++;
    x->n++;
    return 0;
  }
  x->n++; /* counted before it may fail, so that its array is dropped */
  if (PySlice_Check(o))
    rc = parse_slice(it, o, x->shape[*dim]);
  else if (PyLong_Check(o) && !PyBool_Check(o))
    rc = parse_int(it, o, *dim, x->shape[*dim]);
  else if (px_is_array(o) || PyList_Check(o) || PyBool_Check(o) || is_foreign_array(o, mask)) /* a bool is a mask of no dimensions */
    rc = parse_array(it, o);
  else if (PyIndex_Check(o))
    rc = parse_int(it, o, *dim, x->shape[*dim]);
  else
    rc = bad_index();
  if (rc) return rc;
  it->dim = *dim;
  x->ints += it->kind == PX_INT;
  x->arrays += it->kind == PX_ARRAY;
  x->masks += it->kind == PX_MASK;
  *dim += it->kind == PX_MASK ? (int)mlx_array_ndim(it->array.h) : 1;
  return *dim > x->ndim ? too_many(x->ndim) : 0;
}

void px_find_groups(px_index *x) {
  int groups = 0;
  for (int i = 0, inside = 0; i < x->n; i++) {
    int advanced = x->at[i].kind == PX_INT || x->at[i].kind == PX_ARRAY;
    groups += advanced && !inside;
    inside = advanced;
  }
  x->adjacent = groups <= 1;
}

int px_parse_index(px_index *x, mlx_array a, PyObject *key) {
  x->n = x->arrays = x->ints = x->nones = x->masks = 0;
  x->ndim = (int)mlx_array_ndim(a);
  x->shape = mlx_ext_shape(a);
  bool tuple = PyTuple_Check(key);
  Py_ssize_t count = tuple ? PyTuple_Size(key) : 1;
  int used = 0, ellipses = 0, dim = 0;
  int8_t masks[PX_MAX_NDIM];
  if (count > PX_MAX_NDIM) return too_many(x->ndim);
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *o = tuple ? PyTuple_GetItem(key, i) : key;
    used += consumed(o, &masks[i]);
    ellipses += o == Py_Ellipsis;
  }
  if (ellipses > 1) {
    PyErr_SetString(PyExc_ValueError, "An index can only have a single ellipsis (...)");
    return PX_ERROR;
  }
  if (used > x->ndim) return too_many(x->ndim);
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject *o = tuple ? PyTuple_GetItem(key, i) : key;
    if (o == Py_Ellipsis)
      for (int k = used; k < x->ndim; k++) push_full(x, &dim);
    else if (parse_one(x, o, masks[i], &dim))
      return PX_ERROR;
  }
  while (dim < x->ndim) push_full(x, &dim);
  px_find_groups(x);
  return 0;
}

/* ---- masks ---- */

int px_only_mask(const px_index *x) {
  int at = -1;
  if (x->masks != 1 || x->ints || x->arrays || x->nones) return -1;
  for (int i = 0; i < x->n; i++) {
    if (x->at[i].kind == PX_MASK) at = i;
    else if (!x->at[i].full) return -1;
  }
  return at;
}

/* Its shape is that of the dimensions it stands for, and it has values, which are computed. */
static int check_mask(const px_index *x, const px_part *it, bool writing) {
  mlx_array mask = it->array.h;
  int k = (int)mlx_array_ndim(mask);
  for (int d = 0; d < k; d++)
    if (mlx_array_shape(mask)[d] != x->shape[it->dim + d]) {
      PyErr_Format(writing ? PyExc_ValueError : PyExc_IndexError,
                   "[index] The boolean index does not match the array along dimension %d: its size there is %d, but the array's is %d.",
                   it->dim + d, mlx_array_shape(mask)[d], x->shape[it->dim + d]);
      return PX_ERROR;
    }
  if (mlx_ext_is_traced(mask)) {
    PyErr_SetString(PyExc_ValueError, "[index] What a boolean index chooses depends on its values, and compile and vmap trace without "
                                      "values: use where, or compress with size=.");
    return PX_ERROR;
  }
  return px_eval(mask);
}

/* Part i becomes k parts; an array that a part owns moves with it. */
static void make_room(px_index *x, int i, int k) {
  memmove(&x->at[i + k], &x->at[i + 1], (size_t)(x->n - i - 1) * sizeof *x->at);
  x->n += k - 1;
  for (int at = i + k; at < x->n; at++)
    if (x->at[at].array.slot) px_own(&x->at[at].array);
}

static int expand_mask(px_index *x, int i, mlx_stream s) {
  int dim = x->at[i].dim, k = (int)mlx_array_ndim(x->at[i].array.h), rc;
  if (!k) {
    PyErr_SetString(PyExc_ValueError, "[index] A boolean index without dimensions must be the only index.");
    return PX_ERROR;
  }
  if (x->n + k > 2 * PX_MAX_NDIM) return too_many(x->ndim);
  mlx_vector_array places = mlx_vector_array_new();
  if ((rc = check(mlx_nonzero(&places, x->at[i].array.h, (mlx_optional_int){0, false}, 0, s)))) goto done;
  px_drop(&x->at[i].array);
  make_room(x, i, k);
  for (int d = 0; d < k; d++) x->at[i + d] = (px_part){.kind = PX_ARRAY, .dim = dim + d};
  for (int d = 0; d < k && !rc; d++) {
    mlx_array h = px_own(&x->at[i + d].array);
    rc = check(mlx_vector_array_get(&h, places, (size_t)d));
  }
  x->masks--;
  x->arrays += k;
done:
  mlx_vector_array_free(places);
  return rc;
}

int px_expand_masks(px_index *x, bool writing) {
  for (int i = 0; i < x->n; i++)
    if (x->at[i].kind == PX_MASK && (check_mask(x, &x->at[i], writing) || expand_mask(x, i, mlx_ext_default_stream()))) return PX_ERROR;
  px_find_groups(x);
  return 0;
}

static int read_mask(mlx_array *res, mlx_array a, const px_index *x, const px_part *it, mlx_stream s) {
  if (check_mask(x, it, false)) return PX_ERROR;
  return check(mlx_masked_select(res, a, it->array.h, it->dim, (mlx_optional_int){0, false}, (mlx_array){NULL}, s));
}

/* ---- reading ---- */

/* res = a with ints and slices taken; an int leaves a dimension of size 1. */
static int take_slices(mlx_array *res, mlx_array a, const px_index *x, mlx_stream s) {
  int start[PX_MAX_NDIM], stop[PX_MAX_NDIM], step[PX_MAX_NDIM];
  bool any = false;
  for (int d = 0; d < x->ndim; d++) start[d] = 0, stop[d] = INT32_MAX, step[d] = 1;
  for (int i = 0; i < x->n; i++) {
    const px_part *it = &x->at[i];
    if (it->kind != PX_INT && (it->kind != PX_SLICE || (it->from == 0 && it->to == INT32_MAX && it->by == 1))) continue;
    start[it->dim] = it->from, stop[it->dim] = it->to, step[it->dim] = it->by;
    any = true;
  }
  size_t n = (size_t)x->ndim;
  return check(any ? mlx_slice(res, a, start, n, stop, n, step, n, s) : mlx_array_set(res, a));
}

/* Drops the dimensions of ints (positions given) and adds those of None. */
static int squeeze(mlx_array *res, const int *axes, int n, mlx_stream s) {
  return n ? check(mlx_squeeze_axes(res, *res, axes, (size_t)n, s)) : 0;
}

static int read_basic(mlx_array *res, mlx_array a, const px_index *x, mlx_stream s) {
  int drop[PX_MAX_NDIM], add[2 * PX_MAX_NDIM], ndrop = 0, nadd = 0, out = 0;
  for (int i = 0; i < x->n; i++) {
    if (x->at[i].kind == PX_INT)
      drop[ndrop++] = x->at[i].dim;
    else if (x->at[i].kind == PX_NONE)
      add[nadd++] = out++;
    else
      out++;
  }
  if (take_slices(res, a, x, s) || squeeze(res, drop, ndrop, s)) return PX_ERROR;
  return nadd ? check(mlx_expand_dims_axes(res, *res, add, (size_t)nadd, s)) : 0;
}

/* res (sliced already) = its elements at the index arrays. The broadcast shape of the index arrays (nb dimensions) stands
 * at dimension *at; dimensions of ints are still there, *shift tells how many places a dimension after them moved. */
static int gather(mlx_array *res, const px_index *x, int *nb, mlx_stream s) {
  mlx_vector_array indices = mlx_vector_array_new();
  int axes[PX_MAX_NDIM], sizes[PX_MAX_NDIM], n = 0, rc = 0;
  *nb = 0;
  for (int d = 0; d < x->ndim; d++) sizes[d] = mlx_array_shape(*res)[d];
  for (int i = 0; i < x->n && !rc; i++) {
    const px_part *it = &x->at[i];
    if (it->kind != PX_ARRAY) continue;
    int ndim = (int)mlx_array_ndim(it->array.h);
    if (ndim > *nb) *nb = ndim;
    axes[n++] = it->dim;
    sizes[it->dim] = sizes[it->dim] > 0 ? 1 : 0;
    rc = mlx_vector_array_append_value(indices, it->array.h);
  }
  if (!rc) rc = mlx_gather(res, *res, indices, axes, (size_t)n, sizes, (size_t)x->ndim, s);
  mlx_vector_array_free(indices);
  return check(rc);
}

static int read_arrays(mlx_array *res, mlx_array a, const px_index *x, mlx_stream s) {
  int nb = 0, place = 0, drop[PX_MAX_NDIM], ndrop = 0, one = -1;
  if (take_slices(res, a, x, s)) return PX_ERROR;
  for (int i = 0; i < x->n; i++)
    if (x->at[i].kind == PX_ARRAY) one = one < 0 && x->arrays == 1 ? i : -1;
  if (one >= 0) { /* take leaves the index's dimensions where the axis was */
    const px_part *it = &x->at[one];
    nb = (int)mlx_array_ndim(it->array.h);
    if (check(mlx_take_axis(res, *res, it->array.h, it->dim, s))) return PX_ERROR;
    for (int i = 0; i < x->n; i++) {
      if (x->at[i].kind == PX_INT) drop[ndrop++] = x->at[i].dim + (x->at[i].dim > it->dim ? nb - 1 : 0);
      place += x->at[i].kind == PX_SLICE && i < one;
    }
  } else { /* gather puts them first */
    if (gather(res, x, &nb, s)) return PX_ERROR;
    for (int i = 0; i < x->n; i++)
      if (x->at[i].kind == PX_INT || x->at[i].kind == PX_ARRAY) drop[ndrop++] = x->at[i].dim + nb;
  }
  if (squeeze(res, drop, ndrop, s)) return PX_ERROR;
  /* Where the index's dimensions belong: after the slices that precede the first int or array, or first. */
  int target = 0, ndim = (int)mlx_array_ndim(*res), axes[2 * PX_MAX_NDIM], k = 0;
  for (int i = 0; x->adjacent && i < x->n; i++) {
    if (x->at[i].kind == PX_INT || x->at[i].kind == PX_ARRAY) break;
    target += x->at[i].kind == PX_SLICE;
  }
  if (nb && place != target) {
    int rest = 0;
    for (int d = 0; d < ndim; d++) {
      if (d >= target && d < target + nb)
        axes[k++] = place + d - target;
      else {
        if (rest == place) rest += nb;
        axes[k++] = rest++;
      }
    }
    if (check(mlx_transpose_axes(res, *res, axes, (size_t)ndim, s))) return PX_ERROR;
  }
  if (!x->nones) return 0;
  int add[2 * PX_MAX_NDIM], nadd = 0, out = x->adjacent ? 0 : nb, done = !x->adjacent;
  for (int i = 0; i < x->n; i++) {
    if (x->at[i].kind == PX_NONE)
      add[nadd++] = out++;
    else if (x->at[i].kind == PX_SLICE)
      out++;
    else if (!done)
      out += nb, done = 1;
  }
  return check(mlx_expand_dims_axes(res, *res, add, (size_t)nadd, s));
}

int px_read_index(mlx_array *res, mlx_array a, px_index *x, mlx_stream s) { return (x->arrays ? read_arrays : read_basic)(res, a, x, s); }

PyObject *px_getitem(PyObject *self, PyObject *key) {
  px_index x;
  PyObject *r = NULL;
  mlx_array a = px_handle(self);
  int rc = px_parse_index(&x, a, key), only = rc || !x.masks ? -1 : px_only_mask(&x);
  if (!rc && x.masks && only < 0) rc = px_expand_masks(&x, false);
  if (!rc && (r = px_new())) {
    mlx_array res = px_handle(r);
    mlx_stream s = mlx_ext_default_stream();
    if (only >= 0) rc = read_mask(&res, a, &x, &x.at[only], s);
    else if (x.arrays < 2 || !mlx_ext_any_shape() || (rc = px_record_index(&res, a, NULL, &x, -1)) == 1) rc = px_read_index(&res, a, &x, s);
    if (rc) Py_CLEAR(r);
  }
  px_drop_index(&x);
  return r;
}
