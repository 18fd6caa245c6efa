#!/usr/bin/env python3
"""Checks the public headers: each compiles alone, as C17 and as C++, without a warning; those that tools/opgen.py writes
are what the table says; mlx.h includes them all; every function is documented.

    tools/headers.py [--include include] [--ops ops] [--cc cc] [--cxx c++]
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import opgen_capi


def compiles(command, name, include):
    """The compiler's complaints about a file that only includes the header, twice."""
    suffix = ".cpp" if "++" in command[0] else ".c"
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "alone" + suffix)
        with open(path, "w") as f:
            f.write(f'#include "mlx/c/{name}"\n' * 2 + "extern int alone;\n")
        r = subprocess.run([*command, "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{include}", "-fsyntax-only", path],
                           capture_output=True, text=True)
    return [f"{name} ({command[0]}): {line}" for line in r.stderr.splitlines() if "error" in line]


def undocumented(name, text):
    """Functions without a comment right above. A run of prototypes without blank lines shares one."""
    faults, documented = [], False
    for line in text.splitlines():
        if line.rstrip().endswith("*/"):
            documented = True
        elif not line.strip():
            documented = False
        m = re.match(r"[\w*]+[\s*]+(_?mlx_\w+)\(", line)
        if m:
            if not documented:
                faults.append(f"{name}: {m.group(1)} has no documentation")
    return faults


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--include", default="include")
    p.add_argument("--ops", default="ops")
    p.add_argument("--cc", default="cc")
    p.add_argument("--cxx", default="c++")
    a = p.parse_args()
    folder = os.path.join(a.include, "mlx", "c")
    names = sorted(n for n in os.listdir(folder) if n.endswith(".h"))
    texts = {n: open(os.path.join(folder, n), encoding="utf-8").read() for n in names}
    faults = []
    for name, text in opgen_capi.headers(a.ops).items():
        if texts.get(name) != text:
            faults.append(f"{name} differs from ops/functions.def: run `make headers`")
    if "mlx.h" in texts:
        faults += [f"mlx.h does not include {n}" for n in names if n != "mlx.h" and f'"mlx/c/{n}"' not in texts["mlx.h"]]
    for n in names:
        faults += undocumented(n, texts[n])
    commands = [[a.cc, "-std=c17"]]
    if shutil.which(a.cxx):
        commands.append([a.cxx, "-std=c++11"])
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda job: compiles(*job, a.include), [(c, n) for c in commands for n in names]):
            faults += found
    print("\n".join(faults) or f"headers: {len(names)} in order")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
