"""Which room includes what. `tools/layering.py` prints every include that ARCHITECTURE.md's table does not allow."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SRC = ROOT / "src"

# Which rooms a room may include, its own aside. An entry with a dot is one header, not the room.
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
             "include"},
}
EXTENSION_SEES = {"capi/ext.h"}      # of src; beside the public headers

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def sources(folder, *suffixes):
    return sorted(p for p in folder.rglob("*") if p.suffix in suffixes and "__pycache__" not in p.parts)


def generated():
    """Files that tools/opgen.py writes, as cmake/OpgenTargets.cmake declares them."""
    return set(re.findall(r"[\w/]+\.(?:h|c|inc|def)\b", (ROOT / "cmake/OpgenTargets.cmake").read_text()))


def rooms():
    return sorted(p.name for p in SRC.iterdir() if p.is_dir())


def judge(path, room, name):
    """Why a file of `room` may not include `name`, or None."""
    if (ROOT / "ops" / name).exists() or name in generated():
        return None
    if (ROOT / "include" / name).exists():
        return None if "include" in ALLOWED[room] else "only capi includes the public headers"
    if (SRC / name).exists():
        target = name.split("/")[0]
        parts = path.relative_to(SRC).parts
        if target == room == "backend" and name.count("/") > 1 and len(parts) > 2 and name.split("/")[1] != parts[1]:
            return "back ends do not see each other"
        if target == room or target in ALLOWED[room] or name in ALLOWED[room]:
            return None
        return f"{room} may include {', '.join(sorted(ALLOWED[room])) or 'libc only'}"
    if (path.parent / name).exists():
        return f'includes are written from src, as "{(path.parent / name).relative_to(SRC)}"'
    return "neither in src, include or ops, nor declared in cmake/OpgenTargets.cmake"


def room_faults(room):
    if room not in ALLOWED:
        yield f"src/{room} is not in the table of rooms"
        return
    for path in sources(SRC / room, ".c", ".h", ".inc"):
        for name in INCLUDE.findall(path.read_text()):
            if fault := judge(path, room, name):
                yield f'{path.relative_to(ROOT)}: #include "{name}": {fault}'


def face_faults():
    for path in sources(ROOT / "python" / "ext", ".c", ".h"):
        for name in INCLUDE.findall(path.read_text()):
            if (SRC / name).exists() and name not in EXTENSION_SEES:
                yield f'{path.relative_to(ROOT)}: #include "{name}": the extension sees the C API and one internal header'
    for path in sources(ROOT / "include", ".h"):
        for name in INCLUDE.findall(path.read_text()):
            if not (ROOT / "include" / name).exists():
                yield f'{path.relative_to(ROOT)}: #include "{name}": public headers include only each other'


def main():
    faults = [fault for room in rooms() for fault in room_faults(room)] + list(face_faults())
    print("\n".join(faults) or "layering: nothing to report")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
