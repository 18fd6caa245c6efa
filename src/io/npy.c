/* NumPy's format: "\x93NUMPY", version, length of the header, a Python dict of descr, fortran_order and shape, the data.
 * Written as version 1.0; read from versions 1 to 3. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "io/io.h"

static const char magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};
enum { MAX_HEADER = 1 << 20 };

/* NumPy's names of dtypes; bf16 has none and goes as two bytes of nothing in particular. */
static const char *descr_of(mx_dtype t) {
  static const char *const names[MX_DTYPES] = {
      [MX_BOOL] = "|b1", [MX_U8] = "|u1",  [MX_U16] = "<u2", [MX_U32] = "<u4", [MX_U64] = "<u8", [MX_I8] = "|i1",  [MX_I16] = "<i2",
      [MX_I32] = "<i4",  [MX_I64] = "<i8", [MX_F16] = "<f2", [MX_F32] = "<f4", [MX_F64] = "<f8", [MX_BF16] = "<V2", [MX_C64] = "<c8"};
  return names[t];
}

/* ---- the header: a Python dict literal ---- */

typedef struct header {
  mx_dtype dtype;
  bool swapped, fortran;
  int ndim;
  int32_t shape[MX_MAX_NDIM];
} header;

static void skip_space(const char **p) {
  while (isspace((unsigned char)**p)) ++*p;
}
static bool take(const char **p, char c) {
  skip_space(p);
  if (**p != c) return false;
  ++*p;
  return true;
}
/* A quoted word without escapes; *n is its length. */
static const char *word(const char **p, size_t *n) {
  skip_space(p);
  char quote = **p;
  if (quote != '\'' && quote != '"') return NULL;
  const char *from = ++*p, *to = strchr(from, quote);
  if (!to) return NULL;
  *n = (size_t)(to - from);
  *p = to + 1;
  return from;
}

static int read_descr(const char **p, header *h) {
  size_t n;
  const char *w = word(p, &n);
  if (!w) return mx_fail(MX_ERUNTIME, "[load] the header has no type");
  for (int t = 0; t < MX_DTYPES; t++) {
    const char *name = descr_of((mx_dtype)t);
    if (n != 3 || memcmp(w + 1, name + 1, 2) || !strchr("<>|=", w[0])) continue;
    h->dtype = (mx_dtype)t;
    h->swapped = w[0] == '>' && mx_dtype_size(h->dtype) > 1;
    return 0;
  }
  return mx_fail(MX_EVALUE, "[from_str] Unsupported array protocol type-string: %.*s", (int)(n < 32 ? n : 32), w);
}

static int read_shape(const char **p, header *h) {
  if (!take(p, '(')) return mx_fail(MX_ERUNTIME, "[load] the header has no shape");
  while (!take(p, ')')) {
    char *end;
    skip_space(p);
    long long d = strtoll(*p, &end, 10);
    if (end == *p) return mx_fail(MX_ERUNTIME, "[load] the header's shape cannot be read");
    if (d < 0) return mx_fail(MX_ERUNTIME, "[load] Negative dimension in shape");
    if (d > MX_MAX_DIM || h->ndim == MX_MAX_NDIM)
      return mx_fail(MX_ERUNTIME, "[load] the header's shape has a dimension of %lld or more than %d of them", d, MX_MAX_NDIM);
    h->shape[h->ndim++] = (int32_t)d;
    *p = end;
    if (**p == 'L') ++*p; /* as Python 2 wrote it */
    if (!take(p, ',')) {
      if (!take(p, ')')) return mx_fail(MX_ERUNTIME, "[load] the header's shape cannot be read");
      break;
    }
  }
  return 0;
}

static int read_header(const char *p, header *h) {
  int seen = 0, rc = 0;
  *h = (header){0};
  if (!take(&p, '{')) return mx_fail(MX_ERUNTIME, "[load] the header is no dict");
  while (!rc && !take(&p, '}')) {
    size_t n;
    const char *key = word(&p, &n);
    if (!key || !take(&p, ':')) return mx_fail(MX_ERUNTIME, "[load] the header cannot be read");
    if (n == 5 && !memcmp(key, "descr", n)) {
      rc = read_descr(&p, h);
      seen |= 1;
    } else if (n == 13 && !memcmp(key, "fortran_order", n)) {
      skip_space(&p);
      h->fortran = !strncmp(p, "True", 4);
      if (!h->fortran && strncmp(p, "False", 5)) return mx_fail(MX_ERUNTIME, "[load] the header's order cannot be read");
      p += h->fortran ? 4 : 5;
      seen |= 2;
    } else if (n == 5 && !memcmp(key, "shape", n)) {
      h->ndim = 0;
      rc = read_shape(&p, h);
      seen |= 4;
    } else {
      return mx_fail(MX_ERUNTIME, "[load] the header has an unknown entry '%.*s'", (int)(n < 32 ? n : 32), key);
    }
    if (!rc && !take(&p, ',')) {
      if (!take(&p, '}')) return mx_fail(MX_ERUNTIME, "[load] the header cannot be read");
      break;
    }
  }
  if (!rc && seen != 7) rc = mx_fail(MX_ERUNTIME, "[load] the header lacks descr, fortran_order or shape");
  return rc;
}

/* ---- loading ---- */

static void swap_bytes(void *data, size_t count, size_t size) {
  unsigned char *p = data;
  for (; count; count--, p += size)
    for (size_t i = 0; i < size / 2; i++) {
      unsigned char c = p[i];
      p[i] = p[size - 1 - i];
      p[size - 1 - i] = c;
    }
}

static void column_strides(mx_array *a) {
  int64_t step = 1;
  for (int i = 0; i < a->ndim; i++) {
    a->strides[i] = step;
    step *= a->shape[i] ? a->shape[i] : 1;
  }
}

/* The length of the dict, and where it begins. */
static int find_header(mx_reader *r, uint64_t *at, size_t *n) {
  unsigned char b[12];
  int rc = mx_read(r, b, 8, *at, "load");
  if (rc) return rc;
  if (memcmp(b, magic, 6) || b[6] < 1 || b[6] > 3)
    return mx_fail(MX_ERUNTIME, "[load] Invalid header in %s: not a .npy file of version 1 to 3", r->label(r));
  int wide = b[6] > 1 ? 4 : 2;
  if ((rc = mx_read(r, b, (size_t)wide, *at + 8, "load"))) return rc;
  *n = b[0] | (size_t)b[1] << 8;
  if (wide == 4) *n |= (size_t)b[2] << 16 | (size_t)b[3] << 24;
  *at += 8 + (uint64_t)wide;
  if (*n > MAX_HEADER) return mx_fail(MX_ERUNTIME, "[load] Invalid header in %s: %zu bytes long", r->label(r), *n);
  return 0;
}

int mx_npy_load(mx_reader *r, uint64_t at, uint64_t *end, mx_array **res) {
  size_t n = 0;
  header h;
  int rc = find_header(r, &at, &n);
  if (rc) return rc;
  char *text = mx_malloc(n + 1);
  if (!text) return mx_fail_memory();
  rc = mx_read(r, text, n, at, "load");
  text[n] = 0;
  if (!rc) rc = read_header(text, &h);
  mx_free(text);
  if (rc) return rc;
  at += n;
  uint64_t bytes = mx_dtype_size(h.dtype);
  for (int i = 0; i < h.ndim; i++)
    if (__builtin_mul_overflow(bytes, (uint64_t)h.shape[i], &bytes)) bytes = UINT64_MAX / 2 + 1;
  if (at > r->size || bytes > r->size - at)
    return mx_fail(MX_ERUNTIME, "[load] %s ends before its content: an array of shape %s was expected", r->label(r),
                   mx_shape_str(h.ndim, h.shape));
  mx_array *a = mx_array_empty(h.dtype, h.ndim, h.shape);
  if (!a) return mx_error_kind();
  if ((rc = mx_read(r, a->data, bytes, at, "load"))) {
    mx_release(a);
    return rc;
  }
  if (h.swapped) /* a complex number is two */
    swap_bytes(a->data, (size_t)a->size * (h.dtype == MX_C64 ? 2 : 1), h.dtype == MX_C64 ? 4 : mx_dtype_size(h.dtype));
  if (h.dtype == MX_BOOL)
    for (int64_t i = 0; i < a->size; i++) ((uint8_t *)a->data)[i] = ((uint8_t *)a->data)[i] != 0;
  if (h.fortran) column_strides(a);
  *end = at + bytes;
  *res = a;
  return 0;
}

/* ---- saving ---- */

int mx_npy_save(mx_writer *w, const mx_array *a) {
  bool fortran = mx_is_col_contiguous(a);
  if (!fortran && !mx_is_row_contiguous(a)) return mx_fail(MX_ERUNTIME, "[save] the array is not contiguous");
  char text[160 + 12 * MX_MAX_NDIM];
  int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': %s, 'shape': (", descr_of(a->dtype), fortran ? "True" : "False");
  for (int i = 0; i < a->ndim; i++)
    n += snprintf(text + n, sizeof text - (size_t)n, "%s%" PRId32 "%s", i ? ", " : "", a->shape[i], a->ndim == 1 ? "," : "");
  n += snprintf(text + n, sizeof text - (size_t)n, "), }");
  /* NumPy aligns the data at 64 bytes */
  int total = (10 + n + 1 + 63) / 64 * 64, length = total - 10;
  while (n < length - 1) text[n++] = ' ';
  text[n] = '\n';
  unsigned char head[10] = {0, 0, 0, 0, 0, 0, 1, 0, (unsigned char)(length & 255), (unsigned char)(length >> 8)};
  memcpy(head, magic, 6);
  int rc = w->write(w, head, sizeof head);
  if (!rc) rc = w->write(w, text, (size_t)length);
  if (!rc && a->size) rc = w->write(w, a->data, mx_nbytes(a));
  w->complete = !rc;
  return rc;
}
