"""mlx.optimizers: state, schedules and what they refuse. The numbers of ten steps: test_nn_golden.py."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx.utils import tree_flatten

ALL = {
    "SGD": lambda: optim.SGD(0.1, momentum=0.9),
    "RMSprop": lambda: optim.RMSprop(0.1),
    "Adagrad": lambda: optim.Adagrad(0.1),
    "AdaDelta": lambda: optim.AdaDelta(0.1),
    "Adam": lambda: optim.Adam(0.1),
    "AdamW": lambda: optim.AdamW(0.1),
    "Adamax": lambda: optim.Adamax(0.1),
    "Lion": lambda: optim.Lion(0.1),
    "Adafactor": lambda: optim.Adafactor(),
    "Muon": lambda: optim.Muon(0.1),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32], ids=str)
def test_parameters_and_state_keep_the_dtype(name, dtype):
    o = ALL[name]()
    p = {"w": mx.full((2, 3), 1.0, dtype=dtype), "b": mx.full((3,), 1.0, dtype=dtype)}
    for _ in range(2):
        p = o.apply_gradients({"w": p["w"] * 0.5, "b": p["b"] * 0.5}, p)
    assert {v.dtype for v in p.values()} == {dtype}
    assert {v.dtype for k, v in tree_flatten(o.state) if k not in ("step", "learning_rate")} == {dtype}
    assert o.state["step"].item() == 2 and o.step.dtype == mx.uint64


@pytest.mark.parametrize("name", ALL)
def test_goes_downhill(name):
    o = ALL[name]()
    p = {"w": mx.array([[3.0, -2.0], [1.0, 4.0]])}
    start = p["w"].square().sum().item()
    for _ in range(20):
        p = o.apply_gradients({"w": 2 * p["w"]}, p)
        mx.eval(p, o.state)
    assert p["w"].square().sum().item() < start


def test_state_keys():
    o = optim.Adam(0.1)
    assert list(o.state) == ["step", "learning_rate"]
    o.init({"w": mx.ones(2), "b": [mx.ones(1)]})
    assert [k for k, _ in tree_flatten(o.state)] == ["step", "learning_rate", "w.m", "w.v", "b.0.m", "b.0.v"]


def test_update_changes_the_model_and_only_what_has_a_gradient():
    m, o = nn.Linear(2, 2), optim.SGD(0.5)
    bias = m.bias
    weight = np.array(m.weight)
    o.update(m, {"weight": mx.ones((2, 2))})
    np.testing.assert_allclose(np.array(m.weight), weight - 0.5, rtol=1e-6)
    assert m.bias is bias
    o.update(m, {"weight": mx.ones((2, 2)), "bias": mx.ones(2)})  # was frozen till now
    np.testing.assert_allclose(np.array(m.bias), np.array(bias) - 0.5, rtol=1e-6)


def test_learning_rate_can_be_set():
    o = optim.Adam(0.1)
    assert o.learning_rate.item() == np.float32(0.1)
    o.learning_rate = 0.5
    assert o.state["learning_rate"].item() == 0.5


def test_state_can_be_carried_over():
    a, p = optim.Adam(0.1), {"w": mx.array([1.0, 2.0])}
    for _ in range(3):
        p = a.apply_gradients({"w": p["w"]}, p)
    b = optim.Adam(0.7)
    b.state = {k: dict(v) if isinstance(v, dict) else v for k, v in a.state.items()}
    assert b.step.item() == 3
    follows, goes_on = b.apply_gradients({"w": p["w"]}, p), a.apply_gradients({"w": p["w"]}, p)
    assert mx.array_equal(follows["w"], goes_on["w"])
    assert mx.array_equal(b.state["w"]["m"], a.state["w"]["m"])


def test_schedule_is_followed():
    o = optim.SGD(optim.linear_schedule(1.0, 0.0, 4))
    p = {"w": mx.array([0.0])}
    rates = []
    for _ in range(6):
        p = o.apply_gradients({"w": mx.array([1.0])}, p)
        rates.append(o.learning_rate.item())
    assert rates == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert p["w"].item() == -2.5


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: optim.SGD(0.1, nesterov=True), "Nesterov"),
        (lambda: optim.RMSprop(0.1, alpha=-1), "alpha should be >=0"),
        (lambda: optim.RMSprop(0.1, eps=-1), "epsilon should be >0"),
        (lambda: optim.AdaDelta(0.1, rho=-1), "rho should be >=0"),
        (lambda: optim.Adam(0.1, eps=-1), "epsilon should be >=0"),
        (lambda: optim.linear_schedule(0, 1, 0), "greater than 0"),
        (lambda: optim.join_schedules([], []), "at least 1"),
        (lambda: optim.join_schedules([optim.linear_schedule(0, 1, 5)], [1]), "expected 0"),
        (lambda: optim.MultiOptimizer([optim.SGD(0.1), optim.SGD(0.1)], []), "1 needed"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_multi_optimizer_splits_by_path_and_gradient():
    o = optim.MultiOptimizer(
        [optim.SGD(0.1), optim.Adam(0.2), optim.Lion(0.1)], [lambda p, g: "b" in p, lambda p, g: g.ndim > 1]
    )
    g = {"b": mx.ones(2), "w": mx.ones((2, 2)), "c": {"d": mx.ones(3), "ab": [mx.ones(1)]}}
    new = o.apply_gradients(g, g)
    assert sorted(k for k, _ in tree_flatten(new)) == ["b", "c.ab.0", "c.d", "w"]
    np.testing.assert_allclose(np.array(new["c"]["d"]), 0.9, rtol=1e-6)
    assert len(o.state["states"]) == 3 and o.learning_rate.item() == np.float32(0.1)
    o.learning_rate = 0.7
    assert o.optimizers[2].learning_rate.item() == np.float32(0.7)
    with pytest.raises(ValueError, match="Invalid state"):
        o.state = {"states": []}


def test_clip_grad_norm():
    g, norm = optim.clip_grad_norm({"a": mx.full((4,), 3.0, dtype=mx.float16), "b": [mx.ones(2)]}, 1.0)
    assert abs(norm.item() - 38**0.5) < 1e-4
    assert g["a"].dtype == mx.float16
    same, _ = optim.clip_grad_norm({"a": mx.full((4,), 0.1)}, 1.0)
    np.testing.assert_allclose(np.array(same["a"]), 0.1, rtol=1e-6)
