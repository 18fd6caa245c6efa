"""An encoder-decoder as T5: relative positions, RMS norms, gated feed-forward layers, greedy decoding with a cache.

The task, made at random: spell a string of letters backwards. Attention has no places of its own; each head learns a bias
for how far apart two letters stand, in buckets that get coarser with the distance.
"""

import argparse
import math

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from progress import Progress

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PAD, END, FIRST = 0, 1, 2  # then the letters
SHORTEST, LONGEST = 3, 10
Cache = tuple[mx.array, mx.array]


def buckets(queries: int, keys: int, offset: int, both_ways: bool, n: int = 16) -> mx.array:
    """The bucket of each pair: exact for neighbours, logarithmic farther away. (queries, keys)"""
    distance = mx.arange(keys)[None] - (mx.arange(queries) + offset)[:, None]
    base = mx.zeros_like(distance)
    if both_ways:
        n //= 2
        base = mx.where(distance > 0, n, 0)
        distance = mx.abs(distance)
    else:
        distance = mx.maximum(-distance, 0)
    exact = n // 2
    far = exact + mx.log(mx.maximum(distance, 1) / exact) / math.log(32 / exact) * (n - exact)
    return base + mx.where(distance < exact, distance, mx.minimum(far.astype(mx.int32), n - 1))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

    def split(self, x: mx.array) -> mx.array:
        return x.reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2)

    def __call__(
        self, x: mx.array, source: mx.array, mask: mx.array | None, cache: Cache | None = None
    ) -> tuple[mx.array, Cache]:
        q, k, v = self.split(self.query(x)), self.split(self.key(source)), self.split(self.value(source))
        if cache is not None:
            k, v = mx.concatenate([cache[0], k], axis=2), mx.concatenate([cache[1], v], axis=2)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5, mask=mask)
        return self.out(y.swapaxes(1, 2).reshape(x.shape)), (k, v)


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, crossed: bool) -> None:
        super().__init__()
        self.attention, self.norm1, self.norm2 = Attention(width, heads), nn.RMSNorm(width), nn.RMSNorm(width)
        self.gate, self.up, self.down = (
            nn.Linear(width, 2 * width, bias=False),
            nn.Linear(width, 2 * width, bias=False),
            nn.Linear(2 * width, width, bias=False),
        )
        if crossed:
            self.cross, self.norm3 = Attention(width, heads), nn.RMSNorm(width)

    def __call__(
        self,
        x: mx.array,
        mask: mx.array,
        memory: mx.array | None = None,
        memory_mask: mx.array | None = None,
        cache: Cache | None = None,
    ) -> tuple[mx.array, Cache]:
        y = self.norm1(x)
        y, cache = self.attention(y, y, mask, cache)
        x = x + y
        if memory is not None:
            x = x + self.cross(self.norm3(x), memory, memory_mask)[0]
        y = self.norm2(x)
        return x + self.down(nn.gelu(self.gate(y)) * self.up(y)), cache


class Seq2Seq(nn.Module):
    def __init__(self, kinds: int, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(kinds, width)
        self.encoder = [Layer(width, heads, False) for _ in range(layers)]
        self.decoder = [Layer(width, heads, True) for _ in range(layers)]
        self.near, self.before = nn.Embedding(16, heads), nn.Embedding(16, heads)
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.head = nn.Linear(width, kinds, bias=False)

    def encode(self, tokens: mx.array) -> tuple[mx.array, mx.array]:
        """What the decoder reads, and a mask that hides padding."""
        n = tokens.shape[1]
        hidden = mx.where(tokens == PAD, -1e9, 0.0)[:, None, None]
        mask = self.near(buckets(n, n, 0, True)).transpose(2, 0, 1) + hidden
        x = self.embedding(tokens)
        for layer in self.encoder:
            x, _ = layer(x, mask)
        return self.norm1(x), hidden

    def decode(
        self, tokens: mx.array, memory: mx.array, hidden: mx.array, caches: list[Cache] | None = None
    ) -> tuple[mx.array, list[Cache]]:
        """Logits of what follows each token, and what the next call needs of these tokens."""
        past, n = (caches[0][0].shape[2] if caches else 0), tokens.shape[1]
        later = mx.where(mx.arange(past + n)[None] > (mx.arange(n) + past)[:, None], -1e9, 0.0)
        mask = self.before(buckets(n, past + n, past, False)).transpose(2, 0, 1)[None] + later
        x, new = self.embedding(tokens), []
        for i, layer in enumerate(self.decoder):
            x, cache = layer(x, mask, memory, hidden, caches[i] if caches else None)
            new.append(cache)
        return self.head(self.norm2(x)), new


def loss_fn(model: Seq2Seq, source: mx.array, target: mx.array) -> mx.array:
    shifted = mx.pad(target[:, :-1], [(0, 0), (1, 0)])  # PAD begins what is written
    losses = nn.losses.cross_entropy(model.decode(shifted, *model.encode(source))[0], target)
    said = (target != PAD).astype(losses.dtype)
    return mx.sum(losses * said) / mx.sum(said)


def generate(model: Seq2Seq, source: mx.array) -> mx.array:
    """The likeliest letters, one at a time."""
    memory, caches = model.encode(source), None
    tokens, parts = mx.zeros((len(source), 1), dtype=mx.int32), []
    for _ in range(LONGEST + 1):
        logits, caches = model.decode(tokens, *memory, caches)
        tokens = mx.argmax(logits, axis=-1).astype(mx.int32)
        parts.append(tokens)
    written = mx.concatenate(parts, axis=1)
    ends = mx.equal(written, END).astype(mx.int32)
    ended = mx.cumsum(ends, axis=1) - ends
    return mx.where(ended > 0, PAD, written)


def strings(n: int) -> tuple[mx.array, mx.array]:
    """Letters, padded, and the same backwards with an end; (n, LONGEST + 1)."""
    letters = mx.random.randint(FIRST, FIRST + len(LETTERS), (n, LONGEST + 1))
    length = mx.random.randint(SHORTEST, LONGEST + 1, (n, 1))
    at = mx.arange(LONGEST + 1)[None]
    source = mx.where(at < length, letters, PAD)
    backwards = mx.take_along_axis(source, mx.maximum(length - 1 - at, 0), axis=1)
    return source, mx.where(at < length, backwards, mx.where(at == length, END, PAD))


def spell(tokens: list[int]) -> str:
    return "".join(LETTERS[t - FIRST] for t in tokens if t >= FIRST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    model = Seq2Seq(FIRST + len(LETTERS))
    mx.eval(model.parameters())
    print(f"{sum(p.size for _, p in tree_flatten(model.parameters())):,} parameters")
    warmup = min(50, (args.steps + 3) // 4)
    schedule = optim.join_schedules(
        [optim.linear_schedule(0, 3e-3, warmup), optim.cosine_decay(3e-3, args.steps - warmup)], [warmup]
    )
    optimizer = optim.Adam(schedule, bias_correction=True)
    state = [model.state, optimizer.state, mx.random.state]

    def step() -> mx.array:
        loss, grads = nn.value_and_grad(model, loss_fn)(model, *strings(args.batch_size))
        grads, _ = optim.clip_grad_norm(grads, 1.0)
        optimizer.update(model, grads)
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)
    progress = Progress(args.steps, "training")
    for i in range(args.steps):
        loss = compiled()
        mx.eval(state, loss)
        progress.show(i + 1, f"loss {loss.item():.3f}")

    source, target = strings(200)
    written = generate(model, source)
    for a, b in zip(source[:3].tolist(), written[:3].tolist()):
        print(f"{spell(a)} backwards is {spell(b)}")
    print(f"letters right {100 * (((written == target) & (target != PAD)).sum() / (target != PAD).sum()).item():.1f} %")


if __name__ == "__main__":
    main()
