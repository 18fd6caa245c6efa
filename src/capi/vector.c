/* Vectors of arrays, of vectors of arrays, of ints and of strings. */
#include "mlx/c/vector.h"

#include <limits.h>
#include <string.h>

#include "capi/handles.h"

/* Room for one more item. */
#define GROW(b)                                                                 \
  ((b)->n < (b)->cap || grow((void **)&(b)->at, &(b)->cap, sizeof *(b)->at))
static bool grow(void **at, int *cap, size_t item) {
  int more = *cap ? (*cap > INT_MAX / 2 ? INT_MAX : *cap * 2) : 4;
  void *p = mx_realloc(*at, (size_t)more * item);
  if (!p) return false;
  *at = p;
  *cap = more;
  return true;
}

/* ---- arrays ---- */

int mx_copy_list(mx_list *to, const mx_list *from) {
  int rc = 0;
  *to = (mx_list){0};
  for (int i = 0; !rc && i < from->n; i++) rc = mx_list_push(to, from->at[i]);
  if (rc) mx_list_clear(to);
  return rc;
}

static int push_array(mx_list *b, mlx_array v) {
  mx_array *a = mx_array_of(v);
  return a ? mx_list_push(b, a) : mx_fail(MX_EVALUE, "[vector_array] empty array given, expected a value");
}
static int get_array(mlx_array *res, mx_list *b, size_t i) { return mx_put(res, mx_retain(b->at[i])); }

#define VEC mlx_vector_array
#define F(name) mlx_vector_array_##name
#define TAG "vector_array"
#define BOX mx_list
#define DATA const mlx_array *
#define VALUE const mlx_array
#define PUSH push_array
#define CLEAR mx_list_clear
#define GET get_array
#define RES mlx_array
#include "capi/vector.inc.h"

int mlx_vector_array_set(mlx_vector_array *vec, const mlx_vector_array src) {
  const mx_list *from;
  mx_list copy;
  int rc = mx_need_list(&from, src, "vector_array_set", "src");
  if (!rc) rc = mx_copy_list(&copy, from);
  return MX_STATUS(rc ? rc : mx_put_list(vec, &copy));
}

/* ---- vectors of arrays ---- */

typedef struct list_box {
  mx_list *at;
  int n, cap;
} list_box;

static int push_list(list_box *b, mlx_vector_array v) {
  if (!v.ctx) return mx_fail(MX_EVALUE, "[vector_vector_array] empty vector given, expected a vector of arrays");
  if (!GROW(b)) return mx_fail_memory();
  int rc = mx_copy_list(&b->at[b->n], mx_list_of(v));
  if (!rc) b->n++;
  return rc;
}
static void clear_lists(list_box *b) {
  for (int i = 0; i < b->n; i++) mx_list_clear(&b->at[i]);
  mx_free(b->at);
  *b = (list_box){0};
}
static int get_list(mlx_vector_array *res, list_box *b, size_t i) {
  mx_list copy;
  int rc = mx_copy_list(&copy, &b->at[i]);
  return rc ? rc : mx_put_list(res, &copy);
}

#define VEC mlx_vector_vector_array
#define F(name) mlx_vector_vector_array_##name
#define TAG "vector_vector_array"
#define BOX list_box
#define DATA const mlx_vector_array *
#define VALUE const mlx_vector_array
#define PUSH push_list
#define CLEAR clear_lists
#define GET get_list
#define RES mlx_vector_array
#include "capi/vector.inc.h"

int mlx_vector_vector_array_set(mlx_vector_vector_array *vec, const mlx_vector_vector_array src) {
  list_box *from = src.ctx, copy = {0};
  int rc = 0;
  if (!from || !vec)
    return MX_REFUSE(MX_EVALUE, "[vector_vector_array_set] empty vector or no place for the result given");
  for (int i = 0; !rc && i < from->n; i++) rc = push_list(&copy, (mlx_vector_array){&from->at[i]});
  if (!rc && !vec->ctx && !(vec->ctx = mx_calloc(1, sizeof copy))) rc = mx_fail_memory();
  if (!rc) {
    list_box old = *(list_box *)vec->ctx;
    *(list_box *)vec->ctx = copy;
    copy = old;
  }
  clear_lists(&copy);
  return MX_STATUS(rc);
}

/* ---- ints ---- */

typedef struct int_box {
  int *at;
  int n, cap;
} int_box;

static int push_int(int_box *b, int v) {
  if (!GROW(b)) return mx_fail_memory();
  b->at[b->n++] = v;
  return 0;
}
static void clear_ints(int_box *b) {
  mx_free(b->at);
  *b = (int_box){0};
}
static int get_int(int *res, int_box *b, size_t i) {
  *res = b->at[i];
  return 0;
}

#define VEC mlx_vector_int
#define F(name) mlx_vector_int_##name
#define TAG "vector_int"
#define BOX int_box
#define DATA int *
#define VALUE int
#define PUSH push_int
#define CLEAR clear_ints
#define GET get_int
#define RES int
#include "capi/vector.inc.h"

int mlx_vector_int_set(mlx_vector_int *vec, const mlx_vector_int src) {
  int_box *from = src.ctx;
  if (!from) return MX_REFUSE(MX_EVALUE, "[vector_int_set] empty vector given, expected a value");
  return mlx_vector_int_set_data(vec, from->at, (size_t)from->n);
}

/* ---- strings ---- */

typedef struct text_box {
  char **at;
  int n, cap;
} text_box;

static int push_text(text_box *b, const char *v) {
  if (!v) return mx_fail(MX_EVALUE, "[vector_string] NULL given, expected text");
  char *copy = mx_strdup(v);
  if (!copy || !GROW(b)) {
    mx_free(copy);
    return mx_fail_memory();
  }
  b->at[b->n++] = copy;
  return 0;
}
static void clear_texts(text_box *b) {
  for (int i = 0; i < b->n; i++) mx_free(b->at[i]);
  mx_free(b->at);
  *b = (text_box){0};
}
static int get_text(char **res, text_box *b, size_t i) {
  *res = b->at[i];
  return 0;
}

#define VEC mlx_vector_string
#define F(name) mlx_vector_string_##name
#define TAG "vector_string"
#define BOX text_box
#define DATA const char **
#define VALUE const char *
#define PUSH push_text
#define CLEAR clear_texts
#define GET get_text
#define RES char *
#include "capi/vector.inc.h"

int mlx_vector_string_set(mlx_vector_string *vec, const mlx_vector_string src) {
  text_box *from = src.ctx;
  if (!from) return MX_REFUSE(MX_EVALUE, "[vector_string_set] empty vector given, expected a value");
  return mlx_vector_string_set_data(vec, (const char **)from->at, (size_t)from->n);
}

int mx_put_strings(mlx_vector_string *res, size_t n, const char *const *text) {
  return mlx_vector_string_set_data(res, (const char **)text, n);
}
