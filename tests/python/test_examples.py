"""The examples run and reach a goal; the two of `make demo` in short."""

import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(__file__)
EXAMPLES = os.path.join(HERE, "..", "..", "examples", "python")


def run(name, *args, timeout=240):
    pytest.importorskip("sklearn")
    command = [sys.executable, os.path.join(EXAMPLES, name), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "command", ["linear_regression.py", "logistic_regression.py", "mlp.py --epochs 6", "mlp.py --epochs 6 --compile", "custom_primitive.py"]
)
def test_small_example(command):
    assert run(*command.split())


def test_digits(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "digits.png"
    out = run("digits.py", "--epochs", "8", "--goal", "0.95", "--out", str(picture))
    assert "test accuracy" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_digits_fails_below_its_goal(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(AssertionError, match="below the goal"):
        run("digits.py", "--epochs", "1", "--goal", "0.999", "--out", str(tmp_path / "x.png"))


def test_text_writes_from_what_another_process_saved(tmp_path):
    weights = tmp_path / "text.safetensors"
    out = run("text.py", "--steps", "30", "--batch-size", "8", "--length", "20", "--out", str(weights))
    assert weights.stat().st_size > 4_000_000
    before, after = (float(line.split()[-1]) for line in out.splitlines() if line.startswith("validation loss"))
    assert after < before - 1
    assert "The import statement" in out
