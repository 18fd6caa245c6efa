"""profile, the trace and debug_nans: what ran can be seen, and looking changes no number."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import mlx.core as mx

x = mx.array(np.linspace(-2, 2, 4096, dtype=np.float32).reshape(64, 64))


def row(p, op):
    return next((r for r in p.rows if r["op"] == op), None)


# ---- profile ----


def test_a_profile_counts_calls_bytes_and_operations():
    with mx.profile() as p:
        for _ in range(3):
            mx.eval(x @ x)
    r = row(p, "Matmul")
    assert r["calls"] == 3 and r["flops"] == 3 * 2 * 64**3
    assert r["bytes_read"] == 3 * 2 * x.nbytes and r["bytes_written"] == 3 * x.nbytes
    assert r["gb_per_s"] > 0 and r["gflop_per_s"] > 0


def test_a_fused_group_is_named_by_its_operations():
    with mx.profile() as p:
        mx.eval((mx.exp(x) * x + 1).sum())
    assert any(r["op"].startswith("Exp+Multiply+Add") for r in p.rows)
    with mx.profile() as p:
        y = x
        for _ in range(5):
            y = y + x
        mx.eval(y)
    assert row(p, "Add*5")["calls"] == 1


def test_times_add_up():
    with mx.profile() as p:
        for _ in range(20):
            mx.eval(mx.softmax(x @ x, axis=-1))
    total = sum(r["seconds"] for r in p.rows)
    assert 0 < total <= p.seconds
    assert all(r["seconds"] >= 0 for r in p.rows)
    assert [r["seconds"] for r in p.rows] == sorted((r["seconds"] for r in p.rows), reverse=True)


def test_other_threads_and_async_work_count():
    def work():
        for _ in range(10):
            mx.eval(x @ x)

    with mx.profile() as p:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        y = x @ x
        mx.async_eval(y)
        mx.eval(y)
        mx.synchronize()
    assert row(p, "Matmul")["calls"] == 41


def test_profiles_nest_and_start_anew():
    with mx.profile() as outer:
        mx.eval(x @ x)
        with mx.profile() as inner:
            mx.eval(x @ x)
    mx.eval(x @ x)
    assert row(outer, "Matmul")["calls"] == 2 and row(inner, "Matmul")["calls"] == 1
    with inner:
        pass
    assert inner.rows == []


def test_a_profile_prints_as_a_table():
    with mx.profile() as p:
        mx.eval(x @ x)
    lines = str(p).splitlines()
    assert lines[0].split() == ["op", "calls", "ms", "share", "MB", "GB/s", "GFLOP/s"]
    assert any(line.startswith("Matmul") for line in lines) and lines[-1].startswith("total")
    with pytest.raises(TypeError):
        mx.Profile(1)


# ---- the trace ----


def read(path):
    return json.loads(path.read_text())


def test_the_trace_is_what_viewers_read(tmp_path):
    file = tmp_path / "t.json"
    mx.start_trace(file)
    mx.eval(mx.exp(x) * x)
    y = x @ x
    mx.async_eval(y)
    mx.synchronize()
    mx.eval(y)
    mx.stop_trace()
    mx.eval(mx.sin(x))  # after the end
    events = read(file)
    assert events[0]["ph"] == "M"
    for e in events[1:]:
        assert e["ph"] == "X" and e["dur"] >= 0 and {"name", "cat", "ts", "pid", "tid", "args"} <= set(e)
    fused = next(e for e in events if e["name"] == "Exp+Multiply")
    assert fused["cat"] == "fused" and fused["args"]["ops"] == ["Exp", "Multiply"]
    assert fused["args"]["in"] == ["float32[64,64]"] and fused["args"]["out"] == ["float32[64,64]"]
    assert fused["args"]["read"] == x.nbytes and fused["args"]["written"] == x.nbytes and fused["args"]["stream"] == 0
    assert any(e["name"] == "Matmul" for e in events) and not any(e["name"] == "Sin" for e in events)


def test_recompilation_says_why(tmp_path):
    def halves(a, b, n=1):
        return (a + b) / 2 * n

    f = mx.compile(halves)
    file = tmp_path / "t.json"
    mx.start_trace(file)
    mx.eval(f(x, x), f(x, x), f(x, x[:1]), f(x, x.astype(mx.float16)), f(x, x.astype(mx.float16), n=2))
    mx.stop_trace()
    why = [e["args"]["why"] for e in read(file) if e["name"] == "(compile halves)"]
    assert why[0] == "the first call"
    assert why[1] == "array 1 is float32 (1,64), before float32 (64,64)"
    assert why[2] == "array 1 is float16 (64,64), before float32 (1,64)"
    assert "constant" in why[3] and len(why) == 4


def test_the_trace_can_be_flushed_and_started_again(tmp_path):
    first, second = tmp_path / "a.json", tmp_path / "%p.json"
    mx.start_trace(str(first))
    mx.eval(x @ x)
    mx.flush_trace()
    json.loads(first.read_text() + "]")
    mx.start_trace(second)
    mx.stop_trace()
    mx.stop_trace()
    assert len(read(first)) >= 2 and len(read(tmp_path / f"{os.getpid()}.json")) == 1
    with pytest.raises(RuntimeError, match=r"\[trace\] Cannot write"):
        mx.start_trace(tmp_path / "missing" / "t.json")
    with pytest.raises(TypeError):
        mx.start_trace(3)


def child(code, **env):
    return subprocess.run([sys.executable, "-c", "import mlx.core as mx, os, signal\n" + code], env={**os.environ, **env},
                          capture_output=True, text=True)


def test_the_environment_starts_a_trace(tmp_path):
    file = tmp_path / "t.json"
    r = child("mx.eval(mx.ones((3, 3)) @ mx.ones((3, 3)))", MLX_TRACE=str(file))
    assert r.returncode == 0, r.stderr
    assert any(e["name"] == "Matmul" for e in read(file))


def test_a_killed_process_leaves_a_trace(tmp_path):
    file = tmp_path / "t.json"
    r = child("mx.eval(mx.ones((3, 3)) @ mx.ones((3, 3))); mx.flush_trace(); os.kill(os.getpid(), signal.SIGKILL)",
              MLX_TRACE=str(file))
    assert r.returncode == -signal.SIGKILL
    assert any(e["name"] == "Matmul" for e in json.loads(file.read_text() + "]"))


def test_a_forked_child_leaves_the_trace_alone(tmp_path):
    file = tmp_path / "t.json"
    r = child("""
mx.eval(mx.ones((3, 3)) @ mx.ones((3, 3)))
pid = os.fork()
mx.eval(mx.sin(mx.ones((3, 3))))
if pid: os.waitpid(pid, 0)
""", MLX_TRACE=str(file))
    assert r.returncode == 0, r.stderr
    assert [e["name"] for e in read(file)].count("Sin") == 1


# ---- debug_nans ----


def test_the_operation_that_makes_a_nan_is_named():
    with mx.debug_nans():
        with pytest.raises(FloatingPointError, match=r"\[debug_nans\] Log gave nan at \(1\) of a result of shape \(2\) and dtype float32"):
            mx.eval(mx.exp(mx.log(mx.array([1.0, -1.0]))) + 1)
        with pytest.raises(FloatingPointError, match="Its input 0 has nan already"):
            mx.eval(mx.array([float("nan")]) + 1)
        mx.eval(mx.array([float("nan")]).reshape(1, 1))  # makes no values
        mx.eval(mx.array([1.0]) / 0)
        mx.eval(mx.where(mx.isnan(mx.array([float("nan"), 1.0])), 0, 1))


def test_a_nan_inside_a_group_is_found_where_it_arises():
    a = mx.array([1.0, 4.0, -1.0])
    with mx.debug_nans():
        with pytest.raises(FloatingPointError, match=r"Sqrt gave nan at \(2\)"):
            mx.eval(mx.where(a > 0, mx.sqrt(a), 0).sum())
    assert mx.where(a > 0, mx.sqrt(a), 0).sum().item() == 3


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, mx.complex64])
def test_every_floating_dtype_is_checked(dtype):
    with mx.debug_nans():
        with pytest.raises(FloatingPointError, match="nan"):
            mx.eval(mx.array([0.0], dtype=dtype) * float("inf"))
        mx.eval(mx.array([1.0], dtype=dtype) * 2, mx.array([1, 2]) // 0)


def test_infinities_on_request():
    with mx.debug_nans(inf=True), pytest.raises(FloatingPointError, match=r"Divide gave inf at \(1\)"):
        mx.eval(mx.array([1.0, 1.0]) / mx.array([1.0, 0.0]))


def test_gradients_and_kernels_are_checked():
    with mx.debug_nans():
        with pytest.raises(FloatingPointError, match="gave nan"):
            mx.eval(mx.grad(lambda a: mx.sqrt(a * 0).sum())(mx.array([0.0, 1.0])))
        with pytest.raises(FloatingPointError, match="Matmul gave nan at"):
            mx.eval(mx.array([[float("inf"), 1.0]]) @ mx.zeros((2, 1)))


def test_the_setting_holds_until_it_is_taken_back():
    bad = lambda: mx.eval(mx.log(mx.array(-1.0)))  # noqa: E731
    bad()
    mx.debug_nans(True)
    try:
        with pytest.raises(FloatingPointError):
            bad()
        with mx.debug_nans(False):
            bad()
        with pytest.raises(FloatingPointError):
            bad()
    finally:
        mx.debug_nans(False)
    bad()


def test_looking_changes_no_number():
    def f(a):
        return mx.softmax(mx.exp(a * 0.5) @ mx.sin(a).T + a, axis=-1) * a.sum(axis=0)

    plain = np.array(f(x))
    with mx.debug_nans(), mx.profile():
        np.testing.assert_array_equal(np.array(f(x)), plain)


def test_the_environment_turns_the_check_on():
    code = "mx.eval(mx.log(mx.array(-1.0)))"
    assert child(code).returncode == 0
    r = child(code, MLX_DEBUG_NANS="1")
    assert r.returncode == 1 and "[debug_nans] Log gave nan" in r.stderr
    assert "gave inf" in child("mx.eval(mx.array(1.0) / 0)", MLX_DEBUG_NANS="inf").stderr
