/* Any bytes as a .gguf file: arrays and metadata, or an error. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "fuzz.h"
#include "io/gguf.h"

static int take_array(void *bytes, const char *name, mx_array *a) {
  *(size_t *)bytes += mx_nbytes(a) + strlen(name);
  return 0;
}
static int take_text(void *bytes, const char *key, const char *text) {
  *(size_t *)bytes += strlen(key) + strlen(text);
  return 0;
}
static int take_texts(void *bytes, const char *key, int n, const char *const *texts) {
  *(size_t *)bytes += strlen(key);
  for (int i = 0; i < n; i++) *(size_t *)bytes += strlen(texts[i]);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mx_memory_reader r = mx_memory_reader_of(data, size);
  size_t bytes = 0;
  mx_error_clear();
  int rc = mx_gguf_load(&r.base, &(mx_gguf_sink){&bytes, take_array, take_array, take_text, take_texts});
  if (rc ? !mx_error_kind() : bytes > 7 * size) abort(); /* 84 bytes of Q2_K are 512 of f16; names of quantized tensors come three times */
  return 0;
}

/* A tensor of every type that is read, each of one block. */
static int write_all_types(mx_writer *w) {
  uint8_t b[8192] = "GGUF\3", *p = b + 24;
  uint64_t at = 0;
  for (uint32_t id = 0; id < 64; id++) {
    const mx_gguf_type *t = mx_gguf_type_of(id);
    if (!t) continue;
    b[8]++;
    *p = 8; /* the length of the name */
    p += 8;
    memcpy(p, "t.weight", 8);
    p += 8;
    *p = 1; /* dimensions */
    p += 4;
    memcpy(p, &(uint64_t){t->block}, 8);
    memcpy(p + 8, &id, 4);
    memcpy(p + 12, &at, 8);
    p += 20;
    at += (t->bytes + 31u) / 32 * 32;
  }
  size_t header = ((size_t)(p - b) + 31) / 32 * 32;
  memset(b + header, 0x35, at);
  return header + at > sizeof b || w->write(w, b, header + at);
}

int mx_fuzz_seed(int i, mx_writer *w) {
  if (i == 2) return write_all_types(w);
  if (i > 2) return 1;
  mx_array *a = mx_array_empty(MX_F32, 2, (int32_t[]){2, 3}), *b = mx_array_empty(MX_I8, 0, NULL), *c = mx_array_empty(MX_U32, 0, NULL);
  int rc = 1;
  if (a && b && c) {
    memset(a->data, 1, mx_nbytes(a));
    memset(b->data, 1, 1);
    *(uint32_t *)c->data = 64;
    const char *names[] = {"a", "layers.0.weight"}, *texts[] = {"", "two", "\xc3\xa9"};
    mx_gguf_meta meta[] = {{"general.alignment", c, NULL, NULL, 0}, {"who", NULL, "us", NULL, 0}, {"words", NULL, NULL, texts, 3}};
    rc = mx_gguf_save(w, i ? 2 : 0, names, (mx_array *[]){a, b}, i ? 3 : 0, meta);
  }
  mx_release(a), mx_release(b), mx_release(c);
  return rc;
}
