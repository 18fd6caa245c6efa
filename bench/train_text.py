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
    torch.set_num_threads(2)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x):
            y = self.norm1(x)
            q, k, v = (f(y).unflatten(-1, (HEADS, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).flatten(-2))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)

        def forward(self, tokens):
            x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    model = Model()
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
