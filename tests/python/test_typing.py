"""The stub and the annotations of the package pass a strict check of mypy, with the examples as users."""

import os
import pathlib
import subprocess
import sys

import mlx.core as mx
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = pathlib.Path(mx.__file__).resolve().parents[1]


def check(*files, cwd):
    pytest.importorskip("mypy")
    if not (PACKAGE / "mlx" / "core" / "__init__.pyi").exists():
        pytest.skip("no stub beside the module")
    env = dict(os.environ)
    if "site-packages" not in PACKAGE.parts:
        env["MYPYPATH"] = str(PACKAGE)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=240)
    return done.returncode, done.stdout + done.stderr


def test_the_examples_pass_a_strict_check():
    folder = ROOT / "examples" / "python"
    rc, said = check(*sorted(folder.glob("*.py")), cwd=folder)
    assert rc == 0, said


RIGHT = """
from typing import Any, assert_type
import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten

a = mx.array([1, 2, 3])
assert_type(a + 1, mx.array)
assert_type(2.5 * a, mx.array)
assert_type(-a[1:, None], mx.array)
assert_type(a.sum(axis=0, keepdims=True), mx.array)
assert_type(mx.maximum(a, 0), mx.array)
assert_type(mx.split(a, [1, 2]), list[mx.array])
assert_type(a.shape, tuple[int, ...])
assert_type(mx.linalg.svd(a), mx.linalg.SVDResult)
assert_type(mx.linalg.eigh(a).eigenvalues, mx.array)
assert_type(mx.clip(a, min=0, max=1), mx.array)
assert_type(mx.full((2,), fill_value=1, device=mx.cpu), mx.array)
assert_type(mx.bool, mx.Dtype)
assert_type(mx.linalg.svd(a, compute_uv=False), mx.array)
assert_type(mx.load("x.gguf", return_metadata=True), tuple[dict[str, mx.array], dict[str, Any]])
assert_type(a.at[0].add(1), mx.array)
from mlx.core.distributed import Group
from mlx.core.linalg import SVDResult
group: Group = mx.distributed.init(strict=False)
assert_type(mx.distributed.all_sum(a, group=group), mx.array)
assert_type(group.split(0).size(), int)
mx.random.seed(0)
mx.eval(a, mx.random.state)
with mx.stream(mx.cpu):
    mx.synchronize()
mx.save_gguf("x", {"a": a}, {"k": "v"})

def loss(w: mx.array, scale: float) -> mx.array:
    return (w * scale).sum()

assert_type(mx.compile(loss)(a, 2.0), mx.array)
value, grad = mx.value_and_grad(loss)(a, 2.0)
assert_type(value, mx.array)

class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4, bias=False)

    def __call__(self, x: mx.array) -> mx.array:
        return nn.relu(self.layer(x))

net = Net()
assert_type(nn.value_and_grad(net, lambda x: net(x).sum())(a)[0], mx.array)
assert_type(tree_flatten(net.parameters()), list[tuple[str, Any]])
"""

WRONG = ["mx.zeros('x')", "mx.add('a', 'b', 'c')", "mx.arange(3).sum(axis='x')", "mx.nothing", "mx.ones((2,), dtype=3)", "mx.distributed.all_sum(mx.array(1), group=3)",
         "mx.save_gguf('x', {1: mx.array(1)}, {})", "mx.load('x', return_metadata=True).shape"]


def test_results_have_the_types_that_programs_expect(tmp_path):
    (tmp_path / "right.py").write_text(RIGHT)
    rc, said = check("right.py", cwd=tmp_path)
    assert rc == 0, said


def test_wrong_calls_are_found(tmp_path):
    (tmp_path / "wrong.py").write_text("import mlx.core as mx\n" + "\n".join(WRONG) + "\n")
    _, said = check("wrong.py", cwd=tmp_path)
    for i, line in enumerate(WRONG):
        assert f"wrong.py:{i + 2}: error" in said, (line, said)
