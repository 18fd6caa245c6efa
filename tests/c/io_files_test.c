/* Files under src/io: replaced whole or not at all, read with any allocation failing; and safetensors that cannot be. The formats as such:
 * io_test.c. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/alloc.h"
#include "core/error.h"
#include "io/io.h"

static char folder[] = "/tmp/cmlx-io-XXXXXX";
static char *path(const char *name) {
  static char text[2][sizeof folder + 256];
  static int at;
  at ^= 1;
  snprintf(text[at], sizeof *text, "%s/%s", folder, name);
  return text[at];
}

#define ok(call)                                                       \
  do {                                                                 \
    mx_error_clear();                                                  \
    if (call) fail_msg("%s fails: %s", #call, mx_error_message());     \
  } while (0)
#define refused(call, kind, phrase)                                                                             \
  do {                                                                                                          \
    assert_int_equal(call, kind);                                                                               \
    if (!strstr(mx_error_message(), phrase)) fail_msg("'%s' does not contain '%s'", mx_error_message(), phrase); \
  } while (0)

static int save_npy(const char *name, const mx_array *a) {
  mx_file_writer w;
  int rc = mx_file_create(&w, name, "save");
  if (rc) return rc;
  rc = mx_npy_save(&w.base, a);
  int end = mx_file_finish(&w);
  return rc ? rc : end;
}

static int load_npy(const char *name, mx_array **a) {
  mx_file_reader r;
  uint64_t end;
  int rc = mx_file_open(&r, name, "load");
  if (rc) return rc;
  rc = mx_npy_load(&r.base, 0, &end, a);
  mx_file_close(&r);
  return rc;
}

static void put(const char *name, const void *bytes, size_t n) {
  FILE *f = fopen(name, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  fclose(f);
}

static int files_in_folder(void) {
  DIR *d = opendir(folder);
  int n = -2; /* . and .. */
  while (readdir(d)) n++;
  closedir(d);
  return n;
}

/* ---- files ---- */

static void a_file_is_replaced_only_when_the_new_one_is_complete(void **state) {
  (void)state;
  mx_array *a = mx_array_from_data(MX_U8, 1, (int32_t[]){3}, "abc"), *b = NULL;
  ok(save_npy(path("keep.npy"), a));
  assert_int_equal(chmod(path("keep.npy"), 0640), 0);
  int before = files_in_folder();
  mx_file_writer w;
  ok(mx_file_create(&w, path("keep.npy"), "save"));
  ok(w.base.write(&w.base, "half a", 6));
  mx_file_finish(&w); /* nothing said that this was all */
  assert_int_equal(files_in_folder(), before);
  ok(load_npy(path("keep.npy"), &b));
  assert_memory_equal(b->data, "abc", 3);
  ok(save_npy(path("keep.npy"), a));
  struct stat st;
  assert_int_equal(stat(path("keep.npy"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0640);
  assert_int_equal(files_in_folder(), before);
  mx_release(a), mx_release(b);
}

static void a_link_stays_a_link_and_a_device_a_device(void **state) {
  (void)state;
  mx_array *a = mx_array_from_data(MX_U8, 1, (int32_t[]){3}, "abc"), *b = NULL;
  ok(save_npy(path("target.npy"), a));
  assert_int_equal(symlink(path("target.npy"), path("link.npy")), 0);
  ok(save_npy(path("link.npy"), a));
  struct stat st;
  assert_int_equal(lstat(path("link.npy"), &st), 0);
  assert_true(S_ISLNK(st.st_mode));
  ok(load_npy(path("target.npy"), &b));
  ok(save_npy("/dev/null", a));
  assert_int_equal(stat("/dev/null", &st), 0);
  assert_true(S_ISCHR(st.st_mode));
  refused(save_npy(path("no/such/folder.npy"), a), MX_ERUNTIME, "[save] Failed to open file");
  mx_release(a), mx_release(b);
}

/* ---- safetensors ---- */

typedef struct seen {
  int tensors, texts;
  char names[256];
  mx_array *last;
} seen;

static int see_tensor(void *to, const char *name, mx_array *a) {
  seen *s = to;
  s->tensors++;
  strncat(s->names, name, sizeof s->names - strlen(s->names) - 2);
  strcat(s->names, ";");
  mx_set(&s->last, mx_retain(a));
  return 0;
}
static int see_text(void *to, const char *key, const char *value) {
  seen *s = to;
  s->texts++;
  strncat(s->names, key, sizeof s->names - strlen(s->names) - 2);
  strncat(s->names, value, sizeof s->names - strlen(s->names) - 2);
  return 0;
}

static int load_st(const char *name, seen *s) {
  mx_file_reader r;
  *s = (seen){0};
  int rc = mx_file_open(&r, name, "load_safetensors");
  if (rc) return rc;
  rc = mx_safetensors_load(&r.base, 0, &(mx_safetensors_sink){s, see_tensor, see_text});
  mx_file_close(&r);
  return rc;
}

static void safetensors_come_back(void **state) {
  (void)state;
  mx_array *a = mx_array_from_data(MX_F32, 2, (int32_t[]){1, 2}, (float[]){1, 2}), *b = mx_array_int(MX_BF16, 3);
  const char *names[] = {"a", "b\"\n\xc3\xa9"}, *keys[] = {"k"}, *values[] = {"v\\"};
  mx_file_writer w;
  ok(mx_file_create(&w, path("x.safetensors"), "save_safetensors"));
  ok(mx_safetensors_save(&w.base, 2, names, (mx_array *[]){a, b}, 1, keys, values));
  ok(mx_file_finish(&w));
  seen s;
  ok(load_st(path("x.safetensors"), &s));
  assert_string_equal(s.names, "kv\\a;b\"\n\xc3\xa9;");
  assert_int_equal(s.last->dtype, MX_BF16);
  assert_memory_equal(s.last->data, b->data, 2);
  mx_set(&s.last, NULL);
  mx_release(a), mx_release(b);
  a = mx_array_float(MX_F64, 1);
  ok(mx_file_create(&w, path("y.safetensors"), "save_safetensors"));
  refused(mx_safetensors_save(&w.base, 1, names, &a, 0, NULL, NULL), MX_ERUNTIME, "invalid dtype");
  mx_file_finish(&w);
  assert_int_not_equal(access(path("y.safetensors"), F_OK), 0);
  mx_release(a);
}

static void put_st(const char *name, uint64_t length, const char *json) {
  char text[512];
  size_t n = strlen(json);
  if (length == 0) length = n;
  memcpy(text, &length, 8);
  memcpy(text + 8, json, n);
  memset(text + 8 + n, 0, 8);
  put(name, text, 8 + n + 8);
}

static void safetensors_that_cannot_be_are_refused(void **state) {
  (void)state;
#define TENSOR(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
  static const char *const cases[][2] = {
      {"{\"a\":" TENSOR("F32", "[2]", "[0,4]") "}", "needs 8 bytes"},
      {"{\"a\":" TENSOR("F32", "[4]", "[0,16]") "}", "exceeding the size"},
      {"{\"a\":" TENSOR("F32", "[2]", "[8,0]") "}", "Tensor 'a' invalid data offsets (8, 0) in /"},
      {"{\"a\":" TENSOR("F32", "[2]", "[18446744073709551612,18446744073709551620]") "}", "[load_safetensors]"},
      {"{\"a\":" TENSOR("F32", "[2147483647,2147483647,2147483647]", "[0,8]") "}", "invalid data offsets"},
      {"{\"a\":" TENSOR("F32", "[-2]", "[0,8]") "}", "shape"},
      {"{\"a\":" TENSOR("F32", "[2e0]", "[0,8]") "}", "[load_safetensors]"},
      {"{\"a\":" TENSOR("F99", "[2]", "[0,8]") "}", "unsupported dtype F99"},
      {"{\"a\":" TENSOR("U8", "[8]", "[0,8]") ",\"b\":" TENSOR("U8", "[8]", "[0,8]") "}", "overlaps"},
      {"{\"a\":" TENSOR("U8", "[4]", "[2,6]") ",\"e\":" TENSOR("U8", "[0]", "[3,3]") ",\"b\":" TENSOR("U8", "[4]", "[0,4]") "}",
       "Tensor 'a' invalid data offsets (2, 6)"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "tensor 'a': it lacks data_offsets"},
      {"{} more", "something follows"},
      {"{\"__metadata__\":{\"a\":1}}", "string"},
      {"{\"a\":", "json"},
      {"[]", "json"},
      {"{\"a\\u0000\":1}", "string"},
      {"{\"a\":{\"dtype\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "json"},
  };
  seen s;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put_st(path("z.safetensors"), 0, cases[i][0]);
    refused(load_st(path("z.safetensors"), &s), MX_ERUNTIME, cases[i][1]);
    mx_set(&s.last, NULL);
  }
  static const uint64_t lengths[] = {1ull << 20, 1ull << 40, UINT64_MAX, UINT64_MAX - 7};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    put_st(path("z.safetensors"), lengths[i], "{}");
    refused(load_st(path("z.safetensors"), &s), MX_ERUNTIME, "header length");
  }
  put(path("z.safetensors"), "abc", 3);
  refused(load_st(path("z.safetensors"), &s), MX_ERUNTIME, "[load_safetensors]");
}

static void loading_survives_the_failure_of_any_allocation(void **state) {
  (void)state;
  mx_array *a = mx_array_from_data(MX_F32, 1, (int32_t[]){2}, (float[]){1, 2}), *b = NULL;
  const char *name = "a", *key = "k", *value = "v";
  for (int64_t n = 0, done = 0; !done && n < 200; n++) {
    mx_file_writer w;
    seen s = {0};
    mx_alloc_fail_after(n);
    int rc = mx_file_create(&w, path("m.safetensors"), "save_safetensors");
    if (!rc) {
      rc = mx_safetensors_save(&w.base, 1, &name, &a, 1, &key, &value);
      int end = mx_file_finish(&w);
      rc = rc ? rc : end;
    }
    if (!rc) rc = load_st(path("m.safetensors"), &s);
    if (!rc) rc = save_npy(path("m.npy"), a);
    if (!rc) rc = load_npy(path("m.npy"), &b);
    mx_alloc_fail_after(-1);
    done = !rc && s.tensors && b;
    mx_set(&s.last, NULL);
    mx_set(&b, NULL);
    assert_true(n < 199);
  }
  mx_release(a);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : 1;
}
static int remove_folder(void **state) {
  (void)state;
  DIR *d = opendir(folder);
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] != '.') unlink(path(e->d_name));
  closedir(d);
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_is_replaced_only_when_the_new_one_is_complete),
      cmocka_unit_test(a_link_stays_a_link_and_a_device_a_device),
      cmocka_unit_test(safetensors_come_back),
      cmocka_unit_test(safetensors_that_cannot_be_are_refused),
      cmocka_unit_test(loading_survives_the_failure_of_any_allocation),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
