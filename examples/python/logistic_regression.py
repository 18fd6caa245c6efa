"""Tell malignant from benign tumours by thirty measurements (scikit-learn's data), with the loss written out."""

import mlx.core as mx
import numpy as np
from sklearn.datasets import load_breast_cancer

data = load_breast_cancer()
X = mx.array(data.data.astype(np.float32))
X = (X - mx.mean(X, axis=0)) / mx.std(X, axis=0)
y = mx.array(data.target.astype(np.float32))
order = mx.array(np.random.default_rng(0).permutation(len(y)))
test, train = order[:114], order[114:]


def loss_fn(w: mx.array, b: mx.array, x: mx.array, y: mx.array) -> mx.array:
    logits = x @ w + b
    return mx.mean(mx.logaddexp(0.0, logits) - y * logits) + 1e-3 * mx.sum(mx.square(w))


grad_fn = mx.value_and_grad(loss_fn, argnums=(0, 1))
w, b = mx.zeros((X.shape[1],)), mx.array(0.0)
for step in range(301):
    loss, (dw, db) = grad_fn(w, b, X[train], y[train])
    w, b = w - 0.5 * dw, b - 0.5 * db
    if step % 100 == 0:
        print(f"step {step}: loss {loss.item():.4f}")

accuracy = mx.mean((X[test] @ w + b > 0) == (y[test] == 1)).item()
print(f"test accuracy {100 * accuracy:.1f} %")
assert accuracy > 0.93
