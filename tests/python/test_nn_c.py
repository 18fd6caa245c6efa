"""Modules of mlx/c/nn.h against those of mlx.nn: the same parameters under the same names, the same bits for the same seed, the same
results and gradients, in both directions. The C half is tests/c/nn_exchange.c, compiled here against the library that is tested."""

import os
import pathlib
import shutil
import subprocess

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIB = pathlib.Path(mx.__file__).resolve().parent / "lib"
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")

pytestmark = pytest.mark.skipif(not shutil.which("cc") or SANITIZED, reason="compiles a C program against a plain library")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm(8)
        self.head = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 5, bias=False))
        self.attention = nn.MultiHeadAttention(8, 2, bias=True)
        self.lstm = nn.LSTM(8, 8)
        self.gru = nn.GRU(8, 8)
        self.rnn = nn.RNN(8, 8)
        self.rms = nn.RMSNorm(8)
        self.group = nn.GroupNorm(2, 8)
        self.scale = mx.ones(8)

    def __call__(self, x, ids):
        x = nn.MaxPool2d(2)(nn.relu(self.norm(self.conv(x))))
        x = self.group(mx.mean(x, axis=(1, 2)))
        e = self.embed(ids)
        e = self.lstm(self.attention(e, e, e))[0]
        e = mx.mean(self.rms(self.rnn(self.gru(e))), axis=1) * self.scale
        return self.head(x + e)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    to = tmp_path_factory.mktemp("nn_c") / "nn_exchange"
    source = ROOT / "tests" / "c" / "nn_exchange.c"
    subprocess.run(
        ["cc", "-std=c17", "-O1", f"-I{ROOT / 'include'}", str(source), f"-L{LIB}", "-lcmlx", f"-Wl,-rpath,{LIB}", "-o", str(to)],
        check=True,
    )
    return lambda *args: subprocess.run([str(to), *map(str, args)], check=True, capture_output=True, text=True).stdout


def test_parameters_begin_with_the_same_bits_and_load_into_python(program, tmp_path):
    program("init", 7, tmp_path / "c.safetensors")
    from_c = mx.load(str(tmp_path / "c.safetensors"))
    mx.random.seed(7)
    net = Net()
    mine = tree_flatten(net.parameters(), destination={})
    assert from_c.keys() == mine.keys()
    for name, value in mine.items():
        assert value.shape == from_c[name].shape and mx.array_equal(value, from_c[name]).item(), name
    mx.random.seed(8)
    Net().load_weights(str(tmp_path / "c.safetensors"))  # strict: names and shapes


def test_what_python_saved_gives_the_same_results_and_gradients_in_c(program, tmp_path):
    mx.random.seed(3)
    net = Net()
    x, ids = mx.random.normal((4, 6, 6, 3)), mx.random.randint(0, 11, (4, 5))
    net(x, ids)  # moves the running statistics
    net.eval()
    net.save_weights(str(tmp_path / "py.safetensors"))
    mx.save_safetensors(str(tmp_path / "in.safetensors"), {"x": x, "ids": ids})
    program("forward", tmp_path / "py.safetensors", tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    got = mx.load(str(tmp_path / "out.safetensors"))

    def loss(x, ids):
        y = net(x, ids)
        return mx.sum(mx.square(y)), y

    (_, y), grads = nn.value_and_grad(net, loss)(x, ids)
    want = tree_flatten(grads, destination={}) | {"y": y}
    assert got.keys() == want.keys()
    for name, value in want.items():
        np.testing.assert_allclose(np.array(got[name]), np.array(value), rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_model_prints_as_in_python(program):
    tree, table = program("print").split("\n\n")
    net = Net()
    # Python's RNN shows its nonlinearity, a function; and an activation is a class of its own there
    python = [line for line in repr(net).replace("GELU()", "Function()").splitlines() if "RNN(" not in line]
    assert [line for line in tree.splitlines() if "RNN(" not in line] == python
    assert table.strip() == net.summary()
