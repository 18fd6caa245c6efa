"""Cumulative sums, products and extremes."""

from peers import race, same


def numbers(*shape, dtype="float32"):
    return lambda rng: [(rng.standard_normal(shape, dtype="float32") * 100).astype(dtype)]


def cumulative(name, axis):
    return lambda m, x: getattr(m, name)(x, axis)


def extreme(axis):
    return dict(mx=lambda m, x: m.cummax(x, axis), numpy=lambda m, x: m.maximum.accumulate(x, axis),
                torch=lambda m, x: m.cummax(x, axis)[0])


SQUARE = (4096, 4096)
RACES = {
    "cumsum 16M f32": same(numbers(1 << 24), cumulative("cumsum", 0)),
    "cumsum 4096x4096, last axis": same(numbers(*SQUARE), cumulative("cumsum", 1)),
    "cumsum 4096x4096, first axis": same(numbers(*SQUARE), cumulative("cumsum", 0)),
    "cumsum 4M f64": same(numbers(1 << 22, dtype="float64"), cumulative("cumsum", 0)),
    "cumsum 4M i32": race(numbers(1 << 22, dtype="int32"), mx=cumulative("cumsum", 0), numpy=lambda m, x: m.cumsum(x, dtype="int32"),
                          torch=lambda m, x: m.cumsum(x, 0, dtype=m.int32), jax=lambda m, x: m.cumsum(x, dtype="int32")),
    "cumsum 4M f16": same(numbers(1 << 22, dtype="float16"), cumulative("cumsum", 0)),
    "cumprod 4096x4096, last axis": same(numbers(*SQUARE), cumulative("cumprod", 1)),
    "cummax 4096x4096, last axis": race(numbers(*SQUARE), **extreme(1)),
    "cummax 4096x4096, first axis": race(numbers(*SQUARE), **extreme(0)),
    "logcumsumexp 1024x4096": race(numbers(1024, 4096), mx=cumulative("logcumsumexp", 1), numpy=lambda m, x: m.logaddexp.accumulate(x, 1),
                                   torch=cumulative("logcumsumexp", 1)),
}
