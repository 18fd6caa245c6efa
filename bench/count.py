"""Counts the instructions of the work in count.c under callgrind and compares them with instructions.txt: times on a shared machine wander,
these do not.

    bench/count.py [name ...] [--library PATH] [--renew]

AVX2, one thread. More instructions than stored, beyond the tolerance, is a failure; fewer too: then --renew, which writes the file. The
figures hold for the compiler that the file names.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
STORED = HERE / "instructions.txt"
TOLERANCE = 0.03


def compiler():
    return subprocess.run([os.environ.get("CC", "cc"), "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]


def program(library, folder):
    path = pathlib.Path(folder) / "count"
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-I", HERE.parent / "include", HERE / "count.c", library,
                    f"-Wl,-rpath,{library.parent}", "-o", path], check=True)
    return path


def count(path, name):
    settings = {**os.environ, "MLX_CPU_ISA": "avx2", "MLX_NUM_THREADS": "1"}
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
                           "--toggle-collect=measured", path, name], capture_output=True, text=True, env=settings)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"count.py: {name} ended with {done.returncode}:\n{done.stderr}")
    return int(found[1])


def stored():
    """name -> instructions, and the compiler that they hold for."""
    lines = STORED.read_text().splitlines() if STORED.exists() else []
    by = next((line.removeprefix("# built by ") for line in lines if line.startswith("# built by ")), "")
    return {name: int(n) for name, n in (line.split() for line in lines if line and not line.startswith("#"))}, by


def write(figures):
    text = "# Instructions of the work in count.c: MLX_CPU_ISA=avx2, one thread, a Release build. Written by bench/count.py --renew.\n"
    text += f"# built by {compiler()}\n"
    STORED.write_text(text + "".join(f"{name:<20} {n:>12}\n" for name, n in figures.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--library", type=pathlib.Path, default=HERE.parent / "build" / "libcmlx.so")
    parser.add_argument("--renew", action="store_true", help="write the figures instead of comparing them")
    args = parser.parse_args()
    want, by = stored()
    if by != compiler() and not args.renew:
        print(f"count.py: the stored figures are by another compiler ({by or 'none'})", file=sys.stderr)
    off = []
    with tempfile.TemporaryDirectory() as folder:
        path = program(args.library.resolve(), folder)
        known = subprocess.run([path], check=True, capture_output=True, text=True).stdout.split()
        if unknown := set(args.names) - set(known):
            sys.exit(f"count.py: no work named {', '.join(sorted(unknown))}, expected some of {', '.join(known)}")
        figures = {}
        for name in args.names or known:
            figures[name] = n = count(path, name)
            ratio = n / want[name] if name in want else float("nan")
            good = abs(ratio - 1) <= TOLERANCE
            off += [] if good else [name]
            print(f"{name:<20} {n:>12} {want.get(name, '-'):>12} {ratio:>7.3f}" + ("" if good or args.renew else "  OFF"), flush=True)
    if args.renew:
        write({name: figures.get(name, want.get(name)) for name in known if name in figures or name in want})
    elif off:
        sys.exit(f"count.py: {', '.join(off)}: off by more than {TOLERANCE:.0%} (bench/count.py --renew stores what is now)")


if __name__ == "__main__":
    main()
