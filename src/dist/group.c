/* Groups of processes. */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/error.h"
#include "dist/dist.h"

static const struct {
  const char *name;
  bool known; /* by MLX's build for CPUs */
  const char *missing;
} backends[] = {
    {"any", true, "[distributed] Couldn't initialize any backend"},
    {"mpi", true, "[distributed] Cannot initialize MPI"},
    {"ring", true, "[ring] Cannot initialize ring distributed backend"},
    {"nccl", false, "[distributed] Cannot initialize nccl distributed backend"},
    {"jaccl", false, "[distributed] Cannot initialize jaccl distributed backend"},
};
enum { BACKENDS = sizeof backends / sizeof *backends };

static int find(const char *name) {
  for (int i = 0; i < BACKENDS; i++)
    if (!strcmp(name, backends[i].name)) return i;
  return -1;
}

bool mx_group_available(const char *backend) {
  int i = find(backend ? backend : "any");
  return i >= 0 && backends[i].known;
}

/* Launchers of MLX, MPI and Slurm's PMI tell how many there are. */
static int check_alone(void) {
  static const char *const counts[] = {"MLX_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    const char *v = getenv(counts[i]);
    if (v && atoi(v) > 1)
      return mx_fail(MX_ERUNTIME, "[distributed] This process is one of %s=%.20s, but only groups of one process are implemented", counts[i], v);
  }
  return 0;
}

static void destroy(mx_object *o) { mx_free(o); }

int mx_group_init(mx_group **res, bool strict, const char *backend) {
  int i = find(backend ? backend : "any");
  if (i < 0)
    return mx_fail(MX_EVALUE, "[distributed] The only valid values for backend are 'any', 'mpi', 'nccl', 'jaccl' and 'ring' but '%.40s' was provided.",
                   backend);
  if (strict) return mx_fail(MX_ERUNTIME, "%s: only groups of one process are implemented", backends[i].missing);
  int rc = check_alone();
  if (rc) return rc;
  mx_group *g = mx_malloc(sizeof *g);
  if (!g) return mx_fail_memory();
  *g = (mx_group){{1, destroy}, 0, 1};
  *res = g;
  return 0;
}

int mx_group_split(mx_group **res, const mx_group *g, int color, int key) {
  (void)res;
  (void)key;
  return mx_fail(MX_ERUNTIME, "[distributed] Cannot split the distributed group further. It has %d process, split by color %d", g->size, color);
}
