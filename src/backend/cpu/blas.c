/* Finding OpenBLAS: MLX_BLAS, then the Python package scipy-openblas32 (whose names begin with scipy_), then libopenblas.so.0.
 *
 * It is opened with RTLD_LOCAL, so that it meets no other copy in the process, and with its own threads off: the pool of
 * runtime/ splits the work. Debian's build does not know newer CPUs and then falls back to kernels five times slower, hence
 * OPENBLAS_CORETYPE; both variables are read while it loads and put back after. */
#include "backend/cpu/blas.h"

#include <dlfcn.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static mx_blas found;
static void *handle;
static const char *prefix = "";
static char path[4096];

/* Sets a variable and remembers what it was. */
typedef struct variable {
  const char *name;
  char *old;
} variable;

static void set_variable(variable *v, const char *name, const char *value) {
  const char *old = getenv(name);
  if (old && !(v->old = mx_strdup(old))) return; /* it could not be put back */
  v->name = name;
  setenv(name, value, 1);
}
static void restore_variable(variable *v) {
  if (!v->name) return;
  if (v->old) setenv(v->name, v->old, 1);
  else unsetenv(v->name);
  mx_free(v->old);
}

/* The core type whose kernels this CPU can run, to be named when the build takes slower ones; NULL: it decides. */
static const char *core_type(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw"))
    return "SkylakeX";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return NULL;
}

static void *symbol(void *lib, const char *pre, const char *name) {
  char full[128];
  snprintf(full, sizeof full, "%s%s", pre, name);
  return dlsym(lib, full);
}

/* Opens the library; on success handle and prefix are set. force: say which core it is, unless the user has said so. */
static bool open_library(const char *file, bool force) {
  const char *core = force && !getenv("OPENBLAS_CORETYPE") ? core_type() : NULL;
  variable threads = {0}, type = {0};
  set_variable(&threads, "OPENBLAS_NUM_THREADS", "1");
  if (core) set_variable(&type, "OPENBLAS_CORETYPE", core);
  void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  restore_variable(&threads);
  restore_variable(&type);
  if (!lib) return false;
  static const char *const prefixes[] = {"", "scipy_"};
  for (int i = 0; i < 2; i++) {
    if (!symbol(lib, prefixes[i], "cblas_sgemm")) continue;
    handle = lib;
    prefix = prefixes[i];
    return true;
  }
  dlclose(lib);
  return false;
}

/* Whether the opened library took kernels that are as wide as the CPU is. */
static bool knows_cpu(void) {
  const char *(*name)(void) = NULL;
  void *f = symbol(handle, prefix, "openblas_get_corename");
  const char *best = core_type();
  if (!f || !best) return true;
  memcpy(&name, &f, sizeof f);
  const char *core = name();
  static const char *const narrow[] = {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Katmai", "Coppermine", "Northwood",
                                       "Banias", "Generic", "Sandybridge", "Athlon", "Opteron", "Opteron_SSE3", "Barcelona",
                                       "Bobcat", "Bulldozer", "Piledriver", "Steamroller", "Atom", "Nano"};
  static const char *const avx2[] = {"Haswell", "Zen", "Excavator"};
  for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
    if (!strcasecmp(core, narrow[i])) return false;
  for (size_t i = 0; i < sizeof avx2 / sizeof *avx2; i++)
    if (!strcasecmp(core, avx2[i])) return strcmp(best, "SkylakeX") != 0;
  return true;
}

static bool try_library(const char *file) {
  if (!open_library(file, false)) return false;
  if (!knows_cpu()) { /* once more, told what it runs on: possible only if it really leaves the process */
    dlclose(handle);
    handle = NULL;
    if (!open_library(file, true)) return false;
  }
  snprintf(path, sizeof path, "%s", file);
  return true;
}

static bool try_pattern(const char *pattern) {
  glob_t g;
  bool ok = false;
  if (glob(pattern, 0, NULL, &g)) return false;
  for (size_t i = 0; i < g.gl_pathc && !ok; i++) ok = try_library(g.gl_pathv[i]);
  globfree(&g);
  return ok;
}

/* site-packages/mlx/lib/libcmlx.so -> site-packages/scipy_openblas32/lib; a build tree has .venv somewhere above. */
static bool try_package(void) {
  Dl_info info;
  char dir[3072], pattern[4096];
  if (!dladdr((void *)&once, &info) || !info.dli_fname || strlen(info.dli_fname) >= sizeof dir) return false;
  char *real = realpath(info.dli_fname, NULL);
  snprintf(dir, sizeof dir, "%s", real ? real : info.dli_fname);
  free(real);
  static const char *const below[] = {"scipy_openblas32/lib/libscipy_openblas*.so*",
                                      ".venv/lib/python3*/site-packages/scipy_openblas32/lib/libscipy_openblas*.so*"};
  for (int up = 0; up < 6; up++) {
    char *slash = strrchr(dir, '/');
    if (!slash) break;
    *slash = 0;
    for (int i = 0; i < 2; i++) {
      snprintf(pattern, sizeof pattern, "%s/%s", dir, below[i]);
      if (try_pattern(pattern)) return true;
    }
  }
  const char *venv = getenv("VIRTUAL_ENV");
  if (venv) {
    snprintf(pattern, sizeof pattern, "%s/lib/python3*/site-packages/%s", venv, below[0]);
    return try_pattern(pattern);
  }
  return false;
}

void *mx_blas_symbol(const char *name) {
  mx_blas_get();
  return handle ? symbol(handle, prefix, name) : NULL;
}

static void find(void) {
  const char *own = getenv("MLX_BLAS");
  bool ok;
  if (own && *own) ok = try_library(own); /* "none" names no library: our own kernels */
  else ok = try_package() || try_library("libopenblas.so.0");
  if (!ok) return;
  /* a library that was in the process already has threads of its own */
  void (*set_threads)(int);
  void *f = symbol(handle, prefix, "openblas_set_num_threads");
  memcpy(&set_threads, &f, sizeof f);
  if (f) set_threads(1);
  found.name = path;
  found.narrow = !knows_cpu();
#define GET(entry)                                                                                                           \
  f = symbol(handle, prefix, "cblas_" #entry);                                                                               \
  memcpy(&found.entry, &f, sizeof f)
  GET(sgemm);
  GET(dgemm);
  GET(cgemm);
  GET(sgemv);
  GET(dgemv);
#undef GET
}

const mx_blas *mx_blas_get(void) {
  pthread_once(&once, find);
  return found.sgemm && found.dgemm && found.cgemm && found.sgemv && found.dgemv ? &found : NULL;
}
