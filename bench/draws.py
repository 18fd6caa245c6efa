"""Random numbers, 10 million."""

from peers import race

N = 10_000_000


def nothing(rng):
    return []


def by_numpy(step):
    def run(m):
        run.rng = getattr(run, "rng", None) or m.random.default_rng(0)
        return step(run.rng)
    return run


def by_jax(step):
    def run(m):
        import jax
        return step(jax.random, jax.random.key(0))
    return run


RACES = {
    "uniform": race(nothing, mx=lambda m: m.random.uniform(shape=(N,)), numpy=by_numpy(lambda r: r.random(N, dtype="float32")),
                    torch=lambda m: m.rand(N), jax=by_jax(lambda r, k: r.uniform(k, (N,), "float32"))),
    "normal": race(nothing, mx=lambda m: m.random.normal((N,)), numpy=by_numpy(lambda r: r.standard_normal(N, dtype="float32")),
                   torch=lambda m: m.randn(N), jax=by_jax(lambda r, k: r.normal(k, (N,), "float32"))),
    "randint": race(nothing, mx=lambda m: m.random.randint(0, 1000, (N,)), numpy=by_numpy(lambda r: r.integers(0, 1000, N, dtype="int32")),
                    torch=lambda m: m.randint(0, 1000, (N,)), jax=by_jax(lambda r, k: r.randint(k, (N,), 0, 1000, "int32"))),
    "bernoulli": race(nothing, mx=lambda m: m.random.bernoulli(0.3, (N,)), numpy=by_numpy(lambda r: r.random(N, dtype="float32") < 0.3),
                      torch=lambda m: m.empty(N, dtype=m.bool).bernoulli_(0.3), jax=by_jax(lambda r, k: r.bernoulli(k, 0.3, (N,)))),
    "permutation of 1M": race(nothing, mx=lambda m: m.random.permutation(1 << 20), numpy=by_numpy(lambda r: r.permutation(1 << 20)),
                              torch=lambda m: m.randperm(1 << 20), jax=by_jax(lambda r, k: r.permutation(k, 1 << 20))),
}
