"""grad, vjp, jvp, vmap, compile, checkpoint, custom_function and eval, as Python sees them."""

import gc
import inspect
import threading
import weakref

import pytest

import mlx.core as mx

x3 = mx.array([1.0, 2.0, 3.0])


class Boom(Exception):
    pass


def boom(*args, **kwargs):
    raise Boom("user's own")


# ---- grad ----


def test_grad_of_containers():
    tree = {"w": x3, "list": [mx.array(2.0), (mx.array(3.0),)]}
    value, grads = mx.value_and_grad(lambda p: (p["w"] * p["list"][0]).sum() * p["list"][1][0])(tree)
    assert value.item() == 36 and grads["w"].tolist() == [6, 6, 6]
    assert grads["list"][0].item() == 18 and isinstance(grads["list"][1], tuple) and grads["list"][1][0].item() == 12


def test_argnums_and_argnames():
    f = lambda x, y, z=None: (x * y).sum() * (1 if z is None else z)  # noqa: E731
    assert mx.grad(f, argnums=1)(x3, mx.array(2.0)).item() == 6
    gx, gy = mx.grad(f, argnums=(0, 1))(x3, mx.array(2.0))
    assert gx.tolist() == [2, 2, 2] and gy.item() == 6
    assert mx.grad(f, argnums=[0])(x3, mx.array(2.0)).tolist() == [2, 2, 2]
    none, named = mx.grad(f, argnames="y")(x3, y=mx.array(2.0))
    assert none is None and named["y"].item() == 6
    g, named = mx.grad(f, argnums=0, argnames=["y", "z"])(x3, y=mx.array(2.0), z=mx.array(5.0))
    assert g.tolist() == [10, 10, 10] and named["y"].item() == 30 and named["z"].item() == 12


def test_aux_outputs():
    (value, text, aux), g = mx.value_and_grad(lambda x: ((x * x).sum(), "s", {"k": x}))(x3)
    assert value.item() == 14 and text == "s" and aux["k"].tolist() == [1, 2, 3] and g.tolist() == [2, 4, 6]


def test_higher_order():
    assert mx.grad(mx.grad(mx.sin))(mx.array(0.5)).item() == pytest.approx(-0.479426, abs=1e-5)
    assert mx.vmap(mx.grad(lambda x: x * x * x))(x3).tolist() == [3, 12, 27]
    assert mx.grad(mx.compile(lambda x: (x * x).sum()))(x3).tolist() == [2, 4, 6]
    assert mx.compile(mx.grad(lambda x: (x * x).sum()))(x3).tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: mx.grad(lambda x: x * 2)(x3), ValueError, "scalar"),
        (lambda: mx.grad(lambda x: 2.0)(x3), ValueError, "float was returned"),
        (lambda: mx.grad(lambda x: None)(x3), ValueError, "NoneType"),
        (lambda: mx.grad(lambda x: (x.sum(), x))(x3), ValueError, "tuple"),
        (lambda: mx.value_and_grad(lambda x: [x.sum()])(x3), ValueError, "list"),
        (lambda: mx.grad(lambda x: x.sum(), argnums=1)(x3), ValueError, "index 1"),
        (lambda: mx.grad(lambda x: x.sum(), argnums=[])(x3), ValueError, "no argument"),
        (lambda: mx.grad(lambda x: x.sum(), argnums=-1), ValueError, "negative"),
        (lambda: mx.grad(lambda x: x.sum(), argnums=(0, 0)), ValueError, "Duplicate"),
        (lambda: mx.grad(lambda x: x.sum(), argnames="z")(x3), ValueError, "'z'"),
        (lambda: mx.grad(3), TypeError, "supported"),
        (lambda: mx.grad(lambda x: x["w"].sum())({"w": "str"}), ValueError, "tree_flatten"),
        (lambda: mx.vjp(lambda x: x * 2, [x3], [mx.zeros(2)]), ValueError, "vjp"),
        (lambda: mx.vjp(lambda x: x * 2, [x3], []), ValueError, "vjp"),
        (lambda: mx.jvp(lambda x: x * 2, [x3], [mx.zeros(2)]), ValueError, "jvp"),
        (lambda: mx.vmap(lambda x: x, in_axes=3)(x3), IndexError, "vmap"),
        (lambda: mx.vmap(lambda x, y: x + y)(x3, mx.zeros(2)), ValueError, "vmap"),
        (lambda: mx.vmap(lambda x: x.item())(x3), ValueError, "eval"),
        (lambda: mx.vmap(lambda x: x, in_axes=(0, 0))(x3), ValueError, "in_axes"),
        (lambda: mx.vmap(lambda x: x, in_axes=None)(x3), ValueError, "non-None"),
        (lambda: mx.vmap(lambda x: x)(1), ValueError, "tree_flatten"),
        (lambda: mx.vmap(lambda x: 2.0)(x3), ValueError, "tree_flatten"),
        (lambda: mx.compile(lambda x: x if x.sum().item() > 0 else -x)(x3), ValueError, "eval"),
        (lambda: mx.compile(3), TypeError, "supported"),
        (lambda: mx.compile(lambda x, y: x)(x3, {1, 2}), ValueError, "set"),
        (lambda: mx.compile(lambda x, y: x)(x3, object()), ValueError, "object"),
    ],
)
def test_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize(
    "call",
    [
        lambda: mx.grad(boom)(x3),
        lambda: mx.vmap(boom)(x3),
        lambda: mx.compile(boom)(x3),
        lambda: mx.checkpoint(boom)(x3),
        lambda: mx.vjp(boom, [x3], [x3]),
        lambda: mx.jvp(boom, [x3], [x3]),
        lambda: mx.grad(lambda x: mx.checkpoint(boom)(x).sum())(x3),
        lambda: mx.grad(lambda x: mx.vmap(boom)(x).sum())(x3),
        lambda: mx.grad(mx.compile(boom))(x3),
        lambda: mx.compile(mx.grad(boom))(x3),
    ],
)
def test_a_users_exception_comes_out_unchanged(call):
    with pytest.raises(Boom, match="user's own"):
        call()
    assert mx.grad(lambda x: (x * x).sum())(x3).tolist() == [2, 4, 6]  # no trace is left open


ODD = mx.array([[1.0, 2.0], [3.0, 1.0]])


def index(v):
    return v.astype(mx.int32)


@pytest.mark.parametrize(
    "f",
    [
        lambda v: ODD[index(v)],
        lambda v: mx.take(ODD, index(v), axis=0),
        lambda v: mx.take_along_axis(ODD, index(v) % 2, axis=0),
        lambda v: mx.put_along_axis(ODD, index(v) % 2, ODD, axis=0),
        lambda v: ODD.at[index(v)].add(1.0),
        lambda v: ODD.at[index(v)].maximum(1.0),
        lambda v: mx.gather_mm(mx.ones((4, 1, 2)), mx.ones((3, 2, 2)), None, index(v).reshape(-1) - 1),
        lambda v: mx.slice(ODD, index(v)[0, :1] - 1, (0,), (1, 2)),
    ],
)
def test_a_gradient_that_reaches_an_index(f):
    with pytest.raises(ValueError, match=r"stop_gradient .*\(differentiated with respect to argument 0\['i'\]\[1\]\)"):
        mx.grad(lambda tree, w: f(tree["i"][1]).sum() * w)({"x": x3, "i": [ODD, ODD]}, mx.array(2.0))
    assert mx.grad(lambda v, w: (f(mx.stop_gradient(v)) * w).sum(), argnums=1)(ODD, mx.array(2.0)).shape == ()
    assert mx.jvp(f, [ODD], [ODD])[1][0].abs().sum().item() == 0


def test_errors_name_the_argument_that_led_to_an_operation_without_a_gradient():
    def eig(x):
        return mx.linalg.eigvals(x, stream=mx.cpu).abs().sum()

    def message(call):
        with pytest.raises(ValueError) as e:
            call()
        return str(e.value)

    tail = "[Primitive::vjp] Not implemented for Eig. (differentiated with respect to {})"
    f = lambda a, b, k=None: a.sum() + eig(mx.exp(b) @ b) + (0 if k is None else eig(k["w"]))  # noqa: E731
    assert message(lambda: mx.grad(f, argnums=(0, 1))(ODD, ODD)) == tail.format("argument 1")
    assert message(lambda: mx.grad(f, argnums=0, argnames="k")(ODD, ODD, k={"w": ODD})) == tail.format("argument 'k'['w']")
    assert message(lambda: mx.grad(mx.compile(f), argnums=1)(ODD, ODD)) == tail.format("argument 1")
    assert message(lambda: mx.vjp(f, [ODD, ODD], [mx.array(1.0)])) == tail.format("input 1")
    assert message(lambda: mx.jvp(f, [ODD, ODD], [ODD, ODD])) == tail.format("input 1").replace("vjp", "jvp")
    assert message(lambda: mx.grad(lambda v: mx.grad(eig)(v).sum())(ODD)) == tail.format("argument 0")
    assert message(lambda: mx.jacrev(f, argnums=(0, 1))(ODD, ODD)) == tail.format("argument 1")
    assert message(lambda: mx.jacfwd(f, argnums=1)(ODD, {"b": ODD}["b"])) == tail.format("argument 1").replace("vjp", "jvp")
    assert mx.grad(lambda a: f(a, ODD))(ODD).tolist() == [[1, 1], [1, 1]]  # what it is not asked for it does not meet


def test_exception_in_a_custom_rule():
    f = mx.custom_function(lambda x: x * 2)
    f.vjp(boom)
    with pytest.raises(Boom):
        mx.grad(lambda x: f(x).sum())(x3)


def test_traced_parameters_get_their_values_back():
    module = {}

    def loss(p):
        module.update(p)
        return (module["w"] ** 2).sum()

    mx.grad(loss)({"w": x3})
    assert module["w"].tolist() == [1, 2, 3]
    mx.eval(module)


def test_eval_inside_grad():
    assert mx.grad(lambda x: (mx.eval(x), x.sum())[1])(x3).tolist() == [1, 1, 1]
    assert mx.grad(lambda x: mx.array(float(x.sum().item())) * x[0])(x3).tolist() == [6, 0, 0]


def test_vjp_and_jvp():
    outs, grads = mx.vjp(lambda x, y: [x * y, x + y], [x3, mx.ones(3)], [mx.ones(3), mx.ones(3)])
    assert [o.tolist() for o in outs] == [[1, 2, 3], [2, 3, 4]] and [g.tolist() for g in grads] == [
        [2, 2, 2],
        [2, 3, 4],
    ]
    outs, tangents = mx.jvp(lambda x: x * x, (x3,), (mx.ones(3),))
    assert outs[0].tolist() == [1, 4, 9] and tangents[0].tolist() == [2, 4, 6]


# ---- vmap ----


def test_vmap_of_trees_and_axes():
    out = mx.vmap(lambda d: {"a": d["a"] + 1, "b": [d["a"] * 2]})({"a": x3})
    assert out["a"].tolist() == [2, 3, 4] and out["b"][0].tolist() == [2, 4, 6]
    assert mx.vmap(lambda x, y: x + y, in_axes=(0, None))(x3, mx.array(1.0)).tolist() == [2, 3, 4]
    assert mx.vmap(lambda x, y: x + y, in_axes=(0, -1))(mx.zeros((2, 3)), mx.zeros((3, 2))).shape == (2, 3)
    assert mx.vmap(lambda x: x, in_axes=0, out_axes=1)(mx.zeros((2, 3))).shape == (3, 2)
    assert mx.vmap(lambda x: (x, x), out_axes=(0, 1))(mx.zeros((2, 3)))[1].shape == (3, 2)
    assert mx.vmap(mx.vmap(lambda x, y: x * y), in_axes=(None, 0))(x3, mx.ones((2, 3))).shape == (2, 3)


# ---- compile ----


def test_a_compiled_function_is_called_by_itself_by_threads_and_again_after_it_failed():
    fail = [True]

    @mx.compile
    def f(x, n, state=None):
        if fail[0]:
            raise KeyError(n)
        return f(x, n - 1) + 1 if n else x * 2

    for n in (0, 2):
        with pytest.raises(KeyError):
            f(x3, n)
    fail[0] = False
    wrong = []

    def work(seed):
        for i in range(40):
            n = (seed + i) % 4
            if f(x3, n).tolist() != [2 * v + n for v in x3.tolist()]:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    work(0)
    assert not wrong


def test_compile_traces_once_for_each_kind_of_argument():
    traces = []

    def f(x, n, flag=False, d=None):
        traces.append(1)
        return {"y": x * n + (d["k"] if d else 0), "flag": flag, "list": [x, None, "s"]}

    g = mx.compile(f)
    for _ in range(3):
        out = g(x3, 2)
        assert out["y"].tolist() == [2, 4, 6] and out["flag"] is False and out["list"][1:] == [None, "s"]
    assert len(traces) == 1
    for i, call in enumerate(
        [
            lambda: g(x3, 3),
            lambda: g(x3, 2, flag=True),
            lambda: g(mx.ones(2), 2),
            lambda: g(x3.astype(mx.float16), 2),
            lambda: g(x3, 2, d={"k": x3}),
            lambda: g(x3, 2.0),
            lambda: g([x3][0].reshape(3, 1), 2),
        ]
    ):
        call(), call()
        assert len(traces) == i + 2
    assert g(x3, 2, d={"k": mx.ones(3)})["y"].tolist() == [3, 5, 7]


def test_shapeless():
    traces = []
    f = mx.compile(lambda x: (traces.append(1), mx.exp(x) * 2)[1], shapeless=True)
    assert f(mx.zeros(2)).tolist() == [2, 2] and f(mx.zeros(5)).tolist() == [2] * 5 and len(traces) == 1
    f(mx.zeros((2, 2)))
    assert len(traces) == 2


def test_state():
    state = {"w": mx.array(1.0), "n": [mx.array(0)], "name": "kept"}

    def step(x):
        state["w"] = state["w"] * x
        state["n"][0] = state["n"][0] + 1
        return state["w"]

    f = mx.compile(step, inputs=state, outputs=state)
    assert [f(mx.array(2.0)).item() for _ in range(4)] == [2, 4, 8, 16]
    assert state["w"].item() == 16 and state["n"][0].item() == 4 and state["name"] == "kept"
    state["w"] = mx.array(3.0)
    assert f(mx.array(2.0)).item() == 6


def test_state_modified_in_place_and_given_directly():
    s = [mx.array(1.0)]

    def step():
        s[0] += 1

    f = mx.compile(step, inputs=s, outputs=s)
    f(), f()
    assert s[0].item() == 3
    y = mx.array(5.0)
    g = mx.compile(lambda x: x + y, inputs=[y])
    assert g(mx.array(1.0)).item() == 6
    y += 1
    assert g(mx.array(1.0)).item() == 7


def test_state_that_appears_while_tracing():
    state = {}

    def step(x):
        state["m"] = state.get("m", mx.zeros(3)) + x
        return state["m"]

    f = mx.compile(step, inputs=state, outputs=state)
    assert f(x3).tolist() == [1, 2, 3] and f(x3).tolist() == [2, 4, 6] and f(x3).tolist() == [3, 6, 9]


def test_a_failed_trace_leaves_the_state():
    s = [mx.array(1.0)]
    f = mx.compile(lambda: boom(s.__setitem__(0, s[0] + 1)), inputs=s, outputs=s)
    old = s[0]
    with pytest.raises(Boom):
        f()
    assert old.item() == 1


def test_random_state():
    mx.random.seed(3)
    plain = [mx.random.uniform(shape=(2,)).tolist() for _ in range(3)]
    mx.random.seed(3)
    f = mx.compile(lambda: mx.random.uniform(shape=(2,)), inputs=mx.random.state, outputs=mx.random.state)
    assert [f().tolist() for _ in range(3)] == plain
    state = [mx.random.state]
    mx.random.seed(3)
    g = mx.compile(lambda: mx.random.uniform(shape=(2,)), inputs=state, outputs=state)
    assert [g().tolist() for _ in range(3)] == plain and state[0] is mx.random.state


def test_disable_compile():
    calls = []
    f = mx.compile(lambda x: (calls.append(1), x)[1])
    mx.disable_compile()
    try:
        f(x3), f(x3)
        assert len(calls) == 2
    finally:
        mx.enable_compile()
    f(x3), f(x3)
    assert len(calls) == 3


# ---- checkpoint, custom_function ----


def test_checkpoint():
    calls = []

    def f(x, scale=2):
        calls.append(1)
        return {"y": mx.sin(x) * scale}

    assert mx.checkpoint(f)(x3)["y"].tolist() == (mx.sin(x3) * 2).tolist()
    n = len(calls)
    g = mx.grad(lambda x: mx.checkpoint(f)(x, scale=3)["y"].sum())(x3)
    assert g.tolist() == pytest.approx((mx.cos(x3) * 3).tolist(), rel=1e-6) and len(calls) >= n + 1


def test_custom_function_rules():
    @mx.custom_function
    def f(x, y):
        return x * y, x + y

    assert [o.item() for o in f(mx.array(2.0), mx.array(3.0))] == [6, 5]
    seen = {}

    @f.vjp
    def _(primals, cotangents, outputs):
        seen["vjp"] = (len(primals), len(cotangents), [o.item() for o in outputs])
        return cotangents[0] * 10, cotangents[1] * 100

    @f.jvp
    def _(primals, tangents):
        seen["jvp"] = tangents[1]
        return tangents[0] * 3, tangents[0] * 4

    @f.vmap
    def _(inputs, axes):
        seen["vmap"] = axes
        return (inputs[0] * 5, inputs[0] * 6), (0, 0)

    g = mx.grad(lambda x, y: sum(f(x, y)), argnums=(0, 1))(mx.array(2.0), mx.array(3.0))
    assert [v.item() for v in g] == [10, 100] and seen["vjp"] == (2, 2, [6, 5])
    _, t = mx.jvp(lambda x: f(x, mx.array(3.0)), [mx.array(2.0)], [mx.array(1.0)])
    assert [v.item() for v in t] == [3, 4] and seen["jvp"] is None
    out = mx.vmap(lambda x: f(x, mx.array(3.0)))(x3)
    assert out[0].tolist() == [5, 10, 15] and seen["vmap"] == (0, None)


def test_custom_function_of_one_tree_and_constants():
    @mx.custom_function
    def f(d, n):
        return {"o": d["a"] * n}

    @f.vjp
    def _(primals, cotangent, output):
        assert primals[1] == 3
        return {"a": cotangent["o"] * 7}, None

    assert mx.grad(lambda a: f({"a": a}, 3)["o"].sum())(x3).tolist() == [7, 7, 7]


# ---- what results look like ----


@pytest.mark.parametrize(
    "transform", [mx.grad, mx.value_and_grad, mx.vmap, mx.compile, mx.checkpoint], ids=lambda t: t.__name__
)
def test_results_carry_name_doc_and_signature(transform):
    def loss(x, y=2):
        "What it does."
        return (x * y).sum()

    f = transform(loss)
    assert (
        f.__name__ == "loss"
        and f.__doc__ == "What it does."
        and str(inspect.signature(f)) == "(x, y=2)"
        and callable(f)
    )


@pytest.mark.parametrize(
    "transform", [mx.grad, mx.vmap, mx.compile, mx.checkpoint, mx.custom_function], ids=lambda t: t.__name__
)
def test_results_take_part_in_garbage_collection(transform):
    class Owner:
        pass

    owner = Owner()

    def f(x, owner=owner):
        return (x * x).sum()

    owner.f = transform(f)  # a cycle
    owner.f(x3)
    if transform is not mx.vmap:
        mx.eval(mx.grad(lambda x: owner.f(x) if transform is not mx.grad else x.sum())(x3))
    gone = weakref.ref(owner)
    del owner, f
    for _ in range(3):
        gc.collect()
    assert gone() is None


def test_eval_of_trees_and_from_threads():
    a, b = mx.ones(3) + 1, mx.ones(3) * 5
    mx.eval("x", None, [a, {"k": (b, 3)}])
    mx.async_eval(a + b)
    results = [None] * 8

    def work(i):
        y = mx.full((100,), float(i))
        for _ in range(50):
            y = y + 1
        results[i] = mx.grad(lambda z: (z * z).sum())(y)[0].item()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert results == [2 * (i + 50) for i in range(8)]


def test_a_failed_computation_raises_whenever_it_is_waited_for():
    bad = x3[mx.array([7])]
    for use in (lambda: mx.eval(bad), lambda: bad.tolist(), lambda: mx.eval(bad + 1), lambda: repr(bad)):
        with pytest.raises(IndexError):
            use()
