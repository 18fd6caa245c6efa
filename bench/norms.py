"""Softmax, the norms and cross-entropy over the last axis, forward and backward. NumPy has none of them."""

from peers import race

ROWS, WIDTH = 4096, 4096
EPS = 1e-5


def numbers(rng):
    """x, a cotangent, weights, biases"""
    draw = lambda *shape: rng.standard_normal(shape, dtype="float32")
    return [draw(ROWS, WIDTH), draw(ROWS, WIDTH), draw(WIDTH), draw(WIDTH)]


def logits(rng):
    return [rng.standard_normal((ROWS, WIDTH), dtype="float32"), rng.integers(0, WIDTH, ROWS)]


def jax_layer_norm(m, x, w, b):
    centred = x - x.mean(-1, keepdims=True)
    return centred / m.sqrt((centred * centred).mean(-1, keepdims=True) + EPS) * w + b


def jax_rms_norm(m, x, w, b):
    return x / m.sqrt((x * x).mean(-1, keepdims=True) + EPS) * w


def jax_softmax(m, x, w, b):
    import jax
    return jax.nn.softmax(x, -1)


def jax_cross_entropy(m, x, targets):
    import jax
    return -m.take_along_axis(jax.nn.log_softmax(x, -1), targets[:, None], -1).mean()


def torch_cross_entropy(m, x, targets):
    return m.nn.functional.cross_entropy(x, targets)


def mx_cross_entropy(m, x, targets):
    import mlx.nn
    return mlx.nn.losses.cross_entropy(x, targets, reduction="mean")


FORWARD = {
    "softmax": (lambda m, x, w, b: m.softmax(x, -1), lambda m, x, w, b: m.softmax(x, -1), jax_softmax),
    "layer norm": (lambda m, x, w, b: m.fast.layer_norm(x, w, b, EPS), lambda m, x, w, b: m.layer_norm(x, (WIDTH,), w, b, EPS),
                   jax_layer_norm),
    "rms norm": (lambda m, x, w, b: m.fast.rms_norm(x, w, EPS), lambda m, x, w, b: m.rms_norm(x, (WIDTH,), w, EPS), jax_rms_norm),
}


def forward(f):
    return lambda m, x, c, w, b: f(m, x, w, b)


def mx_backward(f):
    return lambda m, x, c, w, b: m.vjp(lambda x, w, b: f(m, x, w, b), [x, w, b], [c])[1]


def torch_backward(f):
    def step(m, x, c, w, b):
        given = [a.detach().requires_grad_() for a in (x, w, b)]
        return m.autograd.grad(f(m, *given), given, c, allow_unused=True)
    return step


def jax_backward(f):
    def step(m, x, c, w, b):
        import jax
        return jax.vjp(lambda x, w, b: f(m, x, w, b), x, w, b)[1](c)
    return step


def torch_loss_backward(m, x, targets):
    x = x.detach().requires_grad_()
    return m.autograd.grad(torch_cross_entropy(m, x, targets), x)


def jax_loss_backward(m, x, targets):
    import jax
    return jax.grad(lambda x: jax_cross_entropy(m, x, targets))(x)


RACES = {}
for name, (ours, torchs, jaxs) in FORWARD.items():
    RACES[f"{name} 4096x4096"] = race(numbers, mx=forward(ours), torch=forward(torchs), jax=forward(jaxs))
    RACES[f"{name} 4096x4096, backward"] = race(numbers, mx=mx_backward(ours), torch=torch_backward(torchs), jax=jax_backward(jaxs))
RACES["cross-entropy 4096x4096"] = race(logits, mx=mx_cross_entropy, torch=torch_cross_entropy, jax=jax_cross_entropy)
RACES["cross-entropy 4096x4096, backward"] = race(
    logits, mx=lambda m, x, t: m.grad(lambda x: mx_cross_entropy(m, x, t))(x), torch=torch_loss_backward, jax=jax_loss_backward)
