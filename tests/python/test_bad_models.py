"""Model folders that are broken in one way each: the error names the file, the tensor, what was given and what was expected.

Headers of .safetensors files go through mx.load; whole folders through mlx-lm, nothing patched, whose own words (about its
config.json, say) are its affair; layers and products through mlx.nn and mlx.core.
"""

import gc
import importlib.util
import json
import os
import pathlib
import shutil
import struct
import sys

import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten

CLIENTS = pathlib.Path(__file__).parents[1] / "clients"


def refusal(f, kind=Exception):
    with pytest.raises(kind) as e:
        mx.eval(f())
    return str(e.value)


# ---- the header of a file --------------------------------------------------------------------------------------------


def entry(dtype="F32", shape=(2,), begin=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def write(path, header, data=8, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + bytes(data))
    return path


HEADERS = {
    "dtype": ({"w": entry("F33")}, ["'w'", "unsupported dtype F33", "expected BOOL, U8"]),
    "dtype is no name": ({"w": {**entry(), "dtype": 3}}, ["'w'", "a string was expected"]),
    "shape and bytes": ({"w": entry(shape=(3,))}, ["'w'", "(0, 8)", "shape (3) of F32 needs 12 bytes"]),
    "below zero": ({"w": entry(shape=(-3,))}, ["'w'", "shape", "expected 0 to 2147483647"]),
    "too large": ({"w": entry(shape=(2**31,), end=2**33)}, ["'w'", "shape", "expected 0 to 2147483647"]),
    "bytes beyond 64 bits": ({"w": entry(shape=(2**31 - 1,) * 3)}, ["'w'", "needs"]),
    "dimensions": ({"w": entry(shape=(1,) * 40 + (2,))}, ["'w'", "more than 32 dimensions"]),
    "shape is no list": ({"w": {**entry(), "shape": "x"}}, ["'w'", "the shape is no list"]),
    "past the end": ({"w": entry(shape=(4,), end=16)}, ["'w'", "(0, 16)", "exceeding the size of the file", "8 bytes"]),
    "backwards": ({"w": entry(begin=8, end=0)}, ["'w'", "(8, 0)"]),
    "before the data": ({"w": entry(begin=-8, end=0)}, ["'w'", "data_offsets"]),
    "the same place": ({"w": entry(), "v": entry()}, ["'w'", "'v'", "(0, 8)", "overlaps"]),
    "partly the same place": ({"w": entry(), "e": entry(shape=(0,), begin=4, end=4), "v": entry(begin=4, end=12)},
                              ["'w'", "'v'", "(0, 8)", "(4, 12)", "overlaps"]),
    "no shape": ({"w": {"dtype": "F32", "data_offsets": [0, 8]}}, ["'w'", "lacks shape"]),
    "no dtype": ({"w": {"shape": [2], "data_offsets": [0, 8]}}, ["'w'", "lacks dtype"]),
    "no offsets": ({"w": {"dtype": "F32", "shape": [2]}}, ["'w'", "lacks data_offsets"]),
    "no object": ({"w": 3}, ["'w'", "no object"]),
    "cut": (b'{"w": {"dtype": "F32", ', ["'w'", "json"]),
    "a list": ([1], ["json", "no object"]),
    "more behind it": (b"{} and more", ["json", "something follows"]),
    "metadata": ({"__metadata__": {"a": 3}}, ["json", "string"]),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_lies_is_told_with_file_and_tensor(case, tmp_path):
    header, words = HEADERS[case]
    path = write(tmp_path / "model.safetensors", header, 16 if case.startswith("partly") else 8)
    message = refusal(lambda: mx.load(str(path)), RuntimeError)
    assert message.startswith("[load_safetensors]") and all(word in message for word in [*words, str(path)]), message


def test_a_header_of_another_length_than_said_is_told_with_both(tmp_path):
    path = write(tmp_path / "x.safetensors", {"w": entry()}, length=10**6)
    message = refusal(lambda: mx.load(str(path)), RuntimeError)
    assert str(path) in message and "1000000 bytes" in message and f"{path.stat().st_size - 8} after it" in message
    for content in (b"", b"12345"):
        path.write_bytes(content)
        message = refusal(lambda: mx.load(str(path)), RuntimeError)
        assert str(path) in message and "8 bytes expected" in message and f"it has {len(content)}" in message


# ---- parameters ------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(16, 64)
        self.layers = [nn.QuantizedLinear(64, 32, bias=False, group_size=32, bits=4), nn.RMSNorm(32)]
        self.own = mx.zeros(3)


def ints(a):
    return a.astype(mx.int32)


PARAMETERS = {
    "missing": (lambda w: w.pop("layers.1.weight"), ["Missing 1 parameters", "layers.1.weight", "not in {}"]),
    "unknown": (lambda w: w.update(zz=mx.ones(3)), ["Received 1 parameters not in model", "zz", "read from {}"]),
    "shape": (lambda w: w.update({"embed.weight": w["embed.weight"][:7]}), ["(16, 64)", "(7, 64)", "embed.weight", "in {}"]),
    "packed shape": (lambda w: w.update({"layers.0.weight": w["layers.0.weight"][:, :4]}), ["(32, 8)", "(32, 4)", "layers.0.weight", "in {}"]),
    "integers": (lambda w: w.update({"embed.weight": ints(w["embed.weight"])}), ["float32", "int32", "embed.weight", "in {}"]),
    "integers as scales": (lambda w: w.update({"layers.0.scales": ints(w["layers.0.scales"])}), ["float32", "int32", "layers.0.scales", "in {}"]),
    "floats as words": (lambda w: w.update({"layers.0.weight": w["layers.0.weight"].astype(mx.float32)}),
                        ["uint32", "float32", "layers.0.weight", "in {}"]),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_unfit_parameters_are_told_with_file_name_and_both_facts(case, tmp_path):
    change, words = PARAMETERS[case]
    weights = tree_flatten(Net().parameters(), destination={})
    change(weights)
    path = tmp_path / "net.safetensors"
    mx.save_safetensors(str(path), weights)
    net = Net()
    before = tree_flatten(net.parameters(), destination={})
    for given in (str(path), list(mx.load(str(path)).items())):
        message = refusal(lambda: net.load_weights(given), ValueError)
        assert all(word.format(path) in message for word in words), message
    assert all(value is before[name] for name, value in tree_flatten(net.parameters())), "something was set"


def test_other_floats_fit_and_a_module_of_ones_own_takes_anything(tmp_path):
    weights = tree_flatten(Net().parameters(), destination={})
    weights["embed.weight"] = weights["embed.weight"].astype(mx.bfloat16)
    weights["own"] = mx.array([1, 2, 3])
    net = Net().load_weights(list(weights.items()))
    assert net.embed.weight.dtype == mx.bfloat16 and net.own.dtype == mx.int32


def test_several_files_are_named(tmp_path):
    weights = tree_flatten(Net().parameters(), destination={})
    weights.pop("own")
    read = {}
    for i, (name, value) in enumerate(weights.items()):
        mx.save_safetensors(str(tmp_path / f"{i}.safetensors"), {name: value})
        read.update(mx.load(str(tmp_path / f"{i}.safetensors")))
    message = refusal(lambda: Net().load_weights(list(read.items())), ValueError)
    assert "own." in message and str(tmp_path / "3.safetensors") in message and "and 1 more" in message


# ---- packed weights --------------------------------------------------------------------------------------------------


def packed():
    return mx.ones((3, 64)), *mx.quantize(mx.random.normal((128, 64)), group_size=32, bits=4)


@pytest.mark.parametrize("options, words", [
    *[({"bits": b}, ["(128,8)", "(128,2)", f"bits={b}"]) for b in (0, 1, 3, 5, 7, 8, 33, -4)],
    *[({"group_size": g}, ["(128,8)", "(128,2)", f"group_size={g}"]) for g in (0, 16, 48, 64, -32)],
    ({"mode": "zz"}, ["'zz'"]),
    ({"mode": "mxfp4"}, ["uint8", "float32"]),
    ({"scales": lambda s: s[:64], "biases": lambda b: b[:64]}, ["(128,8)", "(64,2)"]),
    ({"scales": lambda s: s[:, :1]}, ["(128,1)", "(128,2)"]),
    ({"biases": lambda b: b[:, :1]}, ["(128,2)", "(128,1)"]),
    ({"biases": lambda b: None}, ["Biases must be"]),
    ({"scales": ints}, ["scales", "int32"]),
    ({"biases": ints}, ["biases", "int32"]),
    ({"w": ints}, ["uint32", "int32"]),
    ({"x": lambda x: x[:, :32]}, ["(..., 32)", "(64, 128)"]),
], ids=lambda v: str(list(v.items())[0])[:24] if isinstance(v, dict) else "")
def test_a_product_whose_parts_do_not_fit_tells_both(options, words):
    parts = dict(zip(("x", "w", "scales", "biases"), packed()))
    for name in parts:
        if name in options:
            parts[name] = options[name](parts[name])
    given = {"group_size": 32, "bits": 4, **{k: v for k, v in options.items() if not callable(v)}}
    message = refusal(lambda: mx.quantized_matmul(parts["x"], parts["w"], parts["scales"], parts["biases"], **given), ValueError)
    assert message.startswith("[quantized_matmul]") and all(word in message for word in words), message
    if "x" not in options:
        refusal(lambda: mx.dequantize(parts["w"], parts["scales"], parts["biases"], **given), ValueError)


# ---- whole folders ---------------------------------------------------------------------------------------------------

needs_mlx_lm = pytest.mark.skipif(importlib.util.find_spec("mlx_lm") is None, reason="mlx-lm is not installed")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.path.insert(0, str(CLIENTS))
    try:
        from make_models import FAMILIES, write_model
    finally:
        sys.path.remove(str(CLIENTS))
    from mlx_lm.utils import load_model, quantize_model, save_config, save_model

    home = tmp_path_factory.mktemp("models")
    base = write_model(home / "plain", "llama", FAMILIES["llama"])
    for name, mode, bits in (("affine", "affine", 4), ("mxfp4", "mxfp4", 4)):
        model, config = load_model(base)
        model, config = quantize_model(model, config, 32, bits, mode=mode)
        (home / name).mkdir()
        save_model(home / name, model)
        save_config(config, home / name / "config.json")
    return home


@pytest.fixture
def broken(models, tmp_path):
    def make(kind, tensors=None, config=None):
        folder = tmp_path / "model"
        shutil.copytree(models / kind, folder)
        if tensors:
            file = str(folder / "model.safetensors")
            weights = dict(mx.load(file))
            tensors(weights)
            mx.save_safetensors(file, weights, {"format": "mlx"})
        if config:
            known = json.loads((folder / "config.json").read_text())
            config(known)
            (folder / "config.json").write_text(json.dumps(known))
        return folder

    return make


def says(folder, *words, kind=ValueError):
    from mlx_lm.utils import load_model

    message = refusal(lambda: load_model(folder)[0].parameters(), kind)
    assert all(word in message for word in words), message
    return message


UP, Q = "model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj."


def edit(name, f):
    return lambda w: w.update({name: f(w[name])})


@needs_mlx_lm
@pytest.mark.parametrize("kind, tensors, words", [
    ("plain", lambda w: w.pop(UP), ["Missing 1 parameters", UP]),
    ("plain", lambda w: w.update(zz=mx.ones(3)), ["Received 1 parameters not in model", "zz"]),
    ("plain", edit(UP, lambda a: a[:100]), [UP, "(128, 64)", "(100, 64)"]),
    ("plain", edit(UP, ints), [UP, "float32", "int32"]),
    ("plain", edit("model.embed_tokens.weight", lambda a: a.astype(mx.uint8)), ["embed_tokens.weight", "float32", "uint8"]),
    ("plain", edit("model.norm.weight", lambda a: a > 0), ["model.norm.weight", "float32", "bool"]),
    ("affine", edit(Q + "weight", lambda a: a.view(mx.float32)), [Q + "weight", "uint32", "float32"]),
    ("affine", edit(Q + "scales", lambda a: a[:, :1]), [Q, "(128, 1)", "(128, 2)"]),
    ("affine", edit(Q + "scales", ints), [Q + "scales", "int32"]),
    ("affine", edit(Q + "biases", ints), [Q + "biases", "int32"]),
    ("affine", lambda w: w.pop(Q + "biases"), [Q + "biases", "Missing"]),
    ("affine", lambda w: w.pop(Q + "scales"), [Q + "biases", "not in model"]),
    ("mxfp4", edit(Q + "scales", lambda a: a.astype(mx.float32)), [Q]),
], ids=lambda v: v if isinstance(v, str) else v[0] if isinstance(v, list) else "")
def test_a_folder_with_an_unfit_tensor(broken, kind, tensors, words):
    folder = broken(kind, tensors)
    says(folder, str(folder / "model.safetensors"), *words)


@needs_mlx_lm
@pytest.mark.parametrize("kind, config, words", [
    ("plain", {"num_hidden_layers": 3}, ["Missing", "model.layers.2."]),
    ("plain", {"num_hidden_layers": 1}, ["not in model", "model.layers.1."]),
    ("plain", {"num_attention_heads": 3}, ["q_proj.weight", "(96, 64)", "(128, 64)"]),
    ("plain", {"num_key_value_heads": 3}, ["k_proj.weight", "(96, 64)", "(64, 64)"]),
    ("plain", {"head_dim": 31}, ["q_proj.weight", "(124, 64)", "(128, 64)"]),
    ("plain", {"hidden_size": 65}, ["(264, 65)", "(264, 64)"]),
    ("plain", {"vocab_size": 100}, ["embed_tokens.weight", "(100, 64)", "(264, 64)"]),
    ("affine", {"quantization": None}, ["not in model", "embed_tokens.scales"]),
], ids=str)
def test_a_config_that_disagrees_with_the_tensors(broken, kind, config, words):
    folder = broken(kind, config=lambda c: (c.update(config), c.pop("quantization_config", None)))
    says(folder, str(folder / "model.safetensors"), *words)


@needs_mlx_lm
@pytest.mark.parametrize("given, words", [
    ({"bits": 8}, ["(128, 16)", "(128, 8)"]), ({"bits": 7}, ["7"]), ({"bits": 0}, ["bits 0"]), ({"bits": "4"}, ["str"]), ({"bits": 2.5}, ["float"]),
    ({"group_size": 64}, ["(128, 1)", "(128, 2)"]), ({"group_size": 48}, ["48"]), ({"group_size": 0}, ["size 0"]), ({"mode": "zz"}, ["zz"]),
    ({"mode": "mxfp4"}, ["q_proj.biases"]),
], ids=str)
def test_a_config_with_bits_of_its_own_for_a_layer(broken, given, words):
    """mlx-lm reads what it can from the shapes, but what the config says of one layer it takes."""
    def change(config):
        config["quantization"][Q[:-1]] = {"group_size": 32, "bits": 4, "mode": "affine", **given}
        config.pop("quantization_config", None)

    says(broken("affine", config=change), *words, kind=(ValueError, TypeError))


@needs_mlx_lm
def test_files_that_are_cut_or_not_there(broken, models):
    folder = broken("plain")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    says(folder, str(file), "Tensor '", "exceeding the size", kind=RuntimeError)
    file.write_bytes(whole[:100])
    says(folder, str(file), "header length", "has 92 after it", kind=RuntimeError)
    weights = mx.load(str(models / "plain" / "model.safetensors"))
    file.unlink()
    says(folder, str(folder), kind=FileNotFoundError)
    shards = [str(folder / f"model-0000{i}-of-00002.safetensors") for i in (1, 2)]
    names = sorted(weights)
    mx.save_safetensors(shards[0], {n: weights[n] for n in names[:9]})
    index = {"metadata": {}, "weight_map": {n: pathlib.Path(shards[i >= 9]).name for i, n in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    says(folder, "Missing", names[9], names[-1], shards[0])
    (folder / "config.json").write_text('{"model_type": "llama",')
    says(folder, "line 1", kind=ValueError)      # mlx-lm's own


# ---- tokens and caches -----------------------------------------------------------------------------------------------


@needs_mlx_lm
def test_tokens_that_the_vocabulary_has_not(models):
    from mlx_lm.generate import generate_step
    from mlx_lm.utils import load_model

    model = load_model(models / "plain")[0]
    for tokens, kind, words in (([5, 264, 7], IndexError, "index 264 is out of bounds for axis 0 with size 264"),
                                ([5, -265], IndexError, "index -265 is out of bounds for axis 0 with size 264"),
                                ([1.5, 2.0], ValueError, "dtype float32")):
        assert words in refusal(lambda: list(generate_step(mx.array(tokens), model, max_tokens=2)), kind)
    quantized = load_model(models / "affine")[0]
    assert "index 264" in refusal(lambda: list(generate_step(mx.array([264]), quantized, max_tokens=2)), IndexError)


@needs_mlx_lm
@pytest.mark.parametrize("size", [2, 16])
def test_a_prompt_longer_than_a_rotating_cache_goes_on(models, size):
    from mlx_lm.generate import generate_step
    from mlx_lm.utils import load_model

    model = load_model(models / "plain")[0]
    for step in (4, 2048):
        tokens = list(generate_step(mx.arange(100) + 6, model, max_tokens=20, max_kv_size=size, prefill_step_size=step))
        assert len(tokens) == 20 and all(bool(mx.isfinite(p).all().item()) for _, p in tokens)


@needs_mlx_lm
@pytest.mark.parametrize("options, words", [({"kv_bits": 7, "kv_group_size": 32}, "bits 7"), ({"kv_bits": 4, "kv_group_size": 48}, "48")])
def test_a_quantized_cache_that_cannot_be(models, options, words):
    from mlx_lm.generate import generate_step
    from mlx_lm.utils import load_model

    model = load_model(models / "plain")[0]
    message = refusal(lambda: list(generate_step(mx.arange(9), model, max_tokens=3, quantized_kv_start=0, **options)), ValueError)
    assert "[quantize]" in message and words in message


def test_a_prompt_longer_than_a_cache_of_fixed_size():
    keys, new = mx.zeros((1, 2, 16, 8)), mx.ones((1, 2, 10, 8))
    keys[..., :10, :] = new
    with pytest.raises(ValueError, match=r"\(1, 2, 10, 8\) into shape \(1, 2, 6, 8\)"):
        keys[..., 10:20, :] = new
    assert keys.shape == (1, 2, 16, 8) and mx.sum(keys).item() == 160
    with pytest.raises(ValueError, match=r"lengths.*\(1,2,16,8\).*\(1,2,10,8\)"):
        mx.fast.scaled_dot_product_attention(mx.ones((1, 4, 1, 8)), keys, new, scale=1.0)
    with pytest.raises(ValueError, match="found n_heads 4 for n_kv_heads 3"):
        mx.fast.scaled_dot_product_attention(mx.ones((1, 4, 1, 8)), mx.ones((1, 3, 9, 8)), mx.ones((1, 3, 9, 8)), scale=1.0)


@pytest.mark.parametrize("dims, head, words", [(7, 8, "even but got 7"), (10, 8, r"dimension \(8\) but got 10")])
def test_positions_of_heads_that_do_not_divide(dims, head, words):
    with pytest.raises(ValueError, match=words):
        mx.fast.rope(mx.ones((1, 2, 3, head)), dims, traditional=False, base=1e4, scale=1.0, offset=0)
    with pytest.raises(ValueError, match=r"size 4 but got shape \(3\)"):
        mx.fast.rope(mx.ones((1, 2, 3, 8)), 8, traditional=False, base=None, scale=1.0, offset=0, freqs=mx.ones(3))


# ---- nothing is left behind ------------------------------------------------------------------------------------------


def test_refused_files_leave_no_memory_behind(tmp_path):
    weights = tree_flatten(Net().parameters(), destination={})
    good, bad = str(tmp_path / "good.safetensors"), str(tmp_path / "bad.safetensors")
    mx.save_safetensors(good, {**weights, "own": mx.zeros(3, mx.int32), "embed.weight": mx.zeros((7, 64))})
    write(pathlib.Path(bad), {"a": entry(), "b": entry(begin=8, end=16), "c": entry("F33")}, 24)
    net = Net()
    mx.eval(net.parameters())

    def once():
        refusal(lambda: net.load_weights(good), ValueError)
        refusal(lambda: mx.load(bad), RuntimeError)

    once()
    gc.collect()
    before = mx.get_active_memory()
    for _ in range(50):
        once()
    gc.collect()
    assert mx.get_active_memory() == before
