/* Exported and imported functions: files around src/transforms/export.h, and functions with keyword arguments as closures. */
#include "mlx/c/export.h"

#include <string.h>

#include "capi/callback.h"
#include "core/map.h"
#include "io/io.h"
#include "mlx/c/export_extras.h"
#include "transforms/export.h"

/* ---- arguments ---- */

/* Positional arrays, then those with a keyword in rising order of these. */
typedef struct arguments {
  int npos, nkw;
  const char **keyword;
  mx_array **in;
} arguments;

static void arguments_free(arguments *a) {
  mx_free(a->keyword);
  mx_free(a->in);
}

static int arguments_of(arguments *a, mlx_vector_array args, const mlx_map_string_to_array *kwargs, const char *tag) {
  const mx_list *pos;
  *a = (arguments){0};
  int rc = mx_need_list(&pos, args, tag, "args");
  if (rc) return rc;
  const mx_map *m = kwargs ? kwargs->ctx : NULL;
  if (kwargs && !m) return mx_fail(MX_EVALUE, "[%s] empty map given for 'kwargs', expected one of arrays", tag);
  void **value = NULL;
  if (m && (rc = mx_map_in_order(m, &a->keyword, &value))) return rc;
  a->npos = pos->n;
  a->nkw = m ? m->n : 0;
  if (!(a->in = mx_malloc((size_t)(a->npos + a->nkw + 1) * sizeof *a->in))) {
    arguments_free(a);
    return mx_fail_memory();
  }
  for (int i = 0; i < a->npos; i++) a->in[i] = pos->at[i];
  for (int i = 0; i < a->nkw; i++) a->in[a->npos + i] = value[i];
  return 0;
}

/* ---- functions with keyword arguments as closures, for the arguments of one trace ---- */

typedef struct with_keywords {
  mx_callback *f;
  const arguments *a;
} with_keywords;

static int call_with_keywords(void *payload, int n, mx_array *const *in, mx_list *out) {
  const with_keywords *w = payload;
  (void)n;
  mx_list pos;
  mlx_map_string_to_array kwargs = mlx_map_string_to_array_new();
  int rc = kwargs.ctx ? 0 : 1;
  for (int i = 0; i < w->a->nkw && !rc; i++) {
    mx_array *x = in[w->a->npos + i];
    rc = mlx_map_string_to_array_insert(kwargs, w->a->keyword[i], (mlx_array){&x});
  }
  mlx_vector_array got = {NULL};
  mx_callback *f = w->f;
  if (rc) rc = mx_error_kind();
  else {
    rc = mlx_closure_kwargs_apply(&got, (mlx_closure_kwargs){&f}, MX_BORROWED(pos, w->a->npos, in), kwargs);
    rc = mx_callback_result(rc, got, NULL, out);
  }
  mlx_map_string_to_array_free(kwargs);
  return rc;
}

/* Adds a trace of f, or of kw. */
static int trace(mx_exports *e, mx_closure *f, mx_callback *kw, const arguments *a) {
  with_keywords w = {kw, a};
  mx_closure own = {.base = {.refs = 1}, .call = call_with_keywords, .payload = &w};
  return mx_exports_trace(e, f ? f : &own, a->npos, a->nkw, a->keyword, a->in);
}

/* ---- the exporter ---- */

typedef struct exporter {
  mx_exports traces;
  mx_closure *f;
  mx_callback *kw;
  mx_file_writer file;
  char name[];
} exporter;

static mlx_function_exporter exporter_new(const char *file, mx_closure *f, mx_callback *kw, bool shapeless, const char *metadata) {
  const mlx_function_exporter none = {NULL};
  if (!file || (!f && !kw)) return MX_REFUSE(MX_EVALUE, "[export_function] no name of a file or no function given"), none;
  size_t n = strlen(file) + 1;
  exporter *x = mx_calloc(1, sizeof *x + n);
  char *text = metadata ? mx_strdup(metadata) : NULL;
  int rc = x && (text || !metadata) ? 0 : mx_fail_memory();
  if (!rc) {
    memcpy(x->name, file, n);
    rc = mx_file_create(&x->file, x->name, "export_function");
  }
  if (rc) {
    mx_free(text);
    mx_free(x);
    MX_REPORT();
    return none;
  }
  x->traces.shapeless = shapeless;
  x->traces.metadata = text;
  x->f = f ? mx_object_retain(&f->base) : NULL;
  x->kw = kw ? mx_object_retain(&kw->base) : NULL;
  return (mlx_function_exporter){x};
}

mlx_function_exporter mlx_function_exporter_new(const char *file, const mlx_closure fun, bool shapeless) {
  return exporter_new(file, mx_closure_of(fun), NULL, shapeless, NULL);
}

mlx_function_exporter mlx_function_exporter_new_kwargs(const char *file, const mlx_closure_kwargs fun, bool shapeless,
                                                       const char *metadata) {
  return exporter_new(file, NULL, mx_callback_of(fun.ctx), shapeless, metadata);
}

static int write_bytes(void *to, const void *bytes, size_t n) {
  mx_writer *w = to;
  return w->write(w, bytes, n);
}

static void exporter_drop(exporter *x) {
  mx_exports_clear(&x->traces);
  if (x->f) mx_object_release(&x->f->base);
  if (x->kw) mx_object_release(&x->kw->base);
  mx_free(x);
}

int mlx_function_exporter_free(mlx_function_exporter xfunc) {
  exporter *x = xfunc.ctx;
  if (!x) return 0;
  int rc = mx_exports_write(&x->traces, &(mx_sink){write_bytes, &x->file.base});
  x->file.base.complete = !rc;
  int end = mx_file_finish(&x->file);
  exporter_drop(x);
  return MX_STATUS(rc ? rc : end);
}

static int exporter_apply(exporter *x, mlx_vector_array args, const mlx_map_string_to_array *kwargs) {
  arguments a;
  if (!x) return mx_fail(MX_EVALUE, "[export_function] empty exporter given");
  int rc = arguments_of(&a, args, kwargs, "export_function");
  if (!rc) rc = trace(&x->traces, x->f, x->kw, &a);
  arguments_free(&a);
  return rc;
}

int mlx_function_exporter_apply(const mlx_function_exporter xfunc, const mlx_vector_array args) {
  return MX_STATUS(exporter_apply(xfunc.ctx, args, NULL));
}

int mlx_function_exporter_apply_kwargs(const mlx_function_exporter xfunc, const mlx_vector_array args,
                                       const mlx_map_string_to_array kwargs) {
  return MX_STATUS(exporter_apply(xfunc.ctx, args, &kwargs));
}

int mlx_function_exporter_discard(mlx_function_exporter xfunc) {
  exporter *x = xfunc.ctx;
  if (!x) return 0;
  mx_file_finish(&x->file); /* incomplete: removed */
  exporter_drop(x);
  return 0;
}

/* One trace, and the file is written; after an error it stays as it was. */
static int export_one(mlx_function_exporter h, mlx_vector_array args, const mlx_map_string_to_array *kwargs) {
  if (!h.ctx) return 1;
  if (!exporter_apply(h.ctx, args, kwargs)) return mlx_function_exporter_free(h);
  MX_REPORT();
  mlx_function_exporter_discard(h);
  return 1;
}

int mlx_export_function(const char *file, const mlx_closure fun, const mlx_vector_array args, bool shapeless) {
  return export_one(mlx_function_exporter_new(file, fun, shapeless), args, NULL);
}

int mlx_export_function_kwargs(const char *file, const mlx_closure_kwargs fun, const mlx_vector_array args,
                               const mlx_map_string_to_array kwargs, bool shapeless) {
  return export_one(mlx_function_exporter_new_kwargs(file, fun, shapeless, NULL), args, &kwargs);
}

/* ---- traces told to a callback ---- */

typedef struct telling {
  int (*callback)(const mlx_export_step *, void *);
  void *payload;
} telling;

/* *to from room, which has what is needed. */
static void convert_values(mlx_export_value *to, const mx_export_value *from, int n, mx_array **box) {
  for (int i = 0; i < n; i++) {
    box[i] = from[i].constant;
    to[i] = (mlx_export_value){from[i].name, from[i].keyword, (mlx_dtype)from[i].dtype, (size_t)from[i].ndim, from[i].shape,
                               {box[i] ? &box[i] : NULL}};
  }
}

static int tell(void *payload, const mx_export_step *s) {
  const telling *t = payload;
  size_t n = (size_t)(s->nin + s->nout) + 1;
  mlx_export_value *v = mx_malloc(n * (sizeof *v + sizeof(mx_array *)));
  if (!v) return mx_fail_memory();
  mx_array **box = (mx_array **)(v + n);
  mlx_export_argument arg[MX_EXPORT_ARGUMENTS];
  convert_values(v, s->in, s->nin, box);
  convert_values(v + s->nin, s->out, s->nout, box + s->nin);
  for (int i = 0; i < s->narg; i++)
    arg[i] = (mlx_export_argument){(mlx_export_argument_kind)s->arg[i].kind, (size_t)s->arg[i].n, s->arg[i].at};
  mlx_export_step step = {(mlx_export_step_kind)s->kind, s->primitive, v, (size_t)s->nin, v + s->nin, (size_t)s->nout, arg, (size_t)s->narg};
  int rc = t->callback(&step, t->payload);
  mx_free(v);
  return rc ? mx_fail(MX_ECALLBACK, "[export_function] The callback returned a non-zero value") : 0;
}

int mlx_export_function_callback(int (*callback)(const mlx_export_step *, void *), void *payload, const mlx_closure_kwargs fun,
                                 const mlx_vector_array args, const mlx_map_string_to_array kwargs, bool shapeless) {
  if (!callback || !fun.ctx) return MX_REFUSE(MX_EVALUE, "[export_function] no callback or no function given");
  arguments a;
  mx_exports e = {.shapeless = shapeless};
  int rc = arguments_of(&a, args, &kwargs, "export_function");
  if (!rc) rc = trace(&e, NULL, mx_callback_of(fun.ctx), &a);
  if (!rc) rc = mx_exported_open(&e.at[0]);
  if (!rc) rc = mx_exported_tell(&e.at[0], tell, &(telling){callback, payload});
  mx_exports_clear(&e);
  arguments_free(&a);
  return MX_STATUS(rc);
}

/* ---- importing ---- */

static int read_bytes(void *from, void *bytes, size_t n, uint64_t at) { return mx_read(from, bytes, n, at, "import_function"); }

mlx_imported_function mlx_imported_function_new(const char *file) {
  mx_file_reader r;
  mx_exports *e = mx_calloc(1, sizeof *e);
  int rc = e ? 0 : mx_fail_memory();
  if (!rc && !file) rc = mx_fail(MX_EVALUE, "[import_function] NULL given for the file's name");
  if (!rc) rc = mx_file_open(&r, file, "import_function");
  if (!rc) {
    rc = mx_exports_read(e, &(mx_source){read_bytes, &r.base, file, r.base.size});
    mx_file_close(&r);
  }
  if (!rc) return (mlx_imported_function){e};
  MX_REPORT();
  mx_free(e);
  return (mlx_imported_function){NULL};
}

int mlx_imported_function_free(mlx_imported_function xfunc) {
  if (xfunc.ctx) mx_exports_clear(xfunc.ctx);
  mx_free(xfunc.ctx);
  return 0;
}

static int imported_apply(mlx_vector_array *res, const mx_exports *e, mlx_vector_array args, const mlx_map_string_to_array *kwargs) {
  if (!e) return MX_REFUSE(MX_EVALUE, "[import_function::call] empty function given");
  arguments a;
  mx_list out = {0};
  int rc = arguments_of(&a, args, kwargs, "import_function::call");
  if (!rc) rc = mx_exports_call(e, a.npos, a.nkw, a.keyword, a.in, &out);
  if (!rc) rc = mx_put_list(res, &out);
  mx_list_clear(&out);
  arguments_free(&a);
  return MX_STATUS(rc);
}

int mlx_imported_function_apply(mlx_vector_array *res, const mlx_imported_function xfunc, const mlx_vector_array args) {
  return imported_apply(res, xfunc.ctx, args, NULL);
}

int mlx_imported_function_apply_kwargs(mlx_vector_array *res, const mlx_imported_function xfunc, const mlx_vector_array args,
                                       const mlx_map_string_to_array kwargs) {
  return imported_apply(res, xfunc.ctx, args, &kwargs);
}

int mlx_imported_function_metadata(mlx_string *res, const mlx_imported_function xfunc) {
  const mx_exports *e = xfunc.ctx;
  if (!e || !res) return MX_REFUSE(MX_EVALUE, "[import_function] empty function or no place for the result given");
  return MX_STATUS(mx_put_string(res, e->metadata ? e->metadata : ""));
}
