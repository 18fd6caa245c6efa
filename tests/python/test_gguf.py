"""gguf files: what is written comes back, what others write is read, what lies is refused."""

import struct

import mlx.core as mx
import numpy as np
import pytest

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(s)) + s


def meta(key, kind, value=b""):
    return text(key) + struct.pack("<I", kind) + value


def tensor(name, shape, kind, offset=0):
    return text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", d) for d in shape[::-1]) + struct.pack("<IQ", kind, offset)


def write(path, metas=(), tensors=(), data=b"", version=3, nmeta=None, ntensors=None, magic=b"GGUF"):
    head = magic + struct.pack("<IQQ", version, len(tensors) if ntensors is None else ntensors, len(metas) if nmeta is None else nmeta)
    head += b"".join(metas) + b"".join(tensors)
    head += b"\0" * (-len(head) % 32) if tensors else b""
    path = path / "x.gguf"
    path.write_bytes(head + data)
    return str(path)


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.int8, mx.int16, mx.int32], ids=str)
def test_arrays_come_back(dtype, tmp_path):
    arrays = {"m": mx.arange(6).reshape(2, 3).astype(dtype), "t": mx.arange(6).reshape(2, 3).T.astype(dtype), "scalar": mx.array(3).astype(dtype),
              "none": mx.zeros((0, 3), dtype), "deep": mx.ones((1, 2, 1, 2, 1), dtype)}
    mx.save_gguf(tmp_path / "x", arrays)        # adds the ending
    back = mx.load(str(tmp_path / "x.gguf"))
    assert back.keys() == arrays.keys()
    for name, a in arrays.items():
        assert back[name].dtype == dtype and back[name].shape == a.shape and mx.array_equal(back[name], a)


def test_metadata_come_back(tmp_path):
    given = {"s": "héllo", "empty": "", "l": ["a", "", "c"], "none": [], "i": mx.array(3), "f": mx.array(1.5), "b": mx.array([True, False]),
             "u8": mx.array([1, 2], mx.uint8), "i64": mx.array(-2**40, mx.int64), "u64": mx.array([2**40], mx.uint64)}
    path = str(tmp_path / "x.gguf")
    mx.save_gguf(path, {"a": mx.ones((2,))}, given)
    arrays, back = mx.load(path, return_metadata=True)
    assert list(arrays) == ["a"] and back.keys() == given.keys()
    for key, v in given.items():
        if isinstance(v, mx.array):
            assert back[key].dtype == v.dtype and back[key].shape == v.shape and mx.array_equal(back[key], v), key
        else:
            assert back[key] == v, key


def test_alignment_is_kept(tmp_path):
    path = str(tmp_path / "x.gguf")
    arrays = {"a": mx.array([1], mx.int8), "b": mx.array([2.0])}
    mx.save_gguf(path, arrays, {"general.alignment": mx.array(128, mx.uint32)})
    assert (tmp_path / "x.gguf").stat().st_size % 128 == 0
    assert mx.load(path)["b"].item() == 2
    with pytest.raises(ValueError, match="general.alignment is 0"):
        mx.save_gguf(path, arrays, {"general.alignment": mx.array(0, mx.uint32)})


@pytest.mark.parametrize("arrays, metadata, error, match", [
    ({"a": mx.array(True)}, {}, RuntimeError, "dtype bool is not supported"),
    ({"a": mx.array([1], mx.uint8)}, {}, RuntimeError, "dtype uint8 is not supported"),
    ({"a": mx.zeros((1,) * 9)}, {}, RuntimeError, "9 dimensions"),
    ({"a": 1}, {}, ValueError, "Arrays must be"),
    ({1: mx.array(1)}, {}, ValueError, "Arrays must be"),
    ([mx.array(1)], {}, TypeError, "save_gguf"),
    ({}, {"k": 1}, ValueError, "Metadata must be"),
    ({}, {"k": [1]}, ValueError, "must hold strings"),
    ({}, {"k": mx.ones((2, 2))}, RuntimeError, "more than one dimension"),
    ({}, {"k": mx.zeros((0,))}, RuntimeError, "Cannot save empty arrays"),
    ({}, {"k": mx.array(1, mx.float16)}, ValueError, "array type float16 not support for metadata"),
])
def test_what_cannot_be_saved_leaves_no_file(arrays, metadata, error, match, tmp_path):
    with pytest.raises(error, match=match):
        mx.save_gguf(str(tmp_path / "x.gguf"), arrays, metadata)
    assert not list(tmp_path.iterdir())


def test_only_paths_are_taken(tmp_path):
    with pytest.raises(ValueError, match="Input must be a string"), open(tmp_path / "y", "wb") as f:
        mx.save_gguf(f, {})
    with pytest.raises(ValueError, match="Input must be a string"), open(tmp_path / "y", "rb") as f:
        mx.load(f, format="gguf")
    with pytest.raises(ValueError, match=r"\[load_gguf\] Failed to open"):
        mx.load(str(tmp_path / "missing.gguf"))


# ---- what others write ----

def half(v):
    return np.float16(v).tobytes()


def packed(kind, shape, blocks, path):
    return mx.load(write(path, (), [tensor("l.weight", shape, kind)], blocks))


def elements(words, bits):
    """Every element of packed words, as numbers."""
    w = np.array(words)[..., None] >> np.arange(0, 32, bits, dtype=np.uint32)
    return (w & (2**bits - 1)).reshape(*words.shape[:-1], -1)


@pytest.mark.parametrize("kind, bits", [(2, 4), (3, 4), (8, 8)], ids=["Q4_0", "Q4_1", "Q8_0"])
def test_quantized_tensors_stay_packed(kind, bits, tmp_path):
    rng = np.random.default_rng(kind)
    blocks, want = b"", []
    for d in (0.5, -0.25, 1.5, 2.0):
        q = rng.integers(0, 2**bits, 32)
        nibbles = (q[:16] | q[16:] << 4).astype(np.uint8).tobytes()
        m = 0.75
        blocks += half(d) + {2: nibbles, 3: half(m) + nibbles, 8: (q - 128).astype(np.int8).tobytes()}[kind]
        want.append(d * q + {2: -8 * d, 3: m, 8: -128 * d}[kind])
    got = packed(kind, (2, 64), blocks, tmp_path)
    assert got.keys() == {"l.weight", "l.scales", "l.biases"}
    w, scales, biases = got["l.weight"], got["l.scales"], got["l.biases"]
    assert w.dtype == mx.uint32 and w.shape == (2, 64 * bits // 32)
    assert scales.dtype == biases.dtype == mx.float16 and scales.shape == biases.shape == (2, 2)
    values = elements(w, bits).reshape(2, 2, 32) * np.array(scales)[..., None] + np.array(biases)[..., None]
    assert np.array_equal(values.reshape(4, 32), want)


def test_five_bits_become_f16(tmp_path):
    q = np.random.default_rng(5).integers(0, 32, 32)
    high = struct.pack("<I", sum(int(v >> 4) << i for i, v in enumerate(q)))
    nibbles = ((q[:16] & 15) | (q[16:] & 15) << 4).astype(np.uint8).tobytes()
    a = packed(6, (32,), half(0.5) + high + nibbles, tmp_path)["l.weight"]
    assert a.dtype == mx.float16 and np.array_equal(np.array(a), (q - 16) * 0.5)
    a = packed(7, (32,), half(0.5) + half(3) + high + nibbles, tmp_path)["l.weight"]
    assert np.array_equal(np.array(a), q * 0.5 + 3)


def split_bits(q, low_bits):
    """The two parts of 256 numbers in the order of the K types: bits low and high."""
    return q & (2**low_bits - 1), q >> low_bits


def by_lanes(v, per_byte, run):
    """Values of a block in bytes: element run * k + l stands at bit k * 8 / per_byte of byte l, group after group."""
    v = v.reshape(-1, per_byte, run).astype(np.uint32)
    return np.bitwise_or.reduce(v << (np.arange(per_byte, dtype=np.uint32) * (8 // per_byte))[None, :, None], axis=1).astype(np.uint8).tobytes()


def six_bit_pairs(scales, mins):
    s = [int(v) for v in scales]
    m = [int(v) for v in mins]
    first = [s[k] & 63 | s[k + 4] >> 4 << 6 for k in range(4)] + [m[k] & 63 | m[k + 4] >> 4 << 6 for k in range(4)]
    return bytes(first + [s[k + 4] & 15 | (m[k + 4] & 15) << 4 for k in range(4)])


def k_block(kind, rng):
    """A block of a K type and its values."""
    d, dmin = 0.5, 0.25
    if kind == 10:
        q, s, m = rng.integers(0, 4, 256), rng.integers(0, 16, 16), rng.integers(0, 16, 16)
        return (s | m << 4).astype(np.uint8).tobytes() + by_lanes(q, 4, 32) + half(d) + half(dmin), d * np.repeat(s, 16) * q - dmin * np.repeat(m, 16)
    if kind == 11:
        q, s = rng.integers(0, 8, 256), rng.integers(0, 64, 16)
        low, high = split_bits(q, 2)
        low_s = (s[:8] & 15 | (s[8:] & 15) << 4).astype(np.uint8).tobytes()
        high_s = bytes(int(sum(int(s[k + 4 * j] >> 4) << 2 * j for j in range(4))) for k in range(4))
        return by_lanes(high, 8, 32) + by_lanes(low, 4, 32) + low_s + high_s + half(d), d * np.repeat(s - 32, 16) * (q - 4)
    if kind in (12, 13):
        q, s, m = rng.integers(0, 16 if kind == 12 else 32, 256), rng.integers(0, 64, 8), rng.integers(0, 64, 8)
        low, high = split_bits(q, 4)
        bits = by_lanes(high, 8, 32) if kind == 13 else b""
        return half(d) + half(dmin) + six_bit_pairs(s, m) + bits + by_lanes(low, 2, 32), d * np.repeat(s, 32) * q - dmin * np.repeat(m, 32)
    q, s = rng.integers(0, 64, 256), rng.integers(-128, 128, 16)
    low, high = split_bits(q, 4)
    return by_lanes(low, 2, 64) + by_lanes(high, 4, 32) + s.astype(np.int8).tobytes() + half(0.01), float(np.float16(0.01)) * np.repeat(s, 16) * (q - 32)


@pytest.mark.parametrize("kind", [10, 11, 12, 13, 14], ids=["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"])
def test_k_types_become_f16(kind, tmp_path):
    rng = np.random.default_rng(kind)
    blocks, want = zip(*(k_block(kind, rng) for _ in range(6)))
    a = packed(kind, (3, 512), b"".join(blocks), tmp_path)["l.weight"]
    assert a.dtype == mx.float16 and a.shape == (3, 512)
    assert np.allclose(np.array(a, dtype=np.float32).reshape(6, 256), want, rtol=1e-3, atol=1e-3)


def test_plain_types_are_read(tmp_path):
    v = np.arange(6).reshape(2, 3)
    for kind, np_dtype, dtype in ((27, np.int64, mx.int64), (28, np.float64, mx.float64), (0, np.float32, mx.float32)):
        a = packed(kind, (2, 3), v.astype(np_dtype).tobytes(), tmp_path)["l.weight"]
        assert a.dtype == dtype and np.array_equal(np.array(a), v)
    bf16 = (v.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    a = packed(30, (2, 3), bf16, tmp_path)["l.weight"]      # as MLX has it
    assert a.dtype == mx.float16 and np.array_equal(np.array(a), v)


def test_metadata_of_others_are_read(tmp_path):
    path = write(tmp_path, [meta("d", F64, struct.pack("<d", 1.25)), meta("ds", ARRAY, struct.pack("<IQdd", F64, 2, 1, 2)),
                            meta("b", BOOL, b"\2"), meta("n", ARRAY, struct.pack("<IQ", U32, 0))], version=2)
    _, m = mx.load(path, return_metadata=True)
    assert m["d"].dtype == mx.float32 and m["d"].item() == 1.25
    assert m["ds"].tolist() == [1, 2] and m["b"].item() is True and np.array(m["b"]).view(np.uint8) == 1
    assert m["n"].dtype == mx.uint32 and m["n"].shape == (0,)


# ---- what lies ----

DATA = b"\0" * 64
BIG = 2**63


@pytest.mark.parametrize("match, file", [
    ("begins with 0x45504f4e, expected the bytes GGUF", dict(magic=b"NOPE")),
    ("version 1 of the format, expected 2 or 3", dict(version=1)),
    ("version 4 of the format", dict(version=4)),
    ("version 50331648", dict(version=3 << 24)),        # big-endian
    ("metadata '' of .* claims a length of 9223372036854775808, bytes left: 0", dict(nmeta=BIG)),
    ("list of tensors '' of .* claims a length of 9223372036854775808", dict(ntensors=BIG)),
    ("ends before its content", dict(metas=[meta("cut", U64)])),
    ("key of the metadata '' of .* claims a length of 9223372036854775807", dict(metas=[struct.pack("<Q", BIG - 1) + DATA])),
    ("'k' of .* claims a length of 99, bytes left: 64", dict(metas=[meta("k", STRING, struct.pack("<Q", 99) + DATA)])),
    ("'k' of .* has a zero byte at 1", dict(metas=[meta("k", STRING, text("a\0b"))])),
    ("'k' of .* has the unknown type 13", dict(metas=[meta("k", 13, DATA)])),
    ("'k' of .* has the unknown type 77", dict(metas=[meta("k", ARRAY, struct.pack("<IQ", 77, 1) + DATA)])),
    ("'k' of .* is a list of lists", dict(metas=[meta("k", ARRAY, struct.pack("<IQ", ARRAY, 1) + DATA)])),
    ("'k' of .* claims a length of 1000000, bytes left: 64", dict(metas=[meta("k", ARRAY, struct.pack("<IQ", STRING, 10**6) + DATA)])),
    ("'k' of .* claims a length of 1000000, bytes left: 64", dict(metas=[meta("k", ARRAY, struct.pack("<IQ", F64, 10**6) + DATA)])),
    ("'k' of .* has a length of 18446744073709551615", dict(metas=[meta("k", ARRAY, struct.pack("<IQ", U64, 2**64 - 1) + DATA)])),
    ("'general.alignment' of .* is 0, expected", dict(metas=[meta("general.alignment", U32, b"\0" * 4)])),
    ("'general.alignment' of .* is 24, expected", dict(metas=[meta("general.alignment", U32, b"\x18\0\0\0")])),
    ("'general.alignment' of .* is 2147483648, expected", dict(metas=[meta("general.alignment", U32, b"\0\0\0\x80")])),
    ("'a' extends past the end of the file: 160 bytes at 0 of the data of .*, which has 64", dict(tensors=[tensor("a", (40,), 0)], data=DATA)),
    ("'a' extends past the end of the file", dict(tensors=[tensor("a", (4,), 0, 2**64 - 32)], data=DATA)),
    ("'a' extends past the end of the file", dict(tensors=[tensor("a", (2**31 - 1,) * 8, 0)], data=DATA)),
    ("'a' of .* begins at 4, expected a multiple of 32", dict(tensors=[tensor("a", (4,), 0, 4)], data=DATA)),
    ("'b' at 32 overlaps 'a' at 0, which has 64 bytes", dict(tensors=[tensor("a", (16,), 0), tensor("b", (4,), 0, 32)], data=DATA)),
    ("'b' at 0 overlaps 'a' at 0|'a' at 0 overlaps 'b' at 0", dict(tensors=[tensor("a", (4,), 0), tensor("b", (4,), 0)], data=DATA)),
    ("Duplicate parameter name 'a'", dict(tensors=[tensor("a", (4,), 0), tensor("a", (4,), 0, 32)], data=DATA)),
    ("Duplicate parameter name 'a.scales'", dict(tensors=[tensor("a.scales", (4,), 0, 32), tensor("a.weight", (32,), 2)], data=DATA)),
    ("'a' of .* has dimensions: 9, at most 8", dict(tensors=[tensor("a", (1,) * 9, 0)], data=DATA)),
    ("'a' of .* has a dimension of 2147483648, at most 2147483647", dict(tensors=[tensor("a", (2**31,), 0)], data=DATA)),
    ("'a' of .* has incompatible last dim shape 31, expected a multiple of 32", dict(tensors=[tensor("a", (31,), 2)], data=DATA)),
    ("'a' of .* has incompatible last dim shape 1, expected a multiple of 256", dict(tensors=[tensor("a", (), 12)], data=DATA)),
    (r"'a' of .* has the type IQ2_S \(22\), expected one of F32", dict(tensors=[tensor("a", (256,), 22)], data=DATA)),
    (r"'a' of .* has the type of an unknown number \(99\)", dict(tensors=[tensor("a", (1,), 99)], data=DATA)),
])
def test_a_file_that_lies_is_refused_with_both_facts(match, file, tmp_path):
    path = write(tmp_path, **file)
    with pytest.raises((RuntimeError, ValueError), match=match):
        mx.load(path)
