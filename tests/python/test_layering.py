"""The rooms of src and what each may include; the length of files; a README a room. Reads files, runs nothing."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import layering  # noqa: E402

LIMIT = 800     # lines of a file
ROOMS = layering.rooms()


@pytest.mark.parametrize("room", ROOMS)
def test_room_includes_only_what_it_may(room):
    faults = list(layering.room_faults(room))
    assert not faults, "\n".join(faults)


def test_extension_and_public_headers_include_only_what_they_may():
    faults = list(layering.face_faults())
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("room", ROOMS)
def test_room_says_what_it_is(room):
    readme = ROOT / "src" / room / "README.md"
    assert readme.exists() and len(readme.read_text().split()) >= 20, f"{readme.relative_to(ROOT)} is missing or empty"


def test_no_file_is_too_long():
    folders = ["src", "python/ext", "python/mlx", "tools", "tests", "bench", "examples"]
    lengths = {path.relative_to(ROOT): path.read_text().count("\n")
               for folder in folders for path in layering.sources(ROOT / folder, ".c", ".h", ".py")
               if ".venvs" not in path.parts}
    assert lengths
    faults = [f"{path}: {n} lines" for path, n in lengths.items() if n > LIMIT]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("room, include, legal", [
    ("core", "core/version.h", True),
    ("core", "graph/graph.h", False),
    ("graph", "core/version.h", True),
    ("runtime", "backend/backend.h", True),
    ("core", "version.h", False),
    ("core", "nowhere.h", False),
])
def test_the_check_tells_right_from_wrong(room, include, legal):
    assert (layering.judge(ROOT / "src" / room / "x.c", room, include) is None) == legal


def test_the_table_in_the_documents_is_the_one_that_is_checked():
    rows = [line.split("|")[1:3] for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines()
            if line.startswith("| src/")]
    documented = {where.strip()[4:]: what.strip() for where, what in rows}
    assert documented.pop("capi") == "all of src"
    assert documented.pop("core") == "libc"
    for room, what in documented.items():
        assert {name.strip(" `") for name in what.split(",")} == layering.ALLOWED[room], room
