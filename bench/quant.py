"""Products of 4096 x 4096 weights that lie in memory, not in a cache (ten copies take turns), on two threads: one row of x against
reading as many bytes, 512 rows against float weights."""

CLAIMS = [("decode 4-bit", "reading 9 MB", 1 / 0.6), ("decode 8-bit", "reading 17 MB", 1 / 0.6), ("decode bf16", "reading 32 MB", 1 / 0.6),
          ("prefill 4-bit", "prefill f32", 2.0), ("prefill 4-bit", "unpack, then multiply", 1.0)]
ROUNDS = 15
AT_MOST = {"prefill 4-bit": 5, "prefill f32": 5, "unpack, then multiply": 5}
WIDTH, COPIES = 4096, 10


def in_turns(jobs):
    import mlx.core as mx
    turn = [0]

    def step():
        turn[0] = (turn[0] + 1) % len(jobs)
        mx.eval(jobs[turn[0]]())
    return step


def weights(dtype):
    import mlx.core as mx
    for i in range(COPIES):
        yield mx.random.normal((WIDTH, WIDTH), key=mx.random.key(i)).astype(getattr(mx, dtype))


def quantized(rows, bits, unpack_first=False):
    def prepare():
        import mlx.core as mx
        x = mx.random.normal((rows, WIDTH)).astype(mx.bfloat16)
        packed = [mx.quantize(w, bits=bits) for w in weights("bfloat16")]
        mx.eval(x, packed)
        if unpack_first:
            return in_turns([lambda p=p: x @ mx.dequantize(*p, bits=bits).T for p in packed])
        return in_turns([lambda p=p: mx.quantized_matmul(x, *p, bits=bits) for p in packed])
    return prepare


def dense(rows, dtype):
    def prepare():
        import mlx.core as mx
        x, ws = mx.random.normal((rows, WIDTH)).astype(getattr(mx, dtype)), list(weights(dtype))
        mx.eval(x, ws)
        return in_turns([lambda w=w: x @ w.T for w in ws])
    return prepare


def reading(megabytes):
    def prepare():
        import mlx.core as mx
        arrays = [mx.ones((megabytes << 18,)) * i for i in range(COPIES)]
        mx.eval(arrays)
        return in_turns([lambda a=a: a.sum() for a in arrays])
    return prepare


CONTESTANTS = {
    "decode 4-bit": ("cmlx", quantized(1, 4)),
    "reading 9 MB": ("cmlx", reading(9)),
    "decode 8-bit": ("cmlx", quantized(1, 8)),
    "reading 17 MB": ("cmlx", reading(17)),
    "decode bf16": ("cmlx", dense(1, "bfloat16")),
    "reading 32 MB": ("cmlx", reading(32)),
    "prefill 4-bit": ("cmlx", quantized(512, 4)),
    "prefill f32": ("cmlx", dense(512, "float32")),
    "unpack, then multiply": ("cmlx", quantized(512, 4, unpack_first=True)),
}
