"""1,000 chained adds of one-element arrays, then eval: what a small op costs."""

ONE_COUNT = True     # of threads
CLAIMS = [("1,000 adds", "NumPy", 1 / 3), ("1,000 adds", "real MLX", 1.0)]
ROUNDS = 40
REPEAT = 10


def lazily(m, evaluate):
    x = m.array([1.0], dtype=m.float32)
    evaluate(x)

    def step():
        for _ in range(REPEAT):
            y = x
            for _ in range(1000):
                y = y + x
            evaluate(y)
    return step


def mlx():
    import mlx.core as mx
    return lazily(mx, mx.eval)


def numpy():
    import numpy as np
    return lazily(np, lambda x: None)


CONTESTANTS = {"1,000 adds": ("cmlx", mlx), "NumPy": ("numpy", numpy), "real MLX": ("mlx", mlx)}
