/* What the trainers digits.c and text.c share: options, a progress bar, a step's evaluation, a learning curve. */
#ifndef TRAINER_H
#define TRAINER_H

#include <mlx/c/mlx.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Ends the program when a call fails, saying why. */
#define TRY(call)                                           \
  do {                                                      \
    if (call) {                                             \
      fprintf(stderr, "%s: %s\n", #call, mlx_last_error()); \
      exit(1);                                              \
    }                                                       \
  } while (0)

static inline double seconds(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The word behind --name, or else. */
static inline const char *option(int argc, char **argv, const char *name, const char *otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (!strncmp(argv[i], "--", 2) && !strcmp(argv[i] + 2, name)) return argv[i + 1];
  return otherwise;
}

static inline float item(mlx_array a) {
  float v;
  TRY(mlx_array_item_float32(&v, a));
  return v;
}

/* The array of that name in a file that was read. */
static inline mlx_array array_of(mlx_map_string_to_array file, const char *name) {
  mlx_array a = mlx_array_new();
  if (mlx_map_string_to_array_get(&a, file, name)) {
    fprintf(stderr, "the file has no array '%s'\n", name);
    exit(1);
  }
  return a;
}

/* ---- a step ---- */

/* One update of the model: the loss of the closure at the inputs. All is computed at the end, at once. */
static inline float train_step(mlx_nn_module model, mlx_optimizer optimizer, mlx_closure loss, mlx_vector_array inputs, mlx_stream s) {
  mlx_vector_array values = mlx_vector_array_new(), all = mlx_vector_array_new();
  mlx_map_string_to_array gradients = mlx_map_string_to_array_new(), parameters = mlx_map_string_to_array_new();
  mlx_array value = mlx_array_new(), p = mlx_array_new();
  const char *name;
  TRY(mlx_nn_value_and_grad(&values, &gradients, model, loss, inputs) || mlx_vector_array_get(&value, values, 0));
  TRY(mlx_optimizer_update_module(optimizer, model, gradients, s));
  TRY(mlx_nn_module_parameters(&parameters, model) || mlx_optimizer_state_values(&all, optimizer));
  mlx_map_string_to_array_iterator it = mlx_map_string_to_array_iterator_new(parameters);
  while (!mlx_map_string_to_array_iterator_next(&name, &p, it)) TRY(mlx_vector_array_append_value(all, p));
  TRY(mlx_vector_array_append_value(all, value) || mlx_eval(all));
  float result = item(value);
  mlx_map_string_to_array_iterator_free(it);
  mlx_map_string_to_array_free(gradients), mlx_map_string_to_array_free(parameters);
  mlx_vector_array_free(values), mlx_vector_array_free(all);
  mlx_array_free(value), mlx_array_free(p);
  return result;
}

/* ---- progress ---- */

typedef struct progress {
  int total;
  double start, drawn;
} progress;

static inline progress progress_new(int total) { return (progress){total, seconds(), 0}; }

/* A bar on a terminal; elsewhere a line now and then. */
static inline void progress_show(progress *p, int done, const char *text) {
  double now = seconds(), spent = now - p->start;
  if (now - p->drawn < (isatty(1) ? 0.1 : 10) && done < p->total) return;
  p->drawn = now;
  if (isatty(1)) printf("\r\033[K");
  printf("training ");
  for (int i = 0; i < 30; i++) printf("%s", i < 30 * done / p->total ? "█" : "░");
  printf(" %d/%d  %s  %.0f s", done, p->total, text, spent);
  if (done < p->total) printf(", %.0f s left", spent / done * (p->total - done));
  printf(isatty(1) && done < p->total ? "" : "\n");
  fflush(stdout);
}

/* The values as a picture of letters, 60 wide and 8 high. */
static inline void draw_curve(const char *title, const float *y, int n) {
  enum { WIDE = 60, HIGH = 8 };
  float low = y[0], high = y[0];
  for (int i = 0; i < n; i++) low = y[i] < low ? y[i] : low, high = y[i] > high ? y[i] : high;
  printf("%s\n", title);
  for (int row = HIGH - 1; row >= 0; row--) {
    printf("%9.4f ", low + (high - low) * (float)row / (HIGH - 1));
    for (int col = 0; col < WIDE && col < n; col++) {
      float v = y[n <= WIDE ? col : col * n / WIDE];
      int at = high > low ? (int)((v - low) / (high - low) * (HIGH - 1) + 0.5f) : 0;
      putchar(at == row ? '*' : ' ');
    }
    putchar('\n');
  }
}

#endif
