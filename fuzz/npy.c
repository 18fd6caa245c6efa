/* Any bytes as an .npy file: an array or an error. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mx_memory_reader r = mx_memory_reader_of(data, size);
  mx_array *a = NULL;
  uint64_t end = 0;
  if (mx_npy_load(&r.base, 0, &end, &a)) {
    if (a || !mx_error_kind()) abort();
    return 0;
  }
  if (end > size || mx_nbytes(a) > size) abort();
  mx_release(a);
  return 0;
}

int mx_fuzz_seed(int i, mx_writer *w) {
  static const struct { mx_dtype t; int ndim; int32_t shape[3]; } seeds[] = {
      {MX_F32, 2, {3, 4}}, {MX_BF16, 1, {5}}, {MX_C64, 3, {2, 1, 3}}, {MX_BOOL, 0, {0}}, {MX_I64, 2, {0, 7}}};
  if (i >= (int)(sizeof seeds / sizeof *seeds)) return 1;
  mx_array *a = mx_array_empty(seeds[i].t, seeds[i].ndim, seeds[i].shape);
  if (!a) return 1;
  memset(a->data, 1, mx_nbytes(a));
  int rc = mx_npy_save(w, a);
  mx_release(a);
  return rc;
}
