"""The rooms of src and what each may include; sizes; a README a room. Reads files, runs nothing."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

# Which rooms a room may include, its own aside. An entry with a dot is one header, not the room.
# graph/ declares mx_eval and core/ the parallel loop that runtime/ defines: data goes one way all the same.
ALLOWED = {
    "core": set(),
    "graph": {"core"},
    "kernels": {"core"},
    "backend": {"core", "kernels"},
    "io": {"core"},
    "runtime": {"core", "graph", "kernels", "backend/backend.h"},
    "transforms": {"core", "graph", "runtime"},
    "nn": {"core", "graph", "transforms", "io"},
    "optim": {"core", "graph", "transforms", "io"},
    "dist": {"core", "graph", "runtime"},
    "lm": {"core", "graph", "transforms", "nn", "io"},
    "capi": {"core", "graph", "kernels", "backend", "io", "runtime", "transforms", "nn", "optim", "dist", "lm",
             "mlx"},
}
# Beside the C API the extension sees one internal header.
EXTENSION_SEES = {"capi/ext.h"}
LIMIT = 800     # lines of a file

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def sources(folder, *suffixes):
    return sorted(p for p in folder.rglob("*") if p.suffix in suffixes and "__pycache__" not in p.parts)


def generated():
    """Files that tools/opgen.py writes, as cmake/OpgenTargets.cmake declares them."""
    return set(re.findall(r"[\w/]+\.(?:h|c|inc|def)\b", (ROOT / "cmake/OpgenTargets.cmake").read_text()))


def offences(path, room, text=None):
    """Includes in `path` that a file of `room` may not have."""
    for name in INCLUDE.findall(path.read_text() if text is None else text):
        where = f"{path.relative_to(ROOT)}: #include \"{name}\""
        if (ROOT / "ops" / name).exists() or name in generated():
            continue
        if (ROOT / "include" / name).exists():
            if "mlx" not in ALLOWED[room]:
                yield f"{where}: only capi includes the public headers"
        elif (SRC / name).exists():
            target = name.split("/")[0]
            if target != room and target not in ALLOWED[room] and name not in ALLOWED[room]:
                yield f"{where}: {room} may include {sorted(ALLOWED[room]) or 'libc only'}"
        elif (path.parent / name).exists():
            yield f"{where}: includes are written from src, as \"{(path.parent / name).relative_to(SRC)}\""
        else:
            yield f"{where}: neither in src, include or ops, nor declared in cmake/OpgenTargets.cmake"


ROOMS = sorted(p.name for p in SRC.iterdir() if p.is_dir())


@pytest.mark.parametrize("room", ROOMS)
def test_room_includes_only_what_it_may(room):
    assert room in ALLOWED, f"src/{room} is not in the table of rooms"
    bad = [o for path in sources(SRC / room, ".c", ".h", ".inc") for o in offences(path, room)]
    assert not bad, "\n".join(bad)


def test_backends_do_not_see_each_other():
    folders = [p.name for p in (SRC / "backend").glob("*") if p.is_dir()]
    bad = [f"{path.relative_to(ROOT)}: {name}"
           for folder in folders for path in sources(SRC / "backend" / folder, ".c", ".h")
           for name in INCLUDE.findall(path.read_text())
           for other in folders if other != folder and name.startswith(f"backend/{other}/")]
    assert not bad, "\n".join(bad)


def test_extension_sees_the_c_api_and_one_internal_header():
    bad = [f"{path.relative_to(ROOT)}: {name}"
           for path in sources(ROOT / "python" / "ext", ".c", ".h")
           for name in INCLUDE.findall(path.read_text())
           if (SRC / name).exists() and name not in EXTENSION_SEES]
    assert not bad, "\n".join(bad)


def test_public_headers_include_only_each_other():
    bad = [f"{path.relative_to(ROOT)}: {name}"
           for path in sources(ROOT / "include", ".h")
           for name in INCLUDE.findall(path.read_text()) if not (ROOT / "include" / name).exists()]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("room", ROOMS)
def test_room_says_what_it_is(room):
    readme = SRC / room / "README.md"
    assert readme.exists() and len(readme.read_text().split()) >= 20, f"{readme.relative_to(ROOT)} is missing or empty"


def test_no_file_is_too_long():
    folders = ["src", "python/ext", "python/mlx", "tools", "tests", "bench", "examples"]
    lengths = {path.relative_to(ROOT): path.read_text().count("\n")
               for folder in folders for path in sources(ROOT / folder, ".c", ".h", ".py")}
    assert lengths
    bad = [f"{path}: {n} lines" for path, n in lengths.items() if n > LIMIT]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("room, include, legal", [
    ("core", "core/version.h", True),
    ("core", "graph/graph.h", False),
    ("graph", "core/version.h", True),
    ("runtime", "backend/cpu/cpu.h", False),
    ("core", "version.h", False),
])
def test_the_check_tells_right_from_wrong(room, include, legal):
    bad = list(offences(SRC / room / "x.c", room, f'#include "{include}"\n'))
    assert (not bad) == legal
