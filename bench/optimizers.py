"""A step of Adam over 200 small parameters: the update alone, its evaluation included."""

ONE_COUNT = True     # of threads
PARAMETERS = 200
ROUNDS = 30


def mlx(size):
    def prepare():
        import mlx.core as mx
        import mlx.optimizers as optim
        p, g = ({f"p{i}": mx.random.normal((size,)) for i in range(PARAMETERS)} for _ in range(2))
        mx.eval(p, g)
        optimizer, held = optim.Adam(1e-3, bias_correction=True), [p]

        def step():
            held[0] = optimizer.apply_gradients(g, held[0])
            mx.eval(held, optimizer.state)
        return step
    return prepare


def torch(size, **how):
    def prepare():
        import torch
        torch.set_num_threads(2)
        p = [torch.nn.Parameter(torch.randn(size)) for _ in range(PARAMETERS)]
        for x in p:
            x.grad = torch.randn(size)
        return torch.optim.Adam(p, 1e-3, **how).step
    return prepare


RACES = {f"{PARAMETERS} of {size}, torch {word}": {"cmlx": mlx(size), "torch": torch(size, **how)} for size in (64, 1000, 8000)
         for word, how in (("foreach", {"foreach": True}), ("fused", {"fused": True}))}
