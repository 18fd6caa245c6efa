"""fast.gated_delta_update and kernels in source."""

import inspect

import mlx.core as mx
import numpy as np
import pytest


def draw(*shape):
    return mx.random.normal(shape)


def operands(B=2, T=5, Hk=2, Hv=4, Dk=6, Dv=3, vector=False):
    mx.random.seed(1)
    return [draw(B, T, Hk, Dk) * 0.5, draw(B, T, Hk, Dk) * 0.5, draw(B, T, Hv, Dv),
            mx.sigmoid(draw(*((B, T, Hv, Dk) if vector else (B, T, Hv)))), mx.sigmoid(draw(B, T, Hv)), draw(B, Hv, Dv, Dk),
            mx.array(np.arange(B * T).reshape(B, T) % 3 != 1)]


def reference(q, k, v, gamma, beta, state=None, mask=None):
    q, k, v, gamma, beta = (np.array(a.astype(mx.float32), dtype=np.float64) for a in (q, k, v, gamma, beta))
    n = v.shape[2] // k.shape[2]
    q, k = np.repeat(q, n, 2), np.repeat(k, n, 2)
    B, T, H, Dv = v.shape
    S = np.zeros((B, H, Dv, k.shape[-1])) if state is None else np.array(state, dtype=np.float64)
    out = np.zeros(v.shape)
    for b in range(B):
        for t in range(T):
            if mask is not None and not mask[b, t].item():
                continue
            for h in range(H):
                s = S[b, h] * gamma[b, t, h]
                s = s + np.outer(beta[b, t, h] * (v[b, t, h] - s @ k[b, t, h]), k[b, t, h])
                S[b, h] = s
                out[b, t, h] = s @ q[b, t, h]
    return out, S


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("given", [0, 1, 2], ids=["plain", "state", "state and mask"])
def test_gated_delta_matches_its_definition(given, vector):
    args = operands(vector=vector)[:5 + given]
    got = mx.fast.gated_delta_update(*args)
    assert isinstance(got, list) and len(got) == 2
    for a, want in zip(got, reference(*args)):
        assert a.dtype == mx.float32 and np.allclose(np.array(a), want, atol=1e-5)


def test_gated_delta_agrees_with_mlx():        # measured on MLX 0.32.4
    q = mx.array([[0.5, -1.0], [1.5, 0.25], [-0.75, 2.0]]).reshape(1, 3, 1, 2)
    y, s = mx.fast.gated_delta_update(q, q, q, mx.full((1, 3, 1), 0.9), mx.full((1, 3, 1), 0.5), None, mx.array([[True, False, True]]))
    assert np.allclose(np.array(y)[0, :, 0], GOLDEN[0], atol=1e-5) and np.allclose(np.array(s)[0, 0], GOLDEN[1], atol=1e-5)


GOLDEN = ([[0.3125, -0.625], [0.0, 0.0], [-1.02627, 3.193164]],
          [[0.193359, -0.440625], [-0.574219, 1.38125]])


@pytest.mark.parametrize("dtypes, result, state", [
    (("float16",) * 5, "float16", "float32"),
    (("bfloat16", "bfloat16", "float32", "float32", "float32"), "bfloat16", "float32"),
    (("float16", "float32", "float16", "float32", "float32"), "float32", "float32"),
    (("int32",) * 5, "float32", "float32"),
    (("float32", "float32", "float64", "float64", "float64"), "float32", "float32"),
    (("float64",) * 5, "float64", "float64"),
    (("complex64", "float32", "float32", "float32", "float32"), "complex64", "complex64"),
])
def test_gated_delta_dtypes(dtypes, result, state):
    args = [a.astype(getattr(mx, t)) for a, t in zip(operands(), dtypes)]
    y, s = mx.fast.gated_delta_update(*args, stream=mx.cpu)
    assert (y.dtype, s.dtype) == (getattr(mx, result), getattr(mx, state))


def test_gated_delta_of_no_steps_is_the_state():
    args = operands(T=0)[:6]
    y, s = mx.fast.gated_delta_update(*args)
    assert y.shape == (2, 0, 4, 3) and mx.array_equal(s, args[5])


def test_gated_delta_transforms():
    args = operands(B=1, T=3, Hk=1, Hv=2, Dk=3, Dv=2)[:6]
    args64 = [a.astype(mx.float64) for a in args]
    loss = lambda *a: sum((r * r).sum() for r in mx.fast.gated_delta_update(*a, stream=mx.cpu))
    with mx.stream(mx.cpu):
        grads = mx.grad(loss, argnums=list(range(6)))(*args64)
        for i, (a, g) in enumerate(zip(args64, grads)):
            d, eps = mx.random.normal(a.shape).astype(mx.float64), 1e-5
            up, down = (loss(*(args64[:i] + [a + e * d] + args64[i + 1:])) for e in (eps, -eps))
            assert np.isclose((g * d).sum().item(), ((up - down) / (2 * eps)).item(), rtol=1e-5, atol=1e-6), i
    batch = [mx.stack([a, a * 0.5]) for a in args]
    looped = [mx.fast.gated_delta_update(*(b[i] for b in batch)) for i in range(2)]
    mapped = mx.vmap(lambda *a: tuple(mx.fast.gated_delta_update(*a)))(*batch)
    compiled = mx.compile(lambda *a: mx.fast.gated_delta_update(*a))(*args)
    for i in range(2):
        assert mx.allclose(mapped[i], mx.stack([r[i] for r in looped]), atol=1e-6)
        assert mx.array_equal(compiled[i], looped[0][i])


@pytest.mark.parametrize("i, shape, match", [
    (0, (2, 5, 2), "q and k have shapes"), (1, (2, 4, 2, 6), "q and k have shapes"), (2, (2, 5, 3, 3), "v has shape"),
    (2, (2, 5, 4), "v has shape"), (3, (2, 5, 3), "gamma has shape"), (3, (2, 5, 4, 5), "gamma has shape"), (4, (2, 5, 2), "beta has shape"),
    (5, (2, 4, 6, 3), "initial_state has shape"), (6, (5,), r"mask has shape \(5\), expected \(2,5\)"), (6, (1, 5), "mask has shape"),
])
def test_gated_delta_refuses_shapes_that_do_not_fit(i, shape, match):
    args = operands()
    args[i] = mx.ones(shape)
    with pytest.raises(ValueError, match=r"\[gated_delta_update\] " + match):
        mx.fast.gated_delta_update(*args)


# ---- kernels in source ----

def kernel(**kw):
    return mx.fast.metal_kernel(**{"name": "k", "input_names": ["x"], "output_names": ["y"], "source": "y[0] = x[0];", **kw})


CALL = dict(inputs=[mx.array(1.0)], output_shapes=[(3,)], output_dtypes=[mx.float32], grid=(1, 1, 1), threadgroup=(1, 1, 1))


def test_a_metal_kernel_is_made_anywhere_and_needs_metal_when_called():
    k = kernel(header="", ensure_row_contiguous=False, atomic_outputs=True, compile_options={})
    assert list(inspect.signature(k).parameters)[:3] == ["inputs", "output_shapes", "output_dtypes"]
    more = dict(template=[("T", mx.float32), ("n", 3), ("b", True)], init_value=0.5, verbose=True, stream=mx.cpu)
    for extra in ({}, more):
        with pytest.raises(RuntimeError, match=r"\[metal_kernel\] No Metal back-end."):
            k(**CALL, **extra)


@pytest.mark.parametrize("change, error, match", [
    ({"inputs": [1, 2]}, ValueError, "Expected `inputs` to have size 1 but got size 2"),
    ({"output_dtypes": []}, ValueError, "as many `output_dtypes`"),
    ({"output_shapes": [], "output_dtypes": []}, ValueError, "1 outputs but got 0"),
    ({"output_shapes": [(-1,)]}, ValueError, "dimension 0 of a result is -1"),
    ({"grid": (1, 1)}, TypeError, "incompatible"),
    ({"grid": (1, 1, -1)}, ValueError, "the grid is"),
    ({"template": [("T", "x")]}, TypeError, "incompatible"),
    ({"template": 3}, TypeError, "incompatible"),
    ({"unknown": 3}, TypeError, "unknown"),
])
def test_a_wrong_call_of_a_kernel_is_told(change, error, match):
    with pytest.raises(error, match=match):
        kernel()(**{**CALL, **change})
    with pytest.raises(TypeError):
        kernel()()


@pytest.mark.parametrize("change, error, match", [
    ({"output_names": []}, ValueError, "Must specify at least one output"),
    ({"compile_options": 1}, ValueError, "Expected `compile_options` to be a dict"),
    ({"input_names": [1]}, TypeError, "metal_kernel"),
    ({"name": 1}, TypeError, "metal_kernel"),
    ({"source": None}, TypeError, "metal_kernel"),
])
def test_a_wrong_kernel_is_refused(change, error, match):
    with pytest.raises(error, match=match):
        kernel(**change)


def test_cuda_kernels_need_cuda():
    with pytest.raises(RuntimeError, match=r"\[cuda_kernel\] No CUDA back-end."):
        mx.fast.cuda_kernel(name="k", input_names=["x"], output_names=["y"], source="")
    with pytest.raises(RuntimeError, match=r"\[cuda_kernel\] No CUDA back-end."):
        mx.fast.precompiled_cuda_kernel(name="k", compiled_source=b"", inputs=[], output_shapes=[], output_dtypes=[], scalars=[],
                                        grid=(1, 1, 1), threadgroup=(1, 1, 1))
