"""Arrays of other libraries and theirs of ours: who shares memory, in which format, and what is refused. Measured on MLX 0.32.4."""

import copy
import pickle

import mlx.core as mx
import numpy as np
import pytest

FORMATS = {"bool_": "?", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "int8": "b", "int16": "h", "int32": "i", "int64": "q",
           "float16": "e", "bfloat16": "bfloat16", "float32": "f", "float64": "d", "complex64": "Zf"}


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_memoryview_has_format_shape_and_strides(dtype):
    a = mx.zeros((2, 3), getattr(mx, dtype), stream=mx.cpu)
    m = memoryview(a)
    assert (m.format, m.itemsize, m.shape, m.strides) == (FORMATS[dtype], a.itemsize, (2, 3), (3 * a.itemsize, a.itemsize))
    assert memoryview(mx.zeros((), getattr(mx, dtype))).shape == ()


def test_views_are_exported_with_their_strides():
    a = mx.arange(12).reshape(3, 4)
    assert memoryview(a.T).strides == (4, 16) and memoryview(a[:, ::2]).strides == (16, 8)
    assert np.array_equal(np.asarray(a[:, ::2]), np.arange(12).reshape(3, 4)[:, ::2])


def test_numpy_shares_memory_unless_it_copies():
    a = mx.arange(4)
    assert np.shares_memory(np.asarray(a), np.asarray(a)) and np.shares_memory(np.from_dlpack(a), np.asarray(a))
    np.array(a)[0] = 7
    assert a.tolist() == [0, 1, 2, 3]
    assert np.array(a, dtype=np.float64).dtype == np.float64
    view = np.asarray(mx.arange(3) + 1)     # outlives the array
    assert view.tolist() == [1, 2, 3]


def test_dlpack_shares_memory_both_ways():
    theirs = np.arange(6, dtype=np.float32).reshape(2, 3)
    ours = mx.from_dlpack(theirs)
    mx.eval(ours)
    theirs[0, 0] = 9
    assert ours[0, 0].item() == 9
    assert np.shares_memory(np.from_dlpack(ours), theirs)
    copied = mx.from_dlpack(theirs, copy=True)
    mx.eval(copied)
    theirs[0, 0] = 1
    assert copied[0, 0].item() == 9
    assert mx.from_dlpack(theirs[::-1, ::2]).tolist() == theirs[::-1, ::2].tolist()
    assert mx.from_dlpack(mx.array([1, 2], mx.bfloat16)).dtype == mx.bfloat16


def test_a_shared_array_is_never_written_to():
    theirs = np.ones(1 << 16, np.float32)
    a = mx.from_dlpack(theirs)
    for _ in range(3):
        a = a * 2 + 1
    mx.eval(a)
    assert (theirs == 1).all() and (np.asarray(a) == 15).all()
    frozen = np.ones(4, np.float32)
    frozen.flags.writeable = False
    b = mx.from_dlpack(frozen)
    b += 1
    assert frozen.tolist() == [1] * 4 and b.tolist() == [2] * 4


def test_a_capsule_is_taken_once():
    capsule = np.arange(3).__dlpack__()
    assert mx.from_dlpack(capsule).tolist() == [0, 1, 2]
    with pytest.raises(BufferError):
        mx.from_dlpack(capsule)
    with pytest.raises(TypeError, match="from_dlpack"):
        mx.from_dlpack([1, 2])


def test_torch_shares_memory():
    torch = pytest.importorskip("torch")
    t = torch.arange(4, dtype=torch.float32)
    a = mx.from_dlpack(t)
    mx.eval(a)
    t[0] = 5
    assert a[0].item() == 5
    assert torch.from_dlpack(mx.array([1.0, 2.0])).tolist() == [1, 2]
    assert mx.array(torch.ones(2, dtype=torch.bfloat16)).dtype == mx.bfloat16


@pytest.mark.parametrize("make", [lambda x: x, lambda x: x.T, lambda x: x[:, ::2], lambda x: x[0, 0], lambda x: x[:0]],
                         ids=["plain", "transposed", "strided", "0-d", "empty"])
def test_bfloat16_of_ml_dtypes_in_any_layout(make):
    ml = pytest.importorskip("ml_dtypes")
    x = make(np.array([[1.5, -2, 0.1], [3, 1e30, -0.0]], ml.bfloat16))
    a = mx.array(x)
    assert a.dtype == mx.bfloat16 and a.shape == x.shape
    assert np.array_equal(np.array(a.astype(mx.float32)), x.astype(np.float32))
    assert mx.array(x, dtype=mx.float32).dtype == mx.float32


def test_bfloat16_goes_to_numpy_only_when_cast():
    a = mx.array([1.5], mx.bfloat16)
    for export in (np.array, np.asarray):
        with pytest.raises(ValueError, match="bfloat16"):
            export(a)
    assert np.array(a.astype(mx.float32)).tolist() == [1.5]


def test_what_is_no_number_is_refused_by_name():
    for x in (np.array(["a"]), np.array([object()]), np.zeros(2, "i4,f4"), np.zeros(2, np.longdouble), np.array(["2020-01-01"], "datetime64[D]")):
        with pytest.raises(RuntimeError, match="cannot become an array"):
            mx.array(x)
    with pytest.raises(RuntimeError, match="datetime64"):
        mx.array(np.array(["2020-01-01"], "datetime64[D]"))
    ml = pytest.importorskip("ml_dtypes")
    with pytest.raises(RuntimeError, match="float8_e4m3fn"):
        mx.array(np.ones(2, ml.float8_e4m3fn))


@pytest.mark.parametrize("dtype", FORMATS)
def test_pickle_and_copies(dtype):
    a = (mx.arange(6).reshape(2, 3) % 2).astype(getattr(mx, dtype)).T
    for b in (pickle.loads(pickle.dumps(a)), pickle.loads(pickle.dumps(a, protocol=2)), copy.copy(a), copy.deepcopy(a), copy.deepcopy({"k": [a]})["k"][0]):
        assert b is not a and b.dtype == a.dtype and b.shape == a.shape and mx.array_equal(a, b)
        b[0] = 0
        b[1] = 1
        assert mx.array_equal(a, (mx.arange(6).reshape(2, 3) % 2).astype(a.dtype).T)
    for shape in ((), (0, 3)):
        assert pickle.loads(pickle.dumps(mx.zeros(shape, a.dtype))).shape == shape


def test_foreign_scalars_and_buffers():
    assert mx.array(np.float64(1.5)).dtype == mx.float32 and mx.array(np.int8(3)).dtype == mx.int8
    assert mx.array(memoryview(b"abc")).tolist() == [97, 98, 99] and mx.array(b"ab").dtype == mx.uint8
    assert bytes(mx.array([1, 2], mx.uint8)) == b"\1\2"
    assert mx.array(np.array([1, 2], ">f4")).tolist() == [1, 2]
    assert isinstance(np.add(np.ones(2, np.float32), mx.ones((2,))), np.ndarray)
