/* Writes .gguf files, version 3. */
#include <inttypes.h>
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "io/gguf.h"
#include "io/json.h"

enum { TYPE_STRING = 8, TYPE_ARRAY = 9 };

/* ---- what can be written ---- */

static int tensor_type(mx_dtype t) {
  switch (t) {
  case MX_F32: return 0;
  case MX_F16: return 1;
  case MX_I8: return 24;
  case MX_I16: return 25;
  case MX_I32: return 26;
  default: return -1;
  }
}

static int value_type(mx_dtype t) {
  switch (t) {
  case MX_U8: return 0;
  case MX_I8: return 1;
  case MX_U16: return 2;
  case MX_I16: return 3;
  case MX_U32: return 4;
  case MX_I32: return 5;
  case MX_F32: return 6;
  case MX_BOOL: return 7;
  case MX_U64: return 10;
  case MX_I64: return 11;
  default: return -1;
  }
}

static int check_meta(const char *key, const mx_array *a) {
  if (value_type((mx_dtype)a->dtype) < 0)
    return mx_fail(MX_EVALUE, "[save_gguf] array type %s not support for metadata: '%.200s'", mx_dtype_name(a->dtype), key);
  if (a->ndim > 1)
    return mx_fail(MX_ERUNTIME, "[save_gguf] Cannot save arrays with more than one dimension. Metadata '%.200s' has shape %s", key, mx_shape_of(a));
  if (!a->size) return mx_fail(MX_ERUNTIME, "[save_gguf] Cannot save empty arrays. Metadata '%.200s' has shape %s", key, mx_shape_of(a));
  return 0;
}

static int check_tensor(const char *name, const mx_array *a) {
  if (tensor_type((mx_dtype)a->dtype) < 0)
    return mx_fail(MX_ERUNTIME, "[save_gguf] dtype %s is not supported: '%.200s'; expected float32, float16, int8, int16 or int32",
                   mx_dtype_name(a->dtype), name);
  if (a->ndim > MX_GGUF_MAX_NDIM)
    return mx_fail(MX_ERUNTIME, "[save_gguf] '%.200s' has %d dimensions, expected at most %d", name, a->ndim, MX_GGUF_MAX_NDIM);
  return 0;
}

/* ---- the header, in memory ---- */

static bool add_u32(mx_text *t, uint32_t v) { return mx_text_add(t, (char[]){(char)v, (char)(v >> 8), (char)(v >> 16), (char)(v >> 24)}, 4); }
static bool add_u64(mx_text *t, uint64_t v) { return add_u32(t, (uint32_t)v) && add_u32(t, (uint32_t)(v >> 32)); }
static bool add_string(mx_text *t, const char *s) { return add_u64(t, strlen(s)) && mx_text_add(t, s, strlen(s)); }

static bool add_meta(mx_text *t, const mx_gguf_meta *m) {
  if (!add_string(t, m->key)) return false;
  if (m->text) return add_u32(t, TYPE_STRING) && add_string(t, m->text);
  if (!m->numbers) {
    bool ok = add_u32(t, TYPE_ARRAY) && add_u32(t, TYPE_STRING) && add_u64(t, (uint64_t)m->n);
    for (int i = 0; ok && i < m->n; i++) ok = add_string(t, m->texts[i]);
    return ok;
  }
  const mx_array *a = m->numbers;
  uint32_t type = (uint32_t)value_type((mx_dtype)a->dtype);
  bool ok = a->ndim ? add_u32(t, TYPE_ARRAY) && add_u32(t, type) && add_u64(t, (uint64_t)a->size) : add_u32(t, type);
  return ok && mx_text_add(t, a->data, mx_nbytes(a));
}

static uint64_t rounded(uint64_t n, uint64_t alignment) { return (n + alignment - 1) / alignment * alignment; }

static bool add_tensor(mx_text *t, const char *name, const mx_array *a, uint64_t begin) {
  bool ok = add_string(t, name) && add_u32(t, a->ndim);
  for (int i = a->ndim - 1; ok && i >= 0; i--) ok = add_u64(t, (uint64_t)a->shape[i]);
  return ok && add_u32(t, (uint32_t)tensor_type((mx_dtype)a->dtype)) && add_u64(t, begin);
}

static bool make_header(mx_text *t, uint64_t alignment, int n, const char *const *names, mx_array *const *arrays, int nmeta,
                        const mx_gguf_meta *meta) {
  uint64_t begin = 0;
  bool ok = add_u32(t, MX_GGUF_MAGIC) && add_u32(t, 3) && add_u64(t, (uint64_t)n) && add_u64(t, (uint64_t)nmeta);
  for (int i = 0; ok && i < nmeta; i++) ok = add_meta(t, &meta[i]);
  for (int i = 0; ok && i < n; i++) {
    ok = add_tensor(t, names[i], arrays[i], begin);
    begin = rounded(begin + mx_nbytes(arrays[i]), alignment);
  }
  while (ok && n && t->n % alignment) ok = mx_text_add(t, "", 1);
  return ok;
}

/* What general.alignment asks for. */
static int find_alignment(int n, const mx_gguf_meta *meta, uint64_t *alignment) {
  *alignment = MX_GGUF_ALIGNMENT;
  for (int i = 0; i < n; i++) {
    const mx_array *a = meta[i].numbers;
    if (strcmp(meta[i].key, "general.alignment")) continue;
    *alignment = a && !a->ndim && a->dtype == MX_U32 ? *(uint32_t *)a->data : 0;
    if (!mx_gguf_alignment(*alignment))
      return mx_fail(MX_EVALUE, "[save_gguf] general.alignment is %" PRIu64 ", expected a uint32 that is a power of two up to %u", *alignment,
                     MX_GGUF_MAX_ALIGNMENT);
  }
  return 0;
}

static int write_tensor(mx_writer *w, const mx_array *a, uint64_t alignment) {
  static const char zeros[256];
  uint64_t pad = rounded(mx_nbytes(a), alignment) - mx_nbytes(a);
  int rc = a->size ? w->write(w, a->data, mx_nbytes(a)) : 0;
  for (uint64_t part; !rc && pad; pad -= part) {
    part = pad < sizeof zeros ? pad : sizeof zeros;
    rc = w->write(w, zeros, (size_t)part);
  }
  return rc;
}

int mx_gguf_save(mx_writer *w, int n, const char *const *names, mx_array *const *arrays, int nmeta, const mx_gguf_meta *meta) {
  mx_text t = {0};
  uint64_t alignment;
  int rc = find_alignment(nmeta, meta, &alignment);
  for (int i = 0; !rc && i < n; i++) rc = check_tensor(names[i], arrays[i]);
  for (int i = 0; !rc && i < nmeta; i++)
    if (meta[i].numbers) rc = check_meta(meta[i].key, meta[i].numbers);
  if (rc) return rc;
  if (!make_header(&t, alignment, n, names, arrays, nmeta, meta)) rc = mx_fail_memory();
  if (!rc) rc = w->write(w, t.at, t.n);
  mx_free(t.at);
  for (int i = 0; !rc && i < n; i++) rc = write_tensor(w, arrays[i], alignment);
  w->complete = !rc;
  return rc;
}
