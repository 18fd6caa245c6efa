/* The arrays of modules by their paths: maps, files, freezing, counts. */
#include <stdio.h>
#include <string.h>

#include "capi/nn.h"
#include "io/io.h"
#include "mlx/c/io.h"

/* ---- out ---- */

static int take_one(void *to, const char *path, mx_module *owner, int place) {
  mlx_map_string_to_array *map = to;
  return mlx_map_string_to_array_insert(*map, path, (mlx_array){&owner->members[place].array}) ? mx_error_kind() : 0;
}

static int arrays_of(mlx_map_string_to_array *res, mlx_nn_module module, enum mx_walk what, const char *tag) {
  mx_module *m;
  int rc = mx_need_module(&m, module, tag);
  if (rc) return rc;
  mlx_map_string_to_array map = mlx_map_string_to_array_new();
  rc = map.ctx ? mx_module_walk(m, what, take_one, &map) : MX_EMEMORY;
  if (!rc && mlx_map_string_to_array_set(res, map)) rc = mx_error_kind();
  mlx_map_string_to_array_free(map);
  return rc;
}

int mlx_nn_module_parameters(mlx_map_string_to_array *res, const mlx_nn_module module) {
  return MX_STATUS(arrays_of(res, module, MX_WALK_PARAMETERS, "nn_module_parameters"));
}
int mlx_nn_module_trainable_parameters(mlx_map_string_to_array *res, const mlx_nn_module module) {
  return MX_STATUS(arrays_of(res, module, MX_WALK_TRAINABLE, "nn_module_trainable_parameters"));
}
int mlx_nn_module_state(mlx_map_string_to_array *res, const mlx_nn_module module) {
  return MX_STATUS(arrays_of(res, module, MX_WALK_ALL, "nn_module_state"));
}

/* ---- in ---- */

typedef int entry_fun(void *to, const char *key, mx_array *value);

static int each_entry(mlx_map_string_to_array map, entry_fun *f, void *to) {
  mlx_map_string_to_array_iterator it = mlx_map_string_to_array_iterator_new(map);
  if (!it.ctx) return mx_error_kind();
  const char *key;
  mlx_array value = {NULL};
  int rc = 0, more;
  while (!rc && !(more = mlx_map_string_to_array_iterator_next(&key, &value, it))) rc = f(to, key, mx_array_of(value));
  if (!rc && more != 2) rc = mx_error_kind();
  mlx_array_free(value);
  mlx_map_string_to_array_iterator_free(it);
  return rc;
}

static int has_place(void *to, const char *key, mx_array *value) {
  (void)value;
  return mx_module_array(to, key) ? 0 : mx_fail(MX_EVALUE, "Module does not have parameter named \"%.200s\".", key);
}

static int put_one(void *to, const char *key, mx_array *value) { return mx_module_replace(to, key, value); }

static int update(mx_module *m, mlx_map_string_to_array values, bool strict) {
  int rc = strict ? each_entry(values, has_place, m) : 0;
  return rc ? rc : each_entry(values, put_one, m);
}

int mlx_nn_module_update(const mlx_nn_module module, const mlx_map_string_to_array values, bool strict) {
  mx_module *m;
  int rc = mx_need_module(&m, module, "nn_module_update");
  return MX_STATUS(rc ? rc : update(m, values, strict));
}

/* ---- files ---- */

/* Whether the weights are what the module needs: walks the module, then the weights. */
typedef struct checking {
  mx_module *m;
  mlx_map_string_to_array weights, mine;
} checking;

/* " in FILE" behind a message, or nothing where the file is unknown. */
typedef struct place {
  char text[512];
} place;

static place in_file(const mx_array *a) {
  place p = {""};
  const char *file = a ? mx_origin_of(a) : NULL;
  if (file) snprintf(p.text, sizeof p.text, " in %s", file);
  return p;
}

static int first_file(void *to, const char *key, mx_array *value) {
  (void)key;
  place *p = to;
  if (!*p->text) *p = in_file(value);
  return 0;
}

static int is_missing(const checking *c, const char *path) {
  place p = {""};
  int rc = each_entry(c->weights, first_file, &p);
  return rc ? rc : mx_fail(MX_EVALUE, "Missing parameters%s: \n%.200s.", p.text, path);
}

/* A layer goes on with any floating dtype in the place of one; packed weights have just their own. */
static bool serves(const mx_module *owner, const mx_array *wanted, const mx_array *given) {
  return !owner->layer || wanted->dtype == given->dtype || (mx_is_inexact(wanted->dtype) && mx_is_inexact(given->dtype));
}

static int is_there(void *to, const char *path, mx_module *owner, int place) {
  checking *c = to;
  mx_array *old = owner->members[place].array, *new = NULL;
  mlx_array h = {NULL};
  int got = mlx_map_string_to_array_get(&h, c->weights, path), rc = 0;
  if (got)
    rc = got == 2 ? is_missing(c, path) : mx_error_kind();
  else if (!mx_same_shape(old, new = mx_array_of(h)))
    rc = mx_fail(MX_EVALUE, "Expected shape %s but received shape %s for parameter %.200s%s", mx_shape_words(old), mx_shape_words(new), path,
                 in_file(new).text);
  else if (!serves(owner, old, new))
    rc = mx_fail(MX_EVALUE, "Expected dtype %s but received dtype %s for parameter %.200s%s", mx_dtype_name(old->dtype),
                 mx_dtype_name(new->dtype), path, in_file(new).text);
  mlx_array_free(h);
  return rc;
}

static int is_known(void *to, const char *key, mx_array *value) {
  checking *c = to;
  mlx_array h = {NULL};
  int got = mlx_map_string_to_array_get(&h, c->mine, key);
  mlx_array_free(h);
  if (got == 2) return mx_fail(MX_EVALUE, "Received parameters not in model%s: \n%.200s.", in_file(value).text, key);
  return got ? mx_error_kind() : 0;
}

static int load(mlx_nn_module module, mlx_map_string_to_array weights, bool strict, const char *tag) {
  checking c = {.weights = weights, .mine = {NULL}};
  int rc = mx_need_module(&c.m, module, tag);
  if (!rc && !weights.ctx) rc = mx_fail(MX_EVALUE, "[%s] empty map given, expected one", tag);
  if (!rc && strict) {
    rc = arrays_of(&c.mine, module, MX_WALK_PARAMETERS, tag);
    if (!rc) rc = each_entry(weights, is_known, &c);
    if (!rc) rc = mx_module_walk(c.m, MX_WALK_PARAMETERS, is_there, &c);
    mlx_map_string_to_array_free(c.mine);
  }
  return rc ? rc : update(c.m, weights, false);
}

int mlx_nn_module_load_map(const mlx_nn_module module, const mlx_map_string_to_array weights, bool strict) {
  return MX_STATUS(load(module, weights, strict, "nn_module_load_map"));
}

static int is_safetensors(const char *file, const char *tag) {
  static const char ending[] = ".safetensors";
  if (!file) return mx_fail(MX_EVALUE, "[%s] NULL given for the file's name", tag);
  size_t n = strlen(file), e = sizeof ending - 1;
  if (n >= e && !strcmp(file + n - e, ending)) return 0;
  return mx_fail(MX_EVALUE, "Unsupported file extension for %.200s. Use '.safetensors'.", file);
}

int mlx_nn_module_load_weights(const mlx_nn_module module, const char *file, bool strict) {
  static const char tag[] = "nn_module_load_weights";
  if (is_safetensors(file, tag)) return MX_REPORT();
  mlx_map_string_to_array weights = {NULL};
  mlx_map_string_to_string meta = {NULL};
  mx_stream stream = mx_default_stream();
  int rc = mlx_load_safetensors(&weights, &meta, file, (mlx_stream){&stream});
  if (!rc) rc = MX_STATUS(load(module, weights, strict, tag));
  mlx_map_string_to_array_free(weights);
  mlx_map_string_to_string_free(meta);
  return rc;
}

int mlx_nn_module_save_weights(const mlx_nn_module module, const char *file) {
  static const char tag[] = "nn_module_save_weights";
  mlx_map_string_to_array weights = {NULL};
  mlx_map_string_to_string meta = mlx_map_string_to_string_new();
  int rc = MX_STATUS(is_safetensors(file, tag));
  if (!rc) rc = MX_STATUS(arrays_of(&weights, module, MX_WALK_PARAMETERS, tag));
  if (!rc) rc = mlx_save_safetensors(file, weights, meta);
  mlx_map_string_to_array_free(weights);
  mlx_map_string_to_string_free(meta);
  return rc;
}

/* ---- freezing, modes, dtypes, counts ---- */

static int freeze(mlx_nn_module module, bool frozen, bool recurse, const char *const *keys, size_t n, bool strict) {
  static const char tag[] = "nn_module_freeze";
  mx_module *m;
  int rc = mx_need_module(&m, module, tag);
  if (!rc && n && !keys) rc = mx_fail(MX_EVALUE, "[%s] NULL given for %zu keys", tag, n);
  for (size_t i = 0; i < n && !rc; i++)
    if (!keys[i]) rc = mx_fail(MX_EVALUE, "[%s] NULL given for key %zu", tag, i);
  return rc ? rc : mx_module_freeze(m, frozen, recurse, keys, n, strict);
}

int mlx_nn_module_freeze(const mlx_nn_module module, bool recurse, const char *const *keys, size_t keys_num, bool strict) {
  return MX_STATUS(freeze(module, true, recurse, keys, keys_num, strict));
}
int mlx_nn_module_unfreeze(const mlx_nn_module module, bool recurse, const char *const *keys, size_t keys_num, bool strict) {
  return MX_STATUS(freeze(module, false, recurse, keys, keys_num, strict));
}

int mlx_nn_module_train(const mlx_nn_module module, bool mode) {
  mx_module *m;
  int rc = mx_need_module(&m, module, "nn_module_train");
  return MX_STATUS(rc ? rc : mx_module_train(m, mode));
}

int mlx_nn_module_training(bool *res, const mlx_nn_module module) {
  mx_module *m;
  int rc = mx_need_module(&m, module, "nn_module_training");
  if (!rc && !res) rc = mx_fail(MX_EVALUE, "[nn_module_training] no place for the result: the result pointer is NULL");
  if (!rc) *res = m->training;
  return MX_STATUS(rc);
}

static int count_one(void *to, const char *path, mx_module *owner, int place) {
  (void)path;
  size_t *sums = to;
  sums[0] += (size_t)owner->members[place].array->size;
  sums[1] += mx_nbytes(owner->members[place].array);
  return 0;
}

int mlx_nn_module_count(size_t *parameters, size_t *trainable, size_t *bytes, const mlx_nn_module module) {
  mx_module *m;
  size_t all[2] = {0}, train[2] = {0};
  int rc = mx_need_module(&m, module, "nn_module_count");
  if (!rc) rc = mx_module_walk(m, MX_WALK_PARAMETERS, count_one, all);
  if (!rc) rc = mx_module_walk(m, MX_WALK_TRAINABLE, count_one, train);
  if (rc) return MX_REPORT();
  if (parameters) *parameters = all[0];
  if (trainable) *trainable = train[0];
  if (bytes) *bytes = all[1];
  return 0;
}

static int cast_one(void *to, const char *path, mx_module *owner, int place) {
  (void)path;
  mx_member *p = &owner->members[place];
  if (!mx_is_float(p->array->dtype)) return 0;
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *a = mx_scope_result(&s, mx_astype(&s, p->array, *(mx_dtype *)to));
  if (a) mx_set(&p->array, a);
  return a ? 0 : mx_error_kind();
}

int mlx_nn_module_set_dtype(const mlx_nn_module module, mlx_dtype dtype) {
  mx_module *m;
  mx_dtype t = (mx_dtype)dtype;
  int rc = mx_need_module(&m, module, "nn_module_set_dtype");
  if (!rc && (unsigned)dtype >= MX_DTYPES)
    rc = mx_fail(MX_EVALUE, "[nn_module_set_dtype] %d given, expected a dtype", (int)dtype);
  return MX_STATUS(rc ? rc : mx_module_walk(m, MX_WALK_PARAMETERS, cast_one, &t));
}

static int push_one(void *to, const char *path, mx_module *owner, int place) {
  (void)path;
  return mx_list_push(to, owner->members[place].array);
}

int mlx_nn_module_evaluate(const mlx_nn_module module) {
  mx_module *m;
  mx_list all = {0};
  int rc = mx_need_module(&m, module, "nn_module_evaluate");
  if (!rc) rc = mx_module_walk(m, MX_WALK_ALL, push_one, &all);
  if (!rc && all.n) rc = mx_eval(all.n, all.at);
  mx_list_clear(&all);
  return MX_STATUS(rc);
}

/* ---- training ---- */

typedef struct mixing {
  mlx_map_string_to_array into;
  double k;
} mixing;

typedef mx_array *mixer(mx_scope *s, mx_array *old, mx_array *value, double k); /* old may be NULL */

static int mix(const mixing *x, const char *key, mx_array *value, mixer *f) {
  mlx_array old = {NULL};
  int got = mlx_map_string_to_array_get(&old, x->into, key);
  if (got == 1) return mx_error_kind();
  mx_scope s;
  mx_scope_begin(&s, mx_default_stream());
  mx_array *a = mx_scope_result(&s, f(&s, mx_array_of(old), value, x->k));
  mlx_array_free(old);
  if (!a) return mx_error_kind();
  int rc = mlx_map_string_to_array_insert(x->into, key, (mlx_array){&a}) ? mx_error_kind() : 0;
  mx_release(a);
  return rc;
}

static mx_array *averaged(mx_scope *s, mx_array *old, mx_array *value, double k) {
  return old && mx_is_inexact(value->dtype) ? mx_nn_moving_average(s, old, value, k) : value;
}
static int average_one(void *to, const char *key, mx_array *value) { return mix(to, key, value, averaged); }

static mx_array *added(mx_scope *s, mx_array *old, mx_array *value, double k) {
  if (value->dtype == MX_F16 || value->dtype == MX_BF16) value = mx_astype(s, value, MX_F32);
  if (k != 1) value = mx_times(s, value, k);
  return old ? mx_add(s, old, value) : value;
}
static int add_one(void *to, const char *key, mx_array *value) { return mix(to, key, value, added); }

static int mix_all(mlx_map_string_to_array into, mlx_map_string_to_array values, double k, entry_fun *one, const char *tag) {
  if (!into.ctx || !values.ctx) return mx_fail(MX_EVALUE, "[%s] empty map given, expected one", tag);
  return each_entry(values, one, &(mixing){into, k});
}

int mlx_nn_update_average(const mlx_map_string_to_array average, const mlx_map_string_to_array values, double decay) {
  if (!(decay >= 0 && decay <= 1)) return MX_REFUSE(MX_EVALUE, "[nn_update_average] The decay %g is not in [0, 1]", decay);
  return MX_STATUS(mix_all(average, values, decay, average_one, "nn_update_average"));
}

int mlx_nn_accumulate(const mlx_map_string_to_array total, const mlx_map_string_to_array gradients, double scale) {
  return MX_STATUS(mix_all(total, gradients, scale, add_one, "nn_accumulate"));
}
