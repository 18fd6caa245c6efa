/*
 * mlx/c/nn.h: neural networks from C. Layers, losses and initialisers as functions over arrays are in mlx/c/nn_functions.h;
 * here they are modules: trees of named arrays with a forward function. An addition to mlx-c.
 *
 *   mlx_nn_module net = mlx_nn_sequential_new(3, (mlx_nn_module[]){mlx_nn_linear_new(784, 256, true),
 *                                                                  mlx_nn_function_new(mlx_nn_relu),
 *                                                                  mlx_nn_linear_new(256, 10, true)});
 *   mlx_nn_module_call(&y, net, x);
 *   mlx_nn_value_and_grad(&values, &gradients, net, loss, inputs);
 *   mlx_nn_module_save_weights(net, "net.safetensors");
 *
 * The path of an array joins the names from the root with dots, as Python's save_weights writes it ("layers.0.weight"): a model
 * built here loads what Python saved, and the reverse. Parameters begin as Python's do, with the same bits for the same seed.
 *
 * Modules run on the calling thread's default stream, and one thread at a time may use a module. Handles: `ctx == NULL` is the
 * empty one; copies of the struct share the box; several handles may share a module, which lives as long as one of them or a
 * module above it. Constructors give an empty handle after an error; functions return 0 or 1, or 2 where that is said.
 */
#ifndef MLX_C_NN_H
#define MLX_C_NN_H

#include <stdbool.h>
#include <stddef.h>

#include "mlx/c/array.h"
#include "mlx/c/closure.h"
#include "mlx/c/distributed_group.h"
#include "mlx/c/map.h"
#include "mlx/c/nn_functions.h"
#include "mlx/c/stream.h"
#include "mlx/c/string.h"
#include "mlx/c/vector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A module: named arrays and modules, and a function. */
typedef struct mlx_nn_module_ {
  void* ctx;
} mlx_nn_module;

/**
 * A module's function: inputs are borrowed, `res` arrives empty and is filled. Non-zero fails the call. `self` is borrowed; what is
 * set in it stays (running statistics).
 */
typedef int (*mlx_nn_forward)(
    mlx_vector_array* res,
    const mlx_nn_module self,
    const mlx_vector_array inputs,
    void* payload);

/** A function of one array, such as mlx_nn_relu. */
typedef int (*mlx_nn_unary)(mlx_array* res, const mlx_array x, const mlx_stream s);

/* ---- Modules */

/** The empty handle. */
mlx_nn_module mlx_nn_module_new(void);

/**
 * A module of one's own, without members yet. `type` is its name when printed. `dtor`, if any, is called with the payload when the
 * module goes, also when this call fails. `forward` may be NULL: the module then only holds members.
 */
mlx_nn_module mlx_nn_module_new_custom(
    const char* type,
    mlx_nn_forward forward,
    void* payload,
    void (*dtor)(void*));

/** Gives the handle's share of the module back. An empty handle is fine. */
int mlx_nn_module_free(mlx_nn_module module);

/** Makes `module` hold the module of `src`. */
int mlx_nn_module_set(mlx_nn_module* module, const mlx_nn_module src);

/**
 * Adds a module as the member `name` ("fc1", "layers.0"), or replaces the one there. Takes `child`: its handle is freed, also when
 * this call fails, so that a constructor may stand in its place. mlx_nn_module_get_module gives another handle.
 */
int mlx_nn_module_add(const mlx_nn_module module, const char* name, mlx_nn_module child);

/** Sets the array of a member, or adds one. Names that begin with an underscore are kept but are no parameters. */
int mlx_nn_module_set_array(const mlx_nn_module module, const char* name, const mlx_array value);

/** The array at a path. Returns 2, and calls no error handler, when there is none. */
int mlx_nn_module_get_array(mlx_array* res, const mlx_nn_module module, const char* path);

/** The module at a path. Returns 2, and calls no error handler, when there is none. */
int mlx_nn_module_get_module(mlx_nn_module* res, const mlx_nn_module module, const char* path);

/** Calls the module with any number of inputs. */
int mlx_nn_module_apply(mlx_vector_array* res, const mlx_nn_module module, const mlx_vector_array inputs);

/** Calls the module with one input; its first result. */
int mlx_nn_module_call(mlx_array* res, const mlx_nn_module module, const mlx_array x);

/** Calls the module at a path with one input: what forward functions mostly do. */
int mlx_nn_module_call_child(mlx_array* res, const mlx_nn_module module, const char* path, const mlx_array x);

/** The module's name: of its layer, or as it was made. Valid while the module lives; NULL for an empty handle. */
const char* mlx_nn_module_type(const mlx_nn_module module);

/** The tree as Python prints it. */
int mlx_nn_module_tostring(mlx_string* res, const mlx_nn_module module);

/**
 * A table of the modules that hold parameters: path, type, shapes, how many numbers and bytes; and the sums, with those that are
 * trainable.
 */
int mlx_nn_module_summary(mlx_string* res, const mlx_nn_module module);

/* ---- Parameters */

/** All parameters by their paths, in the order they were set. */
int mlx_nn_module_parameters(mlx_map_string_to_array* res, const mlx_nn_module module);

/** Those that are not frozen. */
int mlx_nn_module_trainable_parameters(mlx_map_string_to_array* res, const mlx_nn_module module);

/** All arrays, also those whose names begin with an underscore. */
int mlx_nn_module_state(mlx_map_string_to_array* res, const mlx_nn_module module);

/**
 * Replaces the arrays that `values` has by their paths; it may be any part of the module. strict: a path that the module has not is
 * an error, and then nothing is replaced.
 */
int mlx_nn_module_update(const mlx_nn_module module, const mlx_map_string_to_array values, bool strict);

/**
 * Leaves arrays out of the trainable parameters: all of the module's own, or the members that `keys` names ("bias"), with `recurse`
 * also in all modules below. strict: a key that nobody has is an error.
 */
int mlx_nn_module_freeze(
    const mlx_nn_module module,
    bool recurse,
    const char* const* keys /* may be empty */,
    size_t keys_num,
    bool strict);

/** Undoes mlx_nn_module_freeze. Running statistics of batch norm are never trainable. */
int mlx_nn_module_unfreeze(
    const mlx_nn_module module,
    bool recurse,
    const char* const* keys /* may be empty */,
    size_t keys_num,
    bool strict);

/** Training mode, here and below: dropout drops and batch norm gathers statistics only then. Modules begin in it. */
int mlx_nn_module_train(const mlx_nn_module module, bool mode);

/** Whether the module is in training mode. */
int mlx_nn_module_training(bool* res, const mlx_nn_module module);

/** How many numbers the parameters have, how many of them are trainable, and their bytes. Each may be NULL. */
int mlx_nn_module_count(
    size_t* parameters /* may be empty */,
    size_t* trainable /* may be empty */,
    size_t* bytes /* may be empty */,
    const mlx_nn_module module);

/** Casts the floating parameters. */
int mlx_nn_module_set_dtype(const mlx_nn_module module, mlx_dtype dtype);

/** Computes all arrays of the module, and waits. */
int mlx_nn_module_evaluate(const mlx_nn_module module);

/** Writes the parameters into a .safetensors file. */
int mlx_nn_module_save_weights(const mlx_nn_module module, const char* file);

/**
 * Sets the parameters from a .safetensors file. strict: paths and shapes must be exactly those of mlx_nn_module_parameters, and layers
 * take what is floating for what is floating and packed weights of just their dtype; else what has no place is left out. The
 * error names the file, the path and both facts.
 */
int mlx_nn_module_load_weights(const mlx_nn_module module, const char* file, bool strict);

/** The same from a map. */
int mlx_nn_module_load_map(const mlx_nn_module module, const mlx_map_string_to_array weights, bool strict);

/* ---- Gradients */

/**
 * All values of `loss` at `inputs` (res_0) and the gradients of the first, a scalar, by the trainable parameters of the module
 * (res_1), by their paths. The loss calls the module, which its payload knows.
 */
int mlx_nn_value_and_grad(
    mlx_vector_array* res_0,
    mlx_map_string_to_array* res_1,
    const mlx_nn_module module,
    const mlx_closure loss,
    const mlx_vector_array inputs);

/**
 * A closure over arrays alone, for mlx_compile, mlx_vmap and the like: its first inputs are put into the module in the place of its
 * arrays (those of mlx_nn_module_state with `state`, else of mlx_nn_module_trainable_parameters, in the order of that map), `fun` is
 * called with the others, and the module gets back what it had. `fun` may give what mlx_nn_module_state says at its end.
 */
int mlx_nn_functional(mlx_closure* res, const mlx_nn_module module, const mlx_closure fun, bool state);

/* ---- Layers. A list of sizes has as many numbers as the layer has spatial axes. */

/** Calls modules one after the other; they are its members "layers.0", ... Takes their handles, also when it fails. */
mlx_nn_module mlx_nn_sequential_new(size_t n, const mlx_nn_module* layers);

/** A module without parameters that calls `function`. */
mlx_nn_module mlx_nn_function_new(mlx_nn_unary function);

/** Gives its first input. */
mlx_nn_module mlx_nn_identity_new(void);

/** mlx_nn_linear with members "weight" and "bias". */
mlx_nn_module mlx_nn_linear_new(int input_dims, int output_dims, bool bias);

/** mlx_nn_bilinear, of two inputs. */
mlx_nn_module mlx_nn_bilinear_new(int input1_dims, int input2_dims, int output_dims, bool bias);

/** mlx_nn_embedding. */
mlx_nn_module mlx_nn_embedding_new(int num_embeddings, int dims);

/** Convolution over (N, L, C). */
mlx_nn_module mlx_nn_conv1d_new(
    int in_channels,
    int out_channels,
    int kernel_size,
    int stride,
    int padding,
    int dilation,
    int groups,
    bool bias);

/** Convolution over (N, H, W, C). */
mlx_nn_module mlx_nn_conv2d_new(
    int in_channels,
    int out_channels,
    const int kernel_size[2],
    const int stride[2],
    const int padding[2],
    const int dilation[2],
    int groups,
    bool bias);

/** Convolution over (N, D, H, W, C). */
mlx_nn_module mlx_nn_conv3d_new(
    int in_channels,
    int out_channels,
    const int kernel_size[3],
    const int stride[3],
    const int padding[3],
    const int dilation[3],
    bool bias);

/** Transposed convolution over (N, L, C). */
mlx_nn_module mlx_nn_conv_transpose1d_new(
    int in_channels,
    int out_channels,
    int kernel_size,
    int stride,
    int padding,
    int dilation,
    int output_padding,
    bool bias);

/** Transposed convolution over (N, H, W, C). */
mlx_nn_module mlx_nn_conv_transpose2d_new(
    int in_channels,
    int out_channels,
    const int kernel_size[2],
    const int stride[2],
    const int padding[2],
    const int dilation[2],
    const int output_padding[2],
    bool bias);

/** Transposed convolution over (N, D, H, W, C). */
mlx_nn_module mlx_nn_conv_transpose3d_new(
    int in_channels,
    int out_channels,
    const int kernel_size[3],
    const int stride[3],
    const int padding[3],
    const int dilation[3],
    const int output_padding[3],
    bool bias);

/** mlx_nn_max_pool over `dims` spatial axes, 1 to 3. */
mlx_nn_module mlx_nn_max_pool_new(int dims, const int* kernel_size, const int* stride, const int* padding);

/** mlx_nn_avg_pool over `dims` spatial axes, 1 to 3. */
mlx_nn_module mlx_nn_avg_pool_new(int dims, const int* kernel_size, const int* stride, const int* padding);

/** mlx_nn_layer_norm. */
mlx_nn_module mlx_nn_layer_norm_new(int dims, double eps, bool affine, bool bias);

/** mlx_nn_rms_norm. */
mlx_nn_module mlx_nn_rms_norm_new(int dims, double eps);

/** mlx_nn_instance_norm. */
mlx_nn_module mlx_nn_instance_norm_new(int dims, double eps, bool affine);

/** mlx_nn_group_norm; `pytorch_compatible`: groups are neighbours. */
mlx_nn_module mlx_nn_group_norm_new(int num_groups, int dims, double eps, bool affine, bool pytorch_compatible);

/** Batch norm: in training mode by the batch's statistics, which are averaged in "running_mean" and "running_var" for later. */
mlx_nn_module mlx_nn_batch_norm_new(
    int num_features,
    double eps,
    double momentum,
    bool affine,
    bool track_running_stats);

/** mlx_nn_dropout in training mode, else its input. */
mlx_nn_module mlx_nn_dropout_new(double p);

/** mlx_nn_dropout2d in training mode. */
mlx_nn_module mlx_nn_dropout2d_new(double p);

/** mlx_nn_dropout3d in training mode. */
mlx_nn_module mlx_nn_dropout3d_new(double p);

/** mlx_nn_rnn. Inputs: the sequence and, if there is one, the hidden state to begin with. */
mlx_nn_module mlx_nn_rnn_new(int input_size, int hidden_size, bool bias);

/** mlx_nn_gru. Inputs: the sequence and, if there is one, the hidden state to begin with. */
mlx_nn_module mlx_nn_gru_new(int input_size, int hidden_size, bool bias);

/** mlx_nn_lstm. Inputs: the sequence and, if there are, the hidden state and the cell to begin with. Two results. */
mlx_nn_module mlx_nn_lstm_new(int input_size, int hidden_size, bool bias);

/**
 * Attention in several heads between the layers "query_proj", "key_proj", "value_proj" and "out_proj". Inputs: queries, keys, values,
 * (N, L, dims) each, and a mask, as mlx_fast_scaled_dot_product_attention takes it; without one, `causal` hides what comes later.
 */
mlx_nn_module mlx_nn_multi_head_attention_new(int dims, int num_heads, bool bias, bool causal);

/** The same with sizes of its own, of which 0 is Python's default. */
mlx_nn_module mlx_nn_multi_head_attention_new_dims(
    int dims,
    int num_heads,
    int query_input_dims,
    int key_input_dims,
    int value_input_dims,
    int value_dims,
    int value_output_dims,
    bool bias,
    bool causal);

/** mlx_fast_rope. Inputs: (..., L, dims) and, if it is not 0, the position of the first. */
mlx_nn_module mlx_nn_rope_new(int dims, bool traditional, double base, double scale);

/** mlx_nn_sinusoidal; a scale of 0 is sqrt(2 / dims). */
mlx_nn_module mlx_nn_sinusoidal_new(
    int dims,
    double min_freq,
    double max_freq,
    double scale,
    bool cos_first,
    bool full_turns);

/** Adds mlx_nn_alibi to attention scores (N, heads, queries, keys). Inputs: the scores and, if there is one, a mask. */
mlx_nn_module mlx_nn_alibi_new(void);

/** mlx_nn_prelu with `num_parameters` learned slopes that begin at `init`, 0.25 in Python. */
mlx_nn_module mlx_nn_prelu_new(int num_parameters, double init);

/**
 * One layer of an encoder: self attention and a perceptron of `mlp_dims` (0: four times dims), each with a residual connection and a
 * norm, before it (`norm_first`) or after the sum. Inputs: (N, L, dims) and, if there is one, a mask; without it `causal` hides what
 * comes later. An `activation` of NULL is mlx_nn_relu.
 */
mlx_nn_module mlx_nn_transformer_encoder_layer_new(
    int dims,
    int num_heads,
    int mlp_dims,
    double dropout,
    mlx_nn_unary activation,
    bool norm_first,
    bool causal);

/** The same with attention to a memory between. Inputs: (N, L, dims), the memory, and masks of both. */
mlx_nn_module mlx_nn_transformer_decoder_layer_new(
    int dims,
    int num_heads,
    int mlp_dims,
    double dropout,
    mlx_nn_unary activation,
    bool norm_first,
    bool causal);

/**
 * `num_layers` layers of an encoder and a layer norm. checkpoint: what the layers compute inside is not kept for gradients but computed
 * again, which takes less memory and more time.
 */
mlx_nn_module mlx_nn_transformer_encoder_new(
    int num_layers,
    int dims,
    int num_heads,
    int mlp_dims,
    double dropout,
    mlx_nn_unary activation,
    bool norm_first,
    bool causal,
    bool checkpoint);

/** `num_layers` layers of a decoder and a layer norm. */
mlx_nn_module mlx_nn_transformer_decoder_new(
    int num_layers,
    int dims,
    int num_heads,
    int mlp_dims,
    double dropout,
    mlx_nn_unary activation,
    bool norm_first,
    bool causal,
    bool checkpoint);

/**
 * Encoder and decoder; `causal` is that of the decoder. Inputs: source, target, and masks of the source, the target and the memory,
 * as many as there are.
 */
mlx_nn_module mlx_nn_transformer_new(
    int dims,
    int num_heads,
    int num_encoder_layers,
    int num_decoder_layers,
    int mlp_dims,
    double dropout,
    mlx_nn_unary activation,
    bool norm_first,
    bool causal,
    bool checkpoint);

/** mlx_nn_upsample by one scale, or 2 or 3 for as many spatial axes. */
mlx_nn_module mlx_nn_upsample_new(
    const double* scale,
    size_t scale_num,
    const char* mode,
    bool align_corners,
    bool antialias);

/** mlx_nn_adaptive_avg_pool over `dims` spatial axes, 1 to 3; a size of -1 keeps an axis. */
mlx_nn_module mlx_nn_adaptive_avg_pool_new(int dims, const int* output_size);

/** mlx_nn_adaptive_max_pool over `dims` spatial axes, 1 to 3; a size of -1 keeps an axis. */
mlx_nn_module mlx_nn_adaptive_max_pool_new(int dims, const int* output_size);

/** mlx_nn_pixel_shuffle. */
mlx_nn_module mlx_nn_pixel_shuffle_new(int factor);

/** mlx_nn_pixel_unshuffle. */
mlx_nn_module mlx_nn_pixel_unshuffle_new(int factor);

/** mlx_nn_embedding_bag. Inputs: the indices and, if they are flat, the offsets of the bags. */
mlx_nn_module mlx_nn_embedding_bag_new(int num_embeddings, int dims, const char* mode);

/**
 * A layer whose "weight" is made of "weight_g" and "weight_v" at each call (mlx_nn_weight_norm); it is the member "module". Takes the
 * layer's handle, also when it fails.
 */
mlx_nn_module mlx_nn_weight_norm_new(mlx_nn_module layer, int axis);

/**
 * A layer whose "weight" is "weight_orig" divided by its largest singular value (mlx_nn_spectral_norm), which in training mode takes
 * so many power iterations at each call. Takes the layer's handle, also when it fails.
 */
mlx_nn_module mlx_nn_spectral_norm_new(mlx_nn_module layer, int iterations, double eps);

/**
 * mlx_quantized_matmul with members "weight", "scales", "biases" (mode "affine") and "bias", all frozen. A group size or bits of 0 are
 * those of the mode: "affine", "mxfp4", "nvfp4" or "mxfp8".
 */
mlx_nn_module mlx_nn_quantized_linear_new(
    int input_dims,
    int output_dims,
    bool bias,
    int group_size,
    int bits,
    const char* mode);

/** mlx_nn_embedding of a quantized table. */
mlx_nn_module mlx_nn_quantized_embedding_new(
    int num_embeddings,
    int dims,
    int group_size,
    int bits,
    const char* mode);

/**
 * mlx_qqmm without a bias, which quantizes its input too. In training mode the layer has the plain "weight" and quantizes it at each
 * call; mlx_nn_module_train with `false` makes of it the quantized "weight" and "scales", with `true` the plain one again. The mode must
 * be one without biases: "nvfp4" in Python.
 */
mlx_nn_module mlx_nn_qq_linear_new(
    int input_dims,
    int output_dims,
    int group_size,
    int bits,
    const char* mode);

/**
 * A linear layer of which each process of the group computes a part of the outputs. The empty handle is the group of all processes; so
 * far there are groups of one, where this is mlx_nn_linear_new.
 */
mlx_nn_module mlx_nn_all_to_sharded_linear_new(
    int input_dims,
    int output_dims,
    bool bias,
    const mlx_distributed_group group /* may be empty */);

/** A linear layer of which each process of the group has the weights for a part of the inputs; what they compute is summed. */
mlx_nn_module mlx_nn_sharded_to_all_linear_new(
    int input_dims,
    int output_dims,
    bool bias,
    const mlx_distributed_group group /* may be empty */);

/** mlx_nn_all_to_sharded_linear_new with a quantized weight, as mlx_nn_quantized_linear_new has it. */
mlx_nn_module mlx_nn_quantized_all_to_sharded_linear_new(
    int input_dims,
    int output_dims,
    bool bias,
    int group_size,
    int bits,
    const char* mode,
    const mlx_distributed_group group /* may be empty */);

/** mlx_nn_sharded_to_all_linear_new with a quantized weight. */
mlx_nn_module mlx_nn_quantized_sharded_to_all_linear_new(
    int input_dims,
    int output_dims,
    bool bias,
    int group_size,
    int bits,
    const char* mode,
    const mlx_distributed_group group /* may be empty */);

/** Whether the layer at a path shall be quantized. */
typedef bool (*mlx_nn_predicate)(const char* path, const mlx_nn_module layer, void* payload);

/**
 * Puts quantized layers in the places of the linear layers and embeddings below `module`: all, or those that `wanted`, which may be
 * NULL, says yes to. After an error nothing is changed.
 */
int mlx_nn_quantize(
    const mlx_nn_module module,
    int group_size,
    int bits,
    const char* mode,
    mlx_nn_predicate wanted,
    void* payload);

/* ---- Training */

/**
 * Moves a running average of parameters: decay * average + (1 - decay) * values for each path in `values`. One that `average` has not
 * begins as the value; what is no floating-point number is taken over. mlx_nn_module_load_map puts an average into a module.
 */
int mlx_nn_update_average(
    const mlx_map_string_to_array average,
    const mlx_map_string_to_array values,
    double decay);

/**
 * Adds scale * gradients to `total`, for each path in `gradients`; one that `total` has not begins as 0. With a scale of 1 / n the
 * total of n batches is their mean. Half floats are summed in f32.
 */
int mlx_nn_accumulate(
    const mlx_map_string_to_array total,
    const mlx_map_string_to_array gradients,
    double scale);

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_NN_H */
