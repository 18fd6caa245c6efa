/* The short-time Fourier transform: frames that overlap, each times a window, transformed; and back by adding them where they lay. */
#include "graph/build.h"

typedef struct frames {
  int n_fft, hop, count; /* length of a frame, from one to the next, how many */
} frames;

/* The window of n_fft elements: the given one, or ones of win_length, in the middle of zeros. */
static mx_array *whole_window(mx_scope *s, const char *tag, int n_fft, const int *win_length, mx_array *window) {
  if (window && window->ndim != 1)
    return mx_scope_fail(s, MX_EVALUE, "[%s] window must be a one-dimensional array, got shape %s.", tag, mx_shape_of(window));
  int len = window ? window->shape[0] : win_length ? *win_length : n_fft, axis = 0;
  if (len < 0) return mx_scope_fail(s, MX_EVALUE, "[%s] win_length must not be negative, got %d.", tag, len);
  if (len > n_fft) return mx_scope_fail(s, MX_EVALUE, "[%s] window length must not exceed n_fft: %d and %d.", tag, len, n_fft);
  if (!window) window = mx_ones(s, &len, 1, MX_F32);
  if (window && !mx_is_complex(window->dtype)) window = mx_astype(s, window, MX_F32);
  int low = (n_fft - len) / 2, high = n_fft - len - low;
  return len == n_fft ? window : mx_pad(s, window, &axis, 1, &low, 1, &high, 1, mx_scalar(s, window ? window->dtype : MX_F32, 0), "constant");
}

/* n_fft and hop checked; hop is a quarter of n_fft unless given. */
static int frame_sizes(mx_scope *s, const char *tag, int n_fft, const int *hop_length, frames *f) {
  f->n_fft = n_fft;
  if (n_fft <= 0) return mx_scope_fail(s, MX_EVALUE, "[%s] n_fft must be positive, got %d.", tag, n_fft), s->rc;
  f->hop = hop_length ? *hop_length : n_fft / 4;
  if (f->hop <= 0) return mx_scope_fail(s, MX_EVALUE, "[%s] hop_length must be positive, got %d.", tag, f->hop), s->rc;
  return 0;
}

/* Parameters of as_strided for frames of rows of `length`: n, shape, strides, offset; behind them the shape of the rows. */
enum { FRAME_PARAMETERS = 8 };
static void strides_of(const frames *f, int64_t batch, int64_t length, int64_t p[FRAME_PARAMETERS + 2]) {
  const int64_t all[] = {3, batch, f->count, f->n_fft, length, f->hop, 1, 0, batch, length};
  memcpy(p, all, sizeof all);
}

/* a as (product of all dimensions but the last `keep`, those...). */
static mx_array *flat_batch(mx_scope *s, mx_array *a, int keep) {
  if (!a) return NULL;
  int shape[3];
  int64_t batch = 1;
  for (int i = 0; i < a->ndim - keep; i++) batch *= a->shape[i];
  if (batch > MX_MAX_DIM) return mx_scope_fail(s, MX_EVALUE, "[stft] Shape %s has too many sequences.", mx_shape_of(a));
  shape[0] = (int)batch;
  for (int i = 0; i < keep; i++) shape[1 + i] = a->shape[a->ndim - keep + i];
  return mx_reshape(s, a, shape, (size_t)keep + 1);
}

/* x with the batch dimensions of `like`, which has `keep` more behind them. */
static mx_array *unflat_batch(mx_scope *s, mx_array *x, const mx_array *like, int keep) {
  if (!x) return NULL;
  int shape[MX_MAX_NDIM], n = like->ndim - keep;
  for (int i = 0; i < n; i++) shape[i] = like->shape[i];
  if (n + x->ndim - 1 > MX_MAX_NDIM) return mx_scope_fail(s, MX_EVALUE, "[stft] Too many dimensions: %s.", mx_shape_of(like));
  for (int i = 1; i < x->ndim; i++) shape[n++] = x->shape[i];
  return mx_reshape(s, x, shape, (size_t)n);
}

mx_array *mx_fft_stft(mx_scope *s, mx_array *x, int n_fft, const int *hop_length, const int *win_length, mx_array *window,
                      bool center, const char *pad_mode, int norm, const int *onesided) {
  if (!x) return NULL;
  frames f;
  if (x->ndim < 1) return mx_scope_fail(s, MX_EVALUE, "[stft] Input must have at least one dimension.");
  if (frame_sizes(s, "stft", n_fft, hop_length, &f)) return NULL;
  bool half = onesided ? *onesided != 0 : !mx_is_complex(x->dtype);
  mx_array *w = whole_window(s, "stft", n_fft, win_length, window);
  mx_array *rows = flat_batch(s, mx_is_complex(x->dtype) ? x : mx_astype(s, x, MX_F32), 1);
  if (!rows || !w) return NULL;
  if (center) {
    int axis = 1, by = n_fft / 2;
    if (rows->shape[1] == 0) return mx_scope_fail(s, MX_EVALUE, "[stft] Input is empty: shape %s.", mx_shape_of(x));
    rows = mx_pad(s, rows, &axis, 1, &by, 1, &by, 1, mx_scalar(s, rows->dtype, 0), pad_mode);
    if (!rows) return NULL;
  }
  int length = rows->shape[1];
  if (length < n_fft)
    return mx_scope_fail(s, MX_EVALUE, "[stft] Input is too short for the given n_fft: %d and %d.", length, n_fft);
  f.count = 1 + (length - n_fft) / f.hop;
  int64_t p[FRAME_PARAMETERS + 2];
  strides_of(&f, rows->shape[0], length, p);
  mx_array *cut = mx_multiply(s, mx_node1(s, OP_as_strided, rows, FRAME_PARAMETERS, p), w);
  mx_array *spectrum = half ? mx_fft_rfft(s, cut, n_fft, 2, norm) : mx_fft_fft(s, cut, n_fft, 2, norm);
  return unflat_batch(s, mx_swapaxes(s, spectrum, 1, 2), x, 1);
}

/* Each element of the frames (batch, count, n_fft) is added where it lay in rows of `length`. */
static mx_array *overlap_add(mx_scope *s, const frames *f, mx_array *x, int length) {
  if (!x) return NULL;
  int64_t p[FRAME_PARAMETERS + 2];
  strides_of(f, x->shape[0], length, p);
  return mx_node1(s, OP_as_strided_grad, x, FRAME_PARAMETERS + 2, p);
}

/* Rows cut to what they were before the ends were padded; or from there on to the length that is wanted. */
static mx_array *trimmed(mx_scope *s, mx_array *x, int margin, const int *length) {
  if (!x) return NULL;
  int have = x->shape[1] - margin, axis = 1, none = 0;
  int want = length ? *length : have - margin;
  if (want < 0 && length) return mx_scope_fail(s, MX_EVALUE, "[istft] length must not be negative, got %d.", want);
  if (want < 0) want = 0;
  if (have < 0) have = 0;
  int more = want - have;
  x = mx_slice_axis(s, x, 1, margin, margin + (more > 0 ? have : want));
  return more > 0 ? mx_pad(s, x, &axis, 1, &none, 1, &more, 1, mx_scalar(s, MX_F32, 0), "constant") : x;
}

mx_array *mx_fft_istft(mx_scope *s, mx_array *a, const int *n_fft, const int *hop_length, const int *win_length,
                       mx_array *window, bool center, int norm, const int *onesided, const int *length) {
  if (!a) return NULL;
  frames f;
  if (a->ndim < 2) return mx_scope_fail(s, MX_EVALUE, "[istft] Input must have at least two dimensions (freq, frames).");
  bool half = onesided ? *onesided != 0 : true;
  int freq = a->shape[a->ndim - 2], n = n_fft ? *n_fft : half ? 2 * (freq - 1) : freq;
  if (frame_sizes(s, "istft", n, hop_length, &f)) return NULL;
  f.count = a->shape[a->ndim - 1];
  int64_t total = n + (int64_t)f.hop * (f.count - 1);
  if (f.count == 0 || freq == 0 || total > MX_MAX_DIM)
    return mx_scope_fail(s, MX_EVALUE, "[istft] Input of shape %s has no frames or too many.", mx_shape_of(a));
  mx_array *w = whole_window(s, "istft", n, win_length, window);
  mx_array *x = mx_swapaxes(s, flat_batch(s, a, 2), 1, 2);
  if (!w || !x) return NULL;
  if (mx_is_complex(w->dtype)) w = mx_real(s, w);
  x = half ? mx_fft_irfft(s, x, n, 2, norm) : mx_real(s, mx_fft_ifft(s, x, n, 2, norm));
  mx_array *sum = overlap_add(s, &f, mx_multiply(s, x, w), (int)total);
  /* how often each place was covered, by the square of the window */
  mx_array *cover = overlap_add(s, &f, mx_broadcast_to(s, mx_square(s, w), (int[]){1, f.count, n}, 3), (int)total);
  x = mx_divide(s, sum, mx_maximum(s, cover, mx_scalar(s, MX_F32, 1e-8)));
  return unflat_batch(s, trimmed(s, x, center ? n / 2 : 0, length), a, 2);
}
