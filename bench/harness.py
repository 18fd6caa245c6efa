"""Contestants are timed in processes of their own, in turns: a slow moment of the machine hits all of them alike.

A benchmark is a module of this folder with

    CLAIMS       a list of (contestant, opponent, highest allowed time ratio), for the table
    CONTESTANTS  name -> (environment, function); the function prepares its work and returns a callable that does it
                 once. A float that the callable returns is the time in seconds instead of its duration.
    ROUNDS       how often each does its work (optional)
    AT_MOST      name -> a smaller number of rounds, for the slow (optional)

An environment is a folder of bench/.venvs, or "cmlx": the interpreter that runs the harness.
"""

import importlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
THREADS = 2


def python_of(environment):
    if environment == "cmlx":
        return pathlib.Path(sys.executable)
    return HERE / ".venvs" / environment / "bin" / "python"


def settings():
    """Two threads for everybody, whatever they use."""
    names = ["MLX_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    return {**os.environ, **dict.fromkeys(names, str(THREADS)), "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}


def two_cpus():
    usable = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, usable[:THREADS])


class Contestant:
    """A process that does its work once for each line it is sent."""

    def __init__(self, module, name, environment):
        self.process = subprocess.Popen([python_of(environment), HERE / "harness.py", module, name], text=True, cwd=HERE,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=settings(), preexec_fn=two_cpus)
        self.times = []
        self.answer()          # ready

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the contestant ended with {self.process.wait()}")
        return json.loads(line)

    def run(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.times.append(self.answer())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(module, rounds=None, quiet=False):
    """name -> its times in seconds; a contestant that cannot run is told and left out."""
    bench = importlib.import_module(module)
    contestants = {}
    for name, (environment, _) in bench.CONTESTANTS.items():
        if not python_of(environment).exists():
            print(f"  {name}: no bench/.venvs/{environment} (make bench-deps)", file=sys.stderr)
            continue
        try:
            contestants[name] = Contestant(module, name, environment)
        except RuntimeError as error:
            print(f"  {name}: {error}", file=sys.stderr)
    try:
        few = getattr(bench, "AT_MOST", {})
        for turn in range(rounds or getattr(bench, "ROUNDS", 15)):
            for name, contestant in contestants.items():
                if turn < few.get(name, turn + 1):
                    contestant.run()
    finally:
        for contestant in contestants.values():
            contestant.close()
    return {name: contestant.times for name, contestant in contestants.items()}


def summary(times):
    return {"min": min(times), "median": statistics.median(times), "rounds": len(times)}


def main(module, name):
    """The contestant's side: standard output speaks JSON only."""
    wire, sys.stdout = sys.stdout, sys.stderr
    step = importlib.import_module(module).CONTESTANTS[name][1]()
    for _ in range(2):
        step()                 # warm
    print("0", file=wire, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        own = step()
        print(json.dumps(time.perf_counter() - start if not isinstance(own, float) else own), file=wire, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
