"""Every op of the tables, traced once and called with three sets of shapes: shapeless compile, and shapeless export where nothing was made
for the shapes of the trace. The sets are found by changing the sizes of a case's axes, wherever the case itself still runs."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_map

import checks
import table
from structured_cases import CASES, OTHERS
from test_elementwise import inputs

SIZES = [(3, 4), (5, 4), (4, 7), (2, 3), (6, 5)]
SHAPES = [(3, 4), (5, 2), (1, 7)]

# Functions of a matrix and an index whose parameters follow from its shape: one trace serves all.
INDEX = mx.array([1, 0, 1])
FOR_ANY_SHAPE = {
    "from one on": lambda x: x[1:], "to the last": lambda x: x[:-1], "every second": lambda x: x[:, ::2], "backwards": lambda x: x[::-1],
    "backwards, some": lambda x: x[:, -2::-2], "the last": lambda x: x[-1], "the first": lambda x: x[0], "an element": lambda x: x[-2, 1],
    "the last two": lambda x: x[..., -2:], "at most four": lambda x: x[:4], "at most three, from two": lambda x: x[:3, 2:3], "a new axis": lambda x: x[:, None, 1],
    "equal for some shapes": lambda x: (x[:-1].sum(), x[:3].sum(), x[0:].sum(), x[:4].sum()), "whole": lambda x: x[:][...] * 1,
    "flat": lambda x: x.flatten(), "joined": lambda x: mx.flatten(x[None] * x[:, None], 1, 2), "a row": lambda x: x.reshape(-1) + 1,
    "unflattened": lambda x: mx.unflatten(mx.concatenate([x, x], axis=-1), -1, (2, -1)),
    "unflattened, the first": lambda x: mx.unflatten(mx.concatenate([x, x, x], axis=0), 0, (-1, 3)),
    "logarithms of sums": lambda x: mx.logsumexp(x, axis=0, keepdims=True) + mx.logsumexp(x, axis=1, keepdims=True) * mx.logsumexp(x[None], axis=(0, 1)),
    "the largest": lambda x: mx.argmax(x, keepdims=True) + mx.argmin(x), "rows": lambda x: x[INDEX], "columns": lambda x: mx.take(x, INDEX, axis=1), "elements": lambda x: mx.take(x, INDEX),
    "rows by integers": lambda x: mx.take(x, (x[0] > 0).astype(mx.int32), axis=0), "every": lambda x: mx.max(x, keepdims=True) + mx.argmax(x),
    "of a table": lambda x: TABLE[mx.clip(x * 2, -4, 3).astype(mx.int32)], "sorted": lambda x: mx.sort(x, axis=0)[1:] - mx.cumsum(x, axis=0)[:-1],
    "a determinant": lambda x: mx.linalg.det(x @ x.T + mx.array(2.0)),
    "a mean": lambda x: x - x.mean(axis=0), "a variance": lambda x: mx.var(x, axis=1, ddof=1) + mx.std(x), "dimensions of one": lambda x: mx.squeeze(x[:, :1]),
    "parts": lambda x: mx.split(mx.concatenate([x, x]), 2)[1], "an assignment": lambda x: assigned(x), "where it is positive": lambda x: assigned(x, x > 0),
    "some of the last": lambda x: assigned(x, (slice(1, None), slice(-2, None)), x[1:, -2:] * 2), "rows of others": lambda x: assigned(x, INDEX, x[0]),
    "elements of rows": lambda x: assigned(x, (INDEX, slice(None, -1)), 3), "two of them": lambda x: x[INDEX, INDEX] + x[INDEX, None, INDEX, None].sum(),
    "additions": lambda x: x.at[INDEX].add(mx.array(1.0)), "a largest": lambda x: x.at[1, ::2].maximum(x[0, ::2] + 1),
    "equality": lambda x: mx.array_equal(x, mx.zeros((5, 4))), "a roll": lambda x: mx.roll(x, 3, axis=0), "broadcast together": lambda x: mx.broadcast_arrays(x, x[:1])[1],
    "padded": lambda x: mx.pad(x, ((1, 0), (0, 2)), mode="edge"), "tiles": lambda x: mx.tile(x, (2, 3)) + mx.repeat(mx.tile(x, (2, 1)), 3, axis=1),
    "of all": lambda x: mx.softmax(x, axis=(0, 1)) + mx.logsumexp(x, axis=(0, 1)), "a spectrum": lambda x: mx.fft.fft(x).real + mx.fft.ifft2(x).imag,
    "half a spectrum": lambda x: mx.fft.irfft(mx.fft.rfft(mx.concatenate([x, x], axis=1))) + mx.fft.rfftn(x).real[:1, :1],
    "a batch of products": lambda x: (x[None] @ mx.stack([x.T, x.T + 1])) @ x, "ordered": lambda x: mx.topk(x, 2) + mx.partition(x, 1)[:, :2],
    "attention": lambda x: mx.fast.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None] + 1, scale=0.5, mask="causal"),
    "layers": lambda x: nn.gelu(x) + nn.log_softmax(x, axis=0) * nn.losses.mse_loss(x, x + 1), "draws": lambda x: mx.random.bernoulli(mx.sigmoid(x), key=KEY) + mx.random.truncated_normal(x, x + 1, key=KEY) + mx.random.gamma(mx.exp(x), x[0] * 0 + 1, key=KEY)
    + mx.random.dirichlet(mx.exp(x), key=KEY), "a draw": lambda x: x + mx.random.permutation(x, key=KEY) + mx.random.categorical(x, key=KEY)[:, None],
    "constants": lambda x: x * mx.arange(1, 2) + mx.zeros((1, 1)), "compiled inside": lambda x: COMPILED(x) + COMPILED(x[1:]).sum(),
    "covariances": lambda x: mx.cov(x) if x.ndim else x, "a sum by letters": lambda x: mx.einsum("ij,kj->ik", x, x + 1), "a norm": lambda x: x / mx.linalg.norm(x, axis=1, keepdims=True),
    "a scan": lambda x: mx.scan(lambda c, row: (c + row.mean(), row - row.mean()), mx.array(0.0), x)[1],
    "one of two": lambda x: mx.cond(x.sum() > 0, lambda a: a - a.mean(), lambda a: a * a.std(), x),
    "zeros and ones": lambda x: mx.zeros_like(x) + mx.ones_like(x[0]) + mx.tril(x) - mx.triu(x, 1) + mx.full((2, 1, 1), x[0, 0]),
}
# The same with transforms, which are no data: they cannot be exported.
TRANSFORMED = {
    "a gradient": lambda x: mx.grad(lambda y: (y[1:] * y[:-1]).sum())(x), "a mapped mean": lambda x: mx.vmap(lambda row: row - row.mean())(x),
    "a mean, and its gradient": lambda x: mx.grad(lambda y: (y - y.mean()).square().sum())(x) + x.mean(),
    "of what is captured": lambda x: mx.grad(lambda y: (y * x.mean(axis=0)).sum())(x[1:]) + mx.vmap(lambda row, m=x.mean(): row - m)(x)[1:],
    "a second gradient": lambda x: mx.grad(lambda z: mx.grad(lambda y: (y.var(axis=0) * y[0]).sum())(z).square().mean())(x),
    "gradients of a map": lambda x: mx.vmap(mx.grad(lambda row: (row * row.mean()).sum()))(x), "columns": lambda x: mx.vmap(lambda r, s: r - s.mean(), in_axes=(1, None), out_axes=1)(x, x),
    "a map of gradients": lambda x: mx.grad(lambda y: mx.vmap(lambda row: mx.softmax(row) * row.std())(y).sum())(x),
    "cotangents": lambda x: mx.vjp(lambda y: y[1:].mean(axis=0) * y[0], [x], [x[0] * 2])[1][0], "tangents": lambda x: mx.jvp(lambda y: y[1:].mean(axis=0) * y[0], [x], [x * 2])[1][0],
    "checkpoints": lambda x: mx.grad(lambda y: mx.checkpoint(lambda z: mx.tanh(z - z.mean()))(y).sum())(x), "of constants": lambda x: mx.grad(lambda w: mx.var(x * w))(mx.array(2.0)),
    "a step": lambda x: mx.value_and_grad(lambda w: (x * w).mean())(mx.array(3.0)),
}
KEY, COMPILED = mx.random.key(3), mx.compile(lambda x: x - x.mean(axis=0))
TABLE = mx.array(np.arange(12, dtype=np.float32).reshape(4, 3))

# What bakes a size: traced again for each shape, and right.
FOR_ITS_SHAPE = {
    "a factor": lambda x: x * x.shape[0], "a length": lambda x: x + len(x), "a number of elements": lambda x: x / x.size,
    "sizes": lambda x: x.reshape(x.shape[1], x.shape[0]), "a bound": lambda x: x[:x.shape[0] // 2 + 1],
    "a loop": lambda x: sum(row.sum() for row in x), "rows": lambda x: sum(mx.unstack(x)), "a size in a gradient": lambda x: mx.grad(lambda y: (y * y.shape[0]).sum())(x),
    "a size in a map": lambda x: mx.vmap(lambda row: row * x.shape[0])(x), "a Jacobian": lambda x: mx.jacrev(lambda y: y.mean(axis=0))(x),
}
# Those of the tables' cases that are still traced for each set of shapes.
TRACED_AGAIN = {
    ("compress", "mask"), # a condition may be shorter than the axis
    ("searchsorted", "sorted"), # for another number of dimensions
}


def assigned(x, at=slice(1, None), value=0):
    y = x * 1
    y[at] = value
    return y

# Cases whose function names sizes in its code, so that it runs for its own shapes only, or for two.
FIXED = {"as_strided", "as_strided_grad", "bincount", "broadcast_to", "dequantize", "gather_mm", "gather_qmm", "masked_scatter", "quantized_matmul",
         "scatter"}
HALF_FIXED = {("reshape", "of transposed"), ("dynamic_slice_update", "start"), ("reshape", "max pool"), ("slice_update", "assign"), ("conv_grad_input", "2d")}


def changed(shapes, size, to):
    return [tuple(to if n == size else n for n in shape) for shape in shapes]


def runs(case, shapes):
    try:
        mx.eval(case.f(*[mx.array(x) for x in case.arrays("float32", shapes)]))
        return True
    except (ValueError, IndexError):
        return False


def sets_of_shapes(case):
    """The case's own shapes, and up to two more."""
    found = [case.shapes] + ([case.other_shapes] if case.other_shapes else [])
    sizes = sorted({n for shape in case.shapes for n in shape if n > 1}, reverse=True)
    for by in (2, 1, 3):
        for size in sizes:
            more = changed(case.shapes, size, size * by if by > 1 else size + 1)
            if len(found) < 3 and more not in found and runs(case, more):
                found.append(more)
    return found


@pytest.mark.parametrize("op", table.elementwise + table.reductions, ids=repr)
def test_elementwise_ops_and_reductions(op, tmp_path):
    dtype = next(d for d in ("float32", "int32", "bool") if d in op.dtypes)
    traces = []
    f = mx.compile(lambda *xs: (traces.append(1), op.mx(*xs))[1], shapeless=True)
    calls = [inputs(op, dtype, [shape] * op.arity)[1] for shape in SHAPES]
    mx.export_function(str(tmp_path / "f"), op.mx, *calls[0], shapeless=True)
    g = mx.import_function(str(tmp_path / "f"))
    for arrays in calls:
        for got in (f(*arrays), g(*arrays)[0]):
            want = op.mx(*arrays)
            assert got.dtype == want.dtype and got.shape == want.shape
            np.testing.assert_array_equal(checks.numbers(got), checks.numbers(want))
    assert len(traces) == 1


def matrices():
    return [mx.array(np.random.default_rng(n).normal(size=(n, m)).astype(np.float32)) for n, m in SIZES]


def traced(f):
    traces = []
    return mx.compile(lambda x: (traces.append(1), checks.listed(f(x)))[1], shapeless=True), traces


def right(f, g):
    for x in matrices() + matrices():
        for a, b in zip(checks.listed(g(x)), checks.listed(f(x)), strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_array_equal(checks.numbers(a), checks.numbers(b))


@pytest.mark.parametrize("name", FOR_ANY_SHAPE)
def test_functions_that_one_trace_serves(name, tmp_path):
    f = FOR_ANY_SHAPE[name]
    g, traces = traced(f)
    right(f, g)
    assert len(traces) == 1
    mx.export_function(str(tmp_path / "f"), f, matrices()[0], shapeless=True)
    right(f, mx.import_function(str(tmp_path / "f")))


def test_shapes_that_come_again_get_a_trace_of_their_own():
    """Made from the one for all without another call of the function: simplified, evaluated as one."""
    traces = []
    f = lambda x: (traces.append(1), (mx.softmax(x - x.mean(axis=0)) * 2, x[1:]))[1]
    g = mx.compile(f, shapeless=True)
    for x in matrices() * 4:
        for a, b in zip(g(x), (f(x), traces.pop())[0]):
            np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-6)
    assert len(traces) == 1
    assert g(mx.ones((4, 4)))[1].shape == (3, 4) and len(traces) == 1


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transforms_inside_that_one_trace_serves(name, tmp_path):
    g, traces = traced(TRANSFORMED[name])
    right(TRANSFORMED[name], g)
    assert len(traces) == 1
    with pytest.raises(ValueError, match=r"cannot be exported for all shapes \(shapeless\)"):
        mx.export_function(str(tmp_path / "f"), TRANSFORMED[name], matrices()[0], shapeless=True)


def test_a_training_step_whose_layers_keep_what_they_saw(tmp_path):
    """The running mean of a batch norm leaves the function that is differentiated by another way than its results."""
    def step(shapeless):
        mx.random.seed(2)
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3), nn.Dropout(0.2), nn.Linear(3, 2))
        state = [model.state, mx.random.state]
        mx.eval(state)
        traces = []

        def f(x):
            traces.append(1)
            loss, grads = nn.value_and_grad(model, lambda m, v: m(v).square().mean())(model, x)
            model.update(tree_map(lambda p, g: p - 0.1 * g, model.trainable_parameters(), grads))
            return loss
        g = mx.compile(f, inputs=state, outputs=state, shapeless=shapeless)
        rng = np.random.default_rng(0)
        losses = [g(mx.array(rng.normal(size=(n, 4)).astype(np.float32))).item() for n in (6, 3, 8, 6, 5)]
        return losses, [model.layers[1].running_mean.tolist(), model.layers[0].weight.tolist()], len(traces)
    losses, kept, _ = step(False)
    got, found, traces = step(True)
    np.testing.assert_allclose(got, losses, rtol=1e-5)
    for a, b in zip(found, kept):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert traces == 1


@pytest.mark.parametrize("name", FOR_ITS_SHAPE)
def test_functions_that_bake_a_size(name):
    g, traces = traced(FOR_ITS_SHAPE[name])
    right(FOR_ITS_SHAPE[name], g)
    assert len(traces) == len(matrices())


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_structured_ops(case, tmp_path):
    traces = []
    f = mx.compile(lambda *xs: (traces.append(1), checks.listed(case.f(*xs)))[1], shapeless=True)
    calls = [[mx.array(x) for x in case.arrays("float32", shapes, seed)] for seed, shapes in enumerate(sets_of_shapes(case))]
    assert len(calls) == 3 or case.op in FIXED or (case.op, case.name) in HALF_FIXED
    try:
        mx.export_function(str(tmp_path / "f"), case.f, *calls[0], shapeless=True)
        g = mx.import_function(str(tmp_path / "f"))
    except ValueError as e:
        assert "cannot be exported for all shapes (shapeless)" in str(e)
        g = None
    for arrays in [*calls, calls[0]]:
        want = checks.listed(case.f(*arrays))
        fits = g and all(a.ndim == b.ndim for a, b in zip(arrays, calls[0]))
        for result in (f(*arrays), g(*arrays) if fits else want):
            for a, b in zip(result, want, strict=True):
                assert a.dtype == b.dtype and a.shape == b.shape
                np.testing.assert_array_equal(checks.numbers(a), checks.numbers(b))
    assert (len(traces) == 1) == ((case.op, case.name) not in TRACED_AGAIN) or len(calls) == 1


@pytest.mark.parametrize("op", sorted(set(OTHERS) - {"random_bits"}))
def test_other_ops(op):
    """Matrices of three sizes, through compile with a trace for each and with one for all; and a batch of them against a loop."""
    rng = np.random.default_rng(0)
    calls = [[mx.array(rng.normal(size=(n, n)).astype(np.float32))] for n in (4, 6, 2)]
    checks.compiled(OTHERS[op], *calls)


NOT_BATCHED = {"qr", "lu_factor", "eig", "eigvals",    # refused by MLX, too, or: signs and order are free
               "random_bits", "random_loggamma", "loggamma_grad", "random_poisson"}     # draws of a batch are other draws


@pytest.mark.parametrize("op", sorted(set(OTHERS) - NOT_BATCHED))
def test_other_ops_over_a_batch(op):
    x = mx.array(np.random.default_rng(1).normal(size=(3, 4, 4)).astype(np.float32))
    got = checks.listed(mx.vmap(OTHERS[op])(x))
    want = [checks.listed(OTHERS[op](x[i])) for i in range(3)]
    for k, g in enumerate(got):
        for i in range(3):
            np.testing.assert_allclose(np.abs(checks.numbers(g[i])), np.abs(checks.numbers(want[i][k])), rtol=1e-4, atol=1e-5)
