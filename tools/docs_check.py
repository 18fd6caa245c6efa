"""Checks the documents against the code: every public C function is documented, every op has its doc line, every
Python function its docstring, every command and link in the Markdown files exists, and the README's examples run."""

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEADERS = sorted((ROOT / "include").rglob("*.h"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")])
PROTOTYPE = re.compile(r"^[A-Za-z_][\w\s*]*?\b(_?mlx_\w+)\s*\(", re.M)


def undocumented(text):
    """Names of the functions a header declares without a comment above. Lines that follow each other without a blank
    line share the comment above them."""
    blank = re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"[^\n]", "\x01", m[0]), text, flags=re.S)
    found = []
    for match in PROTOTYPE.finditer(blank):
        if re.match(r"\s*(typedef|static|struct|enum|return|else)\b", match[0]):
            continue
        paragraph = blank[:match.start()].rsplit("\n\n", 1)[-1]
        if "\x01" not in paragraph:
            found.append(match[1])
    return found


def header_faults():
    for path in HEADERS:
        for name in undocumented(path.read_text()):
            yield f"{path.relative_to(ROOT)}: {name} has no comment"


def table_faults():
    for path in sorted((ROOT / "ops").glob("*.def")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            row = re.match(r"(UNARY|UNARY_OWN|BINARY|TERNARY|REDUCE|OP)\s*\(\s*(\w+)", line)
            if row and not re.search(r'"[^"]{4,}"\s*\)\s*(/\*.*\*/)?$', line):
                yield f"{path.relative_to(ROOT)}:{number}: {row[2]} has no doc line"


def python_faults():
    try:
        import mlx.core as mx
    except ImportError as error:
        yield f"mlx.core does not import: {error}"
        return
    for owner in (mx, mx.array):
        for name in dir(owner):
            thing = getattr(owner, name)
            if callable(thing) and not name.startswith("_") and not (getattr(thing, "__doc__", None) or "").strip():
                yield f"{getattr(owner, '__name__', owner)}.{name} has no docstring"


def page_faults():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+(?: [\w-]+)*):", makefile, re.M))
    targets = {t for group in targets for t in group.split()}
    for path in PAGES:
        text, where = path.read_text(), path.relative_to(ROOT)
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            if not (path.parent / link).exists():
                yield f"{where}: link to {link}, which does not exist"
        for command in re.findall(r"(?:^    |`)make ((?:[a-z][\w-]* ?)+)", text, re.M):
            for target in command.split():
                if target not in targets:
                    yield f"{where}: make {target} is not a target"
        for name in re.findall(r"`((?:src|tools|tests|examples|ops|cmake|packaging|bench|docs|python)/[\w./-]+)`", text):
            if not (ROOT / name).exists():
                yield f"{where}: {name} does not exist"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def example_faults(build=ROOT / "build"):
    """Runs the README's examples: the Python one with this interpreter, the C one against the built library."""
    def failed(*command):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)
        return done.returncode and (done.stderr or done.stdout or f"returned {done.returncode}").strip()[-400:]

    with tempfile.TemporaryDirectory() as folder:
        for code in blocks("python"):
            if fault := failed(sys.executable, "-c", code):
                yield f"README.md: the Python example fails: {fault}"
        for code in blocks("c"):
            source, program = pathlib.Path(folder, "x.c"), pathlib.Path(folder, "x")
            source.write_text(code)
            if fault := failed("cc", "-std=c17", "-Wall", "-Wextra", "-Werror", source, "-o", program, "-I", ROOT / "include",
                               "-L", build, "-lcmlx", f"-Wl,-rpath,{build}") or failed(program):
                yield f"README.md: the C example fails: {fault}"


def main():
    faults = [*header_faults(), *table_faults(), *python_faults(), *page_faults(), *example_faults()]
    print("\n".join(faults) or "docs-check: nothing to report")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
