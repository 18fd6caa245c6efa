"""Contestants are timed in processes of their own, in turns: a slow moment of the machine hits all of them alike.

A benchmark is a module of this folder with

    CLAIMS       a list of (contestant, opponent, highest allowed time ratio), for the table
    CONTESTANTS  name -> (environment, function); the function prepares its work and returns a callable that does it
                 once. A float that the callable returns is the time in seconds instead of its duration.
    ROUNDS       how often each does its work (optional)
    prepare      makes the files that they read, before any starts (optional)
    AT_MOST      name -> a smaller number of rounds, for the slow (optional)

or, for many small pieces of work by the same opponents, with

    RACES        name -> {environment: function}, functions as above; every environment is one process (peers.py)

An environment is a folder of bench/.venvs, or "cmlx": the interpreter that runs the harness.
"""

import importlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
THREADS = 2                    # of every contestant; run.py sets it
SECONDS, FEWEST = 1.0, 3       # a contestant that has worked that long at one thing needs no more rounds than these
PAUSE = 0.02                   # before a turn: threads of the one before spin for a while


def python_of(environment):
    if environment == "cmlx":
        return pathlib.Path(sys.executable)
    return HERE / ".venvs" / environment / "bin" / "python"


def settings(environment):
    """As many threads for everybody, whatever they use. A path to our package is not for the others: theirs has the same name."""
    names = ["MLX_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    inherited = {k: v for k, v in os.environ.items() if environment == "cmlx" or k != "PYTHONPATH"}
    return {**inherited, **dict.fromkeys(names, str(THREADS)), "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "",
            "PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3"}


def few_cpus():
    usable = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, usable[:THREADS])


class Contestant:
    """A process that does its work once for each line it is sent."""

    def __init__(self, module, name, environment):
        self.words = tempfile.TemporaryFile("w+")     # what it says besides; its last line is told if it ends
        self.process = subprocess.Popen([python_of(environment), HERE / "harness.py", module, name, environment], text=True, cwd=HERE,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.words, env=settings(environment),
                                        preexec_fn=few_cpus)
        self.times = []
        self.answer()          # ready

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            self.words.seek(0)
            raise RuntimeError(f"the contestant ended with {status}: {(self.words.read().strip() or 'no word').splitlines()[-1]}")
        return json.loads(line)

    def run(self, what="go"):
        time.sleep(PAUSE)
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        self.times.append(self.answer())
        return self.times[-1]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def enough(times):
    return len(times) >= FEWEST and sum(times) > SECONDS


def compare(module, rounds=None, only=""):
    """name -> its times in seconds, of the contestants with `only` in their name; one that cannot run is told and left out."""
    bench = importlib.import_module(module)
    getattr(bench, "prepare", lambda: None)()
    contestants = {}
    for name, (environment, _) in bench.CONTESTANTS.items():
        if only not in name:
            continue
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
                if turn < few.get(name, turn + 1) and (rounds or not enough(contestant.times)):
                    contestant.run()
    finally:
        for contestant in contestants.values():
            contestant.close()
    return {name: contestant.times for name, contestant in contestants.items()}


def race(module, rounds=None, only=""):
    """name -> {environment: its times}, of the races with `only` in their name; who cannot run is told and left out."""
    races = {name: parts for name, parts in importlib.import_module(module).RACES.items() if only in name}
    racers, times = {}, {name: {who: [] for who in parts} for name, parts in races.items()}
    for who in dict.fromkeys(who for parts in races.values() for who in parts):
        if not python_of(who).exists():
            print(f"  {who}: no bench/.venvs/{who} (make bench-deps)", file=sys.stderr)
            continue
        racers[who] = Contestant(module, "races", who)
    try:
        for _ in range(rounds or getattr(importlib.import_module(module), "ROUNDS", 9)):
            for name, parts in races.items():
                for who in parts:
                    if who in racers and (rounds or not enough(times[name][who])):
                        answer = racers[who].run(name)
                        if isinstance(answer, str):
                            print(f"  {name}, {who}: {answer}", file=sys.stderr)
                            del times[name][who]
                            races[name] = {w: f for w, f in races[name].items() if w != who}
                        else:
                            times[name][who].append(answer)
    finally:
        for racer in racers.values():
            racer.close()
    return {name: {who: t for who, t in parts.items() if t} for name, parts in times.items()}


def summary(times):
    return {"min": min(times), "median": statistics.median(times), "rounds": len(times)}


def warm(step):
    """Twice, or once if that takes long."""
    start = time.perf_counter()
    step()
    if time.perf_counter() - start < SECONDS:
        step()


def races(module, who):
    """The contestant's side of races: does what it is told the name of, and answers the time, or what is wrong."""
    wire, sys.stdout = sys.stdout, sys.stderr
    work, steps = importlib.import_module(module).RACES, {}
    print("0", file=wire, flush=True)
    for line in sys.stdin:
        name = line.rstrip("\n")
        try:
            if name not in steps:
                steps[name] = work[name][who]()
                warm(steps[name])
            start = time.perf_counter()
            steps[name]()
            answer = time.perf_counter() - start
        except Exception as error:
            answer = repr(error)
        print(json.dumps(answer), file=wire, flush=True)


def main(module, name, who=None):
    """The contestant's side: standard output speaks JSON only."""
    if name == "races":
        return races(module, who)
    wire, sys.stdout = sys.stdout, sys.stderr
    step = importlib.import_module(module).CONTESTANTS[name][1]()
    warm(step)
    print("0", file=wire, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        own = step()
        print(json.dumps(time.perf_counter() - start if not isinstance(own, float) else own), file=wire, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
