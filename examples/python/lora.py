"""Low-rank adapters: a small language model learns a new style through a few per cent of its parameters.

First a transformer learns made sentences ("the red fox sees two dogs ."). Then its weights are frozen, every linear layer
gets a product of two thin matrices beside it, and these alone learn from a few sentences in another order of words ("two
dogs the red fox sees ."). In the end the adapters are merged into the weights: same model, no extra cost.
"""

import argparse
import random
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten
from progress import Progress
from sentences import END, LENGTH, PAD, START, VERBS, WORDS, decode, encode, sentence, sentences


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.attention = nn.MultiHeadAttention(width, heads)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def __call__(self, x: mx.array, mask: mx.array) -> mx.array:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, mask)
        return x + self.down(nn.silu(self.up(self.norm2(x))))


class Model(nn.Module):
    def __init__(self, words: int, width: int = 96, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(LENGTH, width)
        self.blocks = [Block(width, heads) for _ in range(layers)]
        self.norm = nn.RMSNorm(width)

    def __call__(self, tokens: mx.array) -> mx.array:
        n = tokens.shape[1]
        x = self.words(tokens) + self.places(mx.arange(n))
        mask = nn.MultiHeadAttention.create_additive_causal_mask(n)
        for block in self.blocks:
            x = block(x, mask)
        return self.words.as_linear(self.norm(x))


class LoRA(nn.Module):
    """A linear layer with x A B beside it; B starts as zero, so at first nothing changes."""

    def __init__(self, linear: nn.Linear, rank: int, scale: float = 4.0) -> None:
        super().__init__()
        outputs, inputs = linear.weight.shape
        self.linear, self.scale = linear, scale
        self.a = mx.random.normal((inputs, rank)) / inputs**0.5
        self.b = mx.zeros((rank, outputs))

    def __call__(self, x: mx.array) -> mx.array:
        y: mx.array = self.linear(x) + self.scale * ((x @ self.a) @ self.b)
        return y

    def merged(self) -> nn.Linear:
        linear = self.linear
        linear.weight = linear.weight + (self.scale * (self.a @ self.b)).T
        return linear


def replace(model: nn.Module, kind: type, make: Callable[[Any], nn.Module]) -> None:
    """Puts what make gives in place of the innermost modules of a kind."""
    found = [(name, m) for name, m in model.named_modules() if isinstance(m, kind)]
    model.update_modules(tree_unflatten([(name, make(m)) for name, m in found]))


def size(tree: dict[str, Any]) -> int:
    return sum(p.size for _, p in tree_flatten(tree))


def loss_fn(model: Model, tokens: mx.array) -> mx.array:
    losses = nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
    read = (tokens[:, 1:] != PAD).astype(losses.dtype)
    return mx.sum(losses * read) / mx.sum(read)


def train(model: Model, data: mx.array, steps: int, batch_size: int, learning_rate: float, title: str) -> None:
    optimizer = optim.Adam(optim.cosine_decay(learning_rate, steps), bias_correction=True)
    state = [model.state, optimizer.state]

    def step(tokens: mx.array) -> mx.array:
        loss, grads = nn.value_and_grad(model, loss_fn)(model, tokens)
        optimizer.update(model, grads)
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)
    progress = Progress(steps, title)
    for i in range(steps):
        loss = compiled(data[mx.random.randint(0, len(data), (batch_size,))])
        mx.eval(state, loss)
        progress.show(i + 1, f"loss {loss.item():.3f}")


def turned(n: int, seed: int) -> mx.array:
    """Sentences with what is done to first: object, subject, verb."""
    rng, result, verbs = random.Random(seed), [], {v for pair in VERBS for v in pair}
    for _ in range(n):
        words = sentence(rng)[:-1]
        at = next(i for i, w in enumerate(words) if w in verbs)
        result.append(encode([*words[at + 1 :], *words[: at + 1], "."]))
    return mx.array(result, dtype=mx.int32)


def write(model: Model, n: int) -> list[str]:
    """n sentences, word by word, each drawn by its chance."""
    tokens = mx.full((n, 1), START, mx.int32)
    while tokens.shape[1] < LENGTH:
        following = mx.random.categorical(model(tokens)[:, -1])[:, None].astype(mx.int32)
        tokens = mx.concatenate([tokens, following], axis=1)
    return [decode(t[: t.index(END)] if END in t else t) for t in tokens.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="of each of the two trainings")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rank", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    model = Model(len(WORDS))
    mx.eval(model.parameters())
    train(model, sentences(4096, seed=1), args.steps, args.batch_size, 3e-3, "learning to speak")
    print("\n".join(f"  {line}" for line in write(model, 3)))

    few, held = turned(256, seed=3), turned(256, seed=4)
    model.freeze()
    replace(model, nn.Linear, lambda linear: LoRA(linear, args.rank))
    print(f"{size(model.trainable_parameters()):,} of {size(model.parameters()):,} parameters are trained")
    print(f"loss on the new style before {loss_fn(model, held).item():.3f}")
    train(model, few, args.steps, args.batch_size, 1e-2, "learning the new style")
    after = loss_fn(model, held).item()
    print(f"loss on the new style after  {after:.3f}")

    replace(model, LoRA, LoRA.merged)
    merged = loss_fn(model, held).item()
    print(f"merged into the weights      {merged:.3f}")
    print("\n".join(f"  {line}" for line in write(model, 3)))
    assert abs(merged - after) < 1e-3


if __name__ == "__main__":
    main()
