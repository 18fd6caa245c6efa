#!/usr/bin/env python3
"""Writes what follows from the tables in ops/. Standard library only.

    python3 tools/opgen.py --ops ops --out DIR TARGET...

Each target is a function in a module of its own beside this file; see TARGETS. A file is rewritten only when its
text changes, so that nothing is rebuilt in vain.
"""
import argparse
import os
import sys

import opgen_capi

# target -> function(ops folder) -> {file name: text}
TARGETS = {
    "capi": opgen_capi.wrappers,        # the C functions that stand for operations
    "calls": opgen_capi.calls,          # a call of each with arguments of a test's choice
    "headers": opgen_capi.headers,      # their declarations; committed: `make headers` writes them to include/mlx/c
}


def write(path, text):
    """Writes `text` unless the file has it already; says whether it changed."""
    try:
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return False
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return True


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ops", default="ops", help="the folder of the tables")
    p.add_argument("--out", required=True, help="the folder to write to")
    p.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    p.add_argument("targets", nargs="+", choices=sorted(TARGETS), metavar="TARGET")
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    differs = False
    for target in a.targets:
        try:
            files = TARGETS[target](a.ops)
        except ValueError as e:
            sys.exit(f"opgen {target}: {e}")
        for name, text in files.items():
            path = os.path.join(a.out, name)
            if a.check:
                have = open(path, encoding="utf-8").read() if os.path.exists(path) else None
                if have != text:
                    print(f"{path} differs from the tables: run `make headers`", file=sys.stderr)
                    differs = True
            else:
                write(path, text)
                # a build system compares times: an unchanged output still counts as made
                os.utime(path)
    sys.exit(1 if differs else 0)


if __name__ == "__main__":
    main()
