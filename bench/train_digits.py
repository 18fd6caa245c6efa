"""One training step of the demo's convolutional network (examples/python), eager against eager: forward, backward, Adam."""

BATCH, ROUNDS, REPEAT = 64, 25, 5
CHANNELS, HIDDEN = (16, 32), 64
CLAIMS = [("digits step", "PyTorch", 1.0), ("digits step", "real MLX", 1.0)]


def batch():
    import numpy as np
    rng = np.random.default_rng(0)
    return rng.random((BATCH, 8, 8, 1), dtype=np.float32), rng.integers(0, 10, BATCH)


def mlx():
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, CHANNELS[0], 3, padding=1)
            self.conv2 = nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, padding=1)
            self.pool = nn.MaxPool2d(2, 2)
            self.fc1 = nn.Linear(4 * 4 * CHANNELS[1], HIDDEN)
            self.fc2 = nn.Linear(HIDDEN, 10)

        def __call__(self, x):
            x = nn.relu(self.conv1(x))
            x = self.pool(nn.relu(self.conv2(x)))
            return self.fc2(nn.relu(self.fc1(x.reshape(x.shape[0], -1))))

    model, optimizer = Net(), optim.Adam(1e-3)
    mx.eval(model.parameters())
    x, y = map(mx.array, batch())
    loss_and_grad = nn.value_and_grad(model, lambda m, x, y: nn.losses.cross_entropy(m(x), y, reduction="mean"))

    def step():
        for _ in range(REPEAT):
            loss, grads = loss_and_grad(model, x, y)
            optimizer.update(model, grads)
            mx.eval(model.parameters(), optimizer.state, loss)
    return step


def torch():
    import torch
    from torch import nn
    torch.set_num_threads(2)
    model = nn.Sequential(nn.Conv2d(1, CHANNELS[0], 3, padding=1), nn.ReLU(),
                          nn.Conv2d(CHANNELS[0], CHANNELS[1], 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(4 * 4 * CHANNELS[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
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
