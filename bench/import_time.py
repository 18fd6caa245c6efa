"""`import mlx.core` in a fresh process, files warm."""

import subprocess
import sys

ONE_COUNT = True     # of threads
CLAIMS = [("import mlx.core", "real MLX's import", 1.0)]
ROUNDS = 20
CODE = "import time; t = time.perf_counter(); import mlx.core; print(time.perf_counter() - t)"


def fresh():
    return lambda: float(subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True).stdout)


CONTESTANTS = {"import mlx.core": ("cmlx", fresh), "real MLX's import": ("mlx", fresh)}
