"""Prints what cmlx claims about speed and size, measured now; each subject's tables also go to its section of RESULTS.md.

    bench/run.py [benchmark ...] [--only TEXT] [--rounds N] [--threads N ...] [--json FILE]
"""

import argparse
import datetime
import importlib
import json
import pathlib
import sys

import harness
import machine

ALL = ["elementwise", "small_ops", "heavy", "sets", "train_digits", "train_text", "train_steps", "trainers", "optimizers", "import_time", "start",
       "build", "sort", "gather", "scan", "reduce", "norms", "copies", "draws", "conv", "products", "attention", "quant", "fft", "linalg",
       "llm", "compile", "files", "memory"]
RESULTS = pathlib.Path(__file__).with_name("RESULTS.md")
said = []                      # of one subject


def say(line):
    print(line, flush=True)
    said.append(line)


def row(claim, ours, theirs, ratio_min, ratio_median, allowed, unit):
    verdict = "met" if ratio_min <= allowed else "NOT MET"
    return (f"{claim:<44} {ours:>10} {theirs:>10} {unit:<3} {ratio_min:>7.3f} {ratio_median:>7.3f} {allowed:>8.3g}  {verdict}")


def scaled(seconds):
    return (seconds * 1e3, "ms") if seconds < 10 else (seconds, "s")


def title(name):
    return f"{name}, ms, {harness.THREADS} thread" + ("s" if harness.THREADS > 1 else "")


def say_races(name, races):
    """Every race: the times, and the ratios to the fastest and to the slowest of the others."""
    others = list(dict.fromkeys(who for times in races.values() for who in times if who != "cmlx"))
    say(f"\n{title(name):<38} {'cmlx':>9} " + " ".join(f"{who:>9}" for who in others) + "   to fastest  to slowest")
    ahead = behind = 0
    for race, times in races.items():
        best = {who: min(t) * 1e3 for who, t in times.items()}
        peers = [t for who, t in best.items() if who != "cmlx"]
        if "cmlx" not in best or not peers:
            continue
        first, last = best["cmlx"] / min(peers), best["cmlx"] / max(peers)
        ahead, behind = ahead + (first <= 1), behind + (last > 1)
        cells = " ".join(f"{best[who]:>9.3f}" if who in best else f"{'-':>9}" for who in others)
        say(f"{race:<38} {best['cmlx']:>9.3f} {cells}   {first:>10.2f}  {last:>10.2f}" + ("  SLOWEST" if last > 1 else ""))
    say(f"{name}: {ahead} of {len(races)} no slower than the fastest, {behind} slower than the slowest")


def say_claims(name, bench, times, only):
    say(f"\n{title(name):<44} {'cmlx':>10} {'other':>10} {'':<3} {'ratio':>7} {'median':>7} {'allowed':>8}")
    for ours, theirs, allowed in bench.CLAIMS:
        if ours not in times or theirs not in times:
            if not only:
                say(f"{name}: {ours} / {theirs}: not measured")
            continue
        a, b = harness.summary(times[ours]), harness.summary(times[theirs])
        value, unit = scaled(a["min"])
        other = b["min"] * value / a["min"]
        say(row(f"{ours} / {theirs}", f"{value:.3f}", f"{other:.3f}", a["min"] / b["min"], a["median"] / b["median"], allowed, unit))


def subject(name, args, results):
    """One subject with the threads that are set now."""
    bench = importlib.import_module(name)
    if hasattr(bench, "measure"):          # not a race: says its own rows
        say(f"\n{name:<44} {'cmlx':>10} {'':>10} {'':<3} {'ratio':>7} {'':>7} {'allowed':>8}")
        for claim, value, limit, unit in bench.measure():
            say(row(claim, f"{value:.2f}", f"{limit:g}", value / limit, value / limit, 1, unit))
            results[claim] = value
    elif hasattr(bench, "RACES"):
        races = harness.race(name, args.rounds, args.only)
        results[name] = {race: {who: harness.summary(t) for who, t in times.items()} for race, times in races.items()}
        say_races(name, races)
    else:
        times = harness.compare(name, args.rounds, args.only)
        results[name] = {who: harness.summary(t) for who, t in times.items()}
        say_claims(name, bench, times, args.only)


def sections():
    """subject -> its section of RESULTS.md as it stands."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    parts = [part.partition("\n") for part in text.split("\n## ")[1:]]
    return {name: body.strip() for name, _, body in parts}


def write_results(measured):
    """The sections of `measured`, subject -> lines, as they are now; those of other subjects stay."""
    all_of = sections()
    for name, lines in measured.items():
        all_of[name] = f"{datetime.date.today()}, commit {machine.commit()}\n\n```\n" + "\n".join(lines).strip() + "\n```"
    RESULTS.write_text(f"""# Results

Written by `make bench` and `bench/run.py SUBJECT`, on a machine that may have done other things besides. Times are the least of several rounds,
in turns; a ratio is cmlx's time by the other's, so that below 1 cmlx is faster; `median` is the ratio of the medians, `allowed` what is claimed.
Subjects were measured with one thread and with {harness.THREADS}, those that tell nothing new with one, or whose claims are about {harness.THREADS}, with {harness.THREADS} alone.

{machine.description()}

""" + "\n\n".join(f"## {name}\n{all_of[name]}" for name in ALL if name in all_of) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(ALL)}; none: all")
    parser.add_argument("--only", default="", help="races and contestants whose name contains this")
    parser.add_argument("--rounds", type=int, help="so many for everybody (as it is, fewer for what is slow)")
    parser.add_argument("--threads", type=int, nargs="+", help="counts of threads to measure with (as it is: 1 and 2)")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    threads, results, measured = args.threads or [1, harness.THREADS], {}, {}
    for name in args.names or ALL:
        bench = importlib.import_module(name)
        said.clear()
        alone = (getattr(bench, "ONE_COUNT", False) or hasattr(bench, "measure")) and not args.threads
        for count in threads[-1:] if alone else threads:
            harness.THREADS = count
            subject(name, args, results.setdefault(f"{count} threads", {}))
        measured[name] = list(said)
        if not (args.only or args.rounds or args.threads):
            write_results(measured)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.exit(main())
