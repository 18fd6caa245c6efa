"""The face of mlx.core: names, signatures, errors of arguments, dtypes, devices, memory, random."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest

import mlx.core as mx

MODULES = [mx, mx.linalg, mx.fft, mx.random, mx.fast, mx.metal, mx.cuda]
FUNCTIONS = [
    (m, n) for m in MODULES for n in sorted(vars(m)) if not n.startswith("__") and inspect.isbuiltin(vars(m)[n])
]


@pytest.mark.parametrize(
    "module, name", FUNCTIONS, ids=lambda x: x if isinstance(x, str) else x.__name__.rpartition(".")[2]
)
def test_every_function_has_a_signature_and_a_doc(module, name):
    f = getattr(module, name)
    assert f.__doc__ and not f.__doc__.startswith(name + "(") and len(f.__doc__) > 5
    inspect.signature(f)


def test_methods_have_signatures_and_docs():
    for name in ("sum", "reshape", "transpose", "astype", "std", "item", "tolist", "flatten", "cumsum"):
        f = getattr(mx.array, name)
        assert f.__doc__ and list(inspect.signature(f).parameters)[0] == "self"


def test_the_stub_names_every_function(root):
    folder = next((p for p in (type(root)(d) / "mlx" / "core" for d in sys.path) if (p / "__init__.pyi").exists()), None)
    if folder is None:
        pytest.skip("no stubs beside the module")
    stubs = {p.stem: p.read_text() for p in folder.glob("*.pyi")}
    for name, text in stubs.items():
        compile(text, name, "exec")
    text = "\n".join(stubs.values())
    for module, name in FUNCTIONS:
        assert re.search(rf"def {name}\(|^{name} = ", text, re.M) or name in ("matrix_norm",), name


def test_submodules_are_importable():
    for m in ("linalg", "fft", "random", "fast", "metal", "cuda", "distributed"):
        assert importlib.import_module(f"mlx.core.{m}") is getattr(mx, m)


def test_versions_and_constants():
    assert mx.__version__ == "0.32.4" and re.match(r"\d+\.\d+", mx.cmlx_version)
    assert (
        mx.pi == 3.141592653589793
        and mx.e == 2.718281828459045
        and mx.inf == float("inf")
        and mx.nan != mx.nan
        and mx.newaxis is None
    )


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: mx.sum(mx.ones(2), axis=1.0), r"sum\(a: array.*kwargs = \{ axis: float \}"),
        (lambda: mx.sum(mx.ones(2), keepdims=None), "keepdims: NoneType"),
        (lambda: mx.matmul(mx.ones(2), 1), "mlx.core.array, int"),
        (lambda: mx.where(mx.ones(2)), "where"),
        (lambda: mx.arange(), "arange"),
        (lambda: mx.zeros((2,), dtype="float32"), "dtype: str"),
        (lambda: mx.zeros(2, foo=1), "foo: int"),
        (lambda: mx.exp(mx.ones(1), mx.ones(1)), "exp"),
        (lambda: mx.random.key(-1), "key"),
        (lambda: mx.random.seed("a"), "seed"),
        (lambda: mx.ones(2).astype("int32"), "astype"),
        (lambda: mx.set_memory_limit(-1), "limit"),
        (lambda: mx.zeros(2, stream=3), "stream: int"),
        (lambda: mx.ones(2).sum(0, False, 1), "sum"),
        (lambda: mx.clip(1, 0, 1), "clip"),
        (lambda: mx.concatenate(1), "concatenate"),
        (lambda: mx.Device("cpu"), "DeviceType"),
        (lambda: mx.reshape(mx.ones(2), 2), "reshape"),
    ],
)
def test_wrong_arguments_list_the_signature(call, text):
    with pytest.raises(TypeError, match="(?s)The following argument types are supported.*" + text):
        call()


def test_keywords():
    a = mx.arange(6).reshape(2, 3)
    assert (
        mx.sum(a, axis=1, keepdims=True).shape == (2, 1)
        and mx.add(a=a, b=1).sum().item() == 21
        and mx.zeros(shape=(2,), dtype=mx.int8).dtype == mx.int8
    )
    assert (
        mx.arange(start=1, stop=3).tolist() == [1, 2]
        and mx.arange(stop=3).tolist() == [0, 1, 2]
        and mx.arange(3, step=2).tolist() == [0, 2]
    )
    with pytest.raises(TypeError):
        mx.sum(a=a)


def test_axis_errors_are_both():
    for call in (
        lambda: mx.sum(mx.ones(2), axis=2),
        lambda: mx.softmax(mx.ones(2), axis=3),
        lambda: mx.expand_dims(mx.ones(2), 5),
        lambda: mx.ones(2).swapaxes(0, 3),
    ):
        with pytest.raises(IndexError):
            call()
        with pytest.raises(ValueError):
            call()


def test_errors_name_the_operation_and_the_facts():
    with pytest.raises(ValueError, match=r"\[matmul\].*\(2,3\).*\(2,3\)"):
        mx.ones((2, 3)) @ mx.ones((2, 3))
    with pytest.raises(ValueError, match=r"\[broadcast_shapes\].*\(2,3\).*\(4\)"):
        mx.ones((2, 3)) + mx.ones(4)


@pytest.mark.parametrize(
    "line",
    """
mx.arange(3) | int32 [0, 1, 2]
mx.arange(3.0) | float32 [0, 1, 2]
mx.arange(0,3,0.5) | float32 [0, 0.5, 1, 1.5, 2, 2.5]
mx.arange(0,2**33,2**32) | int64 [0, 4294967296]
mx.arange(5,2,-1) | int32 [5, 4, 3]
mx.arange(-1) | int32 []
mx.linspace(0,1,3) | float32 [0, 0.5, 1]
mx.linspace(0,1,4,endpoint=False) | float32 [0, 0.25, 0.5, 0.75]
mx.full(2,3.5) | float32 [3.5, 3.5]
mx.full(2,True) | bool [True, True]
mx.full(2,3,mx.float16) | float16 [3, 3]
mx.eye(2,3,1,mx.int32) | int32 [[0, 1, 0], [0, 0, 1]]
mx.tri(2) | float32 [[1, 0], [1, 1]]
mx.clip(mx.array([1,5],mx.int8),0,2) | int8 [1, 2]
mx.clip(mx.array([1,5]),None,1.5) | float32 [1, 1.5]
mx.where(mx.array([True,False]),1,2.5) | float32 [1, 2.5]
mx.concatenate([mx.ones((1,2)),mx.zeros((1,2))],axis=None) | float32 [1, 1, 0, 0]
mx.stack([mx.ones(2),mx.zeros(2)],axis=1) | float32 [[1, 0], [1, 0]]
mx.tile(mx.array([1,2]),2) | int32 [1, 2, 1, 2]
mx.roll(mx.array([1,2,3]),1) | int32 [3, 1, 2]
mx.flip(mx.array([[1,2],[3,4]]),axis=1) | int32 [[2, 1], [4, 3]]
mx.pad(mx.array([1,2]),(1,2),constant_values=9) | int32 [9, 1, 2, 9, 9]
mx.pad(mx.ones((1,1)),[(0,1),(1,0)]) | float32 [[0, 1], [0, 0]]
mx.take(mx.arange(12).reshape(3,4),1,axis=1) | int32 [1, 5, 9]
mx.cumsum(mx.array([[1,2],[3,4]]),reverse=True) | int32 [10, 9, 7, 4]
mx.cumsum(mx.array([True,True])) | int32 [1, 2]
mx.diff(mx.array([1,4,9])) | int32 [3, 5]
mx.convolve(mx.array([1.,2.,3.]),mx.array([0.,1.,0.5])) | float32 [0, 1, 2.5, 4, 1.5]
mx.convolve(mx.array([1.,2.,3.]),mx.array([0.,1.,0.5]),mode='same') | float32 [1, 2.5, 4]
mx.std(mx.array([1.,3.])) | float32 1
mx.array([1.,3.]).var(correction=1) | float32 2
mx.einsum('ij,jk->ik',mx.ones((1,2)),mx.ones((2,1))) | float32 [[2]]
mx.tensordot(mx.ones((2,3)),mx.ones((3,2)),axes=[[1],[0]]) | float32 [[3, 3], [3, 3]]
mx.as_strided(mx.arange(4),(2,2),(1,1)) | int32 [[0, 1], [1, 2]]
mx.atleast_2d(mx.array(1)) | int32 [[1]]
mx.unique(mx.array([3,1,2,3,1]),size=4) | int32 [1, 2, 3, 1]
mx.searchsorted(mx.array([1,3,5]),mx.array([0,1,3,6]),side='right') | uint32 [0, 1, 2, 3]
mx.round(mx.array([1.25]),decimals=1) | float32 [1.2]
""".strip().split("\n"),
)
def test_forms_of_arguments(line):
    expression, expected = line.split(" | ")
    dtype, _, value = expected.partition(" ")
    got = eval(expression)
    assert (
        str(got.dtype) == f"mlx.core.{dtype}"
        and mx.allclose(got.astype(mx.float32), mx.array(eval(value), mx.float32)).item()
        and got.shape == mx.array(eval(value)).shape
    )


def test_results_that_are_sequences():
    assert (
        isinstance(mx.split(mx.ones(4), 2), list)
        and isinstance(mx.meshgrid(mx.ones(2), mx.ones(3)), tuple)
        and isinstance(mx.divmod(7, 2), list)
    )
    assert [p.shape for p in mx.split(mx.ones((3, 4)), [1, 3], axis=1)] == [(3, 1), (3, 2), (3, 1)]
    assert [r.tolist() for r in mx.unstack(mx.array([[1, 2], [3, 4]]))] == [[1, 2], [3, 4]]
    assert mx.broadcast_shapes((2, 1), (3,)) == (2, 3) and [
        a.shape for a in mx.atleast_1d(mx.array(1), mx.array(2))
    ] == [(1,), (1,)]


def test_dtypes():
    assert (
        repr(mx.float32) == "mlx.core.float32"
        and repr(mx.bool_) == "mlx.core.bool"
        and mx.float32.size == 4
        and mx.float32 in {mx.float32: 1}
    )
    assert mx.float32 != mx.float16 and (mx.float32 == "float32") is False
    with pytest.raises(TypeError):
        mx.Dtype()
    assert repr(mx.floating) == str(mx.floating) == "DtypeCategory.floating" and mx.floating.value == 1
    for a, b, yes in (
        (mx.float32, mx.floating, True),
        (mx.bool_, mx.integer, False),
        (mx.int8, mx.signedinteger, True),
        (mx.complex64, mx.inexact, True),
        (mx.integer, mx.number, True),
        (mx.number, mx.integer, False),
        (mx.int32, mx.int32, True),
        (mx.bool_, mx.generic, True),
    ):
        assert mx.issubdtype(a, b) is yes
    assert (
        mx.can_cast(mx.int64, mx.float32)
        and not mx.can_cast(mx.float32, mx.int32)
        and not mx.can_cast(mx.uint8, mx.int8)
    )
    assert mx.isdtype(mx.int32, ("bool", "integral")) and not mx.isdtype(mx.bool_, "numeric")
    with pytest.raises(ValueError):
        mx.isdtype(mx.int32, "foo")


def test_finfo_and_iinfo():
    assert (
        repr(mx.finfo(mx.float16)) == "finfo(min=-65504, max=65504, dtype=float16)"
        and repr(mx.iinfo(mx.uint64)) == "iinfo(min=0, max=18446744073709551615, dtype=uint64)"
    )
    assert (
        repr(mx.finfo(mx.float64)) == "finfo(min=-1.79769e+308, max=1.79769e+308, dtype=float64)"
        and mx.iinfo(mx.int8).min == -128
        and mx.iinfo(mx.int64).max == 2**63 - 1
    )
    f = mx.finfo(mx.bfloat16)
    assert (f.eps, f.bits, f.dtype) == (0.0078125, 16, mx.bfloat16) and mx.finfo(
        mx.float32
    ).smallest_normal == 1.1754943508222875e-38
    for bad in (lambda: mx.finfo(mx.int32), lambda: mx.iinfo(mx.float32)):
        with pytest.raises(ValueError):
            bad()


def test_devices_and_streams():
    assert (
        repr(mx.cpu) == "DeviceType.cpu"
        and repr(mx.Device(mx.gpu)) == "Device(gpu, 0)"
        and mx.Device(mx.cpu, 0) == mx.cpu
        and mx.Device(mx.cpu, 3) != mx.cpu
    )
    assert (
        mx.default_device() == mx.cpu
        and mx.device_count(mx.cpu) == 1
        and mx.is_available(mx.cpu)
        and "architecture" in mx.device_info()
    )
    s = mx.default_stream(mx.cpu)
    assert (
        repr(s).startswith("Stream(Device(cpu, 0), ")
        and s.device == mx.cpu
        and s == mx.default_stream(mx.cpu) != mx.new_stream(mx.cpu)
    )
    other = mx.new_stream(mx.cpu)
    with mx.stream(other):
        assert mx.default_stream(mx.cpu) == other
        with mx.stream(mx.cpu):
            x = mx.ones(2) + 1
    assert mx.default_stream(mx.cpu) == s and (x + mx.ones(2, stream=other)).tolist() == [3, 3]
    mx.synchronize(), mx.synchronize(mx.cpu), mx.synchronize(other)
    if not mx.is_available(mx.gpu):
        for call in (
            lambda: mx.set_default_device(mx.gpu),
            lambda: mx.zeros(2, stream=mx.gpu),
            lambda: mx.new_stream(mx.gpu),
            lambda: mx.default_stream(mx.gpu),
        ):
            with pytest.raises(ValueError):
                call()


def test_memory():
    x = mx.ones((1000,)) + mx.arange(1000)
    mx.eval(x)
    assert mx.get_active_memory() >= 4000 and mx.get_peak_memory() >= 4000 and mx.get_array_buffer_size(x) >= 4000
    with pytest.raises(ValueError):
        mx.get_array_buffer_size(x + 1)
    old = mx.set_cache_limit(10**6)
    assert mx.set_cache_limit(old) == 10**6
    mx.clear_cache()
    assert mx.get_cache_memory() == 0 and mx.get_memory_limit() > 0 and mx.set_wired_limit(1000) == 0
    mx.reset_peak_memory()


def test_metal_and_cuda_are_absent_politely():
    assert mx.metal.is_available() is False and mx.metal.device_info() == {} and mx.metal.start_capture("x") is None
    k = mx.fast.metal_kernel(name="a", input_names=["x"], output_names=["y"], source="")
    with pytest.raises(RuntimeError, match="No Metal back-end"):
        k(inputs=[mx.ones(1)], output_shapes=[(1,)], output_dtypes=[mx.float32], grid=(1, 1, 1), threadgroup=(1, 1, 1))
    if not mx.cuda.is_available():
        with pytest.raises(RuntimeError):
            mx.fast.cuda_kernel(name="a", input_names=["x"], output_names=["y"], source="")


def test_random_state_and_keys():
    mx.random.seed(0)
    assert (
        mx.random.state[0].tolist() == [0, 0]
        and len(mx.random.state) == 1
        and type(mx.random.state).__name__ == "_RandomState"
    )
    mx.random.uniform()
    assert mx.random.state[-1].tolist() == [4146024105, 967050713] and [k.shape for k in mx.random.state] == [(2,)]
    with pytest.raises(IndexError):
        mx.random.state[1]
    assert mx.random.key(2**32 + 5).tolist() == [1, 5] and mx.random.key(2**64 - 1).tolist() == [2**32 - 1] * 2
    k = mx.random.key(0)
    assert mx.random.split(k).tolist() == [[4146024105, 967050713], [2718843009, 1272950319]]
    assert mx.random.randint(0, 10, (6,), key=k).tolist() == [5, 0, 7, 8, 5, 4] and mx.random.permutation(
        6, key=k
    ).tolist() == [1, 5, 0, 4, 2, 3]
    assert mx.random.bernoulli(mx.array([0.0, 0.3, 1.0]), key=k).tolist() == [False, False, True]
    with pytest.raises(AttributeError):
        mx.random.foo


def test_importing_is_quick_and_leaves_numpy_out():
    code = "import sys, time; t = time.perf_counter(); import mlx.core; d = time.perf_counter() - t; print('numpy' in sys.modules, d)"
    loaded, seconds = min(
        (
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
            for _ in range(5)
        ),
        key=lambda r: float(r[1]),
    )
    assert loaded == "False" and float(seconds) < 0.5
