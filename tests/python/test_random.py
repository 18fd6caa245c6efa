"""The numbers of MLX 0.32.4 for a key: the same bits where they come by integer rules, else within two units in the last place."""

import mlx.core as mx
import numpy as np
import pytest

import table

R = mx.random

# Of the real MLX, with K = mx.random.key(1).
GOLDEN = [
        ("R.uniform(shape=(5,), dtype=mx.float16, key=K)", [0.83056640625, 0.166015625, 0.4560546875, 0.64306640625,
     0.56884765625]),
        ("R.uniform(-1, 3.5, (2, 3), mx.float16, key=K)", [2.73828125, -0.2529296875, 2.794921875, 1.89453125, 1.560546875,
     1.763671875]),
    ("R.normal((5,), mx.float16, key=K)", [0.95703125, -0.97021484375, -0.1102294921875, 0.3662109375, 0.1729736328125]),
        ("R.normal((5,), mx.float16, loc=1.5, scale=0.3, key=K)", [1.787109375, 1.208984375, 1.466796875, 1.6103515625,
     1.5517578125]),
        ("R.truncated_normal(-1, 2, (5,), mx.float16, key=K)", [0.98828125, -0.5400390625, 0.08026123046875, 0.48193359375,
     0.316650390625]),
    ("R.truncated_normal(2, 5, (5,), mx.float16, key=K)", [2.66015625, 2.07421875, 2.2421875, 2.40625, 2.3359375]),
    ("R.gumbel((5,), mx.float16, key=K)", [1.68359375, -0.58544921875, 0.2418212890625, 0.81787109375, 0.57275390625]),
    ("R.laplace((5,), mx.float16, key=K)", [-1.0830078125, 1.1025390625, 0.09185791015625, -0.336669921875, -0.147705078125]),
    ("R.laplace((5,), mx.float16, loc=2, scale=0.5, key=K)", [1.458984375, 2.55078125, 2.046875, 1.83203125, 1.92578125]),
    ("R.uniform(shape=(5,), dtype=mx.bfloat16, key=K)", [0.83203125, 0.166015625, 0.45703125, 0.64453125, 0.5703125]),
    ("R.uniform(-1, 3.5, (2, 3), mx.bfloat16, key=K)", [2.75, -0.25390625, 2.796875, 1.90625, 1.5625, 1.765625]),
    ("R.normal((5,), mx.bfloat16, key=K)", [0.95703125, -0.97265625, -0.1103515625, 0.3671875, 0.1728515625]),
    ("R.normal((5,), mx.bfloat16, loc=1.5, scale=0.3, key=K)", [1.7890625, 1.203125, 1.46875, 1.609375, 1.5546875]),
    ("R.truncated_normal(-1, 2, (5,), mx.bfloat16, key=K)", [1.0, -0.54296875, 0.0830078125, 0.482421875, 0.322265625]),
    ("R.truncated_normal(2, 5, (5,), mx.bfloat16, key=K)", [2.65625, 2.0625, 2.265625, 2.421875, 2.328125]),
    ("R.gumbel((5,), mx.bfloat16, key=K)", [1.6953125, -0.5859375, 0.2470703125, 0.8203125, 0.57421875]),
    ("R.laplace((5,), mx.bfloat16, key=K)", [-1.0859375, 1.1015625, 0.091796875, -0.3359375, -0.1474609375]),
    ("R.laplace((5,), mx.bfloat16, loc=2, scale=0.5, key=K)", [1.453125, 2.546875, 2.046875, 1.828125, 1.9296875]),
        ("R.uniform(shape=(5,), dtype=mx.float32, key=K)", [0.8307938575744629, 0.16604094207286835, 0.45611220598220825,
     0.6428885459899902, 0.5686540603637695]),
        ("R.uniform(-1, 3.5, (2, 3), mx.float32, key=K)", [2.738572359085083, -0.25281578302383423, 2.7937185764312744,
     1.892998456954956, 1.558943271636963, 1.7650010585784912]),
        ("R.normal((5,), mx.float32, key=K)", [0.9573070406913757, -0.9699288010597229, -0.11023314297199249,
     0.3661906123161316, 0.17294861376285553]),
        ("R.normal((5,), mx.float32, loc=1.5, scale=0.3, key=K)", [1.7871921062469482, 1.2090213298797607, 1.4669300317764282,
     1.609857201576233, 1.5518845319747925]),
        ("R.truncated_normal(-1, 2, (5,), mx.float32, key=K)", [0.9892871379852295, -0.5400667786598206, 0.0803644210100174,
     0.4815027415752411, 0.3164050579071045]),
        ("R.truncated_normal(2, 5, (5,), mx.float32, key=K)", [2.664976119995117, 2.075443983078003, 2.2453253269195557,
     2.4032740592956543, 2.3334105014801025]),
        ("R.gumbel((5,), mx.float32, key=K)", [1.6853821277618408, -0.5852952003479004, 0.2420506477355957,
     0.8169344067573547, 0.5718450546264648]),
        ("R.laplace((5,), mx.float32, key=K)", [-1.0834904909133911, 1.1023736000061035, 0.09186919033527374,
     -0.3365602493286133, -0.14769776165485382]),
        ("R.laplace((5,), mx.float32, loc=2, scale=0.5, key=K)", [1.4582548141479492, 2.5511868000030518, 2.0459346771240234,
     1.8317198753356934, 1.926151156425476]),
        ("R.normal((2,), mx.complex64, loc=1, key=K)", [(1.1221104860305786-0.325864315032959j),
     (1.8647711277008057-0.05021802708506584j)]),
    ("R.normal((3,), mx.float64, key=K)", [0.17269034759926316, -0.6476557010825358, 1.2229710571431551]),
        ("R.normal((2, 3), loc=mx.array([0.0, 10, 20]), scale=mx.array([[1.0], [2]]), key=K)", [0.9573070406913757,
     9.030071258544922, 21.00706672668457, 0.7323812246322632, 10.345897674560547, 20.581844329833984]),
        ("R.uniform(mx.array([0.0, 1, 2]), mx.array([[3.0], [4]]), (2, 3), key=K)", [2.4923815727233887, 1.332081913948059,
     2.843048572540283, 2.571554183959961, 2.7059621810913086, 3.2288894653320312]),
    ("R.randint(0, 10, (7,), mx.bool_, key=K)", [True, True, False, True, True, False, False]),
    ("R.randint(0, 10, (7,), mx.uint8, key=K)", [2, 9, 0, 9, 8, 0, 0]),
    ("R.randint(0, 10, (7,), mx.int8, key=K)", [2, 9, 0, 9, 8, 0, 0]),
    ("R.randint(0, 10, (7,), mx.uint16, key=K)", [2, 9, 0, 9, 8, 0, 0]),
    ("R.randint(0, 10, (7,), mx.int32, key=K)", [2, 9, 0, 9, 8, 0, 0]),
    ("R.randint(0, 10, (7,), mx.uint32, key=K)", [2, 9, 0, 9, 8, 0, 0]),
    ("R.randint(0, 10, (7,), mx.int64, key=K)", [2, 9, 0, 9, 8, 0, 0]),
    ("R.randint(0, 10, (7,), mx.uint64, key=K)", [2, 9, 0, 9, 8, 0, 0]),
    ("R.randint(-7, 100, (4, 2), key=K)", [14, 95, -1, 95, 82, -1, -5, 9]),
    ("R.randint(0, 2**31 - 1, (3,), key=K)", [1220957312, 555347456, 1909820928]),
    ("R.randint(mx.array([0, 10]), mx.array([5, 20]), (3, 2), key=K)", [4, 11, 4, 16, 2, 16]),
    ("R.bernoulli(0.3, (9,), key=K)", [False, False, True, False, False, False, False, False, False]),
    ("R.bernoulli(mx.linspace(0, 1, 7), key=K)", [False, False, True, False, False, True, True]),
    ("R.categorical(mx.arange(5.0), shape=(6,), key=K)", [4, 3, 4, 4, 4, 4]),
    ("R.categorical(mx.zeros((1, 4)), key=K)", [0]),
    ("R.categorical(mx.zeros((4, 1)), axis=0, num_samples=3, key=K)", [2, 1, 3]),
    ("R.categorical(mx.zeros((3, 4)), key=K)", [0, 0, 1]),
    ("R.categorical(mx.zeros((2, 3, 4)), axis=1, key=K)", [2, 2, 1, 2, 1, 1, 2, 2]),
    ("R.categorical(mx.zeros((2, 4)), num_samples=3, key=K)", [2, 3, 3, 3, 3, 1]),
    ("R.permutation(9, key=K)", [2, 5, 1, 8, 3, 0, 6, 4, 7]),
    ("R.permutation(mx.arange(8).reshape(2, 4), axis=1, key=K)", [1, 3, 0, 2, 5, 7, 4, 6]),
    ("R.split(K, 3)", [3568232559, 713140391, 3620866055, 2761185182, 2442350529, 2639019713]),
        ("mx.vmap(lambda k: R.normal((2,), key=k))(R.split(K, 3))", [0.4782313406467438, 0.24948735535144806,
     -0.061120789498090744, -1.0968594551086426, -0.004558040294796228, -0.02648797072470188]),
]


@pytest.mark.parametrize("call, want", GOLDEN, ids=[c for c, _ in GOLDEN])
def test_numbers_of_mlx(call, want):
    got = eval(call, {"R": R, "mx": mx, "K": R.key(1)})
    kind = table.name_of(got.dtype)
    got, want = table.to_np(got).ravel(), np.array(want)
    if kind not in table.FLT + table.CPX:
        np.testing.assert_array_equal(got, want)
        return
    # two units of the largest number that the call computes with
    eps = {"float16": 2.0 ** -10, "bfloat16": 2.0 ** -7}.get(kind, 2.0 ** -23)
    exact = call.startswith("R.uniform")
    if "truncated_normal" in call and kind == "float32":
        eps *= 100          # an ulp of erf(2 / sqrt 2), where the draws end or begin, is many of them
    np.testing.assert_allclose(got, want, rtol=0, atol=0 if exact else 2 * eps * max(1, np.abs(want).max()))


@pytest.mark.parametrize("call, kind, message", [
    (lambda: R.truncated_normal(-1, 1, (2,), mx.float64), RuntimeError, "trunc_normal"),
    (lambda: R.truncated_normal(-1, 1, (2,), mx.int32), ValueError, "trunc_normal"),
    (lambda: R.uniform(shape=(2,), dtype=mx.float64), RuntimeError, "uniform"),
    (lambda: R.laplace((2,), mx.int32), ValueError, "laplace"),
])
def test_kinds_of_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_laplace_in_half_precision_is_finite():
    for t in (mx.float16, mx.bfloat16):
        x = R.laplace((100_000,), dtype=t, key=R.key(12345))
        assert mx.all(mx.isfinite(x)) and x.dtype == t


def test_erfinv_in_double_precision_near_its_ends():
    x = np.array([0.999999999, 1 - 2.0 ** -53, -1 + 1e-12, 0.3, 1e-200])
    want = [4.320005388105362, 5.8635847487551676, -5.042031898572696, 0.2724627147267544, 8.86226925452758e-201]
    np.testing.assert_allclose(np.array(mx.erfinv(mx.array(x, dtype=mx.float64))), want, rtol=3e-16 * 4)
