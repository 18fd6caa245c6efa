"""Runs mlx-lm's programs, nothing patched, on tiny models and writes down what they answer: python programs.py FOLDER OUT.json

Run by the tests with cmlx, and once with the real MLX to make golden.json. The programs are called by their main functions with
sys.argv set, as the console scripts do, in one process: importing mlx-lm costs more than all that follows.
"""
import contextlib
import http.client
import importlib
import io
import json
from pathlib import Path
import sys
import threading

from make_models import FAMILIES, write_model

PROMPT = "To be, or not to be: that is"
answers = {}


def program(name: str, *arguments: object) -> str:
    """What mlx_lm.NAME prints."""
    out = io.StringIO()
    sys.argv = ["mlx_lm." + name, *map(str, arguments)]
    with contextlib.redirect_stdout(out):
        importlib.import_module("mlx_lm." + name).main()
    return out.getvalue()


def generate(model: Path, *options: object, prompt: str = PROMPT) -> str:
    """The text between the two lines that mlx_lm.generate draws."""
    out = program("generate", "--model", model, "-p", prompt, "-m", 16, *options)
    return out.split("==========")[1].strip("\n")


def families(models: dict[str, Path]) -> None:
    from mlx_lm import load, stream_generate

    for family, folder in models.items():
        model, tokenizer = load(str(folder))
        answers["family " + family] = [r.token for r in stream_generate(model, tokenizer, PROMPT, max_tokens=24)]


def caches(models: dict[str, Path], folder: Path) -> None:
    for family in ("llama", "mistral", "gemma3"):
        answers["rotating cache " + family] = generate(models[family], "--max-kv-size", 16, "--prefill-step-size", 8)
    answers["quantized cache, 4 bits"] = generate(models["llama"], "--kv-bits", 4, "--kv-group-size", 32,
                                                  "--quantized-kv-start", 5)
    answers["quantized cache, 8 bits"] = generate(models["mistral"], "--kv-bits", 8, "--kv-group-size", 32,
                                                  "--quantized-kv-start", 0)
    file = folder / "prompt.safetensors"
    program("cache_prompt", "--model", models["llama"], "--prompt", "Once upon a time", "--prompt-cache-file", file)
    answers["cached prompt"] = generate(models["llama"], "--prompt-cache-file", file)
    answers["draft model"] = generate(models["qwen3"], "--draft-model", models["llama"], "--num-draft-tokens", 3)
    answers["sampling"] = generate(models["qwen3"], "--temp", 0.9, "--top-p", 0.9, "--min-p", 0.01, "--seed", 7,
                                   "--xtc-probability", 0.1, "--xtc-threshold", 0.2)


def batches(models: dict[str, Path]) -> None:
    from mlx_lm import batch_generate, load

    for family in ("llama", "gemma3", "mamba2"):
        model, tokenizer = load(str(models[family]))
        prompts = [tokenizer.encode(p) for p in ("a", PROMPT, "Who is there?", "Nay, answer me: stand, and unfold yourself.")]
        answers["batch " + family] = batch_generate(model, tokenizer, prompts, max_tokens=8).texts


def conversions(models: dict[str, Path], folder: Path) -> None:
    for options in (("--q-bits", 4), ("--q-bits", 8), ("--q-bits", 3, "--q-group-size", 32), ("--q-mode", "mxfp4"),
                    ("--q-mode", "mxfp8"), ("--q-mode", "nvfp4"), ("--quant-predicate", "mixed_4_6")):
        name = " ".join(map(str, options))
        program("convert", "--hf-path", models["qwen2"], "-q", *options, "--mlx-path", folder / name)
        answers["convert " + name] = generate(folder / name)
    program("convert", "--hf-path", models["mixtral"], "-q", "--mlx-path", folder / "experts")
    answers["convert experts"] = generate(folder / "experts")
    program("convert", "--hf-path", folder / "experts", "-d", "--mlx-path", folder / "dequantized")
    answers["dequantize experts"] = generate(folder / "dequantized")


def training(models: dict[str, Path], folder: Path) -> None:
    for name, n in (("train", 12), ("valid", 4), ("test", 4)):
        lines = [json.dumps({"text": f"line {i} of {name} " + "abc " * (i % 3 + 1)}) + "\n" for i in range(n)]
        (folder / (name + ".jsonl")).write_text("".join(lines))
    common = ("--data", folder, "--batch-size", 2, "--num-layers", 2, "--val-batches", 1, "--seed", 3, "--max-seq-length", 64)
    quantized = folder / "--q-bits 4"
    for name, model, options in (("lora", models["llama"], ()), ("lora quantized", quantized, ("--grad-checkpoint",)),
                                 ("dora", models["qwen2"], ("--fine-tune-type", "dora", "--optimizer", "adamw"))):
        adapter = folder / name
        program("lora", "--model", model, "--train", "--iters", 6, "--learning-rate", 1e-3, "--adapter-path", adapter, *common,
                *options)
        answers[name] = generate(model, "--adapter-path", adapter)
        program("lora", "--model", model, "--test", "--adapter-path", adapter, *common, "--test-batches", 1)
        fused = folder / (name + " fused")
        program("fuse", "--model", model, "--adapter-path", adapter, "--save-path", fused)
        answers[name + " fused"] = generate(fused)


def measuring(models: dict[str, Path]) -> None:
    out = program("benchmark", "--model", models["llama"], "-p", 16, "-g", 4, "-n", 1)
    answers["benchmark"] = "Averages: prompt_tps=" in out
    import mlx.core as mx
    from mlx_lm import load
    from mlx_lm.perplexity import eval_ppl      # its main takes a data set of the hub

    tokens = mx.array([[(i * i * 7 + 31 * row) % 256 + 6 for i in range(33)] for row in range(8)])
    with contextlib.redirect_stdout(io.StringIO()):
        perplexity, error = eval_ppl(load(str(models["llama"]))[0], tokens, batch_size=4)
    answers["perplexity"] = [float(f"{perplexity:.5g}"), float(f"{error:.4g}")]


def server(models: dict[str, Path]) -> None:
    """OpenAI's chat, whole and streamed, from a thread that ends with the process."""
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    sys.argv = ["mlx_lm.server", "--model", str(models["llama"]), "--port", str(port), "--log-level", "ERROR"]
    threading.Thread(target=importlib.import_module("mlx_lm.server").main, daemon=True).start()
    body = {"messages": [{"role": "user", "content": "Who is there?"}], "max_tokens": 12, "temperature": 0}

    def ask(**more: object) -> str:
        for _ in range(600):
            try:
                c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                c.request("POST", "/v1/chat/completions", json.dumps({**body, **more}), {"Content-Type": "application/json"})
                return c.getresponse().read().decode()
            except ConnectionRefusedError:
                threading.Event().wait(0.05)
        raise TimeoutError("mlx_lm.server did not start")

    answers["server"] = json.loads(ask())["choices"][0]["message"]["content"]
    events = [line[6:] for line in ask(stream=True).split("\n") if line.startswith("data: {")]
    answers["server, streaming"] = "".join(json.loads(e)["choices"][0]["delta"].get("content") or "" for e in events)


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    models = {family: write_model(folder / family, family, config) for family, config in FAMILIES.items()}
    families(models)
    caches(models, folder)
    batches(models)
    conversions(models, folder)
    training(models, folder)
    measuring(models)
    server(models)
    out.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
