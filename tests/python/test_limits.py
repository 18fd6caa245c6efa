"""What must not depend on size: the C stack, memory over many shapes, the time of a small op."""

import gc
import threading

import mlx.core as mx
import numpy as np
import pytest

SANITIZED = "libasan" in open("/proc/self/maps").read()
unsanitized = pytest.mark.skipif(SANITIZED, reason="the address sanitizer keeps what was freed")


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096


def on_small_stack(f, size=256 * 1024):
    """Runs f in a thread with so small a stack; its result, or its exception."""
    result = []

    def run():
        try:
            result.append(f())
        except BaseException as error:
            result.append(error)
    before = threading.stack_size(size)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def chain(x, n):
    y = x
    for _ in range(n):
        y = y + 1
    return y


def test_a_million_nodes_evaluate_and_free_on_a_small_stack():
    assert on_small_stack(lambda: chain(mx.zeros(1), 1_000_000).item()) == 1_000_000


def test_a_million_nodes_free_unevaluated_on_a_small_stack():
    def build_and_drop():
        y = chain(mx.zeros(1), 1_000_000)
        del y
        return True
    assert on_small_stack(build_and_drop)


def test_gradient_of_a_long_chain_on_a_small_stack():
    assert on_small_stack(lambda: mx.grad(lambda x: chain(x * 2, 20_000))(mx.array(1.0)).item()) == 2


def test_compiled_and_mapped_long_chains_on_a_small_stack():
    def run():
        f = mx.compile(lambda x: chain(x, 5_000))
        return f(mx.zeros(3)).tolist(), mx.vmap(lambda x: chain(x, 5_000))(mx.zeros((2, 3))).tolist()
    assert on_small_stack(run) == ([5000.0] * 3, [[5000.0] * 3] * 2)


@unsanitized
def test_many_shapes_leave_memory_flat():
    def work(n):
        x = mx.zeros((n % 97 + 1, n // 97 + 1))
        mx.eval(mx.exp(x) * 2 + x, mx.sum(x, axis=0))
    for n in range(1_000):
        work(n)
    gc.collect()
    before = resident()
    for n in range(1_000, 10_000):
        work(n)
    gc.collect()
    assert resident() - before < 64 << 20


@unsanitized
def test_a_loop_leaves_memory_flat():
    w = mx.random.normal((64, 64))
    step = mx.value_and_grad(lambda w, x: ((x @ w) ** 2).mean())

    def work(n):
        nonlocal w
        for _ in range(n):
            _, g = step(w, mx.random.normal((32, 64)))
            w = w - 0.01 * g
            mx.eval(w)
    work(200)
    gc.collect()
    before = resident()
    work(2_000)
    gc.collect()
    assert resident() - before < 16 << 20


def test_deeply_nested_containers_are_refused_not_fatal():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises((RecursionError, ValueError, TypeError)):
        mx.array(nested)
    try:
        mx.eval(nested)
    except (RecursionError, ValueError):
        pass
    # a list this deep cannot be freed by recursion either: take it apart
    while nested:
        nested = nested.pop()


def test_bits_do_not_depend_on_threads(tmp_path):
    """The same work with one, two and three threads."""
    import os
    import subprocess
    import sys
    code = """if 1:
        import mlx.core as mx, numpy as np, hashlib
        mx.random.seed(3)
        x = mx.random.normal((700, 513)); w = mx.random.normal((513, 300))
        outs = [mx.exp(x) * 2 + x, x.sum(), x.sum(0), x.sum(1), mx.softmax(x), x @ w, mx.var(x, axis=0), mx.cumsum(x, axis=0),
                mx.sort(x, axis=1), mx.conv2d(x[:, :512].reshape(2, 350, 32, 16), mx.random.normal((8, 3, 3, 16)))]
        print(hashlib.sha256(b"".join(np.array(o).tobytes() for o in outs)).hexdigest())"""
    digests = {subprocess.run([sys.executable, "-c", code], env={**os.environ, "MLX_NUM_THREADS": str(n)}, check=True,
                              capture_output=True, text=True).stdout for n in (1, 2, 3)}
    assert len(digests) == 1


def test_threads_may_work_at_once():
    x = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    want = np.tanh(x @ x).sum()
    faults = []

    def work():
        for _ in range(50):
            a = mx.array(x)
            got = mx.tanh(a @ a).sum().item()
            if abs(got - want) > 1e-2:
                faults.append(got)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults


def test_a_forked_child_computes():
    import os
    mx.eval(mx.random.normal((1000, 1000)) * 2)
    pid = os.fork()
    if pid == 0:
        ok = abs(mx.sum(mx.ones((1000, 1000))).item() - 1e6) < 1
        os._exit(0 if ok else 1)
    assert os.waitpid(pid, 0)[1] == 0
