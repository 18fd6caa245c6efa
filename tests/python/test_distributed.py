"""mx.distributed and what nn builds on it, in a group of one."""

import os
import subprocess
import sys

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
import pytest
from mlx.nn.layers.distributed import shard_inplace, shard_linear
from mlx.utils import tree_flatten

COLLECTIVES = ["all_sum", "all_max", "all_min", "all_gather", "sum_scatter"]


def test_the_group_is_this_process_alone():
    g = mx.distributed.init()
    assert isinstance(g, mx.distributed.Group) and (g.rank(), g.size()) == (0, 1)
    for backend in ("any", "mpi", "ring", "nccl", "jaccl"):
        assert mx.distributed.init(backend=backend).size() == 1


def test_what_no_backend_can_do_is_an_error():
    for backend, match in (("any", "Couldn't initialize any backend"), ("mpi", "Cannot initialize MPI"), ("ring", r"\[ring\]"),
                           ("nccl", "Cannot initialize nccl distributed backend"), ("jaccl", "Cannot initialize jaccl")):
        with pytest.raises(RuntimeError, match=match):
            mx.distributed.init(strict=True, backend=backend)
    with pytest.raises(ValueError, match="only valid values for backend .* but 'foo' was provided"):
        mx.distributed.init(backend="foo")
    with pytest.raises(ValueError, match="only supported with backend='jaccl'"):
        mx.distributed.init(all_gather_factory=lambda rank, size: None)
    with pytest.raises(RuntimeError, match="Cannot split the distributed group further"):
        mx.distributed.init().split(0, key=1)
    with pytest.raises(TypeError):
        mx.distributed.Group()
    with pytest.raises(TypeError, match="split"):
        mx.distributed.init().split("a")


def test_which_backends_are_known():
    d = mx.distributed
    assert [d.is_available(b) for b in ("any", "mpi", "ring", "nccl", "jaccl", "foo")] == [True, True, True, False, False, False]
    assert d.is_available()


def test_one_of_several_processes_is_told():
    code = "import mlx.core as mx; mx.distributed.init()"
    env = dict(os.environ, MLX_WORLD_SIZE="2")
    r = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert r.returncode and "one of MLX_WORLD_SIZE=2" in r.stderr


@pytest.mark.parametrize("name", COLLECTIVES)
def test_a_collective_of_one_is_the_identity(name):
    f, g = getattr(mx.distributed, name), mx.distributed.init()
    x = mx.arange(6.0).reshape(2, 3)
    for r in (f(x), f(x, group=g), f(x, group=None, stream=mx.cpu)):
        assert mx.array_equal(r, x) and r.dtype == x.dtype
    assert f(1.0).item() == 1
    assert mx.array_equal(mx.grad(lambda x: (f(x) ** 2).sum())(x), 2 * x)
    assert mx.array_equal(mx.vmap(f)(x), x)
    assert mx.array_equal(mx.compile(f)(x), x)
    assert mx.array_equal(mx.jvp(f, [x], [x + 1])[1][0], x + 1)
    with pytest.raises(TypeError, match=name):
        f(x, group=3)
    with pytest.raises(ValueError):
        f([1, 2])


def test_there_is_nobody_to_talk_to():
    x = mx.ones((2,))
    for dst in (0, 1, -1):
        with pytest.raises(ValueError, match="Cannot send to a singleton group"):
            mx.distributed.send(x, dst)
        with pytest.raises(ValueError, match="Cannot recv from a singleton group"):
            mx.distributed.recv((2,), mx.float32, dst)
        with pytest.raises(ValueError, match="Cannot recv from a singleton group"):
            mx.distributed.recv_like(x, dst, group=mx.distributed.init())


# ---- nn ----

@pytest.mark.parametrize("sharding", ["all-to-sharded", "sharded-to-all"])
def test_sharded_layers_compute_what_the_plain_one_does(sharding):
    linear, x = nn.Linear(8, 6), mx.random.normal((3, 8))
    sharded = shard_linear(linear, sharding)
    assert mx.allclose(sharded(x), linear(x), atol=1e-6)
    assert sharded.weight.shape == (6, 8) and "input_dims=8, output_dims=6, bias=True" in repr(sharded)
    loss = lambda m: m(x).square().sum()
    for (k, a), (_, b) in zip(tree_flatten(nn.value_and_grad(sharded, loss)(sharded)[1]), tree_flatten(nn.value_and_grad(linear, loss)(linear)[1])):
        assert mx.allclose(a, b, atol=1e-4), k


def test_layers_are_sharded_in_place_and_by_segments():
    linear = nn.Linear(4, 6)
    before = dict(tree_flatten(linear.parameters()))
    shard_inplace(linear, "all-to-sharded", segments=3)
    for k, v in tree_flatten(linear.parameters()):
        assert mx.array_equal(v, before[k])
    with pytest.raises(ValueError, match="not supported"):
        shard_inplace(linear, "sideways")


def test_gradients_are_averaged_over_one():
    grads = {"a": mx.ones((3,)), "b": [mx.zeros((2, 2)), mx.array(2.0)]}
    for size in (0, 1, 1 << 20):
        back = nn.average_gradients(grads, all_reduce_size=size)
        assert all(mx.array_equal(x, y) for (_, x), (_, y) in zip(tree_flatten(back), tree_flatten(grads)))


def test_a_fully_sharded_module_trains_as_the_plain_one():
    mx.random.seed(3)
    plain = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    mx.random.seed(3)
    sharded = nn.fully_shard(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)))
    x, y = mx.random.normal((16, 4)), mx.random.normal((16, 1))
    losses = []
    for model in (plain, sharded):
        opt, step = optim.SGD(0.1), nn.value_and_grad(model, lambda x, y: nn.losses.mse_loss(model(x), y))
        for _ in range(3):
            loss, grads = step(x, y)
            opt.update(model, nn.average_gradients(grads))
        losses.append(loss.item())
    assert np.isclose(*losses)


def test_gradients_are_clipped_over_all_shards():
    grads = {"a": mx.array([3.0]), "b": mx.array([4.0])}
    clipped, norm = nn.utils.clip_grad_norm_sharded(grads, 1.0)
    assert np.isclose(norm.item(), 5) and np.isclose(clipped["b"].item(), 0.8)
