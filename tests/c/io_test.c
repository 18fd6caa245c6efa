/* Saving and loading: what was saved comes back, through files and the caller's own streams; hostile files are errors. */
#include "capi_testing.h"

#include <stdlib.h>
#include <unistd.h>

#include "mlx/c/io.h"
#include "mlx/c/ops.h"
#include "mlx/c/transforms.h"

static mlx_stream cpu;

static int begin(void **state) {
  cpu = mlx_default_cpu_stream_new();
  return listen_to_errors(state);
}
static int end(void **state) {
  (void)state;
  return mlx_stream_free(cpu);
}

/* ---- a file in memory, behind a vtable ---- */

typedef struct memory {
  char *at;
  size_t size, cap, pos;
  bool good;
  int freed;
} memory;

static bool is_open(void *d) { return d != NULL; }
static bool good(void *d) { return ((memory *)d)->good; }
static size_t tell(void *d) { return ((memory *)d)->pos; }
static void seek(void *d, int64_t off, int whence) {
  memory *m = d;
  m->pos = (size_t)(off + (int64_t)(whence == SEEK_SET ? 0 : whence == SEEK_CUR ? m->pos : m->size));
}
static void read_at(void *d, char *to, size_t n, size_t off) {
  memory *m = d;
  m->good = off <= m->size && n <= m->size - off;
  if (m->good) memcpy(to, m->at + off, n);
}
static void read_on(void *d, char *to, size_t n) {
  memory *m = d;
  read_at(d, to, n, m->pos);
  m->pos += n;
}
static void write_on(void *d, const char *from, size_t n) {
  memory *m = d;
  if (m->pos + n > m->cap) m->at = realloc(m->at, m->cap = (m->pos + n) * 2);
  memcpy(m->at + m->pos, from, n);
  m->pos += n;
  if (m->pos > m->size) m->size = m->pos;
}
static const char *label(void *d) {
  (void)d;
  return "memory";
}
static void note_free(void *d) { ((memory *)d)->freed++; }

static mlx_io_vtable table(void) {
  return (mlx_io_vtable){is_open, good, tell, seek, read_on, read_at, write_on, label, note_free};
}

/* What a function that takes a writer writes. */
static memory written(int (*save)(mlx_io_writer, void *), void *what) {
  memory m = {.good = true};
  mlx_io_writer w = mlx_io_writer_new(&m, table());
  assert_ok(save(w, what));
  mlx_io_writer_free(w);
  assert_int_equal(m.freed, 1);
  m.freed = 0;
  m.pos = 0;
  return m;
}
static int save_npy(mlx_io_writer w, void *a) { return mlx_save_writer(w, *(mlx_array *)a); }

typedef struct two_maps {
  mlx_map_string_to_array arrays;
  mlx_map_string_to_string meta;
} two_maps;
static int save_maps(mlx_io_writer w, void *maps) {
  return mlx_save_safetensors_writer(w, ((two_maps *)maps)->arrays, ((two_maps *)maps)->meta);
}

static bool same(mlx_array a, mlx_array b) {
  mlx_array r = mlx_array_new();
  bool equal = false;
  assert_int_equal(mlx_array_dtype(a), mlx_array_dtype(b));
  assert_ok(mlx_array_equal(&r, a, b, true, cpu));
  assert_ok(mlx_array_item_bool(&equal, r));
  mlx_array_free(r);
  return equal;
}

/* arange(6).reshape(2, 3) of a type; bool: the same, non-zero. */
static mlx_array sample(mlx_dtype t) {
  mlx_array a = mlx_array_new();
  assert_ok(mlx_arange(&a, 0, 6, 1, MLX_FLOAT32, cpu));
  assert_ok(mlx_astype(&a, a, t, cpu));
  assert_ok(mlx_reshape(&a, a, (int[]){2, 3}, 2, cpu));
  return a;
}

/* ---- .npy ---- */

static void npy_of_every_type_comes_back(void **state) {
  (void)state;
  for (int t = MLX_BOOL; t <= MLX_COMPLEX64; t++) {
    mlx_array a = sample((mlx_dtype)t), b = mlx_array_new();
    memory m = written(save_npy, &a);
    mlx_io_reader r = mlx_io_reader_new(&m, table());
    assert_ok(mlx_load_reader(&b, r, cpu));
    assert_true(same(a, b));
    assert_int_equal(m.pos, m.size); /* where the next array would begin */
    mlx_io_reader_free(r);
    assert_int_equal(m.freed, 1);
    free(m.at);
    mlx_array_free(a), mlx_array_free(b);
  }
}

static void npy_keeps_shapes_and_orders(void **state) {
  (void)state;
  mlx_array scalar = mlx_array_new_float(3), none = mlx_array_new(), turned = sample(MLX_INT32), part = sample(MLX_INT32),
            b = mlx_array_new();
  assert_ok(mlx_zeros(&none, (int[]){0, 4}, 2, MLX_FLOAT32, cpu));
  assert_ok(mlx_transpose(&turned, turned, cpu)); /* written in Fortran's order */
  assert_ok(mlx_slice(&part, part, (int[]){0, 0}, 2, (int[]){2, 3}, 2, (int[]){1, 2}, 2, cpu)); /* in no order: copied */
  mlx_array all[] = {scalar, none, turned, part};
  for (int i = 0; i < 4; i++) {
    memory m = written(save_npy, &all[i]);
    mlx_io_reader r = mlx_io_reader_new(&m, table());
    assert_ok(mlx_load_reader(&b, r, cpu));
    assert_int_equal(mlx_array_ndim(b), mlx_array_ndim(all[i]));
    assert_true(same(all[i], b));
    mlx_io_reader_free(r);
    free(m.at);
    mlx_array_free(all[i]);
  }
  mlx_array_free(b);
}

/* Loads bytes as .npy; 0 or 1. */
static int load_npy(mlx_array *res, const void *bytes, size_t n) {
  memory m = {.at = (char *)bytes, .size = n, .good = true};
  mlx_io_reader r = mlx_io_reader_new(&m, table());
  heard[0] = 0;
  int rc = mlx_load_reader(res, r, cpu);
  mlx_io_reader_free(r);
  return rc;
}

/* A file of version 1 with this header and data. */
static size_t npy(char *to, const char *header, const void *data, size_t n) {
  size_t h = strlen(header);
  memcpy(to, "\x93NUMPY\1\0", 8);
  to[8] = (char)(h & 255), to[9] = (char)(h >> 8);
  memcpy(to + 10, header, h);
  memcpy(to + 10 + h, data, n);
  return 10 + h + n;
}

static void npy_reads_what_numpy_may_write(void **state) {
  (void)state;
  char file[512];
  mlx_array a = mlx_array_new();
  int v;
  size_t n = npy(file, "{'descr': '>i4', 'fortran_order': False, 'shape': (1,), }", "\0\0\1\2", 4);
  assert_ok(load_npy(&a, file, n));
  assert_ok(mlx_array_item_int32(&v, a));
  assert_int_equal(v, 258);
  n = npy(file, "{\"shape\":(),\"descr\":\"|i1\",\"fortran_order\":True}\n", "\7", 1);
  assert_ok(load_npy(&a, file, n));
  assert_ok(mlx_array_item_int32(&v, a));
  assert_int_equal(v, 7);
  mlx_array_free(a);
}

static void hostile_npy_is_an_error(void **state) {
  (void)state;
  static const struct {
    const char *header, *says;
  } faults[] = {
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "ends before"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "Negative dimension"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2147483648,), }", "dimension"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000, 2000000000, 2000000000), }", "ends before"},
      {"{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }", "Unsupported array protocol type-string: <c16"},
      {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "Unsupported"},
      {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,), }", "order"},
      {"{'descr': '<f4', 'shape': (1,), }", "lacks"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 2), }", "shape"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,", "shape"},
      {"{'descr': '<f4", "type"},
      {"{'colour': 'red'}", "unknown entry 'colour'"},
      {"[]", "no dict"},
      {"", "no dict"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1), }",
       "more than 32"},
  };
  char file[512];
  mlx_array a = mlx_array_new();
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    assert_refused(load_npy(&a, file, npy(file, faults[i].header, "\0\0\0\0", 4)), faults[i].says);
  assert_refused(load_npy(&a, "GARBAGE GARBAGE", 15), "[load] Invalid header");
  assert_refused(load_npy(&a, "\x93NUMPY\2\0\xff\xff\xff\xff", 12), "[load]");
  assert_null(a.ctx);

  mlx_array whole = sample(MLX_FLOAT32);
  memory m = written(save_npy, &whole);
  for (size_t n = 0; n < m.size; n++) assert_int_equal(load_npy(&a, m.at, n), 1); /* every truncation */
  srand(1);
  for (int i = 0; i < 3000; i++) { /* and any damage is survived */
    char *copy = malloc(m.size);
    memcpy(copy, m.at, m.size);
    for (int k = 0; k < 3; k++) copy[(size_t)rand() % m.size] = (char)rand();
    load_npy(&a, copy, m.size);
    free(copy);
  }
  free(m.at);
  mlx_array_free(whole), mlx_array_free(a);
}

static void files_and_their_names(void **state) {
  (void)state;
  char name[] = "/tmp/cmlx-io-XXXXXX", full[64];
  int fd = mkstemp(name);
  assert_true(fd >= 0);
  close(fd);
  mlx_array a = sample(MLX_FLOAT16), b = mlx_array_new();
  assert_ok(mlx_save(name, a)); /* gets its ending */
  snprintf(full, sizeof full, "%s.npy", name);
  assert_ok(mlx_load(&b, full, cpu));
  assert_true(same(a, b));
  unlink(full);
  unlink(name);
  assert_refused(mlx_load(&b, full, cpu), "[load] Failed to open file");
  assert_refused(mlx_load(&b, "/tmp", cpu), "not a regular file");
  assert_refused(mlx_load(&b, NULL, cpu), "NULL given");
  assert_refused(mlx_save("/nonexistent/a.npy", a), "[save] Failed to open file /nonexistent/a.npy");
  assert_refused(mlx_save(full, mlx_array_new()), "[save] empty array");
  mlx_array_free(a), mlx_array_free(b);
}

/* ---- .safetensors ---- */

static int load_maps(two_maps *to, const void *bytes, size_t n) {
  memory m = {.at = (char *)bytes, .size = n, .good = true};
  mlx_io_reader r = mlx_io_reader_new(&m, table());
  heard[0] = 0;
  int rc = mlx_load_safetensors_reader(&to->arrays, &to->meta, r, cpu);
  mlx_io_reader_free(r);
  return rc;
}

static void free_maps(two_maps m) {
  mlx_map_string_to_array_free(m.arrays);
  mlx_map_string_to_string_free(m.meta);
}

static two_maps some_maps(void) {
  two_maps m = {mlx_map_string_to_array_new(), mlx_map_string_to_string_new()};
  char name[32];
  for (int t = MLX_BOOL; t <= MLX_COMPLEX64; t++) {
    if (t == MLX_FLOAT64) continue;
    mlx_array a = sample((mlx_dtype)t);
    assert_ok(mlx_transpose(&a, a, cpu));
    snprintf(name, sizeof name, "layer \"%d\"\n\xc3\xa9", t); /* names are escaped */
    assert_ok(mlx_map_string_to_array_insert(m.arrays, name, a));
    mlx_array_free(a);
  }
  assert_ok(mlx_map_string_to_string_insert(m.meta, "format", "mlx"));
  return m;
}

static void safetensors_come_back(void **state) {
  (void)state;
  two_maps m = some_maps(), got = {{NULL}, {NULL}};
  memory file = written(save_maps, &m);
  assert_ok(load_maps(&got, file.at, file.size));
  mlx_map_string_to_array_iterator it = mlx_map_string_to_array_iterator_new(m.arrays);
  mlx_array a = mlx_array_new(), b = mlx_array_new();
  const char *key, *value;
  int n = 0;
  for (; !mlx_map_string_to_array_iterator_next(&key, &a, it); n++) {
    assert_int_equal(mlx_map_string_to_array_get(&b, got.arrays, key), 0);
    assert_true(same(a, b));
  }
  assert_int_equal(n, 13);
  assert_int_equal(mlx_map_string_to_string_get(&value, got.meta, "format"), 0);
  assert_string_equal(value, "mlx");
  mlx_map_string_to_array_iterator_free(it);

  assert_ok(mlx_astype(&a, a, MLX_FLOAT64, cpu));
  assert_ok(mlx_map_string_to_array_insert(m.arrays, "wide", a));
  memory sink = {.good = true};
  mlx_io_writer w = mlx_io_writer_new(&sink, table());
  assert_refused(save_maps(w, &m), "[save_safetensors] received invalid dtype");
  mlx_io_writer_free(w);
  assert_int_equal(sink.size, 0); /* nothing is written before all is known to be well */
  mlx_array_free(a), mlx_array_free(b);
  free_maps(m), free_maps(got);
  free(file.at);
}

static size_t safetensors(char *to, const char *header, size_t data) {
  size_t h = strlen(header);
  for (int i = 0; i < 8; i++) to[i] = (char)(h >> 8 * i);
  memcpy(to + 8, header, h);
  memset(to + 8 + h, 0, data);
  return 8 + h + data;
}

static void hostile_safetensors_are_errors(void **state) {
  (void)state;
  static const struct {
    const char *header, *says;
  } faults[] = {
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,16]}}", "exceeding the size"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "invalid data offsets"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "needs 12 bytes"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", "no size"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2000000000,2000000000,2000000000],\"data_offsets\":[0,8]}}", "invalid data offsets"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "no size"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,18446744073709551616]}}", "two numbers"},
      {"{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}", "unsupported dtype F64"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "lacks"},
      {"{\"a\":[]}", "no object"},
      {"[1,2]", "no object"},
      {"{\"a\": nonsense", "no object"},
      {"{\"__metadata__\":{\"a\":1}}", "string was expected"},
      {"{\"a\\u0000\":{}}", "string was expected"},
      {"{\"a\\ud800\":{}}", "string was expected"},
      {"{\"a\":{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "value was expected"},
      {"{\"a", "string was expected"},
      {"{", "string was expected"},
  };
  char file[512];
  two_maps got = {{NULL}, {NULL}};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    assert_refused(load_maps(&got, file, safetensors(file, faults[i].header, 8)), faults[i].says);
  assert_refused(load_maps(&got, "\0\0\0\0\0\0\0\x10", 8), "header length");
  assert_refused(load_maps(&got, "abc", 3), "ends before");
  assert_null(got.arrays.ctx);
  assert_ok(load_maps(&got, file,
                      safetensors(file, "{\"__metadata__\":null,\"a\":{\"x\":{\"y\":[1,{\"z\":[]}],\"w\":\"\\\"\"},\"dtype\":\"F32\","
                                        "\"shape\":[2],\"data_offsets\":[0,8]}}  ", 8)));

  two_maps m = some_maps();
  memory whole = written(save_maps, &m);
  for (size_t n = 0; n < whole.size; n++) assert_int_equal(load_maps(&got, whole.at, n), 1);
  srand(2);
  for (int i = 0; i < 3000; i++) {
    char *copy = malloc(whole.size);
    memcpy(copy, whole.at, whole.size);
    for (int k = 0; k < 3; k++) copy[(size_t)rand() % whole.size] = (char)rand();
    load_maps(&got, copy, whole.size);
    free(copy);
  }
  free(whole.at);
  free_maps(m), free_maps(got);
}

static void readers_tell_their_label_and_lack_nothing(void **state) {
  (void)state;
  memory m = {.good = true};
  mlx_io_vtable v = table();
  mlx_io_reader r = mlx_io_reader_new(&m, v);
  mlx_string s = mlx_string_new();
  void *desc = NULL;
  mlx_array a = mlx_array_new();
  assert_ok(mlx_io_reader_tostring(&s, r));
  assert_string_equal(mlx_string_data(s), "memory");
  assert_ok(mlx_io_reader_descriptor(&desc, r));
  assert_ptr_equal(desc, &m);
  m.good = false;
  assert_refused(mlx_load_reader(&a, r, cpu), "[load] Failed to open memory");
  mlx_io_reader_free(r);
  v.seek = NULL;
  assert_null(mlx_io_reader_new(&m, v).ctx);
  assert_refused(mlx_load_reader(&a, (mlx_io_reader){NULL}, cpu), "empty reader");
  mlx_string_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(npy_of_every_type_comes_back),
      cmocka_unit_test(npy_keeps_shapes_and_orders),
      cmocka_unit_test(npy_reads_what_numpy_may_write),
      cmocka_unit_test(hostile_npy_is_an_error),
      cmocka_unit_test(files_and_their_names),
      cmocka_unit_test(safetensors_come_back),
      cmocka_unit_test(hostile_safetensors_are_errors),
      cmocka_unit_test(readers_tell_their_label_and_lack_nothing),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
