/* Functions of the submodules fast, nn, linalg, fft and einsum that need more than a conversion each. */
#include <limits.h>
#include <math.h>

#include "px_gen.h"

static inline int none(PyObject *o) { return !o || o == Py_None; }

/* ---- fast ---- */
#ifdef PX_HAVE_mlx_fast_rope

int px_do_rope(PyObject **v, PyObject **out) { /* a, dims, traditional, base, scale, offset, freqs, stream */
  int dims, offset = 0;
  bool traditional;
  mlx_optional_float base;
  double scale;
  PX_ARG(a);
  PX_ARG(freqs);
  PX_STREAM(s);
  PX_TRY(px_to_any(v[0], &a));
  PX_TRY(px_to_int(v[1], &dims));
  PX_TRY(px_to_bool(v[2], &traditional));
  PX_TRY(px_to_float_or_none(v[3], &base));
  PX_TRY(px_to_double(v[4], &scale));
  if (v[6]) PX_TRY(px_to_array_or_none(v[6], &freqs));
  PX_TRY(px_stream_arg(v[7], &s));
  if (px_is_array(v[5]))
    PX_RESULT(out, mlx_fast_rope_dynamic(&res, a.h, dims, traditional, base, (float)scale, px_handle(v[5]), freqs.h, s.h));
  PX_TRY(px_to_int(v[5], &offset));
  PX_RESULT(out, mlx_fast_rope(&res, a.h, dims, traditional, base, (float)scale, offset, freqs.h, s.h));
}

int px_do_sdpa(PyObject **v, PyObject **out) { /* q, k, v, scale, mask, sinks, force_fused, stream */
  double scale;
  const char *mode = "";
  bool fused = false;
  PX_ARG(q);
  PX_ARG(k);
  PX_ARG(x);
  PX_ARG(mask);
  PX_ARG(sinks);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &q));
  PX_TRY(px_to_array(v[1], &k));
  PX_TRY(px_to_array(v[2], &x));
  PX_TRY(px_to_double(v[3], &scale));
  if (!none(v[4])) {
    if (PyUnicode_Check(v[4])) {
      PX_TRY(px_to_string(v[4], &mode));
      if (strcmp(mode, "causal")) {
        PyErr_Format(PyExc_ValueError,
                     "[scaled_dot_product_attention] invalid mask option '%s'. mask must be 'causal', or an array.", mode);
        return PX_ERROR;
      }
    } else if (px_to_array(v[4], &mask))
      return PX_TYPE;
    else
      mode = "array";
  }
  if (v[5]) PX_TRY(px_to_array_or_none(v[5], &sinks));
  if (v[6]) PX_TRY(px_to_bool(v[6], &fused));
  PX_TRY(px_stream_arg(v[7], &s));
  if (fused) {
    PyErr_SetString(PyExc_ValueError,
                    "[scaled_dot_product_attention] force_fused=True but no fused kernel is available in CPU backend.");
    return PX_ERROR;
  }
  PX_RESULT(out, mlx_fast_scaled_dot_product_attention(&res, q.h, k.h, x.h, (float)scale, mode, mask.h, sinks.h, s.h));
}

#endif

/* ---- nn ---- */

/* Entry `at` (a dict's own, NULL where there is none, if it may be missing) or else attribute, of a quantized layer: a new reference. */
enum { WEIGHT, SCALES, BIASES, GROUP_SIZE, BITS, MODE, LAYER_PARTS };
static PyObject *layer_part(PyObject *layer, int at) {
  static const char *const names[] = {"weight", "scales", "biases", "group_size", "bits", "mode"};
  static PyObject *interned[LAYER_PARTS];
  if (!interned[at] && !(interned[at] = PyUnicode_InternFromString(names[at]))) return NULL;
  if (at == BIASES) return Py_XNewRef(PyDict_GetItemWithError(layer, interned[at]));
  return at < BIASES ? PyObject_GetItem(layer, interned[at]) : PyObject_GetAttr(layer, interned[at]);
}

static int product_of(PyObject *const *part, PyObject *given, PyObject **out) {
  mlx_optional_int group_size, bits;
  const char *mode;
  PX_ARG(x);
  PX_ARG(weight);
  PX_ARG(scales);
  PX_ARG(biases);
  PX_TRY(px_to_array(given, &x));
  PX_TRY(px_to_array(part[WEIGHT], &weight));
  PX_TRY(px_to_array(part[SCALES], &scales));
  if (part[BIASES]) PX_TRY(px_to_array_or_none(part[BIASES], &biases));
  PX_TRY(px_to_int_or_none(part[GROUP_SIZE], &group_size));
  PX_TRY(px_to_int_or_none(part[BITS], &bits));
  PX_TRY(px_to_string(part[MODE], &mode));
  PX_RESULT(out, mlx_quantized_matmul(&res, x.h, weight.h, scales.h, biases.h, true, group_size, bits, mode, mlx_ext_default_stream()));
}

int px_do_quantized_product(PyObject **v, PyObject **out) { /* layer, x */
  PyObject *part[LAYER_PARTS] = {NULL};
  int rc = PyDict_Check(v[0]) ? 0 : PX_TYPE;
  for (int i = 0; i < LAYER_PARTS && !rc; i++)
    if (!(part[i] = layer_part(v[0], i)) && (i != BIASES || PyErr_Occurred())) rc = PX_ERROR;
  if (!rc) rc = product_of(part, v[1], out);
  for (int i = 0; i < LAYER_PARTS; i++) Py_XDECREF(part[i]);
  return rc;
}

/* ---- linalg ---- */
#ifdef PX_HAVE_mlx_linalg_norm

int px_do_norm(PyObject **v, PyObject **out) { /* a, ord, axis, keepdims, stream */
  px_ints axis = {.n = -1};
  bool keepdims = false;
  const char *name;
  double ord;
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[2]) PX_TRY(px_to_ints(v[2], &axis));
  if (v[3]) PX_TRY(px_to_bool(v[3], &keepdims));
  PX_TRY(px_stream_arg(v[4], &s));
  const int *axes = axis.n < 0 ? NULL : axis.v;
  size_t n = axis.n < 0 ? 0 : (size_t)axis.n;
  if (none(v[1])) PX_RESULT(out, mlx_linalg_norm_l2(&res, a.h, axes, n, keepdims, s.h));
  if (PyUnicode_Check(v[1])) {
    PX_TRY(px_to_string(v[1], &name));
    PX_RESULT(out, mlx_linalg_norm_matrix(&res, a.h, name, axes, n, keepdims, s.h));
  }
  PX_TRY(px_to_double(v[1], &ord));
  PX_RESULT(out, mlx_linalg_norm(&res, a.h, ord, axes, n, keepdims, s.h));
}

int px_do_matrix_norm(PyObject **v, PyObject **out) { /* x, keepdims, ord, stream */
  static const int axes[2] = {-2, -1};
  bool keepdims = false;
  const char *name = "fro";
  double ord;
  PX_ARG(x);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &x));
  if (v[1]) PX_TRY(px_to_bool(v[1], &keepdims));
  PX_TRY(px_stream_arg(v[3], &s));
  if (!none(v[2]) && !PyUnicode_Check(v[2])) {
    PX_TRY(px_to_double(v[2], &ord));
    PX_RESULT(out, mlx_linalg_norm(&res, x.h, ord, axes, 2, keepdims, s.h));
  }
  if (!none(v[2])) PX_TRY(px_to_string(v[2], &name));
  PX_RESULT(out, mlx_linalg_norm_matrix(&res, x.h, name, axes, 2, keepdims, s.h));
}

int px_do_cond(PyObject **v, PyObject **out) { /* x, p, stream */
  const char *name;
  double p = 2;
  PX_ARG(x);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &x));
  PX_TRY(px_stream_arg(v[2], &s));
  if (!none(v[1]) && PyUnicode_Check(v[1])) {
    PX_TRY(px_to_string(v[1], &name));
    if (strcmp(name, "fro")) {
      PyErr_Format(PyExc_ValueError, "[linalg::cond] Invalid p '%s'; it must be a number or 'fro'.", name);
      return PX_ERROR;
    }
    p = (double)NAN;
  } else if (!none(v[1]))
    PX_TRY(px_to_double(v[1], &p));
  PX_RESULT(out, mlx_linalg_cond(&res, x.h, p, s.h));
}

#ifdef PX_HAVE_mlx_linalg_svd
int px_do_svd(PyObject **v, PyObject **out) { /* a, compute_uv, stream, full_matrices */
  bool uv = true, full = true;
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[1]) PX_TRY(px_to_bool(v[1], &uv));
  PX_TRY(px_stream_arg(v[2], &s));
  if (v[3]) PX_TRY(px_to_bool(v[3], &full));
  mlx_vector_array r = mlx_vector_array_new();
  int rc = uv && !full ? mlx_linalg_svd_reduced(&r, a.h, s.h) : mlx_linalg_svd(&r, a.h, uv, s.h);
  PyObject *t = rc ? NULL : px_vector_tuple(r);
  mlx_vector_array_free(r);
  if (rc) return px_failed();
  *out = t;
  if (t && uv) return px_name_results(out, "SVDResult");
  if (t) {
    *out = Py_NewRef(PyTuple_GetItem(t, 0));
    Py_DECREF(t);
  }
  return *out ? 0 : PX_ERROR;
}

#endif
#endif

/* ---- fft ---- */
#ifdef PX_HAVE_mlx_fft_fft

static int to_norm(PyObject *o, const char *tag, mlx_fft_norm *norm) {
  static const char *const names[] = {"backward", "ortho", "forward"};
  *norm = MLX_FFT_NORM_BACKWARD;
  if (!o) return 0;
  const char *s;
  PX_TRY(px_to_string(o, &s));
  for (int i = 0; i < 3; i++)
    if (strcmp(s, names[i]) == 0) {
      *norm = (mlx_fft_norm)i;
      return 0;
    }
  PyErr_Format(PyExc_ValueError, "[%s] Invalid norm '%s'. Expected one of {'backward', 'ortho', 'forward'}.", tag, s);
  return PX_ERROR;
}

/* None, or a truth value. */
static int to_choice(PyObject *o, mlx_optional_int *v) {
  bool b;
  *v = (mlx_optional_int){0, false};
  if (none(o)) return 0;
  PX_TRY(px_to_bool(o, &b));
  *v = (mlx_optional_int){b, true};
  return 0;
}

static int to_size(PyObject *o, mlx_optional_int *v) {
  *v = (mlx_optional_int){0, false};
  return o ? px_to_int_or_none(o, v) : 0;
}

int px_do_stft(PyObject **v, PyObject **out) { /* x, n_fft, hop, win, window, center, pad_mode, norm, onesided, stream */
  int n_fft = 2048;
  bool center = true;
  const char *mode = "reflect";
  mlx_optional_int hop, win, onesided;
  mlx_fft_norm norm;
  PX_ARG(x);
  PX_ARG(window);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &x));
  if (v[1]) PX_TRY(px_to_int(v[1], &n_fft));
  PX_TRY(to_size(v[2], &hop));
  PX_TRY(to_size(v[3], &win));
  if (v[4]) PX_TRY(px_to_array_or_none(v[4], &window));
  if (v[5]) PX_TRY(px_to_bool(v[5], &center));
  if (v[6]) PX_TRY(px_to_string(v[6], &mode));
  PX_TRY(to_norm(v[7], "stft", &norm));
  PX_TRY(to_choice(v[8], &onesided));
  PX_TRY(px_stream_arg(v[9], &s));
  PX_RESULT(out, mlx_fft_stft(&res, x.h, n_fft, hop, win, window.h, center, mode, norm, onesided, s.h));
}

int px_do_istft(PyObject **v, PyObject **out) { /* a, n_fft, hop, win, window, center, norm, onesided, length, stream */
  bool center = true;
  mlx_optional_int n_fft, hop, win, onesided, length;
  mlx_fft_norm norm;
  PX_ARG(a);
  PX_ARG(window);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  PX_TRY(to_size(v[1], &n_fft));
  PX_TRY(to_size(v[2], &hop));
  PX_TRY(to_size(v[3], &win));
  if (v[4]) PX_TRY(px_to_array_or_none(v[4], &window));
  if (v[5]) PX_TRY(px_to_bool(v[5], &center));
  PX_TRY(to_norm(v[6], "istft", &norm));
  PX_TRY(to_choice(v[7], &onesided));
  PX_TRY(to_size(v[8], &length));
  PX_TRY(px_stream_arg(v[9], &s));
  PX_RESULT(out, mlx_fft_istft(&res, a.h, n_fft, hop, win, window.h, center, norm, onesided, length, s.h));
}

int px_do_fft1(PyObject **v, PyObject **out, px_fft1 fn) { /* a, n, axis, norm, stream */
  int axis = -1, at, n = 0;
  mlx_fft_norm norm;
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[2]) PX_TRY(px_to_int(v[2], &axis));
  PX_TRY(to_norm(v[3], "fft", &norm));
  PX_TRY(px_stream_arg(v[4], &s));
  PX_TRY(px_axis_in(axis, (int)mlx_array_ndim(a.h), "fft", &at));
  if (!none(v[1]))
    PX_TRY(px_to_int(v[1], &n));
  else
    n = INT_MIN; /* what the axis has */
  PX_RESULT(out, fn(&res, a.h, n, axis, norm, s.h));
}

int px_do_fftn(PyObject **v, PyObject **out, px_fftn fn) { /* a, s, axes, norm, stream */
  px_ints size = {.n = -1}, axes = {.n = -1};
  mlx_fft_norm norm;
  PX_ARG(a);
  PX_STREAM(s);
  PX_TRY(px_to_array(v[0], &a));
  if (v[1]) PX_TRY(px_to_shape_or_none(v[1], &size));
  if (v[2])
    PX_TRY(px_to_shape_or_none(v[2], &axes));
  else if (fn == mlx_fft_fft2 || fn == mlx_fft_ifft2 || fn == mlx_fft_rfft2 || fn == mlx_fft_irfft2)
    axes = (px_ints){.n = 2, .v = {-2, -1}};
  PX_TRY(to_norm(v[3], "fft", &norm));
  PX_TRY(px_stream_arg(v[4], &s));
  int ndim = (int)mlx_array_ndim(a.h), at;
  if (axes.n < 0) {
    if (size.n >= 0) {
      PyErr_SetString(PyExc_ValueError, "[fftn] `s` needs `axes`.");
      return PX_ERROR;
    }
    axes.n = ndim;
    for (int i = 0; i < axes.n; i++) axes.v[i] = i - axes.n;
  }
  if (size.n < 0) {
    size.n = axes.n;
    for (int i = 0; i < axes.n; i++) {
      PX_TRY(px_axis_in(axes.v[i], ndim, "fftn", &at));
      size.v[i] = INT_MIN; /* what the axis has */
    }
  }
  PX_RESULT(out, fn(&res, a.h, size.v, (size_t)size.n, axes.v, (size_t)axes.n, norm, s.h));
}

#endif

/* ---- einsum ---- */
#ifdef PX_HAVE_mlx_einsum

int px_do_einsum(PyObject **v, PyObject **out) { /* variadic: subscripts and operands; then stream */
  Py_ssize_t n = PyTuple_Size(v[0]);
  const char *text;
  PX_ARRAYS(operands);
  PX_STREAM(s);
  if (n < 1) return PX_TYPE;
  PX_TRY(px_to_string(PyTuple_GetItem(v[0], 0), &text));
  PyObject *rest = PyTuple_GetSlice(v[0], 1, n);
  int rc = rest ? px_to_arrays(rest, &operands) : PX_ERROR;
  Py_XDECREF(rest);
  PX_TRY(rc);
  PX_TRY(px_stream_arg(v[1], &s));
  PX_RESULT(out, mlx_einsum(&res, text, operands.h, s.h));
}

int px_do_einsum_path(PyObject **v, PyObject **out) { /* variadic: subscripts and operands */
  Py_ssize_t n = PyTuple_Size(v[0]);
  const char *text;
  int scaling[2], rc;
  double cost[2];
  PX_ARRAYS(operands);
  if (n < 1) return PX_TYPE;
  PX_TRY(px_to_string(PyTuple_GetItem(v[0], 0), &text));
  PyObject *rest = PyTuple_GetSlice(v[0], 1, n);
  rc = rest ? px_to_arrays(rest, &operands) : PX_ERROR;
  Py_XDECREF(rest);
  PX_TRY(rc);
  int *pairs = PyMem_Malloc(sizeof *pairs * 2 * (size_t)n);
  if (!pairs) return PyErr_NoMemory(), PX_ERROR;
  PyObject *path = NULL;
  if (mlx_ext_einsum_path(text, operands.h, pairs, scaling, cost)) rc = px_failed();
  else if ((path = PyList_New(0))) {
    for (Py_ssize_t i = 0; i < (n > 2 ? n - 2 : 1) && !rc; i++) { /* n - 1 operands; of one: itself */
      PyObject *step = n > 2 ? Py_BuildValue("(ii)", pairs[2 * i], pairs[2 * i + 1]) : Py_BuildValue("(i)", 0);
      if (!step || PyList_Append(path, step)) rc = PX_ERROR;
      Py_XDECREF(step);
    }
    char told[256];
    snprintf(told, sizeof told, "         Naive scaling:  %d\n     Optimized scaling:  %d\n      Naive FLOP count:  %.0f\n  Optimized FLOP count:  %.0f\n",
             scaling[0], scaling[1], cost[0], cost[1]);
    PyObject *about = rc ? NULL : PyUnicode_FromFormat("  Complete contraction:  %s\n%s", text, told);
    *out = about ? PyTuple_Pack(2, path, about) : NULL;
    Py_XDECREF(about);
    if (!*out) rc = PX_ERROR;
  } else rc = PX_ERROR;
  Py_XDECREF(path);
  PyMem_Free(pairs);
  return rc;
}
#endif
