/* examples/python/digits.py in C: trains the same convolutional network on the same scans of handwritten digits, with the same
 * initial values and random draws for the same seed.
 *
 *   python examples/python/digits.py --export digits-data.safetensors     the scans, which come with scikit-learn
 *   digits --data digits-data.safetensors [--epochs 40] [--batch-size 64] [--learning-rate 3e-3] [--seed 0] [--goal 0.98]
 *          [--out digits-c.safetensors]
 *   python examples/python/digits.py --weights digits-c.safetensors       the same picture, of what C has trained
 *
 * Returns 0 when the goal is reached. */
#include "trainer.h"

static mlx_stream s;

/* Net.__call__ */
static int forward(mlx_vector_array *res, const mlx_nn_module self, const mlx_vector_array inputs, void *payload) {
  (void)payload;
  mlx_array x = mlx_array_new();
  const int two = 2;
  TRY(mlx_vector_array_get(&x, inputs, 0));
  TRY(mlx_nn_module_call_child(&x, self, "conv1", x) || mlx_nn_relu(&x, x, s));
  TRY(mlx_nn_module_call_child(&x, self, "conv2", x) || mlx_nn_relu(&x, x, s) || mlx_nn_max_pool(&x, x, &two, 1, NULL, 0, NULL, 0, s));
  TRY(mlx_flatten(&x, x, 1, -1, s) || mlx_nn_module_call_child(&x, self, "dropout", x));
  TRY(mlx_nn_module_call_child(&x, self, "linear1", x) || mlx_nn_relu(&x, x, s) || mlx_nn_module_call_child(&x, self, "linear2", x));
  TRY(mlx_vector_array_set_value(res, x));
  mlx_array_free(x);
  return 0;
}

static mlx_nn_module build(void) {
  mlx_nn_module net = mlx_nn_module_new_custom("Net", forward, NULL, NULL);
  const int three[] = {3, 3}, one[] = {1, 1};
  TRY(mlx_nn_module_add(net, "conv1", mlx_nn_conv2d_new(1, 16, three, one, one, one, 1, true)));
  TRY(mlx_nn_module_add(net, "conv2", mlx_nn_conv2d_new(16, 32, three, one, one, one, 1, true)));
  TRY(mlx_nn_module_add(net, "dropout", mlx_nn_dropout_new(0.3)));
  TRY(mlx_nn_module_add(net, "linear1", mlx_nn_linear_new(4 * 4 * 32, 64, true)));
  TRY(mlx_nn_module_add(net, "linear2", mlx_nn_linear_new(64, 10, true)));
  return net;
}

/* inputs: images (N, 8, 8, 1) and their digits (N,); payload: the network. */
static int loss(mlx_vector_array *res, const mlx_vector_array inputs, void *payload) {
  mlx_array x = mlx_array_new(), y = mlx_array_new(), none = mlx_array_new();
  TRY(mlx_vector_array_get(&x, inputs, 0) || mlx_vector_array_get(&y, inputs, 1));
  TRY(mlx_nn_module_call(&x, *(mlx_nn_module *)payload, x) || mlx_nn_cross_entropy(&x, x, y, none, -1, 0, "mean", s));
  TRY(mlx_vector_array_set_value(res, x));
  mlx_array_free(x), mlx_array_free(y), mlx_array_free(none);
  return 0;
}

/* Each image moved by up to a pixel in either direction, as a hand might have. */
static mlx_array shifted(mlx_array images) {
  int n = mlx_array_dim(images, 0), axes[] = {1, 2}, ones[] = {1, 1}, per[] = {2, n, 1, 1};
  mlx_array padded = mlx_array_new(), none = mlx_array_new(), zero = mlx_array_new_int(0), three = mlx_array_new_int(3);
  mlx_array pixel = mlx_array_new_float(0), moves = mlx_array_new(), step = mlx_array_new(), of = mlx_array_new();
  mlx_array row = mlx_array_new(), col = mlx_array_new(), side = mlx_array_new_int(10), area = mlx_array_new_int(100);
  mlx_vector_array both = mlx_vector_array_new();
  TRY(mlx_pad(&padded, images, axes, 2, ones, 2, ones, 2, pixel, "constant", s) || mlx_flatten(&padded, padded, 0, -1, s));
  TRY(mlx_random_randint(&moves, zero, three, per, 4, MLX_INT32, none, s) || mlx_unstack(&both, moves, 0, s));
  TRY(mlx_vector_array_get(&row, both, 0) || mlx_vector_array_get(&col, both, 1) || mlx_arange(&step, 0, 8, 1, MLX_INT32, s));
  TRY(mlx_add(&col, col, step, s) || mlx_expand_dims(&step, step, 1, s) || mlx_add(&row, row, step, s));
  /* where each pixel stands in the flattened images of 10 by 10 */
  TRY(mlx_arange(&of, 0, n, 1, MLX_INT32, s) || mlx_reshape(&of, of, (int[]){n, 1, 1}, 3, s) || mlx_multiply(&of, of, area, s));
  TRY(mlx_multiply(&row, row, side, s) || mlx_add(&row, row, col, s) || mlx_add(&of, of, row, s));
  TRY(mlx_take(&padded, padded, of, s) || mlx_expand_dims(&padded, padded, -1, s));
  mlx_array_free(none), mlx_array_free(zero), mlx_array_free(three), mlx_array_free(pixel), mlx_array_free(moves);
  mlx_array_free(step), mlx_array_free(of), mlx_array_free(row), mlx_array_free(col), mlx_array_free(side), mlx_array_free(area);
  mlx_vector_array_free(both);
  return padded;
}

static float accuracy(mlx_nn_module net, mlx_array images, mlx_array labels) {
  mlx_array y = mlx_array_new();
  TRY(mlx_nn_module_train(net, false) || mlx_nn_module_call(&y, net, images) || mlx_argmax_axis(&y, y, 1, false, s));
  TRY(mlx_equal(&y, y, labels, s) || mlx_mean(&y, y, false, s));
  float share = item(y);
  mlx_array_free(y);
  return share;
}

/* Batch i of this order, as the inputs of the loss. */
static mlx_vector_array batch_at(mlx_array images, mlx_array labels, mlx_array order, int i, int size) {
  mlx_array at = mlx_array_new(), x = mlx_array_new(), y = mlx_array_new();
  TRY(mlx_slice(&at, order, (int[]){i * size}, 1, (int[]){(i + 1) * size}, 1, (int[]){1}, 1, s));
  TRY(mlx_take_axis(&x, images, at, 0, s) || mlx_take_axis(&y, labels, at, 0, s));
  mlx_vector_array batch = mlx_vector_array_new_data((mlx_array[]){x, y}, 2);
  mlx_array_free(at), mlx_array_free(x), mlx_array_free(y);
  return batch;
}

/* The mean loss of an epoch. */
static float epoch(mlx_nn_module net, mlx_optimizer optimizer, mlx_closure f, mlx_array images, mlx_array labels, int batch_size) {
  int n = mlx_array_dim(labels, 0), steps = n / batch_size;
  double sum = 0;
  mlx_array order = mlx_array_new(), none = mlx_array_new();
  TRY(mlx_nn_module_train(net, true) || mlx_random_permutation_arange(&order, n, none, s));
  mlx_array moved = shifted(images);
  for (int i = 0; i < steps; i++) {
    mlx_vector_array batch = batch_at(moved, labels, order, i, batch_size);
    sum += train_step(net, optimizer, f, batch, s);
    mlx_vector_array_free(batch);
  }
  mlx_array_free(order), mlx_array_free(none), mlx_array_free(moved);
  return (float)(sum / steps);
}

typedef struct digits {
  mlx_array images, labels, test_images, test_labels;
} digits;

static digits load(const char *file) {
  mlx_map_string_to_array arrays = mlx_map_string_to_array_new();
  mlx_map_string_to_string about = mlx_map_string_to_string_new();
  TRY(mlx_load_safetensors(&arrays, &about, file, s));
  digits d = {array_of(arrays, "train.images"), array_of(arrays, "train.labels"), array_of(arrays, "test.images"),
              array_of(arrays, "test.labels")};
  mlx_map_string_to_array_free(arrays), mlx_map_string_to_string_free(about);
  return d;
}

int main(int argc, char **argv) {
  int epochs = atoi(option(argc, argv, "epochs", "40")), batch = atoi(option(argc, argv, "batch-size", "64"));
  double goal = atof(option(argc, argv, "goal", "0.98")), begin = seconds();
  const char *data = option(argc, argv, "data", NULL), *out = option(argc, argv, "out", "digits-c.safetensors");
  if (!data || epochs < 1 || batch < 1) return fprintf(stderr, "usage: digits --data FILE [--epochs N] ...: see digits.c\n"), 2;
  s = mlx_default_cpu_stream_new();
  digits d = load(data);
  int n = mlx_array_dim(d.labels, 0), kept = mlx_array_dim(d.test_labels, 0);
  if (batch > n) return fprintf(stderr, "there are %d images, fewer than a batch\n", n), 2;

  TRY(mlx_random_seed((uint64_t)atoll(option(argc, argv, "seed", "0"))));
  mlx_nn_module net = build();
  size_t size;
  TRY(mlx_nn_module_count(&size, NULL, NULL, net));
  printf("%d images to train on, %d to test on; %zu parameters\n", n, kept, size);

  double rate = atof(option(argc, argv, "learning-rate", "3e-3"));
  mlx_optimizer optimizer = mlx_optimizer_adam_new(rate, 0.9, 0.999, 1e-8, false);
  mlx_closure schedule = mlx_closure_new(), f = mlx_closure_new_func_payload(loss, &net, NULL);
  TRY(mlx_schedule_cosine_decay(&schedule, rate, (double)epochs * (n / batch), 0));
  TRY(!optimizer.ctx || mlx_optimizer_set_schedule(optimizer, schedule));

  float *losses = malloc((size_t)epochs * sizeof *losses), right = 0;
  progress p = progress_new(epochs);
  for (int i = 0; i < epochs && losses; i++) {
    char text[64];
    losses[i] = epoch(net, optimizer, f, d.images, d.labels, batch);
    right = accuracy(net, d.test_images, d.test_labels);
    snprintf(text, sizeof text, "loss %.4f  test %.2f %%", losses[i], 100 * right);
    progress_show(&p, i + 1, text);
  }
  if (losses) draw_curve("training loss", losses, epochs);
  TRY(mlx_nn_module_save_weights(net, out));
  printf("test accuracy %.2f %% (%.0f of %d wrong), weights in %s\n", 100 * right, (1 - right) * (float)kept, kept, out);
  printf("all in %.1f s\n", seconds() - begin);

  free(losses);
  mlx_optimizer_free(optimizer), mlx_closure_free(schedule), mlx_closure_free(f), mlx_nn_module_free(net);
  mlx_array_free(d.images), mlx_array_free(d.labels), mlx_array_free(d.test_images), mlx_array_free(d.test_labels);
  mlx_stream_free(s);
  if (right < goal) fprintf(stderr, "below the goal of %.0f %%\n", 100 * goal);
  return right < goal;
}
