"""Files that are cut, changed or made up: an exception or arrays, never a crash. With CMLX_LONG a minute a format."""

import json
import os
import random
import struct
import time
import zipfile
import zlib

import mlx.core as mx
import numpy as np
import pytest

SECONDS = 60 if os.environ.get("CMLX_LONG") else 1
REFUSALS = (ValueError, RuntimeError, OSError, MemoryError, OverflowError, EOFError, zipfile.BadZipFile, zlib.error)
ARRAYS = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.array(7, np.int64), "c": np.zeros((0, 5), np.uint8),
          "d": np.array([True, False]), "long name": np.ones((2, 3, 4), np.complex64)}


def npy(folder):
    np.save(folder / "x.npy", ARRAYS["a"])
    return folder / "x.npy"


def npz(folder):
    np.savez(folder / "x.npz", **ARRAYS)
    return folder / "x.npz"


def npz_compressed(folder):
    np.savez_compressed(folder / "x.npz", **ARRAYS)
    return folder / "x.npz"


def safetensors(folder):
    mx.save_safetensors(str(folder / "x.safetensors"), {k: mx.array(v) for k, v in ARRAYS.items()}, {"who": "us"})
    return folder / "x.safetensors"


def gguf(folder):
    arrays = {k: mx.array(v.astype(np.float32 if v.dtype.kind == "f" else np.int32)) for k, v in ARRAYS.items() if v.dtype.kind in "fi"}
    arrays["last"] = mx.arange(8.0)     # no padding behind it
    mx.save_gguf(str(folder / "x.gguf"), arrays, {"who": "us", "words": ["a", "bc"], "n": mx.array([1, 2])})
    return folder / "x.gguf"


INTERESTING = [0, 1, 0x7F, 0x80, 0xFF]
LENGTHS = [struct.pack("<Q", v) for v in (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)]


def mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        kind = rng.randrange(7)
        at = rng.randrange(len(data)) if data else 0
        if kind == 0:
            del data[at:]
        elif kind == 1 and data:
            data[at] = rng.choice(INTERESTING)
        elif kind == 2 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 3:
            data[at:at + 8] = rng.choice(LENGTHS)
        elif kind == 4:
            data[at:at] = data[at:at + rng.randrange(64)]
        elif kind == 5:
            del data[at:at + rng.randrange(1, 16)]
        else:       # a digit of the header's text
            digits = [i for i, c in enumerate(data) if 48 <= c <= 57]
            if digits:
                data[rng.choice(digits)] = rng.choice(b"0123456789-{[]}\",")
    return bytes(data)


def read_all(path):
    """Loads and looks at every element, as a program would."""
    try:
        loaded = mx.load(str(path))
        for a in loaded.values() if isinstance(loaded, dict) else [loaded]:
            if a.size < 1 << 22:
                mx.eval(a)
                np.array(a.astype(mx.float32))
    except REFUSALS:
        return False
    return True


@pytest.mark.parametrize("make", [npy, npz, npz_compressed, safetensors, gguf], ids=lambda f: f.__name__)
def test_changed_files_are_refused_or_read(make, tmp_path):
    path = make(tmp_path)
    assert read_all(path)
    original = path.read_bytes()
    rng = random.Random(int(os.environ.get("CMLX_SEED", 0)))
    end, refused = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        path.write_bytes(mutate(original, rng))
        refused += not read_all(path)
    assert refused


@pytest.mark.parametrize("make", [npy, npz, safetensors, gguf], ids=lambda f: f.__name__)
def test_every_truncation_is_refused(make, tmp_path):
    path = make(tmp_path)
    original = path.read_bytes()
    for n in range(0, len(original), max(1, len(original) // 300)):
        path.write_bytes(original[:n])
        assert not read_all(path), f"{n} of {len(original)} bytes were accepted"


def safetensors_file(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return str(path)


def tensor(dtype="F32", shape=(2,), begin=0, end=8):
    return {"x": {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}}


@pytest.mark.parametrize("header, length", [
    (tensor(end=2**40), None),
    (tensor(begin=8, end=0), None),
    (tensor(begin=-8, end=0), None),
    (tensor(shape=(2**31,), end=2**33), None),
    (tensor(shape=(2**32, 2**32), end=0), None),
    (tensor(shape=(-2,)), None),
    (tensor(shape=(3,)), None),
    (tensor(dtype="F33"), None),
    (tensor(begin=2**63 - 4, end=2**63 + 4), None),
    ({"x": {"dtype": "F32"}}, None),
    ({"x": 3}, None),
    ([1, 2], None),
    (b"{" * 100_000, None),
    (b"[" * 100_000, None),
    (b'{"x": {"dtype": "F32", "shape": ' + b"[" * 50_000, None),
    (b"\xff\xfe", None),
    (tensor(), 2**63),
    (tensor(), 2**64 - 1),
    (tensor(), 10**6),
], ids=lambda v: str(v)[:40])
def test_lying_safetensors_headers_are_refused(header, length, tmp_path):
    path = safetensors_file(tmp_path / "x.safetensors", header, b"\0" * 8, length)
    with pytest.raises(REFUSALS):
        mx.eval(mx.load(path))


@pytest.mark.parametrize("header", [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (65536, 65536, 65536, 65536), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2, }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '<f99', 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '<f4', 'shape': (2,), }",
    "{'descr': ",
    "",
    "(" * 10_000,
])
def test_lying_npy_headers_are_refused(header, tmp_path):
    text = header.encode()
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 16)
    with pytest.raises(REFUSALS):
        mx.eval(mx.load(str(path)))


def test_a_missing_file_is_told(tmp_path):
    for name in ("x.npy", "x.npz", "x.safetensors", "x.gguf"):
        with pytest.raises(REFUSALS, match="x."):
            mx.load(str(tmp_path / name))
