/* Devices and streams: handles over core's numbers. */
#include "mlx/c/device.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "capi/handles.h"
#include "mlx/c/stream.h"

/* Room for a result in *ctx: the box that is there, or a new one. NULL and a recorded error. */
static void *box(void **ctx, size_t size) {
  if (ctx && !*ctx) *ctx = mx_calloc(1, size);
  if (ctx && *ctx) return *ctx;
  if (ctx)
    mx_fail_memory();
  else
    mx_fail(MX_EVALUE, "no place for the result: the result pointer is NULL");
  return NULL;
}

static int refuse_null(const char *tag) { return MX_REFUSE(MX_EVALUE, "[%s] empty handle or no place for the result given", tag); }

int mx_put_device(mlx_device *res, mx_device d) {
  mx_device *b = box(res ? &res->ctx : NULL, sizeof d);
  if (!b) return mx_error_kind();
  *b = d;
  return 0;
}

int mx_put_stream(mlx_stream *res, mx_stream s) {
  mx_stream *b = box(res ? &res->ctx : NULL, sizeof s);
  if (!b) return mx_error_kind();
  *b = s;
  return 0;
}

static const mx_device *device_of(mlx_device h) { return h.ctx; }
static const mx_stream *stream_of(mlx_stream h) { return h.ctx; }
static const char *kind_name(mx_device_type t) { return t == MX_GPU ? "gpu" : "cpu"; }

/* ---- devices ---- */

mlx_device mlx_device_new(void) { return (mlx_device){NULL}; }

mlx_device mlx_device_new_type(mlx_device_type type, int index) {
  mlx_device d = {NULL};
  if (type != MLX_CPU && type != MLX_GPU)
    MX_REFUSE(MX_EVALUE, "[device] %d given, expected MLX_CPU or MLX_GPU", (int)type);
  else if (mx_put_device(&d, (mx_device){type == MLX_GPU ? MX_GPU : MX_CPU, index}))
    MX_REPORT();
  return d;
}

int mlx_device_free(mlx_device dev) {
  mx_free(dev.ctx);
  return 0;
}

int mlx_device_set(mlx_device *dev, const mlx_device src) {
  return src.ctx ? MX_STATUS(mx_put_device(dev, *device_of(src))) : refuse_null("device_set");
}

int mlx_device_tostring(mlx_string *str, mlx_device dev) {
  const mx_device *d = device_of(dev);
  char text[48];
  if (!d) return refuse_null("device_tostring");
  snprintf(text, sizeof text, "Device(%s, %d)", kind_name(d->type), d->index);
  return MX_STATUS(mx_put_string(str, text));
}

bool mlx_device_equal(mlx_device lhs, mlx_device rhs) {
  const mx_device *a = device_of(lhs), *b = device_of(rhs);
  return a && b ? a->type == b->type && a->index == b->index : a == b;
}

int mlx_device_get_index(int *index, mlx_device dev) {
  if (!index || !dev.ctx) return refuse_null("device_get_index");
  *index = device_of(dev)->index;
  return 0;
}

int mlx_device_get_type(mlx_device_type *type, mlx_device dev) {
  if (!type || !dev.ctx) return refuse_null("device_get_type");
  *type = device_of(dev)->type == MX_GPU ? MLX_GPU : MLX_CPU;
  return 0;
}

int mlx_get_default_device(mlx_device *dev) { return MX_STATUS(mx_put_device(dev, mx_default_device())); }

int mlx_set_default_device(mlx_device dev) {
  return dev.ctx ? MX_STATUS(mx_set_default_device(*device_of(dev))) : refuse_null("set_default_device");
}

int mlx_device_count(int *count, mlx_device_type type) {
  if (!count) return refuse_null("device_count");
  *count = mx_device_count(type == MLX_GPU ? MX_GPU : MX_CPU);
  return 0;
}

int mlx_device_is_available(bool *avail, mlx_device dev) {
  const mx_device *d = device_of(dev);
  if (!avail || !d) return refuse_null("device_is_available");
  *avail = d->index >= 0 && d->index < mx_device_count(d->type);
  return 0;
}

/* ---- facts about a device ---- */

typedef struct fact {
  const char *key;
  char text[128]; /* "" for a size */
  size_t size;
} fact;

typedef struct facts {
  int n;
  fact at[4];
} facts;

static void add_text(facts *f, const char *key, const char *text) {
  f->at[f->n].key = key;
  snprintf(f->at[f->n++].text, sizeof f->at[0].text, "%s", *text ? text : "unknown");
}

/* The processor's name as Linux knows it, else the architecture's. */
static void cpu_name(char *name, size_t size, const char *otherwise) {
  char line[256];
  snprintf(name, size, "%s", otherwise);
  FILE *f = fopen("/proc/cpuinfo", "re");
  while (f && fgets(line, sizeof line, f))
    if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
      const char *from = strchr(line, ':') + 1;
      from += strspn(from, " \t");
      snprintf(name, size, "%.*s", (int)strcspn(from, "\n"), from);
      break;
    }
  if (f) fclose(f);
}

mlx_device_info mlx_device_info_new(void) { return (mlx_device_info){NULL}; }

int mlx_device_info_get(mlx_device_info *info, mlx_device dev) {
  const mx_device *d = device_of(dev);
  facts f = {0};
  if (!info || !d) return refuse_null("device_info_get");
  if (d->type == MX_CPU) {
    struct utsname u;
    char name[128];
    if (uname(&u)) snprintf(u.machine, sizeof u.machine, "unknown");
    cpu_name(name, sizeof name, u.machine);
    add_text(&f, "device_name", name);
    add_text(&f, "architecture", u.machine);
  }
  facts *b = box(&info->ctx, sizeof f);
  if (!b) return MX_REPORT();
  *b = f;
  return 0;
}

int mlx_device_info_free(mlx_device_info info) {
  mx_free(info.ctx);
  return 0;
}

static fact *find(mlx_device_info info, const char *key) {
  facts *f = info.ctx;
  for (int i = 0; f && key && i < f->n; i++)
    if (!strcmp(f->at[i].key, key)) return &f->at[i];
  return NULL;
}

int mlx_device_info_has_key(bool *exists, mlx_device_info info, const char *key) {
  if (!exists || !info.ctx || !key) return refuse_null("device_info_has_key");
  *exists = find(info, key) != NULL;
  return 0;
}

int mlx_device_info_is_string(bool *is_string, mlx_device_info info, const char *key) {
  if (!is_string || !info.ctx || !key) return refuse_null("device_info_is_string");
  fact *f = find(info, key);
  if (!f) return 2;
  *is_string = *f->text != 0;
  return 0;
}

int mlx_device_info_get_string(const char **value, mlx_device_info info, const char *key) {
  if (!value || !info.ctx || !key) return refuse_null("device_info_get_string");
  fact *f = find(info, key);
  if (!f || !*f->text) return 2;
  *value = f->text;
  return 0;
}

int mlx_device_info_get_size(size_t *value, mlx_device_info info, const char *key) {
  if (!value || !info.ctx || !key) return refuse_null("device_info_get_size");
  fact *f = find(info, key);
  if (!f || *f->text) return 2;
  *value = f->size;
  return 0;
}

int mlx_device_info_get_keys(mlx_vector_string *keys, mlx_device_info info) {
  facts *f = info.ctx;
  const char *names[sizeof f->at / sizeof *f->at];
  if (!keys || !f) return refuse_null("device_info_get_keys");
  for (int i = 0; i < f->n; i++) names[i] = f->at[i].key;
  return mx_put_strings(keys, (size_t)f->n, names);
}

/* ---- streams ---- */

mlx_stream mlx_stream_new(void) { return (mlx_stream){NULL}; }

mlx_stream mlx_stream_new_device(mlx_device dev) {
  mlx_stream s = {NULL};
  mx_stream made;
  if (!dev.ctx)
    refuse_null("new_stream");
  else if (mx_stream_new(&made, *device_of(dev)) || mx_put_stream(&s, made))
    MX_REPORT();
  return s;
}

int mlx_stream_set(mlx_stream *stream, const mlx_stream src) {
  return src.ctx ? MX_STATUS(mx_put_stream(stream, *stream_of(src))) : refuse_null("stream_set");
}

int mlx_stream_free(mlx_stream stream) {
  mx_free(stream.ctx);
  return 0;
}

int mlx_stream_tostring(mlx_string *str, mlx_stream stream) {
  if (!stream.ctx) return refuse_null("stream_tostring");
  mx_device d = mx_stream_device(*stream_of(stream));
  char text[80];
  snprintf(text, sizeof text, "Stream(Device(%s, %d), %d)", kind_name(d.type), d.index, *stream_of(stream));
  return MX_STATUS(mx_put_string(str, text));
}

bool mlx_stream_equal(mlx_stream lhs, mlx_stream rhs) {
  const mx_stream *a = stream_of(lhs), *b = stream_of(rhs);
  return a && b ? *a == *b : a == b;
}

int mlx_stream_get_device(mlx_device *dev, mlx_stream stream) {
  return stream.ctx ? MX_STATUS(mx_put_device(dev, mx_stream_device(*stream_of(stream)))) : refuse_null("stream_get_device");
}

int mlx_stream_get_index(int *index, mlx_stream stream) {
  if (!index || !stream.ctx) return refuse_null("stream_get_index");
  *index = *stream_of(stream);
  return 0;
}

int mlx_get_default_stream(mlx_stream *stream, mlx_device dev) {
  mx_stream s;
  if (!dev.ctx) return refuse_null("get_default_stream");
  int rc = mx_default_stream_of(&s, *device_of(dev));
  return MX_STATUS(rc ? rc : mx_put_stream(stream, s));
}

int mlx_set_default_stream(mlx_stream stream) {
  return stream.ctx ? MX_STATUS(mx_set_default_stream(*stream_of(stream))) : refuse_null("set_default_stream");
}

static mlx_stream default_of(mx_device_type t) {
  mlx_stream h = {NULL};
  mx_stream s;
  if (mx_default_stream_of(&s, (mx_device){t, 0}) || mx_put_stream(&h, s)) MX_REPORT();
  return h;
}

mlx_stream mlx_default_cpu_stream_new(void) { return default_of(MX_CPU); }
mlx_stream mlx_default_gpu_stream_new(void) { return default_of(MX_GPU); }
