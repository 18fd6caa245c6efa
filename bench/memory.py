"""Peak memory of the training step of train_text.py, as the system sees it: what a process grows by after its imports."""

import importlib
import subprocess
import sys

import harness


def peak():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(who):
    import train_text
    importlib.import_module("torch" if who == "torch" else "mlx.core")
    before = peak()
    step = {"torch": train_text.torch, "cmlx": train_text.mlx}[who]()
    for _ in range(4):
        step()
    print(peak() - before)


def grown(who):
    answer = subprocess.run([harness.python_of(who), __file__, who], text=True, cwd=harness.HERE, env=harness.settings(who), capture_output=True)
    return float(answer.stdout) if answer.returncode == 0 else None


def measure():
    ours, theirs = grown("cmlx"), grown("torch")
    if ours and theirs:
        yield "peak memory of a text step / PyTorch's", ours, theirs, "MB"


if __name__ == "__main__":
    child(sys.argv[1])
