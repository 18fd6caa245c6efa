"""Prints what cmlx claims about speed and size, measured now.

    bench/run.py [benchmark ...] [--only TEXT] [--rounds N] [--json FILE]
"""

import argparse
import importlib
import json
import os
import pathlib
import sys

import harness

ALL = ["elementwise", "small_ops", "heavy", "sets", "train_digits", "train_text", "train_steps", "optimizers", "import_time", "build",
       "sort", "gather", "scan", "reduce", "norms", "copies", "draws", "conv", "products", "attention", "quant", "fft", "linalg",
       "llm", "compile", "memory"]


def row(claim, ours, theirs, ratio_min, ratio_median, allowed, unit):
    verdict = "met" if ratio_min <= allowed else "NOT MET"
    return (f"{claim:<44} {ours:>10} {theirs:>10} {unit:<3} {ratio_min:>7.3f} {ratio_median:>7.3f} {allowed:>8.3g}  {verdict}")


def scaled(seconds):
    return (seconds * 1e3, "ms") if seconds < 10 else (seconds, "s")


def print_races(name, races):
    """Every race: the times, and the ratios to the fastest and to the slowest of the others."""
    others = list(dict.fromkeys(who for times in races.values() for who in times if who != "cmlx"))
    print(f"\n{name + ', ms':<34} {'cmlx':>9} " + " ".join(f"{who:>9}" for who in others) + "   to fastest  to slowest")
    ahead = behind = 0
    for race, times in races.items():
        best = {who: min(t) * 1e3 for who, t in times.items()}
        peers = [t for who, t in best.items() if who != "cmlx"]
        if "cmlx" not in best or not peers:
            continue
        first, last = best["cmlx"] / min(peers), best["cmlx"] / max(peers)
        ahead, behind = ahead + (first <= 1), behind + (last > 1)
        cells = " ".join(f"{best[who]:>9.3f}" if who in best else f"{'-':>9}" for who in others)
        print(f"{race:<34} {best['cmlx']:>9.3f} {cells}   {first:>10.2f}  {last:>10.2f}" + ("  SLOWEST" if last > 1 else ""), flush=True)
    print(f"{name}: {ahead} of {len(races)} no slower than the fastest, {behind} slower than the slowest", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=ALL, help=f"some of {', '.join(ALL)}")
    parser.add_argument("--only", default="", help="races and contestants whose name contains this")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    results = {}
    print(f"{harness.THREADS} threads, {os.cpu_count()} processors; minima in turns, ratios of minima and of medians\n")
    print(f"{'claim':<44} {'cmlx':>10} {'other':>10} {'':<3} {'ratio':>7} {'median':>7} {'allowed':>8}")
    for name in args.names:
        bench = importlib.import_module(name)
        if hasattr(bench, "measure"):      # not a race: prints its own rows
            for claim, value, limit, unit in bench.measure():
                print(row(claim, f"{value:.2f}", f"{limit:g}", value / limit, value / limit, 1, unit), flush=True)
                results[claim] = value
            continue
        if hasattr(bench, "RACES"):
            races = harness.race(name, args.rounds, args.only)
            results[name] = {race: {who: harness.summary(t) for who, t in times.items()} for race, times in races.items()}
            print_races(name, races)
            continue
        times = harness.compare(name, args.rounds, args.only)
        results[name] = {who: harness.summary(t) for who, t in times.items()}
        for ours, theirs, allowed in bench.CLAIMS:
            if ours not in times or theirs not in times:
                if args.only:
                    continue
                print(f"{name}: {ours} / {theirs}: not measured")
                continue
            a, b = results[name][ours], results[name][theirs]
            value, unit = scaled(a["min"])
            other = b["min"] * value / a["min"]
            print(row(f"{ours} / {theirs}", f"{value:.3f}", f"{other:.3f}", a["min"] / b["min"], a["median"] / b["median"],
                      allowed, unit), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.exit(main())
