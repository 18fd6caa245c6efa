/* Saving and loading: the caller's readers and writers as those of src/io, and the formats over files and handles. */
#include "io/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capi/files.h"
#include "capi/handles.h"
#include "core/map.h"
#include "mlx/c/io.h"
#include "mlx/c/io_types.h"

/* ---- the caller's own ---- */

typedef struct own {
  void *desc;
  mlx_io_vtable v;
} own;

/* On failure nothing was taken: desc is still the caller's. */
static void *own_new(void *desc, mlx_io_vtable v, bool complete) {
  own *o = complete ? mx_malloc(sizeof *o) : NULL;
  if (o)
    *o = (own){desc, v};
  else if (complete)
    mx_fail_memory(), MX_REPORT();
  else
    MX_REFUSE(MX_EVALUE, "[io] the table of functions lacks one that is needed");
  return o;
}

static int own_free(own *o) {
  if (o && o->v.free) o->v.free(o->desc);
  mx_free(o);
  return 0;
}

static int own_descriptor(void **desc, const own *o) {
  if (!desc || !o) return MX_REFUSE(MX_EVALUE, "[io] empty handle or no place for the result given");
  *desc = o->desc;
  return 0;
}

static const char *own_label(const own *o) {
  const char *label = o->v.label ? o->v.label(o->desc) : NULL;
  return label ? label : "a stream";
}

static int own_tostring(mlx_string *str, const own *o) {
  if (!o) return MX_REFUSE(MX_EVALUE, "[io] empty handle given");
  return MX_STATUS(mx_put_string(str, own_label(o)));
}

mlx_io_reader mlx_io_reader_new(void *desc, mlx_io_vtable v) {
  return (mlx_io_reader){own_new(desc, v, v.good && v.tell && v.seek && (v.read || v.read_at_offset))};
}
int mlx_io_reader_descriptor(void **desc_, mlx_io_reader io) { return own_descriptor(desc_, io.ctx); }
int mlx_io_reader_tostring(mlx_string *str_, mlx_io_reader io) { return own_tostring(str_, io.ctx); }
int mlx_io_reader_free(mlx_io_reader io) { return own_free(io.ctx); }

mlx_io_writer mlx_io_writer_new(void *desc, mlx_io_vtable v) { return (mlx_io_writer){own_new(desc, v, v.good && v.write)}; }
int mlx_io_writer_descriptor(void **desc_, mlx_io_writer io) { return own_descriptor(desc_, io.ctx); }
int mlx_io_writer_tostring(mlx_string *str_, mlx_io_writer io) { return own_tostring(str_, io.ctx); }
int mlx_io_writer_free(mlx_io_writer io) { return own_free(io.ctx); }

typedef struct own_reader {
  mx_reader base;
  own *o;
} own_reader;
typedef struct own_writer {
  mx_writer base;
  own *o;
} own_writer;

static const char *reader_label(mx_reader *r) { return own_label(((own_reader *)r)->o); }
static const char *writer_label(mx_writer *w) { return own_label(((own_writer *)w)->o); }

static int own_read(mx_reader *r, void *to, size_t n, uint64_t at) {
  own *o = ((own_reader *)r)->o;
  if (!n) return 0;
  if (o->v.read_at_offset) {
    o->v.read_at_offset(o->desc, to, n, at);
  } else {
    o->v.seek(o->desc, (int64_t)at, SEEK_SET);
    o->v.read(o->desc, to, n);
  }
  return o->v.good(o->desc) ? 0 : mx_fail(MX_ERUNTIME, "[read] cannot read %zu bytes of %s", n, r->label(r));
}

static int own_write(mx_writer *w, const void *from, size_t n) {
  own *o = ((own_writer *)w)->o;
  o->v.write(o->desc, from, n);
  return o->v.good(o->desc) ? 0 : mx_fail(MX_ERUNTIME, "[write] cannot write %zu bytes to %s", n, w->label(w));
}

/* Where the reader stands goes to *at; its size is found by going to its end and back. */
static int begin_reading(own_reader *r, own *o, uint64_t *at, const char *tag) {
  if (!o) return mx_fail(MX_EVALUE, "[%s] empty reader given", tag);
  *r = (own_reader){{own_read, reader_label, 0}, o};
  if ((o->v.is_open && !o->v.is_open(o->desc)) || !o->v.good(o->desc))
    return mx_fail(MX_ERUNTIME, "[%s] Failed to open %s", tag, own_label(o));
  *at = o->v.tell(o->desc);
  o->v.seek(o->desc, 0, SEEK_END);
  r->base.size = o->v.tell(o->desc);
  o->v.seek(o->desc, (int64_t)*at, SEEK_SET);
  return o->v.good(o->desc) ? 0 : mx_fail(MX_ERUNTIME, "[%s] cannot find the size of %s", tag, own_label(o));
}

static int begin_writing(own_writer *w, own *o, const char *tag) {
  if (!o) return mx_fail(MX_EVALUE, "[%s] empty writer given", tag);
  *w = (own_writer){{own_write, writer_label, false}, o};
  if ((o->v.is_open && !o->v.is_open(o->desc)) || !o->v.good(o->desc))
    return mx_fail(MX_ERUNTIME, "[%s] Failed to open %s", tag, own_label(o));
  return 0;
}

/* ---- arguments ---- */

int mx_need_stream(mlx_stream s, const char *tag) { return s.ctx ? 0 : mx_fail(MX_EVALUE, "[%s] empty stream given", tag); }

int mx_full_name(char **name, const char *file, const char *ending, const char *tag) {
  if (!file) return mx_fail(MX_EVALUE, "[%s] NULL given for the file's name", tag);
  size_t n = strlen(file), e = strlen(ending);
  *name = mx_malloc(n + e + 1);
  if (!*name) return mx_fail_memory();
  memcpy(*name, file, n + 1);
  if (n < e || strcmp(file + n - e, ending)) memcpy(*name + n, ending, e + 1);
  return 0;
}

int mx_ready(mx_array **res, mx_array *a, bool allow_col_major) {
  int rc = mx_eval(1, &a);
  if (rc) return rc;
  if (mx_is_row_contiguous(a) || (allow_col_major && mx_is_col_contiguous(a))) {
    *res = mx_retain(a);
    return 0;
  }
  mx_scope s;
  mx_scope_begin(&s, a->stream);
  mx_array *c = mx_contiguous(&s, a, allow_col_major);
  rc = c ? mx_eval(1, &c) : s.rc;
  if (!rc) *res = mx_retain(c);
  mx_scope_end(&s);
  return rc;
}

/* ---- .npy ---- */

int mlx_load(mlx_array *res, const char *file, const mlx_stream s) {
  mx_file_reader r;
  mx_array *a = NULL;
  uint64_t end;
  int rc = mx_need_stream(s, "load");
  if (!rc && !file) rc = mx_fail(MX_EVALUE, "[load] NULL given for the file's name");
  if (!rc) rc = mx_file_open(&r, file, "load");
  if (rc) return MX_REPORT();
  rc = mx_npy_load(&r.base, 0, &end, &a);
  mx_file_close(&r);
  return MX_STATUS(rc ? rc : mx_put(res, a));
}

int mlx_load_reader(mlx_array *res, mlx_io_reader in_stream, const mlx_stream s) {
  own_reader r;
  mx_array *a = NULL;
  uint64_t at, end;
  int rc = mx_need_stream(s, "load");
  if (!rc) rc = begin_reading(&r, in_stream.ctx, &at, "load");
  if (!rc) rc = mx_npy_load(&r.base, at, &end, &a);
  if (rc) return MX_REPORT();
  r.o->v.seek(r.o->desc, (int64_t)end, SEEK_SET); /* the next array may begin there */
  return MX_STATUS(mx_put(res, a));
}

static int save(mx_writer *w, mlx_array h) {
  mx_array *a = mx_array_of(h);
  if (!a) return mx_fail(MX_EVALUE, "[save] empty array given, expected a value");
  int rc = mx_ready(&a, a, true);
  if (rc) return rc;
  rc = mx_npy_save(w, a);
  mx_release(a);
  return rc;
}

int mlx_save(const char *file, const mlx_array a) {
  char *name;
  mx_file_writer w;
  int rc = mx_full_name(&name, file, ".npy", "save");
  if (rc) return MX_REPORT();
  rc = mx_array_of(a) ? mx_file_create(&w, name, "save") : mx_fail(MX_EVALUE, "[save] empty array given, expected a value");
  if (!rc) {
    rc = save(&w.base, a);
    int closed = mx_file_finish(&w);
    rc = rc ? rc : closed;
  }
  mx_free(name);
  return MX_STATUS(rc);
}

int mlx_save_writer(mlx_io_writer out_stream, const mlx_array a) {
  own_writer w;
  int rc = begin_writing(&w, out_stream.ctx, "save");
  return MX_STATUS(rc ? rc : save(&w.base, a));
}

/* ---- .safetensors ---- */

typedef struct maps {
  mlx_map_string_to_array arrays;
  mlx_map_string_to_string meta;
  mx_object *origin; /* or NULL */
} maps;

static int keep_tensor(void *to, const char *name, mx_array *a) {
  mx_origin_mark(a, ((maps *)to)->origin);
  return mlx_map_string_to_array_insert(((maps *)to)->arrays, name, (mlx_array){&a}) ? mx_error_kind() : 0;
}
static int keep_meta(void *to, const char *key, const char *value) {
  return mlx_map_string_to_string_insert(((maps *)to)->meta, key, value) ? mx_error_kind() : 0;
}

/* `file` is the name that arrays remember, or NULL. */
static int load_maps(mlx_map_string_to_array *res_0, mlx_map_string_to_string *res_1, mx_reader *r, uint64_t at, const char *file) {
  maps m = {mlx_map_string_to_array_new(), mlx_map_string_to_string_new(), file ? mx_origin_new(file) : NULL};
  int rc = m.arrays.ctx && m.meta.ctx && (m.origin || !file) ? 0 : MX_EMEMORY;
  if (!rc) rc = mx_safetensors_load(r, at, &(mx_safetensors_sink){&m, keep_tensor, keep_meta});
  if (!rc) rc = mlx_map_string_to_array_set(res_0, m.arrays) || mlx_map_string_to_string_set(res_1, m.meta) ? mx_error_kind() : 0;
  mlx_map_string_to_array_free(m.arrays);
  mlx_map_string_to_string_free(m.meta);
  if (m.origin) mx_object_release(m.origin);
  return rc;
}

int mlx_load_safetensors(mlx_map_string_to_array *res_0, mlx_map_string_to_string *res_1, const char *file, const mlx_stream s) {
  mx_file_reader r;
  int rc = mx_need_stream(s, "load_safetensors");
  if (!rc && !file) rc = mx_fail(MX_EVALUE, "[load_safetensors] NULL given for the file's name");
  if (!rc) rc = mx_file_open(&r, file, "load_safetensors");
  if (rc) return MX_REPORT();
  rc = load_maps(res_0, res_1, &r.base, 0, file);
  mx_file_close(&r);
  return MX_STATUS(rc);
}

int mlx_load_safetensors_reader(mlx_map_string_to_array *res_0, mlx_map_string_to_string *res_1, mlx_io_reader in_stream,
                                const mlx_stream s) {
  own_reader r;
  uint64_t at;
  int rc = mx_need_stream(s, "load_safetensors");
  if (!rc) rc = begin_reading(&r, in_stream.ctx, &at, "load_safetensors");
  return MX_STATUS(rc ? rc : load_maps(res_0, res_1, &r.base, at, NULL));
}

/* All arrays are made ready before the first byte is written, so that a failed computation leaves no half a file. */
typedef struct bundle {
  const char **names, **keys;
  void **arrays, **texts;
  int n, nmeta, held; /* arrays [0, held) are references of ours */
} bundle;

static int gather(bundle *b, mlx_map_string_to_array param, mlx_map_string_to_string metadata) {
  const mx_map *m = param.ctx, *meta = metadata.ctx;
  *b = (bundle){0};
  if (!m) return mx_fail(MX_EVALUE, "[save_safetensors] empty map given, expected arrays");
  int rc = mx_map_in_order(m, &b->names, &b->arrays);
  if (!rc) rc = mx_map_in_order(meta, &b->keys, &b->texts);
  b->n = m->n;
  b->nmeta = meta ? meta->n : 0;
  while (!rc && b->held < b->n) {
    mx_array *a = b->arrays[b->held];
    if (a->dtype == MX_F64)
      return mx_fail(MX_ERUNTIME, "[save_safetensors] received invalid dtype: '%.200s' is float64", b->names[b->held]);
    rc = mx_ready(&a, a, false);
    if (!rc) b->arrays[b->held++] = a;
  }
  return rc;
}

static void drop(bundle *b) {
  for (int i = 0; i < b->held; i++) mx_release(b->arrays[i]);
  mx_free(b->names);
  mx_free(b->keys);
}

static int write_bundle(mx_writer *w, const bundle *b) {
  return mx_safetensors_save(w, b->n, b->names, (mx_array *const *)b->arrays, b->nmeta, b->keys, (const char *const *)b->texts);
}

int mlx_save_safetensors(const char *file, const mlx_map_string_to_array param, const mlx_map_string_to_string metadata) {
  char *name;
  bundle b;
  mx_file_writer w;
  int rc = mx_full_name(&name, file, ".safetensors", "save_safetensors");
  if (rc) return MX_REPORT();
  rc = gather(&b, param, metadata);
  if (!rc && !(rc = mx_file_create(&w, name, "save_safetensors"))) {
    rc = write_bundle(&w.base, &b);
    int closed = mx_file_finish(&w);
    rc = rc ? rc : closed;
  }
  drop(&b);
  mx_free(name);
  return MX_STATUS(rc);
}

int mlx_save_safetensors_writer(mlx_io_writer in_stream, const mlx_map_string_to_array param, const mlx_map_string_to_string metadata) {
  own_writer w;
  bundle b;
  int rc = begin_writing(&w, in_stream.ctx, "save_safetensors");
  if (rc) return MX_REPORT();
  rc = gather(&b, param, metadata);
  if (!rc) rc = write_bundle(&w.base, &b);
  drop(&b);
  return MX_STATUS(rc);
}
