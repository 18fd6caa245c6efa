/* One map type; included once for each with
 *   MAP, ITER    the handles' types
 *   F(name)      the public function's name, as mlx_map_string_to_array_##name
 *   TAG          the name in messages
 *   VALUE        the type in which the caller gives a value
 *   OUT          the type behind the pointer that takes one
 *   COPY(v)      a copy for the map to own, as a pointer; NULL and a recorded error when it fails
 *   AGAIN(p)     such a copy as a VALUE, to copy it once more
 *   DROP(p)      frees it
 *   GIVE(out, p) gives a value to the caller: 0 or the kind of an error */

static void F(drop_value)(void *p) { DROP(p); }

MAP F(new)(void) {
  MAP m = {mx_calloc(1, sizeof(mx_map))};
  if (!m.ctx) {
    mx_fail_memory();
    MX_REPORT();
  }
  return m;
}

int F(free)(MAP map) {
  if (map.ctx) {
    mx_map_clear(map.ctx, F(drop_value));
    mx_free(map.ctx);
  }
  return 0;
}

int F(insert)(MAP map, const char *key, VALUE value) {
  if (!map.ctx || !key) return MX_REFUSE(MX_EVALUE, "[" TAG "] empty map or NULL key given");
  void *copy = COPY(value);
  if (!copy) return MX_REPORT();
  int rc = mx_map_insert(map.ctx, key, copy, F(drop_value));
  if (rc) DROP(copy);
  return MX_STATUS(rc);
}

int F(set)(MAP *map, const MAP src) {
  const mx_map *from = src.ctx;
  if (!map || !from) return MX_REFUSE(MX_EVALUE, "[" TAG "] empty map or no place for the result given");
  mx_map fresh = {0};
  int rc = 0;
  for (int i = 0; !rc && i < from->n; i++) rc = F(insert)((MAP){&fresh}, from->at[i].key, AGAIN(from->at[i].value));
  if (!rc && !map->ctx && !(map->ctx = mx_calloc(1, sizeof(mx_map)))) {
    mx_fail_memory();
    rc = MX_REPORT();
  }
  if (!rc) {
    mx_map old = *(mx_map *)map->ctx;
    *(mx_map *)map->ctx = fresh;
    fresh = old;
  }
  mx_map_clear(&fresh, F(drop_value));
  return rc;
}

int F(get)(OUT *value, const MAP map, const char *key) {
  if (!map.ctx || !key || !value) return MX_REFUSE(MX_EVALUE, "[" TAG "] empty map, NULL key or no place for the result given");
  void *p = mx_map_find(map.ctx, key);
  return p ? MX_STATUS(GIVE(value, p)) : 2;
}

ITER F(iterator_new)(MAP map) {
  ITER it = {NULL, map.ctx};
  if (!map.ctx)
    MX_REFUSE(MX_EVALUE, "[" TAG "] empty map given, expected one to walk over");
  else if (!(it.ctx = mx_calloc(1, sizeof(int)))) {
    mx_fail_memory();
    MX_REPORT();
  }
  return it;
}

int F(iterator_free)(ITER it) {
  mx_free(it.ctx);
  return 0;
}

int F(iterator_next)(const char **key, OUT *value, ITER it) {
  mx_map *m = it.map_ctx;
  int *at = it.ctx;
  if (!m || !at || !key || !value) return MX_REFUSE(MX_EVALUE, "[" TAG "] empty iterator or no place for the result given");
  if (*at >= m->n) return 2;
  mx_map_entry *e = &m->at[*at];
  if (GIVE(value, e->value)) return MX_REPORT();
  *key = e->key;
  ++*at;
  return 0;
}

#undef MAP
#undef ITER
#undef F
#undef TAG
#undef VALUE
#undef OUT
#undef COPY
#undef AGAIN
#undef DROP
#undef GIVE
