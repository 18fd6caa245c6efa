/* What a .gguf file holds, as a handle; loading and saving it. */
#include "io/gguf.h"

#include <stdio.h>
#include <string.h>

#include "capi/files.h"
#include "core/map.h"
#include "mlx/c/gguf.h"
#include "mlx/c/io.h"

/* A metadata value: one of the three. */
typedef struct value {
  mx_array *numbers;
  char *text;
  char **texts;
  int n;
} value;

typedef struct gguf {
  mx_map arrays; /* to mx_array *, counted */
  mx_map meta;   /* to value * */
} gguf;

static void drop_array(void *p) { mx_release(p); }
static void drop_value(void *p) {
  value *v = p;
  if (!v) return;
  mx_release(v->numbers);
  mx_free(v->text);
  for (int i = 0; i < v->n; i++) mx_free(v->texts[i]);
  mx_free(v->texts);
  mx_free(v);
}
static void clear(gguf *g) {
  mx_map_clear(&g->arrays, drop_array);
  mx_map_clear(&g->meta, drop_value);
}

static int need(mlx_io_gguf io, bool rest, const char *tag) {
  return io.ctx && rest ? 0 : mx_fail(MX_EVALUE, "[%s] empty handle, or NULL given for a name or a result", tag);
}

mlx_io_gguf mlx_io_gguf_new(void) {
  mlx_io_gguf io = {mx_calloc(1, sizeof(gguf))};
  if (!io.ctx) mx_fail_memory(), MX_REPORT();
  return io;
}

int mlx_io_gguf_free(mlx_io_gguf io) {
  if (io.ctx) clear(io.ctx);
  mx_free(io.ctx);
  return 0;
}

/* ---- reading from it ---- */

static int get_keys(mlx_vector_string *keys, const mx_map *m) {
  const char **names = mx_malloc(((size_t)m->n + 1) * sizeof *names);
  if (!names) return mx_fail_memory(), MX_REPORT();
  for (int i = 0; i < m->n; i++) names[i] = m->at[i].key;
  int rc = mx_put_strings(keys, (size_t)m->n, names);
  mx_free(names);
  return rc;
}
int mlx_io_gguf_get_keys(mlx_vector_string *keys, mlx_io_gguf io) {
  return need(io, keys, "io_gguf_get_keys") ? MX_REPORT() : get_keys(keys, &((gguf *)io.ctx)->arrays);
}
int mlx_io_gguf_get_metadata_keys(mlx_vector_string *keys, mlx_io_gguf io) {
  return need(io, keys, "io_gguf_get_metadata_keys") ? MX_REPORT() : get_keys(keys, &((gguf *)io.ctx)->meta);
}

int mlx_io_gguf_get_array(mlx_array *arr, mlx_io_gguf io, const char *key) {
  if (need(io, arr && key, "io_gguf_get_array")) return MX_REPORT();
  mx_array *a = mx_map_find(&((gguf *)io.ctx)->arrays, key);
  if (!a) return MX_REFUSE(MX_EKEY, "[io_gguf_get_array] there is no array '%.200s' among %d", key, ((gguf *)io.ctx)->arrays.n);
  return MX_STATUS(mx_put(arr, mx_retain(a)));
}

/* The value of a key and a kind: *v is NULL without an error when `must` is not set. */
enum kind { NUMBERS, TEXT, TEXTS };
static enum kind kind_of(const value *v) { return v->numbers ? NUMBERS : v->text ? TEXT : TEXTS; }
static int find(const value **v, mlx_io_gguf io, const char *key, enum kind kind, bool must, bool rest, const char *tag) {
  static const char *const names[] = {"numbers", "a text", "a list of texts"};
  int rc = need(io, rest && key, tag);
  if (rc) return rc;
  *v = mx_map_find(&((gguf *)io.ctx)->meta, key);
  if (*v && kind_of(*v) == kind) return 0;
  if (must && !*v) return mx_fail(MX_EKEY, "[%s] there are no metadata '%.200s' among %d", tag, key, ((gguf *)io.ctx)->meta.n);
  if (must) return mx_fail(MX_EVALUE, "[%s] the metadata '%.200s' are %s, expected %s", tag, key, names[kind_of(*v)], names[kind]);
  *v = NULL;
  return 0;
}

int mlx_io_gguf_get_metadata_array(mlx_array *arr, mlx_io_gguf io, const char *key) {
  const value *v;
  int rc = find(&v, io, key, NUMBERS, true, arr, "io_gguf_get_metadata_array");
  return MX_STATUS(rc ? rc : mx_put(arr, mx_retain(v->numbers)));
}
int mlx_io_gguf_get_metadata_string(mlx_string *str, mlx_io_gguf io, const char *key) {
  const value *v;
  int rc = find(&v, io, key, TEXT, true, str, "io_gguf_get_metadata_string");
  return MX_STATUS(rc ? rc : mx_put_string(str, v->text));
}
int mlx_io_gguf_get_metadata_vector_string(mlx_vector_string *vstr, mlx_io_gguf io, const char *key) {
  const value *v;
  if (find(&v, io, key, TEXTS, true, vstr, "io_gguf_get_metadata_vector_string")) return MX_REPORT();
  return mx_put_strings(vstr, (size_t)v->n, (const char *const *)v->texts);
}

static int has(bool *flag, mlx_io_gguf io, const char *key, enum kind kind, const char *tag) {
  const value *v;
  if (find(&v, io, key, kind, false, flag, tag)) return MX_REPORT();
  *flag = v != NULL;
  return 0;
}
int mlx_io_gguf_has_metadata_array(bool *flag, mlx_io_gguf io, const char *key) {
  return has(flag, io, key, NUMBERS, "io_gguf_has_metadata_array");
}
int mlx_io_gguf_has_metadata_string(bool *flag, mlx_io_gguf io, const char *key) {
  return has(flag, io, key, TEXT, "io_gguf_has_metadata_string");
}
int mlx_io_gguf_has_metadata_vector_string(bool *flag, mlx_io_gguf io, const char *key) {
  return has(flag, io, key, TEXTS, "io_gguf_has_metadata_vector_string");
}

/* ---- writing to it ---- */

static int put_array(gguf *g, const char *key, mx_array *a) {
  int rc = mx_map_insert(&g->arrays, key, mx_retain(a), drop_array);
  if (rc) mx_release(a);
  return rc;
}

/* Copies what is given: numbers, a text, or n texts. */
static int put_value(gguf *g, const char *key, mx_array *numbers, const char *text, int n, const char *const *texts) {
  value *v = mx_calloc(1, sizeof *v);
  int rc = v ? 0 : mx_fail_memory();
  if (rc) return rc;
  v->numbers = mx_retain(numbers);
  if (text && !(v->text = mx_strdup(text))) rc = mx_fail_memory();
  if (!numbers && !text && !(v->texts = mx_calloc((size_t)n + 1, sizeof *v->texts))) rc = mx_fail_memory();
  for (; !rc && texts && v->n < n; v->n++)
    if (!(v->texts[v->n] = mx_strdup(texts[v->n]))) {
      rc = mx_fail_memory();
      break;
    }
  if (!rc) rc = mx_map_insert(&g->meta, key, v, drop_value);
  if (rc) drop_value(v);
  return rc;
}

int mlx_io_gguf_set_array(mlx_io_gguf io, const char *key, const mlx_array arr) {
  int rc = need(io, key && mx_array_of(arr), "io_gguf_set_array");
  return MX_STATUS(rc ? rc : put_array(io.ctx, key, mx_array_of(arr)));
}
int mlx_io_gguf_set_metadata_array(mlx_io_gguf io, const char *key, const mlx_array marr) {
  int rc = need(io, key && mx_array_of(marr), "io_gguf_set_metadata_array");
  return MX_STATUS(rc ? rc : put_value(io.ctx, key, mx_array_of(marr), NULL, 0, NULL));
}
int mlx_io_gguf_set_metadata_string(mlx_io_gguf io, const char *key, const char *mstr) {
  int rc = need(io, key && mstr, "io_gguf_set_metadata_string");
  return MX_STATUS(rc ? rc : put_value(io.ctx, key, NULL, mstr, 0, NULL));
}
int mlx_io_gguf_set_metadata_vector_string(mlx_io_gguf io, const char *key, const mlx_vector_string mvstr) {
  int rc = need(io, key && mvstr.ctx, "io_gguf_set_metadata_vector_string");
  if (rc) return MX_REPORT();
  size_t n = mlx_vector_string_size(mvstr);
  char **texts = mx_malloc((n + 1) * sizeof *texts);
  if (!texts) return mx_fail_memory(), MX_REPORT();
  for (size_t i = 0; i < n && !rc; i++) rc = mlx_vector_string_get(&texts[i], mvstr, i);
  if (!rc) rc = MX_STATUS(put_value(io.ctx, key, NULL, NULL, (int)n, (const char *const *)texts));
  mx_free(texts);
  return rc;
}

/* ---- files ---- */

static int take_tensor(void *to, const char *name, mx_array *a) {
  gguf *g = to;
  if (mx_map_find(&g->arrays, name))
    return mx_fail(MX_ERUNTIME, "[load_gguf] Duplicate parameter name '%.200s': this can happen when loading quantized tensors", name);
  return put_array(g, name, a);
}
static int take_numbers(void *to, const char *key, mx_array *a) { return put_value(to, key, a, NULL, 0, NULL); }
static int take_text(void *to, const char *key, const char *text) { return put_value(to, key, NULL, text, 0, NULL); }
static int take_texts(void *to, const char *key, int n, const char *const *texts) { return put_value(to, key, NULL, NULL, n, texts); }

int mlx_load_gguf(mlx_io_gguf *res, const char *file, const mlx_stream s) {
  mx_file_reader r;
  gguf fresh = {0};
  int rc = mx_need_stream(s, "load_gguf");
  if (!rc && (!file || !res)) rc = mx_fail(MX_EVALUE, "[load_gguf] NULL given for the file's name or the result");
  if (rc) return MX_REPORT();
  if (mx_file_open(&r, file, "load_gguf")) { /* a ValueError, as in MLX */
    char why[512];
    snprintf(why, sizeof why, "%s", mx_error_message());
    return MX_REFUSE(MX_EVALUE, "%s", why);
  }
  rc = mx_gguf_load(&r.base, &(mx_gguf_sink){&fresh, take_tensor, take_numbers, take_text, take_texts});
  mx_file_close(&r);
  if (!rc && !res->ctx && !(res->ctx = mx_calloc(1, sizeof fresh))) rc = mx_fail_memory();
  if (!rc) {
    gguf old = *(gguf *)res->ctx;
    *(gguf *)res->ctx = fresh;
    fresh = old;
  }
  clear(&fresh);
  return MX_STATUS(rc);
}

/* Evaluated and in one piece, as the writer wants them. */
typedef struct bundle {
  const char **names;
  mx_array **arrays;
  mx_gguf_meta *meta;
  int n, nmeta; /* of which arrays[0, n) and meta[0, nmeta).numbers are references of ours */
} bundle;

static int gather(bundle *b, const gguf *g) {
  *b = (bundle){mx_malloc(((size_t)g->arrays.n + 1) * sizeof *b->names), mx_malloc(((size_t)g->arrays.n + 1) * sizeof *b->arrays),
                mx_malloc(((size_t)g->meta.n + 1) * sizeof *b->meta), 0, 0};
  if (!b->names || !b->arrays || !b->meta) return mx_fail_memory();
  int rc = 0;
  for (; b->n < g->arrays.n; b->n++) {
    b->names[b->n] = g->arrays.at[b->n].key;
    if ((rc = mx_ready(&b->arrays[b->n], g->arrays.at[b->n].value, false))) return rc;
  }
  for (; b->nmeta < g->meta.n; b->nmeta++) {
    const value *v = g->meta.at[b->nmeta].value;
    b->meta[b->nmeta] = (mx_gguf_meta){g->meta.at[b->nmeta].key, NULL, v->text, (const char *const *)v->texts, v->n};
    if (v->numbers && (rc = mx_ready(&b->meta[b->nmeta].numbers, v->numbers, false))) return rc;
  }
  return 0;
}

static void drop(bundle *b) {
  for (int i = 0; i < b->n; i++) mx_release(b->arrays[i]);
  for (int i = 0; i < b->nmeta; i++) mx_release(b->meta[i].numbers);
  mx_free(b->names);
  mx_free(b->arrays);
  mx_free(b->meta);
}

int mlx_save_gguf(const char *file, mlx_io_gguf io) {
  char *name;
  bundle b;
  mx_file_writer w;
  int rc = need(io, file, "save_gguf");
  if (!rc) rc = mx_full_name(&name, file, ".gguf", "save_gguf");
  if (rc) return MX_REPORT();
  rc = gather(&b, io.ctx);
  if (!rc && !(rc = mx_file_create(&w, name, "save_gguf"))) {
    rc = mx_gguf_save(&w.base, b.n, b.names, b.arrays, b.nmeta, b.meta);
    int closed = mx_file_finish(&w);
    rc = rc ? rc : closed;
  }
  drop(&b);
  mx_free(name);
  return MX_STATUS(rc);
}
