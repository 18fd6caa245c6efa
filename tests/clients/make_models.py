"""Tiny models of many families, the same on every machine.

A family is its config.json; the names and shapes of its tensors are asked of mlx-lm's own model class, and the values come from
integers: a hash of the tensor's name and the element's index. The tokenizer has one token a byte and a few special ones. Nothing
is downloaded, no random generator is used, so the real MLX (golden.py) and cmlx read the same bytes.
"""
import json
from pathlib import Path
import zlib

import numpy as np

SPECIAL = ["<|endoftext|>", "<pad>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
TEMPLATE = ("{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>{% endif %}")
VOCABULARY = 264                      # 6 special tokens, 256 bytes, two that never come up
TRANSFORMER = dict(hidden_size=64, num_hidden_layers=2, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2,
                   rms_norm_eps=1e-5, vocab_size=VOCABULARY, rope_theta=10000.0, max_position_embeddings=512,
                   tie_word_embeddings=False)
EXPERTS = dict(num_local_experts=4, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64, decoder_sparse_step=1,
               norm_topk_prob=True, mlp_only_layers=[])

FAMILIES = {
    "llama": dict(TRANSFORMER, head_dim=32, tie_word_embeddings=True),
    "mistral": dict(TRANSFORMER, head_dim=32),
    "qwen2": dict(TRANSFORMER),
    "qwen3": dict(TRANSFORMER, head_dim=16),
    "phi3": dict(TRANSFORMER),
    "gemma2": dict(TRANSFORMER, head_dim=16, num_hidden_layers=2, query_pre_attn_scalar=16),
    "gemma3": dict(model_type="gemma3", vocab_size=VOCABULARY, text_config=dict(
        TRANSFORMER, model_type="gemma3_text", head_dim=16, num_hidden_layers=3, query_pre_attn_scalar=16, sliding_window=16,
        sliding_window_pattern=3, rope_global_base_freq=10000.0, rope_local_base_freq=10000.0)),
    "mixtral": dict(TRANSFORMER, **EXPERTS),
    "qwen3_moe": dict(TRANSFORMER, head_dim=16, **EXPERTS),
    "gpt_oss": dict(TRANSFORMER, **EXPERTS, head_dim=32, sliding_window=8, layer_types=["sliding_attention", "full_attention"],
                    rope_scaling=None),
    "deepseek_v3": dict(TRANSFORMER, **EXPERTS, n_routed_experts=4, n_shared_experts=1, n_group=1, topk_group=1,
                        topk_method="noaux_tc", scoring_func="sigmoid", routed_scaling_factor=1.0, kv_lora_rank=32,
                        q_lora_rank=32, qk_rope_head_dim=16, qk_nope_head_dim=16, v_head_dim=16, first_k_dense_replace=1,
                        moe_layer_freq=1, attention_bias=False, rope_scaling=None),
    "qwen3_next": dict(TRANSFORMER, **EXPERTS, head_dim=16, linear_num_value_heads=4, linear_num_key_heads=2,
                       linear_key_head_dim=32, linear_value_head_dim=32, linear_conv_kernel_dim=4, full_attention_interval=2,
                       partial_rotary_factor=0.5, shared_expert_intermediate_size=64),
    "mamba": dict(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=128, state_size=8, num_hidden_layers=2, conv_kernel=4,
                  use_bias=False, use_conv_bias=True, time_step_rank=4),
    "mamba2": dict(num_heads=4, head_dim=32, vocab_size=VOCABULARY, hidden_size=64, intermediate_size=128, state_size=16,
                   num_hidden_layers=2, layer_norm_epsilon=1e-5, conv_kernel=4, n_groups=1, use_bias=False, use_conv_bias=True,
                   tie_word_embeddings=True, time_step_limit=[0.0, 1e6], time_step_rank=4, ssm_state_size=16,
                   max_position_embeddings=512),
}


def rule(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Floats in [-1, 1) from a hash of the name and of each index: exact, so the same everywhere."""
    x = np.arange(int(np.prod(shape)), dtype=np.uint32) * np.uint32(2654435761) + np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - 1).reshape(shape)


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that keep activations near one and make the tokens depend on the text."""
    value = rule(name, shape)
    if len(shape) >= 2:
        fan_in = shape[1] if name.endswith("conv1d.weight") else shape[-1]
        return value * np.float32(0.25 if "embed" in name else 2.5 / fan_in ** 0.5)
    if "norm" in name and name.endswith("weight") or name.endswith(".D"):
        return 1 + value / 8
    return value / 4


def write_tokenizer(folder: Path, more: list[str] = []) -> None:
    """A byte-level tokenizer without merges, in the form that the package tokenizers reads; more special tokens stand at its end."""
    printable = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    rest = iter(range(256, 512))
    letters = [chr(b) if b in printable else chr(next(rest)) for b in range(256)]
    special = list(enumerate(SPECIAL)) + list(enumerate(more, len(SPECIAL + letters)))
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [dict(id=i, content=token, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
                         for i, token in special],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "merges": [],
                  "vocab": {t: i for i, t in enumerate(SPECIAL + letters + more)}}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(
        tokenizer_class="PreTrainedTokenizerFast", eos_token=SPECIAL[0], bos_token=SPECIAL[0], pad_token=SPECIAL[1],
        model_max_length=4096, clean_up_tokenization_spaces=False, chat_template=TEMPLATE)))


def write_model(folder: Path, family: str, config: dict, dtype: str = "float32") -> Path:
    """Write the model of a family into folder and return it. Needs mlx-lm, and an mlx to build its classes on."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.utils import _get_classes

    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": family, "eos_token_id": 0, "bos_token_id": 0, "torch_dtype": dtype, **config}
    Model, Arguments = _get_classes(config)
    model = Model(Arguments.from_dict(config))
    weights = {name: mx.array(tensor(name, tuple(value.shape))).astype(getattr(mx, dtype))
               for name, value in tree_flatten(model.parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    write_tokenizer(folder)
    return folder
