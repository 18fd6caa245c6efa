"""Where mlx.core differs from the Python array API standard 2024.12 on purpose: what the standard asks, what happens here, why, and an
expression that is true while it is so (test_array_api.py fails when one is no longer needed). docs/array_api.md is printed from it:

    python tests/python/array_api_exceptions.py > docs/array_api.md"""

MLX = "MLX does so."
EXCEPTIONS = {
    "complex128": ("the dtype complex128", "there is none; float64 beside complex numbers gives complex64", "MLX has no such dtype.",
                   "not hasattr(mx, 'complex128') and mx.result_type(mx.float64, mx.complex64) == mx.complex64"),
    "fft": ("transforms of float64 in complex128 and float64", "complex64 and float32", "There is no complex128.", "mx.fft.rfft(mx.ones(4, dtype=mx.float64)).dtype == mx.complex64"),
    "index dtypes": ("one dtype for indices, that of `__array_namespace_info__`, int32", "argmax, argmin, argsort, searchsorted and the indices of unique_all and unique_inverse are "
                     "uint32; nonzero, count_nonzero and counts are int32", MLX, "mx.argmax(mx.ones(3)).dtype == mx.argsort(mx.ones(3)).dtype == mx.uint32"),
    "cumulative dtypes": ("cumulative_sum and cumulative_prod of small integers in the default integer dtype", "the dtype of the input, unless dtype= is given", MLX,
                          "mx.cumulative_sum(mx.ones(3, dtype=mx.int8)).dtype == mx.int8"),
    "can_cast": ("casts within a kind and those that promotion allows", "bool to any number and integers to floats too", MLX, "mx.can_cast(mx.int32, mx.float32)"),
    "clip": ("clip without bounds gives the array", "a ValueError", MLX, "raises(ValueError, lambda: mx.clip(mx.ones(2)))"),
    "sign": ("sign(nan) is nan", "0", MLX, "mx.sign(mx.array(mx.nan)).item() == 0"),
    "remainder": ("a remainder of zero has the sign of the divisor", "that of the dividend", MLX, "str(mx.remainder(mx.array(-1.0), mx.array(1.0)).item()) == '-0.0'"),
    "numbers of complex": ("int() and float() of complex arrays are a TypeError", "those of the real part", MLX, "float(mx.array(2 + 1j)) == 2"),
    "in place": ("x += y keeps the dtype of x", "x gets the dtype of x + y", MLX, "operator.iadd(mx.array([1]), mx.array([0.5])).dtype == mx.float32"),
    "copy": ("reshape(copy=False) and astype(copy=False) may fail or share memory", "copy= has no effect: arrays do not change with others, so a copy cannot be told", MLX,
             "mx.reshape(mx.ones((2, 3)).T, (6,), copy=False).shape == (6,)"),
    "foreign memory": ("asarray and from_dlpack share memory if they can", "they copy, and with copy=False raise a ValueError", MLX,
                       "raises(ValueError, lambda: mx.from_dlpack(mx.ones(2), copy=False))"),
    "meshgrid": ("a list", "a tuple", MLX, "type(mx.meshgrid(mx.ones(2), mx.ones(2))) is tuple"),
}

HEAD = """# The Python array API standard

`mlx.core` is a namespace of the [Python array API standard](https://data-apis.org/array-api/2024.12/), version 2024.12:
`x.__array_namespace__()` gives it, `mx.__array_api_version__` names the version. All functions, keywords, dtypes and methods are there,
with the extensions `linalg` and `fft`, but for what this page lists. Where MLX 0.32.4 has a behaviour of its own, that one stays. Default
dtypes are float32, int32 and complex64, as `mx.__array_namespace_info__().default_dtypes()` says.

`inspect` sees MLX's own signatures; keywords that the standard adds (`device=`, `descending=`, `correction=`, ...) are named in the
docstrings. Functions whose result depends on values (`nonzero`, `unique_*`, boolean masks, `repeat` by an array) evaluate their argument
and are an error inside `compile` and `vmap`.

| subject | the standard | here | why |
|---|---|---|---|
"""


def document():
    return HEAD + "".join(f"| {key} | {asks} | {here} | {why} |\n" for key, (asks, here, why, _) in EXCEPTIONS.items())


if __name__ == "__main__":
    print(document(), end="")
