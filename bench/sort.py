"""Sorting, arguments of sorting, partitions and the largest few."""

from peers import race, same


def numbers(shape, dtype="float32"):
    def make(rng):
        x = rng.standard_normal(shape, dtype="float32")
        return [(x * 1e6).astype(dtype) if "int" in dtype else x.astype(dtype)]
    return make


def small(shape, dtype):
    return lambda rng: [rng.integers(0, 200, shape).astype(dtype)]


def sort(axis=-1):
    return dict(mx=lambda m, x: m.sort(x, axis), numpy=lambda m, x: m.sort(x, axis), torch=lambda m, x: m.sort(x, axis)[0],
                jax=lambda m, x: m.sort(x, axis))


def argsort(axis=-1):
    return same_keys(lambda m, x: m.argsort(x, axis), numpy=lambda m, x: m.argsort(x, axis, kind="stable"),
                     torch=lambda m, x: m.argsort(x, dim=axis, stable=True))


def same_keys(step, **others):
    return {**dict.fromkeys(["mx", "numpy", "torch", "jax"], step), **others}


def topk(k):
    def by_jax(m, x):
        import jax
        return jax.lax.top_k(x, k)[0]
    return dict(mx=lambda m, x: m.topk(x, k), numpy=lambda m, x: m.partition(x, x.shape[-1] - k)[..., -k:],
                torch=lambda m, x: m.topk(x, k)[0], jax=by_jax)


M = 1 << 20
RACES = {
    "sort 1M f32": race(numbers(M), **sort()),
    "sort 1M i32": race(numbers(M, "int32"), **sort()),
    "sort 1M f64": race(numbers(M, "float64"), **sort()),
    "sort 1M i64": race(numbers(M, "int64"), **sort()),
    "sort 1M f16": race(numbers(M, "float16"), **sort()),
    "sort 1M u8": race(small(M, "uint8"), **sort()),
    "sort 1024x1024, last axis": race(numbers((1024, 1024)), **sort()),
    "sort 1024x1024, first axis": race(numbers((1024, 1024)), **sort(0)),
    "sort 16384x64": race(numbers((16384, 64)), **sort()),
    "argsort 1M f32": race(numbers(M), **argsort()),
    "argsort 1M i64": race(numbers(M, "int64"), **argsort()),
    "argsort 1024x1024": race(numbers((1024, 1024)), **argsort()),
    "partition 1M at the middle": same(numbers(M), lambda m, x: m.partition(x, M // 2), torch=None),
    "partition 1024x1024 at 100": same(numbers((1024, 1024)), lambda m, x: m.partition(x, 100), torch=None),
    "topk 100 of 1M": race(numbers(M), **topk(100)),
    "topk 50 of 1024x32000": race(numbers((64, 32000)), **topk(50)),
}
