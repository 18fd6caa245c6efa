"""One training step of the demo's character transformer (examples/python), eager against eager: forward, backward, AdamW."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "examples" / "python"))
ONE_COUNT = True     # of threads
BATCH, CONTEXT, VOCABULARY = 32, 128, 100
WIDTH, HEADS, LAYERS = 128, 4, 5
ROUNDS, AT_MOST = 10, {"real MLX": 2}
CLAIMS = [("text step", "PyTorch", 1.0), ("text step", "real MLX", 1.0), ("text step", "text step, compiled", 1.15)]


def batch():
    import numpy as np
    rng = np.random.default_rng(0)
    return [rng.integers(0, VOCABULARY, (BATCH, CONTEXT)) for _ in range(2)]


def mlx(compiled=False):
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim
    import text
    assert (text.WIDTH, text.HEADS, text.LAYERS, text.CONTEXT) == (WIDTH, HEADS, LAYERS, CONTEXT)

    model, optimizer = text.Model(VOCABULARY), optim.AdamW(1e-3, betas=[0.9, 0.99], weight_decay=0.1)
    mx.eval(model.parameters())
    x, y = (mx.array(a.astype("int32")) for a in batch())
    loss_and_grad = nn.value_and_grad(model, text.loss_fn)

    def update(x, y):
        loss, grads = loss_and_grad(model, x, y)
        optimizer.update(model, grads)
        return loss

    if compiled:
        optimizer.init(model.trainable_parameters())
        state = [model.state, optimizer.state]
        update = mx.compile(update, inputs=state, outputs=state)

    def step():
        loss = update(x, y)
        mx.eval(model.parameters(), optimizer.state, loss)
        loss.item()
    return step


def torch():
    import torch
    from torch import nn
    from torch_gpt import GPT
    torch.set_num_threads(2)

    model = GPT(VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    x, y = map(torch.from_numpy, batch())

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()
        loss.item()
    return step


CONTESTANTS = {"text step": ("cmlx", mlx), "text step, compiled": ("cmlx", lambda: mlx(compiled=True)), "PyTorch": ("torch", torch), "real MLX": ("mlx", mlx)}
