"""What inspect sees of classes, and that methods which exist for it do what the operators do."""

import inspect

import mlx.core as mx
import numpy as np
import pytest


@pytest.mark.parametrize("thing, parameters", [
    (mx.Device, ["type", "index"]), (mx.Device.__init__, ["self", "type", "index"]), (mx.StreamContext, ["s"]), (mx.finfo, ["arg"]), (mx.iinfo, ["arg"]),
    (mx.ArrayLike, ["arg"]), (mx.custom_function.__init__, ["self", "f"]), (mx.PrintOptions, ["precision"]), (mx.array, ["val", "dtype"]),
    (mx.array.__init__, ["self", "val", "dtype"]), (mx.ArrayAt.__getitem__, ["self", "indices"]), (mx.DeviceType.__eq__, ["self", "arg"]),
    (mx.Device.__eq__, ["self", "arg"]), (mx.Stream.__eq__, ["self", "arg"]), (mx.Dtype.__eq__, ["self", "arg"]), (mx.distributed.Group.split, ["self", "color", "key"]),
], ids=lambda v: getattr(v, "__qualname__", ""))
def test_parameters_are_readable(thing, parameters):
    assert list(inspect.signature(thing).parameters) == parameters


def test_every_public_function_has_a_signature():
    modules = [mx, mx.fast, mx.linalg, mx.fft, mx.random, mx.distributed, mx.metal, mx.cuda]
    for module in modules:
        for name, f in vars(module).items():
            if inspect.isbuiltin(f):
                inspect.signature(f)
                assert f.__doc__, name


def test_equality_is_that_of_the_operator():
    assert mx.cpu == mx.cpu and mx.cpu != mx.gpu and mx.cpu == mx.Device(mx.cpu) and mx.Device(mx.cpu) == mx.cpu
    assert mx.Device(mx.cpu).__eq__(mx.Device(mx.cpu)) is True and mx.Device(mx.cpu).__eq__(mx.Device(mx.gpu)) is False
    assert mx.float32.__eq__(mx.float32) is True and mx.float32 != mx.float16 and (mx.float32 == 3) is False
    assert {mx.cpu: 1}[mx.DeviceType.cpu] == 1 and len({mx.Device(mx.cpu), mx.Device(mx.cpu)}) == 1
    s = mx.default_stream(mx.cpu)
    assert s == mx.default_stream(mx.cpu) and s.__eq__(3) is not True


def test_a_subclass_may_call_init():
    class Named(mx.array):
        def __init__(self, val, name):
            super().__init__(val, mx.float16)
            self.name = name

    a = Named([1, 2], name="x")
    assert a.name == "x" and a.dtype == mx.float16 and np.array_equal(np.array(a + 1), [2, 3])
    b = mx.array([1, 2])
    b.__init__([3.5], dtype=mx.float32)
    assert b.item() == 3.5


def test_unknown_names_of_random_are_attribute_errors():
    with pytest.raises(AttributeError, match="mlx.core.random' has no attribute 'nothing'"):
        mx.random.nothing
    assert not hasattr(mx.random, "other")
