"""export_to_dot, and that an index out of bounds is told and never read."""

import io

import pytest

import mlx.core as mx

a, b = mx.array([1.0, 2.0]), mx.array([3.0, 4.0])
x = mx.arange(12).reshape(3, 4).astype(mx.float32)


def dot(*args, **kwargs):
    f = io.StringIO()
    mx.export_to_dot(f, *args, **kwargs)
    return f.getvalue()


def test_a_graph_for_graphviz(tmp_path):
    c = mx.exp(a) * b
    text = dot(c)
    assert text.startswith("digraph {\n") and text.rstrip().endswith("}")
    assert '[label ="Exp", shape=rectangle]' in text and '{ rank=source; "A"; }' in text and '{ rank=sink; "D"; }' in text
    mx.export_to_dot(tmp_path / "g.dot", c)
    assert (tmp_path / "g.dot").read_text() == text


def test_keywords_name_arrays():
    c = mx.exp(a) * b
    text = dot(result=c, left=a)
    assert '{ rank=sink; "result"; }' in text and '"left" -> ' in text


def test_loops_are_one_node():
    text = dot(mx.scan(lambda c, v: (c + v, None), mx.array(0.0), a)[0])
    assert text.count("label") == 1 and 'label ="Loop"' in text


@pytest.mark.parametrize("call, error, text", [
    (lambda: mx.export_to_dot(), TypeError, "export_to_dot"),
    (lambda: mx.export_to_dot(3, a), ValueError, "Accepts file-like objects or strings"),
    (lambda: dot(3), ValueError, "only arrays"),
])
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


INDEXED = {
    "getitem": (lambda i: x[i], 0, 3),
    "take": (lambda i: mx.take(x, i, axis=1), 1, 4),
    "take, flat": (lambda i: mx.take(x, i), 0, 12),
    "take_along_axis": (lambda i: mx.take_along_axis(x, mx.broadcast_to(i, (3, i.size)), axis=1), 1, 4),
    "put_along_axis": (lambda i: mx.put_along_axis(x, mx.broadcast_to(i, (3, i.size)), mx.array(1.0), axis=1), 1, 4),
    "add at": (lambda i: x.at[i].add(1), 0, 3),
    "gather_mm": (lambda i: mx.gather_mm(mx.ones((2, 3, 4)), mx.ones((5, 4, 6)), mx.zeros_like(i), i), 0, 5),
}


@pytest.mark.parametrize("name", INDEXED)
@pytest.mark.parametrize("dtype", [mx.int8, mx.uint8, mx.int32, mx.uint32, mx.int64, mx.uint64])
def test_indices_stay_within_bounds(name, dtype):
    f, axis, size = INDEXED[name]
    mx.eval(f(mx.array([0, size - 1], dtype=dtype)))
    beyond = [size, 120]
    if dtype in (mx.int8, mx.int32, mx.int64):
        mx.eval(f(mx.array([-1, -size], dtype=dtype)))
        beyond += [-size - 1, -128]
    if dtype == mx.int64:
        beyond += [2**62, -(2**63)]
    for i in beyond:
        with pytest.raises(IndexError, match=rf"index -?\d+ is out of bounds for axis {axis} with size {size}"):
            mx.eval(f(mx.array([0, i], dtype=dtype)))


def test_starts_in_arrays_are_clamped():
    for start in (-(2**31), -1, 0, 2, 2**31 - 1):
        got = mx.slice(x, mx.array([start]), (0,), (2, 4))
        assert got.tolist() == x[max(0, min(start, 1)):][:2].tolist()
