"""Products of 4096 x 4096 weights that lie in memory, not in a cache (ten copies take turns), on two threads: one row of x against
reading as many bytes, 512 rows against float weights. Plain: not transposed. Experts: one row by each of 16 matrices, 1024 x 1024."""

READ = {"4-bit": 9, "8-bit": 17, "bf16": 32, "2-bit": 5, "3-bit": 7, "6-bit": 13, "mxfp4": 9, "nvfp4": 9, "mxfp8": 17, "plain 4-bit": 9,
        "plain 6-bit": 13, "experts 4-bit": 9, "experts 3-bit": 7}  # megabytes
CLAIMS = [(f"decode {name}", f"reading {megabytes} MB", 1 / 0.6) for name, megabytes in READ.items()]
CLAIMS += [("16 rows 3-bit", "16 rows f32", 2.0), ("prefill 4-bit", "prefill f32", 2.0), ("prefill 4-bit", "unpack, then multiply", 1.0)]
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
    one = mx.random.normal((WIDTH, WIDTH))
    for i in range(COPIES):
        yield (one * (i + 1)).astype(getattr(mx, dtype))


def format_of(name):
    return dict(mode=name) if "fp" in name else dict(bits=int(name[0]))


def quantized(rows, name, unpack_first=False, transpose=True):
    def prepare():
        import mlx.core as mx
        x, like = mx.random.normal((rows, WIDTH)).astype(mx.bfloat16), format_of(name)
        packed = [mx.quantize(w, **like) for w in weights("bfloat16")]
        mx.eval(x, packed)
        if unpack_first:
            return in_turns([lambda p=p: x @ mx.dequantize(*p, **like).T for p in packed])
        return in_turns([lambda p=p: mx.quantized_matmul(x, *p, transpose=transpose, **like) for p in packed])
    return prepare


def experts(name):
    def prepare():
        import mlx.core as mx
        x, like = mx.random.normal((16, 1, 1024)).astype(mx.bfloat16), format_of(name)
        packed = [mx.quantize(w.reshape(16, 1024, 1024), **like) for w in weights("bfloat16")]
        chosen = mx.array([3, 8, 0, 11, 1, 14, 6, 9, 2, 15, 5, 10, 4, 13, 7, 12])
        mx.eval(x, packed, chosen)
        return in_turns([lambda p=p: mx.gather_qmm(x, *p, rhs_indices=chosen, **like) for p in packed])
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


def decode(name):
    how, _, fmt = name.rpartition(" ")
    return dense(1, "bfloat16") if name == "bf16" else experts(fmt) if how == "experts" else quantized(1, fmt, transpose=how != "plain")


CONTESTANTS = {f"decode {name}": ("cmlx", decode(name)) for name in READ}
CONTESTANTS |= {f"reading {megabytes} MB": ("cmlx", reading(megabytes)) for megabytes in READ.values()}
CONTESTANTS |= {
    "16 rows 3-bit": ("cmlx", quantized(16, "3-bit")),
    "16 rows f32": ("cmlx", dense(16, "float32")),
    "prefill 4-bit": ("cmlx", quantized(512, "4-bit")),
    "prefill f32": ("cmlx", dense(512, "float32")),
    "unpack, then multiply": ("cmlx", quantized(512, "4-bit", unpack_first=True)),
}
