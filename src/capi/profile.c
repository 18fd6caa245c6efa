/* Profiles, the trace and the check for NaN. A profile's handle is the profile itself, with the rows last asked for. */
#include "mlx/c/profile.h"

#include "capi/handles.h"
#include "runtime/profile.h"

typedef struct seen {
  mx_profile *p;
  const mx_profile_row *rows;
  int n;
} seen;

/* The profile of a handle, or an error. */
static int need(seen **s, mlx_profile h) {
  *s = h.ctx;
  return h.ctx ? 0 : mx_fail(MX_EVALUE, "[profile] An empty handle was given, expected a profile.");
}

mlx_profile mlx_profile_new(void) {
  seen *s = mx_calloc(1, sizeof *s);
  if (!s) mx_fail_memory();
  else if (!(s->p = mx_profile_new())) mx_free(s), s = NULL;
  if (!s) MX_REPORT();
  return (mlx_profile){s};
}

int mlx_profile_free(mlx_profile profile) {
  seen *s = profile.ctx;
  if (s) mx_profile_free(s->p);
  mx_free(s);
  return 0;
}

int mlx_profile_start(mlx_profile profile) {
  seen *s;
  if (need(&s, profile)) return MX_REPORT();
  s->n = 0;
  mx_profile_start(s->p);
  return 0;
}

int mlx_profile_stop(mlx_profile profile) {
  seen *s;
  if (need(&s, profile)) return MX_REPORT();
  mx_profile_stop(s->p);
  return 0;
}

static int no_place(const void *res) { return res ? 0 : mx_fail(MX_EVALUE, "[profile] no place for the result: NULL given"); }

int mlx_profile_num_rows(size_t *res, mlx_profile profile) {
  seen *s;
  if (need(&s, profile) || no_place(res) || mx_profile_rows(s->p, &s->rows, &s->n)) return MX_REPORT();
  *res = (size_t)s->n;
  return 0;
}

int mlx_profile_get_row(mlx_profile_row *res, mlx_profile profile, size_t i) {
  seen *s;
  if (need(&s, profile) || no_place(res)) return MX_REPORT();
  if (i >= (size_t)s->n) return MX_REFUSE(MX_EINDEX, "[profile] Row %zu was asked for, there are %d.", i, s->n);
  const mx_profile_row *r = &s->rows[i];
  *res = (mlx_profile_row){r->name, r->calls, r->seconds, r->read, r->written, r->flops};
  return 0;
}

int mlx_profile_seconds(double *res, mlx_profile profile) {
  seen *s;
  if (need(&s, profile) || no_place(res)) return MX_REPORT();
  *res = mx_profile_seconds(s->p);
  return 0;
}

int mlx_profile_table(mlx_string *res, mlx_profile profile) {
  seen *s;
  char *text = NULL;
  int rc = need(&s, profile);
  if (!rc) s->n = 0; /* the rows are sorted anew */
  if (!rc) rc = mx_profile_table(s->p, &text);
  if (!rc) rc = mx_put_string(res, text);
  mx_free(text);
  return MX_STATUS(rc);
}

int mlx_trace_start(const char *file) {
  if (!file || !*file) return MX_REFUSE(MX_EVALUE, "[trace] The name of a file is needed.");
  return MX_STATUS(mx_trace_start(file));
}

int mlx_trace_flush(void) { return MX_STATUS(mx_trace_flush()); }
int mlx_trace_stop(void) { return MX_STATUS(mx_trace_stop()); }

int mlx_set_debug_nans(bool nan, bool inf) {
  mx_set_debug_nans(nan, inf);
  return 0;
}

int mlx_get_debug_nans(bool *nan, bool *inf) {
  if (no_place(nan) || no_place(inf)) return MX_REPORT();
  uint32_t w = mx_watched();
  *nan = w & MX_WATCH_NAN;
  *inf = w & MX_WATCH_INF;
  return 0;
}
