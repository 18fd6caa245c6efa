/* Groups and collectives. */
#include "capi/distributed.h"

#include "capi/handles.h"
#include "core/alloc.h"

/* *res = g, into the box that is there or a new one. Takes the reference, also when it fails. */
static int put_group(mlx_distributed_group *res, mx_group *g) {
  if (!res->ctx && !(res->ctx = mx_calloc(1, sizeof g))) {
    mx_object_release(&g->base);
    return mx_fail_memory();
  }
  mx_group *old = mx_group_of(*res);
  *(mx_group **)res->ctx = g;
  if (old) mx_object_release(&old->base);
  return 0;
}

mlx_distributed_group mlx_distributed_group_new(void) { return (mlx_distributed_group){NULL}; }

int mlx_distributed_group_free(mlx_distributed_group group) {
  if (mx_group_of(group)) mx_object_release(&mx_group_of(group)->base);
  mx_free(group.ctx);
  return 0;
}

int mlx_distributed_init(mlx_distributed_group *res, bool strict, const char *bk) {
  mx_group *g;
  if (!res) return MX_REFUSE(MX_EVALUE, "[distributed] no place for the result: NULL given");
  int rc = mx_group_init(&g, strict, bk);
  return MX_STATUS(rc ? rc : put_group(res, g));
}

static int refuse_empty(void) {
  MX_REFUSE(MX_EVALUE, "[distributed] empty group given, expected one from mlx_distributed_init");
  return -1;
}
int mlx_distributed_group_rank(mlx_distributed_group group) { return mx_group_of(group) ? mx_group_of(group)->rank : refuse_empty(); }
int mlx_distributed_group_size(mlx_distributed_group group) { return mx_group_of(group) ? mx_group_of(group)->size : refuse_empty(); }

int mlx_distributed_group_split(mlx_distributed_group *res, mlx_distributed_group group, int color, int key) {
  mx_group *part;
  if (!res || !mx_group_of(group)) return MX_REFUSE(MX_EVALUE, "[distributed] empty group or no place for the result given");
  int rc = mx_group_split(&part, mx_group_of(group), color, key);
  return MX_STATUS(rc ? rc : put_group(res, part));
}

bool mlx_distributed_is_available(const char *bk) { return mx_group_available(bk); }

static int collective(mlx_array *res, mlx_array x, mlx_distributed_group group, mlx_stream s, mx_collective f, const char *tag) {
  mx_capi c;
  mx_capi_begin(&c, tag, s);
  mx_array *a = mx_capi_in(&c, x, "x");
  return mx_capi_end(&c, res, a ? f(&c.scope, a, mx_group_of(group)) : NULL);
}
#define COLLECTIVE(name)                                                                                             \
  int mlx_distributed_##name(mlx_array *res, const mlx_array x, const mlx_distributed_group group, const mlx_stream s) { \
    return collective(res, x, group, s, mx_##name, #name);                                                           \
  }
COLLECTIVE(all_gather)
COLLECTIVE(all_max)
COLLECTIVE(all_min)
COLLECTIVE(all_sum)
COLLECTIVE(sum_scatter)

int mlx_distributed_send(mlx_array *res, const mlx_array x, int dst, const mlx_distributed_group group, const mlx_stream s) {
  mx_capi c;
  mx_capi_begin(&c, "send", s);
  mx_array *a = mx_capi_in(&c, x, "x");
  return mx_capi_end(&c, res, a ? mx_send(&c.scope, a, dst, mx_group_of(group)) : NULL);
}

int mlx_distributed_recv(mlx_array *res, const int *shape, size_t shape_num, mlx_dtype dtype, int src, const mlx_distributed_group group,
                         const mlx_stream s) {
  mx_capi c;
  mx_capi_begin(&c, "recv", s);
  mx_capi_need(&c, shape || !shape_num, "shape");
  mx_capi_dtype(&c, dtype, "dtype");
  return mx_capi_end(&c, res, c.scope.rc ? NULL : mx_recv(&c.scope, shape, shape_num, (mx_dtype)dtype, src, mx_group_of(group)));
}

int mlx_distributed_recv_like(mlx_array *res, const mlx_array x, int src, const mlx_distributed_group group, const mlx_stream s) {
  mx_capi c;
  mx_capi_begin(&c, "recv_like", s);
  mx_array *a = mx_capi_in(&c, x, "x");
  return mx_capi_end(&c, res, a ? mx_recv(&c.scope, a->shape, a->ndim, (mx_dtype)a->dtype, src, mx_group_of(group)) : NULL);
}
