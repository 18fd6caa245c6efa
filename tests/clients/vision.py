"""Runs mlx-vlm, nothing patched, on a tiny LLaVA and tiny Qwen-VLs and writes down what they answer: python vision.py FOLDER OUT.json

As programs.py does for mlx-lm: once with the real MLX to make golden_vision.json, by the tests with cmlx. The picture is 56 by 56, a size
that the models' processors leave as it is.
"""
import contextlib
import importlib
import io
import json
from pathlib import Path
import sys

from make_models import SPECIAL, rule, tensor, write_tokenizer

MORE = ["<image>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
FIRST = len(SPECIAL) + 256
IMAGE, START, _, PAD, VIDEO = range(FIRST, FIRST + len(MORE))
VOCABULARY = FIRST + len(MORE)
TEXT = dict(hidden_size=64, num_hidden_layers=2, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2,
            rms_norm_eps=1e-5, vocab_size=VOCABULARY, max_position_embeddings=512, rope_theta=10000.0, tie_word_embeddings=False)
QWEN = dict(TEXT, image_token_id=PAD, video_token_id=VIDEO, vision_start_token_id=START,
            rope_scaling={"type": "mrope", "mrope_section": [2, 3, 3]})
MODELS = {
    "llava": dict(image_token_index=IMAGE, vocab_size=VOCABULARY, text_config=dict(TEXT, model_type="llama"), vision_config=dict(
        model_type="clip_vision_model", num_hidden_layers=3, hidden_size=32, intermediate_size=64, num_attention_heads=2,
        image_size=56, patch_size=14, projection_dim=32, vocab_size=VOCABULARY)),
    "qwen2_vl": dict(QWEN, vision_config=dict(
        model_type="qwen2_vl", depth=2, embed_dim=32, hidden_size=64, num_heads=2, patch_size=14, spatial_patch_size=14)),
    "qwen2_5_vl": dict(QWEN, vision_config=dict(
        model_type="qwen2_5_vl", depth=2, hidden_size=32, intermediate_size=64, out_hidden_size=64, num_heads=2, patch_size=14,
        spatial_patch_size=14, window_size=56, fullatt_block_indexes=[1])),
}
PROCESSORS = {
    "llava": dict(image_processor_type="CLIPImageProcessor", size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}),
    "qwen2_vl": dict(image_processor_type="Qwen2VLImageProcessor", patch_size=14, temporal_patch_size=2, merge_size=2,
                     min_pixels=3136, max_pixels=3136),
}
PROCESSORS["qwen2_5_vl"] = PROCESSORS["qwen2_vl"]
PROMPTS = {"llava": "<image>\nWhat is it?", "qwen2_vl": "<|vision_start|><|image_pad|><|vision_end|>What is it?"}
PROMPTS["qwen2_5_vl"] = PROMPTS["qwen2_vl"]


def write_model(folder: Path, family: str) -> Path:
    import mlx.core as mx
    from mlx.utils import tree_flatten

    folder.mkdir(parents=True)
    config = {"model_type": family, "eos_token_id": 0, "torch_dtype": "float32", **MODELS[family]}
    module = importlib.import_module("mlx_vlm.models." + family)
    made = module.ModelConfig.from_dict(json.loads(json.dumps(config)))
    for key, kind in (("text_config", "TextConfig"), ("vision_config", "VisionConfig")):
        if isinstance(getattr(made, key), dict):
            setattr(made, key, getattr(module, kind).from_dict(getattr(made, key)))
    weights = {name: mx.array(tensor(name, tuple(value.shape))) for name, value in tree_flatten(module.Model(made).parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSORS[family]))
    (folder / "processor_config.json").write_text(json.dumps(
        dict(patch_size=14, vision_feature_select_strategy="default", image_token="<image>", num_additional_image_tokens=1)
        if family == "llava" else {}))
    write_tokenizer(folder, MORE)
    return folder


def picture(folder: Path) -> str:
    import numpy as np
    from PIL import Image

    values = ((rule("picture", (56, 56, 3)) + 1) * 127.5).astype(np.uint8)
    Image.fromarray(values).save(folder / "picture.png")
    return str(folder / "picture.png")


def inputs(family: str, processor: object, image: str) -> dict:
    """What goes with the prompt. mlx-vlm's processor of LLaVA asks transformers 5 for something that it has not: it gets arrays."""
    if family != "llava":
        return {"image": [image]}
    import mlx.core as mx

    before, after = PROMPTS[family].split("<image>")
    encode = processor.tokenizer.encode
    ids = mx.array([encode(before) + [IMAGE] * 16 + encode(after)])
    return {"input_ids": ids, "pixel_values": mx.array(rule("pixels", (1, 3, 56, 56))), "mask": mx.ones(ids.shape, mx.int32)}


def main() -> None:
    from mlx_vlm import convert, generate, load, stream_generate

    folder, out, answers = Path(sys.argv[1]), Path(sys.argv[2]), {}
    folder.mkdir(parents=True, exist_ok=True)
    image = picture(folder)

    def tokens(path: Path, family: str, n: int) -> list[int]:
        model, processor = load(str(path))
        given = inputs(family, processor, image)
        return [int(r.token) for r in stream_generate(model, processor, PROMPTS[family], max_tokens=n, **given)]

    for family in MODELS:
        path, packed = write_model(folder / family, family), folder / (family + " 4 bits")
        answers[family] = tokens(path, family, 16)
        answers[family + ", no picture"] = generate(*load(str(path)), "Who is there?", max_tokens=12).text
        with contextlib.redirect_stdout(io.StringIO()):
            convert(str(path), str(packed), quantize=True, q_bits=4, q_group_size=32)
        answers[family + ", 4 bits"] = tokens(packed, family, 12)
    out.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
