"""mlx.nn: modules, what layers refuse, gradients with respect to a module. The layers' numbers: test_nn_golden.py."""

import copy
import pickle

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_map


def needs(path):
    """Skip a test for a part of mlx.core that is not there yet."""
    there = mx
    for name in path.split("."):
        there = getattr(there, name, None)
    return pytest.mark.skipif(there is None, reason=f"mlx.core has no {path} yet")


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.z = nn.Linear(2, 3)
        self.a = [nn.Linear(3, 3), nn.ReLU(), {"k": nn.Linear(3, 1)}]
        self._hidden = mx.zeros(2)
        self.scale = mx.array(1.0)
        self.t = (nn.Linear(2, 2), mx.ones(1))
        self.name = "model"
        self.nothing = None
        self.d = {"x": mx.zeros(3), "y": 5}

    def __call__(self, x):
        x = self.a[1](self.a[0](self.z(x)))
        return self.a[2]["k"](x) * self.scale


def names(tree):
    return [k for k, v in tree_flatten(tree) if isinstance(v, mx.array)]


PARAMETERS = ["z.weight", "z.bias", "a.0.weight", "a.0.bias", "a.2.k.weight", "a.2.k.bias", "scale", "d.x"]

# -- the tree -----------------------------------------------------------------------------------------------------------


def test_arrays_containers_and_modules_go_into_the_dict():
    m = Model()
    assert list(m) == ["z", "a", "_hidden", "scale", "t", "d"]
    assert m.state is m
    assert m.name == "model" and m.nothing is None
    assert m["scale"] is m.scale


def test_parameters_leave_out_underscores_and_tuples():
    assert names(Model().parameters()) == PARAMETERS
    assert Model().parameters()["a"][1] == {}
    assert Model().parameters()["d"]["y"] == {}


def test_setting_moves_between_dict_and_attributes():
    m = nn.Linear(2, 3)
    m.bias = None
    assert "bias" not in m and m.bias is None
    m.bias = mx.ones(3)
    assert "bias" in m and "bias" not in vars(m)
    m.bias = 3
    assert "bias" not in m and m.bias == 3
    del m.weight
    assert list(m) == []
    with pytest.raises(AttributeError):
        del m.weight


def test_an_entry_is_an_attribute_unless_object_or_class_has_one():
    class Hidden(nn.Module):
        kind = "class"

        @property
        def broken(self):
            raise AttributeError("no luck inside")

    class Below(Hidden):
        pass

    m = Below()
    m["kind"], m["own"], m["keys"], m["late"] = 1, 2, 3, 4
    assert m.kind == "class" and m.own == 2 and m.keys is not m["keys"] and m.late == 4
    m.__dict__["own"] = "plain"
    assert m.own == "plain" and m["own"] == 2
    Hidden.late = "set later"
    assert m.late == "set later"
    del Hidden.late
    assert m.late == 4
    with pytest.raises(AttributeError, match="no luck inside"):
        m.broken
    m["broken"] = 5
    assert m.broken == 5


def test_a_subclass_may_look_further_and_index():
    class Wrapped(nn.Module):
        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __getitem__(self, i):
            return self.inner[i]

    m = Wrapped()
    m.inner = nn.Linear(2, 3)
    assert m.weight is m.inner.weight is m["weight"]
    with pytest.raises(AttributeError, match="no attribute 'wait'"):
        m.wait


def test_a_class_may_be_given_other_rules_of_attributes_later():
    class Plain(nn.Module):
        pass

    class Below(Plain):
        pass

    m = Below()
    m.weight = mx.ones(2)
    assert m.weight is m["weight"]
    Plain.__getattr__ = lambda self, name: f"no {name}"
    assert m.wait == "no wait" and m.weight is m["weight"]
    Below.__getattribute__ = lambda self, name: 7
    assert m.wait == m.weight == 7 and Plain().wait == "no wait"
    del Below.__getattribute__, Plain.__getattr__
    assert m.weight is m["weight"]
    with pytest.raises(AttributeError, match="no attribute 'wait'"):
        m.wait


def test_who_is_told_of_subclasses_is_told_of_modules_too():
    told = []

    class Listening:
        def __init_subclass__(cls, note=None, **kwargs):
            super().__init_subclass__(**kwargs)
            told.append((cls.__name__, note))

    class Told(nn.Module, Listening, note="it"):
        pass

    assert told == [("Told", "it")]
    with pytest.raises(TypeError, match="keyword"):
        class Refused(nn.Module, note="it"):  # fmt: skip
            pass


def test_a_subclass_may_ask_the_base_for_what_it_does_not_know():
    class Half(nn.Module):
        def __getattr__(self, key):
            return super().__getattr__(key) if key != "half" else 0.5

    m = Half()
    m.weight = mx.ones(2)
    assert m.half == 0.5 and m.weight is nn.Module.__getattr__(m, "weight") is m["weight"]
    with pytest.raises(AttributeError, match="no attribute 'wait'"):
        m.wait


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'Model' object has no attribute 'foo'"):
        Model().foo
    assert not hasattr(Model(), "foo")


def test_repr():
    assert repr(Model()) == (
        "Model(\n"
        "  (z): Linear(input_dims=2, output_dims=3, bias=True)\n"
        "  (a.0): Linear(input_dims=3, output_dims=3, bias=True)\n"
        "  (a.1): ReLU()\n"
        "  (a.2.k): Linear(input_dims=3, output_dims=1, bias=True)\n"
        ")"
    )


@pytest.mark.parametrize(
    "layer, text",
    [
        (
            lambda: nn.Conv1d(3, 8, 3, bias=False),
            "Conv1d(3, 8, kernel_size=3, stride=1, padding=0, dilation=1, groups=1, bias=False)",
        ),
        (
            lambda: nn.Conv2d(4, 8, 3, groups=2),
            "Conv2d(4, 8, kernel_size=(3, 3), stride=(1, 1), padding=(0, 0), dilation=1, groups=2, bias=True)",
        ),
        (
            lambda: nn.ConvTranspose2d(3, 8, 3),
            "ConvTranspose2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(0, 0), dilation=1, output_padding=(0, 0), bias=True)",
        ),
        (lambda: nn.Embedding(4, 5), "Embedding(4, 5)"),
        (lambda: nn.LayerNorm(4), "LayerNorm(4, eps=1e-05, affine=True)"),
        (lambda: nn.BatchNorm(4), "BatchNorm(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"),
        (lambda: nn.GroupNorm(2, 4), "GroupNorm(2, 4, eps=1e-05, affine=True, pytorch_compatible=False)"),
        (lambda: nn.Dropout(0.3), "Dropout(p=0.30000000000000004)"),
        (lambda: nn.RoPE(8), "RoPE(8, traditional=False)"),
        (lambda: nn.MaxPool2d(2), "MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"),
        (lambda: nn.Upsample(2), "Upsample(scale_factor=2.0, mode='nearest', align_corners=False)"),
        (lambda: nn.LSTM(2, 3), "LSTM(input_dims=2, hidden_size=3, bias=True)"),
        (lambda: nn.Bilinear(2, 3, 4), "Bilinear(input1_dims=2, input2_dims=3, output_dims=4, bias=True)"),
        (lambda: nn.Sequential(nn.ReLU()), "Sequential(\n  (layers.0): ReLU()\n)"),
    ],
)
def test_repr_of_layers(layer, text):
    assert repr(layer()) == text


def test_walks():
    m = Model()
    assert [k for k, _ in m.named_modules()] == ["", "a.2.k", "a.1", "a.0", "z"]
    assert [type(x).__name__ for x in m.modules()] == ["Model", "Linear", "ReLU", "Linear", "Linear"]
    assert [k for k, v in tree_flatten(m.leaf_modules(), is_leaf=nn.Module.is_module) if v != {} or "1" in k] == [
        "z",
        "a.0",
        "a.1",
        "a.2.k",
    ]
    seen = []
    assert m.apply_to_modules(lambda k, x: seen.append(k)) is m
    assert seen == ["", "a.2.k", "a.1", "a.0", "z"]


def test_filter_and_map_sees_paths_from_the_module():
    keys = []
    Model().filter_and_map(lambda m, k, v: keys.append((type(m).__name__, k)) or True)
    assert ("Model", "a.2.k") in keys and ("Linear", "weight") in keys and ("Model", "d.x") in keys
    shapes = Model().filter_and_map(lambda m, k, v: k == "scale", lambda x: x.shape)
    assert shapes == {"scale": ()}
    with pytest.raises(RuntimeError, match="leaf"):
        Model().filter_and_map(lambda *a: True, is_leaf_fn=lambda *a: False)


# -- changing -----------------------------------------------------------------------------------------------------------


def test_update_takes_any_part_of_the_tree():
    m = Model()
    w = mx.zeros((3, 2))
    assert m.update({"z": {"weight": w}, "a": [{}, {}, {"k": {"bias": mx.ones(7)}}]}) is m
    assert m.z.weight is w and m.a[2]["k"].bias.shape == (7,)


@pytest.mark.parametrize(
    "new, message",
    [
        ({"zz": mx.zeros(1)}, 'parameter named "zz"'),
        ({"z": 5}, "invalid type: int"),
        ({"z": {"weight": "s"}}, "invalid type: str"),
        ({"scale": {}}, "invalid type: dict"),
        ({"a": [{}, {}, {}, {}]}, "index 3 is out of bounds"),
        ({"t": (1,)}, "invalid type: tuple"),
        ({"name": mx.zeros(1)}, 'parameter named "name"'),
    ],
)
def test_update_refuses(new, message):
    with pytest.raises(ValueError, match=message):
        Model().update(new)


def test_update_that_is_not_strict_passes_over():
    m = Model().update({"zz": mx.zeros(1), "scale": mx.array(3.0)}, strict=False)
    assert "zz" not in m and m.scale.item() == 3


def test_apply_and_set_dtype():
    m = Model()
    assert m.apply(lambda x: x.astype(mx.float16)) is m
    assert m.scale.dtype == mx.float16 and m._hidden.dtype == mx.float32
    m.set_dtype(mx.bfloat16, lambda d: d != mx.float16)
    assert m.scale.dtype == mx.float16
    m.set_dtype(mx.bfloat16)
    assert m.z.weight.dtype == mx.bfloat16


def test_update_modules():
    m = Model()
    assert m.update_modules({"z": nn.Tanh(), "a": [nn.GELU()]}) is m
    assert type(m.z) is nn.Tanh and type(m.a[0]) is nn.GELU and type(m.a[1]) is nn.ReLU
    with pytest.raises(ValueError, match='sub-module named "zz"'):
        m.update_modules({"zz": nn.ReLU()})
    with pytest.raises(ValueError, match="index 3 is out of bounds"):
        m.update_modules({"a": [{}, {}, {}, nn.ReLU()]})
    with pytest.raises(ValueError, match="invalid type: int"):
        m.update_modules({"z": 5})
    assert m.update_modules({"zz": nn.ReLU()}, strict=False) is m


# -- freezing and modes ---------------------------------------------------------------------------------------------------


def test_freeze():
    m = Model()
    assert m.freeze() is m and names(m.trainable_parameters()) == []
    assert m._no_grad == {"scale", "d.x"} and m.z._no_grad == {"weight", "bias"}
    assert m.unfreeze(recurse=False) is m and names(m.trainable_parameters()) == ["scale", "d.x"]
    m.unfreeze(keys="bias")
    assert names(m.trainable_parameters()) == ["z.bias", "a.0.bias", "a.2.k.bias", "scale", "d.x"]
    m.unfreeze()
    assert names(m.trainable_parameters()) == PARAMETERS
    m.freeze(keys=["weight"])
    assert "z.weight" not in names(m.trainable_parameters()) and "z.bias" in names(m.trainable_parameters())


def test_strict_freezing_knows_its_keys():
    m = Model()
    m.freeze(keys="foo")
    m.freeze(keys="bias", strict=True)  # one below has it
    for call in (m.freeze, m.unfreeze, m.z.freeze):
        with pytest.raises(KeyError, match="foo"):
            call(keys="foo", strict=True)
    with pytest.raises(KeyError):
        m.freeze(keys="bias", strict=True, recurse=False)


def test_running_statistics_are_never_trained():
    m = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3))
    bn = m.layers[1]
    assert names(bn.parameters()) == ["weight", "bias", "running_mean", "running_var"]
    m.freeze().unfreeze()
    assert names(bn.trainable_parameters()) == ["weight", "bias"]


def test_training_mode_reaches_all_modules():
    m = Model()
    assert m.training and m.eval() is m
    assert not any(x.training for x in m.modules())
    assert m.t[0].training  # tuples are not walked
    assert m.train().a[2]["k"].training


def test_copies_and_pickles():
    m = nn.BatchNorm(3).eval()
    for other in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert repr(other) == repr(m) and other._no_grad == m._no_grad and not other.training
        assert mx.array_equal(other.running_var, m.running_var)


# -- files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_weights_go_through_files(tmp_path, suffix):
    file = str(tmp_path / f"w.{suffix}")
    a, b = Model(), Model()
    a.save_weights(file)
    assert b.load_weights(file) is b
    for (_, x), (_, y) in zip(tree_flatten(a.parameters()), tree_flatten(b.parameters())):
        assert mx.array_equal(x, y) if isinstance(x, mx.array) else x == y


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Unsupported file extension"):
        nn.Linear(2, 2).save_weights(str(tmp_path / "w.bin"))


W, B = mx.zeros((3, 2)), mx.zeros(3)


@pytest.mark.parametrize(
    "weights, message",
    [
        ([("weight", W)], "Missing 1 parameters: \nbias"),
        ([], "Missing 2 parameters"),
        ([("weight", W), ("bias", B), ("q", B)], "Received 1 parameters not in model: \nq"),
        ([("weight", mx.zeros((2, 2))), ("bias", B)], r"Expected shape \(3, 2\) but received shape \(2, 2\)"),
        ([("weight", [1]), ("bias", B)], "Expected mx.array"),
    ],
)
def test_loading_is_strict(weights, message):
    with pytest.raises(ValueError, match=message):
        nn.Linear(2, 3).load_weights(weights)


def test_loading_that_is_not_strict():
    m = nn.Linear(2, 3)
    m.load_weights([("bias", B), ("q", B)], strict=False)
    assert m.bias is B and "q" not in m


# -- gradients --------------------------------------------------------------------------------------------------------------


def test_value_and_grad_covers_the_trainable_parameters():
    m = Model()
    m.z.freeze()
    x = mx.ones((4, 2))
    step = nn.value_and_grad(m, lambda m, x: (m(x).sum(), x))
    (loss, aux), grads = step(m, x)
    assert aux.shape == (4, 2) and loss.shape == ()
    assert names(grads) == [n for n in PARAMETERS if not n.startswith("z.")]
    np.testing.assert_allclose(np.array(grads["a"][2]["k"]["bias"]), [4.0])


def test_value_and_grad_leaves_the_model_as_it_was():
    m = nn.Linear(2, 2)
    before = m.weight
    nn.value_and_grad(m, lambda m, x: m(x).sum())(m, mx.ones((1, 2)))
    assert m.weight is before
    with pytest.raises(ZeroDivisionError):
        nn.value_and_grad(m, lambda m: 1 / 0)(m)
    assert m.weight is before


def test_value_and_grad_names_itself_after_the_function():
    def loss_of_mine(m):
        "doc"

    wrapped = nn.value_and_grad(nn.ReLU(), loss_of_mine)
    assert wrapped.__name__ == "loss_of_mine" and wrapped.__doc__ == "doc"


def test_batch_norm_keeps_its_statistics_through_a_gradient():
    m = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4))
    x = mx.random.normal((8, 3))
    nn.value_and_grad(m, lambda m, x: m(x).square().mean())(m, x)
    expected = 0.1 * m.layers[0](x).mean(0)
    np.testing.assert_allclose(np.array(m.layers[1].running_mean), np.array(expected), rtol=1e-5, atol=1e-6)


def test_checkpoint_gives_the_same_gradient():
    mx.random.seed(1)
    m = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
    x = mx.random.normal((3, 4))
    plain = nn.value_and_grad(m, lambda x: m(x).sum())(x)
    inside = nn.utils.checkpoint(m)
    again = nn.value_and_grad(m, lambda x: inside(x).sum())(x)
    for (_, a), (_, b) in zip(tree_flatten(plain), tree_flatten(again)):
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-5, atol=1e-6)


def test_training_step_compiles():
    from functools import partial

    import mlx.optimizers as optim

    def steps(compiled):
        mx.random.seed(3)
        m = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        o = optim.Adam(1e-2)
        o.init(m.trainable_parameters())
        x, y = mx.random.normal((16, 4)), mx.random.normal((16, 1))
        loss_and_grad = nn.value_and_grad(m, lambda x, y: nn.losses.mse_loss(m(x), y))

        def step(x, y):
            loss, grads = loss_and_grad(x, y)
            o.update(m, grads)
            return loss

        if compiled:
            step = partial(mx.compile, inputs=[m.state, o.state], outputs=[m.state, o.state])(step)
        return [step(x, y).item() for _ in range(5)]

    plain, compiled = steps(False), steps(True)
    assert plain[-1] < plain[0]
    np.testing.assert_allclose(plain, compiled, rtol=1e-4)


# -- layers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: nn.Linear(3, 4)(mx.zeros((2, 5))), ValueError, r"\[addmm\]"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "divisible"),
        (lambda: nn.Dropout(1.0), ValueError, r"not in \[0, 1\)"),
        (lambda: nn.Dropout2d(0.5)(mx.ones((2, 2))), ValueError, "Expected 3 or 4"),
        (lambda: nn.BatchNorm(3)(mx.ones(3)), ValueError, "2, 3 or 4 dimensions"),
        (lambda: nn.BatchNorm(3)(mx.ones((1, 3))), ValueError, "more than one value"),
        (lambda: nn.MaxPool2d((2, 3, 4)), ValueError, "containing 2 integers"),
        (lambda: nn.MaxPool2d(2)(mx.ones((4, 4))), ValueError, "MaxPool2d"),
        (lambda: nn.MaxPool3d(0), ValueError, r"'kernel_size' must be positive but got \(0, 0, 0\)"),
        (lambda: nn.AvgPool1d(2, -1), ValueError, r"'stride' must be positive but got \(-1,\)"),
        (lambda: nn.MaxPool1d(2, 1, -1), ValueError, r"'padding' must be non-negative but got \(-1,\)"),
        (lambda: nn.GroupNorm(0, 4), ValueError, r"number of groups \(0\) must be a positive"),
        (lambda: nn.GroupNorm(3, 4), ValueError, r"features \(4\) must be evenly divisible by the number of groups \(3\)"),
        (lambda: nn.InstanceNorm(4)(mx.ones((2, 4))), ValueError, "at least 3 dimensions"),
        (lambda: nn.SinusoidalPositionalEncoding(3), ValueError, "positive and even but got 3"),
        (lambda: nn.MultiHeadAttention(7, 2), ValueError, "divisible"),
        (lambda: nn.GELU("x"), ValueError, "approximation"),
        (lambda: nn.RNN(2, 3, nonlinearity=5), ValueError, "callable"),
        (lambda: nn.Upsample(2, mode="q"), ValueError, "unsupported"),
        (lambda: nn.Upsample((2, 2, 2))(mx.ones((1, 4, 4, 1))), ValueError, "One scale per spatial"),
        (lambda: nn.QuantizedLinear(64, 8, mode="q"), ValueError, "Invalid quantization mode"),
        (lambda: nn.losses.mse_loss(mx.ones(3), mx.ones(4)), ValueError, "does not match"),
        (lambda: nn.losses.mse_loss(mx.ones(3), mx.ones(3), reduction="bad"), ValueError, "Invalid reduction"),
        (lambda: nn.losses.cross_entropy(mx.ones((2, 3)), mx.zeros((3,))), ValueError, "does not match"),
        (
            lambda: nn.losses.cross_entropy(mx.ones((2, 3)), mx.array([0, 1]), label_smoothing=1.0),
            ValueError,
            "smoothing",
        ),
        (lambda: nn.init.identity()(mx.zeros((2, 3))), ValueError, "square"),
        (lambda: nn.init.glorot_normal()(mx.zeros(3)), ValueError, "at least 2"),
        (lambda: nn.init.he_normal()(mx.zeros((2, 2)), "x"), ValueError, "Invalid mode"),
    ],
)
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_dropout_keeps_the_mean_and_is_off_in_eval():
    x = mx.ones((100, 100))
    m = nn.Dropout(0.25)
    y = m(x)
    assert abs(y.mean().item() - 1) < 0.05
    assert abs((y == 0).mean().item() - 0.25) < 0.05
    assert m.eval()(x) is x
    assert m.train()(x.astype(mx.float16)).dtype == mx.float16
    whole = nn.Dropout2d(0.5)(mx.ones((4, 3, 3, 8)))
    assert mx.array_equal(whole, mx.broadcast_to(whole[:, :1, :1], whole.shape)).item()


def test_gradient_of_elu_is_finite_far_out():
    assert mx.grad(lambda x: nn.elu(x).sum())(mx.array([-200.0, 0.0, 200.0])).tolist() == [0.0, 1.0, 1.0]


@needs("quantize")
def test_quantize_replaces_layers():
    m = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Embedding(4, 64))
    nn.quantize(m, group_size=32)
    assert [type(x).__name__ for x in m.layers] == ["QuantizedLinear", "ReLU", "QuantizedEmbedding"]
    assert names(m.trainable_parameters()) == ["layers.0.bias"]
    assert (
        repr(m.layers[0])
        == "QuantizedLinear(input_dims=64, output_dims=64, bias=True, group_size=32, bits=4, mode=affine)"
    )
    m = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    nn.quantize(m, class_predicate=lambda path, _: {"bits": 8} if path == "layers.0" else False)
    assert m.layers[0].bits == 8 and type(m.layers[1]) is nn.Linear


@needs("linalg.qr")
def test_orthogonal():
    try:
        mx.eval(mx.linalg.qr(mx.eye(2)))
    except RuntimeError as e:
        pytest.skip(str(e))  # no LAPACK
    for shape in ((5, 5), (3, 5), (5, 3)):
        q = np.array(nn.init.orthogonal(2.0)(mx.zeros(shape)))
        gram = q @ q.T if shape[0] <= shape[1] else q.T @ q
        np.testing.assert_allclose(gram, 4 * np.eye(min(shape)), atol=1e-5)


@needs("distributed.init")
def test_one_process_needs_no_averaging():
    grads = {"a": mx.ones(2)}
    assert nn.average_gradients(grads) is grads
    assert nn.fully_shard(nn.Linear(2, 2)).weight.shape == (2, 2)
    scaled, norm = nn.utils.clip_grad_norm_sharded({"a": mx.ones(4)}, 1.0)
    assert abs(norm.item() - 2) < 1e-6 and abs(scaled["a"][0].item() - 0.5) < 1e-5
    gathered = nn.FullyShardedModule(nn.Linear(2, 3))
    assert gathered(mx.ones((1, 2))).shape == (1, 3)


def test_parameters_share_the_order_of_their_setting():
    assert tree_map(lambda x: x.shape, nn.GRU(2, 3).parameters()) == {
        "Wx": (9, 2),
        "Wh": (9, 3),
        "b": (9,),
        "bhn": (3,),
    }
