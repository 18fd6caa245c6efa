"""Train a character transformer of about a million parameters on English text, save it, and let it write.

The text, the help topics of the language reference, comes with every CPython. A tenth of it is kept aside to measure
the loss on. The weights go to out/text.safetensors; a second process loads them and writes.

    python text.py                                train, save, then write as below
    python text.py --sample out/text.safetensors --prompt "The import statement"
    python text.py --export FILE                  only write the text as numbers, for examples/c/text.c
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from progress import Progress

WIDTH, HEADS, LAYERS, CONTEXT = 128, 4, 5, 128


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.attention = nn.MultiHeadAttention(width, heads)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def __call__(self, x: mx.array) -> mx.array:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, "causal")
        return x + self.down(nn.gelu(self.up(self.norm2(x))))


class Model(nn.Module):
    def __init__(self, letters: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(letters, WIDTH)
        self.places = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = [Block(WIDTH, HEADS) for _ in range(LAYERS)]
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, letters)

    def __call__(self, tokens: mx.array) -> mx.array:
        x = self.tokens(tokens) + self.places(mx.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def read_text() -> tuple[str, list[str]]:
    """The text, and its alphabet."""
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name] for name in sorted(topics))
    return text, sorted(set(text))


def encode(text: str, alphabet: list[str]) -> mx.array:
    number = {letter: i for i, letter in enumerate(alphabet)}
    return mx.array([number[letter] for letter in text if letter in number], dtype=mx.int32)


def loss_fn(model: Model, x: mx.array, y: mx.array) -> mx.array:
    return nn.losses.cross_entropy(model(x), y, reduction="mean")


def windows(tokens: mx.array, starts: mx.array) -> tuple[mx.array, mx.array]:
    """Pieces of the text, and the same one letter on: what the model is to foretell."""
    places = starts[:, None] + mx.arange(CONTEXT)
    return tokens[places], tokens[places + 1]


def validate(model: Model, tokens: mx.array, batch_size: int = 32, batches: int = 8) -> float:
    """The mean loss on evenly spaced pieces."""
    starts = mx.linspace(0, len(tokens) - CONTEXT - 2, batch_size * batches).astype(mx.int32)
    losses = [loss_fn(model, *windows(tokens, s)) for s in mx.split(starts, batches)]
    return float(mx.mean(mx.stack(losses)).item())


def train(model: Model, tokens: mx.array, steps: int, batch_size: int, learning_rate: float) -> None:
    warmup = min(20, steps // 2)
    schedule = optim.join_schedules(
        [optim.linear_schedule(0, learning_rate, warmup), optim.cosine_decay(learning_rate, steps - warmup)], [warmup]
    )
    optimizer = optim.AdamW(schedule, betas=[0.9, 0.99], weight_decay=0.1, bias_correction=True)
    loss_and_grad_fn = nn.value_and_grad(model, loss_fn)
    progress = Progress(steps, "training")
    for step in range(steps):
        starts = mx.random.randint(0, len(tokens) - CONTEXT - 1, (batch_size,))
        loss, grads = loss_and_grad_fn(model, *windows(tokens, starts))
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state, loss)
        progress.show(step + 1, f"loss {loss.item():.3f}")


def write(model: Model, alphabet: list[str], prompt: str, length: int, temperature: float) -> Iterator[str]:
    """Yield letters, each drawn from what the model thinks follows the last ones."""
    tokens = encode(prompt, alphabet)
    for _ in range(length):
        # always a full window, so that every step has the same shape; later places do not change earlier ones
        last = tokens[-CONTEXT:]
        window = mx.pad(last, (0, CONTEXT - len(last)))
        logits = model(window[None])[0, len(last) - 1]
        token = mx.random.categorical(logits / temperature)
        tokens = mx.concatenate([tokens, token.astype(mx.int32)[None]])
        yield alphabet[token.item()]


def sample(file: Path, prompt: str, length: int, temperature: float) -> None:
    weights, about = mx.load(str(file), return_metadata=True)
    alphabet = list(about["alphabet"])
    model = Model(len(alphabet))
    model.load_weights(list(weights.items()))
    model.eval()
    print(prompt, end="")
    for letter in write(model, alphabet, prompt, length, temperature):
        print(letter, end="", flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/text.safetensors"))
    parser.add_argument("--sample", type=Path, metavar="FILE", help="only load these weights and write")
    parser.add_argument("--export", type=Path, metavar="FILE", help="only write the text into a .safetensors file")
    parser.add_argument("--prompt", default="The import statement")
    parser.add_argument("--length", type=int, default=400)
    parser.add_argument("--temperature", type=float, default=0.7)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    if args.sample:
        return sample(args.sample, args.prompt, args.length, args.temperature)

    start = time.perf_counter()
    text, alphabet = read_text()
    tokens = encode(text, alphabet)
    kept = len(tokens) // 10
    training, validation = tokens[:-kept], tokens[-kept:]
    if args.export:
        parts = {"training": training, "validation": validation}
        return mx.save_safetensors(str(args.export), parts, {"alphabet": "".join(alphabet)})
    model = Model(len(alphabet))
    size = sum(p.size for _, p in tree_flatten(model.parameters()))
    print(f"{len(training):,} letters to train on, {kept:,} to validate on; {len(alphabet)} kinds; {size:,} parameters")

    before = validate(model, validation)
    print(f"validation loss before {before:.3f}")
    train(model, training, args.steps, args.batch_size, args.learning_rate)
    after = validate(model, validation)
    print(f"validation loss after  {after:.3f}")

    args.out.parent.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(args.out), dict(tree_flatten(model.parameters())), {"alphabet": "".join(alphabet)})
    print(f"saved {args.out}; another process loads it and writes:\n", flush=True)
    subprocess.run(
        [sys.executable, __file__, "--sample", str(args.out), "--prompt", args.prompt, "--length", str(args.length)],
        check=True,
    )
    print(f"\nall in {time.perf_counter() - start:.1f} s")
    if not after < before - 1:
        sys.exit("the model has not learned")


if __name__ == "__main__":
    main()
