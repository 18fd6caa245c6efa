/* Maps from strings to pointers: entries in order of insertion, found by hash. Nothing is ever removed. */
#ifndef MX_CORE_MAP_H
#define MX_CORE_MAP_H

#include <stdint.h>

typedef struct mx_map_entry {
  char *key;
  void *value;
} mx_map_entry;

typedef struct mx_map {
  mx_map_entry *at;
  int n, cap;
  int32_t *slots; /* 1 + index of the entry, 0 where free; a power of two, at most half full */
  uint32_t nslots;
} mx_map;

void *mx_map_find(const mx_map *m, const char *key);  /* NULL when there is no such entry */
/* Takes the value, and drops the one it replaces; when it fails nothing has changed and the value is still the caller's. */
int mx_map_insert(mx_map *m, const char *key, void *value, void (*drop)(void *));
/* The entries in rising order of their keys, as two lists in one block: free *keys. */
int mx_map_in_order(const mx_map *m, const char ***keys, void ***values);
void mx_map_clear(mx_map *m, void (*drop)(void *));

#endif
