/* One vector type; included once for each with
 *   VEC           the handle's type, as mlx_vector_int
 *   F(name)       the public function's name, as mlx_vector_int_##name
 *   TAG           the name in messages
 *   BOX           the box: a struct of at, n, cap
 *   DATA, VALUE   the types in which the caller gives several items (a pointer) and one
 *   PUSH(b, v)    appends a copy of v to the box: 0 or the kind of an error
 *   CLEAR(b)      drops all items
 *   GET(res, b, i) gives item i: 0 or the kind of an error
 *   RES           the type of res in GET */

VEC F(new)(void) {
  VEC v = {mx_calloc(1, sizeof(BOX))};
  if (!v.ctx) {
    mx_fail_memory();
    MX_REPORT();
  }
  return v;
}

int F(free)(VEC vec) {
  if (vec.ctx) {
    CLEAR((BOX *)vec.ctx);
    mx_free(vec.ctx);
  }
  return 0;
}

int F(append_data)(VEC vec, DATA data, size_t size) {
  BOX *b = vec.ctx;
  if (!b) return MX_REFUSE(MX_EVALUE, "[" TAG "] empty vector given, expected one to append to");
  if (size && !data) return MX_REFUSE(MX_EVALUE, "[" TAG "] NULL given for %zu items", size);
  if (size > (size_t)(INT_MAX - b->n)) return MX_REFUSE(MX_EVALUE, "[" TAG "] %zu items are too many", size);
  for (size_t i = 0; i < size; i++)
    if (PUSH(b, data[i])) return MX_REPORT();
  return 0;
}

int F(append_value)(VEC vec, VALUE val) { return F(append_data)(vec, &val, 1); }

/* Builds the new content beside the old one: data may point into it, and a failure leaves it as it was. */
int F(set_data)(VEC *vec, DATA data, size_t size) {
  if (!vec) return MX_REFUSE(MX_EVALUE, "[" TAG "] no place for the result: the result pointer is NULL");
  BOX fresh = {0}, old = {0};
  if (F(append_data)((VEC){&fresh}, data, size)) {
    CLEAR(&fresh);
    return 1;
  }
  if (!vec->ctx && !(vec->ctx = mx_calloc(1, sizeof(BOX)))) {
    CLEAR(&fresh);
    mx_fail_memory();
    return MX_REPORT();
  }
  old = *(BOX *)vec->ctx;
  *(BOX *)vec->ctx = fresh;
  CLEAR(&old);
  return 0;
}

int F(set_value)(VEC *vec, VALUE val) { return F(set_data)(vec, &val, 1); }

VEC F(new_data)(DATA data, size_t size) {
  VEC v = {NULL};
  F(set_data)(&v, data, size);
  return v;
}

VEC F(new_value)(VALUE val) { return F(new_data)(&val, 1); }

size_t F(size)(VEC vec) {
  if (!vec.ctx) {
    MX_REFUSE(MX_EVALUE, "[" TAG "] empty vector given, expected one to count");
    return 0;
  }
  return (size_t)((BOX *)vec.ctx)->n;
}

int F(get)(RES *res, const VEC vec, size_t idx) {
  BOX *b = vec.ctx;
  if (!b || !res) return MX_REFUSE(MX_EVALUE, "[" TAG "] empty vector or no place for the result given");
  if (idx >= (size_t)b->n)
    return MX_REFUSE(MX_EINDEX, "[" TAG "] index %zu is out of bounds for a vector of size %d", idx, b->n);
  return MX_STATUS(GET(res, b, idx));
}

#undef VEC
#undef F
#undef TAG
#undef BOX
#undef DATA
#undef VALUE
#undef PUSH
#undef CLEAR
#undef GET
#undef RES
