"""Pictures and captions in one space, as CLIP: two encoders that learn from nothing but which pairs belong together.

Pictures are coloured shapes, captions sentences about them. In a batch each picture should be nearest to its own caption
and each caption to its own picture. Then pictures can be sorted into classes that are only named: the accuracy at the end
is of captions in a form that was not in the training.
"""

import argparse

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten
from progress import Progress
from shapes import COLOURS, SHAPES, pictures

FORMS = ["a {} {}", "the {} {}", "a picture of a {} {}", "this is a {} {}", "look at the {} {}"]
WORDS = sorted({word for form in FORMS for word in form.replace("{}", "").split()} | {*COLOURS, *SHAPES})
NUMBER = {word: i + 1 for i, word in enumerate(WORDS)}  # 0: padding
LONGEST = 6


def caption(form: str, shape: int, colour: int) -> list[int]:
    tokens = [NUMBER[word] for word in form.format(list(COLOURS)[colour], SHAPES[shape]).split()]
    return tokens + [0] * (LONGEST - len(tokens))


class Pictures(nn.Module):
    """A convolutional encoder; 16 x 16 become 4 x 4."""

    def __init__(self, width: int, space: int) -> None:
        super().__init__()
        self.layers = [
            nn.Conv2d(3, width, 3, padding=1),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        ]
        self.norms = [nn.GroupNorm(4, width), nn.GroupNorm(4, width), nn.GroupNorm(4, 2 * width)]
        self.out = nn.Linear(2 * width * 16, space)

    def __call__(self, x: mx.array) -> mx.array:
        for layer, norm in zip(self.layers, self.norms):
            x = nn.silu(norm(layer(x)))
        return self.out(x.flatten(1))


class Captions(nn.Module):
    def __init__(self, width: int, space: int) -> None:
        super().__init__()
        self.words = nn.Embedding(len(WORDS) + 1, width)
        self.places = nn.Embedding(LONGEST, width)
        self.encoder = nn.TransformerEncoder(1, width, 2, 2 * width, norm_first=True)
        self.out = nn.Linear(width, space)

    def __call__(self, tokens: mx.array) -> mx.array:
        read = tokens > 0
        x = self.words(tokens) + self.places(mx.arange(tokens.shape[1]))
        x = self.encoder(x, mx.where(read, 0.0, -1e9)[:, None, None])
        return self.out((x * read[..., None]).sum(axis=1) / read.sum(axis=1, keepdims=True))


class Clip(nn.Module):
    def __init__(self, width: int = 32, space: int = 32) -> None:
        super().__init__()
        self.pictures, self.captions = Pictures(width // 2, space), Captions(width, space)
        self.log_scale = mx.array(2.0)

    def similarity(self, x: mx.array, tokens: mx.array) -> mx.array:
        """Of each picture with each caption."""
        a, b = self.pictures(x), self.captions(tokens)
        a, b = a / mx.linalg.norm(a, axis=-1, keepdims=True), b / mx.linalg.norm(b, axis=-1, keepdims=True)
        return mx.exp(self.log_scale) * a @ b.T


def loss_fn(model: Clip, x: mx.array, tokens: mx.array, same: mx.array) -> mx.array:
    """same: which pictures and captions go together; a batch holds several of a class."""
    logits = model.similarity(x, tokens)
    by_picture = (nn.log_softmax(logits, axis=1) * same).sum(axis=1) / same.sum(axis=1)
    by_caption = (nn.log_softmax(logits, axis=0) * same).sum(axis=0) / same.sum(axis=0)
    return -(by_picture.mean() + by_caption.mean()) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mx.random.seed(args.seed)
    rng = np.random.default_rng(args.seed)
    x, shape, colour = pictures(2048 + 256, seed=args.seed)
    kind = shape * len(COLOURS) + colour
    # every class in every form but the last, which is kept for the test: (forms, classes, LONGEST)
    texts = mx.array([[caption(f, s, c) for s in range(4) for c in range(4)] for f in FORMS], dtype=mx.int32)

    model = Clip()
    mx.eval(model.parameters())
    print(f"{sum(p.size for _, p in tree_flatten(model.parameters())):,} parameters, {len(WORDS)} words")
    optimizer = optim.AdamW(optim.cosine_decay(3e-3, args.steps), weight_decay=0.05, bias_correction=True)
    state = [model.state, optimizer.state]

    def step(x: mx.array, tokens: mx.array, kind: mx.array) -> mx.array:
        same = (kind[:, None] == kind).astype(mx.float32)
        loss, grads = nn.value_and_grad(model, loss_fn)(model, x, tokens, same)
        optimizer.update(model, grads)
        return loss

    compiled = mx.compile(step, inputs=state, outputs=state)

    def accuracy() -> float:
        nearest = mx.argmax(model.similarity(x[2048:], texts[-1]), axis=1)
        return 100 * float(mx.mean(nearest == kind[2048:]).item())

    print(f"pictures sorted by caption before {accuracy():.1f} %")
    progress = Progress(args.steps, "training")
    for i in range(args.steps):
        ids = mx.array(rng.integers(0, 2048, args.batch_size))
        form = mx.array(rng.integers(0, len(FORMS) - 1, args.batch_size))
        loss = compiled(x[ids], texts[form, kind[ids]], kind[ids])
        mx.eval(state, loss)
        progress.show(i + 1, f"loss {loss.item():.3f}")
    print(f"pictures sorted by caption after  {accuracy():.1f} %")


if __name__ == "__main__":
    main()
