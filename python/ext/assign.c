/* Writing elements: x[...] = v and x.at[...].add(v) as slice_update, scatter and, for masks, where and masked_scatter. */
#include "index.h"

static int check(int rc) {
  if (!rc) return 0;
  px_raise();
  return PX_ERROR;
}

/* ---- slices and ints: slice_update ---- */

static int update_slice(mlx_array *res, mlx_array a, mlx_array v, const px_index *x, px_update how, mlx_stream s) {
  static int (*const update[])(mlx_array *, mlx_array, mlx_array, const int *, size_t, const int *, size_t, const int *, size_t,
                               mlx_stream) = {[PX_SET] = mlx_slice_update,
                                              [PX_ADD] = mlx_slice_update_add,
                                              [PX_MUL] = mlx_slice_update_prod,
                                              [PX_MAX] = mlx_slice_update_max,
                                              [PX_MIN] = mlx_slice_update_min};
  int start[PX_MAX_NDIM], stop[PX_MAX_NDIM], step[PX_MAX_NDIM];
  for (int i = 0; i < x->n; i++) {
    const px_part *it = &x->at[i];
    if (it->kind != PX_NONE) start[it->dim] = it->start, stop[it->dim] = it->stop, step[it->dim] = it->step;
  }
  size_t n = (size_t)x->ndim;
  return check(update[how](res, a, v, start, n, stop, n, step, n, s));
}

static int cannot_broadcast(mlx_array v, const int *shape, int ndim) {
  PyObject *from = PyTuple_New((Py_ssize_t)mlx_array_ndim(v)), *to = PyTuple_New(ndim);
  for (int i = 0; from && i < (int)mlx_array_ndim(v); i++) PyTuple_SetItem(from, i, PyLong_FromLong(mlx_array_shape(v)[i]));
  for (int i = 0; to && i < ndim; i++) PyTuple_SetItem(to, i, PyLong_FromLong(shape[i]));
  if (from && to)
    PyErr_Format(PyExc_ValueError, "[broadcast_shapes] Cannot broadcast array of shape %R into shape %R.", from, to);
  Py_XDECREF(from);
  Py_XDECREF(to);
  return PX_ERROR;
}

/* The value reshaped to the dimensions of the slice: 1 for each int, none for a None, extra leading ones dropped. */
static int fit_slice(px_arg *v, const px_index *x, mlx_stream s) {
  int ndim = (int)mlx_array_ndim(v->h), left = ndim, rank = x->ndim - x->ints + x->nones, shape[PX_MAX_NDIM],
      target[2 * PX_MAX_NDIM], t = rank;
  const int *old = mlx_array_shape(v->h);
  if (ndim == 0) return 0;
  bool bad = false;
  for (int i = x->n - 1; i >= 0; i--) {
    const px_part *it = &x->at[i];
    if (it->kind == PX_INT) {
      shape[it->dim] = 1;
      continue;
    }
    int want = it->kind == PX_NONE ? 1 : it->n, have = left > 0 ? old[--left] : 1;
    target[--t] = want;
    if (have != 1 && have != want) bad = true;
    if (it->kind == PX_SLICE) shape[it->dim] = have;
  }
  while (left > 0)
    if (old[--left] != 1) bad = true;
  if (rank == 0 && ndim > 0) bad = true; /* a value of shape (1,) is no scalar here, as in MLX */
  if (bad) return cannot_broadcast(v->h, target, rank);
  mlx_array src = v->h, res = px_own(v);
  return check(mlx_reshape(&res, src, shape, (size_t)x->ndim, s));
}

/* ---- index arrays: scatter ---- */

/* How the dimensions of an update are ordered: those of the index arrays (nb), then the slices, as they stand. */
typedef struct layout {
  int nb, broadcast[PX_MAX_NDIM];
  int nslices, slices[PX_MAX_NDIM]; /* positions in x->at */
  int rank, shape[2 * PX_MAX_NDIM]; /* of the value as NumPy sees it, None included */
  int first;                        /* where the index dimensions stand in shape */
} layout;

static int broadcast_indices(layout *l, const px_index *x) {
  l->nb = 0;
  for (int i = 0; i < x->n; i++)
    if (x->at[i].kind == PX_ARRAY) {
      int n = (int)mlx_array_ndim(x->at[i].array.h);
      if (n > l->nb) l->nb = n;
    }
  for (int d = 0; d < l->nb; d++) l->broadcast[d] = 1;
  for (int i = 0; i < x->n; i++) {
    if (x->at[i].kind != PX_ARRAY) continue;
    mlx_array h = x->at[i].array.h;
    int n = (int)mlx_array_ndim(h);
    for (int d = 0; d < n; d++) {
      int *b = &l->broadcast[l->nb - n + d], size = mlx_array_shape(h)[d];
      if (*b == 1)
        *b = size;
      else if (size != 1 && size != *b)
        return cannot_broadcast(h, l->broadcast, l->nb);
    }
  }
  return 0;
}

static void lay_out(layout *l, const px_index *x) {
  bool placed = false;
  l->rank = l->nslices = l->first = 0;
  if (!x->adjacent) {
    for (int d = 0; d < l->nb; d++) l->shape[l->rank++] = l->broadcast[d];
    placed = true;
  }
  for (int i = 0; i < x->n; i++) {
    const px_part *it = &x->at[i];
    if (it->kind == PX_NONE)
      l->shape[l->rank++] = 1;
    else if (it->kind == PX_SLICE) {
      l->shape[l->rank++] = it->n;
      l->slices[l->nslices++] = i;
    } else if (!placed) {
      placed = true;
      l->first = l->rank;
      for (int d = 0; d < l->nb; d++) l->shape[l->rank++] = l->broadcast[d];
    }
  }
}

/* v = the value broadcast to l->shape, without the dimensions of None, index dimensions first, then partial slices,
 * then full ones. */
static int arrange_value(px_arg *v, const px_index *x, const layout *l, mlx_stream s) {
  int ndim = (int)mlx_array_ndim(v->h), drop = 0;
  const int *old = mlx_array_shape(v->h);
  while (ndim - drop > l->rank && old[drop] == 1) drop++;
  mlx_array src = v->h, res = px_own(v);
  if (drop && check(mlx_reshape(&res, src, old + drop, (size_t)(ndim - drop), s))) return PX_ERROR;
  if (drop) src = res;
  if (check(mlx_broadcast_to(&res, src, l->shape, (size_t)l->rank, s))) return PX_ERROR;
  /* where each group stands in l->shape */
  int axes[2 * PX_MAX_NDIM], n = 0, none[2 * PX_MAX_NDIM], nnone = 0, where[2 * PX_MAX_NDIM], out = x->adjacent ? 0 : l->nb;
  bool placed = !x->adjacent;
  for (int i = 0; i < x->n; i++) {
    const px_part *it = &x->at[i];
    if (it->kind == PX_NONE)
      none[nnone++] = out++;
    else if (it->kind == PX_SLICE)
      where[i] = out++;
    else if (!placed)
      placed = true, out += l->nb;
  }
  for (int d = 0; d < l->nb; d++) axes[n++] = l->first + d;
  for (int full = 0; full < 2; full++)
    for (int k = 0; k < l->nslices; k++)
      if (x->at[l->slices[k]].full == (full != 0)) axes[n++] = where[l->slices[k]];
  for (int k = 0; k < nnone; k++) axes[n++] = none[k];
  if (check(mlx_transpose_axes(&res, res, axes, (size_t)n, s))) return PX_ERROR;
  for (int k = 0; k < nnone; k++) none[k] = n - nnone + k;
  return nnone ? check(mlx_squeeze_axes(&res, res, none, (size_t)nnone, s)) : 0;
}

/* The index of dimension it->dim shaped to broadcast over l->nb + partial dimensions; turn is the slice's own place. */
static int index_array(mlx_array *res, const px_part *it, const layout *l, int partial, int turn, mlx_stream s) {
  int shape[2 * PX_MAX_NDIM], n = 0, rank = l->nb + partial;
  if (it->kind == PX_INT) return check(mlx_array_set_data(res, &it->start, NULL, 0, MLX_INT32));
  if (it->kind == PX_ARRAY) {
    int own = (int)mlx_array_ndim(it->array.h);
    if (!partial || own == 0) return check(mlx_array_set(res, it->array.h));
    for (int d = 0; d < own; d++) shape[n++] = mlx_array_shape(it->array.h)[d];
    for (int d = 0; d < partial; d++) shape[n++] = 1;
    return check(mlx_reshape(res, it->array.h, shape, (size_t)n, s));
  }
  for (int d = 0; d < rank; d++) shape[d] = d == l->nb + turn ? it->n : 1;
  int rc = mlx_arange(res, it->start, (double)it->start + (double)it->n * it->step, it->step, MLX_INT32, s);
  return check(rc || mlx_reshape(res, *res, shape, (size_t)rank, s));
}

static int scatter(mlx_array *res, mlx_array a, px_arg *v, const px_index *x, px_update how, mlx_stream s) {
  static int (*const ops[])(mlx_array *, mlx_array, mlx_vector_array, mlx_array, const int *, size_t,
                            mlx_stream) = {[PX_SET] = mlx_scatter,
                                           [PX_ADD] = mlx_scatter_add,
                                           [PX_MUL] = mlx_scatter_prod,
                                           [PX_MAX] = mlx_scatter_max,
                                           [PX_MIN] = mlx_scatter_min};
  layout l;
  if (broadcast_indices(&l, x)) return PX_ERROR;
  lay_out(&l, x);
  int axes[PX_MAX_NDIM], naxes = 0, partial = 0, turn = 0, shape[3 * PX_MAX_NDIM], n = 0, rc = 0;
  for (int k = 0; k < l.nslices; k++) partial += !x->at[l.slices[k]].full;
  mlx_vector_array indices = mlx_vector_array_new();
  for (int i = 0; i < x->n && !rc; i++) {
    const px_part *it = &x->at[i];
    if (it->kind == PX_NONE || (it->kind == PX_SLICE && it->full)) continue;
    px_arg idx = {0};
    mlx_array h = px_own(&idx);
    rc = index_array(&h, it, &l, partial, turn, s) || check(mlx_vector_array_append_value(indices, h));
    turn += it->kind == PX_SLICE;
    axes[naxes++] = it->dim;
    px_drop(&idx);
  }
  /* updates: index dimensions, partial slices, then every dimension of the array, 1 where it is indexed */
  for (int d = 0; d < l.nb; d++) shape[n++] = l.broadcast[d];
  for (int k = 0; k < l.nslices; k++)
    if (!x->at[l.slices[k]].full) shape[n++] = x->at[l.slices[k]].n;
  for (int i = 0; i < x->n; i++)
    if (x->at[i].kind != PX_NONE) shape[n++] = x->at[i].kind == PX_SLICE && x->at[i].full ? x->at[i].n : 1;
  if (!rc && mlx_array_ndim(v->h) == 0) {
    mlx_array src = v->h, r = px_own(v);
    rc = check(mlx_broadcast_to(&r, src, shape, (size_t)n, s));
  } else if (!rc) {
    rc = arrange_value(v, x, &l, s);
    mlx_array r = v->h;
    if (!rc) rc = check(mlx_reshape(&r, v->h, shape, (size_t)n, s));
  }
  if (!rc) rc = check(ops[how](res, a, indices, v->h, axes, (size_t)naxes, s));
  mlx_vector_array_free(indices);
  return rc ? PX_ERROR : 0;
}

/* ---- masks ---- */

static int combine(mlx_array *res, mlx_array a, mlx_array v, px_update how, mlx_stream s) {
  switch (how) {
  case PX_ADD: return mlx_add(res, a, v, s);
  case PX_MUL: return mlx_multiply(res, a, v, s);
  case PX_MAX: return mlx_maximum(res, a, v, s);
  case PX_MIN: return mlx_minimum(res, a, v, s);
  default: return mlx_array_set(res, v);
  }
}

/* The same value at every true place: v broadcasts to the dimensions behind the mask. */
static int update_everywhere(mlx_array *res, mlx_array a, mlx_array v, const px_index *x, const px_part *it, px_update how,
                             mlx_stream s) {
  int shape[PX_MAX_NDIM], lead = (int)mlx_array_ndim(it->array.h);
  for (int d = 0; d < x->ndim; d++) shape[d] = d >= it->dim && d < it->dim + lead ? x->shape[d] : 1;
  px_arg wide = {0}, value = {0};
  mlx_array m = px_own(&wide), w = px_own(&value);
  int rc = check(mlx_reshape(&m, it->array.h, shape, (size_t)x->ndim, s) || combine(&w, a, v, how, s) || mlx_where(res, m, w, a, s));
  px_drop(&wide);
  px_drop(&value);
  return rc;
}

/* A row of v for each true place, in order; the mask stands for the first dimensions. */
static int update_in_order(mlx_array *res, mlx_array a, mlx_array v, const px_index *x, const px_part *it, px_update how, mlx_stream s) {
  int lead = (int)mlx_array_ndim(it->array.h), rest = x->ndim - lead, ndim = (int)mlx_array_ndim(v), shape[PX_MAX_NDIM + 1];
  const int *old = mlx_array_shape(v);
  for (; ndim > rest + 1 && *old == 1; ndim--) old++;
  if (ndim > rest + 1) return cannot_broadcast(v, x->shape, x->ndim);
  px_arg rows = {0}, value = {0};
  mlx_array r = px_own(&rows), w = px_own(&value);
  shape[0] = old[0];
  for (int d = 0; d < rest; d++) shape[1 + d] = x->shape[lead + d];
  int rc = check(mlx_reshape(&r, v, old, (size_t)ndim, s) || mlx_broadcast_to(&r, r, shape, (size_t)rest + 1, s));
  if (!rc && how == PX_SET) rc = check(mlx_masked_scatter(res, a, it->array.h, r, s));
  else if (!rc) {
    rc = check(mlx_masked_scatter(&w, a, it->array.h, r, s) || combine(&w, a, w, how, s));
    if (!rc) rc = update_everywhere(res, a, w, x, it, PX_SET, s);
  }
  px_drop(&rows);
  px_drop(&value);
  return rc;
}

/* 1: the index arrays of the true places are needed. */
static int update_mask(mlx_array *res, mlx_array a, mlx_array v, const px_index *x, px_update how, mlx_stream s) {
  int i = px_only_mask(x);
  if (i < 0) return 1;
  const px_part *it = &x->at[i];
  mlx_array mask = it->array.h;
  int lead = (int)mlx_array_ndim(mask), rest = x->ndim - it->dim - lead;
  for (int d = 0; d < lead; d++)
    if (mlx_array_shape(mask)[d] != x->shape[it->dim + d]) return cannot_broadcast(mask, x->shape + it->dim, lead);
  if ((int)mlx_array_ndim(v) <= rest) return update_everywhere(res, a, v, x, it, how, s);
  return it->dim ? 1 : update_in_order(res, a, v, x, it, how, s);
}

/* ---- both faces ---- */

int px_write_index(mlx_array *res, mlx_array a, px_arg *v, px_index *x, px_update how, mlx_stream s) {
  int rc = x->masks ? update_mask(res, a, v->h, x, how, s) : 1;
  if (rc <= 0) return rc;
  if (x->masks && (rc = px_expand_masks(x, true))) return rc;
  if (x->arrays) return scatter(res, a, v, x, how, s);
  rc = fit_slice(v, x, s);
  return rc ? rc : update_slice(res, a, v->h, x, how, s);
}

int px_updated(mlx_array *res, PyObject *array, PyObject *key, PyObject *value, px_update how) {
  static const px_sig sig = {"__setitem__",
                             "(self, indices: object | None, value: scalar | array | ndarray | ArrayLike) -> None",
                             {"indices", "value"},
                             2,
                             2,
                             2,
                             false,
                             3,
                             {{NULL, 0}}};
  mlx_array a = px_handle(array);
  mlx_dtype t = mlx_array_dtype(a);
  mlx_stream s = mlx_ext_default_stream();
  px_index x;
  px_arg v = {0};
  int rc = px_parse_index(&x, a, key);
  if (!rc) rc = PyLong_Check(value) ? px_from_object(value, (int)t, &v) : px_to_weak(value, t, &v);
  if (rc > 0) px_type_error(&sig, array, (PyObject *const[]){key, value}, 2, NULL);
  if (!rc && mlx_array_dtype(v.h) != t) {
    mlx_array src = v.h, cast = px_own(&v);
    rc = check(mlx_astype(&cast, src, t, s));
  }
  if (rc) goto done;
  if (!mlx_ext_any_shape() || (rc = px_record_index(res, a, &v.h, &x, how)) == 1) rc = px_write_index(res, a, &v, &x, how, s);
done:
  px_drop(&v);
  px_drop_index(&x);
  return rc ? PX_ERROR : 0;
}

int px_setitem(PyObject *self, PyObject *key, PyObject *value) {
  mlx_array res = px_handle(self);
  return px_updated(&res, self, key, value, PX_SET);
}
