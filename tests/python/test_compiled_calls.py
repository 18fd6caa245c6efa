"""Calls of compiled functions that are evaluated as one node, from the second on: with whatever of their results is held, wanted, read or dropped
they give what the function gives, and donate, fail and differentiate like it."""

import gc
import io
import itertools
import threading

import mlx.core as mx
import numpy as np
import pytest


def several(x, y):
    """Results of chains, a reduction, an argument, a constant, one result twice, and one of an op with two results."""
    total = (mx.exp(x) * y - 1).sum(axis=0)
    quotient, rest = mx.divmod(x + 3, y + 2)
    return x * 2 + y, total, x, mx.array([1.0, 2.0]), total, rest, quotient * 0.5 + rest


ARGUMENTS = (mx.arange(6).astype(mx.float32).reshape(2, 3), mx.array([1.0, 0.5, 2.0]))


@pytest.fixture
def called():
    f = mx.compile(several)
    mx.eval(f(*ARGUMENTS))    # the first call is built; so that the next ones are not
    return f


@pytest.fixture(scope="module")
def want():
    return [np.array(a) for a in several(*ARGUMENTS)]


def same(got, want):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(np.array(a), b)


def test_all_results_at_once(called, want):
    for evaluate in (mx.eval, mx.async_eval):
        got = called(*ARGUMENTS)
        evaluate(*got)
        same(got, want)


@pytest.mark.parametrize("first", range(7))
def test_one_result_before_the_others(called, want, first):
    got = called(*ARGUMENTS)
    mx.eval(got[first])
    same(got, want)


@pytest.mark.parametrize("kept", list(itertools.combinations(range(7), 2)))
def test_results_that_nobody_holds(called, want, kept):
    got = [a for i, a in enumerate(called(*ARGUMENTS)) if i in kept]
    gc.collect()
    mx.eval(got)
    same(got, [want[i] for i in kept])


def test_results_that_more_is_made_of(called, want):
    got = called(*ARGUMENTS)
    more = got[0] * 2 - got[5]
    total = (got[1] + 1).sum()
    del got
    mx.eval(more, total)
    same([more, total], [want[0] * 2 - want[5], (want[1] + 1).sum()])


def test_a_chain_of_calls_without_evaluation():
    f = mx.compile(lambda x: (mx.sin(x) * 2 + x) * 0.5)
    x = y = mx.array([0.1, 0.2, 0.3])
    for i in range(20):
        x, y = f(x), (mx.sin(y) * 2 + y) * 0.5
        if i == 7:
            mx.eval(x)
    same([x], [np.array(y)])


def test_calls_of_two_functions_in_one_evaluation():
    f, g = mx.compile(lambda x: mx.exp(x) * 2 - x), mx.compile(lambda x: (mx.cos(x) + x) * 3)
    x = mx.array([0.1, 0.2])
    for _ in range(4):
        a, b = f(x), g(x)
        c = g(a)
        mx.eval(a, b, c)
        y = mx.exp(x) * 2 - x
        same([a, b, c], [np.array(v) for v in (y, (mx.cos(x) + x) * 3, (mx.cos(y) + y) * 3)])


def test_calls_that_are_read_again_and_again_are_built():
    """After a few calls whose results only served further ones the function is built into the graph, as if it were not compiled."""
    f = mx.compile(lambda x: mx.tanh(x * 0.5) + x * x)
    x = mx.array([0.1, 0.2])
    for _ in range(140):
        same([f(x).sum()], [np.array((mx.tanh(x * 0.5) + x * x).sum())])
    for _ in range(70):
        same([f(x)], [np.array(mx.tanh(x * 0.5) + x * x)])


def test_transforms_around_a_function_whose_calls_wait(called, want):
    x, y = ARGUMENTS

    def loss(x, y):
        return called(x, y)[1].sum() + called(ARGUMENTS[0], ARGUMENTS[1])[0].sum()
    got = mx.grad(loss)(x, y)
    np.testing.assert_allclose(np.array(got), np.exp(np.array(x)) * np.array(y), rtol=1e-6)
    captured = called(x, y)[0]                                        # waits, and is a constant of another function
    outer = mx.compile(lambda z: captured * z + called(x, z)[1])
    for _ in range(3):
        same([outer(y)], [np.array(captured * y + several(x, y)[1])])
    batch = mx.stack([x, x + 1])
    same([mx.vmap(lambda a: called(a, y)[1])(batch)], [np.stack([np.array(several(x, y)[1]), np.array(several(x + 1, y)[1])])])


def test_an_argument_that_is_not_evaluated(called):
    for _ in range(3):
        x, y = ARGUMENTS[0] * 2 - 1, mx.sqrt(ARGUMENTS[1])
        got = called(x, y)
        same(got, [np.array(a) for a in several(ARGUMENTS[0] * 2 - 1, mx.sqrt(ARGUMENTS[1]))])


def takes_at(x, i):
    """Of an index that is out of bounds the first four results fail: those of a group, of a view, of a product and of an op with two results."""
    y = mx.take(x * 2 + 1, i)
    whole, rest = mx.divmod(y, x + 1)
    return y + 1, y[::-1], y @ x, whole * 2 + rest, x - 1, (x * 3).sum(), mx.exp(x) @ x


X, GOOD, BAD = mx.array([1.0, 2.0]), mx.array([1, 0]), mx.array([7, 0])
WRONG = 4


@pytest.mark.parametrize("evaluate", (mx.eval, mx.async_eval))
def test_what_depends_on_a_failed_step_fails_and_nothing_else(evaluate):
    f, want = mx.compile(takes_at), [np.array(a) for a in takes_at(X, GOOD)]
    mx.eval(f(X, GOOD))
    for _ in range(3):
        got = f(X, BAD)
        try:
            evaluate(*got)
        except IndexError as e:
            assert "index 7" in str(e)
        for a in got[:WRONG]:
            for b in (a, a + 1):
                with pytest.raises(IndexError, match="index 7"):
                    mx.eval(b)
        same(got[WRONG:], want[WRONG:])
        same(f(X, GOOD), want)


def test_what_depends_on_a_failed_argument_fails_and_nothing_else():
    """But for what is fused with it: the results of a group have one fate."""
    f = mx.compile(lambda x, y: (y * 2 + 1, (x @ y) * 3, mx.exp(x) - 1, x @ x, y[::-1]))
    x, y = mx.array([[1.0, 2.0], [3.0, 4.0]]), mx.take(X, BAD)
    with pytest.raises(IndexError, match="index 7"):
        mx.eval(y)
    for _ in range(3):
        want = [np.array(a) for a in f(x, X)]
        got = f(x, y)
        with pytest.raises(IndexError, match="index 7"):
            mx.eval(got)
        for i in (0, 1, 4):
            with pytest.raises(IndexError, match="index 7"):
                mx.eval(got[i] + 1)
        same(got[2:4], want[2:4])


def test_a_failed_call_of_one_thread_is_nothing_to_the_others():
    f, want = mx.compile(takes_at), [np.array(a) for a in takes_at(X, GOOD)]
    mx.eval(f(X, GOOD))
    failed = []

    def work(bad):
        try:
            for _ in range(50):
                got = f(X, BAD if bad else GOOD)
                if bad:
                    with pytest.raises(IndexError, match="index 7"):
                        mx.eval(got)
                    same(got[WRONG:], want[WRONG:])
                else:
                    same(got, want)
        except BaseException as e:
            failed.append(e)
    threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


def test_a_norm_of_a_product_needs_no_more_memory_than_when_it_is_built():
    """Row by row, in the call as in the graph: what is between the product and the result is never whole."""
    def norm(x, w):
        y = x @ w
        z = y - y.mean(axis=-1, keepdims=True)
        return z / mx.sqrt(mx.square(z).mean(axis=-1, keepdims=True) + 1e-5) + y
    f, x, w = mx.compile(norm), mx.random.normal((2048, 512)), mx.random.normal((512, 512))
    results, peaks = [], []
    mx.eval(x, w, f(x, w))
    for function in (norm, f, f):
        mx.synchronize()
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        results.append(np.array(function(x, w)))
        peaks.append(mx.get_peak_memory() - before)
    same(results[1:], [results[0]] * 2)
    assert max(peaks[1:]) <= peaks[0] + 2**20


def test_memory_is_donated_and_given_back():
    f = mx.compile(lambda p, g: (p - 0.1 * (g * g) + 1) * 0.5)
    p, g = mx.ones((1024, 1024)), mx.ones((1024, 1024))
    mx.eval(p, g)
    for i in range(6):
        q = f(p, g)
        del p
        p = q
        del q
        mx.eval(p)
        if i == 2:
            before = mx.get_active_memory()
            mx.reset_peak_memory()
    assert mx.get_peak_memory() - before < 2**20 and mx.get_active_memory() <= before
    kept = p
    q = f(p, g)
    mx.eval(q)
    assert kept[0, 0].item() != q[0, 0].item()    # what somebody holds is not overwritten


def test_a_result_that_is_dropped_holds_nothing():
    f = mx.compile(lambda x: (mx.sum(x * 2 + 1), x * 3 - 1))
    x = mx.ones((256, 1024))
    losses = []
    mx.eval(f(x))
    before = mx.get_active_memory()
    for _ in range(8):
        loss, y = f(x)
        losses.append(loss)
        mx.eval(y)        # the loss is not wanted yet
        del y, loss
    mx.eval(losses)
    assert mx.get_active_memory() - before < 2**20
    assert [a.item() for a in losses] == [3 * 2**18] * 8


def test_state_of_a_training_step():
    state = {"w": mx.array([1.0, 2.0]), "n": mx.array(0)}

    def step(x):
        state["w"] = state["w"] - 0.1 * mx.tanh(x * state["w"])
        state["n"] = state["n"] + 1
        return (state["w"] * x).sum()
    f = mx.compile(step, inputs=state, outputs=state)
    w = np.array([1.0, 2.0], np.float32)
    for i in range(5):
        x = mx.array([0.5, float(i)])
        loss = f(x)
        if i != 3:
            mx.eval(state, loss)
        w = np.array(mx.array(w) - 0.1 * mx.tanh(x * mx.array(w)))
    same([state["w"]], [w])
    assert state["n"].item() == 5


def test_the_graph_that_is_printed_is_that_of_the_function(called):
    texts = []
    for f in (several, called):
        text = io.StringIO()
        mx.export_to_dot(text, f(*ARGUMENTS)[1])
        texts.append(sorted(line.split('"')[1] for line in text.getvalue().splitlines() if "rectangle" in line))
    assert texts[0] == texts[1] and "Exp" in texts[0]


def test_eight_threads_call_evaluate_and_drop(called, want):
    failed = []
    shared = called(*ARGUMENTS)

    def work(seed):
        order = np.random.default_rng(seed)
        try:
            for _ in range(60):
                got = list(called(*ARGUMENTS))
                pick = order.permutation(7)[:order.integers(1, 8)]
                if order.integers(2):
                    got = [got[i] for i in pick]
                    mx.eval(got)
                    same(got, [want[i] for i in pick])
                else:
                    same([got[pick[0]] + 1], [want[pick[0]] + 1])
            same(shared, want)
        except Exception as e:
            failed.append(e)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
