"""What a benchmark ran on: the machine, and who took part in which version."""

import os
import pathlib
import platform
import subprocess

import harness

PACKAGES = ["cmlx", "numpy", "torch", "jax", "jaxlib", "mlx", "mlx-cpu", "mlx-lm", "llama-cpp-python", "scipy-openblas32"]
ASK = """
import importlib.metadata as m, sys
for name in sys.argv[1:]:
    try: print(name, m.version(name))
    except m.PackageNotFoundError: pass
"""


def model():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def caches():
    found = []
    for index in sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "unknown"


def versions(environment):
    python = harness.python_of(environment)
    if not python.exists():
        return "not there"
    said = subprocess.run([python, "-c", ASK, *PACKAGES], capture_output=True, text=True, env=harness.settings(environment)).stdout
    return ", ".join(said.splitlines()) or "unknown"


def commit():
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=harness.HERE).stdout.strip()
    return said or "unknown"


def description():
    """Lines of Markdown."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    rows = [("processor", f"{model()}, {len(os.sched_getaffinity(0))} processors"), ("caches", caches()), ("memory", f"{memory:.0f} GiB"),
            ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}")]
    rows += [(who, versions(who)) for who in ["cmlx", "numpy", "torch", "jax", "mlx", "llama"]]
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {what} |" for name, what in rows)
