"""A recurrent cell over 1,000 steps: one scan beside a Python loop of eager steps, forward and with gradients."""

import sys
import time

import mlx.core as mx

T, B, H = (int(a) for a in sys.argv[1:4]) if len(sys.argv) > 3 else (1000, 1, 32)
wx, wh = mx.random.normal((H, 4 * H)) * 0.1, mx.random.normal((H, 4 * H)) * 0.1
xs = mx.random.normal((T, B, H))
zero = (mx.zeros((B, H)), mx.zeros((B, H)))
mx.eval(wx, wh, xs, zero)


def cell(carry, x, wx=wx, wh=wh):
    h, c = carry
    i, f, g, o = mx.split(x @ wx + h @ wh, 4, axis=-1)
    c = mx.sigmoid(f) * c + mx.sigmoid(i) * mx.tanh(g)
    h = mx.sigmoid(o) * mx.tanh(c)
    return (h, c), h


def loop(xs, wx=wx, wh=wh):
    carry, ys = zero, []
    for t in range(T):
        carry, y = cell(carry, xs[t], wx, wh)
        ys.append(y)
    return mx.stack(ys)


def scan(xs, wx=wx, wh=wh):
    return mx.scan(lambda c, x: cell(c, x, wx, wh), zero, xs)[1]


def best(f, n=7):
    times = []
    for _ in range(n):
        t = time.perf_counter()
        mx.eval(f())
        times.append(time.perf_counter() - t)
    return 1e3 * min(times)


def gradient(f):
    g = mx.grad(lambda wx, wh: (f(xs, wx, wh) ** 2).sum(), argnums=(0, 1))
    return lambda: g(wx, wh)


compiled = mx.compile(scan)
assert mx.allclose(loop(xs), scan(xs), atol=1e-5)
assert all(mx.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(gradient(loop)(), gradient(scan)()))
print(f"T={T} B={B} H={H}: loop {best(lambda: loop(xs)):.2f} ms, scan {best(lambda: scan(xs)):.2f} ms, "
      f"compiled scan {best(lambda: compiled(xs)):.2f} ms")
print(f"with gradients: loop {best(gradient(loop)):.2f} ms, scan {best(gradient(scan)):.2f} ms")
