"""Arrays to and from NumPy, buffers, DLPack and files."""

import array as stdarray
import io
import zipfile

import numpy as np
import pytest

import mlx.core as mx

NUMPY = [
    np.bool_,
    np.uint8,
    np.uint16,
    np.uint32,
    np.uint64,
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.float16,
    np.float32,
    np.complex64,
]


@pytest.mark.parametrize("dtype", NUMPY, ids=lambda d: d.__name__)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3)], ids=str)
def test_round_trip_with_numpy(dtype, shape):
    x = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    a = mx.array(x)
    assert str(a.dtype) == f"mlx.core.{x.dtype.name}" and a.shape == x.shape
    for back in (np.array(a), np.asarray(a), np.array(a, copy=False), a.__array__()):
        assert back.dtype == x.dtype and np.array_equal(back, x)
    assert np.array_equal(np.array(a.T), x.T)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x[::2],
        lambda x: x.T,
        lambda x: x[1:, ::3],
        lambda x: np.asfortranarray(x),
        lambda x: np.broadcast_to(x[0], (5, 6)),
    ],
)
def test_strided_numpy(make):
    x = make(np.arange(24, dtype=np.float32).reshape(4, 6))
    assert np.array_equal(np.array(mx.array(x)), x)
    assert np.array_equal(np.array(mx.array(x.astype(np.float64))), x)


def test_byte_swapped_and_wide_numpy():
    assert mx.array(np.arange(3, dtype=">f4")).tolist() == [0, 1, 2]
    assert mx.array(np.arange(3, dtype=">f8")).dtype == mx.float32
    assert mx.array(np.array([1e300])).tolist() == [float("inf")]
    assert mx.array(np.array([1e300]), mx.float64).tolist() == [1e300]


def test_an_export_shares_memory_and_survives():
    a = mx.arange(4)
    n = np.array(a, copy=False)
    a += 1
    mx.eval(a)
    assert n.tolist() == [0, 1, 2, 3] and a.tolist() == [1, 2, 3, 4]
    view = memoryview(mx.array(np.ones((2, 3), np.float32)).T)
    assert view.shape == (3, 2) and view.strides == (4, 12) and view.format == "f" and view.nbytes == 24
    del a
    assert n.sum() == 6


def test_a_broadcast_array_is_written_element_by_element():
    n = np.array(mx.ones((2, 3)), copy=False)
    n[0, 0] = 5
    assert n.tolist() == [[5, 1, 1], [1, 1, 1]]


def test_buffers():
    assert mx.array(bytearray(b"abc")).tolist() == [97, 98, 99]
    assert (
        mx.array(stdarray.array("d", [1, 2])).dtype == mx.float32
        and mx.array(stdarray.array("l", [1, 2])).dtype == mx.int64
    )
    assert memoryview(mx.array([1], mx.bfloat16)).format == "bfloat16"
    with pytest.raises(ValueError, match="bfloat16"):
        np.array(mx.array([1], mx.bfloat16))


def test_bfloat16_of_ml_dtypes():
    ml = pytest.importorskip("ml_dtypes")
    a = mx.array(np.array([1.5, -2], ml.bfloat16))
    assert a.dtype == mx.bfloat16 and a.tolist() == [1.5, -2]


@pytest.mark.parametrize("dtype", NUMPY, ids=lambda d: d.__name__)
def test_dlpack_both_ways(dtype):
    x = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    assert np.array_equal(np.from_dlpack(mx.array(x)), x)
    a = mx.from_dlpack(x)
    assert a.tolist() == x.tolist() and mx.from_dlpack(x.T).tolist() == x.T.tolist()
    assert a.__dlpack_device__() == (1, 0)
    assert "dltensor" in repr(a.__dlpack__()) and "dltensor_versioned" in repr(a.__dlpack__(max_version=(1, 0)))


def test_dlpack_does_not_change_the_exporter():
    x = np.ones(3, np.float32)
    a = mx.from_dlpack(x)
    b = a + 1
    mx.eval(b)
    assert x.tolist() == [1, 1, 1] and b.tolist() == [2, 2, 2]
    with pytest.raises(BufferError):
        mx.ones(2).__dlpack__(dl_device=(2, 0))
    for _ in range(100):  # dropped without being taken
        mx.ones(2).__dlpack__()


def test_asarray():
    a = mx.ones(2)
    assert mx.asarray(a) is a and mx.asarray(a, copy=True) is not a and mx.asarray([1, 2.0]).dtype == mx.float32
    assert mx.asarray(5, dtype=mx.float16).dtype == mx.float16
    with pytest.raises(ValueError):
        mx.asarray(a, dtype=mx.int32, copy=False)
    with pytest.raises(ValueError):
        mx.from_dlpack(a, copy=False)


# ---- files ----


def test_npy(tmp_path):
    x = mx.arange(6).reshape(2, 3)
    mx.save(tmp_path / "x", x)
    assert (
        np.array_equal(np.load(tmp_path / "x.npy"), np.array(x))
        and mx.load(str(tmp_path / "x.npy")).tolist() == x.tolist()
    )
    np.save(tmp_path / "y.npy", np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    assert mx.load(tmp_path / "y.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    b = io.BytesIO()
    mx.save(b, x.T)
    b.seek(0)
    assert mx.load(b, format="npy").tolist() == x.T.tolist()


@pytest.mark.parametrize("save", [mx.savez, mx.savez_compressed], ids=lambda f: f.__name__)
def test_npz(tmp_path, save):
    a, b = mx.arange(3), mx.ones((2, 2))
    save(tmp_path / "z", a, b, name=b)
    assert sorted(zipfile.ZipFile(tmp_path / "z.npz").namelist()) == ["arr_0.npy", "arr_1.npy", "name.npy"]
    got = mx.load(tmp_path / "z.npz")
    assert {k: v.tolist() for k, v in got.items()} == {
        "arr_0": [0, 1, 2],
        "arr_1": [[1, 1], [1, 1]],
        "name": [[1, 1], [1, 1]],
    }
    assert np.load(tmp_path / "z.npz")["arr_0"].tolist() == [0, 1, 2]
    f = io.BytesIO()
    save(f, x=a)
    f.seek(0)
    assert mx.load(f, format="npz")["x"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError):
        save(io.BytesIO(), a, arr_0=b)


def test_safetensors(tmp_path):
    data = {"a": mx.arange(3), "b": mx.ones((2, 2), mx.bfloat16)}
    mx.save_safetensors(str(tmp_path / "s"), data, {"k": "v"})
    got, meta = mx.load(str(tmp_path / "s.safetensors"), return_metadata=True)
    assert {k: (v.tolist(), v.dtype) for k, v in got.items()} == {
        k: (v.tolist(), v.dtype) for k, v in data.items()
    } and meta["k"] == "v"
    f = io.BytesIO()
    mx.save_safetensors(f, {"x": mx.arange(4)})
    f.seek(0)
    assert mx.load(f, format="safetensors")["x"].tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="Metadata"):
        mx.save_safetensors(str(tmp_path / "s"), data, {"k": 1})
    with pytest.raises(TypeError):
        mx.save_safetensors(str(tmp_path / "s"), {"a": 1})


def test_files_that_cannot_be_loaded(tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY junk")
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    (tmp_path / "short.safetensors").write_bytes(b"\xff" * 12)
    for name, error in (
        ("none.npy", RuntimeError),
        ("none.npz", RuntimeError),
        ("none.safetensors", RuntimeError),
        ("x.foo", ValueError),
        ("noext", ValueError),
    ):
        with pytest.raises(error, match="load"):
            mx.load(str(tmp_path / name))
    for name in ("bad.npy", "bad.npz", "short.safetensors"):
        with pytest.raises(Exception):
            mx.load(str(tmp_path / name))
    with pytest.raises(TypeError):
        mx.save(tmp_path / "x.npy", [1, 2])
    with pytest.raises(TypeError):
        mx.load(3)
    with pytest.raises(RuntimeError):
        mx.save("/nonexistent/x.npy", mx.ones(1))
