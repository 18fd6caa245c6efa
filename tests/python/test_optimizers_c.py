"""include/mlx/c/optimizers.h, called as a C program does, against mlx.optimizers: every bit of ten steps, and the state that
one writes and the other reads."""

import ctypes as c
import pathlib

import mlx.core as mx
import mlx.optimizers as optim
import pytest
from mlx.utils import tree_flatten, tree_map, tree_unflatten

lib = c.CDLL(str(pathlib.Path(mx.__file__).parent / "lib" / "libcmlx.so"))


class Handle(c.Structure):  # of any type of the C API
    _fields_ = [("ctx", c.c_void_p)]


lib.mlx_map_string_to_array_new.restype = lib.mlx_map_string_to_string_new.restype = Handle
lib.mlx_default_cpu_stream_new.restype = lib.mlx_vector_array_new.restype = lib.mlx_vector_array_new_data.restype = Handle
lib.mlx_last_error.restype = c.c_char_p
CHOOSE = c.CFUNCTYPE(c.c_int, c.c_char_p, Handle, c.c_void_p)
NAN = float("nan")


def as_in_c(args):
    """Python's numbers as C's: float as double, bool as bool, int as int."""
    kinds = {float: c.c_double, bool: c.c_bool, int: c.c_int, str: lambda s: c.c_char_p(s.encode())}
    return (kinds.get(type(a), lambda x: x)(a) for a in args)


def call(name, *args):
    if getattr(lib, "mlx_" + name)(*as_in_c(args)):
        raise RuntimeError(lib.mlx_last_error().decode())


def new(name, *args):
    h = Handle()
    call(name, c.byref(h), *args)
    return h


def made(kind, *args):
    """The handle that a constructor of optimizers gives."""
    make = getattr(lib, f"mlx_optimizer_{kind}_new")
    make.restype = Handle
    h = make(*as_in_c(args))
    if not h.ctx:
        raise RuntimeError(lib.mlx_last_error().decode())
    return h


cpu = lib.mlx_default_cpu_stream_new()


def to_map(tree, tmp_path):
    """A tree of arrays as a map, by way of a file."""
    file = str(tmp_path / "to.safetensors")
    mx.save_safetensors(file, dict(tree_flatten(tree)))
    arrays, about = lib.mlx_map_string_to_array_new(), Handle()
    call("load_safetensors", c.byref(arrays), c.byref(about), file, cpu)
    return arrays


def from_map(arrays, tmp_path):
    file, about = str(tmp_path / "from.safetensors"), lib.mlx_map_string_to_string_new()
    call("save_safetensors", file, arrays, about)
    return tree_unflatten(list(mx.load(file).items()))


def join():
    parts = (Handle * 2)(new("schedule_linear", 0.0, 0.1, 4), new("schedule_cosine_decay", 0.1, 8.0, 0.0))
    return new("schedule_join", parts, c.c_size_t(2), (c.c_int * 1)(4), c.c_size_t(1))


def scheduled(schedule):
    o = made("adam", 1.0, 0.9, 0.999, 1e-8, False)
    call("optimizer_set_schedule", o, schedule())
    return o


@CHOOSE
def choose(name, gradient, payload):
    return 0 if name.endswith((b"w", b"k")) else 1


def multi():
    parts = (Handle * 2)(made("sgd", 0.1, 0.0, 0.0, 0.0, False), made("adam", 0.01, 0.9, 0.999, 1e-8, False))
    return made("multi", parts, c.c_size_t(2), choose, c.c_void_p(), c.c_void_p())


ADAFACTOR = (1e-30, 1e-3, 1.0, -0.8, NAN, 0.0, True, True, False)
KINDS = {
    "SGD": (lambda: optim.SGD(0.1), lambda: made("sgd", 0.1, 0.0, 0.0, 0.0, False)),
    "SGD all": (lambda: optim.SGD(0.1, 0.8, 0.1, 0.3), lambda: made("sgd", 0.1, 0.8, 0.1, 0.3, False)),
    "SGD nesterov": (lambda: optim.SGD(0.1, 0.9, nesterov=True), lambda: made("sgd", 0.1, 0.9, 0.0, 0.0, True)),
    "RMSprop": (lambda: optim.RMSprop(0.01), lambda: made("rmsprop", 0.01, 0.99, 1e-8)),
    "Adagrad": (lambda: optim.Adagrad(0.1), lambda: made("adagrad", 0.1, 1e-8)),
    "AdaDelta": (lambda: optim.AdaDelta(1.0), lambda: made("adadelta", 1.0, 0.9, 1e-6)),
    "Adam": (lambda: optim.Adam(0.01), lambda: made("adam", 0.01, 0.9, 0.999, 1e-8, False)),
    "AdamW": (
        lambda: optim.AdamW(0.01, bias_correction=True),
        lambda: made("adamw", 0.01, 0.9, 0.999, 1e-8, 0.01, True),
    ),
    "Adamax": (lambda: optim.Adamax(0.01), lambda: made("adamax", 0.01, 0.9, 0.999, 1e-8)),
    "Lion": (lambda: optim.Lion(0.01, weight_decay=0.1), lambda: made("lion", 0.01, 0.9, 0.99, 0.1)),
    "Muon": (lambda: optim.Muon(0.02), lambda: made("muon", 0.02, 0.95, 0.01, True, 5)),
    "Adafactor": (lambda: optim.Adafactor(), lambda: made("adafactor", NAN, *ADAFACTOR)),
    "Adafactor all": (
        lambda: optim.Adafactor(0.01, beta_1=0.9, weight_decay=0.1, relative_step=False, scale_parameter=False),
        lambda: made("adafactor", 0.01, *ADAFACTOR[:4], 0.9, 0.1, False, False, False),
    ),
    "schedule": (
        lambda: optim.Adam(optim.join_schedules([optim.linear_schedule(0, 0.1, 4), optim.cosine_decay(0.1, 8)], [4])),
        lambda: scheduled(join),
    ),
    "exponential": (
        lambda: optim.Adam(optim.exponential_decay(0.1, 0.9)),
        lambda: scheduled(lambda: new("schedule_exponential_decay", 0.1, 0.9)),
    ),
    "in steps": (
        lambda: optim.Adam(optim.step_decay(0.1, 0.9, 3)),
        lambda: scheduled(lambda: new("schedule_step_decay", 0.1, 0.9, 3)),
    ),
    "several": (
        lambda: optim.MultiOptimizer([optim.SGD(0.1), optim.Adam(0.01)], [lambda path, g: path.endswith(("w", "k"))]),
        multi,
    ),
}


def start(dtype=mx.float32):
    mx.random.seed(3)
    tree = {"w": mx.random.normal((3, 4)), "deep": [{"b": mx.random.normal((5,))}, {"k": mx.random.normal((2, 3, 3, 2))}]}
    return tree_map(lambda x: x.astype(dtype), tree)


def gradients(tree, i):
    return tree_map(lambda p: (mx.sin(3 * p + i) * p * 0.3 + 0.1).astype(p.dtype), tree)


def equal(a, b):
    a, b = dict(tree_flatten(a)), dict(tree_flatten(b))
    assert sorted(a) == sorted(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and mx.array_equal(a[name], b[name]), name


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_ten_steps_are_those_of_python(name, dtype, tmp_path):
    python, in_c = (make() for make in KINDS[name])
    p = start(dtype)
    parameters = to_map(p, tmp_path)
    for i in range(10):
        g = gradients(p, i)
        p = python.apply_gradients(g, p)
        call("optimizer_update", in_c, parameters, to_map(g, tmp_path), cpu)
    equal(from_map(parameters, tmp_path), p)
    state = new("optimizer_state", in_c)
    equal(from_map(state, tmp_path), python.state)


@pytest.mark.parametrize("name", KINDS)
def test_a_state_goes_over_and_back(name, tmp_path):
    python, in_c = (make() for make in KINDS[name])
    p = start()
    for i in range(3):
        p = python.apply_gradients(gradients(p, i), p)
    call("optimizer_set_state", in_c, to_map(python.state, tmp_path))  # from Python to C
    parameters = to_map(p, tmp_path)
    g = gradients(p, 3)
    call("optimizer_update", in_c, parameters, to_map(g, tmp_path), cpu)
    p = python.apply_gradients(g, p)
    equal(from_map(parameters, tmp_path), p)
    again = KINDS[name][0]()
    again.state = from_map(new("optimizer_state", in_c), tmp_path)  # and back
    equal(again.apply_gradients(gradients(p, 4), p), python.apply_gradients(gradients(p, 4), p))


def test_gradients_are_clipped_alike(tmp_path):
    g, norm, clipped = start(), Handle(), lib.mlx_map_string_to_array_new()
    call("clip_grad_norm", c.byref(clipped), c.byref(norm), to_map(g, tmp_path), 1.5, cpu)
    want, before = optim.clip_grad_norm(g, 1.5)
    equal(from_map(clipped, tmp_path), want)
    value = c.c_float()
    call("array_item_float32", c.byref(value), norm)
    assert value.value == before.item()


def test_the_values_of_a_state_are_in_its_order(tmp_path):
    o, values = made("adam", 0.01, 0.9, 0.999, 1e-8, False), lib.mlx_vector_array_new()
    call("optimizer_init", o, to_map(start(), tmp_path), cpu)
    call("optimizer_state_values", c.byref(values), o)
    lib.mlx_vector_array_size.restype = c.c_size_t
    assert lib.mlx_vector_array_size(values) == 2 + 3 * 2
    call("optimizer_set_state_values", o, values)
    with pytest.raises(RuntimeError, match="0 arrays given, expected 8"):
        call("optimizer_set_state_values", o, lib.mlx_vector_array_new_data(None, c.c_size_t(0)))


def refused(phrase, name, *args):
    with pytest.raises(RuntimeError, match=phrase):
        call(name, *args)


def refused_new(phrase, kind, *args):
    with pytest.raises(RuntimeError, match=phrase):
        made(kind, *args)


def test_refusals(tmp_path):
    out = Handle()
    refused_new("Nesterov momentum requires", "sgd", 0.1, 0.0, 0.0, 0.0, True)
    refused_new("RMSprop alpha should be >=0, -1 was", "rmsprop", 0.1, -1.0, 1e-8)
    refused_new("SGD was given NaN", "sgd", NAN, 0.0, 0.0, 0.0, False)
    refused("steps must be greater than 0, but got 0", "schedule_linear", c.byref(out), 0.0, 1.0, 0)
    refused("Must provide at least 1 schedule", "schedule_join", c.byref(out), None, c.c_size_t(0), None, c.c_size_t(0))
    refused("empty optimizer given", "optimizer_set_learning_rate", Handle(), 0.1)
    o = made("adam", 0.1, 0.9, 0.999, 1e-8, False)
    p = to_map({"w": mx.ones((2, 3))}, tmp_path)
    refused("gradient of 'v', but no parameter", "optimizer_update", o, p, to_map({"v": mx.ones((2, 3))}, tmp_path), cpu)
    refused(r"gradient of 'w' has shape \(3\), expected", "optimizer_update", o, p, to_map({"w": mx.ones(3)}, tmp_path), cpu)
    refused("empty map given for 'parameters'", "optimizer_update", o, Handle(), p, cpu)
    refused("empty stream given", "optimizer_update", o, p, p, Handle())
    refused("'w.x' is no part of the state of Adam", "optimizer_set_state", o, to_map({"w": {"x": mx.ones(3)}}, tmp_path))
    refused("'step' has shape .2., expected one", "optimizer_set_state", o, to_map({"step": mx.ones(2)}, tmp_path))
    call("optimizer_set_state", o, to_map({"w": {"m": mx.zeros((2, 3))}}, tmp_path))
    refused("the state of 'w' has no 'v', which Adam needs", "optimizer_update", o, p, p, cpu)


def test_a_choice_out_of_range_is_refused(tmp_path):
    wrong = CHOOSE(lambda name, gradient, payload: 2)
    o = made("multi", (Handle * 1)(made("sgd", 0.1, 0.0, 0.0, 0.0, False)), c.c_size_t(1), wrong, None, None)
    p = to_map(start(), tmp_path)
    refused("optimizer 2 was chosen for 'deep.0.b', but there are 1", "optimizer_update", o, p, p, cpu)
    refused("'states.1.step' is no part of the state of 1 opt", "optimizer_set_state", o, to_map({"states.1.step": mx.array(0)}, tmp_path))
