"""Matrix products of every kind of number. NumPy's of integers and halves have no fast kernel and are left out."""

from peers import race


def floats(*shapes, dtype="float32"):
    return lambda rng: [rng.standard_normal(s, dtype="float32").astype(dtype) for s in shapes]


def whole(*shapes, dtype="int8"):
    return lambda rng: [rng.integers(-100, 100, s).astype(dtype) for s in shapes]


def at(m, a, b):
    return a @ b


def bf16(m, a, b):
    return a.astype(m.bfloat16) @ b.astype(m.bfloat16)


def exact(m, a, b):
    return m.matmul(a, b, preferred_dtype=m.int32)


def exact_jax(m, a, b):
    return m.matmul(a, b, preferred_element_type="int32")


def exact_torch(m, a, b):
    return m._int_mm(a, b)


def few(m, a, w):                        # w (out, in), as layers keep it
    return a @ w.T


def half(f):                             # the weights are cast once; torch.from_numpy knows no bfloat16
    kept = {}

    def step(m, a, w):
        if not kept:
            kept[0] = [x.to(m.bfloat16) if hasattr(x, "to") and not hasattr(x, "astype") else x.astype(m.bfloat16) for x in (a, w)]
        return f(m, *kept[0])
    return step


SQUARE = ((1024, 1024), (1024, 1024))
RACES = {
    **{f"{n}x{n} f32": race(floats((n, n), (n, n)), mx=at, numpy=at, torch=at, jax=at) for n in (256, 1024, 2048)},
    "64 of 64x64 f32": race(floats((64, 64, 64), (64, 64, 64)), mx=at, numpy=at, torch=at, jax=at),
    "1024x1024 f16": race(floats(*SQUARE, dtype="float16"), mx=at, torch=at, jax=at),
    "1024x1024 bf16, cast there": race(floats(*SQUARE), mx=bf16, jax=bf16, torch=lambda m, a, b: a.bfloat16() @ b.bfloat16()),
    "1024x1024 f64": race(floats(*SQUARE, dtype="float64"), mx=at, numpy=at, torch=at, jax=at),
    "1024x1024 i32": race(whole(*SQUARE, dtype="int32"), mx=at, torch=at, jax=at),
    **{f"{n} x 4096x4096 f32, {how}": race(floats((n, 4096), (4096, 4096)), mx=f, numpy=f, torch=f, jax=f)
       for n in (1, 8, 32) for how, f in (("plain", at), ("transposed", few))},
    **{f"{n} x 4096x4096 bf16, {how}": race(floats((n, 4096), (4096, 4096)), mx=half(f), torch=half(f))
       for n in (1, 8, 32) for how, f in (("plain", at), ("transposed", few))},
    "4096x128 by 512x128, transposed": race(floats((4096, 128), (512, 128)), mx=few, numpy=few, torch=few, jax=few),
    "1024x1024 bytes into i32": race(whole(*SQUARE), mx=exact, torch=exact_torch, jax=exact_jax),
}
