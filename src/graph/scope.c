/* Scopes: owners of the temporaries of a formula. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "graph/graph.h"

int mx_scope_end(mx_scope *s) {
  for (int i = 0; i < s->n; i++) mx_release(s->own[i]);
  if (s->own != s->small) mx_free(s->own);
  s->n = 0;
  s->own = s->small;
  return s->rc;
}

mx_array *mx_scope_result(mx_scope *s, mx_array *a) {
  if (s->rc) a = NULL;
  else if (a && s->n && s->own[s->n - 1] == a) s->n--; /* the usual case: its reference is handed on */
  else mx_retain(a);
  mx_scope_end(s);
  return a;
}

static int grow(mx_scope *s) {
  int cap = 2 * s->cap;
  mx_array **own = mx_malloc((size_t)cap * sizeof *own);
  if (!own) return mx_fail_memory();
  memcpy(own, s->own, (size_t)s->n * sizeof *own);
  if (s->own != s->small) mx_free(s->own);
  s->own = own;
  s->cap = cap;
  return 0;
}

mx_array *mx_own_slowly(mx_scope *s, mx_array *a) {
  if (!a) return mx_scope_error(s, mx_error_kind());
  int rc = s->n == s->cap ? grow(s) : 0;
  if (rc) {
    mx_release(a);
    return mx_scope_error(s, rc);
  }
  return s->own[s->n++] = a;
}

mx_array *mx_scope_error(mx_scope *s, int rc) {
  if (!s->rc) s->rc = rc ? rc : MX_ERUNTIME;
  return NULL;
}

mx_array *mx_scope_fail(mx_scope *s, int kind, const char *fmt, ...) {
  if (s->rc) return NULL; /* the first error is the one that is told */
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  s->rc = mx_fail(kind, "%s", text);
  return NULL;
}
