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


LAYERS = {  # name: how it is made in Python, the shape of its input; in the order of the C half
    "bilinear": (lambda: nn.Bilinear(4, 4, 5), (2, 4)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, 2, 1, groups=2), (2, 7, 4)),
    "conv3d": (lambda: nn.Conv3d(4, 2, 2, padding=1), (1, 3, 4, 3, 4)),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 3, 3, 2, 1, output_padding=1), (2, 5, 4)),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(4, 3, (2, 3), 2, 1, output_padding=1, bias=False), (1, 4, 5, 4)),
    "conv_transpose3d": (lambda: nn.ConvTranspose3d(4, 3, 2, 2), (1, 2, 3, 2, 4)),
    "max_pool1d": (lambda: nn.MaxPool1d(3, 2, 1), (2, 7, 4)),
    "avg_pool2d": (lambda: nn.AvgPool2d((2, 3)), (2, 5, 6, 4)),
    "max_pool3d": (lambda: nn.MaxPool3d(2, 1), (1, 3, 4, 3, 2)),
    "instance_norm": (lambda: nn.InstanceNorm(4, affine=True), (2, 5, 4)),
    "group_norm": (lambda: nn.GroupNorm(2, 4, pytorch_compatible=True), (2, 5, 4)),
    "rope": (lambda: nn.RoPE(4), (2, 3, 5, 4)),
    "sinusoidal": (lambda: nn.SinusoidalPositionalEncoding(6, full_turns=True), (5,)),
    "alibi": (lambda: nn.ALiBi(), (1, 6, 3, 4)),
    "prelu": (lambda: nn.PReLU(4), (3, 4)),
    "encoder": (lambda: nn.TransformerEncoder(2, 4, 2), (2, 5, 4)),
    "encoder_post": (lambda: nn.TransformerEncoder(1, 4, 2, 6, activation=nn.gelu, norm_first=False), (2, 5, 4)),
    "transformer": (lambda: nn.Transformer(4, 2, 1, 2, 8), (2, 5, 4)),
    "transformer_post": (lambda: nn.Transformer(4, 2, 1, 1, 8, activation=nn.silu, norm_first=False), (2, 5, 4)),
    "upsample": (lambda: nn.Upsample((1.5, 2), "linear"), (1, 4, 3, 2)),
    "adaptive_avg_pool": (lambda: nn.AdaptiveAvgPool2d((3, None)), (1, 7, 5, 2)),
    "adaptive_max_pool": (lambda: nn.AdaptiveMaxPool1d(3), (1, 7, 2)),
    "pixel_shuffle": (lambda: nn.PixelShuffle(2), (1, 3, 2, 8)),
    "pixel_unshuffle": (lambda: nn.PixelUnshuffle(2), (1, 4, 6, 3)),
    "embedding_bag": (lambda: nn.EmbeddingBag(7, 4), (3, 5)),
    "quantized_linear": (lambda: nn.QuantizedLinear(64, 8, True, 32, 8), (2, 64)),
    "quantized_embedding": (lambda: nn.QuantizedEmbedding(7, 64, mode="mxfp4"), (3, 5)),
    "encoder_checkpoint": (lambda: nn.TransformerEncoder(2, 4, 2, checkpoint=True), (2, 5, 4)),
    "transformer_checkpoint": (lambda: nn.Transformer(4, 2, 1, 2, 8, checkpoint=True), (2, 5, 4)),
    "qq_linear": (lambda: nn.QQLinear(64, 8), (2, 64)),
    "all_to_sharded": (lambda: nn.AllToShardedLinear(4, 3), (2, 4)),
    "sharded_to_all": (lambda: nn.ShardedToAllLinear(4, 3), (2, 4)),
    "quantized_all_to_sharded": (lambda: nn.QuantizedAllToShardedLinear(64, 8, True, 32, 8), (2, 64)),
    "quantized_sharded_to_all": (lambda: nn.QuantizedShardedToAllLinear(64, 8, False, 32, 4, "mxfp4"), (2, 64)),
    "weight_norm": (lambda: nn.weight_norm(nn.Linear(4, 3)), (2, 4)),
    "spectral_norm": (lambda: nn.spectral_norm(nn.Conv1d(4, 6, 3), iterations=2), (2, 7, 4)),
}


def call(name, layer, x):
    if name == "bilinear":
        return layer(x, x)
    if "transformer" in name:
        return layer(x, x, None, "causal", None)
    if "encoder" in name:
        return layer(x, "causal" if name == "encoder_post" else None)
    return layer(x)


def test_every_layer_begins_and_computes_as_in_python(program, tmp_path):
    rng = np.random.default_rng(0)
    inputs = {name: mx.array(rng.standard_normal(shape).astype(np.float32)) for name, (_, shape) in LAYERS.items()}
    inputs["embedding_bag"] = inputs["quantized_embedding"] = mx.array(rng.integers(0, 7, (3, 5)))
    mx.save_safetensors(str(tmp_path / "in.safetensors"), inputs)
    program("each", 5, tmp_path / "in.safetensors", tmp_path)
    results = mx.load(str(tmp_path / "results.safetensors"))
    mx.random.seed(5)
    for name, (make, _) in LAYERS.items():
        layer = make()
        mine, from_c = tree_flatten(layer.parameters(), destination={}), mx.load(str(tmp_path / f"{name}.safetensors"))
        assert mine.keys() == from_c.keys(), name
        for path, value in mine.items():
            assert mx.array_equal(value, from_c[path]).item(), (name, path)
        want = call(name, layer, inputs[name])
        assert results[name].dtype == want.dtype, name
        got, want = (np.array(x.astype(mx.float32)) for x in (results[name], want))
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6, err_msg=name)
