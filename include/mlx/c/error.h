/*
 * mlx/c/error.h: what happens when a function fails.
 *
 * A function that fails returns 1 (or the empty handle, or NULL) after it told the error handler what is wrong.
 * Nothing in the library prints or ends the process: without a handler the message is only kept, per thread
 * (mlx/c/last_error.h).
 */
#ifndef MLX_C_ERROR_H
#define MLX_C_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/** Called with the message, which ends with " at file:line" and lives until the call returns, and your `data`. */
typedef void (*mlx_error_handler_func)(const char* msg, void* data);

/**
 * Sets the handler of all threads; NULL restores the default, which only keeps the message. `dtor`, if any, is called
 * with `data` when the handler is replaced. The handler may be called from any thread that calls the library.
 */
void mlx_set_error_handler(
    mlx_error_handler_func handler,
    void* data,
    void (*dtor)(void*));

/** Reports an error of your own, as a closure does before it returns non-zero. Use the macro mlx_error. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void _mlx_error(const char* file, const int line, const char* fmt, ...);

/** mlx_error(format, ...): reports an error at this line. */
#define mlx_error(...) _mlx_error(__FILE__, __LINE__, __VA_ARGS__)

#ifdef __cplusplus
}
#endif

#endif /* MLX_C_ERROR_H */
