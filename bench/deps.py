"""Fetches the opponents of the benchmarks, each into an environment of its own under bench/.venvs.

    bench/deps.py [name ...]

llama.cpp is compiled for this machine, which takes minutes. TORCH_OPTIONS is passed to pip for PyTorch, say an index with its
CPU-only build, which is a tenth of the size.
"""

import os
import pathlib
import shlex
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
OPPONENTS = {
    "numpy": ["numpy>=2,<3", "safetensors>=0.5,<1"],
    "llama": ["--no-binary", "llama-cpp-python", "llama-cpp-python>=0.3,<0.4", "gguf>=0.17,<1", "numpy>=2,<3"],
    "jax": ["jax[cpu]>=0.5,<1"],
    # the demo's own imports too
    "mlx": ["mlx[cpu]==0.32.4", "mlx-lm==0.32.2", "numpy>=2,<3", "scikit-learn", "matplotlib"],
    "torch": ["torch>=2.6,<3", "numpy>=2,<3", "safetensors>=0.5,<1", *shlex.split(os.environ.get("TORCH_OPTIONS", ""))],
}
# What a build from source is told.
SETTINGS = {"llama": {"CMAKE_ARGS": "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF "
                                    "-DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF"}}


def main(names):
    for name in names or OPPONENTS:
        if name not in OPPONENTS:
            sys.exit(f"deps.py: no opponent {name!r}, expected some of {', '.join(OPPONENTS)}")
        home = HERE / ".venvs" / name
        python = home / "bin" / "python"
        done = home / ".done"
        wanted = " ".join(OPPONENTS[name])
        if done.exists() and done.read_text() == wanted:
            continue
        print(f"bench-deps: {name}", flush=True)
        if not python.exists():
            venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *OPPONENTS[name]],
                       check=True, env={**os.environ, **SETTINGS.get(name, {})})
        done.write_text(wanted)


if __name__ == "__main__":
    main(sys.argv[1:])
