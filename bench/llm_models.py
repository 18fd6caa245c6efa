"""The models of llm.py: a Llama of the shape of SmolLM 135M with random weights, as folders of mlx-lm and as files of llama.cpp.

    bench/llm_models.py folders     with cmlx and mlx-lm: bf16, and mlx-lm's own convert to 8 and 4 bits
    bench/llm_models.py files       with the package gguf: BF16, Q8_0, Q4_0 of the same weights
"""

import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
HOME = HERE / ".models"
WIDTH, LAYERS, HEADS, KV_HEADS, FFN, VOCABULARY, CONTEXT = 576, 30, 9, 3, 1536, 49152, 2048
CONFIG = dict(model_type="llama", hidden_size=WIDTH, num_hidden_layers=LAYERS, intermediate_size=FFN, num_attention_heads=HEADS,
              num_key_value_heads=KV_HEADS, head_dim=WIDTH // HEADS, rms_norm_eps=1e-5, vocab_size=VOCABULARY, rope_theta=10000.0,
              max_position_embeddings=CONTEXT, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0, torch_dtype="bfloat16")
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm"}


def weight_bytes(bits):
    """What a token reads of the weights: all of them, the embedding as the last product. Scales and biases of 64 are bf16."""
    head = WIDTH // HEADS
    layer = 2 * WIDTH * WIDTH + 2 * WIDTH * KV_HEADS * head + 3 * WIDTH * FFN
    return (LAYERS * layer + VOCABULARY * WIDTH) * (2 if bits == 16 else bits / 8 + 4 / 64)


def write_folders():
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_map
    from mlx_lm.models import llama
    from mlx_lm.utils import quantize_model, save_config, save_model
    for bits in (16, 8, 4):
        folder = HOME / f"mlx-{bits}"
        if (folder / "config.json").exists():
            continue
        mx.random.seed(1)
        model = llama.Model(llama.ModelArgs.from_dict(CONFIG))
        model.update(tree_map(lambda a: a.astype(mx.bfloat16) if a.ndim == 1 else (mx.random.normal(a.shape) * a.shape[-1] ** -0.5).astype(mx.bfloat16),
                              model.parameters()))
        mx.eval(model.parameters())
        config = CONFIG
        if bits < 16:
            model, config = quantize_model(model, dict(CONFIG), 64, bits)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(folder, model)
        save_config(config, folder / "config.json")


def write_files():
    import gguf
    import numpy as np
    folder = HOME / "mlx-16"
    raw = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8:start])
    for name, kind in (("BF16", gguf.GGMLQuantizationType.BF16), ("Q8_0", gguf.GGMLQuantizationType.Q8_0),
                       ("Q4_0", gguf.GGMLQuantizationType.Q4_0)):
        path = HOME / f"{name}.gguf"
        if path.exists():
            continue
        out = gguf.GGUFWriter(str(path) + ".part", "llama")
        describe(gguf, out)
        for key, at in head.items():
            if key == "__metadata__":
                continue
            begin, end = at["data_offsets"]
            bits = np.frombuffer(raw, np.uint16, (end - begin) // 2, start + begin).astype(np.uint32) << 16
            value, norm = bits.view(np.float32).reshape(at["shape"]), len(at["shape"]) == 1
            as_what = gguf.GGMLQuantizationType.F32 if norm else kind
            out.add_tensor(their_name(key), gguf.quants.quantize(value, as_what), raw_dtype=as_what)
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
        out.close()
        pathlib.Path(str(path) + ".part").rename(path)


def describe(gguf, out):
    head = WIDTH // HEADS
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(FFN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KV_HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_freq_base(10000.0)
    out.add_rope_dimension_count(head)
    out.add_vocab_size(VOCABULARY)
    out.add_tokenizer_model("gpt2")
    out.add_token_list([f"t{i}" for i in range(VOCABULARY)])
    out.add_token_types([gguf.TokenType.NORMAL] * VOCABULARY)
    out.add_token_merges(["t 1"])
    out.add_bos_token_id(0)
    out.add_eos_token_id(0)


def their_name(key):
    if not key.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[key]
    _, _, layer, rest = key.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def make():
    """All that is missing, each by the interpreter that can."""
    import harness
    for what, environment, last in (("folders", "cmlx", HOME / "mlx-4" / "config.json"), ("files", "llama", HOME / "Q4_0.gguf")):
        if not last.exists():
            subprocess.run([harness.python_of(environment), __file__, what], check=True)


if __name__ == "__main__":
    {"folders": write_folders, "files": write_files}[sys.argv[1]]()
