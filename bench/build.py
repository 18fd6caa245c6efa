"""The size of the stripped library, and the time of a full build by two jobs without a compiler cache."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

ONE_COUNT = True     # of threads
ROOT = pathlib.Path(__file__).resolve().parents[1]


def measure():
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if k != "CMAKE_C_COMPILER_LAUNCHER"}
        environment["CCACHE_DISABLE"] = "1"
        start = time.perf_counter()
        for command in (["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                         f"-DPython_EXECUTABLE={sys.executable}"],
                        ["ninja", "-C", folder, "-j", "2"]):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        yield "full build, two jobs", time.perf_counter() - start, 180, "s"
        yield "libcmlx.so, stripped", pathlib.Path(folder, "libcmlx.so").stat().st_size / 1e6, 5, "MB"
