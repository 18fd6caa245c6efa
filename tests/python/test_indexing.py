"""Reading and writing elements: NumPy's rules, MLX's exceptions."""

import numpy as np
import pytest

import mlx.core as mx

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, strategies as st  # noqa: E402


def fresh():
    return {
        "mx": mx,
        "np": np,
        "a": mx.arange(12).reshape(3, 4),
        "v": mx.arange(5),
        "b": mx.arange(24).reshape(2, 3, 4),
        "f": mx.zeros((3, 4)),
    }


READS = """
v[-1] | 4
v[::-1] | [4, 3, 2, 1, 0]
v[4:1:-1] | [4, 3, 2]
v[4:0:-2] | [4, 2]
v[10:20] | []
v[-100:2] | [0, 1]
v[3:1] | []
v[None] | [[0, 1, 2, 3, 4]]
a[...,0] | [0, 4, 8]
a[None,...,None].shape | (1, 3, 4, 1)
a[-1,-1] | 11
a[1:,::2] | [[4, 6], [8, 10]]
a[::-1,::-1] | [[11, 10, 9, 8], [7, 6, 5, 4], [3, 2, 1, 0]]
a[mx.array(1)] | [4, 5, 6, 7]
a[mx.array([-1,0])] | [[8, 9, 10, 11], [0, 1, 2, 3]]
a[mx.array([[0,1],[2,0]])].shape | (2, 2, 4)
a[mx.array([0,1]),mx.array([1,2])] | [1, 6]
a[:,mx.array([1,3])] | [[1, 3], [5, 7], [9, 11]]
a[mx.array([0,1]),1] | [1, 5]
a[mx.array([0,1]),None].shape | (2, 1, 4)
a[mx.array([0,1]),1:3] | [[1, 2], [5, 6]]
a[[0,2],[1,3]] | [1, 11]
a[(0,1)] | 1
a[np.int64(1)] | [4, 5, 6, 7]
a[mx.array([0,1],mx.uint8)].shape | (2, 4)
b[mx.array([0,1]),:,mx.array([1,2])] | [[1, 5, 9], [14, 18, 22]]
b[:,mx.array([0,1]),mx.array([1,2])] | [[1, 6], [13, 18]]
b[mx.array([[0],[1]]),mx.array([0,2])].shape | (2, 2, 4)
v[mx.array([],mx.int32)] | []
v[[]] | []
a[..., None, 0] | [[0], [4], [8]]
b[mx.array([0,1]), 0, mx.array([0,1])] | [0, 13]
b[mx.array([0,1]), None, mx.array([0,1])].shape | (2, 1, 4)
b[mx.array([0,1]), ..., mx.array([0,1])] | [[0, 4, 8], [13, 17, 21]]
b[:, [0,1], :2] | [[[0, 1], [4, 5]], [[12, 13], [16, 17]]]
b[0,:,mx.array([0,1])].shape | (2, 3)
b[0,:,None,mx.array([0,1])].shape | (2, 3, 1)
b[:,mx.array([0,1]),None,mx.array([0,1])].shape | (2, 2, 1)
b[None,mx.array([0,1]),0].shape | (1, 2, 4)
b[:,mx.array(0),:,None].shape | (2, 4, 1)
b[()].shape | (2, 3, 4)
mx.array(3)[...] | 3
mx.array(3)[None] | [3]
v[v>2] | [3, 4]
v[[True,False,True,False,False]] | [0, 2]
a[a>5] | [6, 7, 8, 9, 10, 11]
a[a>50] | []
a[[True,False,True]] | [[0, 1, 2, 3], [8, 9, 10, 11]]
a[:,[True,False,True,False]] | [[0, 2], [4, 6], [8, 10]]
a[1:,[True,False,True,False]] | [[4, 6], [8, 10]]
a[0,[True,False,True,False]] | [0, 2]
a[[True,False,True],mx.array([1,3])] | [1, 11]
a[[True,False,True],[False,True,True,False]] | [1, 10]
a[[True,False,True],None].shape | (2, 1, 4)
b[[[True,False,False],[False,True,True]]] | [[0, 1, 2, 3], [16, 17, 18, 19], [20, 21, 22, 23]]
b[...,[True,False,True,False]].shape | (2, 3, 2)
b[[[True,False,True]]*2,...,None].shape | (4, 4, 1)
b[mx.array([0,1,1]),:,[True,True,False,True]].shape | (3, 3)
a[mx.array(True)].shape | (1, 3, 4)
a[mx.array(False)].shape | (0, 3, 4)
a[True].shape | (1, 3, 4)
a[False].shape | (0, 3, 4)
a[np.bool_(True)].shape | (1, 3, 4)
a[np.array([2,0])] | [[8, 9, 10, 11], [0, 1, 2, 3]]
a[:,np.array(1)] | [1, 5, 9]
a[np.array([[0,1]]),np.array([1,2])] | [[1, 6]]
a[np.array([True,False,True]),1] | [1, 9]
a[np.arange(12).reshape(3,4)>9] | [10, 11]
a[np.array([0],np.uint8),np.int8(-1)] | [3]
mx.zeros((0,3))[mx.zeros((0,),mx.bool_)].shape | (0, 3)
mx.zeros((0,3))[mx.zeros((0,3),mx.bool_)].shape | (0,)
""".strip().split("\n")


@pytest.mark.parametrize("line", READS)
def test_reading(line):
    expression, expected = line.split(" | ")
    got = eval(expression, fresh())
    assert (got.tolist() if isinstance(got, mx.array) else got) == eval(expected)


WRITES = """
v[-1]=9 | v | [0, 1, 2, 3, 9]
v[1:3]=mx.array([7,8]) | v | [0, 7, 8, 3, 4]
v[::-1]=mx.arange(5) | v | [4, 3, 2, 1, 0]
v[4:1:-1]=mx.array([7,8,9]) | v | [0, 1, 9, 8, 7]
v[mx.array([0,0,1])]=mx.array([5,6,7]) | v | [6, 7, 2, 3, 4]
v[v>2]=0 | v | [0, 1, 2, 0, 0]
v[v>2]=mx.array([10,11]) | v | [0, 1, 2, 10, 11]
v[v>2]=mx.array([10,11,12]) | v | [0, 1, 2, 10, 11]
v[v>2]=mx.arange(5)*10 | v | [0, 1, 2, 0, 10]
v[[True,False,True,False,False]]=7 | v | [7, 1, 7, 3, 4]
a[a>5]=-1 | a | [[0, 1, 2, 3], [4, 5, -1, -1], [-1, -1, -1, -1]]
a[mx.array([True,False,True])]=0 | a | [[0, 0, 0, 0], [4, 5, 6, 7], [0, 0, 0, 0]]
a[a[:,0]>3]=mx.array([1,2,3,4]) | a | [[0, 1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4]]
a[:,0]=mx.array([1,2,3]) | a[:,0] | [1, 2, 3]
a[...,0]=1 | a[:,0] | [1, 1, 1]
a[None]=1 | a.sum() | 12
a[1:,1:]=mx.zeros((2,3)) | a | [[0, 1, 2, 3], [4, 0, 0, 0], [8, 0, 0, 0]]
a[mx.array([0,2])]=mx.array([[1],[2]]) | a | [[1, 1, 1, 1], [4, 5, 6, 7], [2, 2, 2, 2]]
a[mx.array([0,2]),mx.array([1,3])]=100 | a | [[0, 100, 2, 3], [4, 5, 6, 7], [8, 9, 10, 100]]
a[mx.array([0,2]),1:3]=7 | a | [[0, 7, 7, 3], [4, 5, 6, 7], [8, 7, 7, 11]]
a[1,2]=3.7 | a[1,2] | 3
a[0]=mx.ones((1,4)) | a[0] | [1, 1, 1, 1]
a[0:2]=mx.ones((1,2,4)) | a[:2].sum() | 8
v[[0,2]]=7 | v | [7, 1, 7, 3, 4]
v[1:1]=3 | v | [0, 1, 2, 3, 4]
v[mx.array([-1])]=1 | v | [0, 1, 2, 3, 1]
b[:,None,mx.array([0,2]),1:3]=mx.array([5,6]) | b[:,mx.array([0,2]),1:3] | [[[5, 6], [5, 6]], [[5, 6], [5, 6]]]
b[mx.array([0,1]),:,mx.array([1,2])]=mx.array([7,8,9]) | b[1,:,2] | [7, 8, 9]
b[0,:,mx.array([1,2])]=mx.array([[1,2,3],[4,5,6]]) | b[0,:,2] | [4, 5, 6]
a[a>8]=mx.array([[5,6,7]]) | a[2] | [8, 5, 6, 7]
a[[True,False,True]]=mx.array([[1,2,3,4],[5,6,7,8]]) | a | [[1, 2, 3, 4], [4, 5, 6, 7], [5, 6, 7, 8]]
a[[True,False,True]]=mx.array([[1],[2]]) | a | [[1, 1, 1, 1], [4, 5, 6, 7], [2, 2, 2, 2]]
a[a>50]=mx.array([1]) | a[2] | [8, 9, 10, 11]
a[a>50]=mx.array([],mx.int32) | a[2] | [8, 9, 10, 11]
a[:,[True,False,True,False]]=mx.array([50,60]) | a[:,::2] | [[50, 60], [50, 60], [50, 60]]
a[:,[True,False,True,False]]=7 | a[:,::2] | [[7, 7], [7, 7], [7, 7]]
a[[True,False,True],0]=mx.array([50,60]) | a[:,0] | [50, 4, 60]
a[0,[True,False,True,False]]=9 | a[0] | [9, 1, 9, 3]
a[1:,[True,False,True,False]]=mx.array([[1,2],[3,4]]) | a[:,::2] | [[0, 2], [1, 2], [3, 4]]
a[[True,False,True],[False,True,True,False]]=-1 | a | [[0, -1, 2, 3], [4, 5, 6, 7], [8, 9, -1, 11]]
v[mx.array(True)]=mx.arange(5)*2 | v | [0, 2, 4, 6, 8]
v[True]=mx.arange(5)*2 | v | [0, 2, 4, 6, 8]
v[True]=7 | v | [7, 7, 7, 7, 7]
v[False]=7 | v | [0, 1, 2, 3, 4]
v[np.array([0,2])]=7 | v | [7, 1, 7, 3, 4]
v[np.arange(5)>2]=7 | v | [0, 1, 2, 7, 7]
""".strip().split("\n")


@pytest.mark.parametrize("line", WRITES)
def test_writing(line):
    statement, expression, expected = line.split(" | ")
    scope = fresh()
    exec(statement, scope)
    assert eval(expression, scope).tolist() == eval(expected)


AT = """
v.at[0].add(5) | [5, 1, 2, 3, 4]
v.at[mx.array([0,0,1])].add(1) | [2, 2, 2, 3, 4]
v.at[1:3].multiply(10) | [0, 10, 20, 3, 4]
v.at[::2].subtract(1) | [-1, 1, 1, 3, 3]
v.at[mx.array([1,1])].maximum(mx.array([5,3])) | [0, 5, 2, 3, 4]
v.at[mx.array([1,1])].minimum(0) | [0, 0, 2, 3, 4]
v.at[mx.array([1,2])].divide(2) | [0, 0, 0, 3, 4]
(f+8).at[0].divide(2)[0] | [4, 4, 4, 4]
a.at[mx.array([0,1]),mx.array([0,0])].add(10) | [[10, 1, 2, 3], [14, 5, 6, 7], [8, 9, 10, 11]]
a.at[:,0].add(mx.array([1,2,3])) | [[1, 1, 2, 3], [6, 5, 6, 7], [11, 9, 10, 11]]
v.at[v>2].add(1) | [0, 1, 2, 4, 5]
v.at[v>2].add(mx.array([10,20])) | [0, 1, 2, 13, 24]
v.at[v>2].multiply(mx.array([2,3])) | [0, 1, 2, 6, 12]
v.at[v>2].maximum(mx.array([9,0])) | [0, 1, 2, 9, 4]
v.at[v>2].minimum(mx.array([9,0])) | [0, 1, 2, 3, 0]
v.at[[True,False,True,True,False]].subtract(mx.array([1,2,3])) | [-1, 1, 0, 0, 4]
a.at[[True,False,True],0].add(mx.array([10,20]))[:,0] | [10, 4, 28]
a.at[:,[True,False,True,False]].add(mx.array([10,20]))[2] | [18, 9, 30, 11]
v.at[0].add(value=2) | [2, 1, 2, 3, 4]
""".strip().split("\n")


@pytest.mark.parametrize("line", AT)
def test_at(line):
    expression, expected = line.split(" | ")
    scope = fresh()
    assert eval(expression, scope).tolist() == eval(expected)
    assert scope["v"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "statement, error",
    [
        ("v[7]", IndexError),
        ("v[-9]", IndexError),
        ("v[2**70]", IndexError),
        ("v[mx.array([7])].tolist()", IndexError),
        ("v[mx.array([-9])].tolist()", IndexError),
        ("v[9]=1", IndexError),
        ("v[mx.array([9])]=1;v.tolist()", IndexError),
        ("a[:,mx.array([4])].tolist()", IndexError),
        ("mx.take(a,mx.array([99])).tolist()", IndexError),
        ("a[[True,False]]", IndexError),
        ("a[:,[True,False,True]]", IndexError),
        ("a[0,[True,False,True]]", IndexError),
        ("a[a>1,0]", ValueError),
        ("a[mx.array(True),0]", ValueError),
        ("a[[True,False,True],[0,1,2]].tolist()", ValueError),
        ("v[v>2]=mx.array([1]);v.tolist()", RuntimeError),
        ("a[a>5]=mx.array([1,2]);a.tolist()", RuntimeError),
        ("a[a>5]=a*10", ValueError),
        ("a[[True,False,True]]=mx.array([1,2,3])", ValueError),
        ("a[0,[True,False,True]]=1", ValueError),
        ("a[:,[True,False,True,False]]=mx.zeros((3,3))", ValueError),
        ("a[True,0]", ValueError),
        ("a[np.array([0.5])].tolist()", ValueError),
        ("a[np.array([9])].tolist()", IndexError),
        ("a[np.array([True,False])]", IndexError),
        ("a[b'x']", ValueError),
        ("a['x']", ValueError),
        ("a[1.0]", ValueError),
        ("a[mx.array([0.5])].tolist()", ValueError),
        ("a[0,0,0]", ValueError),
        ("a[:,:,0]", ValueError),
        ("a[...,...]", ValueError),
        ("a[0:2:0]", ValueError),
        ("v[mx.array(1):]", ValueError),
        ("mx.array(3)[0]", ValueError),
        ("a[((0,1),)]", ValueError),
        ("a[0]=mx.zeros(4+1)", ValueError),
        ("a[mx.array([0,1])]=mx.zeros((3,3))", ValueError),
        ("a[1,2]=mx.array([5])", ValueError),
        ("a[0]=mx.ones((2,4))", ValueError),
        ("a[0]='x'", ValueError),
        ("a[0]=[1,2,3]", ValueError),
        ("a[0]=None", TypeError),
        ("a['x']=1", ValueError),
        ("v.at.add(1)", ValueError),
        ("v.at[0].foo(1)", AttributeError),
        ("a[mx.array([True,False])]=1", ValueError),
    ],
)
def test_refused(statement, error):
    scope = fresh()
    with pytest.raises(error):
        exec(statement, scope)


def test_assignment_changes_the_object_not_its_views():
    a = mx.arange(4)
    alias, view, kept = a, a[:], a + 0
    a[0] = 9
    assert alias.tolist() == [9, 1, 2, 3] and view.tolist() == kept.tolist() == [0, 1, 2, 3]


def test_bounds_of_a_slice_are_what_stands_for_an_int():
    class Two:
        def __index__(self):
            return 2

    a, far = mx.arange(5), 10**30
    for key in (
        slice(True, None), slice(Two(), None), slice(None, np.int64(3)), slice(-far, far), slice(None, None, far), slice(far, None, -1),
        slice(None, -far, -2), slice(2**40, None, -1), slice(None, None, 2**40), slice(-(2**40), -1), slice(3, 1), slice(-1, None, -3),
    ):  # fmt: skip
        assert a[key].tolist() == list(range(5))[key], key
        b = mx.zeros(5, mx.int32)
        b[key] = a[key]
        assert b.tolist() == [i if i in list(range(5))[key] else 0 for i in range(5)], key
    for bound in (mx.array(1), 1.5, "1", [1]):
        for key in (slice(bound, None), slice(None, bound), slice(None, None, bound)):
            with pytest.raises(ValueError, match="Slice indices must be integers or None"):
                a[key]
    with pytest.raises(ValueError, match="step"):
        a[::0]


# ---- against NumPy ----


def indices(draw, shape, arrays):
    """An index for an array of this shape: ints, slices, None, an ellipsis and, if asked, arrays that broadcast."""
    parts, dims = [], draw(st.integers(0, len(shape)))
    batch = draw(st.sampled_from([(), (2,), (3, 1), (2, 3)])) if arrays else None
    for d in range(dims):
        kind = draw(st.sampled_from(["int", "slice", "slice", "array"] if arrays else ["int", "slice", "slice"]))
        n = shape[d]
        if kind == "int":
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 2, n + 2)
            parts.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2]))))
        else:
            size = draw(st.sampled_from([batch, batch[1:], ()]))
            parts.append(
                np.array(
                    draw(st.lists(st.integers(-n, n - 1), min_size=int(np.prod(size)), max_size=int(np.prod(size)))),
                    int,
                ).reshape(size)
            )
    if dims == len(shape) and draw(st.booleans()) or dims < len(shape) and draw(st.integers(0, 3)) == 0:
        cut = draw(st.integers(0, len(parts)))
        if dims == len(shape):
            parts.insert(cut, ...)
        else:
            parts.append(...)
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return tuple(parts)


def ours(index):
    return tuple(mx.array(i.astype(np.int32)) if isinstance(i, np.ndarray) else i for i in index)


SHAPES = st.sampled_from([(4,), (3, 4), (2, 3, 4), (2, 1, 3, 2)])


@given(st.data(), SHAPES, st.booleans())
def test_reading_matches_numpy(data, shape, arrays):
    x = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    index = indices(data.draw, shape, arrays)
    got = mx.array(x)[ours(index)]
    assert got.shape == x[index].shape and np.array_equal(np.array(got), x[index])


@given(st.data(), SHAPES, st.booleans(), st.sampled_from(["full", "scalar", "row"]))
def test_writing_matches_numpy(data, shape, arrays, form):
    x = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    index = indices(data.draw, shape, arrays)
    target = x[index]
    value = np.arange(100, 100 + target.size, dtype=np.int32).reshape(target.shape)
    if form == "scalar" or target.ndim == 0:
        value = np.int32(-5)
    elif form == "row":
        value = value[:1]
    if any(isinstance(i, np.ndarray) for i in index):  # repeated indices: the order is not defined
        value = np.int32(-5)
    a = mx.array(x)
    a[ours(index)] = mx.array(value)
    x[index] = value
    assert np.array_equal(np.array(a), x)


@given(st.data(), SHAPES)
def test_at_add_accumulates_like_numpy(data, shape):
    x = np.zeros(shape, np.int32)
    index = indices(data.draw, shape, True)
    got = mx.array(x).at[ours(index)].add(1)
    np.add.at(x, index, 1)
    assert np.array_equal(np.array(got), x)


@given(st.data(), SHAPES)
def test_gradient_of_reading_is_a_scatter(data, shape):
    index = indices(data.draw, shape, True)
    g = mx.grad(lambda a: a[ours(index)].sum())(mx.zeros(shape))
    x = np.zeros(shape, np.float32)
    np.add.at(x, index, 1)
    assert np.array_equal(np.array(g), x)


@pytest.mark.parametrize("shape", [(3, 700, 5), (700, 2), (100, 3, 9), (64, 1), (4096, 33)], ids=str)
@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_few_indices_a_line_along_the_last_axis(shape, count):
    rng = np.random.default_rng(0)
    x, i = rng.standard_normal(shape).astype("float32"), rng.integers(-shape[-1], shape[-1], (*shape[:-1], count)).astype("int32")
    expected, indices = np.take_along_axis(x, i, -1), mx.array(i)
    turned = mx.swapaxes(mx.array(np.ascontiguousarray(np.swapaxes(x, 0, -1))), 0, -1)
    for given in (mx.array(x), turned, mx.array(x[::-1].copy())[::-1]):
        np.testing.assert_array_equal(np.array(mx.take_along_axis(given, indices, -1)), expected)
    i[-1, ..., -1] = shape[-1]
    with pytest.raises(IndexError, match=f"index {shape[-1]} is out of bounds"):
        mx.eval(mx.take_along_axis(mx.array(x), mx.array(i), -1))


def test_items_of_what_no_cache_holds():
    rng = np.random.default_rng(0)
    for shape, count in [((1 << 21,), 100_003), ((40_000, 70), 5_001)]:
        x, i = rng.standard_normal(shape, dtype="float32"), rng.integers(-shape[0], shape[0], count)
        given = mx.array(x)
        np.testing.assert_array_equal(np.array(given[mx.array(i)]), x[i])
        np.testing.assert_array_equal(np.array(mx.take(given[::-1], mx.array(i), 0)), x[::-1][i])
        i[-2:] = shape[0], shape[0] + 1
        with pytest.raises(IndexError, match=f"index {shape[0]} is out of bounds"):
            mx.eval(given[mx.array(i)])


@pytest.mark.parametrize("name, add", [("add", np.add), ("maximum", np.maximum), ("multiply", np.multiply)])
@pytest.mark.parametrize("axis", [0, 1])
def test_long_rows_that_meet_are_all_taken_in(name, add, axis):
    rng = np.random.default_rng(0)
    x, i = rng.integers(-4, 4, (300, 130)).astype("float32"), rng.integers(-100, 100, 700)
    u = rng.integers(1, 3, (700, 130)).astype("float32")
    expected = x.copy()
    with np.errstate(over="ignore"):
        add.at(expected, i, u)
    rows = mx.array(x) if axis == 0 else mx.array(np.ascontiguousarray(x.T))
    where, given = (mx.array(i), mx.array(u)) if axis == 0 else ((slice(None), mx.array(i)), mx.array(np.ascontiguousarray(u.T)))
    got = np.array(getattr(rows.at[where], name)(given))
    np.testing.assert_array_equal(got if axis == 0 else got.T, expected)
