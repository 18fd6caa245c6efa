"""A process from its start to the first token of a Llama of 135M parameters with 4-bit weights (llm_models.py), files warm: mlx-lm with cmlx
and with the real MLX, llama.cpp through llama-cpp-python. Most of mlx-lm's is the import of transformers, which reads the sources of all its
models twice; so there are rows for that import alone, and for what is left when nothing but cmlx and mlx-lm's model is counted."""

import os
import statistics
import subprocess
import sys
import time

import harness
import llm_models

MLX_LM = """
import sys, time
import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.utils import load_model
from pathlib import Path
model, _ = load_model(Path(sys.argv[1]))
next(generate_step(mx.arange(8), model, max_tokens=1))
print(time.time())
"""
AFTER_IMPORTS = "import sys, time, transformers, transformers.models.auto.tokenization_auto\nsys.argv[2] = time.time()" + MLX_LM + "print(sys.argv[2])"
LLAMA = """
import sys, time
from llama_cpp import Llama
model = Llama(sys.argv[1], n_ctx=512, n_threads=2, n_threads_batch=2, verbose=False)
next(model.generate(list(range(8)), temp=0.0, repeat_penalty=1.0))
print(time.time())
"""
ALONE = "import time, transformers, transformers.models.auto.tokenization_auto\nprint(time.time())"
FOLDER, FILE = llm_models.HOME / "mlx-4", llm_models.HOME / "Q4_0.gguf"
CONTESTANTS = {"cmlx": ("cmlx", MLX_LM, FOLDER), "MLX": ("mlx", MLX_LM, FOLDER), "llama.cpp": ("llama", LLAMA, FILE),
               "transformers": ("cmlx", ALONE, ""), "rest": ("cmlx", AFTER_IMPORTS, FOLDER)}
ROUNDS, ENOUGH = 5, 6.0


def once(environment, code, file):
    """Seconds until the process prints the time; if it prints two times, between them."""
    python, settings = harness.python_of(environment), {**harness.settings(environment), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": ""}
    began = time.time()
    done = subprocess.run([python, "-c", code, str(file), "-"], env=settings, capture_output=True, text=True, check=True, preexec_fn=harness.few_cpus)
    first, *before = map(float, done.stdout.split())
    return first - (before[0] if before else began)


def measure():
    llm_models.make()
    there = {name: of for name, of in CONTESTANTS.items() if os.path.exists(harness.python_of(of[0]))}
    times = {name: [] for name in there}
    for turn in range(ROUNDS + 1):
        for name, of in list(there.items()):
            if sum(times[name]) < ENOUGH:
                try:
                    seconds = once(*of)
                except subprocess.CalledProcessError as error:
                    print(f"  {name}: {(error.stderr.strip() or 'no word').splitlines()[-1]}", file=sys.stderr)
                    del there[name]
                    continue
                if turn or seconds > ENOUGH:         # the first makes files warm
                    times[name].append(seconds)
    least = {name: min(times[name]) for name in there}
    yield "start to first token, mlx-lm", least["cmlx"], 1.0, "s"
    yield "of it without the import of transformers", least["rest"], 0.2, "s"
    yield "importing transformers alone", least["transformers"], 1.0, "s"
    for other in ("MLX", "llama.cpp"):
        if other in least:
            yield f"start to first token, by {other}'s", statistics.median(times["cmlx"]) / statistics.median(times[other]), 1.0, ""
