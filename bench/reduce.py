"""Reductions along every axis."""

from peers import same


def numbers(*shape, dtype="float32"):
    return lambda rng: [(rng.standard_normal(shape, dtype="float32") * 100).astype(dtype)]


def over(name, axis):
    def step(m, x):
        if m.__name__ == "torch" and name in ("max", "min"):
            name_ = "amax" if name == "max" else "amin"
            return getattr(m, name_)(x, axis) if axis is not None else getattr(m, name)(x)
        if axis is None:
            return getattr(m, name)(x)
        return getattr(m, name)(x, axis)
    return step


RACES = {}
for name in ("sum", "max", "argmax", "var"):
    for axis in (None, 0, 1):
        RACES[f"{name} 4096x4096, axis {axis}"] = same(numbers(4096, 4096), over(name, axis))
for axis in (0, 1, 2, (0, 1), (1, 2), (0, 2)):
    RACES[f"sum 256x256x256, axis {axis}"] = same(numbers(256, 256, 256), over("sum", axis))
for dtype in ("float64", "float16", "int32", "int8"):
    for axis in (0, 1):
        RACES[f"sum 4096x4096 {dtype}, axis {axis}"] = same(numbers(4096, 4096, dtype=dtype), over("sum", axis))
for axis in (0, 1):
    RACES[f"any 4096x4096 bool, axis {axis}"] = same(lambda rng: [rng.random((4096, 4096)) < 1e-6], over("any", axis))
    RACES[f"argmax 4096x4096 int32, axis {axis}"] = same(numbers(4096, 4096, dtype="int32"), over("argmax", axis))
    RACES[f"prod 4096x4096, axis {axis}"] = same(numbers(4096, 4096), over("prod", axis))
