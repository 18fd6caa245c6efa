/* What a .gguf file holds: the handle, and files with it. The format itself: tests/python/test_gguf.py. */
#include <stdlib.h>
#include <unistd.h>

#include "capi_testing.h"

static void arrays_and_metadata_come_back_from_a_file(void **state) {
  (void)state;
  char name[] = "/tmp/cmlx-gguf-XXXXXX";
  close(mkstemp(name));
  char file[64];
  snprintf(file, sizeof file, "%s.gguf", name);
  mlx_stream s = mlx_default_cpu_stream_new();
  mlx_io_gguf g = mlx_io_gguf_new(), back = {NULL};
  mlx_array a = FLOATS(1, 2, 3), n = mlx_array_new_int(7), got = {NULL};
  const char *words[] = {"one", "", "three"};
  mlx_vector_string w = mlx_vector_string_new_data(words, 3), read = {NULL};
  mlx_string text = {NULL};
  assert_ok(mlx_add(&a, a, a, s)); /* evaluated when it is saved */
  assert_ok(mlx_io_gguf_set_array(g, "a", a));
  assert_ok(mlx_io_gguf_set_metadata_array(g, "n", n));
  assert_ok(mlx_io_gguf_set_metadata_string(g, "t", "text"));
  assert_ok(mlx_io_gguf_set_metadata_vector_string(g, "w", w));
  assert_ok(mlx_save_gguf(name, g)); /* adds the ending */
  assert_ok(mlx_load_gguf(&back, file, s));
  assert_ok(mlx_io_gguf_get_array(&got, back, "a"));
  assert_memory_equal(mlx_array_data_float32(got), ((float[]){2, 4, 6}), 12);
  assert_ok(mlx_io_gguf_get_metadata_array(&got, back, "n"));
  int v;
  assert_ok(mlx_array_item_int32(&v, got));
  assert_int_equal(v, 7);
  assert_ok(mlx_io_gguf_get_metadata_string(&text, back, "t"));
  assert_string_equal(mlx_string_data(text), "text");
  assert_ok(mlx_io_gguf_get_metadata_vector_string(&read, back, "w"));
  assert_int_equal(mlx_vector_string_size(read), 3);
  char *word;
  assert_ok(mlx_vector_string_get(&word, read, 2));
  assert_string_equal(word, "three");
  assert_ok(mlx_io_gguf_get_keys(&read, back));
  assert_int_equal(mlx_vector_string_size(read), 1);
  assert_ok(mlx_io_gguf_get_metadata_keys(&read, back));
  assert_int_equal(mlx_vector_string_size(read), 3);
  unlink(name), unlink(file);
  mlx_io_gguf_free(g), mlx_io_gguf_free(back), mlx_io_gguf_free((mlx_io_gguf){NULL});
  mlx_array_free(a), mlx_array_free(n), mlx_array_free(got);
  mlx_vector_string_free(w), mlx_vector_string_free(read), mlx_string_free(text), mlx_stream_free(s);
}

static void a_key_has_one_kind_and_the_last_value(void **state) {
  (void)state;
  mlx_io_gguf g = mlx_io_gguf_new();
  mlx_string text = {NULL};
  mlx_array got = {NULL};
  mlx_vector_string none = mlx_vector_string_new();
  bool is;
  assert_ok(mlx_io_gguf_set_metadata_string(g, "k", "first"));
  assert_ok(mlx_io_gguf_set_metadata_string(g, "k", "second"));
  assert_ok(mlx_io_gguf_get_metadata_string(&text, g, "k"));
  assert_string_equal(mlx_string_data(text), "second");
  assert_refused(mlx_io_gguf_get_metadata_array(&got, g, "k"), "'k' are a text, expected numbers");
  assert_ok(mlx_io_gguf_set_metadata_vector_string(g, "k", none));
  assert_ok(mlx_io_gguf_has_metadata_vector_string(&is, g, "k"));
  assert_true(is);
  assert_ok(mlx_io_gguf_has_metadata_string(&is, g, "k"));
  assert_false(is);
  assert_ok(mlx_io_gguf_has_metadata_array(&is, g, "other"));
  assert_false(is);
  mlx_io_gguf_free(g), mlx_string_free(text), mlx_array_free(got), mlx_vector_string_free(none);
}

static void what_is_not_there_is_refused(void **state) {
  (void)state;
  mlx_stream s = mlx_default_cpu_stream_new();
  mlx_io_gguf g = mlx_io_gguf_new(), none = {NULL};
  mlx_array a = {NULL};
  bool is;
  assert_refused(mlx_io_gguf_get_array(&a, g, "x"), "no array 'x'");
  assert_refused(mlx_io_gguf_get_metadata_array(&a, g, "x"), "no metadata 'x'");
  assert_refused(mlx_io_gguf_get_array(&a, none, "x"), "empty handle");
  assert_refused(mlx_io_gguf_get_array(NULL, g, "x"), "NULL");
  assert_refused(mlx_io_gguf_has_metadata_array(&is, g, NULL), "NULL");
  assert_refused(mlx_io_gguf_set_array(g, "x", a), "empty handle");
  assert_refused(mlx_io_gguf_set_metadata_string(g, "x", NULL), "NULL");
  assert_refused(mlx_load_gguf(&g, "/no/such/file.gguf", s), "[load_gguf] Failed to open");
  assert_refused(mlx_load_gguf(NULL, "x", s), "NULL");
  assert_refused(mlx_save_gguf("/no/such/folder/x", g), "[save_gguf] Failed to open");
  assert_refused(mlx_save_gguf("x", none), "empty handle");
  a = mlx_array_new_bool(true);
  assert_ok(mlx_io_gguf_set_array(g, "flag", a));
  assert_refused(mlx_save_gguf("/tmp/cmlx-never-written", g), "[save_gguf] dtype bool is not supported: 'flag'");
  assert_int_not_equal(access("/tmp/cmlx-never-written.gguf", F_OK), 0);
  mlx_io_gguf_free(g), mlx_array_free(a), mlx_stream_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arrays_and_metadata_come_back_from_a_file),
      cmocka_unit_test(a_key_has_one_kind_and_the_last_value),
      cmocka_unit_test(what_is_not_there_is_refused),
  };
  return cmocka_run_group_tests(tests, listen_to_errors, NULL);
}
