"""The trainers of examples/, written in C and in Python, on the same data for the same numbers: whole programs, start to finish. What Python
takes to import and, for the digits, to read the scans and to draw its picture is part of it. The C ones are compiled here, which needs a C
compiler, with the library of the package that runs this."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

ONE_COUNT = True     # of threads
ROOT = pathlib.Path(__file__).resolve().parents[1]
STEPS = {"digits": ["--epochs", "4", "--goal", "0.5"], "text": ["--steps", "40", "--length", "20"]}
CLAIMS = [(f"{name} in C", f"{name} in Python", 1.0) for name in STEPS]
ROUNDS = 3
FOLDER = "CMLX_TRAINERS"
folders = []         # held until the harness ends


def prepare():
    """The C programs and their data."""
    import mlx.core as mx
    lib = pathlib.Path(mx.__file__).resolve().parent / "lib"
    folders.append(tempfile.TemporaryDirectory())
    to = pathlib.Path(folders[-1].name)
    os.environ[FOLDER] = str(to)
    for name in STEPS:
        source = ROOT / "examples" / "c" / f"{name}.c"
        subprocess.run(["cc", "-std=gnu17", "-O2", f"-I{ROOT / 'include'}", str(source), f"-L{lib}", "-lcmlx", f"-Wl,-rpath,{lib}", "-o",
                        str(to / name)], check=True)
        program = ROOT / "examples" / "python" / f"{name}.py"
        subprocess.run([sys.executable, str(program), "--export", str(to / f"{name}.safetensors")], check=True, stdout=subprocess.DEVNULL)


def trainer(name, language):
    def prepare():
        folder = os.environ[FOLDER]
        if language == "C":
            command = [f"{folder}/{name}", "--data", f"{folder}/{name}.safetensors", "--out", "c.safetensors"]
        else:
            out = "python.png" if name == "digits" else "python.safetensors"
            command = [sys.executable, str(ROOT / "examples" / "python" / f"{name}.py"), "--out", out]

        def step():
            start = time.perf_counter()
            done = subprocess.run(command + STEPS[name], cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError((done.stderr or done.stdout).strip().splitlines()[-1])
            return time.perf_counter() - start
        return step
    return prepare


CONTESTANTS = {f"{name} in {language}": ("cmlx", trainer(name, language)) for name in STEPS for language in ("C", "Python")}
