"""Find the weights of a line by gradient descent: arrays, a loss, its gradient, and nothing else."""

import time

import mlx.core as mx

features, examples, steps, learning_rate = 100, 1_000, 1_000, 0.01

mx.random.seed(0)
w_true = mx.random.normal((features,))
X = mx.random.normal((examples, features))
y = X @ w_true + 1e-2 * mx.random.normal((examples,))


def loss_fn(w: mx.array) -> mx.array:
    return 0.5 * mx.mean(mx.square(X @ w - y))


grad_fn = mx.grad(loss_fn)
w = 1e-2 * mx.random.normal((features,))

start = time.perf_counter()
for _ in range(steps):
    w = w - learning_rate * grad_fn(w)
    mx.eval(w)
spent = time.perf_counter() - start

error = mx.sqrt(mx.sum(mx.square(w - w_true))).item()
print(f"loss {loss_fn(w).item():.6f}, distance to the true weights {error:.4f}, {steps / spent:.0f} steps a second")
assert error < 0.1
