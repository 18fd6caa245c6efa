"""A progress bar on the terminal; where the output is no terminal, a line now and then."""

import sys
import time


class Progress:
    def __init__(self, total: int, title: str) -> None:
        self.total, self.title = total, title
        self.start = time.perf_counter()
        self.drawn = 0.0  # when the bar was last drawn

    def show(self, done: int, text: str = "") -> None:
        now = time.perf_counter()
        last = done == self.total
        if now - self.drawn < (0.1 if sys.stdout.isatty() else 10) and not last:
            return
        self.drawn = now
        spent = now - self.start
        left = spent / done * (self.total - done) if done else 0.0
        bar = "█" * (30 * done // self.total)
        line = f"{self.title} {bar:░<30} {done}/{self.total}  {text}  {spent:.0f} s" + (
            "" if last else f", {left:.0f} s left"
        )
        if sys.stdout.isatty():
            print(f"\r\033[K{line}", end="\n" if last else "", flush=True)
        else:
            print(line, flush=True)
