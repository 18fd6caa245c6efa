"""mlx-lm and mlx-vlm from PyPI, nothing patched, answer as they do with the real MLX: see tests/clients."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[1] / "clients"
needs_lm = pytest.mark.skipif(importlib.util.find_spec("mlx_lm") is None, reason="mlx-lm is not installed")
lacking = [name for name in ("mlx_vlm", "transformers", "PIL", "requests") if importlib.util.find_spec(name) is None]
needs_vlm = pytest.mark.skipif(bool(lacking), reason=f"mlx-vlm needs what is not installed: {', '.join(lacking)}")


def run(*args):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([sys.executable, *map(str, args)], capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def compare(script, golden, folder):
    run(CLIENTS / script, folder, folder / "answers.json")
    answers = json.loads((folder / "answers.json").read_text())
    golden = json.loads((CLIENTS / golden).read_text())
    assert answers.keys() == golden.keys()
    assert {k: (answers[k], golden[k]) for k in golden if answers[k] != golden[k]} == {}


@needs_lm
def test_programs_answer_as_with_mlx(tmp_path):
    """Greedy tokens in f32 of each family, and what each program makes of them."""
    compare("programs.py", "golden.json", tmp_path)


@needs_vlm
def test_models_of_pictures_answer_as_with_mlx(tmp_path):
    """Greedy tokens in f32 and of packed weights, with a picture and without."""
    compare("vision.py", "golden_vision.json", tmp_path)


@needs_lm
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
    with pytest.raises(AssertionError, match=r"Missing 1 parameters:\s+model.layers.1.mlp.up_proj.weight.\s+They are not in .*model.safetensors"):
        run(*arguments)


ENDLESS = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from make_models import *
import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import RotatingKVCache
from mlx_lm.utils import load_model
model, _ = load_model(write_model(pathlib.Path(sys.argv[2]) / 'llama', 'llama', FAMILIES['llama']))
cache = [RotatingKVCache(64, keep=4) for _ in model.layers]
def in_use():
    mx.synchronize()    # the next token is being computed while this one is looked at
    return mx.get_active_memory()
used = [in_use() for _ in generate_step(mx.arange(8), model, max_tokens=2000, prompt_cache=cache)]
print(len(used), max(used[200:1000]), max(used[1000:]))
"""


@needs_lm
def test_two_thousand_tokens_through_a_cache_of_fixed_size_need_no_more_memory(tmp_path):
    tokens, before, after = map(int, run("-c", ENDLESS, CLIENTS, tmp_path).split())
    assert tokens == 2000 and after <= before
