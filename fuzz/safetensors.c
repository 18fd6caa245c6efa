/* Any bytes as a .safetensors file: arrays and text, or an error. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "fuzz.h"

static int take_tensor(void *bytes, const char *name, mx_array *a) {
  *(size_t *)bytes += mx_nbytes(a) + strlen(name);
  return 0;
}
static int take_text(void *bytes, const char *key, const char *value) {
  *(size_t *)bytes += strlen(key) + strlen(value);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mx_memory_reader r = mx_memory_reader_of(data, size);
  size_t bytes = 0;
  mx_error_clear();
  int rc = mx_safetensors_load(&r.base, 0, &(mx_safetensors_sink){&bytes, take_tensor, take_text});
  if (rc ? !mx_error_kind() : bytes > size) abort();
  return 0;
}

int mx_fuzz_seed(int i, mx_writer *w) {
  if (i > 1) return 1;
  mx_array *a = mx_array_empty(MX_F32, 2, (int32_t[]){2, 3}), *b = mx_array_empty(MX_U8, 0, NULL), *c = mx_array_empty(MX_I16, 1, (int32_t[]){0});
  int rc = 1;
  if (a && b && c) {
    memset(a->data, 1, mx_nbytes(a));
    memset(b->data, 1, mx_nbytes(b));
    const char *names[] = {"a", "b\"\\\n", "layers.0.weight"}, *keys[] = {"format", "who"}, *values[] = {"mlx", "\xc3\xa9\t"};
    rc = mx_safetensors_save(w, i ? 3 : 0, names, (mx_array *[]){a, b, c}, i ? 2 : 0, keys, values);
  }
  mx_release(a), mx_release(b), mx_release(c);
  return rc;
}
