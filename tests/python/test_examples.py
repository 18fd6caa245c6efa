"""The examples run and reach a goal, in short."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import mlx.core as mx
import pytest

HERE = os.path.dirname(__file__)
EXAMPLES = os.path.join(HERE, "..", "..", "examples", "python")


def run(name, *args, timeout=240):
    if name in ("digits.py", "mlp.py", "logistic_regression.py"):
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


@pytest.mark.parametrize(
    "command, figure, above",
    [
        ("resnet.py --steps 30", r"test accuracy ([\d.]+)", 25),
        ("gcn.py --steps 60", r"accuracy after +([\d.]+)", 55),
        ("flow.py --steps 150", r"after +(-[\d.]+)", -1.6),
        ("bert.py --steps 200", r"agree after +([\d.]+)", 62),
        ("seq2seq.py --steps 110", r"letters right ([\d.]+)", 12),
        ("speech.py --steps 100", r"numbers right (\d+)", 60),
        ("clip.py --steps 60", r"caption after +([\d.]+)", 60),
        ("lora.py --steps 60", r"parameters are trained\n.* before ([\d.]+)", 2.5),
        ("diffusion.py --steps 40 --sampling-steps 4", r"loss first ([\d.]+)", 0.8),
        ("control_flow.py --steps 60", r"friction (0.[23]\d+)", 0.2),
    ],
)
def test_example_learns(command, figure, above):
    out = run(*command.split())
    assert float(re.search(figure, out)[1]) > above, out
    fallen = {"lora.py": (r"before ([\d.]+)", r"merged .* ([\d.]+)", 1), "diffusion.py": (r"first ([\d.]+)", r"last ([\d.]+)", 0.5)}.get(command.split()[0])
    if fallen:
        before, after, by = fallen
        assert float(re.search(after, out)[1]) < float(re.search(before, out)[1]) - by, out


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


# ---- the trainers in C, compiled against the library that is tested: the same numbers as Python's for the same seed ----

in_c = pytest.mark.skipif(
    not shutil.which("cc") or "asan" in os.environ.get("LD_PRELOAD", ""), reason="compiles a C program against a plain library"
)


def run_c(name, to, *args):
    root, lib, program = pathlib.Path(HERE).parents[1], pathlib.Path(mx.__file__).resolve().parent / "lib", str(to / name)
    command = ["cc", "-std=gnu17", "-O1", f"-I{root / 'include'}", str(root / "examples" / "c" / f"{name}.c")]
    subprocess.run([*command, f"-L{lib}", "-lcmlx", f"-Wl,-rpath,{lib}", "-o", program], check=True)
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=240, cwd=to)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@in_c
def test_digits_in_c_comes_to_the_numbers_of_python(tmp_path):
    pytest.importorskip("matplotlib")
    data, weights, picture = tmp_path / "data.safetensors", tmp_path / "c.safetensors", tmp_path / "x.png"
    run("digits.py", "--export", str(data), "--seed", "5")  # which divides the images, too
    epochs = ("--epochs", "3", "--seed", "5", "--goal", "0.9")
    out = run_c("digits", tmp_path, "--data", data, "--out", weights, *epochs)
    python = run("digits.py", *epochs, "--out", str(picture))
    last = r"3/3  loss ([\d.]+)  test ([\d.]+) %"
    assert re.search(last, out).groups() == re.search(last, python).groups()
    read = run("digits.py", "--weights", str(weights), "--seed", "5", "--goal", "0.9", "--out", str(picture))
    accuracy = r"test accuracy ([\d.]+) %"
    assert re.search(accuracy, read).group(1) == re.search(accuracy, out).group(1)


@in_c
def test_text_in_c_comes_to_the_numbers_of_python(tmp_path):
    data, from_c, from_python = (tmp_path / f"{name}.safetensors" for name in ("data", "c", "python"))
    run("text.py", "--export", str(data))
    steps = ("--steps", "30", "--batch-size", "8", "--length", "20")
    out = run_c("text", tmp_path, "--data", data, "--out", from_c, *steps)
    python = run("text.py", *steps, "--out", str(from_python))
    line = r"validation loss after  ([\d.]+)"
    assert re.search(line, out).group(1) == re.search(line, python).group(1)
    a, b = mx.load(str(from_c)), mx.load(str(from_python))
    assert list(a) == list(b) and all(mx.array_equal(a[name], b[name]) for name in a)
    assert "The import statement" in run("text.py", "--sample", str(from_c), "--length", "10")
