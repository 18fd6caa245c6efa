/* Strings: copies of text. The box owns the text, so that setting keeps the handle. */
#include "mlx/c/string.h"

#include "capi/handles.h"
#include "core/version.h"
#include "mlx/c/version.h"

typedef struct mx_string {
  char *text;
} mx_string;

int mx_put_string(mlx_string *res, const char *text) {
  if (!res) return mx_fail(MX_EVALUE, "no place for the result: the result pointer is NULL");
  char *copy = mx_strdup(text);
  if (!copy) return mx_fail_memory();
  mx_string *box = res->ctx;
  if (!box) {
    box = mx_malloc(sizeof *box);
    if (!box) {
      mx_free(copy);
      return mx_fail_memory();
    }
    res->ctx = box;
  } else {
    mx_free(box->text);
  }
  box->text = copy;
  return 0;
}

mlx_string mlx_string_new(void) { return (mlx_string){NULL}; }

mlx_string mlx_string_new_data(const char *str) {
  mlx_string s = {NULL};
  if (!str)
    MX_REFUSE(MX_EVALUE, "[string] NULL given, expected text");
  else if (mx_put_string(&s, str))
    MX_REPORT();
  return s;
}

int mlx_string_set(mlx_string *str, const mlx_string src) {
  if (!src.ctx) return MX_REFUSE(MX_EVALUE, "[string_set] empty string given, expected text");
  return MX_STATUS(mx_put_string(str, ((mx_string *)src.ctx)->text));
}

const char *mlx_string_data(mlx_string str) { return str.ctx ? ((mx_string *)str.ctx)->text : NULL; }

int mlx_string_free(mlx_string str) {
  if (str.ctx) {
    mx_free(((mx_string *)str.ctx)->text);
    mx_free(str.ctx);
  }
  return 0;
}

int mlx_version(mlx_string *str_) { return MX_STATUS(mx_put_string(str_, mx_mlx_version())); }
