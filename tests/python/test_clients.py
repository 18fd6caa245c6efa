"""mlx-lm from PyPI, nothing patched, answers as it does with the real MLX: see tests/clients."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[1] / "clients"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("mlx_lm") is None, reason="mlx-lm is not installed")


def run(*args):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([sys.executable, *map(str, args)], capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_programs_answer_as_with_mlx(tmp_path):
    """Greedy tokens in f32 of each family, and what each program makes of them."""
    run(CLIENTS / "programs.py", tmp_path, tmp_path / "answers.json")
    answers = json.loads((tmp_path / "answers.json").read_text())
    golden = json.loads((CLIENTS / "golden.json").read_text())
    assert answers.keys() == golden.keys()
    assert {k: (answers[k], golden[k]) for k in golden if answers[k] != golden[k]} == {}


def test_console_program(tmp_path):
    """One as a process of its own, as a user starts it; a model folder that lacks a tensor is an error that names it."""
    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from make_models import *\n"
        "write_model(pathlib.Path(sys.argv[2]) / 'llama', 'llama', FAMILIES['llama'])"
    )
    run("-c", script, CLIENTS, tmp_path)
    arguments = ["-m", "mlx_lm", "generate", "--model", tmp_path / "llama", "-p", "Who is there?", "-m", "4"]
    assert "Generation: 4 tokens" in run(*arguments)
    script = (
        "import sys, mlx.core as mx; f = sys.argv[1]; w = dict(mx.load(f))\n"
        "mx.eval(w); del w['model.layers.1.mlp.up_proj.weight']; mx.save_safetensors(f, w)"
    )
    run("-c", script, tmp_path / "llama" / "model.safetensors")
    with pytest.raises(AssertionError, match="Missing 1 parameters.*\n?model.layers.1.mlp.up_proj.weight"):
        run(*arguments)
