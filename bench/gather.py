"""Reading and writing at places given by indices."""

from peers import race, same

ROWS, WIDTH, COUNT = 50000, 64, 200000
N = 1 << 22


def table(rng):
    return [rng.standard_normal((ROWS, WIDTH), dtype="float32"), rng.integers(0, ROWS, COUNT)]


def elements(rng):
    return [rng.standard_normal(N, dtype="float32"), rng.integers(0, N, N)]


def updates(rng):
    return [rng.standard_normal((ROWS, WIDTH), dtype="float32"), rng.integers(0, ROWS, COUNT),
            rng.standard_normal((COUNT, WIDTH), dtype="float32")]


def few(rng):
    return [rng.standard_normal(1 << 20, dtype="float32"), rng.integers(0, 1 << 20, N), rng.standard_normal(N, dtype="float32")]


def square(rng):
    return [rng.standard_normal((2048, 2048), dtype="float32"), rng.integers(0, 2048, (2048, 2048))]


def along(axis):
    return dict(mx=lambda m, x, i: m.take_along_axis(x, i, axis), numpy=lambda m, x, i: m.take_along_axis(x, i, axis),
                torch=lambda m, x, i: m.gather(x, axis, i), jax=lambda m, x, i: m.take_along_axis(x, i, axis))


def add_numpy(m, x, i, v):
    x = x.copy()
    m.add.at(x, i, v)
    return x


def put_numpy(m, x, i, v):
    x = x.copy()
    x[i] = v
    return x


def put_mx(m, x, i, v):
    x = m.array(x)
    x[i] = v
    return x


ADD = dict(mx=lambda m, x, i, v: x.at[i].add(v), numpy=add_numpy, torch=lambda m, x, i, v: x.index_add(0, i, v),
           jax=lambda m, x, i, v: x.at[i].add(v))
PUT = dict(mx=put_mx, numpy=put_numpy, torch=lambda m, x, i, v: x.index_copy(0, i, v), jax=lambda m, x, i, v: x.at[i].set(v))
RACES = {
    "rows: 200k of 50000x64": race(table, **dict.fromkeys(["mx", "numpy", "jax"], lambda m, x, i: m.take(x, i, 0)),
                                   torch=lambda m, x, i: m.index_select(x, 0, i)),
    "elements: 4M of 4M": same(elements, lambda m, x, i: x[i]),
    "along the last axis, 2048x2048": race(square, **along(1)),
    "along the first axis, 2048x2048": race(square, **along(0)),
    "add 200k rows to 50000x64": race(updates, **ADD),
    "add 4M elements to 1M": race(few, **ADD),
    "put 200k rows into 50000x64": race(updates, **PUT),
    "put 4M elements into 1M": race(few, **PUT),
}
