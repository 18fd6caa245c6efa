"""A use or more of every op in ops/structured.def, as functions of float arrays, with what NumPy says."""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn
import numpy as np


@dataclass
class Case:
    op: str                     # the row of the table
    name: str
    f: object                   # of mx arrays
    shapes: list                # of its arguments
    np: object = None           # of NumPy arrays; None: no reference here
    differentiable: bool = True
    vmap: bool = True
    compile: bool = True
    positive: bool = False      # arguments in (0.5, 2), else all different in (-2, 2)
    other_shapes: list = None   # for shapeless compile

    def __repr__(self):
        return f"{self.op}-{self.name}"

    def arrays(self, dtype="float64", shapes=None, seed=0):
        rng = np.random.default_rng(seed)
        result = []
        for shape in shapes or self.shapes:
            n = int(np.prod(shape))
            x = (rng.permutation(n) + 0.5) / max(n, 1)      # all different: sort, max and the like have derivatives
            result.append((0.5 + 1.5 * x if self.positive else 4 * x - 2).reshape(shape).astype(dtype))
        return result


def indices(*values):
    return mx.array(np.array(values, np.int32))


def at(index, how, value_shape):
    def f(x, v):
        return getattr(x.at[index], how)(v)
    return f


def np_at(index, ufunc):
    def f(x, v):
        x = x.copy()
        if ufunc is None:
            x[index] = v
        else:
            ufunc.at(x, index, v)
        return x
    return f


def padded(x, size, value):
    return np.concatenate([x, np.full(size, value)])[:size]


def put_along(x, i, v):
    x = x.copy()
    np.put_along_axis(x, i, v, 1)
    return x


def assign(index):
    def f(x, v):
        y = mx.array(x)
        y[index] = v
        return y
    return f


def scan(ufunc, axis, reverse, inclusive, start):
    def f(x):
        x = np.flip(x, axis) if reverse else x
        y = ufunc.accumulate(x, axis)
        if not inclusive:
            first = np.full_like(np.take(x, [0], axis), start)
            y = np.concatenate([first, np.take(y, range(x.shape[axis] - 1), axis)], axis)
        return np.flip(y, axis) if reverse else y
    return f


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def called_twice(*arrays):
    """The second call of a compiled function is evaluated as one node."""
    f = mx.compile(lambda x, y: (mx.exp(x * y) - x) * 1)
    f(*arrays)
    return f(*arrays)


def made_again(*arrays):
    """A function for all shapes, traced for others than those that are given."""
    f = mx.compile(lambda x, y: x.var(axis=0) * mx.tile(y, (2, 1)), shapeless=True)
    f(*[mx.concatenate([x, x]) for x in arrays])
    return f(*arrays)


def conv_numpy(x, w, stride, padding, dilation, groups):
    """Direct convolution over any number of spatial dimensions; x (N, ..., C), w (O, ..., C/groups)."""
    n = x.ndim - 2
    x = np.pad(x, [(0, 0), *[(p, p) for p in padding], (0, 0)])
    out = [(x.shape[i + 1] - dilation[i] * (w.shape[i + 1] - 1) - 1) // stride[i] + 1 for i in range(n)]
    y = np.zeros((x.shape[0], *out, w.shape[0]))
    per_in, per_out = w.shape[-1], w.shape[0] // groups
    for k in np.ndindex(*w.shape[1:-1]):
        window = tuple(slice(k[i] * dilation[i], k[i] * dilation[i] + stride[i] * (out[i] - 1) + 1, stride[i]) for i in range(n))
        part = x[(slice(None), *window)]
        for g in range(groups):
            y[..., g * per_out:(g + 1) * per_out] += (part[..., g * per_in:(g + 1) * per_in]
                                                     @ w[(slice(g * per_out, (g + 1) * per_out), *k)].T)
    return y


def conv_cases():
    for name, x, w, stride, padding, dilation, groups in [
            ("1d", (2, 9, 3), (4, 3, 3), (1,), (1,), (1,), 1),
            ("1d strided", (1, 10, 2), (3, 4, 2), (2,), (2,), (1,), 1),
            ("2d", (2, 6, 5, 2), (3, 3, 2, 2), (1, 1), (1, 0), (1, 1), 1),
            ("2d strided dilated", (1, 9, 8, 2), (2, 3, 3, 2), (2, 1), (1, 2), (2, 2), 1),
            ("2d groups", (2, 5, 5, 4), (6, 3, 3, 2), (1, 2), (1, 1), (1, 1), 2),
            ("2d depthwise", (1, 5, 4, 3), (3, 2, 2, 1), (1, 1), (0, 0), (1, 1), 3),
            ("3d", (1, 4, 5, 3, 2), (2, 2, 3, 1, 2), (1, 2, 1), (0, 1, 1), (1, 1, 1), 1)]:
        dims = len(x) - 2
        how = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
        flat = {k: v[0] if dims == 1 and k != "groups" else v for k, v in how.items()}
        f = getattr(mx, f"conv{dims}d")
        yield Case("conv", name, lambda a, b, f=f, flat=flat: f(a, b, **flat), [x, w],
                   lambda a, b, how=how: conv_numpy(a, b, **how))


def conv_gradients():
    def input_gradient(x, w, g):
        return mx.vjp(lambda a: mx.conv2d(a, w, stride=2, padding=1), [x], [g])[1][0]

    def weight_gradient(x, w, g):
        return mx.vjp(lambda a: mx.conv2d(x, a, padding=1), [w], [g])[1][0]
    yield Case("conv_grad_input", "2d", input_gradient, [(2, 5, 4, 2), (3, 3, 3, 2), (2, 3, 2, 3)], vmap=False)
    yield Case("conv_grad_weight", "2d", weight_gradient, [(2, 5, 4, 2), (3, 3, 3, 2), (2, 5, 4, 3)], vmap=False)


def gradients(f, g, *args):
    return mx.vjp(f, args, [g])[1]


def norm_gradient(g, x, w, centre):
    """The gradients of x and of the weight, added."""
    c = x - x.mean(-1, keepdims=True) if centre else x
    r = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-5)
    y, h = c * r, g * w
    along = y * (h * y).mean(-1, keepdims=True)
    return r * (h - along - (h.mean(-1, keepdims=True) if centre else 0)) + (g * y).sum(0)


def normalised(x, eps):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)


ROWS = indices([2, 0, 1, 0], [1, 1, 2, 2])
ODD = mx.array([True, False, True, False])


def quantized_cases():
    """Products with packed weights; scales and biases are arguments, so that gradients of them are taken too."""
    codes = np.random.default_rng(5).integers(0, 16, (2, 3, 32))
    words = mx.array((codes.reshape(2, 3, 4, 8) << (4 * np.arange(8))).sum(-1).astype(np.uint32))
    like = dict(group_size=32, bits=4)

    def numbers(scales, biases):
        return codes[..., :] * scales + biases

    def gathered(x, s, b):
        w = numbers(s, b)[[1, 1, 0]]
        return x[[0, 1, 1]] @ w.swapaxes(-1, -2)
    return [
        Case("dequantize", "affine", lambda s, b: mx.dequantize(words, s, b, **like), [(2, 3, 1), (2, 3, 1)], numbers),
        Case("quantized_matmul", "transposed", lambda x, s, b: mx.quantized_matmul(x, words[0], s, b, **like),
             [(2, 32), (3, 1), (3, 1)], lambda x, s, b: x @ (codes[0] * s + b).T),
        Case("quantized_matmul", "of a vector", lambda x, s, b: mx.quantized_matmul(x, words[0], s, b, **like),
             [(32,), (3, 1), (3, 1)], lambda x, s, b: x @ (codes[0] * s + b).T),
        Case("quantized_matmul", "of a batch", lambda x, s, b: mx.quantized_matmul(x.transpose(1, 0, 2), words[0], s, b, **like),
             [(2, 3, 32), (3, 1), (3, 1)], lambda x, s, b: x.swapaxes(0, 1) @ (codes[0] * s + b).T),
        Case("quantized_matmul", "as it is", lambda x, s, b: mx.quantized_matmul(x, words, s, b, transpose=False, **like),
             [(4, 3), (2, 3, 1), (2, 3, 1)], lambda x, s, b: x @ numbers(s, b)),
        Case("gather_qmm", "transposed", lambda x, s, b: mx.gather_qmm(
            x, words, s, b, lhs_indices=indices(0, 1, 1), rhs_indices=indices(1, 1, 0), **like),
            [(2, 4, 32), (2, 3, 1), (2, 3, 1)], gathered),
    ]


CASES = [
    # views
    Case("reshape", "flat", lambda x: x.reshape(-1), [(3, 4)], lambda x: x.reshape(-1), other_shapes=[(5, 2)]),
    Case("reshape", "of transposed", lambda x: x.T.reshape(2, 6), [(3, 4)], lambda x: x.T.reshape(2, 6)),
    Case("transpose", "axes", lambda x: x.transpose(2, 0, 1), [(2, 3, 4)], lambda x: x.transpose(2, 0, 1)),
    Case("transpose", "moveaxis", lambda x: mx.moveaxis(x, 0, -1), [(2, 3, 4)], lambda x: np.moveaxis(x, 0, -1)),
    Case("slice", "steps", lambda x: x[1:, ::2], [(3, 5)], lambda x: x[1:, ::2]),
    Case("slice", "backwards", lambda x: x[::-1, 3:0:-2], [(3, 5)], lambda x: x[::-1, 3:0:-2]),
    Case("broadcast_to", "rows", lambda x: mx.broadcast_to(x, (2, 3, 4)), [(3, 1)], lambda x: np.broadcast_to(x, (2, 3, 4))),
    Case("expand_dims", "two", lambda x: mx.expand_dims(x, (0, 2)), [(3, 4)], lambda x: x[None, :, None]),
    Case("squeeze", "axis", lambda x: mx.squeeze(x, 1), [(3, 1, 4)], lambda x: x[:, 0]),
    Case("as_strided", "windows", lambda x: mx.as_strided(x, (3, 3), (2, 1), 1), [(10,)],
         lambda x: np.lib.stride_tricks.as_strided(x[1:], (3, 3), (16, 8))),
    Case("as_strided_grad", "second", lambda x, g: mx.vjp(lambda a: mx.as_strided(a, (3, 3), (2, 1), 1), [x], [g])[1][0],
         [(10,), (3, 3)], vmap=False),
    Case("copy", "through vjp", lambda x: mx.array(x) * 1, [(3, 4)], lambda x: x),
    Case("contiguous", "transposed", lambda x: mx.contiguous(x.T), [(3, 4)], lambda x: x.T, other_shapes=[(2, 7)]),
    Case("stop_gradient", "value", lambda x: mx.stop_gradient(x) * x, [(3, 4)], lambda x: x * x, differentiable=False),
    # assembly
    Case("concatenate", "rows", lambda x, y: mx.concatenate([x, y, x], axis=1), [(3, 4), (3, 2)],
         lambda x, y: np.concatenate([x, y, x], axis=1), other_shapes=[(5, 1), (5, 6)]),
    Case("concatenate", "stack", lambda x, y: mx.stack([x, y], axis=1), [(3, 4), (3, 4)], lambda x, y: np.stack([x, y], axis=1)),
    Case("pad", "constant", lambda x: mx.pad(x, [(1, 2), (0, 3)], constant_values=1.5), [(3, 4)],
         lambda x: np.pad(x, [(1, 2), (0, 3)], constant_values=1.5), other_shapes=[(2, 2)]),
    Case("pad", "edge", lambda x: mx.pad(x, 2, mode="edge"), [(3, 4)], lambda x: np.pad(x, 2, mode="edge")),
    Case("concatenate", "tile", lambda x: mx.tile(x, (2, 3)), [(3, 4)], lambda x: np.tile(x, (2, 3))),
    Case("broadcast_to", "repeat", lambda x: mx.repeat(x, 3, axis=1), [(3, 4)], lambda x: np.repeat(x, 3, axis=1)),
    Case("slice_update", "assign", assign((slice(1, None), slice(None, None, 2))), [(3, 5), (2, 3)],
         np_at((slice(1, None), slice(None, None, 2)), None)),
    Case("slice_update", "add", at((slice(1, None),), "add", None), [(3, 5), (2, 5)],
         lambda x, v: np.concatenate([x[:1], x[1:] + v])),
    Case("slice_update", "multiply", at((slice(None, 2),), "multiply", None), [(3, 5), (2, 5)],
         lambda x, v: np.concatenate([x[:2] * v, x[2:]])),
    Case("dynamic_slice", "start", lambda x: mx.slice(x, indices(1, 2).reshape(-1), (0, 1), (2, 2)), [(4, 5)],
         lambda x: x[1:3, 2:4], vmap=False),
    Case("dynamic_slice_update", "start", lambda x, v: mx.slice_update(x, v, indices(1, 2).reshape(-1), (0, 1)), [(4, 5), (2, 2)],
         np_at((slice(1, 3), slice(2, 4)), None), vmap=False),
    # indexing
    Case("gather", "take", lambda x: mx.take(x, ROWS, axis=0), [(3, 4)], lambda x: x[np.array(ROWS)], other_shapes=[(5, 2)]),
    Case("gather", "mixed", lambda x: x[ROWS, None, 1:3], [(3, 4)], lambda x: x[np.array(ROWS), None, 1:3]),
    Case("gather", "pairs", lambda x: x[indices(0, 2, 1), :, indices(1, -1, 0)], [(3, 2, 4)],
         lambda x: x[np.array([0, 2, 1]), :, np.array([1, -1, 0])]),
    Case("scatter", "add", at((ROWS,), "add", None), [(3, 4), (2, 4, 4)], lambda x, v: np_at((np.array(ROWS),), np.add)(x, v)),
    Case("scatter", "assign", assign((indices(2, 0),)), [(3, 4), (2, 4)], np_at(([2, 0],), None)),
    Case("scatter", "maximum", at((indices(2, 0),), "maximum", None), [(3, 4), (2, 4)], np_at(([2, 0],), np.maximum)),
    Case("scatter", "minimum", at((indices(2, 0),), "minimum", None), [(3, 4), (2, 4)], np_at(([2, 0],), np.minimum)),
    Case("gather_axis", "take_along_axis", lambda x: mx.take_along_axis(x, indices([2, 0], [1, 1], [3, 2]), axis=1), [(3, 4)],
         lambda x: np.take_along_axis(x, np.array([[2, 0], [1, 1], [3, 2]]), 1)),
    Case("scatter_axis", "put_along_axis", lambda x, v: mx.put_along_axis(x, indices([2, 0], [1, 3], [3, 2]), v, axis=1),
         [(3, 4), (3, 2)], lambda x, v: put_along(x, np.array([[2, 0], [1, 3], [3, 2]]), v)),
    # what depends on values
    Case("nonzero", "rows", lambda x: mx.nonzero(x > 0.5, size=9, fill_value=-1)[0], [(4, 5)],
         lambda x: padded(np.nonzero(x > 0.5)[0], 9, -1), differentiable=False, other_shapes=[(3, 8)]),
    Case("compress", "mask", lambda x: mx.compress(ODD, x, axis=1, size=3), [(3, 4, 2)],
         lambda x: np.concatenate([x[:, [0, 2]], 0 * x[:, :1]], 1)),
    Case("compress", "cut", lambda x: mx.extract(x > 0, x, size=3), [(3, 4)], lambda x: x[x > 0][:3]),
    Case("masked_scatter", "rows", assign((ODD,)), [(4, 3), (2, 3)], np_at(([0, 2],), None)),
    Case("masked_scatter", "add", at((ODD,), "add", None), [(4, 3), (2, 3)], np_at(([0, 2],), np.add)),
    Case("bincount", "weights", lambda x: mx.bincount(indices(2, 0, 2, 5), x, length=6), [(4,)],
         lambda x: np.bincount([2, 0, 2, 5], x, 6)),
    Case("searchsorted", "sorted", lambda x, y: mx.searchsorted(mx.sort(x), y, side="right"), [(7,), (2, 3)],
         lambda x, y: np.searchsorted(np.sort(x), y, side="right"), differentiable=False, other_shapes=[(11,), (5,)]),
    # along one axis
    *[Case(f"cum{name}", f"axis {axis} reverse {reverse} inclusive {inclusive}",
           lambda x, n=name, a=axis, r=reverse, i=inclusive: getattr(mx, f"cum{n}")(x, axis=a, reverse=r, inclusive=i), [(3, 4)],
           scan(ufunc, axis, reverse, inclusive, start), positive=name == "prod", other_shapes=[(2, 9)])
      for name, ufunc, start in (("sum", np.add, 0), ("prod", np.multiply, 1), ("max", np.maximum, -np.inf), ("min", np.minimum, np.inf))
      for axis, reverse, inclusive in ((0, False, True), (1, True, True), (1, False, False))
      if inclusive or name in ("sum", "prod")],
    Case("logcumsumexp", "rows", lambda x: mx.logcumsumexp(x, axis=1), [(3, 4)], lambda x: np.logaddexp.accumulate(x, 1)),
    Case("softmax", "last", lambda x: mx.softmax(x, axis=-1), [(3, 5)], softmax, other_shapes=[(2, 70)]),
    Case("softmax", "first", lambda x: mx.softmax(x, axis=0), [(3, 5)], lambda x: softmax(x, 0)),
    Case("softmax", "all", lambda x: mx.softmax(x), [(3, 5)], lambda x: softmax(x.reshape(-1)).reshape(x.shape)),
    Case("logsumexp", "last", lambda x: mx.logsumexp(x, axis=-1), [(3, 5)], lambda x: np.log(np.exp(x).sum(-1)), other_shapes=[(2, 70)]),
    Case("sort", "rows", lambda x: mx.sort(x, axis=0), [(5, 3)], lambda x: np.sort(x, 0), other_shapes=[(9, 2)]),
    Case("partition", "kth", lambda x: mx.sort(mx.partition(x, 2, axis=-1)[..., :3], axis=-1), [(4, 7)],
         lambda x: np.sort(x, -1)[..., :3]),
    Case("argsort", "rows", lambda x: mx.argsort(x, axis=0), [(5, 3)], lambda x: np.argsort(x, 0), differentiable=False),
    Case("argpartition", "kth", lambda x: mx.sort(mx.argpartition(x, 2, axis=-1)[..., :3], axis=-1), [(4, 7)],
         lambda x: np.sort(np.argsort(x, -1)[..., :3], -1), differentiable=False),
    Case("argmin", "rows", lambda x: mx.argmin(x, axis=1), [(3, 4)], lambda x: x.argmin(1), differentiable=False),
    Case("argmax", "rows", lambda x: mx.argmax(x, axis=0), [(3, 4)], lambda x: x.argmax(0), differentiable=False),
    # contractions
    Case("matmul", "matrices", lambda a, b: a @ b, [(3, 4), (4, 5)], np.matmul, other_shapes=[(2, 7), (7, 1)]),
    Case("matmul", "transposed", lambda a, b: a.T @ b.T, [(4, 3), (5, 4)], lambda a, b: a.T @ b.T),
    Case("matmul", "batched", lambda a, b: a @ b, [(2, 1, 3, 4), (5, 4, 2)], np.matmul),
    Case("matmul", "vectors", lambda a, b: a @ b, [(4,), (4,)], np.matmul),
    Case("matmul", "matrix and vector", lambda a, b: a @ b, [(3, 4), (4,)], np.matmul),
    Case("addmm", "scaled", lambda c, a, b: mx.addmm(c, a, b, alpha=0.5, beta=2.0), [(5,), (3, 4), (4, 5)],
         lambda c, a, b: 2 * c + 0.5 * (a @ b)),
    Case("gather_mm", "rows by expert", lambda a, b: mx.gather_mm(a, b, None, indices(1, 0, 1, -1, 1)), [(5, 1, 4), (3, 4, 6)],
         lambda a, b: a @ b[[1, 0, 1, 2, 1]]),
    Case("gather_mm", "both chosen", lambda a, b: mx.gather_mm(a, b, indices([0], [3]), indices(1, 0, 1)), [(2, 2, 3, 4), (2, 4, 5)],
         lambda a, b: a.reshape(4, 3, 4)[[[0], [3]]] @ b[[1, 0, 1]]),
    *conv_cases(),
    *conv_gradients(),
    # quantized
    *quantized_cases(),
    # normalisation
    Case("rms_norm", "weight", lambda x, w: mx.fast.rms_norm(x, w, 1e-5), [(3, 5), (5,)],
         lambda x, w: w * x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)),
    Case("layer_norm", "weight and bias", lambda x, w, b: mx.fast.layer_norm(x, w, b, 1e-5), [(3, 5), (5,), (5,)],
         lambda x, w, b: normalised(x, 1e-5) * w + b),
    Case("layer_norm", "plain", lambda x: mx.fast.layer_norm(x, None, None, 1e-5), [(3, 5)], lambda x: normalised(x, 1e-5)),
    Case("rms_norm_vjp", "weight", lambda g, x, w: sum(gradients(lambda x, w: mx.fast.rms_norm(x, w, 1e-5), g, x, w)),
         [(3, 5), (3, 5), (5,)], lambda g, x, w: norm_gradient(g, x, w, False)),
    Case("layer_norm_vjp", "weight and bias",
         lambda g, x, w: sum(gradients(lambda x, w, b: mx.fast.layer_norm(x, w, b, 1e-5), g, x, w, w)),
         [(3, 5), (3, 5), (5,)], lambda g, x, w: norm_gradient(g, x, w, True) + g.sum(0)),
    # several results, custom rules
    Case("depends", "values", lambda x, y: mx.depends([x], [y])[0] * x, [(3, 4), (3, 4)], lambda x, y: x * x),
    Case("pick", "divmod", lambda x, y: mx.divmod(x, y)[1], [(3, 4), (3, 4)], np.remainder, positive=True,
         differentiable=False),
    Case("custom", "checkpoint", lambda x: mx.checkpoint(lambda a: mx.exp(a) * a)(x), [(3, 4)], lambda x: np.exp(x) * x,
         vmap=False, compile=False),
    Case("compiled", "second call", lambda x, y: called_twice(x, y), [(3, 4), (3, 4)], lambda x, y: np.exp(x * y) - x),
    Case("recorded", "in a function for all shapes", lambda x, y: made_again(x, y), [(3, 4), (3, 4)], lambda x, y: x.var(0) * np.tile(y, (2, 1))),
    # control flow
    Case("loop", "scan", lambda x, w: mx.scan(lambda c, e: (c * 0.5 + e * w, c * e), mx.zeros_like(w), x)[1], [(3, 4), (4,)],
         lambda x, w: np.stack([0 * x[0], x[0] * w * x[1], (0.5 * x[0] + x[1]) * w * x[2]])),
    Case("cond", "on a constant", lambda x, y: mx.cond(mx.array(True), lambda a, b: a * a * b, lambda a, b: a + b, x, y), [(3, 4), (3, 4)],
         lambda x, y: x * x * y),
    Case("while_loop", "three times", lambda x: mx.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x), (0, x))[1], [(3, 4)],
         lambda x: x**4, differentiable=False),
    # layers that users build from several ops
    Case("matmul", "attention", lambda q, k, v: mx.fast.scaled_dot_product_attention(q, k, v, scale=0.5),
         [(1, 2, 4, 3), (1, 2, 5, 3), (1, 2, 5, 3)],
         lambda q, k, v: softmax(0.5 * q @ k.swapaxes(-1, -2)) @ v),
    Case("reshape", "max pool", lambda x: nn.MaxPool2d(2, 2)(x), [(1, 4, 6, 2)],
         lambda x: x.reshape(1, 2, 2, 3, 2, 2).max((2, 4)), vmap=False),
]

# Rows that stand in no case, and why.
WITHOUT_CASE = {
    "view": "rereads bits: test_structured.py",
    "rope": "angles are floats in any dtype: test_rope.py",
    "arange": "takes no array: test_creation",
    "random_bits": "test_random",
    "random_loggamma": "test_random_beyond.py",
    "random_poisson": "test_random_beyond.py",
    "loggamma_grad": "test_random_beyond.py",
    **{op: "one dtype alone: test_fft.py" for op in ("fft", "rfft", "irfft")},
    "quantize": "bits: test_quantized.py",
    "to_fp8": "test_quantized.py",
    "from_fp8": "test_quantized.py",
    "primitive": "test_custom_primitive.py",
    **{op: "not in float64: test_attention.py" for op in ("attention", "attention_vjp")},
    **{op: "not in float64: test_recurrent.py" for op in ("lstm", "lstm_vjp")},
    **{op: "not in float64: test_batch_norm.py" for op in ("batch_norm", "batch_norm_vjp")},
    **{op: "test_linalg.py" for op in (
        "inverse", "solve", "solve_triangular", "cholesky", "det", "slogdet", "lu_factor", "qr", "svd", "svdvals", "eigh", "eigvalsh",
        "eig", "eigvals", "lstsq", "expm")},
}


def like_eye(x):
    """The identity for matrices of x's size, whatever it is in a later call of the same trace."""
    i = mx.cumsum(mx.ones_like(x.sum(axis=1)))
    return (i[:, None] == i).astype(x.dtype)


def on_cpu(name, how=None):
    def f(x):
        y = x @ x.T + 4 * like_eye(x) if name != "qr" else x      # positive definite, and far from singular
        return getattr(mx.linalg, name)(y, **(how or {}), stream=mx.cpu)
    return f


def batch_normalised(x):
    return nn.BatchNorm(x.shape[1], affine=False, track_running_stats=False)(x)


def lstm_over(x):
    """An LSTM of one unit over the rows of x, the batch."""
    w = mx.ones((4, 1))
    return nn.LSTM(1, 1, bias=False).update({"Wx": w, "Wh": w})(x[..., None])[0]


# Functions of one square float32 matrix for the rows of ops/structured.def that have no case above.
OTHERS = {
    "view": lambda x: x.view(mx.int16),
    "fft": lambda x: mx.fft.fft(x.astype(mx.complex64), axis=0),
    "random_bits": lambda x: mx.random.uniform(shape=(3,), key=x.view(mx.uint32)[0, :2]) if x.ndim else x,
    "inverse": on_cpu("inv"), "cholesky": on_cpu("cholesky"), "det": on_cpu("det"), "slogdet": on_cpu("slogdet"), "qr": on_cpu("qr"),
    "lu_factor": on_cpu("lu_factor"), "svd": on_cpu("svd"), "svdvals": on_cpu("svd", {"compute_uv": False}), "eigh": on_cpu("eigh"),
    "eigvalsh": on_cpu("eigvalsh"), "eig": on_cpu("eig"), "eigvals": on_cpu("eigvals"),
    "solve": lambda x: mx.linalg.solve(x + 4 * like_eye(x), x, stream=mx.cpu),
    "rfft": lambda x: mx.fft.rfft(x), "irfft": lambda x: mx.fft.irfft(mx.fft.rfft(x)), "from_fp8": lambda x: mx.from_fp8(mx.to_fp8(x)),
    "rope": lambda x: mx.fast.rope(x[None], 2, traditional=False, base=100.0, scale=1.0, offset=3),
    "attention": lambda x: mx.fast.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None], scale=0.5, mask="causal"),
    "attention_vjp": mx.grad(lambda x: mx.fast.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None], scale=0.5).sum()),
    "batch_norm": lambda x: batch_normalised(x), "batch_norm_vjp": mx.grad(lambda x: (batch_normalised(x) * x.T).sum()),
    "lstm": lambda x: lstm_over(x), "lstm_vjp": mx.grad(lambda x: lstm_over(x).square().sum()),
    "to_fp8": mx.to_fp8, "quantize": lambda x: mx.quantize(mx.tile(x, (1, 16)), group_size=32, bits=4),
    "random_loggamma": lambda x: mx.random.gamma(x * x + 1, key=mx.random.key(1)),
    "loggamma_grad": mx.grad(lambda x: mx.random.gamma(x * x + 1, key=mx.random.key(1)).sum()),
    "random_poisson": lambda x: mx.random.poisson(x * x, key=mx.random.key(1)),
    "expm": on_cpu("expm"), "lstsq": lambda x: mx.linalg.lstsq(x, x[:, :2], stream=mx.cpu)[0],
    "solve_triangular": lambda x: mx.linalg.solve_triangular(x + 4 * like_eye(x), x, stream=mx.cpu),
}
