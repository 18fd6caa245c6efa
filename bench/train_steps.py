"""Training steps, start to finish: loss, gradients, update. `eager` is a step as one writes it, against PyTorch's eager mode;
`compiled` the same under mx.compile, against JAX's jit and torch.compile of the loss and of the optimizer (which need a C++ compiler and, before
they are timed, a minute or two)."""

import math

ONE_COUNT = True     # of threads
ADAM = dict(betas=(0.9, 0.999), eps=1e-8)
RATE = 1e-3
LAYERS, WIDTH, HEADS, CONTEXT, LETTERS = 4, 256, 4, 128, 100
STAGES = (16, 32, 64)


def data(name):
    import numpy as np
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape, dtype="float32")
    if name == "mlp":
        return normal(256, 784), rng.integers(0, 10, 256).astype("int32")
    if name == "gpt":
        return tuple(rng.integers(0, LETTERS, (16, CONTEXT)).astype("int32") for _ in range(2))
    if name == "lstm":
        return normal(32, 128, 256), normal(32, 128, 256)
    return normal(32, 32, 32, 3), rng.integers(0, 10, 32).astype("int32")


# ---- cmlx ----

def mlx_models():
    import mlx.core as mx
    import mlx.nn as nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.attention = nn.MultiHeadAttention(WIDTH, HEADS)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def __call__(self, x):
            y = self.norm1(x)
            x = x + self.attention(y, y, y, "causal")
            return x + self.down(nn.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(LETTERS, WIDTH), nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, LETTERS)

        def __call__(self, x):
            x = self.tokens(x) + self.places(mx.arange(x.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    class Residual(nn.Module):
        def __init__(self, inside, out, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm(out), nn.BatchNorm(out)
            if stride > 1:
                self.shortcut = nn.Conv2d(inside, out, 1, stride, bias=False)

        def __call__(self, x):
            y = self.norm2(self.conv2(nn.relu(self.norm1(self.conv1(x)))))
            return nn.relu(y + (self.shortcut(x) if "shortcut" in self else x))

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm(16)
            widths = [(a, b, 2 if a != b else 1) for a, b in zip((16,) + STAGES, STAGES)]
            self.blocks = [Residual(*(w if i == 0 else (w[1], w[1], 1))) for w in widths for i in range(3)]
            self.head = nn.Linear(64, 10)

        def __call__(self, x):
            x = nn.relu(self.norm(self.first(x)))
            for block in self.blocks:
                x = block(x)
            return self.head(x.mean(axis=(1, 2)))

    return {
        "mlp": lambda: nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)),
        "gpt": GPT, "lstm": lambda: nn.LSTM(256, 256), "resnet": ResNet,
    }


def mlx(name, compiled):
    def prepare():
        from functools import partial

        import mlx.core as mx
        import mlx.nn as nn
        import mlx.optimizers as optim
        model = mlx_models()[name]()
        optimizer = optim.SGD(0.1, momentum=0.9) if name == "resnet" else optim.Adam(RATE, bias_correction=True)
        x, y = map(mx.array, data(name))

        def loss_fn(model, x, y):
            if name == "lstm":
                return nn.losses.mse_loss(model(x)[0], y)
            return nn.losses.cross_entropy(model(x), y, reduction="mean")
        loss_and_grad = nn.value_and_grad(model, loss_fn)
        state = [model.state, optimizer.state]
        optimizer.init(model.trainable_parameters())
        mx.eval(state)

        def update(x, y):
            loss, grads = loss_and_grad(model, x, y)
            optimizer.update(model, grads)
            return loss
        run = partial(mx.compile, inputs=state, outputs=state)(update) if compiled else update

        def step():
            loss = run(x, y)
            mx.eval(state, loss)
            loss.item()
        return step
    return prepare


# ---- PyTorch ----

def torch_models():
    import torch
    from torch import nn
    from torch_gpt import GPT

    class Residual(nn.Module):
        def __init__(self, inside, out, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
            self.shortcut = nn.Conv2d(inside, out, 1, stride, bias=False) if stride > 1 else nn.Identity()

        def forward(self, x):
            y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
            return torch.relu(y + self.shortcut(x))

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
            widths = [(a, b, 2 if a != b else 1) for a, b in zip((16,) + STAGES, STAGES)]
            self.blocks = nn.Sequential(*[Residual(*(w if i == 0 else (w[1], w[1], 1))) for w in widths for i in range(3)])
            self.head = nn.Linear(64, 10)

        def forward(self, x):
            return self.head(self.blocks(torch.relu(self.norm(self.first(x)))).mean(dim=(2, 3)))

    return {
        "mlp": lambda: nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)),
        "gpt": lambda: GPT(LETTERS, CONTEXT, WIDTH, HEADS, LAYERS), "lstm": lambda: nn.LSTM(256, 256, batch_first=True), "resnet": ResNet,
    }


def torch(name, compiled):
    def prepare():
        import torch
        from torch import nn
        torch.set_num_threads(2)
        model = torch_models()[name]()
        if name == "resnet":
            optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        else:
            optimizer = torch.optim.Adam(model.parameters(), RATE, **ADAM)
        x, y = map(torch.from_numpy, data(name))
        if name == "resnet":
            x = x.movedim(-1, 1).contiguous()
        y = y if name == "lstm" else y.long()

        def loss_fn():
            if name == "lstm":
                return nn.functional.mse_loss(model(x)[0], y)
            return nn.functional.cross_entropy(model(x).flatten(0, -2), y.flatten())
        loss_of, update = (torch.compile(loss_fn), torch.compile(optimizer.step)) if compiled else (loss_fn, optimizer.step)

        def step():
            optimizer.zero_grad()
            loss = loss_of()
            loss.backward()
            update()
            loss.item()
        if compiled:
            for _ in range(3):      # Adam's first steps are compiled anew
                step()
        return step
    return prepare


# ---- JAX ----

def jax_models():
    import jax
    import jax.numpy as np
    from jax import lax
    keys = iter(jax.random.split(jax.random.key(0), 200))

    def weight(*shape, fan=None):
        bound = 1 / math.sqrt(fan or shape[0])
        return jax.random.uniform(next(keys), shape, minval=-bound, maxval=bound)

    def linear(p, x):
        return x @ p["w"] + p["b"]

    def dense(a, b):
        return {"w": weight(a, b), "b": weight(b, fan=a)}

    def norm(p, x, axes=-1):
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
        return (x - mean) * lax.rsqrt(var + 1e-5) * p["w"] + p["b"]

    def plain(n):
        return {"w": np.ones(n), "b": np.zeros(n)}

    def mlp(p, x):
        return linear(p[2], jax.nn.relu(linear(p[1], jax.nn.relu(linear(p[0], x)))))

    def block(p, x):
        y = norm(p["n1"], x)
        q, k, v = ((y @ p[n]).reshape(*y.shape[:2], HEADS, -1) for n in "qkv")
        x = x + jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(y.shape) @ p["o"]
        return x + linear(p["down"], jax.nn.gelu(linear(p["up"], norm(p["n2"], x)), approximate=False))

    def gpt(p, x):
        x = p["tokens"][x] + p["places"]
        for b in p["blocks"]:
            x = block(b, x)
        return linear(p["head"], norm(p["norm"], x))

    def lstm(p, x):
        now = (x @ p["wx"] + p["b"]).swapaxes(0, 1)

        def step(carry, gates):
            h, c = carry
            i, f, g, o = np.split(gates + h @ p["wh"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * np.tanh(g)
            h = jax.nn.sigmoid(o) * np.tanh(c)
            return (h, c), h
        zero = np.zeros((x.shape[0], 256))
        return lax.scan(step, (zero, zero), now)[1].swapaxes(0, 1)

    def conv(x, w, stride=1):
        pad = [(w.shape[0] // 2,) * 2] * 2
        return lax.conv_general_dilated(x, w, (stride, stride), pad, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def kernel(k, a, b):
        return weight(k, k, a, b, fan=k * k * a)

    def residual(p, x):
        stride = 2 if "short" in p else 1
        y = norm(p["n2"], conv(jax.nn.relu(norm(p["n1"], conv(x, p["c1"], stride), (0, 1, 2))), p["c2"]), (0, 1, 2))
        return jax.nn.relu(y + (conv(x, p["short"], 2) if stride == 2 else x))

    def resnet(p, x):
        x = jax.nn.relu(norm(p["norm"], conv(x, p["first"]), (0, 1, 2)))
        for b in p["blocks"]:
            x = residual(b, x)
        return linear(p["head"], x.mean((1, 2)))

    def blocks():
        for a, b in zip((16,) + STAGES, STAGES):
            for i in range(3):
                inside = a if i == 0 else b
                p = {"c1": kernel(3, inside, b), "c2": kernel(3, b, b), "n1": plain(b), "n2": plain(b)}
                yield {**p, "short": kernel(1, a, b)} if inside != b else p

    def transformer():
        parts = {n: weight(WIDTH, WIDTH) for n in "qkvo"}
        return {**parts, "n1": plain(WIDTH), "n2": plain(WIDTH), "up": dense(WIDTH, 4 * WIDTH), "down": dense(4 * WIDTH, WIDTH)}

    return {
        "mlp": lambda: (mlp, [dense(784, 256), dense(256, 256), dense(256, 10)]),
        "gpt": lambda: (gpt, {"tokens": weight(LETTERS, WIDTH), "places": weight(CONTEXT, WIDTH), "norm": plain(WIDTH),
                              "blocks": [transformer() for _ in range(LAYERS)], "head": dense(WIDTH, LETTERS)}),
        "lstm": lambda: (lstm, {"wx": weight(256, 1024), "wh": weight(256, 1024), "b": weight(1024, fan=256)}),
        "resnet": lambda: (resnet, {"first": kernel(3, 3, 16), "norm": plain(16), "blocks": list(blocks()), "head": dense(64, 10)}),
    }


def jax(name):
    def prepare():
        import jax
        import jax.numpy as np
        model, p = jax_models()[name]()
        x, y = map(np.array, data(name))
        tree = jax.tree_util.tree_map

        def loss_fn(p):
            out = model(p, x)
            if name == "lstm":
                return np.mean((out - y) ** 2)
            return -np.mean(np.take_along_axis(jax.nn.log_softmax(out), y[..., None], -1))

        def momentum(p, m, g):
            m = tree(lambda m, g: 0.9 * m + g, m, g)
            return tree(lambda p, m: p - 0.1 * m, p, m), m

        def adam(p, state, g):
            (m, v), t = state[:2], state[2] + 1
            m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            scale = RATE / (1 - 0.9**t)
            root = 1 / np.sqrt(1 - 0.999**t)
            return tree(lambda p, m, v: p - scale * m / (np.sqrt(v) * root + 1e-8), p, m, v), (m, v, t)

        @jax.jit
        def update(p, state):
            loss, g = jax.value_and_grad(loss_fn)(p)
            return loss, *(momentum if name == "resnet" else adam)(p, state, g)
        zeros = tree(np.zeros_like, p)
        held = [p, zeros if name == "resnet" else (zeros, zeros, np.float32(0))]

        def step():
            loss, *held[:] = update(*held)
            jax.block_until_ready(held)
            float(loss)
        return step
    return prepare


RACES = {}
for title, name in {"MLP 784-256-256-10, batch 256": "mlp", "GPT 4x256, context 128, batch 16": "gpt",
                    "LSTM 256, 128 steps, batch 32": "lstm", "ResNet-20, 32x32, batch 32": "resnet"}.items():
    RACES[f"{title}, eager"] = {"cmlx": mlx(name, False), "torch": torch(name, False)}
    RACES[f"{title}, compiled"] = {"cmlx": mlx(name, True), "jax": jax(name), "torch": torch(name, True)}
ROUNDS = 5
