/* Maps from strings to arrays and to strings. */
#include "core/map.h"

#include <string.h>

#include "capi/handles.h"
#include "mlx/c/map.h"

/* ---- to arrays ---- */

static void *copy_array(mlx_array v) {
  mx_array *a = mx_array_of(v);
  if (!a) mx_fail(MX_EVALUE, "[map_string_to_array] empty array given, expected a value");
  return mx_retain(a);
}
static int give_array(mlx_array *out, void *p) { return mx_put(out, mx_retain(p)); }

#define MAP mlx_map_string_to_array
#define ITER mlx_map_string_to_array_iterator
#define F(name) mlx_map_string_to_array_##name
#define TAG "map_string_to_array"
#define VALUE const mlx_array
#define OUT mlx_array
#define COPY copy_array
#define AGAIN(p) ((mlx_array){&(p)})
#define DROP mx_release
#define GIVE give_array
#include "capi/map.inc.h"

/* ---- to strings ---- */

static void *copy_text(const char *v) {
  char *copy = v ? mx_strdup(v) : NULL;
  if (!v)
    mx_fail(MX_EVALUE, "[map_string_to_string] NULL given, expected text");
  else if (!copy)
    mx_fail_memory();
  return copy;
}
static int give_text(const char **out, void *p) {
  *out = p;
  return 0;
}

#define MAP mlx_map_string_to_string
#define ITER mlx_map_string_to_string_iterator
#define F(name) mlx_map_string_to_string_##name
#define TAG "map_string_to_string"
#define VALUE const char *
#define OUT const char *
#define COPY copy_text
#define AGAIN(p) (p)
#define DROP mx_free
#define GIVE give_text
#include "capi/map.inc.h"
