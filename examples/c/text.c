/* examples/python/text.py in C: trains the same character transformer on the same text, with the same initial values and random
 * draws for the same seed, saves it, and writes.
 *
 *   python examples/python/text.py --export text-data.safetensors     the text, which comes with CPython
 *   text --data text-data.safetensors [--steps 800] [--batch-size 12] [--learning-rate 3e-3] [--seed 0] [--out text-c.safetensors]
 *        [--prompt "The import statement"] [--length 400] [--temperature 0.7]
 *   python examples/python/text.py --sample text-c.safetensors        Python writes with what C has trained
 *
 * Returns 0 when the model has learned. */
#include "trainer.h"

enum { WIDTH = 128, HEADS = 4, LAYERS = 5, CONTEXT = 128 };

static mlx_stream s;

/* Block.__call__ */
static int block(mlx_vector_array *res, const mlx_nn_module self, const mlx_vector_array inputs, void *payload) {
  (void)payload;
  mlx_array x = mlx_array_new(), y = mlx_array_new();
  mlx_nn_module attention = mlx_nn_module_new();
  mlx_vector_array out = mlx_vector_array_new();
  TRY(mlx_vector_array_get(&x, inputs, 0) || mlx_nn_module_get_module(&attention, self, "attention"));
  TRY(mlx_nn_module_call_child(&y, self, "norm1", x));
  mlx_vector_array qkv = mlx_vector_array_new_data((mlx_array[]){y, y, y}, 3);
  TRY(mlx_nn_module_apply(&out, attention, qkv) || mlx_vector_array_get(&y, out, 0) || mlx_add(&x, x, y, s));
  TRY(mlx_nn_module_call_child(&y, self, "norm2", x) || mlx_nn_module_call_child(&y, self, "up", y) || mlx_nn_gelu(&y, y, s));
  TRY(mlx_nn_module_call_child(&y, self, "down", y) || mlx_add(&x, x, y, s) || mlx_vector_array_set_value(res, x));
  mlx_vector_array_free(qkv), mlx_vector_array_free(out);
  mlx_nn_module_free(attention);
  mlx_array_free(x), mlx_array_free(y);
  return 0;
}

static mlx_nn_module block_new(void) {
  mlx_nn_module b = mlx_nn_module_new_custom("Block", block, NULL, NULL);
  TRY(mlx_nn_module_add(b, "norm1", mlx_nn_layer_norm_new(WIDTH, 1e-5, true, true)));
  TRY(mlx_nn_module_add(b, "norm2", mlx_nn_layer_norm_new(WIDTH, 1e-5, true, true)));
  TRY(mlx_nn_module_add(b, "attention", mlx_nn_multi_head_attention_new(WIDTH, HEADS, false, true)));
  TRY(mlx_nn_module_add(b, "up", mlx_nn_linear_new(WIDTH, 4 * WIDTH, true)));
  TRY(mlx_nn_module_add(b, "down", mlx_nn_linear_new(4 * WIDTH, WIDTH, true)));
  return b;
}

static const char *block_name(int i) {
  static char name[32];
  snprintf(name, sizeof name, "blocks.%d", i);
  return name;
}

/* Model.__call__: (N, L) letters to (N, L, letters) logits */
static int forward(mlx_vector_array *res, const mlx_nn_module self, const mlx_vector_array inputs, void *payload) {
  (void)payload;
  mlx_array x = mlx_array_new(), places = mlx_array_new();
  TRY(mlx_vector_array_get(&x, inputs, 0) || mlx_arange(&places, 0, mlx_array_dim(x, 1), 1, MLX_INT32, s));
  TRY(mlx_nn_module_call_child(&x, self, "tokens", x) || mlx_nn_module_call_child(&places, self, "places", places));
  TRY(mlx_add(&x, x, places, s));
  for (int i = 0; i < LAYERS; i++) TRY(mlx_nn_module_call_child(&x, self, block_name(i), x));
  TRY(mlx_nn_module_call_child(&x, self, "norm", x) || mlx_nn_module_call_child(&x, self, "head", x));
  TRY(mlx_vector_array_set_value(res, x));
  mlx_array_free(x), mlx_array_free(places);
  return 0;
}

static mlx_nn_module build(int letters) {
  mlx_nn_module model = mlx_nn_module_new_custom("Model", forward, NULL, NULL);
  TRY(mlx_nn_module_add(model, "tokens", mlx_nn_embedding_new(letters, WIDTH)));
  TRY(mlx_nn_module_add(model, "places", mlx_nn_embedding_new(CONTEXT, WIDTH)));
  for (int i = 0; i < LAYERS; i++) TRY(mlx_nn_module_add(model, block_name(i), block_new()));
  TRY(mlx_nn_module_add(model, "norm", mlx_nn_layer_norm_new(WIDTH, 1e-5, true, true)));
  TRY(mlx_nn_module_add(model, "head", mlx_nn_linear_new(WIDTH, letters, true)));
  return model;
}

/* inputs: letters (N, L) and those that follow; payload: the model. */
static int loss(mlx_vector_array *res, const mlx_vector_array inputs, void *payload) {
  mlx_array x = mlx_array_new(), y = mlx_array_new(), none = mlx_array_new();
  TRY(mlx_vector_array_get(&x, inputs, 0) || mlx_vector_array_get(&y, inputs, 1));
  TRY(mlx_nn_module_call(&x, *(mlx_nn_module *)payload, x) || mlx_nn_cross_entropy(&x, x, y, none, -1, 0, "mean", s));
  TRY(mlx_vector_array_set_value(res, x));
  mlx_array_free(x), mlx_array_free(y), mlx_array_free(none);
  return 0;
}

/* Pieces of the text from these starts, and the same one letter on. */
static mlx_vector_array windows(mlx_array tokens, mlx_array starts) {
  mlx_array at = mlx_array_new(), x = mlx_array_new(), y = mlx_array_new(), one = mlx_array_new_int(1);
  TRY(mlx_arange(&at, 0, CONTEXT, 1, MLX_INT32, s) || mlx_expand_dims(&x, starts, 1, s) || mlx_add(&at, x, at, s));
  TRY(mlx_take(&x, tokens, at, s) || mlx_add(&at, at, one, s) || mlx_take(&y, tokens, at, s));
  mlx_vector_array both = mlx_vector_array_new_data((mlx_array[]){x, y}, 2);
  mlx_array_free(at), mlx_array_free(x), mlx_array_free(y), mlx_array_free(one);
  return both;
}

/* The mean loss on evenly spaced pieces. */
static float validate(mlx_closure f, mlx_array tokens) {
  enum { BATCH = 32, BATCHES = 8 };
  mlx_array starts = mlx_array_new(), part = mlx_array_new(), value = mlx_array_new();
  mlx_vector_array parts = mlx_vector_array_new(), out = mlx_vector_array_new();
  float sum = 0;
  TRY(mlx_linspace(&starts, 0, mlx_array_dim(tokens, 0) - CONTEXT - 2, BATCH * BATCHES, MLX_FLOAT32, s));
  TRY(mlx_astype(&starts, starts, MLX_INT32, s) || mlx_split(&parts, starts, BATCHES, 0, s));
  for (size_t i = 0; i < BATCHES; i++) {
    TRY(mlx_vector_array_get(&part, parts, i));
    mlx_vector_array in = windows(tokens, part);
    TRY(mlx_closure_apply(&out, f, in) || mlx_vector_array_get(&value, out, 0));
    sum += item(value);
    mlx_vector_array_free(in);
  }
  mlx_array_free(starts), mlx_array_free(part), mlx_array_free(value);
  mlx_vector_array_free(parts), mlx_vector_array_free(out);
  return sum / BATCHES;
}

static mlx_optimizer optimizer_new(int steps, double rate, int warmup) {
  mlx_closure parts[2] = {mlx_closure_new(), mlx_closure_new()}, schedule = mlx_closure_new();
  mlx_optimizer optimizer = mlx_optimizer_adamw_new(rate, 0.9, 0.99, 1e-8, 0.1, true);
  TRY(mlx_schedule_linear(&parts[0], 0, rate, warmup) || mlx_schedule_cosine_decay(&parts[1], rate, steps - warmup, 0));
  TRY(mlx_schedule_join(&schedule, parts, 2, &warmup, 1));
  TRY(!optimizer.ctx || mlx_optimizer_set_schedule(optimizer, schedule));
  mlx_closure_free(parts[0]), mlx_closure_free(parts[1]), mlx_closure_free(schedule);
  return optimizer;
}

static void train(mlx_nn_module model, mlx_closure f, mlx_array tokens, int steps, int batch, double rate) {
  mlx_optimizer optimizer = optimizer_new(steps, rate, steps / 2 < 20 ? steps / 2 : 20);
  mlx_array low = mlx_array_new_int(0), high = mlx_array_new_int(mlx_array_dim(tokens, 0) - CONTEXT - 1), starts = mlx_array_new();
  mlx_array none = mlx_array_new();
  float *losses = malloc((size_t)steps * sizeof *losses);
  progress p = progress_new(steps);
  for (int i = 0; i < steps && losses; i++) {
    char text[32];
    TRY(mlx_random_randint(&starts, low, high, &batch, 1, MLX_INT32, none, s));
    mlx_vector_array in = windows(tokens, starts);
    losses[i] = train_step(model, optimizer, f, in, s);
    snprintf(text, sizeof text, "loss %.3f", losses[i]);
    progress_show(&p, i + 1, text);
    mlx_vector_array_free(in);
  }
  if (losses) draw_curve("training loss", losses, steps);
  free(losses);
  mlx_array_free(low), mlx_array_free(high), mlx_array_free(starts), mlx_array_free(none);
  mlx_optimizer_free(optimizer);
}

/* ---- letters: UTF-8, of one byte or more ---- */

typedef struct alphabet {
  const char *at[1024]; /* where each begins, and behind the last */
  int n;
} alphabet;

static alphabet alphabet_of(const char *text) {
  alphabet a = {.n = 0};
  for (; *text && a.n < 1023; text++)
    if (((unsigned char)*text & 0xC0) != 0x80) a.at[a.n++] = text;
  a.at[a.n] = text;
  return a;
}

/* The number of the letter that text begins with, and its length; -1: none of these. */
static int number_of(const alphabet *a, const char *text, int *length) {
  for (int i = 0; i < a->n; i++) {
    *length = (int)(a->at[i + 1] - a->at[i]);
    if (!strncmp(text, a->at[i], (size_t)*length)) return i;
  }
  *length = 1;
  return -1;
}

/* ---- writing ---- */

/* The last letters in a full window, so that every step has the same shape; *last is the place of the last one. */
static mlx_array window_of(const int *letters, int n, int *last) {
  int full[CONTEXT] = {0}, from = n > CONTEXT ? n - CONTEXT : 0;
  for (int i = from; i < n; i++) full[i - from] = letters[i];
  *last = n - from - 1;
  return mlx_array_new_data(full, (int[]){1, CONTEXT}, 2, MLX_INT32);
}

static void write_text(mlx_nn_module model, const alphabet *a, const char *prompt, int length, float temperature) {
  int *letters = malloc((strlen(prompt) + (size_t)length + 1) * sizeof *letters), n = 0, last, bytes;
  mlx_array y = mlx_array_new(), at = mlx_array_new(), warmth = mlx_array_new_float(temperature), none = mlx_array_new();
  for (const char *c = prompt; *c && letters; c += bytes)
    if ((letters[n] = number_of(a, c, &bytes)) >= 0) n++;
  if (n) printf("%s", prompt);
  for (int i = 0; i < length && n; i++) {
    mlx_array window = window_of(letters, n, &last);
    TRY(mlx_nn_module_call(&y, model, window) || mlx_squeeze_axis(&y, y, 0, s));
    mlx_array_set_int(&at, last);
    TRY(mlx_take_axis(&y, y, at, 0, s) || mlx_divide(&y, y, warmth, s) || mlx_random_categorical(&y, y, -1, none, s));
    uint32_t letter;
    TRY(mlx_array_item_uint32(&letter, y));
    printf("%.*s", (int)(a->at[letter + 1] - a->at[letter]), a->at[letter]);
    letters[n++] = (int)letter;
    fflush(stdout);
    mlx_array_free(window);
  }
  putchar('\n');
  free(letters);
  mlx_array_free(y), mlx_array_free(at), mlx_array_free(warmth), mlx_array_free(none);
}

static void save(mlx_nn_module model, const char *file, const char *alphabet) {
  mlx_map_string_to_array weights = mlx_map_string_to_array_new();
  mlx_map_string_to_string about = mlx_map_string_to_string_new();
  TRY(mlx_nn_module_parameters(&weights, model) || mlx_map_string_to_string_insert(about, "alphabet", alphabet));
  TRY(mlx_save_safetensors(file, weights, about));
  mlx_map_string_to_array_free(weights), mlx_map_string_to_string_free(about);
}

int main(int argc, char **argv) {
  int steps = atoi(option(argc, argv, "steps", "800")), batch = atoi(option(argc, argv, "batch-size", "12"));
  const char *data = option(argc, argv, "data", NULL), *out = option(argc, argv, "out", "text-c.safetensors"), *letters;
  double begin = seconds();
  if (!data || steps < 2 || batch < 1) return fprintf(stderr, "usage: text --data FILE [--steps N] ...: see text.c\n"), 2;
  s = mlx_default_cpu_stream_new();
  mlx_map_string_to_array arrays = mlx_map_string_to_array_new();
  mlx_map_string_to_string about = mlx_map_string_to_string_new();
  TRY(mlx_load_safetensors(&arrays, &about, data, s) || mlx_map_string_to_string_get(&letters, about, "alphabet"));
  alphabet a = alphabet_of(letters);
  mlx_array training = array_of(arrays, "training"), validation = array_of(arrays, "validation");

  TRY(mlx_random_seed((uint64_t)atoll(option(argc, argv, "seed", "0"))));
  mlx_nn_module model = build(a.n);
  mlx_closure f = mlx_closure_new_func_payload(loss, &model, NULL);
  size_t size;
  TRY(mlx_nn_module_count(&size, NULL, NULL, model));
  printf("%d letters to train on, %d to validate on; %d kinds; %zu parameters\n", mlx_array_dim(training, 0),
         mlx_array_dim(validation, 0), a.n, size);

  float before = validate(f, validation);
  printf("validation loss before %.3f\n", before);
  train(model, f, training, steps, batch, atof(option(argc, argv, "learning-rate", "3e-3")));
  float after = validate(f, validation);
  printf("validation loss after  %.3f\n", after);
  save(model, out, letters);
  printf("saved %s\n\n", out);
  TRY(mlx_nn_module_train(model, false));
  write_text(model, &a, option(argc, argv, "prompt", "The import statement"), atoi(option(argc, argv, "length", "400")),
             (float)atof(option(argc, argv, "temperature", "0.7")));
  printf("\nall in %.1f s\n", seconds() - begin);

  mlx_closure_free(f), mlx_nn_module_free(model), mlx_array_free(training), mlx_array_free(validation);
  mlx_map_string_to_array_free(arrays), mlx_map_string_to_string_free(about), mlx_stream_free(s);
  if (!(after < before - 1)) return fprintf(stderr, "the model has not learned\n"), 1;
  return 0;
}
