"""What the Python array API standard asks of a namespace: devices, dtypes, capabilities."""

import mlx.core as mx

_SIGNED = ("int8", "int16", "int32", "int64")
_UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
_KINDS = {
    "bool": ("bool",),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED,
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64",),
    "numeric": _SIGNED + _UNSIGNED + ("float32", "complex64", "float64"),
}


class ArrayNamespaceInfo:
    """See https://data-apis.org/array-api, ``__array_namespace_info__``."""

    def capabilities(self):
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 32}

    def default_device(self):
        return mx.default_device()

    def default_dtypes(self, *, device=None):
        return {
            "real floating": mx.float32,
            "complex floating": mx.complex64,
            "integral": mx.int32,
            "indexing": mx.int32,
        }

    def devices(self):
        kinds = [mx.cpu, mx.gpu]
        return tuple(mx.Device(k, i) for k in kinds if mx.is_available(k) for i in range(mx.device_count(k)))

    def dtypes(self, *, device=None, kind=None):
        if kind is None:
            kinds = ("bool", "numeric")
        else:
            kinds = kind if isinstance(kind, tuple) else (kind,)
        if not all(k in _KINDS for k in kinds):
            raise ValueError(f"Unsupported dtype kind: {kinds}")
        names = [name for k in kinds for name in _KINDS[k]]
        return {name: mx.bool_ if name == "bool" else getattr(mx, name) for name in names}


def __array_namespace_info__():
    """What ``mlx.core.__array_namespace_info__`` is."""
    return ArrayNamespaceInfo()
