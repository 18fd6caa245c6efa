"""Transposed copies."""

from peers import race


def numbers(*shape, dtype="float32"):
    return lambda rng: [(rng.standard_normal(shape, dtype="float32") * 100).astype(dtype)]


def turned(*axes):
    def by_jax(m, x):
        return m.transpose(x, axes)
    return dict(mx=lambda m, x: m.contiguous(m.transpose(x, axes)), numpy=lambda m, x: m.ascontiguousarray(m.transpose(x, axes)),
                torch=lambda m, x: x.permute(axes).contiguous(), jax=by_jax)


RACES = {
    **{f"4096x4096 {t}, transposed": race(numbers(4096, 4096, dtype=t), **turned(1, 0)) for t in ("float32", "float64", "float16", "uint8")},
    "1000x3000, transposed": race(numbers(1000, 3000), **turned(1, 0)),
    "heads: 16x512x12x64 to 16x12x512x64": race(numbers(16, 512, 12, 64), **turned(0, 2, 1, 3)),
    "images: 32x64x56x56 to channels last": race(numbers(32, 64, 56, 56), **turned(0, 2, 3, 1)),
    "images: 32x56x56x64 to channels first": race(numbers(32, 56, 56, 64), **turned(0, 3, 1, 2)),
    "256x256x256, reversed axes": race(numbers(256, 256, 256), **turned(2, 1, 0)),
}
