/* Maps from strings to pointers. */
#include "core/map.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"

static uint32_t hash(const char *key) { /* FNV-1a */
  uint32_t h = 2166136261u;
  for (; *key; key++) h = (h ^ (unsigned char)*key) * 16777619u;
  return h;
}

/* The slot where key is, or the free one where it would go. */
static int32_t *slot_of(const mx_map *m, const char *key) {
  for (uint32_t i = hash(key) & (m->nslots - 1);; i = (i + 1) & (m->nslots - 1))
    if (!m->slots[i] || !strcmp(m->at[m->slots[i] - 1].key, key)) return &m->slots[i];
}

void *mx_map_find(const mx_map *m, const char *key) {
  int32_t *s = m->nslots ? slot_of(m, key) : NULL;
  return s && *s ? m->at[*s - 1].value : NULL;
}

static int grow(mx_map *m) {
  int cap = m->cap ? m->cap * 2 : 8;
  if (m->cap > INT_MAX / 8) return mx_fail(MX_EOVERFLOW, "[map] %d entries are too many", m->n);
  mx_map_entry *at = mx_realloc(m->at, (size_t)cap * sizeof *at);
  if (!at) return mx_fail_memory();
  m->at = at; /* the larger block may stay when the next step fails */
  int32_t *slots = mx_calloc((size_t)cap * 2, sizeof *slots);
  if (!slots) return mx_fail_memory();
  mx_free(m->slots);
  m->slots = slots;
  m->nslots = (uint32_t)cap * 2;
  m->cap = cap;
  for (int i = 0; i < m->n; i++) *slot_of(m, m->at[i].key) = i + 1;
  return 0;
}

int mx_map_insert(mx_map *m, const char *key, void *value, void (*drop)(void *)) {
  int rc;
  if (m->n == m->cap && (rc = grow(m))) return rc;
  int32_t *s = slot_of(m, key);
  if (*s) {
    drop(m->at[*s - 1].value);
    m->at[*s - 1].value = value;
    return 0;
  }
  char *copy = mx_strdup(key);
  if (!copy) return mx_fail_memory();
  m->at[m->n] = (mx_map_entry){copy, value};
  *s = ++m->n;
  return 0;
}

static int by_key(const void *a, const void *b) { return strcmp(((const mx_map_entry *)a)->key, ((const mx_map_entry *)b)->key); }

int mx_map_in_order(const mx_map *m, const char ***keys, void ***values) {
  size_t n = m ? (size_t)m->n : 0;
  mx_map_entry *sorted = mx_malloc((n + 1) * sizeof *sorted);
  *keys = mx_malloc((n + 1) * (sizeof **keys + sizeof **values));
  if (!sorted || !*keys) {
    mx_free(sorted);
    mx_free(*keys);
    *keys = NULL;
    return mx_fail_memory();
  }
  *values = (void **)(*keys + n);
  if (n) memcpy(sorted, m->at, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, by_key);
  for (size_t i = 0; i < n; i++) {
    (*keys)[i] = sorted[i].key;
    (*values)[i] = sorted[i].value;
  }
  mx_free(sorted);
  return 0;
}

void mx_map_clear(mx_map *m, void (*drop)(void *)) {
  for (int i = 0; i < m->n; i++) {
    mx_free(m->at[i].key);
    drop(m->at[i].value);
  }
  mx_free(m->at);
  mx_free(m->slots);
  *m = (mx_map){0};
}
