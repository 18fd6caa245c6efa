"""One training step of the demo's convolutional network (examples/python), eager against eager: forward, backward, Adam."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "examples" / "python"))
ONE_COUNT = True     # of threads
BATCH, ROUNDS, REPEAT = 64, 25, 5
CLAIMS = [("digits step", "PyTorch", 1.0), ("digits step", "real MLX", 1.0)]


def batch():
    import numpy as np
    rng = np.random.default_rng(0)
    return rng.random((BATCH, 8, 8, 1), dtype=np.float32), rng.integers(0, 10, BATCH)


def mlx():
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim
    from digits import Net, loss_fn

    model, optimizer = Net(), optim.Adam(1e-3)
    mx.eval(model.parameters())
    x, y = batch()
    x, y = mx.array(x), mx.array(y.astype("int32"))
    loss_and_grad = nn.value_and_grad(model, loss_fn)

    def step():
        for _ in range(REPEAT):
            loss, grads = loss_and_grad(model, x, y)
            optimizer.update(model, grads)
            mx.eval(model.state, optimizer.state, loss)
            loss.item()
    return step


def torch():
    import torch
    from torch import nn
    torch.set_num_threads(2)
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
                          nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Dropout(0.3), nn.Linear(4 * 4 * 32, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    x, y = batch()
    x, y = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y)

    def step():
        for _ in range(REPEAT):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            loss.item()
    return step


CONTESTANTS = {"digits step": ("cmlx", mlx), "PyTorch": ("torch", torch), "real MLX": ("mlx", mlx)}
