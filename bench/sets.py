"""What depends on values, of a million elements, beside NumPy: nonzero, masks, unique, bincount, searchsorted."""

N = 1 << 20


def data():
    import numpy
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal(N, dtype=numpy.float32)
    return {"x": x, "mask": x > 0, "few": x > 1.5, "i": rng.integers(0, 1000, N).astype(numpy.int32), "sorted": numpy.sort(x)}


def written(m, d):
    y = d["x"] + 0
    y[d["mask"]] = 0
    return y


WORK = {
    "nonzero, half": lambda m, d: m.nonzero(d["mask"]),
    "nonzero, few": lambda m, d: m.nonzero(d["few"]),
    "mask read, half": lambda m, d: d["x"][d["mask"]],
    "mask read, few": lambda m, d: d["x"][d["few"]],
    "mask written": written,
    "unique, floats": lambda m, d: m.unique(d["x"]),
    "unique, 1000 integers": lambda m, d: m.unique(d["i"]),
    "bincount": lambda m, d: m.bincount(d["i"]),
    "bincount, weights": lambda m, d: m.bincount(d["i"], d["x"]),
    "searchsorted": lambda m, d: m.searchsorted(d["sorted"], d["x"]),
}


def ours(work):
    def prepare():
        import mlx.core as mx
        d = {name: mx.array(x) for name, x in data().items()}
        mx.eval(d)
        return lambda: mx.eval(work(mx, d))
    return prepare


def theirs(work):
    def prepare():
        import numpy
        d = data()
        return lambda: (work(numpy, d), None)[1]
    return prepare


CLAIMS = [(name, name + ", NumPy", 1.0) for name in WORK]
CONTESTANTS = {**{name: ("cmlx", ours(work)) for name, work in WORK.items()},
               **{name + ", NumPy": ("cmlx", theirs(work)) for name, work in WORK.items()}}
ROUNDS = 15
