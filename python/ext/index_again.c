/* Indices as numbers: a call that reads or writes at one, recorded while a function is traced for all shapes, is made again for others
 * (mlx_ext_record). The numbers: how it is written, -1 to read; then of each part kind, dimension, and the bounds as they were given. */
#include "func.h"
#include "index.h"

enum { PART = 5, MOST = 1 + PART * 2 * PX_MAX_NDIM };

static int refused(void) {
  PyErr_SetString(PyExc_ValueError, "[index] A recorded index does not fit the array.");
  return PX_ERROR;
}

/* One part from its numbers; *next: the array that it may take. */
static int read_part(px_index *x, const int *p, const mlx_array *in, size_t n, size_t *next, int *dim) {
  px_part *it = &x->at[x->n++];
  *it = (px_part){.kind = (px_kind)p[0], .dim = p[1], .from = p[2], .to = p[3], .by = p[4]};
  bool array = it->kind == PX_ARRAY || it->kind == PX_MASK;
  if (p[0] < PX_INT || p[0] > PX_MASK || it->dim != *dim || (array && *next >= n) || (it->kind != PX_NONE && *dim >= x->ndim)) return refused();
  if (array) it->array.h = in[(*next)++];
  x->arrays += it->kind == PX_ARRAY;
  x->masks += it->kind == PX_MASK;
  x->ints += it->kind == PX_INT;
  x->nones += it->kind == PX_NONE;
  *dim += it->kind == PX_NONE ? 0 : it->kind == PX_MASK ? (int)mlx_array_ndim(it->array.h) : 1;
  if (it->kind == PX_INT) return px_settle_int(it, x->shape[it->dim]);
  return it->kind == PX_SLICE ? px_settle_slice(it, x->shape[it->dim]) : 0;
}

static int read_index(px_index *x, const mlx_array *in, size_t n, const int *ints, size_t nints, size_t first) {
  int dim = 0, rc = 0;
  size_t next = first;
  *x = (px_index){.ndim = (int)mlx_array_ndim(in[0]), .shape = mlx_ext_shape(in[0])};
  if ((nints - 1) % PART || nints > MOST) return refused();
  for (size_t i = 1; i < nints && !rc; i += PART) rc = read_part(x, ints + i, in, n, &next, &dim);
  if (!rc && (dim != x->ndim || next != n)) rc = refused();
  px_find_groups(x);
  return rc;
}

static int again(mlx_array *res, const mlx_array *in, size_t n, const int *ints, size_t nints) {
  PyGILState_STATE lock = PyGILState_Ensure();
  bool write = n > 1 && nints && ints[0] >= PX_SET && ints[0] <= PX_MIN;
  px_index x = {.n = 0};
  px_arg v = {0};
  int rc = n && nints && (write || ints[0] == -1) ? read_index(&x, in, n, ints, nints, write ? 2 : 1) : refused();
  if (!rc && write) v.h = in[1];
  if (!rc) rc = write ? px_write_index(res, in[0], &v, &x, (px_update)ints[0], mlx_ext_default_stream()) : px_read_index(res, in[0], &x, mlx_ext_default_stream());
  px_drop(&v);
  px_drop_index(&x);
  if (rc) rc = px_callback_result(rc);
  PyGILState_Release(lock);
  return rc;
}

int px_record_index(mlx_array *res, mlx_array a, const mlx_array *v, const px_index *x, int how) {
  int ints[MOST] = {how};
  size_t n = 0, nints = 1;
  mlx_array in[2 + 2 * PX_MAX_NDIM];
  in[n++] = a;
  if (v) in[n++] = *v;
  for (int i = 0; i < x->n; i++) {
    const px_part *it = &x->at[i];
    if (it->kind == PX_ARRAY || it->kind == PX_MASK) in[n++] = it->array.h;
    const int part[PART] = {it->kind, it->dim, it->from, it->to, it->by};
    for (int k = 0; k < PART; k++) ints[nints++] = part[k];
  }
  int rc = mlx_ext_record(res, in, n, ints, nints);
  if (rc > 0) px_raise();
  return rc > 0 ? PX_ERROR : rc < 0;
}

int px_init_index(PyObject *m) {
  (void)m;
  mlx_ext_set_call(again);
  return 0;
}
