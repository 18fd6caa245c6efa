/* Handles, strings, vectors, maps, closures, errors, devices: what mlx-c's functions promise. */
#include "capi_testing.h"

/* ---- strings ---- */

static void a_string_is_a_copy(void **state) {
  (void)state;
  char text[] = "one";
  mlx_string s = mlx_string_new_data(text);
  text[0] = 'X';
  assert_string_equal(mlx_string_data(s), "one");
  mlx_string_free(s);
}

static void setting_a_string_keeps_its_box(void **state) {
  (void)state;
  mlx_string a = mlx_string_new_data("a"), b = mlx_string_new_data("b"), copy = a;
  assert_ok(mlx_string_set(&a, b));
  assert_string_equal(mlx_string_data(copy), "b");
  mlx_string_free(a);
  mlx_string_free(b);
}

static void empty_strings_are_free_to_free_but_no_value(void **state) {
  (void)state;
  mlx_string s = mlx_string_new();
  assert_null(mlx_string_data(s));
  assert_int_equal(mlx_string_free(s), 0);
  assert_refused(mlx_string_set(&s, mlx_string_new()), "empty string");
}

/* ---- arrays ---- */

static void scalars_have_their_types(void **state) {
  (void)state;
  mlx_array all[] = {mlx_array_new_bool(true),   mlx_array_new_int(3),      mlx_array_new_float32(1), mlx_array_new_float(1),
                     mlx_array_new_float64(1), mlx_array_new_double(1), mlx_array_new_complex(1, 2)};
  mlx_dtype types[] = {MLX_BOOL, MLX_INT32, MLX_FLOAT32, MLX_FLOAT32, MLX_FLOAT64, MLX_FLOAT64, MLX_COMPLEX64};
  for (int i = 0; i < 7; i++) {
    assert_int_equal(mlx_array_dtype(all[i]), types[i]);
    assert_int_equal(mlx_array_ndim(all[i]), 0);
    assert_int_equal(mlx_array_size(all[i]), 1);
    mlx_array_free(all[i]);
  }
}

static void data_is_copied_and_described(void **state) {
  (void)state;
  int16_t v[] = {1, 2, 3, 4, 5, 6};
  mlx_array a = mlx_array_new_data(v, (int[]){2, 3}, 2, MLX_INT16);
  v[0] = 9;
  assert_int_equal(mlx_array_ndim(a), 2);
  assert_int_equal(mlx_array_shape(a)[0], 2);
  assert_int_equal(mlx_array_shape(a)[1], 3);
  assert_int_equal(mlx_array_dim(a, -1), 3);
  assert_int_equal(mlx_array_itemsize(a), 2);
  assert_int_equal(mlx_array_nbytes(a), 12);
  assert_int_equal((int64_t)mlx_array_strides(a)[0], 3);
  assert_int_equal((int64_t)mlx_array_strides(a)[1], 1);
  assert_int_equal(mlx_array_data_int16(a)[0], 1);
  assert_int_equal(mlx_array_data_uint8(a)[2], 2); /* the bytes of any array */
  mlx_array_free(a);
}

static void setting_an_array_keeps_its_box(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_int(1), copy = a;
  assert_ok(mlx_array_set_float32(&a, 2));
  assert_ptr_equal(a.ctx, copy.ctx);
  assert_int_equal(mlx_array_dtype(copy), MLX_FLOAT32);
  mlx_array empty = mlx_array_new();
  assert_ok(mlx_array_set(&empty, a));
  assert_non_null(empty.ctx);
  assert_ok(mlx_array_set(&a, a));
  assert_int_equal(mlx_array_data_float32(a)[0], 2);
  mlx_array_free(empty);
  mlx_array_free(a);
}

static void empty_arrays_are_no_values(void **state) {
  (void)state;
  mlx_array e = mlx_array_new(), a = mlx_array_empty;
  assert_null(e.ctx);
  assert_int_equal(mlx_array_free(e), 0);
  assert_refused(mlx_array_set(&a, e), "[array_set] empty array");
  assert_int_equal(mlx_array_size(e), 0);
  assert_non_null(strstr(heard, "[size] empty array"));
  assert_null(mlx_array_shape(e));
}

static void impossible_data_is_refused(void **state) {
  (void)state;
  float v[1] = {0};
  mlx_array a = mlx_array_new();
  assert_refused(mlx_array_set_data(&a, v, (int[]){-1}, 1, MLX_FLOAT32), "negative dimension");
  assert_refused(mlx_array_set_data(&a, v, NULL, 1, MLX_FLOAT32), "NULL given for the shape");
  assert_refused(mlx_array_set_data(&a, NULL, (int[]){1}, 1, MLX_FLOAT32), "NULL given for the data");
  assert_refused(mlx_array_set_data(&a, v, (int[]){1}, 1, (mlx_dtype)99), "expected a dtype");
  assert_refused(mlx_array_set_data(&a, v, (int[]){1}, -1, MLX_FLOAT32), "-1 dimensions");
  assert_refused(mlx_array_set_data(&a, v, (int[]){INT32_MAX, INT32_MAX, INT32_MAX}, 3, MLX_FLOAT32), "too large");
  assert_null(a.ctx);
  assert_int_equal(mlx_dtype_size((mlx_dtype)99), 0);
  assert_int_equal(mlx_dtype_size(MLX_COMPLEX64), 8);
}

static int freed;
static void note_freed(void *p) { freed += *(int *)p; }

static void managed_data_is_not_copied_and_freed_once(void **state) {
  (void)state;
  static int numbers[2] = {1, 2};
  freed = 0;
  mlx_array a = mlx_array_new_data_managed(numbers, (int[]){2}, 1, MLX_INT32, note_freed), b = mlx_array_new();
  assert_ptr_equal(mlx_array_data_int32(a), numbers);
  assert_ok(mlx_array_set(&b, a));
  mlx_array_free(a);
  assert_int_equal(freed, 0);
  mlx_array_free(b);
  assert_int_equal(freed, 1);
  int weight = 10;
  a = mlx_array_new_data_managed_payload(numbers, (int[]){2}, 1, MLX_INT32, &weight, note_freed);
  mlx_array_free(a);
  assert_int_equal(freed, 11);
  a = mlx_array_new_data_managed_payload(numbers, (int[]){-2}, 1, MLX_INT32, &weight, note_freed);
  assert_null(a.ctx);
  assert_int_equal(freed, 21); /* also when it fails */
}

/* ---- vectors ---- */

static void vectors_grow_and_give(void **state) {
  (void)state;
  mlx_vector_int v = mlx_vector_int_new();
  for (int i = 0; i < 100; i++) assert_ok(mlx_vector_int_append_value(v, i * i));
  int x;
  assert_int_equal(mlx_vector_int_size(v), 100);
  assert_ok(mlx_vector_int_get(&x, v, 99));
  assert_int_equal(x, 99 * 99);
  assert_refused(mlx_vector_int_get(&x, v, 100), "out of bounds");
  mlx_vector_int w = mlx_vector_int_new();
  assert_ok(mlx_vector_int_set(&w, v));
  assert_ok(mlx_vector_int_set(&w, w));
  assert_int_equal(mlx_vector_int_size(w), 100);
  mlx_vector_int_free(v);
  mlx_vector_int_free(w);
}

static void vectors_of_arrays_share_arrays(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_int(7), out = mlx_array_new();
  mlx_vector_array v = mlx_vector_array_new_data((mlx_array[]){a, a}, 2);
  mlx_array_free(a);
  assert_ok(mlx_vector_array_get(&out, v, 1));
  assert_int_equal(mlx_array_data_int32(out)[0], 7);
  assert_refused(mlx_vector_array_append_value(v, mlx_array_new()), "empty array");
  assert_refused(mlx_vector_array_get(&out, v, 2), "out of bounds");
  assert_ok(mlx_vector_array_set_value(&v, out));
  assert_int_equal(mlx_vector_array_size(v), 1);
  mlx_array_free(out);
  mlx_vector_array_free(v);
}

static void vectors_of_vectors_copy_the_vectors(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_int(1);
  mlx_vector_array inner = mlx_vector_array_new_value(a), got = mlx_vector_array_new();
  mlx_vector_vector_array v = mlx_vector_vector_array_new_value(inner), w = {NULL};
  assert_ok(mlx_vector_array_append_value(inner, a));
  assert_ok(mlx_vector_vector_array_append_value(v, inner));
  assert_ok(mlx_vector_vector_array_set(&w, v));
  mlx_vector_vector_array_free(v);
  assert_int_equal(mlx_vector_vector_array_size(w), 2);
  assert_ok(mlx_vector_vector_array_get(&got, w, 0));
  assert_int_equal(mlx_vector_array_size(got), 1);
  assert_ok(mlx_vector_vector_array_get(&got, w, 1));
  assert_int_equal(mlx_vector_array_size(got), 2);
  mlx_vector_vector_array_free(w);
  mlx_vector_array_free(inner);
  mlx_vector_array_free(got);
  mlx_array_free(a);
}

static void vectors_of_strings_copy_text(void **state) {
  (void)state;
  const char *words[] = {"a", "b"};
  mlx_vector_string v = mlx_vector_string_new_data(words, 2);
  char *got;
  assert_ok(mlx_vector_string_get(&got, v, 1));
  assert_string_equal(got, "b");
  assert_refused(mlx_vector_string_append_value(v, NULL), "NULL given");
  mlx_vector_string_free(v);
}

static void empty_vectors_are_no_values(void **state) {
  (void)state;
  mlx_vector_array v = {NULL};
  assert_int_equal(mlx_vector_array_free(v), 0);
  assert_int_equal(mlx_vector_array_size(v), 0);
  assert_non_null(strstr(heard, "empty vector"));
  assert_refused(mlx_vector_array_set(&v, v), "empty vector");
}

/* ---- maps ---- */

static void maps_find_replace_and_walk(void **state) {
  (void)state;
  mlx_map_string_to_array m = mlx_map_string_to_array_new();
  char key[16];
  for (int i = 0; i < 1000; i++) {
    mlx_array a = mlx_array_new_int(i);
    snprintf(key, sizeof key, "k%d", i % 500); /* every key twice */
    assert_ok(mlx_map_string_to_array_insert(m, key, a));
    mlx_array_free(a);
  }
  mlx_array v = mlx_array_new();
  assert_ok(mlx_map_string_to_array_get(&v, m, "k7"));
  assert_int_equal(mlx_array_data_int32(v)[0], 507);

  heard[0] = 0;
  assert_int_equal(mlx_map_string_to_array_get(&v, m, "absent"), 2);
  assert_string_equal(heard, "");

  mlx_map_string_to_array copy = mlx_map_string_to_array_new();
  assert_ok(mlx_map_string_to_array_set(&copy, m));
  mlx_map_string_to_array_free(m);
  mlx_map_string_to_array_iterator it = mlx_map_string_to_array_iterator_new(copy);
  int n = 0, sum = 0, rc;
  const char *k;
  while ((rc = mlx_map_string_to_array_iterator_next(&k, &v, it)) == 0) {
    assert_int_equal(k[0], 'k');
    sum += mlx_array_data_int32(v)[0];
    n++;
  }
  assert_int_equal(rc, 2);
  assert_string_equal(heard, "");
  assert_int_equal(n, 500);
  assert_int_equal(sum, (500 + 999) * 500 / 2);
  mlx_map_string_to_array_iterator_free(it);
  mlx_map_string_to_array_free(copy);
  mlx_array_free(v);
}

static void maps_of_strings(void **state) {
  (void)state;
  mlx_map_string_to_string m = mlx_map_string_to_string_new(), copy = {NULL};
  const char *v;
  assert_ok(mlx_map_string_to_string_insert(m, "format", "mlx"));
  assert_ok(mlx_map_string_to_string_set(&copy, m));
  assert_ok(mlx_map_string_to_string_insert(m, "format", "npy"));
  assert_ok(mlx_map_string_to_string_get(&v, m, "format"));
  assert_string_equal(v, "npy");
  assert_ok(mlx_map_string_to_string_get(&v, copy, "format"));
  assert_string_equal(v, "mlx");
  assert_int_equal(mlx_map_string_to_string_get(&v, m, ""), 2);
  assert_refused(mlx_map_string_to_string_insert(m, NULL, "x"), "NULL key");
  assert_refused(mlx_map_string_to_string_insert(m, "x", NULL), "NULL given");
  mlx_map_string_to_string_free(m);
  mlx_map_string_to_string_free(copy);
}

/* ---- closures ---- */

static int echo(mlx_vector_array *res, const mlx_vector_array in) {
  assert_null(res->ctx); /* arrives empty */
  return mlx_vector_array_set(res, in);
}
static int refuse(mlx_vector_array *res, const mlx_vector_array in) {
  (void)res, (void)in;
  mlx_error("I do not like %d arrays", (int)mlx_vector_array_size(in));
  return 5;
}
static int first_of(mlx_vector_array *res, const mlx_vector_array in, void *payload) {
  mlx_array a = mlx_array_new();
  int rc = mlx_vector_array_get(&a, in, *(size_t *)payload);
  if (!rc) rc = mlx_vector_array_set_value(res, a);
  mlx_array_free(a);
  return rc;
}
static int itself(mlx_array *res, const mlx_array x) { return mlx_array_set(res, x); }
static int payloads_freed;
static void free_payload(void *p) {
  (void)p;
  payloads_freed++;
}

static void closures_call_and_free_their_payload_once(void **state) {
  (void)state;
  size_t which = 1;
  payloads_freed = 0;
  mlx_closure f = mlx_closure_new_func_payload(first_of, &which, free_payload), g = mlx_closure_new();
  assert_ok(mlx_closure_set(&g, f));
  mlx_array a = mlx_array_new_int(1), b = mlx_array_new_int(2), got = mlx_array_new();
  mlx_vector_array in = mlx_vector_array_new_data((mlx_array[]){a, b}, 2), out = {NULL};
  mlx_closure_free(f);
  assert_int_equal(payloads_freed, 0);
  assert_ok(mlx_closure_apply(&out, g, in));
  assert_ok(mlx_vector_array_get(&got, out, 0));
  assert_int_equal(mlx_array_data_int32(got)[0], 2);
  mlx_closure_free(g);
  assert_int_equal(payloads_freed, 1);

  mlx_closure h = mlx_closure_new_func(echo);
  assert_ok(mlx_closure_apply(&in, h, in)); /* the result may be the input */
  assert_int_equal(mlx_vector_array_size(in), 2);
  mlx_closure_free(h);

  mlx_closure u = mlx_closure_new_unary(itself);
  assert_refused(mlx_closure_apply(&out, u, in), "unary closure was given 2 arrays");
  assert_ok(mlx_vector_array_set_value(&in, a));
  assert_ok(mlx_closure_apply(&out, u, in));
  mlx_closure_free(u);
  mlx_vector_array_free(in);
  mlx_vector_array_free(out);
  mlx_array_free(a), mlx_array_free(b), mlx_array_free(got);
}

static void a_closure_that_fails_is_an_error(void **state) {
  (void)state;
  mlx_closure f = mlx_closure_new_func(refuse);
  mlx_vector_array in = mlx_vector_array_new(), out = {NULL};
  heard_count = 0;
  assert_refused(mlx_closure_apply(&out, f, in), "mlx_closure returned a non-zero value at ");
  assert_int_equal(heard_count, 2); /* the closure's own error came first */
  assert_refused(mlx_closure_apply(&out, mlx_closure_new(), in), "empty closure");
  assert_refused(mlx_closure_apply(&out, f, (mlx_vector_array){NULL}), "empty vector");
  mlx_closure_free(f);
  mlx_closure_free(mlx_closure_new());
  mlx_vector_array_free(in);
}

static int kwargs_fun(mlx_vector_array *res, const mlx_vector_array in, const mlx_map_string_to_array named) {
  mlx_array a = mlx_array_new();
  int rc = mlx_map_string_to_array_get(&a, named, "x");
  if (!rc) rc = mlx_vector_array_set(res, in);
  if (!rc) rc = mlx_vector_array_append_value(*res, a);
  mlx_array_free(a);
  return rc;
}
static int jvp_fun(mlx_vector_array *res, const mlx_vector_array primals, const mlx_vector_array tangents, const int *argnums,
                   size_t n, void *payload) {
  (void)primals;
  *(int *)payload = n == 1 ? argnums[0] : -1;
  return mlx_vector_array_set(res, tangents);
}
static int vmap_fun(mlx_vector_array *res, mlx_vector_int *axes, const mlx_vector_array in, const int *in_axes, size_t n) {
  int rc = mlx_vector_array_set(res, in);
  return rc ? rc : mlx_vector_int_set_data(axes, (int *)in_axes, n);
}
static int two_results(mlx_vector_array *a, mlx_vector_array *b, const mlx_vector_array in) {
  int rc = mlx_vector_array_set(a, in);
  return rc ? rc : mlx_vector_array_set(b, in);
}
static int vjp_fun(mlx_vector_array *res, const mlx_vector_array primals, const mlx_vector_array cotangents,
                   const mlx_vector_array outputs) {
  (void)primals, (void)outputs;
  return mlx_vector_array_set(res, cotangents);
}

static void the_other_closures_pass_everything_on(void **state) {
  (void)state;
  mlx_array a = mlx_array_new_int(1), b = mlx_array_new_int(2);
  mlx_vector_array in = mlx_vector_array_new_value(a), other = mlx_vector_array_new_value(b), x = {NULL}, y = {NULL};
  mlx_map_string_to_array named = mlx_map_string_to_array_new();
  assert_ok(mlx_map_string_to_array_insert(named, "x", b));

  mlx_closure_kwargs k = mlx_closure_kwargs_new_func(kwargs_fun);
  assert_ok(mlx_closure_kwargs_apply(&x, k, in, named));
  assert_int_equal(mlx_vector_array_size(x), 2);
  mlx_closure_kwargs_free(k);

  int seen = 0;
  mlx_closure_custom_jvp j = mlx_closure_custom_jvp_new_func_payload(jvp_fun, &seen, NULL), j2 = mlx_closure_custom_jvp_new();
  assert_ok(mlx_closure_custom_jvp_set(&j2, j));
  mlx_closure_custom_jvp_free(j);
  assert_ok(mlx_closure_custom_jvp_apply(&x, j2, in, other, (int[]){3}, 1));
  assert_int_equal(seen, 3);
  mlx_closure_custom_jvp_free(j2);

  mlx_closure_custom_vmap m = mlx_closure_custom_vmap_new_func(vmap_fun);
  mlx_vector_int axes = {NULL};
  int axis = 0;
  assert_ok(mlx_closure_custom_vmap_apply(&x, &axes, m, in, (int[]){-1}, 1));
  assert_ok(mlx_vector_int_get(&axis, axes, 0));
  assert_int_equal(axis, -1);
  mlx_closure_custom_vmap_free(m);
  mlx_vector_int_free(axes);

  mlx_closure_value_and_grad g = mlx_closure_value_and_grad_new_func(two_results);
  assert_ok(mlx_closure_value_and_grad_apply(&x, &y, g, in));
  assert_int_equal(mlx_vector_array_size(y), 1);
  mlx_closure_value_and_grad_free(g);

  mlx_closure_custom c = mlx_closure_custom_new_func(vjp_fun);
  assert_ok(mlx_closure_custom_apply(&x, c, in, other, in));
  mlx_closure_custom_free(c);
  assert_refused(mlx_closure_custom_apply(&x, mlx_closure_custom_new(), in, other, in), "empty closure");

  mlx_vector_array_free(in), mlx_vector_array_free(other), mlx_vector_array_free(x), mlx_vector_array_free(y);
  mlx_map_string_to_array_free(named);
  mlx_array_free(a), mlx_array_free(b);
}

/* ---- errors ---- */

static void a_message_names_its_place(void **state) {
  (void)state;
  heard[0] = 0;
  mlx_error("bad %s", "luck"); /* this line */
  char expected[64];
  snprintf(expected, sizeof expected, "bad luck at capi_types_test.c:%d", __LINE__ - 2);
  assert_string_equal(heard, expected);
  assert_string_equal(mlx_last_error(), "bad luck");
}

static int handlers_gone;
static void count_gone(void *data) { handlers_gone += *(int *)data; }

static void replacing_a_handler_frees_its_data(void **state) {
  (void)state;
  int weight = 3;
  handlers_gone = 0;
  mlx_set_error_handler(hear, &weight, count_gone);
  assert_int_equal(handlers_gone, 0);
  mlx_set_error_handler(NULL, NULL, NULL); /* the default: keeps the message, prints nothing, goes on */
  assert_int_equal(handlers_gone, 3);
  heard[0] = 0;
  mlx_error("unheard");
  assert_string_equal(heard, "");
  assert_string_equal(mlx_last_error(), "unheard");
  mlx_set_error_handler(hear, NULL, NULL);
}

/* ---- devices and streams ---- */

static void devices_compare_and_print(void **state) {
  (void)state;
  mlx_device cpu = mlx_device_new_type(MLX_CPU, 0), d = mlx_device_new();
  mlx_string text = mlx_string_new();
  int index = -1, count = -1;
  bool there = false;
  mlx_device_type type;
  assert_ok(mlx_get_default_device(&d));
  assert_true(mlx_device_equal(cpu, d));
  assert_false(mlx_device_equal(cpu, mlx_device_new()));
  assert_ok(mlx_device_tostring(&text, d));
  assert_string_equal(mlx_string_data(text), "Device(cpu, 0)");
  assert_ok(mlx_device_get_index(&index, d));
  assert_ok(mlx_device_get_type(&type, d));
  assert_ok(mlx_device_count(&count, MLX_CPU));
  assert_ok(mlx_device_is_available(&there, cpu));
  assert_int_equal(index, 0);
  assert_int_equal(type, MLX_CPU);
  assert_int_equal(count, 1);
  assert_true(there);
  assert_ok(mlx_set_default_device(cpu));
  assert_refused(mlx_set_default_device(mlx_device_new()), "empty handle");
  mlx_device far = mlx_device_new_type(MLX_CPU, 7);
  assert_ok(mlx_device_is_available(&there, far));
  assert_false(there);
  assert_refused(mlx_set_default_device(far), "");
  mlx_device_free(far), mlx_device_free(cpu), mlx_device_free(d);
  mlx_string_free(text);
}

static void device_facts_are_found_by_name(void **state) {
  (void)state;
  mlx_device cpu = mlx_device_new_type(MLX_CPU, 0);
  mlx_device_info info = mlx_device_info_new();
  mlx_vector_string keys = mlx_vector_string_new();
  const char *name;
  size_t size;
  bool flag;
  assert_ok(mlx_device_info_get(&info, cpu));
  assert_ok(mlx_device_info_get_string(&name, info, "architecture"));
  assert_true(strlen(name) > 0);
  assert_ok(mlx_device_info_is_string(&flag, info, "device_name"));
  assert_true(flag);
  assert_ok(mlx_device_info_has_key(&flag, info, "absent"));
  assert_false(flag);
  heard[0] = 0;
  assert_int_equal(mlx_device_info_get_string(&name, info, "absent"), 2);
  assert_int_equal(mlx_device_info_get_size(&size, info, "architecture"), 2); /* another type */
  assert_string_equal(heard, "");
  assert_ok(mlx_device_info_get_keys(&keys, info));
  assert_int_equal(mlx_vector_string_size(keys), 2);
  mlx_vector_string_free(keys);
  mlx_device_info_free(info);
  mlx_device_free(cpu);
}

static void streams_compare_and_print(void **state) {
  (void)state;
  mlx_device cpu = mlx_device_new_type(MLX_CPU, 0), d = mlx_device_new();
  mlx_stream a = mlx_default_cpu_stream_new(), b = mlx_stream_new_device(cpu), c = mlx_stream_new();
  mlx_string text = mlx_string_new();
  int i = -1, j = -1;
  assert_false(mlx_stream_equal(a, b));
  assert_false(mlx_stream_equal(a, c));
  assert_ok(mlx_stream_set(&c, b));
  assert_true(mlx_stream_equal(b, c));
  assert_ok(mlx_stream_get_index(&i, a));
  assert_ok(mlx_stream_get_index(&j, b));
  assert_int_not_equal(i, j);
  assert_ok(mlx_stream_get_device(&d, b));
  assert_true(mlx_device_equal(d, cpu));
  assert_ok(mlx_stream_tostring(&text, a));
  assert_string_equal(mlx_string_data(text), "Stream(Device(cpu, 0), 0)");
  assert_ok(mlx_set_default_stream(b));
  assert_ok(mlx_get_default_stream(&c, cpu));
  assert_true(mlx_stream_equal(b, c));
  assert_ok(mlx_set_default_stream(a));
  assert_null(mlx_default_gpu_stream_new().ctx);
  assert_refused(mlx_set_default_stream(mlx_stream_new()), "empty handle");
  mlx_stream_free(a), mlx_stream_free(b), mlx_stream_free(c);
  mlx_device_free(cpu), mlx_device_free(d);
  mlx_string_free(text);
}

/* ---- memory and version ---- */

static void memory_is_counted(void **state) {
  (void)state;
  size_t before, during, peak, old, now;
  assert_ok(mlx_get_active_memory(&before));
  static float zeros[1 << 16];
  mlx_array a = mlx_array_new_data(zeros, (int[]){1 << 16}, 1, MLX_FLOAT32);
  assert_ok(mlx_get_active_memory(&during));
  assert_true(during >= before + sizeof zeros);
  assert_ok(mlx_get_peak_memory(&peak));
  assert_true(peak >= during);
  mlx_array_free(a);
  assert_ok(mlx_get_active_memory(&now));
  assert_int_equal(now, before);
  assert_ok(mlx_clear_cache());
  assert_ok(mlx_get_cache_memory(&now));
  assert_int_equal(now, 0);
  assert_ok(mlx_get_memory_limit(&old));
  assert_ok(mlx_set_memory_limit(&now, old));
  assert_int_equal(now, old);
  assert_ok(mlx_set_cache_limit(&old, 1 << 20));
  assert_ok(mlx_set_cache_limit(&now, old));
  assert_int_equal(now, 1 << 20);
  assert_ok(mlx_reset_peak_memory());
  assert_refused(mlx_get_active_memory(NULL), "NULL given");
}

static void the_version_is_the_mlx_offered(void **state) {
  (void)state;
  mlx_string v = mlx_string_new();
  bool metal = true;
  assert_ok(mlx_version(&v));
  assert_string_equal(mlx_string_data(v), "0.32.4");
  assert_ok(mlx_metal_is_available(&metal));
  assert_false(metal);
  mlx_string_free(v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_string_is_a_copy),
      cmocka_unit_test(setting_a_string_keeps_its_box),
      cmocka_unit_test(empty_strings_are_free_to_free_but_no_value),
      cmocka_unit_test(scalars_have_their_types),
      cmocka_unit_test(data_is_copied_and_described),
      cmocka_unit_test(setting_an_array_keeps_its_box),
      cmocka_unit_test(empty_arrays_are_no_values),
      cmocka_unit_test(impossible_data_is_refused),
      cmocka_unit_test(managed_data_is_not_copied_and_freed_once),
      cmocka_unit_test(vectors_grow_and_give),
      cmocka_unit_test(vectors_of_arrays_share_arrays),
      cmocka_unit_test(vectors_of_vectors_copy_the_vectors),
      cmocka_unit_test(vectors_of_strings_copy_text),
      cmocka_unit_test(empty_vectors_are_no_values),
      cmocka_unit_test(maps_find_replace_and_walk),
      cmocka_unit_test(maps_of_strings),
      cmocka_unit_test(closures_call_and_free_their_payload_once),
      cmocka_unit_test(a_closure_that_fails_is_an_error),
      cmocka_unit_test(the_other_closures_pass_everything_on),
      cmocka_unit_test(a_message_names_its_place),
      cmocka_unit_test(replacing_a_handler_frees_its_data),
      cmocka_unit_test(devices_compare_and_print),
      cmocka_unit_test(device_facts_are_found_by_name),
      cmocka_unit_test(streams_compare_and_print),
      cmocka_unit_test(memory_is_counted),
      cmocka_unit_test(the_version_is_the_mlx_offered),
  };
  return cmocka_run_group_tests(tests, listen_to_errors, NULL);
}
