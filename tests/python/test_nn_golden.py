"""Layers, activations, losses, optimizers and initial values against numbers of the real MLX (tests/golden)."""

import json
import os
import sys

import numpy as np
import pytest

GOLDEN = os.path.join(os.path.dirname(__file__), "..", "golden")
sys.path.insert(0, GOLDEN)

import cases  # noqa: E402


def load():
    with np.load(os.path.join(GOLDEN, "golden.npz")) as f:
        values, about = f["values"], json.loads(f["about"].tobytes())
    expected = {}
    for name, path, dtype, shape, start in about["index"]:
        x = values[start : start + int(np.prod(shape))].reshape(shape).astype(dtype)
        expected.setdefault(name, {})[path] = x
    return expected


EXPECTED = load()


def test_every_case_has_golden_values():
    assert set(cases.CASES) == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_golden(name):
    want = EXPECTED[name]
    try:
        got = cases.run(name)
    except AttributeError as e:
        if "mlx.core" not in str(e):
            raise
        pytest.skip(f"needs what mlx.core does not have yet: {e}")
    assert sorted(got) == sorted(want)
    for path in want:
        assert got[path].shape == want[path].shape, path
        assert got[path].dtype == want[path].dtype, path
        if name in cases.EXACT:  # a normal draw may be off by two in the last place
            np.testing.assert_array_max_ulp(got[path], want[path], maxulp=2)
        else:
            np.testing.assert_allclose(got[path], want[path], rtol=2e-4, atol=2e-5, err_msg=path)
