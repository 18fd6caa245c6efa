"""Objects of classes made from dict or list (modules above all) as arguments of compiled functions: they arrive as themselves, their
arrays traced, and what the function changes in them is changed by every call."""

import sys
import threading
from collections import OrderedDict
from functools import partial

import pytest

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)]
        self.scale = 2.0

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x * self.scale


@pytest.fixture
def batch():
    keys = mx.random.split(mx.random.key(0), 2)
    return mx.random.normal((5, 3), key=keys[0]), mx.random.normal((5, 2), key=keys[1])


def mse(model, x, y):
    return ((model(x) - y) ** 2).mean()


def same(a, b):
    return all(mx.allclose(x, y) for (_, x), (_, y) in zip(mx_leaves(a), mx_leaves(b), strict=True))


def mx_leaves(model):
    from mlx.utils import tree_flatten
    return tree_flatten(model.parameters())


def twins():
    a, b = Net(), Net()
    b.update(a.parameters())
    return a, b


def test_a_module_arrives_as_itself_and_one_trace_serves_its_like(batch):
    seen = []

    @mx.compile
    def loss(model, x, y):
        seen.append(model)
        return mse(model, x, y)
    first, second = Net(), Net()
    for model in (first, second, first):
        assert mx.allclose(loss(model, *batch), mse(model, *batch))
    assert len(seen) == 1 and seen[0] is first


@pytest.mark.parametrize("change", [lambda m: setattr(m, "scale", 3.0), lambda m: m.eval(), lambda m: m.freeze(),
                                    lambda m: m.layers.append(nn.Linear(2, 2)), lambda m: m.layers.__setitem__(1, nn.Tanh())])
def test_what_the_function_may_depend_on_makes_a_new_trace(batch, change):
    traces = []

    @mx.compile
    def loss(model, x, y):
        traces.append(1)
        return mse(model, x, y)
    model = Net()
    loss(model, *batch)
    change(model)
    assert mx.allclose(loss(model, *batch), mse(model, *batch))
    assert len(traces) == 2


def test_a_training_step_updates_the_model_it_is_given(batch):
    def step(model, x, y):
        value, grads = nn.value_and_grad(model, mse)(model, x, y)
        optim.SGD(0.1).update(model, grads)
        return value
    compiled, (a, b) = mx.compile(step), twins()
    before = a.layers[0].weight
    for _ in range(4):
        assert mx.allclose(compiled(a, *batch), step(b, *batch))
    assert same(a, b) and not mx.allclose(before, a.layers[0].weight)
    assert same(a, b) and [k for k, _ in mx_leaves(a)] == [k for k, _ in mx_leaves(Net())]


def test_a_module_that_is_also_state(batch):
    a, b = twins()
    mine, theirs = optim.Adam(1e-2), optim.Adam(1e-2)
    state = [a.state, mine.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(model, x, y):
        value, grads = nn.value_and_grad(model, mse)(model, x, y)
        mine.update(model, grads)
        return value
    for _ in range(3):
        value, grads = nn.value_and_grad(b, mse)(b, *batch)
        theirs.update(b, grads)
        assert mx.allclose(step(a, *batch), value)
    assert same(a, b)


def test_tied_weights_and_gradients_of_a_compiled_loss(batch):
    model = Net()
    model.layers += [nn.Linear(2, 2)] * 2
    compiled = mx.compile(mse)
    values, grads = nn.value_and_grad(model, compiled)(model, *batch)
    wanted, right = nn.value_and_grad(model, mse)(model, *batch)
    assert mx.allclose(values, wanted) and mx.allclose(grads["layers"][0]["weight"], right["layers"][0]["weight"])
    mx.eval(model.parameters())
    assert model.layers[-1].weight is model.layers[-2].weight


def test_running_statistics_move_on():
    x = mx.random.normal((16, 3), key=mx.random.key(1)) + 2
    a, b = nn.BatchNorm(3), nn.BatchNorm(3)
    forward = mx.compile(lambda layer, x: layer(x))
    for _ in range(3):
        assert mx.allclose(forward(a, x), b(x), atol=1e-5)
    assert mx.allclose(a.running_mean, b.running_mean) and float(a.running_mean[0]) > 0.3


@pytest.mark.parametrize("kind", [OrderedDict, type("Mine", (dict,), {})])
def test_subclasses_of_dict(kind):
    given = kind(a=mx.array([1.0]), b=[mx.array([2.0]), 3])

    @mx.compile
    def f(d, factor=1):
        assert type(d) is kind
        d["b"][0] = d["b"][0] * factor
        return d["a"] + d["b"][0] + d["b"][1]
    assert [f(given, factor=2).item() for _ in range(2)] == [8, 12]
    assert list(given) == ["a", "b"] and given["b"][0].item() == 8


def test_subclasses_of_list_inside_plain_containers():
    class Mine(list):
        pass

    @mx.compile
    def f(args, offset):
        assert type(args) is dict and type(args["list"]) is Mine
        args["list"][1], args["new"] = args["list"][0] + offset, 1
        return args["list"][1]
    args = {"first": mx.array(7.0), "list": Mine([mx.array(1.0), mx.array(0.0)])}
    assert f(args, mx.array(2.0)).item() == 3 and f(args, mx.array(4.0)).item() == 5
    assert args["list"][1].item() == 5 and "new" not in args


def test_a_failed_trace_leaves_no_trace(batch):
    model, state = Net(), {"a": mx.array(1.0)}
    weight, layers, value = model.layers[0].weight, list(model.layers), state["a"]

    @partial(mx.compile, inputs=state, outputs=state)
    def fails(model, x):
        state["a"] = state["a"] + x.sum()
        model.layers[0].weight = x
        model.extra = x
        model.layers.append(nn.ReLU())
        raise RuntimeError("half way")
    with pytest.raises(RuntimeError, match="half way"):
        fails(model, batch[0])
    assert model.layers[0].weight is weight and len(layers) == len(model.layers) and "extra" not in model and state["a"] is value
    mx.eval(model.parameters(), state)


@pytest.mark.parametrize("change", [lambda m, x: setattr(m, "extra", x), lambda m, x: m.layers.pop(), lambda m, x: m.pop("layers")])
def test_only_arrays_may_change(batch, change):
    model = Net()

    @mx.compile
    def f(model, x):
        change(model, x)
        return x
    with pytest.raises(ValueError, match=r"\[compile\] The function changed an object that it was given"):
        f(model, batch[0])
    assert mx.allclose(mse(model, *batch), mse(model, *batch)) and len(model.layers) == 3


def test_a_plain_container_is_the_callers_own():
    """The function gets a new one, so what it does to the caller's from outside is none of compile's business."""
    held = {"x": mx.array(1.0)}

    @mx.compile
    def f(d):
        held["seen"] = 1
        return d["x"] + 1
    assert f(held).item() == 2 and held["seen"] == 1


@pytest.fixture
def hurried():
    """Threads take turns after each instruction."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_threads_share_a_model(batch, hurried):
    model, wrong = Net(), []
    wanted = mse(model, *batch).item()

    def work():
        try:
            for _ in range(20):
                value = mx.compile(lambda m, x, y: mse(m, x, y))(model, *batch).item()
                if abs(value - wanted) > 1e-5:
                    wrong.append(value)
        except ValueError as error:
            wrong.append(error)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
