/* gguf: key-value metadata, the names, shapes, types and places of tensors, then their data. Little-endian; versions 2 and 3 are alike,
 * version 1 had 32-bit lengths and is not read.
 *
 * A file says how many and how long; nothing is believed: each count and length is compared with what is left of the file before memory
 * is taken, tensors must lie inside of it, aligned and apart. */
#include "io/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"

enum { CHUNK = 1 << 16 };

typedef struct info {
  char *name;
  uint64_t begin, bytes; /* in the data; bytes as stored */
  const mx_gguf_type *type;
  int ndim;
  int32_t shape[MX_GGUF_MAX_NDIM];
} info;

typedef struct load {
  mx_reader *r;
  uint64_t at, alignment, ntensors, nmeta;
  uint64_t held_at; /* the part of the file that lies in `held` */
  size_t held_n;
  uint8_t *held; /* [CHUNK] */
  info *infos;
  size_t n, cap;
  const mx_gguf_sink *sink;
} load;

static int bad(const load *l, const char *what, const char *name, const char *fault, uint64_t given, const char *expected, uint64_t limit) {
  return mx_fail(MX_ERUNTIME, "[load_gguf] %s '%.200s' of %s %s %" PRIu64 ", %s %" PRIu64, what, name, l->r->label(l->r), fault, given, expected,
                 limit);
}

/* ---- the bytes of the header, in order ---- */

static int take(load *l, void *to, size_t n) {
  if (n > CHUNK) {
    int rc = mx_read(l->r, to, n, l->at, "load_gguf");
    l->at += n;
    return rc;
  }
  if (l->at < l->held_at || l->at - l->held_at > l->held_n || n > l->held_n - (l->at - l->held_at)) {
    uint64_t rest = l->at < l->r->size ? l->r->size - l->at : 0;
    size_t part = rest < CHUNK ? (size_t)rest : CHUNK;
    int rc = mx_read(l->r, l->held, part < n ? n : part, l->at, "load_gguf"); /* too short: the error tells */
    if (rc) return rc;
    l->held_at = l->at;
    l->held_n = part;
  }
  memcpy(to, l->held + (l->at - l->held_at), n);
  l->at += n;
  return 0;
}

static int take_u32(load *l, uint32_t *v) {
  uint8_t b[4];
  int rc = take(l, b, 4);
  *v = rc ? 0 : (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
  return rc;
}

static int take_u64(load *l, uint64_t *v) {
  uint32_t low, high = 0;
  int rc = take_u32(l, &low);
  if (!rc) rc = take_u32(l, &high);
  *v = (uint64_t)high << 32 | low;
  return rc;
}

/* count things of at least `each` bytes must fit in what is left. */
static int fits(load *l, uint64_t count, uint64_t each, const char *what, const char *name) {
  uint64_t left = l->at < l->r->size ? l->r->size - l->at : 0;
  if (count <= left / each) return 0;
  return bad(l, what, name, "claims a length of", count, "bytes left:", left);
}

/* A string in a block of its own. `name` is whose it is. */
static int take_string(load *l, char **s, const char *what, const char *name) {
  uint64_t n;
  *s = NULL;
  int rc = take_u64(l, &n);
  if (!rc) rc = fits(l, n, 1, what, name);
  if (rc) return rc;
  if (!(*s = mx_malloc((size_t)n + 1))) return mx_fail_memory();
  rc = take(l, *s, (size_t)n);
  (*s)[n] = 0;
  if (!rc && strlen(*s) != n) rc = bad(l, what, name, "has a zero byte at", strlen(*s), "in a text of length", n);
  if (rc) {
    mx_free(*s);
    *s = NULL;
  }
  return rc;
}

/* ---- metadata ---- */

enum { BOOLEAN = 7, STRING = 8, ARRAY = 9, F64 = 12, VALUE_TYPES };
static const uint8_t value_dtypes[VALUE_TYPES] = {MX_U8,   MX_I8, MX_U16, MX_I16, MX_U32, MX_I32, MX_F32,
                                                  MX_BOOL, 0,     0,      MX_U64, MX_I64, MX_F64};

/* A number, or `n` of them: what MLX has no metadata for, f64, becomes f32. */
static int take_numbers(load *l, uint32_t type, int ndim, uint64_t n, mx_array **res) {
  mx_dtype t = (mx_dtype)value_dtypes[type];
  *res = mx_array_empty(type == F64 ? MX_F32 : t, ndim, (int32_t[]){(int32_t)n});
  if (!*res) return mx_error_kind();
  int rc = 0;
  if (type == F64) {
    for (uint64_t i = 0; !rc && i < n; i++) {
      double v = 0;
      rc = take(l, &v, 8);
      ((float *)(*res)->data)[i] = (float)v;
    }
  } else if (n) {
    rc = take(l, (*res)->data, (size_t)n * mx_dtype_size(t));
  }
  if (!rc && type == BOOLEAN)
    for (uint64_t i = 0; i < n; i++) ((uint8_t *)(*res)->data)[i] = ((uint8_t *)(*res)->data)[i] != 0;
  if (rc) {
    mx_release(*res);
    *res = NULL;
  }
  return rc;
}

static int read_texts(load *l, const char *key, uint64_t n) {
  int rc = fits(l, n, 8, "Metadata", key);
  if (rc) return rc;
  char **texts = mx_calloc((size_t)n + 1, sizeof *texts);
  if (!texts) return mx_fail_memory();
  for (uint64_t i = 0; !rc && i < n; i++) rc = take_string(l, &texts[i], "Metadata", key);
  if (!rc) rc = l->sink->texts(l->sink->to, key, (int)n, (const char *const *)texts);
  for (uint64_t i = 0; i < n; i++) mx_free(texts[i]);
  mx_free(texts);
  return rc;
}

static int read_array(load *l, const char *key) {
  uint32_t type;
  uint64_t n;
  mx_array *a = NULL;
  int rc = take_u32(l, &type);
  if (!rc) rc = take_u64(l, &n);
  if (rc) return rc;
  if (type == ARRAY)
    return mx_fail(MX_ERUNTIME, "[load_gguf] Metadata '%.200s' of %s is a list of lists, expected numbers or texts", key, l->r->label(l->r));
  if (type >= VALUE_TYPES) return bad(l, "Metadata", key, "has the unknown type", type, "the last one is", VALUE_TYPES - 1);
  if (n > MX_MAX_DIM) return bad(l, "Metadata", key, "has a length of", n, "at most", MX_MAX_DIM);
  if (type == STRING) return read_texts(l, key, n);
  rc = fits(l, n, mx_dtype_size((mx_dtype)value_dtypes[type]), "Metadata", key);
  if (!rc) rc = take_numbers(l, type, 1, n, &a);
  if (!rc) rc = l->sink->numbers(l->sink->to, key, a);
  mx_release(a);
  return rc;
}

static int read_value(load *l, const char *key) {
  uint32_t type;
  mx_array *a = NULL;
  char *text = NULL;
  int rc = take_u32(l, &type);
  if (rc) return rc;
  if (type >= VALUE_TYPES) return bad(l, "Metadata", key, "has the unknown type", type, "the last one is", VALUE_TYPES - 1);
  if (type == ARRAY) return read_array(l, key);
  if (type == STRING) {
    rc = take_string(l, &text, "Metadata", key);
    if (!rc) rc = l->sink->text(l->sink->to, key, text);
    mx_free(text);
    return rc;
  }
  rc = take_numbers(l, type, 0, 1, &a);
  if (!rc && !strcmp(key, "general.alignment")) {
    l->alignment = a->dtype == MX_U32 ? *(uint32_t *)a->data : 0;
    if (!mx_gguf_alignment(l->alignment)) rc = bad(l, "Metadata", key, "is", l->alignment, "expected a u32, a power of two up to", MX_GGUF_MAX_ALIGNMENT);
  }
  if (!rc) rc = l->sink->numbers(l->sink->to, key, a);
  mx_release(a);
  return rc;
}

static int read_metadata(load *l) {
  int rc = fits(l, l->nmeta, 13, "The metadata", "");
  for (uint64_t i = 0; !rc && i < l->nmeta; i++) {
    char *key;
    rc = take_string(l, &key, "A key of the metadata", "");
    if (!rc) rc = read_value(l, key);
    mx_free(key);
  }
  return rc;
}

/* ---- where tensors are ---- */

static int read_shape(load *l, info *t) {
  uint32_t ndim;
  int rc = take_u32(l, &ndim);
  if (!rc && ndim > MX_GGUF_MAX_NDIM) rc = bad(l, "Tensor", t->name, "has dimensions:", ndim, "at most", MX_GGUF_MAX_NDIM);
  t->ndim = rc ? 0 : (int)ndim;
  for (int i = t->ndim - 1; !rc && i >= 0; i--) { /* the fastest first */
    uint64_t d;
    if (!(rc = take_u64(l, &d)) && d > MX_MAX_DIM) rc = bad(l, "Tensor", t->name, "has a dimension of", d, "at most", MX_MAX_DIM);
    t->shape[i] = (int32_t)d;
  }
  return rc;
}

/* Bytes that the shape needs as stored. */
static int measure(load *l, info *t) {
  uint64_t block = t->type->block, last = t->ndim ? (uint64_t)t->shape[t->ndim - 1] : 1;
  if (last % block)
    return bad(l, "Tensor", t->name, "has incompatible last dim shape", last, "expected a multiple of", block);
  t->bytes = last / block * t->type->bytes;
  for (int i = 0; i < t->ndim - 1; i++)
    if (__builtin_mul_overflow(t->bytes, (uint64_t)t->shape[i], &t->bytes)) t->bytes = UINT64_MAX / 2;
  return 0;
}

static int read_info(load *l, info *t) {
  uint32_t type;
  int rc = take_string(l, &t->name, "The name of a tensor", "");
  if (!rc) rc = read_shape(l, t);
  if (!rc) rc = take_u32(l, &type);
  if (!rc) rc = take_u64(l, &t->begin);
  if (rc) return rc;
  if (!(t->type = mx_gguf_type_of(type)))
    return mx_fail(MX_ERUNTIME, "[load_gguf] Tensor '%.200s' of %s has the type %s (%" PRIu32 "), expected one of %s", t->name, l->r->label(l->r),
                   mx_gguf_type_name(type), type, MX_GGUF_READABLE);
  if (t->begin % l->alignment) return bad(l, "Tensor", t->name, "begins at", t->begin, "expected a multiple of", l->alignment);
  return measure(l, t);
}

static int read_infos(load *l) {
  int rc = fits(l, l->ntensors, 24, "The list of tensors", "");
  while (!rc && l->n < l->ntensors) {
    if (l->n == l->cap) {
      size_t cap = l->cap * 2 + 16;
      info *more = mx_realloc(l->infos, cap * sizeof *more);
      if (!more) return mx_fail_memory();
      l->infos = more;
      l->cap = cap;
    }
    l->infos[l->n] = (info){0};
    rc = read_info(l, &l->infos[l->n++]);
  }
  return rc;
}

static int by_place(const void *a, const void *b) {
  const info *x = *(info *const *)a, *y = *(info *const *)b;
  return x->begin != y->begin ? x->begin < y->begin ? -1 : 1 : x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Every tensor lies inside of the file and none over another: what is read is never more than the file. */
static int check_places(load *l) {
  uint64_t room = l->r->size - l->at;
  int rc = 0;
  info **sorted = mx_malloc((l->n + 1) * sizeof *sorted);
  if (!sorted) return mx_fail_memory();
  for (size_t i = 0; i < l->n; i++) sorted[i] = &l->infos[i];
  for (size_t i = 0; !rc && i < l->n; i++)
    if (sorted[i]->begin > room || sorted[i]->bytes > room - sorted[i]->begin)
      rc = mx_fail(MX_ERUNTIME,
                   "[load_gguf] Tensor '%.200s' extends past the end of the file: %" PRIu64 " bytes at %" PRIu64 " of the data of %s, which has %" PRIu64,
                   sorted[i]->name, sorted[i]->bytes, sorted[i]->begin, l->r->label(l->r), room);
  qsort(sorted, l->n, sizeof *sorted, by_place);
  for (size_t i = 1; !rc && i < l->n; i++)
    if (sorted[i - 1]->bytes && sorted[i]->bytes && sorted[i]->begin - sorted[i - 1]->begin < sorted[i - 1]->bytes)
      rc = mx_fail(MX_ERUNTIME, "[load_gguf] Tensor '%.200s' at %" PRIu64 " overlaps '%.200s' at %" PRIu64 ", which has %" PRIu64 " bytes, in %s",
                   sorted[i]->name, sorted[i]->begin, sorted[i - 1]->name, sorted[i - 1]->begin, sorted[i - 1]->bytes, l->r->label(l->r));
  mx_free(sorted);
  return rc;
}

/* ---- their values ---- */

/* Blocks become what the type says, a chunk of them at a time. */
static int read_blocks(load *l, const info *t, void *w, void *scales, void *biases) {
  size_t each = t->type->bytes, n = CHUNK / each;
  uint64_t blocks = t->bytes / each, done = 0;
  int rc = 0;
  l->held_n = 0;
  while (!rc && done < blocks) {
    size_t part = blocks - done < n ? (size_t)(blocks - done) : n;
    rc = mx_read(l->r, l->held, part * each, l->at + t->begin + done * each, "load_gguf");
    for (size_t i = 0; !rc && i < part; i++, done++) mx_gguf_decode(t->type, l->held + i * each, done, w, scales, biases);
  }
  return rc;
}

/* name without ".weight", with another ending */
static int give(load *l, const info *t, const char *ending, mx_array *a) {
  size_t n = strlen(t->name);
  if (!*ending) return l->sink->tensor(l->sink->to, t->name, a);
  if (n >= 7 && !strcmp(t->name + n - 7, ".weight")) n -= 7;
  char *name = mx_malloc(n + strlen(ending) + 1);
  if (!name) return mx_fail_memory();
  memcpy(name, t->name, n);
  strcpy(name + n, ending);
  int rc = l->sink->tensor(l->sink->to, name, a);
  mx_free(name);
  return rc;
}

/* Packed as mlx_quantized_matmul takes it: words, and a scale and a bias for each group of 32. */
static int read_packed(load *l, info *t) {
  mx_array *part[3] = {0};
  static const char *const endings[] = {"", ".scales", ".biases"};
  int32_t last = t->ndim ? t->shape[t->ndim - 1] : 0;
  int rc = 0;
  for (int i = 0; !rc && i < 3; i++) {
    if (t->ndim) t->shape[t->ndim - 1] = i ? last / 32 : (int32_t)((int64_t)last * t->type->bits / 32);
    part[i] = mx_array_empty(i ? MX_F16 : MX_U32, t->ndim, t->shape);
    if (!part[i]) rc = mx_error_kind();
  }
  if (!rc) rc = read_blocks(l, t, part[0]->data, part[1]->data, part[2]->data);
  for (int i = 0; i < 3; i++) {
    if (!rc) rc = give(l, t, endings[i], part[i]);
    mx_release(part[i]);
  }
  return rc;
}

static int read_tensor(load *l, info *t) {
  if (t->type->bits) return read_packed(l, t);
  mx_array *a = mx_array_empty(t->type->dtype, t->ndim, t->shape);
  if (!a) return mx_error_kind();
  int rc = t->type->plain ? (a->size ? mx_read(l->r, a->data, mx_nbytes(a), l->at + t->begin, "load_gguf") : 0)
                          : read_blocks(l, t, a->data, NULL, NULL);
  if (!rc) rc = l->sink->tensor(l->sink->to, t->name, a);
  mx_release(a);
  return rc;
}

static int read_all(load *l) {
  uint32_t magic, version;
  int rc = take_u32(l, &magic);
  if (!rc && magic != MX_GGUF_MAGIC)
    return mx_fail(MX_ERUNTIME, "[load_gguf] gguf_init failed: %s begins with 0x%08" PRIx32 ", expected the bytes GGUF", l->r->label(l->r), magic);
  if (!rc) rc = take_u32(l, &version);
  if (!rc && (version < 2 || version > 3))
    return mx_fail(MX_ERUNTIME, "[load_gguf] %s has version %" PRIu32 " of the format, expected 2 or 3 (little-endian)", l->r->label(l->r), version);
  if (!rc) rc = take_u64(l, &l->ntensors);
  if (!rc) rc = take_u64(l, &l->nmeta);
  if (!rc) rc = read_metadata(l);
  if (!rc) rc = read_infos(l);
  if (rc || !l->n) return rc;
  l->at += (l->alignment - l->at % l->alignment) % l->alignment;
  if (l->at > l->r->size) l->at = l->r->size; /* only empty tensors can follow */
  rc = check_places(l);
  for (size_t i = 0; !rc && i < l->n; i++) rc = read_tensor(l, &l->infos[i]);
  return rc;
}

int mx_gguf_load(mx_reader *r, const mx_gguf_sink *sink) {
  load l = {.r = r, .alignment = MX_GGUF_ALIGNMENT, .sink = sink, .held = mx_malloc(CHUNK)};
  if (!l.held) return mx_fail_memory();
  int rc = read_all(&l);
  for (size_t i = 0; i < l.n; i++) mx_free(l.infos[i].name);
  mx_free(l.infos);
  mx_free(l.held);
  return rc;
}
