/* safetensors: the length of a JSON header, the header (name -> dtype, shape, begin and end of its data), the data. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "io/io.h"
#include "io/json.h"

enum { MAX_HEADER = 100 << 20 }; /* as the format's own library has it */

static const char *const dtype_names[MX_DTYPES] = {
    [MX_BOOL] = "BOOL", [MX_U8] = "U8",   [MX_U16] = "U16", [MX_U32] = "U32", [MX_U64] = "U64",   [MX_I8] = "I8",  [MX_I16] = "I16",
    [MX_I32] = "I32",   [MX_I64] = "I64", [MX_F16] = "F16", [MX_F32] = "F32", [MX_BF16] = "BF16", [MX_C64] = "C64"};

/* ---- the header ---- */

typedef struct tensor {
  char *name;
  int dtype, ndim; /* -1 until seen */
  bool placed;
  int32_t shape[MX_MAX_NDIM];
  uint64_t begin, end;
} tensor;

typedef struct load {
  mx_reader *r;
  mx_json j;
  uint64_t data; /* where the data begin in the file */
  const mx_safetensors_sink *sink;
  const char *name; /* of the tensor that is read, for messages */
  tensor *tensors;
  size_t n, cap;
} load;

static int bad(const load *l, const char *what) {
  const char *file = l->r->label(l->r);
  if (l->name) return mx_fail(MX_ERUNTIME, "[load_safetensors] Invalid json metadata in %s, tensor '%.200s': %s", file, l->name, what);
  return mx_fail(MX_ERUNTIME, "[load_safetensors] Invalid json metadata in %s: %s", file, what);
}

/* A string, or the fault. */
static int take_string(load *l, char **s) {
  bool memory;
  *s = mx_json_string(&l->j, &memory);
  return *s ? 0 : memory ? mx_fail_memory() : bad(l, "a string was expected");
}

static int read_metadata(load *l) {
  int rc = 0;
  if (mx_json_take_word(&l->j, "null")) return 0;
  if (!mx_json_take(&l->j, '{')) return bad(l, "__metadata__ is no object");
  if (mx_json_take(&l->j, '}')) return 0;
  do {
    char *key = NULL, *value = NULL;
    rc = take_string(l, &key);
    if (!rc && !mx_json_take(&l->j, ':')) rc = bad(l, "':' was expected");
    if (!rc) rc = take_string(l, &value);
    if (!rc) rc = l->sink->meta(l->sink->to, key, value);
    mx_free(key);
    mx_free(value);
  } while (!rc && mx_json_take(&l->j, ','));
  return rc ? rc : mx_json_take(&l->j, '}') ? 0 : bad(l, "'}' was expected");
}

static int read_dtype(load *l, tensor *t) {
  char *s;
  int rc = take_string(l, &s);
  if (rc) return rc;
  for (int k = 0; k < MX_DTYPES; k++)
    if (dtype_names[k] && !strcmp(s, dtype_names[k])) t->dtype = k;
  if (!strcmp(s, "F8_E4M3")) t->dtype = MX_U8; /* their bits, for mlx_from_fp8 */
  if (t->dtype < 0)
    rc = mx_fail(MX_ERUNTIME, "[load_safetensors] unsupported dtype %.32s of tensor '%.200s' in %s, expected BOOL, U8 to U64, I8 to I64, F16, BF16, F32, C64 or F8_E4M3",
                 s, t->name, l->r->label(l->r));
  mx_free(s);
  return rc;
}

static int read_shape(load *l, tensor *t) {
  uint64_t d;
  t->ndim = 0;
  if (!mx_json_take(&l->j, '[')) return bad(l, "the shape is no list");
  if (mx_json_take(&l->j, ']')) return 0;
  do {
    if (!mx_json_u64(&l->j, &d) || d > MX_MAX_DIM) return bad(l, "the shape has a number that is no size: expected 0 to 2147483647");
    if (t->ndim == MX_MAX_NDIM) return bad(l, "the shape has more than 32 dimensions");
    t->shape[t->ndim++] = (int32_t)d;
  } while (mx_json_take(&l->j, ','));
  return mx_json_take(&l->j, ']') ? 0 : bad(l, "']' was expected");
}

static int read_offsets(load *l, tensor *t) {
  t->placed = true;
  return mx_json_take(&l->j, '[') && mx_json_u64(&l->j, &t->begin) && mx_json_take(&l->j, ',') && mx_json_u64(&l->j, &t->end) &&
                 mx_json_take(&l->j, ']')
             ? 0
             : bad(l, "data_offsets are two numbers that are not negative");
}

static int read_tensor(load *l, tensor *t) {
  int rc = 0;
  if (!mx_json_take(&l->j, '{')) return bad(l, "it is no object");
  do {
    char *key;
    if ((rc = take_string(l, &key))) return rc;
    if (!mx_json_take(&l->j, ':')) rc = bad(l, "':' was expected");
    else if (!strcmp(key, "dtype")) rc = read_dtype(l, t);
    else if (!strcmp(key, "shape")) rc = read_shape(l, t);
    else if (!strcmp(key, "data_offsets")) rc = read_offsets(l, t);
    else if (!mx_json_skip(&l->j)) rc = bad(l, "a value was expected");
    mx_free(key);
  } while (!rc && mx_json_take(&l->j, ','));
  if (!rc && !mx_json_take(&l->j, '}')) rc = bad(l, "'}' was expected");
  if (!rc && t->dtype < 0) rc = bad(l, "it lacks dtype");
  if (!rc && t->ndim < 0) rc = bad(l, "it lacks shape");
  if (!rc && !t->placed) rc = bad(l, "it lacks data_offsets");
  return rc;
}

/* Takes the name. */
static int add_to_read(load *l, char *name) {
  if (l->n == l->cap) {
    size_t cap = l->cap * 2 + 16;
    tensor *more = mx_realloc(l->tensors, cap * sizeof *more);
    if (!more) {
      mx_free(name);
      return mx_fail_memory();
    }
    l->tensors = more;
    l->cap = cap;
  }
  tensor *t = &l->tensors[l->n++];
  *t = (tensor){.name = name, .dtype = -1, .ndim = -1};
  l->name = name;
  int rc = read_tensor(l, t);
  l->name = NULL;
  return rc;
}

static int read_header(load *l) {
  int rc = 0;
  if (!mx_json_take(&l->j, '{')) return bad(l, "it is no object");
  if (!mx_json_take(&l->j, '}')) {
    do {
      char *name;
      if ((rc = take_string(l, &name))) return rc;
      bool meta = !strcmp(name, "__metadata__");
      if (!mx_json_take(&l->j, ':')) rc = bad(l, "':' was expected");
      if (!rc && !meta) rc = add_to_read(l, name);
      else {
        mx_free(name);
        if (!rc) rc = read_metadata(l);
      }
    } while (!rc && mx_json_take(&l->j, ','));
    if (!rc && !mx_json_take(&l->j, '}')) rc = bad(l, "'}' was expected");
  }
  mx_json_take(&l->j, ' '); /* skips what is white */
  return rc ? rc : l->j.at == l->j.end ? 0 : bad(l, "something follows its end");
}

/* ---- the data ---- */

static int by_place(const void *a, const void *b) {
  const tensor *x = a, *y = b;
  return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : x->end < y->end ? -1 : x->end > y->end;
}

static int check_size(const load *l, const tensor *t) {
  uint64_t bytes = mx_dtype_size((mx_dtype)t->dtype), room = l->r->size - l->data;
  for (int i = 0; i < t->ndim; i++)
    if (__builtin_mul_overflow(bytes, (uint64_t)t->shape[i], &bytes)) bytes = UINT64_MAX / 2 + 1;
  const char *what = t->begin > t->end ? "they go backwards" : t->end > room ? "exceeding the size of the file" : NULL;
  if (what)
    return mx_fail(MX_ERUNTIME, "[load_safetensors] Tensor '%.200s' invalid data offsets (%" PRIu64 ", %" PRIu64 ") in %s: %s; the file has %" PRIu64 " bytes of data",
                   t->name, t->begin, t->end, l->r->label(l->r), what, room);
  if (t->end - t->begin != bytes)
    return mx_fail(MX_ERUNTIME, "[load_safetensors] Tensor '%.200s' invalid data offsets (%" PRIu64 ", %" PRIu64 ") in %s: its shape %s of %s needs %" PRIu64 " bytes",
                   t->name, t->begin, t->end, l->r->label(l->r), mx_shape_str(t->ndim, t->shape), dtype_names[t->dtype], bytes);
  return 0;
}

/* Every tensor lies inside of the file and none over another: what is read is never more than the file. Sorts them by their place. */
static int check_places(load *l) {
  const tensor *last = NULL;
  int rc = 0;
  for (size_t i = 0; !rc && i < l->n; i++) rc = check_size(l, &l->tensors[i]);
  if (l->n) qsort(l->tensors, l->n, sizeof *l->tensors, by_place);
  for (size_t i = 0; !rc && i < l->n; i++) {
    const tensor *t = &l->tensors[i];
    if (t->begin == t->end) continue;
    if (last && t->begin < last->end)
      rc = mx_fail(MX_ERUNTIME, "[load_safetensors] Tensor '%.200s' invalid data offsets (%" PRIu64 ", %" PRIu64 ") in %s: it overlaps '%.200s' at (%" PRIu64 ", %" PRIu64 ")",
                   t->name, t->begin, t->end, l->r->label(l->r), last->name, last->begin, last->end);
    last = t;
  }
  return rc;
}

static int load_tensor(load *l, const tensor *t) {
  mx_array *a = mx_array_empty((mx_dtype)t->dtype, t->ndim, t->shape);
  if (!a) return mx_error_kind();
  int rc = mx_read(l->r, a->data, t->end - t->begin, l->data + t->begin, "load_safetensors");
  if (!rc && t->dtype == MX_BOOL)
    for (int64_t i = 0; i < a->size; i++) ((uint8_t *)a->data)[i] = ((uint8_t *)a->data)[i] != 0;
  if (!rc) rc = l->sink->tensor(l->sink->to, t->name, a);
  mx_release(a);
  return rc;
}

int mx_safetensors_load(mx_reader *r, uint64_t at, const mx_safetensors_sink *sink) {
  unsigned char b[8];
  uint64_t n = 0;
  int rc = mx_read(r, b, 8, at, "load_safetensors");
  if (rc) return rc;
  for (int i = 7; i >= 0; i--) n = n << 8 | b[i];
  if (!n || n > MAX_HEADER || n > r->size - at - 8)
    return mx_fail(MX_ERUNTIME, "[load_safetensors] Invalid json header length in %s: %" PRIu64 " bytes, but the file has %" PRIu64 " after it and a header at most %d",
                   r->label(r), n, r->size - at - 8, MAX_HEADER);
  char *text = mx_malloc(n);
  if (!text) return mx_fail_memory();
  load l = {.r = r, .j = {text, text + n}, .data = at + 8 + n, .sink = sink};
  rc = mx_read(r, text, n, at + 8, "load_safetensors");
  if (!rc) rc = read_header(&l);
  mx_free(text);
  if (!rc) rc = check_places(&l);
  for (size_t i = 0; !rc && i < l.n; i++) rc = load_tensor(&l, &l.tensors[i]);
  for (size_t i = 0; i < l.n; i++) mx_free(l.tensors[i].name);
  mx_free(l.tensors);
  return rc;
}

/* ---- saving ---- */

static bool add(mx_text *t, const char *s) { return mx_text_add(t, s, strlen(s)); }

static bool add_metadata(mx_text *t, int n, const char *const *keys, const char *const *values) {
  bool ok = add(t, "{\"__metadata__\":");
  if (!n) return ok && add(t, "null");
  for (int i = 0; ok && i < n; i++)
    ok = add(t, i ? "," : "{") && mx_text_add_json(t, keys[i]) && add(t, ":") && mx_text_add_json(t, values[i]);
  return ok && add(t, "}");
}

static bool add_tensor(mx_text *t, const char *name, const mx_array *a, uint64_t begin) {
  char s[96];
  bool ok = add(t, ",") && mx_text_add_json(t, name);
  snprintf(s, sizeof s, ":{\"data_offsets\":[%" PRIu64 ",%" PRIu64 "],\"dtype\":\"%s\",\"shape\":[", begin, begin + mx_nbytes(a),
           dtype_names[a->dtype]);
  ok = ok && add(t, s);
  for (int i = 0; ok && i < a->ndim; i++) {
    snprintf(s, sizeof s, "%s%" PRId32, i ? "," : "", a->shape[i]);
    ok = add(t, s);
  }
  return ok && add(t, "]}");
}

static bool write_header(mx_text *t, int n, const char *const *names, mx_array *const *arrays, int nmeta, const char *const *keys,
                         const char *const *values) {
  uint64_t begin = 0;
  bool ok = add_metadata(t, nmeta, keys, values);
  for (int i = 0; ok && i < n; i++) {
    ok = add_tensor(t, names[i], arrays[i], begin);
    begin += mx_nbytes(arrays[i]);
  }
  ok = ok && add(t, "}");
  while (ok && t->n % 8) ok = add(t, " "); /* so that the data are aligned */
  return ok;
}

int mx_safetensors_save(mx_writer *w, int n, const char *const *names, mx_array *const *arrays, int nmeta, const char *const *keys,
                        const char *const *values) {
  for (int i = 0; i < n; i++)
    if (!dtype_names[arrays[i]->dtype])
      return mx_fail(MX_ERUNTIME, "[save_safetensors] received invalid dtype: '%.200s' is %s", names[i], mx_dtype_name(arrays[i]->dtype));
  mx_text t = {0};
  int rc = 0;
  if (!write_header(&t, n, names, arrays, nmeta, keys, values)) rc = mx_fail_memory();
  unsigned char length[8];
  for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)t.n >> 8 * i);
  if (!rc) rc = w->write(w, length, 8);
  if (!rc) rc = w->write(w, t.at, t.n);
  mx_free(t.at);
  for (int i = 0; !rc && i < n; i++)
    if (arrays[i]->size) rc = w->write(w, arrays[i]->data, mx_nbytes(arrays[i]));
  w->complete = !rc;
  return rc;
}
